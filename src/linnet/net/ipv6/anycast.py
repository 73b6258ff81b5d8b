# SPDX-License-Identifier: Apache-2.0
"""Anycast addresses of devices (RFC 4291, 2.6): a router answers to the subnet-router anycast address of each of its prefixes.

They are joined when forwarding is switched on, counted, and have a route of their own in table local. Sockets cannot join any
(IPV6_JOIN_ANYCAST).
"""
from __future__ import annotations

from typing import Final

from linnet.include.linux.in6 import in6_prefix_mask
from linnet.include.linux.netdevice import IFF_LOOPBACK, IFF_NOARP, NetDevice
from linnet.include.net.if_inet6 import Ifacaddr6, Inet6Dev, Inet6Ifaddr, __in6_dev_get
from linnet.include.net.ipv6 import addrconf_addr_solict_mult
from linnet.include.net.net_namespace import Net
from linnet.kernel.errno import ENODEV, ENOENT
from linnet.net.ipv6.mcast import __ipv6_dev_mc_dec, ipv6_dev_mc_inc
from linnet.net.ipv6.route import addrconf_f6i_alloc, ip6_del_rt, ip6_ins_rt

NO_SOLICIT: Final = IFF_LOOPBACK | IFF_NOARP  # flags of devices where nobody solicits


def __ipv6_dev_ac_inc(idev: Inet6Dev, addr: int) -> int:
    """One more that wants the anycast address: 0, or -ENODEV where the device goes.  Linux: net/ipv6/anycast.c."""
    if idev.dead:
        return -ENODEV
    for aca in idev.ac_list:
        if aca.aca_addr == addr:
            aca.aca_users += 1
            return 0
    net = idev.dev.net
    aca = Ifacaddr6(idev, addr)
    rt = addrconf_f6i_alloc(net, idev, addr, True)
    aca.aca_rt = rt
    idev.ac_list.insert(0, aca)
    ip6_ins_rt(net, rt)
    addrconf_join_solict(idev.dev, addr)
    return 0


def __ipv6_dev_ac_dec(idev: Inet6Dev, addr: int) -> int:
    """One less that wants it: 0, or -ENOENT.  Linux: net/ipv6/anycast.c."""
    for aca in idev.ac_list:
        if aca.aca_addr == addr:
            aca.aca_users -= 1
            if aca.aca_users == 0:
                idev.ac_list.remove(aca)
                _drop(idev, aca)
            return 0
    return -ENOENT


def _drop(idev: Inet6Dev, aca: Ifacaddr6) -> None:
    addrconf_leave_solict(idev, aca.aca_addr)
    if aca.aca_rt is not None:
        ip6_del_rt(idev.dev.net, aca.aca_rt)


def ipv6_ac_destroy_dev(idev: Inet6Dev) -> None:
    """IPv6 ends on the device.  Linux: net/ipv6/anycast.c."""
    while idev.ac_list:
        _drop(idev, idev.ac_list.pop(0))


def ipv6_chk_acast_addr(net: Net, dev: NetDevice | None, addr: int) -> bool:
    """Is addr an anycast address of dev (None: of any device)?  Linux: net/ipv6/anycast.c."""
    for one in net.dev_base if dev is None else [dev]:
        idev = __in6_dev_get(one)
        if idev is not None:
            for aca in idev.ac_list:
                if aca.aca_addr == addr:
                    return True
    return False


def addrconf_join_anycast(ifp: Inet6Ifaddr) -> None:
    """A router: answer to the subnet-router anycast address of ifp's prefix. On links of two (RFC 6164) there is none.

    Linux: net/ipv6/addrconf.c.
    """
    addr = ifp.addr & in6_prefix_mask(int(ifp.prefix_len))
    if ifp.prefix_len < 127 and addr != 0:
        __ipv6_dev_ac_inc(ifp.idev, addr)


def addrconf_leave_anycast(ifp: Inet6Ifaddr) -> None:
    """No router any more, or the address goes.  Linux: net/ipv6/addrconf.c."""
    addr = ifp.addr & in6_prefix_mask(int(ifp.prefix_len))
    if ifp.prefix_len < 127 and addr != 0:
        __ipv6_dev_ac_dec(ifp.idev, addr)


def addrconf_join_solict(dev: NetDevice, addr: int) -> None:
    """Hear the neighbour solicitations for addr (RFC 4861, 7.2.1).  Linux: net/ipv6/addrconf.c."""
    if (dev.flags & NO_SOLICIT) == 0:
        ipv6_dev_mc_inc(dev, addrconf_addr_solict_mult(addr))


def addrconf_leave_solict(idev: Inet6Dev, addr: int) -> None:
    """No longer.  Linux: net/ipv6/addrconf.c."""
    if (idev.dev.flags & NO_SOLICIT) == 0:
        __ipv6_dev_mc_dec(idev, addrconf_addr_solict_mult(addr))
