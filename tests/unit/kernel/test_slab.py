# SPDX-License-Identifier: Apache-2.0
"""Object caches: counts, the typed object, the tracepoint."""
from __future__ import annotations

import pytest

from linnet.kernel.slab import (
    KmemCache,
    SlabRegistry,
    kmem_cache_alloc_node,
    kmem_cache_create,
    kmem_cache_free,
    slab_alloc,
)
from linnet.kernel.trace import Trace, TraceSink


class Sock:
    pass


class SockCache(KmemCache):
    def new(self) -> object:
        return Sock()


class Sink(TraceSink):
    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, object]]] = []

    def event(self, name: str, fields: dict[str, object]) -> None:
        self.seen.append((name, fields))


def test_typed_cache_counts() -> None:
    registry = SlabRegistry(Trace())
    cache = registry.register(SockCache('TCP', 2368, registry.trace))
    a = kmem_cache_alloc_node(cache)
    b = slab_alloc(cache)
    assert isinstance(a, Sock) and isinstance(b, Sock) and a is not b
    kmem_cache_free(cache, a)
    assert registry.report() == [('TCP', 1, 2, 2368)]
    assert registry.active() == {'TCP': 1}
    kmem_cache_free(cache, b)
    assert registry.active() == {}
    assert cache.peak == 2


def test_untyped_cache_and_names() -> None:
    registry = SlabRegistry(Trace())
    cache = kmem_cache_create(registry, 'request_sock', 304)
    assert kmem_cache_alloc_node(cache) is not None
    with pytest.raises(ValueError, match='request_sock'):
        kmem_cache_create(registry, 'request_sock', 1)


def test_tracepoints() -> None:
    registry = SlabRegistry(Trace())
    cache = kmem_cache_create(registry, 'skbuff_head_cache', 232)
    sink = Sink()
    registry.trace.subscribe(sink)
    obj = kmem_cache_alloc_node(cache)
    kmem_cache_free(cache, obj)
    registry.trace.unsubscribe(sink)
    kmem_cache_alloc_node(cache)
    assert sink.seen == [
        ('kmem:kmem_cache_alloc', {'name': 'skbuff_head_cache', 'bytes_alloc': 232}),
        ('kmem:kmem_cache_free', {'name': 'skbuff_head_cache'}),
    ]
