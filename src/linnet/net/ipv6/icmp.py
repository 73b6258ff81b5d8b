# SPDX-License-Identifier: Apache-2.0
"""ICMPv6 (RFC 4443): errors about packets that could not go on, echo replies, and what errors teach the sender.

    icmpv6_send > icmp6_send > icmpv6_route_lookup > ip6_append_data > icmpv6_push_pending_frames
    icmpv6_rcv > icmpv6_echo_reply, ndisc_rcv, igmp6_event_query ..., icmpv6_notify > (raw sockets, the transport's err_handler)

No error is sent about an ICMPv6 error or redirect, a multicast (but packet-too-big, and an option that demands it), or a source
that is nobody's (RFC 4443, 2.4). An error quotes as much as fits into 1280 bytes. Two limits hold, as for ICMP: the host's token
bucket and one for each peer (net.ipv6.icmp.ratelimit), both for the types in net.ipv6.icmp.ratemask alone: errors other than
packet-too-big, unless it is set.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmpv6 import (
    ICMP6_HLEN,
    ICMPV6_DEST_UNREACH,
    ICMPV6_ECHO_REPLY,
    ICMPV6_ECHO_REQUEST,
    ICMPV6_INFOMSG_MASK,
    ICMPV6_MGM_QUERY,
    ICMPV6_MGM_REDUCTION,
    ICMPV6_MGM_REPORT,
    ICMPV6_MLD2_REPORT,
    ICMPV6_PARAMPROB,
    ICMPV6_PKT_TOOBIG,
    ICMPV6_TIME_EXCEED,
    ICMPV6_UNK_OPTION,
    NDISC_REDIRECT,
    NDISC_ROUTER_SOLICITATION,
)
from linnet.include.linux.in6 import IPPROTO_ICMPV6
from linnet.include.linux.ipv6 import (
    IPV6_HLEN,
    IPV6_MIN_MTU,
    Ipv6Pinfo,
    ip6_flowlabel,
    ipv6_daddr,
    ipv6_nexthdr,
    ipv6_saddr,
)
from linnet.include.linux.netdevice import IFF_LOOPBACK, NetDevice
from linnet.include.linux.skbuff import (
    CHECKSUM_NONE,
    CHECKSUM_PARTIAL,
    CHECKSUM_UNNECESSARY,
    PACKET_HOST,
    SkBuff,
    __skb_pull,
    skb_headlen,
    skb_peek,
)
from linnet.include.linux.socket import AF_INET6, MSG_DONTWAIT, SOCK_RAW, Msghdr
from linnet.include.linux.unaligned import get_be32
from linnet.include.net.checksum import csum_partial
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_ICMP_CSUM,
    SKB_DROP_REASON_NO_SOCKET,
    SKB_DROP_REASON_PKT_TOO_SMALL,
    SKB_DROP_REASON_UNHANDLED_PROTO,
    SKB_NOT_DROPPED_YET,
)
from linnet.include.net.flow import Flowi6
from linnet.include.net.inet_sock import RawSock
from linnet.include.net.ip6_fib import RTF_LOCAL, Rt6Info
from linnet.include.net.ipv6 import (
    IPV6_ADDR_LINKLOCAL,
    Ipcm6Cookie,
    csum_ipv6_magic,
    ipv6_addr_is_multicast,
    ipv6_addr_type,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.netns.ipv6 import Icmp6Sender
from linnet.include.net.protocol import NetProtocol
from linnet.include.net.snmp import (
    ICMP6_INC_STATS,
    ICMP6_MIB_CSUMERRORS,
    ICMP6_MIB_INERRORS,
    ICMP6_MIB_INMSGS,
    ICMP6_MIB_OUTERRORS,
    ICMP6_MIB_RATELIMITHOST,
    ICMP6MSGIN_INC_STATS,
)
from linnet.kernel.errno import EACCES, ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH, EPROTO
from linnet.kernel.softirq import local_bh_disable, local_bh_enable
from linnet.net.core.skbuff import consume_skb, kfree_skb_reason, pskb_may_pull, skb_checksum, skb_copy_bits
from linnet.net.core.sock import sock_init_data
from linnet.net.ipv4.icmp import icmp_global_allow
from linnet.net.ipv4.inetpeer import inet_getpeer_v6, inet_peer_xrlim_allow
from linnet.net.ipv6.addrconf_saddr import ipv6_chk_addr
from linnet.net.ipv6.anycast import ipv6_chk_acast_addr
from linnet.net.ipv6.exthdrs_core import ipv6_skip_exthdr
from linnet.net.ipv6.ip6_output_append import ip6_append_data, ip6_flush_pending_frames, ip6_push_pending_frames
from linnet.net.ipv6.ip6_output_lookup import ip6_dst_lookup_flow
from linnet.net.ipv6.mcast_mld import igmp6_event_query, igmp6_event_report
from linnet.net.ipv6.ndisc import ndisc_rcv
from linnet.net.ipv6.protocol import inet6_add_protocol
from linnet.net.ipv6.route import ip6_dst_hoplimit, ip6_update_pmtu

FLOWLABEL_REFLECT_ICMPV6_ECHO_REPLIES: Final = 4

# by code of "destination unreachable": errno, and 1 << 16 where it ends a connection
UNREACH_ERR_CONVERT: Final = (
    ENETUNREACH, EACCES | 1 << 16, EHOSTUNREACH, EHOSTUNREACH, ECONNREFUSED | 1 << 16, EACCES | 1 << 16, EACCES | 1 << 16,
)


def icmpv6_err_convert(type: i64, code: i64) -> i64:
    """The errno of an error; bit 16 is set where it is final.  Linux: net/ipv6/icmp.c, which gives the two separately."""
    if type == ICMPV6_DEST_UNREACH:
        return i64(UNREACH_ERR_CONVERT[code]) if code < len(UNREACH_ERR_CONVERT) else EPROTO | 1 << 16
    if type == ICMPV6_PKT_TOOBIG:
        return EMSGSIZE
    if type == ICMPV6_PARAMPROB:
        return EPROTO | 1 << 16
    return EHOSTUNREACH if type == ICMPV6_TIME_EXCEED else EPROTO


class Icmp6Control:
    """What ICMPv6 keeps of a Net: the socket that its messages are sent by, and the peers it limits."""

    def __init__(self, sk: RawSock) -> None:
        self.sk: RawSock = sk
        self.busy: bool = False  # a message is being built: what it provokes may not build another


class Icmp6Protocol(NetProtocol):
    """ICMPv6 as one of IPv6's protocols (Linux: icmpv6_protocol)."""

    def handler(self, skb: SkBuff) -> i64:
        """See icmpv6_rcv."""
        return icmpv6_rcv(skb)

    def err_handler(self, skb: SkBuff, info: i64) -> int:
        """See icmpv6_err."""
        return icmpv6_err(skb, info)


class Icmp6Send(Icmp6Sender):
    """icmpv6_send for the layers below."""

    def send(self, skb: SkBuff, type: i64, code: i64, info: i64) -> None:
        """See icmp6_send."""
        icmp6_send(skb, type, code, info)


def icmpv6_init(net: Net) -> None:
    """Make the control socket and register with IPv6.  Linux: net/ipv6/icmp.c."""
    sk = RawSock()
    sk.sk_net = net
    sk.sk_family = AF_INET6
    sk.pinet6 = Ipv6Pinfo()
    sock_init_data(None, sk)
    sk.sk_type = SOCK_RAW
    sk.sk_protocol = IPPROTO_ICMPV6
    sk.sk_num = IPPROTO_ICMPV6
    sk.sk_sndbuf = 2 * (65536 + 576)
    net.ipv6.icmp6 = Icmp6Control(sk)
    net.ipv6.icmp6_sender = Icmp6Send()
    inet6_add_protocol(net, Icmp6Protocol(), IPPROTO_ICMPV6)


def icmpv6_control(net: Net) -> Icmp6Control:
    """The Net's ICMPv6 state."""
    control = net.ipv6.icmp6
    assert isinstance(control, Icmp6Control)
    return control


# -- limits

def icmpv6_mask_allow(net: Net, type: i64) -> bool:
    """Is a message of this type free of limits? What only informs is by default, and packet-too-big, for path MTU discovery
    needs it.  Linux: net/ipv6/icmp.c.
    """
    return (net.ipv6.sysctl_icmpv6_ratemask >> int(type)) & 1 == 0


def icmpv6_global_allow(net: Net, type: i64) -> bool:
    """May the host send one more message of this type? The bucket is shared with ICMP.  Linux: net/ipv6/icmp.c."""
    if icmpv6_mask_allow(net, type):
        return True
    if not icmp_global_allow(net):
        return False
    net.ipv4.icmp_global_credit -= net.ipv6.random.below(3)
    return True


def icmpv6_xrlim_allow(net: Net, rt: Rt6Info, type: i64, daddr: int) -> bool:
    """May this peer be sent one more message of this type?  Linux: net/ipv6/icmp.c."""
    if icmpv6_mask_allow(net, type) or (rt.dev.flags & IFF_LOOPBACK) != 0:
        return True
    if inet_peer_xrlim_allow(net, inet_getpeer_v6(net, daddr), net.ipv6.sysctl_icmpv6_time):
        return True
    ICMP6_INC_STATS(net, ICMP6_MIB_RATELIMITHOST)
    return False


# -- sending

def is_ineligible(skb: SkBuff) -> bool:
    """Is skb an ICMPv6 error or redirect, or too short to tell? No error is sent about that.  Linux: net/ipv6/icmp.c."""
    at = skb.network_header
    found = ipv6_skip_exthdr(skb.head, at + IPV6_HLEN, ipv6_nexthdr(skb.head, at))
    if found.offset < 0:
        return True
    if found.nexthdr != IPPROTO_ICMPV6 or (found.frag_off & ~7) != 0:
        return False
    first = skb.head[found.offset:found.offset + 1]
    if len(first) == 0:
        first = skb_copy_bits(skb, found.offset - skb.data, 1)  # a raw socket's message is not in head
        if len(first) == 0:
            return True
    kind = i64(first[0])
    return (kind & ICMPV6_INFOMSG_MASK) == 0 or kind == NDISC_REDIRECT


def icmpv6_may_send(skb: SkBuff, type: i64, code: i64) -> bool:
    """Do the rules allow an error about skb?  RFC 4443, 2.4 (e)."""
    at = skb.network_header
    if at < 0 or at + IPV6_HLEN > len(skb.head):
        return False
    demanded = type == ICMPV6_PKT_TOOBIG or (type == ICMPV6_PARAMPROB and code == ICMPV6_UNK_OPTION)
    if (ipv6_addr_is_multicast(ipv6_daddr(skb.head, at)) or skb.pkt_type != PACKET_HOST) and not demanded:
        return False
    source = ipv6_saddr(skb.head, at)
    return source != 0 and not ipv6_addr_is_multicast(source) and not is_ineligible(skb)


def icmpv6_send(skb: SkBuff, type: i64, code: i64, info: i64) -> None:
    """Send an ICMPv6 error about skb (which the caller keeps). info: the 32 bits after the checksum (MTU, pointer).

    Linux: include/linux/icmpv6.h.
    """
    icmp6_send(skb, type, code, info)


def icmp6_send(skb: SkBuff, type: i64, code: i64, info: i64) -> None:
    """See icmpv6_send.  Linux: net/ipv6/icmp.c."""
    dev = skb.dev
    dst = skb.dst
    if dev is None and dst is not None:
        dev = dst.dev
    if dev is None or not icmpv6_may_send(skb, type, code):
        return
    net = dev.net
    control = icmpv6_control(net)
    cpu = net.world.cpu
    local_bh_disable(cpu)
    if not control.busy and ((dev.flags & IFF_LOOPBACK) != 0 or icmpv6_global_allow(net, type)):
        control.busy = True
        _icmp6_send_routed(net, control, skb, dev, type, code, info)
        control.busy = False
    local_bh_enable(cpu)


def _icmp6_send_routed(net: Net, control: Icmp6Control, skb: SkBuff, dev: NetDevice, type: i64, code: i64, info: i64) -> None:
    """icmp6_send's second half: find the route, quote, send."""
    at = skb.network_header
    fl6 = Flowi6()
    fl6.flowi6_proto = IPPROTO_ICMPV6
    fl6.daddr = ipv6_saddr(skb.head, at)
    target = ipv6_daddr(skb.head, at)
    if ipv6_chk_addr(net, target, dev, False) or ipv6_chk_acast_addr(net, dev, target):
        fl6.saddr = target
    fl6.flowi6_oif = icmp6_iif(skb, fl6.daddr, target)
    fl6.fl6_icmp_type = type
    fl6.fl6_icmp_code = code
    rt = ip6_dst_lookup_flow(net, control.sk, fl6, 0)
    if rt is None or not icmpv6_xrlim_allow(net, rt, type, fl6.daddr):
        return
    room = IPV6_MIN_MTU - IPV6_HLEN - ICMP6_HLEN
    header = bytes((int(type), int(code))) + b'\0\0' + (int(info) & 0xFFFFFFFF).to_bytes(4, 'big')
    icmpv6_push_reply(net, control.sk, header, icmpv6_quote(skb, room), fl6, Ipcm6Cookie(), rt)


def icmp6_iif(skb: SkBuff, peer: int, target: int) -> i64:
    """The device that a link-local peer is told by; 0: the route says.  Linux: net/ipv6/icmp.c."""
    if ((ipv6_addr_type(peer) | ipv6_addr_type(target)) & IPV6_ADDR_LINKLOCAL) == 0:
        return 0
    return skb.skb_iif


def icmpv6_quote(skb: SkBuff, room: i64) -> bytes:
    """At most `room` bytes of skb from its IPv6 header on."""
    linear = skb.head[skb.network_header:skb.network_header + room]
    left = room - len(linear)
    if left > 0 and skb.data_len > 0:
        return linear + skb_copy_bits(skb, skb_headlen(skb), left if left < skb.data_len else skb.data_len)
    return linear


def icmpv6_push_reply(net: Net, sk: RawSock, header: bytes, payload: bytes, fl6: Flowi6, ipc6: Ipcm6Cookie, rt: Rt6Info) -> None:
    """Build a message and send it. header: the first eight bytes, without the checksum."""
    ipc6.hlimit = ip6_dst_hoplimit(rt)
    if ip6_append_data(sk, fl6, Msghdr(payload), len(payload) + ICMP6_HLEN, ICMP6_HLEN, ipc6, rt, MSG_DONTWAIT) < 0:
        ICMP6_INC_STATS(net, ICMP6_MIB_OUTERRORS)
        ip6_flush_pending_frames(sk)
        return
    icmpv6_push_pending_frames(net, sk, fl6, header, payload)


def icmpv6_push_pending_frames(net: Net, sk: RawSock, fl6: Flowi6, header: bytes, payload: bytes) -> None:
    """Put header and checksum in front of what is queued, and send it.  Linux: net/ipv6/icmp.c."""
    skb = skb_peek(sk.sk_write_queue)
    if skb is None:
        return
    length: i64 = len(header) + len(payload)
    check = int(csum_ipv6_magic(fl6.saddr, fl6.daddr, length, IPPROTO_ICMPV6, csum_partial(payload, csum_partial(header, 0))))
    skb.head = header[:2] + check.to_bytes(2, 'big') + header[4:]
    skb.ip_summed = CHECKSUM_NONE
    ip6_push_pending_frames(sk)


def icmpv6_echo_ignored(net: Net, daddr: int, unicast: bool) -> bool:
    """Do the sysctls say that echo requests to this address get no answer?"""
    ipv6 = net.ipv6
    if ipv6.sysctl_icmpv6_echo_ignore_all != 0:
        return True
    if unicast:
        return False
    if ipv6_addr_is_multicast(daddr):
        return ipv6.sysctl_icmpv6_echo_ignore_multicast != 0
    return ipv6.sysctl_icmpv6_echo_ignore_anycast != 0


def icmpv6_echo_reply(net: Net, skb: SkBuff) -> i64:
    """Send the echo back, its code and traffic class too (RFC 4443, 4.2); data is behind the header. A request to a group or to
    an anycast address is answered from an address of this host's own.

    Linux: net/ipv6/icmp.c.
    """
    rt_in = skb.dst
    dev = skb.dev
    unicast = isinstance(rt_in, Rt6Info) and (rt_in.rt6i_flags & RTF_LOCAL) != 0
    if dev is None or icmpv6_echo_ignored(net, skb.daddr6, unicast):
        return SKB_NOT_DROPPED_YET
    control = icmpv6_control(net)
    if control.busy or ((dev.flags & IFF_LOOPBACK) == 0 and not icmpv6_global_allow(net, ICMPV6_ECHO_REPLY)):
        return SKB_NOT_DROPPED_YET
    fl6 = Flowi6()
    fl6.flowi6_proto = IPPROTO_ICMPV6
    fl6.daddr = skb.saddr6
    if unicast:
        fl6.saddr = skb.daddr6
    fl6.flowi6_oif = icmp6_iif(skb, skb.saddr6, skb.daddr6)
    fl6.flowi6_mark = skb.mark if net.ipv6.sysctl_fwmark_reflect != 0 else 0
    fl6.fl6_icmp_type = ICMPV6_ECHO_REPLY
    if (net.ipv6.sysctl_flowlabel_reflect & FLOWLABEL_REFLECT_ICMPV6_ECHO_REPLIES) != 0:
        fl6.flowlabel = ip6_flowlabel(skb.head, skb.network_header)
    control.busy = True
    rt = ip6_dst_lookup_flow(net, control.sk, fl6, 0)
    if rt is not None and icmpv6_xrlim_allow(net, rt, ICMPV6_ECHO_REPLY, fl6.daddr):
        ipc6 = Ipcm6Cookie()
        ipc6.tclass = skb.tos
        th = skb.transport_header
        header = bytes((ICMPV6_ECHO_REPLY, skb.head[th + 1], 0, 0)) + skb.head[th + 4:th + 8]
        icmpv6_push_reply(net, control.sk, header, skb_copy_bits(skb, 0, skb.len), fl6, ipc6, rt)
    control.busy = False
    return SKB_NOT_DROPPED_YET


# -- receiving

def icmpv6_rcv(skb: SkBuff) -> i64:
    """An ICMPv6 message, data at its header.  Linux: net/ipv6/icmp.c."""
    dev = skb.dev
    assert dev is not None
    net = dev.net
    ICMP6_INC_STATS(net, ICMP6_MIB_INMSGS)
    reason = icmpv6_rcv_check(net, skb)
    if reason == SKB_NOT_DROPPED_YET:
        reason = icmpv6_dispatch(net, skb, i64(skb.head[skb.transport_header]))
    else:
        ICMP6_INC_STATS(net, ICMP6_MIB_INERRORS)
    if reason == SKB_NOT_DROPPED_YET:
        consume_skb(skb)
    else:
        kfree_skb_reason(skb, reason)
    return 0


def icmpv6_rcv_check(net: Net, skb: SkBuff) -> i64:
    """Is the message sound? Steps over its header. A drop reason, or SKB_NOT_DROPPED_YET."""
    if skb.ip_summed != CHECKSUM_UNNECESSARY and skb.ip_summed != CHECKSUM_PARTIAL:
        total = skb_checksum(skb, 0, skb.len, 0)
        if csum_ipv6_magic(skb.saddr6, skb.daddr6, skb.len, IPPROTO_ICMPV6, total) != 0:
            ICMP6_INC_STATS(net, ICMP6_MIB_CSUMERRORS)
            return SKB_DROP_REASON_ICMP_CSUM
    if not pskb_may_pull(skb, ICMP6_HLEN):
        return SKB_DROP_REASON_PKT_TOO_SMALL
    skb.transport_header = skb.data
    ICMP6MSGIN_INC_STATS(net, i64(skb.head[skb.data]))
    __skb_pull(skb, ICMP6_HLEN)
    return SKB_NOT_DROPPED_YET


def _whole(skb: SkBuff) -> SkBuff:
    """skb with data back at the ICMPv6 header."""
    skb.data -= ICMP6_HLEN
    skb.len += ICMP6_HLEN
    return skb


def icmpv6_dispatch(net: Net, skb: SkBuff, type: i64) -> i64:
    """Call the type's handler."""
    if type == ICMPV6_ECHO_REQUEST:
        return icmpv6_echo_reply(net, skb)
    if type == ICMPV6_ECHO_REPLY:
        ping = net.ipv6.ping_callbacks
        return SKB_DROP_REASON_NO_SOCKET if ping is None else ping.ping_rcv(_whole(skb))
    if type == ICMPV6_DEST_UNREACH or type == ICMPV6_PKT_TOOBIG or type == ICMPV6_TIME_EXCEED or type == ICMPV6_PARAMPROB:
        return icmpv6_notify(net, skb, type)
    if NDISC_ROUTER_SOLICITATION <= type <= NDISC_REDIRECT:
        return ndisc_rcv(_whole(skb))
    if type == ICMPV6_MGM_QUERY:
        igmp6_event_query(_whole(skb))
        return SKB_NOT_DROPPED_YET
    if type == ICMPV6_MGM_REPORT:
        igmp6_event_report(_whole(skb))
        return SKB_NOT_DROPPED_YET
    if type == ICMPV6_MGM_REDUCTION or type == ICMPV6_MLD2_REPORT or (type & ICMPV6_INFOMSG_MASK) != 0:
        return SKB_NOT_DROPPED_YET  # for routers; and what only informs, in a way that is not known
    # an error of an unknown kind goes to the upper layer (RFC 4443, 2.4 (a))
    return icmpv6_notify(net, skb, type)


def icmpv6_notify(net: Net, skb: SkBuff, type: i64) -> i64:
    """A packet of ours did not arrive: tell who sent it. data is at the quoted IPv6 header. Of a fragment that is not the first
    raw sockets of protocol 44 hear alone.  Linux: net/ipv6/icmp.c.
    """
    if not pskb_may_pull(skb, IPV6_HLEN):
        ICMP6_INC_STATS(net, ICMP6_MIB_INERRORS)
        return SKB_DROP_REASON_PKT_TOO_SMALL
    pskb_may_pull(skb, skb.len)  # who reads the quotation finds all of it in head
    info = get_be32(skb.head, skb.transport_header + 4)
    found = ipv6_skip_exthdr(skb.head, skb.data + IPV6_HLEN, ipv6_nexthdr(skb.head, skb.data))
    if found.offset < 0:
        ICMP6_INC_STATS(net, ICMP6_MIB_INERRORS)
        return SKB_DROP_REASON_UNHANDLED_PROTO
    if found.offset + 8 > len(skb.head):
        ICMP6_INC_STATS(net, ICMP6_MIB_INERRORS)
        return SKB_DROP_REASON_PKT_TOO_SMALL
    prot = net.ipv6.inet6_protos.get(int(found.nexthdr))
    if prot is not None:
        prot.err_handler(skb, info)
    raw = net.ipv6.raw_callbacks
    if raw is not None:
        raw.raw_icmp_error(skb, found.nexthdr, info)
    return SKB_NOT_DROPPED_YET


def icmpv6_err(skb: SkBuff, info: i64) -> int:
    """The error quotes an ICMPv6 message of ours: an echo request is a ping socket's, a reply is the kernel's own.

    Linux: net/ipv6/icmp.c.
    """
    dev = skb.dev
    assert dev is not None
    found = ipv6_skip_exthdr(skb.head, skb.data + IPV6_HLEN, ipv6_nexthdr(skb.head, skb.data))
    if i64(skb.head[skb.transport_header]) == ICMPV6_PKT_TOOBIG:
        ip6_update_pmtu(skb, dev.net, info, 0, 0)
    if found.offset >= 0 and i64(skb.head[found.offset]) == ICMPV6_ECHO_REQUEST:
        ping = dev.net.ipv6.ping_callbacks
        if ping is not None:
            ping.ping_err(skb, found.offset - skb.data, info)
    return 0
