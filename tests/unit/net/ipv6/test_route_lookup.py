# SPDX-License-Identifier: Apache-2.0
"""Which route a packet takes: scores, routers that do not answer, several next hops, errors, and what is cached."""
from __future__ import annotations

import struct

import pytest

from helpers.route6 import Routes, parse
from linnet.include.linux.icmpv6 import ICMPV6_ADDR_UNREACH, ICMPV6_ADM_PROHIBITED, ICMPV6_DEST_UNREACH, ICMPV6_NOROUTE
from linnet.include.linux.in6 import in6_bytes, in6_ntop, in6_pton
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dst import dst_input, dst_output_sk
from linnet.include.net.flow import FLOWI_FLAG_KNOWN_NH, Flowi6
from linnet.include.net.ip6_fib import rt6_nexthop
from linnet.include.net.neighbour import NUD_FAILED, NUD_INCOMPLETE, NUD_REACHABLE, Neighbour
from linnet.include.net.netns.ipv6 import Icmp6Sender, RouterProber
from linnet.include.net.snmp import IPSTATS_MIB_INNOROUTES, IPSTATS_MIB_OUTNOROUTES
from linnet.kernel.errno import EACCES, EADDRNOTAVAIL, EEXIST, EHOSTUNREACH, EINVAL, ENETUNREACH
from linnet.net.core.dev import netif_carrier_off, netif_carrier_on
from linnet.net.core.neighbour import __neigh_lookup as neigh_lookup
from linnet.net.core.skbuff import skb_from_bytes
from linnet.net.ipv6.addrconf import inet6_addr_del
from linnet.net.ipv6.ip6_fib import fib6_run_gc
from linnet.net.ipv6.ip6_output_lookup import ip6_dst_lookup_flow
from linnet.net.ipv6.route import (
    icmp6_dst_alloc,
    ip6_dst_hoplimit,
    ip6_link_failure,
    ip6_route_add,
    ip6_route_input,
    ip6_route_output,
    rt6_add_dflt_router,
    rt6_get_dflt_router,
    rt6_purge_dflt_routers,
)

SECOND = 1_000_000_000
FAR = '2001:db8:99::1'


class Asked(RouterProber):
    def __init__(self) -> None:
        self.gateways: list[str] = []

    def probe(self, dev: NetDevice, gateway: int) -> None:
        self.gateways.append(in6_ntop(gateway))


class Told(Icmp6Sender):
    def __init__(self) -> None:
        self.errors: list[tuple[int, int]] = []

    def send(self, skb: SkBuff, type: int, code: int, info: int) -> None:
        self.errors.append((type, code))


def later(host: Routes, seconds: float) -> None:
    host.world.clock.advance(host.world.clock.now + int(seconds * SECOND))


def neighbour(host: Routes, address: str, state: int, dev: str = 'd0') -> Neighbour:
    tbl = host.net.ipv6.nd_tbl
    assert tbl is not None
    n = neigh_lookup(tbl, in6_pton(address), host.devices[dev], True)
    assert n is not None
    n.nud_state = state
    return n


def incoming(host: Routes, dst: str, src: str = '2001:db8:1::77', dev: str = 'd0', label: int = 0) -> SkBuff:
    """A packet that came in by dev, with its route."""
    data = struct.pack('!IHBB', 6 << 28 | label, 0, 59, 64) + in6_bytes(in6_pton(src)) + in6_bytes(in6_pton(dst))
    skb = skb_from_bytes(host.world, data, len(data))
    skb.dev = host.devices[dev]
    skb.network_header = 0
    ip6_route_input(skb)
    return skb


# -- routers


def advertised(host: Routes, *routers: tuple[str, int]) -> None:
    for router, pref in routers:
        assert rt6_add_dflt_router(host.net, in6_pton(router), host.devices['d0'], pref) is not None


def test_the_preferred_router() -> None:
    host = Routes()
    advertised(host, ('fe80::1', 3), ('fe80::2', 0), ('fe80::3', 1), ('fe80::4', 1))
    assert host.out(FAR) == ('fe80::3', 'd0')
    assert [line.split(' expires')[0] for line in host.show()[-4:]] == [
        f'default via fe80::{n} dev d0 proto ra metric 1024 pref {pref}'
        for n, pref in ((1, 'low'), (2, 'medium'), (3, 'high'), (4, 'high'))]


def test_a_router_that_failed_is_passed_over_and_asked_now_and_then() -> None:
    host = Routes()
    host.net.ipv6.router_prober = asked = Asked()
    advertised(host, ('fe80::1', 1), ('fe80::2', 3))
    neighbour(host, 'fe80::1', NUD_INCOMPLETE)
    assert host.out(FAR) == ('fe80::1', 'd0')  # it may still answer
    first = neighbour(host, 'fe80::1', NUD_FAILED)
    assert host.out(FAR) == ('fe80::2', 'd0')
    later(host, 60)
    assert (host.out(FAR), asked.gateways) == (('fe80::2', 'd0'), [])
    later(host, 1)
    assert (host.out(FAR), first.nud_state) == (('fe80::2', 'd0'), NUD_INCOMPLETE)
    # fe80::2 has no entry and was never asked either
    assert asked.gateways == ['fe80::1', 'fe80::2']
    assert host.out(FAR) == ('fe80::1', 'd0')
    first.nud_state = NUD_REACHABLE
    later(host, 100)
    assert (host.out(FAR), asked.gateways) == (('fe80::1', 'd0'), ['fe80::1', 'fe80::2', 'fe80::2'])


def test_where_all_failed_the_first_is_tried() -> None:
    host = Routes()
    advertised(host, ('fe80::1', 0), ('fe80::2', 0))
    neighbour(host, 'fe80::1', NUD_FAILED)
    neighbour(host, 'fe80::2', NUD_FAILED)
    assert host.out(FAR) == ('fe80::1', 'd0')


def test_a_router_does_not_ask_whether_routers_answer() -> None:
    host = Routes()
    host.net.ipv6.devconf_all.forwarding = 1
    advertised(host, ('fe80::1', 1), ('fe80::2', 3))
    neighbour(host, 'fe80::1', NUD_FAILED)
    assert host.out(FAR) == ('fe80::1', 'd0')


def test_a_failed_router_of_a_longer_prefix_gives_way_to_the_default() -> None:
    host = Routes()
    host.ip('add 2001:db8:99::/48 via fe80::1 dev d0')
    host.ip('add default via fe80::2 dev d1')
    neighbour(host, 'fe80::1', NUD_FAILED)
    assert host.out(FAR) == ('fe80::2', 'd1')


def test_default_routers_are_found_and_purged() -> None:
    host = Routes()
    advertised(host, ('fe80::1', 0))
    dev = host.devices['d0']
    assert rt6_get_dflt_router(host.net, in6_pton('fe80::1'), dev) is not None
    assert rt6_get_dflt_router(host.net, in6_pton('fe80::1'), host.devices['d1']) is None
    host.ip('append default via fe80::2 dev d0')
    assert rt6_get_dflt_router(host.net, in6_pton('fe80::2'), dev) is None  # nobody advertised it
    rt6_purge_dflt_routers(host.net)
    assert host.show()[-1] == 'default via fe80::2 dev d0 metric 1024 pref medium'


# -- several next hops


def shares(host: Routes, flows: int = 2000) -> dict[str, int]:
    count: dict[str, int] = {}
    for i in range(flows):
        fl6 = host.flow(f'2001:db8:c::{i:x}', src='2001:db8:1::1')
        hop = in6_ntop(rt6_nexthop(ip6_route_output(host.net, None, fl6), fl6.daddr))
        count[hop] = count.get(hop, 0) + 1
    return count


def test_flows_are_shared_out_by_weight() -> None:
    host = Routes()
    host.ip('add 2001:db8:c::/48 nexthop via fe80::1 dev d0 weight 3 nexthop via fe80::2 dev d1')
    count = shares(host)
    assert set(count) == {'fe80::1', 'fe80::2'}
    assert 0.70 < count['fe80::1'] / 2000 < 0.80


def test_a_flow_keeps_its_way_and_the_label_makes_another() -> None:
    host = Routes()
    host.ip('add 2001:db8:c::/48 nexthop via fe80::1 dev d0 nexthop via fe80::2 dev d1')

    def way(label: int = 0, port: int = 0) -> str:
        fl6 = host.flow('2001:db8:c::1', src='2001:db8:1::1')
        fl6.flowlabel, fl6.fl6_dport = label, port
        return in6_ntop(rt6_nexthop(ip6_route_output(host.net, None, fl6), fl6.daddr))

    assert len({way() for _ in range(9)}) == 1
    assert len({way(label) for label in range(64)}) == 2
    assert len({way(port=port) for port in range(64)}) == 1
    host.net.ipv6.sysctl_multipath_hash_policy = 1
    assert len({way(label) for label in range(64)}) == 1
    assert len({way(port=port) for port in range(64)}) == 2


def test_the_hash_that_is_given_decides() -> None:
    host = Routes()
    host.ip('add 2001:db8:c::/48 nexthop via fe80::1 dev d0 weight 1 nexthop via fe80::2 dev d1 weight 3')
    seen = []
    for mp_hash in (1, 0x1FFFFFFF, 0x20000000, 0x7FFFFFFF):
        fl6 = host.flow('2001:db8:c::1')
        fl6.mp_hash = mp_hash
        seen.append(in6_ntop(rt6_nexthop(ip6_route_output(host.net, None, fl6), fl6.daddr)))
    assert seen == ['fe80::1', 'fe80::1', 'fe80::2', 'fe80::2']


def test_a_next_hop_without_carrier_is_left_out_on_demand() -> None:
    host = Routes()
    host.ip('add 2001:db8:c::/48 nexthop via fe80::1 dev d0 nexthop via fe80::2 dev d1')
    netif_carrier_off(host.devices['d1'])
    assert [line for line in host.show() if 'linkdown' in line] == [
        '2001:db8:2::/64 dev d1 proto kernel metric 256 linkdown pref medium', '\tnexthop via fe80::2 dev d1 weight 1 linkdown',
        'fe80::/64 dev d1 proto kernel metric 256 linkdown pref medium']
    assert set(shares(host, 100)) == {'fe80::1', 'fe80::2'}
    for dev in ('d0', 'd1'):
        idev = host.devices[dev].ip6_ptr
        assert idev is not None
        idev.cnf.ignore_routes_with_linkdown = 1
    assert set(shares(host, 100)) == {'fe80::1'}
    netif_carrier_on(host.devices['d1'])
    assert set(shares(host, 100)) == {'fe80::1', 'fe80::2'}


# -- the way in


def test_incoming_packets() -> None:
    host = Routes()
    host.ip('add 2001:db8:c::/48 via fe80::1 dev d1')
    ipv6 = host.net.ipv6
    seen = []
    for dst in ('2001:db8:1::1', 'fe80::ff:fe00:1', 'ff02::1', '2001:db8:c::1', FAR, '2001:db8:2::1'):
        rt = incoming(host, dst).dst
        assert rt is not None
        seen.append((rt.dst_input, rt.dev.name))
    assert seen == [(ipv6.ip6_input, 'lo'), (ipv6.ip6_input, 'lo'), (ipv6.ip6_mc_input, 'd0'), (ipv6.ip6_forward, 'd1'),
                    (ipv6.ip6_pkt_discard, 'lo'), (ipv6.ip6_input, 'lo')]


def test_a_link_local_address_of_another_link_is_not_ours() -> None:
    host = Routes()
    skb = incoming(host, 'fe80::ff:fe00:2', dev='d0')
    assert skb.dst is not None
    assert (skb.dst.dst_input, skb.dst.dev.name) == (host.net.ipv6.ip6_forward, 'd0')


@pytest.mark.parametrize(('route', 'told'), [
    ('unreachable 2001:db8:c::/48', [(ICMPV6_DEST_UNREACH, ICMPV6_NOROUTE)]),
    ('prohibit 2001:db8:c::/48', [(ICMPV6_DEST_UNREACH, ICMPV6_ADM_PROHIBITED)]),
    ('blackhole 2001:db8:c::/48', []),
    ('throw 2001:db8:c::/48', [(ICMPV6_DEST_UNREACH, ICMPV6_NOROUTE)]),
    ('2001:db8:c::/48 dev lo', [(ICMPV6_DEST_UNREACH, ICMPV6_NOROUTE)]),
    ('2001:db8:d::/48 dev d0', [(ICMPV6_DEST_UNREACH, ICMPV6_NOROUTE)]),
])
def test_what_the_sender_is_told(route: str, told: list[tuple[int, int]]) -> None:
    """The answers are Linux 6.18's, pinged from a neighbour."""
    host = Routes()
    host.ip(f'add {route}')
    host.net.ipv6.icmp6_sender = sender = Told()
    skb = incoming(host, '2001:db8:c::1')
    dst_input(skb)
    assert sender.errors == told
    assert host.net.mib.ipv6[IPSTATS_MIB_INNOROUTES] == (1 if told else 0)


def test_a_route_over_the_loopback_refuses_only_when_it_is_used() -> None:
    host = Routes()
    host.ip('add 2001:db8:c::/48 dev lo')
    host.net.ipv6.icmp6_sender = sender = Told()
    assert host.route('2001:db8:c::1').error == 0
    skb = incoming(host, FAR)
    skb.dst = host.route('2001:db8:c::1')
    dst_output_sk(None, skb)
    assert sender.errors == [(ICMPV6_DEST_UNREACH, ICMPV6_NOROUTE)]
    assert host.net.mib.ipv6[IPSTATS_MIB_OUTNOROUTES] == 1


# -- what is kept, and for how long


def test_a_route_is_made_once() -> None:
    host = Routes()
    host.ip('add default via fe80::1 dev d0')
    rt = host.route(FAR)
    assert host.route('2001:db8:98::1') is rt
    assert rt.check()
    host.ip('add 2001:db8:98::/48 via fe80::2 dev d0')
    assert not rt.check()
    assert host.route(FAR) is not rt


def test_a_route_dies_with_what_it_was_made_of() -> None:
    host = Routes()
    host.ip('add default via fe80::1 dev d0')
    rt = host.route(FAR)
    host.ip('del default')
    assert (rt.obsolete, rt.check(), host.out(FAR)) == (-1, False, -ENETUNREACH)


def test_a_route_that_expires() -> None:
    host = Routes()
    host.ip('add 2001:db8:99::/48 via fe80::1 dev d0 expires 60')
    rt = host.route(FAR)
    later(host, 60)
    assert (rt.check(), host.out(FAR)) == (True, ('fe80::1', 'd0'))
    later(host, 0.001)
    assert (rt.check(), host.out(FAR)) == (False, -ENETUNREACH)
    assert any('expires 0sec' in line for line in host.show())  # until it is collected
    later(host, 1.5)
    assert any('expires -1sec' in line for line in host.show())
    assert fib6_run_gc(host.net) == 0
    assert not any(FAR[:12] in line for line in host.show())


def test_the_same_route_again_renews_its_time() -> None:
    host = Routes()
    host.ip('add 2001:db8:99::/48 dev d0 expires 20')
    assert host.ip('add 2001:db8:99::/48 dev d0 expires 30') == -EEXIST
    assert any('expires 20sec' in line for line in host.show())  # `add` asks only whether it is there
    assert host.ip('append 2001:db8:99::/48 dev d0 expires 30') == -EEXIST
    assert any('expires 30sec' in line for line in host.show())
    later(host, 40)
    assert host.ip('append 2001:db8:99::/48 dev d0 expires 50') == -EEXIST
    assert host.out(FAR) == (FAR, 'd0')
    host.ip('append 2001:db8:99::/48 dev d0')
    later(host, 100)
    assert host.out(FAR) == (FAR, 'd0')


def test_a_device_without_ipv6() -> None:
    host = Routes()
    assert host.net.sysctl.set('net.ipv6.conf.d1.disable_ipv6', '1') == 0
    assert [host.ip(f'add 2001:db8:5::/48 {way}') for way in ('dev d1', 'via fe80::1 dev d1', 'via fe80::1 dev d1 onlink')] == [
        -EACCES] * 3
    assert [line for line in host.show() + host.show(255) if 'd1' in line] == []
    assert [host.out(dst, 'd1') for dst in ('fe80::1', 'ff02::1')] == [-ENETUNREACH] * 2
    assert host.net.sysctl.set('net.ipv6.conf.d1.disable_ipv6', '0') == 0
    assert [line for line in host.show() if 'd1' in line] == ['fe80::/64 dev d1 proto kernel metric 256 pref medium']


def test_a_multipath_route_is_there_whole_or_not_at_all() -> None:
    host = Routes()
    before = host.show()
    assert host.ip('append 2001:db8:5::/48 via fe80::2 dev d0') == 0
    assert host.ip('append 2001:db8:5::/48 nexthop via fe80::1 dev d0 nexthop via fe80::2 dev d0') == -EEXIST
    assert host.ip('del 2001:db8:5::/48') == 0
    assert host.show() == before


def test_numbers_that_no_metric_has() -> None:
    host = Routes()
    cfg = parse(['2001:db8:5::/48', 'dev', 'd0'], host.index, False)
    cfg.fc_mx = {18: 1}
    assert ip6_route_add(host.net, cfg) == -EINVAL


def test_a_next_hop_that_does_not_answer() -> None:
    host = Routes()
    host.net.ipv6.icmp6_sender = sender = Told()
    advertised(host, ('fe80::1', 0))
    host.ip('add 2001:db8:99::/48 via fe80::2 dev d0')
    kept, other = host.route('2001:db8:98::1'), host.route(FAR)
    skb = incoming(host, FAR)
    skb.dst = other
    ip6_link_failure(skb)
    assert (sender.errors, kept.check()) == ([(ICMPV6_DEST_UNREACH, ICMPV6_ADDR_UNREACH)], True)
    skb.dst = kept
    ip6_link_failure(skb)
    assert not kept.check()  # an advertised default: perhaps there is a better one


def test_a_known_next_hop_is_not_shared() -> None:
    host = Routes()
    fl6 = host.flow('2001:db8:1::9')
    fl6.flowi6_flags = FLOWI_FLAG_KNOWN_NH
    rt = ip6_route_output(host.net, None, fl6)
    assert (rt.rt6i_dst_len, rt is ip6_route_output(host.net, None, fl6)) == (128, False)


def test_the_mtu_of_own_addresses_is_the_loopbacks() -> None:
    host = Routes()
    assert [host.route(dst).mtu() for dst in ('2001:db8:1::1', '::1', '2001:db8:1::9')] == [65536, 65536, 1500]


def test_hop_limits() -> None:
    host = Routes()
    host.ip('add 2001:db8:99::/48 via fe80::1 dev d0 hoplimit 9')
    idev = host.devices['d0'].ip6_ptr
    assert idev is not None
    idev.cnf.hop_limit = 33
    fl6 = Flowi6()
    fl6.daddr = in6_pton('ff02::1')
    assert [ip6_dst_hoplimit(rt) for rt in (host.route(FAR), host.route('2001:db8:1::9'), icmp6_dst_alloc(idev.dev, fl6))] == [
        9, 33, 255]


# -- with the source


def look(host: Routes, dst: str, src: str = '::', oif: str = '') -> str | int:
    fl6 = host.flow(dst, oif, src)
    rt = ip6_dst_lookup_flow(host.net, None, fl6, 0)
    return int(fl6.err) if rt is None else f'{in6_ntop(fl6.saddr)} {rt.dev.name}'


def test_sources() -> None:
    host = Routes()
    host.ip('add default via fe80::1 dev d1')
    host.ip('add 2001:db8:5::/48 via fe80::1 dev d0 src 2001:db8:2::1')
    assert look(host, FAR) == '2001:db8:2::1 d1'
    assert look(host, '2001:db8:1::9') == '2001:db8:1::1 d0'
    assert look(host, '2001:db8:5::1') == '2001:db8:2::1 d0'
    assert look(host, '2001:db8:1::1') == '2001:db8:1::1 lo'
    assert look(host, 'fe80::9', oif='d1') == 'fe80::ff:fe00:2 d1'
    assert look(host, 'ff02::9', oif='d0') == 'fe80::ff:fe00:1 d0'
    assert look(host, 'ff05::9') == '2001:db8:1::1 d0'
    assert look(host, '::1') == '::1 lo'
    assert look(host, FAR, src='2001:db8:1::1') == '2001:db8:1::1 d1'
    assert look(host, FAR, oif='lo') == -ENETUNREACH


def test_errors_of_the_whole_look_up() -> None:
    host = Routes()
    host.ip('add unreachable 2001:db8:7::/48')
    assert look(host, '2001:db8:7::1') == -EHOSTUNREACH
    assert look(host, FAR) == -ENETUNREACH
    assert host.net.mib.ipv6[IPSTATS_MIB_OUTNOROUTES] == 1
    fl6 = host.flow('2001:db8:1::9')
    assert ip6_dst_lookup_flow(host.net, None, fl6, in6_pton(FAR)) is not None
    assert in6_ntop(fl6.daddr) == FAR  # the first stop decided on the route, the last is the destination


def test_without_any_address_the_source_is_what_lacks() -> None:
    host = Routes()
    for name, address, plen in (('d0', '2001:db8:1::1', 64), ('d0', 'fe80::ff:fe00:1', 64), ('d1', '2001:db8:2::1', 64),
                                ('d1', 'fe80::ff:fe00:2', 64), ('lo', '::1', 128)):
        assert inet6_addr_del(host.devices[name], in6_pton(address), plen) == 0
    assert look(host, FAR) == -EADDRNOTAVAIL
