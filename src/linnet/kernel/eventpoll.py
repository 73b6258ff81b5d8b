# SPDX-License-Identifier: Apache-2.0
"""epoll(7): a set of watched files and a list of those that may be ready.

Adding a file asks it once, through a poll table that puts the item's entry on each wait queue the file names.  From
then on the entry's callback (ep_poll_callback) puts the item on the ready list and wakes one waiter; nobody asks idle
files again. epoll_wait() asks the items on the ready list alone.  A level-triggered item that is still ready goes
back to the end of the list (so it is asked next time); an edge-triggered one only comes back with the next wake-up; a
one-shot one is disarmed.

An epoll instance is a file itself and can be watched by poll or by another epoll; loops and depths over EP_MAX_NESTS
are refused.  An item is known by file and number; it goes when the file is released, not when one of its numbers is
closed.

Linux: fs/eventpoll.c.  With one processor a scan needs no overflow list: a wake-up in its midst appends to the ready
list.
"""
from __future__ import annotations

from collections import deque
from typing import Final

from mypy_extensions import i64

from linnet.kernel.errno import EBADF, EEXIST, EINTR, EINVAL, ELOOP, ENOENT, EPERM
from linnet.kernel.file import O_CLOEXEC, FdTable, File, FileOperations, FileWatch, PollTable, fput, poll_wait, vfs_poll
from linnet.kernel.poll import (
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    EPOLLERR,
    EPOLLET,
    EPOLLEXCLUSIVE,
    EPOLLHUP,
    EPOLLIN,
    EPOLLONESHOT,
    EPOLLOUT,
    EPOLLRDNORM,
    EPOLLWAKEUP,
)
from linnet.kernel.sched import MAX_SCHEDULE_TIMEOUT, Scheduler, cond_resched, schedule_timeout, signal_pending
from linnet.kernel.wait import (
    TaskWait,
    WaitQueueEntry,
    WaitQueueHead,
    add_wait_queue,
    add_wait_queue_exclusive,
    finish_wait,
    prepare_to_wait,
    remove_wait_queue,
    waitqueue_active,
    wake_up,
    wake_up_poll,
)

EP_PRIVATE_BITS: Final = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE
EPOLLINOUT_BITS: Final = EPOLLIN | EPOLLOUT
EPOLLEXCLUSIVE_OK_BITS: Final = EPOLLINOUT_BITS | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE
EP_MAX_NESTS: Final = 4
M32: Final = 0xFFFFFFFF


class EpollEvent:
    """Linux: struct epoll_event."""

    def __init__(self, events: int, data: int = 0) -> None:
        self.events = events
        self.data = data


class EppollEntry(WaitQueueEntry):
    """An item's place in one wait queue of its file.  Linux: struct eppoll_entry."""

    def __init__(self, item: EpItem, whead: WaitQueueHead) -> None:
        super().__init__()
        self.item = item
        self.whead = whead

    def func(self, mode: int, key: int) -> bool:
        """The file changed."""
        return ep_poll_callback(self, key)


class EpItem(FileWatch):
    """A watched file.  Linux: struct epitem."""

    def __init__(self, ep: EventPoll, file: File, fd: int, events: i64, data: int) -> None:
        super().__init__()
        self.ep = ep
        self.file = file
        self.fd = fd
        self.events: i64 = events & M32
        self.data = data
        self.linked = False  # on the ready list
        self.dead = False
        self.pwqlist: list[EppollEntry] = []

    def file_released(self, file: File) -> None:
        """The file goes; so does the item.  Linux: fs/eventpoll.c, eventpoll_release_file."""
        ep_remove(self.ep, self)


class EpPqueue(PollTable):
    """Puts an item's entries on the queues its file names.  Linux: struct ep_pqueue."""

    def __init__(self, item: EpItem) -> None:
        super().__init__(item.events)
        self.item = item

    def queue_proc(self, file: File, wq: WaitQueueHead) -> None:
        """Linux: fs/eventpoll.c, ep_ptable_queue_proc."""
        entry = EppollEntry(self.item, wq)
        self.item.pwqlist.append(entry)
        if self.item.events & EPOLLEXCLUSIVE != 0:
            add_wait_queue_exclusive(wq, entry)
        else:
            add_wait_queue(wq, entry)


class EventPoll:
    """An epoll instance.  Linux: struct eventpoll."""

    def __init__(self) -> None:
        self.wq = WaitQueueHead()  # tasks in epoll_wait()
        self.poll_wait = WaitQueueHead()  # who polls the instance itself
        self.rdllist: deque[EpItem] = deque()
        self.rbr: dict[int, EpItem] = {}  # by ep_key()
        self.file: File | None = None


class EventPollFops(FileOperations):
    """The operations of an epoll instance's file.  Linux: eventpoll_fops."""

    def poll(self, file: File, pt: PollTable | None) -> int:
        """Readable when an item is ready.  Linux: fs/eventpoll.c, __ep_eventpoll_poll."""
        ep = file.private_data
        assert isinstance(ep, EventPoll)
        poll_wait(file, ep.poll_wait, pt)
        return EPOLLIN | EPOLLRDNORM if ep_scan_ready(ep) else 0

    def release(self, file: File) -> int:
        """Let all watched files go.  Linux: fs/eventpoll.c, ep_eventpoll_release."""
        ep = file.private_data
        assert isinstance(ep, EventPoll)
        for item in list(ep.rbr.values()):
            ep_remove(ep, item)
        ep.file = None
        return 0


def ep_key(file: File, fd: int) -> int:
    """An item is one file under one number; the file lives as long as the item."""
    return (id(file) << 32) | fd


def ep_find(ep: EventPoll, file: File, fd: int) -> EpItem | None:
    """Linux: fs/eventpoll.c."""
    return ep.rbr.get(ep_key(file, fd))


def is_file_epoll(file: File) -> bool:
    """Linux: fs/eventpoll.c."""
    return isinstance(file.private_data, EventPoll)


def ep_item_poll(item: EpItem, pt: PollTable | None) -> i64:
    """The events that the item wants and its file has.  Linux: fs/eventpoll.c."""
    events: i64 = item.events
    if pt is not None:
        pt.key = events
    return vfs_poll(item.file, pt) & events


def ep_scan_ready(ep: EventPoll) -> bool:
    """True if an item on the ready list is really ready; those found idle are dropped from it."""
    n = len(ep.rdllist)
    while n > 0:
        n -= 1
        item = ep.rdllist[0]
        if not item.dead and ep_item_poll(item, None) != 0:
            return True
        if ep.rdllist and ep.rdllist[0] is item:
            ep.rdllist.popleft()
            item.linked = False
    return False


def _ep_link(ep: EventPoll, item: EpItem) -> None:
    if not item.linked:
        item.linked = True
        ep.rdllist.append(item)


def ep_poll_callback(entry: EppollEntry, key: i64) -> bool:
    """The wait queue of a watched file was woken: note the item as ready and wake who waits for the instance.

    True if the wake-up counts as taken: always, but for EPOLLEXCLUSIVE only if a waiter wanted it.
    Linux: fs/eventpoll.c.
    """
    item = entry.item
    ep = item.ep
    events: i64 = item.events
    taken = False
    if events & ~EP_PRIVATE_BITS != 0 and (key == 0 or key & events != 0):
        _ep_link(ep, item)
        if waitqueue_active(ep.wq):
            if events & EPOLLEXCLUSIVE != 0:
                inout: i64 = key & EPOLLINOUT_BITS
                taken = inout == 0 or (inout != EPOLLINOUT_BITS and events & inout != 0)
            wake_up(ep.wq)
        if waitqueue_active(ep.poll_wait):
            wake_up_poll(ep.poll_wait, EPOLLIN | EPOLLRDNORM)
    return taken or events & EPOLLEXCLUSIVE == 0


def ep_insert(ep: EventPoll, event: EpollEvent, file: File, fd: int) -> int:
    """Watch `file`.  Linux: fs/eventpoll.c."""
    item = EpItem(ep, file, fd, event.events, event.data)
    ep.rbr[ep_key(file, fd)] = item
    item.next_watch = file.f_ep
    file.f_ep = item
    if ep_item_poll(item, EpPqueue(item)) != 0:
        _ep_became_ready(ep, item)
    return 0


def ep_modify(ep: EventPoll, item: EpItem, event: EpollEvent) -> int:
    """Change what is asked of a watched file, and ask at once.  Linux: fs/eventpoll.c."""
    item.events = event.events & M32
    item.data = event.data
    if ep_item_poll(item, None) != 0:
        _ep_became_ready(ep, item)
    return 0


def _ep_became_ready(ep: EventPoll, item: EpItem) -> None:
    if item.linked:
        return
    _ep_link(ep, item)
    if waitqueue_active(ep.wq):
        wake_up(ep.wq)
    if waitqueue_active(ep.poll_wait):
        wake_up_poll(ep.poll_wait, EPOLLIN | EPOLLRDNORM)


def ep_remove(ep: EventPoll, item: EpItem) -> None:
    """Stop watching.  Linux: fs/eventpoll.c."""
    for entry in item.pwqlist:
        remove_wait_queue(entry.whead, entry)
    item.pwqlist = []
    item.dead = True
    file = item.file
    before: FileWatch | None = None
    watch = file.f_ep
    while watch is not None and watch is not item:
        before = watch
        watch = watch.next_watch
    if watch is not None:
        if before is None:
            file.f_ep = item.next_watch
        else:
            before.next_watch = item.next_watch
    ep.rbr.pop(ep_key(file, item.fd), None)
    if item.linked:
        item.linked = False
        ep.rdllist.remove(item)


def _depth_below(ep: EventPoll, target: EventPoll, depth: i64) -> i64:
    """Levels of epoll instances under `ep`; more than EP_MAX_NESTS if `target` is among them."""
    if ep is target or depth > EP_MAX_NESTS:
        return EP_MAX_NESTS + 1
    deepest: i64 = 0
    for item in ep.rbr.values():
        inner = item.file.private_data
        if isinstance(inner, EventPoll):
            below: i64 = 1 + _depth_below(inner, target, depth + 1)
            if below > deepest:
                deepest = below
    return deepest


def _depth_above(ep: EventPoll, depth: i64) -> i64:
    """Levels of epoll instances that watch `ep`."""
    highest: i64 = 0
    file = ep.file
    if file is None or depth > EP_MAX_NESTS:
        return highest
    watch = file.f_ep
    while watch is not None:
        if isinstance(watch, EpItem):
            above: i64 = 1 + _depth_above(watch.ep, depth + 1)
            if above > highest:
                highest = above
        watch = watch.next_watch
    return highest


def ep_loop_check(ep: EventPoll, to: EventPoll) -> bool:
    """True if `ep` must not watch `to`: a circle, or too deep.  Linux: fs/eventpoll.c."""
    return 1 + _depth_below(to, ep, 0) + _depth_above(ep, 0) > EP_MAX_NESTS


def epoll_create1(files: FdTable, flags: int) -> int:
    """A new instance: its number, -EINVAL (flags other than EPOLL_CLOEXEC), -EMFILE.

    Linux: fs/eventpoll.c, do_epoll_create.
    """
    if flags & ~O_CLOEXEC != 0:
        return -EINVAL
    fd = files.get_unused_fd(flags)
    if fd < 0:
        return fd
    ep = EventPoll()
    ep.file = File(EventPollFops(), ep)
    files.fd_install(fd, ep.file)
    return fd


def epoll_create(files: FdTable, size: int) -> int:
    """epoll_create1() for programs that name a size; -EINVAL unless it is positive.  Linux: fs/eventpoll.c."""
    return epoll_create1(files, 0) if size > 0 else -EINVAL


def epoll_ctl(files: FdTable, epfd: int, op: int, fd: int, event: EpollEvent | None = None) -> int:
    """Add, change or remove a watched descriptor; 0 or a negative errno in Linux's order of checks.

    -EBADF: a number is not open.  -EPERM: the file cannot be polled.  -EINVAL: epfd is no instance, or is fd, or a
    wrong use of EPOLLEXCLUSIVE or op.  -ELOOP: a circle of instances.  -EEXIST, -ENOENT.
    Linux: fs/eventpoll.c, do_epoll_ctl.
    """
    ep_file = files.fcheck(epfd)
    file = files.fcheck(fd)
    if ep_file is None or file is None:
        return -EBADF
    if not file.f_op.can_poll():
        return -EPERM
    ep = ep_file.private_data
    if ep_file is file or not isinstance(ep, EventPoll):
        return -EINVAL
    if event is None and op != EPOLL_CTL_DEL:
        return -EINVAL
    if event is not None and op != EPOLL_CTL_DEL and event.events & EPOLLEXCLUSIVE != 0:
        if op == EPOLL_CTL_MOD:
            return -EINVAL
        if op == EPOLL_CTL_ADD and (is_file_epoll(file) or event.events & ~EPOLLEXCLUSIVE_OK_BITS & M32 != 0):
            return -EINVAL
    if op == EPOLL_CTL_ADD:
        inner = file.private_data
        if isinstance(inner, EventPoll) and ep_loop_check(ep, inner):
            return -ELOOP
    item = ep_find(ep, file, fd)
    if op == EPOLL_CTL_ADD and event is not None:
        if item is not None:
            return -EEXIST
        return ep_insert(ep, EpollEvent(event.events | EPOLLERR | EPOLLHUP, event.data), file, fd)
    if op == EPOLL_CTL_DEL:
        if item is None:
            return -ENOENT
        ep_remove(ep, item)
        return 0
    if op == EPOLL_CTL_MOD and event is not None:
        if item is None:
            return -ENOENT
        if item.events & EPOLLEXCLUSIVE != 0:
            return -EINVAL
        return ep_modify(ep, item, EpollEvent(event.events | EPOLLERR | EPOLLHUP, event.data))
    return -EINVAL


def ep_send_events(ep: EventPoll, maxevents: int) -> list[EpollEvent]:
    """Ask the items on the ready list and collect up to `maxevents` that are ready.  Linux: fs/eventpoll.c."""
    out: list[EpollEvent] = []
    rdllist = ep.rdllist
    left = len(rdllist)
    while left > 0 and rdllist and len(out) < maxevents:
        left -= 1
        item = rdllist.popleft()
        item.linked = False
        revents: i64 = ep_item_poll(item, None)
        if revents == 0 or item.dead:
            continue
        out.append(EpollEvent(int(revents), item.data))
        if item.events & EPOLLONESHOT != 0:
            item.events &= EP_PRIVATE_BITS
        elif item.events & EPOLLET == 0:
            _ep_link(ep, item)
    if rdllist and waitqueue_active(ep.wq):
        wake_up(ep.wq)  # what is left is for the next waiter
    return out


def ep_poll(sched: Scheduler, ep: EventPoll, maxevents: int, timeout_ns: i64) -> list[EpollEvent] | int:
    """Wait for events of the instance.  Linux: fs/eventpoll.c."""
    out = ep_send_events(ep, maxevents)
    if out:
        return out
    if timeout_ns == 0:
        if sched.current is not None and cond_resched(sched):
            out = ep_send_events(ep, maxevents)
        return out
    task = sched.current
    if task is None:
        raise RuntimeError('blocking call outside a task')
    left: i64 = timeout_ns if timeout_ns > 0 else MAX_SCHEDULE_TIMEOUT
    wait = TaskWait(task)
    try:
        while True:
            if ep.rdllist:
                finish_wait(ep.wq, wait)
                out = ep_send_events(ep, maxevents)
                if out:
                    return out
            if left == 0:
                return out
            if signal_pending(task):
                return -EINTR
            prepare_to_wait(ep.wq, wait, True)
            if not ep.rdllist:
                left = schedule_timeout(sched, left)
    finally:
        finish_wait(ep.wq, wait)


def epoll_wait(
    sched: Scheduler, files: FdTable, epfd: int, maxevents: int, timeout_ns: i64
) -> list[EpollEvent] | int:
    """The ready events of an instance, an empty list when the time is over, or a negative errno.

    timeout_ns: negative waits for ever, 0 does not wait.  -EINVAL (maxevents <= 0, or epfd is no instance), -EBADF,
    -EINTR.
    Linux: fs/eventpoll.c, do_epoll_wait.
    """
    if maxevents <= 0:
        return -EINVAL
    file = files.fget(epfd)
    if file is None:
        return -EBADF
    try:
        ep = file.private_data
        if not isinstance(ep, EventPoll):
            return -EINVAL
        return ep_poll(sched, ep, maxevents, timeout_ns)
    finally:
        fput(file)
