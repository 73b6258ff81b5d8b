# SPDX-License-Identifier: Apache-2.0
"""SOL_SOCKET options: what is read back, what is refused."""
from __future__ import annotations

import pytest

from helpers.hosts import Alone, Pair, fails
from linnet.include.linux import socket as s
from linnet.kernel.poll import POLLERR, POLLPRI
from linnet.net import socket as sys


@pytest.mark.parametrize(('option', 'given', 'read'), [
    (s.SO_REUSEADDR, 5, 1), (s.SO_REUSEPORT, 1, 1), (s.SO_BROADCAST, 1, 1), (s.SO_KEEPALIVE, 1, 1), (s.SO_OOBINLINE, 1, 1),
    (s.SO_DONTROUTE, 1, 1), (s.SO_PRIORITY, 6, 6), (s.SO_MARK, 42, 42), (s.SO_TIMESTAMP, 1, 1), (s.SO_TIMESTAMPNS, 1, 1),
    (s.SO_RCVLOWAT, 0, 1), (s.SO_RCVLOWAT, 77, 77), (s.SO_SNDBUF, 10000, 20000), (s.SO_RCVBUF, 10000, 20000),
    (s.SO_SNDBUF, 1, 4608), (s.SO_RCVBUF, 0, 2304), (s.SO_SNDBUF, 10**9, 2 * 4194304), (s.SO_RCVBUF, -1, 2 * 4194304),
    (s.SO_BUSY_POLL, 5, 5), (s.SO_BSDCOMPAT, 1, 0), (s.SO_PREFER_BUSY_POLL, 2, 1), (s.SO_RCVMARK, 1, 1),
    (s.SO_SELECT_ERR_QUEUE, 1, 1), (s.SO_WIFI_STATUS, 1, 1), (s.SO_LOCK_FILTER, 1, 1), (s.SO_BINDTOIFINDEX, 1, 1),
    (s.SO_INCOMING_CPU, 3, 3),
    (s.SO_ZEROCOPY, 1, 1), (s.SO_RXQ_OVFL, 1, 1), (s.SO_NO_CHECK, 1, 1), (s.SO_MAX_PACING_RATE, 5000, 5000),
])
def test_set_and_read(option: int, given: int, read: int) -> None:
    host = Alone()
    fd = host.socket(s.SOCK_DGRAM)
    host.setopt(fd, s.SOL_SOCKET, option, given)
    assert host.getopt(fd, s.SOL_SOCKET, option) == read


@pytest.mark.parametrize(('option', 'value', 'error'), [
    (s.SO_TYPE, 1, 'ENOPROTOOPT'), (s.SO_ERROR, 1, 'ENOPROTOOPT'), (s.SO_PROTOCOL, 1, 'ENOPROTOOPT'),
    (s.SO_DOMAIN, 1, 'ENOPROTOOPT'), (s.SO_ACCEPTCONN, 1, 'ENOPROTOOPT'), (s.SO_SNDLOWAT, 1, 'ENOPROTOOPT'),
    (9999, 1, 'ENOPROTOOPT'), (s.SO_REUSEADDR, b'123', 'EINVAL'),
    (s.SO_LINGER, 1, 'EINVAL'), (s.SO_RCVTIMEO, 1, 'EINVAL'), (s.SO_RCVTIMEO, bytes(8) + (10**6).to_bytes(8, 'little'), 'EDOM'),
    (s.SO_BUSY_POLL_BUDGET, 65536, 'EINVAL'), (s.SO_RESERVE_MEM, 4096, 'EOPNOTSUPP'), (s.SO_BINDTOIFINDEX, -1, 'EINVAL'),
    (s.SO_BINDTODEVICE, b'nonesuch\0', 'ENODEV'), (s.SO_PASSCRED, 1, 'EOPNOTSUPP'), (s.SO_BUSY_POLL, -1, 'EINVAL'),
])
def test_refused(option: int, value: int | bytes, error: str) -> None:
    host = Alone()
    with fails(error):
        host.setopt(host.socket(), s.SOL_SOCKET, option, value)


def test_what_a_socket_is() -> None:
    host = Alone()
    fd = host.socket(s.SOCK_DGRAM)
    for option, value in ((s.SO_TYPE, 2), (s.SO_PROTOCOL, 17), (s.SO_DOMAIN, 2), (s.SO_ACCEPTCONN, 0), (s.SO_ERROR, 0),
                          (s.SO_SNDLOWAT, 1)):
        assert host.getopt(fd, s.SOL_SOCKET, option) == value
    assert host.getopt(host.server(80), s.SOL_SOCKET, s.SO_ACCEPTCONN) == 1
    with fails('ENOPROTOOPT'):
        host.getopt(fd, s.SOL_SOCKET, 9999)
    with fails('EINVAL'):
        sys.sys_getsockopt(host.process, fd, s.SOL_SOCKET, s.SO_TYPE, -1)
    assert sys.sys_getsockopt(host.process, fd, s.SOL_SOCKET, s.SO_TYPE, 2) == b'\2\0'


def test_cookie_is_unique_and_stays() -> None:
    host = Alone()
    a, b = host.socket(), host.socket()
    cookies = [sys.sys_getsockopt(host.process, fd, s.SOL_SOCKET, s.SO_COOKIE, 8) for fd in (a, b, a)]
    assert cookies[0] == cookies[2] != cookies[1]
    with fails('EINVAL'):
        sys.sys_getsockopt(host.process, a, s.SOL_SOCKET, s.SO_COOKIE, 4)


def test_privileged_options() -> None:
    host = Alone(privileged=False)
    fd = host.socket()
    for option, value, error in ((s.SO_MARK, 1, 'EPERM'), (s.SO_PRIORITY, 7, 'EPERM'), (s.SO_SNDBUFFORCE, 1, 'EPERM'),
                                 (s.SO_RCVBUFFORCE, 1, 'EPERM'), (s.SO_DEBUG, 1, 'EACCES')):
        with fails(error):
            host.setopt(fd, s.SOL_SOCKET, option, value)
    host.setopt(fd, s.SOL_SOCKET, s.SO_PRIORITY, 6)


def test_forced_buffers_have_no_bound() -> None:
    host = Alone()
    fd = host.socket()
    for force, option in ((s.SO_SNDBUFFORCE, s.SO_SNDBUF), (s.SO_RCVBUFFORCE, s.SO_RCVBUF)):
        host.setopt(fd, s.SOL_SOCKET, force, 10**6)
        assert host.getopt(fd, s.SOL_SOCKET, option) == 2 * 10**6
        with fails('ENOPROTOOPT'):
            host.getopt(fd, s.SOL_SOCKET, force)


def test_times_and_linger() -> None:
    host = Alone()
    fd = host.socket()
    read = sys.sys_getsockopt
    for option in (s.SO_RCVTIMEO, s.SO_SNDTIMEO):
        assert read(host.process, fd, s.SOL_SOCKET, option, 16) == bytes(16)
        value = (3).to_bytes(8, 'little') + (500_000).to_bytes(8, 'little')
        host.setopt(fd, s.SOL_SOCKET, option, value)
        assert read(host.process, fd, s.SOL_SOCKET, option, 16) == value
    linger = b'\1\0\0\0\x05\0\0\0'
    host.setopt(fd, s.SOL_SOCKET, s.SO_LINGER, linger)
    assert read(host.process, fd, s.SOL_SOCKET, s.SO_LINGER, 8) == linger


def test_receive_times_out() -> None:
    host = Alone()
    fd = host.udp(9)
    host.setopt(fd, s.SOL_SOCKET, s.SO_RCVTIMEO, (2).to_bytes(8, 'little') + bytes(8))

    def program() -> int:
        with fails('EAGAIN'):
            host.recv(fd)
        return int(host.world.clock.now)
    assert host.run(program) == [2_000_000_000]


def test_bind_to_device() -> None:
    pair = Pair()
    fd = pair.a.udp(9)
    pair.a.setopt(fd, s.SOL_SOCKET, s.SO_BINDTODEVICE, b'eth0\0')
    assert sys.sys_getsockopt(pair.a.process, fd, s.SOL_SOCKET, s.SO_BINDTODEVICE, 16) == b'eth0\0'
    with fails('EINVAL'):
        sys.sys_getsockopt(pair.a.process, fd, s.SOL_SOCKET, s.SO_BINDTODEVICE, 4)
    pair.a.setopt(fd, s.SOL_SOCKET, s.SO_BINDTODEVICE, b'\0')
    assert sys.sys_getsockopt(pair.a.process, fd, s.SOL_SOCKET, s.SO_BINDTODEVICE, 16) == b''


@pytest.mark.parametrize(('option', 'scale'), [(s.SO_TIMESTAMP, 1000), (s.SO_TIMESTAMPNS, 1)])
def test_time_of_arrival(option: int, scale: int) -> None:
    pair = Pair()
    fd = pair.b.udp(9)
    pair.b.setopt(fd, s.SOL_SOCKET, option, 1)
    pair.world.sched.run(3_500_000_000)
    pair.a.sendto(pair.a.udp(), b'x', '10.0.0.2', 9)
    pair.world.sched.run(9_000_000_000)
    msg = s.Msghdr()
    assert sys.sys_recvmsg(pair.b.process, fd, msg, 10) == 1
    stamps = [c.data for c in msg.msg_control if (c.cmsg_level, c.cmsg_type) == (s.SOL_SOCKET, option)]
    assert len(stamps) == 1
    ns = int.from_bytes(stamps[0][:8], 'little') * 10**9 + int.from_bytes(stamps[0][8:], 'little') * scale
    assert 3_500_000_000 <= ns - pair.world.clock.epoch_ns < 3_600_000_000


def test_linger_waits_for_the_peer_and_without_time_resets() -> None:
    pair = Pair()
    fd_a, fd_b = pair.connected()
    pair.b.setopt(fd_b, s.SOL_SOCKET, s.SO_RCVBUF, 4096)
    pair.a.nonblocking(fd_a)
    with fails('EAGAIN'):
        while True:
            pair.a.send(fd_a, bytes(10_000))
    pair.a.setopt(fd_a, s.SOL_SOCKET, s.SO_LINGER, b'\1\0\0\0\3\0\0\0')
    start = int(pair.world.clock.now)

    def close() -> int:
        pair.a.close(fd_a)
        return int(pair.world.clock.now) - start
    assert pair.run(close, until=start + 10**10) == [3 * 10**9]  # nobody read: the time runs out

    fd_a, fd_b = pair.connected(81)
    pair.a.setopt(fd_a, s.SOL_SOCKET, s.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    pair.a.close(fd_a)
    with fails('ECONNRESET'):
        pair.b.recv(fd_b, 1, s.MSG_DONTWAIT)


def test_the_mark_of_a_received_packet() -> None:
    host = Alone()
    there, here = host.udp(9), host.socket(s.SOCK_DGRAM)
    host.setopt(there, s.SOL_SOCKET, s.SO_RCVMARK, 1)
    host.setopt(here, s.SOL_SOCKET, s.SO_MARK, 7)
    host.run(lambda: host.sendto(here, b'x', '127.0.0.1', 9))
    msg = s.Msghdr()
    assert sys.sys_recvmsg(host.process, there, msg, 10) == 1
    assert [(cmsg.cmsg_type, cmsg.data) for cmsg in msg.msg_control] == [(s.SO_MARK, b'\7\0\0\0')]


def test_a_filter_that_is_locked_stays_so() -> None:
    host = Alone()
    fd = host.socket()
    host.setopt(fd, s.SOL_SOCKET, s.SO_LOCK_FILTER, 1)
    with fails('EPERM'):
        host.setopt(fd, s.SOL_SOCKET, s.SO_LOCK_FILTER, 0)
    assert sys.sys_getsockopt(host.process, fd, s.SOL_SOCKET, s.SO_GET_FILTER, 8) == b''


def test_the_error_queue_as_priority_data() -> None:
    host = Alone()
    fd = host.socket(s.SOCK_DGRAM)
    host.setopt(fd, s.SOL_SOCKET, s.SO_TIMESTAMPING, 0x12)  # TX_SOFTWARE, SOFTWARE
    host.run(lambda: host.sendto(fd, b'x', '127.0.0.1', 9))
    assert host.poll(fd, POLLPRI) == POLLERR
    host.setopt(fd, s.SOL_SOCKET, s.SO_SELECT_ERR_QUEUE, 1)
    assert host.poll(fd, POLLPRI) == POLLERR | POLLPRI
