# SPDX-License-Identifier: Apache-2.0
"""Running qdiscs: the way past an empty one, the way through, stopping and waking, requeueing, and their life with the device."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers.devices import ME, YOU, Card, bare_net, bare_world, card, frame
from linnet.include.linux.errno import EINVAL
from linnet.include.linux.netdevice import NET_XMIT_CN, NET_XMIT_DROP, NET_XMIT_SUCCESS, NetDevice
from linnet.include.linux.skbuff import SkBuff, SkBuffHead
from linnet.include.net.dropreason import SKB_DROP_REASON_QDISC_DROP, SKB_DROP_REASON_QDISC_OVERLIMIT
from linnet.include.net.net_namespace import Net, World
from linnet.include.net.sch_generic import Qdisc, qdisc_qlen
from linnet.kernel.softirq import do_softirq
from linnet.kernel.trace import TraceSink
from linnet.net.core.dev import dev_close, dev_open, dev_queue_xmit, register_netdevice
from linnet.net.core.skbuff import kfree_skb, skb_dequeue, skb_queue_tail
from linnet.net.sched.sch_api import qdisc_create, register_qdisc, tc_qdisc_show
from linnet.net.sched.sch_generic import PRIO2BAND, netif_wake_queue

HEADER = YOU + ME + b'\x08\0'


@pytest.fixture
def world() -> Iterator[World]:
    w = bare_world()
    yield w
    for net in w.nets:
        for dev in net.dev_base:
            dev_close(dev)
    assert w.slab.active() == {}


@pytest.fixture
def net(world: World) -> Net:
    return bare_net(world)


def up(net: Net, room: int = 1 << 30, queue_len: int = 1000) -> NetDevice:
    dev = card(net, 'eth0', Card(room))
    dev.tx_queue_len = queue_len
    assert register_netdevice(dev) == 0
    assert dev_open(dev) == 0
    return dev


def ops_of(dev: NetDevice) -> Card:
    assert isinstance(dev.netdev_ops, Card)
    return dev.netdev_ops


def send(dev: NetDevice, *payloads: bytes, priority: int = 0) -> list[int]:
    return [dev_queue_xmit(frame(dev, p, priority=priority)) for p in payloads]


def sent(dev: NetDevice) -> list[bytes]:
    return [data[14:] for data in ops_of(dev).sent]


def wake(dev: NetDevice, room: int) -> None:
    """The driver has room for so many packets."""
    ops_of(dev).room = room
    for txq in dev.tx:
        netif_wake_queue(txq)
    do_softirq(dev.net.world.cpu)


class Enqueues(TraceSink):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def event(self, name: str, fields: dict[str, object]) -> None:
        if name.startswith('qdisc:'):
            self.seen.append(name[6:])


class TestPfifoFast:
    def test_is_the_default_and_is_passed_by_while_empty(self, net: Net, world: World) -> None:
        dev = up(net)
        sink = Enqueues()
        world.trace.subscribe(sink)
        assert dev.tx[0].qdisc.id == 'pfifo_fast'
        assert send(dev, b'a', b'b') == [NET_XMIT_SUCCESS] * 2
        assert sent(dev) == [b'a', b'b']
        assert sink.seen == []

    def test_a_full_ring_backs_up_and_drains(self, net: Net) -> None:
        dev = up(net, room=2)
        assert send(dev, *(bytes([i]) for i in range(5))) == [NET_XMIT_SUCCESS] * 5
        assert sent(dev) == [b'\0', b'\1']
        # the third was tried, and waits in front of the queue
        assert qdisc_qlen(dev.tx[0].qdisc) == 3
        assert dev.tx[0].qdisc.q.qlen == 2
        wake(dev, 2)
        assert sent(dev) == [bytes([i]) for i in range(4)]
        wake(dev, 10)
        assert sent(dev) == [bytes([i]) for i in range(5)]
        send(dev, b'x')
        assert sent(dev)[-1] == b'x'

    def test_waking_a_queue_that_runs_does_nothing(self, net: Net) -> None:
        dev = up(net)
        netif_wake_queue(dev.tx[0])
        assert net.world.softnet.output_queue == []

    def test_bands_go_by_priority(self, net: Net) -> None:
        dev = up(net, room=1)
        send(dev, b'first', b'requeued')
        for priority in (2, 0, 6):
            send(dev, bytes([priority]), priority=priority)
        wake(dev, 10)
        assert sent(dev)[2:] == [b'\6', b'\0', b'\2']
        assert PRIO2BAND[:8] == (1, 2, 2, 2, 1, 2, 0, 0)

    def test_each_band_holds_tx_queue_len(self, net: Net) -> None:
        dev = up(net, room=1, queue_len=3)
        send(dev, b'first', b'requeued')
        assert send(dev, *[b'x'] * 4) == [NET_XMIT_SUCCESS] * 3 + [NET_XMIT_DROP]
        assert send(dev, b'y', priority=6) == [NET_XMIT_SUCCESS]
        assert net.mib.drops == {SKB_DROP_REASON_QDISC_DROP: 1}
        assert dev.tx[0].qdisc.stats.drops == 1

    def test_what_is_queued_is_dropped_when_the_device_goes_down(self, net: Net) -> None:
        dev = up(net, room=1)
        send(dev, b'first', b'second', b'third')
        dev_close(dev)
        assert net.mib.drops == {SKB_DROP_REASON_QDISC_DROP: 2}
        assert dev.tx[0].qdisc.stats.backlog == 0
        assert send(dev, b'x') == [NET_XMIT_DROP]
        dev_open(dev)
        dev.tx[0].state = 0
        assert send(dev, b'x') == [NET_XMIT_SUCCESS]

    def test_many_packets_are_sent_within_a_quota_a_run(self, net: Net) -> None:
        dev = up(net, room=1)
        send(dev, *(bytes([i]) for i in range(200)))
        wake(dev, 1000)
        assert sent(dev) == [bytes([i]) for i in range(200)]


class TestRequeue:
    def test_a_driver_that_is_busy_gets_the_packet_again_first(self, net: Net) -> None:
        dev = up(net)
        ops_of(dev).refuse = True
        assert send(dev, b'a', b'b') == [NET_XMIT_SUCCESS] * 2
        assert sent(dev) == []
        dev.net.world.sched.run(until=10_500_000)
        assert dev.tx[0].qdisc.stats.requeues >= 10
        ops_of(dev).refuse = False
        dev.net.world.sched.run(until=11_500_000)
        send(dev, b'c')
        assert sent(dev) == [b'a', b'b', b'c']

    def test_a_requeued_packet_is_dropped_with_the_device(self, net: Net) -> None:
        dev = up(net)
        ops_of(dev).refuse = True
        send(dev, b'a')
        assert dev.tx[0].qdisc.gso_skb is not None


class TestFifos:
    def test_pfifo_is_never_passed_by(self, net: Net, world: World) -> None:
        dev = up(net)
        qdisc_create(dev, 'pfifo', {})
        sink = Enqueues()
        world.trace.subscribe(sink)
        send(dev, b'a')
        assert sent(dev) == [b'a']
        assert sink.seen == ['qdisc_enqueue', 'qdisc_dequeue']

    def test_pfifo_counts_packets(self, net: Net) -> None:
        dev = up(net, room=1)
        qdisc_create(dev, 'pfifo', {'limit': 2})
        assert send(dev, b'a', b'b', b'c', b'd') == [NET_XMIT_SUCCESS] * 3 + [NET_XMIT_DROP]
        assert net.mib.drops == {SKB_DROP_REASON_QDISC_OVERLIMIT: 1}

    def test_bfifo_counts_bytes(self, net: Net) -> None:
        dev = up(net, room=1)
        qdisc_create(dev, 'bfifo', {'limit': 100})
        send(dev, b'first', b'requeued')
        assert send(dev, bytes(46), bytes(26), b'x') == [NET_XMIT_SUCCESS] * 2 + [NET_XMIT_DROP]
        assert dev.tx[0].qdisc.stats.backlog == 100

    def test_options_are_checked_before_anything_is_replaced(self, net: Net) -> None:
        dev = up(net)
        with pytest.raises(ValueError, match='limit'):
            qdisc_create(dev, 'pfifo', {'limit': -1})
        with pytest.raises(KeyError, match='pfifo_fast'):
            qdisc_create(dev, 'fq_nothing')
        assert dev.tx[0].qdisc.id == 'pfifo_fast'

    def test_replacing_drops_what_was_queued(self, net: Net) -> None:
        dev = up(net, room=1)
        send(dev, b'a', b'b')
        qdisc_create(dev, 'pfifo')
        assert net.mib.drops == {SKB_DROP_REASON_QDISC_DROP: 1}


def test_noop_takes_nothing(net: Net) -> None:
    dev = up(net)
    qdisc_create(dev, 'noop')
    assert send(dev, b'a') == [NET_XMIT_CN]
    assert sent(dev) == []


def test_noqueue_on_a_device_without_a_queue(net: Net) -> None:
    dev = card(net)
    dev.no_queue = True
    register_netdevice(dev)
    dev_open(dev)
    assert dev.qdisc is not None
    assert dev.qdisc.id == 'noqueue'
    assert tc_qdisc_show(dev).splitlines()[0] == 'qdisc noqueue 0: dev eth0 root refcnt 2 '


class Lifo(Qdisc):
    """A discipline of one's own: last in, first out, in a Python list."""

    id = 'lifo'

    def __init__(self, dev: NetDevice) -> None:
        super().__init__(dev)
        self.held = SkBuffHead()
        self.stack: list[SkBuff] = []

    def init(self, opt: dict[str, int]) -> int:
        return -EINVAL if opt.get('limit') == 0 else 0

    def enqueue(self, skb: SkBuff) -> int:
        self.stack.append(skb)
        return NET_XMIT_SUCCESS

    def dequeue(self) -> SkBuff | None:
        return self.stack.pop() if self.stack else None

    def reset(self) -> None:
        while self.stack:
            kfree_skb(self.stack.pop())


def test_a_discipline_of_ones_own(net: Net) -> None:
    register_qdisc(net, Lifo)
    dev = up(net, room=1)
    qdisc_create(dev, 'lifo')
    send(dev, b'first', b'a', b'b', b'c')
    wake(dev, 10)
    assert sent(dev) == [b'first', b'c', b'b', b'a']


def test_the_default_discipline_is_a_sysctl(net: Net) -> None:
    net.core.sysctl_default_qdisc = 'pfifo'
    assert up(net).tx[0].qdisc.id == 'pfifo'


def test_shown_as_tc_shows_it(net: Net) -> None:
    dev = up(net, room=2)
    send(dev, *[bytes(86)] * 5)
    assert tc_qdisc_show(dev) == (
        'qdisc pfifo_fast 0: dev eth0 root refcnt 2 bands 3 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1\n'
        ' Sent 300 bytes 3 pkt (dropped 0, overlimits 0 requeues 1) \n'
        ' backlog 200b 3p requeues 1'
    )
    qdisc_create(dev, 'pfifo', {'limit': 7})
    assert tc_qdisc_show(dev, stats=False) == 'qdisc pfifo 8001: dev eth0 root refcnt 2 limit 7p'


def test_a_queue_helper_pair(net: Net) -> None:
    dev = up(net)
    queue = SkBuffHead()
    skb = frame(dev)
    skb_queue_tail(queue, skb)
    assert skb_dequeue(queue) is skb
    kfree_skb(skb)
