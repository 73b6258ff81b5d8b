# SPDX-License-Identifier: Apache-2.0
"""Tracepoints of group fib, named as in Linux's include/trace/events/fib.h; each stands where Linux has it.

Free when nobody listens: one call and one flag. The walk of an interpreted run sees these functions entered.
"""
from __future__ import annotations

from linnet.include.linux.inet import in_ntoa
from linnet.include.net.flow import Flowi4
from linnet.include.net.net_namespace import Net


def trace_fib_table_lookup(net: Net, tb_id: int, fl4: Flowi4, err: int, dev: str, gw: int) -> None:
    """A table was asked; err 0 or a negative errno, and the next hop found."""
    t = net.trace
    if t.enabled:
        t.emit('fib:fib_table_lookup', {
            'table': tb_id, 'oif': int(fl4.flowi4_oif), 'iif': int(fl4.flowi4_iif), 'src': in_ntoa(int(fl4.saddr)),
            'dst': in_ntoa(int(fl4.daddr)), 'err': err, 'dev': dev, 'gw': in_ntoa(gw),
        })
