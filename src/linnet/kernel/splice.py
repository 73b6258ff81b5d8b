# SPDX-License-Identifier: Apache-2.0
"""splice(2), tee(2), vmsplice(2) and sendfile(2): bytes from file to file by way of a pipe, by reference.

splice() moves between a pipe and something else, or between two pipes; tee() lets a second pipe have the same bytes;
sendfile() is two splices over a pipe of its own. What a file gives and takes is its splice_read() and splice_write(). The
receiver is told that more follows (SPLICE_F_MORE: a socket then waits with a partial segment).

Linux: fs/splice.c.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.kernel.errno import EAGAIN, EBADF, EINVAL, EPIPE, ESPIPE
from linnet.kernel.file import O_APPEND, O_NONBLOCK, O_RDONLY, O_WRONLY, File
from linnet.kernel.pipe import O_ACCMODE, Pipe, get_pipe_info, pipe_wait, wake_readers, wake_writers
from linnet.kernel.pipe_fs_i import PipeBuffer, PipeInodeInfo, pipe_consume, pipe_empty, pipe_full, pipe_size

SPLICE_F_MOVE: Final = 1
SPLICE_F_NONBLOCK: Final = 2
SPLICE_F_MORE: Final = 4
SPLICE_F_GIFT: Final = 8
SPLICE_F_ALL: Final = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT

NO_OFFSET: Final = -1  # the file's own position counts
MAX_RW_COUNT: Final = 0x7FFFF000


class Moved:
    """What a call moved (or a negative errno), and where it stands in the file it read and in the one it wrote."""

    def __init__(self, count: i64, pos_in: i64 = NO_OFFSET, pos_out: i64 = NO_OFFSET) -> None:
        self.count: i64 = count
        self.pos_in: i64 = pos_in
        self.pos_out: i64 = pos_out


def readable(file: File) -> bool:
    """FMODE_READ."""
    return (file.f_flags & O_ACCMODE) != O_WRONLY


def writable(file: File) -> bool:
    """FMODE_WRITE."""
    return (file.f_flags & O_ACCMODE) != O_RDONLY


def wait_for_space(pipe: Pipe, nonblock: bool) -> int:
    """Wait for a free place: 0, -EPIPE without readers, -EAGAIN, -EINTR.  Linux: fs/splice.c."""
    while True:
        if pipe.readers == 0:
            return -EPIPE
        if not pipe_full(pipe):
            return 0
        if nonblock:
            return -EAGAIN
        err = pipe_wait(pipe, pipe.wr_wait, False, 'room in a pipe')
        if err < 0:
            return err


def ipipe_prep(pipe: Pipe, nonblock: bool) -> int:
    """Wait for something to read: 1, 0 at the end, -EAGAIN, -EINTR.  Linux: fs/splice.c."""
    while pipe_empty(pipe):
        if pipe.writers == 0:
            return 0
        if nonblock:
            return -EAGAIN
        err = pipe_wait(pipe, pipe.rd_wait, True, 'data in a pipe')
        if err < 0:
            return err
    return 1


def splice_file_to_pipe(file: File, opipe: Pipe, pos: i64, length: i64, flags: int) -> i64:
    """Linux: fs/splice.c."""
    err = wait_for_space(opipe, (flags & SPLICE_F_NONBLOCK) != 0)
    if err < 0:
        return err
    ret = file.f_op.splice_read(file, pos, opipe, length, flags)
    if ret > 0:
        wake_readers(opipe)
    return ret


def do_splice_from(pipe: Pipe, out: File, pos: i64, length: i64, flags: int) -> i64:
    """Linux: fs/splice.c."""
    got = ipipe_prep(pipe, (flags & SPLICE_F_NONBLOCK) != 0)
    if got <= 0:
        return got
    was_full = pipe_full(pipe)
    ret = out.f_op.splice_write(pipe, out, pos, length, flags)
    if was_full and not pipe_full(pipe):
        wake_writers(pipe)
    return ret


def splice_pipe_to_pipe(ipipe: Pipe, opipe: Pipe, length: i64, flags: int) -> i64:
    """Move buffers over.  Linux: fs/splice.c."""
    nonblock = (flags & SPLICE_F_NONBLOCK) != 0
    got = ipipe_prep(ipipe, nonblock)
    if got <= 0:
        return got
    err = wait_for_space(opipe, nonblock)
    if err < 0:
        return err
    was_full = pipe_full(ipipe)
    done: i64 = 0
    while done < length and not pipe_empty(ipipe) and not pipe_full(opipe):
        buf = ipipe.bufs[0]
        size = buf.len if buf.len < length - done else length - done
        opipe.bufs.append(PipeBuffer(buf.page, buf.offset, size))
        pipe_consume(ipipe, size)
        done += size
    if done > 0:
        wake_readers(opipe)
        if was_full:
            wake_writers(ipipe)
    return done


def do_splice(file_in: File, off_in: i64, out: File, off_out: i64, length: i64, flags: int) -> Moved:
    """splice(2). off_in, off_out: NO_OFFSET, or where to read and write (not of a pipe: -ESPIPE).

    Linux: fs/splice.c. -EBADF: not open that way; -EINVAL: neither is a pipe, both are the same, or `out` appends.
    """
    if not readable(file_in) or not writable(out):
        return Moved(-EBADF)
    ipipe = get_pipe_info(file_in)
    opipe = get_pipe_info(out)
    if ipipe is None and opipe is None:
        return Moved(-EINVAL)
    if ipipe is not None and opipe is not None:
        if off_in != NO_OFFSET or off_out != NO_OFFSET:
            return Moved(-ESPIPE)
        if ipipe is opipe:
            return Moved(-EINVAL)
        if ((file_in.f_flags | out.f_flags) & O_NONBLOCK) != 0:
            flags |= SPLICE_F_NONBLOCK
        return Moved(splice_pipe_to_pipe(ipipe, opipe, length, flags))
    to_file = ipipe is not None
    pipe_file = file_in if to_file else out
    file = out if to_file else file_in
    offset = off_out if to_file else off_in
    if (off_in if to_file else off_out) != NO_OFFSET:
        return Moved(-ESPIPE)
    if offset != NO_OFFSET and not file.f_op.can_seek():
        return Moved(-EINVAL)
    if to_file and (out.f_flags & O_APPEND) != 0:
        return Moved(-EINVAL)
    if (pipe_file.f_flags & O_NONBLOCK) != 0:
        flags |= SPLICE_F_NONBLOCK
    pos = offset if offset != NO_OFFSET else file.f_pos
    count: i64 = -EINVAL
    if ipipe is not None:
        count = do_splice_from(ipipe, out, pos, length, flags)
    elif opipe is not None:
        count = splice_file_to_pipe(file_in, opipe, pos, length, flags)
    if count <= 0:
        return Moved(count)
    if offset == NO_OFFSET:
        file.f_pos = pos + count
    return Moved(count, NO_OFFSET, pos + count) if to_file else Moved(count, pos + count)


def do_tee(file_in: File, out: File, length: i64, flags: int) -> i64:
    """tee(2): let a second pipe have what the first one holds, without taking it.  Linux: fs/splice.c."""
    if not readable(file_in) or not writable(out):
        return -EBADF
    ipipe = get_pipe_info(file_in)
    opipe = get_pipe_info(out)
    if ipipe is None or opipe is None or ipipe is opipe:
        return -EINVAL
    if ((file_in.f_flags | out.f_flags) & O_NONBLOCK) != 0:
        flags |= SPLICE_F_NONBLOCK
    got = ipipe_prep(ipipe, (flags & SPLICE_F_NONBLOCK) != 0)
    if got <= 0:
        return got
    err = wait_for_space(opipe, (flags & SPLICE_F_NONBLOCK) != 0)
    if err < 0:
        return err
    done: i64 = 0
    for buf in list(ipipe.bufs):
        if done >= length or pipe_full(opipe):
            break
        size = buf.len if buf.len < length - done else length - done
        opipe.bufs.append(PipeBuffer(buf.page, buf.offset, size))
        done += size
    wake_readers(opipe)
    return done


def vmsplice_to_pipe(out: File, data: bytes, flags: int) -> i64:
    """vmsplice(2): put the program's memory into a pipe by reference, a place for each page.  Linux: fs/splice.c."""
    pipe = get_pipe_info(out)
    if pipe is None or not writable(out):
        return -EBADF
    size: i64 = len(data)
    done: i64 = 0
    nonblock = (flags & SPLICE_F_NONBLOCK) != 0
    while done < size:
        err = wait_for_space(pipe, nonblock)
        if err < 0:
            return done if done > 0 else err
        length: i64 = size - done
        if length > 4096:
            length = 4096
        pipe.bufs.append(PipeBuffer(data, done, length))
        done += length
        wake_readers(pipe)
    return done


def splice_direct_to_actor(file_in: File, pos: i64, out: File, pos_out: i64, length: i64, more: bool) -> Moved:
    """Move up to `length` bytes by way of a pipe of the call's own.  Linux: fs/splice.c, with do_splice_direct.

    more: the caller has still more, so that the last part does not end a segment either.
    """
    pipe = PipeInodeInfo()
    done: i64 = 0
    err: i64 = 0
    flags = 0
    while done < length:
        got = file_in.f_op.splice_read(file_in, pos, pipe, length - done, 0)
        if got <= 0:
            err = got
            if got == 0 and flags == SPLICE_F_MORE and not more:
                out.f_op.splice_eof(out)
            break
        flags = SPLICE_F_MORE if more or done + got < length else 0
        sent: i64 = 0
        while sent < got:
            ret = out.f_op.splice_write(pipe, out, pos_out, got - sent, flags)
            if ret <= 0:
                err = ret
                break
            sent += ret
            if pos_out != NO_OFFSET:
                pos_out += ret
        done += sent
        pos += sent
        if sent < got:
            # what a stream gave and nobody took is lost, as in Linux; a file's position goes back to it
            pipe_consume(pipe, pipe_size(pipe))
            break
    return Moved(done if done > 0 else err, pos, pos_out)


def do_sendfile(out: File, file_in: File, offset: i64, count: i64) -> Moved:
    """sendfile(2). offset: NO_OFFSET: the file's own position, which moves.  Linux: fs/read_write.c.

    -EBADF: not open that way; -ESPIPE: an offset in what has none; -EINVAL: `out` appends.
    """
    if not readable(file_in) or not writable(out):
        return Moved(-EBADF)
    if offset != NO_OFFSET and not file_in.f_op.can_seek():
        return Moved(-ESPIPE)
    if count < 0 or offset < NO_OFFSET or (out.f_flags & O_APPEND) != 0:
        return Moved(-EINVAL)
    if count > MAX_RW_COUNT:
        count = MAX_RW_COUNT
    pos = file_in.f_pos if offset == NO_OFFSET else offset
    opipe = get_pipe_info(out)
    if opipe is not None:
        flags = SPLICE_F_NONBLOCK if (out.f_flags & O_NONBLOCK) != 0 else 0
        moved = Moved(splice_file_to_pipe(file_in, opipe, pos, count, flags))
        moved.pos_in = pos + moved.count if moved.count > 0 else pos
    else:
        moved = splice_direct_to_actor(file_in, pos, out, out.f_pos if out.f_op.can_seek() else NO_OFFSET, count, False)
        if moved.pos_out != NO_OFFSET:
            out.f_pos = moved.pos_out
    if offset == NO_OFFSET and moved.count > 0:
        file_in.f_pos = moved.pos_in
    return moved
