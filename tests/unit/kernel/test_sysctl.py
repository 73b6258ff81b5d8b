# SPDX-License-Identifier: Apache-2.0
"""Sysctl entries: text in, text out, ranges, what is refused."""
from __future__ import annotations

from collections.abc import Callable

import pytest

from linnet.kernel.errno import EEXIST, EINVAL, ENOENT, EPERM
from linnet.kernel.sysctl import CtlBool, CtlDir, CtlInt, CtlScaled, CtlString, CtlTable, CtlVector, SysctlRegistry, parse_int


class Ipv4:
    def __init__(self) -> None:
        self.sack = 1
        self.forward = False
        self.rmem = [4096, 131072, 6291456]
        self.keepalive = 7_200_000
        self.cc = 'cubic'


def make() -> tuple[Ipv4, SysctlRegistry]:
    v4 = Ipv4()
    registry = SysctlRegistry()
    registry.register('net.ipv4.tcp_sack', CtlInt(v4, 'sack', 0, 255))
    registry.register('net.ipv4.ip_forward', CtlBool(v4, 'forward'))
    registry.register('net.ipv4.tcp_rmem', CtlVector(v4, 'rmem', 3, 1))
    registry.register('net.ipv4.tcp_keepalive_time', CtlScaled(v4, 'keepalive', 1000))
    registry.register('net.ipv4.tcp_congestion_control', CtlString(v4, 'cc', 16, ['cubic', 'reno']))
    return v4, registry


def test_reading() -> None:
    _, r = make()
    assert r.get('net.ipv4.tcp_sack') == '1'
    assert r.get('net.ipv4.ip_forward') == '0'
    assert r.get('net.ipv4.tcp_rmem') == '4096\t131072\t6291456'
    assert r.get('net.ipv4.tcp_keepalive_time') == '7200'
    assert r.get('net/ipv4/tcp_congestion_control') == 'cubic'
    with pytest.raises(KeyError):
        r.get('net.ipv4.nothing')


def test_writing() -> None:
    v4, r = make()
    held = v4.rmem
    assert r.set('net.ipv4.tcp_sack', '0x10\n') == 0 and v4.sack == 16
    assert r.set('net.ipv4.ip_forward', '1') == 0 and v4.forward is True
    assert r.set('net.ipv4.tcp_rmem', '4096 200000') == 0
    assert held == [4096, 200000, 6291456] and v4.rmem is held
    assert r.set('net.ipv4.tcp_keepalive_time', '60') == 0 and v4.keepalive == 60_000
    assert r.set('net.ipv4.tcp_congestion_control', 'reno\n') == 0 and v4.cc == 'reno'


@pytest.mark.parametrize(
    ('name', 'value', 'error'),
    [
        ('tcp_sack', '256', EINVAL),
        ('tcp_sack', '-1', EINVAL),
        ('tcp_sack', 'yes', EINVAL),
        ('tcp_sack', '', EINVAL),
        ('tcp_sack', '1 2', EINVAL),
        ('ip_forward', '2', EINVAL),
        ('tcp_rmem', '4096 0', EINVAL),
        ('tcp_rmem', '1 2 3 4', EINVAL),
        ('tcp_keepalive_time', '2147484', EINVAL),
        ('tcp_congestion_control', 'bbr9', ENOENT),
        ('nothing', '1', ENOENT),
    ],
)
def test_refused_changes_nothing(name: str, value: str, error: int) -> None:
    v4, r = make()
    assert r.set('net.ipv4.' + name, value) == -error
    assert vars(v4) == vars(Ipv4())


def test_registry() -> None:
    v4, r = make()
    assert r.register('net.ipv4.tcp_sack', CtlTable()) == -EEXIST
    assert r.register('net.ipv4.ro', CtlInt(v4, 'sack', read_only=True)) == 0
    assert r.set('net.ipv4.ro', '5') == -EPERM
    assert r.names() == sorted(r.names()) and 'net.ipv4.ro' in r.names()
    assert r.unregister('net.ipv4.ro') == 0 and r.unregister('net.ipv4.ro') == -ENOENT
    r.register('net.ipv4.conf.eth0.forwarding', CtlInt(v4, 'sack'))
    r.register('net.ipv4.conf.eth0_x.forwarding', CtlInt(v4, 'sack'))
    r.register('net.ipv4.conf.eth0/7.forwarding', CtlInt(v4, 'sack'))
    assert r.find('net/ipv4/conf/eth0.7/forwarding') is r.entries['net.ipv4.conf.eth0/7.forwarding']
    r.unregister_under('net.ipv4.conf.eth0')
    assert [n for n in r.names() if '.conf.' in n] == [
        'net.ipv4.conf.eth0/7.forwarding', 'net.ipv4.conf.eth0_x.forwarding',
    ]


def test_a_bare_entry_refuses() -> None:
    assert CtlTable().read() == '' and CtlTable().write('1') == -EINVAL


def test_numbers() -> None:
    texts = ['0', '-7', '+7', '017', '0x1F', '1_0', '', '-', '09', '٣', '1.5']
    assert [parse_int(x) for x in texts] == [0, -7, 7, 15, 31, None, None, None, None, None, None]


class Later(CtlDir):
    def __init__(self, registry: SysctlRegistry, obj: Ipv4) -> None:
        self.registry = registry
        self.obj = obj
        self.filled = 0

    def fill(self) -> None:
        self.filled += 1
        self.registry.register('net.ipv6.sack', CtlInt(self.obj, 'sack'))


@pytest.mark.parametrize('ask', [
    lambda r: r.get('net.ipv6.sack'), lambda r: r.set('net.ipv6.sack', '0'), lambda r: r.find('net/ipv6/sack'),
    lambda r: r.set('net.ipv6.other', '0'), lambda r: r.names(),
])
def test_a_directory_is_filled_when_it_is_looked_into_and_once(ask: Callable[[SysctlRegistry], object]) -> None:
    registry = SysctlRegistry()
    later = Later(registry, Ipv4())
    registry.register_later('net.ipv6', later)
    assert registry.set('net.ipv4.sack', '0') == -ENOENT and registry.find('net.ipv66.sack') is None
    assert later.filled == 0 and not registry.is_filled('net.ipv6')
    ask(registry)
    ask(registry)
    assert later.filled == 1 and registry.is_filled('net.ipv6') and registry.names() == ['net.ipv6.sack']
