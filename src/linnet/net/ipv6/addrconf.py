# SPDX-License-Identifier: Apache-2.0
"""IPv6 on devices: each gets its half (Inet6Dev) when it registers, its link-local address when its link is there, and loses all
addresses but none of its settings when it goes down.

    addrconf_notify: a device registers, comes up, changes, goes down
    inet6_addr_add, inet6_addr_del: `ip -6 addr`
    addrconf_disable_ipv6, addrconf_fixup_forwarding: what follows from writing those sysctls

An address by hand or by the stack is tentative until DAD (addrconf_dad.py) is content; lo's ::1 needs none. A device whose MTU is
below 1280 has no IPv6 (RFC 8200, 5). On a link without hardware addresses (TUN) the link-local address has a random identifier.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ARPHRD_ETHER, ARPHRD_NONE
from linnet.include.linux.in6 import (
    IN6ADDR_INTERFACELOCAL_ALLNODES,
    IN6ADDR_INTERFACELOCAL_ALLROUTERS,
    IN6ADDR_LINKLOCAL_ALLNODES,
    IN6ADDR_LINKLOCAL_ALLROUTERS,
    IN6ADDR_LOOPBACK,
    IN6ADDR_SITELOCAL_ALLROUTERS,
)
from linnet.include.linux.ipv6 import IPV6_MIN_MTU, ipv6_devconf_copy
from linnet.include.linux.netdevice import IFF_LOOPBACK, IFF_MULTICAST, IFF_NOARP, IFF_UP, NetDevice, netif_running
from linnet.include.linux.notifier import (
    NETDEV_CHANGE,
    NETDEV_CHANGEMTU,
    NETDEV_DOWN,
    NETDEV_REGISTER,
    NETDEV_UNREGISTER,
    NETDEV_UP,
    NotifierBlock,
)
from linnet.include.net.if_inet6 import (
    IF_READY,
    IFA_F_DEPRECATED,
    IFA_F_MANAGETEMPADDR,
    IFA_F_MCAUTOJOIN,
    IFA_F_NODAD,
    IFA_F_NOPREFIXROUTE,
    IFA_F_OPTIMISTIC,
    IFA_F_PERMANENT,
    IFA_F_TEMPORARY,
    IFA_F_TENTATIVE,
    INFINITY_LIFE_TIME,
    Inet6Dev,
    Inet6Ifaddr,
    __in6_dev_get,
)
from linnet.include.net.ip6_fib import RTF_EXPIRES
from linnet.include.net.ip_fib import RTNH_F_LINKDOWN
from linnet.include.net.net_namespace import Net
from linnet.kernel.errno import EACCES, EADDRNOTAVAIL, EINVAL, ENODEV
from linnet.net.core.neighbour import neigh_parms_alloc
from linnet.net.ipv6.addrconf_dad import (
    addrconf_dad_run,
    addrconf_dad_start,
    ipv6_generate_eui64,
)
from linnet.net.ipv6.addrconf_down import addrconf_ifdown
from linnet.net.ipv6.addrconf_ifa import (
    RTM_NEWADDR,
    addrconf_add_mroute,
    addrconf_prefix_route,
    ipv6_add_addr,
    ipv6_add_addr_check,
    ipv6_del_addr,
    ipv6_ifa_notify,
)
from linnet.net.ipv6.addrconf_prefix import delete_tempaddrs
from linnet.net.ipv6.addrconf_saddr import ipv6_chk_addr as ipv6_chk_addr
from linnet.net.ipv6.addrconf_saddr import ipv6_dev_get_saddr as ipv6_dev_get_saddr
from linnet.net.ipv6.addrconf_saddr import ipv6_get_ifaddr as ipv6_get_ifaddr
from linnet.net.ipv6.addrconf_saddr import ipv6_get_lladdr as ipv6_get_lladdr
from linnet.net.ipv6.addrconf_show import inet6_dump as inet6_dump
from linnet.net.ipv6.addrconf_verify import addrconf_verify
from linnet.net.ipv6.anycast import addrconf_join_anycast, addrconf_leave_anycast
from linnet.net.ipv6.mcast import ipv6_dev_mc_dec, ipv6_dev_mc_inc, ipv6_mc_up
from linnet.net.ipv6.route import addrconf_f6i_alloc, rt6_mtu_change, rt6_purge_dflt_routers, rt6_sync_down_dev, rt6_sync_up

LINKLOCAL_PREFIX: Final = 0xFE80 << 112
IN6_ADDR_GEN_MODE_EUI64: Final = 0
IN6_ADDR_GEN_MODE_NONE: Final = 1
IN6_ADDR_GEN_MODE_RANDOM: Final = 3


# -------------------------------------------------------------------------------------------------------------- devices

def ipv6_add_dev(dev: NetDevice) -> Inet6Dev | None:
    """Give dev its IPv6 half, set as conf/default says; None where its MTU is too small.  Linux: net/ipv6/addrconf.c."""
    if dev.mtu < IPV6_MIN_MTU:
        return None
    net = dev.net
    idev = Inet6Dev(dev)
    ipv6_devconf_copy(idev.cnf, net.ipv6.devconf_dflt)
    idev.cnf.mtu6 = dev.mtu
    idev.mc_qrv = net.ipv6.sysctl_mld_qrv
    if (dev.flags & (IFF_NOARP | IFF_LOOPBACK)) != 0:
        idev.cnf.accept_dad = -1
    if dev.type == ARPHRD_NONE and idev.cnf.addr_gen_mode == IN6_ADDR_GEN_MODE_EUI64:
        idev.cnf.addr_gen_mode = IN6_ADDR_GEN_MODE_RANDOM
    tbl = net.ipv6.nd_tbl
    if tbl is not None:
        neigh_parms_alloc(dev, tbl)
    idev.tstamp = net.clock.jiffies()
    dev.ip6_ptr = idev
    ipv6_dev_mc_inc(dev, IN6ADDR_INTERFACELOCAL_ALLNODES)
    ipv6_dev_mc_inc(dev, IN6ADDR_LINKLOCAL_ALLNODES)
    if idev.cnf.forwarding != 0 and (dev.flags & IFF_MULTICAST) != 0:
        ipv6_dev_mc_inc(dev, IN6ADDR_LINKLOCAL_ALLROUTERS)
    return idev


def ipv6_find_idev(dev: NetDevice) -> Inet6Dev | None:
    """dev's IPv6 half, made where it is not there; its groups are reported (anew: so each new address lets all of them be).

    Linux: net/ipv6/addrconf.c.
    """
    idev = __in6_dev_get(dev)
    if idev is None:
        idev = ipv6_add_dev(dev)
    if idev is not None and netif_running(dev):
        ipv6_mc_up(idev)
    return idev


def addrconf_add_dev(dev: NetDevice) -> Inet6Dev | None:
    """dev's IPv6 half, made where it is not there, with the route of multicast; None where IPv6 is off.

    Linux: net/ipv6/addrconf.c.
    """
    idev = ipv6_find_idev(dev)
    if idev is None:
        return None
    if idev.cnf.disable_ipv6 != 0:
        return None
    if (dev.flags & IFF_LOOPBACK) == 0 and netif_running(dev):
        addrconf_add_mroute(dev)
    return idev


def addrconf_link_ready(dev: NetDevice) -> bool:
    """Can dev send (IFF_UP and its carrier is there)?  Linux: net/ipv6/addrconf.c."""
    return netif_running(dev) and dev.carrier


class AddrconfNotifier(NotifierBlock):
    """Devices come, go and change (Linux: ipv6_dev_notf)."""

    def notifier_call(self, event: int, dev: NetDevice, addr: i64 = 0, prefixlen: i64 = 0) -> None:
        """See addrconf_notify."""
        addrconf_notify(event, dev)


def addrconf_notify(event: int, dev: NetDevice) -> None:
    """A device registers, comes up, changes, goes down or unregisters.  Linux: net/ipv6/addrconf.c."""
    idev = __in6_dev_get(dev)
    if event == NETDEV_REGISTER:
        if idev is None:
            ipv6_add_dev(dev)
    elif event == NETDEV_CHANGEMTU:
        addrconf_mtu_changed(dev, idev)
    elif event == NETDEV_UP or event == NETDEV_CHANGE:
        addrconf_up(dev, event == NETDEV_CHANGE)
    elif event == NETDEV_DOWN or event == NETDEV_UNREGISTER:
        addrconf_ifdown(dev, event == NETDEV_UNREGISTER)


def addrconf_mtu_changed(dev: NetDevice, idev: Inet6Dev | None) -> None:
    """Below 1280 IPv6 ends on the device, at 1280 it begins; routes follow the MTU.  Linux: addrconf_notify."""
    if dev.mtu < IPV6_MIN_MTU:
        if idev is not None:
            addrconf_ifdown(dev, (dev.flags & IFF_LOOPBACK) == 0)
    elif idev is not None:
        rt6_mtu_change(dev, dev.mtu)
        idev.cnf.mtu6 = dev.mtu
    elif dev.registered and ipv6_add_dev(dev) is not None:
        addrconf_up(dev, False)


def addrconf_up(dev: NetDevice, change: bool) -> None:
    """The device is up, or its carrier has changed: with both there its addresses are made.  Linux: addrconf_notify."""
    idev = __in6_dev_get(dev)
    if idev is not None and idev.cnf.disable_ipv6 != 0:
        return
    if not addrconf_link_ready(dev):
        if change:
            rt6_sync_down_dev(dev, NETDEV_CHANGE)
        elif idev is not None and netif_running(dev):
            addrconf_permanent_addr(idev)
        return
    if idev is None:
        idev = ipv6_add_dev(dev)
        if idev is None:
            return
    if (idev.if_flags & IF_READY) != 0 and change:
        # configured before: the link may be another now, whose switches are to hear of our groups
        ipv6_mc_up(idev)
        rt6_sync_up(dev, RTNH_F_LINKDOWN)
        return
    if not change:
        addrconf_permanent_addr(idev)
        ipv6_mc_up(idev)
    idev.if_flags |= IF_READY
    addrconf_dad_run(idev)
    addrconf_init_auto_addrs(dev)
    rt6_sync_up(dev)
    if idev.cnf.mtu6 != dev.mtu:
        rt6_mtu_change(dev, dev.mtu)
        idev.cnf.mtu6 = dev.mtu
    idev.tstamp = dev.net.clock.jiffies()


def addrconf_permanent_addr(idev: Inet6Dev) -> None:
    """The device is up: addresses that were given while it was down, or outlived that, get the routes that they lack.

    Linux: net/ipv6/addrconf.c, with fixup_permanent_addr.
    """
    for ifp in list(idev.addr_list):
        if (ifp.flags & IFA_F_PERMANENT) == 0:
            continue
        if ifp.rt is None:
            ifp.rt = addrconf_f6i_alloc(idev.dev.net, idev, ifp.addr, False)
        if (ifp.flags & IFA_F_NOPREFIXROUTE) == 0 and (ifp.addr >> 120) != 0xFF:
            addrconf_prefix_route(ifp.addr, ifp.prefix_len, ifp.rt_priority, idev.dev, 0, 0)


def addrconf_init_auto_addrs(dev: NetDevice) -> None:
    """The addresses that a device of this kind makes itself.  Linux: net/ipv6/addrconf.c."""
    if (dev.flags & IFF_LOOPBACK) != 0:
        init_loopback(dev)
    else:
        addrconf_dev_config(dev)


def init_loopback(dev: NetDevice) -> None:
    """::1/128.  Linux: net/ipv6/addrconf.c."""
    idev = addrconf_add_dev(dev)
    if idev is None or ipv6_add_addr_check(idev, IN6ADDR_LOOPBACK, False) != 0:
        return
    ifp = ipv6_add_addr(idev, IN6ADDR_LOOPBACK, 128, IFA_F_PERMANENT, INFINITY_LIFE_TIME, INFINITY_LIFE_TIME)
    ifp.flags &= ~IFA_F_TENTATIVE
    ipv6_ifa_notify(RTM_NEWADDR, ifp)


def addrconf_dev_config(dev: NetDevice) -> None:
    """The link-local address.  Linux: net/ipv6/addrconf.c."""
    if dev.type != ARPHRD_ETHER and dev.type != ARPHRD_NONE:
        return
    idev = addrconf_add_dev(dev)
    if idev is not None:
        addrconf_addr_gen(idev)


def addrconf_addr_gen(idev: Inet6Dev) -> None:
    """Make the link-local address as addr_gen_mode says: of the hardware address, or random; none with 1.

    Linux: net/ipv6/addrconf.c; stable private addresses (RFC 7217) are not made, as no secret is ever set.
    """
    mode = idev.cnf.addr_gen_mode
    if mode == IN6_ADDR_GEN_MODE_NONE:
        return
    if mode == IN6_ADDR_GEN_MODE_EUI64:
        low = ipv6_generate_eui64(idev.dev.dev_addr)
    else:
        if idev.random_id == 0:
            idev.random_id = idev.dev.net.ipv6.random.u64()
        low = idev.random_id
    if low >= 0:
        addrconf_add_linklocal(idev, LINKLOCAL_PREFIX | low, 0)


def addrconf_add_linklocal(idev: Inet6Dev, addr: int, flags: i64) -> None:
    """Add a link-local address and begin its DAD; with optimistic_dad it may be used meanwhile.  Linux: net/ipv6/addrconf.c."""
    if ipv6_add_addr_check(idev, addr, False) != 0:
        return
    every = idev.dev.net.ipv6.devconf_all
    if (every.optimistic_dad != 0 or idev.cnf.optimistic_dad != 0) and every.forwarding == 0:
        flags |= IFA_F_OPTIMISTIC
    ifp = ipv6_add_addr(idev, addr, 64, flags | IFA_F_PERMANENT, INFINITY_LIFE_TIME, INFINITY_LIFE_TIME)
    addrconf_prefix_route(addr, 64, 0, idev.dev, 0, 0)
    addrconf_dad_start(ifp)


# ------------------------------------------------------------------------------------------------------------ addresses

def inet6_addr_add(dev: NetDevice, addr: int, plen: i64, flags: i64 = 0, valid_lft: i64 = INFINITY_LIFE_TIME,
                   prefered_lft: i64 = INFINITY_LIFE_TIME) -> int:
    """`ip -6 addr add ADDR/PLEN dev DEV`: 0 or a negative errno. Lifetimes in seconds; flags: IFA_F_NODAD, _NOPREFIXROUTE ...

    -EINVAL (length, lifetimes), -ENODEV (no IPv6 there: the MTU), -EACCES (disable_ipv6), -EEXIST, -EADDRNOTAVAIL.
    Linux: net/ipv6/addrconf.c.
    """
    if plen < 0 or plen > 128 or valid_lft == 0 or prefered_lft > valid_lft:
        return -EINVAL
    if ipv6_find_idev(dev) is None:
        return -ENODEV
    idev = addrconf_add_dev(dev)
    if idev is None:
        return -EACCES
    err = ipv6_add_addr_check(idev, addr, (flags & IFA_F_MCAUTOJOIN) != 0)
    if err != 0:
        return err
    flags &= IFA_F_NODAD | IFA_F_OPTIMISTIC | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN
    expires: i64 = 0
    route_flags: i64 = 0
    if valid_lft == INFINITY_LIFE_TIME:
        flags |= IFA_F_PERMANENT
    else:
        expires = valid_lft
        route_flags = RTF_EXPIRES
    if prefered_lft == 0:
        flags |= IFA_F_DEPRECATED
    ifp = ipv6_add_addr(idev, addr, plen, flags, valid_lft, prefered_lft)
    if (flags & IFA_F_MCAUTOJOIN) != 0 and (addr >> 120) == 0xFF:
        ipv6_dev_mc_inc(dev, addr)
    if (flags & IFA_F_NOPREFIXROUTE) == 0 and (addr >> 120) != 0xFF:
        addrconf_prefix_route(addr, plen, 0, dev, expires, route_flags)
    addrconf_dad_start(ifp)
    addrconf_verify(dev.net)
    return 0


def inet6_addr_del(dev: NetDevice, addr: int, plen: i64) -> int:
    """`ip -6 addr del ADDR/PLEN dev DEV`: 0, -EINVAL, -ENODEV or -EADDRNOTAVAIL.  Linux: net/ipv6/addrconf.c."""
    if plen < 0 or plen > 128:
        return -EINVAL
    idev = __in6_dev_get(dev)
    if idev is None:
        return -ENODEV
    for ifp in idev.addr_list:
        if ifp.prefix_len == plen and ifp.addr == addr:
            ipv6_del_addr(ifp)
            if (ifp.flags & (IFA_F_TEMPORARY | IFA_F_MANAGETEMPADDR)) == IFA_F_MANAGETEMPADDR:
                delete_tempaddrs(ifp)
            if (ifp.flags & IFA_F_MCAUTOJOIN) != 0 and (addr >> 120) == 0xFF:
                ipv6_dev_mc_dec(dev, addr)
            addrconf_verify(dev.net)
            return 0
    return -EADDRNOTAVAIL


# ---------------------------------------------------------------------------------------- what sysctls set in motion

def addrconf_disable_ipv6(idev: Inet6Dev, newf: i64) -> None:
    """conf/DEV/disable_ipv6 was written: IPv6 begins or ends there.  Linux: net/ipv6/addrconf.c, dev_disable_change."""
    changed = (idev.cnf.disable_ipv6 != 0) != (newf != 0)
    idev.cnf.disable_ipv6 = newf
    if changed:
        addrconf_notify(NETDEV_DOWN if newf != 0 else NETDEV_UP, idev.dev)


def addrconf_disable_change(net: Net, newf: i64) -> None:
    """conf/all/disable_ipv6 was written: all devices follow, and those to come.  Linux: net/ipv6/addrconf.c."""
    net.ipv6.devconf_all.disable_ipv6 = newf
    net.ipv6.devconf_dflt.disable_ipv6 = newf
    for dev in list(net.dev_base):
        idev = __in6_dev_get(dev)
        if idev is not None:
            addrconf_disable_ipv6(idev, newf)


def dev_forward_change(idev: Inet6Dev, newf: i64) -> None:
    """The device begins or ceases to forward: it is in the groups of routers, and answers for its prefixes.

    Linux: net/ipv6/addrconf.c.
    """
    changed = (idev.cnf.forwarding != 0) != (newf != 0)
    idev.cnf.forwarding = newf
    if not changed:
        return
    dev = idev.dev
    if (dev.flags & IFF_MULTICAST) != 0:
        for group in (IN6ADDR_LINKLOCAL_ALLROUTERS, IN6ADDR_INTERFACELOCAL_ALLROUTERS, IN6ADDR_SITELOCAL_ALLROUTERS):
            if newf != 0:
                ipv6_dev_mc_inc(dev, group)
            else:
                ipv6_dev_mc_dec(dev, group)
    for ifp in list(idev.addr_list):
        if (ifp.flags & IFA_F_TENTATIVE) != 0:
            continue
        if newf != 0:
            addrconf_join_anycast(ifp)
        else:
            addrconf_leave_anycast(ifp)


def addrconf_addr_gen_mode(idev: Inet6Dev) -> None:
    """conf/DEV/addr_gen_mode was written: a device that is up makes a link-local address of the new kind, too.

    Linux: net/ipv6/addrconf.c, addrconf_sysctl_addr_gen_mode.
    """
    if (idev.if_flags & IF_READY) != 0 and idev.cnf.disable_ipv6 == 0 and (idev.dev.flags & IFF_LOOPBACK) == 0:
        addrconf_addr_gen(idev)


def addrconf_forward_change(net: Net, newf: i64) -> None:
    """conf/all/forwarding was written: all devices follow, and those to come; a router has no default routers.

    Linux: net/ipv6/addrconf.c, addrconf_fixup_forwarding.
    """
    net.ipv6.devconf_all.forwarding = newf
    net.ipv6.devconf_dflt.forwarding = newf
    for dev in list(net.dev_base):
        idev = __in6_dev_get(dev)
        if idev is not None:
            dev_forward_change(idev, newf)
    if newf != 0:
        rt6_purge_dflt_routers(net)


def addrconf_force_forward_change(net: Net, newf: i64) -> None:
    """conf/all/force_forwarding was written: all devices follow.  Linux: net/ipv6/addrconf.c."""
    for dev in net.dev_base:
        idev = __in6_dev_get(dev)
        if idev is not None:
            idev.cnf.force_forwarding = newf


def addrconf_dev_forwarding(idev: Inet6Dev, newf: i64) -> None:
    """conf/DEV/forwarding was written.  Linux: net/ipv6/addrconf.c, addrconf_fixup_forwarding."""
    dev_forward_change(idev, newf)
    if newf != 0:
        rt6_purge_dflt_routers(idev.dev.net)


def addrconf_init(net: Net) -> None:
    """Listen for devices; those that are there get their IPv6 half now.  Linux: net/ipv6/addrconf.c.

    conf/all has accept_dad 0: each device decides for itself.
    """
    net.ipv6.devconf_all.accept_dad = 0
    net.netdev_chain.append(AddrconfNotifier())
    for dev in list(net.dev_base):
        addrconf_notify(NETDEV_REGISTER, dev)
        if (dev.flags & IFF_UP) != 0:
            addrconf_notify(NETDEV_UP, dev)


def inet6_ifa_list(dev: NetDevice) -> list[Inet6Ifaddr]:
    """dev's addresses in the order in which `ip addr` lists them."""
    idev = __in6_dev_get(dev)
    return [] if idev is None else list(idev.addr_list)
