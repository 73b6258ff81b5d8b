# SPDX-License-Identifier: Apache-2.0
"""pfifo and bfifo: their limits, in packets and in bytes."""
from __future__ import annotations

import pytest

from helpers.devices import Enqueues, queued, send, sent
from linnet.include.linux.netdevice import NET_XMIT_DROP, NET_XMIT_SUCCESS
from linnet.include.net.dropreason import SKB_DROP_REASON_QDISC_DROP, SKB_DROP_REASON_QDISC_OVERLIMIT
from linnet.include.net.net_namespace import Net, World
from linnet.net.sched.sch_api import qdisc_create


def test_pfifo_is_never_passed_by(net: Net, world: World) -> None:
    dev = queued(net)
    qdisc_create(dev, 'pfifo', {})
    sink = Enqueues()
    world.trace.subscribe(sink)
    send(dev, b'a')
    assert sent(dev) == [b'a']
    assert sink.seen == ['qdisc_enqueue', 'qdisc_dequeue']


def test_pfifo_counts_packets(net: Net) -> None:
    dev = queued(net, room=1)
    qdisc_create(dev, 'pfifo', {'limit': 2})
    assert send(dev, b'a', b'b', b'c', b'd') == [NET_XMIT_SUCCESS] * 3 + [NET_XMIT_DROP]
    assert net.mib.drops == {SKB_DROP_REASON_QDISC_OVERLIMIT: 1}


def test_bfifo_counts_bytes(net: Net) -> None:
    dev = queued(net, room=1)
    qdisc_create(dev, 'bfifo', {'limit': 100})
    send(dev, b'first', b'requeued')
    assert send(dev, bytes(46), bytes(26), b'x') == [NET_XMIT_SUCCESS] * 2 + [NET_XMIT_DROP]
    assert dev.tx[0].qdisc.stats.backlog == 100


def test_options_are_checked_before_anything_is_replaced(net: Net) -> None:
    dev = queued(net)
    with pytest.raises(ValueError, match='limit'):
        qdisc_create(dev, 'pfifo', {'limit': -1})
    with pytest.raises(KeyError, match='pfifo_fast'):
        qdisc_create(dev, 'fq_nothing')
    assert dev.tx[0].qdisc.id == 'pfifo_fast'


def test_replacing_drops_what_was_queued(net: Net) -> None:
    dev = queued(net, room=1)
    send(dev, b'a', b'b')
    qdisc_create(dev, 'pfifo')
    assert net.mib.drops == {SKB_DROP_REASON_QDISC_DROP: 1}
