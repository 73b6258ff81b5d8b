# SPDX-License-Identifier: Apache-2.0
"""Addresses of devices: given and taken, by a device's going down and up, by MTU and disable_ipv6; what forwarding changes."""

from __future__ import annotations

import pytest

from helpers.nd_bench import MY_LL, OTHER_MAC, PEER_LL, Bench6
from linnet.include.linux.if_ether import ARPHRD_NONE
from linnet.include.linux.in6 import in6_pton
from linnet.include.linux.netdevice import IFF_MULTICAST, NetDevice
from linnet.include.net.if_inet6 import IFA_F_MCAUTOJOIN, IFA_F_NODAD, IFA_F_NOPREFIXROUTE
from linnet.kernel.clock import VirtualClock
from linnet.kernel.errno import EACCES, EADDRNOTAVAIL, EEXIST, EINVAL, ENODEV
from linnet.net.boot import new_net, new_world
from linnet.net.core.dev import dev_close, dev_open, dev_set_mtu, register_netdevice, unregister_netdevice
from linnet.net.ipv6.addrconf import inet6_addr_del
from linnet.net.ipv6.addrconf_show import if6_seq_show, inet6_dump
from linnet.net.ipv6.mcast import ipv6_chk_mcast_addr

NS, NA, RS, REPORT = 135, 136, 133, 143


def delete(bench: Bench6, addr: str, plen: int = 64) -> int:
    return inet6_addr_del(bench.dev, in6_pton(addr), plen)


def test_lo_has_its_address_from_the_start_and_links_have_none() -> None:
    net = new_net(new_world(VirtualClock(), 1), 'host')
    assert net.sysctl.get('net.ipv6.conf.default.disable_ipv6') == '1'
    assert inet6_dump(net) == ('1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 state UNKNOWN qlen 1000\n'
                               '    inet6 ::1/128 scope host \n       valid_lft forever preferred_lft forever\n')
    bench = Bench6.__new__(Bench6)
    bench.prepare('eth0', disable_ipv6=1)
    assert dev_open(bench.dev) == 0
    bench.run(100)
    assert bench.dev.netdev_ops.sent == [] and bench.addresses() == []  # type: ignore[attr-defined]
    assert bench.add('2001:db8::1') == -EACCES


def test_the_link_local_address_is_made_of_the_hardwares() -> None:
    bench = Bench6()
    assert bench.addresses() == [MY_LL]
    assert bench.routes() == ['fe80::/64 dev eth0 proto kernel metric 256 pref medium']
    assert if6_seq_show(bench.net) == ('00000000000000000000000000000001 01 80 10 80       lo\n'
                                       'fe80000000000000000000fffe0000aa 02 40 20 80     eth0\n')


def test_a_link_without_hardware_addresses_gets_a_random_one_that_stays() -> None:
    bench = Bench6()
    tun = NetDevice(bench.net, 'tun0', type(bench.dev.netdev_ops)())
    tun.type = ARPHRD_NONE
    tun.flags |= IFF_MULTICAST
    assert register_netdevice(tun) == 0
    assert dev_open(tun) == 0
    first, = bench.addresses(tun)
    assert first.startswith('fe80::') and bench.net.sysctl.get('net.ipv6.conf.tun0.addr_gen_mode') == '3'
    dev_close(tun)
    dev_open(tun)
    assert bench.addresses(tun) == [first]


@pytest.mark.parametrize(('addr', 'plen', 'error'), [
    ('2001:db8::1', 129, EINVAL), ('2001:db8::1', -1, EINVAL), ('::', 64, EADDRNOTAVAIL), ('ff02::5', 64, EADDRNOTAVAIL),
    ('::1', 128, EADDRNOTAVAIL), (MY_LL, 64, EEXIST),
])
def test_what_cannot_be_an_address(addr: str, plen: int, error: int) -> None:
    assert Bench6().add(addr, plen) == -error


def test_lifetimes_that_cannot_be() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::1', valid_lft=0) == -EINVAL
    assert bench.add('2001:db8::1', valid_lft=10, prefered_lft=11) == -EINVAL


def test_the_latest_address_of_the_widest_scope_stands_first() -> None:
    bench = Bench6()
    for addr in ('2001:db8::1', 'fec0::1', '2001:db8::2', 'fe80::7'):
        assert bench.add(addr, flags=IFA_F_NODAD) == 0
    assert bench.addresses() == ['2001:db8::2', '2001:db8::1', 'fec0::1', 'fe80::7', MY_LL]


def test_a_deleted_address_takes_its_routes_and_group_along() -> None:
    bench = Bench6()
    before = (bench.routes(), bench.routes(255))
    assert bench.add('2001:db8::5', flags=IFA_F_NODAD) == 0
    assert ipv6_chk_mcast_addr(bench.dev, in6_pton('ff02::1:ff00:5'), 0)
    assert delete(bench, '2001:db8::5', 63) == -EADDRNOTAVAIL
    assert delete(bench, '2001:db8::5') == 0
    assert (bench.routes(), bench.routes(255)) == before
    assert not ipv6_chk_mcast_addr(bench.dev, in6_pton('ff02::1:ff00:5'), 0)
    assert delete(bench, '2001:db8::5') == -EADDRNOTAVAIL


def test_a_prefixs_route_stays_for_the_other_address_in_it() -> None:
    bench = Bench6()
    for addr in ('2001:db8::5', '2001:db8::6'):
        assert bench.add(addr, flags=IFA_F_NODAD) == 0
    assert delete(bench, '2001:db8::5') == 0
    assert any('2001:db8::/64' in line for line in bench.routes())
    assert delete(bench, '2001:db8::6') == 0
    assert not any('2001:db8::/64' in line for line in bench.routes())
    assert bench.add('2001:db8::5', flags=IFA_F_NODAD) == 0
    assert bench.add('2001:db8::6', flags=IFA_F_NODAD, valid_lft=100, prefered_lft=100) == 0
    assert delete(bench, '2001:db8::5') == 0  # the other one's time is bounded: so is the route's, now
    assert any(line.startswith('2001:db8::/64 dev eth0 proto kernel metric 256 expires') for line in bench.routes())


def test_no_prefix_route_and_joined_groups() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::5', flags=IFA_F_NODAD | IFA_F_NOPREFIXROUTE) == 0
    assert not any('2001:db8::/64' in line for line in bench.routes())
    assert bench.add('ff05::99', 128, flags=IFA_F_MCAUTOJOIN | IFA_F_NODAD) == 0
    assert ipv6_chk_mcast_addr(bench.dev, in6_pton('ff05::99'), 0)
    assert delete(bench, 'ff05::99', 128) == 0
    assert not ipv6_chk_mcast_addr(bench.dev, in6_pton('ff05::99'), 0)


def test_an_address_of_bounded_life_is_deprecated_and_goes() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::5', flags=IFA_F_NODAD, valid_lft=30, prefered_lft=10) == 0
    assert 'scope global nodad dynamic' in inet6_dump(bench.net)
    assert 'valid_lft 30sec preferred_lft 10sec' in inet6_dump(bench.net)
    bench.run(11)
    assert 'scope global nodad deprecated dynamic' in inet6_dump(bench.net)
    assert 'valid_lft 19sec preferred_lft 0sec' in inet6_dump(bench.net)
    bench.run(20)
    assert bench.addresses() == [MY_LL]
    before = int(bench.world.clock.now)
    bench.world.sched.run()
    assert int(bench.world.clock.now) == before  # nobody waits for lifetimes


def test_down_takes_all_addresses_up_makes_the_link_local_one_anew() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::5', flags=IFA_F_NODAD) == 0
    dev_close(bench.dev)
    assert (bench.addresses(), bench.routes()) == ([], [])
    assert not any('eth0' in line for line in bench.routes(255))
    bench.take()
    bench.run(100)
    assert bench.take() == []
    dev_open(bench.dev)
    bench.run(3)
    assert bench.addresses() == [MY_LL]
    assert [ns.target for ns in bench.take(NS)] == [MY_LL]
    assert len(bench.take(RS)) == 1
    assert bench.leaks() == {}


def test_keep_addr_on_down_keeps_what_was_given_by_hand() -> None:
    bench = Bench6(keep_addr_on_down=1)
    assert bench.add('2001:db8::5') == 0
    bench.run(3)
    dev_close(bench.dev)
    assert 'inet6 2001:db8::5/64 scope global tentative' in inet6_dump(bench.net)
    assert bench.routes() == []
    bench.take()
    dev_open(bench.dev)
    bench.run(3)
    assert sorted(ns.target for ns in bench.take(NS)) == ['2001:db8::5', MY_LL]
    assert bench.addresses() == ['2001:db8::5', MY_LL]
    assert any('local 2001:db8::5' in line for line in bench.routes(255))
    assert any('2001:db8::/64' in line for line in bench.routes())


def test_unregistering_ends_everything() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::5', flags=IFA_F_NODAD) == 0
    bench.set('all.forwarding', 1)
    idev = bench.idev
    unregister_netdevice(bench.dev)
    assert idev.dead and bench.dev.ip6_ptr is None
    assert bench.routes() == [] and not any('eth0' in line for line in bench.routes(255))
    assert list(bench.net.ipv6.inet6_addr_lst) == [1]
    assert bench.net.sysctl.find('net.ipv6.conf.eth0.forwarding') is None
    bench.run(100)
    assert bench.leaks() == {}


def test_disable_ipv6_takes_effect_at_once_on_a_device_and_on_all() -> None:
    bench = Bench6()
    other = bench.device('eth1', OTHER_MAC)
    dev_open(other)
    bench.run(3)
    bench.take()
    bench.set('eth0.disable_ipv6', 1)
    assert bench.addresses() == [] and bench.addresses(other) != [] and bench.add('2001:db8::1') == -EACCES
    bench.ns(MY_LL, PEER_LL)
    assert bench.take() == []
    bench.set('eth0.disable_ipv6', 0)
    bench.run(3)
    assert bench.addresses() == [MY_LL] and len(bench.take(NS)) == 1
    bench.set('all.disable_ipv6', 1)
    lo = bench.net.loopback_dev
    assert lo is not None
    assert bench.addresses() == bench.addresses(other) == bench.addresses(lo) == []
    assert bench.routes() == bench.routes(255) == []
    bench.set('all.disable_ipv6', 0)
    assert bench.addresses(lo) == ['::1'] and bench.addresses() == [MY_LL]


def test_below_1280_there_is_no_ipv6() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::5', flags=IFA_F_NODAD) == 0
    assert dev_set_mtu(bench.dev, 1279) == 0
    assert bench.dev.ip6_ptr is None and bench.add('2001:db8::6') == -ENODEV
    assert bench.net.sysctl.find('net.ipv6.conf.eth0.mtu') is None
    assert dev_set_mtu(bench.dev, 1280) == 0
    bench.run(3)
    assert bench.addresses() == [MY_LL] and bench.net.sysctl.get('net.ipv6.conf.eth0.mtu') == '1280'
    assert dev_set_mtu(bench.dev, 1400) == 0
    assert bench.idev.cnf.mtu6 == 1400


def test_a_router_is_in_the_groups_of_routers_and_answers_for_its_prefixes() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::5', flags=IFA_F_NODAD) == 0
    bench.run(3)
    bench.take()
    bench.set('all.forwarding', 1)
    for group in ('ff01::2', 'ff02::2', 'ff05::2'):
        assert ipv6_chk_mcast_addr(bench.dev, in6_pton(group), 0)
    assert any(line.startswith('anycast 2001:db8:: ') for line in bench.routes(255))
    assert any(line.startswith('anycast fe80:: ') for line in bench.routes(255))
    bench.ns(MY_LL, PEER_LL)
    na, = bench.take(NA)
    assert na.body[4] == 0xE0
    bench.set('all.forwarding', 0)
    assert not ipv6_chk_mcast_addr(bench.dev, in6_pton('ff02::2'), 0)
    assert not any('anycast' in line for line in bench.routes(255))
    bench.ns(MY_LL, PEER_LL)
    na, = bench.take(NA)
    assert na.body[4] == 0x60


def test_what_one_host_draws_changes_nothing_for_another_without_ipv6() -> None:
    numbers = []
    for off in (0, 1):
        bench = Bench6(disable_ipv6=off, settle=False)
        bench.run(50)
        numbers.append([int(bench.net.random.u32()) for _ in range(4)])
    assert numbers[0] == numbers[1]
