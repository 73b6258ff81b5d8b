# SPDX-License-Identifier: Apache-2.0
"""Segments that TCP sends over IPv6 without a full sock: RSTs, and the ACKs of TIME_WAIT socks and of connection requests.

Their headers are made as IPv4's are (net/ipv4/tcp_ipv4_reply.py); the route is looked for anew. The traffic class of what is
answered goes back with the answer, without its ECN bits.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.inet import IPPROTO_TCP
from linnet.include.linux.ip import INET_ECN_MASK
from linnet.include.linux.ipv6 import ip6_flowlabel
from linnet.include.linux.skbuff import CHECKSUM_PARTIAL, MAX_TCP_HEADER, SkBuff, skb_push
from linnet.include.linux.tcp import TCP_CSUM_OFFSET, put_check
from linnet.include.net.checksum import csum_fold
from linnet.include.net.flow import Flowi6
from linnet.include.net.inet_timewait_sock import InetTimewaitSock
from linnet.include.net.ip6_fib import RTF_LOCAL, Rt6Info, inet6_iif
from linnet.include.net.ipv6 import (
    IPV6_ADDR_LINKLOCAL,
    IPV6_ADDR_LOOPBACK,
    IPV6_ADDR_MULTICAST,
    csum_ipv6_nofold,
    ipv6_addr_type,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.snmp import NET_INC_STATS, TCP_MIB_OUTRSTS, TCP_MIB_OUTSEGS
from linnet.include.net.sock import Sock, sock_net
from linnet.include.net.tcp import TCPHDR_RST, U32, TcpSock, tcp_sk
from linnet.include.net.tcp_md5sig import TcpMd5sigKey
from linnet.include.net.tcp_states import TCP_LISTEN
from linnet.include.trace.events.tcp import trace_tcp_send_reset
from linnet.net.core.skbuff import alloc_skb
from linnet.net.ipv4.inet_timewait_sock import inet_twsk_put
from linnet.net.ipv4.tcp_ipv4_md5 import tcp_md5_needed, tcp_md5_skb_key, tcp_parse_md5sig_option
from linnet.net.ipv4.tcp_ipv4_reply import skb_net, tcp_ack_header, tcp_md5_reset_key, tcp_reset_header
from linnet.net.ipv6.inet6_hashtables import inet6_lookup_listener
from linnet.net.ipv6.ip6_output_local import ip6_xmit
from linnet.net.ipv6.ip6_output_lookup import ip6_dst_lookup_flow

LINUX_FILE: Final = 'net/ipv6/tcp_ipv6.c'
FLOWLABEL_REFLECT_TCP_RESET: Final = 2
ONE_LINK: Final = IPV6_ADDR_LINKLOCAL | IPV6_ADDR_MULTICAST | IPV6_ADDR_LOOPBACK  # Linux: rt6_need_strict


def ipv6_unicast_destination(skb: SkBuff) -> bool:
    """Was skb sent to this host alone?  Linux: include/net/ip6_route.h."""
    rt = skb.dst
    return isinstance(rt, Rt6Info) and (rt.rt6i_flags & RTF_LOCAL) != 0


def __tcp_v6_send_check(skb: SkBuff, saddr: int, daddr: int) -> None:
    """Leave the checksum to the device: the header gets the pseudo header's sum.  Linux: include/net/ip6_checksum.h."""
    th = skb.transport_header
    pseudo = csum_ipv6_nofold(saddr, daddr, skb.len, IPPROTO_TCP, 0)
    skb.head = put_check(skb.head, th + TCP_CSUM_OFFSET, 0xFFFF - csum_fold(pseudo))
    skb.ip_summed = CHECKSUM_PARTIAL
    skb.csum_start = th
    skb.csum_offset = TCP_CSUM_OFFSET


def tcp_v6_send_response(
    net: Net, skb: SkBuff, header: bytes, oif: i64, mark: i64, tclass: i64, label: i64, priority: i64, txhash: i64,
) -> bool:
    """Answer skb with a segment that is but a header; False: there is no way back.

    oif 0: any device, but that of skb for addresses of one link.  Linux: net/ipv6/tcp_ipv6.c.
    """
    buff = alloc_skb(net.world, MAX_TCP_HEADER)
    skb_push(buff, header)
    buff.transport_header = 0
    buff.tcp_doff = len(header)
    buff.hash = txhash
    fl6 = Flowi6()
    fl6.daddr = skb.saddr6
    fl6.saddr = skb.daddr6
    fl6.flowlabel = label
    fl6.flowi6_proto = IPPROTO_TCP
    fl6.flowi6_oif = oif
    if oif == 0 and (ipv6_addr_type(fl6.daddr) & ONE_LINK) != 0:
        fl6.flowi6_oif = inet6_iif(skb)
    if net.ipv6.sysctl_fwmark_reflect != 0 and skb.mark != 0:
        mark = skb.mark
    fl6.flowi6_mark = mark
    fl6.fl6_dport = skb.sport
    fl6.fl6_sport = skb.dport
    __tcp_v6_send_check(buff, fl6.saddr, fl6.daddr)
    dst = ip6_dst_lookup_flow(net, None, fl6, 0)
    if dst is None:
        return False
    buff.dst = dst
    ip6_xmit(None, buff, fl6, mark, None, tclass & ~INET_ECN_MASK, priority)
    NET_INC_STATS(net, TCP_MIB_OUTSEGS)
    return True


def tcp_v6_send_reset(sk: Sock | None, skb: SkBuff) -> None:
    """Answer skb with a RST; never a RST, and nothing that was not sent to this host.

    Linux: net/ipv6/tcp_ipv6.c.  RFC 9293, 3.5.2 (reset generation), 3.10.7.1.
    """
    if (skb.tcp_flags & TCPHDR_RST) != 0:
        return
    if sk is None and not ipv6_unicast_destination(skb):
        return
    net = sock_net(sk) if sk is not None else skb_net(skb)
    trace_tcp_send_reset(sk, skb)
    key: TcpMd5sigKey | None = None
    if tcp_md5_needed(net, skb):
        at = tcp_parse_md5sig_option(skb.head, skb.transport_header, skb.tcp_doff)
        listener: Sock | None = None
        if sk is None and at >= 0:
            listener = inet6_lookup_listener(net, skb.saddr6, skb.sport, skb.daddr6, skb.dport, inet6_iif(skb))
        key = tcp_md5_reset_key(sk, listener, skb, at)
        if key is None and at >= 0:
            return  # signed by nobody that we know: no answer
    oif: i64 = 0
    mark: i64 = 0
    label: i64 = 0
    priority: i64 = 0
    txhash: i64 = 0
    if sk is not None:
        oif = sk.sk_bound_dev_if
        mark = sk.sk_mark
        priority = sk.sk_priority
        if isinstance(sk, InetTimewaitSock):
            label = sk.tw_flowlabel
            txhash = sk.tw_txhash
        else:
            txhash = sk.sk_txhash
    elif (net.ipv6.sysctl_flowlabel_reflect & FLOWLABEL_REFLECT_TCP_RESET) != 0 and skb.network_header >= 0:
        label = ip6_flowlabel(skb.head, skb.network_header)
    if tcp_v6_send_response(net, skb, tcp_reset_header(skb, key), oif, mark, skb.tos, label, priority, txhash):
        NET_INC_STATS(net, TCP_MIB_OUTRSTS)


def tcp_v6_timewait_ack(sk: InetTimewaitSock, skb: SkBuff) -> None:
    """A TIME_WAIT sock says again what the connection said last; the caller's reference goes.  Linux: net/ipv6/tcp_ipv6.c."""
    net = sock_net(sk)
    tsval = ((net.clock.now // 1_000_000) + sk.tw_ts_offset) & U32
    header = tcp_ack_header(skb, sk.tw_snd_nxt, sk.tw_rcv_nxt, sk.tw_rcv_wnd >> sk.tw_rcv_wscale, tsval, sk.tw_ts_recent,
                            sk.tw_ts_recent_stamp != 0, sk.tw_md5_key)
    tcp_v6_send_response(net, skb, header, sk.sk_bound_dev_if, sk.sk_mark, sk.tw_tclass, sk.tw_flowlabel, sk.tw_priority,
                         sk.tw_txhash)
    inet_twsk_put(sk)


def tcp_v6_reqsk_send_ack(sk: Sock, skb: SkBuff, req: RequestSock) -> None:
    """An out-of-window segment for a request: say where we are.  Linux: net/ipv6/tcp_ipv6.c.  RFC 9293, 3.10.7.4, first check."""
    net = sock_net(sk)
    tsval = ((net.clock.now // 1_000_000) + req.ts_off) & U32
    seq = (req.snt_isn + 1) & U32
    if sk.sk_state != TCP_LISTEN and isinstance(sk, TcpSock):
        seq = sk.snd_nxt  # a child of Fast Open
    header = tcp_ack_header(skb, seq, req.rcv_nxt, req.rsk_rcv_wnd >> req.rcv_wscale, tsval, req.ts_recent, req.tstamp_ok,
                            tcp_md5_skb_key(tcp_sk(sk), skb))
    tcp_v6_send_response(net, skb, header, sk.sk_bound_dev_if, sk.sk_mark, skb.tos, 0, sk.sk_priority, req.txhash)
