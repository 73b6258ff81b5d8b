# SPDX-License-Identifier: Apache-2.0
"""What packet-too-big messages and redirects teach, for how long, and who hears of it."""
from __future__ import annotations

import struct

from helpers.route6 import Routes
from linnet.include.linux.icmpv6 import NDISC_REDIRECT
from linnet.include.linux.in6 import in6_bytes, in6_ntop, in6_pton
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dst import DstEntry
from linnet.include.net.ip6_fib import RTF_GATEWAY, Rt6Info
from linnet.include.net.neighbour import NUD_STALE
from linnet.net.core.neighbour import __neigh_lookup_noref as neigh_lookup_noref
from linnet.net.core.skbuff import kfree_skb, skb_from_bytes
from linnet.net.ipv6.ip6_fib import fib6_run_gc
from linnet.net.ipv6.route import fib6_dump_cache, ip6_redirect, ip6_redirect_no_header, ip6_update_pmtu, rt6_mtu_change

SECOND = 1_000_000_000
FAR = '2001:db8:99::1'
ROUTER = 'fe80::101'
MAC = b'\x02\0\0\0\x01\x09'


def behind(router: str = ROUTER) -> Routes:
    """A host with a default router on d0."""
    host = Routes()
    assert host.ip(f'add default via {router} dev d0') == 0
    return host


def message(host: Routes, source: str, body: bytes, quoted: str) -> SkBuff:
    """An ICMPv6 message about a packet from here to `quoted`, as it stands when an error is passed on: data at the quoted
    header.
    """
    ends = in6_bytes(in6_pton('2001:db8:1::1')) + in6_bytes(in6_pton(quoted))
    data = body + struct.pack('!IHBB', 6 << 28, 8, 58, 64) + ends + bytes(8)
    skb = skb_from_bytes(host.world, data, len(data))
    skb.dev = host.devices['d0']
    skb.transport_header = 0
    skb.data = len(body)
    skb.len -= len(body)
    skb.saddr6, skb.daddr6 = in6_pton(source), in6_pton('2001:db8:1::1')
    return skb


def too_big(host: Routes, mtu: int, quoted: str = FAR) -> None:
    skb = message(host, ROUTER, struct.pack('!BBHI', 2, 0, 0, mtu), quoted)
    ip6_update_pmtu(skb, host.net, mtu, 0, 0)
    kfree_skb(skb)


def redirect(host: Routes, source: str, target: str, dest: str, options: bytes = b'\x02\x01' + MAC, header: bool = True) -> None:
    body = struct.pack('!BBHI', NDISC_REDIRECT, 0, 0, 0) + in6_bytes(in6_pton(target)) + in6_bytes(in6_pton(dest)) + options
    skb = message(host, source, body + (b'\x04\x07' + bytes(6) if header else b''), dest)
    if header:
        ip6_redirect(skb, host.net, host.devices['d0'].ifindex, 0)
    else:
        skb.head = skb.head[:len(body)]
        skb.data, skb.len = 0, len(body)
        ip6_redirect_no_header(skb, host.net, host.devices['d0'].ifindex)
    kfree_skb(skb)


def later(host: Routes, seconds: float) -> None:
    host.world.clock.advance(host.world.clock.now + int(seconds * SECOND))


# -- path MTU: the numbers are Linux 6.18's, seen with `ip -6 route get` after the same messages


def test_a_smaller_mtu_is_learnt_for_one_destination() -> None:
    host = behind()
    before = host.route(FAR)
    assert (before.mtu(), before.check()) == (1500, True)
    too_big(host, 1400)
    assert not before.check()  # whoever holds it asks again
    after = host.route(FAR)
    assert (after.mtu(), after.rt6i_dst_len, in6_ntop(after.rt6i_dst)) == (1400, 128, FAR)
    assert host.route('2001:db8:99::2').mtu() == 1500


def test_only_smaller_and_never_below_1280() -> None:
    host = behind()
    got = []
    for mtu in (1400, 1450, 1000, 1279, 1300, 1280):
        too_big(host, mtu)
        got.append(host.route(FAR).mtu())
    assert got == [1400, 1400, 1400, 1400, 1300, 1280]


def test_it_is_forgotten_after_mtu_expires() -> None:
    host = behind()
    too_big(host, 1400)
    held = host.route(FAR)
    later(host, 599)
    assert (held.check(), host.route(FAR).mtu()) == (True, 1400)
    later(host, 1)
    assert (held.check(), host.route(FAR).mtu()) == (False, 1500)
    nh = host.route(FAR).rt6i_from
    assert nh is not None and len(nh.fib6_nh.exceptions) == 1
    assert fib6_run_gc(host.net) == 0
    assert nh.fib6_nh.exceptions == {}


def test_the_timer_collects_what_expired_and_stops() -> None:
    host = behind()
    too_big(host, 1400)
    gc = host.net.ipv6.fib6_gc
    assert gc is not None and gc.armed
    f6i = host.route(FAR).rt6i_from
    assert f6i is not None
    for _ in range(21):
        later(host, 30)
        gc.armed = False
        gc.function()
    assert (f6i.fib6_nh.exceptions, gc.armed) == ({}, False)


def test_a_second_message_renews_the_time() -> None:
    host = behind()
    too_big(host, 1400)
    later(host, 500)
    too_big(host, 1300)
    later(host, 500)
    assert host.route(FAR).mtu() == 1300


def test_a_locked_mtu_learns_nothing() -> None:
    host = behind()
    host.ip('add 2001:db8:99::/48 via fe80::5 dev d0 mtu lock 1500')
    too_big(host, 1400)
    assert host.route(FAR).mtu() == 1500


def test_other_routes_come_and_go_without_harm() -> None:
    host = behind()
    too_big(host, 1400)
    host.ip('add 2001:db8:99::/64 via 2001:db8:1::fd')
    assert host.out(FAR) == ('2001:db8:1::fd', 'd0')
    assert host.route(FAR).mtu() == 1500
    host.ip('del 2001:db8:99::/64')
    assert host.route(FAR).mtu() == 1400
    host.ip(f'replace default via {ROUTER} dev d0')
    assert host.route(FAR).mtu() == 1500  # what was learnt went with the route


def test_the_mtu_of_the_device_changes() -> None:
    host = behind()
    too_big(host, 1300)
    for net, mtu in ((77, '1400'), (76, '1500'), (75, 'lock 1500'), (74, '2000')):
        host.ip(f'add 2001:db8:{net}::/48 via 2001:db8:1::fe mtu {mtu}')
    dev = host.devices['d0']
    assert dev.ip6_ptr is not None
    seen = []
    for mtu in (1350, 1290, 1500):
        rt6_mtu_change(dev, mtu)
        dev.ip6_ptr.cnf.mtu6 = mtu
        seen.append([host.route(FAR).mtu()] + [host.route(f'2001:db8:{net}::1').mtu() for net in (77, 76, 75, 74)])
    # the last: where it was the device's own, it rises with it
    assert seen == [[1300, 1350, 1350, 1500, 1350], [1290, 1290, 1290, 1500, 1290], [1500, 1500, 1500, 1500, 1500]]


def test_a_route_teaches_its_own_holder() -> None:
    host = behind()
    rt: DstEntry = host.route(FAR)
    skb = message(host, ROUTER, b'', FAR)
    skb.network_header = skb.data
    rt.update_pmtu(None, skb, 1350)
    kfree_skb(skb)
    assert host.route(FAR).mtu() == 1350


def test_advice_against_a_route() -> None:
    host = behind()
    assert host.route(FAR).negative_advice() is None
    too_big(host, 1400)
    learnt = host.route(FAR)
    assert learnt.negative_advice() is learnt
    later(host, 600)
    assert learnt.negative_advice() is None
    assert host.route(FAR).mtu() == 1500


# -- redirects


def via(host: Routes, dst: str = FAR) -> str:
    rt: Rt6Info = host.route(dst)
    return in6_ntop(rt.rt6i_gateway) if rt.rt6i_flags & RTF_GATEWAY else f'on the link of {rt.dev.name}'


def test_a_better_router() -> None:
    host = behind()
    before = host.route(FAR)
    redirect(host, ROUTER, 'fe80::9', FAR)
    assert (via(host), via(host, '2001:db8:99::2'), before.check()) == ('fe80::9', ROUTER, False)
    tbl = host.net.ipv6.nd_tbl
    assert tbl is not None
    n = neigh_lookup_noref(tbl, in6_pton('fe80::9'), host.devices['d0'])
    assert n is not None and (n.ha, n.nud_state, n.is_router) == (MAC, NUD_STALE, True)
    assert host.route(FAR).expires == 0


def test_only_the_current_first_hop_redirects() -> None:
    host = behind()
    redirect(host, 'fe80::102', 'fe80::9', FAR)
    assert via(host) == ROUTER
    redirect(host, ROUTER, 'fe80::9', FAR)
    redirect(host, 'fe80::9', 'fe80::a', FAR)
    assert via(host) == 'fe80::a'


def test_the_destination_is_on_the_link() -> None:
    host = behind()
    redirect(host, ROUTER, FAR, FAR)
    assert via(host) == 'on the link of d0'
    assert host.out(FAR) == (FAR, 'd0')


def test_redirects_that_are_not_believed() -> None:
    host = behind()
    redirect(host, ROUTER, '2001:db8:1::77', FAR)  # a router is told by its link-local address
    redirect(host, ROUTER, 'fe80::9', 'ff0e::1')
    redirect(host, ROUTER, 'fe80::9', FAR, b'\x02\x00' + MAC)  # an option without length
    redirect(host, ROUTER, 'fe80::9', FAR, b'\x02\x02' + MAC + bytes(8))  # an address of another size
    idev = host.devices['d0'].ip6_ptr
    assert idev is not None
    idev.cnf.accept_redirects = 0
    redirect(host, ROUTER, 'fe80::9', FAR)
    idev.cnf.accept_redirects, idev.cnf.forwarding = 1, 1
    redirect(host, ROUTER, 'fe80::9', FAR)
    assert via(host) == ROUTER
    idev.cnf.forwarding = 0
    redirect(host, ROUTER, 'fe80::9', FAR)
    assert via(host) == 'fe80::9'


def test_a_redirect_without_the_packet() -> None:
    host = behind()
    redirect(host, ROUTER, 'fe80::9', FAR, header=False)
    assert via(host) == 'fe80::9'


def test_an_unused_redirect_is_forgotten_after_a_minute() -> None:
    host = behind()
    redirect(host, ROUTER, 'fe80::9', FAR)
    later(host, 59)
    assert fib6_run_gc(host.net) == 1
    assert via(host) == 'fe80::9'  # and with this it is used
    later(host, 59)
    fib6_run_gc(host.net)
    assert via(host) == 'fe80::9'
    later(host, 60)
    fib6_run_gc(host.net)
    assert via(host) == ROUTER


def test_a_redirect_to_what_is_no_router_any_more() -> None:
    host = behind()
    redirect(host, ROUTER, 'fe80::9', FAR)
    tbl = host.net.ipv6.nd_tbl
    assert tbl is not None
    n = neigh_lookup_noref(tbl, in6_pton('fe80::9'), host.devices['d0'])
    assert n is not None
    n.is_router = False
    fib6_run_gc(host.net)
    assert via(host) == ROUTER


def test_the_text_of_what_was_learnt() -> None:
    """As `ip -6 route show cache` gave it on Linux 6.18."""
    host = behind()
    too_big(host, 1400)
    redirect(host, ROUTER, 'fe80::9', '2001:db8:98::1')
    redirect(host, ROUTER, '2001:db8:98::5', '2001:db8:98::5')
    later(host, 0.5)
    assert fib6_dump_cache(host.net).splitlines() == [
        f'{FAR} via {ROUTER} dev d0 metric 1024 expires 599sec mtu 1400 pref medium ',
        '2001:db8:98::1 via fe80::9 dev d0 metric 1024 pref medium ',
        '2001:db8:98::5 dev d0 metric 1024 pref medium ']
    later(host, 600)
    assert FAR not in fib6_dump_cache(host.net)
