# SPDX-License-Identifier: Apache-2.0
"""The hashes with socks of IPv6 in them: keys, groups of listeners, ports of connections, TIME_WAIT taken over; traces."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helpers.hosts import Alone, Pair, fails
from linnet.include.linux.in6 import IN6ADDR_LOOPBACK
from linnet.include.linux.socket import AF_INET6, SO_REUSEPORT, SOL_SOCKET
from linnet.kernel.trace import TraceSink
from linnet.net.ipv4.inet_hashtables_chain import inet6_ehashfn, inet_hashinfo
from linnet.net.ipv6.inet6_hashtables import inet6_lookup_listener

SEC = 10**9
ADDR = st.integers(0, (1 << 128) - 1)
PORT = st.integers(0, 0xFFFF)


@given(ADDR, PORT, ADDR, PORT)
def test_key_fits_an_i64_and_holds_the_ports(laddr: int, lport: int, faddr: int, fport: int) -> None:
    key = inet6_ehashfn(inet_hashinfo(Alone().net), laddr, lport, faddr, fport)
    assert 0 <= key < 1 << 63
    assert key & 0xFFFF == fport
    assert (key >> 16) & 0xFFFF == lport


def test_neighbours_have_different_keys() -> None:
    hashinfo = inet_hashinfo(Alone().net)
    keys = {inet6_ehashfn(hashinfo, 1, 80, (0xFD << 120) + i, 4000) for i in range(2000)}
    assert len(keys) == 2000


def test_reuseport_spreads_by_hash() -> None:
    prog = Alone()
    for _ in range(4):
        fd = prog.socket(family=AF_INET6)
        prog.setopt(fd, SOL_SOCKET, SO_REUSEPORT, 1)
        prog.bind(fd, '::1', 80)
        prog.listen(fd)
    chosen = [inet6_lookup_listener(prog.net, 1 + i, 4000 + i, IN6ADDR_LOOPBACK, 80, 1) for i in range(400)]
    counts = [chosen.count(sk) for sk in set(chosen)]
    assert len(counts) == 4
    assert min(counts) > 60


def test_even_ports_of_the_range_and_each_again_for_another_peer() -> None:
    pair = Pair(v6=True)
    pair.net_a.ipv4.sysctl_local_port_range = [40000, 40003]
    for port in (80, 81):
        pair.b.server(port, '::')

    def client() -> list[int]:
        return [pair.a.name(pair.a.client('fd00::2', port))[1] for port in (80, 80, 81, 81)]

    [ports] = pair.run(client, until=int(pair.world.clock.now) + SEC)
    assert isinstance(ports, list)
    assert sorted(ports[:2]) == sorted(ports[2:]) == [40000, 40002]


def test_no_port_left() -> None:
    pair = Pair(v6=True)
    pair.net_a.ipv4.sysctl_local_port_range = [40000, 40000]
    pair.b.server(80, '::')

    def client() -> None:
        pair.a.client('fd00::2', 80)
        with fails('EADDRNOTAVAIL'):
            pair.a.client('fd00::2', 80)
        pair.a.client('::ffff:10.0.0.2', 80)  # another pair of addresses

    pair.run(client, until=int(pair.world.clock.now) + SEC)


def again_over(pair: Pair, host: str, wait: int) -> object:
    """A connection to host ends, our side first, and `wait` ns later is opened again by the one port there is: the port."""
    pair.net_a.ipv4.sysctl_local_port_range = [40000, 40000]
    server = pair.a if host == '::1' else pair.b
    listener = server.server(80, '::')
    start = int(pair.world.clock.now)

    def client() -> int:
        return pair.a.client(host, 80)

    def accept() -> int:
        return server.accept(listener)[0]

    fd_a, fd_b = pair.run(client, accept, until=start + SEC)
    assert isinstance(fd_a, int)
    assert isinstance(fd_b, int)
    pair.run(lambda: pair.a.close(fd_a), until=start + 2 * SEC)
    pair.run(lambda: server.close(fd_b), until=start + 2 * SEC + wait)
    return pair.run(lambda: pair.a.name(client())[1], until=start + 2 * SEC + wait + SEC)[0]


def test_time_wait_is_reused_over_a_second_later() -> None:
    pair = Pair(v6=True)
    pair.net_a.ipv4.sysctl_tcp_tw_reuse = 1
    assert again_over(pair, 'fd00::2', SEC + 10**7) == 40000
    assert pair.net_a.mib.get('TcpExtTWRecycled') == 1


def test_by_default_over_the_loopback_alone() -> None:
    pair = Pair(v6=True)
    assert again_over(pair, '::1', SEC + 10**7) == 40000
    with fails('EADDRNOTAVAIL'):
        again_over(Pair(v6=True), 'fd00::2', SEC + 10**7)


class States(TraceSink):
    """The addresses that go with changes of state."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, object]] = []

    def event(self, name: str, fields: dict[str, object]) -> None:
        if name == 'sock:inet_sock_set_state':
            self.seen.append((fields['saddr'], fields['daddr']))


def test_traces_tell_the_addresses() -> None:
    pair = Pair(v6=True)
    states = States()
    pair.world.trace.subscribe(states)
    pair.connected(to='fd00::2')
    assert ('fd00::1', 'fd00::2') in states.seen
    assert ('fd00::2', 'fd00::1') in states.seen
