# SPDX-License-Identifier: Apache-2.0
"""The whole process is one program on a host in real time (`linnet exec`): its threads are the interpreter's own.

A thread of the program that makes a system call (calls.py) takes the world's lock, does the call itself, and lets go
(kernel/sched.py: Gate). Where the call waits, the first such thread becomes the loop and leads until what it waits for is there;
others follow: they sleep outside of the world until they are woken, or are to lead. So a program with one thread never waits for
another one to run. While no thread is in a call that waits, what is due is done in the calls that they make; where they make
none, for they compute, sleep, read a pipe or are in C code that blocks, a thread of the stack's own stands in after TICK.

Only what has to do with sockets is replaced (patches.py: install_sockets); time, threads, locks, signals and processes are the
machine's.

While the world's lock is held the collector of cycles is off: finalizers are the program's code, and may make calls. Nor do
signal handlers run then (handlers.py).
"""
from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import threading
import time
from _thread import allocate_lock
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from linnet.include.net.net_namespace import Net
from linnet.include.net.tcp import TcpSock
from linnet.include.net.tcp_states import TCP_CLOSING, TCP_FIN_WAIT1, TCP_LAST_ACK
from linnet.kernel.sched import TASK_RUNNING, Gate, Scheduler, Task
from linnet.net.ipv4.tcp_ipv4_proc import tcp_socks
from linnet.net.socket import sys_close
from linnet.program import calls
from linnet.program.handlers import Ended, Handlers
from linnet.program.runtime import Program, Runtime, real_get_ident, running

T = TypeVar('T')
GOING = (TCP_FIN_WAIT1, TCP_CLOSING, TCP_LAST_ACK)
GRACE = 5.0  # s for closed connections to deliver what was sent: the kernel's outlive their process, these do not
LOOK = 1_000_000  # ns; so often a call looks at the network, where nobody leads
TICK = 0.002  # s
CALM = 20  # ticks on end without another leader, after which the stand-in sleeps
SWITCH_INTERVAL = 0.001  # s; the longest that a thread which computes keeps the interpreter from the stack
FORKED = ('this process was forked from a program on Linnet and has no network stack: that lives in the parent. '
          'Start the child as a program of its own (linnet exec), or let the parent have the sockets')


def _nothing() -> None:
    """What the task of a real thread runs: the thread is there already."""


class RealGate(Gate):
    """The world's lock, fair to all; each thread has a task while it is in a call. What changes here changes under the lock."""

    def __init__(self, sched: Scheduler, handlers: Handlers) -> None:
        self.sched = sched
        self.handlers = handlers
        self.ending = False  # the process ends: all calls but the main thread's do
        self.closed = False  # there are none any more
        self.pid = os.getpid()
        self._world = allocate_lock()
        self._turn = allocate_lock()  # held while one waits for the world: who lets go of that does not get it back at once
        self._collect = True  # was the collector on?
        self._sleepers: dict[Task, Any] = {}
        self._idle: list[Task] = []  # tasks of no thread at the moment
        self._main_task = self._new_task()
        self.main = threading.main_thread().ident or 0
        handlers.wake = self.wake_main
        self._leader: Task | None = None
        self._followers: dict[Task, None] = {}  # asleep, the first one came first
        self._changes = 0  # of the leader
        self._calls = 0
        self._under_way: set[Task] = set()  # of threads that are in a call, but for the main one
        self._looked = 0  # when somebody last did what was due (ns)
        self._stand_in = self._new_task()
        self._stand_in_thread = 0
        self._ticking = True  # the stand-in looks every TICK whether anybody leads; else it sleeps until it is called
        self._call_stand_in = allocate_lock()
        self._call_stand_in.acquire()

    def _new_task(self) -> Task:
        task = Task(self.sched, 0, _nothing, 'thread', None)
        task.gate = self
        lock = self._sleepers[task] = allocate_lock()
        lock.acquire()
        return task

    # -- what the scheduler asks for

    def enter(self) -> None:
        """Take the world."""
        with self._turn:
            self._world.acquire()
        self._collect = gc.isenabled()
        gc.disable()
        self.sched.clock.advance(0)

    def leave(self) -> None:
        """Let go of it."""
        if self._collect:
            gc.enable()
        self._world.release()

    def park(self, task: Task) -> None:
        """Lead, or sleep outside of the world. A signal that a handler is for ends the main thread's wait with EINTR."""
        self.sched.current = None
        while not self._may_go(task):
            if self._leader is None:
                self._lead(task)
            else:
                self._follow(task)
        if self.ending and task is not self._main_task:
            self.leave()  # it may wait for another one on its way out
            self.enter()
            task.pending_signals = 1
        elif task is self._main_task and self.handlers.deferred:
            task.pending_signals = 1
        self.sched.current = task

    def give_way(self, task: Task) -> None:
        """Others get their turn; where nobody leads, what is due is done here."""
        self.sched.current = None
        if self._leader is None:
            self._round(task)
        else:
            self.sched.kick()
            self.leave()
            self.enter()
        self.sched.current = task

    def unpark(self, task: Task) -> None:
        """End its wait."""
        if task is self._leader:
            self.sched.halt()
        else:
            self._wake(task)

    def leads(self) -> bool:
        """Is the leader still to lead?"""
        leader = self._leader
        return leader is not None and not self.closed and not self._may_go(leader)

    # -- who leads

    def _round(self, task: Task) -> None:
        """Nobody leads, and the task is no reason to: what is due at this instant."""
        self._leader = task
        try:
            self.sched.round()
        finally:
            self._leader = None
            self._looked = int(self.sched.clock.now)
        if self._followers:
            self._pass_on()

    def _may_go(self, task: Task) -> bool:
        if task is self._stand_in:
            return bool(self._followers)
        if task is self._main_task:
            return task.state == TASK_RUNNING or bool(self.handlers.deferred)
        return task.state == TASK_RUNNING or self.ending

    def _lead(self, task: Task) -> None:
        """Be the loop until the task may go, and call the next one."""
        self._leader = task
        try:
            self.sched.lead()
        finally:
            self._leader = None
            self._pass_on()

    def _pass_on(self) -> None:
        """Nobody leads: the first follower is to, or the stand-in before long."""
        self._changes += 1
        self._looked = int(self.sched.clock.now)
        for task in self._followers:
            self._wake(task)
            return
        self._wake_stand_in()

    def _wake_stand_in(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._call_stand_in.release()

    def _follow(self, task: Task) -> None:
        """Sleep until woken, or until there is no leader. The stand-in gives way at once to a thread that has to wait anyway."""
        self._followers[task] = None
        if self._leader is self._stand_in:
            self.sched.halt()
        else:
            self.sched.kick()
        self._sleep(task)
        del self._followers[task]
        if self._leader is None and self._may_go(task):
            self._pass_on()  # it was called to lead, and needs to no longer

    def _sleep(self, task: Task) -> None:
        self.leave()
        self._sleepers[task].acquire()
        self.enter()

    def _wake(self, task: Task) -> None:
        try:
            self._sleepers[task].release()
        except RuntimeError:
            return  # it is awake, or about to be

    def wake_main(self) -> None:
        """In a handler of a signal, in the main thread, which is in a call: its wait ends."""
        if self._leader is self._main_task:
            self.sched.interrupt()
        else:
            self._wake(self._main_task)

    def stand_in(self) -> None:
        """The body of the stack's own thread."""
        self._stand_in_thread = real_get_ident()
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        seen, calls, calm = -1, 0, 0
        while not self.closed:
            self.enter()
            if self._leader is None and self._calls == calls and not self.closed:
                self._lead(self._stand_in)
            calls = self._calls
            if self._changes == seen and self._leader is not None:
                calm += 1
                self._ticking = calm < CALM or self.closed
            else:
                seen, calm = self._changes, 0
            ticking = self._ticking
            self.leave()
            if ticking:
                time.sleep(TICK)
            else:
                self._call_stand_in.acquire()

    # -- calls

    def call(self, fn: Callable[..., T], *args: Any) -> T:
        """fn(*args) within the world, in the caller's thread."""
        ident = real_get_ident()
        if self.ending or ident == self._stand_in_thread:
            return self._call_otherwise(fn, *args)
        if ident != self.main:
            return self._call(self._idle.pop() if self._idle else self._new_task(), fn, *args)
        handlers = self.handlers
        handlers.calls += 1
        try:
            return self._call(self._main_task, fn, *args)
        finally:
            handlers.calls -= 1
            if handlers.deferred:
                handlers.run()

    def _call(self, task: Task, fn: Callable[..., T], *args: Any) -> T:
        sched = self.sched
        self.enter()
        self._calls += 1
        if task is not self._main_task:
            self._under_way.add(task)
        if self._leader is None and sched.clock.now - self._looked > LOOK:
            self._round(task)
        sched.current = task
        try:
            return fn(*args)
        finally:
            sched.current = None
            task.pending_signals = 0
            sched.kick()
            self._under_way.discard(task)
            self.leave()
            if task is not self._main_task:
                self._idle.append(task)
                if self.ending:
                    stay()

    def _call_otherwise(self, fn: Callable[..., T], *args: Any) -> T:
        """Where nobody could wait: in a forked child, after the end, in a finalizer that came up in the stack's own thread."""
        if os.getpid() != self.pid:
            if fn is sys_close:
                return None  # type: ignore[return-value]  # the parent has it open
            raise PermissionError(errno.EPERM, FORKED)
        if real_get_ident() != self._stand_in_thread:
            if real_get_ident() == self.main:
                raise OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN))
            stay()
        self.enter()
        try:
            return fn(*args)
        finally:
            self.leave()

    def finish(self, program: Program, lost: Callable[[], bool]) -> None:
        """In the main thread: end the calls of all others, and close what the program left open. It ends with sockets idle."""
        self.ending = True
        limit = time.monotonic() + GRACE
        while self._under_way and not self.handlers.deferred and time.monotonic() < limit:
            self.sched.interrupt()
            for task in list(self._under_way):
                self._wake(task)
            time.sleep(TICK)
        for fd in program.files.fds():
            with suppress(OSError):
                self._call(self._main_task, sys_close, program, fd)
        while not self.handlers.deferred and not lost() and time.monotonic() < limit and (
                self._call(self._main_task, undelivered, program.net)):
            time.sleep(TICK)

    def close(self) -> None:
        """In the main thread: whoever leads is to stop, for good."""
        self.ending = self.closed = True
        self.enter()
        self._wake_stand_in()
        self.leave()
        while self._leader is not None:
            self.sched.interrupt()
            time.sleep(TICK)


def stay() -> NoReturn:
    """What a thread does that is left when the process ends: nothing."""
    while True:
        time.sleep(3600)


def undelivered(net: Net) -> bool:
    """Are there connections that are closed, and whose peers have not acknowledged everything yet?"""
    return any(isinstance(sk, TcpSock) and sk.sk_state in GOING and sk.write_seq != sk.snd_una for sk in tcp_socks(net))


class Residence:
    """The process as a program on the host of `runtime`'s world: from start() to close()."""

    def __init__(self, runtime: Runtime, program: Program, forked: Callable[[], None]) -> None:
        self.runtime = runtime
        self.in_parent = forked  # what a forked child does to the device that is its parent's
        self.program = program
        self.sched = runtime.world.sched
        self.handlers = Handlers()
        self.gate = RealGate(self.sched, self.handlers)
        self.lost = False  # the device went before close()
        self._thread = threading.Thread(target=self.gate.stand_in, name='linnet', daemon=True)
        program.gate = self.gate
        calls.use_gates()
        program.signals = self.handlers.of(program.signals)

    def start(self) -> None:
        """From now on sockets are the host's."""
        self.sched.gate = self.gate
        self.sched.hold()
        running.program = self.program
        self.handlers.install()
        sys.setswitchinterval(SWITCH_INTERVAL)
        os.register_at_fork(after_in_child=self._forked)
        self._thread.start()

    def lose(self) -> None:
        """In the loop: the device is gone. The program ends as by SIGTERM."""
        if not self.gate.closed:
            self.lost = True
            signal.pthread_kill(self.gate.main, signal.SIGTERM)

    def _forked(self) -> None:
        """In a child: the descriptors of the stack are not its own."""
        running.program, running.forked = None, FORKED
        self.gate.ending = self.gate.closed = True  # another thread, which is not here, may have held the world
        self.handlers.forked()
        self.in_parent()

    @property
    def forked(self) -> bool:
        """Is this process a child of the one that start() was called in?"""
        return os.getpid() != self.gate.pid

    def close(self) -> None:
        """Close what the program left open, end the stack's thread."""
        if self.gate.closed:
            return
        with suppress(Ended, KeyboardInterrupt):  # who is in a hurry does not wait for goodbyes
            self.handlers.calls += 1
            try:
                self.gate.finish(self.program, lambda: self.lost)
            finally:
                self.handlers.calls -= 1
            self.handlers.run()
        self.program.exited = True
        running.program = None
        self.gate.close()
        self._thread.join()
        self.sched.gate = None
        self.sched.unhold()
