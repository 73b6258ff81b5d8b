# SPDX-License-Identifier: Apache-2.0
"""Ethernet headers, both ways."""
from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.devices import ME, YOU, bare_net, bare_world, card
from linnet.include.linux.if_ether import ETH_BROADCAST, ETH_HLEN, ETH_P_802_2, ETH_P_802_3, ETH_P_ARP, ETH_P_IP, ETH_ZERO
from linnet.include.linux.netdevice import IFF_LOOPBACK, NetDevice
from linnet.include.linux.skbuff import (
    PACKET_BROADCAST,
    PACKET_HOST,
    PACKET_MULTICAST,
    PACKET_OTHERHOST,
    SkBuff,
)
from linnet.kernel.errno import EADDRNOTAVAIL, EBUSY
from linnet.net.core.dev import dev_open, register_netdevice
from linnet.net.core.skbuff import alloc_skb, consume_skb, skb_bytes, skb_from_bytes
from linnet.net.ethernet.eth import eth_header, eth_header_parse, eth_hw_addr_next, eth_mac_addr, eth_type_trans


@pytest.fixture
def dev() -> Iterator[NetDevice]:
    world = bare_world()
    d = card(bare_net(world))
    yield d
    assert world.slab.active() == {}


def packet(dev: NetDevice, data: bytes) -> SkBuff:
    skb = alloc_skb(dev.net.world, len(data))
    skb.head = data
    skb.len = len(data)
    return skb


def test_the_header_down(dev: NetDevice) -> None:
    skb = packet(dev, b'ip')
    assert eth_header(skb, dev, ETH_P_IP, YOU, None) == ETH_HLEN
    assert skb_bytes(skb) == YOU + ME + b'\x08\0ip'
    consume_skb(skb)


def test_another_source(dev: NetDevice) -> None:
    skb = packet(dev, b'')
    eth_header(skb, dev, ETH_P_ARP, ETH_BROADCAST, YOU)
    assert skb_bytes(skb) == ETH_BROADCAST + YOU + b'\x08\x06'
    consume_skb(skb)


def test_an_unknown_destination_is_an_error_but_not_on_lo(dev: NetDevice) -> None:
    skb = packet(dev, b'')
    assert eth_header(skb, dev, ETH_P_IP, None, None) < 0
    consume_skb(skb)
    dev.flags |= IFF_LOOPBACK
    skb = packet(dev, b'')
    assert eth_header(skb, dev, ETH_P_IP, None, None) == ETH_HLEN
    assert skb_bytes(skb)[:6] == ETH_ZERO
    consume_skb(skb)


def test_an_802_3_frame_has_its_length(dev: NetDevice) -> None:
    skb = packet(dev, b'\xaa' * 38)
    eth_header(skb, dev, ETH_P_802_2, YOU, None)
    assert skb_bytes(skb)[12:14] == b'\0\x26'
    consume_skb(skb)


@pytest.mark.parametrize(('dest', 'kind'), [
    (ME, PACKET_HOST), (YOU, PACKET_OTHERHOST), (ETH_BROADCAST, PACKET_BROADCAST), (b'\x01\0\x5e\0\0\x01', PACKET_MULTICAST),
])
@pytest.mark.parametrize('hlen', [0, 6, 14, 34])
def test_the_header_up(dev: NetDevice, dest: bytes, kind: int, hlen: int) -> None:
    skb = skb_from_bytes(dev.net.world, dest + YOU + b'\x08\0' + bytes(20), hlen)
    assert eth_type_trans(skb, dev) == ETH_P_IP
    assert (skb.protocol, skb.pkt_type, skb.dev, skb.len) == (ETH_P_IP, kind, dev, 20)
    assert eth_header_parse(skb) == YOU
    assert skb.data - skb.mac_header == ETH_HLEN
    consume_skb(skb)


@pytest.mark.parametrize(('payload', 'proto'), [(b'\xaa\xaa\x03', ETH_P_802_2), (b'\xff\xff\0', ETH_P_802_3), (b'', ETH_P_802_2)])
def test_a_length_in_place_of_a_type(dev: NetDevice, payload: bytes, proto: int) -> None:
    skb = skb_from_bytes(dev.net.world, ME + YOU + len(payload).to_bytes(2, 'big') + payload, 60)
    assert eth_type_trans(skb, dev) == proto
    consume_skb(skb)


@given(st.binary(max_size=30))
def test_no_frame_is_too_short_to_be_survived(data: bytes) -> None:
    world = bare_world()
    dev = card(bare_net(world))
    skb = skb_from_bytes(world, data, 4)
    eth_type_trans(skb, dev)
    assert skb.len == (len(data) - 14 if len(data) >= 14 else len(data))
    consume_skb(skb)


def test_addresses(dev: NetDevice) -> None:
    assert eth_hw_addr_next(dev.net.world) == b'\x02\0\0\0\0\x01'
    assert eth_hw_addr_next(dev.net.world) == b'\x02\0\0\0\0\x02'
    for bad in (b'', ETH_ZERO, ETH_BROADCAST, b'\x01\0\0\0\0\0'):
        assert eth_mac_addr(dev, bad) == -EADDRNOTAVAIL
    assert eth_mac_addr(dev, YOU) == 0
    assert dev.dev_addr == YOU
    register_netdevice(dev)
    dev_open(dev)
    assert eth_mac_addr(dev, ME) == -EBUSY
