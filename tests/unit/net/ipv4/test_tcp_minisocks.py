# SPDX-License-Identifier: Apache-2.0
"""Handshakes as the passive side sees them, and TIME_WAIT."""
from __future__ import annotations

import pytest

from helpers.hosts import Pair
from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE, MS, SEC, Wire
from linnet.include.linux.socket import SHUT_WR
from linnet.net.ipv4.tcp_ipv4_proc import tcp4_seq_show
from linnet.net.ipv4.tcp_minisocks import tcp_in_window


def served(**options: object) -> tuple[Wire, Caller, int]:
    """An accepted connection from a caller."""
    wire = Wire(timestamps='ts' in options)
    listener = wire.prog.server(80, HERE)
    caller = Caller(wire, 80, **options)  # type: ignore[arg-type]
    caller.handshake()
    fd = wire.prog.accept(listener)[0]
    return wire, caller, fd


def states(wire: Wire) -> list[str]:
    """The states in /proc/net/tcp."""
    return sorted(line.split()[3] for line in tcp4_seq_show(wire.net).splitlines()[1:])


class TestHandshake:
    def test_syn_ack_has_what_both_speak(self) -> None:
        wire = Wire(timestamps=True)
        wire.prog.server(80, HERE)
        answer = Caller(wire, 80, wscale=7, ts=100).syn()
        assert answer is not None
        assert answer.options[:4] == bytes.fromhex('020405b4')
        assert answer.timestamps is not None
        assert answer.timestamps[1] == 100
        assert answer.window == 65160

    def test_syn_ack_without_options(self) -> None:
        wire = Wire(timestamps=True)
        wire.prog.server(80, HERE)
        answer = Caller(wire, 80).syn()
        assert answer is not None
        assert answer.options == bytes.fromhex('020405b4')

    def test_wrong_ack_number_is_reset(self) -> None:
        wire = Wire()
        wire.prog.server(80, HERE)
        caller = Caller(wire, 80)
        caller.syn()
        caller.say('.', ack=77)
        reset = wire.take()[0]
        assert reset.flags == 'R'
        assert reset.seq == (caller.their_isn + 77) & 0xFFFFFFFF

    def test_data_with_the_last_ack(self) -> None:
        wire = Wire()
        listener = wire.prog.server(80, HERE)
        caller = Caller(wire, 80)
        caller.syn()
        caller.say('P.', b'first')
        fd = wire.prog.accept(listener)[0]
        assert wire.prog.recv(fd) == b'first'

    def test_fin_with_the_last_ack(self) -> None:
        wire = Wire()
        listener = wire.prog.server(80, HERE)
        caller = Caller(wire, 80)
        caller.syn()
        caller.say('F.', b'bye')
        fd = wire.prog.accept(listener)[0]
        assert wire.prog.recvall(fd) == b'bye'
        assert states(wire) == ['08', '0A']

    def test_out_of_window_segment_for_a_request_is_acked(self) -> None:
        wire = Wire()
        wire.prog.server(80, HERE)
        caller = Caller(wire, 80)
        caller.syn()
        caller.say('.', b'x', seq=200_000)
        assert [caller.rel(s) for s in wire.take()] == [('.', 1, 0, 1)]

    def test_initial_sequence_numbers_differ_and_grow_with_time(self) -> None:
        wire = Wire()
        wire.prog.server(80, HERE)
        one = Caller(wire, 80, 4000)
        two = Caller(wire, 80, 4001)
        first, second = one.syn(), two.syn()
        assert first is not None
        assert second is not None
        assert first.seq != second.seq

    def test_no_listener(self) -> None:
        wire = Wire()
        caller = Caller(wire, 81)
        assert caller.syn() is None
        caller.send('S', seq=0)
        reset = wire.take()[0]
        assert reset.flags == 'R.'
        assert reset.seq == 0
        assert reset.ack == caller.isn + 1


class TestTimeWait:
    def closed_first(self, **options: object) -> tuple[Wire, Caller, int]:
        """The host has closed first; the caller has answered."""
        wire, caller, fd = served(**options)
        wire.prog.close(fd)
        assert [s.flags for s in wire.take()] == ['F.']
        caller.rcv += 1
        caller.say('.')
        caller.say('F.')
        return wire, caller, fd

    def test_last_ack_and_60_seconds(self) -> None:
        wire, caller, _ = self.closed_first()
        assert [caller.rel(s) for s in wire.take()] == [('.', 2, 0, 2)]
        assert states(wire) == ['06', '0A']
        wire.advance(59 * SEC)
        assert states(wire) == ['06', '0A']
        wire.advance(2 * SEC)
        assert states(wire) == ['0A']
        assert wire.net.mib.get('TcpExtTW') == 1
        assert 'TCP' in wire.world.slab.active()

    def test_repeated_fin_is_acked_and_starts_anew(self) -> None:
        wire, caller, _ = self.closed_first()
        wire.take()
        wire.advance(30 * SEC)
        caller.say('F.', seq=1)
        assert [caller.rel(s) for s in wire.take()] == [('.', 2, 0, 2)]
        wire.advance(40 * SEC)
        assert states(wire) == ['06', '0A']

    def test_reset_kills_it(self) -> None:
        wire, caller, _ = self.closed_first()
        caller.say('R')
        assert states(wire) == ['0A']

    def test_rfc1337(self) -> None:
        wire, caller, _ = self.closed_first()
        wire.net.ipv4.sysctl_tcp_rfc1337 = 1
        caller.say('R')
        assert states(wire) == ['06', '0A']

    def test_a_new_syn_above_reopens(self) -> None:
        wire, caller, _ = self.closed_first()
        wire.take()
        again = Caller(wire, 80, isn=caller.isn + 100)
        answer = again.syn()
        assert answer is not None
        assert answer.seq == (caller.their_isn + 2 + 65535 + 2) & 0xFFFFFFFF
        assert states(wire) == ['03', '0A']

    def test_an_old_syn_is_acked(self) -> None:
        wire, caller, _ = self.closed_first()
        wire.take()
        again = Caller(wire, 80, isn=caller.isn - 100)
        again.send('S', seq=0)
        assert [caller.rel(s) for s in wire.take()] == [('.', 2, 0, 2)]

    def test_paws_guards_it(self) -> None:
        wire, caller, _ = self.closed_first(ts=1000)
        wire.take()
        wire.advance(SEC)
        again = Caller(wire, 80, isn=caller.isn + 100, ts=900)
        again.send('S', seq=0, options=again.syn_options() + again.stamp())
        assert [s.flags for s in wire.take()] == ['.']
        assert states(wire) == ['06', '0A']

    def test_orphan_in_fin_wait2_ends_after_the_fin_timeout(self) -> None:
        wire, caller, fd = served()
        wire.prog.close(fd)
        caller.rcv += 1
        caller.say('.')
        assert states(wire) == ['05', '0A']
        wire.advance(61 * SEC)
        assert states(wire) == ['0A']

    def test_data_for_an_orphan_is_reset(self) -> None:
        wire, caller, fd = served()
        wire.prog.close(fd)
        caller.rcv += 1
        caller.say('.')
        wire.take()
        caller.say('P.', b'too late')
        assert [s.flags for s in wire.take()] == ['R']
        assert states(wire) == ['0A']

    def test_too_many(self) -> None:
        wire, caller, fd = served()
        wire.net.ipv4.sysctl_tcp_max_tw_buckets = 0
        wire.prog.close(fd)
        caller.rcv += 1
        caller.say('F.')
        assert states(wire) == ['0A']
        assert wire.net.mib.get('TcpExtTCPTimeWaitOverflow') == 1

    def test_bind_to_a_port_in_time_wait(self) -> None:
        pair = Pair()
        fd_a, fd_b = pair.connected()
        pair.run(lambda: pair.b.close(fd_b), until=2 * SEC)
        pair.run(lambda: pair.a.close(fd_a), until=3 * SEC)
        fd = pair.b.socket()
        with pytest.raises(OSError):
            pair.b.bind(fd, '0.0.0.0', 80)
        pair.world.sched.run()
        pair.b.bind(fd, '0.0.0.0', 80)


class TestSimultaneousClose:
    def test_both_fins_cross(self) -> None:
        wire, caller, fd = served()
        wire.prog.shutdown(fd, SHUT_WR)
        wire.take()
        caller.say('F.', ack=1)
        assert [caller.rel(s) for s in wire.take()] == [('.', 2, 0, 2)]
        assert states(wire) == ['0A', '0B']
        caller.rcv += 1
        caller.say('.')
        assert states(wire) == ['06', '0A']


@pytest.mark.parametrize(('seq', 'end_seq', 'good'), [
    (100, 100, True), (100, 150, True), (90, 101, True), (90, 100, False), (199, 250, True), (200, 200, True), (200, 201, False),
    (250, 260, False), (80, 90, False),
])
def test_in_window(seq: int, end_seq: int, good: bool) -> None:
    assert tcp_in_window(seq, end_seq, 100, 200) is good


def test_rtt_of_the_handshake() -> None:
    wire = Wire()
    listener = wire.prog.server(80, HERE)
    caller = Caller(wire, 80)
    caller.syn()
    wire.advance(30 * MS)
    caller.say('.')
    fd = wire.prog.accept(listener)[0]
    wire.run(lambda: wire.prog.send(fd, b'x'))
    wire.take()
    start = wire.now
    wire.advance(SEC)
    again = wire.take()[0]
    # 30 ms, and a variance of at least the minimum RTO
    assert again.time - start == 230 * MS
