# SPDX-License-Identifier: Apache-2.0
"""TCP's half of the offloads: cutting a super-segment into segments (GSO), and merging segments received in a row (GRO).

Cut: the sequence number advances from piece to piece, PSH and FIN stay with the last, CWR with the first (RFC 3168, 6.1.2).
The checksum stays partial where it was; the pseudo header's sum, which the field then holds, is mended for the piece's
length.

Merge: only what a receiver would find the same after merging: in sequence, same ACK, same options to the byte, full segments
but the last.
"""
from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from linnet.include.linux.inet import IPPROTO_TCP
from linnet.include.linux.ip import ip_daddr, ip_saddr
from linnet.include.linux.ipv6 import ipv6_daddr, ipv6_saddr
from linnet.include.linux.netdevice import GroCallbacks
from linnet.include.linux.skbuff import (
    CHECKSUM_NONE,
    CHECKSUM_PARTIAL,
    CHECKSUM_UNNECESSARY,
    SKB_GSO_TCP_ECN,
    SKB_GSO_TCPV4,
    SKB_GSO_TCPV6,
    SKBTX_SW_TSTAMP,
    SkBuff,
)
from linnet.include.linux.tcp import (
    TCP_CSUM_OFFSET,
    TCP_HLEN,
    th_ack_seq,
    th_check,
    th_dest,
    th_doff,
    th_flags,
    th_seq,
    th_source,
)
from linnet.include.linux.unaligned import put_be16, put_be32
from linnet.include.net.checksum import csum_fold, csum_tcpudp_magic
from linnet.include.net.ipv6 import csum_ipv6_magic
from linnet.include.net.net_namespace import Net
from linnet.include.net.tcp import TCPHDR_ACK, TCPHDR_CWR, TCPHDR_FIN, TCPHDR_PSH, TCPHDR_RST, TCPHDR_SYN, TCPHDR_URG
from linnet.net.core.gro import skb_gro_receive
from linnet.net.core.gso import skb_segment
from linnet.net.core.skbuff import pskb_may_pull, skb_checksum

LINUX_FILE: Final = 'net/ipv4/tcp_offload.c'
U32: Final = 0xFFFFFFFF


class TcpOffload(GroCallbacks):
    """Linux: tcpv4_offload."""

    def __init__(self) -> None:
        super().__init__(IPPROTO_TCP)

    def gro_receive(self, head: list[SkBuff], skb: SkBuff) -> SkBuff | None:
        """See tcp4_gro_receive."""
        return tcp4_gro_receive(head, skb)

    def gro_complete(self, skb: SkBuff, nhoff: i64) -> int:
        """See tcp4_gro_complete."""
        return tcp4_gro_complete(skb, nhoff)

    def gso_segment(self, skb: SkBuff, features: i64) -> list[SkBuff]:
        """See tcp4_gso_segment."""
        return tcp4_gso_segment(skb, features)


def tcp_patch(head: bytes, th: i64, seq: i64, flags: i64, check: i64) -> bytes:
    """The same head with the sequence number, the flags and the checksum field of the TCP header at byte th replaced."""
    w = BytesWriter()
    put_be32(w, seq)
    w.write(head[th + 8:th + 13])
    w.append(int(flags))
    w.write(head[th + 14:th + 16])
    put_be16(w, check)
    return head[:th + 4] + w.getvalue() + head[th + 18:]


# -- GSO

def tcp4_gso_segment(skb: SkBuff, features: i64) -> list[SkBuff]:
    """Cut skb, data at its TCP header.  Linux: net/ipv4/tcp_offload.c."""
    if (skb.gso_type & SKB_GSO_TCPV4) == 0 or not pskb_may_pull(skb, TCP_HLEN):
        return []
    return tcp_gso_segment(skb, features)


def tcp_gso_segment(skb: SkBuff, features: i64) -> list[SkBuff]:
    """Cut skb and mend the TCP header of every piece. Empty where skb is no proper super-segment.  Linux: net/ipv4/tcp_offload.c.

    The sending socket is charged for the pieces from now on instead of skb, so that each piece that leaves lets it send more (TCP
    Small Queues). The last piece also tells when the original has left the host, as with a device that segments by itself.
    """
    th = skb.data
    thlen = th_doff(skb.head, th)
    if thlen < TCP_HLEN or not pskb_may_pull(skb, thlen):
        return []
    mss = skb.gso_size
    full_len = skb.len
    if mss <= 0 or full_len - thlen <= 0:
        return []
    skb.transport_header = th
    skb.data += thlen
    skb.len -= thlen
    segs = skb_segment(skb, features)
    skb.data -= thlen
    skb.len += thlen

    head = skb.head
    flags = th_flags(head, th)
    middle = flags & ~(TCPHDR_PSH | TCPHDR_FIN)
    seq = th_seq(head, th)
    partial = skb.ip_summed == CHECKSUM_PARTIAL
    pseudo = th_check(head, th)  # with a partial checksum: the folded sum of the pseudo header
    count: i64 = len(segs)
    i: i64 = 0
    for seg in segs:
        i += 1
        mine = flags if i == count else middle
        if i > 1:
            mine &= ~TCPHDR_CWR
        at = seg.transport_header
        length = seg.len - at
        check: i64 = 0
        if partial:
            check = 0xFFFF - csum_fold(pseudo + (0xFFFF - (full_len & 0xFFFF)) + length)
        seg.head = tcp_patch(seg.head, at, seq, mine, check)
        if not partial:
            tcp_full_check(seg, at, length, (skb.gso_type & SKB_GSO_TCPV6) != 0)
        seg.seq = seq
        seg.tcp_flags = mine
        if (seg.tx_flags & SKBTX_SW_TSTAMP) != 0 and ((skb.tskey - seq) & U32) >= length - thlen:
            seg.tx_flags &= ~SKBTX_SW_TSTAMP  # the byte that is stamped is in another piece
        seq = (seq + length - thlen) & U32
        seg.end_seq = seq
    tcp_gso_charge(skb, segs)
    return segs


def tcp_full_check(seg: SkBuff, th: i64, length: i64, v6: bool) -> None:
    """Put the complete checksum into the field, which is 0."""
    nh = seg.network_header
    total = skb_checksum(seg, th - seg.data, length, 0)
    if v6:
        check = csum_ipv6_magic(ipv6_saddr(seg.head, nh), ipv6_daddr(seg.head, nh), length, IPPROTO_TCP, total)
    else:
        check = csum_tcpudp_magic(ip_saddr(seg.head, nh), ip_daddr(seg.head, nh), length, IPPROTO_TCP, total)
    seg.head = tcp_patch(seg.head, th, th_seq(seg.head, th), th_flags(seg.head, th), check)
    seg.ip_summed = CHECKSUM_NONE


def tcp_gso_charge(skb: SkBuff, segs: list[SkBuff]) -> None:
    """Move the socket's charge for skb to its pieces."""
    sk = skb.sk
    destructor = skb.destructor
    if sk is None or destructor is None:
        return
    total: i64 = 0
    for seg in segs:
        seg.sk = sk
        seg.destructor = destructor
        total += seg.truesize
    sk.sk_wmem_alloc += total - skb.truesize
    segs[-1].fclone_orig = skb.fclone_orig
    skb.fclone_orig = None
    skb.destructor = None
    skb.sk = None


# -- GRO

def tcp4_gro_receive(head: list[SkBuff], skb: SkBuff) -> SkBuff | None:
    """Merge skb, data at its TCP header, if its checksum is right.  Linux: net/ipv4/tcp_offload.c."""
    if skb.ip_summed == CHECKSUM_NONE:
        nh = skb.network_header
        total = skb_checksum(skb, 0, skb.len, 0)
        if csum_tcpudp_magic(ip_saddr(skb.head, nh), ip_daddr(skb.head, nh), skb.len, IPPROTO_TCP, total) != 0:
            skb.gro_flush = True
            return None
        skb.ip_summed = CHECKSUM_UNNECESSARY
    return tcp_gro_receive(head, skb)


def tcp_gro_receive(head: list[SkBuff], skb: SkBuff) -> SkBuff | None:
    """Append skb's payload to the held packet of its connection, if it continues that. Returns one that must go up now.

    Linux: net/ipv4/tcp_offload.c. Sets skb.gro_same_flow where skb was merged, gro_flush where it must not be held.
    """
    th = skb.data
    if not pskb_may_pull(skb, TCP_HLEN):
        skb.gro_flush = True
        return None
    thlen = th_doff(skb.head, th)
    if thlen < TCP_HLEN or not pskb_may_pull(skb, thlen):
        skb.gro_flush = True
        return None
    h = skb.head
    payload = skb.len - thlen
    skb.gso_size = payload
    flags = th_flags(h, th)
    held = tcp_gro_lookup(head, h, th)
    special = (flags & (TCPHDR_URG | TCPHDR_PSH | TCPHDR_RST | TCPHDR_SYN | TCPHDR_FIN)) != 0
    if held is None:
        skb.gro_flush = payload == 0 or special or (flags & TCPHDR_ACK) == 0
        return None
    mss = held.gso_size
    apart = (
        held.gro_flush or skb.gro_flush or payload == 0 or payload > mss or (flags & TCPHDR_CWR) != 0
        or (flags & (TCPHDR_SYN | TCPHDR_RST | TCPHDR_URG)) != 0
        or ((flags ^ th_flags(held.head, held.transport_header)) & ~(TCPHDR_CWR | TCPHDR_FIN | TCPHDR_PSH)) != 0
        or tcp_gro_differs(held, h, th, thlen)
    )
    if apart:
        skb.gro_flush = payload == 0 or special
        return held
    if not skb_gro_receive(held, skb, thlen):
        skb.gro_flush = special
        return held
    if (flags & (TCPHDR_PSH | TCPHDR_FIN)) != 0:
        at = held.transport_header
        hh = held.head
        held.head = tcp_patch(hh, at, th_seq(hh, at), th_flags(hh, at) | (flags & (TCPHDR_PSH | TCPHDR_FIN)), 0)
    # a short segment ends a burst, PSH asks for delivery: what is held goes up
    if payload < mss or special:
        return held
    return None


def tcp_gro_lookup(head: list[SkBuff], h: bytes, th: i64) -> SkBuff | None:
    """The held packet with these ports; others are marked as another flow's.  Linux: net/ipv4/tcp_offload.c."""
    found: SkBuff | None = None
    for held in head:
        if not held.gro_same_flow:
            continue
        at = held.transport_header
        if th_source(held.head, at) != th_source(h, th) or th_dest(held.head, at) != th_dest(h, th):
            held.gro_same_flow = False
        else:
            found = held
    return found


def tcp_gro_differs(held: SkBuff, h: bytes, th: i64, thlen: i64) -> bool:
    """Does a header not continue the held packet: another ACK, other options, or another place in the stream?"""
    at = held.transport_header
    hh = held.head
    if th_ack_seq(hh, at) != th_ack_seq(h, th) or th_doff(hh, at) != thlen:
        return True
    if th_seq(h, th) != (th_seq(hh, at) + held.len - (at + thlen - held.data)) & U32:
        return True
    return hh[at + TCP_HLEN:at + thlen] != h[th + TCP_HLEN:th + thlen]


def tcp4_gro_complete(skb: SkBuff, nhoff: i64) -> int:
    """Finish a merged packet whose TCP header is at byte nhoff of head.  Linux: net/ipv4/tcp_offload.c."""
    nh = skb.network_header
    h = skb.head
    length = skb.len + skb.data - nhoff
    check = 0xFFFF - csum_tcpudp_magic(ip_saddr(h, nh), ip_daddr(h, nh), length, IPPROTO_TCP, 0)
    skb.head = tcp_patch(h, nhoff, th_seq(h, nhoff), th_flags(h, nhoff), check)
    skb.gso_type |= SKB_GSO_TCPV4
    return tcp_gro_complete(skb, nhoff)


def tcp_gro_complete(skb: SkBuff, th: i64) -> int:
    """A merged packet is a super-segment whose checksum was checked: marked so that it can be forwarded and cut again.

    Linux: net/ipv4/tcp_offload.c.
    """
    skb.csum_start = th
    skb.csum_offset = TCP_CSUM_OFFSET
    skb.ip_summed = CHECKSUM_PARTIAL
    skb.gso_segs = skb.gro_count
    if (th_flags(skb.head, th) & TCPHDR_CWR) != 0:
        skb.gso_type |= SKB_GSO_TCP_ECN
    return 0


def tcpv4_offload_init(net: Net) -> None:
    """Register TCP with IPv4's offloads.  Linux: net/ipv4/tcp_offload.c."""
    net.inet_offloads[IPPROTO_TCP] = TcpOffload()
