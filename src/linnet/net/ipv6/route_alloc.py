# SPDX-License-Identifier: Apache-2.0
"""Routes as packets use them (rt6_info), made of the tables' ones, and what is learnt of single destinations.

A route of a table has one rt6_info, shared by all destinations behind it. What a packet-too-big or a redirect tells of one
destination is an exception: an rt6_info of its own, kept on the next hop until it expires. Whoever holds the shared one must ask
again when an exception is made: it is marked dead.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmpv6 import ICMPV6_ADDR_UNREACH, ICMPV6_ADM_PROHIBITED, ICMPV6_DEST_UNREACH, ICMPV6_NOROUTE
from linnet.include.linux.ipv6 import IPV6_MIN_MTU, ipv6_daddr
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dropreason import SKB_DROP_REASON_IP_INNOROUTES, SKB_DROP_REASON_IP_OUTNOROUTES
from linnet.include.net.dst import RTAX_HOPLIMIT, RTAX_MTU, DstEntry, DstInput, DstOutput, dst_metric_locked
from linnet.include.net.flow import Flowi6
from linnet.include.net.ip6_fib import (
    RTF_ANYCAST,
    RTF_CACHE,
    RTF_DEFAULT,
    RTF_EXPIRES,
    RTF_GATEWAY,
    RTF_HOST,
    RTF_LOCAL,
    RTF_MODIFIED,
    RTF_REJECT,
    RTF_UP,
    Fib6Info,
    Rt6Exception,
    Rt6Info,
)
from linnet.include.net.ip_fib import RTN_BLACKHOLE, RTN_PROHIBIT, RTN_UNICAST
from linnet.include.net.ipv6 import inet6_sk, ipv6_addr_is_multicast
from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import IP6_INC_STATS, IPSTATS_MIB_INADDRERRORS, IPSTATS_MIB_INNOROUTES, IPSTATS_MIB_OUTNOROUTES
from linnet.include.net.sock import Sock
from linnet.kernel.errno import ENETUNREACH
from linnet.net.core.neighbour import __neigh_lookup_noref, neigh_confirm
from linnet.net.core.skbuff import kfree_skb_reason
from linnet.net.core.sock import sk_setup_caps
from linnet.net.ipv6.ip6_fib import NSEC_PER_SEC, fib6_start_gc, fib6_type_error, fib6_update_sernum

LINUX_FILE: Final = 'net/ipv6/route.c'
FIB6_MAX_DEPTH: Final = 5  # of the buckets of exceptions that Linux keeps for a next hop
RT6_MAX_EXCEPTIONS: Final = 1024 * FIB6_MAX_DEPTH  # the oldest makes room


class Ip6Rt(Rt6Info):
    """A route that learns (Linux: ip6_dst_ops)."""

    def update_pmtu(self, sk: Sock | None, skb: SkBuff | None, mtu: i64) -> None:
        """See ip6_rt_update_pmtu."""
        ip6_rt_update_pmtu(self, sk, skb, mtu)

    def negative_advice(self) -> DstEntry | None:
        """See ip6_negative_advice."""
        return ip6_negative_advice(self)


class Ip6PktDiscardOut(DstOutput):
    """No way out."""

    def output(self, sk: Sock | None, skb: SkBuff) -> i64:
        """See ip6_pkt_drop."""
        return ip6_pkt_drop(skb, ICMPV6_NOROUTE, True)


class Ip6PktProhibitOut(DstOutput):
    """No way out that is allowed."""

    def output(self, sk: Sock | None, skb: SkBuff) -> i64:
        """See ip6_pkt_drop."""
        return ip6_pkt_drop(skb, ICMPV6_ADM_PROHIBITED, True)


class Ip6PktDiscard(DstInput):
    """No way through."""

    def input(self, skb: SkBuff) -> i64:
        """See ip6_pkt_drop."""
        return ip6_pkt_drop(skb, ICMPV6_NOROUTE, False)


class Ip6PktProhibit(DstInput):
    """No way through that is allowed."""

    def input(self, skb: SkBuff) -> i64:
        """See ip6_pkt_drop."""
        return ip6_pkt_drop(skb, ICMPV6_ADM_PROHIBITED, False)


class Ip6DstDiscardOut(DstOutput):
    """A black hole."""

    def output(self, sk: Sock | None, skb: SkBuff) -> i64:
        """Drop skb."""
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_OUTNOROUTES)
        return 0


class Ip6DstDiscardIn(DstInput):
    """A black hole."""

    def input(self, skb: SkBuff) -> i64:
        """Drop skb."""
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_INNOROUTES)
        return 0


def ip6_pkt_drop(skb: SkBuff, code: i64, out: bool) -> i64:
    """Tell skb's sender that it cannot go on, and drop it.  Linux: net/ipv6/route.c."""
    dst = skb.dst
    assert dst is not None
    net = dst.dev.net
    reason: i64 = SKB_DROP_REASON_IP_OUTNOROUTES if out else SKB_DROP_REASON_IP_INNOROUTES
    if out:
        skb.dev = dst.dev
        IP6_INC_STATS(net, IPSTATS_MIB_OUTNOROUTES)
    elif ipv6_daddr(skb.head, skb.network_header) == 0:
        IP6_INC_STATS(net, IPSTATS_MIB_INADDRERRORS)
    else:
        IP6_INC_STATS(net, IPSTATS_MIB_INNOROUTES)
    net.ipv6.icmp6_sender.send(skb, ICMPV6_DEST_UNREACH, code, 0)
    kfree_skb_reason(skb, reason)
    return 0


def ip6_alloc_init(net: Net) -> None:
    """Register how routes that lead nowhere treat their packets."""
    ipv6 = net.ipv6
    ipv6.ip6_pkt_discard_out = Ip6PktDiscardOut()
    ipv6.ip6_pkt_prohibit_out = Ip6PktProhibitOut()
    ipv6.ip6_pkt_discard = Ip6PktDiscard()
    ipv6.ip6_pkt_prohibit = Ip6PktProhibit()
    ipv6.dst_discard_out = Ip6DstDiscardOut()
    ipv6.dst_discard_in = Ip6DstDiscardIn()


def ip6_dst_alloc(net: Net, dev: NetDevice) -> Ip6Rt:
    """A new route out of dev, which drops what it gets until ip6_rt_init_dst says better.  Linux: net/ipv6/route.c."""
    out = net.ipv6.dst_discard_out
    inp = net.ipv6.dst_discard_in
    assert out is not None and inp is not None
    return Ip6Rt(dev, out, inp)


def ip6_null_entry(net: Net) -> Rt6Info:
    """The answer where there is no route; -ENETUNREACH.  Linux: net->ipv6.ip6_null_entry, made with the loopback."""
    rt = net.ipv6.ip6_null_entry
    lo = net.loopback_dev
    if rt is None or (lo is not None and rt.dev is not lo):
        if lo is None:
            lo = net.dev_base[0]
        made = ip6_dst_alloc(net, lo)
        made.error = -ENETUNREACH
        made.rt6i_flags = RTF_REJECT
        made.rt6i_dst_len = 0
        out = net.ipv6.ip6_pkt_discard_out
        inp = net.ipv6.ip6_pkt_discard
        assert out is not None and inp is not None
        made.dst_output = out
        made.dst_input = inp
        net.ipv6.ip6_null_entry = made
        rt = made
    rt.rt6i_sernum = net.ipv6.fib6_sernum
    return rt


def ip6_rt_init_dst_reject(net: Net, rt: Rt6Info, f6i: Fib6Info) -> None:
    """What a route that refuses does with its packets.  Linux: net/ipv6/route.c."""
    rt.error = fib6_type_error(f6i.fib6_type)
    out: DstOutput | None
    inp: DstInput | None
    if f6i.fib6_type == RTN_BLACKHOLE:
        out = net.ipv6.dst_discard_out
        inp = net.ipv6.dst_discard_in
    elif f6i.fib6_type == RTN_PROHIBIT:
        out = net.ipv6.ip6_pkt_prohibit_out
        inp = net.ipv6.ip6_pkt_prohibit
    else:
        out = net.ipv6.ip6_pkt_discard_out
        inp = net.ipv6.ip6_pkt_discard
    assert out is not None and inp is not None
    rt.dst_output = out
    rt.dst_input = inp


def ip6_rt_init_dst(net: Net, rt: Rt6Info, f6i: Fib6Info) -> None:
    """Where rt's packets go out and in.  Linux: net/ipv6/route.c."""
    ipv6 = net.ipv6
    rt.rt6i_type = f6i.fib6_type
    if (f6i.fib6_flags & RTF_REJECT) != 0:
        ip6_rt_init_dst_reject(net, rt, f6i)
        return
    out = ipv6.ip6_output
    if out is not None:
        rt.dst_output = out
    inp: DstInput | None
    if (f6i.fib6_flags & (RTF_LOCAL | RTF_ANYCAST)) != 0:
        inp = ipv6.ip6_input
    elif ipv6_addr_is_multicast(f6i.fib6_dst):
        inp = ipv6.ip6_mc_input
    else:
        inp = ipv6.ip6_forward
    if inp is not None:
        rt.dst_input = inp


def ip6_rt_get_dev(net: Net, f6i: Fib6Info) -> NetDevice:
    """The device of packets along f6i: what goes to an own address goes by the loopback.  Linux: net/ipv6/route.c."""
    lo = net.loopback_dev
    if (f6i.fib6_flags & (RTF_LOCAL | RTF_ANYCAST)) != 0 and lo is not None:
        return lo
    return f6i.fib6_nh.dev


def ip6_rt_copy_init(rt: Rt6Info, f6i: Fib6Info) -> None:
    """Take everything over that f6i says.  Linux: net/ipv6/route.c."""
    net = rt.dev.net
    nh = f6i.fib6_nh
    ip6_rt_init_dst(net, rt, f6i)
    rt.rt6i_dst = f6i.fib6_dst
    rt.rt6i_dst_len = f6i.fib6_dst_len
    rt.rt6i_prefsrc = f6i.fib6_prefsrc
    rt.rt6i_idev = nh.dev.ip6_ptr
    rt.rt6i_flags = f6i.fib6_flags & ~RTF_EXPIRES
    rt.rt6i_gateway = nh.gw
    if nh.gw != 0:
        rt.rt6i_flags |= RTF_GATEWAY
    rt.rt6i_from = f6i
    for key, value in f6i.fib6_metrics.items():
        rt.metrics[key] = value


def ip6_create_rt_rcu(net: Net, f6i: Fib6Info) -> Rt6Info:
    """A route of its own made of f6i.  Linux: net/ipv6/route.c."""
    rt = ip6_dst_alloc(net, ip6_rt_get_dev(net, f6i))
    ip6_rt_copy_init(rt, f6i)
    return rt


def rt6_get_pcpu_route(net: Net, f6i: Fib6Info) -> Rt6Info:
    """The shared route of f6i, made where it is stale.  Linux: net/ipv6/route.c, with rt6_make_pcpu_route."""
    rt = f6i.rt_cache
    if rt is not None and rt.obsolete >= 0 and rt.rt6i_sernum == net.ipv6.fib6_sernum:
        return rt
    rt = ip6_create_rt_rcu(net, f6i)
    f6i.rt_cache = rt
    return rt


def ip6_rt_cache_alloc(net: Net, f6i: Fib6Info, daddr: int) -> Rt6Info:
    """A route to daddr alone.  Linux: net/ipv6/route.c."""
    rt = ip6_create_rt_rcu(net, f6i)
    rt.rt6i_flags |= RTF_CACHE
    rt.rt6i_dst = daddr
    rt.rt6i_dst_len = 128
    if rt.rt6i_gateway == 0 and f6i.fib6_dst_len != 128 and f6i.fib6_dst == daddr:
        rt.rt6i_flags |= RTF_ANYCAST  # the address of the subnet itself: its routers' (RFC 4291, 2.6.1)
    return rt


def icmp6_dst_alloc(dev: NetDevice, fl6: Flowi6) -> Rt6Info:
    """A route straight to fl6.daddr on dev's link, in no table: for neighbour discovery and MLD.  Linux: net/ipv6/route.c."""
    net = dev.net
    rt = ip6_dst_alloc(net, dev)
    out = net.ipv6.ip6_output
    if out is not None:
        rt.dst_output = out
    inp = net.ipv6.ip6_input
    if inp is not None:
        rt.dst_input = inp
    rt.rt6i_type = RTN_UNICAST
    rt.rt6i_gateway = fl6.daddr
    rt.rt6i_dst = fl6.daddr
    rt.rt6i_flags = RTF_UP | RTF_HOST
    rt.metrics[RTAX_HOPLIMIT] = 255
    return rt


def ip6_dst_hoplimit(dst: DstEntry) -> i64:
    """The hop limit of packets along dst: its metric, or the device's, or the host's.  Linux: net/ipv6/output_core.c."""
    limit: i64 = dst.metrics[RTAX_HOPLIMIT]
    if limit != 0:
        return limit
    idev = dst.dev.ip6_ptr
    return idev.cnf.hop_limit if idev is not None else dst.dev.net.ipv6.devconf_all.hop_limit


# -- exceptions


def rt6_find_exception(f6i: Fib6Info, daddr: int) -> Rt6Info | None:
    """What was learnt of daddr behind f6i, while it holds.  Linux: net/ipv6/route.c, rt6_find_cached_rt."""
    ex = f6i.fib6_nh.exceptions.get(daddr)
    if ex is None:
        return None
    rt = ex.rt6i
    clock = rt.dev.net.clock
    if rt.expires != 0 and clock.now >= rt.expires:
        return None
    rt.lastuse = clock.jiffies()
    rt.rt6i_sernum = rt.dev.net.ipv6.fib6_sernum
    return rt


def rt6_insert_exception(rt: Rt6Info, f6i: Fib6Info) -> None:
    """Keep rt, made by ip6_rt_cache_alloc, for its destination.  Linux: net/ipv6/route.c."""
    net = rt.dev.net
    nh = f6i.fib6_nh
    old = nh.exceptions.pop(rt.rt6i_dst, None)
    if old is not None:
        old.rt6i.obsolete = -1
    elif len(nh.exceptions) >= RT6_MAX_EXCEPTIONS:
        for oldest in nh.exceptions:
            nh.exceptions.pop(oldest).rt6i.obsolete = -1
            break
    ex = Rt6Exception(rt)
    ex.stamp = net.clock.jiffies()
    rt.lastuse = ex.stamp
    nh.exceptions[rt.rt6i_dst] = ex
    # those who hold the shared route must ask again, to find that an exception is theirs
    if f6i.rt_cache is not None:
        f6i.rt_cache.obsolete = -1
        f6i.rt_cache = None
    fib6_start_gc(net)


def rt6_remove_exception_rt(rt: Rt6Info) -> bool:
    """Forget what rt has learnt: True where it was still known.  Linux: net/ipv6/route.c."""
    f6i = rt.rt6i_from
    if f6i is None or (rt.rt6i_flags & RTF_CACHE) == 0:
        return False
    rt.obsolete = -1
    ex = f6i.fib6_nh.exceptions.get(rt.rt6i_dst)
    if ex is None or ex.rt6i is not rt:
        return False
    del f6i.fib6_nh.exceptions[rt.rt6i_dst]
    return True


def rt6_update_expires(rt: Rt6Info, seconds: i64) -> None:
    """What rt knows holds for so long.  Linux: include/net/ip6_fib.h."""
    rt.rt6i_flags |= RTF_EXPIRES
    rt.expires = rt.dev.net.clock.now + seconds * NSEC_PER_SEC


def rt6_do_update_pmtu(rt: Rt6Info, mtu: i64) -> None:
    """rt carries mtu bytes, for net.ipv6.route.mtu_expires.  Linux: net/ipv6/route.c."""
    rt.metrics[RTAX_MTU] = int(mtu)
    rt.rt6i_flags |= RTF_MODIFIED
    rt6_update_expires(rt, rt.dev.net.ipv6.sysctl_ip6_rt_mtu_expires)


def __ip6_rt_update_pmtu(rt: Rt6Info, sk: Sock | None, daddr: int, mtu: i64, confirm_neigh: bool) -> None:
    """The path of rt to daddr carries only mtu bytes: remember it, unless that is less than every link carries.

    Linux: net/ipv6/route.c.  RFC 8201, 4.
    """
    if dst_metric_locked(rt, RTAX_MTU):
        return
    net = rt.dev.net
    if confirm_neigh and net.ipv6.nd_tbl is not None:
        hop = rt.rt6i_gateway if rt.rt6i_gateway != 0 else daddr
        n = __neigh_lookup_noref(net.ipv6.nd_tbl, hop, rt.dev)
        if n is not None:
            neigh_confirm(n)
    if mtu < IPV6_MIN_MTU or mtu >= rt.mtu():
        return
    f6i = rt.rt6i_from
    if (rt.rt6i_flags & RTF_CACHE) != 0 or f6i is None:
        rt6_do_update_pmtu(rt, mtu)
        return
    made = ip6_rt_cache_alloc(net, f6i, daddr)
    rt6_do_update_pmtu(made, mtu)
    rt6_insert_exception(made, f6i)
    rt.obsolete = -1


def ip6_rt_update_pmtu(rt: Rt6Info, sk: Sock | None, skb: SkBuff | None, mtu: i64) -> None:
    """The path of rt to skb's (or sk's) destination carries only mtu bytes.  Linux: net/ipv6/route.c."""
    if skb is not None and skb.network_header >= 0:
        __ip6_rt_update_pmtu(rt, sk, ipv6_daddr(skb.head, skb.network_header), mtu, True)
    elif sk is not None:
        __ip6_rt_update_pmtu(rt, sk, sk.sk_v6_daddr, mtu, True)


def ip6_negative_advice(rt: Rt6Info) -> DstEntry | None:
    """Retransmissions fail: give up the route, but for a learnt one whose time is not over.  Linux: net/ipv6/route.c."""
    if (rt.rt6i_flags & RTF_CACHE) == 0:
        return None
    if rt.expires != 0 and rt.dev.net.clock.now >= rt.expires:
        rt6_remove_exception_rt(rt)
        return None
    return rt if rt.obsolete >= 0 else None


def ip6_link_failure(skb: SkBuff) -> None:
    """The next hop of skb does not answer: its sender is told, and what led there is doubted.  Linux: net/ipv6/route.c."""
    dst = skb.dst
    if not isinstance(dst, Rt6Info):
        return
    net = dst.dev.net
    net.ipv6.icmp6_sender.send(skb, ICMPV6_DEST_UNREACH, ICMPV6_ADDR_UNREACH, 0)
    if (dst.rt6i_flags & RTF_CACHE) != 0:
        rt6_remove_exception_rt(dst)
    elif dst.rt6i_from is not None and (dst.rt6i_from.fib6_flags & RTF_DEFAULT) != 0:
        fib6_update_sernum(net)


def ip6_dst_store(sk: Sock, dst: Rt6Info, daddr_set: bool, saddr_set: bool) -> None:
    """Keep dst on sk; daddr_set: it is good for sk's destination, saddr_set: and for its source.

    Linux: include/net/ip6_route.h.
    """
    np = inet6_sk(sk)
    sk_setup_caps(sk, dst)
    np.daddr_cache = sk.sk_v6_daddr if daddr_set else -1
    np.saddr_cache = np.saddr if saddr_set else -1
