# SPDX-License-Identifier: Apache-2.0
"""Tracepoints of group udp, named as in Linux's include/trace/events/udp.h; each stands where Linux has it.

Free when nobody listens: one call and one flag. The walk of an interpreted run sees these functions entered.
"""
from __future__ import annotations

from linnet.include.net.sock import Sock, sock_net


def trace_udp_fail_queue_rcv_skb(rc: int, sk: Sock) -> None:
    """A datagram could not be queued; rc is the negative errno."""
    t = sock_net(sk).trace
    if t.enabled:
        t.emit('udp:udp_fail_queue_rcv_skb', {'rc': rc, 'lport': int(sk.sk_num)})
