# SPDX-License-Identifier: Apache-2.0
"""connect() of datagram sockets over IPv6, their error queue, and the control messages of RFC 3542."""
from __future__ import annotations

import struct

import pytest

from helpers.hosts import fails
from helpers.hosts6 import ANY, LL_A, LL_B, LOOPBACK, MAPPED, B, Pair6, alone6, pktinfo
from linnet.include.linux.in6 import (
    IPV6_DONTFRAG,
    IPV6_DSTOPTS,
    IPV6_FLOWINFO,
    IPV6_FLOWINFO_SEND,
    IPV6_HOPLIMIT,
    IPV6_HOPOPTS,
    IPV6_MTU_DISCOVER,
    IPV6_ORIGDSTADDR,
    IPV6_PATHMTU,
    IPV6_PKTINFO,
    IPV6_PMTUDISC_DO,
    IPV6_RECVDSTOPTS,
    IPV6_RECVERR,
    IPV6_RECVFRAGSIZE,
    IPV6_RECVHOPOPTS,
    IPV6_RECVPATHMTU,
    IPV6_RTHDR,
    IPV6_TCLASS,
    IPV6_V6ONLY,
    in6_bytes,
    in6_pton,
)
from linnet.include.linux.socket import (
    AF_INET,
    MSG_ERRQUEUE,
    SO_MARK,
    SOCK_DGRAM,
    SOL_IP,
    SOL_IPV6,
    SOL_SOCKET,
    Cmsg,
    Sockaddr,
)
from linnet.net import socket as sys

PADDING = b'\x00\x00\x01\x04' + bytes(4)  # an options header with nothing in it


def one(kind: int, value: int) -> list[Cmsg]:
    """A control message with an int."""
    return [Cmsg(SOL_IPV6, kind, struct.pack('<i', value))]


def test_what_cannot_be_connected_to() -> None:
    host = alone6()
    fd = host.socket(SOCK_DGRAM)
    with fails('EAFNOSUPPORT'):
        sys.sys_connect(host.process, fd, Sockaddr(17))
    for name, error in ((('fe80::1', 5), 'EINVAL'), (('2001:db8::1', 5), 'ENETUNREACH'), (('ff02::1', 5), 'EINVAL')):
        with fails(error):
            host.connect(fd, name)
    only = host.socket(SOCK_DGRAM)
    host.prog.setopt(only, SOL_IPV6, IPV6_V6ONLY, 1)
    with fails('ENETUNREACH'):
        host.connect(only, (MAPPED, 5))
    with fails('EAFNOSUPPORT'):
        sys.sys_connect(host.process, only, Sockaddr(AF_INET, 0x7F000001, 5))


def test_a_failed_connect_leaves_the_old_peer() -> None:
    host = alone6()
    fd = host.udp(5000)
    host.connect(fd, (LOOPBACK, 5000))
    with fails('ENETUNREACH'):
        host.connect(fd, ('2001:db8::1', 6000))
    assert host.peer(fd) == (LOOPBACK, 5000)
    host.prog.send(fd, b'to myself')
    assert host.recvfrom(fd)[0] == b'to myself'


def test_the_unspecified_peer_is_this_host_by_the_family_of_the_socket() -> None:
    host = alone6()
    six, four = host.socket(SOCK_DGRAM), host.udp(5000, MAPPED)
    host.connect(six, (ANY, 9))
    host.connect(four, (ANY, 9))
    assert (host.peer(six), host.peer(four)) == ((LOOPBACK, 9), (MAPPED, 9))
    assert host.name(six)[0] == LOOPBACK
    with fails('EAFNOSUPPORT'):
        host.connect(four, (LOOPBACK, 9))


def test_a_link_local_peer_binds_to_its_device() -> None:
    pair = Pair6()
    fd = pair.a6.socket(SOCK_DGRAM)
    pair.a6.connect(fd, (LL_B, 5000, pair.zone_a))
    assert pair.a6.name(fd)[::2] == (LL_A, pair.zone_a)
    with fails('EINVAL'):
        pair.a6.connect(fd, (LL_B, 5000, 1))
    pair.a6.connect(fd, (B, 5000))
    assert pair.a6.peer(fd) == (B, 5000)


def test_flow_labels_that_a_program_chooses() -> None:
    pair = Pair6()
    server, fd = pair.b6.udp(5000), pair.a6.socket(SOCK_DGRAM)
    pair.b.setopt(server, SOL_IPV6, IPV6_FLOWINFO, 1)
    pair.a.setopt(fd, SOL_IPV6, IPV6_FLOWINFO_SEND, 1)
    name = Sockaddr(10, 0, 5000)
    name.sin6_addr = in6_pton(B)
    name.sin6_flowinfo = 0x12345
    sys.sys_sendto(pair.a.process, fd, b'labelled', 0, name)
    pair.settle(1_000_000)
    assert pair.b6.recvmsg(server)[1] == {IPV6_FLOWINFO: struct.pack('!I', 0x12345)}
    sys.sys_connect(pair.a.process, fd, name)
    pair.a.send(fd, b'by the connection')
    pair.settle(1_000_000)
    assert pair.b6.recvmsg(server)[1] == {IPV6_FLOWINFO: struct.pack('!I', 0x12345)}
    control = [Cmsg(SOL_IPV6, IPV6_FLOWINFO, struct.pack('!I', 0x54321))]
    other = pair.a6.socket(SOCK_DGRAM)
    pair.a6.sendmsg(other, b'by a message', control, (B, 5000))
    pair.settle(1_000_000)
    assert pair.b6.recvmsg(server)[1] == {IPV6_FLOWINFO: struct.pack('!I', 0x54321)}


@pytest.mark.parametrize(('kind', 'data', 'error'), [
    (IPV6_HOPLIMIT, struct.pack('<i', 256), 'EINVAL'), (IPV6_HOPLIMIT, b'\1', 'EINVAL'),
    (IPV6_TCLASS, struct.pack('<i', -2), 'EINVAL'), (IPV6_DONTFRAG, struct.pack('<i', 2), 'EINVAL'),
    (IPV6_PKTINFO, bytes(19), 'EINVAL'), (IPV6_PKTINFO, pktinfo(ANY, 77), 'ENODEV'),
    (IPV6_PKTINFO, pktinfo('2001:db8::9'), 'EINVAL'), (IPV6_PKTINFO, pktinfo('fe80::9'), 'EINVAL'),
    (IPV6_FLOWINFO, b'\0', 'EINVAL'), (IPV6_HOPOPTS, PADDING[:7], 'EINVAL'), (IPV6_DSTOPTS, b'\0\1' + bytes(6), 'EINVAL'),
    (IPV6_RTHDR, b'\0\2\0\1' + bytes(20), 'EINVAL'), (999, b'', 'EINVAL'),
])
def test_control_messages_that_are_refused(kind: int, data: bytes, error: str) -> None:
    host = alone6()
    fd = host.udp(5000)
    with fails(error):
        host.sendmsg(fd, b'x', [Cmsg(SOL_IPV6, kind, data)], (LOOPBACK, 5000))
    with fails('EAGAIN'):
        host.recvfrom(fd)


def test_extension_headers_of_one_message_are_told_to_who_asks() -> None:
    pair = Pair6()
    server, fd = pair.b6.udp(5000), pair.a6.socket(SOCK_DGRAM)
    for option in (IPV6_RECVHOPOPTS, IPV6_RECVDSTOPTS):
        pair.b.setopt(server, SOL_IPV6, option, 1)
    control = [Cmsg(SOL_IPV6, IPV6_HOPOPTS, PADDING), Cmsg(SOL_IPV6, IPV6_DSTOPTS, PADDING)]
    pair.a6.sendmsg(fd, b'with headers', control, (B, 5000))
    pair.a6.sendto(fd, b'without', (B, 5000))
    pair.settle(1_000_000)
    data, told, _ = pair.b6.recvmsg(server)
    assert (data, sorted(told)) == (b'with headers', [IPV6_HOPOPTS, IPV6_DSTOPTS])
    assert told[IPV6_HOPOPTS][1:] == told[IPV6_DSTOPTS][1:] == PADDING[1:]
    assert pair.b6.recvmsg(server)[1] == {}


def test_a_large_datagram_with_options_is_cut_and_put_together() -> None:
    pair = Pair6()
    server, fd = pair.b6.udp(5000), pair.a6.socket(SOCK_DGRAM)
    pair.b.setopt(server, SOL_IPV6, IPV6_RECVFRAGSIZE, 1)
    data = bytes(i % 251 for i in range(5000))
    control = [Cmsg(SOL_IPV6, IPV6_HOPOPTS, PADDING), Cmsg(SOL_IPV6, IPV6_DSTOPTS, PADDING)]
    pair.a6.sendmsg(fd, data, control, (B, 5000))
    pair.settle(1_000_000)
    got, told, _ = pair.b6.recvmsg(server)
    assert got == data
    assert 1400 < struct.unpack('<i', told[IPV6_RECVFRAGSIZE])[0] <= 1500


def test_the_mark_of_a_message_and_what_other_levels_say() -> None:
    host = alone6()
    fd = host.udp(5000)
    control = [Cmsg(SOL_SOCKET, SO_MARK, struct.pack('<i', 7)), Cmsg(SOL_IP, 2, struct.pack('<i', 9)), Cmsg(99, 1, b'')]
    assert host.sendmsg(fd, b'x', control, (LOOPBACK, 5000)) == 1
    with fails('EINVAL'):
        host.sendmsg(fd, b'x', [Cmsg(SOL_SOCKET, 999, b'')], (LOOPBACK, 5000))


def test_the_original_destination() -> None:
    host = alone6()
    fd = host.udp(5000)
    host.prog.setopt(fd, SOL_IPV6, IPV6_ORIGDSTADDR, 1)
    host.sendto(fd, b'x', (LOOPBACK, 5000))
    name = host.recvmsg(fd)[1][IPV6_ORIGDSTADDR]
    assert (len(name), name[:2], name[2:4], name[8:24]) == (28, b'\n\0', struct.pack('!H', 5000), in6_bytes(1))


def test_what_is_too_large_says_how_large_it_may_be() -> None:
    pair = Pair6()
    fd = pair.a6.socket(SOCK_DGRAM)
    pair.a.setopt(fd, SOL_IPV6, IPV6_RECVERR, 1)
    pair.a.setopt(fd, SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO)
    with fails('EMSGSIZE'):
        pair.a6.sendto(fd, bytes(1453), (B, 5000))
    data, control, peer = pair.a6.recvmsg(fd, flags=MSG_ERRQUEUE)
    assert (data, peer) == (b'', (B, 5000))
    assert struct.unpack_from('<IBBBBI', control[IPV6_RECVERR]) == (90, 1, 0, 0, 0, 1500)
    with fails('EAGAIN'):
        pair.a6.recvmsg(fd, flags=MSG_ERRQUEUE)


def test_a_path_mtu_is_told_to_who_asks() -> None:
    pair = Pair6()
    fd = pair.a6.socket(SOCK_DGRAM)
    pair.a.setopt(fd, SOL_IPV6, IPV6_RECVPATHMTU, 1)
    pair.a.setopt(fd, SOL_IPV6, IPV6_DONTFRAG, 1)
    with fails('EMSGSIZE'):
        pair.a6.sendto(fd, bytes(1453), (B, 5000))
    data, control, peer = pair.a6.recvmsg(fd)
    assert (data, peer[0]) == (b'', B)
    assert control[IPV6_PATHMTU][8:24] == in6_bytes(in6_pton(B))
    assert struct.unpack_from('<I', control[IPV6_PATHMTU], 28) == (1500,)
    pair.a6.sendmsg(fd, bytes(1453), one(IPV6_DONTFRAG, 0), (B, 5000))  # this one may be cut
    assert pair.net_a.mib.get('Ip6FragCreates') == 2
    with fails('EMSGSIZE'):
        pair.a6.sendto(fd, bytes(1453), (B, 5000))
    pair.a.close(fd)  # nobody is told any more
    assert 'UDPv6' not in pair.leftovers()
    assert not [name for name in pair.world.slab.active() if name.startswith('skbuff')]


def test_errors_of_both_families_in_one_queue() -> None:
    pair = Pair6()
    fd = pair.a6.udp(6000)
    pair.a.setopt(fd, SOL_IPV6, IPV6_RECVERR, 1)
    pair.a.setopt(fd, SOL_IP, 11, 1)
    pair.a6.sendto(fd, b'four', ('::ffff:10.0.0.2', 5001))
    pair.settle(1_000_000)
    pair.b6.udp(6)
    with fails('ECONNREFUSED'):
        pair.a6.sendto(fd, b'x', (B, 6))
    pair.a6.sendto(fd, b'six', (B, 5001))
    pair.settle(1_000_000)
    got = [pair.a6.recvmsg(fd, flags=MSG_ERRQUEUE) for _ in range(2)]
    assert [(data, peer) for data, _, peer in got] == [(b'four', ('::ffff:10.0.0.2', 5001)), (b'six', (B, 5001))]
    assert [struct.unpack_from('<IBBB', control[IPV6_RECVERR]) for _, control, _ in got] == [(111, 2, 3, 3), (111, 3, 1, 4)]
    assert pair.a.getopt(fd, SOL_SOCKET, 4) == 0
