# SPDX-License-Identifier: Apache-2.0
"""The ACK that brings a SYN cookie back (syncookies.py): the request that nobody kept is made anew, and of it the child."""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.request_sock import RequestSock, RequestSockOps
from linnet.include.net.snmp import LINUX_MIB_SYNCOOKIESFAILED, LINUX_MIB_SYNCOOKIESRECV, NET_INC_STATS
from linnet.include.net.sock import Sock, sock_net
from linnet.include.net.tcp import TCPHDR_ACK, TCPHDR_RST, U32, TcpOptionsReceived, TcpSock
from linnet.include.net.tcp_states import TCP_NEW_SYN_RECV
from linnet.net.core.request_sock import reqsk_alloc, reqsk_put
from linnet.net.core.sock import sock_put
from linnet.net.ipv4.inet_connection_sock import inet_csk_reqsk_queue_add
from linnet.net.ipv4.syncookies import (
    MSSTAB,
    cookie_check_sequence,
    cookie_ecn_ok,
    cookie_timestamp_decode,
    tcp_synq_no_recent_overflow,
)
from linnet.net.ipv4.tcp_input_opt import tcp_parse_options
from linnet.net.ipv4.tcp_minisocks import tcp_openreq_init_rwin

LINUX_FILE: Final = 'net/ipv4/syncookies.c'


def tcp_get_cookie_sock(sk: TcpSock, skb: SkBuff, req: RequestSock) -> Sock | None:
    """The child of a handshake that nobody remembered, in the accept queue; None where there is no room.

    Linux: net/ipv4/syncookies.c.
    """
    child = sk.icsk_af_ops.syn_recv_sock(sk, skb, req, None)
    if child is None:
        reqsk_put(req)
        return None
    assert isinstance(child, TcpSock)
    if inet_csk_reqsk_queue_add(sk, req, child) is None:
        sock_put(child)
        reqsk_put(req)
        return None
    return child


def cookie_tcp_reqsk(
    ops: RequestSockOps, sk: TcpSock, skb: SkBuff, opt: TcpOptionsReceived, mss: i64, ts_off: i64,
) -> RequestSock:
    """The request as the SYN would have made it.  Linux: net/ipv4/syncookies.c, cookie_tcp_reqsk_alloc and _init."""
    req = reqsk_alloc(ops, sk)
    req.sk_state = TCP_NEW_SYN_RECV
    req.syncookie = True
    req.rcv_isn = (skb.seq - 1) & U32
    req.rcv_nxt = skb.seq
    req.snt_isn = (skb.ack_seq - 1) & U32
    req.mss = mss
    req.ir_num = skb.dport
    req.ir_rmt_port = skb.sport
    req.sk_num = skb.dport
    req.sk_dport = skb.sport
    req.ir_mark = sk.sk_mark
    req.ir_iif = skb.skb_iif
    req.sk_bound_dev_if = sk.sk_bound_dev_if
    req.snd_wscale = opt.snd_wscale
    req.sack_ok = opt.sack_ok != 0
    req.wscale_ok = opt.wscale_ok
    req.tstamp_ok = opt.saw_tstamp
    req.ts_recent = opt.rcv_tsval if opt.saw_tstamp else 0
    req.ts_off = ts_off
    req.ecn_ok = cookie_ecn_ok(sock_net(sk), opt)
    req.txhash = sock_net(sk).random.u32() | 1
    ops.init_req(req, sk, skb)
    return req


def cookie_v4_check(ops: RequestSockOps, sk: TcpSock, skb: SkBuff) -> Sock | None:
    """A segment for listener sk, of no handshake known: the child where it brings a cookie back, else sk; None: drop it.

    Linux: net/ipv4/syncookies.c.
    """
    return cookie_check(ops, sk, skb, MSSTAB)


def cookie_check(ops: RequestSockOps, sk: TcpSock, skb: SkBuff, msstab: tuple[int, int, int, int]) -> Sock | None:
    """The part that IPv4 and IPv6 share."""
    net = sock_net(sk)
    if (skb.tcp_flags & (TCPHDR_ACK | TCPHDR_RST)) != TCPHDR_ACK or net.ipv4.sysctl_tcp_syncookies == 0:
        return sk
    if tcp_synq_no_recent_overflow(sk):
        return sk
    mss = cookie_check_sequence(net, skb, msstab)
    if mss == 0:
        NET_INC_STATS(net, LINUX_MIB_SYNCOOKIESFAILED)
        return sk
    NET_INC_STATS(net, LINUX_MIB_SYNCOOKIESRECV)
    opt = TcpOptionsReceived()
    tcp_parse_options(net, skb, opt, False)
    ts_off: i64 = 0
    if opt.saw_tstamp and opt.rcv_tsecr != 0:
        ts_off = ops.init_ts_off(sk, skb)
        opt.rcv_tsecr = (opt.rcv_tsecr - ts_off) & U32
    if not cookie_timestamp_decode(net, opt):
        return None
    req = cookie_tcp_reqsk(ops, sk, skb, opt, mss, ts_off)
    dst = ops.route_req(sk, req)
    if dst is None:
        reqsk_put(req)
        return None
    tcp_openreq_init_rwin(req, sk, dst)
    return tcp_get_cookie_sock(sk, skb, req)
