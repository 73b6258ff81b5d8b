# SPDX-License-Identifier: Apache-2.0
"""Ping sockets over IPv6: SOCK_DGRAM with IPPROTO_ICMPV6, for echo requests without the right to open a raw socket.

What is not here is net/ipv4/ping.py's: the table of identifiers (one of both families), the queue, who may have such a socket
(net.ipv4.ping_group_range). They speak no IPv4.
"""
from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from linnet.include.linux.icmpv6 import ICMPV6_ECHO_REQUEST
from linnet.include.linux.in6 import IPPROTO_ICMPV6
from linnet.include.linux.ipv6 import Ipv6Pinfo, ipv6_saddr
from linnet.include.linux.skbuff import SkBuff, skb_peek
from linnet.include.linux.socket import (
    AF_INET6,
    MSG_CONFIRM,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_OOB,
    MSG_PROBE,
    MSG_TRUNC,
    Msghdr,
    Sockaddr,
)
from linnet.include.linux.unaligned import get_be16, put_be16
from linnet.include.net.checksum import csum_partial
from linnet.include.net.dropreason import SKB_DROP_REASON_NO_SOCKET, SKB_DROP_REASON_SOCKET_RCVBUFF, SKB_NOT_DROPPED_YET
from linnet.include.net.flow import Flowi6
from linnet.include.net.inet_sock import InetSock, inet_sk
from linnet.include.net.ip6_fib import Rt6Info, inet6_iif
from linnet.include.net.ipv6 import (
    IPV6_ADDR_ANY,
    IPV6_ADDR_MAPPED,
    IPV6_ADDR_UNICAST,
    Ipcm6Cookie,
    csum_ipv6_magic,
    inet6_sk,
    ipv6_addr_is_multicast,
    ipv6_addr_needs_scope_id,
    ipv6_addr_type,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.protocol import PingCallbacks
from linnet.include.net.snmp import ICMP6_INC_STATS, ICMP6_MIB_OUTERRORS
from linnet.include.net.sock import OptResult, Sock, sock_net
from linnet.include.net.tcp_states import TCP_ESTABLISHED
from linnet.kernel.errno import EADDRNOTAVAIL, EAFNOSUPPORT, EDESTADDRREQ, EINVAL, ENODEV, EOPNOTSUPP
from linnet.kernel.slab import KmemCache
from linnet.net.core.datagram import ErrBox, skb_copy_datagram_msg, skb_free_datagram, skb_recv_datagram
from linnet.net.core.skbuff import skb_clone
from linnet.net.core.sock import lock_sock, release_sock
from linnet.net.core.sock_opts import sock_recv_cmsgs
from linnet.net.ipv4.ping import (
    ICMP_HLEN,
    PingProt,
    ping_bind_ident,
    ping_common_sendmsg,
    ping_queue_rcv_skb,
)
from linnet.net.ipv4.udp_rcv import skb_net
from linnet.net.ipv6.addrconf_saddr import ipv6_chk_addr
from linnet.net.ipv6.datagram import ip6_datagram_recv_ctl, ipv6_icmp_error, ipv6_recv_error
from linnet.net.ipv6.icmp import icmpv6_err_convert
from linnet.net.ipv6.ip6_output_append import ip6_append_data, ip6_flush_pending_frames, ip6_push_pending_frames
from linnet.net.ipv6.ipv6_sockglue import ipv6_getsockopt, ipv6_setsockopt
from linnet.net.ipv6.raw import rawv6_connect
from linnet.net.ipv6.udp import IPV6_SEQ_DGRAM_HEADER, datagram6_from, ip6_dgram_sock_seq_show
from linnet.net.ipv6.udp_flow import datagram6_ctl, datagram6_init, datagram6_name, datagram6_route, dst_confirm_neigh6

ICMPV6_EXT_ECHO_REQUEST: Final = 160
SIZEOF_PING6_SOCK: Final = 1152


class Pingv6SockCache(KmemCache):
    """The slab of ping sockets of AF_INET6."""

    def new(self) -> object:
        """See KmemCache."""
        return InetSock()


class Pingv6Prot(PingProt):
    """Linux: pingv6_prot. What is not here is ping_prot's."""

    def __init__(self, slab: KmemCache) -> None:
        super().__init__(slab, 'PINGv6')

    def connect(self, sk: Sock, uaddr: Sockaddr) -> int:
        """See rawv6_connect: a ping socket too speaks no IPv4."""
        return rawv6_connect(sk, uaddr)

    def setsockopt(self, sk: Sock, level: int, optname: int, optval: bytes) -> int:
        """IPv6's options."""
        return int(ipv6_setsockopt(sk, level, optname, optval))

    def getsockopt(self, sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
        """IPv6's options."""
        return ipv6_getsockopt(sk, level, optname, optlen)

    def sendmsg(self, sk: Sock, msg: Msghdr, size: int) -> int:
        """See ping_v6_sendmsg."""
        return ping_v6_sendmsg(sk, msg, size)

    def recvmsg(self, sk: Sock, msg: Msghdr, size: int, nonblock: bool, flags: int) -> int:
        """See ping_v6_recvmsg."""
        return ping_v6_recvmsg(sk, msg, size, nonblock, flags)

    def bind(self, sk: Sock, uaddr: Sockaddr) -> int:
        """See ping_v6_bind."""
        return ping_v6_bind(sk, uaddr)


class Pingv6IcmpCallbacks(PingCallbacks):
    """What ICMPv6 calls."""

    def ping_rcv(self, skb: SkBuff) -> i64:
        """See ping_v6_rcv."""
        return ping_v6_rcv(skb)

    def ping_err(self, skb: SkBuff, offset: i64, info: i64) -> None:
        """See ping_v6_err."""
        ping_v6_err(skb, offset, info)


def pingv6_init(net: Net) -> None:
    """Make pingv6_prot of one Net, and let ICMPv6 find it.  Linux: net/ipv6/ping.c."""
    caches = net.world.slab.caches
    slab = caches.get('PINGv6')
    if slab is None:
        slab = net.world.slab.register(Pingv6SockCache('PINGv6', SIZEOF_PING6_SOCK, net.world.trace))
    net.ipv6.pingv6_prot = Pingv6Prot(slab)
    net.ipv6.ping_callbacks = Pingv6IcmpCallbacks()


# ----------------------------------------------------------------------------------------------------- look-up and bind

def ping_v6_lookup(net: Net, daddr: int, dif: i64, ident: i64) -> Sock | None:
    """The socket of an identifier, for a message to daddr.  Linux: net/ipv4/ping.c, ping_lookup."""
    for sk in net.ipv4.ping_table.get(int(ident), []):
        if sk.sk_family != AF_INET6 or (sk.sk_v6_rcv_saddr != 0 and sk.sk_v6_rcv_saddr != daddr):
            continue
        if sk.sk_bound_dev_if != 0 and sk.sk_bound_dev_if != dif:
            continue
        return sk
    return None


def ping_v6_check_bind_addr(sk: Sock, uaddr: Sockaddr) -> int:
    """May sk be bound to this address? 0 or a negative errno.  Linux: net/ipv4/ping.c, ping_check_bind_addr."""
    if uaddr.sa_family != AF_INET6:
        return -EAFNOSUPPORT
    net = sock_net(sk)
    addr = uaddr.sin6_addr
    kind = ipv6_addr_type(addr)
    scoped = ipv6_addr_needs_scope_id(kind)
    if (kind != IPV6_ADDR_ANY and (kind & IPV6_ADDR_UNICAST) == 0) or (scoped and uaddr.sin6_scope_id == 0):
        return -EINVAL
    dev = None
    if uaddr.sin6_scope_id != 0:
        dev = net.dev_by_index.get(int(uaddr.sin6_scope_id))
        if dev is None:
            return -ENODEV
    inet = inet_sk(sk)
    nonlocal_bind = net.ipv6.sysctl_ip_nonlocal_bind != 0 or inet.freebind or inet.transparent
    if kind != IPV6_ADDR_ANY and not nonlocal_bind and not ipv6_chk_addr(net, addr, dev, scoped):
        return -EADDRNOTAVAIL
    return 0


def ping_v6_bind(sk: Sock, uaddr: Sockaddr) -> int:
    """Fix the local address and the identifier. 0 or a negative errno.  Linux: net/ipv4/ping.c, ping_bind."""
    inet = inet_sk(sk)
    lock_sock(sk)
    err = ping_v6_check_bind_addr(sk, uaddr)
    if err == 0 and sk.sk_num != 0:
        err = -EINVAL
    if err == 0:
        addr = uaddr.sin6_addr
        if ipv6_addr_needs_scope_id(ipv6_addr_type(addr)):
            sk.sk_bound_dev_if = uaddr.sin6_scope_id
        sk.sk_v6_rcv_saddr = addr
        inet6_sk(sk).saddr = addr
        err = ping_bind_ident(inet, uaddr.sin_port, addr != 0)
    release_sock(sk)
    return err


# ----------------------------------------------------------------------------------------------------- send and receive

def ping_v6_supported(type: i64, code: i64) -> bool:
    """Only echo requests may be sent.  Linux: net/ipv4/ping.c, ping_supported."""
    return (type == ICMPV6_ECHO_REQUEST or type == ICMPV6_EXT_ECHO_REQUEST) and code == 0


def ping_v6_sendmsg(sk: Sock, msg: Msghdr, length: int) -> int:
    """Send an echo request. Bytes, or a negative errno.  Linux: net/ipv6/ping.c."""
    inet = inet_sk(sk)
    np = inet6_sk(sk)
    err = ping_common_sendmsg(msg, length)
    if err != 0:
        return err
    data = msg.data[msg.offset:msg.offset + length]
    if not ping_v6_supported(i64(data[0]), i64(data[1])):
        return -EINVAL
    fl6 = Flowi6()
    fl6.fl6_icmp_type = i64(data[0])
    ipc6 = Ipcm6Cookie()
    rt = ping_v6_sendmsg_route(inet, np, msg, fl6, ipc6)
    if rt is None:
        return int(fl6.err)
    if (msg.msg_flags & MSG_CONFIRM) != 0:
        dst_confirm_neigh6(rt, fl6.daddr)
        if (msg.msg_flags & MSG_PROBE) != 0 and length == 0:
            return 0
    message = ping_v6_fill(data, inet.inet_sport, fl6)
    lock_sock(sk)
    err = int(ip6_append_data(inet, fl6, Msghdr(message[ICMP_HLEN:]), length, ICMP_HLEN, ipc6, rt, MSG_DONTWAIT))
    first = skb_peek(inet.sk_write_queue)
    if err != 0 or first is None:
        ICMP6_INC_STATS(sock_net(sk), ICMP6_MIB_OUTERRORS)
        ip6_flush_pending_frames(inet)
    else:
        first.head = message[:ICMP_HLEN]
        ip6_push_pending_frames(inet)
    release_sock(sk)
    return err if err < 0 else length


def ping_v6_fill(data: bytes, ident: i64, fl6: Flowi6) -> bytes:
    """The request with our identifier and its checksum.  Linux: net/ipv6/icmp.c, icmpv6_push_pending_frames."""
    w = BytesWriter()
    w.append(int(data[0]))
    w.append(0)
    put_be16(w, 0)
    put_be16(w, ident)
    w.write(data[6:])
    message = w.getvalue()
    check = csum_ipv6_magic(fl6.saddr, fl6.daddr, len(message), IPPROTO_ICMPV6, csum_partial(message, 0))
    return message[:2] + int(check).to_bytes(2, 'big') + message[4:]


def ping_v6_sendmsg_route(inet: InetSock, np: Ipv6Pinfo, msg: Msghdr, fl6: Flowi6, ipc6: Ipcm6Cookie) -> Rt6Info | None:
    """Where msg goes: fills fl6 and ipc6. None with fl6.err where it cannot go there."""
    datagram6_init(inet, np, fl6, ipc6, IPPROTO_ICMPV6)
    name = msg.msg_name
    if name is not None:
        if name.sa_family != AF_INET6:
            fl6.err = -EAFNOSUPPORT
            return None
        fl6.err = datagram6_name(np, inet, fl6, name)
        if fl6.err != 0:
            return None
    else:
        if inet.sk_state != TCP_ESTABLISHED:
            fl6.err = -EDESTADDRREQ
            return None
        fl6.daddr = inet.sk_v6_daddr
        fl6.flowlabel = np.flow_label
    multicast = ipv6_addr_is_multicast(fl6.daddr)
    oif = fl6.flowi6_oif
    if oif == 0:
        oif = inet.sk_bound_dev_if
    if oif == 0:
        oif = np.sticky_pktinfo_ifindex
    if oif == 0:
        oif = np.mcast_oif if multicast else np.ucast_oif
    kind = ipv6_addr_type(fl6.daddr)
    if (kind & IPV6_ADDR_MAPPED) != 0 or (ipv6_addr_needs_scope_id(kind) and oif == 0) or (
            oif != 0 and inet.sk_bound_dev_if != 0 and oif != inet.sk_bound_dev_if):
        fl6.err = -EINVAL
        return None
    fl6.flowi6_oif = oif
    fl6.err = datagram6_ctl(inet, np, msg, fl6, ipc6)
    if fl6.err < 0:
        return None
    return datagram6_route(inet, np, fl6, ipc6, False)


def ping_v6_recvmsg(sk: Sock, msg: Msghdr, length: int, nonblock: bool, flags: int) -> int:
    """Receive one reply from its ICMPv6 header on.  Linux: net/ipv4/ping.c, ping_recvmsg."""
    np = inet6_sk(sk)
    if (flags & MSG_OOB) != 0:
        return -EOPNOTSUPP
    if (flags & MSG_ERRQUEUE) != 0:
        return int(ipv6_recv_error(sk, msg, length))
    box = ErrBox()
    skb = skb_recv_datagram(sk, flags, nonblock, box)
    if skb is None:
        return box.err
    copied: i64 = skb.len
    if length < copied:
        msg.msg_flags |= MSG_TRUNC
        copied = length
    skb_copy_datagram_msg(skb, 0, msg, copied)
    sock_recv_cmsgs(msg, sk, skb)
    msg.msg_name = datagram6_from(skb, 0)
    if np.rxopt != 0:
        ip6_datagram_recv_ctl(sk, msg, skb)
    skb_free_datagram(sk, skb)
    return int(copied)


def ping_v6_rcv(skb: SkBuff) -> i64:
    """An echo reply (data at the ICMPv6 header): a clone of it for the socket whose identifier it bears.

    Linux: net/ipv4/ping.c, ping_rcv.
    """
    sk = ping_v6_lookup(skb_net(skb), skb.daddr6, inet6_iif(skb), get_be16(skb.head, skb.data + 4))
    if sk is None:
        return SKB_DROP_REASON_NO_SOCKET
    if ping_queue_rcv_skb(sk, skb_clone(skb)) != 0:
        return SKB_DROP_REASON_SOCKET_RCVBUFF
    return SKB_NOT_DROPPED_YET


def ping_v6_err(skb: SkBuff, offset: i64, info: i64) -> None:
    """An ICMPv6 error quotes an echo request of ours: data at the quoted IPv6 header, its ICMPv6 header `offset` behind it.

    What "packet too big" says of the path, icmpv6_err has noted; here it is no final error.
    Linux: net/ipv4/ping.c, ping_err.
    """
    quoted = skb.data + offset
    if quoted + ICMP_HLEN > len(skb.head) or not ping_v6_supported(i64(skb.head[quoted]), i64(skb.head[quoted + 1])):
        return
    sk = ping_v6_lookup(skb_net(skb), ipv6_saddr(skb.head, skb.data), inet6_iif(skb), get_be16(skb.head, quoted + 4))
    if sk is None:
        return
    np = inet6_sk(sk)
    type = i64(skb.head[skb.transport_header])
    verdict = icmpv6_err_convert(type, i64(skb.head[skb.transport_header + 1]))
    err = verdict & 0xFFFF
    harderr = (verdict >> 16) != 0
    if np.recverr:
        ipv6_icmp_error(sk, skb, err, 0, info, quoted)
    elif not harderr or sk.sk_state != TCP_ESTABLISHED:
        return
    sk.sk_err = err
    sk.sk_cb.error_report(sk)


def ping_v6_seq_show(net: Net) -> str:
    """The text of /proc/net/icmp6, in the order of identifiers.  Linux: net/ipv6/ping.c."""
    lines = [IPV6_SEQ_DGRAM_HEADER]
    for ident in sorted(net.ipv4.ping_table):
        for sk in net.ipv4.ping_table[ident]:
            if sk.sk_family == AF_INET6:
                lines.append(ip6_dgram_sock_seq_show(sk, sk.sk_num, sk.sk_dport, ident))
    return ''.join(lines)
