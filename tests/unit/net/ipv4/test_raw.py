# SPDX-License-Identifier: Apache-2.0
"""Raw sockets: clones for each, headers in and out, filters, errors."""
from __future__ import annotations

from helpers.hosts import Alone, Pair, fails
from linnet.include.linux.inet import IP_HDRINCL, IPPROTO_ICMP, IPPROTO_RAW, IPPROTO_UDP
from linnet.include.linux.ip import ip_fast_csum, iphdr_build
from linnet.include.linux.socket import AF_UNSPEC, FIONREAD, MSG_DONTWAIT, SOCK_DGRAM, SOCK_RAW, SOL_IP, SOL_RAW, Sockaddr
from linnet.include.net.checksum import csum_fold, csum_partial
from linnet.net import socket as sys
from linnet.net.ipv4.raw import ICMP_FILTER


def echo(ident: int, seq: int, data: bytes, type: int = 8) -> bytes:
    """An ICMP echo message with its checksum."""
    body = bytes([type, 0, 0, 0]) + ident.to_bytes(2, 'big') + seq.to_bytes(2, 'big') + data
    return body[:2] + int(csum_fold(csum_partial(body, 0))).to_bytes(2, 'big') + body[4:]


def test_ping_by_hand() -> None:
    pair = Pair()
    fd = pair.a.socket(SOCK_RAW, IPPROTO_ICMP)
    message = echo(77, 1, b'hello')
    assert pair.a.sendto(fd, message, '10.0.0.2', 0) == len(message)
    data, host, port = pair.a.recvfrom(fd, 1000, MSG_DONTWAIT)
    assert (host, port) == ('10.0.0.2', 0)
    assert data[0] == 0x45 and data[9] == IPPROTO_ICMP
    assert data[20:] == echo(77, 1, b'hello', 0)
    assert ip_fast_csum(data, 0, 20) == 0
    assert pair.net_a.mib.get('IcmpOutEchos') == 1
    assert pair.net_a.mib.get('IcmpInEchoReps') == 1


def test_every_socket_gets_a_copy_and_the_filter_holds() -> None:
    pair = Pair()
    fds = [pair.b.socket(SOCK_RAW, IPPROTO_ICMP) for _ in range(3)]
    pair.b.setopt(fds[1], SOL_RAW, ICMP_FILTER, 1 << 8)
    assert pair.b.getopt(fds[1], SOL_RAW, ICMP_FILTER) == 1 << 8
    pair.b.connect(fds[2], '10.0.0.99', 0)
    out = pair.a.socket(SOCK_RAW, IPPROTO_ICMP)
    pair.a.sendto(out, echo(1, 1, b'x'), '10.0.0.2', 0)
    assert sys.sys_ioctl(pair.b.process, fds[0], FIONREAD) == 29
    assert pair.b.recv(fds[0], 100, MSG_DONTWAIT)[20:] == echo(1, 1, b'x')
    for fd in fds[1:]:
        with fails('EAGAIN'):
            pair.b.recv(fd, 100, MSG_DONTWAIT)
    for fd in fds:
        pair.b.close(fd)
    pair.a.close(out)
    assert not [k for k in pair.leftovers() if k.startswith(('skbuff', 'RAW'))]


def test_own_header() -> None:
    pair = Pair()
    server = pair.b.udp(5000)
    fd = pair.a.socket(SOCK_RAW, IPPROTO_RAW)
    udp = (6000).to_bytes(2, 'big') + (5000).to_bytes(2, 'big') + (13).to_bytes(2, 'big') + b'\0\0' + b'hello'
    header = iphdr_build(0, 0, 0, 0, 33, IPPROTO_UDP, 0x0A000063, 0x0A000002)
    assert pair.a.sendto(fd, header + udp, '10.0.0.2', 0) == 33
    assert pair.b.recvfrom(server) == (b'hello', '10.0.0.99', 6000)  # the source is the program's choice
    header = iphdr_build(0, 0, 0, 0, 33, IPPROTO_UDP, 0, 0x0A000002)
    pair.a.sendto(fd, header + udp, '10.0.0.2', 0)
    assert pair.b.recvfrom(server) == (b'hello', '10.0.0.1', 6000)  # 0: the route's
    with fails('EINVAL'):
        pair.a.sendto(fd, b'short', '10.0.0.2', 0)
    with fails('EMSGSIZE'):
        pair.a.sendto(fd, header + bytes(1500), '10.0.0.2', 0)
    assert pair.a.getopt(fd, SOL_IP, IP_HDRINCL) == 1


def test_unknown_protocol_travels() -> None:
    pair = Pair()
    a = pair.a.socket(SOCK_RAW, 200)
    b = pair.b.socket(SOCK_RAW, 200)
    pair.a.sendto(a, b'experiment', '10.0.0.2', 0)
    assert pair.b.recv(b, 100, MSG_DONTWAIT)[20:] == b'experiment'
    pair.b.close(b)
    pair.a.connect(a, '10.0.0.2', 0)
    pair.a.send(a, b'experiment')
    with fails('ENOPROTOOPT'):  # protocol unreachable
        pair.a.recv(a, 100, MSG_DONTWAIT)


def test_bind_and_disconnect() -> None:
    pair = Pair()
    fd = pair.b.socket(SOCK_RAW, IPPROTO_UDP)
    with fails('EADDRNOTAVAIL'):
        pair.b.bind(fd, '10.0.0.50', 0)
    pair.b.bind(fd, '10.0.0.2', 0)
    pair.b.udp(5000)
    out = pair.a.socket(SOCK_DGRAM)
    pair.a.sendto(out, b'seen twice', '10.0.0.2', 5000)
    assert pair.b.recv(fd, 100, MSG_DONTWAIT)[28:] == b'seen twice'
    sys.sys_connect(pair.b.process, fd, Sockaddr(AF_UNSPEC))
    pair.a.sendto(out, b'no more', '10.0.0.2', 5000)  # its protocol was no port that bind() fixed: seen on Linux 6.18
    with fails('EAGAIN'):
        pair.b.recv(fd, 100, MSG_DONTWAIT)
    pair.b.close(fd)
    assert 'RAW' not in pair.leftovers()


def test_an_empty_datagram_is_one() -> None:
    host = Alone()
    fd = host.socket(SOCK_RAW, 253)
    assert host.sendto(fd, b'', '127.0.0.1', 0) == 0
    assert len(host.recv(fd, 100, MSG_DONTWAIT)) == 20


def test_needs_a_destination() -> None:
    host = Alone()
    fd = host.socket(SOCK_RAW, IPPROTO_ICMP)
    with fails('EDESTADDRREQ'):
        host.send(fd, b'x')
    with fails('EMSGSIZE'):
        host.sendto(fd, bytes(65536), '127.0.0.1', 0)
