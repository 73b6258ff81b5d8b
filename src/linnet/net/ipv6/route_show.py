# SPDX-License-Identifier: Apache-2.0
"""The text of `ip -6 route`, as iproute2 prints it."""
from __future__ import annotations

from typing import Final

from linnet.include.linux.in6 import in6_ntop
from linnet.include.net.dst import RTAX_LOCK
from linnet.include.net.ip6_fib import RT6_TABLE_MAIN, RTF_EXPIRES, RTF_GATEWAY, Fib6Info, Fib6Nh, Rt6Info
from linnet.include.net.ip_fib import RTN_LOCAL, RTN_UNICAST
from linnet.include.net.net_namespace import Net
from linnet.net.ipv4.fib_frontend import RTN_NAMES, RTPROT_NAMES, nh_flags_text
from linnet.net.ipv4.fib_semantics import fib_metric_names
from linnet.net.ipv6.ip6_fib import NSEC_PER_SEC, fib6_get_table, fib6_walk

LINUX_FILE: Final = 'net/ipv6/route.c'
PREF_NAMES: Final = {0: 'medium', 1: 'high', 3: 'low'}


def _nh_text(nh: Fib6Nh) -> str:
    text = f' via {in6_ntop(nh.gw)}' if nh.gw != 0 else ''
    return f'{text} dev {nh.dev.name}'


def fib6_route_text(net: Net, f6i: Fib6Info) -> str:
    """One route as `ip -6 route` prints it, without a line's end (multipath: several lines)."""
    text = '' if f6i.fib6_type == RTN_UNICAST else RTN_NAMES.get(int(f6i.fib6_type), str(f6i.fib6_type)) + ' '
    plen = int(f6i.fib6_dst_len)
    text += 'default' if plen == 0 else in6_ntop(f6i.fib6_dst) + ('' if plen == 128 else f'/{plen}')
    single = not f6i.fib6_siblings
    if single:
        text += _nh_text(f6i.fib6_nh)
    if f6i.fib6_protocol != 3:
        text += f' proto {_protocol(int(f6i.fib6_protocol))}'
    if f6i.fib6_prefsrc:
        text += f' src {in6_ntop(f6i.fib6_prefsrc)}'
    text += f' metric {f6i.fib6_metric}'
    if single:
        text += nh_flags_text(f6i.fib6_nh.nh_flags)
    if f6i.fib6_flags & RTF_EXPIRES:
        left = int(f6i.expires - net.clock.jiffies())
        text += f' expires {left // 1000 if left >= 0 else -(-left // 1000)}sec'  # cut, not rounded down
    lock = f6i.fib6_metrics.get(RTAX_LOCK, 0)
    for key, name in fib_metric_names().items():
        if key in f6i.fib6_metrics:
            text += f' {name}{" lock" if lock & (1 << key) else ""} {f6i.fib6_metrics[key]}'
    text += f' pref {PREF_NAMES.get(int(f6i.pref), str(f6i.pref))}'
    return text


def fib6_cache_text(net: Net, rt: Rt6Info) -> str:
    """What was learnt of one destination, as `ip -6 route show cache` prints it, without a line's end."""
    text = in6_ntop(rt.rt6i_dst)
    if rt.rt6i_flags & RTF_GATEWAY:
        text += f' via {in6_ntop(rt.rt6i_gateway)}'
    text += f' dev {rt.dev.name}'
    f6i = rt.rt6i_from
    if f6i is not None:
        if f6i.fib6_protocol != 3:
            text += f' proto {_protocol(int(f6i.fib6_protocol))}'
        text += f' metric {f6i.fib6_metric}'
    if rt.expires != 0:
        text += f' expires {(rt.expires - net.clock.now) // NSEC_PER_SEC}sec'
    for key, name in fib_metric_names().items():
        if rt.metrics[key] != 0:
            text += f' {name} {rt.metrics[key]}'
    return f'{text} pref {PREF_NAMES.get(int(f6i.pref) if f6i is not None else 0)}'


def fib6_dump_cache(net: Net) -> str:
    """The text of `ip -6 route show cache`: path MTUs and redirects, table by table."""
    text = ''
    for id in sorted(net.ipv6.fib6_tables):
        for f6i in fib6_walk(net.ipv6.fib6_tables[id]):
            for ex in f6i.fib6_nh.exceptions.values():
                if ex.rt6i.expires == 0 or net.clock.now < ex.rt6i.expires:
                    text += fib6_cache_text(net, ex.rt6i) + ' \n'
    return text


def _protocol(number: int) -> str:
    return 'ra' if number == 9 else RTPROT_NAMES.get(number, str(number))


def fib6_dump(net: Net, table: int = 254) -> str:
    """The text of `ip -6 route show table TABLE`.  Linux: inet6_dump_fib of net/ipv6/ip6_fib.c, as iproute2 prints it."""
    tb = fib6_get_table(net, table)
    if tb is None:
        return ''
    text = ''
    upto: Fib6Info | None = None
    for f6i in fib6_walk(tb):
        if upto is not None:
            # the walk goes on behind the last next hop: a route that came in between is not shown
            if f6i is upto:
                upto = None
            continue
        if table == RT6_TABLE_MAIN and f6i.fib6_type == RTN_LOCAL:  # iproute2 looks for these in table local
            continue
        text += fib6_route_text(net, f6i) + ' \n'
        if f6i.fib6_siblings:
            hops = [f6i, *f6i.fib6_siblings]
            upto = hops[-1]
            for hop in hops:
                nh = hop.fib6_nh
                text += f'\tnexthop{_nh_text(nh)} weight {nh.weight}{nh_flags_text(nh.nh_flags)} \n'
    return text
