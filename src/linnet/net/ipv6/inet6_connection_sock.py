# SPDX-License-Identifier: Apache-2.0
"""What connection-oriented transports over IPv6 share: routes of connections and requests, and the way of a segment to IPv6.

The flow of a connected socket (Linux: inet->cork.fl.u.ip6) is filled when it connects, or when the child of a handshake is made,
and filled anew whenever its route must be looked for again; a segment finds route and flow on the socket.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.ip import INET_ECN_MASK
from linnet.include.linux.ipv6 import IPV6_FLOWINFO_MASK, Ipv6Pinfo
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import AF_INET, AF_UNSPEC, Sockaddr
from linnet.include.net.dropreason import SKB_DROP_REASON_IP_OUTNOROUTES
from linnet.include.net.dst import DstEntry
from linnet.include.net.flow import Flowi6
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.ip6_fib import Rt6Info
from linnet.include.net.ipv6 import inet6_sk
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.sock import Sock, sock_net
from linnet.kernel.errno import EAFNOSUPPORT, EINVAL
from linnet.net.core.skbuff import kfree_skb_reason
from linnet.net.core.sock import __sk_dst_check, sk_setup_caps
from linnet.net.ipv6.exthdrs import fl6_update_dst
from linnet.net.ipv6.ip6_output_local import ip6_xmit
from linnet.net.ipv6.ip6_output_lookup import ip6_dst_lookup_flow


def inet6_other_family(uaddr: Sockaddr) -> int:
    """What an address of another family is to a socket of AF_INET6: IPv4's, or none, is too short to be one."""
    return -EINVAL if uaddr.sa_family == AF_INET or uaddr.sa_family == AF_UNSPEC else -EAFNOSUPPORT


def ipv6_pinfo_clone(np: Ipv6Pinfo) -> Ipv6Pinfo:
    """What IPv6 keeps of a listener, for its child; without groups and what is under construction. (Linux copies the struct.)"""
    new = Ipv6Pinfo()
    new.saddr = np.saddr
    new.sticky_pktinfo_addr = np.sticky_pktinfo_addr
    new.sticky_pktinfo_ifindex = np.sticky_pktinfo_ifindex
    new.flow_label = np.flow_label
    new.frag_size = np.frag_size
    new.hop_limit = np.hop_limit
    new.mcast_hops = np.mcast_hops
    new.ucast_oif = np.ucast_oif
    new.mcast_oif = np.mcast_oif
    new.mc_loop = np.mc_loop
    new.mc_all = np.mc_all
    new.recverr = np.recverr
    new.sndflow = np.sndflow
    new.repflow = np.repflow
    new.pmtudisc = np.pmtudisc
    new.srcprefs = np.srcprefs
    new.dontfrag = np.dontfrag
    new.autoflowlabel = np.autoflowlabel
    new.autoflowlabel_set = np.autoflowlabel_set
    new.tclass = np.tclass
    new.min_hopcount = np.min_hopcount
    new.rxopt = np.rxopt
    new.opt = np.opt
    return new


def inet6_sk_flow(sk: InetSock, fl6: Flowi6) -> int:
    """Fill fl6 with the flow of a connected socket. Gives the last destination where a routing header leads there, else 0.

    Part of Linux's inet6_csk_route_socket and inet6_sk_rebuild_header.
    """
    np = inet6_sk(sk)
    fl6.flowi6_proto = sk.sk_protocol
    fl6.daddr = sk.sk_v6_daddr
    fl6.saddr = np.saddr
    fl6.flowlabel = (np.flow_label | ((np.tclass & ~INET_ECN_MASK) << 20)) & IPV6_FLOWINFO_MASK
    fl6.flowi6_oif = sk.sk_bound_dev_if
    fl6.flowi6_mark = sk.sk_mark
    fl6.fl6_sport = sk.inet_sport
    fl6.fl6_dport = sk.sk_dport
    return fl6_update_dst(fl6, np.opt)


def inet6_req_flow(req: RequestSock, fl6: Flowi6) -> None:
    """Fill fl6 with the flow of a request."""
    fl6.flowi6_proto = req.sk_protocol
    fl6.daddr = req.sk_v6_daddr
    fl6.saddr = req.sk_v6_rcv_saddr
    fl6.flowlabel = 0
    fl6.flowi6_oif = req.sk_bound_dev_if
    fl6.flowi6_mark = req.ir_mark
    fl6.fl6_dport = req.ir_rmt_port
    fl6.fl6_sport = req.ir_num


def inet6_csk_route_req(sk: Sock, fl6: Flowi6, req: RequestSock, proto: i64) -> Rt6Info | None:
    """The route to the peer of a request, or None; fl6 becomes its flow.  Linux: net/ipv6/inet6_connection_sock.c."""
    inet6_req_flow(req, fl6)
    fl6.flowi6_proto = proto
    final = fl6_update_dst(fl6, inet6_sk(sk).opt)
    return ip6_dst_lookup_flow(sock_net(sk), sk, fl6, final)


def inet6_csk_route_socket(sk: InetSock, fl6: Flowi6) -> DstEntry | None:
    """The route of a connected socket: the one it has cached while that is valid, else a new one, cached. None: fl6.err says why.

    Linux: net/ipv6/inet6_connection_sock.c.
    """
    dst = __sk_dst_check(sk, 0)
    if dst is not None:
        return dst
    final = inet6_sk_flow(sk, fl6)
    rt = ip6_dst_lookup_flow(sock_net(sk), sk, fl6, final)
    if final != 0:
        fl6.daddr = final
    if rt is not None:
        sk_setup_caps(sk, rt)
    return rt


def inet6_csk_xmit(sk: Sock, skb: SkBuff, fl6: Flowi6) -> i64:
    """Send a segment of a connected socket; fl6 is the socket's flow. 0, NET_XMIT_*, or a negative errno; skb is owned.

    Linux: net/ipv6/inet6_connection_sock.c.
    """
    assert isinstance(sk, InetSock)
    np = sk.pinet6
    assert np is not None
    dst = __sk_dst_check(sk, 0)
    if dst is None:
        dst = inet6_csk_route_socket(sk, fl6)
        if dst is None:
            sk.sk_err_soft = -fl6.err
            sk.sk_route_caps = 0
            kfree_skb_reason(skb, SKB_DROP_REASON_IP_OUTNOROUTES)
            return fl6.err
    skb.dst = dst
    # the ECN bits of both families stand in tos
    return ip6_xmit(sk, skb, fl6, sk.sk_mark, np.opt, (np.tclass & ~INET_ECN_MASK) | (sk.tos & INET_ECN_MASK), sk.sk_priority)


def inet6_sk_rebuild_header(sk: Sock) -> int:
    """Make sure sk has a valid route: 0, or a negative errno, which also becomes sk_err_soft.  Linux: net/ipv6/af_inet6.c."""
    assert isinstance(sk, InetSock)
    fl6 = inet6_sk(sk).cork_fl6
    if inet6_csk_route_socket(sk, fl6) is not None:
        return 0
    sk.sk_route_caps = 0
    sk.sk_err_soft = -fl6.err
    return int(fl6.err)


def inet6_csk_update_pmtu(sk: InetSock, mtu: i64) -> DstEntry | None:
    """The path takes no more than mtu bytes: tell the route, and give the route to use from now on.

    Linux: net/ipv6/inet6_connection_sock.c.
    """
    fl6 = inet6_sk(sk).cork_fl6
    dst = inet6_csk_route_socket(sk, fl6)
    if dst is None:
        return None
    dst.update_pmtu(sk, None, mtu)
    return inet6_csk_route_socket(sk, fl6)
