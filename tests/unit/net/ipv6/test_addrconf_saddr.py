# SPDX-License-Identifier: Apache-2.0
"""Source selection by RFC 6724, 5, rule by rule, and which addresses count as ours."""

from __future__ import annotations

import pytest

from helpers.nd_bench import MY_LL, OTHER_MAC, Bench6
from linnet.include.linux.in6 import in6_ntop, in6_pton
from linnet.include.net.if_inet6 import IFA_F_NODAD, IFA_F_OPTIMISTIC, IFA_F_TEMPORARY, IFA_F_TENTATIVE
from linnet.net.core.dev import dev_open
from linnet.net.ipv6.addrconf import inet6_addr_add
from linnet.net.ipv6.addrconf_saddr import (
    IPV6_PREFER_SRC_PUBLIC,
    IPV6_PREFER_SRC_TMP,
    ipv6_chk_addr,
    ipv6_chk_addr_and_flags,
    ipv6_chk_prefix,
    ipv6_dev_get_saddr,
    ipv6_get_ifaddr,
    ipv6_get_lladdr,
)
from linnet.net.ipv6.addrlabel import ip6addrlbl_dump, ipv6_addr_label


def source(bench: Bench6, daddr: str, prefs: int = 0, anywhere: bool = False) -> str:
    return in6_ntop(ipv6_dev_get_saddr(bench.net, None if anywhere else bench.dev, in6_pton(daddr), prefs))


def with_addresses(*addrs: str) -> Bench6:
    bench = Bench6()
    for addr in addrs:
        assert bench.add(addr, flags=IFA_F_NODAD) == 0
    return bench


@pytest.mark.parametrize(('addrs', 'daddr', 'chosen'), [
    # the examples of RFC 6724, 10.1, as far as they can be set up without IPv4
    (['2001:db8:1::1'], '2001:db8:2::1', '2001:db8:1::1'),
    (['2001:db8:1::1'], 'ff05::1', '2001:db8:1::1'),
    ([], '2001:db8:1::1', MY_LL),
    (['2001:db8:1::2', 'fec0::1'], '2001:db8:2::1', '2001:db8:1::2'),
    (['2001:db8:1::2', 'fec0::1'], 'fec0::9', 'fec0::1'),
    (['2001:db8:1::1'], 'fe80::1', MY_LL),
    (['2001:db8:1::1'], 'ff02::1', MY_LL),
    (['2001:db8:1::5', '2001:db8:1::2'], '2001:db8:1::2', '2001:db8:1::2'),  # rule 1
    (['2001:db8:1::2', '2001:db8:3::2'], '2001:db8:1::1', '2001:db8:1::2'),  # rule 8
    (['2001:db8:3::2', '2001:db8:1::2'], '2001:db8:1::1', '2001:db8:1::2'),
    (['2002:c633:6401::2', '2001:db8:1::2'], '2002:c633:6401::1', '2002:c633:6401::2'),  # rule 6
    (['2001:db8:1::2', '2002:c633:6401::2'], '2001:db8:9::1', '2001:db8:1::2'),
    (['fd00::1', '2001:db8:1::2'], 'fd12::1', 'fd00::1'),
])
def test_rules(addrs: list[str], daddr: str, chosen: str) -> None:
    assert source(with_addresses(*addrs), daddr) == chosen


def test_a_deprecated_address_is_the_last_choice() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::1', flags=IFA_F_NODAD) == 0
    assert bench.add('2001:db8:1::1', flags=IFA_F_NODAD, valid_lft=1000, prefered_lft=0) == 0
    assert source(bench, '2001:db8:1::9') == '2001:db8::1'  # rule 3 before rule 8


def test_of_equals_the_latest_is_taken() -> None:
    bench = with_addresses('2001:db8::1', '2001:db8::2')
    assert source(bench, '2001:db8:9::1') == '2001:db8::2'


def test_the_common_prefix_does_not_count_beyond_the_own_prefix() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::8000:0:0:1', 48, flags=IFA_F_NODAD) == 0
    assert bench.add('2001:db8::1', 48, flags=IFA_F_NODAD) == 0
    assert source(bench, '2001:db8::8000:0:0:9') == '2001:db8::1'  # both agree in 48 bits: the latest


def test_temporary_addresses_as_the_sysctl_or_the_socket_says() -> None:
    bench = with_addresses('2001:db8::1', '2001:db8::2')
    bench.ifa('2001:db8::1').flags |= IFA_F_TEMPORARY
    far = '2001:db8:9::1'
    assert source(bench, far) == '2001:db8::2'
    assert source(bench, far, IPV6_PREFER_SRC_TMP) == '2001:db8::1'
    bench.set('eth0.use_tempaddr', 2)
    assert source(bench, far) == '2001:db8::1'
    assert source(bench, far, IPV6_PREFER_SRC_PUBLIC) == '2001:db8::2'


def test_tentative_addresses_are_not_used_optimistic_ones_are_avoided() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::1') == 0
    assert source(bench, '2001:db8::9') == MY_LL
    bench.ifa('2001:db8::1').flags |= IFA_F_OPTIMISTIC
    assert source(bench, '2001:db8::9') == '2001:db8::1'
    assert bench.add('2001:db8:1::1', flags=IFA_F_NODAD) == 0
    assert source(bench, '2001:db8::9') == '2001:db8:1::1'
    bench.set('eth0.use_optimistic', 1)
    assert source(bench, '2001:db8::9') == '2001:db8::1'
    bench.run(3)
    assert bench.ifa('2001:db8::1').flags & IFA_F_TENTATIVE == 0


def test_another_devices_address_where_this_one_has_none() -> None:
    bench = Bench6()
    other = bench.device('eth1', OTHER_MAC)
    assert dev_open(other) == 0
    assert inet6_addr_add(other, in6_pton('2001:db8::7'), 64, IFA_F_NODAD) == 0
    assert source(bench, '2001:db8:9::1') == '2001:db8::7'
    assert source(bench, '2001:db8:9::1', anywhere=True) == '2001:db8::7'
    assert bench.add('2001:db8:5::1', flags=IFA_F_NODAD) == 0
    assert source(bench, '2001:db8::1') == '2001:db8:5::1'  # rule 5 before rule 8
    assert source(bench, '2001:db8::1', anywhere=True) == '2001:db8::7'
    bench.set('eth0.use_oif_addrs_only', 1)
    assert source(bench, '2001:db8::7') == '2001:db8:5::1'


def test_loopback_speaks_from_itself() -> None:
    bench = with_addresses('2001:db8::1')
    lo = bench.net.loopback_dev
    assert ipv6_dev_get_saddr(bench.net, lo, 1, 0) == 1
    assert ipv6_dev_get_saddr(bench.net, lo, in6_pton('2001:db8::1'), 0) == in6_pton('2001:db8::1')


def test_what_is_ours() -> None:
    bench = with_addresses('2001:db8::1')
    net, dev, lo = bench.net, bench.dev, bench.net.loopback_dev
    ours, ll = in6_pton('2001:db8::1'), in6_pton(MY_LL)
    assert ipv6_chk_addr(net, ours, None, False) and ipv6_chk_addr(net, ours, dev, True)
    assert ipv6_chk_addr(net, ours, lo, False) and not ipv6_chk_addr(net, ours, lo, True)
    assert ipv6_chk_addr(net, ll, dev, False) and not ipv6_chk_addr(net, ll, lo, False)
    assert ipv6_chk_addr(net, 1, None, False)
    assert not ipv6_chk_addr(net, in6_pton('2001:db8::2'), None, False)
    assert bench.add('2001:db8::2') == 0
    assert not ipv6_chk_addr(net, in6_pton('2001:db8::2'), None, False)  # tentative
    assert ipv6_chk_addr_and_flags(net, in6_pton('2001:db8::2'), dev, False, True, 0)
    assert ipv6_get_ifaddr(net, in6_pton('2001:db8::2'), dev, True) is bench.ifa('2001:db8::2')
    assert ipv6_get_ifaddr(net, ll, lo, False) is None
    assert ipv6_get_lladdr(dev, IFA_F_TENTATIVE) == ll
    assert lo is not None and ipv6_get_lladdr(lo, 0) == 0
    assert ipv6_chk_prefix(in6_pton('2001:db8::77'), dev) and not ipv6_chk_prefix(in6_pton('2001:db8:1::77'), dev)


def test_labels_are_those_of_rfc_6724_and_of_linux() -> None:
    for addr, label in (('::1', 0), ('2001:db8::1', 1), ('2002::1', 2), ('::1.2.3.4', 3), ('::ffff:1.2.3.4', 4), ('fd00::1', 5),
                        ('2001:0:1::', 6), ('2001:10::1', 7), ('fec0::1', 11), ('3ffe::1', 12), ('fe80::1', 1)):
        assert ipv6_addr_label(in6_pton(addr)) == label, addr
    assert ip6addrlbl_dump().splitlines()[:3] == ['prefix ::1/128 label 0 ', 'prefix ::/96 label 3 ',
                                                  'prefix ::ffff:0.0.0.0/96 label 4 ']
