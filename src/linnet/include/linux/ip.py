# SPDX-License-Identifier: Apache-2.0
"""The IPv4 header (RFC 791): parsed once into the skb on the way up, built once on the way down.

iphdr_parse fills skb.saddr, daddr, tos, ttl, ip_protocol; accessors read the rest from bytes. Addresses u32 in host order.
"""
from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from linnet.include.linux.unaligned import get_be16, get_be32, put_be16, put_be32

IP_HLEN: Final = 20
IP_CE: Final = 0x8000
IP_DF: Final = 0x4000
IP_MF: Final = 0x2000
IP_OFFSET: Final = 0x1FFF
IPDEFTTL: Final = 64

INET_ECN_MASK: Final = 3
INET_ECN_NOT_ECT: Final = 0
INET_ECN_ECT_1: Final = 1
INET_ECN_ECT_0: Final = 2
INET_ECN_CE: Final = 3

# skb.ip_flags (Linux: IPCB(skb)->flags)
IPSKB_FORWARDED: Final = 1
IPSKB_FRAG_COMPLETE: Final = 8
IPSKB_REROUTED: Final = 16
IPSKB_DOREDIRECT: Final = 32
IPSKB_FRAG_PMTU: Final = 64

IPOPT_END: Final = 0
IPOPT_NOOP: Final = 1
IPOPT_RR: Final = 7
IPOPT_TIMESTAMP: Final = 68
IPOPT_SEC: Final = 130
IPOPT_LSRR: Final = 131
IPOPT_CIPSO: Final = 134
IPOPT_SID: Final = 136
IPOPT_SSRR: Final = 137
IPOPT_RA: Final = 148


def iphdr_build(tos: i64, tot_len: i64, id: i64, frag_off: i64, ttl: i64, protocol: i64, saddr: i64, daddr: i64,
                options: bytes = b'') -> bytes:
    """A complete header with its checksum. frag_off holds the flags too; options are padded to 32 bits by the caller."""
    words: i64 = 5 + (len(options) >> 2)
    first = (((4 << 4) | words) << 8) | (tos & 0xFF)
    ttl_proto = (ttl << 8) | protocol
    total = (first + (tot_len & 0xFFFF) + (id & 0xFFFF) + frag_off + ttl_proto
             + (saddr >> 16) + (saddr & 0xFFFF) + (daddr >> 16) + (daddr & 0xFFFF))
    if options:
        i: i64 = 0
        n: i64 = len(options)
        while i < n:
            total += get_be16(options, i)
            i += 2
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    w = BytesWriter()
    put_be16(w, first)
    put_be16(w, tot_len)
    put_be16(w, id)
    put_be16(w, frag_off)
    put_be16(w, ttl_proto)
    put_be16(w, 0xFFFF - total)
    put_be32(w, saddr)
    put_be32(w, daddr)
    if options:
        w.write(options)
    return w.getvalue()


def ip_fast_csum(head: bytes, offset: i64, ihl: i64) -> i64:
    """The checksum over a header of ihl bytes at offset: 0 where it is right as it stands.  Linux: arch ip_fast_csum."""
    total: i64 = 0
    i = offset
    end = offset + ihl
    while i < end:
        total += get_be16(head, i)
        i += 2
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def ip_version(head: bytes, offset: i64) -> i64:
    """The version field."""
    return i64(head[offset]) >> 4


def ip_ihl(head: bytes, offset: i64) -> i64:
    """Header length in bytes."""
    return (i64(head[offset]) & 15) << 2


def ip_tos(head: bytes, offset: i64) -> i64:
    """The TOS byte (DSCP and ECN)."""
    return i64(head[offset + 1])


def ip_tot_len(head: bytes, offset: i64) -> i64:
    """Total length in bytes, this header included."""
    return get_be16(head, offset + 2)


def ip_id(head: bytes, offset: i64) -> i64:
    """The identification."""
    return get_be16(head, offset + 4)


def ip_frag_off(head: bytes, offset: i64) -> i64:
    """Flags (IP_DF, IP_MF) and the fragment offset in units of 8 bytes."""
    return get_be16(head, offset + 6)


def ip_ttl(head: bytes, offset: i64) -> i64:
    """Time to live."""
    return i64(head[offset + 8])


def ip_protocol(head: bytes, offset: i64) -> i64:
    """IPPROTO_*."""
    return i64(head[offset + 9])


def ip_saddr(head: bytes, offset: i64) -> i64:
    """Source."""
    return get_be32(head, offset + 12)


def ip_daddr(head: bytes, offset: i64) -> i64:
    """Destination."""
    return get_be32(head, offset + 16)


def ip_set_ce(head: bytes, offset: i64) -> bytes:
    """The same head with the ECN field CE and the checksum mended (RFC 1624).  Linux: include/net/inet_ecn.h, IP_ECN_set_ce."""
    tos = i64(head[offset + 1])
    # the sum of the words grows by what the field does, and the checksum falls by that
    check = get_be16(head, offset + 10) - (3 - (tos & 3))
    if check < 0:
        check += 0xFFFF
    w = BytesWriter()
    w.append(int(tos | 3))
    rest = BytesWriter()
    put_be16(rest, check)
    return head[:offset + 1] + w.getvalue() + head[offset + 2:offset + 10] + rest.getvalue() + head[offset + 12:]


def ip_decrease_ttl(head: bytes, offset: i64) -> bytes:
    """The same head with the TTL one less and the checksum mended (RFC 1624).  Linux: include/net/ip.h."""
    check = get_be16(head, offset + 10) + 0x0100
    if check > 0xFFFF:
        check = (check & 0xFFFF) + 1
    w = BytesWriter()
    w.append(int(i64(head[offset + 8]) - 1))
    w.append(int(head[offset + 9]))
    put_be16(w, check)
    return head[:offset + 8] + w.getvalue() + head[offset + 12:]
