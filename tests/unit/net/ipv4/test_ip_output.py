# SPDX-License-Identifier: Apache-2.0
"""ip_output: headers, identifications, datagrams larger than the MTU, corked datagrams, broadcasts and multicasts."""
from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.hosts import Pair, fails
from helpers.ip_wire import DF, MF, Bench
from linnet.include.linux.inet import IP_ADD_MEMBERSHIP, IP_MTU_DISCOVER, IP_MULTICAST_LOOP, IP_MULTICAST_TTL, IP_TTL, in_aton
from linnet.include.linux.netfilter import (
    NF_ACCEPT,
    NF_INET_LOCAL_OUT,
    NF_INET_POST_ROUTING,
    NFPROTO_IPV4,
    NfHookOps,
    NfHookState,
)
from linnet.include.linux.skbuff import PACKET_MULTICAST, SkBuff
from linnet.include.linux.socket import MSG_MORE, SO_BROADCAST, SO_REUSEADDR, SOL_SOCKET
from linnet.net.core.dev import dev_set_mtu
from linnet.net.netfilter.core import nf_register_net_hook

GROUP = '239.1.2.3'


def sender(mtu: int = 1500) -> tuple[Bench, int]:
    host = Bench()
    assert dev_set_mtu(host.eth0, mtu) == 0
    return host, host.udp(7000)


def test_header() -> None:
    host, fd = sender()
    host.setopt(fd, 0, IP_TTL, 33)
    host.sendto(fd, b'hello', '10.0.0.2', 9)
    (out,) = host.taken()
    assert (out.src, out.dst, out.proto, out.ttl, out.tos, out.off) == ('10.0.0.1', '10.0.0.2', 17, 33, 0, DF)
    assert out.payload[:6] == struct.pack('!HHH', 7000, 9, 13)
    assert host.count('IpOutRequests') == host.count('IpOutTransmits') == 1
    assert host.count('IpExtOutOctets') == 33


@given(st.integers(0, 9000), st.integers(68, 1500))
def test_large_datagrams(size: int, mtu: int) -> None:
    host, fd = sender(mtu)
    live = host.live_packets()
    host.setopt(fd, 0, IP_MTU_DISCOVER, 0)
    payload = bytes(i * 7 & 255 for i in range(size))
    host.sendto(fd, payload, '10.0.0.2', 9)
    out = host.taken()
    assert b''.join(p.payload for p in out)[8:] == payload
    assert all(len(p.data) <= mtu for p in out)
    at = 0
    for p in out:
        assert (p.off & 0x1FFF) * 8 == at
        at += len(p.payload)
        assert (p.off & MF != 0) == (p is not out[-1])
        assert len(p.payload) % 8 == 0 or p is out[-1]
    assert len({p.ident for p in out}) == 1
    assert host.live_packets() == live
    if len(out) > 1:
        assert host.count('IpFragCreates') == len(out)
        assert host.count('IpFragOKs') == 1


@given(st.lists(st.integers(0, 700), min_size=1, max_size=8), st.integers(68, 600))
def test_corked(sizes: list[int], mtu: int) -> None:
    """Pieces given one by one leave as one datagram, cut as if it had been given at once."""
    host, fd = sender(mtu)
    live = host.live_packets()
    host.setopt(fd, 0, IP_MTU_DISCOVER, 0)
    host.connect(fd, '10.0.0.2', 9)
    data = bytes(i * 13 & 255 for i in range(sum(sizes)))
    at = 0
    for i, size in enumerate(sizes):
        host.send(fd, data[at:at + size], MSG_MORE if i < len(sizes) - 1 else 0)
        at += size
        if i < len(sizes) - 1:
            assert host.taken() == []
    out = host.taken()
    assert b''.join(p.payload for p in out)[8:] == data
    assert all(len(p.data) <= mtu for p in out)
    assert all(len(p.payload) % 8 == 0 for p in out[:-1])
    room = (mtu - 20) & ~7
    assert len(out) <= 1 + max(0, -(-(len(data) + 8 - (mtu - 20)) // room)) + 1
    host.close(fd)
    assert host.live_packets() == live


def test_not_to_be_cut() -> None:
    host, fd = sender(600)
    host.setopt(fd, 0, IP_MTU_DISCOVER, 2)
    with fails('EMSGSIZE'):
        host.sendto(fd, b'x' * 573, '10.0.0.2', 9)
    host.sendto(fd, b'x' * 572, '10.0.0.2', 9)
    assert [p.off for p in host.taken()] == [DF]


def test_no_datagram_is_larger_than_65535() -> None:
    host, fd = sender()
    host.sendto(fd, b'x' * 65507, '10.0.0.2', 9)
    assert sum(len(p.payload) for p in host.taken()) == 65515
    with fails('EMSGSIZE'):
        host.sendto(fd, b'x' * 65508, '10.0.0.2', 9)


def test_want_sets_df_only_where_it_fits() -> None:
    host, fd = sender(600)
    host.sendto(fd, b'x' * 1000, '10.0.0.2', 9)
    assert all(p.off & DF == 0 for p in host.taken())


def test_identifications_count_up() -> None:
    host, fd = sender()
    host.setopt(fd, 0, IP_MTU_DISCOVER, 0)
    for _ in range(3):
        host.sendto(fd, b'x', '10.0.0.2', 9)
    a, b, c = (p.ident for p in host.taken())
    assert ((b - a) & 0xFFFF, (c - b) & 0xFFFF) == (1, 1)


def test_fragments_between_hosts() -> None:
    pair = Pair()
    fd_b = pair.b.udp(9)
    fd_a = pair.a.udp(7000)
    payload = bytes(range(256)) * 100

    def client() -> None:
        pair.a.sendto(fd_a, payload, '10.0.0.2', 9)

    def server() -> bytes:
        return pair.b.recv(fd_b)

    assert pair.run(server, client)[0] == payload
    assert pair.net_b.mib.get('IpReasmOKs') == 1
    pair.a.close(fd_a)
    pair.b.close(fd_b)
    assert 'skbuff_head_cache' not in pair.leftovers()


def test_broadcast_is_heard_by_this_host_too() -> None:
    host, fd = sender()
    listener = host.udp(9)
    with fails('EACCES'):
        host.sendto(fd, b'hi', '10.0.0.255', 9)
    host.setopt(fd, SOL_SOCKET, SO_BROADCAST, 1)
    host.sendto(fd, b'hi', '10.0.0.255', 9)
    (frame,) = host.frames()
    assert frame[:6] == b'\xff' * 6
    assert host.recvfrom(listener) == (b'hi', '10.0.0.1', 7000)
    assert host.count('IpExtOutBcastPkts') == host.count('IpExtInBcastPkts') == 1


def join(host: Bench, fd: int) -> None:
    host.setopt(fd, 0, IP_ADD_MEMBERSHIP, in_aton(GROUP).to_bytes(4, 'big') + in_aton('10.0.0.1').to_bytes(4, 'big'))


def test_multicast() -> None:
    host, fd = sender()
    listener = host.nonblocking(host.udp(9))
    host.route('224.0.0.0/4', dev='eth0')
    host.sendto(fd, b'unheard', GROUP, 9)
    (frame,) = host.frames()
    assert frame[:6] == b'\x01\0\x5e\x01\x02\x03'
    assert frame[14 + 8] == 1  # the TTL of a multicast
    with fails('EAGAIN'):
        host.recv(listener)
    join(host, listener)
    host.setopt(fd, 0, IP_MULTICAST_TTL, 5)
    host.sendto(fd, b'heard', GROUP, 9)
    assert host.recv(listener) == b'heard'
    assert host.taken()[0].ttl == 5
    host.setopt(fd, 0, IP_MULTICAST_LOOP, 0)
    host.sendto(fd, b'quiet', GROUP, 9)
    with fails('EAGAIN'):
        host.recv(listener)
    host.taken()
    host.setopt(fd, 0, IP_MULTICAST_LOOP, 1)
    host.setopt(fd, 0, IP_MULTICAST_TTL, 0)
    host.sendto(fd, b'inside', GROUP, 9)
    assert host.recv(listener) == b'inside'
    assert host.frames() == []


def test_multicast_in() -> None:
    from helpers.ip_wire import ip, udp

    host, _ = sender()
    listener = host.nonblocking(host.udp(9))
    packet = ip(udp(b'x', dport=9), dst=GROUP)
    host.give(packet, pkt_type=PACKET_MULTICAST)
    with fails('EAGAIN'):
        host.recv(listener)
    join(host, listener)
    host.give(packet, pkt_type=PACKET_MULTICAST)
    assert host.recv(listener) == b'x'
    assert host.count('IpExtInMcastPkts') == 1
    host.close(listener)
    host.give(packet, pkt_type=PACKET_MULTICAST)
    assert host.drops()['IP_INVALID_DEST'] == 2


class Watch(NfHookOps):
    """Notes the devices that a hook point shows."""

    def __init__(self, point: int) -> None:
        super().__init__(NFPROTO_IPV4, point)
        self.seen: list[tuple[str | None, str | None]] = []

    def hook(self, skb: SkBuff, state: NfHookState) -> int:
        self.seen.append((state.indev.name if state.indev else None, state.outdev.name if state.outdev else None))
        return NF_ACCEPT


def test_hooks_on_the_way_out() -> None:
    host, fd = sender()
    points = [Watch(NF_INET_LOCAL_OUT), Watch(NF_INET_POST_ROUTING)]
    for point in points:
        nf_register_net_hook(host.net, point)
    host.sendto(fd, b'x' * 3000, '10.0.0.2', 9)
    assert len(host.taken()) == 3
    assert [p.seen for p in points] == [[(None, 'eth0')]] * 2  # hooks see whole datagrams


@pytest.mark.parametrize('mtu', [1500, 576])
def test_to_ourselves(mtu: int) -> None:
    host, fd = sender(mtu)
    listener = host.udp(9)
    host.setopt(listener, SOL_SOCKET, SO_REUSEADDR, 1)
    host.sendto(fd, b'x' * 60000, '10.0.0.1', 9)
    assert host.recvfrom(listener) == (b'x' * 60000, '10.0.0.1', 7000)
    host.sendto(fd, b'y', '127.0.0.1', 9)
    assert host.recvfrom(listener) == (b'y', '127.0.0.1', 7000)
    assert host.frames() == []


def test_fragments_use_the_skbs_made_for_them() -> None:
    """Cutting a datagram that was built for its path allocates nothing."""
    host, fd = sender()
    cache = host.world.skbuff_cache
    before = cache.total
    host.sendto(fd, b'x' * 4000, '10.0.0.2', 9)
    assert len(host.taken()) == 3
    assert cache.total - before == 3
