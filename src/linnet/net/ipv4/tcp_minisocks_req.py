# SPDX-License-Identifier: Apache-2.0
"""A segment for a connection request: a repeated SYN, an old duplicate, a RST, or the ACK that completes the handshake.

Then the child is made. A child of Fast Open is there before its handshake is complete; its segments pass here too, until it is
(tcp_check_req with fastopen), so that they are held to the same rules. Below tcp_input, which asks for that.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.net_namespace import Net
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.snmp import (
    LINUX_MIB_EMBRYONICRSTS,
    LINUX_MIB_PAWSESTAB,
    LINUX_MIB_TCPACKSKIPPEDSYNRECV,
    LINUX_MIB_TCPDEFERACCEPTDROP,
    LINUX_MIB_TSECRREJECTED,
    NET_INC_STATS,
    TCP_MIB_ATTEMPTFAILS,
)
from linnet.include.net.sock import Sock, sock_net
from linnet.include.net.tcp import (
    TCPHDR_ACK,
    TCPHDR_RST,
    TCPHDR_SYN,
    U32,
    TcpOptionsReceived,
    TcpSock,
    after,
    before,
    between,
)
from linnet.kernel.clock import NSEC_PER_JIFFY, NSEC_PER_SEC
from linnet.kernel.timer import mod_timer
from linnet.net.core.request_sock import reqsk_fastopen_remove, reqsk_timeout
from linnet.net.ipv4.inet_connection_sock import inet_csk_complete_hashdance, inet_csk_reqsk_queue_drop, inet_rtx_syn_ack
from linnet.net.ipv4.tcp_input_ack import tcp_synack_rtt_meas
from linnet.net.ipv4.tcp_input_opt import tcp_parse_options, tcp_paws_reject
from linnet.net.ipv4.tcp_input_reset import tcp_reset

LINUX_FILE: Final = 'net/ipv4/tcp_minisocks.c'


def tcp_in_window(seq: i64, end_seq: i64, s_win: i64, e_win: i64) -> bool:
    """Does the segment touch the window from s_win to e_win?  Linux: net/ipv4/tcp_minisocks.c."""
    if seq == s_win:
        return True
    if after(end_seq, s_win) and before(seq, e_win):
        return True
    return seq == e_win and seq == end_seq


def oow_counts(skb: SkBuff) -> bool:
    """May skb be part of a loop of ACKs, so that the time of its answer matters? Data without SYN is not."""
    return skb.seq == skb.end_seq or (skb.tcp_flags & TCPHDR_SYN) != 0


def oow_rate_limited(net: Net, skb: SkBuff, last: i64, mib: i64) -> bool:
    """Was the last answer, at jiffies last - 1 (0: never), less than tcp_invalid_ratelimit ago? Counts it if so.

    Linux: net/ipv4/tcp_input.c, __tcp_oow_rate_limited.
    """
    if not oow_counts(skb):
        return False
    now = net.clock.now // NSEC_PER_JIFFY
    if last != 0 and now - (last - 1) < net.ipv4.sysctl_tcp_invalid_ratelimit:
        NET_INC_STATS(net, mib)
        return True
    return False


def tcp_synack_window(req: RequestSock) -> i64:
    """The window that the SYN-ACK gave.  Linux: include/net/tcp.h."""
    return req.rsk_rcv_wnd if req.rsk_rcv_wnd < 65535 else 65535


def tcp_synack_first_tsval(req: RequestSock) -> i64:
    """The timestamp of the first SYN-ACK."""
    return (req.snt_synack // NSEC_PER_JIFFY + req.ts_off) & U32


def tcp_rtx_syn_of(sk: TcpSock, skb: SkBuff, req: RequestSock) -> None:
    """The SYN came again: so does the SYN-ACK, and its timer starts anew. Part of Linux's tcp_check_req."""
    net = sock_net(sk)
    if oow_rate_limited(net, skb, req.last_oow_ack_time, LINUX_MIB_TCPACKSKIPPEDSYNRECV):
        return
    req.last_oow_ack_time = net.clock.now // NSEC_PER_JIFFY + 1
    if inet_rtx_syn_ack(sk, req) == 0:
        timer = req.rsk_timer
        if timer is not None and timer.armed:
            mod_timer(timer, net.clock.now + reqsk_timeout(req, sk.icsk_rto_max) * NSEC_PER_JIFFY)


def tcp_embryonic_reset(sk: TcpSock, skb: SkBuff, req: RequestSock, fastopen: bool) -> None:
    """The handshake ends before its time. Part of Linux's tcp_check_req."""
    if (skb.tcp_flags & TCPHDR_RST) == 0:
        ops = req.rsk_ops
        assert ops is not None
        # a SYN with a wrong number is no reason to end a child that the program may be using
        ops.send_reset(sk, skb)
    elif fastopen:
        reqsk_fastopen_remove(sk, req, True)
        tcp_reset(sk, skb)
    if not fastopen and inet_csk_reqsk_queue_drop(sk, req):
        NET_INC_STATS(sock_net(sk), LINUX_MIB_EMBRYONICRSTS)


def tcp_check_req(sk: TcpSock, skb: SkBuff, req: RequestSock, fastopen: bool) -> Sock | None:
    """A segment for a request of listener sk: the child if it completes the handshake, sk itself if the listener shall look at it
    (and send a RST), None if there is nothing more to do. skb stays the caller's.

    fastopen: sk is the request's child, which is there already: sk itself means that it shall go on with skb.

    Linux: net/ipv4/tcp_minisocks.c.  RFC 9293, 3.10.7.4 for SYN-RECEIVED.
    """
    net = sock_net(sk)
    opt = TcpOptionsReceived()
    flags = skb.tcp_flags
    paws_reject = False
    tsecr_reject = False
    if skb.tcp_doff > 20:
        tcp_parse_options(net, skb, opt, False)
        if opt.saw_tstamp:
            opt.ts_recent = req.ts_recent
            if opt.rcv_tsecr != 0:
                if req.tstamp_ok and not fastopen:
                    tsecr_reject = not between(opt.rcv_tsecr, tcp_synack_first_tsval(req), req.snt_tsval_last)
                opt.rcv_tsecr = (opt.rcv_tsecr - req.ts_off) & U32
            opt.ts_recent_stamp = net.clock.now // NSEC_PER_SEC + 1 - reqsk_timeout(req, sk.icsk_rto_max) // 1000
            paws_reject = tcp_paws_reject(opt, (flags & TCPHDR_RST) != 0, net.clock.now)
    flg = flags & (TCPHDR_RST | TCPHDR_SYN | TCPHDR_ACK)
    if skb.seq == req.rcv_isn and flg == TCPHDR_SYN and not paws_reject:
        tcp_rtx_syn_of(sk, skb, req)
        return None
    if (flags & TCPHDR_ACK) != 0 and not fastopen and skb.ack_seq != ((req.snt_isn + 1) & U32):
        return sk
    window_end = (req.rcv_nxt + tcp_synack_window(req)) & U32
    if paws_reject or tsecr_reject or not tcp_in_window(skb.seq, skb.end_seq, req.rcv_nxt, window_end):
        if (flags & TCPHDR_RST) == 0 and not oow_rate_limited(
                net, skb, req.last_oow_ack_time, LINUX_MIB_TCPACKSKIPPEDSYNRECV):
            if oow_counts(skb):
                req.last_oow_ack_time = net.clock.now // NSEC_PER_JIFFY + 1
            ops = req.rsk_ops
            assert ops is not None
            ops.send_ack(sk, skb, req)
        if paws_reject:
            NET_INC_STATS(net, LINUX_MIB_PAWSESTAB)
        elif tsecr_reject:
            NET_INC_STATS(net, LINUX_MIB_TSECRREJECTED)
        return None
    if opt.saw_tstamp and not after(skb.seq, req.rcv_nxt):
        req.ts_recent = opt.rcv_tsval
    if skb.seq == req.rcv_isn:
        flg &= ~TCPHDR_SYN  # the SYN lies before the window
    if (flg & (TCPHDR_RST | TCPHDR_SYN)) != 0:
        NET_INC_STATS(net, TCP_MIB_ATTEMPTFAILS)
        tcp_embryonic_reset(sk, skb, req, fastopen)
        return None
    if (flg & TCPHDR_ACK) == 0:
        return None
    if fastopen:
        return sk
    if req.num_timeout < sk.icsk_accept_queue.rskq_defer_accept and skb.end_seq == ((req.rcv_isn + 1) & U32):
        req.acked = True  # TCP_DEFER_ACCEPT: wait for data
        NET_INC_STATS(net, LINUX_MIB_TCPDEFERACCEPTDROP)
        return None
    child = sk.icsk_af_ops.syn_recv_sock(sk, skb, req, None)
    if child is None:
        if net.ipv4.sysctl_tcp_abort_on_overflow == 0:
            req.acked = True  # the accept queue may have room when the SYN-ACK's timer fires
        else:
            tcp_embryonic_reset(sk, skb, req, False)
        return None
    assert isinstance(child, TcpSock)
    tcp_measure_synack(child, req, opt)
    return inet_csk_complete_hashdance(sk, child, req, True)


def tcp_measure_synack(child: TcpSock, req: RequestSock, opt: TcpOptionsReceived) -> None:
    """The handshake gives the first RTT sample."""
    child.rx_opt.saw_tstamp = opt.saw_tstamp
    child.rx_opt.rcv_tsval = opt.rcv_tsval
    child.rx_opt.rcv_tsecr = opt.rcv_tsecr
    tcp_synack_rtt_meas(child, req.snt_synack, req.num_retrans)
