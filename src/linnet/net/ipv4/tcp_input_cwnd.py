# SPDX-License-Identifier: Apache-2.0
"""Reductions of the congestion window, and the few other parts of tcp_input.c that tcp_output.c calls.

While a reduction goes on (CWR and Recovery), the window falls from prior_cwnd to ssthresh in proportion to what is delivered
(RFC 6937, proportional rate reduction), so that sending goes on evenly; at its end it is set to ssthresh.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.inet_connection_sock import (
    ICSK_TIME_LOSS_PROBE,
    ICSK_TIME_REO_TIMEOUT,
    ICSK_TIME_RETRANS,
)
from linnet.include.net.snmp import LINUX_MIB_TCPLOSTRETRANSMIT, NET_ADD_STATS
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    CA_EVENT_COMPLETE_CWR,
    TCP_CA_CWR,
    TCP_ECN_DEMAND_CWR,
    TCP_ECN_OK,
    TCP_ECN_QUEUE_CWR,
    TCP_INFINITE_SSTHRESH,
    TCP_MIN_MSS,
    TCP_MSS_DEFAULT,
    TCP_TIMEOUT_MIN,
    TCPCB_LOST,
    TCPCB_SACKED_ACKED,
    TCPCB_SACKED_RETRANS,
    TcpSock,
    before,
    tcp_jiffies32,
    tcp_packets_in_flight,
    tcp_skb_pcount,
)
from linnet.net.ipv4.inet_connection_sock import inet_csk_clear_xmit_timer
from linnet.net.ipv4.tcp_cong import tcp_ca_event, tcp_set_ca_state
from linnet.net.ipv4.tcp_output_pacing import tcp_reset_xmit_timer

LINUX_FILE: Final = 'net/ipv4/tcp_input.c'

FLAG_DATA: Final = 0x01  # incoming frame contained data
FLAG_WIN_UPDATE: Final = 0x02  # it was a window update
FLAG_DATA_ACKED: Final = 0x04  # it acknowledged new data
FLAG_RETRANS_DATA_ACKED: Final = 0x08  # of it, something that was retransmitted
FLAG_SYN_ACKED: Final = 0x10  # it acknowledged our SYN
FLAG_DATA_SACKED: Final = 0x20  # new SACK
FLAG_ECE: Final = 0x40
FLAG_LOST_RETRANS: Final = 0x80
FLAG_SLOWPATH: Final = 0x100  # do not skip the window update
FLAG_ORIG_SACK_ACKED: Final = 0x200  # never retransmitted data are (s)acked
FLAG_SND_UNA_ADVANCED: Final = 0x400
FLAG_DSACKING_ACK: Final = 0x800
FLAG_SET_XMIT_TIMER: Final = 0x1000
FLAG_SACK_RENEGING: Final = 0x2000
FLAG_UPDATE_TS_RECENT: Final = 0x4000
FLAG_NO_CHALLENGE_ACK: Final = 0x8000
FLAG_ACK_MAYBE_DELAYED: Final = 0x10000
FLAG_DSACK_TLP: Final = 0x20000

FLAG_ACKED: Final = FLAG_DATA_ACKED | FLAG_SYN_ACKED
FLAG_NOT_DUP: Final = FLAG_DATA | FLAG_WIN_UPDATE | FLAG_ACKED
FLAG_CA_ALERT: Final = FLAG_DATA_SACKED | FLAG_ECE | FLAG_DSACKING_ACK
FLAG_FORWARD_PROGRESS: Final = FLAG_ACKED | FLAG_DATA_SACKED

# what tcp_ack asks tcp_xmit_recovery for
REXMIT_NONE: Final = 0
REXMIT_LOST: Final = 1
REXMIT_NEW: Final = 2


def tcp_rto_min(sk: TcpSock) -> i64:
    """The least RTO, jiffies.  Linux: include/net/tcp.h."""
    dst = sk.sk_dst_cache
    if dst is not None:
        route_min: i64 = dst.metrics[13]  # RTAX_RTO_MIN
        if route_min != 0:
            return route_min
    return sk.icsk_rto_min


def tcp_current_ssthresh(sk: TcpSock) -> i64:
    """ssthresh as it would be were there no reduction just now.  Linux: include/net/tcp.h."""
    if sk.icsk_ca_state in (2, 3):
        return sk.snd_ssthresh
    three_quarters = (sk.snd_cwnd >> 1) + (sk.snd_cwnd >> 2)
    return sk.snd_ssthresh if sk.snd_ssthresh > three_quarters else three_quarters


def tcp_init_cwnd_reduction(sk: TcpSock) -> None:
    """A reduction begins: remember the window, ask the algorithm for ssthresh.  Linux: net/ipv4/tcp_input.c."""
    sk.high_seq = sk.snd_nxt
    sk.tlp_high_seq = 0
    sk.snd_cwnd_cnt = 0
    sk.prior_cwnd = sk.snd_cwnd
    sk.prr_delivered = 0
    sk.prr_out = 0
    ca = sk.icsk_ca_ops
    assert ca is not None
    sk.snd_ssthresh = ca.ssthresh(sk)
    if (sk.ecn_flags & TCP_ECN_OK) != 0:
        sk.ecn_flags |= TCP_ECN_QUEUE_CWR


def tcp_cwnd_reduction(sk: TcpSock, newly_acked_sacked: i64, newly_lost: i64, flag: i64) -> None:
    """Set the window during a reduction, after an ACK.  Linux: net/ipv4/tcp_input.c.  RFC 6937, 3."""
    if newly_acked_sacked <= 0 or sk.prior_cwnd == 0:
        return
    sk.prr_delivered += newly_acked_sacked
    in_flight = tcp_packets_in_flight(sk)
    delta = sk.snd_ssthresh - in_flight
    sndcnt: i64
    if delta < 0:
        dividend = sk.snd_ssthresh * sk.prr_delivered + sk.prior_cwnd - 1
        sndcnt = dividend // sk.prior_cwnd - sk.prr_out
    else:
        sndcnt = sk.prr_delivered - sk.prr_out
        if sndcnt < newly_acked_sacked:
            sndcnt = newly_acked_sacked
        if (flag & FLAG_SND_UNA_ADVANCED) != 0 and newly_lost == 0:
            sndcnt += 1
        if sndcnt > delta:
            sndcnt = delta
    least: i64 = 0 if sk.prr_out != 0 else 1  # one retransmission on entering fast recovery
    if sndcnt < least:
        sndcnt = least
    cwnd = in_flight + sndcnt
    sk.snd_cwnd = cwnd if cwnd > 0 else 1


def tcp_end_cwnd_reduction(sk: TcpSock) -> None:
    """The reduction is over: the window is ssthresh.  Linux: net/ipv4/tcp_input.c."""
    ca = sk.icsk_ca_ops
    if ca is not None and ca.has_cong_control:
        return
    if sk.snd_ssthresh < TCP_INFINITE_SSTHRESH and (sk.icsk_ca_state == TCP_CA_CWR or sk.undo_marker != 0):
        sk.snd_cwnd = sk.snd_ssthresh if sk.snd_ssthresh > 0 else 1
        sk.snd_cwnd_stamp = tcp_jiffies32(sk)
    tcp_ca_event(sk, CA_EVENT_COMPLETE_CWR)


def tcp_enter_cwr(sk: TcpSock) -> None:
    """Reduce the window without a loss (ECN, a full local queue).  Linux: net/ipv4/tcp_input.c."""
    sk.prior_ssthresh = 0
    if sk.icsk_ca_state < TCP_CA_CWR:
        sk.undo_marker = 0
        tcp_init_cwnd_reduction(sk)
        tcp_set_ca_state(sk, TCP_CA_CWR)


def tcp_init_undo(sk: TcpSock) -> None:
    """From here on count retransmissions, to be able to take back what they did to the window.

    Linux: net/ipv4/tcp_input.c.  undo_marker 0 means none; a snd_una of 0 is told apart by adding nothing, as in Linux.
    """
    sk.undo_marker = sk.snd_una
    # where there is no retransmission out, the count of those that prove needless starts at "unknown"
    sk.undo_retrans = sk.retrans_out if sk.retrans_out != 0 else -1


def tcp_ecn_queue_cwr(sk: TcpSock) -> None:
    """The next data segment says CWR.  Linux: net/ipv4/tcp_input.c."""
    if (sk.ecn_flags & TCP_ECN_OK) != 0:
        sk.ecn_flags |= TCP_ECN_QUEUE_CWR


def tcp_ecn_withdraw_cwr(sk: TcpSock) -> None:
    """Linux: net/ipv4/tcp_input.c."""
    sk.ecn_flags &= ~TCP_ECN_DEMAND_CWR


def tcp_initialize_rcv_mss(sk: TcpSock) -> None:
    """A first guess of the size of the peer's segments, for delayed ACKs.  Linux: net/ipv4/tcp_input.c."""
    hint = sk.advmss if sk.advmss < sk.mss_cache else sk.mss_cache
    half = sk.rcv_wnd // 2
    if half < hint:
        hint = half
    if hint > TCP_MSS_DEFAULT:
        hint = TCP_MSS_DEFAULT
    sk.ack_rcv_mss = hint if hint > TCP_MIN_MSS else TCP_MIN_MSS


def tcp_rearm_rto(sk: TcpSock) -> None:
    """Start the retransmit timer anew after progress, or stop it when nothing is out.

    Linux: net/ipv4/tcp_input.c.  RFC 6298, 5.2 and 5.3.
    """
    if sk.fastopen_rsk is not None:
        return  # the timer is the SYN-ACK's
    if sk.packets_out == 0:
        inet_csk_clear_xmit_timer(sk, ICSK_TIME_RETRANS)
        return
    rto = sk.icsk_rto
    if sk.icsk_pending == ICSK_TIME_REO_TIMEOUT or sk.icsk_pending == ICSK_TIME_LOSS_PROBE:
        # the other timers ran since the head was sent: the RTO counts from there
        skb = sk.tcp_rtx_queue.next
        if skb is not None:
            left = (skb.tstamp + rto * 1_000_000 - sock_net(sk).clock.now) // 1_000_000
            rto = left if left > TCP_TIMEOUT_MIN else TCP_TIMEOUT_MIN
    tcp_reset_xmit_timer(sk, ICSK_TIME_RETRANS, rto, sk.icsk_rto_max)


def tcp_verify_retransmit_hint(tp: TcpSock, skb: SkBuff) -> None:
    """The next retransmission is looked for from skb on, unless from before it.  Linux: net/ipv4/tcp_input.c."""
    hint = tp.retransmit_skb_hint
    if (hint is None and tp.retrans_out >= tp.lost_out) or (hint is not None and before(skb.seq, hint.seq)):
        tp.retransmit_skb_hint = skb


def tcp_mark_skb_lost(sk: TcpSock, skb: SkBuff) -> None:
    """skb is deemed lost (again, if it was retransmitted).  Linux: net/ipv4/tcp_input.c."""
    sacked = skb.sacked
    if (sacked & TCPCB_SACKED_ACKED) != 0:
        return
    pcount = tcp_skb_pcount(skb)
    tcp_verify_retransmit_hint(sk, skb)
    if (sacked & TCPCB_LOST) != 0:
        if (sacked & TCPCB_SACKED_RETRANS) != 0:
            skb.sacked = sacked & ~TCPCB_SACKED_RETRANS
            sk.retrans_out -= pcount
            NET_ADD_STATS(sock_net(sk), LINUX_MIB_TCPLOSTRETRANSMIT, pcount)
            sk.lost += pcount
        return
    sk.lost_out += pcount
    skb.sacked = sacked | TCPCB_LOST
    sk.lost += pcount
