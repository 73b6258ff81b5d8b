# SPDX-License-Identifier: Apache-2.0
"""The clock: jumps, ticks, wall time, and creeping under the eyes of one that spins."""
from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from linnet.kernel.clock import (
    NSEC_PER_JIFFY,
    NSEC_PER_SEC,
    SPIN_READS,
    SPIN_STEP,
    RealClock,
    VirtualClock,
    jiffies_to_nsecs,
    ns_from_seconds,
    nsecs_to_jiffies,
)


def test_virtual_clock_jumps_forward_only() -> None:
    clock = VirtualClock(epoch_ns=5)
    assert (clock.now, clock.jiffies(), clock.virtual) == (0, 0, True)
    assert clock.advance(2_500_000) == 2_500_000
    assert clock.advance(1) == 2_500_000
    assert clock.jiffies() == 2
    assert clock.wall_ns() == 2_500_005


def test_a_program_that_spins_on_the_clock_sees_it_move() -> None:
    clock = VirtualClock()
    for _ in range(SPIN_READS):
        assert clock.read() == 0
    reads = 0
    while clock.read() < NSEC_PER_SEC:
        reads += 1
    assert reads < 1_000 and clock.now < 1.05 * NSEC_PER_SEC


def test_a_program_that_gets_things_done_sees_it_move_by_the_least_step() -> None:
    busy, idle = VirtualClock(), VirtualClock()
    for _ in range(SPIN_READS + 2000):
        busy.progress()
        busy.read()
        idle.read()
    assert busy.now == 2000 * SPIN_STEP
    assert idle.now > 1000 * busy.now


def test_reading_between_events_never_creeps() -> None:
    clock = VirtualClock()
    for i in range(3):
        clock.advance(i * 10)
        for _ in range(SPIN_READS):
            assert clock.read() == i * 10


def test_real_clock_goes_by_itself() -> None:
    clock = RealClock()
    assert clock.virtual is False
    first = clock.advance(0)
    assert clock.read() >= first >= 0
    assert clock.creep(0) >= first
    assert clock.wall_ns() > 1_600_000_000 * NSEC_PER_SEC


def test_jiffies() -> None:
    assert nsecs_to_jiffies(NSEC_PER_JIFFY * 3 - 1) == 2
    assert jiffies_to_nsecs(3) == 3_000_000


@given(st.floats(0, 1e9))
def test_seconds_round_up(seconds: float) -> None:
    ns = ns_from_seconds(seconds)
    assert ns >= seconds * 1e9
    assert ns == math.ceil(seconds * 1e9)
