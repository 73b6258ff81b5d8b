# SPDX-License-Identifier: Apache-2.0
"""Tracepoints of group skb, named as in Linux's include/trace/events/skb.h; each stands where Linux has it.

Free when nobody listens: one call and one flag. The walk of an interpreted run sees these functions entered.
"""
from __future__ import annotations

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dropreason import DROP_REASONS


def trace_kfree_skb(skb: SkBuff, reason: int) -> None:
    """A packet is dropped, for this reason."""
    t = skb.world.trace
    if t.enabled:
        t.emit('skb:kfree_skb', {'reason': DROP_REASONS[reason], 'protocol': int(skb.protocol), 'len': int(skb.len)})


def trace_consume_skb(skb: SkBuff) -> None:
    """A packet ends well."""
    t = skb.world.trace
    if t.enabled:
        t.emit('skb:consume_skb', {'len': int(skb.len)})


def trace_skb_copy_datagram_iovec(skb: SkBuff, length: int) -> None:
    """length bytes of the packet go to the program."""
    t = skb.world.trace
    if t.enabled:
        t.emit('skb:skb_copy_datagram_iovec', {'len': length})
