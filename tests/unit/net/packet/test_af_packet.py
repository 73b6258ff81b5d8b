# SPDX-License-Identifier: Apache-2.0
"""Packet sockets: frames of one protocol or all, with and without the link header, in and out, and what a full buffer loses."""
from __future__ import annotations

import pytest

from helpers.hosts import Alone, Pair, Prog, fails
from linnet.include.linux.if_ether import ETH_P_ALL, ETH_P_ARP, ETH_P_IP, ETH_P_IPV6
from linnet.include.linux.if_packet import (
    PACKET_ADD_MEMBERSHIP,
    PACKET_DROP_MEMBERSHIP,
    PACKET_IGNORE_OUTGOING,
    PACKET_STATISTICS,
    SOL_PACKET,
    SockaddrLl,
)
from linnet.include.linux.netdevice import IFF_PROMISC, NetDevice
from linnet.include.linux.skbuff import PACKET_BROADCAST, PACKET_HOST, PACKET_OUTGOING
from linnet.include.linux.socket import (
    AF_PACKET,
    FIONREAD,
    MSG_DONTWAIT,
    SO_RCVBUF,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_STREAM,
    SOL_SOCKET,
    Msghdr,
)
from linnet.kernel.poll import POLLERR, POLLIN
from linnet.net import socket as sys
from linnet.net.core.dev import dev_close, dev_open, unregister_netdevice
from linnet.net.core.skbuff import alloc_skb, consume_skb
from linnet.net.packet.af_packet import packet_protocol


def packet(prog: Prog, type: int = SOCK_RAW, protocol: int = ETH_P_ALL) -> int:
    """A packet socket; programs give the protocol in network order."""
    return prog.socket(type, (protocol & 0xFF) << 8 | protocol >> 8, AF_PACKET)


def bind(prog: Prog, fd: int, dev: NetDevice, protocol: int = 0) -> None:
    """Bind to a device."""
    sys.sys_bind(prog.process, fd, SockaddrLl(dev.ifindex, protocol, 0, 0, b''))


def receive(prog: Prog, fd: int) -> tuple[bytes, SockaddrLl]:
    """One frame and where it came from."""
    msg = Msghdr()
    sys.sys_recvmsg(prog.process, fd, msg, 70000, MSG_DONTWAIT)
    assert isinstance(msg.msg_name, SockaddrLl)
    return b''.join(msg.chunks), msg.msg_name


def drain(prog: Prog, fd: int) -> list[tuple[int, int, int]]:
    """(protocol, packet type, length) of all that is queued."""
    out = []
    while prog.poll(fd, POLLIN) & POLLIN:
        data, where = receive(prog, fd)
        out.append((int(where.sll_protocol), int(where.sll_pkttype), len(data)))
    return out


def talk(pair: Pair) -> None:
    """One datagram from a to b, the neighbours unknown."""
    server = pair.b.udp(5000)
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.sendto(fd, b'hello', '10.0.0.2', 5000)
    pair.a.close(fd)
    pair.b.close(server)


def test_sniffing_sees_both_directions_with_headers() -> None:
    pair = Pair()
    fd = packet(pair.a)
    talk(pair)
    frame, where = receive(pair.a, fd)
    assert frame[:14] == b'\xff' * 6 + pair.dev_a.dev_addr + b'\x08\x06'
    assert (where.sll_ifindex, where.sll_protocol) == (pair.dev_a.ifindex, ETH_P_ARP)
    assert (where.sll_pkttype, where.sll_hatype) == (PACKET_OUTGOING, 1)
    assert where.sll_addr == pair.dev_a.dev_addr
    frame, where = receive(pair.a, fd)
    assert frame[:14] == pair.dev_a.dev_addr + pair.dev_b.dev_addr + b'\x08\x06'
    assert where.sll_pkttype == PACKET_HOST
    frame, where = receive(pair.a, fd)
    assert frame[14] == 0x45 and frame[-5:] == b'hello'
    assert (where.sll_protocol, where.sll_pkttype) == (ETH_P_IP, PACKET_OUTGOING)
    with fails('EAGAIN'):
        receive(pair.a, fd)


def test_one_protocol_and_no_header() -> None:
    pair = Pair()
    fd = packet(pair.b, SOCK_DGRAM, ETH_P_IP)
    arp = packet(pair.b, SOCK_DGRAM, ETH_P_ARP)
    talk(pair)
    data, where = receive(pair.b, fd)
    assert data[0] == 0x45 and data[-5:] == b'hello'
    assert where.sll_addr == pair.dev_a.dev_addr
    assert drain(pair.b, fd) == []
    assert drain(pair.b, arp) == [(ETH_P_ARP, PACKET_BROADCAST, 28)]  # not what b itself sends


def test_bound_to_a_device() -> None:
    pair = Pair()
    fd = packet(pair.b, protocol=0)
    talk(pair)
    assert drain(pair.b, fd) == []  # without a protocol nothing is received
    lo = pair.net_b.loopback_dev
    assert lo is not None
    bind(pair.b, fd, lo, ETH_P_ALL)
    talk(pair)
    assert drain(pair.b, fd) == []
    bind(pair.b, fd, pair.dev_b)
    talk(pair)
    assert [kind for kind, _, _ in drain(pair.b, fd)] == [ETH_P_IP]
    name = sys.sys_getsockname(pair.b.process, fd)
    assert isinstance(name, SockaddrLl)
    assert (name.sll_ifindex, name.sll_protocol, name.sll_addr) == (pair.dev_b.ifindex, ETH_P_ALL, pair.dev_b.dev_addr)
    with fails('ENODEV'):
        sys.sys_bind(pair.b.process, fd, SockaddrLl(99, ETH_P_ALL, 0, 0, b''))
    with fails('EINVAL'):
        pair.b.bind(fd, '10.0.0.2', 0)


def test_a_protocol_of_programs() -> None:
    pair = Pair()
    a = packet(pair.a, SOCK_DGRAM, 0x88B5)
    b = packet(pair.b, SOCK_DGRAM, 0x88B5)
    second = packet(pair.b, SOCK_RAW, 0x88B5)
    to = SockaddrLl(pair.dev_a.ifindex, 0x88B5, 0, 0, pair.dev_b.dev_addr)
    assert sys.sys_sendto(pair.a.process, a, b'by hand', 0, to) == 7
    data, where = receive(pair.b, b)
    assert data == b'by hand'
    assert (where.sll_protocol, where.sll_addr) == (0x88B5, pair.dev_a.dev_addr)
    assert receive(pair.b, second)[0] == pair.dev_b.dev_addr + pair.dev_a.dev_addr + b'\x88\xb5' + b'by hand'
    assert pair.net_b.mib.drops == {}
    pair.b.close(b)
    sys.sys_sendto(pair.a.process, a, b'again', 0, to)
    assert receive(pair.b, second)[0][14:] == b'again'
    pair.b.close(second)
    sys.sys_sendto(pair.a.process, a, b'nobody', 0, to)
    assert pair.net_b.mib.drops == {57: 1}  # UNHANDLED_PROTO
    pair.a.close(a)
    assert pair.leftovers() == {}


def test_whole_frames_out() -> None:
    pair = Pair()
    server = pair.b.udp(5000)
    sniffer = packet(pair.a)
    pair.a.sendto(pair.a.socket(SOCK_DGRAM), b'hello', '10.0.0.2', 5000)
    frame = [receive(pair.a, sniffer)[0] for _ in range(3)][2]
    assert pair.b.recv(server) == b'hello'
    fd = packet(pair.a, protocol=0)
    with fails('ENXIO'):
        pair.a.send(fd, frame)
    bind(pair.a, fd, pair.dev_a, ETH_P_IP)
    assert pair.a.send(fd, frame) == len(frame)
    assert pair.net_b.mib.get('IpInReceives') == 2
    with fails('EINVAL'):
        pair.a.send(fd, frame[:10])
    with fails('EMSGSIZE'):
        pair.a.send(fd, bytes(1515))


def test_what_a_full_buffer_loses_is_counted() -> None:
    pair = Pair()
    fd = packet(pair.b, protocol=ETH_P_IP)
    pair.b.setopt(fd, SOL_SOCKET, SO_RCVBUF, 2304)
    out = pair.a.socket(SOCK_DGRAM)
    for _ in range(20):
        pair.a.sendto(out, bytes(500), '10.0.0.2', 9)
    raw = sys.sys_getsockopt(pair.b.process, fd, SOL_PACKET, PACKET_STATISTICS, 8)
    packets, drops = int.from_bytes(raw[:4], 'little'), int.from_bytes(raw[4:], 'little')
    assert packets == 20 and 0 < drops < 20
    assert sys.sys_getsockopt(pair.b.process, fd, SOL_PACKET, PACKET_STATISTICS, 8) == bytes(8)
    assert sys.sys_ioctl(pair.b.process, fd, FIONREAD) == 542
    assert len(drain(pair.b, fd)) == 20 - drops


def test_options() -> None:
    pair = Pair()
    fd = packet(pair.a)
    pair.a.setopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    talk(pair)
    assert [kind for _, kind, _ in drain(pair.a, fd)] == [PACKET_HOST]
    promisc = int(pair.dev_a.ifindex).to_bytes(4, 'little') + b'\1\0' + bytes(10)
    pair.a.setopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, promisc)
    assert pair.dev_a.flags & IFF_PROMISC
    pair.a.setopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, promisc)
    assert not pair.dev_a.flags & IFF_PROMISC
    with fails('EADDRNOTAVAIL'):
        pair.a.setopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, promisc)
    with fails('ENOPROTOOPT'):
        pair.a.setopt(fd, SOL_PACKET, 99, 1)


def test_device_goes_and_comes() -> None:
    pair = Pair()
    fd = packet(pair.b, protocol=0)
    bind(pair.b, fd, pair.dev_b, ETH_P_ALL)
    dev_close(pair.dev_b)
    assert pair.b.poll(fd, POLLIN) & POLLERR
    with fails('ENETDOWN'):
        receive(pair.b, fd)
    dev_open(pair.dev_b)
    talk(pair)
    assert len(drain(pair.b, fd)) >= 2
    unregister_netdevice(pair.dev_b)
    with fails('ENETDOWN'):
        receive(pair.b, fd)


@pytest.mark.parametrize(('type', 'error'), [(SOCK_STREAM, 'ESOCKTNOSUPPORT'), (5, 'ESOCKTNOSUPPORT')])
def test_types_refused(type: int, error: str) -> None:
    with fails(error):
        packet(Alone(), type)


def test_wants_privilege() -> None:
    with fails('EPERM'):
        packet(Alone(privileged=False))


def test_ipv6_frames_come_in_and_go_out() -> None:
    pair = Pair(v6=True)
    here, there = packet(pair.a, SOCK_DGRAM, ETH_P_IPV6), packet(pair.b, SOCK_RAW, ETH_P_IPV6)
    other = packet(pair.b, SOCK_DGRAM, ETH_P_IP)
    payload = b'\x60\0\0\0\0\4\xfd\x40' + bytes(15) + b'\1' + bytes(15) + b'\2' + b'data'
    to = SockaddrLl(pair.dev_a.ifindex, ETH_P_IPV6, 0, 0, pair.dev_b.dev_addr)
    assert sys.sys_sendto(pair.a.process, here, payload, 0, to) == len(payload)
    frame, where = receive(pair.b, there)
    assert frame == pair.dev_b.dev_addr + pair.dev_a.dev_addr + b'\x86\xdd' + payload
    assert (where.sll_protocol, where.sll_pkttype) == (ETH_P_IPV6, PACKET_HOST)
    assert drain(pair.b, other) == []


@pytest.mark.parametrize(('first', 'protocol'), [(0x45, ETH_P_IP), (0x60, ETH_P_IPV6), (0x20, 0)])
def test_a_raw_frame_without_a_link_header_tells_its_protocol_itself(first: int, protocol: int) -> None:
    pair = Pair()
    pair.dev_a.header_ops = None
    skb = alloc_skb(pair.world, 40)
    skb.head, skb.len = bytes([first]) + bytes(39), 40
    assert packet_protocol(skb, pair.dev_a, 0, True) == protocol
    assert packet_protocol(skb, pair.dev_a, ETH_P_ARP, True) == ETH_P_ARP
    consume_skb(skb)
