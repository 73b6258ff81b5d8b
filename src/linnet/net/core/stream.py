# SPDX-License-Identifier: Apache-2.0
"""What stream transports share: waiting for a connection, for send memory, for the end; and waking writers.

Each wait stands in the socket's wait queue, lets go of the socket while it sleeps (so that segments are worked on) and looks at
the condition again with the socket held. The functions return the time-out that is left, in ns, or a negative errno; Linux
returns it through a pointer. A wake-up for writers comes once a third of the send buffer is free, not at every ACK.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.socket import SEND_SHUTDOWN
from linnet.include.net.sock import (
    SOCK_ASYNC_NOSPACE,
    SOCK_NOSPACE,
    Sock,
    sk_stream_min_wspace,
    sk_stream_wspace,
    sock_error,
    sock_net,
)
from linnet.include.net.tcp import TcpSock, tcp_stream_memory_free
from linnet.include.net.tcp_states import (
    TCPF_CLOSE_WAIT,
    TCPF_CLOSING,
    TCPF_ESTABLISHED,
    TCPF_FIN_WAIT1,
    TCPF_LAST_ACK,
    TCPF_SYN_RECV,
    TCPF_SYN_SENT,
)
from linnet.kernel.errno import EAGAIN, EINTR, EPIPE
from linnet.kernel.poll import EPOLLOUT, EPOLLWRBAND, EPOLLWRNORM
from linnet.kernel.sched import signal_pending
from linnet.kernel.wait import (
    WaitQueueHead,
    WokenWait,
    add_wait_queue,
    remove_wait_queue,
    wait_woken,
    waitqueue_active,
    wake_up_interruptible_poll,
)
from linnet.net.core.skbuff import skb_queue_purge
from linnet.net.core.sock import current_task, lock_sock, release_sock


def sk_sleep(sk: Sock) -> WaitQueueHead:
    """The wait queue of the socket that the program holds.  Linux: include/net/sock.h."""
    sock = sk.sk_socket
    assert sock is not None
    return sock.wq


def sock_intr_errno(timeo: i64) -> i64:
    """The errno of a wait that a signal ended.  Linux: include/net/sock.h; calls are not restarted here, so always EINTR."""
    return -EINTR


def __sk_stream_memory_free(sk: Sock, wake: i64) -> bool:
    """May more be queued for sending? TCP also limits what is queued but not sent (TCP_NOTSENT_LOWAT).

    Linux: include/net/sock.h, through prot->stream_memory_free.
    """
    if isinstance(sk, TcpSock):
        return tcp_stream_memory_free(sk, wake)
    return sk.sk_wmem_queued < sk.sk_sndbuf


def __sk_stream_is_writeable(sk: Sock, wake: i64) -> bool:
    """Is a third of the send buffer free (what poll reports)?  Linux: include/net/sock.h."""
    return sk_stream_wspace(sk) >= sk_stream_min_wspace(sk) and __sk_stream_memory_free(sk, wake)


def sk_stream_write_space(sk: Sock) -> None:
    """Send memory came free: wake writers if enough of it is.  Linux: net/core/stream.c."""
    sock = sk.sk_socket
    if sock is None or not __sk_stream_is_writeable(sk, 0):
        return
    sock.flags &= ~SOCK_NOSPACE
    if waitqueue_active(sock.wq):
        wake_up_interruptible_poll(sock.wq, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)
    if (sk.sk_shutdown & SEND_SHUTDOWN) == 0:
        sock.flags &= ~SOCK_ASYNC_NOSPACE


def connect_wait_is_over(sk: Sock) -> bool:
    """Is the connection up, or failed?"""
    return sk.sk_err != 0 or ((1 << sk.sk_state) & ~(TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) == 0


def sk_stream_wait_connect(sk: Sock, timeo: i64) -> i64:
    """Wait until the connection is established. Returns the ns left, or a negative errno.

    Linux: net/core/stream.c.  A send on a socket that never connected is -EPIPE, as in Linux.
    """
    wait: WokenWait | None = None
    result: i64 = timeo
    while True:
        if sk.sk_err != 0:
            result = sock_error(sk)
            break
        if ((1 << sk.sk_state) & ~(TCPF_SYN_SENT | TCPF_SYN_RECV)) != 0:
            result = -EPIPE
            break
        if timeo == 0:
            result = -EAGAIN
            break
        task = current_task(sk)
        if signal_pending(task):
            result = sock_intr_errno(timeo)
            break
        if wait is None:
            wait = WokenWait(task)
        task.wait_what = 'connection to be established (send)'
        add_wait_queue(sk_sleep(sk), wait)
        sk.sk_write_pending += 1
        release_sock(sk)
        if not connect_wait_is_over(sk):
            timeo = wait_woken(sock_net(sk).world.sched, wait, timeo)
        lock_sock(sk)
        remove_wait_queue(sk_sleep(sk), wait)
        sk.sk_write_pending -= 1
        task.wait_what = ''
        if connect_wait_is_over(sk):
            result = timeo if sk.sk_err == 0 else sock_error(sk)
            break
    return result


def sk_stream_closing(sk: Sock) -> bool:
    """Is our FIN not acknowledged yet?  Linux: net/core/stream.c."""
    return ((1 << sk.sk_state) & (TCPF_FIN_WAIT1 | TCPF_CLOSING | TCPF_LAST_ACK)) != 0


def sk_stream_wait_close(sk: Sock, timeout: i64) -> None:
    """Linger: wait, `timeout` ns at the most, until the peer has acknowledged everything.  Linux: net/core/stream.c."""
    if timeout == 0 or sk.sk_socket is None:
        return
    task = current_task(sk)
    wait = WokenWait(task)
    wq = sk_sleep(sk)
    task.wait_what = 'peer to acknowledge all data (linger)'
    add_wait_queue(wq, wait)
    while sk_stream_closing(sk):
        release_sock(sk)
        if sk_stream_closing(sk):
            timeout = wait_woken(sock_net(sk).world.sched, wait, timeout)
        lock_sock(sk)
        if signal_pending(task) or timeout == 0:
            break
    remove_wait_queue(wq, wait)
    task.wait_what = ''


def sk_stream_wait_memory(sk: Sock, timeo: i64) -> i64:
    """Wait until data may be queued again. Returns the ns left, or a negative errno.  Linux: net/core/stream.c."""
    if timeo == 0:
        if sk.sk_err != 0 or (sk.sk_shutdown & SEND_SHUTDOWN) != 0:
            return -EPIPE
        sock = sk.sk_socket
        if sock is not None:
            # a poll for writing is to be woken by the ACK that makes room
            sock.flags |= SOCK_NOSPACE | SOCK_ASYNC_NOSPACE
        return -EAGAIN
    task = current_task(sk)
    sched = sock_net(sk).world.sched
    wait = WokenWait(task)
    wq = sk_sleep(sk)
    task.wait_what = 'room in the send buffer'
    add_wait_queue(wq, wait)
    result: i64 = 0
    while True:
        sock = sk.sk_socket
        if sock is None or sk.sk_err != 0 or (sk.sk_shutdown & SEND_SHUTDOWN) != 0:
            result = -EPIPE
            break
        sock.flags |= SOCK_ASYNC_NOSPACE
        if timeo == 0:
            sock.flags |= SOCK_NOSPACE
            result = -EAGAIN
            break
        if signal_pending(task):
            result = sock_intr_errno(timeo)
            break
        sock.flags &= ~SOCK_ASYNC_NOSPACE
        if __sk_stream_memory_free(sk, 0):
            result = timeo
            break
        sock.flags |= SOCK_NOSPACE
        sk.sk_write_pending += 1
        release_sock(sk)
        if not (sk.sk_err != 0 or (sk.sk_shutdown & SEND_SHUTDOWN) != 0 or __sk_stream_memory_free(sk, 0)):
            timeo = wait_woken(sched, wait, timeo)
        lock_sock(sk)
        sk.sk_write_pending -= 1
    remove_wait_queue(wq, wait)
    task.wait_what = ''
    return result


def sk_stream_error(sk: Sock, flags: int, err: i64) -> i64:
    """What a send returns that failed with err: a pending error of the socket goes before EPIPE.

    Linux: net/core/stream.c, which also raises SIGPIPE unless MSG_NOSIGNAL; here a program sees the errno alone.
    """
    if err == -EPIPE:
        pending: i64 = sock_error(sk)
        if pending != 0:
            return pending
    return err


def sk_stream_kill_queues(sk: Sock) -> None:
    """The sock ends: drop what was received and not read. The write queue is the transport's.  Linux: net/core/stream.c."""
    skb_queue_purge(sk.sk_receive_queue)
    skb_queue_purge(sk.sk_error_queue)
