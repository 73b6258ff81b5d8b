# SPDX-License-Identifier: Apache-2.0
"""wire: a cable between two Ethernet devices, with a rate, a delay, and the faults that cables have.

A direction is a transmit ring, a serializer and the air. A packet takes len * 8 / rate on the wire, its 14-byte header
included; then the sender's socket is let go of it (that is the moment a network card would say "sent"), chance decides what
becomes of it, and it arrives delay later through netif_rx. While the ring is full the transmit queue is stopped, so that the
qdisc above fills, as with a real card.

Order is kept: also under jitter a packet never overtakes another. Only `reorder` lets it: that share of the packets takes
longer by reorder_ns. So one queue and one timer serve all that is in the air, and a second timer the serializer: two events a
packet.

Random choices come from a stream of their own for each device (a fork of the Net's), so that other traffic does not shift
them.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mypy_extensions import i64, mypyc_attr

from linnet.include.linux.if_ether import ETH_HLEN
from linnet.include.linux.netdevice import (
    NETDEV_TX_BUSY,
    NETDEV_TX_OK,
    NETIF_F_GSO,
    NETIF_F_HW_CSUM,
    NETIF_F_RXCSUM,
    NETIF_F_SG,
    NetDevice,
    NetDeviceOps,
    netdev_get_tx_queue,
    netif_running,
    netif_tx_stop_queue,
)
from linnet.include.linux.skbuff import (
    CHECKSUM_NONE,
    CHECKSUM_PARTIAL,
    SkbFrag,
    SkBuff,
    SkBuffHead,
    __skb_dequeue,
    __skb_queue_tail,
    skb_headlen,
)
from linnet.include.net.dropreason import SKB_DROP_REASON_DEV_READY, SKB_DROP_REASON_LINK_DOWN, SKB_DROP_REASON_LINK_LOSS
from linnet.include.net.net_namespace import Net
from linnet.kernel.clock import Clock
from linnet.kernel.random import Random
from linnet.kernel.timer import TimerList, del_timer, mod_timer
from linnet.net.core.dev import __netif_rx, netif_carrier_off, netif_carrier_on, register_netdevice
from linnet.net.core.dev_xmit import skb_checksum_help
from linnet.net.core.skbuff import kfree_skb_reason, skb_clone, skb_orphan, skb_zcopy_clear
from linnet.net.core.skbuff_tstamp import skb_tx_timestamp
from linnet.net.ethernet.eth import eth_hw_addr_next, eth_type_trans, ether_setup
from linnet.net.sched.sch_generic import netif_wake_queue

RING_SIZE: Final = 256  # packets a transmit ring holds by default
DELIVER_BATCH: Final = 256  # packets that arrive at one instant before the receiver's softirq gets its turn
REORDER_PACKETS: Final = 4  # by default a reordered packet is late by the time of this many packets, and a quarter of the delay


@mypyc_attr(allow_interpreted_subclasses=True)
class WireLoss:
    """Decides by its number whether a packet is lost: for exact patterns, and for models of one's own."""

    def lost(self, n: int) -> bool:
        """Is the n-th packet (from 1) of this direction lost?"""
        return False


class LossPattern(WireLoss):
    """Loses the packets with these numbers."""

    def __init__(self, numbers: set[int]) -> None:
        self.numbers: set[int] = numbers

    def lost(self, n: int) -> bool:
        """Is n one of the numbers?"""
        return n in self.numbers


class LossFunction(WireLoss):
    """Asks a Python callable."""

    def __init__(self, fn: Callable[[int], bool]) -> None:
        self.fn: Callable[[int], bool] = fn

    def lost(self, n: int) -> bool:
        """What the callable says."""
        return self.fn(n)


class WireParams:
    """One direction of a wire. rate_bps 0: no limit. Shares lie in 0..1. loss_function is asked first, then chance with `loss`.

    jitter_ns: the delay of each packet is up to that much longer or shorter, evenly. reorder_ns: how much later a reordered
    packet comes; 0 for a quarter of the delay and the time of four packets like it.
    """

    def __init__(self, rate_bps: int = 0, delay_ns: int = 0, jitter_ns: int = 0, loss: float = 0.0, duplicate: float = 0.0,
                 reorder: float = 0.0, corrupt: float = 0.0, ring_size: int = RING_SIZE, reorder_ns: int = 0,
                 loss_function: WireLoss | None = None) -> None:
        self.rate_bps: int = rate_bps
        self.delay_ns: int = delay_ns
        self.jitter_ns: int = jitter_ns
        self.loss: float = loss
        self.duplicate: float = duplicate
        self.reorder: float = reorder
        self.corrupt: float = corrupt
        self.ring_size: int = ring_size
        self.reorder_ns: int = reorder_ns
        self.loss_function: WireLoss | None = loss_function


class WireOps(NetDeviceOps):
    """One end of a wire and the direction that leaves it."""

    def __init__(self, net: Net, name: str, params: WireParams) -> None:
        clock = net.clock
        self.clock: Clock = clock
        self.random: Random = net.random.fork('wire ' + name)
        self.dev: NetDevice | None = None
        self.peer: NetDevice | None = None
        self.ring: SkBuffHead = SkBuffHead()  # the first is being serialized
        self.air: SkBuffHead = SkBuffHead()  # by time of arrival, which is in tstamp
        self.late: list[LateTimer] = []  # reordered packets in the air
        self.tx_timer: TxTimer = TxTimer(clock, self)
        self.rx_timer: RxTimer = RxTimer(clock, self)
        self.last_arrival: i64 = 0
        self.nr_sent: int = 0  # packets serialized: the number a loss function gets
        self.rate_bps: i64 = 0
        self.delay_ns: i64 = 0
        self.jitter_ns: i64 = 0
        self.reorder_ns: i64 = 0
        self.ring_size: i64 = RING_SIZE
        self.faults: bool = False
        self.loss: float = 0.0
        self.duplicate: float = 0.0
        self.reorder: float = 0.0
        self.corrupt: float = 0.0
        self.loss_function: WireLoss | None = None
        self.set_params(params)

    def set_params(self, params: WireParams) -> None:
        """Take new properties; they hold for packets whose serialization, or flight, begins from now on."""
        self.rate_bps = params.rate_bps
        self.delay_ns = params.delay_ns
        self.jitter_ns = params.jitter_ns
        self.reorder_ns = params.reorder_ns
        self.ring_size = params.ring_size if params.ring_size > 0 else 1
        self.loss = params.loss
        self.duplicate = params.duplicate
        self.reorder = params.reorder
        self.corrupt = params.corrupt
        self.loss_function = params.loss_function
        self.faults = (
            params.loss > 0 or params.duplicate > 0 or params.reorder > 0 or params.corrupt > 0 or params.jitter_ns > 0
            or params.loss_function is not None
        )

    def ndo_start_xmit(self, skb: SkBuff, dev: NetDevice) -> i64:
        """See wire_xmit."""
        return wire_xmit(self, skb, dev)

    def ndo_stop(self, dev: NetDevice) -> int:
        """Drop what is in the ring and in the air."""
        wire_purge(self)
        return 0


class TxTimer(TimerList):
    """The packet at the head of the ring is on the wire completely."""

    def __init__(self, clock: Clock, wire: WireOps) -> None:
        super().__init__(clock)
        self.wire: WireOps = wire

    def function(self) -> None:
        """See wire_tx_done."""
        wire_tx_done(self.wire)


class RxTimer(TimerList):
    """The first packet in the air arrives."""

    def __init__(self, clock: Clock, wire: WireOps) -> None:
        super().__init__(clock)
        self.wire: WireOps = wire

    def function(self) -> None:
        """See wire_arrive."""
        wire_arrive(self.wire)


class LateTimer(TimerList):
    """A reordered packet arrives."""

    def __init__(self, clock: Clock, wire: WireOps, skb: SkBuff) -> None:
        super().__init__(clock)
        self.wire: WireOps = wire
        self.skb: SkBuff = skb

    def function(self) -> None:
        """Receive it."""
        self.wire.late.remove(self)
        wire_rx(self.wire, self.skb)


def wire_xmit(wire: WireOps, skb: SkBuff, dev: NetDevice) -> i64:
    """Put skb into the ring; with no rate to keep it is in the air at once."""
    if not dev.carrier:
        dev.stats.tx_dropped += 1
        kfree_skb_reason(skb, SKB_DROP_REASON_LINK_DOWN)
        return NETDEV_TX_OK
    ring = wire.ring
    waiting = ring.qlen
    rate = wire.rate_bps
    if rate == 0 and waiting == 0:
        wire_launch(wire, skb, dev)
        return NETDEV_TX_OK
    if waiting >= wire.ring_size:
        netif_tx_stop_queue(netdev_get_tx_queue(dev, 0))
        return NETDEV_TX_BUSY
    __skb_queue_tail(ring, skb)
    if waiting == 0:
        mod_timer(wire.tx_timer, wire.clock.now + skb.len * 8_000_000_000 // rate)
    if waiting + 1 >= wire.ring_size:
        netif_tx_stop_queue(netdev_get_tx_queue(dev, 0))
    return NETDEV_TX_OK


def wire_tx_done(wire: WireOps) -> None:
    """A packet is out: begin with the next, and let the queue run again once a quarter of the ring is free."""
    dev = wire.dev
    ring = wire.ring
    skb = __skb_dequeue(ring)
    if skb is None or dev is None:
        return
    following = ring.next
    if following is not None:
        rate = wire.rate_bps
        now = wire.clock.now
        mod_timer(wire.tx_timer, now if rate == 0 else now + following.len * 8_000_000_000 // rate)
    wire_launch(wire, skb, dev)
    if ring.qlen <= wire.ring_size - (wire.ring_size >> 2) - 1:
        txq = netdev_get_tx_queue(dev, 0)
        if txq.state != 0:
            netif_wake_queue(txq)


def wire_launch(wire: WireOps, skb: SkBuff, dev: NetDevice) -> None:
    """skb has left the sender: it arrives after the delay, unless the wire's faults have it otherwise."""
    dev.stats.tx_packets += 1
    dev.stats.tx_bytes += skb.len
    if skb.tx_flags != 0:
        skb_tx_timestamp(skb)
        skb.tx_flags = 0
    if skb.uarg is not None:
        skb_zcopy_clear(skb, True)  # the device has read it out of the program's own memory
    skb_orphan(skb)
    skb.dst = None
    skb.hash = 0
    skb.priority = 0
    skb.mark = 0
    skb.queue_mapping = 0
    skb.ignore_df = False  # a liberty of the sender's own host
    wire.nr_sent += 1
    if wire.faults:
        wire_faults(wire, skb)
    else:
        wire_fly(wire, skb, wire.clock.now + wire.delay_ns)


def wire_fly(wire: WireOps, skb: SkBuff, arrival: i64) -> None:
    """Queue skb for its arrival, behind what flies already."""
    if arrival < wire.last_arrival:
        arrival = wire.last_arrival  # it does not overtake, also where the delay was lowered meanwhile
    wire.last_arrival = arrival
    skb.tstamp = arrival
    air = wire.air
    __skb_queue_tail(air, skb)
    if air.qlen == 1:
        mod_timer(wire.rx_timer, arrival)


def wire_faults(wire: WireOps, skb: SkBuff) -> None:
    """Lose, damage, duplicate or delay skb, as chance has it."""
    random = wire.random
    fn = wire.loss_function
    if (fn is not None and fn.lost(wire.nr_sent)) or random.chance(wire.loss):
        kfree_skb_reason(skb, SKB_DROP_REASON_LINK_LOSS)
        return
    twin: SkBuff | None = None
    if random.chance(wire.duplicate):
        twin = skb_clone(skb)
    if random.chance(wire.corrupt):
        wire_corrupt(skb, random)
    arrival = wire.clock.now + wire.delay_ns
    jitter = wire.jitter_ns
    if jitter > 0:
        arrival += random.below(int(2 * jitter + 1)) - jitter
        if arrival < wire.clock.now:
            arrival = wire.clock.now
    if random.chance(wire.reorder):
        wire_fly_late(wire, skb, arrival)
    else:
        wire_fly(wire, skb, arrival)
    if twin is not None:
        wire_fly(wire, twin, arrival)


def wire_fly_late(wire: WireOps, skb: SkBuff, arrival: i64) -> None:
    """Let skb arrive later than its time, so that others overtake it."""
    extra = wire.reorder_ns
    if extra == 0:
        extra = wire.delay_ns >> 2
        if wire.rate_bps != 0:
            extra += REORDER_PACKETS * skb.len * 8_000_000_000 // wire.rate_bps
    skb.tstamp = arrival + extra
    timer = LateTimer(wire.clock, wire, skb)
    wire.late.append(timer)
    mod_timer(timer, skb.tstamp)


def wire_corrupt(skb: SkBuff, random: Random) -> None:
    """Flip one bit behind the Ethernet header. A checksum left to the device is made first, so that it can tell."""
    if skb.ip_summed == CHECKSUM_PARTIAL:
        skb_checksum_help(skb)
    skb.ip_summed = CHECKSUM_NONE
    if skb.len <= ETH_HLEN:
        return
    bit = random.below(int((skb.len - ETH_HLEN) * 8))
    mask = 1 << (bit & 7)
    at: i64 = ETH_HLEN + (bit >> 3)
    headlen = skb_headlen(skb)
    if at < headlen:
        skb.head = flip(skb.head, skb.data + at, mask)
        return
    at -= headlen
    frags: list[SkbFrag] = []
    for frag in skb.frags:
        if 0 <= at < frag.size:
            page = flip(frag.page[frag.offset:frag.offset + frag.size], at, mask)
            frags.append(SkbFrag(page, 0, frag.size))
        else:
            frags.append(frag)
        at -= frag.size
    skb.frags = frags


def flip(data: bytes, at: i64, mask: int) -> bytes:
    """The same bytes with some bits of the one at `at` turned over."""
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1:]


def wire_arrive(wire: WireOps) -> None:
    """Receive what arrives now; arm the timer for what is still in the air."""
    air = wire.air
    now = wire.clock.now
    batch: i64 = DELIVER_BATCH
    while True:
        skb = air.next
        if skb is None:
            return
        if skb.tstamp > now or batch == 0:
            mod_timer(wire.rx_timer, skb.tstamp)
            return
        batch -= 1
        __skb_dequeue(air)
        wire_rx(wire, skb)


def wire_rx(wire: WireOps, skb: SkBuff) -> None:
    """Hand skb to the host at the far end."""
    peer = wire.peer
    if peer is None or not netif_running(peer) or not peer.carrier:
        kfree_skb_reason(skb, SKB_DROP_REASON_DEV_READY)
        return
    stats = peer.stats
    stats.rx_packets += 1
    stats.rx_bytes += skb.len
    eth_type_trans(skb, peer)
    __netif_rx(skb)


def wire_purge(wire: WireOps) -> None:
    """Drop all that is on its way from this end."""
    del_timer(wire.tx_timer)
    del_timer(wire.rx_timer)
    for queue in (wire.ring, wire.air):
        skb = __skb_dequeue(queue)
        while skb is not None:
            kfree_skb_reason(skb, SKB_DROP_REASON_LINK_DOWN)
            skb = __skb_dequeue(queue)
    wire.last_arrival = 0
    late = wire.late
    wire.late = []
    for timer in late:
        del_timer(timer)
        kfree_skb_reason(timer.skb, SKB_DROP_REASON_LINK_DOWN)
    dev = wire.dev
    if dev is not None and dev.tx:
        netif_wake_queue(netdev_get_tx_queue(dev, 0))


def wire_setup(net: Net, name: str, params: WireParams) -> NetDevice:
    """One end: checksums are left to it, segmentation is not."""
    ops = WireOps(net, name, params)
    dev = NetDevice(net, name, ops)
    ops.dev = dev
    ether_setup(dev)
    dev.dev_addr = eth_hw_addr_next(net.world)
    dev.features = NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_RXCSUM | NETIF_F_GSO
    return dev


def wire_ops(dev: NetDevice) -> WireOps:
    """The wire behind a device; TypeError where it is no wire."""
    ops = dev.netdev_ops
    if not isinstance(ops, WireOps):
        raise TypeError(f'{dev.name} is not an end of a wire')
    return ops


def wire_newlink(net_a: Net, name_a: str, net_b: Net, name_b: str, params_a: WireParams,
                 params_b: WireParams) -> tuple[NetDevice, NetDevice]:
    """Two devices and the cable between them, registered and down; params_a is what a sends through.

    FileExistsError where a name is taken.
    """
    a = wire_setup(net_a, name_a, params_a)
    b = wire_setup(net_b, name_b, params_b)
    for dev, peer in ((a, b), (b, a)):
        wire_ops(dev).peer = peer
        if register_netdevice(dev) != 0:
            raise FileExistsError(f'{dev.net.name} has a device named {dev.name!r} already')
    return a, b


def wire_set_params(dev: NetDevice, params: WireParams) -> None:
    """Change the direction that leaves dev, while packets fly."""
    wire_ops(dev).set_params(params)


def wire_set_carrier(dev: NetDevice, on: bool) -> None:
    """Pull the cable (all that is in it is lost, and what is sent meanwhile), or plug it in again. The devices stay up."""
    ops = wire_ops(dev)
    peer = ops.peer
    assert peer is not None
    for end in (dev, peer):
        if on:
            netif_carrier_on(end)
        else:
            netif_carrier_off(end)
            wire_purge(wire_ops(end))
