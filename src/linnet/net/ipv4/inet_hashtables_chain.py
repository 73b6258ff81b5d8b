# SPDX-License-Identifier: Apache-2.0
"""The chains of the socket hashes: putting socks into the established hash and ports into the bind hashes, and out again.

The established hash is a dict from inet_ehashfn() to the first sock of a chain. The key holds both ports as they are and 31
keyed bits of the addresses, so a chain of two is an accident; the comparison of inet_match() stands all the same. Full socks,
connection requests and TIME_WAIT socks share it, told apart by sk_state. This part lies below the time-wait code that uses it.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.inet_connection_sock import InetBind2Bucket, InetBindBucket
from linnet.include.net.inet_hashtables import InetHashinfo
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import Sock, sock_net
from linnet.kernel.slab import kmem_cache_free
from linnet.net.core.sock import kmem_cache_alloc

LINUX_FILE: Final = 'net/ipv4/inet_hashtables.c'


def inet_hashinfo(net: Net) -> InetHashinfo:
    """The hashes of a namespace (Linux: net->ipv4.tcp_death_row.hashinfo)."""
    hashinfo = net.ipv4.tcp_hashinfo
    assert hashinfo is not None
    return hashinfo


def inet_ehashfn(hashinfo: InetHashinfo, laddr: i64, lport: i64, faddr: i64, fport: i64) -> i64:
    """The key of a connection: 31 bits keyed by the secret, then the ports.

    Linux: net/ipv4/inet_hashtables.c; there jhash, here two 32 x 31 bit products, which do not overflow an i64.
    """
    h = ((faddr ^ hashinfo.ehash_secret) & 0xFFFFFFFF) * 0x2545F491
    h = (((h ^ (h >> 29)) ^ laddr) & 0xFFFFFFFF) * 0x1B873593
    h = (h ^ (h >> 31)) & 0x7FFFFFFF
    return (h << 32) | (lport << 16) | fport


def sk_ehashfn(sk: Sock) -> i64:
    """The key of sk's own four-tuple.  Linux: net/ipv4/inet_hashtables.c."""
    return inet_ehashfn(inet_hashinfo(sock_net(sk)), sk.sk_rcv_saddr, sk.sk_num, sk.sk_daddr, sk.sk_dport)


def inet_match(sk: Sock, saddr: i64, daddr: i64, sport: i64, hnum: i64, dif: i64) -> bool:
    """Is a packet from saddr:sport to daddr:hnum, come in by dif, one of sk's?  Linux: include/net/inet_hashtables.h."""
    return (sk.sk_daddr == saddr and sk.sk_rcv_saddr == daddr and sk.sk_dport == sport and sk.sk_num == hnum
            and (sk.sk_bound_dev_if == 0 or sk.sk_bound_dev_if == dif))


def ehash_add(hashinfo: InetHashinfo, sk: Sock, key: i64) -> None:
    """Put sk first in its chain."""
    sk.sk_hash = key
    sk.sk_hash_next = hashinfo.ehash.get(key)
    sk.sk_hashed = True
    hashinfo.ehash[key] = sk
    hashinfo.ehash_count += 1


def ehash_del(hashinfo: InetHashinfo, sk: Sock) -> bool:
    """Take sk out of its chain; False where it is in none."""
    if not sk.sk_hashed:
        return False
    key = sk.sk_hash
    entry = hashinfo.ehash.get(key)
    after = sk.sk_hash_next
    if entry is sk:
        if after is None:
            del hashinfo.ehash[key]
        else:
            hashinfo.ehash[key] = after
    else:
        while entry is not None and entry.sk_hash_next is not sk:
            entry = entry.sk_hash_next
        if entry is not None:
            entry.sk_hash_next = after
    sk.sk_hash_next = None
    sk.sk_hashed = False
    hashinfo.ehash_count -= 1
    return True


def inet_bind_bucket_create(hashinfo: InetHashinfo, port: i64) -> InetBindBucket:
    """The bucket of a port that nobody used so far.  Linux: net/ipv4/inet_hashtables.c."""
    tb = kmem_cache_alloc(hashinfo.bind_bucket_cachep)
    assert isinstance(tb, InetBindBucket)
    tb.port = port
    hashinfo.bhash[int(port)] = tb
    return tb


def inet_bind_bucket_destroy(hashinfo: InetHashinfo, tb: InetBindBucket) -> None:
    """Forget the port if nobody uses it any more.  Linux: net/ipv4/inet_hashtables.c."""
    if len(tb.owners) == 0 and hashinfo.bhash.get(int(tb.port)) is tb:
        del hashinfo.bhash[int(tb.port)]
        kmem_cache_free(hashinfo.bind_bucket_cachep, tb)


def inet_bind2_bucket_create(hashinfo: InetHashinfo, port: i64, rcv_saddr: i64) -> InetBind2Bucket:
    """The bucket of a port and address.  Linux: net/ipv4/inet_hashtables.c."""
    tb2 = kmem_cache_alloc(hashinfo.bind2_bucket_cachep)
    assert isinstance(tb2, InetBind2Bucket)
    tb2.port = port
    tb2.rcv_saddr = rcv_saddr
    hashinfo.bhash2[int((port << 32) | rcv_saddr)] = tb2
    return tb2


def inet_bind2_bucket_destroy(hashinfo: InetHashinfo, tb2: InetBind2Bucket) -> None:
    """Forget it if nobody uses it any more.  Linux: net/ipv4/inet_hashtables.c."""
    key = int((tb2.port << 32) | tb2.rcv_saddr)
    if len(tb2.owners) == 0 and hashinfo.bhash2.get(key) is tb2:
        del hashinfo.bhash2[key]
        kmem_cache_free(hashinfo.bind2_bucket_cachep, tb2)


def inet_bind2_bucket_find(hashinfo: InetHashinfo, port: i64, rcv_saddr: i64) -> InetBind2Bucket:
    """The bucket of a port and address, made where there is none yet.  Linux: net/ipv4/inet_hashtables.c."""
    tb2 = hashinfo.bhash2.get(int((port << 32) | rcv_saddr))
    if tb2 is None:
        tb2 = inet_bind2_bucket_create(hashinfo, port, rcv_saddr)
    return tb2
