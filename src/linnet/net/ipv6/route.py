# SPDX-License-Identifier: Apache-2.0
"""IPv6's routes as people, routers and devices make them: `ip -6 route`, default routers, own addresses, devices that end.

The look-up is in route_lookup.py, what packets use in route_alloc.py, what is learnt on the way in route_learn.py; what the
rest of the stack asks of them is to be had here.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import in6_prefix_mask
from linnet.include.linux.netdevice import IFF_LOOPBACK, IFF_UP, NetDevice
from linnet.include.linux.notifier import NETDEV_CHANGE, NETDEV_UNREGISTER
from linnet.include.net.dst import RTAX_ADVMSS, RTAX_HOPLIMIT, RTAX_LOCK, RTAX_MAX, RTAX_MTU
from linnet.include.net.if_inet6 import Inet6Dev, Inet6Ifaddr
from linnet.include.net.ip6_fib import (
    IP6_RT_PRIO_USER,
    RT6_LOOKUP_F_IFACE,
    RT6_TABLE_LOCAL,
    RT6_TABLE_MAIN,
    RTF_ADDRCONF,
    RTF_ANYCAST,
    RTF_CACHE,
    RTF_DEFAULT,
    RTF_EXPIRES,
    RTF_GATEWAY,
    RTF_LOCAL,
    RTF_NONEXTHOP,
    RTF_REJECT,
    RTF_UP,
    Fib6Config,
    Fib6Info,
    Fib6Nh,
)
from linnet.include.net.ip_fib import (
    RTN_ANYCAST,
    RTN_LOCAL,
    RTN_THROW,
    RTN_UNICAST,
    RTN_UNSPEC,
    RTNH_F_DEAD,
    RTNH_F_LINKDOWN,
    RTNH_F_ONLINK,
    RTPROT_KERNEL,
)
from linnet.include.net.ipv6 import (
    IPV6_ADDR_LINKLOCAL,
    IPV6_ADDR_LOOPBACK,
    IPV6_ADDR_MAPPED,
    IPV6_ADDR_UNICAST,
    ipv6_addr_type,
)
from linnet.include.net.net_namespace import Net
from linnet.kernel.errno import EACCES, EEXIST, EHOSTUNREACH, EINVAL, ENETDOWN, ENODEV, ENOENT, ESRCH
from linnet.net.core.neighbour import neigh_ifdown
from linnet.net.ipv4.inetpeer import InetPeerBase
from linnet.net.ipv6.addrconf_saddr import ipv6_chk_addr, ipv6_get_ifaddr
from linnet.net.ipv6.ip6_fib import (
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    fib6_add,
    fib6_all,
    fib6_del,
    fib6_get_table,
    fib6_init,
    fib6_leaf,
    fib6_leaves,
    fib6_new_table,
    fib6_type_error,
    fib6_update_sernum,
)
from linnet.net.ipv6.route_alloc import icmp6_dst_alloc as icmp6_dst_alloc
from linnet.net.ipv6.route_alloc import ip6_alloc_init
from linnet.net.ipv6.route_alloc import ip6_dst_hoplimit as ip6_dst_hoplimit
from linnet.net.ipv6.route_alloc import ip6_dst_store as ip6_dst_store
from linnet.net.ipv6.route_alloc import ip6_link_failure as ip6_link_failure
from linnet.net.ipv6.route_learn import ip6_redirect as ip6_redirect
from linnet.net.ipv6.route_learn import ip6_redirect_no_header as ip6_redirect_no_header
from linnet.net.ipv6.route_learn import ip6_sk_redirect as ip6_sk_redirect
from linnet.net.ipv6.route_learn import ip6_sk_update_pmtu as ip6_sk_update_pmtu
from linnet.net.ipv6.route_learn import ip6_update_pmtu as ip6_update_pmtu
from linnet.net.ipv6.route_learn import rt6_do_redirect as rt6_do_redirect
from linnet.net.ipv6.route_lookup import ip6_route_input as ip6_route_input
from linnet.net.ipv6.route_lookup import ip6_route_output as ip6_route_output
from linnet.net.ipv6.route_lookup import ip6_route_output_flags as ip6_route_output_flags
from linnet.net.ipv6.route_lookup import rt6_select
from linnet.net.ipv6.route_show import fib6_dump as fib6_dump
from linnet.net.ipv6.route_show import fib6_dump_cache as fib6_dump_cache

RTPROT_RA: Final = 9


def ip6_route_init(net: Net) -> None:
    """Make the tables, and say what routes that lead nowhere do.  Linux: net/ipv6/route.c."""
    net.ipv6.peers = InetPeerBase()
    ip6_alloc_init(net)
    fib6_init(net)


# -- `ip -6 route add`


def ip6_nh_lookup(net: Net, gateway: int, dev: NetDevice | None, table_id: int, strict: i64) -> Fib6Info | None:
    """The route of one table to a gateway, rather over dev; None where it has none that leads somewhere.

    Linux: net/ipv6/route.c, ip6_nh_lookup_table.
    """
    table = fib6_get_table(net, table_id)
    if table is None:
        return None
    oif: i64 = 0 if dev is None else dev.ifindex
    for leaf in fib6_leaves(table, gateway):
        f6i = rt6_select(net, leaf, oif, strict)
        if f6i is not None:
            return None if f6i.fib6_flags & RTF_REJECT else f6i
    return None


def ip6_route_check_nh(net: Net, cfg: Fib6Config, dev: NetDevice | None) -> tuple[int, NetDevice | None]:
    """A gateway must be on a link: (0, its device) or (-EHOSTUNREACH, None).  Linux: net/ipv6/route.c."""
    tables = [int(cfg.fc_table)] if cfg.fc_table not in (RT6_TABLE_MAIN, RT6_TABLE_LOCAL) else []
    for id in [*tables, RT6_TABLE_LOCAL, RT6_TABLE_MAIN]:
        f6i = ip6_nh_lookup(net, cfg.fc_gateway, dev, id, RT6_LOOKUP_F_IFACE if dev is not None else 0)
        if f6i is None:
            continue
        if f6i.fib6_nh.gw != 0 or (dev is not None and f6i.fib6_nh.dev is not dev):
            if id == cfg.fc_table and tables:
                continue
            return -EHOSTUNREACH, None
        return 0, dev if dev is not None else f6i.fib6_nh.dev
    return -EHOSTUNREACH, None


def ip6_route_check_nh_onlink(net: Net, cfg: Fib6Config, dev: NetDevice | None) -> int:
    """`onlink`: the gateway is taken to be on dev's link, but no route may say that it is elsewhere.  Linux: net/ipv6/route.c."""
    if dev is None:
        return -ENODEV
    f6i = ip6_nh_lookup(net, cfg.fc_gateway, dev, int(cfg.fc_table), 0)
    if f6i is not None and f6i.fib6_dst_len > 0 and (f6i.fib6_type != RTN_UNICAST or f6i.fib6_nh.dev is not dev):
        return -EINVAL
    return 0


def ip6_validate_gw(net: Net, cfg: Fib6Config, dev: NetDevice | None) -> tuple[int, NetDevice | None]:
    """See that a gateway can be one: (0, the device it is on) or (a negative errno, None).  Linux: net/ipv6/route.c."""
    gw = cfg.fc_gateway
    kind = ipv6_addr_type(gw)
    # a link-local address of another link is somebody else's
    if ipv6_get_ifaddr(net, gw, dev if kind & IPV6_ADDR_LINKLOCAL else None, True) is not None:
        return -EINVAL, None
    if kind != IPV6_ADDR_LINKLOCAL | IPV6_ADDR_UNICAST:
        if kind & (IPV6_ADDR_UNICAST | IPV6_ADDR_MAPPED) == 0:
            return -EINVAL, None
        if cfg.fc_onlink:
            err = ip6_route_check_nh_onlink(net, cfg, dev)
        else:
            err, dev = ip6_route_check_nh(net, cfg, dev)
        if err != 0:
            return err, None
    if dev is None or dev.flags & IFF_LOOPBACK:
        return -EINVAL, None
    return 0, dev


def ip_metrics_convert(given: dict[int, int]) -> dict[int, int]:
    """The metrics of a route, none larger than it can be.  Linux: net/ipv4/metrics.c."""
    made = dict(given)
    for key, most in ((RTAX_ADVMSS, 65535 - 40), (RTAX_MTU, 65535 - 15), (RTAX_HOPLIMIT, 255)):
        if made.get(key, 0) > most:
            made[key] = most
    return made


def fib6_is_reject(cfg: Fib6Config, dev: NetDevice | None) -> bool:
    """Does the route refuse its packets? So does one over the loopback to what is no own address.  Linux: net/ipv6/route.c."""
    if (cfg.fc_flags & RTF_REJECT) != 0 or fib6_type_error(cfg.fc_type) != 0:
        return True
    if dev is None or dev.flags & IFF_LOOPBACK == 0 or cfg.fc_gateway != 0:
        return False
    return (ipv6_addr_type(cfg.fc_dst) & IPV6_ADDR_LOOPBACK == 0 and cfg.fc_type != RTN_LOCAL
            and cfg.fc_flags & (RTF_ANYCAST | RTF_LOCAL) == 0)


def fib6_nh_init(net: Net, cfg: Fib6Config) -> tuple[int, Fib6Nh | None]:
    """Find and check the device and the gateway of a next hop: (0, it) or (a negative errno, None).  Linux: net/ipv6/route.c."""
    dev: NetDevice | None = None
    if cfg.fc_ifindex != 0:
        dev = net.dev_by_index.get(int(cfg.fc_ifindex))
        if dev is None or dev.ip6_ptr is None:
            return -ENODEV, None
    if cfg.fc_onlink:
        if dev is None:
            return -ENODEV, None
        if dev.flags & IFF_UP == 0:
            return -ENETDOWN, None
    if fib6_is_reject(cfg, dev):
        lo = net.loopback_dev
        if lo is None:
            return -ENODEV, None
        return 0, Fib6Nh(lo)
    gw = 0
    if (cfg.fc_flags & RTF_GATEWAY) != 0 or cfg.fc_gateway != 0:
        err, dev = ip6_validate_gw(net, cfg, dev)
        if err != 0:
            return err, None
        gw = cfg.fc_gateway
    if dev is None:
        return -ENODEV, None
    idev = dev.ip6_ptr
    if idev is None:
        return -ENODEV, None
    if idev.cnf.disable_ipv6 != 0:
        return -EACCES, None
    if dev.flags & IFF_UP == 0 and not cfg.fc_ignore_dev_down:
        return -ENETDOWN, None
    nh = Fib6Nh(dev, gw, cfg.fc_weight)
    nh.last_probe = net.clock.jiffies()
    if cfg.fc_onlink:
        nh.nh_flags |= RTNH_F_ONLINK
    if not dev.carrier and (cfg.fc_flags & (RTF_LOCAL | RTF_ANYCAST)) == 0:
        nh.nh_flags |= RTNH_F_LINKDOWN
    return 0, nh


def ip6_route_info_create(net: Net, cfg: Fib6Config) -> tuple[int, Fib6Info | None]:
    """What the route cfg needs, checked, in no table yet: (0, it) or (a negative errno, None).  Linux: net/ipv6/route.c."""
    if cfg.fc_flags & RTF_CACHE or cfg.fc_type > RTN_THROW or cfg.fc_dst_len > 128:
        return -EINVAL, None
    for key in cfg.fc_mx:
        if not 1 <= key <= RTAX_MAX:
            return -EINVAL, None
    err, nh = fib6_nh_init(net, cfg)
    if nh is None:
        return err, None
    f6i = Fib6Info(nh)
    if cfg.fc_prefsrc != 0:
        if not ipv6_chk_addr(net, cfg.fc_prefsrc, nh.dev, False):
            return -EINVAL, None
        f6i.fib6_prefsrc = cfg.fc_prefsrc
        f6i.fib6_prefsrc_len = 128
    f6i.fib6_metrics = ip_metrics_convert(cfg.fc_mx)
    f6i.fib6_flags = cfg.fc_flags | RTF_UP
    if cfg.fc_type == RTN_LOCAL:
        f6i.fib6_flags |= RTF_LOCAL
    if nh.gw != 0:
        f6i.fib6_flags |= RTF_GATEWAY
    f6i.fib6_protocol = cfg.fc_protocol
    f6i.fib6_type = cfg.fc_type if cfg.fc_type != RTN_UNSPEC else RTN_UNICAST
    f6i.fib6_dst = cfg.fc_dst & in6_prefix_mask(int(cfg.fc_dst_len))
    f6i.fib6_dst_len = cfg.fc_dst_len
    f6i.fib6_metric = cfg.fc_metric
    if fib6_is_reject(cfg, net.dev_by_index.get(int(cfg.fc_ifindex))):
        f6i.fib6_flags = RTF_UP | RTF_REJECT | RTF_NONEXTHOP  # neither a time nor a preference
        return 0, f6i
    f6i.pref = cfg.fc_pref
    if cfg.fc_expires != 0:
        f6i.fib6_flags |= RTF_EXPIRES
        f6i.expires = net.clock.jiffies() + cfg.fc_expires * 1000
    else:
        f6i.fib6_flags &= ~RTF_EXPIRES
    return 0, f6i


def _flags_of(cfg: Fib6Config) -> i64:
    flags: i64 = NLM_F_CREATE if cfg.fc_create else 0
    if cfg.fc_exclusive:
        flags |= NLM_F_EXCL
    if cfg.fc_replace:
        flags |= NLM_F_REPLACE
    if cfg.fc_append:
        flags |= NLM_F_APPEND
    return flags


def ip6_route_add(net: Net, cfg: Fib6Config) -> int:
    """`ip -6 route add` (append, replace): 0 or a negative errno.

    -EINVAL, -ENODEV, -EHOSTUNREACH: gateway or device cannot be; -ENETDOWN, -EACCES: the device is down or without IPv6; -EEXIST.
    Linux: net/ipv6/route.c.
    """
    if cfg.fc_nexthops:
        return ip6_route_multipath_add(net, cfg)
    if cfg.fc_metric == 0 and (cfg.fc_flags & (RTF_LOCAL | RTF_ANYCAST)) == 0:
        cfg.fc_metric = IP6_RT_PRIO_USER
    err, f6i = ip6_route_info_create(net, cfg)
    if f6i is None:
        return err
    return fib6_add(net, fib6_new_table(net, int(cfg.fc_table)), f6i, _flags_of(cfg))


def _hop_config(cfg: Fib6Config, hop: Fib6Config) -> Fib6Config:
    """The route cfg over one of its next hops."""
    one = Fib6Config()
    one.fc_table = cfg.fc_table
    one.fc_metric = cfg.fc_metric if cfg.fc_metric != 0 else IP6_RT_PRIO_USER
    one.fc_dst = cfg.fc_dst
    one.fc_dst_len = cfg.fc_dst_len
    one.fc_flags = cfg.fc_flags
    one.fc_protocol = cfg.fc_protocol
    one.fc_type = cfg.fc_type
    one.fc_prefsrc = cfg.fc_prefsrc
    one.fc_expires = cfg.fc_expires
    one.fc_mx = dict(cfg.fc_mx)
    one.fc_pref = cfg.fc_pref
    one.fc_ifindex = hop.fc_ifindex
    one.fc_gateway = hop.fc_gateway
    one.fc_onlink = hop.fc_onlink
    one.fc_weight = hop.fc_weight
    return one


def ip6_route_multipath_add(net: Net, cfg: Fib6Config) -> int:
    """A route with several next hops: where one cannot be, those before it go again.  Linux: net/ipv6/route.c."""
    made: list[Fib6Info] = []
    for hop in cfg.fc_nexthops:
        err, f6i = ip6_route_info_create(net, _hop_config(cfg, hop))
        if f6i is None:
            return err
        if hop.fc_gateway == 0:
            return -EINVAL  # a next hop here is a gateway
        for other in made:
            if other.fib6_nh.dev is f6i.fib6_nh.dev and other.fib6_nh.gw == f6i.fib6_nh.gw:
                return -EEXIST
        made.append(f6i)
    table = fib6_new_table(net, int(cfg.fc_table))
    flags = _flags_of(cfg)
    for i, f6i in enumerate(made):
        err = fib6_add(net, table, f6i, flags)
        if err != 0:
            # as Linux undoes it: by what was asked for, which an older route may fit as well
            for hop in cfg.fc_nexthops[:i]:
                ip6_route_del(net, _hop_config(cfg, hop))
            return err
        # the first settles what becomes of an older route; the others join it
        flags = (flags & ~(NLM_F_EXCL | NLM_F_REPLACE)) | NLM_F_CREATE | NLM_F_APPEND
    return 0


def ip6_ins_rt(net: Net, f6i: Fib6Info) -> int:
    """Put a route of the kernel's own into its table (fib6_table): 0 or -EEXIST.  Linux: net/ipv6/route.c."""
    table = f6i.fib6_table
    if table is None:
        return -ENOENT
    return fib6_add(net, table, f6i, NLM_F_CREATE)


def ip6_del_rt(net: Net, f6i: Fib6Info) -> int:
    """Take a route out: 0 or -ENOENT.  Linux: net/ipv6/route.c."""
    return fib6_del(net, f6i)


def _means(cfg: Fib6Config, f6i: Fib6Info) -> bool:
    """Is f6i a route that `ip -6 route del` with cfg means? What cfg leaves open matches all."""
    if cfg.fc_ifindex != 0 and f6i.fib6_nh.dev.ifindex != cfg.fc_ifindex:
        return False
    if cfg.fc_gateway != 0 and f6i.fib6_nh.gw != cfg.fc_gateway:
        return False
    if cfg.fc_metric != 0 and cfg.fc_metric != f6i.fib6_metric:
        return False
    return cfg.fc_protocol == 0 or cfg.fc_protocol == f6i.fib6_protocol


def ip6_route_del(net: Net, cfg: Fib6Config) -> int:
    """`ip -6 route del`: the first route that matches goes, with all its next hops where none is named; 0 or -ESRCH.

    cfg.fc_protocol 0: whoever made it.  Linux: net/ipv6/route.c.
    """
    table = fib6_get_table(net, int(cfg.fc_table))
    if table is None:
        return -ESRCH
    plen = int(cfg.fc_dst_len)
    network = cfg.fc_dst & in6_prefix_mask(plen)
    if cfg.fc_nexthops:
        last = 0
        for hop in cfg.fc_nexthops:
            one = _hop_config(cfg, hop)
            one.fc_metric = cfg.fc_metric
            err = ip6_route_del(net, one)
            if err != 0:
                last = err
        return last
    for f6i in fib6_leaf(table, network, plen):
        if not _means(cfg, f6i):
            continue
        if cfg.fc_gateway == 0 and f6i.fib6_siblings:
            for other in list(f6i.fib6_siblings):
                fib6_del(net, other)
        return fib6_del(net, f6i)
    if plen == 0 and not fib6_leaf(table, 0, 0) and cfg.fc_gateway == 0 and cfg.fc_metric == 0 and cfg.fc_protocol == 0:
        lo = net.loopback_dev
        if cfg.fc_ifindex == 0 or (lo is not None and cfg.fc_ifindex == lo.ifindex):
            return -ENOENT  # Linux finds the null entry, which nobody may take away
    return -ESRCH


# -- own addresses and routers


def addrconf_f6i_alloc(net: Net, idev: Inet6Dev, addr: int, anycast: bool) -> Fib6Info:
    """The route to an own address, for table local; ip6_ins_rt puts it there.  Linux: net/ipv6/route.c."""
    f6i = Fib6Info(Fib6Nh(idev.dev))
    f6i.fib6_dst = addr
    f6i.fib6_dst_len = 128
    f6i.fib6_metric = 0
    f6i.fib6_protocol = RTPROT_KERNEL
    f6i.fib6_flags = RTF_UP | RTF_NONEXTHOP | (RTF_ANYCAST if anycast else RTF_LOCAL)
    f6i.fib6_type = RTN_ANYCAST if anycast else RTN_LOCAL
    f6i.fib6_table = fib6_new_table(net, RT6_TABLE_LOCAL)
    return f6i


def rt6_remove_prefsrc(ifp: Inet6Ifaddr) -> None:
    """An address is gone: where it is on no other device, routes prefer it no longer.  Linux: net/ipv6/route.c."""
    net = ifp.idev.dev.net
    if ipv6_chk_addr(net, ifp.addr, None, False):
        return
    for f6i in fib6_all(net):
        if f6i.fib6_prefsrc == ifp.addr:
            f6i.fib6_prefsrc = 0
            f6i.fib6_prefsrc_len = 0
    fib6_update_sernum(net)


def rt6_get_dflt_router(net: Net, addr: int, dev: NetDevice) -> Fib6Info | None:
    """The default route that router addr on dev advertised.  Linux: net/ipv6/route.c."""
    table = fib6_get_table(net, RT6_TABLE_MAIN)
    if table is None:
        return None
    want = RTF_ADDRCONF | RTF_DEFAULT
    for f6i in fib6_leaf(table, 0, 0):
        if f6i.fib6_nh.dev is dev and (f6i.fib6_flags & want) == want and f6i.fib6_nh.gw == addr:
            return f6i
    return None


def rt6_add_dflt_router(net: Net, gwaddr: int, dev: NetDevice, pref: i64) -> Fib6Info | None:
    """A router advertised itself: a default route; fib6_set_expires gives it its lifetime.  Linux: net/ipv6/route.c."""
    cfg = Fib6Config()
    cfg.fc_metric = dev.ip6_ptr.cnf.ra_defrtr_metric if dev.ip6_ptr is not None else IP6_RT_PRIO_USER
    cfg.fc_ifindex = dev.ifindex
    cfg.fc_flags = RTF_GATEWAY | RTF_ADDRCONF | RTF_DEFAULT | RTF_UP
    cfg.fc_protocol = RTPROT_RA
    cfg.fc_gateway = gwaddr
    cfg.fc_pref = pref
    if ip6_route_add(net, cfg) != 0:
        return None
    return rt6_get_dflt_router(net, gwaddr, dev)


def rt6_purge_dflt_routers(net: Net) -> None:
    """This host forwards now: what routers advertised is not for it.  Linux: net/ipv6/route.c.  RFC 4861, 6.2.1."""
    for f6i in fib6_all(net):
        idev = f6i.fib6_nh.dev.ip6_ptr
        if f6i.fib6_flags & (RTF_DEFAULT | RTF_ADDRCONF) and f6i.fib6_flags & RTF_GATEWAY:
            if idev is None or idev.cnf.accept_ra != 2:
                fib6_del(net, f6i)


# -- devices come, go and change


def _multipath_of(f6i: Fib6Info) -> list[Fib6Info]:
    return [f6i, *f6i.fib6_siblings]


def fib6_ifdown(net: Net, f6i: Fib6Info, dev: NetDevice, event: i64) -> bool:
    """What becomes of f6i when its device goes: True: it goes too.  Linux: net/ipv6/route.c."""
    if f6i.fib6_nh.dev is not dev:
        return False
    if event == NETDEV_UNREGISTER:
        return True
    if event == NETDEV_CHANGE:
        if f6i.fib6_flags & (RTF_LOCAL | RTF_ANYCAST) == 0:
            f6i.fib6_nh.nh_flags |= RTNH_F_LINKDOWN
        return False
    if not f6i.fib6_siblings:
        return True
    f6i.fib6_nh.nh_flags |= RTNH_F_DEAD | RTNH_F_LINKDOWN
    for hop in f6i.fib6_siblings:
        if hop.fib6_nh.nh_flags & RTNH_F_DEAD == 0:
            return False
    return True


def rt6_sync_down_dev(dev: NetDevice, event: i64) -> None:
    """dev went down, lost its carrier (NETDEV_CHANGE), or goes for good: its routes go, or its next hops are dead.

    Linux: net/ipv6/route.c.
    """
    net = dev.net
    for f6i in fib6_all(net):
        if f6i.fib6_table is not None and fib6_ifdown(net, f6i, dev, event):
            # a multipath route ends with its last living next hop, or loses the one whose device is no more
            gone = [f6i] if event == NETDEV_UNREGISTER else _multipath_of(f6i)
            for hop in gone:
                fib6_del(net, hop)
    fib6_update_sernum(net)


def rt6_disable_ip(dev: NetDevice, event: i64) -> None:
    """IPv6 ends on dev (NETDEV_DOWN), or dev does (NETDEV_UNREGISTER): routes and neighbours go.  Linux: net/ipv6/route.c."""
    rt6_sync_down_dev(dev, event)
    tbl = dev.net.ipv6.nd_tbl
    if tbl is not None:
        neigh_ifdown(tbl, dev)


def rt6_sync_up(dev: NetDevice, nh_flags: i64 = RTNH_F_DEAD) -> None:
    """dev is up again (RTNH_F_LINKDOWN: its carrier is back): next hops over it live again.  Linux: net/ipv6/route.c."""
    if nh_flags & RTNH_F_DEAD and dev.carrier:
        nh_flags |= RTNH_F_LINKDOWN
    for f6i in fib6_all(dev.net):
        if f6i.fib6_nh.dev is dev:
            f6i.fib6_nh.nh_flags &= ~nh_flags
    fib6_update_sernum(dev.net)


def rt6_mtu_change(dev: NetDevice, mtu: i64) -> None:
    """dev's IPv6 MTU is mtu now: the routes that had more, or the old one exactly, get it.

    Linux: net/ipv6/route.c; called before Inet6Dev.cnf.mtu6 changes.
    """
    net = dev.net
    idev = dev.ip6_ptr
    if idev is None:
        return
    old = idev.cnf.mtu6
    for f6i in fib6_all(net):
        if f6i.fib6_nh.dev is not dev:
            continue
        had: i64 = f6i.fib6_metrics.get(RTAX_MTU, 0)
        locked = f6i.fib6_metrics.get(RTAX_LOCK, 0) & (1 << RTAX_MTU)
        if had != 0 and not locked and (had >= mtu or had == old):
            f6i.fib6_metrics[RTAX_MTU] = int(mtu)
        for ex in f6i.fib6_nh.exceptions.values():
            learnt: i64 = ex.rt6i.metrics[RTAX_MTU]
            # where the whole path had the device's MTU, it may have more again
            if learnt != 0 and (learnt >= mtu or learnt == old):
                ex.rt6i.metrics[RTAX_MTU] = int(mtu)
    fib6_update_sernum(net)
