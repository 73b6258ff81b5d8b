# SPDX-License-Identifier: Apache-2.0
"""The low half of TCP: the birth and death of a connection's state, its queues and its send memory.

tcp_set_state is the one place where the state of a connection moves: it counts, traces, and lets go of port and hash place on the
way to CLOSE. Sent data lives in two queues: sk_write_queue holds what was never sent, tcp_rtx_queue what was sent and is not
acknowledged; an skb moves from the one to the other when it is sent first, so both stay in order of sequence. An skb of either
is a super-segment of up to 64 KB whose payload is slices of the program's own bytes.

The send and receive calls stand above the input and output code: tcp_sendmsg.py, tcp_recvmsg.py, tcp_close.py, tcp_sockopt.py.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import (
    MAX_TCP_HEADER,
    SIZEOF_SK_BUFF,
    SIZEOF_SKB_SHARED_INFO,
    SkBuff,
    __skb_dequeue,
    __skb_queue_tail,
    __skb_unlink,
)
from linnet.include.linux.socket import RCV_SHUTDOWN, SEND_SHUTDOWN, SHUTDOWN_MASK, SIOCATMARK, SIOCINQ, SIOCOUTQ
from linnet.include.net.inet_connection_sock import InetConnectionSock
from linnet.include.net.request_sock import reqsk_queue_empty
from linnet.include.net.snmp import (
    LINUX_MIB_TCPMEMORYPRESSURES,
    LINUX_MIB_TCPMEMORYPRESSURESCHRONO,
    NET_ADD_STATS,
    NET_INC_STATS,
    TCP_MIB_ATTEMPTFAILS,
    TCP_MIB_CURRESTAB,
    TCP_MIB_ESTABRESETS,
)
from linnet.include.net.sock import (
    SOCK_ASYNC_NOSPACE,
    SOCK_BINDPORT_LOCK,
    SOCK_DEAD,
    SOCK_DONE,
    SOCK_MIN_SNDBUF,
    SOCK_NOSPACE,
    SOCK_URGINLINE,
    Sock,
    Socket,
    sock_net,
)
from linnet.include.net.tcp import (
    TCP_CHRONO_BUSY,
    TCP_DELACK_MAX,
    TCP_INFINITE_SSTHRESH,
    TCP_INIT_CWND,
    TCP_MSS_DEFAULT,
    TCP_TIMEOUT_INIT,
    TCP_URG_VALID,
    TCPHDR_PSH,
    U32,
    TcpSock,
    after,
    before,
    tcp_receive_window,
    tcp_sk,
    tcp_tsorted_del,
)
from linnet.include.net.tcp_states import (
    TCP_CLOSE,
    TCP_CLOSE_WAIT,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_SYN_RECV,
    TCP_SYN_SENT,
    TCPF_SYN_RECV,
    TCPF_SYN_SENT,
)
from linnet.kernel.errno import EINVAL, ENOIOCTLCMD
from linnet.kernel.file import File, poll_wait
from linnet.kernel.poll import (
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLPRI,
    EPOLLRDHUP,
    EPOLLRDNORM,
    EPOLLWRNORM,
)
from linnet.kernel.select import PollTable
from linnet.net.core.request_sock import reqsk_fastopen_remove
from linnet.net.core.skbuff import __kfree_skb, alloc_skb
from linnet.net.core.sock import (
    sk_forced_mem_schedule,
    sk_mem_charge,
    sk_mem_uncharge,
    sk_stop_timer,
    sk_stream_moderate_sndbuf,
    sk_wmem_schedule,
)
from linnet.net.core.stream import __sk_stream_is_writeable
from linnet.net.ipv4.inet_connection_sock import inet_csk_clear_xmit_timers, inet_csk_destroy_sock
from linnet.net.ipv4.inet_hashtables import inet_put_port
from linnet.net.ipv4.inet_state import inet_sk_state_store
from linnet.net.ipv4.tcp_chrono import tcp_chrono_start, tcp_chrono_stop
from linnet.net.ipv4.tcp_cong import tcp_assign_congestion_control

SIOCOUTQNSD: Final = 0x894B

# What an skb without payload costs: Linux takes it from the cache of small heads, 384 bytes of buffer.
TCP_SKB_TRUESIZE: Final = 384 + SIZEOF_SK_BUFF + SIZEOF_SKB_SHARED_INFO


def tcp_scaling_ratio_init(tp: TcpSock) -> None:
    """Assume that half of a receive buffer is payload until segments tell better.  Linux: include/net/tcp.h."""
    tp.scaling_ratio = 128


def tcp_init_sock(sk: Sock) -> None:
    """Give a new sock TCP's defaults. Timers are made by tcp_init_xmit_timers, which the caller calls next.

    Linux: net/ipv4/tcp.c.
    """
    tp = tcp_sk(sk)
    ipv4 = sock_net(sk).ipv4
    tp.icsk_rto = TCP_TIMEOUT_INIT
    tp.icsk_rto_max = ipv4.sysctl_tcp_rto_max_ms
    tp.icsk_rto_min = ipv4.sysctl_tcp_rto_min_us // 1000
    tp.icsk_delack_max = TCP_DELACK_MAX
    tp.mdev_us = TCP_TIMEOUT_INIT * 1000
    tp.rtt_min = -1
    tp.snd_cwnd = TCP_INIT_CWND
    # until it has sent a flight, a connection is limited by its program
    tp.app_limited = U32
    tp.rate_app_limited = True
    tp.snd_ssthresh = TCP_INFINITE_SSTHRESH
    tp.snd_cwnd_clamp = U32
    tp.mss_cache = TCP_MSS_DEFAULT
    tp.reordering = ipv4.sysctl_tcp_reordering
    tcp_assign_congestion_control(tp)
    tp.tsoffset = 0
    tp.rack_reo_wnd_steps = 1
    tp.sk_pacing_rate = tp.sk_max_pacing_rate  # until an RTT was measured
    tp.sk_sndbuf = ipv4.sysctl_tcp_wmem[1]
    tp.sk_rcvbuf = ipv4.sysctl_tcp_rmem[1]
    tcp_scaling_ratio_init(tp)
    tp.sk_prot.mem.sockets_allocated += 1


def tcp_set_state(sk: Sock, state: int) -> None:
    """Move the connection to `state`, TCP_*: the one place where it does.  Linux: net/ipv4/tcp.c."""
    oldstate = sk.sk_state
    net = sock_net(sk)
    if state == TCP_ESTABLISHED:
        if oldstate != TCP_ESTABLISHED:
            NET_INC_STATS(net, TCP_MIB_CURRESTAB)
    elif state == TCP_CLOSE_WAIT:
        if oldstate == TCP_SYN_RECV:
            NET_INC_STATS(net, TCP_MIB_CURRESTAB)
    else:
        if state == TCP_CLOSE:
            if oldstate == TCP_CLOSE_WAIT or oldstate == TCP_ESTABLISHED:
                NET_INC_STATS(net, TCP_MIB_ESTABRESETS)
            sk.sk_prot.unhash(sk)
            if isinstance(sk, InetConnectionSock) and sk.icsk_bind_hash is not None:
                if (sk.sk_userlocks & SOCK_BINDPORT_LOCK) == 0:
                    inet_put_port(sk)
        if oldstate == TCP_ESTABLISHED or oldstate == TCP_CLOSE_WAIT:
            net.mib.counters[TCP_MIB_CURRESTAB] -= 1
    # the state moves after the hash tables were left: a closed sock is in none
    if state == TCP_SYN_SENT:
        inet_sk_state_store(sk, TCP_SYN_SENT)  # walk: state sk->sk_state = TCP_SYN_SENT
    else:
        inet_sk_state_store(sk, state)


def tcp_clear_xmit_timers(sk: TcpSock) -> None:
    """Stop every timer that sends.  Linux: include/net/tcp.h."""
    timer = sk.pacing_timer
    if timer is not None:
        sk_stop_timer(sk, timer)
    timer = sk.compressed_ack_timer
    if timer is not None:
        sk_stop_timer(sk, timer)
    inet_csk_clear_xmit_timers(sk)


def tcp_done(sk: Sock) -> None:
    """The connection is over: close it, and destroy the sock if no program holds it any more.  Linux: net/ipv4/tcp.c."""
    tp = tcp_sk(sk)
    if tp.sk_state == TCP_SYN_SENT or tp.sk_state == TCP_SYN_RECV:
        NET_INC_STATS(sock_net(tp), TCP_MIB_ATTEMPTFAILS)
    tcp_set_state(tp, TCP_CLOSE)
    tcp_clear_xmit_timers(tp)
    req = tp.fastopen_rsk
    if req is not None:
        reqsk_fastopen_remove(tp, req, False)
    tp.sk_shutdown = SHUTDOWN_MASK
    if (tp.sk_flags & SOCK_DEAD) == 0:
        tp.sk_cb.state_change(tp)
    else:
        inet_csk_destroy_sock(tp)


def sk_stream_alloc_skb(sk: TcpSock, force_schedule: bool) -> SkBuff | None:
    """An empty skb to collect payload for sending, its memory charged; None where TCP's memory is used up.

    Linux: net/ipv4/tcp.c, tcp_stream_alloc_skb since 5.17.
    """
    skb = alloc_skb(sock_net(sk).world, MAX_TCP_HEADER)
    skb.truesize = TCP_SKB_TRUESIZE
    if force_schedule:
        sk_forced_mem_schedule(sk, TCP_SKB_TRUESIZE)
        return skb
    if sk_wmem_schedule(sk, TCP_SKB_TRUESIZE):
        return skb
    __kfree_skb(skb)
    tcp_enter_memory_pressure(sk)
    sk_stream_moderate_sndbuf(sk)
    return None


def tcp_enter_memory_pressure(sk: Sock) -> None:
    """All TCP sockets together use more than tcp_mem's second limit.  Linux: net/ipv4/tcp.c."""
    prot = sk.sk_prot
    if prot.mem.memory_pressure:
        return
    net = sock_net(sk)
    prot.mem.memory_pressure = True
    net.ipv4.tcp_memory_pressure_since = net.clock.now
    NET_INC_STATS(net, LINUX_MIB_TCPMEMORYPRESSURES)


def tcp_leave_memory_pressure(sk: Sock) -> None:
    """They use less than its first limit again. Counts how long it lasted, ms.  Linux: net/ipv4/tcp.c."""
    prot = sk.sk_prot
    if not prot.mem.memory_pressure:
        return
    net = sock_net(sk)
    prot.mem.memory_pressure = False
    NET_ADD_STATS(net, LINUX_MIB_TCPMEMORYPRESSURESCHRONO, (net.clock.now - net.ipv4.tcp_memory_pressure_since) // 1_000_000)


def tcp_under_memory_pressure(sk: Sock) -> bool:
    """Linux: include/net/tcp.h."""
    return sk.sk_prot.mem.memory_pressure


def tcp_wmem_free_skb(sk: TcpSock, skb: SkBuff) -> None:
    """End an skb of the send queues and give its memory back.  Linux: include/net/tcp.h."""
    sk.sk_wmem_queued -= skb.truesize
    sk_mem_uncharge(sk, skb.truesize)
    __kfree_skb(skb)


def tcp_rtx_queue_unlink_and_free(skb: SkBuff, sk: TcpSock) -> None:
    """skb is acknowledged: take it out of the retransmission queue and end it.  Linux: include/net/tcp.h."""
    if sk.highest_sack is skb:
        sk.highest_sack = skb.next
    if sk.retransmit_skb_hint is skb:
        sk.retransmit_skb_hint = skb.next
    if sk.lost_skb_hint is skb:
        sk.lost_skb_hint = None
    if skb.tsorted:
        tcp_tsorted_del(sk, skb)
    __skb_unlink(skb, sk.tcp_rtx_queue)
    tcp_wmem_free_skb(sk, skb)


def tcp_rtx_queue_purge(sk: TcpSock) -> None:
    """Forget everything that waits for an ACK.  Linux: net/ipv4/tcp.c."""
    sk.highest_sack = None
    sk.retransmit_skb_hint = None
    sk.lost_skb_hint = None
    while True:
        skb = __skb_dequeue(sk.tcp_rtx_queue)
        if skb is None:
            return
        tcp_tsorted_del(sk, skb)
        tcp_wmem_free_skb(sk, skb)


def tcp_write_queue_purge(sk: TcpSock) -> None:
    """Forget everything that was to be sent or sent again.  Linux: net/ipv4/tcp.c."""
    tcp_chrono_stop(sk, TCP_CHRONO_BUSY)
    while True:
        skb = __skb_dequeue(sk.sk_write_queue)
        if skb is None:
            break
        tcp_wmem_free_skb(sk, skb)
    tcp_rtx_queue_purge(sk)
    sk.packets_out = 0
    sk.icsk_backoff = 0


def tcp_mark_push(tp: TcpSock, skb: SkBuff) -> None:
    """The receiver shall hand on what it has when it sees this skb (RFC 9293, 3.9.1.2).  Linux: net/ipv4/tcp.c."""
    skb.tcp_flags |= TCPHDR_PSH
    tp.pushed_seq = tp.write_seq


def forced_push(tp: TcpSock) -> bool:
    """Was more than half of the peer's largest window written since the last PSH?  Linux: net/ipv4/tcp.c."""
    return after(tp.write_seq, (tp.pushed_seq + (tp.max_window >> 1)) & U32)


def tcp_epollin_ready(tp: TcpSock, target: i64) -> bool:
    """Are `target` bytes there to read, or is the receive buffer about to be full?  Linux: include/net/tcp.h."""
    avail = (tp.rcv_nxt - tp.copied_seq) & U32
    if avail == 0 or avail >= 0x80000000:
        return False
    if avail >= target:
        return True
    if tcp_rmem_pressure(tp):
        return True
    return tcp_receive_window(tp) <= tp.ack_rcv_mss


def tcp_rmem_pressure(tp: TcpSock) -> bool:
    """Is the receive buffer seven eighths full?  Linux: include/net/tcp.h."""
    if tcp_under_memory_pressure(tp):
        return True
    return tp.sk_rmem_alloc > tp.sk_rcvbuf - (tp.sk_rcvbuf >> 3)


def inet_csk_listen_poll(sk: TcpSock) -> int:
    """A listener is readable when a connection waits.  Linux: include/net/inet_connection_sock.h."""
    return 0 if reqsk_queue_empty(sk.icsk_accept_queue) else EPOLLIN | EPOLLRDNORM


def tcp_poll(file: File, sock: Socket, wait: PollTable | None) -> int:
    """The events that hold now.  Linux: net/ipv4/tcp.c."""
    sk = sock.sk
    assert isinstance(sk, TcpSock)
    poll_wait(file, sock.wq, wait)
    state = sk.sk_state
    if state == TCP_LISTEN:
        return inet_csk_listen_poll(sk)
    mask = 0
    shutdown = sk.sk_shutdown
    if shutdown == SHUTDOWN_MASK or state == TCP_CLOSE:
        mask |= EPOLLHUP
    if (shutdown & RCV_SHUTDOWN) != 0:
        mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP
    if state != TCP_SYN_SENT and (state != TCP_SYN_RECV or sk.fastopen_rsk is not None):
        target = sk.sk_rcvlowat if sk.sk_rcvlowat > 0 else 1
        if sk.urg_data != 0 and sk.urg_seq == sk.copied_seq and (sk.sk_flags & SOCK_URGINLINE) == 0:
            target += 1
        if tcp_epollin_ready(sk, target):
            mask |= EPOLLIN | EPOLLRDNORM
        if (shutdown & SEND_SHUTDOWN) != 0 or __sk_stream_is_writeable(sk, 1):
            mask |= EPOLLOUT | EPOLLWRNORM
        else:
            sock.flags |= SOCK_NOSPACE | SOCK_ASYNC_NOSPACE
        if (sk.urg_data & TCP_URG_VALID) != 0:
            mask |= EPOLLPRI
    elif state == TCP_SYN_SENT and sk.defer_connect:
        # a connect put off until the first write: writing is what it waits for
        mask |= EPOLLOUT | EPOLLWRNORM
    if sk.sk_err != 0 or sk.sk_error_queue.next is not None:
        mask |= EPOLLERR
    return mask


def tcp_inq(sk: TcpSock) -> i64:
    """Bytes that a receive would find, up to the urgent mark.  Linux: include/net/tcp.h."""
    if ((1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) != 0:
        return 0
    if (
        (sk.sk_flags & SOCK_URGINLINE) != 0
        or sk.urg_data == 0
        or before(sk.urg_seq, sk.copied_seq)
        or not before(sk.urg_seq, sk.rcv_nxt)
    ):
        answ = (sk.rcv_nxt - sk.copied_seq) & U32
        if answ != 0 and (sk.sk_flags & SOCK_DONE) != 0:
            answ -= 1  # the FIN took a sequence number
        return answ
    return (sk.urg_seq - sk.copied_seq) & U32


def tcp_ioctl(sk: Sock, cmd: int, arg: int) -> int:
    """SIOCINQ, SIOCOUTQ, SIOCOUTQNSD: bytes to read, not acknowledged, not sent; SIOCATMARK. Answer or negative errno.

    Linux: net/ipv4/tcp.c.
    """
    tp = tcp_sk(sk)
    if cmd == SIOCATMARK:
        return 1 if tp.urg_data != 0 and tp.urg_seq == tp.copied_seq else 0
    if cmd != SIOCINQ and cmd != SIOCOUTQ and cmd != SIOCOUTQNSD:
        return -ENOIOCTLCMD
    if tp.sk_state == TCP_LISTEN:
        return -EINVAL
    if cmd == SIOCINQ:
        return int(tcp_inq(tp))
    if ((1 << tp.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) != 0:
        return 0
    if cmd == SIOCOUTQ:
        return int((tp.write_seq - tp.snd_una) & U32)
    return int((tp.write_seq - tp.snd_nxt) & U32)


def tcp_add_write_queue_tail(sk: TcpSock, skb: SkBuff) -> None:
    """Queue skb behind what waits to be sent.  Linux: include/net/tcp.h."""
    queue = sk.sk_write_queue
    __skb_queue_tail(queue, skb)
    if queue.next is skb:
        tcp_chrono_start(sk, TCP_CHRONO_BUSY)


def skb_charge(sk: TcpSock, skb: SkBuff) -> None:
    """Account a queued skb to the socket's send memory."""
    sk.sk_wmem_queued += skb.truesize
    sk_mem_charge(sk, skb.truesize)


def tcp_check_oom(sk: TcpSock, shift: int) -> bool:
    """Are there too many orphans, or is TCP's memory used up, so that an orphan is better reset?  Linux: net/ipv4/tcp.c."""
    net = sock_net(sk)
    prot = sk.sk_prot
    if (prot.mem.orphan_count << shift) > net.ipv4.sysctl_tcp_max_orphans:
        return True
    return sk.sk_wmem_queued > SOCK_MIN_SNDBUF and prot.mem.memory_allocated > net.ipv4.sysctl_tcp_mem[2]
