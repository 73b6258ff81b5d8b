# SPDX-License-Identifier: Apache-2.0
"""Segmentation offload in software: a super-segment is cut into packets as late as possible, for a device that cannot do it
itself.

TCP hands down up to 64 KB as one skb with gso_size; it passes IP, the filters and the qdisc as one. validate_xmit_skb calls
skb_gso_segment, which asks the network protocol (net.offload_base), which asks the transport (net.inet_offloads), and each
mends its header in every piece. The payload is never copied: pieces refer to the same pages.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.skbuff import CHECKSUM_PARTIAL, SKB_GSO_TCPV4, SKB_GSO_TCPV6, SkbFrag, SkBuff
from linnet.include.linux.tcp import th_doff
from linnet.net.core.skbuff import __alloc_skb, pskb_may_pull, skb_copy_header, skb_take_frags, skb_zcopy_set


def skb_gso_segment(skb: SkBuff, features: i64) -> list[SkBuff]:
    """The packets that skb (data at the mac header) stands for; the caller keeps skb. Empty: it cannot be cut.

    Linux: include/net/gso.h, __skb_gso_segment in net/core/gso.c.
    """
    return skb_mac_gso_segment(skb, features)


def skb_mac_gso_segment(skb: SkBuff, features: i64) -> list[SkBuff]:
    """Let the network protocol cut skb.  Linux: net/core/gso.c."""
    dev = skb.dev
    assert dev is not None
    ptype = dev.net.offload_base.get(int(skb.protocol))
    hlen = skb.network_header - skb.data
    if ptype is None or hlen < 0 or not pskb_may_pull(skb, hlen):
        return []
    skb.mac_len = hlen
    skb.data += hlen
    skb.len -= hlen
    segs = ptype.gso_segment(skb, features)
    skb.data -= hlen
    skb.len += hlen
    return segs


def skb_segment(skb: SkBuff, features: i64) -> list[SkBuff]:
    """Cut skb, whose data is at the payload, into gso_size pieces; each gets a copy of all headers, from mac_header on.

    Linux: net/core/skbuff.c. The pieces' data is at the mac header; their lengths and checksums are for the protocols to mend.
    """
    mss = skb.gso_size
    total = skb.len
    start = skb.mac_header
    headers = skb.head[start:skb.data]
    hlen: i64 = len(headers)
    pages = skb_take_frags(skb, 0, total)
    index: i64 = 0
    used: i64 = 0  # of the page at index
    done: i64 = 0
    segs: list[SkBuff] = []
    uarg = skb.uarg
    while done < total:
        size = total - done
        if size > mss:
            size = mss
        seg = __alloc_skb(skb.world, hlen)
        skb_copy_header(seg, skb)
        seg.head = headers
        seg.mac_header = 0
        seg.network_header = skb.network_header - start
        seg.transport_header = skb.transport_header - start
        seg.csum_start = skb.csum_start - start
        seg.gso_size = 0
        seg.gso_segs = 0
        seg.gso_type = 0
        seg.len = hlen + size
        seg.data_len = size
        seg.truesize += size  # the pages are shared, and paid for by what is used of them
        frags: list[SkbFrag] = []
        done += size
        while size > 0:
            page = pages[index]
            take = page.size - used
            if take > size:
                take = size
            frags.append(SkbFrag(page.page, page.offset + used, take))
            size -= take
            used += take
            if used == page.size:
                index += 1
                used = 0
        seg.frags = frags
        if uarg is not None:
            skb_zcopy_set(seg, uarg)
        segs.append(seg)
    return segs


def skb_gso_network_seglen(skb: SkBuff) -> i64:
    """Bytes of each piece from the network header on.  Linux: net/core/gso.c."""
    th = skb.transport_header
    thlen: i64 = 0
    if (skb.gso_type & (SKB_GSO_TCPV4 | SKB_GSO_TCPV6)) != 0 and th >= 0:
        if skb.ip_summed == CHECKSUM_PARTIAL:
            th = skb.csum_start  # a router of IPv6 has transport_header at the first extension header
        thlen = th_doff(skb.head, th)
    return th - skb.network_header + thlen + skb.gso_size


def skb_gso_validate_network_len(skb: SkBuff, mtu: i64) -> bool:
    """Will every piece of this super-segment fit into mtu bytes?  Linux: net/core/gso.c."""
    return skb_gso_network_seglen(skb) <= mtu
