# SPDX-License-Identifier: Apache-2.0
"""IPv4's half of the offloads: cutting super-segments (GSO) and merging received segments (GRO).

Registered as the packet offload of ETH_P_IP (net.offload_base); the transports are found in net.inet_offloads by protocol
number. Linux has these functions in af_inet.c; they stand in a file of their own so that af_inet.py stays readable.

Merging demands that packets of one flow agree in all that a merged header can say once: addresses, TOS, TTL, DF, and
identifications that count up (RFC 6864 lets a DF packet carry any).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IP
from linnet.include.linux.ip import (
    IP_DF,
    IP_HLEN,
    ip_daddr,
    ip_fast_csum,
    ip_frag_off,
    ip_id,
    ip_ihl,
    ip_protocol,
    ip_saddr,
    ip_tos,
    ip_tot_len,
    ip_ttl,
    ip_version,
    iphdr_build,
)
from linnet.include.linux.netdevice import GroCallbacks
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.net_namespace import Net
from linnet.net.core.skbuff import pskb_may_pull, pskb_trim

LINUX_FILE: Final = 'net/ipv4/af_inet.c'


class InetOffload(GroCallbacks):
    """Linux: ip_packet_offload."""

    def __init__(self, net: Net) -> None:
        super().__init__(ETH_P_IP)
        self.net: Net = net

    def gro_receive(self, head: list[SkBuff], skb: SkBuff) -> SkBuff | None:
        """See inet_gro_receive."""
        return inet_gro_receive(self.net, head, skb)

    def gro_complete(self, skb: SkBuff, nhoff: i64) -> int:
        """See inet_gro_complete."""
        return inet_gro_complete(self.net, skb, nhoff)

    def gso_segment(self, skb: SkBuff, features: i64) -> list[SkBuff]:
        """See inet_gso_segment."""
        return inet_gso_segment(self.net, skb, features)


def inet_gso_segment(net: Net, skb: SkBuff, features: i64) -> list[SkBuff]:
    """Cut skb, data at its IP header: the identification counts up from piece to piece.  Linux: net/ipv4/af_inet.c."""
    at = skb.data
    if not pskb_may_pull(skb, IP_HLEN):
        return []
    ihl = ip_ihl(skb.head, at)
    ops = net.inet_offloads.get(int(ip_protocol(skb.head, at)))
    if ihl < IP_HLEN or ops is None or not pskb_may_pull(skb, ihl):
        return []
    skb.network_header = at
    skb.data += ihl
    skb.len -= ihl
    skb.transport_header = skb.data
    segs = ops.gso_segment(skb, features)
    skb.data = at
    skb.len += ihl
    ident = ip_id(skb.head, at)
    for seg in segs:
        ip_set_length(seg, seg.network_header, ident)
        ident = (ident + 1) & 0xFFFF
    return segs


def ip_set_length(skb: SkBuff, nhoff: i64, ident: i64) -> None:
    """Rebuild the IP header at byte nhoff of head for the packet's present length, with this identification."""
    head = skb.head
    ihl = ip_ihl(head, nhoff)
    tot_len = skb.len + skb.data - nhoff
    header = iphdr_build(
        ip_tos(head, nhoff), tot_len, ident, ip_frag_off(head, nhoff), ip_ttl(head, nhoff), ip_protocol(head, nhoff),
        ip_saddr(head, nhoff), ip_daddr(head, nhoff), head[nhoff + IP_HLEN:nhoff + ihl],
    )
    skb.head = head[:nhoff] + header + head[nhoff + ihl:]


def inet_gro_receive(net: Net, head: list[SkBuff], skb: SkBuff) -> SkBuff | None:
    """Look for the held packet that skb (data at its IP header) continues; what the transport says is to be flushed.

    Linux: net/ipv4/af_inet.c. A packet that can never be merged gets gro_flush and goes its way unchanged.
    """
    at = skb.data
    if not pskb_may_pull(skb, IP_HLEN):
        skb.gro_flush = True
        return None
    h = skb.head
    ops = net.inet_offloads.get(int(ip_protocol(h, at)))
    tot_len = ip_tot_len(h, at)
    if (ops is None or ip_version(h, at) != 4 or ip_ihl(h, at) != IP_HLEN or ip_fast_csum(h, at, IP_HLEN) != 0
            or tot_len < IP_HLEN or tot_len > skb.len or (ip_frag_off(h, at) & ~IP_DF) != 0):
        skb.gro_flush = True
        return None
    if tot_len < skb.len:
        pskb_trim(skb, tot_len)  # padding of a short frame
        h = skb.head
    flush_all = False
    for held in head:
        if not held.gro_same_flow:
            continue
        nh = held.network_header
        hh = held.head
        if (ip_saddr(h, at) != ip_saddr(hh, nh) or ip_daddr(h, at) != ip_daddr(hh, nh)
                or ip_protocol(h, at) != ip_protocol(hh, nh)):
            held.gro_same_flow = False
            continue
        held.gro_flush = (
            ip_ttl(h, at) != ip_ttl(hh, nh) or ip_tos(h, at) != ip_tos(hh, nh) or ip_frag_off(h, at) != ip_frag_off(hh, nh)
            or ip_id(h, at) != (ip_id(hh, nh) + held.gro_count) & 0xFFFF
        )
        flush_all = flush_all or held.gro_flush
    skb.network_header = at
    skb.data += IP_HLEN
    skb.len -= IP_HLEN
    skb.transport_header = skb.data
    found = ops.gro_receive(head, skb)
    skb.data = at
    skb.len += IP_HLEN
    return found


def inet_gro_complete(net: Net, skb: SkBuff, nhoff: i64) -> int:
    """Write the merged length into the header at byte nhoff of head.  Linux: net/ipv4/af_inet.c."""
    ip_set_length(skb, nhoff, ip_id(skb.head, nhoff))
    ops = net.inet_offloads.get(int(ip_protocol(skb.head, nhoff)))
    if ops is None:
        return 0
    return ops.gro_complete(skb, nhoff + ip_ihl(skb.head, nhoff))


def ipv4_offload_init(net: Net) -> None:
    """Register IPv4 with the device layer's offloads; the transports register themselves.  Linux: net/ipv4/af_inet.c."""
    net.offload_base[ETH_P_IP] = InetOffload(net)
