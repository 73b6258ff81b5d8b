# SPDX-License-Identifier: Apache-2.0
"""time.* for simulated programs: the world's clock. Reading it over and over lets virtual time creep (kernel/clock.py: read)."""
from __future__ import annotations

from linnet.kernel.clock import ns_from_seconds
from linnet.kernel.sched import Task, sleep_ns
from linnet.program.runtime import current_program, current_task


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
    clock = _task().sched.clock
    return clock.epoch_ns + int(clock.read())


def monotonic_ns() -> int:
    """ns since the world's start."""
    return int(_task().sched.clock.read())


def time() -> float:
    """Wall time of the world, s."""
    return time_ns() / 1e9


def monotonic() -> float:
    """Seconds since the world's start."""
    return monotonic_ns() / 1e9
