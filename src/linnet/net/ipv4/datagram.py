# SPDX-License-Identifier: Apache-2.0
"""connect() of datagram sockets (UDP, raw, ping): fix the peer, find the route and with it the source address.

No packet goes out. From then on the socket receives from that peer only, hears its ICMP errors, and keeps the route.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.inet import ipv4_is_multicast
from linnet.include.linux.socket import AF_INET, Sockaddr
from linnet.include.net.inet_sock import inet_sk
from linnet.include.net.route import RTCF_BROADCAST
from linnet.include.net.snmp import IPSTATS_MIB_OUTNOROUTES, NET_INC_STATS
from linnet.include.net.sock import SOCK_BROADCAST, Sock, sock_flag, sock_net
from linnet.include.net.tcp_states import TCP_ESTABLISHED
from linnet.kernel.errno import EACCES, EAFNOSUPPORT, ENETUNREACH
from linnet.net.core.sock import lock_sock, release_sock, sk_dst_reset, sk_dst_set, sk_set_txhash
from linnet.net.ipv4.route import ip_route_connect


def ip4_datagram_connect(sk: Sock, uaddr: Sockaddr) -> int:
    """Fix the peer. 0 or a negative errno.  Linux: net/ipv4/datagram.c."""
    lock_sock(sk)
    res = __ip4_datagram_connect(sk, uaddr)
    release_sock(sk)
    return res


def __ip4_datagram_connect(sk: Sock, uaddr: Sockaddr) -> int:
    """As ip4_datagram_connect, with sk owned.  Linux: net/ipv4/datagram.c."""
    inet = inet_sk(sk)
    if uaddr.sa_family != AF_INET:
        return -EAFNOSUPPORT
    sk_dst_reset(sk)
    oif: i64 = inet.sk_bound_dev_if
    saddr: i64 = inet.inet_saddr
    if ipv4_is_multicast(uaddr.sin_addr):
        if oif == 0:
            oif = inet.mc_index
        if saddr == 0:
            saddr = inet.mc_addr
    fl4 = inet.cork_fl
    rt = ip_route_connect(fl4, uaddr.sin_addr, saddr, inet.tos, oif, sk.sk_protocol, inet.inet_sport,
                          uaddr.sin_port, inet)
    if rt is None:
        if fl4.err == -ENETUNREACH:
            NET_INC_STATS(sock_net(sk), IPSTATS_MIB_OUTNOROUTES)
        return int(fl4.err)
    if (rt.rt_flags & RTCF_BROADCAST) != 0 and not sock_flag(sk, SOCK_BROADCAST):
        return -EACCES
    if inet.inet_saddr == 0:
        inet.inet_saddr = fl4.saddr
    if inet.sk_rcv_saddr == 0:
        inet.sk_rcv_saddr = fl4.saddr
    inet.sk_daddr = fl4.daddr
    inet.sk_dport = uaddr.sin_port
    sk.sk_state = TCP_ESTABLISHED
    sk_set_txhash(sk)
    inet.inet_id = sock_net(sk).random.u32() & 0xFFFF
    sk_dst_set(sk, rt)
    return 0
