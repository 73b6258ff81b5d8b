# SPDX-License-Identifier: Apache-2.0
"""IPv6 addresses, protocol numbers and socket options (RFC 4291, RFC 3493, RFC 3542).  Linux: uapi/linux/in6.h.

An address is an int of 128 bits in host order, as an IPv4 address is one of 32: never i64, which it does not fit into. What kind
an address is of, ipv6_addr_type() in include/net/ipv6.py says.
"""
from __future__ import annotations

from typing import Final

IPPROTO_HOPOPTS: Final = 0
IPPROTO_ROUTING: Final = 43
IPPROTO_FRAGMENT: Final = 44
IPPROTO_ESP: Final = 50
IPPROTO_AH: Final = 51
IPPROTO_ICMPV6: Final = 58
IPPROTO_NONE: Final = 59
IPPROTO_DSTOPTS: Final = 60
IPPROTO_MH: Final = 135

IPV6_TLV_PAD1: Final = 0
IPV6_TLV_PADN: Final = 1
IPV6_TLV_ROUTERALERT: Final = 5
IPV6_TLV_JUMBO: Final = 194

IPV6_ADDRFORM: Final = 1
IPV6_2292PKTINFO: Final = 2
IPV6_2292HOPOPTS: Final = 3
IPV6_2292DSTOPTS: Final = 4
IPV6_2292RTHDR: Final = 5
IPV6_2292PKTOPTIONS: Final = 6
IPV6_CHECKSUM: Final = 7
IPV6_2292HOPLIMIT: Final = 8
IPV6_FLOWINFO: Final = 11
IPV6_UNICAST_HOPS: Final = 16
IPV6_MULTICAST_IF: Final = 17
IPV6_MULTICAST_HOPS: Final = 18
IPV6_MULTICAST_LOOP: Final = 19
IPV6_ADD_MEMBERSHIP: Final = 20  # IPV6_JOIN_GROUP
IPV6_DROP_MEMBERSHIP: Final = 21  # IPV6_LEAVE_GROUP
IPV6_ROUTER_ALERT: Final = 22
IPV6_MTU_DISCOVER: Final = 23
IPV6_MTU: Final = 24
IPV6_RECVERR: Final = 25
IPV6_V6ONLY: Final = 26
IPV6_JOIN_ANYCAST: Final = 27
IPV6_LEAVE_ANYCAST: Final = 28
IPV6_MULTICAST_ALL: Final = 29
IPV6_ROUTER_ALERT_ISOLATE: Final = 30
IPV6_RECVERR_RFC4884: Final = 31
IPV6_FLOWLABEL_MGR: Final = 32
IPV6_FLOWINFO_SEND: Final = 33
IPV6_HDRINCL: Final = 36
IPV6_RECVPKTINFO: Final = 49
IPV6_PKTINFO: Final = 50
IPV6_RECVHOPLIMIT: Final = 51
IPV6_HOPLIMIT: Final = 52
IPV6_RECVHOPOPTS: Final = 53
IPV6_HOPOPTS: Final = 54
IPV6_RTHDRDSTOPTS: Final = 55
IPV6_RECVRTHDR: Final = 56
IPV6_RTHDR: Final = 57
IPV6_RECVDSTOPTS: Final = 58
IPV6_DSTOPTS: Final = 59
IPV6_RECVPATHMTU: Final = 60
IPV6_PATHMTU: Final = 61
IPV6_DONTFRAG: Final = 62
IPV6_RECVTCLASS: Final = 66
IPV6_TCLASS: Final = 67
IPV6_AUTOFLOWLABEL: Final = 70
IPV6_ADDR_PREFERENCES: Final = 72
IPV6_MINHOPCOUNT: Final = 73
IPV6_ORIGDSTADDR: Final = 74
IPV6_TRANSPARENT: Final = 75
IPV6_UNICAST_IF: Final = 76
IPV6_RECVFRAGSIZE: Final = 77
IPV6_FREEBIND: Final = 78

IPV6_PMTUDISC_DONT: Final = 0
IPV6_PMTUDISC_WANT: Final = 1
IPV6_PMTUDISC_DO: Final = 2
IPV6_PMTUDISC_PROBE: Final = 3
IPV6_PMTUDISC_INTERFACE: Final = 4
IPV6_PMTUDISC_OMIT: Final = 5

IN6ADDR_ANY: Final = 0
IN6ADDR_LOOPBACK: Final = 1
IN6ADDR_LINKLOCAL_ALLNODES: Final = 0xFF02_0000_0000_0000_0000_0000_0000_0001
IN6ADDR_LINKLOCAL_ALLROUTERS: Final = 0xFF02_0000_0000_0000_0000_0000_0000_0002
IN6ADDR_INTERFACELOCAL_ALLNODES: Final = 0xFF01_0000_0000_0000_0000_0000_0000_0001
IN6ADDR_INTERFACELOCAL_ALLROUTERS: Final = 0xFF01_0000_0000_0000_0000_0000_0000_0002
IN6ADDR_SITELOCAL_ALLROUTERS: Final = 0xFF05_0000_0000_0000_0000_0000_0000_0002


IN6_PREFIX_MASKS: Final = [((1 << plen) - 1) << (128 - plen) for plen in range(129)]


def in6_read(data: bytes, offset: int) -> int:
    """The address in the 16 bytes from offset."""
    return int.from_bytes(data[offset:offset + 16], 'big')


def in6_bytes(addr: int) -> bytes:
    """The 16 bytes of an address in network order."""
    return addr.to_bytes(16, 'big')


def in6_prefix_mask(plen: int) -> int:
    """The netmask of a prefix length of 0 to 128."""
    return IN6_PREFIX_MASKS[plen]


def in6_pton(text: str) -> int:
    """'2001:db8::1' (or '::ffff:10.0.0.1') as an int in host order; ValueError where it is no IPv6 address.

    Linux: net/core/utils.c.  RFC 4291, 2.2. A zone ('%eth0') is no part of the address: the caller cuts it off.
    """
    parts = text.split('::')
    if len(parts) > 2:
        raise ValueError(f'not an IPv6 address: {text!r} (it has "::" more than once)')
    front = _groups(text, parts[0])
    if len(parts) == 1:
        if len(front) != 8:
            raise ValueError(f'not an IPv6 address: {text!r} (eight groups of hexadecimal digits, or "::", are)')
        groups = front
    else:
        back = _groups(text, parts[1])
        if len(front) + len(back) > 7:
            raise ValueError(f'not an IPv6 address: {text!r} ("::" stands for at least one group)')
        groups = front + [0] * (8 - len(front) - len(back)) + back
    value = 0
    for group in groups:
        value = (value << 16) | group
    return value


def _groups(text: str, part: str) -> list[int]:
    """The 16-bit groups of one side of '::'; a dotted quad at the end makes two."""
    if part == '':
        return []
    groups: list[int] = []
    words = part.split(':')
    for i, word in enumerate(words):
        if '.' in word and i == len(words) - 1:
            quad = word.split('.')
            if len(quad) != 4:
                raise ValueError(f'not an IPv6 address: {text!r} ({word!r} is no dotted quad)')
            for number in quad:
                if not (number.isascii() and number.isdigit()) or len(number) > 3 or int(number) > 255:
                    raise ValueError(f'not an IPv6 address: {text!r} ({number!r} is not a number from 0 to 255)')
            groups.append((int(quad[0]) << 8) | int(quad[1]))
            groups.append((int(quad[2]) << 8) | int(quad[3]))
        else:
            digits = word.strip('0123456789abcdefABCDEF')
            if word == '' or len(word) > 4 or digits != '':
                raise ValueError(f'not an IPv6 address: {text!r} ({word!r} is not one to four hexadecimal digits)')
            groups.append(int(word, 16))
    return groups


def in6_ntop(addr: int) -> str:
    """The address as RFC 5952 writes it: lower case, the longest run of zero groups as '::', a mapped IPv4 address dotted."""
    if (addr >> 32) == 0xFFFF:
        quad = [str((addr >> shift) & 255) for shift in (24, 16, 8, 0)]
        return '::ffff:' + '.'.join(quad)
    groups = [(addr >> (112 - 16 * i)) & 0xFFFF for i in range(8)]
    best = 0
    length = 0
    i = 0
    while i < 8:
        j = i
        while j < 8 and groups[j] == 0:
            j += 1
        if j - i > length:
            best = i
            length = j - i
        i = j + 1
    words = [f'{group:x}' for group in groups]
    if length < 2:
        return ':'.join(words)
    return ':'.join(words[:best]) + '::' + ':'.join(words[best + length:])
