# SPDX-License-Identifier: Apache-2.0
"""The skb against a plain bytes object that the same operations are done to; and that every one is counted and freed once."""
from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linnet.include.linux.skbuff import (
    CHECKSUM_COMPLETE,
    CHECKSUM_NONE,
    MAX_SKB_FRAGS,
    SkbDestructor,
    SkbFrag,
    SkBuff,
    SkBuffHead,
    skb_get,
    skb_push,
)
from linnet.include.net.checksum import csum_fold
from linnet.include.net.dropreason import SKB_CONSUMED, SKB_DROP_REASON_TCP_CSUM
from linnet.include.net.net_namespace import World
from linnet.kernel.clock import VirtualClock
from linnet.kernel.trace import TraceSink
from linnet.net.core import skbuff


@pytest.fixture
def world() -> Iterator[World]:
    """A world without hosts; at the end no skb lives."""
    w = World(VirtualClock(), 1)
    skbuff.skb_init(w)
    yield w
    assert w.slab.active() == {}


def build(world: World, head: bytes, pages: list[tuple[bytes, int, int]]) -> tuple[SkBuff, bytes]:
    """An skb of a linear part and of fragments (page, offset, size), and its bytes."""
    skb = skbuff.alloc_skb(world, len(head))
    skb.head = head
    skb.len = len(head)
    model = head
    for page, offset, size in pages:
        assert skbuff.skb_add_frag(skb, page, offset, size)
        model += page[offset:offset + size]
    return skb, model


@st.composite
def fragments(draw: st.DrawFn) -> list[tuple[bytes, int, int]]:
    pages = []
    for _ in range(draw(st.integers(0, 5))):
        page = draw(st.binary(min_size=1, max_size=40))
        offset = draw(st.integers(0, len(page) - 1))
        pages.append((page, offset, draw(st.integers(1, len(page) - offset))))
    return pages


KINDS = st.sampled_from(['push', 'pull', 'may_pull', 'trim', 'frag', 'clone', 'split'])
OPS = st.lists(st.tuples(KINDS, st.integers(0, 120)), max_size=12)


def holds(skb: SkBuff, model: bytes) -> None:
    assert skb.len == len(model)
    assert skb.data_len == sum(f.size for f in skb.frags)
    assert skb.len - skb.data_len == len(skb.head) - skb.data
    assert skbuff.skb_bytes(skb) == model


@given(st.binary(max_size=60), fragments(), OPS)
def test_operations_against_bytes(head: bytes, pages: list[tuple[bytes, int, int]], ops: list[tuple[str, int]]) -> None:
    world = World(VirtualClock(), 1)
    skbuff.skb_init(world)
    skb, model = build(world, head, pages)
    others: list[tuple[SkBuff, bytes]] = []
    for op, n in ops:
        if op == 'push':
            header = bytes(range(n % 50))
            skb_push(skb, header)
            model = header + model
        elif op == 'pull':
            linear = len(skb.head) - skb.data
            assert skbuff.skb_pull(skb, n) == (n <= linear)
            if n <= linear:
                model = model[n:]
        elif op == 'may_pull':
            assert skbuff.pskb_may_pull(skb, n) == (n <= len(model))
            if n <= len(model):
                assert skb.head[skb.data:skb.data + n] == model[:n]
        elif op == 'trim':
            skbuff.pskb_trim(skb, n)
            model = model[:n]
        elif op == 'frag':
            page = bytes([n]) * (n + 1)
            if skbuff.skb_add_frag(skb, page, 0, n + 1):
                model += page
        elif op == 'clone':
            others.append((skbuff.skb_clone(skb), model))
        elif len(model) > 0:
            rest = skbuff.alloc_skb(world, 0)
            at = n % len(model)
            skbuff.skb_split(skb, rest, at)
            others.append((rest, model[at:]))
            model = model[:at]
        holds(skb, model)
        # what is done to one is not seen in another that shares its bytes
        for other, bytes_of_other in others:
            holds(other, bytes_of_other)
    for other, _ in others:
        skbuff.consume_skb(other)
    skbuff.kfree_skb(skb)
    assert world.slab.active() == {}


@given(st.binary(max_size=60), fragments(), st.integers(0, 300), st.integers(0, 300))
def test_ranges_against_bytes(head: bytes, pages: list[tuple[bytes, int, int]], offset: int, length: int) -> None:
    world = World(VirtualClock(), 1)
    skbuff.skb_init(world)
    skb, model = build(world, head, pages)
    offset = min(offset, len(model))
    length = min(length, len(model) - offset)
    part = model[offset:offset + length]
    assert skbuff.skb_copy_bits(skb, offset, length) == part
    assert b''.join(f.page[f.offset:f.offset + f.size] for f in skbuff.skb_take_frags(skb, offset, length)) == part
    words = part + b'\0' * (len(part) & 1)
    total = sum(int.from_bytes(words[i:i + 2], 'big') for i in range(0, len(words), 2))
    assert csum_fold(skbuff.skb_checksum(skb, offset, length, 0)) % 0xFFFF == csum_fold(total) % 0xFFFF


def test_one_whole_page_is_not_copied(world: World) -> None:
    page = b'payload' * 100
    skb, _ = build(world, b'head', [(page, 0, len(page))])
    assert skbuff.skb_copy_bits(skb, 4, len(page)) is page
    skbuff.kfree_skb(skb)


def test_runs_of_one_page_become_one_fragment(world: World) -> None:
    page = bytes(100)
    skb, _ = build(world, b'', [(page, 0, 10), (page, 10, 20), (page, 40, 5)])
    assert [(f.offset, f.size) for f in skb.frags] == [(0, 30), (40, 5)]
    skbuff.kfree_skb(skb)


def test_extending_a_fragment_leaves_a_clone_as_it_was(world: World) -> None:
    page = bytes(range(100))
    skb, _ = build(world, b'', [(page, 0, 10)])
    clone = skbuff.skb_clone(skb)
    skbuff.skb_add_frag(skb, page, 10, 10)
    assert skbuff.skb_bytes(clone) == page[:10]
    assert skbuff.skb_bytes(skb) == page[:20]
    skbuff.kfree_skb(skb)
    skbuff.kfree_skb(clone)


def test_fragments_have_a_limit(world: World) -> None:
    skb = skbuff.alloc_skb(world, 0)
    for i in range(MAX_SKB_FRAGS):
        assert skbuff.skb_add_frag(skb, bytes([i]), 0, 1)
    assert not skbuff.skb_add_frag(skb, b'x', 0, 1)
    assert skb.len == MAX_SKB_FRAGS
    skbuff.kfree_skb(skb)


def test_headers_move_with_a_push(world: World) -> None:
    skb, _ = build(world, b'tcp', [(b'payload', 0, 7)])
    skb.transport_header = 0
    skb.csum_start = 0
    skb_push(skb, b'ip--')
    skb.network_header = 0
    skb_push(skb, b'mac')
    skb.mac_header = 0
    assert (skb.mac_header, skb.network_header, skb.transport_header, skb.csum_start) == (0, 3, 7, 7)
    assert skb.head[skb.transport_header:] == b'tcp'
    skbuff.kfree_skb(skb)


def test_a_clone_is_one_object_and_a_copy_two(world: World) -> None:
    skb, _ = build(world, b'x', [])
    assert world.slab.active() == {'skbuff_head_cache': 1, 'skbuff_small_head': 1}
    clone = skbuff.skb_clone(skb)
    assert world.slab.active() == {'skbuff_head_cache': 2, 'skbuff_small_head': 1}
    copy = skbuff.skb_copy(skb)
    assert world.slab.active() == {'skbuff_head_cache': 3, 'skbuff_small_head': 2}
    for one in (skb, clone, copy):
        skbuff.kfree_skb(one)


class Charge(SkbDestructor):
    """Counts what it gives back."""

    def __init__(self) -> None:
        self.given_back = 0

    def destruct(self, skb: SkBuff) -> None:
        self.given_back += skb.truesize


def test_the_clone_belongs_to_nobody(world: World) -> None:
    charge = Charge()
    skb = skbuff.alloc_skb(world, 100)
    skb.destructor = charge
    clone = skbuff.skb_clone(skb)
    assert clone.destructor is None
    assert clone.sk is None
    skbuff.kfree_skb(clone)
    assert charge.given_back == 0
    truesize = skb.truesize
    skbuff.consume_skb(skb)
    assert charge.given_back == truesize


def test_orphan_gives_the_charge_back_once(world: World) -> None:
    charge = Charge()
    skb = skbuff.alloc_skb(world, 100)
    skb.destructor = charge
    skbuff.skb_orphan(skb)
    skbuff.skb_orphan(skb)
    assert charge.given_back == skb.truesize
    skbuff.kfree_skb(skb)
    assert charge.given_back == skb.truesize


def test_the_last_reference_frees(world: World) -> None:
    skb = skbuff.alloc_skb(world, 10)
    skb_get(skb)
    skbuff.kfree_skb(skb)
    assert world.slab.active() != {}
    skbuff.consume_skb(skb)


@pytest.mark.parametrize('free', [skbuff.kfree_skb, skbuff.consume_skb, getattr(skbuff, '__kfree_skb')])
def test_freeing_twice_is_caught(world: World, free: object) -> None:
    skb = skbuff.alloc_skb(world, 10)
    skbuff.kfree_skb(skb)
    assert callable(free)
    with pytest.raises(AssertionError, match='twice'):
        free(skb)


def test_the_rest_of_a_datagram_goes_with_its_head(world: World) -> None:
    skb = skbuff.alloc_skb(world, 10)
    second = skbuff.alloc_skb(world, 10)
    second.next = skbuff.alloc_skb(world, 10)
    skb.frag_list = second
    skbuff.kfree_skb(skb)


class Names(TraceSink):
    """What was traced."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, object]] = []

    def event(self, name: str, fields: dict[str, object]) -> None:
        if name.startswith('skb:'):
            self.seen.append((name, fields.get('reason')))


def test_drops_are_traced_by_reason_and_good_ends_are_not_drops(world: World) -> None:
    sink = Names()
    world.trace.subscribe(sink)
    skbuff.kfree_skb_reason(skbuff.alloc_skb(world, 1), SKB_DROP_REASON_TCP_CSUM)
    skbuff.consume_skb(skbuff.alloc_skb(world, 1))
    skbuff.kfree_skb_reason(skbuff.alloc_skb(world, 1), SKB_CONSUMED)
    assert sink.seen == [('skb:kfree_skb', 'TCP_CSUM'), ('skb:consume_skb', None), ('skb:consume_skb', None)]


def test_a_queue_is_purged(world: World) -> None:
    queue = SkBuffHead()
    for _ in range(3):
        skbuff.skb_queue_tail(queue, skbuff.alloc_skb(world, 1))
    first = skbuff.skb_dequeue(queue)
    assert first is not None
    skbuff.kfree_skb(first)
    skbuff.skb_queue_purge(queue)
    assert queue.qlen == 0


def test_trimming_voids_the_devices_sum(world: World) -> None:
    skb, _ = build(world, b'0123456789', [])
    skb.ip_summed = CHECKSUM_COMPLETE
    skbuff.pskb_trim(skb, 4)
    assert skb.ip_summed == CHECKSUM_NONE
    skbuff.kfree_skb(skb)


@pytest.mark.parametrize(('size', 'truesize'), [
    (0, 960), (320, 960), (384, 960), (385, 256 + 1024), (1500, 256 + 2048), (9000, 256 + 16384),
])
def test_truesize_is_what_linux_allocates(world: World, size: int, truesize: int) -> None:
    skb = skbuff.alloc_skb(world, size)
    assert skb.truesize == truesize
    skbuff.kfree_skb(skb)


def test_a_drivers_packet(world: World) -> None:
    data = bytes(range(200))
    skb = skbuff.skb_from_bytes(world, data, 54)
    assert skb.head == data[:54]
    assert isinstance(skb.frags[0], SkbFrag)
    assert skb.frags[0].page is data
    holds(skb, data)
    skbuff.kfree_skb(skb)
    # as on TUN: one area of kmalloc's sizes, 64 bytes of room in front; what is left behind can take more payload
    assert skb.truesize == 256 + 704
    assert skb.tailroom == 704 - 320 - 64 - 200
    large = skbuff.skb_from_bytes(world, bytes(1500), 54)
    assert (large.truesize, large.tailroom) == (256 + 2048, 2048 - 320 - 64 - 1500)
    skbuff.kfree_skb(large)
    jumbo = skbuff.skb_from_bytes(world, bytes(9000), 54)
    assert (jumbo.truesize, jumbo.tailroom) == (256 + 704 + 3 * 4096, -1)
    skbuff.kfree_skb(jumbo)
    short = skbuff.skb_from_bytes(world, data, 300)
    assert short.head is data
    skbuff.kfree_skb(short)
