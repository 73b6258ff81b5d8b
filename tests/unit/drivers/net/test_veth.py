# SPDX-License-Identifier: Apache-2.0
"""veth: what passes, as what, and what does not."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers.devices import Sink, bare_net, bare_world, frame
from linnet.drivers.net.veth import veth_newlink
from linnet.include.linux.if_ether import ETH_BROADCAST
from linnet.include.linux.netdevice import IFF_RUNNING, NetDevice
from linnet.include.linux.skbuff import (
    CHECKSUM_PARTIAL,
    PACKET_BROADCAST,
    PACKET_HOST,
    PACKET_OTHERHOST,
    SKB_GSO_TCPV4,
    SkBuff,
)
from linnet.include.net.dropreason import SKB_DROP_REASON_DEV_READY, SKB_DROP_REASON_PKT_TOO_BIG
from linnet.include.net.net_namespace import World
from linnet.net.core.dev import dev_add_pack, dev_close, dev_open, dev_queue_xmit, unregister_netdevice
from linnet.net.core.skbuff import consume_skb, skb_add_frag
from linnet.net.sched.sch_api import qdisc_create


@pytest.fixture
def world() -> Iterator[World]:
    w = bare_world()
    yield w
    assert w.slab.active() == {}


class Keep(Sink):
    """Keeps the packets themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.skbs: list[SkBuff] = []

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> int:
        self.skbs.append(skb)
        return 0

    def free(self) -> None:
        for skb in self.skbs:
            consume_skb(skb)


@pytest.fixture
def pair(world: World) -> tuple[NetDevice, NetDevice]:
    a, b = veth_newlink(bare_net(world, 'a'), 'eth0', bare_net(world, 'b'), 'eth0')
    dev_open(a)
    dev_open(b)
    return a, b


def test_both_ends_are_needed_for_carrier(world: World) -> None:
    a, b = veth_newlink(bare_net(world, 'a'), 'eth0', bare_net(world, 'b'), 'eth0')
    dev_open(a)
    assert not a.carrier
    assert not a.flags & IFF_RUNNING
    dev_open(b)
    assert a.carrier
    assert b.carrier
    assert a.flags & b.flags & IFF_RUNNING
    dev_close(a)
    assert not b.carrier
    assert not b.flags & IFF_RUNNING


def test_addresses_differ(pair: tuple[NetDevice, NetDevice]) -> None:
    a, b = pair
    assert a.dev_addr != b.dev_addr


def test_a_name_that_is_taken(world: World) -> None:
    net = bare_net(world)
    with pytest.raises(FileExistsError, match='eth0'):
        veth_newlink(net, 'eth0', net, 'eth0')


@pytest.mark.parametrize('qdisc', ['noqueue', 'pfifo_fast', 'pfifo'])
def test_a_frame_crosses(pair: tuple[NetDevice, NetDevice], qdisc: str) -> None:
    a, b = pair
    sink = Sink()
    dev_add_pack(b.net, sink)
    qdisc_create(a, qdisc)
    for dest in (b.dev_addr, ETH_BROADCAST, b'\x02\0\0\0\0\x63'):
        dev_queue_xmit(frame(a, b'hello', dest))
    assert sink.got == [(b'hello', kind, 'eth0') for kind in (PACKET_HOST, PACKET_BROADCAST, PACKET_OTHERHOST)]
    assert (a.stats.tx_packets, a.stats.tx_bytes, b.stats.rx_packets, b.stats.rx_bytes) == (3, 57, 3, 57)


def test_super_segments_and_open_checksums_cross_as_they_are(pair: tuple[NetDevice, NetDevice]) -> None:
    a, b = pair
    keep = Keep()
    dev_add_pack(b.net, keep)
    skb = frame(a, b'headers', b.dev_addr)
    page = bytes(60000)
    skb_add_frag(skb, page, 0, len(page))
    skb.ip_summed = CHECKSUM_PARTIAL
    skb.gso_size, skb.gso_segs, skb.gso_type = 1448, 42, SKB_GSO_TCPV4
    dev_queue_xmit(skb)
    got = keep.skbs[0]
    assert got is skb
    assert got.frags[0].page is page
    assert (got.ip_summed, got.gso_size, got.gso_segs) == (CHECKSUM_PARTIAL, 1448, 42)
    keep.free()


def test_nothing_of_the_sender_crosses(pair: tuple[NetDevice, NetDevice]) -> None:
    a, b = pair
    keep = Keep()
    dev_add_pack(b.net, keep)
    skb = frame(a, b'x', b.dev_addr, priority=6)
    skb.mark, skb.hash = 5, 77
    dev_queue_xmit(skb)
    got = keep.skbs[0]
    assert (got.mark, got.hash, got.priority, got.sk, got.dst) == (0, 0, 0, None, None)
    assert got.skb_iif == b.ifindex
    keep.free()


def test_an_end_that_is_down_takes_nothing(pair: tuple[NetDevice, NetDevice]) -> None:
    a, b = pair
    dev_close(b)
    dev_queue_xmit(frame(a, b'x', b.dev_addr))
    assert a.net.mib.drops == {SKB_DROP_REASON_DEV_READY: 1}
    assert a.stats.tx_dropped == 1


def test_a_frame_that_is_too_long_for_the_other_end(pair: tuple[NetDevice, NetDevice]) -> None:
    a, b = pair
    sink = Sink()
    dev_add_pack(b.net, sink)
    dev_queue_xmit(frame(a, bytes(1500 + 4), b.dev_addr))
    dev_queue_xmit(frame(a, bytes(1500 + 5), b.dev_addr))
    assert len(sink.got) == 1
    assert a.net.mib.drops == {SKB_DROP_REASON_PKT_TOO_BIG: 1}
    assert b.stats.rx_dropped == 1


def test_taken_apart(pair: tuple[NetDevice, NetDevice]) -> None:
    a, b = pair
    unregister_netdevice(b)
    dev_queue_xmit(frame(a, b'x', b.dev_addr))
    assert a.stats.tx_dropped == 1
