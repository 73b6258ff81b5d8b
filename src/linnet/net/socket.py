# SPDX-License-Identifier: Apache-2.0
"""The system calls: the border between programs and the stack.

Each sys_* takes the calling Process, then Linux's arguments, and calls __sys_*, which returns what Linux returns: a number,
or a negative errno. Here, and only here, an errno becomes an OSError (BlockingIOError and so on by Python's own mapping).
SIGPIPE is not raised: EPIPE is. Data are bytes and are not copied; addresses are Sockaddr; time-outs ns, None or negative:
for ever.

    sys_socket > sock_create > __sock_create > sock_alloc, net_families[family]->create; then sock_map_fd > sock_alloc_file
    sys_sendto > sock_sendmsg > sock->ops->sendmsg (inet_sendmsg) > sk->sk_prot->sendmsg (tcp_sendmsg)

Descriptors, poll and epoll are kernel/'s; read, write, ioctl and close reach a socket through SocketFileOps.
"""
from __future__ import annotations

import os
from typing import Final, NoReturn

from mypy_extensions import i64

from linnet.include.linux.inet import IPPROTO_TCP
from linnet.include.linux.sched import Process
from linnet.include.linux.socket import (
    AF_INET,
    AF_MAX,
    AF_PACKET,
    FIONBIO,
    MSG_CMSG_CLOEXEC,
    MSG_DONTWAIT,
    MSG_MORE,
    SOCK_CLOEXEC,
    SOCK_MAX,
    SOCK_NONBLOCK,
    SOCK_PACKET,
    SOCK_TYPE_MASK,
    SOL_SOCKET,
    BadAddress,
    Msghdr,
    Sockaddr,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import NetProtoFamily, OptResult, Socket, sock_net
from linnet.include.trace.events.sock import trace_sock_recv_length, trace_sock_send_length
from linnet.kernel.errno import (
    EAFNOSUPPORT,
    EBADF,
    ECONNABORTED,
    EFAULT,
    EINTR,
    EINVAL,
    ENOIOCTLCMD,
    ENOTCONN,
    ENOTSOCK,
    ENOTTY,
    EOPNOTSUPP,
    ERESTARTSYS,
)
from linnet.kernel.eventpoll import EpollEvent, epoll_create1, epoll_ctl, epoll_wait
from linnet.kernel.file import FD_CLOEXEC, O_APPEND, O_ASYNC, O_NONBLOCK, File, FileOperations, fput
from linnet.kernel.pipe import get_pipe_info, pipe_get_size, pipe_set_size
from linnet.kernel.pipe_fs_i import PipeInodeInfo, pipe_consume
from linnet.kernel.sched import note_answer
from linnet.kernel.select import PollFd, PollTable, do_poll, do_select
from linnet.kernel.splice import SPLICE_F_MORE
from linnet.net.core.sock_opts import sock_getsockopt, sock_setsockopt
from linnet.net.sockfs import free_file, sock_alloc, sock_alloc_file, sock_release

F_DUPFD: Final = 0
F_GETFD: Final = 1
F_SETFD: Final = 2
F_GETFL: Final = 3
F_SETFL: Final = 4
F_DUPFD_CLOEXEC: Final = 1030
F_SETPIPE_SZ: Final = 1031
F_GETPIPE_SZ: Final = 1032
SETFL_MASK: Final = O_APPEND | O_NONBLOCK | O_ASYNC
FIONCLEX: Final = 0x5450
FIOCLEX: Final = 0x5451


def fail(err: int) -> NoReturn:
    """Raise what a negative errno means to a program; a call that would be restarted was interrupted."""
    number = EINTR if err == -ERESTARTSYS else -err
    raise OSError(number, os.strerror(number))


def sock_register(net: Net, family: NetProtoFamily) -> None:
    """Let a family answer socket().  Linux: net/socket.c."""
    net.net_families[family.family] = family


# -- files

def sock_close(file: File) -> int:
    """The last descriptor of a socket is closed.  Linux: net/socket.c."""
    sock = file.private_data
    assert isinstance(sock, Socket)
    net = sock.net
    assert net is not None
    sock_release(sock)
    free_file(net.world, file)
    return 0


def sock_poll(file: File, wait: PollTable | None) -> int:
    """Linux: net/socket.c."""
    sock = file.private_data
    assert isinstance(sock, Socket)
    return sock.ops.poll(file, sock, wait)


def sock_ioctl(file: File, cmd: int, arg: int) -> int:
    """What the protocol answers; -ENOTTY where it does not know the command.  Linux: net/socket.c."""
    sock = file.private_data
    assert isinstance(sock, Socket)
    err = sock.ops.ioctl(sock, cmd, arg)
    return -ENOTTY if err == -ENOIOCTLCMD or err == -EOPNOTSUPP else err


def sock_read_iter(file: File, count: int) -> bytes | int:
    """read(2) is recv without flags.  Linux: net/socket.c."""
    sock = file.private_data
    assert isinstance(sock, Socket)
    msg = Msghdr()
    flags = MSG_DONTWAIT if (file.f_flags & O_NONBLOCK) != 0 else 0
    if count == 0:
        return b''
    err = sock_recvmsg(sock, msg, count, flags)
    return err if err < 0 else received(msg)


def sock_write_iter(file: File, data: bytes) -> int:
    """write(2) is send without flags.  Linux: net/socket.c."""
    sock = file.private_data
    assert isinstance(sock, Socket)
    return sock_sendmsg(sock, Msghdr(data, MSG_DONTWAIT if (file.f_flags & O_NONBLOCK) != 0 else 0))


def splice_to_socket(pipe: PipeInodeInfo, file: File, length: i64, flags: int) -> i64:
    """Send up to `length` bytes of a pipe: how many, or a negative errno. With SPLICE_F_MORE, or with more in the pipe, the last
    partial segment waits.  Linux: fs/splice.c.
    """
    sock = file.private_data
    assert isinstance(sock, Socket)
    parts: list[bytes] = []
    size: i64 = 0
    more = (flags & SPLICE_F_MORE) != 0
    for buf in pipe.bufs:
        if size == length:
            more = True
            break
        data = buf.take(length - size)
        parts.append(data)
        size += len(data)
    msg = Msghdr(parts[0] if len(parts) == 1 else b''.join(parts), file_dontwait(file) | (MSG_MORE if more else 0))
    ret: i64 = sock_sendmsg(sock, msg)
    if ret > 0:
        pipe_consume(pipe, ret)
    return ret


class SocketFileOps(FileOperations):
    """Linux: socket_file_ops."""

    def poll(self, file: File, pt: PollTable | None) -> int:
        """See sock_poll."""
        return sock_poll(file, pt)

    def read(self, file: File, count: int) -> bytes | int:
        """See sock_read_iter."""
        return sock_read_iter(file, count)

    def write(self, file: File, data: bytes) -> int:
        """See sock_write_iter."""
        return sock_write_iter(file, data)

    def ioctl(self, file: File, cmd: int, arg: object) -> int | object:
        """See sock_ioctl."""
        return sock_ioctl(file, cmd, arg if isinstance(arg, int) else 0)

    def splice_read(self, file: File, pos: i64, pipe: PipeInodeInfo, length: i64, flags: int) -> i64:
        """Linux: net/socket.c, sock_splice_read."""
        sock = file.private_data
        assert isinstance(sock, Socket)
        ret = sock.ops.splice_read(sock, pipe, length, (file.f_flags & O_NONBLOCK) != 0)
        return super().splice_read(file, pos, pipe, length, flags) if ret == -EOPNOTSUPP else ret

    def splice_write(self, pipe: PipeInodeInfo, file: File, pos: i64, length: i64, flags: int) -> i64:
        """See splice_to_socket."""
        return splice_to_socket(pipe, file, length, flags)

    def splice_eof(self, file: File) -> None:
        """Linux: net/socket.c, sock_splice_eof."""
        sock = file.private_data
        assert isinstance(sock, Socket)
        sock.ops.splice_eof(sock)

    def release(self, file: File) -> int:
        """See sock_close."""
        return sock_close(file)


SOCKET_FILE_OPS: Final = SocketFileOps()


def sockfd_lookup(current: Process, fd: int) -> File:
    """The file of a socket descriptor, held: fput() it. OSError EBADF or ENOTSOCK.

    Linux: net/socket.c.  Notes whose call it is on the socket.
    """
    file = current.files.fget(fd)
    if file is None:
        fail(-EBADF)
    sock = file.private_data
    if not isinstance(sock, Socket):
        fput(file)
        fail(-ENOTSOCK)
    sock.caller = current
    return file


def sock_from_file(file: File) -> Socket:
    """Linux: net/socket.c."""
    sock = file.private_data
    assert isinstance(sock, Socket)
    return sock


def file_dontwait(file: File) -> int:
    """MSG_DONTWAIT where the file is non-blocking."""
    return MSG_DONTWAIT if (file.f_flags & O_NONBLOCK) != 0 else 0


# -- socket(), socketpair()

class SockCreated:
    """The two answers of sock_create: the socket, or None and a negative errno."""

    def __init__(self, sock: Socket | None, err: int) -> None:
        self.sock: Socket | None = sock
        self.err: int = err


def __sock_create(net: Net, current: Process | None, family: int, type: int, protocol: int, kern: int) -> SockCreated:
    """Make a socket of a family. kern: one of the stack's own.  Linux: net/socket.c."""
    if family < 0 or family >= AF_MAX:
        return SockCreated(None, -EAFNOSUPPORT)
    if type < 0 or type >= SOCK_MAX:
        return SockCreated(None, -EINVAL)
    if family == AF_INET and type == SOCK_PACKET:
        family = AF_PACKET  # how packet sockets were made before 2.2
    pf = net.net_families.get(family)
    sock = sock_alloc(net)
    sock.type = type
    sock.caller = current
    if pf is None:
        sock_release(sock)
        return SockCreated(None, -EAFNOSUPPORT)
    err = pf.create(net, sock, protocol, kern)  # walk: indirect net_families[family]->create [inet sock; ]
    if err < 0:
        sock_release(sock)
        return SockCreated(None, err)
    return SockCreated(sock, 0)


def sock_create(current: Process, family: int, type: int, protocol: int) -> SockCreated:
    """Linux: net/socket.c."""
    return __sock_create(current.net, current, family, type, protocol, 0)


def sock_create_kern(net: Net, family: int, type: int, protocol: int) -> SockCreated:
    """A socket of the stack's own.  Linux: net/socket.c."""
    return __sock_create(net, None, family, type, protocol, 1)


def sock_map_fd(current: Process, sock: Socket, flags: int) -> int:
    """Give the socket a file and a descriptor: its number or a negative errno.  Linux: net/socket.c."""
    fd = current.files.get_unused_fd(flags)
    if fd < 0:
        sock_release(sock)
        return fd
    current.files.fd_install(fd, sock_alloc_file(sock, SOCKET_FILE_OPS, flags & O_NONBLOCK))
    return fd


def __sys_socket(current: Process, family: int, type: int, protocol: int) -> int:
    """Linux: net/socket.c."""
    flags = type & ~SOCK_TYPE_MASK
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != 0:
        return -EINVAL
    answer = sock_create(current, family, type & SOCK_TYPE_MASK, protocol)
    sock = answer.sock
    if sock is None:
        return answer.err
    return sock_map_fd(current, sock, flags)


def sys_socket(current: Process, family: int, type: int, protocol: int) -> int:
    """socket(2): a descriptor.  Linux: net/socket.c."""
    fd = __sys_socket(current, family, type, protocol)
    if fd < 0:
        fail(fd)
    return fd


def __sys_socketpair(current: Process, family: int, type: int, protocol: int) -> tuple[int, int]:
    """Two descriptors, or a negative errno and 0.  Linux: net/socket.c."""
    flags = type & ~SOCK_TYPE_MASK
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != 0:
        return -EINVAL, 0
    fd1 = current.files.get_unused_fd(flags)
    if fd1 < 0:
        return fd1, 0
    fd2 = current.files.get_unused_fd(flags)
    if fd2 < 0:
        current.files.put_unused_fd(fd1)
        return fd2, 0
    err = 0
    answer1 = sock_create(current, family, type & SOCK_TYPE_MASK, protocol)
    sock1 = answer1.sock
    sock2: Socket | None = None
    if sock1 is None:
        err = answer1.err
    else:
        answer2 = sock_create(current, family, type & SOCK_TYPE_MASK, protocol)
        sock2 = answer2.sock
        err = answer2.err if sock2 is None else sock1.ops.socketpair(sock1, sock2)
    if err < 0 or sock1 is None or sock2 is None:
        if sock1 is not None:
            sock_release(sock1)
        if sock2 is not None:
            sock_release(sock2)
        current.files.put_unused_fd(fd1)
        current.files.put_unused_fd(fd2)
        return err, 0
    current.files.fd_install(fd1, sock_alloc_file(sock1, SOCKET_FILE_OPS, flags & O_NONBLOCK))
    current.files.fd_install(fd2, sock_alloc_file(sock2, SOCKET_FILE_OPS, flags & O_NONBLOCK))
    return fd1, fd2


def sys_socketpair(current: Process, family: int, type: int, protocol: int) -> tuple[int, int]:
    """socketpair(2): two descriptors of connected sockets.  Linux: net/socket.c."""
    fd1, fd2 = __sys_socketpair(current, family, type, protocol)
    if fd1 < 0:
        fail(fd1)
    return fd1, fd2


# -- bind(), listen(), accept4(), connect()

def __sys_bind(sock: Socket, addr: Sockaddr) -> int:
    """Linux: net/socket.c."""
    return sock.ops.bind(sock, addr)


def sys_bind(current: Process, fd: int, addr: Sockaddr) -> None:
    """bind(2).  Linux: net/socket.c."""
    file = sockfd_lookup(current, fd)
    err = __sys_bind(sock_from_file(file), addr)
    fput(file)
    if err < 0:
        fail(err)


def __sys_listen(sock: Socket, backlog: int) -> int:
    """Linux: net/socket.c: the backlog is bounded by net.core.somaxconn; a negative one means the most."""
    net = sock.net
    assert net is not None
    somaxconn = int(net.core.sysctl_somaxconn)
    if backlog < 0 or backlog > somaxconn:
        backlog = somaxconn
    return sock.ops.listen(sock, backlog)


def sys_listen(current: Process, fd: int, backlog: int) -> None:
    """listen(2).  Linux: net/socket.c."""
    file = sockfd_lookup(current, fd)
    err = __sys_listen(sock_from_file(file), backlog)
    fput(file)
    if err < 0:
        fail(err)


class Accepted:
    """The answers of __sys_accept4: a descriptor or a negative errno, and the peer."""

    def __init__(self, fd: int, peer: Sockaddr | None) -> None:
        self.fd: int = fd
        self.peer: Sockaddr | None = peer


def __sys_accept4(current: Process, file: File, flags: int) -> Accepted:
    """Linux: net/socket.c, with do_accept."""
    fd = current.files.get_unused_fd(flags)
    if fd < 0:
        return Accepted(fd, None)
    sock = file.private_data
    err = -ENOTSOCK
    if isinstance(sock, Socket):
        net = sock.net
        assert net is not None
        sock.caller = current
        newsock = sock_alloc(net)
        newsock.type = sock.type
        newsock.ops = sock.ops
        newsock.caller = current
        newfile = sock_alloc_file(newsock, SOCKET_FILE_OPS, flags & O_NONBLOCK)
        try:
            err = sock.ops.accept(sock, newsock, file.f_flags)
        except BaseException:
            # the task was killed while it waited
            fput(newfile)
            current.files.put_unused_fd(fd)
            raise
        if err == 0:
            peer = newsock.ops.getname(newsock, 2)
            if peer is not None:
                current.files.fd_install(fd, newfile)
                return Accepted(fd, peer)
            err = -ECONNABORTED
        fput(newfile)
    current.files.put_unused_fd(fd)
    return Accepted(err, None)


def sys_accept4(current: Process, fd: int, flags: int) -> tuple[int, Sockaddr]:
    """accept4(2): a descriptor for the next connection, and its peer. flags: SOCK_NONBLOCK, SOCK_CLOEXEC.

    Linux: net/socket.c.
    """
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != 0:
        fail(-EINVAL)
    file = current.files.fget(fd)
    if file is None:
        fail(-EBADF)
    try:
        answer = __sys_accept4(current, file, flags)
    finally:
        fput(file)
    peer = answer.peer
    if peer is None:
        fail(answer.fd)
    return answer.fd, peer


def sys_accept(current: Process, fd: int) -> tuple[int, Sockaddr]:
    """accept(2).  Linux: net/socket.c."""
    return sys_accept4(current, fd, 0)


def __sys_connect(sock: Socket, addr: Sockaddr, file_flags: int) -> int:
    """Linux: net/socket.c."""
    return sock.ops.connect(sock, addr, file_flags)  # walk: indirect sock->ops->connect


def sys_connect(current: Process, fd: int, addr: Sockaddr) -> None:
    """connect(2).  Linux: net/socket.c."""
    file = sockfd_lookup(current, fd)
    try:
        err = __sys_connect(sock_from_file(file), addr, file.f_flags)
    finally:
        fput(file)
    if err < 0:
        fail(err)


# -- sending

def call_trace_sock_send_length(sock: Socket, ret: int, flags: int) -> None:
    """Linux: net/socket.c."""
    sk = sock.sk
    if sk is not None:
        trace_sock_send_length(sk, ret, flags)


def sock_sendmsg(sock: Socket, msg: Msghdr) -> int:
    """Send msg: bytes taken or a negative errno.  Linux: net/socket.c, __sock_sendmsg."""
    sk = sock.sk
    if msg.fault != 0 and (sk is None or sk.sk_protocol != IPPROTO_TCP):
        return -EFAULT  # TCP finds out when it copies; the others look at the buffer first
    ret = sock.ops.sendmsg(sock, msg, len(msg.data) + int(msg.fault))
    if sk is not None and sock_net(sk).trace.enabled:
        call_trace_sock_send_length(sock, ret, 0)
    return ret


def message(data: bytes | BadAddress, flags: int) -> Msghdr:
    """The message that a buffer of the program is."""
    if isinstance(data, BadAddress):
        msg = Msghdr(b'', flags)
        msg.fault = data.size
        return msg
    return Msghdr(data, flags)


def __sys_sendto(sock: Socket, data: bytes | BadAddress, flags: int, addr: Sockaddr | None) -> int:
    """Linux: net/socket.c."""
    msg = message(data, flags)
    msg.msg_name = addr
    return sock_sendmsg(sock, msg)


def sys_sendto(current: Process, fd: int, data: bytes | BadAddress, flags: int = 0, addr: Sockaddr | None = None) -> int:
    """sendto(2): how many bytes were taken. data is shared, not copied; a BadAddress is OSError EFAULT.  Linux: net/socket.c."""
    file = sockfd_lookup(current, fd)
    try:
        ret = __sys_sendto(sock_from_file(file), data, flags | file_dontwait(file), addr)
    finally:
        fput(file)
    if ret < 0:
        fail(ret)
    return ret


def sys_send(current: Process, fd: int, data: bytes | BadAddress, flags: int = 0) -> int:
    """send(2).  Linux: net/socket.c."""
    return sys_sendto(current, fd, data, flags, None)


def __sys_sendmsg(sock: Socket, msg: Msghdr) -> int:
    """Linux: net/socket.c."""
    return sock_sendmsg(sock, msg)


def sys_sendmsg(current: Process, fd: int, msg: Msghdr, flags: int = 0) -> int:
    """sendmsg(2): msg has data, msg_name and msg_control.  Linux: net/socket.c."""
    file = sockfd_lookup(current, fd)
    msg.msg_flags = flags | file_dontwait(file)
    try:
        ret = __sys_sendmsg(sock_from_file(file), msg)
    finally:
        fput(file)
    if ret < 0:
        fail(ret)
    return ret


# -- receiving

def received(msg: Msghdr) -> bytes:
    """The received bytes in one piece."""
    chunks = msg.chunks
    return chunks[0] if len(chunks) == 1 else b''.join(chunks)


def call_trace_sock_recv_length(sock: Socket, ret: int, flags: int) -> None:
    """Linux: net/socket.c."""
    sk = sock.sk
    if sk is not None:
        trace_sock_recv_length(sk, ret, flags)


def sock_recvmsg(sock: Socket, msg: Msghdr, size: int, flags: int) -> int:
    """Receive up to size bytes into msg: how many, or a negative errno.  Linux: net/socket.c."""
    ret = sock.ops.recvmsg(sock, msg, size, flags)
    sk = sock.sk
    if msg.fault != 0 and ret > 0 and (sk is None or sk.sk_protocol != IPPROTO_TCP):
        ret = -EFAULT  # what was taken is lost
    if sk is not None and sock_net(sk).trace.enabled:
        call_trace_sock_recv_length(sock, ret, flags)
    return ret


def __sys_recvfrom(sock: Socket, msg: Msghdr, size: int, flags: int) -> int:
    """Linux: net/socket.c."""
    return sock_recvmsg(sock, msg, size, flags)


def sys_recvfrom(current: Process, fd: int, size: int | BadAddress, flags: int = 0) -> tuple[bytes, Sockaddr | None]:
    """recvfrom(2): up to size bytes, and who sent them (None where the protocol does not say).  Linux: net/socket.c."""
    file = sockfd_lookup(current, fd)
    msg = Msghdr()
    if isinstance(size, BadAddress):
        size = msg.fault = size.size
    try:
        ret = __sys_recvfrom(sock_from_file(file), msg, size, flags | file_dontwait(file))
    finally:
        fput(file)
    if ret < 0:
        fail(ret)
    return received(msg), msg.msg_name


def sys_recv(current: Process, fd: int, size: int | BadAddress, flags: int = 0) -> bytes:
    """recv(2): up to size bytes; b'' at the end of a stream.  Linux: net/socket.c."""
    return sys_recvfrom(current, fd, size, flags)[0]


def __sys_recvmsg(sock: Socket, msg: Msghdr, size: int, flags: int) -> int:
    """Linux: net/socket.c."""
    ret = sock_recvmsg(sock, msg, size, flags)
    msg.msg_flags &= ~MSG_CMSG_CLOEXEC
    return ret


def sys_recvmsg(current: Process, fd: int, msg: Msghdr, size: int, flags: int = 0) -> int:
    """recvmsg(2): fills msg (chunks, msg_name, msg_control, msg_flags) and returns the bytes.  Linux: net/socket.c."""
    file = sockfd_lookup(current, fd)
    msg.msg_flags = 0
    try:
        ret = __sys_recvmsg(sock_from_file(file), msg, size, flags | file_dontwait(file))
    finally:
        fput(file)
    if ret < 0:
        fail(ret)
    return ret


# -- shutdown(), names, options

def __sys_shutdown(sock: Socket, how: int) -> int:
    """Linux: net/socket.c."""
    return sock.ops.shutdown(sock, how)


def sys_shutdown(current: Process, fd: int, how: int) -> None:
    """shutdown(2).  Linux: net/socket.c."""
    file = sockfd_lookup(current, fd)
    err = __sys_shutdown(sock_from_file(file), how)
    fput(file)
    if err < 0:
        fail(err)


def sys_getsockname(current: Process, fd: int) -> Sockaddr:
    """getsockname(2).  Linux: net/socket.c."""
    return socket_name(current, fd, 0)


def sys_getpeername(current: Process, fd: int) -> Sockaddr:
    """getpeername(2): OSError ENOTCONN without one.  Linux: net/socket.c."""
    return socket_name(current, fd, 1)


def socket_name(current: Process, fd: int, peer: int) -> Sockaddr:
    """The two calls in one."""
    file = sockfd_lookup(current, fd)
    sock = sock_from_file(file)
    name = sock.ops.getname(sock, peer)
    fput(file)
    if name is None:
        fail(-ENOTCONN)
    return name


def __sys_setsockopt(sock: Socket, level: int, optname: int, optval: bytes) -> int:
    """Linux: net/socket.c."""
    if level == SOL_SOCKET:
        return sock_setsockopt(sock, level, optname, optval)
    return sock.ops.setsockopt(sock, level, optname, optval)


def sys_setsockopt(current: Process, fd: int, level: int, optname: int, optval: bytes) -> None:
    """setsockopt(2): optval as a C program hands it over.  Linux: net/socket.c."""
    file = sockfd_lookup(current, fd)
    err = __sys_setsockopt(sock_from_file(file), level, optname, optval)
    fput(file)
    if err < 0:
        fail(err)


def __sys_getsockopt(sock: Socket, level: int, optname: int, optlen: int) -> OptResult:
    """Linux: net/socket.c."""
    if level == SOL_SOCKET:
        return sock_getsockopt(sock, level, optname, optlen)
    return sock.ops.getsockopt(sock, level, optname, optlen)


def sys_getsockopt(current: Process, fd: int, level: int, optname: int, optlen: int = 4) -> bytes:
    """getsockopt(2): at most optlen bytes.  Linux: net/socket.c."""
    file = sockfd_lookup(current, fd)
    answer = __sys_getsockopt(sock_from_file(file), level, optname, optlen)
    fput(file)
    if answer.err < 0:
        fail(answer.err)
    return answer.data[:optlen]


# -- files: close, dup, read, write, ioctl, fcntl

def sys_close(current: Process, fd: int) -> None:
    """close(2): OSError EBADF.  Linux: fs/open.c."""
    file = current.files.fcheck(fd)
    if file is not None:
        sock = file.private_data
        if isinstance(sock, Socket):
            sock.caller = current
    err = current.files.close_fd(fd)
    if err < 0:
        fail(err)


def sys_dup(current: Process, fd: int) -> int:
    """dup(2): the lowest free descriptor for the same file.  Linux: fs/file.c."""
    new = current.files.dup(fd)
    if new < 0:
        fail(new)
    return new


def sys_dup2(current: Process, fd: int, new: int) -> int:
    """dup2(2).  Linux: fs/file.c."""
    got = current.files.dup2(fd, new)
    if got < 0:
        fail(got)
    return got


def bad_read(file: File, bad: BadAddress) -> int:
    """What a read into a bad address gives: a negative errno, or 0 at the end."""
    sock = file.private_data
    if isinstance(sock, Socket):
        msg = Msghdr()
        msg.fault = bad.size
        return sock_recvmsg(sock, msg, bad.size, file_dontwait(file))
    data = file.f_op.read(file, 1)  # what it would have copied is lost
    if isinstance(data, int):
        return data
    return -EFAULT if len(data) != 0 else 0


def sys_read(current: Process, fd: int, count: int | BadAddress) -> bytes:
    """read(2).  Linux: fs/read_write.c."""
    file = current.files.fget(fd)
    if file is None:
        fail(-EBADF)
    note_caller(file, current)
    data: bytes | int = b''
    try:
        if isinstance(count, BadAddress):
            err = bad_read(file, count)
            if err < 0:
                data = err
        else:
            data = file.f_op.read(file, count)
    finally:
        fput(file)
    if isinstance(data, int):
        fail(data)
    return data


def bad_write(file: File, bad: BadAddress) -> int:
    """What a write from a bad address gives: a negative errno."""
    sock = file.private_data
    return sock_sendmsg(sock, message(bad, file_dontwait(file))) if isinstance(sock, Socket) else -EFAULT


def sys_write(current: Process, fd: int, data: bytes | BadAddress) -> int:
    """write(2).  Linux: fs/read_write.c."""
    file = current.files.fget(fd)
    if file is None:
        fail(-EBADF)
    note_caller(file, current)
    try:
        ret = bad_write(file, data) if isinstance(data, BadAddress) else file.f_op.write(file, data)
    finally:
        fput(file)
    if ret < 0:
        fail(ret)
    return ret


def note_caller(file: File, current: Process) -> None:
    """Note on a socket whose call it is."""
    sock = file.private_data
    if isinstance(sock, Socket):
        sock.caller = current


def sys_ioctl(current: Process, fd: int, cmd: int, arg: int = 0) -> int:
    """ioctl(2): arg is the int that a C program points to, the answer the one it would find there.  Linux: fs/ioctl.c."""
    file = current.files.fget(fd)
    if file is None:
        fail(-EBADF)
    answer: int | object = 0
    if cmd == FIONBIO:
        file.f_flags = file.f_flags | O_NONBLOCK if arg != 0 else file.f_flags & ~O_NONBLOCK
    elif cmd == FIOCLEX or cmd == FIONCLEX:
        current.files.set_close_on_exec(fd, cmd == FIOCLEX)
    else:
        note_caller(file, current)
        answer = file.f_op.ioctl(file, cmd, arg)
    fput(file)
    if not isinstance(answer, int):
        fail(-ENOTTY)
    if answer < 0:
        fail(answer)
    return answer


def sys_fcntl(current: Process, fd: int, cmd: int, arg: int = 0) -> int:
    """fcntl(2): F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL (O_NONBLOCK, O_APPEND, O_ASYNC), F_[GS]ETPIPE_SZ.

    Linux: fs/fcntl.c.
    """
    files = current.files
    file = files.fcheck(fd)
    if file is None:
        fail(-EBADF)
    if cmd == F_GETFL:
        return file.f_flags
    if cmd == F_SETFL:
        file.f_flags = (arg & SETFL_MASK) | (file.f_flags & ~SETFL_MASK)
        return 0
    if cmd == F_GETFD:
        return FD_CLOEXEC if files.get_close_on_exec(fd) else 0
    if cmd == F_SETFD:
        files.set_close_on_exec(fd, (arg & FD_CLOEXEC) != 0)
        return 0
    if cmd == F_DUPFD or cmd == F_DUPFD_CLOEXEC:
        # arg 0 is below every number of a program whose numbers start higher: it means the first
        new = files.dup(fd, arg, SOCK_CLOEXEC if cmd == F_DUPFD_CLOEXEC else 0) if arg >= 0 else -EINVAL
        if new < 0:
            fail(new)
        return new
    if cmd == F_SETPIPE_SZ or cmd == F_GETPIPE_SZ:
        pipe = get_pipe_info(file)
        if pipe is None:
            fail(-EBADF)
        size = pipe_get_size(pipe) if cmd == F_GETPIPE_SZ else pipe_set_size(pipe, arg, current.privileged)
        if size < 0:
            fail(size)
        return size
    fail(-EINVAL)


# -- waiting for descriptors

def timeout_of(timeout: int | None) -> int:
    """A time-out as kernel/ takes it: -1 waits for ever."""
    return -1 if timeout is None or timeout < 0 else timeout


def sys_poll(current: Process, fds: list[tuple[int, int]], timeout: int | None) -> list[tuple[int, int]]:
    """poll(2): (fd, events) asked, (fd, revents) of those that are ready, [] when `timeout` ns are over.  Linux: fs/select.c."""
    pfds = [PollFd(fd, events) for fd, events in fds]
    sched = current.net.world.sched
    count = do_poll(sched, current.files, pfds, timeout_of(timeout))
    if count < 0:
        fail(count)
    if count > 0:
        note_answer(sched)
    return [(pfd.fd, pfd.revents) for pfd in pfds if pfd.revents != 0]


def sys_select(
    current: Process, readfds: list[int], writefds: list[int], exceptfds: list[int], timeout: int | None,
) -> tuple[list[int], list[int], list[int]]:
    """select(2): the ready ones of each list.  Linux: fs/select.c."""
    sched = current.net.world.sched
    answer = do_select(sched, current.files, readfds, writefds, exceptfds, timeout_of(timeout))
    if isinstance(answer, int):
        fail(answer)
    if answer[0] or answer[1] or answer[2]:
        note_answer(sched)
    return answer


def sys_epoll_create1(current: Process, flags: int = 0) -> int:
    """epoll_create1(2): a descriptor.  Linux: fs/eventpoll.c."""
    fd = epoll_create1(current.files, flags)
    if fd < 0:
        fail(fd)
    return fd


def sys_epoll_ctl(current: Process, epfd: int, op: int, fd: int, events: int = 0, data: int = 0) -> None:
    """epoll_ctl(2).  Linux: fs/eventpoll.c."""
    err = epoll_ctl(current.files, epfd, op, fd, EpollEvent(events, data))
    if err < 0:
        fail(err)


def sys_epoll_wait(current: Process, epfd: int, maxevents: int, timeout: int | None) -> list[tuple[int, int]]:
    """epoll_wait(2): (data, events) of those that are ready, [] when `timeout` ns are over.  Linux: fs/eventpoll.c."""
    sched = current.net.world.sched
    answer = epoll_wait(sched, current.files, epfd, maxevents, timeout_of(timeout))
    if isinstance(answer, int):
        fail(answer)
    if answer:
        note_answer(sched)
    return [(event.data, event.events) for event in answer]
