# SPDX-License-Identifier: Apache-2.0
"""Multicast membership: which groups a device listens to, for the stack itself and for the joins of sockets.

A group is on a device's list once, with a count of who wants it; the first joins it and the last leaves it, and MLD
(mcast_mld.py) tells the link of both. Every device is in ff02::1 and ff01::1; each address brings its solicited-node group
(addrconf), forwarding the groups of all routers. There are no source filters: a socket hears a group from everybody.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.ipv6 import Ipv6McSocklist
from linnet.include.linux.netdevice import NetDevice
from linnet.include.net.flow import Flowi6
from linnet.include.net.if_inet6 import MAF_NOREPORT, Ifmcaddr6, Inet6Dev, __in6_dev_get
from linnet.include.net.ipv6 import inet6_sk, ipv6_addr_is_multicast
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import Sock, sock_net
from linnet.kernel.errno import EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENODEV, ENOENT
from linnet.net.ipv6.mcast_mld import (
    igmp6_event_query as igmp6_event_query,
)
from linnet.net.ipv6.mcast_mld import (
    igmp6_event_report as igmp6_event_report,
)
from linnet.net.ipv6.mcast_mld import (
    igmp6_group_added,
    igmp6_group_dropped,
    mld_reported,
    mld_stop,
)
from linnet.net.ipv6.route_lookup import ip6_route_output

# ---------------------------------------------------------------------------------------------------------- of a device

def ipv6_dev_mc_inc(dev: NetDevice, addr: int) -> int:
    """One more that wants the group on dev: 0, or -EINVAL where IPv6 is off there.  Linux: net/ipv6/mcast.c."""
    idev = __in6_dev_get(dev)
    if idev is None or idev.dead:
        return -EINVAL
    for mc in idev.mc_list:
        if mc.mca_addr == addr:
            mc.mca_users += 1
            return 0
    mc = Ifmcaddr6(idev, addr)
    mc.mca_users = 1
    if not mld_reported(addr):
        mc.mca_flags |= MAF_NOREPORT
    mld_del_delrec(idev, addr)
    idev.mc_list.insert(0, mc)
    igmp6_group_added(mc)
    return 0


def mld_del_delrec(idev: Inet6Dev, addr: int) -> None:
    """The group is joined again: that it was left need not be told any more.  Linux: net/ipv6/mcast.c."""
    for left in list(idev.mc_tomb):
        if left.mca_addr == addr:
            idev.mc_tomb.remove(left)


def __ipv6_dev_mc_dec(idev: Inet6Dev, addr: int) -> int:
    """One less that wants the group: 0, or -ENOENT.  Linux: net/ipv6/mcast.c."""
    for mc in idev.mc_list:
        if mc.mca_addr == addr:
            mc.mca_users -= 1
            if mc.mca_users == 0:
                idev.mc_list.remove(mc)
                igmp6_group_dropped(mc)
            return 0
    return -ENOENT


def ipv6_dev_mc_dec(dev: NetDevice, addr: int) -> int:
    """As __ipv6_dev_mc_dec; -ENODEV where IPv6 is off on dev.  Linux: net/ipv6/mcast.c."""
    idev = __in6_dev_get(dev)
    if idev is None:
        return -ENODEV
    return __ipv6_dev_mc_dec(idev, addr)


def ipv6_chk_mcast_addr(dev: NetDevice, group: int, src: int) -> bool:
    """Does dev listen to the group? (src: from whom; there are no source filters.)  Linux: net/ipv6/mcast.c."""
    idev = __in6_dev_get(dev)
    if idev is None:
        return False
    for mc in idev.mc_list:
        if mc.mca_addr == group:
            return mc.mca_users != 0
    return False


def ipv6_mc_up(idev: Inet6Dev) -> None:
    """The device is up: its groups are heard from now on, and reported (anew), by the version that is the default.

    Linux: net/ipv6/mcast.c, ipv6_mc_up and ipv6_mc_reset.
    """
    idev.mc_qrv = idev.dev.net.ipv6.sysctl_mld_qrv
    idev.mc_v1_seen = 0
    for mc in list(idev.mc_list):
        mld_del_delrec(idev, mc.mca_addr)
        igmp6_group_added(mc)


def ipv6_mc_down(idev: Inet6Dev) -> None:
    """The device is down: it stays in its groups, but nothing is told or asked.  Linux: net/ipv6/mcast.c."""
    for mc in idev.mc_list:
        igmp6_group_dropped(mc)
    mld_stop(idev)


def ipv6_mc_destroy_dev(idev: Inet6Dev) -> None:
    """IPv6 ends on the device.  Linux: net/ipv6/mcast.c."""
    ipv6_mc_down(idev)
    idev.mc_list.clear()
    idev.mc_tomb.clear()


# ---------------------------------------------------------------------------------------------------------- of a socket

def ipv6_sock_mc_dev(net: Net, ifindex: i64, addr: int) -> NetDevice | None:
    """The device that a join means: by its index, or where the route to the group leads."""
    if ifindex != 0:
        return net.dev_by_index.get(int(ifindex))
    fl6 = Flowi6()
    fl6.daddr = addr
    rt = ip6_route_output(net, None, fl6)
    return None if rt.error != 0 else rt.dev


def ipv6_sock_mc_join(sk: Sock, ifindex: i64, addr: int) -> int:
    """IPV6_ADD_MEMBERSHIP: 0, -EINVAL, -ENODEV or -EADDRINUSE.  Linux: net/ipv6/mcast.c."""
    if not ipv6_addr_is_multicast(addr):
        return -EINVAL
    np = inet6_sk(sk)
    for joined in np.mc_list:
        if (ifindex == 0 or joined.ifindex == ifindex) and joined.addr == addr:
            return -EADDRINUSE
    dev = ipv6_sock_mc_dev(sock_net(sk), ifindex, addr)
    if dev is None:
        return -ENODEV
    err = ipv6_dev_mc_inc(dev, addr)
    if err != 0:
        return err
    np.mc_list.insert(0, Ipv6McSocklist(addr, dev.ifindex))
    return 0


def ipv6_sock_mc_drop(sk: Sock, ifindex: i64, addr: int) -> int:
    """IPV6_DROP_MEMBERSHIP: 0, -EINVAL or -EADDRNOTAVAIL. ifindex 0: of whatever device.  Linux: net/ipv6/mcast.c."""
    if not ipv6_addr_is_multicast(addr):
        return -EINVAL
    np = inet6_sk(sk)
    for joined in np.mc_list:
        if (ifindex == 0 or joined.ifindex == ifindex) and joined.addr == addr:
            np.mc_list.remove(joined)
            ipv6_sock_mc_leave(sock_net(sk), joined)
            return 0
    return -EADDRNOTAVAIL


def ipv6_sock_mc_leave(net: Net, joined: Ipv6McSocklist) -> None:
    """One socket's join ends; the device may be gone by then."""
    dev = net.dev_by_index.get(int(joined.ifindex))
    if dev is not None:
        ipv6_dev_mc_dec(dev, joined.addr)


def ipv6_sock_mc_close(sk: Sock) -> None:
    """The socket closes: it leaves all its groups.  Linux: net/ipv6/mcast.c."""
    np = inet6_sk(sk)
    net = sock_net(sk)
    for joined in np.mc_list:
        ipv6_sock_mc_leave(net, joined)
    np.mc_list.clear()


def inet6_mc_check(sk: Sock, group: int, src: int) -> bool:
    """Does the socket want what src sends to the group? Of groups that it did not join IPV6_MULTICAST_ALL decides.

    Linux: net/ipv6/mcast.c.
    """
    np = inet6_sk(sk)
    for joined in np.mc_list:
        if joined.addr == group:
            return True
    return np.mc_all


def igmp6_mc_dump(net: Net) -> str:
    """The text of /proc/net/igmp6.  Linux: net/ipv6/mcast.c."""
    lines = []
    for dev in net.dev_base:
        idev = __in6_dev_get(dev)
        if idev is None:
            continue
        for mc in idev.mc_list:
            timer = mc.mca_timer
            left = 0
            flags = int(mc.mca_flags)
            if timer is not None and timer.armed:
                left = int(timer.expires - net.clock.now) // 10_000_000
                flags |= 1
            lines.append(f'{int(dev.ifindex):<4} {dev.name:<15} {mc.mca_addr:032x} {int(mc.mca_users):5} {flags:08X} {left}\n')
    return ''.join(lines)
