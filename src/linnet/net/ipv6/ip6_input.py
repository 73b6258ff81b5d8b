# SPDX-License-Identifier: Apache-2.0
"""The way in: a packet's header is checked, it is routed, and it is delivered here or forwarded.

    ipv6_rcv > ip6_rcv_core > (ipv6_parse_hopopts) > nf_hook (PRE_ROUTING) > ip6_rcv_finish > ip6_route_input > dst_input
    ip6_input > nf_hook (LOCAL_IN) > ip6_input_finish > ip6_protocol_deliver_rcu > extension headers, then the protocol's handler

Extension headers are handlers like transports; each moves transport_header on and says by nhoff where the next one is named,
until a handler keeps the packet. The header's fields that are asked for again and again are parsed into the skb here, once.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.icmpv6 import (
    ICMPV6_MGM_QUERY,
    ICMPV6_MGM_REDUCTION,
    ICMPV6_MGM_REPORT,
    ICMPV6_MLD2_REPORT,
    ICMPV6_PARAMPROB,
    ICMPV6_UNK_NEXTHDR,
)
from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.in6 import IN6ADDR_LOOPBACK, IPPROTO_HOPOPTS, IPPROTO_ICMPV6
from linnet.include.linux.inet import IPPROTO_TCP, IPPROTO_UDP
from linnet.include.linux.ipv6 import ipv6_hdr_parse, ipv6_payload_len
from linnet.include.linux.netdevice import IFF_LOOPBACK, NetDevice, PacketType
from linnet.include.linux.netfilter import NF_INET_LOCAL_IN, NF_INET_PRE_ROUTING, NFPROTO_IPV6, nf_hook
from linnet.include.linux.skbuff import (
    PACKET_BROADCAST,
    PACKET_LOOPBACK,
    PACKET_MULTICAST,
    PACKET_OTHERHOST,
    SkBuff,
)
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_IP_INADDRERRORS,
    SKB_DROP_REASON_IP_INHDR,
    SKB_DROP_REASON_IP_INVALID_SOURCE,
    SKB_DROP_REASON_IP_NOPROTO,
    SKB_DROP_REASON_IPV6DISABLED,
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_DROP_REASON_OTHERHOST,
    SKB_DROP_REASON_PKT_TOO_SMALL,
    SKB_DROP_REASON_UNICAST_IN_L2_MULTICAST,
)
from linnet.include.net.dst import DstInput, dst_input
from linnet.include.net.ipv6 import ipv6_addr_is_multicast
from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import (
    IP6_ADD_STATS,
    IP6_INC_STATS,
    IPSTATS_MIB_INDELIVERS,
    IPSTATS_MIB_INDISCARDS,
    IPSTATS_MIB_INHDRERRORS,
    IPSTATS_MIB_INMCASTOCTETS,
    IPSTATS_MIB_INMCASTPKTS,
    IPSTATS_MIB_INNOECTPKTS,
    IPSTATS_MIB_INOCTETS,
    IPSTATS_MIB_INRECEIVES,
    IPSTATS_MIB_INTRUNCATEDPKTS,
    IPSTATS_MIB_INUNKNOWNPROTOS,
)
from linnet.include.net.sock import Sock
from linnet.net.core.dev import dev_add_pack
from linnet.net.core.skbuff import consume_skb, kfree_skb_reason, pskb_may_pull, pskb_trim, skb_clone, skb_orphan
from linnet.net.ipv6.exthdrs import ipv6_parse_hopopts
from linnet.net.ipv6.mcast import ipv6_chk_mcast_addr
from linnet.net.ipv6.route import ip6_route_input


class Ip6Input(DstInput):
    """Routes to this host."""

    def input(self, skb: SkBuff) -> i64:
        """See ip6_input."""
        return ip6_input(skb)


class Ip6McInput(DstInput):
    """Routes of multicasts that this host may want."""

    def input(self, skb: SkBuff) -> i64:
        """See ip6_mc_input."""
        return ip6_mc_input(skb)


class Ipv6PacketType(PacketType):
    """Linux: ipv6_packet_type."""

    def __init__(self) -> None:
        super().__init__(ETH_P_IPV6)

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> i64:
        """See ipv6_rcv."""
        return ipv6_rcv(skb, dev, self, orig_dev)


def ip6_input_init(net: Net) -> None:
    """Let routes lead here."""
    net.ipv6.ip6_input = Ip6Input()
    net.ipv6.ip6_mc_input = Ip6McInput()


def ipv6_packet_init(net: Net) -> None:
    """From now on packets of type ETH_P_IPV6 come here.  Linux: net/ipv6/af_inet6.c."""
    dev_add_pack(net, Ipv6PacketType())


def ipv6_rcv(skb: SkBuff, dev: NetDevice, pt: PacketType | None, orig_dev: NetDevice) -> i64:
    """A packet of type ETH_P_IPV6 came in, data at its header. NET_RX_SUCCESS or NET_RX_DROP.  Linux: net/ipv6/ip6_input.c."""
    net = dev.net
    good = ip6_rcv_core(skb, dev, net)
    if good is None:
        return 1
    ret = nf_hook(NFPROTO_IPV6, NF_INET_PRE_ROUTING, net, None, good, dev, None)
    if ret != 1:
        return ret
    return ip6_rcv_finish(net, None, good)


def _header_error(net: Net, skb: SkBuff, reason: i64) -> None:
    """The header is no good."""
    IP6_INC_STATS(net, IPSTATS_MIB_INHDRERRORS)
    kfree_skb_reason(skb, reason)


def ip6_rcv_core(skb: SkBuff, dev: NetDevice, net: Net) -> SkBuff | None:
    """Check the header, cut off padding, parse; None where skb was dropped.  Linux: net/ipv6/ip6_input.c.  RFC 8200, 3."""
    if skb.pkt_type == PACKET_OTHERHOST:
        kfree_skb_reason(skb, SKB_DROP_REASON_OTHERHOST)
        return None
    mib = net.mib.ipv6
    mib[IPSTATS_MIB_INRECEIVES] += 1
    mib[IPSTATS_MIB_INOCTETS] += int(skb.len)
    if skb.users != 1:  # a tap holds it too
        clone = skb_clone(skb)
        consume_skb(skb)
        skb = clone
    idev = dev.ip6_ptr
    if idev is None or idev.cnf.disable_ipv6 != 0:
        mib[IPSTATS_MIB_INDISCARDS] += 1
        kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED if idev is None else SKB_DROP_REASON_IPV6DISABLED)
        return None
    at = skb.data
    if not pskb_may_pull(skb, 40) or (skb.head[at] >> 4) != 6:
        _header_error(net, skb, SKB_DROP_REASON_IP_INHDR)
        return None
    skb.network_header = at
    skb.transport_header = at + 40
    ipv6_hdr_parse(skb, at)
    segs = skb.gso_segs
    mib[IPSTATS_MIB_INNOECTPKTS + (skb.tos & 3)] += int(segs) if segs > 1 else 1
    reason = _bad_addresses(skb, dev)
    if reason == 0 and idev.cnf.drop_unicast_in_l2_multicast != 0 and not ipv6_addr_is_multicast(skb.daddr6) and (
            skb.pkt_type == PACKET_BROADCAST or skb.pkt_type == PACKET_MULTICAST):
        reason = SKB_DROP_REASON_UNICAST_IN_L2_MULTICAST
    if reason != 0:
        _header_error(net, skb, reason)
        return None
    skb.nhoff = at + 6
    skb.ip_flags = 0
    skb.frag_max_size = 0
    if len(skb.ip_opt) != 0:
        skb.ip_opt = b''
    length = ipv6_payload_len(skb.head, at)
    # a length of 0 with hop-by-hop options may be a jumbogram's (RFC 2675)
    if length != 0 or skb.ip_protocol != IPPROTO_HOPOPTS:
        length += 40
        if length > skb.len:
            mib[IPSTATS_MIB_INTRUNCATEDPKTS] += 1
            kfree_skb_reason(skb, SKB_DROP_REASON_PKT_TOO_SMALL)
            return None
        if length < skb.len:
            pskb_trim(skb, length)
    if skb.ip_protocol == IPPROTO_HOPOPTS and ipv6_parse_hopopts(net, skb) < 0:
        IP6_INC_STATS(net, IPSTATS_MIB_INHDRERRORS)
        return None
    if skb.sk is not None:
        skb_orphan(skb)
    return skb


def _bad_addresses(skb: SkBuff, dev: NetDevice) -> i64:
    """Addresses that no packet on a wire may have: a drop reason, or 0.  RFC 4291, 2.5.3 and 2.7, with erratum 3480."""
    head = skb.head
    at = skb.network_header
    inside = (dev.flags & IFF_LOOPBACK) != 0
    if not inside and (skb.saddr6 == IN6ADDR_LOOPBACK or skb.daddr6 == IN6ADDR_LOOPBACK):
        return SKB_DROP_REASON_IP_INHDR
    if head[at + 24] == 0xFF:  # to a group
        scope = head[at + 25] & 0xF
        if scope == 0 or (scope == 1 and not inside and skb.pkt_type != PACKET_LOOPBACK):
            return SKB_DROP_REASON_IP_INHDR
    if head[at + 8] == 0xFF:
        return SKB_DROP_REASON_IP_INVALID_SOURCE
    return 0


def ip6_rcv_finish(net: Net, sk: Sock | None, skb: SkBuff) -> i64:
    """Find its route, by its socket's where that is known, and go where it leads.  Linux: net/ipv6/ip6_input.c."""
    if skb.dst is None and skb.sk is None:
        ipv4 = net.ipv4
        if ipv4.sysctl_ip_early_demux != 0:
            protocol = skb.ip_protocol
            if protocol == IPPROTO_TCP:
                if ipv4.sysctl_tcp_early_demux != 0:
                    prot = net.ipv6.inet6_protos.get(IPPROTO_TCP)
                    if prot is not None:
                        prot.early_demux(skb)
            elif protocol == IPPROTO_UDP and ipv4.sysctl_udp_early_demux != 0:
                prot = net.ipv6.inet6_protos.get(IPPROTO_UDP)
                if prot is not None:
                    prot.early_demux(skb)
    if skb.dst is None:
        ip6_route_input(skb)
    return dst_input(skb)


# -- delivery

def ip6_input(skb: SkBuff) -> i64:
    """The packet is for this host.  Linux: net/ipv6/ip6_input.c."""
    dev = skb.dev
    assert dev is not None
    net = dev.net
    ret = nf_hook(NFPROTO_IPV6, NF_INET_LOCAL_IN, net, None, skb, dev, None)
    if ret != 1:
        return ret
    return ip6_input_finish(net, skb)


def ip6_input_finish(net: Net, skb: SkBuff) -> i64:
    """The hooks let it in.  Linux: net/ipv6/ip6_input.c."""
    ip6_protocol_deliver_rcu(net, skb)
    return 0


def ip6_mc_input(skb: SkBuff) -> i64:
    """A multicast: delivered where this host is in the group.  Linux: net/ipv6/ip6_input.c.

    There is no multicast routing here: what this host does not want is dropped.
    """
    dev = skb.dev
    assert dev is not None
    net = dev.net
    IP6_INC_STATS(net, IPSTATS_MIB_INMCASTPKTS)
    IP6_ADD_STATS(net, IPSTATS_MIB_INMCASTOCTETS, skb.len)
    if ipv6_chk_mcast_addr(dev, skb.daddr6, skb.saddr6):
        return ip6_input(skb)
    kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED)
    return 0


def ip6_protocol_deliver_rcu(net: Net, skb: SkBuff) -> None:
    """Step from header to header until one's handler keeps skb. Raw sockets get clones. If nobody wants it, its sender is told.

    Linux: net/ipv6/ip6_input.c.
    """
    ipv6 = net.ipv6
    have_final = False
    while True:
        step = skb.transport_header - skb.data
        if not pskb_may_pull(skb, step):
            _discard(net, skb, SKB_DROP_REASON_NOT_SPECIFIED)
            return
        skb.data += step
        skb.len -= step
        nexthdr: i64 = i64(skb.head[skb.nhoff])
        raw = False
        if ipv6.raw_v6_hash:
            callbacks = ipv6.raw_callbacks
            if callbacks is not None:
                raw = callbacks.raw_local_deliver(skb, nexthdr)
        prot = ipv6.inet6_protos.get(int(nexthdr))
        if prot is None:
            if raw:
                IP6_INC_STATS(net, IPSTATS_MIB_INDELIVERS)
                consume_skb(skb)
            else:
                IP6_INC_STATS(net, IPSTATS_MIB_INUNKNOWNPROTOS)
                ipv6.icmp6_sender.send(skb, ICMPV6_PARAMPROB, ICMPV6_UNK_NEXTHDR, skb.nhoff - skb.network_header)
                kfree_skb_reason(skb, SKB_DROP_REASON_IP_NOPROTO)
            return
        if prot.final:
            have_final = True
            dev = skb.dev
            if (skb.head[skb.network_header + 24] == 0xFF and dev is not None and not ipv6_is_mld(skb, nexthdr)
                    and not ipv6_chk_mcast_addr(dev, skb.daddr6, skb.saddr6)):
                _discard(net, skb, SKB_DROP_REASON_IP_INADDRERRORS)
                return
        elif have_final:  # nothing is wrapped in a transport
            _discard(net, skb, SKB_DROP_REASON_NOT_SPECIFIED)
            return
        ret = prot.handler(skb)
        if ret <= 0:
            if ret == 0:
                IP6_INC_STATS(net, IPSTATS_MIB_INDELIVERS)
            return


def _discard(net: Net, skb: SkBuff, reason: i64) -> None:
    IP6_INC_STATS(net, IPSTATS_MIB_INDISCARDS)
    kfree_skb_reason(skb, reason)


def ipv6_is_mld(skb: SkBuff, nexthdr: i64) -> bool:
    """Is it a message of multicast listener discovery, data at its header?  Linux: include/net/addrconf.h."""
    if nexthdr != IPPROTO_ICMPV6 or not pskb_may_pull(skb, 1):
        return False
    kind = i64(skb.head[skb.data])
    return (kind == ICMPV6_MGM_QUERY or kind == ICMPV6_MGM_REPORT or kind == ICMPV6_MGM_REDUCTION
            or kind == ICMPV6_MLD2_REPORT)
