# SPDX-License-Identifier: Apache-2.0
"""Running qdiscs: the way past an empty one, the way through, stopping and waking, requeueing, and their life with the device."""
from __future__ import annotations

from helpers.devices import Enqueues, ops_of, queued, send, sent, wake
from linnet.include.linux.netdevice import NET_XMIT_CN, NET_XMIT_DROP, NET_XMIT_SUCCESS
from linnet.include.net.dropreason import SKB_DROP_REASON_QDISC_DROP
from linnet.include.net.net_namespace import Net, World
from linnet.include.net.sch_generic import qdisc_qlen
from linnet.net.core.dev import dev_close, dev_open
from linnet.net.sched.sch_api import qdisc_create
from linnet.net.sched.sch_generic import PRIO2BAND, netif_wake_queue


class TestPfifoFast:
    def test_is_the_default_and_is_passed_by_while_empty(self, net: Net, world: World) -> None:
        dev = queued(net)
        sink = Enqueues()
        world.trace.subscribe(sink)
        assert dev.tx[0].qdisc.id == 'pfifo_fast'
        assert send(dev, b'a', b'b') == [NET_XMIT_SUCCESS] * 2
        assert sent(dev) == [b'a', b'b']
        assert sink.seen == []

    def test_a_full_ring_backs_up_and_drains(self, net: Net) -> None:
        dev = queued(net, room=2)
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
        dev = queued(net)
        netif_wake_queue(dev.tx[0])
        assert net.world.softnet.output_queue == []

    def test_bands_go_by_priority(self, net: Net) -> None:
        dev = queued(net, room=1)
        send(dev, b'first', b'requeued')
        for priority in (2, 0, 6):
            send(dev, bytes([priority]), priority=priority)
        wake(dev, 10)
        assert sent(dev)[2:] == [b'\6', b'\0', b'\2']
        assert PRIO2BAND[:8] == (1, 2, 2, 2, 1, 2, 0, 0)

    def test_each_band_holds_tx_queue_len(self, net: Net) -> None:
        dev = queued(net, room=1, queue_len=3)
        send(dev, b'first', b'requeued')
        assert send(dev, *[b'x'] * 4) == [NET_XMIT_SUCCESS] * 3 + [NET_XMIT_DROP]
        assert send(dev, b'y', priority=6) == [NET_XMIT_SUCCESS]
        assert net.mib.drops == {SKB_DROP_REASON_QDISC_DROP: 1}
        assert dev.tx[0].qdisc.stats.drops == 1

    def test_what_is_queued_is_dropped_when_the_device_goes_down(self, net: Net) -> None:
        dev = queued(net, room=1)
        send(dev, b'first', b'second', b'third')
        dev_close(dev)
        assert net.mib.drops == {SKB_DROP_REASON_QDISC_DROP: 2}
        assert dev.tx[0].qdisc.stats.backlog == 0
        assert send(dev, b'x') == [NET_XMIT_DROP]
        dev_open(dev)
        dev.tx[0].state = 0
        assert send(dev, b'x') == [NET_XMIT_SUCCESS]

    def test_many_packets_are_sent_within_a_quota_a_run(self, net: Net) -> None:
        dev = queued(net, room=1)
        send(dev, *(bytes([i]) for i in range(200)))
        wake(dev, 1000)
        assert sent(dev) == [bytes([i]) for i in range(200)]


class TestRequeue:
    def test_a_driver_that_is_busy_gets_the_packet_again_first(self, net: Net) -> None:
        dev = queued(net)
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
        dev = queued(net)
        ops_of(dev).refuse = True
        send(dev, b'a')
        assert dev.tx[0].qdisc.gso_skb is not None


def test_noop_takes_nothing(net: Net) -> None:
    dev = queued(net)
    qdisc_create(dev, 'noop')
    assert send(dev, b'a') == [NET_XMIT_CN]
    assert sent(dev) == []
