# SPDX-License-Identifier: Apache-2.0
"""program/dns.py: the name server of a lab, and getaddrinfo() and friends over the wire."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linnet import Lab
from linnet.lab import Host
from linnet.program import dns
from linnet.program.hosts import HostTable

RECORDS = {'www.example.org': '198.18.7.7', 'mirror.example.org': 'www.example.org', 'many': [f'10.0.{i}.1' for i in range(40)],
           'twice': ['10.1.0.1', '10.1.0.2'], 'loop': 'loop2', 'loop2': 'loop'}


class Net:
    """client, ns and web around a hub, 5 ms each way and link."""

    def __init__(self) -> None:
        self.lab = Lab(seed=3)
        hub = self.lab.router('hub')
        self.client, self.ns, self.web = (self.lab.host(name) for name in ('client', 'ns', 'web'))
        self.links = [self.lab.link(host, hub, delay='5ms') for host in (self.client, self.ns, self.web)]
        self.lab.dns(self.ns, RECORDS, ttl=30)

    def ask(self, fn: Callable[..., Any], *args: Any, host: Host | None = None) -> Any:
        """What a program on the client gets, or the error: (its type's name, its number)."""
        out: list[Any] = []

        def program() -> None:
            try:
                out.append(fn(*args))
            except OSError as exc:
                out.append((type(exc).__name__, exc.errno))

        (host or self.client).spawn(program)
        self.lab.run()
        return out[0]


@pytest.fixture
def net() -> Iterator[Net]:
    net = Net()
    yield net
    net.lab.close()
    assert net.lab.live_objects() == {}


def test_getaddrinfo_asks_on_the_wire(net: Net, tmp_path: Path) -> None:
    net.lab.pcap(tmp_path / 'x', net.ns.port('hub'))
    info = net.ask(lambda: socket.getaddrinfo('web', 80, type=socket.SOCK_STREAM))
    assert info == [(socket.AF_INET, socket.SOCK_STREAM, 6, '', ('198.18.2.1', 80))]
    assert net.lab.now > 0.02
    net.lab.close()
    with (tmp_path / 'x').open('rb') as file:
        frames = [dpkt.ethernet.Ethernet(data) for _, data in dpkt.pcapng.Reader(file)]
    messages = [dpkt.dns.DNS(frame.data.data.data) for frame in frames if isinstance(frame.data, dpkt.ip.IP)]
    assert [message.qr for message in messages] == [0, 1]
    assert messages[0].qd[0].name == 'web' and messages[0].qd[0].type == dpkt.dns.DNS_A
    assert messages[1].id == messages[0].id and messages[1].aa and messages[1].an[0].ip == bytes([198, 18, 2, 1])
    assert messages[1].an[0].ttl == 30


@pytest.mark.parametrize(('name', 'found'), [
    ('www.example.org', ['198.18.7.7']), ('WWW.example.org.', ['198.18.7.7']), ('mirror.example.org', ['198.18.7.7']),
    ('twice', ['10.1.0.1', '10.1.0.2']), ('many', RECORDS['many']), ('client', ['198.18.0.1']), ('10.9.8.7', ['10.9.8.7']),
])
def test_names(net: Net, name: str, found: list[str]) -> None:
    assert net.ask(socket.gethostbyname_ex, name)[2] == found


@pytest.mark.parametrize(('name', 'code'), [
    ('nobody.example.org', socket.EAI_NONAME), ('loop', socket.EAI_NONAME), ('a..b', socket.EAI_NONAME),
    ('x' * 70, socket.EAI_NONAME), ('1.0.18.198.in-addr.arpa', socket.EAI_NODATA),
])
def test_names_that_have_no_address(net: Net, name: str, code: int) -> None:
    assert net.ask(socket.gethostbyname, name) == ('gaierror', code)


def test_a_long_answer_is_fetched_by_tcp(net: Net) -> None:
    assert len(net.ask(socket.gethostbyname_ex, 'many')[2]) == 40
    assert net.ns.counter('TcpPassiveOpens') == 1
    assert net.ns.counter('UdpInDatagrams') == 1


def test_backwards(net: Net) -> None:
    assert net.ask(socket.gethostbyaddr, '198.18.2.1') == ('web', [], ['198.18.2.1'])
    assert net.ask(socket.gethostbyaddr, '198.18.7.7')[0] == 'www.example.org'
    assert net.ask(socket.gethostbyaddr, '9.9.9.9') == ('herror', 1)
    assert net.ask(lambda: socket.getnameinfo(('198.18.2.1', 80), socket.NI_NUMERICSERV)) == ('web', '80')


def test_lost_questions_are_asked_again(net: Net) -> None:
    net.links[0].lose(1)  # ARP
    net.lab.at('1s', net.links[0].lose, 1, direction='client')
    assert net.ask(socket.gethostbyname, 'web') == '198.18.2.1'
    assert 5 < net.lab.now < 7


def test_a_server_that_is_down(net: Net) -> None:
    net.ns.crash()
    before = net.lab.now
    assert net.ask(socket.gethostbyname, 'web') == ('gaierror', socket.EAI_AGAIN)
    assert net.lab.now - before <= 10
    net.ns.restart()  # its service comes back
    assert net.ask(socket.gethostbyname, 'web') == '198.18.2.1'


def test_a_host_without_a_server_refuses_and_the_next_is_asked(net: Net) -> None:
    net.client.nameserver(net.web, '198.18.1.1')
    assert net.ask(socket.gethostbyname, 'client2') == ('gaierror', socket.EAI_NONAME)
    assert net.lab.now < 1  # port unreachable: no time-out
    net.client.nameserver()
    assert net.ask(socket.gethostbyname, 'web') == '198.18.2.1'
    assert net.ns.counter('UdpInDatagrams') == 1
    net.client.nameserver(net.web)
    assert net.ask(socket.gethostbyname, 'ns') == ('gaierror', socket.EAI_AGAIN)


def test_the_server_itself_reads_the_labs_table(net: Net) -> None:
    assert net.ask(socket.gethostbyname, 'web', host=net.ns) == '198.18.2.1'
    assert net.ns.counter('UdpOutDatagrams') == 0


def test_connecting_by_name_and_asyncio(net: Net) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        found = await asyncio.gather(loop.getaddrinfo('web', 80, type=socket.SOCK_STREAM), loop.getnameinfo(('198.18.2.1', 80)))
        return [found[0][0][4], found[1][0]]

    assert net.ask(lambda: asyncio.run(main())) == [('198.18.2.1', 80), 'web']
    refused = net.ask(lambda: socket.create_connection(('web', 80)))
    assert refused == ('ConnectionRefusedError', errno.ECONNREFUSED)
    assert net.ns.counter('UdpInDatagrams') == 3


def test_dnspython(net: Net) -> None:
    resolver_module = pytest.importorskip('dns.resolver', reason='dnspython is not installed')
    async_module = pytest.importorskip('dns.asyncresolver', reason='dnspython is not installed')

    def blocking() -> list[str]:
        resolver = resolver_module.Resolver(configure=False)
        resolver.nameservers = ['198.18.1.1']
        many = resolver.resolve('many', 'A')  # cut, and again by TCP
        alias = resolver.resolve('mirror.example.org', 'A')
        back = resolver.resolve_address('198.18.2.1')
        with pytest.raises(resolver_module.NXDOMAIN):
            resolver.resolve('nobody', 'A')
        with pytest.raises(resolver_module.NoAnswer):
            resolver.resolve('web', 'TXT')
        return [str(len(many)), alias.canonical_name.to_text(), *[r.to_text() for r in alias], *[r.to_text() for r in back]]

    assert net.ask(blocking) == ['40', 'www.example.org.', '198.18.7.7', 'web.']

    async def resolve() -> list[str]:
        resolver = async_module.Resolver(configure=False)
        resolver.nameservers = ['198.18.1.1']
        answers = await asyncio.gather(*[resolver.resolve(name, 'A') for name in ('web', 'twice', 'many')])
        return [answer[0].to_text() for answer in answers]

    assert net.ask(lambda: asyncio.run(resolve())) == ['198.18.2.1', '10.1.0.1', '10.0.0.1']


# -- messages, without a network


def zone() -> dns.Zone:
    table = HostTable()
    table.add('Web', 0xC6120201)
    return dns.Zone(table, RECORDS, 60)


@pytest.mark.parametrize(('data', 'rcode'), [
    (dns.query(1, 'web', dns.A), dns.NOERROR), (dns.query(1, 'web', dns.AAAA), dns.NOERROR),
    (dns.query(1, 'x', dns.A), dns.NXDOMAIN), (dns.query(1, 'web', dns.A)[:-2] + b'\0\3', dns.REFUSED),
    (dns.query(1, 'web', dns.A)[:-1], dns.FORMERR), (struct.pack('!HHHHHH', 1, 0, 0, 0, 0, 0), dns.FORMERR),
    (struct.pack('!HHHHHH', 1, 0x2800, 1, 0, 0, 0) + b'\0\0\1\0\1', dns.NOTIMP),
])
def test_what_the_server_replies(data: bytes, rcode: int) -> None:
    reply = zone().reply(data, 512)
    assert reply is not None
    ident, flags, _, _ = dns.parse(reply)
    assert (ident, flags & dns.QR, flags & 15) == (1, dns.QR, rcode)


def test_what_deserves_no_reply() -> None:
    assert zone().reply(b'short', 512) is None
    assert zone().reply(struct.pack('!HHHHHH', 1, dns.QR, 0, 0, 0, 0), 512) is None


def test_records_that_make_no_sense() -> None:
    for records in ({'a': ['not an address']}, {'a': 'b..c'}, {'a..b': '10.0.0.1'}):
        with pytest.raises(ValueError):
            dns.Zone(HostTable(), records, 60)


@given(st.binary(max_size=80))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    try:
        dns.parse(data)
    except ValueError:
        pass
    zone().reply(data, 512)


@given(st.lists(st.text('abcdefghijklmnopqrstuvwxyz0123456789-', min_size=1, max_size=63), min_size=1, max_size=3))
def test_names_go_and_come(labels: list[str]) -> None:
    name = '.'.join(labels)
    assert dns.decode_name(dns.encode_name(name), 0) == (name, len(name) + 2)
    ident, _, questions, answers = dns.parse(dns.message(7, 0, (name, 1, 1), [(name, 1, 9, b'abcd')], 65535))
    assert (ident, questions, answers) == (7, [(name, 1, 1)], [(name, 1, 9, b'abcd')])


def test_compressed_names() -> None:
    data = b'\3www\7example\0' + b'\4mail\xc0\4' + b'\xc0\x13'
    assert dns.decode_name(data, 13) == ('mail.example', 20)
    for damaged in (data, b'\x80', b'\5abc', b''):
        with pytest.raises(ValueError, match='damaged'):
            dns.decode_name(damaged, 20 if damaged is data else 0)
