# SPDX-License-Identifier: Apache-2.0
"""Delivery rate samples: what an ACK says about the path, and when it says only "at least" or nothing."""
from __future__ import annotations

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.tcp import TCPCB_EVER_RETRANS, TCPCB_SACKED_ACKED, RateSample, TcpSock
from linnet.kernel.clock import VirtualClock
from linnet.net.boot import new_world
from linnet.net.core.skbuff import alloc_skb, kfree_skb
from linnet.net.ipv4.tcp_info import tcp_compute_delivery_rate
from linnet.net.ipv4.tcp_input_ack import tcp_rate_sample_init
from linnet.net.ipv4.tcp_rate import (
    tcp_rate_check_app_limited,
    tcp_rate_gen,
    tcp_rate_skb_delivered,
    tcp_rate_skb_sent,
)

MS = 1_000_000
MSS = 1000
START = 1000 * MS


class Sender:
    """A sender of full segments; the queues are the test's own."""

    def __init__(self) -> None:
        self.world = new_world(VirtualClock(), 1)
        self.sk = TcpSock()
        self.sk.mss_cache = MSS
        self.sk.snd_una = self.sk.snd_nxt = self.sk.write_seq = 1
        self.sk.snd_cwnd = 100
        self.sk.rtt_min = 40_000
        self.rs = RateSample()
        self.skbs: list[SkBuff] = []

    def send(self, ms: float, segments: int = 1) -> SkBuff:
        """A segment (or super-segment) leaves."""
        skb = alloc_skb(self.world, 100)
        skb.seq = self.sk.snd_nxt
        skb.end_seq = skb.seq + segments * MSS
        skb.gso_segs = segments
        skb.tstamp = START + int(ms * MS)
        tcp_rate_skb_sent(self.sk, skb)
        self.sk.snd_nxt = self.sk.write_seq = skb.end_seq
        self.sk.packets_out += segments
        self.skbs.append(skb)
        return skb

    def ack(self, ms: float, *skbs: SkBuff, lost: int = 0, reneg: bool = False) -> RateSample:
        """An ACK of these."""
        self.sk.tcp_mstamp = START + int(ms * MS)
        tcp_rate_sample_init(self.rs)
        before = self.sk.delivered
        for skb in skbs:
            self.sk.delivered += skb.gso_segs
            self.sk.packets_out -= skb.gso_segs
            tcp_rate_skb_delivered(self.sk, skb, self.rs)
            self.sk.snd_una = max(self.sk.snd_una, skb.end_seq)
        tcp_rate_gen(self.sk, self.sk.delivered - before, lost, reneg, self.rs)
        return self.rs

    def close(self) -> None:
        for skb in self.skbs:
            kfree_skb(skb)
        assert self.world.slab.active() == {}


def test_rate_of_a_flight() -> None:
    s = Sender()
    first, second = s.send(0), s.send(10)
    rs = s.ack(100, first)
    assert (rs.delivered, rs.interval_us, rs.prior_delivered) == (1, 100_000, 0)
    rs = s.ack(110, second)
    # since it was sent, both were delivered
    assert (rs.delivered, rs.interval_us) == (2, 110_000)
    assert (rs.snd_interval_us, rs.rcv_interval_us) == (10_000, 110_000)
    assert tcp_compute_delivery_rate(s.sk) == 2 * MSS * 1000 // 110
    s.close()


def test_the_longer_of_send_and_ack_interval_counts() -> None:
    """ACKs that come in a bunch do not show a rate that was never sent (draft, 2.2.3)."""
    s = Sender()
    skbs = [s.send(10 * i) for i in range(5)]
    s.ack(100, skbs[0])
    third = s.send(100)
    s.ack(180, skbs[1])
    rs = s.ack(181, *skbs[2:], third)
    assert rs.delivered == 5  # all since third was sent
    assert rs.interval_us == max(rs.snd_interval_us, rs.rcv_interval_us) == 100_000
    s.close()


def test_the_latest_sent_of_an_acks_segments_gives_the_sample() -> None:
    s = Sender()
    a, b = s.send(0), s.send(5)
    s.ack(50, a)
    c = s.send(50)
    rs = s.ack(120, c, b)
    assert rs.prior_delivered == 1 and rs.last_end_seq == c.end_seq
    s.close()


def test_a_sample_shorter_than_the_least_rtt_is_none() -> None:
    """A retransmission was taken for the original."""
    s = Sender()
    s.sk.rtt_min = 50_000
    rs = s.ack(20, s.send(0))
    assert rs.interval_us == -1
    assert s.sk.rate_delivered == 0
    s.close()


def test_no_sample_without_anything_delivered_or_after_reneging() -> None:
    s = Sender()
    skb = s.send(0)
    rs = s.ack(50)
    assert (rs.delivered, rs.interval_us, rs.acked_sacked) == (-1, -1, 0)
    rs = s.ack(60, skb, reneg=True, lost=2)
    assert (rs.delivered, rs.interval_us, rs.losses) == (-1, -1, 2)
    s.close()


def test_sacked_segments_count_once() -> None:
    s = Sender()
    skb = s.send(0)
    skb.sacked = TCPCB_SACKED_ACKED
    s.ack(50, skb)
    assert skb.tx_delivered_mstamp == 0
    tcp_rate_sample_init(s.rs)
    tcp_rate_skb_delivered(s.sk, skb, s.rs)
    assert s.rs.prior_mstamp == 0
    s.close()


def test_a_retransmission_is_told() -> None:
    s = Sender()
    skb = s.send(0)
    skb.sacked = TCPCB_EVER_RETRANS
    assert s.ack(50, skb).is_retrans
    s.close()


def test_a_flight_that_the_program_limited_is_marked_until_it_is_through() -> None:
    s = Sender()
    a = s.send(0)
    tcp_rate_check_app_limited(s.sk)  # nothing is left to send, although the window is open
    assert s.sk.app_limited == 1
    b = s.send(10)
    assert not s.ack(50, a).is_app_limited  # a was sent before
    c = s.send(55)
    assert s.ack(110, b).is_app_limited
    assert s.sk.app_limited == 0  # what was in flight then is delivered
    assert not s.sk.rate_app_limited  # the rate that was known is greater: the sample says only "at least"
    assert s.ack(155, c).is_app_limited
    d = s.send(156)
    assert not s.ack(200, d).is_app_limited
    s.close()


def test_not_limited_by_the_program() -> None:
    for change in ('queue', 'host', 'cwnd', 'lost'):
        s = Sender()
        skb = s.send(0)
        if change == 'queue':
            s.sk.write_seq = s.sk.snd_nxt + MSS
        elif change == 'host':
            s.sk.sk_wmem_alloc = 2000
        elif change == 'cwnd':
            s.sk.snd_cwnd = 1
        else:
            s.sk.lost_out = 1
        tcp_rate_check_app_limited(s.sk)
        assert s.sk.app_limited == 0, change
        assert skb.tx_in_flight == MSS
        s.close()
