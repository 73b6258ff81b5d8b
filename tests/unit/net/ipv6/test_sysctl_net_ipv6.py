# SPDX-License-Identifier: Apache-2.0
"""net.ipv6.*: names and defaults as Linux has them, ranges, what is set in motion by writing."""

from __future__ import annotations

import pytest

from helpers.nd_bench import MY_LL, OTHER_MAC, Bench6
from linnet.kernel.errno import EINVAL
from linnet.net.core.dev import dev_open, unregister_netdevice


@pytest.mark.parametrize(('name', 'value'), [
    ('bindv6only', '0'), ('auto_flowlabels', '1'), ('mld_qrv', '2'), ('mld_max_msf', '64'), ('ip6frag_time', '60'),
    ('max_dst_opts_number', '8'), ('max_hbh_length', '2147483647'), ('route.min_adv_mss', '1220'), ('route.mtu_expires', '600'),
    ('conf.all.forwarding', '0'), ('conf.all.accept_dad', '0'), ('conf.eth0.accept_dad', '1'), ('conf.lo.accept_dad', '-1'),
    ('conf.all.mtu', '1280'), ('conf.eth0.mtu', '1500'), ('conf.lo.mtu', '65536'), ('conf.eth0.hop_limit', '64'),
    ('conf.eth0.router_solicitations', '-1'), ('conf.eth0.router_solicitation_max_interval', '3600'),
    ('conf.eth0.mldv1_unsolicited_report_interval', '10000'), ('conf.eth0.enhanced_dad', '1'), ('conf.eth0.max_addresses', '16'),
    ('neigh.eth0.locktime', '0'), ('neigh.eth0.retrans_time_ms', '1000'), ('neigh.eth0.base_reachable_time_ms', '30000'),
    ('neigh.default.gc_thresh3', '1024'), ('neigh.eth0.proxy_delay', '80'), ('neigh.eth0.ucast_solicit', '3'),
])
def test_defaults(name: str, value: str) -> None:
    assert Bench6().net.sysctl.get('net.ipv6.' + name) == value


@pytest.mark.parametrize(('name', 'value'), [
    ('conf.eth0.hop_limit', '0'), ('conf.eth0.hop_limit', '256'), ('conf.eth0.mtu', '1279'), ('conf.eth0.mtu', '1501'),
    ('conf.eth0.forwarding', 'yes'), ('conf.eth0.addr_gen_mode', '4'), ('bindv6only', '256'), ('mld_qrv', '0'),
    ('conf.eth0.router_solicitations', '-2'), ('conf.eth0.ndisc_tclass', '256'), ('conf.eth0.disable_ipv6', ''),
])
def test_ranges(name: str, value: str) -> None:
    bench = Bench6()
    before = bench.net.sysctl.get('net.ipv6.' + name)
    assert bench.net.sysctl.set('net.ipv6.' + name, value) == -EINVAL
    assert bench.net.sysctl.get('net.ipv6.' + name) == before


def test_new_devices_are_set_as_conf_default_says_and_conf_all_says_nothing() -> None:
    bench = Bench6()
    bench.set('default.hop_limit', 7)
    bench.set('all.hop_limit', 9)
    bench.device('eth1', OTHER_MAC)
    assert bench.net.sysctl.get('net.ipv6.conf.eth1.hop_limit') == '7'
    assert bench.net.sysctl.get('net.ipv6.conf.eth0.hop_limit') == '64'


def test_forwarding_of_all_sets_each_device_and_those_to_come() -> None:
    bench = Bench6()
    bench.set('all.forwarding', 1)
    bench.device('eth1', OTHER_MAC)
    for name in ('default', 'eth0', 'eth1', 'lo'):
        assert bench.net.sysctl.get(f'net.ipv6.conf.{name}.forwarding') == '1'
    bench.set('eth0.forwarding', 0)
    assert bench.net.sysctl.get('net.ipv6.conf.all.forwarding') == '1'


def test_a_device_takes_its_directories_along() -> None:
    bench = Bench6()
    other = bench.device('eth1', OTHER_MAC)
    assert 'net.ipv6.neigh.eth1.locktime' in bench.net.sysctl.names()
    unregister_netdevice(other)
    assert not [name for name in bench.net.sysctl.names() if '.eth1.' in name]


def test_the_mtu_of_ipv6_alone() -> None:
    bench = Bench6()
    bench.set('eth0.mtu', 1400)
    assert (bench.idev.cnf.mtu6, bench.dev.mtu) == (1400, 1500)


def test_addr_gen_mode_says_how_the_link_local_address_is_made() -> None:
    bench = Bench6(addr_gen_mode=1)
    assert bench.addresses() == []
    bench.set('eth0.addr_gen_mode', 0)
    assert bench.addresses() == [MY_LL]
    other = bench.device('eth1', OTHER_MAC)
    bench.set('eth1.addr_gen_mode', 3)
    assert dev_open(other) == 0
    address, = bench.addresses(other)
    assert address.startswith('fe80::') and address != 'fe80::ff:fe00:cc'
