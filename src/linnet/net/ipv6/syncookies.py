# SPDX-License-Identifier: Apache-2.0
"""SYN cookies over IPv6: as net/ipv4/syncookies.py, with the addresses of IPv6 in the hash and its usual segment sizes."""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.request_sock import RequestSockOps, SynCookie
from linnet.include.net.sock import Sock
from linnet.include.net.tcp import TcpSock
from linnet.net.ipv4.syncookies import cookie_init_sequence
from linnet.net.ipv4.syncookies_check import cookie_check

# of paths of 1280, 1480, 1500 and 9000 bytes; a peer's is rounded down
MSSTAB: Final = (1280 - 60, 1480 - 60, 1500 - 60, 9000 - 60)


def cookie_v6_init_sequence(sk: TcpSock, skb: SkBuff, mss: i64) -> SynCookie:
    """The cookie to answer the SYN skb with, whose MSS is mss.  Linux: net/ipv6/syncookies.c."""
    return cookie_init_sequence(sk, skb, mss, MSSTAB)


def cookie_v6_check(ops: RequestSockOps, sk: TcpSock, skb: SkBuff) -> Sock | None:
    """A segment for listener sk, of no handshake known: the child where it brings a cookie back, else sk; None: drop it.

    Linux: net/ipv6/syncookies.c.
    """
    return cookie_check(ops, sk, skb, MSSTAB)
