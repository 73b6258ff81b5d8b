# SPDX-License-Identifier: Apache-2.0
"""MSG_ZEROCOPY: telling a program when the memory that it sent from is its own again.

Each send gets the next number of its socket. The skbs that refer to its memory, clones included, hold a reference to the send's
MsgzcUbuf; with the last one the number goes to the error queue, as a range lo..hi (ee_info, ee_data of an error of origin
SO_EE_ORIGIN_ZEROCOPY) that grows while its successor is the next. The notice says COPIED where some skb of the send was received
on this machine, tapped, or read through a TUN: whoever is slow gets a copy in Linux. Notices are charged to sk_omem_alloc,
which net.core.optmem_max bounds: a program that never reads them meets ENOBUFS.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmp import SO_EE_CODE_ZEROCOPY_COPIED, SO_EE_ORIGIN_ZEROCOPY
from linnet.include.linux.skbuff import (
    MAX_SKB_FRAGS,
    SIZEOF_SK_BUFF,
    SIZEOF_SKB_SHARED_INFO,
    SkbDestructor,
    SkbFrag,
    SkBuff,
    UbufInfo,
    __skb_queue_tail,
    skb_peek_tail,
)
from linnet.include.linux.socket import SOCK_STREAM, Msghdr
from linnet.include.net.sock import SOCK_DEAD, Sock, sock_hold, sock_net
from linnet.kernel.errno import EEXIST, EMSGSIZE
from linnet.net.core.skbuff import alloc_skb, consume_skb, skb_zcopy_set
from linnet.net.core.sock import PAGE_SIZE, sock_put

LINUX_FILE: Final = 'net/core/skbuff.c'

BYTE_LIMIT: Final = (1 << 19) - PAGE_SIZE  # one notice stands for so many bytes of several sends at the most
USHRT_MAX: Final = 0xFFFF
U32: Final = 0xFFFFFFFF
NOTICE_SIZE: Final = SIZEOF_SK_BUFF + SIZEOF_SKB_SHARED_INFO  # SKB_TRUESIZE(0)


class SockOfree(SkbDestructor):
    """skb->destructor = sock_ofree: gives option memory back."""

    def destruct(self, skb: SkBuff) -> None:
        """Linux: net/core/sock.c."""
        sk = skb.sk
        if sk is not None:
            skb.sk = None
            sk.sk_omem_alloc -= skb.truesize


SOCK_OFREE: Final = SockOfree()


def sock_omalloc(sk: Sock, size: i64) -> SkBuff | None:
    """An skb charged to option memory, None where net.core.optmem_max has no room for it.  Linux: net/core/sock.c."""
    if sk.sk_omem_alloc + NOTICE_SIZE + size > sock_net(sk).core.sysctl_optmem_max:
        return None
    skb = alloc_skb(sock_net(sk).world, size)
    skb.truesize = NOTICE_SIZE + size
    skb.sk = sk
    skb.destructor = SOCK_OFREE
    sk.sk_omem_alloc += skb.truesize
    return skb


class MsgzcUbuf(UbufInfo):
    """A send, or several in a row that share skbs.  Linux: struct ubuf_info_msgzc."""

    def __init__(self, sk: Sock, notice: SkBuff, ident: i64, size: i64) -> None:
        super().__init__()
        self.sk: Sock = sk
        self.notice: SkBuff = notice  # what will be queued, allocated when it could still fail (in Linux it is one object)
        self.id: i64 = ident
        self.len: i64 = 1  # sends
        self.bytelen: i64 = size
        self.zerocopy: bool = True

    def complete(self, success: bool) -> None:
        """Linux: net/core/skbuff.c, msg_zerocopy_ubuf_ops."""
        self.zerocopy = self.zerocopy and success
        left = self.refcnt - 1
        self.refcnt = left
        if left == 0:
            msg_zerocopy_callback(self)


def msg_zerocopy_alloc(sk: Sock, size: i64) -> MsgzcUbuf | None:
    """The notice of a send of `size` bytes, with the socket's next number. None: option memory is used up.

    Linux: net/core/skbuff.c.
    """
    notice = sock_omalloc(sk, 0)
    if notice is None:
        return None
    ident = sk.sk_zckey
    sk.sk_zckey = (ident + 1) & U32
    sock_hold(sk)
    return MsgzcUbuf(sk, notice, ident, size)


def msg_zerocopy_realloc(sk: Sock, size: i64, uarg: UbufInfo | None) -> MsgzcUbuf | None:
    """Let the notice of what is queued last (uarg) stand for this send too, if its number is the next; else a new one.

    Linux: net/core/skbuff.c.
    """
    if isinstance(uarg, MsgzcUbuf) and uarg.sk is sk:
        bytelen = uarg.bytelen + size
        following = sk.sk_zckey
        if uarg.len < USHRT_MAX - 1 and bytelen <= BYTE_LIMIT and ((uarg.id + uarg.len) & U32) == following:
            uarg.len += 1
            uarg.bytelen = bytelen
            sk.sk_zckey = (following + 1) & U32
            if sk.sk_type == SOCK_STREAM:
                uarg.refcnt += 1
            return uarg
    return msg_zerocopy_alloc(sk, size)


def net_zcopy_put(uarg: MsgzcUbuf) -> None:
    """The send call itself refers to the memory no more.  Linux: include/linux/skbuff.h."""
    uarg.complete(True)


def net_zcopy_put_abort(uarg: MsgzcUbuf) -> None:
    """The send failed: it has had no number.  Linux: net/core/skbuff.c, msg_zerocopy_put_abort."""
    sk = uarg.sk
    sk.sk_zckey = (sk.sk_zckey - 1) & U32
    uarg.len -= 1
    uarg.complete(True)


def skb_zerocopy_notify_extend(tail: SkBuff, code: i64, lo: i64, count: i64) -> bool:
    """Let the last notice of the queue stand for `count` sends from lo on too. False where they do not follow it.

    Linux: net/core/skbuff.c. Sends that were copied and sends that were not are told apart, so that none is misreported.
    """
    if tail.ack_seq >> 16 != SO_EE_ORIGIN_ZEROCOPY or tail.ack_seq & 0xFF != code:
        return False
    if lo != ((tail.tskey + 1) & U32) or ((tail.tskey - tail.end_seq) & U32) + 1 + count > U32 + 1:
        return False
    tail.tskey = (tail.tskey + count) & U32
    return True


def msg_zerocopy_callback(uarg: MsgzcUbuf) -> None:
    """Nothing refers to the memory any more: tell the program.  Linux: net/core/skbuff.c, __msg_zerocopy_callback."""
    sk = uarg.sk
    notice = uarg.notice
    if uarg.len == 0 or (sk.sk_flags & SOCK_DEAD) != 0:
        # every send failed, or nobody is left to be told
        consume_skb(notice)
        sock_put(sk)
        return
    lo = uarg.id
    code: i64 = 0 if uarg.zerocopy else SO_EE_CODE_ZEROCOPY_COPIED
    notice.seq = 0
    notice.ack_seq = (SO_EE_ORIGIN_ZEROCOPY << 16) | code
    notice.end_seq = lo
    notice.tskey = (lo + uarg.len - 1) & U32
    tail = skb_peek_tail(sk.sk_error_queue)
    if tail is not None and skb_zerocopy_notify_extend(tail, code, lo, uarg.len):
        consume_skb(notice)
    else:
        __skb_queue_tail(sk.sk_error_queue, notice)
    sk.sk_cb.error_report(sk)
    sock_put(sk)


# -- the program's memory as fragments

def iov_frag_size(msg: Msghdr) -> i64:
    """How much of what is left of msg lies in one page of one iovec, each of which is taken to begin at a page."""
    at = msg.offset
    start: i64 = 0
    for size in msg.iov_lens:
        if at < start + size:
            inside = at - start
            room = PAGE_SIZE - inside % PAGE_SIZE
            return room if room < size - inside else size - inside
        start += size
    room = PAGE_SIZE - (at - start) % PAGE_SIZE
    left = len(msg.data) - at
    return room if room < left else left


def skb_zerocopy_room(skb: SkBuff, msg: Msghdr, length: i64) -> i64:
    """How many of the next `length` bytes of msg skb can take, with a fragment for each page of each iovec.

    -EEXIST: skb belongs to another send; -EMSGSIZE: it has no fragment left. (The first half of skb_zerocopy_iter_stream.)
    """
    other = skb.uarg
    if other is not None and other is not msg.msg_ubuf:
        return -EEXIST
    at = msg.offset
    frags: i64 = len(skb.frags)
    done: i64 = 0
    while done < length and frags < MAX_SKB_FRAGS:
        size = iov_frag_size(msg)
        if size > length - done:
            size = length - done
        msg.offset += size
        done += size
        frags += 1
    msg.offset = at
    return done if done != 0 else -EMSGSIZE


def skb_zerocopy_iter_stream(skb: SkBuff, msg: Msghdr, length: i64) -> i64:
    """Append `length` bytes of msg, which skb_zerocopy_room() granted. Returns what skb is charged: each page is held whole.

    Linux: net/core/skbuff.c. msg.offset is moved by the caller.
    """
    uarg = msg.msg_ubuf
    assert uarg is not None
    at = msg.offset
    done: i64 = 0
    charge: i64 = 0
    while done < length:
        size = iov_frag_size(msg)
        if size > length - done:
            size = length - done
        skb.frags.append(SkbFrag(msg.data, msg.offset, size))
        msg.offset += size
        done += size
        charge += PAGE_SIZE
    msg.offset = at
    skb.len += done
    skb.data_len += done
    skb_zcopy_set(skb, uarg)
    return charge
