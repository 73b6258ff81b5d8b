# SPDX-License-Identifier: Apache-2.0
"""Run in a network namespace of its own: the machine's kernel is given IPv6 packets, and tells what it did with each.

Standard input: a JSON list of runs, each a list of packets in hexadecimal. Standard output: for each packet of each run, what
protocol 253 received, the ICMPv6 errors and what was counted, as ["got", hex], ["error", type, code, info] and [counter, n]. An
echo request after each packet marks where its consequences end, so that nothing is waited for. Each run has a device of its own.
"""
from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys

HERE, THERE = '2001:db8:1::1', '2001:db8:1::2'
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001


def ip(*words: str) -> None:
    subprocess.run(['ip', *words], check=True)


def sysctl(name: str, value: str) -> None:
    with open('/proc/sys/' + name.replace('.', '/'), 'w') as f:
        f.write(value)


def checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def echo(seq: int) -> bytes:
    """A question whose answer marks an end."""
    src, dst = socket.inet_pton(socket.AF_INET6, THERE), socket.inet_pton(socket.AF_INET6, HERE)
    body = struct.pack('!BBHHH', 128, 0, 0, 0x4C4E, seq & 0xFFFF)
    check = checksum(src + dst + struct.pack('!II', 8, 58) + body)
    return struct.pack('!IHBB', 6 << 28, 8, 58, 64) + src + dst + body[:2] + struct.pack('!H', check) + body[4:]


def ready(fd: int) -> None:
    """Ask until the kernel answers: a device that is up may not have its routes yet."""
    for _ in range(100):
        os.write(fd, echo(0xFFFF))
        while select.select([fd], [], [], 0.1)[0]:
            data = os.read(fd, 70000)
            if data[0] >> 4 == 6 and data[6] == 58 and data[40] == 129:
                return
    raise TimeoutError('the kernel does not answer')


def consequences(fd: int, raw: socket.socket, seq: int) -> list[list[object]]:
    """What happened before the answer to echo request `seq`."""
    out: list[list[object]] = []
    while True:
        ready, _, _ = select.select([fd, raw], [], [], 10)
        if not ready:
            raise TimeoutError('the kernel does not answer')
        if raw in ready:
            out.append(['got', raw.recv(70000).hex()])
            continue
        data = os.read(fd, 70000)
        if data[0] >> 4 != 6 or data[6] != 58:
            continue
        if data[40] == 129 and data[44:48] == struct.pack('!HH', 0x4C4E, seq & 0xFFFF):
            return out
        if data[40] < 128:
            out.append(['error', data[40], data[41], int.from_bytes(data[44:48], 'big')])


def run(number: int, packets: list[str], raw: socket.socket) -> list[list[list[object]]]:
    """One run, on a device of its own."""
    name = f'tun{number}'
    fd = os.open('/dev/net/tun', os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', name.encode(), IFF_TUN_NO_PI))
    ip('addr', 'add', HERE + '/64', 'dev', name, 'nodad')
    ip('link', 'set', name, 'up')
    ready(fd)
    answers = []
    for i, packet in enumerate(packets):
        seq = number * 64 + i
        before = counters()
        os.write(fd, bytes.fromhex(packet))
        os.write(fd, echo(seq))
        answer = consequences(fd, raw, seq)
        answers.append(answer + [[name, n - old] for name, n, old in zip(COUNTERS, counters(), before, strict=True) if n != old])
    os.close(fd)
    return answers


COUNTERS = ('InHdrErrors', 'InTooBigErrors', 'InNoRoutes', 'InAddrErrors', 'InUnknownProtos', 'InTruncatedPkts', 'InDiscards',
            'ReasmReqds', 'ReasmOKs', 'ReasmFails', 'InMcastPkts', 'InECT1Pkts', 'InECT0Pkts', 'InCEPkts', 'OutForwDatagrams',
            'FragFails')


def counters() -> list[int]:
    """Those of /proc/net/snmp6 that the echo requests do not count in."""
    with open('/proc/net/snmp6') as f:
        values = dict(line.split() for line in f)
    return [int(values['Ip6' + name]) for name in COUNTERS]


def main() -> None:
    ip('link', 'set', 'lo', 'up')
    sysctl('net.ipv6.icmp.ratelimit', '0')
    sysctl('net.ipv6.conf.default.router_solicitations', '0')
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 253)
    raw.setblocking(False)
    runs = json.load(sys.stdin)
    json.dump([run(i, packets, raw) for i, packets in enumerate(runs)], sys.stdout)


if __name__ == '__main__':
    main()
