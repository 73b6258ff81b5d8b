# SPDX-License-Identifier: Apache-2.0
"""The receiver's SACK blocks (RFC 2018, 4) and DSACKs (RFC 2883).

selective_acks holds at most four blocks as they go out, the one that the last segment fell into first: start, end, start, end ...
A DSACK, the range of something that came twice, goes out once, in front of them, and is then forgotten.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.snmp import LINUX_MIB_TCPDSACKOFOSENT, LINUX_MIB_TCPDSACKOLDSENT, NET_INC_STATS
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import TCP_NUM_SACKS, TcpSock, after, before, tcp_is_sack

LINUX_FILE: Final = 'net/ipv4/tcp_input.c'


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
            if i > 0:
                sk.selective_acks = blocks[i:i + 2] + blocks[:i] + blocks[i + 2:]
            if len(blocks) > 2:
                tcp_sack_maybe_coalesce(sk)
            return
        i += 2
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
