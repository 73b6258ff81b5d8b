# SPDX-License-Identifier: Apache-2.0
"""pipe(2): bytes from one end to the other, in a ring of 16 pages.

A read returns what is there, and waits only while there is nothing and somebody could still write. A write waits for places
until all is taken; one of at most PIPE_BUF bytes needs one place and is never torn. Without readers a write is EPIPE (SIGPIPE is
not raised); without writers a read finds the end. With O_DIRECT each write is a packet.

Linux: fs/pipe.c.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.kernel.errno import EAGAIN, EBADF, EBUSY, EINTR, EINVAL, ENOTTY, EPERM, EPIPE
from linnet.kernel.file import O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY, FdTable, File, FileOperations, PollTable, poll_wait
from linnet.kernel.pipe_fs_i import (
    PIPE_BUF_FLAG_CAN_MERGE,
    PIPE_BUF_FLAG_PACKET,
    PIPE_BUF_SIZE,
    PipeBuffer,
    PipeInodeInfo,
    pipe_consume,
    pipe_empty,
    pipe_full,
    pipe_size,
)
from linnet.kernel.poll import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM
from linnet.kernel.sched import MAX_SCHEDULE_TIMEOUT, Scheduler, schedule_timeout, signal_pending
from linnet.kernel.wait import (
    TaskWait,
    WaitQueueHead,
    finish_wait,
    prepare_to_wait,
    wake_up_interruptible_all,
    wake_up_interruptible_poll,
)

O_DIRECT: Final = 0o40000
O_ACCMODE: Final = 3
FIONREAD: Final = 0x541B
PIPE_BUF: Final = 4096
PIPE_MAX_SIZE: Final = 1 << 20  # fs.pipe-max-size


class Pipe(PipeInodeInfo):
    """A pipe that programs hold: it knows where its users wait."""

    def __init__(self, sched: Scheduler) -> None:
        super().__init__()
        self.sched = sched


def pipe_wait(pipe: Pipe, wq: WaitQueueHead, for_data: bool, what: str) -> int:
    """Wait until there is data (or no writer is left), or a free place (or no reader): 0 or -EINTR.

    Linux: fs/pipe.c, pipe_wait_readable and pipe_wait_writable.
    """
    task = pipe.sched.current
    if task is None:
        raise RuntimeError('blocking call outside a task')
    wait = TaskWait(task)
    task.wait_what = what
    try:
        while True:
            prepare_to_wait(wq, wait)
            if for_data:
                ready = not pipe_empty(pipe) or pipe.writers == 0
            else:
                ready = not pipe_full(pipe) or pipe.readers == 0
            if ready:
                return 0
            if signal_pending(task):
                return -EINTR
            schedule_timeout(pipe.sched, MAX_SCHEDULE_TIMEOUT)
    finally:
        finish_wait(wq, wait)
        task.wait_what = ''


def wake_readers(pipe: PipeInodeInfo) -> None:
    """There is something to read."""
    wake_up_interruptible_poll(pipe.rd_wait, EPOLLIN | EPOLLRDNORM)


def wake_writers(pipe: PipeInodeInfo) -> None:
    """A place came free."""
    wake_up_interruptible_poll(pipe.wr_wait, EPOLLOUT | EPOLLWRNORM)


def pipe_read(pipe: Pipe, count: int, nonblock: bool) -> bytes | int:
    """Up to `count` bytes, b'' at the end, or a negative errno.  Linux: fs/pipe.c."""
    if count == 0:
        return b''
    while pipe_empty(pipe):
        if pipe.writers == 0:
            return b''
        if nonblock:
            return -EAGAIN
        err = pipe_wait(pipe, pipe.rd_wait, True, 'data in a pipe')
        if err < 0:
            return err
    was_full = pipe_full(pipe)
    parts: list[bytes] = []
    left: i64 = count
    while left > 0 and not pipe_empty(pipe):
        buf = pipe.bufs[0]
        data = buf.take(left)
        parts.append(data)
        left -= len(data)
        if (buf.flags & PIPE_BUF_FLAG_PACKET) != 0:
            pipe.bufs.popleft()  # the rest of a packet is lost
            break
        pipe_consume(pipe, len(data))
    if was_full and not pipe_full(pipe):
        wake_writers(pipe)
    return parts[0] if len(parts) == 1 else b''.join(parts)


def pipe_merge(pipe: Pipe, data: bytes) -> i64:
    """Add to the last buffer what does not fill a page, if there is room for it: bytes taken."""
    size: i64 = len(data)
    chars = size & (PIPE_BUF_SIZE - 1)
    if chars == 0 or pipe_empty(pipe):
        return 0
    last = pipe.bufs[len(pipe.bufs) - 1]
    if (last.flags & PIPE_BUF_FLAG_CAN_MERGE) == 0 or last.offset + last.len + chars > PIPE_BUF_SIZE:
        return 0
    last.page = last.take(last.len) + data[:chars]
    last.offset = 0
    last.len += chars
    return chars


def pipe_write(pipe: Pipe, data: bytes, nonblock: bool, packets: bool) -> int:
    """Bytes taken, or a negative errno.  Linux: fs/pipe.c."""
    size: i64 = len(data)
    if size == 0:
        return 0
    if pipe.readers == 0:
        return -EPIPE
    flags = PIPE_BUF_FLAG_PACKET if packets else PIPE_BUF_FLAG_CAN_MERGE
    done: i64 = 0
    if not packets:
        done = pipe_merge(pipe, data)
    err = 0
    while done < size:
        if pipe.readers == 0:
            err = -EPIPE
            break
        if not pipe_full(pipe):
            length = size - done
            if length > PIPE_BUF_SIZE:
                length = PIPE_BUF_SIZE
            pipe.bufs.append(PipeBuffer(data[done:done + length], 0, length, flags))
            done += length
            continue
        if nonblock:
            err = -EAGAIN
            break
        wake_readers(pipe)
        err = pipe_wait(pipe, pipe.wr_wait, False, 'room in a pipe')
        if err < 0:
            break
    if not pipe_empty(pipe):
        wake_readers(pipe)
    return int(done) if done > 0 else err


class PipeFifoFops(FileOperations):
    """One end of a pipe.  Linux: pipefifo_fops."""

    def poll(self, file: File, pt: PollTable | None) -> int:
        """Linux: fs/pipe.c, pipe_poll."""
        pipe = pipe_of(file)
        mask = 0
        if (file.f_flags & O_ACCMODE) == O_RDONLY:
            poll_wait(file, pipe.rd_wait, pt)
            if not pipe_empty(pipe):
                mask |= EPOLLIN | EPOLLRDNORM
            if pipe.writers == 0:
                mask |= EPOLLHUP
        else:
            poll_wait(file, pipe.wr_wait, pt)
            if not pipe_full(pipe):
                mask |= EPOLLOUT | EPOLLWRNORM
            if pipe.readers == 0:
                mask |= EPOLLERR
        return mask

    def read(self, file: File, count: int) -> bytes | int:
        """See pipe_read."""
        if (file.f_flags & O_ACCMODE) != O_RDONLY:
            return -EBADF
        return pipe_read(pipe_of(file), count, (file.f_flags & O_NONBLOCK) != 0)

    def write(self, file: File, data: bytes) -> int:
        """See pipe_write."""
        if (file.f_flags & O_ACCMODE) != O_WRONLY:
            return -EBADF
        return pipe_write(pipe_of(file), data, (file.f_flags & O_NONBLOCK) != 0, (file.f_flags & O_DIRECT) != 0)

    def ioctl(self, file: File, cmd: int, arg: object) -> int | object:
        """FIONREAD: bytes in the pipe.  Linux: fs/pipe.c, pipe_ioctl."""
        return int(pipe_size(pipe_of(file))) if cmd == FIONREAD else -ENOTTY

    def release(self, file: File) -> int:
        """One end is closed: the other hears of it.  Linux: fs/pipe.c, pipe_release."""
        pipe = pipe_of(file)
        if (file.f_flags & O_ACCMODE) == O_RDONLY:
            pipe.readers -= 1
        else:
            pipe.writers -= 1
        if pipe.readers == 0 or pipe.writers == 0:
            wake_up_interruptible_all(pipe.rd_wait)
            wake_up_interruptible_all(pipe.wr_wait)
        if pipe.readers == 0 and pipe.writers == 0:
            pipe.bufs.clear()
        return 0


PIPE_FOPS: Final = PipeFifoFops()


def get_pipe_info(file: File) -> Pipe | None:
    """The pipe that the file is an end of, None where it is something else.  Linux: fs/pipe.c."""
    pipe = file.private_data
    return pipe if isinstance(pipe, Pipe) else None


def pipe_of(file: File) -> Pipe:
    """The pipe of a file that is one."""
    pipe = file.private_data
    assert isinstance(pipe, Pipe)
    return pipe


def do_pipe2(sched: Scheduler, files: FdTable, flags: int) -> tuple[int, int]:
    """A pipe: its reading and its writing descriptor, or a negative errno and 0.  flags: O_CLOEXEC, O_NONBLOCK, O_DIRECT.

    Linux: fs/pipe.c.
    """
    if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT)) != 0:
        return -EINVAL, 0
    reader = files.get_unused_fd(flags)
    if reader < 0:
        return reader, 0
    writer = files.get_unused_fd(flags)
    if writer < 0:
        files.put_unused_fd(reader)
        return writer, 0
    pipe = Pipe(sched)
    pipe.readers = 1
    pipe.writers = 1
    files.fd_install(reader, File(PIPE_FOPS, pipe, O_RDONLY | (flags & O_NONBLOCK)))
    files.fd_install(writer, File(PIPE_FOPS, pipe, O_WRONLY | (flags & (O_NONBLOCK | O_DIRECT))))
    return reader, writer


def pipe_get_size(pipe: Pipe) -> int:
    """F_GETPIPE_SZ: bytes that its places hold, a page each.  Linux: fs/pipe.c, pipe_fcntl."""
    return int(pipe.max_usage) * PIPE_BUF_SIZE


def pipe_set_size(pipe: Pipe, size: int, privileged: bool) -> int:
    """F_SETPIPE_SZ: the new size, a power of two of pages; -EBUSY (it holds more), -EPERM (above 1 MiB), -EINVAL.

    Linux: fs/pipe.c, pipe_set_size.
    """
    if size <= 0 or size > 1 << 31:
        return -EINVAL
    places: i64 = 1
    while places * PIPE_BUF_SIZE < size:
        places <<= 1
    if places > pipe.max_usage and places * PIPE_BUF_SIZE > PIPE_MAX_SIZE and not privileged:
        return -EPERM
    if places < len(pipe.bufs):
        return -EBUSY
    grew = pipe_full(pipe)
    pipe.max_usage = places
    if grew and not pipe_full(pipe):
        wake_writers(pipe)
    return pipe_get_size(pipe)
