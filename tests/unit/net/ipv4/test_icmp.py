# SPDX-License-Identifier: Apache-2.0
"""icmp: echo, errors and their rules, limits, and what errors teach."""
from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.hosts import Pair, fails
from helpers.ip_wire import DF, ICMP, MF, Bench, Ip, icmp, ip, udp
from linnet.include.linux.skbuff import PACKET_BROADCAST

SECOND = 1_000_000_000


def ping(payload: bytes = b'ping', **header: object) -> bytes:
    return ip(icmp(8, 0, b'\x12\x34\0\x01', payload), proto=ICMP, **header)  # type: ignore[arg-type]


@given(st.binary(max_size=3000))
def test_echo(payload: bytes) -> None:
    host = Bench()
    host.give(ping(payload, tos=0x2C))
    out = host.taken()
    whole = b''.join(p.payload for p in out)
    assert whole[:2] == b'\0\0'
    assert whole[4:] == b'\x12\x34\0\x01' + payload
    assert {p.tos for p in out} == {0x2C}
    if len(out) == 1:
        assert out[0].type == (0, 0)
    assert host.count('IcmpInEchos') == host.count('IcmpOutEchoReps') == 1


def test_echo_can_be_ignored() -> None:
    host = Bench()
    host.net.sysctl.set('net.ipv4.icmp_echo_ignore_all', '1')
    host.give(ping())
    assert host.taken() == []
    assert host.drops() == {}


def test_checksum() -> None:
    host = Bench()
    broken = bytearray(ping())
    broken[-1] ^= 1
    host.give(bytes(broken))
    assert host.drops() == {'ICMP_CSUM': 1}
    assert host.count('IcmpInCsumErrors') == host.count('IcmpInErrors') == 1


def test_too_short_and_unknown() -> None:
    host = Bench()
    host.give(ip(b'\x08\0\xf7\xff', proto=ICMP), ip(icmp(99), proto=ICMP))
    assert host.drops() == {'PKT_TOO_SMALL': 1, 'UNHANDLED_PROTO': 1}
    assert host.taken() == []


def test_timestamp() -> None:
    host = Bench()
    host.world.clock.now = 5 * SECOND
    host.give(ip(icmp(13, 0, b'\0\1\0\2', struct.pack('!III', 1000, 0, 0)), proto=ICMP))
    (answer,) = host.taken()
    assert answer.type == (14, 0)
    ident, seq, originate, receive, transmit = struct.unpack('!HHIII', answer.payload[4:20])
    assert (ident, seq, originate) == (1, 2, 1000)
    day = (host.world.clock.epoch_ns + 5 * SECOND) // 1_000_000 % 86_400_000
    assert receive == transmit == day
    assert host.count('IcmpOutTimestampReps') == 1


def test_port_unreachable() -> None:
    host = Bench()
    question = ip(udp(b'x' * 1000), tos=4)
    host.give(question)
    (error,) = host.taken()
    assert error.type == (3, 3)
    assert (error.src, error.dst) == ('10.0.0.1', '10.0.0.2')
    assert error.payload[8:] == question[:548]
    assert error.tos == 0xC4
    assert host.drops() == {'NO_SOCKET': 1}


SILENT = {
    'a broadcast': (ip(udp(), dst='10.0.0.255'), PACKET_BROADCAST),
    'a broadcast frame': (ip(udp()), PACKET_BROADCAST),
    'a later fragment': (ip(b'x' * 8, off=4, proto=200), 0),
    'an ICMP error': (ip(icmp(3, 9, payload=ip(udp(), src='10.0.0.1', dst='10.0.0.2')), proto=ICMP), 0),
}


@pytest.mark.parametrize('what', SILENT)
def test_no_error_about(what: str) -> None:
    host = Bench()
    packet, pkt_type = SILENT[what]
    host.give(packet, pkt_type=pkt_type)
    assert host.taken() == []
    host.world.sched.run()
    assert host.count('IcmpOutMsgs') == 0


def test_limit_of_one_peer() -> None:
    """Six at once, then one a second."""
    host = Bench()
    for _ in range(20):
        host.give(ip(udp()))
    assert len(host.taken()) == 6
    assert host.count('IcmpOutRateLimitHost') == 14
    host.world.clock.now += SECOND
    host.give(ip(udp()), ip(udp()))
    assert len(host.taken()) == 1


def test_limit_of_the_host() -> None:
    host = Bench()
    for n in range(2, 200):
        host.neighbour(f'10.0.0.{n}')
    for n in range(2, 200):
        host.give(ip(udp(), src=f'10.0.0.{n}'))
    sent = len(host.taken())
    assert 25 <= sent <= 100  # 50 tokens; an error takes none to two
    assert host.count('IcmpOutRateLimitGlobal') == 198 - sent


def test_echo_is_not_limited() -> None:
    host = Bench()
    for _ in range(300):
        host.give(ping())
    assert len(host.taken()) == 300


def test_connected_socket_hears_that_its_port_is_closed() -> None:
    pair = Pair()

    def client() -> None:
        fd = pair.a.udp()
        pair.a.connect(fd, '10.0.0.2', 9)
        pair.a.send(fd, b'anyone?')
        with fails('ECONNREFUSED'):
            pair.a.recv(fd)

    pair.run(client)
    assert pair.net_b.mib.get('UdpNoPorts') == 1
    assert pair.net_a.mib.get('IcmpInDestUnreachs') == 1
    assert pair.net_b.mib.get('IcmpOutDestUnreachs') == 1


def frag_needed(mtu: int, dst: str, sport: int, dport: int, src: str = '10.0.0.254') -> bytes:
    quoted = ip(udp(b'x' * 20, sport=sport, dport=dport), src='10.0.0.1', dst=dst, off=DF)
    return ip(icmp(3, 4, struct.pack('!HH', 0, mtu), quoted), proto=ICMP, src=src)


def test_path_mtu_is_learnt_and_forgotten() -> None:
    host = Bench()
    host.neighbour('10.0.0.254')
    assert host.route('0.0.0.0/0', via='10.0.0.254') == 0
    fd = host.udp(7000)
    host.connect(fd, '192.0.2.1', 9)
    host.send(fd, b'x' * 1400)
    (whole,) = host.taken()
    assert whole.off == DF
    host.give(frag_needed(1000, '192.0.2.1', 7000, 9))
    with fails('EMSGSIZE'):  # a connected socket is told
        host.send(fd, b'')
    host.send(fd, b'x' * 1400)
    assert [(p.off, len(p.data)) for p in host.taken()] == [(MF, 996), (122, 452)]
    assert host.getopt(fd, 0, 14) == 1000
    other = host.udp(7001)
    host.connect(other, '192.0.2.2', 9)
    assert host.getopt(other, 0, 14) == 1500
    host.world.clock.now += 601 * SECOND
    host.send(fd, b'x' * 1400)
    assert [len(p.data) for p in host.taken()] == [1428]


def test_path_mtu_is_never_believed_below_the_floor() -> None:
    host = Bench()
    host.neighbour('10.0.0.254')
    host.route('0.0.0.0/0', via='10.0.0.254')
    fd = host.udp(7000)
    host.connect(fd, '192.0.2.1', 9)
    host.give(frag_needed(68, '192.0.2.1', 7000, 9))
    with fails('EMSGSIZE'):
        host.send(fd, b'')
    host.send(fd, b'x' * 600)
    out = host.taken()
    assert [len(p.data) for p in out] == [548, 100]  # 552, rounded down to whole eights of payload
    assert all(p.off & DF == 0 for p in out)


def test_no_pmtu_disc() -> None:
    host = Bench()
    host.net.sysctl.set('net.ipv4.ip_no_pmtu_disc', '2')
    fd = host.udp(7000)
    host.connect(fd, '10.0.0.2', 9)
    host.give(frag_needed(1000, '10.0.0.2', 7000, 9, src='10.0.0.2'))
    host.send(fd, b'x' * 1400)
    assert len(host.taken()) == 1


def redirect(gateway: str, dst: str, src: str = '10.0.0.254') -> bytes:
    quoted = ip(udp(b'x' * 20, sport=7000, dport=9), src='10.0.0.1', dst=dst)
    return ip(icmp(5, 1, bytes(int(x) for x in gateway.split('.')), quoted), proto=ICMP, src=src)


def test_redirect_is_heeded() -> None:
    host = Bench()
    host.neighbour('10.0.0.254')
    host.neighbour('10.0.0.253')
    host.route('0.0.0.0/0', via='10.0.0.254')
    fd = host.udp(7000)
    host.connect(fd, '192.0.2.1', 9)
    host.send(fd, b'1')
    host.taken()
    host.give(redirect('10.0.0.253', '192.0.2.1'))
    dst = host.net.ipv4.fib_main
    assert dst is not None
    (alias,) = dst.prefixes[0][0]
    assert alias.fa_info.fib_nh[0].nh_exceptions[0xC0000201].fnhe_gw == 0x0A0000FD
    host.send(fd, b'2')
    assert len(host.taken()) == 1
    assert host.count('IcmpInRedirects') == 1


def test_redirect_of_a_tcp_connection() -> None:
    host = Bench()
    host.neighbour('10.0.0.254')
    host.neighbour('10.0.0.253')
    host.route('0.0.0.0/0', via='10.0.0.254')
    fd = host.nonblocking(host.socket())
    with fails('EINPROGRESS'):
        host.connect(fd, '192.0.2.1', 80)
    (syn,) = host.taken()
    host.give(ip(icmp(5, 1, bytes((10, 0, 0, 253)), syn.data), proto=ICMP, src='10.0.0.254'))
    assert host.net.ipv4.fib_main is not None
    (alias,) = host.net.ipv4.fib_main.prefixes[0][0]
    assert alias.fa_info.fib_nh[0].nh_exceptions[0xC0000201].fnhe_gw == 0x0A0000FD


@pytest.mark.parametrize('bad', [
    redirect('10.0.0.253', '192.0.2.1', src='10.0.0.77'),  # not from the gateway in use
    redirect('10.0.0.254', '192.0.2.1'),  # to itself
    redirect('10.0.0.1', '192.0.2.1'),  # to this host
    redirect('224.0.0.1', '192.0.2.1'),
    redirect('192.0.2.99', '192.0.2.1'),  # nobody there who answers
])
def test_redirects_that_are_not_believed(bad: bytes) -> None:
    host = Bench()
    host.neighbour('10.0.0.254')
    host.neighbour('10.0.0.253')
    host.route('0.0.0.0/0', via='10.0.0.254')
    host.give(bad)
    assert host.net.ipv4.fib_main is not None
    (alias,) = host.net.ipv4.fib_main.prefixes[0][0]
    assert alias.fa_info.fib_nh[0].nh_exceptions == {}


def test_errors_reach_raw_sockets_and_the_mib() -> None:
    host = Bench()
    raw = host.nonblocking(host.socket(3, ICMP))
    host.give(ip(icmp(3, 1, payload=ip(udp(), src='10.0.0.1', dst='10.0.0.2')), proto=ICMP))
    assert Ip(host.recv(raw)).type == (3, 1)


def test_quotes_that_are_no_packets() -> None:
    host = Bench()
    host.give(ip(icmp(3, 1, payload=b'short'), proto=ICMP))
    host.give(ip(icmp(3, 1, payload=ip(b'', ihl=4)), proto=ICMP))
    host.give(ip(icmp(3, 1, payload=ip(b'1234', src='10.0.0.1')), proto=ICMP))
    assert host.count('IcmpInErrors') == 3
    assert host.taken() == []


def test_errors_can_come_from_the_inbound_address() -> None:
    host = Bench()
    host.device('eth1', '10.1.0.1')
    host.neighbour('10.1.0.2', 'eth1')
    host.net.sysctl.set('net.ipv4.ip_forward', '1')
    host.net.sysctl.set('net.ipv4.icmp_errors_use_inbound_ifaddr', '1')
    host.give(ip(udp(), src='10.1.0.2', dst='10.9.9.9'))
    (error,) = host.taken('eth1')
    assert error.src == '10.0.0.1'


def test_nothing_leaks() -> None:
    host = Bench()
    live = host.live_packets()
    host.give(ip(udp()), ping(b'x' * 3000), ip(icmp(3, 1, payload=b'short'), proto=ICMP))
    assert host.live_packets() == live
