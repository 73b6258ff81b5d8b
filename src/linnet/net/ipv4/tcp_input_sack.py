# SPDX-License-Identifier: Apache-2.0
"""The sender's scoreboard: SACK blocks of an ACK become marks on the skbs of the retransmission queue (RFC 2018, 5; RFC 2883).

sacked bits of an skb: TCPCB_SACKED_ACKED, it arrived out of order; TCPCB_LOST, it is deemed lost; TCPCB_SACKED_RETRANS, a
retransmission of it is out; TCPCB_EVER_RETRANS. sacked_out, lost_out and retrans_out count the segments of each kind. A block
that covers a super-segment in part has it cut at segment borders. Blocks of the ACK before (recv_sack_cache) are not walked anew.
highest_sack is the skb behind the highest one SACKed: what is SACKed below it arrived late, which measures reordering.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import MAX_SKB_FRAGS, SkbFrag, SkBuff, __skb_unlink
from linnet.include.net.snmp import (
    LINUX_MIB_TCPDSACKIGNOREDDUBIOUS,
    LINUX_MIB_TCPDSACKIGNOREDNOUNDO,
    LINUX_MIB_TCPDSACKIGNOREDOLD,
    LINUX_MIB_TCPDSACKOFORECV,
    LINUX_MIB_TCPDSACKRECV,
    LINUX_MIB_TCPDSACKRECVSEGS,
    LINUX_MIB_TCPSACKDISCARD,
    LINUX_MIB_TCPSACKMERGED,
    LINUX_MIB_TCPSACKSHIFTED,
    NET_ADD_STATS,
    NET_INC_STATS,
)
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    TCP_DSACK_SEEN,
    TCPCB_EVER_RETRANS,
    TCPCB_LOST,
    TCPCB_RETRANS,
    TCPCB_SACKED_ACKED,
    TCPCB_SACKED_RETRANS,
    TCPCB_TAGBITS,
    TCPHDR_FIN,
    TCPHDR_SYN,
    U32,
    TCP_CA_Loss,
    TcpSacktagState,
    TcpSock,
    after,
    before,
    tcp_highest_sack_reset,
    tcp_highest_sack_seq,
    tcp_rtx_queue_head,
    tcp_skb_mss,
    tcp_skb_pcount,
    tcp_tsorted_del,
)
from linnet.kernel.errno import EINVAL
from linnet.net.core.skbuff import __kfree_skb, skb_take_frags
from linnet.net.core.sock import sk_mem_uncharge
from linnet.net.ipv4.tcp_input_cwnd import (
    FLAG_DATA_SACKED,
    FLAG_DSACK_TLP,
    FLAG_DSACKING_ACK,
    FLAG_ORIG_SACK_ACKED,
)
from linnet.net.ipv4.tcp_input_loss import tcp_check_sack_reordering
from linnet.net.ipv4.tcp_output import TCP_FRAG_IN_RTX_QUEUE, tcp_fragment, tcp_verify_left_out
from linnet.net.ipv4.tcp_output_frag import __pskb_trim_head
from linnet.net.ipv4.tcp_rate import tcp_rate_skb_delivered
from linnet.net.ipv4.tcp_recovery import tcp_rack_advance

LINUX_FILE: Final = 'net/ipv4/tcp_input.c'


def tcp_sacktag_state_init(state: TcpSacktagState, snd_nxt: i64) -> None:
    """An ACK begins."""
    state.first_sackt = -1
    state.last_sackt = -1
    state.reord = snd_nxt
    state.sack_delivered = 0
    state.flag = 0
    state.keep_timer = False


def tcp_dsack_seen(tp: TcpSock, start_seq: i64, end_seq: i64, state: TcpSacktagState) -> i64:
    """The peer got [start_seq, end_seq) twice: how many segments that is; 0: it cannot be.  Linux: net/ipv4/tcp_input.c."""
    if not before(start_seq, end_seq):
        return 0
    seq_len = (end_seq - start_seq) & U32
    if seq_len > tp.max_window:
        return 0
    dup_segs: i64 = 1
    if seq_len > tp.mss_cache:
        dup_segs = (seq_len + tp.mss_cache - 1) // tp.mss_cache
    elif tp.tlp_high_seq != 0 and tp.tlp_high_seq == end_seq:
        state.flag |= FLAG_DSACK_TLP
    tp.dsack_dups += dup_segs
    if tp.dsack_dups > tp.total_retrans:
        # more duplicates than we ever sent: the network's, or the peer's invention
        return 0
    tp.rx_opt.sack_ok |= TCP_DSACK_SEEN
    # a duplicate from a tail loss probe says nothing about reordering
    if tp.reord_seen != 0 and (state.flag & FLAG_DSACK_TLP) == 0:
        tp.rack_dsack_seen = True
    state.flag |= FLAG_DSACKING_ACK
    state.sack_delivered += dup_segs
    return dup_segs


def tcp_check_dsack(sk: TcpSock, ack: i64, prior_snd_una: i64, state: TcpSacktagState) -> bool:
    """Is the first block a DSACK: below the ACK, or inside the second?  Linux: net/ipv4/tcp_input.c.  RFC 2883, 4."""
    starts = sk.rx_opt.sack_start
    ends = sk.rx_opt.sack_end
    start_0: i64 = starts[0]
    end_0: i64 = ends[0]
    net = sock_net(sk)
    if before(start_0, ack):
        NET_INC_STATS(net, LINUX_MIB_TCPDSACKRECV)
    elif len(starts) > 1:
        start_1: i64 = starts[1]
        end_1: i64 = ends[1]
        if after(end_0, end_1) or before(start_0, start_1):
            return False
        NET_INC_STATS(net, LINUX_MIB_TCPDSACKOFORECV)
    else:
        return False
    dup_segs = tcp_dsack_seen(sk, start_0, end_0, state)
    if dup_segs == 0:
        NET_INC_STATS(net, LINUX_MIB_TCPDSACKIGNOREDDUBIOUS)
        return False
    NET_ADD_STATS(net, LINUX_MIB_TCPDSACKRECVSEGS, dup_segs)
    # its skbs are gone from the queue: all that can be done is to count
    if sk.undo_marker != 0 and sk.undo_retrans > 0 and not after(end_0, prior_snd_una) and after(end_0, sk.undo_marker):
        left = sk.undo_retrans - dup_segs
        sk.undo_retrans = left if left > 0 else 0
    return True


def tcp_is_sackblock_valid(tp: TcpSock, is_dsack: bool, start_seq: i64, end_seq: i64) -> bool:
    """Can a block be meant seriously? DSACKs may lie below snd_una, as far back as undo is interested.

    Linux: net/ipv4/tcp_input.c.
    """
    if after(end_seq, tp.snd_nxt) or not before(start_seq, end_seq) or not before(start_seq, tp.snd_nxt):
        return False
    if after(start_seq, tp.snd_una):
        return True
    if not is_dsack or tp.undo_marker == 0 or after(end_seq, tp.snd_una):
        return False
    if not before(start_seq, tp.undo_marker):
        return True
    if not after(end_seq, tp.undo_marker):
        return False
    return not before(start_seq, (end_seq - tp.max_window) & U32)


def tcp_match_skb_to_sack(sk: TcpSock, skb: SkBuff, start_seq: i64, end_seq: i64) -> int:
    """Is skb within the block? 1 or 0; a negative errno where it is in part and could not be cut.

    A super-segment is cut at a segment border, so that its front is wholly inside or wholly outside.
    Linux: net/ipv4/tcp_input.c.
    """
    front_in = not after(start_seq, skb.seq)
    if front_in and not before(end_seq, skb.end_seq):
        return 1
    if tcp_skb_pcount(skb) == 1 or not after(skb.end_seq, start_seq) or not before(skb.seq, end_seq):
        return 0
    mss = tcp_skb_mss(skb)
    pkt_len: i64
    if front_in:
        # only whole segments count as arrived
        pkt_len = (end_seq - skb.seq) & U32
        if pkt_len < mss:
            return -EINVAL
        pkt_len -= pkt_len % mss
    else:
        # what is outside, rounded up: a segment that is SACKed in part did not arrive
        pkt_len = (start_seq - skb.seq) & U32
        pkt_len = (pkt_len + mss - 1) // mss * mss
    if pkt_len >= skb.len:
        return 1 if front_in else 0
    err = tcp_fragment(sk, TCP_FRAG_IN_RTX_QUEUE, skb, pkt_len, mss)
    if err < 0:
        return err
    return 1 if front_in else 0


def tcp_sacktag_one(sk: TcpSock, state: TcpSacktagState, sacked: i64, start_seq: i64, end_seq: i64, dup_sack: bool,
                    pcount: i64, xmit_time: i64) -> i64:
    """A segment was SACKed (dup_sack: as one that came twice): returns its new bits, and keeps the counts.

    Linux: net/ipv4/tcp_input.c.
    """
    if dup_sack and (sacked & TCPCB_RETRANS) != 0:
        if sk.undo_marker != 0 and sk.undo_retrans > 0 and after(end_seq, sk.undo_marker):
            left = sk.undo_retrans - pcount
            sk.undo_retrans = left if left > 0 else 0
        if (sacked & TCPCB_SACKED_ACKED) != 0 and before(start_seq, state.reord):
            state.reord = start_seq
    if not after(end_seq, sk.snd_una):
        return sacked
    if (sacked & TCPCB_SACKED_ACKED) == 0:
        tcp_rack_advance(sk, sacked, end_seq, xmit_time)
        if (sacked & TCPCB_SACKED_RETRANS) != 0:
            # with LOST, the retransmission arrived, or perhaps the original
            if (sacked & TCPCB_LOST) != 0:
                sacked &= ~(TCPCB_LOST | TCPCB_SACKED_RETRANS)
                sk.lost_out -= pcount
                sk.retrans_out -= pcount
        else:
            if (sacked & TCPCB_RETRANS) == 0:
                # sent once, and below something that arrived before: reordering
                if before(start_seq, tcp_highest_sack_seq(sk)) and before(start_seq, state.reord):
                    state.reord = start_seq
                if not after(end_seq, sk.high_seq):
                    state.flag |= FLAG_ORIG_SACK_ACKED
                if state.first_sackt < 0:
                    state.first_sackt = xmit_time
                state.last_sackt = xmit_time
            if (sacked & TCPCB_LOST) != 0:
                sacked &= ~TCPCB_LOST
                sk.lost_out -= pcount
        sacked |= TCPCB_SACKED_ACKED
        state.flag |= FLAG_DATA_SACKED
        sk.sacked_out += pcount
        state.sack_delivered += pcount
    if dup_sack and (sacked & TCPCB_SACKED_RETRANS) != 0:
        sacked &= ~TCPCB_SACKED_RETRANS
        sk.retrans_out -= pcount
    return sacked


def tcp_skb_seglen(skb: SkBuff) -> i64:
    """Payload of a segment of skb.  Linux: net/ipv4/tcp_input.c."""
    return skb.len if tcp_skb_pcount(skb) == 1 else tcp_skb_mss(skb)


def tcp_can_shift(prev: SkBuff, skb: SkBuff) -> bool:
    """May payload of skb be added to prev, which is SACKed and nothing else, and ends where skb begins?"""
    return ((prev.sacked & TCPCB_TAGBITS) == TCPCB_SACKED_ACKED and not prev.eor and prev.end_seq == skb.seq
            and tcp_skb_seglen(prev) == tcp_skb_seglen(skb) and prev.len % tcp_skb_seglen(skb) == 0
            and ((prev.tcp_flags | skb.tcp_flags) & (TCPHDR_SYN | TCPHDR_FIN)) == 0 and prev.tx_flags == 0 and skb.tx_flags == 0
            and prev.uarg is None and skb.uarg is None
            and len(prev.frags) + len(skb.frags) <= MAX_SKB_FRAGS)


def tcp_shift_frags(sk: TcpSock, prev: SkBuff, skb: SkBuff, pcount: i64, shifted: i64) -> None:
    """Move the first `shifted` bytes, pcount segments, of skb's payload to prev. Clones under way keep their own lists."""
    mss = tcp_skb_seglen(skb)
    moved = skb_take_frags(skb, 0, shifted)
    frags = list(prev.frags)
    last = frags[-1]
    first = moved[0]
    if last.page is first.page and last.offset + last.size == first.offset:
        frags[-1] = SkbFrag(last.page, last.offset, last.size + first.size)
        frags.extend(moved[1:])
    else:
        frags.extend(moved)
    prev.frags = frags
    prev.len += shifted
    prev.data_len += shifted
    prev.truesize += shifted
    prev.end_seq = (prev.end_seq + shifted) & U32
    prev.gso_segs += pcount
    prev.gso_size = mss
    # both are acknowledged by the same ACK, as what is SACKed is no more sent
    prev.sacked |= skb.sacked & TCPCB_EVER_RETRANS
    skb.truesize -= shifted
    if shifted < skb.len:
        __pskb_trim_head(skb, shifted)
        skb.seq = (skb.seq + shifted) & U32
        skb.gso_segs -= pcount
        if skb.gso_segs == 1:
            skb.gso_size = 0
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPSACKSHIFTED)
        return
    prev.tcp_flags |= skb.tcp_flags
    prev.eor = skb.eor
    if sk.retransmit_skb_hint is skb:
        sk.retransmit_skb_hint = prev
    if sk.highest_sack is skb:
        sk.highest_sack = skb.next
    tcp_tsorted_del(sk, skb)
    __skb_unlink(skb, sk.tcp_rtx_queue)
    sk.sk_wmem_queued -= skb.truesize
    sk_mem_uncharge(sk, skb.truesize)
    __kfree_skb(skb)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPSACKMERGED)


def tcp_shift_skb_data(sk: TcpSock, skb: SkBuff, state: TcpSacktagState, start_seq: i64, end_seq: i64) -> SkBuff | None:
    """Add what is newly SACKed to the SACKed skb in front of it, so that the queue stays short.

    Returns the skb, SACKed, that has it now; None where nothing could be moved, and skb is to be marked by itself.
    Linux: net/ipv4/tcp_input.c.
    """
    prev = skb.prev
    if prev is None or (skb.sacked & (TCPCB_LOST | TCPCB_SACKED_RETRANS)) == TCPCB_SACKED_RETRANS:
        return None
    if (skb.sacked & TCPCB_SACKED_ACKED) != 0 or after(start_seq, skb.seq) or not tcp_can_shift(prev, skb):
        return None
    pcount = tcp_skb_pcount(skb)
    shifted = skb.len
    if before(end_seq, skb.end_seq):
        if pcount == 1:
            return None
        mss = tcp_skb_mss(skb)
        pcount = ((end_seq - skb.seq) & U32) // mss
        shifted = pcount * mss
        if pcount == 0:
            return None
    upto = (skb.seq + shifted) & U32
    if not after(upto, sk.snd_una):
        return None
    tcp_sacktag_one(sk, state, skb.sacked, skb.seq, upto, False, pcount, skb.tstamp)
    tcp_rate_skb_delivered(sk, skb, sk.ack_rs)
    tcp_shift_frags(sk, prev, skb, pcount, shifted)
    highest = sk.highest_sack
    if highest is not None and not before(prev.seq, highest.seq):
        sk.highest_sack = prev.next
    # a hole was filled: what is SACKed behind it joins in
    following = prev.next
    if (following is not None and (following.sacked & TCPCB_TAGBITS) == TCPCB_SACKED_ACKED and tcp_can_shift(prev, following)):
        tcp_shift_frags(sk, prev, following, tcp_skb_pcount(following), following.len)
    return prev


def tcp_sacktag_walk(sk: TcpSock, skb: SkBuff | None, state: TcpSacktagState, start_seq: i64, end_seq: i64, until: i64,
                     dup_sack: bool) -> SkBuff | None:
    """Mark what of the queue, from skb on and below `until`, lies in a block. Returns where it stopped.

    Linux: net/ipv4/tcp_input.c.
    """
    while skb is not None and before(skb.seq, until):
        if not dup_sack:
            merged = tcp_shift_skb_data(sk, skb, state, start_seq, end_seq)
            if merged is not None:
                skb = merged.next
                continue
        in_sack = tcp_match_skb_to_sack(sk, skb, start_seq, end_seq)
        if in_sack < 0:
            break
        if in_sack != 0:
            fresh = (skb.sacked & TCPCB_SACKED_ACKED) == 0
            skb.sacked = tcp_sacktag_one(
                sk, state, skb.sacked, skb.seq, skb.end_seq, dup_sack, tcp_skb_pcount(skb), skb.tstamp,
            )
            if (skb.sacked & TCPCB_SACKED_ACKED) != 0:
                if fresh:
                    tcp_tsorted_del(sk, skb)
                    tcp_rate_skb_delivered(sk, skb, sk.ack_rs)
                highest = sk.highest_sack
                if highest is not None and not before(skb.seq, highest.seq):
                    sk.highest_sack = skb.next
        skb = skb.next
    return skb


def tcp_sacktag_skip(sk: TcpSock, skb: SkBuff | None, skip_to_seq: i64) -> SkBuff | None:
    """The skb that holds skip_to_seq, or the first behind, looked for from skb on.

    Linux: net/ipv4/tcp_input.c; there a search in a tree, here along the list, from behind what is SACKed where that is enough.
    """
    if sk.sacked_out != 0 and not before(skip_to_seq, tcp_highest_sack_seq(sk)):
        skb = sk.highest_sack
    while skb is not None and not after(skb.end_seq, skip_to_seq):
        skb = skb.next
    return skb


def tcp_sort_blocks(blocks: list[int]) -> None:
    """Order (start, end) pairs by start; at most four."""
    n: i64 = len(blocks) >> 1
    i: i64 = 1
    while i < n:
        j = i
        while j > 0 and before(blocks[2 * j], blocks[2 * j - 2]):
            start, end = blocks[2 * j], blocks[2 * j + 1]
            blocks[2 * j] = blocks[2 * j - 2]
            blocks[2 * j + 1] = blocks[2 * j - 1]
            blocks[2 * j - 2] = start
            blocks[2 * j - 1] = end
            j -= 1
        i += 1


def tcp_sacktag_block(sk: TcpSock, skb: SkBuff | None, state: TcpSacktagState, start_seq: i64, end_seq: i64) -> SkBuff | None:
    """Mark what of a block the blocks of the last ACK did not say; skb: where to look from. Returns where it stopped."""
    cache = sk.recv_sack_cache
    pos = start_seq
    i: i64 = 0
    while i < len(cache) and before(pos, end_seq):
        seen_start: i64 = cache[i]
        seen_end: i64 = cache[i + 1]
        i += 2
        if not after(seen_end, pos):
            continue
        if not before(seen_start, end_seq):
            break
        if before(pos, seen_start):
            skb = tcp_sacktag_walk(sk, tcp_sacktag_skip(sk, skb, pos), state, start_seq, end_seq, seen_start, False)
        pos = seen_end
    if before(pos, end_seq):
        skb = tcp_sacktag_walk(sk, tcp_sacktag_skip(sk, skb, pos), state, start_seq, end_seq, end_seq, False)
    return skb


def tcp_sack_discard(sk: TcpSock, dup_sack: bool) -> None:
    """Count a block that makes no sense."""
    mib: i64 = LINUX_MIB_TCPSACKDISCARD
    if dup_sack:
        mib = LINUX_MIB_TCPDSACKIGNOREDNOUNDO if sk.undo_marker == 0 else LINUX_MIB_TCPDSACKIGNOREDOLD
    NET_INC_STATS(sock_net(sk), mib)


def tcp_sacktag_write_queue(sk: TcpSock, ack_skb: SkBuff, prior_snd_una: i64, state: TcpSacktagState) -> i64:
    """Take the blocks of an ACK into the scoreboard. Returns FLAG_*.  Linux: net/ipv4/tcp_input.c."""
    state.flag = 0
    state.reord = sk.snd_nxt
    if sk.sacked_out == 0:
        tcp_highest_sack_reset(sk)
    starts = sk.rx_opt.sack_start
    ends = sk.rx_opt.sack_end
    if len(starts) == 0:
        return 0
    found_dup_sack = tcp_check_dsack(sk, ack_skb.ack_seq, prior_snd_una, state)
    # too old an ACK to say anything about what is out now
    if before(ack_skb.ack_seq, (prior_snd_una - sk.max_window) & U32):
        return 0
    if sk.packets_out == 0:
        return state.flag
    blocks: list[int] = []
    i: i64 = 0
    while i < len(starts):
        start: i64 = starts[i]
        end: i64 = ends[i]
        dup_sack = found_dup_sack and i == 0
        i += 1
        if not tcp_is_sackblock_valid(sk, dup_sack, start, end):
            # the ACK of the hole below overtook it, or it is nonsense
            if dup_sack or after(end, sk.snd_una):
                tcp_sack_discard(sk, dup_sack)
            continue
        if not after(end, prior_snd_una):
            continue
        if dup_sack:
            head = tcp_sacktag_skip(sk, tcp_rtx_queue_head(sk), start)
            tcp_sacktag_walk(sk, head, state, start, end, end, True)
        else:
            blocks.append(int(start))
            blocks.append(int(end))
    tcp_sort_blocks(blocks)
    skb = tcp_rtx_queue_head(sk)
    i = 0
    while i < len(blocks):
        skb = tcp_sacktag_block(sk, skb, state, blocks[i], blocks[i + 1])
        i += 2
    sk.recv_sack_cache = blocks
    if sk.icsk_ca_state != TCP_CA_Loss or sk.undo_marker != 0:
        tcp_check_sack_reordering(sk, state.reord, False)
    tcp_verify_left_out(sk)
    return state.flag
