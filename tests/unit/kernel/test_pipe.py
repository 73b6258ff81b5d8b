# SPDX-License-Identifier: Apache-2.0
"""pipe(2), splice(2), tee(2), vmsplice(2), sendfile(2) and the file system in memory, without a network."""
from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linnet.kernel.errno import EAGAIN, EBADF, EBUSY, EEXIST, EINVAL, EISDIR, ENOENT, EPERM, EPIPE, ESPIPE
from linnet.kernel.file import O_APPEND, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, File
from linnet.kernel.pipe import O_DIRECT, Pipe, do_pipe2, get_pipe_info, pipe_get_size, pipe_set_size
from linnet.kernel.poll import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM
from linnet.kernel.ramfs import O_CREAT, O_EXCL, O_TRUNC, Ramfs
from linnet.kernel.splice import NO_OFFSET, SPLICE_F_NONBLOCK, do_sendfile, do_splice, do_tee, vmsplice_to_pipe
from unit.kernel.fakefile import World


class Ends:
    """A pipe and its two files."""

    def __init__(self, flags: int = 0, world: World | None = None) -> None:
        self.world = world or World()
        self.r, self.w = do_pipe2(self.world.s, self.world.files, flags)

    def file(self, fd: int) -> File:
        file = self.world.files.fcheck(fd)
        assert file is not None
        return file

    @property
    def pipe(self) -> Pipe:
        pipe = get_pipe_info(self.file(self.r))
        assert pipe is not None
        return pipe

    def read(self, count: int) -> bytes | int:
        return self.file(self.r).f_op.read(self.file(self.r), count)

    def write(self, data: bytes) -> int:
        return self.file(self.w).f_op.write(self.file(self.w), data)

    def poll(self) -> tuple[int, int]:
        return self.file(self.r).f_op.poll(self.file(self.r), None), self.file(self.w).f_op.poll(self.file(self.w), None)

    def close(self, fd: int) -> None:
        self.world.files.close_fd(fd)

    def run(self, *fns: Callable[[], object]) -> list[object]:
        tasks = [self.world.s.spawn(fn, 'task') for fn in fns]
        self.world.s.run()
        return [task.result for task in tasks]


def test_what_is_written_is_read() -> None:
    p = Ends(O_NONBLOCK)
    assert p.read(10) == -EAGAIN
    assert p.write(b'hello') == 5
    assert p.write(b' world') == 6
    assert len(p.pipe.bufs) == 1  # joined
    assert p.read(7) == b'hello w'
    assert p.read(100) == b'orld'
    assert p.read(0) == b''


def test_it_is_full_when_its_pages_are() -> None:
    p = Ends(O_NONBLOCK)
    assert p.write(bytes(100_000)) == 65536
    assert p.write(b'x') == -EAGAIN
    assert p.poll() == (EPOLLIN | EPOLLRDNORM, 0)
    assert p.read(4095) == bytes(4095)
    assert p.write(b'x') == -EAGAIN  # no page is free yet
    assert p.read(1) == b'\0'
    assert p.write(b'x') == 1
    assert p.poll() == (EPOLLIN | EPOLLRDNORM, 0)


def test_the_ends_hear_of_each_other() -> None:
    p = Ends()
    assert p.poll() == (0, EPOLLOUT | EPOLLWRNORM)
    p.write(b'last')
    p.close(p.w)
    reader = p.file(p.r)
    assert reader.f_op.poll(reader, None) == EPOLLIN | EPOLLRDNORM | EPOLLHUP
    assert p.read(10) == b'last'
    assert p.read(10) == b''
    q = Ends()
    q.close(q.r)
    writer = q.file(q.w)
    assert writer.f_op.poll(writer, None) == EPOLLOUT | EPOLLWRNORM | EPOLLERR
    assert q.write(b'x') == -EPIPE


def test_ends_that_are_not_open_that_way() -> None:
    p = Ends()
    assert p.file(p.r).f_op.write(p.file(p.r), b'x') == -EBADF
    assert p.file(p.w).f_op.read(p.file(p.w), 1) == -EBADF
    assert do_pipe2(p.world.s, p.world.files, 1) == (-EINVAL, 0)


def test_a_reader_waits_for_a_writer() -> None:
    p = Ends()
    got, sent = p.run(lambda: p.read(10), lambda: p.write(b'data'))
    assert (got, sent) == (b'data', 4)


def test_a_writer_waits_for_a_reader() -> None:
    p = Ends()
    data = bytes(range(256)) * 800  # three pipes full

    def read() -> bytes:
        out = b''
        while len(out) < len(data):
            part = p.read(10_000)
            assert isinstance(part, bytes)
            out += part
        return out

    sent, got = p.run(lambda: p.write(data), read)
    assert sent == len(data)
    assert got == data


def test_a_waiting_reader_sees_the_end() -> None:
    p = Ends()
    got, _ = p.run(lambda: p.read(10), lambda: p.close(p.w))
    assert got == b''


def test_a_waiting_writer_sees_that_nobody_reads() -> None:
    p = Ends()
    p.write(bytes(65536))
    sent, _ = p.run(lambda: p.write(b'x'), lambda: p.close(p.r))
    assert sent == -EPIPE


def test_packets() -> None:
    p = Ends(O_DIRECT)
    p.write(b'first')
    p.write(b'second')
    assert p.read(3) == b'fir'  # the rest of a packet is lost
    assert p.read(100) == b'second'


def test_the_size_can_be_set() -> None:
    p = Ends()
    assert pipe_get_size(p.pipe) == 65536
    assert pipe_set_size(p.pipe, 5000, False) == 8192
    assert pipe_set_size(p.pipe, 2 << 20, False) == -EPERM
    assert pipe_set_size(p.pipe, 2 << 20, True) == 2 << 20
    p.write(bytes(20_000))
    assert pipe_set_size(p.pipe, 4096, True) == -EBUSY
    assert pipe_set_size(p.pipe, 0, True) == -EINVAL


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=9000), st.integers(1, 9000)), max_size=40))
def test_a_pipe_is_a_queue_of_bytes(steps: list[bytes | int]) -> None:
    p = Ends(O_NONBLOCK)
    queue = b''
    for step in steps:
        if isinstance(step, int):
            got = p.read(step)
            if queue:
                assert got == queue[:step]
                queue = queue[step:]
            else:
                assert got == -EAGAIN
        else:
            sent = p.write(step)
            if len(step) <= 4096:
                assert sent in (len(step), -EAGAIN)  # never torn
            if sent > 0:
                queue += step[:sent]
            assert len(p.pipe.bufs) <= 16


def open_file(fs: Ramfs, data: bytes, flags: int = O_RDWR) -> File:
    file = fs.open('/f', O_CREAT | O_TRUNC | O_RDWR)
    assert isinstance(file, File)
    file.f_op.write(file, data)
    again = fs.open('/f', flags)
    assert isinstance(again, File)
    return again


def test_files() -> None:
    fs = Ramfs()
    assert fs.open('/f', O_RDONLY) == -ENOENT
    assert fs.open('', O_RDONLY) == -ENOENT
    assert fs.open('/d/', O_RDONLY) == -EISDIR
    assert fs.open('/f', 3) == -EINVAL
    file = open_file(fs, b'0123456789')
    assert fs.open('/f', O_CREAT | O_EXCL | O_RDWR) == -EEXIST
    op = file.f_op
    assert op.read(file, 3) == b'012'
    assert op.llseek(file, -2, 2) == 8
    assert op.read(file, 100) == b'89'
    assert op.read(file, 100) == b''
    assert op.llseek(file, 12, 0) == 12
    assert op.write(file, b'x') == 1
    assert op.pread(file, 0, 100) == b'0123456789\0\0x'
    assert op.pwrite(file, 1, b'ab') == 2
    assert op.pread(file, 0, 5) == b'0ab34'
    assert op.llseek(file, 1, 1) == 14
    assert op.llseek(file, -1, 0) == op.llseek(file, 0, 9) == op.pread(file, -1, 1) == op.pwrite(file, -1, b'') == -EINVAL
    tail = fs.open('/f', O_WRONLY | O_APPEND)
    assert isinstance(tail, File)
    tail.f_op.write(tail, b'end')
    assert tail.f_op.pread(tail, 0, 1) == -EBADF
    assert op.pread(file, 10, 100) == b'\0\0xend'
    reader = fs.open('/f', O_RDONLY)
    assert isinstance(reader, File)
    assert reader.f_op.pwrite(reader, 0, b'x') == -EBADF
    assert fs.unlink('/f') == 0
    assert fs.unlink('/f') == -ENOENT
    assert op.pread(file, 0, 1) == b'0'  # it lives on while it is open


def test_from_a_file_by_a_pipe_into_another() -> None:
    p = Ends()
    source = open_file(Ramfs(), b'abcdefgh')
    target = open_file(Ramfs(), b'........')
    moved = do_splice(source, 2, p.file(p.w), NO_OFFSET, 4, 0)
    assert (moved.count, moved.pos_in, source.f_pos) == (4, 6, 0)
    moved = do_splice(source, NO_OFFSET, p.file(p.w), NO_OFFSET, 1, 0)
    assert (moved.count, source.f_pos) == (1, 1)
    moved = do_splice(p.file(p.r), NO_OFFSET, target, 3, 100, 0)
    assert (moved.count, moved.pos_out, target.f_pos) == (5, 8, 0)
    assert target.f_op.pread(target, 0, 100) == b'...cdefa'


def test_splice_moves_buffers_between_pipes() -> None:
    world = World()
    a, b = Ends(0, world), Ends(O_NONBLOCK, world)
    a.write(b'0123456789')
    assert do_splice(a.file(a.r), NO_OFFSET, b.file(b.w), NO_OFFSET, 4, 0).count == 4
    assert do_tee(a.file(a.r), b.file(b.w), 100, 0) == 6
    assert b.read(100) == b'0123456789'
    assert a.read(100) == b'456789'
    assert do_splice(a.file(a.r), NO_OFFSET, b.file(b.w), NO_OFFSET, 4, SPLICE_F_NONBLOCK).count == -EAGAIN
    a.close(a.w)
    assert do_splice(a.file(a.r), NO_OFFSET, b.file(b.w), NO_OFFSET, 4, 0).count == 0
    assert do_tee(a.file(a.r), b.file(b.w), 4, 0) == 0


def test_what_splice_refuses() -> None:
    world = World()
    a, b = Ends(0, world), Ends(0, world)
    f = open_file(Ramfs(), b'x')
    assert do_splice(f, 0, f, 0, 1, 0).count == -EINVAL
    assert do_splice(a.file(a.r), NO_OFFSET, a.file(a.w), NO_OFFSET, 1, 0).count == -EINVAL
    assert do_splice(a.file(a.r), 0, b.file(b.w), NO_OFFSET, 1, 0).count == -ESPIPE
    assert do_splice(a.file(a.r), 0, f, NO_OFFSET, 1, 0).count == -ESPIPE
    assert do_splice(f, NO_OFFSET, a.file(a.w), 0, 1, 0).count == -ESPIPE
    assert do_splice(a.file(a.w), NO_OFFSET, f, NO_OFFSET, 1, 0).count == -EBADF
    appending = open_file(Ramfs(), b'x', O_WRONLY | O_APPEND)
    assert do_splice(a.file(a.r), NO_OFFSET, appending, NO_OFFSET, 1, 0).count == -EINVAL
    assert do_tee(f, a.file(a.w), 1, 0) == -EINVAL
    assert do_tee(a.file(a.w), b.file(b.w), 1, 0) == -EBADF
    a.close(a.r)
    assert do_splice(f, NO_OFFSET, a.file(a.w), NO_OFFSET, 1, 0).count == -EPIPE


def test_memory_into_a_pipe() -> None:
    p = Ends()
    data = bytes(10_000)
    assert vmsplice_to_pipe(p.file(p.w), data, 0) == 10_000
    assert all(buf.page is data for buf in p.pipe.bufs)
    assert vmsplice_to_pipe(p.file(p.w), bytes(100_000), SPLICE_F_NONBLOCK) == 13 * 4096
    assert vmsplice_to_pipe(p.file(p.w), b'x', SPLICE_F_NONBLOCK) == -EAGAIN
    assert vmsplice_to_pipe(p.file(p.r), b'x', 0) == -EBADF


@pytest.mark.parametrize('offset', [NO_OFFSET, 5])
def test_sendfile_between_files(offset: int) -> None:
    source = open_file(Ramfs(), bytes(range(250)) * 1000)
    target = open_file(Ramfs(), b'')
    moved = do_sendfile(target, source, offset, 200_000)
    start = max(offset, 0)
    assert moved.count == 200_000
    assert source.f_pos == (200_000 if offset == NO_OFFSET else 0)
    assert target.f_pos == 200_000
    assert target.f_op.pread(target, 0, 300_000) == (bytes(range(250)) * 1000)[start:start + 200_000]
    assert do_sendfile(target, source, 250_000, 10).count == 0


def test_sendfile_into_a_pipe() -> None:
    p = Ends(O_NONBLOCK)
    source = open_file(Ramfs(), bytes(100_000))
    assert do_sendfile(p.file(p.w), source, NO_OFFSET, 100_000).count == 65536
    assert source.f_pos == 65536
    assert do_sendfile(p.file(p.w), source, NO_OFFSET, 100_000).count == -EAGAIN


def test_what_sendfile_refuses() -> None:
    p = Ends()
    f = open_file(Ramfs(), b'x')
    assert do_sendfile(f, p.file(p.r), 0, 1).count == -ESPIPE
    assert do_sendfile(f, p.file(p.w), NO_OFFSET, 1).count == -EBADF
    assert do_sendfile(f, f, NO_OFFSET, -1).count == -EINVAL
    assert do_sendfile(open_file(Ramfs(), b'', O_WRONLY | O_APPEND), f, 0, 1).count == -EINVAL
