# SPDX-License-Identifier: Apache-2.0
"""TCP over IPv6: how a connection is opened from either side, and the tables by which the layers around find TCP.

Everything behind the addresses is net/ipv4's: here is what a family adds. A sock of AF_INET6 with an IPv4-mapped peer speaks
IPv4: its af_ops are IPV6_MAPPED, which are IPv4's but for what makes sockets and names. A listener of AF_INET6 that is not for
IPv6 alone gets IPv4's SYNs, and its children by them are such socks.
Siblings: tcp_ipv6_rcv (segments come in), tcp_ipv6_reply (RSTs and ACKs without a sock), tcp_ipv6_err (ICMPv6 errors).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IP
from linnet.include.linux.in6 import IN6ADDR_LOOPBACK, IPV6_ADDRFORM, in6_read
from linnet.include.linux.inet import INADDR_LOOPBACK, IPPROTO_TCP
from linnet.include.linux.ip import INET_ECN_MASK
from linnet.include.linux.ipv6 import (
    IPV6_FLOWINFO_MASK,
    IPV6_FLOWLABEL_MASK,
    IPV6_MIN_MTU,
    ip6_flowinfo,
    ip6_flowlabel,
)
from linnet.include.linux.skbuff import SKB_GSO_TCPV6, SkBuff
from linnet.include.linux.socket import AF_INET, AF_INET6, SOL_IPV6, Msghdr, Sockaddr
from linnet.include.net.dropreason import SKB_DROP_REASON_NOT_SPECIFIED
from linnet.include.net.dst import DstEntry
from linnet.include.net.flow import Flowi6
from linnet.include.net.inet_connection_sock import InetConnectionSockAfOps, inet_csk
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.ip6_fib import Rt6Info, inet6_iif
from linnet.include.net.ipv6 import (
    IPV6_ADDR_LINKLOCAL,
    IPV6_ADDR_MAPPED,
    IPV6_ADDR_MULTICAST,
    LOOPBACK4_IPV6,
    Ipv6Txoptions,
    inet6_sk,
    ipv6_addr_set_v4mapped,
    ipv6_addr_type,
    ipv6_addr_v4mapped,
    ipv6_mapped_v4,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.protocol import NetProtocol
from linnet.include.net.request_sock import RequestSock, SynCookie, TcpFastopenCookie
from linnet.include.net.snmp import (
    IP6_INC_STATS,
    IPSTATS_MIB_INHDRERRORS,
    IPSTATS_MIB_OUTNOROUTES,
    LINUX_MIB_LISTENOVERFLOWS,
    NET_INC_STATS,
)
from linnet.include.net.sock import SOCK_BINDADDR_LOCK, OptResult, Sock, sock_net
from linnet.include.net.tcp import TcpSock, tcp_sk
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_ESTABLISHED, TCP_LISTEN, TCP_SYN_SENT
from linnet.kernel.errno import EADDRNOTAVAIL, EINVAL, ENETUNREACH, ENOTCONN
from linnet.kernel.slab import KmemCache
from linnet.net.core.request_sock import sk_acceptq_is_full
from linnet.net.core.secure_seq import secure_tcpv6_seq, secure_tcpv6_ts_off
from linnet.net.core.sock import lock_sock, release_sock, sk_set_txhash, sk_setup_caps
from linnet.net.ipv4.inet_connection_sock import count_listen_drop
from linnet.net.ipv4.inet_hashtables import inet_bhash2_reset_saddr
from linnet.net.ipv4.syncookies_check import cookie_v4_check
from linnet.net.ipv4.tcp import tcp_set_state
from linnet.net.ipv4.tcp_fastopen import tcp_fastopen_defer_connect
from linnet.net.ipv4.tcp_input_conn import tcp_conn_request
from linnet.net.ipv4.tcp_ipv4 import (
    IPV4_SPECIFIC,
    TCP_REQUEST_SOCK_OPS,
    TCP_SOCK_CB,
    TcpIpv4AfOps,
    TcpProt,
    TcpRequestOps,
    TcpRequestSockCache,
    TcpSockCache,
    TcpTimewaitSockCache,
    inet_sk_rx_dst_set,
    tcp_slab,
    tcp_syn_recv_child,
    tcp_synack_tos,
    tcp_v4_conn_request,
    tcp_v4_connect,
    tcp_v4_init_sock,
    tcp_v4_syn_recv_sock,
)
from linnet.net.ipv4.tcp_ipv4_md5 import SIZEOF_TCP_MD5SIG, tcp_md5_set_key
from linnet.net.ipv4.tcp_ipv4_reply import skb_net
from linnet.net.ipv4.tcp_minisocks import tcp_create_openreq_child
from linnet.net.ipv4.tcp_output import tcp_connect, tcp_make_synack, tcp_sync_mss
from linnet.net.ipv6.datagram import ipv6_recv_error
from linnet.net.ipv6.exthdrs import fl6_update_dst
from linnet.net.ipv6.inet6_connection_sock import (
    inet6_csk_route_req,
    inet6_csk_xmit,
    inet6_other_family,
    inet6_req_flow,
    inet6_sk_flow,
    inet6_sk_rebuild_header,
    ipv6_pinfo_clone,
)
from linnet.net.ipv6.inet6_hashtables import inet6_bhash2_update_saddr, inet6_hash_connect, inet6_rcv_saddr_set
from linnet.net.ipv6.ip6_flowlabel import fl6_sock_lookup
from linnet.net.ipv6.ip6_output_local import ip6_xmit
from linnet.net.ipv6.ip6_output_lookup import ip6_dst_lookup_flow
from linnet.net.ipv6.ipv6_sockglue import ipv6_getsockopt, ipv6_setsockopt
from linnet.net.ipv6.protocol import inet6_add_protocol
from linnet.net.ipv6.syncookies import cookie_v6_check, cookie_v6_init_sequence
from linnet.net.ipv6.tcp_ipv6_err import tcp_v6_err, tcp_v6_mtu_reduced
from linnet.net.ipv6.tcp_ipv6_rcv import tcp_v6_do_rcv, tcp_v6_early_demux, tcp_v6_rcv
from linnet.net.ipv6.tcp_ipv6_reply import (
    __tcp_v6_send_check,
    ipv6_unicast_destination,
    tcp_v6_reqsk_send_ack,
    tcp_v6_send_reset,
)

# what the objects cost on a 64-bit Linux 6.x
SIZEOF_TCP6_SOCK: Final = 2560
SIZEOF_TCP6_REQUEST_SOCK: Final = 312
SIZEOF_TCP6_TIMEWAIT_SOCK: Final = 296
MSS_CLAMP6: Final = IPV6_MIN_MTU - 60  # of a peer that gives no MSS: what each link takes (RFC 9293, 3.7.1)


# -- opening

def tcp_v6_init_seq(skb: SkBuff) -> i64:
    """Our initial sequence number for a SYN.  Linux: net/ipv6/tcp_ipv6.c."""
    return secure_tcpv6_seq(skb_net(skb), skb.daddr6, skb.saddr6, skb.dport, skb.sport)


def tcp_v6_connect_addr(sk: TcpSock, uaddr: Sockaddr) -> int:
    """Can uaddr be connected to, and by which device? 0 or a negative errno. The first part of Linux's tcp_v6_connect.

    The any-address means this machine; one of one link needs its device, by its scope or by SO_BINDTODEVICE.
    """
    addr = uaddr.sin6_addr
    if addr == 0:
        addr = ipv6_addr_set_v4mapped(INADDR_LOOPBACK) if ipv6_addr_v4mapped(sk.sk_v6_rcv_saddr) else IN6ADDR_LOOPBACK
        uaddr.sin6_addr = addr
    kind = ipv6_addr_type(addr)
    if (kind & IPV6_ADDR_MULTICAST) != 0:
        return -ENETUNREACH
    if (kind & IPV6_ADDR_LINKLOCAL) != 0:
        scope = uaddr.sin6_scope_id
        if scope != 0:
            if sk.sk_bound_dev_if != 0 and sk.sk_bound_dev_if != scope:
                return -EINVAL
            sk.sk_bound_dev_if = scope
        if sk.sk_bound_dev_if == 0:
            return -EINVAL
    return 0


def tcp_v6_connect_mapped(sk: TcpSock, uaddr: Sockaddr) -> int:
    """Connect to an IPv4-mapped address: over IPv4. Part of Linux's tcp_v6_connect."""
    if sk.sk_ipv6only:
        return -ENETUNREACH
    np = inet6_sk(sk)
    exthdrlen = sk.icsk_ext_hdr_len
    sk.icsk_af_ops = IPV6_MAPPED
    err = tcp_v4_connect(sk, uaddr)
    if err != 0:
        sk.icsk_ext_hdr_len = exthdrlen
        sk.icsk_af_ops = IPV6_SPECIFIC
        return err
    np.saddr = sk.sk_v6_rcv_saddr
    return 0


def tcp_v6_connect_route(sk: TcpSock, dport: i64, fl6: Flowi6) -> Rt6Info | None:
    """The route to sk's peer, and with it (in fl6) our address. None: fl6.err says why. Part of Linux's tcp_v6_connect."""
    np = inet6_sk(sk)
    fl6.flowi6_proto = IPPROTO_TCP
    fl6.daddr = sk.sk_v6_daddr
    fl6.saddr = sk.sk_v6_rcv_saddr
    fl6.flowlabel = (np.flow_label | ((np.tclass & ~INET_ECN_MASK) << 20)) & IPV6_FLOWINFO_MASK
    fl6.flowi6_oif = sk.sk_bound_dev_if
    fl6.flowi6_mark = sk.sk_mark
    fl6.fl6_dport = dport
    fl6.fl6_sport = sk.inet_sport
    fl6.err = 0
    final = fl6_update_dst(fl6, np.opt)
    rt = ip6_dst_lookup_flow(sock_net(sk), sk, fl6, final)
    if final != 0:
        fl6.daddr = final
    return rt


def tcp_v6_connect(sk: Sock, uaddr: Sockaddr) -> int:
    """Begin to connect to uaddr: 0 when the SYN is out, or a negative errno.  Linux: net/ipv6/tcp_ipv6.c."""
    assert isinstance(sk, TcpSock)
    net = sock_net(sk)
    np = inet6_sk(sk)
    if uaddr.sa_family != AF_INET6:
        return inet6_other_family(uaddr)
    flow_label: i64 = 0
    if np.sndflow:
        flow_label = uaddr.sin6_flowinfo & IPV6_FLOWINFO_MASK
        if not fl6_sock_lookup(sk, flow_label & IPV6_FLOWLABEL_MASK):
            return -EINVAL
    err = tcp_v6_connect_addr(sk, uaddr)
    if err != 0:
        return err
    if sk.rx_opt.ts_recent_stamp != 0 and sk.sk_v6_daddr != uaddr.sin6_addr:
        # another peer than last time: its timestamps say nothing
        sk.rx_opt.ts_recent = 0
        sk.rx_opt.ts_recent_stamp = 0
        sk.write_seq = 0
    sk.sk_v6_daddr = uaddr.sin6_addr
    np.flow_label = flow_label
    if (ipv6_addr_type(uaddr.sin6_addr) & IPV6_ADDR_MAPPED) != 0:
        v4 = Sockaddr(AF_INET, ipv6_mapped_v4(uaddr.sin6_addr), uaddr.sin_port)
        return tcp_v6_connect_mapped(sk, v4)
    sk.icsk_af_ops = IPV6_SPECIFIC
    fl6 = np.cork_fl6
    rt = tcp_v6_connect_route(sk, uaddr.sin_port, fl6)
    if rt is None:
        if fl6.err == -ENETUNREACH:
            IP6_INC_STATS(net, IPSTATS_MIB_OUTNOROUTES)
        sk.sk_dport = 0
        sk.sk_route_caps = 0
        return int(fl6.err)
    if sk.sk_v6_rcv_saddr == 0:
        inet6_bhash2_update_saddr(sk, fl6.saddr)
    else:
        np.saddr = sk.sk_v6_rcv_saddr
    sk.sk_daddr = LOOPBACK4_IPV6
    sk.sk_rcv_saddr = LOOPBACK4_IPV6
    sk.inet_saddr = LOOPBACK4_IPV6
    sk.sk_gso_type = SKB_GSO_TCPV6
    sk_setup_caps(sk, rt)
    opt = np.opt
    sk.icsk_ext_hdr_len = 0 if opt is None else opt.opt_flen + opt.opt_nflen
    sk.rx_opt.mss_clamp = MSS_CLAMP6
    sk.sk_dport = uaddr.sin_port
    # from now on it can be found by segments, so the state is set before the hash
    tcp_set_state(sk, TCP_SYN_SENT)
    err = inet6_hash_connect(net, sk)
    if err == 0:
        fl6.fl6_sport = sk.inet_sport
        err = tcp_v6_connect_start(net, sk)
    if err != 0:
        # this unhashes the sock and gives the port back
        tcp_set_state(sk, TCP_CLOSE)
        if (sk.sk_userlocks & SOCK_BINDADDR_LOCK) == 0:
            inet_bhash2_reset_saddr(sk)
        sk.sk_route_caps = 0
        sk.sk_dport = 0
    return err


def tcp_v6_connect_start(net: Net, sk: TcpSock) -> int:
    """The sock is hashed: choose the numbers of the connection and send the SYN. The last part of Linux's tcp_v6_connect."""
    sk_set_txhash(sk)
    if sk.write_seq == 0:
        sk.write_seq = secure_tcpv6_seq(net, sk.sk_v6_rcv_saddr, sk.sk_v6_daddr, sk.inet_sport, sk.sk_dport)
    sk.tsoffset = secure_tcpv6_ts_off(net, sk.sk_v6_rcv_saddr, sk.sk_v6_daddr)
    if tcp_fastopen_defer_connect(sk):
        return 0
    return tcp_connect(sk)


def tcp_v6_conn_request(sk: Sock, skb: SkBuff) -> int:
    """A SYN for a listener, IPv4's too. 0, or the reason why it was turned away.  Linux: net/ipv6/tcp_ipv6.c."""
    assert isinstance(sk, TcpSock)
    if skb.protocol == ETH_P_IP:
        return tcp_v4_conn_request(sk, skb)
    if not ipv6_unicast_destination(skb):
        count_listen_drop(sk)
        return SKB_DROP_REASON_NOT_SPECIFIED
    if ipv6_addr_v4mapped(skb.saddr6):
        IP6_INC_STATS(sock_net(sk), IPSTATS_MIB_INHDRERRORS)
        return SKB_DROP_REASON_NOT_SPECIFIED
    return tcp_conn_request(TCP6_REQUEST_SOCK_OPS, sk, skb)


def tcp_v6_child_np(sk: TcpSock, newsk: TcpSock, skb: SkBuff) -> None:
    """The child's part of IPv6: the listener's, but for what belongs to a listener, or to its packets.

    Part of Linux's tcp_v6_syn_recv_sock.
    """
    newnp = ipv6_pinfo_clone(inet6_sk(sk))
    newnp.mc_list = []
    newnp.mcast_hops = skb.ttl
    newnp.rcv_flowinfo = 0
    newsk.pinet6 = newnp
    if skb.protocol == ETH_P_IP:
        newnp.opt = None
        newnp.mcast_oif = skb.skb_iif
        newnp.saddr = newsk.sk_v6_rcv_saddr
        return
    newnp.mcast_oif = inet6_iif(skb)
    if skb.network_header >= 0:
        newnp.rcv_flowinfo = ip6_flowinfo(skb.head, skb.network_header)
    if newnp.repflow:
        newnp.flow_label = newnp.rcv_flowinfo & IPV6_FLOWLABEL_MASK


def tcp_v6_syn_recv_sock(sk: Sock, skb: SkBuff, req: RequestSock, dst: DstEntry | None) -> Sock | None:
    """The child of a completed handshake, in the request's place in the hash; None where there is no room for it.

    Linux: net/ipv6/tcp_ipv6.c.
    """
    assert isinstance(sk, TcpSock)
    if skb.protocol == ETH_P_IP:
        return tcp_v6_syn_recv_mapped(sk, skb, req, dst)
    if sk_acceptq_is_full(sk):
        NET_INC_STATS(sock_net(sk), LINUX_MIB_LISTENOVERFLOWS)
        count_listen_drop(sk)
        return None
    fl6 = Flowi6()
    if dst is None:
        dst = inet6_csk_route_req(sk, fl6, req, IPPROTO_TCP)
        if dst is None:
            count_listen_drop(sk)
            return None
    newsk = tcp_create_openreq_child(sk, req, skb)
    if newsk is None:
        count_listen_drop(sk)
        return None
    newsk.sk_gso_type = SKB_GSO_TCPV6
    inet_sk_rx_dst_set(newsk, skb)
    tcp_v6_child_np(sk, newsk, skb)
    newnp = inet6_sk(newsk)
    newsk.sk_v6_daddr = req.sk_v6_daddr
    newsk.sk_daddr = LOOPBACK4_IPV6
    inet6_rcv_saddr_set(newsk, req.sk_v6_rcv_saddr)
    newsk.sk_bound_dev_if = req.sk_bound_dev_if
    if sock_net(sk).ipv4.sysctl_tcp_reflect_tos != 0:
        newnp.tclass = req.syn_tos & ~INET_ECN_MASK
    newsk.icsk_af_ops = IPV6_SPECIFIC
    opt = newnp.opt
    newsk.icsk_ext_hdr_len = 0 if opt is None else opt.opt_nflen + opt.opt_flen
    final = inet6_sk_flow(newsk, newnp.cork_fl6)
    if final != 0:
        newnp.cork_fl6.daddr = final
    return tcp_syn_recv_child(sk, newsk, req, dst)


def tcp_v6_syn_recv_mapped(sk: TcpSock, skb: SkBuff, req: RequestSock, dst: DstEntry | None) -> Sock | None:
    """The child of a handshake over IPv4. Part of Linux's tcp_v6_syn_recv_sock."""
    newsk = tcp_v4_syn_recv_sock(sk, skb, req, dst)
    if newsk is None:
        return None
    assert isinstance(newsk, TcpSock)
    newsk.icsk_af_ops = IPV6_MAPPED
    tcp_v6_child_np(sk, newsk, skb)
    # the header is shorter than the listener's af_ops said when the MSS was reckoned
    tcp_sync_mss(newsk, newsk.icsk_pmtu_cookie)
    return newsk


def tcp_v6_send_check(sk: Sock, skb: SkBuff) -> None:
    """Linux: net/ipv6/tcp_ipv6.c."""
    assert isinstance(sk, InetSock)
    np = sk.pinet6
    assert np is not None
    __tcp_v6_send_check(skb, np.saddr, sk.sk_v6_daddr)


def tcp_v6_send_synack(
    sk: Sock, dst: DstEntry | None, req: RequestSock, foc: TcpFastopenCookie | None, syn_skb: SkBuff | None,
) -> int:
    """Send the SYN-ACK of a request. 0 or a negative errno.  Linux: net/ipv6/tcp_ipv6.c."""
    assert isinstance(sk, TcpSock)
    np = inet6_sk(sk)
    fl6 = Flowi6()
    if dst is None:
        dst = inet6_csk_route_req(sk, fl6, req, IPPROTO_TCP)
        if dst is None:
            return -1
    inet6_req_flow(req, fl6)
    skb = tcp_make_synack(sk, dst, req, foc)
    req.snt_tsval_last = (sock_net(sk).clock.now // 1_000_000 + req.ts_off) & 0xFFFFFFFF
    __tcp_v6_send_check(skb, req.sk_v6_rcv_saddr, req.sk_v6_daddr)
    fl6.flowlabel = req.ir_v6_flowlabel
    mark = skb.mark if skb.mark != 0 else sk.sk_mark
    tclass = tcp_synack_tos(sk, req, (np.tclass & ~INET_ECN_MASK) | (sk.tos & INET_ECN_MASK))
    err = ip6_xmit(sk, skb, fl6, mark, np.opt, tclass, sk.sk_priority)
    return int(err) if err < 0 else 0


def tcp_v6_parse_md5_keys(sk: TcpSock, optname: int, optval: bytes) -> int:
    """TCP_MD5SIG of a sock of AF_INET6: a mapped address is a peer over IPv4. 0 or a negative errno.

    Linux: net/ipv6/tcp_ipv6.c.
    """
    if len(optval) < SIZEOF_TCP_MD5SIG or int.from_bytes(optval[:2], 'little') != AF_INET6:
        return -EINVAL
    addr = in6_read(optval, 8)
    if ipv6_addr_v4mapped(addr):
        return tcp_md5_set_key(sk, AF_INET, int(ipv6_mapped_v4(addr)), optname, optval)
    return tcp_md5_set_key(sk, AF_INET6, addr, optname, optval)


# -- birth

def tcp_v6_init_sock(sk: Sock) -> int:
    """Initialise a new TCP sock of AF_INET6.  Linux: net/ipv6/tcp_ipv6.c."""
    tcp_v4_init_sock(sk)
    inet_csk(sk).icsk_af_ops = IPV6_SPECIFIC
    sk.sk_cb = TCP_SOCK_CB
    return 0


def tcp_v6_setsockopt(sk: Sock, level: int, optname: int, optval: bytes) -> int:
    """An option of another level than TCP's: 0 or a negative errno.

    IPV6_ADDRFORM is done here, where the tables of IPv4's TCP are known. Extension headers leave less room for data.
    """
    if level == SOL_IPV6 and optname == IPV6_ADDRFORM and isinstance(sk, TcpSock):
        lock_sock(sk)
        err = tcp_v6_addrform(sk, int.from_bytes(optval[:4], 'little') if len(optval) >= 4 else 0)
        release_sock(sk)
        return err
    np = inet6_sk(sk)
    opt = np.opt
    err = ipv6_setsockopt(sk, level, optname, optval)
    if np.opt is not opt and np.opt is not None and isinstance(sk, TcpSock):
        tcp_v6_update_options(sk, np.opt)
    return err


def tcp_v6_update_options(sk: TcpSock, opt: Ipv6Txoptions) -> None:
    """A connection has new extension headers: its MSS shrinks.  Linux: net/ipv6/ipv6_sockglue.c, ipv6_update_options."""
    if sk.sk_state != TCP_LISTEN and sk.sk_state != TCP_CLOSE and not ipv6_addr_v4mapped(sk.sk_v6_daddr):
        sk.icsk_ext_hdr_len = opt.opt_flen + opt.opt_nflen
        tcp_sync_mss(sk, sk.icsk_pmtu_cookie)


def tcp_v6_addrform(sk: TcpSock, family: int) -> int:
    """A connection to a mapped address becomes one of AF_INET.  RFC 3493 took that out; Linux has it. 0 or a negative errno.

    Linux: in net/ipv6/ipv6_sockglue.c, do_ipv6_setsockopt.
    """
    if family != AF_INET:
        return -EINVAL
    if sk.sk_state != TCP_ESTABLISHED:
        return -ENOTCONN
    if sk.sk_ipv6only or not ipv6_addr_v4mapped(sk.sk_v6_daddr):
        return -EADDRNOTAVAIL
    net = sock_net(sk)
    prot = net.ipv4.tcp_prot
    sock = sk.sk_socket
    assert prot is not None
    for entry in net.ipv4.inetsw.get(int(sk.sk_type), []):
        if entry.prot is prot and sock is not None:
            sock.ops = entry.ops
    sk.sk_prot = prot
    sk.icsk_af_ops = IPV4_SPECIFIC
    sk.sk_family = AF_INET
    tcp_sync_mss(sk, sk.icsk_pmtu_cookie)
    return 0


# -- the tables

class TcpIpv6AfOps(InetConnectionSockAfOps):
    """Linux: ipv6_specific."""

    def __init__(self) -> None:
        super().__init__()
        self.net_header_len = 40
        self.sockaddr_len = 28

    def queue_xmit(self, sk: Sock, skb: SkBuff) -> i64:
        """See inet6_csk_xmit."""
        return inet6_csk_xmit(sk, skb, inet6_sk(sk).cork_fl6)

    def send_check(self, sk: Sock, skb: SkBuff) -> None:
        """See tcp_v6_send_check."""
        tcp_v6_send_check(sk, skb)

    def rebuild_header(self, sk: Sock) -> int:
        """See inet6_sk_rebuild_header."""
        return inet6_sk_rebuild_header(sk)

    def sk_rx_dst_set(self, sk: Sock, skb: SkBuff) -> None:
        """See inet_sk_rx_dst_set."""
        inet_sk_rx_dst_set(sk, skb)

    def conn_request(self, sk: Sock, skb: SkBuff) -> int:
        """See tcp_v6_conn_request."""
        return tcp_v6_conn_request(sk, skb)

    def syn_recv_sock(self, sk: Sock, skb: SkBuff, req: RequestSock, dst: DstEntry | None) -> Sock | None:
        """See tcp_v6_syn_recv_sock."""
        return tcp_v6_syn_recv_sock(sk, skb, req, dst)

    def cookie_check(self, sk: Sock, skb: SkBuff) -> Sock | None:
        """See cookie_v6_check; a listener gets IPv4's segments too."""
        if skb.protocol == ETH_P_IP:
            return cookie_v4_check(TCP_REQUEST_SOCK_OPS, tcp_sk(sk), skb)
        return cookie_v6_check(TCP6_REQUEST_SOCK_OPS, tcp_sk(sk), skb)

    def mtu_reduced(self, sk: Sock) -> None:
        """See tcp_v6_mtu_reduced."""
        tcp_v6_mtu_reduced(sk)

    def md5_parse(self, sk: Sock, optname: int, optval: bytes) -> int:
        """See tcp_v6_parse_md5_keys."""
        return tcp_v6_parse_md5_keys(tcp_sk(sk), optname, optval)

    def setsockopt(self, sk: Sock, level: int, optname: int, optval: bytes) -> int:
        """See ipv6_setsockopt."""
        return tcp_v6_setsockopt(sk, level, optname, optval)

    def getsockopt(self, sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
        """See ipv6_getsockopt."""
        return ipv6_getsockopt(sk, level, optname, optlen)

    def recv_error(self, sk: Sock, msg: Msghdr, length: int) -> int:
        """See ipv6_recv_error."""
        return ipv6_recv_error(sk, msg, length)


class TcpIpv6MappedAfOps(TcpIpv4AfOps):
    """Linux: ipv6_mapped: segments are IPv4's, the socket is AF_INET6's."""

    def __init__(self) -> None:
        super().__init__()
        self.sockaddr_len = 28

    def conn_request(self, sk: Sock, skb: SkBuff) -> int:
        """See tcp_v6_conn_request."""
        return tcp_v6_conn_request(sk, skb)

    def syn_recv_sock(self, sk: Sock, skb: SkBuff, req: RequestSock, dst: DstEntry | None) -> Sock | None:
        """See tcp_v6_syn_recv_sock."""
        return tcp_v6_syn_recv_sock(sk, skb, req, dst)

    def md5_parse(self, sk: Sock, optname: int, optval: bytes) -> int:
        """See tcp_v6_parse_md5_keys."""
        return tcp_v6_parse_md5_keys(tcp_sk(sk), optname, optval)

    def setsockopt(self, sk: Sock, level: int, optname: int, optval: bytes) -> int:
        """See ipv6_setsockopt."""
        return tcp_v6_setsockopt(sk, level, optname, optval)

    def getsockopt(self, sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
        """See ipv6_getsockopt."""
        return ipv6_getsockopt(sk, level, optname, optlen)

    def recv_error(self, sk: Sock, msg: Msghdr, length: int) -> int:
        """See ipv6_recv_error."""
        return ipv6_recv_error(sk, msg, length)


IPV6_SPECIFIC: Final = TcpIpv6AfOps()
IPV6_MAPPED: Final = TcpIpv6MappedAfOps()


class TcpRequestSockIpv6Ops(TcpRequestOps):
    """Linux: tcp6_request_sock_ops and tcp_request_sock_ipv6_ops."""

    def send_reset(self, sk: Sock, skb: SkBuff) -> None:
        """See tcp_v6_send_reset."""
        tcp_v6_send_reset(sk, skb)

    def send_ack(self, sk: Sock, skb: SkBuff, req: RequestSock) -> None:
        """See tcp_v6_reqsk_send_ack."""
        tcp_v6_reqsk_send_ack(sk, skb, req)

    def cookie_init_seq(self, sk: Sock, skb: SkBuff, mss: i64) -> SynCookie:
        """See cookie_v6_init_sequence."""
        return cookie_v6_init_sequence(tcp_sk(sk), skb, mss)

    def init_seq(self, skb: SkBuff) -> i64:
        """See tcp_v6_init_seq."""
        return tcp_v6_init_seq(skb)

    def init_ts_off(self, sk: Sock, skb: SkBuff) -> i64:
        """Linux: net/ipv6/tcp_ipv6.c, tcp_v6_init_ts_off."""
        return secure_tcpv6_ts_off(sock_net(sk), skb.daddr6, skb.saddr6)

    def init_req(self, req: RequestSock, sk: Sock, skb: SkBuff) -> None:
        """Linux: net/ipv6/tcp_ipv6.c, tcp_v6_init_req."""
        req.sk_v6_rcv_saddr = skb.daddr6
        req.sk_v6_daddr = skb.saddr6
        req.sk_rcv_saddr = LOOPBACK4_IPV6
        req.sk_daddr = LOOPBACK4_IPV6
        if inet6_sk(sk).repflow and skb.network_header >= 0:
            req.ir_v6_flowlabel = ip6_flowlabel(skb.head, skb.network_header)
        if req.sk_bound_dev_if == 0 and (ipv6_addr_type(skb.saddr6) & IPV6_ADDR_LINKLOCAL) != 0:
            req.sk_bound_dev_if = inet6_iif(skb)  # such an address means something on its link alone

    def send_synack(
        self, sk: Sock, dst: DstEntry | None, req: RequestSock, foc: TcpFastopenCookie | None, syn_skb: SkBuff | None,
    ) -> int:
        """See tcp_v6_send_synack."""
        return tcp_v6_send_synack(sk, dst, req, foc, syn_skb)

    def route_req(self, sk: Sock, req: RequestSock) -> DstEntry | None:
        """See inet6_csk_route_req."""
        return inet6_csk_route_req(sk, Flowi6(), req, IPPROTO_TCP)


TCP6_REQUEST_SOCK_OPS: Final = TcpRequestSockIpv6Ops(MSS_CLAMP6)


class Tcpv6Prot(TcpProt):
    """Linux: tcpv6_prot. One a Net."""

    def __init__(self, net: Net, slab: KmemCache) -> None:
        super().__init__(net, slab)
        self.name = 'TCPv6'
        tcp_prot = net.ipv4.tcp_prot
        assert tcp_prot is not None
        self.mem = tcp_prot.mem

    def init(self, sk: Sock) -> int:
        """See tcp_v6_init_sock."""
        return tcp_v6_init_sock(sk)

    def connect(self, sk: Sock, uaddr: Sockaddr) -> int:
        """See tcp_v6_connect."""
        return tcp_v6_connect(sk, uaddr)

    def backlog_rcv(self, sk: Sock, skb: SkBuff) -> int:
        """See tcp_v6_do_rcv."""
        return tcp_v6_do_rcv(sk, skb)


class Tcpv6Protocol(NetProtocol):
    """Linux: tcpv6_protocol."""

    def handler(self, skb: SkBuff) -> i64:
        """See tcp_v6_rcv."""
        return tcp_v6_rcv(skb)

    def err_handler(self, skb: SkBuff, info: i64) -> int:
        """See tcp_v6_err."""
        return tcp_v6_err(skb, info)

    def early_demux(self, skb: SkBuff) -> None:
        """See tcp_v6_early_demux."""
        tcp_v6_early_demux(skb)


def tcpv6_init(net: Net) -> None:
    """Make the TCP over IPv6 of one Net; its hashes and congestion controls are IPv4's.  Linux: net/ipv6/tcp_ipv6.c."""
    trace = net.world.trace
    hashinfo = net.ipv4.tcp_hashinfo
    assert hashinfo is not None
    hashinfo.ipv6_hash_secret = net.random.fork('tcp6').u64() | 1
    prot = Tcpv6Prot(net, tcp_slab(net, TcpSockCache('TCPv6', SIZEOF_TCP6_SOCK, trace)))
    prot.rsk_slab = tcp_slab(net, TcpRequestSockCache('request_sock_TCPv6', SIZEOF_TCP6_REQUEST_SOCK, trace))
    prot.twsk_slab = tcp_slab(net, TcpTimewaitSockCache('tw_sock_TCPv6', SIZEOF_TCP6_TIMEWAIT_SOCK, trace))
    net.ipv6.tcpv6_prot = prot
    inet6_add_protocol(net, Tcpv6Protocol(), IPPROTO_TCP)
