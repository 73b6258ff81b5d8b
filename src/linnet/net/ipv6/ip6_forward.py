# SPDX-License-Identifier: Apache-2.0
"""Forwarding: hop limit, source address, path MTU, redirects, the FORWARD hooks, and out.  RFC 8200; RFC 4443; RFC 4861, 8.2.

    dst_input > ip6_forward > nf_hook (FORWARD) > ip6_forward_finish > dst_output_sk > ip6_output

A router does not fragment: what is too big for the next link goes back as a message (RFC 8201).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmpv6 import (
    ICMPV6_DEST_UNREACH,
    ICMPV6_EXC_HOPLIMIT,
    ICMPV6_NOT_NEIGHBOUR,
    ICMPV6_PKT_TOOBIG,
    ICMPV6_TIME_EXCEED,
    NDISC_REDIRECT,
    NDISC_ROUTER_SOLICITATION,
)
from linnet.include.linux.in6 import IPPROTO_ICMPV6
from linnet.include.linux.ipv6 import IP6SKB_FORWARDED, IPV6_HLEN, IPV6_MIN_MTU, ipv6_decrease_hop_limit, ipv6_nexthdr
from linnet.include.linux.netfilter import NF_INET_FORWARD, NFPROTO_IPV6, nf_hook
from linnet.include.linux.skbuff import PACKET_HOST, SkBuff
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_IP_FORWARDING_DISABLED,
    SKB_DROP_REASON_IP_INADDRERRORS,
    SKB_DROP_REASON_IP_TTL_EXPIRED,
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_DROP_REASON_PKT_TOO_BIG,
)
from linnet.include.net.dst import DstInput, dst_output_sk
from linnet.include.net.ip6_fib import Rt6Info, rt6_nexthop
from linnet.include.net.ipv6 import (
    IPV6_ADDR_ANY,
    IPV6_ADDR_LINKLOCAL,
    IPV6_ADDR_LOOPBACK,
    IPV6_ADDR_MULTICAST,
    ipv6_addr_type,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import (
    IP6_INC_STATS,
    IPSTATS_MIB_FORWDATAGRAMS,
    IPSTATS_MIB_FRAGFAILS,
    IPSTATS_MIB_INADDRERRORS,
    IPSTATS_MIB_INHDRERRORS,
    IPSTATS_MIB_INTOOBIGERRORS,
)
from linnet.kernel.errno import EINVAL, EMSGSIZE, ETIMEDOUT
from linnet.net.core.gso import skb_gso_network_seglen
from linnet.net.core.skbuff import kfree_skb_reason
from linnet.net.ipv4.inetpeer import inet_getpeer_v6, inet_peer_xrlim_allow
from linnet.net.ipv6.exthdrs_core import ipv6_skip_exthdr
from linnet.net.ipv6.ip6_input import ip6_input
from linnet.net.ipv6.ip6_output_local import ip6_dst_mtu_maybe_forward
from linnet.net.ipv6.ndisc import pndisc_is_router
from linnet.net.ipv6.ndisc_send import REDIRECT_INTERVAL, ndisc_send_redirect
from linnet.net.ipv6.route_alloc import ip6_link_failure

LINUX_FILE: Final = 'net/ipv6/ip6_output.c'


class Ip6Forward(DstInput):
    """Routes through this host."""

    def input(self, skb: SkBuff) -> i64:
        """See ip6_forward."""
        return ip6_forward(skb)


def ip6_forward_init(net: Net) -> None:
    """Let routes lead here."""
    net.ipv6.ip6_forward = Ip6Forward()


def ip6_pkt_too_big(skb: SkBuff, mtu: i64) -> bool:
    """Is skb too big to go on? A super-segment is measured by its pieces.  Linux: net/ipv6/ip6_output.c."""
    if skb.len <= mtu:
        return False
    if skb.frag_max_size > mtu:
        return True
    if skb.ignore_df:
        return False
    return skb.gso_size == 0 or skb_gso_network_seglen(skb) > mtu


def ip6_forward(skb: SkBuff) -> i64:
    """Send skb on towards its destination.  Linux: net/ipv6/ip6_output.c.

    What turns out to be too big was counted as forwarded by then, as Linux has it.
    """
    rt = skb.dst
    assert isinstance(rt, Rt6Info)
    dev = skb.dev
    assert dev is not None
    net = rt.dev.net
    idev = dev.ip6_ptr
    if net.ipv6.devconf_all.forwarding == 0 and (idev is None or idev.cnf.force_forwarding == 0):
        return _drop(net, skb, SKB_DROP_REASON_IP_FORWARDING_DISABLED, -EINVAL)
    if skb.pkt_type != PACKET_HOST or skb.sk is not None:
        kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED)
        return -EINVAL
    if skb.ttl <= 1:
        net.ipv6.icmp6_sender.send(skb, ICMPV6_TIME_EXCEED, ICMPV6_EXC_HOPLIMIT, 0)
        IP6_INC_STATS(net, IPSTATS_MIB_INHDRERRORS)
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_TTL_EXPIRED)
        return -ETIMEDOUT
    if net.ipv6.devconf_all.proxy_ndp != 0 and pndisc_is_router(skb.daddr6, dev) >= 0:
        proxied = ip6_forward_proxy_check(skb)
        if proxied > 0:
            return ip6_input(skb)
        if proxied < 0:
            return _drop(net, skb, SKB_DROP_REASON_IP_INADDRERRORS, -EINVAL)
    if rt.dev is dev:
        ip6_forward_redirect(net, skb, rt)
    else:
        kind = ipv6_addr_type(skb.saddr6)
        if kind == IPV6_ADDR_ANY or (kind & (IPV6_ADDR_MULTICAST | IPV6_ADDR_LOOPBACK)) != 0:
            return _drop(net, skb, SKB_DROP_REASON_IP_INADDRERRORS, -EINVAL)
        if (kind & IPV6_ADDR_LINKLOCAL) != 0:
            net.ipv6.icmp6_sender.send(skb, ICMPV6_DEST_UNREACH, ICMPV6_NOT_NEIGHBOUR, 0)
            return _drop(net, skb, SKB_DROP_REASON_IP_INADDRERRORS, -EINVAL)
    IP6_INC_STATS(net, IPSTATS_MIB_FORWDATAGRAMS)
    mtu = ip6_dst_mtu_maybe_forward(rt, True)
    if mtu < IPV6_MIN_MTU:
        mtu = IPV6_MIN_MTU
    if ip6_pkt_too_big(skb, mtu):
        skb.dev = rt.dev  # what an error says is of the device that it does not fit
        net.ipv6.icmp6_sender.send(skb, ICMPV6_PKT_TOOBIG, 0, mtu)
        IP6_INC_STATS(net, IPSTATS_MIB_INTOOBIGERRORS)
        IP6_INC_STATS(net, IPSTATS_MIB_FRAGFAILS)
        kfree_skb_reason(skb, SKB_DROP_REASON_PKT_TOO_BIG)
        return -EMSGSIZE
    skb.head = ipv6_decrease_hop_limit(skb.head, skb.network_header)
    skb.ttl -= 1
    skb.ip_flags |= IP6SKB_FORWARDED
    ret = nf_hook(NFPROTO_IPV6, NF_INET_FORWARD, net, None, skb, dev, rt.dev)
    if ret != 1:
        return ret
    return ip6_forward_finish(skb)


def ip6_forward_proxy_check(skb: SkBuff) -> int:
    """skb is for an address that this host answers for: 1 it is of neighbour discovery and so for this host, -1 it cannot go on
    as the address is of the link alone (its sender is told), 0 it goes on.

    Linux: net/ipv6/ip6_output.c.  RFC 4389, 4.1.
    """
    found = ipv6_skip_exthdr(skb.head, skb.network_header + IPV6_HLEN, ipv6_nexthdr(skb.head, skb.network_header))
    if found.nexthdr == IPPROTO_ICMPV6 and 0 <= found.offset < len(skb.head):
        kind = skb.head[found.offset]
        if NDISC_ROUTER_SOLICITATION <= kind <= NDISC_REDIRECT:
            return 1
    if (ipv6_addr_type(skb.daddr6) & IPV6_ADDR_LINKLOCAL) != 0:
        ip6_link_failure(skb)
        return -1
    return 0


def ip6_forward_redirect(net: Net, skb: SkBuff, rt: Rt6Info) -> None:
    """skb leaves where it came in: its sender could have sent it there itself, and is told so (once a second for a destination).

    Linux: net/ipv6/ip6_output.c, ip6_forward.  RFC 4861, 8.2.
    """
    if inet_peer_xrlim_allow(net, inet_getpeer_v6(net, skb.daddr6), REDIRECT_INTERVAL):
        ndisc_send_redirect(skb, rt6_nexthop(rt, skb.daddr6))


def _drop(net: Net, skb: SkBuff, reason: i64, err: i64) -> i64:
    IP6_INC_STATS(net, IPSTATS_MIB_INADDRERRORS)
    kfree_skb_reason(skb, reason)
    return err


def ip6_forward_finish(skb: SkBuff) -> i64:
    """The hooks let it pass.  Linux: net/ipv6/ip6_output.c."""
    skb.tstamp = 0
    return dst_output_sk(None, skb)
