# SPDX-License-Identifier: Apache-2.0
"""Open files and the table that gives them numbers.

A File is what a descriptor stands for: operations (f_op), the object behind it (private_data), flags, and a count of
who holds it.  Descriptors count, and so does a call in progress (fget ... fput), so a file that one task closes while
another sleeps in it lives on until that call returns.  When the count drops to nothing, those who watch the file
(epoll) are told first, then f_op.release() runs.

An FdTable gives the lowest free number from `start` on: a simulated process may start at 2**20, out of the way of the
real descriptors of the machine. In real time these can be polled together with its own: `foreign` finds a file for them.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from linnet.kernel.errno import EAGAIN, EBADF, EINVAL, EMFILE, ENOTTY, ESPIPE
from linnet.kernel.pipe_fs_i import PipeInodeInfo, pipe_consume, pipe_push_bytes, pipe_room
from linnet.kernel.poll import DEFAULT_POLLMASK
from linnet.kernel.wait import WaitQueueHead

O_RDONLY: Final = 0
O_WRONLY: Final = 1
O_RDWR: Final = 2
O_APPEND: Final = 0o2000
O_NONBLOCK: Final = 0o4000
O_ASYNC: Final = 0o20000
O_CLOEXEC: Final = 0o2000000

FD_CLOEXEC: Final = 1

NR_OPEN_DEFAULT: Final = 1024  # RLIMIT_NOFILE of a table, unless told otherwise


@mypyc_attr(allow_interpreted_subclasses=True)
class PollTable:
    """Collects the wait queues that a poll method names; the pollers override queue_proc().

    Linux: struct poll_table.
    """

    def __init__(self, key: i64) -> None:
        self.key: i64 = key  # the events asked for; a hint to poll methods and a filter for wake-ups
        self.active = True  # False: only ask, do not queue any more

    def queue_proc(self, file: File, wq: WaitQueueHead) -> None:
        """`file` will call on `wq` when its state changes."""
        return


@mypyc_attr(allow_interpreted_subclasses=True)
class FileOperations:
    """What a kind of file does; override what it can.  One object serves all files of a kind.

    Linux: struct file_operations.
    """

    def poll(self, file: File, pt: PollTable | None) -> int:
        """poll_wait() on each queue that tells of changes, and the present mask.

        A file without poll is always ready.
        """
        return DEFAULT_POLLMASK

    def can_poll(self) -> bool:
        """False: the kind has no poll method, epoll refuses it (EPERM).  Linux: include/linux/poll.h, file_can_poll."""
        return True

    def read(self, file: File, count: int) -> bytes | int:
        """Up to `count` bytes, or a negative errno."""
        return -EINVAL

    def write(self, file: File, data: bytes) -> int:
        """Bytes taken, or a negative errno."""
        return -EINVAL

    def can_seek(self) -> bool:
        """True: the file has positions: pread() and pwrite() work.  Linux: FMODE_PREAD, FMODE_LSEEK."""
        return False

    def pread(self, file: File, pos: i64, count: int) -> bytes | int:
        """Up to `count` bytes from `pos`, or a negative errno."""
        return -ESPIPE

    def pwrite(self, file: File, pos: i64, data: bytes) -> int:
        """Write at `pos`: bytes taken, or a negative errno."""
        return -ESPIPE

    def llseek(self, file: File, offset: i64, whence: int) -> i64:
        """Move the file's position: the new one, or a negative errno."""
        return -ESPIPE

    def splice_read(self, file: File, pos: i64, pipe: PipeInodeInfo, length: i64, flags: int) -> i64:
        """Move up to `length` bytes into the free places of `pipe`: how many, 0 at the end, or a negative errno.

        Linux: fs/splice.c, copy_splice_read.
        """
        room = pipe_room(pipe)
        if room == 0:
            return -EAGAIN
        count = int(length if length < room else room)
        data = self.pread(file, pos, count) if self.can_seek() else self.read(file, count)
        if isinstance(data, int):
            return data
        pipe_push_bytes(pipe, data)
        return len(data)

    def splice_write(self, pipe: PipeInodeInfo, file: File, pos: i64, length: i64, flags: int) -> i64:
        """Take up to `length` bytes out of `pipe`: how many, or a negative errno. The pipe holds some.

        Linux: fs/splice.c, iter_file_splice_write.
        """
        done: i64 = 0
        while done < length and len(pipe.bufs) != 0:
            data = pipe.bufs[0].take(length - done)
            ret = self.pwrite(file, pos + done, data) if self.can_seek() else self.write(file, data)
            if ret < 0:
                return ret if done == 0 else done
            pipe_consume(pipe, ret)
            done += ret
            if ret < len(data):
                break
        return done

    def splice_eof(self, file: File) -> None:
        """More was announced (SPLICE_F_MORE), but the source is at its end.  Linux: struct file_operations."""
        return

    def ioctl(self, file: File, cmd: int, arg: object) -> int | object:
        """A negative errno or what the command gives."""
        return -ENOTTY

    def release(self, file: File) -> int:
        """The last holder has let go.  0 or a negative errno."""
        return 0


@mypyc_attr(allow_interpreted_subclasses=True)
class FileWatch:
    """Somebody (epoll) who must know when a file goes; chained at File.f_ep."""

    def __init__(self) -> None:
        self.next_watch: FileWatch | None = None

    def file_released(self, file: File) -> None:
        """`file` is going: let go of it."""
        return


class File:
    """An open file.  Linux: struct file."""

    def __init__(self, f_op: FileOperations, private_data: object | None = None, f_flags: int = O_RDWR) -> None:
        self.f_op = f_op
        self.private_data = private_data
        self.f_flags = f_flags
        self.f_pos: i64 = 0
        self.f_count: i64 = 1
        self.f_ep: FileWatch | None = None


def poll_wait(file: File, wq: WaitQueueHead | None, pt: PollTable | None) -> None:
    """In a poll method: name a queue that tells of changes.  Linux: include/linux/poll.h."""
    if pt is not None and wq is not None and pt.active:
        pt.queue_proc(file, wq)


def vfs_poll(file: File, pt: PollTable | None) -> int:
    """The present poll mask of `file`.  Linux: include/linux/poll.h."""
    return file.f_op.poll(file, pt)


def get_file(file: File) -> File:
    """Hold `file`.  Linux: include/linux/fs.h."""
    file.f_count += 1
    return file


def __fput(file: File) -> int:
    """The last holder has let go: tell who watches, and release.  Linux: fs/file_table.c."""
    watch = file.f_ep
    while watch is not None:
        following = watch.next_watch
        watch.file_released(file)
        watch = following
    file.f_ep = None
    return file.f_op.release(file)


def fput(file: File) -> int:
    """Let go of `file`; the last one releases it and gets release()'s result, others 0.  Linux: fs/file_table.c."""
    count: i64 = file.f_count - 1
    file.f_count = count
    if count != 0:
        return 0
    return __fput(file)


@mypyc_attr(allow_interpreted_subclasses=True)
class ForeignFiles:
    """Files for the numbers below a table's first: only to be polled and watched."""

    def fcheck(self, fd: int) -> File | None:
        """The file of `fd`, or None."""
        return None

    def known(self, fd: int) -> bool:
        """Was it asked for?"""
        return False

    def forget(self, fd: int) -> None:
        """`fd` is about to be closed: those who watch its file do so no more."""
        return


class FdTable:
    """Numbers for files.  Linux: struct files_struct."""

    def __init__(self, start: int = 0, limit: int = NR_OPEN_DEFAULT) -> None:
        self.start = start
        self.limit = limit  # how many numbers there are
        self._files: list[File | None] = []
        self._used: list[bool] = []  # reserved or installed
        self._cloexec: list[bool] = []
        self._next: i64 = 0  # no index below is free
        self.foreign: ForeignFiles | None = None

    def __len__(self) -> int:
        """Files installed."""
        return sum([1 for f in self._files if f is not None])

    def fds(self) -> list[int]:
        """The installed numbers in order."""
        return [self.start + i for i, f in enumerate(self._files) if f is not None]

    def get_unused_fd(self, flags: int = 0, least: int = -1) -> int:
        """Reserve the lowest free number (not below `least`), or -EMFILE.  flags: O_CLOEXEC.

        Linux: fs/file.c, get_unused_fd_flags.
        """
        i: i64 = self._next
        floor: i64 = least - self.start
        if floor > i:
            i = floor
        n: i64 = len(self._used)
        while i < n and self._used[i]:
            i += 1
        if i >= self.limit:
            return -EMFILE
        self._reserve(i, flags)
        if floor <= self._next:
            self._next = i + 1
        return self.start + int(i)

    def _reserve(self, index: i64, flags: int) -> None:
        while len(self._used) <= index:
            self._used.append(False)
            self._files.append(None)
            self._cloexec.append(False)
        self._used[index] = True
        self._cloexec[index] = flags & O_CLOEXEC != 0

    def put_unused_fd(self, fd: int) -> None:
        """Give back a number that was reserved and not used.  Linux: fs/file.c."""
        index: i64 = fd - self.start
        if 0 <= index < len(self._used):
            self._used[index] = False
            self._cloexec[index] = False
            if index < self._next:
                self._next = index

    def fd_install(self, fd: int, file: File) -> None:
        """Let the reserved `fd` stand for `file`; the table takes over the caller's hold.  Linux: fs/file.c."""
        self._files[fd - self.start] = file

    def fcheck(self, fd: int) -> File | None:
        """The file of `fd` without a hold on it.  Linux: fs/file.c, files_lookup_fd_raw."""
        index: i64 = fd - self.start
        if index < 0:
            foreign = self.foreign
            return foreign.fcheck(fd) if foreign is not None and fd >= 0 else None
        if index >= len(self._files):
            return None
        return self._files[index]

    def fget(self, fd: int) -> File | None:
        """The file of `fd` with a hold (fput it), or None.  Linux: fs/file.c."""
        file = self.fcheck(fd)
        if file is not None:
            file.f_count += 1
        return file

    def detach_fd(self, fd: int) -> File | None:
        """Free the number and give its file, hold included.  Linux: fs/file.c, file_close_fd."""
        file = self.fcheck(fd) if fd >= self.start else None
        if file is None:
            return None
        self._files[fd - self.start] = None
        self.put_unused_fd(fd)
        return file

    def close_fd(self, fd: int) -> int:
        """Close a descriptor: -EBADF, or what releasing the file gave.  Linux: fs/file.c."""
        file = self.detach_fd(fd)
        if file is None:
            return -EBADF
        return fput(file)

    def close_all(self) -> None:
        """Close every descriptor, in order, as exit(2) does.  Linux: fs/file.c, close_files."""
        for fd in self.fds():
            self.close_fd(fd)

    def dup(self, fd: int, least: int = -1, flags: int = 0) -> int:
        """A second number for the file of `fd`, not below `least` (F_DUPFD); -EBADF, -EINVAL, -EMFILE.

        Linux: fs/file.c.
        """
        file = self.fcheck(fd)
        if file is None:
            return -EBADF
        if least >= self.start + self.limit:
            return -EINVAL
        new = self.get_unused_fd(flags, least)
        if new < 0:
            return new
        self.fd_install(new, get_file(file))
        return new

    def dup2(self, fd: int, new: int, flags: int = 0) -> int:
        """Let `new` stand for the file of `fd`, closing what it stood for; -EBADF.  Linux: fs/file.c, ksys_dup3."""
        file = self.fcheck(fd)
        index: i64 = new - self.start
        if file is None or index < 0 or index >= self.limit:
            return -EBADF
        if fd == new:
            return new
        old = self.fcheck(new)
        self._reserve(index, flags)
        self._files[index] = get_file(file)
        if old is not None:
            fput(old)
        return new

    def get_close_on_exec(self, fd: int) -> bool:
        """FD_CLOEXEC of `fd`.  Linux: fs/file.c."""
        index: i64 = fd - self.start
        return 0 <= index < len(self._cloexec) and self._cloexec[index]

    def set_close_on_exec(self, fd: int, on: bool) -> None:
        """Set FD_CLOEXEC of `fd`.  Linux: fs/file.c."""
        index: i64 = fd - self.start
        if 0 <= index < len(self._cloexec):
            self._cloexec[index] = on
