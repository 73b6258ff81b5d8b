# SPDX-License-Identifier: Apache-2.0
"""The windowed maximum: near to that of a list of all samples."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from linnet.kernel.win_minmax import Minmax, minmax_get, minmax_reset, minmax_running_max


def test_rises_at_once_and_falls_after_the_window() -> None:
    m = Minmax()
    minmax_reset(m, 0, 0)
    assert minmax_running_max(m, 10, 1, 50) == 50
    assert [minmax_running_max(m, 10, t, 20) for t in range(2, 12)] == [50] * 10
    assert minmax_running_max(m, 10, 12, 20) == 20
    assert minmax_running_max(m, 10, 13, 21) == 21


def test_the_second_best_takes_over() -> None:
    m = Minmax()
    minmax_reset(m, 0, 100)
    minmax_running_max(m, 10, 5, 80)
    minmax_running_max(m, 10, 8, 60)
    assert minmax_running_max(m, 10, 11, 10) == 80
    assert minmax_running_max(m, 10, 16, 10) == 60
    assert minmax_running_max(m, 10, 19, 10) == 10


def test_a_pause_longer_than_the_window_forgets_all() -> None:
    m = Minmax()
    minmax_reset(m, 0, 100)
    assert minmax_running_max(m, 10, 11, 1) == 1
    assert minmax_get(m) == 1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 100)), min_size=1, max_size=60), st.integers(4, 20))
def test_is_a_sample_of_the_window_and_no_less_than_the_last(steps: list[tuple[int, int]], win: int) -> None:
    m = Minmax()
    minmax_reset(m, 0, 0)
    now = 0
    samples = [(0, 0)]
    for gap, value in steps:
        now += gap
        samples.append((now, value))
        got = minmax_running_max(m, win, now, value)
        recent = [v for t, v in samples if now - t <= win]
        assert got in recent
        assert got >= value
        assert got <= max(recent)
        # what is greatest of the last quarter is never missed: the filter errs for older samples alone
        assert got >= max(v for t, v in samples if t >= now - win // 4 and v >= value) if samples else True
