# SPDX-License-Identifier: Apache-2.0
"""Delivery rate: each ACK measures how fast data got through (draft-cheng-iccrg-delivery-rate-estimation).

When a segment is sent it notes how much was delivered so far and when; when it is acknowledged, the difference over the longer
of the send and the ACK interval is the rate. A flight that the program, not the network, limited is marked: its rate only says
"at least". Times in ns on skbs, in µs in the sample.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.tcp import (
    TCPCB_RETRANS,
    TCPCB_SACKED_ACKED,
    U32,
    RateSample,
    TcpSock,
    after,
    tcp_min_rtt,
    tcp_packets_in_flight,
    tcp_stamp_us_delta,
)


def tcp_rate_skb_sent(sk: TcpSock, skb: SkBuff) -> None:
    """Note the state of delivery at the time skb is sent.  Linux: net/ipv4/tcp_rate.c."""
    if sk.packets_out == 0:
        # a flight starts: time waits for data, not for the network, so the clocks start with it
        sk.first_tx_mstamp = skb.tstamp
        sk.delivered_mstamp = skb.tstamp
    skb.tx_first_mstamp = sk.first_tx_mstamp
    skb.tx_delivered_mstamp = sk.delivered_mstamp
    skb.tx_delivered = sk.delivered
    skb.tx_delivered_ce = sk.delivered_ce
    skb.tx_is_app_limited = sk.app_limited != 0
    skb.tx_in_flight = (skb.end_seq - sk.snd_una) & U32  # bytes, its own included


def tcp_rate_skb_delivered(sk: TcpSock, skb: SkBuff, rs: RateSample) -> None:
    """skb was (s)acked: the latest sent of an ACK's segments gives the sample.  Linux: net/ipv4/tcp_rate.c."""
    if skb.tx_delivered_mstamp == 0:
        return
    newer = (
        rs.prior_mstamp == 0
        or skb.tstamp > sk.first_tx_mstamp
        or (skb.tstamp == sk.first_tx_mstamp and after(skb.end_seq, rs.last_end_seq))
    )
    if newer:
        rs.prior_delivered = skb.tx_delivered
        rs.prior_mstamp = skb.tx_delivered_mstamp
        rs.is_app_limited = skb.tx_is_app_limited
        rs.is_retrans = (skb.sacked & TCPCB_RETRANS) != 0
        rs.last_end_seq = skb.end_seq
        sk.first_tx_mstamp = skb.tstamp
        rs.interval_us = tcp_stamp_us_delta(sk.first_tx_mstamp, skb.tx_first_mstamp)
    if (skb.sacked & TCPCB_SACKED_ACKED) != 0:
        # it will be acknowledged once more, cumulatively: count it once
        skb.tx_delivered_mstamp = 0


def tcp_rate_gen(sk: TcpSock, delivered: i64, lost: i64, is_sack_reneg: bool, rs: RateSample) -> None:
    """Finish the sample of an ACK that delivered and marked lost so many segments.  Linux: net/ipv4/tcp_rate.c."""
    if sk.app_limited != 0 and after(sk.delivered, sk.app_limited):
        sk.app_limited = 0
    if delivered != 0:
        sk.delivered_mstamp = sk.tcp_mstamp
    rs.acked_sacked = delivered
    rs.losses = lost
    if rs.prior_mstamp == 0 or is_sack_reneg:
        rs.delivered = -1
        rs.interval_us = -1
        return
    rs.delivered = sk.delivered - rs.prior_delivered
    snd_us = rs.interval_us
    ack_us = tcp_stamp_us_delta(sk.tcp_mstamp, rs.prior_mstamp)
    rs.interval_us = snd_us if snd_us > ack_us else ack_us
    rs.snd_interval_us = snd_us
    rs.rcv_interval_us = ack_us
    if rs.interval_us < tcp_min_rtt(sk):
        # quicker than a round trip: a retransmission was taken for the original
        rs.interval_us = -1
        return
    if not rs.is_app_limited or rs.delivered * sk.rate_interval_us >= sk.rate_delivered * rs.interval_us:
        sk.rate_delivered = rs.delivered
        sk.rate_interval_us = rs.interval_us
        sk.rate_app_limited = rs.is_app_limited


def tcp_rate_check_app_limited(sk: TcpSock) -> None:
    """A send begins: was the connection idle although it might have sent?  Linux: net/ipv4/tcp_rate.c."""
    if (
        ((sk.write_seq - sk.snd_nxt) & 0xFFFFFFFF) < sk.mss_cache
        and sk.sk_wmem_alloc < 578  # nothing in this host's queues: less than the smallest skb's truesize
        and tcp_packets_in_flight(sk) < sk.snd_cwnd
        and sk.lost_out <= sk.retrans_out
    ):
        mark = sk.delivered + tcp_packets_in_flight(sk)
        sk.app_limited = mark if mark != 0 else 1
