# SPDX-License-Identifier: Apache-2.0
"""The way in: a packet's header is checked, it is routed, and it is delivered here or forwarded.

    ip_rcv > ip_rcv_core > nf_hook (PRE_ROUTING) > ip_rcv_finish > ip_rcv_finish_core > ip_route_input_noref > dst_input
    ip_local_deliver > (ip_defrag) > nf_hook (LOCAL_IN) > ip_local_deliver_finish > ip_protocol_deliver_rcu > the protocol's
    handler

The header's fields that are asked for again and again are parsed into the skb here, once.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.icmp import ICMP_DEST_UNREACH, ICMP_PARAMETERPROB, ICMP_PROT_UNREACH
from linnet.include.linux.inet import IPPROTO_TCP, IPPROTO_UDP
from linnet.include.linux.inetdevice import IN_DEV_SOURCE_ROUTE, __in_dev_get_rcu
from linnet.include.linux.ip import (
    IP_MF,
    IP_OFFSET,
    ip_daddr,
    ip_fast_csum,
    ip_frag_off,
    ip_saddr,
    ip_tot_len,
)
from linnet.include.linux.netdevice import NetDevice, PacketType
from linnet.include.linux.netfilter import NF_INET_LOCAL_IN, NF_INET_PRE_ROUTING, NFPROTO_IPV4, nf_hook
from linnet.include.linux.skbuff import (
    PACKET_BROADCAST,
    PACKET_HOST,
    PACKET_MULTICAST,
    PACKET_OTHERHOST,
    SkBuff,
)
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_IP_CSUM,
    SKB_DROP_REASON_IP_INHDR,
    SKB_DROP_REASON_IP_NOPROTO,
    SKB_DROP_REASON_IP_OPTIONS_ERROR,
    SKB_DROP_REASON_IP_RPFILTER,
    SKB_DROP_REASON_OTHERHOST,
    SKB_DROP_REASON_PKT_TOO_SMALL,
    SKB_DROP_REASON_UNICAST_IN_L2_MULTICAST,
    SKB_NOT_DROPPED_YET,
)
from linnet.include.net.dst import DstInput, dst_input
from linnet.include.net.ip_fib import RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST, RTN_UNICAST
from linnet.include.net.net_namespace import Net
from linnet.include.net.route import Rtable
from linnet.include.net.snmp import (
    IPSTATS_MIB_INBCASTOCTETS,
    IPSTATS_MIB_INBCASTPKTS,
    IPSTATS_MIB_INCSUMERRORS,
    IPSTATS_MIB_INDELIVERS,
    IPSTATS_MIB_INHDRERRORS,
    IPSTATS_MIB_INMCASTOCTETS,
    IPSTATS_MIB_INMCASTPKTS,
    IPSTATS_MIB_INNOECTPKTS,
    IPSTATS_MIB_INOCTETS,
    IPSTATS_MIB_INRECEIVES,
    IPSTATS_MIB_INTRUNCATEDPKTS,
    IPSTATS_MIB_INUNKNOWNPROTOS,
    LINUX_MIB_IPREVERSEPATHFILTER,
    NET_ADD_STATS,
    NET_INC_STATS,
)
from linnet.include.net.sock import Sock
from linnet.kernel.errno import EINVAL
from linnet.net.core.skbuff import consume_skb, kfree_skb_reason, pskb_may_pull, pskb_trim, skb_clone, skb_orphan
from linnet.net.ipv4.icmp import icmp_send
from linnet.net.ipv4.ip_fragment import IP_DEFRAG_LOCAL_DELIVER, ip_defrag
from linnet.net.ipv4.ip_options import IPSKB_RR_NEEDADDR, IPSKB_TS_NEEDADDR, IpOptions, __ip_options_compile, be32
from linnet.net.ipv4.ip_output_local import ip_send_check
from linnet.net.ipv4.ip_sockglue import fib_compute_spec_dst
from linnet.net.ipv4.route import ip_rt_get_source
from linnet.net.ipv4.route_input import ip_route_input_again, ip_route_input_noref, ip_rt_input_init


class IpLocalDeliver(DstInput):
    """Routes to this host."""

    def input(self, skb: SkBuff) -> i64:
        """See ip_local_deliver."""
        return ip_local_deliver(skb)


def ip_input_init(net: Net) -> None:
    """Let routes lead here."""
    net.ipv4.ip_local_deliver = IpLocalDeliver()
    ip_rt_input_init(net)


def ip_rcv(skb: SkBuff, dev: NetDevice, pt: PacketType | None, orig_dev: NetDevice) -> i64:
    """A packet of type ETH_P_IP came in, data at its header. NET_RX_SUCCESS or NET_RX_DROP.  Linux: net/ipv4/ip_input.c."""
    net = dev.net
    good = ip_rcv_core(skb, net)
    if good is None:
        return 1
    ret = nf_hook(NFPROTO_IPV4, NF_INET_PRE_ROUTING, net, None, good, dev, None)
    if ret != 1:
        return ret
    return ip_rcv_finish(None, good)


def _header_error(net: Net, skb: SkBuff, reason: i64) -> None:
    """The header is no good."""
    NET_INC_STATS(net, IPSTATS_MIB_INHDRERRORS)
    kfree_skb_reason(skb, reason)


def ip_rcv_core(skb: SkBuff, net: Net) -> SkBuff | None:
    """Check the header (RFC 1122, 3.2.1), cut off padding, parse; None where skb was dropped.  Linux: net/ipv4/ip_input.c."""
    if skb.pkt_type == PACKET_OTHERHOST:
        kfree_skb_reason(skb, SKB_DROP_REASON_OTHERHOST)
        return None
    mib = net.mib.counters
    mib[IPSTATS_MIB_INRECEIVES] += 1
    mib[IPSTATS_MIB_INOCTETS] += int(skb.len)
    if skb.users != 1:  # a tap holds it too
        clone = skb_clone(skb)
        consume_skb(skb)
        skb = clone
    if not pskb_may_pull(skb, 20):
        _header_error(net, skb, SKB_DROP_REASON_IP_INHDR)
        return None
    head = skb.head
    at = skb.data
    first: i64 = i64(head[at])
    ihl = (first & 15) << 2
    if (first >> 4) != 4 or ihl < 20:
        _header_error(net, skb, SKB_DROP_REASON_IP_INHDR)
        return None
    tos: i64 = i64(head[at + 1])
    segs = skb.gso_segs
    mib[IPSTATS_MIB_INNOECTPKTS + (tos & 3)] += int(segs) if segs > 1 else 1
    if ihl > 20:
        if not pskb_may_pull(skb, ihl):
            _header_error(net, skb, SKB_DROP_REASON_IP_INHDR)
            return None
        head = skb.head
    if ip_fast_csum(head, at, ihl) != 0:
        NET_INC_STATS(net, IPSTATS_MIB_INCSUMERRORS)
        _header_error(net, skb, SKB_DROP_REASON_IP_CSUM)
        return None
    length = ip_tot_len(head, at)
    if skb.len != length:
        if skb.len < length:
            NET_INC_STATS(net, IPSTATS_MIB_INTRUNCATEDPKTS)
            kfree_skb_reason(skb, SKB_DROP_REASON_PKT_TOO_SMALL)
            return None
        if length < ihl:
            _header_error(net, skb, SKB_DROP_REASON_IP_INHDR)
            return None
        pskb_trim(skb, length)
    elif length < ihl:
        _header_error(net, skb, SKB_DROP_REASON_IP_INHDR)
        return None
    skb.network_header = at
    skb.transport_header = at + ihl
    skb.saddr = ip_saddr(head, at)
    skb.daddr = ip_daddr(head, at)
    skb.tos = tos
    skb.ttl = i64(head[at + 8])
    skb.ip_protocol = i64(head[at + 9])
    skb.ip_flags = 0
    skb.frag_max_size = 0
    if ihl > 20:
        skb.ip_opt = head[at + 20:at + ihl]
    elif len(skb.ip_opt) != 0:
        skb.ip_opt = b''
    if skb.sk is not None:
        skb_orphan(skb)
    return skb


def ip_rcv_finish(sk: Sock | None, skb: SkBuff) -> i64:
    """Route, and go where the route leads.  Linux: net/ipv4/ip_input.c."""
    dev = skb.dev
    assert dev is not None
    if ip_rcv_finish_core(dev.net, skb, dev) != 0:
        return 1
    return dst_input(skb)


def ip_rcv_finish_core(net: Net, skb: SkBuff, dev: NetDevice) -> i64:
    """Find skb's route, by its socket's where that is known; do its options. 0, or 1 where it was dropped.

    Linux: net/ipv4/ip_input.c.
    """
    ipv4 = net.ipv4
    if skb.dst is None and skb.sk is None and ipv4.sysctl_ip_early_demux != 0:
        if (ip_frag_off(skb.head, skb.network_header) & (IP_MF | IP_OFFSET)) == 0:
            protocol = skb.ip_protocol
            if protocol == IPPROTO_TCP and ipv4.sysctl_tcp_early_demux != 0:
                ipv4.inet_protos[IPPROTO_TCP].early_demux(skb)
            elif protocol == IPPROTO_UDP and ipv4.sysctl_udp_early_demux != 0:
                ipv4.inet_protos[IPPROTO_UDP].early_demux(skb)
    if skb.dst is None:
        reason = ip_route_input_noref(skb, skb.daddr, skb.saddr, skb.tos & 0x1C, dev)
        if reason != SKB_NOT_DROPPED_YET:
            if reason == SKB_DROP_REASON_IP_RPFILTER:
                NET_INC_STATS(net, LINUX_MIB_IPREVERSEPATHFILTER)
            kfree_skb_reason(skb, reason)
            return 1
    if len(skb.ip_opt) != 0 and ip_rcv_options(skb, dev) != 0:
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_OPTIONS_ERROR)
        return 1
    rt = skb.dst
    assert isinstance(rt, Rtable)
    type = rt.rt_type
    if type == RTN_MULTICAST:
        NET_INC_STATS(net, IPSTATS_MIB_INMCASTPKTS)
        NET_ADD_STATS(net, IPSTATS_MIB_INMCASTOCTETS, skb.len)
    elif type == RTN_BROADCAST:
        NET_INC_STATS(net, IPSTATS_MIB_INBCASTPKTS)
        NET_ADD_STATS(net, IPSTATS_MIB_INBCASTOCTETS, skb.len)
    elif skb.pkt_type == PACKET_BROADCAST or skb.pkt_type == PACKET_MULTICAST:
        in_dev = __in_dev_get_rcu(dev)
        if in_dev is not None and in_dev.cnf.drop_unicast_in_l2_multicast != 0:
            kfree_skb_reason(skb, SKB_DROP_REASON_UNICAST_IN_L2_MULTICAST)
            return 1
    return 0


# -- options


def _store_options(skb: SkBuff, options: bytes) -> None:
    at = skb.network_header + 20
    skb.head = skb.head[:at] + options + skb.head[at + len(options):]
    skb.ip_opt = options


def ip_options_compile(net: Net, skb: SkBuff) -> IpOptions | None:
    """Check skb's options and fill in what they ask for; None where they are wrong, which the sender is told.

    Linux: net/ipv4/ip_options.c.
    """
    opt = __ip_options_compile(net, skb.ip_opt, True, fib_compute_spec_dst(net, skb))
    if opt.err >= 0:
        icmp_send(skb, ICMP_PARAMETERPROB, 0, (opt.err + 20) << 24)
        return None
    if opt.data != skb.ip_opt:
        _store_options(skb, opt.data)
        ip_send_check(skb)
    if opt.rr_needaddr:
        skb.ip_flags |= IPSKB_RR_NEEDADDR
    if opt.ts_needaddr:
        skb.ip_flags |= IPSKB_TS_NEEDADDR
    return opt


def ip_rcv_options(skb: SkBuff, dev: NetDevice) -> int:
    """The options of a received packet: 0, or a negative errno where it is to be dropped.  Linux: net/ipv4/ip_input.c."""
    net = dev.net
    opt = ip_options_compile(net, skb)
    if opt is None:
        NET_INC_STATS(net, IPSTATS_MIB_INHDRERRORS)
        return -EINVAL
    if opt.srr >= 0:
        in_dev = __in_dev_get_rcu(dev)
        if in_dev is not None and not IN_DEV_SOURCE_ROUTE(in_dev):
            return -EINVAL
        return ip_options_rcv_srr(skb, opt, dev)
    return 0


def ip_options_rcv_srr(skb: SkBuff, opt: IpOptions, dev: NetDevice) -> int:
    """A source-routed packet: where it is for this host and goes on, its next address is taken out of the list.

    Linux: net/ipv4/ip_options.c, which leaves the rewriting to ip_forward_options.  RFC 791, 3.1; RFC 1122, 3.3.5.
    """
    rt = skb.dst
    if skb.pkt_type != PACKET_HOST or not isinstance(rt, Rtable):
        return -EINVAL
    if rt.rt_type == RTN_UNICAST:
        if not opt.is_strictroute:
            return 0
        icmp_send(skb, ICMP_PARAMETERPROB, 0, 16 << 24)
        return -EINVAL
    if rt.rt_type != RTN_LOCAL:
        return -EINVAL
    data = bytearray(skb.ip_opt)
    at = int(opt.srr)
    space = data[at + 1]
    while data[at + 2] <= space:
        pointer = data[at + 2]
        if pointer + 3 > space:
            icmp_send(skb, ICMP_PARAMETERPROB, 0, (at + 22) << 24)
            return -EINVAL
        nexthop = int.from_bytes(data[at + pointer - 1:at + pointer + 3], 'big')
        if ip_route_input_again(skb, nexthop, dev) != 0:
            skb.dst = rt
            return -EINVAL
        rt2 = skb.dst
        if not isinstance(rt2, Rtable) or rt2.rt_type not in (RTN_UNICAST, RTN_LOCAL):
            skb.dst = rt
            return -EINVAL
        data[at + pointer - 1:at + pointer + 3] = be32(skb.daddr if rt2.rt_type == RTN_LOCAL else ip_rt_get_source(skb, rt2))
        data[at + 2] = pointer + 4
        nh = skb.network_header
        skb.head = skb.head[:nh + 16] + be32(nexthop) + skb.head[nh + 20:]
        skb.daddr = nexthop
        _store_options(skb, bytes(data))
        ip_send_check(skb)
        if rt2.rt_type != RTN_LOCAL:
            break
    return 0


# -- delivery


def ip_local_deliver(skb: SkBuff) -> i64:
    """The packet is for this host.  Linux: net/ipv4/ip_input.c."""
    dev = skb.dev
    assert dev is not None
    net = dev.net
    if (ip_frag_off(skb.head, skb.network_header) & (IP_MF | IP_OFFSET)) != 0:
        if ip_defrag(net, skb, IP_DEFRAG_LOCAL_DELIVER) != 0:
            return 0
    ret = nf_hook(NFPROTO_IPV4, NF_INET_LOCAL_IN, net, None, skb, dev, None)
    if ret != 1:
        return ret
    return ip_local_deliver_finish(net, skb)


def ip_local_deliver_finish(net: Net, skb: SkBuff) -> i64:
    """Step over the IP header, and hand the datagram to its protocol.  Linux: net/ipv4/ip_input.c."""
    step = skb.transport_header - skb.data
    skb.data += step
    skb.len -= step
    ip_protocol_deliver_rcu(net, skb, skb.ip_protocol)
    return 0


def ip_protocol_deliver_rcu(net: Net, skb: SkBuff, protocol: i64) -> None:
    """Raw sockets get clones; the protocol gets skb. Where nobody wants it, the sender is told.  Linux: net/ipv4/ip_input.c."""
    ipv4 = net.ipv4
    while True:
        raw = False
        if ipv4.raw_v4_hash:
            callbacks = ipv4.raw_callbacks
            if callbacks is not None:
                raw = callbacks.raw_local_deliver(skb, protocol)
        prot = ipv4.inet_protos.get(protocol)
        if prot is None:
            if not raw:
                NET_INC_STATS(net, IPSTATS_MIB_INUNKNOWNPROTOS)
                icmp_send(skb, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, 0)
                kfree_skb_reason(skb, SKB_DROP_REASON_IP_NOPROTO)
            else:
                NET_INC_STATS(net, IPSTATS_MIB_INDELIVERS)
                consume_skb(skb)
            return
        ret = prot.handler(skb)
        if ret >= 0:
            NET_INC_STATS(net, IPSTATS_MIB_INDELIVERS)
            return
        protocol = -ret
