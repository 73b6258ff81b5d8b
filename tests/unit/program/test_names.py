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
        (lambda: socket.getaddrinfo(None, 7)[0][4], ('127.0.0.1', 7)),
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
        (lambda: socket.getaddrinfo('b', 80, family=socket.AF_INET6), socket.EAI_ADDRFAMILY),
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
