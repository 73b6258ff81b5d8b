# SPDX-License-Identifier: Apache-2.0
"""hosts.py for IPv6: programs whose system calls take IPv6 addresses, and two hosts that have some.

Addresses are ('2001:db8::1', port) with the zone's interface index where one is needed: ('fe80::1', port, 2).
"""
from __future__ import annotations

from helpers.hosts import Alone, Pair, Prog
from linnet.include.linux.in6 import in6_bytes, in6_ntop, in6_pton
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.socket import AF_INET6, SOCK_DGRAM, SOCK_STREAM, Cmsg, Msghdr, Sockaddr, make_sockaddr_in6
from linnet.include.net.if_inet6 import IFA_F_NODAD
from linnet.net import socket as sys
from linnet.net.ipv6.addrconf import inet6_addr_add

A, B = '2001:db8::1', '2001:db8::2'
LL_A, LL_B = 'fe80::a', 'fe80::b'
LOOPBACK, ANY, MAPPED = '::1', '::', '::ffff:127.0.0.1'
Name = tuple[str, int] | tuple[str, int, int]


def sockaddr(name: Name) -> Sockaddr:
    """An IPv6 address as a system call takes it."""
    zone = name[2] if len(name) > 2 else 0
    return make_sockaddr_in6(in6_pton(name[0]), name[1], 0, zone)


def named(addr: Sockaddr | None) -> Name:
    """The address that a system call gave."""
    assert addr is not None
    assert addr.sa_family == AF_INET6
    text = in6_ntop(addr.sin6_addr)
    if addr.sin6_scope_id:
        return text, int(addr.sin_port), int(addr.sin6_scope_id)
    return text, int(addr.sin_port)


def pktinfo(addr: str, ifindex: int = 0) -> bytes:
    """struct in6_pktinfo."""
    return in6_bytes(in6_pton(addr)) + ifindex.to_bytes(4, 'little')


class Prog6:
    """A program's system calls with IPv6 addresses; the descriptors are the same as those of its Prog."""

    def __init__(self, prog: Prog) -> None:
        self.prog = prog
        self.process = prog.process
        self.net = prog.net

    def socket(self, type: int = SOCK_STREAM, protocol: int = 0) -> int:
        """socket(2) of AF_INET6; it does not wait."""
        return self.prog.nonblocking(self.prog.socket(type, protocol, AF_INET6))

    def udp(self, port: int = 0, host: str = ANY, zone: int = 0) -> int:
        """A UDP socket bound to a port."""
        fd = self.socket(SOCK_DGRAM)
        self.bind(fd, (host, port, zone))
        return fd

    def bind(self, fd: int, name: Name) -> None:
        """bind(2)."""
        sys.sys_bind(self.process, fd, sockaddr(name))

    def connect(self, fd: int, name: Name) -> None:
        """connect(2)."""
        sys.sys_connect(self.process, fd, sockaddr(name))

    def disconnect(self, fd: int) -> None:
        """connect(2) to AF_UNSPEC."""
        sys.sys_connect(self.process, fd, Sockaddr(0))

    def sendto(self, fd: int, data: bytes, name: Name, flags: int = 0) -> int:
        """sendto(2)."""
        return sys.sys_sendto(self.process, fd, data, flags, sockaddr(name))

    def sendmsg(self, fd: int, data: bytes, control: list[Cmsg], name: Name) -> int:
        """sendmsg(2)."""
        msg = Msghdr(data)
        msg.msg_control = control
        msg.msg_name = sockaddr(name)
        return sys.sys_sendmsg(self.process, fd, msg)

    def recvfrom(self, fd: int, size: int = 70000, flags: int = 0) -> tuple[bytes, Name]:
        """recvfrom(2)."""
        data, peer = sys.sys_recvfrom(self.process, fd, size, flags)
        return data, named(peer)

    def recvmsg(self, fd: int, size: int = 70000, flags: int = 0) -> tuple[bytes, dict[int, bytes], Name]:
        """recvmsg(2): the data, the control messages by type, the sender."""
        msg = Msghdr()
        sys.sys_recvmsg(self.process, fd, msg, size, flags)
        return b''.join(msg.chunks), {c.cmsg_type: c.data for c in msg.msg_control}, named(msg.msg_name)

    def name(self, fd: int) -> Name:
        """getsockname(2)."""
        return named(sys.sys_getsockname(self.process, fd))

    def peer(self, fd: int) -> Name:
        """getpeername(2)."""
        return named(sys.sys_getpeername(self.process, fd))


def give_address(dev: NetDevice, addr: str, plen: int = 64) -> None:
    """An address that is used at once, without duplicate address detection."""
    assert inet6_addr_add(dev, in6_pton(addr), plen, IFA_F_NODAD) == 0


class Pair6(Pair):
    """Two hosts with IPv4 as Pair has it, 2001:db8::1 and ::2, and fe80::a and ::b on their eth0."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed)
        for dev, addrs in ((self.dev_a, (A, LL_A)), (self.dev_b, (B, LL_B))):
            assert dev.net.sysctl.set(f'net.ipv6.conf.{dev.name}.disable_ipv6', '0') == 0
            for addr in addrs:
                give_address(dev, addr)
        self.settle(10_000_000_000)  # duplicate address detection of what the devices gave themselves, group reports
        self.a6 = Prog6(self.a)
        self.b6 = Prog6(self.b)
        self.zone_a = int(self.dev_a.ifindex)
        self.zone_b = int(self.dev_b.ifindex)

    def settle(self, ns: int = 0) -> None:
        """Let the packets that are on their way arrive, and ns go by."""
        self.world.sched.run(int(self.world.clock.now) + ns)


def alone6() -> Prog6:
    """A host with nothing but its loopback, and a program on it."""
    return Prog6(Alone())
