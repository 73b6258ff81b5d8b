# SPDX-License-Identifier: Apache-2.0
"""IPv6 ends on a device, for as long as it is down or for good: its addresses and learnt routes go, its settings and groups stay
while the device does.
"""
from __future__ import annotations

from typing import Final

from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.notifier import NETDEV_DOWN, NETDEV_UNREGISTER, call_notifiers
from linnet.include.net.if_inet6 import (
    IF_RA_RCVD,
    IF_READY,
    IF_RS_SENT,
    IFA_F_NODAD,
    IFA_F_PERMANENT,
    IFA_F_TENTATIVE,
    INET6_IFADDR_STATE_DEAD,
    INET6_IFADDR_STATE_PREDAD,
    Inet6Dev,
    __in6_dev_get,
)
from linnet.include.net.ipv6 import IPV6_ADDR_LINKLOCAL, IPV6_ADDR_LOOPBACK, ipv6_addr_type
from linnet.kernel.timer import del_timer
from linnet.net.core.neighbour import neigh_ifdown, neigh_parms_release
from linnet.net.ipv6.addrconf_ifa import RTM_DELADDR, addrconf_del_dad_work, ipv6_ifa_notify
from linnet.net.ipv6.addrconf_saddr import inet6_addr_hash_remove
from linnet.net.ipv6.anycast import ipv6_ac_destroy_dev
from linnet.net.ipv6.mcast import ipv6_mc_destroy_dev, ipv6_mc_down
from linnet.net.ipv6.route import rt6_disable_ip

LINUX_FILE: Final = 'net/ipv6/addrconf.c'


def addrconf_del_rs_timer(idev: Inet6Dev) -> None:
    """No more router solicitations.  Linux: net/ipv6/addrconf.c."""
    if idev.rs_timer is not None:
        del_timer(idev.rs_timer)


def addrconf_ifdown(dev: NetDevice, unregister: bool) -> None:
    """The device goes down, or IPv6 ends there: addresses go (but permanent ones with keep_addr_on_down), and learnt routes.

    Linux: net/ipv6/addrconf.c.
    """
    net = dev.net
    rt6_disable_ip(dev, NETDEV_UNREGISTER if unregister else NETDEV_DOWN)
    idev = __in6_dev_get(dev)
    if idev is None:
        return
    keep = not unregister and idev.cnf.disable_ipv6 == 0 and addrconf_keep_addr(idev)
    if unregister:
        idev.dead = True
        dev.ip6_ptr = None
    addrconf_del_rs_timer(idev)
    if not unregister:
        idev.if_flags &= ~(IF_RS_SENT | IF_RA_RCVD | IF_READY)
    for ifp in list(idev.addr_list):
        addrconf_del_dad_work(ifp)
        if keep and (ifp.flags & IFA_F_PERMANENT) != 0 and not addr_is_local(ifp.addr):
            ifp.state = INET6_IFADDR_STATE_PREDAD
            if (ifp.flags & IFA_F_NODAD) == 0:
                ifp.flags |= IFA_F_TENTATIVE
        else:
            ifp.state = INET6_IFADDR_STATE_DEAD
            inet6_addr_hash_remove(net, ifp)
            idev.addr_list.remove(ifp)
            call_notifiers(net.inet6addr_chain, NETDEV_DOWN, dev)
        ipv6_ifa_notify(RTM_DELADDR, ifp)
    if unregister:
        ipv6_ac_destroy_dev(idev)
        ipv6_mc_destroy_dev(idev)
    else:
        ipv6_mc_down(idev)
    idev.tstamp = net.clock.jiffies()
    idev.ra_mtu = 0
    tbl = net.ipv6.nd_tbl
    if tbl is not None:
        neigh_ifdown(tbl, dev)
        if unregister:
            neigh_parms_release(dev, tbl)


def addr_is_local(addr: int) -> bool:
    """Is it an address that the device makes anew: ::1 or a link-local one?  Linux: net/ipv6/addrconf.c."""
    return (ipv6_addr_type(addr) & (IPV6_ADDR_LINKLOCAL | IPV6_ADDR_LOOPBACK)) != 0


def addrconf_keep_addr(idev: Inet6Dev) -> bool:
    """keep_addr_on_down: of all devices where that is not 0, else of this one.  Linux: net/ipv6/addrconf.c."""
    every = idev.dev.net.ipv6.devconf_all.keep_addr_on_down
    return (every if every != 0 else idev.cnf.keep_addr_on_down) > 0
