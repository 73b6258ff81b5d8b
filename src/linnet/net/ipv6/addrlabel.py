# SPDX-License-Identifier: Apache-2.0
"""Labels of address prefixes, by which a source address is matched to a destination (RFC 6724, 2.1 and rule 6 of 5).

    ip -6 addrlabel      the table; here it is the default one, which cannot be changed
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import in6_ntop

# prefix, its length, its label: the longest first, as the first that matches counts
ADDRLABELS: Final = (
    (1, 128, 0),
    (0, 96, 3),
    (0xFFFF << 32, 96, 4),
    (0x2001 << 112, 32, 6),
    (0x2001_0010 << 96, 28, 7),
    (0x3FFE << 112, 16, 12),
    (0x2002 << 112, 16, 2),
    (0xFEC0 << 112, 10, 11),
    (0xFC00 << 112, 7, 5),
    (0, 0, 1),
)


def ipv6_addr_label(addr: int) -> i64:
    """The label of an address.  Linux: net/ipv6/addrlabel.c; its table's order is that of `ip addrlabel`."""
    for prefix, plen, label in ADDRLABELS:
        if ((addr ^ prefix) >> (128 - plen)) == 0:
            return label
    return 0xFFFFFFFF


def ip6addrlbl_dump() -> str:
    """The text of `ip -6 addrlabel`."""
    lines = []
    for prefix, plen, label in ADDRLABELS:
        text = '::ffff:0.0.0.0' if prefix == 0xFFFF << 32 else in6_ntop(prefix)
        lines.append(f'prefix {text}/{plen} label {label} \n')
    return ''.join(lines)
