# SPDX-License-Identifier: Apache-2.0
"""CoDel: a queue that is judged by how long packets wait in it (RFC 8289).

A queue that takes up bursts is good, one that stands is not. When for an interval (100 ms) every packet waited longer than the
target (5 ms), one is dropped, and further ones at intervals that shrink with the square root of their count, until the wait is
below the target again. With ecn, packets that are ECN-capable are marked instead (RFC 3168); with ce_threshold they are marked
whenever they waited longer than that, as DCTCP wants it (RFC 8257).

CodelQueue is the judge, a queue of packets with it; disciplines of several queues have one each.
"""
from __future__ import annotations

from math import isqrt
from typing import ClassVar, Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IP, ETH_P_IPV6
from linnet.include.linux.ip import ip_set_ce
from linnet.include.linux.ipv6 import ipv6_set_ce, ipv6_tclass
from linnet.include.linux.netdevice import NET_XMIT_DROP, NET_XMIT_SUCCESS, NetDevice
from linnet.include.linux.skbuff import SkBuff, SkBuffHead
from linnet.include.net.dropreason import SKB_DROP_REASON_QDISC_CONGESTED, SKB_DROP_REASON_QDISC_OVERLIMIT
from linnet.include.net.sch_generic import Qdisc, qdisc_pkt_len
from linnet.net.core.skbuff import kfree_skb_reason, skb_dequeue, skb_queue_tail
from linnet.net.sched.sch_generic import qdisc_bstats_update

NSEC_PER_MSEC: Final = 1_000_000
CODEL_DISABLED: Final = 1 << 62  # a ce_threshold that nothing reaches


def INET_ECN_set_ce(skb: SkBuff) -> bool:
    """Mark skb as having met congestion, if its ends can do ECN: was it?  Linux: include/net/inet_ecn.h.  RFC 3168, 5."""
    at = skb.network_header
    if skb.protocol == ETH_P_IPV6:
        return at >= 0 and at + 40 <= len(skb.head) and _ip6_ecn_set_ce(skb, at)
    if skb.protocol != ETH_P_IP or at < 0 or at + 20 > len(skb.head):
        return False
    ecn = skb.head[at + 1] & 3
    if ecn == 0:
        return False
    if ecn != 3:
        skb.head = ip_set_ce(skb.head, at)
    return True


def _ip6_ecn_set_ce(skb: SkBuff, at: i64) -> bool:
    ecn = ipv6_tclass(skb.head, at) & 3
    if ecn != 0 and ecn != 3:
        skb.head = ipv6_set_ce(skb.head, at)
    return ecn != 0


def ns_text(ns: i64) -> str:
    """A time as tc prints it."""
    if ns % NSEC_PER_MSEC == 0:
        return f'{ns // NSEC_PER_MSEC}ms'
    return f'{ns // 1000}us'


class CodelParams:
    """Linux: struct codel_params; and what its judges counted. Times in ns."""

    def __init__(self) -> None:
        self.target: i64 = 5 * NSEC_PER_MSEC
        self.interval: i64 = 100 * NSEC_PER_MSEC
        self.ce_threshold: i64 = CODEL_DISABLED
        self.mtu: i64 = 1514  # bytes: a queue of no more than this does not stand
        self.ecn: bool = False
        self.maxpacket: i64 = 0
        self.drop_count: i64 = 0
        self.drop_len: i64 = 0
        self.ecn_mark: i64 = 0
        self.ce_mark: i64 = 0

    def set_option(self, name: str, value: i64) -> bool:
        """One of the options; False: there is none of that name."""
        if name == 'target':
            self.target = value
        elif name == 'interval':
            self.interval = value if value > 0 else 1
        elif name == 'ce_threshold':
            self.ce_threshold = value
        elif name == 'ecn':
            self.ecn = value != 0
        else:
            return False
        return True

    def dump(self) -> str:
        """As tc prints them."""
        text = f'target {ns_text(self.target)}'
        if self.ce_threshold != CODEL_DISABLED:
            text += f' ce_threshold {ns_text(self.ce_threshold)}'
        text += f' interval {ns_text(self.interval)}'
        return text + ' ecn' if self.ecn else text


class CodelQueue:
    """A FIFO and its judge (Linux: struct codel_vars)."""

    def __init__(self) -> None:
        self.q: SkBuffHead = SkBuffHead()
        self.backlog: i64 = 0  # bytes
        self.count: i64 = 0  # drops since dropping began
        self.lastcount: i64 = 0  # what count was when dropping began last
        self.dropping: bool = False
        self.first_above_time: i64 = 0  # when the wait will have been too long for an interval; 0: it is not
        self.drop_next: i64 = 0
        self.ldelay: i64 = 0  # how long the last packet waited, ns

    def put(self, skb: SkBuff, now: i64) -> None:
        """Append skb."""
        skb.when = now
        skb_queue_tail(self.q, skb)
        self.backlog += qdisc_pkt_len(skb)

    def take(self) -> SkBuff | None:
        """Take the first packet, judged or not."""
        skb = skb_dequeue(self.q)
        if skb is not None:
            self.backlog -= qdisc_pkt_len(skb)
        return skb


def codel_control_law(t: i64, interval: i64, count: i64) -> i64:
    """When the next is to be dropped, after the count-th at t: an interval over the root of count later.

    Linux: include/net/codel_impl.h, which approaches the root by Newton's steps.  RFC 8289, 5.6.
    """
    return t + ((int(interval) << 16) // isqrt(int(count) << 32))


def codel_should_drop(vars: CodelQueue, params: CodelParams, skb: SkBuff | None, now: i64) -> bool:
    """Did this one, too, wait too long, so that all did for an interval?  Linux: include/net/codel_impl.h.  RFC 8289, 5.5."""
    if skb is None:
        vars.first_above_time = 0
        return False
    vars.ldelay = now - skb.when
    size = qdisc_pkt_len(skb)
    if size > params.maxpacket:
        params.maxpacket = size
    if vars.ldelay < params.target or vars.backlog <= params.mtu:
        vars.first_above_time = 0
        return False
    if vars.first_above_time == 0:
        vars.first_above_time = now + params.interval
        return False
    return now > vars.first_above_time


def codel_drop(params: CodelParams, skb: SkBuff) -> None:
    """The queue stands: this one goes."""
    params.drop_count += 1
    params.drop_len += qdisc_pkt_len(skb)
    kfree_skb_reason(skb, SKB_DROP_REASON_QDISC_CONGESTED)


def codel_mark(params: CodelParams, skb: SkBuff) -> bool:
    """Mark skb instead of dropping it, where that is wanted and possible."""
    if params.ecn and INET_ECN_set_ce(skb):
        params.ecn_mark += 1
        return True
    return False


def codel_dequeue(vars: CodelQueue, params: CodelParams, now: i64) -> SkBuff | None:
    """The next packet to send; others may be dropped on the way to it.  Linux: include/net/codel_impl.h.  RFC 8289, 5.5."""
    skb = vars.take()
    if skb is None:
        vars.dropping = False
        return None
    drop = codel_should_drop(vars, params, skb, now)
    if vars.dropping:
        if not drop:
            vars.dropping = False
        while vars.dropping and now >= vars.drop_next:
            vars.count += 1
            if skb is None:
                break
            if codel_mark(params, skb):
                vars.drop_next = codel_control_law(vars.drop_next, params.interval, vars.count)
                break
            codel_drop(params, skb)
            skb = vars.take()
            if codel_should_drop(vars, params, skb, now):
                vars.drop_next = codel_control_law(vars.drop_next, params.interval, vars.count)
            else:
                vars.dropping = False
    elif drop:
        if not codel_mark(params, skb):
            codel_drop(params, skb)
            skb = vars.take()
            codel_should_drop(vars, params, skb, now)
        vars.dropping = True
        # so soon after the last time: go on near the rate that was reached then
        delta = vars.count - vars.lastcount
        if delta > 1 and now - vars.drop_next < 16 * params.interval:
            vars.count = delta
        else:
            vars.count = 1
        vars.lastcount = vars.count
        vars.drop_next = codel_control_law(now, params.interval, vars.count)
    if skb is not None and vars.ldelay > params.ce_threshold and INET_ECN_set_ce(skb):
        params.ce_mark += 1
    return skb


class CodelQdisc(Qdisc):
    """Options: limit (packets), target, interval, ce_threshold (ns), ecn (0, 1). Linux: net/sched/sch_codel.c."""

    id: ClassVar[str] = 'codel'

    def __init__(self, dev: NetDevice) -> None:
        super().__init__(dev)
        self.limit = 1000
        self.params: CodelParams = CodelParams()
        self.params.mtu = dev.mtu + dev.hard_header_len
        self.vars: CodelQueue = CodelQueue()
        self.q = self.vars.q
        self.drop_overlimit: i64 = 0

    def set_option(self, name: str, value: i64) -> bool:
        """The limit in packets; the rest is CoDel's."""
        if name == 'limit':
            self.limit = value
            return True
        return self.params.set_option(name, value)

    def enqueue(self, skb: SkBuff) -> i64:
        """Append, or drop where it is full."""
        if self.q.qlen >= self.limit:
            self.drop_overlimit += 1
            self.stats.drops += 1
            kfree_skb_reason(skb, SKB_DROP_REASON_QDISC_OVERLIMIT)
            return NET_XMIT_DROP
        self.vars.put(skb, self.dev.net.clock.now)
        self.stats.backlog = self.vars.backlog
        return NET_XMIT_SUCCESS

    def dequeue(self) -> SkBuff | None:
        """See codel_dequeue."""
        params = self.params
        dropped = params.drop_count
        skb = codel_dequeue(self.vars, params, self.dev.net.clock.now)
        self.stats.drops += params.drop_count - dropped
        self.stats.backlog = self.vars.backlog
        if skb is not None:
            qdisc_bstats_update(self, skb)
        return skb

    def reset(self) -> None:
        """Drop everything, and forget what was seen."""
        skb = self.vars.take()
        while skb is not None:
            kfree_skb_reason(skb, SKB_DROP_REASON_QDISC_OVERLIMIT)
            skb = self.vars.take()
        self.vars = CodelQueue()
        self.q = self.vars.q
        self.stats.backlog = 0

    def dump(self) -> str:
        """As tc prints it."""
        return f'limit {self.limit}p {self.params.dump()}'

    def dump_stats(self) -> str:
        """As tc prints them."""
        p, v = self.params, self.vars
        text = (f'  count {v.count} lastcount {v.lastcount} ldelay {v.ldelay // 1000}us' + (' dropping' if v.dropping else '')
                + f' drop_next {(v.drop_next - self.dev.net.clock.now) // 1000 if v.dropping else 0}us\n'
                f'  maxpacket {p.maxpacket} ecn_mark {p.ecn_mark} drop_overlimit {self.drop_overlimit}')
        if p.ce_threshold != CODEL_DISABLED:
            text += f' ce_mark {p.ce_mark}'
        return text
