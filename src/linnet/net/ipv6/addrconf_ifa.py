# SPDX-License-Identifier: Apache-2.0
"""An address of a device from its making to its end, with all that follows from it: the host route in table local, the prefix's
route in table main, the solicited-node group.

The local route comes when the address is known to be unique (addrconf_dad.py), and goes with it; the prefix's route comes with
the address.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import in6_prefix_mask
from linnet.include.linux.netdevice import IFF_LOOPBACK, NetDevice
from linnet.include.linux.notifier import NETDEV_DOWN, NETDEV_UP, call_notifiers
from linnet.include.net.if_inet6 import (
    IFA_F_NOPREFIXROUTE,
    IFA_F_PERMANENT,
    IFA_F_TENTATIVE,
    INET6_IFADDR_STATE_DEAD,
    Inet6Dev,
    Inet6Ifaddr,
)
from linnet.include.net.ip6_fib import (
    IP6_RT_PRIO_ADDRCONF,
    RTF_DEFAULT,
    RTF_EXPIRES,
    RTF_UP,
    Fib6Config,
    Fib6Info,
)
from linnet.include.net.ip_fib import RT_TABLE_LOCAL, RT_TABLE_MAIN, RTN_MULTICAST, RTPROT_KERNEL
from linnet.include.net.ipv6 import (
    IPV6_ADDR_ANY,
    IPV6_ADDR_LOOPBACK,
    IPV6_ADDR_MULTICAST,
    IPV6_ADDR_SCOPE_MASK,
    ipv6_addr_scope,
    ipv6_addr_type,
    ipv6_prefix_equal,
)
from linnet.kernel.errno import EACCES, EADDRNOTAVAIL, EEXIST, ENODEV
from linnet.kernel.timer import del_timer
from linnet.net.ipv6.addrconf_saddr import inet6_addr_hash_insert, inet6_addr_hash_remove
from linnet.net.ipv6.anycast import addrconf_join_anycast, addrconf_leave_anycast, addrconf_leave_solict
from linnet.net.ipv6.ip6_fib import fib6_set_expires, fib6_update_sernum
from linnet.net.ipv6.route import addrconf_f6i_alloc, ip6_del_rt, ip6_ins_rt, ip6_route_add, rt6_remove_prefsrc

LINUX_FILE: Final = 'net/ipv6/addrconf.c'
HZ: Final = 1000

RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21

# what becomes of the prefix's route of an address that goes
CLEANUP_PREFIX_RT_NOP: Final = 0
CLEANUP_PREFIX_RT_DEL: Final = 1
CLEANUP_PREFIX_RT_EXPIRE: Final = 2


# -------------------------------------------------------------------------------------------------- making and unmaking

def ipv6_add_addr_check(idev: Inet6Dev, addr: int, may_be_multicast: bool) -> int:
    """May the device have this address? 0, -EADDRNOTAVAIL, -ENODEV, -EACCES (IPv6 is disabled there) or -EEXIST."""
    kind = ipv6_addr_type(addr)
    on_lo = (idev.dev.flags & IFF_LOOPBACK) != 0
    if (kind == IPV6_ADDR_ANY or ((kind & IPV6_ADDR_MULTICAST) != 0 and not may_be_multicast)
            or ((kind & IPV6_ADDR_LOOPBACK) != 0 and (kind & IPV6_ADDR_MULTICAST) == 0 and not on_lo)):
        return -EADDRNOTAVAIL
    if idev.dead:
        return -ENODEV
    if idev.cnf.disable_ipv6 != 0:
        return -EACCES
    for ifp in idev.addr_list:
        if ifp.addr == addr:
            return -EEXIST
    return 0


def ipv6_add_addr(idev: Inet6Dev, addr: int, plen: i64, flags: i64, valid_lft: i64, prefered_lft: i64) -> Inet6Ifaddr:
    """Put an address that ipv6_add_addr_check let pass on the device, tentative. Lifetimes in seconds.

    Linux: net/ipv6/addrconf.c, which makes the check itself.
    """
    net = idev.dev.net
    ifp = Inet6Ifaddr(idev, addr, plen)
    ifp.scope = ipv6_addr_type(addr) & IPV6_ADDR_SCOPE_MASK
    ifp.flags = flags | IFA_F_TENTATIVE
    ifp.valid_lft = valid_lft
    ifp.prefered_lft = prefered_lft
    ifp.cstamp = net.clock.jiffies()
    ifp.tstamp = ifp.cstamp
    ifp.rt = addrconf_f6i_alloc(net, idev, addr, False)
    inet6_addr_hash_insert(net, ifp)
    ipv6_link_dev_addr(idev, ifp)
    call_notifiers(net.inet6addr_chain, NETDEV_UP, idev.dev)
    return ifp


def ipv6_link_dev_addr(idev: Inet6Dev, ifp: Inet6Ifaddr) -> None:
    """Addresses of the widest scope stand first, of one scope the latest first.  Linux: net/ipv6/addrconf.c."""
    scope = ipv6_addr_scope(ifp.addr)
    at = 0
    while at < len(idev.addr_list) and scope < ipv6_addr_scope(idev.addr_list[at].addr):
        at += 1
    idev.addr_list.insert(at, ifp)


def ipv6_del_addr(ifp: Inet6Ifaddr) -> None:
    """Take an address from its device; its prefix's route goes, unless another address still needs it.

    Linux: net/ipv6/addrconf.c.
    """
    idev = ifp.idev
    if ifp.state == INET6_IFADDR_STATE_DEAD:
        return
    ifp.state = INET6_IFADDR_STATE_DEAD
    net = idev.dev.net
    inet6_addr_hash_remove(net, ifp)
    idev.addr_list.remove(ifp)
    action = CLEANUP_PREFIX_RT_NOP
    expires: i64 = 0
    if (ifp.flags & IFA_F_PERMANENT) != 0 and (ifp.flags & IFA_F_NOPREFIXROUTE) == 0:
        expires = check_cleanup_prefix_route(ifp)
        action = CLEANUP_PREFIX_RT_DEL if expires < 0 else CLEANUP_PREFIX_RT_EXPIRE if expires > 0 else CLEANUP_PREFIX_RT_NOP
    addrconf_del_dad_work(ifp)
    ipv6_ifa_notify(RTM_DELADDR, ifp)
    call_notifiers(net.inet6addr_chain, NETDEV_DOWN, idev.dev)
    if action != CLEANUP_PREFIX_RT_NOP:
        cleanup_prefix_route(ifp, expires, action == CLEANUP_PREFIX_RT_DEL)
    rt6_remove_prefsrc(ifp)


def addrconf_del_dad_work(ifp: Inet6Ifaddr) -> None:
    """Whatever was still to be found out about the address, it is not any more.  Linux: net/ipv6/addrconf.c."""
    if ifp.dad_timer is not None:
        del_timer(ifp.dad_timer)


def addrconf_ins_rt(ifp: Inet6Ifaddr) -> None:
    """Packets to the address come in from now on."""
    rt = ifp.rt
    if rt is not None and not ifp.rt_inserted:
        ifp.rt_inserted = True
        ip6_ins_rt(ifp.idev.dev.net, rt)


def ipv6_ifa_notify(event: int, ifp: Inet6Ifaddr) -> None:
    """The address is there to be used (RTM_NEWADDR), or is so no longer (RTM_DELADDR): its route follows.

    Linux: net/ipv6/addrconf.c; listeners by netlink there are none.
    """
    net = ifp.idev.dev.net
    if event == RTM_NEWADDR:
        addrconf_ins_rt(ifp)
        if ifp.idev.cnf.forwarding != 0:
            addrconf_join_anycast(ifp)
    elif event == RTM_DELADDR:
        if ifp.idev.cnf.forwarding != 0:
            addrconf_leave_anycast(ifp)
        addrconf_leave_solict(ifp.idev, ifp.addr)
        rt = ifp.rt
        if rt is not None and ifp.rt_inserted:
            ip6_del_rt(net, rt)
        ifp.rt = None
        ifp.rt_inserted = False
    fib6_update_sernum(net)  # sockets choose their source anew


# ------------------------------------------------------------------------------------------------------- prefixes' routes

def addrconf_prefix_route(pfx: int, plen: i64, metric: i64, dev: NetDevice, expires: i64, flags: i64) -> None:
    """The route to a prefix that is on dev's link. expires: seconds, 0 never.  Linux: net/ipv6/addrconf.c."""
    cfg = Fib6Config()
    cfg.fc_table = RT_TABLE_MAIN
    cfg.fc_metric = metric if metric != 0 else IP6_RT_PRIO_ADDRCONF
    cfg.fc_ifindex = dev.ifindex
    cfg.fc_expires = expires
    cfg.fc_dst = pfx & in6_prefix_mask(int(plen))
    cfg.fc_dst_len = plen
    cfg.fc_flags = RTF_UP | flags
    cfg.fc_protocol = RTPROT_KERNEL
    ip6_route_add(dev.net, cfg)


def addrconf_add_mroute(dev: NetDevice) -> None:
    """Multicast out of dev.  Linux: net/ipv6/addrconf.c."""
    cfg = Fib6Config()
    cfg.fc_table = RT_TABLE_LOCAL
    cfg.fc_metric = IP6_RT_PRIO_ADDRCONF
    cfg.fc_ifindex = dev.ifindex
    cfg.fc_dst = 0xFF << 120
    cfg.fc_dst_len = 8
    cfg.fc_flags = RTF_UP
    cfg.fc_type = RTN_MULTICAST
    cfg.fc_protocol = RTPROT_KERNEL
    ip6_route_add(dev.net, cfg)


def addrconf_get_prefix_route(pfx: int, plen: i64, dev: NetDevice, flags: i64, noflags: i64, no_gw: bool) -> Fib6Info | None:
    """The route to exactly this prefix on dev, with all of `flags` and none of `noflags`.  Linux: net/ipv6/addrconf.c."""
    table = dev.net.ipv6.fib6_main_tbl
    if table is None:
        return None
    routes = table.prefixes.get(int(plen), {}).get(pfx & in6_prefix_mask(int(plen)), [])
    for rt in routes:
        if rt.fib6_nh.dev is not dev or (no_gw and rt.fib6_nh.gw != 0):
            continue
        if (rt.fib6_flags & flags) == flags and (rt.fib6_flags & noflags) == 0:
            return rt
    return None


def check_cleanup_prefix_route(ifp: Inet6Ifaddr) -> i64:
    """What becomes of the prefix's route of an address that went: -1 it goes too, 0 it stays, else jiffies: it stays until then.

    It stays for another permanent address of the prefix; for one with a lifetime, until that ends.
    Linux: net/ipv6/addrconf.c, where the end comes through a pointer.
    """
    found: i64 = -1
    for other in ifp.idev.addr_list:
        if other is ifp or not ipv6_prefix_equal(other.addr, ifp.addr, int(ifp.prefix_len)):
            continue
        if (other.flags & IFA_F_PERMANENT) != 0:
            return 0
        end = other.tstamp + other.valid_lft * HZ
        if end > found:
            found = end
    return found


def cleanup_prefix_route(ifp: Inet6Ifaddr, expires: i64, del_rt: bool) -> None:
    """Remove the route to the address's prefix, or let it expire.  Linux: net/ipv6/addrconf.c."""
    dev = ifp.idev.dev
    rt = addrconf_get_prefix_route(ifp.addr, ifp.prefix_len, dev, 0, RTF_DEFAULT, True)
    if rt is None:
        return
    if del_rt:
        ip6_del_rt(dev.net, rt)
    elif (rt.fib6_flags & RTF_EXPIRES) == 0:
        fib6_set_expires(dev.net, rt, expires)
