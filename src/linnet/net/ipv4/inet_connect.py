# SPDX-License-Identifier: Apache-2.0
"""connect() on a stream socket: begin the handshake and wait for its end. Below the sends: one with MSG_FASTOPEN connects."""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.socket import AF_UNSPEC, SS_CONNECTED, SS_CONNECTING, SS_DISCONNECTING, SS_UNCONNECTED, Sockaddr
from linnet.include.net.inet_sock import inet_sk
from linnet.include.net.sock import Sock, Socket, sock_error, sock_net, sock_sndtimeo
from linnet.include.net.tcp import TcpSock
from linnet.include.net.tcp_states import TCP_CLOSE, TCPF_SYN_RECV, TCPF_SYN_SENT
from linnet.kernel.errno import EALREADY, ECONNABORTED, EINPROGRESS, EINTR, EINVAL, EISCONN
from linnet.kernel.file import O_NONBLOCK
from linnet.kernel.sched import signal_pending
from linnet.kernel.wait import WokenWait, add_wait_queue, remove_wait_queue, wait_woken
from linnet.net.core.sock import current_task, lock_sock, release_sock

LINUX_FILE: Final = 'net/ipv4/af_inet.c'


def inet_wait_for_connect(sk: Sock, timeo: i64, writebias: i64) -> i64:
    """Wait until the handshake is over one way or the other. Returns the ns left, 0 when the time is over.

    writebias 1: data waits to be sent, so that the handshake's last ACK may ride on it.  Linux: net/ipv4/af_inet.c.
    """
    task = current_task(sk)
    sock = sk.sk_socket
    assert sock is not None
    sched = sock_net(sk).world.sched
    wait = WokenWait(task)
    wq = sock.wq
    add_wait_queue(wq, wait)
    sk.sk_write_pending += writebias
    task.wait_what = 'connection to be established'
    while ((1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) != 0:
        release_sock(sk)
        timeo = wait_woken(sched, wait, timeo)
        lock_sock(sk)
        if signal_pending(task) or timeo == 0:
            break
    task.wait_what = ''
    remove_wait_queue(wq, wait)
    sk.sk_write_pending -= writebias
    return timeo


def inet_stream_connect_start(sock: Socket, sk: Sock, uaddr: Sockaddr | None, is_sendmsg: bool) -> int:
    """The first half of __inet_stream_connect: begin the handshake, or say why not.

    -EINPROGRESS: it has begun; -EALREADY: it had begun before; 0: it is put off until the first write (TCP_FASTOPEN_CONNECT);
    -EISCONN with sock in SS_CONNECTING: it had been put off before.
    """
    state = sock.state
    if state == SS_CONNECTED:
        return -EISCONN
    if state == SS_CONNECTING:
        if inet_sk(sk).defer_connect:
            return -EINPROGRESS if is_sendmsg else -EISCONN
        return -EALREADY
    if state != SS_UNCONNECTED:
        return -EINVAL
    if sk.sk_state != TCP_CLOSE:
        return -EISCONN
    if uaddr is None:
        return -EINVAL
    err = sk.sk_prot.connect(sk, uaddr)  # walk: indirect sk->sk_prot->connect
    if err < 0:
        return err
    sock.state = SS_CONNECTING
    return 0 if inet_sk(sk).defer_connect else -EINPROGRESS


def __inet_stream_connect(sock: Socket, uaddr: Sockaddr | None, flags: int, is_sendmsg: bool) -> int:
    """Connect, and wait for the end of the handshake unless flags have O_NONBLOCK. sk is owned.

    uaddr None: the one that connect() was given before. is_sendmsg: for a send, with MSG_FASTOPEN or after a connect() put off.
    Linux: net/ipv4/af_inet.c.
    """
    sk = sock.sk
    assert sk is not None
    if uaddr is not None and uaddr.sa_family == AF_UNSPEC:
        err = sk.sk_prot.disconnect(sk, flags)
        sock.state = SS_DISCONNECTING if err != 0 else SS_UNCONNECTED
        return err
    err = inet_stream_connect_start(sock, sk, uaddr, is_sendmsg)
    if err == 0 or sock.state != SS_CONNECTING:
        return err
    timeo = sock_sndtimeo(sk, (flags & O_NONBLOCK) != 0)
    if ((1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) != 0:
        if timeo == 0 or inet_wait_for_connect(sk, timeo, connect_writebias(sk)) == 0:
            return err
        if ((1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) != 0 or signal_pending(current_task(sk)):
            return -EINTR
    if sk.sk_state == TCP_CLOSE:
        # refused, timed out, or reset
        err = sock_error(sk)
        if err == 0:
            err = -ECONNABORTED
        sock.state = SS_UNCONNECTED
        if sk.sk_prot.disconnect(sk, flags) != 0:
            sock.state = SS_DISCONNECTING
        return err
    sock.state = SS_CONNECTED
    return 0


def connect_writebias(sk: Sock) -> i64:
    """1 where more data waits than went with the SYN. Part of Linux's __inet_stream_connect."""
    if isinstance(sk, TcpSock):
        fastopen = sk.fastopen_req
        if fastopen is not None and fastopen.data is not None:
            return 1
    return 0
