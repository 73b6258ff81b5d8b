# SPDX-License-Identifier: Apache-2.0
"""Signals of the machine to a process whose sockets are on Linnet (realtime.py).

They are Python's own, with two differences. While the main thread is in a call of the stack no handler runs, for it may raise,
or make calls itself: the call's wait ends with EINTR and the handler runs at the border, after which the call goes on (PEP 475).
And SIGTERM, where the program leaves it alone, raises Ended in the main thread, so that connections are closed; one that swallows
that is ended GRACE seconds later, and a second SIGTERM, or SIGINT after it, ends the process at once.
"""
from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from linnet.program.signals import Handler, Signals

GRACE = 5.0  # s
real_signal, real_getsignal = signal.signal, signal.getsignal  # kept: the names are patched


class Ended(BaseException):
    """A signal ends the program."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class Handlers:
    """The handlers that the program set, and those that wait for the main thread to come out of a call."""

    def __init__(self) -> None:
        self.handlers: dict[int, Any] = {}  # signal -> what the program thinks is its handler
        self.calls = 0  # of the main thread that are under way
        self.deferred: list[tuple[int, Any]] = []
        self.leave: Callable[[int], object] | None = None  # what ends the process once the main thread has nothing more to do
        self.wake: Callable[[], None] = lambda: None  # ends the main thread's wait

    def install(self) -> None:
        """Take over those that Python has set, and SIGTERM."""
        for signum in signal.valid_signals():
            handler = real_getsignal(signum)
            if callable(handler):
                self.set(signum, handler)
        if real_getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self.set(signal.SIGTERM, signal.SIG_DFL)
        signal.signal, signal.getsignal = self.set, self.get

    def set(self, signalnum: int, handler: Any) -> Any:
        """As signal.signal."""
        mine = callable(handler) or (signalnum == signal.SIGTERM and handler == signal.SIG_DFL)
        before = real_signal(signalnum, self.came if mine else handler)
        known = self.handlers.pop(int(signalnum), before)
        if mine:
            self.handlers[int(signalnum)] = handler
        return known

    def get(self, signalnum: int) -> Any:
        """As signal.getsignal."""
        return self.handlers.get(int(signalnum), real_getsignal(signalnum))

    def came(self, signum: int, frame: Any) -> None:
        """A signal is here, in the main thread."""
        if self.calls == 0:
            self.handle(signum, frame)
            return
        self.deferred.append((signum, frame))
        self.wake()

    def run(self) -> None:
        """The main thread is at the border: what was deferred. What a handler raises is raised here."""
        while self.deferred and self.calls == 0:
            self.handle(*self.deferred.pop(0))

    def handle(self, signum: int, frame: Any) -> None:
        """Call the program's handler."""
        handler = self.handlers.get(signum)
        if self.leave is not None and handler is signal.default_int_handler:
            self.end(signum)
        elif callable(handler):
            handler(signum, frame)
        elif signum == signal.SIGTERM:
            self.end(signum)

    def end(self, signum: int) -> None:
        """Raise Ended; the next time the machine's default action is taken."""
        for each in (signal.SIGINT, signal.SIGTERM):
            self.handlers.pop(each, None)
            real_signal(each, signal.SIG_DFL)
        timer = threading.Timer(GRACE, os._exit, [128 + signum])
        timer.daemon = True
        timer.start()
        if self.leave is not None:
            self.leave(signum)
        raise Ended(signum)

    def forked(self) -> None:
        """In a child: SIGTERM ends it as it ends others."""
        self.calls = 0
        self.deferred.clear()
        if self.handlers.get(signal.SIGTERM) == signal.SIG_DFL:
            del self.handlers[signal.SIGTERM]
            real_signal(signal.SIGTERM, signal.SIG_DFL)

    def of(self, signals: Signals) -> Signals:
        """The program's table of signals, for those who look after EINTR whether a handler is to run."""
        return MachineSignals(signals, self)


class MachineSignals(Signals):
    """As a program of a world has it."""

    def __init__(self, signals: Signals, handlers: Handlers) -> None:
        super().__init__(signals.alarm.clock, signals.end, signals.wake)
        self.machine = handlers

    def handler(self, signum: int) -> Handler:
        """What is done about it now."""
        found: Handler = self.machine.get(signum)
        return found

    def run_handlers(self) -> None:
        """Those that are deferred."""
        if threading.current_thread() is threading.main_thread():
            self.machine.run()
