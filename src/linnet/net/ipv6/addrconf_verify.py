# SPDX-License-Identifier: Apache-2.0
"""The lifetimes of addresses (RFC 4862, 5.5.4): at the end of the preferred one an address is deprecated, at that of the valid
one it goes; a temporary address has a successor shortly before it is deprecated (RFC 8981, 3.4).

One timer of the host (net.ipv6.addr_chk_work) waits for the next of these times.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.if_inet6 import (
    IFA_F_DEPRECATED,
    IFA_F_TEMPORARY,
    IFA_F_TENTATIVE,
    INFINITY_LIFE_TIME,
    Inet6Ifaddr,
)
from linnet.include.net.net_namespace import Net
from linnet.kernel.timer import TimerList, del_timer, mod_timer, timer_pending
from linnet.net.ipv6.addrconf_dad import ipv6_create_tempaddr, ipv6_get_regen_advance
from linnet.net.ipv6.addrconf_ifa import HZ, ipv6_del_addr, ipv6_ifa_notify

LINUX_FILE: Final = 'net/ipv6/addrconf.c'
JIFFY: Final = 1_000_000  # ns


class AddrChkWork(TimerList):
    """The end of some address's lifetime (Linux: addr_chk_work). Nobody waits for it."""

    def __init__(self, net: Net) -> None:
        super().__init__(net.clock)
        self.net: Net = net
        self.deferrable = True

    def function(self) -> None:
        """See addrconf_verify."""
        addrconf_verify(self.net)


def addrconf_verify(net: Net) -> None:
    """Do what is due to addresses, and wait for what is due next.  Linux: net/ipv6/addrconf.c.  RFC 4862, 5.5.4."""
    now = net.clock.jiffies()
    for ifp in addresses(net):
        addrconf_verify_one(ifp, now)
    following: i64 = -1
    for ifp in addresses(net):
        due = addrconf_next(ifp, now)
        if due >= 0 and (following < 0 or due < following):
            following = due
    timer = net.ipv6.addr_chk_work
    if following < 0:
        if timer is not None and timer_pending(timer):
            del_timer(timer)
        return
    if timer is None:
        timer = AddrChkWork(net)
        net.ipv6.addr_chk_work = timer
    mod_timer(timer, following * JIFFY)


def addresses(net: Net) -> list[Inet6Ifaddr]:
    """The host's addresses whose life is bounded."""
    found: list[Inet6Ifaddr] = []
    for chain in net.ipv6.inet6_addr_lst.values():
        for ifp in chain:
            if ifp.valid_lft != INFINITY_LIFE_TIME or ifp.prefered_lft != INFINITY_LIFE_TIME:
                found.append(ifp)
    return found


def regen_time(ifp: Inet6Ifaddr) -> i64:
    """When a temporary address wants its successor (jiffies); -1: it is none, or has got one."""
    if (ifp.flags & IFA_F_TEMPORARY) == 0 or ifp.ifpub is None or ifp.regen_count != 0:
        return -1
    return ifp.tstamp + (ifp.prefered_lft - ipv6_get_regen_advance(ifp.idev)) * HZ


def addrconf_verify_one(ifp: Inet6Ifaddr, now: i64) -> None:
    """Remove or deprecate one address, or make its successor, where that is due."""
    if ifp.valid_lft != INFINITY_LIFE_TIME and now >= ifp.tstamp + ifp.valid_lft * HZ:
        ipv6_del_addr(ifp)
        return
    if ifp.prefered_lft == INFINITY_LIFE_TIME:
        return
    if now >= ifp.tstamp + ifp.prefered_lft * HZ:
        if (ifp.flags & IFA_F_DEPRECATED) == 0:
            ifp.flags |= IFA_F_DEPRECATED
            ipv6_ifa_notify(0, ifp)
        return
    regen = regen_time(ifp)
    ifpub = ifp.ifpub
    if 0 <= regen <= now and ifpub is not None and (ifp.flags & IFA_F_TENTATIVE) == 0:
        ifp.regen_count += 1
        ifpub.regen_count = 0
        ipv6_create_tempaddr(ifpub)


def addrconf_next(ifp: Inet6Ifaddr, now: i64) -> i64:
    """When something is due to the address next (jiffies); -1: never."""
    due: i64 = -1
    if ifp.valid_lft != INFINITY_LIFE_TIME:
        due = ifp.tstamp + ifp.valid_lft * HZ
    if ifp.prefered_lft != INFINITY_LIFE_TIME and (ifp.flags & IFA_F_DEPRECATED) == 0:
        end = ifp.tstamp + ifp.prefered_lft * HZ
        if due < 0 or end < due:
            due = end
        regen = regen_time(ifp)
        if regen > now and regen < due:
            due = regen
    return due
