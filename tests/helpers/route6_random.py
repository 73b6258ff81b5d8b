# SPDX-License-Identifier: Apache-2.0
"""Random commands for helpers/route6.py and the kernel: few prefixes and gateways, so that they meet."""
from __future__ import annotations

import random

PREFIXES = ['default', '2001:db8:a::/48', '2001:db8:a:1::/64', '2001:db8:a:1::1', '2001:db8:b::/48', '2001:db8:1::/64',
            'fe80::/64', '2001:db8:1::1']
GATEWAYS = ['fe80::1', 'fe80::2', '2001:db8:1::2', '2001:db8:1::3', '2001:db8:2::2', '2001:db8:a::1', '2001:db8:1::1',
            'fe80::ff:fe00:1']
DESTINATIONS = ['2001:db8:a::1', '2001:db8:a:1::1', '2001:db8:a:1::2', '2001:db8:b::9', '2001:db8:1::9', '2001:db8:1::1',
                '2001:db8:ff::1', 'fe80::9', 'ff02::1', 'fe80::ff:fe00:1']
ADDRESSES = ['2001:db8:1::1/64 dev d0', '2001:db8:1::5/64 dev d0', '2001:db8:a::7/48 dev d1', '2001:db8:a:1::1/128 dev d1',
             '2001:db8:1::5/64 dev d1', '2001:db8:2::1/64 dev d1']
REFUSALS = ['unreachable ', 'prohibit ', 'blackhole ', 'throw ', 'local ']
VERBS = ['add', 'append', 'replace'] * 3 + ['change', 'del', 'del']


def a_look_up(chance: random.Random) -> str:
    """get ..."""
    command = f'get {chance.choice(DESTINATIONS)}'
    if chance.random() < 0.3:
        command += ' from ' + chance.choice(['2001:db8:1::1', '2001:db8:2::1'])
    if chance.random() < 0.4:
        command += ' oif ' + chance.choice(['d0', 'd1', 'd0', 'd1', 'lo'])
    return command


def hops(chance: random.Random, verb: str) -> str:
    """The next hops of a multipath route."""
    text = ''
    for _ in range(chance.choice([2, 2, 3])):
        text += f' nexthop via {chance.choice(GATEWAYS[:5])}'
        if chance.random() < 0.7:
            text += f' dev {chance.choice(["d0", "d1"])}'
        if chance.random() < 0.3 and verb != 'del':
            text += f' weight {chance.randint(1, 4)}'
    return text


def hop(chance: random.Random, refuses: bool) -> str:
    """The next hop of a plain one."""
    text = ''
    through = chance.random() < 0.6 and not refuses
    if through:
        text += f' via {chance.choice(GATEWAYS)}'
    if chance.random() < (0.7 if through else 0.9) and not (refuses and chance.random() < 0.7):
        text += f' dev {chance.choice(["d0", "d1"] * 3 + ["lo"])}'
        if through and chance.random() < 0.1:
            text += ' onlink'
    return text


def a_change(chance: random.Random) -> str:
    """add, append, replace, change or del ..."""
    verb = chance.choice(VERBS)
    refusal = chance.choice(REFUSALS) if chance.random() < 0.12 else ''
    command = f'{verb} {refusal}{chance.choice(PREFIXES)}'
    command += hops(chance, verb) if chance.random() < 0.12 else hop(chance, refusal != '')
    if chance.random() < 0.3:
        command += f' metric {chance.choice(["10", "1024", "2000", "256"])}'
    if verb != 'del':
        if chance.random() < 0.1:
            command += f' pref {chance.choice(["low", "medium", "high"])}'
        if chance.random() < 0.08:
            command += f' src {chance.choice(["2001:db8:1::1", "2001:db8:2::1"])}'
        if chance.random() < 0.08:
            command += f' mtu {chance.choice(["1400", "lock 1300"])}'
    return command


def a_change_below(chance: random.Random) -> str:
    """Devices, addresses and settings."""
    kind, dev = chance.random(), chance.choice(['d0', 'd1'])
    if kind < 0.2:
        return f'ip link set {dev} {chance.choice(["down", "up", "up"])}'
    if kind < 0.35:
        return f'ip link set {dev} mtu {chance.choice([1500, 1280, 1400, 1279])}'
    if kind < 0.55:
        return f'sysctl -qw net.ipv6.conf.all.forwarding={chance.randint(0, 1)}'
    if kind < 0.65:
        return f'sysctl -qw net.ipv6.conf.{dev}.disable_ipv6={chance.choice([0, 0, 1])}'
    return f'ip addr {chance.choice(["add", "del"])} {chance.choice(ADDRESSES)} nodad'


def commands(seed: int, count: int = 120) -> list[str]:
    """So many commands, the table shown after each change."""
    chance = random.Random(seed)
    found: list[str] = []
    for _ in range(count):
        kind = chance.random()
        if kind < 0.12:
            found.append(a_look_up(chance))
            continue
        found.append(a_change_below(chance) if kind < 0.24 else a_change(chance))
        found.append('show')
    return [*found, 'show local']
