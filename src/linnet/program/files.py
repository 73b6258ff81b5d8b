# SPDX-License-Identifier: Apache-2.0
"""What os and fcntl do with a descriptor, for those of simulated programs (from FIRST_FD on)."""
from __future__ import annotations

import errno
import io
import os
import stat
import struct
from collections.abc import Callable
from typing import Any, TypeVar

from linnet.kernel.file import FD_CLOEXEC, O_NONBLOCK
from linnet.program import calls as sys
from linnet.program.runtime import FIRST_FD, current_program

T = TypeVar('T')
F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL = 1030, 1, 2, 3, 4
SENDFILE_MOST = 1 << 18  # bytes of one sendfile(): like the system call it may send less than it was asked to
INT_BUFFER = 4
real_read, real_pread, real_lseek = os.read, os.pread, os.lseek  # kept: the names are patched


def restarting(call: Callable[[], T]) -> T:
    """Make a system call, again after each signal's handler (PEP 475)."""
    while True:
        try:
            result = call()
            current_program().clock.progress()
            return result
        except InterruptedError:
            current_program().signals.run_handlers()


def close(fd: int) -> None:
    """As os.close."""
    sys.sys_close(current_program(), fd)


def forget(fd: int) -> None:
    """A descriptor of the machine is about to be closed."""
    program = current_program()
    foreign = program.files.foreign
    if foreign is not None and foreign.known(fd):
        sys.forget(program, fd)


def read(fd: int, n: int) -> bytes:
    """As os.read."""
    return restarting(lambda: sys.sys_read(current_program(), fd, n))


def write(fd: int, data: Any) -> int:
    """As os.write."""
    raw = bytes(data)
    return restarting(lambda: sys.sys_write(current_program(), fd, raw))


def pipe() -> tuple[int, int]:
    """As os.pipe: (read end, write end)."""
    return pipe2(os.O_CLOEXEC)


def pipe2(flags: int = 0) -> tuple[int, int]:
    """As os.pipe2."""
    return sys.sys_pipe2(current_program(), flags)


def set_blocking(fd: int, blocking: bool) -> None:
    """As os.set_blocking."""
    program = current_program()
    flags = sys.sys_fcntl(program, fd, F_GETFL, 0)
    sys.sys_fcntl(program, fd, F_SETFL, flags & ~O_NONBLOCK if blocking else flags | O_NONBLOCK)


def get_blocking(fd: int) -> bool:
    """As os.get_blocking."""
    return not sys.sys_fcntl(current_program(), fd, F_GETFL, 0) & O_NONBLOCK


def set_inheritable(fd: int, inheritable: bool) -> None:
    """As os.set_inheritable. No program of a world executes another: it is remembered, and means nothing."""
    sys.sys_fcntl(current_program(), fd, F_SETFD, 0 if inheritable else FD_CLOEXEC)


def get_inheritable(fd: int) -> bool:
    """As os.get_inheritable."""
    return not sys.sys_fcntl(current_program(), fd, F_GETFD, 0) & FD_CLOEXEC


def dup(fd: int) -> int:
    """As os.dup."""
    return sys.sys_fcntl(current_program(), fd, F_DUPFD_CLOEXEC, 0)


def dup2(fd: int, fd2: int, inheritable: bool = True) -> int:
    """As os.dup2, within the program."""
    if fd2 < FIRST_FD:
        raise OSError(errno.EBADF, f'descriptor {fd2} is the machine\'s: a program\'s begin at {FIRST_FD}')
    sys.sys_dup2(current_program(), fd, fd2)
    set_inheritable(fd2, inheritable)
    return fd2


def isatty(fd: int) -> bool:
    """As os.isatty: no."""
    sys.sys_fcntl(current_program(), fd, F_GETFD, 0)
    return False


def fstat(fd: int) -> os.stat_result:
    """As os.fstat: that it is a socket or a pipe, and no more."""
    kind = stat.S_IFSOCK
    try:
        sys.sys_getsockname(current_program(), fd)
    except OSError as exc:
        if exc.errno != errno.ENOTSOCK:
            raise
        kind = stat.S_IFIFO
    return os.stat_result((kind | 0o600, fd, 0, 1, 0, 0, 0, 0, 0, 0))


class DescriptorIO(io.RawIOBase):
    """What io.open(fd) of a simulated descriptor reads and writes: as io.FileIO."""

    def __init__(self, fd: int, mode: str, closefd: bool) -> None:
        self._fd, self.mode, self.closefd, self.name = fd, mode, closefd, fd

    def _checked(self) -> int:
        if self.closed:
            raise ValueError('I/O operation on closed file')
        return self._fd

    def readable(self) -> bool:
        """Was it opened to read?"""
        self._checked()
        return 'r' in self.mode or '+' in self.mode

    def writable(self) -> bool:
        """Was it opened to write?"""
        self._checked()
        return 'r' not in self.mode or '+' in self.mode

    def fileno(self) -> int:
        """The descriptor."""
        return self._checked()

    def isatty(self) -> bool:
        """No."""
        return isatty(self._checked())

    def readinto(self, buffer: Any) -> int | None:
        """As read(2); None where it would block."""
        view = memoryview(buffer).cast('B')
        try:
            data = read(self._checked(), len(view))
        except BlockingIOError:
            return None
        view[:len(data)] = data
        return len(data)

    def write(self, data: Any) -> int | None:
        """As write(2); None where it would block."""
        try:
            return write(self._checked(), data)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Close the file, and the descriptor where it is the file's."""
        if self.closed:
            return
        super().close()
        if self.closefd and not current_program().exited:
            close(self._fd)


def open_fd(fd: int, mode: str = 'r', buffering: int = -1, encoding: str | None = None, errors: str | None = None,
            newline: str | None = None, closefd: bool = True, opener: Any = None) -> Any:
    """As io.open on a descriptor."""
    sys.sys_fcntl(current_program(), fd, F_GETFD, 0)
    binary = 'b' in mode
    if binary and encoding is not None:
        raise ValueError("binary mode doesn't take an encoding argument")
    raw = DescriptorIO(fd, mode.replace('t', ''), closefd)
    if buffering == 0:
        if not binary:
            raise ValueError("can't have unbuffered text I/O")
        return raw
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    reads, writes = raw.readable(), raw.writable()
    buffer: Any = io.BufferedRWPair(raw, raw, size) if reads and writes else (
        io.BufferedReader(raw, size) if reads else io.BufferedWriter(raw, size))
    if binary:
        return buffer
    text = io.TextIOWrapper(buffer, encoding, errors, newline, line_buffering=buffering == 1)
    text.mode = mode  # type: ignore[misc]
    return text


def sendfile(out_fd: int, in_fd: int, offset: int | None, count: int) -> int:
    """As os.sendfile, from a file of the machine to a socket of the program. offset None: from where the file is, moving it."""
    if not isinstance(in_fd, int):
        raise TypeError(f"'{type(in_fd).__name__}' object cannot be interpreted as an integer")
    if in_fd > 0x7FFFFFFF:
        raise OverflowError('Python int too large to convert to C int')
    if in_fd >= FIRST_FD:
        return sys.sys_sendfile(current_program(), out_fd, in_fd, offset, count)[0]
    count = min(count, SENDFILE_MOST)
    data = real_read(in_fd, count) if offset is None else real_pread(in_fd, count, offset)
    sent = 0
    try:
        if data:
            sent = write(out_fd, data)
    finally:
        if offset is None and sent < len(data):
            real_lseek(in_fd, sent - len(data), os.SEEK_CUR)
    return sent


def fcntl(fd: int, cmd: int, arg: int = 0) -> int:
    """As fcntl.fcntl, as far as sys_fcntl goes."""
    return sys.sys_fcntl(current_program(), fd, cmd, arg)


def ioctl(fd: int, request: int, arg: Any = 0, mutate_flag: bool = True) -> Any:
    """As fcntl.ioctl, for what takes or answers an int: the answer stands in the buffer, where one was given."""
    program = current_program()
    if isinstance(arg, int):
        return sys.sys_ioctl(program, fd, request, arg)
    view = memoryview(arg).cast('B')
    if len(view) < INT_BUFFER:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    answer = struct.pack('i', sys.sys_ioctl(program, fd, request, struct.unpack_from('i', view)[0]))
    if mutate_flag and not view.readonly:
        view[:INT_BUFFER] = answer
        return 0
    return answer + bytes(view[INT_BUFFER:])
