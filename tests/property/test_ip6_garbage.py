# SPDX-License-Identifier: Apache-2.0
"""Whatever bytes come in over IPv6, a router neither stops nor keeps them."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helpers.frames6 import tcp6_frame
from helpers.ip6_wire import DSTOPTS, FAR, FRAGMENT, HOP, ROUTING, Bench6, fraghdr, fragment, ip6, options, routing
from linnet.include.linux.in6 import in6_bytes, in6_pton
from linnet.include.linux.skbuff import PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST

TCP = tcp6_frame(b'data', flags=2, src=in6_bytes(in6_pton('2001:db8:1::2')), dst=in6_bytes(in6_pton('2001:db8:1::1')))[14:]
SOUND = [
    ip6(), ip6(dst=FAR), ip6(bytes(700), dst=FAR), TCP, ip6(dst='ff02::1'), ip6(hops=1, dst=FAR), ip6(b'', 199),
    ip6(options(b'\x05\x02\0\0' + b'\x1e\2ab' + b'\xc2\x04\0\1\0\0') + b'data', HOP),
    ip6(options(b'\x9e\2ab') + b'data', DSTOPTS),
    ip6(options(b'', ROUTING) + routing(0, 0, FRAGMENT) + fraghdr(0, True) + bytes(16), HOP),
    ip6(routing(0, 1) + b'data', ROUTING), fragment(bytes(24), 0, True), fragment(bytes(16), 24, False),
    fragment(bytes(24), 16, True),
    *[ip6(bytes([kind, code, 0, 0]) + b'\0\0\5\x14' + ip6(src='2001:db8:1::1', dst='2001:db8:1::2'), 58)
      for kind in (1, 2, 3, 4, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 143) for code in (0, 3)],
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sound packet with some bytes changed, cut or added."""
    packet = bytearray(draw(st.sampled_from(SOUND)))
    for _ in range(draw(st.integers(0, 4))):
        packet[draw(st.integers(0, len(packet) - 1))] = draw(st.integers(0, 255))
    packet = packet[:draw(st.integers(0, len(packet)))] if draw(st.booleans()) else packet
    packet += draw(st.binary(max_size=8))
    if len(packet) >= 40 and draw(st.booleans()):
        packet[4:6] = (len(packet) - 40).to_bytes(2, 'big')
    return bytes(packet)


ARRIVALS = st.lists(st.tuples(damaged(), st.sampled_from([PACKET_HOST, PACKET_BROADCAST, PACKET_MULTICAST])), max_size=12)


@given(ARRIVALS, st.booleans(), st.sampled_from([54, 60, 100, 400]), st.booleans())
def test_any_packets(packets: list[tuple[bytes, int]], forwards: bool, linear: int, tells: bool) -> None:
    host = Bench6()
    host.net.ipv6.devconf_all.forwarding = int(forwards)
    host.join('ff02::1')
    if tells:
        host.net.ipv6.icmp6_sender = host.sender
    for packet, kind in packets:
        host.give(packet, pkt_type=kind, linear=linear)
    host.pass_time(130_000)
    assert host.nothing_left()
    assert host.net.ipv6.ip6_frags.mem == 0
