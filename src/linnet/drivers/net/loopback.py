# SPDX-License-Identifier: Apache-2.0
"""lo: what is sent comes straight back, checksums and segments left as they are.

The packet keeps its route: one to a local destination has an input half too, so that no look-up is made on the way up.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ARPHRD_LOOPBACK, ETH_ALEN, ETH_HLEN, ETH_ZERO
from linnet.include.linux.netdevice import (
    IFF_LOOPBACK,
    NET_RX_SUCCESS,
    NETDEV_TX_OK,
    NETIF_F_GSO,
    NETIF_F_HW_CSUM,
    NETIF_F_LOOPBACK,
    NETIF_F_RXCSUM,
    NETIF_F_SG,
    NETIF_F_TSO,
    NETIF_F_TSO6,
    NETIF_F_TSO_ECN,
    NetDevice,
    NetDeviceOps,
)
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.net_namespace import Net
from linnet.net.core.dev import __netif_rx, register_netdevice
from linnet.net.core.skbuff import skb_orphan, skb_orphan_frags_rx
from linnet.net.core.skbuff_tstamp import skb_tx_timestamp
from linnet.net.ethernet.eth import EthHeaderOps, eth_type_trans

LOOPBACK_MTU: Final = 64 * 1024


class LoopbackOps(NetDeviceOps):
    """Linux: loopback_ops."""

    def ndo_start_xmit(self, skb: SkBuff, dev: NetDevice) -> i64:
        """See loopback_xmit."""
        return loopback_xmit(skb, dev)


def loopback_xmit(skb: SkBuff, dev: NetDevice) -> i64:
    """Receive what is sent.  Linux: drivers/net/loopback.c."""
    if skb.tx_flags != 0:
        skb_tx_timestamp(skb)
    skb_orphan_frags_rx(skb)
    skb.tstamp = 0  # a time of departure, if any
    skb_orphan(skb)
    eth_type_trans(skb, dev)
    size = skb.len
    if __netif_rx(skb) == NET_RX_SUCCESS:
        stats = dev.stats
        stats.tx_packets += 1
        stats.tx_bytes += size
        stats.rx_packets += 1
        stats.rx_bytes += size
    return NETDEV_TX_OK


def loopback_net_init(net: Net) -> NetDevice:
    """Give a Net its lo, down.  Linux: drivers/net/loopback.c."""
    dev = NetDevice(net, 'lo', LoopbackOps())
    dev.mtu = LOOPBACK_MTU
    dev.max_mtu = LOOPBACK_MTU
    dev.type = ARPHRD_LOOPBACK
    dev.flags = IFF_LOOPBACK
    dev.hard_header_len = ETH_HLEN
    dev.addr_len = ETH_ALEN
    dev.dev_addr = ETH_ZERO
    dev.broadcast = ETH_ZERO
    dev.header_ops = EthHeaderOps()
    dev.no_queue = True
    dev.features = (NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_RXCSUM | NETIF_F_GSO | NETIF_F_TSO | NETIF_F_TSO_ECN | NETIF_F_TSO6
                    | NETIF_F_LOOPBACK)
    err = register_netdevice(dev)
    assert err == 0, err
    net.loopback_dev = dev
    return dev
