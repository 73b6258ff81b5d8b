# SPDX-License-Identifier: Apache-2.0
"""poll(2) and select(2): ask every file, stand in all their wait queues, sleep, ask again.

The first pass hands each file's poll method a PollWqueues, which puts an entry on every queue the method names; once
one file is ready, or after the first pass, the table is inactive and files are only asked.  An entry's callback
filters by what happened and leaves a mark (`triggered`), so that a change between two passes is not slept over.

A poll that may not wait (timeout 0) and finds nothing yields once, so that a program that only polls lets the world go
on.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.kernel.errno import EBADF, EINTR, EINVAL
from linnet.kernel.file import FdTable, File, fput, get_file
from linnet.kernel.file import PollTable as PollTable
from linnet.kernel.file import poll_wait as poll_wait
from linnet.kernel.file import vfs_poll as vfs_poll
from linnet.kernel.poll import (
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLNVAL,
    POLLOUT,
    POLLPRI,
    POLLRDBAND,
    POLLRDNORM,
    POLLWRBAND,
    POLLWRNORM,
)
from linnet.kernel.sched import (
    MAX_SCHEDULE_TIMEOUT,
    TASK_INTERRUPTIBLE,
    TASK_RUNNING,
    Scheduler,
    Task,
    cond_resched,
    schedule_timeout,
    set_current_state,
    signal_pending,
    wake_up_process,
)
from linnet.kernel.wait import WaitQueueEntry, WaitQueueHead, add_wait_queue, remove_wait_queue

POLLIN_SET: Final = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR
POLLOUT_SET: Final = POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR
POLLEX_SET: Final = POLLPRI


class PollTableEntry(WaitQueueEntry):
    """One place in one file's wait queue.  Linux: struct poll_table_entry."""

    def __init__(self, pwq: PollWqueues, file: File, wq: WaitQueueHead, key: i64) -> None:
        super().__init__()
        self.pwq = pwq
        self.file = file
        self.wait_address = wq
        self.key: i64 = key

    def func(self, mode: int, key: int) -> bool:
        """Something happened to the file: wake the poller if it asked for that.  Linux: fs/select.c, pollwake."""
        if key != 0 and key & self.key == 0:
            return False
        self.pwq.triggered = True
        return wake_up_process(self.pwq.polling_task)


class PollWqueues(PollTable):
    """All places of one poll call.  Linux: struct poll_wqueues."""

    def __init__(self, task: Task) -> None:
        super().__init__(0)
        self.polling_task = task
        self.triggered = False
        self.entries: list[PollTableEntry] = []

    def queue_proc(self, file: File, wq: WaitQueueHead) -> None:
        """Stand in `wq`.  Linux: fs/select.c, __pollwait."""
        entry = PollTableEntry(self, get_file(file), wq, self.key)
        self.entries.append(entry)
        add_wait_queue(wq, entry)


class PollFd:
    """What is asked of one descriptor.  Linux: struct pollfd."""

    def __init__(self, fd: int, events: int, always: int = POLLERR | POLLHUP) -> None:
        self.fd = fd
        self.events = events
        self.revents = 0
        self.always = always  # reported whether asked for or not; select(2) has no such


def poll_initwait(sched: Scheduler) -> PollWqueues:
    """A fresh table for the current task.  RuntimeError outside of a task.  Linux: fs/select.c."""
    task = sched.current
    if task is None:
        raise RuntimeError('blocking call outside a task')
    return PollWqueues(task)


def poll_freewait(pwq: PollWqueues) -> None:
    """Leave all queues and let the files go.  Linux: fs/select.c."""
    entries = pwq.entries
    pwq.entries = []
    for entry in entries:
        remove_wait_queue(entry.wait_address, entry)
        fput(entry.file)


def poll_schedule_timeout(sched: Scheduler, pwq: PollWqueues, timeout_ns: i64) -> i64:
    """Sleep unless something happened since the last look; gives the ns left.  Linux: fs/select.c."""
    left: i64 = timeout_ns
    set_current_state(sched, TASK_INTERRUPTIBLE)
    if not pwq.triggered:
        left = schedule_timeout(sched, timeout_ns)
    pwq.polling_task.state = TASK_RUNNING
    pwq.triggered = False
    return left


def do_pollfd(files: FdTable, pfd: PollFd, pt: PollTable) -> bool:
    """Ask one descriptor and set its revents; True if it has any.  Linux: fs/select.c."""
    pfd.revents = 0
    if pfd.fd < 0:
        return False
    file = files.fget(pfd.fd)
    if file is None:
        pfd.revents = POLLNVAL
        return True
    wanted = (pfd.events & 0xFFFF) | pfd.always
    pt.key = wanted
    pfd.revents = vfs_poll(file, pt) & wanted
    fput(file)
    return pfd.revents != 0


def do_poll(sched: Scheduler, files: FdTable, fds: list[PollFd], timeout_ns: i64) -> int:
    """Wait until a descriptor of `fds` is ready; sets each revents; gives how many have any, 0 when the time is over.

    timeout_ns: negative waits for ever, 0 does not wait.  -EINTR on a signal.  Outside of a task only 0 will do.
    Linux: fs/select.c, do_poll and do_sys_poll.
    """
    if timeout_ns == 0:
        asker = PollTable(0)
        asker.active = False
        ready = _poll_pass(files, fds, asker)
        if ready == 0 and sched.current is not None and cond_resched(sched):
            ready = _poll_pass(files, fds, asker)
        return ready
    pwq = poll_initwait(sched)
    task = pwq.polling_task
    left: i64 = timeout_ns if timeout_ns > 0 else MAX_SCHEDULE_TIMEOUT
    try:
        while True:
            count = _poll_pass(files, fds, pwq)
            pwq.active = False
            if count == 0 and signal_pending(task):
                return -EINTR
            if count != 0 or left == 0:
                return count
            left = poll_schedule_timeout(sched, pwq, left)
    finally:
        poll_freewait(pwq)


def _poll_pass(files: FdTable, fds: list[PollFd], pt: PollTable) -> int:
    """Ask all; once one is ready no queue needs to be joined any more."""
    count = 0
    for pfd in fds:
        if do_pollfd(files, pfd, pt):
            count += 1
            pt.active = False
    return count


def do_select(
    sched: Scheduler,
    files: FdTable,
    readfds: list[int],
    writefds: list[int],
    exceptfds: list[int],
    timeout_ns: i64,
) -> tuple[list[int], list[int], list[int]] | int:
    """select(2): the ready ones of each list, in its order; three empty lists when the time is over.

    timeout_ns: negative waits for ever, 0 does not wait.  -EBADF: a number that is no open file, -EINVAL: a
    negative one, -EINTR: a signal.  Linux: fs/select.c, do_select.  Sets are lists, there is no FD_SETSIZE.
    """
    wanted: dict[int, int] = {}
    for fd in readfds:
        wanted[fd] = wanted.get(fd, 0) | POLLIN_SET
    for fd in writefds:
        wanted[fd] = wanted.get(fd, 0) | POLLOUT_SET
    for fd in exceptfds:
        wanted[fd] = wanted.get(fd, 0) | POLLEX_SET
    fds: list[PollFd] = []
    for fd, events in wanted.items():
        if fd < 0:
            return -EINVAL
        if files.fcheck(fd) is None:
            return -EBADF
        fds.append(PollFd(fd, events, 0))
    count = do_poll(sched, files, fds, timeout_ns)
    if count < 0:
        return count
    got: dict[int, int] = {}
    for pfd in fds:
        if pfd.revents & POLLNVAL != 0:
            return -EBADF
        got[pfd.fd] = pfd.revents
    return (
        [fd for fd in readfds if got[fd] & POLLIN_SET != 0],
        [fd for fd in writefds if got[fd] & POLLOUT_SET != 0],
        [fd for fd in exceptfds if got[fd] & POLLEX_SET != 0],
    )
