# SPDX-License-Identifier: Apache-2.0
"""Run in a network namespace of its own: the machine's kernel sends datagrams of protocol 253, and what leaves is told.

Standard input: a JSON list of [size, hop-by-hop options, destination options (hexadecimal), sizes of corked pieces or null, MTU,
IPV6_MTU_DISCOVER or null]. Standard output: for each, [0 or the negative errno, the packets in hexadecimal]. A datagram of three
bytes after each marks where its packets end, so that nothing is waited for.
"""
from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import socket
import struct
import sys

from ip6_kernel import HERE, IFF_TUN_NO_PI, THERE, TUNSETIFF, ip, ready, sysctl

DATA = bytes(i * 7 % 251 for i in range(70_000))
MARK = b'end'


def send(sock: socket.socket, size: int, hop: str, dst: str, corks: list[int] | None) -> int:
    """One datagram: 0 or the negative errno."""
    headers = [(socket.IPPROTO_IPV6, kind, bytes.fromhex(text)) for kind, text in ((socket.IPV6_HOPOPTS, hop),
                                                                                   (socket.IPV6_DSTOPTS, dst)) if text]
    at = 0
    pieces = corks or [size]
    try:
        for i, piece in enumerate(pieces):
            more = 0x8000 if i < len(pieces) - 1 else 0  # MSG_MORE
            sock.sendmsg([DATA[at:at + piece]], headers if i == 0 else [], more, (THERE, 0))
            at += piece
    except OSError as exc:
        return -(exc.errno or errno.EIO)
    return 0


def packets(fd: int) -> list[str]:
    """What left before the mark."""
    out = []
    while True:
        if not select.select([fd], [], [], 10)[0]:
            raise TimeoutError('the kernel sends nothing')
        data = os.read(fd, 70_000)
        if data[0] >> 4 != 6 or data[24] == 0xFF:
            continue
        if data[40:] == MARK:
            return out
        out.append(data.hex())


def main() -> None:
    fd = os.open('/dev/net/tun', os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', b'tun0', IFF_TUN_NO_PI))
    sysctl('net.ipv6.auto_flowlabels', '0')
    sysctl('net.ipv6.conf.default.router_solicitations', '0')
    ip('addr', 'add', HERE + '/64', 'dev', 'tun0', 'nodad')
    ip('link', 'set', 'tun0', 'up')
    ready(fd)
    mark = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 253)
    answers = []
    for size, hop, dst, corks, mtu, probe in json.load(sys.stdin):
        ip('link', 'set', 'tun0', 'mtu', str(mtu))
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, 253) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            if probe is not None:
                sock.setsockopt(socket.IPPROTO_IPV6, 23, probe)  # IPV6_MTU_DISCOVER
            err = send(sock, size, hop, dst, corks)
        mark.sendto(MARK, (THERE, 0))
        answers.append([err, packets(fd)])
    json.dump(answers, sys.stdout)


if __name__ == '__main__':
    main()
