# SPDX-License-Identifier: Apache-2.0
"""From a flow to a route and a source address: what sockets ask before they send.

    ip6_sk_dst_lookup_flow > ip6_dst_lookup_flow > ip6_dst_lookup_tail > ip6_route_output_flags

The source is the preferred one of the route, or what RFC 6724 chooses among the addresses of its device. Where no route is found
with the source open, the look-up is made once more with the source that was chosen, and its error is the answer.
"""
from __future__ import annotations

from typing import Final

from linnet.include.linux.netdevice import NetDevice
from linnet.include.net.flow import Flowi6
from linnet.include.net.ip6_fib import RT6_LOOKUP_F_IFACE, Fib6Info, Rt6Info
from linnet.include.net.ipv6 import inet6_sk, ipv6_addr_v4mapped
from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import IP6_INC_STATS, IPSTATS_MIB_OUTNOROUTES
from linnet.include.net.sock import Sock, sock_net
from linnet.kernel.errno import EADDRNOTAVAIL, EAFNOSUPPORT, ENETUNREACH
from linnet.net.core.sock import sk_dst_check
from linnet.net.ipv6.addrconf_saddr import ipv6_dev_get_saddr
from linnet.net.ipv6.route_alloc import ip6_dst_store
from linnet.net.ipv6.route_lookup import ip6_route_output_flags

LINUX_FILE: Final = 'net/ipv6/ip6_output.c'


def ip6_route_get_saddr(net: Net, f6i: Fib6Info | None, daddr: int, prefs: int) -> int:
    """The source address of packets along f6i to daddr, 0: there is none.  Linux: include/net/ip6_route.h."""
    if f6i is not None and f6i.fib6_prefsrc != 0:
        return f6i.fib6_prefsrc
    dev: NetDevice | None = f6i.fib6_nh.dev if f6i is not None else None
    return ipv6_dev_get_saddr(net, dev, daddr, prefs)


def ip6_dst_lookup_tail(net: Net, sk: Sock | None, fl6: Flowi6) -> Rt6Info | None:
    """Choose source and route for fl6; None and fl6.err where it cannot go.  Linux: net/ipv6/ip6_output.c."""
    flags = 0
    rt: Rt6Info | None = None
    if fl6.saddr == 0:
        rt = ip6_route_output_flags(net, sk, fl6, 0)
        prefs = int(inet6_sk(sk).srcprefs) if sk is not None and sk.sk_family == 10 else 0
        fl6.saddr = ip6_route_get_saddr(net, rt.rt6i_from, fl6.daddr, prefs)
        if fl6.saddr == 0:  # even where there is no route: that is said only to who could have sent
            fl6.err = -EADDRNOTAVAIL
            return None
        if rt.error != 0:
            rt = None
        if fl6.flowi6_oif != 0:
            flags |= RT6_LOOKUP_F_IFACE
    if rt is None:
        rt = ip6_route_output_flags(net, sk, fl6, flags)
    if rt.error != 0:
        fl6.err = rt.error
        if fl6.err == -ENETUNREACH:
            IP6_INC_STATS(net, IPSTATS_MIB_OUTNOROUTES)
        return None
    if ipv6_addr_v4mapped(fl6.saddr) and not (ipv6_addr_v4mapped(fl6.daddr) or fl6.daddr == 0):
        fl6.err = -EAFNOSUPPORT
        return None
    fl6.err = 0
    return rt


def ip6_dst_lookup_flow(net: Net, sk: Sock | None, fl6: Flowi6, final_dst: int) -> Rt6Info | None:
    """The same; fl6.daddr is the first stop of a source route, final_dst where the packet ends (0: there is none).

    Linux: net/ipv6/ip6_output.c.
    """
    rt = ip6_dst_lookup_tail(net, sk, fl6)
    if rt is not None and final_dst != 0:
        fl6.daddr = final_dst
    return rt


def ip6_rt_check(rt: Rt6Info, addr: int, cached: int) -> bool:
    """Must the route be looked up anew for addr? Not where it is addr's own, or was kept for addr.

    Linux: net/ipv6/ip6_output.c.
    """
    return (rt.rt6i_dst_len != 128 or rt.rt6i_dst != addr) and cached != addr


def ip6_sk_dst_check(sk: Sock, fl6: Flowi6) -> Rt6Info | None:
    """sk's cached route if it is good for fl6, None where it is not.  Linux: net/ipv6/ip6_output.c."""
    dst = sk_dst_check(sk, 0)
    if not isinstance(dst, Rt6Info):
        return None
    if ip6_rt_check(dst, fl6.daddr, inet6_sk(sk).daddr_cache):
        return None
    if fl6.flowi6_oif != 0 and fl6.flowi6_oif != dst.dev.ifindex:
        return None
    return dst


def ip6_sk_dst_lookup_flow(sk: Sock, fl6: Flowi6, final_dst: int, connected: bool) -> Rt6Info | None:
    """The route of a packet of sk: the cached one, or a new one, kept where sk is connected. None and fl6.err: it cannot go.

    Linux: net/ipv6/ip6_output.c.
    """
    rt = ip6_sk_dst_check(sk, fl6)
    if rt is not None:
        return rt
    rt = ip6_dst_lookup_flow(sock_net(sk), sk, fl6, final_dst)
    if connected and rt is not None:
        ip6_sk_dst_store_flow(sk, rt, fl6)
    return rt


def ip6_sk_dst_store_flow(sk: Sock, dst: Rt6Info, fl6: Flowi6) -> None:
    """Keep dst on sk for fl6.  Linux: net/ipv6/route.c."""
    np = inet6_sk(sk)
    ip6_dst_store(sk, dst, fl6.daddr == sk.sk_v6_daddr, fl6.saddr == np.saddr)
