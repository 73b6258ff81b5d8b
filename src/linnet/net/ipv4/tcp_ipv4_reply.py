# SPDX-License-Identifier: Apache-2.0
"""Segments that TCP sends without a full sock: RSTs, and the ACKs of TIME_WAIT socks and of connection requests.

They are built from the segment that they answer and leave through ip_send_unicast_reply, which makes the checksum.
"""
from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.tcp import tcphdr_build
from linnet.include.linux.unaligned import put_be16, put_be32
from linnet.include.net.inet_timewait_sock import InetTimewaitSock
from linnet.include.net.ip_fib import RTN_LOCAL
from linnet.include.net.net_namespace import Net
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.route import Rtable
from linnet.include.net.snmp import NET_INC_STATS, TCP_MIB_OUTRSTS, TCP_MIB_OUTSEGS
from linnet.include.net.sock import Sock, sock_net
from linnet.include.net.tcp import TCPHDR_ACK, TCPHDR_FIN, TCPHDR_RST, TCPHDR_SYN, U32, TcpSock, tcp_sk
from linnet.include.net.tcp_md5sig import TcpMd5sigKey
from linnet.include.trace.events.tcp import trace_tcp_send_reset
from linnet.net.ipv4.inet_hashtables import __inet_lookup_listener
from linnet.net.ipv4.inet_timewait_sock import inet_twsk_put
from linnet.net.ipv4.ip_output import ip_send_unicast_reply
from linnet.net.ipv4.tcp_ipv4_md5 import (
    MD5_AT,
    MD5_OPTION,
    tcp_md5_matches,
    tcp_md5_needed,
    tcp_md5_sign_reply,
    tcp_md5_skb_key,
    tcp_parse_md5sig_option,
)

LINUX_FILE: Final = 'net/ipv4/tcp_ipv4.c'


def skb_net(skb: SkBuff) -> Net:
    """The namespace that skb came into."""
    dev = skb.dev
    assert isinstance(dev, NetDevice)
    return dev.net


def tcp_md5_reset_key(sk: Sock | None, listener: Sock | None, skb: SkBuff, at: i64) -> TcpMd5sigKey | None:
    """The key to sign a RST with: the connection's; without one, that of a listener whose key skb is signed with (at byte `at`).

    Linux: net/ipv4/tcp_ipv4.c, tcp_v4_send_reset.
    """
    if isinstance(sk, TcpSock):
        return tcp_md5_skb_key(sk, skb)
    if isinstance(sk, InetTimewaitSock):
        return sk.tw_md5_key
    if at < 0 or not isinstance(listener, TcpSock):
        return None
    key = tcp_md5_skb_key(listener, skb)
    return key if key is not None and tcp_md5_matches(key, skb, at) else None


def tcp_reset_header(skb: SkBuff, key: TcpMd5sigKey | None) -> bytes:
    """The header of a RST in answer to skb; key: signed.  RFC 9293, 3.10.7.1."""
    seq: i64 = 0
    ack_seq: i64 = 0
    flags: i64 = TCPHDR_RST
    if (skb.tcp_flags & TCPHDR_ACK) != 0:
        seq = skb.ack_seq
    else:
        flags = TCPHDR_RST | TCPHDR_ACK
        ack_seq = skb.end_seq
    header = tcphdr_build(skb.dport, skb.sport, seq, ack_seq, flags, 0, 0, b'' if key is None else MD5_OPTION)
    return header if key is None else tcp_md5_sign_reply(header, MD5_AT, key, skb)


def tcp_ack_header(
    skb: SkBuff, seq: i64, ack: i64, win: i64, tsval: i64, tsecr: i64, tstamp: bool, key: TcpMd5sigKey | None,
) -> bytes:
    """The header of an ACK of these numbers in answer to skb; tstamp: with a timestamp option; key: signed."""
    options = b''
    if tstamp:
        w = BytesWriter()
        put_be16(w, 0x0101)
        put_be16(w, 0x080A)
        put_be32(w, tsval)
        put_be32(w, tsecr)
        options = w.getvalue()
    if key is not None:
        options += MD5_OPTION
    header = tcphdr_build(skb.dport, skb.sport, seq, ack, TCPHDR_ACK, win, 0, options)
    return header if key is None else tcp_md5_sign_reply(header, len(header) - 16, key, skb)


def tcp_v4_send_reset(sk: Sock | None, skb: SkBuff) -> None:
    """Answer skb with a RST; never a RST, and nothing that was not sent to this host.

    Linux: net/ipv4/tcp_ipv4.c.  RFC 9293, 3.5.2 (reset generation), 3.10.7.1.
    """
    if (skb.tcp_flags & TCPHDR_RST) != 0:
        return
    dst = skb.dst
    if sk is None and isinstance(dst, Rtable) and dst.rt_type != RTN_LOCAL:
        return
    net = sock_net(sk) if sk is not None else skb_net(skb)
    trace_tcp_send_reset(sk, skb)
    key: TcpMd5sigKey | None = None
    if tcp_md5_needed(net, skb):
        at = tcp_parse_md5sig_option(skb.head, skb.transport_header, skb.tcp_doff)
        listener: Sock | None = None
        if sk is None and at >= 0:
            listener = __inet_lookup_listener(net, skb.saddr, skb.sport, skb.daddr, skb.dport, skb.skb_iif)
        key = tcp_md5_reset_key(sk, listener, skb, at)
        if key is None and at >= 0:
            return  # signed by nobody that we know: no answer
    ip_send_unicast_reply(net, skb, skb.saddr, skb.daddr, tcp_reset_header(skb, key), sk_tos(sk))
    NET_INC_STATS(net, TCP_MIB_OUTSEGS)
    NET_INC_STATS(net, TCP_MIB_OUTRSTS)


def sk_tos(sk: Sock | None) -> i64:
    """The TOS that answers on behalf of sk have."""
    if isinstance(sk, InetTimewaitSock):
        return sk.tw_tos
    return 0


def tcp_v4_send_ack(net: Net, skb: SkBuff, seq: i64, ack: i64, win: i64, tsval: i64, tsecr: i64, tstamp: bool, tos: i64,
                    key: TcpMd5sigKey | None) -> None:
    """Answer skb with an ACK of these numbers; tstamp: with a timestamp option; key: signed.  Linux: net/ipv4/tcp_ipv4.c."""
    header = tcp_ack_header(skb, seq, ack, win, tsval, tsecr, tstamp, key)
    ip_send_unicast_reply(net, skb, skb.saddr, skb.daddr, header, tos)
    NET_INC_STATS(net, TCP_MIB_OUTSEGS)


def tcp_v4_timewait_ack(sk: InetTimewaitSock, skb: SkBuff) -> None:
    """A TIME_WAIT sock says again what the connection said last; the caller's reference goes.  Linux: net/ipv4/tcp_ipv4.c."""
    net = sock_net(sk)
    tsval = ((net.clock.now // 1_000_000) + sk.tw_ts_offset) & U32
    tcp_v4_send_ack(net, skb, sk.tw_snd_nxt, sk.tw_rcv_nxt, sk.tw_rcv_wnd >> sk.tw_rcv_wscale, tsval, sk.tw_ts_recent,
                    sk.tw_ts_recent_stamp != 0, sk.tw_tos, sk.tw_md5_key)
    inet_twsk_put(sk)


def tcp_v4_reqsk_send_ack(sk: Sock, skb: SkBuff, req: RequestSock) -> None:
    """An out-of-window segment for a request: say where we are.  Linux: net/ipv4/tcp_ipv4.c.  RFC 9293, 3.10.7.4, first check."""
    net = sock_net(sk)
    tsval = ((net.clock.now // 1_000_000) + req.ts_off) & U32
    tcp_v4_send_ack(net, skb, (req.snt_isn + 1) & U32, req.rcv_nxt, req.rsk_rcv_wnd >> req.rcv_wscale, tsval, req.ts_recent,
                    req.tstamp_ok, req.ir_tos, tcp_md5_skb_key(tcp_sk(sk), skb))


def tcp_segment_len(skb: SkBuff) -> i64:
    """Sequence numbers that a segment takes: its bytes, SYN and FIN."""
    n = skb.len - skb.tcp_doff
    if (skb.tcp_flags & TCPHDR_SYN) != 0:
        n += 1
    if (skb.tcp_flags & TCPHDR_FIN) != 0:
        n += 1
    return n
