# SPDX-License-Identifier: Apache-2.0
"""poll and select over fake files: masks, time-outs, wake-ups by key, signals, closing, what is left behind."""
from __future__ import annotations

import pytest

from linnet.kernel.errno import EBADF, EINTR, EINVAL
from linnet.kernel.poll import POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDHUP, POLLRDNORM
from linnet.kernel.sched import send_signal, sleep_ns
from linnet.kernel.select import PollFd, do_poll, do_select
from unit.kernel.fakefile import World


def poll(w: World, fds: list[PollFd], timeout: int) -> list[object]:
    """Run one poll in a task: result and time, filled in by the run."""
    got: list[object] = []
    w.s.spawn(lambda: got.extend([do_poll(w.s, w.files, fds, timeout), w.now()]), 'poller')
    return got


def later(w: World, ns: int, fn: object) -> None:
    assert callable(fn)
    w.s.spawn(lambda: (sleep_ns(w.s, ns), fn()), 'later')


def test_ready_at_once_does_not_sleep_nor_stay_in_queues() -> None:
    w = World()
    (a, ta), (b, tb) = w.open(), w.open()
    tb.mask = POLLIN | POLLOUT
    fds = [PollFd(a, POLLIN), PollFd(b, POLLIN)]
    got = poll(w, fds, -1)
    w.s.run()
    assert got == [1, 0] and [f.revents for f in fds] == [0, POLLIN]
    assert ta.wq.first is None and tb.wq.first is None


def test_woken_by_the_event_asked_for_and_no_other() -> None:
    w = World()
    fd, thing = w.open()
    got = poll(w, [PollFd(fd, POLLIN)], 100)
    later(w, 10, lambda: thing.set(POLLOUT))
    later(w, 20, lambda: thing.set(POLLOUT | POLLIN))
    w.s.run()
    assert got == [1, 20]
    assert thing.asked == 2 and thing.wq.first is None and w.files.fcheck(fd).f_count == 1  # type: ignore[union-attr]


def test_time_out() -> None:
    w = World()
    fd, thing = w.open()
    thing.mask = POLLOUT
    fds = [PollFd(fd, POLLIN)]
    got = poll(w, fds, 100)
    later(w, 40, lambda: thing.set(POLLOUT, key=0))  # a wake-up that brings nothing: the rest of the time is waited
    w.s.run()
    assert got == [0, 100] and fds[0].revents == 0


def test_errors_come_unasked_and_bad_numbers_are_told() -> None:
    w = World()
    fd, thing = w.open()
    thing.mask = POLLERR | POLLHUP | POLLIN | POLLRDHUP
    fds = [PollFd(fd, 0), PollFd(99, POLLIN), PollFd(-1, POLLIN), PollFd(fd, POLLRDHUP)]
    got = poll(w, fds, -1)
    w.s.run()
    assert got == [3, 0]
    assert [f.revents for f in fds] == [POLLERR | POLLHUP, POLLNVAL, 0, POLLERR | POLLHUP | POLLRDHUP]


def test_no_descriptors_is_a_sleep() -> None:
    w = World()
    got = poll(w, [], 50)
    w.s.run()
    assert got == [0, 50]


def test_a_signal_interrupts() -> None:
    w = World()
    fd, thing = w.open()
    got: list[object] = []
    task = w.s.spawn(lambda: got.extend([do_poll(w.s, w.files, [PollFd(fd, POLLIN)], -1), w.now()]), 'poller')
    later(w, 5, lambda: send_signal(task, 2))
    w.s.run()
    assert got == [-EINTR, 5] and thing.wq.first is None


def test_killed_in_the_midst_leaves_no_trace() -> None:
    w = World()
    fd, thing = w.open()
    poll(w, [PollFd(fd, POLLIN)], -1)
    w.s.run()
    assert thing.wq.first is not None
    w.s.kill_all()
    assert thing.wq.first is None and w.files.fcheck(fd).f_count == 1  # type: ignore[union-attr]


def test_a_file_closed_while_polled_lives_until_the_poll_ends() -> None:
    w = World()
    fd, thing = w.open()
    got = poll(w, [PollFd(fd, POLLIN)], 30)
    later(w, 10, lambda: w.files.close_fd(fd))
    later(w, 20, lambda: got.append(thing.released))
    w.s.run()
    assert got == [False, 1, 30] and thing.released  # its number was found closed: POLLNVAL


def test_timeout_zero_yields_once_and_works_outside_of_a_task() -> None:
    w = World()
    fd, thing = w.open()
    got = poll(w, [PollFd(fd, POLLIN)], 0)
    w.s.spawn(lambda: thing.set(POLLIN), 'other')
    w.s.run()
    assert got == [1, 0]
    assert do_poll(w.s, w.files, [PollFd(fd, POLLIN)], 0) == 1
    with pytest.raises(RuntimeError, match='outside a task'):
        do_poll(w.s, w.files, [PollFd(fd, POLLIN)], 1)


def test_many_pollers_of_one_file_all_wake() -> None:
    w = World()
    fd, thing = w.open()
    got = [poll(w, [PollFd(fd, POLLIN)], -1) for _ in range(5)]
    later(w, 7, lambda: thing.set(POLLIN))
    w.s.run()
    assert got == [[1, 7]] * 5


def select(w: World, r: list[int], wr: list[int], x: list[int], timeout: int) -> list[object]:
    got: list[object] = []
    w.s.spawn(lambda: got.extend([do_select(w.s, w.files, r, wr, x, timeout), w.now()]), 'selector')
    return got


def test_select() -> None:
    w = World()
    (a, ta), (b, tb), (c, tc) = w.open(), w.open(), w.open()
    ta.mask = POLLIN | POLLOUT
    tb.mask = POLLERR
    tc.mask = POLLPRI
    got = select(w, [c, b, a], [a, b, c], [a, b, c], -1)
    w.s.run()
    assert got == [([b, a], [a, b], [c]), 0]


def test_select_sleeps_and_a_hang_up_is_readable_not_writable() -> None:
    w = World()
    (a, ta), (b, tb) = w.open(), w.open()
    got = select(w, [a], [b], [], 100)
    later(w, 10, lambda: tb.set(POLLHUP))
    later(w, 20, lambda: ta.set(POLLHUP))
    w.s.run()
    assert got == [([a], [], []), 20]
    timed = select(w, [], [], [a], 5)
    w.s.run()
    assert timed == [([], [], []), 25]


def test_select_errors() -> None:
    w = World()
    fd, _ = w.open()
    assert do_select(w.s, w.files, [99], [], [], 0) == -EBADF
    assert do_select(w.s, w.files, [fd], [-1], [], 0) == -EINVAL
    got: list[object] = []
    task = w.s.spawn(lambda: got.append(do_select(w.s, w.files, [fd], [], [], -1)), 't')
    later(w, 1, lambda: send_signal(task, 1))
    w.s.run()
    assert got == [-EINTR]


def test_reading_the_norm_bit_counts_as_readable() -> None:
    w = World()
    fd, thing = w.open()
    thing.mask = POLLRDNORM
    assert do_select(w.s, w.files, [fd], [fd], [fd], 0) == ([fd], [], [])
