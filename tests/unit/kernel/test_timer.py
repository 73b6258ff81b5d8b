# SPDX-License-Identifier: Apache-2.0
"""The timer queue: order, laziness, removal; a model of it as a plain sorted list is the judge."""
from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from linnet.kernel.timer import (
    SLOT_MASK,
    SWEEP_MIN,
    TIMER_NEVER,
    TimerBase,
    TimerList,
    del_timer,
    del_timer_sync,
    mod_timer,
    timer_pending,
)


class Note(TimerList):
    def __init__(self, base: TimerBase, name: int, log: list[tuple[int, int]]) -> None:
        super().__init__(base)
        self.name = name
        self.log = log

    def function(self) -> None:
        self.log.append((self.base.now, self.name))


def drain(base: TimerBase, limit: int = TIMER_NEVER) -> None:
    while True:
        timer = base.take(limit)
        if timer is None:
            return
        base.now = max(base.now, timer.expires)
        timer.function()


def make(n: int) -> tuple[TimerBase, list[Note], list[tuple[int, int]]]:
    base = TimerBase()
    log: list[tuple[int, int]] = []
    return base, [Note(base, i, log) for i in range(n)], log


def test_fires_in_time_order_and_ties_in_order_of_arming() -> None:
    base, t, log = make(5)
    for i, when in ((3, 20), (1, 10), (0, 20), (4, 10), (2, 5)):
        assert mod_timer(t[i], when) is False
    drain(base)
    assert log == [(5, 2), (10, 1), (10, 4), (20, 3), (20, 0)]
    assert base.nr_pending == 0 and not any(timer_pending(x) for x in t)


def test_moving_later_and_back_says_it_was_pending() -> None:
    base, t, log = make(2)
    mod_timer(t[0], 10)
    mod_timer(t[1], 15)
    assert mod_timer(t[0], 30) is True
    assert base.next_expiry() == 15
    assert mod_timer(t[0], 12) is True
    assert base.next_expiry() == 12
    drain(base)
    assert log == [(12, 0), (15, 1)]


def test_a_moved_timer_takes_its_new_place_among_equals() -> None:
    base, t, log = make(3)
    mod_timer(t[0], 10)
    mod_timer(t[1], 20)
    mod_timer(t[0], 20)  # lazily: its entry still stands at 10
    mod_timer(t[2], 20)
    drain(base)
    assert log == [(20, 1), (20, 0), (20, 2)]


def test_rearming_for_the_same_time_keeps_the_place() -> None:
    base, t, log = make(2)
    mod_timer(t[0], 10)
    mod_timer(t[1], 10)
    assert mod_timer(t[0], 10) is True
    drain(base)
    assert log == [(10, 0), (10, 1)]


def test_deleted_timer_neither_fires_nor_moves_the_clock() -> None:
    base, t, log = make(2)
    mod_timer(t[0], 10)
    assert del_timer(t[0]) is True
    assert del_timer(t[0]) is False
    assert base.next_expiry() == TIMER_NEVER and base.nr_pending == 0
    drain(base)
    assert (log, base.now) == ([], 0)


def test_del_timer_sync_forgets_the_object_at_once() -> None:
    base, t, log = make(3)
    for x in t:
        mod_timer(x, 10)
    del_timer(t[0])
    assert del_timer_sync(t[0]) is False
    assert del_timer_sync(t[1]) is True
    assert base.armed_timers() == [t[2]]
    assert len(base) == 1 and base.nr_dead == 0
    drain(base)
    assert log == [(10, 2)]


def test_dead_entries_are_swept_when_they_outnumber_the_living() -> None:
    base, t, log = make(4 * SWEEP_MIN)
    for i, x in enumerate(t):
        mod_timer(x, 1000 + i)
    mod_timer(t[-1], 5000)
    for x in t[:3 * SWEEP_MIN]:
        del_timer(x)
    assert len(base) < 3 * SWEEP_MIN
    drain(base)
    assert [name for _, name in log] == list(range(3 * SWEEP_MIN, 4 * SWEEP_MIN))
    assert base.now == 5000 and base.nr_dead == 0


def test_a_timer_in_the_past_fires_at_once_and_does_not_turn_back_the_clock() -> None:
    base, t, log = make(1)
    base.now = 100
    mod_timer(t[0], 50)
    drain(base)
    assert log == [(100, 0)]


def test_deferrable_timers_are_counted_apart() -> None:
    base, t, _ = make(2)
    t[0].deferrable = True
    mod_timer(t[0], 10)
    mod_timer(t[1], 20)
    assert (base.nr_pending, base.nr_deferrable) == (1, 1)
    drain(base, 15)
    assert (base.nr_pending, base.nr_deferrable) == (1, 0)
    mod_timer(t[0], 30)
    del_timer(t[0])
    del_timer_sync(t[1])
    assert (base.nr_pending, base.nr_deferrable) == (0, 0)


def test_take_leaves_what_is_not_due() -> None:
    base, t, _ = make(1)
    mod_timer(t[0], 10)
    assert base.take(9) is None
    assert base.take(10) is t[0]
    assert base.take(TIMER_NEVER) is None


OPS = st.lists(
    st.one_of(
        st.tuples(st.just('mod'), st.integers(0, 9), st.integers(0, 30)),
        st.tuples(st.just('del'), st.integers(0, 9), st.just(0)),
        st.tuples(st.just('sync'), st.integers(0, 9), st.just(0)),
        st.tuples(st.just('run'), st.just(0), st.integers(0, 20)),
    ),
    max_size=80,
)


@given(OPS, st.integers(0, 300))
@settings(deadline=None)
def test_against_a_sorted_list(ops: list[tuple[str, int, int]], ballast: int) -> None:
    """Any sequence of calls behaves as a list sorted by (time, order of arming)."""
    base, t, log = make(10)
    extra = [TimerList(base) for _ in range(ballast)]
    for x in extra:
        mod_timer(x, 15)
        del_timer(x)
    model: dict[int, tuple[int, int]] = {}
    want: list[tuple[int, int]] = []
    seq = now = 0
    for op, i, arg in [*ops, ('run', 0, 1000)]:
        seq += 1
        if op == 'mod':
            when = now + arg - 5
            assert mod_timer(t[i], when) is (i in model)
            if i not in model or model[i][0] != when:
                model[i] = (when, seq)
        elif op in ('del', 'sync'):
            assert (del_timer if op == 'del' else del_timer_sync)(t[i]) is (model.pop(i, None) is not None)
        else:
            end = now + arg
            for j, (when, _) in sorted(model.items(), key=lambda kv: kv[1]):
                if when <= end:
                    now = max(now, when)
                    want.append((now, j))
                    del model[j]
            drain(base, end)
            base.now = now = end
        assert base.nr_pending == len(model)
        assert [x.name for x in base.armed_timers() if isinstance(x, Note)] == [
            j for j, _ in sorted(model.items(), key=lambda kv: kv[1])
        ]
        inside = [x for x in [*t, *extra] if x._slot >= 0]
        assert len(base) == len(inside)
        assert all(base._codes[base._places[x._slot]] & SLOT_MASK == x._slot for x in inside)
        assert base.nr_dead == sum(not x.armed for x in inside)
    assert log == want
