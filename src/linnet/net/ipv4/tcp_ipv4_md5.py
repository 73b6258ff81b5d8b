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

from linnet.include.linux.inet import IPPROTO_TCP
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import AF_INET
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_TCP_MD5FAILURE,
    SKB_DROP_REASON_TCP_MD5NOTFOUND,
    SKB_DROP_REASON_TCP_MD5UNEXPECTED,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import (
    LINUX_MIB_TCPMD5FAILURE,
    LINUX_MIB_TCPMD5NOTFOUND,
    LINUX_MIB_TCPMD5UNEXPECTED,
    NET_INC_STATS,
)
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    TCP_MD5SIG_EXT,
    TCP_MD5SIG_FLAG_IFINDEX,
    TCP_MD5SIG_FLAG_PREFIX,
    TCP_MD5SIG_MAXKEYLEN,
    TCPOLEN_MD5SIG,
    TCPOPT_EOL,
    TCPOPT_MD5SIG,
    TCPOPT_NOP,
    U32,
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

def prefix_mask(prefixlen: i64) -> i64:
    """The bits of a prefix."""
    return (U32 << (32 - prefixlen)) & U32 if prefixlen > 0 else 0


def tcp_md5_do_lookup(sk: TcpSock, addr: i64) -> TcpMd5sigKey | None:
    """The key for a peer: that of the longest prefix.  Linux: net/ipv4/tcp_ipv4.c."""
    keys = sk.md5sig_info
    best: TcpMd5sigKey | None = None
    if keys is not None:
        for key in keys:
            if (addr ^ key.addr) & prefix_mask(key.prefixlen) == 0 and (best is None or key.prefixlen > best.prefixlen):
                best = key
    return best


def tcp_md5_do_add(sk: TcpSock, addr: i64, prefixlen: i64, flags: i64, key: bytes) -> None:
    """Set the key of a prefix, in place of an older one.  Linux: net/ipv4/tcp_ipv4.c."""
    keys = sk.md5sig_info
    if keys is None:
        keys = []
        sk.md5sig_info = keys
        sk_gso_disable(sk)
        sock_net(sk).ipv4.tcp_md5_needed = True
    addr &= prefix_mask(prefixlen)
    for old in keys:
        if old.addr == addr and old.prefixlen == prefixlen:
            old.key = key
            old.flags = flags
            return
    keys.append(TcpMd5sigKey(addr, prefixlen, key, flags))


def tcp_md5_do_del(sk: TcpSock, addr: i64, prefixlen: i64) -> int:
    """Forget the key of a prefix: 0 or -ENOENT.  Linux: net/ipv4/tcp_ipv4.c."""
    keys = sk.md5sig_info
    if keys is not None:
        addr &= prefix_mask(prefixlen)
        for key in keys:
            if key.addr == addr and key.prefixlen == prefixlen:
                keys.remove(key)
                return 0
    return -ENOENT


def tcp_v4_parse_md5_keys(sk: TcpSock, optname: int, optval: bytes) -> int:
    """setsockopt(TCP_MD5SIG or TCP_MD5SIG_EXT): struct tcp_md5sig; a key of length 0 deletes. 0 or a negative errno.

    Linux: net/ipv4/tcp_ipv4.c. An interface to bind the key to must be a VRF there; there are none here.
    """
    if len(optval) < SIZEOF_TCP_MD5SIG or int.from_bytes(optval[:2], 'little') != AF_INET:
        return -EINVAL
    flags = optval[128] if optname == TCP_MD5SIG_EXT else 0
    prefixlen: i64 = 32
    if (flags & TCP_MD5SIG_FLAG_PREFIX) != 0:
        prefixlen = optval[129]
        if prefixlen > 32:
            return -EINVAL
    if (flags & TCP_MD5SIG_FLAG_IFINDEX) != 0 and int.from_bytes(optval[132:136], 'little') != 0:
        return -EINVAL
    addr = int.from_bytes(optval[4:8], 'big')
    keylen = int.from_bytes(optval[130:132], 'little')
    if keylen == 0:
        return tcp_md5_do_del(sk, addr, prefixlen)
    if keylen > TCP_MD5SIG_MAXKEYLEN:
        return -EINVAL
    tcp_md5_do_add(sk, addr, prefixlen, flags & TCP_MD5SIG_FLAG_PREFIX, optval[136:136 + keylen])
    return 0


def tcp_md5_key_copy(newsk: TcpSock, sk: TcpSock, addr: i64) -> None:
    """A listener's new connection gets the key of its peer alone, if there is one.  Linux: net/ipv4/tcp_ipv4.c."""
    key = tcp_md5_do_lookup(sk, addr)
    newsk.md5sig_info = None
    if key is not None:
        tcp_md5_do_add(newsk, addr, 32, key.flags, key.key)


# -- digests

def tcp_v4_md5_hash(key: bytes, saddr: i64, daddr: i64, header: bytes, payload: bytes) -> bytes:
    """The digest of a segment. header: with its options, which only count by their length.

    Linux: net/ipv4/tcp_ipv4.c, tcp_v4_md5_hash_hdr and tcp_v4_md5_hash_skb.  RFC 2385, 2.0.
    """
    pseudo = (int(saddr).to_bytes(4, 'big') + int(daddr).to_bytes(4, 'big')
              + bytes((0, IPPROTO_TCP)) + (len(header) + len(payload)).to_bytes(2, 'big'))
    digest = hashlib.md5(pseudo + header[:16] + b'\0\0' + header[18:TCP_HLEN], usedforsecurity=False)
    digest.update(payload)
    digest.update(key)
    return digest.digest()


def tcp_md5_sign(header: bytes, at: i64, key: TcpMd5sigKey, saddr: i64, daddr: i64, payload: bytes) -> bytes:
    """The header with its digest, for which there is room at byte `at`."""
    return header[:at] + tcp_v4_md5_hash(key.key, saddr, daddr, header, payload) + header[at + 16:]


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
    return skb.head[at:at + 16] == tcp_v4_md5_hash(key.key, skb.saddr, skb.daddr, header, payload)


def tcp_inbound_hash(sk: TcpSock, skb: SkBuff) -> i64:
    """Is skb signed as sk (a listener, for what belongs to a request) has agreed with its peer? 0 or a drop reason.

    Linux: net/ipv4/tcp_ipv4.c, with tcp_inbound_md5_hash.  RFC 2385, 2.0.
    """
    net = sock_net(sk)
    at = tcp_parse_md5sig_option(skb.head, skb.data, skb.tcp_doff)
    key = tcp_md5_do_lookup(sk, skb.saddr)
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
