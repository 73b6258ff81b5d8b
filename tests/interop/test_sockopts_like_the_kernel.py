# SPDX-License-Identifier: Apache-2.0
"""getsockopt() of every number, on five kinds of sockets, asked of this machine's kernel and of Linnet: the same options
exist, with the same sizes, and the others are refused with the same error.

Values differ with a machine's sysctls, so that they are not compared. Options that only the younger one of two kernels knows
do not count against Linnet, whose model is 6.18. What Linnet has not is listed with its reason, and the list is strict.
"""
from __future__ import annotations

import errno
import socket
import sys

import pytest

from helpers.hosts import Alone
from linnet.net import socket as calls

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(sys.platform != 'linux', reason='asks the Linux kernel'),
]

SOL_SOCKET, SOL_IP, SOL_TCP = 1, 0, 6
CC_INFO = (SOL_TCP, 26)  # its size is the congestion control's, of which this machine may prefer another
ASKED = [(SOL_SOCKET, n) for n in range(1, 76)] + [(SOL_TCP, n) for n in range(1, 47)] + [(SOL_IP, n) for n in range(1, 25)]
ASKED.remove(CC_INFO)
KINDS = ('fresh', 'datagram', 'listener', 'client', 'server')
SIZES = (4, 8, 64)

NOT_THERE = {
    (SOL_SOCKET, 31): 'SO_PEERSEC: no security modules',
    (SOL_SOCKET, 34): 'SO_PASSSEC: no security modules',
    (SOL_SOCKET, 43): 'SO_NOFCS: no device takes frames with a checksum of the program',
    (SOL_SOCKET, 48): 'SO_BPF_EXTENSIONS: no BPF',
    (SOL_SOCKET, 59): 'SO_PEERGROUPS: no users',
    (SOL_SOCKET, 61): 'SO_TXTIME: no discipline takes launch times from programs',
    (SOL_TCP, 19): 'TCP_REPAIR: no checkpoint and restore',
    (SOL_TCP, 20): 'TCP_REPAIR_QUEUE',
    (SOL_TCP, 21): 'TCP_QUEUE_SEQ',
    (SOL_TCP, 29): 'TCP_REPAIR_WINDOW',
    (SOL_TCP, 35): 'TCP_ZEROCOPY_RECEIVE: no memory to map',
    (SOL_TCP, 42): 'TCP_AO_REPAIR',
    (SOL_IP, 5): 'IP_ROUTER_ALERT',
    (SOL_IP, 9): 'IP_PKTOPTIONS',
    (SOL_IP, 16): 'IP_IPSEC_POLICY: no IPsec',
    (SOL_IP, 17): 'IP_XFRM_POLICY: no IPsec',
    (SOL_IP, 18): 'IP_PASSSEC: no security modules',
    (SOL_IP, 20): 'IP_RECVORIGDSTADDR: no address translation',
    (SOL_IP, 23): 'IP_CHECKSUM: no sums of what the device summed',
}


def described(answer: bytes | OSError) -> str:
    """An answer without its value."""
    return errno.errorcode[answer.errno or 0] if isinstance(answer, OSError) else f'{len(answer)} bytes'


def of_the_kernel(size: int) -> dict[tuple[str, int, int], str]:
    """What this machine's kernel says."""
    fresh, datagram, listener = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen(5)
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    found = {}
    for kind, sock in zip(KINDS, (fresh, datagram, listener, client, server), strict=True):
        for level, number in ASKED:
            try:
                found[kind, level, number] = described(sock.getsockopt(level, number, size))
            except OSError as exc:
                found[kind, level, number] = described(exc)
        sock.close()
    return found


def of_linnet(size: int) -> dict[tuple[str, int, int], str]:
    """What Linnet says."""
    host = Alone()
    found = {}

    def program() -> None:
        fresh, datagram, listener = host.socket(), host.socket(socket.SOCK_DGRAM), host.server(99, '127.0.0.1')
        client = host.client('127.0.0.1', 99)
        server = host.accept(listener)[0]
        for kind, fd in zip(KINDS, (fresh, datagram, listener, client, server), strict=True):
            for level, number in ASKED:
                try:
                    found[kind, level, number] = described(calls.sys_getsockopt(host.process, fd, level, number, size))
                except OSError as exc:
                    found[kind, level, number] = described(exc)

    host.run(program)
    return found


@pytest.mark.parametrize('size', SIZES)
def test_the_same_options(size: int) -> None:
    kernel, ours = of_the_kernel(size), of_linnet(size)
    differ = {key for key in kernel if kernel[key] != ours[key] and kernel[key] != 'ENOPROTOOPT'}
    assert {key: (kernel[key], ours[key]) for key in differ if key[1:] not in NOT_THERE} == {}


def test_the_list_has_no_idle_entries() -> None:
    ours = of_linnet(4)
    there = {key[1:] for key in ours if key[0] == 'client' and key[1:] in NOT_THERE and ours[key] != 'ENOPROTOOPT'}
    assert there == set()
