# SPDX-License-Identifier: Apache-2.0
"""Descriptors and files: lowest free number, counts, release at the last hold, dup."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from linnet.kernel.errno import EBADF, EINVAL, EMFILE, ENOTTY
from linnet.kernel.file import (
    O_CLOEXEC,
    O_NONBLOCK,
    FdTable,
    File,
    FileOperations,
    FileWatch,
    PollTable,
    fput,
    get_file,
    poll_wait,
    vfs_poll,
)
from linnet.kernel.poll import DEFAULT_POLLMASK, POLLIN
from linnet.kernel.wait import WaitQueueHead


class Ops(FileOperations):
    def __init__(self) -> None:
        self.log: list[object] = []

    def release(self, file: File) -> int:
        self.log.append(file.private_data)
        return -5


def install(table: FdTable, ops: FileOperations, name: object = None, flags: int = 0) -> int:
    fd = table.get_unused_fd(flags)
    assert fd >= 0
    table.fd_install(fd, File(ops, name))
    return fd


def test_lowest_free_number_from_the_start() -> None:
    table, ops = FdTable(start=1 << 20), Ops()
    assert [install(table, ops, i) - (1 << 20) for i in range(4)] == [0, 1, 2, 3]
    assert table.close_fd((1 << 20) + 2) == -5
    assert table.close_fd((1 << 20) + 0) == -5
    assert [install(table, ops) - (1 << 20) for _ in range(3)] == [0, 2, 4]
    assert ops.log == [2, 0] and len(table) == 5
    assert table.fds() == [(1 << 20) + i for i in range(5)]


def test_a_reserved_number_is_no_file_and_can_be_given_back() -> None:
    table = FdTable()
    fd = table.get_unused_fd()
    assert table.fget(fd) is None and table.close_fd(fd) == -EBADF
    assert table.get_unused_fd() == 1
    table.put_unused_fd(fd)
    assert table.get_unused_fd() == 0


def test_limit() -> None:
    table, ops = FdTable(start=3, limit=2), Ops()
    assert [install(table, ops) for _ in range(2)] == [3, 4]
    assert table.get_unused_fd() == -EMFILE
    assert table.dup(3) == -EMFILE
    assert table.dup(3, 5) == -EINVAL
    assert table.dup2(3, 5) == -EBADF


def test_bad_numbers() -> None:
    table = FdTable(start=10)
    for fd in (-1, 0, 9, 10, 99, 1 << 40):
        assert table.fget(fd) is None and table.close_fd(fd) == -EBADF and table.dup(fd) == -EBADF
        assert table.dup2(fd, 12) == -EBADF and table.get_close_on_exec(fd) is False
        table.set_close_on_exec(fd, True)
        table.put_unused_fd(fd)


def test_release_waits_for_the_last_hold() -> None:
    table, ops = FdTable(), Ops()
    fd = install(table, ops, 'f')
    file = table.fget(fd)
    assert file is not None and file.f_count == 2
    other = table.dup(fd)
    assert (other, file.f_count) == (1, 3)
    assert table.close_fd(fd) == 0 and table.close_fd(other) == 0 and ops.log == []
    assert fput(get_file(file)) == 0
    assert fput(file) == -5
    assert ops.log == ['f']


def test_dup_and_dup2() -> None:
    table, ops = FdTable(), Ops()
    a, b = install(table, ops, 'a', O_CLOEXEC), install(table, ops, 'b')
    assert table.dup(a, 5) == 5 and table.dup(a, 5, O_CLOEXEC) == 6 and table.dup(a) == 2
    assert [table.get_close_on_exec(fd) for fd in (0, 1, 2, 5, 6)] == [True, False, False, False, True]
    assert table.dup2(a, b) == b and ops.log == ['b']
    assert table.fcheck(a) is table.fcheck(b)
    assert table.dup2(a, a) == a
    assert table.dup2(a, 9, O_CLOEXEC) == 9 and table.get_close_on_exec(9)
    assert [table.get_unused_fd() for _ in range(4)] == [3, 4, 7, 8]
    table.set_close_on_exec(a, False)
    assert table.get_close_on_exec(a) is False
    table.close_all()
    assert ops.log == ['b', 'a'] and len(table) == 0


def test_watches_are_told_before_release() -> None:
    ops = Ops()

    class Watch(FileWatch):
        def file_released(self, file: File) -> None:
            ops.log.append('watch')

    file = File(ops, 'f')
    first, second = Watch(), Watch()
    file.f_ep = first
    first.next_watch = second
    fput(file)
    assert ops.log == ['watch', 'watch', 'f'] and file.f_ep is None


def test_defaults() -> None:
    file = File(FileOperations(), None, O_NONBLOCK)
    assert file.f_flags == O_NONBLOCK
    assert vfs_poll(file, None) == DEFAULT_POLLMASK and file.f_op.can_poll()
    assert (file.f_op.read(file, 1), file.f_op.write(file, b'x'), file.f_op.ioctl(file, 0, 0)) == (
        -EINVAL, -EINVAL, -ENOTTY,
    )
    assert fput(file) == 0


def test_poll_wait_asks_only_an_active_table() -> None:
    class Table(PollTable):
        def __init__(self) -> None:
            super().__init__(POLLIN)
            self.queues: list[WaitQueueHead] = []

        def queue_proc(self, file: File, wq: WaitQueueHead) -> None:
            self.queues.append(wq)

    file, wq, pt = File(FileOperations()), WaitQueueHead(), Table()
    poll_wait(file, wq, None)
    poll_wait(file, None, pt)
    poll_wait(file, wq, pt)
    pt.active = False
    poll_wait(file, wq, pt)
    assert pt.queues == [wq]


@given(st.lists(st.tuples(st.sampled_from(['open', 'close', 'dup', 'dup2']), st.integers(0, 12), st.integers(0, 12))))
def test_against_a_dict(ops: list[tuple[str, int, int]]) -> None:
    """Whatever is called, numbers are the lowest free and each file is released exactly once, after its last number."""
    fops = Ops()
    table = FdTable(limit=12)
    model: dict[int, int] = {}
    made = 0
    for op, a, b in ops:
        lowest = next((i for i in range(12) if i not in model), -EMFILE)
        if op == 'open':
            fd = table.get_unused_fd()
            assert fd == lowest
            if fd >= 0:
                table.fd_install(fd, File(fops, made))
                model[fd] = made
                made += 1
        elif op == 'close':
            assert (table.close_fd(a) == -EBADF) is (model.pop(a, None) is None)
        elif op == 'dup':
            want = lowest if a in model else -EBADF
            assert table.dup(a) == want
            if want >= 0:
                model[want] = model[a]
        else:
            want = b if a in model and b < 12 else -EBADF
            assert table.dup2(a, b) == want
            if want >= 0:
                model[b] = model[a]
        assert table.fds() == sorted(model)
        assert {fd: table.fcheck(fd).private_data for fd in model} == model  # type: ignore[union-attr]
    assert sorted([*map(int, map(str, fops.log)), *set(model.values())]) == list(range(made))
