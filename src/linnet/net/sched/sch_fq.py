# SPDX-License-Identifier: Apache-2.0
"""fq: fair queueing with pacing. Each flow has a queue of its own, and no packet leaves before its time.

A flow is a socket, or the packets of one hash where there is none (forwarded ones, SYN-ACKs). TCP stamps its packets with the
time at which they may depart (skb.tstamp), and by being here at all an fq tells TCP not to pace by timers of its own. Packets
of other transports carry no stamp; they are spaced by their socket's sk_pacing_rate and the discipline's maxrate.

A flow is in one of three places: in a list of its band (new flows are served before old ones, each by a deficit of `quantum`
bytes a round), throttled until its next packet's time, or inactive. Of the three bands, by priority, the first has most of the
link, by weights. What passes an fq in which nothing waits takes a fast path, a FIFO without a flow.

Units: rates in bytes a second, times in ns, sizes in bytes. Linux: net/sched/sch_fq.c; see tc-fq(8). Not here: ce_threshold,
offload_horizon, and the slack of timers, which fire on time in this world.
"""
from __future__ import annotations

import heapq
from collections import deque
from typing import ClassVar, Final

from mypy_extensions import i64

from linnet.include.linux.netdevice import NET_XMIT_DROP, NET_XMIT_SUCCESS, NetDevice
from linnet.include.linux.skbuff import (
    SkBuff,
    SkBuffHead,
    __skb_queue_before,
    __skb_queue_head,
    __skb_queue_tail,
)
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_FQ_BAND_LIMIT,
    SKB_DROP_REASON_FQ_FLOW_LIMIT,
    SKB_DROP_REASON_FQ_HORIZON_LIMIT,
    SKB_DROP_REASON_QDISC_DROP,
)
from linnet.include.net.sch_generic import Qdisc, qdisc_pkt_len
from linnet.include.net.sock import SK_PACING_FQ, SK_UNLIMITED_RATE, Sock
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_LISTEN, TCP_NEW_SYN_RECV
from linnet.kernel.timer import TimerList, del_timer, mod_timer
from linnet.net.core.flow_dissector import skb_get_hash
from linnet.net.core.skbuff import kfree_skb_reason, skb_dequeue
from linnet.net.core.sock import __sock_gen_cookie
from linnet.net.sched.sch_generic import PRIO2BAND, netif_schedule, qdisc_bstats_update

NSEC_PER_SEC: Final = 1_000_000_000
NSEC_PER_MSEC: Final = 1_000_000
FQ_BANDS: Final = 3
FQ_WEIGHTS: Final = (589_824, 196_608, 65_536)
FQ_GC_AGE: Final = 3 * NSEC_PER_SEC
FQ_GC_MAX: Final = 8
FQ_FASTPATH_MAX: Final = 8  # packets that may stand in the fast path's FIFO
TC_PRIO_CONTROL: Final = 7
NO_FLOW: Final = -1

DETACHED: Final = 0  # no packets
LISTED: Final = 1  # in its band's lists
THROTTLED: Final = 2


class FqFlow:
    """Linux: struct fq_flow."""

    def __init__(self, key: i64, credit: i64) -> None:
        self.key: i64 = key
        self.q: SkBuffHead = SkBuffHead()  # by time to send, in `when` of each skb
        self.credit: i64 = credit  # bytes it may still send in this round
        self.time_next_packet: i64 = 0
        self.state: i64 = DETACHED
        self.is_new: bool = False  # of a listed one: in which list
        self.age: i64 = 0  # when it became inactive
        self.band: i64 = 0


class FqPband:
    """Linux: struct fq_perband_flows: the flows of one band that have something to send."""

    def __init__(self, quantum: i64) -> None:
        self.new_flows: deque[FqFlow] = deque()
        self.old_flows: deque[FqFlow] = deque()
        self.credit: i64 = 0
        self.quantum: i64 = quantum
        self.pkt_count: i64 = 0


class FqWatchdog(TimerList):
    """Runs the discipline when the first throttled flow may send (Linux: struct qdisc_watchdog)."""

    def __init__(self, q: Qdisc) -> None:
        super().__init__(q.dev.net.clock)
        self.q: Qdisc = q

    def function(self) -> None:
        """Let the NET_TX softirq run it."""
        netif_schedule(self.q)


class FqQdisc(Qdisc):
    """Options: limit, flow_limit (packets), quantum, initial_quantum (bytes), maxrate, low_rate_threshold (bytes a second),
    buckets, orphan_mask, refill_delay, timer_slack, horizon (ns), horizon_drop, pacing (0, 1).
    """

    id: ClassVar[str] = 'fq'

    def __init__(self, dev: NetDevice) -> None:
        super().__init__(dev)
        mtu = dev.mtu + dev.hard_header_len
        self.limit = 10_000  # packets a band
        self.flow_plimit: i64 = 100
        self.quantum: i64 = 2 * mtu
        self.initial_quantum: i64 = 10 * mtu
        self.flow_max_rate: i64 = SK_UNLIMITED_RATE
        self.low_rate_threshold: i64 = 550_000 // 8
        self.buckets: i64 = 1024
        self.orphan_mask: i64 = 1023
        self.flow_refill_delay: i64 = 40 * NSEC_PER_MSEC
        self.timer_slack: i64 = 10_000
        self.horizon: i64 = 10 * NSEC_PER_SEC
        self.horizon_drop: bool = True
        self.rate_enable: bool = True
        self.internal: FqFlow = FqFlow(NO_FLOW, 0)  # the fast path, and control packets
        self.flow_table: dict[int, FqFlow] = {}
        self.bands: list[FqPband] = [FqPband(weight) for weight in FQ_WEIGHTS]
        self.band_nr: i64 = 0
        self.delayed: list[tuple[int, int, FqFlow]] = []  # a heap: when its next packet may go, order of throttling, flow
        self.nr_throttles: i64 = 0
        self.inactive_flows: i64 = 0
        self.throttled_flows: i64 = 0
        self.watchdog: FqWatchdog = FqWatchdog(self)
        self.stat_gc_flows: i64 = 0
        self.stat_internal_packets: i64 = 0  # `highprio` of tc
        self.stat_fastpath_packets: i64 = 0
        self.stat_throttled: i64 = 0
        self.stat_flows_plimit: i64 = 0
        self.stat_band_drops: i64 = 0
        self.stat_pkts_too_long: i64 = 0
        self.stat_horizon_drops: i64 = 0
        self.stat_horizon_caps: i64 = 0

    def set_option(self, name: str, value: i64) -> bool:
        """One option; False: there is none of that name, or it cannot have this value."""
        if name == 'limit':
            self.limit = value
        elif name == 'flow_limit':
            self.flow_plimit = value
        elif name == 'quantum':
            if value == 0 or value > 1 << 20:
                return False
            self.quantum = value
        elif name == 'initial_quantum':
            self.initial_quantum = value
        elif name == 'maxrate':
            self.flow_max_rate = value if value != 0 else SK_UNLIMITED_RATE
        elif name == 'low_rate_threshold':
            self.low_rate_threshold = value
        elif name == 'buckets':
            self.buckets = value
        elif name == 'orphan_mask':
            self.orphan_mask = value
        elif name == 'refill_delay':
            self.flow_refill_delay = value
        elif name == 'timer_slack':
            self.timer_slack = value
        elif name == 'horizon':
            self.horizon = value
        elif name == 'horizon_drop':
            self.horizon_drop = value != 0
        elif name == 'pacing':
            self.rate_enable = value != 0
        else:
            return False
        return True

    def enqueue(self, skb: SkBuff) -> i64:
        """Take skb into its flow, at its time."""
        now: i64 = self.dev.net.clock.now
        band_nr: i64 = PRIO2BAND[skb.priority & 15]
        band = self.bands[band_nr]
        if band.pkt_count >= self.limit:
            self.stat_band_drops += 1
            return self.drop(skb, SKB_DROP_REASON_FQ_BAND_LIMIT)
        due = skb.tstamp
        if due == 0:
            due = now
        elif due > now + self.horizon:
            if self.horizon_drop:
                self.stat_horizon_drops += 1
                return self.drop(skb, SKB_DROP_REASON_FQ_HORIZON_LIMIT)
            self.stat_horizon_caps += 1
            due = now + self.horizon
        skb.when = due
        flow = self.classify(skb, now)
        if flow is not self.internal:
            if flow.q.qlen >= self.flow_plimit:
                self.stat_flows_plimit += 1
                return self.drop(skb, SKB_DROP_REASON_FQ_FLOW_LIMIT)
            if flow.state == DETACHED:
                flow.band = band_nr
                flow.state = LISTED
                flow.is_new = True
                band.new_flows.append(flow)
                if now > flow.age + self.flow_refill_delay and flow.credit < self.quantum:
                    flow.credit = self.quantum
                self.inactive_flows -= 1
            band.pkt_count += 1
        flow_queue_add(flow, skb)
        self.q.qlen += 1
        self.stats.backlog += qdisc_pkt_len(skb)
        return NET_XMIT_SUCCESS

    def drop(self, skb: SkBuff, reason: i64) -> i64:
        """There is no room for skb."""
        self.stats.drops += 1
        kfree_skb_reason(skb, reason)
        return NET_XMIT_DROP

    def classify(self, skb: SkBuff, now: i64) -> FqFlow:
        """The flow of skb, a new one if need be; `internal` where it need not queue."""
        if (skb.priority & 15) == TC_PRIO_CONTROL:
            self.stat_internal_packets += 1
            return self.internal
        sk = skb.sk
        key: i64
        orphan = sk is None or sk.sk_state == TCP_LISTEN or sk.sk_state == TCP_CLOSE or sk.sk_state == TCP_NEW_SYN_RECV
        if self.fastpath_check(skb, sk, now):
            self.stat_fastpath_packets += 1
            if not orphan and sk is not None and self.rate_enable:
                sk.sk_pacing_status = SK_PACING_FQ
            return self.internal
        if orphan or sk is None:
            key = -2 - (skb_get_hash(skb, self.dev.net.hash_mix) & self.orphan_mask)
        else:
            key = sock_flow_key(sk)
        flow = self.flow_table.get(int(key))
        if flow is None:
            self.collect(now)
            flow = FqFlow(key, self.initial_quantum)
            flow.age = now
            self.flow_table[int(key)] = flow
            self.inactive_flows += 1
            if not orphan and sk is not None and self.rate_enable:
                sk.sk_pacing_status = SK_PACING_FQ
        return flow

    def fastpath_check(self, skb: SkBuff, sk: Sock | None, now: i64) -> bool:
        """May skb go at once, past all flows, because none of them is ready to send?"""
        if skb.when > now:
            return False
        if self.q.qlen != 0:
            if len(self.flow_table) != self.inactive_flows + self.throttled_flows:
                return False
            if self.internal.q.qlen >= FQ_FASTPATH_MAX:
                return False
            if self.delayed and self.delayed[0][0] <= now:
                return False
        if sk is not None and skb.tstamp == 0 and sk.sk_max_pacing_rate != SK_UNLIMITED_RATE:
            # no stamp: it is here that its rate is kept
            return False
        return self.flow_max_rate == SK_UNLIMITED_RATE

    def collect(self, now: i64) -> None:
        """Forget a few flows that have long been inactive, if there are many."""
        if len(self.flow_table) < 2 * self.buckets or self.inactive_flows <= len(self.flow_table) // 2:
            return
        old: list[int] = []
        for key, flow in self.flow_table.items():
            if flow.state == DETACHED and flow.age + FQ_GC_AGE < now:
                old.append(key)
                if len(old) == FQ_GC_MAX:
                    break
        for key in old:
            del self.flow_table[key]
        self.inactive_flows -= len(old)
        self.stat_gc_flows += len(old)

    def check_throttled(self, now: i64) -> None:
        """Flows whose next packet may go now are old flows of their bands again."""
        while self.delayed and self.delayed[0][0] <= now:
            flow = heapq.heappop(self.delayed)[2]
            self.throttled_flows -= 1
            flow.state = LISTED
            flow.is_new = False
            self.bands[flow.band].old_flows.append(flow)

    def select(self) -> FqFlow | None:
        """The flow whose turn it is: new before old, the bands by their weights."""
        tried: i64 = 0
        while tried <= FQ_BANDS:
            band = self.bands[self.band_nr]
            if band.credit > 0:
                if band.new_flows:
                    return band.new_flows[0]
                if band.old_flows:
                    return band.old_flows[0]
            tried += 1
            self.band_nr = (self.band_nr + 1) % FQ_BANDS
            band = self.bands[self.band_nr]
            band.credit += band.quantum
            if band.credit > band.quantum:
                band.credit = band.quantum
            if band.credit <= 0:
                # deep in debt: another round
                tried = 0
        return None

    def dequeue(self) -> SkBuff | None:
        """The next packet whose time has come, or None and the watchdog set."""
        if self.q.qlen == 0:
            return None
        skb = skb_dequeue(self.internal.q)
        if skb is not None:
            self.account(skb)
            return skb
        now: i64 = self.dev.net.clock.now
        self.check_throttled(now)
        while True:
            flow = self.select()
            if flow is None:
                if self.delayed:
                    mod_timer(self.watchdog, self.delayed[0][0])
                return None
            band = self.bands[flow.band]
            flows = band.new_flows if flow.is_new else band.old_flows
            if flow.credit <= 0:
                flow.credit += self.quantum
                flows.popleft()
                flow.is_new = False
                band.old_flows.append(flow)
                continue
            skb = flow.q.next
            if skb is None:
                flows.popleft()
                if flow.is_new and band.old_flows:
                    # once through the old flows as well, lest it be new again at once
                    flow.is_new = False
                    band.old_flows.append(flow)
                else:
                    flow.state = DETACHED
                    flow.age = now
                    self.inactive_flows += 1
                continue
            due = skb.when if skb.when > flow.time_next_packet else flow.time_next_packet
            if now < due:
                flows.popleft()
                flow.time_next_packet = due
                self.throttle(flow)
                continue
            skb_dequeue(flow.q)
            band.pkt_count -= 1
            self.charge(flow, band, skb, now)
            self.account(skb)
            return skb

    def throttle(self, flow: FqFlow) -> None:
        """flow waits until time_next_packet."""
        flow.state = THROTTLED
        self.nr_throttles += 1
        heapq.heappush(self.delayed, (int(flow.time_next_packet), int(self.nr_throttles), flow))
        self.throttled_flows += 1
        self.stat_throttled += 1

    def charge(self, flow: FqFlow, band: FqPband, skb: SkBuff, now: i64) -> None:
        """skb of flow leaves: take it off the credits, and say when the flow's next packet may go."""
        plen = qdisc_pkt_len(skb)
        flow.credit -= plen
        band.credit -= plen
        if not self.rate_enable:
            return
        rate = self.flow_max_rate
        if skb.tstamp == 0:
            sk = skb.sk
            if sk is not None and sk.sk_pacing_rate < rate:
                rate = sk.sk_pacing_rate
            if rate <= self.low_rate_threshold:
                flow.credit = 0
            else:
                # small packets of a fast flow are spaced in batches of a quantum
                if flow.credit > 0:
                    return
                if plen < self.quantum:
                    plen = self.quantum
        if rate >= SK_UNLIMITED_RATE:
            return
        gap: i64 = plen * NSEC_PER_SEC
        if rate != 0:
            gap = gap // rate
        if gap > NSEC_PER_SEC:
            gap = NSEC_PER_SEC
            self.stat_pkts_too_long += 1
        if flow.time_next_packet != 0:
            # what a late timer cost is made up for
            late = now - flow.time_next_packet
            gap -= late if late < gap >> 1 else gap >> 1
        flow.time_next_packet = now + gap

    def account(self, skb: SkBuff) -> None:
        """skb leaves the discipline."""
        skb.tstamp = 0  # it departs now: whoever receives it stamps it
        self.q.qlen -= 1
        self.stats.backlog -= qdisc_pkt_len(skb)
        qdisc_bstats_update(self, skb)

    def peek(self) -> SkBuff | None:
        """The first packet of the fast path, or of the flow whose turn it is, whatever its time."""
        skb = self.internal.q.next
        if skb is None:
            flow = self.select()
            if flow is not None:
                skb = flow.q.next
        return skb

    def reset(self) -> None:
        """Drop everything and forget all flows."""
        drop_queue(self.internal.q)
        for flow in self.flow_table.values():
            drop_queue(flow.q)
        self.flow_table.clear()
        self.delayed.clear()
        for band in self.bands:
            band.new_flows.clear()
            band.old_flows.clear()
            band.pkt_count = 0
        self.inactive_flows = 0
        self.throttled_flows = 0
        self.q.qlen = 0
        self.stats.backlog = 0
        del_timer(self.watchdog)

    def dump(self) -> str:
        """As tc prints it."""
        parts = [f'limit {self.limit}p flow_limit {self.flow_plimit}p buckets {self.buckets} orphan_mask {self.orphan_mask}',
                 f'bands {FQ_BANDS}',
                 'priomap ' + ' '.join(str(band) for band in PRIO2BAND),
                 'weights ' + ' '.join(str(weight) for weight in FQ_WEIGHTS),
                 f'quantum {self.quantum}b initial_quantum {self.initial_quantum}b']
        if not self.rate_enable:
            parts.append('nopacing')
        if self.flow_max_rate != SK_UNLIMITED_RATE:
            parts.append(f'maxrate {rate_text(self.flow_max_rate)}')
        parts.append(f'low_rate_threshold {rate_text(self.low_rate_threshold)}')
        parts.append(f'refill_delay {time_text(self.flow_refill_delay)}')
        parts.append(f'timer_slack {time_text(self.timer_slack)}')
        parts.append(f'horizon {time_text(self.horizon)} {"horizon_drop" if self.horizon_drop else "horizon_cap"}')
        return ' '.join(parts)

    def dump_stats(self) -> str:
        """The lines that `tc -s qdisc` adds."""
        counts = ' '.join(f'band{nr}_pkts {band.pkt_count}' for nr, band in enumerate(self.bands))
        text = f'  flows {len(self.flow_table)} (inactive {self.inactive_flows} throttled {self.throttled_flows}) {counts}'
        if self.delayed:
            wait = self.delayed[0][0] - self.dev.net.clock.now
            if wait > 0:
                text += f' next_packet_delay {wait}ns'
        text += (f'\n  gc {self.stat_gc_flows} highprio {self.stat_internal_packets} fastpath {self.stat_fastpath_packets}'
                 f' throttled {self.stat_throttled}')
        if self.stat_flows_plimit != 0:
            text += f' flows_plimit {self.stat_flows_plimit}'
        if self.stat_pkts_too_long != 0:
            text += f' pkts_too_long {self.stat_pkts_too_long}'
        if self.stat_horizon_drops != 0 or self.stat_horizon_caps != 0:
            text += f'\n  horizon_drops {self.stat_horizon_drops} horizon_caps {self.stat_horizon_caps}'
        if self.stat_band_drops != 0:
            text += f'\n  band_drops {self.stat_band_drops}'
        return text


def sock_flow_key(sk: Sock) -> i64:
    """The key of a socket's flow: a number that no other socket ever has."""
    return __sock_gen_cookie(sk)


def flow_queue_add(flow: FqFlow, skb: SkBuff) -> None:
    """Queue skb behind all that leave no later.  Linux: net/sched/sch_fq.c."""
    later: SkBuff | None = None
    walk = flow.q.prev
    while walk is not None and walk.when > skb.when:
        later = walk
        walk = walk.prev
    if later is None:
        __skb_queue_tail(flow.q, skb)
    elif walk is None:
        __skb_queue_head(flow.q, skb)
    else:
        __skb_queue_before(flow.q, later, skb)


def drop_queue(queue: SkBuffHead) -> None:
    """Drop what a flow holds."""
    skb = skb_dequeue(queue)
    while skb is not None:
        kfree_skb_reason(skb, SKB_DROP_REASON_QDISC_DROP)
        skb = skb_dequeue(queue)


def rate_text(rate: i64) -> str:
    """Bytes a second as tc prints a rate."""
    bits = int(rate) * 8
    for unit, size in (('Gbit', 10 ** 9), ('Mbit', 10 ** 6), ('Kbit', 10 ** 3)):
        if bits >= size and bits % size == 0:
            return f'{bits // size}{unit}'
    return f'{bits}bit'


def time_text(ns: i64) -> str:
    """A time as tc prints it."""
    whole = int(ns)
    for unit, size in (('s', 10 ** 9), ('ms', 10 ** 6), ('us', 10 ** 3)):
        if whole >= size and whole % size == 0:
            return f'{whole // size}{unit}'
    return f'{whole}ns'
