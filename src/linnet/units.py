# SPDX-License-Identifier: Apache-2.0
"""Rates, times, sizes and addresses as people write them: '100mbit', '20ms', '1 %', '10.0.0.1/24'; numbers are SI base units."""
from __future__ import annotations

import re

from linnet.include.linux.in6 import in6_prefix_mask, in6_pton
from linnet.include.linux.inet import in_aton, inet_make_mask

RATES = {'': 1, 'bit': 1, 'kbit': 10**3, 'mbit': 10**6, 'gbit': 10**9, 'tbit': 10**12,
         'bps': 8, 'kbps': 8 * 10**3, 'mbps': 8 * 10**6, 'gbps': 8 * 10**9}
TIMES = {'': 10**9, 's': 10**9, 'ms': 10**6, 'us': 10**3, 'µs': 10**3, 'ns': 1, 'min': 60 * 10**9, 'h': 3600 * 10**9}
NUMBER = re.compile(r'\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zµ%]*)\s*$', re.IGNORECASE)


def _split(text: str, what: str, known: str) -> tuple[float, str]:
    match = NUMBER.match(text)
    if match is None:
        raise ValueError(f'{what} {text!r} is not a number with a unit ({known})')
    return float(match.group(1)), match.group(2).lower()


def rate(value: float | str | None) -> int:
    """A rate in bit/s of a number (bit/s) or of tc's notation ('100mbit'; 'mbps' is bytes, as in tc). None and 0: no limit."""
    if value is None:
        return 0
    if isinstance(value, str):
        number, unit = _split(value, 'rate', ', '.join(u for u in RATES if u))
        if unit not in RATES:
            raise ValueError(f'rate {value!r} has an unknown unit {unit!r}; known: {", ".join(u for u in RATES if u)}')
        return round(number * RATES[unit])
    if value < 0:
        raise ValueError(f'rate {value!r} is negative; it is in bit/s, 0 for no limit')
    return round(value)


def time_ns(value: float | str) -> int:
    """A time in ns of a number (seconds) or of text ('20ms')."""
    if isinstance(value, str):
        number, unit = _split(value, 'time', ', '.join(u for u in TIMES if u))
        if unit not in TIMES:
            raise ValueError(f'time {value!r} has an unknown unit {unit!r}; known: {", ".join(u for u in TIMES if u)}')
        return round(number * TIMES[unit])
    if value < 0:
        raise ValueError(f'time {value!r} is negative; it is in seconds')
    return round(value * 10**9)


def share(value: float | str) -> float:
    """A share from 0 to 1 of a number or of text ('1 %')."""
    if isinstance(value, str):
        number, unit = _split(value, 'share', '%')
        if unit not in ('', '%'):
            raise ValueError(f'share {value!r} has an unknown unit {unit!r}; a share is 0.01 or "1 %"')
        value = number / 100 if unit == '%' else number
    if not 0 <= value <= 1:
        raise ValueError(f'share {value!r} is not between 0 and 1')
    return float(value)


def prefix(text: str) -> tuple[int, int]:
    """(address, prefix length) of '10.0.0.1/24'; without a length 32. 'default' is 0.0.0.0/0."""
    if text == 'default':
        return 0, 0
    addr, _, length = text.partition('/')
    bits = 32
    if length:
        if not length.isdigit() or int(length) > 32:
            raise ValueError(f'prefix {text!r} has a length of {length!r}; it is 0 to 32')
        bits = int(length)
    return in_aton(addr), bits


def prefix6(text: str) -> tuple[int, int]:
    """(address, prefix length) of '2001:db8::1/64'; without a length 128. 'default' is ::/0."""
    if text == 'default':
        return 0, 0
    addr, _, length = text.partition('/')
    if length and (not length.isdigit() or int(length) > 128):
        raise ValueError(f'prefix {text!r} has a length of {length!r}; it is 0 to 128')
    return in6_pton(addr), int(length or 128)


def network6(text: str) -> tuple[int, int]:
    """(network, prefix length) of '2001:db8::/64', host bits cleared."""
    addr, bits = prefix6(text)
    return addr & in6_prefix_mask(bits), bits


def network(text: str) -> tuple[int, int]:
    """(network, prefix length) of '10.0.0.0/24', host bits cleared."""
    addr, bits = prefix(text)
    return addr & int(inet_make_mask(bits)), bits
