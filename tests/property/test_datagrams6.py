# SPDX-License-Identifier: Apache-2.0
"""Whatever comes in, whatever a program tries: UDP, raw and ping sockets over IPv6 raise nothing but errnos, and keep nothing."""
from __future__ import annotations

import contextlib
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.datagram6_duel import HERE, STRANGER, THERE, icmp6, ip6, udp6
from helpers.wire6 import Socket6, Wire6
from linnet.include.linux.socket import MSG_ERRQUEUE, MSG_MORE, MSG_PEEK, SOCK_DGRAM, SOCK_RAW, SOL_IPV6

QUOTED = ip6(struct.pack('!HHHH', 5000, 7000, 12, 0) + b'lost', src=HERE, dst=THERE)
PEERS = st.sampled_from([THERE, STRANGER, '::', '::1', 'ff02::1', '::ffff:10.0.0.1'])
GOALS = st.sampled_from([HERE, HERE, 'ff02::1', 'ff02::2', '::1', STRANGER])
NUMBERS = st.sampled_from([-1, 0, 7, 8, 65535])
DATA = st.binary(max_size=120)

datagrams = st.builds(udp6, DATA, sport=st.sampled_from([0, 7000]), dport=st.sampled_from([5000, 5001, 9]), src=PEERS, dst=GOALS,
                      length=NUMBERS, check=st.sampled_from([-1, -1, 0, 77]))
errors = st.builds(lambda type, code, info, cut, src: icmp6(type, code, struct.pack('!I', info) + QUOTED[:cut], src),
                   st.integers(0, 255), st.integers(0, 8), st.sampled_from([0, 6, 40, 1280, 1400, 2**32 - 1]),
                   st.integers(0, 60), PEERS)
others = st.builds(ip6, DATA, st.sampled_from([0, 17, 43, 44, 58, 59, 60, 253]), PEERS, GOALS, length=NUMBERS)
packets = st.one_of(datagrams, errors, others)


def mangled(packet: bytes, at: int, bit: int) -> bytes:
    """The packet with a bit changed."""
    at %= len(packet)
    return packet[:at] + bytes([packet[at] ^ 1 << bit]) + packet[at + 1:]


def every_socket(wire: Wire6) -> list[Socket6]:
    """One socket of each kind, bound or connected."""
    socks = [wire.socket(SOCK_DGRAM), wire.socket(SOCK_DGRAM), wire.socket(SOCK_RAW, 17), wire.socket(SOCK_RAW, 58),
             wire.socket(SOCK_RAW, 253), wire.socket(SOCK_DGRAM, 58)]
    socks[0].bind(('::', 5000))
    socks[1].bind(('::', 5001))
    socks[1].connect((THERE, 7000))
    socks[5].bind(('::', 5000))
    for sock in socks:
        for option in (25, 49, 51, 53, 56, 58, 66):
            sock.setsockopt(SOL_IPV6, option, 1)
    return socks


def new_wire() -> Wire6:
    """A host on which ping sockets are allowed, at rest."""
    wire = Wire6(HERE)
    wire.net.ipv4.sysctl_ping_group_range[:] = [0, 100]
    wire.take(10_000_000_000)
    return wire


def leftovers(wire: Wire6) -> dict[str, int]:
    """What lives once all timers of it have run: sockets and packets."""
    wire.take(100_000_000_000)
    return {name: count for name, count in wire.world.slab.active().items() if name.startswith(('UDP', 'RAW', 'PING', 'skbuff'))}


@settings(max_examples=60)
@given(st.lists(st.tuples(packets, st.integers(0, 200), st.integers(0, 9)), min_size=1, max_size=12))
def test_whatever_comes_in(incoming: list[tuple[bytes, int, int]]) -> None:
    wire = new_wire()
    before = leftovers(wire)
    socks = every_socket(wire)
    for packet, at, bit in incoming:
        wire.inject(mangled(packet, at, bit) if bit < 8 else packet)
        wire.inject(packet)
    for sock in socks:
        for flags in (MSG_PEEK, 0, 0, MSG_ERRQUEUE):
            with contextlib.suppress(OSError):
                sock.recvmsg(50, 0, flags)
        sock.close()
    assert leftovers(wire) == before


names = st.tuples(st.sampled_from([THERE, HERE, '::', '::1', '::ffff:127.0.0.1', 'ff02::1', 'fe80::9', '2001:db8::1']),
                  st.sampled_from([0, 5000, 5001, 9]))
moves = st.one_of(
    st.tuples(st.just('bind'), names), st.tuples(st.just('connect'), names),
    st.tuples(st.just('send'), names, st.sampled_from([0, 1, 8, 1500, 70000]), st.sampled_from([0, MSG_MORE])),
    st.tuples(st.just('option'), st.integers(1, 80), st.one_of(st.integers(-2, 300), st.binary(max_size=24))),
    st.tuples(st.just('message'), names, st.integers(1, 80), st.binary(max_size=24)),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), moves), min_size=1, max_size=25))
def test_whatever_a_program_tries(script: list[tuple[int, tuple[object, ...]]]) -> None:
    wire = new_wire()
    before = leftovers(wire)
    socks = every_socket(wire)
    for number, move in script:
        sock = socks[number]
        with contextlib.suppress(OSError):
            match move:
                case ('bind', name):
                    sock.bind(name)  # type: ignore[arg-type]
                case ('connect', name):
                    sock.connect(name)  # type: ignore[arg-type]
                case ('send', name, size, flags):
                    sock.sendto(b'\x80\0' + bytes(size), flags, name)  # type: ignore[arg-type]
                case ('option', option, value):
                    sock.setsockopt(SOL_IPV6, option, value)  # type: ignore[arg-type]
                    sock.getsockopt(SOL_IPV6, option)  # type: ignore[arg-type]
                case ('message', name, kind, data):
                    sock.sendmsg([b'\x80\0\0\0\0\0\0\0'], [(SOL_IPV6, kind, data)], 0, name)  # type: ignore[list-item,arg-type]
    for sock in socks:
        sock.close()
    assert leftovers(wire) == before
