# SPDX-License-Identifier: Apache-2.0
"""What datagram sockets over IPv6 share: connect(), the error queue (IPV6_RECVERR), and the control messages of RFC 3542.

An error waits in the queue as one of IPv4's does (net/ipv4/ip_sockglue.py): errno in seq, info in end_seq, origin, type and code
in ack_seq, the offender in saddr6, the destination that was meant in daddr6 and dport.
"""
from __future__ import annotations

import struct
from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmp import SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_LOCAL, SO_EE_ORIGIN_TIMESTAMPING, SO_EE_ORIGIN_ZEROCOPY
from linnet.include.linux.icmpv6 import SO_EE_ORIGIN_ICMP6
from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.in6 import (
    IN6ADDR_LOOPBACK,
    IPPROTO_DSTOPTS,
    IPPROTO_HOPOPTS,
    IPPROTO_ROUTING,
    IPV6_2292DSTOPTS,
    IPV6_2292HOPLIMIT,
    IPV6_2292HOPOPTS,
    IPV6_2292PKTINFO,
    IPV6_2292RTHDR,
    IPV6_DONTFRAG,
    IPV6_DSTOPTS,
    IPV6_FLOWINFO,
    IPV6_HOPLIMIT,
    IPV6_HOPOPTS,
    IPV6_ORIGDSTADDR,
    IPV6_PATHMTU,
    IPV6_PKTINFO,
    IPV6_RECVERR,
    IPV6_RECVFRAGSIZE,
    IPV6_RTHDR,
    IPV6_RTHDRDSTOPTS,
    IPV6_TCLASS,
    in6_bytes,
    in6_read,
)
from linnet.include.linux.inet import INADDR_LOOPBACK
from linnet.include.linux.ipv6 import (
    IPV6_FLOWINFO_MASK,
    IPV6_FLOWLABEL_MASK,
    IPV6_RX_DSTOPTS,
    IPV6_RX_FLOWINFO,
    IPV6_RX_FRAGSIZE,
    IPV6_RX_HOPLIMIT,
    IPV6_RX_HOPOPTS,
    IPV6_RX_ODSTOPTS,
    IPV6_RX_OHOPLIMIT,
    IPV6_RX_OHOPOPTS,
    IPV6_RX_OPKTINFO,
    IPV6_RX_ORIGDSTADDR,
    IPV6_RX_ORTHDR,
    IPV6_RX_PATHMTU,
    IPV6_RX_PKTINFO,
    IPV6_RX_RTHDR,
    IPV6_RX_TCLASS,
    Ipv6Pinfo,
    ip6_flowinfo,
)
from linnet.include.linux.sched import CAP_NET_RAW
from linnet.include.linux.skbuff import SkBuff, __skb_pull, skb_headlen
from linnet.include.linux.socket import (
    AF_INET,
    AF_INET6,
    MSG_ERRQUEUE,
    MSG_TRUNC,
    SOL_IPV6,
    SOL_SOCKET,
    Cmsg,
    Msghdr,
    Sockaddr,
    make_sockaddr_in6,
)
from linnet.include.net.flow import Flowi6
from linnet.include.net.inet_sock import InetSock, inet_sk
from linnet.include.net.ip import IpcmCookie
from linnet.include.net.ip6_fib import inet6_iif
from linnet.include.net.ipv6 import (
    LOOPBACK4_IPV6,
    Ipcm6Cookie,
    Ipv6Txoptions,
    inet6_sk,
    ipv6_addr_is_multicast,
    ipv6_addr_needs_scope_id,
    ipv6_addr_set_v4mapped,
    ipv6_addr_type,
    ipv6_addr_v4mapped,
    ipv6_iface_scope_id,
    ipv6_mapped_v4,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import Sock, sock_net
from linnet.include.net.tcp_states import TCP_ESTABLISHED
from linnet.kernel.errno import EAFNOSUPPORT, EAGAIN, EINVAL, ENETUNREACH, ENODEV, EPERM
from linnet.net.core.skbuff import alloc_skb, consume_skb, kfree_skb, skb_clone, skb_copy_bits
from linnet.net.core.skbuff_tstamp import sock_err_timestamping
from linnet.net.core.sock import (
    lock_sock,
    release_sock,
    sk_dst_reset,
    sk_net_capable,
    sk_set_txhash,
    sock_queue_err_skb,
)
from linnet.net.core.sock_opts import sock_recv_timestamp
from linnet.net.ipv4.datagram import __ip4_datagram_connect
from linnet.net.ipv4.ip_sockglue import ip_cmsg_recv, sock_cmsg_send, sock_dequeue_err_skb
from linnet.net.ipv6.addrconf_saddr import ipv6_chk_addr
from linnet.net.ipv6.exthdrs import fl6_update_dst, ipv6_dup_options, ipv6_exthdr_bytes, ipv6_opt_lengths
from linnet.net.ipv6.ip6_flowlabel import fl6_sock_lookup
from linnet.net.ipv6.ip6_output_lookup import ip6_dst_lookup_flow, ip6_sk_dst_store_flow

IN6_PKTINFO_LEN: Final = 20
RX_OLD: Final = IPV6_RX_OPKTINFO | IPV6_RX_OHOPLIMIT | IPV6_RX_OHOPOPTS | IPV6_RX_ODSTOPTS | IPV6_RX_ORTHDR


# -- connect()

def ip6_datagram_connect(sk: Sock, uaddr: Sockaddr) -> int:
    """Fix the peer. 0 or a negative errno.  Linux: net/ipv6/datagram.c."""
    lock_sock(sk)
    res = __ip6_datagram_connect(sk, uaddr)
    release_sock(sk)
    return res


def __ip6_datagram_connect(sk: Sock, uaddr: Sockaddr) -> int:
    """As ip6_datagram_connect, with sk owned.  Linux: net/ipv6/datagram.c."""
    np = inet6_sk(sk)
    if uaddr.sa_family == AF_INET:
        if sk.sk_ipv6only:
            return -EAFNOSUPPORT
        return datagram_connect_v4(sk, np, uaddr)
    if uaddr.sa_family != AF_INET6:
        return -EAFNOSUPPORT
    daddr = uaddr.sin6_addr
    label: i64 = 0
    if np.sndflow:
        label = uaddr.sin6_flowinfo & IPV6_FLOWINFO_MASK
        if (label & IPV6_FLOWLABEL_MASK) != 0 and not fl6_sock_lookup(sk, label):
            return -EINVAL
    if daddr == 0:  # this host, by the family that the socket is bound to
        mapped = ipv6_addr_v4mapped(sk.sk_v6_rcv_saddr)
        daddr = ipv6_addr_set_v4mapped(INADDR_LOOPBACK) if mapped else IN6ADDR_LOOPBACK
    if ipv6_addr_v4mapped(daddr):
        if sk.sk_ipv6only:
            return -ENETUNREACH
        return datagram_connect_v4(sk, np, Sockaddr(AF_INET, ipv6_mapped_v4(daddr), uaddr.sin_port))
    if ipv6_addr_needs_scope_id(ipv6_addr_type(daddr)):
        if uaddr.sin6_scope_id != 0:
            if sk.sk_bound_dev_if != 0 and sk.sk_bound_dev_if != uaddr.sin6_scope_id:
                return -EINVAL
            sk.sk_bound_dev_if = uaddr.sin6_scope_id
        if sk.sk_bound_dev_if == 0 and ipv6_addr_is_multicast(daddr):
            sk.sk_bound_dev_if = np.mcast_oif
        if sk.sk_bound_dev_if == 0:
            return -EINVAL
    return datagram_connect_v6(inet_sk(sk), np, daddr, label, uaddr.sin_port)


def datagram_connect_v4(sk: Sock, np: Ipv6Pinfo, uaddr: Sockaddr) -> int:
    """A peer of IPv4: IPv4's connect, and the mapped addresses of what it fixed."""
    err = __ip4_datagram_connect(sk, uaddr)
    if err != 0:
        return err
    inet = inet_sk(sk)
    sk.sk_v6_daddr = ipv6_addr_set_v4mapped(sk.sk_daddr)
    if np.saddr == 0 or ipv6_mapped_any(np.saddr):
        np.saddr = ipv6_addr_set_v4mapped(inet.inet_saddr)
    if sk.sk_v6_rcv_saddr == 0 or ipv6_mapped_any(sk.sk_v6_rcv_saddr):
        sk.sk_v6_rcv_saddr = ipv6_addr_set_v4mapped(sk.sk_rcv_saddr)
    return 0


def ipv6_mapped_any(addr: int) -> bool:
    """::ffff:0.0.0.0.  Linux: net/ipv6/datagram.c, ipv6_mapped_addr_any."""
    return ipv6_addr_v4mapped(addr) and ipv6_mapped_v4(addr) == 0


def datagram_connect_v6(sk: InetSock, np: Ipv6Pinfo, daddr: int, label: i64, dport: i64) -> int:
    """A peer of IPv6: its route decides the source. What fails leaves the old peer."""
    old_daddr = sk.sk_v6_daddr
    old_label = np.flow_label
    old_dport = sk.sk_dport
    sk.sk_v6_daddr = daddr
    np.flow_label = label
    sk.sk_dport = dport
    fl6 = Flowi6()
    ip6_datagram_flow_key_init(fl6, sk, np)
    final = fl6_update_dst(fl6, np.opt)
    rt = ip6_dst_lookup_flow(sock_net(sk), sk, fl6, final)
    if rt is None:
        sk.sk_v6_daddr = old_daddr
        np.flow_label = old_label
        sk.sk_dport = old_dport
        return int(fl6.err)
    if np.saddr == 0:
        np.saddr = fl6.saddr
    if sk.sk_v6_rcv_saddr == 0:
        sk.sk_v6_rcv_saddr = fl6.saddr
        sk.sk_rcv_saddr = LOOPBACK4_IPV6
    sk_dst_reset(sk)
    ip6_sk_dst_store_flow(sk, rt, fl6)
    sk.sk_state = TCP_ESTABLISHED
    sk_set_txhash(sk)
    return 0


def ip6_datagram_flow_key_init(fl6: Flowi6, sk: InetSock, np: Ipv6Pinfo) -> None:
    """The look-up's key for the peer of sk.  Linux: net/ipv6/datagram.c."""
    fl6.flowi6_proto = sk.sk_protocol
    fl6.daddr = sk.sk_v6_daddr
    fl6.saddr = np.saddr
    fl6.flowi6_mark = sk.sk_mark
    fl6.fl6_dport = sk.sk_dport
    fl6.fl6_sport = sk.inet_sport
    fl6.flowlabel = (np.tclass << 20) | np.flow_label
    oif = sk.sk_bound_dev_if
    if oif == 0:
        oif = np.sticky_pktinfo_ifindex
    if oif == 0:
        oif = np.mcast_oif if ipv6_addr_is_multicast(fl6.daddr) else np.ucast_oif
    fl6.flowi6_oif = oif


# -- the error queue

def ipv6_icmp_error(sk: Sock, skb: SkBuff, err: i64, port: i64, info: i64, payload: i64) -> None:
    """Queue an ICMPv6 error for the program. data of skb is at the quoted IPv6 header; payload is the byte in head where what the
    transport carried starts; port (host order) is the destination's.

    Linux: net/ipv6/datagram.c, where the port is in network order and payload a pointer.
    """
    if not inet6_sk(sk).recverr:
        return
    icmph = skb.transport_header
    clone = skb_clone(skb)
    clone.seq = err
    clone.end_seq = info
    clone.ack_seq = (SO_EE_ORIGIN_ICMP6 << 16) | (i64(skb.head[icmph]) << 8) | i64(skb.head[icmph + 1])
    clone.tskey = 0
    clone.saddr6 = skb.saddr6  # who sent the ICMPv6 message
    clone.daddr6 = in6_read(skb.head, int(skb.data + 24))
    clone.dport = port
    step = payload - clone.data
    if step >= 0 and step <= skb_headlen(clone):
        __skb_pull(clone, step)
        if sock_queue_err_skb(sk, clone) == 0:
            return
    kfree_skb(clone)


def ipv6_local_error(sk: Sock, err: i64, fl6: Flowi6, info: i64) -> None:
    """Queue an error that this host found itself (EMSGSIZE; info: the MTU).  Linux: net/ipv6/datagram.c."""
    if not inet6_sk(sk).recverr:
        return
    skb = alloc_skb(sock_net(sk).world, 40)
    skb.protocol = ETH_P_IPV6
    skb.seq = err
    skb.end_seq = info
    skb.ack_seq = SO_EE_ORIGIN_LOCAL << 16
    skb.saddr6 = 0
    skb.daddr6 = fl6.daddr
    skb.dport = fl6.fl6_dport
    if sock_queue_err_skb(sk, skb) != 0:
        kfree_skb(skb)


def ipv6_local_rxpmtu(sk: Sock, fl6: Flowi6, mtu: i64) -> None:
    """Keep what IPV6_RECVPATHMTU is to be told: the MTU of the way to fl6.daddr.  Linux: net/ipv6/datagram.c."""
    np = inet6_sk(sk)
    if (np.rxopt & IPV6_RX_PATHMTU) == 0:
        return
    skb = alloc_skb(sock_net(sk).world, 40)
    skb.daddr6 = fl6.daddr
    skb.end_seq = mtu
    old = np.rxpmtu
    np.rxpmtu = skb
    if old is not None:
        kfree_skb(old)


def ipv6_recv_error(sk: Sock, msg: Msghdr, length: i64) -> int:
    """recvmsg with MSG_ERRQUEUE: the payload that came back, where it was going (msg_name), and an IPV6_RECVERR control message.

    Bytes, or -EAGAIN. Errors of packets over IPv4 bear mapped addresses.  Linux: net/ipv6/datagram.c.
    """
    np = inet6_sk(sk)
    skb = sock_dequeue_err_skb(sk)
    if skb is None:
        return -EAGAIN
    copied = skb.len
    if copied > length:
        msg.msg_flags |= MSG_TRUNC
        copied = length
    msg.put(skb_copy_bits(skb, 0, copied))
    sock_recv_timestamp(msg, sk, skb)
    sock_err_timestamping(msg, sk, skb)
    packed = int(skb.ack_seq)
    origin = packed >> 16
    six = skb.protocol == ETH_P_IPV6
    if origin != SO_EE_ORIGIN_TIMESTAMPING and origin != SO_EE_ORIGIN_ZEROCOPY:
        daddr = skb.daddr6 if six else ipv6_addr_set_v4mapped(skb.daddr)
        msg.msg_name = make_sockaddr_in6(daddr, skb.dport, 0, ipv6_iface_scope_id(daddr, inet6_iif(skb)))
    offender = bytes(28)
    if origin == SO_EE_ORIGIN_ICMP6 or origin == SO_EE_ORIGIN_ICMP:
        saddr = skb.saddr6 if six else ipv6_addr_set_v4mapped(skb.saddr)
        zone = int(ipv6_iface_scope_id(saddr, inet6_iif(skb)))
        offender = struct.pack('<HHI', AF_INET6, 0, 0) + in6_bytes(saddr) + struct.pack('<I', zone)
        if np.rxopt != 0:
            ip6_datagram_recv_common_ctl(sk, msg, skb)
        if six:
            if np.rxopt != 0:
                ip6_datagram_recv_specific_ctl(sk, msg, skb)
        elif inet_sk(sk).cmsg_flags != 0:
            ip_cmsg_recv(msg, sk, skb)
    err = struct.pack('<IBBBBII', int(skb.seq), origin, (packed >> 8) & 255, packed & 255, 0, int(skb.end_seq), int(skb.tskey))
    msg.msg_control.append(Cmsg(SOL_IPV6, IPV6_RECVERR, err + offender))
    msg.msg_flags |= MSG_ERRQUEUE
    consume_skb(skb)
    return int(copied)


def ipv6_recv_rxpmtu(sk: Sock, msg: Msghdr, length: i64) -> int:
    """An empty message that tells of a path MTU (IPV6_PATHMTU, RFC 3542, 11.3).  Linux: net/ipv6/datagram.c."""
    np = inet6_sk(sk)
    skb = np.rxpmtu
    if skb is None:
        return -EAGAIN
    np.rxpmtu = None
    msg.msg_name = make_sockaddr_in6(skb.daddr6, 0)
    addr = struct.pack('<HHI', AF_INET6, 0, 0) + in6_bytes(skb.daddr6) + bytes(4)
    msg.msg_control.append(Cmsg(SOL_IPV6, IPV6_PATHMTU, addr + struct.pack('<I', int(skb.end_seq))))
    kfree_skb(skb)
    return 0


# -- control messages received

def ip6_datagram_recv_common_ctl(sk: Sock, msg: Msghdr, skb: SkBuff) -> None:
    """IPV6_PKTINFO, of packets of either family.  Linux: net/ipv6/datagram.c."""
    np = inet6_sk(sk)
    if (np.rxopt & IPV6_RX_PKTINFO) == 0:
        return
    if skb.protocol == ETH_P_IPV6:
        info = in6_bytes(skb.daddr6) + struct.pack('<i', int(inet6_iif(skb)))
    else:
        info = in6_bytes(ipv6_addr_set_v4mapped(skb.daddr)) + struct.pack('<i', int(skb.skb_iif))
    msg.msg_control.append(Cmsg(SOL_IPV6, IPV6_PKTINFO, info))


def ip6_datagram_recv_specific_ctl(sk: Sock, msg: Msghdr, skb: SkBuff) -> None:
    """What else the program asked for of an IPv6 packet.  Linux: net/ipv6/datagram.c."""
    rxopt = inet6_sk(sk).rxopt
    put = msg.msg_control
    at = skb.network_header
    if (rxopt & IPV6_RX_HOPLIMIT) != 0:
        put.append(Cmsg(SOL_IPV6, IPV6_HOPLIMIT, struct.pack('<i', int(skb.ttl))))
    if (rxopt & IPV6_RX_TCLASS) != 0:
        put.append(Cmsg(SOL_IPV6, IPV6_TCLASS, struct.pack('<i', int(skb.tos))))
    if (rxopt & IPV6_RX_FLOWINFO) != 0 and at >= 0:
        flowinfo = ip6_flowinfo(skb.head, at)
        if flowinfo != 0:
            put.append(Cmsg(SOL_IPV6, IPV6_FLOWINFO, struct.pack('!I', int(flowinfo))))
    if (rxopt & (IPV6_RX_HOPOPTS | IPV6_RX_DSTOPTS | IPV6_RX_RTHDR)) != 0 and at >= 0:
        recv_exthdr(put, skb, rxopt & IPV6_RX_HOPOPTS, IPPROTO_HOPOPTS, IPV6_HOPOPTS)
        recv_exthdr(put, skb, rxopt & IPV6_RX_DSTOPTS, IPPROTO_DSTOPTS, IPV6_DSTOPTS)
        recv_exthdr(put, skb, rxopt & IPV6_RX_RTHDR, IPPROTO_ROUTING, IPV6_RTHDR)
    if (rxopt & RX_OLD) != 0:
        recv_2292_ctl(put, skb, rxopt)
    if (rxopt & IPV6_RX_FRAGSIZE) != 0 and skb.frag_max_size != 0:
        put.append(Cmsg(SOL_IPV6, IPV6_RECVFRAGSIZE, struct.pack('<i', int(skb.frag_max_size))))
    if (rxopt & IPV6_RX_ORIGDSTADDR) != 0:
        name = struct.pack('<H', AF_INET6) + struct.pack('!HI', int(skb.dport), 0) + in6_bytes(skb.daddr6)
        zone = int(ipv6_iface_scope_id(skb.daddr6, inet6_iif(skb)))
        put.append(Cmsg(SOL_IPV6, IPV6_ORIGDSTADDR, name + struct.pack('<I', zone)))


def recv_2292_ctl(put: list[Cmsg], skb: SkBuff, rxopt: i64) -> None:
    """The messages of RFC 2292, which come beside those that took their place."""
    if (rxopt & IPV6_RX_OPKTINFO) != 0:
        put.append(Cmsg(SOL_IPV6, IPV6_2292PKTINFO, in6_bytes(skb.daddr6) + struct.pack('<i', int(inet6_iif(skb)))))
    if (rxopt & IPV6_RX_OHOPLIMIT) != 0:
        put.append(Cmsg(SOL_IPV6, IPV6_2292HOPLIMIT, struct.pack('<i', int(skb.ttl))))
    if skb.network_header >= 0:
        recv_exthdr(put, skb, rxopt & IPV6_RX_OHOPOPTS, IPPROTO_HOPOPTS, IPV6_2292HOPOPTS)
        recv_exthdr(put, skb, rxopt & IPV6_RX_ODSTOPTS, IPPROTO_DSTOPTS, IPV6_2292DSTOPTS)
        recv_exthdr(put, skb, rxopt & IPV6_RX_ORTHDR, IPPROTO_ROUTING, IPV6_2292RTHDR)


def recv_exthdr(put: list[Cmsg], skb: SkBuff, wanted: i64, kind: i64, name: int) -> None:
    """Hand over the extension header of this kind, if it is wanted and there."""
    if wanted != 0:
        header = ipv6_exthdr_bytes(skb.head, skb.network_header, kind)
        if len(header) != 0:
            put.append(Cmsg(SOL_IPV6, name, header))


def ip6_datagram_recv_ctl(sk: Sock, msg: Msghdr, skb: SkBuff) -> None:
    """All control messages of an IPv6 packet.  Linux: net/ipv6/datagram.c."""
    ip6_datagram_recv_common_ctl(sk, msg, skb)
    ip6_datagram_recv_specific_ctl(sk, msg, skb)


# -- control messages sent

def ip6_datagram_send_ctl(net: Net, sk: Sock, msg: Msghdr, fl6: Flowi6, ipc6: Ipcm6Cookie) -> int:
    """Read the control messages of a message to send into fl6 and ipc6: 0 or a negative errno.  Linux: net/ipv6/datagram.c."""
    for cmsg in msg.msg_control:
        err = 0
        if cmsg.cmsg_level == SOL_SOCKET:
            err = send_ctl_socket(sk, cmsg, ipc6)
        elif cmsg.cmsg_level == SOL_IPV6:
            err = send_ctl_one(net, sk, cmsg.cmsg_type, cmsg.data, fl6, ipc6)
        if err != 0:
            return err
    return 0


def send_ctl_socket(sk: Sock, cmsg: Cmsg, ipc6: Ipcm6Cookie) -> int:
    """One of level SOL_SOCKET: as IPv4's."""
    ipc = IpcmCookie()
    ipc.tsflags = ipc6.tsflags
    ipc.mark = ipc6.mark
    err = sock_cmsg_send(sk, cmsg, ipc)
    ipc6.tsflags = ipc.tsflags
    ipc6.mark = ipc.mark
    return err


def send_ctl_one(net: Net, sk: Sock, kind: int, data: bytes, fl6: Flowi6, ipc6: Ipcm6Cookie) -> int:
    """One of level SOL_IPV6."""
    if kind == IPV6_PKTINFO or kind == IPV6_2292PKTINFO:
        return send_ctl_pktinfo(net, sk, data, fl6)
    if kind == IPV6_FLOWINFO:
        return send_ctl_flowinfo(data, fl6)
    if kind in (IPV6_HOPOPTS, IPV6_2292HOPOPTS, IPV6_DSTOPTS, IPV6_2292DSTOPTS, IPV6_RTHDRDSTOPTS, IPV6_RTHDR, IPV6_2292RTHDR):
        return send_ctl_exthdr(sk, kind, data, ipc6)
    if kind == IPV6_HOPLIMIT or kind == IPV6_2292HOPLIMIT or kind == IPV6_TCLASS or kind == IPV6_DONTFRAG:
        if len(data) != 4:
            return -EINVAL
        value: int = struct.unpack('<i', data)[0]
        if kind == IPV6_DONTFRAG:
            if value < 0 or value > 1:
                return -EINVAL
            ipc6.dontfrag = value
            return 0
        if value < -1 or value > 255:
            return -EINVAL
        if kind == IPV6_TCLASS:
            ipc6.tclass = value
        else:
            ipc6.hlimit = value
        return 0
    return -EINVAL


def send_ctl_pktinfo(net: Net, sk: Sock, data: bytes, fl6: Flowi6) -> int:
    """The source and the device of this message (RFC 3542, 6.2)."""
    if len(data) < IN6_PKTINFO_LEN:
        return -EINVAL
    addr = in6_read(data, 0)
    ifindex: int = struct.unpack_from('<i', data, 16)[0]
    dev = None
    if ifindex != 0:
        if fl6.flowi6_oif != 0 and fl6.flowi6_oif != ifindex and sk.sk_bound_dev_if != 0:
            return -EINVAL
        fl6.flowi6_oif = ifindex
    kind = ipv6_addr_type(addr)
    if fl6.flowi6_oif != 0:
        dev = net.dev_by_index.get(int(fl6.flowi6_oif))
        if dev is None:
            return -ENODEV
    elif ipv6_addr_needs_scope_id(kind):
        return -EINVAL
    if addr != 0:
        inet = inet_sk(sk)
        strict = ipv6_addr_needs_scope_id(kind)
        nonlocal_send = net.ipv6.sysctl_ip_nonlocal_bind != 0 or inet.freebind or inet.transparent
        if not nonlocal_send and not ipv6_chk_addr(net, addr, dev if strict else None, strict):
            return -EINVAL
        fl6.saddr = addr
    return 0


def send_ctl_flowinfo(data: bytes, fl6: Flowi6) -> int:
    """The flow information of this message; a label that the socket has already stays."""
    if len(data) < 4:
        return -EINVAL
    value: i64 = struct.unpack_from('!I', data)[0]
    if (fl6.flowlabel & IPV6_FLOWINFO_MASK) != 0 and ((fl6.flowlabel ^ value) & ~IPV6_FLOWINFO_MASK) != 0:
        return -EINVAL
    fl6.flowlabel = IPV6_FLOWINFO_MASK & value
    return 0


def send_ctl_exthdr(sk: Sock, kind: int, data: bytes, ipc6: Ipcm6Cookie) -> int:
    """An extension header of this message; options need CAP_NET_RAW."""
    if len(data) < 8 or len(data) < (data[1] + 1) << 3:
        return -EINVAL
    header = data[:(data[1] + 1) << 3]
    routing = kind == IPV6_RTHDR or kind == IPV6_2292RTHDR
    if not routing and not sk_net_capable(sk, CAP_NET_RAW):
        return -EPERM
    opt = ipc6.opt
    opt = Ipv6Txoptions() if opt is None else ipv6_dup_options(opt)
    if kind == IPV6_HOPOPTS or kind == IPV6_2292HOPOPTS:
        if len(opt.hopopt) != 0:
            return -EINVAL
        opt.hopopt = header
    elif kind == IPV6_RTHDRDSTOPTS:
        opt.dst0opt = header
    elif routing:
        if header[2] != 2 or data[1] != 2 or data[3] != 1:  # type 0 is refused (RFC 5095)
            return -EINVAL
        opt.srcrt = header
    else:
        if kind == IPV6_2292DSTOPTS and len(opt.dst1opt) != 0:
            return -EINVAL
        opt.dst1opt = header
    ipv6_opt_lengths(opt)
    ipc6.opt = opt
    return 0
