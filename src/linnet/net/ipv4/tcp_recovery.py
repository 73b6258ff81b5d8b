# SPDX-License-Identifier: Apache-2.0
"""RACK: a segment is lost if one that was sent sufficiently later has arrived (RFC 8985).

rack_mstamp and rack_end_seq name the latest sent segment known to have arrived, rack_rtt_us how long it took. What was sent
before it and is a reordering window (a quarter of the least RTT, more where DSACKs show that it is too small) overdue is lost;
what is not overdue yet is looked at again by a timer (tcp_recovery_timer.py). Retransmissions have send times too, so their loss
is noticed likewise. Without SACK, NewReno's rule marks the head instead.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.inet_connection_sock import ICSK_TIME_REO_TIMEOUT
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    TCP_RACK_NO_DUPTHRESH,
    TCP_RACK_RECOVERY_THRESH,
    TCP_RACK_STATIC_REO_WND,
    TCP_TIMEOUT_MIN_US,
    TCPCB_LOST,
    TCPCB_RETRANS,
    TCPCB_SACKED_RETRANS,
    RateSample,
    TCP_CA_Recovery,
    TcpSock,
    after,
    before,
    tcp_min_rtt,
    tcp_rtx_queue_head,
    tcp_skb_mss,
    tcp_skb_pcount,
    tcp_stamp_us_delta,
    tcp_tsorted_del,
)
from linnet.net.ipv4.inet_connection_sock import inet_csk_reset_xmit_timer
from linnet.net.ipv4.tcp_input_cwnd import tcp_mark_skb_lost
from linnet.net.ipv4.tcp_output import tcp_fragment


def tcp_rack_sent_after(t1: i64, t2: i64, seq1: i64, seq2: i64) -> bool:
    """Was the segment of (t1, seq1) sent after that of (t2, seq2)? Of one burst, the higher one.  Linux: include/net/tcp.h."""
    return t1 > t2 or (t1 == t2 and after(seq1, seq2))


def tcp_rack_reo_wnd(sk: TcpSock) -> i64:
    """How much later than its successors a segment may arrive, µs.  Linux: net/ipv4/tcp_recovery.c.  RFC 8985, 6.2, step 4."""
    if sk.reord_seen == 0:
        # no reordering seen: none is awaited while the window is being repaired, or with three segments SACKed behind
        if sk.icsk_ca_state >= TCP_CA_Recovery:
            return 0
        if sk.sacked_out >= sk.reordering and (sock_net(sk).ipv4.sysctl_tcp_recovery & TCP_RACK_NO_DUPTHRESH) == 0:
            return 0
    window = (tcp_min_rtt(sk) >> 2) * sk.rack_reo_wnd_steps
    most = sk.srtt_us >> 3
    return window if window < most else most


def tcp_rack_skb_timeout(tp: TcpSock, skb: SkBuff, reo_wnd: i64) -> i64:
    """How long skb has left until it is overdue, µs.  Linux: net/ipv4/tcp_recovery.c."""
    return tp.rack_rtt_us + reo_wnd - tcp_stamp_us_delta(tp.tcp_mstamp, skb.tstamp)


def tcp_rack_same_instant(sk: TcpSock, skb: SkBuff) -> bool:
    """Was skb sent again in the very instant in which the newest one that arrived was sent first, but after it?

    Virtual time alone knows ACKs that take no time.
    """
    return (skb.tstamp == sk.rack_mstamp and (skb.sacked & TCPCB_SACKED_RETRANS) != 0 and not sk.rack_retrans
            and not after(sk.rack_end_seq, skb.rtx_snd_nxt))


def tcp_rack_detect_loss(sk: TcpSock) -> i64:
    """Mark what is overdue. Returns in how many µs the last of the others would be; 0: there are none.

    Linux: net/ipv4/tcp_recovery.c.  RFC 8985, 6.2, step 5. What is out is looked at by the time it was sent last, so the walk
    ends at the first that was sent after what arrived; what arrived or was marked has left the list.
    """
    reo_timeout: i64 = 0
    reo_wnd = tcp_rack_reo_wnd(sk)
    skb = sk.tsorted_head
    while skb is not None and skb.tstamp <= sk.rack_mstamp:
        behind = skb.tsorted_next
        if (skb.sacked & (TCPCB_LOST | TCPCB_SACKED_RETRANS)) != TCPCB_LOST:
            if (tcp_rack_sent_after(sk.rack_mstamp, skb.tstamp, sk.rack_end_seq, skb.end_seq)
                    and not tcp_rack_same_instant(sk, skb)):
                remaining = tcp_rack_skb_timeout(sk, skb, reo_wnd)
                if remaining <= 0:
                    tcp_mark_skb_lost(sk, skb)
                    tcp_tsorted_del(sk, skb)
                elif remaining > reo_timeout:
                    reo_timeout = remaining
        skb = behind
    return reo_timeout


def tcp_rack_mark_lost(sk: TcpSock) -> bool:
    """An ACK came: mark what it shows to be lost. True: the reordering timer was started.

    Linux: net/ipv4/tcp_recovery.c.
    """
    if not sk.rack_advanced:
        return False
    sk.rack_advanced = False
    timeout = tcp_rack_detect_loss(sk)
    if timeout == 0:
        return False
    inet_csk_reset_xmit_timer(sk, ICSK_TIME_REO_TIMEOUT, (timeout + TCP_TIMEOUT_MIN_US + 999) // 1000, sk.icsk_rto)
    return True


def tcp_rack_advance(tp: TcpSock, sacked: i64, end_seq: i64, xmit_time: i64) -> None:
    """A segment last sent at xmit_time (ns) has arrived.

    Linux: net/ipv4/tcp_recovery.c.  RFC 8985, 6.2, step 2: of one sent again sooner than an RTT ago, the original arrived.
    """
    rtt_us = tcp_stamp_us_delta(tp.tcp_mstamp, xmit_time)
    if rtt_us < tcp_min_rtt(tp) and (sacked & TCPCB_RETRANS) != 0:
        return
    tp.rack_advanced = True
    tp.rack_rtt_us = rtt_us
    if tcp_rack_sent_after(xmit_time, tp.rack_mstamp, end_seq, tp.rack_end_seq):
        tp.rack_mstamp = xmit_time
        tp.rack_retrans = (sacked & TCPCB_RETRANS) != 0
        tp.rack_end_seq = end_seq


def tcp_rack_update_reo_wnd(sk: TcpSock, rs: RateSample) -> None:
    """Widen the reordering window once a round trip that brings DSACKs; narrow it after 16 recoveries without.

    Linux: net/ipv4/tcp_recovery.c.  RFC 8985, 6.2, step 4.
    """
    if (sock_net(sk).ipv4.sysctl_tcp_recovery & TCP_RACK_STATIC_REO_WND) != 0 or rs.prior_delivered == 0:
        return
    if before(rs.prior_delivered, sk.rack_last_delivered):
        sk.rack_dsack_seen = False
    if sk.rack_dsack_seen:
        if sk.rack_reo_wnd_steps < 0xFF:
            sk.rack_reo_wnd_steps += 1
        sk.rack_dsack_seen = False
        sk.rack_last_delivered = sk.delivered
        sk.rack_reo_wnd_persist = TCP_RACK_RECOVERY_THRESH
    elif sk.rack_reo_wnd_persist == 0:
        sk.rack_reo_wnd_steps = 1


def tcp_newreno_mark_lost(sk: TcpSock, snd_una_advanced: bool) -> None:
    """Enough duplicate ACKs, or a partial ACK in recovery: the first segment is lost.

    Linux: net/ipv4/tcp_recovery.c.  RFC 6582, 3.2, steps 2 and 4.
    """
    state = sk.icsk_ca_state
    if (state < TCP_CA_Recovery and sk.sacked_out >= sk.reordering) or (state == TCP_CA_Recovery and snd_una_advanced):
        skb = tcp_rtx_queue_head(sk)
        if skb is None or (skb.sacked & TCPCB_LOST) != 0:
            return
        mss = tcp_skb_mss(skb)
        if tcp_skb_pcount(skb) > 1 and mss != 0 and skb.len > mss:
            tcp_fragment(sk, 1, skb, mss, mss)
        tcp_mark_skb_lost(sk, skb)
