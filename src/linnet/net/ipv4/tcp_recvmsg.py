# SPDX-License-Identifier: Apache-2.0
"""recv() on a TCP socket: from the receive queue to the program, in order.

copied_seq is how far the program has read. tcp_recvmsg_locked walks the receive queue from there until it has what was asked for
(SO_RCVLOWAT, MSG_WAITALL), sleeping with the socket let go. What it has copied when something else happens (an error, the end, a
signal, a time-out) is returned first; the event shows at the next call. Reading opens the window: tcp_cleanup_rbuf says so to the
peer when it matters.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff, __skb_unlink
from linnet.include.linux.socket import (
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    RCV_SHUTDOWN,
    SOL_SOCKET,
    SOL_TCP,
    Cmsg,
    Msghdr,
)
from linnet.include.net.inet_connection_sock import (
    ICSK_ACK_PUSHED,
    ICSK_ACK_PUSHED2,
    inet_csk_ack_scheduled,
    inet_csk_in_pingpong_mode,
)
from linnet.include.net.sock import (
    SOCK_DONE,
    SOCK_RCVTSTAMP,
    SOCK_RCVTSTAMPNS,
    SOCK_URGINLINE,
    Sock,
    sock_error,
    sock_net,
    sock_rcvlowat,
    sock_rcvtimeo,
)
from linnet.include.net.tcp import (
    TCP_URG_READ,
    TCP_URG_VALID,
    TCPHDR_FIN,
    TCPHDR_SYN,
    U32,
    TcpSock,
    after,
    before,
    tcp_mstamp_refresh,
    tcp_receive_window,
    tcp_sk,
)
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_LISTEN
from linnet.kernel.errno import EAGAIN, EFAULT, EINVAL, ENOTCONN
from linnet.kernel.sched import signal_pending
from linnet.net.core.datagram import skb_copy_datagram_iter
from linnet.net.core.skbuff import __kfree_skb
from linnet.net.core.skbuff_tstamp import sock_put_timestamping, sock_wants_rx_timestamping
from linnet.net.core.sock import current_task, lock_sock, release_sock, sk_wait_data
from linnet.net.core.stream import sock_intr_errno
from linnet.net.ipv4.tcp import tcp_inq
from linnet.net.ipv4.tcp_input_opt import tcp_fast_path_check
from linnet.net.ipv4.tcp_input_rcvbuf import tcp_rcv_space_adjust
from linnet.net.ipv4.tcp_output import __tcp_select_window, tcp_send_ack

LINUX_FILE: Final = 'net/ipv4/tcp.c'

TCP_CM_INQ: Final = 36
SCM_TIMESTAMP: Final = 29
SCM_TIMESTAMPNS: Final = 35


def tcp_cleanup_rbuf(sk: TcpSock, copied: i64) -> None:
    """The program has read: send an ACK at once if one is owed that reading decides about, or if the window opened much.

    Linux: net/ipv4/tcp.c.  RFC 1122, 4.2.3.3.
    """
    time_to_ack = False
    if inet_csk_ack_scheduled(sk):
        pending = sk.ack_pending
        if ((sk.rcv_nxt - sk.rcv_wup) & U32) > sk.ack_rcv_mss:
            # more than a full segment came since the last ACK
            time_to_ack = True
        elif copied > 0 and sk.sk_rmem_alloc == 0:
            # everything was read and nothing came back: an interactive program would have answered
            if (pending & ICSK_ACK_PUSHED2) != 0 or ((pending & ICSK_ACK_PUSHED) != 0 and not inet_csk_in_pingpong_mode(sk)):
                time_to_ack = True
    if copied > 0 and not time_to_ack and (sk.sk_shutdown & RCV_SHUTDOWN) == 0:
        rcv_window_now = tcp_receive_window(sk)
        if 2 * rcv_window_now <= sk.window_clamp:
            new_window = __tcp_select_window(sk)
            if new_window != 0 and new_window >= 2 * rcv_window_now:
                time_to_ack = True
    if time_to_ack:
        tcp_mstamp_refresh(sk)
        tcp_send_ack(sk)


def tcp_eat_recv_skb(sk: TcpSock, skb: SkBuff) -> None:
    """skb was read to its end.  Linux: net/ipv4/tcp.c."""
    __skb_unlink(skb, sk.sk_receive_queue)
    __kfree_skb(skb)


def tcp_recv_urg(sk: TcpSock, msg: Msghdr, length: i64, flags: int) -> i64:
    """MSG_OOB: the byte of urgent data, where it does not stay in the stream. 1, 0 or a negative errno.

    Linux: net/ipv4/tcp.c.
    """
    if (sk.sk_flags & SOCK_URGINLINE) != 0 or sk.urg_data == 0 or sk.urg_data == TCP_URG_READ:
        return -EINVAL
    if sk.sk_state == TCP_CLOSE and (sk.sk_flags & SOCK_DONE) == 0:
        return -ENOTCONN
    if (sk.urg_data & TCP_URG_VALID) != 0:
        char = sk.urg_data & 0xFF
        if (flags & MSG_PEEK) == 0:
            sk.urg_data = TCP_URG_READ
        msg.msg_flags |= MSG_OOB
        if length > 0:
            if (flags & MSG_TRUNC) == 0:
                msg.put(bytes([int(char)]))
            return 1
        msg.msg_flags |= MSG_TRUNC
        return 0
    if sk.sk_state == TCP_CLOSE or (sk.sk_shutdown & RCV_SHUTDOWN) != 0:
        return 0
    # announced, but not here yet
    return -EAGAIN


def tcp_recv_stop(sk: TcpSock, copied: i64, timeo: i64) -> i64:
    """Nothing more is in the queue: shall the call return instead of waiting? Returns 1: with what it has; 0: wait; or an errno.

    Linux: net/ipv4/tcp.c, tcp_recvmsg_locked.
    """
    if copied != 0:
        if sk.sk_err != 0 or sk.sk_state == TCP_CLOSE or (sk.sk_shutdown & RCV_SHUTDOWN) != 0 or timeo == 0:
            return 1
        return 1 if signal_pending(current_task(sk)) else 0
    if (sk.sk_flags & SOCK_DONE) != 0:
        return 1
    if sk.sk_err != 0:
        return sock_error(sk)
    if (sk.sk_shutdown & RCV_SHUTDOWN) != 0:
        return 1
    if sk.sk_state == TCP_CLOSE:
        # never connected
        return -ENOTCONN
    if timeo == 0:
        return -EAGAIN
    return sock_intr_errno(timeo) if signal_pending(current_task(sk)) else 0


def tcp_find_rcv_skb(sk: TcpSock, seq: i64) -> SkBuff | None:
    """The skb of the receive queue in which seq lies (its FIN's place included), None where it was not received yet."""
    skb = sk.sk_receive_queue.next
    while skb is not None:
        offset = (seq - skb.seq) & U32
        if offset >= 0x80000000:
            return None
        if (skb.tcp_flags & TCPHDR_SYN) != 0:
            offset -= 1
        if offset < skb.len or (skb.tcp_flags & TCPHDR_FIN) != 0:
            return skb
        skb = skb.next
    return None


class RecvState:
    """Where a receive stands: what urgent data changes on the way."""

    def __init__(self, seq: i64) -> None:
        self.seq: i64 = seq  # next to read; copied_seq but for MSG_PEEK
        self.urg_hole: i64 = 0  # urgent bytes that were stepped over


def tcp_recv_copy(sk: TcpSock, skb: SkBuff, msg: Msghdr, length: i64, flags: int, st: RecvState) -> i64:
    """Copy from skb, at st.seq, up to length bytes, not past the urgent mark. Returns how many, and moves st.seq.

    Linux: net/ipv4/tcp.c, tcp_recvmsg_locked.
    """
    offset = (st.seq - skb.seq) & U32
    if (skb.tcp_flags & TCPHDR_SYN) != 0:
        offset -= 1
    used = skb.len - offset
    if length < used:
        used = length
    if sk.urg_data != 0:
        urg_offset = (sk.urg_seq - st.seq) & U32
        if urg_offset < used:
            if urg_offset != 0:
                # a receive ends at the mark
                used = urg_offset
            elif (sk.sk_flags & SOCK_URGINLINE) == 0:
                # the urgent byte itself is read by MSG_OOB
                st.seq = (st.seq + 1) & U32
                st.urg_hole += 1
                offset += 1
                used -= 1
    if used > 0:
        if (flags & MSG_TRUNC) == 0:
            skb_copy_datagram_iter(skb, offset, msg, used)
        st.seq = (st.seq + used) & U32
    if (flags & MSG_PEEK) == 0:
        sk.copied_seq = st.seq
    if used > 0:
        tcp_rcv_space_adjust(sk)
    if sk.urg_data != 0 and after(sk.copied_seq, sk.urg_seq):
        sk.urg_data = 0
        tcp_fast_path_check(sk)
    return used


def tcp_recvmsg_locked(sk: TcpSock, msg: Msghdr, length: i64, nonblock: bool, flags: int) -> i64:
    """Receive; the socket is owned. Bytes, 0 at the end of the stream, or a negative errno.

    Linux: net/ipv4/tcp.c.  RFC 9293, 3.10.3.
    """
    if sk.sk_state == TCP_LISTEN:
        return -ENOTCONN
    timeo = sock_rcvtimeo(sk, nonblock)
    if (flags & MSG_OOB) != 0:
        return tcp_recv_urg(sk, msg, length, flags)
    peek = (flags & MSG_PEEK) != 0
    st = RecvState(sk.copied_seq)
    if peek and sk.sk_peek_off >= 0:
        st.seq = (st.seq + sk.sk_peek_off) & U32
    target = sock_rcvlowat(sk, (flags & MSG_WAITALL) != 0, length)
    copied: i64 = 0
    while True:
        if sk.urg_data != 0 and sk.urg_seq == st.seq:
            if copied != 0:
                break
            if sock_net(sk).world.sched.current is not None and signal_pending(current_task(sk)):
                copied = sock_intr_errno(timeo) if timeo != 0 else -EAGAIN
                break
        skb = tcp_find_rcv_skb(sk, st.seq)
        if skb is not None:
            offset = (st.seq - skb.seq) & U32
            if (skb.tcp_flags & TCPHDR_SYN) != 0:
                offset -= 1
            if offset < skb.len:
                if msg.fault != 0 and (flags & MSG_TRUNC) == 0:
                    copied = -EFAULT
                    break
                used = tcp_recv_copy(sk, skb, msg, length, flags, st)
                copied += used
                length -= used
                if peek:
                    if sk.sk_peek_off >= 0:
                        sk.sk_peek_off += used
                elif sk.sk_peek_off >= 0:
                    sk.sk_peek_off = sk.sk_peek_off - used if sk.sk_peek_off > used else 0
                tcp_note_stamp(sk, skb)
                offset = (st.seq - skb.seq) & U32
                if (skb.tcp_flags & TCPHDR_SYN) != 0:
                    offset -= 1
                if offset < skb.len:
                    if length > 0:
                        continue
                    break
            if (skb.tcp_flags & TCPHDR_FIN) != 0:
                st.seq = (st.seq + 1) & U32
                if not peek:
                    sk.copied_seq = st.seq
                    tcp_eat_recv_skb(sk, skb)
                break
            if not peek:
                tcp_eat_recv_skb(sk, skb)
            if length > 0:
                continue
            break
        if copied >= target and sk.sk_backlog.next is None:
            break
        stop = tcp_recv_stop(sk, copied, timeo)
        if stop != 0:
            if stop < 0:
                copied = stop
            break
        if copied >= target:
            # what waits in the backlog may be read at once
            release_sock(sk)
            lock_sock(sk)
        else:
            tcp_cleanup_rbuf(sk, copied)
            timeo = sk_wait_data(sk, timeo, sk.sk_receive_queue.prev)
        if peek and ((st.seq - copied - st.urg_hole) & U32) != sk.copied_seq and sk.sk_peek_off < 0:
            # somebody read meanwhile what was peeked at
            st.seq = sk.copied_seq
    tcp_cleanup_rbuf(sk, copied)
    return copied


def tcp_note_stamp(sk: TcpSock, skb: SkBuff) -> None:
    """Remember when the data just read arrived, where the program wants to know.  Linux: net/ipv4/tcp.c."""
    if (sk.sk_flags & (SOCK_RCVTSTAMP | SOCK_RCVTSTAMPNS)) != 0 or sk.sk_tsflags != 0:
        sk.sk_stamp = skb.tstamp


def put_native(value: i64, size: int) -> bytes:
    """An integer as x86-64 and arm64 have it in memory."""
    return (int(value) & ((1 << (8 * size)) - 1)).to_bytes(size, 'little')


def tcp_recv_cmsgs(sk: TcpSock, msg: Msghdr) -> None:
    """Add what the program asked for: arrival time (SO_TIMESTAMP), bytes left (TCP_INQ).  Linux: net/ipv4/tcp.c."""
    if (sk.sk_flags & (SOCK_RCVTSTAMP | SOCK_RCVTSTAMPNS)) != 0 and sk.sk_stamp != 0:
        wall = sock_net(sk).clock.epoch_ns + int(sk.sk_stamp)
        seconds, nanos = divmod(wall, 1_000_000_000)
        if (sk.sk_flags & SOCK_RCVTSTAMPNS) != 0:
            msg.msg_control.append(Cmsg(SOL_SOCKET, SCM_TIMESTAMPNS, put_native(seconds, 8) + put_native(nanos, 8)))
        else:
            msg.msg_control.append(Cmsg(SOL_SOCKET, SCM_TIMESTAMP, put_native(seconds, 8) + put_native(nanos // 1000, 8)))
    if sk.sk_tsflags != 0 and sk.sk_stamp != 0 and sock_wants_rx_timestamping(sk):
        sock_put_timestamping(msg, sk, sk.sk_stamp)
    if sk.recvmsg_inq:
        msg.msg_control.append(Cmsg(SOL_TCP, TCP_CM_INQ, put_native(tcp_inq_hint(sk), 4)))


def tcp_inq_hint(sk: TcpSock) -> i64:
    """Bytes left to read; 1 at the end of the stream, so that the program reads once more.  Linux: net/ipv4/tcp.c."""
    inq = (sk.rcv_nxt - sk.copied_seq) & U32
    if sk.urg_data != 0:
        inq = tcp_inq(sk)
    if inq == 0 and (sk.sk_flags & SOCK_DONE) != 0:
        inq = 1
    return inq


def tcp_recvmsg(sk: Sock, msg: Msghdr, size: int, nonblock: bool, flags: int) -> int:
    """Receive up to size bytes into msg. Bytes, 0 at the end of the stream, or a negative errno.  Linux: net/ipv4/tcp.c."""
    tp = tcp_sk(sk)
    if (flags & MSG_ERRQUEUE) != 0:
        return tp.icsk_af_ops.recv_error(tp, msg, size)
    lock_sock(tp)
    ret = tcp_recvmsg_locked(tp, msg, size, nonblock or (flags & MSG_DONTWAIT) != 0, flags)
    if ret >= 0:
        tcp_recv_cmsgs(tp, msg)
    release_sock(tp)
    return int(ret)


def tcp_peek_len(sk: TcpSock) -> i64:
    """Bytes that can be read without waiting.  Linux: net/ipv4/tcp.c."""
    if before(sk.rcv_nxt, sk.copied_seq):
        return 0
    return tcp_inq(sk)
