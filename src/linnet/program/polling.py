# SPDX-License-Identifier: Apache-2.0
"""select.select, poll and epoll for simulated programs, over sys_poll and sys_epoll_*.

asyncio and the selectors module work on top of these unchanged: their selectors ask for the class by a name that patches.py
replaces. Descriptors are the program's own (from 2**20 on). One of the machine's can be watched together with them in real time;
in virtual time epoll refuses it with EBADF, as a closed one would be.
"""
from __future__ import annotations

import errno
import operator
import os
import select as std
from collections.abc import Iterable
from typing import Any, SupportsFloat

from linnet.kernel.clock import ns_from_seconds
from linnet.kernel.poll import POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI
from linnet.program import calls as sys
from linnet.program.descriptors import real_poll
from linnet.program.runtime import FIRST_FD, Program, current_program

EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD = 1, 2, 3


def _fd(file: Any) -> int:
    """The descriptor of an int or of an object with fileno()."""
    fd: Any = file
    if not isinstance(file, int):
        if not hasattr(file, 'fileno'):
            raise TypeError('argument must be an int, or have a fileno() method.')
        fd = file.fileno()
        if not isinstance(fd, int):
            raise TypeError('fileno() returned a non-integer')
    if fd < 0:
        raise ValueError(f'file descriptor cannot be a negative integer ({fd})')
    return int(fd)


def _timeout_ns(seconds: float | None) -> int | None:
    if not seconds:
        return seconds if seconds is None else 0
    return None if seconds < 0 else ns_from_seconds(seconds)


def select(rlist: Iterable[Any], wlist: Iterable[Any], xlist: Iterable[Any], timeout: float | None = None) -> Any:
    """As select.select."""
    if timeout is not None:
        if not isinstance(timeout, SupportsFloat):
            raise TypeError('timeout must be a float or None')
        timeout = float(timeout)
        if timeout < 0:
            raise ValueError('timeout must be non-negative')
    wanted: dict[int, int] = {}
    lists: list[list[tuple[Any, int]]] = []
    for files, events in zip((rlist, wlist, xlist), (POLLIN, POLLOUT, POLLPRI), strict=True):
        pairs = []
        for file in files:
            fd = _fd(file)
            pairs.append((file, fd))
            wanted[fd] = wanted.get(fd, 0) | events
        lists.append(pairs)
    ready = dict(poll(current_program(), list(wanted.items()), _timeout_ns(timeout)))
    if any(events & POLLNVAL for events in ready.values()):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    masks = (POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, POLLPRI)
    return tuple([f for f, fd in pairs if ready.get(fd, 0) & mask] for pairs, mask in zip(lists, masks, strict=True))


def poll(program: Program, wanted: list[tuple[int, int]], timeout: int | None) -> list[tuple[int, int]]:
    """sys_poll(); after a signal's handler it goes on with the time that is left. timeout: ns, None: for ever.

    A descriptor of the machine is one among the others in real time (descriptors.py); in virtual time it is looked at once, at
    the beginning: no wait there is for the machine.
    """
    machine = [pair for pair in wanted if pair[0] < FIRST_FD]
    if machine and len(machine) == len(wanted) and program.gate is not None:
        return _poll_machine(machine, timeout)
    deadline = None if timeout is None else program.now() + timeout
    ready: list[tuple[int, int]] = []
    if machine and program.files.foreign is None:
        wanted = [pair for pair in wanted if pair[0] >= FIRST_FD]
        ready = _poll_machine(machine, 0)
    while True:
        left = 0 if ready else None if deadline is None else max(0, deadline - program.now())
        try:
            return ready + sys.sys_poll(program, wanted, left)
        except InterruptedError:
            program.signals.run_handlers()


def _poll_machine(wanted: list[tuple[int, int]], timeout: int | None) -> list[tuple[int, int]]:
    poller = real_poll()
    for fd, events in wanted:
        poller.register(fd, events)
    return poller.poll(None if timeout is None else timeout / 1e6)


def new_poll() -> SimPoll:
    """As select.poll()."""
    self = object.__new__(SimPoll)
    self._events = {}
    self._polling = False
    return self


def _short(events: int) -> int:
    """An event mask as an unsigned short."""
    number = operator.index(events)
    if number < 0:
        raise ValueError('value must be positive')
    if number > 0xFFFF:
        raise OverflowError('Python int too large for C unsigned short')
    return number


class SimPoll:
    """As select.poll()."""

    _events: dict[int, int]
    _polling: bool

    def __new__(cls) -> SimPoll:
        raise TypeError(f"cannot create '{cls.__module__}.{cls.__name__}' instances")

    def register(self, fd: Any, eventmask: int = std.POLLIN | std.POLLPRI | std.POLLOUT) -> None:
        """Watch a descriptor."""
        self._events[_fd(fd)] = _short(eventmask)

    def modify(self, fd: Any, eventmask: int) -> None:
        """Watch it for something else."""
        number, eventmask = _fd(fd), _short(eventmask)
        if number not in self._events:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._events[number] = eventmask

    def unregister(self, fd: Any) -> None:
        """Watch it no more; KeyError where it is not watched."""
        del self._events[_fd(fd)]

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        """(descriptor, events) of those that are ready; timeout in ms, None or negative: for ever."""
        if timeout is not None and timeout > 0x7FFFFFFF:
            raise OverflowError('timeout is too large')
        if self._polling:
            raise RuntimeError('concurrent poll() invocation')
        ns = None if timeout is None or timeout < 0 else ns_from_seconds(timeout / 1000)
        self._polling = True
        try:
            return poll(current_program(), list(self._events.items()), ns)
        finally:
            self._polling = False


class SimEpoll:
    """As select.epoll()."""

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        self._epfd = -1
        if operator.index(sizehint) != -1 and sizehint <= 0:
            raise ValueError('negative sizehint')
        if flags & ~std.EPOLL_CLOEXEC:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._program = current_program()
        self._epfd = sys.sys_epoll_create1(self._program, std.EPOLL_CLOEXEC)

    @classmethod
    def fromfd(cls, fd: int) -> SimEpoll:
        """An epoll object on an open epoll descriptor."""
        self = cls.__new__(cls)
        self._program = current_program()
        self._epfd = fd
        return self

    @property
    def closed(self) -> bool:
        """Is it closed?"""
        return self._epfd < 0

    def __enter__(self) -> SimEpoll:
        self._check()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _check(self) -> None:
        if self._epfd < 0:
            raise ValueError('I/O operation on closed epoll object')

    def fileno(self) -> int:
        """The epoll descriptor."""
        self._check()
        return self._epfd

    def close(self) -> None:
        """Close it; twice is once."""
        fd, self._epfd = self._epfd, -1
        if fd >= 0 and not self._program.exited:
            sys.sys_close(self._program, fd)

    def register(self, fd: Any, eventmask: int = std.EPOLLIN | std.EPOLLOUT | std.EPOLLPRI) -> None:
        """Watch a descriptor."""
        self._check()
        sys.sys_epoll_ctl(self._program, self._epfd, EPOLL_CTL_ADD, _fd(fd), eventmask, _fd(fd))

    def modify(self, fd: Any, eventmask: int) -> None:
        """Watch it for something else."""
        self._check()
        sys.sys_epoll_ctl(self._program, self._epfd, EPOLL_CTL_MOD, _fd(fd), eventmask, _fd(fd))

    def unregister(self, fd: Any) -> None:
        """Watch it no more."""
        self._check()
        sys.sys_epoll_ctl(self._program, self._epfd, EPOLL_CTL_DEL, _fd(fd), 0, 0)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """(descriptor, events) of those that are ready; timeout in seconds, None or negative: for ever."""
        if self._epfd < 0:
            self._check()
        if maxevents == -1:
            maxevents = 1023
        elif maxevents <= 0:
            raise ValueError(f'maxevents must be greater than 0, got {maxevents}')
        program = self._program
        ns = _timeout_ns(timeout)
        deadline = program.now() + ns if ns else 0
        while True:
            try:
                return sys.sys_epoll_wait(program, self._epfd, maxevents, ns)
            except InterruptedError:
                program.signals.run_handlers()
            if ns:
                ns = max(0, deadline - program.now())
