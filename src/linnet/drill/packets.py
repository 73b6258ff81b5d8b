# SPDX-License-Identifier: Apache-2.0
"""IPv4 and IPv6 packets as bytes: made from a script's packet, read back from the device, printed as packetdrill prints them."""
from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Final

from linnet.drill.script import FLAGS, DrillError, IcmpSpec, TcpSpec
from linnet.include.linux.in6 import in6_bytes, in6_read

PROTO_ICMP: Final = 1
PROTO_TCP: Final = 6
PROTO_ICMPV6: Final = 58
ECN_BITS: Final = {'noecn': 0, 'ect1': 1, 'ect0': 2, 'ce': 3}
SYN: Final = FLAGS['S']
ACK: Final = FLAGS['.']
M32: Final = 0xFFFFFFFF

ICMP_TYPES: Final = {'unreachable': 3, 'source_quench': 4, 'time_exceeded': 11, 'parameter_problem': 12}
ICMP_CODES: Final = {
    3: {'net_unreachable': 0, 'host_unreachable': 1, 'protocol_unreachable': 2, 'port_unreachable': 3, 'frag_needed': 4,
        'source_route_failed': 5, 'net_unknown': 6, 'host_unknown': 7, 'source_host_isolated': 8, 'net_prohibited': 9,
        'host_prohibited': 10, 'net_unreachable_for_tos': 11, 'host_unreachable_for_tos': 12, 'communication_prohibited': 13},
    11: {'ttl_exceeded': 0, 'fragment_reassembly_time_exceeded': 1},
}
ICMPV6_TYPES: Final = {'unreachable': 1, 'packet_too_big': 2, 'time_exceeded': 3, 'parameter_problem': 4}
ICMPV6_CODES: Final = {
    1: {'no_route': 0, 'net_unreachable': 0, 'admin_prohibited': 1, 'not_neighbour': 2, 'address_unreachable': 3,
        'port_unreachable': 4, 'policy_fail': 5, 'reject_route': 6},
    3: {'exceeded_hop_limit': 0, 'exceeded_frag_time': 1},
}


@dataclass(frozen=True)
class Packet:
    """A TCP segment as it was on the wire, at `time` µs. problem: a checksum that is wrong, or ''."""

    time: int
    saddr: int
    daddr: int
    tos: int
    ttl: int
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    urg: int
    options: tuple[tuple[int, bytes], ...]
    doff: int
    payload: bytes
    problem: str = ''


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071): 0 over data that carries its own."""
    if len(data) & 1:
        data += b'\0'
    total: int = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip_packet(version: int, saddr: int, daddr: int, proto: int, body: bytes, tos: int = 0, ttl: int = 255) -> bytes:
    """A header of that version of IP in front of body."""
    if version == 6:
        first = struct.pack('!IHBB', 6 << 28 | tos << 20, len(body), proto, ttl)
        return first + in6_bytes(saddr) + in6_bytes(daddr) + body
    head = struct.pack('!BBHHHBBHII', 0x45, tos, 20 + len(body), 0, 0, ttl, proto, 0, saddr, daddr)
    return head[:10] + struct.pack('!H', checksum(head)) + head[12:] + body


def pseudo_header(version: int, saddr: int, daddr: int, proto: int, length: int) -> bytes:
    """What a transport's checksum covers beside its own bytes (RFC 9293, 3.1; RFC 8200, 8.1)."""
    if version == 6:
        return in6_bytes(saddr) + in6_bytes(daddr) + struct.pack('!II', length, proto)
    return struct.pack('!IIBBH', saddr, daddr, 0, proto, length)


def option_bytes(options: list[tuple[int, bytes]]) -> bytes:
    """TCP options on the wire."""
    return b''.join(bytes([kind]) if kind < 2 else bytes([kind, 2 + len(data)]) + data for kind, data in options)


def tcp_packet(version: int, spec: TcpSpec, saddr: int, daddr: int, sport: int, dport: int, seq: int, ack: int,
               options: list[tuple[int, bytes]]) -> bytes:
    """A segment of `spec` with the live numbers; its payload is zeros."""
    opts = option_bytes(options)
    flags = spec.flags | (20 + len(opts)) // 4 << 12
    seg = struct.pack('!HHIIHHHH', sport, dport, seq & M32, ack & M32, flags, spec.win or 0, 0, spec.urg)
    seg += opts + bytes(spec.length)
    pseudo = pseudo_header(version, saddr, daddr, PROTO_TCP, len(seg))
    seg = seg[:16] + struct.pack('!H', checksum(pseudo + seg)) + seg[18:]
    tos = spec.tos if spec.tos is not None else ECN_BITS.get(spec.ecn or 'noecn', 0)
    return ip_packet(version, saddr, daddr, PROTO_TCP, seg, tos, spec.ttl or 255)


def icmp_packet(version: int, spec: IcmpSpec, saddr: int, daddr: int, quoted: bytes) -> bytes:
    """An ICMP error with the quoted packet. DrillError (without a line) for a name that that version's ICMP does not have."""
    types, codes = (ICMPV6_TYPES, ICMPV6_CODES) if version == 6 else (ICMP_TYPES, ICMP_CODES)
    kind = types.get(spec.type)
    if kind is None:
        raise DrillError(f'unknown ICMP type {spec.type!r}')
    code = 0
    if spec.code is not None:
        known = codes.get(kind, {})
        if spec.code not in known:
            raise DrillError(f'unknown ICMP code {spec.code!r}')
        code = known[spec.code]
    proto = PROTO_ICMPV6 if version == 6 else PROTO_ICMP
    body = struct.pack('!BBHI', kind, code, 0, spec.mtu) + quoted
    covered = pseudo_header(6, saddr, daddr, proto, len(body)) + body if version == 6 else body
    return ip_packet(version, saddr, daddr, proto, body[:2] + struct.pack('!H', checksum(covered)) + body[4:])


def quoted_packet(version: int, saddr: int, daddr: int, sport: int, dport: int, seq: int | None) -> bytes:
    """The head of an outbound packet, as an ICMP error quotes it: IP header and eight bytes."""
    return ip_packet(version, saddr, daddr, PROTO_TCP, struct.pack('!HHI', sport, dport, (seq or 0) & M32))


def read_options(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """TCP options as (kind, data); bytes that are none end the list as kind -1."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        kind = data[at]
        if kind < 2:
            found.append((kind, b''))
            at += 1
            continue
        size = data[at + 1] if at + 1 < len(data) else 0
        if size < 2 or at + size > len(data):
            found.append((-1, data[at:]))
            break
        found.append((kind, data[at + 2:at + size]))
        at += size
    return tuple(found)


def read_tcp(data: bytes, time: int) -> Packet | None:
    """The segment in a packet, None where it is not TCP."""
    version = data[0] >> 4
    if version == 6:
        return read_tcp6(data, time)
    if len(data) < 40 or version != 4 or data[9] != PROTO_TCP:
        return None
    ihl = (data[0] & 15) * 4
    saddr, daddr = struct.unpack_from('!II', data, 12)
    problem = ''
    if checksum(data[:ihl]):
        problem = 'bad outbound IP checksum'
    elif int.from_bytes(data[2:4], 'big') != len(data):
        problem = 'bad outbound IP total length'
    return read_segment(time, data[ihl:], 4, saddr, daddr, data[1], data[8], problem)


def read_tcp6(data: bytes, time: int) -> Packet | None:
    """The segment in an IPv6 packet without extension headers, None where it is not TCP."""
    if len(data) < 60 or data[6] != PROTO_TCP:
        return None
    problem = 'bad outbound IPv6 payload length' if int.from_bytes(data[4:6], 'big') != len(data) - 40 else ''
    tclass = int.from_bytes(data[:2], 'big') >> 4 & 0xFF
    return read_segment(time, data[40:], 6, in6_read(data, 8), in6_read(data, 24), tclass, data[7], problem)


def read_segment(time: int, seg: bytes, version: int, saddr: int, daddr: int, tos: int, ttl: int, problem: str) -> Packet:
    """The segment behind an IP header with those fields."""
    sport, dport, seq, ack, flags, window, _, urg = struct.unpack_from('!HHIIHHHH', seg)
    doff = (flags >> 12) * 4
    if not problem and checksum(pseudo_header(version, saddr, daddr, PROTO_TCP, len(seg)) + seg):
        problem = 'bad outbound TCP checksum'
    return Packet(time, saddr, daddr, tos, ttl, sport, dport, seq, ack, flags & 0x1FF, window, urg,
                  read_options(seg[20:doff]), doff, seg[doff:], problem)


def merge(first: Packet, last: Packet, payload: bytes) -> Packet:
    """Segments in a row as one: header and PSH of the last, sequence number, CWR and time of the first."""
    return replace(last, seq=first.seq, flags=last.flags & ~FLAGS['W'] | first.flags & FLAGS['W'], payload=payload)


def flag_text(flags: int) -> str:
    """As scripts write them."""
    return ''.join(letter for letter in 'FSRP.EWAU' if flags & FLAGS[letter]) or '-'


def _hex(data: bytes) -> str:
    return ' ' + data.hex() if data else ''


def options_text(options: list[tuple[int, bytes]]) -> str:
    """As scripts write them, without the angle brackets."""
    words = []
    for kind, data in options:
        if kind in (0, 1, 4):
            words.append({0: 'eol', 1: 'nop', 4: 'sackOK'}[kind])
        elif kind in (2, 3):
            words.append(f'{"mss" if kind == 2 else "wscale"} {int.from_bytes(data, "big")}')
        elif kind == 5 and len(data) % 8 == 0:
            edges = struct.unpack(f'!{len(data) // 4}I', data)
            words.append('sack ' + ' '.join(f'{a}:{b}' for a, b in zip(edges[::2], edges[1::2], strict=True)))
        elif kind == 8 and len(data) == 8:
            words.append('TS val {} ecr {}'.format(*struct.unpack('!II', data)))
        elif kind == 19:
            words.append('md5' + _hex(data))
        elif kind == 34:
            words.append('FO' + _hex(data))
        elif kind == 254 and data[:2] == b'\xf9\x89':
            words.append('FOEXP' + _hex(data[2:]))
        else:
            words.append(f'option {kind}{_hex(data)}')
    return ','.join(words)


def packet_text(flags: int, seq: int, length: int, ack: int, window: int | None, urg: int,
                options: list[tuple[int, bytes]] | None) -> str:
    """A segment as scripts write it."""
    text = f'{flag_text(flags)} {seq}:{(seq + length) & M32}({length})'
    if flags & ACK:
        text += f' ack {ack}'
    if window is not None:
        text += f' win {window}'
    if urg:
        text += f' urg {urg}'
    if options is None:
        return text + ' <...>'
    return f'{text} <{options_text(options)}>' if options else text
