# SPDX-License-Identifier: Apache-2.0
"""tun0: a point-to-point device without link header, whose other end is the script.

What the stack sends is kept with its time; what the script sends is received as from a TUN. It cuts super-segments in
software and makes no checksums, as a TUN without offloads.
"""
from __future__ import annotations

from collections import deque
from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ARPHRD_NONE, ETH_P_IP, ETH_P_IPV6
from linnet.include.linux.inet import IPPROTO_TCP
from linnet.include.linux.ip import ip_ihl
from linnet.include.linux.ipv6 import IPV6_HLEN
from linnet.include.linux.netdevice import (
    IFF_MULTICAST,
    IFF_NOARP,
    IFF_POINTOPOINT,
    NETDEV_TX_OK,
    NETIF_F_GSO,
    NETIF_F_SG,
    NetDevice,
    NetDeviceOps,
)
from linnet.include.linux.skbuff import PACKET_HOST, SKB_GSO_TCPV4, SKB_GSO_TCPV6, SkBuff
from linnet.include.net.net_namespace import Net
from linnet.kernel.softirq import local_bh_disable, local_bh_enable
from linnet.net.core.dev import dev_open, netif_receive_skb, register_netdevice
from linnet.net.core.skbuff import consume_skb, skb_bytes, skb_from_bytes, skb_orphan_frags_rx
from linnet.net.core.skbuff_tstamp import skb_tx_timestamp

TUN_QUEUE_LEN: Final = 500


class DrillOps(NetDeviceOps):
    """The driver. `sent`: (time in ns, packet) in order; `waiting`: end the world's run as soon as a packet is sent."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.sent: deque[tuple[int, bytes]] = deque()
        self.log: list[tuple[int, bytes, bool]] = []  # both directions, for the capture; True: sent by the stack
        self.waiting = False

    def ndo_start_xmit(self, skb: SkBuff, dev: NetDevice) -> i64:
        """Keep it for the script."""
        skb_tx_timestamp(skb)
        skb_orphan_frags_rx(skb)
        data = skb_bytes(skb)
        now = int(self.net.clock.now)
        dev.stats.tx_packets += 1
        dev.stats.tx_bytes += len(data)
        self.sent.append((now, data))
        self.log.append((now, data, True))
        consume_skb(skb)
        if self.waiting:
            self.net.world.sched.stop()
        return NETDEV_TX_OK

    def receive(self, dev: NetDevice, data: bytes, mss: int = 0) -> None:
        """The script sends a packet; mss: as a merged one of segments of that size, where it is larger."""
        v6 = data[0] >> 4 == 6
        hlen = IPV6_HLEN if v6 else int(ip_ihl(data, 0))
        tcp = data[6 if v6 else 9] == IPPROTO_TCP
        if tcp:
            hlen += (data[hlen + 12] >> 4) * 4
        skb = skb_from_bytes(self.net.world, data, min(hlen, len(data)) if tcp else len(data))
        skb.dev = dev
        skb.mac_header = 0
        skb.network_header = 0
        skb.pkt_type = PACKET_HOST
        skb.protocol = ETH_P_IPV6 if v6 else ETH_P_IP
        if mss and tcp and len(data) - hlen > mss:
            skb.gso_size = mss
            skb.gso_type = SKB_GSO_TCPV6 if v6 else SKB_GSO_TCPV4
            skb.gso_segs = (len(data) - hlen + mss - 1) // mss
        dev.stats.rx_packets += 1
        dev.stats.rx_bytes += len(data)
        self.log.append((int(self.net.clock.now), data, False))
        cpu = self.net.world.cpu
        local_bh_disable(cpu)
        netif_receive_skb(skb)
        local_bh_enable(cpu)


def drill_newlink(net: Net, name: str, mtu: int) -> tuple[NetDevice, DrillOps]:
    """The device, up, and its driver."""
    ops = DrillOps(net)
    dev = NetDevice(net, name, ops)
    dev.type = ARPHRD_NONE
    dev.flags = IFF_POINTOPOINT | IFF_NOARP | IFF_MULTICAST
    dev.mtu = mtu
    dev.tx_queue_len = TUN_QUEUE_LEN
    dev.features = NETIF_F_SG | NETIF_F_GSO
    err = register_netdevice(dev)
    if err == 0:
        err = dev_open(dev)
    if err != 0:
        raise OSError(-err, f'cannot make {name}')
    return dev, ops
