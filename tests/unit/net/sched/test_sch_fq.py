# SPDX-License-Identifier: Apache-2.0
"""fq: times of departure, fairness between flows, bands, rates and limits."""
from __future__ import annotations

import pytest

from helpers.devices import frame, queued, send, sent, wake
from linnet.include.linux.netdevice import NET_XMIT_DROP, NET_XMIT_SUCCESS, NetDevice
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_FQ_BAND_LIMIT,
    SKB_DROP_REASON_FQ_FLOW_LIMIT,
    SKB_DROP_REASON_FQ_HORIZON_LIMIT,
)
from linnet.include.net.net_namespace import Net, World
from linnet.net.core.dev import dev_close, dev_queue_xmit
from linnet.net.core.skbuff import kfree_skb
from linnet.net.sched.sch_api import qdisc_create, tc_qdisc_show
from linnet.net.sched.sch_fq import FqQdisc

MS = 1_000_000
SEC = 1_000_000_000


def fq_on(dev: NetDevice, **options: int) -> FqQdisc:
    qdisc = qdisc_create(dev, 'fq', options)
    assert isinstance(qdisc, FqQdisc)
    return qdisc


def put(dev: NetDevice, payload: bytes, flow: int, at: int = 0, priority: int = 0) -> int:
    """Send a frame of a flow that may leave at `at` ns (0: it says nothing)."""
    skb = frame(dev, payload, priority=priority)
    skb.hash = flow
    skb.tstamp = at
    return int(dev_queue_xmit(skb))


def departures(world: World, dev: NetDevice, until: int, step: int = MS) -> list[tuple[int, bytes]]:
    """What leaves up to `until`, with the end of the step of time in which it did."""
    seen = len(sent(dev))
    out: list[tuple[int, bytes]] = []
    while world.clock.now < until:
        world.sched.run(world.clock.now + step)
        for payload in sent(dev)[seen:]:
            out.append((int(world.clock.now), payload))
        seen = len(sent(dev))
    return out


class TestTime:
    def test_a_packet_leaves_at_its_time(self, net: Net, world: World) -> None:
        dev = queued(net)
        fq_on(dev)
        put(dev, b'late', 1, at=5 * MS)
        put(dev, b'soon', 2, at=2 * MS)
        put(dev, b'now', 3)
        assert sent(dev) == [b'now']
        assert departures(world, dev, 10 * MS) == [(2 * MS, b'soon'), (5 * MS, b'late')]

    def test_of_one_flow_the_earlier_goes_first(self, net: Net, world: World) -> None:
        dev = queued(net)
        fq_on(dev)
        for name, at in ((b'c', 3 * MS), (b'a', 1 * MS), (b'b', 2 * MS), (b'd', 3 * MS)):
            put(dev, name, 1, at=at)
        # once a flow is throttled, it is until then, whatever comes for it
        assert departures(world, dev, 10 * MS) == [(3 * MS, name) for name in (b'a', b'b', b'c', b'd')]

    def test_beyond_the_horizon_is_dropped(self, net: Net) -> None:
        dev = queued(net)
        fq_on(dev)
        assert put(dev, b'x', 1, at=11 * SEC) == NET_XMIT_DROP
        assert net.mib.drops == {SKB_DROP_REASON_FQ_HORIZON_LIMIT: 1}

    def test_or_brought_nearer(self, net: Net, world: World) -> None:
        dev = queued(net)
        qdisc = fq_on(dev, horizon=5 * MS, horizon_drop=0)
        put(dev, b'x', 1, at=11 * SEC)
        assert departures(world, dev, 10 * MS) == [(5 * MS, b'x')]
        assert 'horizon_caps 1' in qdisc.dump_stats()

    def test_a_packet_that_left_carries_no_stamp(self, net: Net, world: World) -> None:
        dev = queued(net)
        qdisc = fq_on(dev)
        skb = frame(dev)
        skb.tstamp = MS
        skb.users += 1
        dev_queue_xmit(skb)
        world.sched.run(2 * MS)
        assert skb.tstamp == 0
        assert qdisc.stats.packets == 1
        kfree_skb(skb)


class TestFairness:
    def test_flows_take_turns(self, net: Net, world: World) -> None:
        dev = queued(net)
        fq_on(dev, quantum=1014, initial_quantum=1014)
        for nr in range(3):
            put(dev, b'a%d'.ljust(1001, b'.') % nr, 1, at=MS)
        for nr in range(3):
            put(dev, b'b%d'.ljust(1001, b'.') % nr, 2, at=MS)
        order = [payload[:2] for _, payload in departures(world, dev, 2 * MS)]
        assert order == [b'a0', b'b0', b'a1', b'b1', b'a2', b'b2']

    def test_a_new_flow_goes_before_old_ones(self, net: Net, world: World) -> None:
        dev = queued(net, room=2)
        fq_on(dev, quantum=1014, initial_quantum=1014)
        for nr in range(3):
            put(dev, b'a%d'.ljust(1001, b'.') % nr, 1, at=MS)
        send(dev, b'first', b'second')  # the driver is full now
        world.sched.run(2 * MS)
        put(dev, b'b0', 2)
        wake(dev, 3)
        assert [payload[:2] for payload in sent(dev)] == [b'fi', b'se', b'b0', b'a0', b'a1']

    def test_the_first_band_has_most_of_the_link(self, net: Net, world: World) -> None:
        dev = queued(net)
        fq_on(dev, flow_limit=10_000)
        for _ in range(1000):
            put(dev, bytes([1]) * 986, 1, at=MS, priority=6)  # band 0
            put(dev, bytes([2]) * 986, 2, at=MS, priority=0)  # band 1
            put(dev, bytes([3]) * 986, 3, at=MS, priority=1)  # band 2
        first = [payload[0] for _, payload in departures(world, dev, 2 * MS)][:850]
        # 9 : 3 : 1 by weight
        assert [round(first.count(band) / 850 * 13) for band in (1, 2, 3)] == [9, 3, 1]

    def test_control_packets_pass_what_waits(self, net: Net, world: World) -> None:
        dev = queued(net)
        qdisc = fq_on(dev)
        put(dev, b'waits', 1, at=MS)
        put(dev, b'control', 1, priority=7)
        assert sent(dev) == [b'control']
        assert 'highprio 1' in qdisc.dump_stats()


class TestRate:
    def test_maxrate_spaces_packets(self, net: Net, world: World) -> None:
        dev = queued(net)
        # 3028 bytes, a quantum, each 3.028 ms
        fq_on(dev, maxrate=1_000_000, initial_quantum=1514)
        for nr in range(5):
            put(dev, bytes([nr]) * 1500, 1)
        assert [payload[0] for payload in sent(dev)] == [0]
        times = [time for time, _ in departures(world, dev, 20 * MS, step=1000)]
        assert [round(time / 1000) for time in times] == [3028, 3028, 6056, 6056]

    def test_a_slow_flow_is_spaced_packet_by_packet(self, net: Net, world: World) -> None:
        dev = queued(net)
        fq_on(dev, maxrate=10_000)
        for nr in range(3):
            put(dev, bytes([nr]) * 86, 1)
        assert [time for time, _ in departures(world, dev, 50 * MS)] == [10 * MS, 20 * MS]

    def test_stamped_packets_are_spaced_by_maxrate_as_well(self, net: Net, world: World) -> None:
        dev = queued(net)
        fq_on(dev, maxrate=100_000)
        for nr in range(3):
            put(dev, bytes([nr]) * 986, 1, at=MS)
        assert [time for time, _ in departures(world, dev, 50 * MS)] == [1 * MS, 11 * MS, 21 * MS]

    def test_without_pacing_rates_are_not_kept(self, net: Net) -> None:
        dev = queued(net)
        fq_on(dev, maxrate=10_000, pacing=0)
        for nr in range(3):
            put(dev, bytes([nr]) * 86, 1)
        assert len(sent(dev)) == 3


class TestLimits:
    def test_of_a_flow(self, net: Net) -> None:
        dev = queued(net)
        qdisc = fq_on(dev, flow_limit=2)
        assert [put(dev, b'x', 1, at=MS) for _ in range(3)] == [NET_XMIT_SUCCESS] * 2 + [NET_XMIT_DROP]
        assert put(dev, b'x', 2, at=MS) == NET_XMIT_SUCCESS
        assert net.mib.drops == {SKB_DROP_REASON_FQ_FLOW_LIMIT: 1}
        assert 'flows_plimit 1' in qdisc.dump_stats()

    def test_of_a_band(self, net: Net) -> None:
        dev = queued(net)
        fq_on(dev, limit=2)
        assert [put(dev, b'x', flow, at=MS) for flow in (1, 2, 3)] == [NET_XMIT_SUCCESS] * 2 + [NET_XMIT_DROP]
        assert put(dev, b'x', 3, at=MS, priority=6) == NET_XMIT_SUCCESS
        assert net.mib.drops == {SKB_DROP_REASON_FQ_BAND_LIMIT: 1}

    def test_old_flows_are_forgotten(self, net: Net, world: World) -> None:
        dev = queued(net)
        qdisc = fq_on(dev, buckets=2)
        for flow in range(1, 5):
            put(dev, b'x', flow, at=MS)
        put(dev, b'x', 8, at=2 * MS)  # whoever comes next finds the others empty
        world.sched.run(4 * SEC)
        assert len(qdisc.flow_table) == 5
        put(dev, b'x', 9, at=5 * SEC)
        assert [flow.q.qlen for flow in qdisc.flow_table.values()] == [0, 1]
        assert qdisc.stat_gc_flows == 4

    @pytest.mark.parametrize('option', [{'quantum': 0}, {'limit': -1}, {'colour': 3}])
    def test_bad_options(self, net: Net, option: dict[str, int]) -> None:
        with pytest.raises(ValueError, match='fq'):
            fq_on(queued(net), **option)

    def test_reset_drops_what_waits(self, net: Net) -> None:
        dev = queued(net)
        qdisc = fq_on(dev)
        put(dev, b'x', 1, at=MS)
        dev_close(dev)
        assert (qdisc.q.qlen, qdisc.stats.backlog, len(qdisc.flow_table), qdisc.watchdog.armed) == (0, 0, 0, False)


class TestShow:
    def test_options_and_figures(self, net: Net) -> None:
        dev = queued(net)
        fq_on(dev, maxrate=1_000_000)
        put(dev, b'gone', 1)
        put(dev, b'waits', 2, at=MS)
        assert tc_qdisc_show(dev).splitlines() == [
            'qdisc fq 8001: dev eth0 root refcnt 2 limit 10000p flow_limit 100p buckets 1024 orphan_mask 1023 bands 3 '
            'priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1 weights 589824 196608 65536 quantum 3028b initial_quantum 15140b '
            'maxrate 8Mbit low_rate_threshold 550Kbit refill_delay 40ms timer_slack 10us horizon 10s horizon_drop',
            ' Sent 18 bytes 1 pkt (dropped 0, overlimits 0 requeues 0) ',
            ' backlog 19b 1p requeues 0',
            '  flows 2 (inactive 1 throttled 1) band0_pkts 0 band1_pkts 1 band2_pkts 0 next_packet_delay 1000000ns',
            '  gc 0 highprio 0 fastpath 0 throttled 1',
        ]

    def test_it_may_be_the_default(self, net: Net) -> None:
        net.core.sysctl_default_qdisc = 'fq'
        dev = queued(net)
        assert dev.qdisc is not None
        assert dev.qdisc.id == 'fq'
        send(dev, b'a')
        assert sent(dev) == [b'a']
        assert 'fastpath 1' in dev.qdisc.dump_stats()
