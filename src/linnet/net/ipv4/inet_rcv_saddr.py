# SPDX-License-Identifier: Apache-2.0
"""Do two sockets on one port collide? Where there is an address of either family that both would take packets for.

A socket of AF_INET takes IPv4 alone. One of AF_INET6 takes IPv6; bound to an IPv4-mapped address it takes IPv4 alone, and bound
to :: it takes IPv4 too, unless IPV6_V6ONLY is set (RFC 3493, 5.3).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.socket import AF_INET6
from linnet.include.net.ipv6 import ipv6_addr_v4mapped, ipv6_mapped_v4
from linnet.include.net.sock import Sock

LINUX_FILE: Final = 'net/ipv4/inet_connection_sock.c'

NO_ADDRESS: Final = -1  # takes nothing of that family


def inet_rcv_saddr_v4(sk: Sock) -> i64:
    """The IPv4 address that sk takes packets for: 0: any; NO_ADDRESS: none."""
    if sk.sk_family != AF_INET6:
        return sk.sk_rcv_saddr
    addr = sk.sk_v6_rcv_saddr
    if addr == 0:
        return NO_ADDRESS if sk.sk_ipv6only else 0
    return ipv6_mapped_v4(addr) if ipv6_addr_v4mapped(addr) else NO_ADDRESS


def inet_rcv_saddr_v6(sk: Sock) -> int:
    """The IPv6 address that sk takes packets for: 0: any; NO_ADDRESS: none."""
    if sk.sk_family != AF_INET6:
        return NO_ADDRESS
    addr = sk.sk_v6_rcv_saddr
    return NO_ADDRESS if ipv6_addr_v4mapped(addr) else addr


def inet_rcv_saddr_equal(sk: Sock, sk2: Sock, match_wildcard: bool) -> bool:
    """Would a packet to one's local address reach the other? match_wildcard: the any-address stands for each address.

    Linux: net/ipv4/inet_connection_sock.c.
    """
    v4 = inet_rcv_saddr_v4(sk)
    other4 = inet_rcv_saddr_v4(sk2)
    if v4 != NO_ADDRESS and other4 != NO_ADDRESS and (v4 == other4 or (match_wildcard and (v4 == 0 or other4 == 0))):
        return True
    if sk.sk_family != AF_INET6 or sk2.sk_family != AF_INET6:
        return False
    v6 = inet_rcv_saddr_v6(sk)
    other6 = inet_rcv_saddr_v6(sk2)
    if v6 == NO_ADDRESS or other6 == NO_ADDRESS:
        return False
    return v6 == other6 or (match_wildcard and (v6 == 0 or other6 == 0))
