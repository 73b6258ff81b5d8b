# SPDX-License-Identifier: Apache-2.0
"""getsockopt() of every number, on five kinds of sockets, asked of this machine's kernel and of Linnet: the same options
exist, with the same sizes, and the others are refused with the same error. Of sockets of AF_INET6, raw ones too, the options of
IPv6 are also set, to good and bad values of every size, and what is read then is compared.

Values differ with a machine's sysctls, so that they are not compared. Options that only the younger one of two kernels knows
do not count against Linnet, whose model is 6.18. What Linnet has not is listed with its reason, and the list is strict.
"""
from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable

import pytest

from helpers.hosts import Alone
from linnet.net import socket as calls

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(sys.platform != 'linux', reason='asks the Linux kernel'),
]

SOL_SOCKET, SOL_IP, SOL_TCP, SOL_IPV6 = 1, 0, 6, 41
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


# -- sockets of AF_INET6

LOOPBACK = '::1'
KINDS6 = ('fresh', 'datagram', 'raw', 'connected', 'listener', 'client', 'server')
OF_IPV6 = [(SOL_IPV6, n) for n in range(1, 90)]
VALUES = [
    b'', b'\1', b'\0\0',
    *[struct.pack('<i', n) for n in (-2, -1, 0, 1, 2, 3, 5, 6, 63, 255, 256, 1279, 1280, 65535, 65536, 1 << 24)],
    struct.pack('<q', 1), *[bytes(n) for n in (8, 12, 16, 20, 32, 136)],
]
IPV6_MULTICAST_IF = 17  # which devices there are is a machine's own: all have the first
NOT_THERE6 = {
    (SOL_IPV6, 6): 'IPV6_2292PKTOPTIONS: control messages of a stream, which RFC 3542 took out',
    (SOL_IPV6, 22): 'IPV6_ROUTER_ALERT: no daemon that routes groups',
    (SOL_IPV6, 27): 'IPV6_JOIN_ANYCAST: only routers have anycast addresses',
    (SOL_IPV6, 28): 'IPV6_LEAVE_ANYCAST',
    (SOL_IPV6, 30): 'IPV6_ROUTER_ALERT_ISOLATE',
    (SOL_IPV6, 32): 'IPV6_FLOWLABEL_MGR: no labels are lent',
    (SOL_IPV6, 34): 'IPV6_IPSEC_POLICY: no IPsec',
    (SOL_IPV6, 35): 'IPV6_XFRM_POLICY: no IPsec',
    (SOL_IPV6, 43): 'MCAST_BLOCK_SOURCE: no filters by source',
    (SOL_IPV6, 44): 'MCAST_UNBLOCK_SOURCE',
    (SOL_IPV6, 46): 'MCAST_JOIN_SOURCE_GROUP',
    (SOL_IPV6, 47): 'MCAST_LEAVE_SOURCE_GROUP',
    (SOL_IPV6, 48): 'MCAST_MSFILTER',
    (SOL_IPV6, 64): 'IP6T_SO_GET_INFO: no ip6tables',
    (SOL_IPV6, 65): 'IP6T_SO_GET_ENTRIES',
    (SOL_IPV6, 68): 'IP6T_SO_GET_REVISION_MATCH',
    (SOL_IPV6, 69): 'IP6T_SO_GET_REVISION_TARGET',
    (SOL_IPV6, 80): 'IP6T_SO_ORIGINAL_DST: no address translation',
    **NOT_THERE,
}


def answer(ask: Callable[[], bytes | None]) -> str:
    """What a call gives, or its error."""
    try:
        given = ask()
    except OSError as exc:
        return errno.errorcode[exc.errno or 0]
    return 'ok' if given is None else given.hex()


class Kernel6:
    """Sockets of the kernel."""

    def open(self, type: int, protocol: int = 0) -> socket.socket:
        """socket(2)."""
        return socket.socket(socket.AF_INET6, type, protocol)

    def all_kinds(self) -> list[socket.socket]:
        """One of each of KINDS6."""
        fresh, datagram, raw = self.open(1), self.open(2), self.open(3, 99)
        connected, listener = self.open(2), self.open(1)
        connected.connect((LOOPBACK, 9))
        listener.bind((LOOPBACK, 0))
        listener.listen(5)
        client = socket.create_connection(listener.getsockname()[:2])
        return [fresh, datagram, raw, connected, listener, client, listener.accept()[0]]

    def get(self, sock: socket.socket, level: int, number: int, size: int) -> str:
        """getsockopt(2)."""
        return answer(lambda: sock.getsockopt(level, number, size))

    def set(self, sock: socket.socket, level: int, number: int, value: bytes) -> str:
        """setsockopt(2)."""
        return answer(lambda: sock.setsockopt(level, number, value))

    def close(self, sock: socket.socket) -> None:
        """close(2)."""
        sock.close()


class Linnet6:
    """The same of Linnet; descriptors are what it hands out."""

    def __init__(self) -> None:
        self.host = Alone()
        self.process = self.host.process

    def open(self, type: int, protocol: int = 0) -> int:
        """socket(2)."""
        return self.host.socket(type, protocol, socket.AF_INET6)

    def all_kinds(self) -> list[int]:
        """One of each of KINDS6."""
        fresh, datagram, raw, connected = self.open(1), self.open(2), self.open(3, 99), self.open(2)
        self.host.connect(connected, LOOPBACK, 9)
        listener = self.host.server(99, LOOPBACK)
        client = self.host.client(LOOPBACK, 99)
        return [fresh, datagram, raw, connected, listener, client, self.host.accept(listener)[0]]

    def get(self, fd: int, level: int, number: int, size: int) -> str:
        """getsockopt(2)."""
        return answer(lambda: calls.sys_getsockopt(self.process, fd, level, number, size))

    def set(self, fd: int, level: int, number: int, value: bytes) -> str:
        """setsockopt(2)."""
        return answer(lambda: calls.sys_setsockopt(self.process, fd, level, number, value))

    def close(self, fd: int) -> None:
        """close(2)."""
        calls.sys_close(self.process, fd)


Notes6 = dict[tuple[str, int, int, str], str]


def read6(side: Kernel6 | Linnet6) -> Notes6:
    """Every option of every kind, in some sizes: values of IPv6's, of others the size or the error."""
    notes: Notes6 = {}
    for kind, sock in zip(KINDS6, side.all_kinds(), strict=True):
        for level, number in ASKED + OF_IPV6:
            for size in (1, 2, *SIZES):
                found = side.get(sock, level, number, size)  # type: ignore[arg-type]
                notes[kind, level, number, str(size)] = found if level == SOL_IPV6 or found.isupper() else str(len(found) // 2)
        side.close(sock)  # type: ignore[arg-type]
    return notes


def written6(side: Kernel6 | Linnet6) -> Notes6:
    """Every option of IPv6 set to every value, each on a socket of its own; what is read then."""
    notes: Notes6 = {}
    for kind, type, protocol in (('fresh', 1, 0), ('datagram', 2, 0), ('raw', 3, 99)):
        for level, number in OF_IPV6:
            if (level, number) not in NOT_THERE6:
                for value in VALUES:
                    if number == IPV6_MULTICAST_IF and value[:1] > b'\1':
                        continue
                    sock = side.open(type, protocol)
                    done = side.set(sock, level, number, value)  # type: ignore[arg-type]
                    notes[kind, level, number, value.hex()] = f'{done} {side.get(sock, level, number, 64)}'  # type: ignore[arg-type]
                    side.close(sock)  # type: ignore[arg-type]
    return notes


@pytest.mark.skipif(os.geteuid() != 0 or not socket.has_ipv6, reason='raw sockets ask for privilege')
@pytest.mark.parametrize('what', [read6, written6])
def test_the_same_options_of_ipv6(what: Callable[[Kernel6 | Linnet6], Notes6]) -> None:
    theirs = what(Kernel6())
    ours: Notes6 = {}
    side = Linnet6()
    side.host.run(lambda: ours.update(what(side)))
    differ = {
        key: (theirs[key], ours[key]) for key in theirs
        if theirs[key] != ours[key] and key[1:3] not in NOT_THERE6 and theirs[key] != 'ENOPROTOOPT'
    }
    assert differ == {}
    assert len(theirs) > 4000


def test_the_list_for_ipv6_has_no_idle_entries() -> None:
    ours: Notes6 = {}
    side = Linnet6()
    side.host.run(lambda: ours.update(read6(side)))
    assert {key for key in ours if key[1:3] in NOT_THERE6 and ours[key] != 'ENOPROTOOPT'} == set()
