# SPDX-License-Identifier: Apache-2.0
"""FQ-CoDel: turns, credits, the longest queue, and what a bulk transfer does to an exchange beside it."""
from __future__ import annotations

import socket
import time

import pytest

from helpers.devices import frame, queued
from helpers.transfer import Transfer
from linnet import Lab
from linnet.include.linux.netdevice import NET_XMIT_CN, NET_XMIT_SUCCESS, NetDevice
from linnet.include.net.dropreason import SKB_DROP_REASON_QDISC_OVERLIMIT
from linnet.include.net.net_namespace import Net, World
from linnet.kernel.errno import EINVAL
from linnet.net.core.skbuff import kfree_skb, skb_bytes
from linnet.net.sched.sch_api import qdisc_create, tc_qdisc_show
from linnet.net.sched.sch_fq_codel import FqCodelQdisc


def on(dev: NetDevice, **options: int) -> FqCodelQdisc:
    qdisc = qdisc_create(dev, 'fq_codel', options)
    assert isinstance(qdisc, FqCodelQdisc)
    return qdisc


def put(q: FqCodelQdisc, flow: int, label: bytes, size: int = 1000) -> int:
    skb = frame(q.dev, label.ljust(size, b'.'))
    skb.hash = flow
    return int(q.enqueue(skb))


def order(q: FqCodelQdisc) -> bytes:
    """The labels in the order in which packets leave."""
    out = b''
    while (skb := q.dequeue()) is not None:
        out += skb_bytes(skb)[14:15]
        kfree_skb(skb)
    return out


def test_flows_take_turns(world: World, net: Net) -> None:
    q = on(queued(net), quantum=1014)
    for label in (b'a', b'a', b'a'):
        put(q, 1, label)
    for label in (b'b', b'b', b'b'):
        put(q, 2, label)
    assert order(q) == b'ababab'
    assert q.stats.backlog == 0 and q.q.qlen == 0 and q.memory_usage == 0


def test_a_new_flow_goes_first(world: World, net: Net) -> None:
    q = on(queued(net), quantum=1014)
    for _ in range(6):
        put(q, 1, b'a')
    out = b''
    for _ in range(2):
        skb = q.dequeue()
        assert skb is not None
        out += skb_bytes(skb)[14:15]
        kfree_skb(skb)
    put(q, 2, b'b')
    assert out + order(q) == b'aabaaaa'
    assert q.new_flow_count == 2


def test_turns_are_of_bytes(world: World, net: Net) -> None:
    q = on(queued(net), quantum=1000)
    for _ in range(2):
        put(q, 1, b'a', 986)
    for _ in range(8):
        put(q, 2, b'b', 236)
    assert order(q) == b'abbbbabbbb'


def test_the_longest_queue_pays(world: World, net: Net) -> None:
    q = on(queued(net), limit=20, drop_batch=4)
    for _ in range(18):
        assert put(q, 1, b'a') == NET_XMIT_SUCCESS
    assert [put(q, 2, b'b') for _ in range(2)] == [NET_XMIT_SUCCESS] * 2
    assert put(q, 2, b'b') == NET_XMIT_SUCCESS  # it was another that paid
    assert q.q.qlen == 17 and q.drop_overlimit == 4 and q.stats.drops == 4
    for _ in range(3):
        put(q, 1, b'a')
    assert put(q, 1, b'a') == NET_XMIT_CN
    assert net.mib.drops[SKB_DROP_REASON_QDISC_OVERLIMIT] == 8
    q.reset()
    assert q.memory_usage == 0


def test_memory_limit(world: World, net: Net) -> None:
    q = on(queued(net), memory_limit=10_000)
    while not q.drop_overlimit:
        put(q, 1, b'a')
    assert q.memory_usage <= 10_000
    q.reset()


def test_refuses_options(net: Net) -> None:
    dev = queued(net)
    for options in ({'flows': 0}, {'flows': 70_000}, {'colour': 1}, {'limit': -1}):
        assert FqCodelQdisc(dev).init(options) == -EINVAL


def test_shown_as_tc_shows_it(net: Net) -> None:
    dev = queued(net)
    on(dev)
    text = tc_qdisc_show(dev)
    assert 'limit 10240p flows 1024 quantum 1514 target 5ms interval 100ms memory_limit 32Mb ecn drop_batch 64' in text
    assert 'new_flows_len 0 old_flows_len 0' in text


@pytest.mark.parametrize(('kind', 'low', 'high'), [('fq_codel', 0.02, 0.04), ('pfifo', 0.08, 1)])
def test_an_exchange_beside_a_bulk_transfer(kind: str, low: float, high: float) -> None:
    """The path is 20 ms; the queue of a pfifo adds its hundred packets, fq_codel next to nothing."""
    times: list[float] = []
    with Lab(seed=1) as lab:
        t = Transfer(lab, limit=100, kind=kind)

        def ask() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(5)
                sock.connect(('server', 7))
                for _ in range(10):
                    time.sleep(0.2)
                    start = time.monotonic()
                    sock.send(b'x')
                    sock.recv(10)
                    times.append(time.monotonic() - start)

        def answer() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(('', 7))
                while True:
                    sock.sendto(*sock.recvfrom(10))

        t.server.spawn(answer, daemon=True)
        t.client.spawn(ask)
        t.run('cubic', 2.2)
        assert t.goodput(0.5, 2.2) > 8.5
    assert low <= sorted(times)[5] <= high
