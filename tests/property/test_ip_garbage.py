# SPDX-License-Identifier: Apache-2.0
"""Whatever bytes come in, a router with open sockets of every kind neither stops nor keeps them.

Packets are sound ones, damaged: header checksums are mended where that lets the damage go deeper.
"""
from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from helpers.frames import checksum, tcp_frame
from helpers.ip_wire import ICMP, MF, Bench, icmp, ip, udp
from linnet.include.linux.inet import IP_RECVERR
from linnet.include.linux.skbuff import PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST

OPTIONS = b'\x07\x0b\x04' + bytes(8) + b'\x44\x0c\x05\x01' + bytes(8) + b'\x83\x07\x04\x0a\x01\0\x02' + b'\x94\x04\0\0'
QUOTED = ip(udp(sport=6000), src='10.0.0.1', dst='10.0.0.2')
SOUND = [
    ip(udp(b'x' * 40, dport=6000)), ip(udp(b'x' * 40), dst='10.1.0.2', options=OPTIONS), ip(udp(), options=OPTIONS),
    ip(udp(b'x' * 700), dst='10.1.0.2'), ip(b'x' * 24, off=MF), ip(b'x' * 24, off=3), ip(b'y' * 16, off=2 | MF),
    ip(icmp(8, payload=b'ping'), proto=ICMP), ip(icmp(13, payload=bytes(12)), proto=ICMP),
    *[ip(icmp(type, code, b'\0\0\2\x58', QUOTED), proto=ICMP) for type in (3, 4, 5, 11, 12) for code in (0, 1, 3, 4)],
    tcp_frame(b'data', flags=2, dst=b'\x0a\0\0\x01', src=b'\x0a\0\0\x02', ethernet=False),
    ip(udp(), dst='10.0.0.255'), ip(udp(), dst='224.0.0.1'), ip(udp(), ttl=1, dst='10.1.0.2'), ip(b'', proto=99),
]


def mended(packet: bytes) -> bytes:
    """The packet with the header checksum made right, where there is a header."""
    ihl = (packet[0] & 15) * 4 if packet else 0
    if ihl < 20 or len(packet) < ihl:
        return packet
    head = packet[:10] + b'\0\0' + packet[12:ihl]
    return head[:10] + struct.pack('!H', checksum(head)) + packet[12:]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sound packet with some bytes changed, cut or added."""
    packet = bytearray(draw(st.sampled_from(SOUND)))
    for _ in range(draw(st.integers(0, 4))):
        packet[draw(st.integers(0, len(packet) - 1))] = draw(st.integers(0, 255))
    packet = packet[:draw(st.integers(0, len(packet)))] if draw(st.booleans()) else packet
    packet += draw(st.binary(max_size=8))
    return mended(bytes(packet)) if draw(st.booleans()) else bytes(packet)


ARRIVALS = st.lists(st.tuples(damaged(), st.sampled_from([PACKET_HOST, PACKET_BROADCAST, PACKET_MULTICAST])), max_size=12)


@given(ARRIVALS, st.booleans())
def test_any_packets(packets: list[tuple[bytes, int]], forwards: bool) -> None:
    host = Bench()
    host.device('eth1', '10.1.0.1', mtu=576)
    host.neighbour('10.1.0.2', 'eth1')
    for name, value in (('ip_forward', int(forwards)), ('conf.all.accept_source_route', 1), ('icmp_echo_ignore_broadcasts', 0)):
        host.net.sysctl.set('net.ipv4.' + name, str(value))
    plain = host.udp(6000)
    host.setopt(plain, 0, IP_RECVERR, 1)
    raw = host.socket(3, ICMP)
    ping = host.socket(2, ICMP)
    listener = host.server(80)
    for packet, pkt_type in packets:
        host.give(packet, pkt_type=pkt_type)
    for dev in ('eth0', 'eth1'):
        host.taken(dev)
    for fd in (plain, raw, ping, listener):
        host.close(fd)
    host.world.sched.run()
    assert host.live_packets() == 0
