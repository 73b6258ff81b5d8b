# SPDX-License-Identifier: Apache-2.0
"""Forwarding (RFC 1812): TTL, path MTU, redirects, options, the FORWARD hooks, and out.

    dst_input > ip_forward > nf_hook (FORWARD) > ip_forward_finish > dst_output_sk > ip_output
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.icmp import (
    ICMP_DEST_UNREACH,
    ICMP_EXC_TTL,
    ICMP_FRAG_NEEDED,
    ICMP_SR_FAILED,
    ICMP_TIME_EXCEEDED,
)
from linnet.include.linux.ip import (
    IP_DF,
    IPOPT_SSRR,
    IPSKB_DOREDIRECT,
    IPSKB_FORWARDED,
    ip_decrease_ttl,
    ip_frag_off,
    ip_ttl,
)
from linnet.include.linux.netfilter import NF_INET_FORWARD, NFPROTO_IPV4, nf_hook
from linnet.include.linux.skbuff import PACKET_HOST, SkBuff
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_IP_INHDR,
    SKB_DROP_REASON_IP_TTL_EXPIRED,
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_DROP_REASON_PKT_TOO_BIG,
)
from linnet.include.net.dst import DstInput, dst_output_sk
from linnet.include.net.net_namespace import Net
from linnet.include.net.route import Rtable
from linnet.include.net.snmp import (
    IPSTATS_MIB_FORWDATAGRAMS,
    IPSTATS_MIB_FRAGFAILS,
    IPSTATS_MIB_INDISCARDS,
    IPSTATS_MIB_INHDRERRORS,
    NET_INC_STATS,
)
from linnet.net.core.gso import skb_gso_network_seglen
from linnet.net.core.skbuff import kfree_skb_reason
from linnet.net.ipv4.icmp import icmp_send
from linnet.net.ipv4.ip_options import IPSKB_RR_NEEDADDR, IPSKB_TS_NEEDADDR, __ip_options_compile, be32
from linnet.net.ipv4.ip_output_local import ip_dst_mtu_maybe_forward, ip_send_check
from linnet.net.ipv4.ip_sockglue import rt_tos2priority
from linnet.net.ipv4.route import ip_rt_get_source
from linnet.net.ipv4.route_input import ip_rt_send_redirect


class IpForward(DstInput):
    """Routes through this host."""

    def input(self, skb: SkBuff) -> i64:
        """See ip_forward."""
        return ip_forward(skb)


def ip_forward_init(net: Net) -> None:
    """Let routes lead here."""
    net.ipv4.ip_forward = IpForward()


def ip_exceeds_mtu(skb: SkBuff, mtu: i64) -> bool:
    """Is skb too big to go on, with DF set? A super-segment is measured by its pieces.  Linux: net/ipv4/ip_forward.c."""
    if skb.len <= mtu:
        return False
    if (ip_frag_off(skb.head, skb.network_header) & IP_DF) == 0:
        return False
    if skb.frag_max_size > mtu:  # original fragment exceeds mtu and DF is set
        return True
    if skb.ignore_df:
        return False
    return skb.gso_size == 0 or skb_gso_network_seglen(skb) > mtu


def ip_forward(skb: SkBuff) -> i64:
    """Send skb on towards its destination.  Linux: net/ipv4/ip_forward.c."""
    rt = skb.dst
    assert isinstance(rt, Rtable)
    dev = skb.dev
    net = rt.dev.net
    if skb.pkt_type != PACKET_HOST or skb.sk is not None:
        NET_INC_STATS(net, IPSTATS_MIB_INDISCARDS)
        kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED)
        return 1
    if ip_ttl(skb.head, skb.network_header) <= 1:
        NET_INC_STATS(net, IPSTATS_MIB_INHDRERRORS)
        icmp_send(skb, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0)
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_TTL_EXPIRED)
        return 1
    if len(skb.ip_opt) != 0 and IPOPT_SSRR in skb.ip_opt and rt.rt_uses_gateway and _is_strict(net, skb):
        icmp_send(skb, ICMP_DEST_UNREACH, ICMP_SR_FAILED, 0)
        NET_INC_STATS(net, IPSTATS_MIB_INDISCARDS)
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_INHDR)
        return 1
    skb.ip_flags |= IPSKB_FORWARDED
    mtu = ip_dst_mtu_maybe_forward(rt, True)
    if skb.len > mtu and ip_exceeds_mtu(skb, mtu):
        NET_INC_STATS(net, IPSTATS_MIB_FRAGFAILS)
        icmp_send(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu)
        kfree_skb_reason(skb, SKB_DROP_REASON_PKT_TOO_BIG)
        return 1
    skb.head = ip_decrease_ttl(skb.head, skb.network_header)
    skb.ttl -= 1
    if (skb.ip_flags & IPSKB_DOREDIRECT) != 0 and len(skb.ip_opt) == 0:
        ip_rt_send_redirect(skb)
    skb.priority = rt_tos2priority(skb.tos) if skb.tos != 0 else 0
    ret = nf_hook(NFPROTO_IPV4, NF_INET_FORWARD, net, None, skb, dev, rt.dev)
    if ret != 1:
        return ret
    return ip_forward_finish(net, skb)


def _is_strict(net: Net, skb: SkBuff) -> bool:
    opt = __ip_options_compile(net, skb.ip_opt, True)
    return opt.srr >= 0 and opt.is_strictroute


def ip_forward_finish(net: Net, skb: SkBuff) -> i64:
    """The hooks let it pass: complete its options, and out.  Linux: net/ipv4/ip_forward.c."""
    NET_INC_STATS(net, IPSTATS_MIB_FORWDATAGRAMS)
    if len(skb.ip_opt) != 0:
        ip_forward_options(net, skb)
    skb.tstamp = 0
    return dst_output_sk(None, skb)


def ip_forward_options(net: Net, skb: SkBuff) -> None:
    """Put the address it leaves from into record-route and timestamp options, whose room was reserved when it came in.

    Linux: net/ipv4/ip_options.c.
    """
    rt = skb.dst
    assert isinstance(rt, Rtable)
    data = bytearray(skb.ip_opt)
    opt = __ip_options_compile(net, skb.ip_opt, True)
    changed = False
    if (skb.ip_flags & IPSKB_RR_NEEDADDR) != 0 and opt.rr >= 0:
        at = int(opt.rr)
        slot = at + data[at + 2] - 5
        data[slot:slot + 4] = be32(ip_rt_get_source(skb, rt))
        changed = True
    if (skb.ip_flags & IPSKB_TS_NEEDADDR) != 0 and opt.ts >= 0:
        at = int(opt.ts)
        slot = at + data[at + 2] - 9
        data[slot:slot + 4] = be32(ip_rt_get_source(skb, rt))
        changed = True
    if changed:
        nh = skb.network_header
        skb.ip_opt = bytes(data)
        skb.head = skb.head[:nh + 20] + skb.ip_opt + skb.head[nh + 20 + len(skb.ip_opt):]
        ip_send_check(skb)
