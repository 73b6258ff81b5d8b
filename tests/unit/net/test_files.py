# SPDX-License-Identifier: Apache-2.0
"""The system calls of net/files.py on sockets: bytes sent and received by reference, a File that no descriptor stands for."""
from __future__ import annotations

import pytest

from helpers.hosts import Alone, Pair, fails
from linnet.include.linux.socket import AF_UNIX, MSG_DONTWAIT, SOCK_STREAM, BadAddress
from linnet.kernel.file import O_NONBLOCK, O_RDONLY, O_RDWR, File, FileOperations
from linnet.net import files
from linnet.net import socket as sys


class Bytes(FileOperations):
    """A file of the caller's own."""

    def can_seek(self) -> bool:
        return True

    def pread(self, file: File, pos: int, count: int) -> bytes | int:
        data = file.private_data
        assert isinstance(data, bytes)
        return data[pos:pos + count]


def test_sendfile_from_a_file_of_the_callers_own() -> None:
    pair = Pair()
    fd_a, fd_b = pair.connected()
    data = bytes(range(256)) * 2000
    file = File(Bytes(), data, O_RDONLY)

    def send() -> tuple[int, int | None]:
        answer = files.sys_sendfile(pair.a.process, fd_a, file, 6, 400_000)
        pair.a.shutdown(fd_a, 1)
        return answer

    answer, got = pair.run(send, lambda: pair.b.recvall(fd_b))
    assert answer == (400_000, 400_006)
    assert got == data[6:400_006]


def test_a_proxy_by_splice_copies_nothing() -> None:
    pair = Pair()
    fd_a, fd_b = pair.connected()
    pair.run(lambda: pair.a.send(fd_a, bytes(50_000)))
    reader, writer = files.sys_pipe2(pair.b.process)

    def proxy() -> int:
        count, off_in, off_out = files.sys_splice(pair.b.process, fd_b, None, writer, None, 65536)
        assert (off_in, off_out) == (None, None)
        return files.sys_splice(pair.b.process, reader, None, fd_b, None, count)[0]

    back, got = pair.run(proxy, lambda: len(pair.a.recv(fd_a, 100_000)))
    assert back == 50_000
    assert got == 50_000


def test_the_end_and_errors_of_a_stream() -> None:
    pair = Pair()
    fd_a, fd_b = pair.connected()
    _, writer = files.sys_pipe2(pair.b.process, O_NONBLOCK)
    pair.b.nonblocking(fd_b)
    with fails('EAGAIN'):
        files.sys_splice(pair.b.process, fd_b, None, writer, None, 10)
    pair.run(lambda: pair.a.shutdown(fd_a, 1))
    assert files.sys_splice(pair.b.process, fd_b, None, writer, None, 10)[0] == 0
    alone = pair.a.socket()
    with fails('ENOTCONN'):
        pair.run(lambda: files.sys_splice(pair.a.process, alone, None, files.sys_pipe(pair.a.process)[1], None, 10))


def test_other_sockets_splice_by_copying() -> None:
    host = Alone()
    a, b = sys.sys_socketpair(host.process, AF_UNIX, SOCK_STREAM, 0)
    reader, writer = files.sys_pipe(host.process)
    host.run(lambda: host.send(a, b'bytes'))
    assert host.run(lambda: files.sys_splice(host.process, b, None, writer, None, 100)[0]) == [5]
    assert host.run(lambda: files.sys_splice(host.process, reader, None, b, None, 100)[0]) == [5]
    assert host.run(lambda: host.recv(a)) == [b'bytes']


def test_calls_on_files() -> None:
    host = Alone()
    with fails('ENOENT'):
        files.sys_open(host.process, '/x', O_RDONLY)
    fd = files.sys_open(host.process, '/x', O_RDWR | files.O_CREAT)
    assert sys.sys_write(host.process, fd, b'abcdef') == 6
    assert files.sys_lseek(host.process, fd, 0, 0) == 0
    assert sys.sys_read(host.process, fd, 3) == b'abc'
    assert files.sys_pread64(host.process, fd, 2, 4) == b'ef'
    assert files.sys_pwrite64(host.process, fd, b'X', 0) == 1
    with fails('EINVAL'):
        files.sys_pread64(host.process, fd, 2, -1)
    with fails('ESPIPE'):
        files.sys_lseek(host.process, files.sys_pipe(host.process)[0], 0, 0)
    files.sys_unlink(host.process, '/x')
    with fails('ENOENT'):
        files.sys_unlink(host.process, '/x')
    sys.sys_close(host.process, fd)
    with fails('EBADF'):
        files.sys_lseek(host.process, fd, 0, 0)


def test_the_size_of_a_pipe_by_fcntl() -> None:
    host = Alone()
    reader, writer = files.sys_pipe(host.process)
    assert sys.sys_fcntl(host.process, reader, sys.F_GETPIPE_SZ) == 65536
    assert sys.sys_fcntl(host.process, writer, sys.F_SETPIPE_SZ, 10_000) == 16384
    with fails('EBADF'):
        sys.sys_fcntl(host.process, host.socket(), sys.F_GETPIPE_SZ)


@pytest.mark.parametrize('kind', ['udp', 'unix', 'pipe'])
def test_bad_addresses(kind: str) -> None:
    host = Alone()
    if kind == 'udp':
        a = b = host.udp(9)
        host.connect(a, '127.0.0.1', 9)
    elif kind == 'unix':
        a, b = sys.sys_socketpair(host.process, AF_UNIX, SOCK_STREAM, 0)
    else:
        b, a = files.sys_pipe2(host.process, O_NONBLOCK)

    def program() -> None:
        with fails('EFAULT'):
            sys.sys_write(host.process, a, BadAddress(10))
        if kind != 'pipe':
            with fails('EAGAIN'):
                sys.sys_recv(host.process, b, BadAddress(10), MSG_DONTWAIT)
        sys.sys_write(host.process, a, b'data')
        with fails('EFAULT'):
            sys.sys_read(host.process, b, BadAddress(10))

    host.net.loopback_dev.flags |= 1  # type: ignore[union-attr]
    host.run(program)
