# SPDX-License-Identifier: Apache-2.0
"""What a socket is in the file system: an inode (in which struct socket lives), a dentry and a file, each out of its slab cache.

There is no file system here; the three are made and counted where Linux makes them, so that a socket that is never closed
shows in the slab report, and so that the walk shows the steps of socket(2) that are not networking.
"""
from __future__ import annotations

from typing import Final

from linnet.include.net.net_namespace import Net, World
from linnet.include.net.sock import Socket
from linnet.kernel.file import O_RDWR, File, FileOperations
from linnet.kernel.slab import KmemCache, kmem_cache_create, kmem_cache_free, slab_alloc
from linnet.net.core.sock import kmem_cache_alloc

LINUX_FILE: Final = 'net/socket.c'

SIZEOF_SOCKET_ALLOC: Final = 832  # struct socket_alloc, cache aligned
SIZEOF_DENTRY: Final = 192
SIZEOF_FILE: Final = 184


class SockInodeCache(KmemCache):
    """sock_inode_cache: makes sockets."""

    def new(self) -> object:
        """A fresh struct socket."""
        return Socket()


def sock_init(world: World) -> None:
    """Make the caches of one world.  Linux: net/socket.c, init_inodecache; fs/dcache.c and fs/file_table.c make theirs."""
    world.slab.register(SockInodeCache('sock_inode_cache', SIZEOF_SOCKET_ALLOC, world.trace))
    kmem_cache_create(world.slab, 'dentry', SIZEOF_DENTRY)
    kmem_cache_create(world.slab, 'filp', SIZEOF_FILE)


def kmem_cache_alloc_lru(cache: KmemCache) -> object:
    """An object of a cache that memory pressure may shrink.  Linux: mm/slub.c."""
    return slab_alloc(cache)


def sock_alloc_inode(world: World) -> Socket:
    """Linux: net/socket.c."""
    sock = kmem_cache_alloc_lru(world.slab.caches['sock_inode_cache'])
    assert isinstance(sock, Socket)
    return sock


def alloc_inode(world: World) -> Socket:
    """An inode of sockfs, and the socket in it, with the next number.  Linux: fs/inode.c."""
    sock = sock_alloc_inode(world)
    sock.ino = world.next_ino
    world.next_ino += 1
    return sock


def sock_alloc(net: Net) -> Socket:
    """A socket that belongs to no family yet.  Linux: net/socket.c."""
    sock = alloc_inode(net.world)
    sock.net = net
    return sock


def sock_release(sock: Socket) -> None:
    """Let the family end it, and free it.  Linux: net/socket.c."""
    sock.ops.release(sock)
    sock.file = None
    net = sock.net
    if net is not None:
        kmem_cache_free(net.world.slab.caches['sock_inode_cache'], sock)
        sock.net = None


def __d_alloc(world: World) -> None:
    """A dentry: it has nothing in it here, but it counts.  Linux: fs/dcache.c."""
    kmem_cache_alloc_lru(world.slab.caches['dentry'])


def d_alloc_pseudo(world: World) -> None:
    """Linux: fs/dcache.c."""
    __d_alloc(world)


def alloc_empty_file(world: World, f_op: FileOperations, flags: int) -> File:
    """Linux: fs/file_table.c."""
    kmem_cache_alloc(world.slab.caches['filp'])
    return File(f_op, None, flags)


def alloc_file_pseudo(world: World, f_op: FileOperations, flags: int) -> File:
    """A file that no path leads to.  Linux: fs/file_table.c."""
    d_alloc_pseudo(world)
    return alloc_empty_file(world, f_op, flags)


def sock_alloc_file(sock: Socket, f_op: FileOperations, flags: int) -> File:
    """The file of a socket; flags: O_NONBLOCK or 0.  Linux: net/socket.c."""
    net = sock.net
    assert net is not None
    file = alloc_file_pseudo(net.world, f_op, O_RDWR | flags)
    sock.file = file
    file.private_data = sock
    return file


def free_file(world: World, file: File) -> None:
    """Free file and dentry.  Linux: fs/file_table.c, __fput's end."""
    kmem_cache_free(world.slab.caches['dentry'], file)
    kmem_cache_free(world.slab.caches['filp'], file)
