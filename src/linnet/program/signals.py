# SPDX-License-Identifier: Apache-2.0
"""Signals to a simulated program, from itself, from its neighbours on the host, from its alarm, or from the lab.

As in CPython a handler runs in the program's main thread: at once if that is what runs, else when its present wait ends with
EINTR; the call goes on afterwards with the time that is left (PEP 475). The wake-up descriptor gets its byte at once, which is
how asyncio hears of a signal. What nobody handles does what it does to a process, with one difference: the finally blocks of a
program that is ended do run.
"""
from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from linnet.kernel.clock import Clock
from linnet.kernel.sched import Task, send_signal
from linnet.kernel.timer import TimerList, del_timer, mod_timer

if TYPE_CHECKING:
    from types import FrameType

Handler = Callable[[int, 'FrameType | None'], Any] | int | None

IGNORED: Final = frozenset({signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH})  # by default
UNCATCHABLE: Final = frozenset({signal.SIGKILL, signal.SIGSTOP})


class AlarmTimer(TimerList):
    """alarm() and setitimer(ITIMER_REAL): SIGALRM when it is over, again and again where there is an interval (ns)."""

    def __init__(self, clock: Clock, signals: Signals) -> None:
        super().__init__(clock)
        self.clock = clock
        self.signals = signals
        self.interval = 0

    def function(self) -> None:
        """It is time."""
        if self.interval:
            mod_timer(self, int(self.clock.now) + self.interval)
        self.signals.send(signal.SIGALRM)


class Signals:
    """The signal table of one program. main: the task of its main thread; end(exit_code) ends the program; wake(byte) writes
    to its wake-up descriptor.
    """

    def __init__(self, clock: Clock, end: Callable[[int], None], wake: Callable[[int, bytes], None]) -> None:
        self.handlers: dict[int, Handler] = {
            signal.SIGINT: signal.default_int_handler, signal.SIGPIPE: signal.SIG_IGN, signal.SIGXFSZ: signal.SIG_IGN}
        self.main: Task | None = None
        self.end = end
        self.wake = wake
        self.wakeup_fd = -1
        self.pending: list[int] = []
        self.alarm = AlarmTimer(clock, self)

    def handler(self, signum: int) -> Handler:
        """What is done about it now."""
        return self.handlers.get(signum, signal.SIG_DFL)

    def handled(self, signum: int) -> bool:
        """Does the program do something of its own about it?"""
        handler = self.handler(signum)
        return callable(handler) and handler is not signal.default_int_handler

    def set_handler(self, signum: int, handler: Handler) -> Handler:
        """Set it; returns the one before. OSError (EINVAL) for SIGKILL and SIGSTOP, ValueError for no signal's number."""
        if not 1 <= signum < signal.NSIG:
            raise ValueError('signal number out of range')
        if signum in UNCATCHABLE:
            raise OSError(22, 'Invalid argument')
        before = self.handler(signum)
        self.handlers[signum] = handler
        return before

    def send(self, signum: int) -> None:
        """The signal arrives."""
        main = self.main
        if main is None or not main.alive():
            return
        handler = self.handler(signum)
        if signum in UNCATCHABLE or (handler == signal.SIG_DFL and signum not in IGNORED):
            self.end(-signum)
            return
        if not callable(handler):
            return
        if self.wakeup_fd >= 0:
            self.wake(self.wakeup_fd, bytes([signum]))
        if signum not in self.pending:
            self.pending.append(signum)
        if main.sched.current is main:
            self.run_handlers()
        else:
            send_signal(main, signum)

    def run_handlers(self) -> None:
        """In the main thread: run the handlers of what is pending, lowest number first. What one raises is raised."""
        assert self.main is not None
        self.main.pending_signals = 0
        while self.pending:
            signum = min(self.pending)
            self.pending.remove(signum)
            handler = self.handler(signum)
            if callable(handler):
                handler(signum, None)

    def close(self) -> None:
        """The program has ended: nothing arrives any more."""
        del_timer(self.alarm)
        self.main = None
