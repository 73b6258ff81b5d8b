# SPDX-License-Identifier: Apache-2.0
"""UDP (RFC 768): what a program does with a socket: send, receive, connect and disconnect, options, poll, close.

    sendto > udp_sendmsg > (route) > ip_make_skb > udp_send_skb > ip_send_skb
    recvfrom > udp_recvmsg > __skb_recv_udp > skb_copy_datagram_iter

A datagram is built at once, without the socket's lock; with MSG_MORE or UDP_CORK it grows in the write queue under
it, and goes out with the first send that says no more. The table of ports is udp_lookup.py, the way up udp_rcv.py.
"""
from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from linnet.include.linux.inet import IPPROTO_UDP, ipv4_is_multicast
from linnet.include.linux.skbuff import (
    CHECKSUM_NONE,
    CHECKSUM_PARTIAL,
    SkBuff,
    SkBuffHead,
    __skb_unlink,
    skb_peek_tail,
    skb_queue_empty,
)
from linnet.include.linux.socket import (
    AF_INET,
    AF_INET6,
    AF_UNSPEC,
    MSG_CONFIRM,
    MSG_DONTROUTE,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_MORE,
    MSG_OOB,
    MSG_PEEK,
    MSG_PROBE,
    MSG_TRUNC,
    MSG_ZEROCOPY,
    RCV_SHUTDOWN,
    SIOCINQ,
    SIOCOUTQ,
    SOL_UDP,
    Msghdr,
    Sockaddr,
)
from linnet.include.linux.unaligned import put_be16
from linnet.include.net.checksum import csum_tcpudp_magic
from linnet.include.net.flow import FLOWI_FLAG_ANYSRC, Flowi4, flowi4_init_output
from linnet.include.net.inet_sock import InetSock, UdpSock, inet_sk, udp_sk
from linnet.include.net.ip import IpcmCookie, ipcm_init_sk
from linnet.include.net.ip_fib import RT_SCOPE_LINK, RT_SCOPE_UNIVERSE
from linnet.include.net.net_namespace import Net
from linnet.include.net.route import IPTOS_RT_MASK, RTCF_BROADCAST, Rtable, rt_nexthop
from linnet.include.net.snmp import (
    IPSTATS_MIB_OUTNOROUTES,
    NET_INC_STATS,
    UDP_MIB_INCSUMERRORS,
    UDP_MIB_INDATAGRAMS,
    UDP_MIB_INERRORS,
    UDP_MIB_OUTDATAGRAMS,
    UDP_MIB_SNDBUFERRORS,
)
from linnet.include.net.sock import (
    SOCK_BINDADDR_LOCK,
    SOCK_BINDPORT_LOCK,
    SOCK_BROADCAST,
    SOCK_LOCALROUTE,
    SOCK_NOSPACE,
    SOCK_ZEROCOPY,
    OptResult,
    Proto,
    Sock,
    Socket,
    sock_error,
    sock_flag,
    sock_net,
    sock_rcvtimeo,
)
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_ESTABLISHED
from linnet.kernel.errno import (
    EACCES,
    EAFNOSUPPORT,
    EAGAIN,
    EDESTADDRREQ,
    EFAULT,
    EINVAL,
    EMSGSIZE,
    ENETUNREACH,
    ENOBUFS,
    ENOIOCTLCMD,
    ENOPROTOOPT,
    EOPNOTSUPP,
)
from linnet.kernel.file import O_NONBLOCK, File, PollTable
from linnet.kernel.poll import EPOLLIN, EPOLLRDNORM
from linnet.kernel.slab import KmemCache
from linnet.net.core.datagram import (
    ErrBox,
    __sk_queue_drop_skb,
    __skb_try_recv_from_queue,
    __skb_wait_for_more_packets,
    datagram_poll,
    sk_peek_offset,
    sk_peek_offset_bwd,
    sk_peek_offset_fwd,
    skb_copy_datagram_msg,
)
from linnet.net.core.neighbour import __ipv4_neigh_lookup_noref, neigh_confirm
from linnet.net.core.skbuff import consume_skb, kfree_skb, skb_checksum, skb_zcopy_set
from linnet.net.core.skbuff_msgzc import msg_zerocopy_alloc, net_zcopy_put, net_zcopy_put_abort
from linnet.net.core.sock import lock_sock, release_sock, sk_common_release, sk_dst_check, sk_dst_reset, sk_dst_set
from linnet.net.core.sock_opts import int_bytes, int_of, sock_recv_cmsgs
from linnet.net.ipv4.datagram import ip4_datagram_connect
from linnet.net.ipv4.ip_options import ip_options_faddr
from linnet.net.ipv4.ip_output_append import (
    ip_append_data,
    ip_finish_skb,
    ip_flush_pending_frames,
    ip_make_skb,
    ip_send_skb,
)
from linnet.net.ipv4.ip_sockglue import ip_cmsg_recv, ip_cmsg_send, ip_getsockopt, ip_recv_error, ip_setsockopt
from linnet.net.ipv4.route import ip_route_output_flow
from linnet.net.ipv4.udp_lookup import udp_lib_unhash, udp_v4_get_port
from linnet.net.ipv4.udp_rcv import UDP_HLEN, UDPX_INC_STATS, UdpProtocol, udp_lib_checksum_complete, udp_queue_rcv_skb

UDP_CORK: Final = 1
UDP_ENCAP: Final = 100
UDP_NO_CHECK6_TX: Final = 101
UDP_NO_CHECK6_RX: Final = 102
UDP_SEGMENT: Final = 103
UDP_GRO: Final = 104
SIZEOF_UDP_SOCK: Final = 1408


class UdpSockCache(KmemCache):
    """The slab of UDP sockets."""

    def new(self) -> object:
        """See KmemCache."""
        return UdpSock()


class UdpProt(Proto):
    """Linux: udp_prot. One a Net; the slab is the world's."""

    def __init__(self, net: Net, slab: KmemCache, name: str = 'UDP') -> None:
        super().__init__(name, slab)
        self.sysctl_mem = net.ipv4.sysctl_udp_mem

    def push_pending_frames(self, sk: Sock) -> int:
        """See udp_push_pending_frames."""
        return udp_push_pending_frames(sk)

    def close(self, sk: Sock, timeout: i64) -> None:
        """See udp_lib_close."""
        udp_lib_close(sk)

    def destroy(self, sk: Sock) -> None:
        """See udp_destroy_sock."""
        udp_destroy_sock(sk)

    def connect(self, sk: Sock, uaddr: Sockaddr) -> int:
        """See ip4_datagram_connect."""
        return ip4_datagram_connect(sk, uaddr)

    def disconnect(self, sk: Sock, flags: int) -> int:
        """See udp_disconnect."""
        return udp_disconnect(sk, flags)

    def ioctl(self, sk: Sock, cmd: int, arg: int) -> int:
        """See udp_ioctl."""
        return udp_ioctl(sk, cmd)

    def setsockopt(self, sk: Sock, level: int, optname: int, optval: bytes) -> int:
        """See udp_setsockopt."""
        return udp_setsockopt(sk, level, optname, optval)

    def getsockopt(self, sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
        """See udp_getsockopt."""
        return udp_getsockopt(sk, level, optname, optlen)

    def sendmsg(self, sk: Sock, msg: Msghdr, size: int) -> int:
        """See udp_sendmsg."""
        return udp_sendmsg(sk, msg, size)

    def recvmsg(self, sk: Sock, msg: Msghdr, size: int, nonblock: bool, flags: int) -> int:
        """See udp_recvmsg."""
        return udp_recvmsg(sk, msg, size, nonblock, flags)

    def backlog_rcv(self, sk: Sock, skb: SkBuff) -> int:
        """See udp_queue_rcv_skb."""
        return udp_queue_rcv_skb(udp_sk(sk), skb)

    def unhash(self, sk: Sock) -> None:
        """See udp_lib_unhash."""
        udp_lib_unhash(sk)

    def get_port(self, sk: Sock, snum: i64) -> int:
        """See udp_v4_get_port."""
        return udp_v4_get_port(sk, snum)


def udp_init(net: Net) -> None:
    """Make the protocol of one Net: its table entry for received datagrams, and net.ipv4.udp_prot.

    Linux: net/ipv4/udp.c.
    """
    caches = net.world.slab.caches
    slab = caches.get('UDP')
    if slab is None:
        slab = net.world.slab.register(UdpSockCache('UDP', SIZEOF_UDP_SOCK, net.world.trace))
    net.ipv4.udp_prot = UdpProt(net, slab)
    net.ipv4.inet_protos[IPPROTO_UDP] = UdpProtocol()


# -------------------------------------------------------------------------------------------------------------- sending

def udp_sendmsg(sk: Sock, msg: Msghdr, length: int) -> int:
    """Send msg, to its address or to the peer. Bytes sent, or a negative errno.  Linux: net/ipv4/udp.c."""
    up = udp_sk(sk)
    flags = msg.msg_flags
    if length > 0xFFFF:
        return -EMSGSIZE
    if (flags & MSG_OOB) != 0:
        return -EOPNOTSUPP
    corkreq = up.corkflag or (flags & MSG_MORE) != 0
    fl4 = up.cork_fl
    if up.pending != 0:
        lock_sock(sk)
        if up.pending != 0:
            if up.pending != AF_INET:  # one over IPv6 is under construction
                release_sock(sk)
                return -EINVAL
            err = udp_append_data(up, fl4, msg, length, IpcmCookie(), None, corkreq)
            release_sock(sk)
            return udp_sendmsg_out(up, err, length)
        release_sock(sk)
    ipc = IpcmCookie()
    ipcm_init_sk(ipc, up)
    if not corkreq:
        fl4 = Flowi4()  # the socket's own belongs to whoever builds a datagram piece by piece
    rt = udp_sendmsg_route(up, msg, ipc, fl4)
    if rt is None:
        return udp_sendmsg_out(up, int(fl4.err), length)
    if (flags & MSG_CONFIRM) != 0:
        dst_confirm_neigh(rt, fl4.daddr)
        if (flags & MSG_PROBE) != 0 and length == 0:
            return 0
    if not corkreq:
        if (flags & MSG_ZEROCOPY) != 0 and length != 0 and (sk.sk_flags & SOCK_ZEROCOPY) != 0:
            return udp_sendmsg_zerocopy(up, fl4, msg, length, ipc, rt)
        skb = ip_make_skb(sk, fl4, msg, length + UDP_HLEN, UDP_HLEN, ipc, rt, flags)
        err = int(ipc.err) if skb is None else udp_send_skb(skb, fl4, up)
        return udp_sendmsg_out(up, err, length)
    lock_sock(sk)
    if up.pending != 0:
        release_sock(sk)
        return -EINVAL  # another task began a datagram meanwhile
    up.pending = AF_INET
    err = udp_append_data(up, fl4, msg, length, ipc, rt, corkreq)
    release_sock(sk)
    return udp_sendmsg_out(up, err, length)


def udp_sendmsg_zerocopy(up: UdpSock, fl4: Flowi4, msg: Msghdr, length: int, ipc: IpcmCookie, rt: Rtable) -> int:
    """Send a datagram, and tell the program when its memory is free.  Linux: net/ipv4/ip_output.c, __ip_append_data.

    A datagram that is built of several calls (MSG_MORE) takes the bytes over at once, as without the flag.
    """
    uarg = msg_zerocopy_alloc(up, length)
    if uarg is None:
        return -ENOBUFS
    skb = ip_make_skb(up, fl4, msg, length + UDP_HLEN, UDP_HLEN, ipc, rt, msg.msg_flags)
    if skb is None:
        net_zcopy_put_abort(uarg)
        return udp_sendmsg_out(up, int(ipc.err), length)
    skb_zcopy_set(skb, uarg)
    err = udp_send_skb(skb, fl4, up)
    net_zcopy_put(uarg)
    return udp_sendmsg_out(up, err, length)


def udp_sendmsg_out(up: UdpSock, err: int, length: int) -> int:
    """The result of a send; a want of buffers is counted."""
    if err == 0:
        return length
    sock = up.sk_socket
    if err == -ENOBUFS or (sock is not None and (sock.flags & SOCK_NOSPACE) != 0):
        NET_INC_STATS(sock_net(up), UDP_MIB_SNDBUFERRORS)
    return err


def udp_sendmsg_route(up: UdpSock, msg: Msghdr, ipc: IpcmCookie, fl4: Flowi4) -> Rtable | None:
    """Where msg goes: fills fl4 (addresses, ports) and ipc. None with fl4.err where it cannot go there."""
    usin = msg.msg_name
    connected = False
    fl4.err = 0
    if usin is not None:
        if usin.sa_family != AF_INET and usin.sa_family != AF_UNSPEC:
            fl4.err = -EAFNOSUPPORT
            return None
        daddr: i64 = usin.sin_addr
        dport: i64 = usin.sin_port
        if dport == 0:
            fl4.err = -EINVAL
            return None
    else:
        if up.sk_state != TCP_ESTABLISHED:
            fl4.err = -EDESTADDRREQ
            return None
        daddr = up.sk_daddr
        dport = up.sk_dport
        connected = True
    if len(msg.msg_control) != 0:
        fl4.err = ip_cmsg_send(up, msg, ipc)
        if fl4.err < 0:
            return None
        connected = False
    if len(ipc.opt) == 0:
        ipc.opt = up.inet_opt
    saddr = ipc.addr
    faddr = daddr
    ipc.addr = daddr
    net = sock_net(up)
    scope: i64 = RT_SCOPE_UNIVERSE
    if len(ipc.opt) != 0:
        first_hop = ip_options_faddr(net, ipc.opt)
        if first_hop != 0:
            if daddr == 0:
                fl4.err = -EINVAL
                return None
            faddr = first_hop
            connected = False
    if sock_flag(up, SOCK_LOCALROUTE) or (msg.msg_flags & MSG_DONTROUTE) != 0:
        scope = RT_SCOPE_LINK
        connected = False
    if ipv4_is_multicast(daddr):
        if ipc.oif == 0:
            ipc.oif = up.mc_index
        if saddr == 0:
            saddr = up.mc_addr
        connected = False
    return udp_route_lookup(net, up, ipc, fl4, connected, scope, faddr, saddr, dport)


def udp_route_lookup(
    net: Net, up: UdpSock, ipc: IpcmCookie, fl4: Flowi4, connected: bool, scope: i64, faddr: i64, saddr: i64,
    dport: i64,
) -> Rtable | None:
    """The connected socket's cached route while it is good, else a look-up; fl4 and ipc.addr are completed."""
    tos: i64 = (ipc.tos if ipc.tos != -1 else up.tos) & IPTOS_RT_MASK
    if connected:
        dst = sk_dst_check(up, 0)
        if isinstance(dst, Rtable):
            flowi4_init_output(fl4, ipc.oif, ipc.mark, tos, scope, IPPROTO_UDP, 0, faddr, saddr, dport, up.inet_sport)
            return dst
    flags: i64 = FLOWI_FLAG_ANYSRC if up.transparent or up.hdrincl else 0
    flowi4_init_output(fl4, ipc.oif, ipc.mark, tos, scope, IPPROTO_UDP, flags, faddr, saddr, dport, up.inet_sport)
    rt = ip_route_output_flow(net, fl4, up)
    if rt is None:
        if fl4.err == -ENETUNREACH:
            NET_INC_STATS(net, IPSTATS_MIB_OUTNOROUTES)
        return None
    if (rt.rt_flags & RTCF_BROADCAST) != 0 and not sock_flag(up, SOCK_BROADCAST):
        fl4.err = -EACCES
        return None
    if connected:
        sk_dst_set(up, rt)
    if ipc.addr == 0:
        ipc.addr = fl4.daddr
    return rt


def dst_confirm_neigh(rt: Rtable, daddr: i64) -> None:
    """The program vouches for the next hop (MSG_CONFIRM).  Linux: include/net/dst.h, net/ipv4/route.c."""
    n = __ipv4_neigh_lookup_noref(rt.dev, rt_nexthop(rt, daddr))
    if n is not None:
        neigh_confirm(n)


def udp_append_data(
    up: UdpSock, fl4: Flowi4, msg: Msghdr, length: int, ipc: IpcmCookie, rt: Rtable | None, corkreq: bool,
) -> int:
    """Add msg to the datagram under construction; without corkreq that was its end, and it goes. sk is owned."""
    flags = msg.msg_flags | MSG_MORE if corkreq else msg.msg_flags
    ulen: i64 = length + UDP_HLEN if up.len == 0 else length  # the first piece brings the header's room
    up.len += ulen
    err = int(ip_append_data(up, fl4, msg, ulen, UDP_HLEN, ipc, rt, flags))
    if err != 0:
        udp_flush_pending_frames(up)
    elif not corkreq:
        err = udp_push_pending_frames(up)
    elif skb_queue_empty(up.sk_write_queue):
        up.pending = 0
    return err


def udp_flush_pending_frames(sk: Sock) -> None:
    """Throw away the datagram under construction.  Linux: net/ipv4/udp.c."""
    up = udp_sk(sk)
    if up.pending != 0:
        up.len = 0
        up.pending = 0
        ip_flush_pending_frames(sk)


def udp_push_pending_frames(sk: Sock) -> int:
    """Send the datagram under construction. 0 or a negative errno.  Linux: net/ipv4/udp.c."""
    up = udp_sk(sk)
    err = 0
    skb = ip_finish_skb(sk, up.cork_fl)
    if skb is not None:
        err = udp_send_skb(skb, up.cork_fl, up)
    up.len = 0
    up.pending = 0
    return err


def udp_send_skb(skb: SkBuff, fl4: Flowi4, up: UdpSock) -> int:
    """Fill in the UDP header of a complete datagram (data at the IP header) and send it. 0 or a negative errno.

    Linux: net/ipv4/udp.c.
    """
    net = sock_net(up)
    at = skb.transport_header
    length: i64 = skb.len - (at - skb.data)
    check: i64 = 0
    if up.sk_no_check_tx:
        skb.ip_summed = CHECKSUM_NONE
    elif skb.ip_summed == CHECKSUM_PARTIAL:
        udp4_hwcsum(skb, at)
        check = 0xFFFF - csum_tcpudp_magic(fl4.saddr, fl4.daddr, length, IPPROTO_UDP, 0)
    set_udp_header(skb, at, fl4.fl4_sport, fl4.fl4_dport, length, check)
    if not up.sk_no_check_tx and skb.ip_summed != CHECKSUM_PARTIAL:
        total = skb_checksum(skb, at - skb.data, length, 0)
        check = csum_tcpudp_magic(fl4.saddr, fl4.daddr, length, IPPROTO_UDP, total)
        set_udp_header(skb, at, fl4.fl4_sport, fl4.fl4_dport, length, check if check != 0 else 0xFFFF)  # 0 says: no checksum
    err = int(ip_send_skb(net, skb))
    if err != 0:
        if err == -ENOBUFS and not up.recverr:
            NET_INC_STATS(net, UDP_MIB_SNDBUFERRORS)
            err = 0
        return err
    NET_INC_STATS(net, UDP_MIB_OUTDATAGRAMS)
    return 0


def udp4_hwcsum(skb: SkBuff, at: i64) -> None:
    """Leave the checksum to the device.  Linux: net/ipv4/udp.c, for a datagram in one packet."""
    skb.csum_start = at
    skb.csum_offset = 6


def set_udp_header(skb: SkBuff, at: i64, sport: i64, dport: i64, length: i64, check: i64) -> None:
    """Write the header into the room that ip_make_skb left for it at byte `at` of head."""
    w = BytesWriter()
    put_be16(w, sport)
    put_be16(w, dport)
    put_be16(w, length)
    put_be16(w, check)
    head = skb.head
    skb.head = head[:at] + w.getvalue() + head[at + UDP_HLEN:]


# ------------------------------------------------------------------------------------------------------------ receiving

def __skb_recv_udp(sk: Sock, flags: int, off: i64, box: ErrBox) -> SkBuff | None:
    """The next datagram, waiting for it as flags and SO_RCVTIMEO say. None with box.err.  Linux: net/ipv4/udp.c."""
    timeo = sock_rcvtimeo(sk, (flags & MSG_DONTWAIT) != 0)
    queue = sk.sk_receive_queue
    while True:
        box.err = sock_error(sk)
        if box.err != 0:
            return None
        skb = __skb_try_recv_from_queue(sk, queue, flags, off, box)
        if skb is not None:
            return skb
        box.err = -EAGAIN
        if timeo == 0:
            return None
        timeo = __skb_wait_for_more_packets(sk, queue, box, timeo, skb_peek_tail(queue))
        if timeo < 0:
            return None


def udp_recvmsg(sk: Sock, msg: Msghdr, length: int, nonblock: bool, flags: int) -> int:
    """Receive one datagram into msg. Its bytes (with MSG_TRUNC its whole length), or a negative errno.

    Linux: net/ipv4/udp.c.
    """
    if (flags & MSG_ERRQUEUE) != 0:
        return int(ip_recv_error(sk, msg, length))
    if nonblock:
        flags |= MSG_DONTWAIT
    box = ErrBox()
    skb = udp_recv_datagram(sk, msg, length, flags, box)
    if skb is None:
        return box.err
    msg.msg_name = Sockaddr(AF_INET, skb.saddr, skb.sport)
    if inet_sk(sk).cmsg_flags != 0:
        ip_cmsg_recv(msg, sk, skb)
    skb_consume_udp(sk, skb, box.err, (flags & MSG_PEEK) != 0)
    return box.err


def udp_recv_datagram(sk: Sock, msg: Msghdr, length: int, flags: int, box: ErrBox) -> SkBuff | None:
    """What udp_recvmsg and udpv6_recvmsg share: the next datagram whose checksum is right, its payload put into msg.

    None with box.err, a negative errno; else box.err is what recvmsg returns.
    """
    peeking = (flags & MSG_PEEK) != 0
    while True:
        skb = __skb_recv_udp(sk, flags, sk_peek_offset(sk, flags), box)
        if skb is None:
            return None
        if not udp_lib_checksum_complete(skb):
            break
        if __sk_queue_drop_skb(sk, sk.sk_receive_queue, skb, flags) == 0:
            UDPX_INC_STATS(sock_net(sk), skb, UDP_MIB_INCSUMERRORS)
            UDPX_INC_STATS(sock_net(sk), skb, UDP_MIB_INERRORS)
        msg.msg_flags &= ~MSG_TRUNC  # a bad one: look for the next
    ulen: i64 = skb.len
    copied: i64 = length if length < ulen - box.off else ulen - box.off
    if copied < ulen - box.off:
        msg.msg_flags |= MSG_TRUNC
    if msg.fault != 0 and copied > 0:
        # the datagram is lost
        if not peeking:
            sk.sk_drops += 1
            UDPX_INC_STATS(sock_net(sk), skb, UDP_MIB_INERRORS)
        kfree_skb(skb)
        box.err = -EFAULT
        return None
    skb_copy_datagram_msg(skb, box.off, msg, copied)
    if not peeking:
        UDPX_INC_STATS(sock_net(sk), skb, UDP_MIB_INDATAGRAMS)
    sock_recv_cmsgs(msg, sk, skb)
    box.err = int(ulen) if (flags & MSG_TRUNC) != 0 else int(copied)
    return skb


def skb_consume_udp(sk: Sock, skb: SkBuff, length: int, peeking: bool) -> None:
    """The program has what it wanted of skb.  Linux: net/ipv4/udp.c."""
    if length >= 0:
        if peeking:
            sk_peek_offset_fwd(sk, length)
        else:
            sk_peek_offset_bwd(sk, length)
    consume_skb(skb)


def first_packet_length(sk: Sock) -> i64:
    """The payload of the first datagram with a right checksum, -1 where there is none; bad ones in front are dropped.

    Linux: net/ipv4/udp.c.
    """
    queue: SkBuffHead = sk.sk_receive_queue
    while True:
        skb = queue.next
        if skb is None:
            return -1
        if not udp_lib_checksum_complete(skb):
            return skb.len
        NET_INC_STATS(sock_net(sk), UDP_MIB_INCSUMERRORS)
        NET_INC_STATS(sock_net(sk), UDP_MIB_INERRORS)
        sk.sk_drops += 1
        __skb_unlink(skb, queue)
        kfree_skb(skb)


def udp_poll(file: File, sock: Socket, wait: PollTable | None) -> int:
    """The events of a UDP socket. A blocking one is not readable for a datagram that would be thrown away.

    Linux: net/ipv4/udp.c.
    """
    mask = datagram_poll(file, sock, wait)
    sk = sock.sk
    if (sk is not None and (mask & EPOLLRDNORM) != 0 and (file.f_flags & O_NONBLOCK) == 0
            and (sk.sk_shutdown & RCV_SHUTDOWN) == 0 and first_packet_length(sk) == -1):
        mask &= ~(EPOLLIN | EPOLLRDNORM)
    return mask


def udp_ioctl(sk: Sock, cmd: int) -> int:
    """SIOCOUTQ: bytes not yet sent; SIOCINQ: the first datagram's payload.  Linux: net/ipv4/udp.c."""
    if cmd == SIOCOUTQ:
        return int(sk.sk_wmem_alloc - 1)
    if cmd == SIOCINQ:
        first = first_packet_length(sk)
        return int(first) if first > 0 else 0
    return -ENOIOCTLCMD


# ------------------------------------------------------------------------------------------- disconnect, close, options

def inet_reset_saddr(sk: InetSock) -> None:
    """No address is ours in particular.  Linux: include/net/ip.h."""
    sk.inet_saddr = 0
    sk.sk_rcv_saddr = 0
    np = sk.pinet6
    if np is not None and sk.sk_family == AF_INET6:
        np.saddr = 0
        sk.sk_v6_rcv_saddr = 0


def __udp_disconnect(sk: Sock, flags: int) -> int:
    """Forget the peer, and what the program did not fix itself: address, port, device.

    A socket of AF_INET6 goes on to receive from its IPv6 peer alone (sk_v6_daddr stays), as was seen on Linux 6.18.
    Linux: net/ipv4/udp.c. RFC 1122, 4.1.3.5.
    """
    inet = inet_sk(sk)
    sk.sk_state = TCP_CLOSE
    inet.sk_daddr = 0
    inet.sk_dport = 0
    sk.sk_bound_dev_if = 0
    if (sk.sk_userlocks & SOCK_BINDADDR_LOCK) == 0:
        inet_reset_saddr(inet)
    if (sk.sk_userlocks & SOCK_BINDPORT_LOCK) == 0:
        sk.sk_prot.unhash(sk)
        inet.inet_sport = 0
    sk_dst_reset(sk)
    return 0


def udp_disconnect(sk: Sock, flags: int) -> int:
    """Linux: net/ipv4/udp.c."""
    lock_sock(sk)
    __udp_disconnect(sk, flags)
    release_sock(sk)
    return 0


def udp_destroy_sock(sk: Sock) -> None:
    """The socket ends: so does the datagram under construction.  Linux: net/ipv4/udp.c."""
    lock_sock(sk)
    udp_flush_pending_frames(sk)
    release_sock(sk)


def udp_lib_close(sk: Sock) -> None:
    """Linux: include/net/udp.h."""
    sk_common_release(sk)


def udp_setsockopt(sk: Sock, level: int, optname: int, optval: bytes) -> int:
    """UDP's options; other levels are IP's. 0 or a negative errno.  Linux: net/ipv4/udp.c."""
    if level != SOL_UDP:
        return int(ip_setsockopt(sk, level, optname, optval))
    return udp_lib_setsockopt(sk, optname, optval)


def udp_lib_setsockopt(sk: Sock, optname: int, optval: bytes) -> int:
    """UDP's own options: UDP_CORK, and UDP_NO_CHECK6_TX and _RX for IPv6 (RFC 6936).

    Linux: net/ipv4/udp.c, which is given push_pending_frames; here the socket's protocol knows it.
    """
    if len(optval) < 4:
        return -EINVAL
    up = udp_sk(sk)
    val = int_of(optval)
    if optname == UDP_CORK:
        up.corkflag = val != 0
        if val == 0:
            prot = sk.sk_prot
            lock_sock(sk)
            if isinstance(prot, UdpProt):
                prot.push_pending_frames(sk)
            release_sock(sk)
        return 0
    if optname == UDP_NO_CHECK6_TX:
        up.no_check6_tx = val != 0
        return 0
    if optname == UDP_NO_CHECK6_RX:
        up.no_check6_rx = val != 0
        return 0
    return -ENOPROTOOPT


def udp_getsockopt(sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
    """Linux: net/ipv4/udp.c."""
    if level != SOL_UDP:
        return ip_getsockopt(sk, level, optname, optlen)
    return udp_lib_getsockopt(sk, optname, optlen)


def udp_lib_getsockopt(sk: Sock, optname: int, optlen: int) -> OptResult:
    """See udp_lib_setsockopt.  Linux: net/ipv4/udp.c."""
    up = udp_sk(sk)
    if optlen < 0:
        return OptResult(-EINVAL, b'')
    if optname == UDP_CORK:
        on = up.corkflag
    elif optname == UDP_NO_CHECK6_TX:
        on = up.no_check6_tx
    elif optname == UDP_NO_CHECK6_RX:
        on = up.no_check6_rx
    else:
        return OptResult(-ENOPROTOOPT, b'')
    return OptResult(0, int_bytes(1 if on else 0)[:optlen])


# ------------------------------------------------------------------------------------------------------------- /proc/net/udp

def hex_addr(addr: i64) -> str:
    """An address as /proc/net shows it: the hexadecimal number that a little-endian machine sees in memory."""
    return int(addr).to_bytes(4, 'little').hex().upper()


def udp4_format_sock(sk: Sock, bucket: int) -> str:
    """One line of /proc/net/udp and, alike, /proc/net/raw.  Linux: net/ipv4/udp.c."""
    inet = inet_sk(sk)
    local = f'{hex_addr(inet.sk_rcv_saddr)}:{int(sk.sk_num):04X}'
    remote = f'{hex_addr(inet.sk_daddr)}:{int(inet.sk_dport):04X}'
    line = (f'{bucket:5d}: {local} {remote} {int(sk.sk_state):02X} {int(sk.sk_wmem_alloc - 1):08X}:{int(sk.sk_rmem_alloc):08X} '
            f'00:00000000 00000000     0        0 {int(sk.sk_ino)} {int(sk.sk_refcnt)} 0000000000000000 {int(sk.sk_drops)}')
    return f'{line:<127}\n'


def udp4_seq_show(net: Net) -> str:
    """The text of /proc/net/udp, in the order of ports.  Linux: net/ipv4/udp.c."""
    head = ('   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops')
    lines = [f'{head:<127}\n']
    for port in sorted(net.ipv4.udp_table):
        for sk in net.ipv4.udp_table[port]:
            if sk.sk_family != AF_INET:
                continue
            lines.append(udp4_format_sock(sk, port))
    return ''.join(lines)
