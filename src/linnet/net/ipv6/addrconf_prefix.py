# SPDX-License-Identifier: Apache-2.0
"""Prefixes that a router advertises (RFC 4861, 6.3.4; RFC 4862, 5.5.3): a route for one that is on the link, an address for one
that is to be used so.

An address is made of a prefix of 64 bits and the identifier of the hardware address, and with use_tempaddr a temporary one beside
it (RFC 8981).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import in6_prefix_mask, in6_read
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.unaligned import get_be32
from linnet.include.net.if_inet6 import (
    IFA_F_DEPRECATED,
    IFA_F_MANAGETEMPADDR,
    IFA_F_OPTIMISTIC,
    IFA_F_TEMPORARY,
    IFA_F_TENTATIVE,
    INFINITY_LIFE_TIME,
    Inet6Dev,
    Inet6Ifaddr,
    __in6_dev_get,
)
from linnet.include.net.ip6_fib import RTF_ADDRCONF, RTF_DEFAULT, RTF_EXPIRES, RTF_PREFIX_RT
from linnet.include.net.ipv6 import IPV6_ADDR_LINKLOCAL, IPV6_ADDR_MULTICAST, ipv6_addr_type
from linnet.net.ipv6.addrconf_dad import addrconf_dad_start, ipv6_create_tempaddr, ipv6_generate_eui64
from linnet.net.ipv6.addrconf_ifa import (
    HZ,
    addrconf_get_prefix_route,
    addrconf_prefix_route,
    ipv6_add_addr,
    ipv6_add_addr_check,
    ipv6_del_addr,
    ipv6_ifa_notify,
)
from linnet.net.ipv6.addrconf_saddr import ipv6_count_addresses, ipv6_get_ifaddr
from linnet.net.ipv6.addrconf_verify import addrconf_verify
from linnet.net.ipv6.ip6_fib import fib6_clean_expires, fib6_set_expires
from linnet.net.ipv6.route import ip6_del_rt

LINUX_FILE: Final = 'net/ipv6/addrconf.c'
MIN_VALID_LIFETIME: Final = 2 * 3600  # seconds: an unauthenticated advertisement cannot shorten it below (RFC 4862, 5.5.3 e)
PIO_LEN: Final = 32
PIO_ONLINK: Final = 0x80
PIO_AUTOCONF: Final = 0x40


def addrconf_prefix_rcv(dev: NetDevice, opt: bytes, sllao: bool) -> None:
    """A prefix information option. sllao: the advertisement told the router's hardware address.

    Linux: net/ipv6/addrconf.c.
    """
    if len(opt) < PIO_LEN:
        return
    plen = i64(opt[2])
    prefix = in6_read(opt, 16)
    valid_lft = get_be32(opt, 4)
    prefered_lft = get_be32(opt, 8)
    if plen > 128 or (ipv6_addr_type(prefix) & (IPV6_ADDR_MULTICAST | IPV6_ADDR_LINKLOCAL)) != 0:
        return
    if prefered_lft > valid_lft:
        return
    idev = __in6_dev_get(dev)
    if idev is None:
        return
    if (opt[3] & PIO_ONLINK) != 0:
        addrconf_prefix_onlink(idev, prefix, plen, valid_lft)
    if (opt[3] & PIO_AUTOCONF) != 0 and idev.cnf.autoconf != 0 and plen == 64:
        low = idev.token if idev.token != 0 else ipv6_inherit_eui64(idev)
        if low >= 0:
            addrconf_prefix_rcv_add_addr(idev, (prefix & in6_prefix_mask(64)) | low, plen, sllao, valid_lft, prefered_lft)
    addrconf_verify(dev.net)


def ipv6_inherit_eui64(idev: Inet6Dev) -> int:
    """The identifier for an autoconfigured address, -1 where there is none: of the hardware address, else of the link-local one.

    Linux: net/ipv6/addrconf.c.
    """
    low = ipv6_generate_eui64(idev.dev.dev_addr)
    if low >= 0:
        return low
    for ifp in reversed(idev.addr_list):
        if (ifp.addr >> 118) == 0x3FA and (ifp.flags & IFA_F_TENTATIVE) == 0:
            return ifp.addr & ((1 << 64) - 1)
    return -1


def addrconf_prefix_onlink(idev: Inet6Dev, prefix: int, plen: i64, valid_lft: i64) -> None:
    """The prefix is on the link for valid_lft seconds, 0: no longer.  RFC 4861, 6.3.4."""
    dev = idev.dev
    net = dev.net
    rt = addrconf_get_prefix_route(prefix, plen, dev, RTF_ADDRCONF | RTF_PREFIX_RT, RTF_DEFAULT, True)
    if rt is not None:
        if valid_lft == 0:
            ip6_del_rt(net, rt)
        elif valid_lft != INFINITY_LIFE_TIME:
            fib6_set_expires(net, rt, net.clock.jiffies() + valid_lft * HZ)
        else:
            fib6_clean_expires(rt)
    elif valid_lft != 0:
        flags: i64 = RTF_ADDRCONF | RTF_PREFIX_RT
        expires: i64 = 0
        if valid_lft != INFINITY_LIFE_TIME:
            flags |= RTF_EXPIRES
            expires = valid_lft
        addrconf_prefix_route(prefix, plen, 0, dev, expires, flags)


def addrconf_prefix_rcv_add_addr(idev: Inet6Dev, addr: int, plen: i64, sllao: bool, valid_lft: i64, prefered_lft: i64) -> None:
    """Make the address of an advertised prefix, or set its lifetimes anew.  Linux: net/ipv6/addrconf.c.  RFC 4862, 5.5.3 d, e."""
    net = idev.dev.net
    ifp = ipv6_get_ifaddr(net, addr, idev.dev, True)
    if ifp is None:
        if valid_lft == 0 or ipv6_add_addr_check(idev, addr, False) != 0:
            return
        most = idev.cnf.max_addresses
        if most != 0 and ipv6_count_addresses(idev) >= most:
            return
        optimistic = idev.cnf.optimistic_dad != 0 or net.ipv6.devconf_all.optimistic_dad != 0
        flags: i64 = IFA_F_MANAGETEMPADDR
        if optimistic and net.ipv6.devconf_all.forwarding == 0 and sllao:
            flags |= IFA_F_OPTIMISTIC
        ifp = ipv6_add_addr(idev, addr, plen, flags, valid_lft, prefered_lft)
        if prefered_lft == 0:
            ifp.flags |= IFA_F_DEPRECATED
        addrconf_dad_start(ifp)
        manage_tempaddrs(ifp, valid_lft, prefered_lft, True)
        return
    now = net.clock.jiffies()
    stored: i64 = 0
    if ifp.valid_lft == INFINITY_LIFE_TIME:
        stored = INFINITY_LIFE_TIME
    else:
        gone = (now - ifp.tstamp) // HZ
        if ifp.valid_lft > gone:
            stored = ifp.valid_lft - gone
    if stored == 0:
        return
    least: i64 = stored if stored < MIN_VALID_LIFETIME else MIN_VALID_LIFETIME
    if idev.cnf.ra_honor_pio_life == 0 and valid_lft < least:
        valid_lft = least
    ifp.valid_lft = valid_lft
    ifp.prefered_lft = prefered_lft
    ifp.tstamp = now
    ifp.flags &= ~IFA_F_DEPRECATED
    if (ifp.flags & IFA_F_TENTATIVE) == 0:
        ipv6_ifa_notify(0, ifp)
    manage_tempaddrs(ifp, valid_lft, prefered_lft, False)


def tempaddrs(idev: Inet6Dev) -> list[Inet6Ifaddr]:
    """The device's temporary addresses (Linux: idev->tempaddr_list)."""
    return [ifp for ifp in idev.addr_list if (ifp.flags & IFA_F_TEMPORARY) != 0]


def manage_tempaddrs(ifp: Inet6Ifaddr, valid_lft: i64, prefered_lft: i64, create: bool) -> None:
    """The lifetimes of a public address were set: those of its temporary ones follow, within their own bounds. With use_tempaddr
    one is made where there is none, or where ifp is new.

    Linux: net/ipv6/addrconf.c.  RFC 8981, 3.4.
    """
    idev = ifp.idev
    cnf = idev.cnf
    net = idev.dev.net
    now = net.clock.jiffies()
    found = tempaddrs(idev)
    for temporary in found:
        if temporary.ifpub is not ifp:
            continue
        age = (now - temporary.cstamp) // HZ
        most_valid = cnf.temp_valid_lft - age
        most_prefered = cnf.temp_prefered_lft - idev.desync_factor - age
        if most_valid < 0:
            most_valid = 0
        if most_prefered < 0:
            most_prefered = 0
        temporary.valid_lft = valid_lft if valid_lft < most_valid else most_valid
        temporary.prefered_lft = prefered_lft if prefered_lft < most_prefered else most_prefered
        temporary.tstamp = now
        if temporary.prefered_lft > 0:
            temporary.flags &= ~IFA_F_DEPRECATED
        if (temporary.flags & IFA_F_TENTATIVE) == 0:
            ipv6_ifa_notify(0, temporary)
    if not found and (valid_lft != 0 or prefered_lft != 0):
        create = True
    if create and cnf.use_tempaddr > 0:
        ipv6_create_tempaddr(ifp)


def delete_tempaddrs(ifp: Inet6Ifaddr) -> None:
    """The public address was taken away: so are its temporary ones.  Linux: net/ipv6/addrconf.c."""
    for temporary in tempaddrs(ifp.idev):
        if temporary.ifpub is ifp:
            ipv6_del_addr(temporary)
