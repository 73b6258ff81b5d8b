# SPDX-License-Identifier: Apache-2.0
"""The greatest value of a window of time, without keeping all of them (Kathleen Nichols' windowed filter).

Three samples are kept: the best of the window, the best of what came after it, and the best after that. A better one replaces all
that are not better; when the first grows too old, the second takes its place. So that the followers are there by then, a sample
is taken as second after a quarter of the window, and as third after a half, even if it is not the best of its part.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

LINUX_FILE: Final = 'lib/win_minmax.c'


class Minmax:
    """Linux: struct minmax. t0 <= t1 <= t2; v0 >= v1 >= v2. Times and values in whatever unit the user has."""

    def __init__(self) -> None:
        self.t0: i64 = 0
        self.v0: i64 = 0
        self.t1: i64 = 0
        self.v1: i64 = 0
        self.t2: i64 = 0
        self.v2: i64 = 0


def minmax_get(m: Minmax) -> i64:
    """The greatest value.  Linux: include/linux/win_minmax.h."""
    return m.v0


def minmax_reset(m: Minmax, t: i64, value: i64) -> i64:
    """Forget all but this value.  Linux: include/linux/win_minmax.h."""
    m.t0 = m.t1 = m.t2 = t
    m.v0 = m.v1 = m.v2 = value
    return value


def minmax_running_max(m: Minmax, win: i64, t: i64, value: i64) -> i64:
    """Take the value of time t; returns the greatest of the last `win`.  Linux: lib/win_minmax.c."""
    if value >= m.v0 or t - m.t2 > win:
        return minmax_reset(m, t, value)
    if value >= m.v1:
        m.t1 = m.t2 = t
        m.v1 = m.v2 = value
    elif value >= m.v2:
        m.t2 = t
        m.v2 = value
    age = t - m.t0
    if age > win:
        # the best has left the window; the next best may have as well
        minmax_shift(m, t, value)
        if t - m.t0 > win:
            minmax_shift(m, t, value)
    elif m.t1 == m.t0 and age > win // 4:
        m.t1 = m.t2 = t
        m.v1 = m.v2 = value
    elif m.t2 == m.t1 and age > win // 2:
        m.t2 = t
        m.v2 = value
    return m.v0


def minmax_shift(m: Minmax, t: i64, value: i64) -> None:
    """Drop the first sample, and take a new third."""
    m.t0 = m.t1
    m.v0 = m.v1
    m.t1 = m.t2
    m.v1 = m.v2
    m.t2 = t
    m.v2 = value
