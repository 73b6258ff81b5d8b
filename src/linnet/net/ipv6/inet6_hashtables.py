# SPDX-License-Identifier: Apache-2.0
"""Finding the socket of a segment that came over IPv6. The hashes are IPv4's (net/ipv4/inet_hashtables.py): one for both.

A listener of AF_INET6 takes IPv4's segments too unless it is for IPv6 alone; a sock of AF_INET takes none of these. What else is
to be done with the hashes (hashing a sock, choosing a port) is written once and asks the sock for its family.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import AF_INET6
from linnet.include.net.inet_connection_sock import InetConnectionSock
from linnet.include.net.ip6_fib import inet6_iif
from linnet.include.net.ipv6 import LOOPBACK4_IPV6, inet6_sk
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import Sock
from linnet.net.ipv4.inet_hashtables import inet_bhash2_move, inet_hash, inet_hash_connect, reuseport_select_sock
from linnet.net.ipv4.inet_hashtables_chain import inet6_ehashfn, inet6_match, inet_hashinfo


def inet6_compute_score(sk: Sock, daddr: int, dif: i64) -> i64:
    """How well a listener fits a SYN to daddr from dif; -1: not at all.  Linux: net/ipv6/inet6_hashtables.c, compute_score."""
    if sk.sk_family != AF_INET6:
        return -1
    score: i64 = 1
    if sk.sk_v6_rcv_saddr != 0:
        if sk.sk_v6_rcv_saddr != daddr:
            return -1
        score += 4
    if sk.sk_bound_dev_if != 0:
        if sk.sk_bound_dev_if != dif:
            return -1
        score += 1
    return score


def inet6_lookup_listener(net: Net, saddr: int, sport: i64, daddr: int, hnum: i64, dif: i64) -> Sock | None:
    """The listener that fits best, or None.  Linux: net/ipv6/inet6_hashtables.c."""
    hashinfo = inet_hashinfo(net)
    bucket = hashinfo.lhash.get(int(hnum))
    if bucket is None:
        return None
    result: Sock | None = None
    hiscore: i64 = 0
    for sk in bucket:
        score = inet6_compute_score(sk, daddr, dif)
        if score > hiscore:
            hiscore = score
            result = sk
    if result is not None and result.sk_reuseport:
        return reuseport_select_sock(bucket, result, inet6_ehashfn(hashinfo, daddr, hnum, saddr, sport))
    return result


def __inet6_lookup_established(net: Net, saddr: int, sport: i64, daddr: int, hnum: i64, dif: i64) -> Sock | None:
    """The sock of exactly this connection, held for the caller, or None.  Linux: net/ipv6/inet6_hashtables.c."""
    hashinfo = net.ipv4.tcp_hashinfo
    assert hashinfo is not None
    sk = hashinfo.ehash.get(inet6_ehashfn(hashinfo, daddr, hnum, saddr, sport))
    while sk is not None:
        if inet6_match(sk, saddr, daddr, sport, hnum, dif):
            sk.sk_refcnt += 1
            return sk
        sk = sk.sk_hash_next
    return None


def __inet6_lookup(net: Net, saddr: int, sport: i64, daddr: int, hnum: i64, dif: i64) -> Sock | None:
    """The sock that takes a segment, held for the caller, or None.  Linux: include/net/inet6_hashtables.h."""
    sk = __inet6_lookup_established(net, saddr, sport, daddr, hnum, dif)
    if sk is None:
        sk = inet6_lookup_listener(net, saddr, sport, daddr, hnum, dif)
        if sk is not None:
            sk.sk_refcnt += 1
    return sk


def __inet6_lookup_skb(net: Net, skb: SkBuff, sport: i64, dport: i64) -> Sock | None:
    """The sock of skb, held for the caller: early demux's, or by a look-up.  Linux: include/net/inet6_hashtables.h."""
    sk = skb.sk
    if sk is not None:
        skb.sk = None
        skb.destructor = None
        return sk
    return __inet6_lookup(net, skb.saddr6, sport, skb.daddr6, dport, inet6_iif(skb))


def inet6_hash(sk: Sock) -> int:
    """Make sk findable by incoming segments.  Linux: net/ipv6/inet6_hashtables.c."""
    return inet_hash(sk)


def inet6_hash_connect(net: Net, sk: InetConnectionSock) -> int:
    """Give a connecting sk its port and its place in the hash.  Linux: net/ipv6/inet6_hashtables.c."""
    return inet_hash_connect(net, sk)


def inet6_bhash2_update_saddr(sk: InetConnectionSock, saddr: int) -> None:
    """sk's local address becomes known.  Linux: net/ipv4/inet_hashtables.c, inet_bhash2_update_saddr for AF_INET6."""
    inet6_rcv_saddr_set(sk, saddr)
    inet_bhash2_move(sk)


def inet6_rcv_saddr_set(sk: InetConnectionSock, saddr: int) -> None:
    """sk has this local address, and none of IPv4's."""
    sk.sk_v6_rcv_saddr = saddr
    inet6_sk(sk).saddr = saddr
    sk.sk_rcv_saddr = LOOPBACK4_IPV6
    sk.inet_saddr = LOOPBACK4_IPV6
