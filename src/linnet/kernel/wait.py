# SPDX-License-Identifier: Apache-2.0
"""Wait queues: who wants to know when something happens.

A head is an intrusive list of entries; an entry's `func` is called on each wake-up and tells whether it took it.
Entries that are not exclusive stand in front and are all called; of the exclusive ones at the end a wake-up satisfies
one (so a thousand acceptors do not stampede).  `key` is the poll mask of what happened (EPOLLIN ...), 0 if anything
may have.

The classic wait:
    wait = TaskWait(task)
    while True:
        prepare_to_wait(wq, wait)
        if condition or signal_pending(task): break
        left = schedule_timeout(sched, left)
    finish_wait(wq, wait)
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from linnet.kernel.sched import (
    TASK_DEAD,
    TASK_INTERRUPTIBLE,
    TASK_NORMAL,
    TASK_RUNNING,
    Scheduler,
    Task,
    schedule_timeout,
    wake_up_process,
)

WQ_FLAG_EXCLUSIVE: Final = 1
WQ_FLAG_WOKEN: Final = 2


@mypyc_attr(allow_interpreted_subclasses=True)
class WaitQueueEntry:
    """One who waits; override `func`.  Linux: struct wait_queue_entry."""

    def __init__(self) -> None:
        self.flags: i64 = 0
        self.wq: WaitQueueHead | None = None  # the queue it stands in
        self.next: WaitQueueEntry | None = None
        self.prev: WaitQueueEntry | None = None

    def func(self, mode: int, key: int) -> bool:
        """It happened.  mode: TASK_NORMAL or TASK_INTERRUPTIBLE; True if this entry took the wake-up."""
        return False


class WaitQueueHead:
    """The queue.  Linux: struct wait_queue_head."""

    def __init__(self) -> None:
        self.first: WaitQueueEntry | None = None
        self.last: WaitQueueEntry | None = None
        self._cursor: WaitQueueEntry | None = None  # the next entry of a walk under way


class TaskWait(WaitQueueEntry):
    """Wakes a task, and leaves the queue by itself when it did (DEFINE_WAIT, autoremove_wake_function)."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def func(self, mode: int, key: int) -> bool:
        """Wake the task if it waits in a way that `mode` covers."""
        task = self.task
        state: i64 = task.state
        if state & mode == 0 and state != TASK_RUNNING:
            if state == TASK_DEAD and self.wq is not None:
                _unlink(self.wq, self)  # killed in the midst of its wait
            return False
        woke = wake_up_process(task)
        if woke and self.wq is not None:
            _unlink(self.wq, self)
        return woke


class WokenWait(WaitQueueEntry):
    """For wait_woken(): remembers that it was woken, so the condition may be looked at without a state announced."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def func(self, mode: int, key: int) -> bool:
        """Note the wake-up and wake the task.  Linux: kernel/sched/wait.c, woken_wake_function."""
        self.flags |= WQ_FLAG_WOKEN
        return wake_up_process(self.task)


def _link_first(wq: WaitQueueHead, entry: WaitQueueEntry) -> None:
    first = wq.first
    entry.wq = wq
    entry.prev = None
    entry.next = first
    if first is None:
        wq.last = entry
    else:
        first.prev = entry
    wq.first = entry


def _link_last(wq: WaitQueueHead, entry: WaitQueueEntry) -> None:
    last = wq.last
    entry.wq = wq
    entry.next = None
    entry.prev = last
    if last is None:
        wq.first = entry
    else:
        last.next = entry
    wq.last = entry


def _unlink(wq: WaitQueueHead, entry: WaitQueueEntry) -> None:
    if wq._cursor is entry:
        wq._cursor = entry.next
    before = entry.prev
    after = entry.next
    if before is None:
        wq.first = after
    else:
        before.next = after
    if after is None:
        wq.last = before
    else:
        after.prev = before
    entry.wq = None
    entry.next = None
    entry.prev = None


def init_waitqueue_head(wq: WaitQueueHead) -> None:
    """Empty the queue; entries that stood in it are let go.  Linux: include/linux/wait.h."""
    while wq.first is not None:
        _unlink(wq, wq.first)


def add_wait_queue(wq: WaitQueueHead, entry: WaitQueueEntry) -> None:
    """Stand in the queue, in front.  Linux: kernel/sched/wait.c."""
    if entry.wq is None:
        entry.flags &= ~WQ_FLAG_EXCLUSIVE
        _link_first(wq, entry)


def add_wait_queue_exclusive(wq: WaitQueueHead, entry: WaitQueueEntry) -> None:
    """Stand at the end of the queue; one wake-up satisfies one such entry.  Linux: kernel/sched/wait.c."""
    if entry.wq is None:
        entry.flags |= WQ_FLAG_EXCLUSIVE
        _link_last(wq, entry)


def remove_wait_queue(wq: WaitQueueHead, entry: WaitQueueEntry) -> None:
    """Leave the queue; one that does not stand in it is left alone.  Linux: kernel/sched/wait.c."""
    if entry.wq is wq:
        _unlink(wq, entry)


def waitqueue_active(wq: WaitQueueHead) -> bool:
    """True if anybody waits.  Linux: include/linux/wait.h."""
    return wq.first is not None


def __wake_up_common(wq: WaitQueueHead, mode: int, nr_exclusive: i64, key: int) -> None:
    """Call the entries; stop when `nr_exclusive` exclusive ones took it (0: call all).

    Linux: kernel/sched/wait.c.  An entry may leave the queue, and let others leave it, while it is called.
    """
    outer = wq._cursor
    entry = wq.first
    while entry is not None:
        wq._cursor = entry.next
        exclusive: bool = entry.flags & WQ_FLAG_EXCLUSIVE != 0
        if entry.func(mode, key) and exclusive:
            nr_exclusive -= 1
            if nr_exclusive == 0:
                break
        entry = wq._cursor
    if outer is not None and outer.wq is not wq:
        outer = None
    wq._cursor = outer


def __wake_up(wq: WaitQueueHead, mode: int, nr_exclusive: i64, key: int) -> None:
    """Linux: kernel/sched/wait.c."""
    if wq.first is not None:
        __wake_up_common(wq, mode, nr_exclusive, key)


def wake_up(wq: WaitQueueHead) -> None:
    """Wake all plain waiters and one exclusive.  Linux: include/linux/wait.h."""
    __wake_up(wq, TASK_NORMAL, 1, 0)


def wake_up_all(wq: WaitQueueHead) -> None:
    """Wake everybody.  Linux: include/linux/wait.h."""
    __wake_up(wq, TASK_NORMAL, 0, 0)


def wake_up_interruptible(wq: WaitQueueHead) -> None:
    """As wake_up(), but only interruptible waits.  Linux: include/linux/wait.h."""
    __wake_up(wq, TASK_INTERRUPTIBLE, 1, 0)


def wake_up_interruptible_all(wq: WaitQueueHead) -> None:
    """Wake everybody who waits interruptibly.  Linux: include/linux/wait.h."""
    __wake_up(wq, TASK_INTERRUPTIBLE, 0, 0)


def wake_up_poll(wq: WaitQueueHead, key: int) -> None:
    """As wake_up(), telling what happened.  Linux: include/linux/wait.h."""
    __wake_up(wq, TASK_NORMAL, 1, key)


def wake_up_interruptible_poll(wq: WaitQueueHead, key: int) -> None:
    """As wake_up_interruptible(), telling what happened.  Linux: include/linux/wait.h."""
    __wake_up(wq, TASK_INTERRUPTIBLE, 1, key)


def wake_up_interruptible_sync_poll(wq: WaitQueueHead, key: int) -> None:
    """As wake_up_interruptible_poll(): with one processor every wake-up is "sync".  Linux: include/linux/wait.h."""
    __wake_up(wq, TASK_INTERRUPTIBLE, 1, key)


def prepare_to_wait(
    wq: WaitQueueHead, wait: TaskWait, exclusive: bool = False, state: i64 = TASK_INTERRUPTIBLE
) -> None:
    """Stand in the queue (if not there yet) and announce the wait; look at the condition after it.

    Linux: kernel/sched/wait.c; exclusive covers prepare_to_wait_exclusive.
    """
    if wait.wq is None:
        if exclusive:
            add_wait_queue_exclusive(wq, wait)
        else:
            add_wait_queue(wq, wait)
    task = wait.task
    task.state = state
    task._woken = False


def prepare_to_wait_exclusive(wq: WaitQueueHead, wait: TaskWait, state: i64 = TASK_INTERRUPTIBLE) -> None:
    """prepare_to_wait() at the exclusive end.  Linux: kernel/sched/wait.c."""
    prepare_to_wait(wq, wait, True, state)


def finish_wait(wq: WaitQueueHead, wait: TaskWait) -> None:
    """The wait is over: run on, and leave the queue.  Linux: kernel/sched/wait.c."""
    task = wait.task
    task.state = TASK_RUNNING
    task._woken = False
    if wait.wq is not None:
        _unlink(wait.wq, wait)


def wait_woken(sched: Scheduler, wait: WokenWait, timeout_ns: i64, state: i64 = TASK_INTERRUPTIBLE) -> i64:
    """Wait unless `wait` was woken since the last call; gives the ns left.  Linux: kernel/sched/wait.c."""
    task = wait.task
    task.state = state
    task._woken = False
    left: i64 = timeout_ns
    if wait.flags & WQ_FLAG_WOKEN == 0:
        left = schedule_timeout(sched, timeout_ns)
    task.state = TASK_RUNNING
    wait.flags &= ~WQ_FLAG_WOKEN
    return left
