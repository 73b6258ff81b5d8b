# SPDX-License-Identifier: Apache-2.0
"""The way out, its upper half: from the route to the neighbour, with the POST_ROUTING hooks and fragmentation in between.

    dst_output_sk > ip_output > ip_finish_output > (ip_fragment) > ip_finish_output2 > dst_neigh_output > dev_queue_xmit

A super-segment passes whole while each of the pieces it will be cut into fits the path MTU. A packet that does not fit is
fragmented (RFC 791, 2.3), or, with DF set, dropped and reported (RFC 1191). A datagram that was cut as it was built
(ip_output_append.py) gets its pieces back here without a copy. ip_queue_xmit and the rest of Linux's ip_output.c stand in
ip_output_local.py and ip_output_append.py, and can be imported from here too.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.icmp import ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED
from linnet.include.linux.inet import IPPROTO_TCP
from linnet.include.linux.ip import (
    IP_DF,
    IP_MF,
    IP_OFFSET,
    IPSKB_FORWARDED,
    IPSKB_FRAG_COMPLETE,
    IPSKB_FRAG_PMTU,
    IPSKB_REROUTED,
    ip_frag_off,
    ip_id,
    ip_ihl,
    ip_protocol,
    ip_tos,
    ip_ttl,
    iphdr_build,
)
from linnet.include.linux.netdevice import NETIF_F_GSO, NETIF_F_TSO, NETIF_F_TSO6, NETIF_F_TSO_ECN
from linnet.include.linux.netfilter import NF_INET_POST_ROUTING, NFPROTO_IPV4, nf_hook
from linnet.include.linux.skbuff import (
    CHECKSUM_NONE,
    CHECKSUM_PARTIAL,
    CHECKSUM_UNNECESSARY,
    PACKET_LOOPBACK,
    SkBuff,
)
from linnet.include.net.checksum import csum_partial, csum_tcpudp_magic
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_NEIGH_CREATEFAIL,
    SKB_DROP_REASON_PKT_TOO_BIG,
    SKB_DROP_REASON_SKB_GSO_SEG,
)
from linnet.include.net.dst import DstOutput, dst_neigh_output
from linnet.include.net.flow import Flowi4, flowi4_init_output
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.ip_fib import RTN_BROADCAST, RTN_MULTICAST
from linnet.include.net.net_namespace import Net
from linnet.include.net.route import RTCF_BROADCAST, RTCF_LOCAL, RTCF_MULTICAST, Rtable
from linnet.include.net.snmp import (
    IPSTATS_MIB_FRAGCREATES,
    IPSTATS_MIB_FRAGFAILS,
    IPSTATS_MIB_FRAGOKS,
    IPSTATS_MIB_OUTBCASTOCTETS,
    IPSTATS_MIB_OUTBCASTPKTS,
    IPSTATS_MIB_OUTMCASTOCTETS,
    IPSTATS_MIB_OUTMCASTPKTS,
    IPSTATS_MIB_OUTOCTETS,
    IPSTATS_MIB_OUTTRANSMITS,
    NET_ADD_STATS,
    NET_INC_STATS,
)
from linnet.include.net.sock import Sock
from linnet.kernel.errno import EINVAL, EMSGSIZE
from linnet.net.core.dev import netif_rx
from linnet.net.core.dev_xmit import skb_checksum_help
from linnet.net.core.gso import skb_gso_network_seglen, skb_gso_segment
from linnet.net.core.neighbour import __ipv4_neigh_lookup_noref, __neigh_create, neigh_confirm
from linnet.net.core.skbuff import (
    alloc_skb,
    consume_skb,
    kfree_skb,
    kfree_skb_list_reason,
    kfree_skb_reason,
    pskb_trim,
    skb_clone,
    skb_copy_header,
    skb_take_frags,
)
from linnet.net.core.sock import SOCK_WFREE, skb_set_owner_w
from linnet.net.ipv4.icmp import icmp_send
from linnet.net.ipv4.ip_options import ip_options_echo, ip_options_faddr, ip_options_fragment
from linnet.net.ipv4.ip_output_append import ip_append_data as ip_append_data
from linnet.net.ipv4.ip_output_append import ip_finish_skb as ip_finish_skb
from linnet.net.ipv4.ip_output_append import ip_flush_pending_frames as ip_flush_pending_frames
from linnet.net.ipv4.ip_output_append import ip_make_skb as ip_make_skb
from linnet.net.ipv4.ip_output_append import ip_push_pending_frames as ip_push_pending_frames
from linnet.net.ipv4.ip_output_append import ip_send_skb as ip_send_skb
from linnet.net.ipv4.ip_output_local import __ip_local_out as __ip_local_out
from linnet.net.ipv4.ip_output_local import (
    __ip_select_ident,
    ip4_dst_hoplimit,
    ip_local_out,
    ip_push_header,
    ip_skb_dst_mtu,
)
from linnet.net.ipv4.ip_output_local import ip_build_and_send_pkt as ip_build_and_send_pkt
from linnet.net.ipv4.ip_output_local import ip_local_out_sk as ip_local_out_sk
from linnet.net.ipv4.ip_output_local import ip_queue_xmit as ip_queue_xmit
from linnet.net.ipv4.ip_output_local import ip_select_ident as ip_select_ident
from linnet.net.ipv4.ip_output_local import ip_send_check as ip_send_check
from linnet.net.ipv4.route import ip_route_output_key


class IpOutput(DstOutput):
    """Unicast routes leave by ip_output."""

    def output(self, sk: Sock | None, skb: SkBuff) -> i64:
        """See ip_output."""
        return ip_output(sk, skb)


class IpMcOutput(DstOutput):
    """Broadcast and multicast routes that this host hears too leave by ip_mc_output."""

    def output(self, sk: Sock | None, skb: SkBuff) -> i64:
        """See ip_mc_output."""
        return ip_mc_output(sk, skb)


class IpRtBug(DstOutput):
    """Routes for received packets to this host do not leave."""

    def output(self, sk: Sock | None, skb: SkBuff) -> i64:
        """See ip_rt_bug."""
        return ip_rt_bug(skb)


def ip_rt_bug(skb: SkBuff) -> i64:
    """An input route was used for output.  Linux: net/ipv4/route.c."""
    kfree_skb(skb)
    return 0


def ip_output_init(net: Net) -> None:
    """Let routes lead here; identifications start at random."""
    net.ipv4.ip_output = IpOutput()
    net.ipv4.ip_mc_output = IpMcOutput()
    net.ipv4.ip_rt_bug = IpRtBug()
    net.ipv4.ip_ident = net.random.below(65536)


def ip_output(sk: Sock | None, skb: SkBuff) -> i64:
    """A packet leaves along its (unicast) route.  Linux: net/ipv4/ip_output.c."""
    dst = skb.dst
    assert dst is not None
    dev = dst.dev
    indev = skb.dev
    skb.dev = dev
    skb.protocol = 0x0800
    if (skb.ip_flags & IPSKB_REROUTED) == 0:
        ret = nf_hook(NFPROTO_IPV4, NF_INET_POST_ROUTING, dev.net, sk, skb, indev, dev)
        if ret != 1:
            return ret
    return ip_finish_output(sk, skb)


def ip_finish_output(sk: Sock | None, skb: SkBuff) -> i64:
    """Make it fit the path MTU.  Linux: net/ipv4/ip_output.c."""
    mtu = ip_skb_dst_mtu(sk, skb)
    if skb.gso_size != 0:
        return ip_finish_output_gso(sk, skb, mtu)
    if skb.len > mtu or skb.frag_max_size != 0:
        return ip_fragment(sk, skb, mtu)
    return ip_finish_output2(sk, skb)


def ip_finish_output_gso(sk: Sock | None, skb: SkBuff, mtu: i64) -> i64:
    """A super-segment: whole where its pieces fit, else cut here and fragmented.  Linux: net/ipv4/ip_output.c."""
    if skb_gso_network_seglen(skb) <= mtu:
        return ip_finish_output2(sk, skb)
    dst = skb.dst
    assert dst is not None
    features = dst.dev.features & ~(NETIF_F_GSO | NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN)
    skb.mac_header = skb.data  # there is none yet: the pieces begin with their IP headers
    segs = skb_gso_segment(skb, features)
    if not segs:
        kfree_skb_reason(skb, SKB_DROP_REASON_SKB_GSO_SEG)
        return -EINVAL
    owner = skb.sk
    ret: i64 = 0
    for seg in segs:
        if owner is not None and seg.sk is None:
            skb_set_owner_w(seg, owner)
        seg.next = None
        err = ip_fragment(sk, seg, mtu) if seg.len > mtu else ip_finish_output2(sk, seg)
        if err != 0 and ret == 0:
            ret = err
    consume_skb(skb)
    return ret


def ip_finish_output2(sk: Sock | None, skb: SkBuff) -> i64:
    """Find the neighbour that the packet goes to next, and send it there.  Linux: net/ipv4/ip_output.c."""
    dst = skb.dst
    assert isinstance(dst, Rtable)
    dev = dst.dev
    net = dev.net
    type = dst.rt_type
    if type == RTN_MULTICAST:
        NET_INC_STATS(net, IPSTATS_MIB_OUTMCASTPKTS)
        NET_ADD_STATS(net, IPSTATS_MIB_OUTMCASTOCTETS, skb.len)
    elif type == RTN_BROADCAST:
        NET_INC_STATS(net, IPSTATS_MIB_OUTBCASTPKTS)
        NET_ADD_STATS(net, IPSTATS_MIB_OUTBCASTOCTETS, skb.len)
    NET_INC_STATS(net, IPSTATS_MIB_OUTTRANSMITS)
    NET_ADD_STATS(net, IPSTATS_MIB_OUTOCTETS, skb.len)
    nexthop = dst.rt_gateway
    if nexthop == 0:
        nexthop = skb.daddr
    neigh = __ipv4_neigh_lookup_noref(dev, nexthop)
    if neigh is None:
        tbl = net.ipv4.arp_tbl
        if tbl is not None:
            neigh = __neigh_create(tbl, nexthop, dev)
        if neigh is None:
            kfree_skb_reason(skb, SKB_DROP_REASON_NEIGH_CREATEFAIL)
            return -EINVAL
    if sk is not None and sk.sk_dst_pending_confirm:  # Linux: sock_confirm_neigh
        sk.sk_dst_pending_confirm = False
        neigh_confirm(neigh)
    return dst_neigh_output(dst, neigh, skb)


# -- fragments


def ip_fragment(sk: Sock | None, skb: SkBuff, mtu: i64) -> i64:
    """Cut skb to mtu bytes and send the pieces; or refuse, because DF is set.  Linux: net/ipv4/ip_output.c (ip_do_fragment)."""
    dst = skb.dst
    assert dst is not None
    net = dst.dev.net
    head = skb.head
    at = skb.network_header
    frag_off = ip_frag_off(head, at)
    if (frag_off & IP_DF) != 0 and (not skb.ignore_df or (skb.frag_max_size != 0 and skb.frag_max_size > mtu)):
        NET_INC_STATS(net, IPSTATS_MIB_FRAGFAILS)
        icmp_send(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu)
        kfree_skb_reason(skb, SKB_DROP_REASON_PKT_TOO_BIG)
        return -EMSGSIZE
    if skb.ip_summed == CHECKSUM_PARTIAL and skb_checksum_help(skb) != 0:
        NET_INC_STATS(net, IPSTATS_MIB_FRAGFAILS)
        kfree_skb_reason(skb, SKB_DROP_REASON_PKT_TOO_BIG)
        return -EINVAL
    if skb.frag_max_size != 0 and skb.frag_max_size < mtu:
        mtu = skb.frag_max_size
    hlen = ip_ihl(head, at)
    step = (mtu - hlen) & ~7
    if step <= 0:
        NET_INC_STATS(net, IPSTATS_MIB_FRAGFAILS)
        kfree_skb_reason(skb, SKB_DROP_REASON_PKT_TOO_BIG)
        return -EINVAL
    if skb.frag_list is not None and (frag_off & (IP_MF | IP_OFFSET)) == 0 and not skb.cloned:
        if _pieces(skb.frag_list) == _pieces_needed(skb.len - hlen, step, mtu - hlen) - 1:
            return _fragment_fast(sk, skb, net, hlen, step, mtu - hlen)
    return _fragment_slow(sk, skb, net, hlen, step, mtu - hlen, frag_off)


def _pieces(part: SkBuff | None) -> i64:
    """How many skbs are linked."""
    n: i64 = 0
    while part is not None:
        n += 1
        part = part.next
    return n


def _pieces_needed(payload: i64, step: i64, room: i64) -> i64:
    """How many fragments `payload` bytes make."""
    n: i64 = 1
    while payload > room:
        payload -= step
        n += 1
    return n


def _fragment_fast(sk: Sock | None, skb: SkBuff, net: Net, hlen: i64, step: i64, room: i64) -> i64:
    """The skbs for all fragments are there (on frag_list): fill them again and send them, skb itself first. Nothing is allocated.
    """
    options = skb.head[skb.network_header + 20:skb.network_header + hlen]
    later = ip_options_fragment(options) if len(options) != 0 else options
    payload = skb.len - hlen
    offset = step
    piece = skb.frag_list
    skb.frag_list = None
    first = piece
    owner = skb.sk
    while piece is not None:
        size = payload - offset
        if size > room:
            size = step
        flags: i64 = IP_MF if offset + size < payload else 0
        _fragment_fill(skb, piece, hlen, offset, size, (offset >> 3) | flags, later)
        skb.truesize -= piece.truesize
        if owner is not None:  # it is charged already
            piece.sk = owner
            piece.destructor = SOCK_WFREE
        offset += size
        piece = piece.next
    head = skb.head
    at = skb.network_header
    pskb_trim(skb, hlen + step)
    header = iphdr_build(ip_tos(head, at), hlen + step, ip_id(head, at), IP_MF, ip_ttl(head, at), ip_protocol(head, at),
                         skb.saddr, skb.daddr, options)
    skb.head = header + skb.head[at + hlen:]
    skb.transport_header -= at
    skb.network_header = 0
    skb.data = 0
    err: i64 = 0
    piece = skb
    following = first
    while piece is not None:
        err = ip_finish_output2(sk, piece)
        if err != 0:
            break
        NET_INC_STATS(net, IPSTATS_MIB_FRAGCREATES)
        piece = following
        if piece is not None:
            following = piece.next
            piece.next = None
    if err == 0:
        NET_INC_STATS(net, IPSTATS_MIB_FRAGOKS)
        return 0
    NET_INC_STATS(net, IPSTATS_MIB_FRAGFAILS)
    kfree_skb_list_reason(following, SKB_DROP_REASON_PKT_TOO_BIG)
    return err


def _fragment_slow(sk: Sock | None, skb: SkBuff, net: Net, hlen: i64, step: i64, room: i64, frag_off: i64) -> i64:
    """Make an skb for each fragment."""
    payload = skb.len - hlen
    offset: i64 = 0
    err: i64 = 0
    base = (frag_off & IP_OFFSET) << 3
    options = skb.head[skb.network_header + 20:skb.network_header + hlen]
    while offset < payload:
        size = payload - offset
        if size > room:
            size = step
        flags: i64 = 0
        if offset + size < payload or (frag_off & IP_MF) != 0:
            flags = IP_MF
        if (skb.ip_flags & IPSKB_FRAG_PMTU) != 0:
            flags |= frag_off & IP_DF
        piece = alloc_skb(skb.world, hlen + size + 15)
        _fragment_fill(skb, piece, hlen, offset, size, ((base + offset) >> 3) | flags, options)
        if skb.sk is not None:
            skb_set_owner_w(piece, skb.sk)
        if offset == 0 and base == 0 and len(options) != 0:
            options = ip_options_fragment(options)
        offset += size
        err = ip_finish_output2(sk, piece)
        if err != 0:
            break
        NET_INC_STATS(net, IPSTATS_MIB_FRAGCREATES)
    if err == 0:
        NET_INC_STATS(net, IPSTATS_MIB_FRAGOKS)
        consume_skb(skb)
    else:
        NET_INC_STATS(net, IPSTATS_MIB_FRAGFAILS)
        kfree_skb(skb)
    return err


def _fragment_fill(skb: SkBuff, piece: SkBuff, hlen: i64, offset: i64, size: i64, frag_off: i64, options: bytes) -> None:
    """Make piece the fragment of skb that carries `size` payload bytes from `offset`."""
    head = skb.head
    at = skb.network_header
    skb_copy_header(piece, skb)
    piece.head = iphdr_build(ip_tos(head, at), hlen + size, ip_id(head, at), frag_off, ip_ttl(head, at), ip_protocol(head, at),
                             skb.saddr, skb.daddr, options)
    piece.data = 0
    piece.frags = skb_take_frags(skb, hlen + offset, size)
    piece.data_len = size
    piece.len = hlen + size
    piece.network_header = 0
    piece.transport_header = hlen
    piece.mac_header = -1
    piece.ip_summed = CHECKSUM_NONE
    piece.ip_opt = options
    piece.frag_max_size = 0
    piece.ip_flags |= IPSKB_FRAG_COMPLETE


# -- broadcasts and multicasts that this host hears too


def dev_loopback_xmit(skb: SkBuff) -> i64:
    """Let this host receive skb as if it had come in by the device it leaves by.  Linux: net/core/dev.c."""
    skb.mac_header = skb.network_header
    skb.pkt_type = PACKET_LOOPBACK
    if skb.ip_summed == CHECKSUM_NONE:
        skb.ip_summed = CHECKSUM_UNNECESSARY
    netif_rx(skb)
    return 0


def _loop_back(skb: SkBuff, net: Net) -> None:
    clone = skb_clone(skb)
    dev = skb.dev
    if nf_hook(NFPROTO_IPV4, NF_INET_POST_ROUTING, net, None, clone, None, dev) == 1:
        dev_loopback_xmit(clone)


def ip_mc_output(sk: Sock | None, skb: SkBuff) -> i64:
    """A broadcast or multicast leaves, and comes back to this host's own listeners.  Linux: net/ipv4/ip_output.c."""
    dst = skb.dst
    assert isinstance(dst, Rtable)
    dev = dst.dev
    net = dev.net
    indev = skb.dev
    skb.dev = dev
    skb.protocol = 0x0800
    if (dst.rt_flags & RTCF_MULTICAST) != 0:
        loops = not isinstance(sk, InetSock) or sk.mc_loop
        if loops and ((dst.rt_flags & RTCF_LOCAL) != 0 or (skb.ip_flags & IPSKB_FORWARDED) == 0):
            _loop_back(skb, net)
        if ip_ttl(skb.head, skb.network_header) == 0:  # a multicast with TTL 0 stays in the host
            consume_skb(skb)
            return 0
    if (dst.rt_flags & RTCF_BROADCAST) != 0:
        _loop_back(skb, net)
    if (skb.ip_flags & IPSKB_REROUTED) == 0:
        ret = nf_hook(NFPROTO_IPV4, NF_INET_POST_ROUTING, net, sk, skb, indev, dev)
        if ret != 1:
            return ret
    return ip_finish_output(sk, skb)


# -- answers without a socket


def ip_send_unicast_reply(net: Net, skb: SkBuff, daddr: i64, saddr: i64, payload: bytes, tos: i64) -> None:
    """Answer skb from saddr to daddr with a TCP segment: payload is its header, checksum 0, and options.

    Linux: net/ipv4/ip_output.c, where it goes through a control socket of its own.
    """
    opt = ip_options_echo(net, skb.ip_opt, skb.saddr, skb.daddr)
    fl4 = Flowi4()
    first = daddr
    if len(opt) != 0:
        hop = ip_options_faddr(net, opt)
        if hop != 0:
            first = hop
    flowi4_init_output(fl4, 0, 0, tos & 0x1C, 0, IPPROTO_TCP, 0, first, saddr, 0, 0)
    rt = ip_route_output_key(net, fl4)
    if rt is None:
        return
    length: i64 = len(payload)
    check = csum_tcpudp_magic(saddr, daddr, length, IPPROTO_TCP, csum_partial(payload, 0))
    reply = alloc_skb(net.world, length + 20)
    reply.head = payload[:16] + int(check).to_bytes(2, 'big') + payload[18:]
    reply.len = length
    reply.transport_header = 0
    reply.dst = rt
    df: i64 = IP_DF if net.ipv4.sysctl_ip_no_pmtu_disc == 0 else 0
    ident: i64 = 0 if df != 0 else __ip_select_ident(net, 1)
    ip_push_header(reply, tos, ident, df, ip4_dst_hoplimit(rt), IPPROTO_TCP, saddr, first, opt, daddr)
    reply.mark = 0
    ip_local_out(reply)
