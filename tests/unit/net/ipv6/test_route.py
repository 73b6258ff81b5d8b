# SPDX-License-Identifier: Apache-2.0
"""IPv6's routes: which one a packet takes, and what `ip -6 route` says of them."""
from __future__ import annotations

from pathlib import Path

import pytest

from helpers.route6 import Routes, read_scripts
from linnet.kernel.errno import EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH

COMMANDS = '''
add default via 2001:db8:1::fe
add unreachable 2001:db8:7::/48
add prohibit 2001:db8:8::/48
add blackhole 2001:db8:9::/48
add throw 2001:db8:a::/48
add 2001:db8:b::/48 dev lo
add 2001:db8:c::/48 nexthop via 2001:db8:1::2 weight 2 nexthop via 2001:db8:2::2
add 2001:db8:d::/48 via fe80::7 dev d1 mtu 1400 hoplimit 9 advmss lock 1000 pref high proto static expires 100
'''

# as iproute2 6.1 printed them on Linux 6.18 after the same commands
MAIN = '''
2001:db8:1::/64 dev d0 proto kernel metric 256 pref medium
2001:db8:2::/64 dev d1 proto kernel metric 256 pref medium
unreachable 2001:db8:7::/48 dev lo metric 1024 pref medium
prohibit 2001:db8:8::/48 dev lo metric 1024 pref medium
blackhole 2001:db8:9::/48 dev lo metric 1024 pref medium
throw 2001:db8:a::/48 dev lo metric 1024 pref medium
2001:db8:b::/48 dev lo metric 1024 pref medium
2001:db8:c::/48 metric 1024 pref medium
\tnexthop via 2001:db8:1::2 dev d0 weight 2
\tnexthop via 2001:db8:2::2 dev d1 weight 1
2001:db8:d::/48 via fe80::7 dev d1 proto static metric 1024 expires 99sec mtu 1400 advmss lock 1000 hoplimit 9 pref high
fe80::/64 dev d0 proto kernel metric 256 pref medium
fe80::/64 dev d1 proto kernel metric 256 pref medium
default via 2001:db8:1::fe dev d0 metric 1024 pref medium
'''

LOCAL = '''
local ::1 dev lo proto kernel metric 0 pref medium
local 2001:db8:1::1 dev d0 proto kernel metric 0 pref medium
local 2001:db8:2::1 dev d1 proto kernel metric 0 pref medium
local fe80::ff:fe00:1 dev d0 proto kernel metric 0 pref medium
local fe80::ff:fe00:2 dev d1 proto kernel metric 0 pref medium
multicast ff00::/8 dev d0 proto kernel metric 256 pref medium
multicast ff00::/8 dev d1 proto kernel metric 256 pref medium
'''


def many() -> Routes:
    host = Routes()
    for command in COMMANDS.strip().splitlines():
        assert host.ip(command) == 0, command
    return host


def test_the_text_of_ip_route() -> None:
    host = many()
    host.world.clock.advance(1_000_000)
    assert host.show() == MAIN.strip().splitlines()
    assert host.show(255) == LOCAL.strip().splitlines()


def test_where_to() -> None:
    host = many()
    assert host.out('2001:db8:1::5') == ('2001:db8:1::5', 'd0')
    assert host.out('2001:db8:ffff::1') == ('2001:db8:1::fe', 'd0')
    assert host.out('2001:db8:d::1') == ('fe80::7', 'd1')
    assert host.out('2001:db8:b::1') == ('2001:db8:b::1', 'lo')
    assert host.out('2001:db8:1::1') == ('2001:db8:1::1', 'lo')
    assert host.out('fe80::ff:fe00:2') == ('fe80::ff:fe00:2', 'lo')
    assert host.out('::1') == ('::1', 'lo')


def test_routes_that_refuse() -> None:
    host = many()
    assert [host.out(f'2001:db8:{x}::1') for x in '789a'] == [-EHOSTUNREACH, -EACCES, -EINVAL, -ENETUNREACH]
    assert Routes().out('2001:db8:9::1') == -ENETUNREACH


@pytest.mark.parametrize('steps', [pytest.param(steps, id=title)
                                   for title, steps in read_scripts(Path(__file__).with_name('route6.txt'))])
def test_as_the_kernel_answers(steps: list[tuple[str, object]]) -> None:
    host = Routes()
    assert [(command, host.answer(command)) for command, _ in steps] == steps
