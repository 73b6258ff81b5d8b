# SPDX-License-Identifier: Apache-2.0
"""A peer that speaks SACK by hand, and the check that a sender's counts equal what its retransmission queue holds."""
from __future__ import annotations

from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE, MS, SEC, Segment, Wire
from linnet.include.net.tcp import (
    TCP_CA_NAMES,
    TCPCB_LOST,
    TCPCB_SACKED_ACKED,
    TCPCB_SACKED_RETRANS,
    TcpSock,
    before,
)
from linnet.net.ipv4.tcp_ipv4_proc import tcp_seq_socks

MSS = 1460
SACK_PERM = b'\4\2\1\1'


def sack_blocks(segment: Segment) -> list[tuple[int, int]]:
    """The SACK blocks of a segment, absolute numbers."""
    options, i = segment.options, 0
    while i < len(options) and options[i] != 0:
        if options[i] == 1:
            i += 1
            continue
        if options[i] == 5:
            body = options[i + 2:i + options[i + 1]]
            return [(int.from_bytes(body[k:k + 4], 'big'), int.from_bytes(body[k + 4:k + 8], 'big'))
                    for k in range(0, len(body), 8)]
        i += options[i + 1]
    return []


class SackCaller(Caller):
    """Offers SACK in its SYN."""

    def syn_options(self) -> bytes:
        return super().syn_options() + SACK_PERM

    def bytes_acked(self, ack: int, *blocks: tuple[int, int]) -> None:
        """ACK and SACK bytes, numbers relative to the first one."""
        option = b''
        if blocks:
            option = b'\1\1\5' + bytes([2 + 8 * len(blocks)]) + b''.join(
                ((self.their_isn + 1 + n) & 0xFFFFFFFF).to_bytes(4, 'big') for block in blocks for n in block)
        self.send('.', ack=1 + ack, options=self.stamp() + option)

    def sack(self, ack: int, *blocks: tuple[int, int]) -> None:
        """The same in segments: sack(2, (5, 7)) has 0, 1, 5 and 6."""
        size = MSS if self.ts is None else MSS - 12
        if self.ts is not None:
            self.ts += 1
        self.bytes_acked(ack * size, *((a * size, b * size) for a, b in blocks))

    def numbers(self) -> list[int]:
        """The numbers of the segments sent since the last look; of a super-segment, each."""
        size = MSS if self.ts is None else MSS - 12
        found = []
        for segment in self.wire.take():
            first = (self.rel(segment)[1] - 1) // size
            found += [first + i for i in range(-(-len(segment.data) // size))]
        return found


def sack_sender(segments: int = 10, rtt: int = 100 * MS, ts: bool = False, probes: bool = False,
                tso: bool = False) -> tuple[Wire, SackCaller, TcpSock]:
    """A host that has sent `segments` full segments (at most ten go at once) to a caller at a distance of rtt."""
    wire = Wire(timestamps=ts, sack=True, tso=tso)
    wire.net.ipv4.sysctl_tcp_early_retrans = 3 if probes else 0
    wire.advance(SEC)
    listener = wire.prog.server(80, HERE)
    caller = SackCaller(wire, 80, ts=1000 if ts else None)
    caller.syn()
    wire.advance(rtt)
    caller.say('.')
    fd = wire.prog.accept(listener)[0]
    wire.prog.close(listener)
    wire.prog.nonblocking(fd)
    size = segments * (MSS - 12 if ts else MSS)
    assert wire.prog.send(fd, b'x' * size) == size
    sk = tcp_seq_socks(wire.net)[0]
    assert isinstance(sk, TcpSock)
    return wire, caller, sk


def state(sk: TcpSock) -> str:
    """The state of the loss machine."""
    return TCP_CA_NAMES[sk.icsk_ca_state]


def check_board(sk: TcpSock) -> None:
    """packets_out, sacked_out, lost_out, retrans_out and highest_sack as the queue has them; the queue is gapless."""
    packets = sacked = lost = retrans = 0
    highest = None
    skb = sk.tcp_rtx_queue.next
    seq = sk.snd_una
    while skb is not None:
        assert skb.seq == seq or before(skb.seq, sk.snd_una)
        seq = skb.end_seq
        count = skb.gso_segs
        assert count == max(1, -(-skb.len // skb.gso_size) if skb.gso_size else 1)
        packets += count
        bits = skb.sacked
        if bits & TCPCB_SACKED_ACKED:
            sacked += count
            highest = skb
            assert not bits & (TCPCB_LOST | TCPCB_SACKED_RETRANS)
        if bits & TCPCB_LOST:
            lost += count
        if bits & TCPCB_SACKED_RETRANS:
            retrans += count
        skb = skb.next
    assert seq == sk.snd_nxt or sk.tcp_rtx_queue.next is None
    assert (packets, sacked, lost, retrans) == (sk.packets_out, sk.sacked_out, sk.lost_out, sk.retrans_out)
    if highest is not None:
        assert sk.highest_sack is highest.next
    check_sent_order(sk)


def check_sent_order(sk: TcpSock) -> None:
    """The list by time of sending has what RACK may find lost, in order; what it has not arrived or was found lost."""
    listed = set()
    skb, last = sk.tsorted_head, None
    while skb is not None:
        assert skb.tsorted
        assert skb.tsorted_prev is last
        assert skb.list is sk.tcp_rtx_queue
        assert not skb.sacked & TCPCB_SACKED_ACKED
        assert last is None or last.tstamp <= skb.tstamp
        listed.add(id(skb))
        skb, last = skb.tsorted_next, skb
    assert sk.tsorted_tail is last
    skb = sk.tcp_rtx_queue.next
    while skb is not None:
        assert skb.tsorted == (id(skb) in listed)
        assert skb.tsorted or skb.sacked & (TCPCB_SACKED_ACKED | TCPCB_LOST)
        skb = skb.next
