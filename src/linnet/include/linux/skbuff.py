# SPDX-License-Identifier: Apache-2.0
"""struct sk_buff: a packet, as bytes, everywhere.

`head` holds the linear bytes (the headers; the whole packet where a device read it so) and is immutable: a push makes a new
head, a pull moves `data`, and clones share both without copying. The payload that hangs on `frags` is shared the same way.
The packet's bytes are head[data:] and then the fragments; `len` counts them all, `data_len` those on fragments.

    head:   | mac header | network header | transport header | linear payload |
                         ^ data (where the current layer's header starts)
    frags:  (page, offset, size) ...

The offsets mac_header, network_header and transport_header count from the start of head. What TCP and IP need at hand of their
headers (Linux: TCP_SKB_CB and IPCB) are native attributes, filled once on the way down and parsed once on the way up.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

if TYPE_CHECKING:  # forward declarations, as `struct sock;` in a C header
    from linnet.include.linux.netdevice import NetDevice
    from linnet.include.net.dst import DstEntry
    from linnet.include.net.net_namespace import World
    from linnet.include.net.sock import Sock

CHECKSUM_NONE: Final = 0
CHECKSUM_UNNECESSARY: Final = 1
CHECKSUM_COMPLETE: Final = 2
CHECKSUM_PARTIAL: Final = 3

SKB_GSO_TCPV4: Final = 1 << 0
SKB_GSO_DODGY: Final = 1 << 1
SKB_GSO_TCP_ECN: Final = 1 << 2
SKB_GSO_TCPV6: Final = 1 << 4
SKB_GSO_UDP_L4: Final = 1 << 17

PACKET_HOST: Final = 0
PACKET_BROADCAST: Final = 1
PACKET_MULTICAST: Final = 2
PACKET_OTHERHOST: Final = 3
PACKET_OUTGOING: Final = 4
PACKET_LOOPBACK: Final = 5

# skb.tx_flags: which stamps the sender wants (SCM_TSTAMP_*), by the time the packet leaves
SKBTX_HW_TSTAMP: Final = 1 << 0
SKBTX_SW_TSTAMP: Final = 1 << 1
SKBTX_SCHED_TSTAMP: Final = 1 << 6
SKBTX_TXSTAMP_ACK: Final = 1 << 8  # Linux: TCP_SKB_CB(skb)->txstamp_ack
SKBTX_ANY_TSTAMP: Final = SKBTX_HW_TSTAMP | SKBTX_SW_TSTAMP | SKBTX_SCHED_TSTAMP | SKBTX_TXSTAMP_ACK

MAX_SKB_FRAGS: Final = 17
SIZEOF_SK_BUFF: Final = 256  # struct sk_buff, cache aligned, on a 64-bit Linux
SIZEOF_SKB_SHARED_INFO: Final = 320
MAX_TCP_HEADER: Final = 320  # room Linux reserves for headers before TCP payload
GFP_ATOMIC: Final = 1
GFP_KERNEL: Final = 2


class SkbFrag:
    """A run of payload: `size` bytes of `page` from `offset`. Never modified once another skb may share it."""

    def __init__(self, page: bytes, offset: i64, size: i64) -> None:
        self.page: bytes = page
        self.offset: i64 = offset
        self.size: i64 = size


@mypyc_attr(allow_interpreted_subclasses=True)
class UbufInfo:
    """Who must hear when the last skb that refers to a program's memory is gone.  Linux: struct ubuf_info."""

    def __init__(self) -> None:
        self.refcnt: i64 = 1

    def complete(self, success: bool) -> None:
        """One reference goes; success: its bytes were not copied on the way."""
        raise AssertionError('the owner of the memory says what follows')


class SkBuff:
    """One packet. Made by __alloc_skb, ended by kfree_skb or consume_skb: those count it."""

    def __init__(self, world: World) -> None:
        self.world: World = world
        self.next: SkBuff | None = None
        self.prev: SkBuff | None = None
        self.list: SkBuffHead | None = None
        self.head: bytes = b''
        self.data: i64 = 0
        self.len: i64 = 0
        self.data_len: i64 = 0
        self.frags: list[SkbFrag] = []
        self.frag_list: SkBuff | None = None
        self.mac_header: i64 = -1
        self.network_header: i64 = -1
        self.transport_header: i64 = -1
        self.mac_len: i64 = 0
        self.truesize: i64 = 0
        self.tailroom: i64 = -1  # payload in one kmalloc'ed area: what is free behind it; -1: in pages, which can be passed on
        self.users: i64 = 1
        self.cloned: bool = False
        self.has_data: bool = False  # counted in skbuff_small_head; a clone is not
        self.fclone: bool = False  # the data is also held by a socket's queue (a TCP transmit clone)
        self.fclone_orig: SkBuff | None = None  # of a TCP transmit clone: the skb in the retransmission queue
        self.fclone_busy: i64 = 0  # of the latter: transmit clones that this host has not let go of yet
        self.destructor: SkbDestructor | None = None
        self.dev: NetDevice | None = None
        self.skb_iif: i64 = 0
        self.sk: Sock | None = None
        self.dst: DstEntry | None = None
        self.tstamp: i64 = 0  # ns; when sent (TCP: skb_mstamp) or received
        self.protocol: i64 = 0  # ETH_P_*
        self.pkt_type: i64 = PACKET_HOST
        self.priority: i64 = 0
        self.mark: i64 = 0
        self.queue_mapping: i64 = 0
        self.hash: i64 = 0
        self.ip_summed: i64 = CHECKSUM_NONE
        self.csum_start: i64 = 0  # offset in head, with CHECKSUM_PARTIAL
        self.csum_offset: i64 = 0  # from csum_start
        self.ignore_df: bool = False
        self.peeked: bool = False
        # skb_shared_info: segmentation offload
        self.gso_size: i64 = 0
        self.gso_segs: i64 = 0
        self.gso_type: i64 = 0
        self.tx_flags: i64 = 0
        self.tskey: i64 = 0
        self.uarg: UbufInfo | None = None  # a reference to it is held
        # IP's control block: parsed from the header on the way up, or put into it on the way down
        self.saddr: i64 = 0
        self.daddr: i64 = 0
        self.saddr6: int = 0  # of an IPv6 packet
        self.daddr6: int = 0
        self.tos: i64 = 0
        self.ttl: i64 = 0
        self.ip_protocol: i64 = 0
        self.ip_opt: bytes = b''  # option bytes, as in the header
        self.ip_flags: i64 = 0  # IPSKB_*; of an IPv6 packet IP6SKB_*
        self.nhoff: i64 = 0  # IPv6: where in head the next-header field stands that names the header at data
        self.frag_max_size: i64 = 0
        # TCP's control block (Linux: struct tcp_skb_cb). seq and end_seq are u32 modulo 2**32.
        self.seq: i64 = 0
        self.end_seq: i64 = 0
        self.ack_seq: i64 = 0
        self.sport: i64 = 0
        self.dport: i64 = 0
        self.window: i64 = 0  # as in the header, not scaled
        self.urg_ptr: i64 = 0
        self.tcp_doff: i64 = 0  # header length in bytes
        self.tcp_flags: i64 = 0  # TCPHDR_*
        self.sacked: i64 = 0  # TCPCB_*
        self.rtx_snd_nxt: i64 = 0  # snd_nxt when it was sent again last
        self.eor: bool = False
        self.tsorted: bool = False  # in TcpSock's list of what is out, by the time of the last transmission (tcp_tsorted_anchor)
        self.tsorted_next: SkBuff | None = None
        self.tsorted_prev: SkBuff | None = None
        self.when: i64 = 0  # ns; in an fq: when it may leave (Linux: fq_skb_cb.time_to_send)
        self.tcp_tw_isn: i64 = 0  # a SYN that reopens a connection from TIME_WAIT: the sequence number to start with
        # rate sampling (Linux: TCP_SKB_CB(skb)->tx)
        self.tx_delivered: i64 = 0
        self.tx_delivered_ce: i64 = 0
        self.tx_first_mstamp: i64 = 0
        self.tx_delivered_mstamp: i64 = 0
        self.tx_in_flight: i64 = 0
        self.tx_is_app_limited: bool = False
        # GRO (Linux: NAPI_GRO_CB)
        self.gro_same_flow: bool = False
        self.gro_flush: bool = False
        self.gro_count: i64 = 0


@mypyc_attr(allow_interpreted_subclasses=True)
class SkbDestructor:
    """Called when an skb that is owned by a socket ends (Linux: skb->destructor): sock_wfree, sock_rfree, tcp_wfree."""

    def destruct(self, skb: SkBuff) -> None:
        """Give back what the socket was charged for."""
        raise AssertionError('the destructor is set by the socket that owns the skb')


class SkBuffHead:
    """A queue of skbs, doubly linked through the skbs themselves. Initialised by skb_queue_head_init."""

    def __init__(self) -> None:
        self.next: SkBuff | None = None
        self.prev: SkBuff | None = None
        self.qlen: i64 = 0


def skb_peek(lst: SkBuffHead) -> SkBuff | None:
    """The first skb, still queued.  Linux: include/linux/skbuff.h."""
    return lst.next


def skb_peek_tail(lst: SkBuffHead) -> SkBuff | None:
    """The last skb, still queued.  Linux: include/linux/skbuff.h."""
    return lst.prev


def skb_queue_empty(lst: SkBuffHead) -> bool:
    """Linux: include/linux/skbuff.h."""
    return lst.next is None


def skb_queue_len(lst: SkBuffHead) -> i64:
    """Linux: include/linux/skbuff.h."""
    return lst.qlen


def __skb_queue_tail(lst: SkBuffHead, skb: SkBuff) -> None:
    """Append skb.  Linux: include/linux/skbuff.h."""
    tail = lst.prev
    skb.prev = tail
    skb.next = None
    skb.list = lst
    if tail is None:
        lst.next = skb
    else:
        tail.next = skb
    lst.prev = skb
    lst.qlen += 1


def __skb_queue_head(lst: SkBuffHead, skb: SkBuff) -> None:
    """Put skb first.  Linux: include/linux/skbuff.h."""
    first = lst.next
    skb.next = first
    skb.prev = None
    skb.list = lst
    if first is None:
        lst.prev = skb
    else:
        first.prev = skb
    lst.next = skb
    lst.qlen += 1


def __skb_queue_after(lst: SkBuffHead, prev: SkBuff, skb: SkBuff) -> None:
    """Put skb behind prev, which is queued on lst.  Linux: include/linux/skbuff.h."""
    follower = prev.next
    if follower is None:
        __skb_queue_tail(lst, skb)
        return
    skb.prev = prev
    skb.next = follower
    skb.list = lst
    prev.next = skb
    follower.prev = skb
    lst.qlen += 1


def __skb_queue_before(lst: SkBuffHead, follower: SkBuff, skb: SkBuff) -> None:
    """Put skb in front of follower, which is queued on lst.  Linux: include/linux/skbuff.h."""
    prev = follower.prev
    if prev is None:
        __skb_queue_head(lst, skb)
    else:
        __skb_queue_after(lst, prev, skb)


def __skb_unlink(skb: SkBuff, lst: SkBuffHead) -> None:
    """Take skb out of lst.  Linux: include/linux/skbuff.h."""
    before = skb.prev
    after = skb.next
    if before is None:
        lst.next = after
    else:
        before.next = after
    if after is None:
        lst.prev = before
    else:
        after.prev = before
    skb.next = None
    skb.prev = None
    skb.list = None
    lst.qlen -= 1


def __skb_dequeue(lst: SkBuffHead) -> SkBuff | None:
    """Take the first skb out, or None.  Linux: include/linux/skbuff.h."""
    skb = lst.next
    if skb is not None:
        __skb_unlink(skb, lst)
    return skb


def __skb_dequeue_tail(lst: SkBuffHead) -> SkBuff | None:
    """Take the last skb out, or None.  Linux: include/linux/skbuff.h."""
    skb = lst.prev
    if skb is not None:
        __skb_unlink(skb, lst)
    return skb


def skb_headlen(skb: SkBuff) -> i64:
    """Linear bytes from `data` on.  Linux: include/linux/skbuff.h."""
    return len(skb.head) - skb.data


def skb_push(skb: SkBuff, header: bytes) -> None:
    """Put `header` in front of the packet; the offsets of the headers behind it move along.

    Linux: include/linux/skbuff.h; there a length is pushed and filled in afterwards.
    """
    n: i64 = len(header)
    cut = skb.data
    if cut == 0:
        skb.head = header + skb.head
    else:
        skb.head = header + skb.head[cut:]
    shift = n - cut
    skb.data = 0
    skb.len += n
    skb.mac_header += shift
    skb.network_header += shift
    skb.transport_header += shift
    skb.csum_start += shift


def __skb_pull(skb: SkBuff, n: i64) -> None:
    """Step over n linear bytes that are known to be there.  Linux: include/linux/skbuff.h."""
    skb.data += n
    skb.len -= n


def skb_reset_mac_header(skb: SkBuff) -> None:
    """The mac header starts at `data`.  Linux: include/linux/skbuff.h."""
    skb.mac_header = skb.data


def skb_reset_network_header(skb: SkBuff) -> None:
    """The network header starts at `data`.  Linux: include/linux/skbuff.h."""
    skb.network_header = skb.data


def skb_reset_transport_header(skb: SkBuff) -> None:
    """The transport header starts at `data`.  Linux: include/linux/skbuff.h."""
    skb.transport_header = skb.data


def skb_is_gso(skb: SkBuff) -> bool:
    """A super-segment, to be cut into gso_size pieces by whoever is last able to.  Linux: include/linux/skbuff.h."""
    return skb.gso_size != 0


def skb_get(skb: SkBuff) -> SkBuff:
    """Take one more reference.  Linux: include/linux/skbuff.h."""
    skb.users += 1
    return skb


def skb_shared(skb: SkBuff) -> bool:
    """Is it referred to by more than one holder?  Linux: include/linux/skbuff.h."""
    return skb.users != 1


def skb_truesize(payload: i64) -> i64:
    """What a packet of `payload` bytes of buffer costs in memory.  Linux: SKB_TRUESIZE."""
    return payload + SIZEOF_SK_BUFF + SIZEOF_SKB_SHARED_INFO
