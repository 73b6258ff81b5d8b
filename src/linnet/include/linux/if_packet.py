# SPDX-License-Identifier: Apache-2.0
"""Packet sockets: their address and their numbers.  Linux: include/uapi/linux/if_packet.h."""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.socket import AF_PACKET, Sockaddr
from linnet.include.net.sock import Sock

SOL_PACKET: Final = 263

PACKET_ADD_MEMBERSHIP: Final = 1
PACKET_DROP_MEMBERSHIP: Final = 2
PACKET_STATISTICS: Final = 6
PACKET_AUXDATA: Final = 8
PACKET_IGNORE_OUTGOING: Final = 23

PACKET_MR_MULTICAST: Final = 0
PACKET_MR_PROMISC: Final = 1
PACKET_MR_ALLMULTI: Final = 2


class SockaddrLl(Sockaddr):
    """Linux: struct sockaddr_ll. sll_protocol in host order; sll_pkttype PACKET_*."""

    def __init__(self, sll_ifindex: i64, sll_protocol: i64, sll_pkttype: i64, sll_hatype: i64, sll_addr: bytes) -> None:
        super().__init__(AF_PACKET)
        self.sll_ifindex: i64 = sll_ifindex
        self.sll_protocol: i64 = sll_protocol
        self.sll_pkttype: i64 = sll_pkttype
        self.sll_hatype: i64 = sll_hatype
        self.sll_addr: bytes = sll_addr


class PacketSock(Sock):
    """Linux: struct packet_sock. hook: its entry in the table of packet types, while it receives."""

    def __init__(self) -> None:
        super().__init__()
        self.ifindex: i64 = 0
        self.num: i64 = 0  # ETH_P_*, host order
        self.hook: object = None
        self.ignore_outgoing: bool = False
        self.auxdata: bool = False
        self.tp_packets: i64 = 0
        self.tp_drops: i64 = 0
        self.mclist: list[int] = []  # memberships: ifindex << 8 | PACKET_MR_*
