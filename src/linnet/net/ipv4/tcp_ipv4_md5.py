# SPDX-License-Identifier: Apache-2.0
"""TCP's MD5 signatures (RFC 2385): keys by peer, signing what leaves, and refusing what is not signed as agreed.

A socket holds keys for addresses or prefixes (TCP_MD5SIG, TCP_MD5SIG_EXT); the longest prefix counts. A listener's
connections get the one key of their peer. A segment is signed over the pseudo-header, the header without its options and with
a zero checksum, the payload and the key. What comes without a signature where one is due, with one where none is, or with a
wrong one, is dropped and counted (TCPMD5NotFound, TCPMD5Unexpected, TCPMD5Failure); nobody is answered.

A signed segment is made for the wire as it is: super-segments are off. Its 20 bytes leave no room for timestamps in a SYN.
"""
from __future__ import annotations

import hashlib
from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.in6 import in6_bytes
from linnet.include.linux.inet import IPPROTO_TCP
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import AF_INET, AF_INET6
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_TCP_MD5FAILURE,
    SKB_DROP_REASON_TCP_MD5NOTFOUND,
    SKB_DROP_REASON_TCP_MD5UNEXPECTED,
)
from linnet.include.net.ipv6 import ipv6_addr_v4mapped
from linnet.include.net.net_namespace import Net
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.snmp import (
    LINUX_MIB_TCPMD5FAILURE,
    LINUX_MIB_TCPMD5NOTFOUND,
    LINUX_MIB_TCPMD5UNEXPECTED,
    NET_INC_STATS,
)
from linnet.include.net.sock import Sock, sock_net
from linnet.include.net.tcp import (
    TCP_MD5SIG_EXT,
    TCP_MD5SIG_FLAG_IFINDEX,
    TCP_MD5SIG_FLAG_PREFIX,
    TCP_MD5SIG_MAXKEYLEN,
    TCPOLEN_MD5SIG,
    TCPOPT_EOL,
    TCPOPT_MD5SIG,
    TCPOPT_NOP,
    TcpSock,
)
from linnet.include.net.tcp_md5sig import TcpMd5sigKey
from linnet.kernel.errno import EINVAL, ENOENT
from linnet.net.core.skbuff import skb_copy_bits
from linnet.net.core.sock import sk_gso_disable

LINUX_FILE: Final = 'net/ipv4/tcp_ipv4.c'

TCP_HLEN: Final = 20
MD5_WORD: Final = bytes((TCPOPT_NOP, TCPOPT_NOP, TCPOPT_MD5SIG, TCPOLEN_MD5SIG))
MD5_OPTION: Final = MD5_WORD + bytes(16)  # with room for the digest
MD5_AT: Final = TCP_HLEN + 4  # where the digest stands in a header whose first option it is
SIZEOF_TCP_MD5SIG: Final = 216  # sockaddr_storage 128, flags 1, prefixlen 1, keylen 2, ifindex 4, key 80
NO_OPTION: Final = -1
BAD_OPTIONS: Final = -2


# -- keys

def prefix_differs(family: i64, a: int, b: int, prefixlen: i64) -> bool:
    """Do two addresses differ within a prefix?"""
    bits: i64 = 32 if family == AF_INET else 128
    return ((a ^ b) >> int(bits - prefixlen)) != 0


def sk_md5_family(sk: Sock) -> i64:
    """The family of what sk (or a request) sends: a mapped one is IPv4."""
    return AF_INET6 if sk.sk_family == AF_INET6 and not ipv6_addr_v4mapped(sk.sk_v6_daddr) else AF_INET


def tcp_md5_do_lookup(sk: TcpSock, family: i64, addr: int) -> TcpMd5sigKey | None:
    """The key for a peer: that of the longest prefix.  Linux: net/ipv4/tcp_ipv4.c."""
    keys = sk.md5sig_info
    best: TcpMd5sigKey | None = None
    if keys is not None:
        for key in keys:
            if key.family == family and (best is None or key.prefixlen > best.prefixlen):
                if not prefix_differs(family, addr, key.addr, key.prefixlen):
                    best = key
    return best


def tcp_md5_peer_key(sk: TcpSock, addr_sk: Sock) -> TcpMd5sigKey | None:
    """The key that sk has for the peer of addr_sk: itself, or a request of it.

    Linux: tcp_v4_md5_lookup and tcp_v6_md5_lookup.
    """
    if sk.md5sig_info is None:
        return None
    if sk_md5_family(addr_sk) == AF_INET6:
        return tcp_md5_do_lookup(sk, AF_INET6, addr_sk.sk_v6_daddr)
    return tcp_md5_do_lookup(sk, AF_INET, int(addr_sk.sk_daddr))


def tcp_md5_skb_key(sk: TcpSock, skb: SkBuff) -> TcpMd5sigKey | None:
    """The key that sk has for the source of skb."""
    if sk.md5sig_info is None:
        return None
    if skb.protocol == ETH_P_IPV6:
        return tcp_md5_do_lookup(sk, AF_INET6, skb.saddr6)
    return tcp_md5_do_lookup(sk, AF_INET, int(skb.saddr))


def prefix_of(family: i64, addr: int, prefixlen: i64) -> int:
    """An address without the bits behind the prefix."""
    bits: i64 = 32 if family == AF_INET else 128
    shift = int(bits - prefixlen)
    return (addr >> shift) << shift


def tcp_md5_do_add(sk: TcpSock, family: i64, addr: int, prefixlen: i64, flags: i64, key: bytes) -> None:
    """Set the key of a prefix, in place of an older one.  Linux: net/ipv4/tcp_ipv4.c."""
    keys = sk.md5sig_info
    if keys is None:
        keys = []
        sk.md5sig_info = keys
        sk_gso_disable(sk)
        sock_net(sk).ipv4.tcp_md5_needed = True
    addr = prefix_of(family, addr, prefixlen)
    for old in keys:
        if old.family == family and old.addr == addr and old.prefixlen == prefixlen:
            old.key = key
            old.flags = flags
            return
    keys.append(TcpMd5sigKey(family, addr, prefixlen, key, flags))


def tcp_md5_do_del(sk: TcpSock, family: i64, addr: int, prefixlen: i64) -> int:
    """Forget the key of a prefix: 0 or -ENOENT.  Linux: net/ipv4/tcp_ipv4.c."""
    keys = sk.md5sig_info
    if keys is not None:
        addr = prefix_of(family, addr, prefixlen)
        for key in keys:
            if key.family == family and key.addr == addr and key.prefixlen == prefixlen:
                keys.remove(key)
                return 0
    return -ENOENT


def tcp_v4_parse_md5_keys(sk: TcpSock, optname: int, optval: bytes) -> int:
    """setsockopt(TCP_MD5SIG or TCP_MD5SIG_EXT): struct tcp_md5sig; a key of length 0 deletes. 0 or a negative errno.

    Linux: net/ipv4/tcp_ipv4.c. An interface to bind the key to must be a VRF there; there are none here.
    """
    if len(optval) < SIZEOF_TCP_MD5SIG or int.from_bytes(optval[:2], 'little') != AF_INET:
        return -EINVAL
    return tcp_md5_set_key(sk, AF_INET, int.from_bytes(optval[4:8], 'big'), optname, optval)


def tcp_md5_set_key(sk: TcpSock, family: i64, addr: int, optname: int, optval: bytes) -> int:
    """Set the key of a struct tcp_md5sig for addr, or delete it. The part that tcp_v4_parse_md5_keys shares with IPv6's."""
    flags = optval[128] if optname == TCP_MD5SIG_EXT else 0
    longest: i64 = 32 if family == AF_INET else 128
    prefixlen = longest
    if (flags & TCP_MD5SIG_FLAG_PREFIX) != 0:
        prefixlen = optval[129]
        if prefixlen > longest:
            return -EINVAL
    if (flags & TCP_MD5SIG_FLAG_IFINDEX) != 0 and int.from_bytes(optval[132:136], 'little') != 0:
        return -EINVAL
    keylen = int.from_bytes(optval[130:132], 'little')
    if keylen == 0:
        return tcp_md5_do_del(sk, family, addr, prefixlen)
    if keylen > TCP_MD5SIG_MAXKEYLEN:
        return -EINVAL
    tcp_md5_do_add(sk, family, addr, prefixlen, flags & TCP_MD5SIG_FLAG_PREFIX, optval[136:136 + keylen])
    return 0


def tcp_md5_key_copy(newsk: TcpSock, sk: TcpSock, req: RequestSock) -> None:
    """A listener's new connection gets the key of its peer alone, if there is one.  Linux: net/ipv4/tcp_ipv4.c."""
    key = tcp_md5_peer_key(sk, req)
    newsk.md5sig_info = None
    if key is not None and key.family == AF_INET6:
        tcp_md5_do_add(newsk, AF_INET6, req.sk_v6_daddr, 128, key.flags, key.key)
    elif key is not None:
        tcp_md5_do_add(newsk, AF_INET, int(req.sk_daddr), 32, key.flags, key.key)


# -- digests

def tcp_v4_md5_pseudo(saddr: i64, daddr: i64, length: int) -> bytes:
    """IPv4's pseudo header.  Linux: net/ipv4/tcp_ipv4.c, tcp_v4_md5_hash_headers."""
    return int(saddr).to_bytes(4, 'big') + int(daddr).to_bytes(4, 'big') + bytes((0, IPPROTO_TCP)) + length.to_bytes(2, 'big')


def tcp_v6_md5_pseudo(saddr: int, daddr: int, length: int) -> bytes:
    """IPv6's (RFC 8200, 8.1).  Linux: net/ipv6/tcp_ipv6.c, tcp_v6_md5_hash_headers."""
    return in6_bytes(saddr) + in6_bytes(daddr) + length.to_bytes(4, 'big') + bytes((0, 0, 0, IPPROTO_TCP))


def tcp_md5_hash(key: bytes, pseudo: bytes, header: bytes, payload: bytes) -> bytes:
    """The digest of a segment. header: with its options, which only count by their length.

    Linux: net/ipv4/tcp_ipv4.c, tcp_v4_md5_hash_hdr and tcp_v4_md5_hash_skb.  RFC 2385, 2.0.
    """
    digest = hashlib.md5(pseudo + header[:16] + b'\0\0' + header[18:TCP_HLEN], usedforsecurity=False)
    digest.update(payload)
    digest.update(key)
    return digest.digest()


def tcp_md5_sign(header: bytes, at: i64, key: TcpMd5sigKey, addr_sk: Sock, payload: bytes) -> bytes:
    """The header with its digest, for which there is room at byte `at`; addr_sk (or a request) has the addresses."""
    length = len(header) + len(payload)
    if key.family == AF_INET6:
        pseudo = tcp_v6_md5_pseudo(addr_sk.sk_v6_rcv_saddr, addr_sk.sk_v6_daddr, length)
    else:
        pseudo = tcp_v4_md5_pseudo(addr_sk.sk_rcv_saddr, addr_sk.sk_daddr, length)
    return header[:at] + tcp_md5_hash(key.key, pseudo, header, payload) + header[at + 16:]


def tcp_md5_sign_reply(header: bytes, at: i64, key: TcpMd5sigKey, skb: SkBuff) -> bytes:
    """As tcp_md5_sign, for the answer to skb, without payload."""
    if key.family == AF_INET6:
        pseudo = tcp_v6_md5_pseudo(skb.daddr6, skb.saddr6, len(header))
    else:
        pseudo = tcp_v4_md5_pseudo(skb.daddr, skb.saddr, len(header))
    return header[:at] + tcp_md5_hash(key.key, pseudo, header, b'') + header[at + 16:]


def tcp_parse_md5sig_option(head: bytes, th: i64, doff: i64) -> i64:
    """Where the digest of the TCP header at byte th stands in head; NO_OPTION, or BAD_OPTIONS.

    Linux: net/ipv4/tcp_input.c, tcp_parse_auth_options.
    """
    at = th + TCP_HLEN
    end = th + doff
    while at < end:
        kind = i64(head[at])
        if kind == TCPOPT_EOL:
            break
        if kind == TCPOPT_NOP:
            at += 1
            continue
        if at + 1 >= end:
            return BAD_OPTIONS
        size = i64(head[at + 1])
        if size < 2 or at + size > end:
            return BAD_OPTIONS
        if kind == TCPOPT_MD5SIG:
            return at + 2 if size == TCPOLEN_MD5SIG else BAD_OPTIONS
        at += size
    return NO_OPTION


def tcp_md5_matches(key: TcpMd5sigKey, skb: SkBuff, at: i64) -> bool:
    """Is the digest at byte `at` of skb's head right? skb's data is at the TCP header."""
    th = skb.data
    doff = skb.tcp_doff
    header = skb.head[th:th + doff]
    payload = skb_copy_bits(skb, doff, skb.len - doff)
    length = len(header) + len(payload)
    if key.family == AF_INET6:
        pseudo = tcp_v6_md5_pseudo(skb.saddr6, skb.daddr6, length)
    else:
        pseudo = tcp_v4_md5_pseudo(skb.saddr, skb.daddr, length)
    return skb.head[at:at + 16] == tcp_md5_hash(key.key, pseudo, header, payload)


def tcp_inbound_hash(sk: TcpSock, skb: SkBuff) -> i64:
    """Is skb signed as sk (a listener, for what belongs to a request) has agreed with its peer? 0 or a drop reason.

    Linux: net/ipv4/tcp_ipv4.c, with tcp_inbound_md5_hash.  RFC 2385, 2.0.
    """
    net = sock_net(sk)
    at = tcp_parse_md5sig_option(skb.head, skb.data, skb.tcp_doff)
    key = tcp_md5_skb_key(sk, skb)
    if at == NO_OPTION:
        if key is None:
            return 0
        NET_INC_STATS(net, LINUX_MIB_TCPMD5NOTFOUND)
        return SKB_DROP_REASON_TCP_MD5NOTFOUND
    if at == BAD_OPTIONS and key is None:
        return 0  # nothing is signed here: whoever parses the options says what is wrong
    if key is None:
        NET_INC_STATS(net, LINUX_MIB_TCPMD5UNEXPECTED)
        return SKB_DROP_REASON_TCP_MD5UNEXPECTED
    if at == BAD_OPTIONS or not tcp_md5_matches(key, skb, at):
        NET_INC_STATS(net, LINUX_MIB_TCPMD5FAILURE)
        return SKB_DROP_REASON_TCP_MD5FAILURE
    return 0


def tcp_md5_needed(net: Net, skb: SkBuff) -> bool:
    """Must skb be looked at? Only where keys exist, or where its options have room for a signature."""
    return net.ipv4.tcp_md5_needed or skb.tcp_doff >= TCP_HLEN + TCPOLEN_MD5SIG
