# SPDX-License-Identifier: Apache-2.0
"""setsockopt and getsockopt at level SOL_TCP (tcp(7)); other levels go on to IP.

Ranges and errors are Linux's: an option value shorter than an int is EINVAL, what is not known (or belongs to a part of TCP
that is not built in: repair) is ENOPROTOOPT. Seconds of options become jiffies in the sock.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.socket import SOL_TCP
from linnet.include.net.inet_connection_sock import (
    ICSK_ACK_PUSHED,
    inet_csk_ack_scheduled,
    inet_csk_enter_pingpong_mode,
    inet_csk_exit_pingpong_mode,
    inet_csk_in_pingpong_mode,
)
from linnet.include.net.sock import SOCK_KEEPOPEN, SOCK_MIN_RCVBUF, SOCK_RCVBUF_LOCK, OptResult, Sock, sock_flag, sock_net
from linnet.include.net.tcp import (
    MAX_TCP_KEEPCNT,
    MAX_TCP_KEEPIDLE,
    MAX_TCP_KEEPINTVL,
    MAX_TCP_SYNCNT,
    MAX_TCP_WINDOW,
    TCP_CC_INFO,
    TCP_CONGESTION,
    TCP_CORK,
    TCP_DEFER_ACCEPT,
    TCP_FASTOPEN,
    TCP_FASTOPEN_CONNECT,
    TCP_FASTOPEN_KEY,
    TCP_FASTOPEN_KEY_LENGTH,
    TCP_FASTOPEN_NO_COOKIE,
    TCP_INFO,
    TCP_INQ,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_LINGER2,
    TCP_MAXSEG,
    TCP_MD5SIG,
    TCP_MD5SIG_EXT,
    TCP_MIN_MSS,
    TCP_NAGLE_CORK,
    TCP_NAGLE_OFF,
    TCP_NAGLE_PUSH,
    TCP_NODELAY,
    TCP_NOTSENT_LOWAT,
    TCP_QUICKACK,
    TCP_RTO_MAX,
    TCP_RTO_MAX_MS,
    TCP_SAVE_SYN,
    TCP_SAVED_SYN,
    TCP_SYNCNT,
    TCP_THIN_DUPACK,
    TCP_THIN_LINEAR_TIMEOUTS,
    TCP_TIMESTAMP,
    TCP_TX_DELAY,
    TCP_USER_TIMEOUT,
    TCP_WINDOW_CLAMP,
    TFO_CLIENT_ENABLE,
    U32,
    TcpSock,
    keepalive_intvl_when,
    keepalive_probes,
    keepalive_time_elapsed,
    keepalive_time_when,
    tcp_clock_ns,
    tcp_sk,
    tcp_space_from_win,
)
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_ESTABLISHED, TCP_LISTEN, TCPF_CLOSE_WAIT, TCPF_ESTABLISHED
from linnet.kernel.errno import EINVAL, ENOENT, ENOPROTOOPT, EOPNOTSUPP
from linnet.net.core.sock import lock_sock, release_sock, sk_net_capable
from linnet.net.ipv4.inet_connection_sock import inet_csk_reset_keepalive_timer
from linnet.net.ipv4.tcp_cong import tcp_set_congestion_control
from linnet.net.ipv4.tcp_fastopen import fastopen_queue_tune, tcp_fastopen_init_key_once, tcp_fastopen_reset_cipher
from linnet.net.ipv4.tcp_info import tcp_get_cc_info, tcp_get_info, tcp_info_pack
from linnet.net.ipv4.tcp_input_ack import tcp_set_rto, tcp_update_pacing_rate
from linnet.net.ipv4.tcp_input_data import tcp_data_ready
from linnet.net.ipv4.tcp_input_rcvbuf import tcp_apply_window_clamp
from linnet.net.ipv4.tcp_output import tcp_push_pending_frames
from linnet.net.ipv4.tcp_recvmsg import tcp_cleanup_rbuf
from linnet.net.ipv4.tcp_sockopt_times import NO_OPTION, is_ulp, tcp_setsockopt_times, tcp_times_value
from linnet.net.ipv4.tcp_timer import tcp_syn_retries_of

LINUX_FILE: Final = 'net/ipv4/tcp.c'

HZ: Final = 1000
TCP_CA_NAME_MAX: Final = 16
TCP_FIN_TIMEOUT_MAX: Final = 120  # s
RETRANS_FIRST: Final = 1  # s, TCP_TIMEOUT_INIT
TX_DELAY_MAX: Final = (1 << 28) - 1  # µs
RETRANS_MAX: Final = 120  # s, TCP_RTO_MAX


def secs_to_retrans(seconds: int) -> i64:
    """How many SYN-ACK retransmissions (1 s, doubled each time) cover `seconds`.  Linux: net/ipv4/tcp.c."""
    if seconds <= 0:
        return 0
    timeout = RETRANS_FIRST
    period = timeout
    count = 1
    while seconds > period and count < 255:
        count += 1
        timeout = min(timeout * 2, RETRANS_MAX)
        period += timeout
    return count


def retrans_to_secs(retrans: i64) -> int:
    """The seconds that so many retransmissions take.  Linux: net/ipv4/tcp.c."""
    if retrans <= 0:
        return 0
    timeout = RETRANS_FIRST
    period = timeout
    for _ in range(int(retrans) - 1):
        timeout = min(timeout * 2, RETRANS_MAX)
        period += timeout
    return period


def __tcp_sock_set_nodelay(sk: TcpSock, on: bool) -> None:
    """Nagle off: and what it held back goes now.  Linux: net/ipv4/tcp.c."""
    if on:
        sk.nonagle |= TCP_NAGLE_OFF | TCP_NAGLE_PUSH
        tcp_push_pending_frames(sk)
    else:
        sk.nonagle &= ~TCP_NAGLE_OFF


def __tcp_sock_set_cork(sk: TcpSock, on: bool) -> None:
    """Hold back partial segments; pulling the cork sends them.  Linux: net/ipv4/tcp.c."""
    if on:
        sk.nonagle |= TCP_NAGLE_CORK
    else:
        sk.nonagle &= ~TCP_NAGLE_CORK
        if (sk.nonagle & TCP_NAGLE_OFF) != 0:
            sk.nonagle |= TCP_NAGLE_PUSH
        tcp_push_pending_frames(sk)


def tcp_sock_set_keepidle_locked(sk: TcpSock, val: int) -> int:
    """Idle seconds before probes; a running timer is set anew.  Linux: net/ipv4/tcp.c."""
    if val < 1 or val > MAX_TCP_KEEPIDLE:
        return -EINVAL
    sk.keepalive_time = val * HZ
    if sock_flag(sk, SOCK_KEEPOPEN) and sk.sk_state != TCP_CLOSE and sk.sk_state != TCP_LISTEN:
        left = sk.keepalive_time - keepalive_time_elapsed(sk)
        inet_csk_reset_keepalive_timer(sk, left if left > 0 else 0)
    return 0


def __tcp_sock_set_quickack(sk: TcpSock, val: int) -> None:
    """Acknowledge at once (for now), or by delay.  Linux: net/ipv4/tcp.c."""
    if val == 0:
        inet_csk_enter_pingpong_mode(sk)
        return
    inet_csk_exit_pingpong_mode(sk)
    if ((1 << sk.sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) != 0 and inet_csk_ack_scheduled(sk):
        sk.ack_pending |= ICSK_ACK_PUSHED
        tcp_cleanup_rbuf(sk, 1)
        if (val & 1) == 0:
            inet_csk_enter_pingpong_mode(sk)


def tcp_set_window_clamp(sk: TcpSock, val: int) -> int:
    """Bound the window that is advertised.  Linux: net/ipv4/tcp.c."""
    if val == 0:
        if sk.sk_state != TCP_CLOSE:
            return -EINVAL
        sk.window_clamp = 0
        return 0
    low: i64 = SOCK_MIN_RCVBUF // 2
    clamp: i64 = val
    if clamp < low:
        clamp = low
    tcp_apply_window_clamp(sk, clamp)
    return 0


def tcp_set_linger2(sk: TcpSock, val: int) -> None:
    """Seconds that an orphan stays in FIN_WAIT2; negative: none.  Linux: net/ipv4/tcp.c."""
    if val < 0:
        sk.linger2 = -1
    else:
        sk.linger2 = min(val, TCP_FIN_TIMEOUT_MAX) * HZ


def tcp_set_rcvlowat(sk: TcpSock, val: i64) -> int:
    """SO_RCVLOWAT: at most half of the largest receive buffer, and the buffer grows until that much fits.

    Linux: net/ipv4/tcp.c.
    """
    locked = (sk.sk_userlocks & SOCK_RCVBUF_LOCK) != 0
    cap = (sk.sk_rcvbuf if locked else sock_net(sk).ipv4.sysctl_tcp_rmem[2]) >> 1
    if val > cap:
        val = cap
    sk.sk_rcvlowat = val if val != 0 else 1
    tcp_data_ready(sk)
    if not locked:
        space = tcp_space_from_win(sk, val)
        if space > sk.sk_rcvbuf:
            sk.sk_rcvbuf = space
            if sk.window_clamp < val:
                tcp_apply_window_clamp(sk, val)
    return 0


def tcp_setsockopt_congestion(sk: TcpSock, optval: bytes) -> int:
    """Choose the congestion control by name."""
    if len(optval) < 1:
        return -EINVAL
    name = optval[:TCP_CA_NAME_MAX - 1].split(b'\0')[0].decode('latin-1')
    return tcp_set_congestion_control(sk, name, True, sk_net_capable(sk, 'CAP_NET_ADMIN'))


def tcp_enable_tx_delay(sk: TcpSock, val: int) -> None:
    """TCP_TX_DELAY: what is sent waits val µs longer in the fq below. The RTT is known to change by as much.

    Linux: net/ipv4/tcp.c.
    """
    delta = val - sk.tcp_tx_delay
    if delta != 0 and sk.sk_state == TCP_ESTABLISHED:
        srtt = sk.srtt_us + (delta << 3)
        sk.srtt_us = srtt if srtt > 1 else 1
        tcp_set_rto(sk)
        tcp_update_pacing_rate(sk)
    sk.tcp_tx_delay = val


def in_range(val: int, low: int, high: int) -> bool:
    """low <= val <= high."""
    return low <= val <= high


def tcp_setsockopt_ranged(sk: TcpSock, optname: int, val: int) -> int:
    """The options that only store a value within a range."""
    if optname == TCP_SYNCNT:
        if not in_range(val, 1, MAX_TCP_SYNCNT):
            return -EINVAL
        sk.icsk_syn_retries = val
    elif optname == TCP_USER_TIMEOUT:
        if val < 0:
            return -EINVAL
        sk.icsk_user_timeout = val
    elif optname == TCP_RTO_MAX_MS:
        if not in_range(val, 1000, TCP_RTO_MAX):
            return -EINVAL
        sk.icsk_rto_max = val
    elif optname == TCP_TX_DELAY:
        if not in_range(val, 0, TX_DELAY_MAX):
            return -EINVAL
        tcp_enable_tx_delay(sk, val)
    elif optname == TCP_KEEPINTVL:
        if not in_range(val, 1, MAX_TCP_KEEPINTVL):
            return -EINVAL
        sk.keepalive_intvl = val * HZ
    elif optname == TCP_KEEPCNT:
        if not in_range(val, 1, MAX_TCP_KEEPCNT):
            return -EINVAL
        sk.keepalive_probes = val
    elif optname == TCP_MAXSEG:
        # a value below the least MSS makes no sense; 0 takes the wish back
        if val != 0 and not in_range(val, TCP_MIN_MSS, MAX_TCP_WINDOW):
            return -EINVAL
        sk.rx_opt.user_mss = val
    elif optname == TCP_THIN_LINEAR_TIMEOUTS:
        if not in_range(val, 0, 1):
            return -EINVAL
        sk.thin_lto = val != 0
    elif optname == TCP_THIN_DUPACK:
        # without effect since 4.x; the range is still checked
        return 0 if in_range(val, 0, 1) else -EINVAL
    elif optname == TCP_SAVE_SYN:
        if not in_range(val, 0, 2):
            return -EINVAL
        sk.save_syn = val
    elif optname == TCP_INQ:
        if not in_range(val, 0, 1):
            return -EINVAL
        sk.recvmsg_inq = val != 0
    else:
        return tcp_setsockopt_times(sk, optname, val)
    return 0


def tcp_setsockopt_fastopen(sk: TcpSock, optname: int, val: int) -> int:
    """The switches of Fast Open.  Part of Linux's do_tcp_setsockopt."""
    state = sk.sk_state
    if optname == TCP_FASTOPEN:
        if val < 0 or (state != TCP_CLOSE and state != TCP_LISTEN):
            return -EINVAL
        tcp_fastopen_init_key_once(sock_net(sk))
        fastopen_queue_tune(sk, val)
        return 0
    if not in_range(val, 0, 1):
        return -EINVAL
    if optname == TCP_FASTOPEN_CONNECT:
        if (sock_net(sk).ipv4.sysctl_tcp_fastopen & TFO_CLIENT_ENABLE) == 0:
            return -EOPNOTSUPP
        if state != TCP_CLOSE:
            return -EINVAL
        sk.fastopen_connect = val != 0
        return 0
    if state != TCP_CLOSE and state != TCP_LISTEN:
        return -EINVAL
    sk.fastopen_no_cookie = val != 0
    return 0


def tcp_setsockopt_fastopen_key(sk: TcpSock, optval: bytes) -> int:
    """One key of 16 bytes or two, the active one first.  Linux: net/ipv4/tcp.c, where it is part of do_tcp_setsockopt."""
    n = TCP_FASTOPEN_KEY_LENGTH
    if len(optval) != n and len(optval) != 2 * n:
        return -EINVAL
    tcp_fastopen_reset_cipher(sock_net(sk), sk, optval[:n], optval[n:])
    return 0


def do_tcp_setsockopt(sk: TcpSock, optname: int, optval: bytes) -> int:
    """Set an option of level SOL_TCP; the socket is owned.  Linux: net/ipv4/tcp.c."""
    if optname == TCP_CONGESTION:
        return tcp_setsockopt_congestion(sk, optval)
    if optname == TCP_FASTOPEN_KEY:
        return tcp_setsockopt_fastopen_key(sk, optval)
    if is_ulp(optname):
        return -ENOENT  # there is none
    if optname == TCP_MD5SIG or optname == TCP_MD5SIG_EXT:
        return sk.icsk_af_ops.md5_parse(sk, optname, optval)
    if len(optval) < 4:
        return -EINVAL
    val = int.from_bytes(optval[:4], 'little', signed=True)
    if optname == TCP_NODELAY:
        __tcp_sock_set_nodelay(sk, val != 0)
    elif optname == TCP_CORK:
        __tcp_sock_set_cork(sk, val != 0)
    elif optname == TCP_KEEPIDLE:
        return tcp_sock_set_keepidle_locked(sk, val)
    elif optname == TCP_LINGER2:
        tcp_set_linger2(sk, val)
    elif optname == TCP_DEFER_ACCEPT:
        sk.icsk_accept_queue.rskq_defer_accept = secs_to_retrans(val)
    elif optname == TCP_WINDOW_CLAMP:
        return tcp_set_window_clamp(sk, val)
    elif optname == TCP_QUICKACK:
        __tcp_sock_set_quickack(sk, val)
    elif optname == TCP_NOTSENT_LOWAT:
        sk.notsent_lowat = val & U32
        sk.sk_cb.write_space(sk)
    elif optname == TCP_FASTOPEN or optname == TCP_FASTOPEN_CONNECT or optname == TCP_FASTOPEN_NO_COOKIE:
        return tcp_setsockopt_fastopen(sk, optname, val)
    else:
        return tcp_setsockopt_ranged(sk, optname, val)
    return 0


def tcp_setsockopt(sk: Sock, level: int, optname: int, optval: bytes) -> int:
    """Set an option. 0 or a negative errno.  Linux: net/ipv4/tcp.c."""
    if level != SOL_TCP:
        return tcp_sk(sk).icsk_af_ops.setsockopt(sk, level, optname, optval)
    tp = tcp_sk(sk)
    lock_sock(tp)
    err = do_tcp_setsockopt(tp, optname, optval)
    release_sock(tp)
    return err


def tcp_option_value(tp: TcpSock, optname: int) -> i64:
    """The value of an option that is an int; NO_OPTION where there is none such."""
    rx_opt = tp.rx_opt
    if optname == TCP_MAXSEG:
        if rx_opt.user_mss != 0 and (tp.sk_state == TCP_CLOSE or tp.sk_state == TCP_LISTEN):
            return rx_opt.user_mss
        return tp.mss_cache
    if optname == TCP_NODELAY:
        return 1 if (tp.nonagle & TCP_NAGLE_OFF) != 0 else 0
    if optname == TCP_CORK:
        return 1 if (tp.nonagle & TCP_NAGLE_CORK) != 0 else 0
    if optname == TCP_KEEPIDLE:
        return keepalive_time_when(tp) // HZ
    if optname == TCP_KEEPINTVL:
        return keepalive_intvl_when(tp) // HZ
    if optname == TCP_KEEPCNT:
        return keepalive_probes(tp)
    if optname == TCP_SYNCNT:
        return tcp_syn_retries_of(tp)
    if optname == TCP_LINGER2:
        if tp.linger2 < 0:
            return tp.linger2
        return tp.linger2 // HZ if tp.linger2 != 0 else sock_net(tp).ipv4.sysctl_tcp_fin_timeout
    if optname == TCP_DEFER_ACCEPT:
        return retrans_to_secs(tp.icsk_accept_queue.rskq_defer_accept)
    if optname == TCP_WINDOW_CLAMP:
        return tp.window_clamp
    if optname == TCP_QUICKACK:
        return 0 if inet_csk_in_pingpong_mode(tp) else 1
    return tcp_option_value_new(tp, optname)


def tcp_option_value_new(tp: TcpSock, optname: int) -> i64:
    """Likewise, for the younger options."""
    if optname == TCP_USER_TIMEOUT:
        return tp.icsk_user_timeout
    if optname == TCP_RTO_MAX_MS:
        return tp.icsk_rto_max
    if optname == TCP_TX_DELAY:
        return tp.tcp_tx_delay
    if optname == TCP_THIN_LINEAR_TIMEOUTS:
        return 1 if tp.thin_lto else 0
    if optname == TCP_THIN_DUPACK:
        return 0
    if optname == TCP_NOTSENT_LOWAT:
        return tp.notsent_lowat
    if optname == TCP_INQ:
        return 1 if tp.recvmsg_inq else 0
    if optname == TCP_SAVE_SYN:
        return tp.save_syn
    if optname == TCP_FASTOPEN:
        return tp.icsk_accept_queue.fastopenq_max_qlen
    if optname == TCP_FASTOPEN_CONNECT:
        return 1 if tp.fastopen_connect else 0
    if optname == TCP_FASTOPEN_NO_COOKIE:
        return 1 if tp.fastopen_no_cookie else 0
    if optname == TCP_TIMESTAMP:
        return (tcp_clock_ns(tp) // 1_000_000 + tp.tsoffset) & U32
    return tcp_times_value(tp, optname)


def do_tcp_getsockopt(tp: TcpSock, optname: int, optlen: int) -> OptResult:
    """Read an option of level SOL_TCP.  Linux: net/ipv4/tcp.c."""
    if optlen < 0:
        return OptResult(-EINVAL, b'')
    if optname == TCP_INFO:
        return OptResult(0, tcp_info_pack(tcp_get_info(tp)))
    if optname == TCP_CC_INFO:
        return OptResult(0, tcp_get_cc_info(tp))
    if optname == TCP_CONGESTION:
        ca = tp.icsk_ca_ops
        name = ca.name if ca is not None else ''
        return OptResult(0, name.encode('latin-1')[:TCP_CA_NAME_MAX].ljust(TCP_CA_NAME_MAX, b'\0'))
    if is_ulp(optname):
        return OptResult(0, b'')
    if optname == TCP_SAVED_SYN:
        saved = tp.saved_syn
        if optlen < len(saved):
            return OptResult(-EINVAL, b'')
        # it can be read once
        tp.saved_syn = b''
        return OptResult(0, saved)
    if optname == TCP_FASTOPEN_KEY:
        ctx = tp.icsk_accept_queue.fastopenq_ctx
        if ctx is None:
            ctx = sock_net(tp).ipv4.tcp_fastopen_ctx
        return OptResult(0, b''.join(ctx.keys)[:optlen] if ctx is not None else b'')
    value = tcp_option_value(tp, optname)
    if value == NO_OPTION:
        return OptResult(-ENOPROTOOPT, b'')
    return OptResult(0, (int(value) & U32).to_bytes(4, 'little'))


def tcp_getsockopt(sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
    """Read an option; the caller cuts it to optlen.  Linux: net/ipv4/tcp.c."""
    if level != SOL_TCP:
        return tcp_sk(sk).icsk_af_ops.getsockopt(sk, level, optname, optlen)
    tp = tcp_sk(sk)
    lock_sock(tp)
    result = do_tcp_getsockopt(tp, optname, optlen)
    release_sock(tp)
    return result
