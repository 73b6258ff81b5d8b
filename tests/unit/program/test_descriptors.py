# SPDX-License-Identifier: Apache-2.0
"""program/descriptors.py: descriptors of the machine beside those of a table, in poll and in epoll."""
from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator

import pytest

from linnet.kernel.clock import RealClock
from linnet.kernel.errno import EBADF, EPERM
from linnet.kernel.eventpoll import EpollEvent, EventPoll, epoll_create1, epoll_ctl, epoll_wait
from linnet.kernel.file import FdTable
from linnet.kernel.poll import EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, POLLIN, POLLNVAL, POLLOUT
from linnet.kernel.sched import Scheduler, Work
from linnet.kernel.select import PollFd, do_poll
from linnet.kernel.softirq import Cpu
from linnet.program.descriptors import MachineFile, MachineFiles

FIRST = 1 << 20
SECOND = 10**9


class Write(Work):
    """Writes to a pipe when the loop comes by, which it does when it has nothing better to do."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def run(self) -> None:
        os.write(self.fd, b'x')


class World:
    """A loop in real time, a table with foreign files, a pipe of the machine."""

    def __init__(self) -> None:
        self.sched = Scheduler(RealClock(), Cpu())
        self.machine = MachineFiles(self.sched)
        self.files = FdTable(FIRST)
        self.files.foreign = self.machine
        self.r, self.w = os.pipe()
        self.ep = epoll_create1(self.files, 0)

    def run(self, fn: Callable[[], object]) -> object:
        """fn as a task."""
        task = self.sched.spawn(fn, 'task')
        self.sched.run_until_done()
        return task.result

    def poll(self, timeout: int, *wanted: tuple[int, int]) -> list[tuple[int, int]]:
        """do_poll() in a task."""
        fds = [PollFd(fd, events) for fd, events in wanted]
        self.run(lambda: do_poll(self.sched, self.files, fds, timeout))
        return [(fd.fd, fd.revents) for fd in fds if fd.revents]

    def ctl(self, op: int, fd: int, events: int = 0) -> int:
        """epoll_ctl()."""
        return epoll_ctl(self.files, self.ep, op, fd, EpollEvent(events, fd))

    def wait(self, timeout: int = SECOND) -> list[tuple[int, int]]:
        """epoll_wait() in a task."""
        found = self.run(lambda: epoll_wait(self.sched, self.files, self.ep, 9, timeout))
        assert isinstance(found, list)
        return [(event.data, event.events) for event in found]

    def watched(self, fd: int) -> bool:
        """Does the machine's epoll instance have it?"""
        file = self.machine.fcheck(fd)
        assert file is not None and isinstance(file.private_data, MachineFile)
        return file.private_data.watched


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.sched.close()
    made.machine.close()
    for fd in (made.r, made.w):
        if made.machine.fcheck(fd) is not None:
            os.close(fd)


def test_poll_looks_and_waits(world: World) -> None:
    assert world.poll(0, (world.r, POLLIN), (world.w, POLLOUT)) == [(world.w, POLLOUT)]
    assert world.poll(1000, (world.r, POLLIN)) == []
    world.sched.call_soon(Write(world.w))
    assert world.poll(20 * SECOND, (world.r, POLLIN)) == [(world.r, POLLIN)]
    os.close(world.r)
    assert world.poll(0, (world.r, POLLIN)) == [(world.r, POLLNVAL)]


def test_level_triggered(world: World) -> None:
    assert world.ctl(EPOLL_CTL_ADD, world.r, EPOLLIN) == 0
    assert world.wait(1000) == []
    for _ in range(2):
        world.sched.call_soon(Write(world.w))
        assert world.wait() == [(world.r, EPOLLIN)]
        assert world.wait() == [(world.r, EPOLLIN)]
        os.read(world.r, 9)
        assert world.wait(0) == []
    os.close(world.w)
    assert world.wait() == [(world.r, EPOLLHUP)]


def test_edge_triggered(world: World) -> None:
    os.write(world.w, b'x')
    assert world.ctl(EPOLL_CTL_ADD, world.r, EPOLLIN | EPOLLET) == 0
    assert world.wait() == [(world.r, EPOLLIN)]
    assert world.wait(1000) == []
    world.sched.call_soon(Write(world.w))
    assert world.wait() == [(world.r, EPOLLIN)]


def test_who_is_not_waited_for_is_not_watched(world: World) -> None:
    world.poll(1000, (world.r, POLLIN))
    assert world.watched(world.r)
    os.write(world.w, b'x')  # nobody is there to hear of it: it is the last time that the loop does
    world.sched.run(int(world.sched.clock.now) + 1000)
    assert not world.watched(world.r)
    world.ctl(EPOLL_CTL_ADD, world.r, EPOLLIN)
    assert world.wait() == [(world.r, EPOLLIN)] and world.watched(world.r)
    assert world.ctl(EPOLL_CTL_DEL, world.r) == 0
    assert world.wait(0) == []


def test_a_number_that_is_used_again_is_another_file(world: World) -> None:
    world.ctl(EPOLL_CTL_ADD, world.r, EPOLLIN)
    before = world.machine.fcheck(world.r)
    reader, writer = os.pipe()
    os.dup2(reader, world.r)  # the number is open all the time
    assert world.machine.fcheck(world.r) is not before
    ep = world.files.fcheck(world.ep)
    assert ep is not None and isinstance(ep.private_data, EventPoll) and not ep.private_data.rbr
    assert world.ctl(EPOLL_CTL_ADD, world.r, EPOLLIN) == 0
    os.write(writer, b'x')
    assert world.wait() == [(world.r, EPOLLIN)]
    assert world.machine.known(world.r)
    world.machine.forget(world.r)
    world.machine.forget(world.r)
    assert not world.machine.known(world.r) and world.wait(0) == []
    os.close(reader)
    os.close(writer)


def test_what_cannot_be_watched(world: World) -> None:
    with tempfile.TemporaryFile() as file:
        assert world.ctl(EPOLL_CTL_ADD, file.fileno(), EPOLLIN) == -EPERM
        assert world.poll(0, (file.fileno(), POLLIN | POLLOUT)) == [(file.fileno(), POLLIN | POLLOUT)]
        fd = file.fileno()
    assert world.ctl(EPOLL_CTL_ADD, fd, EPOLLIN) == -EBADF
    assert world.ctl(EPOLL_CTL_ADD, world.w, EPOLLOUT) == 0
    assert world.wait() == [(world.w, EPOLLOUT)]


def test_the_table_itself_does_not_close_them(world: World) -> None:
    assert world.files.close_fd(world.r) == -EBADF
    os.fstat(world.r)
    world.files.foreign = None
    assert world.files.fcheck(world.r) is None and world.files.fcheck(-1) is None
