# SPDX-License-Identifier: Apache-2.0
"""The kernel's own IPv6 routes by rtnetlink: run in a network namespace, it does what the commands of helpers/route6.py say.

A line of JSON in is a list of commands, a line of JSON out the list of their answers: 0 or a negative errno of a change; of a
look-up ('get DST [from SRC] [oif DEV]') the errno or [next hop, device]; of 'show' the lines of `ip -6 route`.

`python -m helpers.route6_kernel record` (in tests/, as root) asks the kernel of this machine for the answers of
tests/unit/net/ipv6/route6.txt and writes them there.
"""
from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

from helpers.netns import Namespace, environment
from helpers.route6 import parse, read_scripts, write_scripts
from linnet.include.linux.in6 import in6_bytes, in6_ntop, in6_pton
from linnet.include.net.ip6_fib import Fib6Config

RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
REQUEST, ACK, REPLACE, EXCL, CREATE, APPEND = 1, 4, 0x100, 0x200, 0x400, 0x800
FLAGS = {'add': CREATE | EXCL, 'append': CREATE | APPEND, 'replace': CREATE | REPLACE, 'change': REPLACE, 'del': 0}
RTA_DST, RTA_SRC, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_METRICS, RTA_MULTIPATH = 1, 2, 4, 5, 6, 7, 8, 9
RTA_TABLE, RTA_PREF, RTA_EXPIRES = 15, 20, 23
ONLINK = 4


def attr(kind: int, data: bytes) -> bytes:
    """One attribute."""
    return struct.pack('=HH', 4 + len(data), kind) + data + bytes(-len(data) % 4)


def u32(kind: int, value: int) -> bytes:
    """One attribute of a number."""
    return attr(kind, struct.pack('=I', value))


def route_message(cfg: Fib6Config) -> bytes:
    """struct rtmsg and attributes of a route."""
    flags = ONLINK if cfg.fc_onlink else 0
    table = int(cfg.fc_table)
    out = struct.pack('=BBBBBBBBI', socket.AF_INET6, int(cfg.fc_dst_len), 0, 0, table if table < 256 else 0, int(cfg.fc_protocol),
                      0, int(cfg.fc_type), flags)
    out += u32(RTA_TABLE, table)
    if cfg.fc_dst_len:
        out += attr(RTA_DST, in6_bytes(cfg.fc_dst))
    if cfg.fc_ifindex:
        out += u32(RTA_OIF, int(cfg.fc_ifindex))
    if cfg.fc_gateway:
        out += attr(RTA_GATEWAY, in6_bytes(cfg.fc_gateway))
    if cfg.fc_metric:
        out += u32(RTA_PRIORITY, int(cfg.fc_metric))
    if cfg.fc_prefsrc:
        out += attr(RTA_PREFSRC, in6_bytes(cfg.fc_prefsrc))
    if cfg.fc_mx:
        out += attr(RTA_METRICS, b''.join(u32(key, value) for key, value in cfg.fc_mx.items()))
    if cfg.fc_pref:
        out += attr(RTA_PREF, bytes((int(cfg.fc_pref),)))
    if cfg.fc_expires:
        out += u32(RTA_EXPIRES, int(cfg.fc_expires))
    hops = b''
    for hop in cfg.fc_nexthops:
        inner = attr(RTA_GATEWAY, in6_bytes(hop.fc_gateway)) if hop.fc_gateway else b''
        hops += struct.pack('=HBBi', 8 + len(inner), ONLINK if hop.fc_onlink else 0, int(hop.fc_weight) - 1, int(hop.fc_ifindex))
        hops += inner
    return out + (attr(RTA_MULTIPATH, hops) if hops else b'')


class Netlink:
    """A socket of NETLINK_ROUTE."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.sequence = 0

    def ask(self, kind: int, flags: int, body: bytes) -> tuple[int, bytes]:
        """(0 or a negative errno, the answer's body)."""
        self.sequence += 1
        self.sock.send(struct.pack('=IHHII', 16 + len(body), kind, REQUEST | flags, self.sequence, 0) + body)
        data = self.sock.recv(65536)
        size, answer = struct.unpack_from('=IH', data)
        if answer == 2:  # NLMSG_ERROR
            return struct.unpack_from('=i', data, 16)[0], b''
        return 0, data[16:size]

    def change(self, verb: str, cfg: Fib6Config) -> int:
        """A route comes or goes."""
        kind = RTM_DELROUTE if verb == 'del' else RTM_NEWROUTE
        return self.ask(kind, ACK | FLAGS[verb], route_message(cfg))[0]

    def get(self, words: list[str]) -> int | list[str]:
        """A look-up."""
        dst = in6_pton(words[0])
        body = struct.pack('=BBBBBBBBI', socket.AF_INET6, 128, 128 if 'from' in words else 0, 0, 0, 0, 0, 0, 0)
        body += attr(RTA_DST, in6_bytes(dst))
        if 'from' in words:
            body += attr(RTA_SRC, in6_bytes(in6_pton(words[words.index('from') + 1])))
        if 'oif' in words:
            body += u32(RTA_OIF, socket.if_nametoindex(words[words.index('oif') + 1]))
        err, answer = self.ask(RTM_GETROUTE, 0, body)
        if err:
            return err
        at, hop, dev = 12, in6_ntop(dst), ''
        while at + 4 <= len(answer):
            size, kind = struct.unpack_from('=HH', answer, at)
            if kind == RTA_GATEWAY:
                hop = in6_ntop(int.from_bytes(answer[at + 4:at + 20], 'big'))
            elif kind == RTA_OIF:
                dev = socket.if_indextoname(struct.unpack_from('=I', answer, at + 4)[0])
            at += (size + 3) & ~3
        return [hop, dev]


def shown(words: list[str]) -> list[str]:
    """The lines of `ip -6 route show`, without what counts down."""
    table = words[0] if words else 'main'
    text = subprocess.run(['ip', '-6', 'route', 'show', 'table', table], capture_output=True, text=True).stdout
    return [line.rstrip() for line in text.splitlines()]


def answer(netlink: Netlink, command: str) -> object:
    """What the kernel says to one command."""
    verb, *words = command.split()
    if verb == 'get':
        return netlink.get(words)
    if verb == 'show':
        return shown(words)
    if verb not in FLAGS:
        done = subprocess.run(command.split(), capture_output=True, text=True)
        if words[-1] == 'up':
            while Path(f'/sys/class/net/{words[2]}/operstate').read_text() != 'up\n':  # it looks at the link a little later
                os.sched_yield()
        return done.returncode
    return netlink.change(verb, parse(words, lambda name: socket.if_nametoindex(name) if name[0] in 'dl' else 999, verb == 'del'))


def on_the_kernel(commands: list[str]) -> list[object]:
    """The answers to commands in a namespace of their own, made as helpers/route6.py makes its host."""
    with Namespace() as host, Namespace() as other:
        host.run(['sysctl', '-qw', 'net.ipv6.conf.default.accept_dad=0'])
        for number in (0, 1):
            dev, peer = f'd{number}', f'p{number}'
            host.run(['ip', 'link', 'add', dev, 'address', f'02:00:00:00:00:0{number + 1}', 'type', 'veth', 'peer', 'name', peer])
            host.run(['ip', 'link', 'set', peer, 'netns', other.name])
            other.run(['ip', 'link', 'set', peer, 'up'])
            host.run(['ip', 'link', 'set', dev, 'up'])
            host.run(['ip', 'addr', 'add', f'2001:db8:{number + 1}::1/64', 'dev', dev, 'nodad'])
        done = subprocess.run(['ip', 'netns', 'exec', host.name, sys.executable, '-m', 'helpers.route6_kernel'],
                              input=json.dumps(commands) + '\n', capture_output=True, text=True, check=True, env=environment(),
                              cwd=Path(__file__).parents[1])
        answers: list[object] = json.loads(done.stdout)
        return answers


def main() -> None:
    """Answer the lines of standard input, or record."""
    if sys.argv[1:] == ['record']:
        path = Path(__file__).parents[1] / 'unit/net/ipv6/route6.txt'
        write_scripts(path, [(title, [(command, answer) for (command, _), answer in
                                      zip(steps, on_the_kernel([command for command, _ in steps]), strict=True)])
                             for title, steps in read_scripts(path)])
        return
    netlink = Netlink()
    for line in sys.stdin:
        print(json.dumps([answer(netlink, command) for command in json.loads(line)]), flush=True)


if __name__ == '__main__':
    main()
