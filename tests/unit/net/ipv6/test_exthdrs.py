# SPDX-License-Identifier: Apache-2.0
"""Extension headers received: options known and unknown, padding, routing headers, and chains of them."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, RouterAlert

from helpers.ip6_wire import DSTOPTS, HERE, HOP, NONE, PROTO, ROUTING, THERE, Bench6, ip6, options, routing
from linnet.include.linux.ipv6 import IP6SKB_HOPBYHOP, IP6SKB_ROUTERALERT

ALERT = b'\x05\x02\0\0'
KINDS = {'hop-by-hop': HOP, 'destination': DSTOPTS}


def unknown(action: int) -> bytes:
    """An option of an unknown type with these two high bits."""
    return bytes([action << 6 | 0x1E, 2, 0xAB, 0xCD])


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('content', [b'', b'\0' * 6, b'\x01\x04' + bytes(4), b'\x01\0' * 3, b'\0\x01\x03' + bytes(3), unknown(0)])
def test_options_that_are_skipped(kind: str, content: bytes) -> None:
    host = Bench6()
    host.give(ip6(options(content) + b'data', KINDS[kind]))
    assert host.got == [b'data'] and host.errors == []
    assert host.sink.last['nexthdr'] == PROTO
    assert host.nothing_left()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('content', [
    b'\0' * 14,  # eight bytes of padding in a row
    b'\x01\x06' + bytes(6) + bytes(6), b'\x01\x04\0\0\x01\0', b'\x01\x05\0\0\0\0', b'\x1e\x09' + bytes(4), bytes(5) + b'\x1e',
    unknown(1),
])
def test_options_that_are_wrong_or_unwanted_end_the_packet_without_a_word(kind: str, content: bytes) -> None:
    host = Bench6()
    host.give(ip6(options(content) + b'data', KINDS[kind]))
    assert host.got == [] and host.errors == []
    assert host.count('InHdrErrors') == 1
    assert sum(host.drops().values()) == 1
    assert host.nothing_left()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('action', [2, 3])
def test_an_unknown_option_is_told_of_where_its_type_says_so(kind: str, action: int) -> None:
    host = Bench6()
    packet = ip6(options(b'\x01\0' + unknown(action)) + b'data', KINDS[kind])
    host.give(packet)
    assert host.got == []
    assert host.errors == [(4, 2, 44)]
    assert host.told.quoted == [packet]
    assert host.drops() == {'UNHANDLED_PROTO': 1}
    assert host.nothing_left()


@pytest.mark.parametrize(('action', 'told'), [(0, []), (1, []), (2, [(4, 2, 42)]), (3, [])])
def test_what_went_to_many_is_told_of_only_with_the_type_for_that(action: int, told: list) -> None:
    host = Bench6()
    host.join('ff02::99')
    host.give(ip6(options(unknown(action)) + b'data', DSTOPTS, dst='ff02::99'))
    assert host.errors == told
    assert host.got == ([b'data'] if action == 0 else [])


def test_more_options_than_the_sysctl_allows() -> None:
    host = Bench6()
    host.give(ip6(options(b'\x1e\0' * 8) + b'8', DSTOPTS), ip6(options(b'\x1e\0' * 9) + b'9', DSTOPTS))
    assert host.got == [b'8']
    host.net.ipv6.sysctl_max_dst_opts_cnt = 9
    host.give(ip6(options(b'\x1e\0' * 9) + b'9', DSTOPTS), ip6(options(b'\x1e\0' * 9) + b'9', HOP))
    assert host.got == [b'8', b'9']
    host.net.ipv6.sysctl_max_dst_opts_cnt = -1  # one, and none that is not known
    host.give(ip6(options(b'\x1e\0') + b'x', DSTOPTS), ip6(options(b'') + b'y', DSTOPTS))
    assert host.got == [b'8', b'9', b'y']
    host.net.ipv6.sysctl_max_dst_opts_len = 8
    host.give(ip6(options(bytes(2) + b'\x1e\x08' + bytes(8)) + b'z', DSTOPTS))
    assert host.got == [b'8', b'9', b'y']


def test_a_router_alert_is_noted() -> None:
    host = Bench6()
    host.give(ip6(options(ALERT) + b'data', HOP))
    assert host.got == [b'data']
    assert host.sink.last['flags'] & (IP6SKB_ROUTERALERT | IP6SKB_HOPBYHOP) == IP6SKB_ROUTERALERT | IP6SKB_HOPBYHOP
    host.give(ip6(options(b'\x05\x03\0\0\0') + b'wrong', HOP))
    assert host.got == [b'data']


def test_hop_by_hop_options_stand_first_or_nowhere() -> None:
    host = Bench6()
    host.give(ip6(options(b'', HOP) + options(b'') + b'data', DSTOPTS))
    assert host.got == []
    assert host.errors == [(4, 1, 40)]


@pytest.mark.parametrize('jumbo', [
    (b'\xc2\x04\0\x01\0\0', 0, (0, [], 'InHdrErrors')), (b'\xc2\x04\0\0\xff\xff', 0, (0, [(4, 0, 44)], 'InHdrErrors')),
    (b'\xc2\x04\0\x01\0\0', 16, (0, [(4, 0, 42)], 'InHdrErrors')), (b'\xc2\x03\0\x01\0', 0, (0, [], 'InHdrErrors')),
    (b'\0\0\xc2\x04\0\x01\0\0\0\0\0\0\0\0', 0, (0, [], 'InHdrErrors')),
])
def test_jumbo_payloads_that_are_wrong(jumbo: tuple) -> None:
    content, length, (got, told, counter) = jumbo
    host = Bench6()
    host.give(ip6(options(content) + bytes(16), HOP, length=length))
    assert len(host.got) == got and host.errors == told
    assert host.count(counter) >= 1
    assert host.nothing_left()


def test_a_jumbogram() -> None:
    """RFC 2675: more than 65535 bytes, told by an option."""
    host = Bench6()
    size = 70000
    host.give(ip6(options(b'\xc2\x04' + (size + 8).to_bytes(4, 'big')) + bytes(size) + b'padding of the link', HOP, length=0))
    assert [len(data) for data in host.got] == [size]


@pytest.mark.parametrize(('kind', 'left', 'told', 'got'), [
    (0, 0, [], 1), (0, 1, [(4, 0, 42)], 0), (1, 1, [(4, 0, 42)], 0), (99, 3, [(4, 0, 42)], 0), (99, 0, [], 1), (2, 0, [], 1),
    (3, 1, [], 0), (4, 1, [], 0), (4, 0, [], 0),
])
def test_routing_headers(kind: int, left: int, told: list, got: int) -> None:
    host = Bench6()
    host.give(ip6(routing(kind, left) + b'data', ROUTING))
    assert host.errors == told
    assert len(host.got) == got
    assert host.nothing_left()


@pytest.mark.parametrize('nexthdr', [HOP, DSTOPTS, ROUTING])
@pytest.mark.parametrize('body', [b'', b'\xfd\0\x01', b'\xfd\x01\x01\x04\0\0\0\0'])
def test_headers_that_are_cut_off(nexthdr: int, body: bytes) -> None:
    host = Bench6()
    host.give(ip6(body, nexthdr))
    assert host.got == [] and host.errors == []
    assert sum(host.drops().values()) == 1
    assert host.nothing_left()


@given(st.lists(st.sampled_from('dr'), max_size=4), st.booleans(), st.sampled_from([54, 60, 74, 400]), st.binary(max_size=40))
def test_chains_that_scapy_builds_are_walked_to_their_end(kinds: list[str], hop: bool, linear: int, data: bytes) -> None:
    packet = IPv6(src=THERE, dst=HERE)
    if hop:
        packet = packet / IPv6ExtHdrHopByHop(options=[RouterAlert()])
    for kind in kinds:
        packet = packet / (IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(3))]) if kind == 'd'
                           else IPv6ExtHdrRouting(segleft=0, addresses=['::1']))
    raw = bytearray(bytes(packet))
    at, nexthdr = 40, 6
    while at < len(raw):
        nexthdr, at = at, at + 8 * (raw[at + 1] + 1)
    raw[nexthdr] = PROTO
    raw += data
    raw[4:6] = (len(raw) - 40).to_bytes(2, 'big')
    host = Bench6()
    host.give(bytes(raw), linear=linear)
    assert host.got == [data]
    assert host.sink.last['hlen'] == len(raw) - len(data)


@given(st.sampled_from([HOP, DSTOPTS, ROUTING, 44, NONE, PROTO, 6, 17, 58, 51]),
       st.binary(max_size=80), st.sampled_from([54, 70, 200]))
def test_bytes_of_any_kind_are_taken_or_dropped_and_forgotten(nexthdr: int, body: bytes, linear: int) -> None:
    host = Bench6()
    host.give(ip6(body, nexthdr), linear=linear)
    host.pass_time(70_000)
    assert host.nothing_left()
