# SPDX-License-Identifier: Apache-2.0
"""Datagrams: cut to the path MTU as they are built, so that fragmenting them later needs no memory and no copy.

ip_make_skb builds one at once; ip_append_data adds a piece to the one that a socket holds corked (MSG_MORE),
ip_push_pending_frames sends it. Each piece that fits a fragment becomes one skb; payload is referenced where the program's bytes
lie, never copied.

Finished, the datagram is one skb: the first, whose fragments (frags) then hold the bytes of all, followed on frag_list by the
others, empty now, which ip_fragment fills again. Linux leaves the bytes in place and teaches every function to walk frag_list;
nothing else differs.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.inet import (
    IP_PMTUDISC_DO,
    IP_PMTUDISC_PROBE,
    IPPROTO_ICMP,
    ipv4_is_multicast,
)
from linnet.include.linux.ip import IP_DF
from linnet.include.linux.net_tstamp import SOF_TIMESTAMPING_OPT_ID
from linnet.include.linux.netdevice import NETIF_F_HW_CSUM, net_xmit_eval
from linnet.include.linux.skbuff import (
    CHECKSUM_NONE,
    CHECKSUM_PARTIAL,
    SkbFrag,
    SkBuff,
    SkBuffHead,
    __skb_dequeue,
    __skb_dequeue_tail,
    __skb_queue_tail,
    skb_peek_tail,
)
from linnet.include.linux.socket import MSG_DONTWAIT, MSG_MORE, MSG_PROBE, Msghdr
from linnet.include.net.flow import Flowi4
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.ip import InetCork, IpcmCookie, inet_cork
from linnet.include.net.net_namespace import Net
from linnet.include.net.route import IP_MAX_MTU, Rtable
from linnet.include.net.snmp import (
    ICMP_MIB_OUTADDRMASKREPS,
    ICMP_MIB_OUTADDRMASKS,
    ICMP_MIB_OUTDESTUNREACHS,
    ICMP_MIB_OUTECHOREPS,
    ICMP_MIB_OUTECHOS,
    ICMP_MIB_OUTMSGS,
    ICMP_MIB_OUTPARMPROBS,
    ICMP_MIB_OUTREDIRECTS,
    ICMP_MIB_OUTSRCQUENCHS,
    ICMP_MIB_OUTTIMEEXCDS,
    ICMP_MIB_OUTTIMESTAMPREPS,
    ICMP_MIB_OUTTIMESTAMPS,
    IPSTATS_MIB_OUTDISCARDS,
    NET_INC_STATS,
)
from linnet.include.net.sock import Sock, sock_net
from linnet.kernel.errno import EFAULT, EINVAL, EMSGSIZE, ENETUNREACH, ENOBUFS
from linnet.net.core.skbuff import kfree_skb, skb_can_coalesce, skb_copy_bits
from linnet.net.core.skbuff_tstamp import sock_tx_timestamp_flags
from linnet.net.core.sock import sock_alloc_send_skb, sock_wmalloc
from linnet.net.ipv4.ip_output_local import (
    ip_dont_fragment,
    ip_local_out,
    ip_push_header,
    ip_select_ident,
    ip_select_ttl,
)
from linnet.net.ipv4.ip_sockglue import ip_local_error

LINUX_FILE: Final = 'net/ipv4/ip_output.c'

ICMP_OUT_MIB: Final = {
    0: ICMP_MIB_OUTECHOREPS, 3: ICMP_MIB_OUTDESTUNREACHS, 4: ICMP_MIB_OUTSRCQUENCHS, 5: ICMP_MIB_OUTREDIRECTS,
    8: ICMP_MIB_OUTECHOS, 11: ICMP_MIB_OUTTIMEEXCDS,
    12: ICMP_MIB_OUTPARMPROBS, 13: ICMP_MIB_OUTTIMESTAMPS, 14: ICMP_MIB_OUTTIMESTAMPREPS,
    17: ICMP_MIB_OUTADDRMASKS, 18: ICMP_MIB_OUTADDRMASKREPS,
}


def icmp_out_count(net: Net, type: i64) -> None:
    """Count an ICMP message that is sent.  Linux: net/ipv4/icmp.c; it stands below its caller here."""
    if type < 0 or type > 255:
        return
    net.mib.icmp_types[256 + type] += 1
    NET_INC_STATS(net, ICMP_MIB_OUTMSGS)
    field = ICMP_OUT_MIB.get(int(type))
    if field is not None:
        NET_INC_STATS(net, field)


def skb_append_bytes(skb: SkBuff, page: bytes, offset: i64, size: i64) -> None:
    """Append a run of payload by reference, to any number of fragments (a datagram's pieces are few)."""
    if size <= 0:
        return
    if skb_can_coalesce(skb, page, offset):
        last = skb.frags[-1]
        skb.frags[-1] = SkbFrag(page, last.offset, last.size + size)
    else:
        skb.frags.append(SkbFrag(page, offset, size))
    skb.len += size
    skb.data_len += size


def ip_setup_cork(sk: InetSock, cork: InetCork, ipc: IpcmCookie, rt: Rtable) -> int:
    """Begin a datagram: note its route, options and MTU. 0 or a negative errno.  Linux: net/ipv4/ip_output.c."""
    cork.opt = ipc.opt
    cork.addr = ipc.addr
    if sk.pmtudisc < IP_PMTUDISC_PROBE:
        cork.fragsize = rt.mtu()
    else:
        mtu = rt.dev.mtu
        cork.fragsize = mtu if mtu < IP_MAX_MTU else IP_MAX_MTU
    if cork.fragsize < 68:  # IPV4_MIN_MTU
        return -ENETUNREACH
    cork.gso_size = ipc.gso_size
    cork.dst = rt
    cork.length = 0
    cork.ttl = ipc.ttl
    cork.tos = ipc.tos
    cork.mark = ipc.mark
    cork.priority = ipc.priority
    cork.tsflags = ipc.tsflags
    return 0


def __ip_append_data(sk: InetSock, fl4: Flowi4, queue: SkBuffHead, cork: InetCork, msg: Msghdr, length: i64, transhdrlen: i64,
                     flags: i64) -> int:
    """Add `length` bytes, transhdrlen of them room for the transport's header and the rest msg's, to the datagram on queue.

    0 or a negative errno; then what was queued stays queued.  Linux: net/ipv4/ip_output.c.
    """
    rt = cork.dst
    assert rt is not None
    net = sock_net(sk)
    mtu = cork.fragsize
    fragheaderlen: i64 = 20 + len(cork.opt)
    maxfrag = ((mtu - fragheaderlen) & ~7)  # transport bytes of a fragment that is not the last
    maxnonfrag: i64 = 0xFFFF
    if not (sk.pmtudisc < IP_PMTUDISC_DO or sk.pmtudisc == 5):  # ip_sk_ignore_df
        maxnonfrag = mtu
    if cork.length + length > maxnonfrag - fragheaderlen:
        ip_local_error(sk, EMSGSIZE, fl4.daddr, fl4.fl4_dport, mtu - len(cork.opt))
        return -EMSGSIZE
    room = mtu - fragheaderlen
    csummode: i64 = CHECKSUM_NONE
    if (transhdrlen != 0 and length <= room and (rt.dev.features & NETIF_F_HW_CSUM) != 0 and (flags & MSG_MORE) == 0
            and fl4.flowi4_proto != IPPROTO_ICMP):
        csummode = CHECKSUM_PARTIAL
    err = ip_append_pieces(sk, queue, cork, msg, length, transhdrlen, flags, fragheaderlen, room, maxfrag, csummode)
    if err != 0:
        NET_INC_STATS(net, IPSTATS_MIB_OUTDISCARDS)
    return err


def ip_append_pieces(sk: InetSock, queue: SkBuffHead, cork: InetCork, msg: Msghdr, length: i64, transhdrlen: i64, flags: i64,
                     fragheaderlen: i64, room: i64, maxfrag: i64, csummode: i64) -> int:
    """Both families' part of __ip_append_data: fill the last piece of queue and add further ones.

    Of what follows fragheaderlen bytes of headers, a piece that ends the datagram takes room bytes, another one maxfrag.
    """
    skb = skb_peek_tail(queue)
    cork.length += length
    page = msg.data
    at = msg.offset
    left = length
    while left > 0 or skb is None:
        copy: i64 = 0
        if skb is not None:
            copy = room - skb.len
            if copy < left:
                copy = maxfrag - skb.len
        if skb is not None and copy > 0:
            if copy > left:
                copy = left
            if at + copy > len(page):
                cork.length -= left
                return -EFAULT
            skb_append_bytes(skb, page, at, copy)
            at += copy
            left -= copy
            continue
        # a new piece: it takes over what of the last one lies beyond a multiple of eight bytes
        gap: i64 = 0
        if skb is not None and skb.len > maxfrag:
            gap = skb.len - maxfrag
        size = left + gap
        if size > room:
            size = maxfrag
        hdr = transhdrlen if skb is None else 0
        fresh = _alloc_piece(sk, size + fragheaderlen + 15, transhdrlen != 0 and skb is None, (flags & MSG_DONTWAIT) != 0)
        if isinstance(fresh, int):
            cork.length -= left
            return fresh
        fresh.ip_summed = csummode
        csummode = CHECKSUM_NONE
        if hdr != 0:
            fresh.head = bytes(hdr)
            fresh.len = hdr
        if gap > 0 and skb is not None:
            _move_gap(skb, fresh, maxfrag)
        take = size - gap - hdr
        if take > left - hdr:
            take = left - hdr
        if take < 0 or at + take > len(page):
            cork.length -= left
            return -EINVAL if take < 0 else -EFAULT
        skb_append_bytes(fresh, page, at, take)
        at += take
        left -= take + hdr
        transhdrlen = 0
        __skb_queue_tail(queue, fresh)
        skb = fresh
    msg.offset = at
    return 0


def _alloc_piece(sk: InetSock, size: i64, first: bool, noblock: bool) -> SkBuff | int:
    """An skb for the next piece, charged to sk; the first may wait for memory."""
    if first:
        return sock_alloc_send_skb(sk, size, noblock)
    if sk.sk_wmem_alloc > 2 * sk.sk_sndbuf:
        return -ENOBUFS
    skb = sock_wmalloc(sk, size, True)
    if skb is None:
        return -ENOBUFS
    skb.hash = 0  # only what a transport's header goes before has the socket's: a raw socket's flow labels are those of flows
    return skb


def _move_gap(prev: SkBuff, skb: SkBuff, keep: i64) -> None:
    """Leave `keep` bytes in prev, and put the rest at the start of skb's payload."""
    over = prev.len - keep
    prev.len -= over
    prev.data_len -= over
    moved: list[SkbFrag] = []
    while over > 0:
        frag = prev.frags.pop()
        if frag.size <= over:
            moved.insert(0, frag)
            over -= frag.size
        else:
            prev.frags.append(SkbFrag(frag.page, frag.offset, frag.size - over))
            moved.insert(0, SkbFrag(frag.page, frag.offset + frag.size - over, over))
            over = 0
    for frag in moved:
        skb_append_bytes(skb, frag.page, frag.offset, frag.size)


def ip_append_data(sk: Sock, fl4: Flowi4, msg: Msghdr, length: i64, transhdrlen: i64, ipc: IpcmCookie, rt: Rtable | None,
                   flags: i64) -> int:
    """Add a piece to the datagram that sk holds corked, beginning one along rt where there is none.

    length counts transhdrlen (room for the transport's header, in the first piece only) and then msg's bytes from msg.offset.
    0 or a negative errno.  Linux: net/ipv4/ip_output.c, which takes the bytes through a callback.
    """
    assert isinstance(sk, InetSock)
    if (flags & MSG_PROBE) != 0:
        return 0
    cork = inet_cork(sk)
    if sk.sk_write_queue.next is None:
        if rt is None:
            return -EFAULT
        err = ip_setup_cork(sk, cork, ipc, rt)
        if err != 0:
            return err
    else:
        transhdrlen = 0
    return __ip_append_data(sk, fl4, sk.sk_write_queue, cork, msg, length, transhdrlen, flags)


def ip_cork_release(cork: InetCork) -> None:
    """The datagram is finished or given up.  Linux: net/ipv4/ip_output.c."""
    cork.opt = b''
    cork.dst = None
    cork.length = 0


def ip_tx_timestamp(sk: InetSock, skb: SkBuff, tsflags: i64) -> None:
    """Let a finished datagram be stamped as its sender wishes; each such has the next key.  Linux: net/ipv4/ip_output.c."""
    skb.tx_flags |= sock_tx_timestamp_flags(tsflags)
    if skb.tx_flags != 0 and (tsflags & SOF_TIMESTAMPING_OPT_ID) != 0:
        skb.tskey = sk.sk_tskey
        sk.sk_tskey = (sk.sk_tskey + 1) & 0xFFFFFFFF


def ip_gather_pieces(skb: SkBuff, queue: SkBuffHead) -> None:
    """Move the payload of the pieces on queue to skb, the first; empty, they go on its frag_list."""
    tail: SkBuff | None = None
    piece = __skb_dequeue(queue)
    while piece is not None:
        skb.frags.extend(piece.frags)
        skb.len += piece.len
        skb.data_len += piece.len
        # its memory stays charged, but to the whole: the charge must not be given back here
        skb.truesize += piece.truesize
        piece.destructor = None
        piece.sk = None
        piece.frags = []
        piece.len = 0
        piece.data_len = 0
        if tail is None:
            skb.frag_list = piece
        else:
            tail.next = piece
        tail = piece
        piece = __skb_dequeue(queue)


def __ip_make_skb(sk: InetSock, fl4: Flowi4, queue: SkBuffHead, cork: InetCork) -> SkBuff | None:
    """Make one packet of the pieces on queue, with its IP header; None where there are none.  Linux: net/ipv4/ip_output.c."""
    skb = __skb_dequeue(queue)
    if skb is None:
        return None
    ip_gather_pieces(skb, queue)
    net = sock_net(sk)
    rt = cork.dst
    assert isinstance(rt, Rtable)
    # whether a router may fragment it; the host itself does where the socket does not insist on the path MTU
    df: i64 = 0
    skb.ignore_df = sk.pmtudisc < IP_PMTUDISC_DO or sk.pmtudisc == 5
    if sk.pmtudisc == IP_PMTUDISC_DO or sk.pmtudisc == IP_PMTUDISC_PROBE or (
            skb.len + 20 + len(cork.opt) <= rt.mtu() and ip_dont_fragment(sk, rt)):
        df = IP_DF
    ttl = cork.ttl
    if ttl == 0:
        ttl = sk.mc_ttl if ipv4_is_multicast(fl4.daddr) else ip_select_ttl(sk, rt)
    tos = cork.tos if cork.tos >= 0 else sk.tos
    skb.dst = rt
    ident = ip_select_ident(net, sk, fl4.daddr, df != 0 and not skb.ignore_df)
    if skb.ip_summed != CHECKSUM_PARTIAL or skb.frag_list is not None:
        skb.ip_summed = CHECKSUM_NONE
    skb.transport_header = skb.data
    proto = fl4.flowi4_proto
    ip_push_header(skb, tos, ident, df, ttl, proto, fl4.saddr, fl4.daddr, cork.opt, cork.addr)
    skb.priority = cork.priority
    skb.mark = cork.mark
    if cork.tsflags != 0:
        ip_tx_timestamp(sk, skb, cork.tsflags)
    if proto == IPPROTO_ICMP and not sk.hdrincl:
        first = skb_copy_bits(skb, skb.transport_header - skb.data, 1)
        if len(first) != 0:
            icmp_out_count(net, i64(first[0]))
    ip_cork_release(cork)
    return skb


def ip_send_skb(net: Net, skb: SkBuff) -> int:
    """Send a finished datagram: 0 or a negative errno (-ENOBUFS: a queue on the way dropped it).  Linux: net/ipv4/ip_output.c."""
    err = ip_local_out(skb)
    if err != 0:
        if err > 0:
            err = -ENOBUFS if net_xmit_eval(err) != 0 else 0
        if err != 0:
            NET_INC_STATS(net, IPSTATS_MIB_OUTDISCARDS)
    return int(err)


def ip_finish_skb(sk: Sock, fl4: Flowi4) -> SkBuff | None:
    """The corked datagram as one packet, no longer corked.  Linux: include/net/ip.h."""
    assert isinstance(sk, InetSock)
    return __ip_make_skb(sk, fl4, sk.sk_write_queue, inet_cork(sk))


def ip_push_pending_frames(sk: Sock, fl4: Flowi4) -> int:
    """Send the corked datagram: 0 or a negative errno.  Linux: net/ipv4/ip_output.c."""
    skb = ip_finish_skb(sk, fl4)
    if skb is None:
        return 0
    return ip_send_skb(sock_net(sk), skb)


def __ip_flush_pending_frames(queue: SkBuffHead, cork: InetCork) -> None:
    """Give up the datagram on queue.  Linux: net/ipv4/ip_output.c."""
    skb = __skb_dequeue_tail(queue)
    while skb is not None:
        kfree_skb(skb)
        skb = __skb_dequeue_tail(queue)
    ip_cork_release(cork)


def ip_flush_pending_frames(sk: Sock) -> None:
    """Give up the corked datagram.  Linux: net/ipv4/ip_output.c."""
    assert isinstance(sk, InetSock)
    __ip_flush_pending_frames(sk.sk_write_queue, inet_cork(sk))


def ip_make_skb(sk: Sock, fl4: Flowi4, msg: Msghdr, length: i64, transhdrlen: i64, ipc: IpcmCookie, rt: Rtable,
                flags: i64) -> SkBuff | None:
    """One datagram at once: see ip_append_data. None with ipc.err where there is none.  Linux: net/ipv4/ip_output.c."""
    assert isinstance(sk, InetSock)
    ipc.err = 0
    if (flags & MSG_PROBE) != 0:
        return None
    cork = InetCork()
    err = ip_setup_cork(sk, cork, ipc, rt)
    if err == 0:
        err = __ip_append_data(sk, fl4, cork.queue, cork, msg, length, transhdrlen, flags)
    if err != 0:
        ipc.err = err
        __ip_flush_pending_frames(cork.queue, cork)
        return None
    return __ip_make_skb(sk, fl4, cork.queue, cork)
