# SPDX-License-Identifier: Apache-2.0
"""struct flowi4 and flowi6: the keys of a route look-up on the way out.  Addresses and ports are ints in host order."""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

FLOWI_FLAG_ANYSRC: Final = 1
FLOWI_FLAG_KNOWN_NH: Final = 2


class Flowi4:
    """Linux: include/net/flow.h, struct flowi4. Filled by flowi4_init_output; the look-up writes saddr and oif back."""

    def __init__(self) -> None:
        self.flowi4_oif: i64 = 0
        self.flowi4_iif: i64 = 0
        self.flowi4_mark: i64 = 0
        self.flowi4_tos: i64 = 0
        self.flowi4_scope: i64 = 0
        self.flowi4_proto: i64 = 0
        self.flowi4_flags: i64 = 0
        self.daddr: i64 = 0
        self.saddr: i64 = 0
        self.fl4_dport: i64 = 0
        self.fl4_sport: i64 = 0
        self.err: i64 = 0  # why the look-up gave no route: a negative errno


def flowi4_init_output(
    fl4: Flowi4, oif: i64, mark: i64, tos: i64, scope: i64, proto: i64, flags: i64,
    daddr: i64, saddr: i64, dport: i64, sport: i64,
) -> None:
    """Fill the key for an outgoing look-up.  Linux: include/net/flow.h."""
    fl4.flowi4_oif = oif
    fl4.flowi4_iif = 1  # LOOPBACK_IFINDEX: what is sent comes in from nowhere
    fl4.flowi4_mark = mark
    fl4.flowi4_tos = tos
    fl4.flowi4_scope = scope
    fl4.flowi4_proto = proto
    fl4.flowi4_flags = flags
    fl4.daddr = daddr
    fl4.saddr = saddr
    fl4.fl4_dport = dport
    fl4.fl4_sport = sport


class Flowi6:
    """Linux: include/net/flow.h, struct flowi6. flowlabel: traffic class and flow label, 28 bits (the host's order)."""

    def __init__(self) -> None:
        self.flowi6_oif: i64 = 0
        self.flowi6_iif: i64 = 1
        self.flowi6_mark: i64 = 0
        self.flowi6_proto: i64 = 0
        self.flowi6_flags: i64 = 0
        self.daddr: int = 0
        self.saddr: int = 0
        self.flowlabel: i64 = 0
        self.fl6_dport: i64 = 0
        self.fl6_sport: i64 = 0
        self.fl6_icmp_type: i64 = 0
        self.fl6_icmp_code: i64 = 0
        self.mp_hash: i64 = 0
        self.err: i64 = 0  # why the look-up gave no route: a negative errno
