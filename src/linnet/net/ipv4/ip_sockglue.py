# SPDX-License-Identifier: Apache-2.0
"""The SOL_IP side of sockets: options, control messages (TTL, TOS, packet info), and the error queue (IP_RECVERR).

An error that a datagram met is queued as an skb whose data is the payload that came back (or nothing); what struct
sock_extended_err says stands in its control block: errno in seq, info in end_seq, origin, type and code in ack_seq, the offender
in saddr, the destination that was meant in daddr and dport, and ee_data in tskey. Bytes handed to programs are as on x86-64 and
arm64: native integers little-endian, addresses in network order.
"""
from __future__ import annotations

import struct
from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmp import SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_LOCAL, SO_EE_ORIGIN_TIMESTAMPING, SO_EE_ORIGIN_ZEROCOPY
from linnet.include.linux.icmpv6 import SO_EE_ORIGIN_ICMP6
from linnet.include.linux.in6 import IPV6_PKTINFO, in6_read
from linnet.include.linux.inet import (
    IP_ADD_MEMBERSHIP,
    IP_BIND_ADDRESS_NO_PORT,
    IP_DROP_MEMBERSHIP,
    IP_FREEBIND,
    IP_HDRINCL,
    IP_LOCAL_PORT_RANGE,
    IP_MINTTL,
    IP_MTU,
    IP_MTU_DISCOVER,
    IP_MULTICAST_IF,
    IP_MULTICAST_LOOP,
    IP_MULTICAST_TTL,
    IP_NODEFRAG,
    IP_OPTIONS,
    IP_PKTINFO,
    IP_PMTUDISC_DONT,
    IP_PMTUDISC_OMIT,
    IP_RECVERR,
    IP_RECVOPTS,
    IP_RECVTOS,
    IP_RECVTTL,
    IP_RETOPTS,
    IP_TOS,
    IP_TRANSPARENT,
    IP_TTL,
)
from linnet.include.linux.net_tstamp import SOF_TIMESTAMPING_OPT_CMSG
from linnet.include.linux.sched import CAP_NET_ADMIN, CAP_NET_RAW
from linnet.include.linux.skbuff import SkBuff, __skb_dequeue, __skb_pull, skb_headlen, skb_peek
from linnet.include.linux.socket import (
    AF_INET,
    AF_INET6,
    MSG_ERRQUEUE,
    MSG_TRUNC,
    SCM_CREDENTIALS,
    SCM_RIGHTS,
    SO_MARK,
    SO_TIMESTAMPING,
    SO_TIMESTAMPING_NEW,
    SOCK_RAW,
    SOCK_STREAM,
    SOL_IP,
    SOL_IPV6,
    SOL_SOCKET,
    Cmsg,
    Msghdr,
    Sockaddr,
)
from linnet.include.net.inet_connection_sock import InetConnectionSock
from linnet.include.net.inet_sock import (
    IP_CMSG_PKTINFO,
    IP_CMSG_RECVOPTS,
    IP_CMSG_RETOPTS,
    IP_CMSG_TOS,
    IP_CMSG_TTL,
    InetSock,
)
from linnet.include.net.ip import IpcmCookie
from linnet.include.net.ipv6 import ipv6_addr_v4mapped, ipv6_mapped_v4
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import OptResult, Sock, sock_net
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_LISTEN
from linnet.kernel.errno import (
    EADDRNOTAVAIL,
    EAGAIN,
    EINVAL,
    ENOPROTOOPT,
    ENOTCONN,
    EOPNOTSUPP,
    EPERM,
    EPROTO,
)
from linnet.net.core.skbuff import alloc_skb, consume_skb, kfree_skb, skb_clone, skb_copy_bits, skb_queue_purge
from linnet.net.core.skbuff_tstamp import sock_cmsg_tsflags, sock_err_timestamping
from linnet.net.core.sock import lock_sock, release_sock, sk_dst_reset, sk_net_capable, sock_queue_err_skb
from linnet.net.core.sock_opts import sock_recv_timestamp
from linnet.net.ipv4.devinet import inet_lookup_ifaddr_rcu
from linnet.net.ipv4.igmp import ip_mc_find_dev, ip_mc_join_group, ip_mc_leave_group
from linnet.net.ipv4.ip_options import be32, ip_options_echo, ip_options_get

IP_TOS2PRIO: Final = (0, 0, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4)


def rt_tos2priority(tos: i64) -> i64:
    """The queueing priority (TC_PRIO_*) that goes with a TOS byte.  Linux: include/net/route.h."""
    return i64(IP_TOS2PRIO[(tos & 0x1E) >> 1])


# -- the error queue


def ip_icmp_error(sk: Sock, skb: SkBuff, err: i64, port: i64, info: i64, payload: i64) -> None:
    """Queue an ICMP error for the program. data of skb is at the quoted IP header; payload is the byte in head where the quoted
    transport payload starts; port (host order) is the destination's. Whether IP_RECVERR asks for it the caller knows: an attempt
    to connect has its error there in any case, as 6.18 was seen to do it.

    Linux: net/ipv4/ip_sockglue.c, where the port is in network order and payload a pointer.
    """
    icmph = skb.transport_header
    clone = skb_clone(skb)
    clone.seq = err
    clone.end_seq = info
    clone.ack_seq = (SO_EE_ORIGIN_ICMP << 16) | (i64(skb.head[icmph]) << 8) | i64(skb.head[icmph + 1])
    clone.tskey = 0
    clone.saddr = skb.saddr  # who sent the ICMP message
    clone.daddr = int.from_bytes(skb.head[skb.data + 16:skb.data + 20], 'big')
    clone.dport = port
    step = payload - clone.data
    if step >= 0 and step <= skb_headlen(clone):
        __skb_pull(clone, step)
        if sock_queue_err_skb(sk, clone) == 0:
            return
    kfree_skb(clone)


def ip_local_error(sk: Sock, err: i64, daddr: i64, port: i64, info: i64) -> None:
    """Queue an error that this host found itself (EMSGSIZE; info: the MTU).  Linux: net/ipv4/ip_sockglue.c."""
    assert isinstance(sk, InetSock)
    if not sk.recverr:
        return
    skb = alloc_skb(sock_net(sk).world, 20)
    skb.seq = err
    skb.end_seq = info
    skb.ack_seq = SO_EE_ORIGIN_LOCAL << 16
    skb.saddr = 0
    skb.daddr = daddr
    skb.dport = port
    if sock_queue_err_skb(sk, skb) != 0:
        kfree_skb(skb)


def _is_icmp_err_skb(skb: SkBuff | None) -> bool:
    return skb is not None and ((skb.ack_seq >> 16) == SO_EE_ORIGIN_ICMP or (skb.ack_seq >> 16) == SO_EE_ORIGIN_ICMP6)


def sock_dequeue_err_skb(sk: Sock) -> SkBuff | None:
    """The next queued error; sk_err becomes that of the one behind it.  Linux: net/core/skbuff.c."""
    skb = __skb_dequeue(sk.sk_error_queue)
    if skb is None:
        return None
    behind = skb_peek(sk.sk_error_queue)
    if behind is not None and _is_icmp_err_skb(behind):
        sk.sk_err = behind.seq
    elif _is_icmp_err_skb(skb):
        sk.sk_err = 0
    if behind is not None:
        sk.sk_cb.error_report(sk)
    return skb


def ip_recv_error(sk: Sock, msg: Msghdr, length: i64) -> int:
    """recvmsg with MSG_ERRQUEUE: the payload that came back, where it was going (msg_name), and an IP_RECVERR control message.

    Bytes, or -EAGAIN.  Linux: net/ipv4/ip_sockglue.c.
    """
    skb = sock_dequeue_err_skb(sk)
    if skb is None:
        return -EAGAIN
    copied = skb.len
    if copied > length:
        msg.msg_flags |= MSG_TRUNC
        copied = length
    msg.put(skb_copy_bits(skb, 0, copied))
    packed = int(skb.ack_seq)
    origin = packed >> 16
    if origin != SO_EE_ORIGIN_TIMESTAMPING and origin != SO_EE_ORIGIN_ZEROCOPY:
        msg.msg_name = Sockaddr(AF_INET, skb.daddr, skb.dport)
    sock_recv_timestamp(msg, sk, skb)
    sock_err_timestamping(msg, sk, skb)
    err = struct.pack('<IBBBBII', int(skb.seq), origin, (packed >> 8) & 255, packed & 255, 0, int(skb.end_seq), int(skb.tskey))
    if origin == SO_EE_ORIGIN_ICMP:
        offender = struct.pack('<H', AF_INET) + b'\0\0' + be32(skb.saddr) + bytes(8)
        if isinstance(sk, InetSock) and sk.cmsg_flags:
            ip_cmsg_recv(msg, sk, skb)
    else:
        offender = bytes(16)
        if origin == SO_EE_ORIGIN_TIMESTAMPING:
            ip_put_tx_pktinfo(msg, sk, skb)
    msg.msg_control.append(Cmsg(SOL_IP, IP_RECVERR, err + offender))
    msg.msg_flags |= MSG_ERRQUEUE
    consume_skb(skb)
    return int(copied)


def ip_put_tx_pktinfo(msg: Msghdr, sk: Sock, skb: SkBuff) -> None:
    """The device that a stamped packet left by, where SOF_TIMESTAMPING_OPT_CMSG and IP_PKTINFO ask for it.

    Linux: net/ipv4/ip_sockglue.c, ipv4_datagram_support_cmsg.
    """
    dev = skb.dev
    if (sk.sk_tsflags & SOF_TIMESTAMPING_OPT_CMSG) == 0 or dev is None or not isinstance(sk, InetSock):
        return
    if sk.cmsg_flags & IP_CMSG_PKTINFO:
        msg.msg_control.append(Cmsg(SOL_IP, IP_PKTINFO, struct.pack('<i', int(dev.ifindex)) + bytes(8)))


# -- control messages


def fib_compute_spec_dst(net: Net, skb: SkBuff) -> i64:
    """The local address that skb was for; of a broadcast or multicast, one of the device it came in by.

    Linux: net/ipv4/fib_frontend.c.
    """
    if inet_lookup_ifaddr_rcu(net, skb.daddr) is not None or skb.daddr >> 24 == 127:
        return skb.daddr
    dev = net.dev_by_index.get(int(skb.skb_iif))
    if dev is not None and dev.in_dev is not None:
        for ifa in dev.in_dev.ifa_list:
            return ifa.ifa_local
    return skb.daddr


def ip_cmsg_recv(msg: Msghdr, sk: Sock, skb: SkBuff) -> None:
    """Put the control messages that the socket asked for into msg.  Linux: net/ipv4/ip_sockglue.c."""
    assert isinstance(sk, InetSock)
    flags = sk.cmsg_flags
    if flags & IP_CMSG_PKTINFO:
        spec = fib_compute_spec_dst(sock_net(sk), skb)
        msg.msg_control.append(Cmsg(SOL_IP, IP_PKTINFO, struct.pack('<i', int(skb.skb_iif)) + be32(spec) + be32(skb.daddr)))
    if flags & IP_CMSG_TTL:
        msg.msg_control.append(Cmsg(SOL_IP, IP_TTL, struct.pack('<i', int(skb.ttl))))
    if flags & IP_CMSG_TOS:
        msg.msg_control.append(Cmsg(SOL_IP, IP_TOS, bytes([int(skb.tos)])))
    if flags & IP_CMSG_RECVOPTS and len(skb.ip_opt) != 0:
        msg.msg_control.append(Cmsg(SOL_IP, IP_RECVOPTS, skb.ip_opt))
    if flags & IP_CMSG_RETOPTS and len(skb.ip_opt) != 0:
        back = ip_options_echo(sock_net(sk), skb.ip_opt, skb.saddr, skb.daddr)
        msg.msg_control.append(Cmsg(SOL_IP, IP_RETOPTS, back))


def sock_cmsg_send(sk: Sock, cmsg: Cmsg, ipc: IpcmCookie) -> int:
    """A control message of level SOL_SOCKET: the stamps or the mark of this send. 0 or a negative errno.

    Linux: net/core/sock.c, __sock_cmsg_send.
    """
    if cmsg.cmsg_type == SO_TIMESTAMPING or cmsg.cmsg_type == SO_TIMESTAMPING_NEW:
        flags = sock_cmsg_tsflags(ipc.tsflags, cmsg.data)
        if flags < 0:
            return int(flags)
        ipc.tsflags = flags
        return 0
    if cmsg.cmsg_type == SO_MARK:
        if not sk_net_capable(sk, CAP_NET_RAW) and not sk_net_capable(sk, CAP_NET_ADMIN):
            return -EPERM
        if len(cmsg.data) != 4:
            return -EINVAL
        ipc.mark = int.from_bytes(cmsg.data, 'little')
        return 0
    # descriptors and credentials mean something to UNIX sockets alone
    return 0 if cmsg.cmsg_type == SCM_RIGHTS or cmsg.cmsg_type == SCM_CREDENTIALS else -EINVAL


def ip_cmsg_send_pktinfo6(data: bytes, ipc: IpcmCookie) -> int:
    """IPV6_PKTINFO with a mapped address, of a socket of AF_INET6 that sends IPv4.  Linux: in ip_cmsg_send (allow_ipv6)."""
    if len(data) < 20:
        return -EINVAL
    addr = in6_read(data, 0)
    if not ipv6_addr_v4mapped(addr):
        return -EINVAL
    ifindex = struct.unpack_from('<i', data, 16)[0]
    if ifindex:
        ipc.oif = ifindex
    ipc.addr = ipv6_mapped_v4(addr)
    return 0


def ip_cmsg_send(sk: InetSock, msg: Msghdr, ipc: IpcmCookie) -> int:
    """Read the control messages of a message to send into ipc: 0 or -EINVAL.  Linux: net/ipv4/ip_sockglue.c."""
    for cmsg in msg.msg_control:
        data = cmsg.data
        if cmsg.cmsg_level == SOL_IPV6 and cmsg.cmsg_type == IPV6_PKTINFO and sk.sk_family == AF_INET6:
            err = ip_cmsg_send_pktinfo6(data, ipc)
            if err != 0:
                return err
            continue
        if cmsg.cmsg_level == SOL_SOCKET:
            err = sock_cmsg_send(sk, cmsg, ipc)
            if err != 0:
                return err
            continue
        if cmsg.cmsg_level != SOL_IP:
            continue
        if cmsg.cmsg_type == IP_PKTINFO:
            if len(data) != 12:
                return -EINVAL
            ifindex = struct.unpack_from('<i', data)[0]
            if ifindex:
                ipc.oif = ifindex
            ipc.addr = int.from_bytes(data[4:8], 'big')
        elif cmsg.cmsg_type == IP_TTL:
            if len(data) != 4:
                return -EINVAL
            ttl = struct.unpack('<i', data)[0]
            if ttl < 1 or ttl > 255:
                return -EINVAL
            ipc.ttl = ttl
        elif cmsg.cmsg_type == IP_TOS:
            if len(data) == 4:
                tos = struct.unpack('<i', data)[0]
            elif len(data) == 1:
                tos = data[0]
            else:
                return -EINVAL
            if tos < 0 or tos > 255:
                return -EINVAL
            ipc.tos = tos
            ipc.priority = rt_tos2priority(tos)
        elif cmsg.cmsg_type == IP_RETOPTS:
            err, opt = ip_options_get(sock_net(sk), data[:40])
            if err != 0:
                return err
            ipc.opt = opt
        else:
            return -EINVAL
    return 0


# -- options


def opt_int(optval: bytes) -> int:
    """The integer a program gave: four bytes, or one."""
    if len(optval) >= 4:
        value: int = struct.unpack_from('<i', optval)[0]
        return value
    return optval[0] if optval else 0


CMSG_OPTIONS: Final = {
    IP_PKTINFO: IP_CMSG_PKTINFO, IP_RECVTTL: IP_CMSG_TTL, IP_RECVTOS: IP_CMSG_TOS, IP_RECVOPTS: IP_CMSG_RECVOPTS,
    IP_RETOPTS: IP_CMSG_RETOPTS,
}


def __ip_sock_set_tos(sk: InetSock, val: i64) -> None:
    """Set the TOS; of a stream, the two ECN bits are TCP's own.  Linux: net/ipv4/ip_sockglue.c."""
    if sk.sk_type == SOCK_STREAM:
        val = (val & ~3) | (sk.tos & 3)
    val &= 0xFF
    if sk.tos != val:
        sk.tos = val
        sk.sk_priority = rt_tos2priority(val)
        sk_dst_reset(sk)


def _set_options(sk: InetSock, optval: bytes) -> int:
    """IP_OPTIONS."""
    err, opt = ip_options_get(sock_net(sk), optval)
    if err != 0:
        return err
    if isinstance(sk, InetConnectionSock) and sk.sk_state not in (TCP_CLOSE, TCP_LISTEN):
        sk.icsk_ext_hdr_len += len(opt) - len(sk.inet_opt)
        sk.icsk_pmtu_cookie = 0  # tcp_current_mss computes the MSS anew
    sk.inet_opt = opt
    return 0


def _set_multicast_if(sk: InetSock, optval: bytes) -> int:
    """IP_MULTICAST_IF: in_addr, ip_mreq or ip_mreqn."""
    if sk.sk_type == SOCK_STREAM or len(optval) < 4:
        return -EINVAL
    ifindex = 0
    addr = 0
    if len(optval) >= 12:
        addr = int.from_bytes(optval[4:8], 'big')
        ifindex = struct.unpack_from('<i', optval, 8)[0]
    elif len(optval) >= 8:
        addr = int.from_bytes(optval[4:8], 'big')
    else:
        addr = int.from_bytes(optval[:4], 'big')
    if ifindex == 0 and addr == 0:
        sk.mc_index = 0
        sk.mc_addr = 0
        return 0
    dev = ip_mc_find_dev(sock_net(sk), 0, ifindex, addr)
    if dev is None:
        return -EADDRNOTAVAIL
    if sk.sk_bound_dev_if and dev.ifindex != sk.sk_bound_dev_if:
        return -EINVAL
    sk.mc_index = dev.ifindex
    sk.mc_addr = addr
    return 0


def _membership(sk: InetSock, optname: int, optval: bytes) -> int:
    """IP_ADD_MEMBERSHIP and IP_DROP_MEMBERSHIP: ip_mreq or ip_mreqn."""
    if sk.is_icsk:
        return -EPROTO
    if len(optval) < 8:
        return -EINVAL
    group = int.from_bytes(optval[:4], 'big')
    addr = int.from_bytes(optval[4:8], 'big')
    ifindex = struct.unpack_from('<i', optval, 8)[0] if len(optval) >= 12 else 0
    if optname == IP_ADD_MEMBERSHIP:
        return ip_mc_join_group(sk, group, ifindex, addr)
    return ip_mc_leave_group(sk, group, ifindex, addr)


def ip_setsockopt(sk: Sock, level: int, optname: int, optval: bytes) -> int:
    """Set an option of level SOL_IP: 0 or a negative errno.  Linux: net/ipv4/ip_sockglue.c."""
    assert isinstance(sk, InetSock)
    if level != SOL_IP:
        return -ENOPROTOOPT
    lock_sock(sk)
    err = do_ip_setsockopt(sk, optname, optval)
    release_sock(sk)
    return err


def do_ip_setsockopt(sk: InetSock, optname: int, optval: bytes) -> int:
    """ip_setsockopt with the socket locked.  Linux: net/ipv4/ip_sockglue.c."""
    val = opt_int(optval)
    if optname in CMSG_OPTIONS:
        bit = CMSG_OPTIONS[optname]
        if val:
            sk.cmsg_flags |= bit
        else:
            sk.cmsg_flags &= ~bit
    elif optname == IP_OPTIONS:
        return _set_options(sk, optval)
    elif optname == IP_TOS:
        __ip_sock_set_tos(sk, val)
    elif optname == IP_TTL:
        if len(optval) < 1 or (val != -1 and (val < 1 or val > 255)):
            return -EINVAL
        sk.uc_ttl = val
    elif optname == IP_HDRINCL:
        if sk.sk_type != SOCK_RAW:
            return -ENOPROTOOPT
        sk.hdrincl = val != 0
    elif optname == IP_NODEFRAG:
        if sk.sk_type != SOCK_RAW:
            return -ENOPROTOOPT
        sk.nodefrag = val != 0
    elif optname == IP_MTU_DISCOVER:
        if val < IP_PMTUDISC_DONT or val > IP_PMTUDISC_OMIT:
            return -EINVAL
        sk.pmtudisc = val
    elif optname == IP_RECVERR:
        sk.recverr = val != 0
        if val == 0:
            skb_queue_purge(sk.sk_error_queue)
    elif optname == IP_FREEBIND:
        if len(optval) < 1:
            return -EINVAL
        sk.freebind = val != 0
    elif optname == IP_TRANSPARENT:
        if val and not sk_net_capable(sk, CAP_NET_RAW) and not sk_net_capable(sk, CAP_NET_ADMIN):
            return -EPERM
        if len(optval) < 1:
            return -EINVAL
        sk.transparent = val != 0
    elif optname == IP_MINTTL:
        if len(optval) < 1 or val < 0 or val > 255:
            return -EINVAL
        sk.min_ttl = val
    elif optname == IP_BIND_ADDRESS_NO_PORT:
        sk.bind_address_no_port = val != 0
    elif optname == IP_LOCAL_PORT_RANGE:
        if len(optval) != 4:
            return -EINVAL
        low = val & 0xFFFF
        high = (val >> 16) & 0xFFFF
        if low and high and low > high:
            return -EINVAL
        sk.local_port_range = low | (high << 16)
    else:
        return _set_multicast_option(sk, optname, optval, val)
    return 0


def _set_multicast_option(sk: InetSock, optname: int, optval: bytes, val: int) -> int:
    if optname == IP_MULTICAST_TTL:
        if sk.sk_type == SOCK_STREAM or len(optval) < 1:
            return -EINVAL
        if val == -1:
            val = 1
        if val < 0 or val > 255:
            return -EINVAL
        sk.mc_ttl = val
        return 0
    if optname == IP_MULTICAST_LOOP:
        if len(optval) < 1:
            return -EINVAL
        sk.mc_loop = val != 0
        return 0
    if optname == IP_MULTICAST_IF:
        return _set_multicast_if(sk, optval)
    if optname in (IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP):
        return _membership(sk, optname, optval)
    return -ENOPROTOOPT


def ip_getsockopt(sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
    """Read an option of level SOL_IP.  Linux: net/ipv4/ip_sockglue.c."""
    assert isinstance(sk, InetSock)
    if level != SOL_IP:
        return OptResult(-EOPNOTSUPP, b'')
    if optlen < 0:
        return OptResult(-EINVAL, b'')
    if optname == IP_OPTIONS:
        return OptResult(0, sk.inet_opt[:optlen])
    if optname == IP_MULTICAST_IF:
        return OptResult(0, be32(sk.mc_addr)[:optlen])
    err, val = _get_int_option(sk, optname)
    if err != 0:
        return OptResult(err, b'')
    if optlen < 4 and optlen > 0 and 0 <= val <= 255:
        return OptResult(0, bytes([val]))
    return OptResult(0, struct.pack('<I', val & 0xFFFFFFFF)[:optlen])


def _get_int_option(sk: InetSock, optname: int) -> tuple[int, int]:
    """(0, value) or (negative errno, 0)."""
    if optname in CMSG_OPTIONS:
        return 0, int(sk.cmsg_flags & CMSG_OPTIONS[optname] != 0)
    if optname == IP_TOS:
        return 0, int(sk.tos)
    if optname == IP_TTL:
        ttl = sk.uc_ttl
        return 0, int(ttl if ttl >= 0 else sock_net(sk).ipv4.sysctl_ip_default_ttl)
    if optname == IP_HDRINCL:
        return 0, int(sk.hdrincl)
    if optname == IP_NODEFRAG:
        return 0, int(sk.nodefrag)
    if optname == IP_MTU_DISCOVER:
        return 0, int(sk.pmtudisc)
    if optname == IP_MTU:
        dst = sk.sk_dst_cache
        if dst is None or not dst.check():
            return -ENOTCONN, 0
        return 0, int(dst.mtu())
    if optname == IP_RECVERR:
        return 0, int(sk.recverr)
    if optname == IP_FREEBIND:
        return 0, int(sk.freebind)
    if optname == IP_TRANSPARENT:
        return 0, int(sk.transparent)
    if optname == IP_MINTTL:
        return 0, int(sk.min_ttl)
    if optname == IP_BIND_ADDRESS_NO_PORT:
        return 0, int(sk.bind_address_no_port)
    if optname == IP_LOCAL_PORT_RANGE:
        return 0, int(sk.local_port_range)
    if optname == IP_MULTICAST_TTL:
        return 0, int(sk.mc_ttl)
    if optname == IP_MULTICAST_LOOP:
        return 0, int(sk.mc_loop)
    return -ENOPROTOOPT, 0
