# SPDX-License-Identifier: Apache-2.0
"""Forwarding: what goes on, what comes back as an error, what is dropped; and super-segments that pass through."""
from __future__ import annotations

import pytest

from helpers.frames6 import DSTOPT, Parsed6, tcp6_frame
from helpers.ip6_wire import DSTOPTS, FAR, HOP, THERE, Bench6, fragment, ip6, options
from linnet.include.linux.in6 import in6_bytes, in6_pton
from linnet.include.linux.netfilter import NF_ACCEPT, NF_DROP, NFPROTO_IPV6, NfHookOps, NfHookState
from linnet.include.linux.skbuff import PACKET_MULTICAST, SkBuff
from linnet.net.netfilter.core import nf_register_net_hook


def router() -> Bench6:
    host = Bench6()
    host.net.ipv6.devconf_all.forwarding = 1
    for dev in ('d0', 'd1'):
        idev = host.devices[dev].ip6_ptr
        assert idev is not None
        idev.cnf.forwarding = 1
    return host


def mtu(host: Bench6, dev: str, value: int) -> None:
    """The device takes no larger packets."""
    idev = host.devices[dev].ip6_ptr
    assert idev is not None
    host.devices[dev].mtu = idev.cnf.mtu6 = value


@pytest.mark.parametrize('packet', [
    ip6(b'data', dst=FAR), ip6(bytes(1460), dst=FAR, tclass=0xFF, label=0xFFFFF), ip6(options(b'\x1e\0') + b'x', HOP, dst=FAR),
    ip6(options(b'\x9e\0') + b'not for a router to read', DSTOPTS, dst=FAR), fragment(bytes(64), 64, True, dst=FAR),
    ip6(b'', 59, dst=FAR), ip6(b'', 199, dst=FAR),
])
def test_a_packet_goes_on_with_its_hop_limit_less_by_one(packet: bytes) -> None:
    host = router()
    host.give(packet)
    assert host.taken() == [packet[:7] + b'\x3f' + packet[8:]]
    assert host.count('OutForwDatagrams') == host.count('OutTransmits') == 1
    assert host.errors == [] and host.nothing_left()


def test_a_host_does_not_forward() -> None:
    host = Bench6()
    host.give(ip6(dst=FAR))
    assert host.taken() == [] and host.errors == []
    assert host.count('InAddrErrors') == 1
    assert host.nothing_left()


@pytest.mark.parametrize('hops', [0, 1])
def test_the_hop_limit_ends(hops: int) -> None:
    host = router()
    packet = ip6(dst=FAR, hops=hops)
    host.give(packet)
    assert host.taken() == []
    assert host.errors == [(3, 0, 0)] and host.told.quoted == [packet]
    assert host.count('InHdrErrors') == 1 and host.drops() == {'IP_TTL_EXPIRED': 1}


def test_what_is_too_big_for_the_next_link_is_told_of_with_its_mtu() -> None:
    host = router()
    mtu(host, 'd1', 1400)
    packet = ip6(bytes(1361), dst=FAR)
    host.give(packet, ip6(bytes(1360), dst=FAR))
    assert [len(sent) for sent in host.taken()] == [1400]
    assert host.errors == [(2, 0, 1400)] and host.told.quoted == [packet]
    assert (host.count('InTooBigErrors'), host.count('FragFails'), host.count('FragCreates')) == (1, 1, 0)
    assert host.drops() == {'PKT_TOO_BIG': 1}
    assert host.nothing_left()


def test_a_link_that_takes_less_than_ipv6_asks_for_is_told_of_with_1280() -> None:
    host = router()
    mtu(host, 'd1', 1000)
    host.give(ip6(bytes(1300), dst=FAR))
    assert host.errors == [(2, 0, 1280)]


@pytest.mark.parametrize(('src', 'told'), [('::', []), ('fe80::9', [(1, 2, 0)])])
def test_addresses_that_do_not_cross_a_router(src: str, told: list) -> None:
    host = router()
    host.give(ip6(src=src, dst=FAR))
    assert host.taken() == [] and host.errors == told
    assert host.count('InAddrErrors') == 1
    assert host.nothing_left()


def test_a_frame_to_many_is_not_forwarded() -> None:
    host = router()
    host.give(ip6(dst=FAR), pkt_type=PACKET_MULTICAST)
    assert host.taken() == [] and host.nothing_left()


def test_there_is_no_route() -> None:
    host = router()
    host.give(ip6(dst='2001:db8:99::1'))
    assert host.taken() == [] and host.errors == [(1, 0, 0)]
    assert host.count('InNoRoutes') == 1


class Gate(NfHookOps):
    """Notes what passes, and lets it or not."""

    def __init__(self, point: int, verdict: int) -> None:
        super().__init__(NFPROTO_IPV6, point)
        self.verdict = verdict
        self.seen: list[tuple[str | None, str | None, int]] = []

    def hook(self, skb: SkBuff, state: NfHookState) -> int:
        self.seen.append((state.indev.name if state.indev else None, state.outdev.name if state.outdev else None,
                          skb.head[skb.data + 7]))
        return self.verdict


@pytest.mark.parametrize(('point', 'seen'), [(0, ('d0', None, 64)), (2, ('d0', 'd1', 63)), (4, ('d0', 'd1', 63))])
def test_the_hooks_on_the_way_through(point: int, seen: tuple) -> None:
    host = router()
    gate = Gate(point, NF_ACCEPT)
    nf_register_net_hook(host.net, gate)
    host.give(ip6(dst=FAR))
    assert gate.seen == [seen] and len(host.taken()) == 1
    gate.verdict = NF_DROP
    host.give(ip6(dst=FAR))
    assert host.taken() == [] and host.nothing_left()


def test_a_packet_that_goes_back_where_it_came_from_is_forwarded_and_redirected() -> None:
    host = router()
    host.neighbour('2001:db8:1::3', 'd0')
    packet = ip6(dst='2001:db8:1::3')
    host.give(packet)
    out = host.taken('d0')
    assert packet[:7] + b'\x3f' + packet[8:] in out
    (redirect,) = [sent for sent in out if sent[6] == 58]
    assert redirect[40] == 137
    assert redirect[48:64] == redirect[64:80] == in6_bytes(in6_pton('2001:db8:1::3'))  # it is on the link


@pytest.mark.parametrize('ext', [b'', DSTOPT, b'\0\0\x1e\x04' + b'\xff' * 4])
@pytest.mark.parametrize('over', [0, 1])
def test_a_super_segment_is_measured_by_its_pieces(over: int, ext: bytes) -> None:
    """Merged on receipt and cut again on the way out: the pieces are those that came."""
    host = router()
    mtu(host, 'd1', 1500 + len(ext) - over)
    frames = [tcp6_frame(bytes(1428), seq=1000 + i * 1428, src=in6_bytes(in6_pton(THERE)), dst=in6_bytes(in6_pton(FAR)), ext=ext)
              for i in range(4)]
    skb = merged(host, frames, len(ext))
    host.inject(skb)
    if over == 0:
        pieces = [Parsed6(packet, hlen=0, ext=len(ext)) for packet in host.taken()]
        assert [p.seq for p in pieces] == [1000, 2428, 3856, 5284]
        assert all(p.tcp_ok and p.hops == 63 and p.trailing == 0 for p in pieces)
    else:
        assert host.taken() == [] and host.errors == [(2, 0, 1500 + len(ext) - over)]
    assert host.nothing_left()


def merged(host: Bench6, frames: list[bytes], ext: int) -> SkBuff:
    """The frames as GRO hands them up."""
    whole = frames[0] + b''.join(frame[86 + ext:] for frame in frames[1:])
    whole = whole[:18] + (len(whole) - 54).to_bytes(2, 'big') + whole[20:]
    skb = host.skb(whole[14:], linear=86 + ext)
    skb.gso_size, skb.gso_segs, skb.gso_type = 1428, len(frames), 16
    skb.ip_summed, skb.csum_start, skb.csum_offset = 3, 54 + ext, 16
    total = sum(int.from_bytes(whole[i:i + 2], 'big') for i in range(22, 54, 2)) + len(whole) - 54 - ext + 6
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    skb.head = skb.head[:70 + ext] + total.to_bytes(2, 'big') + skb.head[72 + ext:]
    return skb
