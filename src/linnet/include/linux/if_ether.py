# SPDX-License-Identifier: Apache-2.0
"""Ethernet: lengths, protocol numbers, addresses.  IEEE 802.3; Linux: uapi/linux/if_ether.h, if_arp.h, etherdevice.h."""
from __future__ import annotations

from typing import Final

ETH_ALEN: Final = 6
ETH_HLEN: Final = 14
ETH_ZLEN: Final = 60
ETH_DATA_LEN: Final = 1500
ETH_MIN_MTU: Final = 68

ETH_P_LOOP: Final = 0x0060
ETH_P_IP: Final = 0x0800
ETH_P_ARP: Final = 0x0806
ETH_P_8021Q: Final = 0x8100
ETH_P_IPV6: Final = 0x86DD
ETH_P_802_3_MIN: Final = 0x0600
ETH_P_ALL: Final = 0x0003
ETH_P_802_2: Final = 0x0004
ETH_P_802_3: Final = 0x0001

ARPHRD_ETHER: Final = 1
ARPHRD_LOOPBACK: Final = 772
ARPHRD_NONE: Final = 0xFFFE

ARPOP_REQUEST: Final = 1
ARPOP_REPLY: Final = 2

ETH_BROADCAST: Final = b'\xff\xff\xff\xff\xff\xff'
ETH_ZERO: Final = b'\0\0\0\0\0\0'


def is_multicast_ether_addr(addr: bytes) -> bool:
    """Is the group bit set? (The broadcast address has it too.)"""
    return (addr[0] & 1) != 0


def is_broadcast_ether_addr(addr: bytes) -> bool:
    """ff:ff:ff:ff:ff:ff."""
    return addr == ETH_BROADCAST


def mac_ntoa(addr: bytes) -> str:
    """'02:00:00:00:00:01' of six bytes."""
    return addr.hex(':')
