# SPDX-License-Identifier: Apache-2.0
"""The TCP and UDP headers as bytes: field accessors and the builder (RFC 9293, 3.1; RFC 768)."""
from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from linnet.include.linux.unaligned import get_be16, get_be32, put_be16, put_be32

TCP_HLEN: Final = 20
UDP_HLEN: Final = 8
TCP_CSUM_OFFSET: Final = 16
UDP_CSUM_OFFSET: Final = 6


def tcphdr_build(source: i64, dest: i64, seq: i64, ack_seq: i64, flags: i64, window: i64, urg_ptr: i64, options: bytes) -> bytes:
    """A header whose checksum field is 0. options are padded to 32 bits by the caller; flags TCPHDR_*."""
    doff: i64 = 5 + (len(options) >> 2)
    w = BytesWriter()
    put_be16(w, source)
    put_be16(w, dest)
    put_be32(w, seq)
    put_be32(w, ack_seq)
    put_be16(w, (doff << 12) | flags)
    put_be16(w, window)
    put_be16(w, 0)
    put_be16(w, urg_ptr)
    if options:
        w.write(options)
    return w.getvalue()


def th_source(head: bytes, offset: i64) -> i64:
    """Source port (UDP too)."""
    return get_be16(head, offset)


def th_dest(head: bytes, offset: i64) -> i64:
    """Destination port (UDP too)."""
    return get_be16(head, offset + 2)


def th_seq(head: bytes, offset: i64) -> i64:
    """Sequence number."""
    return get_be32(head, offset + 4)


def th_ack_seq(head: bytes, offset: i64) -> i64:
    """Acknowledgement number."""
    return get_be32(head, offset + 8)


def th_doff(head: bytes, offset: i64) -> i64:
    """Header length in bytes."""
    return (i64(head[offset + 12]) >> 4) << 2


def th_flags(head: bytes, offset: i64) -> i64:
    """TCPHDR_* bits."""
    return i64(head[offset + 13])


def th_window(head: bytes, offset: i64) -> i64:
    """The window, not scaled."""
    return get_be16(head, offset + 14)


def th_check(head: bytes, offset: i64) -> i64:
    """Checksum."""
    return get_be16(head, offset + 16)


def th_urg_ptr(head: bytes, offset: i64) -> i64:
    """Urgent pointer."""
    return get_be16(head, offset + 18)


def udphdr_build(source: i64, dest: i64, length: i64) -> bytes:
    """A UDP header whose checksum field is 0; length counts the header."""
    w = BytesWriter()
    put_be16(w, source)
    put_be16(w, dest)
    put_be16(w, length)
    put_be16(w, 0)
    return w.getvalue()


def uh_len(head: bytes, offset: i64) -> i64:
    """UDP length, header included."""
    return get_be16(head, offset + 4)


def uh_check(head: bytes, offset: i64) -> i64:
    """UDP checksum; 0 means that there is none."""
    return get_be16(head, offset + 6)


def put_check(head: bytes, offset: i64, check: i64) -> bytes:
    """The same head with the u16 at `offset` replaced (a checksum field)."""
    w = BytesWriter()
    put_be16(w, check)
    return head[:offset] + w.getvalue() + head[offset + 2:]
