# SPDX-License-Identifier: Apache-2.0
"""From a transport to the route: the IPv6 header and the extension headers are built, LOCAL_OUT hooks run, and it goes on.

    ip6_xmit (a connected socket, or an answer without one) > nf_hook (LOCAL_OUT) > dst_output_sk > ip6_output

This is the lower half of Linux's ip6_output.c; what stands above it, from the route to the neighbour, is ip6_output.py.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.in6 import IPV6_PMTUDISC_DO, IPV6_PMTUDISC_OMIT, IPV6_PMTUDISC_PROBE
from linnet.include.linux.ipv6 import (
    IP6SKB_FORWARDED,
    IPV6_FLOWLABEL_MASK,
    IPV6_FLOWLABEL_STATELESS_FLAG,
    IPV6_MAXPLEN,
    IPV6_MIN_MTU,
    Ipv6Pinfo,
    ipv6_hdr_build,
)
from linnet.include.linux.netfilter import NF_INET_LOCAL_OUT, NFPROTO_IPV6, nf_hook
from linnet.include.linux.skbuff import SkBuff, skb_push
from linnet.include.net.dropreason import SKB_DROP_REASON_PKT_TOO_BIG
from linnet.include.net.dst import RTAX_MTU, DstEntry, dst_metric_locked, dst_output_sk
from linnet.include.net.flow import Flowi6
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.ipv6 import Ipv6Txoptions, ipv6_addr_hash
from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import IP6_INC_STATS, IPSTATS_MIB_FRAGFAILS, IPSTATS_MIB_OUTREQUESTS
from linnet.include.net.sock import Sock
from linnet.kernel.errno import EMSGSIZE
from linnet.net.core.flow_dissector import flow_hash
from linnet.net.core.skbuff import kfree_skb_reason
from linnet.net.ipv6.datagram import ipv6_local_error
from linnet.net.ipv6.exthdrs import ipv6_first_hop, ipv6_push_frag_opts, ipv6_push_nfrag_opts
from linnet.net.ipv6.route_alloc import ip6_dst_hoplimit

LINUX_FILE: Final = 'net/ipv6/ip6_output.c'

# net.ipv6.auto_flowlabels
IP6_AUTO_FLOW_LABEL_OFF: Final = 0
IP6_AUTO_FLOW_LABEL_OPTOUT: Final = 1
IP6_AUTO_FLOW_LABEL_OPTIN: Final = 2
IP6_AUTO_FLOW_LABEL_FORCED: Final = 3


def ipv6_pinfo(sk: Sock | None) -> Ipv6Pinfo | None:
    """IPv6's part of a socket, None where it has none (or there is no socket).  Linux: inet6_sk."""
    return sk.pinet6 if isinstance(sk, InetSock) else None


# -- hop limit, path MTU

def ip6_dst_mtu_maybe_forward(dst: DstEntry, forwarding: bool) -> i64:
    """The MTU along dst; a router does not heed what it learnt itself (it could be lied to).  Linux: include/net/ip6_route.h."""
    if not forwarding or dst_metric_locked(dst, RTAX_MTU):
        return dst.mtu()
    mtu: i64 = dst.metrics[RTAX_MTU]
    if mtu != 0 and dst.expires == 0:
        return mtu
    idev = dst.dev.ip6_ptr
    return idev.cnf.mtu6 if idev is not None else IPV6_MIN_MTU


def ip6_sk_accept_pmtu(np: Ipv6Pinfo) -> bool:
    """Does this socket believe what ICMPv6 says of the path MTU?  Linux: include/net/ip6_route.h."""
    return np.pmtudisc != 4 and np.pmtudisc != IPV6_PMTUDISC_OMIT  # IPV6_PMTUDISC_INTERFACE


def ip6_sk_ignore_df(np: Ipv6Pinfo) -> bool:
    """May its packets be fragmented here although they are larger than the path takes?  Linux: include/net/ip6_route.h."""
    return np.pmtudisc < IPV6_PMTUDISC_DO or np.pmtudisc == IPV6_PMTUDISC_OMIT


def ip6_skb_dst_mtu(skb: SkBuff) -> i64:
    """How large a packet may leave along skb's route.  Linux: include/net/ip6_route.h."""
    dst = skb.dst
    assert dst is not None
    np = ipv6_pinfo(skb.sk)
    if np is not None and np.pmtudisc >= IPV6_PMTUDISC_PROBE:
        return dst.dev.mtu
    return ip6_dst_mtu_maybe_forward(dst, (skb.ip_flags & IP6SKB_FORWARDED) != 0)


# -- flow labels (RFC 6437)

def ip6_default_np_autolabel(net: Net) -> bool:
    """Do sockets label their flows unless they say otherwise?  Linux: include/net/ipv6.h."""
    mode = net.ipv6.sysctl_auto_flowlabels
    return mode == IP6_AUTO_FLOW_LABEL_OPTOUT or mode == IP6_AUTO_FLOW_LABEL_FORCED


def ip6_autoflowlabel(net: Net, np: Ipv6Pinfo | None) -> bool:
    """Does this socket (None: no socket) label its flows?  Linux: net/ipv6/ip6_output.c."""
    if np is None or not np.autoflowlabel_set:
        return ip6_default_np_autolabel(net)
    return np.autoflowlabel


def ip6_make_flowlabel(net: Net, skb: SkBuff, flowlabel: i64, autolabel: bool, fl6: Flowi6) -> i64:
    """The flow label of skb: the one given, or one made of the flow's hash where the host and the socket want that.

    flowlabel may hold a traffic class above its 20 bits; the result does not.  Linux: include/net/ipv6.h.
    """
    flowlabel &= IPV6_FLOWLABEL_MASK
    mode = net.ipv6.sysctl_auto_flowlabels
    if flowlabel != 0 or mode == IP6_AUTO_FLOW_LABEL_OFF or (not autolabel and mode != IP6_AUTO_FLOW_LABEL_FORCED):
        return flowlabel
    h = skb_get_hash_flowi6(net, skb, fl6)
    # other bits of it than those that choose queues: what leaves the host tells nothing of its insides
    label = ((h >> 16) | (h << 16)) & IPV6_FLOWLABEL_MASK
    if net.ipv6.sysctl_flowlabel_state_ranges != 0:
        label |= IPV6_FLOWLABEL_STATELESS_FLAG
    return label


def skb_get_hash_flowi6(net: Net, skb: SkBuff, fl6: Flowi6) -> i64:
    """The packet's flow hash, of its flow where it has none yet; ICMPv6's type and code count as ports.

    Linux: include/linux/skbuff.h.
    """
    h = skb.hash
    if h == 0:
        ports = (fl6.fl6_sport << 16) | fl6.fl6_dport | (fl6.fl6_icmp_type << 24) | (fl6.fl6_icmp_code << 16)
        h = flow_hash(net.hash_mix, ipv6_addr_hash(fl6.saddr), ipv6_addr_hash(fl6.daddr), ports, fl6.flowi6_proto) | 1
        skb.hash = h
    return h


# -- sending

def ip6_push_header(skb: SkBuff, tclass: i64, flowlabel: i64, nexthdr: i64, hop_limit: i64, saddr: int, daddr: int) -> None:
    """Build the IPv6 header in front of skb, and note its fields."""
    length = skb.len
    skb_push(skb, ipv6_hdr_build(tclass, flowlabel, length if length <= IPV6_MAXPLEN else 0, nexthdr, hop_limit, saddr, daddr))
    skb.network_header = skb.data
    skb.nhoff = skb.data + 6
    skb.saddr6 = saddr
    skb.daddr6 = daddr
    skb.tos = tclass
    skb.ttl = hop_limit
    skb.ip_protocol = nexthdr
    skb.ip_flags = 0
    skb.protocol = ETH_P_IPV6


def ip6_xmit(sk: Sock | None, skb: SkBuff, fl6: Flowi6, mark: i64, opt: Ipv6Txoptions | None, tclass: i64, priority: i64) -> i64:
    """Send skb (data at the transport's header, its route on it) from fl6.saddr to fl6.daddr.

    sk: whose hop limit and flow label it gets, None for an answer without a socket. 0, NET_XMIT_*, or a negative errno; skb is
    owned.  Linux: net/ipv6/ip6_output.c, where it is for sockets alone.
    """
    dst = skb.dst
    assert dst is not None
    net = dst.dev.net
    np = ipv6_pinfo(sk)
    proto = fl6.flowi6_proto
    first_hop = fl6.daddr
    if opt is not None:
        if opt.opt_flen != 0:
            proto = ipv6_push_frag_opts(skb, opt, proto)
        if opt.opt_nflen != 0:
            proto = ipv6_push_nfrag_opts(skb, opt, proto, fl6.daddr)
            first_hop = ipv6_first_hop(opt, first_hop)
    hlimit: i64 = -1
    if np is not None:
        hlimit = np.hop_limit
    if hlimit < 0:
        hlimit = ip6_dst_hoplimit(dst)
    label = ip6_make_flowlabel(net, skb, fl6.flowlabel, ip6_autoflowlabel(net, np), fl6)
    ip6_push_header(skb, tclass, label, proto, hlimit, fl6.saddr, first_hop)
    skb.priority = priority
    skb.mark = mark
    if skb.len <= dst.mtu() or skb.ignore_df or skb.gso_size != 0:
        IP6_INC_STATS(net, IPSTATS_MIB_OUTREQUESTS)
        ret = nf_hook(NFPROTO_IPV6, NF_INET_LOCAL_OUT, net, sk, skb, None, dst.dev)
        if ret != 1:
            return ret
        return dst_output_sk(sk, skb)
    skb.dev = dst.dev
    if sk is not None and np is not None:
        ipv6_local_error(sk, EMSGSIZE, fl6, dst.mtu())
    IP6_INC_STATS(net, IPSTATS_MIB_FRAGFAILS)
    kfree_skb_reason(skb, SKB_DROP_REASON_PKT_TOO_BIG)
    return -EMSGSIZE
