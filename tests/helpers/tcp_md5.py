# SPDX-License-Identifier: Apache-2.0
"""TCP MD5 signatures (RFC 2385) by hand, over either family: struct tcp_md5sig, digests of packets, and a caller that signs."""
from __future__ import annotations

import hashlib
import struct

from helpers.hosts import Prog
from helpers.tcp_caller import Caller
from helpers.tcp_wire import Segment
from linnet.include.linux.in6 import in6_bytes, in6_pton
from linnet.include.linux.inet import in_aton
from linnet.include.linux.socket import AF_INET, AF_INET6, SOL_TCP
from linnet.include.net.tcp import TCP_MD5SIG, TCP_MD5SIG_EXT
from linnet.net import socket as sys

KEY = b'a secret'


def md5sig(addr: str, key: bytes, flags: int = 0, prefixlen: int = 0, family: int = AF_INET, ifindex: int = 0) -> bytes:
    """struct tcp_md5sig."""
    if ':' in addr:
        address = struct.pack('<HHI', AF_INET6, 0, 0) + in6_bytes(in6_pton(addr)) + bytes(4)
    else:
        address = struct.pack('<H', family) + b'\0\0' + in_aton(addr).to_bytes(4, 'big')
    return address.ljust(128, b'\0') + struct.pack('<BBHi', flags, prefixlen, len(key), ifindex) + key.ljust(80, b'\0')


def set_key(prog: Prog, fd: int, addr: str, key: bytes = KEY, **options: int) -> None:
    """setsockopt(TCP_MD5SIG), or TCP_MD5SIG_EXT with options."""
    sys.sys_setsockopt(prog.process, fd, SOL_TCP, TCP_MD5SIG_EXT if options else TCP_MD5SIG, md5sig(addr, key, **options))


def digest(packet: bytes, key: bytes) -> bytes:
    """What RFC 2385, 2.0 says, from the bytes on the wire."""
    if packet[0] >> 4 == 6:
        tcp = packet[40:]
        text = packet[8:40] + len(tcp).to_bytes(4, 'big') + b'\0\0\0\6'
    else:
        tcp = packet[20:]
        text = packet[12:20] + b'\0\6' + len(tcp).to_bytes(2, 'big')
    doff = (tcp[12] >> 4) * 4
    text += tcp[:16] + b'\0\0' + tcp[18:20]
    return hashlib.md5(text + tcp[doff:] + key).digest()


def signature(packet: bytes) -> bytes | None:
    """The digest that a packet carries."""
    tcp = packet[40 if packet[0] >> 4 == 6 else 20:]
    options = tcp[20:(tcp[12] >> 4) * 4]
    while options and options[0] != 0:
        if options[0] == 1:
            options = options[1:]
            continue
        if options[0] == 19:
            assert options[1] == 18
            return options[2:18]
        options = options[options[1]:]
    return None


class Signing(Caller):
    """A caller by hand that signs, or forges."""

    key: bytes | None = KEY

    def send(self, flags: str, seq: int | None = None, ack: int | None = None, data: bytes = b'', window: int | None = None,
             options: bytes = b'', urg: int = 0, tos: int = 0) -> None:
        if self.key is None:
            super().send(flags, seq, ack, data, window, options, urg, tos)
            return
        inject = self.wire.inject

        def signed(packet: bytes) -> None:
            at = packet.index(b'\1\1\x13\x12') + 4
            assert self.key is not None
            inject(packet[:at] + digest(packet, self.key) + packet[at + 16:])
        self.wire.inject = signed  # type: ignore[method-assign]
        try:
            super().send(flags, seq, ack, data, window, options + b'\1\1\x13\x12' + bytes(16), urg, tos)
        finally:
            self.wire.inject = inject  # type: ignore[method-assign]


def signed(segments: list[Segment], key: bytes = KEY) -> list[str]:
    """The flags of segments that are all signed."""
    for segment in segments:
        assert signature(segment.packet) == digest(segment.packet, key)
    return [segment.flags for segment in segments]
