# SPDX-License-Identifier: Apache-2.0
"""ip_sockglue: SOL_IP options, control messages, and the error queue."""
from __future__ import annotations

import struct

import pytest

from helpers.hosts import addr, fails
from helpers.ip_wire import DF, ICMP, Bench, icmp, ip, udp
from linnet.include.linux.inet import (
    IP_ADD_MEMBERSHIP,
    IP_DROP_MEMBERSHIP,
    IP_HDRINCL,
    IP_MINTTL,
    IP_MTU,
    IP_MTU_DISCOVER,
    IP_MULTICAST_IF,
    IP_MULTICAST_LOOP,
    IP_MULTICAST_TTL,
    IP_OPTIONS,
    IP_PKTINFO,
    IP_RECVERR,
    IP_RECVOPTS,
    IP_RECVTOS,
    IP_RECVTTL,
    IP_RETOPTS,
    IP_TOS,
    IP_TTL,
    in_aton,
)
from linnet.include.linux.socket import MSG_ERRQUEUE, SOL_IP, Cmsg, Msghdr
from linnet.net import socket as sys


def quad(address: str) -> bytes:
    return in_aton(address).to_bytes(4, 'big')


@pytest.mark.parametrize(('name', 'good', 'bad'), [
    (IP_TOS, [0, 0x10, 255], []), (IP_TTL, [1, 255], [0, 256, -2]), (IP_MTU_DISCOVER, [0, 1, 2, 3, 4, 5], [-1, 6]),
    (IP_RECVERR, [0, 1], []), (IP_MULTICAST_TTL, [0, 255], [256, -2]), (IP_MULTICAST_LOOP, [0, 1], []),
    (IP_MINTTL, [0, 255], [256, -1]),
    (IP_PKTINFO, [1, 0], []), (IP_RECVTTL, [1, 0], []), (IP_RECVTOS, [1, 0], []),
])
def test_ranges(name: int, good: list[int], bad: list[int]) -> None:
    host = Bench()
    fd = host.udp()
    for value in good:
        host.setopt(fd, SOL_IP, name, value)
        assert host.getopt(fd, SOL_IP, name) == value
    for value in bad:
        with fails('EINVAL'):
            host.setopt(fd, SOL_IP, name, value)


def test_one_byte_will_do() -> None:
    host = Bench()
    fd = host.udp()
    host.setopt(fd, SOL_IP, IP_TTL, b'\x21')
    assert host.getopt(fd, SOL_IP, IP_TTL) == 33
    assert sys.sys_getsockopt(host.process, fd, SOL_IP, IP_TTL, 1) == b'\x21'


def test_defaults() -> None:
    host = Bench()
    fd = host.udp()
    names = (IP_TTL, IP_TOS, IP_MTU_DISCOVER, IP_MULTICAST_TTL, IP_MULTICAST_LOOP)
    assert [host.getopt(fd, SOL_IP, name) for name in names] == [64, 0, 1, 1, 1]
    with fails('ENOTCONN'):
        host.getopt(fd, SOL_IP, IP_MTU)
    host.connect(fd, '10.0.0.2', 9)
    assert host.getopt(fd, SOL_IP, IP_MTU) == 1500
    with fails('ENOPROTOOPT'):
        host.getopt(fd, SOL_IP, 999)
    with fails('ENOPROTOOPT'):
        host.setopt(fd, SOL_IP, 999, 1)
    with fails('ENOPROTOOPT'):
        host.setopt(fd, SOL_IP, IP_HDRINCL, 1)


def test_a_streams_ecn_bits_are_its_own() -> None:
    host = Bench()
    fd = host.socket()
    host.setopt(fd, SOL_IP, IP_TOS, 0x13)
    assert host.getopt(fd, SOL_IP, IP_TOS) == 0x10


def receive(host: Bench, fd: int, flags: int = 0) -> Msghdr:
    msg = Msghdr()
    sys.sys_recvmsg(host.process, fd, msg, 65536, flags)
    return msg


def test_control_messages_in() -> None:
    host = Bench()
    fd = host.udp(6000)
    for name in (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVOPTS, IP_RETOPTS):
        host.setopt(fd, SOL_IP, name, 1)
    route = b'\x07\x07\x04\0\0\0\0\0'
    host.give(ip(udp(), ttl=7, tos=0x22, options=route))
    got = {c.cmsg_type: c.data for c in receive(host, fd).msg_control}
    assert got[IP_PKTINFO] == struct.pack('<i', host.eth0.ifindex) + quad('10.0.0.1') * 2
    assert got[IP_TTL] == struct.pack('<i', 7)
    assert got[IP_TOS] == b'\x22'
    assert got[IP_RECVOPTS][:7] == b'\x07\x07\x08' + quad('10.0.0.1')
    assert got[IP_RETOPTS][:3] == b'\x07\x07\x08'
    host.give(ip(udp(), dst='10.0.0.255'))
    info = next(c.data for c in receive(host, fd).msg_control if c.cmsg_type == IP_PKTINFO)
    assert info[4:] == quad('10.0.0.1') + quad('10.0.0.255')


def test_control_messages_out() -> None:
    host = Bench()
    host.device('eth1', '10.1.0.1')
    fd = host.udp(7000)

    def send(*control: Cmsg) -> None:
        msg = Msghdr(b'x')
        msg.msg_name = addr('10.0.0.2', 9)
        msg.msg_control = list(control)
        sys.sys_sendmsg(host.process, fd, msg)

    send(Cmsg(SOL_IP, IP_TTL, struct.pack('<i', 9)), Cmsg(SOL_IP, IP_TOS, b'\x44'))
    (out,) = host.taken()
    assert (out.ttl, out.tos) == (9, 0x44)
    send(Cmsg(SOL_IP, IP_PKTINFO, struct.pack('<i', 0) + quad('10.1.0.1') + bytes(4)))
    assert host.taken()[0].src == '10.1.0.1'
    for bad in (Cmsg(SOL_IP, IP_TTL, struct.pack('<i', 0)), Cmsg(SOL_IP, IP_TTL, b'xx'), Cmsg(SOL_IP, IP_PKTINFO, b''),
                Cmsg(SOL_IP, 99, b'')):
        with fails('EINVAL'):
            send(bad)


def test_error_queue() -> None:
    host = Bench()
    fd = host.udp(7000)
    host.setopt(fd, SOL_IP, IP_RECVERR, 1)
    host.sendto(fd, b'question', '10.0.0.2', 9)
    (sent,) = host.taken()
    host.give(ip(icmp(3, 1, payload=sent.data), proto=ICMP, src='10.0.0.254'))
    with fails('EHOSTUNREACH'):
        host.recv(fd)
    msg = receive(host, fd, MSG_ERRQUEUE)
    assert b''.join(msg.chunks) == b'question'
    assert msg.msg_flags & MSG_ERRQUEUE
    assert msg.msg_name is not None
    assert (msg.msg_name.sin_addr, msg.msg_name.sin_port) == (in_aton('10.0.0.2'), 9)
    (cmsg,) = msg.msg_control
    assert (cmsg.cmsg_level, cmsg.cmsg_type) == (SOL_IP, IP_RECVERR)
    assert struct.unpack('<IBBBBII', cmsg.data[:16]) == (113, 2, 3, 1, 0, 0, 0)
    assert cmsg.data[16:] == struct.pack('<H', 2) + bytes(2) + quad('10.0.0.254') + bytes(8)
    with fails('EAGAIN'):
        receive(host, fd, MSG_ERRQUEUE)


def test_error_queue_tells_the_mtu() -> None:
    host = Bench()
    fd = host.udp(7000)
    host.setopt(fd, SOL_IP, IP_RECVERR, 1)
    host.setopt(fd, SOL_IP, IP_MTU_DISCOVER, 2)
    with fails('EMSGSIZE'):
        host.sendto(fd, b'x' * 2000, '10.0.0.2', 9)
    msg = receive(host, fd, MSG_ERRQUEUE)
    assert struct.unpack('<IBBBBII', msg.msg_control[0].data[:16]) == (90, 1, 0, 0, 0, 1500, 0)
    host.sendto(fd, b'x' * 1000, '10.0.0.2', 9)
    (sent,) = host.taken()
    assert sent.off == DF
    host.give(ip(icmp(3, 4, struct.pack('!HH', 0, 700), sent.data), proto=ICMP, src='10.0.0.2'))
    with fails('EMSGSIZE'):
        host.recv(fd)
    msg = receive(host, fd, MSG_ERRQUEUE)
    assert struct.unpack('<IBBBBII', msg.msg_control[0].data[:16]) == (90, 2, 3, 4, 0, 700, 0)


def test_errors_queue_up_and_sk_err_follows() -> None:
    host = Bench()
    fd = host.udp(7000)
    host.setopt(fd, SOL_IP, IP_RECVERR, 1)
    host.sendto(fd, b'1', '10.0.0.2', 9)
    host.sendto(fd, b'0', '10.0.0.2', 9)
    for sent in host.taken():
        host.give(ip(icmp(3, int(sent.payload[8:]), payload=sent.data), proto=ICMP))
    assert b''.join(receive(host, fd, MSG_ERRQUEUE).chunks) == b'1'
    with fails('ENETUNREACH'):
        host.recv(fd)
    assert b''.join(receive(host, fd, MSG_ERRQUEUE).chunks) == b'0'
    host.setopt(fd, SOL_IP, IP_RECVERR, 0)


def test_membership() -> None:
    host = Bench()
    fd = host.udp(9)
    group = quad('239.0.0.1')
    host.setopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, group + quad('10.0.0.1'))
    with fails('EADDRINUSE'):
        host.setopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, group + quad('10.0.0.1'))
    assert host.eth0.in_dev is not None
    assert host.eth0.in_dev.mc_list == {in_aton('239.0.0.1'): 1}
    second = host.udp()
    host.setopt(second, SOL_IP, IP_ADD_MEMBERSHIP, group + bytes(4) + struct.pack('<i', host.eth0.ifindex))
    assert host.eth0.in_dev.mc_list == {in_aton('239.0.0.1'): 2}
    host.close(second)
    host.setopt(fd, SOL_IP, IP_DROP_MEMBERSHIP, group + quad('10.0.0.1'))
    assert host.eth0.in_dev.mc_list == {}
    with fails('EADDRNOTAVAIL'):
        host.setopt(fd, SOL_IP, IP_DROP_MEMBERSHIP, group + quad('10.0.0.1'))
    with fails('EINVAL'):
        host.setopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, quad('10.0.0.9') + quad('10.0.0.1'))
    with fails('ENODEV'):
        host.setopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, group + quad('10.9.9.9'))
    host.setopt(fd, SOL_IP, IP_MULTICAST_IF, quad('10.0.0.1'))
    assert sys.sys_getsockopt(host.process, fd, SOL_IP, IP_MULTICAST_IF, 4) == quad('10.0.0.1')
    with fails('EADDRNOTAVAIL'):
        host.setopt(fd, SOL_IP, IP_MULTICAST_IF, quad('10.9.9.9'))


def test_options_can_be_read_back() -> None:
    host = Bench()
    fd = host.udp()
    assert sys.sys_getsockopt(host.process, fd, SOL_IP, IP_OPTIONS, 40) == b''
    host.setopt(fd, SOL_IP, IP_OPTIONS, b'\x07\x07\x04\0\0\0\0')
    assert sys.sys_getsockopt(host.process, fd, SOL_IP, IP_OPTIONS, 40) == b'\x07\x07\x04\0\0\0\0\0'
