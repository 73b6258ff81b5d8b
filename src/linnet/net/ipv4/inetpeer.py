# SPDX-License-Identifier: Apache-2.0
"""What is remembered of a peer, by its address: a token bucket that limits how many ICMP errors (and redirects) it is sent."""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.net_namespace import Net

XRLIM_BURST_FACTOR: Final = 6  # so many messages at once, then one each interval
PEER_MAX: Final = 65536
MSEC: Final = 1_000_000


class InetPeer:
    """Linux: struct inet_peer. Times in ns."""

    def __init__(self, addr: int) -> None:
        self.addr: int = addr
        self.rate_tokens: i64 = 0
        self.rate_last: i64 = -60_000_000_000  # as if silent for a minute: a new peer has its full burst
        self.n_redirects: i64 = 0


class InetPeerBase:
    """The peers of one host (Linux: struct inet_peer_base)."""

    def __init__(self) -> None:
        self.peers: dict[int, InetPeer] = {}


def inet_getpeer(base: InetPeerBase, addr: int, now: i64) -> InetPeer:
    """The peer at addr, made where it is new; the oldest is forgotten where there are too many.  Linux: net/ipv4/inetpeer.c."""
    peer = base.peers.get(addr)
    if peer is None:
        if len(base.peers) >= PEER_MAX:
            for oldest in base.peers:
                del base.peers[oldest]
                break
        peer = InetPeer(addr)
        peer.rate_last = now - 60_000_000_000
        base.peers[addr] = peer
    return peer


def inet_getpeer_v4(base: InetPeerBase, addr: i64, now: i64) -> InetPeer:
    """Linux: include/net/inetpeer.h."""
    return inet_getpeer(base, int(addr), now)


def inet_getpeer_v6(net: Net, addr: int) -> InetPeer:
    """The same of IPv6, whose peers are the Net's: errors and redirects are limited together.  Linux: include/net/inetpeer.h."""
    base = net.ipv6.peers
    assert isinstance(base, InetPeerBase)
    return inet_getpeer(base, addr, net.clock.now)


def inet_peer_xrlim_allow(net: Net, peer: InetPeer, timeout: i64) -> bool:
    """May one more limited message go to the peer? timeout: ms between two, but for the burst.  Linux: net/ipv4/icmp.c."""
    limit = timeout * MSEC
    now = net.clock.now
    token = peer.rate_tokens + now - peer.rate_last
    peer.rate_last = now
    if token > XRLIM_BURST_FACTOR * limit:
        token = XRLIM_BURST_FACTOR * limit
    allowed = False
    if token >= limit:
        token -= limit
        allowed = True
    peer.rate_tokens = token
    return allowed
