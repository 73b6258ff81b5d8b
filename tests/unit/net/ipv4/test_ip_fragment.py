# SPDX-License-Identifier: Apache-2.0
"""ip_fragment: what comes in pieces is put together, in whatever order, or refused as a whole."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.ip_wire import DF, MF, Bench, Ip, fragments, ip, udp

SECOND = 1_000_000_000


def reader() -> tuple[Bench, int]:
    host = Bench()
    return host, host.nonblocking(host.udp(6000))


def received(host: Bench, fd: int) -> bytes | None:
    try:
        return host.recv(fd)
    except BlockingIOError:
        return None


@given(st.binary(min_size=1, max_size=4000), st.integers(1, 180), st.randoms(use_true_random=False), st.integers(0, 3))
def test_any_order_and_duplicates(payload: bytes, eighths: int, random: object, twice: int) -> None:
    host, fd = reader()
    live = host.live_packets()
    pieces = fragments(ip(udp(payload)), eighths * 8)
    random.shuffle(pieces)  # type: ignore[attr-defined]
    # a duplicate is harmless while the datagram is not complete
    order = pieces[:-1]
    order[:0] = order[:twice]
    host.give(*order, pieces[-1])
    assert received(host, fd) == payload
    assert received(host, fd) is None
    assert host.live_packets() == live
    if len(pieces) > 1:
        assert host.count('IpReasmOKs') == 1
        assert host.count('IpReasmReqds') == len(order) + 1
        assert host.drops() == ({'DUP_FRAG': min(twice, len(pieces) - 1)} if twice else {})


def test_time_out_is_reported_when_the_first_fragment_is_there() -> None:
    host, fd = reader()
    live = host.live_packets()
    first, second, third = fragments(ip(udp(b'x' * 40), ident=5), 16)
    host.give(first, third)
    host.world.sched.run(int(host.world.clock.now) + 29 * SECOND)
    assert host.taken() == []
    host.world.sched.run(int(host.world.clock.now) + 2 * SECOND)
    (error,) = host.taken()
    assert error.type == (11, 1)
    assert Ip(error.payload[8:]).ident == 5
    assert host.drops() == {'FRAG_REASM_TIMEOUT': 2}
    assert host.count('IpReasmTimeout') == 1
    assert host.count('IpReasmFails') == 1
    host.give(second)
    assert received(host, fd) is None
    host.world.sched.run()
    assert host.live_packets() == live


def test_time_out_in_silence_without_the_first() -> None:
    host, _ = reader()
    _, second, _ = fragments(ip(udp(b'x' * 40)), 16)
    host.give(second)
    host.world.sched.run()
    assert host.taken() == []
    assert host.count('IpReasmTimeout') == 1


@pytest.mark.parametrize('overlap', [
    ip(b'z' * 16, off=1 | MF), ip(b'z' * 24, off=0 | MF), ip(b'z' * 8 + b'y' * 8, off=1 | MF), ip(b'z' * 32, off=0 | MF),
])
def test_an_overlap_is_the_end_of_all(overlap: bytes) -> None:
    host, fd = reader()
    live = host.live_packets()
    pieces = fragments(ip(udp(b'x' * 40)), 16)
    host.give(pieces[0])
    host.give(overlap)
    assert host.live_packets() == live
    assert host.count('IpReasmFails') == 1
    assert host.count('IpExtReasmOverlaps') == 1
    host.give(*pieces[1:])
    assert received(host, fd) is None


def test_contained_in_what_is_there() -> None:
    host, fd = reader()
    pieces = fragments(ip(udp(b'x' * 40)), 16)
    host.give(pieces[0], pieces[1])
    host.give(ip(b'q' * 16, off=1 | MF))  # bytes 8 to 24, over the seam of both
    assert host.drops() == {'DUP_FRAG': 1}
    host.give(pieces[2])
    assert received(host, fd) == b'x' * 40


@pytest.mark.parametrize('bad', [
    [ip(b'a' * 16, off=MF), ip(b'a' * 8, off=4), ip(b'a' * 8, off=8 | MF)],  # behind the end
    [ip(b'a' * 16, off=4), ip(b'a' * 8, off=2)],  # the last ends before the known end
    [ip(b'a' * 8, off=4), ip(b'a' * 16, off=4)],  # two ends
    [ip(b'', off=4 | MF)],  # empty
    [ip(b'abcd', off=4 | MF)],  # no eight bytes in it
])
def test_contradictions(bad: list[bytes]) -> None:
    host, _ = reader()
    live = host.live_packets()
    host.give(*bad)
    assert host.count('IpReasmFails') == 1
    assert host.live_packets() == live


def test_larger_than_a_datagram_can_be() -> None:
    host, _ = reader()
    live = host.live_packets()
    host.give(*[ip(b'a' * 1400, off=n * 175 | MF) for n in range(46)], ip(b'a' * 1400, off=46 * 175))
    assert host.count('IpReasmFails') == 1
    assert host.live_packets() == live


def test_memory_is_limited() -> None:
    host, _ = reader()
    host.net.sysctl.set('net.ipv4.ipfrag_high_thresh', '65536')
    for n in range(100):
        host.give(ip(b'a' * 1400, off=MF, ident=n))
    assert 0 < host.drops()['NOMEM'] < 80
    assert host.count('IpReasmFails') == host.drops()['NOMEM']


def test_a_stale_queue_begins_anew() -> None:
    """More than 64 fragments of other datagrams of the same source came since: the identification went round."""
    host, fd = reader()
    first, second = fragments(ip(udp(b'old' * 5), ident=7), 16)
    host.give(first)
    host.give(*[ip(b'a' * 8, off=MF, ident=1000 + n) for n in range(65)])
    new_first, new_second = fragments(ip(udp(b'new' * 5), ident=7), 16)
    host.give(second)
    assert received(host, fd) is None
    host.give(new_first)
    assert received(host, fd) == (b'new' * 5)[:8] + (b'old' * 5)[8:]  # the second is kept: it came after the reset
    assert host.drops() == {'FRAG_TOO_FAR': 1}
    assert new_second


def test_ecn_of_the_whole() -> None:
    host, fd = reader()
    host.setopt(fd, 0, 13, 1)
    ect = fragments(ip(udp(b'x' * 16), tos=2, ident=1), 16)
    marked = fragments(ip(udp(b'x' * 16), tos=3, ident=1), 16)
    host.give(ect[0], marked[1])
    assert received(host, fd) == b'x' * 16
    plain = fragments(ip(udp(b'x' * 16), tos=0, ident=2), 16)
    bad = fragments(ip(udp(b'x' * 16), tos=3, ident=2), 16)
    host.give(plain[0], bad[1])
    assert received(host, fd) is None
    assert host.count('IpReasmFails') == 1


def test_datagrams_are_told_apart() -> None:
    host, fd = reader()
    a = fragments(ip(udp(b'a' * 20), ident=1), 16)
    b = fragments(ip(udp(b'b' * 20), ident=2), 16)
    c = fragments(ip(udp(b'c' * 20), ident=1, src='10.0.0.3'), 16)
    host.give(a[0], b[0], c[0], c[1], b[1], a[1])
    assert [received(host, fd) for _ in range(3)] == [b'c' * 20, b'b' * 20, b'a' * 20]


def test_df_fragments_are_remembered() -> None:
    """Fragments that came with DF keep it if they are sent on in pieces (Linux since 4.2)."""
    host, fd = reader()
    pieces = [ip(p[20:], off=int.from_bytes(p[6:8], 'big') | DF) for p in fragments(ip(udp(b'x' * 20)), 16)]
    host.give(*pieces)
    assert received(host, fd) == b'x' * 20


def test_slab() -> None:
    host, _ = reader()
    host.give(ip(b'a' * 8, off=MF))
    assert host.world.slab.active()['ip4-frags'] == 1
    host.world.sched.run()
    assert 'ip4-frags' not in host.world.slab.active()
