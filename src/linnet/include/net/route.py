# SPDX-License-Identifier: Apache-2.0
"""struct rtable: IPv4's route, as cached on a socket, a packet or a next hop; flags, TOS bits, and the start of a connecting
look-up.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from linnet.include.net.dst import DstEntry, DstInput, DstOutput
from linnet.include.net.flow import FLOWI_FLAG_ANYSRC, Flowi4, flowi4_init_output
from linnet.include.net.inet_sock import InetSock

if TYPE_CHECKING:
    from linnet.include.linux.netdevice import NetDevice

RTCF_BROADCAST: Final = 0x10000000
RTCF_MULTICAST: Final = 0x20000000
RTCF_LOCAL: Final = 0x80000000
RTCF_DOREDIRECT: Final = 0x01000000

RTO_ONLINK: Final = 0x01
IPTOS_RT_MASK: Final = 0x1C
IP_MAX_MTU: Final = 0xFFFF


class Rtable(DstEntry):
    """Linux: struct rtable. rt_gateway 0: the destination itself is the next hop. rt_pmtu: a learnt MTU, until expires."""

    def __init__(self, dev: NetDevice, output: DstOutput, input: DstInput) -> None:
        super().__init__(dev, output, input)
        self.rt_genid: i64 = dev.net.ipv4.rt_genid
        self.rt_flags: i64 = 0
        self.rt_type: i64 = 0
        self.rt_is_input: bool = False
        self.rt_uses_gateway: bool = False
        self.rt_iif: i64 = 0
        self.rt_gateway: i64 = 0
        self.rt_pmtu: i64 = 0
        self.rt_mtu_locked: bool = False
        self.rt_err: i64 = 0  # errno (positive) of an unreachable route

    def check(self) -> bool:
        """Is it still what a look-up would give? Not after the tables or addresses changed, or a learnt MTU came
        (obsolete -1).
        """
        return self.obsolete >= 0 and self.rt_genid == self.dev.net.ipv4.rt_genid

    def mtu(self) -> i64:
        """The path MTU: the learnt one while it is fresh, the route's metric, or the device's MTU."""
        if self.rt_pmtu != 0 and (self.expires == 0 or self.dev.net.clock.now < self.expires):
            return self.rt_pmtu
        m: i64 = self.metrics[2]  # RTAX_MTU
        if m != 0:
            return m
        mtu = self.dev.mtu
        return mtu if mtu < IP_MAX_MTU else IP_MAX_MTU

    def advmss(self) -> i64:
        """The route's advmss, or what the device's MTU leaves after 40 bytes of headers, not below route.min_adv_mss."""
        m: i64 = self.metrics[8]  # RTAX_ADVMSS
        if m != 0:
            return m
        advmss = self.dev.mtu - 40
        low = self.dev.net.ipv4.sysctl_route_min_advmss
        if advmss < low:
            advmss = low
        return advmss if advmss < 65535 - 40 else 65535 - 40


def rt_nexthop(rt: Rtable, daddr: i64) -> i64:
    """The address that the link layer resolves.  Linux: include/net/route.h."""
    return rt.rt_gateway if rt.rt_gateway != 0 else daddr


def ip_route_connect_init(
    fl4: Flowi4, dst: i64, src: i64, tos: i64, oif: i64, protocol: i64, sport: i64, dport: i64, sk: InetSock,
) -> None:
    """Fill the key of the look-up by which a connecting socket finds its route and its source address.

    Linux: include/net/route.h.
    """
    flags: i64 = FLOWI_FLAG_ANYSRC if sk.transparent else 0
    flowi4_init_output(fl4, oif, sk.sk_mark, tos, 0, protocol, flags, dst, src, dport, sport)
