# SPDX-License-Identifier: Apache-2.0
"""The last steps before the driver: make a packet fit for the device (segment it, sum it), show it to the taps, hand it over.

These are functions of Linux's dev.c that the qdisc layer calls; they stand below it in a file of their own, so that imports point
down: dev.py -> sched/sch_generic.py -> dev_xmit.py.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.netdevice import (
    NETDEV_TX_BUSY,
    NETIF_F_HW_CSUM,
    NETIF_F_SG,
    NETIF_F_TSO,
    NETIF_F_TSO6,
    NETIF_F_TSO_ECN,
    NetDevice,
    NetdevQueue,
    PacketType,
    netdev_start_xmit,
    netif_xmit_stopped,
)
from linnet.include.linux.skbuff import (
    CHECKSUM_NONE,
    CHECKSUM_PARTIAL,
    CHECKSUM_UNNECESSARY,
    PACKET_OUTGOING,
    SKB_GSO_TCP_ECN,
    SKB_GSO_TCPV4,
    SKB_GSO_TCPV6,
    SkBuff,
    skb_is_gso,
)
from linnet.include.linux.tcp import put_check
from linnet.include.net.checksum import csum_fold
from linnet.include.net.dropreason import SKB_DROP_REASON_SKB_CSUM, SKB_DROP_REASON_SKB_GSO_SEG
from linnet.include.trace.events.net import trace_net_dev_start_xmit, trace_net_dev_xmit
from linnet.net.core.gso import skb_gso_segment
from linnet.net.core.skbuff import (
    __skb_linearize,
    consume_skb,
    kfree_skb_list_reason,
    kfree_skb_reason,
    pskb_may_pull,
    skb_checksum,
    skb_clone,
)

LINUX_FILE: Final = 'net/core/dev.c'
UDP_CSUM_OFFSET: Final = 6


def skb_checksum_help(skb: SkBuff) -> int:
    """Make the checksum that was left to the device. 0, or -1 where the field lies outside of the packet.

    Linux: net/core/dev.c. A UDP checksum of 0 goes out as 0xffff (RFC 768).
    """
    start = skb.csum_start
    field = start + skb.csum_offset
    offset = start - skb.data
    if offset < 0 or offset >= skb.len or not pskb_may_pull(skb, field - skb.data + 2):
        return -1
    check = csum_fold(skb_checksum(skb, offset, skb.len - offset, 0))
    if check == 0 and skb.csum_offset == UDP_CSUM_OFFSET:
        check = 0xFFFF
    skb.head = put_check(skb.head, field, check)
    skb.ip_summed = CHECKSUM_NONE
    return 0


def netif_needs_gso(skb: SkBuff, dev: NetDevice, features: i64) -> bool:
    """Must this super-segment be cut here, because the device cannot?  Linux: include/linux/netdevice.h."""
    gso_type = skb.gso_type
    need: i64 = 0
    if (gso_type & SKB_GSO_TCPV4) != 0:
        need |= NETIF_F_TSO
    if (gso_type & SKB_GSO_TCPV6) != 0:
        need |= NETIF_F_TSO6
    if (gso_type & SKB_GSO_TCP_ECN) != 0:
        need |= NETIF_F_TSO_ECN
    if need == 0 or (features & need) != need:
        return True
    return (skb.len > dev.gso_max_size + dev.hard_header_len or skb.gso_segs > dev.gso_max_segs
            or (skb.ip_summed != CHECKSUM_PARTIAL and skb.ip_summed != CHECKSUM_UNNECESSARY))


def validate_xmit_skb(skb: SkBuff, dev: NetDevice) -> SkBuff | None:
    """What of skb the device can send: itself, its segments linked by next, or None where it had to be dropped.

    Linux: net/core/dev.c.
    """
    features = dev.features
    if skb_is_gso(skb) and netif_needs_gso(skb, dev, features):
        segs = skb_gso_segment(skb, features)
        if not segs:
            kfree_skb_reason(skb, SKB_DROP_REASON_SKB_GSO_SEG)
            return None
        consume_skb(skb)
        first = segs[0]
        last = first
        for seg in segs[1:]:
            last.next = seg
            last = seg
        last.next = None
        if (features & NETIF_F_HW_CSUM) == 0:
            walk: SkBuff | None = first
            while walk is not None:
                if walk.ip_summed == CHECKSUM_PARTIAL:
                    skb_checksum_help(walk)
                walk = walk.next
        return first
    if skb.data_len != 0 and (features & NETIF_F_SG) == 0:
        __skb_linearize(skb)
    if skb.ip_summed == CHECKSUM_PARTIAL and (features & NETIF_F_HW_CSUM) == 0 and skb_checksum_help(skb) != 0:
        kfree_skb_reason(skb, SKB_DROP_REASON_SKB_CSUM)
        return None
    return skb


def dev_queue_xmit_nit(skb: SkBuff, dev: NetDevice) -> None:
    """Give every tap a clone of what is about to be sent, its data at the mac header.  Linux: net/core/dev.c."""
    for ptype in dev.net.ptype_all:
        _deliver_outgoing(skb, dev, ptype)
    for ptype in dev.ptype_all:
        _deliver_outgoing(skb, dev, ptype)


def _deliver_outgoing(skb: SkBuff, dev: NetDevice, ptype: PacketType) -> None:
    if ptype.dev is not None and ptype.dev is not dev:
        return
    clone = skb_clone(skb)
    clone.tx_flags = 0
    clone.mac_header = clone.data
    clone.dev = dev
    clone.tstamp = dev.net.clock.now
    clone.pkt_type = PACKET_OUTGOING
    ptype.func(clone, dev, dev)


def xmit_one(skb: SkBuff, dev: NetDevice, txq: NetdevQueue, more: bool) -> i64:
    """Hand one packet to the driver, past the taps.  Linux: net/core/dev.c."""
    if dev.ptype_all or dev.net.ptype_all:
        dev_queue_xmit_nit(skb, dev)
    trace_net_dev_start_xmit(skb)
    rc = netdev_start_xmit(skb, dev, txq, more)
    trace_net_dev_xmit(skb, int(rc))
    return rc


def dev_hard_start_xmit(first: SkBuff, dev: NetDevice, txq: NetdevQueue) -> SkBuff | None:
    """Send a chain of packets linked by next; what the driver did not take is returned.

    Linux: net/core/dev.c, where the driver's answer comes through a pointer: here it was NETDEV_TX_BUSY exactly where something
    is returned.
    """
    skb: SkBuff | None = first
    while skb is not None:
        following = skb.next
        skb.next = None
        if xmit_one(skb, dev, txq, following is not None) == NETDEV_TX_BUSY:
            skb.next = following
            return skb
        skb = following
        if skb is not None and netif_xmit_stopped(txq):
            return skb
    return None


def drop_unsent(skb: SkBuff | None, dev: NetDevice, reason: i64) -> None:
    """Drop what a device without a queue did not take."""
    if skb is not None:
        dev.stats.tx_dropped += 1
        kfree_skb_list_reason(skb, reason)
