# SPDX-License-Identifier: Apache-2.0
"""Wait queues: order, exclusive waiters, keys, leaving during a wake-up, and the classic wait."""
from __future__ import annotations

from collections.abc import Callable

from linnet.kernel.clock import VirtualClock
from linnet.kernel.sched import (
    MAX_SCHEDULE_TIMEOUT,
    TASK_INTERRUPTIBLE,
    TASK_NORMAL,
    TASK_UNINTERRUPTIBLE,
    Scheduler,
    Task,
    schedule_timeout,
    sleep_ns,
)
from linnet.kernel.softirq import Cpu
from linnet.kernel.wait import (
    TaskWait,
    WaitQueueEntry,
    WaitQueueHead,
    WokenWait,
    add_wait_queue,
    add_wait_queue_exclusive,
    finish_wait,
    init_waitqueue_head,
    prepare_to_wait,
    prepare_to_wait_exclusive,
    remove_wait_queue,
    wait_woken,
    waitqueue_active,
    wake_up,
    wake_up_all,
    wake_up_interruptible,
    wake_up_interruptible_all,
    wake_up_interruptible_poll,
    wake_up_interruptible_sync_poll,
    wake_up_poll,
)


class Note(WaitQueueEntry):
    def __init__(self, name: str, log: list[str], takes: bool = True) -> None:
        super().__init__()
        self.name = name
        self.log = log
        self.takes = takes
        self.then: Callable[[], object] | None = None

    def func(self, mode: int, key: int) -> bool:
        self.log.append(f'{self.name}:{mode}:{key}')
        if self.then is not None:
            self.then()
        return self.takes


def members(wq: WaitQueueHead) -> list[str]:
    """Names in order; holds the links against each other."""
    names = []
    before: WaitQueueEntry | None = None
    entry = wq.first
    while entry is not None:
        assert entry.prev is before and entry.wq is wq and isinstance(entry, Note)
        names.append(entry.name)
        before, entry = entry, entry.next
    assert wq.last is before
    return names


def make(names: str, takes: bool = True) -> tuple[WaitQueueHead, list[Note], list[str]]:
    """Capital letters are exclusive."""
    wq = WaitQueueHead()
    log: list[str] = []
    notes = [Note(n, log, takes) for n in names]
    for note in notes:
        (add_wait_queue_exclusive if note.name.isupper() else add_wait_queue)(wq, note)
    return wq, notes, log


def test_plain_waiters_stand_in_front_and_one_exclusive_is_woken() -> None:
    wq, _, log = make('AabB')
    assert members(wq) == ['b', 'a', 'A', 'B']
    wake_up(wq)
    assert log == ['b:3:0', 'a:3:0', 'A:3:0']
    log.clear()
    wake_up_all(wq)
    assert len(log) == 4


def test_an_exclusive_waiter_that_declines_passes_it_on() -> None:
    wq, _, log = make('ABC', takes=False)
    wake_up(wq)
    assert log == ['A:3:0', 'B:3:0', 'C:3:0']


def test_modes_and_keys() -> None:
    wq, _, log = make('a')
    for fn in (wake_up_interruptible, wake_up_interruptible_all):
        fn(wq)
    for poll in (wake_up_poll, wake_up_interruptible_poll, wake_up_interruptible_sync_poll):
        poll(wq, 5)
    assert log == [
        f'a:{TASK_INTERRUPTIBLE}:0', f'a:{TASK_INTERRUPTIBLE}:0', f'a:{TASK_NORMAL}:5',
        f'a:{TASK_INTERRUPTIBLE}:5', f'a:{TASK_INTERRUPTIBLE}:5',
    ]


def test_joining_twice_and_leaving_twice() -> None:
    wq, (a, b, c), _ = make('abc')
    add_wait_queue(wq, a)
    assert members(wq) == ['c', 'b', 'a']
    for gone, left in ((b, ['c', 'a']), (b, ['c', 'a']), (c, ['a']), (a, [])):
        remove_wait_queue(wq, gone)
        assert members(wq) == left
    assert not waitqueue_active(wq)
    other = WaitQueueHead()
    add_wait_queue(wq, a)
    remove_wait_queue(other, a)
    assert members(wq) == ['a'] and waitqueue_active(wq)
    init_waitqueue_head(wq)
    assert a.wq is None and not waitqueue_active(wq)
    wake_up(wq)


def test_entries_may_leave_while_they_are_woken() -> None:
    wq, (a, b, c, d), log = make('abcd')
    d.then = lambda: (remove_wait_queue(wq, d), remove_wait_queue(wq, c), remove_wait_queue(wq, b))
    wake_up(wq)
    assert log == ['d:3:0', 'a:3:0'] and members(wq) == ['a']
    a.then = lambda: add_wait_queue(wq, b)
    wake_up(wq)
    assert members(wq) == ['b', 'a']


def test_a_wake_up_inside_a_wake_up() -> None:
    wq, (a, b, c), log = make('abc')

    def inner() -> None:
        c.then = None
        remove_wait_queue(wq, b)
        wake_up(wq)

    c.then = inner
    wake_up(wq)
    assert log == ['c:3:0', 'c:3:0', 'a:3:0', 'a:3:0']
    assert wq._cursor is None


class World:
    def __init__(self) -> None:
        self.s = Scheduler(VirtualClock(), Cpu())
        self.wq = WaitQueueHead()
        self.ready = 0
        self.log: list[tuple[str, int, int]] = []

    def wait_event(self, name: str, timeout: int, exclusive: bool, state: int = TASK_INTERRUPTIBLE) -> None:
        task = self.s.current
        assert task is not None
        wait = TaskWait(task)
        left = timeout
        while True:
            prepare_to_wait(self.wq, wait, exclusive, state)
            if self.ready > 0 or left == 0:
                break
            left = schedule_timeout(self.s, left)
        finish_wait(self.wq, wait)
        if self.ready > 0:
            self.ready -= 1
        self.log.append((name, int(self.s.clock.now), left))

    def waiter(self, name: str, timeout: int = MAX_SCHEDULE_TIMEOUT, exclusive: bool = True) -> Task:
        return self.s.spawn(lambda: self.wait_event(name, timeout, exclusive), name)

    def feed(self, *times: int) -> None:
        for when in times:
            sleep_ns(self.s, when - self.s.clock.now)
            self.ready += 1
            wake_up_interruptible(self.wq)


def test_the_classic_wait() -> None:
    w = World()
    for name in 'abc':
        w.waiter(name, 100)
    w.s.spawn(lambda: w.feed(10, 20), 'feeder')
    w.s.run()
    assert w.log == [('a', 10, 90), ('b', 20, 80), ('c', 100, 0)]
    assert not waitqueue_active(w.wq) and w.s.clock.nr_pending == 0


def test_plain_waiters_all_look_and_the_rest_sleep_on() -> None:
    w = World()
    for name in 'ab':
        w.waiter(name, 100, exclusive=False)
    w.s.spawn(lambda: w.feed(10), 'feeder')
    w.s.run()
    assert w.log == [('b', 10, 90), ('a', 100, 0)]


def test_wakeups_that_come_before_the_tasks_run_satisfy_different_tasks() -> None:
    """Two events at one instant wake two exclusive waiters, not the first one twice."""
    w = World()
    for name in 'ab':
        w.waiter(name)

    def both() -> None:
        sleep_ns(w.s, 10)
        w.ready += 2
        wake_up_interruptible(w.wq)
        wake_up_interruptible(w.wq)

    w.s.spawn(both, 'feeder')
    w.s.run()
    assert [(n, t) for n, t, _ in w.log] == [('a', 10), ('b', 10)]


def test_an_uninterruptible_waiter_ignores_an_interruptible_wake_up() -> None:
    w = World()
    w.s.spawn(lambda: w.wait_event('a', 50, True, TASK_UNINTERRUPTIBLE), 'a')
    w.waiter('b')
    w.s.spawn(lambda: w.feed(10), 'feeder')
    w.s.run()
    assert [(n, t) for n, t, _ in w.log] == [('b', 10), ('a', 50)]


def test_prepare_to_wait_exclusive_is_exclusive() -> None:
    w = World()
    task = w.s.spawn(lambda: None, 't')
    wait = TaskWait(task)
    prepare_to_wait_exclusive(w.wq, wait)
    assert wait.flags == 1 and w.wq.last is wait
    finish_wait(w.wq, wait)
    finish_wait(w.wq, wait)
    assert w.wq.first is None


def test_wait_woken_remembers() -> None:
    w = World()
    log: list[tuple[int, int]] = []

    def body() -> None:
        task = w.s.current
        assert task is not None
        wait = WokenWait(task)
        add_wait_queue(w.wq, wait)
        wake_up(w.wq)  # before the wait, with no state announced
        log.append((wait_woken(w.s, wait, 100), int(w.s.clock.now)))
        log.append((wait_woken(w.s, wait, 100), int(w.s.clock.now)))
        log.append((wait_woken(w.s, wait, 100), int(w.s.clock.now)))
        remove_wait_queue(w.wq, wait)

    w.s.spawn(body, 't')
    w.s.spawn(lambda: (sleep_ns(w.s, 30), wake_up(w.wq)), 'waker')
    w.s.run()
    assert log == [(100, 0), (70, 30), (0, 130)]


def test_a_killed_waiter_leaves_the_queue_at_the_next_wake_up() -> None:
    w = World()
    a = w.waiter('a')
    w.waiter('b')
    w.s.spawn(lambda: (sleep_ns(w.s, 5), w.s.kill(a)), 'killer')
    w.s.spawn(lambda: w.feed(10), 'feeder')
    w.s.run()
    assert w.log == [('b', 10, MAX_SCHEDULE_TIMEOUT)] and not waitqueue_active(w.wq)
