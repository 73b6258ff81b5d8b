# SPDX-License-Identifier: Apache-2.0
"""A receive buffer that is full: what may still be taken, and how room is made.

What counts is memory, not payload: many small segments fill a buffer that a few large ones would not. So what is queued is copied
together first (tcp_collapse), which loses nothing; then the out-of-order queue is dropped from its far end, which the peer sends
again, as SACK is a hint only (RFC 2018, 8). What was queued in order was acknowledged and is never dropped.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import (
    SIZEOF_SK_BUFF,
    SIZEOF_SKB_SHARED_INFO,
    SkbFrag,
    SkBuff,
    SkBuffHead,
    __skb_queue_after,
    __skb_queue_head,
    __skb_unlink,
)
from linnet.include.net.dropreason import SKB_DROP_REASON_TCP_OFO_QUEUE_PRUNE
from linnet.include.net.snmp import (
    LINUX_MIB_OFOPRUNED,
    LINUX_MIB_PRUNECALLED,
    LINUX_MIB_RCVPRUNED,
    LINUX_MIB_TCPRCVCOLLAPSED,
    NET_INC_STATS,
)
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import TCPHDR_FIN, TCPHDR_SYN, U32, TcpSock, after, before, tcp_win_from_space
from linnet.net.core.skbuff import __alloc_skb, __kfree_skb, sk_skb_reason_drop, skb_copy_bits
from linnet.net.core.sock import sk_rmem_schedule, skb_set_owner_r
from linnet.net.ipv4.tcp import tcp_under_memory_pressure
from linnet.net.ipv4.tcp_input_rcvbuf import tcp_clamp_window

LINUX_FILE: Final = 'net/ipv4/tcp_input.c'

# payload of an skb that fills one page, and what a tiny range of the out-of-order queue stays below
PAGE_PAYLOAD: Final = 4096 - SIZEOF_SKB_SHARED_INFO


def tcp_drop_reason(sk: TcpSock, skb: SkBuff, reason: i64) -> None:
    """Drop a segment and count it with the socket.  Linux: net/ipv4/tcp_input.c."""
    sk.sk_drops += 1
    sk_skb_reason_drop(sk, skb, reason)


def tcp_can_ingest(sk: TcpSock) -> bool:
    """May one more segment be taken? Yes while the buffer is not overfull, so that what the window allows is not refused.

    Linux: net/ipv4/tcp_input.c.
    """
    return sk.sk_rmem_alloc <= sk.sk_rcvbuf


def tcp_adjust_rcv_ssthresh(sk: TcpSock) -> None:
    """Memory is short: the window opens no further than for four segments.  Linux: include/net/tcp.h."""
    low = 4 * sk.advmss
    if sk.rcv_ssthresh > low:
        sk.rcv_ssthresh = low


# -- copying together

def tcp_collapse_one(sk: TcpSock, skb: SkBuff, queue: SkBuffHead) -> SkBuff | None:
    """End an skb whose payload is elsewhere now; returns the one behind it.  Linux: net/ipv4/tcp_input.c."""
    behind = skb.next
    __skb_unlink(skb, queue)
    __kfree_skb(skb)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPRCVCOLLAPSED)
    return behind


def tcp_collapse_target(sk: TcpSock, queue: SkBuffHead, head: SkBuff, tail: SkBuff | None, start: i64) -> SkBuff | None:
    """The first skb from `head` to before `tail` that copying makes smaller, or that overlaps; what is old already is freed.

    None where nothing is gained. The first part of Linux's tcp_collapse.
    """
    skb: SkBuff | None = head
    while skb is not None and skb is not tail:
        if not before(start, skb.end_seq):
            skb = tcp_collapse_one(sk, skb, queue)
            continue
        if (skb.tcp_flags & (TCPHDR_SYN | TCPHDR_FIN)) == 0 and (
                tcp_win_from_space(sk, skb.truesize) > skb.len or before(skb.seq, start)):
            return skb
        behind = skb.next
        if behind is not None and behind is not tail and skb.end_seq != behind.seq:
            return None if (skb.tcp_flags & (TCPHDR_SYN | TCPHDR_FIN)) != 0 else skb
        start = skb.end_seq
        skb = behind
    return None


def tcp_collapse_fill(sk: TcpSock, queue: SkBuffHead, nskb: SkBuff, skb: SkBuff, tail: SkBuff | None, size: i64) -> SkBuff | None:
    """Move `size` bytes from nskb.end_seq on into nskb, out of skb and what follows it; returns the skb where it stopped.

    Part of Linux's tcp_collapse. Stops before `tail`, a SYN or a FIN, and then returns None.
    """
    pieces: list[bytes] = []
    taken: i64 = 0
    cur: SkBuff | None = skb
    while taken < size and cur is not None:
        here = (cur.end_seq - nskb.end_seq) & U32
        if 0 < here < 0x80000000:
            if here > size - taken:
                here = size - taken
            pieces.append(skb_copy_bits(cur, (nskb.end_seq - cur.seq) & U32, here))
            taken += here
            nskb.end_seq = (nskb.end_seq + here) & U32
        if not before(nskb.end_seq, cur.end_seq):
            cur = tcp_collapse_one(sk, cur, queue)
            if cur is not None and (cur is tail or (cur.tcp_flags & (TCPHDR_SYN | TCPHDR_FIN)) != 0):
                cur = None
    page = b''.join(pieces)
    nskb.frags.append(SkbFrag(page, 0, taken))
    nskb.len = taken
    nskb.data_len = taken
    nskb.tailroom = nskb.truesize - SIZEOF_SK_BUFF - SIZEOF_SKB_SHARED_INFO - taken
    return cur


def tcp_collapse(sk: TcpSock, queue: SkBuffHead, head: SkBuff, tail: SkBuff | None, start: i64, end: i64) -> None:
    """Copy the contiguous skbs from `head` to before `tail`, sequence numbers start to end, into as few pages as they need.

    Linux: net/ipv4/tcp_input.c.  Those that use their memory well at the beginning stay.
    """
    skb = tcp_collapse_target(sk, queue, head, tail, start)
    if skb is None:
        return
    if before(start, skb.seq):
        start = skb.seq
    prev = skb.prev
    cur: SkBuff | None = skb
    while cur is not None and before(start, end):
        size = (end - start) & U32
        if size > PAGE_PAYLOAD:
            size = PAGE_PAYLOAD
        nskb = __alloc_skb(skb.world, size)
        nskb.seq = start
        nskb.end_seq = start
        nskb.ack_seq = cur.ack_seq
        nskb.tcp_flags = cur.tcp_flags
        nskb.tstamp = cur.tstamp
        cur = tcp_collapse_fill(sk, queue, nskb, cur, tail, size)
        if nskb.len == 0:
            __kfree_skb(nskb)
            return
        start = nskb.end_seq
        if prev is None:
            __skb_queue_head(queue, nskb)
        else:
            __skb_queue_after(queue, prev, nskb)
        prev = nskb
        skb_set_owner_r(nskb, sk)


def tcp_collapse_ofo_queue(sk: TcpSock) -> None:
    """Copy together each contiguous range of the out-of-order queue; tiny ranges stay, as long as they are few.

    Linux: net/ipv4/tcp_input.c.
    """
    queue = sk.out_of_order_queue
    sum_tiny: i64 = 0
    head = queue.next
    while head is not None:
        start = head.seq
        end = head.end_seq
        range_truesize = head.truesize
        skb = head.next
        while skb is not None and not after(skb.seq, end):
            range_truesize += skb.truesize
            if after(skb.end_seq, end):
                end = skb.end_seq
            skb = skb.next
        if range_truesize != head.truesize or ((end - start) & U32) >= PAGE_PAYLOAD:
            tcp_collapse(sk, queue, head, skb, start, end)
        else:
            sum_tiny += range_truesize
            if sum_tiny > sk.sk_rcvbuf >> 3:
                return
        head = skb


# -- dropping

def tcp_prune_ofo_queue(sk: TcpSock, in_skb: SkBuff) -> bool:
    """Drop out-of-order segments, the farthest first, an eighth of the buffer at a time. True if any went.

    Linux: net/ipv4/tcp_input.c.  What lies behind in_skb may go for it, nothing before it.
    """
    queue = sk.out_of_order_queue
    skb = queue.prev
    pruned = False
    goal = sk.sk_rcvbuf >> 3
    while skb is not None:
        if after(in_skb.seq, skb.seq):
            break
        earlier = skb.prev
        goal -= skb.truesize
        __skb_unlink(skb, queue)
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_OFO_QUEUE_PRUNE)
        pruned = True
        if earlier is None or goal <= 0:
            if tcp_can_ingest(sk) and not tcp_under_memory_pressure(sk):
                break
            goal = sk.sk_rcvbuf >> 3
        skb = earlier
    if pruned:
        NET_INC_STATS(sock_net(sk), LINUX_MIB_OFOPRUNED)
        # what is gone must not be SACKed any more (RFC 2018, 8: the sender copes)
        sk.selective_acks = []
    return pruned


def tcp_prune_queue(sk: TcpSock, in_skb: SkBuff) -> int:
    """The receive buffer is full: make room. 0, or -1 where in_skb has to go.  Linux: net/ipv4/tcp_input.c."""
    if sk.sk_rmem_alloc == 0:
        return -1  # nothing of this sock's could go
    net = sock_net(sk)
    NET_INC_STATS(net, LINUX_MIB_PRUNECALLED)
    if not tcp_can_ingest(sk):
        tcp_clamp_window(sk)
    elif tcp_under_memory_pressure(sk):
        tcp_adjust_rcv_ssthresh(sk)
    if tcp_can_ingest(sk):
        return 0
    tcp_collapse_ofo_queue(sk)
    first = sk.sk_receive_queue.next
    if first is not None:
        tcp_collapse(sk, sk.sk_receive_queue, first, None, sk.copied_seq, sk.rcv_nxt)
    if tcp_can_ingest(sk):
        return 0
    tcp_prune_ofo_queue(sk, in_skb)
    if tcp_can_ingest(sk):
        return 0
    NET_INC_STATS(net, LINUX_MIB_RCVPRUNED)
    sk.pred_flags = 0
    return -1


def tcp_try_rmem_schedule(sk: TcpSock, skb: SkBuff, size: i64) -> int:
    """Is there room for `size` more bytes of memory, in this buffer and in TCP's? 0 or -1.  Linux: net/ipv4/tcp_input.c."""
    if not tcp_can_ingest(sk) or not sk_rmem_schedule(sk, skb, size):
        if tcp_prune_queue(sk, skb) < 0:
            return -1
        while not sk_rmem_schedule(sk, skb, size):
            if not tcp_prune_ofo_queue(sk, skb):
                return -1
    return 0
