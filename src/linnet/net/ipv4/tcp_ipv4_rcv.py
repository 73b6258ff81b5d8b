# SPDX-License-Identifier: Apache-2.0
"""Where segments come in from IPv4: checked, their header read once into the skb, and given to their sock.

The sock is a TIME_WAIT sock, a request, a listener or a full sock; the last gets the segment at once or, while a program works
on it, into its backlog, whose bound is the receive and half the send buffer. Early demux finds the full sock, and the route
that it has cached, before routing. Segments for nobody are answered with a RST.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.inet import IPPROTO_TCP
from linnet.include.linux.ip import ip_ihl
from linnet.include.linux.skbuff import (
    CHECKSUM_PARTIAL,
    CHECKSUM_UNNECESSARY,
    MAX_SKB_FRAGS,
    PACKET_HOST,
    SIZEOF_SK_BUFF,
    SIZEOF_SKB_SHARED_INFO,
    SkbDestructor,
    SkbFrag,
    SkBuff,
    skb_headlen,
)
from linnet.include.linux.unaligned import get_be16, get_be32
from linnet.include.net.checksum import csum_fold, csum_tcpudp_nofold
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_NO_SOCKET,
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_DROP_REASON_OTHERHOST,
    SKB_DROP_REASON_PKT_TOO_SMALL,
    SKB_DROP_REASON_SOCKET_BACKLOG,
    SKB_DROP_REASON_TCP_CSUM,
    SKB_DROP_REASON_TCP_MINTTL,
)
from linnet.include.net.inet_timewait_sock import InetTimewaitSock
from linnet.include.net.net_namespace import Net
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.snmp import (
    LINUX_MIB_TCPBACKLOGCOALESCE,
    LINUX_MIB_TCPBACKLOGDROP,
    LINUX_MIB_TCPMINTTLDROP,
    NET_INC_STATS,
    TCP_MIB_INCSUMERRORS,
    TCP_MIB_INERRS,
    TCP_MIB_INSEGS,
)
from linnet.include.net.sock import Sock, sock_net
from linnet.include.net.tcp import (
    TCPHDR_ACK,
    TCPHDR_CWR,
    TCPHDR_ECE,
    TCPHDR_FIN,
    TCPHDR_PSH,
    TCPHDR_RST,
    TCPHDR_SYN,
    TCPHDR_URG,
    U32,
    TcpSock,
)
from linnet.include.net.tcp_states import TCP_ESTABLISHED, TCP_LISTEN, TCP_NEW_SYN_RECV, TCP_TIME_WAIT
from linnet.include.trace.events.tcp import trace_tcp_bad_csum
from linnet.net.core.request_sock import reqsk_put
from linnet.net.core.skbuff import consume_skb, kfree_skb_reason, pskb_may_pull, skb_checksum
from linnet.net.core.sock import sk_add_backlog, sock_put
from linnet.net.ipv4.inet_connection_sock import inet_csk_reqsk_queue_drop_and_put
from linnet.net.ipv4.inet_hashtables import (
    __inet_lookup_established,
    __inet_lookup_listener,
    __inet_lookup_skb,
    sock_gen_put,
)
from linnet.net.ipv4.inet_timewait_sock import inet_twsk_deschedule_put
from linnet.net.ipv4.tcp_input import tcp_rcv_established, tcp_rcv_state_process
from linnet.net.ipv4.tcp_ipv4_md5 import tcp_inbound_hash, tcp_md5_needed
from linnet.net.ipv4.tcp_ipv4_reply import tcp_v4_send_reset, tcp_v4_timewait_ack
from linnet.net.ipv4.tcp_minisocks import (
    TCP_TW_ACK,
    TCP_TW_RST,
    TCP_TW_SYN,
    tcp_child_process,
    tcp_timewait_state_process,
)
from linnet.net.ipv4.tcp_minisocks_req import tcp_check_req

LINUX_FILE: Final = 'net/ipv4/tcp_ipv4.c'


class TcpSegmentOps:
    """What a segment of one family calls for, where no sock of the family stands by: its listener, and answers."""

    def lookup_listener(self, net: Net, skb: SkBuff) -> Sock | None:
        """The listener that skb, a SYN for a TIME_WAIT sock, is for."""
        raise AssertionError('a segment has a family')

    def rcv_sock(self, sk: Sock, skb: SkBuff) -> i64:
        """Give skb to a full sock or a listener, whose reference goes."""
        raise AssertionError('a segment has a family')

    def send_reset(self, sk: Sock | None, skb: SkBuff) -> None:
        """Answer skb with a RST."""
        raise AssertionError('a segment has a family')

    def timewait_ack(self, tw: InetTimewaitSock, skb: SkBuff) -> None:
        """Answer skb with what the connection said last; the caller's reference goes."""
        raise AssertionError('a segment has a family')


def tcp_v4_lookup_listener(net: Net, skb: SkBuff) -> Sock | None:
    """The listener that skb is for. (In a class Python would mangle the name of what it calls.)"""
    return __inet_lookup_listener(net, skb.saddr, skb.sport, skb.daddr, skb.dport, skb.skb_iif)


class TcpV4SegmentOps(TcpSegmentOps):
    """IPv4's."""

    def lookup_listener(self, net: Net, skb: SkBuff) -> Sock | None:
        """See __inet_lookup_listener."""
        return tcp_v4_lookup_listener(net, skb)

    def rcv_sock(self, sk: Sock, skb: SkBuff) -> i64:
        """See tcp_v4_rcv_sock."""
        return tcp_v4_rcv_sock(sk, skb)

    def send_reset(self, sk: Sock | None, skb: SkBuff) -> None:
        """See tcp_v4_send_reset."""
        tcp_v4_send_reset(sk, skb)

    def timewait_ack(self, tw: InetTimewaitSock, skb: SkBuff) -> None:
        """See tcp_v4_timewait_ack."""
        tcp_v4_timewait_ack(tw, skb)


TCP_V4_SEGMENT_OPS: Final = TcpV4SegmentOps()


class SockEdemux(SkbDestructor):
    """skb->destructor = sock_edemux: the reference that early demux took."""

    def destruct(self, skb: SkBuff) -> None:
        """Drop it."""
        sk = skb.sk
        if sk is not None:
            sock_gen_put(sk)


SOCK_EDEMUX: Final = SockEdemux()


def tcp_v4_early_demux(skb: SkBuff) -> None:
    """Find skb's sock and the route it has cached, before the route is looked up.  Linux: net/ipv4/tcp_ipv4.c."""
    if skb.pkt_type != PACKET_HOST:
        return
    dev = skb.dev
    assert dev is not None
    th = skb.network_header + ip_ihl(skb.head, skb.network_header)
    if len(skb.head) < th + 20:
        return
    ports = get_be32(skb.head, th)
    sk = __inet_lookup_established(dev.net, skb.saddr, ports >> 16, skb.daddr, ports & 0xFFFF, skb.skb_iif)
    if sk is None:
        return
    skb.sk = sk
    skb.destructor = SOCK_EDEMUX
    dst = sk.sk_rx_dst
    if dst is not None and sk.sk_rx_dst_ifindex == skb.skb_iif and dst.check():
        skb.dst = dst


def tcp_v4_fill_cb(skb: SkBuff) -> None:
    """Read the header at skb's data into the skb: sequence numbers, flags, window.  Linux: net/ipv4/tcp_ipv4.c."""
    head = skb.head
    th = skb.data
    skb.transport_header = th
    ports = get_be32(head, th)
    skb.sport = ports >> 16
    skb.dport = ports & 0xFFFF
    seq = get_be32(head, th + 4)
    skb.seq = seq
    skb.ack_seq = get_be32(head, th + 8)
    word = get_be32(head, th + 12)
    doff = (word >> 28) << 2
    flags = (word >> 16) & 0xFF
    skb.tcp_doff = doff
    skb.tcp_flags = flags
    skb.window = word & 0xFFFF
    skb.urg_ptr = get_be16(head, th + 18)
    end_seq = seq + skb.len - doff
    if (flags & (TCPHDR_SYN | TCPHDR_FIN)) != 0:
        if (flags & TCPHDR_SYN) != 0:
            end_seq += 1
        if (flags & TCPHDR_FIN) != 0:
            end_seq += 1
    skb.end_seq = end_seq & U32
    skb.tcp_tw_isn = 0
    skb.sacked = 0


def tcp_v4_checksum_bad(skb: SkBuff) -> bool:
    """Is the checksum wrong? Segments of this machine (CHECKSUM_PARTIAL) and those a device has verified are good.

    Linux: skb_checksum_init with inet_compute_pseudo.
    """
    if skb.ip_summed == CHECKSUM_UNNECESSARY or skb.ip_summed == CHECKSUM_PARTIAL:
        return False
    pseudo = csum_tcpudp_nofold(skb.saddr, skb.daddr, skb.len, IPPROTO_TCP, 0)
    if csum_fold(skb_checksum(skb, 0, skb.len, pseudo)) != 0:
        return True
    skb.ip_summed = CHECKSUM_UNNECESSARY
    return False


def tcp_backlog_coalesce(sk: TcpSock, tail: SkBuff, skb: SkBuff) -> bool:
    """Merge skb into the last segment of the backlog, which it follows and equals but for data and ACK: one to process, not two.

    Part of Linux's tcp_add_backlog.  Timestamps change only by the millisecond, so in bursts they are equal too.
    """
    flags = skb.tcp_flags
    if (tail.end_seq != skb.seq or tail.tos != skb.tos or tail.users != 1
            or ((tail.tcp_flags | flags) & (TCPHDR_SYN | TCPHDR_RST | TCPHDR_URG)) != 0
            or (tail.tcp_flags & flags & TCPHDR_ACK) == 0
            or ((tail.tcp_flags ^ flags) & (TCPHDR_ECE | TCPHDR_CWR)) != 0
            or (tail.tcp_flags & TCPHDR_FIN) != 0
            or tail.tcp_doff != skb.tcp_doff):
        return False
    doff = skb.tcp_doff
    at = skb.transport_header
    tail_at = tail.transport_header
    if skb.head[at + 20:at + doff] != tail.head[tail_at + 20:tail_at + doff]:
        return False
    more = skb.len - doff
    # the larger one's segment size, for the estimate of the peer's MSS
    size = skb.gso_size if skb.gso_size != 0 else more
    tail_size = tail.gso_size if tail.gso_size != 0 else tail.len - doff
    if more > 0:
        frags = tail.frags
        if len(frags) + len(skb.frags) >= MAX_SKB_FRAGS:
            return False
        linear = skb_headlen(skb) - doff
        if linear > 0:
            frags.append(SkbFrag(skb.head, skb.data + doff, linear))
        frags.extend(skb.frags)
        tail.len += more
        tail.data_len += more
        delta = skb.truesize - SIZEOF_SK_BUFF - SIZEOF_SKB_SHARED_INFO
        if delta < more:
            delta = more
        tail.truesize += delta
        sk.sk_backlog_len += delta
    tail.end_seq = skb.end_seq
    if ((skb.ack_seq - tail.ack_seq) & 0x80000000) == 0:
        tail.ack_seq = skb.ack_seq
        tail.window = skb.window
    tail.tcp_flags |= flags & (TCPHDR_FIN | TCPHDR_PSH)
    tail.gso_segs = (tail.gso_segs if tail.gso_segs > 1 else 1) + (skb.gso_segs if skb.gso_segs > 1 else 1)
    tail.gso_size = size if size > tail_size else tail_size
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPBACKLOGCOALESCE)
    consume_skb(skb)
    return True


def tcp_add_backlog(sk: TcpSock, skb: SkBuff) -> bool:
    """Let skb wait until the program lets go of sk. True: no room, it was dropped.  Linux: net/ipv4/tcp_ipv4.c."""
    skb.dst = None  # the route may have gone when its turn comes
    tail = sk.sk_backlog.prev
    if tail is not None and tcp_backlog_coalesce(sk, tail, skb):
        return False
    limit = sk.sk_rcvbuf + (sk.sk_sndbuf >> 1) + 64 * 1024
    if sk_add_backlog(sk, skb, limit) != 0:
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPBACKLOGDROP)
        kfree_skb_reason(skb, SKB_DROP_REASON_SOCKET_BACKLOG)
        return True
    return False


def tcp_cookie_check(sk: TcpSock, skb: SkBuff) -> Sock | None:
    """Does the segment bring a SYN cookie back? See cookie_v4_check.

    Linux: net/ipv4/tcp_ipv4.c, tcp_v4_cookie_check; net/ipv6/tcp_ipv6.c, tcp_v6_cookie_check.
    """
    return sk.icsk_af_ops.cookie_check(sk, skb)


def tcp_v4_do_rcv(sk: Sock, skb: SkBuff) -> int:
    """A segment for a full sock or a listener that nobody works on; owns skb.  Linux: net/ipv4/tcp_ipv4.c."""
    assert isinstance(sk, TcpSock)
    if sk.sk_state == TCP_ESTABLISHED:
        dst = sk.sk_rx_dst
        if dst is None:
            sk.icsk_af_ops.sk_rx_dst_set(sk, skb)
        elif sk.sk_rx_dst_ifindex != skb.skb_iif or not dst.check():
            sk.sk_rx_dst = None
        tcp_rcv_established(sk, skb)
        return 0
    return tcp_do_rcv(TCP_V4_SEGMENT_OPS, sk, skb)


def tcp_do_rcv(ops: TcpSegmentOps, sk: TcpSock, skb: SkBuff) -> int:
    """A segment for a sock that is not established. The part of tcp_v4_do_rcv that IPv6's shares."""
    if sk.sk_state == TCP_LISTEN and (skb.tcp_flags & TCPHDR_SYN) == 0:
        nsk = tcp_cookie_check(sk, skb)
        if nsk is None:
            kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED)
            return 0
        if nsk is not sk:
            assert isinstance(nsk, TcpSock)
            refused = tcp_child_process(sk, nsk, skb)
            if refused != 0:
                ops.send_reset(nsk, skb)
                kfree_skb_reason(skb, int(refused))
            return 0
    reason = tcp_rcv_state_process(sk, skb)
    if reason != 0:
        ops.send_reset(sk, skb)
        kfree_skb_reason(skb, int(reason))
    return 0


def tcp_bad_packet(net: Net, skb: SkBuff, reason: i64) -> i64:
    """A segment that is none: count and drop it."""
    NET_INC_STATS(net, TCP_MIB_INERRS)
    kfree_skb_reason(skb, int(reason))
    return 0


def tcp_inbound_hash_ok(sk: Sock, skb: SkBuff) -> bool:
    """Is skb signed as it should be? If not, skb and the reference of sk go."""
    owner = sk.rsk_listener if isinstance(sk, RequestSock) else sk
    if not isinstance(owner, TcpSock):
        return True
    reason = tcp_inbound_hash(owner, skb)
    if reason == 0:
        return True
    sk.sk_drops += 1
    kfree_skb_reason(skb, reason)
    if isinstance(sk, RequestSock):
        reqsk_put(sk)
    else:
        sock_put(sk)
    return False


def tcp_v4_rcv(skb: SkBuff) -> i64:
    """A segment from IP, its data at the TCP header; owns skb.  Linux: net/ipv4/tcp_ipv4.c."""
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
    if skb.ip_summed != CHECKSUM_UNNECESSARY and tcp_v4_checksum_bad(skb):
        NET_INC_STATS(net, TCP_MIB_INCSUMERRORS)
        trace_tcp_bad_csum(skb)
        return tcp_bad_packet(net, skb, SKB_DROP_REASON_TCP_CSUM)
    sk = __inet_lookup_skb(net, skb, skb.sport, skb.dport)
    if sk is None:
        tcp_v4_send_reset(None, skb)
        kfree_skb_reason(skb, SKB_DROP_REASON_NO_SOCKET)
        return 0
    if sk.sk_state == TCP_TIME_WAIT:
        return tcp_rcv_time_wait(TCP_V4_SEGMENT_OPS, sk, skb)
    if tcp_md5_needed(net, skb) and not tcp_inbound_hash_ok(sk, skb):
        return 0
    if sk.sk_state == TCP_NEW_SYN_RECV:
        return tcp_rcv_request(TCP_V4_SEGMENT_OPS, sk, skb)
    return tcp_v4_rcv_sock(sk, skb)


def tcp_v4_rcv_sock(sk: Sock, skb: SkBuff) -> i64:
    """A segment for a full sock or a listener, whose reference goes. The `process` part of Linux's tcp_v4_rcv."""
    assert isinstance(sk, TcpSock)
    if sk.min_ttl != 0 and skb.ttl < sk.min_ttl:
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPMINTTLDROP)
        kfree_skb_reason(skb, SKB_DROP_REASON_TCP_MINTTL)
        sock_put(sk)
        return 0
    if sk.sk_state == TCP_LISTEN:
        tcp_v4_do_rcv(sk, skb)
        sock_put(sk)
        return 0
    segs = skb.gso_segs if skb.gso_segs > 1 else 1
    sk.segs_in += segs
    if skb.len > skb.tcp_doff:
        sk.data_segs_in += segs
    if not sk.sk_lock_owned:
        tcp_v4_do_rcv(sk, skb)
    else:
        tcp_add_backlog(sk, skb)
    sock_put(sk)
    return 0


def tcp_rcv_request(ops: TcpSegmentOps, req: Sock, skb: SkBuff) -> i64:
    """A segment for a handshake in progress, whose reference goes. Part of Linux's tcp_v4_rcv and tcp_v6_rcv."""
    assert isinstance(req, RequestSock)
    sk = req.rsk_listener
    assert isinstance(sk, TcpSock)
    if sk.sk_state != TCP_LISTEN:
        inet_csk_reqsk_queue_drop_and_put(sk, req)
        ops.send_reset(None, skb)
        kfree_skb_reason(skb, SKB_DROP_REASON_NO_SOCKET)
        return 0
    sk.sk_refcnt += 1
    nsk = tcp_check_req(sk, skb, req, False)
    if nsk is None:
        reqsk_put(req)
        kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED)
        sock_put(sk)
        return 0
    if nsk is sk:
        reqsk_put(req)
        return ops.rcv_sock(sk, skb)
    # the request's reference has gone to the accept queue
    assert isinstance(nsk, TcpSock)
    reason = tcp_child_process(sk, nsk, skb)
    if reason != 0:
        ops.send_reset(nsk, skb)
        kfree_skb_reason(skb, int(reason))
    sock_put(sk)
    return 0


def tcp_rcv_time_wait(ops: TcpSegmentOps, sk: Sock, skb: SkBuff) -> i64:
    """A segment for a TIME_WAIT sock, whose reference goes. The do_time_wait part of Linux's tcp_v4_rcv and tcp_v6_rcv."""
    assert isinstance(sk, InetTimewaitSock)
    verdict = tcp_timewait_state_process(sk, skb)
    if verdict == TCP_TW_SYN:
        listener = ops.lookup_listener(sock_net(sk), skb)
        if listener is not None:
            inet_twsk_deschedule_put(sk)
            listener.sk_refcnt += 1
            return ops.rcv_sock(listener, skb)
        verdict = TCP_TW_ACK  # nobody listens there now
    if verdict == TCP_TW_ACK:
        ops.timewait_ack(sk, skb)
    elif verdict == TCP_TW_RST:
        ops.send_reset(sk, skb)
        inet_twsk_deschedule_put(sk)
    consume_skb(skb)
    return 0


