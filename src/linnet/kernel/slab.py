# SPDX-License-Identifier: Apache-2.0
"""Object caches: memory is Python's, the counting is ours, so that a leaked socket or skb shows and a test can assert
none.

A typed cache overrides `new()`.  kmem_cache_alloc_node() counts, passes the tracepoint and gives the object;
kmem_cache_free() counts it back.  Nothing is recycled: a fresh native object costs 27 ns, and stale state costs days.
"""
from __future__ import annotations

from mypy_extensions import i64, mypyc_attr

from linnet.kernel.trace import Trace


@mypyc_attr(allow_interpreted_subclasses=True)
class KmemCache:
    """A kind of object: how many live, how many there ever were.  Linux: struct kmem_cache."""

    def __init__(self, name: str, size: int, trace: Trace) -> None:
        self.name = name
        self.size = size  # bytes that one object is accounted with
        self.trace = trace
        self.active: i64 = 0
        self.total: i64 = 0
        self.peak: i64 = 0

    def new(self) -> object:
        """Make one object; a cache without a type gives a plain one."""
        return object()


class SlabRegistry:
    """The caches of one world by name, in the order of creation."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.caches: dict[str, KmemCache] = {}

    def register(self, cache: KmemCache) -> KmemCache:
        """Add a cache that was made elsewhere (a subclass).  ValueError if the name is taken."""
        if cache.name in self.caches:
            raise ValueError('slab cache exists: ' + cache.name)
        self.caches[cache.name] = cache
        return cache

    def report(self) -> list[tuple[str, int, int, int]]:
        """(name, active, total, size) of each cache."""
        return [(c.name, c.active, c.total, c.size) for c in self.caches.values()]

    def active(self) -> dict[str, int]:
        """Live objects by cache name; caches with none are left out."""
        return {c.name: int(c.active) for c in self.caches.values() if c.active != 0}


def kmem_cache_create(registry: SlabRegistry, name: str, size: int) -> KmemCache:
    """An untyped cache (for counting alone).  Linux: mm/slab_common.c."""
    return registry.register(KmemCache(name, size, registry.trace))


def trace_kmem_cache_alloc(cache: KmemCache) -> None:
    """Tracepoint kmem:kmem_cache_alloc.  Linux: include/trace/events/kmem.h."""
    if cache.trace.enabled:
        cache.trace.emit('kmem:kmem_cache_alloc', {'name': cache.name, 'bytes_alloc': cache.size})


def slab_alloc(cache: KmemCache) -> object:
    """Count one object of `cache`, pass kmem:kmem_cache_alloc, and make it.  Linux: mm/slub.c, slab_alloc_node."""
    active: i64 = cache.active + 1
    cache.active = active
    cache.total += 1
    if active > cache.peak:
        cache.peak = active
    trace_kmem_cache_alloc(cache)
    return cache.new()


def kmem_cache_alloc_node(cache: KmemCache) -> object:
    """An object of `cache`; the caller casts it to its type.  Linux: mm/slub.c; there is one node."""
    return slab_alloc(cache)


def kmem_cache_free(cache: KmemCache, obj: object) -> None:
    """Give `obj` back.  Linux: mm/slub.c."""
    cache.active -= 1
    if cache.trace.enabled:
        cache.trace.emit('kmem:kmem_cache_free', {'name': cache.name})
