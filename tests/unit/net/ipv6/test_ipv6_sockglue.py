# SPDX-License-Identifier: Apache-2.0
"""Options of level SOL_IPV6: what may be set, what is read back, and what they do."""
from __future__ import annotations

import struct

import pytest

from helpers.hosts import fails
from helpers.hosts6 import ANY, LL_A, LOOPBACK, A, B, Pair6, alone6, pktinfo
from linnet.include.linux.in6 import (
    IPV6_2292HOPLIMIT,
    IPV6_2292PKTINFO,
    IPV6_ADDR_PREFERENCES,
    IPV6_ADDRFORM,
    IPV6_AUTOFLOWLABEL,
    IPV6_DONTFRAG,
    IPV6_DSTOPTS,
    IPV6_FLOWINFO_SEND,
    IPV6_FREEBIND,
    IPV6_HOPLIMIT,
    IPV6_HOPOPTS,
    IPV6_MINHOPCOUNT,
    IPV6_MTU,
    IPV6_MTU_DISCOVER,
    IPV6_MULTICAST_ALL,
    IPV6_MULTICAST_HOPS,
    IPV6_MULTICAST_IF,
    IPV6_MULTICAST_LOOP,
    IPV6_PATHMTU,
    IPV6_PKTINFO,
    IPV6_RECVERR,
    IPV6_RECVHOPLIMIT,
    IPV6_RECVPKTINFO,
    IPV6_RTHDR,
    IPV6_TCLASS,
    IPV6_UNICAST_HOPS,
    IPV6_UNICAST_IF,
    IPV6_V6ONLY,
    in6_bytes,
    in6_pton,
)
from linnet.include.linux.socket import AF_INET, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, SOL_IP, SOL_IPV6, SOL_SOCKET
from linnet.net import socket as sys
from linnet.net.ipv6.ipv6_sockglue import MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP

DEFAULTS = {
    IPV6_V6ONLY: 0, IPV6_UNICAST_HOPS: 64, IPV6_MULTICAST_HOPS: 1, IPV6_MULTICAST_LOOP: 1, IPV6_MULTICAST_ALL: 1,
    IPV6_MULTICAST_IF: 0, IPV6_UNICAST_IF: 0, IPV6_MTU_DISCOVER: 1, IPV6_RECVERR: 0, IPV6_TCLASS: 0, IPV6_DONTFRAG: 0,
    IPV6_MINHOPCOUNT: 0, IPV6_AUTOFLOWLABEL: 1, IPV6_FLOWINFO_SEND: 0, IPV6_FREEBIND: 0, IPV6_ADDR_PREFERENCES: 0x500,
}
VALUES = [
    (IPV6_UNICAST_HOPS, (0, 1, 255), (-2, 256)), (IPV6_MULTICAST_HOPS, (0, 7, 255), (-2, 256)),
    (IPV6_MULTICAST_LOOP, (0, 1), (2, -1)), (IPV6_MTU_DISCOVER, range(6), (-1, 6)),
    (IPV6_TCLASS, (0, 0xB8, 255), (-2, 256)), (IPV6_MINHOPCOUNT, (0, 255), (-1, 256)),
]
PADDING = b'\x3b\x00\x01\x04' + bytes(4)  # an options header with nothing in it


@pytest.mark.parametrize('type', [SOCK_STREAM, SOCK_DGRAM])
def test_defaults(type: int) -> None:
    host = alone6()
    fd = host.socket(type)
    for option, value in DEFAULTS.items():
        assert host.prog.getopt(fd, SOL_IPV6, option) == value, option
    host.net.ipv6.sysctl_bindv6only = 1
    assert host.prog.getopt(host.socket(type), SOL_IPV6, IPV6_V6ONLY) == 1


@pytest.mark.parametrize(('option', 'good', 'bad'), VALUES)
def test_numbers_in_their_ranges(option: int, good: range, bad: tuple[int, ...]) -> None:
    host = alone6()
    fd = host.socket(SOCK_DGRAM)
    for value in good:
        host.prog.setopt(fd, SOL_IPV6, option, value)
        assert host.prog.getopt(fd, SOL_IPV6, option) == value
    for value in bad:
        with fails('EINVAL'):
            host.prog.setopt(fd, SOL_IPV6, option, value)
    with fails('EINVAL'):
        host.prog.setopt(fd, SOL_IPV6, option, b'\1\0\0')


def test_minus_one_is_the_default_again() -> None:
    host = alone6()
    fd = host.socket(SOCK_DGRAM)
    for option, value, default in ((IPV6_UNICAST_HOPS, 9, 64), (IPV6_MULTICAST_HOPS, 9, 1), (IPV6_TCLASS, 9, 0)):
        host.prog.setopt(fd, SOL_IPV6, option, value)
        host.prog.setopt(fd, SOL_IPV6, option, -1)
        assert host.prog.getopt(fd, SOL_IPV6, option) == default


def test_v6only_is_settled_by_bind() -> None:
    host = alone6()
    fd = host.socket(SOCK_DGRAM)
    host.prog.setopt(fd, SOL_IPV6, IPV6_V6ONLY, 1)
    host.bind(fd, (ANY, 5000))
    with fails('EINVAL'):
        host.prog.setopt(fd, SOL_IPV6, IPV6_V6ONLY, 0)
    assert host.prog.getopt(fd, SOL_IPV6, IPV6_V6ONLY) == 1


def test_the_class_of_a_stream_leaves_ecn_alone() -> None:
    host = alone6()
    fd = host.socket(SOCK_STREAM)
    host.prog.setopt(fd, SOL_IPV6, IPV6_TCLASS, 0xFF)
    assert host.prog.getopt(fd, SOL_IPV6, IPV6_TCLASS) == 0xFC


def test_levels() -> None:
    host = alone6()
    udp, raw = host.socket(SOCK_DGRAM), host.socket(SOCK_RAW, 253)
    host.prog.setopt(udp, SOL_IP, 2, 9)  # IP_TTL, for mapped addresses
    assert host.prog.getopt(udp, SOL_IP, 2) == 9
    for fd, level, option in ((raw, SOL_IP, 2), (udp, 99, 1), (udp, SOL_IPV6, 999)):
        with fails('ENOPROTOOPT'):
            host.prog.setopt(fd, level, option, 9)
        with fails('ENOPROTOOPT'):
            host.prog.getopt(fd, level, option)


def test_the_older_control_messages_come_beside_the_newer() -> None:
    host = alone6()
    fd = host.udp(5000)
    for older, newer, message in ((IPV6_2292PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO),
                                  (IPV6_2292HOPLIMIT, IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT)):
        for old, new in ((1, 0), (1, 1), (0, 1), (0, 0)):
            host.prog.setopt(fd, SOL_IPV6, older, old)
            host.prog.setopt(fd, SOL_IPV6, newer, new)
            assert (host.prog.getopt(fd, SOL_IPV6, older), host.prog.getopt(fd, SOL_IPV6, newer)) == (old, new)
            host.sendto(fd, b'x', (LOOPBACK, 5000))
            told = host.recvmsg(fd)[1]
            assert (older in told, message in told) == (old == 1, new == 1)
            assert old + new < 2 or told[older] == told[message]


def test_a_sticky_device_and_a_device_for_what_has_none() -> None:
    pair = Pair6()
    fd = pair.a6.socket(SOCK_DGRAM)
    pair.a.setopt(fd, SOL_IPV6, IPV6_UNICAST_IF, struct.pack('!I', pair.zone_a))
    assert pair.a.getopt(fd, SOL_IPV6, IPV6_UNICAST_IF) == int.from_bytes(struct.pack('!I', pair.zone_a), 'little', signed=True)
    with fails('EADDRNOTAVAIL'):
        pair.a.setopt(fd, SOL_IPV6, IPV6_UNICAST_IF, struct.pack('!I', 77))
    with fails('ENODEV'):
        pair.a.setopt(fd, SOL_IPV6, IPV6_MULTICAST_IF, 77)
    pair.a.setopt(fd, SOL_IPV6, IPV6_PKTINFO, pktinfo(ANY, pair.zone_a))
    pair.a.setopt(fd, SOL_IPV6, IPV6_MULTICAST_IF, pair.zone_a)
    assert pair.a6.sendto(fd, b'x', ('ff02::1', 9)) == 1
    sys.sys_setsockopt(pair.a.process, fd, SOL_SOCKET, 25, b'eth0')
    with fails('EINVAL'):
        pair.a.setopt(fd, SOL_IPV6, IPV6_PKTINFO, pktinfo(ANY, 1))
    with fails('EINVAL'):
        pair.a.setopt(fd, SOL_IPV6, IPV6_MULTICAST_IF, 1)


def test_groups_by_either_option() -> None:
    pair = Pair6()
    fd = pair.b6.udp(5000)
    request = struct.pack('<II', pair.zone_b, 0) + struct.pack('<HHI', 10, 0, 0) + in6_bytes(in6_pton('ff02::77')) + bytes(104)
    assert len(request) == 136
    pair.b.setopt(fd, SOL_IPV6, MCAST_JOIN_GROUP, request)
    out = pair.a6.udp(6000)
    pair.a6.sendto(out, b'x', ('ff02::77', 5000, pair.zone_a))
    pair.settle(1_000_000)
    assert pair.b6.recvfrom(fd)[1] == (LL_A, 6000, pair.zone_b)
    pair.b.setopt(fd, SOL_IPV6, MCAST_LEAVE_GROUP, request)
    with fails('EADDRNOTAVAIL'):
        pair.b.setopt(fd, SOL_IPV6, MCAST_LEAVE_GROUP, request)
    with fails('EINVAL'):
        pair.b.setopt(fd, SOL_IPV6, MCAST_JOIN_GROUP, request[:135])


def test_a_path_mtu_can_be_asked_for_once_there_is_a_path() -> None:
    pair = Pair6()
    pair.b6.udp(9)
    fd = pair.a6.socket(SOCK_DGRAM)
    for option, size in ((IPV6_MTU, 4), (IPV6_PATHMTU, 32)):
        with fails('ENOTCONN'):
            sys.sys_getsockopt(pair.a.process, fd, SOL_IPV6, option, size)
    pair.a6.connect(fd, (B, 9))
    assert pair.a.getopt(fd, SOL_IPV6, IPV6_MTU) == 1500
    assert struct.unpack_from('<I', sys.sys_getsockopt(pair.a.process, fd, SOL_IPV6, IPV6_PATHMTU, 32), 28) == (1500,)
    with fails('EINVAL'):
        pair.a.setopt(fd, SOL_IPV6, IPV6_MTU, 1279)
    pair.a.setopt(fd, SOL_IPV6, IPV6_MTU, 1280)
    before = pair.net_a.mib.get('Ip6FragCreates')
    pair.a.send(fd, bytes(1300))  # what the device takes whole it gets whole
    assert pair.net_a.mib.get('Ip6FragCreates') == before
    pair.a.send(fd, bytes(1500))
    assert pair.net_a.mib.get('Ip6FragCreates') == before + 2


def test_headers_for_every_packet() -> None:
    pair = Pair6()
    server, fd = pair.b6.udp(5000), pair.a6.udp(6000)
    for option, wanted in ((IPV6_HOPOPTS, 53), (IPV6_DSTOPTS, 58)):
        pair.a.setopt(fd, SOL_IPV6, option, PADDING)
        assert sys.sys_getsockopt(pair.a.process, fd, SOL_IPV6, option, 100) == PADDING
        pair.b.setopt(server, SOL_IPV6, wanted, 1)
        pair.a6.sendto(fd, b'x', (B, 5000))
        pair.settle(1_000_000)
        data, told, peer = pair.b6.recvmsg(server)
        assert (data, peer) == (b'x', (A, 6000))
        assert told[option][1:] == PADDING[1:]
    for bad in (PADDING[:7], b'\x00\x01' + bytes(6), b'\x00'):
        with fails('EINVAL'):
            pair.a.setopt(fd, SOL_IPV6, IPV6_HOPOPTS, bad)
    with fails('EINVAL'):  # a routing header of type 0 (RFC 5095)
        pair.a.setopt(fd, SOL_IPV6, IPV6_RTHDR, b'\0\2\0\1' + bytes(4) + in6_bytes(in6_pton(B)))
    pair.a.setopt(fd, SOL_IPV6, IPV6_HOPOPTS, b'')
    assert sys.sys_getsockopt(pair.a.process, fd, SOL_IPV6, IPV6_HOPOPTS, 100) == b''


def test_a_socket_can_become_one_of_ipv4() -> None:
    pair = Pair6()
    server = pair.b.udp(5000)
    fd = pair.a6.socket(SOCK_DGRAM)
    for value, error in ((10, 'EINVAL'), (AF_INET, 'ENOTCONN')):
        with fails(error):
            pair.a.setopt(fd, SOL_IPV6, IPV6_ADDRFORM, value)
    pair.a6.connect(fd, (B, 5000))
    with fails('EADDRNOTAVAIL'):
        pair.a.setopt(fd, SOL_IPV6, IPV6_ADDRFORM, AF_INET)
    other = pair.a6.socket(SOCK_DGRAM)
    pair.a6.connect(other, ('::ffff:10.0.0.2', 5000))
    pair.a.setopt(other, SOL_IPV6, IPV6_ADDRFORM, AF_INET)
    assert pair.a.peer(other) == ('10.0.0.2', 5000)
    pair.a.send(other, b'as one of IPv4')
    pair.settle(1_000_000)
    assert pair.b.recvfrom(server)[:2] == (b'as one of IPv4', '10.0.0.1')
    pair.a.close(other)
    pair.a.close(fd)
    assert 'UDPv6' not in pair.leftovers()


def test_preferences_of_sources() -> None:
    host = alone6()
    fd = host.socket(SOCK_DGRAM)
    for value, then in ((1, 0x401), (2, 0x402), (0x100, 0x500), (4, 0x104), (0x400, 0x500)):
        host.prog.setopt(fd, SOL_IPV6, IPV6_ADDR_PREFERENCES, value)
        assert host.prog.getopt(fd, SOL_IPV6, IPV6_ADDR_PREFERENCES) == then
    for value in (3, 0x404, 0x808):
        with fails('EINVAL'):
            host.prog.setopt(fd, SOL_IPV6, IPV6_ADDR_PREFERENCES, value)
