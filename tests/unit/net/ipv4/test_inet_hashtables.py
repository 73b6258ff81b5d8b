# SPDX-License-Identifier: Apache-2.0
"""Finding socks, and choosing ports for those who connect."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helpers.hosts import Alone, Pair, fails
from linnet.include.linux.inet import in_aton
from linnet.include.linux.socket import SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET
from linnet.include.net.sock import Sock
from linnet.net.ipv4.inet_hashtables import __inet_lookup_listener as lookup_listener
from linnet.net.ipv4.inet_hashtables_chain import ehash_add, ehash_del, inet_ehashfn, inet_hashinfo

SEC = 1_000_000_000


def listener_at(prog: Alone, host: str, port: int) -> Sock | None:
    return lookup_listener(prog.net, in_aton('127.0.0.9'), 4000, in_aton(host), port, 1)


class TestListener:
    def test_the_more_specific_wins(self) -> None:
        prog = Alone()
        wild = prog.socket()
        prog.bind(wild, '127.0.0.1', 80)
        prog.listen(wild)
        other = prog.server(80, '127.0.0.2')
        assert other != wild
        one = listener_at(prog, '127.0.0.1', 80)
        two = listener_at(prog, '127.0.0.2', 80)
        assert one is not None
        assert two is not None
        assert one is not two
        assert listener_at(prog, '127.0.0.3', 80) is None
        assert listener_at(prog, '127.0.0.1', 81) is None

    def test_reuseport_spreads_by_hash(self) -> None:
        prog = Alone()
        for _ in range(4):
            fd = prog.socket()
            prog.setopt(fd, SOL_SOCKET, SO_REUSEPORT, 1)
            prog.bind(fd, '127.0.0.1', 80)
            prog.listen(fd)
        chosen = [lookup_listener(prog.net, 0x7F000001 + i, 4000 + i, in_aton('127.0.0.1'), 80, 1) for i in range(400)]
        counts = [chosen.count(sk) for sk in set(chosen)]
        assert len(counts) == 4
        assert min(counts) > 60


class TestChain:
    @given(st.lists(st.integers(0, 5), max_size=40))
    def test_add_and_delete(self, keys: list[int]) -> None:
        hashinfo = inet_hashinfo(Alone().net)
        socks = []
        for key in keys:
            sk = Sock()
            ehash_add(hashinfo, sk, key)
            socks.append(sk)
        assert hashinfo.ehash_count == len(keys)
        for sk in socks[::2] + socks[1::2]:
            assert ehash_del(hashinfo, sk)
            assert not ehash_del(hashinfo, sk)
        assert hashinfo.ehash == {}
        assert hashinfo.ehash_count == 0

    @given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFF))
    def test_key_fits_an_i64_and_holds_the_ports(self, laddr: int, lport: int, faddr: int, fport: int) -> None:
        key = inet_ehashfn(inet_hashinfo(Alone().net), laddr, lport, faddr, fport)
        assert 0 <= key < 1 << 63
        assert key & 0xFFFF == fport
        assert (key >> 16) & 0xFFFF == lport


class TestConnectPorts:
    def test_even_ports_of_the_range(self) -> None:
        pair = Pair()
        pair.b.server(80, backlog=64)
        ports = []

        def client() -> None:
            for _ in range(20):
                ports.append(pair.a.name(pair.a.client('10.0.0.2', 80))[1])

        pair.run(client, until=SEC)
        assert len(set(ports)) == 20
        assert all(32768 <= p <= 60999 and p % 2 == 0 for p in ports)

    def test_where_the_search_starts_is_keyed_by_host_and_destination(self) -> None:
        """RFC 6056, 3.3.4: an outsider who connects to us learns nothing of our ports towards others."""
        def first_port(secret: int, peer: str, port: int) -> int:
            pair = Pair()
            inet_hashinfo(pair.net_a).ehash_secret = secret
            pair.b.server(port, peer)
            return int(pair.run(lambda: pair.a.name(pair.a.client(peer, port))[1], until=SEC)[0])  # type: ignore[call-overload]

        assert first_port(1, '10.0.0.2', 80) == first_port(1, '10.0.0.2', 80)
        assert len({first_port(1, '10.0.0.2', 80 + i) for i in range(8)}) == 8
        assert len({first_port(1 + i, '10.0.0.2', 80) for i in range(8)}) == 8

    def test_odd_ports_when_the_even_ones_are_taken(self) -> None:
        pair = Pair()
        pair.net_a.ipv4.sysctl_local_port_range = [40000, 40007]
        pair.b.server(80, backlog=16)

        def client() -> list[int]:
            return [pair.a.name(pair.a.client('10.0.0.2', 80))[1] for _ in range(8)]

        ports = pair.run(client, until=SEC)[0]
        assert isinstance(ports, list)
        assert sorted(ports[:4]) == [40000, 40002, 40004, 40006]
        assert sorted(ports[4:]) == [40001, 40003, 40005, 40007]

    def test_one_port_serves_several_peers(self) -> None:
        pair = Pair()
        pair.net_a.ipv4.sysctl_local_port_range = [40000, 40001]
        pair.b.server(80)
        pair.b.server(81)
        pair.b.server(82)

        def client() -> list[int]:
            return [pair.a.name(pair.a.client('10.0.0.2', port))[1] for port in (80, 81, 82)]

        assert set(pair.run(client, until=SEC)[0]) <= {40000, 40001}  # type: ignore[arg-type, call-overload]

    def test_no_port_left(self) -> None:
        pair = Pair()
        pair.net_a.ipv4.sysctl_local_port_range = [40000, 40001]
        pair.b.server(80)

        def client() -> None:
            pair.a.client('10.0.0.2', 80)
            pair.a.client('10.0.0.2', 80)
            with fails('EADDRNOTAVAIL'):
                pair.a.client('10.0.0.2', 80)

        pair.run(client, until=SEC)

    def test_time_wait_is_reused_over_a_second_later(self) -> None:
        pair = Pair()
        pair.net_a.ipv4.sysctl_local_port_range = [40000, 40000]
        pair.net_a.ipv4.sysctl_tcp_tw_reuse = 1
        fd_a, fd_b = pair.connected()
        pair.run(lambda: pair.a.close(fd_a), until=2 * SEC)
        pair.run(lambda: pair.b.close(fd_b), until=3 * SEC + 1_000_000)  # more than a second after the end
        pair.b.server(80)

        def again() -> int:
            return pair.a.name(pair.a.client('10.0.0.2', 80))[1]

        assert pair.run(again, until=6 * SEC) == [40000]
        assert pair.net_a.mib.get('TcpExtTWRecycled') == 1

    def test_who_binds_to_the_port_takes_it_from_time_wait_at_once(self) -> None:
        pair = Pair()
        pair.net_a.ipv4.sysctl_tcp_tw_reuse = 0
        listener = pair.b.server(80)

        def connect() -> int:
            fd = pair.a.socket()
            pair.a.setopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
            pair.a.bind(fd, '10.0.0.1', 40000)
            pair.a.connect(fd, '10.0.0.2', 80)
            return fd

        def accept() -> int:
            return pair.b.accept(listener)[0]

        fd_a, fd_b = pair.run(connect, accept, until=SEC)
        assert isinstance(fd_a, int)
        assert isinstance(fd_b, int)
        pair.run(lambda: pair.a.close(fd_a), until=2 * SEC)
        pair.run(lambda: pair.b.close(fd_b), until=2 * SEC + 1)
        assert isinstance(pair.run(connect, accept, until=3 * SEC)[0], int)
        assert pair.net_a.mib.get('TcpExtTWRecycled') == 1

    def test_time_wait_is_not_reused_without_leave(self) -> None:
        pair = Pair()
        pair.net_a.ipv4.sysctl_local_port_range = [40000, 40000]
        fd_a, fd_b = pair.connected()
        pair.run(lambda: pair.a.close(fd_a), until=2 * SEC)
        pair.run(lambda: pair.b.close(fd_b), until=3 * SEC)
        pair.b.server(80)

        def again() -> None:
            with fails('EADDRNOTAVAIL'):
                pair.a.client('10.0.0.2', 80)

        pair.run(again, until=6 * SEC)
