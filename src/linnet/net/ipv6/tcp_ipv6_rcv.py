# SPDX-License-Identifier: Apache-2.0
"""Where segments come in from IPv6; as net/ipv4/tcp_ipv4_rcv.py, which has what both families share.

A segment's family is that of its packet, not of its sock: a sock of AF_INET6 with a mapped peer gets IPv4's.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IP
from linnet.include.linux.inet import IPPROTO_TCP
from linnet.include.linux.ipv6 import IPV6_HLEN, ip6_flowinfo
from linnet.include.linux.skbuff import CHECKSUM_PARTIAL, CHECKSUM_UNNECESSARY, PACKET_HOST, SkBuff
from linnet.include.linux.unaligned import get_be32
from linnet.include.net.checksum import csum_fold
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_NO_SOCKET,
    SKB_DROP_REASON_OTHERHOST,
    SKB_DROP_REASON_PKT_TOO_SMALL,
    SKB_DROP_REASON_TCP_CSUM,
    SKB_DROP_REASON_TCP_MINTTL,
)
from linnet.include.net.inet_timewait_sock import InetTimewaitSock
from linnet.include.net.ip6_fib import inet6_iif
from linnet.include.net.ipv6 import csum_ipv6_nofold
from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import LINUX_MIB_TCPMINTTLDROP, NET_INC_STATS, TCP_MIB_INCSUMERRORS, TCP_MIB_INSEGS
from linnet.include.net.sock import Sock, sock_net
from linnet.include.net.tcp import TcpSock
from linnet.include.net.tcp_states import TCP_ESTABLISHED, TCP_LISTEN, TCP_NEW_SYN_RECV, TCP_TIME_WAIT
from linnet.include.trace.events.tcp import trace_tcp_bad_csum
from linnet.net.core.skbuff import kfree_skb_reason, pskb_may_pull, skb_checksum
from linnet.net.core.sock import sock_put
from linnet.net.ipv4.tcp_input import tcp_rcv_established
from linnet.net.ipv4.tcp_ipv4_md5 import tcp_md5_needed
from linnet.net.ipv4.tcp_ipv4_rcv import (
    SOCK_EDEMUX,
    TcpSegmentOps,
    tcp_add_backlog,
    tcp_bad_packet,
    tcp_do_rcv,
    tcp_inbound_hash_ok,
    tcp_rcv_request,
    tcp_rcv_time_wait,
    tcp_v4_do_rcv,
    tcp_v4_fill_cb,
)
from linnet.net.ipv6.inet6_hashtables import __inet6_lookup_established, __inet6_lookup_skb, inet6_lookup_listener
from linnet.net.ipv6.tcp_ipv6_reply import tcp_v6_send_reset, tcp_v6_timewait_ack

LINUX_FILE: Final = 'net/ipv6/tcp_ipv6.c'


class TcpV6SegmentOps(TcpSegmentOps):
    """IPv6's."""

    def lookup_listener(self, net: Net, skb: SkBuff) -> Sock | None:
        """See inet6_lookup_listener."""
        return inet6_lookup_listener(net, skb.saddr6, skb.sport, skb.daddr6, skb.dport, inet6_iif(skb))

    def rcv_sock(self, sk: Sock, skb: SkBuff) -> i64:
        """See tcp_v6_rcv_sock."""
        return tcp_v6_rcv_sock(sk, skb)

    def send_reset(self, sk: Sock | None, skb: SkBuff) -> None:
        """See tcp_v6_send_reset."""
        tcp_v6_send_reset(sk, skb)

    def timewait_ack(self, tw: InetTimewaitSock, skb: SkBuff) -> None:
        """See tcp_v6_timewait_ack."""
        tcp_v6_timewait_ack(tw, skb)


TCP_V6_SEGMENT_OPS: Final = TcpV6SegmentOps()


def tcp_v6_early_demux(skb: SkBuff) -> None:
    """Find skb's sock and the route it has cached, before the route is looked up.  Linux: net/ipv6/tcp_ipv6.c."""
    if skb.pkt_type != PACKET_HOST:
        return
    dev = skb.dev
    assert dev is not None
    th = skb.network_header + IPV6_HLEN
    if len(skb.head) < th + 20:
        return
    ports = get_be32(skb.head, th)
    sk = __inet6_lookup_established(dev.net, skb.saddr6, ports >> 16, skb.daddr6, ports & 0xFFFF, inet6_iif(skb))
    if sk is None:
        return
    skb.sk = sk
    skb.destructor = SOCK_EDEMUX
    dst = sk.sk_rx_dst
    if dst is not None and sk.sk_rx_dst_ifindex == skb.skb_iif and dst.check():
        skb.dst = dst


def tcp_v6_checksum_bad(skb: SkBuff) -> bool:
    """Is the checksum wrong? As tcp_v4_checksum_bad, with IPv6's pseudo header.  Linux: skb_checksum_init."""
    if skb.ip_summed == CHECKSUM_UNNECESSARY or skb.ip_summed == CHECKSUM_PARTIAL:
        return False
    pseudo = csum_ipv6_nofold(skb.saddr6, skb.daddr6, skb.len, IPPROTO_TCP, 0)
    if csum_fold(skb_checksum(skb, 0, skb.len, pseudo)) != 0:
        return True
    skb.ip_summed = CHECKSUM_UNNECESSARY
    return False


def tcp_v6_note_options(sk: TcpSock, skb: SkBuff) -> None:
    """Keep what getsockopt() tells of the packet that came last, and reflect its flow label where that is asked for.

    Part of Linux's tcp_v6_do_rcv, which keeps the packet itself (IPV6_2292PKTOPTIONS).
    """
    np = sk.pinet6
    if np is None or (np.rxopt == 0 and not np.repflow) or skb.network_header < 0:
        return
    np.mcast_oif = inet6_iif(skb)
    np.mcast_hops = skb.ttl
    np.rcv_flowinfo = ip6_flowinfo(skb.head, skb.network_header)
    if np.repflow:
        np.flow_label = np.rcv_flowinfo & 0xFFFFF


def tcp_v6_do_rcv(sk: Sock, skb: SkBuff) -> int:
    """A segment for a full sock or a listener that nobody works on; owns skb. IPv4's go their own way.

    Linux: net/ipv6/tcp_ipv6.c.
    """
    assert isinstance(sk, TcpSock)
    if skb.protocol == ETH_P_IP:
        return tcp_v4_do_rcv(sk, skb)
    tcp_v6_note_options(sk, skb)
    if sk.sk_state == TCP_ESTABLISHED:
        dst = sk.sk_rx_dst
        if dst is None:
            sk.icsk_af_ops.sk_rx_dst_set(sk, skb)
        elif sk.sk_rx_dst_ifindex != skb.skb_iif or not dst.check():
            sk.sk_rx_dst = None
        tcp_rcv_established(sk, skb)
        return 0
    return tcp_do_rcv(TCP_V6_SEGMENT_OPS, sk, skb)


def tcp_v6_rcv(skb: SkBuff) -> i64:
    """A segment from IPv6, its data at the TCP header; owns skb.  Linux: net/ipv6/tcp_ipv6.c."""
    dev = skb.dev
    assert dev is not None
    net = dev.net
    if skb.pkt_type != PACKET_HOST:
        kfree_skb_reason(skb, SKB_DROP_REASON_OTHERHOST)
        return 0
    NET_INC_STATS(net, TCP_MIB_INSEGS)
    if not pskb_may_pull(skb, 20):
        return tcp_bad_packet(net, skb, SKB_DROP_REASON_PKT_TOO_SMALL)
    doff = (i64(skb.head[skb.data + 12]) >> 4) << 2
    if doff < 20 or not pskb_may_pull(skb, doff):
        return tcp_bad_packet(net, skb, SKB_DROP_REASON_PKT_TOO_SMALL)
    tcp_v4_fill_cb(skb)
    if skb.ip_summed != CHECKSUM_UNNECESSARY and tcp_v6_checksum_bad(skb):
        NET_INC_STATS(net, TCP_MIB_INCSUMERRORS)
        trace_tcp_bad_csum(skb)
        return tcp_bad_packet(net, skb, SKB_DROP_REASON_TCP_CSUM)
    sk = __inet6_lookup_skb(net, skb, skb.sport, skb.dport)
    if sk is None:
        tcp_v6_send_reset(None, skb)
        kfree_skb_reason(skb, SKB_DROP_REASON_NO_SOCKET)
        return 0
    if sk.sk_state == TCP_TIME_WAIT:
        return tcp_rcv_time_wait(TCP_V6_SEGMENT_OPS, sk, skb)
    if tcp_md5_needed(net, skb) and not tcp_inbound_hash_ok(sk, skb):
        return 0
    if sk.sk_state == TCP_NEW_SYN_RECV:
        return tcp_rcv_request(TCP_V6_SEGMENT_OPS, sk, skb)
    return tcp_v6_rcv_sock(sk, skb)


def tcp_v6_rcv_sock(sk: Sock, skb: SkBuff) -> i64:
    """A segment for a full sock or a listener, whose reference goes. The `process` part of Linux's tcp_v6_rcv."""
    assert isinstance(sk, TcpSock)
    np = sk.pinet6
    if np is not None and np.min_hopcount != 0 and skb.ttl < np.min_hopcount:
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPMINTTLDROP)
        kfree_skb_reason(skb, SKB_DROP_REASON_TCP_MINTTL)
        sock_put(sk)
        return 0
    if sk.sk_state == TCP_LISTEN:
        tcp_v6_do_rcv(sk, skb)
        sock_put(sk)
        return 0
    segs = skb.gso_segs if skb.gso_segs > 1 else 1
    sk.segs_in += segs
    if skb.len > skb.tcp_doff:
        sk.data_segs_in += segs
    if not sk.sk_lock_owned:
        tcp_v6_do_rcv(sk, skb)
    else:
        tcp_add_backlog(sk, skb)
    sock_put(sk)
    return 0
