# SPDX-License-Identifier: Apache-2.0
"""Cutting skbs of the send queues: at a window's edge, at what may be sent now, at what is acknowledged.

An skb of the queues has no linear bytes, its payload is fragments alone, so a cut moves references and copies nothing. gso_segs
is the number of segments an skb makes on the wire; whatever changes an skb that was sent keeps packets_out and its kin in step.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SKBTX_ANY_TSTAMP, SkbFrag, SkBuff, SkBuffHead, __skb_queue_after
from linnet.include.net.snmp import LINUX_MIB_TCPWQUEUETOOBIG, NET_INC_STATS
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    TCPCB_LOST,
    TCPCB_SACKED_ACKED,
    TCPCB_SACKED_RETRANS,
    TCPHDR_FIN,
    TCPHDR_PSH,
    U32,
    TcpSock,
    before,
    tcp_tsorted_add_after,
)
from linnet.kernel.errno import ENOMEM
from linnet.net.core.skbuff import skb_split, skb_zcopy_set
from linnet.net.core.sock import sk_mem_uncharge
from linnet.net.ipv4.tcp import sk_stream_alloc_skb, skb_charge

LINUX_FILE: Final = 'net/ipv4/tcp_output.c'

TCP_FRAG_IN_WRITE_QUEUE: Final = 0
TCP_FRAG_IN_RTX_QUEUE: Final = 1

# room beyond sk_sndbuf for what splitting adds to the retransmission queue: SKB_TRUESIZE of two legacy super-segments
FRAG_QUEUE_SLACK: Final = 2 * (65536 + 576)


def tcp_set_skb_tso_segs(skb: SkBuff, mss_now: i64) -> i64:
    """Say how skb falls into segments of mss_now; returns how many.  Linux: net/ipv4/tcp_output.c."""
    length = skb.len
    if length <= mss_now:
        skb.gso_segs = 1
        skb.gso_size = 0
        return 1
    segs = (length + mss_now - 1) // mss_now
    skb.gso_segs = segs
    skb.gso_size = mss_now
    return segs


def tcp_init_tso_segs(skb: SkBuff, mss_now: i64) -> i64:
    """Likewise, where that is not known yet or the MSS changed.  Linux: net/ipv4/tcp_output.c."""
    segs = skb.gso_segs
    if segs == 0 or (segs > 1 and skb.gso_size != mss_now):
        return tcp_set_skb_tso_segs(skb, mss_now)
    return segs


def tcp_verify_left_out(tp: TcpSock) -> None:
    """What left the network cannot exceed what was sent.  Linux: include/net/tcp.h."""
    assert tp.sacked_out + tp.lost_out <= tp.packets_out


def tcp_adjust_pcount(sk: TcpSock, skb: SkBuff, decr: i64) -> None:
    """skb of the retransmission queue has decr segments fewer than it had: keep the counts in step.

    Linux: net/ipv4/tcp_output.c.
    """
    sk.packets_out -= decr
    sacked = skb.sacked
    if (sacked & TCPCB_SACKED_ACKED) != 0:
        sk.sacked_out -= decr
    if (sacked & TCPCB_SACKED_RETRANS) != 0:
        sk.retrans_out -= decr
    if (sacked & TCPCB_LOST) != 0:
        sk.lost_out -= decr
    if sk.rx_opt.sack_ok == 0 and decr > 0:
        # duplicate ACKs stand for segments nobody knows: take off what cannot be any more
        sk.sacked_out -= decr if decr < sk.sacked_out else sk.sacked_out
    hint = sk.lost_skb_hint
    if hint is not None and before(skb.seq, hint.seq) and (sacked & TCPCB_SACKED_ACKED) != 0:
        sk.lost_cnt_hint -= decr
    tcp_verify_left_out(sk)


def tcp_fragment_tstamp(skb: SkBuff, skb2: SkBuff) -> None:
    """skb2 takes over the end of skb, and its wish for a stamp if that byte is there.  Linux: net/ipv4/tcp_output.c."""
    if (skb.tx_flags & SKBTX_ANY_TSTAMP) != 0 and not before(skb.tskey, skb2.seq):
        skb2.tx_flags |= skb.tx_flags & SKBTX_ANY_TSTAMP
        skb.tx_flags &= ~SKBTX_ANY_TSTAMP
        key = skb2.tskey
        skb2.tskey = skb.tskey
        skb.tskey = key


def tcp_skb_collapse_tstamp(skb: SkBuff, next_skb: SkBuff) -> None:
    """skb takes over the wish of what is merged into it.  Linux: net/ipv4/tcp_output.c."""
    flags = next_skb.tx_flags & SKBTX_ANY_TSTAMP
    if flags != 0:
        skb.tx_flags |= flags
        skb.tskey = next_skb.tskey


def tcp_split_skb(sk: TcpSock, skb: SkBuff, buff: SkBuff, length: i64, mss_now: i64) -> None:
    """Move what lies behind `length` bytes of skb to buff, which is fresh; flags, marks and memory are shared out."""
    skb_charge(sk, buff)
    nlen = skb.len - length
    buff.truesize += nlen
    skb.truesize -= nlen
    buff.seq = (skb.seq + length) & U32
    buff.end_seq = skb.end_seq
    skb.end_seq = buff.seq
    # PSH and FIN belong to the end
    flags = skb.tcp_flags
    skb.tcp_flags = flags & ~(TCPHDR_FIN | TCPHDR_PSH)
    buff.tcp_flags = flags
    buff.sacked = skb.sacked
    buff.rtx_snd_nxt = skb.rtx_snd_nxt
    buff.eor = skb.eor
    skb.eor = False
    buff.tstamp = skb.tstamp
    if skb.tx_flags != 0:
        tcp_fragment_tstamp(skb, buff)
    uarg = skb.uarg
    if uarg is not None:
        skb_zcopy_set(buff, uarg)
    skb_split(skb, buff, length)


def tcp_fragment(sk: TcpSock, tcp_queue: int, skb: SkBuff, length: i64, mss_now: i64) -> int:
    """Cut skb of a send queue after `length` bytes; the rest follows it in the queue. 0 or -ENOMEM.

    Linux: net/ipv4/tcp_output.c.
    """
    in_rtx = tcp_queue == TCP_FRAG_IN_RTX_QUEUE
    queue: SkBuffHead = sk.tcp_rtx_queue if in_rtx else sk.sk_write_queue
    if in_rtx and (sk.sk_wmem_queued >> 1) > sk.sk_sndbuf + FRAG_QUEUE_SLACK and queue.next is not skb and queue.prev is not skb:
        # a peer that makes us split everything into tiny pieces (CVE-2019-11478)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPWQUEUETOOBIG)
        return -ENOMEM
    buff = sk_stream_alloc_skb(sk, True)
    if buff is None:
        return -ENOMEM
    old_factor = skb.gso_segs
    tcp_split_skb(sk, skb, buff, length, mss_now)
    segs = tcp_set_skb_tso_segs(skb, mss_now) + tcp_set_skb_tso_segs(buff, mss_now)
    buff.tx_first_mstamp = skb.tx_first_mstamp
    buff.tx_delivered_mstamp = skb.tx_delivered_mstamp
    buff.tx_delivered = skb.tx_delivered
    buff.tx_delivered_ce = skb.tx_delivered_ce
    buff.tx_is_app_limited = skb.tx_is_app_limited
    __skb_queue_after(queue, skb, buff)
    if skb.tsorted:
        tcp_tsorted_add_after(sk, skb, buff)
    if in_rtx and not before(sk.snd_nxt, buff.end_seq):
        diff = old_factor - segs
        if diff != 0:
            tcp_adjust_pcount(sk, skb, diff)
    return 0


def tso_fragment(sk: TcpSock, skb: SkBuff, length: i64, mss_now: i64) -> int:
    """Cut skb, which was never sent, after `length` bytes. 0 or -ENOMEM.  Linux: net/ipv4/tcp_output.c."""
    buff = sk_stream_alloc_skb(sk, True)
    if buff is None:
        return -ENOMEM
    tcp_split_skb(sk, skb, buff, length, mss_now)
    tcp_set_skb_tso_segs(skb, mss_now)
    tcp_set_skb_tso_segs(buff, mss_now)
    __skb_queue_after(sk.sk_write_queue, skb, buff)
    return 0


def __pskb_trim_head(skb: SkBuff, length: i64) -> None:
    """Drop the first `length` bytes of payload. The fragment list is made anew: clones may share the old one.

    Linux: net/ipv4/tcp_output.c.
    """
    kept: list[SkbFrag] = []
    left = length
    for frag in skb.frags:
        size = frag.size
        if left >= size:
            left -= size
        elif left > 0:
            kept.append(SkbFrag(frag.page, frag.offset + left, size - left))
            left = 0
        else:
            kept.append(frag)
    skb.frags = kept
    skb.len -= length
    skb.data_len -= length


def tcp_trim_head(sk: TcpSock, skb: SkBuff, length: i64) -> int:
    """The first `length` bytes of a sent skb are acknowledged: drop them.  Linux: net/ipv4/tcp_output.c."""
    __pskb_trim_head(skb, length)
    skb.seq = (skb.seq + length) & U32
    skb.truesize -= length
    sk.sk_wmem_queued -= length
    sk_mem_uncharge(sk, length)
    if skb.gso_segs > 1:
        tcp_set_skb_tso_segs(skb, skb.gso_size)
    return 0
