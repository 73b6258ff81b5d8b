# SPDX-License-Identifier: Apache-2.0
"""The least that a Python program on TUN devices can do: pass packets from one to another, unread.

    ip netns exec A python tun_forwarder.py B

makes `fwd0` in this namespace (10.77.0.1) and in namespace B (10.77.0.2), with virtio headers and segmentation offload, so
that 64 KB super-segments cross in one read and one write. What the kernel's own TCP reaches through it is the ceiling for a
stack in Python.
"""
from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
from pathlib import Path

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x1, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 1, 2, 4
CLONE_NEWNET = 0x40000000
NAME = 'fwd0'
BATCH = 64


def make(address: str) -> int:
    """A TUN device in the namespace that we are in, up with that address."""
    fd = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', NAME.encode(), IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
    subprocess.run(['ip', 'addr', 'add', address + '/24', 'dev', NAME], check=True)
    subprocess.run(['ip', 'link', 'set', NAME, 'up'], check=True)
    return fd


def enter(namespace: str) -> None:
    """Go over to another network namespace (os.setns is Python 3.12's)."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path('/var/run/netns', namespace).open() as handle:
        if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f'cannot enter {namespace}')


def forward(left: int, right: int) -> None:
    """For ever."""
    read, write = os.read, os.write
    poll = select.poll()
    other = {left: right, right: left}
    for fd in other:
        poll.register(fd, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            to = other[fd]
            try:
                for _ in range(BATCH):
                    packet = read(fd, 65700)
                    try:
                        write(to, packet)
                    except OSError:
                        pass  # lost, as on a wire
            except BlockingIOError:
                pass


if __name__ == '__main__':
    first = make('10.77.0.1')
    enter(sys.argv[1])
    second = make('10.77.0.2')
    print('ready', flush=True)
    forward(first, second)
