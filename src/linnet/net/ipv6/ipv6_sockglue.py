# SPDX-License-Identifier: Apache-2.0
"""The SOL_IPV6 side of sockets: their options (RFC 3493, RFC 3542).

A socket of AF_INET6 has IPv4's options too (level SOL_IP), for what it sends to mapped addresses. Not here are flow labels to
lend (IPV6_FLOWLABEL_MGR), source filters of groups, anycast membership and IPV6_2292PKTOPTIONS: ENOPROTOOPT.
"""
from __future__ import annotations

import struct
from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import (
    IPV6_2292DSTOPTS,
    IPV6_2292HOPLIMIT,
    IPV6_2292HOPOPTS,
    IPV6_2292PKTINFO,
    IPV6_2292RTHDR,
    IPV6_ADD_MEMBERSHIP,
    IPV6_ADDR_PREFERENCES,
    IPV6_ADDRFORM,
    IPV6_AUTOFLOWLABEL,
    IPV6_DONTFRAG,
    IPV6_DROP_MEMBERSHIP,
    IPV6_DSTOPTS,
    IPV6_FLOWINFO,
    IPV6_FLOWINFO_SEND,
    IPV6_FREEBIND,
    IPV6_HOPOPTS,
    IPV6_MINHOPCOUNT,
    IPV6_MTU,
    IPV6_MTU_DISCOVER,
    IPV6_MULTICAST_ALL,
    IPV6_MULTICAST_HOPS,
    IPV6_MULTICAST_IF,
    IPV6_MULTICAST_LOOP,
    IPV6_ORIGDSTADDR,
    IPV6_PATHMTU,
    IPV6_PKTINFO,
    IPV6_PMTUDISC_DONT,
    IPV6_PMTUDISC_OMIT,
    IPV6_RECVDSTOPTS,
    IPV6_RECVERR,
    IPV6_RECVERR_RFC4884,
    IPV6_RECVFRAGSIZE,
    IPV6_RECVHOPLIMIT,
    IPV6_RECVHOPOPTS,
    IPV6_RECVPATHMTU,
    IPV6_RECVPKTINFO,
    IPV6_RECVRTHDR,
    IPV6_RECVTCLASS,
    IPV6_RTHDR,
    IPV6_RTHDRDSTOPTS,
    IPV6_TCLASS,
    IPV6_TRANSPARENT,
    IPV6_UNICAST_HOPS,
    IPV6_UNICAST_IF,
    IPV6_V6ONLY,
    in6_bytes,
    in6_read,
)
from linnet.include.linux.inet import IPPROTO_TCP, IPPROTO_UDP
from linnet.include.linux.ipv6 import (
    IPV6_DEFAULT_MCASTHOPS,
    IPV6_MIN_MTU,
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
)
from linnet.include.linux.sched import CAP_NET_ADMIN, CAP_NET_RAW
from linnet.include.linux.socket import AF_INET, AF_INET6, SOCK_RAW, SOCK_STREAM, SOL_IP, SOL_IPV6
from linnet.include.net.inet_sock import InetSock, UdpSock, inet_sk
from linnet.include.net.ipv6 import Ipv6Txoptions, inet6_sk, ipv6_addr_v4mapped
from linnet.include.net.sock import OptResult, Sock, sock_net
from linnet.include.net.tcp_states import TCP_ESTABLISHED
from linnet.kernel.errno import (
    EADDRNOTAVAIL,
    EBUSY,
    EINVAL,
    ENODEV,
    ENOPROTOOPT,
    ENOTCONN,
    EPERM,
    EPROTO,
)
from linnet.net.core.skbuff import skb_queue_purge
from linnet.net.core.sock import lock_sock, release_sock, sk_dst_reset, sk_net_capable
from linnet.net.ipv4.ip_sockglue import ip_getsockopt, ip_setsockopt
from linnet.net.ipv6.exthdrs import ipv6_dup_options, ipv6_opt_lengths
from linnet.net.ipv6.ip6_output_local import ip6_autoflowlabel
from linnet.net.ipv6.mcast import ipv6_sock_mc_close, ipv6_sock_mc_drop, ipv6_sock_mc_join
from linnet.net.ipv6.route_alloc import ip6_dst_hoplimit

MCAST_JOIN_GROUP: Final = 42
MCAST_LEAVE_GROUP: Final = 45
SIZEOF_IPV6_MREQ: Final = 20
SIZEOF_GROUP_REQ: Final = 136
IPV6_PREFER_SRC_TMP: Final = 0x1
IPV6_PREFER_SRC_PUBLIC: Final = 0x2
IPV6_PREFER_SRC_COA: Final = 0x4
IPV6_PREFER_SRC_PUBTMP_DEFAULT: Final = 0x100
IPV6_PREFER_SRC_HOME: Final = 0x400
IPV6_PREFER_SRC_CGA: Final = 0x8
IPV6_PREFER_SRC_NONCGA: Final = 0x800

# option -> the control message that it asks for
RX_OPTIONS: Final = {
    IPV6_RECVPKTINFO: IPV6_RX_PKTINFO, IPV6_RECVHOPLIMIT: IPV6_RX_HOPLIMIT, IPV6_RECVTCLASS: IPV6_RX_TCLASS,
    IPV6_FLOWINFO: IPV6_RX_FLOWINFO, IPV6_RECVHOPOPTS: IPV6_RX_HOPOPTS, IPV6_RECVDSTOPTS: IPV6_RX_DSTOPTS,
    IPV6_RECVRTHDR: IPV6_RX_RTHDR, IPV6_RECVPATHMTU: IPV6_RX_PATHMTU, IPV6_ORIGDSTADDR: IPV6_RX_ORIGDSTADDR,
    IPV6_RECVFRAGSIZE: IPV6_RX_FRAGSIZE,
    IPV6_2292PKTINFO: IPV6_RX_OPKTINFO, IPV6_2292HOPLIMIT: IPV6_RX_OHOPLIMIT, IPV6_2292HOPOPTS: IPV6_RX_OHOPOPTS,
    IPV6_2292DSTOPTS: IPV6_RX_ODSTOPTS, IPV6_2292RTHDR: IPV6_RX_ORTHDR,
}
STICKY_HEADERS: Final = (IPV6_HOPOPTS, IPV6_RTHDRDSTOPTS, IPV6_RTHDR, IPV6_DSTOPTS)


def ipv6_setsockopt(sk: Sock, level: int, optname: int, optval: bytes) -> int:
    """Set an option of level SOL_IPV6, or of SOL_IP: 0 or a negative errno.  Linux: net/ipv6/ipv6_sockglue.c."""
    if level == SOL_IP and sk.sk_type != SOCK_RAW:
        return int(ip_setsockopt(sk, level, optname, optval))
    if level != SOL_IPV6:
        return -ENOPROTOOPT
    lock_sock(sk)
    err = do_ipv6_setsockopt(inet_sk(sk), optname, optval)
    release_sock(sk)
    return err


def do_ipv6_setsockopt(sk: InetSock, optname: int, optval: bytes) -> int:
    """ipv6_setsockopt with the socket locked.  Linux: net/ipv6/ipv6_sockglue.c."""
    np = inet6_sk(sk)
    short = len(optval) < 4
    val: int = 0 if short else struct.unpack_from('<i', optval)[0]
    if optname in RX_OPTIONS:
        if short and optname != IPV6_RECVFRAGSIZE:
            return -EINVAL
        return set_rx_option(np, optname, val != 0)
    if optname in STICKY_HEADERS:
        return ipv6_set_opt_hdr(sk, np, optname, optval)
    if optname == IPV6_ADD_MEMBERSHIP or optname == IPV6_DROP_MEMBERSHIP:
        return set_membership(sk, optname, optval)
    if optname == MCAST_JOIN_GROUP or optname == MCAST_LEAVE_GROUP:
        return set_group(sk, optname, optval)
    if optname == IPV6_PKTINFO:
        return set_sticky_pktinfo(sk, np, optval)
    if optname in (IPV6_MULTICAST_LOOP, IPV6_MULTICAST_ALL, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_IF, IPV6_UNICAST_IF):
        return set_multicast_option(sk, np, optname, val, len(optval))
    return set_plain_option(sk, np, optname, val, short)


def set_rx_option(np: Ipv6Pinfo, optname: int, on: bool) -> int:
    """Ask for a control message, or no more."""
    bit = RX_OPTIONS[optname]
    if on:
        np.rxopt |= bit
    else:
        np.rxopt &= ~bit
    return 0


def set_plain_option(sk: InetSock, np: Ipv6Pinfo, optname: int, val: int, short: bool) -> int:
    """A number or a flag; short: fewer than four bytes were given."""
    if optname == IPV6_UNICAST_HOPS:
        if short or val > 255 or val < -1:
            return -EINVAL
        np.hop_limit = val
    elif optname == IPV6_V6ONLY:
        if short or sk.sk_num != 0:
            return -EINVAL
        sk.sk_ipv6only = val != 0
    elif optname == IPV6_RECVERR:
        if short:
            return -EINVAL
        np.recverr = val != 0
        if val == 0:
            skb_queue_purge(sk.sk_error_queue)
    elif optname == IPV6_RECVERR_RFC4884:
        if short or val < 0 or val > 1:
            return -EINVAL
        np.recverr_rfc4884 = val == 1
    elif optname == IPV6_MTU_DISCOVER:
        if short or val < IPV6_PMTUDISC_DONT or val > IPV6_PMTUDISC_OMIT:
            return -EINVAL
        np.pmtudisc = val
    elif optname == IPV6_MTU:
        if short or (val != 0 and val < IPV6_MIN_MTU):
            return -EINVAL
        np.frag_size = val
    elif optname == IPV6_FLOWINFO_SEND:
        if short:
            return -EINVAL
        np.sndflow = val != 0
    elif optname == IPV6_DONTFRAG:
        np.dontfrag = val != 0
    elif optname == IPV6_AUTOFLOWLABEL:
        np.autoflowlabel = val != 0
        np.autoflowlabel_set = True
    elif optname == IPV6_MINHOPCOUNT:
        if short or val < 0 or val > 255:
            return -EINVAL
        np.min_hopcount = val
    elif optname == IPV6_TCLASS:
        if short or val < -1 or val > 255:
            return -EINVAL
        set_tclass(sk, np, 0 if val == -1 else val)
    elif optname == IPV6_TRANSPARENT:
        if val != 0 and not sk_net_capable(sk, CAP_NET_RAW) and not sk_net_capable(sk, CAP_NET_ADMIN):
            return -EPERM
        if short:
            return -EINVAL
        sk.transparent = val != 0
    elif optname == IPV6_FREEBIND:
        if short:
            return -EINVAL
        sk.freebind = val != 0
    elif optname == IPV6_ADDR_PREFERENCES:
        return -EINVAL if short else set_addr_preferences(np, val)
    elif optname == IPV6_ADDRFORM:
        return -EINVAL if short else set_addrform(sk, np, val)
    else:
        return -ENOPROTOOPT
    return 0


def set_tclass(sk: InetSock, np: Ipv6Pinfo, val: i64) -> None:
    """The traffic class; of a stream, the two ECN bits are TCP's own."""
    if sk.sk_type == SOCK_STREAM:
        val = (val & ~3) | (np.tclass & 3)
    if np.tclass != val:
        np.tclass = val
        sk_dst_reset(sk)


def set_addr_preferences(np: Ipv6Pinfo, val: int) -> int:
    """Which source addresses to prefer (RFC 5014); of each pair of opposites one at most. 0 or -EINVAL."""
    pref = 0
    prefmask = -1
    both = val & (IPV6_PREFER_SRC_PUBLIC | IPV6_PREFER_SRC_TMP | IPV6_PREFER_SRC_PUBTMP_DEFAULT)
    if both == IPV6_PREFER_SRC_PUBLIC:
        pref |= IPV6_PREFER_SRC_PUBLIC
        prefmask &= ~(IPV6_PREFER_SRC_PUBLIC | IPV6_PREFER_SRC_TMP)
    elif both == IPV6_PREFER_SRC_TMP:
        pref |= IPV6_PREFER_SRC_TMP
        prefmask &= ~(IPV6_PREFER_SRC_PUBLIC | IPV6_PREFER_SRC_TMP)
    elif both == IPV6_PREFER_SRC_PUBTMP_DEFAULT:
        prefmask &= ~(IPV6_PREFER_SRC_PUBLIC | IPV6_PREFER_SRC_TMP)
    elif both != 0:
        return -EINVAL
    home = val & (IPV6_PREFER_SRC_HOME | IPV6_PREFER_SRC_COA)
    if home == IPV6_PREFER_SRC_HOME:
        prefmask &= ~IPV6_PREFER_SRC_COA
    elif home == IPV6_PREFER_SRC_COA:
        pref |= IPV6_PREFER_SRC_COA
    elif home != 0:
        return -EINVAL
    cga = val & (IPV6_PREFER_SRC_CGA | IPV6_PREFER_SRC_NONCGA)
    if cga == IPV6_PREFER_SRC_CGA | IPV6_PREFER_SRC_NONCGA:
        return -EINVAL
    np.srcprefs = (np.srcprefs & prefmask) | pref
    return 0


def set_addrform(sk: InetSock, np: Ipv6Pinfo, val: int) -> int:
    """A UDP socket that is connected to a mapped address becomes one of AF_INET.  RFC 3493 took it out; Linux has it."""
    if val != AF_INET:
        return -EINVAL
    if sk.sk_type == SOCK_RAW or (sk.sk_protocol != IPPROTO_UDP and sk.sk_protocol != IPPROTO_TCP):
        return -ENOPROTOOPT
    if sk.sk_state != TCP_ESTABLISHED:
        return -ENOTCONN
    if sk.sk_ipv6only or not ipv6_addr_v4mapped(sk.sk_v6_daddr):
        return -EADDRNOTAVAIL
    net = sock_net(sk)
    prot = net.ipv4.udp_prot
    if not isinstance(sk, UdpSock) or prot is None:
        return -ENOPROTOOPT
    if sk.pending == AF_INET6:
        return -EBUSY
    ipv6_sock_mc_close(sk)
    sock = sk.sk_socket
    for entry in net.ipv4.inetsw.get(int(sk.sk_type), []):
        if entry.prot is prot and sock is not None:
            sock.ops = entry.ops
    sk.sk_prot = prot
    sk.sk_family = AF_INET
    np.opt = None
    return 0


def set_multicast_option(sk: InetSock, np: Ipv6Pinfo, optname: int, val: int, length: int) -> int:
    """How groups are sent to, and by which device whatever has none; length: of the option's value."""
    stream = sk.sk_type == SOCK_STREAM
    short = length < 4
    if optname == IPV6_UNICAST_IF:
        if length != 4:
            return -EINVAL
        ifindex = int.from_bytes((val & 0xFFFFFFFF).to_bytes(4, 'little'), 'big')
        if ifindex == 0:
            np.ucast_oif = 0
            return 0
        if sock_net(sk).dev_by_index.get(ifindex) is None:
            return -EADDRNOTAVAIL
        if sk.sk_bound_dev_if != 0:
            return -EINVAL
        np.ucast_oif = ifindex
        return 0
    if optname == IPV6_MULTICAST_LOOP:
        if short or (val != 0 and val != 1):
            return -EINVAL
        np.mc_loop = val == 1
        return 0
    if optname == IPV6_MULTICAST_ALL:
        if short:
            return -EINVAL
        np.mc_all = val != 0
        return 0
    if stream:
        return -ENOPROTOOPT
    if short:
        return -EINVAL
    if optname == IPV6_MULTICAST_HOPS:
        if val > 255 or val < -1:
            return -EINVAL
        np.mcast_hops = IPV6_DEFAULT_MCASTHOPS if val == -1 else val
        return 0
    if val != 0:
        if sock_net(sk).dev_by_index.get(val) is None:
            return -ENODEV
        if sk.sk_bound_dev_if != 0 and sk.sk_bound_dev_if != val:
            return -EINVAL
    np.mcast_oif = val
    return 0


def set_membership(sk: InetSock, optname: int, optval: bytes) -> int:
    """IPV6_ADD_MEMBERSHIP and IPV6_DROP_MEMBERSHIP: struct ipv6_mreq."""
    if len(optval) < SIZEOF_IPV6_MREQ:
        return -EINVAL
    if sk.is_icsk:
        return -EPROTO
    group = in6_read(optval, 0)
    ifindex: int = struct.unpack_from('<i', optval, 16)[0]
    if optname == IPV6_ADD_MEMBERSHIP:
        return int(ipv6_sock_mc_join(sk, ifindex, group))
    return int(ipv6_sock_mc_drop(sk, ifindex, group))


def set_group(sk: InetSock, optname: int, optval: bytes) -> int:
    """MCAST_JOIN_GROUP and MCAST_LEAVE_GROUP: struct group_req (RFC 3678)."""
    if len(optval) < SIZEOF_GROUP_REQ:
        return -EINVAL
    if struct.unpack_from('<H', optval, 8)[0] != AF_INET6:
        return -EADDRNOTAVAIL
    group = in6_read(optval, 16)
    ifindex: int = struct.unpack_from('<i', optval)[0]
    if optname == MCAST_JOIN_GROUP:
        return int(ipv6_sock_mc_join(sk, ifindex, group))
    return int(ipv6_sock_mc_drop(sk, ifindex, group))


def set_sticky_pktinfo(sk: InetSock, np: Ipv6Pinfo, optval: bytes) -> int:
    """IPV6_PKTINFO for all packets (RFC 3542, 6.2)."""
    if len(optval) < 20:
        return -EINVAL
    ifindex: int = struct.unpack_from('<i', optval, 16)[0]
    if sk.sk_bound_dev_if != 0 and ifindex != sk.sk_bound_dev_if:
        return -EINVAL
    np.sticky_pktinfo_ifindex = ifindex
    np.sticky_pktinfo_addr = in6_read(optval, 0)
    return 0


def ipv6_set_opt_hdr(sk: InetSock, np: Ipv6Pinfo, optname: int, optval: bytes) -> int:
    """An extension header for all packets; nothing: no more.  Linux: net/ipv6/ipv6_sockglue.c."""
    if optname != IPV6_RTHDR and not sk_net_capable(sk, CAP_NET_RAW):
        return -EPERM
    if len(optval) != 0 and (len(optval) < 2 or (len(optval) & 7) != 0 or len(optval) > 8 * 255
                             or len(optval) < (optval[1] + 1) << 3):
        return -EINVAL
    opt = np.opt
    opt = Ipv6Txoptions() if opt is None else ipv6_dup_options(opt)
    if optname == IPV6_HOPOPTS:
        opt.hopopt = optval
    elif optname == IPV6_DSTOPTS:
        opt.dst1opt = optval
    elif optname == IPV6_RTHDRDSTOPTS:
        opt.dst0opt = optval
    else:
        if len(optval) != 0 and (optval[2] != 2 or optval[1] != 2 or optval[3] != 1):
            return -EINVAL
        opt.srcrt = optval
    ipv6_opt_lengths(opt)
    np.opt = opt if opt.opt_flen != 0 or opt.opt_nflen != 0 or len(opt.dst0opt) != 0 else None
    sk_dst_reset(sk)
    return 0


# -- reading

def ipv6_getsockopt(sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
    """Read an option of level SOL_IPV6, or of SOL_IP.  Linux: net/ipv6/ipv6_sockglue.c."""
    if level == SOL_IP and sk.sk_type != SOCK_RAW:
        return ip_getsockopt(sk, level, optname, optlen)
    if level != SOL_IPV6:
        return OptResult(-ENOPROTOOPT, b'')
    if optlen < 0:
        return OptResult(-EINVAL, b'')
    inet = inet_sk(sk)
    np = inet6_sk(sk)
    if optname in STICKY_HEADERS:
        return OptResult(0, sticky_header(np, optname)[:optlen])
    if optname == IPV6_PATHMTU:
        return get_pathmtu(inet, optlen)
    box = OptResult(0, b'')
    val = get_int_option(inet, np, optname, box)
    if box.err != 0:
        return box
    return OptResult(0, struct.pack('<I', val & 0xFFFFFFFF)[:optlen])


def sticky_header(np: Ipv6Pinfo, optname: int) -> bytes:
    """An extension header that is put into each packet, as long as it says itself."""
    header = sticky_bytes(np, optname)
    return header[:(header[1] + 1) << 3] if len(header) >= 2 else header


def sticky_bytes(np: Ipv6Pinfo, optname: int) -> bytes:
    """The same as it was set."""
    opt = np.opt
    if opt is None:
        return b''
    if optname == IPV6_HOPOPTS:
        return opt.hopopt
    if optname == IPV6_DSTOPTS:
        return opt.dst1opt
    if optname == IPV6_RTHDRDSTOPTS:
        return opt.dst0opt
    return opt.srcrt


def get_pathmtu(sk: InetSock, optlen: int) -> OptResult:
    """struct ip6_mtuinfo of a connected socket."""
    if optlen < 32:
        return OptResult(-EINVAL, b'')
    dst = sk.sk_dst_cache
    if dst is None:
        return OptResult(-ENOTCONN, b'')
    name = struct.pack('<HHI', 0, 0, 0) + in6_bytes(0) + bytes(4)
    return OptResult(0, name + struct.pack('<I', int(dst.mtu())))


def get_int_option(sk: InetSock, np: Ipv6Pinfo, optname: int, box: OptResult) -> int:
    """The option's number; box.err tells of an error."""
    if optname in RX_OPTIONS:
        return int((np.rxopt & RX_OPTIONS[optname]) != 0)
    if optname == IPV6_UNICAST_HOPS or optname == IPV6_MULTICAST_HOPS:
        return get_hops(sk, np, optname)
    if optname == IPV6_MTU:
        dst = sk.sk_dst_cache
        if dst is None:
            box.err = -ENOTCONN
            return 0
        return int(dst.mtu())
    if optname == IPV6_ADDRFORM:
        if sk.sk_protocol != IPPROTO_UDP and sk.sk_protocol != IPPROTO_TCP:
            box.err = -ENOPROTOOPT
        elif sk.sk_state != TCP_ESTABLISHED:
            box.err = -ENOTCONN
        return int(sk.sk_family)
    if optname == IPV6_ADDR_PREFERENCES:
        return get_addr_preferences(np)
    return get_plain_option(sk, np, optname, box)


def get_hops(sk: InetSock, np: Ipv6Pinfo, optname: int) -> int:
    """The hop limit that packets get."""
    val = np.hop_limit if optname == IPV6_UNICAST_HOPS else np.mcast_hops
    if val >= 0:
        return int(val)
    dst = sk.sk_dst_cache
    if dst is not None:
        return int(ip6_dst_hoplimit(dst))
    return int(sock_net(sk).ipv6.devconf_all.hop_limit)


def get_addr_preferences(np: Ipv6Pinfo) -> int:
    """The preferences, defaults said too."""
    prefs = int(np.srcprefs)
    val = 0
    if (prefs & IPV6_PREFER_SRC_TMP) != 0:
        val |= IPV6_PREFER_SRC_TMP
    elif (prefs & IPV6_PREFER_SRC_PUBLIC) != 0:
        val |= IPV6_PREFER_SRC_PUBLIC
    else:
        val |= IPV6_PREFER_SRC_PUBTMP_DEFAULT
    val |= IPV6_PREFER_SRC_COA if (prefs & IPV6_PREFER_SRC_COA) != 0 else IPV6_PREFER_SRC_HOME
    return val


def get_plain_option(sk: InetSock, np: Ipv6Pinfo, optname: int, box: OptResult) -> int:
    """A number or a flag that is kept as it was set."""
    if optname == IPV6_V6ONLY:
        return int(sk.sk_ipv6only)
    if optname == IPV6_RECVERR:
        return int(np.recverr)
    if optname == IPV6_RECVERR_RFC4884:
        return int(np.recverr_rfc4884)
    if optname == IPV6_MTU_DISCOVER:
        return int(np.pmtudisc)
    if optname == IPV6_MULTICAST_LOOP:
        return int(np.mc_loop)
    if optname == IPV6_MULTICAST_ALL:
        return int(np.mc_all)
    if optname == IPV6_MULTICAST_IF:
        return int(np.mcast_oif)
    if optname == IPV6_UNICAST_IF:
        return int.from_bytes(int(np.ucast_oif).to_bytes(4, 'big'), 'little', signed=True)
    if optname == IPV6_FLOWINFO_SEND:
        return int(np.sndflow)
    if optname == IPV6_TCLASS:
        return int(np.tclass)
    if optname == IPV6_DONTFRAG:
        return int(np.dontfrag)
    if optname == IPV6_AUTOFLOWLABEL:
        return int(ip6_autoflowlabel(sock_net(sk), np))
    if optname == IPV6_MINHOPCOUNT:
        return int(np.min_hopcount)
    if optname == IPV6_TRANSPARENT:
        return int(sk.transparent)
    if optname == IPV6_FREEBIND:
        return int(sk.freebind)
    box.err = -ENOPROTOOPT
    return 0
