# SPDX-License-Identifier: Apache-2.0
"""Ping sockets over IPv6: identifiers, what may be sent, replies, errors."""
from __future__ import annotations

import struct

from helpers.frames import checksum
from helpers.hosts import fails
from helpers.hosts6 import ANY, LL_A, LL_B, LOOPBACK, A, B, Pair6, Prog6, alone6
from linnet.include.linux.icmpv6 import ICMPV6_ECHO_REPLY
from linnet.include.linux.in6 import IPPROTO_ICMPV6, IPV6_HOPLIMIT, IPV6_RECVERR, IPV6_RECVHOPLIMIT, in6_bytes, in6_pton
from linnet.include.linux.inet import IPPROTO_ICMP
from linnet.include.linux.socket import (
    AF_INET,
    MSG_ERRQUEUE,
    MSG_OOB,
    SO_REUSEADDR,
    SOCK_DGRAM,
    SOL_IPV6,
    SOL_SOCKET,
)
from linnet.net import socket as sys
from linnet.net.ipv6.ping import ping_v6_seq_show

REQUEST = struct.pack('!BBHHH', 128, 0, 0, 0x909, 7) + b'data'


def ping(prog: Prog6) -> int:
    """A ping socket."""
    prog.net.ipv4.sysctl_ping_group_range[:] = [0, 2147483647]
    return prog.socket(SOCK_DGRAM, IPPROTO_ICMPV6)


def test_a_reply_comes_with_our_identifier() -> None:
    pair = Pair6()
    fd = ping(pair.a6)
    pair.a.setopt(fd, SOL_IPV6, IPV6_RECVHOPLIMIT, 1)
    assert pair.a6.sendto(fd, REQUEST, (B, 0)) == len(REQUEST)
    ident = pair.a6.name(fd)[1]
    assert ident != 0x909
    pair.settle(1_000_000)
    data, control, peer = pair.a6.recvmsg(fd)
    assert peer == (B, 0)
    assert (data[0], struct.unpack_from('!HH', data, 4), data[8:]) == (ICMPV6_ECHO_REPLY, (ident, 7), b'data')
    pseudo = in6_bytes(in6_pton(B)) + in6_bytes(in6_pton(A)) + struct.pack('!II', len(data), 58)
    assert checksum(pseudo + data) == 0
    assert control[IPV6_HOPLIMIT] == struct.pack('i', 64)
    assert pair.net_a.mib.get('Icmp6OutMsgs') >= 1


def test_link_local_peers_want_a_zone() -> None:
    pair = Pair6()
    fd = ping(pair.a6)
    with fails('EINVAL'):
        pair.a6.sendto(fd, REQUEST, (LL_B, 0))
    pair.a6.sendto(fd, REQUEST, (LL_B, 0, pair.zone_a))
    pair.settle(1_000_000)
    assert pair.a6.recvfrom(fd)[1] == (LL_B, 0, pair.zone_a)
    other = ping(pair.a6)
    with fails('EINVAL'):
        pair.a6.bind(other, (LL_A, 5))
    pair.a6.bind(other, (LL_A, 5, pair.zone_a))
    with fails('EINVAL'):  # bound to the device by its address
        pair.a6.sendto(other, REQUEST, (LL_B, 0, pair.zone_a + 1))
    pair.a6.sendto(other, REQUEST, (LL_B, 0, pair.zone_a))
    pair.settle(1_000_000)
    assert struct.unpack_from('!H', pair.a6.recvfrom(other)[0], 4) == (5,)


def test_only_echo_requests_may_be_sent() -> None:
    host = alone6()
    fd = ping(host)
    for data in (REQUEST[:7], b'\x81' + REQUEST[1:], b'\x80\1' + REQUEST[2:], b'\x08' + REQUEST[1:]):
        with fails('EINVAL'):
            host.sendto(fd, data, (LOOPBACK, 0))
    with fails('EOPNOTSUPP'):
        host.sendto(fd, REQUEST, (LOOPBACK, 0), MSG_OOB)
    with fails('EDESTADDRREQ'):
        host.prog.send(fd, REQUEST)
    with fails('EINVAL'):
        host.sendto(fd, REQUEST, ('::ffff:127.0.0.1', 0))
    with fails('ENETUNREACH'):
        host.sendto(fd, REQUEST, (ANY, 0))
    with fails('EMSGSIZE'):
        host.sendto(fd, b'\x80' + bytes(65535), (LOOPBACK, 0))
    assert host.sendto(fd, b'\x80' + bytes(65534), (LOOPBACK, 0)) == 65535
    assert len(host.recvfrom(fd)[0]) == 65535
    assert host.sendto(fd, REQUEST, (LOOPBACK, 9)) == len(REQUEST)  # the port says nothing


def test_binds_and_identifiers() -> None:
    host = alone6()
    fd = ping(host)
    for name, error in ((('::ffff:127.0.0.1', 5), 'EINVAL'), (('ff02::1', 5), 'EINVAL'), (('fe80::1', 5), 'EINVAL'),
                        (('fe80::1', 5, 77), 'ENODEV'), (('2001:db8::1', 5), 'EADDRNOTAVAIL')):
        with fails(error):
            host.bind(fd, name)
    host.bind(fd, (LOOPBACK, 5))
    assert host.name(fd) == (LOOPBACK, 5)
    with fails('EINVAL'):
        host.bind(fd, (LOOPBACK, 6))
    host.bind(ping(host), (LOOPBACK, 5))  # they share: SO_REUSEADDR is on from the start
    four = host.prog.socket(SOCK_DGRAM, IPPROTO_ICMP, AF_INET)
    host.prog.bind(four, '127.0.0.1', 5)
    alone = ping(host)
    host.prog.setopt(alone, SOL_SOCKET, SO_REUSEADDR, 0)
    with fails('EADDRINUSE'):
        host.bind(alone, (ANY, 5))
    assert host.name(alone) == (ANY, 0)
    lines = ping_v6_seq_show(host.net).splitlines()[1:]
    assert [line.split()[1] for line in lines] == ['00000000000000000000000001000000:0005'] * 2
    host.sendto(fd, REQUEST, (LOOPBACK, 0))
    host.prog.sendto(four, b'\x08' + REQUEST[1:], '127.0.0.1', 0)
    assert host.prog.recvfrom(four)[1] == '127.0.0.1'


def test_connected_and_not_any_more() -> None:
    host = alone6()
    fd = ping(host)
    host.connect(fd, (LOOPBACK, 5))
    assert host.peer(fd) == (LOOPBACK, 5)
    assert host.prog.send(fd, REQUEST) == len(REQUEST)
    assert host.recvfrom(fd)[0][0] == ICMPV6_ECHO_REPLY
    host.disconnect(fd)
    assert host.name(fd) == (ANY, 0)


def test_errors_reach_who_asked() -> None:
    pair = Pair6()
    fd = ping(pair.a6)
    pair.a.setopt(fd, SOL_IPV6, IPV6_RECVERR, 1)
    pair.a6.sendto(fd, REQUEST, ('2001:db8::77', 0))  # nobody answers for it
    pair.settle(10_000_000_000)
    with fails('EHOSTUNREACH'):
        pair.a6.recvfrom(fd)
    data, control, peer = pair.a6.recvmsg(fd, flags=MSG_ERRQUEUE)
    assert (data[8:], peer[0]) == (b'data', '2001:db8::77')
    assert struct.unpack_from('<IBBB', control[IPV6_RECVERR]) == (113, 3, 1, 3)


def test_only_groups_that_may() -> None:
    host = alone6()
    host.net.ipv4.sysctl_ping_group_range[:] = [1, 0]
    with fails('EACCES'):
        sys.sys_socket(host.process, 10, SOCK_DGRAM, IPPROTO_ICMPV6)
