# SPDX-License-Identifier: Apache-2.0
"""Challenge ACKs (RFC 5961): how many, and for what."""
from __future__ import annotations

import pytest

from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE, MS, SEC, Wire


def callers(wire: Wire, count: int) -> list[Caller]:
    """So many connections to the host."""
    listener = wire.prog.server(80, HERE, backlog=count)
    found = []
    for i in range(count):
        caller = Caller(wire, 80, port=4000 + i)
        caller.handshake()
        wire.prog.accept(listener)
        found.append(caller)
    wire.take()
    return found


class TestChallenge:
    def test_limit_of_a_host_is_shared_by_its_connections_and_blurred(self) -> None:
        wire = Wire()
        wire.advance(SEC)
        wire.net.ipv4.sysctl_tcp_challenge_ack_limit = 20
        counts = []
        peers = callers(wire, 60)
        for _ in range(5):
            for peer in peers:
                peer.say('S', seq=50)
            counts.append(len(wire.take()))
            wire.advance(SEC)
        # between a half and one and a half of the limit, so that an outsider cannot count by it (RFC 5961, 7; CVE-2016-5696)
        assert all(10 <= count < 30 for count in counts), counts
        assert len(set(counts)) > 1

    def test_limit_is_of_one_host_and_one_second(self) -> None:
        wires = [Wire(), Wire()]
        for wire in wires:
            wire.advance(SEC)
            wire.net.ipv4.sysctl_tcp_challenge_ack_limit = 4
        for wire in wires:  # what the first host spent is nothing to the second
            peers = callers(wire, 12)
            for second in (1, 2):
                for peer in peers:
                    peer.say('S', seq=50)
                sent = len(wire.take())
                assert 2 <= sent < 6, (second, sent)
                assert wire.net.ipv4.challenge_count == 0
                for peer in peers:
                    peer.say('S', seq=50)
                assert wire.take() == []
                wire.advance(SEC)

    def test_limit_zero_is_silence(self) -> None:
        wire = Wire()
        wire.advance(SEC)
        wire.net.ipv4.sysctl_tcp_challenge_ack_limit = 0
        for peer in callers(wire, 3):
            peer.say('S', seq=50)
        assert wire.take() == []
        assert wire.net.mib.get('TcpExtTCPChallengeACK') == 0

    def test_no_limit_by_default(self) -> None:
        wire = Wire()
        wire.advance(SEC)
        for peer in callers(wire, 40):
            peer.say('S', seq=50)
        assert len(wire.take()) == 40

    def test_a_connection_is_limited_by_time(self) -> None:
        wire = Wire()
        wire.advance(SEC)
        [peer] = callers(wire, 1)
        sent = []
        for _ in range(20):
            peer.say('S', seq=50)
            sent.append(len(wire.take()))
            wire.advance(100 * MS)
        assert [i for i, n in enumerate(sent) if n] == [0, 5, 10, 15]

    @pytest.mark.parametrize(('flags', 'seq', 'ack'), [
        ('S', 50, 1), ('S.', 50, 1), ('R', 50, 1), ('.', 1, 5), ('P.', 1, 1 << 30),
    ])
    def test_what_is_challenged(self, flags: str, seq: int, ack: int) -> None:
        wire = Wire()
        wire.advance(SEC)
        [peer] = callers(wire, 1)
        peer.say(flags, b'x' if 'P' in flags else b'', seq=seq, ack=ack)
        assert [peer.rel(s) for s in wire.take()] == [('.', 1, 0, 1)]
        assert wire.net.mib.get('TcpExtTCPChallengeACK') == 1

    @pytest.mark.parametrize('seq', [0, 70_000])
    def test_a_rst_out_of_the_window_is_not_even_answered(self, seq: int) -> None:
        wire = Wire()
        wire.advance(SEC)
        [peer] = callers(wire, 1)
        peer.say('R', seq=seq)
        assert wire.take() == []
        peer.say('.', b'x')
        assert [peer.rel(s) for s in wire.take()] == [('.', 1, 0, 2)]


class TestOldAcks:
    def sent(self) -> tuple[Wire, Caller]:
        """A connection that has sent and got acknowledged 1000 bytes, with memory scheduled for the fast path."""
        wire = Wire()
        wire.advance(SEC)
        listener = wire.prog.server(80, HERE)
        caller = Caller(wire, 80)
        caller.handshake()
        fd = wire.prog.accept(listener)[0]
        caller.say('.', b'y' * 3000)
        assert len(wire.prog.recv(fd)) == 3000
        wire.prog.send(fd, b'x' * 1000)
        caller.rcv = 1001
        caller.say('.')
        wire.take()
        return wire, caller

    def test_data_with_an_ack_below_the_window_is_not_taken(self) -> None:
        wire, caller = self.sent()
        caller.say('P.', b'blind', seq=3001, ack=1001 - 70_000)
        assert [caller.rel(s) for s in wire.take()] == [('.', 1001, 0, 3001)]

    def test_data_with_an_old_ack_is_taken(self) -> None:
        wire, caller = self.sent()
        caller.say('P.', b'late', seq=3001, ack=501)
        wire.advance(50 * MS)
        assert [caller.rel(s) for s in wire.take()] == [('.', 1001, 0, 3005)]
