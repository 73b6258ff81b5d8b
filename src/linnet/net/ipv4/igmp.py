# SPDX-License-Identifier: Apache-2.0
"""Multicast membership: which groups a device listens to, by the joins of sockets.

A group is joined once for each socket that asks; packets to it are delivered to this host while the count is above zero. Every
multicast-capable device that is up belongs to 224.0.0.1. Membership stays local: no IGMP reports are sent, so routers and
snooping switches do not hear of it (links of a lab carry multicast without).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.inet import ipv4_is_multicast
from linnet.include.linux.inetdevice import InDevice
from linnet.include.linux.netdevice import NetDevice
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import sock_net
from linnet.kernel.errno import EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOBUFS, ENODEV
from linnet.net.ipv4.devinet import inet_lookup_ifaddr_rcu

IGMP_ALL_HOSTS: Final = 0xE0000001
SYSCTL_IGMP_MAX_MEMBERSHIPS: Final = 20


def ip_check_mc_rcu(in_dev: InDevice, mc_addr: i64, src_addr: i64, proto: i64) -> bool:
    """Does this host listen to mc_addr on the device?  Linux: net/ipv4/igmp.c."""
    if mc_addr == IGMP_ALL_HOSTS:
        return True
    return int(mc_addr) in in_dev.mc_list or proto == 2  # IGMP itself is always heard


def ip_mc_inc_group(in_dev: InDevice, addr: i64) -> None:
    """One more listener on the device.  Linux: net/ipv4/igmp.c."""
    key = int(addr)
    in_dev.mc_list[key] = in_dev.mc_list.get(key, 0) + 1
    in_dev.dev.net.ipv4.rt_genid += 1


def ip_mc_dec_group(in_dev: InDevice, addr: i64) -> None:
    """One listener less.  Linux: net/ipv4/igmp.c."""
    key = int(addr)
    count = in_dev.mc_list.get(key, 0) - 1
    if count > 0:
        in_dev.mc_list[key] = count
    elif key in in_dev.mc_list:
        del in_dev.mc_list[key]
    in_dev.dev.net.ipv4.rt_genid += 1


def ip_mc_find_dev(net: Net, group: i64, ifindex: i64, addr: i64) -> NetDevice | None:
    """The device that a join means: by index, by one of its addresses, else the first that can multicast.

    Linux: net/ipv4/igmp.c, which asks the route to the group last.
    """
    if ifindex != 0:
        return net.dev_by_index.get(int(ifindex))
    if addr != 0:
        ifa = inet_lookup_ifaddr_rcu(net, addr)
        return None if ifa is None else ifa.ifa_dev.dev
    for dev in net.dev_base:
        if dev.flags & 0x1001 == 0x1001 and dev.in_dev is not None and dev.in_dev.ifa_list:  # IFF_MULTICAST | IFF_UP
            return dev
    return None


def ip_mc_join_group(sk: InetSock, group: i64, ifindex: i64, addr: i64) -> int:
    """IP_ADD_MEMBERSHIP: 0, -EINVAL, -ENODEV, -EADDRINUSE, -ENOBUFS (20 are the limit).  Linux: net/ipv4/igmp.c."""
    if not ipv4_is_multicast(group):
        return -EINVAL
    dev = ip_mc_find_dev(sock_net(sk), group, ifindex, addr)
    if dev is None or dev.in_dev is None:
        return -ENODEV
    entry = int((dev.ifindex << 32) | group)
    if entry in sk.mc_list:
        return -EADDRINUSE
    if len(sk.mc_list) >= SYSCTL_IGMP_MAX_MEMBERSHIPS:
        return -ENOBUFS
    sk.mc_list.append(entry)
    ip_mc_inc_group(dev.in_dev, group)
    return 0


def ip_mc_leave_group(sk: InetSock, group: i64, ifindex: i64, addr: i64) -> int:
    """IP_DROP_MEMBERSHIP: 0, -ENODEV, -EADDRNOTAVAIL.  Linux: net/ipv4/igmp.c."""
    net = sock_net(sk)
    dev = ip_mc_find_dev(net, group, ifindex, addr)
    if dev is None:
        return -ENODEV
    entry = int((dev.ifindex << 32) | group)
    if entry not in sk.mc_list:
        return -EADDRNOTAVAIL
    sk.mc_list.remove(entry)
    if dev.in_dev is not None:
        ip_mc_dec_group(dev.in_dev, group)
    return 0


def ip_mc_drop_socket(sk: InetSock) -> None:
    """The socket closes: it leaves all its groups.  Linux: net/ipv4/igmp.c."""
    net = sock_net(sk)
    for entry in sk.mc_list:
        dev = net.dev_by_index.get(entry >> 32)
        if dev is not None and dev.in_dev is not None:
            ip_mc_dec_group(dev.in_dev, entry & 0xFFFFFFFF)
    sk.mc_list.clear()
