# SPDX-License-Identifier: Apache-2.0
"""AF_UNIX within one program: socketpair(), of type stream, datagram or sequenced packet, without names.

asyncio and others wake themselves through such a pair. Data go straight into the peer's queue, as bytes objects; a sender
waits while the peer holds more than the sender's sk_sndbuf. A stream's messages may be read in pieces, the other types keep
their borders.
"""
from __future__ import annotations

from collections import deque
from typing import Final

from mypy_extensions import i64

from linnet.include.linux.socket import (
    AF_UNIX,
    MSG_DONTWAIT,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    RCV_SHUTDOWN,
    SEND_SHUTDOWN,
    SHUTDOWN_MASK,
    SIOCINQ,
    SIOCOUTQ,
    SOCK_DGRAM,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SS_CONNECTED,
    SS_UNCONNECTED,
    Msghdr,
    Sockaddr,
)
from linnet.include.net.net_namespace import Net, World
from linnet.include.net.sock import NetProtoFamily, Proto, ProtoOps, Sock, Socket, sock_error, sock_net
from linnet.include.net.tcp_states import TCP_ESTABLISHED
from linnet.kernel.errno import (
    EAGAIN,
    ECONNREFUSED,
    ECONNRESET,
    EINTR,
    EINVAL,
    EISCONN,
    EMSGSIZE,
    ENOIOCTLCMD,
    ENOTCONN,
    EOPNOTSUPP,
    EPIPE,
    EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
)
from linnet.kernel.file import File, poll_wait
from linnet.kernel.poll import (
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLRDHUP,
    EPOLLRDNORM,
    EPOLLWRBAND,
    EPOLLWRNORM,
)
from linnet.kernel.sched import signal_pending
from linnet.kernel.select import PollTable
from linnet.kernel.slab import KmemCache
from linnet.kernel.wait import WokenWait, add_wait_queue, remove_wait_queue, wait_woken, wake_up_interruptible_poll
from linnet.net.core.sock import current_task, sk_alloc, sock_def_readable, sock_def_wakeup, sock_init_data, sock_orphan, sock_put

SIZEOF_UNIX_SOCK: Final = 1024
MESSAGE_OVERHEAD: Final = 256  # a message counts for more than its bytes, as an skb does


class UnixSock(Sock):
    """Linux: struct unix_sock. queued: bytes in `queue` with their overhead."""

    def __init__(self) -> None:
        super().__init__()
        self.peer: UnixSock | None = None
        self.queue: deque[bytes] = deque()
        self.queued: i64 = 0


class UnixSockCache(KmemCache):
    """The slab of UNIX sockets."""

    def new(self) -> object:
        """See KmemCache."""
        return UnixSock()


class UnixProt(Proto):
    """Linux: unix_stream_proto and unix_dgram_proto, of which nothing but the slab is needed."""

    def close(self, sk: Sock, timeout: i64) -> None:
        """See unix_release_sock."""
        unix_release_sock(unix_sk(sk), False)


def unix_sk(sk: Sock | None) -> UnixSock:
    """Linux: include/net/af_unix.h."""
    assert isinstance(sk, UnixSock)
    return sk


def unix_release_sock(sk: UnixSock, embrion: bool) -> None:
    """One end closes: the other reads what is queued, then the end; its writes fail.  Linux: net/unix/af_unix.c."""
    unread = len(sk.queue) != 0
    sk.queue.clear()
    sk.queued = 0
    sk.sk_shutdown = SHUTDOWN_MASK
    peer = sk.peer
    sk.peer = None
    if peer is not None:
        if peer.sk_type != SOCK_DGRAM:
            peer.sk_shutdown = SHUTDOWN_MASK
            if unread:
                peer.sk_err = ECONNRESET
            sock_def_wakeup(peer)
        if peer.peer is sk:
            peer.peer = None
    sock_orphan(sk)
    sock_put(sk)


def unix_may_write(sk: UnixSock, peer: UnixSock) -> bool:
    """Has the peer room for more?  Linux: unix_writable and unix_recvq_full in one."""
    return peer.queued < sk.sk_sndbuf


def unix_wait(sk: UnixSock, timeo: i64, what: str) -> i64:
    """Wait until something happens to sk: ns left, or -EINTR.  Linux: unix_stream_data_wait, sock_alloc_send_pskb."""
    task = current_task(sk)
    sock = sk.sk_socket
    assert sock is not None
    if signal_pending(task):
        return -EINTR
    wait = WokenWait(task)
    add_wait_queue(sock.wq, wait)
    task.wait_what = what
    left = wait_woken(sock_net(sk).world.sched, wait, timeo)
    task.wait_what = ''
    remove_wait_queue(sock.wq, wait)
    return left


def unix_write_space(sk: UnixSock) -> None:
    """The peer read: wake who wants to write.  Linux: net/unix/af_unix.c."""
    sock = sk.sk_socket
    if sock is not None:
        wake_up_interruptible_poll(sock.wq, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)


def unix_put(peer: UnixSock, data: bytes) -> None:
    """Queue data with the peer and wake it."""
    peer.queue.append(data)
    peer.queued += len(data) + MESSAGE_OVERHEAD
    sock_def_readable(peer)


def unix_sendmsg(sk: UnixSock, msg: Msghdr, size: int) -> int:
    """Send to the peer: bytes sent or a negative errno.  Linux: unix_stream_sendmsg and unix_dgram_sendmsg."""
    stream = sk.sk_type == SOCK_STREAM
    if (msg.msg_flags & MSG_OOB) != 0:
        return -EOPNOTSUPP
    if msg.msg_name is not None:
        return -EISCONN if sk.peer is not None else -EOPNOTSUPP
    if not stream and size > sk.sk_sndbuf - 32:
        return -EMSGSIZE
    timeo: i64 = 0 if (msg.msg_flags & MSG_DONTWAIT) != 0 else sk.sk_sndtimeo
    sent: i64 = 0
    while True:
        peer = sk.peer
        if (sk.sk_shutdown & SEND_SHUTDOWN) != 0:
            return int(sent) if sent != 0 else -EPIPE
        err = sock_error(sk)
        if err != 0:
            return int(sent) if sent != 0 else err
        if peer is None:
            return -ECONNREFUSED if sk.sk_type == SOCK_DGRAM else -ENOTCONN
        if (peer.sk_shutdown & RCV_SHUTDOWN) != 0:
            return int(sent) if sent != 0 else -EPIPE
        if unix_may_write(sk, peer):
            if not stream:
                unix_put(peer, msg.data)
                return size
            room = sk.sk_sndbuf - peer.queued
            part = msg.data[sent:sent + room]
            if len(part) != 0:
                unix_put(peer, part)
            sent += len(part)
            if sent == size:
                return size
            continue
        if timeo == 0:
            return int(sent) if sent != 0 else -EAGAIN
        timeo = unix_wait(sk, timeo, 'room in the peer')
        if timeo < 0:
            return int(sent) if sent != 0 else int(timeo)


def unix_take(sk: UnixSock, msg: Msghdr, size: i64, flags: int) -> int:
    """Move what is queued, up to size bytes of a stream or one message, into msg. Returns the bytes."""
    stream = sk.sk_type == SOCK_STREAM
    taken: i64 = 0
    for data in list(sk.queue):
        part = data[:size - taken]
        msg.put(part)
        taken += len(part)
        if not stream:
            if len(part) < len(data):
                msg.msg_flags |= MSG_TRUNC
            if (flags & MSG_PEEK) == 0:
                sk.queue.popleft()
                sk.queued -= len(data) + MESSAGE_OVERHEAD
            return len(data) if (flags & MSG_TRUNC) != 0 else int(taken)
        if (flags & MSG_PEEK) == 0:
            sk.queue.popleft()
            if len(part) < len(data):
                sk.queue.appendleft(data[len(part):])
                sk.queued -= len(part)
            else:
                sk.queued -= len(data) + MESSAGE_OVERHEAD
        if taken == size:
            break
    return int(taken)


def unix_recvmsg(sk: UnixSock, msg: Msghdr, size: int, flags: int) -> int:
    """Receive: bytes, 0 at the end of a stream, or a negative errno.  Linux: unix_stream_recvmsg and unix_dgram_recvmsg."""
    if (flags & MSG_OOB) != 0:
        return -EOPNOTSUPP
    if sk.sk_type != SOCK_DGRAM and sk.sk_state != TCP_ESTABLISHED:
        return -EINVAL if sk.sk_type == SOCK_STREAM else -ENOTCONN
    timeo: i64 = 0 if (flags & MSG_DONTWAIT) != 0 else sk.sk_rcvtimeo
    waitall = (flags & MSG_WAITALL) != 0 and sk.sk_type == SOCK_STREAM
    copied = 0
    while True:
        if len(sk.queue) != 0:
            copied += unix_take(sk, msg, size - copied, flags)
            peer = sk.peer
            if peer is not None and (flags & MSG_PEEK) == 0 and peer.sk_sndbuf > sk.queued:
                unix_write_space(peer)
            if not waitall or copied >= size or (flags & MSG_PEEK) != 0:
                return copied
        if copied != 0 and not waitall:
            return copied
        err = sock_error(sk)
        if err != 0:
            return copied if copied != 0 else err
        if (sk.sk_shutdown & RCV_SHUTDOWN) != 0 or size == 0:
            return copied
        if timeo == 0:
            return copied if copied != 0 else -EAGAIN
        timeo = unix_wait(sk, timeo, 'data')
        if timeo < 0:
            return copied if copied != 0 else int(timeo)


def unix_poll(sk: UnixSock, file: File, sock: Socket, wait: PollTable | None) -> int:
    """The events that hold.  Linux: net/unix/af_unix.c."""
    poll_wait(file, sock.wq, wait)
    mask = 0
    shutdown = sk.sk_shutdown
    if sk.sk_err != 0:
        mask |= EPOLLERR
    if shutdown == SHUTDOWN_MASK:
        mask |= EPOLLHUP
    if (shutdown & RCV_SHUTDOWN) != 0:
        mask |= EPOLLRDHUP | EPOLLIN | EPOLLRDNORM
    if len(sk.queue) != 0:
        mask |= EPOLLIN | EPOLLRDNORM
    peer = sk.peer
    if peer is None or unix_may_write(sk, peer):
        mask |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND
    return mask


def unix_shutdown(sk: UnixSock, mode: int) -> int:
    """Shut down one or both ways, at the peer too.  Linux: net/unix/af_unix.c."""
    if mode < 0 or mode > 2:
        return -EINVAL
    mode += 1
    sk.sk_shutdown |= mode
    peer = sk.peer
    if peer is not None and peer.sk_type != SOCK_DGRAM:
        mirrored = 0
        if (mode & RCV_SHUTDOWN) != 0:
            mirrored |= SEND_SHUTDOWN
        if (mode & SEND_SHUTDOWN) != 0:
            mirrored |= RCV_SHUTDOWN
        peer.sk_shutdown |= mirrored
        sock_def_wakeup(peer)
    sock_def_wakeup(sk)
    return 0


def unix_ioctl(sk: UnixSock, cmd: int) -> int:
    """Bytes to read, or bytes the peer has not read.  Linux: net/unix/af_unix.c."""
    if cmd == SIOCINQ:
        if sk.sk_type == SOCK_STREAM:
            return sum([len(data) for data in sk.queue])
        return len(sk.queue[0]) if len(sk.queue) != 0 else 0
    if cmd == SIOCOUTQ:
        peer = sk.peer
        return 0 if peer is None else int(peer.queued)
    return -ENOIOCTLCMD


class UnixOps(ProtoOps):
    """Linux: unix_stream_ops, unix_dgram_ops and unix_seqpacket_ops; without names they differ by type alone."""

    def __init__(self) -> None:
        super().__init__(AF_UNIX)

    def release(self, sock: Socket) -> int:
        """Linux: net/unix/af_unix.c, unix_release."""
        if sock.sk is not None:
            unix_release_sock(unix_sk(sock.sk), False)
            sock.sk = None
        return 0

    def socketpair(self, sock1: Socket, sock2: Socket) -> int:
        """Join the two.  Linux: net/unix/af_unix.c, unix_socketpair."""
        ska = unix_sk(sock1.sk)
        skb = unix_sk(sock2.sk)
        ska.peer = skb
        skb.peer = ska
        ska.sk_state = TCP_ESTABLISHED
        skb.sk_state = TCP_ESTABLISHED
        sock1.state = SS_CONNECTED
        sock2.state = SS_CONNECTED
        return 0

    def getname(self, sock: Socket, peer: int) -> Sockaddr | None:
        """An address without a name.  Linux: net/unix/af_unix.c, unix_getname."""
        if peer != 0 and unix_sk(sock.sk).peer is None:
            return None
        return Sockaddr(AF_UNIX)

    def poll(self, file: File, sock: Socket, wait: PollTable | None) -> int:
        """See unix_poll."""
        return unix_poll(unix_sk(sock.sk), file, sock, wait)

    def ioctl(self, sock: Socket, cmd: int, arg: int) -> int:
        """See unix_ioctl."""
        return unix_ioctl(unix_sk(sock.sk), cmd)

    def shutdown(self, sock: Socket, how: int) -> int:
        """See unix_shutdown."""
        return unix_shutdown(unix_sk(sock.sk), how)

    def sendmsg(self, sock: Socket, msg: Msghdr, size: int) -> int:
        """See unix_sendmsg."""
        return unix_sendmsg(unix_sk(sock.sk), msg, size)

    def recvmsg(self, sock: Socket, msg: Msghdr, size: int, flags: int) -> int:
        """See unix_recvmsg."""
        return unix_recvmsg(unix_sk(sock.sk), msg, size, flags)


class UnixFamilyOps(NetProtoFamily):
    """Linux: unix_family_ops."""

    def __init__(self, prot: UnixProt) -> None:
        super().__init__(AF_UNIX)
        self.prot: UnixProt = prot
        self.ops: UnixOps = UnixOps()

    def create(self, net: Net, sock: Socket, protocol: int, kern: int) -> int:
        """Linux: net/unix/af_unix.c, unix_create and unix_create1."""
        if protocol != 0 and protocol != AF_UNIX:
            return -EPROTONOSUPPORT
        if sock.type not in (SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET):
            return -ESOCKTNOSUPPORT
        sock.state = SS_UNCONNECTED
        sock.ops = self.ops
        sk = sk_alloc(net, AF_UNIX, self.prot, kern)
        sock_init_data(sock, sk)
        return 0


def unix_slab(world: World) -> KmemCache:
    """The world's slab of UNIX sockets, made at the first asking."""
    slab = world.slab.caches.get('UNIX')
    if slab is None:
        slab = world.slab.register(UnixSockCache('UNIX', SIZEOF_UNIX_SOCK, world.trace))
    return slab


def af_unix_init(net: Net) -> None:
    """Register the family.  Linux: net/unix/af_unix.c."""
    net.net_families[AF_UNIX] = UnixFamilyOps(UnixProt('UNIX', unix_slab(net.world)))
