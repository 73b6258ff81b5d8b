# SPDX-License-Identifier: Apache-2.0
"""TCP's half of the offloads over IPv6: the pseudo header differs from IPv4's, all else is net/ipv4/tcp_offload.py's."""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.inet import IPPROTO_TCP
from linnet.include.linux.ipv6 import ipv6_daddr, ipv6_saddr
from linnet.include.linux.netdevice import GroCallbacks
from linnet.include.linux.skbuff import CHECKSUM_NONE, CHECKSUM_UNNECESSARY, SKB_GSO_TCPV6, SkBuff
from linnet.include.linux.tcp import TCP_HLEN, th_flags, th_seq
from linnet.include.net.ipv6 import csum_ipv6_magic
from linnet.include.net.net_namespace import Net
from linnet.net.core.skbuff import pskb_may_pull, skb_checksum
from linnet.net.ipv4.tcp_offload import tcp_gro_complete, tcp_gro_receive, tcp_gso_segment, tcp_patch


class Tcpv6Offload(GroCallbacks):
    """Linux: net_hotdata.tcpv6_offload."""

    def __init__(self) -> None:
        super().__init__(IPPROTO_TCP)

    def gro_receive(self, head: list[SkBuff], skb: SkBuff) -> SkBuff | None:
        """See tcp6_gro_receive."""
        return tcp6_gro_receive(head, skb)

    def gro_complete(self, skb: SkBuff, nhoff: i64) -> int:
        """See tcp6_gro_complete."""
        return tcp6_gro_complete(skb, nhoff)

    def gso_segment(self, skb: SkBuff, features: i64) -> list[SkBuff]:
        """See tcp6_gso_segment."""
        return tcp6_gso_segment(skb, features)


def tcp6_gso_segment(skb: SkBuff, features: i64) -> list[SkBuff]:
    """Cut skb, data at its TCP header.  Linux: net/ipv6/tcpv6_offload.c."""
    if (skb.gso_type & SKB_GSO_TCPV6) == 0 or not pskb_may_pull(skb, TCP_HLEN):
        return []
    return tcp_gso_segment(skb, features)


def tcp6_gro_receive(head: list[SkBuff], skb: SkBuff) -> SkBuff | None:
    """Merge skb, data at its TCP header, if its checksum is right.  Linux: net/ipv6/tcpv6_offload.c."""
    if skb.ip_summed == CHECKSUM_NONE:
        nh = skb.network_header
        h = skb.head
        total = skb_checksum(skb, 0, skb.len, 0)
        if csum_ipv6_magic(ipv6_saddr(h, nh), ipv6_daddr(h, nh), skb.len, IPPROTO_TCP, total) != 0:
            skb.gro_flush = True
            return None
        skb.ip_summed = CHECKSUM_UNNECESSARY
    return tcp_gro_receive(head, skb)


def tcp6_gro_complete(skb: SkBuff, nhoff: i64) -> int:
    """Finish a merged packet whose TCP header is at byte nhoff of head.  Linux: net/ipv6/tcpv6_offload.c."""
    nh = skb.network_header
    h = skb.head
    length = skb.len + skb.data - nhoff
    check = 0xFFFF - csum_ipv6_magic(ipv6_saddr(h, nh), ipv6_daddr(h, nh), length, IPPROTO_TCP, 0)
    skb.head = tcp_patch(h, nhoff, th_seq(h, nhoff), th_flags(h, nhoff), check)
    skb.gso_type |= SKB_GSO_TCPV6
    return tcp_gro_complete(skb, nhoff)


def tcpv6_offload_init(net: Net) -> None:
    """Register TCP with IPv6's offloads.  Linux: net/ipv6/tcpv6_offload.c."""
    net.inet6_offloads[IPPROTO_TCP] = Tcpv6Offload()
