# SPDX-License-Identifier: Apache-2.0
"""Router advertisements (RFC 4861, 6.3.4; RFC 4862, 5.5.3; RFC 4191): what a host takes of them, how long it stays."""

from __future__ import annotations

import pytest

from helpers.nd_bench import MY_LL, OTHER_LL, OTHER_MAC, PEER_LL, PEER_MAC, Bench6, lladdr_option, mtu_option, prefix_option
from linnet.include.net.if_inet6 import IF_RA_MANAGED, IF_RA_OTHERCONF, IFA_F_DEPRECATED
from linnet.include.net.neighbour import NUD_STALE
from linnet.net.ipv6.addrconf_show import inet6_dump

SLLA = lladdr_option(1, PEER_MAC)
AUTO = '2001:db8::ff:fe00:aa'


def default(bench: Bench6) -> list[str]:
    return [line for line in bench.routes() if line.startswith('default')]


def test_a_whole_advertisement() -> None:
    bench = Bench6()
    bench.ra(SLLA, prefix_option('2001:db8::'), mtu_option(1400), hop=33, flags=0xC0, reachable=20000, retrans=250)
    bench.run(3)
    assert bench.addresses() == [AUTO, MY_LL]
    assert 'scope global dynamic mngtmpaddr' in inet6_dump(bench.net, bench.dev)
    assert 'valid_lft 2591997sec preferred_lft 604797sec' in inet6_dump(bench.net, bench.dev)
    route, = default(bench)
    assert route.startswith(f'default via {PEER_LL} dev eth0 proto ra metric 1024 expires 1797sec')
    assert any(line.startswith('2001:db8::/64 dev eth0 proto kernel metric 256 expires 2591997sec') for line in bench.routes())
    assert (bench.idev.cnf.hop_limit, bench.idev.cnf.mtu6) == (33, 1400)
    tbl = bench.net.ipv6.nd_tbl
    assert tbl is not None
    parms = tbl.parms_of(bench.dev)
    assert (parms.base_reachable_time, parms.retrans_time) == (20_000_000_000, 250_000_000)
    assert 10_000_000_000 <= parms.reachable_time <= 30_000_000_000
    assert bench.idev.if_flags & (IF_RA_MANAGED | IF_RA_OTHERCONF) == IF_RA_MANAGED | IF_RA_OTHERCONF
    assert bench.state(PEER_LL) == NUD_STALE
    assert bench.leaks() == {}


def test_a_router_whose_lifetime_is_zero_is_none() -> None:
    bench = Bench6()
    bench.ra(SLLA)
    assert len(default(bench)) == 1
    bench.ra(SLLA, lifetime=0)
    assert default(bench) == []


def test_a_routers_lifetime_ends_unless_renewed() -> None:
    bench = Bench6()
    bench.ra(SLLA, lifetime=30)
    bench.run(20)
    bench.ra(SLLA, lifetime=30)
    bench.run(20)
    assert len(default(bench)) == 1
    bench.run(100)
    assert default(bench) == []


def test_of_two_routers_the_preferred_one_is_shown_with_its_preference() -> None:
    bench = Bench6()
    bench.ra(SLLA, flags=0x08)
    bench.ra(lladdr_option(1, OTHER_MAC), src=OTHER_LL, flags=0x18, mac=OTHER_MAC)
    text = '\n'.join(bench.routes())
    assert 'pref high' in text and 'pref low' in text
    bench.set('eth0.accept_ra_rtr_pref', 0)
    bench.ra(SLLA, flags=0x08)
    assert 'pref high' not in '\n'.join(bench.routes())


@pytest.mark.parametrize(('conf', 'routed'), [
    ({'accept_ra': 0}, False), ({'accept_ra_defrtr': 0}, False), ({'forwarding': 1}, False),
    ({'forwarding': 1, 'accept_ra': 2}, True), ({'accept_ra_min_lft': 1801}, False), ({'accept_ra_min_lft': 1800}, True),
])
def test_sysctls_say_whether_the_sender_is_a_default_router(conf: dict[str, int], routed: bool) -> None:
    bench = Bench6(**conf)
    bench.ra(SLLA)
    assert (default(bench) != []) == routed
    assert bench.state(PEER_LL) == NUD_STALE  # that it is there is noted in any case


@pytest.mark.parametrize(('conf', 'has'), [
    ({}, True), ({'accept_ra': 0}, False), ({'accept_ra_pinfo': 0}, False), ({'autoconf': 0}, False),
    ({'max_addresses': 1}, False),
])
def test_sysctls_say_whether_an_address_is_made(conf: dict[str, int], has: bool) -> None:
    bench = Bench6(**conf)
    bench.ra(SLLA, prefix_option('2001:db8::'))
    assert (AUTO in bench.addresses()) == has


@pytest.mark.parametrize(('option', 'address', 'route'), [
    (prefix_option('2001:db8::', flags=0x80), False, True),
    (prefix_option('2001:db8::', flags=0x40), True, False),
    (prefix_option('2001:db8::', 63), False, True),
    (prefix_option('2001:db8::', valid=10, preferred=11), False, False),
    (prefix_option('fe80::'), False, False),
    (prefix_option('ff05::'), False, False),
    (prefix_option('2001:db8::', valid=0, preferred=0), False, False),
    (b'\x03\x01' + bytes(6), False, False),
])
def test_prefixes(option: bytes, address: bool, route: bool) -> None:
    bench = Bench6()
    bench.ra(SLLA, option)
    assert (AUTO in bench.addresses()) == address
    assert any(line.startswith('2001:db8::/6') for line in bench.routes()) == route


def test_what_is_none_from_a_neighbour_is_no_advertisement() -> None:
    bench = Bench6()
    bench.ra(SLLA, prefix_option('2001:db8::'), src='2001:db8::1')
    bench.ra(SLLA, prefix_option('2001:db8::'), hop=1)
    assert len(default(bench)) == 1  # `hop` is what it tells, 255 what it comes with
    bench = Bench6()
    bench.receive(bytes([134, 0, 0, 0, 64, 0, 7, 8]) + bytes(8), PEER_LL, 'ff02::1', hop=254)
    assert default(bench) == []


def test_a_prefix_is_deprecated_and_ends() -> None:
    bench = Bench6()
    bench.ra(SLLA, prefix_option('2001:db8::', valid=40, preferred=10))
    bench.run(11)
    assert bench.ifa(AUTO).flags & IFA_F_DEPRECATED
    bench.ra(SLLA, prefix_option('2001:db8::', valid=40, preferred=10))
    assert bench.ifa(AUTO).flags & IFA_F_DEPRECATED == 0
    bench.run(41)
    assert bench.addresses() == [MY_LL]
    bench.run(100)
    assert not any('2001:db8' in line for line in bench.routes())


def test_the_valid_lifetime_cannot_be_cut_below_two_hours() -> None:
    bench = Bench6()
    bench.ra(SLLA, prefix_option('2001:db8::', valid=20000, preferred=10000))
    bench.run(5)
    bench.ra(SLLA, prefix_option('2001:db8::', valid=60, preferred=60))
    assert (bench.ifa(AUTO).valid_lft, bench.ifa(AUTO).prefered_lft) == (7200, 60)
    bench.run(1000)
    bench.ra(SLLA, prefix_option('2001:db8::', valid=60, preferred=60))
    assert bench.ifa(AUTO).valid_lft == 6200
    bench.set('eth0.ra_honor_pio_life', 1)
    bench.ra(SLLA, prefix_option('2001:db8::', valid=60, preferred=60))
    assert bench.ifa(AUTO).valid_lft == 60
    bench.ra(SLLA, prefix_option('2001:db8::', valid=0xFFFFFFFF, preferred=0xFFFFFFFF))
    assert 'valid_lft forever preferred_lft forever' in inet6_dump(bench.net, bench.dev)


def test_routes_that_a_router_tells_are_taken_of_the_lengths_that_are_let_pass() -> None:
    option = bytes([24, 2, 32, 0x08]) + (100).to_bytes(4, 'big') + bytes.fromhex('20010db800000000')
    bench = Bench6()
    bench.ra(SLLA, option, lifetime=0)
    assert not any('2001:db8::/32' in line for line in bench.routes())
    bench.set('eth0.accept_ra_rt_info_max_plen', 32)
    bench.ra(SLLA, option, lifetime=0)
    route, = [line for line in bench.routes() if '2001:db8::/32' in line]
    assert route == f'2001:db8::/32 via {PEER_LL} dev eth0 proto ra metric 1024 expires 100sec pref high'
    bench.run(200)
    assert not any('2001:db8::/32' in line for line in bench.routes())
    bench.set('eth0.accept_ra_rt_info_min_plen', 33)
    bench.ra(SLLA, option, lifetime=0)
    assert not any('2001:db8::/32' in line for line in bench.routes())


@pytest.mark.parametrize(('mtu', 'taken'), [(1279, 1500), (1280, 1280), (1500, 1500), (1501, 1500)])
def test_the_mtu_is_taken_within_bounds(mtu: int, taken: int) -> None:
    bench = Bench6()
    bench.ra(SLLA, mtu_option(mtu))
    assert bench.idev.cnf.mtu6 == taken
    bench = Bench6(accept_ra_mtu=0)
    bench.ra(SLLA, mtu_option(mtu))
    assert bench.idev.cnf.mtu6 == 1500


def test_a_hop_limit_below_the_least_is_not_taken() -> None:
    bench = Bench6(accept_ra_min_hop_limit=30)
    for told, kept in ((29, 64), (30, 30), (0, 30), (255, 255)):
        bench.ra(SLLA, hop=told)
        assert bench.idev.cnf.hop_limit == kept
