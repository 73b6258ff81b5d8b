# SPDX-License-Identifier: Apache-2.0
"""The system calls of the files that sockets meet: pipes, splice and its kin, sendfile, and plain files in memory.

As in net/socket.py, a negative errno of the rooms below becomes an OSError here and nowhere else. Where a call of Linux takes a
pointer to an offset, None stands for NULL and the new offset is given back beside the result.

sys_sendfile() also takes a File that no descriptor stands for: a caller that has bytes from elsewhere (a real file of the
machine) makes one with FileOperations of its own, whose can_seek() is True and whose pread() gives the bytes.
"""
from __future__ import annotations

from linnet.include.linux.sched import Process
from linnet.kernel.errno import EBADF, EINVAL
from linnet.kernel.file import O_CLOEXEC, File, fput, get_file
from linnet.kernel.pipe import do_pipe2
from linnet.kernel.ramfs import O_CREAT as O_CREAT
from linnet.kernel.ramfs import O_EXCL as O_EXCL
from linnet.kernel.ramfs import O_TRUNC as O_TRUNC
from linnet.kernel.splice import NO_OFFSET, SPLICE_F_ALL, Moved, do_sendfile, do_splice, do_tee, vmsplice_to_pipe
from linnet.net.socket import fail, note_caller


def file_of(current: Process, fd: int | File) -> File:
    """The file of a descriptor, held: fput() it. OSError EBADF."""
    if isinstance(fd, File):
        return get_file(fd)
    file = current.files.fget(fd)
    if file is None:
        fail(-EBADF)
    note_caller(file, current)
    return file


def sys_pipe2(current: Process, flags: int = 0) -> tuple[int, int]:
    """pipe2(2): the descriptors to read from and to write to.  Linux: fs/pipe.c."""
    reader, writer = do_pipe2(current.net.world.sched, current.files, flags)
    if reader < 0:
        fail(reader)
    return reader, writer


def sys_pipe(current: Process) -> tuple[int, int]:
    """pipe(2).  Linux: fs/pipe.c."""
    return sys_pipe2(current, 0)


def sys_splice(
    current: Process, fd_in: int, off_in: int | None, fd_out: int, off_out: int | None, length: int, flags: int = 0,
) -> tuple[int, int | None, int | None]:
    """splice(2): bytes moved, and the offsets behind them (None where None was given).  Linux: fs/splice.c."""
    if length == 0:
        return 0, off_in, off_out
    if (flags & ~SPLICE_F_ALL) != 0 or (off_in is not None and off_in < 0) or (off_out is not None and off_out < 0):
        fail(-EINVAL)
    source = file_of(current, fd_in)
    moved = Moved(-EBADF)
    try:
        target = file_of(current, fd_out)
        try:
            moved = do_splice(source, NO_OFFSET if off_in is None else off_in, target, NO_OFFSET if off_out is None else off_out,
                              length, flags)
        finally:
            fput(target)
    finally:
        fput(source)
    if moved.count < 0:
        fail(int(moved.count))
    end_in = off_in if off_in is None or moved.pos_in < 0 else int(moved.pos_in)
    end_out = off_out if off_out is None or moved.pos_out < 0 else int(moved.pos_out)
    return int(moved.count), end_in, end_out


def sys_tee(current: Process, fd_in: int, fd_out: int, length: int, flags: int = 0) -> int:
    """tee(2): bytes that both pipes have now.  Linux: fs/splice.c."""
    if (flags & ~SPLICE_F_ALL) != 0:
        fail(-EINVAL)
    if length == 0:
        return 0
    source = file_of(current, fd_in)
    ret = -EBADF
    try:
        target = file_of(current, fd_out)
        try:
            ret = int(do_tee(source, target, length, flags))
        finally:
            fput(target)
    finally:
        fput(source)
    if ret < 0:
        fail(ret)
    return ret


def sys_vmsplice(current: Process, fd: int, data: bytes, flags: int = 0) -> int:
    """vmsplice(2) into a pipe: bytes taken. data is shared, not copied.  Linux: fs/splice.c."""
    if (flags & ~SPLICE_F_ALL) != 0:
        fail(-EINVAL)
    file = file_of(current, fd)
    try:
        ret = int(vmsplice_to_pipe(file, data, flags))
    finally:
        fput(file)
    if ret < 0:
        fail(ret)
    return ret


def sys_sendfile(current: Process, out_fd: int, in_fd: int | File, offset: int | None, count: int) -> tuple[int, int | None]:
    """sendfile(2): bytes sent, and the offset behind them (None where the file's own position counted and moved).

    Linux: fs/read_write.c.
    """
    if offset is not None and offset < 0:
        fail(-EINVAL)
    source = file_of(current, in_fd)
    moved = Moved(-EBADF)
    try:
        target = file_of(current, out_fd)
        try:
            moved = do_sendfile(target, source, NO_OFFSET if offset is None else offset, count)
        finally:
            fput(target)
    finally:
        fput(source)
    if moved.count < 0:
        fail(int(moved.count))
    return int(moved.count), None if offset is None else offset + int(moved.count)


def sys_open(current: Process, path: str, flags: int, mode: int = 0o666) -> int:
    """open(2) of a file of the host's Ramfs: a descriptor. `mode` is taken and means nothing: there are no users.

    Linux: fs/open.c.
    """
    fd = current.files.get_unused_fd(flags)
    if fd < 0:
        fail(fd)
    file = current.net.fs.open(path, flags & ~O_CLOEXEC)
    if isinstance(file, int):
        current.files.put_unused_fd(fd)
        fail(file)
    current.files.fd_install(fd, file)
    return fd


def sys_unlink(current: Process, path: str) -> None:
    """unlink(2).  Linux: fs/namei.c."""
    err = current.net.fs.unlink(path)
    if err < 0:
        fail(err)


def sys_lseek(current: Process, fd: int, offset: int, whence: int) -> int:
    """lseek(2): the new position.  Linux: fs/read_write.c."""
    file = file_of(current, fd)
    pos = int(file.f_op.llseek(file, offset, whence))
    fput(file)
    if pos < 0:
        fail(pos)
    return pos


def sys_pread64(current: Process, fd: int, count: int, pos: int) -> bytes:
    """pread(2).  Linux: fs/read_write.c."""
    if pos < 0:
        fail(-EINVAL)
    file = file_of(current, fd)
    data = file.f_op.pread(file, pos, count)
    fput(file)
    if isinstance(data, int):
        fail(data)
    return data


def sys_pwrite64(current: Process, fd: int, data: bytes, pos: int) -> int:
    """pwrite(2).  Linux: fs/read_write.c."""
    if pos < 0:
        fail(-EINVAL)
    file = file_of(current, fd)
    ret = file.f_op.pwrite(file, pos, data)
    fput(file)
    if ret < 0:
        fail(ret)
    return ret
