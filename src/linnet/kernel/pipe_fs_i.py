# SPDX-License-Identifier: Apache-2.0
"""What a pipe is made of: a ring of buffers, each a run of bytes that others may hold too.

A write fills buffers of a page each and may add to the last one; splice() and tee() put in runs of any size that belong to a
socket's packets, to a file or to another pipe, and copy nothing. A pipe is full when all places are taken, however little
they hold.

Linux: include/linux/pipe_fs_i.h.
"""
from __future__ import annotations

from collections import deque
from typing import Final

from mypy_extensions import i64

from linnet.kernel.wait import WaitQueueHead

PIPE_DEF_BUFFERS: Final = 16
PIPE_BUF_SIZE: Final = 4096  # a page; what a write takes a place for

PIPE_BUF_FLAG_CAN_MERGE: Final = 0x10  # a write may add to it
PIPE_BUF_FLAG_PACKET: Final = 0x08  # O_DIRECT: a read takes it alone


class PipeBuffer:
    """A run of bytes.  Linux: struct pipe_buffer."""

    def __init__(self, page: bytes, offset: i64, length: i64, flags: int = 0) -> None:
        self.page: bytes = page
        self.offset: i64 = offset
        self.len: i64 = length
        self.flags: int = flags

    def take(self, most: i64) -> bytes:
        """Its first bytes, up to `most`; it keeps them."""
        size = self.len if self.len < most else most
        if self.offset == 0 and size == len(self.page):
            return self.page
        return self.page[self.offset:self.offset + size]


class PipeInodeInfo:
    """A pipe.  Linux: struct pipe_inode_info."""

    def __init__(self) -> None:
        self.bufs: deque[PipeBuffer] = deque()
        self.max_usage: i64 = PIPE_DEF_BUFFERS
        self.readers: i64 = 0  # open files
        self.writers: i64 = 0
        self.rd_wait = WaitQueueHead()
        self.wr_wait = WaitQueueHead()


def pipe_full(pipe: PipeInodeInfo) -> bool:
    """Linux: include/linux/pipe_fs_i.h."""
    return len(pipe.bufs) >= pipe.max_usage


def pipe_empty(pipe: PipeInodeInfo) -> bool:
    """Linux: include/linux/pipe_fs_i.h."""
    return len(pipe.bufs) == 0


def pipe_size(pipe: PipeInodeInfo) -> i64:
    """Bytes in it."""
    total: i64 = 0
    for buf in pipe.bufs:
        total += buf.len
    return total


def pipe_room(pipe: PipeInodeInfo) -> i64:
    """Bytes that its free places take, a page each."""
    free: i64 = pipe.max_usage - len(pipe.bufs)
    return free * PIPE_BUF_SIZE if free > 0 else 0


def pipe_push_bytes(pipe: PipeInodeInfo, data: bytes) -> None:
    """Fill free places with data, a page each; there is room for it."""
    at: i64 = 0
    size: i64 = len(data)
    while at < size:
        length = size - at
        if length > PIPE_BUF_SIZE:
            length = PIPE_BUF_SIZE
        pipe.bufs.append(PipeBuffer(data, at, length))
        at += length


def pipe_consume(pipe: PipeInodeInfo, size: i64) -> None:
    """The first `size` bytes were taken."""
    bufs = pipe.bufs
    while size > 0:
        buf = bufs[0]
        if size < buf.len:
            buf.offset += size
            buf.len -= size
            return
        size -= buf.len
        bufs.popleft()
