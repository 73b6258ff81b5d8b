# SPDX-License-Identifier: Apache-2.0
"""What a packet becomes before it is handed to a driver: summed, made linear, cut, or left alone."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers.devices import Card, bare_net, bare_world, card, frame
from linnet.include.linux.netdevice import (
    NETIF_F_HW_CSUM,
    NETIF_F_SG,
    NETIF_F_TSO,
    NETIF_F_TSO6,
    NETIF_F_TSO_ECN,
    NetDevice,
)
from linnet.include.linux.skbuff import (
    CHECKSUM_NONE,
    CHECKSUM_PARTIAL,
    CHECKSUM_UNNECESSARY,
    SKB_GSO_TCP_ECN,
    SKB_GSO_TCPV4,
    SKB_GSO_TCPV6,
    SkBuff,
)
from linnet.include.net.checksum import csum_fold, csum_partial
from linnet.include.net.dropreason import SKB_DROP_REASON_SKB_CSUM, SKB_DROP_REASON_SKB_GSO_SEG
from linnet.net.core.dev import dev_open, dev_queue_xmit, register_netdevice
from linnet.net.core.dev_xmit import netif_needs_gso, skb_checksum_help, validate_xmit_skb
from linnet.net.core.skbuff import consume_skb, skb_add_frag, skb_bytes


@pytest.fixture
def dev() -> Iterator[NetDevice]:
    world = bare_world()
    d = card(bare_net(world))
    d.no_queue = True
    register_netdevice(d)
    dev_open(d)
    yield d
    assert world.slab.active() == {}


def partial(dev: NetDevice, payload: bytes, csum_offset: int = 6) -> SkBuff:
    """A frame whose checksum, over all its payload, was left to the device."""
    skb = frame(dev, payload)
    skb.ip_summed = CHECKSUM_PARTIAL
    skb.csum_start = 14
    skb.csum_offset = csum_offset
    return skb


def test_a_checksum_is_made_for_a_device_that_cannot(dev: NetDevice) -> None:
    payload = bytes(range(1, 7)) + b'\x12\x34' + bytes(range(20))
    dev_queue_xmit(partial(dev, payload))
    assert isinstance(dev.netdev_ops, Card)
    sent = dev.netdev_ops.sent[0][14:]
    # the field held the pseudo header's sum, 0x1234: with the checksum in its place and that added, all is 0xffff
    assert csum_fold(csum_partial(sent, 0x1234)) == 0
    assert sent[:6] + sent[8:] == payload[:6] + payload[8:]


def test_it_is_left_alone_for_one_that_can(dev: NetDevice) -> None:
    dev.features |= NETIF_F_HW_CSUM | NETIF_F_SG
    skb = partial(dev, bytes(20))
    assert validate_xmit_skb(skb, dev) is skb
    assert skb.ip_summed == CHECKSUM_PARTIAL
    consume_skb(skb)


def test_the_field_may_lie_on_a_fragment(dev: NetDevice) -> None:
    skb = partial(dev, b'abc', 16)
    skb_add_frag(skb, bytes(range(50)), 0, 50)
    assert skb_checksum_help(skb) == 0
    assert skb.ip_summed == CHECKSUM_NONE
    data = skb_bytes(skb)[14:]
    assert int.from_bytes(data[16:18], 'big') == csum_fold(csum_partial(b'abc' + bytes(range(50)), 0))
    consume_skb(skb)


def test_a_udp_checksum_is_never_zero(dev: NetDevice) -> None:
    skb = partial(dev, b'\xff\xff' + bytes(10), 6)
    skb_checksum_help(skb)
    assert skb_bytes(skb)[20:22] == b'\xff\xff'
    consume_skb(skb)
    tcp = partial(dev, b'\xff\xff' + bytes(20), 16)
    skb_checksum_help(tcp)
    assert skb_bytes(tcp)[30:32] == b'\0\0'
    consume_skb(tcp)


@pytest.mark.parametrize('csum_offset', [19, 100])
def test_a_field_outside_of_the_packet(dev: NetDevice, csum_offset: int) -> None:
    assert validate_xmit_skb(partial(dev, bytes(20), csum_offset), dev) is None
    assert dev.net.mib.drops == {SKB_DROP_REASON_SKB_CSUM: 1}


def test_a_device_without_scatter_gather_gets_linear_packets(dev: NetDevice) -> None:
    skb = frame(dev, b'abc')
    skb_add_frag(skb, b'0123456789', 2, 5)
    assert validate_xmit_skb(skb, dev) is skb
    assert skb.frags == []
    assert skb.head[14:] == b'abc23456'
    consume_skb(skb)


ALL = NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN


@pytest.mark.parametrize(('gso_type', 'features', 'cut'), [
    (SKB_GSO_TCPV4, ALL, False), (SKB_GSO_TCPV4, NETIF_F_TSO, False), (SKB_GSO_TCPV4, 0, True),
    (SKB_GSO_TCPV4, NETIF_F_TSO6, True), (SKB_GSO_TCPV6, NETIF_F_TSO, True), (SKB_GSO_TCPV6, NETIF_F_TSO6, False),
    (SKB_GSO_TCPV4 | SKB_GSO_TCP_ECN, NETIF_F_TSO, True), (SKB_GSO_TCPV4 | SKB_GSO_TCP_ECN, ALL, False), (0, ALL, True),
])
def test_who_must_cut(dev: NetDevice, gso_type: int, features: int, cut: bool) -> None:
    skb = partial(dev, bytes(3000))
    skb.gso_size, skb.gso_segs, skb.gso_type = 1000, 3, gso_type
    assert netif_needs_gso(skb, dev, features) is cut
    skb.ip_summed = CHECKSUM_UNNECESSARY
    assert netif_needs_gso(skb, dev, features) is cut
    skb.ip_summed = CHECKSUM_NONE
    assert netif_needs_gso(skb, dev, features)
    consume_skb(skb)


def test_limits_of_the_device(dev: NetDevice) -> None:
    skb = partial(dev, bytes(3000))
    skb.gso_size, skb.gso_segs, skb.gso_type = 1000, 3, SKB_GSO_TCPV4
    dev.gso_max_size = 2999
    assert netif_needs_gso(skb, dev, ALL)
    dev.gso_max_size = 3000
    assert not netif_needs_gso(skb, dev, ALL)
    dev.gso_max_segs = 2
    assert netif_needs_gso(skb, dev, ALL)
    consume_skb(skb)


def test_what_nobody_can_cut_is_dropped_by_name(dev: NetDevice) -> None:
    skb = frame(dev, bytes(3000))
    skb.gso_size, skb.gso_segs, skb.gso_type = 1000, 3, SKB_GSO_TCPV4
    assert validate_xmit_skb(skb, dev) is None
    assert dev.net.mib.drops == {SKB_DROP_REASON_SKB_GSO_SEG: 1}
