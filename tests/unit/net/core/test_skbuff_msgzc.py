# SPDX-License-Identifier: Apache-2.0
"""MSG_ZEROCOPY: the notices, what they say of copies, and their limit."""
from __future__ import annotations

import struct
from pathlib import Path

from helpers.hosts import Pair, Prog, fails
from linnet.drivers.net.pcap import PcapTap
from linnet.drivers.net.wire import WireParams, wire_newlink
from linnet.include.linux.inet import in_aton
from linnet.include.linux.socket import (
    AF_PACKET,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_MORE,
    MSG_ZEROCOPY,
    SO_MEMINFO,
    SO_ZEROCOPY,
    SOCK_DGRAM,
    SOCK_RAW,
    SOL_IP,
    SOL_SOCKET,
    SOL_TCP,
    Msghdr,
)
from linnet.include.net.tcp import TCP_NODELAY
from linnet.net import socket as sys
from linnet.net.core.dev import dev_open
from linnet.net.ipv4.devinet import inet_addr_add

COPIED = 1


def notice(prog: Prog, fd: int) -> tuple[int, int, int]:
    """The next notice: first number, last number, code."""
    msg = Msghdr()
    assert sys.sys_recvmsg(prog.process, fd, msg, 0, MSG_ERRQUEUE | MSG_DONTWAIT) == 0
    assert msg.msg_flags & MSG_ERRQUEUE
    assert msg.msg_name is None
    (cmsg,) = msg.msg_control
    assert (cmsg.cmsg_level, cmsg.cmsg_type) == (SOL_IP, 11)
    errno, origin, kind, code, _, info, data = struct.unpack_from('<IBBBBII', cmsg.data)
    assert (errno, origin, kind) == (0, 5, 0)
    return info, data, code


class Cabled(Pair):
    """The same two hosts, joined by a cable between network cards."""

    def __init__(self) -> None:
        super().__init__()
        params = WireParams(delay_ns=1_000_000)
        a, b = wire_newlink(self.net_a, 'eth1', self.net_b, 'eth1', params, params)
        dev_open(a)
        dev_open(b)
        assert inet_addr_add(a, in_aton('10.1.0.1'), 24) == 0
        assert inet_addr_add(b, in_aton('10.1.0.2'), 24) == 0


def send_zerocopy(pair: Pair, host: str, sizes: list[int]) -> tuple[int, bytes]:
    """Send from a to b over TCP with MSG_ZEROCOPY; a's descriptor, and what b received."""
    listener = pair.b.server(80)

    def client() -> int:
        fd = pair.a.client(host, 80)
        pair.a.setopt(fd, SOL_SOCKET, SO_ZEROCOPY, 1)
        for number, size in enumerate(sizes):
            assert pair.a.send(fd, bytes([number]) * size, MSG_ZEROCOPY) == size
        return fd

    def server() -> bytes:
        fd = pair.b.accept(listener)[0]
        data = b''
        while len(data) < sum(sizes):
            data += pair.b.recv(fd)
        return data

    fd, data = pair.run(client, server)
    assert isinstance(fd, int)
    assert isinstance(data, bytes)
    return fd, data


def test_between_namespaces_it_is_a_copy() -> None:
    pair = Pair()
    fd, data = send_zerocopy(pair, '10.0.0.2', [100_000, 10])
    assert data == bytes(100_000) + b'\1' * 10
    assert notice(pair.a, fd) == (0, 1, COPIED)
    with fails('EAGAIN'):
        notice(pair.a, fd)


def test_a_network_card_reads_the_memory_itself() -> None:
    pair = Cabled()
    fd, data = send_zerocopy(pair, '10.1.0.2', [5000, 7, 9000])
    assert data == bytes(5000) + b'\1' * 7 + b'\2' * 9000
    assert notice(pair.a, fd) == (0, 2, 0)


def test_notices_are_option_memory() -> None:
    pair = Cabled()
    fd, _ = send_zerocopy(pair, '10.1.0.2', [])
    pair.a.setopt(fd, SOL_TCP, TCP_NODELAY, 1)
    pair.net_a.sysctl.set('net.core.optmem_max', '1200')

    def omem() -> int:
        return struct.unpack('<9I', sys.sys_getsockopt(pair.a.process, fd, SOL_SOCKET, SO_MEMINFO, 36))[6]

    def program() -> None:
        assert pair.a.send(fd, b'a', MSG_ZEROCOPY) == 1
        assert omem() == 576
        assert pair.a.send(fd, b'b', MSG_ZEROCOPY) == 1
        with fails('ENOBUFS'):
            pair.a.send(fd, b'c', MSG_ZEROCOPY)
        assert pair.a.send(fd, b'd') == 1

    pair.run(program)
    assert notice(pair.a, fd) == (0, 1, 0)
    assert omem() == 0
    # the failed send had no number
    pair.run(lambda: pair.a.send(fd, b'e', MSG_ZEROCOPY))
    assert notice(pair.a, fd) == (2, 2, 0)


def test_nothing_is_left_of_a_socket_that_nobody_asked() -> None:
    pair = Pair()
    before = pair.leftovers()
    fd_a, fd_b = pair.connected()
    pair.a.setopt(fd_a, SOL_SOCKET, SO_ZEROCOPY, 1)
    pair.run(lambda: pair.a.send(fd_a, bytes(3000), MSG_ZEROCOPY))
    pair.run(lambda: pair.b.recvall(fd_b), lambda: pair.a.close(fd_a))
    pair.b.close(fd_b)
    pair.world.sched.run(int(pair.world.clock.now) + 100 * 10**9)
    assert pair.leftovers() == before


def test_datagrams() -> None:
    pair = Cabled()
    there = pair.b.udp(9)
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.setopt(fd, SOL_SOCKET, SO_ZEROCOPY, 1)

    def send() -> None:
        for size in (0, 20, 3000):
            assert pair.a.sendto(fd, bytes(size), '10.1.0.2', 9, MSG_ZEROCOPY) == size
        assert pair.a.sendto(fd, b'half', '10.1.0.2', 9, MSG_MORE | MSG_ZEROCOPY) == 4
        assert pair.a.sendto(fd, b'whole', '10.1.0.2', 9) == 5

    pair.run(send)
    # an empty one has no memory to wait for
    assert notice(pair.a, fd)[:2] == (0, 1)
    assert [len(pair.b.recv(there, flags=MSG_DONTWAIT)) for _ in range(4)] == [0, 20, 3000, 9]


def test_a_capture_of_the_lab_changes_nothing_but_a_packet_socket_does(tmp_path: Path) -> None:
    pair = Cabled()
    tap = PcapTap(str(tmp_path / 'a.pcapng'), [pair.net_a.dev_base[-1]])
    fd, _ = send_zerocopy(pair, '10.1.0.2', [3000])
    tap.close()
    assert tap.packets > 3
    assert notice(pair.a, fd) == (0, 0, 0)
    watcher = pair.a.socket(SOCK_RAW, 0x0300, AF_PACKET)  # htons(ETH_P_ALL)
    pair.run(lambda: pair.a.send(fd, bytes(3000), MSG_ZEROCOPY))
    assert notice(pair.a, fd) == (1, 1, COPIED)
    pair.a.close(watcher)
