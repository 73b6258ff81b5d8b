# SPDX-License-Identifier: Apache-2.0
"""UDP's table: which socket is bound to a port, and which one a datagram is for.

Net.ipv4.udp_table holds, for each local port, its sockets, the last bound first. A datagram goes to the socket that
fits it best: each of local address, peer address, peer port and device that the socket fixes and the datagram
matches scores; one that does not match disqualifies. Among equals the last bound wins, or with SO_REUSEPORT a hash
of the flow chooses.

Two sockets may share a port where their addresses or devices differ, where both set SO_REUSEADDR, or both
SO_REUSEPORT.

Sockets of AF_INET6 stand in the same table (net/ipv6/udp_lookup.py looks for them): a port is one of both families, and who is
bound to :: or to a mapped address takes IPv4 too.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.inet import ipv4_is_multicast
from linnet.include.linux.socket import AF_INET
from linnet.include.net.inet_sock import UdpSock, inet_sk_get_local_port_range
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import Sock, sock_net
from linnet.include.net.tcp_states import TCP_ESTABLISHED
from linnet.kernel.random import siphash_3u32
from linnet.net.ipv4.inet_rcv_saddr import inet_rcv_saddr_equal

LINUX_FILE: Final = 'net/ipv4/udp.c'


def udp_lib_lport_inuse(net: Net, num: i64, sk: Sock) -> bool:
    """May sk not be bound to port num?  Linux: net/ipv4/udp.c."""
    chain = net.ipv4.udp_table.get(int(num))
    if chain is None:
        return False
    for sk2 in chain:
        if (sk2 is not sk and (sk2.sk_reuse == 0 or sk.sk_reuse == 0)
                and (sk2.sk_bound_dev_if == 0 or sk.sk_bound_dev_if == 0 or sk2.sk_bound_dev_if == sk.sk_bound_dev_if)
                and inet_rcv_saddr_equal(sk, sk2, True)):
            if sk2.sk_reuseport and sk.sk_reuseport:
                continue
            return True
    return False


def udp_v4_get_port(sk: Sock, snum: i64) -> int:
    """Bind to port snum, 0: a free one. 0, or 1 where it is in use.  Linux: net/ipv4/udp.c."""
    return udp_lib_get_port(sk, snum)


def udp_lib_get_port(sk: Sock, snum: i64) -> int:
    """See udp_v4_get_port. A free port is looked for from a random one on, in steps of a random odd number.

    Linux: net/ipv4/udp.c.  RFC 6056.
    """
    net = sock_net(sk)
    if snum == 0:
        ports = inet_sk_get_local_port_range(sk)
        low = ports & 0xFFFF
        high = ports >> 16
        remaining: i64 = high - low + 1
        rand = net.random.u32()
        port: i64 = ((rand * remaining) >> 32) + low
        step: i64 = rand | 1
        tries: i64 = 65536
        while tries > 0:
            if low <= port <= high and not udp_lib_lport_inuse(net, port, sk):
                snum = port
                break
            port = (port + step) & 0xFFFF
            tries -= 1
        if snum == 0:
            return 1
    elif udp_lib_lport_inuse(net, snum, sk):
        return 1
    sk.sk_num = snum
    udp_lib_add(net, sk, snum)
    return 0


def udp_lib_add(net: Net, sk: Sock, num: i64) -> None:
    """Enter sk under port num, in front."""
    if sk.sk_hashed:
        return
    chain = net.ipv4.udp_table.get(int(num))
    if chain is None:
        net.ipv4.udp_table[int(num)] = [sk]
    else:
        chain.insert(0, sk)
    sk.sk_hashed = True
    sk.sk_refcnt += 1


def udp_lib_unhash(sk: Sock) -> None:
    """Take sk out of the table; it has no port then.  Linux: net/ipv4/udp.c."""
    if not sk.sk_hashed:
        return
    table = sock_net(sk).ipv4.udp_table
    chain = table[int(sk.sk_num)]
    chain.remove(sk)
    if not chain:
        del table[int(sk.sk_num)]
    sk.sk_hashed = False
    sk.sk_num = 0
    sk.sk_refcnt -= 1  # the program's own reference is still there


def compute_score(sk: Sock, saddr: i64, sport: i64, daddr: i64, dif: i64) -> i64:
    """How well sk fits a datagram from saddr:sport to daddr on device dif; -1: not at all.

    A socket of AF_INET goes before one of AF_INET6, and one that is bound to the address before all that are not.
    Linux: net/ipv4/udp.c.
    """
    if sk.sk_ipv6only:
        return -1
    score: i64 = 2 if sk.sk_family == AF_INET else 1
    if sk.sk_rcv_saddr != 0:
        if sk.sk_rcv_saddr != daddr:
            return -1
        score += 64
    if sk.sk_daddr != 0:
        if sk.sk_daddr != saddr:
            return -1
        score += 4
    if sk.sk_dport != 0:
        if sk.sk_dport != sport:
            return -1
        score += 4
    if sk.sk_bound_dev_if != 0:
        if sk.sk_bound_dev_if != dif:
            return -1
        score += 4
    return score


def udp_ehashfn(net: Net, laddr: i64, lport: i64, faddr: i64, fport: i64) -> i64:
    """The keyed hash of a flow, u32.  Linux: net/ipv4/udp.c."""
    return i64(siphash_3u32(int(net.hash_mix), 0x7564705F65686173, laddr, faddr, (lport << 16) | fport) & 0xFFFFFFFF)


def reuseport_select_sock(net: Net, sk: Sock, chain: list[Sock], hash: i64) -> Sock:
    """One socket of sk's SO_REUSEPORT group, by the flow's hash, so that a flow stays with its socket.

    Linux: net/core/sock_reuseport.c.
    """
    group = [s for s in chain
             if s.sk_reuseport and s.sk_rcv_saddr == sk.sk_rcv_saddr and s.sk_bound_dev_if == sk.sk_bound_dev_if
             and s.sk_family == sk.sk_family and s.sk_v6_rcv_saddr == sk.sk_v6_rcv_saddr and s.sk_ipv6only == sk.sk_ipv6only
             and s.sk_state != TCP_ESTABLISHED]
    if not group:
        return sk
    count: i64 = len(group)
    return group[count - 1 - ((hash * count) >> 32)]


def __udp4_lib_lookup(net: Net, saddr: i64, sport: i64, daddr: i64, dport: i64, dif: i64) -> UdpSock | None:
    """The socket for a datagram from saddr:sport to daddr:dport that came in on device dif, or None.

    Linux: net/ipv4/udp.c.
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
        best = reuseport_select_sock(net, best, chain, udp_ehashfn(net, daddr, dport, saddr, sport))
    assert isinstance(best, UdpSock)
    return best


def __udp_is_mcast_sock(sk: Sock, loc_port: i64, loc_addr: i64, rmt_port: i64, rmt_addr: i64, dif: i64) -> bool:
    """Does sk want this multicast or broadcast datagram?

    A group that it did not join too: IP_MULTICAST_ALL is Linux's default.  Linux: net/ipv4/udp.c.
    """
    if (sk.sk_num != loc_port or sk.sk_ipv6only or (sk.sk_daddr != 0 and sk.sk_daddr != rmt_addr)
            or (sk.sk_dport != 0 and sk.sk_dport != rmt_port)):
        return False
    if sk.sk_rcv_saddr != 0 and sk.sk_rcv_saddr != loc_addr:
        return False
    return sk.sk_bound_dev_if == 0 or sk.sk_bound_dev_if == dif


def udp_v4_early_demux_lookup(net: Net, saddr: i64, sport: i64, daddr: i64, dport: i64, dif: i64) -> UdpSock | None:
    """The connected socket of exactly this flow, if it is the only one on its port.  Linux: __udp4_lib_demux_lookup."""
    chain = net.ipv4.udp_table.get(int(dport))
    if chain is None or ipv4_is_multicast(daddr):
        return None
    sk = chain[0]
    if (len(chain) == 1 and isinstance(sk, UdpSock) and sk.sk_rcv_saddr == daddr and sk.sk_daddr == saddr
            and sk.sk_dport == sport and (sk.sk_bound_dev_if == 0 or sk.sk_bound_dev_if == dif)):
        return sk
    return None
