# SPDX-License-Identifier: Apache-2.0
"""Binding, listening and accepting: who may have a port, what the queues hold, and when a request is given up."""
from __future__ import annotations

import pytest

from helpers.hosts import Alone, Pair, fails
from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE, MS, SEC, Wire
from linnet.include.linux.socket import SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET, SOL_TCP
from linnet.include.net.tcp import TCP_DEFER_ACCEPT


class TestBind:
    def test_port_in_use(self) -> None:
        prog = Alone()
        prog.bind(prog.socket(), '0.0.0.0', 80)
        with fails('EADDRINUSE'):
            prog.bind(prog.socket(), '127.0.0.1', 80)

    def test_different_addresses_do_not_conflict(self) -> None:
        prog = Alone()
        prog.bind(prog.socket(), '127.0.0.1', 80)
        prog.bind(prog.socket(), '127.0.0.2', 80)

    def test_reuseaddr_shares_while_nobody_listens(self) -> None:
        prog = Alone()
        fds = [prog.socket() for _ in range(3)]
        for fd in fds:
            prog.setopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        prog.bind(fds[0], '0.0.0.0', 80)
        prog.bind(fds[1], '0.0.0.0', 80)
        prog.listen(fds[0])
        with fails('EADDRINUSE'):
            prog.bind(fds[2], '0.0.0.0', 80)
        with fails('EADDRINUSE'):
            prog.listen(fds[1])

    def test_reuseport_shares_among_those_who_ask(self) -> None:
        prog = Alone()
        fds = [prog.socket() for _ in range(3)]
        for fd in fds[:2]:
            prog.setopt(fd, SOL_SOCKET, SO_REUSEPORT, 1)
            prog.bind(fd, '0.0.0.0', 80)
            prog.listen(fd)
        with fails('EADDRINUSE'):
            prog.bind(fds[2], '0.0.0.0', 80)

    def test_port_zero_gives_an_odd_port_of_the_range(self) -> None:
        prog = Alone()
        ports = set()
        for _ in range(20):
            fd = prog.socket()
            prog.bind(fd, '127.0.0.1', 0)
            ports.add(prog.name(fd)[1])
        assert len(ports) == 20
        assert all(32768 <= port <= 60999 and port % 2 == 1 for port in ports)

    def test_no_port_left(self) -> None:
        prog = Alone()
        prog.net.ipv4.sysctl_local_port_range = [40000, 40003]
        for _ in range(4):
            prog.bind(prog.socket(), '127.0.0.1', 0)
        with fails('EADDRINUSE'):
            prog.bind(prog.socket(), '127.0.0.1', 0)

    def test_closing_frees_the_port(self) -> None:
        prog = Alone()
        fd = prog.socket()
        prog.bind(fd, '0.0.0.0', 80)
        prog.close(fd)
        prog.bind(prog.socket(), '0.0.0.0', 80)

    def test_nothing_is_left_behind(self) -> None:
        prog = Alone()
        before = prog.world.slab.active()
        fd = prog.server(80)
        prog.close(fd)
        assert prog.world.slab.active() == before


class TestAccept:
    def test_not_listening(self) -> None:
        prog = Alone()
        with fails('EINVAL'):
            prog.accept(prog.socket())

    def test_nonblocking_and_empty(self) -> None:
        prog = Alone()
        fd = prog.nonblocking(prog.server(80))
        with fails('EAGAIN'):
            prog.accept(fd)

    def test_first_come_first_served(self) -> None:
        pair = Pair()
        listener = pair.b.server(80)
        names = []

        def client() -> None:
            for _ in range(3):
                names.append(pair.a.name(pair.a.client('10.0.0.2', 80))[1])

        pair.run(client, until=SEC)
        assert [pair.b.accept(listener)[2] for _ in range(3)] == names

    def test_waiting_accept_gets_the_connection(self) -> None:
        pair = Pair()
        listener = pair.b.server(80)
        result = pair.run(lambda: pair.b.accept(listener)[1], lambda: pair.a.client('10.0.0.2', 80), until=SEC)
        assert result[0] == '10.0.0.1'

    def test_one_connection_wakes_one_waiter(self) -> None:
        pair = Pair()
        listener = pair.b.server(80)
        got: list[int] = []
        for _ in range(3):
            pair.world.sched.spawn(lambda: got.append(pair.b.accept(listener)[0]), 'accept', None, True)
        pair.run(lambda: pair.a.client('10.0.0.2', 80), until=SEC)
        assert len(got) == 1

    def test_closing_the_listener_resets_who_waits(self) -> None:
        pair = Pair()
        listener = pair.b.server(80)
        fd = pair.run(lambda: pair.a.client('10.0.0.2', 80), until=SEC)[0]
        assert isinstance(fd, int)
        pair.run(lambda: pair.b.close(listener), until=2 * SEC)
        with fails('ECONNRESET'):
            pair.a.recv(fd)
        pair.a.close(fd)
        leftovers = pair.leftovers()
        assert not {name for name in leftovers if name.startswith(('TCP', 'request', 'tcp_bind', 'tw_'))}


class TestQueues:
    def test_full_accept_queue_drops_the_last_ack_and_then_syns(self) -> None:
        wire = Wire()
        wire.prog.server(80, HERE, backlog=1)
        callers = [Caller(wire, 80, 4000 + i) for i in range(4)]
        for caller in callers[:2]:
            caller.handshake()
        assert callers[2].syn() is None
        mib = wire.net.mib
        assert mib.get('TcpExtListenOverflows') == 1
        assert mib.get('TcpExtListenDrops') == 1

    def test_overflow_when_the_handshake_ends(self) -> None:
        wire = Wire()
        fd = wire.prog.server(80, HERE, backlog=1)
        Caller(wire, 80, 3999).handshake()
        first, second = Caller(wire, 80, 4000), Caller(wire, 80, 4001)
        assert first.syn() is not None
        assert second.syn() is not None
        first.say('.')
        second.say('.')
        assert wire.net.mib.get('TcpExtListenOverflows') == 1
        wire.prog.accept(fd)
        wire.advance(1100 * MS)
        assert [s.flags for s in wire.take()] == ['S.']
        second.say('.')
        wire.prog.accept(fd)
        assert wire.prog.accept(fd)[2] == 4001

    def test_abort_on_overflow(self) -> None:
        wire = Wire()
        wire.net.ipv4.sysctl_tcp_abort_on_overflow = 1
        wire.prog.server(80, HERE, backlog=1)
        Caller(wire, 80, 3999).handshake()
        first, second = Caller(wire, 80, 4000), Caller(wire, 80, 4001)
        assert first.syn() is not None
        assert second.syn() is not None
        first.say('.')
        second.say('.')
        assert [s.flags for s in wire.take()] == ['R']
        assert wire.net.mib.get('TcpExtEmbryonicRsts') == 1

    def test_too_many_open_handshakes(self) -> None:
        wire = Wire()
        wire.net.ipv4.sysctl_tcp_syncookies = 0
        wire.prog.server(80, HERE, backlog=2)
        answers = [Caller(wire, 80, 4000 + i).syn() for i in range(5)]
        assert [a is not None for a in answers] == [True, True, True, False, False]
        assert wire.net.mib.get('TcpExtTCPReqQFullDrop') == 2

    def test_syn_ack_is_repeated_and_given_up(self) -> None:
        wire = Wire()
        wire.prog.server(80, HERE)
        assert Caller(wire, 80).syn() is not None
        start = wire.now
        wire.advance(100 * SEC)
        times = [round((s.time - start) / SEC) for s in wire.take() if s.flags == 'S.']
        assert times == [1, 3, 7, 15, 31]
        assert wire.net.mib.get('TcpExtTCPTimeouts') == 6
        assert 'request_sock_TCP' not in wire.world.slab.active()

    def test_repeated_syn_is_answered_at_once(self) -> None:
        wire = Wire()
        wire.prog.server(80, HERE)
        caller = Caller(wire, 80)
        first = caller.syn()
        again = caller.syn()
        assert first is not None
        assert again is not None
        assert first.seq == again.seq

    def test_defer_accept_waits_for_data(self) -> None:
        wire = Wire()
        fd = wire.prog.nonblocking(wire.prog.server(80, HERE))
        wire.prog.setopt(fd, SOL_TCP, TCP_DEFER_ACCEPT, 5)
        caller = Caller(wire, 80)
        caller.handshake()
        with fails('EAGAIN'):
            wire.prog.accept(fd)
        assert wire.net.mib.get('TcpExtTCPDeferAcceptDrop') == 1
        caller.say('P.', b'hello')
        new = wire.prog.accept(fd)[0]
        assert wire.prog.recv(new) == b'hello'

    @pytest.mark.parametrize('flags', ['R', 'R.'])
    def test_reset_of_a_request(self, flags: str) -> None:
        wire = Wire()
        wire.prog.server(80, HERE)
        caller = Caller(wire, 80)
        caller.syn()
        caller.say(flags)
        assert wire.net.mib.get('TcpExtEmbryonicRsts') == 1
        wire.advance(10 * SEC)
        assert wire.take() == []
