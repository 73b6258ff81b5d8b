# SPDX-License-Identifier: Apache-2.0
"""struct inet_hashinfo: where incoming segments find their socket: the established, bind and listening hashes of one Net."""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.socket import AF_INET6
from linnet.include.net.inet_connection_sock import InetBind2Bucket, InetBindBucket
from linnet.include.net.ipv6 import ipv6_addr_set_v4mapped
from linnet.include.net.sock import Sock
from linnet.kernel.slab import KmemCache


class InetHashinfo:
    """Linux: struct inet_hashinfo."""

    def __init__(self, ehash_secret: i64, bind_bucket_cachep: KmemCache, bind2_bucket_cachep: KmemCache) -> None:
        self.ehash_secret: i64 = ehash_secret
        self.ipv6_hash_secret: int = 1  # a factor, which keys the addresses of IPv6
        self.bind_bucket_cachep: KmemCache = bind_bucket_cachep
        self.bind2_bucket_cachep: KmemCache = bind2_bucket_cachep
        self.net_secret: list[int] = [0, 0]  # keys initial sequence numbers (RFC 6528)
        self.ts_secret: list[int] = [0, 0]  # keys timestamp offsets
        self.table_perturb: dict[int, int] = {}  # RFC 6056, 3.3.4: the table of offsets
        self.ehash: dict[int, Sock] = {}  # inet_ehashfn() -> the first of a chain through sk_hash_next
        self.ehash_count: i64 = 0
        self.bhash: dict[int, InetBindBucket] = {}  # port -> bucket
        self.bhash2: dict[int, InetBind2Bucket] = {}  # inet_bind2_key() -> bucket
        self.lhash: dict[int, list[Sock]] = {}  # port -> listeners


def sk_daddr_set(sk: Sock, addr: i64) -> None:
    """The peer's IPv4 address, of AF_INET6 as a mapped one too.  Linux: include/net/inet_hashtables.h."""
    sk.sk_daddr = addr
    if sk.sk_family == AF_INET6:
        sk.sk_v6_daddr = ipv6_addr_set_v4mapped(addr)


def sk_rcv_saddr_set(sk: Sock, addr: i64) -> None:
    """The local IPv4 address, of AF_INET6 as a mapped one too.  Linux: include/net/inet_hashtables.h."""
    sk.sk_rcv_saddr = addr
    if sk.sk_family == AF_INET6:
        sk.sk_v6_rcv_saddr = ipv6_addr_set_v4mapped(addr)
