# SPDX-License-Identifier: Apache-2.0
"""Datagrams over IPv6: cut to the path MTU as they are built (how, says net/ipv4/ip_output_append.py, whose pieces these are).

A fragment that is not the only one gives eight bytes to its fragment header, so that the pieces are smaller as soon as the
datagram does not fit into one packet. Destination options for the last destination stand in front of the transport's header
in the first piece; what every fragment repeats is counted before (RFC 8200, 4.5).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import IPPROTO_ICMPV6, IPV6_PMTUDISC_PROBE
from linnet.include.linux.inet import IPPROTO_UDP
from linnet.include.linux.ipv6 import IPV6_MAXPLEN, IPV6_MIN_MTU
from linnet.include.linux.netdevice import NETIF_F_HW_CSUM, net_xmit_eval
from linnet.include.linux.skbuff import (
    CHECKSUM_NONE,
    CHECKSUM_PARTIAL,
    SkBuff,
    SkBuffHead,
    __skb_dequeue,
    __skb_dequeue_tail,
)
from linnet.include.linux.socket import MSG_MORE, MSG_PROBE, SOCK_RAW, Msghdr
from linnet.include.net.dst import DstEntry
from linnet.include.net.flow import Flowi6
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.ip6_fib import Rt6Info
from linnet.include.net.ipv6 import Inet6Cork, Ipcm6Cookie, inet6_cork, inet6_sk, ipv6_addr_is_multicast
from linnet.include.net.snmp import (
    ICMP6_INC_STATS,
    ICMP6_MIB_OUTMSGS,
    ICMP6MSGOUT_INC_STATS,
    IP6_INC_STATS,
    IPSTATS_MIB_OUTDISCARDS,
    IPSTATS_MIB_OUTREQUESTS,
)
from linnet.include.net.sock import Sock, sock_net
from linnet.kernel.errno import EFAULT, EINVAL, EMSGSIZE, ENOBUFS
from linnet.net.core.skbuff import kfree_skb, skb_copy_bits
from linnet.net.ipv4.ip_output_append import ip_append_pieces, ip_gather_pieces, ip_tx_timestamp
from linnet.net.ipv6.datagram import ipv6_local_error, ipv6_local_rxpmtu
from linnet.net.ipv6.exthdrs import ipv6_dup_options, ipv6_first_hop, ipv6_push_frag_opts, ipv6_push_nfrag_opts
from linnet.net.ipv6.exthdrs_core import FRAG_HDR_LEN
from linnet.net.ipv6.ip6_output_local import (
    ip6_autoflowlabel,
    ip6_make_flowlabel,
    ip6_push_header,
    ip6_sk_ignore_df,
)
from linnet.net.ipv6.output_core import ip6_local_out
from linnet.net.ipv6.route_alloc import ip6_dst_hoplimit

LINUX_FILE: Final = 'net/ipv6/ip6_output.c'


def ip6_sk_dst_hoplimit(sk: Sock, fl6: Flowi6, dst: DstEntry) -> i64:
    """The hop limit of this socket's packets along dst.  Linux: include/net/ipv6.h."""
    np = inet6_sk(sk)
    hlimit = np.mcast_hops if ipv6_addr_is_multicast(fl6.daddr) else np.hop_limit
    return hlimit if hlimit >= 0 else ip6_dst_hoplimit(dst)


def ip6_setup_cork(sk: InetSock, fl6: Flowi6, cork: Inet6Cork, ipc6: Ipcm6Cookie, rt: Rt6Info) -> int:
    """Begin a datagram: note its route, headers and MTU. 0 or a negative errno.  Linux: net/ipv6/ip6_output.c."""
    np = inet6_sk(sk)
    mtu = rt.dev.mtu if np.pmtudisc >= IPV6_PMTUDISC_PROBE else rt.mtu()
    if np.frag_size != 0 and np.frag_size < mtu:
        mtu = np.frag_size
    if mtu < IPV6_MIN_MTU:
        return -EINVAL
    opt = ipc6.opt
    cork.opt6 = ipv6_dup_options(opt) if opt is not None else None
    cork.hop_limit = ipc6.hlimit if ipc6.hlimit >= 0 else ip6_sk_dst_hoplimit(sk, fl6, rt)
    cork.tclass = ipc6.tclass if ipc6.tclass >= 0 else np.tclass
    cork.dontfrag = ipc6.dontfrag > 0 or (ipc6.dontfrag < 0 and np.dontfrag)
    cork.fragsize = mtu
    cork.gso_size = ipc6.gso_size
    cork.dst = rt
    cork.length = 0
    cork.mark = ipc6.mark
    cork.priority = ipc6.priority
    cork.tsflags = ipc6.tsflags
    return 0


def __ip6_append_data(sk: InetSock, fl6: Flowi6, queue: SkBuffHead, cork: Inet6Cork, msg: Msghdr, length: i64, transhdrlen: i64,
                      flags: i64) -> int:
    """Add `length` bytes, transhdrlen of them room for the transport's header and the rest msg's, to the datagram on queue.

    0 or a negative errno; then what was queued stays queued.  Linux: net/ipv6/ip6_output.c.
    """
    rt = cork.dst
    assert rt is not None
    net = sock_net(sk)
    fragheaderlen: i64 = 40
    flen: i64 = 0
    opt = cork.opt6
    if opt is not None:
        fragheaderlen += opt.opt_nflen
        flen = opt.opt_flen
    mtu = cork.fragsize
    headersize = fragheaderlen + flen
    maxfrag = ((mtu - fragheaderlen) & ~7) - FRAG_HDR_LEN
    limit = mtu
    if ip6_sk_ignore_df(inet6_sk(sk)):
        limit = 40 + IPV6_MAXPLEN
    limit -= headersize
    total = cork.length + length  # of the transport: options are not counted in it
    if total > mtu - headersize and cork.dontfrag:
        ipv6_local_rxpmtu(sk, fl6, mtu - headersize + 40)
    if maxfrag <= 0 or headersize + transhdrlen > mtu or total > limit or (total > mtu - headersize and cork.dontfrag):
        ipv6_local_error(sk, EMSGSIZE, fl6, mtu - headersize + 40)
        return -EMSGSIZE
    csummode: i64 = CHECKSUM_NONE
    if (transhdrlen != 0 and sk.sk_protocol == IPPROTO_UDP and headersize == 40 and length <= mtu - headersize
            and (flags & MSG_MORE) == 0 and (rt.dev.features & NETIF_F_HW_CSUM) != 0):
        csummode = CHECKSUM_PARTIAL
    room = mtu - fragheaderlen
    if total > mtu - headersize:
        room = maxfrag
    if queue.next is not None:
        flen = 0
    err = ip_append_pieces(sk, queue, cork, msg, length + flen, transhdrlen + flen, flags, fragheaderlen, room, maxfrag, csummode)
    if queue.next is not None:
        cork.length -= flen
    if err != 0:
        IP6_INC_STATS(net, IPSTATS_MIB_OUTDISCARDS)
    return err


def ip6_append_data(sk: Sock, fl6: Flowi6, msg: Msghdr, length: i64, transhdrlen: i64, ipc6: Ipcm6Cookie, rt: Rt6Info | None,
                    flags: i64) -> int:
    """Add a piece to the datagram that sk holds corked, beginning one along rt where there is none.

    length counts transhdrlen (room for the transport's header, in the first piece only) and then msg's bytes from msg.offset.
    0 or a negative errno.  Linux: net/ipv6/ip6_output.c, which takes the bytes through a callback.
    """
    assert isinstance(sk, InetSock)
    if (flags & MSG_PROBE) != 0:
        return 0
    np = inet6_sk(sk)
    cork = inet6_cork(np)
    if sk.sk_write_queue.next is None:
        if rt is None:
            return -EFAULT
        err = ip6_setup_cork(sk, fl6, cork, ipc6, rt)
        if err != 0:
            return err
        np.cork_fl6 = fl6
    else:
        transhdrlen = 0
    return __ip6_append_data(sk, np.cork_fl6, sk.sk_write_queue, cork, msg, length, transhdrlen, flags)


def ip6_cork_release(cork: Inet6Cork) -> None:
    """The datagram is finished or given up.  Linux: net/ipv6/ip6_output.c."""
    cork.opt6 = None
    cork.dst = None
    cork.length = 0


def __ip6_make_skb(sk: InetSock, fl6: Flowi6, queue: SkBuffHead, cork: Inet6Cork) -> SkBuff | None:
    """Make one packet of the pieces on queue, with its headers; None where there are none.  Linux: net/ipv6/ip6_output.c."""
    skb = __skb_dequeue(queue)
    if skb is None:
        return None
    ip_gather_pieces(skb, queue)
    net = sock_net(sk)
    np = inet6_sk(sk)
    rt = cork.dst
    assert isinstance(rt, Rt6Info)
    opt = cork.opt6
    skb.ignore_df = ip6_sk_ignore_df(np)
    if skb.ip_summed != CHECKSUM_PARTIAL or skb.frag_list is not None:
        skb.ip_summed = CHECKSUM_NONE
    proto = fl6.flowi6_proto
    icmp = proto == IPPROTO_ICMPV6
    final_dst = fl6.daddr
    if opt is not None and opt.opt_flen != 0:  # the room that was left for it makes way for it
        skb.head = skb.head[skb.data + opt.opt_flen:]
        skb.data = 0
        skb.len -= opt.opt_flen
    skb.transport_header = skb.data
    if opt is not None:
        if opt.opt_flen != 0:
            proto = ipv6_push_frag_opts(skb, opt, proto)
        if opt.opt_nflen != 0:
            proto = ipv6_push_nfrag_opts(skb, opt, proto, final_dst)
            final_dst = ipv6_first_hop(opt, final_dst)
    skb.dst = rt
    label = ip6_make_flowlabel(net, skb, fl6.flowlabel, ip6_autoflowlabel(net, np), fl6)
    ip6_push_header(skb, cork.tclass, label, proto, cork.hop_limit, fl6.saddr, final_dst)
    skb.priority = cork.priority
    skb.mark = cork.mark
    if cork.tsflags != 0:
        ip_tx_timestamp(sk, skb, cork.tsflags)
    IP6_INC_STATS(net, IPSTATS_MIB_OUTREQUESTS)
    if icmp:
        kind = fl6.fl6_icmp_type
        if sk.sk_type != SOCK_RAW or sk.hdrincl:
            first = skb_copy_bits(skb, skb.transport_header - skb.data, 1)
            if len(first) != 0:
                kind = i64(first[0])
        ICMP6MSGOUT_INC_STATS(net, kind)
        ICMP6_INC_STATS(net, ICMP6_MIB_OUTMSGS)
    ip6_cork_release(cork)
    return skb


def ip6_send_skb(skb: SkBuff) -> int:
    """Send a finished datagram: 0 or a negative errno (-ENOBUFS: a queue dropped it).  Linux: net/ipv6/ip6_output.c."""
    dst = skb.dst
    assert dst is not None
    net = dst.dev.net
    err = ip6_local_out(net, skb.sk, skb)
    if err != 0:
        if err > 0:
            err = -ENOBUFS if net_xmit_eval(err) != 0 else 0
        if err != 0:
            IP6_INC_STATS(net, IPSTATS_MIB_OUTDISCARDS)
    return int(err)


def ip6_finish_skb(sk: Sock) -> SkBuff | None:
    """The corked datagram as one packet, no longer corked.  Linux: include/net/ipv6.h."""
    assert isinstance(sk, InetSock)
    np = inet6_sk(sk)
    return __ip6_make_skb(sk, np.cork_fl6, sk.sk_write_queue, inet6_cork(np))


def ip6_push_pending_frames(sk: Sock) -> int:
    """Send the corked datagram: 0 or a negative errno.  Linux: net/ipv6/ip6_output.c."""
    skb = ip6_finish_skb(sk)
    return ip6_send_skb(skb) if skb is not None else 0


def __ip6_flush_pending_frames(queue: SkBuffHead, cork: Inet6Cork) -> None:
    """Give up the datagram on queue.  Linux: net/ipv6/ip6_output.c."""
    skb = __skb_dequeue_tail(queue)
    while skb is not None:
        kfree_skb(skb)
        skb = __skb_dequeue_tail(queue)
    ip6_cork_release(cork)


def ip6_flush_pending_frames(sk: Sock) -> None:
    """Give up the corked datagram.  Linux: net/ipv6/ip6_output.c."""
    __ip6_flush_pending_frames(sk.sk_write_queue, inet6_cork(inet6_sk(sk)))


def ip6_make_skb(sk: Sock, fl6: Flowi6, msg: Msghdr, length: i64, transhdrlen: i64, ipc6: Ipcm6Cookie, rt: Rt6Info,
                 flags: i64) -> SkBuff | None:
    """One datagram at once: see ip6_append_data. None with ipc6.err where there is none.  Linux: net/ipv6/ip6_output.c."""
    assert isinstance(sk, InetSock)
    ipc6.err = 0
    if (flags & MSG_PROBE) != 0:
        return None
    cork = Inet6Cork()
    err = ip6_setup_cork(sk, fl6, cork, ipc6, rt)
    if err == 0:
        err = __ip6_append_data(sk, fl6, cork.queue, cork, msg, length, transhdrlen, flags)
    if err != 0:
        ipc6.err = err
        __ip6_flush_pending_frames(cork.queue, cork)
        return None
    return __ip6_make_skb(sk, fl6, cork.queue, cork)
