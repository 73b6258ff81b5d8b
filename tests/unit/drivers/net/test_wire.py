# SPDX-License-Identifier: Apache-2.0
"""The wire: when packets arrive, in which order, and which do not."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.devices import bare_net, bare_world, card, frame
from helpers.frames import Parsed, super_segment, tcp_frame
from linnet.drivers.net.wire import (
    LossFunction,
    LossPattern,
    WireLoss,
    WireParams,
    wire_newlink,
    wire_ops,
    wire_set_carrier,
    wire_set_params,
)
from linnet.include.linux.netdevice import NetDevice, PacketType
from linnet.include.linux.skbuff import CHECKSUM_NONE, CHECKSUM_PARTIAL, SkbDestructor, SkBuff
from linnet.include.net.dropreason import SKB_DROP_REASON_LINK_DOWN, SKB_DROP_REASON_LINK_LOSS
from linnet.include.net.sch_generic import qdisc_qlen
from linnet.net.core.dev import dev_add_pack, dev_close, dev_open, dev_queue_xmit
from linnet.net.core.skbuff import consume_skb, skb_bytes
from linnet.net.ipv4.inet_offload import ipv4_offload_init
from linnet.net.ipv4.tcp_offload import tcpv4_offload_init

MS = 1_000_000
PROTO = 0x88B5


class Arrivals(PacketType):
    """Notes (time, bytes, ip_summed) of what a host receives."""

    def __init__(self, type: int = PROTO) -> None:
        super().__init__(type)
        self.got: list[tuple[int, bytes, int]] = []

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> int:
        self.got.append((int(dev.net.clock.now), skb_bytes(skb), int(skb.ip_summed)))
        assert skb.tstamp == dev.net.clock.now
        consume_skb(skb)
        return 0


class Cable:
    """Two hosts and a wire, both ends up."""

    def __init__(self, params: WireParams | None = None, back: WireParams | None = None, seed: int = 1) -> None:
        self.world = bare_world(seed)
        self.nets = bare_net(self.world, 'a'), bare_net(self.world, 'b')
        params = params or WireParams()
        self.a, self.b = wire_newlink(self.nets[0], 'eth0', self.nets[1], 'eth0', params, back or params)
        self.at_a, self.at_b = Arrivals(), Arrivals()
        dev_add_pack(self.nets[0], self.at_a)
        dev_add_pack(self.nets[1], self.at_b)
        for net in self.nets:
            ipv4_offload_init(net)
            tcpv4_offload_init(net)
        assert dev_open(self.a) == 0
        assert dev_open(self.b) == 0

    def send(self, payload: bytes = b'', size: int = 1514, dev: NetDevice | None = None) -> int:
        """Send a frame of `size` bytes from a (or dev) to the other end."""
        source = dev or self.a
        dest = self.b if source is self.a else self.a
        return dev_queue_xmit(frame(source, payload + bytes(size - 14 - len(payload)), dest.dev_addr, PROTO))

    def numbered(self, n: int, size: int = 1514) -> None:
        """Send n frames that carry their numbers."""
        for i in range(n):
            self.send(i.to_bytes(4, 'big'), size)

    def run(self, until: int | None = None) -> Cable:
        """Let time pass; at the end of all things nothing is alive."""
        self.world.sched.run(until)
        if until is None:
            assert self.world.slab.active() == {}
        return self

    def numbers(self) -> list[int]:
        """The numbers of the frames that arrived at b."""
        return [int.from_bytes(data[:4], 'big') for _, data, _ in self.at_b.got]

    def times(self) -> list[int]:
        """When frames arrived at b, in ns."""
        return [t for t, _, _ in self.at_b.got]


def test_serialization_and_delay_are_exact() -> None:
    c = Cable(WireParams(rate_bps=100_000_000, delay_ns=10 * MS))
    c.numbered(3)
    c.send(size=64)
    c.run()
    step = 1514 * 8 * 10
    assert c.times() == [10 * MS + step, 10 * MS + 2 * step, 10 * MS + 3 * step, 10 * MS + 3 * step + 64 * 80]


def test_no_rate_and_no_delay() -> None:
    c = Cable()
    c.numbered(5)
    assert c.at_b.got == []
    c.run()
    assert c.times() == [0] * 5
    assert c.numbers() == list(range(5))


def test_directions_are_independent() -> None:
    c = Cable(WireParams(1_000_000_000, MS), WireParams(1_000_000, 5 * MS))
    c.send(size=1250)
    c.send(size=1250, dev=c.b)
    c.run()
    assert c.times() == [MS + 10_000]
    assert [t for t, _, _ in c.at_a.got] == [5 * MS + 10 * MS]


def test_two_events_a_packet() -> None:
    c = Cable(WireParams(10_000_000, MS))
    before = c.world.sched._nr_fired
    c.numbered(100)
    c.run()
    assert c.world.sched._nr_fired - before <= 200
    assert len(c.at_b.got) == 100


def test_a_full_ring_backs_up_into_the_qdisc() -> None:
    c = Cable(WireParams(10_000_000, MS, ring_size=4))
    c.numbered(20)
    ring, txq = wire_ops(c.a).ring, c.a.tx[0]
    assert (ring.qlen, qdisc_qlen(txq.qdisc), txq.state) == (4, 16, 1)
    c.run()
    assert c.numbers() == list(range(20))
    step = 1514 * 800
    assert c.times() == [MS + step * (i + 1) for i in range(20)]
    assert txq.state == 0


def test_what_the_qdisc_cannot_hold_is_dropped_at_the_tail() -> None:
    c = Cable(WireParams(10_000_000, ring_size=2))
    c.a.tx_queue_len = 10
    c.numbered(50)
    c.run()
    assert c.numbers() == list(range(13))  # two in the ring, one that the driver refused, ten queued
    assert c.a.tx[0].qdisc.stats.drops == 37


def test_the_ring_may_be_one_packet() -> None:
    c = Cable(WireParams(1_000_000_000, ring_size=1))
    c.numbered(30)
    c.run()
    assert c.numbers() == list(range(30))


def test_the_sender_is_let_go_when_the_packet_is_out_not_when_it_arrives() -> None:
    class Note(SkbDestructor):
        def __init__(self) -> None:
            self.at = -1

        def destruct(self, skb: SkBuff) -> None:
            self.at = int(skb.world.clock.now)

    c = Cable(WireParams(100_000_000, 50 * MS))
    skb = frame(c.a, bytes(1236), c.b.dev_addr, PROTO)
    skb.destructor = note = Note()
    dev_queue_xmit(skb)
    c.run()
    assert note.at == 100_000
    assert c.times() == [50 * MS + 100_000]


def test_more_than_a_backlog_at_one_instant() -> None:
    c = Cable(WireParams(delay_ns=MS))
    c.numbered(3000, 60)
    c.run()
    assert c.numbers() == list(range(3000))
    assert set(c.times()) == {MS}


# -- faults

def test_loss_pattern() -> None:
    c = Cable(WireParams(loss_function=LossPattern({1, 3, 4, 10})))
    c.numbered(10)
    c.run()
    assert c.numbers() == [1, 4, 5, 6, 7, 8]
    assert c.nets[0].mib.drops == {SKB_DROP_REASON_LINK_LOSS: 4}


def test_loss_function_and_model() -> None:
    c = Cable(WireParams(loss_function=LossFunction(lambda n: n % 2 == 0)))
    c.numbered(6)
    c.run()
    assert c.numbers() == [0, 2, 4]

    class Gilbert(WireLoss):
        """Bursts: once one is lost, so are the next two."""

        def __init__(self) -> None:
            self.left = 0

        def lost(self, n: int) -> bool:
            if n % 5 == 0:
                self.left = 3
            self.left -= 1
            return self.left >= 0

    c = Cable(WireParams(loss_function=Gilbert()))
    c.numbered(10)
    c.run()
    assert c.numbers() == [0, 1, 2, 3, 7, 8]


@pytest.mark.parametrize('share', [0.01, 0.2, 0.5])
def test_shares_are_met(share: float) -> None:
    n = 4000
    slack = 4 * (share * (1 - share) / n) ** 0.5
    c = Cable(WireParams(loss=share))
    c.numbered(n, 60)
    c.run()
    assert abs((n - len(c.at_b.got)) / n - share) < slack
    c = Cable(WireParams(duplicate=share))
    c.numbered(n, 60)
    c.run()
    assert abs((len(c.at_b.got) - n) / n - share) < slack
    assert sorted(set(c.numbers())) == list(range(n))


def test_all_or_nothing() -> None:
    c = Cable(WireParams(loss=1.0))
    c.numbered(10)
    assert c.run().at_b.got == []
    c = Cable(WireParams(duplicate=1.0))
    c.numbered(3)
    assert c.run().numbers() == [0, 0, 1, 1, 2, 2]


def test_jitter_varies_the_delay_and_keeps_the_order() -> None:
    c = Cable(WireParams(10_000_000, 10 * MS, jitter_ns=3 * MS))
    c.numbered(200, 64)
    c.run()
    assert c.numbers() == list(range(200))
    delays = [t - 51_200 * (i + 1) for i, t in enumerate(c.times())]
    assert 7 * MS <= min(delays) < max(delays)
    assert c.times() == sorted(c.times())
    alone = Cable(WireParams(delay_ns=10 * MS, jitter_ns=3 * MS))
    for i in range(300):
        alone.world.sched.run(i * 100 * MS)
        alone.send()
    alone.run()
    spread = [t - i * 100 * MS for i, t in enumerate(alone.times())]
    assert 7 * MS <= min(spread) < 8 * MS < 12 * MS < max(spread) <= 13 * MS


def test_reordered_packets_come_late_and_the_others_do_not_wait() -> None:
    c = Cable(WireParams(100_000_000, 10 * MS, reorder=0.1, reorder_ns=2 * MS))
    c.numbered(500, 125)
    c.run()
    assert sorted(c.numbers()) == list(range(500))
    due = {i: 10 * MS + 10_000 * (i + 1) for i in range(500)}
    late = [t - due[i] for t, i in zip(c.times(), c.numbers(), strict=True)]
    assert set(late) == {0, 2 * MS}
    assert 25 < late.count(2 * MS) < 80
    assert c.numbers() != list(range(500))


def test_a_reordered_packet_is_overtaken_by_default() -> None:
    for rate, delay in ((100_000_000, 10 * MS), (100_000_000, 0), (0, MS)):
        c = Cable(WireParams(rate, delay, reorder=0.05))
        c.numbered(300)
        c.run()
        assert sorted(c.numbers()) == list(range(300)) != c.numbers()


@given(st.integers(0, 10_000), st.booleans())
def test_corruption_flips_one_bit_that_a_checksum_finds(seed: int, partial: bool) -> None:
    c = Cable(WireParams(corrupt=1.0), seed=seed)
    ip = Arrivals(0x800)
    dev_add_pack(c.nets[1], ip)
    good = tcp_frame(bytes(range(200)))
    skb = super_segment(c.a, tcp_frame(bytes(range(200)), partial=partial), 1000, [50], partial=partial)
    skb.gso_size = skb.gso_segs = skb.gso_type = 0
    page = skb.frags[0].page
    before = bytes(page)
    dev_queue_xmit(skb)
    c.run()
    ((_, data, summed),) = ip.got
    assert summed == CHECKSUM_NONE
    flipped = int.from_bytes(data, 'big') ^ int.from_bytes(good[14:], 'big')
    assert flipped.bit_count() == 1
    p = Parsed(good[:14] + data)
    assert not (p.ip_ok and p.tcp_ok)
    assert page == before


def test_a_partial_checksum_crosses_unfinished() -> None:
    c = Cable()
    ip = Arrivals(0x800)
    dev_add_pack(c.nets[1], ip)
    dev_queue_xmit(super_segment(c.a, tcp_frame(bytes(3000), partial=True), 1000, []))
    c.run()
    assert [summed for _, _, summed in ip.got] == [CHECKSUM_PARTIAL] * 3


# -- change

def test_parameters_change_while_packets_fly() -> None:
    c = Cable(WireParams(10_000_000, 20 * MS))
    c.numbered(2, 1250)
    c.world.sched.run(MS // 2)
    params = WireParams(100_000_000, 5 * MS)
    wire_set_params(c.a, params)
    c.run()
    # the first was on the wire already; the second is serialized at the new rate, and may not overtake
    assert c.times() == [MS + 5 * MS, MS + 100_000 + 5 * MS]
    c = Cable(WireParams(delay_ns=20 * MS))
    c.numbered(1)
    wire_set_params(c.a, params)
    c.numbered(1)
    c.run()
    assert c.times() == [20 * MS, 20 * MS]
    params.loss = 1.0
    wire_set_params(c.a, params)
    c.send()
    assert len(c.run().at_b.got) == 2


def test_a_limit_may_be_lifted_and_set() -> None:
    c = Cable(WireParams(1_000_000))
    c.numbered(5, 1250)
    c.world.sched.run(15 * MS)
    wire_set_params(c.a, WireParams())
    c.send()
    c.run()
    assert c.times() == [10 * MS] + [20 * MS] * 5


def test_closing_an_end_loses_what_it_had_sent() -> None:
    c = Cable(WireParams(10_000_000, 50 * MS, reorder=0.3, ring_size=8))
    c.numbered(40)
    c.world.sched.run(20 * MS)
    dev_close(c.a)
    assert c.world.slab.active() == {}
    c.run()
    assert c.at_b.got == []
    assert dev_open(c.a) == 0
    c.numbered(12)
    c.run()
    assert sorted(c.numbers()) == list(range(12))


def test_a_closed_receiver_gets_nothing() -> None:
    c = Cable(WireParams(delay_ns=MS))
    c.numbered(3)
    dev_close(c.b)
    c.run()
    assert c.at_b.got == []


def test_a_pulled_cable() -> None:
    c = Cable(WireParams(delay_ns=MS))
    c.numbered(3)
    wire_set_carrier(c.a, False)
    c.numbered(2)
    c.run()
    assert c.at_b.got == []
    assert c.nets[0].mib.drops == {SKB_DROP_REASON_LINK_DOWN: 5}
    wire_set_carrier(c.b, True)
    c.numbered(2)
    assert c.run().numbers() == [0, 1]


def test_errors() -> None:
    c = Cable()
    with pytest.raises(FileExistsError, match='a has a device'):
        wire_newlink(c.nets[0], 'eth0', c.nets[1], 'eth9', WireParams(), WireParams())
    other = card(c.nets[0], 'eth5')
    with pytest.raises(TypeError, match='not an end of a wire'):
        wire_set_params(other, WireParams())


# -- determinism

def chaos(seed: int, cross: bool = False) -> list[tuple[int, bytes, int]]:
    """What arrives over a bad wire; cross: with traffic the other way too."""
    bad = WireParams(50_000_000, 5 * MS, jitter_ns=MS, loss=0.1, duplicate=0.1, reorder=0.1, corrupt=0.1)
    c = Cable(bad, seed=seed)
    for i in range(300):
        c.send(i.to_bytes(4, 'big'), 60 + i)
        if cross:
            c.send(dev=c.b)
    c.run()
    return c.at_b.got


def test_equal_seeds_give_equal_packets_at_equal_times() -> None:
    assert chaos(7) == chaos(7)
    assert chaos(7) != chaos(8)
    assert chaos(7) == chaos(7, cross=True)
