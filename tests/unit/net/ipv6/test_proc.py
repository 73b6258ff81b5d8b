# SPDX-License-Identifier: Apache-2.0
"""The text of /proc/net/snmp6 and sockstat6, held against this machine's own files where it has them."""
from __future__ import annotations

from pathlib import Path

import pytest

from helpers.hosts6 import A, B, Pair6
from linnet.include.linux.socket import SOCK_DGRAM, SOCK_RAW
from linnet.net.ipv6.proc import snmp6_fields, snmp6_seq_show, sockstat6_seq_show

SNMP6, SOCKSTAT6 = Path('/proc/net/snmp6'), Path('/proc/net/sockstat6')


def test_counters_of_a_conversation() -> None:
    pair = Pair6()
    pair.b6.udp(5000)
    fd = pair.a6.socket(SOCK_DGRAM)
    pair.a6.sendto(fd, b'x', (B, 5000))
    pair.a6.sendto(fd, b'x', (B, 5001))
    pair.settle(1_000_000)
    a, b = dict(snmp6_fields(pair.net_a)), dict(snmp6_fields(pair.net_b))
    assert (a['Udp6OutDatagrams'], a['Icmp6InDestUnreachs'], a['Icmp6InType1']) == (2, 1, 1)
    assert (b['Udp6NoPorts'], b['Icmp6OutDestUnreachs'], b['Icmp6OutType1']) == (1, 1, 1)
    for name, value in a.items():
        if 'Type' not in name:
            assert pair.net_a.mib.get(name) == value
    assert 'Icmp6InType200' not in a
    assert f'{"Udp6OutDatagrams":<32}\t2\n' in snmp6_seq_show(pair.net_a)


def test_sockets_in_use() -> None:
    pair = Pair6()
    pair.a6.udp(5000)
    pair.a.udp(5001)
    pair.a6.socket(SOCK_RAW, 253)
    fd = pair.a6.socket()
    pair.a6.bind(fd, (A, 80))
    pair.a.listen(fd)
    assert sockstat6_seq_show(pair.net_a).splitlines() == [
        'TCP6: inuse 1', 'UDP6: inuse 1', 'UDPLITE6: inuse 0', 'RAW6: inuse 1', 'FRAG6: inuse 0 memory 0']


@pytest.mark.skipif(not SNMP6.exists(), reason='this machine has no IPv6')
def test_the_lines_are_linuxs() -> None:
    theirs = [line.split('\t')[0] for line in SNMP6.read_text().splitlines() if 'Type' not in line and 'UdpLite6' not in line]
    if 'Ip6OutTransmits' in ' '.join(theirs) and 'Icmp6OutRateLimitHost' in ' '.join(theirs):  # not on older kernels
        assert [line.split('\t')[0] for line in snmp6_seq_show(Pair6().net_a).splitlines() if 'Type' not in line] == theirs
    words = [line.split()[:2] for line in SOCKSTAT6.read_text().splitlines()]
    assert [line.split()[:2] for line in sockstat6_seq_show(Pair6().net_a).splitlines()] == words
