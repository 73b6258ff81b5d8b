# SPDX-License-Identifier: Apache-2.0
"""A host with cards and IPv6 addresses, whose routes are given as to `ip -6 route`: commands that the kernel understands, too."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from helpers.devices import Card, card
from linnet.include.linux.in6 import in6_ntop, in6_pton
from linnet.include.linux.netdevice import NetDevice
from linnet.include.net.flow import Flowi6
from linnet.include.net.if_inet6 import IFA_F_NODAD
from linnet.include.net.ip6_fib import RTF_GATEWAY, Fib6Config, Rt6Info, rt6_nexthop
from linnet.include.net.ip_fib import RTPROT_BOOT
from linnet.kernel.clock import VirtualClock
from linnet.net.boot import new_net, new_world
from linnet.net.core.dev import dev_close, dev_open, dev_set_mtu, register_netdevice
from linnet.net.ipv6.addrconf import inet6_addr_add, inet6_addr_del
from linnet.net.ipv6.route import fib6_dump, ip6_route_add, ip6_route_del, ip6_route_output

TYPES = {'unicast': 1, 'local': 2, 'anycast': 4, 'multicast': 5, 'blackhole': 6, 'unreachable': 7, 'prohibit': 8, 'throw': 9}
PROTOCOLS = {'kernel': 2, 'boot': 3, 'static': 4, 'ra': 9}
METRICS = {'mtu': 2, 'window': 3, 'ssthresh': 6, 'cwnd': 7, 'advmss': 8, 'reordering': 9, 'hoplimit': 10, 'initcwnd': 11}
PREFS = {'medium': 0, 'high': 1, 'low': 3}
TABLES = {'local': 255, 'main': 254}


def parse(words: list[str], index: Callable[[str], int], delete: bool) -> Fib6Config:
    """What the words of `ip -6 route add` mean; index gives the number of a device."""
    cfg = Fib6Config()
    cfg.fc_protocol = 0 if delete else RTPROT_BOOT
    words = list(words)
    if words[0] in TYPES:
        cfg.fc_type = TYPES[words.pop(0)]
    dst = words.pop(0)
    if dst != 'default':
        host, _, plen = dst.partition('/')
        cfg.fc_dst, cfg.fc_dst_len = in6_pton(host), int(plen or 128)
    hop = cfg
    while words:
        word = words.pop(0)
        if word == 'nexthop':
            hop = Fib6Config()
            cfg.fc_nexthops.append(hop)
            continue
        if word == 'onlink':
            hop.fc_onlink = True
            continue
        value = words.pop(0)
        if word in METRICS:
            if value == 'lock':
                value = words.pop(0)
                cfg.fc_mx[1] = cfg.fc_mx.get(1, 0) | 1 << METRICS[word]
            cfg.fc_mx[METRICS[word]] = int(value)
        elif word == 'via':
            hop.fc_gateway = in6_pton(value)
            hop.fc_flags |= RTF_GATEWAY
        elif word == 'dev':
            hop.fc_ifindex = index(value)
        elif word == 'weight':
            hop.fc_weight = int(value)
        elif word == 'metric':
            cfg.fc_metric = int(value)
        elif word == 'proto':
            cfg.fc_protocol = PROTOCOLS[value]
        elif word == 'src':
            cfg.fc_prefsrc = in6_pton(value)
        elif word == 'table':
            cfg.fc_table = TABLES[value] if value in TABLES else int(value)
        elif word == 'pref':
            cfg.fc_pref = PREFS[value]
        elif word == 'expires':
            cfg.fc_expires = int(value)
        else:
            raise ValueError(word)
    return cfg


def read_scripts(path: Path) -> list[tuple[str, list[tuple[str, object]]]]:
    """Scripts of commands with the kernel's answers: a title line ('# ...'), then 'COMMAND -> ANSWER' lines, and lines with '| '
    in front that an answer consists of.
    """
    scripts: list[tuple[str, list[tuple[str, object]]]] = []
    for line in path.read_text().splitlines():
        if line.startswith('# '):
            scripts.append((line[2:], []))
        elif line.startswith('| '):
            shown = scripts[-1][1][-1][1]
            assert isinstance(shown, list)
            shown.append(line[2:])
        elif line:
            command, _, answer = line.partition(' -> ')
            scripts[-1][1].append((command, json.loads(answer) if answer else []))
    return scripts


def write_scripts(path: Path, scripts: list[tuple[str, list[tuple[str, object]]]]) -> None:
    """The other way."""
    out = ''
    for title, steps in scripts:
        out += f'# {title}\n'
        for command, answer in steps:
            if command.startswith('show'):
                assert isinstance(answer, list)
                out += command + '\n' + ''.join(f'| {line}\n' for line in answer)
            else:
                out += f'{command} -> {json.dumps(answer)}\n'
        out += '\n'
    path.write_text(out[:-1])


class Routes:
    """See the top. d0 has 2001:db8:1::1/64, d1 has 2001:db8:2::1/64, both a link-local address."""

    def __init__(self, seed: int = 1) -> None:
        self.world = new_world(VirtualClock(), seed)
        self.net = new_net(self.world, 'host')
        self.net.ipv6.devconf_dflt.disable_ipv6 = self.net.ipv6.devconf_dflt.accept_dad = 0
        self.cards: dict[str, Card] = {}
        lo = self.net.loopback_dev
        assert lo is not None
        self.devices: dict[str, NetDevice] = {'lo': lo}
        self.device('d0', '2001:db8:1::1/64')
        self.device('d1', '2001:db8:2::1/64')

    def device(self, name: str, *addresses: str) -> NetDevice:
        """A further device that is up and has IPv6 at once, without duplicate address detection."""
        self.cards[name] = Card()
        dev = card(self.net, name, self.cards[name])
        dev.mtu = 1500
        dev.dev_addr = bytes((2, 0, 0, 0, 0, len(self.devices)))
        assert register_netdevice(dev) == 0
        self.devices[name] = dev
        dev_open(dev)
        for address in addresses:
            self.address(name, address)
        return dev

    def address(self, name: str, text: str) -> None:
        """An address, with the routes that it brings."""
        host, plen = text.split('/')
        assert inet6_addr_add(self.devices[name], in6_pton(host), int(plen), IFA_F_NODAD) == 0

    def ip(self, command: str) -> int:
        """`ip -6 route COMMAND`: add, append, replace or del; 0 or a negative errno."""
        verb, *words = command.split()
        cfg = parse(words, self.index, verb == 'del')
        cfg.fc_exclusive, cfg.fc_append, cfg.fc_create = verb == 'add', verb == 'append', verb != 'change'
        cfg.fc_replace = verb in ('change', 'replace')
        return ip6_route_del(self.net, cfg) if verb == 'del' else ip6_route_add(self.net, cfg)

    def index(self, name: str) -> int:
        """The number of a device, 999 where there is none."""
        return int(self.devices[name].ifindex) if name in self.devices else 999

    def answer(self, command: str) -> object:
        """What helpers/route6_kernel.py gives for a command, from here."""
        verb, *words = command.split()
        if verb == 'show':
            return self.show(TABLES[words[0]] if words else 254)
        if verb == 'get':
            found = self.out(words[0], words[words.index('oif') + 1] if 'oif' in words else '',
                             words[words.index('from') + 1] if 'from' in words else '::')
            return found if isinstance(found, int) else list(found)
        if verb == 'sysctl':
            return self.net.sysctl.set(*words[1].split('='))
        if words[:1] == ['addr']:
            return self.ip_addr(words[1], words[2], self.devices[words[4]])
        if verb == 'ip':
            return self.link(self.devices[words[2]], words[3:])
        return self.ip(command)

    def ip_addr(self, verb: str, text: str, dev: NetDevice) -> int:
        """`ip addr add ADDR/PLEN dev DEV nodad`, or del."""
        host, plen = text.split('/')
        if verb == 'add':
            return inet6_addr_add(dev, in6_pton(host), int(plen), IFA_F_NODAD)
        return inet6_addr_del(dev, in6_pton(host), int(plen))

    def link(self, dev: NetDevice, words: list[str]) -> int:
        """`ip link set DEV up`, down or mtu N."""
        if words[0] == 'mtu':
            return dev_set_mtu(dev, int(words[1]))
        if words[0] == 'up':
            return dev_open(dev)
        dev_close(dev)
        return 0

    def show(self, table: int = 254) -> list[str]:
        """`ip -6 route show table TABLE`, line by line."""
        return [line.rstrip() for line in fib6_dump(self.net, table).splitlines()]

    def route(self, dst: str, oif: str = '', src: str = '::') -> Rt6Info:
        """The route of a packet from here."""
        return ip6_route_output(self.net, None, self.flow(dst, oif, src))

    def flow(self, dst: str, oif: str = '', src: str = '::') -> Flowi6:
        """The key of such a look-up."""
        fl6 = Flowi6()
        fl6.daddr, fl6.saddr = in6_pton(dst), in6_pton(src)
        fl6.flowi6_oif = self.devices[oif].ifindex if oif else 0
        return fl6

    def out(self, dst: str, oif: str = '', src: str = '::') -> tuple[str, str] | int:
        """(next hop, device), or the errno."""
        rt = self.route(dst, oif, src)
        return int(rt.error) if rt.error != 0 else (in6_ntop(rt6_nexthop(rt, in6_pton(dst))), rt.dev.name)
