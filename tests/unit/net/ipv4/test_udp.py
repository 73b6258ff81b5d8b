# SPDX-License-Identifier: Apache-2.0
"""UDP through the system calls: sending, receiving, connecting, ports, errors, buffers, corking, checksums."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.hosts import Alone, Pair, fails
from linnet.include.linux.inet import IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_RECVERR, IP_RECVTTL, IP_TTL
from linnet.include.linux.netfilter import NF_ACCEPT, NF_INET_PRE_ROUTING, NFPROTO_IPV4, NfHookOps, NfHookState
from linnet.include.linux.skbuff import CHECKSUM_NONE, SkBuff
from linnet.include.linux.socket import (
    AF_INET,
    AF_UNSPEC,
    FIONREAD,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_MORE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SIOCOUTQ,
    SO_BINDTODEVICE,
    SO_BROADCAST,
    SO_ERROR,
    SO_NO_CHECK,
    SO_RCVBUF,
    SO_RCVTIMEO,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SOCK_DGRAM,
    SOL_IP,
    SOL_SOCKET,
    SOL_UDP,
    Msghdr,
    Sockaddr,
)
from linnet.kernel.poll import POLLERR, POLLHUP, POLLIN, POLLOUT
from linnet.kernel.sched import send_signal, sleep_ns
from linnet.kernel.trace import TraceSink
from linnet.net import socket as sys
from linnet.net.core.dev_xmit import skb_checksum_help
from linnet.net.ipv4.udp import UDP_CORK
from linnet.net.netfilter.core import nf_register_net_hook

SECOND = 1_000_000_000


def test_datagrams_both_ways_keep_their_bounds() -> None:
    pair = Pair()
    server = pair.b.udp(5000)

    def serve() -> list[tuple[bytes, str, int]]:
        got = [pair.b.recvfrom(server) for _ in range(3)]
        for data, host, port in got:
            pair.b.sendto(server, data[::-1], host, port)
        return got

    def ask() -> list[bytes]:
        fd = pair.a.socket(SOCK_DGRAM)
        for data in (b'one', b'', b'x' * 1400):
            assert pair.a.sendto(fd, data, '10.0.0.2', 5000) == len(data)
        return [pair.a.recv(fd) for _ in range(3)]

    got, answers = pair.run(serve, ask)
    assert isinstance(got, list)
    assert [data for data, _, _ in got] == [b'one', b'', b'x' * 1400]
    assert {host for _, host, _ in got} == {'10.0.0.1'}
    assert answers == [b'eno', b'', b'x' * 1400]
    assert pair.net_a.mib.get('UdpOutDatagrams') == 3
    assert pair.net_a.mib.get('UdpInDatagrams') == 3


def test_nothing_is_left_behind() -> None:
    pair = Pair()
    before = pair.leftovers()
    server = pair.b.udp(5000)
    fd = pair.a.socket(SOCK_DGRAM)
    for _ in range(5):
        pair.a.sendto(fd, b'unread', '10.0.0.2', 5000)
    pair.a.close(fd)
    pair.b.close(server)
    assert pair.leftovers() == before
    prot = pair.net_b.ipv4.udp_prot
    assert prot is not None
    assert prot.mem.memory_allocated == 0


@pytest.mark.parametrize('size', [1472, 1473, 4000, 65507])
def test_large_datagrams_are_fragmented_and_reassembled(size: int) -> None:
    pair = Pair()
    server = pair.b.udp(5000)
    data = bytes(i * 7 & 0xFF for i in range(size))
    fd = pair.a.socket(SOCK_DGRAM)
    assert pair.a.sendto(fd, data, '10.0.0.2', 5000) == size
    assert pair.b.recv(server, 70000) == data
    assert (pair.net_a.mib.get('IpFragCreates') > 0) == (size > 1472)
    pair.a.close(fd)
    pair.b.close(server)
    assert not [k for k in pair.leftovers() if k.startswith('skbuff')]


def test_too_large_is_refused() -> None:
    host = Alone()
    fd = host.socket(SOCK_DGRAM)
    with fails('EMSGSIZE'):
        host.sendto(fd, bytes(65508), '127.0.0.1', 9)
    with fails('EMSGSIZE'):
        host.sendto(fd, bytes(65536), '127.0.0.1', 9)
    pair = Pair()
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.setopt(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    assert pair.a.sendto(fd, bytes(1472), '10.0.0.2', 9) == 1472
    with fails('EMSGSIZE'):
        pair.a.sendto(fd, bytes(1473), '10.0.0.2', 9)


def test_sends_that_are_refused() -> None:
    host = Alone()
    fd = host.socket(SOCK_DGRAM)
    with fails('EDESTADDRREQ'):
        host.send(fd, b'x')
    with fails('EINVAL'):
        host.sendto(fd, b'x', '127.0.0.1', 0)
    with fails('EOPNOTSUPP'):
        host.sendto(fd, b'x', '127.0.0.1', 9, MSG_OOB)
    with fails('EAFNOSUPPORT'):
        sys.sys_sendto(host.process, fd, b'x', 0, Sockaddr(17))
    with fails('ENETUNREACH'):
        host.sendto(fd, b'x', '10.9.9.9', 9)
    assert host.net.mib.get('IpOutNoRoutes') == 1


def test_broadcast_wants_permission_and_reaches_every_socket() -> None:
    pair = Pair()
    one = pair.b.socket(SOCK_DGRAM)
    two = pair.b.socket(SOCK_DGRAM)
    for fd in (one, two):
        pair.b.setopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        pair.b.bind(fd, '0.0.0.0', 5000)
    fd = pair.a.socket(SOCK_DGRAM)
    with fails('EACCES'):
        pair.a.sendto(fd, b'all', '10.0.0.255', 5000)
    with fails('EACCES'):
        pair.a.connect(fd, '10.0.0.255', 5000)
    pair.a.setopt(fd, SOL_SOCKET, SO_BROADCAST, 1)
    for target in ('10.0.0.255', '255.255.255.255'):
        try:
            pair.a.sendto(fd, b'all', target, 5000)
        except OSError:
            assert target == '255.255.255.255'
            continue
        assert pair.b.recv(one, 10, MSG_DONTWAIT) == b'all'
        assert pair.b.recv(two, 10, MSG_DONTWAIT) == b'all'


def test_connected_socket_hears_its_peer_only() -> None:
    pair = Pair()
    fd = pair.b.udp(5000)
    first = pair.a.udp(6001)
    second = pair.a.udp(6002)
    pair.b.connect(fd, '10.0.0.1', 6001)
    assert pair.b.name(fd) == ('10.0.0.2', 5000)
    assert pair.b.peer(fd) == ('10.0.0.1', 6001)
    pair.a.sendto(second, b'stranger', '10.0.0.2', 5000)
    pair.a.sendto(first, b'peer', '10.0.0.2', 5000)
    assert pair.b.recv(fd, 100, MSG_DONTWAIT) == b'peer'
    with fails('EAGAIN'):
        pair.b.recv(fd, 100, MSG_DONTWAIT)
    assert pair.b.send(fd, b'to you') == 6
    assert pair.a.recvfrom(first)[0] == b'to you'
    sys.sys_connect(pair.b.process, fd, Sockaddr(AF_UNSPEC))
    with fails('ENOTCONN'):
        pair.b.peer(fd)
    assert pair.b.name(fd) == ('0.0.0.0', 5000)  # the port was bound by the program, the address was not
    pair.a.sendto(second, b'stranger', '10.0.0.2', 5000)
    assert pair.b.recv(fd, 100, MSG_DONTWAIT) == b'stranger'


def test_port_unreachable_is_refused_on_a_connected_socket() -> None:
    pair = Pair()
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.connect(fd, '10.0.0.2', 7)
    assert pair.a.send(fd, b'anyone?') == 7
    assert pair.a.poll(fd, POLLIN | POLLOUT) & POLLERR
    with fails('ECONNREFUSED'):
        pair.a.recv(fd, 10, MSG_DONTWAIT)
    with fails('EAGAIN'):
        pair.a.recv(fd, 10, MSG_DONTWAIT)
    assert pair.a.send(fd, b'again') == 5
    assert pair.a.getopt(fd, SOL_SOCKET, SO_ERROR) == 111
    loose = pair.a.socket(SOCK_DGRAM)
    pair.a.sendto(loose, b'anyone?', '10.0.0.2', 7)
    with fails('EAGAIN'):
        pair.a.recv(loose, 10, MSG_DONTWAIT)
    assert pair.net_b.mib.get('UdpNoPorts') == 3
    assert pair.net_b.mib.get('IcmpOutDestUnreachs') == 3


def test_error_queue_tells_who_refused() -> None:
    pair = Pair()
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.setopt(fd, SOL_IP, IP_RECVERR, 1)
    pair.a.sendto(fd, b'anyone?', '10.0.0.2', 7)
    msg = Msghdr()
    assert sys.sys_recvmsg(pair.a.process, fd, msg, 100, MSG_ERRQUEUE) == 7
    assert b''.join(msg.chunks) == b'anyone?'
    assert msg.msg_name is not None
    assert (msg.msg_name.sin_addr, msg.msg_name.sin_port) == (0x0A000002, 7)
    cmsg, = [c for c in msg.msg_control if c.cmsg_type == IP_RECVERR]
    assert int.from_bytes(cmsg.data[:4], 'little') == 111  # ee_errno
    assert (cmsg.data[4], cmsg.data[5], cmsg.data[6]) == (2, 3, 3)  # SO_EE_ORIGIN_ICMP, type, code


def test_unreachable_next_hop_is_reported() -> None:
    pair = Pair()
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.setopt(fd, SOL_IP, IP_RECVERR, 1)
    pair.a.connect(fd, '10.0.0.77', 7)

    def wait() -> int:
        pair.a.send(fd, b'hello')
        with fails('EHOSTUNREACH'):
            pair.a.recv(fd)
        return int(pair.world.clock.now)

    ended, = pair.run(wait)
    assert isinstance(ended, int)
    assert 2.9 * SECOND < ended < 3.2 * SECOND


def test_ports() -> None:
    host = Alone()
    first = host.udp(5000)
    second = host.socket(SOCK_DGRAM)
    with fails('EADDRINUSE'):
        host.bind(second, '0.0.0.0', 5000)
    with fails('EADDRINUSE'):
        host.bind(second, '127.0.0.1', 5000)
    host.close(first)
    host.bind(second, '127.0.0.1', 5000)
    third = host.udp(5000, '127.0.0.2')
    with fails('EADDRINUSE'):
        host.udp(5000)
    host.sendto(third, b'x', '127.0.0.1', 5000)
    assert host.recvfrom(second) == (b'x', '127.0.0.2', 5000)
    ports = {host.name(host.udp())[1] for _ in range(50)}
    assert len(ports) == 50
    assert all(32768 <= port <= 60999 for port in ports)


def test_ephemeral_ports_run_out() -> None:
    host = Alone()
    assert host.net.sysctl.set('net.ipv4.ip_local_port_range', '40000 40004') == 0
    assert sorted(host.name(host.udp())[1] for _ in range(5)) == [40000, 40001, 40002, 40003, 40004]
    with fails('EADDRINUSE'):
        host.udp()
    fd = host.socket(SOCK_DGRAM)
    with fails('EAGAIN'):
        host.sendto(fd, b'x', '127.0.0.1', 9)


def test_reuseaddr_last_bound_receives() -> None:
    host = Alone()
    fds = [host.socket(SOCK_DGRAM) for _ in range(3)]
    for fd in fds:
        host.setopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        host.bind(fd, '127.0.0.1', 5000)
    out = host.socket(SOCK_DGRAM)
    host.sendto(out, b'x', '127.0.0.1', 5000)
    assert host.recv(fds[2], 10, MSG_DONTWAIT) == b'x'


def test_reuseport_spreads_flows_and_keeps_each_on_its_socket() -> None:
    host = Alone()
    group = [host.socket(SOCK_DGRAM) for _ in range(4)]
    for fd in group:
        host.setopt(fd, SOL_SOCKET, SO_REUSEPORT, 1)
        host.bind(fd, '127.0.0.1', 5000)
    stranger = host.socket(SOCK_DGRAM)
    with fails('EADDRINUSE'):
        host.bind(stranger, '127.0.0.1', 5000)
    clients = [host.udp(0, '127.0.0.1') for _ in range(64)]
    for _ in range(2):
        for fd in clients:
            host.sendto(fd, b'x', '127.0.0.1', 5000)
    homes: dict[int, set[int]] = {}
    for index, fd in enumerate(group):
        while host.poll(fd, POLLIN):
            _, _, port = host.recvfrom(fd)
            homes.setdefault(port, set()).add(index)
    assert len(homes) == 64
    assert all(len(where) == 1 for where in homes.values())
    assert {min(where) for where in homes.values()} == {0, 1, 2, 3}


def test_the_most_specific_socket_receives() -> None:
    pair = Pair()
    any_one = pair.b.socket(SOCK_DGRAM)
    bound = pair.b.socket(SOCK_DGRAM)
    peer = pair.b.socket(SOCK_DGRAM)
    for fd, host in ((any_one, '0.0.0.0'), (bound, '10.0.0.2'), (peer, '10.0.0.2')):
        pair.b.setopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        pair.b.bind(fd, host, 5000)
    pair.b.connect(peer, '10.0.0.1', 6000)
    out = pair.a.udp(6000)
    other = pair.a.udp(6001)
    pair.a.sendto(out, b'1', '10.0.0.2', 5000)
    pair.a.sendto(other, b'2', '10.0.0.2', 5000)
    assert pair.b.recv(peer, 10, MSG_DONTWAIT) == b'1'
    assert pair.b.recv(bound, 10, MSG_DONTWAIT) == b'2'
    with fails('EAGAIN'):
        pair.b.recv(any_one, 10, MSG_DONTWAIT)


def test_bound_device() -> None:
    pair = Pair()
    fd = pair.b.socket(SOCK_DGRAM)
    pair.b.setopt(fd, SOL_SOCKET, SO_BINDTODEVICE, b'lo\0')
    pair.b.bind(fd, '0.0.0.0', 5000)
    out = pair.a.socket(SOCK_DGRAM)
    pair.a.sendto(out, b'x', '10.0.0.2', 5000)
    with fails('EAGAIN'):
        pair.b.recv(fd, 10, MSG_DONTWAIT)
    local = pair.b.socket(SOCK_DGRAM)
    pair.b.sendto(local, b'y', '127.0.0.1', 5000)
    assert pair.b.recv(fd, 10, MSG_DONTWAIT) == b'y'


def test_peek_truncation_and_ioctls() -> None:
    host = Alone()
    fd = host.udp(5000, '127.0.0.1')
    for data in (b'hello world', b'second'):
        host.sendto(fd, data, '127.0.0.1', 5000)
    assert sys.sys_ioctl(host.process, fd, FIONREAD) == 11
    assert sys.sys_ioctl(host.process, fd, SIOCOUTQ) == 0
    assert host.recv(fd, 5, MSG_PEEK) == b'hello'
    assert host.recv(fd, 100, MSG_PEEK) == b'hello world'
    msg = Msghdr()
    assert sys.sys_recvmsg(host.process, fd, msg, 5, MSG_TRUNC) == 11
    assert (b''.join(msg.chunks), msg.msg_flags & MSG_TRUNC) == (b'hello', MSG_TRUNC)
    msg = Msghdr()
    assert sys.sys_recvmsg(host.process, fd, msg, 3, 0) == 3
    assert (b''.join(msg.chunks), msg.msg_flags & MSG_TRUNC) == (b'sec', MSG_TRUNC)
    assert sys.sys_ioctl(host.process, fd, FIONREAD) == 0
    host.close(fd)
    assert not [k for k in host.world.slab.active() if k.startswith('skbuff')]


def test_full_receive_buffer_drops_and_counts() -> None:
    host = Alone()
    fd = host.udp(5000, '127.0.0.1')
    host.setopt(fd, SOL_SOCKET, SO_RCVBUF, 2304)
    out = host.socket(SOCK_DGRAM)
    for i in range(20):
        host.sendto(out, bytes([i]) * 500, '127.0.0.1', 5000)
    drops = host.net.mib.get('UdpRcvbufErrors')
    assert 0 < drops < 20
    assert host.net.mib.get('UdpInErrors') == drops
    assert host.net.mib.drops.get(6) == drops  # SOCKET_RCVBUFF
    got = 0
    while host.poll(fd, POLLIN):
        assert host.recv(fd)[0] == got  # the oldest are kept
        got += 1
    assert got == 20 - drops
    host.sendto(out, bytes(40000), '127.0.0.1', 5000)  # an empty queue takes one of any size
    assert len(host.recv(fd)) == 40000


def test_receive_waits_and_times_out() -> None:
    pair = Pair()
    server = pair.b.udp(5000)
    pair.b.setopt(server, SOL_SOCKET, SO_RCVTIMEO, (1).to_bytes(8, 'little') + (500_000).to_bytes(8, 'little'))

    def wait() -> int:
        with fails('EAGAIN'):
            pair.b.recv(server)
        return int(pair.world.clock.now)

    ended, = pair.run(wait)
    assert ended == 1_500_000_000


def test_two_readers_share_datagrams() -> None:
    pair = Pair()
    server = pair.b.udp(5000)

    def read() -> bytes:
        return pair.b.recv(server)

    def write() -> None:
        fd = pair.a.socket(SOCK_DGRAM)
        pair.a.sendto(fd, b'1', '10.0.0.2', 5000)
        pair.a.sendto(fd, b'2', '10.0.0.2', 5000)

    first, second, _ = pair.run(read, read, write)
    assert {first, second} == {b'1', b'2'}


def test_cork_gathers_one_datagram() -> None:
    pair = Pair()
    server = pair.b.udp(5000)
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.connect(fd, '10.0.0.2', 5000)
    assert pair.a.send(fd, b'one ', MSG_MORE) == 4
    assert pair.a.send(fd, b'two ', MSG_MORE) == 4
    with fails('EAGAIN'):
        pair.b.recv(server, 100, MSG_DONTWAIT)
    assert pair.a.send(fd, b'three') == 5
    assert pair.b.recv(server) == b'one two three'
    pair.a.setopt(fd, SOL_UDP, UDP_CORK, 1)
    assert pair.a.getopt(fd, SOL_UDP, UDP_CORK) == 1
    for part in (b'a' * 1000, b'b' * 1000, b'c' * 1000):
        pair.a.send(fd, part)
    pair.a.setopt(fd, SOL_UDP, UDP_CORK, 0)
    assert pair.b.recv(server) == b'a' * 1000 + b'b' * 1000 + b'c' * 1000
    pair.a.setopt(fd, SOL_UDP, UDP_CORK, 1)
    pair.a.send(fd, b'never sent')
    pair.a.close(fd)
    pair.b.close(server)
    assert not [k for k in pair.leftovers() if k.startswith(('skbuff', 'UDP'))]


class Spoil(NfHookOps):
    """Fills the checksum in, and flips a bit of the payload where asked."""

    def __init__(self, flip: bool) -> None:
        super().__init__(NFPROTO_IPV4, NF_INET_PRE_ROUTING)
        self.flip = flip
        self.checks: list[int] = []

    def hook(self, skb: SkBuff, state: NfHookState) -> int:
        if skb.ip_summed != CHECKSUM_NONE and skb.csum_offset == 6:
            skb_checksum_help(skb)
        skb.ip_summed = CHECKSUM_NONE
        at = int(skb.network_header) + 20
        self.checks.append(int.from_bytes(skb.head[at + 6:at + 8], 'big'))
        if self.flip:
            skb.head = skb.head[:at + 3] + bytes([skb.head[at + 3]]) + skb.head[at + 4:at + 6] \
                + bytes([skb.head[at + 6] ^ 0x10]) + skb.head[at + 7:]
        return NF_ACCEPT


def test_checksum_is_verified_when_the_program_reads() -> None:
    pair = Pair()
    server = pair.b.udp(5000)
    spoil = Spoil(True)
    nf_register_net_hook(pair.net_b, spoil)
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.sendto(fd, b'spoilt' * 20, '10.0.0.2', 5000)
    assert pair.net_b.mib.get('UdpInCsumErrors') == 0
    assert pair.b.poll(server, POLLIN) == 0  # poll throws it away
    assert pair.net_b.mib.get('UdpInCsumErrors') == 1
    pair.a.sendto(fd, b'spoilt' * 20, '10.0.0.2', 5000)
    spoil.flip = False
    pair.a.sendto(fd, b'good', '10.0.0.2', 5000)
    assert pair.b.recv(server, 10, MSG_DONTWAIT) == b'good'
    assert pair.net_b.mib.get('UdpInCsumErrors') == 2
    assert pair.net_b.mib.get('UdpInErrors') == 2
    assert pair.net_b.mib.get('UdpInDatagrams') == 1
    assert all(check != 0 for check in spoil.checks)
    pair.a.setopt(fd, SOL_SOCKET, SO_NO_CHECK, 1)
    pair.a.sendto(fd, b'unsummed', '10.0.0.2', 5000)
    assert spoil.checks[-1] == 0
    assert pair.b.recv(server, 10, MSG_DONTWAIT) == b'unsummed'


@pytest.mark.parametrize(('size', 'at_once'), [(0, True), (68, True), (69, False)])
def test_a_short_datagram_is_verified_when_it_comes(size: int, at_once: bool) -> None:
    """76 bytes with the header, as on Linux; who does not wait sees a longer one ready, and then gets nothing."""
    pair = Pair()
    server = pair.b.nonblocking(pair.b.udp(5000))
    nf_register_net_hook(pair.net_b, Spoil(True))
    pair.a.sendto(pair.a.socket(SOCK_DGRAM), bytes(size), '10.0.0.2', 5000)
    assert pair.b.poll(server, POLLIN) == (0 if at_once else POLLIN)
    assert pair.net_b.mib.get('UdpInCsumErrors') == (1 if at_once else 0)
    with fails('EAGAIN'):
        pair.b.recv(server)
    assert pair.net_b.mib.get('UdpInCsumErrors') == 1


def test_control_messages() -> None:
    pair = Pair()
    server = pair.b.udp(5000)
    pair.b.setopt(server, SOL_IP, IP_RECVTTL, 1)
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.setopt(fd, SOL_IP, IP_TTL, 9)
    pair.a.sendto(fd, b'x', '10.0.0.2', 5000)
    msg = Msghdr()
    sys.sys_recvmsg(pair.b.process, server, msg, 10, 0)
    cmsg, = msg.msg_control
    assert (cmsg.cmsg_level, cmsg.cmsg_type, int.from_bytes(cmsg.data, 'little')) == (SOL_IP, IP_TTL, 9)
    assert msg.msg_name is not None
    assert msg.msg_name.sa_family == AF_INET


def test_multicast_reaches_the_members() -> None:
    pair = Pair()
    group = bytes([239, 1, 2, 3])
    fds = []
    for _ in range(2):
        fd = pair.b.socket(SOCK_DGRAM)
        pair.b.setopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        pair.b.bind(fd, '0.0.0.0', 5000)
        pair.b.setopt(fd, SOL_IP, 35, group + bytes([10, 0, 0, 2]))  # IP_ADD_MEMBERSHIP
        fds.append(fd)
    out = pair.a.socket(SOCK_DGRAM)
    pair.a.setopt(out, SOL_IP, 32, bytes([10, 0, 0, 1]))  # IP_MULTICAST_IF
    pair.a.sendto(out, b'group', '239.1.2.3', 5000)
    assert [pair.b.recv(fd, 10, MSG_DONTWAIT) for fd in fds] == [b'group', b'group']


def test_equal_seeds_give_equal_ports() -> None:
    def ports(seed: int) -> list[int]:
        pair = Pair(seed)
        return [pair.a.name(pair.a.udp())[1] for _ in range(10)]

    assert ports(4) == ports(4)
    assert ports(4) != ports(5)


def test_connected_flow_is_recognised_before_routing() -> None:
    pair = Pair()
    server = pair.b.udp(5000)
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.connect(fd, '10.0.0.2', 5000)
    port = pair.a.name(fd)[1]
    pair.a.send(fd, b'0')
    pair.b.recv(server)
    pair.b.connect(server, '10.0.0.1', port)
    lookups: list[str] = []

    class Watch(TraceSink):
        def event(self, name: str, fields: dict[str, object]) -> None:
            if name == 'fib:fib_table_lookup' and fields['iif'] != 1:
                lookups.append(str(fields['dst']))

    pair.world.trace.subscribe(Watch())
    for n in range(5):
        pair.a.send(fd, bytes([n]))
    assert [pair.b.recv(server) for _ in range(5)] == [bytes([n]) for n in range(5)]
    assert lookups == ['10.0.0.2']  # the first only
    pair.b.close(server)
    pair.a.close(fd)
    assert not [k for k in pair.leftovers() if k.startswith(('skbuff', 'UDP'))]


def test_shutdown() -> None:
    pair = Pair()
    server = pair.b.udp(5000)
    fd = pair.a.socket(SOCK_DGRAM)
    with fails('ENOTCONN'):
        pair.a.shutdown(fd, SHUT_RDWR)
    assert pair.a.poll(fd, POLLIN) & POLLHUP
    fd = pair.a.udp(6000)
    pair.a.connect(fd, '10.0.0.2', 5000)
    pair.b.connect(server, '10.0.0.1', 6000)

    def wait() -> bytes:
        return pair.a.recv(fd)

    def stop() -> None:
        sleep_ns(pair.world.sched, SECOND)
        pair.a.shutdown(fd, SHUT_RD)

    assert pair.run(wait, stop)[0] == b''
    assert pair.a.send(fd, b'still') == 5
    assert pair.b.recv(server) == b'still'
    pair.a.shutdown(fd, SHUT_WR)
    with fails('EPIPE'):
        pair.a.send(fd, b'no more')


def test_a_signal_interrupts_the_wait() -> None:
    pair = Pair()
    server = pair.b.udp(5000)

    def wait() -> None:
        with fails('EINTR'):
            pair.b.recv(server)

    task = pair.world.sched.spawn(wait, 'wait')

    def kill() -> None:
        sleep_ns(pair.world.sched, SECOND)
        send_signal(task, 15)

    pair.run(kill)
    assert not task.alive()


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=3000)), min_size=1, max_size=12))
def test_any_datagrams_arrive_whole_and_in_order(datagrams: list[tuple[bool, bytes]]) -> None:
    pair = Pair()
    server = pair.b.udp(5000)
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.connect(fd, '10.0.0.2', 5000)
    want = []
    part = b''
    for more, data in datagrams:
        pair.a.send(fd, data, MSG_MORE if more else 0)
        part += data
        if not more:
            want.append(part)
            part = b''
    assert [pair.b.recv(server, 65536, MSG_DONTWAIT) for _ in want] == want
    with fails('EAGAIN'):
        pair.b.recv(server, 65536, MSG_DONTWAIT)
    pair.a.close(fd)
    pair.b.close(server)
    assert not [k for k in pair.leftovers() if k.startswith(('skbuff', 'UDP'))]


def test_unread_errors_and_peeked_datagrams_are_freed_at_close() -> None:
    pair = Pair()
    before = pair.leftovers()
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.setopt(fd, SOL_IP, IP_RECVERR, 1)
    for _ in range(3):
        try:
            pair.a.sendto(fd, b'anyone?', '10.0.0.2', 7)
        except ConnectionRefusedError:
            continue
    server = pair.b.udp(5000)
    pair.a.sendto(pair.a.socket(SOCK_DGRAM), b'look at me', '10.0.0.2', 5000)
    assert pair.b.recv(server, 10, MSG_PEEK) == b'look at me'
    pair.a.close(fd)
    pair.b.close(server)
    pair.a.process.files.close_all()
    assert pair.leftovers() == before
