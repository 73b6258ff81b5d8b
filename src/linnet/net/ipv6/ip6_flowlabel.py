# SPDX-License-Identifier: Apache-2.0
"""Flow labels that programs choose (RFC 6437, IPV6_FLOWINFO_SEND).

Linux lends labels out (IPV6_FLOWLABEL_MGR), some of them to one owner alone; here nobody borrows one, and so every label that a
program names is its own, as on a Linux where no label is lent exclusively.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.net.sock import Sock


def fl6_sock_lookup(sk: Sock, label: i64) -> bool:
    """May sk send with this label?

    Linux: net/ipv6/ip6_flowlabel.c, where the answer is the label's options.
    """
    return label >= 0
