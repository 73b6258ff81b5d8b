# SPDX-License-Identifier: Apache-2.0
"""Routes as people and devices make them: `ip route`, the routes that follow from addresses, source validation, address types.

An address brings three kinds of routes with it (fib_add_ifaddr): itself in table local, its broadcast addresses there, and its
subnet in table main. They come when the address does and its device is up, and go with either. Every change raises rt_genid,
which makes all cached routes of the host stale.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.inet import in_ntoa, inet_make_mask, ipv4_is_lbcast, ipv4_is_multicast, ipv4_is_zeronet
from linnet.include.linux.inetdevice import (
    IFA_F_NOPREFIXROUTE,
    IFA_F_SECONDARY,
    IN_DEV_ACCEPT_LOCAL,
    IN_DEV_RPFILTER,
    IN_DEV_TX_REDIRECTS,
    InDevice,
    InIfaddr,
    __in_dev_get_rcu,
    inet_ifa_match,
)
from linnet.include.linux.netdevice import IFF_LOOPBACK, IFF_UP, NetDevice
from linnet.include.linux.notifier import (
    NETDEV_CHANGE,
    NETDEV_CHANGEMTU,
    NETDEV_DOWN,
    NETDEV_UNREGISTER,
    NETDEV_UP,
    NotifierBlock,
)
from linnet.include.net.flow import Flowi4
from linnet.include.net.ip_fib import (
    RT_SCOPE_HOST,
    RT_SCOPE_LINK,
    RT_SCOPE_UNIVERSE,
    RT_TABLE_LOCAL,
    RT_TABLE_MAIN,
    RTN_BLACKHOLE,
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_UNICAST,
    RTNH_F_DEAD,
    RTNH_F_LINKDOWN,
    RTNH_F_ONLINK,
    RTPROT_KERNEL,
    FibAlias,
    FibConfig,
    FibInfo,
    FibNh,
    FibResult,
    FibScratch,
    FibTable,
)
from linnet.include.net.net_namespace import Net
from linnet.kernel.errno import EINVAL, ESRCH, EXDEV
from linnet.net.ipv4.devinet import inet_lookup_ifaddr_rcu
from linnet.net.ipv4.fib_rules import fib4_rules_init, fib_lookup
from linnet.net.ipv4.fib_semantics import (
    fib_create_info,
    fib_metric_names,
    fib_release_info,
    fib_sync_down_addr,
    fib_sync_down_dev,
    fib_sync_linkdown,
    fib_sync_up,
)
from linnet.net.ipv4.fib_trie import (
    FIB_LOOKUP_IGNORE_LINKSTATE,
    fib_get_table,
    fib_new_table,
    fib_table_find,
    fib_table_flush,
    fib_table_insert,
    fib_table_lookup,
    fib_table_remove,
    fib_table_walk,
)

RTN_NAMES: Final = {1: 'unicast', 2: 'local', 3: 'broadcast', 4: 'anycast', 5: 'multicast', 6: 'blackhole', 7: 'unreachable',
                    8: 'prohibit', 9: 'throw'}
RTPROT_NAMES: Final = {0: 'unspec', 1: 'redirect', 2: 'kernel', 3: 'boot', 4: 'static'}
SCOPE_NAMES: Final = {200: 'site', 253: 'link', 254: 'host', 255: 'nowhere'}


def rt_cache_flush(net: Net) -> None:
    """All cached routes are stale.  Linux: net/ipv4/route.c (rt_genid_bump_ipv4)."""
    net.ipv4.rt_genid += 1


def fib_flush(net: Net) -> None:
    """Take the dead routes out of all tables.  Linux: net/ipv4/fib_frontend.c."""
    flushed = 0
    for tb in list(net.ipv4.fib_tables.values()):
        flushed += fib_table_flush(tb)
    for fi in list(net.ipv4.fib_info_list):
        if fi.fib_treeref <= 0:
            fib_release_info(net, fi)
    if flushed:
        rt_cache_flush(net)


# -- what an address is


def __inet_dev_addr_type(net: Net, dev: NetDevice | None, addr: i64, tb_id: int) -> i64:
    """RTN_* of an address by table tb_id, seen from dev (None: from anywhere); RTN_UNICAST where it is not ours.

    Linux: net/ipv4/fib_frontend.c.
    """
    if ipv4_is_zeronet(addr) or ipv4_is_lbcast(addr):
        return RTN_BROADCAST
    if ipv4_is_multicast(addr):
        return RTN_MULTICAST
    table = fib_get_table(net, tb_id)
    if table is None:
        return RTN_BROADCAST
    ret: i64 = RTN_UNICAST
    scratch = net.ipv4.fib_scratch
    if scratch is None:
        scratch = FibScratch()
    fl4 = scratch.src_fl4
    _clear_flow(fl4)
    fl4.daddr = addr
    res = scratch.src_res
    if fib_table_lookup(table, fl4, res, FIB_LOOKUP_IGNORE_LINKSTATE, net) == 0:
        if dev is None or _res_dev_is(res, dev):
            ret = res.type
    return ret


def _clear_flow(fl4: Flowi4) -> None:
    """All wildcards."""
    fl4.flowi4_oif = 0
    fl4.flowi4_iif = 1
    fl4.flowi4_mark = 0
    fl4.flowi4_tos = 0
    fl4.flowi4_scope = 0
    fl4.flowi4_proto = 0
    fl4.flowi4_flags = 0
    fl4.daddr = 0
    fl4.saddr = 0
    fl4.fl4_dport = 0
    fl4.fl4_sport = 0
    fl4.err = 0


def _res_dev_is(res: FibResult, dev: NetDevice) -> bool:
    """Does one of the route's next hops use dev?"""
    fi = res.fi
    if fi is None:
        return False
    for nh in fi.fib_nh:
        if nh.nh_dev is dev:
            return True
    return False


def inet_addr_type(net: Net, addr: i64) -> i64:
    """RTN_LOCAL, RTN_BROADCAST, RTN_MULTICAST, or RTN_UNICAST for everything else.  Linux: net/ipv4/fib_frontend.c."""
    return __inet_dev_addr_type(net, None, addr, RT_TABLE_LOCAL)


def inet_addr_type_table(net: Net, addr: i64, tb_id: int) -> i64:
    """The same by another table.  Linux: net/ipv4/fib_frontend.c."""
    return __inet_dev_addr_type(net, None, addr, tb_id)


def inet_addr_type_dev_table(net: Net, dev: NetDevice, addr: i64) -> i64:
    """The same, by the local table that goes with dev.  Linux: net/ipv4/fib_frontend.c; there are no VRFs here."""
    return __inet_dev_addr_type(net, None, addr, RT_TABLE_LOCAL)


def __ip_dev_find(net: Net, addr: i64) -> NetDevice | None:
    """The device that a local address is on.  Linux: net/ipv4/devinet.c."""
    ifa = inet_lookup_ifaddr_rcu(net, addr)
    if ifa is not None:
        return ifa.ifa_dev.dev
    local = fib_get_table(net, RT_TABLE_LOCAL)
    if local is None:
        return None
    fl4 = Flowi4()
    fl4.daddr = addr
    res = FibResult()
    if fib_table_lookup(local, fl4, res, 0, net) == 0 and res.type == RTN_LOCAL and res.fi is not None:
        return res.fi.fib_nh[res.nh_sel].nh_dev
    return None


# -- is the source of a packet believable


def fib_validate_source(net: Net, saddr: i64, daddr: i64, tos: i64, oif: i64, dev: NetDevice, idev: InDevice) -> i64:
    """Could a packet from saddr have come in by dev (RFC 3704)? 1: yes, and the sender is on that link; 0: yes; negative errno:
    no.

    oif: where the packet would go (0: to this host). Linux: net/ipv4/fib_frontend.c; without rp_filter only packets with a source
    of this host itself are refused, at the price of a dict get.
    """
    rpf = IN_DEV_RPFILTER(idev)
    if rpf == 0 and (dev.ifindex != oif or not IN_DEV_TX_REDIRECTS(idev)):
        if IN_DEV_ACCEPT_LOCAL(idev):
            return 0
        if inet_lookup_ifaddr_rcu(net, saddr) is not None:
            return -EINVAL
        return 0
    return __fib_validate_source(net, saddr, daddr, tos, oif, dev, rpf, idev)


def __fib_validate_source(net: Net, src: i64, dst: i64, tos: i64, oif: i64, dev: NetDevice, rpf: i64, idev: InDevice) -> i64:
    """The look-up of the way back.  Linux: net/ipv4/fib_frontend.c."""
    scratch = net.ipv4.fib_scratch
    assert scratch is not None
    fl4 = scratch.src_fl4
    _clear_flow(fl4)
    fl4.flowi4_iif = oif if oif != 0 else 1
    fl4.daddr = src
    fl4.saddr = dst
    fl4.flowi4_tos = tos
    res = scratch.src_res
    if fib_lookup(net, fl4, res, 0) == 0:
        if res.type != RTN_UNICAST and (res.type != RTN_LOCAL or not IN_DEV_ACCEPT_LOCAL(idev)):
            return -EINVAL
        fi = res.fi
        assert fi is not None
        if _res_dev_is(res, dev):
            return 1 if fi.fib_nh[res.nh_sel].nh_scope >= RT_SCOPE_HOST else 0
        if not idev.ifa_list:
            return -EXDEV if rpf != 0 else 0
        if rpf == 1:
            return -EXDEV
        fl4.flowi4_oif = dev.ifindex
        if fib_lookup(net, fl4, res, FIB_LOOKUP_IGNORE_LINKSTATE) == 0 and res.type == RTN_UNICAST:
            fi = res.fi
            assert fi is not None
            return 1 if fi.fib_nh[res.nh_sel].nh_scope >= RT_SCOPE_HOST else 0
        return 0
    return -EXDEV if rpf != 0 else 0


# -- routes by hand


def fib_add_route(net: Net, cfg: FibConfig) -> int:
    """`ip route add` (fc_replace: `replace`): 0, -EEXIST, -ENETUNREACH (gateway not on a link), -EINVAL, -ENODEV, -ENETDOWN.

    Linux: inet_rtm_newroute and fib_table_insert.
    """
    if cfg.fc_dst_len > 32 or (cfg.fc_dst & ~inet_make_mask(cfg.fc_dst_len) & 0xFFFFFFFF) != 0:
        return -EINVAL
    err, fi = fib_create_info(net, cfg)
    if fi is None:
        return err
    tb = fib_new_table(net, cfg.fc_table)
    err = fib_table_insert(net, tb, int(cfg.fc_dst), int(cfg.fc_dst_len), cfg.fc_tos, cfg.fc_type, fi, cfg.fc_replace)
    fib_release_unused(net)
    if err == 0:
        rt_cache_flush(net)
    return err


def fib_release_unused(net: Net) -> None:
    """Forget what no route uses."""
    for fi in list(net.ipv4.fib_info_list):
        fib_release_info(net, fi)


def _cfg_matches(cfg: FibConfig, fa: FibAlias) -> bool:
    """Is fa a route that `ip route del` with cfg means? What cfg leaves open matches all."""
    fi = fa.fa_info
    if fa.fa_tos != cfg.fc_tos:
        return False
    if cfg.fc_type != 0 and cfg.fc_type != fa.fa_type:
        return False
    if cfg.fc_priority != 0 and cfg.fc_priority != fi.fib_priority:
        return False
    if cfg.fc_prefsrc != 0 and cfg.fc_prefsrc != fi.fib_prefsrc:
        return False
    if cfg.fc_nexthops:
        return (len(cfg.fc_nexthops) == len(fi.fib_nh)
                and all(a.nh_gw == b.nh_gw and a.nh_oif in (0, b.nh_oif)
                        for a, b in zip(cfg.fc_nexthops, fi.fib_nh, strict=True)))
    if cfg.fc_oif == 0 and cfg.fc_gw == 0:
        return True
    nh = fi.fib_nh[0]
    return (cfg.fc_oif == 0 or cfg.fc_oif == nh.nh_oif) and (cfg.fc_gw == 0 or cfg.fc_gw == nh.nh_gw)


def fib_del_route(net: Net, cfg: FibConfig) -> int:
    """`ip route del`: the first route that matches goes; 0 or -ESRCH.  Linux: inet_rtm_delroute and fib_table_delete."""
    tb = fib_get_table(net, cfg.fc_table)
    if tb is None:
        return -ESRCH
    return _table_delete(net, tb, cfg, False)


def _table_delete(net: Net, tb: FibTable, cfg: FibConfig, exact: bool) -> int:
    network = int(cfg.fc_dst)
    plen = int(cfg.fc_dst_len)
    for fa in fib_table_find(tb, network, plen):
        if not _cfg_matches(cfg, fa) or (exact and fa.fa_info.fib_scope != cfg.fc_scope):
            continue
        fib_table_remove(tb, plen, network, fa)
        fib_release_info(net, fa.fa_info)
        rt_cache_flush(net)
        return 0
    return -ESRCH


# -- routes that follow from addresses and devices


def fib_magic(net: Net, add: bool, type: i64, dst: i64, dst_len: i64, ifa: InIfaddr) -> None:
    """Add or delete one route that the kernel makes for an address.  Linux: net/ipv4/fib_frontend.c."""
    cfg = FibConfig()
    cfg.fc_protocol = RTPROT_KERNEL
    cfg.fc_type = type
    cfg.fc_dst = dst
    cfg.fc_dst_len = dst_len
    cfg.fc_prefsrc = ifa.ifa_local
    cfg.fc_oif = ifa.ifa_dev.dev.ifindex
    cfg.fc_priority = ifa.ifa_metric
    cfg.fc_table = RT_TABLE_MAIN if type == RTN_UNICAST else RT_TABLE_LOCAL
    cfg.fc_scope = RT_SCOPE_HOST if type == RTN_LOCAL else RT_SCOPE_LINK
    if add:
        fib_add_route(net, cfg)
    else:
        tb = fib_get_table(net, cfg.fc_table)
        if tb is not None:
            _table_delete(net, tb, cfg, True)


def fib_add_ifaddr(ifa: InIfaddr) -> None:
    """Make the routes of an address.  Linux: net/ipv4/fib_frontend.c."""
    in_dev = ifa.ifa_dev
    dev = in_dev.dev
    net = dev.net
    mask = ifa.ifa_mask
    addr = ifa.ifa_local
    prefix = ifa.ifa_address & mask
    prim = ifa
    if ifa.ifa_flags & IFA_F_SECONDARY:
        for other in in_dev.ifa_list:
            if (other.ifa_flags & IFA_F_SECONDARY == 0 and other.ifa_mask == mask and inet_ifa_match(prefix, other)):
                prim = other
                break
    fib_magic(net, True, RTN_LOCAL, addr, 32, prim)
    if dev.flags & IFF_UP == 0:
        return
    if ifa.ifa_broadcast != 0 and ifa.ifa_broadcast != 0xFFFFFFFF:
        fib_magic(net, True, RTN_BROADCAST, ifa.ifa_broadcast, 32, prim)
    if not ipv4_is_zeronet(prefix) and ifa.ifa_flags & IFA_F_SECONDARY == 0 and (prefix != addr or ifa.ifa_prefixlen < 32):
        if ifa.ifa_flags & IFA_F_NOPREFIXROUTE == 0:
            fib_magic(net, True, RTN_LOCAL if dev.flags & IFF_LOOPBACK else RTN_UNICAST, prefix, ifa.ifa_prefixlen, prim)
        # Linux 5.14 on: the lowest address of a subnet is no broadcast address any more, only the highest
        if ifa.ifa_prefixlen < 31:
            fib_magic(net, True, RTN_BROADCAST, prefix | (~mask & 0xFFFFFFFF), 32, prim)


def fib_del_ifaddr(in_dev: InDevice, addr: i64, prefixlen: i64) -> None:
    """Remove the routes of an address that is off its device now, but for those that another address needs too.

    Linux: net/ipv4/fib_frontend.c, which looks at the address's own record; here the routes are made anew from what is left.
    """
    dev = in_dev.dev
    net = dev.net
    gone = InIfaddr(in_dev, addr, prefixlen)
    mask = gone.ifa_mask
    prefix = addr & mask
    still_local = any(ifa.ifa_local == addr for ifa in in_dev.ifa_list)
    same_subnet = [ifa for ifa in in_dev.ifa_list if ifa.ifa_mask == mask and inet_ifa_match(addr, ifa)]
    local_tb = fib_get_table(net, RT_TABLE_LOCAL)
    main_tb = fib_get_table(net, RT_TABLE_MAIN)
    assert local_tb is not None and main_tb is not None
    if not still_local:
        _remove_kernel_routes(net, local_tb, int(addr), 32, RTN_LOCAL, dev)
    has_primary = any(ifa.ifa_flags & IFA_F_SECONDARY == 0 for ifa in same_subnet)
    if not has_primary:
        for brd in {int(prefix), int(prefix | (~mask & 0xFFFFFFFF))}:
            _remove_kernel_routes(net, local_tb, brd, 32, RTN_BROADCAST, dev)
        tb, type = (local_tb, RTN_LOCAL) if dev.flags & IFF_LOOPBACK else (main_tb, RTN_UNICAST)
        _remove_kernel_routes(net, tb, int(prefix), int(prefixlen), type, dev)
    if not still_local and inet_lookup_ifaddr_rcu(net, addr) is None:
        if fib_sync_down_addr(net, dev, addr):
            fib_flush(net)
    rt_cache_flush(net)


def _remove_kernel_routes(net: Net, tb: FibTable, network: int, plen: int, type: i64, dev: NetDevice) -> None:
    for fa in fib_table_find(tb, network, plen):
        if fa.fa_type == type and fa.fa_info.fib_protocol == RTPROT_KERNEL and fa.fa_info.fib_nh[0].nh_dev is dev:
            fib_table_remove(tb, plen, network, fa)
            fib_release_info(net, fa.fa_info)


def fib_disable_ip(dev: NetDevice, force: bool) -> None:
    """The device went down (force: it goes for good): its routes go.  Linux: net/ipv4/fib_frontend.c."""
    net = dev.net
    fib_sync_down_dev(net, dev, force)
    fib_flush(net)
    rt_cache_flush(net)


class FibInetaddrNotifier(NotifierBlock):
    """Addresses come and go (Linux: fib_inetaddr_notifier)."""

    def notifier_call(self, event: int, dev: NetDevice, addr: i64 = 0, prefixlen: i64 = 0) -> None:
        """See fib_inetaddr_event."""
        fib_inetaddr_event(event, dev, addr, prefixlen)


def fib_inetaddr_event(event: int, dev: NetDevice, addr: i64, prefixlen: i64) -> None:
    """An address was given to or taken from dev.  Linux: net/ipv4/fib_frontend.c."""
    in_dev = __in_dev_get_rcu(dev)
    if in_dev is None:
        return
    if event == NETDEV_UP:
        for ifa in list(in_dev.ifa_list):
            if ifa.ifa_local == addr and ifa.ifa_prefixlen == prefixlen:
                fib_add_ifaddr(ifa)
        rt_cache_flush(dev.net)
    elif event == NETDEV_DOWN:
        fib_del_ifaddr(in_dev, addr, prefixlen)
        if not in_dev.ifa_list:
            fib_disable_ip(dev, False)


class FibNetdevNotifier(NotifierBlock):
    """Devices go up and down (Linux: fib_netdev_notifier)."""

    def notifier_call(self, event: int, dev: NetDevice, addr: i64 = 0, prefixlen: i64 = 0) -> None:
        """See fib_netdev_event."""
        fib_netdev_event(event, dev)


def fib_netdev_event(event: int, dev: NetDevice) -> None:
    """A device changed.  Linux: net/ipv4/fib_frontend.c."""
    if event == NETDEV_UNREGISTER:
        fib_disable_ip(dev, True)
        return
    in_dev = __in_dev_get_rcu(dev)
    if in_dev is None:
        return
    if event == NETDEV_UP:
        for ifa in list(in_dev.ifa_list):
            fib_add_ifaddr(ifa)
        fib_sync_up(dev.net, dev)
        rt_cache_flush(dev.net)
    elif event == NETDEV_DOWN:
        fib_disable_ip(dev, False)
    elif event == NETDEV_CHANGE:
        fib_sync_linkdown(dev.net, dev, not dev.carrier)
        rt_cache_flush(dev.net)
    elif event == NETDEV_CHANGEMTU:
        rt_cache_flush(dev.net)


def ip_fib_init(net: Net) -> None:
    """Make the tables, and listen for devices and addresses.  Linux: net/ipv4/fib_frontend.c."""
    net.ipv4.fib_scratch = FibScratch()
    fib4_rules_init(net)
    net.netdev_chain.append(FibNetdevNotifier())
    net.inetaddr_chain.append(FibInetaddrNotifier())


# -- the text of `ip route`


def _nh_text(net: Net, nh: FibNh) -> str:
    text = ''
    if nh.nh_gw:
        text += f' via {in_ntoa(int(nh.nh_gw))}'
    if nh.nh_dev is not None:
        text += f' dev {nh.nh_dev.name}'
    return text


def nh_flags_text(nh_flags: i64) -> str:
    """The flags of a next hop of either family, as `ip route` prints them."""
    text = ''
    if nh_flags & RTNH_F_DEAD:
        text += ' dead'
    if nh_flags & RTNH_F_ONLINK:
        text += ' onlink'
    if nh_flags & RTNH_F_LINKDOWN:
        text += ' linkdown'
    return text


def fib_route_text(net: Net, network: int, plen: int, fa: FibAlias) -> str:
    """One route as `ip route` prints it, without a line's end (multipath: several lines)."""
    fi: FibInfo = fa.fa_info
    text = '' if fa.fa_type == RTN_UNICAST else RTN_NAMES.get(int(fa.fa_type), str(fa.fa_type)) + ' '
    text += 'default' if plen == 0 else in_ntoa(network) + ('' if plen == 32 else f'/{plen}')
    if fa.fa_tos:
        text += f' tos {int(fa.fa_tos):#04x}'
    single = len(fi.fib_nh) == 1
    if single:
        text += _nh_text(net, fi.fib_nh[0])
    if fi.fib_protocol != 3:
        text += f' proto {RTPROT_NAMES.get(int(fi.fib_protocol), str(fi.fib_protocol))}'
    if fi.fib_scope != RT_SCOPE_UNIVERSE:
        text += f' scope {SCOPE_NAMES.get(int(fi.fib_scope), str(fi.fib_scope))}'
    if fi.fib_prefsrc:
        text += f' src {in_ntoa(int(fi.fib_prefsrc))}'
    if fi.fib_priority:
        text += f' metric {fi.fib_priority}'
    lock = fi.fib_metrics.get(1, 0)
    for key, name in fib_metric_names().items():
        if key in fi.fib_metrics:
            text += f' {name}{" lock" if lock & (1 << key) else ""} {fi.fib_metrics[key]}'
    if single:
        return text + (nh_flags_text(fi.fib_nh[0].nh_flags) if fa.fa_type < RTN_BLACKHOLE else '')
    for nh in fi.fib_nh:
        text += f' \n\tnexthop{_nh_text(net, nh)} weight {nh.nh_weight}{nh_flags_text(nh.nh_flags)}'
    return text


def fib_dump(net: Net, tb_id: int = RT_TABLE_MAIN) -> str:
    """The text of `ip route show table TB_ID`.  Linux: inet_dump_fib of net/ipv4/fib_frontend.c, as iproute2 prints it."""
    tb = fib_get_table(net, tb_id)
    if tb is None:
        return ''
    return ''.join(fib_route_text(net, network, plen, fa) + ' \n' for network, plen, fa in fib_table_walk(tb))
