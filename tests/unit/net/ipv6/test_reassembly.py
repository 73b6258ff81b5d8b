# SPDX-License-Identifier: Apache-2.0
"""Reassembly: any order gives the whole; overlaps, holes, lies about lengths and lateness give nothing; memory is freed."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN, fragment6

from helpers.ip6_wire import DSTOPTS, FRAGMENT, HERE, PROTO, ROUTING, THERE, Bench6, fraghdr, fragment, ip6, options, routing
from linnet.include.linux.ipv6 import IP6SKB_FRAGMENTED

DATA = bytes(i * 7 % 251 for i in range(4000))


def cut(data: bytes, size: int, **more: object) -> list[bytes]:
    """data in fragments of `size` bytes."""
    return [fragment(data[at:at + size], at, at + size < len(data), **more) for at in range(0, len(data), size)]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4000), st.integers(3, 100), st.randoms(use_true_random=False), st.booleans(),
       st.sampled_from([54, 62, 100, 2000]))
def test_any_order_gives_the_whole(length: int, eights: int, random: object, twice: bool, linear: int) -> None:
    host = Bench6()
    pieces = cut(DATA[:length], eights * 8)
    if twice and len(pieces) > 2:
        pieces.insert(0, pieces[1])  # a duplicate while the queue stands
        rest = pieces[1:]
        random.shuffle(rest)
        pieces = pieces[:1] + rest
    else:
        random.shuffle(pieces)
    host.give(*pieces, linear=linear)
    assert host.got[0] == DATA[:length]
    assert host.sink.last['flags'] & IP6SKB_FRAGMENTED
    assert host.sink.last['hlen'] == (40 if len(pieces) > 1 else 48)
    assert host.count('ReasmOKs') == 1
    assert host.errors == []
    host.pass_time(61_000)
    assert host.nothing_left()
    fqdir = host.net.ipv6.ip6_frags
    assert not fqdir.queues and fqdir.mem == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(1300, 6000), st.integers(1280, 2000), st.randoms(use_true_random=False))
def test_what_scapy_cuts_is_put_together(length: int, mtu: int, random: object) -> None:
    data = bytes(i % 249 for i in range(length))
    behind = IPv6ExtHdrDestOpt(nh=PROTO, options=[PadN(optdata=bytes(2))]) / data
    packet = IPv6(src=THERE, dst=HERE) / IPv6ExtHdrFragment(id=99) / behind
    pieces = [bytes(piece) for piece in fragment6(packet, mtu)]
    random.shuffle(pieces)
    host = Bench6()
    host.give(*pieces)
    assert host.got == [data]


def test_headers_that_every_fragment_has_stay_in_front() -> None:
    host = Bench6()
    for offset, more in ((1000, False), (0, True)):
        data = DATA[offset:offset + 1000]
        host.give(ip6(routing(0, 0, DSTOPTS) + options(b'', FRAGMENT) + fraghdr(offset, more) + data, ROUTING))
    assert host.got == [DATA[:2000]]
    assert host.sink.last['hlen'] == 40 + 24 + 8
    assert host.sink.last['nexthdr'] == PROTO


def test_headers_behind_the_fragment_header_are_read_when_it_is_whole() -> None:
    host = Bench6()
    whole = options(b'\x1e\x01x') + DATA[:100]
    host.give(*cut(whole, 48, nexthdr=DSTOPTS))
    assert host.got == [DATA[:100]]


def test_one_fragment_alone_is_whole_whatever_else_waits() -> None:
    """RFC 6946: an atomic fragment is no part of a queue, whatever its identification."""
    host = Bench6()
    host.give(fragment(DATA[:16], 0, True), fragment(b'alone', 0, False), fragment(DATA[16:20], 16, False))
    assert host.got == [b'alone', DATA[:20]]
    assert host.count('ReasmOKs') == 2


@pytest.mark.parametrize('piece', [
    (8, 16, True), (0, 24, True), (16, 40, False), (8, 24, True),
], ids=str)
def test_what_overlaps_takes_the_queue_with_it(piece: tuple[int, int, bool]) -> None:
    """RFC 5722; duplicates to the byte range are no overlap."""
    start, end, more = piece
    host = Bench6()
    host.give(fragment(DATA[:16], 0, True), fragment(DATA[24:32], 24, True))
    host.give(fragment(DATA[start:end], start, more))
    host.give(fragment(DATA[16:24], 16, True), fragment(DATA[32:40], 32, False))
    duplicate = (start, end) == (8, 16) and more
    assert host.got == ([DATA[:40]] if duplicate else [])
    assert host.count('ReasmFails') == (0 if duplicate else 1)
    host.pass_time(61_000)
    assert host.nothing_left()


def test_a_second_end_and_what_lies_behind_the_end() -> None:
    host = Bench6()
    host.give(fragment(DATA[64:80], 64, False, ident=1), fragment(DATA[72:96], 72, False, ident=1))
    host.give(fragment(DATA[64:80], 64, False, ident=2), fragment(DATA[80:96], 80, True, ident=2))
    host.give(fragment(DATA[80:96], 80, True, ident=3), fragment(DATA[64:80], 64, False, ident=3))
    assert host.count('ReasmFails') == 3
    host.pass_time(61_000)
    assert host.got == [] and host.nothing_left()


@pytest.mark.parametrize(('packet', 'told'), [
    (fragment(DATA[:15], 0, True), (4, 0, 4)),  # not a multiple of eight, and more to come
    (fragment(DATA[:1000], 65000, False), (4, 0, 42)),  # beyond 65535
    (ip6(fraghdr(0, True)[:7], FRAGMENT), (4, 0, 40)),  # cut off
    (ip6(fraghdr(0, False, nexthdr=FRAGMENT) + fraghdr(0, True) + DATA[:8], FRAGMENT), (4, 0, 48)),  # a fragment of a fragment
    (fragment(bytes(16), 0, True, nexthdr=6), (4, 3, 0)),  # TCP's header is not all there (RFC 7112)
    (fragment(options(b'', 17) + bytes(0), 0, True, nexthdr=DSTOPTS), (4, 3, 0)),
], ids=lambda value: '' if isinstance(value, bytes) else str(value))
def test_lies_are_told_of(packet: bytes, told: tuple[int, int, int]) -> None:
    host = Bench6()
    host.give(packet)
    assert host.errors == [told]
    assert host.told.quoted == [packet]
    assert host.count('InHdrErrors') == 1
    host.pass_time(61_000)
    assert host.nothing_left()


def test_nothing_in_a_fragment_ends_the_queue() -> None:
    host = Bench6()
    host.give(fragment(DATA[:16], 0, True), fragment(b'', 16, False))
    assert host.count('ReasmFails') == 1
    assert host.nothing_left()


def test_after_a_minute_the_sender_is_told_with_the_first_fragment() -> None:
    host = Bench6()
    first = fragment(DATA[:1200], 0, True)
    host.give(fragment(DATA[1280:], 1280, False), first)
    host.pass_time(59_000)
    assert host.errors == []
    host.pass_time(2_000)
    assert host.errors == [(3, 1, 0)]
    assert host.told.quoted == [first]
    assert (host.count('ReasmTimeout'), host.count('ReasmFails')) == (1, 1)
    assert host.drops() == {'FRAG_REASM_TIMEOUT': 2}
    assert host.nothing_left()


def test_after_a_minute_without_the_first_fragment_nobody_is_told() -> None:
    host = Bench6()
    host.give(fragment(DATA[1280:], 1280, False))
    host.pass_time(61_000)
    assert host.errors == []
    assert host.count('ReasmTimeout') == 1
    assert host.nothing_left()


@pytest.mark.parametrize(('first', 'second', 'both'), [
    (0, 0, 0), (1, 1, 1), (2, 3, 3), (1, 3, 3), (0, 2, None), (0, 3, None), (1, 2, 1),
])
def test_ecn_of_the_whole(first: int, second: int, both: int | None) -> None:
    """RFC 3168, 5.3: CE of one part is CE of all; not-ECT beside others is a broken sender. ECT(0) beside ECT(1): the first's."""
    host = Bench6()
    host.give(fragment(DATA[:16], 0, True, tclass=first), fragment(DATA[16:20], 16, False, tclass=second))
    assert host.got == ([] if both is None else [DATA[:20]])
    if both is not None:
        assert host.sink.last['tos'] == both
    else:
        assert host.count('ReasmFails') == 1
    assert host.nothing_left()


def test_queues_are_told_apart_by_all_that_names_a_datagram() -> None:
    host = Bench6()
    names = [{'ident': 1}, {'ident': 2}, {'ident': 1, 'src': '2001:db8:1::3'}, {'ident': 1, 'dst': '2001:db8:2::1'}]
    for i, name in enumerate(names):
        host.give(fragment(DATA[:16 + 8 * i], 0, True, **name))
    for i, name in enumerate(names):
        host.give(fragment(b'end', 16 + 8 * i, False, **name))
    assert host.got == [DATA[:16 + 8 * i] + b'end' for i in range(4)]


def test_link_local_datagrams_are_of_one_link() -> None:
    host = Bench6()
    host.address('d1', 'fe80::ff:fe00:1/128')  # the same address on both links
    pieces = [fragment(DATA[:16], 0, True, src='fe80::9', dst='fe80::ff:fe00:1'),
              fragment(b'end', 16, False, src='fe80::9', dst='fe80::ff:fe00:1')]
    host.give(pieces[0], dev='d0')
    host.give(pieces[1], dev='d1')
    assert host.got == []
    host.give(pieces[1], dev='d0')
    assert host.got == [DATA[:16] + b'end']


def test_memory_is_bounded() -> None:
    host = Bench6()
    host.net.ipv6.sysctl_ip6frag_high_thresh = 20_000
    host.give(*(fragment(DATA[:1200], 0, True, ident=i) for i in range(100)))
    fqdir = host.net.ipv6.ip6_frags
    assert 20_000 < fqdir.mem < 24_000
    assert host.count('ReasmFails') == host.drops()['NOMEM'] == 100 - len(fqdir.queues)
    host.pass_time(61_000)
    assert fqdir.mem == 0 and host.nothing_left()


def test_the_largest_datagram_and_one_too_large() -> None:
    host = Bench6()
    data = bytes(65535)
    host.give(*cut(data, 8000))
    assert [len(got) for got in host.got] == [65535]
    # with headers in front of the fragment header the whole would be longer than its length field can say
    pieces = [ip6(options(b'', FRAGMENT) + fraghdr(at, at + 8000 < 65535) + data[at:at + 8000], DSTOPTS)
              for at in range(0, 65535, 8000)]
    host.give(*pieces)
    assert len(host.got) == 1
    assert host.count('ReasmFails') == 1
    assert host.nothing_left()
