# SPDX-License-Identifier: Apache-2.0
"""Devices: net_device, its operations and queues, the packet_type table, NAPI, and the CPU's softnet_data.

A driver subclasses NetDeviceOps. core/dev.py registers the device and is what the stack above calls; it reaches back to the stack
through packet_type tables on the Net, so that nothing here knows who is above.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from linnet.include.linux.skbuff import SkBuff, SkBuffHead

if TYPE_CHECKING:
    from linnet.include.linux.inetdevice import InDevice
    from linnet.include.net.if_inet6 import Inet6Dev
    from linnet.include.net.neighbour import Neighbour
    from linnet.include.net.net_namespace import Net
    from linnet.include.net.sch_generic import Qdisc

IFF_UP: Final = 0x1
IFF_BROADCAST: Final = 0x2
IFF_LOOPBACK: Final = 0x8
IFF_POINTOPOINT: Final = 0x10
IFF_RUNNING: Final = 0x40
IFF_NOARP: Final = 0x80
IFF_PROMISC: Final = 0x100
IFF_ALLMULTI: Final = 0x200
IFF_MULTICAST: Final = 0x1000
IFF_LOWER_UP: Final = 0x10000

NETDEV_TX_OK: Final = 0
NETDEV_TX_BUSY: Final = 0x10
NET_XMIT_SUCCESS: Final = 0
NET_XMIT_DROP: Final = 1
NET_XMIT_CN: Final = 2
NET_RX_SUCCESS: Final = 0
NET_RX_DROP: Final = 1

NETIF_F_SG: Final = 1 << 0
NETIF_F_HW_CSUM: Final = 1 << 3
NETIF_F_HIGHDMA: Final = 1 << 5
NETIF_F_GSO: Final = 1 << 14
NETIF_F_GRO: Final = 1 << 15
NETIF_F_TSO: Final = 1 << 16
NETIF_F_TSO_ECN: Final = 1 << 18
NETIF_F_TSO6: Final = 1 << 20
NETIF_F_RXCSUM: Final = 1 << 40
NETIF_F_LOOPBACK: Final = 1 << 43

QUEUE_STATE_DRV_XOFF: Final = 1
QUEUE_STATE_STACK_XOFF: Final = 2

GSO_MAX_SIZE: Final = 65536
GSO_MAX_SEGS: Final = 65535


def net_xmit_eval(e: i64) -> i64:
    """Congestion notification is no loss: 0 for NET_XMIT_CN.  Linux: include/linux/netdevice.h."""
    return 0 if e == NET_XMIT_CN else e


class NetDeviceStats:
    """Counters as `ip -s link` shows them."""

    def __init__(self) -> None:
        self.rx_packets: i64 = 0
        self.tx_packets: i64 = 0
        self.rx_bytes: i64 = 0
        self.tx_bytes: i64 = 0
        self.rx_errors: i64 = 0
        self.tx_errors: i64 = 0
        self.rx_dropped: i64 = 0
        self.tx_dropped: i64 = 0


class NetdevQueue:
    """One transmit queue of a device, and the qdisc that feeds it."""

    def __init__(self, dev: NetDevice, qdisc: Qdisc, index: i64) -> None:
        self.dev: NetDevice = dev
        self.qdisc: Qdisc = qdisc
        self.index: i64 = index
        self.state: i64 = 0


@mypyc_attr(allow_interpreted_subclasses=True)
class NetDeviceOps:
    """What a driver implements (Linux: struct net_device_ops)."""

    def ndo_init(self, dev: NetDevice) -> int:
        """Called once by register_netdevice. Returns 0 or a negative errno."""
        return 0

    def ndo_open(self, dev: NetDevice) -> int:
        """The device goes up. Returns 0 or a negative errno."""
        return 0

    def ndo_stop(self, dev: NetDevice) -> int:
        """The device goes down; frees what its rings hold. Returns 0 or a negative errno."""
        return 0

    def ndo_start_xmit(self, skb: SkBuff, dev: NetDevice) -> i64:
        """Take skb (its data starts at the mac header) and own it: NETDEV_TX_OK, or NETDEV_TX_BUSY having taken nothing."""
        raise AssertionError(f'{type(self).__name__} has no ndo_start_xmit: a driver must transmit')

    def ndo_select_queue(self, dev: NetDevice, skb: SkBuff) -> i64:
        """The transmit queue for skb, or -1 to leave the choice to the stack's flow hash."""
        return -1

    def ndo_change_mtu(self, dev: NetDevice, new_mtu: i64) -> int:
        """Accept or refuse (-EINVAL) a new MTU in bytes; the caller sets it."""
        return 0


@mypyc_attr(allow_interpreted_subclasses=True)
class HeaderOps:
    """Link-layer header functions (Linux: struct header_ops). A device without them has no header at all."""

    def create(self, skb: SkBuff, dev: NetDevice, type: i64, daddr: bytes | None, saddr: bytes | None) -> i64:
        """Push the header (saddr None: the device's own). Returns its length, negative where daddr is not known."""
        raise AssertionError('header_ops.create is the link layer\'s')

    def cache(self, neigh: Neighbour, type: i64) -> bytes:
        """The complete header for this neighbour, or b'' where it cannot be cached."""
        return b''


class DevQueueXmit:
    """core/dev.py's dev_queue_xmit, for what lies below it (Linux calls it from headers): set when a device is registered."""

    def queue_xmit(self, skb: SkBuff) -> i64:
        """Hand skb, complete with its mac header, to the device layer."""
        raise AssertionError('set by register_netdevice')


class NetDevice:
    """Linux: struct net_device. Lengths in bytes; features NETIF_F_*."""

    def __init__(self, net: Net, name: str, netdev_ops: NetDeviceOps, num_tx_queues: int = 1) -> None:
        self.net: Net = net  # Linux: nd_net, dev_net(dev)
        self.name: str = name
        self.ifindex: i64 = 0
        self.flags: i64 = 0
        self.type: i64 = 0  # ARPHRD_*
        self.mtu: i64 = 1500
        self.min_mtu: i64 = 68
        self.max_mtu: i64 = 65535
        self.hard_header_len: i64 = 0
        self.addr_len: i64 = 0
        self.dev_addr: bytes = b''
        self.broadcast: bytes = b''
        self.features: i64 = 0
        self.gso_max_size: i64 = GSO_MAX_SIZE
        self.gso_max_segs: i64 = GSO_MAX_SEGS
        self.tx_queue_len: i64 = 1000
        self.netdev_ops: NetDeviceOps = netdev_ops
        self.header_ops: HeaderOps | None = None
        self.num_tx_queues: int = num_tx_queues
        self.real_num_tx_queues: i64 = num_tx_queues
        self.tx: list[NetdevQueue] = []  # Linux: _tx
        self.qdisc: Qdisc | None = None  # the root, as `tc qdisc show` names it
        self.stats: NetDeviceStats = NetDeviceStats()
        self.ptype_all: list[PacketType] = []
        self.queue_xmit: DevQueueXmit = DevQueueXmit()
        self.in_dev: InDevice | None = None  # IPv4's half (net/ipv4/devinet.py)
        self.ip6_ptr: Inet6Dev | None = None  # IPv6's half (net/ipv6/addrconf.py)
        self.no_queue: bool = False  # Linux: IFF_NO_QUEUE
        self.carrier: bool = True
        self.registered: bool = False

    def is_up(self) -> bool:
        """Administratively up (IFF_UP)."""
        return (self.flags & IFF_UP) != 0


@mypyc_attr(allow_interpreted_subclasses=True)
class PacketType:
    """A protocol's entry for received packets (Linux: struct packet_type); type ETH_P_*, dev None for all devices."""

    def __init__(self, type: i64, dev: NetDevice | None = None) -> None:
        self.type: i64 = type
        self.dev: NetDevice | None = dev

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> i64:
        """Take skb, whose data starts at the network header, and own it."""
        raise AssertionError('a packet_type takes its packets')


class GroCallbacks:
    """A protocol's receive-offload entry (Linux: struct packet_offload / net_offload).

    gro_receive is called with data at its own header and returns the held skb to flush, or None. gro_complete finishes the
    headers of a merged skb, whose header starts at byte nhoff of head. gso_segment cuts a super-segment.
    """

    def __init__(self, type: i64) -> None:
        self.type: i64 = type

    def gro_receive(self, head: list[SkBuff], skb: SkBuff) -> SkBuff | None:
        """See the class."""
        raise AssertionError('a receive offload merges')

    def gro_complete(self, skb: SkBuff, nhoff: i64) -> int:
        """See the class."""
        raise AssertionError('a receive offload completes')

    def gso_segment(self, skb: SkBuff, features: i64) -> list[SkBuff]:
        """See the class: data is at the protocol's own header. The caller keeps skb; an empty list where it cannot be cut."""
        raise AssertionError('a send offload segments')


@mypyc_attr(allow_interpreted_subclasses=True)
class NapiStruct:
    """A poll instance (Linux: struct napi_struct); weight packets at the most a round."""

    def __init__(self, dev: NetDevice | None, weight: i64 = 64) -> None:
        self.dev: NetDevice | None = dev
        self.weight: i64 = weight
        self.scheduled: bool = False
        self.gro_list: list[SkBuff] = []

    def poll(self, budget: i64) -> i64:
        """Receive up to budget packets; fewer than budget means done (napi_complete was called). Returns how many."""
        raise AssertionError('a napi instance polls')


class SoftnetData:
    """The CPU's packet queues (Linux: struct softnet_data): NAPI instances to poll, the backlog of netif_rx, qdiscs to run."""

    def __init__(self) -> None:
        self.poll_list: list[NapiStruct] = []
        self.input_pkt_queue: SkBuffHead = SkBuffHead()
        self.process_queue: SkBuffHead = SkBuffHead()
        self.backlog: NapiStruct | None = None  # net/core/dev.py makes it: poll is process_backlog
        self.output_queue: list[Qdisc] = []
        self.processed: i64 = 0
        self.dropped: i64 = 0
        self.time_squeeze: i64 = 0
        self.xmit_recursion: i64 = 0


def netdev_get_tx_queue(dev: NetDevice, index: i64) -> NetdevQueue:
    """Linux: include/linux/netdevice.h."""
    return dev.tx[index]


def netif_xmit_stopped(txq: NetdevQueue) -> bool:
    """Has the driver (or byte queue limits) stopped this queue?  Linux: include/linux/netdevice.h."""
    return txq.state != 0


def netif_tx_stop_queue(txq: NetdevQueue) -> None:
    """The driver's ring is full.  Linux: include/linux/netdevice.h."""
    txq.state |= QUEUE_STATE_DRV_XOFF


def netif_running(dev: NetDevice) -> bool:
    """Linux: include/linux/netdevice.h."""
    return (dev.flags & IFF_UP) != 0


def netdev_start_xmit(skb: SkBuff, dev: NetDevice, txq: NetdevQueue, more: bool) -> i64:
    """Call the driver. `more`: another packet follows at once (the driver may wait with its doorbell).

    Linux: include/linux/netdevice.h.
    """
    return dev.netdev_ops.ndo_start_xmit(skb, dev)  # walk: indirect dev->netdev_ops->ndo_start_xmit
