# SPDX-License-Identifier: Apache-2.0
"""FQ-CoDel: CoDel for each flow, and the flows in turn (RFC 8290).

Packets are sorted by a hash of their flow into queues, each with CoDel of its own. Queues that have something to send take turns
by deficit round robin, a quantum of bytes each; one that just became active goes before those that have been sending, so that a
flow of few packets never waits behind a bulk transfer. When all together is too much, the longest queue loses half of it.
"""
from __future__ import annotations

from collections import deque
from typing import ClassVar, Final

from mypy_extensions import i64

from linnet.include.linux.netdevice import NET_XMIT_CN, NET_XMIT_SUCCESS, NetDevice
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dropreason import SKB_DROP_REASON_QDISC_OVERLIMIT
from linnet.include.net.sch_generic import Qdisc, qdisc_pkt_len
from linnet.net.core.flow_dissector import skb_get_hash
from linnet.net.core.skbuff import kfree_skb_reason
from linnet.net.sched.sch_codel import CODEL_DISABLED, CodelParams, CodelQueue, codel_dequeue
from linnet.net.sched.sch_generic import qdisc_bstats_update

FLOWS_MAX: Final = 65536


class FqCodelFlow(CodelQueue):
    """Linux: struct fq_codel_flow. index: which of the discipline's queues it is."""

    def __init__(self, index: i64) -> None:
        super().__init__()
        self.index: i64 = index
        self.deficit: i64 = 0
        self.listed: bool = False  # in new_flows or old_flows
        self.memory: i64 = 0  # truesize of what is queued

    def put(self, skb: SkBuff, now: i64) -> None:
        """Append skb."""
        self.memory += skb.truesize
        super().put(skb, now)

    def take(self) -> SkBuff | None:
        """Take the first packet, judged or not."""
        skb = super().take()
        if skb is not None:
            self.memory -= skb.truesize
        return skb


class FqCodelQdisc(Qdisc):
    """Options: limit (packets), flows, quantum (bytes), drop_batch, memory_limit (bytes), target, interval, ce_threshold (ns),
    ecn (0, 1; on by default).  Linux: net/sched/sch_fq_codel.c.
    """

    id: ClassVar[str] = 'fq_codel'

    def __init__(self, dev: NetDevice) -> None:
        super().__init__(dev)
        self.limit = 10 * 1024
        self.params: CodelParams = CodelParams()
        self.params.mtu = dev.mtu + dev.hard_header_len
        self.params.ecn = True
        self.flows_cnt: i64 = 1024
        self.quantum: i64 = dev.mtu + dev.hard_header_len
        self.drop_batch_size: i64 = 64
        self.memory_limit: i64 = 32 << 20
        self.memory_usage: i64 = 0
        self.flows: dict[int, FqCodelFlow] = {}  # those that ever had a packet
        self.new_flows: deque[FqCodelFlow] = deque()
        self.old_flows: deque[FqCodelFlow] = deque()
        self.drop_overlimit: i64 = 0
        self.new_flow_count: i64 = 0

    def set_option(self, name: str, value: i64) -> bool:
        """One option; False: there is none of that name, or it cannot have this value."""
        if name == 'limit':
            self.limit = value
        elif name == 'flows':
            if value == 0 or value > FLOWS_MAX:
                return False
            self.flows_cnt = value
        elif name == 'quantum':
            self.quantum = value if value > 256 else 256
        elif name == 'drop_batch':
            self.drop_batch_size = value if value > 1 else 1
        elif name == 'memory_limit':
            self.memory_limit = value
        else:
            return self.params.set_option(name, value)
        return True

    def enqueue(self, skb: SkBuff) -> i64:
        """Append skb to its flow; what is too much is taken off the longest queue."""
        index = skb_get_hash(skb, self.dev.net.hash_mix) % self.flows_cnt
        flow = self.flows.get(int(index))
        if flow is None:
            flow = FqCodelFlow(index)
            self.flows[int(index)] = flow
        size = qdisc_pkt_len(skb)
        self.memory_usage += skb.truesize
        flow.put(skb, self.dev.net.clock.now)
        self.stats.backlog += size
        self.q.qlen += 1
        if not flow.listed:
            flow.listed = True
            flow.deficit = self.quantum
            self.new_flows.append(flow)
            self.new_flow_count += 1
        if self.q.qlen <= self.limit and self.memory_usage <= self.memory_limit:
            return NET_XMIT_SUCCESS
        return NET_XMIT_CN if self.drop_from_fattest() is flow else NET_XMIT_SUCCESS

    def drop_from_fattest(self) -> FqCodelFlow:
        """Drop from the head of the longest queue, half of it or drop_batch packets at most.  Linux: fq_codel_drop."""
        fattest: FqCodelFlow | None = None
        for flow in self.flows.values():
            if fattest is None or flow.backlog > fattest.backlog:
                fattest = flow
        assert fattest is not None
        threshold = fattest.backlog >> 1
        dropped: i64 = 0
        count: i64 = 0
        while count < self.drop_batch_size and dropped < threshold:
            skb = fattest.take()
            if skb is None:
                break
            count += 1
            dropped += qdisc_pkt_len(skb)
            self.forget(skb)
            kfree_skb_reason(skb, SKB_DROP_REASON_QDISC_OVERLIMIT)
        self.drop_overlimit += count
        self.stats.drops += count
        # the judge takes them for drops of its own
        fattest.count += count
        return fattest

    def forget(self, skb: SkBuff) -> None:
        """skb is no longer here."""
        self.memory_usage -= skb.truesize
        self.stats.backlog -= qdisc_pkt_len(skb)
        self.q.qlen -= 1

    def dequeue(self) -> SkBuff | None:
        """The next packet of the flow whose turn it is.  RFC 8290, 4.2."""
        params = self.params
        now: i64 = self.dev.net.clock.now
        while True:
            is_new = len(self.new_flows) != 0
            flows = self.new_flows if is_new else self.old_flows
            if not flows:
                return None
            flow = flows[0]
            if flow.deficit <= 0:
                flow.deficit += self.quantum
                flows.popleft()
                self.old_flows.append(flow)
                continue
            before = flow.q.qlen
            backlog = flow.backlog
            memory = flow.memory
            drops = params.drop_count
            skb = codel_dequeue(flow, params, now)
            self.q.qlen -= before - flow.q.qlen
            self.stats.backlog -= backlog - flow.backlog
            self.memory_usage -= memory - flow.memory
            self.stats.drops += params.drop_count - drops
            if skb is None:
                flows.popleft()
                if is_new and self.old_flows:
                    # once through the old flows, lest it be new again at once
                    self.old_flows.append(flow)
                else:
                    flow.listed = False
                continue
            flow.deficit -= qdisc_pkt_len(skb)
            qdisc_bstats_update(self, skb)
            return skb

    def reset(self) -> None:
        """Drop everything."""
        for flow in self.flows.values():
            skb = flow.take()
            while skb is not None:
                kfree_skb_reason(skb, SKB_DROP_REASON_QDISC_OVERLIMIT)
                skb = flow.take()
        self.flows = {}
        self.new_flows.clear()
        self.old_flows.clear()
        self.memory_usage = 0
        self.stats.backlog = 0
        self.q.qlen = 0

    def dump(self) -> str:
        """As tc prints it."""
        params = self.params.dump()
        ecn = ' ecn' if self.params.ecn else ''
        return (f'limit {self.limit}p flows {self.flows_cnt} quantum {self.quantum} {params.removesuffix(" ecn")} '
                f'memory_limit {self.memory_limit >> 20}Mb{ecn} drop_batch {self.drop_batch_size}')

    def dump_stats(self) -> str:
        """As tc prints them."""
        p = self.params
        text = (f'  maxpacket {p.maxpacket} drop_overlimit {self.drop_overlimit} new_flow_count {self.new_flow_count} '
                f'ecn_mark {p.ecn_mark}')
        if p.ce_threshold != CODEL_DISABLED:
            text += f' ce_mark {p.ce_mark}'
        return text + f'\n  new_flows_len {len(self.new_flows)} old_flows_len {len(self.old_flows)}'
