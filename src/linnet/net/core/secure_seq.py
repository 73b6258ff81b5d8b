# SPDX-License-Identifier: Apache-2.0
"""Numbers that an outsider cannot guess: initial sequence numbers (RFC 6528) and timestamp offsets, by a keyed hash of the peer.

The keys are drawn once for a host. A new incarnation of a connection starts above the last: the clock is added, 64 ns a step.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.in6 import in6_bytes
from linnet.include.net.inet_hashtables import InetHashinfo
from linnet.include.net.net_namespace import Net
from linnet.kernel.random import siphash_2_4, siphash_2u32, siphash_3u32


def _hashinfo(net: Net) -> InetHashinfo:
    hashinfo = net.ipv4.tcp_hashinfo
    assert hashinfo is not None
    return hashinfo


def seq_scale(net: Net, seq: i64) -> i64:
    """Add the clock.  Linux: net/core/secure_seq.c."""
    return (seq + (net.clock.now >> 6)) & 0xFFFFFFFF


def secure_tcp_seq(net: Net, saddr: i64, daddr: i64, sport: i64, dport: i64) -> i64:
    """The initial sequence number for a connection.  Linux: net/core/secure_seq.c.  RFC 6528, 3."""
    key = _hashinfo(net).net_secret
    hash: i64 = siphash_3u32(key[0], key[1], saddr, daddr, (sport << 16) | dport) & 0xFFFFFFFF
    return seq_scale(net, hash)


def secure_tcp_ts_off(net: Net, saddr: i64, daddr: i64) -> i64:
    """What is added to the clock in timestamps to that peer; 0 with net.ipv4.tcp_timestamps 2.

    Linux: net/core/secure_seq.c.  RFC 7323, 7.1.
    """
    if net.ipv4.sysctl_tcp_timestamps != 1:
        return 0
    key = _hashinfo(net).ts_secret
    return i64(siphash_2u32(key[0], key[1], saddr, daddr) & 0xFFFFFFFF)


def secure_tcpv6_seq(net: Net, saddr: int, daddr: int, sport: i64, dport: i64) -> i64:
    """The same for a connection over IPv6.  Linux: net/core/secure_seq.c."""
    key = _hashinfo(net).net_secret
    ports = int((sport << 16) | dport).to_bytes(4, 'big')
    hash: i64 = siphash_2_4(key[0], key[1], in6_bytes(saddr) + in6_bytes(daddr) + ports) & 0xFFFFFFFF
    return seq_scale(net, hash)


def secure_tcpv6_ts_off(net: Net, saddr: int, daddr: int) -> i64:
    """The same for a peer of IPv6.  Linux: net/core/secure_seq.c."""
    if net.ipv4.sysctl_tcp_timestamps != 1:
        return 0
    key = _hashinfo(net).ts_secret
    return i64(siphash_2_4(key[0], key[1], in6_bytes(saddr) + in6_bytes(daddr)) & 0xFFFFFFFF)
