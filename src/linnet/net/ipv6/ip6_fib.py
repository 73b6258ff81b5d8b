# SPDX-License-Identifier: Apache-2.0
"""IPv6's tables of routes: look-up of a prefix, insertion, removal, walks, and the collection of what has expired.

A prefix has a list of routes in the order of their metric, those of one metric in the order in which they came. Routes of one
metric that lead through gateways are siblings: the next hops of one multipath route. Which of the routes of a prefix a packet
takes is route_lookup.py's choice; here is only where they stand. Every change raises net.ipv6.fib6_sernum, which makes all cached
routes of the host stale (Linux: the part of the tree that changed).

Routes by source address (subtrees) and policy rules (`ip -6 rule`) are not here: the local table is asked first, then main.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import in6_prefix_mask
from linnet.include.net.ip6_fib import (
    RT6_TABLE_LOCAL,
    RT6_TABLE_MAIN,
    RTF_ADDRCONF,
    RTF_EXPIRES,
    RTF_GATEWAY,
    Fib6Info,
    Fib6Nh,
    Fib6Table,
)
from linnet.include.net.ip_fib import RTN_BLACKHOLE, RTN_PROHIBIT, RTN_THROW, RTN_UNREACHABLE
from linnet.include.net.net_namespace import Net
from linnet.kernel.errno import EACCES, EAGAIN, EEXIST, EHOSTUNREACH, EINVAL, ENOENT
from linnet.kernel.timer import TimerList, mod_timer, timer_pending

NSEC_PER_SEC: Final = 1_000_000_000
IP6_RT_GC_TIMEOUT: Final = 60_000  # jiffies that a learnt gateway stays unused before it is forgotten

# how fib6_add_rt2node is to treat a route of the same prefix and metric
NLM_F_REPLACE: Final = 0x100
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400
NLM_F_APPEND: Final = 0x800


class Fib6Gc(TimerList):
    """Expired routes and exceptions go (Linux: net->ipv6.ip6_fib_timer). It runs only while there is something to expire."""

    def __init__(self, net: Net) -> None:
        super().__init__(net.clock)
        self.net: Net = net
        self.deferrable = True

    def function(self) -> None:
        """See fib6_run_gc."""
        fib6_run_gc(self.net)


def fib6_init(net: Net) -> None:
    """Make the tables main and local.  Linux: net/ipv6/ip6_fib.c, fib6_net_init."""
    ipv6 = net.ipv6
    ipv6.fib6_main_tbl = fib6_new_table(net, RT6_TABLE_MAIN)
    ipv6.fib6_local_tbl = fib6_new_table(net, RT6_TABLE_LOCAL)
    ipv6.fib6_gc = Fib6Gc(net)


def fib6_new_table(net: Net, id: int) -> Fib6Table:
    """Table `id`, made where it is not there.  Linux: net/ipv6/ip6_fib.c."""
    tb = net.ipv6.fib6_tables.get(id)
    if tb is None:
        tb = Fib6Table(id)
        net.ipv6.fib6_tables[id] = tb
    return tb


def fib6_get_table(net: Net, id: int) -> Fib6Table | None:
    """Table `id`.  Linux: net/ipv6/ip6_fib.c."""
    return net.ipv6.fib6_tables.get(id)


def fib6_type_error(type: i64) -> i64:
    """The errno of a route of this type: 0 where it leads somewhere.  Linux: net/ipv6/route.c, ip6_rt_type_to_error."""
    if type == RTN_UNREACHABLE:
        return -EHOSTUNREACH
    if type == RTN_PROHIBIT:
        return -EACCES
    if type == RTN_BLACKHOLE:
        return -EINVAL
    if type == RTN_THROW:
        return -EAGAIN
    return 0


def fib6_check_expired(net: Net, f6i: Fib6Info) -> bool:
    """Is its time over?  Linux: include/net/ip6_fib.h."""
    return (f6i.fib6_flags & RTF_EXPIRES) != 0 and net.clock.jiffies() > f6i.expires


def fib6_set_expires(net: Net, f6i: Fib6Info, expires: i64) -> None:
    """The route goes at `expires` (jiffies), unless it is renewed.  Linux: include/net/ip6_fib.h."""
    f6i.expires = expires
    f6i.fib6_flags |= RTF_EXPIRES
    fib6_start_gc(net)


def fib6_clean_expires(f6i: Fib6Info) -> None:
    """The route stays.  Linux: include/net/ip6_fib.h."""
    f6i.fib6_flags &= ~RTF_EXPIRES
    f6i.expires = 0


def rt6_qualify_for_ecmp(f6i: Fib6Info) -> bool:
    """Can it be one of several next hops? It has a gateway, and is none that a router advertised.

    Linux: include/net/ip6_route.h.
    """
    return (f6i.fib6_flags & RTF_ADDRCONF) == 0 and f6i.fib6_nh.gw != 0


def rt6_duplicate_nexthop(a: Fib6Info, b: Fib6Info) -> bool:
    """Do both go the same way?  Linux: include/net/ip6_route.h."""
    return a.fib6_nh.dev is b.fib6_nh.dev and a.fib6_nh.gw == b.fib6_nh.gw


def fib6_update_sernum(net: Net) -> None:
    """All cached routes are stale.  Linux: net/ipv6/ip6_fib.c, where those of one subtree are."""
    net.ipv6.fib6_sernum += 1


# -- changes


def fib6_leaf(table: Fib6Table, network: int, plen: int) -> list[Fib6Info]:
    """The routes of exactly this prefix, in the order in which they are tried; [] where there is none."""
    nets = table.prefixes.get(plen)
    if nets is None:
        return []
    found = nets.get(network)
    return found if found is not None else []


def _make_leaf(table: Fib6Table, network: int, plen: int) -> list[Fib6Info]:
    nets = table.prefixes.get(plen)
    if nets is None:
        nets = {}
        table.prefixes[plen] = nets
        table.lengths = sorted(table.prefixes, reverse=True)
    found = nets.get(network)
    if found is None:
        found = []
        nets[network] = found
    return found


def _drop_leaf(table: Fib6Table, network: int, plen: int) -> None:
    """Forget a prefix without routes."""
    nets = table.prefixes.get(plen)
    if nets is not None and not nets.get(network):
        nets.pop(network, None)
        if not nets:
            del table.prefixes[plen]
            table.lengths = sorted(table.prefixes, reverse=True)


def fib6_add(net: Net, table: Fib6Table, f6i: Fib6Info, flags: i64) -> int:
    """Put f6i into table as `flags` (NLM_F_*) say: 0, -EEXIST, or -ENOENT.  Linux: net/ipv6/ip6_fib.c."""
    plen = int(f6i.fib6_dst_len)
    if (flags & (NLM_F_CREATE | NLM_F_REPLACE)) == NLM_F_REPLACE and not fib6_leaf(table, f6i.fib6_dst, plen):
        return -ENOENT
    leaf = _make_leaf(table, f6i.fib6_dst, plen)
    err = fib6_add_rt2node(net, table, leaf, f6i, flags)
    if err != 0:
        _drop_leaf(table, f6i.fib6_dst, plen)
        return err
    f6i.fib6_table = table
    f6i.fib6_destroying = False
    table.count += 1
    fib6_update_sernum(net)
    if (f6i.fib6_flags & RTF_EXPIRES) != 0:
        fib6_start_gc(net)
    return 0


def fib6_add_rt2node(net: Net, table: Fib6Table, leaf: list[Fib6Info], rt: Fib6Info, flags: i64) -> int:
    """Place rt among the routes of its prefix: behind those of a lower or the same metric; 0 or a negative errno.

    Linux: net/ipv6/ip6_fib.c.
    """
    can_ecmp = rt6_qualify_for_ecmp(rt)
    at = 0
    replace = -1
    same = False
    siblings: list[Fib6Info] = []
    for i, old in enumerate(leaf):
        if old.fib6_metric > rt.fib6_metric:
            break
        at = i + 1
        if old.fib6_metric < rt.fib6_metric:
            continue
        if (flags & NLM_F_EXCL) != 0:
            return -EEXIST
        if (flags & NLM_F_REPLACE) != 0:
            # rather one of the same kind: a gateway's route for a gateway's
            if not same and (replace < 0 or rt6_qualify_for_ecmp(old) == can_ecmp):
                replace = i
                same = rt6_qualify_for_ecmp(old) == can_ecmp
            continue
        if rt6_duplicate_nexthop(old, rt):
            _renew(net, old, rt)
            return -EEXIST
        # without APPEND a route from elsewhere (a router's, an address's) stands beside the others
        if (flags & NLM_F_APPEND) != 0 and can_ecmp and rt6_qualify_for_ecmp(old):
            siblings.append(old)
    if replace >= 0:
        _replace(net, table, leaf, replace, rt)
        return 0
    if (flags & (NLM_F_REPLACE | NLM_F_CREATE)) == NLM_F_REPLACE:
        return -ENOENT
    if siblings:
        rt.fib6_siblings = list(siblings)
        for old in siblings:
            old.fib6_siblings.append(rt)
    leaf.insert(at, rt)
    return 0


def _renew(net: Net, old: Fib6Info, rt: Fib6Info) -> None:
    """The same route comes again: its lifetime is the new one's."""
    if (rt.fib6_flags & RTF_EXPIRES) == 0:
        fib6_clean_expires(old)
    elif (old.fib6_flags & RTF_EXPIRES) != 0:
        fib6_set_expires(net, old, rt.expires)


def _replace(net: Net, table: Fib6Table, leaf: list[Fib6Info], at: int, rt: Fib6Info) -> None:
    """rt takes the place of the route at `at`, and of its siblings."""
    old = leaf[at]
    leaf[at] = rt
    gone = [old, *old.fib6_siblings]
    for f6i in gone:
        if f6i in leaf:
            leaf.remove(f6i)
        _purge(f6i)
        table.count -= 1


def _purge(f6i: Fib6Info) -> None:
    """f6i is in no table any more: what was made of it is dead."""
    f6i.fib6_table = None
    f6i.fib6_destroying = True
    f6i.fib6_siblings = []
    if f6i.rt_cache is not None:
        f6i.rt_cache.obsolete = -1
        f6i.rt_cache = None
    fib6_flush_exceptions(f6i.fib6_nh)


def fib6_flush_exceptions(nh: Fib6Nh) -> None:
    """Forget what was learnt of destinations behind nh.  Linux: net/ipv6/route.c, rt6_flush_exceptions."""
    for ex in nh.exceptions.values():
        ex.rt6i.obsolete = -1
    nh.exceptions = {}


def fib6_del(net: Net, f6i: Fib6Info) -> int:
    """Take f6i out of its table: 0, or -ENOENT where it is in none.  Linux: net/ipv6/ip6_fib.c."""
    table = f6i.fib6_table
    if table is None:
        return -ENOENT
    plen = int(f6i.fib6_dst_len)
    leaf = fib6_leaf(table, f6i.fib6_dst, plen)
    if f6i not in leaf:
        return -ENOENT
    leaf.remove(f6i)
    for other in f6i.fib6_siblings:
        if f6i in other.fib6_siblings:
            other.fib6_siblings.remove(f6i)
    _purge(f6i)
    table.count -= 1
    _drop_leaf(table, f6i.fib6_dst, plen)
    fib6_update_sernum(net)
    return 0


# -- walks


def fib6_walk(table: Fib6Table) -> list[Fib6Info]:
    """All routes in the order of Linux's tree walk: by address, and what lies within a prefix before the prefix itself."""
    keys: list[tuple[int, int, int]] = []
    for plen, nets in table.prefixes.items():
        for network in nets:
            keys.append((network | ((1 << (128 - plen)) - 1), -plen, network))
    keys.sort()
    found: list[Fib6Info] = []
    for _, minus, network in keys:
        found.extend(fib6_leaf(table, network, -minus))
    return found


def fib6_all(net: Net) -> list[Fib6Info]:
    """The routes of all tables (Linux: fib6_clean_all walks them)."""
    found: list[Fib6Info] = []
    for id in sorted(net.ipv6.fib6_tables):
        found.extend(fib6_walk(net.ipv6.fib6_tables[id]))
    return found


def fib6_leaves(table: Fib6Table, daddr: int) -> list[list[Fib6Info]]:
    """The lists of routes of all prefixes that daddr lies in, the most specific first.

    Linux: net/ipv6/ip6_fib.c, fib6_node_lookup and fib6_backtrack.
    """
    found: list[list[Fib6Info]] = []
    for plen in table.lengths:
        leaf = table.prefixes[plen].get(daddr & in6_prefix_mask(plen))
        if leaf is not None:
            found.append(leaf)
    return found


# -- what ends by itself


def fib6_start_gc(net: Net) -> None:
    """Something will expire: look every net.ipv6.route.gc_interval.  Linux: net/ipv6/ip6_fib.c."""
    gc = net.ipv6.fib6_gc
    if gc is not None and not timer_pending(gc):
        mod_timer(gc, net.clock.now + net.ipv6.sysctl_ip6_rt_gc_interval * NSEC_PER_SEC)


def fib6_run_gc(net: Net) -> int:
    """Expired routes and exceptions go. How many are left that will.  Linux: net/ipv6/ip6_fib.c, with fib6_age."""
    more = 0
    for f6i in fib6_all(net):
        if (f6i.fib6_flags & RTF_EXPIRES) != 0:
            if fib6_check_expired(net, f6i):
                fib6_del(net, f6i)
                continue
            more += 1
        if f6i.fib6_nh.exceptions:
            more += rt6_age_exceptions(net, f6i)
    if more:
        fib6_start_gc(net)
    return more


def rt6_age_exceptions(net: Net, f6i: Fib6Info) -> int:
    """Forget what was learnt and is over, or leads to what is no router any more. How many are left.

    A redirect holds while it is used; a learnt MTU for net.ipv6.route.mtu_expires.  Linux: net/ipv6/route.c.
    """
    nh = f6i.fib6_nh
    tbl = net.ipv6.nd_tbl
    for daddr in list(nh.exceptions):
        rt = nh.exceptions[daddr].rt6i
        if rt.expires != 0:
            over = net.clock.now >= rt.expires
        else:
            over = net.clock.jiffies() >= rt.lastuse + IP6_RT_GC_TIMEOUT
        if not over and (rt.rt6i_flags & RTF_GATEWAY) != 0 and rt.rt6i_gateway != nh.gw and tbl is not None:
            n = tbl.hash.get((int(rt.dev.ifindex) << 128) | rt.rt6i_gateway)
            over = n is None or not n.is_router
        if over:
            rt.obsolete = -1
            del nh.exceptions[daddr]
    return len(nh.exceptions)
