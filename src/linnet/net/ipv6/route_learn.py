# SPDX-License-Identifier: Apache-2.0
"""What the network teaches about a path: packet-too-big messages (RFC 8201) and redirects (RFC 4861, 8.3).

Both quote a packet of this host: skb.data is at its IPv6 header, the message's own header at skb.transport_header, and who sent
the message is skb.saddr6.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import in6_read
from linnet.include.linux.ipv6 import ip6_flowinfo, ipv6_daddr, ipv6_nexthdr, ipv6_saddr
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dst import DstEntry
from linnet.include.net.flow import FLOWI_FLAG_ANYSRC, Flowi6
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.ip6_fib import (
    RT6_LOOKUP_F_IFACE,
    RTF_CACHE,
    RTF_DYNAMIC,
    RTF_GATEWAY,
    RTF_REJECT,
    RTF_UP,
    Fib6Info,
    Rt6Info,
)
from linnet.include.net.ipv6 import (
    IPV6_ADDR_LINKLOCAL,
    IPV6_ADDR_UNICAST,
    inet6_sk,
    ipv6_addr_is_multicast,
    ipv6_addr_type,
)
from linnet.include.net.neighbour import NEIGH_UPDATE_F_OVERRIDE, NEIGH_UPDATE_F_WEAK_OVERRIDE, NUD_STALE
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import Sock, sock_net
from linnet.net.core.neighbour import (
    __neigh_lookup,
    __neigh_lookup_noref,
    neigh_confirm,
    neigh_update,
)
from linnet.net.ipv6.ip6_fib import fib6_check_expired, fib6_leaves
from linnet.net.ipv6.route_alloc import (
    __ip6_rt_update_pmtu,
    ip6_null_entry,
    ip6_rt_cache_alloc,
    rt6_find_exception,
    rt6_get_pcpu_route,
    rt6_insert_exception,
)
from linnet.net.ipv6.route_lookup import ip6_route_output, rt6_need_strict

LINUX_FILE: Final = 'net/ipv6/route.c'
ND_OPT_TARGET_LL_ADDR: Final = 2
RD_MSG_LEN: Final = 40  # of a redirect without options


def _flow_of_quote(skb: SkBuff, oif: i64, mark: i64) -> Flowi6:
    """The key of the packet that is quoted at skb.data."""
    at = skb.data
    fl6 = Flowi6()
    fl6.flowi6_oif = oif
    fl6.flowi6_mark = mark
    fl6.daddr = ipv6_daddr(skb.head, at)
    fl6.saddr = ipv6_saddr(skb.head, at)
    fl6.flowlabel = ip6_flowinfo(skb.head, at)
    fl6.flowi6_proto = ipv6_nexthdr(skb.head, at)
    return fl6


def _oif_of(sk: Sock, skb: SkBuff) -> i64:
    """The device that sk's look-ups name: its own, or for a destination of one link the one that the message came by."""
    oif = sk.sk_bound_dev_if
    if oif == 0 and skb.dev is not None and rt6_need_strict(ipv6_daddr(skb.head, skb.data)):
        oif = skb.dev.ifindex
    return oif


# -- path MTU


def ip6_update_pmtu(skb: SkBuff, net: Net, mtu: i64, oif: i64, mark: i64) -> None:
    """The quoted packet was too big for a link of mtu bytes.  Linux: net/ipv6/route.c."""
    fl6 = _flow_of_quote(skb, oif, mark)
    rt = ip6_route_output(net, None, fl6)
    if rt.error == 0:
        __ip6_rt_update_pmtu(rt, None, fl6.daddr, mtu, True)


def ip6_sk_update_pmtu(skb: SkBuff, sk: Sock, mtu: i64) -> None:
    """The same for a packet of sk, whose cached route is renewed where nobody is at work with it.  Linux: net/ipv6/route.c."""
    net = sock_net(sk)
    oif = _oif_of(sk, skb)
    ip6_update_pmtu(skb, net, mtu, oif, sk.sk_mark)
    dst = sk.sk_dst_cache
    if dst is None or dst.obsolete == 0 and dst.check():
        return
    if not sk.sk_lock_owned and not sk_is_mapped(sk):
        ip6_datagram_dst_update(sk, False)


def sk_is_mapped(sk: Sock) -> bool:
    """Does an IPv6 socket talk to an IPv4 address?"""
    return (sk.sk_v6_daddr >> 32) == 0xFFFF


def ip6_datagram_dst_update(sk: Sock, fix_sk_saddr: bool) -> None:
    """Look sk's route up anew, for the destination that it is connected to.  Linux: net/ipv6/datagram.c."""
    fl6 = Flowi6()
    fl6.flowi6_oif = sk.sk_bound_dev_if
    fl6.flowi6_mark = sk.sk_mark
    fl6.flowi6_proto = sk.sk_protocol
    fl6.daddr = sk.sk_v6_daddr
    fl6.saddr = inet6_sk(sk).saddr
    fl6.flowlabel = inet6_sk(sk).flow_label
    fl6.fl6_dport = sk.sk_dport
    if isinstance(sk, InetSock):
        fl6.fl6_sport = sk.inet_sport
        if sk.transparent:
            fl6.flowi6_flags = FLOWI_FLAG_ANYSRC
    if fl6.daddr == 0:
        return
    rt = ip6_route_output(sock_net(sk), sk, fl6)
    if rt.error == 0:
        sk.sk_dst_cache = rt


# -- redirects


def ip6_redirect(skb: SkBuff, net: Net, oif: i64, mark: i64) -> None:
    """A router tells of a better first hop for the quoted packet.  Linux: net/ipv6/route.c."""
    fl6 = _flow_of_quote(skb, oif, mark)
    fl6.flowi6_iif = 1
    rt6_do_redirect(ip6_route_redirect(net, fl6, skb.saddr6), None, skb)


def ip6_redirect_no_header(skb: SkBuff, net: Net, oif: i64) -> None:
    """A redirect without a quoted packet: what it says of its destination is all there is.  Linux: net/ipv6/route.c."""
    fl6 = Flowi6()
    fl6.flowi6_oif = oif
    fl6.daddr = in6_read(skb.head, int(skb.transport_header + 24))
    fl6.saddr = skb.daddr6
    rt6_do_redirect(ip6_route_redirect(net, fl6, skb.saddr6), None, skb)


def ip6_sk_redirect(skb: SkBuff, sk: Sock) -> None:
    """The same for a packet of sk.  Linux: net/ipv6/route.c."""
    ip6_redirect(skb, sock_net(sk), _oif_of(sk, skb), sk.sk_mark)


def ip6_route_redirect(net: Net, fl6: Flowi6, gateway: int) -> Rt6Info:
    """The route of fl6 that leads through `gateway`: only the current first hop may redirect. The null entry: there is none.

    Linux: net/ipv6/route.c, with __ip6_route_redirect.  RFC 4861, 8.1.
    """
    strict = rt6_need_strict(fl6.daddr) or fl6.flowi6_oif != 0
    flags: i64 = RT6_LOOKUP_F_IFACE if strict else 0
    for table in (net.ipv6.fib6_local_tbl, net.ipv6.fib6_main_tbl):
        if table is None:
            continue
        for leaf in fib6_leaves(table, fl6.daddr):
            for f6i in leaf:
                if fib6_check_expired(net, f6i):
                    continue
                if (f6i.fib6_flags & RTF_REJECT) != 0:
                    return ip6_null_entry(net)
                rt = _through(net, f6i, fl6, flags, gateway)
                if rt is not None:
                    return rt
    return ip6_null_entry(net)


def _through(net: Net, f6i: Fib6Info, fl6: Flowi6, flags: i64, gateway: int) -> Rt6Info | None:
    """f6i's route for fl6 if its next hop is `gateway`: the table's, or that of an earlier redirect."""
    nh = f6i.fib6_nh
    if nh.gw == 0 or (flags != 0 and fl6.flowi6_oif != 0 and nh.dev.ifindex != fl6.flowi6_oif):
        return None
    if nh.exceptions:
        rt = rt6_find_exception(f6i, fl6.daddr)
        if rt is not None and rt.rt6i_gateway == gateway:
            return rt
    return rt6_get_pcpu_route(net, f6i) if nh.gw == gateway else None


def _target_lladdr(dev: NetDevice, head: bytes, at: i64) -> tuple[bool, bytes]:
    """The options from byte `at`: (are they well formed, the target's link-layer address or b'').  RFC 4861, 4.6.1."""
    lladdr = b''
    size = i64(len(head))
    while at < size:
        if at + 2 > size:
            return False, b''
        length = i64(head[at + 1]) * 8
        if length == 0 or at + length > size:
            return False, b''
        if head[at] == ND_OPT_TARGET_LL_ADDR:
            if length != ((dev.addr_len + 2 + 7) >> 3) * 8:
                return False, b''
            lladdr = head[at + 2:at + 2 + dev.addr_len]
        at += length
    return True, lladdr


def rt6_do_redirect(dst: DstEntry, sk: Sock | None, skb: SkBuff) -> None:
    """A redirect came for a flow that uses dst: heed it where it can be believed.

    Linux: net/ipv6/route.c.  RFC 4861, 8.1 and 8.3.
    """
    if not isinstance(dst, Rt6Info) or dst.error != 0 or dst.rt6i_from is None or (dst.rt6i_flags & RTF_REJECT) != 0:
        return
    at = skb.transport_header
    head = skb.head
    dev = skb.dev
    if dev is None or i64(len(head)) < at + RD_MSG_LEN:
        return
    target = in6_read(head, int(at + 8))
    dest = in6_read(head, int(at + 24))
    if ipv6_addr_is_multicast(dest):
        return
    on_link = target == dest
    if not on_link and ipv6_addr_type(target) != (IPV6_ADDR_UNICAST | IPV6_ADDR_LINKLOCAL):
        return
    idev = dev.ip6_ptr
    net = dev.net
    tbl = net.ipv6.nd_tbl
    if idev is None or idev.cnf.forwarding != 0 or idev.cnf.accept_redirects == 0 or tbl is None:
        return
    good, lladdr = _target_lladdr(dev, head, at + RD_MSG_LEN)
    if not good:
        return
    # the current first hop answers: it has just spoken
    old = __neigh_lookup_noref(tbl, dst.rt6i_gateway, dst.dev) if dst.rt6i_gateway != 0 else None
    if old is not None:
        neigh_confirm(old)
    n = __neigh_lookup(tbl, target, dev, True)
    if n is None:
        return
    neigh_update(n, lladdr if lladdr else None, NUD_STALE, NEIGH_UPDATE_F_WEAK_OVERRIDE | NEIGH_UPDATE_F_OVERRIDE)
    if not on_link:
        n.is_router = True
    f6i = dst.rt6i_from
    made = ip6_rt_cache_alloc(net, f6i, dest)
    made.rt6i_flags = RTF_GATEWAY | RTF_UP | RTF_DYNAMIC | RTF_CACHE
    if on_link:
        made.rt6i_flags &= ~RTF_GATEWAY
    made.rt6i_gateway = n.primary_key
    rt6_insert_exception(made, f6i)
    dst.obsolete = -1
