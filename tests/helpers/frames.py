# SPDX-License-Identifier: Apache-2.0
"""TCP/IPv4 frames for tests of the offloads, made and read by struct alone: nothing here trusts the code under test."""
from __future__ import annotations

import struct

from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.skbuff import CHECKSUM_PARTIAL, SKB_GSO_TCPV4, SkbFrag, SkBuff
from linnet.net.core.skbuff import skb_from_bytes

ME = b'\x02\0\0\0\0\x01'
YOU = b'\x02\0\0\0\0\x02'
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << i for i in range(8))
TIMESTAMPS = b'\x01\x01\x08\x0a\x00\x00\x00\x07\x00\x00\x00\x09'


def checksum(data: bytes) -> int:
    """RFC 1071, the slow way: the complement of the sum, 0 over data whose checksum is right."""
    if len(data) % 2:
        data += b'\0'
    total: int = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def tcp_frame(payload: bytes, *, seq: int = 1000, ack: int = 5, flags: int = ACK, ident: int = 100, sport: int = 1234,
              dport: int = 80, window: int = 500, options: bytes = TIMESTAMPS, tos: int = 0, ttl: int = 64, df: bool = True,
              partial: bool = False, src: bytes = b'\x0a\0\0\x01', dst: bytes = b'\x0a\0\0\x02',
              ethernet: bool = True) -> bytes:
    """A frame with right checksums, or, partial, with the pseudo header's sum in TCP's field."""
    doff = 5 + len(options) // 4
    length = doff * 4 + len(payload)
    tcp = struct.pack('!HHIIBBHHH', sport, dport, seq % 2**32, ack, doff << 4, flags, window, 0, 0) + options + payload
    pseudo = src + dst + struct.pack('!HH', 6, length)
    check = checksum(pseudo) ^ 0xFFFF if partial else checksum(pseudo + tcp)
    tcp = tcp[:16] + struct.pack('!H', check) + tcp[18:]
    ip = struct.pack('!BBHHHBBH', 0x45, tos, 20 + length, ident, 0x4000 if df else 0, ttl, 6, 0) + src + dst
    ip = ip[:10] + struct.pack('!H', checksum(ip)) + ip[12:]
    return (YOU + ME + b'\x08\0' if ethernet else b'') + ip + tcp


class Parsed:
    """A TCP/IPv4 frame taken apart; ip_ok and tcp_ok: are its checksums right?"""

    def __init__(self, data: bytes, hlen: int = 14) -> None:
        ip = data[hlen:]
        ihl = (ip[0] & 15) * 4
        self.tot_len, self.ident, self.frag_off = struct.unpack('!HHH', ip[2:8])
        tcp = ip[ihl:self.tot_len]
        self.sport, self.dport, self.seq, self.ack, doff, self.flags = struct.unpack('!HHIIBB', tcp[:14])
        self.payload = tcp[(doff >> 4) * 4:]
        self.options = tcp[20:(doff >> 4) * 4]
        self.trailing = len(ip) - self.tot_len
        self.ip_ok = checksum(ip[:ihl]) == 0
        self.tcp_ok = checksum(ip[12:20] + struct.pack('!HH', ip[9], len(tcp)) + tcp) == 0


def super_segment(dev: NetDevice, frame: bytes, mss: int, cuts: list[int], hlen: int = 66, partial: bool = True) -> SkBuff:
    """A frame as TCP hands it down: headers linear, the payload on fragments that end at `cuts`, each in a page of its own."""
    skb = skb_from_bytes(dev.net.world, frame, hlen)
    frags = []
    start = hlen
    for end in [*sorted(hlen + c for c in cuts if hlen + c < len(frame)), len(frame)]:
        if end > start:
            frags.append(SkbFrag(b'..' + frame[start:end] + b'.', 2, end - start))
        start = end
    skb.frags = frags
    skb.dev = dev
    skb.protocol = 0x800
    skb.mac_header = 0
    skb.network_header = 14
    skb.transport_header = 34
    if partial:
        skb.ip_summed = CHECKSUM_PARTIAL
        skb.csum_start = 34
        skb.csum_offset = 16
    skb.gso_size = mss
    skb.gso_type = SKB_GSO_TCPV4
    skb.gso_segs = -(-(len(frame) - hlen) // mss)
    return skb
