# SPDX-License-Identifier: Apache-2.0
"""veth: two Ethernet devices back to back; what one sends is on the other's backlog before the sender's call returns.

No rate, no delay, and without an attached qdisc no queue. Super-segments and checksums cross as they are, as between two
namespaces of one kernel: the bytes never leave the machine. The carrier is there while both ends are up.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.netdevice import (
    NET_RX_SUCCESS,
    NETDEV_TX_OK,
    NETIF_F_GSO,
    NETIF_F_HW_CSUM,
    NETIF_F_RXCSUM,
    NETIF_F_SG,
    NETIF_F_TSO,
    NETIF_F_TSO6,
    NETIF_F_TSO_ECN,
    NetDevice,
    NetDeviceOps,
    netif_running,
)
from linnet.include.linux.skbuff import SkBuff, skb_is_gso
from linnet.include.net.dropreason import SKB_DROP_REASON_DEV_READY, SKB_DROP_REASON_PKT_TOO_BIG
from linnet.include.net.net_namespace import Net
from linnet.net.core.dev import __netif_rx, netif_carrier_off, netif_carrier_on, register_netdevice
from linnet.net.core.skbuff import kfree_skb_reason, skb_scrub_packet
from linnet.net.core.skbuff_tstamp import skb_tx_timestamp
from linnet.net.ethernet.eth import eth_hw_addr_next, eth_type_trans, ether_setup

VLAN_HLEN: Final = 4  # a tagged frame may be so much longer than the MTU says


class VethOps(NetDeviceOps):
    """One end; peer is the other.  Linux: veth_netdev_ops and struct veth_priv."""

    def __init__(self) -> None:
        self.peer: NetDevice | None = None

    def ndo_open(self, dev: NetDevice) -> int:
        """The link is there once both ends are up.  Linux: drivers/net/veth.c, veth_open."""
        peer = self.peer
        if peer is not None and netif_running(peer):
            netif_carrier_on(dev)
            netif_carrier_on(peer)
        return 0

    def ndo_stop(self, dev: NetDevice) -> int:
        """The link is gone at both ends.  Linux: drivers/net/veth.c, veth_close."""
        netif_carrier_off(dev)
        peer = self.peer
        if peer is not None:
            netif_carrier_off(peer)
        return 0

    def ndo_start_xmit(self, skb: SkBuff, dev: NetDevice) -> i64:
        """See veth_xmit."""
        return veth_xmit(skb, dev, self.peer)


def veth_xmit(skb: SkBuff, dev: NetDevice, rcv: NetDevice | None) -> i64:
    """Put the packet on the other end's backlog.  Linux: drivers/net/veth.c."""
    if rcv is None or not netif_running(rcv):
        dev.stats.tx_dropped += 1
        kfree_skb_reason(skb, SKB_DROP_REASON_DEV_READY)
        return NETDEV_TX_OK
    if skb.tx_flags != 0:
        skb_tx_timestamp(skb)
    size = skb.len
    if size > rcv.mtu + rcv.hard_header_len + VLAN_HLEN and not skb_is_gso(skb):
        rcv.stats.rx_dropped += 1
        kfree_skb_reason(skb, SKB_DROP_REASON_PKT_TOO_BIG)
        return NETDEV_TX_OK
    skb_scrub_packet(skb)
    eth_type_trans(skb, rcv)
    if __netif_rx(skb) == NET_RX_SUCCESS:
        sent = dev.stats
        sent.tx_packets += 1
        sent.tx_bytes += size
        received = rcv.stats
        received.rx_packets += 1
        received.rx_bytes += size
    return NETDEV_TX_OK


def veth_setup(net: Net, name: str) -> NetDevice:
    """One end, not registered yet.  Linux: drivers/net/veth.c."""
    dev = NetDevice(net, name, VethOps())
    ether_setup(dev)
    dev.no_queue = True
    dev.dev_addr = eth_hw_addr_next(net.world)
    dev.features = (NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_RXCSUM | NETIF_F_GSO | NETIF_F_TSO | NETIF_F_TSO_ECN | NETIF_F_TSO6)
    dev.carrier = False
    return dev


def veth_newlink(net_a: Net, name_a: str, net_b: Net, name_b: str) -> tuple[NetDevice, NetDevice]:
    """A pair of devices, registered and down. FileExistsError where a name is taken.  Linux: drivers/net/veth.c."""
    a = veth_setup(net_a, name_a)
    b = veth_setup(net_b, name_b)
    for dev, peer in ((a, b), (b, a)):
        ops = dev.netdev_ops
        assert isinstance(ops, VethOps)
        ops.peer = peer
        if register_netdevice(dev) != 0:
            raise FileExistsError(f'{dev.net.name} has a device named {dev.name!r} already')
    return a, b
