# SPDX-License-Identifier: Apache-2.0
"""A SYN comes to a listener: tcp_conn_request makes a request of it, hashes it and sends the SYN-ACK.

It is turned away where the accept queue is full (ListenOverflows) or too many handshakes are open (TCPReqQFullDrop); either
counts as ListenDrops, and the client will send its SYN again. With net.ipv4.tcp_syncookies, as is usual, too many open
handshakes are no reason to turn it away: it is answered by a cookie and not remembered (syncookies.py). A SYN with data and a
Fast Open cookie makes the connection at once (tcp_fastopen_serv.py).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.ip import INET_ECN_MASK
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_IP_OUTNOROUTES,
    SKB_DROP_REASON_TCP_LISTEN_OVERFLOW,
    SKB_DROP_REASON_TCP_REQQFULL,
)
from linnet.include.net.dst import DstEntry
from linnet.include.net.request_sock import RequestSock, RequestSockOps, TcpFastopenCookie
from linnet.include.net.snmp import (
    LINUX_MIB_LISTENOVERFLOWS,
    LINUX_MIB_TCPREQQFULLDOCOOKIES,
    LINUX_MIB_TCPREQQFULLDROP,
    NET_INC_STATS,
)
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    TCP_TIMEOUT_INIT,
    TCPHDR_CWR,
    TCPHDR_ECE,
    U32,
    TcpOptionsReceived,
    TcpSock,
)
from linnet.include.net.tcp_states import TCP_NEW_SYN_RECV
from linnet.net.core.request_sock import reqsk_alloc, reqsk_free, reqsk_put, sk_acceptq_is_full
from linnet.net.core.sock import sock_put
from linnet.net.ipv4.inet_connection_sock import (
    count_listen_drop,
    inet_csk_reqsk_queue_add,
    inet_csk_reqsk_queue_hash_add,
)
from linnet.net.ipv4.tcp_cong import tcp_ca_needs_ecn
from linnet.net.ipv4.tcp_fastopen_serv import tcp_try_fastopen
from linnet.net.ipv4.tcp_input_opt import tcp_clear_options, tcp_parse_options
from linnet.net.ipv4.tcp_metrics import tcp_peer_is_proven
from linnet.net.ipv4.tcp_minisocks import tcp_openreq_init_rwin

LINUX_FILE: Final = 'net/ipv4/tcp_input.c'


def inet_reqsk_alloc(ops: RequestSockOps, sk_listener: TcpSock) -> RequestSock:
    """A request in TCP_NEW_SYN_RECV.  Linux: net/ipv4/tcp_input.c."""
    req = reqsk_alloc(ops, sk_listener)
    req.sk_state = TCP_NEW_SYN_RECV
    req.timeout = TCP_TIMEOUT_INIT
    return req


def tcp_openreq_init(req: RequestSock, opt: TcpOptionsReceived, skb: SkBuff, sk: TcpSock) -> None:
    """Take what the SYN says.  Linux: net/ipv4/tcp_input.c."""
    req.rsk_rcv_wnd = 0
    req.rcv_isn = skb.seq
    req.rcv_nxt = (skb.seq + 1) & U32
    req.snt_synack = -1
    req.last_oow_ack_time = 0
    req.mss = opt.mss_clamp
    req.ts_recent = opt.rcv_tsval if opt.saw_tstamp else 0
    req.tstamp_ok = opt.tstamp_ok
    req.sack_ok = opt.sack_ok != 0
    req.snd_wscale = opt.snd_wscale
    req.wscale_ok = opt.wscale_ok
    req.acked = False
    req.ecn_ok = False
    req.ir_rmt_port = skb.sport
    req.ir_num = skb.dport
    req.sk_dport = skb.sport
    req.sk_num = skb.dport
    req.syn_tos = skb.tos
    req.ir_mark = sk.sk_mark
    req.sk_bound_dev_if = sk.sk_bound_dev_if


def tcp_ecn_create_request(req: RequestSock, skb: SkBuff, sk: TcpSock) -> None:
    """Does the SYN ask for ECN, and do we agree?  Linux: net/ipv4/tcp_input.c.  RFC 3168, 6.1.1."""
    want: i64 = TCPHDR_ECE | TCPHDR_CWR
    if (skb.tcp_flags & want) != want:
        return
    # a SYN that is ECN-capable itself is against RFC 3168, but DCTCP's are so (RFC 8257, 3.6)
    if ((skb.tos & INET_ECN_MASK) == 0 and sock_net(sk).ipv4.sysctl_tcp_ecn != 0) or tcp_ca_needs_ecn(sk):
        req.ecn_ok = True


def tcp_reqsk_record_syn(sk: TcpSock, req: RequestSock, skb: SkBuff) -> None:
    """TCP_SAVE_SYN: keep the headers of the SYN (2: with the link header).  Linux: net/ipv4/tcp_input.c."""
    if sk.save_syn == 0:
        return
    start = skb.network_header
    if sk.save_syn == 2 and skb.mac_header >= 0:
        start = skb.mac_header
    if start >= 0:
        req.saved_syn = skb.head[start:skb.transport_header + skb.tcp_doff]


def inet_csk_reqsk_queue_is_full(sk: TcpSock) -> bool:
    """Are more handshakes open than the backlog allows?  Linux: include/net/inet_connection_sock.h."""
    return sk.icsk_accept_queue.qlen > sk.sk_max_ack_backlog


def tcp_syn_flood_action(sk: TcpSock) -> bool:
    """Too many handshakes are open: shall the SYN be answered by a cookie? Else it is dropped.  Linux: net/ipv4/tcp_input.c."""
    net = sock_net(sk)
    sk.icsk_accept_queue.synflood_warned = True
    if net.ipv4.sysctl_tcp_syncookies != 0:
        NET_INC_STATS(net, LINUX_MIB_TCPREQQFULLDOCOOKIES)
        return True
    NET_INC_STATS(net, LINUX_MIB_TCPREQQFULLDROP)
    return False


def tcp_syn_backlog_short(sk: TcpSock, skb: SkBuff) -> bool:
    """Without cookies, is the last quarter of tcp_max_syn_backlog begun? It is for peers that are known to exist.

    Part of Linux's tcp_conn_request.
    """
    net = sock_net(sk)
    if net.ipv4.sysctl_tcp_syncookies != 0:
        return False
    backlog = net.ipv4.sysctl_tcp_max_syn_backlog
    if backlog - sk.icsk_accept_queue.qlen >= backlog >> 2:
        return False
    return not tcp_peer_is_proven(net, skb)


def tcp_conn_request(rsk_ops: RequestSockOps, sk: TcpSock, skb: SkBuff) -> int:
    """Begin a handshake for the SYN skb, which stays the caller's. 0, or the reason why it was turned away.

    Linux: net/ipv4/tcp_input.c.
    """
    net = sock_net(sk)
    isn = skb.tcp_tw_isn  # not 0: a TIME_WAIT sock let it pass, so the peer is real
    want_cookie = False
    if isn == 0 and (net.ipv4.sysctl_tcp_syncookies == 2 or inet_csk_reqsk_queue_is_full(sk)):
        want_cookie = tcp_syn_flood_action(sk)
        if not want_cookie:
            count_listen_drop(sk)
            return SKB_DROP_REASON_TCP_REQQFULL
    if sk_acceptq_is_full(sk):
        NET_INC_STATS(net, LINUX_MIB_LISTENOVERFLOWS)
        count_listen_drop(sk)
        return SKB_DROP_REASON_TCP_LISTEN_OVERFLOW
    req = inet_reqsk_alloc(rsk_ops, sk)
    req.syncookie = want_cookie
    opt = TcpOptionsReceived()
    opt.mss_clamp = rsk_ops.mss_clamp
    opt.user_mss = sk.rx_opt.user_mss
    foc = TcpFastopenCookie()
    if not want_cookie:
        opt.foc = foc
    tcp_parse_options(net, skb, opt, False)
    if want_cookie and not opt.saw_tstamp:
        # there is no place to note the options in
        mss_clamp = opt.mss_clamp
        tcp_clear_options(opt)
        opt.mss_clamp = mss_clamp
    opt.tstamp_ok = opt.saw_tstamp
    tcp_openreq_init(req, opt, skb, sk)
    req.no_srccheck = sk.transparent
    req.ir_iif = skb.skb_iif
    rsk_ops.init_req(req, sk, skb)
    dst = rsk_ops.route_req(sk, req)
    if dst is None:
        reqsk_free(req)
        count_listen_drop(sk)
        return SKB_DROP_REASON_IP_OUTNOROUTES
    if opt.tstamp_ok:
        req.ts_off = rsk_ops.init_ts_off(sk, skb)
    if not want_cookie and isn == 0:
        if tcp_syn_backlog_short(sk, skb):
            reqsk_free(req)
            count_listen_drop(sk)
            return SKB_DROP_REASON_TCP_REQQFULL
        isn = rsk_ops.init_seq(skb)
    tcp_ecn_create_request(req, skb, sk)
    req.txhash = net.random.u32() | 1
    if want_cookie:
        tcp_conn_cookie(rsk_ops, sk, skb, req, dst, foc)
        return 0
    req.snt_isn = isn
    tcp_openreq_init_rwin(req, sk, dst)
    tcp_reqsk_record_syn(sk, req, skb)
    fastopen_sk = tcp_try_fastopen(sk, skb, req, foc, dst)
    if fastopen_sk is not None:
        rsk_ops.send_synack(fastopen_sk, dst, req, foc, skb)
        tcp_conn_fastopen(sk, req, fastopen_sk)
    else:
        inet_csk_reqsk_queue_hash_add(sk, req, req.timeout)
        rsk_ops.send_synack(sk, dst, req, foc, skb)
    reqsk_put(req)
    return 0


def tcp_conn_cookie(
    rsk_ops: RequestSockOps, sk: TcpSock, skb: SkBuff, req: RequestSock, dst: DstEntry, foc: TcpFastopenCookie,
) -> None:
    """Answer the SYN by a cookie, and forget it. Part of Linux's tcp_conn_request."""
    cookie = rsk_ops.cookie_init_seq(sk, skb, req.mss)
    req.snt_isn = cookie.isn
    req.mss = cookie.mss
    if not req.tstamp_ok:
        req.ecn_ok = False
    tcp_openreq_init_rwin(req, sk, dst)
    rsk_ops.send_synack(sk, dst, req, foc, skb)
    reqsk_free(req)


def tcp_conn_fastopen(sk: TcpSock, req: RequestSock, child: TcpSock) -> None:
    """A Fast Open child can be accepted at once. Part of Linux's tcp_conn_request."""
    # listening goes on: nothing can have come between, so there is a place in the queue
    inet_csk_reqsk_queue_add(sk, req, child)
    sk.sk_cb.data_ready(sk)
    sock_put(child)
