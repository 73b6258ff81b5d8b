# SPDX-License-Identifier: Apache-2.0
"""The way out, its upper half: from the route to the neighbour, with the POST_ROUTING hooks and fragmentation in between.

    dst_output_sk > ip6_output > ip6_finish_output > (ip6_fragment) > ip6_finish_output2 > dst_neigh_output > dev_queue_xmit

A super-segment passes whole while each of the pieces it will be cut into fits the path MTU. Only the host where a packet begins
may fragment it (RFC 8200, 4.5): what is too big on the way is dropped and reported. ip6_xmit and the rest of Linux's
ip6_output.c stand in ip6_output_local.py, ip6_output_append.py and ip6_forward.py.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.icmpv6 import ICMPV6_PKT_TOOBIG
from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.in6 import IPPROTO_FRAGMENT
from linnet.include.linux.ipv6 import IP6SKB_FAKEJUMBO, IP6SKB_REROUTED, IPV6_MIN_MTU, ipv6_set_payload_len
from linnet.include.linux.netdevice import IFF_LOOPBACK, NETIF_F_GSO, NETIF_F_TSO, NETIF_F_TSO6, NETIF_F_TSO_ECN, NetDevice
from linnet.include.linux.netfilter import NF_INET_POST_ROUTING, NFPROTO_IPV6, nf_hook
from linnet.include.linux.skbuff import CHECKSUM_NONE, CHECKSUM_PARTIAL, SkBuff
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_IPV6DISABLED,
    SKB_DROP_REASON_NEIGH_CREATEFAIL,
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_DROP_REASON_PKT_TOO_BIG,
    SKB_DROP_REASON_SKB_GSO_SEG,
)
from linnet.include.net.dst import DstOutput, dst_neigh_output
from linnet.include.net.ip6_fib import Rt6Info, rt6_nexthop
from linnet.include.net.ipv6 import IPV6_ADDR_SCOPE_NODELOCAL
from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import (
    IP6_ADD_STATS,
    IP6_INC_STATS,
    IPSTATS_MIB_FRAGCREATES,
    IPSTATS_MIB_FRAGFAILS,
    IPSTATS_MIB_FRAGOKS,
    IPSTATS_MIB_OUTDISCARDS,
    IPSTATS_MIB_OUTMCASTOCTETS,
    IPSTATS_MIB_OUTMCASTPKTS,
    IPSTATS_MIB_OUTNOROUTES,
    IPSTATS_MIB_OUTOCTETS,
    IPSTATS_MIB_OUTTRANSMITS,
)
from linnet.include.net.sock import Sock
from linnet.kernel.errno import EINVAL, EMSGSIZE
from linnet.net.core.dev_xmit import skb_checksum_help
from linnet.net.core.gso import skb_gso_network_seglen, skb_gso_segment
from linnet.net.core.neighbour import __ipv6_neigh_lookup_noref, __neigh_create, neigh_confirm
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
from linnet.net.ipv4.ip_output import dev_loopback_xmit
from linnet.net.ipv6.exthdrs_core import FRAG_HDR_LEN, IP6_MF
from linnet.net.ipv6.ip6_output_local import ip6_skb_dst_mtu, ipv6_pinfo
from linnet.net.ipv6.ip6_output_local import ip6_xmit as ip6_xmit
from linnet.net.ipv6.mcast import ipv6_chk_mcast_addr
from linnet.net.ipv6.output_core import ip6_find_1stfragopt, ipv6_select_ident
from linnet.net.ipv6.output_core import ip6_local_out as ip6_local_out


class Ip6Output(DstOutput):
    """Routes leave by ip6_output, unicast and multicast."""

    def output(self, sk: Sock | None, skb: SkBuff) -> i64:
        """See ip6_output."""
        return ip6_output(sk, skb)


def ip6_output_init(net: Net) -> None:
    """Let routes lead here."""
    net.ipv6.ip6_output = Ip6Output()


def ip6_output(sk: Sock | None, skb: SkBuff) -> i64:
    """A packet leaves along its route.  Linux: net/ipv6/ip6_output.c."""
    dst = skb.dst
    assert dst is not None
    dev = dst.dev
    net = dev.net
    indev = skb.dev
    skb.dev = dev
    skb.protocol = ETH_P_IPV6
    idev = dev.ip6_ptr
    if idev is None or idev.cnf.disable_ipv6 != 0:
        IP6_INC_STATS(net, IPSTATS_MIB_OUTDISCARDS)
        kfree_skb_reason(skb, SKB_DROP_REASON_IPV6DISABLED)
        return 0
    if (skb.ip_flags & IP6SKB_REROUTED) == 0:
        ret = nf_hook(NFPROTO_IPV6, NF_INET_POST_ROUTING, net, sk, skb, indev, dev)
        if ret != 1:
            return ret
    return ip6_finish_output(net, sk, skb)


def ip6_finish_output(net: Net, sk: Sock | None, skb: SkBuff) -> i64:
    """Make it fit the path MTU.  Linux: net/ipv6/ip6_output.c."""
    mtu = ip6_skb_dst_mtu(skb)
    if skb.gso_size != 0:
        if (skb.ip_flags & IP6SKB_FAKEJUMBO) == 0 and skb_gso_network_seglen(skb) > mtu:
            return ip6_finish_output_gso_slowpath_drop(net, sk, skb, mtu)
        return ip6_finish_output2(net, sk, skb)
    if skb.len > mtu or (skb.frag_max_size != 0 and skb.len > skb.frag_max_size):
        return ip6_fragment(net, sk, skb)
    return ip6_finish_output2(net, sk, skb)


def ip6_finish_output_gso_slowpath_drop(net: Net, sk: Sock | None, skb: SkBuff, mtu: i64) -> i64:
    """A super-segment whose pieces do not fit: cut here, and each piece fragmented, or refused with an error to its sender.

    Linux: net/ipv6/ip6_output.c.
    """
    dst = skb.dst
    assert dst is not None
    features = dst.dev.features & ~(NETIF_F_GSO | NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN)
    skb.mac_header = skb.data  # there is none yet: the pieces begin with their IPv6 headers
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
        # the last piece may fit; it goes the same way, and is not fragmented then
        err = ip6_fragment(net, sk, seg) if seg.len > mtu else ip6_finish_output2(net, sk, seg)
        if err != 0 and ret == 0:
            ret = err
    consume_skb(skb)
    return ret


def ip6_finish_output2(net: Net, sk: Sock | None, skb: SkBuff) -> i64:
    """Find the neighbour that the packet goes to next, and send it there.  Linux: net/ipv6/ip6_output.c."""
    dst = skb.dst
    assert isinstance(dst, Rt6Info)
    dev = dst.dev
    daddr = skb.daddr6
    if skb.head[skb.network_header + 24] == 0xFF and not _ip6_mc_output(net, sk, skb, dev, daddr):
        return 0
    IP6_INC_STATS(net, IPSTATS_MIB_OUTTRANSMITS)
    IP6_ADD_STATS(net, IPSTATS_MIB_OUTOCTETS, skb.len)
    nexthop = rt6_nexthop(dst, daddr)
    neigh = __ipv6_neigh_lookup_noref(dev, nexthop)
    if neigh is None:
        tbl = net.ipv6.nd_tbl
        if tbl is not None:
            neigh = __neigh_create(tbl, nexthop, dev)
        if neigh is None:
            IP6_INC_STATS(net, IPSTATS_MIB_OUTNOROUTES)
            kfree_skb_reason(skb, SKB_DROP_REASON_NEIGH_CREATEFAIL)
            return -EINVAL
    if sk is not None and sk.sk_dst_pending_confirm:  # Linux: sock_confirm_neigh
        sk.sk_dst_pending_confirm = False
        neigh_confirm(neigh)
    return dst_neigh_output(dst, neigh, skb)


def _ip6_mc_output(net: Net, sk: Sock | None, skb: SkBuff, dev: NetDevice, daddr: int) -> bool:
    """A multicast leaves, and comes back to this host's own listeners. False: skb goes no further, and is gone."""
    if (dev.flags & IFF_LOOPBACK) == 0 and _loops(sk) and ipv6_chk_mcast_addr(dev, daddr, skb.saddr6):
        clone = skb_clone(skb)
        if nf_hook(NFPROTO_IPV6, NF_INET_POST_ROUTING, net, sk, clone, None, dev) == 1:
            dev_loopback_xmit(clone)
        if skb.ttl == 0:
            IP6_INC_STATS(net, IPSTATS_MIB_OUTDISCARDS)
            kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED)
            return False
    IP6_INC_STATS(net, IPSTATS_MIB_OUTMCASTPKTS)
    IP6_ADD_STATS(net, IPSTATS_MIB_OUTMCASTOCTETS, skb.len)
    if ((daddr >> 112) & 0xF) <= IPV6_ADDR_SCOPE_NODELOCAL and (dev.flags & IFF_LOOPBACK) == 0:
        kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED)  # it never leaves the node (RFC 4291, 2.7)
        return False
    return True


def _loops(sk: Sock | None) -> bool:
    """Does the sender want to hear its own multicasts?  Linux: net/core/sock.c, sk_mc_loop."""
    np = ipv6_pinfo(sk)
    return np is None or np.mc_loop


# -- fragments

def _too_big(net: Net, skb: SkBuff, mtu: i64) -> i64:
    """Refuse skb, and tell its sender which size would pass."""
    net.ipv6.icmp6_sender.send(skb, ICMPV6_PKT_TOOBIG, 0, mtu)
    return _frag_fails(net, skb, -EMSGSIZE)


def _frag_fails(net: Net, skb: SkBuff, err: i64) -> i64:
    IP6_INC_STATS(net, IPSTATS_MIB_FRAGFAILS)
    kfree_skb_reason(skb, SKB_DROP_REASON_PKT_TOO_BIG)
    return err


def ip6_fragment(net: Net, sk: Sock | None, skb: SkBuff) -> i64:
    """Cut skb to the path MTU and send the pieces; or refuse.  Linux: net/ipv6/ip6_output.c.  RFC 8200, 4.5."""
    hlen = ip6_find_1stfragopt(skb)
    if hlen < 0:
        return _frag_fails(net, skb, -EINVAL)
    mtu = ip6_skb_dst_mtu(skb)
    if not skb.ignore_df and skb.len > mtu:
        return _too_big(net, skb, mtu)
    if skb.frag_max_size != 0:
        if skb.frag_max_size > mtu:
            return _too_big(net, skb, mtu)
        mtu = skb.frag_max_size  # fragments go on no larger than they came
        if mtu < IPV6_MIN_MTU:
            mtu = IPV6_MIN_MTU
    np = ipv6_pinfo(skb.sk)
    if np is not None and np.frag_size != 0 and np.frag_size < mtu:
        mtu = np.frag_size
    if mtu < hlen + FRAG_HDR_LEN + 8:
        return _too_big(net, skb, mtu)
    room = mtu - hlen - FRAG_HDR_LEN
    ident = ipv6_select_ident(net, skb.daddr6, skb.saddr6)
    if skb.ip_summed == CHECKSUM_PARTIAL and skb_checksum_help(skb) != 0:
        return _frag_fails(net, skb, -EINVAL)
    # what each fragment begins with: the headers up to hlen, the last of them naming a fragment header
    head = skb.head
    at = skb.network_header
    nexthdr: i64 = i64(head[skb.nhoff])
    headers = head[at:skb.nhoff] + bytes((IPPROTO_FRAGMENT,)) + head[skb.nhoff + 1:at + hlen]
    step = room & ~7
    parts = skb.frag_list
    if parts is not None and not skb.cloned and _pieces(parts) == _pieces_needed(skb.len - hlen, step) - 1:
        return _fragment_fast(net, sk, skb, headers, nexthdr, ident, step)
    return _fragment_slow(net, sk, skb, headers, nexthdr, ident, step)


def _pieces(part: SkBuff | None) -> i64:
    """How many skbs are linked."""
    n: i64 = 0
    while part is not None:
        n += 1
        part = part.next
    return n


def _pieces_needed(payload: i64, step: i64) -> i64:
    """How many fragments `payload` bytes make."""
    return (payload + step - 1) // step


def frag_hdr_build(nexthdr: i64, frag_off: i64, ident: i64) -> bytes:
    """A fragment header; frag_off: the offset in bytes (a multiple of 8) with IP6_MF.  RFC 8200, 4.5."""
    return bytes((int(nexthdr), 0)) + int(frag_off).to_bytes(2, 'big') + int(ident).to_bytes(4, 'big')


def _fragment_fast(net: Net, sk: Sock | None, skb: SkBuff, headers: bytes, nexthdr: i64, ident: i64, step: i64) -> i64:
    """The skbs for all fragments are there (on frag_list): fill them again and send them, skb itself first. Nothing is allocated.
    """
    hlen: i64 = len(headers)
    payload = skb.len - hlen
    offset = step
    piece = skb.frag_list
    skb.frag_list = None
    first = piece
    owner = skb.sk
    while piece is not None:
        size = payload - offset
        if size > step:
            size = step
        _fragment_fill(skb, piece, headers, nexthdr, ident, offset, size, offset + size < payload)
        skb.truesize -= piece.truesize
        if owner is not None:  # it is charged already
            piece.sk = owner
            piece.destructor = SOCK_WFREE
        offset += size
        piece = piece.next
    pskb_trim(skb, hlen + step)
    start = skb.network_header
    front = ipv6_set_payload_len(headers, 0, hlen - 40 + FRAG_HDR_LEN + step) + frag_hdr_build(nexthdr, IP6_MF, ident)
    skb.head = front + skb.head[start + hlen:]
    skb.data = 0
    skb.len += FRAG_HDR_LEN
    skb.transport_header += FRAG_HDR_LEN - start
    skb.network_header = 0
    skb.mac_header = -1
    err: i64 = 0
    piece = skb
    following = first
    while piece is not None:
        err = ip6_finish_output2(net, sk, piece)
        if err != 0:
            break
        IP6_INC_STATS(net, IPSTATS_MIB_FRAGCREATES)
        piece = following
        if piece is not None:
            following = piece.next
            piece.next = None
    if err == 0:
        IP6_INC_STATS(net, IPSTATS_MIB_FRAGOKS)
        return 0
    IP6_INC_STATS(net, IPSTATS_MIB_FRAGFAILS)
    kfree_skb_list_reason(following, SKB_DROP_REASON_PKT_TOO_BIG)
    return err


def _fragment_slow(net: Net, sk: Sock | None, skb: SkBuff, headers: bytes, nexthdr: i64, ident: i64, step: i64) -> i64:
    """Make an skb for each fragment."""
    hlen: i64 = len(headers)
    payload = skb.len - hlen
    offset: i64 = 0
    err: i64 = 0
    while offset < payload:
        size = payload - offset
        if size > step:
            size = step
        piece = alloc_skb(skb.world, hlen + FRAG_HDR_LEN + size + 15)
        _fragment_fill(skb, piece, headers, nexthdr, ident, offset, size, offset + size < payload)
        if skb.sk is not None:
            skb_set_owner_w(piece, skb.sk)
        offset += size
        err = ip6_finish_output2(net, sk, piece)
        if err != 0:
            break
        IP6_INC_STATS(net, IPSTATS_MIB_FRAGCREATES)
    if err == 0:
        IP6_INC_STATS(net, IPSTATS_MIB_FRAGOKS)
        consume_skb(skb)
    else:
        IP6_INC_STATS(net, IPSTATS_MIB_FRAGFAILS)
        kfree_skb(skb)
    return err


def _fragment_fill(skb: SkBuff, piece: SkBuff, headers: bytes, nexthdr: i64, ident: i64, offset: i64, size: i64,
                   more: bool) -> None:
    """Make piece the fragment of skb that carries `size` bytes of what is fragmented, from `offset`."""
    hlen: i64 = len(headers)
    skb_copy_header(piece, skb)
    frag_off: i64 = offset
    if more:
        frag_off |= IP6_MF
    piece.head = ipv6_set_payload_len(headers, 0, hlen - 40 + FRAG_HDR_LEN + size) + frag_hdr_build(nexthdr, frag_off, ident)
    piece.data = 0
    piece.frags = skb_take_frags(skb, hlen + offset, size)
    piece.data_len = size
    piece.len = hlen + FRAG_HDR_LEN + size
    piece.network_header = 0
    piece.transport_header = hlen + FRAG_HDR_LEN
    piece.mac_header = -1
    piece.ip_summed = CHECKSUM_NONE
    piece.frag_max_size = 0
