# SPDX-License-Identifier: Apache-2.0
"""struct dst_entry: where a packet goes next, and how: the output and input functions of a route, its device and metrics.

Output and input are small ops objects (DstOutput, DstInput), registered on the Net by the files that implement them
(ip_output.py, ip_input.py, ip_forward.py): the route code that hands them out sits below those files.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.neighbour import NUD_CONNECTED, Neighbour, neigh_hh_output

if TYPE_CHECKING:
    from linnet.include.linux.netdevice import NetDevice
    from linnet.include.net.sock import Sock

RTAX_LOCK: Final = 1
RTAX_MTU: Final = 2
RTAX_WINDOW: Final = 3
RTAX_RTT: Final = 4
RTAX_RTTVAR: Final = 5
RTAX_SSTHRESH: Final = 6
RTAX_CWND: Final = 7
RTAX_ADVMSS: Final = 8
RTAX_REORDERING: Final = 9
RTAX_HOPLIMIT: Final = 10
RTAX_INITCWND: Final = 11
RTAX_FEATURES: Final = 12
RTAX_RTO_MIN: Final = 13
RTAX_INITRWND: Final = 14
RTAX_QUICKACK: Final = 15
RTAX_CC_ALGO: Final = 16
RTAX_FASTOPEN_NO_COOKIE: Final = 17
RTAX_MAX: Final = 17


class DstOutput:
    """How a route's packets leave (ip_output, ip_mc_output, or an error function)."""

    def output(self, sk: Sock | None, skb: SkBuff) -> i64:
        """Send skb and own it. Returns 0 or a negative errno (positive: NET_XMIT_*)."""
        raise AssertionError('registered by net/ipv4/ip_output.py')


class DstInput:
    """How a route's packets come in (ip_local_deliver, ip_forward, ip_error)."""

    def input(self, skb: SkBuff) -> i64:
        """Receive skb and own it."""
        raise AssertionError('registered by net/ipv4/ip_input.py')


class DstEntry:
    """The protocol-independent part of a route. metrics[RTAX_*], 0 = not set; expires in ns, 0 = never."""

    def __init__(self, dev: NetDevice, output: DstOutput, input: DstInput) -> None:
        self.dev: NetDevice = dev
        self.dst_output: DstOutput = output
        self.dst_input: DstInput = input
        self.obsolete: i64 = 0  # the generation of the routing tables it was made in; -1: dead
        self.expires: i64 = 0
        self.error: i64 = 0
        self.metrics: list[int] = [0] * (RTAX_MAX + 1)
        self.lastuse: i64 = 0

    def check(self) -> bool:
        """Is this route still what a look-up would give? (Linux: dst->ops->check.)"""
        return self.obsolete >= 0

    def mtu(self) -> i64:
        """The path MTU in bytes, link headers not counted. (Linux: dst_mtu, dst->ops->mtu.)"""
        m: i64 = self.metrics[RTAX_MTU]
        return m if m != 0 else self.dev.mtu

    def advmss(self) -> i64:
        """The MSS to advertise. (Linux: dst_metric_advmss, dst->ops->default_advmss.)"""
        m: i64 = self.metrics[RTAX_ADVMSS]
        return m if m != 0 else self.dev.mtu - 40

    def update_pmtu(self, sk: Sock | None, skb: SkBuff | None, mtu: i64) -> None:
        """The network told a smaller MTU. (Linux: dst->ops->update_pmtu.)"""

        self.metrics[RTAX_MTU] = int(mtu)

    def negative_advice(self) -> DstEntry | None:
        """Retransmissions fail: keep the route (returned) or give it up (None). (Linux: dst->ops->negative_advice.)"""
        return self


def dst_output_sk(sk: Sock | None, skb: SkBuff) -> i64:
    """Send skb along its route.  Linux: include/net/dst.h."""
    dst = skb.dst
    assert dst is not None
    return dst.dst_output.output(sk, skb)


def dst_input(skb: SkBuff) -> i64:
    """Receive skb along its route.  Linux: include/net/dst.h."""
    dst = skb.dst
    assert dst is not None
    return dst.dst_input.input(skb)


def dst_metric(dst: DstEntry, metric: i64) -> i64:
    """One metric, 0 where it is not set.  Linux: include/net/dst.h."""
    return dst.metrics[metric]


def dst_metric_locked(dst: DstEntry, metric: i64) -> bool:
    """Is the metric pinned by the administrator (`mtu lock 1400`)?  Linux: include/net/dst.h."""
    return (dst.metrics[RTAX_LOCK] & (1 << metric)) != 0


def dst_neigh_output(dst: DstEntry, n: Neighbour, skb: SkBuff) -> i64:
    """Send skb to neighbour n: straight with its cached hardware header, or through n.output, which may have to ask first.

    Linux: include/net/dst.h.
    """
    if (n.nud_state & NUD_CONNECTED) != 0 and len(n.hh) != 0:
        return neigh_hh_output(n, skb)
    return n.output.output(n, skb)
