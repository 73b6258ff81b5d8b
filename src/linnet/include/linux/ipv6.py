# SPDX-License-Identifier: Apache-2.0
"""The IPv6 header (RFC 8200, 3), and what IPv6 keeps of a socket and of a device's settings.  Linux: include/linux/ipv6.h.

ipv6_hdr_parse fills skb.saddr6, daddr6, tos (the traffic class), ttl (the hop limit) and ip_protocol (the next header) on the way
up; what a packet needs beside them stands in skb.ip_flags (IP6SKB_*) and skb.nhoff.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from linnet.include.linux.in6 import IPV6_PMTUDISC_WANT, in6_bytes, in6_read
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.unaligned import get_be16, get_be32, put_be16, put_be32
from linnet.include.net.flow import Flowi6

if TYPE_CHECKING:
    from linnet.include.net.ipv6 import Ipv6Txoptions

IPV6_HLEN: Final = 40
IPV6_MIN_MTU: Final = 1280
IPV6_MAXPLEN: Final = 65535
IPV6_DEFAULT_HOPLIMIT: Final = 64
IPV6_DEFAULT_MCASTHOPS: Final = 1
IPV6_FLOWINFO_MASK: Final = 0x0FFFFFFF
IPV6_FLOWLABEL_MASK: Final = 0x000FFFFF
IPV6_FLOWLABEL_STATELESS_FLAG: Final = 0x00080000

# skb.ip_flags of an IPv6 packet (Linux: IP6CB(skb)->flags)
IP6SKB_XFRM_TRANSFORMED: Final = 1
IP6SKB_FORWARDED: Final = 2
IP6SKB_REROUTED: Final = 4
IP6SKB_ROUTERALERT: Final = 8
IP6SKB_FRAGMENTED: Final = 16
IP6SKB_HOPBYHOP: Final = 32
IP6SKB_FAKEJUMBO: Final = 512


class Ipv6Pinfo:
    """Linux: struct ipv6_pinfo: what IPv6 keeps of a socket. Addresses are those of include/linux/in6.py."""

    def __init__(self) -> None:
        self.saddr: int = 0  # source in packets
        self.sticky_pktinfo_addr: int = 0  # IPV6_PKTINFO set for all packets
        self.sticky_pktinfo_ifindex: i64 = 0
        self.daddr_cache: int = -1  # the destination that sk_dst_cache was looked up for; -1: none
        self.saddr_cache: int = -1
        self.flow_label: i64 = 0  # flow information of connect() and of packets, as in the header's first word
        self.frag_size: i64 = 0  # IPV6_MTU set
        self.hop_limit: i64 = -1  # -1: the route's
        self.mcast_hops: i64 = IPV6_DEFAULT_MCASTHOPS
        self.ucast_oif: i64 = 0
        self.mcast_oif: i64 = 0
        self.mc_loop: bool = True
        self.mc_all: bool = True
        self.recverr: bool = False
        self.recverr_rfc4884: bool = False  # kept, and without consequence
        self.sndflow: bool = False  # IPV6_FLOWINFO_SEND
        self.repflow: bool = False
        self.pmtudisc: i64 = IPV6_PMTUDISC_WANT
        self.srcprefs: i64 = 0
        self.dontfrag: bool = False
        self.autoflowlabel: bool = False
        self.autoflowlabel_set: bool = False
        self.tclass: i64 = 0
        self.min_hopcount: i64 = 0
        self.rcv_flowinfo: i64 = 0
        self.rxopt: i64 = 0  # IPV6_RX_*: the control messages that the program asked for
        self.opt: Ipv6Txoptions | None = None  # extension headers put into each packet
        self.mc_list: list[Ipv6McSocklist] = []
        self.rxpmtu: SkBuff | None = None  # a path MTU that IPV6_RECVPATHMTU is to be told of
        self.cork_fl6: Flowi6 = Flowi6()  # Linux: inet->cork.fl.u.ip6
        self.cork: object = None  # net/ipv6/ip6_output.py: the datagram under construction with MSG_MORE


class Ipv6McSocklist:
    """Linux: struct ipv6_mc_socklist: a group that a socket joined on a device."""

    def __init__(self, addr: int, ifindex: i64) -> None:
        self.addr: int = addr
        self.ifindex: i64 = ifindex


# Ipv6Pinfo.rxopt (Linux: the bits of rxopt)
IPV6_RX_PKTINFO: Final = 1 << 0
IPV6_RX_HOPLIMIT: Final = 1 << 1
IPV6_RX_TCLASS: Final = 1 << 2
IPV6_RX_FLOWINFO: Final = 1 << 3
IPV6_RX_HOPOPTS: Final = 1 << 4
IPV6_RX_DSTOPTS: Final = 1 << 5
IPV6_RX_RTHDR: Final = 1 << 6
IPV6_RX_PATHMTU: Final = 1 << 7
IPV6_RX_ORIGDSTADDR: Final = 1 << 8
IPV6_RX_FRAGSIZE: Final = 1 << 9
IPV6_RX_OPKTINFO: Final = 1 << 10  # the older ones (RFC 2292), which a program may want beside those
IPV6_RX_OHOPLIMIT: Final = 1 << 11
IPV6_RX_OHOPOPTS: Final = 1 << 12
IPV6_RX_ODSTOPTS: Final = 1 << 13
IPV6_RX_ORTHDR: Final = 1 << 14


class Ipv6Devconf:
    """Linux: struct ipv6_devconf, by the names of /proc/sys/net/ipv6/conf/DEV."""

    def __init__(self) -> None:
        self.forwarding: i64 = 0
        self.hop_limit: i64 = IPV6_DEFAULT_HOPLIMIT
        self.ignore_routes_with_linkdown: i64 = 0
        self.mtu6: i64 = IPV6_MIN_MTU
        self.accept_ra: i64 = 1
        self.accept_ra_defrtr: i64 = 1
        self.accept_ra_pinfo: i64 = 1
        self.accept_ra_mtu: i64 = 1
        self.accept_ra_from_local: i64 = 0
        self.accept_ra_min_hop_limit: i64 = 1
        self.accept_ra_min_lft: i64 = 0
        self.accept_ra_rt_info_min_plen: i64 = 0
        self.accept_ra_rt_info_max_plen: i64 = 0
        self.accept_ra_rtr_pref: i64 = 1
        self.accept_redirects: i64 = 1
        self.accept_source_route: i64 = 0
        self.accept_dad: i64 = 1
        self.accept_untracked_na: i64 = 0
        self.addr_gen_mode: i64 = 0
        self.autoconf: i64 = 1
        self.dad_transmits: i64 = 1
        self.disable_ipv6: i64 = 0
        self.disable_policy: i64 = 0
        self.drop_unsolicited_na: i64 = 0
        self.drop_unicast_in_l2_multicast: i64 = 0
        self.enhanced_dad: i64 = 1
        self.force_forwarding: i64 = 0  # what comes in by this device is forwarded, whatever conf/all says
        self.force_mld_version: i64 = 0
        self.force_tllao: i64 = 0
        self.keep_addr_on_down: i64 = 0
        self.max_addresses: i64 = 16
        self.max_desync_factor: i64 = 600
        self.mldv1_unsolicited_report_interval: i64 = 10000
        self.mldv2_unsolicited_report_interval: i64 = 1000
        self.ndisc_evict_nocarrier: i64 = 1
        self.ndisc_notify: i64 = 0
        self.ndisc_tclass: i64 = 0
        self.optimistic_dad: i64 = 0
        self.proxy_ndp: i64 = 0
        self.ra_defrtr_metric: i64 = 1024
        self.ra_honor_pio_life: i64 = 0
        self.regen_max_retry: i64 = 3
        self.regen_min_advance: i64 = 2
        self.router_probe_interval: i64 = 60
        self.router_solicitations: i64 = -1
        self.router_solicitation_delay: i64 = 1
        self.router_solicitation_interval: i64 = 4
        self.router_solicitation_max_interval: i64 = 3600
        self.suppress_frag_ndisc: i64 = 1
        self.temp_prefered_lft: i64 = 86400
        self.temp_valid_lft: i64 = 604800
        self.use_oif_addrs_only: i64 = 0
        self.use_optimistic: i64 = 0
        self.use_tempaddr: i64 = 0


def ipv6_devconf_copy(to: Ipv6Devconf, source: Ipv6Devconf) -> None:
    """Set a new device as conf/default says (Linux: ipv6_add_dev copies the struct)."""
    to.forwarding = source.forwarding
    to.hop_limit = source.hop_limit
    to.mtu6 = source.mtu6
    to.accept_ra = source.accept_ra
    to.accept_ra_defrtr = source.accept_ra_defrtr
    to.accept_ra_pinfo = source.accept_ra_pinfo
    to.accept_ra_mtu = source.accept_ra_mtu
    to.accept_ra_from_local = source.accept_ra_from_local
    to.accept_ra_min_hop_limit = source.accept_ra_min_hop_limit
    to.accept_ra_min_lft = source.accept_ra_min_lft
    to.accept_ra_rt_info_min_plen = source.accept_ra_rt_info_min_plen
    to.accept_ra_rt_info_max_plen = source.accept_ra_rt_info_max_plen
    to.accept_ra_rtr_pref = source.accept_ra_rtr_pref
    to.accept_redirects = source.accept_redirects
    to.accept_source_route = source.accept_source_route
    to.accept_dad = source.accept_dad
    to.accept_untracked_na = source.accept_untracked_na
    to.addr_gen_mode = source.addr_gen_mode
    to.autoconf = source.autoconf
    to.dad_transmits = source.dad_transmits
    to.disable_ipv6 = source.disable_ipv6
    to.disable_policy = source.disable_policy
    to.drop_unsolicited_na = source.drop_unsolicited_na
    to.drop_unicast_in_l2_multicast = source.drop_unicast_in_l2_multicast
    to.enhanced_dad = source.enhanced_dad
    to.force_forwarding = source.force_forwarding
    to.force_mld_version = source.force_mld_version
    to.force_tllao = source.force_tllao
    to.ignore_routes_with_linkdown = source.ignore_routes_with_linkdown
    to.keep_addr_on_down = source.keep_addr_on_down
    to.max_addresses = source.max_addresses
    to.max_desync_factor = source.max_desync_factor
    to.mldv1_unsolicited_report_interval = source.mldv1_unsolicited_report_interval
    to.mldv2_unsolicited_report_interval = source.mldv2_unsolicited_report_interval
    to.ndisc_evict_nocarrier = source.ndisc_evict_nocarrier
    to.ndisc_notify = source.ndisc_notify
    to.ndisc_tclass = source.ndisc_tclass
    to.optimistic_dad = source.optimistic_dad
    to.proxy_ndp = source.proxy_ndp
    to.ra_defrtr_metric = source.ra_defrtr_metric
    to.ra_honor_pio_life = source.ra_honor_pio_life
    to.regen_max_retry = source.regen_max_retry
    to.regen_min_advance = source.regen_min_advance
    to.router_probe_interval = source.router_probe_interval
    to.router_solicitations = source.router_solicitations
    to.router_solicitation_delay = source.router_solicitation_delay
    to.router_solicitation_interval = source.router_solicitation_interval
    to.router_solicitation_max_interval = source.router_solicitation_max_interval
    to.suppress_frag_ndisc = source.suppress_frag_ndisc
    to.temp_prefered_lft = source.temp_prefered_lft
    to.temp_valid_lft = source.temp_valid_lft
    to.use_oif_addrs_only = source.use_oif_addrs_only
    to.use_optimistic = source.use_optimistic
    to.use_tempaddr = source.use_tempaddr


def ipv6_hdr_build(tclass: i64, flowlabel: i64, payload_len: i64, nexthdr: i64, hop_limit: i64, saddr: int, daddr: int) -> bytes:
    """A complete header. payload_len counts extension headers too; flowlabel has 20 bits."""
    w = BytesWriter()
    put_be32(w, (6 << 28) | ((tclass & 0xFF) << 20) | (flowlabel & IPV6_FLOWLABEL_MASK))
    put_be16(w, payload_len)
    w.append(int(nexthdr))
    w.append(int(hop_limit))
    w.write(in6_bytes(saddr))
    w.write(in6_bytes(daddr))
    return w.getvalue()


def ipv6_hdr_parse(skb: SkBuff, at: i64) -> None:
    """Take from the header at byte `at` of head what the layers above ask for."""
    head = skb.head
    skb.tos = (get_be16(head, at) >> 4) & 0xFF
    skb.ip_protocol = i64(head[at + 6])
    skb.ttl = i64(head[at + 7])
    skb.saddr6 = in6_read(head, int(at + 8))
    skb.daddr6 = in6_read(head, int(at + 24))


def ip6_flowinfo(head: bytes, at: i64) -> i64:
    """Traffic class and flow label, 28 bits.  Linux: include/net/ipv6.h."""
    return get_be32(head, at) & IPV6_FLOWINFO_MASK


def ip6_flowlabel(head: bytes, at: i64) -> i64:
    """The flow label.  Linux: include/net/ipv6.h."""
    return get_be32(head, at) & IPV6_FLOWLABEL_MASK


def ipv6_tclass(head: bytes, at: i64) -> i64:
    """The traffic class (DSCP and ECN).  Linux: include/net/ipv6.h, ipv6_get_dsfield."""
    return (get_be16(head, at) >> 4) & 0xFF


def ipv6_payload_len(head: bytes, at: i64) -> i64:
    """Bytes behind the header, extension headers included."""
    return get_be16(head, at + 4)


def ipv6_nexthdr(head: bytes, at: i64) -> i64:
    """The next header: IPPROTO_*."""
    return i64(head[at + 6])


def ipv6_hop_limit(head: bytes, at: i64) -> i64:
    """The hop limit."""
    return i64(head[at + 7])


def ipv6_saddr(head: bytes, at: i64) -> int:
    """Source."""
    return in6_read(head, int(at + 8))


def ipv6_daddr(head: bytes, at: i64) -> int:
    """Destination."""
    return in6_read(head, int(at + 24))


def ipv6_set_payload_len(head: bytes, at: i64, length: i64) -> bytes:
    """The same head with another payload length."""
    w = BytesWriter()
    put_be16(w, length)
    return head[:at + 4] + w.getvalue() + head[at + 6:]


def ipv6_set_ce(head: bytes, at: i64) -> bytes:
    """The same head with the ECN field CE.  Linux: include/net/inet_ecn.h, IP6_ECN_set_ce."""
    w = BytesWriter()
    put_be16(w, get_be16(head, at) | (3 << 4))
    return head[:at] + w.getvalue() + head[at + 2:]


def ipv6_decrease_hop_limit(head: bytes, at: i64) -> bytes:
    """The same head with the hop limit one less."""
    w = BytesWriter()
    w.append(int(head[at + 7]) - 1)
    return head[:at + 7] + w.getvalue() + head[at + 8:]
