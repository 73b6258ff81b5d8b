# SPDX-License-Identifier: Apache-2.0
"""The way out, its lowest part: identifications of fragments, where a fragment header goes, LOCAL_OUT, and hop limits."""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.in6 import IPPROTO_DSTOPTS, IPPROTO_HOPOPTS, IPPROTO_ROUTING
from linnet.include.linux.ipv6 import IPV6_MAXPLEN, ipv6_set_payload_len
from linnet.include.linux.netfilter import NF_INET_LOCAL_OUT, NFPROTO_IPV6, nf_hook
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dst import dst_output_sk
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import Sock
from linnet.net.core.skbuff import pskb_may_pull
from linnet.net.ipv6.exthdrs_core import ipv6_optlen


def ipv6_select_ident(net: Net, daddr: int, saddr: int) -> i64:
    """An identification for the fragments of one packet: 32 random bits, never 0 (RFC 7739).  Linux: net/ipv6/output_core.c."""
    ident = net.ipv6.random.u32()
    while ident == 0:
        ident = net.ipv6.random.u32()
    return ident


def ip6_find_1stfragopt(skb: SkBuff) -> i64:
    """How many bytes from the network header on belong to each fragment: the IPv6 header and extension headers up to a routing
    header. -1 where the headers are broken.

    skb.nhoff is left at the next-header field that a fragment header would change.
    Linux: net/ipv6/output_core.c. Destination options are in each fragment, as Linux sends them, where there is no routing header
    too; RFC 8200, 4.5, would have them behind the fragment header then.
    """
    at = skb.network_header
    offset = at + 40
    nhoff = at + 6
    nexthdr: i64 = i64(skb.head[nhoff])
    found_rhdr = False
    while nexthdr == IPPROTO_HOPOPTS or nexthdr == IPPROTO_ROUTING or nexthdr == IPPROTO_DSTOPTS:
        if nexthdr == IPPROTO_ROUTING:
            found_rhdr = True
        elif nexthdr == IPPROTO_DSTOPTS and found_rhdr:
            break  # behind a routing header: for the last destination alone
        if not pskb_may_pull(skb, offset + 8 - skb.data):
            return -1
        length = ipv6_optlen(i64(skb.head[offset + 1]))
        nhoff = offset
        nexthdr = i64(skb.head[offset])
        offset += length
        if offset - at > IPV6_MAXPLEN or offset - skb.data > skb.len:
            return -1
    skb.nhoff = nhoff
    return offset - at


def __ip6_local_out(net: Net, sk: Sock | None, skb: SkBuff) -> i64:
    """Put the length into the header of a packet that begins here, and let the LOCAL_OUT hooks see it. 1: go on.

    Linux: net/ipv6/output_core.c. A packet longer than the field can say has 0 there.
    """
    dst = skb.dst
    assert dst is not None
    at = skb.network_header
    length = skb.len - 40
    skb.head = ipv6_set_payload_len(skb.head, at, length if length <= IPV6_MAXPLEN else 0)
    skb.nhoff = at + 6
    skb.protocol = ETH_P_IPV6
    return nf_hook(NFPROTO_IPV6, NF_INET_LOCAL_OUT, net, sk, skb, None, dst.dev)


def ip6_local_out(net: Net, sk: Sock | None, skb: SkBuff) -> i64:
    """Send a packet with an IPv6 header along its route. 0, NET_XMIT_*, or a negative errno.  Linux: net/ipv6/output_core.c."""
    err = __ip6_local_out(net, sk, skb)
    if err == 1:
        err = dst_output_sk(sk, skb)
    return err
