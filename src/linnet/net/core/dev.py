# SPDX-License-Identifier: Apache-2.0
"""The device layer: registration, transmission through the queueing discipline, and reception in softirq context.

    down:  dev_queue_xmit -> __dev_queue_xmit -> qdisc (sched/sch_generic.py) or straight
           -> dev_hard_start_xmit (dev_xmit.py) -> driver
    up:    driver -> netif_rx -> the CPU's backlog ... NET_RX softirq: net_rx_action -> __napi_poll -> process_backlog
           -> __netif_receive_skb_one_core -> the packet_type registered for the protocol

Bottom halves are disabled while a packet goes down; what a driver like veth put on the backlog meanwhile is received when the
outermost __dev_queue_xmit enables them again. Taps (ptype_all) see every packet in both directions.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ARPHRD_ETHER, ETH_P_ALL
from linnet.include.linux.netdevice import (
    IFF_LOWER_UP,
    IFF_RUNNING,
    IFF_UP,
    NET_RX_DROP,
    NET_RX_SUCCESS,
    NET_XMIT_DROP,
    NET_XMIT_SUCCESS,
    NETIF_F_GRO,
    NETIF_F_GSO,
    NETIF_F_SG,
    DevQueueXmit,
    NapiStruct,
    NetDevice,
    NetdevQueue,
    PacketType,
    netdev_get_tx_queue,
    netif_running,
    netif_xmit_stopped,
)
from linnet.include.linux.notifier import (
    NETDEV_CHANGE,
    NETDEV_CHANGEMTU,
    NETDEV_DOWN,
    NETDEV_GOING_DOWN,
    NETDEV_REGISTER,
    NETDEV_UNREGISTER,
    NETDEV_UP,
    call_notifiers,
)
from linnet.include.linux.skbuff import (
    SKBTX_SCHED_TSTAMP,
    SkBuff,
    SkBuffHead,
    __skb_dequeue,
    __skb_queue_tail,
    __skb_unlink,
    skb_reset_mac_header,
)
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_CPU_BACKLOG,
    SKB_DROP_REASON_DEV_READY,
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_DROP_REASON_QDISC_DROP,
    SKB_DROP_REASON_UNHANDLED_PROTO,
)
from linnet.include.net.net_namespace import Net, World
from linnet.include.net.sch_generic import (
    QDISC_STATE_DEACTIVATED,
    QDISC_STATE_RUNNING,
    QDISC_STATE_SCHED,
    TCQ_F_CAN_BYPASS,
    Qdisc,
    qdisc_qlen,
)
from linnet.include.trace.events.napi import trace_napi_poll
from linnet.include.trace.events.net import (
    trace_net_dev_queue,
    trace_netif_receive_skb,
    trace_netif_rx,
    trace_netif_rx_entry,
    trace_netif_rx_exit,
)
from linnet.include.trace.events.qdisc import trace_qdisc_enqueue
from linnet.kernel.errno import EBUSY, EEXIST, EINVAL, ENETDOWN
from linnet.kernel.softirq import (
    NET_RX_SOFTIRQ,
    NET_TX_SOFTIRQ,
    Cpu,
    SoftirqAction,
    local_bh_disable,
    local_bh_enable,
    open_softirq,
    raise_softirq,
)
from linnet.net.core.dev_xmit import dev_hard_start_xmit, drop_unsent, validate_xmit_skb
from linnet.net.core.flow_dissector import netdev_pick_tx
from linnet.net.core.skbuff import kfree_skb_reason, skb_clone
from linnet.net.core.skbuff_tstamp import skb_tstamp_sched
from linnet.net.sched.sch_generic import (
    __qdisc_run,
    dev_activate,
    dev_deactivate,
    dev_init_scheduler,
    qdisc_bstats_update,
    sch_direct_xmit,
    skb_get_tx_queue,
)

XMIT_RECURSION_LIMIT: Final = 8
NAPI_POLL_WEIGHT: Final = 64


# -- transmission

def __dev_xmit_skb(skb: SkBuff, q: Qdisc, dev: NetDevice, txq: NetdevQueue) -> i64:
    """Give skb to the discipline: straight through an empty one that allows it, else by its queue. NET_XMIT_*.

    Linux: net/core/dev.c.
    """
    if (q.state & QDISC_STATE_DEACTIVATED) != 0:
        kfree_skb_reason(skb, SKB_DROP_REASON_QDISC_DROP)
        return NET_XMIT_DROP
    if (q.flags & TCQ_F_CAN_BYPASS) != 0 and (q.state & QDISC_STATE_RUNNING) == 0 and qdisc_qlen(q) == 0:
        qdisc_bstats_update(q, skb)
        q.state |= QDISC_STATE_RUNNING
        more = sch_direct_xmit(skb, q, dev, skb_get_tx_queue(dev, skb))
        q.state &= ~QDISC_STATE_RUNNING
        if more and qdisc_qlen(q) != 0:
            __qdisc_run(q)
        return NET_XMIT_SUCCESS
    trace_qdisc_enqueue(q, skb)
    rc = q.enqueue(skb)  # walk: indirect q->enqueue
    __qdisc_run(q)
    return rc


def __dev_queue_xmit(skb: SkBuff, sb_dev: NetDevice | None = None) -> i64:
    """Choose the queue, and send through its discipline or, without one, straight. As dev_queue_xmit.

    sb_dev: the device above a stacked one, whose choice of a queue would count; nothing here stacks.
    Linux: net/core/dev.c.
    """
    dev = skb.dev
    assert dev is not None, 'a packet is sent without a device'
    cpu = skb.world.cpu
    skb_reset_mac_header(skb)
    if (skb.tx_flags & SKBTX_SCHED_TSTAMP) != 0:
        skb_tstamp_sched(skb)
    local_bh_disable(cpu)
    txq = netdev_get_tx_queue(dev, 0)
    if txq.qdisc.has_queue or dev.num_tx_queues > 1:
        txq = netdev_pick_tx(dev, skb)
    q = txq.qdisc
    trace_net_dev_queue(skb)
    if q.has_queue:
        rc = __dev_xmit_skb(skb, q, dev, txq)
    else:
        rc = dev_direct_xmit(skb, dev, txq)
    local_bh_enable(cpu)
    return rc


def dev_direct_xmit(skb: SkBuff, dev: NetDevice, txq: NetdevQueue) -> i64:
    """Send on a device that has no queue: what the driver does not take now is lost.  Linux: net/core/dev.c, __dev_queue_xmit."""
    softnet = skb.world.softnet
    if not netif_running(dev) or softnet.xmit_recursion >= XMIT_RECURSION_LIMIT:
        drop_unsent(skb, dev, SKB_DROP_REASON_DEV_READY)
        return -ENETDOWN
    valid = validate_xmit_skb(skb, dev)
    if valid is None:
        return NET_XMIT_SUCCESS
    if not netif_xmit_stopped(txq):
        softnet.xmit_recursion += 1
        valid = dev_hard_start_xmit(valid, dev, txq)
        softnet.xmit_recursion -= 1
        if valid is None:
            return NET_XMIT_SUCCESS
    drop_unsent(valid, dev, SKB_DROP_REASON_NOT_SPECIFIED)
    return -ENETDOWN


def dev_queue_xmit(skb: SkBuff) -> i64:
    """Send skb, complete with its link header, on skb.dev. NET_XMIT_* or a negative errno; skb is gone either way.

    Linux: net/core/dev.c.
    """
    return __dev_queue_xmit(skb, None)


class DevXmit(DevQueueXmit):
    """dev_queue_xmit for the header files below."""

    def queue_xmit(self, skb: SkBuff) -> i64:
        """See dev_queue_xmit."""
        return dev_queue_xmit(skb)


def net_tx_action(world: World) -> None:
    """The NET_TX softirq: run the disciplines that __netif_schedule noted.  Linux: net/core/dev.c."""
    softnet = world.softnet
    queue = softnet.output_queue
    softnet.output_queue = []
    for q in queue:
        q.state &= ~QDISC_STATE_SCHED
        if (q.state & QDISC_STATE_DEACTIVATED) == 0:
            __qdisc_run(q)


class NetTxAction(SoftirqAction):
    """NET_TX_SOFTIRQ's entry."""

    def __init__(self, world: World) -> None:
        self.world: World = world

    def action(self, cpu: Cpu) -> None:
        """See net_tx_action."""
        net_tx_action(self.world)


# -- reception

def ____napi_schedule(world: World, napi: NapiStruct) -> None:
    """Let the NET_RX softirq poll napi, which is not on the list yet.  Linux: net/core/dev.c."""
    napi.scheduled = True
    world.softnet.poll_list.append(napi)
    raise_softirq(world.cpu, NET_RX_SOFTIRQ)


def napi_schedule(napi: NapiStruct) -> bool:
    """A device has packets: poll it. False where that was noted already.  Linux: include/linux/netdevice.h."""
    if napi.scheduled:
        return False
    dev = napi.dev
    assert dev is not None
    ____napi_schedule(dev.net.world, napi)
    return True


def napi_complete(napi: NapiStruct) -> bool:
    """The device has no more packets: stop polling it.  Linux: include/linux/netdevice.h."""
    napi.scheduled = False
    return True


def enqueue_to_backlog(skb: SkBuff) -> i64:
    """Put skb on the CPU's backlog, or drop it where that is full or the device is down. NET_RX_*.  Linux: net/core/dev.c."""
    dev = skb.dev
    assert dev is not None
    world = skb.world
    softnet = world.softnet
    if (dev.flags & IFF_UP) == 0:
        dev.stats.rx_dropped += 1
        kfree_skb_reason(skb, SKB_DROP_REASON_DEV_READY)
        return NET_RX_DROP
    queue = softnet.input_pkt_queue
    if queue.qlen > dev.net.core.sysctl_netdev_max_backlog:
        softnet.dropped += 1
        dev.stats.rx_dropped += 1
        kfree_skb_reason(skb, SKB_DROP_REASON_CPU_BACKLOG)
        return NET_RX_DROP
    __skb_queue_tail(queue, skb)
    backlog = softnet.backlog
    if backlog is not None and not backlog.scheduled:
        ____napi_schedule(world, backlog)
    return NET_RX_SUCCESS


def netif_rx_internal(skb: SkBuff) -> i64:
    """Stamp skb and put it on the backlog.  Linux: net/core/dev.c."""
    if skb.tstamp == 0:
        skb.tstamp = skb.world.clock.now
    trace_netif_rx(skb)
    return enqueue_to_backlog(skb)


def __netif_rx(skb: SkBuff) -> i64:
    """netif_rx for a caller that has bottom halves disabled.  Linux: net/core/dev.c."""
    trace_netif_rx_entry(skb)
    ret = netif_rx_internal(skb)
    trace_netif_rx_exit(skb, int(ret))
    return ret


def netif_rx(skb: SkBuff) -> i64:
    """A driver has received skb (data at the network header, dev and protocol set): NET_RX_*; skb is gone either way.

    Linux: net/core/dev.c.
    """
    cpu = skb.world.cpu
    local_bh_disable(cpu)
    trace_netif_rx_entry(skb)
    ret = netif_rx_internal(skb)
    trace_netif_rx_exit(skb, int(ret))
    local_bh_enable(cpu)
    return ret


def deliver_skb(skb: SkBuff, pt_prev: PacketType, orig_dev: NetDevice) -> i64:
    """Give one more handler a clone.

    Linux: net/core/dev.c, which shares skb itself and trusts the handler to clone before it writes.
    """
    return pt_prev.func(skb_clone(skb), orig_dev, orig_dev)


def __netif_receive_skb_core(skb: SkBuff, orig_dev: NetDevice) -> PacketType | None:
    """Show skb to the taps and find its handler, which the caller calls. None: there is none, skb is gone.

    Linux: net/core/dev.c, where the handler comes back through a pointer.
    """
    trace_netif_receive_skb(skb)
    at = skb.data
    skb.network_header = at
    if skb.mac_header < 0:
        skb.mac_header = at
    if skb.transport_header < 0:
        skb.transport_header = at
    skb.mac_len = at - skb.mac_header
    skb.skb_iif = orig_dev.ifindex
    net = orig_dev.net
    skb.world.softnet.processed += 1
    if net.ptype_all:
        for tap in list(net.ptype_all):
            deliver_skb(skb, tap, orig_dev)
    if orig_dev.ptype_all:
        for tap in list(orig_dev.ptype_all):
            deliver_skb(skb, tap, orig_dev)
    proto = skb.protocol
    found = net.ptype_base.get(int(proto))
    if net.ptype_more:
        for more in list(net.ptype_more):
            if more.type == proto and (more.dev is None or more.dev is orig_dev):
                if found is None:
                    return more
                deliver_skb(skb, more, orig_dev)
    if found is None or (found.dev is not None and found.dev is not orig_dev):
        orig_dev.stats.rx_dropped += 1
        kfree_skb_reason(skb, SKB_DROP_REASON_UNHANDLED_PROTO)
        return None
    return found


def __netif_receive_skb_one_core(skb: SkBuff) -> i64:
    """Receive one packet: taps, then the protocol's handler. NET_RX_*.  Linux: net/core/dev.c."""
    dev = skb.dev
    assert dev is not None
    pt_prev = __netif_receive_skb_core(skb, dev)
    if pt_prev is None:
        return NET_RX_DROP
    return pt_prev.func(skb, dev, dev)


def netif_receive_skb(skb: SkBuff) -> i64:
    """Receive a packet at once, in softirq context (a NAPI driver's poll).  Linux: net/core/dev.c."""
    if skb.tstamp == 0:
        skb.tstamp = skb.world.clock.now
    return __netif_receive_skb_one_core(skb)


def process_backlog(napi: NapiStruct, quota: i64, world: World) -> i64:
    """Receive up to quota packets of the backlog; how many.  Linux: net/core/dev.c."""
    softnet = world.softnet
    queue = softnet.process_queue
    work: i64 = 0
    while True:
        skb = __skb_dequeue(queue)
        while skb is not None:
            __netif_receive_skb_one_core(skb)
            work += 1
            if work >= quota:
                return work
            skb = __skb_dequeue(queue)
        if softnet.input_pkt_queue.qlen == 0:
            napi.scheduled = False
            return work
        # what has come in the meantime is taken over as a whole
        softnet.process_queue = softnet.input_pkt_queue
        softnet.input_pkt_queue = queue
        queue = softnet.process_queue


class BacklogNapi(NapiStruct):
    """The NAPI instance of devices that have none: Linux's softnet_data.backlog."""

    def __init__(self, world: World) -> None:
        super().__init__(None, NAPI_POLL_WEIGHT)
        self.world: World = world

    def poll(self, budget: i64) -> i64:
        """See process_backlog."""
        return process_backlog(self, budget, self.world)


def __napi_poll(world: World, napi: NapiStruct) -> i64:
    """Poll one instance: packets received.  Linux: net/core/dev.c."""
    weight = napi.weight
    work = napi.poll(weight)
    trace_napi_poll(world.trace, napi, int(work), int(weight))
    return work


def net_rx_action(world: World) -> None:
    """The NET_RX softirq: poll who is on the list, each up to its weight, all together up to the budget.

    Linux: net/core/dev.c.
    """
    softnet = world.softnet
    budget: i64 = world.nets[0].core.sysctl_netdev_budget if world.nets else 300
    polled = softnet.poll_list
    softnet.poll_list = []
    again: list[NapiStruct] = []
    for napi in polled:
        if budget <= 0:
            softnet.time_squeeze += 1
            again.append(napi)
            continue
        work = __napi_poll(world, napi)
        budget -= work
        if work >= napi.weight and napi.scheduled:
            again.append(napi)
    if again:
        softnet.poll_list.extend(again)
        raise_softirq(world.cpu, NET_RX_SOFTIRQ)


class NetRxAction(SoftirqAction):
    """NET_RX_SOFTIRQ's entry."""

    def __init__(self, world: World) -> None:
        self.world: World = world

    def action(self, cpu: Cpu) -> None:
        """See net_rx_action."""
        net_rx_action(self.world)


def net_dev_init(world: World) -> None:
    """The CPU's packet queues and their softirqs.  Linux: net/core/dev.c."""
    world.softnet.backlog = BacklogNapi(world)
    open_softirq(world.cpu, NET_TX_SOFTIRQ, NetTxAction(world))
    open_softirq(world.cpu, NET_RX_SOFTIRQ, NetRxAction(world))


# -- handlers

def dev_add_pack(net: Net, pt: PacketType) -> None:
    """Register a handler: for ETH_P_ALL a tap of pt.dev or of all devices, else the protocol's.  Linux: net/core/dev.c.

    The first handler of a protocol for all devices is the one that ends a packet's way; later ones get a clone each before it.
    """
    if pt.type == ETH_P_ALL:
        dev = pt.dev
        if dev is None:
            net.ptype_all.append(pt)
        else:
            dev.ptype_all.append(pt)
    elif pt.dev is None and int(pt.type) not in net.ptype_base:
        net.ptype_base[int(pt.type)] = pt
    else:
        net.ptype_more.append(pt)


def dev_remove_pack(net: Net, pt: PacketType) -> None:
    """Take a handler away; one that is not registered is no error.  Linux: net/core/dev.c."""
    dev = pt.dev
    if pt in net.ptype_all:
        net.ptype_all.remove(pt)
    if dev is not None and pt in dev.ptype_all:
        dev.ptype_all.remove(pt)
    if pt in net.ptype_more:
        net.ptype_more.remove(pt)
    if net.ptype_base.get(int(pt.type)) is pt:
        del net.ptype_base[int(pt.type)]
        for other in net.ptype_more:
            if other.type == pt.type and other.dev is None:
                net.ptype_more.remove(other)
                net.ptype_base[int(pt.type)] = other
                break


# -- devices

def dev_get_by_name(net: Net, name: str) -> NetDevice | None:
    """Linux: net/core/dev.c."""
    for dev in net.dev_base:
        if dev.name == name:
            return dev
    return None


def dev_get_by_index(net: Net, ifindex: i64) -> NetDevice | None:
    """Linux: net/core/dev.c."""
    return net.dev_by_index.get(int(ifindex))


def dev_valid_name(name: str) -> bool:
    """A name of 1 to 15 characters without '/', ':' or white space, and not '.' or '..'.  Linux: net/core/dev.c."""
    if not 0 < len(name) < 16 or name in ('.', '..'):
        return False
    for c in name:
        if c in '/:' or c.isspace():
            return False
    return True


def dev_alloc_name(net: Net, name: str) -> str:
    """A free name: 'eth%d' becomes the lowest eth0, eth1 ... that nobody has.  Linux: net/core/dev.c."""
    if '%d' not in name:
        return name
    i = 0
    while dev_get_by_name(net, name.replace('%d', str(i))) is not None:
        i += 1
    return name.replace('%d', str(i))


def register_netdevice(dev: NetDevice) -> int:
    """Give dev a place in its namespace: name, index, queues, and an address where its kind has one. It is down.

    0, -EBUSY (it is registered), -EINVAL (name), -EEXIST, or what ndo_init says.  Linux: net/core/dev.c.
    """
    net = dev.net
    if dev.registered:
        return -EBUSY
    name = dev_alloc_name(net, dev.name)
    if not dev_valid_name(name):
        return -EINVAL
    if dev_get_by_name(net, name) is not None:
        return -EEXIST
    dev.name = name
    err = dev.netdev_ops.ndo_init(dev)
    if err != 0:
        return err
    net.ifindex += 1
    dev.ifindex = net.ifindex
    if dev.type == ARPHRD_ETHER and len(dev.dev_addr) == 0:
        world = net.world
        dev.dev_addr = b'\x02' + world.next_mac.to_bytes(5, 'big')
        world.next_mac += 1
    if (dev.features & NETIF_F_SG) != 0:
        dev.features |= NETIF_F_GSO
    dev.features |= NETIF_F_GRO
    dev.queue_xmit = DevXmit()
    dev_init_scheduler(dev)
    net.dev_base.append(dev)
    net.dev_by_index[int(dev.ifindex)] = dev
    dev.registered = True
    call_notifiers(net.netdev_chain, NETDEV_REGISTER, dev)
    return 0


def unregister_netdevice(dev: NetDevice) -> None:
    """Take dev down and out of its namespace; what is still on the backlog from it is dropped.  Linux: net/core/dev.c."""
    if not dev.registered:
        return
    net = dev.net
    dev_close(dev)
    call_notifiers(net.netdev_chain, NETDEV_UNREGISTER, dev)
    flush_backlog(net.world.softnet.input_pkt_queue, dev)
    flush_backlog(net.world.softnet.process_queue, dev)
    net.dev_base.remove(dev)
    del net.dev_by_index[int(dev.ifindex)]
    if net.loopback_dev is dev:
        net.loopback_dev = None
    dev.registered = False


def flush_backlog(queue: SkBuffHead, dev: NetDevice) -> None:
    """Drop what came in by dev.  Linux: net/core/dev.c."""
    skb = queue.next
    while skb is not None:
        following = skb.next
        if skb.dev is dev:
            __skb_unlink(skb, queue)
            kfree_skb_reason(skb, SKB_DROP_REASON_DEV_READY)
        skb = following


def dev_open(dev: NetDevice) -> int:
    """`ip link set DEV up`: 0, or what the driver says.  Linux: net/core/dev.c."""
    if (dev.flags & IFF_UP) != 0:
        return 0
    err = dev.netdev_ops.ndo_open(dev)
    if err != 0:
        return err
    dev.flags |= IFF_UP
    dev_activate(dev)
    _show_carrier(dev)
    call_notifiers(dev.net.netdev_chain, NETDEV_UP, dev)
    return 0


def dev_close(dev: NetDevice) -> None:
    """`ip link set DEV down`.  Linux: net/core/dev.c."""
    if (dev.flags & IFF_UP) == 0:
        return
    call_notifiers(dev.net.netdev_chain, NETDEV_GOING_DOWN, dev)
    dev_deactivate(dev)
    dev.netdev_ops.ndo_stop(dev)
    dev.flags &= ~(IFF_UP | IFF_RUNNING | IFF_LOWER_UP)
    call_notifiers(dev.net.netdev_chain, NETDEV_DOWN, dev)


def _show_carrier(dev: NetDevice) -> None:
    if dev.carrier and (dev.flags & IFF_UP) != 0:
        dev.flags |= IFF_RUNNING | IFF_LOWER_UP
    else:
        dev.flags &= ~(IFF_RUNNING | IFF_LOWER_UP)


def netif_carrier_on(dev: NetDevice) -> None:
    """The link is there.  Linux: net/sched/sch_generic.c; what its link watch does later happens at once."""
    if not dev.carrier:
        dev.carrier = True
        _show_carrier(dev)
        if (dev.flags & IFF_UP) != 0:
            call_notifiers(dev.net.netdev_chain, NETDEV_CHANGE, dev)


def netif_carrier_off(dev: NetDevice) -> None:
    """The link is gone.  Linux: net/sched/sch_generic.c."""
    if dev.carrier:
        dev.carrier = False
        _show_carrier(dev)
        if (dev.flags & IFF_UP) != 0:
            call_notifiers(dev.net.netdev_chain, NETDEV_CHANGE, dev)


def dev_set_mtu(dev: NetDevice, new_mtu: i64) -> int:
    """Change the MTU: 0, -EINVAL (out of the device's range) or what the driver says.  Linux: net/core/dev.c."""
    if new_mtu == dev.mtu:
        return 0
    if new_mtu < dev.min_mtu or (dev.max_mtu > 0 and new_mtu > dev.max_mtu):
        return -EINVAL
    err = dev.netdev_ops.ndo_change_mtu(dev, new_mtu)
    if err != 0:
        return err
    dev.mtu = new_mtu
    call_notifiers(dev.net.netdev_chain, NETDEV_CHANGEMTU, dev)
    return 0
