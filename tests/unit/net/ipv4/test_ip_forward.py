# SPDX-License-Identifier: Apache-2.0
"""ip_forward: a router between two links."""
from __future__ import annotations

import pytest

from helpers.devices import ME, YOU
from helpers.frames import super_segment, tcp_frame
from helpers.ip_wire import DF, ICMP, MF, TCP, Bench, icmp, ip, udp
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.netfilter import NF_ACCEPT, NF_DROP, NF_INET_FORWARD, NFPROTO_IPV4, NfHookOps, NfHookState
from linnet.include.linux.skbuff import PACKET_BROADCAST, SkBuff
from linnet.include.net.ip_fib import RTN_BLACKHOLE, RTN_PROHIBIT, RTN_UNREACHABLE, FibNh
from linnet.kernel.softirq import local_bh_disable, local_bh_enable
from linnet.net.core.dev import netif_rx
from linnet.net.netfilter.core import nf_register_net_hook


def router(mtu: int = 1500) -> Bench:
    """10.0.0.1 on eth0 and 10.1.0.1 on eth1, forwarding; 10.0.0.2 and 10.1.0.2 are known."""
    host = Bench()
    host.device('eth1', '10.1.0.1', mtu=mtu)
    host.neighbour('10.1.0.2', 'eth1')
    host.net.sysctl.set('net.ipv4.ip_forward', '1')
    return host


def test_on_its_way() -> None:
    host = router()
    host.give(ip(udp(b'x' * 500), dst='10.1.0.2', ttl=9, ident=77, tos=0x10))
    (out,) = host.taken('eth1')
    assert (out.src, out.dst, out.ttl, out.ident, out.tos) == ('10.0.0.2', '10.1.0.2', 8, 77, 0x10)
    assert out.payload == udp(b'x' * 500)
    assert host.count('IpForwDatagrams') == 1
    assert host.count('IpInDelivers') == 0
    assert host.taken('eth0') == []
    assert host.drops() == {}


def test_the_frame_is_the_routers() -> None:
    host = router()
    host.give(ip(udp(), dst='10.1.0.2'))
    (frame,) = host.frames('eth1')
    assert frame[:6] == YOU
    assert frame[6:12] == ME


def test_forwarding_allocates_no_route() -> None:
    host = router()
    host.give(ip(udp(), dst='10.1.0.2'))
    (alias,) = host.net.ipv4.fib_main.prefixes[24][0x0A010000]
    cached = alias.fa_info.fib_nh[0].nh_rth_input
    host.give(*[ip(udp(), dst=f'10.1.0.{n}') for n in (2, 2, 3)])
    assert cached is not None
    assert alias.fa_info.fib_nh[0].nh_rth_input is cached


def test_ttl_ends() -> None:
    host = router()
    host.give(ip(udp(), dst='10.1.0.2', ttl=1))
    assert host.taken('eth1') == []
    (error,) = host.taken('eth0')
    assert error.type == (11, 0)
    assert (error.src, error.dst) == ('10.0.0.1', '10.0.0.2')
    assert error.payload[8:] == ip(udp(), dst='10.1.0.2', ttl=1)
    assert error.tos == 0xC0
    assert host.drops() == {'IP_TTL_EXPIRED': 1}
    assert host.count('IpInHdrErrors') == 1
    assert host.count('IcmpOutTimeExcds') == 1


def test_no_route() -> None:
    host = router()
    host.give(ip(udp(), dst='192.0.2.1'))
    (error,) = host.taken()
    assert error.type == (3, 0)
    assert host.count('IpExtInNoRoutes') == 1
    assert host.drops() == {'IP_INNOROUTES': 1}


def test_routes_that_refuse() -> None:
    host = router()
    assert host.route('192.0.2.0/26', type=RTN_UNREACHABLE) == 0
    assert host.route('192.0.2.64/26', type=RTN_PROHIBIT) == 0
    assert host.route('192.0.2.128/26', type=RTN_BLACKHOLE) == 0
    host.give(ip(udp(), dst='192.0.2.1', src='10.0.0.3'), ip(udp(), dst='192.0.2.65', src='10.0.0.4'))
    host.give(ip(udp(), dst='192.0.2.129', src='10.0.0.5'))
    host.neighbour('10.0.0.3')
    host.neighbour('10.0.0.4')
    host.neighbour('10.0.0.5')
    host.give(ip(udp(), dst='192.0.2.1', src='10.0.0.3'), ip(udp(), dst='192.0.2.65', src='10.0.0.4'))
    host.give(ip(udp(), dst='192.0.2.129', src='10.0.0.5'))
    assert {(e.dst, e.type) for e in host.taken()} == {('10.0.0.3', (3, 1)), ('10.0.0.4', (3, 13))}


def test_too_big_and_not_to_be_cut() -> None:
    host = router(mtu=600)
    host.give(ip(udp(b'x' * 573), dst='10.1.0.2', off=DF))
    assert host.taken('eth1') == []
    (error,) = host.taken()
    assert error.type == (3, 4)
    assert int.from_bytes(error.payload[6:8], 'big') == 600
    assert len(error.data) == 576
    assert host.drops() == {'PKT_TOO_BIG': 1}
    assert host.count('IpFragFails') == 1
    host.give(ip(udp(b'x' * 572), dst='10.1.0.2', off=DF))
    assert [len(p.data) for p in host.taken('eth1')] == [600]


def test_cut_on_the_way() -> None:
    host = router(mtu=600)
    payload = udp(bytes(range(256)) * 5)
    host.give(ip(payload, dst='10.1.0.2', ident=9))
    out = host.taken('eth1')
    assert [(p.off, len(p.data)) for p in out] == [(MF, 596), (MF | 72, 596), (144, 156)]
    assert b''.join(p.payload for p in out) == payload
    assert {p.ident for p in out} == {9}
    assert host.count('IpFragOKs') == 1
    assert host.count('IpFragCreates') == 3


def test_a_fragment_is_cut_again() -> None:
    host = router(mtu=100)
    host.give(ip(b'y' * 160, dst='10.1.0.2', off=MF | 5))
    assert [(p.off, len(p.payload)) for p in host.taken('eth1')] == [(MF | 5, 80), (MF | 15, 80)]


def test_broadcast_frames_are_not_forwarded() -> None:
    host = router()
    host.give(ip(udp(), dst='10.1.0.2'), pkt_type=PACKET_BROADCAST)
    assert host.taken('eth1') == []
    assert host.count('IpInDiscards') == 1


def test_redirect() -> None:
    host = router()
    host.neighbour('10.0.0.254')
    assert host.route('192.0.2.0/24', via='10.0.0.254') == 0
    host.give(ip(udp(), dst='192.0.2.1'))
    redirect, forwarded = host.taken()
    assert forwarded.dst == '192.0.2.1'
    assert redirect.type == (5, 1)
    assert redirect.payload[4:8] == bytes((10, 0, 0, 254))
    assert host.count('IcmpOutRedirects') == 1
    host.give(ip(udp(), dst='192.0.2.1'))
    assert len(host.taken()) == 1  # the next redirect waits 40 ms


def test_redirects_become_rarer_and_end() -> None:
    host = router()
    host.neighbour('10.0.0.254')
    host.route('192.0.2.0/24', via='10.0.0.254')
    for _ in range(400):
        host.give(ip(udp(), dst='192.0.2.1'))
        host.world.sched.run(int(host.world.clock.now) + 50_000_000)
        host.world.clock.now += 50_000_000
    assert host.count('IcmpOutRedirects') == 9


def test_no_redirect_where_it_is_switched_off() -> None:
    host = router()
    host.neighbour('10.0.0.254')
    host.route('192.0.2.0/24', via='10.0.0.254')
    host.net.sysctl.set('net.ipv4.conf.all.send_redirects', '0')
    assert host.eth0.in_dev is not None
    host.eth0.in_dev.cnf.send_redirects = 0
    host.give(ip(udp(), dst='192.0.2.1'))
    assert [p.dst for p in host.taken()] == ['192.0.2.1']


class Filter(NfHookOps):
    """A hook that drops TCP."""

    def __init__(self) -> None:
        super().__init__(NFPROTO_IPV4, NF_INET_FORWARD)
        self.seen: list[tuple[str, str]] = []

    def hook(self, skb: SkBuff, state: NfHookState) -> int:
        assert isinstance(state.indev, NetDevice)
        assert isinstance(state.outdev, NetDevice)
        self.seen.append((state.indev.name, state.outdev.name))
        return NF_DROP if skb.ip_protocol == TCP else NF_ACCEPT


def test_hook() -> None:
    host = router()
    guard = Filter()
    nf_register_net_hook(host.net, guard)
    host.give(ip(udp(), dst='10.1.0.2'), ip(bytes(20), proto=TCP, dst='10.1.0.2'))
    assert guard.seen == [('eth0', 'eth1')] * 2
    assert [p.proto for p in host.taken('eth1')] == [17]
    assert host.drops() == {'NETFILTER_DROP': 1}
    assert host.count('IpForwDatagrams') == 1


def test_no_error_about_an_error() -> None:
    host = router()
    quoted = ip(udp(), src='10.1.0.2', dst='10.0.0.2')
    host.give(ip(icmp(3, 1, payload=quoted), proto=ICMP, dst='10.1.0.2', ttl=1))
    assert host.taken() == []
    host.give(ip(icmp(8), proto=ICMP, dst='10.1.0.2', ttl=1))
    assert len(host.taken()) == 1


def test_multipath_keeps_flows_together_and_spreads_them() -> None:
    host = router()
    host.device('eth2', '10.2.0.1')
    host.neighbour('10.2.0.2', 'eth2')
    hops = [FibNh(None, 0x0A010002, 1), FibNh(None, 0x0A020002, 3)]
    assert host.route('192.0.2.0/24', via='10.1.0.2', nexthops=hops) == 0
    ways: dict[str, set[str]] = {}
    for n in range(200):
        host.give(ip(udp(), dst=f'192.0.2.{n}'), ip(udp(), dst=f'192.0.2.{n}'))
        for dev in ('eth1', 'eth2'):
            for packet in host.taken(dev):
                ways.setdefault(packet.dst, set()).add(dev)
    assert all(len(devs) == 1 for devs in ways.values())
    first = sum(devs == {'eth1'} for devs in ways.values())
    assert 25 <= first <= 80  # a quarter of 200


@pytest.mark.parametrize('df', [True, False])
@pytest.mark.parametrize('mss', [1000, 400])
def test_super_segments(mss: int, df: bool) -> None:
    """They pass where each piece does; else, without DF, each piece is fragmented."""
    host = router(mtu=600)
    payload = bytes(i & 255 for i in range(3000))
    frame = tcp_frame(payload, dst=b'\x0a\x01\0\x02', src=b'\x0a\0\0\x02', df=df, partial=True)
    skb = super_segment(host.eth0, frame, mss, [1000, 2000])
    skb.data = 14
    skb.len -= 14
    local_bh_disable(host.world.cpu)
    netif_rx(skb)
    local_bh_enable(host.world.cpu)
    sizes = [len(f) - 14 for f in host.frames('eth1')]
    if mss == 400:
        assert sizes == [452] * 7 + [252]
    elif df:
        assert sizes == []
        (error,) = host.taken()
        assert error.type == (3, 4)
    else:
        assert sizes == [596, 20 + 1032 - 576] * 3
    assert host.live_packets() == 0


def test_nothing_leaks() -> None:
    host = router(mtu=600)
    live = host.live_packets()
    host.give(ip(udp(b'x' * 1400), dst='10.1.0.2'), ip(udp(), dst='10.1.0.2', ttl=1), ip(udp(), dst='192.0.2.1'))
    assert host.live_packets() == live
