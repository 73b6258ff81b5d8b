# SPDX-License-Identifier: Apache-2.0
"""Neighbour discovery (RFC 4861): what is answered, what is learnt, what is refused, proxies, redirects."""

from __future__ import annotations

import pytest

from helpers.nd_bench import (
    ALL_NODES,
    MY_LL,
    MY_MAC,
    OTHER_LL,
    OTHER_MAC,
    PEER_LL,
    PEER_MAC,
    Bench6,
    lladdr_option,
    prefix_option,
)
from linnet.include.linux.in6 import in6_bytes, in6_ntop, in6_pton
from linnet.include.linux.ipv6 import ipv6_hdr_build
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_IPV6_NDISC_BAD_CODE,
    SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS,
    SKB_DROP_REASON_IPV6_NDISC_HOP_LIMIT,
    SKB_DROP_REASON_IPV6_NDISC_NS_OTHERHOST,
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_DROP_REASON_PKT_TOO_SMALL,
)
from linnet.include.net.flow import Flowi6
from linnet.include.net.if_inet6 import IFA_F_NODAD
from linnet.include.net.neighbour import (
    NUD_DELAY,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
)
from linnet.kernel.errno import ENOENT
from linnet.net.core.dev import dev_close, dev_open, netif_carrier_off
from linnet.net.core.neighbour import __neigh_lookup, neigh_add, neigh_dump, neigh_event_send
from linnet.net.ipv6.ndisc import pneigh_add, pneigh_delete
from linnet.net.ipv6.route import ip6_route_output

NS, NA, REDIRECT = 135, 136, 137
SOLICITED = 'ff02::1:ff00:aa'


def drops(bench: Bench6, reason: int) -> int:
    return bench.net.mib.drops.get(reason, 0)


def use(bench: Bench6, addr: str) -> None:
    """Something is sent to addr."""
    tbl = bench.net.ipv6.nd_tbl
    assert tbl is not None
    n = __neigh_lookup(tbl, in6_pton(addr), bench.dev, True)
    assert n is not None
    neigh_event_send(n, None)


def test_a_question_for_us_is_answered_and_the_asker_noted() -> None:
    bench = Bench6()
    bench.ns(MY_LL, PEER_LL)
    na, = bench.take()
    assert (na.type, na.src, na.dst, na.hop, na.mac) == (NA, MY_LL, PEER_LL, 255, PEER_MAC)
    assert na.body[4] == 0x60 and na.target == MY_LL and na.body[24:] == b'\x02\x01' + MY_MAC
    assert bench.state(PEER_LL) == NUD_DELAY  # noted unconfirmed, and used for the answer
    assert bench.leaks() == {}


def test_a_question_by_unicast_is_answered_without_our_hardware_address() -> None:
    bench = Bench6()
    bench.ns(MY_LL, PEER_LL, MY_LL)
    na, = bench.take()
    assert na.body[4] == 0x40 and na.body[24:] == b''
    bench.set('eth0.force_tllao', 1)
    bench.ns(MY_LL, PEER_LL, MY_LL)
    na, = bench.take()
    assert na.body[24:] == b'\x02\x01' + MY_MAC


def test_dad_of_another_for_our_address_is_told_to_all() -> None:
    bench = Bench6()
    bench.ns(MY_LL, '::', nonce=b'theirs')
    na, = bench.take()
    assert (na.dst, na.body[4], na.body[24:]) == (ALL_NODES, 0x20, b'\x02\x01' + MY_MAC)
    assert bench.neigh('::') is None


def test_a_stranger_without_hardware_address_in_a_multicast_question_gets_no_answer() -> None:
    bench = Bench6()
    bench.ns(MY_LL, PEER_LL, lladdr=b'')
    assert bench.take() == [] and bench.neigh(PEER_LL) is None


@pytest.mark.parametrize(('change', 'reason'), [
    ({'hop': 254}, SKB_DROP_REASON_IPV6_NDISC_HOP_LIMIT),
    ({'code': 1}, SKB_DROP_REASON_IPV6_NDISC_BAD_CODE),
    ({'cut': 8}, SKB_DROP_REASON_PKT_TOO_SMALL),
    ({'options': b'\x01\x00' + bytes(6)}, SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS),
    ({'options': b'\x01\x02' + bytes(6)}, SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS),
    ({'options': b'\x01\x02' + bytes(14)}, SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS),
    ({'target': 'ff02::5'}, SKB_DROP_REASON_NOT_SPECIFIED),
    ({'target': 'fe80::5'}, SKB_DROP_REASON_IPV6_NDISC_NS_OTHERHOST),
    ({'src': '::', 'dst': MY_LL, 'options': b''}, SKB_DROP_REASON_NOT_SPECIFIED),
    ({'src': '::'}, SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS),
])
def test_questions_that_are_refused(change: dict[str, object], reason: int) -> None:
    bench = Bench6()
    target = str(change.get('target', MY_LL))
    options = change.get('options', lladdr_option(1, PEER_MAC))
    assert isinstance(options, bytes)
    body = bytes([135, int(str(change.get('code', 0))), 0, 0, 0, 0, 0, 0]) + in6_bytes(in6_pton(target)) + options
    cut = int(str(change.get('cut', 0)))
    bench.receive(body[:len(body) - cut - len(options)] if cut else body, str(change.get('src', PEER_LL)),
                  str(change.get('dst', SOLICITED)), hop=int(str(change.get('hop', 255))))
    assert drops(bench, reason) == 1
    assert bench.take() == [] and bench.leaks() == {}


def test_resolution_asks_three_times_and_gives_up() -> None:
    bench = Bench6()
    use(bench, PEER_LL)
    assert bench.state(PEER_LL) == NUD_INCOMPLETE
    bench.run(5)
    asked = bench.take(NS)
    assert [(ns.src, ns.dst, ns.target) for ns in asked] == [(MY_LL, 'ff02::1:ff00:bb', PEER_LL)] * 3
    assert [b.when - a.when for a, b in zip(asked, asked[1:], strict=False)] == [1000, 1000]
    assert asked[0].body[24:] == b'\x01\x01' + MY_MAC
    assert bench.state(PEER_LL) == NUD_FAILED


def test_an_answer_makes_reachable_then_stale_and_use_lets_it_be_probed_by_unicast() -> None:
    bench = Bench6()
    use(bench, PEER_LL)
    bench.na(PEER_LL)
    assert bench.state(PEER_LL) == NUD_REACHABLE
    bench.take()
    bench.run(60)
    assert bench.state(PEER_LL) == NUD_STALE and bench.take(NS) == []
    use(bench, PEER_LL)
    assert bench.state(PEER_LL) == NUD_DELAY
    bench.run(5.5)
    assert bench.state(PEER_LL) == NUD_PROBE
    ns, = bench.take(NS)
    assert (ns.dst, ns.mac) == (PEER_LL, PEER_MAC)
    bench.na(PEER_LL, flags=0x40, lladdr=b'')
    assert bench.state(PEER_LL) == NUD_REACHABLE
    bench.run(60)
    use(bench, PEER_LL)
    bench.run(20)
    assert bench.state(PEER_LL) == NUD_FAILED and len(bench.take(NS)) == 3


def test_answers_that_change_an_address_as_rfc_4861_7_2_5_says() -> None:
    bench = Bench6()
    use(bench, PEER_LL)
    bench.na(PEER_LL)
    n = bench.neigh(PEER_LL)
    assert n is not None and n.ha == PEER_MAC
    bench.na(PEER_LL, flags=0x40, lladdr=OTHER_MAC)  # no override, another address: doubt
    assert n.ha == PEER_MAC and n.nud_state == NUD_STALE
    bench.na(PEER_LL, flags=0x20, lladdr=OTHER_MAC)  # override, unasked
    assert n.ha == OTHER_MAC and n.nud_state == NUD_STALE
    bench.na(PEER_LL, flags=0x60, lladdr=PEER_MAC)
    assert n.ha == PEER_MAC and n.nud_state == NUD_REACHABLE
    bench.na(PEER_LL, flags=0x00, lladdr=PEER_MAC)  # unasked, nothing new
    assert n.nud_state == NUD_REACHABLE


def test_unasked_answers_make_no_entries_but_with_accept_untracked_na_on_a_router() -> None:
    bench = Bench6()
    bench.na(PEER_LL, dst=ALL_NODES, flags=0x20)
    assert bench.neigh(PEER_LL) is None
    bench.set('eth0.accept_untracked_na', 1)
    bench.na(PEER_LL, dst=ALL_NODES, flags=0x20)
    assert bench.neigh(PEER_LL) is None
    bench.set('eth0.forwarding', 1)
    bench.na(PEER_LL, dst=ALL_NODES, flags=0x20)
    assert bench.state(PEER_LL) == NUD_STALE
    bench.set('eth0.drop_unsolicited_na', 1)
    bench.na(OTHER_LL, dst=ALL_NODES, flags=0x20, lladdr=OTHER_MAC)
    assert bench.neigh(OTHER_LL) is None


def test_a_multicast_answer_cannot_be_solicited() -> None:
    bench = Bench6()
    use(bench, PEER_LL)
    bench.na(PEER_LL, dst=ALL_NODES, flags=0x60)
    assert bench.state(PEER_LL) == NUD_INCOMPLETE


def test_a_router_that_is_none_any_more_loses_its_default_route() -> None:
    bench = Bench6()
    bench.ra(lladdr_option(1, PEER_MAC))
    n = bench.neigh(PEER_LL)
    assert n is not None and n.is_router
    assert 'lladdr 02:00:00:00:00:bb router STALE' in neigh_dump(n.tbl)
    assert any(line.startswith('default via ' + PEER_LL) for line in bench.routes())
    bench.na(PEER_LL, flags=0x20)
    assert not n.is_router
    assert not any('default' in line for line in bench.routes())


def test_who_asks_for_routers_is_noted_by_a_router() -> None:
    bench = Bench6()
    solicitation = bytes([133, 0, 0, 0, 0, 0, 0, 0]) + lladdr_option(1, PEER_MAC)
    bench.receive(solicitation, PEER_LL, ALL_NODES)
    assert bench.neigh(PEER_LL) is None
    bench.set('all.forwarding', 1)
    bench.receive(solicitation, PEER_LL, 'ff02::2')
    assert bench.state(PEER_LL) == NUD_STALE
    bench.receive(bytes([133, 0, 0, 0, 0, 0, 0, 0]), '::', 'ff02::2')
    assert bench.neigh('::') is None


def test_who_needs_no_asking() -> None:
    bench = Bench6()
    use(bench, 'ff05::1:2:3:4')
    n = bench.neigh('ff05::1:2:3:4')
    assert n is not None and n.nud_state == NUD_NOARP and n.ha == bytes.fromhex('333300030004')
    tbl, lo = bench.net.ipv6.nd_tbl, bench.net.loopback_dev
    assert tbl is not None and lo is not None
    n = __neigh_lookup(tbl, 1, lo, True)
    assert n is not None and n.nud_state == NUD_NOARP


def test_dump_and_trace_write_the_familys_addresses() -> None:
    bench = Bench6()
    tbl = bench.net.ipv6.nd_tbl
    assert tbl is not None
    assert neigh_add(tbl, in6_pton(PEER_LL), bench.dev, PEER_MAC, 0x80) == 0
    assert neigh_dump(tbl) == f'{PEER_LL} dev eth0 lladdr 02:00:00:00:00:bb PERMANENT \n'


def test_neighbours_go_with_the_device_and_with_the_carrier() -> None:
    bench = Bench6()
    bench.ns(MY_LL, PEER_LL)
    netif_carrier_off(bench.dev)
    assert bench.neigh(PEER_LL) is None
    bench = Bench6(ndisc_evict_nocarrier=0)
    bench.ns(MY_LL, PEER_LL)
    netif_carrier_off(bench.dev)
    assert bench.neigh(PEER_LL) is not None
    dev_close(bench.dev)
    assert bench.neigh(PEER_LL) is None


def test_a_proxy_answers_for_others_after_a_while() -> None:
    bench = Bench6(proxy_ndp=1)
    far = '2001:db8:7::1'
    assert pneigh_add(bench.dev, in6_pton(far)) == 0
    bench.ns(far, PEER_LL)
    bench.run(1)
    assert bench.take(NA) == []  # a host is no proxy
    bench.set('all.forwarding', 1)
    bench.ns(far, PEER_LL)
    assert bench.take(NA) == []
    bench.run(1)
    na, = bench.take(NA)
    assert (na.target, na.body[4], na.dst) == (far, 0x40, PEER_LL)
    bench.ns(far, PEER_LL, dst_mac=MY_MAC)
    na, = bench.take(NA)
    assert na.body[4] == 0x40
    assert pneigh_delete(bench.dev, in6_pton(far)) == 0
    assert pneigh_delete(bench.dev, in6_pton(far)) == -ENOENT
    bench.ns(far, PEER_LL, dst_mac=MY_MAC)
    bench.run(1)
    assert bench.take(NA) == [] and bench.leaks() == {}


def redirect(target: str, dest: str, *options: bytes) -> bytes:
    return bytes([137, 0, 0, 0, 0, 0, 0, 0]) + in6_bytes(in6_pton(target)) + in6_bytes(in6_pton(dest)) + b''.join(options)


def way(bench: Bench6, dest: str) -> str:
    """The next hop to dest."""
    fl6 = Flowi6()
    fl6.daddr = in6_pton(dest)
    rt = ip6_route_output(bench.net, None, fl6)
    return in6_ntop(rt.rt6i_gateway) if rt.error == 0 else 'none'


def test_a_redirect_of_the_first_hop_is_heeded() -> None:
    bench = Bench6()
    bench.ra(lladdr_option(1, PEER_MAC), prefix_option('2001:db8::'))
    bench.run(3)
    far, mine = '2001:db8:9::1', '2001:db8::ff:fe00:aa'
    assert way(bench, far) == PEER_LL
    bench.receive(redirect(OTHER_LL, far, lladdr_option(2, OTHER_MAC)), OTHER_LL, mine, mac=OTHER_MAC)
    assert way(bench, far) == PEER_LL  # not from the router in use
    bench.receive(redirect(OTHER_LL, far, lladdr_option(2, OTHER_MAC)), '2001:db8::99', mine)
    assert way(bench, far) == PEER_LL
    bench.set('eth0.accept_redirects', 0)
    bench.receive(redirect(OTHER_LL, far, lladdr_option(2, OTHER_MAC)), PEER_LL, mine)
    assert way(bench, far) == PEER_LL
    bench.set('eth0.accept_redirects', 1)
    bench.receive(redirect(OTHER_LL, far, lladdr_option(2, OTHER_MAC)), PEER_LL, mine)
    assert way(bench, far) == OTHER_LL
    n = bench.neigh(OTHER_LL)
    assert n is not None and n.ha == OTHER_MAC and n.is_router
    assert way(bench, '2001:db8:9::2') == PEER_LL
    assert bench.leaks() == {}


def test_a_redirect_with_the_packet_it_is_about() -> None:
    bench = Bench6()
    bench.ra(lladdr_option(1, PEER_MAC), prefix_option('2001:db8::'))
    bench.run(3)
    far, mine = '2001:db8:9::1', '2001:db8::ff:fe00:aa'
    quoted = ipv6_hdr_build(0, 0, 8, 58, 64, in6_pton(mine), in6_pton(far)) + bytes([128, 0, 0, 0, 0, 1, 0, 1])
    header = bytes([4, (len(quoted) + 8) >> 3, 0, 0, 0, 0, 0, 0]) + quoted
    bench.receive(redirect(OTHER_LL, far, header, lladdr_option(2, OTHER_MAC)), PEER_LL, mine)
    assert way(bench, far) == OTHER_LL
    bench.receive(redirect(far, far, header), OTHER_LL, mine, mac=OTHER_MAC)  # it is on the link itself
    assert way(bench, far) in ('::', far)


def test_a_router_redirects_who_could_have_sent_it_there_itself() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::5', flags=IFA_F_NODAD) == 0
    bench.set('all.forwarding', 1)
    bench.ns('2001:db8::5', '2001:db8::9')
    bench.ns('2001:db8::5', '2001:db8::8', lladdr=OTHER_MAC, mac=OTHER_MAC)
    bench.take()
    for i in range(8):
        bench.receive(bytes([128, 0, 0, 0, 0, 1, 0, i]) + bytes(1400), '2001:db8::9', '2001:db8::8', hop=64, dst_mac=MY_MAC)
    told = bench.take(REDIRECT)
    assert len(told) == 6  # a burst, then one a second
    first = told[0]
    assert (first.src, first.dst, first.target, first.hop, first.mac) == (MY_LL, '2001:db8::9', '2001:db8::8', 255, PEER_MAC)
    assert first.body[24:40] == in6_bytes(in6_pton('2001:db8::8'))
    assert first.body[40:48] == b'\x02\x01' + OTHER_MAC
    assert first.body[48] == 4 and first.body[49] * 8 == len(first.body) - 48 and len(first.packet) == 1280
    assert len(bench.take(128)) == 8 and bench.leaks() == {}
    bench.run(1.1)
    bench.receive(bytes([128, 0, 0, 0, 0, 1, 0, 9]), '2001:db8::9', '2001:db8::8', hop=64, dst_mac=MY_MAC)
    assert len(bench.take(REDIRECT)) == 1


def test_force_forwarding_lets_one_device_forward_on_a_host() -> None:
    bench = Bench6()
    assert bench.add('2001:db8::5', flags=IFA_F_NODAD) == 0
    bench.ns('2001:db8::5', '2001:db8::8', lladdr=OTHER_MAC, mac=OTHER_MAC)
    bench.take()
    for force, forwarded in ((0, 0), (1, 1)):
        bench.set('eth0.force_forwarding', force)
        bench.receive(bytes([128, 0, 0, 0, 0, 1, 0, 0]), '2001:db8::9', '2001:db8::8', hop=64, dst_mac=MY_MAC)
        assert len(bench.take(128)) == forwarded
    bench.set('all.force_forwarding', 0)
    assert bench.net.sysctl.get('net.ipv6.conf.eth0.force_forwarding') == '0'


def test_a_device_that_comes_up_is_announced_with_ndisc_notify() -> None:
    bench = Bench6(ndisc_notify=1, keep_addr_on_down=1)
    assert bench.add('2001:db8::5', flags=IFA_F_NODAD) == 0
    dev_close(bench.dev)
    bench.take()
    dev_open(bench.dev)
    bench.run(3)
    assert '2001:db8::5' in [na.target for na in bench.take(NA)]
