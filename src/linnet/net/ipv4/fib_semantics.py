# SPDX-License-Identifier: Apache-2.0
"""What a route means: next hops checked and shared, the choice between several, preferred sources, and what a device's end does
to them.

A fib_info holds what routes have in common and is shared between equal ones. A next hop's gateway must itself be reachable on a
link (scope rule: each hop must be strictly nearer than the route that uses it). Multipath next hops are chosen by a hash of the
flow, in proportion to their weights, so that one flow keeps its path (RFC 2992).
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.netdevice import IFF_UP, NetDevice
from linnet.include.net.flow import Flowi4
from linnet.include.net.ip_fib import (
    RT_SCOPE_HOST,
    RT_SCOPE_LINK,
    RT_SCOPE_NOWHERE,
    RT_TABLE_LOCAL,
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_UNICAST,
    RTNH_F_DEAD,
    RTNH_F_LINKDOWN,
    RTNH_F_ONLINK,
    FibConfig,
    FibInfo,
    FibNh,
    FibResult,
)
from linnet.include.net.net_namespace import Net
from linnet.kernel.errno import EINVAL, ENETDOWN, ENODEV
from linnet.kernel.random import siphash_3u32
from linnet.net.ipv4.devinet import inet_lookup_ifaddr_rcu, inet_select_addr
from linnet.net.ipv4.fib_rules import fib_lookup
from linnet.net.ipv4.fib_trie import FIB_LOOKUP_IGNORE_LINKSTATE, fib_props_error, fib_props_scope, fib_table_lookup


def fib_addr_type(net: Net, addr: i64) -> i64:
    """RTN_* of an address by table local alone, RTN_UNICAST where it says nothing.

    Linux: inet_addr_type_table in net/ipv4/fib_frontend.c, which serves here below.
    """
    if addr == 0 or addr == 0xFFFFFFFF:
        return RTN_BROADCAST
    if (addr >> 28) == 0xE:
        return RTN_MULTICAST
    tb = net.ipv4.fib_tables.get(RT_TABLE_LOCAL)
    if tb is None:
        return RTN_BROADCAST
    fl4 = Flowi4()
    fl4.daddr = addr
    res = FibResult()
    if fib_table_lookup(tb, fl4, res, FIB_LOOKUP_IGNORE_LINKSTATE, net) != 0:
        return RTN_UNICAST
    return res.type


def fib_check_nh(net: Net, nh: FibNh, table: int, scope: i64, onlink: bool) -> int:
    """Find the device of a next hop and see that its gateway can be reached: 0 or a negative errno.

    -EINVAL: an impossible scope; -ENETUNREACH: the gateway is on no link; -ENETDOWN: the device is down; -ENODEV: there is none.
    Linux: net/ipv4/fib_semantics.c.
    """
    if nh.nh_gw == 0:
        dev = net.dev_by_index.get(int(nh.nh_oif)) if nh.nh_oif != 0 else nh.nh_dev
        if dev is None or dev.in_dev is None:
            return -ENODEV
        if dev.flags & IFF_UP == 0:
            return -ENETDOWN
        _set_nh_dev(nh, dev)
        nh.nh_scope = RT_SCOPE_HOST  # nobody lies in between
        return 0
    if onlink or nh.nh_flags & RTNH_F_ONLINK:
        if scope >= RT_SCOPE_LINK:
            return -EINVAL
        dev = net.dev_by_index.get(int(nh.nh_oif))
        if dev is None:
            return -ENODEV
        if dev.flags & IFF_UP == 0:
            return -ENETDOWN
        if fib_addr_type(net, nh.nh_gw) != RTN_UNICAST:
            return -EINVAL
        _set_nh_dev(nh, dev)
        nh.nh_flags |= RTNH_F_ONLINK
        nh.nh_scope = RT_SCOPE_LINK
        return 0
    fl4 = Flowi4()
    fl4.daddr = nh.nh_gw
    fl4.flowi4_scope = scope + 1
    fl4.flowi4_oif = nh.nh_oif
    fl4.flowi4_iif = 1
    if fl4.flowi4_scope < RT_SCOPE_LINK:  # only what is on the link itself can be a gateway
        fl4.flowi4_scope = RT_SCOPE_LINK
    res = FibResult()
    err = fib_lookup(net, fl4, res, FIB_LOOKUP_IGNORE_LINKSTATE)
    if err != 0:
        return int(err)
    if res.type != RTN_UNICAST and res.type != RTN_LOCAL:
        return -EINVAL
    assert res.fi is not None
    dev = res.fi.fib_nh[int(res.nh_sel)].nh_dev
    if dev is None:
        return -ENODEV
    if dev.flags & IFF_UP == 0:
        return -ENETDOWN
    _set_nh_dev(nh, dev)
    nh.nh_scope = res.scope
    return 0


def _set_nh_dev(nh: FibNh, dev: NetDevice) -> None:
    nh.nh_dev = dev
    nh.nh_oif = dev.ifindex
    if not dev.carrier:
        nh.nh_flags |= RTNH_F_LINKDOWN


def fib_valid_prefsrc(net: Net, cfg: FibConfig) -> bool:
    """May prefsrc be a source here? It must be local (or be the very address that the route makes local).

    Linux: net/ipv4/fib_semantics.c.
    """
    if cfg.fc_type == RTN_LOCAL and cfg.fc_dst == cfg.fc_prefsrc:
        return True
    return fib_addr_type(net, cfg.fc_prefsrc) == RTN_LOCAL or inet_lookup_ifaddr_rcu(net, cfg.fc_prefsrc) is not None


def _nexthops_of(cfg: FibConfig) -> list[FibNh]:
    """Fresh next hops as cfg wants them."""
    if not cfg.fc_nexthops:
        nh = FibNh(None, cfg.fc_gw)
        nh.nh_oif = cfg.fc_oif
        return [nh]
    hops: list[FibNh] = []
    for given in cfg.fc_nexthops:
        nh = FibNh(given.nh_dev, given.nh_gw, given.nh_weight)
        nh.nh_oif = given.nh_oif
        nh.nh_flags = given.nh_flags & RTNH_F_ONLINK
        hops.append(nh)
    return hops


def _check_nexthops(net: Net, cfg: FibConfig, fi: FibInfo) -> int:
    """The next hops of an ordinary route: 0 or a negative errno."""
    if cfg.fc_scope == RT_SCOPE_HOST:
        if len(fi.fib_nh) != 1 or fi.fib_nh[0].nh_gw != 0:
            return -EINVAL
        nh = fi.fib_nh[0]
        dev = net.dev_by_index.get(int(nh.nh_oif))
        if dev is None:
            return -ENODEV
        _set_nh_dev(nh, dev)
        nh.nh_scope = RT_SCOPE_NOWHERE
        return 0
    down = 0
    for nh in fi.fib_nh:
        err = fib_check_nh(net, nh, cfg.fc_table, cfg.fc_scope, cfg.fc_onlink)
        if err != 0:
            return err
        if nh.nh_flags & RTNH_F_LINKDOWN:
            down += 1
    if down == len(fi.fib_nh):
        fi.fib_flags |= RTNH_F_LINKDOWN
    return 0


def fib_create_info(net: Net, cfg: FibConfig) -> tuple[int, FibInfo | None]:
    """Make (or find, where an equal one is in use) what the route cfg needs: (0, it) or (a negative errno, None).

    Linux: net/ipv4/fib_semantics.c.
    """
    if cfg.fc_type > 9 or fib_props_scope(cfg.fc_type) > cfg.fc_scope:
        return -EINVAL, None
    fi = FibInfo()
    fi.fib_protocol = cfg.fc_protocol
    fi.fib_scope = cfg.fc_scope
    fi.fib_type = cfg.fc_type
    fi.fib_priority = cfg.fc_priority
    fi.fib_prefsrc = cfg.fc_prefsrc
    fi.fib_metrics = dict(cfg.fc_mx)
    if fib_props_error(cfg.fc_type) != 0:
        if cfg.fc_gw != 0 or cfg.fc_oif != 0 or cfg.fc_nexthops:
            return -EINVAL, None
        fi.fib_nh = [FibNh(None)]
    else:
        if cfg.fc_type not in (RTN_UNICAST, RTN_LOCAL, RTN_BROADCAST, RTN_MULTICAST, 4):
            return -EINVAL, None
        if cfg.fc_scope > RT_SCOPE_HOST:
            return -EINVAL, None
        fi.fib_nh = _nexthops_of(cfg)
        err = _check_nexthops(net, cfg, fi)
        if err != 0:
            return err, None
    if fi.fib_prefsrc != 0 and not fib_valid_prefsrc(net, cfg):
        return -EINVAL, None
    for nh in fi.fib_nh:
        if nh.nh_dev is not None:
            fib_info_update_nhc_saddr(net, fi, nh)
    old = fib_find_info(net, fi)
    if old is not None:
        return 0, old
    net.ipv4.fib_info_list.append(fi)
    return 0, fi


def _nh_equal(a: FibNh, b: FibNh) -> bool:
    """Linux: nh_comp."""
    return (a.nh_oif == b.nh_oif and a.nh_gw == b.nh_gw and a.nh_scope == b.nh_scope and a.nh_weight == b.nh_weight
            and (a.nh_flags ^ b.nh_flags) & ~(RTNH_F_DEAD | RTNH_F_LINKDOWN) == 0)


def fib_find_info(net: Net, nfi: FibInfo) -> FibInfo | None:
    """A living fib_info that is equal.  Linux: net/ipv4/fib_semantics.c."""
    for fi in net.ipv4.fib_info_list:
        if (fi.fib_protocol == nfi.fib_protocol and fi.fib_scope == nfi.fib_scope and fi.fib_prefsrc == nfi.fib_prefsrc
                and fi.fib_priority == nfi.fib_priority and fi.fib_type == nfi.fib_type and not fi.fib_dead
                and fi.fib_metrics == nfi.fib_metrics and len(fi.fib_nh) == len(nfi.fib_nh)
                and all(_nh_equal(a, b) for a, b in zip(fi.fib_nh, nfi.fib_nh, strict=True))):
            return fi
    return None


def fib_release_info(net: Net, fi: FibInfo) -> None:
    """Forget fi where no route uses it any more.  Linux: net/ipv4/fib_semantics.c."""
    if fi.fib_treeref <= 0:
        fi.fib_dead = True
        if fi in net.ipv4.fib_info_list:
            net.ipv4.fib_info_list.remove(fi)


def fib_info_update_nhc_saddr(net: Net, fi: FibInfo, nh: FibNh) -> i64:
    """Choose the source address that goes with a next hop, for the tables as they are.  Linux: net/ipv4/fib_semantics.c."""
    dev = nh.nh_dev
    if dev is None:
        return 0
    nh.nh_saddr = inet_select_addr(dev, nh.nh_gw, fi.fib_scope)
    nh.nh_saddr_genid = net.ipv4.rt_genid
    return nh.nh_saddr


def fib_result_prefsrc(net: Net, res: FibResult) -> i64:
    """The source address that the found route prefers.  Linux: net/ipv4/fib_semantics.c."""
    fi = res.fi
    if fi is None:
        return 0
    if fi.fib_prefsrc != 0:
        return fi.fib_prefsrc
    nh = fi.fib_nh[res.nh_sel]
    if nh.nh_saddr_genid == net.ipv4.rt_genid:
        return nh.nh_saddr
    return fib_info_update_nhc_saddr(net, fi, nh)


def fib_multipath_hash(net: Net, saddr: i64, daddr: i64, extra: i64) -> i64:
    """31 bits of a keyed hash over the flow: addresses (net.ipv4.fib_multipath_hash_policy 0).  Linux: net/ipv4/route.c."""
    value: i64 = siphash_3u32(net.world.seed & 0xFFFFFFFF, int(net.hash_mix), saddr, daddr, extra) & 0x7FFFFFFF
    return value


def fib_select_multipath(res: FibResult, hash: i64) -> None:
    """Choose among the living next hops by hash, in proportion to their weights.  Linux: net/ipv4/fib_semantics.c."""
    fi = res.fi
    assert fi is not None
    total: i64 = 0
    for nh in fi.fib_nh:
        if (nh.nh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0:
            total += nh.nh_weight
    if total == 0:
        return
    upto: i64 = 0
    sel: i64 = 0
    for nh in fi.fib_nh:
        if (nh.nh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0:
            upto += nh.nh_weight
            # the upper bound of this hop's share of the 31 bits, rounded as Linux rounds it
            if hash <= (upto * 0x80000000 + total // 2) // total - 1:
                res.nh_sel = sel
                return
        sel += 1


def fib_select_path(net: Net, res: FibResult, fl4: Flowi4) -> None:
    """Settle which next hop of the found route an outgoing flow takes, and its source address.

    Linux: net/ipv4/fib_semantics.c.
    """
    fi = res.fi
    assert fi is not None
    if fl4.flowi4_oif == 0 and len(fi.fib_nh) > 1:
        fib_select_multipath(res, fib_multipath_hash(net, fl4.saddr, fl4.daddr, 0))
    if fl4.saddr == 0:
        fl4.saddr = fib_result_prefsrc(net, res)


def fib_sync_down_addr(net: Net, dev: NetDevice, local: i64) -> int:
    """The address is gone: routes that prefer it as source are dead. How many.  Linux: net/ipv4/fib_semantics.c."""
    found = 0
    if local == 0:
        return 0
    for fi in net.ipv4.fib_info_list:
        if fi.fib_prefsrc == local and not fi.fib_dead:
            fi.fib_dead = True
            found += 1
    return found


def fib_sync_down_dev(net: Net, dev: NetDevice, force: bool) -> int:
    """The device went down: its next hops are dead, and routes without another. force: so are those of scope host.

    Returns how many routes died.  Linux: net/ipv4/fib_semantics.c.
    """
    found = 0
    for fi in net.ipv4.fib_info_list:
        dead = 0
        hit = False
        for nh in fi.fib_nh:
            if nh.nh_flags & RTNH_F_DEAD:
                dead += 1
            elif nh.nh_dev is dev and (force or nh.nh_scope != RT_SCOPE_NOWHERE):
                nh.nh_flags |= RTNH_F_DEAD | RTNH_F_LINKDOWN
                hit = True
                dead += 1
        if hit and dead == len(fi.fib_nh) and not fi.fib_dead:
            fi.fib_flags |= RTNH_F_DEAD
            fi.fib_dead = True
            found += 1
    return found


def fib_sync_linkdown(net: Net, dev: NetDevice, down: bool) -> None:
    """The carrier went or came.  Linux: fib_sync_down_dev and fib_sync_up of net/ipv4/fib_semantics.c, event NETDEV_CHANGE."""
    for fi in net.ipv4.fib_info_list:
        for nh in fi.fib_nh:
            if nh.nh_dev is dev:
                if down:
                    nh.nh_flags |= RTNH_F_LINKDOWN
                else:
                    nh.nh_flags &= ~RTNH_F_LINKDOWN


def fib_sync_up(net: Net, dev: NetDevice) -> int:
    """The device is up again: multipath hops over it live again. How many routes.  Linux: net/ipv4/fib_semantics.c."""
    found = 0
    for fi in net.ipv4.fib_info_list:
        alive = False
        for nh in fi.fib_nh:
            if nh.nh_dev is dev and nh.nh_flags & RTNH_F_DEAD and dev.in_dev is not None:
                nh.nh_flags &= ~RTNH_F_DEAD
                if dev.carrier:
                    nh.nh_flags &= ~RTNH_F_LINKDOWN
                alive = True
        if alive:
            fi.fib_flags &= ~RTNH_F_DEAD
            found += 1
    return found


def fib_metric_names() -> dict[int, str]:
    """RTAX_* to the words of `ip route`."""
    return {2: 'mtu', 3: 'window', 4: 'rtt', 5: 'rttvar', 6: 'ssthresh', 7: 'cwnd', 8: 'advmss', 9: 'reordering', 10: 'hoplimit',
            11: 'initcwnd', 13: 'rto_min', 14: 'initrwnd', 15: 'quickack', 17: 'fastopen_no_cookie'}
