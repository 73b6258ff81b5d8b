# SPDX-License-Identifier: Apache-2.0
"""Running qdiscs: take packets off, send them, put back what the driver refused; and the disciplines every device may start with.

A qdisc runs in three ways: by the sender that queued a packet, by the driver that has room again (netif_wake_queue -> NET_TX
softirq), or not at all, when it is empty and may be bypassed. noqueue has no queue: core/dev.py calls the driver straight.
"""
from __future__ import annotations

from typing import ClassVar, Final

from mypy_extensions import i64

from linnet.include.linux.netdevice import (
    IFF_UP,
    NET_XMIT_CN,
    NET_XMIT_DROP,
    NET_XMIT_SUCCESS,
    QUEUE_STATE_DRV_XOFF,
    NetDevice,
    NetdevQueue,
    netdev_get_tx_queue,
    netif_xmit_stopped,
)
from linnet.include.linux.skbuff import SkBuff, SkBuffHead
from linnet.include.net.dropreason import SKB_DROP_REASON_QDISC_DROP
from linnet.include.net.sch_generic import (
    QDISC_STATE_DEACTIVATED,
    QDISC_STATE_RUNNING,
    QDISC_STATE_SCHED,
    TCQ_F_CAN_BYPASS,
    Qdisc,
    qdisc_pkt_len,
)
from linnet.include.trace.events.qdisc import trace_qdisc_dequeue
from linnet.kernel.softirq import NET_TX_SOFTIRQ, raise_softirq
from linnet.kernel.timer import TimerList, del_timer, mod_timer
from linnet.net.core.dev_xmit import dev_hard_start_xmit, validate_xmit_skb
from linnet.net.core.skbuff import kfree_skb_list_reason, kfree_skb_reason, skb_dequeue, skb_queue_tail

QDISC_QUOTA: Final = 64  # packets a run may send before it lets others run (Linux: dev_tx_weight)
BUSY_RETRY: Final = 1_000_000  # ns until a driver that was busy is asked again
PFIFO_FAST_BANDS: Final = 3
# socket priority -> band of pfifo_fast (Linux: sch_default_prio2band)
PRIO2BAND: Final = (1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1)


def qdisc_bstats_update(q: Qdisc, skb: SkBuff) -> None:
    """Count skb as sent, each segment of a super-segment for itself.  Linux: include/net/sch_generic.h."""
    stats = q.stats
    stats.bytes += qdisc_pkt_len(skb)
    segs = skb.gso_segs
    stats.packets += segs if segs > 1 else 1


class NoopQdisc(Qdisc):
    """What a device that is down has: everything is dropped."""

    id: ClassVar[str] = 'noop'

    def enqueue(self, skb: SkBuff) -> i64:
        """Drop; TCP above takes it for congestion, not for an error."""
        kfree_skb_reason(skb, SKB_DROP_REASON_QDISC_DROP)
        return NET_XMIT_CN

    def dequeue(self) -> SkBuff | None:
        """Nothing."""
        return None

    def reset(self) -> None:
        """Nothing is queued."""
        self.stats.backlog = 0


class NoqueueQdisc(NoopQdisc):
    """No queue: the driver takes each packet at once or it is lost (loopback, veth)."""

    id: ClassVar[str] = 'noqueue'

    def __init__(self, dev: NetDevice) -> None:
        super().__init__(dev)
        self.has_queue = False


class PfifoFastQdisc(Qdisc):
    """pfifo_fast: three bands by priority, the lower band first; a FIFO within each; limit tx_queue_len packets a band.

    Linux: net/sched/sch_generic.c.
    """

    id: ClassVar[str] = 'pfifo_fast'

    def __init__(self, dev: NetDevice) -> None:
        super().__init__(dev)
        self.flags = TCQ_F_CAN_BYPASS
        self.bands: list[SkBuffHead] = [SkBuffHead(), SkBuffHead(), SkBuffHead()]

    def enqueue(self, skb: SkBuff) -> i64:
        """Append to the band of skb.priority."""
        band = self.bands[PRIO2BAND[skb.priority & 15]]
        if band.qlen >= self.dev.tx_queue_len:
            self.stats.drops += 1
            kfree_skb_reason(skb, SKB_DROP_REASON_QDISC_DROP)
            return NET_XMIT_DROP
        skb_queue_tail(band, skb)
        self.q.qlen += 1
        self.stats.backlog += qdisc_pkt_len(skb)
        return NET_XMIT_SUCCESS

    def dequeue(self) -> SkBuff | None:
        """The first packet of the first band that has one."""
        if self.q.qlen == 0:
            return None
        for band in self.bands:
            skb = skb_dequeue(band)
            if skb is not None:
                self.q.qlen -= 1
                self.stats.backlog -= qdisc_pkt_len(skb)
                qdisc_bstats_update(self, skb)
                return skb
        return None

    def peek(self) -> SkBuff | None:
        """As dequeue, left where it is."""
        for band in self.bands:
            if band.next is not None:
                return band.next
        return None

    def reset(self) -> None:
        """Drop everything."""
        for band in self.bands:
            skb = skb_dequeue(band)
            while skb is not None:
                kfree_skb_reason(skb, SKB_DROP_REASON_QDISC_DROP)
                skb = skb_dequeue(band)
        self.q.qlen = 0
        self.stats.backlog = 0

    def dump(self) -> str:
        """As tc prints it."""
        return 'bands 3 priomap ' + ' '.join(str(band) for band in PRIO2BAND)


# -- running

def skb_get_tx_queue(dev: NetDevice, skb: SkBuff) -> NetdevQueue:
    """The queue that netdev_pick_tx chose for skb.  Linux: include/linux/netdevice.h; the reference places it here."""
    return netdev_get_tx_queue(dev, skb.queue_mapping)


def validate_xmit_skb_list(skb: SkBuff, dev: NetDevice) -> SkBuff | None:
    """Make each packet of a chain fit for the device; the chain that is left.

    Linux: net/core/dev.c; the reference places it here.
    """
    following = skb.next
    if following is None:
        return validate_xmit_skb(skb, dev)
    head: SkBuff | None = None
    tail: SkBuff | None = None
    current: SkBuff | None = skb
    while current is not None:
        following = current.next
        current.next = None
        valid = validate_xmit_skb(current, dev)
        if valid is not None:
            if tail is None:
                head = valid
            else:
                tail.next = valid
            last = valid
            while True:
                after = last.next
                if after is None:
                    break
                last = after
            tail = last
        current = following
    return head


class QdiscRetry(TimerList):
    """Runs a qdisc again whose driver was busy."""

    def __init__(self, q: Qdisc) -> None:
        super().__init__(q.dev.net.clock)
        self.q: Qdisc = q

    def function(self) -> None:
        """Let the NET_TX softirq run it."""
        netif_schedule(self.q)


def dev_requeue_skb(skb: SkBuff, q: Qdisc, txq: NetdevQueue) -> None:
    """Keep what the driver refused for the next run, in front of everything.

    Linux: net/sched/sch_generic.c. There the next run follows at once; here, where time stands still meanwhile, it comes when the
    driver wakes its queue or, if it did not stop that, a millisecond later.
    """
    q.gso_skb = skb
    q.stats.requeues += 1
    if netif_xmit_stopped(txq):
        return
    retry = q.retry
    if retry is None:
        retry = QdiscRetry(q)
        q.retry = retry
    mod_timer(retry, q.dev.net.clock.now + BUSY_RETRY)


def sch_direct_xmit(skb: SkBuff, q: Qdisc, dev: NetDevice, txq: NetdevQueue) -> bool:
    """Send skb now. True: it is gone, and the next may be tried.  Linux: net/sched/sch_generic.c."""
    valid = validate_xmit_skb_list(skb, dev)
    if valid is None:
        return True
    if not netif_xmit_stopped(txq):
        valid = dev_hard_start_xmit(valid, dev, txq)
        if valid is None:
            return True
    dev_requeue_skb(valid, q, txq)
    return False


def dequeue_skb(q: Qdisc) -> SkBuff | None:
    """The next packet: the one put back, or the discipline's, unless the driver's queue is stopped.

    Linux: net/sched/sch_generic.c.
    """
    txq = q.dev_queue
    if txq is not None and netif_xmit_stopped(txq):
        return None
    skb = q.gso_skb
    if skb is not None:
        q.gso_skb = None
        return skb
    skb = q.dequeue()
    if skb is not None:
        trace_qdisc_dequeue(q, skb)
    return skb


def qdisc_restart(q: Qdisc) -> bool:
    """Send one packet. True: there may be more to send.  Linux: net/sched/sch_generic.c."""
    skb = dequeue_skb(q)
    if skb is None:
        return False
    dev = q.dev
    txq = skb_get_tx_queue(dev, skb)
    return sch_direct_xmit(skb, q, dev, txq)


def __qdisc_run(q: Qdisc) -> None:
    """Send until there is nothing to send, the driver stops, or the quota is used up.  Linux: net/sched/sch_generic.c."""
    if (q.state & QDISC_STATE_RUNNING) != 0:
        return
    q.state |= QDISC_STATE_RUNNING
    quota: i64 = QDISC_QUOTA
    while qdisc_restart(q):
        quota -= 1
        if quota <= 0:
            __netif_schedule(q)
            break
    q.state &= ~QDISC_STATE_RUNNING


def __netif_schedule(q: Qdisc) -> None:
    """Let the NET_TX softirq run this qdisc.  Linux: net/core/dev.c."""
    if (q.state & QDISC_STATE_SCHED) == 0:
        q.state |= QDISC_STATE_SCHED
        world = q.dev.net.world
        world.softnet.output_queue.append(q)
        raise_softirq(world.cpu, NET_TX_SOFTIRQ)


def netif_schedule(q: Qdisc) -> None:
    """__netif_schedule, for methods: Python would mangle that name."""
    __netif_schedule(q)


def netif_wake_queue(txq: NetdevQueue) -> None:
    """The driver has room again.  Linux: include/linux/netdevice.h, netif_tx_wake_queue."""
    if (txq.state & QUEUE_STATE_DRV_XOFF) != 0:
        txq.state &= ~QUEUE_STATE_DRV_XOFF
        __netif_schedule(txq.qdisc)


# -- life with a device

def dev_init_scheduler(dev: NetDevice) -> None:
    """A new device: every queue has noop until the device goes up.  Linux: net/sched/sch_generic.c."""
    noop = NoopQdisc(dev)
    dev.qdisc = noop
    dev.tx = [NetdevQueue(dev, noop, i) for i in range(dev.num_tx_queues)]


def qdisc_create_dflt(dev: NetDevice) -> Qdisc:
    """The discipline that a device starts with.  Linux: net/sched/sch_generic.c, attach_one_default_qdisc."""
    qdisc: Qdisc
    if dev.no_queue or dev.tx_queue_len == 0:
        qdisc = NoqueueQdisc(dev)
    else:
        cls = dev.net.qdisc_base.get(dev.net.core.sysctl_default_qdisc, PfifoFastQdisc)
        qdisc = cls(dev)
        qdisc.init({})
    qdisc.default = True
    return qdisc


def dev_graft_qdisc(dev: NetDevice, qdisc: Qdisc, txq: NetdevQueue) -> None:
    """Put qdisc on a queue; what the old one held is dropped.  Linux: net/sched/sch_generic.c."""
    qdisc_reset(txq.qdisc)
    qdisc.dev_queue = txq
    txq.qdisc = qdisc
    if (dev.flags & IFF_UP) == 0:
        qdisc.state |= QDISC_STATE_DEACTIVATED


def dev_activate(dev: NetDevice) -> None:
    """The device went up: give the queues their default disciplines, unless they have others.  Linux: net/sched/sch_generic.c."""
    for txq in dev.tx:
        if txq.qdisc.id == 'noop':
            dev_graft_qdisc(dev, qdisc_create_dflt(dev), txq)
        txq.qdisc.state &= ~QDISC_STATE_DEACTIVATED
    dev.qdisc = dev.tx[0].qdisc


def dev_deactivate(dev: NetDevice) -> None:
    """The device goes down: drop what is queued, and take nothing more.  Linux: net/sched/sch_generic.c."""
    for txq in dev.tx:
        txq.qdisc.state |= QDISC_STATE_DEACTIVATED
        qdisc_reset(txq.qdisc)


def qdisc_reset(q: Qdisc) -> None:
    """Drop what a qdisc holds.  Linux: net/sched/sch_generic.c."""
    q.reset()
    retry = q.retry
    if retry is not None:
        del_timer(retry)
    waiting = q.gso_skb
    q.gso_skb = None
    kfree_skb_list_reason(waiting, SKB_DROP_REASON_QDISC_DROP)
