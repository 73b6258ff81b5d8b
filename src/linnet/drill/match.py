# SPDX-License-Identifier: Apache-2.0
"""A live segment against the script's: sequence numbers, SACK edges and timestamps mapped, then field by field.

What the script leaves out (a window, `<...>`) is not compared, nor a timestamp's values without --tcp_ts_tick_usecs.
"""
from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

from linnet.drill.config import Config
from linnet.drill.packets import ACK, ECN_BITS, M32, SYN, Packet, option_bytes, options_text
from linnet.drill.script import FLAGS, DrillError, TcpSpec


@dataclass
class Sock:
    """A socket as the script knows it: its state, the live addresses, both sides' initial sequence numbers."""

    state: str = 'new'
    script_fd: int = -1
    live_fd: int = -1
    closed: bool = False
    local: int = 0
    local_port: int = 0
    remote: int = 0
    remote_port: int = 0
    script_local_isn: int = 0
    live_local_isn: int = 0
    remote_isn: int = 0
    ts_vals: dict[int, int] = field(default_factory=dict)
    first_ts: tuple[int, int] | None = None  # script's, live

    def out_offset(self, syn: bool) -> int:
        """What the live outbound sequence numbers are ahead of the script's."""
        return (self.live_local_isn - self.script_local_isn) & M32 if syn else self.live_local_isn

    def in_offset(self, syn: bool) -> int:
        """The same of the inbound ones."""
        return 0 if syn else self.remote_isn


def check_field(name: str, want: int, got: int) -> None:
    """DrillError in packetdrill's words unless they are equal."""
    if want != got:
        raise DrillError(f'live packet field {name}: expected: {want} (0x{want:x}) vs actual: {got} (0x{got:x})')


def shift_edges(data: bytes, offset: int) -> bytes:
    """SACK edges moved by an offset."""
    count = len(data) // 4
    return struct.pack(f'!{count}I', *((edge + offset) & M32 for edge in struct.unpack(f'!{count}I', data)))


def check_fragment(packet: Packet, before: Packet, missing: int) -> None:
    """A segment that goes on where the one before ended, with the same header."""
    mask = ~(FLAGS['F'] | FLAGS['P'] | FLAGS['W'])
    for name, want, got in (('tcp_seq', (before.seq + len(before.payload)) & M32, packet.seq),
                            ('tcp_flags', before.flags & mask, packet.flags & mask),
                            ('tcp_data_offset', before.doff, packet.doff), ('tcp_ack_seq', before.ack, packet.ack),
                            ('tcp_window', before.window, packet.window), ('tcp_urg_ptr', before.urg, packet.urg)):
        check_field(name, want, got)
    if len(packet.payload) < missing and len(packet.payload) != len(before.payload):
        raise DrillError(f'fragment payload: expected {len(before.payload)} bytes vs actual {len(packet.payload)} bytes')


def scripted(sock: Sock, packet: Packet, spec: TcpSpec | None) -> Packet:
    """The live segment in the script's numbers; notes its timestamp where the script has one."""
    syn = bool(packet.flags & SYN)
    offset = sock.in_offset(syn)
    options = []
    for kind, data in packet.options:
        if kind == 5:
            data = shift_edges(data, -offset)
        elif kind == 8 and len(data) == 8:
            val, ecr = struct.unpack('!II', data)
            want = [other for number, other in (spec.options or [] if spec is not None else []) if number == 8]
            if want:
                script_val = int.from_bytes(want[0][:4], 'big')
                sock.ts_vals[script_val] = val
                if sock.first_ts is None:
                    sock.first_ts = script_val, val
            if sock.first_ts is not None:
                data = struct.pack('!II', (val - sock.first_ts[1] + sock.first_ts[0]) & M32, ecr)
        options.append((kind, data))
    return replace(packet, seq=(packet.seq - sock.out_offset(syn)) & M32, options=tuple(options),
                   ack=(packet.ack - offset) & M32 if packet.flags & ACK else packet.ack)


def compare_header(spec: TcpSpec, got: Packet) -> None:
    """IP's and TCP's fields, in the order of the header."""
    if spec.ecn == 'ect01':
        if got.tos & 3 not in (1, 2):
            raise DrillError(f'live packet field ip_ecn: expected: 0x1 or 0x2 vs actual: 0x{got.tos & 3:x}')
    elif spec.ecn is not None:
        check_field('ip_ecn', ECN_BITS[spec.ecn], got.tos & 3)
    if spec.tos is not None:
        check_field('tos', spec.tos, got.tos)
    if spec.ttl is not None:
        check_field('ttl', spec.ttl, got.ttl)
    if spec.options is not None:
        check_field('tcp_data_offset', 5 + len(option_bytes(spec.options)) // 4, got.doff // 4)
    for name, letter in (('fin', 'F'), ('syn', 'S'), ('rst', 'R'), ('psh', 'P'), ('ack', '.'), ('urg', 'U'), ('ece', 'E'),
                         ('cwr', 'W'), ('ae', 'A')):
        check_field('tcp_' + name, int(bool(spec.flags & FLAGS[letter])), int(bool(got.flags & FLAGS[letter])))
    check_field('tcp_seq', spec.seq, got.seq)
    check_field('tcp_ack_seq', spec.ack & M32, got.ack)
    if spec.win is not None:
        check_field('tcp_window', spec.win, got.window)
    check_field('tcp_urg_ptr', spec.urg, got.urg)


def compare_options(config: Config, start: int, spec: TcpSpec, got: Packet) -> None:
    """TCP options, in order; a timestamp's values only where a tick is given."""
    want = spec.options or []
    if [kind for kind, _ in want] != [kind for kind, _ in got.options]:
        raise DrillError('bad outbound TCP options')
    for (kind, data), (_, actual) in zip(want, got.options, strict=True):
        if kind != 8:
            if data != actual:
                raise DrillError(f'bad value in outbound TCP option (kind={kind}): expected: {options_text([(kind, data)])} '
                                 f'actual: {options_text([(kind, actual)])}')
            continue
        tick = config.ts_tick
        tolerance = max(config.tolerance, int(config.percent / 100 * start))
        gap = (int.from_bytes(data[:4], 'big') - int.from_bytes(actual[:4], 'big') + (1 << 31)) & M32
        if tick and abs(gap - (1 << 31)) * tick > tolerance:
            raise DrillError(f'bad outbound TCP timestamp value, tolerance {tolerance}')
        if tick and data[4:] != actual[4:]:
            raise DrillError('bad outbound TCP timestamp echo reply')
