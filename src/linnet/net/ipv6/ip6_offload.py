# SPDX-License-Identifier: Apache-2.0
"""IPv6's half of the offloads: cutting super-segments (GSO) and merging received segments (GRO).

Registered as the packet offload of ETH_P_IPV6 (net.offload_base); the transports are found in net.inet6_offloads by the number in
the next-header field, behind extension headers that every piece can carry along.

Merging demands that packets of one flow agree in all that a merged header can say once: addresses, flow label, extension headers
to the byte, traffic class and hop limit. There is no identification to count.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.in6 import IPPROTO_DSTOPTS, IPPROTO_HOPOPTS, IPPROTO_ROUTING
from linnet.include.linux.ipv6 import IPV6_FLOWLABEL_MASK, IPV6_HLEN, ipv6_payload_len, ipv6_set_payload_len
from linnet.include.linux.netdevice import GroCallbacks
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.unaligned import get_be32
from linnet.include.net.net_namespace import Net
from linnet.net.core.skbuff import pskb_may_pull, pskb_trim
from linnet.net.ipv6.exthdrs_core import ipv6_optlen


class Ipv6Offload(GroCallbacks):
    """Linux: ipv6_packet_offload."""

    def __init__(self, net: Net) -> None:
        super().__init__(ETH_P_IPV6)
        self.net: Net = net

    def gro_receive(self, head: list[SkBuff], skb: SkBuff) -> SkBuff | None:
        """See ipv6_gro_receive."""
        return ipv6_gro_receive(self.net, head, skb)

    def gro_complete(self, skb: SkBuff, nhoff: i64) -> int:
        """See ipv6_gro_complete."""
        return ipv6_gro_complete(self.net, skb, nhoff)

    def gso_segment(self, skb: SkBuff, features: i64) -> list[SkBuff]:
        """See ipv6_gso_segment."""
        return ipv6_gso_segment(self.net, skb, features)


def ipv6_exthdrs_len(skb: SkBuff, at: i64) -> i64:
    """Bytes of the IPv6 header at byte `at` of head and of the extension headers that pieces share; -1: they are cut off.

    They are linear afterwards, and skb.ip_protocol is what the last of them names.
    Linux: net/ipv6/ip6_offload.c, ipv6_gso_pull_exthdrs.
    """
    if not pskb_may_pull(skb, at + IPV6_HLEN - skb.data):
        return -1
    proto: i64 = i64(skb.head[at + 6])
    length: i64 = IPV6_HLEN
    while proto == IPPROTO_HOPOPTS or proto == IPPROTO_ROUTING or proto == IPPROTO_DSTOPTS:
        if not pskb_may_pull(skb, at + length + 8 - skb.data):
            return -1
        proto = i64(skb.head[at + length])
        length += ipv6_optlen(i64(skb.head[at + length + 1]))
        if not pskb_may_pull(skb, at + length - skb.data):
            return -1
    skb.ip_protocol = proto
    return length


def ipv6_gso_segment(net: Net, skb: SkBuff, features: i64) -> list[SkBuff]:
    """Cut skb, data at its IPv6 header.  Linux: net/ipv6/ip6_offload.c."""
    at = skb.data
    hlen = ipv6_exthdrs_len(skb, at)
    if hlen < 0:
        return []
    ops = net.inet6_offloads.get(int(skb.ip_protocol))
    skb.ip_protocol = i64(skb.head[at + 6])
    if ops is None:
        return []
    skb.network_header = at
    skb.data += hlen
    skb.len -= hlen
    skb.transport_header = skb.data
    segs = ops.gso_segment(skb, features)
    skb.data = at
    skb.len += hlen
    for seg in segs:
        nh = seg.network_header
        seg.head = ipv6_set_payload_len(seg.head, nh, seg.len + seg.data - nh - IPV6_HLEN)
    return segs


def ipv6_gro_receive(net: Net, head: list[SkBuff], skb: SkBuff) -> SkBuff | None:
    """Look for the held packet that skb (data at its IPv6 header) continues; what the transport says is to be flushed.

    Linux: net/ipv6/ip6_offload.c. A packet that can never be merged gets gro_flush and goes its way unchanged.
    """
    at = skb.data
    hlen = ipv6_exthdrs_len(skb, at)
    if hlen < 0:
        skb.gro_flush = True
        return None
    ops = net.inet6_offloads.get(int(skb.ip_protocol))
    h = skb.head
    length = ipv6_payload_len(h, at) + IPV6_HLEN
    if ops is None or (h[at] >> 4) != 6 or length <= hlen or length > skb.len:
        skb.gro_flush = True
        return None
    if length < skb.len:
        pskb_trim(skb, length)  # padding of a short frame
        h = skb.head
    first = get_be32(h, at)
    fixed = h[at + 8:at + hlen]
    for held in head:
        if not held.gro_same_flow:
            continue
        nh = held.network_header
        hh = held.head
        differs = first ^ get_be32(hh, nh)
        # addresses and extension headers to the byte; the flow label is part of the flow, the traffic class is not
        if ((differs & IPV6_FLOWLABEL_MASK) != 0 or h[at + 6] != hh[nh + 6] or held.transport_header - nh != hlen
                or hh[nh + 8:nh + hlen] != fixed):
            held.gro_same_flow = False
            continue
        held.gro_flush = differs != 0 or h[at + 7] != hh[nh + 7]
    skb.network_header = at
    skb.data += hlen
    skb.len -= hlen
    skb.transport_header = skb.data
    found = ops.gro_receive(head, skb)
    skb.data = at
    skb.len += hlen
    return found


def ipv6_gro_complete(net: Net, skb: SkBuff, nhoff: i64) -> int:
    """Write the merged length into the header at byte nhoff of head.  Linux: net/ipv6/ip6_offload.c."""
    skb.head = ipv6_set_payload_len(skb.head, nhoff, skb.len + skb.data - nhoff - IPV6_HLEN)
    hlen = ipv6_exthdrs_len(skb, nhoff)
    ops = net.inet6_offloads.get(int(skb.ip_protocol))
    if hlen < 0 or ops is None:
        return 0
    return ops.gro_complete(skb, nhoff + hlen)


def ipv6_offload_init(net: Net) -> None:
    """Register IPv6 with the device layer's offloads; the transports register themselves.  Linux: net/ipv6/ip6_offload.c."""
    net.offload_base[ETH_P_IPV6] = Ipv6Offload(net)
