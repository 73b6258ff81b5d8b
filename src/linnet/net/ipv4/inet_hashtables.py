# SPDX-License-Identifier: Apache-2.0
"""Finding the socket of a segment, and making sockets findable: look-ups, hashing, and the choice of a port by connect().

A segment is looked for first among the established socks (exact four-tuple), then among the listeners, where the one that fits
best wins: bound to the address beats bound to any, bound to the device beats any device; of an SO_REUSEPORT group the peer's
hash chooses. connect() without a bound port draws one by RFC 6056's double hash, on the even half of the range first, and may
take over a port from TIME_WAIT where timestamps make that safe.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.in6 import in6_bytes
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import AF_INET
from linnet.include.net.inet_connection_sock import InetBind2Bucket, InetBindBucket, InetConnectionSock
from linnet.include.net.inet_hashtables import InetHashinfo, sk_rcv_saddr_set
from linnet.include.net.inet_sock import inet_sk_get_local_port_range
from linnet.include.net.inet_timewait_sock import InetTimewaitSock
from linnet.include.net.net_namespace import Net
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.snmp import LINUX_MIB_TWRECYCLED, NET_INC_STATS
from linnet.include.net.sock import Sock, sock_net
from linnet.include.net.tcp_states import TCP_LISTEN, TCP_NEW_SYN_RECV, TCP_TIME_WAIT
from linnet.kernel.errno import EADDRNOTAVAIL
from linnet.kernel.random import siphash_2_4, siphash_3u32
from linnet.net.core.request_sock import reqsk_put
from linnet.net.core.sock import sock_put
from linnet.net.ipv4.inet_hashtables_chain import (
    ehash_add,
    ehash_del,
    inet_bind2_bucket_destroy,
    inet_bind2_bucket_find,
    inet_bind_bucket_create,
    inet_bind_bucket_destroy,
    inet_ehashfn,
    inet_hashinfo,
    inet_match,
    inet_sk_ehashfn,
    inet_sk_match,
    sk_ehashfn,
    sk_is_ipv6,
)
from linnet.net.ipv4.inet_timewait_sock import inet_twsk_bind_unhash, inet_twsk_deschedule_put, inet_twsk_put


def sock_gen_put(sk: Sock) -> None:
    """Drop a reference on whatever kind of sock a look-up gave.  Linux: net/ipv4/inet_hashtables.c."""
    if sk.sk_state == TCP_TIME_WAIT:
        assert isinstance(sk, InetTimewaitSock)
        inet_twsk_put(sk)
    elif sk.sk_state == TCP_NEW_SYN_RECV:
        assert isinstance(sk, RequestSock)
        reqsk_put(sk)
    else:
        sock_put(sk)


def inet_bind_hash(sk: InetConnectionSock, tb: InetBindBucket, tb2: InetBind2Bucket, port: i64) -> None:
    """sk uses `port` from now on.  Linux: net/ipv4/inet_hashtables.c."""
    sk.sk_num = port
    tb.owners[sk] = None
    sk.icsk_bind_hash = tb
    tb2.owners[sk] = None
    sk.icsk_bind2_hash = tb2


def __inet_put_port(sk: InetConnectionSock) -> None:
    hashinfo = inet_hashinfo(sock_net(sk))
    tb = sk.icsk_bind_hash
    if tb is not None:
        tb.owners.pop(sk, None)
        sk.icsk_bind_hash = None
        inet_bind_bucket_destroy(hashinfo, tb)
    tb2 = sk.icsk_bind2_hash
    if tb2 is not None:
        tb2.owners.pop(sk, None)
        sk.icsk_bind2_hash = None
        inet_bind2_bucket_destroy(hashinfo, tb2)
    sk.sk_num = 0


def inet_put_port(sk: InetConnectionSock) -> None:
    """sk gives its port back.  Linux: net/ipv4/inet_hashtables.c."""
    __inet_put_port(sk)


def __inet_inherit_port(sk: InetConnectionSock, child: InetConnectionSock) -> int:
    """The child of a listener shares its port.  Linux: net/ipv4/inet_hashtables.c."""
    hashinfo = inet_hashinfo(sock_net(sk))
    port = sk.sk_num
    tb = sk.icsk_bind_hash
    if tb is None:
        return -EADDRNOTAVAIL
    inet_bind_hash(child, tb, inet_bind2_bucket_find(hashinfo, port, child), port)
    return 0


def inet_bhash2_update_saddr(sk: InetConnectionSock, saddr: i64) -> None:
    """sk's local address becomes known: move it to that address's bucket.  Linux: net/ipv4/inet_hashtables.c."""
    sk.inet_saddr = saddr
    sk_rcv_saddr_set(sk, saddr)
    inet_bhash2_move(sk)


def inet_bhash2_reset_saddr(sk: InetConnectionSock) -> None:
    """sk has no local address any more.  Linux: net/ipv4/inet_hashtables.c."""
    sk.inet_saddr = 0
    sk.sk_rcv_saddr = 0
    np = sk.pinet6
    if np is not None:
        np.saddr = 0
        sk.sk_v6_rcv_saddr = 0
    inet_bhash2_move(sk)


def inet_bhash2_move(sk: InetConnectionSock) -> None:
    """Move sk to the bucket of its port and the address that it has now. Part of Linux's __inet_bhash2_update_saddr."""
    old = sk.icsk_bind2_hash
    if old is None:
        return
    hashinfo = inet_hashinfo(sock_net(sk))
    tb2 = inet_bind2_bucket_find(hashinfo, old.port, sk)
    if tb2 is old:
        return
    old.owners.pop(sk, None)
    inet_bind2_bucket_destroy(hashinfo, old)
    tb2.owners[sk] = None
    sk.icsk_bind2_hash = tb2


def compute_score(sk: Sock, daddr: i64, dif: i64) -> i64:
    """How well a listener fits a SYN to daddr from dif; -1: not at all.  Linux: net/ipv4/inet_hashtables.c."""
    if sk.sk_ipv6only:
        return -1
    score: i64 = 2 if sk.sk_family == AF_INET else 1
    if sk.sk_rcv_saddr != 0:
        if sk.sk_rcv_saddr != daddr:
            return -1
        score += 4
    if sk.sk_bound_dev_if != 0:
        if sk.sk_bound_dev_if != dif:
            return -1
        score += 1
    return score


def __inet_lookup_listener(net: Net, saddr: i64, sport: i64, daddr: i64, hnum: i64, dif: i64) -> Sock | None:
    """The listener that fits best, or None.  Linux: net/ipv4/inet_hashtables.c."""
    hashinfo = inet_hashinfo(net)
    bucket = hashinfo.lhash.get(int(hnum))
    if bucket is None:
        return None
    result: Sock | None = None
    hiscore: i64 = 0
    for sk in bucket:
        score = compute_score(sk, daddr, dif)
        if score > hiscore:
            hiscore = score
            result = sk
    if result is not None and result.sk_reuseport:
        return reuseport_select_sock(bucket, result, inet_ehashfn(hashinfo, daddr, hnum, saddr, sport))
    return result


def reuseport_select_sock(bucket: list[Sock], sk: Sock, hash: i64) -> Sock:
    """The member of the SO_REUSEPORT group of sk that the peer's hash chooses: those that take the same packets as sk.

    Linux: net/core/sock_reuseport.c.
    """
    group = [other for other in bucket if inet_reuseport_peer(sk, other)]
    n: i64 = len(group)
    return group[((hash >> 32) * n) >> 31]


def inet_reuseport_peer(sk: Sock, other: Sock) -> bool:
    """Are both in one group? Part of Linux's inet_reuseport_add_sock."""
    return (other.sk_reuseport and other.sk_family == sk.sk_family and other.sk_ipv6only == sk.sk_ipv6only
            and other.sk_bound_dev_if == sk.sk_bound_dev_if and other.sk_rcv_saddr == sk.sk_rcv_saddr
            and other.sk_v6_rcv_saddr == sk.sk_v6_rcv_saddr)


def __inet_lookup_established(net: Net, saddr: i64, sport: i64, daddr: i64, hnum: i64, dif: i64) -> Sock | None:
    """The sock of exactly this connection, held for the caller, or None.  Linux: net/ipv4/inet_hashtables.c."""
    hashinfo = net.ipv4.tcp_hashinfo
    assert hashinfo is not None
    sk = hashinfo.ehash.get(inet_ehashfn(hashinfo, daddr, hnum, saddr, sport))
    while sk is not None:
        if inet_match(sk, saddr, daddr, sport, hnum, dif):
            sk.sk_refcnt += 1
            return sk
        sk = sk.sk_hash_next
    return None


def __inet_lookup(net: Net, saddr: i64, sport: i64, daddr: i64, hnum: i64, dif: i64) -> Sock | None:
    """The sock that takes a segment, held for the caller, or None.  Linux: include/net/inet_hashtables.h."""
    sk = __inet_lookup_established(net, saddr, sport, daddr, hnum, dif)
    if sk is None:
        sk = __inet_lookup_listener(net, saddr, sport, daddr, hnum, dif)
        if sk is not None:
            sk.sk_refcnt += 1
    return sk


def __inet_lookup_skb(net: Net, skb: SkBuff, sport: i64, dport: i64) -> Sock | None:
    """The sock of skb, held for the caller: early demux's, or by a look-up.  Linux: include/net/inet_hashtables.h."""
    sk = skb.sk
    if sk is not None:
        skb.sk = None
        skb.destructor = None
        return sk
    return __inet_lookup(net, skb.saddr, sport, skb.daddr, dport, skb.skb_iif)


def inet_ehash_insert(sk: Sock, osk: Sock | None) -> bool:
    """Put sk into the established hash in place of osk (or of nobody); False: osk was not there any more.

    Linux: net/ipv4/inet_hashtables.c.
    """
    hashinfo = inet_hashinfo(sock_net(sk))
    if osk is not None:
        if not ehash_del(hashinfo, osk):
            return False
        osk.sk_refcnt -= 1
    ehash_add(hashinfo, sk, sk_ehashfn(sk))
    return True


def inet_ehash_nolisten(sk: Sock, osk: Sock | None) -> bool:
    """As inet_ehash_insert().  Linux: net/ipv4/inet_hashtables.c."""
    return inet_ehash_insert(sk, osk)


def __inet_hash(sk: Sock, osk: Sock | None) -> int:
    """Make sk findable: a listener by its port, any other by its four-tuple.  Linux: net/ipv4/inet_hashtables.c."""
    if sk.sk_state != TCP_LISTEN:
        inet_ehash_nolisten(sk, osk)
        return 0
    hashinfo = inet_hashinfo(sock_net(sk))
    bucket = hashinfo.lhash.get(int(sk.sk_num))
    if bucket is None:
        hashinfo.lhash[int(sk.sk_num)] = [sk]
    else:
        bucket.append(sk)
    sk.sk_hash = sk.sk_num
    sk.sk_hashed = True
    return 0


def inet_hash(sk: Sock) -> int:
    """Make sk findable by incoming segments.  Linux: net/ipv4/inet_hashtables.c."""
    return __inet_hash(sk, None)


def inet_unhash(sk: Sock) -> None:
    """Make sk unfindable.  Linux: net/ipv4/inet_hashtables.c."""
    if not sk.sk_hashed:
        return
    hashinfo = inet_hashinfo(sock_net(sk))
    if sk.sk_state != TCP_LISTEN:
        ehash_del(hashinfo, sk)
        return
    key = int(sk.sk_hash)
    bucket = hashinfo.lhash.get(key)
    if bucket is not None and sk in bucket:
        bucket.remove(sk)
        if len(bucket) == 0:
            del hashinfo.lhash[key]
    sk.sk_hashed = False


class HashConnectResult:
    """The two answers of __inet_check_established: 0 or a negative errno, and the TIME_WAIT sock whose place was taken."""

    def __init__(self, err: int, tw: InetTimewaitSock | None) -> None:
        self.err: int = err
        self.tw: InetTimewaitSock | None = tw


def __inet_check_established(sk: InetConnectionSock, lport: i64, chosen: bool) -> HashConnectResult:
    """Is the four-tuple with local port lport free? If so, take it: sk goes into the established hash.

    chosen: nobody asked for that port (Linux: twp is not NULL).

    A TIME_WAIT sock in the way may be replaced where Proto.twsk_unique() allows; it is returned unhashed, held by its timer.
    Linux: net/ipv4/inet_hashtables.c.
    """
    net = sock_net(sk)
    hashinfo = inet_hashinfo(net)
    key = inet_sk_ehashfn(sk, lport)
    tw: InetTimewaitSock | None = None
    sk2 = hashinfo.ehash.get(key)
    while sk2 is not None:
        if inet_sk_match(sk2, sk, lport):
            if isinstance(sk2, InetTimewaitSock) and sk.sk_prot.twsk_unique(sk, sk2, chosen):
                tw = sk2
                break
            return HashConnectResult(-EADDRNOTAVAIL, None)
        sk2 = sk2.sk_hash_next
    sk.sk_num = lport
    sk.inet_sport = lport
    if tw is not None:
        ehash_del(hashinfo, tw)
        tw.sk_refcnt -= 1
        NET_INC_STATS(net, LINUX_MIB_TWRECYCLED)
    ehash_add(hashinfo, sk, key)
    return HashConnectResult(0, tw)


def inet_sk_port_offset(sk: InetConnectionSock) -> int:
    """A keyed u64 of where sk connects to: where the search for a port starts.  Linux: net/ipv4/inet_hashtables.c."""
    secret = int(inet_hashinfo(sock_net(sk)).ehash_secret)
    if sk_is_ipv6(sk):
        data = in6_bytes(sk.sk_v6_rcv_saddr) + in6_bytes(sk.sk_v6_daddr) + int(sk.sk_dport).to_bytes(2, 'big')
        return siphash_2_4(secret, secret ^ 0x706F727473, data)  # Linux: net/ipv6/inet6_hashtables.c, inet6_sk_port_offset
    return siphash_3u32(secret, secret ^ 0x706F727473, sk.sk_rcv_saddr, sk.sk_daddr, sk.sk_dport)


def __inet_hash_connect(net: Net, sk: InetConnectionSock, port_offset: int) -> int:
    """Choose a local port unless there is one, and hash sk with it. 0, or -EADDRNOTAVAIL where all are taken.

    Linux: net/ipv4/inet_hashtables.c.  RFC 6056, 3.3.4.
    """
    hashinfo = inet_hashinfo(net)
    if sk.sk_num != 0:
        result = __inet_check_established(sk, sk.sk_num, False)
        if result.tw is not None:
            result.tw.sk_refcnt += 1
            inet_twsk_deschedule_put(result.tw)
        return result.err
    ports = inet_sk_get_local_port_range(sk)
    low = ports & 0xFFFF
    remaining = (ports >> 16) + 1 - low
    stride: i64 = 2 if sk.local_port_range == 0 else 1  # a range of the socket's own is used whole
    if stride == 2 and remaining > 1:
        remaining &= ~1
    index = port_offset & 0xFFFF
    offset: i64 = (hashinfo.table_perturb.get(index, 0) + (port_offset >> 32)) % int(remaining)
    if stride == 2:
        offset &= ~1  # the other half is left to bind()
    half: i64 = 0
    while half < stride:
        i: i64 = 0
        while i < remaining:
            port = low + (offset + i) % remaining
            i += stride
            if inet_hash_connect_port(hashinfo, sk, port):
                # the next connect to the same peer goes on from here, with a little noise
                step = int(i) + net.random.below(8) * 2
                hashinfo.table_perturb[index] = hashinfo.table_perturb.get(index, 0) + step
                return 0
        offset ^= 1
        half += 1
        if remaining <= 1:
            break
    return -EADDRNOTAVAIL


def inet_hash_connect_port(hashinfo: InetHashinfo, sk: InetConnectionSock, port: i64) -> bool:
    """Take `port` for the connecting sk, if nobody bound it and the four-tuple is free.

    Part of Linux's __inet_hash_connect.
    """
    tb = hashinfo.bhash.get(int(port))
    if tb is not None and (tb.fastreuse >= 0 or tb.fastreuseport >= 0):
        return False  # somebody asked for it with bind()
    result = __inet_check_established(sk, port, True)
    if result.err != 0:
        return False
    tw = result.tw
    if tb is None:
        tb = inet_bind_bucket_create(hashinfo, port)
        tb.fastreuse = -1
        tb.fastreuseport = -1
    inet_bind_hash(sk, tb, inet_bind2_bucket_find(hashinfo, port, sk), port)
    if tw is not None:
        tw.sk_refcnt += 1
        inet_twsk_bind_unhash(tw, hashinfo)
        inet_twsk_deschedule_put(tw)
    return True


def inet_hash_connect(net: Net, sk: InetConnectionSock) -> int:
    """Give a connecting sk its port and its place in the hash.  Linux: net/ipv4/inet_hashtables.c."""
    port_offset = 0
    if sk.sk_num == 0:
        port_offset = inet_sk_port_offset(sk)
    return __inet_hash_connect(net, sk, port_offset)
