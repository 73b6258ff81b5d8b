# SPDX-License-Identifier: Apache-2.0
"""Whatever a wire does, TCP delivers exactly the bytes sent, or an error on both sides; and nothing is left behind."""
from __future__ import annotations

import hashlib
import struct
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linnet import Lab
from linnet.include.linux.in6 import in6_pton
from linnet.include.linux.inet import in_aton
from linnet.include.linux.socket import (
    AF_INET,
    AF_INET6,
    SO_KEEPALIVE,
    SOCK_STREAM,
    SOL_SOCKET,
    SOL_TCP,
    Sockaddr,
    make_sockaddr_in6,
)
from linnet.include.net.tcp import TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL
from linnet.net import socket as sys_
from linnet.program.runtime import current_program

SHARES = st.floats(0, 0.30)
TCP_CACHES = ('TCP', 'TCPv6', 'request_sock_TCP', 'request_sock_TCPv6', 'tw_sock_TCP', 'tw_sock_TCPv6',
              'skbuff_head_cache', 'sock_inode_cache')


class Transfer:
    """Bytes both ways between two hosts; what each side got, or the error it met."""

    def __init__(self, lab: Lab, there: bytes, back: bytes) -> None:
        self.there, self.back = there, back
        self.received = {'client': b'', 'server': b''}
        self.errors: dict[str, OSError] = {}
        client, server = lab.hosts['client'], lab.hosts['server']
        self.family = AF_INET6 if lab.ipv6 else AF_INET
        self.any, self.target = Sockaddr(AF_INET, 0, 5000), Sockaddr(AF_INET, in_aton(server.addr), 5000)
        if lab.ipv6:
            self.any, self.target = make_sockaddr_in6(0, 5000, 0, 0), make_sockaddr_in6(in6_pton(server.addr6), 5000, 0, 0)
        server.spawn(self.serve)
        client.spawn(self.connect)

    def serve(self) -> None:
        """Accept, echo our side, read theirs."""
        me = current_program()
        fd = sys_.sys_socket(me, self.family, SOCK_STREAM, 0)
        sys_.sys_bind(me, fd, self.any)
        sys_.sys_listen(me, fd, 5)
        sys_.sys_setsockopt(me, fd, 1, 20, (200).to_bytes(8, 'little') + bytes(8))  # SO_RCVTIMEO 200 s: a client may never come
        try:
            child, _ = sys_.sys_accept4(me, fd, 0)
            self.exchange('server', child, self.back)
        except OSError as exc:
            self.errors['server'] = exc

    def connect(self) -> None:
        """The other side."""
        me = current_program()
        fd = sys_.sys_socket(me, self.family, SOCK_STREAM, 0)
        try:
            sys_.sys_connect(me, fd, self.target)
            self.exchange('client', fd, self.there)
        except OSError as exc:
            self.errors['client'] = exc

    def exchange(self, side: str, fd: int, data: bytes) -> None:
        """Send all, half-close, read to the end.

        With keepalive: where the peer has closed and gives up retransmitting (tcp_orphan_retries), it does so in silence, and
        who waits for its data without keepalive waits for ever, here as in Linux.
        """
        me = current_program()
        sys_.sys_setsockopt(me, fd, SOL_SOCKET, SO_KEEPALIVE, struct.pack('i', 1))
        for option, value in ((TCP_KEEPIDLE, 60), (TCP_KEEPINTVL, 20), (TCP_KEEPCNT, 8)):
            sys_.sys_setsockopt(me, fd, SOL_TCP, option, struct.pack('i', value))
        sent = 0
        while sent < len(data):
            sent += sys_.sys_sendto(me, fd, data[sent:], 0, None)
        sys_.sys_shutdown(me, fd, 1)
        while chunk := sys_.sys_recvfrom(me, fd, 65536, 0)[0]:
            self.received[side] += chunk
        sys_.sys_close(me, fd)

    def check(self) -> None:
        """All of it, or an error: never something else."""
        for side, want in (('server', self.there), ('client', self.back)):
            if side not in self.errors:
                assert self.received[side] == want
            else:
                assert want.startswith(self.received[side])


def build(seed: int, ipv6: bool = False, **properties: float) -> Lab:
    """Two hosts and a bad wire."""
    lab = Lab(seed=seed, ipv6=ipv6)
    lab.link(lab.host('client'), lab.host('server'), rate='10mbit', delay='5ms', **properties)
    return lab


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), loss=SHARES, duplicate=SHARES, reorder=SHARES, corrupt=SHARES,
       there=st.integers(0, 60_000), back=st.integers(0, 60_000), ipv6=st.booleans())
def test_any_wire_delivers_exactly_or_fails(seed: int, loss: float, duplicate: float, reorder: float, corrupt: float,
                                            there: int, back: int, ipv6: bool) -> None:
    lab = build(seed, ipv6, loss=loss, duplicate=duplicate, reorder=reorder, corrupt=corrupt)
    pattern = hashlib.sha256(seed.to_bytes(8, 'little')).digest() * 2000
    transfer = Transfer(lab, pattern[:there], pattern[::-1][:back])
    lab.run(until=4000)
    lab.run(until=lab.now + 2000)
    transfer.check()
    assert {name: n for name, n in lab.live_objects().items() if name in TCP_CACHES} == {}
    assert lab.world.clock.nr_pending == 0  # no timer but deferrable ones, which are housekeeping
    lab.close()


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_equal_seeds_give_equal_captures(seed: int) -> None:
    captures = []
    for attempt in range(2):
        lab = build(seed, loss=0.05, duplicate=0.02, reorder=0.05)
        path = Path(tempfile.mkdtemp(), f'{attempt}.pcapng')
        lab.pcap(path)
        Transfer(lab, b'a' * 50_000, b'b' * 20_000)
        lab.run(until=4000)
        lab.close()
        captures.append(path.read_bytes())
        path.unlink()
    assert captures[0] == captures[1]
    assert len(captures[0]) > 50_000
