# SPDX-License-Identifier: Apache-2.0
"""Loss recovery of the sender: NewReno (RFC 6582), time-outs, undo by timestamps, and the congestion window on the way."""
from __future__ import annotations

from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE, MS, SEC, Peer, Wire
from linnet.include.net.tcp import TCP_CA_NAMES, TcpSock
from linnet.net.ipv4.tcp_ipv4_proc import tcp_seq_socks

MSS = 1460


def sender(segments: int = 10, rtt: int = 100 * MS, ts: bool = False) -> tuple[Wire, Caller, TcpSock]:
    """A host that has sent `segments` full segments (at most ten go at once) to a caller at a distance of rtt."""
    wire = Wire(timestamps=ts)
    wire.advance(SEC)
    listener = wire.prog.server(80, HERE)
    caller = Caller(wire, 80, ts=1000 if ts else None)
    caller.syn()
    wire.advance(rtt)
    caller.say('.')
    fd = wire.prog.accept(listener)[0]
    wire.prog.close(listener)
    wire.prog.nonblocking(fd)
    size = caller_mss(caller)
    assert wire.prog.send(fd, b'x' * (segments * size)) == segments * size
    sk = tcp_seq_socks(wire.net)[0]
    assert isinstance(sk, TcpSock)
    return wire, caller, sk


def caller_mss(caller: Caller) -> int:
    """Payload of a full segment."""
    return MSS - 12 if caller.ts is not None else MSS


def starts(caller: Caller) -> list[int]:
    """The numbers of the segments sent since the last look."""
    size = caller_mss(caller)
    return [(caller.rel(s)[1] - 1) // size for s in caller.wire.take() if s.data]


def ack(caller: Caller, segments: int) -> None:
    """Acknowledge this many segments from the start."""
    if caller.ts is not None:
        caller.ts += 100
    caller.say('.', ack=1 + segments * caller_mss(caller))


def fd_of(sk: TcpSock, wire: Wire) -> int:
    """The descriptor of the only connection."""
    return max(wire.prog.process.files.fds())


def state(sk: TcpSock) -> str:
    return TCP_CA_NAMES[sk.icsk_ca_state]


class TestFastRetransmit:
    def test_three_duplicates(self) -> None:
        wire, caller, sk = sender()
        assert starts(caller) == list(range(10))
        wire.advance(100 * MS)
        for _ in range(2):
            ack(caller, 0)
            assert starts(caller) == []
            assert state(sk) == 'Disorder'
        ack(caller, 0)
        assert starts(caller) == [0]
        assert state(sk) == 'Recovery'
        assert sk.snd_ssthresh == 5
        mib = wire.net.mib
        assert mib.get('TcpExtTCPRenoRecovery') == 1
        assert mib.get('TcpExtTCPFastRetrans') == 1

    def test_recovery_ends_above_high_seq(self) -> None:
        wire, caller, sk = sender(12)
        assert starts(caller) == list(range(10))
        wire.advance(100 * MS)
        for _ in range(9):
            ack(caller, 0)
        # limited transmit (RFC 3042), then the retransmission
        assert starts(caller) == [10, 11, 0]
        wire.advance(100 * MS)
        ack(caller, 10)
        assert sk.snd_cwnd <= 6
        ack(caller, 12)
        # without SACK exactly high_seq is not enough: late duplicates of it would start a second recovery
        assert state(sk) == 'Recovery'
        assert sk.packets_out == 0
        assert wire.prog.send(fd_of(sk, wire), b'y') == 1
        caller.say('.', ack=2 + 12 * MSS)
        assert state(sk) == 'Open'
        assert sk.snd_ssthresh == 5

    def test_partial_ack_sends_the_next_hole(self) -> None:
        wire, caller, sk = sender()
        starts(caller)
        wire.advance(100 * MS)
        for _ in range(8):  # 0 and 4 are lost
            ack(caller, 0)
        assert starts(caller)[0] == 0
        wire.advance(100 * MS)
        ack(caller, 4)
        assert 4 in starts(caller)
        assert state(sk) == 'Recovery'
        wire.advance(100 * MS)
        ack(caller, 10)
        assert sk.packets_out == 0
        assert wire.net.mib.get('TcpRetransSegs') == 2

    def test_two_duplicates_are_reordering(self) -> None:
        wire, caller, sk = sender()
        starts(caller)
        ack(caller, 0)
        ack(caller, 0)
        ack(caller, 3)
        assert state(sk) in ('Open', 'Disorder')
        ack(caller, 10)
        assert starts(caller) == []
        assert state(sk) == 'Open'

    def test_duplicate_with_data_or_window_does_not_count(self) -> None:
        wire, caller, sk = sender()
        starts(caller)
        for _ in range(5):
            caller.say('P.', b'x', ack=1)
        assert state(sk) == 'Open'
        for i in range(5):
            caller.send('.', ack=1, window=60000 + i)
        assert state(sk) == 'Open'
        assert starts(caller) == []


class TestTimeout:
    def test_all_is_lost_and_sent_again_in_slow_start(self) -> None:
        wire, caller, sk = sender()
        starts(caller)
        wire.advance(350 * MS)
        assert starts(caller) == [0]
        assert state(sk) == 'Loss'
        assert sk.snd_cwnd == 1
        assert sk.snd_ssthresh == 5
        ack(caller, 1)
        # F-RTO would try new data, of which there is none
        assert starts(caller) == [1, 2]
        wire.advance(10 * MS)
        ack(caller, 3)
        assert starts(caller) == [3, 4, 5, 6]
        wire.advance(10 * MS)
        ack(caller, 10)
        assert sk.packets_out == 0

    def test_back_off(self) -> None:
        wire, caller, sk = sender(1)
        start = wire.now
        starts(caller)
        wire.advance(5 * SEC)
        times = [s.time - start for s in wire.take()]
        gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
        assert times[0] == 300 * MS
        assert [g // MS for g in gaps] == [600, 1200, 2400]

    def test_frto_undoes_a_false_timeout(self) -> None:
        wire, caller, sk = sender(20, ts=True)
        assert starts(caller) == list(range(10))
        wire.advance(350 * MS)
        assert starts(caller) == [0]
        assert state(sk) == 'Loss'
        # the ACKs were only late: they echo timestamps from before the retransmission
        caller.say('.', ack=1 + 5 * caller_mss(caller))
        assert sk.snd_cwnd >= 10
        assert wire.net.mib.get('TcpExtTCPLossUndo') == 1
        assert sk.snd_ssthresh > 1000


class TestUndo:
    def test_false_fast_retransmit_is_undone(self) -> None:
        wire, caller, sk = sender(10, ts=True)
        starts(caller)
        wire.advance(100 * MS)
        for _ in range(3):
            caller.say('.', ack=1)
        assert starts(caller) == [0]
        assert state(sk) == 'Recovery'
        wire.advance(MS)
        # everything arrives, with the echo of the original
        caller.say('.', ack=1 + 10 * caller_mss(caller))
        # the window before, less what the reduction still does with this very ACK
        assert sk.snd_cwnd >= 8
        assert sk.snd_ssthresh > 1000
        assert wire.net.mib.get('TcpExtTCPFullUndo') + wire.net.mib.get('TcpExtTCPPartialUndo') == 1


class TestWindow:
    def test_slow_start_doubles(self) -> None:
        wire, caller, sk = sender(40)
        assert len(starts(caller)) == 10
        wire.advance(100 * MS)
        for i in range(10):
            ack(caller, i + 1)
        assert sk.snd_cwnd == 20
        assert len(starts(caller)) == 20

    def test_congestion_avoidance_adds_one_a_window(self) -> None:
        wire, caller, sk = sender(60)
        sk.snd_ssthresh = 10
        starts(caller)
        for i in range(10):
            ack(caller, i + 1)
        assert sk.snd_cwnd == 11

    def test_rtt_is_measured(self) -> None:
        wire, caller, sk = sender(4)
        starts(caller)
        wire.advance(50 * MS)
        ack(caller, 4)
        assert sk.rtt_min == 50_000
        assert 80_000 < sk.srtt_us >> 3 < 100_000

    def test_retransmitted_data_gives_no_sample(self) -> None:
        wire, caller, sk = sender(1)
        starts(caller)
        before = sk.srtt_us
        wire.advance(350 * MS)
        ack(caller, 1)
        assert sk.srtt_us == before

    def test_zero_window_is_probed_and_opens(self) -> None:
        wire = Wire()
        peer = Peer(wire, window=2000)
        fd = wire.prog.nonblocking(peer.accept())
        wire.prog.send(fd, b'x' * 20_000)
        assert sum(len(s.data) for s in wire.take()) == 2000
        peer.send('.', ack=2001, window=0)
        wire.advance(250 * MS)
        probes = wire.take()
        assert len(probes) == 1
        assert probes[0].data == b''
        peer.send('.', ack=2001, window=4000)
        assert sum(len(s.data) for s in wire.take()) == 4000
