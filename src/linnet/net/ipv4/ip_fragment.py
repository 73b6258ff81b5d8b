# SPDX-License-Identifier: Apache-2.0
"""Reassembly of IPv4 datagrams (RFC 791, 3.2; RFC 815; RFC 1122, 3.3.2).

Fragments of a datagram share source, destination, identification and protocol. They wait up to net.ipv4.ipfrag_time (30 s) from
the first that came; then all are dropped, and the sender is told, if the fragment with the header is there to be quoted. Rules of
refusal: see inet_fragment.py. Cutting is the other way: ip_fragment in ip_output.py.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmp import ICMP_EXC_FRAGTIME, ICMP_TIME_EXCEEDED
from linnet.include.linux.ip import (
    INET_ECN_CE,
    INET_ECN_MASK,
    IP_DF,
    IP_MF,
    IP_OFFSET,
    IPSKB_FRAG_COMPLETE,
    IPSKB_FRAG_PMTU,
    ip_daddr,
    ip_frag_off,
    ip_id,
    ip_ihl,
    ip_protocol,
    ip_saddr,
    ip_tos,
    ip_ttl,
    iphdr_build,
)
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.skbuff import CHECKSUM_NONE, CHECKSUM_UNNECESSARY, SkBuff
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_DUP_FRAG,
    SKB_DROP_REASON_FRAG_REASM_TIMEOUT,
    SKB_DROP_REASON_FRAG_TOO_FAR,
    SKB_DROP_REASON_IP_INHDR,
    SKB_DROP_REASON_NOMEM,
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_DROP_REASON_PKT_TOO_BIG,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import (
    IPSTATS_MIB_REASMFAILS,
    IPSTATS_MIB_REASMOKS,
    IPSTATS_MIB_REASMOVERLAPS,
    IPSTATS_MIB_REASMREQDS,
    IPSTATS_MIB_REASMTIMEOUT,
    NET_INC_STATS,
)
from linnet.kernel.errno import E2BIG, EINPROGRESS, EINVAL, ENOMEM
from linnet.kernel.slab import KmemCache
from linnet.kernel.timer import mod_timer
from linnet.net.core.skbuff import kfree_skb_reason, pskb_may_pull, pskb_trim
from linnet.net.ipv4.icmp import icmp_send
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
    inet_frag_purge,
    inet_frag_queue_insert,
    inet_frag_reasm_finish,
    inet_frag_reasm_prepare,
)
from linnet.net.ipv4.route_input import ip_route_input_noref

IP_DEFRAG_LOCAL_DELIVER: Final = 0
NSEC_PER_SEC: Final = 1_000_000_000
ECN_INVALID: Final = 0xFF


class Ipq(FragQueue):
    """Linux: struct ipq: the fragments of one IPv4 datagram."""

    def __init__(self, fqdir: Fqdir, net: Net, key: int) -> None:
        super().__init__(fqdir, net, key)
        self.ecn: i64 = 0  # bit 1 << codepoint of every fragment
        self.max_df_size: i64 = 0  # of the largest fragment with DF
        self.iif: i64 = 0
        self.rid: i64 = 0
        self.saddr: i64 = 0

    def function(self) -> None:
        """Time is up."""
        ip_expire(self)


class Ip4Fqdir(Fqdir):
    """IPv4's queues of one host. rids: how many fragments each source sent, to tell a stale queue."""

    def __init__(self, cache: KmemCache) -> None:
        super().__init__(cache)
        self.rids: dict[int, int] = {}

    def new_queue(self, net: Net, key: int) -> FragQueue:
        """See Ipq."""
        return Ipq(self, net, key)


def ipfrag_init(net: Net) -> None:
    """Make the table of queues.  Linux: net/ipv4/ip_fragment.c."""
    net.ipv4.ip_frags = Ip4Fqdir(inet_frag_cache(net, 'ip4-frags', SIZEOF_IPQ))


def ip4_frag_ecn(tos: i64) -> i64:
    """The bit for a fragment's ECN codepoint.  Linux: net/ipv4/inet_fragment.c."""
    return 1 << (tos & INET_ECN_MASK)


def ip_frag_ecn_table(ecn: i64) -> i64:
    """What the ECN of the whole is to be or'ed with: CE where a fragment has it; ECN_INVALID where ECT or CE meets not-ECT.

    Linux: net/ipv4/inet_fragment.c.  RFC 3168, 5.3.
    """
    if (ecn & 1) != 0 and (ecn & ~1) != 0:
        return ECN_INVALID
    if (ecn & (1 << INET_ECN_CE)) != 0 and (ecn & ~(1 << INET_ECN_CE)) != 0:
        return INET_ECN_CE
    return 0


def ip_frag_key(head: bytes, at: i64) -> int:
    """The identity of the datagram that the fragment at byte `at` belongs to."""
    key = int(ip_saddr(head, at))
    key = (key << 32) | int(ip_daddr(head, at))
    key = (key << 16) | int(ip_id(head, at))
    return (key << 8) | int(ip_protocol(head, at))


def ip_expire(qp: Ipq) -> None:
    """The datagram did not become whole in time.  Linux: net/ipv4/ip_fragment.c.  RFC 792, RFC 1122, 3.3.2."""
    if qp.flags & INET_FRAG_COMPLETE:
        return
    net = qp.net
    inet_frag_kill(qp)
    NET_INC_STATS(net, IPSTATS_MIB_REASMFAILS)
    NET_INC_STATS(net, IPSTATS_MIB_REASMTIMEOUT)
    if qp.flags & INET_FRAG_FIRST_IN and qp.frags:
        head = qp.frags[0]
        dev = net.dev_by_index.get(int(qp.iif))
        if dev is not None:
            head.dev = dev
            at = head.network_header
            tos = ip_tos(head.head, at) & 0x1C
            if ip_route_input_noref(head, ip_daddr(head.head, at), ip_saddr(head.head, at), tos, dev) == 0:
                icmp_send(head, ICMP_TIME_EXCEEDED, ICMP_EXC_FRAGTIME, 0)
    inet_frag_destroy(qp, SKB_DROP_REASON_FRAG_REASM_TIMEOUT)


def ip_find(net: Net, skb: SkBuff) -> Ipq | None:
    """The queue that skb belongs to.  Linux: net/ipv4/ip_fragment.c."""
    fqdir = net.ipv4.ip_frags
    assert isinstance(fqdir, Ip4Fqdir)
    key = ip_frag_key(skb.head, skb.network_header)
    q = inet_frag_find(fqdir, net, key, net.ipv4.sysctl_ipfrag_high_thresh, net.ipv4.sysctl_ipfrag_time * NSEC_PER_SEC)
    if q is None:
        return None
    assert isinstance(q, Ipq)
    if q.saddr == 0:
        q.saddr = ip_saddr(skb.head, skb.network_header)
    return q


def ip_frag_too_far(qp: Ipq) -> bool:
    """Did the source send more than ipfrag_max_dist other fragments since the last of this datagram? Then the identification came
    round.

    Linux: net/ipv4/ip_fragment.c.
    """
    fqdir = qp.fqdir
    assert isinstance(fqdir, Ip4Fqdir)
    limit = qp.net.ipv4.sysctl_ipfrag_max_dist
    if limit == 0:
        return False
    key = int(qp.saddr)
    count = fqdir.rids.get(key, 0) + 1
    fqdir.rids[key] = count
    start = qp.rid
    qp.rid = count
    far = len(qp.frags) != 0 and count - start > limit
    if far:
        NET_INC_STATS(qp.net, IPSTATS_MIB_REASMFAILS)
    return far


def ip_frag_reinit(qp: Ipq) -> None:
    """Begin the queue anew.  Linux: net/ipv4/ip_fragment.c."""
    inet_frag_purge(qp, SKB_DROP_REASON_FRAG_TOO_FAR)
    qp.flags = 0
    qp.len = 0
    qp.meat = 0
    qp.max_size = 0
    qp.max_df_size = 0
    qp.ecn = 0
    mod_timer(qp, qp.net.clock.now + qp.net.ipv4.sysctl_ipfrag_time * NSEC_PER_SEC)


def _discard_queue(qp: Ipq, skb: SkBuff) -> int:
    """The fragments contradict each other: all go, and skb."""
    inet_frag_kill(qp)
    NET_INC_STATS(qp.net, IPSTATS_MIB_REASMFAILS)
    inet_frag_destroy(qp, SKB_DROP_REASON_NOT_SPECIFIED)
    kfree_skb_reason(skb, SKB_DROP_REASON_IP_INHDR)
    return -EINVAL


def ip_frag_queue(qp: Ipq, skb: SkBuff) -> int:
    """Add skb: 0 where the datagram is complete, in skb; -EINPROGRESS where it waits now; another errno where it was dropped.

    Linux: net/ipv4/ip_fragment.c.
    """
    if qp.flags & INET_FRAG_COMPLETE:
        kfree_skb_reason(skb, SKB_DROP_REASON_NOT_SPECIFIED)
        return -EINVAL
    if skb.ip_flags & IPSKB_FRAG_COMPLETE == 0 and ip_frag_too_far(qp):
        ip_frag_reinit(qp)
    at = skb.network_header
    ihl = ip_ihl(skb.head, at)
    frag_off = ip_frag_off(skb.head, at)
    offset = (frag_off & IP_OFFSET) << 3
    end = offset + skb.len - (at - skb.data) - ihl
    if frag_off & IP_MF == 0:
        # the last: nothing may lie behind it, and no other last one may differ
        if end < qp.len or (qp.flags & INET_FRAG_LAST_IN and end != qp.len):
            return _discard_queue(qp, skb)
        qp.flags |= INET_FRAG_LAST_IN
        qp.len = end
    else:
        if end & 7:
            end &= ~7
            if skb.ip_summed != CHECKSUM_UNNECESSARY:
                skb.ip_summed = CHECKSUM_NONE
        if end > qp.len:
            if qp.flags & INET_FRAG_LAST_IN:
                return _discard_queue(qp, skb)
            qp.len = end
    if end == offset or not pskb_may_pull(skb, at - skb.data + ihl):
        return _discard_queue(qp, skb)
    step = at - skb.data + ihl
    skb.data += step
    skb.len -= step
    pskb_trim(skb, end - offset)
    dev = skb.dev
    err = inet_frag_queue_insert(qp, skb, int(offset), int(end))
    if err != 0:
        if err == IPFRAG_DUP:
            kfree_skb_reason(skb, SKB_DROP_REASON_DUP_FRAG)
            return -EINVAL
        NET_INC_STATS(qp.net, IPSTATS_MIB_REASMOVERLAPS)
        return _discard_queue(qp, skb)
    if dev is not None:
        qp.iif = dev.ifindex
    qp.meat += skb.len
    qp.ecn |= ip4_frag_ecn(ip_tos(skb.head, skb.network_header))
    qp.fqdir.mem += skb.truesize
    if offset == 0:
        qp.flags |= INET_FRAG_FIRST_IN
    fragsize = skb.len + ihl
    if fragsize > qp.max_size:
        qp.max_size = fragsize
    if frag_off & IP_DF and fragsize > qp.max_df_size:
        qp.max_df_size = fragsize
    both = INET_FRAG_FIRST_IN | INET_FRAG_LAST_IN
    if qp.flags & both == both and qp.meat == qp.len:
        return ip_frag_reasm(qp, skb, dev)
    skb.dst = None
    return -EINPROGRESS


def ip_frag_reasm(qp: Ipq, skb: SkBuff, dev: NetDevice | None) -> int:
    """All fragments are there: make skb the datagram. 0 or a negative errno (skb is gone then).

    Linux: net/ipv4/ip_fragment.c.
    """
    net = qp.net
    inet_frag_kill(qp)
    ecn = ip_frag_ecn_table(qp.ecn)
    dst = skb.dst
    if ecn != ECN_INVALID:
        inet_frag_reasm_prepare(qp, skb)
        ihl = ip_ihl(skb.head, skb.network_header)
        if ihl + qp.len <= 65535:
            inet_frag_reasm_finish(qp, skb)
            _rebuild_header(qp, skb, ihl, ecn)
            skb.dst = dst
            skb.dev = dev
            NET_INC_STATS(net, IPSTATS_MIB_REASMOKS)
            inet_frag_destroy(qp, SKB_DROP_REASON_NOT_SPECIFIED)
            return 0
    err = -EINVAL if ecn == ECN_INVALID else -E2BIG
    NET_INC_STATS(net, IPSTATS_MIB_REASMFAILS)
    inet_frag_destroy(qp, SKB_DROP_REASON_PKT_TOO_BIG)
    return err


def _rebuild_header(qp: Ipq, skb: SkBuff, ihl: i64, ecn: i64) -> None:
    """Push the first fragment's header back, as that of the whole."""
    head = skb.head
    at = skb.network_header
    tos = ip_tos(head, at) | ecn
    frag_off: i64 = 0
    if qp.max_df_size == qp.max_size:
        skb.ip_flags |= IPSKB_FRAG_PMTU
        frag_off = IP_DF
    skb.frag_max_size = qp.max_df_size if qp.max_df_size > qp.max_size else qp.max_size
    options = head[at + 20:at + ihl]
    header = iphdr_build(tos, ihl + qp.len, ip_id(head, at), frag_off, ip_ttl(head, at), ip_protocol(head, at),
                         ip_saddr(head, at), ip_daddr(head, at), options)
    skb.head = head[:at] + header + head[at + ihl:]
    skb.len += skb.data - at
    skb.data = at
    skb.tos = tos
    skb.transport_header = at + ihl


def ip_defrag(net: Net, skb: SkBuff, user: i64) -> int:
    """Reassemble: 0 where skb is a whole datagram now; else skb is not the caller's any more.  Linux: net/ipv4/ip_fragment.c."""
    NET_INC_STATS(net, IPSTATS_MIB_REASMREQDS)
    qp = ip_find(net, skb)
    if qp is None:
        NET_INC_STATS(net, IPSTATS_MIB_REASMFAILS)
        kfree_skb_reason(skb, SKB_DROP_REASON_NOMEM)
        return -ENOMEM
    return ip_frag_queue(qp, skb)
