# SPDX-License-Identifier: Apache-2.0
"""IPv6's forwarding table: routes as configured (fib6_info), routes as used by packets (rt6_info), and the tables they stand in.

Linux: include/net/ip6_fib.h, include/net/ip6_route.h.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from linnet.include.linux.netdevice import IFF_LOOPBACK
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dst import DstEntry, DstInput, DstOutput
from linnet.include.net.ip_fib import RT_SCOPE_UNIVERSE, RT_TABLE_MAIN, RTN_UNICAST, RTPROT_BOOT

if TYPE_CHECKING:
    from linnet.include.linux.netdevice import NetDevice
    from linnet.include.net.if_inet6 import Inet6Dev

RTF_UP: Final = 0x0001
RTF_GATEWAY: Final = 0x0002
RTF_HOST: Final = 0x0004
RTF_REJECT: Final = 0x0200
RTF_DYNAMIC: Final = 0x0010
RTF_MODIFIED: Final = 0x0020
RTF_DEFAULT: Final = 0x00010000
RTF_ALLONLINK: Final = 0x00020000
RTF_ADDRCONF: Final = 0x00040000
RTF_PREFIX_RT: Final = 0x00080000
RTF_ANYCAST: Final = 0x00100000
RTF_NONEXTHOP: Final = 0x00200000
RTF_EXPIRES: Final = 0x00400000
RTF_ROUTEINFO: Final = 0x00800000
RTF_CACHE: Final = 0x01000000
RTF_FLOW: Final = 0x02000000
RTF_LOCAL: Final = 0x80000000

RT6_LOOKUP_F_IFACE: Final = 0x01
RT6_LOOKUP_F_REACHABLE: Final = 0x02
RT6_LOOKUP_F_HAS_SADDR: Final = 0x04

IP6_RT_PRIO_USER: Final = 1024
IP6_RT_PRIO_ADDRCONF: Final = 256

RT6_TABLE_LOCAL: Final = 255
RT6_TABLE_MAIN: Final = 254


class Fib6Nh:
    """Linux: struct fib6_nh: one next hop. gw ::: the destination is on the link."""

    def __init__(self, dev: NetDevice, gw: int = 0, weight: i64 = 1) -> None:
        self.dev: NetDevice = dev
        self.gw: int = gw
        self.weight: i64 = weight
        self.nh_flags: i64 = 0  # RTNH_F_*
        self.last_probe: i64 = 0  # jiffies: when an unreachable router was last probed (RFC 4191, 2.2)
        self.exceptions: dict[int, Rt6Exception] = {}  # destination -> what the network told about it


class Rt6Exception:
    """Linux: struct rt6_exception: a learnt path MTU or redirect for one destination. stamp in jiffies."""

    def __init__(self, rt: Rt6Info) -> None:
        self.rt6i: Rt6Info = rt
        self.stamp: i64 = 0


class Fib6Info:
    """Linux: struct fib6_info: one route of a table. Routes of one prefix stand in the order of their metric."""

    def __init__(self, nh: Fib6Nh) -> None:
        self.fib6_nh: Fib6Nh = nh
        self.fib6_siblings: list[Fib6Info] = []  # the other next hops of a multipath route
        self.fib6_dst: int = 0
        self.fib6_dst_len: i64 = 0
        self.fib6_prefsrc: int = 0
        self.fib6_prefsrc_len: i64 = 0
        self.fib6_metric: i64 = IP6_RT_PRIO_USER
        self.fib6_protocol: i64 = RTPROT_BOOT
        self.fib6_type: i64 = RTN_UNICAST
        self.fib6_flags: i64 = 0  # RTF_*
        self.fib6_table: Fib6Table | None = None
        self.fib6_metrics: dict[int, int] = {}  # RTAX_* -> value
        self.expires: i64 = 0  # jiffies with RTF_EXPIRES
        self.pref: i64 = 0  # router preference (RFC 4191): 0 medium, 1 high, 3 low
        self.fib6_destroying: bool = False
        self.rt_cache: Rt6Info | None = None  # the route made of it last (Linux: one a CPU)


class Fib6Table:
    """Linux: struct fib6_table. The look-up is net/ipv6/ip6_fib.py's fib6_lookup."""

    def __init__(self, id: int) -> None:
        self.tb6_id: int = id
        self.prefixes: dict[int, dict[int, list[Fib6Info]]] = {}  # prefix length -> network -> routes
        self.lengths: list[int] = []  # the prefix lengths in use, longest first
        self.count: int = 0


class Fib6Config:
    """Linux: struct fib6_config: a route as `ip -6 route add` gives it. Expiry in seconds, 0: none."""

    def __init__(self) -> None:
        self.fc_table: i64 = RT_TABLE_MAIN
        self.fc_metric: i64 = 0  # 0: IP6_RT_PRIO_USER
        self.fc_dst: int = 0
        self.fc_dst_len: i64 = 0
        self.fc_ifindex: i64 = 0
        self.fc_flags: i64 = 0
        self.fc_protocol: i64 = RTPROT_BOOT
        self.fc_type: i64 = RTN_UNICAST
        self.fc_prefsrc: int = 0
        self.fc_gateway: int = 0
        self.fc_onlink: bool = False
        self.fc_expires: i64 = 0
        self.fc_mx: dict[int, int] = {}
        self.fc_nexthops: list[Fib6Config] = []  # of a multipath route: fc_gateway, fc_ifindex, fc_onlink and fc_weight of each
        self.fc_weight: i64 = 1
        self.fc_exclusive: bool = False  # `ip route add`: -EEXIST where a route of this prefix and metric is
        self.fc_create: bool = True  # False: only where there is a route already (`ip route change`)
        self.fc_replace: bool = False
        self.fc_append: bool = False
        self.fc_ignore_dev_down: bool = False
        self.fc_pref: i64 = 0
        self.fc_scope: i64 = RT_SCOPE_UNIVERSE


class Rt6Info(DstEntry):
    """Linux: struct rt6_info: a route as cached on a socket or a packet. rt6i_gateway is the next hop, :: where that is the
    destination itself; metrics and expires (ns) are DstEntry's.
    """

    def __init__(self, dev: NetDevice, output: DstOutput, input: DstInput) -> None:
        super().__init__(dev, output, input)
        self.rt6i_idev: Inet6Dev | None = dev.ip6_ptr
        self.rt6i_from: Fib6Info | None = None  # the table's route that it was made of
        self.rt6i_sernum: i64 = dev.net.ipv6.fib6_sernum  # the generation of the tables it was made in
        self.rt6i_dst: int = 0
        self.rt6i_dst_len: i64 = 128
        self.rt6i_prefsrc: int = 0
        self.rt6i_gateway: int = 0
        self.rt6i_flags: i64 = 0
        self.rt6i_type: i64 = RTN_UNICAST

    def check(self) -> bool:
        """Is it still what a look-up would give? Not after the tables changed, or its time is over."""
        net = self.dev.net
        if self.obsolete < 0 or self.rt6i_sernum != net.ipv6.fib6_sernum:
            return False
        if self.expires != 0:
            return net.clock.now < self.expires
        f6i = self.rt6i_from
        return f6i is None or (f6i.fib6_flags & RTF_EXPIRES) == 0 or net.clock.jiffies() <= f6i.expires

    def mtu(self) -> i64:
        """The path MTU: the metric, learnt (check() says when it is over) or set, or that of IPv6 on the device. 1280 or more."""
        m: i64 = self.metrics[2]  # RTAX_MTU
        if m != 0:
            return m
        idev = self.dev.ip6_ptr
        return idev.cnf.mtu6 if idev is not None else 1280

    def advmss(self) -> i64:
        """The route's advmss, or what the path MTU leaves after 60 bytes of headers, at least route/min_adv_mss.

        Linux: net/ipv6/route.c, ip6_default_advmss.
        """
        m: i64 = self.metrics[8]  # RTAX_ADVMSS
        if m != 0:
            return m
        advmss = self.mtu() - 60
        low = self.dev.net.ipv6.sysctl_ip6_rt_min_advmss
        if advmss < low:
            advmss = low
        # an MSS of that size would mean "any" (RFC 2675): jumbograms are not sent
        return advmss if advmss <= 65535 - 60 else 65535


def inet6_iif(skb: SkBuff) -> i64:
    """The interface index that a packet counts as received on; sent to oneself, that of the address is it.

    Linux: include/linux/ipv6.h.
    """
    dev = skb.dev
    rt = skb.dst
    if isinstance(rt, Rt6Info) and (dev is None or (dev.flags & IFF_LOOPBACK) != 0):
        idev = rt.rt6i_idev
        if idev is not None:
            return idev.dev.ifindex
    return dev.ifindex if dev is not None else skb.skb_iif


def rt6_nexthop(rt: Rt6Info, daddr: int) -> int:
    """The address that the link layer resolves.  Linux: include/net/ip6_route.h."""
    return rt.rt6i_gateway if rt.rt6i_gateway != 0 else daddr
