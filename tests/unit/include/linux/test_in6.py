# SPDX-License-Identifier: Apache-2.0
"""IPv6 addresses as text and as bytes, against the standard library's ipaddress."""
from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linnet.include.linux.in6 import in6_bytes, in6_ntop, in6_prefix_mask, in6_pton, in6_read

GROUPS = st.lists(st.one_of(st.just(0), st.integers(0, 0xFFFF)), min_size=8, max_size=8)


@given(GROUPS)
def test_text_goes_both_ways_as_rfc_5952_writes_it(groups: list[int]) -> None:
    addr = int.from_bytes(b''.join(g.to_bytes(2, 'big') for g in groups), 'big')
    text = in6_ntop(addr)
    assert in6_pton(text) == addr
    if addr >> 32 != 0xFFFF:  # ipaddress of some versions does not write mapped addresses dotted
        assert text == str(ipaddress.IPv6Address(addr))
    assert in6_read(b'ab' + in6_bytes(addr), 2) == addr


def test_mapped_ipv4_is_dotted() -> None:
    assert in6_pton('::ffff:192.0.2.1') == 0xFFFF_C000_0201
    assert in6_ntop(0xFFFF_C000_0201) == '::ffff:192.0.2.1'


@pytest.mark.parametrize('text', [
    '', ':', ':::', '1', '1::2::3', '::12345', '::g', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7::8:9',
    ':1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8:', '::1.2.3', '::1.2.3.256', '::1.2.3.4:5', 'fe80::1%eth0', '::-1', '1.2.3.4'])
def test_what_is_no_address_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match='not an IPv6 address') as caught:
        in6_pton(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize('plen', [0, 1, 64, 127, 128])
def test_mask(plen: int) -> None:
    assert in6_prefix_mask(plen) == int(ipaddress.IPv6Network(f'::/{plen}').netmask)
