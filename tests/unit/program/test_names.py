# SPDX-License-Identifier: Apache-2.0
"""program/names.py: name service as a program sees it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from linnet import Lab


def inside(fn: Callable[[], Any]) -> Any:
    """fn() run on host `a`, which is linked to `b`."""
    out: list[Any] = []
    with Lab() as lab:
        a, b = lab.host('a'), lab.host('b')
        lab.link(a, b)
        a.spawn(lambda: out.append(fn()))
        lab.run()
    return out[0]


@pytest.mark.parametrize(
    ('call', 'answer'),
    [
        (lambda: socket.gethostbyname('b'), '198.18.0.2'),
        (lambda: socket.gethostbyname('B.'), '198.18.0.2'),
        (lambda: socket.gethostbyname('10.1.2.3'), '10.1.2.3'),
        (lambda: socket.gethostbyname('localhost'), '127.0.0.1'),
        (lambda: socket.gethostbyname_ex('b'), ('b', [], ['198.18.0.2'])),
        (lambda: socket.gethostbyaddr('198.18.0.2'), ('b', [], ['198.18.0.2'])),
        (lambda: socket.gethostname(), 'a'),
        (lambda: socket.getfqdn(), 'a'),
        (lambda: socket.getfqdn('198.18.0.2'), 'b'),
        (lambda: socket.getfqdn('10.1.2.3'), '10.1.2.3'),
        (lambda: socket.getnameinfo(('198.18.0.2', 80), 0), ('b', 'http')),
        (lambda: socket.getnameinfo(('10.1.2.3', 80), socket.NI_NUMERICSERV), ('10.1.2.3', '80')),
        (
            lambda: socket.getaddrinfo('b', 'http', type=socket.SOCK_STREAM),
            [(socket.AF_INET, socket.SOCK_STREAM, 6, '', ('198.18.0.2', 80))],
        ),
        (
            lambda: [info[1:3] for info in socket.getaddrinfo('b', 80)],
            [(socket.SOCK_STREAM, 6), (socket.SOCK_DGRAM, 17), (socket.SOCK_RAW, 0)],
        ),
        (lambda: socket.getaddrinfo(None, 7, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)[0][4], ('0.0.0.0', 7)),
        (lambda: [i[4] for i in socket.getaddrinfo(None, 7, type=socket.SOCK_STREAM)], [('::1', 7, 0, 0), ('127.0.0.1', 7)]),
        (lambda: socket.getaddrinfo(None, 7, socket.AF_INET6)[0][4], ('::1', 7, 0, 0)),
        (lambda: socket.getaddrinfo('localhost', 7, socket.AF_INET6)[0][4], ('::1', 7, 0, 0)),
        (
            lambda: socket.getaddrinfo('b', 7, socket.AF_INET6, socket.SOCK_STREAM, flags=socket.AI_V4MAPPED),
            [(socket.AF_INET6, socket.SOCK_STREAM, 6, '', ('::ffff:198.18.0.2', 7, 0, 0))],
        ),
        (lambda: socket.getaddrinfo('fe80::1%eth0', 7)[0][4], ('fe80::1', 7, 0, 2)),
        (lambda: socket.getnameinfo(('fe80::1', 80, 0, 2), socket.NI_NUMERICSERV), ('fe80::1%eth0', '80')),
        (lambda: socket.getnameinfo(('::1', 80), 0), ('localhost', 'http')),
        (lambda: socket.getaddrinfo('b', 7, flags=socket.AI_CANONNAME)[0][3], 'b'),
    ],
)
def test_answers(call: Callable[[], Any], answer: Any) -> None:
    assert inside(call) == answer


@pytest.mark.parametrize(
    ('call', 'number'),
    [
        (lambda: socket.getaddrinfo('nobody', 80), socket.EAI_NONAME),
        (lambda: socket.getaddrinfo('b', 'no-such-service'), socket.EAI_SERVICE),
        (lambda: socket.getaddrinfo('b', 80, flags=socket.AI_NUMERICHOST), socket.EAI_NONAME),
        (lambda: socket.getaddrinfo('b', 80, family=socket.AF_INET6), socket.EAI_NODATA),
        (lambda: socket.getaddrinfo('10.0.0.1', 80, family=socket.AF_INET6), socket.EAI_ADDRFAMILY),
        (lambda: socket.getaddrinfo('::1', 80, family=socket.AF_INET), socket.EAI_ADDRFAMILY),
        (lambda: socket.getaddrinfo('fe80::1%nowhere', 80), socket.EAI_NONAME),
        (lambda: socket.gethostbyname('nobody'), socket.EAI_NONAME),
        (lambda: socket.getnameinfo(('10.1.2.3', 80), socket.NI_NAMEREQD), socket.EAI_NONAME),
    ],
)
def test_errors(call: Callable[[], Any], number: int) -> None:
    def caught() -> int | None:
        with pytest.raises(socket.gaierror) as error:
            call()
        return error.value.errno

    assert inside(caught) == number


def test_a_host_with_both_is_tried_over_ipv6_first_where_there_is_a_way() -> None:
    found: dict[str, list[list[str]]] = {}

    def look() -> None:
        asked = [('server', 0), (None, 0), (None, socket.AI_PASSIVE), ('localhost', 0)]
        found[socket.gethostname()] = [
            [info[4][0] for info in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM, flags=flags)] for name, flags in asked]
    with Lab(ipv6=True) as lab:
        server, both, v4 = lab.host('server'), lab.host('both'), lab.host('v4')
        lab.link(server, both)
        lab.link(server, v4, subnet6='')
        both.spawn(look)
        v4.spawn(look)
        lab.run()
    assert found['both'] == [
        ['2001:2::1', '198.18.0.1', '198.18.1.1'], ['::1', '127.0.0.1'], ['0.0.0.0', '::'], ['127.0.0.1', '::1']]
    assert found['v4'] == [
        ['198.18.0.1', '198.18.1.1'], ['::1', '127.0.0.1'], ['0.0.0.0', '::'], ['127.0.0.1']]
