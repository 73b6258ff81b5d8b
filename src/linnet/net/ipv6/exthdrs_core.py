# SPDX-License-Identifier: Apache-2.0
"""The chain of extension headers, read: where it ends, and where in it a header or an option stands.  RFC 8200, 4.

Nothing here changes a packet, and nothing trusts its lengths: bytes that are not there end the walk.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import (
    IPPROTO_AH,
    IPPROTO_DSTOPTS,
    IPPROTO_FRAGMENT,
    IPPROTO_HOPOPTS,
    IPPROTO_NONE,
    IPPROTO_ROUTING,
    IPV6_TLV_PAD1,
)
from linnet.include.linux.unaligned import get_be16

IP6_OFFSET: Final = 0xFFF8
IP6_MF: Final = 1
FRAG_HDR_LEN: Final = 8


class Ipv6Exthdr:
    """Where a walk along extension headers came to: offset (in head, -1: the bytes ran out) of the header named by nexthdr.

    frag_off: the fragment header's offset field (IP6_OFFSET and IP6_MF bits) where one was passed, else 0.
    """

    def __init__(self, offset: i64, nexthdr: i64, frag_off: i64) -> None:
        self.offset: i64 = offset
        self.nexthdr: i64 = nexthdr
        self.frag_off: i64 = frag_off


def ipv6_ext_hdr(nexthdr: i64) -> bool:
    """Does this number name an extension header that can be stepped over?  Linux: net/ipv6/exthdrs_core.c."""
    return (nexthdr == IPPROTO_HOPOPTS or nexthdr == IPPROTO_ROUTING or nexthdr == IPPROTO_FRAGMENT or nexthdr == IPPROTO_AH
            or nexthdr == IPPROTO_NONE or nexthdr == IPPROTO_DSTOPTS)


def ipv6_authlen(length: i64) -> i64:
    """Bytes of an authentication header whose length field says `length`.  Linux: include/net/ipv6.h.  RFC 4302, 2.2."""
    return (length + 2) << 2


def ipv6_optlen(length: i64) -> i64:
    """Bytes of another extension header whose length field says `length`.  Linux: include/net/ipv6.h."""
    return (length + 1) << 3


def ipv6_skip_exthdr(head: bytes, start: i64, nexthdr: i64) -> Ipv6Exthdr:
    """Step over the extension headers from byte `start` of head, the first of kind nexthdr, to the transport's header.

    It stops at a fragment header that is not the first: what follows that is no header. offset -1: the packet ends too early, or
    says that nothing follows.  Linux: net/ipv6/exthdrs_core.c.
    """
    frag_off: i64 = 0
    end: i64 = len(head)
    while ipv6_ext_hdr(nexthdr):
        if nexthdr == IPPROTO_NONE or start + 2 > end:
            return Ipv6Exthdr(-1, nexthdr, frag_off)
        if nexthdr == IPPROTO_FRAGMENT:
            if start + 4 > end:
                return Ipv6Exthdr(-1, nexthdr, frag_off)
            frag_off = get_be16(head, start + 2)
            if (frag_off & IP6_OFFSET) != 0:
                break
            length: i64 = FRAG_HDR_LEN
        elif nexthdr == IPPROTO_AH:
            length = ipv6_authlen(i64(head[start + 1]))
        else:
            length = ipv6_optlen(i64(head[start + 1]))
        nexthdr = i64(head[start])
        start += length
    return Ipv6Exthdr(start, nexthdr, frag_off)


def ipv6_find_hdr(head: bytes, at: i64, target: i64) -> i64:
    """Where in head the first header of kind target stands in the packet at byte `at`; -1: nowhere.

    Linux: net/ipv6/exthdrs_core.c, which can also look for what is not an extension header.
    """
    end: i64 = len(head)
    if at + 40 > end:
        return -1
    nexthdr: i64 = i64(head[at + 6])
    start = at + 40
    while nexthdr != target:
        if not ipv6_ext_hdr(nexthdr) or nexthdr == IPPROTO_NONE or start + 8 > end:
            return -1
        length: i64 = FRAG_HDR_LEN
        if nexthdr == IPPROTO_FRAGMENT:
            if (get_be16(head, start + 2) & IP6_OFFSET) != 0:
                return -1
        elif nexthdr == IPPROTO_AH:
            length = ipv6_authlen(i64(head[start + 1]))
        else:
            length = ipv6_optlen(i64(head[start + 1]))
        nexthdr = i64(head[start])
        start += length
    return start if start < end else -1


def ipv6_find_tlv(head: bytes, offset: i64, type: i64) -> i64:
    """Where the option `type` stands in the options header at byte `offset` of head; -1: it has none.

    Linux: net/ipv6/exthdrs_core.c.
    """
    size: i64 = len(head)
    if offset + 2 > size:
        return -1
    end = offset + ipv6_optlen(i64(head[offset + 1]))
    if end > size:
        return -1
    at = offset + 2
    while at < end:
        kind: i64 = i64(head[at])
        if kind == IPV6_TLV_PAD1:
            length: i64 = 1
        else:
            if at + 2 > end:
                return -1
            length = i64(head[at + 1]) + 2
            if at + length > end:
                return -1
        if kind == type:
            return at
        at += length
    return -1
