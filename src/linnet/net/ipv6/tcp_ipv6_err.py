# SPDX-License-Identifier: Apache-2.0
"""ICMPv6 errors for TCP; as net/ipv4/tcp_ipv4_err.py, with Packet Too Big for path MTU discovery (RFC 8201)."""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmpv6 import ICMPV6_DEST_UNREACH, ICMPV6_NOROUTE, ICMPV6_PKT_TOOBIG, NDISC_REDIRECT
from linnet.include.linux.ipv6 import IPV6_HLEN, ipv6_daddr, ipv6_nexthdr, ipv6_saddr
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.unaligned import get_be16, get_be32
from linnet.include.net.inet_timewait_sock import InetTimewaitSock
from linnet.include.net.ip6_fib import inet6_iif
from linnet.include.net.ipv6 import inet6_sk
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.snmp import (
    ICMP6_INC_STATS,
    ICMP6_MIB_INERRORS,
    LINUX_MIB_LOCKDROPPEDICMPS,
    LINUX_MIB_OUTOFWINDOWICMPS,
    LINUX_MIB_TCPMINTTLDROP,
    NET_INC_STATS,
)
from linnet.include.net.sock import Sock, sock_owned_by_user
from linnet.include.net.tcp import TCPF_MTU_REDUCED_DEFERRED, TcpSock, between
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_LISTEN, TCP_SYN_RECV, TCP_SYN_SENT
from linnet.kernel.errno import ENOENT
from linnet.net.core.sock import __sk_dst_check, sock_put
from linnet.net.ipv4.inet_timewait_sock import inet_twsk_put
from linnet.net.ipv4.tcp import tcp_done
from linnet.net.ipv4.tcp_input_loss import tcp_simple_retransmit
from linnet.net.ipv4.tcp_ipv4_err import tcp_err_snd_una, tcp_ld_RTO_revert, tcp_req_err
from linnet.net.ipv4.tcp_ipv4_reply import skb_net
from linnet.net.ipv4.tcp_output_mss import tcp_mtu_to_mss, tcp_sync_mss
from linnet.net.ipv6.datagram import ipv6_icmp_error
from linnet.net.ipv6.exthdrs_core import ipv6_skip_exthdr
from linnet.net.ipv6.icmp import icmpv6_err_convert
from linnet.net.ipv6.inet6_connection_sock import inet6_csk_update_pmtu
from linnet.net.ipv6.inet6_hashtables import __inet6_lookup_established
from linnet.net.ipv6.ip6_output_local import ip6_sk_accept_pmtu
from linnet.net.ipv6.route import rt6_do_redirect

LINUX_FILE: Final = 'net/ipv6/tcp_ipv6.c'


def tcp_v6_mtu_reduced(sk: Sock) -> None:
    """A router could not forward a packet of sk's size: use smaller ones.  Linux: net/ipv6/tcp_ipv6.c.  RFC 8201, 4."""
    assert isinstance(sk, TcpSock)
    if sk.sk_state == TCP_LISTEN or sk.sk_state == TCP_CLOSE:
        return
    mtu = sk.mtu_info
    if tcp_mtu_to_mss(sk, mtu) >= sk.mss_cache:
        return  # no news: none can make it larger
    dst = inet6_csk_update_pmtu(sk, mtu)
    if dst is not None and sk.icsk_pmtu_cookie > dst.mtu():
        tcp_sync_mss(sk, dst.mtu())
        # what was too large is lost for certain: no need to wait for the timer
        tcp_simple_retransmit(sk)


def tcp_v6_err(skb: SkBuff, info: i64) -> int:
    """An ICMPv6 error that quotes a segment of ours: data of skb is at the quoted IPv6 header. 0, or -ENOENT.

    Linux: net/ipv6/tcp_ipv6.c.
    """
    net = skb_net(skb)
    head = skb.head
    iph = skb.data
    th = ipv6_skip_exthdr(head, iph + IPV6_HLEN, ipv6_nexthdr(head, iph)).offset
    if th < 0 or len(head) < th + 8:
        ICMP6_INC_STATS(net, ICMP6_MIB_INERRORS)
        return -ENOENT
    type = i64(head[skb.transport_header])
    code = i64(head[skb.transport_header + 1])
    source = get_be16(head, th)
    dest = get_be16(head, th + 2)
    seq = get_be32(head, th + 4)
    sk = __inet6_lookup_established(net, ipv6_daddr(head, iph), dest, ipv6_saddr(head, iph), source, inet6_iif(skb))
    if sk is None:
        ICMP6_INC_STATS(net, ICMP6_MIB_INERRORS)
        return -ENOENT
    if isinstance(sk, InetTimewaitSock):
        inet_twsk_put(sk)
        return 0
    verdict = icmpv6_err_convert(type, code)
    if isinstance(sk, RequestSock):
        tcp_req_err(sk, seq, (verdict >> 16) != 0)
        return 0
    assert isinstance(sk, TcpSock)
    if sock_owned_by_user(sk) and type != ICMPV6_PKT_TOOBIG:
        NET_INC_STATS(net, LINUX_MIB_LOCKDROPPEDICMPS)
    if sk.sk_state != TCP_CLOSE:
        if skb.ttl < inet6_sk(sk).min_hopcount:
            NET_INC_STATS(net, LINUX_MIB_TCPMINTTLDROP)
        elif sk.sk_state != TCP_LISTEN and not between(seq, tcp_err_snd_una(sk), sk.snd_nxt):
            NET_INC_STATS(net, LINUX_MIB_OUTOFWINDOWICMPS)
        else:
            tcp_v6_err_known(sk, skb, type, code, verdict & 0xFFFF, info, seq, dest, th)
    sock_put(sk)
    return 0


def tcp_v6_err_pmtu(sk: TcpSock, info: i64) -> None:
    """Packet Too Big: now, or when the program lets go of sk. Part of Linux's tcp_v6_err."""
    if sk.sk_state == TCP_LISTEN or not ip6_sk_accept_pmtu(inet6_sk(sk)):
        return
    sk.mtu_info = info
    if not sock_owned_by_user(sk):
        tcp_v6_mtu_reduced(sk)
    elif (sk.sk_tsq_flags & TCPF_MTU_REDUCED_DEFERRED) == 0:
        sk.sk_tsq_flags |= TCPF_MTU_REDUCED_DEFERRED


def tcp_v6_err_known(
    sk: TcpSock, skb: SkBuff, type: i64, code: i64, err: i64, info: i64, seq: i64, dport: i64, th: i64,
) -> None:
    """An error about a segment of sk that is out: the second half of Linux's tcp_v6_err."""
    owned = sock_owned_by_user(sk)
    if type == NDISC_REDIRECT:
        dst = __sk_dst_check(sk, 0)
        if dst is not None and not owned:
            rt6_do_redirect(dst, sk, skb)
        return
    if type == ICMPV6_PKT_TOOBIG:
        tcp_v6_err_pmtu(sk, info)
        return
    fastopen = sk.fastopen_rsk
    accepted = fastopen is not None and fastopen.rsk_child is None  # a program has the Fast Open child: as if connected
    if (sk.sk_state == TCP_SYN_SENT or sk.sk_state == TCP_SYN_RECV) and not accepted:
        # RFC 5461: the attempt ends, rather than to wait for the last SYN to time out
        ipv6_icmp_error(sk, skb, err, dport, info, th)
        if not owned:
            sk.sk_err = err
            sk.sk_cb.error_report(sk)
            tcp_done(sk)
        else:
            sk.sk_err_soft = err
        return
    if sk.sk_state != TCP_LISTEN and fastopen is None and type == ICMPV6_DEST_UNREACH and code == ICMPV6_NOROUTE:
        tcp_ld_RTO_revert(sk, seq)
    if not owned and sk.sk_state != TCP_LISTEN and inet6_sk(sk).recverr:
        sk.sk_err = err
        sk.sk_cb.error_report(sk)
    else:
        sk.sk_err_soft = err
