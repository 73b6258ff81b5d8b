# SPDX-License-Identifier: Apache-2.0
"""One host attached to the real world through a TUN or TAP device, in real time.

    with Attached(tun='linnet0', addr='10.77.0.2/24') as host:
        host.spawn(['-m', 'http.server', '8000'])
        host.run()

The kernel's side of a device that this makes gets the subnet's other address and is brought up, so that `curl
http://10.77.0.2:8000/` works at once; a device that was there before is left as it is. addr may be a list, of both
families: `addr=['10.77.0.2/24', 'fd77::2/64']`.
"""
from __future__ import annotations

import ctypes
import fcntl
import os
import random
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from linnet import units
from linnet.drivers.net.pcap import PcapTap
from linnet.drivers.net.tun import tun_open
from linnet.include.linux.in6 import in6_bytes, in6_ntop, in6_prefix_mask, in6_pton
from linnet.include.linux.inet import in_aton, in_ntoa, inet_make_mask
from linnet.include.linux.ipv6 import IPV6_MIN_MTU
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.notifier import NETDEV_CHANGE, NotifierBlock
from linnet.include.linux.socket import AF_INET, AF_INET6
from linnet.include.net.if_inet6 import IFA_F_NODAD
from linnet.include.net.ip6_fib import Fib6Config
from linnet.include.net.ip_fib import RT_SCOPE_LINK, FibConfig
from linnet.kernel.clock import RealClock
from linnet.lab import STATIC6, python_command
from linnet.net.boot import new_net, new_world
from linnet.net.core.dev import dev_open, dev_set_mtu
from linnet.net.ipv4.devinet import inet_addr_add
from linnet.net.ipv4.fib_frontend import fib_add_route
from linnet.net.ipv6.addrconf import inet6_addr_add
from linnet.net.ipv6.route import ip6_route_add
from linnet.program import patches
from linnet.program.console import Console
from linnet.program.descriptors import MachineFiles
from linnet.program.dns import server_at
from linnet.program.realtime import Residence
from linnet.program.runtime import Program, Runtime

SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFMTU = 0x8913, 0x8914, 0x8922
RTM_NEWADDR, NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE = 20, 0x1, 0x4, 0x400
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST = 1, 2, 4
IFF_UP, IFF_RUNNING = 0x1, 0x40
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def kernel_address(cidr: str) -> str:
    """The address that the kernel's side gets by default: the subnet's first, or its second where we have the first."""
    if ':' in cidr:
        addr6, bits = units.prefix6(cidr)
        base6 = addr6 & in6_prefix_mask(bits)
        return in6_ntop(base6 + 1 if addr6 != base6 + 1 else base6 + 2)
    addr, bits = units.prefix(cidr)
    base = addr & int(inet_make_mask(bits))
    return in_ntoa(base + 1 if addr != base + 1 else base + 2)


def configure_kernel_side(name: str, addresses: list[tuple[str, int]], mtu: int) -> None:
    """Give the kernel's interface its addresses (with their prefix lengths) and bring it up, as `ip addr add` and
    `ip link set up` do. Nobody looks whether those of IPv6 are free: Linnet's side is not there yet.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        def request(code: int, payload: bytes) -> bytes:
            return fcntl.ioctl(sock, code, struct.pack('16s24s', name.encode(), payload))

        try:
            request(SIOCSIFMTU, struct.pack('i', mtu))
        except OSError as exc:
            raise OSError(exc.errno, f"the kernel's side of {name} cannot have an MTU of {mtu}") from None
        for addr, bits in addresses:
            add_kernel_address(name, addr, bits)
        flags = struct.unpack_from('H', request(SIOCGIFFLAGS, b''), 16)[0]
        request(SIOCSIFFLAGS, struct.pack('H', flags | IFF_UP | IFF_RUNNING))


def add_kernel_address(name: str, addr: str, bits: int) -> None:
    """`ip addr add ADDR/BITS dev NAME nodad`, by rtnetlink: SIOCSIFADDR has room for one address of IPv4 alone."""
    family = socket.AF_INET6 if ':' in addr else socket.AF_INET
    number = in6_bytes(in6_pton(addr)) if family == socket.AF_INET6 else in_aton(addr).to_bytes(4, 'big')
    flags = IFA_F_NODAD if family == socket.AF_INET6 else 0
    body = struct.pack('=BBBBi', family, bits, flags, 0, socket.if_nametoindex(name))
    for kind in (IFA_LOCAL, IFA_ADDRESS):
        body += struct.pack('=HH', 4 + len(number), kind) + number
    if family == socket.AF_INET and bits < 31:
        last = in_aton(addr) | ~int(inet_make_mask(bits)) & 0xFFFFFFFF
        body += struct.pack('=HH', 8, IFA_BROADCAST) + last.to_bytes(4, 'big')
    head = struct.pack('=IHHII', 16 + len(body), RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.sendto(head + body, (0, 0))
        error = struct.unpack_from('=i', sock.recv(4096), 16)[0]
    if error:
        raise OSError(-error, f"the kernel's side of {name} cannot have the address {addr}/{bits}")


def keep_memory() -> None:
    """Let glibc's malloc keep what is freed. A super-segment's 64 KB are allocated and freed at the heap's end, packet after
    packet; by default they go back to the kernel each time, and its page faults take half of a bulk transfer's time.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, 'mallopt'):  # other C libraries have none
        libc.mallopt(M_MMAP_THRESHOLD, 4 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 64 << 20)
        libc.mallopt(M_TOP_PAD, 4 << 20)


class CarrierWatch(NotifierBlock):
    """Tells when the device loses its carrier: the kernel's interface was deleted."""

    def __init__(self, dev: NetDevice, gone: Callable[[], None]) -> None:
        self.dev = dev
        self.gone = gone

    def notifier_call(self, event: int, dev: NetDevice, addr: int = 0, prefixlen: int = 0) -> None:
        """NETDEV_CHANGE tells of the carrier."""
        if event == NETDEV_CHANGE and dev is self.dev and not dev.carrier:
            self.gone()


def kernel_sides(own: list[str], given: str | Sequence[str] | None) -> dict[bool, tuple[str, int]]:
    """IPv6? -> (address, prefix length) of the kernel's side, in the subnet of our first address of that family."""
    peers: dict[bool, tuple[str, int]] = {}
    if given == '':
        return peers
    for cidr in own:
        six = ':' in cidr
        chosen = [text for text in texts(given) if (':' in text) == six]
        peers.setdefault(six, (chosen[0] if chosen else kernel_address(cidr), (units.prefix6 if six else units.prefix)(cidr)[1]))
    return peers


def texts(given: str | Sequence[str] | None) -> list[str]:
    """One, several, or none."""
    return [given] if isinstance(given, str) else list(given or [])


class Attached:
    """A host on a TUN (or TAP) device. addr: its own address with the prefix length, or several, of both families; gateway:
    where its default route goes, one of each family at most (default: the kernel's side); kernel_addr: the kernel's side's
    address, of each family at most one (default: the subnet's first), '' to leave that side alone. nameserver: whom its
    programs ask for names (default: nobody, they know their own host's name and no other).

    PermissionError says which command grants the rights where they are missing.
    """

    def __init__(self, *, tun: str | None = None, tap: str | None = None, addr: str | Sequence[str] = '10.77.0.2/24',
                 gateway: str | Sequence[str] | None = None, kernel_addr: str | Sequence[str] | None = None, mtu: int = 1500,
                 offload: bool = True, seed: int | None = None, hostname: str = 'linnet',
                 nameserver: str | Sequence[str] | None = None) -> None:
        if (tun is None) == (tap is None):
            raise ValueError('give either tun=NAME or tap=NAME')
        name = tun if tun is not None else tap
        assert name is not None
        own = [(':' in cidr, *(units.prefix6 if ':' in cidr else units.prefix)(cidr)) for cidr in texts(addr)]
        if mtu < IPV6_MIN_MTU and any(six for six, _, _ in own):
            raise ValueError(f'IPv6 needs an MTU of {IPV6_MIN_MTU} bytes at least, which {mtu} is not')
        peers = kernel_sides(texts(addr), kernel_addr)
        servers = [server_at(text) for text in texts(nameserver)]
        existed = name in [name for _, name in socket.if_nameindex()]  # of this network namespace, which /sys may not be of
        keep_memory()
        self.world = new_world(RealClock(), random.SystemRandom().getrandbits(64) if seed is None else seed)
        self.runtime = Runtime(self.world)
        self.net = new_net(self.world, hostname)
        self.dev = tun_open(self.net, name, tap is not None, offload)
        self.taps: list[PcapTap] = []
        self.foreign: MachineFiles | None = None
        self.residence: Residence | None = None
        try:
            if not existed and peers:
                configure_kernel_side(name, list(peers.values()), mtu)
            self._configure(own, mtu)
            for six in dict.fromkeys(six for six, _, _ in own):
                given = [text for text in texts(gateway) if (':' in text) == six]
                self._default_route(six, given[0] if given else peers[six][0] if six in peers else '')
        except OSError:
            self.close()
            raise
        for six, number, _ in own:
            self.runtime.names.add(hostname, number, AF_INET6 if six else AF_INET)
        self.runtime.names.servers = servers
        self.runtime.foreign = self.foreign = MachineFiles(self.world.sched)

    def _configure(self, own: list[tuple[bool, int, int]], mtu: int) -> None:
        """Our side: MTU, up, addresses. Those of IPv6 are given, so that no router is asked for one."""
        error = dev_set_mtu(self.dev, mtu)
        if error:
            raise OSError(-error, f'{self.dev.name} cannot have an MTU of {mtu}')
        error = dev_open(self.dev)
        if error:
            raise OSError(-error, f'{self.dev.name} does not come up')
        if any(six for six, _, _ in own):
            for setting, value in STATIC6.items():
                self.net.sysctl.set(f'net.ipv6.conf.{self.dev.name}.{setting}', value)
        # of two of IPv6 that are as good, the one that was added last is the source; here the first one shall be
        for six, addr, bits in [*(each for each in own if not each[0]), *(each for each in reversed(own) if each[0])]:
            error = inet6_addr_add(self.dev, addr, bits, IFA_F_NODAD) if six else inet_addr_add(self.dev, addr, bits)
            if error:
                text = in6_ntop(addr) if six else in_ntoa(addr)
                raise OSError(-error, f'{self.dev.name} cannot have the address {text}/{bits}')
        self.net.netdev_chain.append(CarrierWatch(self.dev, self._gone))

    def _default_route(self, six: bool, gateway: str) -> None:
        """Of one family; without a gateway all the world is on the link."""
        if six:
            cfg6 = Fib6Config()
            cfg6.fc_gateway = in6_pton(gateway) if gateway else 0
            cfg6.fc_ifindex = self.dev.ifindex
            error = ip6_route_add(self.net, cfg6)
        else:
            cfg = FibConfig()
            if gateway:
                cfg.fc_gw = in_aton(gateway)
            else:
                cfg.fc_scope, cfg.fc_oif = RT_SCOPE_LINK, self.dev.ifindex
            error = fib_add_route(self.net, cfg)
        if error:
            raise OSError(-error, f'no default route through {gateway}: it is not in the subnet of our address')

    def __enter__(self) -> Attached:
        """Within the with block linnet.socket is this host's, too: the stack runs during each call (and during run())."""
        patches.install()
        self.console = Console(self.runtime, self.net, self._run_until).__enter__()
        return self

    def _run_until(self, ended: Callable[[], bool]) -> None:
        while not ended() and self.dev.carrier:
            self.run()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.console.__exit__()
        finally:
            self.close()

    def spawn(self, target: list[str], *, daemon: bool = False) -> Program:
        """Start what would follow `python` on a command line. Its threads are tasks, as in a lab; `linnet exec` gives a program
        the interpreter's own (see reside).
        """
        patches.install()
        fn, argv = python_command(target)
        return self.runtime.spawn(self.net, fn, name=Path(argv[0]).name, argv=argv, daemon=daemon, check=False)

    def reside(self) -> Residence:
        """Make this whole process a program on the host, until close(): after start() of what is returned, the sockets of every
        thread are the host's. For a process of its own (`linnet exec`): there is no way back.
        """
        patches.install_sockets()
        program = Program(self.runtime, self.net, 'python', sys.argv, 1)
        self.residence = Residence(self.runtime, program, self._leave_to_parent)
        return self.residence

    def _gone(self) -> None:
        if self.residence is not None:
            self.residence.lose()
        else:
            self.world.sched.stop()

    def _leave_to_parent(self) -> None:
        with suppress(OSError):
            os.close(self.dev.netdev_ops.fd)  # type: ignore[attr-defined]  # it goes when the parent's goes

    def pcap(self, path: str | Path) -> PcapTap:
        """Capture what passes the device."""
        tap = PcapTap(str(path), [self.dev])
        self.taps.append(tap)
        return tap

    def run(self) -> bool:
        """Serve until every program has ended. False if they have not: the kernel's interface was deleted, or stop() called."""
        patches.sweep()
        try:
            return self.world.sched.run_until_done()
        finally:
            self.runtime.restore()

    def close(self) -> None:
        """End the programs, which may still say goodbye to their peers, and let go of the device."""
        if self.residence is not None:
            if self.residence.forked:
                return
            self.residence.close()
        self.runtime.end()
        if self.foreign is not None:
            self.foreign.close()
        for tap in self.taps:
            tap.close()
        self.dev.netdev_ops.ndo_stop(self.dev)
        self.world.sched.close()

