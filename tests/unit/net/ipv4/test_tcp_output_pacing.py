# SPDX-License-Identifier: Apache-2.0
"""Pacing by TCP's own timer, and by fq below it."""
from __future__ import annotations

from helpers.tcp_wire import MS, SEC, Peer, Wire
from linnet.include.linux.socket import SO_MAX_PACING_RATE, SOL_SOCKET
from linnet.include.net.inet_connection_sock import ICSK_TIME_RETRANS
from linnet.include.net.sock import SK_PACING_FQ, SK_PACING_NEEDED, SK_PACING_NONE, Socket
from linnet.include.net.tcp import TcpSock
from linnet.net.ipv4.tcp_output import tcp_tso_segs
from linnet.net.ipv4.tcp_output_pacing import tcp_reset_xmit_timer
from linnet.net.sched.sch_api import qdisc_create

RATE = 1_000_000  # bytes a second
PORTION = 2 * 1460


def connected() -> tuple[Wire, Peer, int]:
    wire = Wire()
    peer = Peer(wire, window=65535)
    return wire, peer, peer.accept(10 * MS)


def sock_of(wire: Wire, fd: int) -> TcpSock:
    """The TcpSock behind a descriptor."""
    file = wire.prog.process.files.fcheck(fd)
    assert file is not None
    socket = file.private_data
    assert isinstance(socket, Socket)
    sk = socket.sk
    assert isinstance(sk, TcpSock)
    return sk


def paced(wire: Wire, fd: int) -> TcpSock:
    """The connection, limited to RATE."""
    wire.prog.setopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, RATE)
    sk = sock_of(wire, fd)
    sk.snd_cwnd = 40
    return sk


class TestTimer:
    def test_nothing_is_paced_that_did_not_ask_for_it(self) -> None:
        wire, _, fd = connected()
        sk = sock_of(wire, fd)
        sk.snd_cwnd = 40
        start = wire.now
        wire.run(lambda: wire.prog.send(fd, bytes(40 * 1460)))
        assert (sk.sk_pacing_status, sk.pacing_timer) == (SK_PACING_NONE, None)
        assert [s.time - start for s in wire.take()] == [0] * 40
        assert sk.tcp_wstamp_ns == start

    def test_after_the_first_ten_segments_the_rate_is_kept(self) -> None:
        wire, _, fd = connected()
        sk = paced(wire, fd)
        start = wire.now
        wire.run(lambda: wire.prog.send(fd, bytes(20 * 1460)), ns=SEC)
        times = [s.time - start for s in wire.take()[:20]]
        gap = PORTION * SEC // RATE
        assert times == [0] * 10 + [gap, gap, 2 * gap, 2 * gap, 3 * gap, 3 * gap, 4 * gap, 4 * gap, 5 * gap, 5 * gap]
        assert sk.sk_pacing_status == SK_PACING_NEEDED

    def test_the_rate_may_be_taken_back(self) -> None:
        wire, peer, fd = connected()
        sk = paced(wire, fd)
        wire.run(lambda: wire.prog.send(fd, bytes(20 * 1460)), ns=SEC)
        peer.send('.', ack=1 + 20 * 1460)
        wire.take()
        wire.prog.setopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, 0xFFFFFFFF)
        sk.sk_pacing_rate = sk.sk_max_pacing_rate
        start = wire.now
        wire.run(lambda: wire.prog.send(fd, bytes(10 * 1460)))
        assert [s.time - start for s in wire.take()] == [0] * 10

    def test_a_sender_that_comes_late_makes_up_for_half_a_gap(self) -> None:
        wire, _, fd = connected()
        sk = paced(wire, fd)
        wire.run(lambda: wire.prog.send(fd, bytes(12 * 1460)), ns=20 * MS)
        before = sk.tcp_wstamp_ns
        assert before < wire.now
        wire.run(lambda: wire.prog.send(fd, bytes(2 * 1460)))
        gap = PORTION * SEC // RATE
        assert sk.tcp_wstamp_ns == wire.now + gap - gap // 2

    def test_retransmissions_are_paced_too(self) -> None:
        wire, peer, fd = connected()
        wire.net.ipv4.sysctl_tcp_early_retrans = 0
        sk = paced(wire, fd)
        wire.run(lambda: wire.prog.send(fd, bytes(20 * 1460)), ns=50 * MS)
        wire.take()
        wire.advance(250 * MS)  # the RTO: the first segment is sent again, and all else is lost
        sk.snd_cwnd = 10
        wire.take()
        start = wire.now
        peer.send('.', ack=1 + 1460)
        wire.advance(30 * MS)
        times = [s.time - start for s in wire.take()]
        gap = 1460 * SEC // RATE
        # a single segment first; the ACK came long after the RTO, so that half of its gap is made up for
        assert times[:4] == [0, gap // 2, gap // 2, gap // 2 + 2 * gap]

    def test_the_timer_goes_with_the_connection(self) -> None:
        wire, peer, fd = connected()
        sk = paced(wire, fd)
        wire.run(lambda: wire.prog.send(fd, bytes(20 * 1460)))
        timer = sk.pacing_timer
        assert timer is not None
        assert timer.armed
        wire.run(lambda: wire.prog.close(fd))
        peer.send('R.')
        assert not timer.armed

    def test_other_timers_count_from_the_departure(self) -> None:
        wire, _, fd = connected()
        sk = paced(wire, fd)
        wire.run(lambda: wire.prog.send(fd, bytes(20 * 1460)))
        delay = (sk.tcp_wstamp_ns - wire.now) // MS
        assert delay == 2
        tcp_reset_xmit_timer(sk, ICSK_TIME_RETRANS, 100, 1000)
        assert sk.icsk_timeout == wire.now + (100 + delay) * MS


class TestFq:
    def test_fq_takes_the_pacing_over(self) -> None:
        wire = Wire()
        wire.dev.no_queue = False
        qdisc_create(wire.dev, 'fq', {})
        peer = Peer(wire, window=65535)
        fd = peer.accept(10 * MS)
        sk = paced(wire, fd)
        assert sk.sk_pacing_status == SK_PACING_FQ
        start = wire.now
        wire.run(lambda: wire.prog.send(fd, bytes(20 * 1460)), ns=100 * MS)
        assert sk.pacing_timer is None
        gap = PORTION * SEC // RATE
        assert [s.time - start for s in wire.take()[:20]] == [0] * 10 + sorted(nr * gap for nr in (1, 2, 3, 4, 5) for _ in (0, 1))

    def test_the_rtt_counts_from_the_departure(self) -> None:
        wire = Wire()
        wire.dev.no_queue = False
        qdisc_create(wire.dev, 'fq', {})
        peer = Peer(wire, window=65535)
        fd = peer.accept(10 * MS)
        sk = paced(wire, fd)
        wire.run(lambda: wire.prog.send(fd, bytes(20 * 1460)), ns=100 * MS)
        last = wire.take()[-1]
        sk.rtt_min = -1
        peer.send('.', ack=1 + 20 * 1460)
        assert sk.ack_rs.rtt_us == (wire.now - last.time) // 1000


class TestAutosize:
    def test_portions_grow_with_the_rate(self) -> None:
        wire, _, fd = connected()
        sk = sock_of(wire, fd)
        sk.rtt_min = 1 << 20  # far away: only the rate counts
        sk.sk_pacing_rate = 30_000_000
        assert tcp_tso_segs(sk, 1460) == (30_000_000 >> 10) // 1460
        sk.sk_pacing_rate = 1000
        assert tcp_tso_segs(sk, 1460) == wire.net.ipv4.sysctl_tcp_min_tso_segs
        sk.sk_pacing_rate = 1 << 62
        assert tcp_tso_segs(sk, 1460) == sk.sk_gso_max_size // 1460

    def test_near_peers_get_larger_ones(self) -> None:
        wire, _, fd = connected()
        sk = sock_of(wire, fd)
        sk.sk_pacing_rate = 1000
        sk.rtt_min = 512  # 2 ** tcp_tso_rtt_log: half of the largest
        assert tcp_tso_segs(sk, 1460) == (sk.sk_gso_max_size >> 1) // 1460
