# SPDX-License-Identifier: Apache-2.0
"""The whole process is one program on a host in real time (`linnet exec`): its threads are the interpreter's own.

The stack runs in a thread of its own. A thread of the program that makes a system call (calls.py) takes the world's lock, does
the call itself, and lets go; where the call waits, the thread sleeps outside of the world until the loop, or another thread's
call, wakes it (kernel/sched.py: Gate). So whatever else a thread does (compute, sleep, read a pipe or the terminal, wait for a
process, call C code that blocks) stops neither the stack nor anybody. Only what has to do with sockets is replaced
(patches.py: install_sockets); time, threads, locks, signals and processes are the machine's.

While the world's lock is held the collector of cycles is off: finalizers are the program's code, and may make calls. Nor do
signal handlers run then (handlers.py).
"""
from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from _thread import allocate_lock
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import Sock
from linnet.include.net.tcp import TcpSock
from linnet.include.net.tcp_states import TCP_CLOSING, TCP_FIN_WAIT1, TCP_LAST_ACK
from linnet.kernel.errno import ENETDOWN
from linnet.kernel.sched import Gate, Scheduler, Task, Work
from linnet.net.socket import sys_close
from linnet.program import calls
from linnet.program.handlers import Ended, Handlers
from linnet.program.runtime import Program, Runtime, real_get_ident, running

T = TypeVar('T')
GOING = (TCP_FIN_WAIT1, TCP_CLOSING, TCP_LAST_ACK)
GRACE = 5.0  # s for closed connections to deliver what was sent: the kernel's outlive their process, these do not
SWITCH_INTERVAL = 0.001  # s; the longest that a thread which computes keeps the interpreter from the stack
FORKED = ('this process was forked from a program on Linnet and has no network stack: that lives in the parent. '
          'Start the child as a program of its own (linnet exec), or let the parent have the sockets')


def _nothing() -> None:
    """What the task of a real thread runs: the thread is there already."""


class Call(Work):
    """A function that the loop calls."""

    def __init__(self, fn: Callable[[], None]) -> None:
        self.fn = fn

    def run(self) -> None:
        """Now."""
        self.fn()


class RealGate(Gate):
    """The world's lock, fair between the loop and the threads; each thread has a task while it is in a call."""

    def __init__(self, sched: Scheduler, handlers: Handlers) -> None:
        self.sched = sched
        self.handlers = handlers
        self.down = False  # the loop has ended: a wait would be for ever
        self.pid = os.getpid()
        self._world = allocate_lock()
        self._turn = allocate_lock()  # held while one waits for the world: who lets go of that does not get it back at once
        self._collect = True  # was the collector on?
        self._loop = 0  # the loop's thread
        self._sleepers: dict[Task, Any] = {}
        self._main_task = self._new_task()
        handlers.wake = self._sleepers[self._main_task]
        self._idle: list[Task] = []  # tasks of no thread at the moment
        self._main = threading.main_thread().ident

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
        """Sleep outside of the world. A signal that a handler is for wakes the main thread, whose call then ends with EINTR."""
        self.sched.current = None
        self.leave()
        self._sleepers[task].acquire()
        self.enter()
        self.sched.current = task
        if task is self._main_task and self.handlers.deferred:
            task.pending_signals = 1

    def unpark(self, task: Task) -> None:
        """End its sleep."""
        with suppress(RuntimeError):  # a signal came first
            self._sleepers[task].release()

    # -- calls

    def call(self, fn: Callable[..., T], *args: Any) -> T:
        """fn(*args) within the world, in the caller's thread."""
        ident = real_get_ident()
        if self.down or ident == self._loop:
            return self._call_otherwise(fn, *args)
        if ident != self._main:
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
        sched.current = task
        try:
            return fn(*args)
        finally:
            sched.current = None
            task.pending_signals = 0
            sched.kick()
            self.leave()
            if task is not self._main_task:
                self._idle.append(task)

    def _call_otherwise(self, fn: Callable[..., T], *args: Any) -> T:
        """Where nobody could wait: in a forked child, after the loop's end, in a finalizer that came up in the loop's thread."""
        if os.getpid() != self.pid:
            if fn is sys_close:
                return None  # type: ignore[return-value]  # the parent has it open
            raise PermissionError(1, FORKED)
        if self.down:
            raise OSError(ENETDOWN, os.strerror(ENETDOWN))
        self.enter()
        try:
            return fn(*args)
        finally:
            self.leave()

    def serve(self) -> None:
        """The body of the loop's thread."""
        self._loop = real_get_ident()
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self.enter()
        try:
            self.sched.run()
        finally:
            self.down = True
            self.leave()


def undelivered(net: Net) -> bool:
    """Are there connections that are closed, and whose peers have not acknowledged everything yet?"""
    info = net.ipv4.tcp_hashinfo
    for first in [] if info is None else info.ehash.values():
        sk: Sock | None = first
        while sk is not None:
            if isinstance(sk, TcpSock) and sk.sk_state in GOING and sk.write_seq != sk.snd_una:
                return True
            sk = sk.sk_hash_next
    return False


class Residence:
    """The process as a program on the host of `runtime`'s world: from start() to close()."""

    def __init__(self, runtime: Runtime, program: Program, forked: Callable[[], None]) -> None:
        self.runtime = runtime
        self.in_parent = forked  # what a forked child does to the device that is its parent's
        self.program = program
        self.sched = runtime.world.sched
        self.handlers = Handlers()
        self.gate = RealGate(self.sched, self.handlers)
        self.lost = False  # the loop ended before close()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name='linnet', daemon=True)
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

    def _serve(self) -> None:
        try:
            self.gate.serve()
        finally:
            if not self._closing:
                self.lost = True
                signal.pthread_kill(self.gate._main, signal.SIGTERM)  # type: ignore[arg-type]

    def _forked(self) -> None:
        """In a child: the descriptors of the stack are not its own."""
        running.program, running.forked = None, FORKED
        self.gate.down = True
        self.handlers.forked()
        self.in_parent()

    @property
    def forked(self) -> bool:
        """Is this process a child of the one that start() was called in?"""
        return os.getpid() != self.gate.pid

    def _say_goodbye(self) -> None:
        limit = time.monotonic() + GRACE
        while not self.gate.down and self.gate.call(undelivered, self.program.net) and time.monotonic() < limit:
            time.sleep(0.005)

    def close(self) -> None:
        """Close what the program left open, end the loop's thread."""
        if self._closing:
            return
        self._closing = True
        if not self.gate.down:
            for fd in self.program.files.fds():
                with suppress(OSError, Ended):
                    self.gate.call(sys_close, self.program, fd)
            self._say_goodbye()
        self.program.exited = True
        running.program = None
        self.sched.call_soon_threadsafe(Call(self.sched.stop))
        self._thread.join()
        self.sched.gate = None
        self.sched.unhold()
