# SPDX-License-Identifier: Apache-2.0
"""Hosts for tests: one or two network stacks in virtual time, and programs on them that make system calls.

A Prog is a process with the system calls as methods, addresses as 'dotted quad' and port. `run` lets programs run to their end.
"""
from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from linnet.drivers.net.veth import veth_newlink
from linnet.include.linux.in6 import in6_ntop, in6_pton
from linnet.include.linux.inet import in_aton, in_ntoa
from linnet.include.linux.sched import Process
from linnet.include.linux.socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM, Sockaddr, make_sockaddr_in6
from linnet.include.net.if_inet6 import IFA_F_NODAD
from linnet.include.net.net_namespace import Net, World
from linnet.kernel.clock import VirtualClock
from linnet.net import socket as sys
from linnet.net.boot import new_net, new_world
from linnet.net.core.dev import dev_open
from linnet.net.ipv4.devinet import inet_addr_add
from linnet.net.ipv6.addrconf import inet6_addr_add


def addr(host: str, port: int) -> Sockaddr:
    """An address as a system call takes it: IPv4's, or IPv6's with or without a zone, a number ('fe80::1%2')."""
    if ':' in host:
        text, _, zone = host.partition('%')
        return make_sockaddr_in6(in6_pton(text), port, 0, int(zone) if zone else 0)
    return Sockaddr(AF_INET, in_aton(host), port)


def addr_text(name: Sockaddr) -> str:
    """The address of a name that a system call gave."""
    if name.sa_family == AF_INET6:
        return in6_ntop(name.sin6_addr) + (f'%{int(name.sin6_scope_id)}' if name.sin6_scope_id else '')
    return in_ntoa(int(name.sin_addr))


def family_of(host: str) -> int:
    """The family of an address as text."""
    return AF_INET6 if ':' in host else AF_INET


class Prog:
    """A program on a host."""

    def __init__(self, net: Net, name: str = 'prog', privileged: bool = True) -> None:
        self.net = net
        self.process = Process(net, name, 1, privileged)

    def socket(self, type: int = SOCK_STREAM, protocol: int = 0, family: int = AF_INET) -> int:
        """socket(2)."""
        return sys.sys_socket(self.process, family, type, protocol)

    def udp(self, port: int = 0, host: str = '0.0.0.0') -> int:
        """A UDP socket bound to a port."""
        fd = self.socket(SOCK_DGRAM, family=family_of(host))
        self.bind(fd, host, port)
        return fd

    def server(self, port: int, host: str = '0.0.0.0', backlog: int = 8) -> int:
        """A TCP socket that listens."""
        fd = self.socket(family=family_of(host))
        self.bind(fd, host, port)
        self.listen(fd, backlog)
        return fd

    def client(self, host: str, port: int) -> int:
        """A TCP connection."""
        fd = self.socket(family=family_of(host))
        self.connect(fd, host, port)
        return fd

    def bind(self, fd: int, host: str, port: int) -> None:
        """bind(2)."""
        sys.sys_bind(self.process, fd, addr(host, port))

    def listen(self, fd: int, backlog: int = 8) -> None:
        """listen(2)."""
        sys.sys_listen(self.process, fd, backlog)

    def accept(self, fd: int, flags: int = 0) -> tuple[int, str, int]:
        """accept4(2): the descriptor, and the peer."""
        new, peer = sys.sys_accept4(self.process, fd, flags)
        return new, addr_text(peer), int(peer.sin_port)

    def connect(self, fd: int, host: str, port: int) -> None:
        """connect(2)."""
        sys.sys_connect(self.process, fd, addr(host, port))

    def send(self, fd: int, data: bytes, flags: int = 0) -> int:
        """send(2)."""
        return sys.sys_send(self.process, fd, data, flags)

    def sendall(self, fd: int, data: bytes) -> None:
        """send(2) until all is sent."""
        sent = 0
        while sent < len(data):
            sent += self.send(fd, data[sent:])

    def sendto(self, fd: int, data: bytes, host: str, port: int, flags: int = 0) -> int:
        """sendto(2)."""
        return sys.sys_sendto(self.process, fd, data, flags, addr(host, port))

    def recv(self, fd: int, size: int = 65536, flags: int = 0) -> bytes:
        """recv(2)."""
        return sys.sys_recv(self.process, fd, size, flags)

    def recvall(self, fd: int) -> bytes:
        """recv(2) until the end."""
        parts = []
        while True:
            data = self.recv(fd)
            if not data:
                return b''.join(parts)
            parts.append(data)

    def recvfrom(self, fd: int, size: int = 65536, flags: int = 0) -> tuple[bytes, str, int]:
        """recvfrom(2): the data, and who sent them."""
        data, peer = sys.sys_recvfrom(self.process, fd, size, flags)
        assert peer is not None
        return data, addr_text(peer), int(peer.sin_port)

    def shutdown(self, fd: int, how: int) -> None:
        """shutdown(2)."""
        sys.sys_shutdown(self.process, fd, how)

    def close(self, fd: int) -> None:
        """close(2)."""
        sys.sys_close(self.process, fd)

    def name(self, fd: int) -> tuple[str, int]:
        """getsockname(2)."""
        a = sys.sys_getsockname(self.process, fd)
        return addr_text(a), int(a.sin_port)

    def peer(self, fd: int) -> tuple[str, int]:
        """getpeername(2)."""
        a = sys.sys_getpeername(self.process, fd)
        return addr_text(a), int(a.sin_port)

    def setopt(self, fd: int, level: int, name: int, value: int | bytes) -> None:
        """setsockopt(2)."""
        data = value if isinstance(value, bytes) else (value & 0xFFFFFFFF).to_bytes(4, 'little')
        sys.sys_setsockopt(self.process, fd, level, name, data)

    def getopt(self, fd: int, level: int, name: int) -> int:
        """getsockopt(2) of an int."""
        return int.from_bytes(sys.sys_getsockopt(self.process, fd, level, name, 4), 'little', signed=True)

    def nonblocking(self, fd: int) -> int:
        """Set O_NONBLOCK; returns fd."""
        sys.sys_fcntl(self.process, fd, sys.F_SETFL, sys.sys_fcntl(self.process, fd, sys.F_GETFL) | sys.O_NONBLOCK)
        return fd

    def poll(self, fd: int, events: int, timeout: int | None = 0) -> int:
        """poll(2) of one descriptor: its events."""
        ready = sys.sys_poll(self.process, [(fd, events)], timeout)
        return ready[0][1] if ready else 0


def run(world: World, *programs: Callable[[], object], until: int | None = None) -> list[object]:
    """Run functions as tasks until all have ended (and the network is at rest, unless `until` ns come first); their results."""
    tasks = [world.sched.spawn(fn, getattr(fn, '__name__', f'task{i}')) for i, fn in enumerate(programs)]
    world.sched.run(until, deadlock_error=True)
    return [task.result for task in tasks]


class Pair:
    """Two hosts, 10.0.0.1 and 10.0.0.2, joined by a veth pair; with v6 also fd00::1 and fd00::2."""

    def __init__(self, seed: int = 1, v6: bool = False) -> None:
        self.world = new_world(VirtualClock(), seed)
        self.net_a = new_net(self.world, 'a')
        self.net_b = new_net(self.world, 'b')
        self.dev_a, self.dev_b = veth_newlink(self.net_a, 'eth0', self.net_b, 'eth0')
        dev_open(self.dev_a)
        dev_open(self.dev_b)
        assert inet_addr_add(self.dev_a, in_aton('10.0.0.1'), 24) == 0
        assert inet_addr_add(self.dev_b, in_aton('10.0.0.2'), 24) == 0
        if v6:
            for dev, text in ((self.dev_a, 'fd00::1'), (self.dev_b, 'fd00::2')):
                assert dev.net.sysctl.set('net.ipv6.conf.eth0.disable_ipv6', '0') == 0
                assert inet6_addr_add(dev, in6_pton(text), 64, IFA_F_NODAD) == 0
            self.world.sched.run(3_000_000_000)  # the link-local addresses have been looked for twice
        self.a = Prog(self.net_a, 'client')
        self.b = Prog(self.net_b, 'server')

    def run(self, *programs: Callable[[], object], until: int | None = None) -> list[object]:
        """See run()."""
        return run(self.world, *programs, until=until)

    def connected(self, port: int = 80, to: str = '10.0.0.2') -> tuple[int, int]:
        """A TCP connection from a to b: its two descriptors."""
        listener = self.b.server(port, '::' if ':' in to else '0.0.0.0')

        def connect() -> int:
            return self.a.client(to, port)

        def accept() -> int:
            return self.b.accept(listener)[0]

        fd_a, fd_b = self.run(connect, accept, until=int(self.world.clock.now) + 1_000_000_000)
        self.b.close(listener)
        assert isinstance(fd_a, int)
        assert isinstance(fd_b, int)
        return fd_a, fd_b

    def leftovers(self) -> dict[str, int]:
        """Live objects by slab cache, after the network has come to rest."""
        self.world.sched.run()
        return self.world.slab.active()


class Alone(Prog):
    """One program on one host."""

    def __init__(self, privileged: bool = True) -> None:
        self.world = new_world(VirtualClock(), 1)
        super().__init__(new_net(self.world, 'alone'), 'alone', privileged)

    def run(self, *programs: Callable[[], object], until: int | None = None) -> list[object]:
        """See run()."""
        return run(self.world, *programs, until=until)


@contextmanager
def fails(name: str) -> Iterator[None]:
    """The block raises OSError with the errno of that name."""
    with pytest.raises(OSError) as caught:
        yield
    assert caught.value.errno == getattr(errno, name), f'{caught.value} is not {name}'
