# SPDX-License-Identifier: Apache-2.0
"""Which addresses this host has, and which of them speaks to a destination (RFC 6724, 5).

Every address, tentative or not, stands in net.ipv6.inet6_addr_lst by its value. An address that is tentative (its uniqueness is
still being found out, RFC 4862, 5.4) is not ours yet to whoever asks; an optimistic one is (RFC 4429). Nothing here knows about
routes: the routing code asks this file.

Of the rules of RFC 6724 apply: 1 same address, 2 scope, 3 not deprecated, 5 outgoing interface, 6 label, 7 public or temporary,
8 longest prefix. 4 (home addresses) needs Mobile IPv6, 5.5 (the next hop's prefix) is not Linux's.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import IN6ADDR_ANY
from linnet.include.linux.netdevice import NetDevice
from linnet.include.net.if_inet6 import (
    IFA_F_DADFAILED,
    IFA_F_DEPRECATED,
    IFA_F_OPTIMISTIC,
    IFA_F_TEMPORARY,
    IFA_F_TENTATIVE,
    INET6_IFADDR_STATE_DEAD,
    Inet6Dev,
    Inet6Ifaddr,
    __in6_dev_get,
)
from linnet.include.net.ipv6 import (
    IPV6_ADDR_LINKLOCAL,
    IPV6_ADDR_LOOPBACK,
    IPV6_ADDR_MAPPED,
    IPV6_ADDR_MULTICAST,
    IPV6_ADDR_SCOPE_LINKLOCAL,
    IPV6_ADDR_COMPATv4,
    ipv6_addr_scope,
    ipv6_addr_type,
    ipv6_prefix_equal,
)
from linnet.include.net.net_namespace import Net
from linnet.net.ipv6.addrlabel import ipv6_addr_label

LINUX_FILE: Final = 'net/ipv6/addrconf.c'

IPV6_PREFER_SRC_TMP: Final = 0x0001
IPV6_PREFER_SRC_PUBLIC: Final = 0x0002
IPV6_PREFER_SRC_COA: Final = 0x0004

# The bits of a candidate's score, the rule that counts most the highest: below them the common prefix's length (bits 1 to 8)
SCORE_LOCAL: Final = 1 << 20  # rule 1
SCORE_SCOPE_SHIFT: Final = 14  # rule 2: six bits
SCORE_PREFERRED: Final = 1 << 13  # rule 3
SCORE_OIF: Final = 1 << 12  # rule 5
SCORE_LABEL: Final = 1 << 11  # rule 6
SCORE_PRIVACY: Final = 1 << 10  # rule 7
SCORE_NOT_OPTIMISTIC: Final = 1  # the last of all (RFC 4429, 3.1)


def inet6_addr_hash_insert(net: Net, ifp: Inet6Ifaddr) -> None:
    """Make the address findable.  Linux: net/ipv6/addrconf.c (ipv6_add_addr_hash)."""
    net.ipv6.inet6_addr_lst.setdefault(ifp.addr, []).insert(0, ifp)


def inet6_addr_hash_remove(net: Net, ifp: Inet6Ifaddr) -> None:
    """It is found no longer."""
    chain = net.ipv6.inet6_addr_lst.get(ifp.addr)
    if chain is not None and ifp in chain:
        chain.remove(ifp)
        if not chain:
            del net.ipv6.inet6_addr_lst[ifp.addr]


def ipv6_get_ifaddr(net: Net, addr: int, dev: NetDevice | None, strict: bool) -> Inet6Ifaddr | None:
    """Our address `addr`, tentative or not: on dev (None: anywhere); on another device too, unless it is one of the link or
    strict.

    Linux: net/ipv6/addrconf.c.
    """
    chain = net.ipv6.inet6_addr_lst.get(addr)
    if chain is None:
        return None
    for ifp in chain:
        if dev is None or ifp.idev.dev is dev:
            return ifp
        if not strict and ipv6_addr_scope(addr) != IPV6_ADDR_SCOPE_LINKLOCAL:
            return ifp
    return None


def ipv6_chk_addr_and_flags(net: Net, addr: int, dev: NetDevice | None, skip_dev_check: bool, strict: bool,
                            banned: i64) -> bool:
    """Is addr ours, by an address without any of the flags `banned`? Of a link-local one dev must be its device (skip_dev_check:
    any will do), of others only where strict.  An optimistic address is not held to be tentative.

    Linux: net/ipv6/addrconf.c.
    """
    chain = net.ipv6.inet6_addr_lst.get(addr)
    if chain is None:
        return False
    for ifp in chain:
        flags = ifp.flags
        if (flags & IFA_F_OPTIMISTIC) != 0:
            flags &= ~IFA_F_TENTATIVE
        if (flags & banned) != 0:
            continue
        if dev is None or skip_dev_check or ifp.idev.dev is dev:
            return True
        if not strict and (ifp.scope & (IPV6_ADDR_LINKLOCAL | IPV6_ADDR_LOOPBACK)) == 0:
            return True
    return False


def ipv6_chk_addr(net: Net, addr: int, dev: NetDevice | None, strict: bool) -> bool:
    """Is addr ours and no longer tentative?  Linux: net/ipv6/addrconf.c."""
    return ipv6_chk_addr_and_flags(net, addr, dev, dev is None, strict, IFA_F_TENTATIVE)


def ipv6_chk_same_addr(net: Net, addr: int, dev: NetDevice | None) -> bool:
    """Is addr, in whatever state, on dev (None: anywhere)?  Linux: net/ipv6/addrconf.c."""
    chain = net.ipv6.inet6_addr_lst.get(addr)
    if chain is None:
        return False
    for ifp in chain:
        if dev is None or ifp.idev.dev is dev:
            return True
    return False


def ipv6_chk_prefix(addr: int, dev: NetDevice) -> bool:
    """Is addr in the prefix of an address of dev?  Linux: net/ipv6/addrconf.c."""
    idev = __in6_dev_get(dev)
    if idev is None:
        return False
    for ifp in idev.addr_list:
        if ipv6_prefix_equal(addr, ifp.addr, int(ifp.prefix_len)):
            return True
    return False


def ipv6_get_lladdr(dev: NetDevice, banned: i64) -> int:
    """dev's link-local address without any of the flags `banned`, 0 where there is none.  Linux: net/ipv6/addrconf.c."""
    idev = __in6_dev_get(dev)
    if idev is None:
        return 0
    for ifp in reversed(idev.addr_list):
        if (ifp.addr >> 118) == 0x3FA and (ifp.flags & banned) == 0:
            return ifp.addr
    return 0


def ipv6_count_addresses(idev: Inet6Dev) -> i64:
    """How many addresses the device has.  Linux: net/ipv6/addrconf.c."""
    return len(idev.addr_list)


# ------------------------------------------------------------------------------------------------------ source selection

class Ipv6SaddrDst:
    """What is asked.  Linux: struct ipv6_saddr_dst."""

    def __init__(self, addr: int, ifindex: i64, prefs: i64) -> None:
        self.addr: int = addr
        self.ifindex: i64 = ifindex
        self.scope: i64 = ipv6_addr_scope(addr)
        self.label: i64 = ipv6_addr_label(addr)
        self.prefs: i64 = prefs


def ipv6_saddr_preferred(type: i64) -> bool:
    """An address of this type never counts as deprecated: it does not age.  Linux: net/ipv6/addrconf.c."""
    return (type & (IPV6_ADDR_LOOPBACK | IPV6_ADDR_COMPATv4 | IPV6_ADDR_MAPPED)) != 0


def ipv6_saddr_score(ifp: Inet6Ifaddr, dst: Ipv6SaddrDst) -> i64:
    """How well an address suits dst, the rules of RFC 6724, 5 in one number: the larger is the better."""
    score: i64 = 0
    if ifp.addr == dst.addr:
        score |= SCORE_LOCAL
    # of two scopes that both reach it the smaller is preferred, and each that reaches it to each that does not
    scope = ipv6_addr_scope(ifp.addr)
    score |= (47 - scope if scope >= dst.scope else scope) << SCORE_SCOPE_SHIFT
    avoid: i64 = IFA_F_DEPRECATED if ifp.idev.cnf.use_optimistic != 0 else IFA_F_DEPRECATED | IFA_F_OPTIMISTIC
    if ipv6_saddr_preferred(ipv6_addr_type(ifp.addr)) or (ifp.flags & avoid) == 0:
        score |= SCORE_PREFERRED
    if (ifp.flags & IFA_F_OPTIMISTIC) == 0:
        score |= SCORE_NOT_OPTIMISTIC
    if dst.ifindex == 0 or dst.ifindex == ifp.idev.dev.ifindex:
        score |= SCORE_OIF
    if ipv6_addr_label(ifp.addr) == dst.label:
        score |= SCORE_LABEL
    prefer_tmp = ifp.idev.cnf.use_tempaddr >= 2
    if (dst.prefs & (IPV6_PREFER_SRC_PUBLIC | IPV6_PREFER_SRC_TMP)) != 0:
        prefer_tmp = (dst.prefs & IPV6_PREFER_SRC_TMP) != 0
    if ((ifp.flags & IFA_F_TEMPORARY) != 0) == prefer_tmp:
        score |= SCORE_PRIVACY
    # rule 8: the common prefix, but not beyond the prefix of the source (RFC 6724, 2.2)
    same: i64 = 128 - (ifp.addr ^ dst.addr).bit_length()
    return score | ((same if same < ifp.prefix_len else ifp.prefix_len) << 1)


def __ipv6_dev_get_saddr(dst: Ipv6SaddrDst, idev: Inet6Dev, best: Inet6Ifaddr | None, high: i64) -> Inet6Ifaddr | None:
    """The best of best, whose score is `high`, and the addresses of the device; the first of equals.

    Linux: net/ipv6/addrconf.c, which compares rule by rule.
    """
    for ifp in idev.addr_list:
        if (ifp.flags & IFA_F_TENTATIVE) != 0 and (ifp.flags & IFA_F_OPTIMISTIC) == 0:
            continue
        if (ifp.flags & IFA_F_DADFAILED) != 0 or ifp.state == INET6_IFADDR_STATE_DEAD:
            continue
        if (ipv6_addr_type(ifp.addr) & IPV6_ADDR_MULTICAST) != 0 or ifp.addr == IN6ADDR_ANY:
            continue
        score = ipv6_saddr_score(ifp, dst)
        if score > high:
            high = score
            best = ifp
    return best


def ipv6_dev_get_saddr(net: Net, dst_dev: NetDevice | None, daddr: int, prefs: i64) -> int:
    """The source address for daddr out of dst_dev (None: not known yet), 0 where there is none. prefs: IPV6_PREFER_SRC_*.

    To a multicast or link-local destination only dst_dev's own addresses can speak; else any device's, of which rule 5 prefers
    dst_dev's.  Linux: net/ipv6/addrconf.c, where an error tells that there is none.  RFC 6724, 4.
    """
    dst = Ipv6SaddrDst(daddr, 0 if dst_dev is None else dst_dev.ifindex, prefs)
    best: Inet6Ifaddr | None = None
    if dst_dev is not None:
        idev = __in6_dev_get(dst_dev)
        alone = (ipv6_addr_type(daddr) & IPV6_ADDR_MULTICAST) != 0 or dst.scope <= IPV6_ADDR_SCOPE_LINKLOCAL
        if alone or (idev is not None and idev.cnf.use_oif_addrs_only != 0):
            if idev is not None:
                best = __ipv6_dev_get_saddr(dst, idev, None, -1)
            return 0 if best is None else best.addr
    high: i64 = -1
    for dev in net.dev_base:
        idev = __in6_dev_get(dev)
        if idev is None:
            continue
        best = __ipv6_dev_get_saddr(dst, idev, best, high)
        if best is not None:
            high = ipv6_saddr_score(best, dst)
    return 0 if best is None else best.addr
