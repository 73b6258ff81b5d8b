# SPDX-License-Identifier: Apache-2.0
"""Received data: into the receive queue in order, into the out-of-order queue otherwise; FIN; urgent data.

Segments are queued whole, as they came; where two overlap, the reader skips what it has (copied_seq), as in Linux. The
out-of-order queue is sorted by sequence number, without one segment inside another. A receive buffer that is full is first
given more room (tcp_clamp_window), then out-of-order data is dropped, then the segment itself.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import (
    MAX_SKB_FRAGS,
    SIZEOF_SK_BUFF,
    SkbFrag,
    SkBuff,
    __skb_pull,
    __skb_queue_after,
    __skb_queue_head,
    __skb_queue_tail,
    __skb_unlink,
    skb_headlen,
    skb_peek,
    skb_queue_empty,
)
from linnet.include.linux.socket import RCV_SHUTDOWN
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_PROTO_MEM,
    SKB_DROP_REASON_TCP_OFOMERGE,
    SKB_DROP_REASON_TCP_OLD_DATA,
    SKB_DROP_REASON_TCP_OVERWINDOW,
    SKB_DROP_REASON_TCP_ZEROWINDOW,
)
from linnet.include.net.inet_connection_sock import (
    ICSK_ACK_NOMEM,
    ICSK_ACK_NOW,
    inet_csk_enter_pingpong_mode,
    inet_csk_schedule_ack,
)
from linnet.include.net.snmp import (
    LINUX_MIB_DELAYEDACKLOST,
    LINUX_MIB_TCPOFODROP,
    LINUX_MIB_TCPOFOMERGE,
    LINUX_MIB_TCPOFOQUEUE,
    LINUX_MIB_TCPRCVCOALESCE,
    LINUX_MIB_TCPRCVQDROP,
    LINUX_MIB_TCPZEROWINDOWDROP,
    NET_INC_STATS,
)
from linnet.include.net.sock import SOCK_DEAD, SOCK_DONE, SOCK_URGINLINE, sock_net
from linnet.include.net.tcp import (
    TCP_MAX_QUICKACKS,
    TCP_URG_NOTYET,
    TCP_URG_VALID,
    TCPHDR_FIN,
    TCPHDR_SYN,
    TCPHDR_URG,
    U32,
    TcpSock,
    after,
    before,
    tcp_is_sack,
    tcp_receive_window,
)
from linnet.include.net.tcp_states import (
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT1,
    TCP_FIN_WAIT2,
    TCP_SYN_RECV,
    TCP_TIME_WAIT,
)
from linnet.net.core.skbuff import SMALL_HEAD_SIZE, __kfree_skb, skb_copy_bits
from linnet.net.core.sock import sk_forced_mem_schedule, sk_mem_charge, skb_set_owner_r
from linnet.net.ipv4.tcp import tcp_epollin_ready, tcp_set_state
from linnet.net.ipv4.tcp_input_opt import tcp_fast_path_check
from linnet.net.ipv4.tcp_input_prune import tcp_drop_reason as tcp_drop_reason
from linnet.net.ipv4.tcp_input_prune import tcp_try_rmem_schedule
from linnet.net.ipv4.tcp_input_rcvbuf import (
    tcp_ecn_check_ce,
    tcp_enter_quickack_mode,
    tcp_event_data_recv,
    tcp_grow_window,
    tcp_measure_rcv_mss,
    tcp_rcvbuf_grow,
)
from linnet.net.ipv4.tcp_input_sackrcv import (
    tcp_dsack_clear,
    tcp_dsack_extend,
    tcp_dsack_set,
    tcp_sack_new_ofo_skb,
    tcp_sack_remove,
)
from linnet.net.ipv4.tcp_output import tcp_send_ack
from linnet.net.ipv4.tcp_timewait import tcp_time_wait

LINUX_FILE: Final = 'net/ipv4/tcp_input.c'


def tcp_rcv_nxt_update(tp: TcpSock, seq: i64) -> None:
    """Everything up to seq is here.  Linux: net/ipv4/tcp_input.c."""
    tp.bytes_received += (seq - tp.rcv_nxt) & U32
    tp.rcv_nxt = seq


def tcp_data_ready(sk: TcpSock) -> None:
    """Wake the reader, if there is enough for it.  Linux: net/ipv4/tcp_input.c."""
    if tcp_epollin_ready(sk, sk.sk_rcvlowat) or (sk.sk_flags & SOCK_DONE) != 0:
        sk.sk_cb.data_ready(sk)


def tcp_try_coalesce(sk: TcpSock, to: SkBuff, skb: SkBuff) -> bool:
    """Hang the payload of skb on `to`, which ends where skb begins; skb can be freed then.

    Linux: net/ipv4/tcp_input.c.  Fragments are never modified, so clones do not matter, but `to` must be nobody else's.
    """
    if skb.seq != to.end_seq or to.users != 1 or (to.tcp_flags & TCPHDR_FIN) != 0:
        return False
    frags = to.frags
    more = skb.frags
    headlen = skb_headlen(skb)
    length = skb.len
    delta: i64 = 0
    if length <= to.tailroom:
        to.tailroom -= length  # Linux copies it behind what is there, which costs no memory
    else:
        if skb.tailroom >= 0 or len(frags) + len(more) >= MAX_SKB_FRAGS:
            return False  # kmalloc'ed: it cannot be passed on
        to.tailroom = -1 if to.tailroom < 0 else 0
        delta = skb.truesize - SIZEOF_SK_BUFF - (0 if headlen > 0 else SMALL_HEAD_SIZE)
        if delta < length:
            delta = length
    if headlen > 0:
        frags.append(SkbFrag(skb.head, skb.data, headlen))
    if len(more) != 0:
        frags.extend(more)
    to.truesize += delta
    to.len += length
    to.data_len += length
    to.end_seq = skb.end_seq
    to.ack_seq = skb.ack_seq
    to.tcp_flags |= skb.tcp_flags
    to.tstamp = skb.tstamp
    sk.sk_rmem_alloc += delta
    sk_mem_charge(sk, delta)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPRCVCOALESCE)
    return True


def tcp_queue_rcv(sk: TcpSock, skb: SkBuff) -> bool:
    """Append an in-order segment to the receive queue. True: its payload went into the last one, and skb can be freed.

    Linux: net/ipv4/tcp_input.c.
    """
    queue = sk.sk_receive_queue
    tail = queue.prev
    if tail is not None and tcp_try_coalesce(sk, tail, skb):
        tcp_rcv_nxt_update(sk, skb.end_seq)
        return True
    tcp_rcv_nxt_update(sk, skb.end_seq)
    __skb_queue_tail(queue, skb)
    skb_set_owner_r(skb, sk)
    return False


def tcp_out_of_window(sk: TcpSock, skb: SkBuff, reason: i64) -> None:
    """Data that cannot be taken: tell the peer at once where we are.  Linux: the out_of_window part of tcp_data_queue."""
    tcp_enter_quickack_mode(sk, TCP_MAX_QUICKACKS)
    inet_csk_schedule_ack(sk)
    tcp_drop_reason(sk, skb, reason)


def tcp_data_queue(sk: TcpSock, skb: SkBuff) -> None:
    """Take the payload of a segment that touches the window; owns skb.

    Linux: net/ipv4/tcp_input.c.  RFC 9293, 3.10.7.4, seventh and eighth check.
    """
    if skb.seq == skb.end_seq:
        __kfree_skb(skb)
        return
    skb.dst = None
    __skb_pull(skb, skb.tcp_doff)
    tcp_dsack_clear(sk)
    rcv_nxt = sk.rcv_nxt
    if skb.seq == rcv_nxt:
        if tcp_receive_window(sk) == 0 and (skb.len != 0 or (skb.tcp_flags & TCPHDR_FIN) == 0):
            # a bare FIN is taken all the same: it needs no buffer
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPZEROWINDOWDROP)
            tcp_out_of_window(sk, skb, SKB_DROP_REASON_TCP_ZEROWINDOW)
            return
        tcp_queue_and_out(sk, skb)
        return
    if not after(skb.end_seq, rcv_nxt):
        # nothing new: our ACK was lost, or a probe
        NET_INC_STATS(sock_net(sk), LINUX_MIB_DELAYEDACKLOST)
        tcp_dsack_set(sk, skb.seq, skb.end_seq)
        tcp_out_of_window(sk, skb, SKB_DROP_REASON_TCP_OLD_DATA)
        return
    window = tcp_receive_window(sk)
    if not before(skb.seq, (rcv_nxt + window) & U32):
        tcp_out_of_window(sk, skb, SKB_DROP_REASON_TCP_OVERWINDOW)
        return
    if before(skb.seq, rcv_nxt):
        # old and new: the reader skips what it has
        tcp_dsack_set(sk, skb.seq, rcv_nxt)
        if window == 0:
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPZEROWINDOWDROP)
            tcp_out_of_window(sk, skb, SKB_DROP_REASON_TCP_ZEROWINDOW)
            return
        tcp_queue_and_out(sk, skb)
        return
    tcp_data_queue_ofo(sk, skb)


def tcp_queue_and_out(sk: TcpSock, skb: SkBuff) -> None:
    """Queue in-order data for the reader, with what it makes contiguous.  Linux: the queue_and_out part of tcp_data_queue."""
    if tcp_try_rmem_schedule(sk, skb, skb.truesize) != 0:
        sk.ack_pending |= ICSK_ACK_NOMEM | ICSK_ACK_NOW
        inet_csk_schedule_ack(sk)
        sk.sk_cb.data_ready(sk)
        if sk.sk_receive_queue.next is not None and skb.len != 0:
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPRCVQDROP)
            tcp_drop_reason(sk, skb, SKB_DROP_REASON_PROTO_MEM)
            return
        sk_forced_mem_schedule(sk, skb.truesize)
    fin = (skb.tcp_flags & TCPHDR_FIN) != 0
    eaten = tcp_queue_rcv(sk, skb)
    if skb.len != 0:
        tcp_event_data_recv(sk, skb)
    if fin:
        tcp_fin(sk)
    if not skb_queue_empty(sk.out_of_order_queue):
        tcp_ofo_queue(sk)
        # RFC 5681, 4.2: the ACK of a filled hole goes at once
        if skb_queue_empty(sk.out_of_order_queue):
            sk.ack_pending |= ICSK_ACK_NOW
    if len(sk.selective_acks) != 0:
        tcp_sack_remove(sk)
    tcp_fast_path_check(sk)
    if eaten:
        __kfree_skb(skb)
    if (sk.sk_flags & SOCK_DEAD) == 0:
        tcp_data_ready(sk)


def tcp_ofo_queue(sk: TcpSock) -> None:
    """Move what has become contiguous from the out-of-order queue to the receive queue.  Linux: net/ipv4/tcp_input.c."""
    queue = sk.out_of_order_queue
    dsack_high = sk.rcv_nxt
    skb = queue.next
    while skb is not None:
        if after(skb.seq, sk.rcv_nxt):
            break
        if before(skb.seq, dsack_high):
            tcp_dsack_extend(sk, skb.seq, skb.end_seq if before(skb.end_seq, dsack_high) else dsack_high)
        __skb_unlink(skb, queue)
        if not after(skb.end_seq, sk.rcv_nxt):
            tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_OFOMERGE)
            skb = queue.next
            continue
        fin = (skb.tcp_flags & TCPHDR_FIN) != 0
        # it is charged to the socket already
        tail = sk.sk_receive_queue.prev
        if tail is not None and tcp_try_coalesce(sk, tail, skb):
            tcp_rcv_nxt_update(sk, skb.end_seq)
            kfree_skb_partial(skb)
        else:
            tcp_rcv_nxt_update(sk, skb.end_seq)
            __skb_queue_tail(sk.sk_receive_queue, skb)
        if fin:
            # tcp_fin() empties the out-of-order queue: nothing may follow a FIN
            tcp_fin(sk)
            break
        skb = queue.next


def kfree_skb_partial(skb: SkBuff) -> None:
    """End an skb whose payload was taken over.  Linux: net/core/skbuff.c."""
    __kfree_skb(skb)


def tcp_data_queue_ofo(sk: TcpSock, skb: SkBuff) -> None:
    """Keep a segment that came before its turn.  Linux: net/ipv4/tcp_input.c; a sorted list in place of a red-black tree."""
    net = sock_net(sk)
    tcp_ecn_check_ce(sk, skb)
    if tcp_try_rmem_schedule(sk, skb, skb.truesize) != 0:
        NET_INC_STATS(net, LINUX_MIB_TCPOFODROP)
        sk.sk_cb.data_ready(sk)
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_PROTO_MEM)
        return
    tcp_measure_rcv_mss(sk, skb)
    sk.pred_flags = 0
    inet_csk_schedule_ack(sk)
    sk.rcv_ooopack += skb.gso_segs if skb.gso_segs > 1 else 1
    NET_INC_STATS(net, LINUX_MIB_TCPOFOQUEUE)
    queue = sk.out_of_order_queue
    seq = skb.seq
    end_seq = skb.end_seq
    # most come behind what is there: look from the end
    cur = queue.prev
    while cur is not None and before(seq, cur.seq):
        cur = cur.prev
    if cur is not None and before(seq, cur.end_seq):
        if not after(end_seq, cur.end_seq):
            NET_INC_STATS(net, LINUX_MIB_TCPOFOMERGE)
            tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_OFOMERGE)
            tcp_dsack_set(sk, seq, end_seq)
            if tcp_is_sack(sk):
                tcp_sack_new_ofo_skb(sk, seq, end_seq)
            return
        if after(seq, cur.seq):
            tcp_dsack_set(sk, seq, cur.end_seq)
        else:
            # the new one says all that the old one does, and more
            tcp_dsack_extend(sk, cur.seq, cur.end_seq)
            earlier = cur.prev
            __skb_unlink(cur, queue)
            NET_INC_STATS(net, LINUX_MIB_TCPOFOMERGE)
            tcp_drop_reason(sk, cur, SKB_DROP_REASON_TCP_OFOMERGE)
            cur = earlier
    sack = tcp_is_sack(sk)
    fresh = False
    if cur is not None and seq == cur.end_seq and tcp_try_coalesce(sk, cur, skb):
        if sack:
            tcp_grow_window(sk, skb, True)
        __kfree_skb(skb)
        skb = cur
    else:
        if cur is None:
            __skb_queue_head(queue, skb)
        else:
            __skb_queue_after(queue, cur, skb)
        fresh = True
    behind = skb.next
    while behind is not None and after(end_seq, behind.seq):
        if before(end_seq, behind.end_seq):
            tcp_dsack_extend(sk, behind.seq, end_seq)
            break
        tcp_dsack_extend(sk, behind.seq, behind.end_seq)
        __skb_unlink(behind, queue)
        NET_INC_STATS(net, LINUX_MIB_TCPOFOMERGE)
        tcp_drop_reason(sk, behind, SKB_DROP_REASON_TCP_OFOMERGE)
        behind = skb.next
    if sack:
        tcp_sack_new_ofo_skb(sk, seq, end_seq)
    if fresh:
        # without SACK the window stays, so that the duplicate ACKs look like duplicate ACKs
        if sack:
            tcp_grow_window(sk, skb, False)
        skb_set_owner_r(skb, sk)
    if sk.sk_socket is not None:
        tcp_rcvbuf_grow(sk, sk.rcvq_space)


def tcp_purge_ofo_queue(sk: TcpSock) -> None:
    """Forget what came out of order.  Linux: skb_rbtree_purge(&tp->out_of_order_queue)."""
    queue = sk.out_of_order_queue
    skb = queue.next
    while skb is not None:
        __skb_unlink(skb, queue)
        __kfree_skb(skb)
        skb = queue.next


def tcp_fin(sk: TcpSock) -> None:
    """The peer has sent its last byte, and we have all of them.

    Linux: net/ipv4/tcp_input.c.  RFC 9293, 3.10.7.4, eighth check.
    """
    inet_csk_schedule_ack(sk)
    sk.sk_shutdown |= RCV_SHUTDOWN
    sk.sk_flags |= SOCK_DONE
    state = sk.sk_state
    if state == TCP_SYN_RECV or state == TCP_ESTABLISHED:
        tcp_set_state(sk, TCP_CLOSE_WAIT)
        inet_csk_enter_pingpong_mode(sk)
    elif state == TCP_FIN_WAIT1:
        # both closed at once: the ACK goes now, before our FIN is acknowledged
        tcp_send_ack(sk)
        tcp_set_state(sk, TCP_CLOSING)
    elif state == TCP_FIN_WAIT2:
        tcp_send_ack(sk)
        tcp_time_wait(sk, TCP_TIME_WAIT, 0)
    # in CLOSE_WAIT, CLOSING and LAST_ACK it is a retransmission
    tcp_purge_ofo_queue(sk)
    sk.selective_acks = []
    if (sk.sk_flags & SOCK_DEAD) == 0:
        sk.sk_cb.state_change(sk)


def tcp_check_urg(sk: TcpSock, skb: SkBuff) -> None:
    """A segment points to urgent data: note where.  Linux: net/ipv4/tcp_input.c.  RFC 6093."""
    ptr = skb.urg_ptr
    if ptr != 0 and sock_net(sk).ipv4.sysctl_tcp_stdurg == 0:
        ptr -= 1
    ptr = (ptr + skb.seq) & U32
    if after(sk.copied_seq, ptr):
        return  # it was read already
    if before(ptr, sk.rcv_nxt):
        return  # a late retransmission
    if sk.urg_data != 0 and not after(ptr, sk.urg_seq):
        return  # we know
    if (sk.urg_seq == sk.copied_seq and sk.urg_data != 0 and (sk.sk_flags & SOCK_URGINLINE) == 0
            and sk.copied_seq != sk.rcv_nxt):
        # the old urgent byte was never read and loses its place: skip it in the stream
        first = skb_peek(sk.sk_receive_queue)
        sk.copied_seq = (sk.copied_seq + 1) & U32
        if first is not None and not before(sk.copied_seq, first.end_seq):
            __skb_unlink(first, sk.sk_receive_queue)
            __kfree_skb(first)
    sk.urg_data = TCP_URG_NOTYET
    sk.urg_seq = ptr
    sk.pred_flags = 0


def tcp_urg(sk: TcpSock, skb: SkBuff) -> None:
    """Look for the urgent byte.  Linux: net/ipv4/tcp_input.c."""
    if (skb.tcp_flags & TCPHDR_URG) != 0:
        tcp_check_urg(sk, skb)
    if sk.urg_data == TCP_URG_NOTYET:
        ptr = ((sk.urg_seq - skb.seq) & U32) + skb.tcp_doff
        if (skb.tcp_flags & TCPHDR_SYN) != 0:
            ptr -= 1
        if ptr < skb.len:
            byte = skb_copy_bits(skb, ptr, 1)
            sk.urg_data = TCP_URG_VALID | byte[0]
            if (sk.sk_flags & SOCK_DEAD) == 0:
                sk.sk_cb.data_ready(sk)


