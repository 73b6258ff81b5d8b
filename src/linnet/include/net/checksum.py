# SPDX-License-Identifier: Apache-2.0
"""The Internet checksum (RFC 1071), folded one's-complement arithmetic.

Partial sums are plain ints that csum_fold brings to 16 bits. bytes of any length are summed by one big-integer remainder,
which is 2.5 µs for 1460 bytes in either build; a compiled loop would be faster there, and 30 times slower interpreted.
"""
from __future__ import annotations

from mypy_extensions import i64


def csum_partial(data: bytes, sum: i64) -> i64:
    """Add data (an odd last byte is padded with zero) to a partial sum of 16-bit words.  Linux: lib/checksum.c."""
    if len(data) & 1:
        data = data + b'\0'
    rest = int.from_bytes(data, 'big')
    if rest == 0:
        return sum
    word: i64 = rest % 65535
    # a non-zero multiple of 65535 is one's-complement -0: 0xffff, which matters only to a sum that is otherwise 0
    return sum + (word if word != 0 else 65535)


def csum_fold(sum: i64) -> i64:
    """The checksum field for a partial sum: folded to 16 bits and complemented.  Linux: include/asm-generic/checksum.h."""
    while sum > 0xFFFF:
        sum = (sum & 0xFFFF) + (sum >> 16)
    return 0xFFFF - sum


def csum_tcpudp_nofold(saddr: i64, daddr: i64, length: i64, proto: i64, sum: i64) -> i64:
    """Add the pseudo header to a partial sum.  Linux: include/asm-generic/checksum.h."""
    return sum + (saddr >> 16) + (saddr & 0xFFFF) + (daddr >> 16) + (daddr & 0xFFFF) + length + proto


def csum_tcpudp_magic(saddr: i64, daddr: i64, length: i64, proto: i64, sum: i64) -> i64:
    """The checksum field of a transport over IPv4; 0 where a received sum is right.  Linux: include/asm-generic/checksum.h."""
    return csum_fold(csum_tcpudp_nofold(saddr, daddr, length, proto, sum))
