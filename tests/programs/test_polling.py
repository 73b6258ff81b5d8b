# SPDX-License-Identifier: Apache-2.0
"""select, poll, epoll and selectors; and the errors that a socket's user meets, as CPython raises them."""

from __future__ import annotations

import errno
import os
import select
import selectors
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.programs import twice
from linnet import Lab
from linnet.lab import Host

CLEAN = {'rate': '10mbit', 'delay': '10ms'}


def by_select(socks: list[socket.socket], timeout: float) -> list[int]:
    return [s.fileno() for s in select.select(socks, [], [], timeout)[0]]


def by_poll(socks: list[socket.socket], timeout: float) -> list[int]:
    poll = select.poll()
    for sock in socks:
        poll.register(sock, select.POLLIN)
    return [fd for fd, _ in poll.poll(timeout * 1000)]


def by_epoll(socks: list[socket.socket], timeout: float) -> list[int]:
    with select.epoll() as epoll:
        for sock in socks:
            epoll.register(sock, select.EPOLLIN)
        return [fd for fd, _ in epoll.poll(timeout)]


def by_selector(kind: type[selectors.BaseSelector]) -> Callable[[list[socket.socket], float], list[int]]:
    def ready(socks: list[socket.socket], timeout: float) -> list[int]:
        with kind() as selector:
            for sock in socks:
                selector.register(sock, selectors.EVENT_READ, 'data')
            return [key.fd for key, events in selector.select(timeout) if key.data == 'data' and events == selectors.EVENT_READ]

    return ready


WAYS = {
    'select': by_select,
    'poll': by_poll,
    'epoll': by_epoll,
    **{
        k.__name__: by_selector(k)
        for k in (selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector, selectors.DefaultSelector)
    },
}


@pytest.mark.parametrize('way', WAYS)
def test_a_single_threaded_echo_server(tmp_path: Path, way: str) -> None:
    ready = WAYS[way]

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def serve() -> None:
            listener = socket.create_server(('', 7))
            listener.setblocking(False)
            conns: dict[int, socket.socket] = {listener.fileno(): listener}
            served = 0
            while served < 5:
                for fd in ready(list(conns.values()), 30):
                    if fd == listener.fileno():
                        conn, _ = listener.accept()
                        conn.setblocking(False)
                        conns[conn.fileno()] = conn
                    elif data := conns[fd].recv(4096):
                        conns[fd].sendall(data)
                    else:
                        conns.pop(fd).close()
                        served += 1
            before = time.monotonic()
            assert ready(list(conns.values()), 0.75) == []
            out.append(round(time.monotonic() - before, 6))
            listener.close()

        def talk(i: int) -> None:
            with socket.create_connection(('server', 7)) as sock:
                text = b'%d' % i * 5000
                sock.sendall(text)
                got = b''
                while len(got) < len(text):
                    got += sock.recv(10_000)
                out.append(got == text)

        server.spawn(serve)
        for i in range(5):
            client.spawn(talk, i)

    assert twice(tmp_path, build) == [True] * 5 + [0.75]


def test_edge_triggered_and_one_shot(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def serve() -> None:
            conn, _ = socket.create_server(('', 7)).accept()
            epoll = select.epoll()
            epoll.register(conn, select.EPOLLIN | select.EPOLLET)
            out.append(len(epoll.poll(5)))
            out.append(len(epoll.poll(0.1)))  # nothing new has come, though nothing was read
            epoll.modify(conn, select.EPOLLIN | select.EPOLLONESHOT)
            out.append(len(epoll.poll(0.1)))
            out.append(len(epoll.poll(0.1)))
            epoll.close()
            with pytest.raises(ValueError, match='closed epoll'):
                epoll.poll(0)

        def talk() -> None:
            sock = socket.create_connection(('server', 7))
            sock.sendall(b'x')
            time.sleep(1)

        server.spawn(serve)
        client.spawn(talk)

    assert twice(tmp_path, build, link=CLEAN) == [1, 0, 1, 0]


def test_connect_without_blocking(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            for port in (7, 8):
                sock = socket.socket()
                sock.setblocking(False)
                out.append(sock.connect_ex(('server', port)) == errno.EINPROGRESS)
                _, writable, _ = select.select([], [sock], [], 5)
                out.append((writable == [sock], sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)))
                sock.close()

        server.spawn(lambda: socket.create_server(('', 7)).accept(), daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build, link=CLEAN) == [True, (True, 0), True, (True, errno.ECONNREFUSED)]


def run(fn: Callable[[list[Any]], None], **link: Any) -> list[Any]:
    """What fn appended, run on a client linked to a server with nothing on it."""
    out: list[Any] = []
    with Lab(seed=3) as lab:
        client, server = lab.host('client'), lab.host('server')
        lab.link(client, server, **(link or CLEAN))
        client.spawn(fn, out)
        lab.run()
    return out


def test_time_outs() -> None:
    def program(out: list[Any]) -> None:
        listener = socket.create_server(('', 7))
        listener.settimeout(0.5)
        with pytest.raises(TimeoutError, match='^timed out$'):
            listener.accept()
        out.append(time.monotonic())
        sock = socket.create_connection(('localhost', 7))
        sock.settimeout(0.25)
        with pytest.raises(TimeoutError, match='^timed out$'):
            sock.recv(1)
        out.append(time.monotonic())
        with pytest.raises(TimeoutError, match='^timed out$'):
            sock.sendall(b'x' * 50_000_000)
        sock.setblocking(False)
        with pytest.raises(BlockingIOError) as caught:
            sock.recv(1)
        out.append(caught.value.errno == errno.EAGAIN)
        assert socket.getdefaulttimeout() is None

    assert run(program) == [0.5, 0.75, True]


def test_refused_unreachable_in_use() -> None:
    def program(out: list[Any]) -> None:
        for address in (('server', 9), ('198.18.0.77', 9), ('203.0.113.1', 9)):
            try:
                socket.create_connection(address)
            except OSError as exc:
                out.append((type(exc).__name__, errno.errorcode[exc.errno or 0], str(exc)))
        listener = socket.create_server(('', 7))
        try:
            socket.create_server(('', 7))
        except OSError as exc:
            out.append(errno.errorcode[exc.errno or 0])
        listener.close()
        socket.create_server(('', 7)).close()
        sock = socket.socket()
        for call in (lambda: sock.recv(1), lambda: sock.getpeername(), lambda: sock.bind(('192.0.2.1', 0))):
            try:
                call()
            except OSError as exc:
                out.append(errno.errorcode[exc.errno or 0])
        sock.close()
        with pytest.raises(OSError, match='Bad file descriptor'):
            sock.send(b'x')

    assert run(program) == [
        ('ConnectionRefusedError', 'ECONNREFUSED', '[Errno 111] Connection refused'),
        ('OSError', 'EHOSTUNREACH', '[Errno 113] No route to host'),
        ('OSError', 'ENETUNREACH', '[Errno 101] Network is unreachable'),
        'EADDRINUSE',
        'ENOTCONN',
        'ENOTCONN',
        'EADDRNOTAVAIL',
    ]


def test_a_peer_that_resets() -> None:
    out: list[Any] = []

    def serve() -> None:
        conn, _ = socket.create_server(('', 7)).accept()
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        conn.close()

    def talk() -> None:
        sock = socket.create_connection(('server', 7))
        try:
            sock.recv(1)
        except ConnectionResetError as exc:
            out.append(str(exc))
        try:
            sock.sendall(b'x')
        except BrokenPipeError as exc:
            out.append(str(exc))

    with Lab() as lab:
        client, server = lab.host('client'), lab.host('server')
        lab.link(client, server, **CLEAN)
        server.spawn(serve)
        client.spawn(talk)
        lab.run()
    assert out == ['[Errno 104] Connection reset by peer', '[Errno 32] Broken pipe']


def test_wrong_arguments_raise_as_in_cpython() -> None:
    def program(out: list[Any]) -> None:
        sock = socket.socket()
        with pytest.raises(TypeError, match='AF_INET address must be tuple, not str'):
            sock.connect('server')
        with pytest.raises(OverflowError, match='port must be 0-65535'):
            sock.bind(('', 65536))
        with pytest.raises(socket.gaierror):
            sock.connect(('nobody', 1))
        with pytest.raises(ValueError, match='negative buffersize'):
            sock.recv(-1)
        with pytest.raises(TypeError, match='bytes-like'):
            sock.send('text')  # type: ignore[arg-type]
        with pytest.raises(ValueError, match='Timeout value out of range'):
            sock.settimeout(-1)
        assert isinstance(sock, socket.socket)
        out.append('done')

    assert run(program) == ['done']


def test_socketpair_dup_makefile_detach() -> None:
    def program(out: list[Any]) -> None:
        a, b = socket.socketpair()
        a.sendall(b'over the pair\n')
        copy = b.dup()
        b.close()
        out.append(copy.makefile('rb').readline())
        left, right = socket.socketpair()
        stream = left.makefile('w')
        left.close()  # the file keeps it open
        print('still open', file=stream, flush=True)
        out.append(right.recv(100))
        stream.close()
        out.append(right.recv(100))
        again = socket.socket(fileno=right.detach())
        out.append((right.fileno(), again.type == socket.SOCK_STREAM))

    assert run(program) == [b'over the pair\n', b'still open\n', b'', (-1, True)]


def test_pipes() -> None:
    def program(out: list[Any]) -> None:
        reader, writer = os.pipe()
        poller = select.poll()
        poller.register(reader, select.POLLIN)
        poller.register(writer, select.POLLIN | select.POLLOUT)
        out.append(poller.poll(0) == [(writer, select.POLLOUT)])
        threading.Timer(2, os.write, (writer, b'hello')).start()
        out.append((os.read(reader, 100), time.monotonic() >= 2))
        os.set_blocking(reader, False)
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
        os.write(writer, b'the last')
        os.close(writer)
        out.append((os.read(reader, 100), os.read(reader, 100)))
        os.close(reader)
        reader, writer = os.pipe2(os.O_NONBLOCK)
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
        os.close(reader)
        with pytest.raises(BrokenPipeError):
            os.write(writer, b'x')

    out: list[Any] = []
    with Lab() as lab:
        lab.host('h').spawn(program, out)
        lab.run()
    assert out == [True, (b'hello', True), (b'the last', b'')]
