# SPDX-License-Identifier: Apache-2.0
"""IPv4 packets made and read by struct alone, and a host whose network card is in the test's hand.

A Bench is one host, 10.0.0.1/24 on eth0, with neighbour 10.0.0.2 known: `give` lets a packet in, `taken` tells what came
out.
"""
from __future__ import annotations

import struct
from dataclasses import dataclass, field

from helpers.devices import ME, YOU, Card, card
from helpers.frames import checksum
from helpers.hosts import Prog
from linnet.include.linux.inet import in_aton, in_ntoa
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.skbuff import PACKET_HOST
from linnet.include.net.dropreason import DROP_REASONS
from linnet.include.net.ip_fib import FibConfig
from linnet.include.net.neighbour import NUD_PERMANENT
from linnet.kernel.clock import VirtualClock
from linnet.kernel.softirq import local_bh_disable, local_bh_enable
from linnet.net.boot import new_net, new_world
from linnet.net.core.dev import dev_open, netif_rx, register_netdevice
from linnet.net.core.neighbour import neigh_add
from linnet.net.core.skbuff import skb_from_bytes
from linnet.net.ipv4.devinet import inet_addr_add
from linnet.net.ipv4.fib_frontend import fib_add_route

UDP, ICMP, TCP = 17, 1, 6
DF, MF = 0x4000, 0x2000


def ip(payload: bytes = b'', *, src: str = '10.0.0.2', dst: str = '10.0.0.1', proto: int = UDP, ttl: int = 64, ident: int = 1,
       tos: int = 0, off: int = 0, options: bytes = b'', total: int = -1, version: int = 4, ihl: int = -1,
       check: int = -1) -> bytes:
    """An IPv4 packet; off holds flags and offset/8. What is -1 is filled in rightly."""
    options += bytes(-len(options) % 4)
    words = 5 + len(options) // 4 if ihl < 0 else ihl
    length = 20 + len(options) + len(payload) if total < 0 else total
    head = struct.pack('!BBHHHBBH', version << 4 | words, tos, length, ident, off, ttl, proto, 0)
    head += in_aton(src).to_bytes(4, 'big') + in_aton(dst).to_bytes(4, 'big') + options
    value = checksum(head) if check < 0 else check
    return head[:10] + struct.pack('!H', value) + head[12:] + payload


def udp(payload: bytes = b'hello', *, sport: int = 5000, dport: int = 6000) -> bytes:
    """A UDP datagram without a checksum."""
    return struct.pack('!HHHH', sport, dport, 8 + len(payload), 0) + payload


def icmp(type: int, code: int = 0, rest: bytes = bytes(4), payload: bytes = b'') -> bytes:
    """An ICMP message with its checksum."""
    body = bytes((type, code, 0, 0)) + rest + payload
    return body[:2] + struct.pack('!H', checksum(body)) + body[4:]


def fragments(packet: bytes, size: int) -> list[bytes]:
    """The packet cut into fragments of `size` payload bytes (a multiple of eight)."""
    ihl = (packet[0] & 15) * 4
    payload = packet[ihl:]
    src, dst = in_ntoa(int.from_bytes(packet[12:16], 'big')), in_ntoa(int.from_bytes(packet[16:20], 'big'))
    ident = int.from_bytes(packet[4:6], 'big')
    out = []
    for at in range(0, len(payload), size):
        more = MF if at + size < len(payload) else 0
        out.append(ip(payload[at:at + size], src=src, dst=dst, proto=packet[9], ttl=packet[8], ident=ident, off=at // 8 | more,
                      tos=packet[1]))
    return out


@dataclass
class Ip:
    """An IPv4 packet taken apart."""

    data: bytes
    src: str = ''
    dst: str = ''
    proto: int = 0
    ttl: int = 0
    tos: int = 0
    ident: int = 0
    off: int = 0
    options: bytes = b''
    payload: bytes = field(default=b'', repr=False)
    ok: bool = False  # header checksum and length are right

    def __post_init__(self) -> None:
        d = self.data
        ihl = (d[0] & 15) * 4
        self.tos, total, self.ident, self.off, self.ttl, self.proto = struct.unpack('!BHHHBB', d[1:10])
        self.src, self.dst = in_ntoa(int.from_bytes(d[12:16], 'big')), in_ntoa(int.from_bytes(d[16:20], 'big'))
        self.options = d[20:ihl]
        self.payload = d[ihl:total]
        self.ok = checksum(d[:ihl]) == 0 and total <= len(d)

    @property
    def type(self) -> tuple[int, int]:
        """ICMP type and code."""
        assert self.proto == ICMP
        assert checksum(self.payload) == 0
        return self.payload[0], self.payload[1]


class Bench(Prog):
    """See the top. More devices by `device`."""

    def __init__(self, seed: int = 1, prefix: int = 24) -> None:
        self.world = new_world(VirtualClock(), seed)
        super().__init__(new_net(self.world, 'host'), 'prog')
        self.cards: dict[str, Card] = {}
        self.eth0 = self.device('eth0', '10.0.0.1', prefix)
        self.neighbour('10.0.0.2')

    def device(self, name: str, address: str, prefix: int = 24, mtu: int = 1500) -> NetDevice:
        """A further device that is up."""
        self.cards[name] = Card()
        dev = card(self.net, name, self.cards[name])
        dev.mtu = mtu
        assert register_netdevice(dev) == 0
        assert dev_open(dev) == 0
        if address:
            assert inet_addr_add(dev, in_aton(address), prefix) == 0
        return dev

    def neighbour(self, address: str, dev: str = 'eth0') -> None:
        """Let the host know the hardware address of a neighbour."""
        assert self.net.ipv4.arp_tbl is not None
        device = next(d for d in self.net.dev_base if d.name == dev)
        assert neigh_add(self.net.ipv4.arp_tbl, in_aton(address), device, YOU, NUD_PERMANENT) == 0

    def route(self, to: str, via: str | None = None, dev: str | None = None, **more: object) -> int:
        """ip route add."""
        cfg = FibConfig()
        network, _, bits = to.partition('/')
        cfg.fc_dst = in_aton(network)
        cfg.fc_dst_len = int(bits or 32)
        if via:
            cfg.fc_gw = in_aton(via)
        else:
            cfg.fc_scope = 253
        if dev:
            cfg.fc_oif = next(d.ifindex for d in self.net.dev_base if d.name == dev)
        for key, value in more.items():
            setattr(cfg, f'fc_{key}', value)
        return fib_add_route(self.net, cfg)

    def give(self, *packets: bytes, dev: str = 'eth0', pkt_type: int = PACKET_HOST, dest: bytes = ME) -> None:
        """Let packets in, as frames to us by dev; all that follows at once has happened on return."""
        device = next(d for d in self.net.dev_base if d.name == dev)
        local_bh_disable(self.world.cpu)
        for packet in packets:
            skb = skb_from_bytes(self.world, dest + YOU + b'\x08\0' + packet, 14 + min(len(packet), 60))
            skb.dev = device
            skb.mac_header = 0
            skb.data = 14
            skb.len -= 14
            skb.network_header = 14
            skb.protocol = 0x800
            skb.pkt_type = pkt_type
            netif_rx(skb)
        local_bh_enable(self.world.cpu)

    def frames(self, dev: str = 'eth0') -> list[bytes]:
        """The frames that came out since the last call."""
        out = self.cards[dev].sent
        self.cards[dev].sent = []
        return out

    def taken(self, dev: str = 'eth0') -> list[Ip]:
        """The IPv4 packets among them; every one is sound."""
        packets = [Ip(frame[14:]) for frame in self.frames(dev) if frame[12:14] == b'\x08\0']
        assert all(p.ok for p in packets)
        return packets

    def count(self, name: str) -> int:
        """A counter."""
        return self.net.mib.get(name)

    def drops(self) -> dict[str, int]:
        """Dropped packets by reason."""
        return {DROP_REASONS[reason]: n for reason, n in self.net.mib.drops.items()}

    def live_packets(self) -> int:
        """Packets that are in memory."""
        return int(self.world.skbuff_cache.active)
