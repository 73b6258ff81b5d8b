# SPDX-License-Identifier: Apache-2.0
"""UDP over IPv6 through the system calls: both families on one socket, zones, multicast, errors, control messages, checksums."""
from __future__ import annotations

import struct

import pytest

from helpers.hosts import fails
from helpers.hosts6 import ANY, LL_A, LL_B, LOOPBACK, A, B, Pair6, alone6, pktinfo
from linnet.include.linux.in6 import (
    IPV6_ADD_MEMBERSHIP,
    IPV6_DROP_MEMBERSHIP,
    IPV6_HOPLIMIT,
    IPV6_MTU,
    IPV6_MULTICAST_ALL,
    IPV6_MULTICAST_HOPS,
    IPV6_MULTICAST_IF,
    IPV6_MULTICAST_LOOP,
    IPV6_PKTINFO,
    IPV6_RECVERR,
    IPV6_RECVHOPLIMIT,
    IPV6_RECVPKTINFO,
    IPV6_RECVTCLASS,
    IPV6_TCLASS,
    IPV6_V6ONLY,
    in6_bytes,
    in6_pton,
)
from linnet.include.linux.inet import IPPROTO_UDP
from linnet.include.linux.netfilter import NF_ACCEPT, NF_INET_PRE_ROUTING, NFPROTO_IPV6, NfHookOps, NfHookState
from linnet.include.linux.skbuff import CHECKSUM_NONE, SkBuff
from linnet.include.linux.socket import (
    AF_INET,
    MSG_ERRQUEUE,
    MSG_MORE,
    SO_BINDTODEVICE,
    SO_RCVBUF,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SOCK_DGRAM,
    SOL_IPV6,
    SOL_SOCKET,
    SOL_UDP,
    Cmsg,
    Msghdr,
)
from linnet.include.net.dropreason import SKB_DROP_REASON_UDP_CSUM
from linnet.kernel.poll import POLLERR, POLLIN
from linnet.net import socket as sys
from linnet.net.core.dev import dev_set_mtu
from linnet.net.core.dev_xmit import skb_checksum_help
from linnet.net.ipv4.udp import UDP_CORK, UDP_NO_CHECK6_RX, UDP_NO_CHECK6_TX, udp4_seq_show
from linnet.net.ipv6.mcast import ipv6_chk_mcast_addr
from linnet.net.ipv6.udp import udp6_seq_show
from linnet.net.netfilter.core import nf_register_net_hook

GROUP = 'ff02::1234'


def mreq(group: str, ifindex: int) -> bytes:
    """struct ipv6_mreq."""
    return in6_bytes(in6_pton(group)) + ifindex.to_bytes(4, 'little')


class EditHook(NfHookOps):
    """Checksums the datagrams that come in, changes a byte of their headers, and leaves the checksum to be verified."""

    def __init__(self, offset: int) -> None:
        super().__init__(NFPROTO_IPV6, NF_INET_PRE_ROUTING)
        self.offset = offset

    def hook(self, skb: SkBuff, state: NfHookState) -> int:
        """See NfHookOps."""
        at = int(skb.network_header)
        if skb.head[at + 6] == IPPROTO_UDP:
            if skb.ip_summed != CHECKSUM_NONE:
                skb_checksum_help(skb)
            at = int(skb.network_header) + self.offset
            skb.head = skb.head[:at] + bytes([skb.head[at] ^ 0x40]) + skb.head[at + 1:]
            skb.ip_summed = CHECKSUM_NONE
        return NF_ACCEPT


def test_datagrams_both_ways_keep_their_bounds() -> None:
    pair = Pair6()
    server = pair.b6.udp(5000)
    client = pair.a6.socket(SOCK_DGRAM)
    for data in (b'one', b'', b'x' * 1400):
        assert pair.a6.sendto(client, data, (B, 5000)) == len(data)
    pair.settle(1_000_000)
    for data in (b'one', b'', b'x' * 1400):
        got, peer = pair.b6.recvfrom(server)
        assert (got, peer[0]) == (data, A)
        pair.b6.sendto(server, got[::-1], peer)
    pair.settle(1_000_000)
    assert [pair.a6.recvfrom(client) for _ in range(3)] == [(b'eno', (B, 5000)), (b'', (B, 5000)), (b'x' * 1400, (B, 5000))]
    assert pair.net_a.mib.get('Udp6OutDatagrams') == 3
    assert pair.net_a.mib.get('Udp6InDatagrams') == 3
    assert pair.net_a.mib.get('UdpOutDatagrams') == 0


def test_nothing_is_left_behind() -> None:
    pair = Pair6()
    pair.settle(10_000_000_000)
    before = pair.world.slab.active()
    server = pair.b6.udp(5000)
    fd = pair.a6.socket(SOCK_DGRAM)
    for _ in range(5):
        pair.a6.sendto(fd, b'unread', (B, 5000))
    pair.a6.sendto(fd, b'corked', (B, 5000), MSG_MORE)
    pair.settle(1_000_000)
    pair.a.close(fd)
    pair.b.close(server)
    pair.settle(10_000_000_000)
    after = pair.world.slab.active()
    assert {k: v for k, v in after.items() if k.startswith(('UDP', 'skbuff'))} == {
        k: v for k, v in before.items() if k.startswith(('UDP', 'skbuff'))}


@pytest.mark.parametrize('size', [1452, 1453, 4000, 65527])
def test_large_datagrams_are_fragmented_and_reassembled(size: int) -> None:
    pair = Pair6()
    server = pair.b6.udp(5000)
    data = bytes(i * 7 & 0xFF for i in range(size))
    fd = pair.a6.socket(SOCK_DGRAM)
    assert pair.a6.sendto(fd, data, (B, 5000)) == size
    pair.settle(1_000_000)
    assert pair.b6.recvfrom(server)[0] == data
    assert (pair.net_a.mib.get('Ip6FragCreates') > 0) == (size > 1452)
    with fails('EMSGSIZE'):
        pair.a6.sendto(fd, bytes(65528), (B, 5000))


def test_one_socket_for_both_families() -> None:
    pair = Pair6()
    server = pair.b6.udp(5000)
    four, six = pair.a.udp(4000), pair.a6.udp(6000)
    pair.a.sendto(four, b'four', '10.0.0.2', 5000)
    pair.a6.sendto(six, b'six', (B, 5000))
    pair.settle(1_000_000)
    assert [pair.b6.recvfrom(server) for _ in range(2)] == [(b'four', ('::ffff:10.0.0.1', 4000)), (b'six', (A, 6000))]
    pair.b6.sendto(server, b'to four', ('::ffff:10.0.0.1', 4000))
    pair.b6.sendto(server, b'to six', (A, 6000))
    pair.settle(1_000_000)
    assert pair.a.recvfrom(four) == (b'to four', '10.0.0.2', 5000)
    assert pair.a6.recvfrom(six) == (b'to six', (B, 5000))
    for name in ('UdpInDatagrams', 'Udp6InDatagrams', 'UdpOutDatagrams', 'Udp6OutDatagrams'):
        assert pair.net_b.mib.get(name) == 1


def test_a_socket_for_ipv6_alone_hears_no_ipv4() -> None:
    pair = Pair6()
    server = pair.b6.socket(SOCK_DGRAM)
    pair.b.setopt(server, SOL_IPV6, IPV6_V6ONLY, 1)
    pair.b6.bind(server, (ANY, 5000))
    four = pair.a.nonblocking(pair.a.socket(SOCK_DGRAM))
    pair.a.connect(four, '10.0.0.2', 5000)
    pair.a.send(four, b'four')
    pair.settle(1_000_000)
    with fails('ECONNREFUSED'):
        pair.a.recv(four)
    with fails('EAGAIN'):
        pair.b6.recvfrom(server)
    with fails('ENETUNREACH'):
        pair.b6.sendto(server, b'x', ('::ffff:10.0.0.1', 4000))


def test_connected_to_a_mapped_address() -> None:
    pair = Pair6()
    four = pair.b.nonblocking(pair.b.udp(5000))
    fd = pair.a6.socket(SOCK_DGRAM)
    pair.a6.connect(fd, ('::ffff:10.0.0.2', 5000))
    assert pair.a6.name(fd)[0] == '::ffff:10.0.0.1'
    assert pair.a6.peer(fd) == ('::ffff:10.0.0.2', 5000)
    pair.a.send(fd, b'mapped')
    pair.settle(1_000_000)
    data, host, port = pair.b.recvfrom(four)
    assert (data, host, port) == (b'mapped', '10.0.0.1', pair.a6.name(fd)[1])
    pair.b.sendto(four, b'back', host, port)
    stranger = pair.b.udp(5001)
    pair.b.sendto(stranger, b'not heard', host, port)
    pair.settle(1_000_000)
    assert pair.a6.recvfrom(fd) == (b'back', ('::ffff:10.0.0.2', 5000))
    with fails('EAGAIN'):
        pair.a6.recvfrom(fd)


def test_link_local_addresses_bear_their_zone() -> None:
    pair = Pair6()
    server = pair.b6.udp(5000)
    fd = pair.a6.udp(6000, LL_A, pair.zone_a)
    with fails('EINVAL'):
        pair.a6.connect(fd, (LL_B, 5000, pair.zone_a + 7))
    assert pair.a6.sendto(fd, b'near', (LL_B, 5000, pair.zone_a)) == 4
    pair.settle(1_000_000)
    assert pair.b6.recvfrom(server) == (b'near', (LL_A, 6000, pair.zone_b))
    pair.b6.sendto(server, b'back', (LL_A, 6000, pair.zone_b))
    pair.settle(1_000_000)
    assert pair.a6.recvfrom(fd) == (b'back', (LL_B, 5000, pair.zone_a))
    pair.b6.connect(server, (LL_A, 6000, pair.zone_b))
    assert pair.b6.peer(server) == (LL_A, 6000, pair.zone_b)
    other = pair.b6.socket(SOCK_DGRAM)
    with fails('EINVAL'):
        pair.b6.bind(other, (LL_B, 5001))
    with fails('ENODEV'):
        pair.b6.bind(other, (LL_B, 5001, 77))


def test_a_connected_socket_hears_its_peer_alone_and_of_refusals() -> None:
    pair = Pair6()
    server = pair.b6.udp(5000)
    fd = pair.a6.udp(6000)
    pair.a6.connect(fd, (B, 5000))
    assert pair.a6.name(fd) == (A, 6000)
    stranger = pair.b6.udp(5001)
    for sender, data in ((stranger, b'stranger'), (server, b'peer')):
        pair.b6.sendto(sender, data, (A, 6000))
    pair.settle(1_000_000)
    assert pair.a6.recvfrom(fd) == (b'peer', (B, 5000))
    assert pair.net_a.mib.get('Udp6NoPorts') == 1
    pair.b.close(server)
    pair.a.send(fd, b'nobody there')
    pair.settle(1_000_000)
    assert pair.a.poll(fd, POLLIN) & POLLERR
    with fails('ECONNREFUSED'):
        pair.a.send(fd, b'x')
    assert pair.a.send(fd, b'x') == 1


def test_who_disconnects_goes_on_to_hear_only_that_peer() -> None:
    """What Linux 6.18 does: connect(AF_UNSPEC) forgets the peer's port, and the address for sending alone."""
    pair = Pair6()
    fd = pair.a6.udp(6000)
    pair.a6.connect(fd, (B, 5000))
    pair.a6.disconnect(fd)
    assert pair.a6.name(fd) == (ANY, 6000)
    with fails('ENOTCONN'):
        pair.a6.peer(fd)
    with fails('EDESTADDRREQ'):
        pair.a.send(fd, b'x')
    other = pair.b6.udp(5001)
    local = pair.a6.udp(5002)
    pair.b6.sendto(other, b'same host, other port', (A, 6000))
    pair.a6.sendto(local, b'another host', (A, 6000))
    pair.settle(1_000_000)
    assert pair.a6.recvfrom(fd) == (b'same host, other port', (B, 5001))
    with fails('EAGAIN'):
        pair.a6.recvfrom(fd)


def test_multicast_reaches_every_socket_that_wants_it() -> None:
    pair = Pair6()
    wanting = []
    for _ in range(3):
        fd = pair.b6.socket(SOCK_DGRAM)
        pair.b.setopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        pair.b6.bind(fd, (ANY, 5000))
        wanting.append(fd)
    one, two, three = wanting
    pair.b.setopt(one, SOL_IPV6, IPV6_ADD_MEMBERSHIP, mreq(GROUP, pair.zone_b))
    pair.b.setopt(two, SOL_IPV6, IPV6_MULTICAST_ALL, 0)  # not a member: hears nothing of what others joined
    out = pair.a6.udp(6000)
    pair.a.setopt(out, SOL_IPV6, IPV6_MULTICAST_IF, pair.zone_a)
    pair.a.setopt(out, SOL_IPV6, IPV6_MULTICAST_HOPS, 3)
    pair.b.setopt(one, SOL_IPV6, IPV6_RECVHOPLIMIT, 1)
    pair.a6.sendto(out, b'all', (GROUP, 5000))
    pair.settle(1_000_000)
    data, control, peer = pair.b6.recvmsg(one)
    assert (data, struct.unpack('i', control[IPV6_HOPLIMIT]), peer) == (b'all', (3,), (LL_A, 6000, pair.zone_b))
    assert pair.b6.recvfrom(three) == (b'all', (LL_A, 6000, pair.zone_b))
    with fails('EAGAIN'):
        pair.b6.recvfrom(two)
    pair.b.setopt(one, SOL_IPV6, IPV6_DROP_MEMBERSHIP, mreq(GROUP, pair.zone_b))
    pair.a6.sendto(out, b'nobody', (GROUP, 5000))
    pair.settle(1_000_000)
    for fd in wanting:
        with fails('EAGAIN'):
            pair.b6.recvfrom(fd)


def test_multicast_comes_back_to_its_host_while_loop_is_on() -> None:
    pair = Pair6()
    member = pair.a6.udp(5000)
    pair.a.setopt(member, SOL_IPV6, IPV6_ADD_MEMBERSHIP, mreq(GROUP, pair.zone_a))
    out = pair.a6.udp(6000)
    for loop in (1, 0):
        pair.a.setopt(out, SOL_IPV6, IPV6_MULTICAST_LOOP, loop)
        pair.a6.sendto(out, b'heard by myself', (GROUP, 5000, pair.zone_a))
        pair.settle(1_000_000)
        if loop:
            assert pair.a6.recvfrom(member) == (b'heard by myself', (LL_A, 6000, pair.zone_a))
    with fails('EAGAIN'):
        pair.a6.recvfrom(member)


def test_a_socket_that_ends_leaves_its_groups() -> None:
    pair = Pair6()
    group = in6_pton(GROUP)
    fds = [pair.a6.udp(5000 + i) for i in range(2)]
    for fd in fds:
        pair.a.setopt(fd, SOL_IPV6, IPV6_ADD_MEMBERSHIP, mreq(GROUP, pair.zone_a))
    for fd in fds:
        assert ipv6_chk_mcast_addr(pair.dev_a, group, 0)
        pair.a.close(fd)
    assert not ipv6_chk_mcast_addr(pair.dev_a, group, 0)


def test_reuseport_spreads_flows_and_keeps_each() -> None:
    pair = Pair6()
    group = []
    for _ in range(4):
        fd = pair.b6.socket(SOCK_DGRAM)
        pair.b.setopt(fd, SOL_SOCKET, SO_REUSEPORT, 1)
        pair.b6.bind(fd, (ANY, 5000))
        group.append(fd)
    clients = [pair.a6.udp(6000 + i) for i in range(24)]
    for _ in range(3):
        for client in clients:
            pair.a6.sendto(client, b'x', (B, 5000))
    pair.settle(1_000_000)
    heard: list[set[int]] = []
    for fd in group:
        ports = []
        while pair.b.poll(fd, POLLIN):
            ports.append(pair.b6.recvfrom(fd)[1][1])
        heard.append(set(ports))
        assert len(ports) == 3 * len(set(ports))
    assert sorted(port for ports in heard for port in ports) == list(range(6000, 6024))
    assert sum(1 for ports in heard if ports) >= 3


def test_the_closest_match_gets_it() -> None:
    pair = Pair6()
    fds = {}
    for what, host, device in (('any', ANY, b''), ('device', ANY, b'eth0'), ('address', B, b''), ('both', B, b'eth0')):
        fd = pair.b6.socket(SOCK_DGRAM)
        pair.b.setopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        if device:
            pair.b.setopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device)
        pair.b6.bind(fd, (host, 5000))
        fds[what] = fd
    out = pair.a6.udp(6000)
    for winner in ('both', 'address', 'device', 'any'):
        pair.a6.sendto(out, winner.encode(), (B, 5000))
        pair.settle(1_000_000)
        assert pair.b6.recvfrom(fds[winner])[0] == winner.encode()
        pair.b.close(fds[winner])
    assert pair.net_b.mib.get('Udp6NoPorts') == 0


@pytest.mark.parametrize('offset', [41, 47])  # in the source port, in the checksum
def test_a_wrong_checksum_is_dropped_when_the_program_reads(offset: int) -> None:
    pair = Pair6()
    server = pair.b6.udp(5000)
    nf_register_net_hook(pair.net_b, EditHook(offset))
    out = pair.a6.udp(6000)
    pair.a6.sendto(out, b'abcd', (B, 5000))
    pair.settle(1_000_000)
    with fails('EAGAIN'):
        pair.b6.recvfrom(server)
    assert [pair.net_b.mib.get(name) for name in ('Udp6InCsumErrors', 'Udp6InErrors', 'Udp6InDatagrams')] == [1, 1, 0]


def test_a_checksum_is_a_must_unless_both_ends_say_otherwise() -> None:
    pair = Pair6()
    server = pair.b6.udp(5000)
    out = pair.a6.udp(6000)
    pair.a.setopt(out, SOL_UDP, UDP_NO_CHECK6_TX, 1)
    pair.a6.sendto(out, b'unchecked', (B, 5000))
    pair.a6.sendto(out, b'unchecked, to nobody', (B, 5001))
    pair.settle(1_000_000)
    with fails('EAGAIN'):
        pair.b6.recvfrom(server)
    assert [pair.net_b.mib.get(name) for name in ('Udp6InCsumErrors', 'Udp6NoPorts')] == [2, 0]
    assert pair.net_b.mib.drops[SKB_DROP_REASON_UDP_CSUM] == 2
    pair.b.setopt(server, SOL_UDP, UDP_NO_CHECK6_RX, 1)
    pair.a6.sendto(out, b'unchecked', (B, 5000))
    pair.settle(1_000_000)
    assert pair.b6.recvfrom(server)[0] == b'unchecked'


def test_pieces_become_one_datagram() -> None:
    pair = Pair6()
    server = pair.b6.udp(5000)
    fd = pair.a6.socket(SOCK_DGRAM)
    whole = b''
    for i in range(50):
        piece = bytes([i]) * (i * 3 + 1)
        whole += piece
        pair.a6.sendto(fd, piece, (B, 5000), MSG_MORE if i < 49 else 0)
    pair.settle(1_000_000)
    assert pair.b6.recvfrom(server)[0] == whole
    pair.a.setopt(fd, SOL_UDP, UDP_CORK, 1)
    pair.a6.sendto(fd, b'four', ('::ffff:10.0.0.2', 5000))
    pair.a6.sendto(fd, b' and the rest of it', (B, 5000))  # it is of the family that it began with
    pair.settle(1_000_000)
    with fails('EAGAIN'):
        pair.b6.recvfrom(server)
    pair.a.setopt(fd, SOL_UDP, UDP_CORK, 0)
    pair.settle(1_000_000)
    data, peer = pair.b6.recvfrom(server)
    assert (data, peer[0]) == (b'four and the rest of it', '::ffff:10.0.0.1')
    assert pair.a6.sendto(fd, b'six', (B, 5000), MSG_MORE) == 3
    with fails('EINVAL'):
        pair.a6.sendto(fd, b'four', ('::ffff:10.0.0.2', 5000))


def test_control_messages_choose_and_tell() -> None:
    pair = Pair6()
    server = pair.b6.udp(5000)
    for option in (IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS):
        pair.b.setopt(server, SOL_IPV6, option, 1)
    fd = pair.a6.socket(SOCK_DGRAM)
    control = [Cmsg(SOL_IPV6, IPV6_HOPLIMIT, struct.pack('i', 9)), Cmsg(SOL_IPV6, IPV6_TCLASS, struct.pack('i', 0x48)),
               Cmsg(SOL_IPV6, IPV6_PKTINFO, pktinfo(LL_A, pair.zone_a))]
    pair.a6.sendmsg(fd, b'chosen', control, (B, 5000))
    pair.settle(1_000_000)
    data, told, peer = pair.b6.recvmsg(server)
    assert (data, peer[0]) == (b'chosen', LL_A)
    assert told[IPV6_PKTINFO] == pktinfo(B, pair.zone_b)
    assert [struct.unpack('i', told[kind])[0] for kind in (IPV6_HOPLIMIT, IPV6_TCLASS)] == [9, 0x48]
    pair.a6.sendto(fd, b'default', (B, 5000))
    pair.settle(1_000_000)
    data, told, peer = pair.b6.recvmsg(server)
    assert (data, peer[0], told[IPV6_HOPLIMIT]) == (b'default', A, struct.pack('i', 64))
    with fails('EINVAL'):
        pair.a6.sendmsg(fd, b'foreign', [Cmsg(SOL_IPV6, IPV6_PKTINFO, pktinfo(B))], (B, 5000))
    source4 = Cmsg(SOL_IPV6, IPV6_PKTINFO, pktinfo('::ffff:10.0.0.1'))
    assert pair.a6.sendmsg(fd, b'by IPv4', [source4], ('::ffff:10.0.0.2', 5000)) == 7
    with fails('EINVAL'):
        pair.a6.sendmsg(fd, b'by IPv4', [Cmsg(SOL_IPV6, IPV6_PKTINFO, pktinfo(A))], ('::ffff:10.0.0.2', 5000))


def test_errors_come_with_what_they_are_about() -> None:
    pair = Pair6()
    fd = pair.a6.udp(6000)
    pair.a.setopt(fd, SOL_IPV6, IPV6_RECVERR, 1)
    pair.a6.sendto(fd, b'to nobody', (B, 5001))
    pair.settle(1_000_000)
    msg = Msghdr()
    sys.sys_recvmsg(pair.a.process, fd, msg, 100, MSG_ERRQUEUE)
    assert b''.join(msg.chunks) == b'to nobody'
    assert msg.msg_name is not None
    assert (msg.msg_name.sin6_addr, msg.msg_name.sin_port) == (in6_pton(B), 5001)
    (cmsg,) = msg.msg_control
    assert (cmsg.cmsg_level, cmsg.cmsg_type) == (SOL_IPV6, IPV6_RECVERR)
    assert struct.unpack_from('<IBBB', cmsg.data) == (111, 3, 1, 4)  # ECONNREFUSED, by ICMPv6: unreachable, port
    assert cmsg.data[16 + 8:16 + 24] == in6_bytes(in6_pton(B))


def test_a_full_queue_drops_and_counts() -> None:
    pair = Pair6()
    server = pair.b6.udp(5000)
    pair.b.setopt(server, SOL_SOCKET, SO_RCVBUF, 2304)
    fd = pair.a6.udp(6000)
    for _ in range(40):
        pair.a6.sendto(fd, bytes(500), (B, 5000))
    pair.settle(1_000_000)
    mib = pair.net_b.mib
    dropped = mib.get('Udp6RcvbufErrors')
    assert 0 < dropped < 40
    assert mib.get('Udp6InErrors') == dropped
    assert mib.get('UdpRcvbufErrors') == 0


def test_the_path_mtu_is_learnt_from_the_network() -> None:
    """A smaller device on the way: here the receiver's loopback-free stand-in, the sender's own device, is cut to 1280."""
    pair = Pair6()
    fd = pair.a6.udp(6000)
    pair.a6.connect(fd, (B, 5000))
    assert pair.a.getopt(fd, SOL_IPV6, IPV6_MTU) == 1500
    assert dev_set_mtu(pair.dev_a, 1280) == 0
    pair.a6.connect(fd, (B, 5000))
    assert pair.a.getopt(fd, SOL_IPV6, IPV6_MTU) == 1280


def test_proc_shows_the_sockets_of_each_family() -> None:
    host = alone6()
    fd = host.udp(0x1234, LOOPBACK)
    host.connect(fd, (LOOPBACK, 0x63))
    host.prog.udp(0x4D)
    lines = udp6_seq_show(host.net).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(
        ' 4660: 00000000000000000000000001000000:1234 00000000000000000000000001000000:0063 01 00000000:00000000 00:00000000')
    assert [line.split()[1] for line in udp4_seq_show(host.net).splitlines()[1:]] == ['00000000:004D']


def test_a_port_is_one_of_both_families() -> None:
    host = alone6()
    host.udp(5000)
    with fails('EADDRINUSE'):
        host.prog.udp(5000)
    only = host.socket(SOCK_DGRAM)
    host.prog.setopt(only, SOL_IPV6, IPV6_V6ONLY, 1)
    host.bind(only, (ANY, 5001))
    host.prog.udp(5001)
    assert [len(host.net.ipv4.udp_table[port]) for port in (5000, 5001)] == [1, 2]
    assert {sk.sk_family for sk in host.net.ipv4.udp_table[5001]} == {AF_INET, 10}
