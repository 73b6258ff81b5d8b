# SPDX-License-Identifier: Apache-2.0
"""The path MTU, end to end: a router with a smaller link tells of it, and the sender cuts from then on. RFC 8201; RFC 1191."""
from __future__ import annotations

import socket

import pytest

from linnet import Lab
from linnet.net.core.dev import dev_set_mtu

DATA = bytes(i * 7 % 251 for i in range(200_000))
WIRES = [{'rate': '100mbit'}, {}]  # a wire with a rate, and a veth pair


def network(link: dict[str, str]) -> Lab:
    """client -- router -- server, the second link takes 1400 bytes."""
    lab = Lab(seed=1, ipv6=True)
    client, router, server = lab.host('client'), lab.router('router'), lab.host('server')
    lab.link(client, router, **link)
    narrow = lab.link(router, server, **link)
    for port in (narrow.a, narrow.b):
        assert dev_set_mtu(port.dev, 1400) == 0
    return lab


@pytest.mark.parametrize('link', WIRES)
@pytest.mark.parametrize('family', [socket.AF_INET, socket.AF_INET6])
def test_datagrams(family: int, link: dict[str, str]) -> None:
    lab = network(link)
    hosts = lab.hosts
    address = hosts['server'].addr6 if family == socket.AF_INET6 else hosts['server'].addr
    got: list[bytes] = []
    lost = []

    def server() -> None:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind(('', 9))
        while True:
            data, peer = sock.recvfrom(70_000)
            got.append(data)
            sock.sendto(b'ok', peer)

    def client() -> None:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.settimeout(2)
        for size in (100, 1440, 1441, 9000):
            sock.sendto(DATA[:size], (address, 9))
            try:
                sock.recv(10)
            except TimeoutError:
                lost.append(size)

    hosts['server'].spawn(server, daemon=True)
    hosts['client'].spawn(client)
    lab.run(until=30)
    assert lost == [1440]
    assert got == [DATA[:100], DATA[:1441], DATA[:9000]]
    mib = hosts['router'].net.mib
    assert mib.get('Ip6FragCreates') == mib.get('IpFragCreates') == 0
    assert mib.get('Ip6InTooBigErrors') + mib.get('IpFragFails') == 1


@pytest.mark.parametrize('link', WIRES)
def test_a_stream(link: dict[str, str]) -> None:
    lab = network(link)
    hosts = lab.hosts
    got = []

    def server() -> None:
        listener = socket.create_server(('::', 9), family=socket.AF_INET6)
        sock, _ = listener.accept()
        data = b''
        while part := sock.recv(65_536):
            data += part
        got.append(data)

    def client() -> None:
        with socket.create_connection((hosts['server'].addr6, 9)) as sock:
            sock.sendall(DATA)

    hosts['server'].spawn(server)
    hosts['client'].spawn(client)
    lab.run(until=30)
    assert got == [DATA]
    assert hosts['router'].net.mib.get('Ip6FragCreates') == hosts['client'].net.mib.get('Ip6FragCreates') == 0
