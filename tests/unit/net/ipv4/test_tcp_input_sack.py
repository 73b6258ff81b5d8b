# SPDX-License-Identifier: Apache-2.0
"""SACK at both ends: negotiation, the receiver's blocks and DSACKs, the sender's scoreboard (RFC 2018, RFC 2883)."""
from __future__ import annotations

from helpers.tcp_sack import MSS, SackCaller, check_board, sack_blocks, sack_sender, state
from helpers.tcp_wire import HERE, MS, Wire
from linnet.include.net.tcp import TcpSock
from linnet.net.core.sock import lock_sock, release_sock
from linnet.net.ipv4.tcp_input_sackrcv import tcp_sack_new_ofo_skb
from linnet.net.ipv4.tcp_ipv4_proc import tcp_seq_socks

SACK_PERM = b'\4\2'


def receiver(ts: int | None = None, sack: bool = True) -> tuple[Wire, SackCaller]:
    """A listener that has accepted a caller."""
    wire = Wire(timestamps=ts is not None, sack=sack)
    listener = wire.prog.server(80, HERE)
    caller = SackCaller(wire, 80, ts=ts)
    caller.handshake()
    wire.prog.accept(listener)
    wire.take()
    return wire, caller


def connection(wire: Wire) -> TcpSock:
    """The connection that was accepted."""
    [sk] = [sk for sk in tcp_seq_socks(wire.net) if isinstance(sk, TcpSock) and sk.sk_dport]
    return sk


def blocks(caller: SackCaller) -> list[tuple[int, int]]:
    """The blocks of the last ACK, relative to the first byte, which is 0."""
    return [((a - caller.isn - 1) & 0xFFFFFFFF, (b - caller.isn - 1) & 0xFFFFFFFF)
            for a, b in sack_blocks(caller.wire.take()[-1])]


def data(caller: SackCaller, start: int, end: int) -> None:
    """Bytes [start, end) of the stream."""
    caller.say('.', bytes(end - start), seq=1 + start)


class TestNegotiation:
    def test_syn_offers_it(self) -> None:
        wire = Wire(sack=True, timestamps=True)
        wire.world.sched.spawn(lambda: wire.prog.connect(wire.prog.socket(), '10.0.0.2', 80), 'connect')
        wire.run()
        assert wire.take()[0].options[4:6] == SACK_PERM

    def test_not_with_the_sysctl_off(self) -> None:
        wire = Wire(sack=False)
        listener = wire.prog.server(80, HERE)
        answer = SackCaller(wire, 80).syn()
        assert listener is not None
        assert answer is not None
        assert SACK_PERM not in answer.options

    def test_agreed(self) -> None:
        wire = Wire(sack=True)
        wire.prog.server(80, HERE)
        answer = SackCaller(wire, 80).syn()
        assert answer is not None
        assert SACK_PERM in answer.options


class TestReceiver:
    def test_most_recent_first(self) -> None:
        wire, caller = receiver()
        data(caller, 100, 200)
        assert blocks(caller) == [(100, 200)]
        data(caller, 300, 400)
        assert blocks(caller) == [(300, 400), (100, 200)]
        data(caller, 200, 250)
        assert blocks(caller) == [(100, 250), (300, 400)]
        data(caller, 250, 300)
        wire.advance(MS)  # from the fourth duplicate on ACKs are held back for a moment
        assert blocks(caller) == [(100, 400)]
        data(caller, 0, 100)
        assert blocks(caller) == []

    def test_at_most_four(self) -> None:
        wire, caller = receiver()
        for start in range(100, 700, 100):
            data(caller, start, start + 10)
        wire.advance(MS)
        assert blocks(caller) == [(600, 610), (500, 510), (400, 410), (300, 310)]

    def test_three_beside_timestamps(self) -> None:
        wire, caller = receiver(ts=7)
        for start in range(100, 700, 100):
            data(caller, start, start + 10)
        wire.advance(MS)
        assert blocks(caller) == [(600, 610), (500, 510), (400, 410)]

    def test_partial_progress_drops_what_is_passed(self) -> None:
        _, caller = receiver()
        data(caller, 100, 200)
        data(caller, 300, 400)
        data(caller, 0, 100)
        assert blocks(caller) == [(300, 400)]

    def test_nothing_without_agreement(self) -> None:
        _, caller = receiver(sack=False)
        data(caller, 100, 200)
        assert blocks(caller) == []

    def test_block_list(self) -> None:
        sk = TcpSock()
        for seq, end in ((10, 20), (30, 40), (50, 60), (18, 52)):
            tcp_sack_new_ofo_skb(sk, seq, end)
        assert sk.selective_acks == [10, 60]


class TestDsack:
    def test_below_the_ack(self) -> None:
        wire, caller = receiver()
        data(caller, 0, 100)
        data(caller, 0, 100)
        assert blocks(caller) == [(0, 100)]
        assert wire.net.mib.get('TcpExtTCPDSACKOldSent') == 1
        # once only
        data(caller, 200, 300)
        assert blocks(caller) == [(200, 300)]

    def test_part_below_the_ack(self) -> None:
        wire, caller = receiver()
        data(caller, 0, 100)
        data(caller, 50, 150)
        wire.advance(300 * MS)
        assert blocks(caller) == [(50, 100)]

    def test_inside_a_block(self) -> None:
        wire, caller = receiver()
        data(caller, 200, 400)
        data(caller, 250, 300)
        assert blocks(caller) == [(250, 300), (200, 400)]
        assert wire.net.mib.get('TcpExtTCPDSACKOfoSent') == 1

    def test_off_by_sysctl(self) -> None:
        wire, caller = receiver()
        wire.net.ipv4.sysctl_tcp_dsack = 0
        data(caller, 0, 100)
        data(caller, 0, 100)
        assert blocks(caller) == []


class TestScoreboard:
    def test_super_segment_is_cut(self) -> None:
        _, caller, sk = sack_sender(tso=True)
        assert sk.tcp_rtx_queue.qlen < 10
        caller.sack(0, (3, 5), (7, 8))
        check_board(sk)
        assert sk.sacked_out == 3

    def test_part_of_a_segment_does_not_count(self) -> None:
        _, caller, sk = sack_sender(tso=True)
        caller.bytes_acked(0, (MSS + 10, 3 * MSS - 10))
        check_board(sk)
        assert sk.sacked_out == 0
        caller.bytes_acked(0, (MSS + 10, 3 * MSS))
        assert sk.sacked_out == 1
        caller.bytes_acked(0, (MSS, 3 * MSS))
        assert sk.sacked_out == 2
        check_board(sk)

    def test_nonsense_is_discarded(self) -> None:
        wire, caller, sk = sack_sender()
        caller.bytes_acked(0, (50 * MSS, 60 * MSS))
        caller.bytes_acked(0, (5 * MSS, 4 * MSS))
        assert sk.sacked_out == 0
        assert wire.net.mib.get('TcpExtTCPSACKDiscard') == 2

    def test_old_ack_with_news(self) -> None:
        _, caller, sk = sack_sender()
        caller.sack(2)
        caller.sack(1, (4, 5))
        assert sk.sacked_out == 1
        check_board(sk)

    def test_reordering_is_measured(self) -> None:
        wire, caller, sk = sack_sender()
        caller.sack(0, (8, 9))
        caller.sack(0, (1, 2), (8, 9))
        assert sk.reord_seen == 1
        assert sk.reordering == 8
        assert wire.net.mib.get('TcpExtTCPSACKReorder') == 1

    def test_reneging(self) -> None:
        wire, caller, sk = sack_sender()
        caller.numbers()
        caller.sack(0, (1, 10))
        # 0 arrives, yet the ACK goes no further: what was SACKed is gone
        wire.advance(100 * MS)
        caller.sack(1)
        wire.advance(50 * MS)
        assert state(sk) == 'Loss'
        assert sk.sacked_out == 0
        assert wire.net.mib.get('TcpExtTCPSACKReneging') == 1
        check_board(sk)

    def test_undo_by_dsack(self) -> None:
        wire, caller, sk = sack_sender(12)
        caller.numbers()
        wire.advance(100 * MS)
        caller.sack(0, (1, 5))
        assert state(sk) == 'Recovery'
        assert caller.numbers()[0] == 0
        before = sk.prior_cwnd
        wire.advance(10 * MS)
        caller.sack(6)
        # the original had only been late: its retransmission comes as a duplicate
        caller.sack(8, (0, 1))
        assert wire.net.mib.get('TcpExtTCPDSACKUndo') == 1
        assert sk.snd_cwnd >= before
        assert sk.snd_ssthresh > 1000
        check_board(sk)


class TestCompression:
    def held(self) -> tuple[Wire, SackCaller]:
        """A receiver that has sent three duplicate ACKs and holds two back."""
        wire, caller = receiver()
        sk = connection(wire)
        sk.rcv_rtt_est_us = sk.srtt_us = 8 * 20_000  # 20 ms: a twentieth is 1 ms
        for start in range(100, 600, 100):
            data(caller, start, start + 100)
        assert len(wire.take()) == 3
        assert sk.compressed_ack == 2
        return wire, caller

    def test_one_ack_for_all_that_was_held(self) -> None:
        wire, caller = self.held()
        wire.advance(MS // 2)
        assert wire.take() == []
        wire.advance(MS)
        assert blocks(caller) == [(100, 600)]
        assert wire.net.mib.get('TcpExtTCPAckCompressed') == 1
        wire.advance(100 * MS)
        assert wire.take() == []

    def test_what_is_sent_meanwhile_takes_it_along(self) -> None:
        wire, caller = self.held()
        data(caller, 0, 100)
        assert blocks(caller) == []
        wire.advance(100 * MS)
        assert wire.take() == []
        assert wire.net.mib.get('TcpExtTCPAckCompressed') == 2

    def test_timer_waits_for_the_owner(self) -> None:
        wire, caller = self.held()
        sk = connection(wire)
        lock_sock(sk)
        wire.advance(5 * MS)
        assert wire.take() == []
        release_sock(sk)
        assert blocks(caller) == [(100, 600)]

    def test_a_new_hole_starts_anew(self) -> None:
        wire, caller = self.held()
        data(caller, 0, 100)
        wire.take()
        for start in range(700, 1000, 100):
            data(caller, start, start + 50)
            assert len(wire.take()) == 1

    def test_delay_is_bounded_by_the_sysctl(self) -> None:
        wire, caller = receiver()
        sk = connection(wire)
        sk.rcv_rtt_est_us = sk.srtt_us = 8 * 1_000_000
        wire.net.ipv4.sysctl_tcp_comp_sack_delay_ns = 3 * MS
        for start in range(100, 600, 100):
            data(caller, start, start + 100)
        wire.take()
        wire.advance(2 * MS)
        assert wire.take() == []
        wire.advance(2 * MS)
        assert len(wire.take()) == 1
