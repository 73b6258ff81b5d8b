# SPDX-License-Identifier: Apache-2.0
"""SO_TIMESTAMPING: when a packet was queued, sent, acknowledged or received, told to the program that asked.

A sender's wishes ride on the skb (tx_flags, tskey). Each station that a wish names clones the packet, or makes an empty skb
(SOF_TIMESTAMPING_OPT_TSONLY), stamps it and puts it on the error queue of the socket: errno ENOMSG, origin
SO_EE_ORIGIN_TIMESTAMPING, info SCM_TSTAMP_*, data the key. With OPT_STATS TCP's figures of the moment are the skb's payload
(urg_ptr of its control block tells), and go out as a control message of their own.

Stamps of received packets are always taken; the flags only say whether they are told. There is no hardware that stamps.
"""
from __future__ import annotations

import struct
from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmp import SO_EE_ORIGIN_TIMESTAMPING
from linnet.include.linux.net_tstamp import (
    SCM_TSTAMP_ACK,
    SCM_TSTAMP_SCHED,
    SCM_TSTAMP_SND,
    SOF_TIMESTAMPING_MASK,
    SOF_TIMESTAMPING_OPT_ID,
    SOF_TIMESTAMPING_OPT_ID_TCP,
    SOF_TIMESTAMPING_OPT_RX_FILTER,
    SOF_TIMESTAMPING_OPT_STATS,
    SOF_TIMESTAMPING_OPT_TSONLY,
    SOF_TIMESTAMPING_RX_SOFTWARE,
    SOF_TIMESTAMPING_SOFTWARE,
    SOF_TIMESTAMPING_TX_ACK,
    SOF_TIMESTAMPING_TX_RECORD_MASK,
    SOF_TIMESTAMPING_TX_SCHED,
    SOF_TIMESTAMPING_TX_SOFTWARE,
)
from linnet.include.linux.skbuff import (
    SKBTX_ANY_TSTAMP,
    SKBTX_SCHED_TSTAMP,
    SKBTX_SW_TSTAMP,
    SKBTX_TXSTAMP_ACK,
    SkBuff,
    skb_push,
)
from linnet.include.linux.socket import (
    SCM_TIMESTAMPING,
    SCM_TIMESTAMPING_NEW,
    SCM_TIMESTAMPING_OPT_STATS,
    SO_TIMESTAMPING_NEW,
    SOCK_STREAM,
    SOL_SOCKET,
    Cmsg,
    Msghdr,
)
from linnet.include.net.sock import SOCK_TSTAMP_NEW, Sock, sock_net, sock_valbool_flag
from linnet.kernel.errno import EINVAL, ENOMSG
from linnet.net.core.skbuff import alloc_skb, kfree_skb, skb_clone, skb_copy_bits, skb_orphan_frags_rx
from linnet.net.core.sock import sock_queue_err_skb

LINUX_FILE: Final = 'net/core/skbuff.c'

NSEC_PER_SEC: Final = 1_000_000_000
U32: Final = 0xFFFFFFFF


def sock_set_timestamping(sk: Sock, optname: int, val: int, key: i64) -> int:
    """SO_TIMESTAMPING: 0 or -EINVAL. key: where a stream's count of bytes begins, -1 where it has not begun.

    Linux: net/core/sock.c.
    """
    if (val & ~SOF_TIMESTAMPING_MASK) != 0:
        return -EINVAL
    if (val & SOF_TIMESTAMPING_OPT_ID_TCP) != 0 and (val & SOF_TIMESTAMPING_OPT_ID) == 0:
        return -EINVAL
    if (val & SOF_TIMESTAMPING_OPT_ID) != 0 and (sk.sk_tsflags & SOF_TIMESTAMPING_OPT_ID) == 0:
        if sk.sk_type == SOCK_STREAM:
            if key < 0:
                return -EINVAL
            sk.sk_tskey = key
        else:
            sk.sk_tskey = 0
    if (val & SOF_TIMESTAMPING_OPT_STATS) != 0 and (val & SOF_TIMESTAMPING_OPT_TSONLY) == 0:
        return -EINVAL
    sk.sk_tsflags = val
    sock_valbool_flag(sk, SOCK_TSTAMP_NEW, optname == SO_TIMESTAMPING_NEW)
    return 0


def sock_cmsg_tsflags(tsflags: i64, data: bytes) -> i64:
    """The flags of one send by its control message, or -EINVAL.  Linux: net/core/sock.c, __sock_cmsg_send."""
    if len(data) != 4:
        return -EINVAL
    asked = int.from_bytes(data, 'little')
    if (asked & ~SOF_TIMESTAMPING_TX_RECORD_MASK) != 0:
        return -EINVAL
    return (tsflags & ~SOF_TIMESTAMPING_TX_RECORD_MASK) | asked


def sock_tx_timestamp_flags(tsflags: i64) -> i64:
    """The SKBTX_* bits that these SOF_* ask for.  Linux: net/socket.c, __sock_tx_timestamp."""
    flags: i64 = 0
    if (tsflags & SOF_TIMESTAMPING_TX_SOFTWARE) != 0:
        flags |= SKBTX_SW_TSTAMP
    if (tsflags & SOF_TIMESTAMPING_TX_SCHED) != 0:
        flags |= SKBTX_SCHED_TSTAMP
    if (tsflags & SOF_TIMESTAMPING_TX_ACK) != 0:
        flags |= SKBTX_TXSTAMP_ACK
    return flags


def skb_may_tx_timestamp(sk: Sock, tsonly: bool) -> bool:
    """May the packet itself come back to an unprivileged program?  Linux: net/core/skbuff.c."""
    return tsonly or sock_net(sk).core.sysctl_tstamp_allow_data != 0


def __skb_tstamp_tx(orig: SkBuff, ack_skb: SkBuff | None, sk: Sock | None, tstype: int) -> None:
    """Stamp orig, which has reached the station `tstype`, and tell the program.  Linux: net/core/skbuff.c.

    Where tstype is SCM_TSTAMP_ACK, ack_skb is what acknowledged it.
    """
    if sk is None:
        return
    tsflags = sk.sk_tsflags
    if (tsflags & (SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_STATS)) == 0 and sk.sk_type == SOCK_STREAM and tsflags == 0:
        return  # switched off since
    tsonly = (tsflags & SOF_TIMESTAMPING_OPT_TSONLY) != 0
    if not skb_may_tx_timestamp(sk, tsonly):
        return
    opt_stats = False
    if tsonly:
        stats = b''
        if (tsflags & SOF_TIMESTAMPING_OPT_STATS) != 0:
            stats = sk.sk_prot.timestamping_opt_stats(sk, orig, ack_skb)
            opt_stats = len(stats) != 0
        skb = alloc_skb(sock_net(sk).world, len(stats))
        if opt_stats:
            skb_push(skb, stats)
        skb.tx_flags = orig.tx_flags & SKBTX_ANY_TSTAMP
        skb.tskey = orig.tskey
    else:
        skb = skb_clone(orig)
        skb_orphan_frags_rx(skb)
    skb.dev = orig.dev
    skb.tstamp = sock_net(sk).clock.now
    __skb_complete_tx_timestamp(skb, sk, tstype, opt_stats)


def __skb_complete_tx_timestamp(skb: SkBuff, sk: Sock, tstype: int, opt_stats: bool) -> None:
    """Queue the stamped skb.  Linux: net/core/skbuff.c."""
    skb.seq = ENOMSG
    skb.ack_seq = SO_EE_ORIGIN_TIMESTAMPING << 16
    skb.end_seq = tstype
    skb.urg_ptr = 1 if opt_stats else 0
    key: i64 = 0
    if (sk.sk_tsflags & SOF_TIMESTAMPING_OPT_ID) != 0:
        key = skb.tskey
        if sk.sk_type == SOCK_STREAM:
            key = (key - sk.sk_tskey) & U32
    skb.tskey = key
    if sock_queue_err_skb(sk, skb) != 0:
        kfree_skb(skb)


def skb_tx_timestamp(skb: SkBuff) -> None:
    """A driver is about to give skb to its device.  Linux: include/linux/skbuff.h."""
    if (skb.tx_flags & SKBTX_SW_TSTAMP) != 0:
        __skb_tstamp_tx(skb, None, skb.sk, SCM_TSTAMP_SND)


def skb_tstamp_sched(skb: SkBuff) -> None:
    """skb enters the queueing discipline.  Linux: net/core/dev.c, __dev_queue_xmit."""
    __skb_tstamp_tx(skb, None, skb.sk, SCM_TSTAMP_SCHED)


def skb_tstamp_ack(skb: SkBuff, ack_skb: SkBuff | None, sk: Sock) -> None:
    """The byte of skb's key is acknowledged.  Linux: net/ipv4/tcp_input.c, tcp_ack_tstamp."""
    __skb_tstamp_tx(skb, ack_skb, sk, SCM_TSTAMP_ACK)


# -- telling

def scm_timestamping(wall_ns: int) -> bytes:
    """struct scm_timestamping: the software stamp, the legacy one, the hardware's: three struct timespec."""
    return struct.pack('<qqqqqq', wall_ns // NSEC_PER_SEC, wall_ns % NSEC_PER_SEC, 0, 0, 0, 0)


def sock_put_timestamping(msg: Msghdr, sk: Sock, tstamp: i64) -> None:
    """The control message for a stamp of the stack's clock, ns.  Linux: net/socket.c, put_cmsg_scm_timestamping."""
    wall = sock_net(sk).clock.epoch_ns + int(tstamp)
    new = (sk.sk_flags & SOCK_TSTAMP_NEW) != 0
    msg.msg_control.append(Cmsg(SOL_SOCKET, SCM_TIMESTAMPING_NEW if new else SCM_TIMESTAMPING, scm_timestamping(wall)))


def sock_wants_rx_timestamping(sk: Sock) -> bool:
    """Does the program want to be told when packets came?  Linux: net/socket.c, __sock_recv_timestamp."""
    tsflags = sk.sk_tsflags
    if (tsflags & SOF_TIMESTAMPING_SOFTWARE) == 0:
        return False
    return (tsflags & SOF_TIMESTAMPING_RX_SOFTWARE) != 0 or (tsflags & SOF_TIMESTAMPING_OPT_RX_FILTER) == 0


def sock_err_timestamping(msg: Msghdr, sk: Sock, skb: SkBuff) -> None:
    """The control messages of a stamped skb of the error queue.  Linux: net/socket.c, __sock_recv_timestamp."""
    if (sk.sk_tsflags & SOF_TIMESTAMPING_SOFTWARE) == 0 or skb.tstamp == 0:
        return
    sock_put_timestamping(msg, sk, skb.tstamp)
    if skb.urg_ptr != 0 and skb.len != 0:
        msg.msg_control.append(Cmsg(SOL_SOCKET, SCM_TIMESTAMPING_OPT_STATS, skb_copy_bits(skb, 0, skb.len)))
