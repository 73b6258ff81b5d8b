# SPDX-License-Identifier: Apache-2.0
"""Router advertisements as a host takes them (RFC 4861, 6.3.4): default router, hop limit, timers, the router's hardware address,
prefixes, MTU; route information (RFC 4191) of the lengths that accept_ra_rt_info_*_plen let pass.

What is taken is tuned by the accept_ra* sysctls of the device; a router takes nothing unless accept_ra is 2.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import in6_prefix_mask
from linnet.include.linux.ipv6 import IPV6_MIN_MTU
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.unaligned import get_be16, get_be32
from linnet.include.net.dropreason import (
    SKB_CONSUMED,
    SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS,
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_DROP_REASON_PKT_TOO_SMALL,
)
from linnet.include.net.dst import RTAX_HOPLIMIT, RTAX_MTU
from linnet.include.net.if_inet6 import (
    IF_RA_MANAGED,
    IF_RA_OTHERCONF,
    IF_RA_RCVD,
    IF_RS_SENT,
    INFINITY_LIFE_TIME,
    Inet6Dev,
    __in6_dev_get,
)
from linnet.include.net.ip6_fib import (
    IP6_RT_PRIO_USER,
    RTF_ADDRCONF,
    RTF_DEFAULT,
    RTF_GATEWAY,
    RTF_ROUTEINFO,
    RTF_UP,
    Fib6Config,
    Fib6Info,
)
from linnet.include.net.ip_fib import RTN_UNICAST
from linnet.include.net.ipv6 import IPV6_ADDR_LINKLOCAL, ipv6_addr_type
from linnet.include.net.neighbour import (
    NEIGH_UPDATE_F_ISROUTER,
    NEIGH_UPDATE_F_OVERRIDE,
    NEIGH_UPDATE_F_OVERRIDE_ISROUTER,
    NEIGH_UPDATE_F_WEAK_OVERRIDE,
    NUD_STALE,
    Neighbour,
)
from linnet.net.core.neighbour import __neigh_lookup, neigh_rand_reach_time, neigh_update
from linnet.net.core.skbuff import skb_copy_bits
from linnet.net.ipv6.addrconf_dad import ipv6_accept_ra
from linnet.net.ipv6.addrconf_ifa import HZ
from linnet.net.ipv6.addrconf_prefix import addrconf_prefix_rcv
from linnet.net.ipv6.addrconf_saddr import ipv6_chk_addr
from linnet.net.ipv6.ip6_fib import fib6_clean_expires, fib6_leaf, fib6_set_expires
from linnet.net.ipv6.ndisc_opts import RA_HLEN, ndisc_opt_addr_data, ndisc_parse_options
from linnet.net.ipv6.route import RTPROT_RA, ip6_del_rt, ip6_route_add, rt6_add_dflt_router, rt6_get_dflt_router, rt6_mtu_change

LINUX_FILE: Final = 'net/ipv6/ndisc.c'
MSEC: Final = 1_000_000
MIN_RETRANS: Final = 10_000_000  # Linux: HZ/100
RA_MANAGED: Final = 0x80
RA_OTHER: Final = 0x40
ICMPV6_ROUTER_PREF_INVALID: Final = 2
MTU_OPT_LEN: Final = 8


def ndisc_router_discovery(skb: SkBuff) -> i64:
    """A router advertisement (data at the ICMPv6 header). A drop reason; the caller frees.

    Linux: net/ipv6/ndisc.c.  RFC 4861, 6.1.2 and 6.3.4.
    """
    dev = skb.dev
    idev = None if dev is None else __in6_dev_get(dev)
    if dev is None or idev is None:
        return SKB_DROP_REASON_NOT_SPECIFIED
    if (ipv6_addr_type(skb.saddr6) & IPV6_ADDR_LINKLOCAL) == 0:
        return SKB_DROP_REASON_NOT_SPECIFIED
    if skb.len < RA_HLEN:
        return SKB_DROP_REASON_PKT_TOO_SMALL
    ra = skb_copy_bits(skb, 0, skb.len)
    opts = ndisc_parse_options(ra[RA_HLEN:])
    if opts is None:
        return SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS
    accepted = ipv6_accept_ra(idev)
    rt: Fib6Info | None = None
    if accepted:
        if (idev.if_flags & IF_RS_SENT) != 0:
            idev.if_flags |= IF_RA_RCVD  # a router has answered: no more solicitations
        idev.if_flags &= ~(IF_RA_MANAGED | IF_RA_OTHERCONF)
        idev.if_flags |= (IF_RA_MANAGED if (ra[5] & RA_MANAGED) != 0 else 0) | (IF_RA_OTHERCONF if (ra[5] & RA_OTHER) != 0 else 0)
        if ndisc_ra_takes_router(idev, skb.saddr6, get_be16(ra, 6)):
            rt = ndisc_ra_router(idev, skb.saddr6, ra)
            ndisc_ra_hop_limit(idev, rt, i64(ra[4]))
        ndisc_ra_timers(idev, get_be32(ra, 8), get_be32(ra, 12))
    lladdr: bytes | None = None
    if len(opts.src_lladdr) != 0:
        lladdr = ndisc_opt_addr_data(opts.src_lladdr, dev)
        if lladdr is None:
            return SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS
    ndisc_ra_neighbour(skb, lladdr)
    if not accepted:
        return SKB_CONSUMED
    for option in opts.route_info:
        ndisc_ra_route(idev, skb.saddr6, option)
    if idev.cnf.accept_ra_pinfo != 0:
        for pio in opts.prefix_info:
            addrconf_prefix_rcv(dev, pio, lladdr is not None)
    if len(opts.mtu) == MTU_OPT_LEN and idev.cnf.accept_ra_mtu != 0:
        ndisc_ra_mtu(idev, rt, get_be32(opts.mtu, 4))
    return SKB_CONSUMED


def ndisc_ra_takes_router(idev: Inet6Dev, saddr: int, lifetime: i64) -> bool:
    """Is the sender to be a default router (accept_ra_defrtr, _from_local, _min_lft)?"""
    cnf = idev.cnf
    if cnf.accept_ra_defrtr == 0:
        return False
    if cnf.accept_ra_from_local == 0 and ipv6_chk_addr(idev.dev.net, saddr, idev.dev, False):
        return False
    return lifetime == 0 or lifetime >= cnf.accept_ra_min_lft


def ndisc_ra_router(idev: Inet6Dev, saddr: int, ra: bytes) -> Fib6Info | None:
    """Make the sender a default router for its lifetime, or one no longer where that is 0."""
    net = idev.dev.net
    lifetime = get_be16(ra, 6)
    pref = i64((ra[5] >> 3) & 3)  # RFC 4191, 2.2
    if pref == ICMPV6_ROUTER_PREF_INVALID or idev.cnf.accept_ra_rtr_pref == 0:
        pref = 0
    rt = rt6_get_dflt_router(net, saddr, idev.dev)
    metric = idev.cnf.ra_defrtr_metric
    if rt is not None and (lifetime == 0 or rt.fib6_metric != metric):
        ip6_del_rt(net, rt)
        rt = None
    if rt is None and lifetime != 0:
        rt = rt6_add_dflt_router(net, saddr, idev.dev, pref)
    if rt is not None:
        rt.pref = pref
        fib6_set_expires(net, rt, net.clock.jiffies() + lifetime * HZ)
    return rt


def ndisc_ra_hop_limit(idev: Inet6Dev, rt: Fib6Info | None, hop_limit: i64) -> None:
    """The hop limit of what is sent from now on, where one is told and it is not too small."""
    if hop_limit != 0 and hop_limit >= idev.cnf.accept_ra_min_hop_limit:
        idev.cnf.hop_limit = hop_limit
        if rt is not None:
            rt.fib6_metrics[RTAX_HOPLIMIT] = int(hop_limit)


def ndisc_ra_timers(idev: Inet6Dev, reachable: i64, retrans: i64) -> None:
    """Reachable time and retransmission timer of neighbours, ms; 0: not told."""
    tbl = idev.dev.net.ipv6.nd_tbl
    if tbl is None:
        return
    parms = tbl.parms_of(idev.dev)
    if 0 < retrans < 1 << 31:
        time = retrans * MSEC
        parms.retrans_time = time if time > MIN_RETRANS else MIN_RETRANS
    if 0 < reachable < 1 << 31:
        time = reachable * MSEC
        if time != parms.base_reachable_time:
            parms.base_reachable_time = time
            parms.gc_staletime = 3 * time
            parms.reachable_time = neigh_rand_reach_time(tbl, time)
            parms.reachable_base = time


def ndisc_ra_neighbour(skb: SkBuff, lladdr: bytes | None) -> None:
    """The sender is a router, at the hardware address that it told."""
    dev = skb.dev
    assert dev is not None
    tbl = dev.net.ipv6.nd_tbl
    if tbl is None:
        return
    neigh: Neighbour | None = __neigh_lookup(tbl, skb.saddr6, dev, True)
    if neigh is not None:
        neigh_update(neigh, lladdr, NUD_STALE, NEIGH_UPDATE_F_WEAK_OVERRIDE | NEIGH_UPDATE_F_OVERRIDE
                     | NEIGH_UPDATE_F_OVERRIDE_ISROUTER | NEIGH_UPDATE_F_ISROUTER)


def ndisc_ra_route(idev: Inet6Dev, gateway: int, option: bytes) -> None:
    """The sender is a router for one prefix (of a length that accept_ra_rt_info_*_plen let pass) for a time, 0: no longer.

    Linux: net/ipv6/route.c, rt6_route_rcv.  RFC 4191, 2.3 and 3.1.
    """
    net = idev.dev.net
    cnf = idev.cnf
    plen = i64(option[2])
    units = option[1]
    if (plen > 128 or units > 3 or (plen > 64 and units < 3) or (plen > 0 and units < 2)
            or plen < cnf.accept_ra_rt_info_min_plen or plen > cnf.accept_ra_rt_info_max_plen
            or (plen == 0 and cnf.accept_ra_defrtr == 0)):
        return
    pref = i64((option[3] >> 3) & 3)
    if pref == ICMPV6_ROUTER_PREF_INVALID:
        return
    lifetime = get_be32(option, 4)
    prefix = int.from_bytes((option[8:] + bytes(16))[:16], 'big') & in6_prefix_mask(int(plen))
    rt = rt6_get_dflt_router(net, gateway, idev.dev) if plen == 0 else rt6_get_route_info(idev, prefix, plen, gateway)
    if rt is not None and lifetime == 0:
        ip6_del_rt(net, rt)
        rt = None
    elif rt is None and lifetime != 0:
        rt = rt6_add_route_info(idev, prefix, plen, gateway)
    if rt is not None:
        rt.pref = pref
        if lifetime == INFINITY_LIFE_TIME:
            fib6_clean_expires(rt)
        else:
            fib6_set_expires(net, rt, net.clock.jiffies() + lifetime * HZ)


def rt6_get_route_info(idev: Inet6Dev, prefix: int, plen: i64, gateway: int) -> Fib6Info | None:
    """The route that such an option made.  Linux: net/ipv6/route.c."""
    table = idev.dev.net.ipv6.fib6_main_tbl
    if table is None:
        return None
    for rt in fib6_leaf(table, prefix, int(plen)):
        if (rt.fib6_nh.dev is idev.dev and rt.fib6_nh.gw == gateway
                and (rt.fib6_flags & (RTF_ROUTEINFO | RTF_GATEWAY)) == RTF_ROUTEINFO | RTF_GATEWAY):
            return rt
    return None


def rt6_add_route_info(idev: Inet6Dev, prefix: int, plen: i64, gateway: int) -> Fib6Info | None:
    """Make it; a prefix of length 0 is a default router.  Linux: net/ipv6/route.c."""
    cfg = Fib6Config()
    cfg.fc_metric = IP6_RT_PRIO_USER
    cfg.fc_ifindex = idev.dev.ifindex
    cfg.fc_dst = prefix
    cfg.fc_dst_len = plen
    cfg.fc_flags = RTF_GATEWAY | RTF_ADDRCONF | RTF_ROUTEINFO | RTF_UP
    cfg.fc_protocol = RTPROT_RA
    cfg.fc_type = RTN_UNICAST
    cfg.fc_gateway = gateway
    if plen == 0:
        cfg.fc_flags |= RTF_DEFAULT
    ip6_route_add(idev.dev.net, cfg)
    return rt6_get_route_info(idev, prefix, plen, gateway)


def ndisc_ra_mtu(idev: Inet6Dev, rt: Fib6Info | None, mtu: i64) -> None:
    """The link's MTU, where it is none that the device or IPv6 cannot have."""
    idev.ra_mtu = mtu
    if mtu < IPV6_MIN_MTU or mtu > idev.dev.mtu or idev.cnf.mtu6 == mtu:
        return
    rt6_mtu_change(idev.dev, mtu)
    idev.cnf.mtu6 = mtu
    if rt is not None:
        rt.fib6_metrics[RTAX_MTU] = int(mtu)
