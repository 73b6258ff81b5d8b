# SPDX-License-Identifier: Apache-2.0
"""splice(2) on TCP sockets: received bytes into a pipe by reference; and the end of what was to be sent.

tcp_read_sock() hands the receive queue, skb by skb, to a reader that takes what it can; here that is a pipe with its free places.
Urgent data stop it as they stop recv().
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import RCV_SHUTDOWN
from linnet.include.net.sock import SOCK_DONE, Sock, sock_error, sock_rcvtimeo
from linnet.include.net.tcp import TCPHDR_FIN, TCPHDR_SYN, U32, TcpSock, tcp_sk, tcp_write_queue_empty
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_LISTEN
from linnet.kernel.errno import EAGAIN, ENOTCONN
from linnet.kernel.pipe_fs_i import PipeBuffer, PipeInodeInfo, pipe_full
from linnet.kernel.sched import signal_pending
from linnet.net.core.skbuff import skb_take_frags
from linnet.net.core.sock import current_task, lock_sock, release_sock, sk_wait_data
from linnet.net.core.stream import sock_intr_errno
from linnet.net.ipv4.tcp_input_rcvbuf import tcp_rcv_space_adjust
from linnet.net.ipv4.tcp_output_mss import tcp_current_mss, tcp_xmit_size_goal
from linnet.net.ipv4.tcp_recvmsg import tcp_cleanup_rbuf, tcp_eat_recv_skb, tcp_find_rcv_skb
from linnet.net.ipv4.tcp_sendmsg import tcp_push

LINUX_FILE: Final = 'net/ipv4/tcp.c'


def skb_splice_bits(skb: SkBuff, offset: i64, pipe: PipeInodeInfo, length: i64) -> i64:
    """Put up to `length` bytes of skb from `offset` on into the pipe, a place for each fragment: how many.

    Linux: net/core/skbuff.c.
    """
    done: i64 = 0
    for frag in skb_take_frags(skb, offset, length):
        if pipe_full(pipe):
            break
        pipe.bufs.append(PipeBuffer(frag.page, frag.offset, frag.size))
        done += frag.size
    return done


def tcp_read_sock_pipe(sk: TcpSock, pipe: PipeInodeInfo, length: i64) -> i64:
    """Move what was received into the pipe, up to `length` bytes: how many. The socket is owned.

    Linux: net/ipv4/tcp.c, tcp_read_sock with tcp_splice_data_recv.
    """
    copied: i64 = 0
    seq = sk.copied_seq
    while True:
        skb = tcp_find_rcv_skb(sk, seq)
        if skb is None:
            break
        offset = (seq - skb.seq) & U32
        if (skb.tcp_flags & TCPHDR_SYN) != 0:
            offset -= 1
        if offset < skb.len:
            size = skb.len - offset
            if size > length - copied:
                size = length - copied
            if sk.urg_data != 0:
                urg_offset = (sk.urg_seq - seq) & U32
                if urg_offset < size:
                    size = urg_offset
            if size == 0:
                break
            used = skb_splice_bits(skb, offset, pipe, size)
            seq = (seq + used) & U32
            copied += used
            if used < size or offset + used < skb.len:
                break
        if (skb.tcp_flags & TCPHDR_FIN) != 0:
            seq = (seq + 1) & U32
            tcp_eat_recv_skb(sk, skb)
            break
        tcp_eat_recv_skb(sk, skb)
        if copied == length:
            break
    sk.copied_seq = seq
    tcp_rcv_space_adjust(sk)
    if copied > 0:
        tcp_cleanup_rbuf(sk, copied)
    return copied


def tcp_splice_stop(sk: TcpSock, spliced: i64, timeo: i64) -> i64:
    """Nothing came: 1: return what there is; 0: wait; or a negative errno."""
    if spliced != 0 or (sk.sk_flags & SOCK_DONE) != 0:
        return 1
    if sk.sk_err != 0:
        return sock_error(sk)
    if (sk.sk_shutdown & RCV_SHUTDOWN) != 0:
        return 1
    if sk.sk_state == TCP_CLOSE:
        return -ENOTCONN
    if timeo == 0:
        return -EAGAIN
    # an urgent byte, which only recv(MSG_OOB) takes: there is nothing to wait for
    return 1 if sk.sk_receive_queue.next is not None else 0


def tcp_splice_read(sk_: Sock, pipe: PipeInodeInfo, length: i64, nonblock: bool) -> i64:
    """Move up to `length` received bytes into the pipe; waits for the first. Bytes, 0 at the end, or a negative errno.

    Linux: net/ipv4/tcp.c.
    """
    sk = tcp_sk(sk_)
    lock_sock(sk)
    timeo = sock_rcvtimeo(sk, nonblock)
    spliced: i64 = 0
    ret: i64 = 0
    while length > 0:
        got: i64 = 0
        if sk.sk_state == TCP_LISTEN:
            ret = -ENOTCONN
            break
        got = tcp_read_sock_pipe(sk, pipe, length)
        if got == 0:
            ret = tcp_splice_stop(sk, spliced, timeo)
            if ret != 0:
                break
            timeo = sk_wait_data(sk, timeo)
            if signal_pending(current_task(sk)):
                ret = sock_intr_errno(timeo)
                break
            continue
        spliced += got
        length -= got
        if length == 0 or timeo == 0 or pipe_full(pipe):
            break
        release_sock(sk)
        lock_sock(sk)
        if (sk.sk_err != 0 or sk.sk_state == TCP_CLOSE or (sk.sk_shutdown & RCV_SHUTDOWN) != 0
                or signal_pending(current_task(sk))):
            break
    release_sock(sk)
    if spliced != 0:
        return spliced
    return ret if ret < 0 else 0


def tcp_splice_eof(sk_: Sock) -> None:
    """More was announced (MSG_MORE) and does not come: send what waits for it.  Linux: net/ipv4/tcp.c."""
    sk = tcp_sk(sk_)
    if tcp_write_queue_empty(sk):
        return
    lock_sock(sk)
    mss_now = tcp_current_mss(sk)
    tcp_push(sk, 0, mss_now, sk.nonagle, tcp_xmit_size_goal(sk, mss_now, True))
    release_sock(sk)
