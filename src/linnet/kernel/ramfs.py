# SPDX-License-Identifier: Apache-2.0
"""A file system in memory: names to bytes, flat; enough to open(), read, write, seek, map into a pipe and unlink.

A host has one (Net.fs). Names are whole paths and there are no directories; a file that was unlinked lives on while somebody
has it open. Bytes are kept in one piece that is replaced when it is written to, so what was sent by reference stays as it was.

Linux: fs/ramfs/.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.kernel.errno import EBADF, EEXIST, EINVAL, EISDIR, ENOENT
from linnet.kernel.file import O_APPEND, O_RDONLY, O_RDWR, O_WRONLY, File, FileOperations

O_ACCMODE: Final = 3
O_CREAT: Final = 0o100
O_EXCL: Final = 0o200
O_TRUNC: Final = 0o1000
SEEK_SET: Final = 0
SEEK_CUR: Final = 1
SEEK_END: Final = 2


class Inode:
    """A file's bytes.  Linux: struct inode and its page cache."""

    def __init__(self) -> None:
        self.data = b''


class RamfsFops(FileOperations):
    """Linux: ramfs_file_operations."""

    def can_poll(self) -> bool:
        """A plain file is always ready, and epoll refuses it."""
        return False

    def can_seek(self) -> bool:
        """It has positions."""
        return True

    def read(self, file: File, count: int) -> bytes | int:
        """From the file's position, which moves."""
        data = self.pread(file, file.f_pos, count)
        if isinstance(data, bytes):
            file.f_pos += len(data)
        return data

    def write(self, file: File, data: bytes) -> int:
        """At the file's position, which moves; with O_APPEND at the end."""
        if (file.f_flags & O_APPEND) != 0:
            file.f_pos = len(inode_of(file).data)
        ret = self.pwrite(file, file.f_pos, data)
        if ret > 0:
            file.f_pos += ret
        return ret

    def pread(self, file: File, pos: i64, count: int) -> bytes | int:
        """Linux: mm/filemap.c, generic_file_read_iter."""
        if (file.f_flags & O_ACCMODE) == O_WRONLY:
            return -EBADF
        if pos < 0 or count < 0:
            return -EINVAL
        data = inode_of(file).data
        if pos == 0 and count >= len(data):
            return data
        return data[pos:pos + count]

    def pwrite(self, file: File, pos: i64, data: bytes) -> int:
        """Linux: mm/filemap.c, generic_file_write_iter. A gap before `pos` is zeros."""
        if (file.f_flags & O_ACCMODE) == O_RDONLY:
            return -EBADF
        if pos < 0:
            return -EINVAL
        inode = inode_of(file)
        old = inode.data
        inode.data = old[:pos].ljust(int(pos), b'\0') + data + old[pos + len(data):]
        return len(data)

    def llseek(self, file: File, offset: i64, whence: int) -> i64:
        """Linux: fs/read_write.c, generic_file_llseek."""
        if whence == SEEK_CUR:
            offset += file.f_pos
        elif whence == SEEK_END:
            offset += len(inode_of(file).data)
        elif whence != SEEK_SET:
            return -EINVAL
        if offset < 0:
            return -EINVAL
        file.f_pos = offset
        return offset


RAMFS_FOPS: Final = RamfsFops()


def inode_of(file: File) -> Inode:
    """The bytes behind a file of a Ramfs."""
    inode = file.private_data
    assert isinstance(inode, Inode)
    return inode


class Ramfs:
    """The files of a host."""

    def __init__(self) -> None:
        self.files: dict[str, Inode] = {}

    def open(self, path: str, flags: int) -> File | int:
        """open(2): -ENOENT, -EEXIST (O_CREAT | O_EXCL), -EISDIR (a name that ends with a slash), -EINVAL (no access mode)."""
        if path == '':
            return -ENOENT
        if path.endswith('/'):
            return -EISDIR
        if (flags & O_ACCMODE) == O_ACCMODE:
            return -EINVAL
        inode = self.files.get(path)
        if inode is None:
            if (flags & O_CREAT) == 0:
                return -ENOENT
            inode = Inode()
            self.files[path] = inode
        elif (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL):
            return -EEXIST
        elif (flags & O_TRUNC) != 0 and (flags & O_ACCMODE) in (O_WRONLY, O_RDWR):
            inode.data = b''
        return File(RAMFS_FOPS, inode, flags & ~(O_CREAT | O_EXCL | O_TRUNC))

    def unlink(self, path: str) -> int:
        """unlink(2): -ENOENT."""
        return 0 if self.files.pop(path, None) is not None else -ENOENT
