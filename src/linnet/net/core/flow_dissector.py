# SPDX-License-Identifier: Apache-2.0
"""Flows: the hash of a packet's addresses and ports, and the transmit queue that follows from it.

All packets of a flow take one queue, so that they stay in order.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.netdevice import NetDevice, NetdevQueue, netdev_get_tx_queue
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.ipv6 import ipv6_addr_hash


def flow_hash(net_secret: i64, saddr: i64, daddr: i64, ports: i64, protocol: i64) -> i64:
    """32 bits that depend on all of it (multiply and fold; for spreading load, not against attackers).

    Multipliers have 31 bits, so that no product of them with 32 bits leaves an i64.
    """
    h = (saddr * 0x4F1BBCDD + net_secret) & 0xFFFFFFFF
    h = ((h ^ daddr) * 0x45EBCA77) & 0xFFFFFFFF
    h ^= h >> 15
    h = ((h ^ ports) * 0x42B2AE3D) & 0xFFFFFFFF
    h ^= h >> 13
    h = ((h ^ protocol) * 0x27D4EB2F) & 0xFFFFFFFF
    return h ^ (h >> 16)


def skb_get_hash(skb: SkBuff, net_secret: i64) -> i64:
    """The packet's flow hash, computed once.  Linux: include/linux/skbuff.h."""
    h = skb.hash
    if h == 0:
        saddr = skb.saddr
        daddr = skb.daddr
        if skb.protocol == ETH_P_IPV6:
            saddr = ipv6_addr_hash(skb.saddr6)
            daddr = ipv6_addr_hash(skb.daddr6)
        h = flow_hash(net_secret, saddr, daddr, (skb.sport << 16) | skb.dport, skb.ip_protocol) | 1
        skb.hash = h
    return h


def netdev_pick_tx(dev: NetDevice, skb: SkBuff) -> NetdevQueue:
    """Choose the transmit queue: the driver's choice, else by the flow's hash.  Linux: net/core/flow_dissector.c (3.19)."""
    index: i64 = 0
    if dev.real_num_tx_queues > 1:
        index = dev.netdev_ops.ndo_select_queue(dev, skb)
        if index < 0:
            index = (skb_get_hash(skb, dev.net.hash_mix) * dev.real_num_tx_queues) >> 32
    skb.queue_mapping = index
    return netdev_get_tx_queue(dev, index)
