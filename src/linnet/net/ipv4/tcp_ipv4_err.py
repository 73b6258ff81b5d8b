# SPDX-License-Identifier: Apache-2.0
"""ICMP errors for TCP: path MTU discovery, and soft and hard errors (RFC 1122, 4.2.3.9; RFC 5927 for what must be checked).

An error counts only if the segment it quotes is one that is out now. FRAG_NEEDED lowers the MSS and sends again what is too
large; while the handshake goes on an unreachable destination ends it; on a connection that stands it is a soft error, unless
the program asked by IP_RECVERR to hear.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmp import (
    ICMP_DEST_UNREACH,
    ICMP_FRAG_NEEDED,
    ICMP_HOST_UNREACH,
    ICMP_NET_UNREACH,
    ICMP_PARAMETERPROB,
    ICMP_REDIRECT,
    ICMP_SOURCE_QUENCH,
    ICMP_TIME_EXCEEDED,
    NR_ICMP_UNREACH,
)
from linnet.include.linux.inet import IP_PMTUDISC_DONT
from linnet.include.linux.ip import ip_daddr, ip_ihl, ip_saddr
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.unaligned import get_be16, get_be32
from linnet.include.net.inet_connection_sock import ICSK_TIME_RETRANS
from linnet.include.net.inet_timewait_sock import InetTimewaitSock
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.snmp import (
    ICMP_MIB_INERRORS,
    LINUX_MIB_LISTENDROPS,
    LINUX_MIB_LOCKDROPPEDICMPS,
    LINUX_MIB_OUTOFWINDOWICMPS,
    LINUX_MIB_TCPMINTTLDROP,
    NET_INC_STATS,
)
from linnet.include.net.sock import Sock, sock_net, sock_owned_by_user
from linnet.include.net.tcp import (
    TCP_TIMEOUT_INIT,
    TCPF_MTU_REDUCED_DEFERRED,
    TcpSock,
    between,
    tcp_mstamp_refresh,
    tcp_rtx_queue_head,
)
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_LISTEN, TCP_SYN_RECV, TCP_SYN_SENT
from linnet.kernel.errno import EHOSTUNREACH, EMSGSIZE, ENOENT, EPROTO
from linnet.net.core.request_sock import reqsk_put
from linnet.net.core.sock import __sk_dst_check, sock_put
from linnet.net.ipv4.icmp import icmp_err_convert
from linnet.net.ipv4.inet_connection_sock import (
    inet_csk_reqsk_queue_drop,
    inet_csk_reset_xmit_timer,
    inet_csk_rto_backoff,
    inet_csk_update_pmtu,
)
from linnet.net.ipv4.inet_hashtables import __inet_lookup_established, __inet_lookup_listener
from linnet.net.ipv4.inet_timewait_sock import inet_twsk_put
from linnet.net.ipv4.ip_output_local import ip_dont_fragment, ip_sk_accept_pmtu
from linnet.net.ipv4.ip_sockglue import ip_icmp_error
from linnet.net.ipv4.route import ip_do_redirect
from linnet.net.ipv4.tcp import tcp_done
from linnet.net.ipv4.tcp_input_ack import tcp_set_rto
from linnet.net.ipv4.tcp_input_loss import tcp_simple_retransmit
from linnet.net.ipv4.tcp_ipv4_reply import skb_net
from linnet.net.ipv4.tcp_output import tcp_sync_mss
from linnet.net.ipv4.tcp_timer import tcp_retransmit_timer

LINUX_FILE: Final = 'net/ipv4/tcp_ipv4.c'


def tcp_v4_mtu_reduced(sk: Sock) -> None:
    """A router could not forward a packet of sk's size: use smaller ones.  Linux: net/ipv4/tcp_ipv4.c.  RFC 1191."""
    assert isinstance(sk, TcpSock)
    if sk.sk_state == TCP_LISTEN or sk.sk_state == TCP_CLOSE:
        return
    mtu = sk.mtu_info
    dst = inet_csk_update_pmtu(sk, mtu)
    if dst is None:
        return
    if mtu < dst.mtu() and ip_dont_fragment(sk, dst):
        sk.sk_err_soft = EMSGSIZE
    mtu = dst.mtu()
    if sk.pmtudisc != IP_PMTUDISC_DONT and ip_sk_accept_pmtu(sk) and sk.icsk_pmtu_cookie > mtu:
        tcp_sync_mss(sk, mtu)
        # what was too large is lost for certain: no need to wait for the timer
        tcp_simple_retransmit(sk)


def tcp_req_err(req: RequestSock, seq: i64, abort: bool) -> None:
    """An error for a handshake in progress; the caller's reference goes.  Linux: net/ipv4/tcp_ipv4.c."""
    net = sock_net(req)
    if seq != req.snt_isn:
        NET_INC_STATS(net, LINUX_MIB_OUTOFWINDOWICMPS)
    elif abort:
        listener = req.rsk_listener
        if listener is not None:
            inet_csk_reqsk_queue_drop(listener, req)
            listener.sk_drops += 1
        NET_INC_STATS(net, LINUX_MIB_LISTENDROPS)
    reqsk_put(req)


def tcp_ld_RTO_revert(sk: TcpSock, seq: i64) -> None:
    """Unreachable, so losses are not congestion: take one back-off of the RTO back.  Linux: net/ipv4/tcp_ipv4.c.  RFC 6069."""
    if sock_owned_by_user(sk) or seq != sk.snd_una or sk.icsk_retransmits == 0 or sk.icsk_backoff == 0:
        return
    skb = tcp_rtx_queue_head(sk)
    if skb is None:
        return
    sk.icsk_backoff -= 1
    if sk.srtt_us != 0:
        tcp_set_rto(sk)
    else:
        sk.icsk_rto = TCP_TIMEOUT_INIT
    sk.icsk_rto = inet_csk_rto_backoff(sk, sk.icsk_rto_max)
    tcp_mstamp_refresh(sk)
    remaining = sk.icsk_rto - (sk.tcp_mstamp - skb.tstamp) // 1_000_000
    if remaining > 0:
        inet_csk_reset_xmit_timer(sk, ICSK_TIME_RETRANS, remaining, sk.icsk_rto_max)
    else:
        tcp_retransmit_timer(sk)


def tcp_err_snd_una(sk: TcpSock) -> i64:
    """The first sequence number that is out: of a Fast Open child, its SYN-ACK's.  Part of Linux's tcp_v4_err."""
    req = sk.fastopen_rsk
    return req.snt_isn if req is not None else sk.snd_una


def tcp_v4_err(skb: SkBuff, info: i64) -> int:
    """An ICMP error that quotes a segment of ours: data of skb is at the quoted IP header. 0, or -ENOENT.

    Linux: net/ipv4/tcp_ipv4.c.
    """
    net = skb_net(skb)
    head = skb.head
    iph = skb.data
    th = iph + ip_ihl(head, iph)
    if len(head) < th + 8:
        NET_INC_STATS(net, ICMP_MIB_INERRORS)
        return -ENOENT
    type = i64(head[skb.transport_header])
    code = i64(head[skb.transport_header + 1])
    source = get_be16(head, th)
    dest = get_be16(head, th + 2)
    seq = get_be32(head, th + 4)
    remote = ip_daddr(head, iph)
    local = ip_saddr(head, iph)
    sk = __inet_lookup_established(net, remote, dest, local, source, skb.skb_iif)
    if sk is None:
        sk = __inet_lookup_listener(net, remote, dest, local, source, skb.skb_iif)
        if sk is None:
            NET_INC_STATS(net, ICMP_MIB_INERRORS)
            return -ENOENT
        sk.sk_refcnt += 1
    if isinstance(sk, InetTimewaitSock):
        inet_twsk_put(sk)
        return 0
    if isinstance(sk, RequestSock):
        tcp_req_err(sk, seq, type == ICMP_PARAMETERPROB or type == ICMP_TIME_EXCEEDED
                    or (type == ICMP_DEST_UNREACH and (code == ICMP_NET_UNREACH or code == ICMP_HOST_UNREACH)))
        return 0
    assert isinstance(sk, TcpSock)
    owned = sock_owned_by_user(sk)
    if owned and not (type == ICMP_DEST_UNREACH and code == ICMP_FRAG_NEEDED):
        NET_INC_STATS(net, LINUX_MIB_LOCKDROPPEDICMPS)
    if sk.sk_state != TCP_CLOSE:
        if sk.min_ttl != 0 and skb.ttl < sk.min_ttl:
            NET_INC_STATS(net, LINUX_MIB_TCPMINTTLDROP)
        elif sk.sk_state != TCP_LISTEN and not between(seq, tcp_err_snd_una(sk), sk.snd_nxt):
            NET_INC_STATS(net, LINUX_MIB_OUTOFWINDOWICMPS)
        else:
            tcp_v4_err_known(sk, skb, type, code, info, seq, dest, th)
    sock_put(sk)
    return 0


def tcp_v4_err_known(sk: TcpSock, skb: SkBuff, type: i64, code: i64, info: i64, seq: i64, dport: i64, th: i64) -> None:
    """An error about a segment of sk that is out: the second half of Linux's tcp_v4_err."""
    owned = sock_owned_by_user(sk)
    err: i64 = EHOSTUNREACH
    if type == ICMP_REDIRECT:
        dst = __sk_dst_check(sk, 0)
        if dst is not None and not owned:
            ip_do_redirect(dst, sk, skb)
        return
    if type == ICMP_SOURCE_QUENCH:
        return
    if type == ICMP_PARAMETERPROB:
        err = EPROTO
    elif type == ICMP_DEST_UNREACH:
        if code > NR_ICMP_UNREACH:
            return
        if code == ICMP_FRAG_NEEDED:
            if sk.sk_state == TCP_LISTEN:
                return
            sk.mtu_info = info
            if not owned:
                tcp_v4_mtu_reduced(sk)
            else:
                sk.sk_tsq_flags |= TCPF_MTU_REDUCED_DEFERRED
            return
        err = icmp_err_convert(code) & 0xFFFF
        if sk.fastopen_rsk is None and (code == ICMP_NET_UNREACH or code == ICMP_HOST_UNREACH):
            tcp_ld_RTO_revert(sk, seq)
    elif type != ICMP_TIME_EXCEEDED:
        return
    fastopen = sk.fastopen_rsk
    accepted = fastopen is not None and fastopen.rsk_child is None  # a program has the Fast Open child: as if connected
    if (sk.sk_state == TCP_SYN_SENT or sk.sk_state == TCP_SYN_RECV) and not accepted:
        # RFC 5461: the attempt ends, rather than to wait for the last SYN to time out
        ip_icmp_error(sk, skb, err, dport, info, th)
        if not owned:
            sk.sk_err = err
            sk.sk_cb.error_report(sk)
            tcp_done(sk)
        else:
            sk.sk_err_soft = err
        return
    if not owned and sk.recverr and sk.sk_state != TCP_LISTEN:
        # the program is told, but finds nothing in its error queue, as 6.18 was seen to do it
        sk.sk_err = err
        sk.sk_cb.error_report(sk)
    else:
        sk.sk_err_soft = err
