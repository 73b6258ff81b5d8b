# SPDX-License-Identifier: Apache-2.0
"""TCP over IPv4: how a connection is opened from either side, and the tables by which the layers around find TCP.

tcp_v4_connect is the active open: route, source address, port, sequence number, SYN. tcp_v4_syn_recv_sock makes the child of a
handshake. The tables are objects: IPV4_SPECIFIC (icsk_af_ops), TcpRequestSockOps, TcpProt (tcp_prot, one a Net) and TcpProtocol.
Siblings: tcp_ipv4_rcv (segments come in), tcp_ipv4_reply (RSTs and ACKs without a sock), tcp_ipv4_err (ICMP errors).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import IN6ADDR_LOOPBACK
from linnet.include.linux.inet import IPPROTO_TCP
from linnet.include.linux.ip import INET_ECN_MASK, ip_ttl
from linnet.include.linux.skbuff import CHECKSUM_PARTIAL, SKB_GSO_TCPV4, SkBuff
from linnet.include.linux.socket import AF_INET, Msghdr, Sockaddr
from linnet.include.linux.tcp import TCP_CSUM_OFFSET, put_check
from linnet.include.net.checksum import csum_fold, csum_tcpudp_nofold
from linnet.include.net.dropreason import SKB_DROP_REASON_NOT_SPECIFIED
from linnet.include.net.dst import DstEntry
from linnet.include.net.flow import Flowi4
from linnet.include.net.inet_connection_sock import (
    InetBind2Bucket,
    InetBindBucket,
    InetConnectionSockAfOps,
    inet_csk,
)
from linnet.include.net.inet_hashtables import InetHashinfo, sk_daddr_set, sk_rcv_saddr_set
from linnet.include.net.inet_sock import InetSock, inet_sk
from linnet.include.net.inet_timewait_sock import InetTimewaitSock
from linnet.include.net.net_namespace import Net
from linnet.include.net.protocol import NetProtocol
from linnet.include.net.request_sock import RequestSock, RequestSockOps, SynCookie, TcpFastopenCookie
from linnet.include.net.route import RTCF_BROADCAST, RTCF_MULTICAST, Rtable
from linnet.include.net.snmp import (
    IPSTATS_MIB_OUTNOROUTES,
    LINUX_MIB_LISTENOVERFLOWS,
    LINUX_MIB_TCPSYNRETRANS,
    LINUX_MIB_TCPTIMEOUTS,
    NET_INC_STATS,
    TCP_MIB_RETRANSSEGS,
)
from linnet.include.net.sock import SOCK_BINDADDR_LOCK, AcceptResult, OptResult, Proto, Sock, sock_net
from linnet.include.net.tcp import TCP_MSS_DEFAULT, TCPOLEN_MD5SIG_ALIGNED, TcpSock, tcp_sk
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_SYN_SENT
from linnet.include.trace.events.tcp import trace_tcp_destroy_sock, trace_tcp_retransmit_synack
from linnet.kernel.errno import EAFNOSUPPORT, ENETUNREACH
from linnet.kernel.slab import KmemCache
from linnet.net.core.request_sock import sk_acceptq_is_full
from linnet.net.core.secure_seq import secure_tcp_seq, secure_tcp_ts_off
from linnet.net.core.sock import sk_set_txhash, sk_setup_caps
from linnet.net.core.stream import sk_stream_write_space
from linnet.net.ipv4.inet_connection_sock import (
    count_listen_drop,
    inet_csk_accept,
    inet_csk_get_port,
    inet_csk_prepare_forced_close,
    inet_csk_route_child_sock,
    inet_csk_route_req,
)
from linnet.net.ipv4.inet_hashtables import (
    __inet_inherit_port,
    inet_bhash2_reset_saddr,
    inet_bhash2_update_saddr,
    inet_ehash_nolisten,
    inet_hash,
    inet_hash_connect,
    inet_put_port,
    inet_unhash,
)
from linnet.net.ipv4.inet_hashtables_chain import sk_is_ipv6
from linnet.net.ipv4.inet_rebuild import inet_sk_rebuild_header
from linnet.net.ipv4.inet_state import InetSockCb
from linnet.net.ipv4.ip_options import ip_options_echo
from linnet.net.ipv4.ip_output_local import ip_build_and_send_pkt, ip_queue_xmit
from linnet.net.ipv4.ip_sockglue import ip_getsockopt, ip_recv_error, ip_setsockopt
from linnet.net.ipv4.route import ip_route_connect, ip_route_newports
from linnet.net.ipv4.syncookies import cookie_v4_init_sequence
from linnet.net.ipv4.syncookies_check import cookie_v4_check
from linnet.net.ipv4.tcp import (
    tcp_clear_xmit_timers,
    tcp_done,
    tcp_enter_memory_pressure,
    tcp_init_sock,
    tcp_ioctl,
    tcp_leave_memory_pressure,
    tcp_set_state,
    tcp_write_queue_purge,
)
from linnet.net.ipv4.tcp_bbr import bbr_register
from linnet.net.ipv4.tcp_close import tcp_close, tcp_disconnect, tcp_shutdown
from linnet.net.ipv4.tcp_cong import tcp_ca_openreq_child, tcp_cleanup_congestion_control, tcp_cong_init
from linnet.net.ipv4.tcp_cubic import cubictcp_register
from linnet.net.ipv4.tcp_dctcp import dctcp_register
from linnet.net.ipv4.tcp_fastopen import tcp_fastopen_active_disable_ofo_check, tcp_fastopen_defer_connect, tcp_free_fastopen_req
from linnet.net.ipv4.tcp_info import tcp_get_timestamping_opt_stats
from linnet.net.ipv4.tcp_input_conn import tcp_conn_request
from linnet.net.ipv4.tcp_input_cwnd import tcp_initialize_rcv_mss
from linnet.net.ipv4.tcp_input_data import tcp_purge_ofo_queue
from linnet.net.ipv4.tcp_ipv4_err import tcp_v4_err, tcp_v4_mtu_reduced
from linnet.net.ipv4.tcp_ipv4_md5 import tcp_md5_key_copy, tcp_v4_parse_md5_keys
from linnet.net.ipv4.tcp_ipv4_rcv import tcp_v4_do_rcv, tcp_v4_early_demux, tcp_v4_rcv
from linnet.net.ipv4.tcp_ipv4_reply import skb_net, tcp_v4_reqsk_send_ack, tcp_v4_send_reset
from linnet.net.ipv4.tcp_minisocks import tcp_create_openreq_child
from linnet.net.ipv4.tcp_output import tcp_connect, tcp_make_synack, tcp_mss_clamp, tcp_release_cb, tcp_sync_mss
from linnet.net.ipv4.tcp_recvmsg import tcp_recvmsg
from linnet.net.ipv4.tcp_sendmsg import tcp_sendmsg
from linnet.net.ipv4.tcp_sockopt import tcp_getsockopt, tcp_set_rcvlowat, tcp_setsockopt
from linnet.net.ipv4.tcp_timer import tcp_init_xmit_timers, tcp_set_keepalive
from linnet.net.ipv4.tcp_vegas import tcp_vegas_register

# what the objects cost on a 64-bit Linux 6.x
SIZEOF_TCP_SOCK: Final = 2432
SIZEOF_TCP_REQUEST_SOCK: Final = 312
SIZEOF_TCP_TIMEWAIT_SOCK: Final = 296
SIZEOF_BIND_BUCKET: Final = 128


# -- opening

def tcp_v4_init_seq(skb: SkBuff) -> i64:
    """Our initial sequence number for a SYN.  Linux: net/ipv4/tcp_ipv4.c."""
    return secure_tcp_seq(skb_net(skb), skb.daddr, skb.saddr, skb.dport, skb.sport)


def tcp_v4_connect_route(sk: TcpSock, uaddr: Sockaddr, fl4: Flowi4) -> Rtable | None:
    """The route to the peer, and with it (in fl4) the addresses. None: fl4.err says why. Part of Linux's tcp_v4_connect."""
    rt = ip_route_connect(fl4, uaddr.sin_addr, sk.inet_saddr, sk.tos, sk.sk_bound_dev_if, IPPROTO_TCP, sk.inet_sport,
                          uaddr.sin_port, sk)
    if rt is None:
        if fl4.err == -ENETUNREACH:
            NET_INC_STATS(sock_net(sk), IPSTATS_MIB_OUTNOROUTES)
        return None
    if (rt.rt_flags & (RTCF_MULTICAST | RTCF_BROADCAST)) != 0:
        fl4.err = -ENETUNREACH
        return None
    return rt


def tcp_v4_connect(sk: Sock, uaddr: Sockaddr) -> int:
    """Begin to connect to uaddr: 0 when the SYN is out, or a negative errno.  Linux: net/ipv4/tcp_ipv4.c."""
    assert isinstance(sk, TcpSock)
    net = sock_net(sk)
    if uaddr.sa_family != AF_INET:
        return -EAFNOSUPPORT
    orig_sport = sk.inet_sport
    orig_dport = uaddr.sin_port
    fl4 = sk.cork_fl
    rt = tcp_v4_connect_route(sk, uaddr, fl4)
    if rt is None:
        return int(fl4.err)
    daddr = fl4.daddr
    if sk.inet_saddr == 0:
        inet_bhash2_update_saddr(sk, fl4.saddr)
    else:
        sk_rcv_saddr_set(sk, sk.inet_saddr)
    if sk.rx_opt.ts_recent_stamp != 0 and sk.sk_daddr != daddr:
        # another peer than last time: its timestamps say nothing
        sk.rx_opt.ts_recent = 0
        sk.rx_opt.ts_recent_stamp = 0
        sk.write_seq = 0
    sk.sk_dport = uaddr.sin_port
    sk_daddr_set(sk, daddr)
    sk.icsk_ext_hdr_len = len(sk.inet_opt)
    sk.rx_opt.mss_clamp = TCP_MSS_DEFAULT
    # from now on it can be found by segments, so the state is set before the hash
    tcp_set_state(sk, TCP_SYN_SENT)
    err = inet_hash_connect(net, sk)
    if err == 0:
        sk_set_txhash(sk)
        rt = ip_route_newports(fl4, rt, orig_sport, orig_dport, sk.inet_sport, sk.sk_dport, sk)
        err = int(fl4.err) if rt is None else 0
    if err == 0 and rt is not None:
        sk.sk_gso_type = SKB_GSO_TCPV4
        sk_setup_caps(sk, rt)
        if sk.write_seq == 0:
            sk.write_seq = secure_tcp_seq(net, sk.inet_saddr, sk.sk_daddr, sk.inet_sport, sk.sk_dport)
        sk.tsoffset = secure_tcp_ts_off(net, sk.inet_saddr, sk.sk_daddr)
        sk.inet_id = net.random.u32() & 0xFFFF
        if tcp_fastopen_defer_connect(sk):
            return 0
        err = tcp_connect(sk)
    if err != 0:
        # this unhashes the sock and gives the port back
        tcp_set_state(sk, TCP_CLOSE)
        if (sk.sk_userlocks & SOCK_BINDADDR_LOCK) == 0:
            inet_bhash2_reset_saddr(sk)
        sk.sk_route_caps = 0
        sk.sk_dport = 0
    return err


def tcp_v4_conn_request(sk: Sock, skb: SkBuff) -> int:
    """A SYN for a listener. 0, or the reason why it was turned away.  Linux: net/ipv4/tcp_ipv4.c."""
    assert isinstance(sk, TcpSock)
    dst = skb.dst
    if isinstance(dst, Rtable) and (dst.rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST)) != 0:
        count_listen_drop(sk)
        return SKB_DROP_REASON_NOT_SPECIFIED
    return tcp_conn_request(TCP_REQUEST_SOCK_OPS, sk, skb)


def tcp_v4_syn_recv_sock(sk: Sock, skb: SkBuff, req: RequestSock, dst: DstEntry | None) -> Sock | None:
    """The child of a completed handshake, in the request's place in the hash; None where there is no room for it.

    Linux: net/ipv4/tcp_ipv4.c.
    """
    assert isinstance(sk, TcpSock)
    net = sock_net(sk)
    if sk_acceptq_is_full(sk):
        NET_INC_STATS(net, LINUX_MIB_LISTENOVERFLOWS)
        count_listen_drop(sk)
        return None
    newsk = tcp_create_openreq_child(sk, req, skb)
    if newsk is None:
        count_listen_drop(sk)
        return None
    newsk.sk_gso_type = SKB_GSO_TCPV4
    inet_sk_rx_dst_set(newsk, skb)
    sk_daddr_set(newsk, req.ir_rmt_addr)
    sk_rcv_saddr_set(newsk, req.ir_loc_addr)
    newsk.inet_saddr = req.ir_loc_addr
    newsk.sk_bound_dev_if = req.sk_bound_dev_if
    newsk.inet_opt = req.ireq_opt
    req.ireq_opt = b''
    newsk.mc_index = skb.skb_iif
    if skb.network_header >= 0:
        newsk.mc_ttl = ip_ttl(skb.head, skb.network_header)
    newsk.rcv_tos = skb.tos
    if net.ipv4.sysctl_tcp_reflect_tos != 0:
        newsk.tos = req.syn_tos & ~INET_ECN_MASK
    newsk.icsk_ext_hdr_len = len(newsk.inet_opt)
    newsk.inet_id = net.random.u32() & 0xFFFF
    if dst is None:
        dst = inet_csk_route_child_sock(sk, newsk, req)
    return tcp_syn_recv_child(sk, newsk, req, dst)


def tcp_syn_recv_child(sk: TcpSock, newsk: TcpSock, req: RequestSock, dst: DstEntry | None) -> TcpSock | None:
    """Give a child, which has its addresses, its route dst, MSS and key, and put it in the request's place in the hash.

    The part that tcp_v4_syn_recv_sock shares with IPv6's. None: it has no route, or the request is gone; then it ends.
    """
    if sk.md5sig_info is not None:
        tcp_md5_key_copy(newsk, sk, req)
        if newsk.md5sig_info is not None:
            newsk.tcp_header_len += TCPOLEN_MD5SIG_ALIGNED
    if dst is not None:
        sk_setup_caps(newsk, dst)
        tcp_ca_openreq_child(newsk)
        tcp_sync_mss(newsk, dst.mtu())
        newsk.advmss = tcp_mss_clamp(sk, dst.advmss())
        tcp_initialize_rcv_mss(newsk)
        # a request of Fast Open is not in the hash
        if __inet_inherit_port(sk, newsk) == 0 and inet_ehash_nolisten(newsk, req if req.sk_hashed else None):
            newsk.saved_syn = req.saved_syn
            newsk.sk_txhash = req.txhash
            return newsk
    inet_csk_prepare_forced_close(newsk)
    tcp_done(newsk)
    count_listen_drop(sk)
    return None


def inet_sk_rx_dst_set(sk: Sock, skb: SkBuff) -> None:
    """Remember the route by which skb came, for early demux.  Linux: net/ipv4/tcp_ipv4.c."""
    dst = skb.dst
    if dst is not None:
        sk.sk_rx_dst = dst
        sk.sk_rx_dst_ifindex = skb.skb_iif


def __tcp_v4_send_check(skb: SkBuff, saddr: i64, daddr: i64) -> None:
    """Leave the checksum to the device: the header gets the pseudo header's sum.  Linux: net/ipv4/tcp_ipv4.c."""
    th = skb.transport_header
    pseudo = csum_tcpudp_nofold(saddr, daddr, skb.len, IPPROTO_TCP, 0)
    skb.head = put_check(skb.head, th + TCP_CSUM_OFFSET, 0xFFFF - csum_fold(pseudo))
    skb.ip_summed = CHECKSUM_PARTIAL
    skb.csum_start = th
    skb.csum_offset = TCP_CSUM_OFFSET


def tcp_v4_send_check(sk: Sock, skb: SkBuff) -> None:
    """Linux: net/ipv4/tcp_ipv4.c."""
    assert isinstance(sk, InetSock)
    __tcp_v4_send_check(skb, sk.inet_saddr, sk.sk_daddr)


def tcp_synack_tos(sk: Sock, req: RequestSock, tos: i64) -> i64:
    """The TOS (or traffic class) of a SYN-ACK: the listener's, or with net.ipv4.tcp_reflect_tos the SYN's but for ECN.

    Part of Linux's tcp_v4_send_synack and tcp_v6_send_synack.
    """
    if sock_net(sk).ipv4.sysctl_tcp_reflect_tos == 0:
        return tos
    return (req.syn_tos & ~INET_ECN_MASK) | (tos & INET_ECN_MASK)


def tcp_v4_send_synack(
    sk: Sock, dst: DstEntry | None, req: RequestSock, foc: TcpFastopenCookie | None, syn_skb: SkBuff | None,
) -> int:
    """Send the SYN-ACK of a request. 0 or a negative errno.  Linux: net/ipv4/tcp_ipv4.c."""
    assert isinstance(sk, TcpSock)
    if dst is None:
        dst = inet_csk_route_req(sk, Flowi4(), req)
        if dst is None:
            return -1
    skb = tcp_make_synack(sk, dst, req, foc)
    req.snt_tsval_last = (sock_net(sk).clock.now // 1_000_000 + req.ts_off) & 0xFFFFFFFF
    __tcp_v4_send_check(skb, req.ir_loc_addr, req.ir_rmt_addr)
    tos = tcp_synack_tos(sk, req, sk.tos)
    err = ip_build_and_send_pkt(skb, sk, req.ir_loc_addr, req.ir_rmt_addr, req.ireq_opt, tos)
    return int(err) if err < 0 else 0


def tcp_rtx_synack(sk: Sock, req: RequestSock) -> int:
    """Send the SYN-ACK again. 0 or a negative errno.  Linux: net/ipv4/tcp_output.c."""
    net = sock_net(sk)
    ops = req.rsk_ops
    assert ops is not None
    req.txhash = net.random.u32() | 1
    err = ops.send_synack(sk, None, req, None, None)
    if err == 0:
        NET_INC_STATS(net, TCP_MIB_RETRANSSEGS)
        NET_INC_STATS(net, LINUX_MIB_TCPSYNRETRANS)
        if isinstance(sk, TcpSock) and sk.fastopen_rsk is not None:
            sk.total_retrans += 1
        trace_tcp_retransmit_synack(req)
    return err


# -- birth and death

class TcpSockCb(InetSockCb):
    """The callbacks of a TCP sock."""

    def write_space(self, sk: Sock) -> None:
        """See sk_stream_write_space."""
        sk_stream_write_space(sk)


TCP_SOCK_CB: Final = TcpSockCb()


def tcp_v4_init_sock(sk: Sock) -> int:
    """Initialise a new TCP sock.  Linux: net/ipv4/tcp_ipv4.c."""
    tcp_init_sock(sk)
    inet_csk(sk).icsk_af_ops = IPV4_SPECIFIC  # walk: state icsk->icsk_af_ops = &ipv4_specific
    sk.sk_cb = TCP_SOCK_CB
    tcp_init_xmit_timers(sk)
    return 0


def tcp_v4_destroy_sock(sk: Sock) -> None:
    """Free what TCP hung on the sock.  Linux: net/ipv4/tcp_ipv4.c."""
    tp = tcp_sk(sk)
    trace_tcp_destroy_sock(sk)
    tcp_clear_xmit_timers(tp)
    tcp_cleanup_congestion_control(tp)
    tcp_write_queue_purge(tp)
    tcp_fastopen_active_disable_ofo_check(tp)
    tcp_purge_ofo_queue(tp)
    if tp.icsk_bind_hash is not None:
        inet_put_port(tp)
    assert tp.fastopen_rsk is None
    tcp_free_fastopen_req(tp)
    tp.saved_syn = b''
    tp.sk_prot.mem.sockets_allocated -= 1


def tcp_twsk_reuse(sk: TcpSock, tw: InetTimewaitSock) -> bool:
    """Does net.ipv4.tcp_tw_reuse (1: everywhere, 2: over loopback) let a connection take a port from tw, and is it time?

    Part of Linux's tcp_twsk_unique.
    """
    net = sock_net(sk)
    reuse = net.ipv4.sysctl_tcp_tw_reuse
    if reuse == 0 or (reuse == 2 and not twsk_loopback(tw)):
        return False
    return net.clock.jiffies() > tw.tw_entry_stamp + net.ipv4.sysctl_tcp_tw_reuse_delay


def twsk_loopback(tw: InetTimewaitSock) -> bool:
    """Was it a connection of this machine with itself? Part of Linux's tcp_twsk_unique."""
    if sk_is_ipv6(tw):
        return tw.sk_v6_daddr == IN6ADDR_LOOPBACK or tw.sk_v6_rcv_saddr == IN6ADDR_LOOPBACK
    return (tw.sk_daddr >> 24) == 127 or (tw.sk_rcv_saddr >> 24) == 127


def tcp_twsk_unique(sk: TcpSock, tw: InetTimewaitSock, chosen: bool) -> bool:
    """May a connecting sk take the place of a TIME_WAIT sock with the same four-tuple? Where timestamps tell the two apart.

    chosen: the port was chosen for sk; of one that it was bound to, the program has decided.
    Linux: net/ipv4/tcp_ipv4.c.  RFC 6191.
    """
    if tw.tw_ts_recent_stamp == 0 or (chosen and not tcp_twsk_reuse(sk, tw)):
        return False
    # begin behind everything that the old one may have sent
    sk.write_seq = (tw.tw_snd_nxt + 65535 + 2) & 0xFFFFFFFF
    if sk.write_seq == 0:
        sk.write_seq = 1
    sk.rx_opt.ts_recent = tw.tw_ts_recent
    sk.rx_opt.ts_recent_stamp = tw.tw_ts_recent_stamp
    return True


# -- the tables

class TcpIpv4AfOps(InetConnectionSockAfOps):
    """Linux: ipv4_specific."""

    def queue_xmit(self, sk: Sock, skb: SkBuff) -> i64:
        """See ip_queue_xmit."""
        return ip_queue_xmit(sk, skb, inet_sk(sk).cork_fl)

    def send_check(self, sk: Sock, skb: SkBuff) -> None:
        """See tcp_v4_send_check."""
        tcp_v4_send_check(sk, skb)

    def rebuild_header(self, sk: Sock) -> int:
        """See inet_sk_rebuild_header."""
        return inet_sk_rebuild_header(sk)

    def sk_rx_dst_set(self, sk: Sock, skb: SkBuff) -> None:
        """See inet_sk_rx_dst_set."""
        inet_sk_rx_dst_set(sk, skb)

    def conn_request(self, sk: Sock, skb: SkBuff) -> int:
        """See tcp_v4_conn_request."""
        return tcp_v4_conn_request(sk, skb)

    def syn_recv_sock(self, sk: Sock, skb: SkBuff, req: RequestSock, dst: DstEntry | None) -> Sock | None:
        """See tcp_v4_syn_recv_sock."""
        return tcp_v4_syn_recv_sock(sk, skb, req, dst)

    def cookie_check(self, sk: Sock, skb: SkBuff) -> Sock | None:
        """See cookie_v4_check."""
        return cookie_v4_check(TCP_REQUEST_SOCK_OPS, tcp_sk(sk), skb)

    def mtu_reduced(self, sk: Sock) -> None:
        """See tcp_v4_mtu_reduced."""
        tcp_v4_mtu_reduced(sk)

    def md5_parse(self, sk: Sock, optname: int, optval: bytes) -> int:
        """See tcp_v4_parse_md5_keys."""
        return tcp_v4_parse_md5_keys(tcp_sk(sk), optname, optval)

    def setsockopt(self, sk: Sock, level: int, optname: int, optval: bytes) -> int:
        """See ip_setsockopt."""
        return ip_setsockopt(sk, level, optname, optval)

    def getsockopt(self, sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
        """See ip_getsockopt."""
        return ip_getsockopt(sk, level, optname, optlen)

    def recv_error(self, sk: Sock, msg: Msghdr, length: int) -> int:
        """See ip_recv_error."""
        return ip_recv_error(sk, msg, length)


IPV4_SPECIFIC: Final = TcpIpv4AfOps()


class TcpRequestOps(RequestSockOps):
    """What requests of both families have in common."""

    def rtx_syn_ack(self, sk: Sock, req: RequestSock) -> int:
        """See tcp_rtx_synack."""
        return tcp_rtx_synack(sk, req)

    def syn_ack_timeout(self, req: RequestSock) -> None:
        """Count it.  Linux: net/ipv4/tcp_timer.c, tcp_syn_ack_timeout."""
        NET_INC_STATS(sock_net(req), LINUX_MIB_TCPTIMEOUTS)


class TcpRequestSockOps(TcpRequestOps):
    """Linux: tcp_request_sock_ops and tcp_request_sock_ipv4_ops."""

    def send_reset(self, sk: Sock, skb: SkBuff) -> None:
        """See tcp_v4_send_reset."""
        tcp_v4_send_reset(sk, skb)

    def send_ack(self, sk: Sock, skb: SkBuff, req: RequestSock) -> None:
        """See tcp_v4_reqsk_send_ack."""
        tcp_v4_reqsk_send_ack(sk, skb, req)

    def cookie_init_seq(self, sk: Sock, skb: SkBuff, mss: i64) -> SynCookie:
        """See cookie_v4_init_sequence."""
        return cookie_v4_init_sequence(tcp_sk(sk), skb, mss)

    def init_seq(self, skb: SkBuff) -> i64:
        """See tcp_v4_init_seq."""
        return tcp_v4_init_seq(skb)

    def init_ts_off(self, sk: Sock, skb: SkBuff) -> i64:
        """Linux: net/ipv4/tcp_ipv4.c, tcp_v4_init_ts_off."""
        return secure_tcp_ts_off(sock_net(sk), skb.daddr, skb.saddr)

    def init_req(self, req: RequestSock, sk: Sock, skb: SkBuff) -> None:
        """Linux: net/ipv4/tcp_ipv4.c, tcp_v4_init_req."""
        req.ir_loc_addr = skb.daddr
        req.ir_rmt_addr = skb.saddr
        sk_rcv_saddr_set(req, skb.daddr)
        sk_daddr_set(req, skb.saddr)
        if skb.ip_opt:
            req.ireq_opt = ip_options_echo(sock_net(sk), skb.ip_opt, skb.saddr, skb.daddr)

    def send_synack(
        self, sk: Sock, dst: DstEntry | None, req: RequestSock, foc: TcpFastopenCookie | None, syn_skb: SkBuff | None,
    ) -> int:
        """See tcp_v4_send_synack."""
        return tcp_v4_send_synack(sk, dst, req, foc, syn_skb)

    def route_req(self, sk: Sock, req: RequestSock) -> DstEntry | None:
        """See inet_csk_route_req."""
        return inet_csk_route_req(sk, Flowi4(), req)


TCP_REQUEST_SOCK_OPS: Final = TcpRequestSockOps()


class TcpSockCache(KmemCache):
    """The slab of TCP socks."""

    def new(self) -> object:
        """See KmemCache."""
        return TcpSock()


class TcpRequestSockCache(KmemCache):
    """The slab of connection requests."""

    def new(self) -> object:
        """See KmemCache."""
        return RequestSock()


class TcpTimewaitSockCache(KmemCache):
    """The slab of TIME_WAIT socks."""

    def new(self) -> object:
        """See KmemCache."""
        return InetTimewaitSock()


class BindBucketCache(KmemCache):
    """The slab of ports in use."""

    def new(self) -> object:
        """See KmemCache."""
        return InetBindBucket(0)


class Bind2BucketCache(KmemCache):
    """The slab of ports and addresses in use."""

    def new(self) -> object:
        """See KmemCache."""
        return InetBind2Bucket(0, 0)


class TcpProt(Proto):
    """Linux: tcp_prot. One a Net; the slabs are the world's."""

    def __init__(self, net: Net, slab: KmemCache) -> None:
        super().__init__('TCP', slab)
        self.sysctl_mem = net.ipv4.sysctl_tcp_mem
        self.max_header = 320
        self.no_autobind = True  # a socket that is not connected cannot send: it gets no port for trying

    def enter_memory_pressure(self, sk: Sock) -> None:
        """See tcp_enter_memory_pressure."""
        tcp_enter_memory_pressure(sk)

    def leave_memory_pressure(self, sk: Sock) -> None:
        """See tcp_leave_memory_pressure."""
        tcp_leave_memory_pressure(sk)

    def init(self, sk: Sock) -> int:
        """See tcp_v4_init_sock."""
        return tcp_v4_init_sock(sk)

    def timestamping_opt_stats(self, sk: Sock, orig: SkBuff, ack_skb: SkBuff | None) -> bytes:
        """See tcp_get_timestamping_opt_stats."""
        return tcp_get_timestamping_opt_stats(tcp_sk(sk), orig, ack_skb)

    def destroy(self, sk: Sock) -> None:
        """See tcp_v4_destroy_sock."""
        tcp_v4_destroy_sock(sk)

    def close(self, sk: Sock, timeout: i64) -> None:
        """See tcp_close."""
        tcp_close(sk, timeout)

    def connect(self, sk: Sock, uaddr: Sockaddr) -> int:
        """See tcp_v4_connect."""
        return tcp_v4_connect(sk, uaddr)

    def disconnect(self, sk: Sock, flags: int) -> int:
        """See tcp_disconnect."""
        return tcp_disconnect(sk, flags)

    def accept(self, sk: Sock, flags: int) -> AcceptResult:
        """See inet_csk_accept."""
        return inet_csk_accept(inet_csk(sk), flags)

    def ioctl(self, sk: Sock, cmd: int, arg: int) -> int:
        """See tcp_ioctl."""
        return tcp_ioctl(sk, cmd, arg)

    def shutdown(self, sk: Sock, how: int) -> None:
        """See tcp_shutdown."""
        tcp_shutdown(sk, how)

    def setsockopt(self, sk: Sock, level: int, optname: int, optval: bytes) -> int:
        """See tcp_setsockopt."""
        return tcp_setsockopt(sk, level, optname, optval)

    def getsockopt(self, sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
        """See tcp_getsockopt."""
        return tcp_getsockopt(sk, level, optname, optlen)

    def sendmsg(self, sk: Sock, msg: Msghdr, size: int) -> int:
        """See tcp_sendmsg."""
        return tcp_sendmsg(sk, msg, size)

    def recvmsg(self, sk: Sock, msg: Msghdr, size: int, nonblock: bool, flags: int) -> int:
        """See tcp_recvmsg."""
        return tcp_recvmsg(sk, msg, size, nonblock, flags)

    def backlog_rcv(self, sk: Sock, skb: SkBuff) -> int:
        """See tcp_v4_do_rcv."""
        return tcp_v4_do_rcv(sk, skb)

    def release_cb(self, sk: Sock) -> None:
        """See tcp_release_cb."""
        tcp_release_cb(sk)

    def keepalive(self, sk: Sock, on: bool) -> None:
        """See tcp_set_keepalive."""
        tcp_set_keepalive(tcp_sk(sk), on)

    def set_rcvlowat(self, sk: Sock, val: i64) -> int:
        """See tcp_set_rcvlowat."""
        return tcp_set_rcvlowat(tcp_sk(sk), val)

    def hash(self, sk: Sock) -> int:
        """See inet_hash."""
        return inet_hash(sk)

    def unhash(self, sk: Sock) -> None:
        """See inet_unhash."""
        inet_unhash(sk)

    def get_port(self, sk: Sock, snum: i64) -> int:
        """See inet_csk_get_port."""
        return inet_csk_get_port(inet_csk(sk), snum)

    def twsk_unique(self, sk: Sock, sktw: Sock, chosen: bool) -> bool:
        """See tcp_twsk_unique."""
        assert isinstance(sktw, InetTimewaitSock)
        return tcp_twsk_unique(tcp_sk(sk), sktw, chosen)


class TcpProtocol(NetProtocol):
    """Linux: tcp_protocol."""

    def handler(self, skb: SkBuff) -> i64:
        """See tcp_v4_rcv."""
        return tcp_v4_rcv(skb)

    def err_handler(self, skb: SkBuff, info: i64) -> int:
        """See tcp_v4_err."""
        return tcp_v4_err(skb, info)

    def early_demux(self, skb: SkBuff) -> None:
        """See tcp_v4_early_demux."""
        tcp_v4_early_demux(skb)


def tcp_slab(net: Net, cache: KmemCache) -> KmemCache:
    """The world's cache of that name: `cache` itself for the first Net that asks."""
    found = net.world.slab.caches.get(cache.name)
    return found if found is not None else net.world.slab.register(cache)


def tcp_v4_init(net: Net) -> None:
    """Make the TCP of one Net: its hashes, net.ipv4.tcp_prot, its entry for received segments, its congestion controls.

    Linux: net/ipv4/tcp_ipv4.c, tcp_sk_init; tcp_init of tcp.c.
    """
    trace = net.world.trace
    random = net.random.fork('tcp')
    hashinfo = InetHashinfo(
        random.u32(),
        tcp_slab(net, BindBucketCache('tcp_bind_bucket', SIZEOF_BIND_BUCKET, trace)),
        tcp_slab(net, Bind2BucketCache('tcp_bind2_bucket', SIZEOF_BIND_BUCKET, trace)),
    )
    hashinfo.net_secret = [random.u64(), random.u64()]
    hashinfo.ts_secret = [random.u64(), random.u64()]
    net.ipv4.tcp_hashinfo = hashinfo
    prot = TcpProt(net, tcp_slab(net, TcpSockCache('TCP', SIZEOF_TCP_SOCK, trace)))
    prot.rsk_slab = tcp_slab(net, TcpRequestSockCache('request_sock_TCP', SIZEOF_TCP_REQUEST_SOCK, trace))
    prot.twsk_slab = tcp_slab(net, TcpTimewaitSockCache('tw_sock_TCP', SIZEOF_TCP_TIMEWAIT_SOCK, trace))
    net.ipv4.tcp_prot = prot
    net.ipv4.inet_protos[IPPROTO_TCP] = TcpProtocol()
    tcp_cong_init(net)
    cubictcp_register(net)
    bbr_register(net)
    dctcp_register(net)
    tcp_vegas_register(net)
