# SPDX-License-Identifier: Apache-2.0
"""Routing tables: longest prefix match, by one dict of networks a prefix length.

Linux keeps a compressed trie; a host has few prefix lengths in use, so a look-up here is one dict get for each of them, the
longest first (a table of a full internet has at most 33). The aliases of a prefix are ordered by table, then TOS (the higher
first), then priority (the lower first), and the first that fits answers. A route whose next hops are all dead does not exist to a
look-up.

Until the first policy rule is made, the routes of table `local` stand in the structure of table `main` and one look-up serves
both, as in Linux; fib_trie_unmerge parts them.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.flow import Flowi4
from linnet.include.net.ip_fib import (
    RT_SCOPE_NOWHERE,
    RT_TABLE_LOCAL,
    RT_TABLE_MAIN,
    RTN_BLACKHOLE,
    RTN_LOCAL,
    RTN_PROHIBIT,
    RTN_THROW,
    RTN_UNREACHABLE,
    RTNH_F_DEAD,
    RTNH_F_LINKDOWN,
    FibAlias,
    FibInfo,
    FibResult,
    FibTable,
)
from linnet.include.net.net_namespace import Net
from linnet.include.trace.events.fib import trace_fib_table_lookup
from linnet.kernel.errno import EACCES, EAGAIN, EEXIST, EHOSTUNREACH, EINVAL

FIB_LOOKUP_IGNORE_LINKSTATE: Final = 2

INET_MASKS: Final = tuple((0xFFFFFFFF << (32 - n)) & 0xFFFFFFFF for n in range(33))


def fib_trie_table(tb_id: int, alias: FibTable | None = None) -> FibTable:
    """A new table; with alias, one that shares its routes.  Linux: net/ipv4/fib_trie.c."""
    tb = FibTable(tb_id)
    if alias is not None:
        tb.prefixes = alias.prefixes
        tb.lengths = alias.lengths
    return tb


def fib_trie_unmerge(main: FibTable, local: FibTable) -> None:
    """Part local's routes from main's.  Linux: net/ipv4/fib_trie.c."""
    if local.prefixes is not main.prefixes:
        return
    merged = main.prefixes
    main.prefixes = [{} for _ in range(33)]
    local.prefixes = [{} for _ in range(33)]
    main.lengths = []
    local.lengths = []
    for plen in range(33):
        for network, aliases in merged[plen].items():
            for fa in aliases:
                tb = local if fa.tb_id == RT_TABLE_LOCAL else main
                _insert_alias(tb, plen, network, fa)


def _sorts_before(fa: FibAlias, tb_id: i64, tos: i64, prio: i64) -> bool:
    """Does fa stand before a route of this table, TOS and priority (or at the same place)?"""
    if fa.tb_id != tb_id:
        return fa.tb_id > tb_id
    if fa.fa_tos != tos:
        return fa.fa_tos > tos
    return fa.fa_info.fib_priority <= prio


def _insert_alias(tb: FibTable, plen: int, network: int, fa: FibAlias, at: int = -1) -> None:
    """Put fa into its prefix's list, behind its equals unless `at` says where."""
    aliases = tb.prefixes[plen].get(network)
    if aliases is None:
        tb.prefixes[plen][network] = [fa]
        if plen not in tb.lengths:
            tb.lengths.append(plen)
            tb.lengths.sort(reverse=True)
        return
    if at < 0:
        at = 0
        while at < len(aliases) and _sorts_before(aliases[at], fa.tb_id, fa.fa_tos, fa.fa_info.fib_priority):
            at += 1
    aliases.insert(at, fa)


def _remove_alias(tb: FibTable, plen: int, network: int, fa: FibAlias) -> None:
    aliases = tb.prefixes[plen][network]
    aliases.remove(fa)
    if not aliases:
        del tb.prefixes[plen][network]
        if not tb.prefixes[plen]:
            tb.lengths.remove(plen)


def fib_find_alias(tb: FibTable, network: int, plen: int, tos: i64, prio: i64) -> FibAlias | None:
    """The first route of this table to the prefix with this TOS and this priority or a later one.  Linux: net/ipv4/fib_trie.c."""
    for fa in tb.prefixes[plen].get(network, []):
        if fa.tb_id == tb.tb_id and fa.fa_tos == tos and fa.fa_info.fib_priority >= prio:
            return fa
    return None


def fib_table_insert(net: Net, tb: FibTable, network: int, plen: int, tos: i64, type: i64, fi: FibInfo, replace: bool,
                     append: bool = False) -> int:
    """Add a route: 0, or -EEXIST where one of the same TOS and priority is there (replace takes its place, append stands behind
    it).

    Linux: net/ipv4/fib_trie.c, where the fib_info is made here.
    """
    fa = FibAlias(fi, tos, type, tb.tb_id)
    same: FibAlias | None = fib_find_alias(tb, network, plen, tos, fi.fib_priority)
    if same is not None and same.fa_info.fib_priority == fi.fib_priority:
        aliases = tb.prefixes[plen][network]
        if replace:
            aliases[aliases.index(same)] = fa
            same.fa_info.fib_treeref -= 1
            fi.fib_treeref += 1
            return 0
        for other in aliases:
            if (other.tb_id == tb.tb_id and other.fa_tos == tos and other.fa_type == type
                    and (other.fa_info is fi or not append) and other.fa_info.fib_priority == fi.fib_priority):
                return -EEXIST
        if not append:
            return -EEXIST
    _insert_alias(tb, plen, network, fa)
    fi.fib_treeref += 1
    tb.count += 1
    return 0


def fib_table_remove(tb: FibTable, plen: int, network: int, fa: FibAlias) -> None:
    """Take one route out."""
    _remove_alias(tb, plen, network, fa)
    fa.fa_info.fib_treeref -= 1
    tb.count -= 1


def fib_table_find(tb: FibTable, network: int, plen: int) -> list[FibAlias]:
    """The routes of this table to exactly this prefix, in order."""
    return [fa for fa in tb.prefixes[plen].get(network, []) if fa.tb_id == tb.tb_id]


def fib_props_error(type: i64) -> int:
    """What a route of this type answers: 0, or a negative errno.  Linux: fib_props, net/ipv4/fib_semantics.c."""
    if type == RTN_BLACKHOLE:
        return -EINVAL
    if type == RTN_UNREACHABLE:
        return -EHOSTUNREACH
    if type == RTN_PROHIBIT:
        return -EACCES
    if type == RTN_THROW:
        return -EAGAIN
    return 0


def fib_props_scope(type: i64) -> i64:
    """The narrowest scope a route of this type may have.  Linux: fib_props, net/ipv4/fib_semantics.c."""
    if type == RTN_LOCAL:
        return 254  # RT_SCOPE_HOST
    if type == 3 or type == 4:  # RTN_BROADCAST, RTN_ANYCAST
        return 253  # RT_SCOPE_LINK
    if type == 0 or type > 9:
        return RT_SCOPE_NOWHERE
    return 0


def fib_table_lookup(tb: FibTable, flp: Flowi4, res: FibResult, fib_flags: i64, net: Net) -> i64:
    """Find flp's route: 0 and res filled; -EAGAIN where the table has none; the errno of a blackhole, unreachable, prohibit or
    throw route.

    Linux: net/ipv4/fib_trie.c (which learns the Net from the routes).
    """
    daddr = flp.daddr
    tos = flp.flowi4_tos & 0x1C
    oif = flp.flowi4_oif
    prefixes = tb.prefixes
    for plen in tb.lengths:
        network: i64 = daddr & INET_MASKS[plen]
        aliases = prefixes[plen].get(network)
        if aliases is None:
            continue
        for fa in aliases:
            if fa.fa_tos != 0 and fa.fa_tos != tos:
                continue
            fi = fa.fa_info
            if fi.fib_dead or fi.fib_scope < flp.flowi4_scope:
                continue
            if fa.fa_type >= RTN_BLACKHOLE:
                err = fib_props_error(fa.fa_type)
                if err != 0:
                    if net.trace.enabled:
                        trace_fib_table_lookup(net, tb.tb_id, flp, err, '', 0)
                    return err
            if (fi.fib_flags & RTNH_F_DEAD) != 0:
                continue
            sel: i64 = 0
            for nh in fi.fib_nh:
                if ((nh.nh_flags & RTNH_F_DEAD) == 0 and (oif == 0 or oif == nh.nh_oif)
                        and ((nh.nh_flags & RTNH_F_LINKDOWN) == 0 or (fib_flags & FIB_LOOKUP_IGNORE_LINKSTATE) != 0
                             or not _ignores_linkdown(net, nh.nh_oif))):
                    res.prefix = network
                    res.prefixlen = plen
                    res.nh_sel = sel
                    res.type = fa.fa_type
                    res.scope = fi.fib_scope
                    res.fi = fi
                    res.table = tb
                    if net.trace.enabled:
                        trace_fib_table_lookup(net, tb.tb_id, flp, 0, '' if nh.nh_dev is None else nh.nh_dev.name, int(nh.nh_gw))
                    return 0
                sel += 1
    if net.trace.enabled:
        trace_fib_table_lookup(net, tb.tb_id, flp, -EAGAIN, '', 0)
    return -EAGAIN


def _ignores_linkdown(net: Net, oif: i64) -> bool:
    """Are routes over a device without carrier left out (conf ignore_routes_with_linkdown)?"""
    dev = net.dev_by_index.get(int(oif))
    return dev is not None and dev.in_dev is not None and dev.in_dev.cnf.ignore_routes_with_linkdown != 0


def fib_table_flush(tb: FibTable) -> int:
    """Take out all routes whose fib_info is dead; how many.  Linux: net/ipv4/fib_trie.c."""
    found = 0
    for plen in list(tb.lengths):
        for network, aliases in list(tb.prefixes[plen].items()):
            for fa in list(aliases):
                if fa.tb_id == tb.tb_id and fa.fa_info.fib_dead:
                    fib_table_remove(tb, plen, network, fa)
                    found += 1
    return found


def fib_table_walk(tb: FibTable) -> list[tuple[int, int, FibAlias]]:
    """All routes of the table as (network, prefix length, alias), ordered as `ip route` prints them: by network, shorter prefix
    first.
    """
    rows: list[tuple[int, int, FibAlias]] = []
    for plen in range(33):
        for network, aliases in tb.prefixes[plen].items():
            for fa in aliases:
                if fa.tb_id == tb.tb_id:
                    rows.append((network, plen, fa))
    rows.sort(key=fib_walk_key)
    return rows


def fib_walk_key(row: tuple[int, int, FibAlias]) -> tuple[int, int]:
    """The order of fib_table_walk."""
    return row[0], row[1]


def fib_get_table(net: Net, tb_id: int) -> FibTable | None:
    """A table that exists.  Linux: net/ipv4/fib_frontend.c."""
    return net.ipv4.fib_tables.get(tb_id)


def fib_new_table(net: Net, tb_id: int) -> FibTable:
    """A table, made where it does not exist; local shares main's routes until there are rules.

    Linux: net/ipv4/fib_frontend.c.
    """
    if tb_id == 0:
        tb_id = RT_TABLE_MAIN
    tb = net.ipv4.fib_tables.get(tb_id)
    if tb is not None:
        return tb
    alias: FibTable | None = None
    if tb_id == RT_TABLE_LOCAL and not net.ipv4.fib_rules:
        alias = fib_new_table(net, RT_TABLE_MAIN)
    tb = fib_trie_table(tb_id, alias)
    net.ipv4.fib_tables[tb_id] = tb
    if tb_id == RT_TABLE_MAIN:
        net.ipv4.fib_main = tb
    elif tb_id == RT_TABLE_LOCAL:
        net.ipv4.fib_local = tb
    return tb

