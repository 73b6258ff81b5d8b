# SPDX-License-Identifier: Apache-2.0
"""Hosts without protocols, and devices that a test holds both ends of: for what lies below IP."""
from __future__ import annotations

from linnet.include.linux.if_ether import ETH_P_IP
from linnet.include.linux.netdevice import (
    NETDEV_TX_BUSY,
    NETDEV_TX_OK,
    NetDevice,
    NetDeviceOps,
    PacketType,
    netif_tx_stop_queue,
)
from linnet.include.linux.skbuff import SkBuff, skb_push
from linnet.include.net.net_namespace import Net, World
from linnet.kernel.clock import VirtualClock
from linnet.kernel.softirq import do_softirq
from linnet.kernel.trace import TraceSink
from linnet.net.core.dev import dev_open, dev_queue_xmit, net_dev_init, register_netdevice
from linnet.net.core.skbuff import alloc_skb, consume_skb, skb_bytes, skb_init
from linnet.net.ethernet.eth import ether_setup
from linnet.net.netfilter.core import netfilter_net_init
from linnet.net.sched.sch_api import pktsched_init
from linnet.net.sched.sch_generic import netif_wake_queue

ME = b'\x02\0\0\0\0\x01'
YOU = b'\x02\0\0\0\0\x02'


def bare_world(seed: int = 1) -> World:
    """A world whose hosts have a device layer and nothing above it."""
    world = World(VirtualClock(), seed)
    skb_init(world)
    net_dev_init(world)
    return world


def bare_net(world: World, name: str = 'host') -> Net:
    """A host with a device layer and nothing above it, not even lo."""
    net = Net(world, name)
    netfilter_net_init(net)
    pktsched_init(net)
    return net


class Card(NetDeviceOps):
    """A driver that keeps what it is given, as bytes; `room` packets fit, then its queue is stopped; refuse: it answers BUSY."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.sent: list[bytes] = []
        self.room = room
        self.refuse = False
        self.calls: list[str] = []
        self.open_error = 0
        self.queues: list[int] = []

    def ndo_init(self, dev: NetDevice) -> int:
        self.calls.append('init')
        return 0

    def ndo_open(self, dev: NetDevice) -> int:
        self.calls.append('open')
        return self.open_error

    def ndo_stop(self, dev: NetDevice) -> int:
        self.calls.append('stop')
        return 0

    def ndo_start_xmit(self, skb: SkBuff, dev: NetDevice) -> int:
        if self.refuse:
            return NETDEV_TX_BUSY
        self.sent.append(skb_bytes(skb))
        self.queues.append(int(skb.queue_mapping))
        consume_skb(skb)
        self.room -= 1
        if self.room == 0:
            for txq in dev.tx:
                netif_tx_stop_queue(txq)
        return NETDEV_TX_OK


class Sink(PacketType):
    """A protocol that keeps what it receives, as (bytes, pkt_type, device)."""

    def __init__(self, type: int = ETH_P_IP, dev: NetDevice | None = None) -> None:
        super().__init__(type, dev)
        self.got: list[tuple[bytes, int, str]] = []

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> int:
        self.got.append((skb_bytes(skb), int(skb.pkt_type), dev.name))
        consume_skb(skb)
        return 0


def card(net: Net, name: str = 'eth0', ops: NetDeviceOps | None = None, queues: int = 1) -> NetDevice:
    """An Ethernet device on a Card (or other driver), not registered."""
    dev = NetDevice(net, name, ops or Card(), queues)
    ether_setup(dev)
    dev.dev_addr = ME
    return dev


def frame(dev: NetDevice, payload: bytes = b'payload', dest: bytes = YOU, proto: int = ETH_P_IP, priority: int = 0) -> SkBuff:
    """An Ethernet frame from dev, ready to be sent."""
    skb = alloc_skb(dev.net.world, len(payload))
    skb.head = payload
    skb.len = len(payload)
    skb.network_header = 0
    skb.protocol = proto
    skb.priority = priority
    skb.dev = dev
    skb_push(skb, dest + dev.dev_addr + proto.to_bytes(2, 'big'))
    return skb


def queued(net: Net, room: int = 1 << 30, queue_len: int = 1000) -> NetDevice:
    """An Ethernet device that is up, with its default qdisc, and a Card with room for so many packets."""
    dev = card(net, 'eth0', Card(room))
    dev.tx_queue_len = queue_len
    assert register_netdevice(dev) == 0
    assert dev_open(dev) == 0
    return dev


def ops_of(dev: NetDevice) -> Card:
    """The Card behind a device."""
    assert isinstance(dev.netdev_ops, Card)
    return dev.netdev_ops


def send(dev: NetDevice, *payloads: bytes, priority: int = 0) -> list[int]:
    """Send a frame a payload: what dev_queue_xmit says of each."""
    return [dev_queue_xmit(frame(dev, p, priority=priority)) for p in payloads]


def sent(dev: NetDevice) -> list[bytes]:
    """The payloads that the Card was given."""
    return [data[14:] for data in ops_of(dev).sent]


def wake(dev: NetDevice, room: int) -> None:
    """The driver has room for so many packets."""
    ops_of(dev).room = room
    for txq in dev.tx:
        netif_wake_queue(txq)
    do_softirq(dev.net.world.cpu)


class Enqueues(TraceSink):
    """The names of the qdisc tracepoints passed."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def event(self, name: str, fields: dict[str, object]) -> None:
        if name.startswith('qdisc:'):
            self.seen.append(name[6:])
