# SPDX-License-Identifier: Apache-2.0
"""Timers that give up or ask: keepalive, user timeout, orphans; and timers that meet an owned socket."""
from __future__ import annotations

from helpers.hosts import fails
from helpers.tcp_wire import MS, SEC, Peer, Wire
from linnet.include.linux.socket import SO_KEEPALIVE, SOL_SOCKET, SOL_TCP
from linnet.include.net.tcp import TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_USER_TIMEOUT


def connected(delay: int = 100 * MS) -> tuple[Wire, Peer, int]:
    """A host with a connection to the test."""
    wire = Wire()
    peer = Peer(wire)
    return wire, peer, peer.accept(delay)


def keepalive(wire: Wire, fd: int, idle: int = 10, interval: int = 2, count: int = 3) -> None:
    """Switch keepalive on."""
    wire.prog.setopt(fd, SOL_TCP, TCP_KEEPIDLE, idle)
    wire.prog.setopt(fd, SOL_TCP, TCP_KEEPINTVL, interval)
    wire.prog.setopt(fd, SOL_TCP, TCP_KEEPCNT, count)
    wire.prog.setopt(fd, SOL_SOCKET, SO_KEEPALIVE, 1)


class TestKeepalive:
    def test_probes_then_resets_and_gives_up(self) -> None:
        wire, peer, fd = connected()
        keepalive(wire, fd)
        start = wire.now

        def recv() -> None:
            with fails('ETIMEDOUT'):
                wire.prog.recv(fd)

        wire.run(recv, ns=60 * SEC)
        sent = wire.take()
        assert [peer.rel(s)[:3] for s in sent[:3]] == [('.', 0, 0)] * 3
        assert sent[3].flags == 'R.'
        assert [round((s.time - start) / SEC) for s in sent] == [10, 12, 14, 16]

    def test_an_answer_starts_it_anew(self) -> None:
        wire, peer, fd = connected()
        keepalive(wire, fd)
        start = wire.now
        wire.advance(11 * SEC)
        assert len(peer.got()) == 1
        peer.send('.')
        answered = wire.now
        wire.advance(15 * SEC)
        probes = wire.take()
        assert [round((p.time - answered) / SEC) for p in probes][:1] == [10]
        assert start < answered

    def test_off_means_silence(self) -> None:
        wire, peer, fd = connected()
        keepalive(wire, fd)
        wire.prog.setopt(fd, SOL_SOCKET, SO_KEEPALIVE, 0)
        wire.advance(100 * SEC)
        assert peer.got() == []


class TestUserTimeout:
    def test_ends_a_connection_that_is_not_acknowledged(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_TCP, TCP_USER_TIMEOUT, 3000)
        wire.run(lambda: wire.prog.send(fd, b'x'))
        start = wire.now
        ended: list[int] = []

        def recv() -> None:
            with fails('ETIMEDOUT'):
                wire.prog.recv(fd)
            ended.append(wire.now - start)

        wire.run(recv, ns=60 * SEC)
        assert 3 * SEC <= ended[0] < 3 * SEC + 400 * MS


class TestOrphans:
    def test_an_orphan_whose_peer_is_gone_ends(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.send(fd, b'x'))
        wire.run(lambda: wire.prog.close(fd))
        wire.advance(1000 * SEC)
        live = wire.world.slab.active()
        assert 'TCP' not in live
        assert 'skbuff_head_cache' not in live
        assert wire.net.mib.get('TcpExtTCPAbortOnTimeout') == 1


def test_nothing_is_pending_after_both_sides_closed() -> None:
    wire, peer, fd = connected()
    wire.run(lambda: wire.prog.close(fd))
    peer.send('F.', ack=2)
    wire.advance(100 * SEC)
    assert 'TCP' not in wire.world.slab.active()
    assert 'tw_sock_TCP' not in wire.world.slab.active()
