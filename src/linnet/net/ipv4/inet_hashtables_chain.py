# SPDX-License-Identifier: Apache-2.0
"""The chains of the socket hashes: putting socks into the established hash and ports into the bind hashes, and out again.

The established hash is a dict from inet_ehashfn() to the first sock of a chain. The key holds both ports as they are and 31
keyed bits of the addresses, so a chain of two is an accident; the comparison of inet_match() stands all the same. Full socks,
connection requests and TIME_WAIT socks share it, told apart by sk_state. This part lies below the time-wait code that uses it.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.socket import AF_INET6
from linnet.include.net.inet_connection_sock import InetBind2Bucket, InetBindBucket
from linnet.include.net.inet_hashtables import InetHashinfo
from linnet.include.net.ipv6 import ipv6_addr_v4mapped
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import Sock, sock_net
from linnet.kernel.slab import kmem_cache_free
from linnet.net.core.sock import kmem_cache_alloc

LINUX_FILE: Final = 'net/ipv4/inet_hashtables.c'
IPV6_HASH_PRIME: Final = (1 << 127) - 1


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


def inet6_ehashfn(hashinfo: InetHashinfo, laddr: int, lport: i64, faddr: int, fport: i64) -> i64:
    """The key of a connection over IPv6: both addresses are folded to 32 bits, the peer's with a secret, and taken for IPv4's.

    Linux: net/ipv6/inet6_hashtables.c.
    """
    near: i64 = (laddr ^ (laddr >> 64)) & 0xFFFFFFFF
    far: i64 = ((faddr * hashinfo.ipv6_hash_secret) % IPV6_HASH_PRIME) & 0xFFFFFFFF
    return inet_ehashfn(hashinfo, near, lport, far, fport)


def sk_is_ipv6(sk: Sock) -> bool:
    """Do its packets go over IPv6? (An AF_INET6 sock with a mapped peer speaks IPv4.)"""
    return sk.sk_family == AF_INET6 and not ipv6_addr_v4mapped(sk.sk_v6_daddr)


def inet_sk_ehashfn(sk: Sock, lport: i64) -> i64:
    """The key of sk's four-tuple with the local port lport."""
    hashinfo = inet_hashinfo(sock_net(sk))
    if sk_is_ipv6(sk):
        return inet6_ehashfn(hashinfo, sk.sk_v6_rcv_saddr, lport, sk.sk_v6_daddr, sk.sk_dport)
    return inet_ehashfn(hashinfo, sk.sk_rcv_saddr, lport, sk.sk_daddr, sk.sk_dport)


def sk_ehashfn(sk: Sock) -> i64:
    """The key of sk's own four-tuple.  Linux: net/ipv4/inet_hashtables.c."""
    return inet_sk_ehashfn(sk, sk.sk_num)


def inet_match(sk: Sock, saddr: i64, daddr: i64, sport: i64, hnum: i64, dif: i64) -> bool:
    """Is a packet from saddr:sport to daddr:hnum, come in by dif, one of sk's?  Linux: include/net/inet_hashtables.h."""
    return (sk.sk_daddr == saddr and sk.sk_rcv_saddr == daddr and sk.sk_dport == sport and sk.sk_num == hnum
            and (sk.sk_bound_dev_if == 0 or sk.sk_bound_dev_if == dif))


def inet6_match(sk: Sock, saddr: int, daddr: int, sport: i64, hnum: i64, dif: i64) -> bool:
    """The same over IPv6.  Linux: include/net/inet6_hashtables.h."""
    return (sk.sk_dport == sport and sk.sk_num == hnum and sk.sk_family == AF_INET6 and sk.sk_v6_daddr == saddr
            and sk.sk_v6_rcv_saddr == daddr and (sk.sk_bound_dev_if == 0 or sk.sk_bound_dev_if == dif))


def inet_sk_match(sk2: Sock, sk: Sock, lport: i64) -> bool:
    """Is sk2 in the way of sk with the local port lport: has it the same four-tuple?"""
    if sk_is_ipv6(sk):
        return inet6_match(sk2, sk.sk_v6_daddr, sk.sk_v6_rcv_saddr, sk.sk_dport, lport, sk.sk_bound_dev_if)
    return inet_match(sk2, sk.sk_daddr, sk.sk_rcv_saddr, sk.sk_dport, lport, sk.sk_bound_dev_if)


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


def inet_bind2_key(port: i64, rcv_saddr: i64, v6_rcv_saddr: int) -> int:
    """The key of a port and address in bhash2. v6_rcv_saddr: of AF_INET6; of IPv4 -1."""
    if v6_rcv_saddr >= 0:
        return (1 << 144) | (v6_rcv_saddr << 16) | int(port)
    return int((port << 32) | rcv_saddr)


def inet_bind2_bucket_create(hashinfo: InetHashinfo, port: i64, rcv_saddr: i64, v6_rcv_saddr: int) -> InetBind2Bucket:
    """The bucket of a port and address.  Linux: net/ipv4/inet_hashtables.c."""
    tb2 = kmem_cache_alloc(hashinfo.bind2_bucket_cachep)
    assert isinstance(tb2, InetBind2Bucket)
    tb2.port = port
    tb2.rcv_saddr = rcv_saddr
    tb2.v6_rcv_saddr = v6_rcv_saddr
    hashinfo.bhash2[inet_bind2_key(port, rcv_saddr, v6_rcv_saddr)] = tb2
    return tb2


def inet_bind2_bucket_destroy(hashinfo: InetHashinfo, tb2: InetBind2Bucket) -> None:
    """Forget it if nobody uses it any more.  Linux: net/ipv4/inet_hashtables.c."""
    key = inet_bind2_key(tb2.port, tb2.rcv_saddr, tb2.v6_rcv_saddr)
    if len(tb2.owners) == 0 and hashinfo.bhash2.get(key) is tb2:
        del hashinfo.bhash2[key]
        kmem_cache_free(hashinfo.bind2_bucket_cachep, tb2)


def sk_bind2_v6(sk: Sock) -> int:
    """The IPv6 address of sk's bucket in bhash2; -1: it is one of IPv4 (of a mapped address too)."""
    return sk.sk_v6_rcv_saddr if sk.sk_family == AF_INET6 and not ipv6_addr_v4mapped(sk.sk_v6_rcv_saddr) else -1


def inet_bind2_bucket_find(hashinfo: InetHashinfo, port: i64, sk: Sock) -> InetBind2Bucket:
    """The bucket of a port and sk's address, made where there is none yet.  Linux: net/ipv4/inet_hashtables.c."""
    v6_rcv_saddr = sk_bind2_v6(sk)
    rcv_saddr = sk.sk_rcv_saddr if v6_rcv_saddr < 0 else 0
    tb2 = hashinfo.bhash2.get(inet_bind2_key(port, rcv_saddr, v6_rcv_saddr))
    if tb2 is None:
        tb2 = inet_bind2_bucket_create(hashinfo, port, rcv_saddr, v6_rcv_saddr)
    return tb2
