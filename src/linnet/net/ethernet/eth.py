# SPDX-License-Identifier: Apache-2.0
"""Ethernet: the header pushed on the way down, taken off on the way up, and kept ready for a resolved neighbour.  IEEE 802.3."""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.if_ether import (
    ARPHRD_ETHER,
    ETH_ALEN,
    ETH_BROADCAST,
    ETH_DATA_LEN,
    ETH_HLEN,
    ETH_P_802_2,
    ETH_P_802_3,
    ETH_P_802_3_MIN,
    ETH_ZERO,
    is_broadcast_ether_addr,
    is_multicast_ether_addr,
)
from linnet.include.linux.netdevice import IFF_BROADCAST, IFF_LOOPBACK, IFF_MULTICAST, IFF_NOARP, IFF_UP, HeaderOps, NetDevice
from linnet.include.linux.skbuff import (
    PACKET_BROADCAST,
    PACKET_HOST,
    PACKET_MULTICAST,
    PACKET_OTHERHOST,
    SkBuff,
    __skb_pull,
    skb_push,
    skb_reset_mac_header,
)
from linnet.include.linux.unaligned import get_be16
from linnet.include.net.neighbour import Neighbour
from linnet.include.net.net_namespace import World
from linnet.kernel.errno import EADDRNOTAVAIL, EBUSY
from linnet.net.core.skbuff import pskb_may_pull


def eth_header(skb: SkBuff, dev: NetDevice, type: i64, daddr: bytes | None, saddr: bytes | None) -> i64:
    """Push the header. Returns its length, negative where the destination is not known (it is then left zero).

    Linux: net/ethernet/eth.c.
    """
    source = dev.dev_addr if saddr is None else saddr
    # an IEEE 802.3 frame has its length where others have their EtherType
    value = skb.len if type == ETH_P_802_3 or type == ETH_P_802_2 else type
    proto = bytes([int(value >> 8) & 255, int(value) & 255])
    if daddr is not None:
        skb_push(skb, daddr + source + proto)
        return ETH_HLEN
    skb_push(skb, ETH_ZERO + source + proto)
    if (dev.flags & (IFF_LOOPBACK | IFF_NOARP)) != 0:
        return ETH_HLEN
    return -ETH_HLEN


def eth_header_cache(neigh: Neighbour, type: i64) -> bytes:
    """The header for a neighbour whose address is known.  Linux: net/ethernet/eth.c."""
    dev = neigh.dev
    if len(neigh.ha) != ETH_ALEN or type == ETH_P_802_3:
        return b''
    return neigh.ha + dev.dev_addr + bytes([int(type >> 8) & 255, int(type) & 255])


class EthHeaderOps(HeaderOps):
    """Linux: eth_header_ops."""

    def create(self, skb: SkBuff, dev: NetDevice, type: i64, daddr: bytes | None, saddr: bytes | None) -> i64:
        """See eth_header."""
        return eth_header(skb, dev, type, daddr, saddr)

    def cache(self, neigh: Neighbour, type: i64) -> bytes:
        """See eth_header_cache."""
        return eth_header_cache(neigh, type)


def eth_type_trans(skb: SkBuff, dev: NetDevice) -> i64:
    """Take the header off: sets dev, pkt_type and mac_header, and returns the protocol. A frame too short has protocol 0.

    Linux: net/ethernet/eth.c.
    """
    skb.dev = dev
    skb_reset_mac_header(skb)
    if not pskb_may_pull(skb, ETH_HLEN):
        skb.protocol = 0
        return 0
    at = skb.data
    head = skb.head
    dest = head[at:at + ETH_ALEN]
    __skb_pull(skb, ETH_HLEN)
    if dest == dev.dev_addr:
        skb.pkt_type = PACKET_HOST
    elif is_multicast_ether_addr(dest):
        skb.pkt_type = PACKET_BROADCAST if is_broadcast_ether_addr(dest) else PACKET_MULTICAST
    else:
        skb.pkt_type = PACKET_OTHERHOST
    proto = get_be16(head, at + 12)
    if proto < ETH_P_802_3_MIN:
        # IPX without LLC starts with ffff, where LLC would have its access points
        raw = head[skb.data:skb.data + 2] == b'\xff\xff'
        proto = ETH_P_802_3 if raw else ETH_P_802_2
    skb.protocol = proto
    return proto


def eth_header_parse(skb: SkBuff) -> bytes:
    """The source address of a received frame.  Linux: net/ethernet/eth.c."""
    start = skb.mac_header + ETH_ALEN
    return skb.head[start:start + ETH_ALEN]


def eth_mac_addr(dev: NetDevice, addr: bytes) -> int:
    """Give dev another address: 0, -EADDRNOTAVAIL (not a unicast address) or -EBUSY (it is up).  Linux: net/ethernet/eth.c."""
    if len(addr) != ETH_ALEN or addr == ETH_ZERO or is_multicast_ether_addr(addr):
        return -EADDRNOTAVAIL
    if (dev.flags & IFF_UP) != 0:
        return -EBUSY
    dev.dev_addr = addr
    return 0


def ether_setup(dev: NetDevice) -> None:
    """What every Ethernet device starts with.  Linux: net/ethernet/eth.c."""
    dev.header_ops = EthHeaderOps()
    dev.type = ARPHRD_ETHER
    dev.hard_header_len = ETH_HLEN
    dev.mtu = ETH_DATA_LEN
    dev.min_mtu = 68
    dev.max_mtu = 65535
    dev.addr_len = ETH_ALEN
    dev.tx_queue_len = 1000
    dev.flags = IFF_BROADCAST | IFF_MULTICAST
    dev.broadcast = ETH_BROADCAST


def eth_hw_addr_next(world: World) -> bytes:
    """A locally administered address that no other device of this world has: 02:00:00:00:00:01, and so on."""
    n = world.next_mac
    world.next_mac += 1
    return b'\x02' + n.to_bytes(5, 'big')
