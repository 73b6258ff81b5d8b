# SPDX-License-Identifier: Apache-2.0
"""The IPv4 family: what socket(AF_INET, type, protocol) makes, and the operations between the system calls and the transports.

inetsw (net.ipv4.inetsw) lists for each socket type which transport answers which protocol; inet_create() searches it, gives
the socket the answer's operations and makes the transport's sock. The operations (InetStreamOps, InetDgramOps,
InetSockrawOps: Linux's inet_stream_ops, inet_dgram_ops, inet_sockraw_ops) keep the socket's own state, SS_*, and call the
sock's Proto for the rest.

inet_init() registers the family and lets every file of IPv4 initialise what it has per host.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.inet import (
    INADDR_ANY,
    IP_PMTUDISC_DONT,
    IP_PMTUDISC_WANT,
    IPPROTO_ICMP,
    IPPROTO_IP,
    IPPROTO_MAX,
    IPPROTO_RAW,
    IPPROTO_TCP,
    IPPROTO_UDP,
)
from linnet.include.linux.netdevice import NetDevice, PacketType
from linnet.include.linux.sched import CAP_NET_BIND_SERVICE, CAP_NET_RAW
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import (
    AF_INET,
    AF_UNSPEC,
    MSG_DONTWAIT,
    RCV_SHUTDOWN,
    SHUTDOWN_MASK,
    SOCK_DGRAM,
    SOCK_MAX,
    SOCK_RAW,
    SOCK_STREAM,
    SS_CONNECTED,
    SS_CONNECTING,
    SS_DISCONNECTING,
    SS_UNCONNECTED,
    Msghdr,
    Sockaddr,
)
from linnet.include.net.inet_connection_sock import inet_csk
from linnet.include.net.inet_sock import (
    INET_PROTOSW_ICSK,
    INET_PROTOSW_PERMANENT,
    INET_PROTOSW_REUSE,
    InetProtosw,
    InetSock,
    inet_sk,
)
from linnet.include.net.ip_fib import RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import (
    SK_CAN_REUSE,
    SOCK_BINDADDR_LOCK,
    SOCK_BINDPORT_LOCK,
    SOCK_LINGER,
    NetProtoFamily,
    OptResult,
    ProtoOps,
    Sock,
    Socket,
    sock_net,
)
from linnet.include.net.tcp_states import (
    TCP_CLOSE,
    TCP_LISTEN,
    TCP_SYN_SENT,
    TCPF_CLOSE,
    TCPF_LISTEN,
    TCPF_SYN_RECV,
    TCPF_SYN_SENT,
)
from linnet.kernel.errno import (
    EACCES,
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EAGAIN,
    EINVAL,
    ENOTCONN,
    EOPNOTSUPP,
    EPERM,
    EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
)
from linnet.kernel.file import O_NONBLOCK, File
from linnet.kernel.pipe_fs_i import PipeInodeInfo
from linnet.kernel.select import PollTable
from linnet.net.core.datagram import datagram_poll
from linnet.net.core.dev import dev_add_pack
from linnet.net.core.sock import (
    lock_sock,
    release_sock,
    sk_alloc,
    sk_common_release,
    sk_dst_reset,
    sk_net_capable,
    sock_graft,
    sock_init_data,
)
from linnet.net.ipv4.arp import arp_init
from linnet.net.ipv4.fib_frontend import inet_addr_type
from linnet.net.ipv4.icmp import icmp_init
from linnet.net.ipv4.igmp import ip_mc_drop_socket
from linnet.net.ipv4.inet_connect import __inet_stream_connect
from linnet.net.ipv4.inet_connection_sock import inet_csk_listen_start
from linnet.net.ipv4.inet_offload import ipv4_offload_init
from linnet.net.ipv4.inet_state import INET_SOCK_CB
from linnet.net.ipv4.ip_forward import ip_forward_init
from linnet.net.ipv4.ip_fragment import ipfrag_init
from linnet.net.ipv4.ip_input import ip_input_init, ip_rcv
from linnet.net.ipv4.ip_output import ip_output_init
from linnet.net.ipv4.ping import ping_init
from linnet.net.ipv4.raw import raw_init
from linnet.net.ipv4.route import ip_rt_init
from linnet.net.ipv4.tcp import tcp_poll
from linnet.net.ipv4.tcp_fastopen import tcp_fastopen_listen
from linnet.net.ipv4.tcp_ipv4 import tcp_v4_init
from linnet.net.ipv4.tcp_offload import tcpv4_offload_init
from linnet.net.ipv4.tcp_splice import tcp_splice_eof, tcp_splice_read
from linnet.net.ipv4.udp import udp_init, udp_poll

ETH_P_IP: Final = 0x0800


# -- socket() and close()

def inet_create(net: Net, sock: Socket, protocol: int, kern: int) -> int:
    """Give sock its operations and a sock of the transport that answers (type, protocol). 0 or a negative errno.

    kern: a socket of the stack's own, for which no privilege is asked.  Linux: net/ipv4/af_inet.c.
    """
    if protocol < 0 or protocol >= IPPROTO_MAX:
        return -EINVAL
    sock.state = SS_UNCONNECTED
    entries = net.ipv4.inetsw.get(sock.type, [])  # walk: state inetsw[sock->type] is searched for the protocol
    answer = inet_find_protosw(entries, protocol)
    if answer is None:
        return -EPROTONOSUPPORT if entries else -ESOCKTNOSUPPORT
    if protocol == IPPROTO_IP:
        protocol = answer.protocol
    caller = sock.caller
    if sock.type == SOCK_RAW and kern == 0 and caller is not None and not caller.capable(CAP_NET_RAW):
        return -EPERM
    sock.ops = answer.ops  # walk: state sock->ops = answer->ops
    inet = inet_create_sock(net, sock, answer, AF_INET, protocol, kern)
    return inet_create_init(sock, inet)


def inet_find_protosw(entries: list[InetProtosw], protocol: int) -> InetProtosw | None:
    """The entry that answers a protocol: its own, or a wildcard; IPPROTO_IP asks for the first. Part of Linux's inet_create."""
    for entry in entries:
        if protocol == entry.protocol:
            if protocol != IPPROTO_IP:
                return entry
        elif protocol == IPPROTO_IP or entry.protocol == IPPROTO_IP:
            return entry
    return None


def inet_create_sock(net: Net, sock: Socket, answer: InetProtosw, family: int, protocol: int, kern: int) -> InetSock:
    """The sock of a transport, for socket(family, sock.type, protocol). The part of Linux's inet_create that IPv6's has too."""
    sk = sk_alloc(net, family, answer.prot, kern)
    inet = inet_sk(sk)
    if (answer.flags & INET_PROTOSW_REUSE) != 0:
        inet.sk_reuse = SK_CAN_REUSE
    inet.is_icsk = (answer.flags & INET_PROTOSW_ICSK) != 0
    if sock.type == SOCK_RAW:
        inet.sk_num = protocol
        inet.hdrincl = protocol == IPPROTO_RAW
    inet.pmtudisc = IP_PMTUDISC_DONT if net.ipv4.sysctl_ip_no_pmtu_disc != 0 else IP_PMTUDISC_WANT
    sock_init_data(sock, sk)
    inet.sk_cb = INET_SOCK_CB
    inet.sk_protocol = protocol
    return inet


def inet_create_init(sock: Socket, sk: InetSock) -> int:
    """Let the transport initialise the sock; if it cannot, that ends. 0 or a negative errno."""
    err = 0
    if sk.sk_num != 0:
        # a raw socket is found by its protocol number from the start
        sk.inet_sport = sk.sk_num
        err = sk.sk_prot.hash(sk)
        if err != 0:
            return inet_create_failed(sock, sk, err)
    err = sk.sk_prot.init(sk)  # walk: indirect sk->sk_prot->init [transport; ]
    return err if err == 0 else inet_create_failed(sock, sk, err)


def inet_create_failed(sock: Socket, sk: Sock, err: int) -> int:
    """Undo what inet_create() did to the sock; err is returned."""
    sk_common_release(sk)
    sock.sk = None
    return err


def inet_release(sock: Socket) -> int:
    """The program's last reference went: close the transport, lingering if it asked for that and does not exit.

    Linux: net/ipv4/af_inet.c.
    """
    sk = sock.sk
    if sk is not None:
        timeout: i64 = 0
        if isinstance(sk, InetSock) and sk.mc_list:
            ip_mc_drop_socket(sk)
        caller = sock.caller
        if (sk.sk_flags & SOCK_LINGER) != 0 and not (caller is not None and caller.exited):
            timeout = sk.sk_lingertime
        sk.sk_prot.close(sk, timeout)
        sock.sk = None
    return 0


# -- bind()

def inet_addr_valid_or_nonlocal(net: Net, inet: InetSock, addr: i64, chk_addr_ret: i64) -> bool:
    """May a socket be bound to addr, which is of the given RTN_ type?  Linux: include/net/inet_sock.h."""
    return (net.ipv4.sysctl_ip_nonlocal_bind != 0 or inet.freebind or inet.transparent or addr == INADDR_ANY
            or chk_addr_ret == RTN_LOCAL or chk_addr_ret == RTN_MULTICAST or chk_addr_ret == RTN_BROADCAST)


def __inet_bind(sk: Sock, uaddr: Sockaddr) -> int:
    """Bind to an address and port.  Linux: net/ipv4/af_inet.c."""
    inet = inet_sk(sk)
    net = sock_net(sk)
    addr = uaddr.sin_addr
    if uaddr.sa_family != AF_INET and (uaddr.sa_family != AF_UNSPEC or addr != INADDR_ANY):
        return -EAFNOSUPPORT
    chk_addr_ret: i64 = inet_addr_type(net, addr)
    if not inet_addr_valid_or_nonlocal(net, inet, addr, chk_addr_ret):
        return -EADDRNOTAVAIL
    snum = uaddr.sin_port
    if snum != 0 and snum < net.ipv4.sysctl_ip_unprivileged_port_start and not sk_net_capable(sk, CAP_NET_BIND_SERVICE):
        return -EACCES
    lock_sock(sk)
    err = inet_bind_locked(sk, inet, addr, snum, chk_addr_ret)
    release_sock(sk)
    return err


def inet_bind_locked(sk: Sock, inet: InetSock, addr: i64, snum: i64, chk_addr_ret: i64) -> int:
    """The part of __inet_bind that owns the sock: only once, and only while it is closed."""
    if sk.sk_state != TCP_CLOSE or sk.sk_num != 0:
        return -EINVAL
    sk.sk_rcv_saddr = addr
    # what goes out bears no broadcast address as its source
    inet.inet_saddr = 0 if chk_addr_ret == RTN_MULTICAST or chk_addr_ret == RTN_BROADCAST else addr
    if (snum != 0 or not inet.bind_address_no_port) and sk.sk_prot.get_port(sk, snum) != 0:
        inet.inet_saddr = 0
        sk.sk_rcv_saddr = 0
        return -EADDRINUSE
    if sk.sk_rcv_saddr != 0:
        sk.sk_userlocks |= SOCK_BINDADDR_LOCK
    if snum != 0:
        sk.sk_userlocks |= SOCK_BINDPORT_LOCK
    inet.inet_sport = sk.sk_num
    sk.sk_daddr = 0
    sk.sk_dport = 0
    sk_dst_reset(sk)
    return 0


def inet_bind_sk(sk: Sock, uaddr: Sockaddr) -> int:
    """Bind by the transport's own bind (raw and ping sockets have one) or by __inet_bind.  Linux: net/ipv4/af_inet.c."""
    err = sk.sk_prot.bind(sk, uaddr)
    if err != -EOPNOTSUPP:
        return err
    return __inet_bind(sk, uaddr)


def inet_bind(sock: Socket, uaddr: Sockaddr) -> int:
    """Linux: net/ipv4/af_inet.c."""
    return inet_bind_sk(sock_sk(sock), uaddr)


def sock_sk(sock: Socket) -> Sock:
    """The sock of a socket that is open (Linux: sock->sk)."""
    sk = sock.sk
    assert sk is not None
    return sk


def inet_autobind(sk: Sock) -> int:
    """A socket that is about to send gets a port of its own, if it has none. 0 or -EAGAIN.  Linux: net/ipv4/af_inet.c."""
    lock_sock(sk)
    err = 0
    if sk.sk_num == 0:
        if sk.sk_prot.get_port(sk, 0) != 0:
            err = -EAGAIN
        else:
            inet_sk(sk).inet_sport = sk.sk_num
    release_sock(sk)
    return err


# -- listen() and accept()

def __inet_listen_sk(sk: Sock, backlog: int) -> int:
    """Listen, or change the backlog of one that listens.  Linux: net/ipv4/af_inet.c."""
    old_state = sk.sk_state
    if ((1 << old_state) & (TCPF_CLOSE | TCPF_LISTEN)) == 0:
        return -EINVAL
    sk.sk_max_ack_backlog = backlog
    if old_state != TCP_LISTEN:
        tcp_fastopen_listen(inet_csk(sk), backlog)
        return inet_csk_listen_start(inet_csk(sk))
    return 0


def inet_listen(sock: Socket, backlog: int) -> int:
    """Linux: net/ipv4/af_inet.c."""
    sk = sock_sk(sock)
    lock_sock(sk)
    err = -EINVAL
    if sock.state == SS_UNCONNECTED and sock.type == SOCK_STREAM:
        err = __inet_listen_sk(sk, backlog)
    release_sock(sk)
    return err


def __inet_accept(sock: Socket, newsock: Socket, newsk: Sock) -> None:
    """Give an accepted connection its socket.  Linux: net/ipv4/af_inet.c."""
    sock_graft(newsk, newsock)
    newsock.state = SS_CONNECTED


def inet_accept(sock: Socket, newsock: Socket, flags: int) -> int:
    """Take the next connection, or wait for one.  Linux: net/ipv4/af_inet.c."""
    sk1 = sock_sk(sock)
    answer = sk1.sk_prot.accept(sk1, flags)
    sk2 = answer.sk
    if sk2 is None:
        return answer.err
    lock_sock(sk2)
    __inet_accept(sock, newsock, sk2)
    release_sock(sk2)
    return 0


# -- connect()

def inet_dgram_connect(sock: Socket, uaddr: Sockaddr, flags: int) -> int:
    """Fix the peer, or undo that (AF_UNSPEC).  Linux: net/ipv4/af_inet.c."""
    sk = sock_sk(sock)
    if uaddr.sa_family == AF_UNSPEC:
        return sk.sk_prot.disconnect(sk, flags)
    if sk.sk_num == 0 and inet_autobind(sk) != 0:
        return -EAGAIN
    return sk.sk_prot.connect(sk, uaddr)


def inet_stream_connect(sock: Socket, uaddr: Sockaddr, flags: int) -> int:
    """Linux: net/ipv4/af_inet.c."""
    sk = sock_sk(sock)
    lock_sock(sk)
    err = __inet_stream_connect(sock, uaddr, flags, False)
    release_sock(sk)
    return err


# -- names, data, shutdown(), ioctl()

def inet_getname(sock: Socket, peer: int) -> Sockaddr | None:
    """The local (peer 0) or remote address; None: not connected (peer 2 asks only for a known one).

    Linux: net/ipv4/af_inet.c.
    """
    sk = sock.sk
    if sk is None:
        return None
    if peer != 0:
        if sk.sk_dport == 0 or (peer == 1 and (sk.sk_state == TCP_CLOSE or sk.sk_state == TCP_SYN_SENT)):
            return None
        return Sockaddr(AF_INET, sk.sk_daddr, sk.sk_dport)
    inet = inet_sk(sk)
    addr = sk.sk_rcv_saddr
    if addr == 0:
        addr = inet.inet_saddr
    return Sockaddr(AF_INET, addr, inet.inet_sport)


def inet_send_prepare(sk: Sock) -> int:
    """A socket without a port gets one before it sends.  Linux: net/ipv4/af_inet.c."""
    if sk.sk_num == 0 and not sk.sk_prot.no_autobind and inet_autobind(sk) != 0:
        return -EAGAIN
    return 0


def inet_sendmsg(sock: Socket, msg: Msghdr, size: int) -> int:
    """Bytes sent or a negative errno.  Linux: net/ipv4/af_inet.c."""
    sk = sock_sk(sock)
    if inet_send_prepare(sk) != 0:
        return -EAGAIN
    return sk.sk_prot.sendmsg(sk, msg, size)


def inet_recvmsg(sock: Socket, msg: Msghdr, size: int, flags: int) -> int:
    """Bytes received or a negative errno.  Linux: net/ipv4/af_inet.c."""
    sk = sock_sk(sock)
    return sk.sk_prot.recvmsg(sk, msg, size, (flags & MSG_DONTWAIT) != 0, flags & ~MSG_DONTWAIT)


def inet_shutdown(sock: Socket, how: int) -> int:
    """Shut down receiving (0), sending (1) or both (2).  Linux: net/ipv4/af_inet.c."""
    sk = sock_sk(sock)
    how += 1  # the names of the calls count from 0, the bits from 1
    if (how & ~SHUTDOWN_MASK) != 0 or how == 0:
        return -EINVAL
    lock_sock(sk)
    if sock.state == SS_CONNECTING:
        if ((1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV | TCPF_CLOSE)) != 0:
            sock.state = SS_DISCONNECTING
        else:
            sock.state = SS_CONNECTED
    err = 0
    state = sk.sk_state
    if state == TCP_LISTEN or state == TCP_SYN_SENT:
        if state == TCP_SYN_SENT or (how & RCV_SHUTDOWN) != 0:
            err = sk.sk_prot.disconnect(sk, O_NONBLOCK)
            sock.state = SS_DISCONNECTING if err != 0 else SS_UNCONNECTED
    else:
        if state == TCP_CLOSE:
            err = -ENOTCONN  # yet it is done: who polls an unconnected socket is told
        sk.sk_shutdown |= how
        sk.sk_prot.shutdown(sk, how)
    sk.sk_cb.state_change(sk)
    release_sock(sk)
    return err


def inet_ioctl(sock: Socket, cmd: int, arg: int) -> int:
    """What the transport answers.  Linux: net/ipv4/af_inet.c, where routes and addresses are set by ioctl too."""
    sk = sock_sk(sock)
    return sk.sk_prot.ioctl(sk, cmd, arg)


def sock_common_setsockopt(sock: Socket, level: int, optname: int, optval: bytes) -> int:
    """Linux: net/core/sock.c."""
    sk = sock_sk(sock)
    return sk.sk_prot.setsockopt(sk, level, optname, optval)


def sock_common_getsockopt(sock: Socket, level: int, optname: int, optlen: int) -> OptResult:
    """Linux: net/core/sock.c."""
    sk = sock_sk(sock)
    return sk.sk_prot.getsockopt(sk, level, optname, optlen)


# -- the tables

class InetSockrawOps(ProtoOps):
    """Linux: inet_sockraw_ops: raw and ping sockets."""

    def __init__(self) -> None:
        super().__init__(AF_INET)

    def release(self, sock: Socket) -> int:
        """See inet_release."""
        return inet_release(sock)

    def bind(self, sock: Socket, uaddr: Sockaddr) -> int:
        """See inet_bind."""
        return inet_bind(sock, uaddr)

    def connect(self, sock: Socket, uaddr: Sockaddr, flags: int) -> int:
        """See inet_dgram_connect."""
        return inet_dgram_connect(sock, uaddr, flags)

    def getname(self, sock: Socket, peer: int) -> Sockaddr | None:
        """See inet_getname."""
        return inet_getname(sock, peer)

    def poll(self, file: File, sock: Socket, wait: PollTable | None) -> int:
        """See datagram_poll."""
        return datagram_poll(file, sock, wait)

    def ioctl(self, sock: Socket, cmd: int, arg: int) -> int:
        """See inet_ioctl."""
        return inet_ioctl(sock, cmd, arg)

    def shutdown(self, sock: Socket, how: int) -> int:
        """See inet_shutdown."""
        return inet_shutdown(sock, how)

    def setsockopt(self, sock: Socket, level: int, optname: int, optval: bytes) -> int:
        """See sock_common_setsockopt."""
        return sock_common_setsockopt(sock, level, optname, optval)

    def getsockopt(self, sock: Socket, level: int, optname: int, optlen: int) -> OptResult:
        """See sock_common_getsockopt."""
        return sock_common_getsockopt(sock, level, optname, optlen)

    def sendmsg(self, sock: Socket, msg: Msghdr, size: int) -> int:
        """See inet_sendmsg."""
        return inet_sendmsg(sock, msg, size)

    def recvmsg(self, sock: Socket, msg: Msghdr, size: int, flags: int) -> int:
        """See inet_recvmsg."""
        return inet_recvmsg(sock, msg, size, flags)


class InetDgramOps(InetSockrawOps):
    """Linux: inet_dgram_ops: UDP."""

    def poll(self, file: File, sock: Socket, wait: PollTable | None) -> int:
        """See udp_poll."""
        return udp_poll(file, sock, wait)


class InetStreamOps(InetSockrawOps):
    """Linux: inet_stream_ops: TCP."""

    def splice_read(self, sock: Socket, pipe: PipeInodeInfo, length: i64, nonblock: bool) -> i64:
        """See tcp_splice_read."""
        return tcp_splice_read(sock_sk(sock), pipe, length, nonblock)

    def splice_eof(self, sock: Socket) -> None:
        """See tcp_splice_eof."""
        tcp_splice_eof(sock_sk(sock))

    def connect(self, sock: Socket, uaddr: Sockaddr, flags: int) -> int:
        """See inet_stream_connect."""
        return inet_stream_connect(sock, uaddr, flags)

    def accept(self, sock: Socket, newsock: Socket, flags: int) -> int:
        """See inet_accept."""
        return inet_accept(sock, newsock, flags)

    def listen(self, sock: Socket, backlog: int) -> int:
        """See inet_listen."""
        return inet_listen(sock, backlog)

    def poll(self, file: File, sock: Socket, wait: PollTable | None) -> int:
        """See tcp_poll."""
        return tcp_poll(file, sock, wait)


class InetFamilyOps(NetProtoFamily):
    """Linux: inet_family_ops."""

    def __init__(self) -> None:
        super().__init__(AF_INET)

    def create(self, net: Net, sock: Socket, protocol: int, kern: int) -> int:
        """See inet_create."""
        return inet_create(net, sock, protocol, kern)


class IpPacketType(PacketType):
    """Linux: ip_packet_type."""

    def __init__(self) -> None:
        super().__init__(ETH_P_IP)

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> i64:
        """See ip_rcv."""
        return ip_rcv(skb, dev, self, orig_dev)


def inet_register_protosw(net: Net, p: InetProtosw) -> int:
    """Let p answer its type and protocol; the entries that are permanent come first and cannot be replaced.

    -EINVAL: no such type. -EPERM: a permanent entry has that protocol.  Linux: net/ipv4/af_inet.c, where refusal is a log line.
    """
    return protosw_insert(net.ipv4.inetsw, p)


def protosw_insert(table: dict[int, list[InetProtosw]], p: InetProtosw) -> int:
    """Put p into the table of a family, as inet_register_protosw says."""
    if p.type < 0 or p.type >= SOCK_MAX:
        return -EINVAL
    entries = table.setdefault(p.type, [])
    place = 0
    for i, entry in enumerate(entries):
        if (entry.flags & INET_PROTOSW_PERMANENT) != 0:
            if entry.protocol == p.protocol:
                return -EPERM
            place = i + 1
    entries.insert(place, p)
    return 0


def inet_unregister_protosw(net: Net, p: InetProtosw) -> int:
    """-EPERM where it is permanent.  Linux: net/ipv4/af_inet.c."""
    if (p.flags & INET_PROTOSW_PERMANENT) != 0:
        return -EPERM
    entries = net.ipv4.inetsw.get(p.type, [])
    if p in entries:
        entries.remove(p)
    return 0


def inetsw_init(net: Net) -> None:
    """The four entries that IPv4 starts with.  Linux: net/ipv4/af_inet.c, inetsw_array."""
    ipv4 = net.ipv4
    tcp_prot = ipv4.tcp_prot
    udp_prot = ipv4.udp_prot
    ping_prot = ipv4.ping_prot
    raw_prot = ipv4.raw_prot
    assert tcp_prot is not None and udp_prot is not None and ping_prot is not None and raw_prot is not None
    sockraw = InetSockrawOps()
    inet_register_protosw(net, InetProtosw(SOCK_STREAM, IPPROTO_TCP, tcp_prot, InetStreamOps(),
                                           INET_PROTOSW_PERMANENT | INET_PROTOSW_ICSK))
    inet_register_protosw(net, InetProtosw(SOCK_DGRAM, IPPROTO_UDP, udp_prot, InetDgramOps(), INET_PROTOSW_PERMANENT))
    inet_register_protosw(net, InetProtosw(SOCK_DGRAM, IPPROTO_ICMP, ping_prot, sockraw, INET_PROTOSW_REUSE))
    inet_register_protosw(net, InetProtosw(SOCK_RAW, IPPROTO_IP, raw_prot, sockraw, INET_PROTOSW_REUSE))


def inet_init(net: Net) -> None:
    """Let IPv4 be there on this host: every file registers what it has, then the family and the packet type.

    Linux: net/ipv4/af_inet.c, inet_init and inet_init_net.
    """
    ip_rt_init(net)
    arp_init(net)
    ip_output_init(net)
    ip_input_init(net)
    ip_forward_init(net)
    ipfrag_init(net)
    tcp_v4_init(net)
    udp_init(net)
    raw_init(net)
    ping_init(net)
    icmp_init(net)
    inetsw_init(net)
    ipv4_offload_init(net)
    tcpv4_offload_init(net)
    net.net_families[AF_INET] = InetFamilyOps()
    dev_add_pack(net, IpPacketType())
