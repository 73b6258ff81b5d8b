# SPDX-License-Identifier: Apache-2.0
"""recv() on TCP sockets: how much, when, and in which order of reasons."""
from __future__ import annotations

from helpers.hosts import Pair, fails
from helpers.tcp_wire import MS, SEC, Peer, Wire
from linnet.include.linux.socket import (
    MSG_DONTWAIT,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    SIOCATMARK,
    SIOCINQ,
    SIOCOUTQ,
    SO_OOBINLINE,
    SO_RCVBUF,
    SO_RCVLOWAT,
    SO_RCVTIMEO,
    SOL_SOCKET,
)
from linnet.kernel.poll import EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP
from linnet.net import socket as sys


def connected(window: int = 65535) -> tuple[Wire, Peer, int]:
    """A host with a connection to the test."""
    wire = Wire()
    peer = Peer(wire, window=window)
    return wire, peer, peer.accept()


def recv(wire: Wire, fd: int, size: int = 65536, flags: int = 0) -> bytes:
    """What recv returns now (it must not block)."""
    result = wire.run(lambda: wire.prog.recv(fd, size, flags | MSG_DONTWAIT))[0]
    assert isinstance(result, bytes)
    return result


class TestHowMuch:
    def test_data_of_several_segments(self) -> None:
        wire, peer, fd = connected()
        peer.send('P.', data=b'one ')
        peer.send('P.', data=b'two')
        assert recv(wire, fd) == b'one two'

    def test_size_bounds_it(self) -> None:
        wire, peer, fd = connected()
        peer.send('P.', data=b'abcdef')
        assert recv(wire, fd, 4) == b'abcd'
        assert recv(wire, fd, 4) == b'ef'

    def test_peek_leaves_it(self) -> None:
        wire, peer, fd = connected()
        peer.send('P.', data=b'abc')
        peer.send('P.', data=b'def')
        assert recv(wire, fd, 5, MSG_PEEK) == b'abcde'
        assert recv(wire, fd) == b'abcdef'

    def test_trunc_discards(self) -> None:
        wire, peer, fd = connected()
        peer.send('P.', data=b'abcdef')
        assert recv(wire, fd, 4, MSG_TRUNC) == b''
        assert recv(wire, fd) == b'ef'

    def test_waitall_waits_for_all(self) -> None:
        wire, peer, fd = connected()
        got: list[bytes] = []
        wire.run(lambda: got.append(wire.prog.recv(fd, 6, MSG_WAITALL)))
        peer.send('P.', data=b'abc')
        assert got == []
        peer.send('P.', data=b'defgh')
        assert got == [b'abcdef']

    def test_waitall_ends_with_the_stream(self) -> None:
        wire, peer, fd = connected()
        got: list[bytes] = []
        wire.run(lambda: got.append(wire.prog.recv(fd, 6, MSG_WAITALL)))
        peer.send('FP.', data=b'abc')
        assert got == [b'abc']

    def test_rcvlowat(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_SOCKET, SO_RCVLOWAT, 5)
        got: list[bytes] = []
        wire.run(lambda: got.append(wire.prog.recv(fd)))
        peer.send('P.', data=b'abc')
        assert got == []
        peer.send('P.', data=b'de')
        assert got == [b'abcde']

    def test_timeout(self) -> None:
        wire, _, fd = connected()
        wire.prog.setopt(fd, SOL_SOCKET, SO_RCVTIMEO, (2).to_bytes(8, 'little') + bytes(8))
        start = wire.now
        times: list[int] = []

        def wait() -> None:
            with fails('EAGAIN'):
                wire.prog.recv(fd)
            times.append(wire.now - start)

        wire.run(wait, ns=10 * SEC)
        assert times == [2 * SEC]


class TestEnds:
    def test_end_of_stream_is_empty_and_stays(self) -> None:
        wire, peer, fd = connected()
        peer.send('FP.', data=b'abc')
        assert recv(wire, fd) == b'abc'
        assert recv(wire, fd) == b''
        assert recv(wire, fd) == b''

    def test_data_comes_before_the_error(self) -> None:
        wire, peer, fd = connected()
        peer.send('P.', data=b'abc')
        peer.send('R')

        def read() -> tuple[bytes, bytes]:
            data = wire.prog.recv(fd)
            with fails('ECONNRESET'):
                wire.prog.recv(fd)
            return data, wire.prog.recv(fd)

        assert wire.run(read) == [(b'abc', b'')]

    def test_listener_is_enotconn(self) -> None:
        wire = Wire()

        def run() -> None:
            fd = wire.prog.server(80)
            with fails('ENOTCONN'):
                wire.prog.recv(fd)

        wire.run(run)

    def test_fresh_socket_is_enotconn(self) -> None:
        wire = Wire()

        def run() -> None:
            fd = wire.prog.socket()
            with fails('ENOTCONN'):
                wire.prog.recv(fd)

        wire.run(run)


class TestUrgent:
    def test_oob_byte_is_read_apart(self) -> None:
        wire, peer, fd = connected()
        peer.send('PU.', data=b'abX', urg=3)
        peer.send('P.', data=b'cd')
        assert wire.prog.poll(fd, EPOLLPRI) == EPOLLPRI
        assert recv(wire, fd, flags=MSG_OOB) == b'X'
        assert recv(wire, fd) == b'ab'
        assert recv(wire, fd) == b'cd'

    def test_oob_inline(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_SOCKET, SO_OOBINLINE, 1)
        peer.send('PU.', data=b'abX', urg=3)
        assert recv(wire, fd) == b'ab'
        assert sys.sys_ioctl(wire.prog.process, fd, SIOCATMARK) == 1
        assert recv(wire, fd) == b'X'

    def test_no_urgent_data_is_einval(self) -> None:
        wire, _, fd = connected()

        def run() -> None:
            with fails('EINVAL'):
                wire.prog.recv(fd, 1, MSG_OOB)

        wire.run(run)


class TestWindow:
    def test_reading_opens_the_window(self) -> None:
        wire = Wire()
        peer = Peer(wire)
        fd = peer.accept()
        wire.prog.setopt(fd, SOL_SOCKET, SO_RCVBUF, 8192)
        last = 65535
        for _ in range(40):
            room = last << 7 if last < 1000 else last
            if room < 1000:
                break
            peer.send('P.', data=bytes(1000))
            wire.advance(50 * MS)
            acks = wire.take()
            if acks:
                last = acks[-1].window
        assert last << 7 < 1000
        data = recv(wire, fd)
        assert len(data) > 1000
        updates = wire.take()
        assert updates and updates[-1].window << 7 > 2000


class TestAsking:
    def test_ioctls_count(self) -> None:
        wire, peer, fd = connected()
        peer.send('P.', data=b'abc')
        assert sys.sys_ioctl(wire.prog.process, fd, SIOCINQ) == 3
        wire.run(lambda: wire.prog.send(fd, b'0123456789'))
        assert sys.sys_ioctl(wire.prog.process, fd, SIOCOUTQ) == 10
        peer.send('.', ack=11)
        assert sys.sys_ioctl(wire.prog.process, fd, SIOCOUTQ) == 0

    def test_poll(self) -> None:
        wire, peer, fd = connected()
        everything = EPOLLIN | EPOLLOUT | EPOLLRDHUP
        assert wire.prog.poll(fd, everything) == EPOLLOUT
        peer.send('P.', data=b'abc')
        assert wire.prog.poll(fd, everything) == EPOLLIN | EPOLLOUT
        peer.send('F.')
        assert wire.prog.poll(fd, everything) == everything


def test_two_hosts_echo() -> None:
    pair = Pair()
    fd_a, fd_b = pair.connected()
    data = bytes(range(256)) * 2000

    def client() -> bytes:
        pair.a.sendall(fd_a, data)
        pair.a.shutdown(fd_a, 1)
        back = pair.a.recvall(fd_a)
        pair.a.close(fd_a)
        return back

    def server() -> None:
        got = pair.b.recvall(fd_b)
        pair.b.sendall(fd_b, got[::-1])
        pair.b.close(fd_b)

    results = pair.run(client, server)
    assert results[0] == data[::-1]
    left = pair.leftovers()
    assert {name: n for name, n in left.items() if name in ('TCP', 'skbuff_head_cache', 'tw_sock_TCP')} == {}
