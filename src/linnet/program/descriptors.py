# SPDX-License-Identifier: Apache-2.0
"""Descriptors of the machine (pipes, terminals, UNIX sockets, inotify, timers) in the polls of a program in real time.

To kernel/select.py and kernel/eventpoll.py such a descriptor is a file like any other: its poll method asks the machine, and its
wait queue is woken when something changes. That is heard of by one edge-triggered epoll instance of the machine for all of
them, which the world's loop watches beside the TUN device: an edge there is a wake-up here.
"""
from __future__ import annotations

import os
import select
import stat
from select import EPOLLET, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP

from linnet.kernel.file import File, FileOperations, ForeignFiles, PollTable, fput, poll_wait
from linnet.kernel.sched import FdEvent, Scheduler
from linnet.kernel.wait import WaitQueueHead, waitqueue_active, wake_up_poll

EVENTS = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP
real_fstat, real_poll, real_epoll = os.fstat, select.poll, select.epoll  # kept: the names are patched


class MachineFile:
    """One descriptor."""

    def __init__(self, fd: int, identity: tuple[int, int, int]) -> None:
        self.fd = fd
        self.identity = identity
        self.wq = WaitQueueHead()
        self.watched = False
        self._poll = real_poll()
        self._poll.register(fd, EVENTS)

    def events(self) -> int:
        """What it is ready for now."""
        for _, events in self._poll.poll(0):
            return events
        return 0


class MachineFops(FileOperations):
    """Poll, and nothing else: the program reads and writes by itself."""

    def __init__(self, files: MachineFiles, watchable: bool) -> None:
        self.files = files
        self.watchable = watchable

    def can_poll(self) -> bool:
        """epoll refuses regular files and folders."""
        return self.watchable

    def poll(self, file: File, pt: PollTable | None) -> int:
        """Ask the machine. Who wants to wait is told of changes."""
        machine = file.private_data
        assert isinstance(machine, MachineFile)
        if pt is not None and pt.active and self.watchable:
            poll_wait(file, machine.wq, pt)
            self.files.watch(machine)
        return machine.events()


class MachineFiles(ForeignFiles):
    """The descriptors of the machine that a program polls, by number."""

    def __init__(self, sched: Scheduler) -> None:
        self._sched = sched
        self._files: dict[int, File] = {}
        self._epoll = real_epoll()
        self._watchable, self._others = MachineFops(self, True), MachineFops(self, False)
        sched.register_fd(self._epoll.fileno(), Edge(self))

    def fcheck(self, fd: int) -> File | None:
        """The file of an open descriptor. A number that was closed and stands for something else now is a new file."""
        known = self._files.get(fd)
        try:
            found = real_fstat(fd)
        except OSError:
            if known is not None:
                self.forget(fd)
            return None
        identity = (found.st_dev, found.st_ino, found.st_mode)
        if known is not None:
            machine = known.private_data
            assert isinstance(machine, MachineFile)
            if machine.identity == identity:
                return known
            self.forget(fd)
        plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
        file = self._files[fd] = File(self._others if plain else self._watchable, MachineFile(fd, identity))
        return file

    def known(self, fd: int) -> bool:
        """Was it asked for?"""
        return fd in self._files

    def forget(self, fd: int) -> None:
        """The descriptor is closed, or about to be: who watches it does so no more."""
        file = self._files.pop(fd, None)
        if file is not None:
            machine = file.private_data
            assert isinstance(machine, MachineFile)
            self.unwatch(machine)
            fput(file)

    def watch(self, machine: MachineFile) -> None:
        """Hear of its edges from now on: who calls looks by himself at what it is ready for already."""
        if not machine.watched:
            machine.watched = True
            try:
                self._epoll.register(machine.fd, EVENTS | EPOLLET)
            except FileExistsError:  # left of a descriptor that had the number
                self._epoll.modify(machine.fd, EVENTS | EPOLLET)
            self.edges(machine)

    def unwatch(self, machine: MachineFile) -> None:
        """Hear of them no more."""
        if machine.watched:
            machine.watched = False
            try:
                self._epoll.unregister(machine.fd)
            except OSError:
                return  # it was closed, and went by itself

    def edges(self, new: MachineFile | None = None) -> None:
        """Some came: wake who waits for them, but for those of `new`."""
        for fd, events in self._epoll.poll(0):
            file = self._files.get(fd)
            if file is None:
                continue
            machine = file.private_data
            assert isinstance(machine, MachineFile)
            if machine is new:
                continue
            if waitqueue_active(machine.wq):
                wake_up_poll(machine.wq, events)
            else:
                self.unwatch(machine)

    def close(self) -> None:
        """Let go of the machine's epoll instance."""
        self._sched.unregister_fd(self._epoll.fileno())
        self._epoll.close()


class Edge(FdEvent):
    """The epoll instance has something to tell."""

    def __init__(self, files: MachineFiles) -> None:
        self.files = files

    def ready(self) -> None:
        """In the loop."""
        self.files.edges()
