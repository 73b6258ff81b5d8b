# SPDX-License-Identifier: Apache-2.0
"""Tracepoints of group icmp, named as in Linux's include/trace/events/icmp.h; each stands where Linux has it.

Free when nobody listens: one call and one flag. The walk of an interpreted run sees these functions entered.
"""
from __future__ import annotations

from linnet.include.linux.skbuff import SkBuff


def trace_icmp_send(skb: SkBuff, type: int, code: int) -> None:
    """An ICMP error about skb is sent."""
    t = skb.world.trace
    if t.enabled:
        t.emit('icmp:icmp_send', {'type': type, 'code': code})
