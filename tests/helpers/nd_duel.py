# SPDX-License-Identifier: Apache-2.0
"""One script of frames and settings, run on the machine's own kernel (a TAP device in a network namespace) and on Linnet, and
what each sends: a list of lines in which times, checksums and nonces are left out.

A script gets a Side: it sets sysctls, adds addresses, sends ICMPv6 messages and lets time pass.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import time
from collections.abc import Callable

from helpers.nd_bench import MY_MAC, PEER_MAC, Bench6
from helpers.neigh_bench import Port
from linnet.include.linux.in6 import in6_bytes, in6_ntop, in6_pton, in6_read
from linnet.include.linux.ipv6 import ipv6_hdr_build
from linnet.include.net.checksum import csum_partial
from linnet.include.net.ipv6 import csum_ipv6_magic
from linnet.net.core.dev import dev_close, dev_open, netif_carrier_off, netif_carrier_on
from linnet.net.core.neighbour import neigh_dump
from linnet.net.ipv6.addrconf import inet6_addr_add, inet6_addr_del
from linnet.net.ipv6.addrconf_show import inet6_dump
from linnet.net.ipv6.mcast import igmp6_mc_dump
from linnet.net.ipv6.ndisc import pneigh_add
from linnet.net.ipv6.route import fib6_dump

DEVICE = 'nd0'
TUNSETIFF, TUNSETCARRIER = 0x400454CA, 0x400454E2
NAMES = {128: 'ECHO', 129: 'REPLY', 130: 'QUERY', 131: 'REPORT1', 132: 'DONE', 133: 'RS', 134: 'RA', 135: 'NS', 136: 'NA',
         137: 'REDIRECT', 143: 'REPORT2', 1: 'UNREACH'}
RECORDS = {1: 'IS_IN', 2: 'IS_EX', 3: 'TO_IN', 4: 'TO_EX'}


def packet(body: bytes, src: str, dst: str, hop: int = 255) -> bytes:
    """A whole IPv6 packet of an ICMPv6 message; MLD has its router alert."""
    saddr, daddr = in6_pton(src), in6_pton(dst)
    check = csum_ipv6_magic(saddr, daddr, len(body), 58, csum_partial(body, 0))
    alert = bytes([58, 0, 5, 2, 0, 0, 1, 0]) if 130 <= body[0] <= 132 else b''
    return (ipv6_hdr_build(0, 0, len(alert) + len(body), 0 if alert else 58, hop, saddr, daddr) + alert
            + body[:2] + check.to_bytes(2, 'big') + body[4:])


def line(frame: bytes) -> str:
    """What a frame says; '' if it is none of ICMPv6."""
    if frame[12:14] != b'\x86\xdd':
        return ''
    at = 54
    alert = ''
    nexthdr = frame[20]
    if nexthdr == 0:
        alert = ' alert' if frame[56:58] == b'\5\2' else ' hbh'
        nexthdr = frame[54]
        at += (frame[55] + 1) * 8
    if nexthdr != 58:
        return ''
    body = frame[at:]
    src, dst = in6_ntop(in6_read(frame, 22)), in6_ntop(in6_read(frame, 38))
    out = f'{NAMES.get(body[0], str(body[0]))} {src} > {dst} mac {frame[:6].hex(":")} hop {frame[21]}{alert}'
    if body[0] == 143:
        count = int.from_bytes(body[6:8], 'big')
        words = sorted(f'{RECORDS[body[8 + 20 * i]]} {in6_ntop(in6_read(body, 12 + 20 * i))}' for i in range(count))
        return out + ' ' + ', '.join(words)
    if body[0] in (130, 131, 132):
        return out + ' ' + in6_ntop(in6_read(body, 8))
    options = 24
    if body[0] in (135, 136):
        out += f' flags {body[4]:02x} target {in6_ntop(in6_read(body, 8))}'
    elif body[0] == 133:
        options = 8
    elif body[0] == 137:
        out += f' target {in6_ntop(in6_read(body, 8))} for {in6_ntop(in6_read(body, 24))}'
        options = 40
    else:
        return out + f' code {body[1]}'
    while options + 2 <= len(body):
        kind, length = body[options], body[options + 1] * 8
        data = body[options + 2:options + length].hex()
        out += f' opt {kind} {"nonce" if kind == 14 else len(data) if kind == 4 else data}'
        options += length
    return out


class Side:
    """One end of the duel; what it sent stands in lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def icmp(self, body: bytes, src: str, dst: str, mac: bytes = PEER_MAC, hop: int = 255) -> None:
        """An ICMPv6 message comes in."""
        daddr = in6_pton(dst)
        dst_mac = b'\x33\x33' + in6_bytes(daddr)[12:] if dst.startswith('ff') else MY_MAC
        self.inject(dst_mac + mac + b'\x86\xdd' + packet(body, src, dst, hop))

    def ns(self, target: str, src: str, dst: str = '', options: bytes = b'', mac: bytes = PEER_MAC) -> None:
        """A neighbour solicitation comes in."""
        to = dst or in6_ntop(0xFF02 << 112 | 0x1FF000000 | in6_pton(target) & 0xFFFFFF)
        self.icmp(bytes([135, 0, 0, 0, 0, 0, 0, 0]) + in6_bytes(in6_pton(target)) + options, src, to, mac)

    def na(self, target: str, src: str, dst: str, flags: int = 0x60, options: bytes = b'', mac: bytes = PEER_MAC) -> None:
        """A neighbour advertisement comes in."""
        self.icmp(bytes([136, 0, 0, 0, flags, 0, 0, 0]) + in6_bytes(in6_pton(target)) + options, src, dst, mac)

    def ra(self, src: str, *options: bytes, lifetime: int = 1800, hop: int = 0, flags: int = 0, mac: bytes = PEER_MAC) -> None:
        """A router advertisement comes in."""
        self.icmp(bytes([134, 0, 0, 0, hop, flags]) + lifetime.to_bytes(2, 'big') + bytes(8) + b''.join(options), src, 'ff02::1',
                  mac)

    def query(self, group: str = '::', ms: int = 100, version: int = 2, src: str = 'fe80::1') -> None:
        """A query of MLD comes in."""
        body = bytes([130, 0, 0, 0]) + ms.to_bytes(2, 'big') + bytes(2) + in6_bytes(in6_pton(group))
        if version == 2:
            body += bytes([2, 125, 0, 0])
        self.icmp(body, src, 'ff02::1' if group == '::' else group, hop=1)

    def note(self, what: str, text: str) -> None:
        """Keep some state's lines."""
        self.lines += [f'{what}: {one}' for one in text.splitlines()]

    def inject(self, frame: bytes) -> None:
        """A frame comes in."""
        raise NotImplementedError

    def run(self, seconds: float) -> None:
        """Time passes."""
        raise NotImplementedError

    def set(self, name: str, value: int) -> None:
        """net.ipv6.NAME; 'DEV' in it stands for the device."""
        raise NotImplementedError

    def up(self) -> None:
        """`ip link set DEV up`."""
        raise NotImplementedError

    def down(self) -> None:
        """`ip link set DEV down`."""
        raise NotImplementedError

    def add(self, addr: str, plen: int = 64, options: str = '') -> None:
        """`ip -6 addr add`."""
        raise NotImplementedError

    def delete(self, addr: str, plen: int = 64) -> None:
        """`ip -6 addr del`."""
        raise NotImplementedError

    def carrier(self, on: bool) -> None:
        """The link is there, or not."""
        raise NotImplementedError

    def proxy(self, addr: str) -> None:
        """`ip -6 neigh add proxy ADDR dev DEV`."""
        raise NotImplementedError

    def neighbours(self) -> None:
        """Note `ip -6 neigh`, of the device."""
        raise NotImplementedError

    def addresses(self) -> None:
        """Note the inet6 lines of `ip -6 addr show dev DEV`, lifetimes apart."""
        raise NotImplementedError

    def routes(self, table: str = 'main') -> None:
        """Note `ip -6 route show`."""
        raise NotImplementedError

    def groups(self) -> None:
        """Note the groups of the device."""
        raise NotImplementedError


class Kernel(Side):
    """The kernel of this machine."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.ns_name = name
        subprocess.run(['ip', 'netns', 'add', name], check=True)
        self.fd = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack('16sH', name.encode(), 2 | 0x1000))
        subprocess.run(['ip', 'link', 'set', name, 'netns', name, 'name', DEVICE], check=True)
        self.sh('ip link set lo up')
        self.sh(f'ip link set {DEVICE} address {MY_MAC.hex(":")}')

    def close(self) -> None:
        os.close(self.fd)
        subprocess.run(['ip', 'netns', 'del', self.ns_name], check=True)

    def sh(self, command: str) -> str:
        done = subprocess.run(['ip', 'netns', 'exec', self.ns_name, *command.split()], capture_output=True, text=True)
        assert done.returncode == 0, f'{command}: {done.stderr}'
        return done.stdout

    def inject(self, frame: bytes) -> None:
        os.write(self.fd, frame)

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0:
                return
            if select.select([self.fd], [], [], left)[0]:
                text = line(os.read(self.fd, 65536))
                if text:
                    self.lines.append(text)

    def set(self, name: str, value: int) -> None:
        self.sh(f'sysctl -qw net.ipv6.{name.replace("DEV", DEVICE)}={value}')

    def up(self) -> None:
        self.sh(f'ip link set {DEVICE} up')

    def down(self) -> None:
        self.sh(f'ip link set {DEVICE} down')

    def add(self, addr: str, plen: int = 64, options: str = '') -> None:
        self.sh(f'ip -6 addr add {addr}/{plen} dev {DEVICE} {options}')

    def delete(self, addr: str, plen: int = 64) -> None:
        self.sh(f'ip -6 addr del {addr}/{plen} dev {DEVICE}')

    def carrier(self, on: bool) -> None:
        fcntl.ioctl(self.fd, TUNSETCARRIER, struct.pack('i', on))

    def proxy(self, addr: str) -> None:
        self.sh(f'ip -6 neigh add proxy {addr} dev {DEVICE}')

    def neighbours(self) -> None:
        shown = self.sh(f'ip -6 neigh show dev {DEVICE}').splitlines()
        self.note('neigh', '\n'.join(sorted(' '.join(one.split()) for one in shown)))

    def addresses(self) -> None:
        shown = self.sh(f'ip -6 addr show dev {DEVICE}').splitlines()
        self.note('addr', '\n'.join(one.strip() for one in shown if 'inet6' in one))

    def routes(self, table: str = 'main') -> None:
        self.note('route', seconds_apart(self.sh(f'ip -6 route show table {table} dev {DEVICE}')))

    def groups(self) -> None:
        shown = self.sh(f'ip -6 maddr show dev {DEVICE}').splitlines()
        self.note('group', '\n'.join(sorted(one.split()[1] for one in shown if 'inet6' in one)))


class Linnet(Side):
    """The stack."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench6.__new__(Bench6)
        self.bench.prepare(DEVICE)

    def inject(self, frame: bytes) -> None:
        self.bench.frame(frame)

    def run(self, seconds: float) -> None:
        self.bench.run(seconds)
        port = self.bench.dev.netdev_ops
        assert isinstance(port, Port)
        self.lines += [text for text in (line(frame) for _, frame in port.sent) if text]
        port.sent.clear()

    def set(self, name: str, value: int) -> None:
        assert self.bench.net.sysctl.set('net.ipv6.' + name.replace('DEV', DEVICE), str(value)) == 0

    def up(self) -> None:
        assert dev_open(self.bench.dev) == 0

    def down(self) -> None:
        dev_close(self.bench.dev)

    def add(self, addr: str, plen: int = 64, options: str = '') -> None:
        words = options.split()
        flags = (2 if 'nodad' in words else 0) | (0x200 if 'noprefixroute' in words else 0)
        lft = {words[i]: int(words[i + 1]) for i in range(len(words) - 1) if words[i].endswith('_lft')}
        forever = 0xFFFFFFFF
        assert inet6_addr_add(self.bench.dev, in6_pton(addr), plen, flags, lft.get('valid_lft', forever),
                              lft.get('preferred_lft', forever)) == 0

    def delete(self, addr: str, plen: int = 64) -> None:
        assert inet6_addr_del(self.bench.dev, in6_pton(addr), plen) == 0

    def carrier(self, on: bool) -> None:
        if on:
            netif_carrier_on(self.bench.dev)
        else:
            netif_carrier_off(self.bench.dev)

    def proxy(self, addr: str) -> None:
        assert pneigh_add(self.bench.dev, in6_pton(addr)) == 0

    def neighbours(self) -> None:
        tbl = self.bench.net.ipv6.nd_tbl
        assert tbl is not None
        lines = [one.replace(f' dev {DEVICE}', '') for one in neigh_dump(tbl).splitlines() if f' dev {DEVICE}' in one]
        self.note('neigh', '\n'.join(sorted(' '.join(one.split()) for one in lines)))

    def addresses(self) -> None:
        text = inet6_dump(self.bench.net, self.bench.dev)
        self.note('addr', '\n'.join(one.strip() for one in text.splitlines() if 'inet6' in one))

    def routes(self, table: str = 'main') -> None:
        text = fib6_dump(self.bench.net, 254 if table == 'main' else 255)
        lines = [one.replace(f' dev {DEVICE}', '') for one in text.splitlines() if f' dev {DEVICE}' in one]
        self.note('route', seconds_apart('\n'.join(lines)))

    def groups(self) -> None:
        text = igmp6_mc_dump(self.bench.net)
        rows = [one.split() for one in text.splitlines()]
        self.note('group', '\n'.join(sorted(in6_ntop(int(row[2], 16)) for row in rows if row[1] == DEVICE)))


def seconds_apart(text: str) -> str:
    """Routes without what is left of their time."""
    out = []
    for one in text.splitlines():
        words = one.split()
        for i, word in enumerate(words):
            if word == 'expires' and i + 1 < len(words):
                words[i + 1] = 'SECONDS'
        out.append(' '.join(words))
    return '\n'.join(out)


def duel(script: Callable[[Side], None], name: str) -> tuple[list[str], list[str]]:
    """What the kernel and what Linnet sent and noted."""
    kernel = Kernel(name)
    try:
        script(kernel)
    finally:
        kernel.close()
    ours = Linnet()
    script(ours)
    return kernel.lines, ours.lines
