# SPDX-License-Identifier: Apache-2.0
"""epoll over fake files: level, edge, one-shot, exclusive, nesting, removal, order of checks."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linnet.kernel.errno import EBADF, EEXIST, EINTR, EINVAL, ELOOP, EMFILE, ENOENT, EPERM
from linnet.kernel.eventpoll import EpollEvent, EventPoll, epoll_create, epoll_create1, epoll_ctl, epoll_wait
from linnet.kernel.file import O_CLOEXEC, FdTable, File, FileOperations
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
    EPOLLRDHUP,
    POLLIN,
)
from linnet.kernel.sched import send_signal, sleep_ns
from linnet.kernel.select import PollFd, do_poll
from unit.kernel.fakefile import Thing, World

ADD, DEL, MOD = EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD


class Epoll(World):
    def __init__(self) -> None:
        super().__init__()
        self.ep = epoll_create1(self.files, 0)

    def watch(self, events: int, mask: int = 0) -> tuple[int, Thing]:
        fd, thing = self.open()
        thing.mask = mask
        assert self.ctl(ADD, fd, events) == 0
        return fd, thing

    def ctl(self, op: int, fd: int, events: int = 0) -> int:
        return epoll_ctl(self.files, self.ep, op, fd, EpollEvent(events, fd))

    def take(self, maxevents: int = 10, timeout: int = 0) -> object:
        """What epoll_wait gives, as (data, events) pairs."""
        got = epoll_wait(self.s, self.files, self.ep, maxevents, timeout)
        return got if isinstance(got, int) else [(e.data, e.events) for e in got]

    def waiter(self, timeout: int = -1, maxevents: int = 10, name: str = 'waiter') -> list[object]:
        """epoll_wait in a task: what it gives and when."""
        out: list[object] = []
        self.s.spawn(lambda: out.extend([self.take(maxevents, timeout), self.now()]), name)
        return out

    def later(self, ns: int, fn: object) -> None:
        assert callable(fn)
        self.s.spawn(lambda: (sleep_ns(self.s, ns), fn()), 'later')

    def instance(self) -> EventPoll:
        file = self.files.fcheck(self.ep)
        assert file is not None and isinstance(file.private_data, EventPoll)
        return file.private_data


def test_level_triggered_comes_again_until_it_is_idle() -> None:
    w = Epoll()
    fd, thing = w.watch(EPOLLIN, POLLIN | EPOLLOUT)
    assert w.take() == [(fd, EPOLLIN)]
    assert w.take() == [(fd, EPOLLIN)]
    thing.mask = 0
    assert w.take() == []
    asked = thing.asked
    assert w.take() == [] and thing.asked == asked  # idle files are not asked
    thing.set(POLLIN)
    assert w.take() == [(fd, EPOLLIN)]


def test_edge_triggered_comes_once_an_edge() -> None:
    w = Epoll()
    fd, thing = w.watch(EPOLLIN | EPOLLET, POLLIN)
    assert w.take() == [(fd, EPOLLIN)]
    assert w.take() == []
    thing.set(POLLIN, key=POLLIN)  # more data
    assert w.take() == [(fd, EPOLLIN)]
    thing.set(POLLIN | EPOLLOUT)
    assert w.take() == []  # an edge of what was not asked for


def test_one_shot_is_armed_again_by_mod() -> None:
    w = Epoll()
    fd, thing = w.watch(EPOLLIN | EPOLLONESHOT, POLLIN)
    assert w.take() == [(fd, EPOLLIN)]
    thing.set(POLLIN, key=POLLIN)
    thing.set(POLLIN | EPOLLHUP)
    assert w.take() == []
    assert w.ctl(MOD, fd, EPOLLIN | EPOLLONESHOT) == 0
    assert w.take() == [(fd, EPOLLIN | EPOLLHUP)]
    assert w.take() == []


def test_errors_come_unasked_and_rdhup_when_asked() -> None:
    w = Epoll()
    a, _ = w.watch(0, EPOLLERR | EPOLLHUP | EPOLLRDHUP | POLLIN)
    b, _ = w.watch(EPOLLRDHUP, EPOLLRDHUP | POLLIN)
    assert w.take() == [(a, EPOLLERR | EPOLLHUP), (b, EPOLLRDHUP)]


def test_waiting_in_a_task() -> None:
    w = Epoll()
    fd, thing = w.watch(EPOLLIN)
    first, second = w.waiter(100), w.waiter(100)
    w.later(10, lambda: thing.set(EPOLLOUT))
    w.later(20, lambda: thing.set(POLLIN))
    w.s.run()
    # level-triggered: the first who takes it wakes the next
    assert first == [[(fd, EPOLLIN)], 20] and second == [[(fd, EPOLLIN)], 20]
    assert w.instance().wq.first is None and w.s.clock.nr_pending == 0


def test_edge_wakes_one_waiter() -> None:
    w = Epoll()
    fd, thing = w.watch(EPOLLIN | EPOLLET)
    first, second = w.waiter(100), w.waiter(100)
    w.later(20, lambda: thing.set(POLLIN))
    w.s.run()
    assert first == [[(fd, EPOLLIN)], 20] and second == [[], 100]


def test_woken_in_vain_waits_on() -> None:
    w = Epoll()
    _, thing = w.watch(EPOLLIN)
    got = w.waiter(100)

    def flash() -> None:
        thing.set(POLLIN)
        thing.mask = 0

    w.later(10, flash)
    w.s.run()
    assert got == [[], 100]


def test_time_out_signal_and_blocking_outside() -> None:
    w = Epoll()
    got = w.waiter(30)
    w.s.run()
    assert got == [[], 30]
    out: list[object] = []
    task = w.s.spawn(lambda: out.extend([w.take(1, -1), w.now()]), 't')
    w.later(5, lambda: send_signal(task, 10))
    w.s.run()
    assert out == [-EINTR, 35]
    with pytest.raises(RuntimeError, match='outside a task'):
        w.take(1, 5)


def test_maxevents_takes_turns() -> None:
    w = Epoll()
    fds = [w.watch(EPOLLIN, POLLIN)[0] for _ in range(3)]
    got = [w.take(2) for _ in range(3)]
    pairs = [(fd, EPOLLIN) for fd in fds]
    assert got == [[pairs[0], pairs[1]], [pairs[2], pairs[0]], [pairs[1], pairs[2]]]


def test_add_and_mod_wake_a_waiter_if_ready() -> None:
    w = Epoll()
    fd, thing = w.open()
    thing.mask = POLLIN
    got = w.waiter()
    w.later(10, lambda: w.ctl(ADD, fd, EPOLLOUT))
    w.later(20, lambda: w.ctl(MOD, fd, EPOLLIN))
    w.s.run()
    assert got == [[(fd, EPOLLIN)], 20]


def test_del_and_close_end_the_watch() -> None:
    w = Epoll()
    a, ta = w.watch(EPOLLIN, POLLIN)
    b, tb = w.watch(EPOLLIN, POLLIN)
    assert w.ctl(DEL, a) == 0 and ta.wq.first is None
    assert w.take() == [(b, EPOLLIN)]
    w.files.close_fd(b)
    assert tb.released and tb.wq.first is None
    assert w.take() == [] and w.instance().rbr == {}


def test_a_duplicate_keeps_the_watch_alive_under_the_old_number() -> None:
    w = Epoll()
    fd, thing = w.watch(EPOLLIN, POLLIN)
    other = w.files.dup(fd)
    w.files.close_fd(fd)
    assert w.take() == [(fd, EPOLLIN)]
    new, _ = w.open()
    assert new == fd
    assert w.ctl(DEL, fd) == -ENOENT  # the number means another file now
    assert w.ctl(ADD, other, EPOLLIN) == 0
    assert w.take() == [(fd, EPOLLIN), (other, EPOLLIN)] or w.take() == [(other, EPOLLIN), (fd, EPOLLIN)]
    w.files.close_fd(other)
    assert thing.released and w.take() == []


def test_closing_the_instance_lets_go_of_everything() -> None:
    w = Epoll()
    fd, thing = w.watch(EPOLLIN, POLLIN)
    file = w.files.fcheck(fd)
    assert file is not None
    w.files.close_fd(w.ep)
    assert thing.wq.first is None and file.f_ep is None and file.f_count == 1


def test_closing_the_instance_while_it_is_waited_on() -> None:
    w = Epoll()
    fd, thing = w.watch(EPOLLIN)
    got = w.waiter(50)
    w.later(10, lambda: w.files.close_fd(w.ep))
    w.later(20, lambda: thing.set(POLLIN))
    w.s.run()
    assert got == [[(fd, EPOLLIN)], 20] and thing.wq.first is None


def test_exclusive_wakes_one_instance_that_wants_it() -> None:
    w = Epoll()
    fd, thing = w.open()
    eps = [epoll_create1(w.files, 0) for _ in range(3)]
    out: list[list[object]] = [[], [], []]

    def body(i: int) -> None:
        got = epoll_wait(w.s, w.files, eps[i], 5, 100)
        out[i].extend([got if isinstance(got, int) else len(got), w.now()])

    for i, ep in enumerate(eps):
        events = (EPOLLOUT if i == 0 else EPOLLIN) | EPOLLEXCLUSIVE
        assert epoll_ctl(w.files, ep, ADD, fd, EpollEvent(events, i)) == 0
        w.s.spawn(lambda i=i: body(i), str(i))  # type: ignore[misc]
    w.later(10, lambda: thing.set(POLLIN))
    w.s.run()
    assert out == [[0, 100], [1, 10], [0, 100]]


def test_without_exclusive_all_instances_wake() -> None:
    w = Epoll()
    fd, thing = w.open()
    eps = [epoll_create1(w.files, 0) for _ in range(3)]
    out: list[object] = []
    for i, ep in enumerate(eps):
        assert epoll_ctl(w.files, ep, ADD, fd, EpollEvent(EPOLLIN, i)) == 0
        w.s.spawn(lambda ep=ep: out.append(epoll_wait(w.s, w.files, ep, 5, 100)), str(i))  # type: ignore[misc]
    w.later(10, lambda: thing.set(POLLIN))
    w.s.run()
    assert [len(x) for x in out if isinstance(x, list)] == [1, 1, 1] and w.now() == 10


def test_an_instance_can_be_polled() -> None:
    w = Epoll()
    fd, thing = w.watch(EPOLLIN)
    got: list[object] = []
    w.s.spawn(lambda: got.extend([do_poll(w.s, w.files, [PollFd(w.ep, POLLIN)], 100), w.now()]), 'poller')
    w.later(10, lambda: thing.set(POLLIN))
    w.s.run()
    assert got == [1, 10]
    thing.mask = 0
    assert do_poll(w.s, w.files, [PollFd(w.ep, POLLIN)], 0) == 0


def test_an_instance_can_be_watched_by_another() -> None:
    w = Epoll()
    fd, thing = w.watch(EPOLLIN)
    outer = epoll_create1(w.files, 0)
    assert epoll_ctl(w.files, outer, ADD, w.ep, EpollEvent(EPOLLIN, 77)) == 0
    got: list[object] = []

    def body() -> None:
        events = epoll_wait(w.s, w.files, outer, 5, -1)
        assert isinstance(events, list)
        got.extend([(e.data, e.events) for e in events])
        got.extend([w.take(), w.now()])

    w.s.spawn(body, 't')
    w.later(10, lambda: thing.set(POLLIN))
    w.s.run()
    assert got == [(77, EPOLLIN), [(fd, EPOLLIN)], 10]


def test_circles_and_depth_are_refused() -> None:
    w = World()
    eps = [epoll_create1(w.files, 0) for _ in range(6)]

    def watch(outer: int, inner: int) -> int:
        return epoll_ctl(w.files, eps[outer], ADD, eps[inner], EpollEvent(EPOLLIN, 0))

    assert watch(0, 0) == -EINVAL
    assert watch(0, 1) == 0
    assert watch(1, 0) == -ELOOP
    assert watch(1, 2) == 0
    assert watch(2, 0) == -ELOOP
    assert watch(2, 3) == 0 and watch(3, 4) == 0
    assert watch(4, 5) == -ELOOP
    w.files.close_fd(eps[1])
    assert watch(2, 0) == 0


def test_errors_in_linux_order() -> None:
    w = Epoll()
    fd, _ = w.open()
    event = EpollEvent(EPOLLIN, 0)

    class Plain(FileOperations):
        def can_poll(self) -> bool:
            return False

    plain = w.files.get_unused_fd()
    w.files.fd_install(plain, File(Plain()))
    assert epoll_ctl(w.files, 99, ADD, fd, event) == -EBADF
    assert epoll_ctl(w.files, w.ep, ADD, 99, event) == -EBADF
    assert epoll_ctl(w.files, w.ep, ADD, plain, event) == -EPERM
    assert epoll_ctl(w.files, fd, ADD, plain, event) == -EPERM
    assert epoll_ctl(w.files, fd, ADD, w.ep, event) == -EINVAL
    assert epoll_ctl(w.files, w.ep, ADD, w.ep, event) == -EINVAL
    assert epoll_ctl(w.files, w.ep, 9, fd, event) == -EINVAL
    assert epoll_ctl(w.files, w.ep, ADD, fd, None) == -EINVAL
    assert epoll_ctl(w.files, w.ep, DEL, fd) == -ENOENT
    assert w.ctl(MOD, fd, EPOLLIN) == -ENOENT
    assert w.ctl(ADD, fd, EPOLLIN) == 0
    assert w.ctl(ADD, fd, EPOLLIN) == -EEXIST
    assert epoll_ctl(w.files, w.ep, DEL, fd) == 0
    assert w.take(0) == -EINVAL and w.take(-1) == -EINVAL
    assert epoll_wait(w.s, w.files, 99, 1, 0) == -EBADF
    assert epoll_wait(w.s, w.files, fd, 1, 0) == -EINVAL


def test_exclusive_errors() -> None:
    w = Epoll()
    fd, _ = w.open()
    other = epoll_create1(w.files, 0)
    assert w.ctl(ADD, other, EPOLLIN | EPOLLEXCLUSIVE) == -EINVAL
    assert w.ctl(ADD, fd, EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE) == -EINVAL
    assert w.ctl(ADD, fd, EPOLLIN | EPOLLRDHUP | EPOLLEXCLUSIVE) == -EINVAL
    assert w.ctl(ADD, fd, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE) == 0
    assert w.ctl(MOD, fd, EPOLLIN) == -EINVAL
    assert w.ctl(MOD, fd, EPOLLIN | EPOLLEXCLUSIVE) == -EINVAL


def test_create() -> None:
    files = FdTable(limit=1)
    assert epoll_create1(files, 1) == -EINVAL
    assert epoll_create(files, 0) == -EINVAL
    assert epoll_create1(files, O_CLOEXEC) == 0 and files.get_close_on_exec(0)
    assert epoll_create(files, 1) == -EMFILE


STEP = st.tuples(
    st.sampled_from(['set', 'add', 'mod', 'del', 'wait', 'close']), st.integers(0, 3), st.sampled_from([0, 1, 4, 5])
)


@given(st.lists(STEP, max_size=60))
def test_level_trigger_always_tells_exactly_what_is_ready(steps: list[tuple[str, int, int]]) -> None:
    """Whatever happened before, a level-triggered wait gives each watched file that is ready, and no other."""
    w = Epoll()
    things = [w.open() for _ in range(4)]
    watched: dict[int, int] = {}
    closed: set[int] = set()
    for op, i, mask in steps:
        fd, thing = things[i]
        if op == 'set':
            thing.set(mask)
        elif op == 'add':
            want = -EBADF if i in closed else -EEXIST if fd in watched else 0
            assert w.ctl(ADD, fd, mask) == want
            if want == 0:
                watched[fd] = mask
        elif op == 'mod':
            assert w.ctl(MOD, fd, mask) == (-EBADF if i in closed else 0 if fd in watched else -ENOENT)
            if fd in watched:
                watched[fd] = mask
        elif op == 'del':
            assert w.ctl(DEL, fd) == (-EBADF if i in closed else 0 if fd in watched else -ENOENT)
            watched.pop(fd, None)
        elif op == 'close':
            assert w.files.close_fd(fd) == (-EBADF if i in closed else 0)
            closed.add(i)
            watched.pop(fd, None)
        ready = sorted((fd, thing.mask & watched[fd]) for fd, thing in things if thing.mask & watched.get(fd, 0))
        got = w.take()
        assert isinstance(got, list) and sorted(got) == ready
        assert all((thing.wq.first is not None) is (fd in watched) for fd, thing in things)
