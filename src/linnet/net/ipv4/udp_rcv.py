# SPDX-License-Identifier: Apache-2.0
"""UDP's way up (RFC 768): a datagram comes from IP, finds its socket, and is queued there; ICMP errors find the
sender's socket.

    udp_rcv > __udp4_lib_rcv > udp_unicast_rcv_skb > udp_queue_rcv_skb > __udp_enqueue_schedule_skb > sk_data_ready

The socket is not locked: the queue is UDP's own, and what the program has not read yet is charged to the receive
buffer by the packet's true size. A checksum that is still to be verified is verified when the program reads (or
polls), not here; that of a short datagram at once. Broadcasts and multicasts go to every socket that fits. Where
there is none the sender hears "port unreachable", which its connected socket reports as ECONNREFUSED.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.inet import IP_PMTUDISC_DONT, IPPROTO_UDP
from linnet.include.linux.ip import ip_daddr, ip_ihl, ip_saddr
from linnet.include.linux.skbuff import (
    CHECKSUM_PARTIAL,
    CHECKSUM_UNNECESSARY,
    SkBuff,
    __skb_pull,
    __skb_queue_tail,
)
from linnet.include.linux.unaligned import get_be16
from linnet.include.net.checksum import csum_tcpudp_magic
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_HDR_TRUNC,
    SKB_DROP_REASON_NO_SOCKET,
    SKB_DROP_REASON_PKT_TOO_SMALL,
    SKB_DROP_REASON_PROTO_MEM,
    SKB_DROP_REASON_SOCKET_RCVBUFF,
    SKB_DROP_REASON_UDP_CSUM,
)
from linnet.include.net.inet_sock import UdpSock
from linnet.include.net.ipv6 import csum_ipv6_magic
from linnet.include.net.net_namespace import Net
from linnet.include.net.protocol import NetProtocol
from linnet.include.net.route import RTCF_BROADCAST, RTCF_MULTICAST, Rtable
from linnet.include.net.snmp import (
    ICMP_MIB_INERRORS,
    NET_INC_STATS,
    UDP6_INC_STATS,
    UDP_MIB_IGNOREDMULTI,
    UDP_MIB_INCSUMERRORS,
    UDP_MIB_INERRORS,
    UDP_MIB_MEMERRORS,
    UDP_MIB_NOPORTS,
    UDP_MIB_RCVBUFERRORS,
)
from linnet.include.net.sock import SOCK_DEAD, Sock, sock_net
from linnet.include.net.tcp_states import TCP_ESTABLISHED
from linnet.include.trace.events.udp import trace_udp_fail_queue_rcv_skb
from linnet.kernel.errno import EHOSTUNREACH, EMSGSIZE, ENOBUFS, ENOENT, ENOMEM, EPROTO
from linnet.net.core.skbuff import consume_skb, kfree_skb_reason, pskb_may_pull, pskb_trim, skb_checksum, skb_clone
from linnet.net.core.sock import sk_rmem_schedule, skb_set_owner_r
from linnet.net.ipv4.icmp import icmp_err_convert, icmp_send
from linnet.net.ipv4.ip_sockglue import ip_icmp_error
from linnet.net.ipv4.route import ipv4_sk_redirect, ipv4_sk_update_pmtu
from linnet.net.ipv4.udp_lookup import (
    __udp4_lib_lookup,
    __udp_is_mcast_sock,
    udp_v4_early_demux_lookup,
)

LINUX_FILE: Final = 'net/ipv4/udp.c'

UDP_HLEN: Final = 8
CHECKSUM_BREAK: Final = 76
ICMP_DEST_UNREACH: Final = 3
ICMP_SOURCE_QUENCH: Final = 4
ICMP_REDIRECT: Final = 5
ICMP_TIME_EXCEEDED: Final = 11
ICMP_PARAMETERPROB: Final = 12
ICMP_PORT_UNREACH: Final = 3
ICMP_FRAG_NEEDED: Final = 4
NR_ICMP_UNREACH: Final = 15


class UdpProtocol(NetProtocol):
    """Linux: udp_protocol."""

    def handler(self, skb: SkBuff) -> i64:
        """See udp_rcv."""
        return udp_rcv(skb)

    def err_handler(self, skb: SkBuff, info: i64) -> int:
        """See udp_err."""
        return udp_err(skb, info)

    def early_demux(self, skb: SkBuff) -> None:
        """See udp_v4_early_demux."""
        udp_v4_early_demux(skb)


def udp_rcv(skb: SkBuff) -> i64:
    """Linux: net/ipv4/udp.c."""
    return __udp4_lib_rcv(skb)


def udp_skb_iif(skb: SkBuff) -> i64:
    """The interface index a datagram counts as received on.  Linux: include/net/ip.h, inet_iif."""
    rt = skb.dst
    if isinstance(rt, Rtable) and rt.rt_iif != 0:
        return rt.rt_iif
    dev = skb.dev
    return dev.ifindex if dev is not None else skb.skb_iif


def skb_net(skb: SkBuff) -> Net:
    """The host on which skb was received."""
    dev = skb.dev
    assert dev is not None
    return dev.net


def __udp4_lib_rcv(skb: SkBuff) -> i64:
    """A datagram with data at the UDP header; owns skb. Returns 0.  Linux: net/ipv4/udp.c."""
    net = skb_net(skb)
    if not pskb_may_pull(skb, UDP_HLEN):
        NET_INC_STATS(net, UDP_MIB_INERRORS)
        kfree_skb_reason(skb, SKB_DROP_REASON_HDR_TRUNC)
        return 0
    at = skb.data
    head = skb.head
    ulen = get_be16(head, at + 4)
    if ulen > skb.len or ulen < UDP_HLEN:
        NET_INC_STATS(net, UDP_MIB_INERRORS)
        kfree_skb_reason(skb, SKB_DROP_REASON_PKT_TOO_SMALL)
        return 0
    if ulen < skb.len:
        pskb_trim(skb, ulen)
    skb.sport = get_be16(head, at)
    skb.dport = get_be16(head, at + 2)
    if udp4_csum_init(skb):
        return udp_csum_error(net, skb)
    known = skb.sk
    if known is not None and isinstance(known, UdpSock):  # early demux found it
        skb.sk = None
        if known.sk_rx_dst is not skb.dst:
            known.sk_rx_dst = skb.dst
        return udp_unicast_rcv_skb(known, skb)
    rt = skb.dst
    if isinstance(rt, Rtable) and (rt.rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST)) != 0:
        return __udp4_lib_mcast_deliver(net, skb)
    sk = __udp4_lib_lookup(net, skb.saddr, skb.sport, skb.daddr, skb.dport, udp_skb_iif(skb))
    if sk is not None:
        return udp_unicast_rcv_skb(sk, skb)
    if udp_lib_checksum_complete(skb):
        return udp_csum_error(net, skb)
    NET_INC_STATS(net, UDP_MIB_NOPORTS)
    icmp_send(skb, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0)
    kfree_skb_reason(skb, SKB_DROP_REASON_NO_SOCKET)
    return 0


def UDPX_INC_STATS(net: Net, skb: SkBuff, field: i64) -> None:
    """Count one for a received datagram, with its own family's.  Linux: include/net/udp.h, by the socket's."""
    if skb.protocol == ETH_P_IPV6:
        UDP6_INC_STATS(net, field)
    else:
        NET_INC_STATS(net, field)


def udp4_csum_init(skb: SkBuff) -> bool:
    """Without a checksum (0) there is nothing to verify (RFC 768); True where it is wrong and the datagram short.

    Linux: net/ipv4/udp.c.
    """
    if get_be16(skb.head, skb.data + 6) == 0:
        skb.ip_summed = CHECKSUM_UNNECESSARY
    return udp_short_checksum_wrong(skb)


def udp_short_checksum_wrong(skb: SkBuff) -> bool:
    """A datagram of at most 76 bytes is verified at once, as that costs nothing.  Linux: __skb_checksum_validate_complete."""
    return skb.len <= CHECKSUM_BREAK and udp_lib_checksum_complete(skb)


def udp_csum_error(net: Net, skb: SkBuff) -> i64:
    """Drop a datagram whose checksum is wrong; 0.  Linux: csum_error of __udp4_lib_rcv and __udp6_lib_rcv."""
    UDPX_INC_STATS(net, skb, UDP_MIB_INCSUMERRORS)
    UDPX_INC_STATS(net, skb, UDP_MIB_INERRORS)
    kfree_skb_reason(skb, SKB_DROP_REASON_UDP_CSUM)
    return 0


def udp_lib_checksum_complete(skb: SkBuff) -> bool:
    """Is the checksum wrong? skb's header is at transport_header; it is verified once. Both families' datagrams.

    Linux: include/net/udp.h.
    """
    if skb.ip_summed == CHECKSUM_UNNECESSARY or skb.ip_summed == CHECKSUM_PARTIAL:
        return False
    back: i64 = skb.data - skb.transport_header
    skb.data -= back
    skb.len += back
    total = skb_checksum(skb, 0, skb.len, 0)
    if skb.protocol == ETH_P_IPV6:
        wrong = csum_ipv6_magic(skb.saddr6, skb.daddr6, skb.len, IPPROTO_UDP, total) != 0
    else:
        wrong = csum_tcpudp_magic(skb.saddr, skb.daddr, skb.len, IPPROTO_UDP, total) != 0
    skb.data += back
    skb.len -= back
    if not wrong:
        skb.ip_summed = CHECKSUM_UNNECESSARY
    return wrong


def udp_unicast_rcv_skb(sk: UdpSock, skb: SkBuff) -> i64:
    """A datagram for one socket.  Linux: net/ipv4/udp.c."""
    udp_queue_rcv_skb(sk, skb)
    return 0


def udp_queue_rcv_skb(sk: UdpSock, skb: SkBuff) -> int:
    """Queue skb on sk; owns skb. 0, or -1 where it was dropped.  Linux: net/ipv4/udp.c."""
    return udp_queue_rcv_one_skb(sk, skb)


def udp_queue_rcv_one_skb(sk: UdpSock, skb: SkBuff) -> int:
    """The header is done with: step over it, and queue the payload.  Linux: net/ipv4/udp.c."""
    skb.transport_header = skb.data
    __skb_pull(skb, UDP_HLEN)
    return __udp_queue_rcv_skb(sk, skb)


def __udp_queue_rcv_skb(sk: UdpSock, skb: SkBuff) -> int:
    """Queue, or count why not; both families' datagrams.  Linux: net/ipv4/udp.c, and net/ipv6/udp.c for itself."""
    rc = __udp_enqueue_schedule_skb(sk, skb)
    if rc == 0:
        return 0
    net = sock_net(sk)
    if rc == -ENOMEM:
        UDPX_INC_STATS(net, skb, UDP_MIB_RCVBUFERRORS)
        reason = SKB_DROP_REASON_SOCKET_RCVBUFF
    else:
        UDPX_INC_STATS(net, skb, UDP_MIB_MEMERRORS)
        reason = SKB_DROP_REASON_PROTO_MEM
    UDPX_INC_STATS(net, skb, UDP_MIB_INERRORS)
    trace_udp_fail_queue_rcv_skb(rc, sk)
    kfree_skb_reason(skb, reason)
    return -1


def __udp_enqueue_schedule_skb(sk: UdpSock, skb: SkBuff) -> int:
    """Charge skb to sk, queue it, wake the reader. 0, -ENOMEM (receive buffer full) or -ENOBUFS (UDP's memory is out).

    An empty queue takes one datagram of any size.
    Linux: net/ipv4/udp.c.
    """
    if sk.sk_rmem_alloc != 0 and sk.sk_rmem_alloc + skb.truesize > sk.sk_rcvbuf:
        sk.sk_drops += 1
        return -ENOMEM
    if not sk_rmem_schedule(sk, skb, skb.truesize):
        sk.sk_drops += 1
        return -ENOBUFS
    skb_set_owner_r(skb, sk)
    __skb_queue_tail(sk.sk_receive_queue, skb)
    if (sk.sk_flags & SOCK_DEAD) == 0:
        sk.sk_cb.data_ready(sk)
    return 0


def __udp4_lib_mcast_deliver(net: Net, skb: SkBuff) -> i64:
    """A broadcast or multicast: to every socket that fits, a clone each, and the packet itself to the last.

    Linux: net/ipv4/udp.c.
    """
    dif = udp_skb_iif(skb)
    takers: list[Sock] = []
    for sk in net.ipv4.udp_table.get(int(skb.dport), []):
        if __udp_is_mcast_sock(sk, skb.dport, skb.daddr, skb.sport, skb.saddr, dif):
            takers.append(sk)
    if not takers:
        NET_INC_STATS(net, UDP_MIB_IGNOREDMULTI)
        consume_skb(skb)
        return 0
    last = len(takers) - 1
    for i in range(last):
        other = takers[i]
        assert isinstance(other, UdpSock)
        udp_queue_rcv_skb(other, skb_clone(skb))
    final = takers[last]
    assert isinstance(final, UdpSock)
    udp_queue_rcv_skb(final, skb)
    return 0


def udp_v4_early_demux(skb: SkBuff) -> None:
    """A connected socket's datagram is recognised before routing, and brings its route along. data is at the IP header.

    Linux: net/ipv4/udp.c.
    """
    at = skb.transport_header
    dev = skb.dev
    if dev is None or not pskb_may_pull(skb, at - skb.data + UDP_HLEN):
        return
    sport = get_be16(skb.head, at)
    sk = udp_v4_early_demux_lookup(dev.net, skb.saddr, sport, skb.daddr, get_be16(skb.head, at + 2), dev.ifindex)
    if sk is None:
        return
    skb.sk = sk
    dst = sk.sk_rx_dst
    if dst is not None and dst.check():
        skb.dst = dst


# --------------------------------------------------------------------------------------------------------------- errors

def udp_err(skb: SkBuff, info: i64) -> int:
    """Linux: net/ipv4/udp.c."""
    return __udp4_lib_err(skb, info)


def __udp4_lib_err(skb: SkBuff, info: i64) -> int:
    """An ICMP error quotes a datagram of ours (data at the quoted IP header): tell its socket. 0, or -ENOENT.

    Without IP_RECVERR only a connected socket hears, and only of what is final.
    Linux: net/ipv4/udp.c.  RFC 1122, 4.1.3.3.
    """
    net = skb_net(skb)
    iph = skb.data
    uh = iph + ip_ihl(skb.head, iph)
    icmph = skb.transport_header
    type = i64(skb.head[icmph])
    code = i64(skb.head[icmph + 1])
    dport = get_be16(skb.head, uh + 2)
    sport = get_be16(skb.head, uh)
    sk = __udp4_lib_lookup(net, ip_daddr(skb.head, iph), dport, ip_saddr(skb.head, iph), sport, udp_skb_iif(skb))
    if sk is None:
        NET_INC_STATS(net, ICMP_MIB_INERRORS)
        return -ENOENT
    err: i64 = EHOSTUNREACH
    harderr = False
    if type == ICMP_SOURCE_QUENCH:
        return 0
    if type == ICMP_PARAMETERPROB:
        err = EPROTO
        harderr = True
    elif type == ICMP_REDIRECT:
        ipv4_sk_redirect(skb, sk)
        return 0
    elif type == ICMP_DEST_UNREACH:
        if code == ICMP_FRAG_NEEDED:
            ipv4_sk_update_pmtu(skb, sk, info)
            if sk.pmtudisc == IP_PMTUDISC_DONT:
                return 0
            err = EMSGSIZE
            harderr = True
        elif code <= NR_ICMP_UNREACH:
            verdict = icmp_err_convert(code)
            err = verdict & 0xFFFF
            harderr = (verdict >> 16) != 0
    if sk.recverr:
        ip_icmp_error(sk, skb, err, dport, info, uh + UDP_HLEN)
    elif not harderr or sk.sk_state != TCP_ESTABLISHED:
        return 0
    sk.sk_err = err
    sk.sk_cb.error_report(sk)
    return 0


