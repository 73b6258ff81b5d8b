# SPDX-License-Identifier: Apache-2.0
"""Raw sockets over IPv6: clones for each, checksums, filters, whole headers, errors."""
from __future__ import annotations

import struct

import pytest

from helpers.frames import checksum
from helpers.hosts import fails
from helpers.hosts6 import ANY, LL_A, LL_B, LOOPBACK, A, B, Pair6, alone6
from linnet.include.linux.icmpv6 import ICMPV6_ECHO_REPLY, ICMPV6_ECHO_REQUEST, ICMPV6_FILTER
from linnet.include.linux.in6 import (
    IPPROTO_ICMPV6,
    IPV6_ADD_MEMBERSHIP,
    IPV6_CHECKSUM,
    IPV6_HDRINCL,
    IPV6_HOPLIMIT,
    IPV6_RECVERR,
    IPV6_RECVHOPLIMIT,
    in6_bytes,
    in6_pton,
)
from linnet.include.linux.inet import IPPROTO_RAW, IPPROTO_UDP
from linnet.include.linux.ipv6 import ipv6_hdr_build
from linnet.include.linux.netfilter import NF_ACCEPT, NF_INET_PRE_ROUTING, NFPROTO_IPV6, NfHookOps, NfHookState
from linnet.include.linux.skbuff import SkbFrag, SkBuff
from linnet.include.linux.socket import (
    FIONREAD,
    MSG_ERRQUEUE,
    MSG_MORE,
    MSG_TRUNC,
    SOCK_DGRAM,
    SOCK_RAW,
    SOL_ICMPV6,
    SOL_IPV6,
    SOL_RAW,
    Msghdr,
)
from linnet.include.net.dropreason import SKB_DROP_REASON_SKB_CSUM
from linnet.net import socket as sys
from linnet.net.ipv6.raw import raw6_seq_show
from linnet.net.netfilter.core import nf_register_net_hook

PROTO = 253  # for experiments (RFC 3692)


def with_pseudo(src: str, dst: str, proto: int, data: bytes) -> bytes:
    """The bytes that a transport's checksum covers."""
    return in6_bytes(in6_pton(src)) + in6_bytes(in6_pton(dst)) + struct.pack('!II', len(data), proto) + data


def echo(ident: int, seq: int, data: bytes, type: int = ICMPV6_ECHO_REQUEST) -> bytes:
    """An echo message, its checksum left open."""
    return struct.pack('!BBHHH', type, 0, 0, ident, seq) + data


class FlipHook(NfHookOps):
    """Changes the last byte of what comes in of our protocol."""

    def __init__(self) -> None:
        super().__init__(NFPROTO_IPV6, NF_INET_PRE_ROUTING)

    def hook(self, skb: SkBuff, state: NfHookState) -> int:
        """See NfHookOps."""
        if skb.head[skb.network_header + 6] == PROTO:
            frag = skb.frags.pop()
            data = frag.page[frag.offset:frag.offset + frag.size]
            skb.frags.append(SkbFrag(data[:-1] + bytes([data[-1] ^ 1]), 0, frag.size))
        return NF_ACCEPT


def test_ping_by_hand() -> None:
    pair = Pair6()
    fd = pair.a6.socket(SOCK_RAW, IPPROTO_ICMPV6)
    message = echo(77, 1, b'hello')
    assert pair.a6.sendto(fd, message, (B, 0)) == len(message)
    pair.settle(1_000_000)
    while True:
        data, peer = pair.a6.recvfrom(fd)
        if data[0] == ICMPV6_ECHO_REPLY:
            break
    assert peer == (B, 0)
    assert data[4:] == message[4:]
    assert checksum(with_pseudo(B, A, IPPROTO_ICMPV6, data)) == 0
    assert pair.net_a.mib.icmpv6_types[256 + ICMPV6_ECHO_REQUEST] == 1


def test_the_filter_keeps_types_away() -> None:
    host = alone6()
    wanting, deaf = [host.socket(SOCK_RAW, IPPROTO_ICMPV6) for _ in range(2)]
    block = bytearray(32)
    block[ICMPV6_ECHO_REQUEST // 8] |= 1 << ICMPV6_ECHO_REQUEST % 8
    sys.sys_setsockopt(host.process, wanting, SOL_ICMPV6, ICMPV6_FILTER, bytes(block))
    sys.sys_setsockopt(host.process, deaf, SOL_ICMPV6, ICMPV6_FILTER, b'\xff' * 32)
    assert sys.sys_getsockopt(host.process, wanting, SOL_ICMPV6, ICMPV6_FILTER, 64) == bytes(block)
    host.sendto(deaf, echo(1, 1, b'x'), (LOOPBACK, 0))
    assert host.recvfrom(wanting)[0][0] == ICMPV6_ECHO_REPLY
    for fd in (wanting, deaf):
        with fails('EAGAIN'):
            host.recvfrom(fd)
    other = host.socket(SOCK_RAW, PROTO)
    with fails('EOPNOTSUPP'):
        host.prog.setopt(other, SOL_ICMPV6, ICMPV6_FILTER, bytes(32))


def test_every_socket_that_matches_gets_a_copy() -> None:
    pair = Pair6()
    fds = [pair.b6.socket(SOCK_RAW, PROTO) for _ in range(4)]
    pair.b6.bind(fds[1], (B, 0))
    pair.b6.connect(fds[2], ('2001:db8::99', 0))
    pair.b6.bind(fds[3], (LL_B, 0, pair.zone_b))
    out = pair.a6.socket(SOCK_RAW, PROTO)
    pair.a6.sendto(out, b'hello', (B, 0))
    pair.settle(1_000_000)
    assert sys.sys_ioctl(pair.b.process, fds[0], FIONREAD) == 5
    for fd in fds[:2]:
        assert pair.b6.recvfrom(fd) == (b'hello', (A, 0))
    for fd in fds[2:]:
        with fails('EAGAIN'):
            pair.b6.recvfrom(fd)
    pair.a6.sendto(out, b'near', (LL_B, 0, pair.zone_a))
    pair.settle(1_000_000)
    assert pair.b6.recvfrom(fds[3]) == (b'near', (LL_A, 0, pair.zone_b))
    for fd in fds:
        pair.b.close(fd)
    pair.a.close(out)
    assert not [k for k in pair.leftovers() if k.startswith('RAW')]


def test_a_group_of_its_own() -> None:
    pair = Pair6()
    fd = pair.b6.socket(SOCK_RAW, PROTO)
    pair.b.setopt(fd, SOL_IPV6, IPV6_ADD_MEMBERSHIP, in6_bytes(in6_pton('ff02::99')) + pair.zone_b.to_bytes(4, 'little'))
    pair.b6.bind(fd, (LL_B, 0, pair.zone_b))
    out = pair.a6.socket(SOCK_RAW, PROTO)
    pair.a6.sendto(out, b'to the group', ('ff02::99', 0, pair.zone_a))
    pair.settle(1_000_000)
    assert pair.b6.recvfrom(fd) == (b'to the group', (LL_A, 0, pair.zone_b))


@pytest.mark.parametrize('size', [8, 9, 1452, 1453, 4001])
def test_the_stack_computes_the_checksum(size: int) -> None:
    pair = Pair6()
    server = pair.b6.udp(5000)
    fd = pair.a6.socket(SOCK_RAW, IPPROTO_UDP)
    assert pair.a.getopt(fd, SOL_IPV6, IPV6_CHECKSUM) == -1
    with fails('EINVAL'):
        pair.a.setopt(fd, SOL_IPV6, IPV6_CHECKSUM, 7)
    pair.a.setopt(fd, SOL_IPV6, IPV6_CHECKSUM, 6)
    data = bytes(i % 251 for i in range(size - 8))
    datagram = struct.pack('!HHHH', 7, 5000, size, 0xBEEF) + data  # what stands in the field counts nothing
    assert pair.a6.sendto(fd, datagram, (B, 0)) == size
    pair.settle(1_000_000)
    assert pair.b6.recvfrom(server) == (data, (A, 7))
    pair.a.setopt(fd, SOL_IPV6, IPV6_CHECKSUM, size & ~1)
    with fails('EINVAL'):  # it would stand behind the end
        pair.a6.sendto(fd, datagram, (B, 0))


def test_a_wrong_checksum_is_dropped_where_the_socket_asks_for_one() -> None:
    pair = Pair6()
    checking, trusting = [pair.b6.socket(SOCK_RAW, PROTO) for _ in range(2)]
    out = pair.a6.socket(SOCK_RAW, PROTO)
    for prog, fd in ((pair.b, checking), (pair.a, out)):
        prog.setopt(fd, SOL_RAW, IPV6_CHECKSUM, 0)
    pair.a6.sendto(out, b'\0\0right', (B, 0))
    pair.settle(1_000_000)
    nf_register_net_hook(pair.net_b, FlipHook())
    pair.a6.sendto(out, b'\0\0wrong', (B, 0), MSG_MORE)
    pair.a6.sendto(out, b'', (B, 0))
    pair.settle(1_000_000)
    assert pair.b6.recvfrom(checking)[0][2:] == b'right'
    with fails('EAGAIN'):
        pair.b6.recvfrom(checking)
    assert [pair.b6.recvfrom(trusting)[0][2:6] for _ in range(2)] == [b'righ', b'wron']
    assert pair.net_b.mib.drops[SKB_DROP_REASON_SKB_CSUM] == 1


def test_own_header() -> None:
    pair = Pair6()
    server = pair.b6.socket(SOCK_RAW, PROTO)
    for protocol in (IPPROTO_RAW, PROTO):
        fd = pair.a6.socket(SOCK_RAW, protocol)
        pair.a.setopt(fd, SOL_IPV6, IPV6_HDRINCL, 1)
        header = ipv6_hdr_build(0x12, 0x345, 5, PROTO, 3, in6_pton('2001:db8::99'), in6_pton(B))
        assert pair.a6.sendto(fd, header + b'whole', (B, 0)) == 45
        pair.settle(1_000_000)
        assert pair.b6.recvfrom(server) == (b'whole', ('2001:db8::99', 0))  # the source is the program's choice
        with fails('EINVAL'):
            pair.a6.sendto(fd, header[:39], (B, 0))
        with fails('EMSGSIZE'):
            pair.a6.sendto(fd, header + bytes(1461), (B, 0))
    assert pair.net_a.mib.get('Ip6OutRequests') >= 2


def test_what_is_no_destination() -> None:
    host = alone6()
    fd = host.socket(SOCK_RAW, PROTO)
    with fails('EDESTADDRREQ'):
        host.prog.send(fd, b'x')
    for port in (9, 300):
        with fails('EINVAL'):
            host.sendto(fd, b'x', (LOOPBACK, port))
    assert host.sendto(fd, b'its own number', (LOOPBACK, PROTO)) == 14
    assert host.sendto(fd, b'to myself', (ANY, 0)) == 9
    assert [host.recvfrom(fd)[0] for _ in range(2)] == [b'its own number', b'to myself']
    with fails('ENETUNREACH'):
        host.sendto(fd, b'x', ('::ffff:127.0.0.1', 0))
    every = host.socket(SOCK_RAW, IPPROTO_RAW)
    host.prog.setopt(every, SOL_IPV6, IPV6_HDRINCL, 0)
    host.sendto(every, b'by its number', (LOOPBACK, PROTO))
    assert host.recvfrom(fd)[0] == b'by its number'


def test_binds() -> None:
    host = alone6()
    fd = host.socket(SOCK_RAW, PROTO)
    for addr, error in (('::ffff:127.0.0.1', 'EADDRNOTAVAIL'), ('2001:db8::1', 'EADDRNOTAVAIL'), ('fe80::1', 'EINVAL')):
        with fails(error):
            host.bind(fd, (addr, 0))
    host.bind(fd, (LOOPBACK, 5))
    assert host.name(fd) == (LOOPBACK, PROTO)
    host.connect(fd, (LOOPBACK, 99))
    assert host.peer(fd) == (LOOPBACK, 99)
    with fails('EINVAL'):
        host.bind(fd, (ANY, 0))
    host.prog.send(fd, b'to myself')
    assert host.recvfrom(fd)[0] == b'to myself'
    assert raw6_seq_show(host.net).splitlines()[1].startswith('  253: 00000000000000000000000001000000:00FD ')
    host.disconnect(fd)
    host.sendto(fd, b'heard by nobody', (LOOPBACK, 0))
    with fails('EAGAIN'):
        host.recvfrom(fd)
    host.prog.close(fd)


def test_truncation_and_control_messages() -> None:
    host = alone6()
    fd = host.socket(SOCK_RAW, PROTO)
    host.prog.setopt(fd, SOL_IPV6, IPV6_RECVHOPLIMIT, 1)
    host.sendto(fd, b'12345', (LOOPBACK, 0))
    msg = Msghdr()
    assert sys.sys_recvmsg(host.process, fd, msg, 3, MSG_TRUNC) == 5
    assert b''.join(msg.chunks) == b'123'
    assert msg.msg_flags & MSG_TRUNC
    assert [(c.cmsg_type, c.data) for c in msg.msg_control] == [(IPV6_HOPLIMIT, struct.pack('i', 64))]


def test_errors_reach_who_asked_for_them() -> None:
    pair = Pair6()
    asking, connected, plain = [pair.a6.socket(SOCK_RAW, IPPROTO_UDP) for _ in range(3)]
    pair.a.setopt(asking, SOL_IPV6, IPV6_RECVERR, 1)
    pair.a6.connect(connected, (B, 0))
    datagram = struct.pack('!HHHH', 7, 5000, 12, 0) + b'lost'
    pair.a.setopt(plain, SOL_IPV6, IPV6_CHECKSUM, 6)
    pair.a6.sendto(plain, datagram, (B, 0))
    pair.settle(1_000_000)
    for fd in (asking, connected):
        with fails('ECONNREFUSED'):
            pair.a6.recvfrom(fd)
    with fails('EAGAIN'):
        pair.a6.recvfrom(plain)
    data, control, peer = pair.a6.recvmsg(asking, flags=MSG_ERRQUEUE)
    assert (data[:6], data[8:], peer) == (datagram[:6], b'lost', (B, 0))
    assert struct.unpack_from('<IBBB', control[IPV6_RECVERR]) == (111, 3, 1, 4)


def test_only_who_may_opens_one() -> None:
    host = alone6()
    assert host.socket(SOCK_RAW, PROTO) >= 0
    with fails('ENOPROTOOPT'):
        host.prog.setopt(host.socket(SOCK_DGRAM), SOL_IPV6, IPV6_HDRINCL, 1)
