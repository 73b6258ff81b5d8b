# SPDX-License-Identifier: Apache-2.0
"""ICMP (RFC 792, 1122, 1812): errors about packets that could not go on, echo and timestamp replies, and what errors teach the
sender.

    icmp_send > __icmp_send > icmp_route_lookup > icmp_push_reply > ip_append_data, ip_push_pending_frames
    icmp_rcv > icmp_echo, icmp_unreach, icmp_redirect ... > icmp_socket_deliver > (raw sockets, the transport's err_handler)

No error is sent about an ICMP error, a fragment other than the first, a broadcast or a multicast (RFC 1122, 3.2.2). Errors quote
up to 576 bytes in all. Two limits hold: a token bucket of the host (icmp_msgs_per_sec, icmp_msgs_burst) and one for each peer
(icmp_ratelimit), both for the types in icmp_ratemask alone.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmp import (
    ICMP_DEST_UNREACH,
    ICMP_ECHO,
    ICMP_ECHOREPLY,
    ICMP_EXC_FRAGTIME,
    ICMP_EXT_ECHOREPLY,
    ICMP_FRAG_NEEDED,
    ICMP_HLEN,
    ICMP_PARAMETERPROB,
    ICMP_REDIRECT,
    ICMP_SOURCE_QUENCH,
    ICMP_TIME_EXCEEDED,
    ICMP_TIMESTAMP,
    ICMP_TIMESTAMPREPLY,
    NR_ICMP_TYPES,
    NR_ICMP_UNREACH,
)
from linnet.include.linux.inet import IP_PMTUDISC_DONT, IPPROTO_ICMP
from linnet.include.linux.ip import IP_OFFSET, ip_daddr, ip_frag_off, ip_ihl, ip_protocol, ip_saddr, ip_tos
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
from linnet.include.linux.socket import AF_INET, MSG_DONTWAIT, SOCK_RAW, Msghdr
from linnet.include.linux.unaligned import get_be16, get_be32
from linnet.include.net.checksum import csum_fold, csum_partial
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_HDR_TRUNC,
    SKB_DROP_REASON_ICMP_CSUM,
    SKB_DROP_REASON_INVALID_PROTO,
    SKB_DROP_REASON_IP_INHDR,
    SKB_DROP_REASON_NO_SOCKET,
    SKB_DROP_REASON_PKT_TOO_SMALL,
    SKB_DROP_REASON_UNHANDLED_PROTO,
    SKB_NOT_DROPPED_YET,
)
from linnet.include.net.flow import Flowi4
from linnet.include.net.inet_sock import RawSock
from linnet.include.net.ip import IpcmCookie
from linnet.include.net.ip_fib import RT_SCOPE_LINK, RTN_BROADCAST, RTN_LOCAL
from linnet.include.net.net_namespace import Net
from linnet.include.net.protocol import NetProtocol
from linnet.include.net.route import RTCF_BROADCAST, RTCF_LOCAL, RTCF_MULTICAST, Rtable
from linnet.include.net.snmp import (
    ICMP_MIB_INADDRMASKREPS,
    ICMP_MIB_INADDRMASKS,
    ICMP_MIB_INCSUMERRORS,
    ICMP_MIB_INDESTUNREACHS,
    ICMP_MIB_INECHOREPS,
    ICMP_MIB_INECHOS,
    ICMP_MIB_INERRORS,
    ICMP_MIB_INMSGS,
    ICMP_MIB_INPARMPROBS,
    ICMP_MIB_INREDIRECTS,
    ICMP_MIB_INSRCQUENCHS,
    ICMP_MIB_INTIMEEXCDS,
    ICMP_MIB_INTIMESTAMPREPS,
    ICMP_MIB_INTIMESTAMPS,
    ICMP_MIB_OUTERRORS,
    ICMP_MIB_OUTRATELIMITGLOBAL,
    ICMP_MIB_OUTRATELIMITHOST,
    NET_INC_STATS,
)
from linnet.include.trace.events.icmp import trace_icmp_send
from linnet.kernel.errno import (
    ECONNREFUSED,
    EHOSTDOWN,
    EHOSTUNREACH,
    EMSGSIZE,
    ENETUNREACH,
    ENONET,
    ENOPROTOOPT,
    EOPNOTSUPP,
)
from linnet.kernel.softirq import local_bh_disable, local_bh_enable
from linnet.net.core.skbuff import consume_skb, kfree_skb_reason, pskb_may_pull, skb_checksum, skb_copy_bits
from linnet.net.core.sock import sock_init_data
from linnet.net.ipv4.devinet import inet_select_addr
from linnet.net.ipv4.fib_frontend import inet_addr_type_dev_table
from linnet.net.ipv4.inetpeer import InetPeerBase, inet_getpeer_v4, inet_peer_xrlim_allow
from linnet.net.ipv4.ip_options import be32, inet_current_timestamp, ip_options_echo, ip_options_faddr
from linnet.net.ipv4.ip_output_append import icmp_out_count as icmp_out_count
from linnet.net.ipv4.ip_output_append import (
    ip_append_data,
    ip_flush_pending_frames,
    ip_push_pending_frames,
)
from linnet.net.ipv4.ip_sockglue import fib_compute_spec_dst
from linnet.net.ipv4.route import ip_route_output_key, ip_route_output_key_hash, ipv4_redirect, ipv4_update_pmtu

ICMP_QUOTE_MAX: Final = 576  # of a whole error message (RFC 1812, 4.3.2.3)
INADDR_DUMMY: Final = 0xC0000008  # 192.0.0.8 (RFC 7600): the source of a host that has none
IPTOS_PREC_INTERNETCONTROL: Final = 0xC0

# by type: errors, of which no error is sent (the types that do not exist count as such)
ICMP_ERROR_TYPES: Final = frozenset((1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12))
ICMP_IN_MIB: Final = {
    0: ICMP_MIB_INECHOREPS, 3: ICMP_MIB_INDESTUNREACHS, 4: ICMP_MIB_INSRCQUENCHS, 5: ICMP_MIB_INREDIRECTS, 8: ICMP_MIB_INECHOS,
    11: ICMP_MIB_INTIMEEXCDS, 12: ICMP_MIB_INPARMPROBS, 13: ICMP_MIB_INTIMESTAMPS, 14: ICMP_MIB_INTIMESTAMPREPS,
    17: ICMP_MIB_INADDRMASKS, 18: ICMP_MIB_INADDRMASKREPS,
}
# by code of "destination unreachable": errno, and 1 << 16 where it ends a connection (RFC 1122, 3.2.2.1)
ICMP_ERR_CONVERT: Final = (
    ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT | 1 << 16, ECONNREFUSED | 1 << 16, EMSGSIZE, EOPNOTSUPP, ENETUNREACH | 1 << 16,
    EHOSTDOWN | 1 << 16, ENONET | 1 << 16, ENETUNREACH | 1 << 16, EHOSTUNREACH | 1 << 16, ENETUNREACH, EHOSTUNREACH,
    EHOSTUNREACH | 1 << 16, EHOSTUNREACH | 1 << 16, EHOSTUNREACH | 1 << 16,
)


def icmp_err_convert(code: i64) -> i64:
    """The errno of a code of "destination unreachable"; bit 16 is set where it is final.

    Linux: net/ipv4/icmp.c, a table there.
    """
    return i64(ICMP_ERR_CONVERT[code])


class IcmpControl:
    """What ICMP keeps of a Net: the socket that its messages are sent by, and the peers it limits."""

    def __init__(self, sk: RawSock) -> None:
        self.sk: RawSock = sk
        self.busy: bool = False  # a message is being built: what it provokes may not build another
        self.peers: InetPeerBase = InetPeerBase()


class IcmpBxm:
    """Linux: struct icmp_bxm: a message under construction. header: the ICMP header without its checksum, and what else is not
    quoted.
    """

    def __init__(self, type: i64, code: i64, rest: bytes, payload: bytes) -> None:
        self.type: i64 = type
        self.code: i64 = code
        self.header: bytes = bytes((int(type), int(code))) + b'\0\0' + rest
        self.payload: bytes = payload
        self.replyopts: bytes = b''


class IcmpProtocol(NetProtocol):
    """ICMP as one of IP's protocols (Linux: icmp_protocol)."""

    def handler(self, skb: SkBuff) -> i64:
        """See icmp_rcv."""
        return icmp_rcv(skb)

    def err_handler(self, skb: SkBuff, info: i64) -> int:
        """See icmp_err."""
        return icmp_err(skb, info)


def icmp_init(net: Net) -> None:
    """Make the control socket and register with IP.  Linux: net/ipv4/icmp.c."""
    sk = RawSock()
    sk.sk_net = net
    sk.sk_family = AF_INET
    sock_init_data(None, sk)
    sk.sk_type = SOCK_RAW
    sk.sk_protocol = IPPROTO_ICMP
    sk.sk_num = IPPROTO_ICMP
    sk.sk_sndbuf = 2 * (65536 + 576)
    sk.uc_ttl = -1
    sk.mc_ttl = 1
    sk.pmtudisc = IP_PMTUDISC_DONT
    net.ipv4.icmp = IcmpControl(sk)
    net.ipv4.icmp_global_credit = net.ipv4.sysctl_icmp_msgs_burst
    net.ipv4.icmp_global_stamp = net.clock.now
    net.ipv4.inet_protos[IPPROTO_ICMP] = IcmpProtocol()


def icmp_control(net: Net) -> IcmpControl:
    """The Net's ICMP state."""
    control = net.ipv4.icmp
    assert isinstance(control, IcmpControl)
    return control


# -- limits


def icmpv4_mask_allow(net: Net, type: i64, code: i64) -> bool:
    """Is a message of this type free of limits?  Linux: net/ipv4/icmp.c."""
    if type > NR_ICMP_TYPES:
        return True
    if type == ICMP_DEST_UNREACH and code == ICMP_FRAG_NEEDED:  # path MTU discovery must not be starved
        return True
    return ((1 << type) & net.ipv4.sysctl_icmp_ratemask) == 0


def icmp_global_allow(net: Net) -> bool:
    """Has the host's bucket a token?  Linux: net/ipv4/icmp.c."""
    ipv4 = net.ipv4
    now = net.clock.now
    delta = now - ipv4.icmp_global_stamp
    if delta > 1_000_000_000:
        delta = 1_000_000_000
    if delta >= 20_000_000:  # the bucket is filled at most every 20 ms
        incr = ipv4.sysctl_icmp_msgs_per_sec * (delta // 1_000_000) // 1000
        if incr != 0:
            ipv4.icmp_global_stamp = now
            credit = ipv4.icmp_global_credit + incr
            burst = ipv4.sysctl_icmp_msgs_burst
            ipv4.icmp_global_credit = credit if credit < burst else burst
    return ipv4.icmp_global_credit > 0


def icmpv4_global_allow(net: Net, type: i64, code: i64) -> bool:
    """May the host send one more message of this type? Takes none to two tokens, at random, so that nobody can count them.

    Linux: net/ipv4/icmp.c.
    """
    if icmpv4_mask_allow(net, type, code):
        return True
    if icmp_global_allow(net):
        net.ipv4.icmp_global_credit -= net.random.below(3)
        return True
    NET_INC_STATS(net, ICMP_MIB_OUTRATELIMITGLOBAL)
    return False


def icmpv4_xrlim_allow(net: Net, rt: Rtable, fl4: Flowi4, type: i64, code: i64) -> bool:
    """May this peer be sent one more message of this type?  Linux: net/ipv4/icmp.c."""
    if icmpv4_mask_allow(net, type, code) or (rt.dev.flags & IFF_LOOPBACK) != 0:
        return True
    peer = inet_getpeer_v4(icmp_control(net).peers, fl4.daddr, net.clock.now)
    if inet_peer_xrlim_allow(net, peer, net.ipv4.sysctl_icmp_ratelimit):
        return True
    NET_INC_STATS(net, ICMP_MIB_OUTRATELIMITHOST)
    return False


# -- sending


def icmp_push_reply(net: Net, sk: RawSock, param: IcmpBxm, fl4: Flowi4, ipc: IpcmCookie, rt: Rtable) -> None:
    """Build the message, with its checksum, and send it.  Linux: net/ipv4/icmp.c."""
    head_len: i64 = len(param.header)
    msg = Msghdr(param.payload)
    if ip_append_data(sk, fl4, msg, len(param.payload) + head_len, head_len, ipc, rt, MSG_DONTWAIT) < 0:
        NET_INC_STATS(net, ICMP_MIB_OUTERRORS)
        ip_flush_pending_frames(sk)
        return
    skb = skb_peek(sk.sk_write_queue)
    if skb is None:
        return
    check = int(csum_fold(csum_partial(param.payload, csum_partial(param.header, 0))))
    skb.head = param.header[:2] + check.to_bytes(2, 'big') + param.header[4:]
    skb.ip_summed = CHECKSUM_NONE
    ip_push_pending_frames(sk, fl4)


def icmp_reply(param: IcmpBxm, skb: SkBuff) -> None:
    """Answer skb, an ICMP query.  Linux: net/ipv4/icmp.c."""
    rt_in = skb.dst
    if not isinstance(rt_in, Rtable):
        return
    net = rt_in.dev.net
    control = icmp_control(net)
    if control.busy or not icmpv4_global_allow(net, param.type, param.code):
        return
    opt = ip_options_echo(net, skb.ip_opt, skb.saddr, skb.daddr)
    control.busy = True
    ipc = IpcmCookie()
    ipc.tos = skb.tos
    ipc.addr = skb.saddr
    ipc.opt = opt
    fl4 = Flowi4()
    fl4.daddr = skb.saddr
    if len(opt) != 0:
        first = ip_options_faddr(net, opt)
        if first != 0:
            fl4.daddr = first
    fl4.saddr = fib_compute_spec_dst(net, skb)
    fl4.flowi4_tos = skb.tos & 0x1C
    fl4.flowi4_proto = IPPROTO_ICMP
    rt = ip_route_output_key(net, fl4)
    if rt is not None and icmpv4_xrlim_allow(net, rt, fl4, param.type, param.code):
        icmp_push_reply(net, control.sk, param, fl4, ipc, rt)
    control.busy = False


def icmp_route_lookup(net: Net, fl4: Flowi4, skb_in: SkBuff, saddr: i64, tos: i64, daddr: i64) -> Rtable | None:
    """The route for an error about skb_in to daddr; fl4 is filled.

    Linux: net/ipv4/icmp.c. As there, the reverse of skb_in's flow is looked up too where the error goes elsewhere than to this
    host: an IPsec policy could make it the answer; without policies it has no say.
    """
    fl4.daddr = daddr
    fl4.saddr = saddr
    fl4.flowi4_tos = tos & 0x1C
    fl4.flowi4_proto = IPPROTO_ICMP
    rt = ip_route_output_key_hash(net, fl4)
    if rt is None:
        return None
    if inet_addr_type_dev_table(net, rt.dev, fl4.daddr) == RTN_LOCAL:
        return rt
    dec = Flowi4()
    dec.saddr = ip_daddr(skb_in.head, skb_in.network_header)
    dec.daddr = ip_saddr(skb_in.head, skb_in.network_header)
    dec.flowi4_proto = ip_protocol(skb_in.head, skb_in.network_header)
    if inet_addr_type_dev_table(net, rt.dev, dec.saddr) == RTN_LOCAL:
        ip_route_output_key_hash(net, dec)
    return rt


def icmp_send(skb_in: SkBuff, type: i64, code: i64, info: i64) -> None:
    """Send an ICMP error about skb_in (which the caller keeps). info: the 32 bits after the checksum (MTU, gateway, pointer <<
    24).

    Linux: include/net/icmp.h.
    """
    __icmp_send(skb_in, type, code, info, skb_in.ip_opt)


def icmp_may_send(skb_in: SkBuff, rt: Rtable, type: i64) -> bool:
    """Do the rules allow an error about skb_in?  RFC 1122, 3.2.2."""
    at = skb_in.network_header
    if at < 0 or at + 20 > len(skb_in.head):
        return False
    if skb_in.pkt_type != PACKET_HOST or (rt.rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST)) != 0:
        return False
    if (ip_frag_off(skb_in.head, at) & IP_OFFSET) != 0:
        return False
    if type in ICMP_ERROR_TYPES and ip_protocol(skb_in.head, at) == IPPROTO_ICMP:
        inner = skb_copy_bits(skb_in, at + ip_ihl(skb_in.head, at) - skb_in.data, 1) if skb_in.data <= at else b''
        if skb_in.data > at:
            start = at + ip_ihl(skb_in.head, at)
            inner = skb_in.head[start:start + 1]
        if len(inner) != 0 and (inner[0] > NR_ICMP_TYPES or inner[0] in ICMP_ERROR_TYPES):
            return False
    return True


def icmp_quote(skb_in: SkBuff, room: i64) -> bytes:
    """At most `room` bytes of skb_in from its IP header on."""
    linear = skb_in.head[skb_in.network_header:skb_in.network_header + room]
    left = room - len(linear)
    if left > 0 and skb_in.data_len > 0:
        rest = left if left < skb_in.data_len else skb_in.data_len
        return linear + skb_copy_bits(skb_in, skb_headlen(skb_in), rest)
    return linear


def __icmp_send(skb_in: SkBuff, type: i64, code: i64, info: i64, opt: bytes) -> None:
    """icmp_send with the options to answer.  Linux: net/ipv4/icmp.c."""
    rt_in = skb_in.dst
    if not isinstance(rt_in, Rtable) or not icmp_may_send(skb_in, rt_in, type):
        return
    net = rt_in.dev.net
    control = icmp_control(net)
    head = skb_in.head
    at = skb_in.network_header
    cpu = net.world.cpu
    local_bh_disable(cpu)
    dev = skb_in.dev
    if not control.busy and ((dev is not None and (dev.flags & IFF_LOOPBACK) != 0) or icmpv4_global_allow(net, type, code)):
        control.busy = True
        saddr = ip_daddr(head, at)
        if (rt_in.rt_flags & RTCF_LOCAL) == 0:
            saddr = 0
            if rt_in.rt_is_input and net.ipv4.sysctl_icmp_errors_use_inbound_ifaddr != 0:
                inbound = net.dev_by_index.get(int(skb_in.skb_iif))
                if inbound is not None:
                    saddr = inet_select_addr(inbound, ip_saddr(head, at), RT_SCOPE_LINK)
        tos = ip_tos(head, at)
        if type in ICMP_ERROR_TYPES:
            tos = (tos & 0x1E) | IPTOS_PREC_INTERNETCONTROL
        ipc = IpcmCookie()
        ipc.tos = tos
        ipc.addr = ip_saddr(head, at)
        ipc.opt = ip_options_echo(net, opt, ip_saddr(head, at), ip_daddr(head, at))
        _icmp_send_routed(net, control, skb_in, type, code, info, saddr, ipc)
        control.busy = False
    local_bh_enable(cpu)


def _icmp_send_routed(net: Net, control: IcmpControl, skb_in: SkBuff, type: i64, code: i64, info: i64, saddr: i64,
                      ipc: IpcmCookie) -> None:
    """__icmp_send's second half: find the route, quote, send."""
    fl4 = Flowi4()
    daddr = ipc.addr
    if len(ipc.opt) != 0:
        first = ip_options_faddr(net, ipc.opt)
        if first != 0:
            daddr = first
    rt = icmp_route_lookup(net, fl4, skb_in, saddr, ipc.tos, daddr)
    if rt is None or not icmpv4_xrlim_allow(net, rt, fl4, type, code):
        return
    room = rt.mtu()
    if room > ICMP_QUOTE_MAX:
        room = ICMP_QUOTE_MAX
    room -= 20 + len(ipc.opt) + ICMP_HLEN
    if room <= 20:
        return
    if fl4.saddr == 0:
        fl4.saddr = INADDR_DUMMY
    trace_icmp_send(skb_in, int(type), int(code))
    param = IcmpBxm(type, code, be32(info), icmp_quote(skb_in, room))
    icmp_push_reply(net, control.sk, param, fl4, ipc, rt)


# -- receiving


def icmp_rcv(skb: SkBuff) -> i64:
    """An ICMP message, data at its header.  Linux: net/ipv4/icmp.c."""
    rt = skb.dst
    assert isinstance(rt, Rtable)
    dev = skb.dev
    net = rt.dev.net if dev is None else dev.net
    NET_INC_STATS(net, ICMP_MIB_INMSGS)
    reason = icmp_rcv_check(net, skb, rt)
    if reason != SKB_NOT_DROPPED_YET:
        NET_INC_STATS(net, ICMP_MIB_INERRORS)
        kfree_skb_reason(skb, reason)
        return 0
    reason = icmp_dispatch(net, skb, i64(skb.head[skb.transport_header]))
    if reason == SKB_NOT_DROPPED_YET:
        consume_skb(skb)
    else:
        kfree_skb_reason(skb, reason)
    return 0


def icmp_rcv_check(net: Net, skb: SkBuff, rt: Rtable) -> i64:
    """Is the message sound and of a type that may come so? Steps over its header. A drop reason, or SKB_NOT_DROPPED_YET."""
    if skb.ip_summed != CHECKSUM_UNNECESSARY and skb.ip_summed != CHECKSUM_PARTIAL:
        if csum_fold(skb_checksum(skb, 0, skb.len, 0)) != 0:
            NET_INC_STATS(net, ICMP_MIB_INCSUMERRORS)
            return SKB_DROP_REASON_ICMP_CSUM
    if not pskb_may_pull(skb, ICMP_HLEN):
        return SKB_DROP_REASON_PKT_TOO_SMALL
    skb.transport_header = skb.data
    type = i64(skb.head[skb.data])
    net.mib.icmp_types[type] += 1
    field = ICMP_IN_MIB.get(int(type))
    if field is not None:
        NET_INC_STATS(net, field)
    __skb_pull(skb, ICMP_HLEN)
    if type == ICMP_EXT_ECHOREPLY:
        return SKB_NOT_DROPPED_YET
    if type > NR_ICMP_TYPES:  # RFC 1122, 3.2.2: unknown types are discarded in silence
        return SKB_DROP_REASON_UNHANDLED_PROTO
    if (rt.rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST)) != 0:
        query = type == ICMP_ECHO or type == ICMP_TIMESTAMP
        if query and net.ipv4.sysctl_icmp_echo_ignore_broadcasts != 0:
            return SKB_DROP_REASON_INVALID_PROTO
        if not query and type != 17 and type != 18:  # the address mask messages of RFC 950
            return SKB_DROP_REASON_INVALID_PROTO
    return SKB_NOT_DROPPED_YET


def icmp_dispatch(net: Net, skb: SkBuff, type: i64) -> i64:
    """Call the type's handler.  Linux: icmp_pointers of net/ipv4/icmp.c."""
    if type == ICMP_ECHO:
        return icmp_echo(net, skb)
    if type == ICMP_DEST_UNREACH or type == ICMP_TIME_EXCEEDED or type == ICMP_SOURCE_QUENCH or type == ICMP_PARAMETERPROB:
        return icmp_unreach(net, skb)
    if type == ICMP_ECHOREPLY or type == ICMP_EXT_ECHOREPLY:
        ping = net.ipv4.ping_callbacks
        if ping is None:
            return SKB_DROP_REASON_NO_SOCKET
        skb.data -= ICMP_HLEN  # it wants the header too
        skb.len += ICMP_HLEN
        return ping.ping_rcv(skb)
    if type == ICMP_REDIRECT:
        return icmp_redirect(net, skb)
    if type == ICMP_TIMESTAMP:
        return icmp_timestamp(net, skb)
    return SKB_NOT_DROPPED_YET  # icmp_discard


def icmp_echo(net: Net, skb: SkBuff) -> i64:
    """Send the echo back (RFC 1122, 3.2.2.6).  Linux: net/ipv4/icmp.c."""
    if net.ipv4.sysctl_icmp_echo_ignore_all != 0:
        return SKB_NOT_DROPPED_YET
    th = skb.transport_header
    payload = skb_copy_bits(skb, 0, skb.len)
    icmp_reply(IcmpBxm(ICMP_ECHOREPLY, 0, skb.head[th + 4:th + 8], payload), skb)
    return SKB_NOT_DROPPED_YET


def icmp_timestamp(net: Net, skb: SkBuff) -> i64:
    """Answer with the time (RFC 1122, 3.2.2.8).  Linux: net/ipv4/icmp.c."""
    if skb.len < 4:
        NET_INC_STATS(net, ICMP_MIB_INERRORS)
        return SKB_DROP_REASON_PKT_TOO_SMALL
    th = skb.transport_header
    now = be32(inet_current_timestamp(net))
    rest = skb.head[th + 4:th + 8] + skb_copy_bits(skb, 0, 4) + now + now
    icmp_reply(IcmpBxm(ICMP_TIMESTAMPREPLY, 0, rest, b''), skb)
    return SKB_NOT_DROPPED_YET


def icmp_tag_validation(net: Net, proto: i64) -> bool:
    """Does the protocol check that an error is about a packet of its own (RFC 5927)?  Linux: net/ipv4/icmp.c."""
    prot = net.ipv4.inet_protos.get(int(proto))
    return prot is not None and prot.icmp_strict_tag_validation


def icmp_unreach(net: Net, skb: SkBuff) -> i64:
    """A packet of ours did not arrive: tell who sent it. data is at the quoted IP header.  Linux: net/ipv4/icmp.c."""
    if not pskb_may_pull(skb, 20):
        NET_INC_STATS(net, ICMP_MIB_INERRORS)
        return SKB_DROP_REASON_PKT_TOO_SMALL
    th = skb.transport_header
    type = i64(skb.head[th])
    code = i64(skb.head[th + 1])
    if ip_ihl(skb.head, skb.data) < 20:
        NET_INC_STATS(net, ICMP_MIB_INERRORS)
        return SKB_DROP_REASON_IP_INHDR
    info: i64 = 0
    if type == ICMP_DEST_UNREACH:
        if code == ICMP_FRAG_NEEDED:
            policy = net.ipv4.sysctl_ip_no_pmtu_disc
            if policy == 2 or (policy == 3 and not icmp_tag_validation(net, ip_protocol(skb.head, skb.data))):
                return SKB_NOT_DROPPED_YET
            if policy == 0 or policy == 3:
                info = get_be16(skb.head, th + 6)
        if code > NR_ICMP_UNREACH:
            return SKB_NOT_DROPPED_YET
    elif type == ICMP_PARAMETERPROB:
        info = get_be32(skb.head, th + 4) >> 24
    elif type == ICMP_TIME_EXCEEDED and code == ICMP_EXC_FRAGTIME:
        return SKB_NOT_DROPPED_YET
    if net.ipv4.sysctl_icmp_ignore_bogus_error_responses == 0 and _quotes_broadcast(net, skb):
        return SKB_NOT_DROPPED_YET
    icmp_socket_deliver(net, skb, info)
    return SKB_NOT_DROPPED_YET


def _quotes_broadcast(net: Net, skb: SkBuff) -> bool:
    """Was the quoted packet a broadcast? Then the answer breaks RFC 1122."""
    dev: NetDevice | None = skb.dev
    return dev is not None and inet_addr_type_dev_table(net, dev, ip_daddr(skb.head, skb.data)) == RTN_BROADCAST


def icmp_redirect(net: Net, skb: SkBuff) -> i64:
    """A router tells of a better first hop (RFC 1122, 3.2.2.2).  Linux: net/ipv4/icmp.c."""
    if not pskb_may_pull(skb, 20):
        NET_INC_STATS(net, ICMP_MIB_INERRORS)
        return SKB_DROP_REASON_HDR_TRUNC
    icmp_socket_deliver(net, skb, get_be32(skb.head, skb.transport_header + 4))
    return SKB_NOT_DROPPED_YET


def icmp_socket_deliver(net: Net, skb: SkBuff, info: i64) -> None:
    """Hand an error to raw sockets and to the protocol that it quotes.  Linux: net/ipv4/icmp.c."""
    ihl = ip_ihl(skb.head, skb.data)
    if not pskb_may_pull(skb, ihl + 8):
        NET_INC_STATS(net, ICMP_MIB_INERRORS)
        return
    protocol = ip_protocol(skb.head, skb.data)
    raw = net.ipv4.raw_callbacks
    if raw is not None:
        raw.raw_icmp_error(skb, protocol, info)
    prot = net.ipv4.inet_protos.get(protocol)
    if prot is not None:
        prot.err_handler(skb, info)


def icmp_err(skb: SkBuff, info: i64) -> int:
    """The error quotes an ICMP message of ours: an echo request is a ping socket's, a reply is the kernel's own.

    Linux: net/ipv4/icmp.c.
    """
    dev = skb.dev
    dst = skb.dst
    if dev is not None:
        net = dev.net
    elif dst is not None:
        net = dst.dev.net
    else:
        return 0
    offset = ip_ihl(skb.head, skb.data)
    if i64(skb.head[skb.data + offset]) != ICMP_ECHOREPLY:
        ping = net.ipv4.ping_callbacks
        if ping is not None:
            ping.ping_err(skb, offset, info)
        return 0
    type = i64(skb.head[skb.transport_header])
    if type == ICMP_DEST_UNREACH and i64(skb.head[skb.transport_header + 1]) == ICMP_FRAG_NEEDED:
        ipv4_update_pmtu(skb, net, info, 0, IPPROTO_ICMP)
    elif type == ICMP_REDIRECT:
        ipv4_redirect(skb, net, 0, IPPROTO_ICMP)
    return 0
