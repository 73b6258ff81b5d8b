# SPDX-License-Identifier: Apache-2.0
"""A pollable file for the tests: a mask that the test sets, and one wait queue."""
from __future__ import annotations

from linnet.kernel.clock import VirtualClock
from linnet.kernel.file import FdTable, File, FileOperations, PollTable, poll_wait
from linnet.kernel.sched import Scheduler
from linnet.kernel.softirq import Cpu
from linnet.kernel.wait import WaitQueueHead, wake_up_interruptible_poll


class Thing:
    """What the file stands for."""

    def __init__(self) -> None:
        self.mask = 0
        self.wq = WaitQueueHead()
        self.asked = 0
        self.released = False

    def set(self, mask: int, key: int = -1) -> None:
        """The state changes, and the queue is woken with what is new."""
        new = mask & ~self.mask
        self.mask = mask
        wake_up_interruptible_poll(self.wq, new if key < 0 else key)


class ThingOps(FileOperations):
    def poll(self, file: File, pt: PollTable | None) -> int:
        thing = file.private_data
        assert isinstance(thing, Thing)
        thing.asked += 1
        poll_wait(file, thing.wq, pt)
        return thing.mask

    def release(self, file: File) -> int:
        thing = file.private_data
        assert isinstance(thing, Thing)
        thing.released = True
        return 0


class World:
    """One clock, one table of descriptors."""

    def __init__(self) -> None:
        self.s = Scheduler(VirtualClock(), Cpu())
        self.files = FdTable()

    def open(self) -> tuple[int, Thing]:
        thing = Thing()
        fd = self.files.get_unused_fd()
        self.files.fd_install(fd, File(ThingOps(), thing))
        return fd, thing

    def now(self) -> int:
        return int(self.s.clock.now)
