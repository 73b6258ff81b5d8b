# SPDX-License-Identifier: Apache-2.0
"""What datagram sockets share: take the next packet off a queue (or look at it), wait for one, copy it out, poll.

A packet that is only peeked at stays queued with one more reference. With SO_PEEK_OFF the look starts at an offset
into the queue, counted in payload bytes, and steps over packets that it covers whole. Readers wait exclusively: a
datagram wakes one.

Two answers are needed, the packet and why there is none: the errno goes into an ErrBox (Linux: int *err).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff, SkBuffHead, __skb_unlink, skb_get, skb_peek_tail, skb_queue_empty
from linnet.include.linux.socket import (
    MSG_DONTWAIT,
    MSG_PEEK,
    RCV_SHUTDOWN,
    SHUTDOWN_MASK,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    Msghdr,
)
from linnet.include.net.sock import (
    MAX_SCHEDULE_TIMEOUT,
    SOCK_ASYNC_NOSPACE,
    SOCK_SELECT_ERR_QUEUE,
    Sock,
    Socket,
    sock_error,
    sock_net,
)
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_ESTABLISHED, TCP_LISTEN, TCP_SYN_SENT
from linnet.include.trace.events.skb import trace_skb_copy_datagram_iovec
from linnet.kernel.errno import EAGAIN, EINTR, ENOENT, ENOTCONN, ERESTARTSYS
from linnet.kernel.file import File, PollTable, poll_wait
from linnet.kernel.poll import (
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLPRI,
    EPOLLRDHUP,
    EPOLLRDNORM,
    EPOLLWRBAND,
    EPOLLWRNORM,
)
from linnet.kernel.sched import schedule_timeout, signal_pending
from linnet.kernel.wait import TaskWait, finish_wait, prepare_to_wait_exclusive
from linnet.net.core.skbuff import consume_skb, kfree_skb, skb_copy_bits

PEEK_NONE: Final = -1  # sk_peek_off: SO_PEEK_OFF is not in use


class ErrBox:
    """What is returned beside a packet: err, 0 or negative; and where in it a peek with SO_PEEK_OFF starts."""

    def __init__(self) -> None:
        self.err: int = 0
        self.off: i64 = 0


def connection_based(sk: Sock) -> bool:
    """Linux: net/core/datagram.c."""
    return sk.sk_type == SOCK_SEQPACKET or sk.sk_type == SOCK_STREAM


def sk_peek_offset(sk: Sock, flags: int) -> i64:
    """Where a peek starts, in bytes; PEEK_NONE: at the first packet.  Linux: include/net/sock.h."""
    return sk.sk_peek_off if (flags & MSG_PEEK) != 0 else 0


def sk_peek_offset_fwd(sk: Sock, val: i64) -> None:
    """A peek saw val bytes: the next one starts behind them.  Linux: include/net/sock.h."""
    if sk.sk_peek_off >= 0:
        sk.sk_peek_off += val


def sk_peek_offset_bwd(sk: Sock, val: i64) -> None:
    """val bytes left the queue.  Linux: include/net/sock.h."""
    off = sk.sk_peek_off
    if off >= 0:
        sk.sk_peek_off = off - val if off > val else 0


def sock_rcvtimeo(sk: Sock, noblock: bool) -> i64:
    """How long a receive may wait, in ns.  Linux: include/net/sock.h."""
    return 0 if noblock else sk.sk_rcvtimeo


def sock_intr_errno(timeo: i64) -> int:
    """The errno of an interrupted wait: one without a time-out may be restarted.  Linux: include/net/sock.h."""
    return -ERESTARTSYS if timeo == MAX_SCHEDULE_TIMEOUT else -EINTR


def __skb_wait_for_more_packets(sk: Sock, queue: SkBuffHead, box: ErrBox, timeo: i64, last: SkBuff | None) -> i64:
    """Wait until queue changed from having `last` at its end. Returns the ns left.

    -1 with box.err set where there is no sense in waiting on (error, shutdown: err 0, not connected, signal).

    Linux: net/core/datagram.c, which gives 0, 1 or an errno and the time through a pointer.
    """
    sock = sk.sk_socket
    sched = sock_net(sk).world.sched
    task = sched.current
    if task is None or sock is None:
        raise RuntimeError('blocking call outside a task')
    wait = TaskWait(task)
    prepare_to_wait_exclusive(sock.wq, wait)
    box.err = 0
    left: i64 = -1
    err = sock_error(sk)
    if err != 0:
        box.err = err
    elif skb_peek_tail(queue) is not last:
        left = timeo
    elif (sk.sk_shutdown & RCV_SHUTDOWN) != 0:
        box.err = 0
    elif connection_based(sk) and sk.sk_state != TCP_ESTABLISHED and sk.sk_state != TCP_LISTEN:
        box.err = -ENOTCONN
    elif signal_pending(task):
        box.err = sock_intr_errno(timeo)
    else:
        task.wait_what = 'datagram'
        left = schedule_timeout(sched, timeo)
        task.wait_what = ''
    finish_wait(sock.wq, wait)
    return left


def __skb_try_recv_from_queue(sk: Sock, queue: SkBuffHead, flags: int, off: i64, box: ErrBox) -> SkBuff | None:
    """The first packet of queue, taken off it; with MSG_PEEK the one at offset off, left there with one more reference.

    off counts payload bytes; box.off is then the offset within the packet.
    Linux: net/core/datagram.c.
    """
    skb = queue.next
    box.off = 0
    if (flags & MSG_PEEK) == 0:
        if skb is not None:
            __skb_unlink(skb, queue)
        return skb
    rest: i64 = off if off > 0 else 0
    while skb is not None:
        if off >= 0 and rest >= skb.len and (rest != 0 or skb.peeked):
            rest -= skb.len
            skb = skb.next
            continue
        skb.peeked = True
        box.off = rest
        return skb_get(skb)
    return None


def __skb_try_recv_datagram(sk: Sock, queue: SkBuffHead, flags: int, off: i64, box: ErrBox) -> SkBuff | None:
    """One look at the queue: a packet, or None with box.err (-EAGAIN where there is only nothing yet).

    Linux: net/core/datagram.c.
    """
    err = sock_error(sk)
    if err != 0:
        box.err = err
        return None
    skb = __skb_try_recv_from_queue(sk, queue, flags, off, box)
    box.err = 0 if skb is not None else -EAGAIN
    return skb


def __skb_recv_datagram(sk: Sock, queue: SkBuffHead, flags: int, off: i64, box: ErrBox) -> SkBuff | None:
    """A packet, waiting for it as the flags (MSG_DONTWAIT) and SO_RCVTIMEO say.  Linux: net/core/datagram.c."""
    timeo = sock_rcvtimeo(sk, (flags & MSG_DONTWAIT) != 0)
    while True:
        skb = __skb_try_recv_datagram(sk, queue, flags, off, box)
        if skb is not None or box.err != -EAGAIN or timeo == 0:
            return skb
        timeo = __skb_wait_for_more_packets(sk, queue, box, timeo, skb_peek_tail(queue))
        if timeo < 0:
            return None
        if timeo == 0:
            return __skb_try_recv_datagram(sk, queue, flags, off, box)


def skb_recv_datagram(sk: Sock, flags: int, noblock: bool, box: ErrBox) -> SkBuff | None:
    """The next packet of sk's receive queue; None with box.err set (0: the receiving side is shut down).

    Linux: net/core/datagram.c.
    """
    return __skb_recv_datagram(sk, sk.sk_receive_queue, flags | (MSG_DONTWAIT if noblock else 0), PEEK_NONE, box)


def skb_free_datagram(sk: Sock, skb: SkBuff) -> None:
    """The program has its copy.  Linux: net/core/datagram.c."""
    consume_skb(skb)


def skb_kill_datagram(sk: Sock, skb: SkBuff, flags: int) -> int:
    """skb is bad: take it off the receive queue, also where it was only peeked at. 0, or -ENOENT (it has gone).

    Linux: net/core/datagram.c.
    """
    return __sk_queue_drop_skb(sk, sk.sk_receive_queue, skb, flags)


def __sk_queue_drop_skb(sk: Sock, queue: SkBuffHead, skb: SkBuff, flags: int) -> int:
    """As skb_kill_datagram, of any queue.  Linux: net/core/datagram.c."""
    err = 0
    if (flags & MSG_PEEK) != 0:
        if skb.list is queue:
            __skb_unlink(skb, queue)
            skb.users -= 1
        else:
            err = -ENOENT
    kfree_skb(skb)
    sk.sk_drops += 1
    return err


def skb_copy_datagram_iter(skb: SkBuff, offset: i64, msg: Msghdr, length: i64) -> int:
    """Give length bytes of skb, from offset after data on, to the program. Returns 0.  Linux: net/core/datagram.c."""
    trace_skb_copy_datagram_iovec(skb, int(length))
    if length > 0:
        msg.put(skb_copy_bits(skb, offset, length))
    return 0


def skb_copy_datagram_msg(skb: SkBuff, offset: i64, msg: Msghdr, size: i64) -> int:
    """Linux: include/linux/skbuff.h."""
    return skb_copy_datagram_iter(skb, offset, msg, size)


def sock_writeable(sk: Sock) -> bool:
    """Is half of the send buffer free?  Linux: include/net/sock.h."""
    return sk.sk_wmem_alloc < (sk.sk_sndbuf >> 1)


def datagram_poll(file: File, sock: Socket, wait: PollTable | None) -> int:
    """The events of a datagram socket.  Linux: net/core/datagram.c."""
    sk = sock.sk
    if sk is None:
        return EPOLLHUP
    poll_wait(file, sock.wq, wait)
    return datagram_poll_queue(sk, sock)


def datagram_poll_queue(sk: Sock, sock: Socket) -> int:
    """The events that hold for sk now, its receive queue looked at as it stands.  Linux: net/core/datagram.c."""
    mask = 0
    if sk.sk_err != 0 or not skb_queue_empty(sk.sk_error_queue):
        mask |= EPOLLERR
        if (sk.sk_flags & SOCK_SELECT_ERR_QUEUE) != 0:
            mask |= EPOLLPRI
    if (sk.sk_shutdown & RCV_SHUTDOWN) != 0:
        mask |= EPOLLRDHUP | EPOLLIN | EPOLLRDNORM
    if sk.sk_shutdown == SHUTDOWN_MASK:
        mask |= EPOLLHUP
    if not skb_queue_empty(sk.sk_receive_queue):
        mask |= EPOLLIN | EPOLLRDNORM
    if connection_based(sk):
        if sk.sk_state == TCP_CLOSE:
            mask |= EPOLLHUP
        if sk.sk_state == TCP_SYN_SENT:
            return mask
    if sock_writeable(sk):
        mask |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND
    else:
        sock.flags |= SOCK_ASYNC_NOSPACE
    return mask
