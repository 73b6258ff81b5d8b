# SPDX-License-Identifier: Apache-2.0
"""struct tcp_md5sig_key: who signs with what (RFC 2385)."""
from __future__ import annotations

from mypy_extensions import i64


class TcpMd5sigKey:
    """The key that segments to and from the addresses of a prefix are signed with (RFC 2385).  Linux: struct tcp_md5sig_key."""

    def __init__(self, family: i64, addr: int, prefixlen: i64, key: bytes, flags: i64) -> None:
        self.family: i64 = family
        self.addr: int = addr
        self.prefixlen: i64 = prefixlen
        self.key: bytes = key
        self.flags: i64 = flags
