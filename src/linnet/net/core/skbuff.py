# SPDX-License-Identifier: Apache-2.0
"""The life of an skb: allocation, cloning, freeing with a reason, and the operations on its bytes.

Every skb is two counted objects: the head (skbuff_head_cache) and its data (skbuff_small_head), so that one that leaks shows in
the slab counts; a clone is the first alone. Freeing is explicit, as in C: kfree_skb and kfree_skb_reason for a packet that is
dropped, consume_skb for one that ends well. A packet that is freed twice stops the world with an AssertionError.

The bytes themselves are immutable (include/linux/skbuff.py), so a clone is a shallow copy. The list of fragments is each skb's
own; the fragments in it are replaced, never written to.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import (
    CHECKSUM_COMPLETE,
    CHECKSUM_NONE,
    MAX_SKB_FRAGS,
    PACKET_HOST,
    SIZEOF_SK_BUFF,
    SIZEOF_SKB_SHARED_INFO,
    SkbFrag,
    SkBuff,
    SkBuffHead,
    UbufInfo,
    __skb_dequeue,
    __skb_queue_tail,
    skb_headlen,
)
from linnet.include.net.checksum import csum_partial
from linnet.include.net.dropreason import SKB_CONSUMED, SKB_DROP_REASON_NOT_SPECIFIED
from linnet.include.net.net_namespace import World
from linnet.include.trace.events.skb import trace_consume_skb, trace_kfree_skb
from linnet.kernel.slab import KmemCache, kmem_cache_alloc_node, kmem_cache_free

if TYPE_CHECKING:
    from linnet.include.net.sock import Sock

SMALL_HEAD_SIZE: Final = 704  # bytes of an object of skbuff_small_head
NET_SKB_PAD: Final = 64  # room that a driver leaves in front of a received packet
PAGE_SIZE: Final = 4096
SKB_FREED: Final = -1  # skb.users of one that has ended


class SkBuffCache(KmemCache):
    """skbuff_head_cache: makes the skbs of one world."""

    def __init__(self, world: World) -> None:
        super().__init__('skbuff_head_cache', SIZEOF_SK_BUFF, world.trace)
        self.world: World = world

    def new(self) -> object:
        """A fresh skb."""
        return SkBuff(self.world)


class SkbDataCache(KmemCache):
    """skbuff_small_head: the data of skbs, counted alone (their bytes are Python's)."""

    def new(self) -> object:
        """Nothing to make."""
        return None


def skb_init(world: World) -> None:
    """Make the caches of the packet path.  Linux: net/core/skbuff.c."""
    world.skbuff_cache = SkBuffCache(world)
    world.skb_data_cache = SkbDataCache('skbuff_small_head', SMALL_HEAD_SIZE, world.trace)
    world.slab.register(world.skbuff_cache)
    world.slab.register(world.skb_data_cache)


def kmalloc_reserve(world: World, size: i64) -> i64:
    """Count the data area of an skb for `size` linear bytes; gives the bytes that Linux's allocator would spend on it.

    Linux: net/core/skbuff.c: one size for small heads, powers of two for the rest, skb_shared_info included.
    """
    kmem_cache_alloc_node(world.skb_data_cache)
    if size <= SMALL_HEAD_SIZE - SIZEOF_SKB_SHARED_INFO:
        return SMALL_HEAD_SIZE
    need = size + SIZEOF_SKB_SHARED_INFO
    room: i64 = 1024
    while room < need:
        room <<= 1
    return room


def __alloc_skb(world: World, size: i64) -> SkBuff:
    """A new, empty skb with room for `size` linear bytes (which counts in truesize alone).  Linux: net/core/skbuff.c."""
    skb = kmem_cache_alloc_node(world.skbuff_cache)
    assert isinstance(skb, SkBuff)
    skb.truesize = SIZEOF_SK_BUFF + kmalloc_reserve(world, size)
    skb.has_data = True
    return skb


def alloc_skb(world: World, size: i64) -> SkBuff:
    """Linux: include/linux/skbuff.h."""
    return __alloc_skb(world, size)


def alloc_skb_with_frags(world: World, size: i64) -> SkBuff:
    """An skb for `size` bytes of payload, which come as fragments.  Linux: net/core/skbuff.c; pages are Python's."""
    return alloc_skb(world, size)


def skb_from_bytes(world: World, data: bytes, hlen: i64) -> SkBuff:
    """An skb as a driver makes it: the first hlen bytes linear, the rest a fragment of the same page."""
    n: i64 = len(data)
    if n + NET_SKB_PAD + SIZEOF_SKB_SHARED_INFO <= PAGE_SIZE:
        # as on TUN: one area for the whole packet. It costs what kmalloc rounds it to, and only what fits in behind is merged.
        skb = __alloc_skb(world, n + NET_SKB_PAD)
        skb.tailroom = skb.truesize - SIZEOF_SK_BUFF - SIZEOF_SKB_SHARED_INFO - NET_SKB_PAD - n
    else:
        skb = __alloc_skb(world, hlen)
        skb.truesize += (n - hlen + PAGE_SIZE - 1) // PAGE_SIZE * PAGE_SIZE
    if hlen >= n:
        skb.head = data
    else:
        skb.head = data[:hlen]
        skb.frags.append(SkbFrag(data, hlen, n - hlen))
        skb.data_len = n - hlen
    skb.len = n
    return skb


def skb_release_head_state(skb: SkBuff) -> None:
    """Let go of what belongs to the skb but is not its bytes: the socket's charge, the route.  Linux: net/core/skbuff.c."""
    destructor = skb.destructor
    if destructor is not None:
        skb.destructor = None
        destructor.destruct(skb)
    skb.sk = None
    skb.dst = None


def skb_release_data(skb: SkBuff, reason: i64) -> None:
    """Let go of the bytes, and of the skbs on frag_list.  Linux: net/core/skbuff.c."""
    if skb.has_data:
        skb.has_data = False
        kmem_cache_free(skb.world.skb_data_cache, skb)
    if skb.uarg is not None:
        skb_zcopy_clear(skb, True)
    parts = skb.frag_list
    if parts is not None:
        skb.frag_list = None
        kfree_skb_list_reason(parts, reason)


def __kfree_skb(skb: SkBuff) -> None:
    """End an skb whatever its references, without a tracepoint.  Linux: net/core/skbuff.c."""
    if skb.users < 0:
        raise AssertionError('an skb is freed twice')
    skb.users = SKB_FREED
    skb_release_head_state(skb)
    skb_release_data(skb, SKB_CONSUMED)
    kmem_cache_free(skb.world.skbuff_cache, skb)


def sk_skb_reason_drop(sk: Sock | None, skb: SkBuff, reason: i64) -> None:
    """Drop a reference; with the last one the packet is dropped, for this reason. sk: for which socket, where that is known.

    The reason is counted in the mib of the Net whose device or socket the packet is at.
    Linux: net/core/skbuff.c.
    """
    users = skb.users - 1
    if users < 0:
        raise AssertionError('an skb is freed twice')
    skb.users = users
    if users > 0:
        return
    if reason == SKB_CONSUMED:
        trace_consume_skb(skb)
    else:
        dev = skb.dev
        owner = skb.sk if sk is None else sk
        net = dev.net if dev is not None else owner.sk_net if owner is not None else None
        if net is not None:
            drops = net.mib.drops
            drops[int(reason)] = drops.get(int(reason), 0) + 1
        trace_kfree_skb(skb, int(reason))
    skb.users = SKB_FREED
    skb_release_head_state(skb)
    skb_release_data(skb, reason)
    kmem_cache_free(skb.world.skbuff_cache, skb)


def kfree_skb_reason(skb: SkBuff, reason: i64) -> None:
    """Drop skb for this reason (SKB_DROP_REASON_*).  Linux: net/core/skbuff.c."""
    sk_skb_reason_drop(None, skb, reason)


def kfree_skb(skb: SkBuff) -> None:
    """Drop for no named reason.  Linux: net/core/skbuff.c."""
    sk_skb_reason_drop(None, skb, SKB_DROP_REASON_NOT_SPECIFIED)


def consume_skb(skb: SkBuff) -> None:
    """Drop a reference; with the last one the packet has done its work.  Linux: net/core/skbuff.c."""
    users = skb.users - 1
    if users < 0:
        raise AssertionError('an skb is freed twice')
    skb.users = users
    if users > 0:
        return
    trace_consume_skb(skb)
    __kfree_skb(skb)


def skb_zcopy_set(skb: SkBuff, uarg: UbufInfo) -> None:
    """skb refers to the memory that uarg stands for.  Linux: include/linux/skbuff.h."""
    if skb.uarg is None:
        uarg.refcnt += 1
        skb.uarg = uarg


def skb_zcopy_clear(skb: SkBuff, success: bool) -> None:
    """skb refers to it no more; success: nobody had to copy the bytes.  Linux: include/linux/skbuff.h."""
    uarg = skb.uarg
    if uarg is not None:
        skb.uarg = None
        uarg.complete(success)


def skb_orphan_frags_rx(skb: SkBuff) -> None:
    """skb will be kept by somebody who may be slow (a receiver, a tap): its sender shall not wait for that.

    Linux: include/linux/skbuff.h; there the bytes are copied now, and the sender is told so. Here they are immutable, so that
    nothing is copied; the sender is told what Linux tells it.
    """
    if skb.uarg is not None:
        skb_zcopy_clear(skb, False)


def kfree_skb_list_reason(skb: SkBuff | None, reason: i64) -> None:
    """Drop a chain linked by next.  Linux: net/core/skbuff.c."""
    while skb is not None:
        following = skb.next
        skb.next = None
        kfree_skb_reason(skb, reason)
        skb = following


def skb_copy_header(new: SkBuff, old: SkBuff) -> None:
    """All that describes the packet, but neither its bytes nor who owns it.  Linux: net/core/skbuff.c, __copy_skb_header."""
    new.mac_header = old.mac_header
    new.network_header = old.network_header
    new.transport_header = old.transport_header
    new.mac_len = old.mac_len
    new.dev = old.dev
    new.skb_iif = old.skb_iif
    new.dst = old.dst
    new.tstamp = old.tstamp
    new.protocol = old.protocol
    new.pkt_type = old.pkt_type
    new.priority = old.priority
    new.mark = old.mark
    new.queue_mapping = old.queue_mapping
    new.hash = old.hash
    new.ip_summed = old.ip_summed
    new.csum_start = old.csum_start
    new.csum_offset = old.csum_offset
    new.ignore_df = old.ignore_df
    new.gso_size = old.gso_size
    new.gso_segs = old.gso_segs
    new.gso_type = old.gso_type
    new.tx_flags = old.tx_flags
    new.tskey = old.tskey
    new.saddr = old.saddr
    new.daddr = old.daddr
    new.saddr6 = old.saddr6
    new.daddr6 = old.daddr6
    new.nhoff = old.nhoff
    new.tos = old.tos
    new.ttl = old.ttl
    new.ip_protocol = old.ip_protocol
    new.ip_opt = old.ip_opt
    new.ip_flags = old.ip_flags
    new.frag_max_size = old.frag_max_size
    new.seq = old.seq
    new.end_seq = old.end_seq
    new.ack_seq = old.ack_seq
    new.sport = old.sport
    new.dport = old.dport
    new.window = old.window
    new.urg_ptr = old.urg_ptr
    new.tcp_doff = old.tcp_doff
    new.tcp_flags = old.tcp_flags
    new.sacked = old.sacked
    new.eor = old.eor
    new.when = old.when
    new.tx_delivered = old.tx_delivered
    new.tx_delivered_ce = old.tx_delivered_ce
    new.tx_first_mstamp = old.tx_first_mstamp
    new.tx_delivered_mstamp = old.tx_delivered_mstamp
    new.tx_in_flight = old.tx_in_flight
    new.tx_is_app_limited = old.tx_is_app_limited


def skb_clone(skb: SkBuff) -> SkBuff:
    """A second skb on the same bytes; it belongs to no socket.  Linux: net/core/skbuff.c."""
    new = kmem_cache_alloc_node(skb.world.skbuff_cache)
    assert isinstance(new, SkBuff)
    new.head = skb.head
    new.data = skb.data
    new.len = skb.len
    new.data_len = skb.data_len
    if skb.data_len != 0:
        new.frags = skb.frags.copy()
    new.truesize = skb.truesize
    uarg = skb.uarg
    if uarg is not None:
        skb_zcopy_set(new, uarg)
    new.cloned = True
    skb.cloned = True
    skb_copy_header(new, skb)
    return new


def skb_copy(skb: SkBuff) -> SkBuff:
    """A copy with a life of its own, all linear.  Linux: net/core/skbuff.c."""
    new = __alloc_skb(skb.world, skb.len)
    new.head = skb.head[:skb.data] + skb_bytes(skb)
    new.data = skb.data
    new.len = skb.len
    skb_copy_header(new, skb)
    return new


def pskb_copy(skb: SkBuff) -> SkBuff:
    """A copy of the head; the fragments are shared.  Linux: include/linux/skbuff.h."""
    new = __alloc_skb(skb.world, skb_headlen(skb))
    new.head = skb.head
    new.data = skb.data
    new.len = skb.len
    new.data_len = skb.data_len
    new.frags = skb.frags.copy()
    new.truesize += skb.data_len
    skb_copy_header(new, skb)
    return new


def skb_copy_bits(skb: SkBuff, offset: i64, length: i64) -> bytes:
    """`length` bytes of the packet from `offset` (counted from data).  Linux: net/core/skbuff.c, which fills a buffer.

    A range that is exactly one whole page is returned without a copy.
    """
    if length <= 0:
        return b''
    parts: list[bytes] = []
    headlen = skb_headlen(skb)
    if offset < headlen:
        start = skb.data + offset
        take = headlen - offset
        if take > length:
            take = length
        parts.append(skb.head[start:start + take])
        length -= take
        offset = 0
    else:
        offset -= headlen
    if length > 0:
        for frag in skb.frags:
            size = frag.size
            if offset >= size:
                offset -= size
                continue
            take = size - offset
            if take > length:
                take = length
            start = frag.offset + offset
            page = frag.page
            if start == 0 and take == len(page):
                parts.append(page)
            else:
                parts.append(page[start:start + take])
            length -= take
            offset = 0
            if length == 0:
                break
    if len(parts) == 1:
        return parts[0]
    return b''.join(parts)


def skb_bytes(skb: SkBuff) -> bytes:
    """The whole packet from data on."""
    return skb_copy_bits(skb, 0, skb.len)


def skb_checksum(skb: SkBuff, offset: i64, length: i64, csum: i64) -> i64:
    """Add `length` bytes from `offset` to a partial sum.  Linux: net/core/skbuff.c."""
    return csum_partial(skb_copy_bits(skb, offset, length), csum)


def pskb_may_pull(skb: SkBuff, n: i64) -> bool:
    """Make the first n bytes linear; False where the packet is shorter.  Linux: include/linux/skbuff.h."""
    headlen = skb_headlen(skb)
    if n <= headlen:
        return True
    if n > skb.len:
        return False
    need = n - headlen
    moved = skb_copy_bits(skb, headlen, need)
    skb.head = skb.head + moved
    rest: list[SkbFrag] = []
    for frag in skb.frags:
        if need >= frag.size:
            need -= frag.size
        elif need > 0:
            rest.append(SkbFrag(frag.page, frag.offset + need, frag.size - need))
            need = 0
        else:
            rest.append(frag)
    skb.frags = rest
    skb.data_len -= len(moved)
    return True


def skb_pull(skb: SkBuff, n: i64) -> bool:
    """Step over n linear bytes; False where the packet is shorter.  Linux: include/linux/skbuff.h."""
    if n > skb_headlen(skb):
        return False
    skb.data += n
    skb.len -= n
    return True


def pskb_trim(skb: SkBuff, length: i64) -> None:
    """Cut the packet to `length` bytes.  Linux: include/linux/skbuff.h, where memory may be lacking."""
    if length >= skb.len:
        return
    if skb.ip_summed == CHECKSUM_COMPLETE:
        skb.ip_summed = CHECKSUM_NONE  # the device's sum was over more bytes
    headlen = skb_headlen(skb)
    if length <= headlen:
        skb.head = skb.head[:skb.data + length]
        skb.frags = []
        skb.data_len = 0
    else:
        left = length - headlen
        kept: list[SkbFrag] = []
        for frag in skb.frags:
            if left <= 0:
                break
            if frag.size <= left:
                kept.append(frag)
                left -= frag.size
            else:
                kept.append(SkbFrag(frag.page, frag.offset, left))
                left = 0
        skb.frags = kept
        skb.data_len = length - headlen
    skb.len = length


def skb_trim(skb: SkBuff, length: i64) -> None:
    """As pskb_trim.  Linux: net/core/skbuff.c."""
    pskb_trim(skb, length)


def skb_can_coalesce(skb: SkBuff, page: bytes, offset: i64) -> bool:
    """Do these bytes follow the last fragment in the same page?  Linux: include/linux/skbuff.h."""
    if not skb.frags:
        return False
    last = skb.frags[-1]
    return last.page is page and last.offset + last.size == offset


def skb_add_frag(skb: SkBuff, page: bytes, offset: i64, size: i64) -> bool:
    """Append a run of payload, by reference; False where the skb has its full number of fragments.

    Linux: net/core/skbuff.c, skb_add_rx_frag and the page-frag code of tcp_sendmsg. A run that follows the last in its page
    extends it.
    """
    if skb_can_coalesce(skb, page, offset):
        last = skb.frags[-1]
        skb.frags[-1] = SkbFrag(page, last.offset, last.size + size)
    elif len(skb.frags) >= MAX_SKB_FRAGS:
        return False
    else:
        skb.frags.append(SkbFrag(page, offset, size))
    skb.len += size
    skb.data_len += size
    return True


def skb_take_frags(skb: SkBuff, offset: i64, length: i64) -> list[SkbFrag]:
    """References to `length` bytes from `offset` (counted from data); linear ones become a fragment whose page is the head."""
    out: list[SkbFrag] = []
    headlen = skb_headlen(skb)
    if offset < headlen:
        take = headlen - offset
        if take > length:
            take = length
        if take > 0:
            out.append(SkbFrag(skb.head, skb.data + offset, take))
            length -= take
        offset = 0
    else:
        offset -= headlen
    for frag in skb.frags:
        if length <= 0:
            break
        if offset >= frag.size:
            offset -= frag.size
            continue
        take = frag.size - offset
        if take > length:
            take = length
        out.append(SkbFrag(frag.page, frag.offset + offset, take))
        length -= take
        offset = 0
    return out


def skb_split(skb: SkBuff, skb1: SkBuff, length: i64) -> None:
    """Leave `length` bytes in skb, and move the rest to skb1 (which has none).  Linux: net/core/skbuff.c."""
    rest = skb.len - length
    skb1.frags = skb_take_frags(skb, length, rest)
    skb1.data_len += rest
    skb1.len += rest
    pskb_trim(skb, length)


def skb_orphan(skb: SkBuff) -> None:
    """Take the skb away from the socket that owns it.  Linux: include/linux/skbuff.h."""
    destructor = skb.destructor
    if destructor is not None:
        skb.destructor = None
        destructor.destruct(skb)
    skb.sk = None


def skb_queue_tail(lst: SkBuffHead, skb: SkBuff) -> None:
    """Append skb.  Linux: net/core/skbuff.c, where it takes the queue's lock."""
    __skb_queue_tail(lst, skb)


def skb_dequeue(lst: SkBuffHead) -> SkBuff | None:
    """Take the first skb out.  Linux: net/core/skbuff.c."""
    return __skb_dequeue(lst)


def skb_queue_purge(lst: SkBuffHead) -> None:
    """Drop all that is queued.  Linux: net/core/skbuff.c."""
    skb = __skb_dequeue(lst)
    while skb is not None:
        kfree_skb(skb)
        skb = __skb_dequeue(lst)


def __skb_linearize(skb: SkBuff) -> None:
    """Make all of the packet linear.  Linux: include/linux/skbuff.h."""
    if skb.data_len != 0:
        pskb_may_pull(skb, skb.len)


def skb_scrub_packet(skb: SkBuff) -> None:
    """Take off what must not be carried from one host into another: socket, route, marks, stamps.  Linux: net/core/skbuff.c."""
    if skb.sk is not None or skb.destructor is not None:
        skb_orphan(skb)
    skb.dst = None
    skb.pkt_type = PACKET_HOST
    skb.skb_iif = 0
    skb.ignore_df = False
    skb.mark = 0
    skb.priority = 0
    skb.queue_mapping = 0
    skb.hash = 0
    skb.tstamp = 0
    skb.tx_flags = 0
    skb_orphan_frags_rx(skb)
    skb.ip_flags = 0
    skb.ip_opt = b''
    skb.frag_max_size = 0
