# SPDX-License-Identifier: Apache-2.0
"""Disciplines by name: attaching them, those of one's own, and how they are shown."""
from __future__ import annotations

from helpers.devices import card, queued, send, sent, wake
from linnet.include.linux.netdevice import NET_XMIT_SUCCESS, NetDevice
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.net_namespace import Net
from linnet.include.net.sch_generic import Qdisc
from linnet.kernel.errno import EINVAL
from linnet.net.core.dev import dev_open, register_netdevice
from linnet.net.core.skbuff import kfree_skb
from linnet.net.sched.sch_api import qdisc_create, register_qdisc, tc_qdisc_show


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
    dev = queued(net, room=1)
    qdisc_create(dev, 'lifo')
    send(dev, b'first', b'a', b'b', b'c')
    wake(dev, 10)
    assert sent(dev) == [b'first', b'c', b'b', b'a']


def test_the_default_discipline_is_a_sysctl(net: Net) -> None:
    net.core.sysctl_default_qdisc = 'pfifo'
    assert queued(net).tx[0].qdisc.id == 'pfifo'


def test_shown_as_tc_shows_it(net: Net) -> None:
    dev = queued(net, room=2)
    send(dev, *[bytes(86)] * 5)
    assert tc_qdisc_show(dev) == (
        'qdisc pfifo_fast 0: dev eth0 root refcnt 2 bands 3 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1\n'
        ' Sent 300 bytes 3 pkt (dropped 0, overlimits 0 requeues 1) \n'
        ' backlog 200b 3p requeues 1'
    )
    qdisc_create(dev, 'pfifo', {'limit': 7})
    assert tc_qdisc_show(dev, stats=False) == 'qdisc pfifo 8001: dev eth0 root refcnt 2 limit 7p'
