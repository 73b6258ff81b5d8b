# SPDX-License-Identifier: Apache-2.0
"""A host with one IPv6 address whose only device leads to the test: what the stack sends is kept, what the test injects comes in.

The device has no link header and no neighbours. A Socket6 has the methods of Python's own sockets, on the host's system calls.
"""
from __future__ import annotations

from helpers.hosts import Prog
from helpers.hosts6 import give_address, sockaddr
from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.in6 import in6_ntop
from linnet.include.linux.netdevice import (
    IFF_MULTICAST,
    IFF_NOARP,
    IFF_POINTOPOINT,
    NETDEV_TX_OK,
    NETIF_F_SG,
    NetDevice,
    NetDeviceOps,
)
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import AF_INET6, Cmsg, Msghdr, Sockaddr
from linnet.kernel.clock import VirtualClock
from linnet.net import socket as sys
from linnet.net.boot import new_net, new_world
from linnet.net.core.dev import dev_open, netif_rx, register_netdevice
from linnet.net.core.skbuff import consume_skb, skb_bytes, skb_from_bytes

Name4 = tuple[str, int, int, int]


def name_of(addr: Sockaddr | None) -> Name4:
    """An address as Python's sockets show it."""
    assert addr is not None
    return in6_ntop(addr.sin6_addr), int(addr.sin_port), int(addr.sin6_flowinfo), int(addr.sin6_scope_id)


class KeepingDevice(NetDeviceOps):
    """Keeps the bytes that are sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def ndo_start_xmit(self, skb: SkBuff, dev: NetDevice) -> int:
        """See NetDeviceOps."""
        self.sent.append(skb_bytes(skb))
        consume_skb(skb)
        return NETDEV_TX_OK


class Socket6:
    """A socket of AF_INET6 that does not wait."""

    def __init__(self, prog: Prog, type: int, protocol: int) -> None:
        self.prog = prog
        self.process = prog.process
        self.fd = prog.nonblocking(prog.socket(type, protocol, AF_INET6))

    def bind(self, name: tuple[str, int]) -> None:
        """bind(2)."""
        sys.sys_bind(self.process, self.fd, sockaddr(name))

    def connect(self, name: tuple[str, int]) -> None:
        """connect(2)."""
        sys.sys_connect(self.process, self.fd, sockaddr(name))

    def disconnect(self) -> None:
        """connect(2) to AF_UNSPEC."""
        sys.sys_connect(self.process, self.fd, Sockaddr(0))

    def getsockname(self) -> Name4:
        """getsockname(2)."""
        return name_of(sys.sys_getsockname(self.process, self.fd))

    def getpeername(self) -> Name4:
        """getpeername(2)."""
        return name_of(sys.sys_getpeername(self.process, self.fd))

    def sendto(self, data: bytes, flags: int, name: tuple[str, int]) -> int:
        """sendto(2)."""
        return sys.sys_sendto(self.process, self.fd, data, flags, sockaddr(name))

    def sendmsg(self, data: list[bytes], control: list[tuple[int, int, bytes]], flags: int, name: tuple[str, int]) -> int:
        """sendmsg(2)."""
        msg = Msghdr(b''.join(data))
        msg.msg_control = [Cmsg(*each) for each in control]
        msg.msg_name = sockaddr(name)
        return sys.sys_sendmsg(self.process, self.fd, msg, flags)

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Name4]:
        """recvfrom(2)."""
        data, peer = sys.sys_recvfrom(self.process, self.fd, size, flags)
        return data, name_of(peer)

    def recvmsg(self, size: int, ancsize: int = 0, flags: int = 0) -> tuple[bytes, list[tuple[int, int, bytes]], int, Name4]:
        """recvmsg(2)."""
        msg = Msghdr()
        sys.sys_recvmsg(self.process, self.fd, msg, size, flags)
        control = [(cmsg.cmsg_level, cmsg.cmsg_type, cmsg.data) for cmsg in msg.msg_control]
        return b''.join(msg.chunks), control, msg.msg_flags, name_of(msg.msg_name)

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """setsockopt(2)."""
        self.prog.setopt(self.fd, level, option, value)

    def getsockopt(self, level: int, option: int) -> int:
        """getsockopt(2) of an int."""
        return self.prog.getopt(self.fd, level, option)

    def poll(self) -> int:
        """The events that hold."""
        return self.prog.poll(self.fd, 0x3FF7)

    def close(self) -> None:
        """close(2)."""
        self.prog.close(self.fd)


class Wire6:
    """A host with `addr`, and beyond its device the test."""

    def __init__(self, addr: str, mtu: int = 1500) -> None:
        self.world = new_world(VirtualClock(), 1)
        self.net = new_net(self.world, 'host')
        self.ops = KeepingDevice()
        self.dev = NetDevice(self.net, 'duel0', self.ops)
        self.dev.type = 65534
        self.dev.mtu = mtu
        self.dev.flags = IFF_NOARP | IFF_POINTOPOINT | IFF_MULTICAST
        self.dev.features = NETIF_F_SG
        assert register_netdevice(self.dev) == 0
        assert self.net.sysctl.set('net.ipv6.conf.duel0.disable_ipv6', '0') == 0
        assert self.net.sysctl.set('net.ipv6.conf.duel0.addr_gen_mode', '1') == 0
        dev_open(self.dev)
        give_address(self.dev, addr)
        self.prog = Prog(self.net)

    def socket(self, type: int, protocol: int = 0) -> Socket6:
        """A socket of a program on the host."""
        return Socket6(self.prog, type, protocol)

    def inject(self, packet: bytes) -> None:
        """A packet comes in."""
        skb = skb_from_bytes(self.world, packet, len(packet))
        skb.protocol = ETH_P_IPV6
        skb.dev = self.dev
        skb.network_header = 0
        netif_rx(skb)
        self.world.sched.run(int(self.world.clock.now))

    def take(self, ns: int = 0) -> list[bytes]:
        """What left until now, and in the next ns."""
        self.world.sched.run(int(self.world.clock.now) + ns)
        sent = self.ops.sent
        self.ops.sent = []
        return sent
