# SPDX-License-Identifier: Apache-2.0
"""A host with two cards in the test's hand, IPv6 packets made by struct alone, and what IPv6 does with them.

A Bench6 has 2001:db8:1::1 on d0 and 2001:db8:2::1 on d1 (helpers/route6.py), neighbours 2001:db8:1::2 and 2001:db8:2::2.
`give` lets packets in; `taken` tells what came out; `got` what protocol 253 (RFC 3692: for experiments) was handed; `errors`
what ICMPv6 was asked to tell, as (type, code, info).
"""
from __future__ import annotations

import struct

from helpers.devices import ME, YOU
from helpers.route6 import Routes
from linnet.include.linux.in6 import in6_bytes, in6_ntop, in6_pton
from linnet.include.linux.skbuff import PACKET_HOST, SkBuff
from linnet.include.net.dropreason import DROP_REASONS
from linnet.include.net.if_inet6 import Ifmcaddr6
from linnet.include.net.neighbour import NUD_PERMANENT
from linnet.include.net.netns.ipv6 import Icmp6Sender
from linnet.include.net.protocol import NetProtocol
from linnet.kernel.softirq import local_bh_disable, local_bh_enable
from linnet.net.core.dev import netif_rx
from linnet.net.core.neighbour import neigh_add
from linnet.net.core.skbuff import consume_skb, skb_bytes, skb_from_bytes
from linnet.net.ipv6.protocol import inet6_add_protocol

PROTO = 253
HOP, ROUTING, FRAGMENT, NONE, DSTOPTS = 0, 43, 44, 59, 60
HERE, THERE, FAR = '2001:db8:1::1', '2001:db8:1::2', '2001:db8:2::2'


def ip6(payload: bytes = b'hello', nexthdr: int = PROTO, *, src: str = THERE, dst: str = HERE, hops: int = 64, tclass: int = 0,
        label: int = 0, length: int = -1, version: int = 6) -> bytes:
    """An IPv6 packet; what is -1 is filled in rightly."""
    return struct.pack('!IHBB', version << 28 | tclass << 20 | label, len(payload) if length < 0 else length, nexthdr,
                       hops) + in6_bytes(in6_pton(src)) + in6_bytes(in6_pton(dst)) + payload


def options(content: bytes, nexthdr: int = PROTO, length: int = -1) -> bytes:
    """An options header (hop-by-hop or destination): content is padded to a multiple of eight bytes."""
    pad = -(len(content) + 2) % 8
    content += b'' if pad == 0 else b'\0' if pad == 1 else bytes([1, pad - 2]) + bytes(pad - 2)
    return bytes([nexthdr, (len(content) + 2) // 8 - 1 if length < 0 else length]) + content


def routing(kind: int, left: int, nexthdr: int = PROTO, addresses: int = 1) -> bytes:
    """A routing header."""
    return bytes([nexthdr, 2 * addresses, kind, left]) + bytes(4 + 16 * addresses)


def fraghdr(offset: int, more: bool, ident: int = 7, nexthdr: int = PROTO) -> bytes:
    """A fragment header; offset in bytes."""
    return struct.pack('!BBHI', nexthdr, 0, offset | more, ident)


def fragment(data: bytes, offset: int, more: bool, ident: int = 7, nexthdr: int = PROTO, **header: object) -> bytes:
    """A fragment that carries data."""
    return ip6(fraghdr(offset, more, ident, nexthdr) + data, FRAGMENT, **header)  # type: ignore[arg-type]


class Errors(Icmp6Sender):
    """Notes what is to be told, and the packet that it is about."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int, int]] = []
        self.quoted: list[bytes] = []

    def send(self, skb: SkBuff, type: int, code: int, info: int) -> None:
        self.told.append((int(type), int(code), int(info)))
        back = int(skb.data - skb.network_header)
        whole = skb_bytes(skb)
        self.quoted.append(bytes(skb.head[skb.network_header:skb.data]) + whole if back >= 0 else whole[-back:])


class Sink(NetProtocol):
    """Protocol 253: keeps what it is handed."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[bytes] = []
        self.last: dict[str, int] = {}

    def handler(self, skb: SkBuff) -> int:
        self.got.append(skb_bytes(skb))
        self.last = {'tos': int(skb.tos), 'ttl': int(skb.ttl), 'flags': int(skb.ip_flags), 'max': int(skb.frag_max_size),
                     'hlen': int(skb.data - skb.network_header), 'network': int(skb.network_header),
                     'nexthdr': skb.head[skb.nhoff]}
        assert len(self.got[-1]) == skb.len
        consume_skb(skb)
        return 0

    def err_handler(self, skb: SkBuff, info: int) -> int:
        return 0


class Bench6(Routes):
    """See the top."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed)
        net = self.net
        self.neighbour(THERE, 'd0')
        self.neighbour(FAR, 'd1')
        self.told = Errors()
        self.sender = net.ipv6.icmp6_sender  # ICMPv6's own
        net.ipv6.icmp6_sender = self.told
        self.sink = Sink()
        assert inet6_add_protocol(net, self.sink, PROTO) == 0
        self.pass_time(10_000)  # what a device says when it comes up is said
        for port in self.cards.values():
            port.sent = []
        net.mib.ipv6[:] = [0] * len(net.mib.ipv6)
        net.mib.drops.clear()
        self.before = self.live_packets()

    def neighbour(self, address: str, dev: str) -> None:
        """Let the host know the hardware address of a neighbour."""
        assert self.net.ipv6.nd_tbl is not None
        assert neigh_add(self.net.ipv6.nd_tbl, in6_pton(address), self.devices[dev], YOU, NUD_PERMANENT) == 0

    def join(self, group: str, dev: str = 'd0') -> None:
        """Let the host be in a group."""
        idev = self.devices[dev].ip6_ptr
        assert idev is not None
        mc = Ifmcaddr6(idev, in6_pton(group))
        mc.mca_users = 1
        idev.mc_list.append(mc)

    def give(self, *packets: bytes, dev: str = 'd0', pkt_type: int = PACKET_HOST, linear: int = 14 + 60) -> None:
        """Let packets in; all that follows at once has happened on return. linear: bytes of each in the head."""
        self.inject(*(self.skb(packet, dev, pkt_type, linear) for packet in packets))

    def skb(self, packet: bytes, dev: str = 'd0', pkt_type: int = PACKET_HOST, linear: int = 14 + 72) -> SkBuff:
        """A packet as the driver of dev hands it up."""
        skb = skb_from_bytes(self.world, ME + YOU + b'\x86\xdd' + packet, min(14 + len(packet), linear))
        skb.dev = self.devices[dev]
        skb.mac_header = 0
        skb.data = 14
        skb.len -= 14
        skb.network_header = 14
        skb.protocol = 0x86DD
        skb.pkt_type = pkt_type
        return skb

    def inject(self, *skbs: SkBuff) -> None:
        """Receive packets."""
        local_bh_disable(self.world.cpu)
        for skb in skbs:
            netif_rx(skb)
        local_bh_enable(self.world.cpu)

    def taken(self, dev: str = 'd1') -> list[bytes]:
        """The IPv6 packets that came out since the last call."""
        sent, self.cards[dev].sent = self.cards[dev].sent, []
        return [frame[14:] for frame in sent if frame[12:14] == b'\x86\xdd']

    @property
    def got(self) -> list[bytes]:
        """What protocol 253 was handed."""
        return self.sink.got

    @property
    def errors(self) -> list[tuple[int, int, int]]:
        """What ICMPv6 was asked to tell."""
        return self.told.told

    def count(self, name: str) -> int:
        """A counter of /proc/net/snmp6, without its Ip6."""
        return self.net.mib.get('Ip6' + name)

    def drops(self) -> dict[str, int]:
        """Dropped packets by reason."""
        return {DROP_REASONS[reason]: n for reason, n in self.net.mib.drops.items()}

    def live_packets(self) -> int:
        """Packets that are in memory."""
        return int(self.world.skbuff_cache.active)

    def nothing_left(self) -> bool:
        """Is every packet gone that came?"""
        return self.live_packets() == self.before

    def pass_time(self, ms: int) -> None:
        """Let virtual time pass."""
        self.world.sched.run(int(self.world.clock.now) + ms * 1_000_000)


def addresses(packet: bytes) -> tuple[str, str]:
    """Source and destination."""
    return in6_ntop(int.from_bytes(packet[8:24], 'big')), in6_ntop(int.from_bytes(packet[24:40], 'big'))
