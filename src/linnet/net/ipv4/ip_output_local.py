# SPDX-License-Identifier: Apache-2.0
"""From a transport to the route: the IP header is built, LOCAL_OUT hooks run, and the packet goes on along its dst_entry.

    ip_queue_xmit (a connected socket) > ip_local_out > ip_local_out_sk > __ip_local_out > nf_hook > dst_output_sk > ip_output

This is the lower half of Linux's ip_output.c: ICMP builds its messages by it, and the upper half (ip_output.py: fragmentation,
the way to the neighbour) sends ICMP errors. ip_output.py hands these functions on under its own name.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IP
from linnet.include.linux.inet import (
    IP_PMTUDISC_DO,
    IP_PMTUDISC_INTERFACE,
    IP_PMTUDISC_PROBE,
    IP_PMTUDISC_WANT,
)
from linnet.include.linux.ip import IP_DF, IPSKB_FORWARDED, ip_ihl, iphdr_build
from linnet.include.linux.netfilter import NF_INET_LOCAL_OUT, NFPROTO_IPV4, nf_hook
from linnet.include.linux.skbuff import SkBuff, skb_push
from linnet.include.linux.unaligned import get_be16
from linnet.include.net.checksum import csum_fold, csum_partial
from linnet.include.net.dropreason import SKB_DROP_REASON_IP_OUTNOROUTES
from linnet.include.net.dst import RTAX_HOPLIMIT, RTAX_MTU, DstEntry, dst_metric_locked, dst_output_sk
from linnet.include.net.flow import Flowi4
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.net_namespace import Net
from linnet.include.net.route import IP_MAX_MTU, Rtable
from linnet.include.net.snmp import IPSTATS_MIB_OUTNOROUTES, IPSTATS_MIB_OUTREQUESTS, NET_INC_STATS
from linnet.include.net.sock import Sock, sock_net
from linnet.include.net.tcp_states import TCP_CLOSE
from linnet.kernel.errno import EHOSTUNREACH
from linnet.net.core.skbuff import kfree_skb_reason
from linnet.net.core.sock import __sk_dst_check, sk_setup_caps
from linnet.net.ipv4.ip_options import ip_options_build, ip_options_faddr
from linnet.net.ipv4.route import ip_route_output_ports

LINUX_FILE: Final = 'net/ipv4/ip_output.c'


def ip_send_check(skb: SkBuff) -> None:
    """Compute the header checksum anew, from the network header on.  Linux: net/ipv4/ip_output.c."""
    head = skb.head
    at = skb.network_header
    ihl = ip_ihl(head, at)
    if get_be16(head, at + 10) != 0:
        bare = head[at:at + 10] + b'\0\0' + head[at + 12:at + ihl]
    else:
        bare = head[at:at + ihl]
    check = int(csum_fold(csum_partial(bare, 0)))
    skb.head = head[:at + 10] + check.to_bytes(2, 'big') + head[at + 12:]


def ip_sk_accept_pmtu(inet: InetSock) -> bool:
    """Does this socket believe what ICMP says of the path MTU?  Linux: include/net/ip.h."""
    return inet.pmtudisc != IP_PMTUDISC_INTERFACE and inet.pmtudisc != 5  # IP_PMTUDISC_OMIT


def ip_sk_ignore_df(inet: InetSock) -> bool:
    """May its packets be fragmented here although DF is set?  Linux: include/net/ip.h."""
    return inet.pmtudisc < IP_PMTUDISC_DO or inet.pmtudisc == 5


def ip_dont_fragment(inet: InetSock, dst: DstEntry) -> bool:
    """Is DF to be set?  Linux: include/net/ip.h."""
    pmtudisc = inet.pmtudisc
    if pmtudisc == IP_PMTUDISC_DO:
        return True
    if pmtudisc != IP_PMTUDISC_WANT:
        return False
    if isinstance(dst, Rtable) and dst.rt_mtu_locked:
        return False
    return not dst_metric_locked(dst, RTAX_MTU)


def ip_dst_mtu_maybe_forward(dst: DstEntry, forwarding: bool) -> i64:
    """The MTU along dst; a router does not heed what it learnt itself (it could be lied to).  Linux: include/net/ip.h."""
    if not forwarding or dst.dev.net.ipv4.sysctl_ip_fwd_use_pmtu != 0 or dst_metric_locked(dst, RTAX_MTU):
        return dst.mtu()
    mtu: i64 = dst.metrics[RTAX_MTU]
    if mtu != 0:
        return mtu
    mtu = dst.dev.mtu
    return mtu if mtu < IP_MAX_MTU else IP_MAX_MTU


def ip_skb_dst_mtu(sk: Sock | None, skb: SkBuff) -> i64:
    """How large a packet may leave along skb's route.  Linux: include/net/ip.h."""
    dst = skb.dst
    assert dst is not None
    if sk is None or not isinstance(sk, InetSock) or sk.pmtudisc < IP_PMTUDISC_PROBE:
        return ip_dst_mtu_maybe_forward(dst, (skb.ip_flags & IPSKB_FORWARDED) != 0)
    mtu = dst.dev.mtu
    return mtu if mtu < IP_MAX_MTU else IP_MAX_MTU


def ip4_dst_hoplimit(dst: DstEntry) -> i64:
    """The TTL of new packets along dst.  Linux: include/net/route.h."""
    limit: i64 = dst.metrics[RTAX_HOPLIMIT]
    return limit if limit != 0 else dst.dev.net.ipv4.sysctl_ip_default_ttl


def ip_select_ttl(inet: InetSock, dst: DstEntry) -> i64:
    """The TTL of a unicast packet of this socket.  Linux: net/ipv4/ip_output.c."""
    ttl = inet.uc_ttl
    return ttl if ttl >= 0 else ip4_dst_hoplimit(dst)


def ip_select_ident(net: Net, sk: Sock | None, daddr: i64, df: bool) -> i64:
    """The identification of one packet: a connected socket counts its own; what cannot be fragmented needs none (RFC 6864).

    The rest draw from the host's counter, which starts at random.  Linux: include/net/ip.h; there it is one of many counters,
    chosen by a keyed hash of the addresses.
    """
    if isinstance(sk, InetSock) and sk.sk_daddr != 0 and sk.sk_state != TCP_CLOSE:
        ident = sk.inet_id
        sk.inet_id = (ident + 1) & 0xFFFF
        return ident
    return 0 if df else __ip_select_ident(net, 1)


def __ip_select_ident(net: Net, segs: i64) -> i64:
    """The host's own count of identifications.  Linux: net/ipv4/route.c."""
    ident = net.ipv4.ip_ident
    net.ipv4.ip_ident = (ident + segs) & 0xFFFF
    return ident


def __ip_local_out(sk: Sock | None, skb: SkBuff) -> i64:
    """Complete the header of a packet that begins here, and let the LOCAL_OUT hooks see it. 1: go on.

    Linux: net/ipv4/ip_output.c; the length is in the header already, and so is its checksum, unless a super-segment needs it
    anew.
    """
    dst = skb.dst
    assert dst is not None
    net = dst.dev.net
    NET_INC_STATS(net, IPSTATS_MIB_OUTREQUESTS)
    skb.protocol = ETH_P_IP
    return nf_hook(NFPROTO_IPV4, NF_INET_LOCAL_OUT, net, sk, skb, None, dst.dev)


def ip_local_out_sk(sk: Sock | None, skb: SkBuff) -> i64:
    """Send a packet with a complete IP header along its route.  Linux: net/ipv4/ip_output.c."""
    err = __ip_local_out(sk, skb)
    if err == 1:
        err = dst_output_sk(sk, skb)
    return err


def ip_local_out(skb: SkBuff) -> i64:
    """The same for the socket that owns skb. 0, NET_XMIT_*, or a negative errno.  Linux: net/ipv4/ip_output.c."""
    return ip_local_out_sk(skb.sk, skb)


def ip_queue_xmit(sk: Sock, skb: SkBuff, fl4: Flowi4) -> i64:
    """Send a segment of a connected socket: find its route (cached on the socket while that is valid), build the header.

    fl4 is the socket's flow, filled when it connected. 0, NET_XMIT_*, or a negative errno; skb is owned.
    Linux: net/ipv4/ip_output.c.
    """
    assert isinstance(sk, InetSock)
    opt = sk.inet_opt
    dst = skb.dst
    if not isinstance(dst, Rtable):
        dst = __sk_dst_check(sk, 0)
        if dst is None:
            daddr = sk.sk_daddr
            net = sock_net(sk)
            if len(opt) != 0:
                first = ip_options_faddr(net, opt)
                if first != 0:
                    daddr = first
            dst = ip_route_output_ports(net, fl4, sk, daddr, sk.inet_saddr, sk.sk_dport, sk.inet_sport, sk.sk_protocol,
                                        sk.tos & 0x1C, sk.sk_bound_dev_if)
            if dst is None:
                NET_INC_STATS(net, IPSTATS_MIB_OUTNOROUTES)
                kfree_skb_reason(skb, SKB_DROP_REASON_IP_OUTNOROUTES)
                return -EHOSTUNREACH
            sk_setup_caps(sk, dst)
        skb.dst = dst
    assert isinstance(dst, Rtable)
    if len(opt) != 0:
        return _queue_xmit_options(sk, skb, fl4, dst)
    df: i64 = IP_DF if not skb.ignore_df and ip_dont_fragment(sk, dst) else 0
    segs = skb.gso_segs if skb.gso_segs != 0 else 1
    ident = sk.inet_id
    sk.inet_id = (ident + segs) & 0xFFFF
    ttl = sk.uc_ttl
    if ttl < 0:
        ttl = ip4_dst_hoplimit(dst)
    tos = sk.tos
    length = skb.len + 20
    skb_push(skb, iphdr_build(tos, length, ident, df, ttl, sk.sk_protocol, fl4.saddr, fl4.daddr))
    skb.network_header = skb.data
    skb.saddr = fl4.saddr
    skb.daddr = fl4.daddr
    skb.tos = tos
    skb.ttl = ttl
    skb.ip_protocol = sk.sk_protocol
    skb.priority = sk.sk_priority
    skb.mark = sk.sk_mark
    return ip_local_out(skb)


def _queue_xmit_options(sk: InetSock, skb: SkBuff, fl4: Flowi4, rt: Rtable) -> i64:
    """ip_queue_xmit's rest for a socket with IP options."""
    net = sock_net(sk)
    opt = sk.inet_opt
    if _is_strict(opt) and rt.rt_uses_gateway:
        NET_INC_STATS(net, IPSTATS_MIB_OUTNOROUTES)
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_OUTNOROUTES)
        return -EHOSTUNREACH
    df: i64 = IP_DF if ip_dont_fragment(sk, rt) and not skb.ignore_df else 0
    segs = skb.gso_segs if skb.gso_segs != 0 else 1
    ident = sk.inet_id
    sk.inet_id = (ident + segs) & 0xFFFF
    ip_push_header(skb, sk.tos, ident, df, ip_select_ttl(sk, rt), sk.sk_protocol, fl4.saddr, fl4.daddr, opt, sk.sk_daddr)
    skb.priority = sk.sk_priority
    skb.mark = sk.sk_mark
    return ip_local_out(skb)


def _is_strict(opt: bytes) -> bool:
    """Does a strict source route stand in these options? Then the first hop must be a neighbour."""
    at = 0
    while at < len(opt):
        if opt[at] == 137:  # IPOPT_SSRR
            return True
        if opt[at] == 0:
            return False
        at += 1 if opt[at] == 1 else max(opt[at + 1], 2)
    return False


def ip_push_header(skb: SkBuff, tos: i64, ident: i64, frag_off: i64, ttl: i64, protocol: i64, saddr: i64, daddr: i64, opt: bytes,
                   final_daddr: i64) -> None:
    """Build the IP header (with options opt, source-routed to final_daddr) in front of skb, and note its fields."""
    options = b''
    if len(opt) != 0:
        dst = skb.dst
        assert dst is not None
        options = ip_options_build(dst.dev.net, opt, final_daddr, saddr)
    skb_push(skb, iphdr_build(tos, skb.len + 20 + len(options), ident, frag_off, ttl, protocol, saddr, daddr, options))
    skb.network_header = skb.data
    skb.saddr = saddr
    skb.daddr = daddr
    skb.tos = tos
    skb.ttl = ttl
    skb.ip_protocol = protocol
    skb.ip_opt = options


def ip_build_and_send_pkt(skb: SkBuff, sk: Sock, saddr: i64, daddr: i64, opt: bytes, tos: i64 = -1) -> i64:
    """Send a packet that no connection owns yet (a SYN-ACK; its route is on skb). tos -1: the socket's.

    Linux: net/ipv4/ip_output.c.
    """
    assert isinstance(sk, InetSock)
    rt = skb.dst
    assert isinstance(rt, Rtable)
    net = sock_net(sk)
    frag_off: i64 = 0
    ident: i64 = 0
    if ip_dont_fragment(sk, rt):
        frag_off = IP_DF
    else:
        ident = __ip_select_ident(net, 1)
    if tos < 0:
        tos = sk.tos
    first = daddr
    if len(opt) != 0:
        hop = ip_options_faddr(net, opt)
        if hop != 0:
            first = hop
    ip_push_header(skb, tos, ident, frag_off, ip_select_ttl(sk, rt), sk.sk_protocol, saddr, first, opt, daddr)
    skb.priority = sk.sk_priority
    if skb.mark == 0:
        skb.mark = sk.sk_mark
    return ip_local_out_sk(sk, skb)
