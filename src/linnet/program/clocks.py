# SPDX-License-Identifier: Apache-2.0
"""time.* for simulated programs: the world's clock. Reading it over and over lets virtual time creep (Clock.read)."""
from __future__ import annotations

import time as std
from typing import Any

from linnet.kernel.clock import ns_from_seconds
from linnet.kernel.sched import Task, read_clock, sleep_ns
from linnet.program.runtime import current_program, current_task, running

# Kept: the names are patched while a program runs.
real_localtime, real_gmtime, real_ctime, real_asctime, real_strftime = (
    std.localtime, std.gmtime, std.ctime, std.asctime, std.strftime)
real_clock_gettime_ns = std.clock_gettime_ns
WALL = (std.CLOCK_REALTIME, std.CLOCK_TAI)
STEADY = (std.CLOCK_MONOTONIC, std.CLOCK_MONOTONIC_RAW, std.CLOCK_BOOTTIME)


def _task() -> Task:
    task = current_task()
    assert task is not None
    return task


def sleep(seconds: float) -> None:
    """Park the task for that long, rounded up to a whole nanosecond."""
    if seconds < 0:
        raise ValueError('sleep length must be non-negative')
    task = _task()
    before, task.wait_what = task.wait_what, f'sleep({seconds:g})'
    try:
        left = sleep_ns(task.sched, ns_from_seconds(seconds))
        while task.pending_signals:
            current_program().signals.run_handlers()
            left = sleep_ns(task.sched, left) if left else 0
    finally:
        task.wait_what = before


def time_ns() -> int:
    """Wall time of the world, ns."""
    return _task().sched.clock.epoch_ns + monotonic_ns()


def monotonic_ns() -> int:
    """ns since the world's start."""
    return read_clock(_task().sched)


def time() -> float:
    """Wall time of the world, s."""
    return time_ns() / 1e9


def monotonic() -> float:
    """Seconds since the world's start. An event loop asks twice a round: no call more than needed."""
    task = running.task
    assert task is not None
    return read_clock(task.sched) / 1e9


# -- what takes the present time where none is given

def localtime(seconds: float | None = None) -> std.struct_time:
    """As time.localtime; the time zone is the machine's."""
    return real_localtime(time() if seconds is None else seconds)


def gmtime(seconds: float | None = None) -> std.struct_time:
    """As time.gmtime."""
    return real_gmtime(time() if seconds is None else seconds)


def ctime(seconds: float | None = None) -> str:
    """As time.ctime."""
    return real_ctime(time() if seconds is None else seconds)


def asctime(when: Any = None) -> str:
    """As time.asctime."""
    return real_asctime(localtime() if when is None else when)


def strftime(format: str, when: Any = None) -> str:
    """As time.strftime."""
    return real_strftime(format, localtime() if when is None else when)


def clock_gettime_ns(clk_id: int) -> int:
    """As time.clock_gettime_ns; the clocks of CPU time are the machine's."""
    if clk_id in WALL:
        return time_ns()
    return monotonic_ns() if clk_id in STEADY else real_clock_gettime_ns(clk_id)


def clock_gettime(clk_id: int) -> float:
    """As time.clock_gettime."""
    return clock_gettime_ns(clk_id) / 1e9
