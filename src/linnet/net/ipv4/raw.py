# SPDX-License-Identifier: Apache-2.0
"""Raw sockets: IP datagrams of one protocol as they are, header included on receipt, and on sending where
IP_HDRINCL says so.

Every raw socket that matches (protocol, local and peer address, device) gets a clone of every datagram, before the
protocol's own handler sees it; an ICMP_FILTER keeps types away. Net.ipv4.raw_v4_hash holds the sockets by protocol.
"""
from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from linnet.include.linux.inet import IP_PMTUDISC_DONT, IPPROTO_ICMP, IPPROTO_RAW, ipv4_is_multicast
from linnet.include.linux.ip import ip_daddr, ip_fast_csum, ip_id, ip_ihl, ip_protocol, ip_saddr, ip_tos, ip_ttl
from linnet.include.linux.netfilter import NF_INET_LOCAL_OUT, NFPROTO_IPV4, nf_hook
from linnet.include.linux.skbuff import CHECKSUM_NONE, SkBuff
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
    MSG_PROBE,
    MSG_TRUNC,
    SIOCINQ,
    SIOCOUTQ,
    SOL_RAW,
    Msghdr,
    Sockaddr,
)
from linnet.include.linux.unaligned import put_be16, put_be32
from linnet.include.net.dropreason import SKB_DROP_REASON_IP_INHDR, SKB_DROP_REASON_SOCKET_RCVBUFF
from linnet.include.net.dst import dst_output_sk
from linnet.include.net.flow import FLOWI_FLAG_ANYSRC, FLOWI_FLAG_KNOWN_NH, Flowi4, flowi4_init_output
from linnet.include.net.inet_sock import InetSock, RawSock, inet_sk, raw_sk
from linnet.include.net.ip import IpcmCookie, ipcm_init_sk
from linnet.include.net.ip_fib import RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST
from linnet.include.net.net_namespace import Net
from linnet.include.net.protocol import RawCallbacks
from linnet.include.net.route import IPTOS_RT_MASK, RTCF_BROADCAST, Rtable
from linnet.include.net.sock import SOCK_BROADCAST, SOCK_LOCALROUTE, OptResult, Proto, Sock, sock_flag, sock_net
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_ESTABLISHED
from linnet.kernel.errno import (
    EACCES,
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EDESTADDRREQ,
    EHOSTUNREACH,
    EINVAL,
    EMSGSIZE,
    ENOBUFS,
    ENOIOCTLCMD,
    ENOPROTOOPT,
    EOPNOTSUPP,
    EPROTO,
)
from linnet.kernel.slab import KmemCache
from linnet.net.core.datagram import ErrBox, skb_copy_datagram_msg, skb_free_datagram, skb_recv_datagram
from linnet.net.core.skbuff import kfree_skb_reason, pskb_may_pull, skb_clone
from linnet.net.core.sock import (
    lock_sock,
    release_sock,
    sk_common_release,
    sk_dst_reset,
    sock_alloc_send_skb,
    sock_queue_rcv_skb,
)
from linnet.net.core.sock_opts import sock_recv_cmsgs
from linnet.net.ipv4.datagram import ip4_datagram_connect
from linnet.net.ipv4.fib_frontend import inet_addr_type
from linnet.net.ipv4.icmp import icmp_err_convert
from linnet.net.ipv4.ip_options import ip_options_faddr
from linnet.net.ipv4.ip_output_append import (
    icmp_out_count,
    ip_append_data,
    ip_flush_pending_frames,
    ip_push_pending_frames,
)
from linnet.net.ipv4.ip_output_local import ip_select_ident
from linnet.net.ipv4.ip_sockglue import (
    ip_cmsg_recv,
    ip_cmsg_send,
    ip_getsockopt,
    ip_icmp_error,
    ip_local_error,
    ip_recv_error,
    ip_setsockopt,
)
from linnet.net.ipv4.route import ip_route_output_flow, ipv4_sk_redirect, ipv4_sk_update_pmtu
from linnet.net.ipv4.udp import __udp_disconnect, dst_confirm_neigh, udp4_format_sock
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

ICMP_FILTER: Final = 1
SIZEOF_RAW_SOCK: Final = 1088


class RawSockCache(KmemCache):
    """The slab of raw sockets."""

    def new(self) -> object:
        """See KmemCache."""
        return RawSock()


class RawProt(Proto):
    """Linux: raw_prot."""

    def __init__(self, slab: KmemCache, name: str = 'RAW') -> None:
        super().__init__(name, slab)

    def close(self, sk: Sock, timeout: i64) -> None:
        """See raw_close."""
        raw_close(sk)

    def destroy(self, sk: Sock) -> None:
        """See raw_destroy."""
        raw_destroy(sk)

    def connect(self, sk: Sock, uaddr: Sockaddr) -> int:
        """See ip4_datagram_connect."""
        return ip4_datagram_connect(sk, uaddr)

    def disconnect(self, sk: Sock, flags: int) -> int:
        """See raw_disconnect."""
        return raw_disconnect(sk, flags)

    def ioctl(self, sk: Sock, cmd: int, arg: int) -> int:
        """See raw_ioctl."""
        return raw_ioctl(sk, cmd)

    def init(self, sk: Sock) -> int:
        """See raw_sk_init."""
        return raw_sk_init(sk)

    def setsockopt(self, sk: Sock, level: int, optname: int, optval: bytes) -> int:
        """See raw_setsockopt."""
        return raw_setsockopt(sk, level, optname, optval)

    def getsockopt(self, sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
        """See raw_getsockopt."""
        return raw_getsockopt(sk, level, optname, optlen)

    def sendmsg(self, sk: Sock, msg: Msghdr, size: int) -> int:
        """See raw_sendmsg."""
        return raw_sendmsg(sk, msg, size)

    def recvmsg(self, sk: Sock, msg: Msghdr, size: int, nonblock: bool, flags: int) -> int:
        """See raw_recvmsg."""
        return raw_recvmsg(sk, msg, size, nonblock, flags)

    def bind(self, sk: Sock, uaddr: Sockaddr) -> int:
        """See raw_bind."""
        return raw_bind(sk, uaddr)

    def backlog_rcv(self, sk: Sock, skb: SkBuff) -> int:
        """See raw_rcv_skb."""
        return raw_rcv_skb(sk, skb)

    def hash(self, sk: Sock) -> int:
        """See raw_hash_sk."""
        return raw_hash_sk(sk)

    def unhash(self, sk: Sock) -> None:
        """See raw_unhash_sk."""
        raw_unhash_sk(sk)


class RawIpCallbacks(RawCallbacks):
    """What IP's input calls."""

    def raw_local_deliver(self, skb: SkBuff, protocol: i64) -> bool:
        """See raw_local_deliver."""
        return raw_local_deliver(skb, protocol)

    def raw_icmp_error(self, skb: SkBuff, protocol: i64, info: i64) -> None:
        """See raw_icmp_error."""
        raw_icmp_error(skb, protocol, info)


def raw_init(net: Net) -> None:
    """Make raw_prot of one Net, and let IP's input find it.  Linux: net/ipv4/raw.c."""
    caches = net.world.slab.caches
    slab = caches.get('RAW')
    if slab is None:
        slab = net.world.slab.register(RawSockCache('RAW', SIZEOF_RAW_SOCK, net.world.trace))
    net.ipv4.raw_prot = RawProt(slab)
    net.ipv4.raw_callbacks = RawIpCallbacks()


# ------------------------------------------------------------------------------------------------------------ the table

def raw_hash(sk: Sock) -> dict[int, list[Sock]]:
    """The table of sk's family.  Linux: sk->sk_prot->h.raw_hash."""
    net = sock_net(sk)
    return net.ipv6.raw_v6_hash if sk.sk_family == AF_INET6 else net.ipv4.raw_v4_hash


def raw_hash_sk(sk: Sock) -> int:
    """Enter sk under its protocol.  Linux: net/ipv4/raw.c."""
    if not sk.sk_hashed:
        raw_hash(sk).setdefault(int(sk.sk_num), []).append(sk)
        sk.sk_hashed = True
        sk.sk_refcnt += 1
    return 0


def raw_unhash_sk(sk: Sock) -> None:
    """Linux: net/ipv4/raw.c."""
    if sk.sk_hashed:
        table = raw_hash(sk)
        chain = table[int(sk.sk_num)]
        chain.remove(sk)
        if not chain:
            del table[int(sk.sk_num)]
        sk.sk_hashed = False
        sk.sk_refcnt -= 1


def raw_v4_match(sk: Sock, num: i64, raddr: i64, laddr: i64, dif: i64) -> bool:
    """Does sk want protocol num from raddr to laddr on device dif?  Linux: net/ipv4/raw.c."""
    return (sk.sk_num == num and (sk.sk_daddr == 0 or sk.sk_daddr == raddr)
            and (sk.sk_rcv_saddr == 0 or sk.sk_rcv_saddr == laddr)
            and (sk.sk_bound_dev_if == 0 or sk.sk_bound_dev_if == dif))


# ------------------------------------------------------------------------------------------------------------ receiving

def icmp_filter(sk: Sock, skb: SkBuff) -> bool:
    """Does sk's ICMP_FILTER keep this message away? data is at the ICMP header.  Linux: net/ipv4/raw.c."""
    if not pskb_may_pull(skb, 1):
        return True
    type = i64(skb.head[skb.data])
    return type < 32 and (raw_sk(sk).filter & (1 << type)) != 0


def raw_local_deliver(skb: SkBuff, protocol: i64) -> bool:
    """Give every raw socket that matches a clone. True where there was one.  Linux: net/ipv4/raw.c."""
    dev = skb.dev
    if dev is None:
        return False
    chain = dev.net.ipv4.raw_v4_hash.get(int(protocol))
    if chain is None:
        return False
    return raw_v4_input(chain, skb, protocol)


def raw_v4_input(chain: list[Sock], skb: SkBuff, protocol: i64) -> bool:
    """Linux: net/ipv4/raw.c."""
    dif = udp_skb_iif(skb)
    delivered = False
    for sk in list(chain):
        if not raw_v4_match(sk, protocol, skb.saddr, skb.daddr, dif):
            continue
        if sk.sk_rmem_alloc >= sk.sk_rcvbuf:
            sk.sk_drops += 1
            continue
        delivered = True
        if protocol != IPPROTO_ICMP or not icmp_filter(sk, skb):
            raw_rcv(sk, skb_clone(skb))
    return delivered


def raw_rcv(sk: Sock, skb: SkBuff) -> int:
    """Queue skb on sk, from the IP header on; owns skb.  Linux: net/ipv4/raw.c."""
    back: i64 = skb.data - skb.network_header
    skb.data -= back
    skb.len += back
    return raw_rcv_skb(sk, skb)


def raw_rcv_skb(sk: Sock, skb: SkBuff) -> int:
    """Linux: net/ipv4/raw.c."""
    if sock_queue_rcv_skb(sk, skb) < 0:
        kfree_skb_reason(skb, SKB_DROP_REASON_SOCKET_RCVBUFF)
        return 1
    return 0


def raw_icmp_error(skb: SkBuff, protocol: i64, info: i64) -> None:
    """An ICMP error quotes a datagram of `protocol` (data at the quoted IP header): tell who may have sent it.

    Linux: net/ipv4/raw.c.
    """
    chain = skb_net(skb).ipv4.raw_v4_hash.get(int(protocol))
    if chain is None:
        return
    at = skb.data
    raddr = ip_daddr(skb.head, at)
    laddr = ip_saddr(skb.head, at)
    dif = udp_skb_iif(skb)
    for sk in list(chain):
        if raw_v4_match(sk, protocol, raddr, laddr, dif):
            raw_err(sk, skb, info)


def raw_err(sk: Sock, skb: SkBuff, info: i64) -> None:
    """Report on a raw socket that asked for errors (IP_RECVERR), or is connected and the error final.

    Linux: net/ipv4/raw.c.
    """
    inet = inet_sk(sk)
    icmph = skb.transport_header
    type = i64(skb.head[icmph])
    code = i64(skb.head[icmph + 1])
    if type == ICMP_DEST_UNREACH and code == ICMP_FRAG_NEEDED:
        ipv4_sk_update_pmtu(skb, sk, info)
    elif type == ICMP_REDIRECT:
        ipv4_sk_redirect(skb, sk)
        return
    if type == ICMP_SOURCE_QUENCH or (not inet.recverr and sk.sk_state != TCP_ESTABLISHED):
        return
    err: i64 = EHOSTUNREACH
    harderr = False
    if type == ICMP_PARAMETERPROB:
        err = EPROTO
        harderr = True
    elif type == ICMP_DEST_UNREACH and code <= NR_ICMP_UNREACH:
        if code == ICMP_FRAG_NEEDED:
            harderr = inet.pmtudisc != IP_PMTUDISC_DONT
            err = EMSGSIZE
        else:
            verdict = icmp_err_convert(code)
            err = verdict & 0xFFFF
            harderr = (verdict >> 16) != 0
    if inet.recverr:
        payload: i64 = skb.data if inet.hdrincl else skb.data + ip_ihl(skb.head, skb.data)
        ip_icmp_error(sk, skb, err, 0, info, payload)
    if inet.recverr or harderr:
        sk.sk_err = err
        sk.sk_cb.error_report(sk)


def raw_recvmsg(sk: Sock, msg: Msghdr, length: int, nonblock: bool, flags: int) -> int:
    """Receive one datagram with its IP header.  Linux: net/ipv4/raw.c."""
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
    if (flags & MSG_TRUNC) != 0:
        copied = skb.len
    skb_free_datagram(sk, skb)
    return int(copied)


# -------------------------------------------------------------------------------------------------------------- sending

def raw_sendmsg(sk: Sock, msg: Msghdr, length: int) -> int:
    """Send msg as the payload of an IP datagram, or with IP_HDRINCL as one. Bytes, or a negative errno.

    Linux: net/ipv4/raw.c.
    """
    inet = inet_sk(sk)
    if length > 0xFFFF:
        return -EMSGSIZE
    if (msg.msg_flags & MSG_OOB) != 0:
        return -EOPNOTSUPP
    ipc = IpcmCookie()
    ipcm_init_sk(ipc, inet)
    fl4 = Flowi4()
    protocol = sk.sk_protocol
    if inet.hdrincl:
        protocol = IPPROTO_RAW
    rt = datagram_route(inet, msg, ipc, fl4, protocol, True)
    if rt is None:
        return int(fl4.err)
    if (msg.msg_flags & MSG_CONFIRM) != 0:
        dst_confirm_neigh(rt, fl4.daddr)
        if (msg.msg_flags & MSG_PROBE) != 0 and length == 0:
            return 0
    if inet.hdrincl:
        err = raw_send_hdrinc(inet, fl4, msg, length, rt)
    else:
        err = datagram_append(inet, fl4, msg, length, ipc, rt)
    return err if err < 0 else length


def datagram_route(
    inet: InetSock, msg: Msghdr, ipc: IpcmCookie, fl4: Flowi4, protocol: i64, options: bool,
) -> Rtable | None:
    """Where a raw or ping socket's message goes; fills fl4 and ipc. None with fl4.err where it cannot.

    options: messages may name IP options of their own.
    """
    usin = msg.msg_name
    net = sock_net(inet)
    if usin is not None:
        if usin.sa_family != AF_INET and not (options and usin.sa_family == AF_UNSPEC):
            fl4.err = -EAFNOSUPPORT
            return None
        daddr: i64 = usin.sin_addr
    else:
        if inet.sk_state != TCP_ESTABLISHED:
            fl4.err = -EDESTADDRREQ
            return None
        daddr = inet.sk_daddr
    if len(msg.msg_control) != 0:
        fl4.err = ip_cmsg_send(inet, msg, ipc)
        if fl4.err < 0:
            return None
    if inet.hdrincl and len(ipc.opt) != 0:
        fl4.err = -EINVAL
        return None
    if len(ipc.opt) == 0 and not inet.hdrincl:
        ipc.opt = inet.inet_opt
    saddr = ipc.addr
    ipc.addr = daddr
    if len(ipc.opt) != 0:
        first_hop = ip_options_faddr(net, ipc.opt)
        if first_hop != 0:
            if daddr == 0:
                fl4.err = -EINVAL
                return None
            daddr = first_hop
    if ipv4_is_multicast(daddr):
        if ipc.oif == 0:
            ipc.oif = inet.mc_index
        if saddr == 0:
            saddr = inet.mc_addr
    scope: i64 = RT_SCOPE_UNIVERSE
    if sock_flag(inet, SOCK_LOCALROUTE) or (msg.msg_flags & MSG_DONTROUTE) != 0:
        scope = RT_SCOPE_LINK
    flags: i64 = FLOWI_FLAG_ANYSRC if inet.transparent or inet.hdrincl else 0
    if inet.hdrincl:
        flags |= FLOWI_FLAG_KNOWN_NH
    tos: i64 = (ipc.tos if ipc.tos != -1 else inet.tos) & IPTOS_RT_MASK
    flowi4_init_output(fl4, ipc.oif, ipc.mark, tos, scope, protocol, flags, daddr, saddr, 0, 0)
    rt = ip_route_output_flow(net, fl4, inet)
    if rt is None:
        return None
    if (rt.rt_flags & RTCF_BROADCAST) != 0 and not sock_flag(inet, SOCK_BROADCAST):
        fl4.err = -EACCES
        return None
    if ipc.addr == 0:
        ipc.addr = fl4.daddr
    return rt


def datagram_append(inet: InetSock, fl4: Flowi4, msg: Msghdr, length: int, ipc: IpcmCookie, rt: Rtable) -> int:
    """Add msg to the datagram under construction, and send it unless MSG_MORE. 0 or a negative errno."""
    lock_sock(inet)
    err = int(ip_append_data(inet, fl4, msg, length, 0, ipc, rt, msg.msg_flags))
    if err != 0:
        ip_flush_pending_frames(inet)
    elif (msg.msg_flags & MSG_MORE) == 0:
        err = int(ip_push_pending_frames(inet, fl4))
        if err == -ENOBUFS and not inet.recverr:
            err = 0
    release_sock(inet)
    return err


def raw_send_hdrinc(inet: InetSock, fl4: Flowi4, msg: Msghdr, length: int, rt: Rtable) -> int:
    """Send a datagram whose IP header the program made: source, id (where 0), length and checksum are filled in.

    0 or a negative errno.  Linux: net/ipv4/raw.c.
    """
    net = sock_net(inet)
    if i64(length) > rt.dev.mtu:
        ip_local_error(inet, EMSGSIZE, fl4.daddr, inet.sk_dport, rt.dev.mtu)
        return -EMSGSIZE
    if length < 20:
        return -EINVAL
    if (msg.msg_flags & MSG_PROBE) != 0:
        return 0
    made = sock_alloc_send_skb(inet, length + rt.dev.hard_header_len, (msg.msg_flags & MSG_DONTWAIT) != 0)
    if isinstance(made, int):
        return made
    skb = made
    data = msg.data[msg.offset:msg.offset + length]
    iphlen = ip_ihl(data, 0)
    if iphlen > length:
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_INHDR)
        return -EINVAL
    skb.head = data
    skb.data = 0
    skb.len = length
    skb.network_header = 0
    skb.transport_header = 0
    skb.protocol = 0x0800
    skb.priority = inet.sk_priority
    skb.mark = inet.sk_mark
    skb.dst = rt
    skb.dev = rt.dev
    skb.ip_summed = CHECKSUM_NONE
    if iphlen >= 20:
        skb.head = raw_fix_header(net, inet, data, fl4, length, iphlen)
        skb.transport_header = iphlen
        if ip_protocol(data, 0) == IPPROTO_ICMP and length > iphlen:
            icmp_out_count(net, i64(data[iphlen]))
    skb.saddr = ip_saddr(skb.head, 0)
    skb.daddr = ip_daddr(skb.head, 0)
    skb.tos = ip_tos(skb.head, 0)
    skb.ttl = ip_ttl(skb.head, 0)
    skb.ip_protocol = ip_protocol(skb.head, 0)
    ret = nf_hook(NFPROTO_IPV4, NF_INET_LOCAL_OUT, net, inet, skb, None, rt.dev)
    err = int(dst_output_sk(inet, skb)) if ret == 1 else int(ret)
    if err > 0:
        err = 0 if err == 2 else -ENOBUFS  # NET_XMIT_CN is no loss
    if err == -ENOBUFS and not inet.recverr:
        err = 0
    return err


def raw_fix_header(net: Net, inet: InetSock, data: bytes, fl4: Flowi4, length: i64, iphlen: i64) -> bytes:
    """The datagram with the fields of its IP header that the program leaves to us."""
    id = ip_id(data, 0)
    if id == 0:
        id = ip_select_ident(net, inet, fl4.daddr, False)
    saddr = ip_saddr(data, 0)
    w = BytesWriter()
    w.write(data[:2])
    put_be16(w, length)
    put_be16(w, id)
    w.write(data[6:10])
    put_be16(w, 0)
    put_be32(w, saddr if saddr != 0 else fl4.saddr)
    w.write(data[16:iphlen])
    header = w.getvalue()
    check = ip_fast_csum(header, 0, iphlen)
    return header[:10] + int(check).to_bytes(2, 'big') + header[12:] + data[iphlen:]


# ------------------------------------------------------------------------------------------ bind, close, options, ioctl

def raw_sk_init(sk: Sock) -> int:
    """No ICMP type is filtered.  Linux: net/ipv4/raw.c."""
    raw_sk(sk).filter = 0
    return 0


def raw_bind(sk: Sock, uaddr: Sockaddr) -> int:
    """Receive only what is for this local address. 0 or a negative errno.  Linux: net/ipv4/raw.c."""
    inet = inet_sk(sk)
    lock_sock(sk)
    err = -EINVAL
    if sk.sk_state == TCP_CLOSE:
        kind = inet_addr_type(sock_net(sk), uaddr.sin_addr)
        err = -EADDRNOTAVAIL
        if (uaddr.sin_addr == 0 or kind == RTN_LOCAL or kind == RTN_MULTICAST or kind == RTN_BROADCAST
                or inet.freebind or inet.transparent or sock_net(sk).ipv4.sysctl_ip_nonlocal_bind != 0):
            inet.sk_rcv_saddr = uaddr.sin_addr
            inet.inet_saddr = 0 if kind == RTN_MULTICAST or kind == RTN_BROADCAST else uaddr.sin_addr
            sk_dst_reset(sk)
            err = 0
    release_sock(sk)
    return err


def raw_disconnect(sk: Sock, flags: int) -> int:
    """Linux: net/ipv4/udp.c (raw_prot uses __udp_disconnect).

    A raw socket's protocol number is a port that the program did not fix: the socket receives nothing any more, as was seen on
    Linux 6.18.
    """
    return __udp_disconnect(sk, flags)


def raw_close(sk: Sock) -> None:
    """Linux: net/ipv4/raw.c."""
    sk_common_release(sk)


def raw_destroy(sk: Sock) -> None:
    """Linux: net/ipv4/raw.c."""
    lock_sock(sk)
    ip_flush_pending_frames(sk)
    release_sock(sk)


def raw_setsockopt(sk: Sock, level: int, optname: int, optval: bytes) -> int:
    """ICMP_FILTER; other levels are IP's.  Linux: net/ipv4/raw.c."""
    if level != SOL_RAW:
        return int(ip_setsockopt(sk, level, optname, optval))
    if optname != ICMP_FILTER:
        return -ENOPROTOOPT
    if sk.sk_num != IPPROTO_ICMP:
        return -EOPNOTSUPP
    raw_sk(sk).filter = int.from_bytes(optval[:4], 'little')
    return 0


def raw_getsockopt(sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
    """Linux: net/ipv4/raw.c."""
    if level != SOL_RAW:
        return ip_getsockopt(sk, level, optname, optlen)
    if optname != ICMP_FILTER:
        return OptResult(-ENOPROTOOPT, b'')
    if sk.sk_num != IPPROTO_ICMP:
        return OptResult(-EOPNOTSUPP, b'')
    if optlen < 0:
        return OptResult(-EINVAL, b'')
    return OptResult(0, (int(raw_sk(sk).filter) & 0xFFFFFFFF).to_bytes(4, 'little')[:optlen])


def raw_ioctl(sk: Sock, cmd: int) -> int:
    """SIOCOUTQ: bytes not yet sent; SIOCINQ: the first datagram's length.  Linux: net/ipv4/raw.c."""
    if cmd == SIOCOUTQ:
        return int(sk.sk_wmem_alloc - 1)
    if cmd == SIOCINQ:
        skb = sk.sk_receive_queue.next
        return int(skb.len) if skb is not None else 0
    return -ENOIOCTLCMD


def raw_seq_show(net: Net) -> str:
    """The text of /proc/net/raw, in the order of protocols.  Linux: net/ipv4/raw.c."""
    lines = ['  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
             ' ref pointer drops\n']
    for protocol in sorted(net.ipv4.raw_v4_hash):
        for sk in net.ipv4.raw_v4_hash[protocol]:
            lines.append(udp4_format_sock(sk, protocol).rstrip() + '\n')
    return ''.join(lines)
