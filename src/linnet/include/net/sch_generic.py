# SPDX-License-Identifier: Apache-2.0
"""struct Qdisc: a queueing discipline. One class is both Qdisc and Qdisc_ops; net/sched/ and people subclass it.

A qdisc of your own: subclass Qdisc, override enqueue and dequeue (and peek where it reorders), register it by its id
with register_qdisc (net/sched/sch_api.py), and attach it to a device.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from mypy_extensions import i64, mypyc_attr

from linnet.include.linux.skbuff import SkBuff, SkBuffHead
from linnet.kernel.errno import EINVAL
from linnet.kernel.timer import TimerList

if TYPE_CHECKING:
    from linnet.include.linux.netdevice import NetDevice, NetdevQueue

TCQ_F_CAN_BYPASS: Final = 4  # an empty qdisc may be passed by
TCQ_F_NOLOCK: Final = 0x100
QDISC_STATE_SCHED: Final = 1
QDISC_STATE_DEACTIVATED: Final = 2
QDISC_STATE_RUNNING: Final = 4


class GnetStats:
    """What `tc -s qdisc` shows: bytes, packets, drops, overlimits, requeues; qlen and backlog are now."""

    def __init__(self) -> None:
        self.bytes: i64 = 0
        self.packets: i64 = 0
        self.drops: i64 = 0
        self.overlimits: i64 = 0
        self.requeues: i64 = 0
        self.backlog: i64 = 0


@mypyc_attr(allow_interpreted_subclasses=True)
class Qdisc:
    """The base: a FIFO of skbs in `q`. limit is in packets or bytes, as the discipline says."""

    id: ClassVar[str] = 'noop'

    def __init__(self, dev: NetDevice) -> None:
        self.dev: NetDevice = dev
        self.dev_queue: NetdevQueue | None = None
        self.q: SkBuffHead = SkBuffHead()
        self.flags: i64 = 0
        self.state: i64 = 0
        self.limit: i64 = 0
        self.handle: i64 = 0
        self.parent: i64 = 0xFFFFFFFF  # TC_H_ROOT
        self.gso_skb: SkBuff | None = None  # requeued: it is sent before anything else
        self.retry: TimerList | None = None  # armed while the driver is busy without having stopped its queue
        self.stats: GnetStats = GnetStats()
        self.default: bool = False
        self.has_queue: bool = True  # False for noqueue: the device is called straight

    def init(self, opt: dict[str, int]) -> int:
        """Take options by tc's names ({'limit': 100}): 0, or -EINVAL for a value below 0 and for what set_option() refuses."""
        for name, value in opt.items():
            if value < 0 or not self.set_option(name, value):
                return -EINVAL
        return 0

    def set_option(self, name: str, value: i64) -> bool:
        """One option; False: there is none of that name, or it cannot have this value. The base heeds none and refuses none."""
        return True

    def enqueue(self, skb: SkBuff) -> i64:
        """Take skb: NET_XMIT_SUCCESS, NET_XMIT_CN, or NET_XMIT_DROP having freed it."""
        raise AssertionError(f'qdisc {self.id} has no enqueue')

    def dequeue(self) -> SkBuff | None:
        """The next packet to send, or None."""
        raise AssertionError(f'qdisc {self.id} has no dequeue')

    def peek(self) -> SkBuff | None:
        """The packet that dequeue would give, left where it is."""
        return self.q.next

    def reset(self) -> None:
        """Drop all that is queued (the device goes down)."""
        raise AssertionError(f'qdisc {self.id} has no reset')

    def dump(self) -> str:
        """The discipline's own options, as `tc qdisc show` prints them after the id."""
        return ''

    def dump_stats(self) -> str:
        """Lines of its own that `tc -s qdisc show` adds, or nothing."""
        return ''


def qdisc_qlen(q: Qdisc) -> i64:
    """Packets queued, the requeued one included.  Linux: include/net/sch_generic.h."""
    return q.q.qlen + (0 if q.gso_skb is None else 1)


def qdisc_pkt_len(skb: SkBuff) -> i64:
    """Bytes on the wire of this packet, headers of all its segments included.  Linux: include/net/sch_generic.h."""
    if skb.gso_segs > 1:
        header = skb.transport_header - skb.data + skb.tcp_doff
        return skb.len + (skb.gso_segs - 1) * header
    return skb.len
