# SPDX-License-Identifier: Apache-2.0
"""Run in a network namespace of its own: the machine's kernel forwards IPv6 packets between two devices, and tells what it did.

Standard input: [MTU of the second device, a list of packets in hexadecimal]. Standard output: for each packet the ICMPv6 errors
that came back, what left by the second device, and what was counted, as ["error", type, code, info], ["out", hex] and
[counter, n].
"""
from __future__ import annotations

import fcntl
import json
import os
import select
import struct
import subprocess
import sys

from ip6_kernel import COUNTERS, HERE, IFF_TUN_NO_PI, TUNSETIFF, counters, echo, ip, ready, sysctl

FAR = '2001:db8:2::2'


def tun(name: str, address: str) -> int:
    """A device that is up; its descriptor."""
    fd = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', name.encode(), IFF_TUN_NO_PI))
    ip('addr', 'add', address + '/64', 'dev', name, 'nodad')
    ip('link', 'set', name, 'up')
    return fd


def frames(fd: int) -> list[bytes]:
    """What is there to read."""
    out = []
    while select.select([fd], [], [], 0)[0]:
        out.append(os.read(fd, 70_000))
    return [data for data in out if data[0] >> 4 == 6]


def consequences(first: int, second: int, seq: int) -> list[list[object]]:
    """What happened before the answer to echo request `seq`."""
    out: list[list[object]] = []
    while True:
        if not select.select([first], [], [], 10)[0]:
            raise TimeoutError('the kernel does not answer')
        for data in frames(first):
            if data[6] == 58 and data[40] == 129 and data[44:48] == struct.pack('!HH', 0x4C4E, seq):
                # what was forwarded left before the answer was sent
                return out + [['out', sent.hex()] for sent in frames(second) if sent[8] == 0x20 and sent[24] != 0xFF]
            if data[6] == 58 and data[40] < 128:
                out.append(['error', data[40], data[41], int.from_bytes(data[44:48], 'big')])


def main() -> None:
    sysctl('net.ipv6.icmp.ratelimit', '0')
    sysctl('net.ipv6.conf.default.router_solicitations', '0')
    sysctl('net.ipv6.conf.all.forwarding', '1')
    mtu, packets = json.load(sys.stdin)
    first, second = tun('tun0', HERE), tun('tun1', '2001:db8:2::1')
    ip('link', 'set', 'tun1', 'mtu', str(mtu))
    ready(first)
    for _ in range(500):  # until its route is there
        if 'dev tun1' in subprocess.run(['ip', '-6', 'route', 'get', FAR], capture_output=True, text=True).stdout:
            break
    answers = []
    for seq, packet in enumerate(packets):
        before = counters()
        os.write(first, bytes.fromhex(packet))
        os.write(first, echo(seq))
        answer = consequences(first, second, seq)
        answers.append(answer + [[name, n - old] for name, n, old in zip(COUNTERS, counters(), before, strict=True) if n != old])
    json.dump(answers, sys.stdout)


if __name__ == '__main__':
    main()
