# SPDX-License-Identifier: Apache-2.0
"""ip6_input: which packets are refused, why, and what is counted; where good ones go."""
from __future__ import annotations

import pytest

from helpers.ip6_wire import NONE, Bench6, ip6
from linnet.include.linux.netfilter import NF_ACCEPT, NF_DROP, NFPROTO_IPV6, NfHookOps, NfHookState
from linnet.include.linux.skbuff import PACKET_BROADCAST, PACKET_MULTICAST, PACKET_OTHERHOST, SkBuff
from linnet.net.netfilter.core import nf_register_net_hook

GOOD = ip6()

BAD = {
    'version 4': (ip6(version=4), 'IP_INHDR', 'InHdrErrors'),
    'version 15': (ip6(version=15), 'IP_INHDR', 'InHdrErrors'),
    'thirty-nine bytes': (GOOD[:39], 'IP_INHDR', 'InHdrErrors'),
    'one byte': (GOOD[:1], 'IP_INHDR', 'InHdrErrors'),
    'cut short': (ip6(length=200), 'PKT_TOO_SMALL', 'InTruncatedPkts'),
    'source ::1': (ip6(src='::1'), 'IP_INHDR', 'InHdrErrors'),
    'destination ::1': (ip6(dst='::1'), 'IP_INHDR', 'InHdrErrors'),
    'source ff02::1': (ip6(src='ff02::1'), 'IP_INVALID_SOURCE', 'InHdrErrors'),
    'destination of scope 0': (ip6(dst='ff00::1'), 'IP_INHDR', 'InHdrErrors'),
    'destination of scope 1': (ip6(dst='ff01::1'), 'IP_INHDR', 'InHdrErrors'),
    'a group that nobody joined': (ip6(dst='ff02::99'), 'NOT_SPECIFIED', None),
    'nothing follows': (ip6(b'', NONE), 'NOT_SPECIFIED', None),
}


@pytest.mark.parametrize('name', BAD)
def test_refused(name: str) -> None:
    packet, reason, counter = BAD[name]
    host = Bench6()
    host.give(packet)
    assert host.drops() == {reason: 1}
    assert host.count('InReceives') == 1
    assert host.got == [] and host.errors == []
    if counter:
        assert host.count(counter) == 1
    assert host.nothing_left()


def test_for_another_host() -> None:
    host = Bench6()
    host.give(GOOD, pkt_type=PACKET_OTHERHOST)
    assert host.drops() == {'OTHERHOST': 1}
    assert host.count('InReceives') == 0


@pytest.mark.parametrize('linear', [54, 60, 100])
def test_a_good_packet_is_handed_to_its_protocol_and_counted(linear: int) -> None:
    host = Bench6()
    host.give(ip6(b'x' * 100, tclass=7, hops=3), linear=linear)
    assert host.got == [b'x' * 100]
    assert (host.sink.last['tos'], host.sink.last['ttl'], host.sink.last['hlen']) == (7, 3, 40)
    assert [host.count(name) for name in ('InReceives', 'InDelivers', 'InOctets', 'InCEPkts', 'InNoECTPkts')] == [1, 1, 140, 1, 0]
    assert host.nothing_left()


def test_padding_of_the_link_is_cut_off() -> None:
    host = Bench6()
    host.give(ip6(b'ab') + bytes(16))
    assert host.got == [b'ab']


def test_a_protocol_that_nobody_knows_is_told_of_by_where_it_is_named() -> None:
    host = Bench6()
    host.give(ip6(b'abc', 199))
    assert host.errors == [(4, 1, 6)]
    assert host.told.quoted == [ip6(b'abc', 199)]
    assert host.drops() == {'IP_NOPROTO': 1}
    assert host.count('InUnknownProtos') == 1


def test_a_host_without_ipv6_on_the_device_hears_nothing() -> None:
    host = Bench6()
    idev = host.devices['d0'].ip6_ptr
    assert idev is not None
    idev.cnf.disable_ipv6 = 1
    host.give(GOOD)
    assert host.drops() == {'IPV6DISABLED': 1}
    assert host.count('InDiscards') == 1
    host.devices['d0'].ip6_ptr = None
    host.give(GOOD)
    assert host.count('InDiscards') == 2
    assert host.got == []


@pytest.mark.parametrize('kind', [PACKET_BROADCAST, PACKET_MULTICAST])
def test_unicast_in_a_frame_to_many_is_dropped_where_that_is_asked_for(kind: int) -> None:
    host = Bench6()
    host.give(GOOD, pkt_type=kind)
    assert host.got == [b'hello']
    idev = host.devices['d0'].ip6_ptr
    assert idev is not None
    idev.cnf.drop_unicast_in_l2_multicast = 1
    host.give(GOOD, pkt_type=kind)
    assert host.drops() == {'UNICAST_IN_L2_MULTICAST': 1}


def test_a_group_that_was_joined_is_heard() -> None:
    host = Bench6()
    host.join('ff02::99')
    host.give(ip6(dst='ff02::99'), pkt_type=PACKET_MULTICAST)
    assert host.got == [b'hello']
    assert (host.count('InMcastPkts'), host.count('InMcastOctets')) == (1, 45)
    host.give(ip6(dst='ff02::98'), pkt_type=PACKET_MULTICAST)
    assert host.got == [b'hello']


class Gate(NfHookOps):
    """Notes what passes, and lets it or not."""

    def __init__(self, point: int, verdict: int) -> None:
        super().__init__(NFPROTO_IPV6, point)
        self.verdict = verdict
        self.seen: list[tuple[str | None, str | None]] = []

    def hook(self, skb: SkBuff, state: NfHookState) -> int:
        assert skb.head[skb.data] >> 4 == 6
        self.seen.append((state.indev.name if state.indev else None, state.outdev.name if state.outdev else None))
        return self.verdict


@pytest.mark.parametrize('point', [0, 1])
def test_the_hooks_of_the_way_in(point: int) -> None:
    host = Bench6()
    gate = Gate(point, NF_ACCEPT)
    nf_register_net_hook(host.net, gate)
    host.give(GOOD)
    assert host.got == [b'hello'] and gate.seen == [('d0', None)]
    gate.verdict = NF_DROP
    host.give(GOOD)
    assert host.got == [b'hello'] and host.nothing_left()
    assert host.drops() == {'NETFILTER_DROP': 1}
