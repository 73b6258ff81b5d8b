# SPDX-License-Identifier: Apache-2.0
"""TCP/IPv6 frames for tests of the offloads, made and read by struct alone: nothing here trusts the code under test."""
from __future__ import annotations

import struct

from helpers.frames import ACK, ME, TIMESTAMPS, YOU, checksum
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.skbuff import CHECKSUM_PARTIAL, SKB_GSO_TCPV6, SkbFrag, SkBuff
from linnet.net.core.skbuff import skb_from_bytes

A = bytes.fromhex('20010db8000000000000000000000001')
B = bytes.fromhex('20010db8000000000000000000000002')
DSTOPT = b'\0\0\x01\x04\0\0\0\0'  # destination options of padding alone; the next header is for tcp6_frame to name


def tcp6_frame(payload: bytes, *, seq: int = 1000, ack: int = 5, flags: int = ACK, sport: int = 1234, dport: int = 80,
               window: int = 500, options: bytes = TIMESTAMPS, tclass: int = 0, label: int = 0x12345, hops: int = 64,
               partial: bool = False, src: bytes = A, dst: bytes = B, ext: bytes = b'') -> bytes:
    """A frame with right checksums, or, partial, with the pseudo header's sum in TCP's field.

    ext: a destination options header, whose next-header field is filled in here.
    """
    doff = 5 + len(options) // 4
    length = doff * 4 + len(payload)
    tcp = struct.pack('!HHIIBBHHH', sport, dport, seq % 2**32, ack, doff << 4, flags, window, 0, 0) + options + payload
    pseudo = src + dst + struct.pack('!II', length, 6)
    check = checksum(pseudo) ^ 0xFFFF if partial else checksum(pseudo + tcp)
    tcp = tcp[:16] + struct.pack('!H', check) + tcp[18:]
    if ext:
        ext = b'\x06' + ext[1:]
    ip = struct.pack('!IHBB', 6 << 28 | tclass << 20 | label, len(ext) + length, 60 if ext else 6, hops) + src + dst
    return YOU + ME + b'\x86\xdd' + ip + ext + tcp


class Parsed6:
    """A TCP/IPv6 frame taken apart; tcp_ok: is its checksum right? trailing: bytes behind what the header counts."""

    def __init__(self, data: bytes, hlen: int = 14, ext: int = 0) -> None:
        ip = data[hlen:]
        self.first, length, self.nexthdr, self.hops = struct.unpack('!IHBB', ip[:8])
        self.ext = ip[40:40 + ext]
        tcp = ip[40 + ext:40 + length]
        self.sport, self.dport, self.seq, self.ack, doff, self.flags = struct.unpack('!HHIIBB', tcp[:14])
        self.payload = tcp[(doff >> 4) * 4:]
        self.options = tcp[20:(doff >> 4) * 4]
        self.trailing = len(ip) - 40 - length
        self.tcp_ok = checksum(ip[8:40] + struct.pack('!II', len(tcp), 6) + tcp) == 0


def super_segment6(dev: NetDevice, frame: bytes, mss: int, cuts: list[int], ext: int = 0, partial: bool = True) -> SkBuff:
    """A frame as TCP hands it down: headers linear, the payload on fragments that end at `cuts`, each in a page of its own."""
    hlen = 86 + ext
    skb = skb_from_bytes(dev.net.world, frame, hlen)
    frags = []
    start = hlen
    for end in [*sorted(hlen + c for c in cuts if hlen + c < len(frame)), len(frame)]:
        if end > start:
            frags.append(SkbFrag(b'..' + frame[start:end] + b'.', 2, end - start))
        start = end
    skb.frags = frags
    skb.dev = dev
    skb.protocol = 0x86DD
    skb.mac_header = 0
    skb.network_header = 14
    skb.transport_header = 54 + ext
    if partial:
        skb.ip_summed = CHECKSUM_PARTIAL
        skb.csum_start = 54 + ext
        skb.csum_offset = 16
    skb.gso_size = mss
    skb.gso_type = SKB_GSO_TCPV6
    skb.gso_segs = -(-(len(frame) - hlen) // mss)
    return skb
