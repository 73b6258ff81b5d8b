# SPDX-License-Identifier: Apache-2.0
"""What kind of address it is (RFC 4291, 2.4; scopes: RFC 4007), the pseudo header's checksum, and what the files of IPv6 share.

Linux: include/net/ipv6.h, net/ipv6/addrconf_core.c, include/net/ip6_checksum.h.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.ipv6 import Ipv6Pinfo
from linnet.include.net.checksum import csum_fold
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.ip import InetCork
from linnet.include.net.sock import Sock

IPV6_ADDR_ANY: Final = 0x0000
IPV6_ADDR_UNICAST: Final = 0x0001
IPV6_ADDR_MULTICAST: Final = 0x0002
IPV6_ADDR_LOOPBACK: Final = 0x0010
IPV6_ADDR_LINKLOCAL: Final = 0x0020
IPV6_ADDR_SITELOCAL: Final = 0x0040
IPV6_ADDR_COMPATv4: Final = 0x0080
IPV6_ADDR_SCOPE_MASK: Final = 0x00F0
IPV6_ADDR_MAPPED: Final = 0x1000

IPV6_ADDR_SCOPE_NODELOCAL: Final = 0x01
IPV6_ADDR_SCOPE_LINKLOCAL: Final = 0x02
IPV6_ADDR_SCOPE_SITELOCAL: Final = 0x05
IPV6_ADDR_SCOPE_ORGLOCAL: Final = 0x08
IPV6_ADDR_SCOPE_GLOBAL: Final = 0x0E

# sk_rcv_saddr and sk_daddr of an IPv6 socket that has an address which is no IPv4 one: it matches none
LOOPBACK4_IPV6: Final = 0x7F000006

IPV6_MAPPED_PREFIX: Final = 0xFFFF << 32


def ipv6_addr_type(addr: int) -> i64:
    """IPV6_ADDR_* bits of an address.  Linux: net/ipv6/addrconf_core.c."""
    top = addr >> 118
    if (top >> 2) == 0xFF:
        scope = (addr >> 112) & 0xF
        if scope == IPV6_ADDR_SCOPE_NODELOCAL:
            return IPV6_ADDR_MULTICAST | IPV6_ADDR_LOOPBACK
        if scope == IPV6_ADDR_SCOPE_LINKLOCAL:
            return IPV6_ADDR_MULTICAST | IPV6_ADDR_LINKLOCAL
        if scope == IPV6_ADDR_SCOPE_SITELOCAL:
            return IPV6_ADDR_MULTICAST | IPV6_ADDR_SITELOCAL
        return IPV6_ADDR_MULTICAST
    if top == 0x3FA:
        return IPV6_ADDR_UNICAST | IPV6_ADDR_LINKLOCAL
    if top == 0x3FB:
        return IPV6_ADDR_UNICAST | IPV6_ADDR_SITELOCAL
    if top == 0:
        if addr == 0:
            return IPV6_ADDR_ANY
        if addr == 1:
            return IPV6_ADDR_UNICAST | IPV6_ADDR_LOOPBACK
        high = addr >> 32
        if high == 0:
            return IPV6_ADDR_UNICAST | IPV6_ADDR_COMPATv4
        if high == 0xFFFF:
            return IPV6_ADDR_MAPPED
    return IPV6_ADDR_UNICAST


def ipv6_addr_scope(addr: int) -> i64:
    """The scope as RFC 4007 numbers it (IPV6_ADDR_SCOPE_*).  Linux: include/net/addrconf.h, ipv6_addr_scope."""
    if (addr >> 120) == 0xFF:
        return i64((addr >> 112) & 0xF)
    kind = ipv6_addr_type(addr)
    if (kind & (IPV6_ADDR_LINKLOCAL | IPV6_ADDR_LOOPBACK)) != 0:
        return IPV6_ADDR_SCOPE_LINKLOCAL
    if (kind & IPV6_ADDR_SITELOCAL) != 0:
        return IPV6_ADDR_SCOPE_SITELOCAL
    return IPV6_ADDR_SCOPE_GLOBAL


def ipv6_addr_any(addr: int) -> bool:
    """::.  Linux: include/net/ipv6.h."""
    return addr == 0


def ipv6_addr_is_multicast(addr: int) -> bool:
    """ff00::/8.  Linux: include/net/ipv6.h."""
    return (addr >> 120) == 0xFF


def ipv6_addr_is_linklocal(addr: int) -> bool:
    """fe80::/10."""
    return (addr >> 118) == 0x3FA


def ipv6_addr_v4mapped(addr: int) -> bool:
    """::ffff:0:0/96.  Linux: include/net/ipv6.h."""
    return (addr >> 32) == 0xFFFF


def ipv6_addr_hash(addr: int) -> i64:
    """32 bits of an address, all of its bits in them, for hashes that are keyed elsewhere.  Linux: include/net/ipv6.h."""
    addr ^= addr >> 64
    return i64((addr ^ (addr >> 32)) & 0xFFFFFFFF)


def ipv6_addr_set_v4mapped(addr: i64) -> int:
    """::ffff:a.b.c.d of an IPv4 address.  Linux: include/net/ipv6.h."""
    return IPV6_MAPPED_PREFIX | int(addr)


def ipv6_mapped_v4(addr: int) -> i64:
    """The IPv4 address that a mapped one stands for (Linux: s6_addr32[3])."""
    return i64(addr & 0xFFFFFFFF)


def ipv6_addr_needs_scope_id(type: i64) -> bool:
    """Is an address of this type told only together with a device?  Linux: include/net/ipv6.h, __ipv6_addr_needs_scope_id."""
    return (type & IPV6_ADDR_LINKLOCAL) != 0 or (type & (IPV6_ADDR_MULTICAST | IPV6_ADDR_LOOPBACK)) == (
        IPV6_ADDR_MULTICAST | IPV6_ADDR_LOOPBACK)


def ipv6_iface_scope_id(addr: int, iface: i64) -> i64:
    """The zone to tell a program with an address: iface, or 0 where the address says enough.  Linux: include/net/ipv6.h."""
    return iface if ipv6_addr_needs_scope_id(ipv6_addr_type(addr)) else 0


def ipv6_prefix_equal(a: int, b: int, plen: int) -> bool:
    """Do the first plen bits agree?  Linux: include/net/ipv6.h."""
    return ((a ^ b) >> (128 - plen)) == 0


def addrconf_addr_solict_mult(addr: int) -> int:
    """The solicited-node multicast address, ff02::1:ffXX:XXXX.  RFC 4291, 2.7.1.  Linux: include/net/addrconf.h."""
    return (0xFF02 << 112) | (0x1_FF00_0000) | (addr & 0xFFFFFF)


def csum_ipv6_nofold(saddr: int, daddr: int, length: i64, proto: i64, sum: i64) -> i64:
    """Add IPv6's pseudo header to a partial sum.  RFC 8200, 8.1.

    A 128-bit number and the sum of its 16-bit words are equal modulo 65535.
    """
    both: i64 = (saddr + daddr) % 65535
    return sum + both + (length >> 16) + (length & 0xFFFF) + proto


def csum_ipv6_magic(saddr: int, daddr: int, length: i64, proto: i64, sum: i64) -> i64:
    """The checksum field of a transport over IPv6; 0 where a received sum is right.  Linux: include/net/ip6_checksum.h."""
    return csum_fold(csum_ipv6_nofold(saddr, daddr, length, proto, sum))


class Ipv6Txoptions:
    """Linux: struct ipv6_txoptions: extension headers to send, each whole, b'' where there is none.

    opt_flen counts the bytes of those that go behind a fragment header, opt_nflen those before it.
    """

    def __init__(self) -> None:
        self.hopopt: bytes = b''
        self.dst0opt: bytes = b''  # destination options before a routing header
        self.srcrt: bytes = b''
        self.dst1opt: bytes = b''
        self.opt_flen: i64 = 0
        self.opt_nflen: i64 = 0


class Ipcm6Cookie:
    """Linux: struct ipcm6_cookie: how one message is to be sent. hlimit, tclass -1: as the socket says; err as IpcmCookie's."""

    def __init__(self) -> None:
        self.mark: i64 = 0
        self.priority: i64 = 0
        self.hlimit: i64 = -1
        self.tclass: i64 = -1
        self.dontfrag: i64 = -1
        self.gso_size: i64 = 0
        self.tsflags: i64 = 0
        self.opt: Ipv6Txoptions | None = None
        self.saddr: int = 0  # IPV6_PKTINFO of this message: ::: as the socket and the route say
        self.oif: i64 = 0
        self.err: i64 = 0


class Inet6Cork(InetCork):
    """Linux: struct inet_cork_full with struct inet6_cork: a datagram over IPv6 under construction."""

    def __init__(self) -> None:
        super().__init__()
        self.opt6: Ipv6Txoptions | None = None
        self.hop_limit: i64 = 0
        self.tclass: i64 = 0
        self.dontfrag: bool = False


def inet6_cork(np: Ipv6Pinfo) -> Inet6Cork:
    """The socket's cork, made when first asked for.  Linux: np->cork is part of struct ipv6_pinfo."""
    cork = np.cork
    if isinstance(cork, Inet6Cork):
        return cork
    made = Inet6Cork()
    np.cork = made
    return made


def inet6_sk(sk: Sock) -> Ipv6Pinfo:
    """IPv6's part of a socket that is one of IPv6's.  Linux: include/linux/ipv6.h."""
    assert isinstance(sk, InetSock)
    np = sk.pinet6
    assert np is not None
    return np


def ipv6_only_sock(sk: Sock) -> bool:
    """Does the socket want IPv6 alone (IPV6_V6ONLY)?  Linux: include/linux/ipv6.h."""
    return sk.sk_ipv6only
