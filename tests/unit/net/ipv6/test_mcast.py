# SPDX-License-Identifier: Apache-2.0
"""Groups of devices and sockets, and what MLD tells of them (RFC 3810, RFC 2710)."""

from __future__ import annotations

from helpers.nd_bench import MY_LL, OTHER_MAC, PEER_LL, Bench6
from linnet.include.linux.in6 import in6_bytes, in6_pton
from linnet.include.linux.ipv6 import Ipv6Pinfo
from linnet.include.net.inet_sock import RawSock
from linnet.kernel.errno import EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENODEV, ENOENT
from linnet.net.core.dev import dev_close, dev_open
from linnet.net.ipv6.mcast import (
    igmp6_mc_dump,
    inet6_mc_check,
    ipv6_chk_mcast_addr,
    ipv6_dev_mc_dec,
    ipv6_dev_mc_inc,
    ipv6_sock_mc_close,
    ipv6_sock_mc_drop,
    ipv6_sock_mc_join,
)
from linnet.net.ipv6.mcast_mld import mldv2_mrc

QUERY, REPORT1, DONE, REPORT2 = 130, 131, 132, 143
MLD = (REPORT1, DONE, REPORT2)
MODE_IS_EX, TO_IN, TO_EX = 2, 3, 4
GROUP = 'ff05::77'
OWN = 'ff02::1:ff00:aa'


def join(bench: Bench6, group: str = GROUP) -> int:
    return ipv6_dev_mc_inc(bench.dev, in6_pton(group))


def leave(bench: Bench6, group: str = GROUP) -> int:
    return ipv6_dev_mc_dec(bench.dev, in6_pton(group))


def query(bench: Bench6, group: str = '::', ms: int = 1000, version: int = 2, src: str = PEER_LL, hop: int = 1, qrv: int = 2,
          dst: str = '') -> None:
    body = bytes([QUERY, 0, 0, 0]) + ms.to_bytes(2, 'big') + bytes(2) + in6_bytes(in6_pton(group))
    if version == 2:
        body += bytes([qrv, 125, 0, 0])
    bench.receive(body, src, dst or ('ff02::1' if group == '::' else group), hop=hop)


def test_join_and_leave_are_reported_twice_each() -> None:
    bench = Bench6()
    assert join(bench) == 0
    bench.run(2)
    reports = bench.take(REPORT2)
    assert [r.records for r in reports] == [[(TO_EX, GROUP)]] * 2
    assert {(r.src, r.dst, r.hop, r.mac.hex()) for r in reports} == {(MY_LL, 'ff02::16', 1, '333300000016')}
    assert reports[0].packet[40:48].hex() == '3a00050200000100'  # hop-by-hop: router alert
    assert reports[1].when - reports[0].when <= 1002
    assert leave(bench) == 0
    bench.run(2)
    assert [r.records for r in bench.take(REPORT2)] == [[(TO_IN, GROUP)]] * 2
    assert leave(bench) == -ENOENT and bench.leaks() == {}


def test_only_the_first_join_and_the_last_leave_are_told() -> None:
    bench = Bench6()
    join(bench)
    bench.run(2)
    bench.take()
    assert join(bench) == 0 and leave(bench) == 0
    bench.run(2)
    assert bench.take(*MLD) == [] and ipv6_chk_mcast_addr(bench.dev, in6_pton(GROUP), 0)
    leave(bench)
    assert not ipv6_chk_mcast_addr(bench.dev, in6_pton(GROUP), 0)


def test_left_and_joined_again_is_told_as_joined() -> None:
    bench = Bench6()
    join(bench)
    bench.run(2)
    bench.take()
    leave(bench)
    join(bench)
    bench.run(2)
    assert [r.records for r in bench.take(REPORT2)] == [[(TO_EX, GROUP)]] * 2


def test_groups_of_the_interface_and_all_nodes_are_never_reported() -> None:
    bench = Bench6()
    for group in ('ff01::5', 'ff00::5'):
        assert join(bench, group) == 0
    query(bench)
    query(bench, 'ff02::1')
    bench.run(3)
    assert {r for report in bench.take(REPORT2) for r in report.records} == {(MODE_IS_EX, OWN)}


def test_a_general_query_is_answered_once_for_all_groups() -> None:
    bench = Bench6()
    join(bench)
    bench.run(2)
    bench.take()
    start = int(bench.world.clock.now) // 1_000_000
    query(bench, ms=5000)
    query(bench, ms=5000)
    bench.run(6)
    report, = bench.take(REPORT2)
    assert sorted(report.records) == [(MODE_IS_EX, OWN), (MODE_IS_EX, GROUP)]
    assert 0 <= report.when - start <= 5000


def test_a_query_for_one_group_is_answered_for_it_alone() -> None:
    bench = Bench6()
    join(bench)
    bench.run(2)
    bench.take()
    query(bench, GROUP)
    query(bench, 'ff05::78')
    bench.run(2)
    report, = bench.take(REPORT2)
    assert report.records == [(MODE_IS_EX, GROUP)]


def test_queries_that_are_none() -> None:
    bench = Bench6()
    query(bench, src='2001:db8::1')
    query(bench, hop=2)
    query(bench, '2001:db8::5', dst='ff02::1')
    bench.run(15)
    assert bench.take(REPORT2, REPORT1) == [] and bench.leaks() == {}


def test_the_queriers_robustness_counts() -> None:
    bench = Bench6()
    query(bench, qrv=4)
    bench.run(2)
    bench.take()
    join(bench)
    bench.run(5)
    assert len(bench.take(REPORT2)) == 4


def test_a_querier_of_version_1_is_answered_in_version_1_until_it_is_gone() -> None:
    bench = Bench6()
    query(bench, version=1)
    bench.run(2)
    report, = bench.take(*MLD)
    assert (report.type, report.src, report.dst, report.target, report.hop) == (REPORT1, MY_LL, OWN, OWN, 1)
    join(bench)
    bench.run(11)
    assert [(r.type, r.dst) for r in bench.take(*MLD)] == [(REPORT1, GROUP)] * 2
    leave(bench)
    done, = bench.take(*MLD)
    assert (done.type, done.dst, done.target) == (DONE, 'ff02::2', GROUP)
    bench.run(270)
    join(bench)
    bench.run(2)
    assert [r.type for r in bench.take(*MLD)] == [REPORT2] * 2


def test_another_hosts_report_of_version_1_spares_ours_and_our_done() -> None:
    bench = Bench6()
    query(bench, version=1, ms=9000)
    join(bench)
    bench.run(11)
    bench.take()
    query(bench, version=1, ms=9000)
    bench.receive(bytes([REPORT1, 0, 0, 0, 0, 0, 0, 0]) + in6_bytes(in6_pton(GROUP)), PEER_LL, GROUP, hop=1)
    bench.run(10)
    assert [r.target for r in bench.take(*MLD)] == [OWN]
    leave(bench)
    bench.run(1)
    assert bench.take(*MLD) == []


def test_a_forced_version() -> None:
    bench = Bench6(force_mld_version=1)
    join(bench)
    bench.run(12)
    assert {r.type for r in bench.take(*MLD)} == {REPORT1}
    bench = Bench6(force_mld_version=2)
    query(bench, version=1)
    bench.run(2)
    assert {r.type for r in bench.take(*MLD)} == {REPORT2}


def test_the_response_code_of_long_delays() -> None:
    assert [mldv2_mrc(v) for v in (0, 1000, 32767, 32768, 0x8001, 0xFFFF)] == [0, 1000, 32767, 32768, 32776, 0x1FFF << 10]


def test_many_groups_take_several_reports() -> None:
    bench = Bench6()
    for i in range(100):
        join(bench, f'ff05::1:{i:x}')
    bench.run(0.1)
    reports = bench.take(REPORT2)
    assert sum(len(r.records) for r in reports) == 100 and len(reports) == 2
    assert all(len(r.packet) <= 1500 for r in reports)


def test_groups_outlive_the_devices_being_down() -> None:
    bench = Bench6()
    join(bench)
    bench.run(2)
    dev_close(bench.dev)
    bench.take()
    bench.run(10)
    assert bench.take(*MLD) == [] and ipv6_chk_mcast_addr(bench.dev, in6_pton(GROUP), 0)
    dev_open(bench.dev)
    bench.run(3)
    assert (TO_EX, GROUP) in bench.take(REPORT2)[0].records


def test_proc_net_igmp6() -> None:
    bench = Bench6()
    lines = [line.split() for line in igmp6_mc_dump(bench.net).splitlines()]
    assert ['2', 'eth0', 'ff0200000000000000000001ff0000aa', '1', '00000004', '0'] in lines
    assert ['1', 'lo', 'ff010000000000000000000000000001', '1', '00000008', '0'] in lines
    assert ['1', 'lo', 'ff020000000000000000000000000001', '1', '0000000C', '0'] in lines


def socket6(bench: Bench6) -> RawSock:
    sk = RawSock()
    sk.sk_net = bench.net
    sk.pinet6 = Ipv6Pinfo()
    return sk


def test_a_sockets_groups() -> None:
    bench = Bench6()
    sk, group = socket6(bench), in6_pton(GROUP)
    index = bench.dev.ifindex
    assert ipv6_sock_mc_join(sk, index, in6_pton('2001:db8::1')) == -EINVAL
    assert ipv6_sock_mc_join(sk, 99, group) == -ENODEV
    assert inet6_mc_check(sk, group, 0)  # IPV6_MULTICAST_ALL
    assert ipv6_sock_mc_join(sk, index, group) == 0
    assert ipv6_sock_mc_join(sk, index, group) == -EADDRINUSE
    assert ipv6_chk_mcast_addr(bench.dev, group, 0) and inet6_mc_check(sk, group, 0)
    np = sk.pinet6
    assert np is not None
    np.mc_all = False
    assert inet6_mc_check(sk, group, 0) and not inet6_mc_check(sk, in6_pton('ff05::78'), 0)
    assert ipv6_sock_mc_drop(sk, 0, group) == 0
    assert ipv6_sock_mc_drop(sk, 0, group) == -EADDRNOTAVAIL
    assert not ipv6_chk_mcast_addr(bench.dev, group, 0)


def test_a_join_without_a_device_goes_where_the_route_leads_and_a_closed_socket_leaves() -> None:
    bench = Bench6()
    other = bench.device('eth1', OTHER_MAC)
    sk, group = socket6(bench), in6_pton(GROUP)
    assert ipv6_sock_mc_join(sk, 0, group) == 0
    assert ipv6_chk_mcast_addr(bench.dev, group, 0) and not ipv6_chk_mcast_addr(other, group, 0)
    ipv6_sock_mc_close(sk)
    assert not ipv6_chk_mcast_addr(bench.dev, group, 0)
