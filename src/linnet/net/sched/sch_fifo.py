# SPDX-License-Identifier: Apache-2.0
"""pfifo and bfifo: one FIFO with a limit in packets or in bytes; what comes when it is full is dropped."""
from __future__ import annotations

from typing import ClassVar

from mypy_extensions import i64

from linnet.include.linux.netdevice import NET_XMIT_DROP, NET_XMIT_SUCCESS, NetDevice
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dropreason import SKB_DROP_REASON_QDISC_OVERLIMIT
from linnet.include.net.sch_generic import TCQ_F_CAN_BYPASS, Qdisc, qdisc_pkt_len
from linnet.net.core.skbuff import kfree_skb_reason, skb_dequeue, skb_queue_tail
from linnet.net.sched.sch_generic import qdisc_bstats_update


class PfifoQdisc(Qdisc):
    """Option limit: packets (default: the device's tx_queue_len). Never passed by: each packet is queued and taken off again.

    Linux: net/sched/sch_fifo.c, where an empty one is passed by as soon as its limit is at least one packet.
    """

    id: ClassVar[str] = 'pfifo'

    def __init__(self, dev: NetDevice) -> None:
        super().__init__(dev)
        self.limit = dev.tx_queue_len if dev.tx_queue_len != 0 else 1

    def set_option(self, name: str, value: i64) -> bool:
        """The limit, in packets or bytes; there is nothing else."""
        if name == 'limit':
            self.limit = value
        return True

    def has_room(self, skb: SkBuff) -> bool:
        """May skb be queued?"""
        return self.q.qlen < self.limit

    def enqueue(self, skb: SkBuff) -> i64:
        """Append, or drop where it is full."""
        if not self.has_room(skb):
            self.stats.drops += 1
            kfree_skb_reason(skb, SKB_DROP_REASON_QDISC_OVERLIMIT)
            return NET_XMIT_DROP
        skb_queue_tail(self.q, skb)
        self.stats.backlog += qdisc_pkt_len(skb)
        return NET_XMIT_SUCCESS

    def dequeue(self) -> SkBuff | None:
        """The first packet."""
        skb = skb_dequeue(self.q)
        if skb is not None:
            self.stats.backlog -= qdisc_pkt_len(skb)
            qdisc_bstats_update(self, skb)
        return skb

    def reset(self) -> None:
        """Drop everything."""
        skb = skb_dequeue(self.q)
        while skb is not None:
            kfree_skb_reason(skb, SKB_DROP_REASON_QDISC_OVERLIMIT)
            skb = skb_dequeue(self.q)
        self.stats.backlog = 0

    def dump(self) -> str:
        """As tc prints it."""
        return f'limit {self.limit}p'


class BfifoQdisc(PfifoQdisc):
    """Option limit: bytes (default: tx_queue_len packets of the device's MTU). An empty one is passed by."""

    id: ClassVar[str] = 'bfifo'

    def __init__(self, dev: NetDevice) -> None:
        super().__init__(dev)
        self.limit = self.limit * dev.mtu
        self.flags = TCQ_F_CAN_BYPASS

    def has_room(self, skb: SkBuff) -> bool:
        """May skb be queued?"""
        return self.stats.backlog + qdisc_pkt_len(skb) <= self.limit

    def dump(self) -> str:
        """As tc prints it."""
        return f'limit {self.limit}b'
