# SPDX-License-Identifier: Apache-2.0
"""ip_input: which packets are refused, why, and what is counted; where good ones go."""
from __future__ import annotations

import pytest

from helpers.ip_wire import ICMP, Bench, icmp, ip, udp
from linnet.include.linux.skbuff import PACKET_BROADCAST, PACKET_OTHERHOST

GOOD = ip(udp())

BAD = {
    'version 5': (ip(udp(), version=5), 'IP_INHDR', 'IpInHdrErrors'),
    'version 6': (ip(udp(), version=6), 'IP_INHDR', 'IpInHdrErrors'),
    'header of 16 bytes': (ip(udp(), ihl=4), 'IP_INHDR', 'IpInHdrErrors'),
    'header longer than the packet': (ip(b'', ihl=15), 'IP_INHDR', 'IpInHdrErrors'),
    'nineteen bytes': (GOOD[:19], 'IP_INHDR', 'IpInHdrErrors'),
    'one byte': (GOOD[:1], 'IP_INHDR', 'IpInHdrErrors'),
    'checksum': (ip(udp(), check=0x1234), 'IP_CSUM', 'IpExtInCsumErrors'),
    'a flipped bit': (bytes((*GOOD[:8], GOOD[8] ^ 1, *GOOD[9:])), 'IP_CSUM', 'IpExtInCsumErrors'),
    'cut short': (ip(udp(), total=200), 'PKT_TOO_SMALL', 'IpExtInTruncatedPkts'),
    'total length shorter than the header': (ip(udp(), total=19), 'IP_INHDR', 'IpInHdrErrors'),
    'source 224.0.0.1': (ip(udp(), src='224.0.0.1'), 'IP_INVALID_SOURCE', None),
    'source 255.255.255.255': (ip(udp(), src='255.255.255.255'), 'IP_INVALID_SOURCE', None),
    'source 0.0.0.0': (ip(udp(), src='0.0.0.0'), 'IP_INVALID_SOURCE', None),
    'source 127.0.0.1': (ip(udp(), src='127.0.0.1'), 'IP_LOCALNET', None),
    'source is ours': (ip(udp(), src='10.0.0.1'), 'IP_LOCAL_SOURCE', None),
    'destination 127.0.0.1': (ip(udp(), dst='127.0.0.1'), 'IP_LOCALNET', None),
    'destination 0.0.0.1': (ip(udp(), dst='0.0.0.1'), 'IP_INVALID_DEST', None),
    'not for us, and we do not forward': (ip(udp(), dst='192.0.2.1'), 'IP_INADDRERRORS', 'IpInAddrErrors'),
    'a group that nobody joined': (ip(udp(), dst='224.0.0.9'), 'IP_INVALID_DEST', None),
}


@pytest.mark.parametrize('name', BAD)
def test_refused(name: str) -> None:
    packet, reason, counter = BAD[name]
    host = Bench()
    live = host.live_packets()
    host.give(packet)
    assert host.drops() == {reason: 1}
    assert host.count('IpInReceives') == 1
    assert host.count('IpInDelivers') == 0
    if counter:
        assert host.count(counter) == 1
    assert host.taken() == []
    assert host.live_packets() == live


def test_checksum_errors_are_header_errors_too() -> None:
    host = Bench()
    host.give(ip(udp(), check=1))
    assert host.count('IpInHdrErrors') == 1


def test_for_another_host() -> None:
    host = Bench()
    host.give(GOOD, pkt_type=PACKET_OTHERHOST)
    assert host.drops() == {'OTHERHOST': 1}
    assert host.count('IpInReceives') == 0


def test_good_datagram_is_counted_and_read() -> None:
    host = Bench()
    fd = host.udp(6000)
    host.give(ip(udp(b'x' * 100), tos=3))
    assert host.recvfrom(fd) == (b'x' * 100, '10.0.0.2', 5000)
    assert host.count('IpInDelivers') == 1
    assert host.count('IpExtInOctets') == 128
    assert host.count('IpExtInCEPkts') == 1
    assert host.count('IpExtInNoECTPkts') == 0


def test_padding_of_the_link_is_cut_off() -> None:
    host = Bench()
    fd = host.udp(6000)
    host.give(ip(udp(b'ab')) + bytes(16))
    assert host.recv(fd) == b'ab'


def test_unknown_protocol_is_reported() -> None:
    host = Bench()
    host.give(ip(b'12345678', proto=200))
    assert host.drops() == {'IP_NOPROTO': 1}
    assert host.count('IpInUnknownProtos') == 1
    (answer,) = host.taken()
    assert answer.type == (3, 2)
    assert answer.dst == '10.0.0.2'


def test_broadcasts_are_ours() -> None:
    host = Bench()
    fd = host.udp(6000)
    host.give(ip(udp(b'net'), dst='10.0.0.255'), ip(udp(b'all'), dst='255.255.255.255'), pkt_type=PACKET_BROADCAST)
    assert [host.recv(fd), host.recv(fd)] == [b'net', b'all']
    assert host.count('IpExtInBcastPkts') == 2


def test_the_lowest_address_of_a_subnet_is_no_broadcast() -> None:
    host = Bench()
    host.give(ip(udp(), dst='10.0.0.0'))
    assert host.drops() == {'IP_INADDRERRORS': 1}


def test_unicast_in_a_broadcast_frame_can_be_refused() -> None:
    host = Bench()
    assert host.eth0.in_dev is not None
    host.eth0.in_dev.cnf.drop_unicast_in_l2_multicast = 1
    host.give(GOOD, pkt_type=PACKET_BROADCAST)
    assert host.drops() == {'UNICAST_IN_L2_MULTICAST': 1}


def test_reverse_path_filter() -> None:
    host = Bench()
    host.device('eth1', '10.1.0.1')
    fd = host.udp(6000)
    stray = ip(udp(b'stray'), src='10.1.0.9')
    host.give(stray)
    assert host.recv(fd) == b'stray'
    host.net.sysctl.set('net.ipv4.conf.all.rp_filter', '1')
    host.give(stray)
    assert host.drops() == {'IP_RPFILTER': 1}
    assert host.count('TcpExtIPReversePathFilter') == 1
    host.net.sysctl.set('net.ipv4.conf.all.rp_filter', '2')  # loose: any way back will do
    host.give(stray)
    assert host.recv(fd) == b'stray'
    host.give(ip(udp(), src='192.0.2.1'))
    assert host.drops() == {'IP_RPFILTER': 2}


def test_broadcast_echo_is_ignored_unless_asked_for() -> None:
    host = Bench()
    ping = ip(icmp(8), dst='10.0.0.255', proto=ICMP)
    host.give(ping, pkt_type=PACKET_BROADCAST)
    assert host.taken() == []
    host.net.sysctl.set('net.ipv4.icmp_echo_ignore_broadcasts', '0')
    host.give(ping, pkt_type=PACKET_BROADCAST)
    (answer,) = host.taken()
    assert answer.src == '10.0.0.1'


def test_routes_in_are_cached() -> None:
    host = Bench()
    host.udp(6000)
    host.give(GOOD)
    assert host.net.ipv4.fib_main is not None
    (alias,) = host.net.ipv4.fib_main.prefixes[32][0x0A000001]
    cached = alias.fa_info.fib_nh[0].nh_rth_input
    assert cached is not None
    host.give(GOOD)
    assert alias.fa_info.fib_nh[0].nh_rth_input is cached
    host.net.ipv4.rt_genid += 1
    host.give(GOOD)
    assert alias.fa_info.fib_nh[0].nh_rth_input is not cached
