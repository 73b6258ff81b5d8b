# SPDX-License-Identifier: Apache-2.0
"""units.py: what people write, in base units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from linnet import units


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('100mbit', 10**8),
        ('1.5 gbit', 1_500_000_000),
        ('10kbit', 10_000),
        ('8bit', 8),
        ('1mbps', 8_000_000),
        (64_000, 64_000),
        (None, 0),
        (0, 0),
        ('100', 100),
        ('1MBIT', 10**6),
    ],
)
def test_rates(text: Any, value: int) -> None:
    assert units.rate(text) == value


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('20ms', 20_000_000),
        ('0.1 ms', 100_000),
        ('3us', 3000),
        ('3µs', 3000),
        ('7ns', 7),
        ('2min', 120 * 10**9),
        (1.5, 1_500_000_000),
        ('90s', 90 * 10**9),
        ('2', 2 * 10**9),
    ],
)
def test_times(text: Any, value: int) -> None:
    assert units.time_ns(text) == value


@pytest.mark.parametrize(
    ('text', 'value'), [('1 %', 0.01), ('0.5%', 0.005), (0.25, 0.25), ('0.25', 0.25), (0, 0.0), ('100 %', 1.0)]
)
def test_shares(text: Any, value: float) -> None:
    assert units.share(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ('function', 'value', 'message'),
    [
        (units.rate, 'fast', 'not a number with a unit'),
        (units.rate, '10 parsecs', "unknown unit 'parsecs'"),
        (units.rate, -1, 'negative'),
        (units.time_ns, '3 fortnights', 'unknown unit'),
        (units.time_ns, -0.1, 'negative'),
        (units.share, '2 x', 'unknown unit'),
        (units.share, 1.5, 'not between 0 and 1'),
        (units.share, '150 %', 'not between'),
        (units.prefix, '10.0.0.1/33', '0 to 32'),
        (units.prefix, '10.0.0.1/x', 'length'),
        (units.prefix, '10.0.0', '10.0.0'),
    ],
)
def test_errors_say_what_is_wrong(function: Callable[[Any], Any], value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(value)


def test_addresses() -> None:
    assert units.prefix('10.0.0.1/24') == (0x0A000001, 24)
    assert units.prefix('10.0.0.1') == (0x0A000001, 32)
    assert units.prefix('default') == (0, 0)
    assert units.network('10.0.0.77/24') == (0x0A000000, 24)
