# SPDX-License-Identifier: Apache-2.0
"""UDP over IPv6: what differs from net/ipv4/udp.py in sending and receiving, and the socket's tables.

    sendto > udpv6_sendmsg > ip6_sk_dst_lookup_flow > ip6_make_skb > udp_v6_send_skb > ip6_send_skb
    recvfrom > udpv6_recvmsg > __skb_recv_udp > skb_copy_datagram_iter

A socket of AF_INET6 speaks IPv4 too unless IPV6_V6ONLY is set: what goes to a mapped address (::ffff:a.b.c.d) is handed to
udp_sendmsg as it stands, and what comes over IPv4 bears a mapped one (RFC 3493, 3.7). A datagram under construction (MSG_MORE) is
of the family that its first piece went to.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.in6 import IN6ADDR_LOOPBACK
from linnet.include.linux.inet import INADDR_LOOPBACK, IPPROTO_UDP
from linnet.include.linux.ipv6 import Ipv6Pinfo
from linnet.include.linux.skbuff import CHECKSUM_NONE, CHECKSUM_PARTIAL, SkBuff, skb_queue_empty
from linnet.include.linux.socket import (
    AF_INET,
    AF_INET6,
    AF_UNSPEC,
    MSG_CONFIRM,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_MORE,
    MSG_PEEK,
    MSG_PROBE,
    MSG_ZEROCOPY,
    SOL_UDP,
    Msghdr,
    Sockaddr,
    make_sockaddr_in6,
)
from linnet.include.net.flow import Flowi6
from linnet.include.net.inet_sock import UdpSock, inet_sk, udp_sk
from linnet.include.net.ip6_fib import Rt6Info, inet6_iif
from linnet.include.net.ipv6 import (
    Ipcm6Cookie,
    csum_ipv6_magic,
    inet6_sk,
    ipv6_addr_set_v4mapped,
    ipv6_addr_v4mapped,
    ipv6_iface_scope_id,
    ipv6_mapped_v4,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import UDP6_INC_STATS, UDP_MIB_OUTDATAGRAMS, UDP_MIB_SNDBUFERRORS
from linnet.include.net.sock import SOCK_NOSPACE, SOCK_ZEROCOPY, OptResult, Sock, sock_net
from linnet.include.net.tcp_states import TCP_ESTABLISHED
from linnet.kernel.errno import EAFNOSUPPORT, EDESTADDRREQ, EINVAL, EMSGSIZE, ENETUNREACH, ENOBUFS
from linnet.kernel.slab import KmemCache
from linnet.net.core.datagram import ErrBox
from linnet.net.core.skbuff import skb_checksum, skb_zcopy_set
from linnet.net.core.skbuff_msgzc import msg_zerocopy_alloc, net_zcopy_put, net_zcopy_put_abort
from linnet.net.core.sock import lock_sock, release_sock
from linnet.net.ipv4.ip_sockglue import ip_cmsg_recv
from linnet.net.ipv4.udp import (
    UdpProt,
    set_udp_header,
    skb_consume_udp,
    udp4_hwcsum,
    udp_flush_pending_frames,
    udp_lib_getsockopt,
    udp_lib_setsockopt,
    udp_push_pending_frames,
    udp_recv_datagram,
    udp_sendmsg,
)
from linnet.net.ipv4.udp_rcv import UDP_HLEN, udp_queue_rcv_skb
from linnet.net.ipv6.datagram import (
    ip6_datagram_connect,
    ip6_datagram_recv_common_ctl,
    ip6_datagram_recv_specific_ctl,
    ipv6_recv_error,
    ipv6_recv_rxpmtu,
)
from linnet.net.ipv6.ip6_output_append import (
    ip6_append_data,
    ip6_finish_skb,
    ip6_flush_pending_frames,
    ip6_make_skb,
    ip6_send_skb,
)
from linnet.net.ipv6.ipv6_sockglue import ipv6_getsockopt, ipv6_setsockopt
from linnet.net.ipv6.protocol import inet6_add_protocol
from linnet.net.ipv6.udp_flow import datagram6_ctl, datagram6_init, datagram6_name, datagram6_route, dst_confirm_neigh6
from linnet.net.ipv6.udp_rcv import Udpv6Protocol, udpv6_queue_rcv_skb

SIZEOF_UDP6_SOCK: Final = 1536


class Udpv6SockCache(KmemCache):
    """The slab of UDP sockets of AF_INET6."""

    def new(self) -> object:
        """See KmemCache."""
        return UdpSock()


class Udpv6Prot(UdpProt):
    """Linux: udpv6_prot. What is not here is udp_prot's, whose memory and its limit this one shares."""

    def __init__(self, net: Net, slab: KmemCache) -> None:
        super().__init__(net, slab, 'UDPv6')
        udp_prot = net.ipv4.udp_prot
        if udp_prot is not None:
            self.mem = udp_prot.mem

    def push_pending_frames(self, sk: Sock) -> int:
        """See udp_v6_push_pending_frames."""
        return udp_v6_push_pending_frames(sk)

    def destroy(self, sk: Sock) -> None:
        """See udpv6_destroy_sock."""
        udpv6_destroy_sock(sk)

    def connect(self, sk: Sock, uaddr: Sockaddr) -> int:
        """See ip6_datagram_connect."""
        return ip6_datagram_connect(sk, uaddr)

    def setsockopt(self, sk: Sock, level: int, optname: int, optval: bytes) -> int:
        """See udpv6_setsockopt."""
        return udpv6_setsockopt(sk, level, optname, optval)

    def getsockopt(self, sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
        """See udpv6_getsockopt."""
        return udpv6_getsockopt(sk, level, optname, optlen)

    def sendmsg(self, sk: Sock, msg: Msghdr, size: int) -> int:
        """See udpv6_sendmsg."""
        return udpv6_sendmsg(sk, msg, size)

    def recvmsg(self, sk: Sock, msg: Msghdr, size: int, nonblock: bool, flags: int) -> int:
        """See udpv6_recvmsg."""
        return udpv6_recvmsg(sk, msg, size, nonblock, flags)

    def backlog_rcv(self, sk: Sock, skb: SkBuff) -> int:
        """See udpv6_queue_rcv_skb; what came over IPv4 goes its way."""
        if skb.protocol == ETH_P_IPV6:
            return udpv6_queue_rcv_skb(udp_sk(sk), skb)
        return udp_queue_rcv_skb(udp_sk(sk), skb)


def udpv6_init(net: Net) -> None:
    """Make the protocol of one Net: its table entry for received datagrams, and net.ipv6.udpv6_prot.  Linux: net/ipv6/udp.c."""
    caches = net.world.slab.caches
    slab = caches.get('UDPv6')
    if slab is None:
        slab = net.world.slab.register(Udpv6SockCache('UDPv6', SIZEOF_UDP6_SOCK, net.world.trace))
    net.ipv6.udpv6_prot = Udpv6Prot(net, slab)
    inet6_add_protocol(net, Udpv6Protocol(), IPPROTO_UDP)


# -------------------------------------------------------------------------------------------------------------- sending

def udpv6_sendmsg(sk: Sock, msg: Msghdr, length: int) -> int:
    """Send msg, to its address or to the peer. Bytes sent, or a negative errno.  Linux: net/ipv6/udp.c."""
    up = udp_sk(sk)
    np = inet6_sk(sk)
    name = msg.msg_name
    if name is not None:
        if name.sa_family == AF_INET:
            return udpv6_sendmsg_v4(up, msg, length)
        if name.sa_family == AF_UNSPEC:
            name = None
            msg.msg_name = None
        elif name.sa_family != AF_INET6:
            return -EINVAL
        elif ipv6_addr_v4mapped(name.sin6_addr):
            msg.msg_name = Sockaddr(AF_INET, ipv6_mapped_v4(name.sin6_addr), name.sin_port)
            return udpv6_sendmsg_v4(up, msg, length)
        elif name.sin6_addr == 0 and ipv6_addr_v4mapped(np.saddr):
            # the unspecified address is this host; bound as the socket is, by IPv4
            msg.msg_name = Sockaddr(AF_INET, INADDR_LOOPBACK, name.sin_port)
            return udpv6_sendmsg_v4(up, msg, length)
    elif up.pending == 0:
        if up.sk_state != TCP_ESTABLISHED:
            return -EDESTADDRREQ
        if ipv6_addr_v4mapped(up.sk_v6_daddr):
            msg.msg_name = Sockaddr(AF_INET, ipv6_mapped_v4(up.sk_v6_daddr), up.sk_dport)
            return udpv6_sendmsg_v4(up, msg, length)
    if length > 0x7FFFFFFF - UDP_HLEN:
        return -EMSGSIZE
    corkreq = up.corkflag or (msg.msg_flags & MSG_MORE) != 0
    if up.pending != 0:
        if up.pending == AF_INET:
            return udp_sendmsg(sk, msg, length)
        lock_sock(sk)
        if up.pending != 0:
            err = udpv6_append_data(up, np, np.cork_fl6, msg, length, Ipcm6Cookie(), None, corkreq)
            release_sock(sk)
            return udpv6_sendmsg_out(up, err, length)
        release_sock(sk)
    return udpv6_sendmsg_begin(up, np, name, msg, length, corkreq)


def udpv6_sendmsg_v4(up: UdpSock, msg: Msghdr, length: int) -> int:
    """Send to an IPv4 address.  Linux: do_udp_sendmsg of udpv6_sendmsg."""
    if up.sk_ipv6only:
        return -ENETUNREACH
    return udp_sendmsg(up, msg, length)


def udpv6_sendmsg_begin(up: UdpSock, np: Ipv6Pinfo, name: Sockaddr | None, msg: Msghdr, length: int, corkreq: bool) -> int:
    """Find the way for a new datagram, and send it or begin it."""
    # the socket's own belongs to whoever builds a datagram piece by piece
    fl6 = np.cork_fl6 if corkreq else Flowi6()
    ipc6 = Ipcm6Cookie()
    rt = udpv6_sendmsg_route(up, np, name, msg, fl6, ipc6)
    if rt is None:
        return udpv6_sendmsg_out(up, int(fl6.err), length)
    if (msg.msg_flags & MSG_CONFIRM) != 0:
        dst_confirm_neigh6(rt, fl6.daddr)
        if (msg.msg_flags & MSG_PROBE) != 0 and length == 0:
            return 0
    if not corkreq:
        if (msg.msg_flags & MSG_ZEROCOPY) != 0 and length != 0 and (up.sk_flags & SOCK_ZEROCOPY) != 0:
            return udpv6_sendmsg_zerocopy(up, fl6, msg, length, ipc6, rt)
        skb = ip6_make_skb(up, fl6, msg, length + UDP_HLEN, UDP_HLEN, ipc6, rt, msg.msg_flags)
        err = int(ipc6.err) if skb is None else udp_v6_send_skb(skb, fl6, up)
        return udpv6_sendmsg_out(up, err, length)
    lock_sock(up)
    if up.pending != 0:
        release_sock(up)
        return -EINVAL  # another task began a datagram meanwhile
    up.pending = AF_INET6
    err = udpv6_append_data(up, np, fl6, msg, length, ipc6, rt, corkreq)
    release_sock(up)
    return udpv6_sendmsg_out(up, err, length)


def udpv6_sendmsg_route(
    up: UdpSock, np: Ipv6Pinfo, name: Sockaddr | None, msg: Msghdr, fl6: Flowi6, ipc6: Ipcm6Cookie,
) -> Rt6Info | None:
    """Where msg goes: fills fl6 and ipc6. None with fl6.err where it cannot go there."""
    datagram6_init(up, np, fl6, ipc6, IPPROTO_UDP)
    connected = False
    if name is not None:
        if name.sin_port == 0:
            fl6.err = -EINVAL
            return None
        fl6.fl6_dport = name.sin_port
        fl6.err = datagram6_name(np, up, fl6, name)
        if fl6.err != 0:
            return None
    else:
        if up.sk_state != TCP_ESTABLISHED:
            fl6.err = -EDESTADDRREQ
            return None
        fl6.daddr = up.sk_v6_daddr
        fl6.fl6_dport = up.sk_dport
        fl6.flowlabel = np.flow_label
        connected = True
    fl6.fl6_sport = up.inet_sport
    fl6.err = datagram6_ctl(up, np, msg, fl6, ipc6)
    if fl6.err < 0:
        return None
    if len(msg.msg_control) != 0:
        connected = False
    if fl6.daddr == 0:
        fl6.daddr = IN6ADDR_LOOPBACK
    return datagram6_route(up, np, fl6, ipc6, connected)


def udpv6_sendmsg_zerocopy(up: UdpSock, fl6: Flowi6, msg: Msghdr, length: int, ipc6: Ipcm6Cookie, rt: Rt6Info) -> int:
    """Send a datagram, and tell the program when its memory is free.  See udp_sendmsg_zerocopy."""
    uarg = msg_zerocopy_alloc(up, length)
    if uarg is None:
        return -ENOBUFS
    skb = ip6_make_skb(up, fl6, msg, length + UDP_HLEN, UDP_HLEN, ipc6, rt, msg.msg_flags)
    if skb is None:
        net_zcopy_put_abort(uarg)
        return udpv6_sendmsg_out(up, int(ipc6.err), length)
    skb_zcopy_set(skb, uarg)
    err = udp_v6_send_skb(skb, fl6, up)
    net_zcopy_put(uarg)
    return udpv6_sendmsg_out(up, err, length)


def udpv6_sendmsg_out(up: UdpSock, err: int, length: int) -> int:
    """The result of a send; a want of buffers is counted."""
    if err == 0:
        return length
    sock = up.sk_socket
    if err == -ENOBUFS or (sock is not None and (sock.flags & SOCK_NOSPACE) != 0):
        UDP6_INC_STATS(sock_net(up), UDP_MIB_SNDBUFERRORS)
    return err


def udpv6_append_data(
    up: UdpSock, np: Ipv6Pinfo, fl6: Flowi6, msg: Msghdr, length: int, ipc6: Ipcm6Cookie, rt: Rt6Info | None, corkreq: bool,
) -> int:
    """Add msg to the datagram under construction; without corkreq that was its end, and it goes. The socket is owned."""
    if up.pending != AF_INET6:
        return -EAFNOSUPPORT
    if ipc6.dontfrag < 0:
        ipc6.dontfrag = 1 if np.dontfrag else 0
    flags = msg.msg_flags | MSG_MORE if corkreq else msg.msg_flags
    ulen: i64 = length + UDP_HLEN if up.len == 0 else length  # the first piece brings the header's room
    up.len += ulen
    err = int(ip6_append_data(up, fl6, msg, ulen, UDP_HLEN, ipc6, rt, flags))
    if err != 0:
        udp_v6_flush_pending_frames(up)
    elif not corkreq:
        err = udp_v6_push_pending_frames(up)
    elif skb_queue_empty(up.sk_write_queue):
        up.pending = 0
    return err


def udp_v6_flush_pending_frames(sk: Sock) -> None:
    """Throw away the datagram under construction.  Linux: net/ipv6/udp.c."""
    up = udp_sk(sk)
    if up.pending == AF_INET:
        udp_flush_pending_frames(sk)
    elif up.pending != 0:
        up.len = 0
        up.pending = 0
        ip6_flush_pending_frames(sk)


def udp_v6_push_pending_frames(sk: Sock) -> int:
    """Send the datagram under construction. 0 or a negative errno.  Linux: net/ipv6/udp.c."""
    up = udp_sk(sk)
    if up.pending == AF_INET:
        return udp_push_pending_frames(sk)
    err = 0
    skb = ip6_finish_skb(sk)
    if skb is not None:
        err = udp_v6_send_skb(skb, inet6_sk(sk).cork_fl6, up)
    up.len = 0
    up.pending = 0
    return err


def udp_v6_send_skb(skb: SkBuff, fl6: Flowi6, up: UdpSock) -> int:
    """Fill in the UDP header of a complete datagram (data at the IPv6 header) and send it. 0 or a negative errno.

    There is always a checksum, unless the program wants none (UDP_NO_CHECK6_TX).
    Linux: net/ipv6/udp.c.  RFC 8200, 8.1.
    """
    net = sock_net(up)
    at = skb.transport_header
    length: i64 = skb.len - (at - skb.data)
    check: i64 = 0
    if up.no_check6_tx:
        skb.ip_summed = CHECKSUM_NONE
    elif skb.ip_summed == CHECKSUM_PARTIAL:
        udp6_hwcsum_outgoing(skb, at)
        check = 0xFFFF - csum_ipv6_magic(fl6.saddr, fl6.daddr, length, IPPROTO_UDP, 0)
    set_udp_header(skb, at, fl6.fl6_sport, fl6.fl6_dport, length, check)
    if not up.no_check6_tx and skb.ip_summed != CHECKSUM_PARTIAL:
        total = skb_checksum(skb, at - skb.data, length, 0)
        check = csum_ipv6_magic(fl6.saddr, fl6.daddr, length, IPPROTO_UDP, total)
        set_udp_header(skb, at, fl6.fl6_sport, fl6.fl6_dport, length, check if check != 0 else 0xFFFF)
    err = int(ip6_send_skb(skb))
    if err != 0:
        if err == -ENOBUFS and not inet6_sk(up).recverr:
            UDP6_INC_STATS(net, UDP_MIB_SNDBUFERRORS)
            err = 0
        return err
    UDP6_INC_STATS(net, UDP_MIB_OUTDATAGRAMS)
    return 0


def udp6_hwcsum_outgoing(skb: SkBuff, at: i64) -> None:
    """Leave the checksum to the device.  Linux: net/ipv6/udp.c, for a datagram in one packet."""
    udp4_hwcsum(skb, at)


# ------------------------------------------------------------------------------------------------------------ receiving

def udpv6_recvmsg(sk: Sock, msg: Msghdr, length: int, nonblock: bool, flags: int) -> int:
    """Receive one datagram into msg. Its bytes (with MSG_TRUNC its whole length), or a negative errno.

    Linux: net/ipv6/udp.c.
    """
    np = inet6_sk(sk)
    if (flags & MSG_ERRQUEUE) != 0:
        return int(ipv6_recv_error(sk, msg, length))
    if np.rxpmtu is not None:
        return int(ipv6_recv_rxpmtu(sk, msg, length))
    if nonblock:
        flags |= MSG_DONTWAIT
    box = ErrBox()
    skb = udp_recv_datagram(sk, msg, length, flags, box)
    if skb is None:
        return box.err
    msg.msg_name = datagram6_from(skb, skb.sport)
    if np.rxopt != 0:
        ip6_datagram_recv_common_ctl(sk, msg, skb)
    if skb.protocol != ETH_P_IPV6:
        if inet_sk(sk).cmsg_flags != 0:
            ip_cmsg_recv(msg, sk, skb)
    elif np.rxopt != 0:
        ip6_datagram_recv_specific_ctl(sk, msg, skb)
    skb_consume_udp(sk, skb, box.err, (flags & MSG_PEEK) != 0)
    return box.err


def datagram6_from(skb: SkBuff, port: i64) -> Sockaddr:
    """Whom a datagram came from: of IPv4 the mapped address, of a link-local one with its zone."""
    if skb.protocol != ETH_P_IPV6:
        return make_sockaddr_in6(ipv6_addr_set_v4mapped(skb.saddr), port)
    addr = skb.saddr6
    return make_sockaddr_in6(addr, port, 0, ipv6_iface_scope_id(addr, inet6_iif(skb)))


# ------------------------------------------------------------------------------------------------------ close, options

def udpv6_destroy_sock(sk: Sock) -> None:
    """The socket ends: so does the datagram under construction.  Linux: net/ipv6/udp.c."""
    lock_sock(sk)
    udp_v6_flush_pending_frames(sk)
    release_sock(sk)


def udpv6_setsockopt(sk: Sock, level: int, optname: int, optval: bytes) -> int:
    """UDP's options; other levels are IPv6's. 0 or a negative errno.  Linux: net/ipv6/udp.c."""
    if level != SOL_UDP:
        return int(ipv6_setsockopt(sk, level, optname, optval))
    return udp_lib_setsockopt(sk, optname, optval)


def udpv6_getsockopt(sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
    """Linux: net/ipv6/udp.c."""
    if level != SOL_UDP:
        return ipv6_getsockopt(sk, level, optname, optlen)
    return udp_lib_getsockopt(sk, optname, optlen)


# ------------------------------------------------------------------------------------------------------- /proc/net/udp6

def hex_addr6(addr: int) -> str:
    """An address as /proc/net shows it: four hexadecimal numbers that a little-endian machine sees in memory."""
    words = [(addr >> shift) & 0xFFFFFFFF for shift in (96, 64, 32, 0)]
    return ''.join(word.to_bytes(4, 'little').hex().upper() for word in words)


IPV6_SEQ_DGRAM_HEADER: Final = (
    '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt'
    '   uid  timeout inode ref pointer drops\n')


def ip6_dgram_sock_seq_show(sk: Sock, sport: i64, dport: i64, bucket: int) -> str:
    """One line of /proc/net/udp6, raw6 and icmp6.  Linux: net/ipv6/datagram.c, __ip6_dgram_sock_seq_show."""
    local = f'{hex_addr6(sk.sk_v6_rcv_saddr)}:{int(sport):04X}'
    remote = f'{hex_addr6(sk.sk_v6_daddr)}:{int(dport):04X}'
    return (f'{bucket:5d}: {local} {remote} {int(sk.sk_state):02X} {int(sk.sk_wmem_alloc - 1):08X}:{int(sk.sk_rmem_alloc):08X} '
            f'00:00000000 00000000     0        0 {int(sk.sk_ino)} {int(sk.sk_refcnt)} 0000000000000000 {int(sk.sk_drops)}\n')


def udp6_seq_show(net: Net) -> str:
    """The text of /proc/net/udp6, in the order of ports.  Linux: net/ipv6/udp.c."""
    lines = [IPV6_SEQ_DGRAM_HEADER]
    for port in sorted(net.ipv4.udp_table):
        for sk in net.ipv4.udp_table[port]:
            if sk.sk_family == AF_INET6:
                lines.append(ip6_dgram_sock_seq_show(sk, sk.sk_num, sk.sk_dport, port))
    return ''.join(lines)
