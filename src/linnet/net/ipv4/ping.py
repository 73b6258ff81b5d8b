# SPDX-License-Identifier: Apache-2.0
"""Ping sockets: SOCK_DGRAM with IPPROTO_ICMP, for echo requests without the right to open a raw socket.

The program writes an ICMP echo request, header included; the socket's port is its identifier, which is put into the
header, and the checksum is computed here. Replies with that identifier come back from the ICMP header on.
net.ipv4.ping_group_range says which groups may. Net.ipv4.ping_table holds the sockets of both families by identifier: an
identifier is one of both (net/ipv6/ping.py has what differs for ICMPv6).
"""
from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from linnet.include.linux.inet import IP_PMTUDISC_DONT, IPPROTO_ICMP
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import (
    AF_INET,
    AF_INET6,
    AF_UNSPEC,
    MSG_CONFIRM,
    MSG_ERRQUEUE,
    MSG_OOB,
    MSG_PROBE,
    MSG_TRUNC,
    Msghdr,
    Sockaddr,
)
from linnet.include.linux.unaligned import get_be16, put_be16
from linnet.include.net.checksum import csum_fold, csum_partial
from linnet.include.net.dropreason import SKB_DROP_REASON_NO_SOCKET, SKB_DROP_REASON_SOCKET_RCVBUFF, SKB_NOT_DROPPED_YET
from linnet.include.net.flow import Flowi4
from linnet.include.net.inet_sock import InetSock, inet_sk
from linnet.include.net.ip import IpcmCookie, ipcm_init_sk
from linnet.include.net.ip_fib import RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST
from linnet.include.net.net_namespace import Net
from linnet.include.net.protocol import PingCallbacks
from linnet.include.net.sock import (
    SOCK_BINDADDR_LOCK,
    SOCK_BINDPORT_LOCK,
    OptResult,
    Proto,
    Sock,
    sock_net,
)
from linnet.include.net.tcp_states import TCP_ESTABLISHED
from linnet.kernel.errno import (
    EACCES,
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EHOSTUNREACH,
    EINVAL,
    EMSGSIZE,
    EOPNOTSUPP,
    EPROTO,
)
from linnet.kernel.slab import KmemCache
from linnet.net.core.datagram import ErrBox, skb_copy_datagram_msg, skb_free_datagram, skb_recv_datagram
from linnet.net.core.skbuff import kfree_skb_reason, skb_clone
from linnet.net.core.sock import lock_sock, release_sock, sk_common_release, sk_dst_reset, sock_queue_rcv_skb
from linnet.net.core.sock_opts import sock_recv_cmsgs
from linnet.net.ipv4.datagram import ip4_datagram_connect
from linnet.net.ipv4.fib_frontend import inet_addr_type
from linnet.net.ipv4.icmp import icmp_err_convert
from linnet.net.ipv4.ip_sockglue import ip_cmsg_recv, ip_getsockopt, ip_icmp_error, ip_recv_error, ip_setsockopt
from linnet.net.ipv4.raw import datagram_append, datagram_route
from linnet.net.ipv4.route import ipv4_sk_redirect, ipv4_sk_update_pmtu
from linnet.net.ipv4.udp import __udp_disconnect, dst_confirm_neigh, inet_reset_saddr
from linnet.net.ipv4.udp_rcv import (
    ICMP_DEST_UNREACH,
    ICMP_FRAG_NEEDED,
    ICMP_PARAMETERPROB,
    ICMP_REDIRECT,
    ICMP_SOURCE_QUENCH,
    NR_ICMP_UNREACH,
    skb_net,
    udp_skb_iif,
)

ICMP_HLEN: Final = 8
ICMP_ECHO: Final = 8
SIZEOF_INET_SOCK: Final = 984


class PingSockCache(KmemCache):
    """The slab of ping sockets."""

    def new(self) -> object:
        """See KmemCache."""
        return InetSock()


class PingProt(Proto):
    """Linux: ping_prot."""

    def __init__(self, slab: KmemCache, name: str = 'PING') -> None:
        super().__init__(name, slab)

    def init(self, sk: Sock) -> int:
        """See ping_init_sock."""
        return ping_init_sock(sk)

    def close(self, sk: Sock, timeout: i64) -> None:
        """See ping_close."""
        ping_close(sk)

    def destroy(self, sk: Sock) -> None:
        """Nothing is under construction in a ping socket."""
        return

    def connect(self, sk: Sock, uaddr: Sockaddr) -> int:
        """See ip4_datagram_connect."""
        return ip4_datagram_connect(sk, uaddr)

    def disconnect(self, sk: Sock, flags: int) -> int:
        """See ping_disconnect."""
        return ping_disconnect(sk, flags)

    def setsockopt(self, sk: Sock, level: int, optname: int, optval: bytes) -> int:
        """IP's options."""
        return int(ip_setsockopt(sk, level, optname, optval))

    def getsockopt(self, sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
        """IP's options."""
        return ip_getsockopt(sk, level, optname, optlen)

    def sendmsg(self, sk: Sock, msg: Msghdr, size: int) -> int:
        """See ping_v4_sendmsg."""
        return ping_v4_sendmsg(sk, msg, size)

    def recvmsg(self, sk: Sock, msg: Msghdr, size: int, nonblock: bool, flags: int) -> int:
        """See ping_recvmsg."""
        return ping_recvmsg(sk, msg, size, nonblock, flags)

    def bind(self, sk: Sock, uaddr: Sockaddr) -> int:
        """See ping_bind."""
        return ping_bind(sk, uaddr)

    def backlog_rcv(self, sk: Sock, skb: SkBuff) -> int:
        """See ping_queue_rcv_skb."""
        return ping_queue_rcv_skb(sk, skb)

    def unhash(self, sk: Sock) -> None:
        """See ping_unhash."""
        ping_unhash(sk)

    def get_port(self, sk: Sock, snum: i64) -> int:
        """See ping_get_port."""
        return ping_get_port(sk, snum)


class PingIcmpCallbacks(PingCallbacks):
    """What ICMP calls."""

    def ping_rcv(self, skb: SkBuff) -> i64:
        """See ping_rcv."""
        return ping_rcv(skb)

    def ping_err(self, skb: SkBuff, offset: i64, info: i64) -> None:
        """See ping_err."""
        ping_err(skb, offset, info)


def ping_init(net: Net) -> None:
    """Make ping_prot of one Net, and let ICMP find it.  Linux: net/ipv4/ping.c."""
    caches = net.world.slab.caches
    slab = caches.get('PING')
    if slab is None:
        slab = net.world.slab.register(PingSockCache('PING', SIZEOF_INET_SOCK, net.world.trace))
    net.ipv4.ping_prot = PingProt(slab)
    net.ipv4.ping_callbacks = PingIcmpCallbacks()


# ------------------------------------------------------------------------------------------------------------ the table

def ping_init_sock(sk: Sock) -> int:
    """May this program have a ping socket? Programs here run in group 0. 0 or -EACCES.  Linux: net/ipv4/ping.c."""
    group_range = sock_net(sk).ipv4.sysctl_ping_group_range
    return 0 if group_range[0] <= 0 <= group_range[1] else -EACCES


def ping_ident_free(sk: Sock, ident: i64) -> bool:
    """May sk have this identifier?"""
    for sk2 in sock_net(sk).ipv4.ping_table.get(int(ident), []):
        if sk2 is not sk and (sk2.sk_reuse == 0 or sk.sk_reuse == 0):
            return False
    return True


def ping_get_port(sk: Sock, ident: i64) -> int:
    """Take identifier ident, 0: a free one. 0, or 1 where it is in use.  Linux: net/ipv4/ping.c."""
    table = sock_net(sk).ipv4.ping_table
    if ident == 0:
        start: i64 = sock_net(sk).random.u32() & 0xFFFF
        tries: i64 = 0
        while tries < 65536:
            candidate: i64 = (start + tries) & 0xFFFF
            if candidate != 0 and int(candidate) not in table:
                ident = candidate
                break
            tries += 1
        if ident == 0:
            return 1
    elif not ping_ident_free(sk, ident):
        return 1
    sk.sk_num = ident
    if not sk.sk_hashed:
        table.setdefault(int(ident), []).insert(0, sk)
        sk.sk_hashed = True
        sk.sk_refcnt += 1
    return 0


def ping_unhash(sk: Sock) -> None:
    """Linux: net/ipv4/ping.c."""
    if sk.sk_hashed:
        table = sock_net(sk).ipv4.ping_table
        chain = table[int(sk.sk_num)]
        chain.remove(sk)
        if not chain:
            del table[int(sk.sk_num)]
        sk.sk_hashed = False
        sk.sk_num = 0
        inet_sk(sk).inet_sport = 0
        sk.sk_refcnt -= 1


def ping_lookup(net: Net, skb: SkBuff, ident: i64) -> Sock | None:
    """The socket of an identifier, for an IPv4 message to skb.daddr.  Linux: net/ipv4/ping.c."""
    dif = udp_skb_iif(skb)
    for sk in net.ipv4.ping_table.get(int(ident), []):
        if sk.sk_family != AF_INET:
            continue
        if sk.sk_rcv_saddr != 0 and sk.sk_rcv_saddr != skb.daddr:
            continue
        if sk.sk_bound_dev_if != 0 and sk.sk_bound_dev_if != dif:
            continue
        return sk
    return None


def ping_check_bind_addr(sk: Sock, uaddr: Sockaddr) -> int:
    """Linux: net/ipv4/ping.c."""
    if uaddr.sa_family != AF_INET and not (uaddr.sa_family == AF_UNSPEC and uaddr.sin_addr == 0):
        return -EAFNOSUPPORT
    if uaddr.sin_addr == 0:
        return 0
    inet = inet_sk(sk)
    kind = inet_addr_type(sock_net(sk), uaddr.sin_addr)
    if kind == RTN_MULTICAST or kind == RTN_BROADCAST:
        return -EADDRNOTAVAIL
    if kind == RTN_LOCAL or inet.freebind or inet.transparent or sock_net(sk).ipv4.sysctl_ip_nonlocal_bind != 0:
        return 0
    return -EADDRNOTAVAIL


def ping_bind(sk: Sock, uaddr: Sockaddr) -> int:
    """Fix the local address and the identifier. 0 or a negative errno.  Linux: net/ipv4/ping.c."""
    inet = inet_sk(sk)
    lock_sock(sk)
    err = ping_check_bind_addr(sk, uaddr)
    if err == 0 and sk.sk_num != 0:
        err = -EINVAL
    if err == 0:
        inet.sk_rcv_saddr = uaddr.sin_addr
        inet.inet_saddr = uaddr.sin_addr
        err = ping_bind_ident(inet, uaddr.sin_port, uaddr.sin_addr != 0)
    release_sock(sk)
    return err


def ping_bind_ident(inet: InetSock, ident: i64, has_addr: bool) -> int:
    """The second half of a bind: the identifier. The address is given back where there is none. 0 or -EADDRINUSE."""
    if ping_get_port(inet, ident) != 0:
        inet_reset_saddr(inet)
        return -EADDRINUSE
    if has_addr:
        inet.sk_userlocks |= SOCK_BINDADDR_LOCK
    if ident != 0:
        inet.sk_userlocks |= SOCK_BINDPORT_LOCK
    inet.inet_sport = inet.sk_num
    inet.sk_daddr = 0
    inet.sk_dport = 0
    if inet.sk_family == AF_INET6:
        inet.sk_v6_daddr = 0
    sk_dst_reset(inet)
    return 0


def ping_disconnect(sk: Sock, flags: int) -> int:
    """Linux: net/ipv4/udp.c (ping_prot uses __udp_disconnect)."""
    return __udp_disconnect(sk, flags)


def ping_close(sk: Sock) -> None:
    """Linux: net/ipv4/ping.c."""
    sk_common_release(sk)


# ----------------------------------------------------------------------------------------------------- send and receive

def ping_supported(type: i64, code: i64) -> bool:
    """Only echo requests may be sent.  Linux: net/ipv4/ping.c."""
    return type == ICMP_ECHO and code == 0


def ping_common_sendmsg(msg: Msghdr, length: int) -> int:
    """What may not be sent by a ping socket of either family: 0 or a negative errno.  Linux: net/ipv4/ping.c."""
    if length > 0xFFFF:
        return -EMSGSIZE
    if length < ICMP_HLEN:
        return -EINVAL
    if (msg.msg_flags & MSG_OOB) != 0:
        return -EOPNOTSUPP
    return 0


def ping_v4_sendmsg(sk: Sock, msg: Msghdr, length: int) -> int:
    """Send an echo request. Bytes, or a negative errno.  Linux: net/ipv4/ping.c, with ping_common_sendmsg."""
    inet = inet_sk(sk)
    err = ping_common_sendmsg(msg, length)
    if err != 0:
        return err
    data = msg.data[msg.offset:msg.offset + length]
    if not ping_supported(i64(data[0]), i64(data[1])):
        return -EINVAL
    ipc = IpcmCookie()
    ipcm_init_sk(ipc, inet)
    fl4 = Flowi4()
    rt = datagram_route(inet, msg, ipc, fl4, IPPROTO_ICMP, False)
    if rt is None:
        return int(fl4.err)
    if (msg.msg_flags & MSG_CONFIRM) != 0:
        dst_confirm_neigh(rt, fl4.daddr)
        if (msg.msg_flags & MSG_PROBE) != 0 and length == 0:
            return 0
    filled = Msghdr(ping_fill(data, inet.inet_sport), msg.msg_flags)
    err = datagram_append(inet, fl4, filled, length, ipc, rt)
    return err if err < 0 else length


def ping_fill(data: bytes, ident: i64) -> bytes:
    """The request with our identifier and its checksum."""
    w = BytesWriter()
    put_be16(w, ICMP_ECHO << 8)
    put_be16(w, 0)
    put_be16(w, ident)
    w.write(data[6:])
    message = w.getvalue()
    check = csum_fold(csum_partial(message, 0))
    return message[:2] + int(check).to_bytes(2, 'big') + message[4:]


def ping_recvmsg(sk: Sock, msg: Msghdr, length: int, nonblock: bool, flags: int) -> int:
    """Receive one reply from its ICMP header on.  Linux: net/ipv4/ping.c, which serves ICMPv6 too."""
    if (flags & MSG_OOB) != 0:
        return -EOPNOTSUPP
    if (flags & MSG_ERRQUEUE) != 0:
        return int(ip_recv_error(sk, msg, length))
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
    msg.msg_name = Sockaddr(AF_INET, skb.saddr, 0)
    if inet_sk(sk).cmsg_flags != 0:
        ip_cmsg_recv(msg, sk, skb)
    skb_free_datagram(sk, skb)
    return int(copied)


def ping_queue_rcv_skb(sk: Sock, skb: SkBuff) -> int:
    """Linux: net/ipv4/ping.c."""
    if sock_queue_rcv_skb(sk, skb) < 0:
        kfree_skb_reason(skb, SKB_DROP_REASON_SOCKET_RCVBUFF)
        return -1
    return 0


def ping_rcv(skb: SkBuff) -> i64:
    """An echo reply (data at the ICMP header): a clone of it for the socket whose identifier it bears.

    Linux: net/ipv4/ping.c.
    """
    sk = ping_lookup(skb_net(skb), skb, get_be16(skb.head, skb.data + 4))
    if sk is None:
        return SKB_DROP_REASON_NO_SOCKET
    if ping_queue_rcv_skb(sk, skb_clone(skb)) != 0:
        return SKB_DROP_REASON_SOCKET_RCVBUFF
    return SKB_NOT_DROPPED_YET


def ping_err(skb: SkBuff, offset: i64, info: i64) -> None:
    """An ICMP error quotes an echo request of ours: data at the quoted IP header, its ICMP header `offset` behind it.

    Linux: net/ipv4/ping.c.
    """
    quoted = skb.data + offset
    if quoted + ICMP_HLEN > len(skb.head) or not ping_supported(i64(skb.head[quoted]), i64(skb.head[quoted + 1])):
        return
    sk = ping_lookup(skb_net(skb), skb, get_be16(skb.head, quoted + 4))
    if sk is None:
        return
    inet = inet_sk(sk)
    type = i64(skb.head[skb.transport_header])
    code = i64(skb.head[skb.transport_header + 1])
    err: i64 = EHOSTUNREACH
    harderr = False
    if type == ICMP_SOURCE_QUENCH:
        return
    if type == ICMP_PARAMETERPROB:
        err = EPROTO
        harderr = True
    elif type == ICMP_REDIRECT:
        ipv4_sk_redirect(skb, sk)
        err = 0
    elif type == ICMP_DEST_UNREACH:
        if code == ICMP_FRAG_NEEDED:
            ipv4_sk_update_pmtu(skb, sk, info)
            if inet.pmtudisc == IP_PMTUDISC_DONT:
                return
            err = EMSGSIZE
            harderr = True
        elif code <= NR_ICMP_UNREACH:
            verdict = icmp_err_convert(code)
            err = verdict & 0xFFFF
            harderr = (verdict >> 16) != 0
    if inet.recverr:
        ip_icmp_error(sk, skb, err, 0, info, quoted)
    elif not harderr or sk.sk_state != TCP_ESTABLISHED:
        return
    sk.sk_err = err
    sk.sk_cb.error_report(sk)
