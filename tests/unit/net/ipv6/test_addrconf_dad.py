# SPDX-License-Identifier: Apache-2.0
"""Duplicate address detection (RFC 4862, 5.4) and router solicitations (RFC 4861, 6.3.7; RFC 7559)."""

from __future__ import annotations

from helpers.nd_bench import ALL_NODES, ALL_ROUTERS, MY_LL, MY_MAC, PEER_LL, Bench6, prefix_option
from linnet.include.linux.in6 import in6_pton
from linnet.include.net.if_inet6 import IFA_F_DADFAILED, IFA_F_NODAD, IFA_F_OPTIMISTIC, IFA_F_TENTATIVE
from linnet.kernel.timer import timer_pending
from linnet.net.core.dev import dev_open, netif_carrier_off, netif_carrier_on
from linnet.net.ipv6.addrconf_saddr import ipv6_chk_addr

NS, NA, RS, REPORT = 135, 136, 133, 143


def test_an_address_is_asked_for_once_and_ours_a_second_later() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::5') == 0
    assert bench.ifa('2001:db8::5').flags & IFA_F_TENTATIVE
    assert not any('local 2001:db8::5' in line for line in bench.routes(255))
    assert any('2001:db8::/64' in line for line in bench.routes())
    bench.run(1)
    ns, = bench.take(NS)
    assert (ns.src, ns.dst, ns.hop, ns.target) == ('::', 'ff02::1:ff00:5', 255, '2001:db8::5')
    assert ns.mac == bytes.fromhex('3333ff000005')
    assert ns.body[24:26] == b'\x0e\x01' and ns.body[26:] == bench.ifa('2001:db8::5').dad_nonce
    bench.run(1.1)
    assert bench.ifa('2001:db8::5').flags & IFA_F_TENTATIVE == 0
    assert any('local 2001:db8::5' in line for line in bench.routes(255))
    assert bench.take(NS, NA) == [] and bench.leaks() == {}


def test_dad_transmits_and_retrans_time_are_heeded() -> None:
    bench = Bench6(dad_transmits=3)
    bench.net.sysctl.set('net.ipv6.neigh.eth0.retrans_time_ms', '250')
    assert bench.add('2001:db8::5') == 0
    bench.run(3)
    asked = bench.take(NS)
    assert [b.when - a.when for a, b in zip(asked, asked[1:], strict=False)] == [250, 250]
    assert bench.ifa('2001:db8::5').flags & IFA_F_TENTATIVE == 0


def test_without_dad_the_address_is_ours_at_once() -> None:
    for flags, conf in ((IFA_F_NODAD, {}), (0, {'accept_dad': 0})):
        bench = Bench6(**conf)
        assert bench.add('2001:db8::5', flags=flags) == 0
        assert ipv6_chk_addr(bench.net, in6_pton('2001:db8::5'), None, False)
        bench.run(3)
        assert bench.take(NS) == []


def test_a_duplicate_is_found_by_question_and_by_answer() -> None:
    for answer in (False, True):
        bench = Bench6()
        assert bench.add('2001:db8::5') == 0
        bench.run(1)
        bench.take()
        if answer:
            bench.na('2001:db8::5', dst=ALL_NODES, flags=0x20)
        else:
            bench.ns('2001:db8::5', '::', nonce=b'others')
        bench.run(2)
        assert bench.ifa('2001:db8::5').flags & (IFA_F_DADFAILED | IFA_F_TENTATIVE) == IFA_F_DADFAILED | IFA_F_TENTATIVE
        assert not any('local 2001:db8::5' in line for line in bench.routes(255))
        bench.ns('2001:db8::5', PEER_LL)
        assert bench.take(NS, NA) == []
        assert bench.leaks() == {}


def test_our_own_question_come_back_is_none_of_anothers() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::5') == 0
    bench.run(1)
    bench.ns('2001:db8::5', '::', nonce=bench.ifa('2001:db8::5').dad_nonce)
    bench.run(2)
    assert bench.ifa('2001:db8::5').flags & IFA_F_TENTATIVE == 0


def test_an_advertised_address_that_is_a_duplicate_goes() -> None:
    bench = Bench6()
    bench.ra(prefix_option('2001:db8::'))
    bench.run(1)
    assert '2001:db8::ff:fe00:aa' in bench.addresses()
    bench.ns('2001:db8::ff:fe00:aa', '::')
    bench.run(1)
    assert bench.addresses() == [MY_LL]


def test_with_accept_dad_2_a_duplicate_of_the_hardwares_address_ends_ipv6_there() -> None:
    bench = Bench6(settle=False, accept_dad=2)
    bench.run(1)
    bench.ns(MY_LL, '::')
    bench.run(1)
    assert bench.idev.cnf.disable_ipv6 == 1 and bench.addresses() == [] and bench.routes() == []


def test_a_question_about_a_tentative_address_is_not_answered() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::5') == 0
    bench.run(1)
    bench.take()
    bench.ns('2001:db8::5', PEER_LL)
    assert bench.take(NA) == []
    assert bench.ifa('2001:db8::5').flags & IFA_F_DADFAILED == 0


def test_an_optimistic_address_answers_but_does_not_override() -> None:
    bench = Bench6(optimistic_dad=1)
    bench.ra(b'\x01\x01' + bytes.fromhex('0200000000bb'), prefix_option('2001:db8::'))
    assert bench.ifa('2001:db8::ff:fe00:aa').flags & IFA_F_OPTIMISTIC
    assert any('local 2001:db8::ff:fe00:aa' in line for line in bench.routes(255))
    bench.take()
    bench.ns('2001:db8::ff:fe00:aa', PEER_LL)
    na, = bench.take(NA)
    assert na.body[4] == 0x40
    bench.run(2)
    bench.ns('2001:db8::ff:fe00:aa', PEER_LL)
    na, = bench.take(NA)
    assert na.body[4] == 0x60


def test_dad_waits_for_the_carrier() -> None:
    bench = Bench6.__new__(Bench6)
    bench.prepare('eth0')
    netif_carrier_off(bench.dev)
    assert dev_open(bench.dev) == 0
    assert bench.add('2001:db8::5') == 0
    bench.run(3)
    assert bench.take(NS) == [] and bench.addresses() == ['2001:db8::5']
    netif_carrier_on(bench.dev)
    bench.run(3)
    assert sorted(ns.target for ns in bench.take(NS)) == ['2001:db8::5', MY_LL]
    assert bench.ifa('2001:db8::5').flags & IFA_F_TENTATIVE == 0


def test_with_ndisc_notify_the_link_is_told() -> None:
    bench = Bench6(ndisc_notify=1)
    assert bench.add('2001:db8::5') == 0
    bench.run(3)
    na, = bench.take(NA)
    assert (na.src, na.dst, na.target, na.body[4]) == ('2001:db8::5', ALL_NODES, '2001:db8::5', 0x20)
    assert na.body[24:] == b'\x02\x01' + MY_MAC


def test_routers_are_asked_for_with_growing_pauses_until_one_answers() -> None:
    bench = Bench6(settle=False)
    bench.run(70)
    asked = bench.take(RS)
    assert {(rs.src, rs.dst, rs.hop) for rs in asked} == {(MY_LL, ALL_ROUTERS, 255)}
    assert asked[0].body[8:] == b'\x01\x01' + MY_MAC
    pauses = [b.when - a.when for a, b in zip(asked, asked[1:], strict=False)]
    assert 3600 <= pauses[0] <= 4400
    assert all(1.9 <= b / a <= 2.1 for a, b in zip(pauses, pauses[1:], strict=False)) and len(pauses) >= 3
    bench.ra()
    bench.run(1000)
    assert bench.take(RS) == []


def test_pauses_do_not_grow_beyond_the_maximum_and_the_number_may_be_limited() -> None:
    bench = Bench6(settle=False, router_solicitation_interval=1, router_solicitation_max_interval=3)
    bench.run(30)
    asked = bench.take(RS)
    pauses = [b.when - a.when for a, b in zip(asked, asked[1:], strict=False)]
    assert max(pauses) <= 3300 and min(pauses[3:]) >= 2700
    for most in (0, 3):
        bench = Bench6(settle=False, router_solicitations=most)
        bench.run(100)
        assert len(bench.take(RS)) == most


def test_nobody_waits_for_a_router() -> None:
    bench = Bench6()
    assert bench.idev.rs_timer is not None and timer_pending(bench.idev.rs_timer)
    before = int(bench.world.clock.now)
    bench.world.sched.run()
    assert int(bench.world.clock.now) == before


def test_a_router_or_a_host_that_takes_no_advertisements_asks_for_none() -> None:
    for conf in ({'accept_ra': 0}, {'forwarding': 1}):
        bench = Bench6(settle=False, **conf)
        bench.run(10)
        assert bench.take(RS) == []
        assert bench.take(REPORT) != []
