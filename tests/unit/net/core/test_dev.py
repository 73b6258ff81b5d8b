# SPDX-License-Identifier: Apache-2.0
"""The device layer: registration, sending with and without a queue, receiving in softirq context, taps, budgets, carrier."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers.devices import ME, YOU, Card, Sink, bare_net, bare_world, card, frame
from linnet.include.linux.if_ether import ETH_P_ALL, ETH_P_ARP, ETH_P_IP
from linnet.include.linux.netdevice import (
    IFF_RUNNING,
    IFF_UP,
    NET_RX_DROP,
    NET_RX_SUCCESS,
    NET_XMIT_DROP,
    NET_XMIT_SUCCESS,
    NapiStruct,
    NetDevice,
    NetDeviceOps,
)
from linnet.include.linux.notifier import (
    NETDEV_CHANGE,
    NETDEV_CHANGEMTU,
    NETDEV_DOWN,
    NETDEV_GOING_DOWN,
    NETDEV_REGISTER,
    NETDEV_UNREGISTER,
    NETDEV_UP,
    NotifierBlock,
)
from linnet.include.linux.skbuff import PACKET_HOST, PACKET_OUTGOING, SkBuff
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_CPU_BACKLOG,
    SKB_DROP_REASON_DEV_READY,
    SKB_DROP_REASON_UNHANDLED_PROTO,
)
from linnet.include.net.net_namespace import Net, World
from linnet.kernel.errno import EBUSY, EEXIST, EINVAL, ENETDOWN
from linnet.kernel.softirq import local_bh_disable, local_bh_enable
from linnet.kernel.trace import TraceSink
from linnet.net.core.dev import (
    dev_add_pack,
    dev_alloc_name,
    dev_close,
    dev_get_by_index,
    dev_get_by_name,
    dev_open,
    dev_queue_xmit,
    dev_remove_pack,
    dev_set_mtu,
    napi_complete,
    napi_schedule,
    netif_carrier_off,
    netif_carrier_on,
    netif_receive_skb,
    netif_rx,
    register_netdevice,
    unregister_netdevice,
)
from linnet.net.core.skbuff import alloc_skb, consume_skb
from linnet.net.ethernet.eth import eth_type_trans


@pytest.fixture
def world() -> Iterator[World]:
    w = bare_world()
    yield w
    assert w.slab.active() == {}
    assert w.cpu.bh_disable == 0


@pytest.fixture
def net(world: World) -> Net:
    return bare_net(world)


def up(net: Net, name: str = 'eth0', ops: NetDeviceOps | None = None, no_queue: bool = True, queues: int = 1) -> NetDevice:
    dev = card(net, name, ops, queues)
    dev.no_queue = no_queue
    assert register_netdevice(dev) == 0
    assert dev_open(dev) == 0
    return dev


def ops_of(dev: NetDevice) -> Card:
    assert isinstance(dev.netdev_ops, Card)
    return dev.netdev_ops


def arrived(dev: NetDevice, payload: bytes = b'payload', proto: int = ETH_P_IP) -> SkBuff:
    """A packet as a driver hands it up."""
    skb = frame(dev, payload, ME, proto)
    eth_type_trans(skb, dev)
    return skb


class Events(NotifierBlock):
    def __init__(self) -> None:
        self.seen: list[tuple[int, str]] = []

    def notifier_call(self, event: int, dev: NetDevice, addr: int = 0, prefixlen: int = 0) -> None:
        self.seen.append((event, dev.name))


class TestRegistration:
    def test_a_device_has_a_place_in_its_namespace(self, net: Net) -> None:
        first, second = up(net, 'eth0'), up(net, 'eth1')
        assert (first.ifindex, second.ifindex) == (1, 2)
        assert dev_get_by_name(net, 'eth1') is second
        assert dev_get_by_index(net, 1) is first
        assert dev_get_by_name(net, 'eth2') is None
        assert dev_get_by_index(net, 3) is None

    def test_names(self, net: Net) -> None:
        up(net, 'eth0')
        assert register_netdevice(card(net, 'eth0')) == -EEXIST
        for bad in ('', '.', '..', 'a/b', 'a b', 'a:b', 'x' * 16):
            assert register_netdevice(card(net, bad)) == -EINVAL
        dev = card(net, 'eth%d')
        assert register_netdevice(dev) == 0
        assert dev.name == 'eth1'
        assert dev_alloc_name(net, 'eth%d') == 'eth2'

    def test_twice_is_refused(self, net: Net) -> None:
        dev = up(net)
        assert register_netdevice(dev) == -EBUSY

    def test_life_is_told(self, net: Net) -> None:
        events = Events()
        net.netdev_chain.append(events)
        dev = up(net)
        assert dev_set_mtu(dev, 1400) == 0
        unregister_netdevice(dev)
        unregister_netdevice(dev)
        assert [e for e, _ in events.seen] == [
            NETDEV_REGISTER, NETDEV_UP, NETDEV_CHANGEMTU, NETDEV_GOING_DOWN, NETDEV_DOWN, NETDEV_UNREGISTER]
        assert ops_of(dev).calls == ['init', 'open', 'stop']
        assert net.dev_base == []

    def test_a_driver_may_refuse_to_open(self, net: Net) -> None:
        ops = Card()
        ops.open_error = -EINVAL
        dev = card(net, 'eth0', ops)
        assert register_netdevice(dev) == 0
        assert dev_open(dev) == -EINVAL
        assert dev.flags & IFF_UP == 0

    def test_mtu_bounds(self, net: Net) -> None:
        dev = up(net)
        assert dev_set_mtu(dev, 67) == -EINVAL
        assert dev_set_mtu(dev, 65536) == -EINVAL
        assert dev_set_mtu(dev, 68) == 0
        assert dev.mtu == 68

    def test_carrier_shows_in_the_flags(self, net: Net) -> None:
        dev = up(net)
        events = Events()
        net.netdev_chain.append(events)
        assert dev.flags & IFF_RUNNING
        netif_carrier_off(dev)
        netif_carrier_off(dev)
        assert not dev.flags & IFF_RUNNING
        netif_carrier_on(dev)
        assert dev.flags & IFF_RUNNING
        assert events.seen == [(NETDEV_CHANGE, 'eth0')] * 2


class TestSending:
    def test_without_a_queue(self, net: Net) -> None:
        dev = up(net)
        assert dev_queue_xmit(frame(dev, b'hello')) == NET_XMIT_SUCCESS
        assert ops_of(dev).sent == [YOU + ME + b'\x08\0hello']

    def test_without_a_queue_what_is_refused_is_lost(self, net: Net) -> None:
        dev = up(net)
        ops_of(dev).refuse = True
        assert dev_queue_xmit(frame(dev)) == -ENETDOWN
        assert dev.stats.tx_dropped == 1

    @pytest.mark.parametrize('no_queue', [True, False])
    def test_a_device_that_is_down_drops(self, net: Net, no_queue: bool) -> None:
        dev = up(net, no_queue=no_queue)
        dev_close(dev)
        rc = dev_queue_xmit(frame(dev))
        assert rc in (-ENETDOWN, NET_XMIT_DROP)
        assert ops_of(dev).sent == []

    def test_a_device_that_never_was_up_drops(self, net: Net) -> None:
        dev = card(net)
        assert register_netdevice(dev) == 0
        assert dev_queue_xmit(frame(dev)) != NET_XMIT_SUCCESS
        assert ops_of(dev).sent == []

    def test_devices_that_send_through_each_other_end_somewhere(self, net: Net) -> None:
        class Stack(NetDeviceOps):
            """Sends through itself for ever."""

            depth = 0

            def ndo_start_xmit(self, skb: SkBuff, dev: NetDevice) -> int:
                Stack.depth += 1
                dev_queue_xmit(skb)
                return 0

        dev = up(net, ops=Stack())
        dev_queue_xmit(frame(dev))
        assert Stack.depth == 8
        assert dev.stats.tx_dropped == 1

    def test_flows_keep_to_their_queue(self, net: Net) -> None:
        ops = Card()
        dev = up(net, ops=ops, queues=4, no_queue=False)
        for flow in range(64):
            for _ in range(2):
                skb = frame(dev)
                skb.hash = 0
                skb.saddr, skb.daddr, skb.sport, skb.dport = 1, 2, flow, 80
                dev_queue_xmit(skb)
        pairs = list(zip(ops.queues[::2], ops.queues[1::2], strict=True))
        assert all(a == b for a, b in pairs)
        assert {a for a, _ in pairs} == {0, 1, 2, 3}

    def test_the_driver_may_choose_the_queue(self, net: Net) -> None:
        class Chooser(Card):
            def ndo_select_queue(self, dev: NetDevice, skb: SkBuff) -> int:
                return 2

        ops = Chooser()
        dev = up(net, ops=ops, queues=4, no_queue=False)
        dev_queue_xmit(frame(dev))
        assert ops.queues == [2]


class TestReceiving:
    def test_the_protocol_gets_it(self, net: Net) -> None:
        dev, sink = up(net), Sink()
        dev_add_pack(net, sink)
        assert netif_rx(arrived(dev, b'hello')) == NET_RX_SUCCESS
        assert sink.got == [(b'hello', PACKET_HOST, 'eth0')]

    def test_not_before_bottom_halves_are_enabled(self, net: Net, world: World) -> None:
        dev, sink = up(net), Sink()
        dev_add_pack(net, sink)
        local_bh_disable(world.cpu)
        netif_rx(arrived(dev, b'1'))
        netif_rx(arrived(dev, b'2'))
        assert sink.got == []
        local_bh_enable(world.cpu)
        assert [data for data, _, _ in sink.got] == [b'1', b'2']

    def test_unknown_protocols_are_dropped_by_name(self, net: Net) -> None:
        dev = up(net)
        netif_rx(arrived(dev, proto=0x1234))
        assert net.mib.drops == {SKB_DROP_REASON_UNHANDLED_PROTO: 1}
        assert dev.stats.rx_dropped == 1

    def test_a_device_that_is_down_receives_nothing(self, net: Net) -> None:
        dev = up(net)
        dev_close(dev)
        assert netif_rx(arrived(dev)) == NET_RX_DROP
        assert net.mib.drops == {SKB_DROP_REASON_DEV_READY: 1}

    def test_the_backlog_has_a_limit(self, net: Net, world: World) -> None:
        dev, sink = up(net), Sink()
        dev_add_pack(net, sink)
        net.core.sysctl_netdev_max_backlog = 10
        local_bh_disable(world.cpu)
        results = [netif_rx(arrived(dev)) for _ in range(15)]
        local_bh_enable(world.cpu)
        # Linux lets one more in than the limit says
        assert results == [NET_RX_SUCCESS] * 11 + [NET_RX_DROP] * 4
        assert len(sink.got) == 11
        assert net.mib.drops == {SKB_DROP_REASON_CPU_BACKLOG: 4}

    def test_more_than_a_weight_is_received_in_rounds(self, net: Net, world: World) -> None:
        dev, sink = up(net), Sink()
        dev_add_pack(net, sink)
        polls: list[object] = []

        class Polls(TraceSink):
            def event(self, name: str, fields: dict[str, object]) -> None:
                if name == 'napi:napi_poll':
                    polls.append(fields['work'])

        world.trace.subscribe(Polls())
        local_bh_disable(world.cpu)
        for i in range(150):
            netif_rx(arrived(dev, bytes([i])))
        local_bh_enable(world.cpu)
        assert [data[0] for data, _, _ in sink.got] == list(range(150))
        assert polls == [64, 64, 22]

    def test_a_receiver_that_sends_gets_the_answer_behind_what_is_queued(self, net: Net) -> None:
        """What arrives while the backlog is worked on is received after it, not in between."""
        dev = up(net)
        order: list[bytes] = []

        class Echo(Sink):
            def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> int:
                data = skb.head[skb.data:]
                order.append(data)
                consume_skb(skb)
                if len(data) == 1:
                    netif_rx(arrived(dev, data * 2))
                return 0

        dev_add_pack(net, Echo())
        local_bh_disable(net.world.cpu)
        for c in (b'a', b'b', b'c'):
            netif_rx(arrived(dev, c))
        local_bh_enable(net.world.cpu)
        assert order == [b'a', b'b', b'c', b'aa', b'bb', b'cc']

    def test_unregistering_takes_its_packets_off_the_backlog(self, net: Net, world: World) -> None:
        dev, other, sink = up(net), up(net, 'eth1'), Sink()
        dev_add_pack(net, sink)
        local_bh_disable(world.cpu)
        netif_rx(arrived(dev))
        netif_rx(arrived(other))
        unregister_netdevice(dev)
        local_bh_enable(world.cpu)
        assert [name for _, _, name in sink.got] == ['eth1']


class Poller(NapiStruct):
    """A device with `pending` packets to be polled."""

    def __init__(self, dev: NetDevice, pending: int, weight: int = 64) -> None:
        super().__init__(dev, weight)
        self.pending = pending
        self.rounds: list[int] = []

    def poll(self, budget: int) -> int:
        n = min(budget, self.pending)
        for _ in range(n):
            assert self.dev is not None
            netif_receive_skb(arrived(self.dev))
        self.pending -= n
        self.rounds.append(n)
        if n < budget:
            napi_complete(self)
        return n


class TestNapi:
    def test_polled_until_it_is_done(self, net: Net, world: World) -> None:
        dev, sink = up(net), Sink()
        dev_add_pack(net, sink)
        napi = Poller(dev, 130)
        local_bh_disable(world.cpu)
        napi_schedule(napi)
        napi_schedule(napi)
        local_bh_enable(world.cpu)
        assert napi.rounds == [64, 64, 2]
        assert len(sink.got) == 130
        assert not napi.scheduled

    def test_turns_are_taken(self, net: Net, world: World) -> None:
        dev, other, sink = up(net), up(net, 'eth1'), Sink()
        dev_add_pack(net, sink)
        napis = [Poller(dev, 100), Poller(other, 100)]
        local_bh_disable(world.cpu)
        for napi in napis:
            napi_schedule(napi)
        local_bh_enable(world.cpu)
        assert [len(list(run)) for run in (napis[0].rounds, napis[1].rounds)] == [2, 2]
        names = [name for _, _, name in sink.got]
        assert names == ['eth0'] * 64 + ['eth1'] * 64 + ['eth0'] * 36 + ['eth1'] * 36

    def test_a_round_has_a_budget(self, net: Net, world: World) -> None:
        net.core.sysctl_netdev_budget = 100
        sink = Sink()
        dev_add_pack(net, sink)
        napis = [Poller(up(net, f'eth{i}'), 64) for i in range(4)]
        local_bh_disable(world.cpu)
        for napi in napis:
            napi_schedule(napi)
        local_bh_enable(world.cpu)
        assert len(sink.got) == 256
        assert world.softnet.time_squeeze > 0


class TestHandlers:
    def test_taps_see_both_ways(self, net: Net) -> None:
        dev, other = up(net), up(net, 'eth1')
        every, one, ip = Sink(ETH_P_ALL), Sink(ETH_P_ALL, dev), Sink()
        for pt in (every, one, ip):
            dev_add_pack(net, pt)
        dev_queue_xmit(frame(dev, b'out'))
        dev_queue_xmit(frame(other, b'other'))
        netif_rx(arrived(dev, b'in'))
        out = (YOU + ME + b'\x08\0out', PACKET_OUTGOING, 'eth0')
        assert one.got == [out, (b'in', PACKET_HOST, 'eth0')]
        assert every.got[0] == out
        assert [name for _, _, name in every.got] == ['eth0', 'eth1', 'eth0']
        for pt in (every, one):
            dev_remove_pack(net, pt)
            dev_remove_pack(net, pt)
        netif_rx(arrived(dev, b'again'))
        assert len(one.got) == 2
        assert len(every.got) == 3
        assert len(ip.got) == 2

    def test_a_second_handler_of_a_protocol_gets_a_clone(self, net: Net) -> None:
        dev, first, second = up(net), Sink(), Sink()
        dev_add_pack(net, first)
        dev_add_pack(net, second)
        netif_rx(arrived(dev, b'x'))
        assert first.got == second.got == [(b'x', PACKET_HOST, 'eth0')]
        dev_remove_pack(net, first)
        netif_rx(arrived(dev, b'y'))
        assert len(first.got) == 1
        assert len(second.got) == 2

    def test_a_handler_for_one_device(self, net: Net) -> None:
        dev, other = up(net), up(net, 'eth1')
        sink = Sink(ETH_P_ARP, other)
        dev_add_pack(net, sink)
        netif_rx(arrived(dev, b'x', ETH_P_ARP))
        netif_rx(arrived(other, b'y', ETH_P_ARP))
        assert sink.got == [(b'y', PACKET_HOST, 'eth1')]
        assert net.mib.drops == {SKB_DROP_REASON_UNHANDLED_PROTO: 1}


def test_a_packet_without_a_device_is_a_mistake(world: World) -> None:
    skb = alloc_skb(world, 10)
    with pytest.raises(AssertionError):
        dev_queue_xmit(skb)
    consume_skb(skb)
    world.cpu.bh_disable = 0
