# SPDX-License-Identifier: Apache-2.0
"""The flow hash: equal for equal flows, spread for different ones, and the queue that follows from it."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helpers.devices import Card, bare_net, bare_world, card, frame
from linnet.include.net.ipv6 import ipv6_addr_hash
from linnet.net.core.dev import register_netdevice
from linnet.net.core.flow_dissector import flow_hash, netdev_pick_tx, skb_get_hash
from linnet.net.core.skbuff import consume_skb

U32 = st.integers(0, 0xFFFFFFFF)


@given(U32, U32, U32, U32, st.integers(0, 255))
def test_a_hash_has_32_bits_and_is_the_same_every_time(secret: int, saddr: int, daddr: int, ports: int, proto: int) -> None:
    h = flow_hash(secret, saddr, daddr, ports, proto)
    assert 0 <= h < 1 << 32
    assert h == flow_hash(secret, saddr, daddr, ports, proto)


def test_neighbouring_flows_spread_evenly() -> None:
    counts = [0] * 8
    for port in range(4096):
        counts[flow_hash(12345, 0x0A000001, 0x0A000002, (port << 16) | 80, 6) * 8 >> 32] += 1
    assert all(400 < n < 640 for n in counts)


def test_another_secret_deals_flows_otherwise() -> None:
    queues = [[flow_hash(secret, 1, 2, port, 6) * 8 >> 32 for port in range(64)] for secret in (1, 2)]
    assert queues[0] != queues[1]


def test_the_hash_is_kept() -> None:
    world = bare_world()
    dev = card(bare_net(world), 'eth0', Card(), 4)
    register_netdevice(dev)
    skb = frame(dev)
    h = skb_get_hash(skb, 1)
    assert h != 0
    skb.saddr = 99
    assert skb_get_hash(skb, 1) == h
    skb.hash = 0xFFFFFFFF
    assert netdev_pick_tx(dev, skb) is dev.tx[3]
    assert skb.queue_mapping == 3
    skb.hash = 1 << 30
    assert netdev_pick_tx(dev, skb) is dev.tx[1]
    consume_skb(skb)


def test_one_queue_needs_no_hash() -> None:
    world = bare_world()
    dev = card(bare_net(world))
    register_netdevice(dev)
    skb = frame(dev)
    assert netdev_pick_tx(dev, skb) is dev.tx[0]
    assert skb.hash == 0
    consume_skb(skb)


@given(st.integers(0, 127), st.integers(0, 2**128 - 1))
def test_each_bit_of_an_ipv6_address_counts(bit: int, addr: int) -> None:
    assert ipv6_addr_hash(addr) != ipv6_addr_hash(addr ^ (1 << bit))
    assert 0 <= ipv6_addr_hash(addr) < 1 << 32


def test_ipv6_packets_are_told_apart_by_their_addresses() -> None:
    world = bare_world()
    dev = card(bare_net(world), 'eth0', Card(), 4)
    register_netdevice(dev)
    hashes = set()
    for last in range(16):
        skb = frame(dev)
        skb.protocol = 0x86DD
        skb.saddr6, skb.daddr6 = 0x20010DB8 << 96 | last, 0x20010DB8 << 96 | 99
        hashes.add(int(skb_get_hash(skb, 1)))
    assert len(hashes) == 16
