# SPDX-License-Identifier: Apache-2.0
"""Reassembly of IPv6 datagrams (RFC 8200, 4.5; RFC 5722: what overlaps is no datagram; RFC 6946: one fragment alone is whole).

Fragments of a datagram share source, destination and identification (and the device, where the addresses do not say which link
they are of). They wait up to net.ipv6.ip6frag_time (60 s) from the first that came; then all are dropped, and the sender is
told, if the fragment with the headers is there to be quoted. The queue itself is both families': see net/ipv4/inet_fragment.py.
Cutting is the other way: ip6_fragment in ip6_output.py.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmpv6 import (
    ICMPV6_EXC_FRAGTIME,
    ICMPV6_HDR_FIELD,
    ICMPV6_HDR_INCOMP,
    ICMPV6_TIME_EXCEED,
)
from linnet.include.linux.in6 import IPPROTO_FRAGMENT, IPPROTO_ICMPV6
from linnet.include.linux.inet import IPPROTO_TCP, IPPROTO_UDP
from linnet.include.linux.ipv6 import IP6SKB_FRAGMENTED, IPV6_MAXPLEN, ipv6_payload_len
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.unaligned import get_be16, get_be32
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_DUP_FRAG,
    SKB_DROP_REASON_FRAG_REASM_TIMEOUT,
    SKB_DROP_REASON_IP_INHDR,
    SKB_DROP_REASON_NOMEM,
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_DROP_REASON_PKT_TOO_BIG,
)
from linnet.include.net.ipv6 import IPV6_ADDR_LINKLOCAL, IPV6_ADDR_MULTICAST, ipv6_addr_type
from linnet.include.net.net_namespace import Net
from linnet.include.net.protocol import NetProtocol
from linnet.include.net.snmp import (
    IP6_INC_STATS,
    IPSTATS_MIB_INHDRERRORS,
    IPSTATS_MIB_REASMFAILS,
    IPSTATS_MIB_REASMOKS,
    IPSTATS_MIB_REASMOVERLAPS,
    IPSTATS_MIB_REASMREQDS,
    IPSTATS_MIB_REASMTIMEOUT,
)
from linnet.net.core.skbuff import kfree_skb_reason, pskb_may_pull, pskb_trim
from linnet.net.ipv4.inet_fragment import (
    INET_FRAG_COMPLETE,
    INET_FRAG_FIRST_IN,
    INET_FRAG_LAST_IN,
    IPFRAG_DUP,
    SIZEOF_IPQ,
    Fqdir,
    FragQueue,
    inet_frag_cache,
    inet_frag_destroy,
    inet_frag_find,
    inet_frag_kill,
    inet_frag_queue_insert,
    inet_frag_reasm_finish,
    inet_frag_reasm_prepare,
)
from linnet.net.ipv4.ip_fragment import ECN_INVALID, ip4_frag_ecn, ip_frag_ecn_table
from linnet.net.ipv6.exthdrs import icmpv6_param_prob
from linnet.net.ipv6.exthdrs_core import FRAG_HDR_LEN, IP6_MF, IP6_OFFSET, ipv6_skip_exthdr
from linnet.net.ipv6.protocol import inet6_add_protocol

NSEC_PER_SEC: Final = 1_000_000_000


class Frag6Queue(FragQueue):
    """Linux: struct frag_queue: the fragments of one IPv6 datagram."""

    def __init__(self, fqdir: Fqdir, net: Net, key: int) -> None:
        super().__init__(fqdir, net, key)
        self.ecn: i64 = 0  # bit 1 << codepoint of every fragment
        self.iif: i64 = 0

    def function(self) -> None:
        """Time is up."""
        ip6_frag_expire(self)


class Ip6Fqdir(Fqdir):
    """IPv6's queues of one host."""

    def new_queue(self, net: Net, key: int) -> FragQueue:
        """See Frag6Queue."""
        return Frag6Queue(self, net, key)


class Frag6Protocol(NetProtocol):
    """Linux: frag_protocol."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net: Net = net
        self.final = False

    def handler(self, skb: SkBuff) -> i64:
        """See ipv6_frag_rcv."""
        return ipv6_frag_rcv(self.net, skb)

    def err_handler(self, skb: SkBuff, info: i64) -> int:
        """Nobody to tell."""
        return 0


def ipv6_frag_init(net: Net) -> None:
    """Make the table of queues, and take fragments.  Linux: net/ipv6/reassembly.c."""
    net.ipv6.ip6_frags = Ip6Fqdir(inet_frag_cache(net, 'ip6-frags', SIZEOF_IPQ))
    inet6_add_protocol(net, Frag6Protocol(net), IPPROTO_FRAGMENT)


def ip6_frag_expire(fq: Frag6Queue) -> None:
    """The datagram did not become whole in time.  Linux: include/net/ipv6_frag.h, ip6frag_expire_frag_queue.  RFC 8200, 4.5."""
    if fq.flags & INET_FRAG_COMPLETE:
        return
    net = fq.net
    inet_frag_kill(fq)
    IP6_INC_STATS(net, IPSTATS_MIB_REASMFAILS)
    IP6_INC_STATS(net, IPSTATS_MIB_REASMTIMEOUT)
    if fq.flags & INET_FRAG_FIRST_IN and fq.frags:
        head = fq.frags[0]
        dev = net.dev_by_index.get(int(fq.iif))
        if dev is not None:
            head.dev = dev
            # the error quotes the packet from its IPv6 header on
            head.len += head.data - head.network_header
            head.data = head.network_header
            net.ipv6.icmp6_sender.send(head, ICMPV6_TIME_EXCEED, ICMPV6_EXC_FRAGTIME, 0)
    inet_frag_destroy(fq, SKB_DROP_REASON_FRAG_REASM_TIMEOUT)


def fq_find(net: Net, skb: SkBuff, ident: i64) -> Frag6Queue | None:
    """The queue that skb belongs to, None where memory is up.  Linux: net/ipv6/reassembly.c."""
    fqdir = net.ipv6.ip6_frags
    assert isinstance(fqdir, Ip6Fqdir)
    iif = 0
    dev = skb.dev
    if dev is not None and (ipv6_addr_type(skb.daddr6) & (IPV6_ADDR_MULTICAST | IPV6_ADDR_LINKLOCAL)) != 0:
        iif = int(dev.ifindex)
    key = (((((iif << 128) | skb.saddr6) << 128) | skb.daddr6) << 32) | int(ident)
    ipv6 = net.ipv6
    q = inet_frag_find(fqdir, net, key, ipv6.sysctl_ip6frag_high_thresh, ipv6.sysctl_ip6frag_time * NSEC_PER_SEC)
    if q is None:
        return None
    assert isinstance(q, Frag6Queue)
    return q


def ipv6frag_thdr_truncated(skb: SkBuff, start: i64, nexthdr: i64) -> bool:
    """Does a first fragment lack a header, up to the transport's? start: where in head they go on behind the fragment header.

    Linux: net/ipv6/reassembly.c.  RFC 8200, 4.5; RFC 7112.
    """
    # headers are short: what a reader of them needs is made linear
    want = start - skb.data + 256
    pskb_may_pull(skb, want if want < skb.len else skb.len)
    end = ipv6_skip_exthdr(skb.head, start, nexthdr)
    if end.offset < 0 or (end.frag_off & IP6_OFFSET) != 0:
        return False
    length: i64 = 1
    if end.nexthdr == IPPROTO_TCP:
        length = 20
    elif end.nexthdr == IPPROTO_UDP or end.nexthdr == IPPROTO_ICMPV6:
        length = 8
    return end.offset - skb.data + length > skb.len


def ipv6_frag_rcv(net: Net, skb: SkBuff) -> i64:
    """A fragment header: 1 where skb is a whole datagram now and goes on; else skb is not the caller's any more.

    Linux: net/ipv6/reassembly.c.
    """
    nh = skb.network_header
    th = skb.transport_header
    again = (skb.ip_flags & IP6SKB_FRAGMENTED) != 0  # a fragment of what was put together already
    if not again:
        IP6_INC_STATS(net, IPSTATS_MIB_REASMREQDS)
    # a jumbogram is not fragmented (RFC 2675, 3)
    if again or ipv6_payload_len(skb.head, nh) == 0 or not pskb_may_pull(skb, th + FRAG_HDR_LEN - skb.data):
        IP6_INC_STATS(net, IPSTATS_MIB_INHDRERRORS)
        icmpv6_param_prob(net, skb, ICMPV6_HDR_FIELD, th - nh, SKB_DROP_REASON_IP_INHDR)
        return -1
    head = skb.head
    frag_off = get_be16(head, th + 2) & (IP6_OFFSET | IP6_MF)
    if frag_off == 0:
        skb.transport_header = th + FRAG_HDR_LEN
        IP6_INC_STATS(net, IPSTATS_MIB_REASMOKS)
        skb.nhoff = th
        skb.ip_flags |= IP6SKB_FRAGMENTED
        skb.frag_max_size = ipv6_payload_len(head, nh) + 40
        return 1
    if frag_off == IP6_MF and ipv6frag_thdr_truncated(skb, th + FRAG_HDR_LEN, i64(head[th])):
        IP6_INC_STATS(net, IPSTATS_MIB_INHDRERRORS)
        icmpv6_param_prob(net, skb, ICMPV6_HDR_INCOMP, 0, SKB_DROP_REASON_IP_INHDR)
        return -1
    fq = fq_find(net, skb, get_be32(head, th + 4))
    if fq is None:
        IP6_INC_STATS(net, IPSTATS_MIB_REASMFAILS)
        kfree_skb_reason(skb, SKB_DROP_REASON_NOMEM)
        return -1
    return ip6_frag_queue(fq, skb, frag_off)


def _discard_queue(fq: Frag6Queue, skb: SkBuff) -> i64:
    """The fragments contradict each other: all go, and skb."""
    inet_frag_kill(fq)
    IP6_INC_STATS(fq.net, IPSTATS_MIB_REASMFAILS)
    inet_frag_destroy(fq, SKB_DROP_REASON_NOT_SPECIFIED)
    kfree_skb_reason(skb, SKB_DROP_REASON_IP_INHDR)
    return -1


def _bad_length(net: Net, skb: SkBuff, pos: i64) -> i64:
    """The field at byte pos says something impossible; the queue stays."""
    IP6_INC_STATS(net, IPSTATS_MIB_INHDRERRORS)
    icmpv6_param_prob(net, skb, ICMPV6_HDR_FIELD, pos, SKB_DROP_REASON_IP_INHDR)
    return -1


def ip6_frag_queue(fq: Frag6Queue, skb: SkBuff, frag_off: i64) -> i64:
    """Add skb: 1 where the datagram is complete, in skb; -1 where skb waits now, or was dropped.

    Linux: net/ipv6/reassembly.c.
    """
    net = fq.net
    if fq.flags & INET_FRAG_COMPLETE:
        IP6_INC_STATS(net, IPSTATS_MIB_REASMFAILS)
        kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED)
        return -1
    nh = skb.network_header
    th = skb.transport_header
    offset = frag_off & IP6_OFFSET
    end = offset + ipv6_payload_len(skb.head, nh) - (th + FRAG_HDR_LEN - nh - 40)
    if end > IPV6_MAXPLEN:
        return _bad_length(net, skb, th + 2 - nh)
    if (frag_off & IP6_MF) == 0:
        # the last: nothing may lie behind it, and no other last one may differ
        if end < fq.len or (fq.flags & INET_FRAG_LAST_IN and end != fq.len):
            return _discard_queue(fq, skb)
        fq.flags |= INET_FRAG_LAST_IN
        fq.len = end
    else:
        if (end & 7) != 0:
            return _bad_length(net, skb, 4)
        if end > fq.len:
            if fq.flags & INET_FRAG_LAST_IN:
                return _discard_queue(fq, skb)
            fq.len = end
    if end == offset:
        return _discard_queue(fq, skb)
    fragsize = skb.len + skb.data - nh
    step = th + FRAG_HDR_LEN - skb.data
    skb.data += step
    skb.len -= step
    pskb_trim(skb, end - offset)
    dev = skb.dev
    err = inet_frag_queue_insert(fq, skb, int(offset), int(end))
    if err != 0:
        if err == IPFRAG_DUP:
            kfree_skb_reason(skb, SKB_DROP_REASON_DUP_FRAG)
            return -1
        IP6_INC_STATS(net, IPSTATS_MIB_REASMOVERLAPS)
        return _discard_queue(fq, skb)
    if dev is not None:
        fq.iif = dev.ifindex
    fq.meat += skb.len
    fq.ecn |= ip4_frag_ecn(skb.tos)
    fq.fqdir.mem += skb.truesize
    if fragsize > fq.max_size:
        fq.max_size = fragsize
    if offset == 0:
        fq.flags |= INET_FRAG_FIRST_IN
    both = INET_FRAG_FIRST_IN | INET_FRAG_LAST_IN
    if fq.flags & both == both and fq.meat == fq.len:
        return ip6_frag_reasm(fq, skb, dev)
    skb.dst = None
    return -1


def ip6_frag_reasm(fq: Frag6Queue, skb: SkBuff, dev: NetDevice | None) -> i64:
    """All fragments are there: make skb the datagram. 1, or -1 (skb is gone then).  Linux: net/ipv6/reassembly.c."""
    net = fq.net
    inet_frag_kill(fq)
    ecn = ip_frag_ecn_table(fq.ecn)
    dst = skb.dst
    if ecn != ECN_INVALID:
        inet_frag_reasm_prepare(fq, skb)
        nh = skb.network_header
        hlen = skb.data - FRAG_HDR_LEN - nh  # the headers that every fragment has
        if hlen - 40 + fq.len <= IPV6_MAXPLEN:
            inet_frag_reasm_finish(fq, skb)
            _rebuild_header(fq, skb, nh, hlen, ecn)
            skb.dst = dst
            skb.dev = dev
            IP6_INC_STATS(net, IPSTATS_MIB_REASMOKS)
            inet_frag_destroy(fq, SKB_DROP_REASON_NOT_SPECIFIED)
            return 1
    IP6_INC_STATS(net, IPSTATS_MIB_REASMFAILS)
    inet_frag_destroy(fq, SKB_DROP_REASON_PKT_TOO_BIG)
    return -1


def _rebuild_header(fq: Frag6Queue, skb: SkBuff, nh: i64, hlen: i64, ecn: i64) -> None:
    """Take the fragment header out of the first fragment: what it named is named by the header before it."""
    head = skb.head
    nexthdr = head[nh + hlen:nh + hlen + 1]
    nhoff = skb.nhoff
    front = head[:nhoff] + nexthdr + head[nhoff + 1:nh + hlen]
    length = int(hlen - 40 + fq.len).to_bytes(2, 'big')
    tos = skb.tos | ecn
    first = ((get_be16(head, nh) & 0xF00F) | (tos << 4)) & 0xFFFF
    skb.head = (front[:nh] + int(first).to_bytes(2, 'big') + front[nh + 2:nh + 4] + length + front[nh + 6:] + head[skb.data:])
    skb.data = nh + hlen
    skb.transport_header = nh + hlen
    skb.ip_protocol = i64(skb.head[nh + 6])
    skb.tos = tos
    skb.nhoff = nhoff
    skb.ip_flags |= IP6SKB_FRAGMENTED
    skb.frag_max_size = fq.max_size
