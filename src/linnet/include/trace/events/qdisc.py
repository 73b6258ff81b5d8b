# SPDX-License-Identifier: Apache-2.0
"""Tracepoints of group qdisc, named as in Linux's include/trace/events/qdisc.h; each stands where Linux has it.

Free when nobody listens: one call and one flag. The walk of an interpreted run sees these functions entered.
"""
from __future__ import annotations

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.sch_generic import Qdisc


def trace_qdisc_enqueue(qdisc: Qdisc, skb: SkBuff) -> None:
    """A packet is put on a qdisc."""
    t = skb.world.trace
    if t.enabled:
        t.emit('qdisc:qdisc_enqueue', {'dev': qdisc.dev.name, 'kind': qdisc.id, 'len': int(skb.len), 'qlen': int(qdisc.q.qlen)})


def trace_qdisc_dequeue(qdisc: Qdisc, skb: SkBuff) -> None:
    """A packet is taken off a qdisc."""
    t = skb.world.trace
    if t.enabled:
        t.emit('qdisc:qdisc_dequeue', {'dev': qdisc.dev.name, 'kind': qdisc.id, 'len': int(skb.len), 'qlen': int(qdisc.q.qlen)})
