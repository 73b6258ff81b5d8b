# SPDX-License-Identifier: Apache-2.0
"""A lab with IPv6: addresses, routes, names, hooks and faults are those of IPv4, once more."""
from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dpkt
import pytest

from linnet import Lab
from linnet.include.linux.in6 import IPV6_MTU
from linnet.include.linux.netfilter import NFPROTO_IPV6
from linnet.lab import Host

Chain = Callable[[], tuple[Lab, Host, Host, Host]]


@pytest.fixture
def chain() -> Iterator[Chain]:
    """Makes labs of client - router - server, which are closed at the end."""
    labs: list[Lab] = []

    def make() -> tuple[Lab, Host, Host, Host]:
        lab = Lab(seed=1, ipv6=True)
        labs.append(lab)
        client, router, server = lab.host('client'), lab.router('router'), lab.host('server')
        lab.link(client, router, delay='5ms')
        lab.link(router, server, delay='5ms')
        return lab, client, router, server
    yield make
    for lab in labs:
        lab.close()


def echo() -> None:
    """Answer each line with itself, over both versions of IP."""
    listener = socket.create_server(('', 7), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        conn, _ = listener.accept()
        with conn, suppress(ConnectionResetError):
            while data := conn.recv(100):
                conn.sendall(data)


def answers(lab: Lab, host: Host, fn: Callable[[], Any]) -> Any:
    """What fn gives as a program on a host."""
    out: list[Any] = []
    host.spawn(lambda: out.append(fn()))
    lab.run()
    return out[0]


def talk(name: str) -> tuple[str, bytes]:
    with socket.create_connection((name, 7), timeout=5) as sock:
        sock.sendall(b'hello')
        return sock.getpeername()[0], sock.recv(100)


def test_a_link_has_a_subnet_of_each_family_and_routers_lead_on(chain: Chain) -> None:
    lab, client, router, server = chain()
    assert (client.addr6, server.addr6) == ('2001:2::1', '2001:2:0:1::2')
    assert repr(router) == '<Host router 198.18.0.2 2001:2::2 198.18.1.1 2001:2:0:1::1>'
    server.service(echo)
    assert answers(lab, client, lambda: talk('server')) == ('2001:2:0:1::2', b'hello')
    assert answers(lab, client, lambda: talk('198.18.1.2')) == ('198.18.1.2', b'hello')
    lab.close()
    assert lab.live_objects() == {}


def test_without_it_no_packet_of_ipv6_is_sent(tmp_path: Path) -> None:
    with Lab(seed=1) as lab:
        a, b = lab.host('a'), lab.host('b')
        lab.link(a, b, delay='1ms')
        lab.pcap(tmp_path / 'x')
        b.service(echo)
        assert answers(lab, a, lambda: talk('b')) == ('198.18.0.2', b'hello')
        local = answers(lab, a, lambda: socket.create_server(('::1', 80), family=socket.AF_INET6).getsockname())
        assert local == ('::1', 80, 0, 0)  # the loopback has it always
    with (tmp_path / 'x').open('rb') as file:
        kinds = {dpkt.ethernet.Ethernet(data).type for _, data in dpkt.pcapng.Reader(file)}
    assert kinds == {dpkt.ethernet.ETH_TYPE_IP, dpkt.ethernet.ETH_TYPE_ARP}


def test_two_runs_give_the_same_capture(chain: Chain, tmp_path: Path) -> None:
    for name in ('1', '2'):
        lab, client, _, server = chain()
        lab.pcap(tmp_path / name)
        server.service(echo)
        answers(lab, client, lambda: talk('server'))
        lab.close()
    assert (tmp_path / '1').read_bytes() == (tmp_path / '2').read_bytes()


def test_an_address_given_by_hand_turns_ipv6_on_there() -> None:
    with Lab() as lab:
        a, b = lab.host('a'), lab.host('b')
        lab.link(a, b, subnet='')
        with pytest.raises(RuntimeError, match='has no IPv6 address'):
            assert a.addr6
        a.address('eth0', '2001:db8::1/64')
        b.address('eth0', '2001:db8::2/64')
        b.address('eth0', '2001:db8::3/64')
        b.service(echo)
        assert answers(lab, a, lambda: talk('2001:db8::3')) == ('2001:db8::3', b'hello')
        assert answers(lab, a, lambda: [i[4][0] for i in socket.getaddrinfo('b', 7, type=socket.SOCK_STREAM)]) == [
            '2001:db8::2', '2001:db8::3']


def test_routes_by_hand_replace_those_of_the_lab(chain: Chain) -> None:
    lab, client, router, server = chain()
    client.route('2001:2:0:1::/64', via='2001:2::2', mtu=1400)
    server.route('default', via='2001:2:0:1::1')
    server.service(echo)

    def mtu() -> int:
        with socket.create_connection(('server', 7)) as sock:
            return sock.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU)
    assert answers(lab, client, mtu) == 1400
    client.unroute('2001:2:0:1::/64', via='2001:2::2')
    with pytest.raises(OSError, match='unreachable'):
        answers(lab, client, lambda: talk('2001:2:0:1::2'))


def test_a_link_local_address_is_told_with_its_zone() -> None:
    with Lab(ipv6=True) as lab:
        a, b = lab.host('a'), lab.host('b')
        lab.link(a, b)
        b.service(echo)
        mac = b.ports[0].dev.dev_addr
        local = f'fe80::{mac[0] ^ 2:x}{mac[1]:02x}:{mac[2]:x}ff:fe{mac[3]:02x}:{mac[4]:x}{mac[5]:02x}'
        assert answers(lab, a, lambda: talk(local + '%eth0'))[1] == b'hello'
        with pytest.raises(OSError, match='Invalid argument'):
            answers(lab, a, lambda: talk(local))


def test_a_hook_sees_both_versions_of_ip(chain: Chain) -> None:
    lab, client, router, server = chain()
    seen: set[int] = set()
    router.hook('FORWARD', lambda skb, state: seen.add(int(state.pf)))
    server.service(echo)
    answers(lab, client, lambda: (talk('server'), talk('198.18.1.2')))
    assert seen == {2, NFPROTO_IPV6}


def test_partition_and_heal(chain: Chain) -> None:
    lab, client, _, server = chain()
    server.service(echo)

    def later() -> tuple[str, bytes]:
        time.sleep(1)
        return talk('2001:2:0:1::2')
    lab.at('500ms', lab.partition, client, server, duration='4s')
    assert answers(lab, client, later) == ('2001:2:0:1::2', b'hello')
    assert lab.now > 4.5


def test_reset_and_restart(chain: Chain) -> None:
    lab, client, _, server = chain()
    server.service(echo)

    def wait() -> str:
        with socket.create_connection(('server', 7)) as sock:
            try:
                sock.recv(1)
            except ConnectionResetError:
                return 'reset'
        return 'end'
    lab.at(1, lab.reset, client, server)
    assert answers(lab, client, wait) == 'reset'
    lab.after('10ms', server.crash, duration='2s')

    def after_the_boot() -> tuple[str, bytes]:
        time.sleep(3)
        return talk('server')
    assert answers(lab, client, after_the_boot) == ('2001:2:0:1::2', b'hello')
    assert server.boots == 1


def test_asyncio_serves_both_and_the_way_that_is_down_costs_a_quarter_of_a_second(chain: Chain) -> None:
    lab, client, _, server = chain()

    async def serve() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()
        async with await asyncio.start_server(answer, None, 7) as listener:
            assert sorted(sock.getsockname()[0] for sock in listener.sockets) == ['0.0.0.0', '::']
            await listener.serve_forever()

    async def call() -> tuple[str, float]:
        start = time.monotonic()
        _, writer = await asyncio.open_connection('server', 7, happy_eyeballs_delay=0.25)
        peer = writer.get_extra_info('peername')[0]
        writer.close()
        return peer, time.monotonic() - start
    server.spawn(lambda: asyncio.run(serve()), daemon=True)
    peer, took = answers(lab, client, lambda: (time.sleep(1), asyncio.run(call()))[1])
    assert peer == '2001:2:0:1::2' and took < 0.1
    server.hook('LOCAL_IN', lambda skb, state: 0 if state.pf == NFPROTO_IPV6 and skb.ip_protocol == 6 else None)
    peer, took = answers(lab, client, lambda: asyncio.run(call()))
    assert peer == '198.18.1.2' and 0.25 < took < 0.35


def test_a_name_server_answers_for_both(chain: Chain) -> None:
    lab, client, _, server = chain()
    lab.dns(server, {'both.example': ['192.0.2.1', '2001:db8::1'], 'six.example': '2001:db8::6'})
    six = answers(lab, client, lambda: [i[4][0] for i in socket.getaddrinfo('six.example', 1, type=socket.SOCK_STREAM)])
    both = answers(lab, client, lambda: {i[4][0] for i in socket.getaddrinfo('both.example', 1, type=socket.SOCK_STREAM)})
    assert (six, both) == (['2001:db8::6'], {'192.0.2.1', '2001:db8::1'})
    assert answers(lab, client, lambda: socket.getnameinfo(('2001:2:0:1::2', 7), 0)[0]) == 'server'
    client.nameserver(server.addr6)
    assert answers(lab, client, lambda: socket.gethostbyname('both.example')) == '192.0.2.1'


def test_when_the_subnets_are_used_up() -> None:
    lab = Lab(ipv6=True, subnets6='2001:db8::/64')
    hosts = [lab.host(name) for name in 'abc']
    lab.link(hosts[0], hosts[1])
    with pytest.raises(ValueError, match='no IPv6 subnet is left'):
        lab.link(hosts[1], hosts[2])
    with pytest.raises(ValueError, match='no room'):
        Lab(subnets6='2001:db8::/65')
