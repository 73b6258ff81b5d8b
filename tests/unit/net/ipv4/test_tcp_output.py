# SPDX-License-Identifier: Apache-2.0
"""The sending side of TCP against a peer that the test plays by hand."""
from __future__ import annotations

import pytest

from helpers.hosts import fails
from helpers.tcp_wire import MS, SEC, THERE, Peer, Wire
from linnet.include.linux.socket import (
    MSG_DONTWAIT,
    MSG_EOR,
    MSG_MORE,
    MSG_OOB,
    SHUT_WR,
    SO_LINGER,
    SO_SNDBUF,
    SOL_SOCKET,
    SOL_TCP,
)
from linnet.include.net.tcp import TCP_CORK, TCP_MAXSEG, TCP_NODELAY, TCP_QUICKACK


def connected(delay: int = 0, window: int = 65535, **options: object) -> tuple[Wire, Peer, int]:
    """A host with a connection to the test."""
    wire = Wire(**options)  # type: ignore[arg-type]
    peer = Peer(wire, window=window)
    return wire, peer, peer.accept(delay)


class TestOpen:
    def test_syn_offers_mss_and_window_scale(self) -> None:
        wire = Wire()
        wire.prog.nonblocking(fd := wire.prog.socket())
        wire.run(lambda: pytest.raises(BlockingIOError, wire.prog.connect, fd, THERE, 80))
        syn = wire.take()[0]
        assert syn.flags == 'S'
        assert syn.window == 64240
        assert syn.options == bytes.fromhex('020405b4 0103030a')

    def test_syn_offers_timestamps(self) -> None:
        wire = Wire(timestamps=True)
        wire.prog.nonblocking(fd := wire.prog.socket())
        wire.run(lambda: pytest.raises(BlockingIOError, wire.prog.connect, fd, THERE, 80))
        syn = wire.take()[0]
        assert syn.options[:4] == bytes.fromhex('020405b4')
        assert syn.timestamps is not None
        assert syn.timestamps[1] == 0
        assert syn.options[-4:] == bytes.fromhex('0103030a')

    def test_small_user_mss_goes_into_the_syn(self) -> None:
        wire = Wire()
        fd = wire.prog.nonblocking(wire.prog.socket())
        wire.prog.setopt(fd, SOL_TCP, TCP_MAXSEG, 1000)
        wire.run(lambda: pytest.raises(BlockingIOError, wire.prog.connect, fd, THERE, 80))
        assert wire.take()[0].options[:4] == bytes.fromhex('020403e8')

    def test_syn_is_repeated_four_times_a_second_apart_then_doubling(self) -> None:
        wire = Wire()
        start = wire.now

        def connect() -> None:
            with fails('ETIMEDOUT'):
                wire.prog.connect(wire.prog.socket(), THERE, 80)

        wire.run(connect, ns=200 * SEC)
        times = [(s.time - start) // SEC for s in wire.take()]
        assert times == [0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67]


class TestNagle:
    def test_a_small_segment_waits_for_the_ack_of_an_earlier_one(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.send(fd, b'a' * 100))
        wire.run(lambda: wire.prog.send(fd, b'b' * 100))
        assert peer.got() == [('P.', 1, 100, 1)]
        peer.send('.', ack=101)
        assert peer.got() == [('P.', 101, 100, 1)]

    def test_nodelay_sends_at_once(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_TCP, TCP_NODELAY, 1)
        wire.run(lambda: wire.prog.send(fd, b'a' * 100))
        wire.run(lambda: wire.prog.send(fd, b'b' * 100))
        assert peer.got() == [('P.', 1, 100, 1), ('P.', 101, 100, 1)]

    def test_setting_nodelay_sends_what_waits(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.send(fd, b'a' * 100))
        wire.run(lambda: wire.prog.send(fd, b'b' * 100))
        peer.got()
        wire.run(lambda: wire.prog.setopt(fd, SOL_TCP, TCP_NODELAY, 1))
        assert peer.got() == [('P.', 101, 100, 1)]

    def test_a_full_segment_does_not_wait(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.send(fd, b'a' * 100))
        wire.run(lambda: wire.prog.send(fd, b'b' * 1460))
        assert [s[:3] for s in peer.got()] == [('P.', 1, 100), ('P.', 101, 1460)]

    def test_cork_holds_a_partial_segment_until_it_is_pulled(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_TCP, TCP_CORK, 1)
        wire.run(lambda: wire.prog.send(fd, b'a' * 100))
        wire.run(lambda: wire.prog.send(fd, b'b' * 100))
        assert peer.got() == []
        wire.run(lambda: wire.prog.setopt(fd, SOL_TCP, TCP_CORK, 0))
        assert peer.got() == [('P.', 1, 200, 1)]

    def test_a_cork_is_pushed_after_200_ms(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_TCP, TCP_CORK, 1)
        wire.run(lambda: wire.prog.send(fd, b'a' * 100))
        wire.advance(190 * MS)
        assert peer.got() == []
        wire.advance(20 * MS)
        assert peer.got() == [('P.', 1, 100, 1)]

    def test_more_joins_writes_into_one_segment(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.send(fd, b'a' * 100, MSG_MORE))
        assert peer.got() == []
        wire.run(lambda: wire.prog.send(fd, b'b' * 100))
        assert peer.got() == [('P.', 1, 200, 1)]


class TestSegments:
    def test_initial_window_is_ten_segments(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.send(fd, bytes(20 * 1460)))
        got = peer.got()
        assert [(seq, length) for _, seq, length, _ in got] == [(1 + 1460 * i, 1460) for i in range(10)]

    def test_bytes_arrive_as_sent(self) -> None:
        wire, peer, fd = connected()
        data = bytes(range(256)) * 50
        wire.run(lambda: wire.prog.send(fd, data))
        assert b''.join(s.data for s in wire.take()) == data

    def test_psh_is_on_the_end_of_a_write(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.send(fd, bytes(2 * 1460 + 10)))
        assert [s[0] for s in peer.got()] == ['.', '.', 'P.']

    def test_eor_ends_a_segment(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.send(fd, b'a' * 1460))
        wire.run(lambda: wire.prog.send(fd, b'b' * 50, MSG_EOR))
        wire.run(lambda: wire.prog.send(fd, b'c' * 50))
        peer.got()
        peer.send('.', ack=1461)
        peer.send('.', ack=1511)
        assert [s[1:3] for s in peer.got()] == [(1511, 50)]

    def test_peers_window_is_the_limit(self) -> None:
        wire, peer, fd = connected(window=4000)
        wire.run(lambda: wire.prog.nonblocking(fd))
        wire.run(lambda: wire.prog.send(fd, bytes(20000)))
        got = peer.got()
        assert sum(length for _, _, length, _ in got) <= 4000
        assert all(length == 1460 for _, _, length, _ in got[:2])

    def test_half_of_the_largest_window_bounds_the_mss(self) -> None:
        wire, peer, fd = connected(window=2000)
        wire.run(lambda: wire.prog.nonblocking(fd))
        wire.run(lambda: wire.prog.send(fd, bytes(5000)))
        assert [s[1:3] for s in peer.got()] == [(1, 1000), (1001, 1000)]

    def test_what_waits_behind_fills_a_super_segment_up_to_the_window(self) -> None:
        wire, peer, fd = connected(window=4000)
        wire.run(lambda: wire.prog.send(fd, bytes(20000)))
        assert [s[1:3] for s in peer.got()] == [(1, 1460), (1461, 1460)]
        peer.send('.', ack=1461, window=4000)
        assert peer.got() == [('.', 2921, 1460, 1), ('P.', 4381, 1080, 1)]
        peer.send('.', ack=5461, window=4000)
        assert [s[1:3] for s in peer.got()] == [(5461, 1460), (6921, 1460), (8381, 1080)]

    def test_super_segments_go_down_whole_to_a_device_that_cuts_them(self) -> None:
        wire, peer, fd = connected(tso=True)
        wire.run(lambda: wire.prog.send(fd, bytes(10 * 1460)))
        sizes = [length for _, _, length, _ in peer.got()]
        assert sum(sizes) == 14600
        assert max(sizes) > 1460

    def test_urgent_pointer(self) -> None:
        wire, _, fd = connected()
        wire.run(lambda: wire.prog.send(fd, b'abc', MSG_OOB))
        segment = wire.take()[0]
        assert segment.flags == 'PU.'
        assert segment.urg_ptr == 3


class TestWindowProbes:
    def test_a_closed_window_is_probed_ever_more_seldom(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.send(fd, bytes(1000)))
        peer.got()
        peer.send('.', ack=1001, window=0)
        wire.run(lambda: wire.prog.send(fd, bytes(1000)))
        assert peer.got() == []
        start = wire.now
        wire.advance(4 * SEC)
        probes = wire.take()
        assert [peer.rel(p)[:3] for p in probes] == [('.', 1000, 0)] * 4
        assert [(p.time - start) // MS for p in probes] == [200, 600, 1400, 3000]

    def test_an_opened_window_ends_the_probes(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.send(fd, bytes(1000)))
        peer.send('.', ack=1001, window=0)
        wire.run(lambda: wire.prog.send(fd, bytes(500)))
        wire.advance(SEC)
        peer.got()
        peer.send('.', ack=1001, window=10000)
        assert peer.got() == [('P.', 1001, 500, 1)]
        peer.send('.', ack=1501, window=10000)
        wire.advance(100 * SEC)
        assert peer.got() == []


class TestRetransmission:
    def test_rto_doubles(self) -> None:
        wire, peer, fd = connected(delay=100 * MS)
        wire.run(lambda: wire.prog.send(fd, b'x' * 100))
        start = wire.take()[0].time
        wire.advance(5 * SEC)
        again = wire.take()
        assert [(s.time - start) // MS for s in again] == [300, 900, 2100, 4500]
        assert [peer.rel(s)[1:3] for s in again] == [(1, 100)] * 4

    def test_after_retries2_the_connection_ends_with_etimedout(self) -> None:
        wire, peer, fd = connected(delay=100 * MS)
        wire.net.ipv4.sysctl_tcp_retries2 = 3
        wire.run(lambda: wire.prog.send(fd, b'x' * 100))

        def recv() -> None:
            with fails('ETIMEDOUT'):
                wire.prog.recv(fd)

        wire.run(recv, ns=100 * SEC)
        assert wire.net.mib.get('TcpExtTCPAbortOnTimeout') == 1

    def test_only_what_is_not_acknowledged_is_sent_again(self) -> None:
        wire, peer, fd = connected(delay=100 * MS)
        wire.run(lambda: wire.prog.send(fd, b'x' * 1000))
        peer.got()
        peer.send('.', ack=401)
        wire.advance(400 * MS)
        assert peer.got() == [('P.', 401, 600, 1)]

    def test_small_segments_are_joined_when_sent_again(self) -> None:
        wire, peer, fd = connected(delay=100 * MS)
        wire.prog.setopt(fd, SOL_TCP, TCP_NODELAY, 1)
        for _ in range(3):
            wire.run(lambda: wire.prog.send(fd, b'x' * 100))
        assert len(peer.got()) == 3
        wire.advance(310 * MS)
        assert peer.got() == [('P.', 1, 300, 1)]
        peer.send('.', ack=301)
        wire.advance(10 * SEC)
        assert peer.got() == []


class TestAcks:
    def test_first_segments_are_acknowledged_at_once(self) -> None:
        wire, peer, _ = connected()
        peer.send('P.', data=b'x' * 1460)
        assert peer.got() == [('.', 1, 0, 1461)]

    def test_a_reply_carries_the_ack(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.setopt(fd, SOL_TCP, TCP_QUICKACK, 0))
        peer.send('P.', data=b'ask')
        wire.run(lambda: wire.prog.recv(fd))
        wire.run(lambda: wire.prog.send(fd, b'answer'))
        assert peer.got() == [('P.', 1, 6, 4)]

    def test_a_delayed_ack_goes_after_40_ms(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.setopt(fd, SOL_TCP, TCP_QUICKACK, 0))
        peer.send('P.', data=b'ask')
        start = wire.now
        wire.advance(SEC)
        acks = wire.take()
        assert [peer.rel(a) for a in acks] == [('.', 1, 0, 4)]
        assert (acks[0].time - start) // MS == 40


class TestClose:
    def test_close_sends_fin_behind_the_data(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.send(fd, b'last words'))
        wire.run(lambda: wire.prog.close(fd))
        assert peer.got() == [('P.', 1, 10, 1), ('F.', 11, 0, 1)]

    def test_fin_rides_on_data_that_waits(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.send(fd, b'one'))
        wire.run(lambda: wire.prog.send(fd, b'two'))
        wire.run(lambda: wire.prog.shutdown(fd, SHUT_WR))
        assert peer.got() == [('P.', 1, 3, 1), ('FP.', 4, 3, 1)]

    def test_close_with_unread_data_resets(self) -> None:
        wire, peer, fd = connected()
        peer.send('P.', data=b'never read')
        peer.got()
        wire.run(lambda: wire.prog.close(fd))
        assert [s[0] for s in peer.got()] == ['R.']
        assert wire.net.mib.get('TcpExtTCPAbortOnClose') == 1

    def test_linger_of_zero_resets(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_SOCKET, SO_LINGER, (1).to_bytes(4, 'little') + (0).to_bytes(4, 'little'))
        wire.run(lambda: wire.prog.close(fd))
        assert [s[0] for s in peer.got()] == ['R.']

    def test_linger_waits_for_the_ack(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_SOCKET, SO_LINGER, (1).to_bytes(4, 'little') + (5).to_bytes(4, 'little'))
        done: list[int] = []

        def close() -> None:
            wire.prog.close(fd)
            done.append(wire.now)

        wire.run(close, ns=SEC)
        assert not done
        peer.send('.', ack=2)
        assert len(done) == 1

    def test_linger_ends_after_its_time(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_SOCKET, SO_LINGER, (1).to_bytes(4, 'little') + (5).to_bytes(4, 'little'))
        start = wire.now
        done: list[int] = []

        def close() -> None:
            wire.prog.close(fd)
            done.append(wire.now - start)

        wire.run(close, ns=20 * SEC)
        assert done == [5 * SEC]

    def test_send_after_shutdown_is_epipe(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.shutdown(fd, SHUT_WR))

        def send() -> None:
            with fails('EPIPE'):
                wire.prog.send(fd, b'x')

        wire.run(send)

    def test_send_after_a_reset_is_econnreset_then_epipe(self) -> None:
        wire, peer, fd = connected()
        peer.send('R', seq=1)

        def send() -> None:
            with fails('ECONNRESET'):
                wire.prog.send(fd, b'x')
            with fails('EPIPE'):
                wire.prog.send(fd, b'x')

        wire.run(send)

    def test_an_orphan_leaves_fin_wait2_after_tcp_fin_timeout(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.close(fd))
        peer.send('.', ack=2)
        wire.advance(59 * SEC)
        assert wire.world.slab.active().get('tw_sock_TCP') == 1
        wire.advance(2 * SEC)
        assert 'tw_sock_TCP' not in wire.world.slab.active()
        assert 'TCP' not in wire.world.slab.active()


class TestSendBuffer:
    def test_send_blocks_until_an_ack_makes_room(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_SOCKET, SO_SNDBUF, 10000)
        sent: list[int] = []

        def send() -> None:
            sent.append(wire.prog.send(fd, bytes(60000)))

        wire.run(send)
        acked = 1
        for _ in range(200):
            if sent:
                break
            for _, seq, length, _ in peer.got():
                acked = max(acked, seq + length)
            peer.send('.', ack=acked)
        assert sent == [60000]

    def test_dontwait_takes_what_fits(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_SOCKET, SO_SNDBUF, 10000)
        results = wire.run(lambda: wire.prog.send(fd, bytes(200000), MSG_DONTWAIT))
        assert isinstance(results[0], int)
        assert 0 < results[0] < 200000

        def again() -> None:
            with fails('EAGAIN'):
                wire.prog.send(fd, b'x', MSG_DONTWAIT)

        wire.run(again)

    def test_packets_held_by_the_device_hold_back_more(self) -> None:
        wire, peer, fd = connected(tso=True)
        wire.net.ipv4.sysctl_tcp_limit_output_bytes = 5000
        wire.hold = True
        wire.run(lambda: wire.prog.send(fd, bytes(10 * 1460)))
        first = sum(length for _, _, length, _ in peer.got())
        assert first < 10 * 1460
        wire.hold = False
        wire.release()
        wire.advance(MS)
        rest = sum(length for _, _, length, _ in peer.got())
        assert first + rest == 10 * 1460


class TestEcn:
    def ecn(self) -> tuple[Wire, Peer, int]:
        """A connection with ECN."""
        wire = Wire()
        wire.net.ipv4.sysctl_tcp_ecn = 1
        peer = Peer(wire)
        return wire, peer, peer.accept(flags='SE.')

    def test_the_syn_asks_and_data_is_marked_capable(self) -> None:
        wire, peer, fd = self.ecn()
        wire.run(lambda: wire.prog.send(fd, b'x' * 100))
        assert wire.take()[0].tos & 3 == 2

    def test_a_pure_ack_is_not_capable(self) -> None:
        wire, peer, fd = self.ecn()
        wire.run(lambda: wire.prog.send(fd, b'x'))
        wire.take()
        peer.send('P.', ack=2, data=b'y' * 1460)
        assert [s.tos & 3 for s in wire.take()] == [0]

    def test_congestion_is_echoed_until_cwr(self) -> None:
        wire, peer, fd = self.ecn()
        peer.send('P.', data=b'y' * 1460, tos=2)
        peer.send('P.', data=b'y' * 1460, tos=3)
        assert 'E' in wire.take()[-1].flags
        peer.send('PW.', data=b'y' * 1460, tos=2)
        assert 'E' not in wire.take()[-1].flags

    def test_an_echo_halves_the_window_and_is_confirmed_once(self) -> None:
        wire, peer, fd = self.ecn()
        wire.run(lambda: wire.prog.send(fd, bytes(10 * 1460)))
        wire.take()
        peer.send('E.', ack=1461)
        wire.run(lambda: wire.prog.send(fd, bytes(20 * 1460), MSG_DONTWAIT))
        for i in range(2, 11):
            peer.send('.', ack=1 + 1460 * i)
        flags = [s.flags for s in wire.take()]
        assert sum('W' in f for f in flags) == 1

    def test_a_repeated_syn_does_not_ask(self) -> None:
        wire = Wire()
        wire.net.ipv4.sysctl_tcp_ecn = 1
        fd = wire.prog.nonblocking(wire.prog.socket())
        wire.run(lambda: pytest.raises(BlockingIOError, wire.prog.connect, fd, THERE, 80))
        wire.advance(1500 * MS)
        assert [s.flags for s in wire.take()] == ['SEW', 'S']
