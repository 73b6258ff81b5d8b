# SPDX-License-Identifier: Apache-2.0
"""Kinds and scopes of IPv6 addresses, and the pseudo header's checksum."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linnet.include.linux.in6 import in6_bytes, in6_pton
from linnet.include.linux.ipv6 import ipv6_hdr_build, ipv6_payload_len, ipv6_saddr, ipv6_tclass
from linnet.include.net.checksum import csum_fold, csum_partial
from linnet.include.net.ipv6 import (
    IPV6_ADDR_ANY,
    IPV6_ADDR_LINKLOCAL,
    IPV6_ADDR_LOOPBACK,
    IPV6_ADDR_MAPPED,
    IPV6_ADDR_MULTICAST,
    IPV6_ADDR_SITELOCAL,
    IPV6_ADDR_UNICAST,
    IPV6_ADDR_COMPATv4,
    addrconf_addr_solict_mult,
    csum_ipv6_magic,
    ipv6_addr_scope,
    ipv6_addr_set_v4mapped,
    ipv6_addr_type,
    ipv6_mapped_v4,
    ipv6_prefix_equal,
)

ADDR = st.integers(0, (1 << 128) - 1)


@pytest.mark.parametrize(('text', 'kind', 'scope'), [
    ('::', IPV6_ADDR_ANY, 14),
    ('::1', IPV6_ADDR_UNICAST | IPV6_ADDR_LOOPBACK, 2),
    ('::192.0.2.1', IPV6_ADDR_UNICAST | IPV6_ADDR_COMPATv4, 14),
    ('::ffff:192.0.2.1', IPV6_ADDR_MAPPED, 14),
    ('fe80::1', IPV6_ADDR_UNICAST | IPV6_ADDR_LINKLOCAL, 2),
    ('febf:ffff::1', IPV6_ADDR_UNICAST | IPV6_ADDR_LINKLOCAL, 2),
    ('fec0::1', IPV6_ADDR_UNICAST | IPV6_ADDR_SITELOCAL, 5),
    ('fd00::1', IPV6_ADDR_UNICAST, 14),
    ('2001:db8::1', IPV6_ADDR_UNICAST, 14),
    ('ff01::1', IPV6_ADDR_MULTICAST | IPV6_ADDR_LOOPBACK, 1),
    ('ff02::1', IPV6_ADDR_MULTICAST | IPV6_ADDR_LINKLOCAL, 2),
    ('ff05::2', IPV6_ADDR_MULTICAST | IPV6_ADDR_SITELOCAL, 5),
    ('ff0e::1', IPV6_ADDR_MULTICAST, 14),
])
def test_kind_and_scope(text: str, kind: int, scope: int) -> None:
    assert ipv6_addr_type(in6_pton(text)) == kind
    assert ipv6_addr_scope(in6_pton(text)) == scope


@given(ADDR, ADDR, st.integers(0, 0xFFFFF), st.integers(0, 255))
def test_checksum_is_that_of_the_bytes(saddr: int, daddr: int, length: int, proto: int) -> None:
    pseudo = in6_bytes(saddr) + in6_bytes(daddr) + length.to_bytes(4, 'big') + bytes([0, 0, 0, proto])
    want = csum_fold(csum_partial(pseudo, 0))
    got = csum_ipv6_magic(saddr, daddr, length, proto, 0)
    assert got == want or {got, want} == {0, 0xFFFF}  # two ways to write zero


def test_solicited_node_address() -> None:
    assert addrconf_addr_solict_mult(in6_pton('fe80::2aa:ff:fe28:9c5a')) == in6_pton('ff02::1:ff28:9c5a')


@given(st.integers(0, 0xFFFFFFFF))
def test_mapped(addr: int) -> None:
    assert ipv6_mapped_v4(ipv6_addr_set_v4mapped(addr)) == addr


def test_prefixes() -> None:
    a, b = in6_pton('2001:db8::1'), in6_pton('2001:db8:0:1::1')
    assert ipv6_prefix_equal(a, b, 48) and not ipv6_prefix_equal(a, b, 64) and ipv6_prefix_equal(a, b, 0)


def test_header_says_what_was_put_in() -> None:
    head = ipv6_hdr_build(0x2A, 0x12345, 100, 6, 64, 1, in6_pton('2001:db8::1'))
    assert head.hex() == '62a12345' '0064' '06' '40' + '00' * 15 + '01' + '20010db8' + '00' * 11 + '01'
    assert (ipv6_tclass(head, 0), ipv6_payload_len(head, 0), ipv6_saddr(head, 0)) == (0x2A, 100, 1)
