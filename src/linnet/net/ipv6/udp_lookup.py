# SPDX-License-Identifier: Apache-2.0
"""Which UDP socket a datagram over IPv6 is for.

The table is IPv4's (Net.ipv4.udp_table): a port is one of both families. Here only sockets of AF_INET6 are looked at; one that is
bound to an IPv4-mapped address takes no IPv6, and one that is bound to the address goes before all that are bound to ::.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.socket import AF_INET6
from linnet.include.net.inet_sock import UdpSock
from linnet.include.net.ipv6 import ipv6_addr_hash, ipv6_addr_is_multicast
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import Sock
from linnet.include.net.tcp_states import TCP_ESTABLISHED
from linnet.kernel.random import siphash_3u32
from linnet.net.ipv4.udp_lookup import reuseport_select_sock
from linnet.net.ipv6.mcast import inet6_mc_check

LINUX_FILE: Final = 'net/ipv6/udp.c'


def compute_score(sk: Sock, saddr: int, sport: i64, daddr: int, dif: i64) -> i64:
    """How well sk fits a datagram from saddr:sport to daddr on device dif; -1: not at all.  Linux: net/ipv6/udp.c."""
    if sk.sk_family != AF_INET6:
        return -1
    score: i64 = 1
    if sk.sk_v6_rcv_saddr != 0:
        if sk.sk_v6_rcv_saddr != daddr:
            return -1
        score += 64
    if sk.sk_dport != 0:
        if sk.sk_dport != sport:
            return -1
        score += 4
    if sk.sk_v6_daddr != 0:
        if sk.sk_v6_daddr != saddr:
            return -1
        score += 4
    if sk.sk_bound_dev_if != 0:
        if sk.sk_bound_dev_if != dif:
            return -1
        score += 4
    return score


def udp6_ehashfn(net: Net, laddr: int, lport: i64, faddr: int, fport: i64) -> i64:
    """The keyed hash of a flow, u32.  Linux: net/ipv6/udp.c."""
    near = ipv6_addr_hash(laddr)
    far = ipv6_addr_hash(faddr)
    return i64(siphash_3u32(int(net.hash_mix), 0x75647036686173, near, far, (lport << 16) | fport) & 0xFFFFFFFF)


def __udp6_lib_lookup(net: Net, saddr: int, sport: i64, daddr: int, dport: i64, dif: i64) -> UdpSock | None:
    """The socket for a datagram from saddr:sport to daddr:dport that came in on device dif, or None.

    Linux: net/ipv6/udp.c.
    """
    chain = net.ipv4.udp_table.get(int(dport))
    if chain is None:
        return None
    best: Sock | None = None
    badness: i64 = 0
    for sk in chain:
        score = compute_score(sk, saddr, sport, daddr, dif)
        if score > badness:
            badness = score
            best = sk
    if best is None:
        return None
    if best.sk_reuseport and best.sk_state != TCP_ESTABLISHED:
        best = reuseport_select_sock(net, best, chain, udp6_ehashfn(net, daddr, dport, saddr, sport))
    assert isinstance(best, UdpSock)
    return best


def __udp_v6_is_mcast_sock(sk: Sock, loc_port: i64, loc_addr: int, rmt_port: i64, rmt_addr: int, dif: i64) -> bool:
    """Does sk want this multicast datagram? Also of a group that it did not join, while IPV6_MULTICAST_ALL stands.

    Linux: net/ipv6/udp.c.
    """
    if sk.sk_num != loc_port or sk.sk_family != AF_INET6 or (sk.sk_dport != 0 and sk.sk_dport != rmt_port):
        return False
    if sk.sk_v6_daddr != 0 and sk.sk_v6_daddr != rmt_addr:
        return False
    if sk.sk_bound_dev_if != 0 and sk.sk_bound_dev_if != dif:
        return False
    if sk.sk_v6_rcv_saddr != 0 and sk.sk_v6_rcv_saddr != loc_addr:
        return False
    return inet6_mc_check(sk, loc_addr, rmt_addr)


def __udp6_lib_demux_lookup(net: Net, daddr: int, dport: i64, saddr: int, sport: i64, dif: i64) -> UdpSock | None:
    """The connected socket of exactly this flow, if it is the only one on its port.  Linux: net/ipv6/udp.c."""
    chain = net.ipv4.udp_table.get(int(dport))
    if chain is None or ipv6_addr_is_multicast(daddr):
        return None
    sk = chain[0]
    if (len(chain) == 1 and isinstance(sk, UdpSock) and sk.sk_family == AF_INET6 and sk.sk_v6_rcv_saddr == daddr
            and sk.sk_v6_daddr == saddr and sk.sk_dport == sport and (sk.sk_bound_dev_if == 0 or sk.sk_bound_dev_if == dif)):
        return sk
    return None
