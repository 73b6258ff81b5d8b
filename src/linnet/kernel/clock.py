# SPDX-License-Identifier: Apache-2.0
"""The clock of a world, in integer nanoseconds since its start; the stack reads `net.clock.now` and nothing else.

A Clock is a TimerBase, so the present and the queue of the future are one object.  The main loop (kernel/sched.py)
moves it: a VirtualClock jumps to the next event, a RealClock reads the machine's monotonic clock.  RealClock is the
only place in the house that does.

A program that looks at the clock over and over, waiting for it to move, would freeze virtual time for ever.  So
programs read through `read()`, and after many looks at the same instant it creeps forward, ever faster, as time would
have passed for a processor that spins.
"""
from __future__ import annotations

from time import monotonic_ns, time_ns  # by name: a simulated program's `time` module is patched
from typing import Final

from mypy_extensions import i64

from linnet.kernel.timer import TimerBase

HZ: Final = 1000
NSEC_PER_SEC: Final = 1_000_000_000
NSEC_PER_MSEC: Final = 1_000_000
NSEC_PER_USEC: Final = 1_000
NSEC_PER_JIFFY: Final = 1_000_000
USEC_PER_SEC: Final = 1_000_000
USEC_PER_JIFFY: Final = 1_000

# The wall clock of a virtual world starts here unless told otherwise: 2026-01-01 00:00:00 UTC.
DEFAULT_EPOCH_NS: Final = 1_767_225_600_000_000_000

SPIN_READS: Final = 1000  # looks at one instant before it creeps
SPIN_STEP: Final = 1000  # ns, the least creep
SPIN_SHIFT: Final = 6  # a creep is at least 1/64 of the time spun already


class Clock(TimerBase):
    """`now` in ns since the world's start, the timers, and the wall time `epoch_ns` at which now was 0."""

    def __init__(self, epoch_ns: int = DEFAULT_EPOCH_NS) -> None:
        super().__init__()
        self.epoch_ns = epoch_ns
        self.virtual = True
        self._spin_at: i64 = -1  # the instant that is being looked at
        self._spin_reads: i64 = 0
        self._spin_start: i64 = 0

    def jiffies(self) -> i64:
        """Ticks of 1 ms since the world's start; 64 bits, so it never wraps."""
        return self.now // NSEC_PER_JIFFY

    def wall_ns(self) -> int:
        """Wall time: ns since 1970-01-01 UTC."""
        return self.epoch_ns + int(self.now)

    def advance(self, to: i64) -> i64:
        """Move to `to` (ns), never back, and give the new `now`."""
        if to > self.now:
            self.now = to
        return self.now

    def creep(self, since: i64) -> i64:
        """Somebody has looked at the clock since `since`: move a little, more the longer it lasts; gives `now`."""
        step: i64 = (self.now - since) >> SPIN_SHIFT
        if step < SPIN_STEP:
            step = SPIN_STEP
        self.now += step
        return self.now

    def progress(self) -> None:
        """A program got something done at this instant: it does not spin, and time is to creep no faster than at first."""
        self._spin_start = self.now

    def read(self) -> i64:
        """`now` for a program: as the attribute, but it moves under the eyes of one that spins on it."""
        now: i64 = self.now
        if now != self._spin_at:
            self._spin_at = now
            self._spin_start = now
            self._spin_reads = 0
            return now
        self._spin_reads += 1
        if self._spin_reads < SPIN_READS:
            return now
        now = self.creep(self._spin_start)
        self._spin_at = now
        return now


class VirtualClock(Clock):
    """Time that jumps from event to event."""


class RealClock(Clock):
    """Time of this machine: `now` is what the monotonic clock said at the last advance()."""

    def __init__(self, epoch_ns: int = -1) -> None:
        super().__init__(time_ns() if epoch_ns < 0 else epoch_ns)
        self.virtual = False
        self._start = monotonic_ns()

    def advance(self, to: i64) -> i64:
        """Read the machine's clock; `to` is not used.  Gives the new `now`."""
        now: i64 = monotonic_ns() - self._start
        if now > self.now:
            self.now = now
        return self.now

    def creep(self, since: i64) -> i64:
        """Real time passes by itself."""
        return self.advance(0)

    def read(self) -> i64:
        """The machine's clock, this moment."""
        return self.advance(0)


def nsecs_to_jiffies(n: i64) -> i64:
    """ns to ticks, rounded down.  Linux: kernel/time/time.c."""
    return n // NSEC_PER_JIFFY


def jiffies_to_nsecs(j: i64) -> i64:
    """Ticks to ns.  Linux: include/linux/jiffies.h."""
    return j * NSEC_PER_JIFFY


def msecs_to_jiffies(m: i64) -> i64:
    """ms to ticks.  Linux: kernel/time/time.c."""
    return m


def jiffies_to_msecs(j: i64) -> i64:
    """Ticks to ms.  Linux: kernel/time/time.c."""
    return j


def ns_from_seconds(seconds: float) -> int:
    """Seconds of a caller to ns, rounded up: a wait that is cut short would be repeated for ever."""
    ns = seconds * 1e9
    whole = int(ns)
    return whole + 1 if whole < ns else whole
