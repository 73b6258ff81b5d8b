# SPDX-License-Identifier: Apache-2.0
"""UDP's way up over IPv6: a datagram finds its socket and is queued there; ICMPv6 errors find the sender's socket.

    udpv6_rcv > __udp6_lib_rcv > udp6_unicast_rcv_skb > udpv6_queue_rcv_skb > __udp_enqueue_schedule_skb > sk_data_ready

From the queue on everything is IPv4's (net/ipv4/udp_rcv.py). A checksum is a must here (RFC 8200, 8.1): a datagram without one is
dropped, unless its socket allows that (UDP_NO_CHECK6_RX, RFC 6936).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmpv6 import ICMPV6_DEST_UNREACH, ICMPV6_PKT_TOOBIG, ICMPV6_PORT_UNREACH, NDISC_REDIRECT
from linnet.include.linux.in6 import IPV6_PMTUDISC_DONT
from linnet.include.linux.ipv6 import IPV6_HLEN, ipv6_daddr, ipv6_nexthdr, ipv6_saddr
from linnet.include.linux.skbuff import CHECKSUM_UNNECESSARY, SkBuff, __skb_pull
from linnet.include.linux.unaligned import get_be16
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_HDR_TRUNC,
    SKB_DROP_REASON_NO_SOCKET,
    SKB_DROP_REASON_PKT_TOO_SMALL,
)
from linnet.include.net.inet_sock import UdpSock
from linnet.include.net.ip6_fib import inet6_iif
from linnet.include.net.ipv6 import inet6_sk, ipv6_addr_is_multicast
from linnet.include.net.net_namespace import Net
from linnet.include.net.protocol import NetProtocol
from linnet.include.net.snmp import (
    ICMP6_INC_STATS,
    ICMP6_MIB_INERRORS,
    UDP6_INC_STATS,
    UDP_MIB_IGNOREDMULTI,
    UDP_MIB_INERRORS,
    UDP_MIB_NOPORTS,
)
from linnet.include.net.sock import Sock
from linnet.include.net.tcp_states import TCP_ESTABLISHED
from linnet.kernel.errno import ENOENT
from linnet.net.core.skbuff import consume_skb, kfree_skb_reason, pskb_may_pull, pskb_trim, skb_clone
from linnet.net.ipv4.udp_rcv import (
    UDP_HLEN,
    __udp_queue_rcv_skb,
    skb_net,
    udp_csum_error,
    udp_lib_checksum_complete,
    udp_short_checksum_wrong,
)
from linnet.net.ipv6.datagram import ipv6_icmp_error
from linnet.net.ipv6.exthdrs_core import ipv6_skip_exthdr
from linnet.net.ipv6.icmp import icmpv6_err_convert, icmpv6_send
from linnet.net.ipv6.ip6_output_local import ip6_sk_accept_pmtu
from linnet.net.ipv6.route_learn import ip6_sk_redirect, ip6_sk_update_pmtu
from linnet.net.ipv6.udp_lookup import (
    __udp6_lib_demux_lookup,
    __udp6_lib_lookup,
    __udp_v6_is_mcast_sock,
)

LINUX_FILE: Final = 'net/ipv6/udp.c'


class Udpv6Protocol(NetProtocol):
    """Linux: udpv6_protocol."""

    def handler(self, skb: SkBuff) -> i64:
        """See udpv6_rcv."""
        return udpv6_rcv(skb)

    def err_handler(self, skb: SkBuff, info: i64) -> int:
        """See udpv6_err."""
        return udpv6_err(skb, info)

    def early_demux(self, skb: SkBuff) -> None:
        """See udp_v6_early_demux."""
        udp_v6_early_demux(skb)


def udpv6_rcv(skb: SkBuff) -> i64:
    """Linux: net/ipv6/udp.c."""
    return __udp6_lib_rcv(skb)


def __udp6_lib_rcv(skb: SkBuff) -> i64:
    """A datagram with data at the UDP header; owns skb. Returns 0.  Linux: net/ipv6/udp.c."""
    net = skb_net(skb)
    if not pskb_may_pull(skb, UDP_HLEN):
        UDP6_INC_STATS(net, UDP_MIB_INERRORS)
        kfree_skb_reason(skb, SKB_DROP_REASON_HDR_TRUNC)
        return 0
    at = skb.data
    head = skb.head
    ulen = get_be16(head, at + 4)
    if ulen == 0:
        ulen = skb.len  # of a jumbogram (RFC 2675), in Linux also of any other
    if ulen > skb.len or ulen < UDP_HLEN:
        UDP6_INC_STATS(net, UDP_MIB_INERRORS)
        kfree_skb_reason(skb, SKB_DROP_REASON_PKT_TOO_SMALL)
        return 0
    if ulen < skb.len:
        pskb_trim(skb, ulen)
    skb.sport = get_be16(head, at)
    skb.dport = get_be16(head, at + 2)
    nocheck = get_be16(head, at + 6) == 0
    if not nocheck and udp_short_checksum_wrong(skb):
        return udp_csum_error(net, skb)
    known = skb.sk
    if known is not None and isinstance(known, UdpSock):  # early demux found it
        skb.sk = None
        if known.sk_rx_dst is not skb.dst:
            known.sk_rx_dst = skb.dst
        if nocheck and not known.no_check6_rx:
            return udp_csum_error(net, skb)
        return udp6_unicast_rcv_skb(known, skb, nocheck)
    if ipv6_addr_is_multicast(skb.daddr6):
        return __udp6_lib_mcast_deliver(net, skb, nocheck)
    sk = __udp6_lib_lookup(net, skb.saddr6, skb.sport, skb.daddr6, skb.dport, inet6_iif(skb))
    if sk is not None:
        if nocheck and not sk.no_check6_rx:
            return udp_csum_error(net, skb)
        return udp6_unicast_rcv_skb(sk, skb, nocheck)
    if nocheck or udp_lib_checksum_complete(skb):
        return udp_csum_error(net, skb)
    UDP6_INC_STATS(net, UDP_MIB_NOPORTS)
    icmpv6_send(skb, ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH, 0)
    kfree_skb_reason(skb, SKB_DROP_REASON_NO_SOCKET)
    return 0


def udp6_unicast_rcv_skb(sk: UdpSock, skb: SkBuff, nocheck: bool) -> i64:
    """A datagram for one socket; nocheck: without a checksum, which sk allows.  Linux: net/ipv6/udp.c."""
    if nocheck:
        skb.ip_summed = CHECKSUM_UNNECESSARY
    udpv6_queue_rcv_skb(sk, skb)
    return 0


def udpv6_queue_rcv_skb(sk: UdpSock, skb: SkBuff) -> int:
    """Queue skb on sk; owns skb. 0, or -1 where it was dropped.  Linux: net/ipv6/udp.c."""
    return udpv6_queue_rcv_one_skb(sk, skb)


def udpv6_queue_rcv_one_skb(sk: UdpSock, skb: SkBuff) -> int:
    """The header is done with: step over it, and queue the payload.  Linux: net/ipv6/udp.c."""
    skb.transport_header = skb.data
    __skb_pull(skb, UDP_HLEN)
    return __udp_queue_rcv_skb(sk, skb)


def __udp6_lib_mcast_deliver(net: Net, skb: SkBuff, nocheck: bool) -> i64:
    """A multicast: to every socket that fits, a clone each, and the packet itself to the last.  Linux: net/ipv6/udp.c."""
    dif = inet6_iif(skb)
    takers: list[UdpSock] = []
    chain: list[Sock] = net.ipv4.udp_table.get(int(skb.dport), [])
    for sk in chain:
        if (__udp_v6_is_mcast_sock(sk, skb.dport, skb.daddr6, skb.sport, skb.saddr6, dif) and isinstance(sk, UdpSock)
                and (sk.no_check6_rx or not nocheck)):
            takers.append(sk)
    if not takers:
        UDP6_INC_STATS(net, UDP_MIB_IGNOREDMULTI)
        consume_skb(skb)
        return 0
    if nocheck:
        skb.ip_summed = CHECKSUM_UNNECESSARY
    last = len(takers) - 1
    for i in range(last):
        udpv6_queue_rcv_skb(takers[i], skb_clone(skb))
    udpv6_queue_rcv_skb(takers[last], skb)
    return 0


def udp_v6_early_demux(skb: SkBuff) -> None:
    """A connected socket's datagram is recognised before routing, and brings its route along. data is at the IPv6 header.

    Linux: net/ipv6/udp.c.
    """
    at = skb.transport_header
    dev = skb.dev
    if dev is None or not pskb_may_pull(skb, at - skb.data + UDP_HLEN):
        return
    sport = get_be16(skb.head, at)
    sk = __udp6_lib_demux_lookup(dev.net, skb.daddr6, get_be16(skb.head, at + 2), skb.saddr6, sport, dev.ifindex)
    if sk is None:
        return
    skb.sk = sk
    dst = sk.sk_rx_dst
    if dst is not None and dst.check():
        skb.dst = dst


# --------------------------------------------------------------------------------------------------------------- errors

def udpv6_err(skb: SkBuff, info: i64) -> int:
    """Linux: net/ipv6/udp.c."""
    return __udp6_lib_err(skb, info)


def inner_offset(skb: SkBuff) -> i64:
    """Where in head the transport's header of the packet stands whose IPv6 header is at data; -1: it was not quoted that far."""
    at = skb.data
    if at + IPV6_HLEN > len(skb.head):
        return -1
    return ipv6_skip_exthdr(skb.head, at + IPV6_HLEN, ipv6_nexthdr(skb.head, at)).offset


def __udp6_lib_err(skb: SkBuff, info: i64) -> int:
    """An ICMPv6 error quotes a datagram of ours (data at the quoted IPv6 header): tell its socket. 0, or -ENOENT.

    Without IPV6_RECVERR only a connected socket hears, and only of what is final.
    Linux: net/ipv6/udp.c.
    """
    net = skb_net(skb)
    iph = skb.data
    uh = inner_offset(skb)
    if uh < 0 or uh + UDP_HLEN > len(skb.head):
        ICMP6_INC_STATS(net, ICMP6_MIB_INERRORS)
        return -ENOENT
    sport = get_be16(skb.head, uh)
    dport = get_be16(skb.head, uh + 2)
    sk = __udp6_lib_lookup(net, ipv6_daddr(skb.head, iph), dport, ipv6_saddr(skb.head, iph), sport, inet6_iif(skb))
    if sk is None:
        ICMP6_INC_STATS(net, ICMP6_MIB_INERRORS)
        return -ENOENT
    type = i64(skb.head[skb.transport_header])
    np = inet6_sk(sk)
    verdict = icmpv6_err_convert(type, i64(skb.head[skb.transport_header + 1]))
    err = verdict & 0xFFFF
    harderr = (verdict >> 16) != 0
    if type == ICMPV6_PKT_TOOBIG:
        if not ip6_sk_accept_pmtu(np):
            return 0
        ip6_sk_update_pmtu(skb, sk, info)
        if np.pmtudisc != IPV6_PMTUDISC_DONT:
            harderr = True
    elif type == NDISC_REDIRECT:
        ip6_sk_redirect(skb, sk)
        return 0
    if np.recverr:
        ipv6_icmp_error(sk, skb, err, dport, info, uh + UDP_HLEN)
    elif not harderr or sk.sk_state != TCP_ESTABLISHED:
        return 0
    sk.sk_err = err
    sk.sk_cb.error_report(sk)
    return 0
