# SPDX-License-Identifier: Apache-2.0
"""What segments do to a connection: acceptance, data in and out of order, ACKs, resets, and the way through the states."""
from __future__ import annotations

import errno

from hypothesis import given
from hypothesis import strategies as st

from helpers.hosts import fails
from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE, MS, SEC, THERE, Peer, Wire
from linnet.include.linux.socket import MSG_OOB, SHUT_WR, SO_ERROR, SO_OOBINLINE, SO_RCVBUF, SOL_SOCKET, SOL_TCP
from linnet.include.net.tcp import TCP_QUICKACK
from linnet.net.ipv4.tcp_ipv4_proc import tcp4_seq_show


def served(ts: int | None = None, mss: int = 1460, **options: object) -> tuple[Wire, Caller, int]:
    """An accepted connection from a caller."""
    wire = Wire(timestamps=ts is not None, **options)  # type: ignore[arg-type]
    listener = wire.prog.server(80, HERE)
    caller = Caller(wire, 80, ts=ts, mss=mss)
    caller.handshake()
    fd = wire.prog.accept(listener)[0]
    wire.prog.close(listener)
    wire.prog.nonblocking(fd)
    return wire, caller, fd


def states(wire: Wire) -> list[str]:
    """The states in /proc/net/tcp."""
    return sorted(line.split()[3] for line in tcp4_seq_show(wire.net).splitlines()[1:])


class TestData:
    def test_in_order(self) -> None:
        wire, caller, fd = served()
        caller.say('P.', b'one')
        caller.say('P.', b'two')
        assert wire.prog.recv(fd) == b'onetwo'

    def test_out_of_order_is_put_in_order(self) -> None:
        wire, caller, fd = served()
        for seq, data in ((11, b'C' * 10), (31, b'E' * 10), (21, b'D' * 10)):
            caller.say('P.', data, seq=seq)
            assert [s.ack - caller.isn for s in wire.take()] == [1]
        with fails('EAGAIN'):
            wire.prog.recv(fd)
        caller.say('P.', b'B' * 10, seq=1)
        assert [s.ack - caller.isn for s in wire.take()] == [41]
        assert wire.prog.recv(fd) == b'B' * 10 + b'C' * 10 + b'D' * 10 + b'E' * 10
        assert wire.net.mib.get('TcpExtTCPOFOQueue') == 3

    def test_old_data_is_acked_at_once(self) -> None:
        wire, caller, fd = served()
        caller.say('P.', b'one')
        assert wire.prog.recv(fd) == b'one'
        wire.advance(SEC)
        wire.take()
        caller.say('P.', b'one', seq=1)
        assert [caller.rel(s) for s in wire.take()] == [('.', 1, 0, 4)]
        assert wire.net.mib.get('TcpExtDelayedACKLost') == 1
        with fails('EAGAIN'):
            wire.prog.recv(fd)

    def test_overlap_is_taken_once(self) -> None:
        wire, caller, fd = served()
        caller.say('P.', b'abcdef', seq=1)
        caller.say('P.', b'efghij', seq=5)
        assert wire.prog.recv(fd) == b'abcdefghij'

    @given(st.data())
    def test_any_cutting_and_order_gives_the_same_bytes(self, data: st.DataObject) -> None:
        text = bytes(range(1, 61))
        wire, caller, fd = served()
        pieces = data.draw(st.lists(st.tuples(st.integers(0, 59), st.integers(1, 20)), min_size=5, max_size=25))
        for start, size in pieces:
            caller.say('P.', text[start:start + size], seq=1 + start)
        for start in data.draw(st.permutations(range(0, 60, 10))):
            caller.say('P.', text[start:start + 10], seq=1 + start)
        caller.nxt = 61
        caller.say('F.')
        got = b''
        while True:
            part = wire.prog.recv(fd, data.draw(st.integers(1, 30)))
            if not part:
                break
            got += part
        assert got == text
        wire.prog.close(fd)
        caller.rcv = 2
        caller.say('.')
        wire.world.sched.run()
        assert not {n for n in wire.world.slab.active() if n.startswith(('TCP', 'request', 'tcp_bind', 'tw_'))}

    def test_beyond_the_window(self) -> None:
        wire, caller, fd = served()
        caller.say('P.', b'x', seq=1_000_000)
        assert [caller.rel(s) for s in wire.take()] == [('.', 1, 0, 1)]
        with fails('EAGAIN'):
            wire.prog.recv(fd)

    def filled(self) -> tuple[Wire, Caller, int]:
        """A connection whose small receive buffer the caller has filled, as far as the window let it."""
        wire = Wire()
        listener = wire.prog.server(80, HERE)
        wire.prog.setopt(listener, SOL_SOCKET, SO_RCVBUF, 4096)
        caller = Caller(wire, 80)
        limit = 1 + caller.handshake().window
        fd = wire.prog.accept(listener)[0]
        while caller.nxt < limit:
            caller.say('P.', b'x' * min(500, limit - caller.nxt))
            if caller.nxt == limit:
                wire.advance(SEC)
            for segment in wire.take():
                limit = max(limit, segment.ack - caller.isn + segment.window)
        return wire, caller, fd

    def test_window_closes_and_opens_with_the_read(self) -> None:
        wire, caller, fd = self.filled()
        caller.say('P.', b'y')
        answer = wire.take()[-1]
        assert answer.window == 0
        assert answer.ack == caller.isn + caller.nxt - 1
        assert len(wire.prog.recv(fd, 100_000)) == caller.nxt - 2
        assert wire.take()[-1].window > 0

    def test_data_for_a_closed_window(self) -> None:
        wire, caller, fd = self.filled()
        caller.say('P.', b'y')
        mib = wire.net.mib
        assert mib.get('TcpExtTCPZeroWindowDrop') + mib.get('TcpExtBeyondWindow') + mib.get('TcpExtTCPRcvQDrop') == 1
        assert b'y' not in wire.prog.recv(fd, 100_000)

    def test_what_reaches_beyond_the_window_is_refused(self) -> None:
        wire, caller, fd = served()
        caller.say('P.', b'a')
        wire.take()
        caller.say('P.', b'b' * 1000, seq=64_000)
        assert wire.net.mib.get('TcpExtBeyondWindow') == 1
        assert [s.ack - caller.isn for s in wire.take()] == [2]

    def test_fin_out_of_order(self) -> None:
        wire, caller, fd = served()
        caller.say('F.', b'end', seq=4)
        with fails('EAGAIN'):
            wire.prog.recv(fd)
        caller.say('.', b'the', seq=1)
        assert wire.prog.recv(fd) == b'theend'
        assert wire.prog.recv(fd) == b''


class TestAcks:
    def test_first_segments_are_acked_at_once_then_every_second(self) -> None:
        wire, caller, fd = served()
        for _ in range(40):
            caller.say('.', b'x' * 1460)
            wire.prog.recv(fd)
        wire.advance(SEC)
        acks = len(wire.take())
        assert 20 <= acks <= 40

    def test_delayed_ack_after_40_ms(self) -> None:
        wire, caller, fd = served()
        wire.prog.setopt(fd, SOL_TCP, TCP_QUICKACK, 0)
        caller.say('P.', b'x')
        assert wire.take() == []
        start = wire.now
        wire.advance(SEC)
        assert [s.time - start for s in wire.take()] == [40 * MS]
        assert wire.net.mib.get('TcpExtDelayedACKs') == 1

    def test_ack_rides_on_data(self) -> None:
        wire, caller, fd = served()
        wire.prog.setopt(fd, SOL_TCP, TCP_QUICKACK, 0)
        caller.say('P.', b'ping')
        wire.prog.send(fd, b'pong')
        assert [caller.rel(s) for s in wire.take()] == [('P.', 1, 4, 5)]

    def test_ack_of_what_was_never_sent(self) -> None:
        wire, caller, fd = served()
        caller.say('P.', b'x', ack=1000)
        assert wire.net.mib.drops
        with fails('EAGAIN'):
            wire.prog.recv(fd)

    def test_too_old_ack_is_challenged(self) -> None:
        wire, caller, fd = served()
        caller.say('P.', b'x', ack=1 - 100_000)
        assert wire.net.mib.get('TcpExtTCPChallengeACK') == 1
        with fails('EAGAIN'):
            wire.prog.recv(fd)


class TestReset:
    def test_at_rcv_nxt(self) -> None:
        wire, caller, fd = served()
        caller.say('R')
        with fails('ECONNRESET'):
            wire.prog.recv(fd)
        assert wire.prog.recv(fd) == b''
        assert states(wire) == []

    def test_elsewhere_in_the_window_is_challenged(self) -> None:
        wire, caller, fd = served()
        caller.say('R', seq=100)
        assert [caller.rel(s) for s in wire.take()] == [('.', 1, 0, 1)]
        assert states(wire) == ['01']
        assert wire.net.mib.get('TcpExtTCPChallengeACK') == 1

    def test_out_of_window_is_ignored(self) -> None:
        wire, caller, fd = served()
        caller.say('R', seq=10_000_000)
        assert wire.take() == []
        assert states(wire) == ['01']

    def test_syn_on_a_connection_is_challenged(self) -> None:
        wire, caller, fd = served()
        caller.say('S', seq=5)
        assert [caller.rel(s) for s in wire.take()] == [('.', 1, 0, 1)]
        assert wire.net.mib.get('TcpExtTCPSYNChallenge') == 1
        assert states(wire) == ['01']

    def test_challenges_are_limited(self) -> None:
        wire, caller, fd = served()
        for i in range(5):
            caller.say('R', seq=100 + i)
        assert len(wire.take()) == 1
        assert wire.net.mib.get('TcpExtTCPACKSkippedChallenge') == 4

    def test_in_close_wait_it_is_epipe(self) -> None:
        wire, caller, fd = served()
        caller.say('F.')
        caller.say('R')
        assert wire.prog.getopt(fd, SOL_SOCKET, SO_ERROR) == errno.EPIPE

    def test_connection_refused(self) -> None:
        wire = Wire()
        peer = Peer(wire)
        fd = wire.prog.nonblocking(wire.prog.socket())
        with fails('EINPROGRESS'):
            wire.prog.connect(fd, THERE, peer.port)
        syn = wire.take()[0]
        peer.their_isn, peer.their_port = syn.seq, syn.sport
        peer.send('R.', seq=0, ack=1)
        with fails('ECONNREFUSED'):
            wire.prog.connect(fd, THERE, peer.port)

    def test_wrong_syn_ack_is_reset_and_the_syn_repeated(self) -> None:
        wire = Wire()
        peer = Peer(wire)
        fd = wire.prog.nonblocking(wire.prog.socket())
        with fails('EINPROGRESS'):
            wire.prog.connect(fd, THERE, peer.port)
        syn = wire.take()[0]
        peer.their_isn, peer.their_port = syn.seq, syn.sport
        peer.send('S.', seq=0, ack=4711)
        wire.advance(10 * MS)
        assert [s.flags for s in wire.take()] == ['R', 'S']
        peer.send('S.', seq=0, ack=1)
        assert [s.flags for s in wire.take()] == ['.']


class TestPaws:
    def test_old_timestamp_is_dropped_and_acked(self) -> None:
        wire, caller, fd = served(ts=1000)
        caller.ts = 2000
        caller.say('P.', b'new')
        wire.prog.recv(fd)
        wire.advance(SEC)
        wire.take()
        caller.ts = 1500
        caller.say('P.', b'old')
        assert [s.flags for s in wire.take()] == ['.']
        assert wire.net.mib.get('TcpExtPAWSEstab') == 1
        with fails('EAGAIN'):
            wire.prog.recv(fd)

    def test_after_24_days_anything_goes(self) -> None:
        wire, caller, fd = served(ts=1000)
        wire.advance(25 * 24 * 3600 * SEC)
        caller.ts = 500
        caller.say('P.', b'late')
        assert wire.prog.recv(fd) == b'late'

    def test_echo_is_of_the_segment_that_advanced(self) -> None:
        wire, caller, fd = served(ts=1000)
        caller.ts = 1100
        caller.say('P.', b'b', seq=2)
        caller.ts = 1200
        wire.take()
        caller.say('P.', b'a', seq=1)
        segment = wire.take()[-1]
        assert segment.timestamps is not None
        assert segment.timestamps[1] == 1200


class TestUrgent:
    def test_urgent_byte_is_apart(self) -> None:
        wire, caller, fd = served()
        caller.send('PU.', data=b'abcX', urg=4)
        caller.say('P.', b'def')
        assert wire.prog.recv(fd, 10, MSG_OOB) == b'X'
        assert wire.prog.recv(fd) == b'abc'
        assert wire.prog.recv(fd) == b'def'

    def test_inline(self) -> None:
        wire, caller, fd = served()
        wire.prog.setopt(fd, SOL_SOCKET, SO_OOBINLINE, 1)
        caller.send('PU.', data=b'abcX', urg=4)
        assert wire.prog.recv(fd) == b'abc'
        assert wire.prog.recv(fd) == b'X'


class TestStates:
    def test_simultaneous_open(self) -> None:
        wire = Wire()
        peer = Peer(wire)
        fd = wire.prog.nonblocking(wire.prog.socket())
        with fails('EINPROGRESS'):
            wire.prog.connect(fd, THERE, peer.port)
        syn = wire.take()[0]
        peer.their_isn, peer.their_port = syn.seq, syn.sport
        peer.send('S', seq=0, options=peer.syn_options())
        answer = wire.take()[0]
        assert peer.rel(answer) == ('S.', 0, 0, 1)
        assert states(wire) == ['03']
        peer.send('S.', seq=0, ack=1, options=peer.syn_options())
        assert states(wire) == ['01']
        peer.send('P.', data=b'hello')
        assert wire.prog.recv(fd) == b'hello'

    def test_simultaneous_open_with_a_plain_ack(self) -> None:
        wire = Wire()
        peer = Peer(wire)
        fd = wire.prog.nonblocking(wire.prog.socket())
        with fails('EINPROGRESS'):
            wire.prog.connect(fd, THERE, peer.port)
        syn = wire.take()[0]
        peer.their_isn, peer.their_port = syn.seq, syn.sport
        peer.send('S', seq=0)
        wire.take()
        peer.send('.')
        assert states(wire) == ['01']
        assert wire.prog.send(fd, b'x') == 1

    def test_they_close_first(self) -> None:
        wire, caller, fd = served()
        caller.say('F.')
        assert states(wire) == ['08']
        assert wire.prog.recv(fd) == b''
        assert wire.prog.send(fd, b'still') == 5
        wire.prog.close(fd)
        assert states(wire) == ['09']
        caller.rcv = 7
        caller.say('.')
        assert states(wire) == []

    def test_half_close(self) -> None:
        wire, caller, fd = served()
        wire.prog.shutdown(fd, SHUT_WR)
        assert states(wire) == ['04']
        with fails('EPIPE'):
            wire.prog.send(fd, b'x')
        caller.rcv = 2
        caller.say('P.', b'more')
        assert states(wire) == ['05']
        assert wire.prog.recv(fd) == b'more'
        caller.say('F.')
        assert wire.prog.recv(fd) == b''
        assert states(wire) == ['06']

    def test_fin_and_ack_of_ours_in_one(self) -> None:
        wire, caller, fd = served()
        wire.prog.shutdown(fd, SHUT_WR)
        caller.rcv = 2
        caller.say('F.', b'last')
        assert wire.prog.recv(fd) == b'last'
        assert states(wire) == ['06']

    def test_repeated_fin_in_close_wait(self) -> None:
        wire, caller, fd = served()
        caller.say('F.')
        wire.take()
        caller.say('F.', seq=1)
        assert [caller.rel(s) for s in wire.take()] == [('.', 1, 0, 2)]
        assert states(wire) == ['08']

    def test_data_after_their_fin_is_ignored(self) -> None:
        wire, caller, fd = served()
        caller.say('F.')
        wire.take()
        caller.say('P.', b'x')
        assert wire.prog.recv(fd) == b''

    def test_ack_without_flags_is_dropped(self) -> None:
        wire, caller, fd = served()
        caller.send('', data=b'x')
        with fails('EAGAIN'):
            wire.prog.recv(fd)
