# SPDX-License-Identifier: Apache-2.0
"""send() on a TCP socket: the program's bytes into skbs of the write queue.

No byte is copied: an skb's fragments are slices of the message (Msghdr.data is immutable), so several skbs, their transmit clones
and the receiver of a veth pair all look at the same bytes. Only crumbs are joined, lest a program that writes byte by byte makes
fragments by the thousand. Where skbs end, and where PSH is set, is as in Linux: an skb is filled up to size_goal over several
sends unless MSG_EOR ends it; PSH goes on the last skb of a send without MSG_MORE, and wherever half of the peer's window was
written since the last.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.net_tstamp import SOF_TIMESTAMPING_TX_RECORD_MASK
from linnet.include.linux.skbuff import SkbFrag, SkBuff, __skb_unlink
from linnet.include.linux.socket import (
    AF_UNSPEC,
    MSG_DONTWAIT,
    MSG_EOR,
    MSG_FASTOPEN,
    MSG_MORE,
    MSG_OOB,
    MSG_ZEROCOPY,
    SEND_SHUTDOWN,
    SO_TIMESTAMPING,
    SO_TIMESTAMPING_NEW,
    SOL_SOCKET,
    Msghdr,
)
from linnet.include.net.snmp import LINUX_MIB_TCPAUTOCORKING, NET_INC_STATS
from linnet.include.net.sock import SOCK_ASYNC_NOSPACE, SOCK_NOSPACE, SOCK_ZEROCOPY, Sock, sock_net, sock_sndtimeo
from linnet.include.net.tcp import (
    TCP_CHRONO_BUSY,
    TCP_CHRONO_SNDBUF_LIMITED,
    TCP_NAGLE_CORK,
    TCP_NAGLE_PUSH,
    TCPHDR_PSH,
    TFO_CLIENT_ENABLE,
    TSQF_THROTTLED,
    U32,
    TcpFastopenRequest,
    TcpSock,
    tcp_rtx_and_write_queues_empty,
    tcp_sk,
    tcp_stream_memory_free,
)
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_SYN_RECV, TCPF_CLOSE_WAIT, TCPF_ESTABLISHED
from linnet.include.trace.events.tcp import trace_tcp_sendmsg_locked
from linnet.kernel.errno import EAGAIN, EALREADY, EFAULT, EINPROGRESS, EINVAL, ENOBUFS, EOPNOTSUPP, EPIPE
from linnet.kernel.file import O_NONBLOCK
from linnet.net.core.skbuff_msgzc import (
    msg_zerocopy_realloc,
    net_zcopy_put,
    net_zcopy_put_abort,
    skb_zerocopy_iter_stream,
    skb_zerocopy_room,
)
from linnet.net.core.skbuff_tstamp import sock_cmsg_tsflags, sock_tx_timestamp_flags
from linnet.net.core.sock import __release_sock, lock_sock, release_sock, sk_mem_charge, sk_wmem_schedule
from linnet.net.core.stream import sk_stream_error, sk_stream_wait_connect, sk_stream_wait_memory
from linnet.net.ipv4.inet_connect import __inet_stream_connect
from linnet.net.ipv4.tcp import forced_push, sk_stream_alloc_skb, tcp_mark_push, tcp_set_state, tcp_wmem_free_skb
from linnet.net.ipv4.tcp_chrono import tcp_chrono_stop
from linnet.net.ipv4.tcp_fastopen import tcp_free_fastopen_req
from linnet.net.ipv4.tcp_output import tcp_connect
from linnet.net.ipv4.tcp_output_mss import tcp_current_mss, tcp_xmit_size_goal
from linnet.net.ipv4.tcp_output_transmit import tcp_skb_entail
from linnet.net.ipv4.tcp_output_xmit import __tcp_push_pending_frames, tcp_push_one
from linnet.net.ipv4.tcp_rate import tcp_rate_check_app_limited

LINUX_FILE: Final = 'net/ipv4/tcp.c'

FLUSH_BACKLOG_EVERY: Final = 16  # skbs
CRUMB: Final = 512  # bytes: a piece below is joined to the one before it ...
CRUMB_PAGE: Final = 4096  # ... while that is below this


def tcp_should_autocork(sk: TcpSock, skb: SkBuff, size_goal: i64) -> bool:
    """Shall a small write wait, because packets of this socket still lie in the host? Their end will push it.

    Linux: net/ipv4/tcp.c.
    """
    return (
        skb.len < size_goal
        and sock_net(sk).ipv4.sysctl_tcp_autocorking != 0
        and sk.tcp_rtx_queue.next is not None
        and sk.sk_wmem_alloc > skb.truesize
        and not skb.eor
    )


def tcp_push(sk: TcpSock, flags: int, mss_now: i64, nonagle: i64, size_goal: i64) -> None:
    """A send ends (or must wait): mark the end and send what can be sent.  Linux: net/ipv4/tcp.c."""
    skb = sk.sk_write_queue.prev
    if skb is None:
        return
    if (flags & MSG_MORE) == 0 or forced_push(sk):
        tcp_mark_push(sk, skb)
    if (flags & MSG_OOB) != 0:
        sk.snd_up = sk.write_seq
    if tcp_should_autocork(sk, skb, size_goal):
        # tcp_wfree sends it
        if (sk.sk_tsq_flags & TSQF_THROTTLED) == 0:
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPAUTOCORKING)
            sk.sk_tsq_flags |= TSQF_THROTTLED
        if sk.sk_wmem_alloc > skb.truesize:
            return
    if (flags & MSG_MORE) != 0:
        nonagle = TCP_NAGLE_CORK
    __tcp_push_pending_frames(sk, mss_now, nonagle)


def tcp_remove_empty_skb(sk: TcpSock) -> None:
    """Take back a fresh skb that nothing went into, so that a FIN or a RST finds a clean queue.  Linux: net/ipv4/tcp.c."""
    skb = sk.sk_write_queue.prev
    if skb is not None and skb.seq == skb.end_seq:
        __skb_unlink(skb, sk.sk_write_queue)
        if sk.sk_write_queue.next is None:
            tcp_chrono_stop(sk, TCP_CHRONO_BUSY)
        tcp_wmem_free_skb(sk, skb)


def skb_append_data(skb: SkBuff, data: bytes, offset: i64, size: i64) -> None:
    """Append data[offset:offset + size] to an skb that was not sent yet, by reference; a crumb is joined to a crumb."""
    skb.len += size
    skb.data_len += size
    frags = skb.frags
    n = len(frags)
    if n != 0:
        last = frags[n - 1]
        if last.page is data and last.offset + last.size == offset:
            last.size += size
            return
        if size < CRUMB and last.size < CRUMB_PAGE:
            page = last.page[last.offset:last.offset + last.size] + data[offset:offset + size]
            frags[n - 1] = SkbFrag(page, 0, last.size + size)
            return
    frags.append(SkbFrag(data, offset, size))


def tcp_send_wait_connected(sk: TcpSock, timeo: i64) -> i64:
    """Wait for the handshake if it is not complete. Returns the ns left, or a negative errno."""
    # a Fast Open child may send before its handshake is complete
    if ((1 << sk.sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) == 0 and not (
            sk.sk_state == TCP_SYN_RECV and sk.fastopen_rsk is not None):
        return sk_stream_wait_connect(sk, timeo)
    return timeo


def tcp_send_failed(sk: TcpSock, flags: int, err: i64) -> i64:
    """Nothing was sent: what the program is told.  Linux: net/ipv4/tcp.c, tcp_sendmsg_locked."""
    result = sk_stream_error(sk, flags, err)
    if tcp_rtx_and_write_queues_empty(sk) and result == -EAGAIN:
        # no ACK will come that could wake a writer
        sk.sk_cb.write_space(sk)
        tcp_chrono_stop(sk, TCP_CHRONO_SNDBUF_LIMITED)
    return result


def tcp_fill_skb(sk: TcpSock, skb: SkBuff, msg: Msghdr, copy: i64, first: bool) -> None:
    """Take `copy` bytes of msg, whose memory is granted, into the last skb of the write queue."""
    charge = copy
    if msg.msg_ubuf is None:
        skb_append_data(skb, msg.data, msg.offset, copy)
    else:
        charge = skb_zerocopy_iter_stream(skb, msg, copy)
    msg.offset += copy
    skb.truesize += charge
    sk.sk_wmem_queued += charge
    sk_mem_charge(sk, charge)
    if first:
        skb.tcp_flags &= ~TCPHDR_PSH
    sk.write_seq = (sk.write_seq + copy) & U32
    skb.end_seq = (skb.end_seq + copy) & U32
    skb.gso_segs = 0


class FastopenSent:
    """What tcp_sendmsg_fastopen did: 0 or a negative errno, and how many bytes went with the SYN."""

    def __init__(self, err: int, copied: i64) -> None:
        self.err: int = err
        self.copied: i64 = copied


def tcp_sendmsg_fastopen(sk: TcpSock, msg: Msghdr, size: i64) -> FastopenSent:
    """A send that opens the connection: connect, with as much of msg in the SYN as fits, and wait if the socket blocks.

    Linux: net/ipv4/tcp.c.  RFC 7413, 4.2.1.
    """
    uaddr = msg.msg_name
    if (sock_net(sk).ipv4.sysctl_tcp_fastopen & TFO_CLIENT_ENABLE) == 0 or (
            uaddr is not None and uaddr.sa_family == AF_UNSPEC):
        return FastopenSent(-EOPNOTSUPP, 0)
    if sk.fastopen_req is not None:
        return FastopenSent(-EALREADY, 0)
    sk.fastopen_req = TcpFastopenRequest(msg, size)
    if sk.defer_connect:
        err = tcp_connect(sk)
        if err != 0:
            tcp_set_state(sk, TCP_CLOSE)
            sk.sk_dport = 0
            sk.sk_route_caps = 0
    sock = sk.sk_socket
    assert sock is not None
    err = __inet_stream_connect(sock, uaddr, O_NONBLOCK if (msg.msg_flags & MSG_DONTWAIT) != 0 else 0, True)
    return FastopenSent(err, tcp_fastopen_copied(sk))


def tcp_fastopen_copied(sk: TcpSock) -> i64:
    """End the request: how many bytes went with the SYN; 0 where a connection that failed has let go of it.

    Part of Linux's tcp_sendmsg_fastopen.
    """
    fastopen = sk.fastopen_req
    if fastopen is None:
        return 0
    tcp_free_fastopen_req(sk)
    sk.defer_connect = False
    return fastopen.copied


def tcp_sendmsg_opening(sk: TcpSock, msg: Msghdr, size: i64) -> i64:
    """Open the connection with the first bytes of msg in the SYN, and send the rest of them. Bytes taken, or a negative errno.

    Part of Linux's tcp_sendmsg_locked.
    """
    opened = tcp_sendmsg_fastopen(sk, msg, len(msg.data) - msg.offset)
    copied_syn = opened.copied
    if opened.err == -EINPROGRESS and copied_syn > 0:
        return copied_syn
    if opened.err != 0:
        return tcp_send_failed(sk, msg.msg_flags, opened.err)
    msg.msg_flags &= ~MSG_FASTOPEN
    ret = tcp_sendmsg_locked(sk, msg, size - copied_syn)
    if ret < 0 and copied_syn > 0:
        return copied_syn  # the error shows at the next call
    return ret + copied_syn


def tcp_sendmsg_locked(sk: TcpSock, msg: Msghdr, size: i64) -> i64:
    """Queue msg and send what can be sent; the socket is owned. Bytes taken, or a negative errno.

    Linux: net/ipv4/tcp.c.  RFC 9293, 3.10.2.
    """
    flags = msg.msg_flags
    trace_tcp_sendmsg_locked(sk)
    if (flags & MSG_FASTOPEN) != 0 or sk.defer_connect:
        return tcp_sendmsg_opening(sk, msg, size)
    timeo = sock_sndtimeo(sk, (flags & MSG_DONTWAIT) != 0)
    tcp_rate_check_app_limited(sk)
    copied: i64 = 0
    err: i64 = -EPIPE
    timeo = tcp_send_wait_connected(sk, timeo)
    if timeo < 0:
        return tcp_send_failed(sk, flags, timeo)
    sock = sk.sk_socket
    if sock is not None:
        sock.flags &= ~SOCK_ASYNC_NOSPACE
    large = (flags & MSG_OOB) == 0
    mss_now = tcp_current_mss(sk)
    size_goal = tcp_xmit_size_goal(sk, mss_now, large)
    if sk.sk_err != 0 or (sk.sk_shutdown & SEND_SHUTDOWN) != 0:
        tcp_remove_empty_skb(sk)
        return tcp_send_failed(sk, flags, err)
    full: SkBuff | None = None  # what can take no more of a MSG_ZEROCOPY
    fresh: i64 = 0  # skbs begun since ACKs were last looked at
    while msg.offset < len(msg.data):
        skb = sk.sk_write_queue.prev
        copy: i64 = 0
        if skb is not None and not skb.eor and skb is not full:
            copy = size_goal - skb.len
        if copy <= 0:
            skb = None
            if fresh >= FLUSH_BACKLOG_EVERY:
                fresh = 0
                if sk.sk_backlog.next is not None:
                    # a long write must not keep the ACKs of its beginning waiting
                    __release_sock(sk)
                    mss_now = tcp_current_mss(sk)
                    size_goal = tcp_xmit_size_goal(sk, mss_now, large)
                    if sk.sk_err != 0 or (sk.sk_shutdown & SEND_SHUTDOWN) != 0:
                        break
            fresh += 1
            if tcp_stream_memory_free(sk, 0):
                skb = sk_stream_alloc_skb(sk, tcp_rtx_and_write_queues_empty(sk))
                if skb is not None:
                    tcp_skb_entail(sk, skb)
                    copy = size_goal
        left = len(msg.data) - msg.offset
        if copy > left:
            copy = left
        if skb is not None and msg.msg_ubuf is not None:
            copy = skb_zerocopy_room(skb, msg, copy)
            if copy < 0:
                tcp_mark_push(sk, skb)
                full = skb
                continue
        if skb is not None and sk_wmem_schedule(sk, copy):
            tcp_fill_skb(sk, skb, msg, copy, copied == 0)
            copied += copy
            if msg.offset == len(msg.data):
                if (flags & MSG_EOR) != 0:
                    skb.eor = True
                break
            if skb.len < size_goal or not large:
                continue
            if forced_push(sk):
                tcp_mark_push(sk, skb)
                __tcp_push_pending_frames(sk, mss_now, TCP_NAGLE_PUSH)
            elif skb is sk.sk_write_queue.next:
                tcp_push_one(sk, mss_now)
            continue
        sock = sk.sk_socket
        if sock is not None:
            sock.flags |= SOCK_NOSPACE
        tcp_remove_empty_skb(sk)
        if copied != 0:
            tcp_push(sk, flags & ~MSG_MORE, mss_now, TCP_NAGLE_PUSH, size_goal)
        timeo = sk_stream_wait_memory(sk, timeo)
        if timeo < 0:
            tcp_remove_empty_skb(sk)
            if copied != 0:
                break
            return tcp_send_failed(sk, flags, timeo)
        mss_now = tcp_current_mss(sk)
        size_goal = tcp_xmit_size_goal(sk, mss_now, large)
    if copied != 0:
        if msg.tsflags != 0:
            tcp_tx_timestamp(sk, msg.tsflags)
        tcp_push(sk, flags, mss_now, sk.nonagle, size_goal)
    return copied


def tcp_tx_timestamp(sk: TcpSock, tsflags: i64) -> None:
    """The last byte of this send is to be stamped.  Linux: net/ipv4/tcp.c."""
    skb = sk.sk_write_queue.prev
    if skb is None or (tsflags & SOF_TIMESTAMPING_TX_RECORD_MASK) == 0:
        return
    skb.tx_flags |= sock_tx_timestamp_flags(tsflags)
    skb.tskey = (skb.seq + skb.len - 1) & U32


def tcp_sendmsg_cmsg(sk: TcpSock, msg: Msghdr) -> int:
    """Read the control messages of a send: 0 or -EINVAL.  Linux: net/core/sock.c, sock_cmsg_send."""
    for cmsg in msg.msg_control:
        if cmsg.cmsg_level != SOL_SOCKET:
            continue
        if cmsg.cmsg_type != SO_TIMESTAMPING and cmsg.cmsg_type != SO_TIMESTAMPING_NEW:
            return -EINVAL
        flags = sock_cmsg_tsflags(msg.tsflags, cmsg.data)
        if flags < 0:
            return int(flags)
        msg.tsflags = flags
    return 0


def tcp_sendmsg_zerocopy(sk: TcpSock, msg: Msghdr, size: i64) -> i64:
    """Send with MSG_ZEROCOPY: the program is told when it may use its memory again.

    Linux: net/ipv4/tcp.c, tcp_sendmsg_locked.  Documentation/networking/msg_zerocopy.rst.
    """
    tail = sk.sk_write_queue.prev
    uarg = msg_zerocopy_realloc(sk, size, tail.uarg if tail is not None else None)
    if uarg is None:
        return tcp_send_failed(sk, msg.msg_flags, -ENOBUFS)
    msg.msg_ubuf = uarg
    ret = tcp_sendmsg_locked(sk, msg, size)
    if ret > 0:
        net_zcopy_put(uarg)
    else:
        net_zcopy_put_abort(uarg)
    return ret


def tcp_sendmsg_fault(sk: TcpSock, msg: Msghdr) -> i64:
    """The program's buffer cannot be touched. That shows when it is copied: after all that stands in the way of sending.

    Linux: net/ipv4/tcp.c, tcp_sendmsg_locked at do_fault.
    """
    flags = msg.msg_flags
    if (flags & MSG_FASTOPEN) != 0:
        return -EFAULT
    timeo = tcp_send_wait_connected(sk, sock_sndtimeo(sk, (flags & MSG_DONTWAIT) != 0))
    if timeo < 0:
        return tcp_send_failed(sk, flags, timeo)
    while sk.sk_err == 0 and (sk.sk_shutdown & SEND_SHUTDOWN) == 0:
        if tcp_stream_memory_free(sk, 0):
            return tcp_send_failed(sk, flags, -EFAULT)
        timeo = sk_stream_wait_memory(sk, timeo)
        if timeo < 0:
            return tcp_send_failed(sk, flags, timeo)
    return tcp_send_failed(sk, flags, -EPIPE)


def tcp_sendmsg(sk: Sock, msg: Msghdr, size: int) -> int:
    """Send msg.data. Bytes taken, or a negative errno.  Linux: net/ipv4/tcp.c."""
    tp = tcp_sk(sk)
    lock_sock(tp)
    msg.tsflags = tp.sk_tsflags
    ret: i64 = 0
    if len(msg.msg_control) != 0:
        ret = tcp_sendmsg_cmsg(tp, msg)
    if ret == 0:
        if msg.fault != 0:
            ret = tcp_sendmsg_fault(tp, msg)
        elif (msg.msg_flags & MSG_ZEROCOPY) != 0 and size != 0 and (tp.sk_flags & SOCK_ZEROCOPY) != 0:
            ret = tcp_sendmsg_zerocopy(tp, msg, size)
        else:
            ret = tcp_sendmsg_locked(tp, msg, size)
    release_sock(tp)
    return int(ret)
