# SPDX-License-Identifier: Apache-2.0
"""Big-endian reads from header bytes, and the writer that builds them: the one place where wire order is turned.

librt's primitives are inlined by mypyc; interpreted they are plain C functions.
"""
from __future__ import annotations

from librt.strings import BytesWriter, read_i16_be, read_i32_be, write_i16_be, write_i32_be
from mypy_extensions import i16, i32, i64


def get_u8(b: bytes, i: i64) -> i64:
    """The byte at i."""
    return i64(b[i])


def get_be16(b: bytes, i: i64) -> i64:
    """u16 in network order at byte i."""
    return i64(read_i16_be(b, i)) & 0xFFFF


def get_be32(b: bytes, i: i64) -> i64:
    """u32 in network order at byte i."""
    return i64(read_i32_be(b, i)) & 0xFFFFFFFF


def put_be16(w: BytesWriter, v: i64) -> None:
    """Append v modulo 2**16 in network order."""
    v &= 0xFFFF
    if v >= 0x8000:  # i16() wraps compiled but not interpreted, so the sign is made by hand
        v -= 0x10000
    write_i16_be(w, i16(v))


def put_be32(w: BytesWriter, v: i64) -> None:
    """Append v modulo 2**32 in network order."""
    v &= 0xFFFFFFFF
    if v >= 0x80000000:
        v -= 0x100000000
    write_i32_be(w, i32(v))
