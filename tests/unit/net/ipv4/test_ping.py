# SPDX-License-Identifier: Apache-2.0
"""Ping sockets: the identifier is the port, the checksum is the stack's, replies come to their socket only."""
from __future__ import annotations

from helpers.hosts import Alone, Pair, fails
from linnet.include.linux.inet import IP_RECVERR, IPPROTO_ICMP
from linnet.include.linux.socket import MSG_DONTWAIT, SOCK_DGRAM, SOL_IP


def request(seq: int, data: bytes = b'ping') -> bytes:
    """An echo request as programs write it: identifier and checksum are not theirs."""
    return bytes([8, 0, 0, 0, 0, 0]) + seq.to_bytes(2, 'big') + data


def test_ping() -> None:
    pair = Pair()
    fd = pair.a.socket(SOCK_DGRAM, IPPROTO_ICMP)
    other = pair.a.socket(SOCK_DGRAM, IPPROTO_ICMP)
    assert pair.a.sendto(fd, request(1), '10.0.0.2', 0) == 12
    pair.a.sendto(other, request(2), '10.0.0.2', 0)
    data, host, port = pair.a.recvfrom(fd, 100, MSG_DONTWAIT)
    assert (host, port) == ('10.0.0.2', 0)
    ident = pair.a.name(fd)[1]
    assert ident != pair.a.name(other)[1]
    assert data[0:2] == b'\0\0'
    assert data[4:] == ident.to_bytes(2, 'big') + b'\0\1ping'
    with fails('EAGAIN'):
        pair.a.recv(fd, 100, MSG_DONTWAIT)
    assert pair.a.recv(other, 100, MSG_DONTWAIT)[6:8] == b'\0\2'
    assert pair.net_a.mib.get('IcmpOutEchos') == 2
    pair.a.close(fd)
    pair.a.close(other)
    assert not [k for k in pair.leftovers() if k.startswith(('skbuff', 'PING'))]


def test_bound_identifier() -> None:
    host = Alone()
    fd = host.socket(SOCK_DGRAM, IPPROTO_ICMP)
    host.bind(fd, '127.0.0.1', 1234)
    assert host.name(fd) == ('127.0.0.1', 1234)
    with fails('EINVAL'):
        host.bind(fd, '127.0.0.1', 1235)
    second = host.socket(SOCK_DGRAM, IPPROTO_ICMP)
    with fails('EADDRNOTAVAIL'):
        host.bind(second, '10.0.0.9', 0)
    host.sendto(fd, request(7), '127.0.0.1', 0)
    assert host.recv(fd, 100, MSG_DONTWAIT)[4:8] == (1234).to_bytes(2, 'big') + b'\0\7'


def test_refused() -> None:
    host = Alone()
    fd = host.socket(SOCK_DGRAM, IPPROTO_ICMP)
    with fails('EINVAL'):
        host.sendto(fd, b'short', '127.0.0.1', 0)
    with fails('EINVAL'):
        host.sendto(fd, b'\0' + request(1)[1:], '127.0.0.1', 0)  # only requests
    with fails('EDESTADDRREQ'):
        host.send(fd, request(1))
    assert host.net.sysctl.set('net.ipv4.ping_group_range', '1 0') == 0
    with fails('EACCES'):
        host.socket(SOCK_DGRAM, IPPROTO_ICMP)


def test_unreachable_is_reported_on_request() -> None:
    pair = Pair()
    fd = pair.a.socket(SOCK_DGRAM, IPPROTO_ICMP)
    pair.a.setopt(fd, SOL_IP, IP_RECVERR, 1)
    pair.a.connect(fd, '10.0.0.77', 0)

    def wait() -> None:
        pair.a.send(fd, request(1))
        with fails('EHOSTUNREACH'):
            pair.a.recv(fd)

    pair.run(wait)
