# SPDX-License-Identifier: Apache-2.0
"""The receiver's SACK blocks (RFC 2018, 4) and DSACKs (RFC 2883).

selective_acks holds at most four blocks as they go out, the one that the last segment fell into first: start, end, start, end ...
A DSACK, the range of something that came twice, goes out once, in front of them, and is then forgotten.

While data is out of order each segment is answered, which costs a fast sender as many ACKs: after the first three duplicates of a
hole they are held back for a twentieth of the RTT, at most net.ipv4.tcp_comp_sack_delay_ns, and go out as one (ACK compression).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.snmp import (
    LINUX_MIB_TCPACKCOMPRESSED,
    LINUX_MIB_TCPDSACKOFOSENT,
    LINUX_MIB_TCPDSACKOLDSENT,
    NET_ADD_STATS,
    NET_INC_STATS,
)
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    TCP_FASTRETRANS_THRESH,
    TCP_NUM_SACKS,
    TCPF_DELACK_TIMER_DEFERRED,
    TcpSock,
    after,
    before,
    tcp_is_sack,
    tcp_mstamp_refresh,
)
from linnet.net.core.sock import sk_reset_timer, sk_stop_timer, sock_put
from linnet.net.ipv4.tcp_output import TcpTimer, tcp_send_ack

LINUX_FILE: Final = 'net/ipv4/tcp_input.c'

# as many blocks a SACK option shows for certain, whatever other options there are
TCP_SACK_BLOCKS_EXPECTED: Final = 2


class TcpCompressedAckTimer(TcpTimer):
    """The ACKs that were held back go out as one (Linux: compressed_ack_timer)."""

    def function(self) -> None:
        """See tcp_compressed_ack_kick."""
        sk = self.sk
        assert isinstance(sk, TcpSock)
        tcp_compressed_ack_kick(sk)


def tcp_compressed_ack_kick(sk: TcpSock) -> None:
    """The timer function.  Linux: net/ipv4/tcp_timer.c."""
    if sk.sk_lock_owned:
        sk.sk_tsq_flags |= TCPF_DELACK_TIMER_DEFERRED
    elif sk.compressed_ack != 0:
        # one of them is sent after all, and does not count as saved
        sk.compressed_ack -= 1
        tcp_mstamp_refresh(sk)
        tcp_send_ack(sk)
    sock_put(sk)


def tcp_sack_compress_send_ack(sk: TcpSock) -> None:
    """Send the ACK now that others were held back for.  Linux: net/ipv4/tcp_input.c."""
    held = sk.compressed_ack
    if held == 0:
        return
    timer = sk.compressed_ack_timer
    if timer is not None:
        sk_stop_timer(sk, timer)
    NET_ADD_STATS(sock_net(sk), LINUX_MIB_TCPACKCOMPRESSED, held - 1)
    sk.compressed_ack = 0
    tcp_send_ack(sk)


def tcp_compress_ack(sk: TcpSock) -> bool:
    """Data is out of order, and an ACK is owed for it: can it wait, to be sent as one with others? Then the timer runs.

    Part of Linux's __tcp_ack_snd_check. The timer fires at the latest time that net.ipv4.tcp_comp_sack_slack_ns allows: so a
    kernel with nothing else to wake up for was seen to do it.
    """
    ipv4 = sock_net(sk).ipv4
    if sk.rx_opt.sack_ok == 0 or sk.compressed_ack >= ipv4.sysctl_tcp_comp_sack_nr:
        return False
    if sk.compressed_ack_rcv_nxt != sk.rcv_nxt:
        sk.compressed_ack_rcv_nxt = sk.rcv_nxt
        sk.dup_ack_counter = 0
    if sk.dup_ack_counter < TCP_FASTRETRANS_THRESH:
        # the sender's fast retransmit lives by these
        sk.dup_ack_counter += 1
        return False
    sk.compressed_ack += 1
    timer = sk.compressed_ack_timer
    if timer is None:
        timer = TcpCompressedAckTimer(sock_net(sk), sk)
        sk.compressed_ack_timer = timer
    if not timer.armed:
        rtt = sk.rcv_rtt_est_us
        if sk.srtt_us != 0 and (rtt == 0 or sk.srtt_us < rtt):
            rtt = sk.srtt_us
        delay = rtt * 1000 // 160  # a twentieth; the RTT is kept eightfold
        if delay > ipv4.sysctl_tcp_comp_sack_delay_ns:
            delay = ipv4.sysctl_tcp_comp_sack_delay_ns
        sk_reset_timer(sk, timer, sock_net(sk).clock.now + delay + ipv4.sysctl_tcp_comp_sack_slack_ns)
    return True


def tcp_sack_extend(blocks: list[int], at: i64, seq: i64, end_seq: i64) -> bool:
    """Widen the block at index `at` by a range, if the two touch.  Linux: net/ipv4/tcp_input.c."""
    start: i64 = blocks[at]
    end: i64 = blocks[at + 1]
    if after(seq, end) or after(start, end_seq):
        return False
    if before(seq, start):
        blocks[at] = int(seq)
    if after(end_seq, end):
        blocks[at + 1] = int(end_seq)
    return True


def tcp_dsack_set(sk: TcpSock, seq: i64, end_seq: i64) -> None:
    """[seq, end_seq) came again: the next ACK says so.  Linux: net/ipv4/tcp_input.c."""
    net = sock_net(sk)
    if not tcp_is_sack(sk) or net.ipv4.sysctl_tcp_dsack == 0:
        return
    NET_INC_STATS(net, LINUX_MIB_TCPDSACKOLDSENT if before(seq, sk.rcv_nxt) else LINUX_MIB_TCPDSACKOFOSENT)
    sk.rx_opt.dsack = True
    sk.duplicate_sack = [int(seq), int(end_seq)]


def tcp_dsack_extend(sk: TcpSock, seq: i64, end_seq: i64) -> None:
    """Likewise, in one block with what the next ACK says already, if that touches.  Linux: net/ipv4/tcp_input.c."""
    if not sk.rx_opt.dsack:
        tcp_dsack_set(sk, seq, end_seq)
    else:
        tcp_sack_extend(sk.duplicate_sack, 0, seq, end_seq)


def tcp_dsack_clear(sk: TcpSock) -> None:
    """A DSACK that no ACK has taken along is out of date."""
    if sk.rx_opt.dsack:
        sk.rx_opt.dsack = False
        sk.duplicate_sack = []


def tcp_sack_maybe_coalesce(tp: TcpSock) -> None:
    """The first block has grown: others that it touches now become part of it.  Linux: net/ipv4/tcp_input.c."""
    blocks = tp.selective_acks
    i: i64 = 2
    while i < len(blocks):
        if tcp_sack_extend(blocks, 0, blocks[i], blocks[i + 1]):
            tp.selective_acks = blocks[:i] + blocks[i + 2:]
            blocks = tp.selective_acks
        else:
            i += 2


def tcp_sack_new_ofo_skb(sk: TcpSock, seq: i64, end_seq: i64) -> None:
    """[seq, end_seq) came out of order: its block goes first.  Linux: net/ipv4/tcp_input.c.  RFC 2018, 4."""
    blocks = sk.selective_acks
    i: i64 = 0
    while i < len(blocks):
        if tcp_sack_extend(blocks, i, seq, end_seq):
            if i >= 2 * TCP_SACK_BLOCKS_EXPECTED:
                tcp_sack_compress_send_ack(sk)
            if i > 0:
                sk.selective_acks = blocks[i:i + 2] + blocks[:i] + blocks[i + 2:]
            if len(blocks) > 2:
                tcp_sack_maybe_coalesce(sk)
            return
        i += 2
    if i >= 2 * TCP_SACK_BLOCKS_EXPECTED:
        # a new block in front pushes one out of sight that an ACK held back was to tell
        tcp_sack_compress_send_ack(sk)
    kept = blocks[:2 * (TCP_NUM_SACKS - 1)]
    sk.selective_acks = [int(seq), int(end_seq), *kept]


def tcp_sack_remove(tp: TcpSock) -> None:
    """rcv_nxt has moved: forget the blocks that it has passed.  Linux: net/ipv4/tcp_input.c."""
    if tp.out_of_order_queue.next is None:
        tp.selective_acks = []
        return
    blocks = tp.selective_acks
    kept: list[int] = []
    i: i64 = 0
    while i < len(blocks):
        if before(tp.rcv_nxt, blocks[i]):
            kept.append(blocks[i])
            kept.append(blocks[i + 1])
        i += 2
    tp.selective_acks = kept
