# SPDX-License-Identifier: Apache-2.0
"""The packets of one link as lines of text, from a capture of both its ends: who sent what when, how long it took, what was lost.

    0.041250  client > server  198.18.0.1.34474 > 198.18.0.2.80  [P.] seq 1:9 ack 1 len 8   +20 ms
    0.061250  server > client  198.18.0.2.80 > 198.18.0.1.34474  [P.] seq 1:4 ack 9 len 3   LOST

What left one end and never came out of the other was lost, or was under way when the capture ended, or was damaged: then its
bytes are others. Sequence numbers count from each connection's own start, as tcpdump has them.
"""
from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from linnet.include.linux.in6 import in6_ntop, in6_read

BLOCK_INTERFACE, BLOCK_PACKET = 1, 6
IF_NAME, EPB_FLAGS = 2, 2
OUTBOUND = 2
FLAGS = ((0x01, 'F'), (0x02, 'S'), (0x04, 'R'), (0x08, 'P'), (0x10, '.'), (0x20, 'U'))
ICMP_TYPES = {0: 'echo reply', 3: 'unreachable', 5: 'redirect', 8: 'echo request', 11: 'time exceeded'}
ICMPV6_TYPES = {1: 'unreachable', 2: 'packet too big', 3: 'time exceeded', 4: 'parameter problem', 128: 'echo request',
                129: 'echo reply', 130: 'listener query', 131: 'listener report', 132: 'listener done',
                133: 'router solicitation', 134: 'router advertisement', 137: 'redirect', 143: 'listener report'}
EXTENSIONS = (0, 43, 60)  # headers that say themselves how long they are: hop-by-hop, routing, destination


class Packet:
    """One packet at one end of the link: stamp (ns since 1970), interface, whether it left there, its bytes."""

    def __init__(self, stamp: int, interface: int, sent: bool, data: bytes) -> None:
        self.stamp = stamp
        self.interface = interface
        self.sent = sent
        self.data = data
        self.arrival: int | None = None  # of one that was sent: when it came out of the other end


def options(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(code, value) of a block's options."""
    at = 0
    while at + 4 <= len(data):
        code, size = struct.unpack_from('<HH', data, at)
        if code == 0:
            return
        yield code, data[at + 4:at + 4 + size]
        at += 4 + size + -size % 4


def read(path: Path) -> tuple[list[str], list[Packet]]:
    """(names of the interfaces, packets) of a capture that Linnet wrote."""
    data = path.read_bytes()
    names: list[str] = []
    packets: list[Packet] = []
    at = 0
    while at + 12 <= len(data):
        kind, total = struct.unpack_from('<II', data, at)
        body = data[at + 8:at + total - 4]
        if kind == BLOCK_INTERFACE:
            names.append(next((value.decode() for code, value in options(body[8:]) if code == IF_NAME), str(len(names))))
        elif kind == BLOCK_PACKET:
            interface, high, low, size, _ = struct.unpack_from('<IIIII', body)
            rest = body[20 + size + -size % 4:]
            direction = next((value[0] & 3 for code, value in options(rest) if code == EPB_FLAGS), 0)
            packets.append(Packet(high << 32 | low, interface, direction == OUTBOUND, body[20:20 + size]))
        at += total
    return names, packets


def match(packets: list[Packet]) -> None:
    """Find for each packet that was sent its arrival: a later one with the same bytes at another interface. Of several that were
    sent alike (ARP asks in the same words again) it is the one whose way took most nearly as long as the last packet's.
    """
    under_way: dict[bytes, list[Packet]] = defaultdict(list)
    usual = 0
    for packet in packets:
        if packet.sent:
            under_way[packet.data].append(packet)
            continue
        senders = [sender for sender in under_way[packet.data] if sender.interface != packet.interface]
        if senders:
            sender = min(senders, key=lambda sender: abs(packet.stamp - sender.stamp - usual))
            sender.arrival, usual = packet.stamp, packet.stamp - sender.stamp
            under_way[packet.data].remove(sender)


def dotted(data: bytes) -> str:
    """An IPv4 address."""
    return '.'.join(str(byte) for byte in data)


def icmpv6_words(message: bytes) -> str:
    """What an ICMPv6 message is; of neighbour discovery, about whom."""
    kind = message[0]
    if kind in (135, 136) and len(message) >= 24:
        target = in6_ntop(in6_read(message, 8))
        return f'neighbour solicitation, who has {target}?' if kind == 135 else f'neighbour advertisement, {target} is here'
    return ICMPV6_TYPES.get(kind, f'type {kind}')


class Describer:
    """Words for packets; remembers where each TCP stream began."""

    def __init__(self) -> None:
        self.starts: dict[tuple[bytes, int, int], int] = {}

    def frame(self, data: bytes) -> str:
        """One Ethernet frame."""
        kind = int.from_bytes(data[12:14], 'big')
        if kind == 0x0806:
            op, sender, target = data[21], dotted(data[28:32]), dotted(data[38:42])
            return f'ARP who has {target}? tell {sender}' if op == 1 else f'ARP {sender} is at {data[22:28].hex(":")}'
        if kind == 0x86DD:
            return self.ipv6(data[14:])
        if kind != 0x0800:
            return f'ethertype {kind:#06x} len {len(data) - 14}'
        ip = data[14:]
        head, total, fragment = (ip[0] & 15) * 4, int.from_bytes(ip[2:4], 'big'), int.from_bytes(ip[6:8], 'big') & 0x3FFF
        src, dst, payload = dotted(ip[12:16]), dotted(ip[16:20]), ip[head:total or None]
        if fragment & 0x1FFF or len(payload) < 8:
            return f'{src} > {dst}  IP protocol {ip[9]} fragment at {(fragment & 0x1FFF) * 8} len {len(payload)}'
        return self.transport(ip[9], ip[12:20], src, dst, payload)

    def ipv6(self, ip: bytes) -> str:
        """One IPv6 packet."""
        src, dst, kind, at = in6_ntop(in6_read(ip, 8)), in6_ntop(in6_read(ip, 24)), ip[6], 40
        while kind in EXTENSIONS and at + 2 <= len(ip):
            kind, at = ip[at], at + (ip[at + 1] + 1) * 8
        payload = ip[at:]
        if kind == 44:
            offset = int.from_bytes(payload[2:4], 'big') & 0xFFF8
            return f'{src} > {dst}  IPv6 protocol {payload[0]} fragment at {offset} len {len(payload) - 8}'
        return self.transport(kind, ip[8:40], src, dst, payload)

    def transport(self, kind: int, addresses: bytes, src: str, dst: str, payload: bytes) -> str:
        """What IP of either version carries; kind: its protocol number."""
        if kind == 6 and len(payload) >= 20:
            return self.tcp(addresses, src, dst, payload)
        if kind == 17 and len(payload) >= 8:
            sport, dport = struct.unpack_from('!HH', payload)
            return f'{src}.{sport} > {dst}.{dport}  UDP len {len(payload) - 8}'
        if kind == 1 and payload:
            return f'{src} > {dst}  ICMP {ICMP_TYPES.get(payload[0], f"type {payload[0]}")}'
        if kind == 58 and payload:
            return f'{src} > {dst}  ICMPv6 {icmpv6_words(payload)}'
        return f'{src} > {dst}  IP protocol {kind} len {len(payload)}'

    def tcp(self, addresses: bytes, src: str, dst: str, segment: bytes) -> str:
        """One TCP segment, with sequence numbers from the connection's start."""
        sport, dport, seq, ack = struct.unpack_from('!HHII', segment)
        head, flags = (segment[12] >> 4) * 4, segment[13]
        size = len(segment) - head
        half = len(addresses) // 2
        mine, theirs = (addresses, sport, dport), (addresses[half:] + addresses[:half], dport, sport)
        if flags & 2 or mine not in self.starts:
            self.starts[mine] = seq if flags & 2 else seq - 1
        if flags & 16:
            self.starts.setdefault(theirs, ack - 1)
        first = (seq - self.starts[mine]) & 0xFFFFFFFF
        text = ''.join(letter for bit, letter in FLAGS if flags & bit)
        span = f' seq {first}:{first + size}' if size else f' seq {first}' if flags & 7 else ''
        acked = f' ack {(ack - self.starts[theirs]) & 0xFFFFFFFF}' if flags & 16 else ''
        return f'{src}.{sport} > {dst}.{dport}  [{text}]{span}{acked} len {size}'


def lines(path: Path, epoch_ns: int) -> list[str]:
    """A line for each packet that one end of the link sent, in order. epoch_ns: the wall time of second 0."""
    names, packets = read(path)
    hosts = [name.split(':')[0] for name in names]
    match(packets)
    describer = Describer()
    last = max((packet.stamp for packet in packets), default=0)
    found = []
    for packet in packets:
        if not packet.sent:
            continue
        there = hosts[1 - packet.interface] if len(hosts) == 2 else '?'
        if packet.arrival is not None:
            fate = f'+{(packet.arrival - packet.stamp) / 1e6:g} ms'
        else:
            fate = 'LOST' if packet.stamp < last else 'lost, or under way at the end'
        found.append(f'{(packet.stamp - epoch_ns) / 1e9:.6f}  {hosts[packet.interface]} > {there}  '
                     f'{describer.frame(packet.data)}   {fate}')
    return found
