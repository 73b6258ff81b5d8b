# SPDX-License-Identifier: Apache-2.0
"""Reassembly queues: fragments of one datagram kept in order until all are there, or time or memory is up.

Overlaps are not resolved but refused: they are attacks, or damage, and the whole queue goes (CVE-2018-5391, RFC 5722's rule
applied to IPv4). A fragment whose bytes are all there already is dropped alone. Memory is counted by true size; above high_thresh
no new queue is begun.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import CHECKSUM_NONE, SkBuff
from linnet.include.net.net_namespace import Net
from linnet.kernel.slab import KmemCache, kmem_cache_free
from linnet.kernel.timer import TimerList, del_timer, mod_timer
from linnet.net.core.skbuff import consume_skb, kfree_skb_reason, skb_clone, skb_take_frags
from linnet.net.core.sock import kmem_cache_alloc

INET_FRAG_FIRST_IN: Final = 1
INET_FRAG_LAST_IN: Final = 2
INET_FRAG_COMPLETE: Final = 4

IPFRAG_DUP: Final = 1
IPFRAG_OVERLAP: Final = 2

SIZEOF_IPQ: Final = 208


class FragQueue(TimerList):
    """Linux: struct inet_frag_queue. The timer that it is ends it. frags[i] covers payload bytes starts[i] to ends[i]."""

    def __init__(self, fqdir: Fqdir, net: Net, key: int) -> None:
        super().__init__(net.clock)
        self.fqdir: Fqdir = fqdir
        self.net: Net = net
        self.key: int = key
        self.frags: list[SkBuff] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.len: i64 = 0  # of the whole payload, as far as known
        self.meat: i64 = 0  # payload bytes that are there
        self.flags: i64 = 0
        self.max_size: i64 = 0  # of the largest fragment
        self.dead: bool = False


class Fqdir:
    """The queues of one host and protocol (Linux: struct fqdir). mem: bytes of true size in all queues."""

    def __init__(self, cache: KmemCache) -> None:
        self.cache: KmemCache = cache
        self.queues: dict[int, FragQueue] = {}
        self.mem: i64 = 0

    def new_queue(self, net: Net, key: int) -> FragQueue:
        """An empty queue of the protocol's own kind."""
        raise AssertionError('a protocol makes its queues')


def inet_frag_find(fqdir: Fqdir, net: Net, key: int, high_thresh: i64, timeout: i64) -> FragQueue | None:
    """The queue of this key, begun where there is none and memory allows; timeout in ns.  Linux: net/ipv4/inet_fragment.c."""
    q = fqdir.queues.get(key)
    if q is not None:
        return q
    if high_thresh == 0 or fqdir.mem > high_thresh:
        return None
    kmem_cache_alloc(fqdir.cache)
    q = fqdir.new_queue(net, key)
    fqdir.queues[key] = q
    mod_timer(q, net.clock.now + timeout)
    return q


def inet_frag_kill(q: FragQueue) -> None:
    """No further fragment finds the queue.  Linux: net/ipv4/inet_fragment.c."""
    del_timer(q)
    if not q.dead:
        q.dead = True
        q.flags |= INET_FRAG_COMPLETE
        if q.fqdir.queues.get(q.key) is q:
            del q.fqdir.queues[q.key]


def inet_frag_destroy(q: FragQueue, reason: i64) -> None:
    """End a killed queue and drop what is in it.  Linux: net/ipv4/inet_fragment.c."""
    inet_frag_purge(q, reason)
    kmem_cache_free(q.fqdir.cache, q)


def inet_frag_purge(q: FragQueue, reason: i64) -> None:
    """Drop all fragments of the queue.  Linux: inet_frag_rbtree_purge, net/ipv4/inet_fragment.c."""
    for skb in q.frags:
        q.fqdir.mem -= skb.truesize
        kfree_skb_reason(skb, reason)
    q.frags = []
    q.starts = []
    q.ends = []


def inet_frag_queue_insert(q: FragQueue, skb: SkBuff, offset: int, end: int) -> int:
    """Put skb in its place: 0, IPFRAG_DUP where its bytes are there already, IPFRAG_OVERLAP where some are.

    Linux: net/ipv4/inet_fragment.c.
    """
    starts = q.starts
    at = len(starts)
    while at > 0 and starts[at - 1] > offset:
        at -= 1
    # neighbours that touch form a run: what lies within one run is a duplicate
    first = at - 1 if at > 0 and q.ends[at - 1] > offset else at
    if first < len(starts) and starts[first] < end:
        run_start = starts[first]
        run_end = q.ends[first]
        i = first + 1
        while i < len(starts) and starts[i] == run_end:
            run_end = q.ends[i]
            i += 1
        return IPFRAG_DUP if run_start <= offset and end <= run_end else IPFRAG_OVERLAP
    q.frags.insert(at, skb)
    starts.insert(at, offset)
    q.ends.insert(at, end)
    return 0


def inet_frag_reasm_prepare(q: FragQueue, skb: SkBuff) -> None:
    """Let skb, the fragment that came last and that the caller holds, be the first of the queue; a clone takes its own place.

    Linux: net/ipv4/inet_fragment.c.
    """
    head = q.frags[0]
    if head is skb:
        return
    clone = skb_clone(skb)
    q.frags[q.frags.index(skb)] = clone
    skb.head = head.head
    skb.data = head.data
    skb.len = head.len
    skb.data_len = head.data_len
    skb.frags = head.frags
    skb.network_header = head.network_header
    skb.transport_header = head.transport_header
    skb.mac_header = head.mac_header
    skb.ip_opt = head.ip_opt
    skb.ip_summed = head.ip_summed
    skb.tos = head.tos
    skb.ttl = head.ttl
    skb.nhoff = head.nhoff
    skb.tstamp = head.tstamp
    skb.truesize = head.truesize
    skb.cloned = False
    q.frags[0] = skb
    consume_skb(head)


def inet_frag_reasm_finish(q: FragQueue, skb: SkBuff) -> None:
    """Gather the payload of all fragments in skb, the first. The others, empty, stay on its frag_list: they are its memory.

    Linux: net/ipv4/inet_fragment.c, which leaves the bytes in them (or merges them where their memory allows).
    """
    fqdir = q.fqdir
    frags = skb.frags.copy()
    tail: SkBuff | None = None
    fqdir.mem -= skb.truesize
    for piece in q.frags:
        if piece is skb:
            continue
        fqdir.mem -= piece.truesize
        frags.extend(skb_take_frags(piece, 0, piece.len))
        skb.len += piece.len
        skb.data_len += piece.len
        skb.truesize += piece.truesize
        if piece.ip_summed != skb.ip_summed:
            skb.ip_summed = CHECKSUM_NONE
        piece.frags = []
        piece.head = b''
        piece.data = 0
        piece.len = 0
        piece.data_len = 0
        piece.dst = None
        if tail is None:
            skb.frag_list = piece
        else:
            tail.next = piece
        tail = piece
    skb.frags = frags
    q.frags = []
    q.starts = []
    q.ends = []


def inet_frag_cache(net: Net, name: str, size: int) -> KmemCache:
    """The slab of a protocol's queues, one for all hosts of the world."""
    cache = net.world.slab.caches.get(name)
    if cache is None:
        cache = net.world.slab.register(KmemCache(name, size, net.trace))
    return cache
