# SPDX-License-Identifier: Apache-2.0
"""IP_LOCAL_PORT_RANGE: what a socket without a port may choose from. The expectations were seen on Linux 6.18."""
from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable

import pytest

from linnet import Lab

IP_LOCAL_PORT_RANGE = 51


def ranged(kind: int, low: int, high: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack('HH', low, high))
    return sock


def inside(program: Callable[[], None]) -> None:
    with Lab(seed=1) as lab:
        lab.host('h').spawn(program)
        lab.run()


def connected(low: int, high: int, count: int) -> list[int]:
    """The ports of `count` connections; the errno of one that found none."""
    listener = socket.create_server(('127.0.0.1', 80), backlog=100)
    ports = []
    for _ in range(count):
        sock = ranged(socket.SOCK_STREAM, low, high)
        try:
            sock.connect(listener.getsockname())
            ports.append(sock.getsockname()[1])
        except OSError as exc:
            ports.append(exc.errno or 0)
    return ports


@pytest.mark.parametrize('kind', [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_bind(kind: int) -> None:
    def program() -> None:
        socks = [ranged(kind, 40000, 40001) for _ in range(3)]
        for sock in socks[:2]:
            sock.bind(('127.0.0.1', 0))
        assert {sock.getsockname()[1] for sock in socks[:2]} == {40000, 40001}
        with pytest.raises(OSError) as info:
            socks[2].bind(('127.0.0.1', 0))
        assert info.value.errno == errno.EADDRINUSE
        other = socket.socket(socket.AF_INET, kind)
        other.bind(('127.0.0.1', 0))
        assert other.getsockname()[1] not in (40000, 40001)

    inside(program)


@pytest.mark.parametrize(('low', 'high', 'ports'), [
    (41000, 41000, [41000]),
    (100, 32770, [32768, 32769, 32770]),  # a bound outside of ip_local_port_range says nothing
    (60998, 65000, [60998, 60999]),
    (0, 32769, [32768, 32769]),
    (60999, 0, [60999]),
])
def test_connect(low: int, high: int, ports: list[int]) -> None:
    def program() -> None:
        got = connected(low, high, len(ports) + 1)
        assert sorted(got[:-1]) == ports
        assert got[-1] == errno.EADDRNOTAVAIL

    inside(program)


def test_a_range_that_is_none() -> None:
    def program() -> None:
        with pytest.raises(OSError) as info:
            ranged(socket.SOCK_STREAM, 5, 4)
        assert info.value.errno == errno.EINVAL

    inside(program)
