# SPDX-License-Identifier: Apache-2.0
"""route: look-ups on the way out, which source address they choose, what is cached and for how long."""
from __future__ import annotations

import pytest

from helpers.ip_wire import Bench
from linnet.include.linux.inet import in_aton, in_ntoa
from linnet.include.net.flow import Flowi4
from linnet.include.net.ip_fib import RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST, RTN_UNICAST, RTN_UNREACHABLE
from linnet.include.net.route import Rtable, rt_nexthop
from linnet.kernel.errno import EINVAL, ENETUNREACH, ENODEV
from linnet.net.core.dev import dev_close, dev_set_mtu
from linnet.net.ipv4.devinet import inet_addr_add, inet_select_addr
from linnet.net.ipv4.route import ip_route_output_key, ip_rt_update_pmtu

SECOND = 1_000_000_000


def flow(dst: str = '0.0.0.0', src: str = '0.0.0.0', oif: int = 0) -> Flowi4:
    fl4 = Flowi4()
    fl4.daddr, fl4.saddr, fl4.flowi4_oif = in_aton(dst), in_aton(src), oif
    return fl4


def out(host: Bench, dst: str, src: str = '0.0.0.0', oif: int = 0) -> tuple[str, str, str]:
    """A look-up: (source, next hop, device), or raises the errno."""
    fl4 = flow(dst, src, oif)
    rt = ip_route_output_key(host.net, fl4)
    if rt is None:
        raise OSError(int(fl4.err), 'no route')
    assert fl4.flowi4_oif == rt.dev.ifindex
    return in_ntoa(int(fl4.saddr)), in_ntoa(int(rt_nexthop(rt, fl4.daddr))), rt.dev.name


def refused(host: Bench, dst: str, src: str = '0.0.0.0', oif: int = 0) -> int:
    fl4 = flow(dst, src, oif)
    assert ip_route_output_key(host.net, fl4) is None
    return int(fl4.err)


def rt(host: Bench, dst: str) -> Rtable:
    found = ip_route_output_key(host.net, flow(dst))
    assert found is not None
    return found


def three() -> Bench:
    host = Bench()
    host.device('eth1', '10.1.0.1')
    host.route('0.0.0.0/0', via='10.0.0.254')
    return host


def test_where_to() -> None:
    host = three()
    assert out(host, '10.0.0.9') == ('10.0.0.1', '10.0.0.9', 'eth0')
    assert out(host, '10.1.0.9') == ('10.1.0.1', '10.1.0.9', 'eth1')
    assert out(host, '192.0.2.1') == ('10.0.0.1', '10.0.0.254', 'eth0')
    assert out(host, '10.1.0.1') == ('10.1.0.1', '10.1.0.1', 'lo')
    assert out(host, '127.0.0.1') == ('127.0.0.1', '127.0.0.1', 'lo')
    assert out(host, '127.9.9.9') == ('127.0.0.1', '127.9.9.9', 'lo')
    assert out(host, '0.0.0.0') == ('127.0.0.1', '127.0.0.1', 'lo')


def test_types() -> None:
    host = three()
    assert [rt(host, a).rt_type for a in ('10.0.0.9', '10.0.0.1', '10.0.0.255', '255.255.255.255', '224.0.0.1')] == [
        RTN_UNICAST, RTN_LOCAL, RTN_BROADCAST, RTN_BROADCAST, RTN_MULTICAST]


def test_a_source_that_is_given() -> None:
    host = three()
    assert out(host, '192.0.2.1', src='10.1.0.1') == ('10.1.0.1', '10.0.0.254', 'eth0')
    assert refused(host, '192.0.2.1', src='10.7.7.7') == -ENETUNREACH
    assert refused(host, '192.0.2.1', src='224.0.0.1') == -EINVAL
    assert refused(host, '192.0.2.1', src='127.0.0.1') == -EINVAL
    assert out(host, '255.255.255.255', src='10.1.0.1')[2] == 'eth1'  # for broadcasts the source says where
    assert out(host, '224.0.0.1', src='10.1.0.1')[2] == 'eth1'


def test_a_device_that_is_given() -> None:
    host = three()
    eth1 = next(d for d in host.net.dev_base if d.name == 'eth1')
    assert out(host, '192.0.2.1', oif=eth1.ifindex) == ('10.1.0.1', '192.0.2.1', 'eth1')  # taken to be on the link
    assert out(host, '255.255.255.255', oif=eth1.ifindex)[2] == 'eth1'
    assert refused(host, '192.0.2.1', oif=77) == -ENODEV
    dev_close(eth1)
    assert refused(host, '192.0.2.1', oif=eth1.ifindex) == -ENETUNREACH


def test_nowhere() -> None:
    host = Bench()
    assert refused(host, '192.0.2.1') == -ENETUNREACH
    assert refused(host, '0.0.0.9') == -ENETUNREACH
    host.route('192.0.2.0/24', type=RTN_UNREACHABLE)
    assert refused(host, '192.0.2.1') == -113


def test_preferred_source() -> None:
    host = three()
    host.route('192.0.2.0/24', via='10.0.0.254', prefsrc=in_aton('10.1.0.1'))
    assert out(host, '192.0.2.1')[0] == '10.1.0.1'


def test_source_of_the_next_hops_subnet() -> None:
    host = Bench()
    inet_addr_add(host.eth0, in_aton('172.16.0.1'), 16)
    host.route('192.0.2.0/24', via='172.16.0.254')
    assert out(host, '192.0.2.1')[0] == '172.16.0.1'
    assert out(host, '10.0.0.9')[0] == '10.0.0.1'
    assert in_ntoa(int(inet_select_addr(host.eth0, in_aton('172.16.9.9'), 0))) == '172.16.0.1'


def test_routes_are_shared_and_go_stale() -> None:
    host = three()
    first = rt(host, '192.0.2.1')
    assert rt(host, '192.0.2.2') is first
    assert rt(host, '10.0.0.9') is not first
    assert first.check()
    host.route('203.0.113.0/24', via='10.0.0.254')
    assert not first.check()
    assert rt(host, '192.0.2.1') is not first


def test_a_new_address_makes_routes_stale() -> None:
    host = three()
    first = rt(host, '192.0.2.1')
    inet_addr_add(host.eth0, in_aton('10.5.0.1'), 16)
    assert not first.check()


def test_mtu_of_device_and_metric() -> None:
    host = three()
    host.route('198.51.100.0/24', via='10.0.0.254', mx={2: 1300})
    assert rt(host, '192.0.2.1').mtu() == 1500
    assert rt(host, '192.0.2.1').advmss() == 1460
    assert rt(host, '198.51.100.1').mtu() == 1300
    dev_set_mtu(host.eth0, 900)
    assert rt(host, '192.0.2.1').mtu() == 900
    assert rt(host, '127.0.0.1').mtu() == 65535


def test_learnt_mtu_is_of_one_destination() -> None:
    host = three()
    near = rt(host, '192.0.2.1')
    fl4 = flow('192.0.2.1')
    from linnet.net.ipv4.route import __ip_rt_update_pmtu as learn

    learn(near, fl4, 1200)
    assert not near.check()
    assert rt(host, '192.0.2.1').mtu() == 1200
    assert rt(host, '192.0.2.2').mtu() == 1500
    learn(rt(host, '192.0.2.1'), fl4, 1400)  # it does not grow
    assert rt(host, '192.0.2.1').mtu() == 1200
    learn(rt(host, '192.0.2.1'), fl4, 100)
    assert rt(host, '192.0.2.1').mtu() == 552
    assert rt(host, '192.0.2.1').rt_mtu_locked
    host.world.clock.now += 601 * SECOND
    assert rt(host, '192.0.2.1').mtu() == 1500


def test_locked_mtu_is_not_learnt() -> None:
    host = three()
    host.route('198.51.100.0/24', via='10.0.0.254', mx={2: 1300, 1: 1 << 2})
    from linnet.net.ipv4.route import __ip_rt_update_pmtu as learn

    learn(rt(host, '198.51.100.1'), flow('198.51.100.1'), 1000)
    assert rt(host, '198.51.100.1').mtu() == 1300


def test_exceptions_are_limited() -> None:
    host = three()
    from linnet.net.ipv4.route import FNHE_MAX
    from linnet.net.ipv4.route import __ip_rt_update_pmtu as learn

    for n in range(FNHE_MAX + 5):
        to = f'192.{n >> 8}.2.{n & 255}'
        learn(rt(host, to), flow(to), 1000)
    assert host.net.ipv4.fib_main is not None
    (alias,) = host.net.ipv4.fib_main.prefixes[0][0]
    assert len(alias.fa_info.fib_nh[0].nh_exceptions) == FNHE_MAX


def test_update_by_a_socketless_route_is_ignored() -> None:
    host = three()
    ip_rt_update_pmtu(rt(host, '192.0.2.1'), None, None, 1000)
    assert rt(host, '192.0.2.1').mtu() == 1500


def test_a_learnt_route_is_given_up_on_bad_advice() -> None:
    host = three()
    from linnet.net.ipv4.route import __ip_rt_update_pmtu as learn

    assert rt(host, '192.0.2.1').negative_advice() is not None
    learn(rt(host, '192.0.2.1'), flow('192.0.2.1'), 1000)
    assert rt(host, '192.0.2.1').negative_advice() is None


@pytest.mark.parametrize('seed', [1, 2, 3])
def test_multipath_out(seed: int) -> None:
    from linnet.include.net.ip_fib import FibNh

    host = Bench(seed)
    host.device('eth1', '10.1.0.1')
    host.route('0.0.0.0/0', via='10.0.0.2', nexthops=[FibNh(None, in_aton('10.0.0.2')), FibNh(None, in_aton('10.1.0.2'))])
    ways = [out(host, f'192.0.2.{n}')[2] for n in range(200)]
    assert ways == [out(host, f'192.0.2.{n}')[2] for n in range(200)]
    assert 60 < ways.count('eth1') < 140
    dev_close(host.eth0)
    assert {out(host, f'192.0.2.{n}')[2] for n in range(50)} == {'eth1'}
