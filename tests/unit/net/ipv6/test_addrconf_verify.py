# SPDX-License-Identifier: Apache-2.0
"""Temporary addresses (RFC 8981): made beside a public one, renewed before they are deprecated, replaced where DAD fails."""

from __future__ import annotations

from helpers.nd_bench import MY_LL, PEER_MAC, Bench6, lladdr_option, prefix_option
from linnet.include.linux.in6 import in6_ntop, in6_pton
from linnet.include.net.if_inet6 import IFA_F_DEPRECATED, IFA_F_TEMPORARY, IFA_F_TENTATIVE, Inet6Ifaddr
from linnet.net.ipv6.addrconf import inet6_addr_del
from linnet.net.ipv6.addrconf_saddr import ipv6_dev_get_saddr
from linnet.net.ipv6.addrconf_show import inet6_dump

AUTO = '2001:db8::ff:fe00:aa'
SLLA = lladdr_option(1, PEER_MAC)
SHORT = {'use_tempaddr': 2, 'max_desync_factor': 0, 'temp_prefered_lft': 60, 'temp_valid_lft': 90}


def temporary(bench: Bench6) -> list[Inet6Ifaddr]:
    return [ifp for ifp in bench.idev.addr_list if ifp.flags & IFA_F_TEMPORARY]


def test_one_is_made_beside_the_public_address_and_speaks_instead_of_it() -> None:
    bench = Bench6(use_tempaddr=2)
    bench.ra(SLLA, prefix_option('2001:db8::'))
    bench.run(3)
    ifp, = temporary(bench)
    assert bench.addresses() == [in6_ntop(ifp.addr), AUTO, MY_LL]
    assert ifp.addr >> 64 == in6_pton('2001:db8::') >> 64 and ifp.flags & IFA_F_TENTATIVE == 0
    assert 'scope global temporary dynamic' in inet6_dump(bench.net, bench.dev)
    assert 86400 - 600 <= ifp.prefered_lft <= 86400 and ifp.valid_lft == 604800
    assert ipv6_dev_get_saddr(bench.net, bench.dev, in6_pton('2001:db8:9::1'), 0) == ifp.addr
    assert sorted(ns.target for ns in bench.take(135)) == sorted([AUTO, in6_ntop(ifp.addr)])
    bench.set('eth0.use_tempaddr', 1)
    assert ipv6_dev_get_saddr(bench.net, bench.dev, in6_pton('2001:db8:9::1'), 0) == in6_pton(AUTO)


def test_none_is_made_where_that_is_off_or_it_would_be_deprecated_at_once() -> None:
    for conf, preferred in (({'use_tempaddr': 0}, 1000), ({'use_tempaddr': 1}, 5),
                            ({'use_tempaddr': 1, 'temp_prefered_lft': 5}, 1000)):
        bench = Bench6(**conf)
        bench.ra(SLLA, prefix_option('2001:db8::', preferred=preferred))
        bench.run(3)
        assert temporary(bench) == [] and AUTO in bench.addresses()


def test_a_successor_is_made_before_it_is_deprecated_and_it_goes_later() -> None:
    bench = Bench6(**SHORT)
    bench.ra(SLLA, prefix_option('2001:db8::'))
    bench.run(54)
    first, = temporary(bench)
    bench.run(3)  # 5 s before its end: two for safety, three for DAD and its repetitions
    second, = [ifp for ifp in temporary(bench) if ifp is not first]
    assert first.flags & IFA_F_DEPRECATED == 0 and second.addr != first.addr
    bench.run(5)
    assert first.flags & IFA_F_DEPRECATED and second.flags & (IFA_F_DEPRECATED | IFA_F_TENTATIVE) == 0
    bench.run(30)
    assert first not in bench.idev.addr_list and second in bench.idev.addr_list
    bench.run(60 * 10)
    assert 1 <= len(temporary(bench)) <= 3
    assert [ifp for ifp in temporary(bench) if ifp.flags & IFA_F_DEPRECATED == 0]


def test_advertisements_do_not_prolong_it_beyond_its_own_bounds() -> None:
    bench = Bench6(**SHORT)
    bench.ra(SLLA, prefix_option('2001:db8::'))
    bench.run(40)
    ifp, = temporary(bench)
    bench.ra(SLLA, prefix_option('2001:db8::'))
    assert (ifp.prefered_lft, ifp.valid_lft) == (20, 50)
    bench.ra(SLLA, prefix_option('2001:db8::', valid=30, preferred=10))
    assert (ifp.prefered_lft, ifp.valid_lft) == (10, 50)  # the public one's valid time is two hours at the least


def test_one_that_fails_dad_has_a_successor_and_after_three_none_is_made_any_more() -> None:
    bench = Bench6(use_tempaddr=1)
    bench.ra(SLLA, prefix_option('2001:db8::'))
    seen = set()
    for _ in range(3):
        bench.run(1)
        ifp, = temporary(bench)
        seen.add(ifp.addr)
        bench.ns(in6_ntop(ifp.addr), '::')
        bench.run(0.01)
    assert len(seen) == 3 and temporary(bench) == []
    assert bench.net.sysctl.get('net.ipv6.conf.eth0.use_tempaddr') == '-1'
    assert AUTO in bench.addresses()


def test_it_goes_with_the_public_address_that_is_deleted() -> None:
    bench = Bench6(use_tempaddr=1)
    bench.ra(SLLA, prefix_option('2001:db8::'))
    bench.run(3)
    assert inet6_addr_del(bench.dev, in6_pton(AUTO), 64) == 0
    assert bench.addresses() == [MY_LL]
    assert bench.leaks() == {}
