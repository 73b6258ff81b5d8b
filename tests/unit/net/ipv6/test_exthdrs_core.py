# SPDX-License-Identifier: Apache-2.0
"""The walk along extension headers, against scapy's own packets and against bytes that lie."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    RouterAlert,
)

from linnet.include.linux.in6 import (
    IPPROTO_DSTOPTS,
    IPPROTO_FRAGMENT,
    IPPROTO_HOPOPTS,
    IPPROTO_ROUTING,
    IPV6_TLV_ROUTERALERT,
)
from linnet.include.linux.inet import IPPROTO_TCP, IPPROTO_UDP
from linnet.net.ipv6.exthdrs_core import IP6_MF, ipv6_find_hdr, ipv6_find_tlv, ipv6_skip_exthdr

BASE = IPv6(src='2001:db8::1', dst='2001:db8::2')


def chain(*headers, last=None) -> bytes:
    packet = BASE
    for header in headers:
        packet = packet / header
    return bytes(packet / (last if last is not None else TCP(sport=1, dport=2)))


def test_a_packet_without_extension_headers_begins_with_its_transport():
    head = chain()
    end = ipv6_skip_exthdr(head, 40, head[6])
    assert (end.offset, end.nexthdr, end.frag_off) == (40, IPPROTO_TCP, 0)


def test_the_walk_ends_at_the_transport_behind_all_kinds_of_headers():
    head = chain(IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))]),
                 IPv6ExtHdrRouting(addresses=['::1']),
                 IPv6ExtHdrFragment(m=1, id=7), last=UDP(sport=1, dport=2))
    end = ipv6_skip_exthdr(head, 40, head[6])
    assert (end.offset, end.nexthdr, end.frag_off) == (len(head) - 8, IPPROTO_UDP, IP6_MF)


def test_behind_a_later_fragment_there_is_no_header():
    head = chain(IPv6ExtHdrFragment(offset=3, id=7))
    end = ipv6_skip_exthdr(head, 40, head[6])
    assert (end.offset, end.nexthdr, end.frag_off) == (40, IPPROTO_FRAGMENT, 24)


def test_a_packet_that_says_that_nothing_follows_has_no_transport():
    head = bytes(BASE.__class__(src='::1', dst='::2', nh=59))
    assert ipv6_skip_exthdr(head, 40, 59).offset == -1


def test_each_header_is_found_by_its_kind():
    head = chain(IPv6ExtHdrHopByHop(options=[RouterAlert()]), IPv6ExtHdrRouting(addresses=['::1']), IPv6ExtHdrDestOpt())
    assert ipv6_find_hdr(head, 0, IPPROTO_HOPOPTS) == 40
    assert ipv6_find_hdr(head, 0, IPPROTO_ROUTING) == 48
    assert ipv6_find_hdr(head, 0, IPPROTO_DSTOPTS) == 72
    assert ipv6_find_hdr(head, 0, IPPROTO_TCP) == 80
    assert ipv6_find_hdr(head, 0, IPPROTO_FRAGMENT) == -1


def test_an_option_is_found_behind_padding():
    head = chain(IPv6ExtHdrHopByHop(options=[PadN(optdata=b''), RouterAlert(), PadN(optdata=b'')]))
    assert head[ipv6_find_tlv(head, 40, IPV6_TLV_ROUTERALERT)] == IPV6_TLV_ROUTERALERT
    assert ipv6_find_tlv(head, 40, 99) == -1


@given(st.binary(max_size=96), st.integers(0, 255))
def test_bytes_of_any_kind_end_the_walk(data, nexthdr):
    end = ipv6_skip_exthdr(data, 0, nexthdr)
    assert end.offset == -1 or end.offset >= 0
    at = ipv6_find_hdr(data, 0, nexthdr)
    assert at == -1 or 40 <= at < len(data)
    tlv = ipv6_find_tlv(data, 0, nexthdr)
    assert tlv == -1 or 2 <= tlv < len(data)
