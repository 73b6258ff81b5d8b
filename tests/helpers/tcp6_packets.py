# SPDX-License-Identifier: Apache-2.0
"""TCP segments over IPv6 from THERE6 to HERE6, byte by byte, and their way into a Wire with the checksum not looked at yet."""
from __future__ import annotations

from helpers.tcp_wire import HERE6, THERE6, Wire
from linnet.include.linux.in6 import in6_pton
from linnet.include.linux.ipv6 import ipv6_hdr_build
from linnet.include.linux.skbuff import CHECKSUM_NONE
from linnet.include.net.checksum import csum_partial
from linnet.include.net.ipv6 import csum_ipv6_magic
from linnet.net.core.dev import netif_rx
from linnet.net.core.skbuff import skb_from_bytes


def packet(data: bytes, proto: int = 6, ttl: int = 64, tclass: int = 0, label: int = 0) -> bytes:
    """An IPv6 packet from THERE6 to HERE6."""
    return ipv6_hdr_build(tclass, label, len(data), proto, ttl, in6_pton(THERE6), in6_pton(HERE6)) + data


def receive(wire: Wire, data: bytes, hlen: int = 80) -> None:
    """The packet arrives."""
    skb = skb_from_bytes(wire.world, data, min(len(data), hlen))
    skb.dev = wire.dev
    skb.protocol = 0x86DD
    skb.ip_summed = CHECKSUM_NONE
    skb.network_header = 0
    netif_rx(skb)
    wire.world.sched.run(wire.now)


def checked(data: bytes, at: int = 16, proto: int = 6) -> bytes:
    """A segment (or, with at 2, an ICMPv6 message) with its checksum."""
    zero = data[:at] + b'\0\0' + data[at + 2:]
    check = csum_ipv6_magic(in6_pton(THERE6), in6_pton(HERE6), len(data), proto, csum_partial(zero, 0))
    return data[:at] + int(check).to_bytes(2, 'big') + data[at + 2:]


def syn(port: int = 80, flags: int = 2, data: bytes = b'') -> bytes:
    """A SYN from port 4000."""
    numbers = (5000).to_bytes(4, 'big') + bytes(4) + bytes([0x50, flags]) + b'\xff\xff\0\0\0\0'
    return (4000).to_bytes(2, 'big') + port.to_bytes(2, 'big') + numbers + data


def icmp6(wire: Wire, quoted: bytes, type: int, code: int, info: int = 0) -> None:
    """An ICMPv6 error that quotes a packet comes from THERE6."""
    body = bytes([type, code, 0, 0]) + info.to_bytes(4, 'big') + quoted[:200]
    receive(wire, packet(checked(body, 2, 58), proto=58), 300)
