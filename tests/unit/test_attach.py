# SPDX-License-Identifier: Apache-2.0
"""Which addresses the kernel's side of a TUN or TAP gets. What is done with them needs root: tests/interop/test_exec_ipv6.py."""

from __future__ import annotations

from typing import Any

import pytest

from linnet.attach import Attached, kernel_address, kernel_sides


@pytest.mark.parametrize(('own', 'peer'), [
    ('10.77.0.2/24', '10.77.0.1'), ('10.77.0.1/24', '10.77.0.2'), ('fd77::2/64', 'fd77::1'), ('fd77::1/64', 'fd77::2'),
    ('fd77::a:5/112', 'fd77::a:1'),
])
def test_the_subnet_s_first_address(own: str, peer: str) -> None:
    assert kernel_address(own) == peer


def test_one_of_each_family() -> None:
    own = ['10.77.0.2/24', 'fd77::2/64', 'fd78::2/48']
    assert kernel_sides(own, None) == {False: ('10.77.0.1', 24), True: ('fd77::1', 64)}
    assert kernel_sides(own, 'fd77::9') == {False: ('10.77.0.1', 24), True: ('fd77::9', 64)}
    assert kernel_sides(own, ['10.77.0.9', 'fd77::9']) == {False: ('10.77.0.9', 24), True: ('fd77::9', 64)}
    assert kernel_sides(own, '') == {}


@pytest.mark.parametrize(('options', 'said'), [
    ({}, 'give either'), ({'tun': 'a', 'tap': 'b'}, 'give either'), ({'tun': 'a', 'addr': 'fd77::2/129'}, '0 to 128'),
    ({'tun': 'a', 'addr': ['10.77.0.2/24', 'fd77::2/64'], 'mtu': 1279}, 'MTU of 1280'),
])
def test_what_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Attached(**options)
