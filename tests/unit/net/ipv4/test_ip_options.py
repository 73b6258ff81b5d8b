# SPDX-License-Identifier: Apache-2.0
"""ip_options: record route, timestamp and source routes, on packets that come in, go through and go out."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.hosts import fails
from helpers.ip_wire import ICMP, MF, Bench, icmp, ip, udp
from linnet.include.linux.inet import IP_OPTIONS, in_aton
from linnet.net.core.dev import dev_set_mtu
from linnet.net.ipv4.ip_options import ip_options_fragment


def quad(*addresses: str) -> bytes:
    return b''.join(in_aton(a).to_bytes(4, 'big') for a in addresses)


RR3 = b'\x07\x0f\x04' + bytes(12)
TS_ONLY = b'\x44\x0c\x05\x00' + bytes(8)
TS_ADDR = b'\x44\x14\x05\x01' + bytes(16)
LSRR = b'\x83\x07\x04' + quad('192.0.2.1')
RA = b'\x94\x04\0\0'


def router() -> Bench:
    host = Bench()
    host.device('eth1', '10.1.0.1')
    host.neighbour('10.1.0.2', 'eth1')
    host.net.sysctl.set('net.ipv4.ip_forward', '1')
    return host


def test_record_route_of_a_router() -> None:
    host = router()
    host.give(ip(udp(), dst='10.1.0.2', options=RR3))
    (out,) = host.taken('eth1')
    assert out.options[:15] == b'\x07\x0f\x08' + quad('10.1.0.1') + bytes(8)


def test_record_route_that_is_full_passes_unchanged() -> None:
    host = router()
    full = b'\x07\x07\x08' + quad('192.0.2.9')
    host.give(ip(udp(), dst='10.1.0.2', options=full))
    assert host.taken('eth1')[0].options[:7] == full


def test_timestamps_of_a_router() -> None:
    host = router()
    host.world.clock.now = 1234 * 1_000_000
    now = ((host.world.clock.epoch_ns // 1_000_000 + 1234) % 86_400_000).to_bytes(4, 'big')
    host.give(ip(udp(), dst='10.1.0.2', options=TS_ONLY), ip(udp(), dst='10.1.0.2', options=TS_ADDR))
    only, with_address = host.taken('eth1')
    assert only.options == b'\x44\x0c\x09\x00' + now + bytes(4)
    assert with_address.options == b'\x44\x14\x0d\x01' + quad('10.1.0.1') + now + bytes(8)


def test_timestamp_overflow_is_counted() -> None:
    host = router()
    host.give(ip(udp(), dst='10.1.0.2', options=b'\x44\x08\x09\x20' + bytes(4)))
    assert host.taken('eth1')[0].options == b'\x44\x08\x09\x30' + bytes(4)


def test_echo_answers_with_the_route_so_far() -> None:
    host = Bench()
    host.give(ip(icmp(8), proto=ICMP, options=RR3))
    (answer,) = host.taken()
    # the receiver records itself, and records itself again as it sends the answer
    assert answer.options[:11] == b'\x07\x0f\x0c' + quad('10.0.0.1', '10.0.0.1')


def test_source_routes_are_refused() -> None:
    host = router()
    host.give(ip(udp(), options=LSRR))
    assert host.drops() == {'IP_OPTIONS_ERROR': 1}
    assert host.taken() == []


def test_source_route_where_it_is_allowed() -> None:
    host = router()
    host.net.sysctl.set('net.ipv4.conf.all.accept_source_route', '1')
    host.give(ip(udp(), dst='10.0.0.1', options=b'\x83\x07\x04' + quad('10.1.0.2')))
    (out,) = host.taken('eth1')
    assert out.dst == '10.1.0.2'
    assert out.options[:7] == b'\x83\x07\x08' + quad('10.1.0.1')


@pytest.mark.parametrize(('options', 'pointer'), [
    (b'\x07\x02\0\0', 21), (b'\x07\x07\x03' + bytes(4), 22), (b'\x07\x07\x06' + bytes(4), 22), (RR3 + RR3, 35),
    (b'\x44\x03\x05\0', 21), (b'\x44\x08\x04\0' + bytes(4), 22), (b'\x44\x08\x05\x01' + bytes(4), 22),
    (b'\x44\x08\x09\xf0' + bytes(4), 23),
    (b'\x83\x07\x03' + bytes(4), 22), (LSRR + LSRR, 27), (b'\x55\x01\0\0', 20), (b'\x55\x09\0\0', 20), (b'\x01\x01\x01\x55', 23),
    (b'\x94\x03\0\0', 21),
])
def test_malformed(options: bytes, pointer: int) -> None:
    host = Bench()
    host.give(ip(udp(), options=options))
    (error,) = host.taken()
    assert error.type == (12, 0)
    assert error.payload[4] == pointer
    assert host.drops() == {'IP_OPTIONS_ERROR': 1}
    assert host.count('IpInHdrErrors') == 1


@given(st.binary(min_size=1, max_size=40))
def test_any_bytes_do_no_harm(options: bytes) -> None:
    host = router()
    host.net.sysctl.set('net.ipv4.conf.all.accept_source_route', '1')
    live = host.live_packets()
    host.give(ip(udp(), options=options), ip(udp(), options=options, dst='10.1.0.2'), ip(icmp(8), proto=ICMP, options=options))
    host.taken()
    host.taken('eth1')
    host.world.sched.run()
    assert host.live_packets() == live


def test_a_sockets_own_options() -> None:
    host = Bench()
    fd = host.udp(7000)
    host.setopt(fd, 0, IP_OPTIONS, RR3)
    host.sendto(fd, b'x', '10.0.0.2', 9)
    (out,) = host.taken()
    assert out.options[:15] == b'\x07\x0f\x08' + quad('10.0.0.1') + bytes(8)
    for bad in (b'\x07\x02', bytes(41), b'\x44\x08\x05\x07' + bytes(4)):
        with fails('EINVAL'):
            host.setopt(fd, 0, IP_OPTIONS, bad)
    host.setopt(fd, 0, IP_OPTIONS, b'')
    host.sendto(fd, b'x', '10.0.0.2', 9)
    assert host.taken()[0].options == b''


def test_a_sockets_source_route() -> None:
    """The packet goes to the first hop; the true destination ends the list."""
    host = Bench()
    fd = host.udp(7000)
    host.setopt(fd, 0, IP_OPTIONS, b'\x83\x0b\x04' + quad('10.0.0.2', '192.0.2.7'))
    host.sendto(fd, b'x', '192.0.2.1', 9)
    (out,) = host.taken()
    assert out.dst == '10.0.0.2'
    assert out.options[:11] == b'\x83\x0b\x04' + quad('192.0.2.7', '192.0.2.1')


def test_options_of_fragments() -> None:
    host = Bench()
    dev_set_mtu(host.eth0, 200)
    fd = host.udp(7000)
    host.setopt(fd, 0, 10, 0)
    host.setopt(fd, 0, IP_OPTIONS, RA + RR3)
    host.sendto(fd, b'x' * 400, '10.0.0.2', 9)
    first, second, third = host.taken()
    assert first.options[:7] == RA + b'\x07\x0f\x08'
    assert second.options == third.options == RA + b'\x01' * 15 + b'\0'
    assert first.off == MF


def test_what_is_copied() -> None:
    assert ip_options_fragment(RR3 + b'\0') == b'\x01' * 15 + b'\0'
    assert ip_options_fragment(LSRR + b'\0') == LSRR + b'\0'
    assert ip_options_fragment(b'\x01' + RA + TS_ONLY) == b'\x01' + RA + b'\x01' * 12
