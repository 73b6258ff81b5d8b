# SPDX-License-Identifier: Apache-2.0
"""The end of a connection as the program brings it about: shutdown, close, abort, and connect to AF_UNSPEC (RFC 9293, 3.10.4).

close() with unread data is a RST, since the peer must learn that it was lost (RFC 2525, 2.17); SO_LINGER with 0 s is a RST too;
otherwise a FIN goes behind the data and the socket becomes an orphan that finishes by itself. In FIN_WAIT2 an orphan is kept
tcp_fin_timeout only, and, but for what exceeds a minute, as a small TIME_WAIT sock.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import __skb_dequeue
from linnet.include.linux.socket import SEND_SHUTDOWN, SHUTDOWN_MASK
from linnet.include.net.inet_connection_sock import inet_csk_delack_init
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.snmp import (
    LINUX_MIB_TCPABORTONCLOSE,
    LINUX_MIB_TCPABORTONDATA,
    LINUX_MIB_TCPABORTONLINGER,
    LINUX_MIB_TCPABORTONMEMORY,
    NET_INC_STATS,
)
from linnet.include.net.sock import (
    SOCK_BINDADDR_LOCK,
    SOCK_DEAD,
    SOCK_DONE,
    SOCK_LINGER,
    Sock,
    sock_flag,
    sock_hold,
    sock_net,
    sock_reset_flag,
)
from linnet.include.net.tcp import (
    TCP_DELACK_MAX,
    TCP_INFINITE_SSTHRESH,
    TCP_INIT_CWND,
    TCP_MIN_MSS,
    TCP_TIMEOUT_INIT,
    TCP_TIMEWAIT_LEN,
    TCPHDR_FIN,
    TFO_STATUS_UNSPEC,
    U32,
    TCP_CA_Open,
    TcpSock,
    tcp_fin_time,
    tcp_sk,
)
from linnet.include.net.tcp_states import (
    TCP_CLOSE,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT1,
    TCP_FIN_WAIT2,
    TCP_LAST_ACK,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_SYN_RECV,
    TCP_SYN_SENT,
    TCPF_CLOSE_WAIT,
    TCPF_ESTABLISHED,
    TCPF_FIN_WAIT1,
    TCPF_FIN_WAIT2,
    TCPF_SYN_RECV,
    TCPF_SYN_SENT,
)
from linnet.kernel.errno import ECONNRESET
from linnet.net.core.request_sock import reqsk_fastopen_remove
from linnet.net.core.skbuff import __kfree_skb, skb_queue_purge
from linnet.net.core.sock import __release_sock, lock_sock, release_sock, sock_orphan, sock_put
from linnet.net.core.stream import sk_stream_wait_close
from linnet.net.ipv4.inet_connection_sock import (
    inet_csk_destroy_sock,
    inet_csk_listen_stop,
    inet_csk_reqsk_queue_drop,
    inet_csk_reset_keepalive_timer,
)
from linnet.net.ipv4.inet_hashtables import inet_bhash2_reset_saddr
from linnet.net.ipv4.tcp import tcp_check_oom, tcp_clear_xmit_timers, tcp_done, tcp_set_state, tcp_write_queue_purge
from linnet.net.ipv4.tcp_cong import tcp_set_ca_state
from linnet.net.ipv4.tcp_fastopen import tcp_fastopen_active_disable_ofo_check, tcp_free_fastopen_req
from linnet.net.ipv4.tcp_output import tcp_clear_retrans, tcp_send_active_reset, tcp_send_fin
from linnet.net.ipv4.tcp_timewait import tcp_time_wait

LINUX_FILE: Final = 'net/ipv4/tcp.c'


def tcp_next_close_state(state: i64) -> i64:
    """The state that a close moves to (RFC 9293, 3.10.4).  Linux: net/ipv4/tcp.c, the table new_state."""
    if state == TCP_ESTABLISHED or state == TCP_SYN_RECV:
        return TCP_FIN_WAIT1
    if state == TCP_CLOSE_WAIT:
        return TCP_LAST_ACK
    if state == TCP_FIN_WAIT1 or state == TCP_FIN_WAIT2 or state == TCP_LAST_ACK or state == TCP_CLOSING:
        return state
    return TCP_CLOSE


def tcp_close_state(sk: TcpSock) -> bool:
    """Move on as a close does; True where a FIN is to be sent.  Linux: net/ipv4/tcp.c."""
    state = sk.sk_state
    next_state = tcp_next_close_state(state)
    tcp_set_state(sk, int(next_state))
    return state == TCP_ESTABLISHED or state == TCP_SYN_RECV or state == TCP_CLOSE_WAIT


def tcp_shutdown(sk: Sock, how: int) -> None:
    """No more will be sent (how has SEND_SHUTDOWN): a FIN goes behind the data.  Linux: net/ipv4/tcp.c."""
    if (how & SEND_SHUTDOWN) == 0:
        return
    tp = tcp_sk(sk)
    if ((1 << tp.sk_state) & (TCPF_ESTABLISHED | TCPF_SYN_SENT | TCPF_CLOSE_WAIT)) != 0 and tcp_close_state(tp):
        tcp_send_fin(tp)


def tcp_drop_unread(sk: TcpSock) -> i64:
    """Free the receive queue; returns how many bytes of it the program had not read."""
    unread: i64 = 0
    while True:
        skb = __skb_dequeue(sk.sk_receive_queue)
        if skb is None:
            return unread
        end_seq = skb.end_seq
        if (skb.tcp_flags & TCPHDR_FIN) != 0:
            end_seq -= 1
        left = (end_seq - sk.copied_seq) & U32
        if 0 < left < 0x80000000:
            unread += left
        __kfree_skb(skb)


def tcp_close_orphan(sk: TcpSock) -> None:
    """What becomes of the connection now that nobody holds it.  Linux: net/ipv4/tcp.c, __tcp_close."""
    net = sock_net(sk)
    if sk.sk_state == TCP_FIN_WAIT2:
        if sk.linger2 < 0:
            tcp_set_state(sk, TCP_CLOSE)
            tcp_send_active_reset(sk)
            NET_INC_STATS(net, LINUX_MIB_TCPABORTONLINGER)
        else:
            tmo = tcp_fin_time(sk)
            if tmo > TCP_TIMEWAIT_LEN:
                inet_csk_reset_keepalive_timer(sk, tmo - TCP_TIMEWAIT_LEN)
            else:
                tcp_time_wait(sk, TCP_FIN_WAIT2, tmo)
                return
    if sk.sk_state != TCP_CLOSE and tcp_check_oom(sk, 0):
        tcp_set_state(sk, TCP_CLOSE)
        tcp_send_active_reset(sk)
        NET_INC_STATS(net, LINUX_MIB_TCPABORTONMEMORY)
    if sk.sk_state == TCP_CLOSE:
        req = sk.fastopen_rsk
        if req is not None:
            # aborted, with unread data for instance, before the handshake was complete
            reqsk_fastopen_remove(sk, req, False)
        inet_csk_destroy_sock(sk)


def __tcp_close(sk: TcpSock, timeout: i64) -> None:
    """Close; timeout: how long to linger, ns. The socket is owned.  Linux: net/ipv4/tcp.c."""
    net = sock_net(sk)
    sk.sk_shutdown = SHUTDOWN_MASK
    if sk.sk_state == TCP_LISTEN:
        tcp_set_state(sk, TCP_CLOSE)
        inet_csk_listen_stop(sk)
    else:
        unread = tcp_drop_unread(sk)
        if sk.sk_state != TCP_CLOSE:
            if unread != 0:
                # RFC 2525, 2.17: the peer must not believe that its data was read
                NET_INC_STATS(net, LINUX_MIB_TCPABORTONCLOSE)
                tcp_set_state(sk, TCP_CLOSE)
                tcp_send_active_reset(sk)
            elif sock_flag(sk, SOCK_LINGER) and sk.sk_lingertime == 0:
                sk.sk_prot.disconnect(sk, 0)
                NET_INC_STATS(net, LINUX_MIB_TCPABORTONDATA)
            elif tcp_close_state(sk):
                tcp_send_fin(sk)
            sk_stream_wait_close(sk, timeout)
    state = sk.sk_state
    sock_hold(sk)
    sock_orphan(sk)
    sk.sk_prot.mem.orphan_count += 1
    # from here on nobody else will work on the backlog
    __release_sock(sk)
    if state == TCP_CLOSE or sk.sk_state != TCP_CLOSE:
        tcp_close_orphan(sk)
    # else: the backlog ended it, tcp_done destroyed it


def tcp_close(sk: Sock, timeout: i64) -> None:
    """close() on the last descriptor.  Linux: net/ipv4/tcp.c."""
    tp = tcp_sk(sk)
    lock_sock(tp)
    __tcp_close(tp, timeout)
    release_sock(tp)
    # the reference that __tcp_close took; the program's own ends with inet_csk_destroy_sock
    sock_put(tp)


def tcp_need_reset(state: i64) -> bool:
    """Must the peer hear of an abort in this state?  Linux: net/ipv4/tcp.c."""
    return ((1 << state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT | TCPF_FIN_WAIT1 | TCPF_FIN_WAIT2 | TCPF_SYN_RECV)) != 0


def tcp_reset_connection_state(sk: TcpSock) -> None:
    """Bring all numbers of a connection back to those of a fresh one. (Part of Linux's tcp_disconnect.)"""
    seq = (sk.write_seq + sk.max_window + 2) & U32
    sk.write_seq = seq if seq != 0 else 1
    sk.srtt_us = 0
    sk.mdev_us = TCP_TIMEOUT_INIT * 1000
    sk.rcv_rtt_last_tsecr = 0
    sk.icsk_backoff = 0
    sk.icsk_probes_out = 0
    sk.icsk_probes_tstamp = 0
    sk.icsk_rto = TCP_TIMEOUT_INIT
    sk.icsk_rto_max = sock_net(sk).ipv4.sysctl_tcp_rto_max_ms
    sk.icsk_rto_min = sock_net(sk).ipv4.sysctl_tcp_rto_min_us // 1000
    sk.icsk_delack_max = TCP_DELACK_MAX
    sk.snd_ssthresh = TCP_INFINITE_SSTHRESH
    sk.snd_cwnd = TCP_INIT_CWND
    sk.snd_cwnd_cnt = 0
    sk.is_cwnd_limited = False
    sk.max_packets_out = 0
    sk.window_clamp = 0
    sk.delivered = 0
    sk.delivered_ce = 0
    tcp_set_ca_state(sk, TCP_CA_Open)
    sk.is_sack_reneg = False
    tcp_clear_retrans(sk)
    sk.total_retrans = 0
    inet_csk_delack_init(sk)
    sk.ack_rcv_mss = TCP_MIN_MSS
    sk.rx_opt.saw_tstamp = False
    sk.rx_opt.dsack = False
    sk.rx_opt.num_sacks = 0
    sk.rx_opt.ts_recent_stamp = 0
    sk.rx_opt.ts_recent = 0
    sk.compressed_ack = 0
    sk.segs_in = 0
    sk.segs_out = 0
    sk.bytes_sent = 0
    sk.bytes_acked = 0
    sk.bytes_received = 0
    sk.bytes_retrans = 0
    sk.data_segs_in = 0
    sk.data_segs_out = 0
    sk.duplicate_sack = []
    sk.selective_acks = []
    sk.recv_sack_cache = []
    sk.dsack_dups = 0
    sk.reord_seen = 0
    sk.retransmit_skb_hint = None
    sk.lost_skb_hint = None
    sk.rcv_ooopack = 0
    sk.app_limited = U32
    sk.rate_app_limited = True
    sk.rack_mstamp = 0
    sk.rack_advanced = False
    sk.rack_reo_wnd_steps = 1
    sk.rack_last_delivered = 0
    sk.rack_reo_wnd_persist = 0
    sk.rack_dsack_seen = False
    sk.syn_data_acked = False
    sk.syn_fastopen = False
    sk.syn_fastopen_exp = False
    sk.syn_data = False


def tcp_disconnect(sk: Sock, flags: int) -> int:
    """End the connection at once and make the socket fit for another connect. 0.  Linux: net/ipv4/tcp.c."""
    tp = tcp_sk(sk)
    old_state = tp.sk_state
    if old_state != TCP_CLOSE:
        tcp_set_state(tp, TCP_CLOSE)
    if old_state == TCP_LISTEN:
        inet_csk_listen_stop(tp)
    elif tcp_need_reset(old_state) or (
        tp.snd_nxt != tp.write_seq and (old_state == TCP_LAST_ACK or old_state == TCP_CLOSING)
    ):
        tcp_send_active_reset(tp)
        tp.sk_err = ECONNRESET
    elif old_state == TCP_SYN_SENT:
        tp.sk_err = ECONNRESET
    tcp_clear_xmit_timers(tp)
    skb_queue_purge(tp.sk_receive_queue)
    tp.copied_seq = tp.rcv_nxt
    tp.urg_data = 0
    tp.sk_peek_off = -1
    tcp_write_queue_purge(tp)
    tcp_fastopen_active_disable_ofo_check(tp)
    skb_queue_purge(tp.out_of_order_queue)
    tp.ooo_last_skb = None
    tp.sk_dport = 0
    if (tp.sk_userlocks & SOCK_BINDADDR_LOCK) == 0:
        inet_bhash2_reset_saddr(tp)
    tp.sk_shutdown = 0
    sock_reset_flag(tp, SOCK_DONE)
    tcp_reset_connection_state(tp)
    tcp_free_fastopen_req(tp)
    tp.defer_connect = False
    tp.fastopen_client_fail = TFO_STATUS_UNSPEC
    tp.sk_dst_cache = None
    tp.sk_rx_dst = None
    tp.sk_cb.error_report(tp)
    return 0


def tcp_abort(sk: Sock, err: int) -> int:
    """End a connection, request or listener from outside (ss -K); err is what its program gets. 0.  Linux: net/ipv4/tcp.c."""
    if sk.sk_state == TCP_NEW_SYN_RECV:
        assert isinstance(sk, RequestSock)
        listener = sk.rsk_listener
        if listener is not None:
            inet_csk_reqsk_queue_drop(listener, sk)
        return 0
    tp = tcp_sk(sk)
    lock_sock(tp)
    if tp.sk_state == TCP_LISTEN:
        tcp_set_state(tp, TCP_CLOSE)
        inet_csk_listen_stop(tp)
    if not sock_flag(tp, SOCK_DEAD):
        if tcp_need_reset(tp.sk_state):
            tcp_send_active_reset(tp)
        tp.sk_err = err
        tp.sk_cb.error_report(tp)
        tcp_write_queue_purge(tp)
        tcp_done(tp)
    release_sock(tp)
    return 0
