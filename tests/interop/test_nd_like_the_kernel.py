# SPDX-License-Identifier: Apache-2.0
"""Addresses, neighbours, routers and groups: the kernel of this machine and Linnet run the same script, and send the same.

The kernel's side takes real time and is therefore run beforehand, all scripts side by side; timers are set short, but for those
between which a script puts something in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from helpers.nd_bench import MY_LL, OTHER_MAC, PEER_LL, PEER_MAC, mtu_option, prefix_option
from helpers.nd_duel import Kernel, Linnet, Side
from helpers.netns import lacking
from linnet.include.linux.in6 import in6_bytes, in6_pton
from linnet.net.ipv6.ndisc_opts import ndisc_fill_option

WHY = lacking('sysctl')
pytestmark = [pytest.mark.interop, pytest.mark.skipif(WHY != '', reason=WHY), pytest.mark.xdist_group('tun')]

SLLA, TLLA = ndisc_fill_option(1, PEER_MAC), ndisc_fill_option(2, PEER_MAC)
GLOBAL, AUTO = '2001:db8::5', '2001:db8::ff:fe00:aa'


def quick(s: Side) -> None:
    """Short timers."""
    s.set('conf.DEV.router_solicitation_delay', 0)
    s.set('neigh.DEV.retrans_time_ms', 60)
    s.set('conf.DEV.mldv2_unsolicited_report_interval', 40)
    s.set('conf.DEV.mldv1_unsolicited_report_interval', 40)
    s.set('conf.DEV.router_solicitation_interval', 1)


def settle(s: Side) -> None:
    """Up, with its link-local address."""
    quick(s)
    s.set('conf.DEV.router_solicitations', 0)
    s.up()
    s.run(1)
    s.lines.clear()


def slow(s: Side) -> None:
    """DAD takes long enough for something to come in between; reports are over by then."""
    s.set('neigh.DEV.retrans_time_ms', 500)
    s.set('conf.DEV.mldv2_unsolicited_report_interval', 1)


def state(s: Side) -> None:
    """All that can be seen of the device."""
    s.addresses()
    s.routes()
    s.routes('local')
    s.groups()


def boot(s: Side) -> None:
    quick(s)
    s.set('conf.DEV.router_solicitations', 2)
    s.up()
    s.run(5)
    state(s)


def dad_transmits_none_and_three(s: Side) -> None:
    quick(s)
    s.set('conf.DEV.dad_transmits', 0)
    s.up()
    s.run(0.5)
    s.set('conf.DEV.dad_transmits', 3)
    s.add(GLOBAL)
    s.run(0.8)
    state(s)


def dad_meets_a_question(s: Side) -> None:
    settle(s)
    slow(s)
    s.add(GLOBAL)
    s.run(0.15)
    s.ns(GLOBAL, '::')
    s.run(0.7)
    state(s)
    s.ns(GLOBAL, PEER_LL, options=SLLA)
    s.run(0.1)
    s.delete(GLOBAL)
    s.run(0.2)
    state(s)


def dad_meets_an_answer(s: Side) -> None:
    settle(s)
    slow(s)
    s.add(GLOBAL)
    s.run(0.15)
    s.na(GLOBAL, GLOBAL, 'ff02::1', 0x20, TLLA)
    s.run(0.7)
    state(s)


def dad_of_the_link_local_address_fails(s: Side) -> None:
    quick(s)
    slow(s)
    s.up()
    s.run(0.15)
    s.ns(MY_LL, '::')
    s.run(0.5)
    state(s)


def dad_fails_with_accept_dad_2(s: Side) -> None:
    quick(s)
    slow(s)
    s.set('conf.DEV.accept_dad', 2)
    s.up()
    s.run(0.15)
    s.ns(MY_LL, '::')
    s.run(0.5)
    state(s)


def optimistic(s: Side) -> None:
    settle(s)
    slow(s)
    s.set('conf.DEV.optimistic_dad', 1)
    s.ra(PEER_LL, SLLA, prefix_option('2001:db8::'))
    s.run(0.15)
    s.addresses()
    s.ns(AUTO, PEER_LL, options=SLLA)
    s.run(0.8)
    s.addresses()


def addresses_come_and_go(s: Side) -> None:
    settle(s)
    s.add(GLOBAL)
    s.run(0.4)
    s.add('2001:db8::6')
    s.run(0.3)
    s.add('2001:db8:1::7', options='nodad')
    s.run(0.4)
    state(s)
    s.delete(GLOBAL)
    s.run(0.3)
    s.routes()
    s.delete('2001:db8::6')
    s.run(0.3)
    state(s)


def questions(s: Side) -> None:
    settle(s)
    s.add(GLOBAL, options='nodad')
    s.run(0.2)
    s.lines.clear()
    for target, src, dst, options in (
            (MY_LL, PEER_LL, '', SLLA), (MY_LL, PEER_LL, MY_LL, SLLA), (MY_LL, PEER_LL, MY_LL, b''), (MY_LL, '::', '', b''),
            (GLOBAL, '2001:db8::9', '', SLLA), (GLOBAL, '2001:db8::8', '', b''), (GLOBAL, 'fe80::77', '', b''),
            ('2001:db8::6', '2001:db8::9', '', SLLA), (GLOBAL, '::', '', SLLA), (GLOBAL, '::', GLOBAL, b'')):
        s.ns(target, src, dst, options)
        s.run(0.1)


def an_advertisement(s: Side) -> None:
    quick(s)
    s.set('conf.DEV.router_solicitations', 1)
    s.up()
    s.run(0.5)
    s.ra(PEER_LL, SLLA, prefix_option('2001:db8::'), mtu_option(1400), hop=33)
    s.run(2.5)
    state(s)
    s.ra(PEER_LL, lifetime=0)
    s.run(0.1)
    s.routes()


def lifetimes(s: Side) -> None:
    settle(s)
    s.ra(PEER_LL, SLLA, prefix_option('2001:db8::', valid=3, preferred=1))
    s.run(0.5)
    s.addresses()
    s.run(1.2)
    s.addresses()
    s.run(2)
    s.addresses()
    s.ra(PEER_LL, SLLA, prefix_option('2001:db8:1::', valid=20000, preferred=10000))
    s.run(0.3)
    s.ra(PEER_LL, SLLA, prefix_option('2001:db8:1::', valid=0, preferred=0))
    s.run(0.3)
    state(s)


def prefixes(s: Side) -> None:
    settle(s)
    s.ra('2001:db8::1', SLLA, prefix_option('2001:db8::'))
    s.run(0.1)
    state(s)
    s.ra(PEER_LL, SLLA, prefix_option('2001:db8:2::', plen=63), prefix_option('2001:db8:3::', flags=0x80),
         prefix_option('2001:db8:4::', flags=0x40), prefix_option('2001:db8:5::', valid=10, preferred=20))
    s.run(0.4)
    state(s)


def forwarding(s: Side) -> None:
    settle(s)
    s.add(GLOBAL, options='nodad')
    s.run(0.2)
    s.ra(PEER_LL, SLLA)
    s.run(0.1)
    s.routes()
    s.set('conf.all.forwarding', 1)
    s.run(0.3)
    state(s)
    s.ns(MY_LL, PEER_LL, options=SLLA)
    s.run(0.1)
    s.ns('2001:db8::', PEER_LL, options=SLLA)
    s.run(1.2)
    s.ra(PEER_LL, SLLA, prefix_option('2001:db8:9::'))
    s.run(0.3)
    state(s)
    s.set('conf.all.forwarding', 0)
    s.run(0.3)
    state(s)


def down_and_up(s: Side) -> None:
    settle(s)
    s.add(GLOBAL)
    s.run(0.3)
    s.down()
    s.run(0.1)
    state(s)
    s.up()
    s.run(0.4)
    state(s)


def down_and_up_with_addresses_kept(s: Side) -> None:
    settle(s)
    s.set('conf.DEV.keep_addr_on_down', 1)
    s.add(GLOBAL, options='nodad')
    s.run(0.3)
    s.down()
    s.run(0.1)
    state(s)
    s.up()
    s.run(0.4)
    state(s)


def disable_ipv6(s: Side) -> None:
    settle(s)
    s.add(GLOBAL)
    s.run(0.3)
    s.set('conf.DEV.disable_ipv6', 1)
    s.run(0.2)
    state(s)
    s.ns(MY_LL, PEER_LL, options=SLLA)
    s.run(0.1)
    s.set('conf.DEV.disable_ipv6', 0)
    s.run(0.4)
    state(s)
    s.set('conf.all.disable_ipv6', 1)
    s.run(0.2)
    state(s)


def queries_of_version_2(s: Side) -> None:
    settle(s)
    s.query()
    s.run(0.3)
    for group in ('ff02::1:ff00:aa', 'ff02::1:ff00:ab', 'ff02::1'):
        s.query(group)
        s.run(0.3)


def a_querier_of_version_1(s: Side) -> None:
    settle(s)
    s.query(version=1)
    s.run(0.3)
    s.add(GLOBAL, options='nodad')
    s.run(0.3)
    s.delete(GLOBAL)
    s.run(0.3)
    s.query('ff02::1:ff00:aa', version=1)
    s.run(0.3)
    s.query(version=1, ms=900)
    s.icmp(bytes([131, 0, 0, 0, 0, 0, 0, 0]) + in6_bytes(in6_pton('ff02::1:ff00:aa')), PEER_LL, 'ff02::1:ff00:aa', hop=1)
    s.run(1.2)


def notify(s: Side) -> None:
    settle(s)
    s.set('conf.DEV.ndisc_notify', 1)
    s.add(GLOBAL)
    s.run(0.4)


def unreachability(s: Side) -> None:
    """An answer to a neighbour that was only heard of: it is probed 5 s later, by unicast, three times."""
    settle(s)
    s.ns(MY_LL, PEER_LL, options=SLLA)
    s.run(7)


def all_of(s: Side) -> None:
    state(s)
    s.neighbours()


def the_carrier_goes_and_comes(s: Side) -> None:
    settle(s)
    s.add(GLOBAL, options='nodad')
    s.ra(PEER_LL, SLLA)
    s.ns(MY_LL, '2001:db8::9', options=SLLA)
    s.run(0.3)
    all_of(s)
    s.carrier(False)
    s.run(0.3)
    all_of(s)
    s.carrier(True)
    s.run(0.5)
    all_of(s)


def states_of_neighbours(s: Side) -> None:
    settle(s)
    s.ns(MY_LL, PEER_LL, options=SLLA)
    s.run(0.1)
    s.neighbours()
    s.ra(PEER_LL, SLLA)
    s.run(0.1)
    s.neighbours()
    for flags, mac in ((0x60, PEER_MAC), (0xA0, OTHER_MAC), (0xC0, PEER_MAC), (0xE0, PEER_MAC), (0x00, OTHER_MAC)):
        s.na(PEER_LL, PEER_LL, MY_LL, flags, ndisc_fill_option(2, mac))
        s.run(0.1)
        s.neighbours()
        s.routes()


def mtu_of_the_link(s: Side) -> None:
    settle(s)
    s.ra(PEER_LL, SLLA, prefix_option('2001:db8::'), mtu_option(1400))
    s.run(0.3)
    s.routes()
    s.set('conf.DEV.mtu', 1300)
    s.run(0.1)
    s.routes()
    s.ra(PEER_LL, SLLA, mtu_option(1279))
    s.ra(PEER_LL, SLLA, mtu_option(1501))
    s.run(0.1)
    s.routes()


def no_link_local_address_at_first(s: Side) -> None:
    quick(s)
    s.set('conf.DEV.addr_gen_mode', 1)
    s.set('conf.DEV.router_solicitations', 0)
    s.up()
    s.run(0.3)
    all_of(s)
    s.set('conf.DEV.addr_gen_mode', 0)
    s.run(0.5)
    all_of(s)


def addresses_of_bounded_life(s: Side) -> None:
    settle(s)
    s.add(GLOBAL, options='valid_lft 2 preferred_lft 1 nodad')
    s.run(0.2)
    state(s)
    s.run(1.2)
    s.addresses()
    s.run(1.2)
    state(s)
    s.add('2001:db8:1::5', options='nodad')
    s.run(0.3)
    s.add('2001:db8:1::6', options='valid_lft 100 preferred_lft 100 nodad')
    s.run(0.2)
    s.routes()
    s.delete('2001:db8:1::5')
    s.run(0.2)
    s.routes()
    s.delete('2001:db8:1::6')
    s.run(0.2)
    s.routes()


def many_addresses(s: Side) -> None:
    settle(s)
    for addr, plen in (('2001:db8::5', 64), ('2001:db8:1::5', 64), ('2001:db8:2::5', 48), ('fec0::5', 64), ('fe80::5', 64),
                       ('2001:db8::77', 128)):
        s.add(addr, plen, 'nodad')
    s.add('2001:db8:4::5', options='nodad noprefixroute')
    s.run(0.3)
    s.lines.clear()
    all_of(s)


def solicitations_of_hosts(s: Side) -> None:
    settle(s)
    s.set('conf.all.forwarding', 1)
    s.run(0.3)
    for src, options in ((PEER_LL, SLLA), ('::', b''), ('fe80::cc', b'')):
        s.icmp(bytes([133, 0, 0, 0, 0, 0, 0, 0]) + options, src, 'ff02::2')
        s.run(0.1)
        s.neighbours()


def route_option(prefix: str, plen: int, lifetime: int, pref: int = 0, units: int = 3) -> bytes:
    """A route information option (RFC 4191, 2.3)."""
    return bytes([24, units, plen, pref << 3]) + lifetime.to_bytes(4, 'big') + in6_bytes(in6_pton(prefix))[:(units - 1) * 8]


def routes_of_routers(s: Side) -> None:
    settle(s)
    s.set('conf.DEV.accept_ra_rt_info_max_plen', 64)
    s.ra(PEER_LL, SLLA, route_option('2001:db8:7::', 64, 100), route_option('2001:db8:8::', 65, 100),
         route_option('2001:db8:6::', 48, 0xFFFFFFFF, 1, 2), route_option('2001:db8:5::', 48, 100, 2, 2),
         route_option('::', 0, 50, 3, 1), lifetime=0)
    s.run(0.2)
    s.routes()
    s.ra(PEER_LL, SLLA, route_option('2001:db8:7::', 64, 0), route_option('2001:db8:6::', 48, 10, 3, 2),
         route_option('::', 0, 0, 0, 1), lifetime=0)
    s.run(0.2)
    s.routes()


def a_router_redirects(s: Side) -> None:
    settle(s)
    s.set('conf.all.forwarding', 1)
    s.add(GLOBAL, options='nodad')
    s.run(0.3)
    s.ns(GLOBAL, '2001:db8::9', options=SLLA)
    s.run(0.1)
    s.ns(GLOBAL, '2001:db8::8', options=ndisc_fill_option(1, OTHER_MAC), mac=OTHER_MAC)
    s.run(0.1)
    s.lines.clear()
    for i in range(8):
        s.icmp(bytes([128, 0, 0, 0, 0, 1, 0, i]) + bytes(64), '2001:db8::9', '2001:db8::8')
        s.run(0.05)


def addresses_before_the_device_is_up(s: Side) -> None:
    quick(s)
    s.set('conf.DEV.router_solicitations', 0)
    s.add(GLOBAL)
    s.add('2001:db8:1::6', options='nodad')
    s.add('2001:db8::7')
    s.run(0.2)
    s.delete('2001:db8::7')
    s.run(0.2)
    state(s)
    s.up()
    s.run(0.7)
    state(s)


def two_routers(s: Side) -> None:
    settle(s)
    s.ra(PEER_LL, SLLA, flags=0x08)
    s.ra('fe80::ff:fe00:cc', ndisc_fill_option(1, OTHER_MAC), flags=0x18, mac=OTHER_MAC)
    s.run(0.2)
    all_of(s)
    s.set('conf.DEV.accept_ra_rtr_pref', 0)
    s.ra(PEER_LL, SLLA, flags=0x08, hop=7)
    s.run(0.1)
    s.routes()
    s.set('conf.DEV.ra_defrtr_metric', 77)
    s.ra(PEER_LL, SLLA, flags=0x08)
    s.run(0.1)
    s.routes()


def a_router_that_takes_advertisements(s: Side) -> None:
    settle(s)
    s.set('conf.all.forwarding', 1)
    s.set('conf.DEV.accept_ra', 2)
    s.run(0.2)
    s.ra(PEER_LL, SLLA, prefix_option('2001:db8::'))
    s.run(0.5)
    all_of(s)
    s.set('conf.DEV.forwarding', 0)
    s.run(0.3)
    all_of(s)


def echo(number: int = 1) -> bytes:
    """An echo request."""
    return bytes([128, 0, 0, 0, 0, 1, 0, number]) + bytes(8)


def an_unknown_neighbour_is_asked_for(s: Side) -> None:
    settle(s)
    s.icmp(echo(), 'fe80::99', MY_LL)
    s.run(0.4)
    s.neighbours()


def answers_that_move_a_neighbour(s: Side) -> None:
    settle(s)
    s.icmp(echo(), 'fe80::99', MY_LL)
    s.run(0.03)
    for flags, mac in ((0x60, PEER_MAC), (0x00, OTHER_MAC), (0x20, OTHER_MAC)):
        s.na('fe80::99', 'fe80::99', MY_LL, flags, ndisc_fill_option(2, mac))
        s.run(0.1)
        s.icmp(echo(flags), 'fe80::99', MY_LL)
        s.run(0.1)


def a_redirect_is_heeded(s: Side) -> None:
    settle(s)
    s.ra(PEER_LL, SLLA, prefix_option('2001:db8::'))
    s.run(0.4)
    far = '2001:db8:77::1'
    s.icmp(echo(1), far, AUTO)
    s.run(0.1)
    other = 'fe80::cc'
    for target, source, mac in ((other, 'fe80::dd', OTHER_MAC), (other, PEER_LL, OTHER_MAC), (far, other, PEER_MAC)):
        s.icmp(bytes([137, 0, 0, 0, 0, 0, 0, 0]) + in6_bytes(in6_pton(target)) + in6_bytes(in6_pton(far))
               + ndisc_fill_option(2, mac), source, AUTO)
        s.run(0.1)
        s.icmp(echo(2), far, AUTO)
        s.run(0.2)


def temporary_addresses(s: Side) -> None:
    """Their numbers are random: only what is shown of them counts."""
    settle(s)
    s.set('conf.DEV.use_tempaddr', 1)
    s.set('conf.DEV.max_desync_factor', 0)
    s.set('conf.DEV.temp_prefered_lft', 6)
    s.set('conf.DEV.temp_valid_lft', 9)
    s.ra(PEER_LL, SLLA, prefix_option('2001:db8::', valid=100, preferred=50))
    for seconds in (0.4, 2.5, 2.2, 2.2, 2.2):
        s.run(seconds)
        s.addresses()
    shown = [re.sub('2001:db8::[0-9a-f:]+/64 scope global temporary', 'one', line) for line in s.lines if line.startswith('addr')]
    s.lines[:] = shown


def a_proxy(s: Side) -> None:
    settle(s)
    s.set('conf.DEV.proxy_ndp', 1)
    s.set('neigh.DEV.proxy_delay', 5)
    s.proxy('2001:db8:7::1')
    s.run(0.3)
    s.groups()
    s.ns('2001:db8:7::1', PEER_LL, options=SLLA)
    s.run(0.3)
    s.set('conf.all.forwarding', 1)
    s.run(0.3)
    s.ns('2001:db8:7::1', PEER_LL, options=SLLA)
    s.run(0.3)
    s.ns('2001:db8:7::1', PEER_LL, '2001:db8:7::1', SLLA)
    s.run(0.3)
    s.ns('2001:db8:7::1', '::')
    s.run(0.3)
    s.neighbours()


SCRIPTS = [addresses_before_the_device_is_up, two_routers, a_router_that_takes_advertisements,
           an_unknown_neighbour_is_asked_for, answers_that_move_a_neighbour, a_redirect_is_heeded, temporary_addresses,
           a_proxy,
           the_carrier_goes_and_comes, states_of_neighbours, mtu_of_the_link, no_link_local_address_at_first,
           addresses_of_bounded_life, many_addresses, solicitations_of_hosts, routes_of_routers, a_router_redirects, boot,
           dad_transmits_none_and_three, dad_meets_a_question, dad_meets_an_answer, dad_of_the_link_local_address_fails,
           dad_fails_with_accept_dad_2, optimistic, addresses_come_and_go, questions, an_advertisement, lifetimes, prefixes,
           forwarding, down_and_up, down_and_up_with_addresses_kept, disable_ipv6, queries_of_version_2,
           a_querier_of_version_1, notify, unreachability]


def on_the_kernel(script: Callable[[Side], None], name: str) -> list[str]:
    side = Kernel(name)
    try:
        script(side)
    finally:
        side.close()
    return side.lines


@pytest.fixture(scope='module')
def kernel() -> dict[str, Future[list[str]]]:
    """What the kernel sends, by script; a few at a time, so that each keeps its times."""
    with ThreadPoolExecutor(4) as pool:
        return {script.__name__: pool.submit(on_the_kernel, script, f'lnd{os.getpid()}x{i}') for i, script in enumerate(SCRIPTS)}


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda script: script.__name__)
def test_both_send_the_same(script: Callable[[Side], None], kernel: dict[str, Future[list[str]]]) -> None:
    ours = Linnet()
    script(ours)
    theirs = kernel[script.__name__].result()
    for attempt in range(3):
        if theirs == ours.lines:
            break
        theirs = on_the_kernel(script, f'lnd{os.getpid()}y{attempt}')  # a busy machine may have come in between
    assert ours.lines == theirs
