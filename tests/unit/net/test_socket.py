# SPDX-License-Identifier: Apache-2.0
"""The system calls: which errno in which order, and what becomes of descriptors."""
from __future__ import annotations

import pytest

from helpers.hosts import Alone, Pair, fails
from linnet.include.linux.inet import IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP
from linnet.include.linux.socket import (
    AF_INET,
    AF_INET6,
    AF_UNSPEC,
    MSG_DONTWAIT,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SO_ERROR,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_RAW,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOL_SOCKET,
    Sockaddr,
)
from linnet.kernel.poll import EPOLLET, EPOLLIN, POLLERR, POLLHUP, POLLIN, POLLOUT
from linnet.kernel.sched import send_signal
from linnet.net import socket as sys

SECOND = 1_000_000_000


@pytest.mark.parametrize(('family', 'type', 'protocol', 'error'), [
    (AF_INET, SOCK_STREAM | 0x100, 0, 'EINVAL'),           # unknown flag bits go before everything else
    (99, SOCK_STREAM, 0, 'EAFNOSUPPORT'),
    (-1, 99, 0, 'EINVAL'),                                 # 99 has flag bits that are unknown
    (-1, 11, 0, 'EAFNOSUPPORT'),                           # the family goes before the type
    (AF_INET, 11, 0, 'EINVAL'),
    (AF_INET, SOCK_SEQPACKET, 0, 'ESOCKTNOSUPPORT'),
    (AF_INET, SOCK_STREAM, IPPROTO_UDP, 'EPROTONOSUPPORT'),
    (AF_INET, SOCK_DGRAM, IPPROTO_TCP, 'EPROTONOSUPPORT'),
    (AF_INET, SOCK_STREAM, -1, 'EINVAL'),
    (AF_INET, SOCK_STREAM, 263, 'EINVAL'),
    (AF_INET, SOCK_RAW, 0, 'EPROTONOSUPPORT'),
])
def test_socket_refused(family: int, type: int, protocol: int, error: str) -> None:
    host = Alone()
    with fails(error):
        host.socket(type, protocol, family)
    assert host.world.slab.active() == {}


def test_socket_wants_privilege_for_raw_only() -> None:
    host = Alone(privileged=False)
    with fails('EPERM'):
        host.socket(SOCK_RAW, IPPROTO_ICMP)
    for type, protocol in ((SOCK_STREAM, IPPROTO_TCP), (SOCK_DGRAM, 0), (SOCK_DGRAM, IPPROTO_ICMP)):
        host.close(host.socket(type, protocol))
    with fails('EACCES'):
        host.bind(host.socket(), '127.0.0.1', 80)


def test_socket_frees_everything() -> None:
    host = Alone()
    before = host.world.slab.active()
    kinds = ((SOCK_STREAM, 0), (SOCK_DGRAM, 0), (SOCK_RAW, IPPROTO_ICMP), (SOCK_DGRAM, IPPROTO_ICMP))
    fds = [host.socket(type, protocol) for type, protocol in kinds]
    active = host.world.slab.active()
    assert active['sock_inode_cache'] == 4 and active['filp'] == 4 and active['dentry'] == 4 and active['TCP'] == 1
    for fd in fds:
        host.close(fd)
    assert host.world.slab.active() == before


def test_descriptors_run_out() -> None:
    host = Alone()
    host.process.files.limit = 2
    host.socket()
    host.socket()
    with fails('EMFILE'):
        host.socket()
    assert host.world.slab.active()['TCP'] == 2


def test_not_a_descriptor_and_not_a_socket() -> None:
    host = Alone()
    process = host.process
    epfd = sys.sys_epoll_create1(process)
    for fd, error in ((77, 'EBADF'), (epfd, 'ENOTSOCK')):
        for call in (
            lambda fd: sys.sys_bind(process, fd, Sockaddr(AF_INET)), lambda fd: sys.sys_listen(process, fd, 1),
            lambda fd: sys.sys_accept4(process, fd, 0), lambda fd: sys.sys_connect(process, fd, Sockaddr(AF_INET)),
            lambda fd: sys.sys_send(process, fd, b''), lambda fd: sys.sys_recv(process, fd, 1),
            lambda fd: sys.sys_shutdown(process, fd, 0), lambda fd: sys.sys_getsockname(process, fd),
            lambda fd: sys.sys_getpeername(process, fd), lambda fd: sys.sys_setsockopt(process, fd, 1, 1, b'1234'),
            lambda fd: sys.sys_getsockopt(process, fd, 1, 1, 4),
        ):
            with fails(error):
                call(fd)
    for bad in (lambda: sys.sys_close(process, 77), lambda: sys.sys_dup(process, 77), lambda: sys.sys_fcntl(process, 77, 3),
                lambda: sys.sys_read(process, 77, 1), lambda: sys.sys_ioctl(process, 77, 0x541B)):
        with fails('EBADF'):
            bad()


def test_bind() -> None:
    host = Alone()
    fd = host.socket()
    with fails('EAFNOSUPPORT'):
        sys.sys_bind(host.process, fd, Sockaddr(AF_INET6, 0, 80))
    with fails('EADDRNOTAVAIL'):
        host.bind(fd, '10.9.9.9', 80)
    sys.sys_bind(host.process, fd, Sockaddr(AF_UNSPEC, 0, 80))  # taken as AF_INET by Linux, for INADDR_ANY alone
    assert host.name(fd) == ('0.0.0.0', 80)
    with fails('EINVAL'):
        host.bind(fd, '127.0.0.1', 81)
    other = host.socket()
    with fails('EADDRINUSE'):
        host.bind(other, '127.0.0.1', 80)
    host.bind(other, '127.0.0.1', 0)
    assert 32768 <= host.name(other)[1] <= 60999


def test_listen_and_accept_refused() -> None:
    host = Alone()
    udp = host.socket(SOCK_DGRAM)
    with fails('EOPNOTSUPP'):
        host.listen(udp)
    with fails('EOPNOTSUPP'):
        host.accept(udp)
    tcp = host.socket()
    with fails('EINVAL'):
        host.accept(tcp)
    with fails('EINVAL'):
        sys.sys_accept4(host.process, tcp, 1)
    host.bind(tcp, '127.0.0.1', 80)
    host.listen(tcp)
    with fails('EAGAIN'):
        host.accept(host.nonblocking(tcp))
    with fails('EISCONN'):
        host.connect(tcp, '127.0.0.1', 80)
    assert host.poll(tcp, POLLIN) == 0
    host.close(tcp)
    host.close(udp)
    assert host.world.slab.active() == {}


def test_unconnected() -> None:
    host = Alone()
    fd = host.socket()
    assert host.poll(fd, POLLIN | POLLOUT) == POLLOUT | POLLHUP
    with fails('ENOTCONN'):
        host.peer(fd)
    with fails('ENOTCONN'):
        host.recv(fd)
    with fails('EPIPE'):
        host.send(fd, b'x')
    with fails('ENOTCONN'):
        host.shutdown(fd, SHUT_RDWR)
    with fails('EINVAL'):
        host.shutdown(fd, 3)
    assert host.name(fd) == ('0.0.0.0', 0)
    assert host.poll(fd, POLLIN | POLLOUT) == POLLIN | POLLOUT | POLLHUP  # it is shut down all the same


def test_connect_refused_then_again() -> None:
    pair = Pair()

    def client() -> None:
        fd = pair.a.socket()
        for _ in range(2):
            with fails('ECONNREFUSED'):
                pair.a.connect(fd, '10.0.0.2', 80)
        pair.a.close(fd)
    pair.run(client)
    assert pair.leftovers().get('TCP') is None


def test_connect_without_waiting() -> None:
    pair = Pair()
    listener = pair.b.server(80)

    def client() -> None:
        fd = pair.a.socket(SOCK_STREAM | SOCK_NONBLOCK)
        with fails('EINPROGRESS'):
            pair.a.connect(fd, '10.0.0.2', 80)
        assert pair.a.poll(fd, POLLOUT, SECOND) == POLLOUT
        assert pair.a.getopt(fd, SOL_SOCKET, SO_ERROR) == 0
        pair.a.connect(fd, '10.0.0.2', 80)  # tells of the success, once
        with fails('EISCONN'):
            pair.a.connect(fd, '10.0.0.2', 80)
        with fails('EAGAIN'):
            pair.a.recv(fd)
        pair.a.close(fd)
    pair.run(client)
    pair.b.close(listener)
    assert 'TCP' not in pair.leftovers()


def test_connect_fails_without_waiting() -> None:
    pair = Pair()

    def client() -> None:
        fd = pair.a.nonblocking(pair.a.socket())
        with fails('EINPROGRESS'):
            pair.a.connect(fd, '10.0.0.2', 80)
        assert pair.a.poll(fd, POLLOUT, SECOND) == POLLOUT | POLLERR | POLLHUP
        assert pair.a.getopt(fd, SOL_SOCKET, SO_ERROR) == 111
        assert pair.a.getopt(fd, SOL_SOCKET, SO_ERROR) == 0
        pair.a.close(fd)
    pair.run(client)


def test_data_and_the_end() -> None:
    pair = Pair()
    fd_a, fd_b = pair.connected()
    assert pair.a.peer(fd_a) == ('10.0.0.2', 80)
    assert pair.b.name(fd_b) == ('10.0.0.2', 80)
    assert pair.b.peer(fd_b) == pair.a.name(fd_a)

    def client() -> bytes:
        pair.a.sendall(fd_a, b'question')
        pair.a.shutdown(fd_a, SHUT_WR)
        with fails('EPIPE'):
            pair.a.send(fd_a, b'more')
        answer = pair.a.recvall(fd_a)
        pair.a.close(fd_a)
        return answer

    def server() -> bytes:
        question = pair.b.recvall(fd_b)
        pair.b.sendall(fd_b, question.upper())
        pair.b.close(fd_b)
        return question

    assert pair.run(client, server) == [b'QUESTION', b'question']
    assert not {'TCP', 'request_sock_TCP', 'tw_sock_TCP', 'sock_inode_cache', 'skbuff_head_cache', 'tcp_bind_bucket'} & set(
        pair.leftovers())


def test_shutdown_for_reading_wakes_the_reader() -> None:
    pair = Pair()
    fd_a, fd_b = pair.connected()

    def reader() -> bytes:
        return pair.a.recv(fd_a)

    def closer() -> None:
        pair.a.shutdown(fd_a, SHUT_RD)

    assert pair.run(reader, closer, until=SECOND)[0] == b''
    assert pair.a.poll(fd_a, POLLIN) == POLLIN


def test_signal_ends_a_wait() -> None:
    pair = Pair()
    fd_a, _ = pair.connected()
    sched = pair.world.sched

    def reader() -> None:
        with fails('EINTR'):
            pair.a.recv(fd_a)

    task = sched.spawn(reader, 'reader')
    pair.run(lambda: send_signal(task, 10), until=int(pair.world.clock.now) + SECOND)
    assert not task.alive()


def test_epoll_level_and_edge() -> None:
    pair = Pair()
    fd_a, fd_b = pair.connected()
    process = pair.b.process
    level, edge = sys.sys_epoll_create1(process), sys.sys_epoll_create1(process)
    sys.sys_epoll_ctl(process, level, 1, fd_b, EPOLLIN, 7)
    sys.sys_epoll_ctl(process, edge, 1, fd_b, EPOLLIN | EPOLLET, 8)
    with fails('EEXIST'):
        sys.sys_epoll_ctl(process, level, 1, fd_b, EPOLLIN, 7)

    def server() -> None:
        assert sys.sys_epoll_wait(process, level, 8, None) == [(7, EPOLLIN)]
        assert sys.sys_epoll_wait(process, edge, 8, None) == [(8, EPOLLIN)]
        assert sys.sys_epoll_wait(process, level, 8, 0) == [(7, EPOLLIN)]
        assert sys.sys_epoll_wait(process, edge, 8, 0) == []
        assert pair.b.recv(fd_b) == b'x'
        assert sys.sys_epoll_wait(process, level, 8, 1000) == []
        pair.a.send(fd_a, b'y')
        assert sys.sys_epoll_wait(process, edge, 8, 0) == [(8, EPOLLIN)]

    pair.run(server, lambda: pair.a.send(fd_a, b'x'), until=int(pair.world.clock.now) + SECOND)


def test_select_and_dup() -> None:
    pair = Pair()
    fd_a, fd_b = pair.connected()
    process = pair.a.process
    copy = sys.sys_dup(process, fd_a)
    assert sys.sys_select(process, [copy], [copy], [], 0) == ([], [copy], [])
    pair.a.close(fd_a)
    assert pair.a.send(copy, b'x') == 1
    assert pair.b.recv(fd_b, 10, MSG_DONTWAIT) == b'x'
    pair.a.close(copy)
    assert pair.b.recv(fd_b, 10, MSG_DONTWAIT) == b''
    with fails('EBADF'):
        sys.sys_select(process, [copy], [], [], 0)


def test_ioctl_and_fcntl() -> None:
    pair = Pair()
    fd_a, fd_b = pair.connected()
    pair.a.send(fd_a, b'12345')
    assert sys.sys_ioctl(pair.b.process, fd_b, 0x541B) == 5
    with fails('ENOTTY'):
        sys.sys_ioctl(pair.b.process, fd_b, 0x1234)
    sys.sys_ioctl(pair.b.process, fd_b, 0x5421, 1)
    assert sys.sys_fcntl(pair.b.process, fd_b, sys.F_GETFL) & SOCK_NONBLOCK
    assert sys.sys_read(pair.b.process, fd_b, 3) == b'123'
    assert sys.sys_read(pair.b.process, fd_b, 0) == b''
    assert sys.sys_read(pair.b.process, fd_b, 3) == b'45'
    with fails('EAGAIN'):
        sys.sys_read(pair.b.process, fd_b, 3)
    assert sys.sys_write(pair.b.process, fd_b, b'back') == 4
    assert pair.a.recv(fd_a) == b'back'
    with fails('EINVAL'):
        sys.sys_fcntl(pair.b.process, fd_b, 999)
    assert sys.sys_fcntl(pair.b.process, fd_b, sys.F_DUPFD, 30) == 30


def test_killed_while_waiting() -> None:
    """Whatever a task waits for when it is killed: its sockets close as usual, and nothing stays behind."""
    pair = Pair()
    a, b = pair.a, pair.b
    listener = b.server(80)
    sched = pair.world.sched

    def stuck_accept() -> None:
        b.accept(listener)

    def stuck_datagram() -> None:
        b.recv(b.udp(9))

    def stuck_connect() -> None:
        a.connect(a.socket(), '10.0.0.77', 80)

    def stuck_poll() -> None:
        sys.sys_poll(b.process, [(listener, POLLIN)], None)

    def stuck_epoll() -> None:
        epfd = sys.sys_epoll_create1(b.process)
        sys.sys_epoll_ctl(b.process, epfd, 1, listener, EPOLLIN, 1)
        sys.sys_epoll_wait(b.process, epfd, 1, None)

    tasks = [sched.spawn(fn, fn.__name__) for fn in (stuck_accept, stuck_datagram, stuck_connect, stuck_poll, stuck_epoll)]
    sched.run(SECOND // 2)
    assert all(task.alive() for task in tasks)
    for task in tasks:
        sched.kill(task)
    sched.run(SECOND)
    assert not any(task.alive() for task in tasks)
    fd_a, fd_b = pair.connected(81)
    pair.a.send(fd_a, b'unread')

    def stuck_recv() -> None:
        a.recv(fd_a)

    def stuck_send() -> None:
        a.sendall(fd_a, bytes(50_000_000))

    for fn in (stuck_recv, stuck_send):
        task = sched.spawn(fn, fn.__name__)
        sched.run(int(pair.world.clock.now) + SECOND)
        assert task.alive()
        sched.kill(task)
    for prog in (a, b):
        prog.process.files.close_all()
    assert pair.leftovers() == {}
