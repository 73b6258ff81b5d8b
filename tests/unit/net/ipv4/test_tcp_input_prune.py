# SPDX-License-Identifier: Apache-2.0
"""A full receive buffer: copied together, then dropped from the far end; TCP's memory as a whole."""
from __future__ import annotations

import pytest

from helpers.tcp_sack import SackCaller
from helpers.tcp_wire import HERE, MS, Wire
from linnet.include.linux.skbuff import SkBuffHead
from linnet.include.net.tcp import TcpSock
from linnet.net.ipv4 import tcp_input_prune as prune
from linnet.net.ipv4.tcp_ipv4_proc import tcp_seq_socks

SOL_SOCKET, SO_RCVBUF = 1, 8


def receiver(rcvbuf: int = 0) -> tuple[Wire, SackCaller, int, TcpSock]:
    """A connection that was accepted, with a receive buffer of twice rcvbuf."""
    wire = Wire(sack=True)
    listener = wire.prog.server(80, HERE)
    if rcvbuf:
        wire.prog.setopt(listener, SOL_SOCKET, SO_RCVBUF, rcvbuf)
    caller = SackCaller(wire, 80)
    caller.handshake()
    fd = wire.prog.nonblocking(wire.prog.accept(listener)[0])
    wire.prog.close(listener)
    [sk] = [sk for sk in tcp_seq_socks(wire.net) if isinstance(sk, TcpSock) and sk.sk_dport]
    wire.take()
    return wire, caller, fd, sk


def queue_of(head: object) -> list[tuple[int, int]]:
    """(seq, end_seq) of each skb of a queue, relative to the peer's first byte."""
    found = []
    assert isinstance(head, SkBuffHead)
    skb = head.next
    while skb is not None:
        found.append((int(skb.seq) - 5001, int(skb.end_seq) - 5001))
        skb = skb.next
    return found


def text(n: int) -> bytes:
    """n bytes that tell their place."""
    return bytes(i * 7 & 0xFF for i in range(n))


def fill(caller: SackCaller, data: bytes, *ranges: tuple[int, int]) -> None:
    """Send ranges of data."""
    for a, b in ranges:
        caller.say('.', data[a:b], seq=1 + a)


class TestCollapse:
    def test_small_segments_become_one(self) -> None:
        wire, caller, fd, sk = receiver()
        data = text(2000)
        fill(caller, data, *[(a, a + 400) for a in range(0, 2000, 400)])
        before = int(sk.sk_rmem_alloc)
        count = len(queue_of(sk.sk_receive_queue))
        assert count > 1
        head = sk.sk_receive_queue.next
        assert head is not None
        prune.tcp_collapse(sk, sk.sk_receive_queue, head, None, sk.copied_seq, sk.rcv_nxt)
        assert queue_of(sk.sk_receive_queue) == [(0, 2000)]
        assert sk.sk_rmem_alloc < before
        assert wire.net.mib.get('TcpExtTCPRcvCollapsed') == count
        assert wire.prog.recv(fd) == data
        assert sk.sk_rmem_alloc == 0

    def test_what_was_read_is_left_out(self) -> None:
        wire, caller, fd, sk = receiver()
        data = text(1600)
        fill(caller, data, (0, 400), (400, 800), (800, 1600))
        assert wire.prog.recv(fd, 500) == data[:500]
        head = sk.sk_receive_queue.next
        assert head is not None
        prune.tcp_collapse(sk, sk.sk_receive_queue, head, None, sk.copied_seq, sk.rcv_nxt)
        assert queue_of(sk.sk_receive_queue)[0][0] == 500
        assert wire.prog.recv(fd) == data[500:]

    def test_more_than_a_page_takes_several(self) -> None:
        wire, caller, fd, sk = receiver()
        data = text(9000)
        fill(caller, data, *[(a, a + 300) for a in range(0, 9000, 300)])
        head = sk.sk_receive_queue.next
        assert head is not None
        prune.tcp_collapse(sk, sk.sk_receive_queue, head, None, sk.copied_seq, sk.rcv_nxt)
        assert queue_of(sk.sk_receive_queue) == [(0, 3776), (3776, 7552), (7552, 9000)]
        assert wire.prog.recv(fd) == data

    def test_a_fin_stays(self) -> None:
        wire, caller, fd, sk = receiver()
        data = text(1200)
        fill(caller, data, (0, 400), (400, 800))
        caller.say('F.', data[800:], seq=801)
        head = sk.sk_receive_queue.next
        assert head is not None
        prune.tcp_collapse(sk, sk.sk_receive_queue, head, None, sk.copied_seq, sk.rcv_nxt)
        assert queue_of(sk.sk_receive_queue)[-1] == (800, 1201)
        assert wire.prog.recv(fd) == data
        assert wire.prog.recv(fd) == b''

    def test_ranges_out_of_order(self) -> None:
        wire, caller, fd, sk = receiver()
        data = text(6000)
        fill(caller, data, (400, 800), (800, 1200), (1200, 1600), (3000, 3400), (5000, 5400), (5400, 5800))
        prune.tcp_collapse_ofo_queue(sk)
        assert queue_of(sk.out_of_order_queue) == [(400, 1600), (3000, 3400), (5000, 5800)]
        fill(caller, data, (0, 400), (1600, 3000), (3400, 5000), (5800, 6000))
        assert wire.prog.recv(fd) == data
        assert sk.sk_rmem_alloc == 0

    def test_full_buffer_is_collapsed_before_anything_is_dropped(self) -> None:
        wire, caller, fd, sk = receiver(4096)
        data = text(2800)
        fill(caller, data, *[(a, a + 330) for a in range(330, 2640, 330)])
        fill(caller, data, (0, 330))
        mib = wire.net.mib
        assert mib.get('TcpExtPruneCalled') >= 1
        assert mib.get('TcpExtTCPRcvCollapsed') >= 5
        assert mib.get('TcpExtOfoPruned') == 0
        assert wire.prog.recv(fd) == data[:2640]


class TestPrune:
    def test_the_farthest_goes_first(self) -> None:
        wire, caller, fd, sk = receiver(2048)
        data = text(1500)
        fill(caller, data, *[(a, a + 100) for a in range(100, 900, 200)])
        fill(caller, data, (900, 910), (0, 100))
        mib = wire.net.mib
        assert mib.get('TcpExtOfoPruned') == 1
        assert (900, 910) not in queue_of(sk.out_of_order_queue)
        assert sk.rcv_nxt == 5001 + 200
        assert wire.prog.recv(fd) == data[:200]

    def test_nothing_before_the_new_one_goes(self) -> None:
        wire, caller, _, sk = receiver(2048)
        data = text(1500)
        fill(caller, data, *[(a, a + 100) for a in range(100, 1100, 200)])
        held = queue_of(sk.out_of_order_queue)
        fill(caller, data, (1300, 1310))
        assert queue_of(sk.out_of_order_queue) == held
        assert wire.net.mib.get('TcpExtTCPOFODrop') == 1
        assert wire.net.mib.get('TcpExtRcvPruned') == 1

    def test_sacks_are_forgotten_with_it(self) -> None:
        wire, caller, _, sk = receiver(2048)
        data = text(1500)
        fill(caller, data, *[(a, a + 100) for a in range(100, 900, 200)], (900, 910))
        assert len(sk.selective_acks) == 8
        wire.take()
        fill(caller, data, (0, 100))
        assert wire.net.mib.get('TcpExtOfoPruned') == 1
        assert sk.selective_acks == []


class TestMemory:
    def limits(self, wire: Wire, low: int, pressure: int, high: int) -> None:
        wire.net.ipv4.sysctl_tcp_mem[:] = [low, pressure, high]

    def test_pressure_is_entered_left_and_timed(self) -> None:
        wire, caller, fd, sk = receiver()
        self.limits(wire, 2, 4, 1000)
        data = text(30_000)
        fill(caller, data, *[(a, a + 1000) for a in range(0, 30_000, 1000)])
        mib = wire.net.mib
        assert sk.sk_prot.mem.memory_pressure
        assert mib.get('TcpExtTCPMemoryPressures') == 1
        assert sk.rcv_ssthresh <= 65535
        wire.advance(250 * MS)
        assert wire.prog.recv(fd, 100_000) == data
        wire.prog.close(fd)
        assert not sk.sk_prot.mem.memory_pressure
        assert mib.get('TcpExtTCPMemoryPressuresChrono') == 250
        assert mib.get('TcpExtTCPMemoryPressures') == 1

    def test_hard_limit_refuses_data(self) -> None:
        wire, caller, fd, _ = receiver()
        self.limits(wire, 1, 2, 3)
        data = text(30_000)
        fill(caller, data, *[(a, a + 1000) for a in range(0, 30_000, 1000)])
        mib = wire.net.mib
        assert mib.get('TcpExtTCPRcvQDrop') > 0
        got = wire.prog.recv(fd, 100_000)
        assert 0 < len(got) < 30_000
        assert data.startswith(got)

    def test_no_memory_is_a_closed_window(self) -> None:
        wire, caller, _, _ = receiver()
        self.limits(wire, 1, 2, 3)
        data = text(30_000)
        fill(caller, data, *[(a, a + 1000) for a in range(0, 30_000, 1000)])
        assert 0 in [segment.window for segment in wire.take()]

    @pytest.mark.parametrize('orphans', [0, 10])
    def test_orphans_beyond_the_limit_are_reset(self, orphans: int) -> None:
        wire, _, fd, _ = receiver()
        wire.net.ipv4.sysctl_tcp_max_orphans = orphans
        wire.prog.send(fd, b'x' * 1000)
        wire.take()
        wire.prog.close(fd)
        flags = [s.flags for s in wire.take()]
        assert ('R.' in flags) == (orphans == 0)
        assert wire.net.mib.get('TcpExtTCPAbortOnMemory') == (1 if orphans == 0 else 0)
