# SPDX-License-Identifier: Apache-2.0
"""Which route a packet takes, on the way out and on the way in.

    ip6_route_output > ip6_route_output_flags > fib6_rule_lookup > ip6_pol_route > fib6_table_lookup > rt6_select
    ip6_route_input > ip6_route_input_lookup > fib6_rule_lookup > ip6_pol_route > ...

Of the routes of the longest prefix the best scored of the lowest metric is taken: those over the device asked for come first,
then those with a higher router preference (RFC 4191), and a host passes over routers that do not answer (RFC 4861, 6.3.6) as long
as there is another, probing them now and then. Between the next hops of a multipath route the hash of the flow decides. Addresses
that mean something on one link alone (link-local ones, groups, the loopback's) are looked for on the device asked for and nowhere
else.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import IN6_PREFIX_MASKS
from linnet.include.linux.ipv6 import IPV6_FLOWLABEL_MASK, ip6_flowinfo, ipv6_daddr, ipv6_saddr
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.flow import FLOWI_FLAG_KNOWN_NH, Flowi6
from linnet.include.net.ip6_fib import (
    RT6_LOOKUP_F_HAS_SADDR,
    RT6_LOOKUP_F_IFACE,
    RT6_LOOKUP_F_REACHABLE,
    RTF_EXPIRES,
    RTF_NONEXTHOP,
    RTF_REJECT,
    Fib6Info,
    Fib6Nh,
    Fib6Table,
    Rt6Info,
)
from linnet.include.net.ip_fib import RTNH_F_DEAD, RTNH_F_LINKDOWN
from linnet.include.net.neighbour import NUD_FAILED, NUD_VALID, Neighbour
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import Sock
from linnet.kernel.clock import jiffies_to_nsecs
from linnet.kernel.errno import EAGAIN
from linnet.kernel.random import siphash_3u32
from linnet.net.core.neighbour import __neigh_lookup_noref, __neigh_set_probe_once
from linnet.net.ipv6.ip6_fib import NSEC_PER_SEC, fib6_check_expired
from linnet.net.ipv6.route_alloc import (
    ip6_null_entry,
    ip6_rt_cache_alloc,
    rt6_find_exception,
    rt6_get_pcpu_route,
)

LINUX_FILE: Final = 'net/ipv6/route.c'
RT6_NUD_FAIL_HARD: Final = -3  # not to be taken
RT6_NUD_FAIL_PROBE: Final = -2  # its router does not answer
RT6_NUD_SUCCEED: Final = 1
RT6_LOOKUP_F_IGNORE_LINKSTATE: Final = 0x80000000


def rt6_need_strict(daddr: int) -> bool:
    """Does daddr mean something on one link alone: a group, a link-local address, the loopback's?  Linux: net/ipv6/route.c."""
    top: i64 = daddr >> 112
    return top >= 0xFF00 or (top & 0xFFC0) == 0xFE80 or daddr == 1


# -- the choice among the routes of one prefix


def rt6_check_neigh(n: Neighbour | None) -> i64:
    """Does the router answer, as far as is known? Only what is known to have failed does not.  Linux: net/ipv6/route.c."""
    return RT6_NUD_FAIL_PROBE if n is not None and (n.nud_state & NUD_FAILED) != 0 else RT6_NUD_SUCCEED


def rt6_router(nh: Fib6Nh) -> Neighbour | None:
    """What is known of nh's gateway."""
    tbl = nh.dev.net.ipv6.nd_tbl
    return None if tbl is None else __neigh_lookup_noref(tbl, nh.gw, nh.dev)


def rt6_score_route(f6i: Fib6Info, oif: i64, strict: i64) -> i64:
    """How good a route is, negative where it is not to be taken.  Linux: net/ipv6/route.c."""
    m: i64 = 0
    if oif == 0 or f6i.fib6_nh.dev.ifindex == oif:
        m = 2
    elif (strict & RT6_LOOKUP_F_IFACE) != 0:
        return RT6_NUD_FAIL_HARD
    m |= (f6i.pref ^ 2) << 2  # high 3, medium 2, low 1
    if (strict & RT6_LOOKUP_F_REACHABLE) != 0 and (f6i.fib6_flags & RTF_NONEXTHOP) == 0 and f6i.fib6_nh.gw != 0:
        n = rt6_check_neigh(rt6_router(f6i.fib6_nh))
        if n < 0:
            return n
    return m


def rt6_probe(nh: Fib6Nh) -> None:
    """A router that is not known to answer is asked now and then, whether it is used or not.

    Linux: net/ipv6/route.c.  RFC 4191, 3.5.
    """
    if nh.gw == 0:
        return
    dev = nh.dev
    net = dev.net
    idev = dev.ip6_ptr
    n = rt6_router(nh)
    if idev is None or (n is not None and (n.nud_state & NUD_VALID) != 0):
        return
    since = n.updated if n is not None else jiffies_to_nsecs(nh.last_probe)
    if net.clock.now <= since + idev.cnf.router_probe_interval * NSEC_PER_SEC:
        return
    if n is not None:
        __neigh_set_probe_once(n)
    nh.last_probe = net.clock.jiffies()
    net.ipv6.router_prober.probe(dev, nh.gw)


def _usable(net: Net, f6i: Fib6Info, strict: i64) -> bool:
    """May the route be taken at all now?"""
    flags = f6i.fib6_nh.nh_flags
    if (flags & RTNH_F_DEAD) != 0 or ((f6i.fib6_flags & RTF_EXPIRES) != 0 and fib6_check_expired(net, f6i)):
        return False
    if (flags & RTNH_F_LINKDOWN) != 0 and (strict & RT6_LOOKUP_F_IGNORE_LINKSTATE) == 0:
        idev = f6i.fib6_nh.dev.ip6_ptr
        if idev is not None and idev.cnf.ignore_routes_with_linkdown != 0:
            return False
    return True


def rt6_select(net: Net, leaf: list[Fib6Info], oif: i64, strict: i64) -> Fib6Info | None:
    """The best route of a prefix: of the lowest metric at which one may be taken, the first with the highest score.

    Linux: net/ipv6/route.c, with find_rr_leaf and find_match.
    """
    best: Fib6Info | None = None
    best_score: i64 = -1
    for f6i in leaf:
        if best is not None and f6i.fib6_metric != best.fib6_metric:
            break
        if not _usable(net, f6i, strict):
            continue
        score = rt6_score_route(f6i, oif, strict)
        if score == RT6_NUD_FAIL_HARD:
            continue
        if (strict & RT6_LOOKUP_F_REACHABLE) != 0 and f6i.fib6_nh.gw != 0:
            rt6_probe(f6i.fib6_nh)
        if score > best_score:
            best = f6i
            best_score = score
    return best


def fib6_table_lookup(net: Net, table: Fib6Table, oif: i64, fl6: Flowi6, strict: i64) -> Fib6Info | None:
    """The route of table for fl6: of the longest prefix that has one. First among those whose routers answer, then among all.

    Linux: net/ipv6/route.c.
    """
    daddr = fl6.daddr
    prefixes = table.prefixes
    while True:
        skipped = False
        for plen in table.lengths:
            leaf = prefixes[plen].get(daddr & IN6_PREFIX_MASKS[plen])
            if leaf is not None:
                found = rt6_select(net, leaf, oif, strict)
                if found is not None:
                    return found
                skipped = True
        if not skipped or (strict & RT6_LOOKUP_F_REACHABLE) == 0:
            return None
        strict &= ~RT6_LOOKUP_F_REACHABLE


# -- several next hops


def rt6_multipath_hash(net: Net, fl6: Flowi6) -> i64:
    """31 bits of a keyed hash over the flow, never 0: addresses, flow label and protocol, or with
    net.ipv6.fib_multipath_hash_policy 1 the addresses, ports and protocol.

    Linux: net/ipv6/route.c.
    """
    saddr = fl6.saddr
    daddr = fl6.daddr
    last: i64 = fl6.flowi6_proto
    if net.ipv6.sysctl_multipath_hash_policy == 1:
        last |= (fl6.fl6_sport << 16 | fl6.fl6_dport) << 8
    else:
        last |= (fl6.flowlabel & IPV6_FLOWLABEL_MASK) << 8
    value = int(net.hash_mix)
    for shift in range(0, 128, 32):
        value = siphash_3u32(net.world.seed & 0xFFFFFFFF, value, i64((saddr >> shift) & 0xFFFFFFFF),
                             i64((daddr >> shift) & 0xFFFFFFFF), last & 0xFFFFFFFF)
    value = siphash_3u32(net.world.seed & 0xFFFFFFFF, value, last >> 32, 0, 0) & 0x7FFFFFFF
    return value if value != 0 else 1


def fib6_select_path(net: Net, f6i: Fib6Info, fl6: Flowi6, oif: i64, strict: i64) -> Fib6Info:
    """Which next hop of a multipath route the flow takes, in proportion to their weights.  Linux: net/ipv6/route.c."""
    if not f6i.fib6_siblings:
        return f6i
    if fl6.mp_hash == 0:
        fl6.mp_hash = rt6_multipath_hash(net, fl6)
    leaf: list[Fib6Info] = []
    table = f6i.fib6_table
    if table is not None:
        leaf = table.prefixes[int(f6i.fib6_dst_len)][f6i.fib6_dst]
    total: i64 = 0
    hops: list[Fib6Info] = []
    for hop in leaf:
        if hop is f6i or hop in f6i.fib6_siblings:
            hops.append(hop)
            if _usable(net, hop, strict):
                total += hop.fib6_nh.weight
    if total == 0:
        return f6i
    upto: i64 = 0
    for hop in hops:
        if not _usable(net, hop, strict):
            continue
        upto += hop.fib6_nh.weight
        # the upper bound of this hop's share of the 31 bits, rounded as Linux rounds it
        if fl6.mp_hash <= (upto * 0x80000000 + total // 2) // total - 1 and rt6_score_route(hop, oif, strict) >= 0:
            return hop
    return f6i


# -- the look-up


def ip6_pol_route(net: Net, table: Fib6Table, oif: i64, fl6: Flowi6, flags: i64) -> Rt6Info | None:
    """The route of one table for fl6, None where it has none; a host prefers routers that answer.  Linux: net/ipv6/route.c."""
    strict: i64 = flags & (RT6_LOOKUP_F_IFACE | RT6_LOOKUP_F_IGNORE_LINKSTATE)
    if net.ipv6.devconf_all.forwarding == 0:
        strict |= RT6_LOOKUP_F_REACHABLE
    f6i = fib6_table_lookup(net, table, oif, fl6, strict)
    if f6i is None:
        return None
    f6i = fib6_select_path(net, f6i, fl6, oif, strict)
    if f6i.fib6_nh.exceptions:
        rt = rt6_find_exception(f6i, fl6.daddr)
        if rt is not None:
            return rt
    if (fl6.flowi6_flags & FLOWI_FLAG_KNOWN_NH) != 0 and f6i.fib6_nh.gw == 0 and (f6i.fib6_flags & RTF_REJECT) == 0:
        # the sender names the next hop (a raw socket's header): the route must not be shared
        made = ip6_rt_cache_alloc(net, f6i, fl6.daddr)
        return made
    return rt6_get_pcpu_route(net, f6i)


def fib6_rule_lookup(net: Net, fl6: Flowi6, oif: i64, flags: i64) -> Rt6Info:
    """Ask table local, then main; the null entry where neither knows a way (or both say: look elsewhere).

    Linux: net/ipv6/fib6_rules.c.
    """
    local = net.ipv6.fib6_local_tbl
    main = net.ipv6.fib6_main_tbl
    if local is not None:
        rt = ip6_pol_route(net, local, oif, fl6, flags)
        if rt is not None and rt.error != -EAGAIN:
            return rt
    if main is not None:
        rt = ip6_pol_route(net, main, oif, fl6, flags)
        if rt is not None and rt.error != -EAGAIN:
            return rt
    return ip6_null_entry(net)


def ip6_route_output(net: Net, sk: Sock | None, fl6: Flowi6) -> Rt6Info:
    """The route of a packet from this host; never None: error < 0 says why it cannot go.  Linux: include/net/ip6_route.h."""
    return ip6_route_output_flags(net, sk, fl6, 0)


def ip6_route_output_flags(net: Net, sk: Sock | None, fl6: Flowi6, flags: i64) -> Rt6Info:
    """The same with RT6_LOOKUP_F_* flags.  Linux: net/ipv6/route.c."""
    fl6.flowi6_iif = 1
    any_src = fl6.saddr == 0
    if ((sk is not None and sk.sk_bound_dev_if != 0) or rt6_need_strict(fl6.daddr)
            or (fl6.flowi6_oif != 0 and any_src)):
        flags |= RT6_LOOKUP_F_IFACE
    if not any_src:
        flags |= RT6_LOOKUP_F_HAS_SADDR
    return fib6_rule_lookup(net, fl6, fl6.flowi6_oif, flags)


def ip6_route_input_lookup(net: Net, fl6: Flowi6, flags: i64) -> Rt6Info:
    """The route of a packet that came in by fl6.flowi6_iif.  Linux: net/ipv6/route.c."""
    if rt6_need_strict(fl6.daddr):
        flags |= RT6_LOOKUP_F_IFACE
    return fib6_rule_lookup(net, fl6, fl6.flowi6_iif, flags)


def ip6_route_input(skb: SkBuff) -> None:
    """Give skb, which came in by skb.dev, its route (skb.dst).  Linux: net/ipv6/route.c."""
    dev = skb.dev
    assert dev is not None
    net = dev.net
    at = skb.network_header
    fl6 = Flowi6()
    fl6.flowi6_iif = dev.ifindex
    fl6.daddr = ipv6_daddr(skb.head, at)
    fl6.saddr = ipv6_saddr(skb.head, at)
    fl6.flowlabel = ip6_flowinfo(skb.head, at)
    fl6.flowi6_mark = skb.mark
    fl6.flowi6_proto = i64(skb.head[at + 6])
    skb.dst = ip6_route_input_lookup(net, fl6, RT6_LOOKUP_F_HAS_SADDR)
