# SPDX-License-Identifier: Apache-2.0
"""Two listeners on one port, of either family: what may be bound beside what, and who gets a connection. The same is asked of the
kernel of this machine and of Linnet, over their loopbacks.
"""
from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import pytest

from helpers.hosts import Alone
from linnet.include.linux.socket import SO_REUSEADDR, SO_REUSEPORT, SOL_IPV6, SOL_SOCKET

IPV6_V6ONLY = 26
ADDRESSES = ('0.0.0.0', '127.0.0.1', ':: dual', ':: only', '::1', '::ffff:127.0.0.1', '::ffff:0.0.0.0')
CLIENTS = ('127.0.0.1', '::1', '::ffff:127.0.0.1')
OPTIONS = (0, SO_REUSEADDR, SO_REUSEPORT)


def attempt(call: Callable[[], object]) -> str:
    """'ok', or the name of the error."""
    try:
        call()
    except OSError as e:
        return errno.errorcode[e.errno or 0]
    return 'ok'


class Kernel:
    """Sockets of this machine."""

    def socket(self, host: str, option: int) -> socket.socket:
        sk = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_STREAM)
        if 'only' in host:
            sk.setsockopt(socket.IPPROTO_IPV6, IPV6_V6ONLY, 1)
        if option:
            sk.setsockopt(socket.SOL_SOCKET, option, 1)
        sk.setblocking(False)
        return sk

    def bind(self, sk: socket.socket, host: str, port: int) -> None:
        sk.bind((host.split()[0], port))

    def listen(self, sk: socket.socket) -> None:
        sk.listen(8)

    def port(self, sk: socket.socket) -> int:
        return int(sk.getsockname()[1])

    def only(self, sk: socket.socket) -> int:
        return sk.getsockopt(socket.IPPROTO_IPV6, IPV6_V6ONLY)

    def connect(self, host: str, port: int) -> socket.socket:
        return socket.create_connection((host, port))

    def accept(self, sk: socket.socket) -> str:
        new, peer = sk.accept()
        with new:
            return str(peer[0])

    def close(self, sk: socket.socket) -> None:
        sk.close()


class Linnet:
    """Those of a host of its own."""

    def __init__(self, host: Alone) -> None:
        self.host = host

    def socket(self, host: str, option: int) -> int:
        fd = self.host.socket(family=10 if ':' in host else 2)
        if 'only' in host:
            self.host.setopt(fd, SOL_IPV6, IPV6_V6ONLY, 1)
        if option:
            self.host.setopt(fd, SOL_SOCKET, option, 1)
        return self.host.nonblocking(fd)

    def bind(self, fd: int, host: str, port: int) -> None:
        self.host.bind(fd, host.split()[0], port)

    def listen(self, fd: int) -> None:
        self.host.listen(fd)

    def port(self, fd: int) -> int:
        return self.host.name(fd)[1]

    def only(self, fd: int) -> int:
        return self.host.getopt(fd, SOL_IPV6, IPV6_V6ONLY)

    def connect(self, host: str, port: int) -> int:
        return self.host.client(host, port)

    def accept(self, fd: int) -> str:
        new, peer, _ = self.host.accept(fd)
        self.host.close(new)
        return peer

    def close(self, fd: int) -> None:
        self.host.close(fd)


def side_by_side(api: Kernel | Linnet, one: str, two: str, option: int) -> list[str]:
    """Bind and listen at both addresses, then connect from each family: what is seen, in words."""
    seen = []
    both = api.socket(':: dual', 0)
    api.bind(both, ':: dual', 0)  # type: ignore[arg-type]
    port = api.port(both)  # type: ignore[arg-type]
    api.close(both)  # type: ignore[arg-type]  # nobody else has it in either family
    a, b = api.socket(one, option), api.socket(two, option)  # type: ignore[misc]
    api.bind(a, one, port)  # type: ignore[arg-type]
    listening = []
    for name, sk, host in (('one', a, one), ('two', b, two)):
        if name == 'two':
            bound = attempt(lambda: api.bind(b, two, port))  # type: ignore[arg-type]
            seen.append(f'two binds: {bound}')
            if bound != 'ok':
                break
        listens = attempt(lambda sk=sk: api.listen(sk))  # type: ignore[misc]
        seen.append(f'{name} listens: {listens}')
        if ':' in host:
            seen.append(f'{name} is for IPv6 alone: {api.only(sk)}')  # type: ignore[arg-type]
        if listens == 'ok':
            listening.append((name, sk))
    for client in CLIENTS:
        try:
            c = api.connect(client, port)
        except OSError as e:
            seen.append(f'{client}: {errno.errorcode[e.errno or 0]}')
            continue
        taken = []
        for name, sk in listening:
            try:
                taken.append(f'{name} from {api.accept(sk)}')  # type: ignore[arg-type]
            except BlockingIOError:
                continue
        seen.append(f'{client}: {taken}')
        api.close(c)  # type: ignore[arg-type]
    api.close(a)  # type: ignore[arg-type]
    api.close(b)  # type: ignore[arg-type]
    return seen


@pytest.mark.parametrize('option', OPTIONS, ids=['plain', 'reuseaddr', 'reuseport'])
@pytest.mark.parametrize('one', ADDRESSES)
def test_two_listeners(one: str, option: int) -> None:
    host = Alone()
    for two in ADDRESSES:
        kernel = side_by_side(Kernel(), one, two, option)
        [linnet] = host.run(lambda two=two: side_by_side(Linnet(host), one, two, option))  # type: ignore[misc]
        if option == SO_REUSEPORT and one == two:  # the hash chooses: not the same on both
            kernel, linnet = [[word.replace('two', 'one') for word in seen] for seen in (kernel, list(linnet))]  # type: ignore[call-overload]
        assert linnet == kernel, (one, two)
