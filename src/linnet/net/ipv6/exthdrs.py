# SPDX-License-Identifier: Apache-2.0
"""Extension headers: what a receiver does with them, and how a sender puts them in front of its packets.  RFC 8200, 4.

Received, hop-by-hop options are read by ipv6_rcv before anything else (ipv6_parse_hopopts); the others are protocols of their
own in inet6_protos, which move transport_header and nhoff on and answer 1: go on with the header that nhoff names. What a
receiver must do with an option that it does not know, the option's two high bits say (RFC 8200, 4.2). A routing header with
segments left is refused (RFC 5095); padding that could hide something is an error (RFC 4942, 2.1.9.5).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmpv6 import ICMPV6_HDR_FIELD, ICMPV6_PARAMPROB, ICMPV6_UNK_OPTION
from linnet.include.linux.in6 import (
    IPPROTO_DSTOPTS,
    IPPROTO_HOPOPTS,
    IPPROTO_NONE,
    IPPROTO_ROUTING,
    IPV6_TLV_JUMBO,
    IPV6_TLV_PAD1,
    IPV6_TLV_PADN,
    IPV6_TLV_ROUTERALERT,
    in6_bytes,
    in6_read,
)
from linnet.include.linux.ipv6 import IP6SKB_HOPBYHOP, IP6SKB_ROUTERALERT, IPV6_MAXPLEN, ipv6_payload_len
from linnet.include.linux.skbuff import PACKET_HOST, SkBuff, skb_push
from linnet.include.linux.unaligned import get_be32
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_IP_INADDRERRORS,
    SKB_DROP_REASON_IP_INHDR,
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_DROP_REASON_PKT_TOO_SMALL,
    SKB_DROP_REASON_UNHANDLED_PROTO,
)
from linnet.include.net.flow import Flowi6
from linnet.include.net.ipv6 import Ipv6Txoptions, ipv6_addr_is_multicast
from linnet.include.net.net_namespace import Net
from linnet.include.net.protocol import NetProtocol
from linnet.include.net.snmp import (
    IP6_INC_STATS,
    IPSTATS_MIB_INADDRERRORS,
    IPSTATS_MIB_INHDRERRORS,
)
from linnet.net.core.skbuff import kfree_skb_reason, pskb_may_pull, pskb_trim
from linnet.net.ipv6.exthdrs_core import ipv6_find_hdr, ipv6_optlen
from linnet.net.ipv6.protocol import inet6_add_protocol

IPV6_SRCRT_TYPE_3: Final = 3  # RPL (RFC 6554)
IPV6_SRCRT_TYPE_4: Final = 4  # segment routing (RFC 8754)


def icmpv6_param_prob(net: Net, skb: SkBuff, code: i64, pos: i64, reason: i64 = SKB_DROP_REASON_NOT_SPECIFIED) -> None:
    """Tell skb's sender that byte pos of its packet (counted from the IPv6 header) is wrong, and drop skb.

    Linux: net/ipv6/icmp.c, icmpv6_param_prob_reason; it stands below its callers here.
    """
    net.ipv6.icmp6_sender.send(skb, ICMPV6_PARAMPROB, code, pos)
    kfree_skb_reason(skb, reason)


# -- options (hop-by-hop and destination)

def ip6_tlvopt_unknown(net: Net, skb: SkBuff, optoff: i64, disallow_unknowns: bool) -> bool:
    """An option that is not known: True: it is skipped. False: skb is dropped, and told of as the option's type wants.

    optoff counts from the IPv6 header.  Linux: net/ipv6/exthdrs.c.  RFC 8200, 4.2.
    """
    action = i64(skb.head[skb.network_header + optoff]) >> 6
    if not disallow_unknowns:
        if action == 0:
            return True
        if action == 2 or (action == 3 and not ipv6_addr_is_multicast(skb.daddr6)):
            icmpv6_param_prob(net, skb, ICMPV6_UNK_OPTION, optoff, SKB_DROP_REASON_UNHANDLED_PROTO)
            return False
    kfree_skb_reason(skb, SKB_DROP_REASON_UNHANDLED_PROTO)
    return False


def ipv6_hop_ra(skb: SkBuff, optoff: i64) -> bool:
    """Router alert (RFC 2711): noted.  Linux: net/ipv6/exthdrs.c."""
    if i64(skb.head[skb.network_header + optoff + 1]) == 2:
        skb.ip_flags |= IP6SKB_ROUTERALERT
        return True
    kfree_skb_reason(skb, SKB_DROP_REASON_IP_INHDR)
    return False


def ipv6_hop_jumbo(net: Net, skb: SkBuff, optoff: i64) -> bool:
    """Jumbo payload (RFC 2675): a packet of more than 65535 bytes says its length here.  Linux: net/ipv6/exthdrs.c."""
    head = skb.head
    at = skb.network_header + optoff
    if i64(head[at + 1]) != 4 or (optoff & 3) != 2:
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_INHDR)
        return False
    pkt_len = get_be32(head, at + 2)
    if pkt_len <= IPV6_MAXPLEN:
        icmpv6_param_prob(net, skb, ICMPV6_HDR_FIELD, optoff + 2, SKB_DROP_REASON_IP_INHDR)
        return False
    if ipv6_payload_len(head, skb.network_header) != 0:
        icmpv6_param_prob(net, skb, ICMPV6_HDR_FIELD, optoff, SKB_DROP_REASON_IP_INHDR)
        return False
    if pkt_len > skb.len - 40:
        kfree_skb_reason(skb, SKB_DROP_REASON_PKT_TOO_SMALL)
        return False
    pskb_trim(skb, pkt_len + 40)
    return True


def ip6_parse_tlv(net: Net, hopbyhop: bool, skb: SkBuff, max_count: i64) -> bool:
    """Read the options header at skb's transport header. False: skb was dropped.

    max_count: how many options there may be, padding not counted; negative: as many, and none that are not known.
    Linux: net/ipv6/exthdrs.c.
    """
    disallow_unknowns = False
    if max_count < 0:
        disallow_unknowns = True
        max_count = -max_count
    nh = skb.network_header
    off = skb.transport_header - nh
    length = ipv6_optlen(i64(skb.head[nh + off + 1])) - 2
    off += 2
    padlen: i64 = 0
    count: i64 = 0
    while length > 0:
        head = skb.head
        kind: i64 = i64(head[nh + off])
        if kind == IPV6_TLV_PAD1:
            padlen += 1
            if padlen > 7:
                break
            off += 1
            length -= 1
            continue
        if length < 2:
            break
        optlen: i64 = i64(head[nh + off + 1]) + 2
        if optlen > length:
            break
        if kind == IPV6_TLV_PADN:
            padlen += optlen
            if padlen > 7 or not _only_zeros(head, nh + off + 2, nh + off + optlen):
                break
        else:
            count += 1
            if count > max_count:
                break
            if hopbyhop and kind == IPV6_TLV_ROUTERALERT:
                if not ipv6_hop_ra(skb, off):
                    return False
            elif hopbyhop and kind == IPV6_TLV_JUMBO:
                if not ipv6_hop_jumbo(net, skb, off):
                    return False
            elif not ip6_tlvopt_unknown(net, skb, off, disallow_unknowns):
                return False
            padlen = 0
        off += optlen
        length -= optlen
    if length == 0:
        return True
    kfree_skb_reason(skb, SKB_DROP_REASON_IP_INHDR)
    return False


def _only_zeros(head: bytes, at: i64, end: i64) -> bool:
    while at < end:
        if head[at] != 0:
            return False
        at += 1
    return True


def _exthdr_pull(skb: SkBuff) -> i64:
    """Make the extension header at transport_header linear; its bytes, or -1 where skb is shorter."""
    at = skb.transport_header - skb.data
    if not pskb_may_pull(skb, at + 8):
        return -1
    length = ipv6_optlen(i64(skb.head[skb.transport_header + 1]))
    return length if pskb_may_pull(skb, at + length) else -1


def ipv6_parse_hopopts(net: Net, skb: SkBuff) -> int:
    """The hop-by-hop options right behind the IPv6 header: 1, transport_header behind them; or -1, skb dropped.

    Linux: net/ipv6/exthdrs.c.
    """
    extlen = _exthdr_pull(skb)
    if extlen < 0 or extlen > net.ipv6.sysctl_max_hbh_opts_len:
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_INHDR)
        return -1
    skb.ip_flags |= IP6SKB_HOPBYHOP
    if not ip6_parse_tlv(net, True, skb, net.ipv6.sysctl_max_hbh_opts_cnt):
        return -1
    skb.nhoff = skb.transport_header
    skb.transport_header += extlen
    return 1


def ipv6_destopt_rcv(net: Net, skb: SkBuff) -> i64:
    """Destination options: 1: go on behind them; -1: skb was dropped.  Linux: net/ipv6/exthdrs.c."""
    extlen = _exthdr_pull(skb)
    if extlen < 0 or extlen > net.ipv6.sysctl_max_dst_opts_len:
        IP6_INC_STATS(net, IPSTATS_MIB_INHDRERRORS)
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_INHDR)
        return -1
    if ip6_parse_tlv(net, False, skb, net.ipv6.sysctl_max_dst_opts_cnt):
        skb.nhoff = skb.transport_header
        skb.transport_header += extlen
        return 1
    IP6_INC_STATS(net, IPSTATS_MIB_INHDRERRORS)
    return -1


def ipv6_rthdr_rcv(net: Net, skb: SkBuff) -> i64:
    """A routing header: stepped over where it is used up, else refused. 1 or -1.  Linux: net/ipv6/exthdrs.c.

    Type 0 is no more (RFC 5095), mobile IPv6's type 2 is not known. Segment routing and RPL are off until a sysctl that is not
    here lets them, so their packets are dropped without a word, as Linux does by default.
    """
    extlen = _exthdr_pull(skb)
    if extlen < 0:
        IP6_INC_STATS(net, IPSTATS_MIB_INHDRERRORS)
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_INHDR)
        return -1
    if ipv6_addr_is_multicast(skb.daddr6) or skb.pkt_type != PACKET_HOST:
        IP6_INC_STATS(net, IPSTATS_MIB_INADDRERRORS)
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_INADDRERRORS)
        return -1
    th = skb.transport_header
    kind: i64 = i64(skb.head[th + 2])
    if kind == IPV6_SRCRT_TYPE_3 or kind == IPV6_SRCRT_TYPE_4:
        kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED)
        return -1
    if i64(skb.head[th + 3]) != 0:
        IP6_INC_STATS(net, IPSTATS_MIB_INHDRERRORS)
        icmpv6_param_prob(net, skb, ICMPV6_HDR_FIELD, th + 2 - skb.network_header, SKB_DROP_REASON_IP_INHDR)
        return -1
    skb.nhoff = th
    skb.transport_header += extlen
    return 1


class DestoptProtocol(NetProtocol):
    """Linux: destopt_protocol."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net: Net = net
        self.final = False

    def handler(self, skb: SkBuff) -> i64:
        """See ipv6_destopt_rcv."""
        return ipv6_destopt_rcv(self.net, skb)

    def err_handler(self, skb: SkBuff, info: i64) -> int:
        """Nobody to tell."""
        return 0


class RthdrProtocol(NetProtocol):
    """Linux: rthdr_protocol."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net: Net = net
        self.final = False

    def handler(self, skb: SkBuff) -> i64:
        """See ipv6_rthdr_rcv."""
        return ipv6_rthdr_rcv(self.net, skb)

    def err_handler(self, skb: SkBuff, info: i64) -> int:
        """Nobody to tell."""
        return 0


class NodataProtocol(NetProtocol):
    """Linux: nodata_protocol: a packet that says that it carries nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.final = False

    def handler(self, skb: SkBuff) -> i64:
        """Drop it (Linux: dst_discard)."""
        kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED)
        return 0

    def err_handler(self, skb: SkBuff, info: i64) -> int:
        """Nobody to tell."""
        return 0


def ipv6_exthdrs_init(net: Net) -> None:
    """Register the extension headers.  Linux: net/ipv6/exthdrs.c."""
    inet6_add_protocol(net, RthdrProtocol(net), IPPROTO_ROUTING)
    inet6_add_protocol(net, DestoptProtocol(net), IPPROTO_DSTOPTS)
    inet6_add_protocol(net, NodataProtocol(), IPPROTO_NONE)


# -- sending

def ipv6_push_exthdr(skb: SkBuff, proto: i64, opt: bytes) -> None:
    """Put an extension header in front of skb, whose first header is of kind proto.  Linux: net/ipv6/exthdrs.c."""
    skb_push(skb, int(proto).to_bytes(1, 'big') + opt[1:])


def ipv6_push_frag_opts(skb: SkBuff, opt: Ipv6Txoptions, proto: i64) -> i64:
    """Push the headers that are part of what is fragmented; the number that names the first header now.

    Linux: net/ipv6/exthdrs.c.
    """
    if len(opt.dst1opt) == 0:
        return proto
    ipv6_push_exthdr(skb, proto, opt.dst1opt)
    return IPPROTO_DSTOPTS


def ipv6_push_nfrag_opts(skb: SkBuff, opt: Ipv6Txoptions, proto: i64, final_dst: int) -> i64:
    """Push the headers that every fragment has: routing (its last address is final_dst), destination options before it,
    hop-by-hop options. Gives the number that names the first one now.  Linux: net/ipv6/exthdrs.c.

    The packet's first destination is ipv6_first_hop's.
    """
    if len(opt.srcrt) != 0:
        ipv6_push_exthdr(skb, proto, ipv6_rthdr_rotated(opt.srcrt, final_dst))
        proto = IPPROTO_ROUTING
        # without a routing header IPV6_RTHDRDSTOPTS is ignored
        if len(opt.dst0opt) != 0:
            ipv6_push_exthdr(skb, proto, opt.dst0opt)
            proto = IPPROTO_DSTOPTS
    if len(opt.hopopt) != 0:
        ipv6_push_exthdr(skb, proto, opt.hopopt)
        proto = IPPROTO_HOPOPTS
    return proto


def ipv6_rthdr_rotated(srcrt: bytes, final_dst: int) -> bytes:
    """A program's routing header (type 0 or 2) as the packet carries it: without its first address, and with final_dst last."""
    hops: i64 = i64(srcrt[1]) >> 1
    if hops < 1:
        return srcrt
    return srcrt[:8] + srcrt[24:8 + 16 * hops] + in6_bytes(final_dst) + srcrt[8 + 16 * hops:]


def ipv6_first_hop(opt: Ipv6Txoptions | None, daddr: int) -> int:
    """Where a packet for daddr is sent to first."""
    if opt is None or len(opt.srcrt) < 24:
        return daddr
    return in6_read(opt.srcrt, 8)


def fl6_update_dst(fl6: Flowi6, opt: Ipv6Txoptions | None) -> int:
    """Let a look-up go to the first stop of a source route. Gives the final destination, 0: fl6.daddr is that.

    Linux: net/ipv6/exthdrs.c.
    """
    if opt is None or len(opt.srcrt) < 24:
        return 0
    final = fl6.daddr
    fl6.daddr = in6_read(opt.srcrt, 8)
    return final


def ipv6_opt_lengths(opt: Ipv6Txoptions) -> None:
    """Count opt_flen and opt_nflen anew after a header was changed."""
    opt.opt_nflen = len(opt.hopopt) + len(opt.srcrt) + (len(opt.dst0opt) if len(opt.srcrt) != 0 else 0)
    opt.opt_flen = len(opt.dst1opt)


def ipv6_dup_options(opt: Ipv6Txoptions) -> Ipv6Txoptions:
    """A copy.  Linux: net/ipv6/exthdrs.c."""
    new = Ipv6Txoptions()
    new.hopopt = opt.hopopt
    new.dst0opt = opt.dst0opt
    new.srcrt = opt.srcrt
    new.dst1opt = opt.dst1opt
    ipv6_opt_lengths(new)
    return new


def ipv6_fixup_options(opt: Ipv6Txoptions | None) -> Ipv6Txoptions | None:
    """The same without destination options for stops where there are none.  Linux: net/ipv6/exthdrs.c."""
    if opt is None or len(opt.dst0opt) == 0 or len(opt.srcrt) != 0:
        return opt
    new = ipv6_dup_options(opt)
    new.dst0opt = b''
    ipv6_opt_lengths(new)
    return new


def ipv6_exthdr_bytes(head: bytes, at: i64, kind: i64) -> bytes:
    """The whole extension header of this kind in the packet at byte `at` of head, b'' where it has none."""
    off = ipv6_find_hdr(head, at, kind)
    if off < 0 or off + 2 > len(head):
        return b''
    return head[off:off + ipv6_optlen(i64(head[off + 1]))]
