# SPDX-License-Identifier: Apache-2.0
"""Protocol numbers, IP socket options and address classes of IPv4 (Linux spreads them over in.h and inetdevice.h)."""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

IPPROTO_IP: Final = 0
IPPROTO_ICMP: Final = 1
IPPROTO_IGMP: Final = 2
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
IPPROTO_IPV6: Final = 41
IPPROTO_GRE: Final = 47
IPPROTO_UDPLITE: Final = 136
IPPROTO_RAW: Final = 255
IPPROTO_MAX: Final = 263

IP_TOS: Final = 1
IP_TTL: Final = 2
IP_HDRINCL: Final = 3
IP_OPTIONS: Final = 4
IP_RECVOPTS: Final = 6
IP_RETOPTS: Final = 7
IP_PKTINFO: Final = 8
IP_MTU_DISCOVER: Final = 10
IP_RECVERR: Final = 11
IP_RECVTTL: Final = 12
IP_RECVTOS: Final = 13
IP_MTU: Final = 14
IP_FREEBIND: Final = 15
IP_TRANSPARENT: Final = 19
IP_MINTTL: Final = 21
IP_NODEFRAG: Final = 22
IP_BIND_ADDRESS_NO_PORT: Final = 24
IP_MULTICAST_IF: Final = 32
IP_MULTICAST_TTL: Final = 33
IP_MULTICAST_LOOP: Final = 34
IP_ADD_MEMBERSHIP: Final = 35
IP_DROP_MEMBERSHIP: Final = 36
IP_LOCAL_PORT_RANGE: Final = 51

IP_PMTUDISC_DONT: Final = 0
IP_PMTUDISC_WANT: Final = 1
IP_PMTUDISC_DO: Final = 2
IP_PMTUDISC_PROBE: Final = 3
IP_PMTUDISC_INTERFACE: Final = 4
IP_PMTUDISC_OMIT: Final = 5

INADDR_ANY: Final = 0
INADDR_BROADCAST: Final = 0xFFFFFFFF
INADDR_LOOPBACK: Final = 0x7F000001


def ipv4_is_loopback(addr: i64) -> bool:
    """127.0.0.0/8."""
    return (addr >> 24) == 127


def ipv4_is_multicast(addr: i64) -> bool:
    """224.0.0.0/4."""
    return (addr >> 28) == 0xE


def ipv4_is_lbcast(addr: i64) -> bool:
    """255.255.255.255."""
    return addr == 0xFFFFFFFF


def ipv4_is_zeronet(addr: i64) -> bool:
    """0.0.0.0/8."""
    return (addr >> 24) == 0


def ipv4_is_linklocal_169(addr: i64) -> bool:
    """169.254.0.0/16."""
    return (addr >> 16) == 0xA9FE


def inet_make_mask(logmask: i64) -> i64:
    """The netmask of a prefix length of 0 to 32."""
    return (0xFFFFFFFF << (32 - logmask)) & 0xFFFFFFFF


def in_aton(text: str) -> int:
    """'10.0.0.1' as a u32 in host order; ValueError where it is no dotted quad.  Linux: net/core/utils.c."""
    parts = text.split('.')
    if len(parts) != 4:
        raise ValueError(f'not an IPv4 address: {text!r} (four decimal numbers with dots are)')
    value = 0
    for part in parts:
        if not (part.isascii() and part.isdigit()) or len(part) > 3 or int(part) > 255:
            raise ValueError(f'not an IPv4 address: {text!r} ({part!r} is not a number from 0 to 255)')
        value = (value << 8) | int(part)
    return value


def in_ntoa(addr: int) -> str:
    """A u32 in host order as dotted quad."""
    return f'{(addr >> 24) & 255}.{(addr >> 16) & 255}.{(addr >> 8) & 255}.{addr & 255}'
