# SPDX-License-Identifier: Apache-2.0
"""What a simulated program sees of itself as a process: signal.*, os.kill and os.getpid, its environment; and what it cannot do:
start another process.
"""
from __future__ import annotations

import errno
import os
import signal
import threading
from typing import Any, NoReturn

from linnet.kernel.clock import ns_from_seconds
from linnet.kernel.sched import MAX_SCHEDULE_TIMEOUT, TASK_INTERRUPTIBLE, schedule_timeout, set_current_state
from linnet.kernel.timer import del_timer, mod_timer, timer_pending
from linnet.program.runtime import Program, current_program, current_task
from linnet.program.signals import Handler, Signals


def getpid() -> int:
    """The program's number in its world."""
    return current_program().pid


def kill(pid: int, signum: int) -> None:
    """Send a signal to a program of this host (0: to this one). ProcessLookupError: there is none."""
    me = current_program()
    if not 0 <= signum < signal.NSIG:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    for program in me.runtime.programs:
        if program.net is me.net and not program.done and (program.pid == pid or (pid == 0 and program is me)):
            if signum:
                program.signals.send(signum)
            return
    raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))


# -- signal.*

def _mine() -> Signals:
    return current_program().signals


def _main_thread_only(what: str) -> None:
    if current_task() is not current_program().signals.main:
        raise ValueError(f'{what} only works in main thread of the main interpreter')


def set_signal(signum: int, handler: Any) -> Handler:
    """As signal.signal."""
    if handler not in (signal.SIG_IGN, signal.SIG_DFL) and not callable(handler):
        raise TypeError('signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object')
    _main_thread_only('signal')
    return _mine().set_handler(signum, handler)


def getsignal(signum: int) -> Handler:
    """As signal.getsignal."""
    if not 1 <= signum < signal.NSIG:
        raise ValueError('signal number out of range')
    return _mine().handler(signum)


def raise_signal(signum: int) -> None:
    """As signal.raise_signal."""
    kill(0, signum)


def interrupt_main(signum: int = signal.SIGINT) -> None:
    """As _thread.interrupt_main: what is ignored, or left to its default, does nothing."""
    if not 1 <= signum < signal.NSIG:
        raise ValueError('signal number out of range')
    if callable(current_program().signals.handler(signum)):
        kill(0, signum)


def pthread_kill(thread_id: int, signum: int) -> None:
    """As signal.pthread_kill; Python handlers run in the main thread whichever it is."""
    if thread_id not in threading._active:  # type: ignore[attr-defined]
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    kill(0, signum)


def siginterrupt(signum: int, flag: bool) -> None:
    """As signal.siginterrupt; calls go on after a handler in any case (PEP 475)."""
    getsignal(signum)


def set_wakeup_fd(fd: int, *, warn_on_full_buffer: bool = True) -> int:
    """As signal.set_wakeup_fd."""
    _main_thread_only('set_wakeup_fd')
    signals = _mine()
    before, signals.wakeup_fd = signals.wakeup_fd, fd
    return before


def setitimer(which: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
    """As signal.setitimer, for ITIMER_REAL: a world has no CPU time."""
    before = getitimer(which)
    signals = _mine()
    now = int(current_program().world.clock.now)
    signals.alarm.interval = ns_from_seconds(interval)
    if seconds:
        mod_timer(signals.alarm, now + ns_from_seconds(seconds))
    else:
        del_timer(signals.alarm)
    return before


def getitimer(which: int) -> tuple[float, float]:
    """As signal.getitimer."""
    if which != signal.ITIMER_REAL:
        raise signal.ItimerError(errno.EINVAL, 'a world has real (virtual) time alone: ITIMER_REAL')
    alarm = _mine().alarm
    now = int(current_program().world.clock.now)
    return (int(alarm.expires) - now) / 1e9 if timer_pending(alarm) else 0.0, alarm.interval / 1e9


def alarm(seconds: int) -> int:
    """As signal.alarm."""
    return -int(-setitimer(signal.ITIMER_REAL, seconds)[0] // 1)


def pause() -> None:
    """As signal.pause: until a handler has run."""
    task = current_task()
    assert task is not None
    _main_thread_only('pause')
    while not task.pending_signals:
        task.wait_what = 'a signal'
        set_current_state(task.sched, TASK_INTERRUPTIBLE)
        schedule_timeout(task.sched, MAX_SCHEDULE_TIMEOUT)
    _mine().run_handlers()


def main_thread() -> threading.Thread:
    """As threading.main_thread: the program's own."""
    return current_program().main_thread


# -- what is refused

def in_virtual_time() -> Program | None:
    """The program that runs here, if its world's time is virtual; a program on a TUN may start processes of the machine."""
    task = current_task()
    if task is None or not isinstance(task.process, Program) or not task.process.world.clock.virtual:
        return None
    return task.process


def refuse(what: str) -> NoReturn:
    """PermissionError: no process of the machine is started in virtual time."""
    raise PermissionError(
        errno.EPERM, f'{what}: a program in virtual time cannot start a process of the machine, which would live in another '
                     "time; spawn the program on a host of the lab instead: host.spawn(['prog.py', ...])")
