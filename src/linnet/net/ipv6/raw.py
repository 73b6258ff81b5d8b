# SPDX-License-Identifier: Apache-2.0
"""Raw sockets over IPv6: the payload of datagrams of one protocol (next header), without the IPv6 header; with IPV6_HDRINCL, sent
with it.

Every socket that matches (protocol, local and peer address, device) gets a clone of every datagram, before the protocol's own
handler sees it; ICMPV6_FILTER keeps types away. With IPV6_CHECKSUM, and always for ICMPv6, the stack computes the transport's
checksum on the way out and drops what does not have it right on the way in (RFC 3542, 3.1).

Net.ipv6.raw_v6_hash holds the sockets by protocol.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmpv6 import ICMPV6_FILTER, ICMPV6_PKT_TOOBIG, NDISC_REDIRECT
from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.in6 import (
    IN6ADDR_LOOPBACK,
    IPPROTO_ICMPV6,
    IPPROTO_MH,
    IPV6_CHECKSUM,
    IPV6_HDRINCL,
    IPV6_PMTUDISC_DO,
)
from linnet.include.linux.inet import IPPROTO_RAW, IPPROTO_UDP
from linnet.include.linux.ipv6 import IPV6_HLEN, Ipv6Pinfo, ipv6_daddr, ipv6_hdr_parse, ipv6_saddr
from linnet.include.linux.netfilter import NF_INET_LOCAL_OUT, NFPROTO_IPV6, nf_hook
from linnet.include.linux.skbuff import (
    CHECKSUM_NONE,
    CHECKSUM_PARTIAL,
    CHECKSUM_UNNECESSARY,
    SkBuff,
    skb_peek,
)
from linnet.include.linux.socket import (
    AF_INET6,
    AF_UNSPEC,
    MSG_CONFIRM,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_MORE,
    MSG_OOB,
    MSG_PROBE,
    MSG_TRUNC,
    SOL_ICMPV6,
    SOL_IPV6,
    SOL_RAW,
    Msghdr,
    Sockaddr,
)
from linnet.include.net.dropreason import SKB_DROP_REASON_SKB_CSUM, SKB_DROP_REASON_SOCKET_RCVBUFF
from linnet.include.net.dst import dst_output_sk
from linnet.include.net.flow import FLOWI_FLAG_KNOWN_NH, Flowi6
from linnet.include.net.inet_sock import Raw6Sock, inet_sk, raw6_sk
from linnet.include.net.ip6_fib import Rt6Info, inet6_iif
from linnet.include.net.ipv6 import (
    IPV6_ADDR_ANY,
    IPV6_ADDR_MAPPED,
    IPV6_ADDR_MULTICAST,
    LOOPBACK4_IPV6,
    Ipcm6Cookie,
    csum_ipv6_magic,
    inet6_sk,
    ipv6_addr_is_multicast,
    ipv6_addr_needs_scope_id,
    ipv6_addr_type,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.protocol import RawCallbacks
from linnet.include.net.snmp import IP6_INC_STATS, IPSTATS_MIB_OUTDISCARDS, IPSTATS_MIB_OUTREQUESTS
from linnet.include.net.sock import OptResult, Sock, sock_net
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_ESTABLISHED
from linnet.kernel.errno import (
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EDESTADDRREQ,
    EINVAL,
    EMSGSIZE,
    ENOBUFS,
    ENODEV,
    ENOPROTOOPT,
    EOPNOTSUPP,
)
from linnet.kernel.slab import KmemCache
from linnet.net.core.datagram import ErrBox, skb_copy_datagram_msg, skb_free_datagram, skb_recv_datagram
from linnet.net.core.skbuff import kfree_skb_reason, pskb_may_pull, skb_checksum, skb_clone
from linnet.net.core.sock import lock_sock, release_sock, sk_dst_reset, sock_alloc_send_skb, sock_queue_rcv_skb
from linnet.net.core.sock_opts import int_bytes, int_of, sock_recv_cmsgs
from linnet.net.ipv4.raw import RawProt
from linnet.net.ipv4.udp_rcv import skb_net
from linnet.net.ipv6.addrconf_saddr import ipv6_chk_addr
from linnet.net.ipv6.datagram import (
    ip6_datagram_connect,
    ip6_datagram_recv_ctl,
    ipv6_icmp_error,
    ipv6_local_error,
    ipv6_recv_error,
    ipv6_recv_rxpmtu,
)
from linnet.net.ipv6.icmp import icmpv6_err_convert
from linnet.net.ipv6.ip6_output_append import (
    ip6_append_data,
    ip6_flush_pending_frames,
    ip6_push_pending_frames,
)
from linnet.net.ipv6.ipv6_sockglue import ipv6_getsockopt, ipv6_setsockopt
from linnet.net.ipv6.mcast import inet6_mc_check
from linnet.net.ipv6.route_learn import ip6_sk_redirect, ip6_sk_update_pmtu
from linnet.net.ipv6.udp import IPV6_SEQ_DGRAM_HEADER, datagram6_from, ip6_dgram_sock_seq_show
from linnet.net.ipv6.udp_flow import datagram6_ctl, datagram6_init, datagram6_name, datagram6_route, dst_confirm_neigh6
from linnet.net.ipv6.udp_rcv import inner_offset

SIZEOF_RAW6_SOCK: Final = 1208


class Rawv6SockCache(KmemCache):
    """The slab of raw sockets of AF_INET6."""

    def new(self) -> object:
        """See KmemCache."""
        return Raw6Sock()


class Rawv6Prot(RawProt):
    """Linux: rawv6_prot. What is not here is raw_prot's."""

    def __init__(self, slab: KmemCache) -> None:
        super().__init__(slab, 'RAWv6')

    def destroy(self, sk: Sock) -> None:
        """See raw6_destroy."""
        raw6_destroy(sk)

    def connect(self, sk: Sock, uaddr: Sockaddr) -> int:
        """See rawv6_connect."""
        return rawv6_connect(sk, uaddr)

    def init(self, sk: Sock) -> int:
        """See rawv6_init_sk."""
        return rawv6_init_sk(sk)

    def setsockopt(self, sk: Sock, level: int, optname: int, optval: bytes) -> int:
        """See rawv6_setsockopt."""
        return rawv6_setsockopt(sk, level, optname, optval)

    def getsockopt(self, sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
        """See rawv6_getsockopt."""
        return rawv6_getsockopt(sk, level, optname, optlen)

    def sendmsg(self, sk: Sock, msg: Msghdr, size: int) -> int:
        """See rawv6_sendmsg."""
        return rawv6_sendmsg(sk, msg, size)

    def recvmsg(self, sk: Sock, msg: Msghdr, size: int, nonblock: bool, flags: int) -> int:
        """See rawv6_recvmsg."""
        return rawv6_recvmsg(sk, msg, size, nonblock, flags)

    def bind(self, sk: Sock, uaddr: Sockaddr) -> int:
        """See rawv6_bind."""
        return rawv6_bind(sk, uaddr)

    def backlog_rcv(self, sk: Sock, skb: SkBuff) -> int:
        """See rawv6_rcv_skb."""
        return rawv6_rcv_skb(raw6_sk(sk), skb)


class Rawv6Callbacks(RawCallbacks):
    """What IPv6's input and ICMPv6 call."""

    def raw_local_deliver(self, skb: SkBuff, protocol: i64) -> bool:
        """See raw6_local_deliver."""
        return raw6_local_deliver(skb, protocol)

    def raw_icmp_error(self, skb: SkBuff, protocol: i64, info: i64) -> None:
        """See raw6_icmp_error."""
        raw6_icmp_error(skb, protocol, info)


def rawv6_init(net: Net) -> None:
    """Make rawv6_prot of one Net, and let IPv6's input find it.  Linux: net/ipv6/raw.c."""
    caches = net.world.slab.caches
    slab = caches.get('RAWv6')
    if slab is None:
        slab = net.world.slab.register(Rawv6SockCache('RAWv6', SIZEOF_RAW6_SOCK, net.world.trace))
    net.ipv6.rawv6_prot = Rawv6Prot(slab)
    net.ipv6.raw_callbacks = Rawv6Callbacks()


# ------------------------------------------------------------------------------------------------------------ receiving

def raw_v6_match(sk: Sock, num: i64, loc_addr: int, rmt_addr: int, dif: i64) -> bool:
    """Does sk want protocol num from rmt_addr to loc_addr on device dif?  Linux: net/ipv6/raw.c."""
    if sk.sk_num != num or (sk.sk_bound_dev_if != 0 and sk.sk_bound_dev_if != dif):
        return False
    if sk.sk_v6_daddr != 0 and sk.sk_v6_daddr != rmt_addr:
        return False
    if sk.sk_v6_rcv_saddr == 0 or sk.sk_v6_rcv_saddr == loc_addr:
        return True
    return ipv6_addr_is_multicast(loc_addr) and inet6_mc_check(sk, loc_addr, rmt_addr)


def icmpv6_filter(sk: Sock, skb: SkBuff) -> bool:
    """Does sk's ICMPV6_FILTER keep this message away? data is at the ICMPv6 header.  Linux: net/ipv6/raw.c."""
    if not pskb_may_pull(skb, 1):
        return True
    return (raw6_sk(sk).filter >> int(skb.head[skb.data])) & 1 != 0


def raw6_local_deliver(skb: SkBuff, nexthdr: i64) -> bool:
    """Give every raw socket that matches a clone (data at the header named nexthdr). True where there was one.

    Linux: net/ipv6/raw.c.
    """
    chain = skb_net(skb).ipv6.raw_v6_hash.get(int(nexthdr & 0xFF))
    if chain is None:
        return False
    return ipv6_raw_deliver(chain, skb, nexthdr)


def ipv6_raw_deliver(chain: list[Sock], skb: SkBuff, nexthdr: i64) -> bool:
    """Linux: net/ipv6/raw.c."""
    dif = inet6_iif(skb)
    delivered = False
    for sk in list(chain):
        if not raw_v6_match(sk, nexthdr, skb.daddr6, skb.saddr6, dif):
            continue
        if sk.sk_rmem_alloc >= sk.sk_rcvbuf:
            sk.sk_drops += 1
            continue
        delivered = True
        if nexthdr != IPPROTO_ICMPV6 or not icmpv6_filter(sk, skb):
            rawv6_rcv(raw6_sk(sk), skb_clone(skb))
    return delivered


def rawv6_rcv(sk: Raw6Sock, skb: SkBuff) -> int:
    """Queue skb on sk, from its data on; owns skb.  Linux: net/ipv6/raw.c."""
    return rawv6_rcv_skb(sk, skb)


def rawv6_csum_wrong(sk: Raw6Sock, skb: SkBuff) -> bool:
    """Does sk verify the transport's checksum, and is it wrong?"""
    if not sk.checksum or skb.ip_summed == CHECKSUM_UNNECESSARY or skb.ip_summed == CHECKSUM_PARTIAL:
        return False
    total = skb_checksum(skb, 0, skb.len, 0)
    return csum_ipv6_magic(skb.saddr6, skb.daddr6, skb.len, sk.sk_num, total) != 0


def rawv6_rcv_skb(sk: Raw6Sock, skb: SkBuff) -> int:
    """Linux: net/ipv6/raw.c."""
    if rawv6_csum_wrong(sk, skb):
        sk.sk_drops += 1
        kfree_skb_reason(skb, SKB_DROP_REASON_SKB_CSUM)
        return 1
    if sock_queue_rcv_skb(sk, skb) < 0:
        kfree_skb_reason(skb, SKB_DROP_REASON_SOCKET_RCVBUFF)
        return 1
    return 0


def raw6_icmp_error(skb: SkBuff, nexthdr: i64, info: i64) -> None:
    """An ICMPv6 error quotes a datagram of protocol nexthdr (data at the quoted IPv6 header): tell who may have sent it.

    Linux: net/ipv6/raw.c.
    """
    chain = skb_net(skb).ipv6.raw_v6_hash.get(int(nexthdr & 0xFF))
    if chain is None:
        return
    at = skb.data
    saddr = ipv6_saddr(skb.head, at)
    daddr = ipv6_daddr(skb.head, at)
    dif = inet6_iif(skb)
    for sk in list(chain):
        if raw_v6_match(sk, nexthdr, saddr, daddr, dif):
            rawv6_err(raw6_sk(sk), skb, info)


def rawv6_err(sk: Raw6Sock, skb: SkBuff, info: i64) -> None:
    """Report on a raw socket that asked for errors (IPV6_RECVERR), or is connected, the error final.  Linux: net/ipv6/raw.c."""
    np = inet6_sk(sk)
    if not np.recverr and sk.sk_state != TCP_ESTABLISHED:
        return
    type = i64(skb.head[skb.transport_header])
    verdict = icmpv6_err_convert(type, i64(skb.head[skb.transport_header + 1]))
    err = verdict & 0xFFFF
    harderr = (verdict >> 16) != 0
    if type == ICMPV6_PKT_TOOBIG:
        ip6_sk_update_pmtu(skb, sk, info)
        harderr = np.pmtudisc == IPV6_PMTUDISC_DO
    elif type == NDISC_REDIRECT:
        ip6_sk_redirect(skb, sk)
        return
    if np.recverr:
        payload = skb.data if sk.hdrincl else inner_offset(skb)
        ipv6_icmp_error(sk, skb, err, 0, info, payload)
    if np.recverr or harderr:
        sk.sk_err = err
        sk.sk_cb.error_report(sk)


def rawv6_recvmsg(sk: Sock, msg: Msghdr, length: int, nonblock: bool, flags: int) -> int:
    """Receive one datagram from behind its IPv6 header on.  Linux: net/ipv6/raw.c."""
    np = inet6_sk(sk)
    if (flags & MSG_OOB) != 0:
        return -EOPNOTSUPP
    if (flags & MSG_ERRQUEUE) != 0:
        return int(ipv6_recv_error(sk, msg, length))
    if np.rxpmtu is not None:
        return int(ipv6_recv_rxpmtu(sk, msg, length))
    box = ErrBox()
    skb = skb_recv_datagram(sk, flags, nonblock, box)
    if skb is None:
        return box.err
    copied: i64 = skb.len
    if length < copied:
        msg.msg_flags |= MSG_TRUNC
        copied = length
    skb_copy_datagram_msg(skb, 0, msg, copied)
    msg.msg_name = datagram6_from(skb, 0)
    sock_recv_cmsgs(msg, sk, skb)
    if np.rxopt != 0:
        ip6_datagram_recv_ctl(sk, msg, skb)
    if (flags & MSG_TRUNC) != 0:
        copied = skb.len
    skb_free_datagram(sk, skb)
    return int(copied)


# -------------------------------------------------------------------------------------------------------------- sending

def rawv6_sendmsg(sk: Sock, msg: Msghdr, length: int) -> int:
    """Send msg as the payload of an IPv6 datagram, or with IPV6_HDRINCL as one. Bytes, or a negative errno.

    The port of the address may say the protocol again; of an IPPROTO_RAW socket it says which.
    Linux: net/ipv6/raw.c.
    """
    raw = raw6_sk(sk)
    np = inet6_sk(sk)
    if length > 0x7FFFFFFF:
        return -EMSGSIZE
    if (msg.msg_flags & MSG_OOB) != 0:
        return -EOPNOTSUPP
    fl6 = Flowi6()
    ipc6 = Ipcm6Cookie()
    rt = rawv6_sendmsg_route(raw, np, msg, fl6, ipc6)
    if rt is None:
        return int(fl6.err)
    if (msg.msg_flags & MSG_CONFIRM) != 0:
        dst_confirm_neigh6(rt, fl6.daddr)
        if (msg.msg_flags & MSG_PROBE) != 0 and length == 0:
            return 0
    if raw.hdrincl:
        err = rawv6_send_hdrinc(raw, np, fl6, msg, length, rt)
        return err if err < 0 else length
    lock_sock(sk)
    err = int(ip6_append_data(raw, fl6, msg, length, 0, ipc6, rt, msg.msg_flags))
    if err != 0:
        ip6_flush_pending_frames(raw)
    elif (msg.msg_flags & MSG_MORE) == 0:
        err = rawv6_push_pending_frames(raw, np, fl6)
    release_sock(sk)
    return err if err < 0 else length


def rawv6_sendmsg_route(raw: Raw6Sock, np: Ipv6Pinfo, msg: Msghdr, fl6: Flowi6, ipc6: Ipcm6Cookie) -> Rt6Info | None:
    """Where msg goes: fills fl6 and ipc6. None with fl6.err where it cannot go there."""
    proto = raw.sk_num
    datagram6_init(raw, np, fl6, ipc6, proto)
    name = msg.msg_name
    if name is not None:
        if name.sa_family != AF_INET6 and name.sa_family != AF_UNSPEC:
            fl6.err = -EAFNOSUPPORT
            return None
        if name.sin_port != 0:
            if (name.sin_port != proto and proto != IPPROTO_RAW) or name.sin_port > 255:
                fl6.err = -EINVAL
                return None
            fl6.flowi6_proto = name.sin_port
        fl6.err = datagram6_name(np, raw, fl6, name)
        if fl6.err != 0:
            return None
    else:
        if raw.sk_state != TCP_ESTABLISHED:
            fl6.err = -EDESTADDRREQ
            return None
        fl6.daddr = raw.sk_v6_daddr
        fl6.flowlabel = np.flow_label
    fl6.err = datagram6_ctl(raw, np, msg, fl6, ipc6)
    if fl6.err < 0:
        return None
    if fl6.daddr == 0:
        fl6.daddr = IN6ADDR_LOOPBACK
    if raw.hdrincl:
        fl6.flowi6_flags |= FLOWI_FLAG_KNOWN_NH
    elif fl6.flowi6_proto == IPPROTO_ICMPV6 and msg.remaining() >= 2:  # Linux: rawv6_probe_proto_opt
        fl6.fl6_icmp_type = i64(msg.data[msg.offset])
        fl6.fl6_icmp_code = i64(msg.data[msg.offset + 1])
    return datagram6_route(raw, np, fl6, ipc6, False)


def rawv6_push_pending_frames(raw: Raw6Sock, np: Ipv6Pinfo, fl6: Flowi6) -> int:
    """Send the datagram under construction, with its checksum where the stack computes it. 0 or a negative errno.

    -EINVAL: the datagram ends before its checksum.  Linux: net/ipv6/raw.c.
    """
    if raw.checksum:
        err = rawv6_fill_checksum(raw, fl6)
        if err != 0:
            ip6_flush_pending_frames(raw)
            return err
    err = int(ip6_push_pending_frames(raw))
    if err == -ENOBUFS and not np.recverr:
        err = 0
    return err


def rawv6_fill_checksum(raw: Raw6Sock, fl6: Flowi6) -> int:
    """Put the checksum of the datagram on the write queue into its place. 0 or -EINVAL."""
    first = skb_peek(raw.sk_write_queue)
    if first is None:
        return 0
    total: i64 = 0
    length: i64 = 0
    skb: SkBuff | None = first
    holder: SkBuff | None = None
    place: i64 = 0
    while skb is not None:
        if holder is None and raw.offset + 1 < length + skb.len:
            holder = skb
            place = raw.offset - length
        # pieces are of even length but for the last, so sums of them add up
        total += skb_checksum(skb, 0, skb.len, 0)
        length += skb.len
        skb = skb.next
    if holder is None or not pskb_may_pull(holder, place + 2):
        return -EINVAL
    at = holder.data + place
    head = holder.head
    total += 0xFFFF - ((i64(head[at]) << 8) | i64(head[at + 1]))  # what stands there now is no part of it
    check = csum_ipv6_magic(fl6.saddr, fl6.daddr, length, fl6.flowi6_proto, total)
    if check == 0 and fl6.flowi6_proto == IPPROTO_UDP:
        check = 0xFFFF
    holder.head = head[:at] + int(check).to_bytes(2, 'big') + head[at + 2:]
    holder.ip_summed = CHECKSUM_NONE
    return 0


def rawv6_send_hdrinc(raw: Raw6Sock, np: Ipv6Pinfo, fl6: Flowi6, msg: Msghdr, length: int, rt: Rt6Info) -> int:
    """Send a datagram whose IPv6 header the program made, as it is. 0 or a negative errno.  Linux: net/ipv6/raw.c."""
    net = sock_net(raw)
    if i64(length) > rt.dev.mtu:
        ipv6_local_error(raw, EMSGSIZE, fl6, rt.dev.mtu)
        return -EMSGSIZE
    if length < IPV6_HLEN:
        return -EINVAL
    if (msg.msg_flags & MSG_PROBE) != 0:
        return 0
    made = sock_alloc_send_skb(raw, length + rt.dev.hard_header_len, (msg.msg_flags & MSG_DONTWAIT) != 0)
    if isinstance(made, int):
        IP6_INC_STATS(net, IPSTATS_MIB_OUTDISCARDS)
        return made
    skb = made
    skb.head = msg.data[msg.offset:msg.offset + length]
    skb.data = 0
    skb.len = length
    skb.network_header = 0
    skb.transport_header = 0
    skb.protocol = ETH_P_IPV6
    skb.priority = raw.sk_priority
    skb.mark = raw.sk_mark
    skb.dst = rt
    skb.dev = rt.dev
    skb.ip_summed = CHECKSUM_NONE
    ipv6_hdr_parse(skb, 0)
    IP6_INC_STATS(net, IPSTATS_MIB_OUTREQUESTS)
    ret = nf_hook(NFPROTO_IPV6, NF_INET_LOCAL_OUT, net, raw, skb, None, rt.dev)
    err = int(dst_output_sk(raw, skb)) if ret == 1 else int(ret)
    if err > 0:
        err = 0 if err == 2 else -ENOBUFS  # NET_XMIT_CN is no loss
    if err != 0:
        IP6_INC_STATS(net, IPSTATS_MIB_OUTDISCARDS)
        if err == -ENOBUFS and not np.recverr:
            err = 0
    return err


# ------------------------------------------------------------------------------------------- connect, bind, close, options

def rawv6_init_sk(sk: Sock) -> int:
    """No ICMPv6 type is filtered; of ICMPv6 and mobility headers the stack computes the checksum.  Linux: net/ipv6/raw.c."""
    raw = raw6_sk(sk)
    raw.filter = 0
    if raw.sk_num == IPPROTO_ICMPV6:
        raw.checksum = True
        raw.offset = 2
    elif raw.sk_num == IPPROTO_MH:
        raw.checksum = True
        raw.offset = 4
    return 0


def rawv6_connect(sk: Sock, uaddr: Sockaddr) -> int:
    """Fix the peer.  Linux: net/ipv6/datagram.c, ip6_datagram_connect_v6_only: a raw socket speaks no IPv4."""
    if uaddr.sa_family != AF_INET6:
        return -EAFNOSUPPORT
    return ip6_datagram_connect(sk, uaddr)


def rawv6_bind(sk: Sock, uaddr: Sockaddr) -> int:
    """Receive only what is for this local address. 0 or a negative errno.  Linux: net/ipv6/raw.c."""
    if uaddr.sa_family != AF_INET6:
        return -EINVAL
    if (ipv6_addr_type(uaddr.sin6_addr) & IPV6_ADDR_MAPPED) != 0:
        return -EADDRNOTAVAIL
    lock_sock(sk)
    err = -EINVAL
    if sk.sk_state == TCP_CLOSE:
        err = rawv6_bind_locked(sk, uaddr.sin6_addr, uaddr.sin6_scope_id)
    release_sock(sk)
    return err


def rawv6_bind_locked(sk: Sock, addr: int, scope_id: i64) -> int:
    """The part of rawv6_bind that owns the sock. A link-local address binds it to that device too."""
    inet = inet_sk(sk)
    net = sock_net(sk)
    kind = ipv6_addr_type(addr)
    v4addr: i64 = 0
    if kind != IPV6_ADDR_ANY:
        if ipv6_addr_needs_scope_id(kind):
            if scope_id != 0:
                sk.sk_bound_dev_if = scope_id
            if sk.sk_bound_dev_if == 0:
                return -EINVAL
        dev = net.dev_by_index.get(int(sk.sk_bound_dev_if))
        if sk.sk_bound_dev_if != 0 and dev is None:
            return -ENODEV
        v4addr = LOOPBACK4_IPV6
        nonlocal_bind = net.ipv6.sysctl_ip_nonlocal_bind != 0 or inet.freebind or inet.transparent
        if (kind & IPV6_ADDR_MULTICAST) == 0 and not nonlocal_bind and not ipv6_chk_addr(net, addr, dev, False):
            return -EADDRNOTAVAIL
    inet.sk_rcv_saddr = v4addr
    inet.inet_saddr = v4addr
    sk.sk_v6_rcv_saddr = addr
    if (kind & IPV6_ADDR_MULTICAST) == 0:
        inet6_sk(sk).saddr = addr
    sk_dst_reset(sk)
    return 0


def raw6_destroy(sk: Sock) -> None:
    """Linux: net/ipv6/raw.c."""
    lock_sock(sk)
    ip6_flush_pending_frames(sk)
    release_sock(sk)


def is_raw6_option(level: int, optname: int) -> bool:
    """Is it one of the raw socket's own?"""
    return level == SOL_RAW or (level == SOL_IPV6 and (optname == IPV6_CHECKSUM or optname == IPV6_HDRINCL))


def rawv6_setsockopt(sk: Sock, level: int, optname: int, optval: bytes) -> int:
    """IPV6_CHECKSUM, IPV6_HDRINCL, ICMPV6_FILTER; others are IPv6's. 0 or a negative errno.  Linux: net/ipv6/raw.c."""
    if level == SOL_ICMPV6:
        if sk.sk_num != IPPROTO_ICMPV6:
            return -EOPNOTSUPP
        return rawv6_seticmpfilter(sk, optname, optval)
    if not is_raw6_option(level, optname):
        return int(ipv6_setsockopt(sk, level, optname, optval))
    return do_rawv6_setsockopt(raw6_sk(sk), level, optname, optval)


def rawv6_seticmpfilter(sk: Sock, optname: int, optval: bytes) -> int:
    """A filter that is shorter than 32 bytes leaves the rest as it is.  Linux: net/ipv6/raw.c."""
    if optname != ICMPV6_FILTER:
        return -ENOPROTOOPT
    raw = raw6_sk(sk)
    old = raw.filter.to_bytes(32, 'little')
    new = optval[:32]
    raw.filter = int.from_bytes(new + old[len(new):], 'little')
    return 0


def do_rawv6_setsockopt(raw: Raw6Sock, level: int, optname: int, optval: bytes) -> int:
    """Linux: net/ipv6/raw.c."""
    if len(optval) < 4:
        return -EINVAL
    val = int_of(optval)
    if optname == IPV6_HDRINCL:
        raw.hdrincl = val != 0
        return 0
    if optname == IPV6_CHECKSUM:
        if raw.sk_num == IPPROTO_ICMPV6 and level == SOL_IPV6:
            return -EINVAL  # RFC 3542, 3.1: it is the stack's; by SOL_RAW it can be had nevertheless
        if val > 0 and (val & 1) != 0:
            return -EINVAL
        raw.checksum = val >= 0
        if val >= 0:
            raw.offset = val
        return 0
    return -ENOPROTOOPT


def rawv6_getsockopt(sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
    """Linux: net/ipv6/raw.c."""
    raw = raw6_sk(sk)
    if level == SOL_ICMPV6:
        if sk.sk_num != IPPROTO_ICMPV6:
            return OptResult(-EOPNOTSUPP, b'')
        if optname != ICMPV6_FILTER:
            return OptResult(-ENOPROTOOPT, b'')
        if optlen < 0:
            return OptResult(-EINVAL, b'')
        return OptResult(0, raw.filter.to_bytes(32, 'little')[:optlen])
    if not is_raw6_option(level, optname):
        return ipv6_getsockopt(sk, level, optname, optlen)
    if optlen < 0:
        return OptResult(-EINVAL, b'')
    if optname == IPV6_HDRINCL:
        val = 1 if raw.hdrincl else 0
    elif optname == IPV6_CHECKSUM:
        val = int(raw.offset) if raw.checksum else -1
    else:
        return OptResult(-ENOPROTOOPT, b'')
    return OptResult(0, int_bytes(val)[:optlen])


def raw6_seq_show(net: Net) -> str:
    """The text of /proc/net/raw6, in the order of protocols.  Linux: net/ipv6/raw.c."""
    lines = [IPV6_SEQ_DGRAM_HEADER]
    for protocol in sorted(net.ipv6.raw_v6_hash):
        for sk in net.ipv6.raw_v6_hash[protocol]:
            lines.append(ip6_dgram_sock_seq_show(sk, sk.sk_num, 0, protocol))
    return ''.join(lines)
