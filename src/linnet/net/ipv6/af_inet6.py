# SPDX-License-Identifier: Apache-2.0
"""The IPv6 family: what socket(AF_INET6, type, protocol) makes, and the operations between system calls and transports.

As net/ipv4/af_inet.py, whose operations these are but for names: bind(), getname() and the end of a socket. A socket of AF_INET6
serves IPv4 too, under IPv4-mapped addresses, unless it is for IPv6 alone (IPV6_V6ONLY, or bound to an address of IPv6).

inet6_init() registers the family and lets every file of IPv6 initialise what it has per host.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import IPPROTO_ICMPV6
from linnet.include.linux.inet import IPPROTO_IP, IPPROTO_MAX, IPPROTO_TCP, IPPROTO_UDP
from linnet.include.linux.ipv6 import Ipv6Pinfo
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.sched import CAP_NET_BIND_SERVICE, CAP_NET_RAW
from linnet.include.linux.socket import (
    AF_INET6,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_STREAM,
    SS_UNCONNECTED,
    Sockaddr,
    make_sockaddr_in6,
)
from linnet.include.net.inet_sock import (
    INET_PROTOSW_ICSK,
    INET_PROTOSW_PERMANENT,
    INET_PROTOSW_REUSE,
    InetProtosw,
    InetSock,
    inet_sk,
)
from linnet.include.net.ipv6 import (
    IPV6_ADDR_ANY,
    IPV6_ADDR_LINKLOCAL,
    IPV6_ADDR_MAPPED,
    IPV6_ADDR_MULTICAST,
    LOOPBACK4_IPV6,
    inet6_sk,
    ipv6_addr_needs_scope_id,
    ipv6_addr_type,
    ipv6_mapped_v4,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import (
    SOCK_BINDADDR_LOCK,
    SOCK_BINDPORT_LOCK,
    NetProtoFamily,
    Sock,
    Socket,
    sock_net,
)
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_SYN_SENT
from linnet.kernel.errno import (
    EACCES,
    EADDRINUSE,
    EADDRNOTAVAIL,
    EINVAL,
    ENODEV,
    EOPNOTSUPP,
    EPERM,
    EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
)
from linnet.net.core.dev import dev_get_by_index
from linnet.net.core.skbuff import kfree_skb
from linnet.net.core.sock import lock_sock, release_sock, sk_dst_reset, sk_net_capable
from linnet.net.ipv4.af_inet import (
    InetDgramOps,
    InetSockrawOps,
    InetStreamOps,
    inet_addr_valid_or_nonlocal,
    inet_create_init,
    inet_create_sock,
    inet_find_protosw,
    inet_release,
    protosw_insert,
    sock_sk,
)
from linnet.net.ipv4.fib_frontend import inet_addr_type
from linnet.net.ipv6.addrconf import addrconf_init
from linnet.net.ipv6.addrconf_saddr import ipv6_chk_addr
from linnet.net.ipv6.exthdrs import ipv6_exthdrs_init
from linnet.net.ipv6.icmp import icmpv6_init
from linnet.net.ipv6.inet6_connection_sock import inet6_other_family
from linnet.net.ipv6.ip6_forward import ip6_forward_init
from linnet.net.ipv6.ip6_input import ip6_input_init, ipv6_packet_init
from linnet.net.ipv6.ip6_offload import ipv6_offload_init
from linnet.net.ipv6.ip6_output import ip6_output_init
from linnet.net.ipv6.mcast import ipv6_sock_mc_close
from linnet.net.ipv6.ndisc import ndisc_init, ndisc_late_init
from linnet.net.ipv6.ping import pingv6_init
from linnet.net.ipv6.raw import rawv6_init
from linnet.net.ipv6.reassembly import ipv6_frag_init
from linnet.net.ipv6.route import ip6_route_init
from linnet.net.ipv6.sysctl_net_ipv6 import ipv6_sysctl_init
from linnet.net.ipv6.tcp_ipv6 import tcpv6_init
from linnet.net.ipv6.tcpv6_offload import tcpv6_offload_init
from linnet.net.ipv6.udp import udpv6_init

FLOWLABEL_REFLECT_ESTABLISHED: Final = 1


# -- socket() and close()

def inet6_create(net: Net, sock: Socket, protocol: int, kern: int) -> int:
    """Give sock its operations and a sock of the transport that answers (type, protocol). 0 or a negative errno.

    kern: a socket of the stack's own, for which no privilege is asked.  Linux: net/ipv6/af_inet6.c.
    """
    if protocol < 0 or protocol >= IPPROTO_MAX:
        return -EINVAL
    sock.state = SS_UNCONNECTED
    entries = net.ipv6.inetsw6.get(sock.type, [])
    answer = inet_find_protosw(entries, protocol)
    if answer is None:
        return -EPROTONOSUPPORT if entries else -ESOCKTNOSUPPORT
    if protocol == IPPROTO_IP:
        protocol = answer.protocol
    caller = sock.caller
    if sock.type == SOCK_RAW and kern == 0 and caller is not None and not caller.capable(CAP_NET_RAW):
        return -EPERM
    sock.ops = answer.ops
    inet = inet_create_sock(net, sock, answer, AF_INET6, protocol, kern)
    np = Ipv6Pinfo()
    np.repflow = (net.ipv6.sysctl_flowlabel_reflect & FLOWLABEL_REFLECT_ESTABLISHED) != 0
    inet.pinet6 = np
    inet.sk_ipv6only = net.ipv6.sysctl_bindv6only != 0
    return inet_create_init(sock, inet)


def inet6_release(sock: Socket) -> int:
    """The program's last reference went: leave the groups, and close the transport.  Linux: net/ipv6/af_inet6.c."""
    sk = sock.sk
    if sk is not None:
        inet6_cleanup_sock(sk)
    return inet_release(sock)


def inet6_cleanup_sock(sk: Sock) -> None:
    """Give back what IPv6 keeps for the program that had the sock.  Linux: net/ipv6/af_inet6.c."""
    np = inet_sk(sk).pinet6
    if np is None:
        return
    if np.mc_list:
        ipv6_sock_mc_close(sk)
    told = np.rxpmtu
    if told is not None:
        np.rxpmtu = None
        kfree_skb(told)


# -- bind()

def inet6_bind_mapped(net: Net, inet: InetSock, addr: int) -> int:
    """May inet be bound to an IPv4-mapped address? 0 or a negative errno. Part of Linux's __inet6_bind."""
    if inet.sk_ipv6only:
        return -EINVAL
    v4addr = ipv6_mapped_v4(addr)
    if not inet_addr_valid_or_nonlocal(net, inet, v4addr, inet_addr_type(net, v4addr)):
        return -EADDRNOTAVAIL
    return 0


def inet6_bind_dev(net: Net, inet: InetSock, uaddr: Sockaddr, addr_type: i64) -> int:
    """Is the address of IPv6 there to be bound to? One of one link needs its device. 0 or a negative errno.

    Part of Linux's __inet6_bind.
    """
    dev: NetDevice | None = None
    if ipv6_addr_needs_scope_id(addr_type):
        if uaddr.sin6_scope_id != 0:
            inet.sk_bound_dev_if = uaddr.sin6_scope_id
        if inet.sk_bound_dev_if == 0:
            return -EINVAL
    if inet.sk_bound_dev_if != 0:
        dev = dev_get_by_index(net, inet.sk_bound_dev_if)
        if dev is None:
            return -ENODEV
    if (addr_type & IPV6_ADDR_MULTICAST) != 0 or ipv6_can_nonlocal_bind(net, inet):
        return 0
    return 0 if ipv6_chk_addr(net, uaddr.sin6_addr, dev, False) else -EADDRNOTAVAIL


def ipv6_can_nonlocal_bind(net: Net, inet: InetSock) -> bool:
    """May it be bound to an address that is not there?  Linux: include/net/ipv6.h."""
    return net.ipv6.sysctl_ip_nonlocal_bind != 0 or inet.freebind or inet.transparent


def __inet6_bind(sk: Sock, uaddr: Sockaddr) -> int:
    """Bind to an address and port.  Linux: net/ipv6/af_inet6.c."""
    inet = inet_sk(sk)
    net = sock_net(sk)
    if uaddr.sa_family != AF_INET6:
        return inet6_other_family(uaddr)
    addr_type = ipv6_addr_type(uaddr.sin6_addr)
    if (addr_type & IPV6_ADDR_MULTICAST) != 0 and sk.sk_type == SOCK_STREAM:
        return -EINVAL
    snum = uaddr.sin_port
    if snum != 0 and snum < net.ipv4.sysctl_ip_unprivileged_port_start and not sk_net_capable(sk, CAP_NET_BIND_SERVICE):
        return -EACCES
    lock_sock(sk)
    err = -EINVAL
    if sk.sk_state == TCP_CLOSE and sk.sk_num == 0:
        err = 0
        if addr_type == IPV6_ADDR_MAPPED:
            err = inet6_bind_mapped(net, inet, uaddr.sin6_addr)
        elif addr_type != IPV6_ADDR_ANY:
            err = inet6_bind_dev(net, inet, uaddr, addr_type)
        if err == 0:
            err = inet6_bind_locked(inet, uaddr.sin6_addr, snum, addr_type)
    release_sock(sk)
    return err


def inet6_bind_locked(inet: InetSock, addr: int, snum: i64, addr_type: i64) -> int:
    """The part of __inet6_bind that changes the sock."""
    np = inet6_sk(inet)
    v4addr: i64 = 0
    if addr_type == IPV6_ADDR_MAPPED:
        v4addr = ipv6_mapped_v4(addr)
    elif addr_type != IPV6_ADDR_ANY:
        v4addr = LOOPBACK4_IPV6
    inet.sk_rcv_saddr = v4addr
    inet.inet_saddr = v4addr
    inet.sk_v6_rcv_saddr = addr
    if (addr_type & IPV6_ADDR_MULTICAST) == 0:
        np.saddr = addr
    only = inet.sk_ipv6only
    if addr_type != IPV6_ADDR_ANY and addr_type != IPV6_ADDR_MAPPED:
        inet.sk_ipv6only = True
    if (snum != 0 or not inet.bind_address_no_port) and inet.sk_prot.get_port(inet, snum) != 0:
        inet.sk_ipv6only = only
        inet.inet_saddr = 0
        inet.sk_rcv_saddr = 0
        inet.sk_v6_rcv_saddr = 0
        np.saddr = 0
        return -EADDRINUSE
    if addr_type != IPV6_ADDR_ANY:
        inet.sk_userlocks |= SOCK_BINDADDR_LOCK
    if snum != 0:
        inet.sk_userlocks |= SOCK_BINDPORT_LOCK
    inet.inet_sport = inet.sk_num
    inet.sk_dport = 0
    inet.sk_daddr = 0
    inet.sk_v6_daddr = 0
    sk_dst_reset(inet)
    return 0


def inet6_bind(sock: Socket, uaddr: Sockaddr) -> int:
    """Bind by the transport's own bind (raw and ping sockets have one) or by __inet6_bind.  Linux: net/ipv6/af_inet6.c."""
    sk = sock_sk(sock)
    err = sk.sk_prot.bind(sk, uaddr)
    if err != -EOPNOTSUPP:
        return err
    return __inet6_bind(sk, uaddr)


# -- names, ioctl()

def ipv6_iface_scope_id(addr: int, iface: i64) -> i64:
    """The zone of an address: its device, where it means something on one link alone.  Linux: include/net/ipv6.h."""
    return iface if (ipv6_addr_type(addr) & IPV6_ADDR_LINKLOCAL) != 0 else 0


def inet6_getname(sock: Socket, peer: int) -> Sockaddr | None:
    """The local (peer 0) or remote address; None: not connected (peer 2 asks only for a known one).

    Linux: net/ipv6/af_inet6.c.
    """
    sk = sock.sk
    if sk is None:
        return None
    np = inet6_sk(sk)
    flowinfo: i64 = 0
    if peer != 0:
        if sk.sk_dport == 0 or (peer == 1 and (sk.sk_state == TCP_CLOSE or sk.sk_state == TCP_SYN_SENT)):
            return None
        addr = sk.sk_v6_daddr
        port = sk.sk_dport
        if np.sndflow:
            flowinfo = np.flow_label
    else:
        addr = sk.sk_v6_rcv_saddr if sk.sk_v6_rcv_saddr != 0 else np.saddr
        port = inet_sk(sk).inet_sport
    return make_sockaddr_in6(addr, port, flowinfo, ipv6_iface_scope_id(addr, sk.sk_bound_dev_if))


def inet6_ioctl(sock: Socket, cmd: int, arg: int) -> int:
    """What the transport answers.  Linux: net/ipv6/af_inet6.c, where routes and addresses are set by ioctl too."""
    sk = sock_sk(sock)
    return sk.sk_prot.ioctl(sk, cmd, arg)


# -- the tables

class Inet6SockrawOps(InetSockrawOps):
    """Linux: inet6_sockraw_ops: raw and ping sockets."""

    def __init__(self) -> None:
        super().__init__()
        self.family = AF_INET6

    def release(self, sock: Socket) -> int:
        """See inet6_release."""
        return inet6_release(sock)

    def bind(self, sock: Socket, uaddr: Sockaddr) -> int:
        """See inet6_bind."""
        return inet6_bind(sock, uaddr)

    def getname(self, sock: Socket, peer: int) -> Sockaddr | None:
        """See inet6_getname."""
        return inet6_getname(sock, peer)

    def ioctl(self, sock: Socket, cmd: int, arg: int) -> int:
        """See inet6_ioctl."""
        return inet6_ioctl(sock, cmd, arg)


class Inet6DgramOps(InetDgramOps):
    """Linux: inet6_dgram_ops: UDP."""

    def __init__(self) -> None:
        super().__init__()
        self.family = AF_INET6

    def release(self, sock: Socket) -> int:
        """See inet6_release."""
        return inet6_release(sock)

    def bind(self, sock: Socket, uaddr: Sockaddr) -> int:
        """See inet6_bind."""
        return inet6_bind(sock, uaddr)

    def getname(self, sock: Socket, peer: int) -> Sockaddr | None:
        """See inet6_getname."""
        return inet6_getname(sock, peer)

    def ioctl(self, sock: Socket, cmd: int, arg: int) -> int:
        """See inet6_ioctl."""
        return inet6_ioctl(sock, cmd, arg)


class Inet6StreamOps(InetStreamOps):
    """Linux: inet6_stream_ops: TCP."""

    def __init__(self) -> None:
        super().__init__()
        self.family = AF_INET6

    def release(self, sock: Socket) -> int:
        """See inet6_release."""
        return inet6_release(sock)

    def bind(self, sock: Socket, uaddr: Sockaddr) -> int:
        """See inet6_bind."""
        return inet6_bind(sock, uaddr)

    def getname(self, sock: Socket, peer: int) -> Sockaddr | None:
        """See inet6_getname."""
        return inet6_getname(sock, peer)

    def ioctl(self, sock: Socket, cmd: int, arg: int) -> int:
        """See inet6_ioctl."""
        return inet6_ioctl(sock, cmd, arg)


class Inet6FamilyOps(NetProtoFamily):
    """Linux: inet6_family_ops."""

    def __init__(self) -> None:
        super().__init__(AF_INET6)

    def create(self, net: Net, sock: Socket, protocol: int, kern: int) -> int:
        """See inet6_create."""
        return inet6_create(net, sock, protocol, kern)


def inet6_register_protosw(net: Net, p: InetProtosw) -> int:
    """Let p answer its type and protocol; as inet_register_protosw.  Linux: net/ipv6/af_inet6.c."""
    return protosw_insert(net.ipv6.inetsw6, p)


def inet6_unregister_protosw(net: Net, p: InetProtosw) -> int:
    """-EPERM where it is permanent.  Linux: net/ipv6/af_inet6.c."""
    if (p.flags & INET_PROTOSW_PERMANENT) != 0:
        return -EPERM
    entries = net.ipv6.inetsw6.get(p.type, [])
    if p in entries:
        entries.remove(p)
    return 0


def inetsw6_init(net: Net) -> None:
    """The entries of the transports that registered themselves.  Linux: each transport's own init."""
    ipv6 = net.ipv6
    tcp_prot = ipv6.tcpv6_prot
    udp_prot = ipv6.udpv6_prot
    ping_prot = ipv6.pingv6_prot
    raw_prot = ipv6.rawv6_prot
    sockraw = Inet6SockrawOps()
    if tcp_prot is not None:
        inet6_register_protosw(net, InetProtosw(SOCK_STREAM, IPPROTO_TCP, tcp_prot, Inet6StreamOps(),
                                                INET_PROTOSW_PERMANENT | INET_PROTOSW_ICSK))
    if udp_prot is not None:
        inet6_register_protosw(net, InetProtosw(SOCK_DGRAM, IPPROTO_UDP, udp_prot, Inet6DgramOps(), INET_PROTOSW_PERMANENT))
    if ping_prot is not None:
        inet6_register_protosw(net, InetProtosw(SOCK_DGRAM, IPPROTO_ICMPV6, ping_prot, sockraw, INET_PROTOSW_REUSE))
    if raw_prot is not None:
        inet6_register_protosw(net, InetProtosw(SOCK_RAW, IPPROTO_IP, raw_prot, sockraw, INET_PROTOSW_REUSE))


def inet6_init(net: Net) -> None:
    """Let IPv6 be there on this host: every file registers what it has, then the family.

    Linux: net/ipv6/af_inet6.c.
    """
    net.ipv6.random = net.random.fork('ipv6')  # what is drawn here changes nothing of IPv4's way
    ip6_route_init(net)
    ndisc_init(net)
    icmpv6_init(net)
    ip6_output_init(net)
    ip6_input_init(net)
    ip6_forward_init(net)
    ipv6_frag_init(net)
    ipv6_exthdrs_init(net)
    udpv6_init(net)
    rawv6_init(net)
    pingv6_init(net)
    tcpv6_init(net)
    inetsw6_init(net)
    ipv6_offload_init(net)
    tcpv6_offload_init(net)
    ipv6_packet_init(net)
    addrconf_init(net)
    ndisc_late_init(net)
    ipv6_sysctl_init(net)
    net.net_families[AF_INET6] = Inet6FamilyOps()
