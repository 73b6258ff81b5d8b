# SPDX-License-Identifier: Apache-2.0
"""socketpair(): streams, datagrams, waiting, the end."""
from __future__ import annotations

import pytest

from helpers.hosts import Alone, fails
from linnet.include.linux.socket import (
    AF_INET,
    AF_UNIX,
    MSG_DONTWAIT,
    MSG_PEEK,
    SHUT_WR,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_SEQPACKET,
    SOCK_STREAM,
)
from linnet.kernel.poll import POLLHUP, POLLIN, POLLOUT
from linnet.net import socket as sys


def pair(host: Alone, type: int = SOCK_STREAM) -> tuple[int, int]:
    return sys.sys_socketpair(host.process, AF_UNIX, type, 0)


def test_refused() -> None:
    host = Alone()
    with fails('EOPNOTSUPP'):
        sys.sys_socketpair(host.process, AF_INET, SOCK_STREAM, 0)
    with fails('ESOCKTNOSUPPORT'):
        sys.sys_socketpair(host.process, AF_UNIX, 3, 0)
    with fails('EPROTONOSUPPORT'):
        sys.sys_socketpair(host.process, AF_UNIX, SOCK_STREAM, 6)
    assert host.world.slab.active() == {}


def test_stream_has_no_borders() -> None:
    host = Alone()
    a, b = pair(host)
    host.send(a, b'one')
    host.send(a, b'two')
    assert host.recv(b, 4, MSG_PEEK) == b'onet'
    assert host.recv(b, 4) == b'onet'
    assert host.recv(b, 100) == b'wo'
    with fails('EAGAIN'):
        host.recv(b, 1, MSG_DONTWAIT)


@pytest.mark.parametrize('type', [SOCK_DGRAM, SOCK_SEQPACKET])
def test_messages_keep_their_borders(type: int) -> None:
    host = Alone()
    a, b = pair(host, type)
    host.send(a, b'one')
    host.send(a, b'two')
    assert host.recv(b, 2) == b'on'
    assert host.recv(b, 100) == b'two'


def test_end_and_broken_pipe() -> None:
    host = Alone()
    a, b = pair(host)
    host.send(a, b'last')
    assert host.poll(b, POLLIN | POLLOUT) == POLLIN | POLLOUT
    host.close(a)
    assert host.poll(b, POLLIN) == POLLIN | POLLHUP
    assert host.recv(b) == b'last'
    assert host.recv(b) == b''
    with fails('EPIPE'):
        host.send(b, b'x')
    host.close(b)
    assert host.world.slab.active() == {}


def test_half_close() -> None:
    host = Alone()
    a, b = pair(host)
    host.shutdown(a, SHUT_WR)
    assert host.recv(b) == b''
    assert host.send(b, b'still') == 5
    assert host.recv(a) == b'still'
    with fails('EPIPE'):
        host.send(a, b'x')


def test_reader_and_writer_wait_for_each_other() -> None:
    host = Alone()
    a, b = pair(host)
    data = bytes(range(256)) * 4000

    def writer() -> None:
        host.sendall(a, data)
        host.close(a)

    assert host.run(writer, lambda: host.recvall(b))[1] == data


def test_full_without_waiting() -> None:
    host = Alone()
    a, b = pair(host, SOCK_STREAM | SOCK_NONBLOCK)
    total = 0
    with fails('EAGAIN'):
        while True:
            total += host.send(a, bytes(10000))
    assert total > 100_000
    assert host.poll(a, POLLOUT) == 0
    while total:
        total -= len(host.recv(b, 50000))
    assert host.poll(a, POLLOUT) == POLLOUT
