# SPDX-License-Identifier: Apache-2.0
"""A host whose only device leads to the test: what the stack sends is recorded, what the test injects is received.

The device has no link header and no neighbours. `Wire.sent` lists segments in order, each with the virtual time at which it left;
`Wire.peer` speaks TCP by hand. Sequence numbers of a Peer are relative: 0 is the SYN of each side.
"""
from __future__ import annotations

from collections.abc import Callable

from helpers.hosts import Prog, family_of, run
from linnet.include.linux.in6 import in6_bytes, in6_pton
from linnet.include.linux.inet import in_aton
from linnet.include.linux.netdevice import (
    IFF_NOARP,
    IFF_POINTOPOINT,
    NETDEV_TX_OK,
    NETIF_F_HW_CSUM,
    NETIF_F_SG,
    NETIF_F_TSO,
    NETIF_F_TSO6,
    NetDevice,
    NetDeviceOps,
)
from linnet.include.linux.skbuff import CHECKSUM_UNNECESSARY, SkBuff
from linnet.include.net.if_inet6 import IFA_F_NODAD
from linnet.kernel.clock import VirtualClock
from linnet.net.boot import new_net, new_world
from linnet.net.core.dev import dev_open, netif_rx, register_netdevice
from linnet.net.core.skbuff import consume_skb, skb_bytes, skb_from_bytes
from linnet.net.ipv4.devinet import inet_addr_add
from linnet.net.ipv6.addrconf import inet6_addr_add

MS = 1_000_000
SEC = 1_000_000_000
HERE = '10.0.0.1'
THERE = '10.0.0.2'
HERE6 = 'fd00::1'
THERE6 = 'fd00::2'
FLAG_NAMES = ((0x02, 'S'), (0x01, 'F'), (0x04, 'R'), (0x08, 'P'), (0x20, 'U'), (0x40, 'E'), (0x80, 'W'), (0x10, '.'))


class Segment:
    """A TCP segment as it was on the wire; time in ns."""

    def __init__(self, packet: bytes, time: int) -> None:
        self.packet = packet
        self.time = time
        self.v6 = packet[0] >> 4 == 6
        tcp = packet[40:] if self.v6 else packet[(packet[0] & 15) * 4:]
        self.sport = int.from_bytes(tcp[0:2], 'big')
        self.dport = int.from_bytes(tcp[2:4], 'big')
        self.seq = int.from_bytes(tcp[4:8], 'big')
        self.ack = int.from_bytes(tcp[8:12], 'big')
        doff = (tcp[12] >> 4) * 4
        self.flag_bits = tcp[13]
        self.window = int.from_bytes(tcp[14:16], 'big')
        self.urg_ptr = int.from_bytes(tcp[18:20], 'big')
        self.options = tcp[20:doff]
        self.data = tcp[doff:]

    @property
    def flags(self) -> str:
        """As packetdrill writes them: 'S.', 'P.', '.', 'F.', 'R.'."""
        return ''.join(name for bit, name in FLAG_NAMES if self.flag_bits & bit)

    @property
    def tos(self) -> int:
        """The TOS byte of the IP header, or IPv6's traffic class."""
        return (int.from_bytes(self.packet[:2], 'big') >> 4) & 0xFF if self.v6 else self.packet[1]

    @property
    def label(self) -> int:
        """IPv6's flow label."""
        return int.from_bytes(self.packet[:4], 'big') & 0xFFFFF

    @property
    def timestamps(self) -> tuple[int, int] | None:
        """(val, ecr) of the timestamp option."""
        i = 0
        while i < len(self.options):
            kind = self.options[i]
            if kind == 0:
                break
            if kind == 1:
                i += 1
                continue
            if kind == 8:
                return int.from_bytes(self.options[i + 2:i + 6], 'big'), int.from_bytes(self.options[i + 6:i + 10], 'big')
            i += self.options[i + 1]
        return None


class TestDevice(NetDeviceOps):
    """Records what is sent."""

    __test__ = False

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.wire = wire

    def ndo_start_xmit(self, skb: SkBuff, dev: NetDevice) -> int:
        """Keep the bytes, or leave the packet in the device until the test lets it go."""
        packet = skb_bytes(skb)
        if packet[6 if packet[0] >> 4 == 6 else 9] == 6:
            self.wire.sent.append(Segment(packet, int(skb.world.clock.now)))
        if self.wire.hold:
            self.wire.held.append(skb)
        else:
            consume_skb(skb)
        return NETDEV_TX_OK


class Wire:
    """A host, HERE, and beyond its device the test, THERE; with v6 HERE6 and THERE6 too, which a Peer then has."""

    def __init__(self, tso: bool = False, mtu: int = 1500, timestamps: bool = False, sack: bool = False,
                 v6: bool = False) -> None:
        self.v6 = v6
        self.world = new_world(VirtualClock(), 1)
        self.net = new_net(self.world, 'host')
        self.net.ipv4.sysctl_tcp_timestamps = 1 if timestamps else 0
        self.net.ipv4.sysctl_tcp_sack = 1 if sack else 0
        self.sent: list[Segment] = []
        self.hold = False
        self.held: list[SkBuff] = []
        self.dev = NetDevice(self.net, 'test0', TestDevice(self))
        self.dev.type = 65534
        self.dev.mtu = mtu
        self.dev.flags = IFF_NOARP | IFF_POINTOPOINT
        self.dev.features = NETIF_F_SG | NETIF_F_HW_CSUM | ((NETIF_F_TSO | NETIF_F_TSO6) if tso else 0)
        assert register_netdevice(self.dev) == 0
        assert dev_open(self.dev) == 0
        assert inet_addr_add(self.dev, in_aton(HERE), 24) == 0
        if v6:
            assert self.net.sysctl.set('net.ipv6.conf.test0.disable_ipv6', '0') == 0
            assert inet6_addr_add(self.dev, in6_pton(HERE6), 64, IFA_F_NODAD) == 0
        self.net.ipv4.sysctl_tcp_congestion_control = 'reno'  # its windows can be told in advance
        self.prog = Prog(self.net)

    @property
    def now(self) -> int:
        """ns since the start."""
        return int(self.world.clock.now)

    def advance(self, ns: int) -> None:
        """Let time pass."""
        self.world.sched.run(self.now + ns)

    def run(self, *programs: Callable[[], object], ns: int = 0) -> list[object]:
        """Run programs for `ns` of virtual time."""
        return run(self.world, *programs, until=self.now + ns)

    def take(self) -> list[Segment]:
        """What was sent since the last call."""
        taken, self.sent = self.sent, []
        return taken

    def release(self) -> None:
        """The device has sent what it held."""
        held, self.held = self.held, []
        for skb in held:
            consume_skb(skb)

    def inject(self, packet: bytes) -> None:
        """An IP packet arrives."""
        skb = skb_from_bytes(self.world, packet, min(len(packet), 80))
        skb.dev = self.dev
        skb.protocol = 0x86DD if packet[0] >> 4 == 6 else 0x0800
        skb.ip_summed = CHECKSUM_UNNECESSARY
        skb.network_header = 0
        netif_rx(skb)
        self.world.sched.run(self.now)


class Peer:
    """The other end of one connection, by hand."""

    def __init__(self, wire: Wire, port: int = 8080, mss: int = 1460, window: int = 65535, wscale: int | None = None) -> None:
        self.wire = wire
        self.v6 = wire.v6
        self.port = port
        self.mss = mss
        self.window = window
        self.wscale = wscale
        self.isn = 1000  # ours
        self.their_isn = 0
        self.their_port = 0
        self.nxt = 1  # next byte we send, relative
        self.rcv = 1  # next byte expected, relative

    def send(self, flags: str, seq: int | None = None, ack: int | None = None, data: bytes = b'', window: int | None = None,
             options: bytes = b'', urg: int = 0, tos: int = 0) -> None:
        """Send a segment: flags as packetdrill writes them, seq and ack relative (default: next, and all received)."""
        bits = sum(bit for bit, name in FLAG_NAMES if name in flags)
        rel_seq = self.nxt if seq is None else seq
        rel_ack = self.rcv if ack is None else ack
        abs_ack = (self.their_isn + rel_ack) & 0xFFFFFFFF if bits & 0x10 else 0
        win = self.window if window is None else window
        options = options.ljust((len(options) + 3) // 4 * 4, b'\1')
        tcp = (self.port.to_bytes(2, 'big') + self.their_port.to_bytes(2, 'big')
               + ((self.isn + rel_seq) & 0xFFFFFFFF).to_bytes(4, 'big') + abs_ack.to_bytes(4, 'big')
               + bytes([(5 + len(options) // 4) << 4, bits]) + win.to_bytes(2, 'big') + b'\0\0' + urg.to_bytes(2, 'big')
               + options + data)
        if seq is None:
            self.nxt += len(data) + (1 if 'F' in flags else 0)
        if self.v6:
            ip6 = ((6 << 28) | (tos << 20)).to_bytes(4, 'big') + len(tcp).to_bytes(2, 'big') + bytes([6, 64])
            self.wire.inject(ip6 + in6_bytes(in6_pton(THERE6)) + in6_bytes(in6_pton(HERE6)) + tcp)
            return
        ip = bytearray(bytes([0x45, tos]) + (20 + len(tcp)).to_bytes(2, 'big') + b'\0\0\x40\0\x40\x06\0\0'
                       + in_aton(THERE).to_bytes(4, 'big') + in_aton(HERE).to_bytes(4, 'big'))
        total = sum(int.from_bytes(ip[i:i + 2], 'big') for i in range(0, 20, 2))
        total = (total & 0xFFFF) + (total >> 16)
        ip[10:12] = (0xFFFF - total).to_bytes(2, 'big')
        self.wire.inject(bytes(ip) + tcp)

    def syn_options(self) -> bytes:
        """MSS, and window scale if there is one."""
        options = bytes([2, 4]) + self.mss.to_bytes(2, 'big')
        if self.wscale is not None:
            options += bytes([1, 3, 3, self.wscale])
        return options

    def accept(self, delay: int = 0, flags: str = 'S.') -> int:
        """Answer the SYN of a program that connects; returns its descriptor, connected."""
        prog = self.wire.prog
        box: list[int] = []

        def connect() -> None:
            there = THERE6 if self.v6 else THERE
            fd = prog.socket(family=family_of(there))
            box.append(fd)
            prog.connect(fd, there, self.port)

        self.wire.world.sched.spawn(connect, 'connect')
        self.wire.run()
        syn = self.wire.take()[0]
        assert syn.flags.startswith('S')
        self.their_isn = syn.seq
        self.their_port = syn.sport
        self.wire.advance(delay)
        self.send(flags, seq=0, ack=1, options=self.syn_options())
        assert [s.flags for s in self.wire.take()] == ['.']
        return box[0]

    def rel(self, segment: Segment) -> tuple[str, int, int, int]:
        """(flags, seq, length, ack) with relative numbers."""
        seq = (segment.seq - self.their_isn) & 0xFFFFFFFF
        ack = (segment.ack - self.isn) & 0xFFFFFFFF if segment.flag_bits & 0x10 else 0
        return segment.flags, seq, len(segment.data), ack

    def got(self) -> list[tuple[str, int, int, int]]:
        """What was sent since the last look."""
        return [self.rel(segment) for segment in self.wire.take()]
