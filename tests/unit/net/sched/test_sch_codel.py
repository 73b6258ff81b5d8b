# SPDX-License-Identifier: Apache-2.0
"""CoDel: what is dropped, what is marked, and when."""
from __future__ import annotations

import pytest

from helpers.devices import frame, queued, sent
from linnet.include.linux.if_ether import ETH_HLEN, ETH_P_IP
from linnet.include.linux.ip import ip_fast_csum, ip_set_ce
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dropreason import SKB_DROP_REASON_QDISC_CONGESTED, SKB_DROP_REASON_QDISC_OVERLIMIT
from linnet.include.net.net_namespace import Net, World
from linnet.kernel.errno import EINVAL
from linnet.net.core.skbuff import kfree_skb
from linnet.net.sched.sch_api import qdisc_create, tc_qdisc_show
from linnet.net.sched.sch_codel import CodelQdisc, INET_ECN_set_ce, codel_control_law

MS = 1_000_000


def codel_on(dev: NetDevice, **options: int) -> CodelQdisc:
    qdisc = qdisc_create(dev, 'codel', options)
    assert isinstance(qdisc, CodelQdisc)
    return qdisc


def packet(dev: NetDevice, tos: int = 0, size: int = 1000) -> SkBuff:
    """A frame with an IPv4 header and a right checksum."""
    header = bytes([0x45, tos]) + size.to_bytes(2, 'big') + bytes([0, 1, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2])
    check = ip_fast_csum(header, 0, 20)
    header = header[:10] + int(check).to_bytes(2, 'big') + header[12:]
    skb = frame(dev, header + bytes(size - 20))
    skb.protocol = ETH_P_IP
    skb.network_header = skb.data + ETH_HLEN
    return skb


def at(world: World, when: int) -> None:
    """Let time pass."""
    world.sched.run(when)


def run(world: World, q: CodelQdisc, dev: NetDevice, ms: int, tos: int = 0, every: int = 1) -> tuple[list[int], list[int]]:
    """A queue that stands: for some ms one packet in and one out every ms. (TOS of what came out, times of drops)."""
    out: list[int] = []
    drops: list[int] = []
    for _ in range(ms // every):
        at(world, world.clock.now + every * MS)
        q.enqueue(packet(dev, tos))
        before = q.stats.drops
        skb = q.dequeue()
        drops += [world.clock.now // MS] * (q.stats.drops - before)
        if skb is not None:
            out.append(skb.head[skb.network_header + 1])
            kfree_skb(skb)
    return out, drops


def test_a_short_queue_is_left_alone(world: World, net: Net) -> None:
    dev = queued(net)
    q = codel_on(dev)
    for _ in range(4):
        q.enqueue(packet(dev))
    _, drops = run(world, q, dev, 500)  # each waits 4 ms
    assert drops == []
    q.reset()


def test_a_standing_queue_is_thinned_at_a_growing_rate(world: World, net: Net) -> None:
    dev = queued(net)
    q = codel_on(dev)
    for _ in range(400):
        q.enqueue(packet(dev))
    start = world.clock.now // MS
    _, drops = run(world, q, dev, 700)
    # the first one interval after the wait passed 5 ms; then after 100/sqrt(1), 100/sqrt(2), 100/sqrt(3) ms ... (RFC 8289, 5.6)
    relative = [t - start for t in drops[:5]]
    assert relative == pytest.approx([106, 206, 277, 335, 385], abs=3)
    assert net.mib.drops[SKB_DROP_REASON_QDISC_CONGESTED] == len(drops)
    q.reset()


def test_ecn_marks_instead(world: World, net: Net) -> None:
    dev = queued(net)
    q = codel_on(dev, ecn=1)
    for _ in range(400):
        q.enqueue(packet(dev, 2))
    out, drops = run(world, q, dev, 500, tos=2)
    assert drops == []
    assert out.count(3) == q.params.ecn_mark >= 4
    assert 'ecn' in tc_qdisc_show(dev) and f'ecn_mark {q.params.ecn_mark}' in tc_qdisc_show(dev)
    q.reset()


def test_ecn_still_drops_what_is_not_capable(world: World, net: Net) -> None:
    dev = queued(net)
    q = codel_on(dev, ecn=1)
    for _ in range(400):
        q.enqueue(packet(dev, 0))
    out, drops = run(world, q, dev, 300)
    assert drops and set(out) == {0}
    q.reset()


def test_ce_threshold_marks_all_that_waited_longer(world: World, net: Net) -> None:
    dev = queued(net)
    q = codel_on(dev, ce_threshold=2 * MS)
    for _ in range(4):
        q.enqueue(packet(dev, 1))
    out, drops = run(world, q, dev, 20, tos=1)
    # the four were queued at once: waits of 1, 2, 3, 4 ms, and from then on 4 ms
    assert out[:2] == [1, 1] and set(out[2:]) == {3}
    assert drops == [] and q.params.ce_mark == len(out) - 2
    assert 'ce_threshold 2ms' in tc_qdisc_show(dev)
    q.reset()


def test_limit(world: World, net: Net) -> None:
    dev = queued(net)
    q = codel_on(dev, limit=2)
    for _ in range(3):
        q.enqueue(packet(dev))
    assert q.stats.drops == 1 and q.drop_overlimit == 1
    assert net.mib.drops[SKB_DROP_REASON_QDISC_OVERLIMIT] == 1
    q.reset()
    assert q.stats.backlog == 0 and q.q.qlen == 0


def test_sends_through_a_device(world: World, net: Net) -> None:
    dev = queued(net)
    q = codel_on(dev)
    q.enqueue(packet(dev))
    skb = q.dequeue()
    assert skb is not None and q.stats.packets == 1 and q.stats.bytes == skb.len
    kfree_skb(skb)
    assert q.dequeue() is None
    assert sent(dev) == []


def test_refuses_options(net: Net) -> None:
    dev = queued(net)
    assert CodelQdisc(dev).init({'target': -1}) == -EINVAL
    assert CodelQdisc(dev).init({'flows': 4}) == -EINVAL
    with pytest.raises(ValueError, match='codel'):
        qdisc_create(dev, 'codel', {'quantum': 3})


def test_shown_as_tc_shows_it(net: Net) -> None:
    dev = queued(net)
    codel_on(dev, limit=50, target=1_500_000, interval=30 * MS)
    assert 'qdisc codel 8001: dev' in tc_qdisc_show(dev)
    assert 'limit 50p target 1500us interval 30ms' in tc_qdisc_show(dev)


def test_control_law() -> None:
    assert codel_control_law(0, 100 * MS, 1) == 100 * MS
    assert codel_control_law(5, 100 * MS, 4) == pytest.approx(50 * MS + 5, abs=1000)


@pytest.mark.parametrize('tos', [1, 2, 0x69, 0xFE])
@pytest.mark.parametrize('check', [0, 1, 2, 0x1234, 0xFFFE])
def test_the_mark_keeps_the_checksum_right(tos: int, check: int) -> None:
    head = bytes([0x45, tos, 0, 20]) + check.to_bytes(2, 'big') + bytes([0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2])
    head = head[:10] + int(ip_fast_csum(head, 0, 20)).to_bytes(2, 'big') + head[12:]
    marked = ip_set_ce(b'xx' + head, 2)
    assert marked[:2] == b'xx' and marked[3] == tos | 3
    assert ip_fast_csum(marked, 2, 20) in (0, 0xFFFF)
    assert marked[4:12] == head[2:10]


@pytest.mark.parametrize(('tclass', 'marked', 'after'), [
    (0, False, 0), (0x40, False, 0x40), (1, True, 3), (0xFE, True, 0xFF), (3, True, 3)])
def test_ipv6_is_marked_in_its_traffic_class(net: Net, tclass: int, marked: bool, after: int) -> None:
    dev = queued(net)
    header = (6 << 28 | tclass << 20 | 0x12345).to_bytes(4, 'big') + bytes(36)
    skb = frame(dev, header)
    skb.protocol = 0x86DD
    skb.network_header = skb.data + ETH_HLEN
    assert INET_ECN_set_ce(skb) == marked
    nh = int(skb.network_header)
    assert skb.head[nh:nh + 40] == (6 << 28 | after << 20 | 0x12345).to_bytes(4, 'big') + bytes(36)
    kfree_skb(skb)
