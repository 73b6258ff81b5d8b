# SPDX-License-Identifier: Apache-2.0
"""Threads of a simulated program: each is a task; locks park tasks.

What the threading and queue modules are built from (a lock, a way to start, an identity) is replaced, so that Thread,
Condition, Event, Queue and the executors above work as they are. A switch happens only where a task waits, so a program's
threads never preempt.
"""
from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

from greenlet import GreenletExit

from linnet.kernel.clock import ns_from_seconds
from linnet.kernel.sched import (
    MAX_SCHEDULE_TIMEOUT,
    TASK_INTERRUPTIBLE,
    Task,
    schedule_timeout,
    set_current_state,
    wake_up_process,
)
from linnet.program.runtime import Runtime, current_program, current_task, ident_of


class Waiters:
    """Tasks that wait for one thing, in the order of their coming."""

    __slots__ = ('tasks',)

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def wait(self, deadline: int | None, what: str) -> bool:
        """Park until woken; False when the world's time reached deadline (ns)."""
        task = current_task()
        if task is None:
            raise RuntimeError(f'waiting for {what} outside of a simulated task would never end')
        sched = task.sched
        left = MAX_SCHEDULE_TIMEOUT if deadline is None else deadline - int(sched.clock.now)
        if left <= 0:
            return False
        self.tasks.append(task)
        before, task.wait_what = task.wait_what, what
        try:
            set_current_state(sched, TASK_INTERRUPTIBLE)
            left = schedule_timeout(sched, left)
        finally:
            task.wait_what = before
            if task in self.tasks:
                self.tasks.remove(task)
        if task.pending_signals:
            current_program().signals.run_handlers()
        return left > 0

    def wake(self, count: int = 1) -> None:
        """Wake the first `count`."""
        for _ in range(min(count, len(self.tasks))):
            wake_up_process(self.tasks.pop(0))


def deadline_of(timeout: float | None) -> int | None:
    """The world's time (ns) that lies timeout seconds ahead; None for None and negative: never."""
    task = current_task()
    if timeout is None or timeout < 0 or task is None:
        return None
    return int(task.sched.clock.now) + ns_from_seconds(timeout)


class SimLock:
    """As _thread.lock."""

    __slots__ = ('__weakref__', '_locked', '_waiters')

    def __init__(self) -> None:
        self._locked = False
        self._waiters = Waiters()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it; wait where it is taken."""
        if not blocking and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0 and timeout != -1:
            raise ValueError('timeout value must be a non-negative number')
        if timeout > threading.TIMEOUT_MAX:
            raise OverflowError('timeout value is too large')
        if not self.locked():
            self._locked = True
            return True
        if not blocking:
            return False
        deadline = deadline_of(timeout)
        while self.locked():
            if not self._waiters.wait(deadline, 'a lock') and self.locked():
                return False
        self._locked = True
        return True

    def release(self) -> None:
        """Give it up and wake one who waits."""
        if not self._locked:
            raise RuntimeError('release unlocked lock')
        self._locked = False
        self._waiters.wake()

    def locked(self) -> bool:
        """Is it taken?"""
        return self._locked

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()

    acquire_lock = acquire
    release_lock = release
    locked_lock = locked

    def _at_fork_reinit(self) -> None:
        self.__init__()  # type: ignore[misc]

    def __repr__(self) -> str:
        return f'<{"locked" if self._locked else "unlocked"} linnet.lock object at {id(self):#x}>'


class EitherLock:
    """A lock that a module made before any program ran (concurrent.futures has one): for whoever is no program it is that lock;
    the tasks of each world have one of their own in its place, on which they can park.
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self._sims: WeakKeyDictionary[Runtime, SimLock] = WeakKeyDictionary()

    def _lock(self) -> Any:
        if current_task() is None:
            return self._real
        runtime = current_program().runtime
        lock = self._sims.get(runtime)
        if lock is None:
            lock = self._sims[runtime] = SimLock()
        return lock

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it; wait where it is taken."""
        return bool(self._lock().acquire(blocking, timeout))

    def release(self) -> None:
        """Give it up."""
        self._lock().release()

    def locked(self) -> bool:
        """Is it taken?"""
        return bool(self._lock().locked())

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._real._at_fork_reinit()


class SimRLock(threading._PyRLock):  # type: ignore[name-defined,misc]
    """threading.RLock in Python: it takes its lock and its identities by the names that are replaced."""


def get_ident() -> int:
    """The identity of the running task, as a thread's."""
    task = current_task()
    assert task is not None
    return ident_of(task)


def count() -> int:
    """As _thread._count: the program's threads but for the main one."""
    return len(current_program().tasks) - 1


def unless_killed(hook: Callable[[Any], None]) -> Callable[[Any], None]:
    """threading.excepthook is not for a thread that ends with its program."""
    def invoke(thread: Any) -> None:
        if not isinstance(sys.exc_info()[1], GreenletExit):
            hook(thread)
    return invoke


def start_new_thread(function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> int:
    """As _thread.start_new_thread: a task that runs function(*args)."""
    program = current_program()
    if program.exited:
        raise RuntimeError("can't start new thread: the program is ending")

    def body() -> None:
        try:
            function(*args, **(kwargs or {}))
        except SystemExit:
            pass
        except Exception as exc:
            if sys.unraisablehook is sys.__unraisablehook__:
                traceback.print_exc()
            else:
                sys.unraisablehook(SimpleNamespace(  # CPython keeps its own type to itself
                    exc_type=type(exc), exc_value=exc, exc_traceback=exc.__traceback__,
                    err_msg='Exception ignored in thread started by', object=function))
        finally:
            sentinel = sentinels.pop(get_ident(), None)
            if sentinel is not None and sentinel.locked():
                sentinel.release()

    owner = getattr(function, '__self__', None)
    daemon = bool(getattr(owner, 'daemon', False))
    if isinstance(owner, threading.Thread):
        owner._invoke_excepthook = unless_killed(owner._invoke_excepthook)  # type: ignore[attr-defined]
    name = getattr(owner, 'name', None) or getattr(function, '__name__', 'thread')
    task = program.runtime.start_thread(program, body, f'{program.net.name}:{program.name}/{name}', daemon)
    return ident_of(task)


sentinels: dict[int, SimLock] = {}  # thread identity -> the lock that Thread.join() waits on (Python 3.11 and 3.12)


def set_sentinel() -> SimLock:
    """As _thread._set_sentinel: a lock that is released when the running thread ends."""
    lock = SimLock()
    sentinels[get_ident()] = lock
    return lock


class SimThreadHandle:
    """As _thread._ThreadHandle (Python 3.13): the identity of a joinable thread, and a way to wait for its end."""

    def __init__(self) -> None:
        self.ident: int | None = None
        self._done = False
        self._waiters = Waiters()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread's end; None or negative: for ever."""
        deadline = deadline_of(timeout)
        while not self._done and self._waiters.wait(deadline, 'the end of a thread'):
            pass

    def is_done(self) -> bool:
        """Has it ended?"""
        return self._done

    def _set_done(self) -> None:
        self._done = True
        self._waiters.wake(len(self._waiters.tasks))


def start_joinable_thread(function: Callable[[], object], handle: SimThreadHandle | None = None,
                          daemon: bool = True) -> SimThreadHandle:
    """As _thread.start_joinable_thread."""
    chosen = handle if handle is not None else SimThreadHandle()

    def body() -> None:
        try:
            function()
        finally:
            chosen._set_done()

    body.__self__ = getattr(function, '__self__', None)  # type: ignore[attr-defined]  # for its name and its daemon flag
    chosen.ident = start_new_thread(body, ())
    return chosen
