# SPDX-License-Identifier: Apache-2.0
"""Routes for packets that leave: look-up, caching on next hops, and what the network teaches about a path (PMTU, redirects).

    ip_route_connect > ip_route_output_key_hash > ip_route_output_key_hash_rcu > fib_table_lookup > __mkoutput_route
    ip_route_output_flow > ip_route_output_key_hash_rcu > ...

A route is cached on the next hop it uses and shared by all destinations behind it, so that a packet allocates none. What is known
of one destination alone (a smaller MTU, a better gateway) makes an exception on the next hop, with a route of its own, for a
limited time. A cached route is stale when rt_genid moved (tables or addresses changed) or it was marked dead (obsolete -1). The
way in is route_input.py.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmp import ICMP_REDIR_HOST, ICMP_REDIR_HOSTTOS, ICMP_REDIR_NET, ICMP_REDIR_NETTOS
from linnet.include.linux.inet import (
    INADDR_LOOPBACK,
    IPPROTO_RAW,
    ipv4_is_lbcast,
    ipv4_is_loopback,
    ipv4_is_multicast,
    ipv4_is_zeronet,
)
from linnet.include.linux.inetdevice import IN_DEV_NET_ROUTE_LOCALNET, IN_DEV_RX_REDIRECTS, __in_dev_get_rcu
from linnet.include.linux.ip import ip_daddr, ip_protocol, ip_saddr, ip_tos
from linnet.include.linux.netdevice import IFF_LOOPBACK, IFF_UP, NetDevice
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dropreason import SKB_DROP_REASON_IP_OUTNOROUTES
from linnet.include.net.dst import RTAX_ADVMSS, RTAX_MTU, DstEntry, DstInput, DstOutput, dst_metric_locked
from linnet.include.net.flow import FLOWI_FLAG_ANYSRC, FLOWI_FLAG_KNOWN_NH, Flowi4, flowi4_init_output
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.ip_fib import (
    RT_SCOPE_HOST,
    RT_SCOPE_LINK,
    RT_SCOPE_UNIVERSE,
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_UNICAST,
    FibInfo,
    FibNh,
    FibNhException,
    FibResult,
)
from linnet.include.net.neighbour import NUD_VALID
from linnet.include.net.net_namespace import Net
from linnet.include.net.route import (
    RTCF_BROADCAST,
    RTCF_LOCAL,
    RTCF_MULTICAST,
    Rtable,
    ip_route_connect_init,
    rt_nexthop,
)
from linnet.include.net.sock import Sock, sock_net
from linnet.kernel.errno import EINVAL, ENETUNREACH, ENODEV
from linnet.net.core.neighbour import __ipv4_neigh_lookup_noref, __neigh_create, neigh_event_send
from linnet.net.core.skbuff import kfree_skb_reason
from linnet.net.ipv4.devinet import devinet_init, inet_addr_onlink, inet_select_addr
from linnet.net.ipv4.fib_frontend import __ip_dev_find, inet_addr_type, ip_fib_init
from linnet.net.ipv4.fib_frontend import rt_cache_flush as rt_cache_flush
from linnet.net.ipv4.fib_rules import fib_lookup
from linnet.net.ipv4.fib_semantics import fib_result_prefsrc, fib_select_path
from linnet.net.ipv4.igmp import ip_check_mc_rcu

RTO_ONLINK: Final = 1
IPV4_MAX_PMTU: Final = 65535
IPV4_TCP_HEADERS: Final = 40  # of IP and TCP, without options
FNHE_MAX: Final = 2048  # exceptions that a next hop keeps; the oldest makes room
NSEC_PER_SEC: Final = 1_000_000_000
IP_RT_GC_TIMEOUT: Final = 300 * NSEC_PER_SEC  # how long a redirect holds


class Ipv4Rtable(Rtable):
    """A route that learns (Linux: ipv4_dst_ops)."""

    def update_pmtu(self, sk: Sock | None, skb: SkBuff | None, mtu: i64) -> None:
        """See ip_rt_update_pmtu."""
        ip_rt_update_pmtu(self, sk, skb, mtu)

    def advmss(self) -> i64:
        """The MSS to advertise: what the path takes, at least net.ipv4.route.min_adv_mss.  Linux: ipv4_default_advmss."""
        metric: i64 = self.metrics[RTAX_ADVMSS]
        if metric != 0:
            return metric
        mss = self.mtu() - IPV4_TCP_HEADERS
        low = self.dev.net.ipv4.sysctl_route_min_advmss
        if mss < low:
            mss = low
        return mss if mss < IPV4_MAX_PMTU - IPV4_TCP_HEADERS else IPV4_MAX_PMTU - IPV4_TCP_HEADERS

    def negative_advice(self) -> DstEntry | None:
        """See ipv4_negative_advice."""
        return ipv4_negative_advice(self)


class DstDiscardOutput(DstOutput):
    """A route whose packets are dropped."""

    def output(self, sk: Sock | None, skb: SkBuff) -> i64:
        """See dst_discard_out."""
        return dst_discard_out(skb)


class DstDiscardInput(DstInput):
    """A route whose packets are dropped."""

    def input(self, skb: SkBuff) -> i64:
        """See dst_discard_out."""
        return dst_discard_out(skb)


def dst_discard_out(skb: SkBuff) -> i64:
    """Drop skb.  Linux: net/core/dst.c."""
    kfree_skb_reason(skb, SKB_DROP_REASON_IP_OUTNOROUTES)
    return 0


def ip_rt_init(net: Net) -> None:
    """Make addresses and tables; routes drop their packets until the files above register how they go.

    Linux: net/ipv4/route.c.
    """
    ipv4 = net.ipv4
    ipv4.dst_discard_out = DstDiscardOutput()
    ipv4.dst_discard_in = DstDiscardInput()
    devinet_init(net)
    ip_fib_init(net)


def rt_dst_alloc(dev: NetDevice, flags: i64, type: i64) -> Ipv4Rtable:
    """A new route out of (or in by) dev; a local one delivers.  Linux: net/ipv4/route.c."""
    ipv4 = dev.net.ipv4
    out = ipv4.ip_output
    if out is None:
        out = ipv4.dst_discard_out
    inp: DstInput | None = None
    if (flags & RTCF_LOCAL) != 0:
        inp = ipv4.ip_local_deliver
    if inp is None:
        inp = ipv4.dst_discard_in
    assert out is not None and inp is not None
    rt = Ipv4Rtable(dev, out, inp)
    rt.rt_flags = flags
    rt.rt_type = type
    return rt


# -- exceptions: what is known of one destination


def find_exception(nh: FibNh, daddr: i64) -> FibNhException | None:
    """What the network told about daddr, while it holds.  Linux: net/ipv4/route.c."""
    fnhe = nh.nh_exceptions.get(daddr)
    if fnhe is None:
        return None
    if fnhe.fnhe_expires != 0 and nh.nh_dev is not None and nh.nh_dev.net.clock.now > fnhe.fnhe_expires:
        ip_del_fnhe(nh, daddr)
        return None
    return fnhe


def ip_del_fnhe(nh: FibNh, daddr: i64) -> None:
    """Forget what was told about daddr.  Linux: net/ipv4/route.c."""
    fnhe = nh.nh_exceptions.pop(int(daddr), None)
    if fnhe is not None:
        fnhe_flush_routes(fnhe)


def fnhe_flush_routes(fnhe: FibNhException) -> None:
    """Its routes are dead.  Linux: net/ipv4/route.c."""
    rt = fnhe.fnhe_rth_input
    if rt is not None:
        rt.obsolete = -1
        fnhe.fnhe_rth_input = None
    rt = fnhe.fnhe_rth_output
    if rt is not None:
        rt.obsolete = -1
        fnhe.fnhe_rth_output = None


def fill_route_from_fnhe(rt: Rtable, fnhe: FibNhException) -> None:
    """Put into the route what was told.  Linux: net/ipv4/route.c."""
    rt.rt_pmtu = fnhe.fnhe_pmtu
    rt.rt_mtu_locked = fnhe.fnhe_mtu_locked
    rt.expires = fnhe.fnhe_expires
    if fnhe.fnhe_gw != 0:
        rt.rt_flags |= RTCF_REDIRECTED
        rt.rt_uses_gateway = True
        rt.rt_gateway = fnhe.fnhe_gw


RTCF_REDIRECTED: Final = 0x00040000


def update_or_create_fnhe(net: Net, nh: FibNh, daddr: i64, gw: i64, pmtu: i64, lock: bool, expires: i64) -> None:
    """Remember a gateway or an MTU for daddr until `expires` (ns).  Linux: net/ipv4/route.c."""
    fnhe = nh.nh_exceptions.get(daddr)
    if fnhe is not None:
        if gw != 0:
            fnhe.fnhe_gw = gw
        if pmtu != 0:
            fnhe.fnhe_pmtu = pmtu
            fnhe.fnhe_mtu_locked = lock
        fnhe.fnhe_expires = expires if expires > 1 else 1
        if fnhe.fnhe_rth_input is not None:
            fill_route_from_fnhe(fnhe.fnhe_rth_input, fnhe)
        if fnhe.fnhe_rth_output is not None:
            fill_route_from_fnhe(fnhe.fnhe_rth_output, fnhe)
        return
    if len(nh.nh_exceptions) >= FNHE_MAX:
        for oldest in nh.nh_exceptions:
            ip_del_fnhe(nh, oldest)
            break
    fnhe = FibNhException(daddr)
    fnhe.fnhe_gw = gw
    fnhe.fnhe_pmtu = pmtu
    fnhe.fnhe_mtu_locked = lock
    fnhe.fnhe_expires = expires if expires > 1 else 1
    nh.nh_exceptions[int(daddr)] = fnhe
    # those who hold the shared route must ask again, to find that an exception is theirs
    if nh.nh_rth_output is not None:
        nh.nh_rth_output.obsolete = -1
        nh.nh_rth_output = None
    if nh.nh_rth_input is not None:
        nh.nh_rth_input.obsolete = -1
        nh.nh_rth_input = None


def rt_bind_exception(rt: Rtable, fnhe: FibNhException, do_cache: bool) -> bool:
    """Make rt the exception's own route; True where it is cached there.  Linux: net/ipv4/route.c."""
    fill_route_from_fnhe(rt, fnhe)
    if not do_cache:
        return False
    if rt.rt_is_input:
        fnhe.fnhe_rth_input = rt
    else:
        fnhe.fnhe_rth_output = rt
    return True


def rt_cache_route(nh: FibNh, rt: Rtable) -> bool:
    """Keep rt on the next hop.  Linux: net/ipv4/route.c."""
    if rt.rt_is_input:
        nh.nh_rth_input = rt
    else:
        nh.nh_rth_output = rt
    return True


def rt_set_nexthop(rt: Rtable, daddr: i64, res: FibResult, fnhe: FibNhException | None, fi: FibInfo | None,
                   do_cache: bool) -> None:
    """Take gateway and metrics from the route found, and cache rt where it may be.  Linux: net/ipv4/route.c."""
    cached = False
    if fi is not None:
        nh = fi.fib_nh[res.nh_sel]
        if nh.nh_gw != 0 and nh.nh_scope == RT_SCOPE_LINK:
            rt.rt_uses_gateway = True
            rt.rt_gateway = nh.nh_gw
        for key, value in fi.fib_metrics.items():
            rt.metrics[key] = value
        if fnhe is not None:
            cached = rt_bind_exception(rt, fnhe, do_cache)
        elif do_cache:
            cached = rt_cache_route(nh, rt)
    if not cached and rt.rt_gateway == 0:
        rt.rt_gateway = daddr


# -- the way out


def __mkoutput_route(net: Net, res: FibResult, fl4: Flowi4, orig_oif: i64, dev_out: NetDevice, flags: i64) -> Rtable | None:
    """The Rtable for a finished look-up; None (and fl4.err) where the packet may not go so.  Linux: net/ipv4/route.c."""
    in_dev = __in_dev_get_rcu(dev_out)
    if in_dev is None:
        fl4.err = -EINVAL
        return None
    loops = (dev_out.flags & IFF_LOOPBACK) != 0
    if ipv4_is_loopback(fl4.saddr) and not loops and not IN_DEV_NET_ROUTE_LOCALNET(in_dev):
        fl4.err = -EINVAL
        return None
    type: i64 = res.type
    if ipv4_is_lbcast(fl4.daddr):
        type = RTN_BROADCAST
    elif ipv4_is_multicast(fl4.daddr):
        type = RTN_MULTICAST
    elif ipv4_is_zeronet(fl4.daddr):
        fl4.err = -EINVAL
        return None
    if loops:
        flags |= RTCF_LOCAL
    fi = res.fi
    do_cache = True
    if type == RTN_BROADCAST:
        flags |= RTCF_BROADCAST | RTCF_LOCAL
        fi = None
    elif type == RTN_MULTICAST:
        flags |= RTCF_MULTICAST | RTCF_LOCAL
        if not ip_check_mc_rcu(in_dev, fl4.daddr, fl4.saddr, fl4.flowi4_proto):
            flags &= ~RTCF_LOCAL
        else:
            do_cache = False
        # only a route to the group itself says how it goes; the default route does not
        if fi is not None and res.prefixlen < 4:
            fi = None
    elif type == RTN_LOCAL and orig_oif != 0 and orig_oif != dev_out.ifindex:
        do_cache = False
    fnhe: FibNhException | None = None
    if fi is None:
        do_cache = False
    elif do_cache or fi.fib_nh[res.nh_sel].nh_exceptions:
        nh = fi.fib_nh[res.nh_sel]
        if nh.nh_exceptions:
            fnhe = find_exception(nh, fl4.daddr)
        known_nh = (fl4.flowi4_flags & FLOWI_FLAG_KNOWN_NH) != 0 and not (nh.nh_gw != 0 and nh.nh_scope == RT_SCOPE_LINK)
        if fnhe is None and known_nh:
            do_cache = False
        elif do_cache:
            old = nh.nh_rth_output if fnhe is None else fnhe.fnhe_rth_output
            if old is not None and old.obsolete >= 0 and old.rt_genid == net.ipv4.rt_genid:
                return old
    rth = rt_dst_alloc(dev_out, flags, type)
    rth.rt_iif = orig_oif
    if (flags & (RTCF_BROADCAST | RTCF_MULTICAST)) != 0 and (flags & RTCF_LOCAL) != 0 and not loops:
        mc = net.ipv4.ip_mc_output
        if mc is not None:
            rth.dst_output = mc
    rt_set_nexthop(rth, fl4.daddr, res, fnhe, fi, do_cache)
    return rth


def ip_route_output_key_hash(net: Net, fl4: Flowi4) -> Rtable | None:
    """The route for fl4, whose oif and saddr are filled in; None and fl4.err where there is none.  Linux: net/ipv4/route.c."""
    scratch = net.ipv4.fib_scratch
    assert scratch is not None
    fl4.flowi4_iif = 1
    return ip_route_output_key_hash_rcu(net, fl4, scratch.out_res)


def _output_by_saddr(net: Net, fl4: Flowi4) -> NetDevice | None:
    """Check a source address that was given; for multicast and broadcast it says the device. fl4.err != 0: it will not do."""
    saddr = fl4.saddr
    if ipv4_is_multicast(saddr) or ipv4_is_lbcast(saddr) or ipv4_is_zeronet(saddr):
        fl4.err = -EINVAL
        return None
    if fl4.flowi4_oif == 0 and (ipv4_is_multicast(fl4.daddr) or ipv4_is_lbcast(fl4.daddr)):
        dev_out = __ip_dev_find(net, saddr)
        if dev_out is None:
            fl4.err = -ENETUNREACH
            return None
        fl4.flowi4_oif = dev_out.ifindex
        return dev_out
    if (fl4.flowi4_flags & FLOWI_FLAG_ANYSRC) == 0 and __ip_dev_find(net, saddr) is None:
        fl4.err = -ENETUNREACH
    return None


def _output_by_oif(net: Net, fl4: Flowi4) -> NetDevice | None:
    """Check a device that was given. A device with fl4.err 1: go straight to it; 0: the table decides on."""
    dev_out = net.dev_by_index.get(int(fl4.flowi4_oif))
    if dev_out is None:
        fl4.err = -ENODEV
        return None
    if (dev_out.flags & IFF_UP) == 0 or __in_dev_get_rcu(dev_out) is None:
        fl4.err = -ENETUNREACH
        return None
    if ipv4_is_multicast(fl4.daddr) or ipv4_is_lbcast(fl4.daddr) or fl4.flowi4_proto == 2:  # IPPROTO_IGMP
        if fl4.saddr == 0:
            fl4.saddr = inet_select_addr(dev_out, 0, RT_SCOPE_LINK)
        fl4.err = 1
        return dev_out
    if fl4.saddr == 0:
        if ipv4_is_multicast(fl4.daddr):
            fl4.saddr = inet_select_addr(dev_out, 0, fl4.flowi4_scope)
        elif fl4.daddr == 0:
            fl4.saddr = inet_select_addr(dev_out, 0, RT_SCOPE_HOST)
    return dev_out


def fib_result_clear(res: FibResult) -> None:
    """No route is found yet."""
    res.type = 0
    res.fi = None
    res.table = None


def ip_route_output_key_hash_rcu(net: Net, fl4: Flowi4, res: FibResult) -> Rtable | None:
    """The look-up itself: check the key, ask the tables, choose hop and source, make or find the Rtable.

    Linux: net/ipv4/route.c.
    """
    orig_oif = fl4.flowi4_oif
    dev_out: NetDevice | None = None
    fl4.err = 0
    fib_result_clear(res)
    if fl4.saddr != 0:
        dev_out = _output_by_saddr(net, fl4)
        if fl4.err != 0:
            return None
        if dev_out is not None:
            return __mkoutput_route(net, res, fl4, orig_oif, dev_out, 0)
    if fl4.flowi4_oif != 0:
        dev_out = _output_by_oif(net, fl4)
        if dev_out is None:
            return None
        if fl4.err == 1:
            fl4.err = 0
            return __mkoutput_route(net, res, fl4, orig_oif, dev_out, 0)
    if fl4.daddr == 0:
        fl4.daddr = fl4.saddr
        if fl4.daddr == 0:
            fl4.daddr = INADDR_LOOPBACK
            fl4.saddr = INADDR_LOOPBACK
        lo = net.loopback_dev
        if lo is None:
            fl4.err = -ENETUNREACH
            return None
        fl4.flowi4_oif = lo.ifindex
        res.type = RTN_LOCAL
        return __mkoutput_route(net, res, fl4, orig_oif, lo, RTCF_LOCAL)
    err = fib_lookup(net, fl4, res, 0)
    if err != 0:
        fib_result_clear(res)
        if fl4.flowi4_oif != 0 and dev_out is not None:
            # a device was asked for: the destination is taken to be on its link, whatever the tables say
            if fl4.saddr == 0:
                fl4.saddr = inet_select_addr(dev_out, 0, RT_SCOPE_LINK)
            res.type = RTN_UNICAST
            return __mkoutput_route(net, res, fl4, orig_oif, dev_out, 0)
        fl4.err = err
        return None
    if res.type == RTN_LOCAL:
        fi = res.fi
        assert fi is not None
        if fl4.saddr == 0:
            fl4.saddr = fi.fib_prefsrc if fi.fib_prefsrc != 0 else fl4.daddr
        lo = net.loopback_dev
        if lo is None:
            lo = fi.fib_nh[res.nh_sel].nh_dev
        if lo is None:
            fl4.err = -ENETUNREACH
            return None
        fl4.flowi4_oif = lo.ifindex
        return __mkoutput_route(net, res, fl4, orig_oif, lo, RTCF_LOCAL)
    fib_select_path(net, res, fl4)
    fi = res.fi
    assert fi is not None
    dev_out = fi.fib_nh[res.nh_sel].nh_dev
    if dev_out is None:
        fl4.err = -ENETUNREACH
        return None
    fl4.flowi4_oif = dev_out.ifindex
    return __mkoutput_route(net, res, fl4, orig_oif, dev_out, 0)


def ip_route_output_key(net: Net, fl4: Flowi4) -> Rtable | None:
    """The route for fl4; None and fl4.err where there is none.  Linux: include/net/route.h."""
    return ip_route_output_key_hash(net, fl4)


def ip_route_output_flow(net: Net, fl4: Flowi4, sk: Sock | None) -> Rtable | None:
    """The route for a flow of sk; None and fl4.err where there is none.

    Linux: net/ipv4/route.c. The call between this and ip_route_output_key_hash_rcu is inlined there, and left out here.
    """
    scratch = net.ipv4.fib_scratch
    assert scratch is not None
    fl4.flowi4_iif = 1
    return ip_route_output_key_hash_rcu(net, fl4, scratch.out_res)


def ip_route_output_ports(net: Net, fl4: Flowi4, sk: Sock | None, daddr: i64, saddr: i64, dport: i64, sport: i64, proto: i64,
                          tos: i64, oif: i64) -> Rtable | None:
    """Fill fl4 for a flow with ports and look it up.  Linux: include/net/route.h."""
    flags: i64 = 0
    mark: i64 = 0
    if sk is not None:
        mark = sk.sk_mark
        if isinstance(sk, InetSock) and sk.transparent:
            flags = FLOWI_FLAG_ANYSRC
    flowi4_init_output(fl4, oif, mark, tos, 0, proto, flags, daddr, saddr, dport, sport)
    return ip_route_output_flow(net, fl4, sk)


def ip_route_output(net: Net, daddr: i64, saddr: i64, tos: i64, oif: i64) -> Rtable | None:
    """The route to daddr; None where there is none.  Linux: include/net/route.h."""
    fl4 = Flowi4()
    fl4.flowi4_oif = oif
    fl4.flowi4_tos = tos
    fl4.daddr = daddr
    fl4.saddr = saddr
    return ip_route_output_key(net, fl4)


def ip_route_connect(fl4: Flowi4, dst: i64, src: i64, tos: i64, oif: i64, protocol: i64, sport: i64, dport: i64,
                     sk: InetSock) -> Rtable | None:
    """The route of a socket that connects. Where dst or src is open, a first look-up settles them; fl4 has them afterwards.

    Linux: include/net/route.h.
    """
    net = sock_net(sk)
    ip_route_connect_init(fl4, dst, src, tos, oif, protocol, sport, dport, sk)
    if dst == 0 or src == 0:
        rt = ip_route_output_key_hash(net, fl4)
        if rt is None:
            return None
        fl4.flowi4_oif = oif
        fl4.flowi4_tos = tos
    return ip_route_output_flow(net, fl4, sk)


def ip_route_newports(fl4: Flowi4, rt: Rtable, orig_sport: i64, orig_dport: i64, sport: i64, dport: i64,
                      sk: InetSock) -> Rtable | None:
    """The route of a connecting socket now that its ports are known: looked up again where they changed.

    Linux: include/net/route.h.
    """
    if sport == orig_sport and dport == orig_dport:
        return rt
    fl4.fl4_dport = dport
    fl4.fl4_sport = sport
    fl4.flowi4_oif = sk.sk_bound_dev_if
    fl4.flowi4_tos = sk.tos & 0x1C
    return ip_route_output_flow(sock_net(sk), fl4, sk)


# -- what the network teaches


def ipv4_negative_advice(rt: Rtable) -> DstEntry | None:
    """Retransmissions fail: give up a route that was learnt (redirected, or with a learnt MTU) or is stale.

    Linux: net/ipv4/route.c.
    """
    if rt.obsolete < 0 or (rt.rt_flags & RTCF_REDIRECTED) != 0 or rt.expires != 0:
        return None
    return rt


def __ip_rt_update_pmtu(rt: Rtable, fl4: Flowi4, mtu: i64) -> None:
    """The path to fl4.daddr carries only mtu bytes: remember it, for net.ipv4.route.mtu_expires.

    Never below net.ipv4.route.min_pmtu: below that the MTU is locked at it, and packets go without DF.
    Linux: net/ipv4/route.c.  RFC 1191.
    """
    dev = rt.dev
    net = dev.net
    lock = False
    if dst_metric_locked(rt, RTAX_MTU):
        return
    old_mtu = rt.mtu()
    if old_mtu < mtu:
        return
    floor = net.ipv4.sysctl_route_min_pmtu
    if mtu < floor:
        lock = True
        mtu = old_mtu if old_mtu < floor else floor
    now = net.clock.now
    expires = net.ipv4.sysctl_route_mtu_expires * NSEC_PER_SEC
    if rt.rt_pmtu == mtu and not lock and now < rt.expires - expires // 2:
        return
    res = FibResult()
    if fib_lookup(net, fl4, res, 0) != 0 or res.fi is None:
        return
    if len(res.fi.fib_nh) > 1:
        for nh in res.fi.fib_nh:
            if nh.nh_dev is dev:
                update_or_create_fnhe(net, nh, fl4.daddr, 0, mtu, lock, now + expires)
        return
    update_or_create_fnhe(net, res.fi.fib_nh[0], fl4.daddr, 0, mtu, lock, now + expires)


def build_sk_flow_key(fl4: Flowi4, sk: Sock) -> None:
    """The key of sk's flow.  Linux: net/ipv4/route.c."""
    tos: i64 = 0
    proto: i64 = sk.sk_protocol
    saddr: i64 = sk.sk_rcv_saddr
    sport: i64 = sk.sk_num
    flags: i64 = 0
    if isinstance(sk, InetSock):
        tos = sk.tos & 0x1C
        saddr = sk.inet_saddr
        sport = sk.inet_sport
        if sk.hdrincl:
            proto = IPPROTO_RAW
        if sk.transparent:
            flags = FLOWI_FLAG_ANYSRC
    flowi4_init_output(fl4, sk.sk_bound_dev_if, sk.sk_mark, tos, RT_SCOPE_UNIVERSE, proto, flags, sk.sk_daddr, saddr,
                       sk.sk_dport, sport)


def build_iph_flow_key(net: Net, fl4: Flowi4, sk: Sock | None, head: bytes, at: i64, oif: i64, tos: i64, mark: i64) -> None:
    """The key of the flow of the IP header at byte `at` of head.  Linux: __build_flow_key, net/ipv4/route.c."""
    flags: i64 = 0
    if sk is not None:
        oif = sk.sk_bound_dev_if
        mark = sk.sk_mark
        if isinstance(sk, InetSock):
            tos = sk.tos
            if sk.transparent:
                flags = FLOWI_FLAG_ANYSRC
    flowi4_init_output(fl4, oif, mark, tos & 0x1C, RT_SCOPE_UNIVERSE, ip_protocol(head, at), flags, ip_daddr(head, at),
                       ip_saddr(head, at), 0, 0)


def ip_rt_update_pmtu(rt: Rtable, sk: Sock | None, skb: SkBuff | None, mtu: i64) -> None:
    """The path of rt to skb's (or sk's) destination carries only mtu bytes.  Linux: net/ipv4/route.c."""
    fl4 = Flowi4()
    if skb is not None and skb.network_header >= 0:
        at = skb.network_header
        build_iph_flow_key(rt.dev.net, fl4, sk, skb.head, at, rt.dev.ifindex, ip_tos(skb.head, at), skb.mark)
    elif sk is not None:
        build_sk_flow_key(fl4, sk)
    else:
        return
    __ip_rt_update_pmtu(rt, fl4, mtu)


def ipv4_update_pmtu(skb: SkBuff, net: Net, mtu: i64, oif: i64, protocol: i64) -> None:
    """An ICMP error quotes a datagram (data of skb at its IP header) that was too big for mtu.  Linux: net/ipv4/route.c."""
    fl4 = Flowi4()
    at = skb.data
    build_iph_flow_key(net, fl4, None, skb.head, at, oif, ip_tos(skb.head, at), 0)
    fl4.flowi4_proto = protocol
    rt = ip_route_output_key(net, fl4)
    if rt is not None:
        __ip_rt_update_pmtu(rt, fl4, mtu)


def ipv4_sk_update_pmtu(skb: SkBuff, sk: Sock, mtu: i64) -> None:
    """The same for a datagram of sk, whose cached route is renewed.  Linux: net/ipv4/route.c."""
    net = sock_net(sk)
    fl4 = Flowi4()
    at = skb.data
    build_iph_flow_key(net, fl4, sk, skb.head, at, 0, 0, 0)
    dst = sk.sk_dst_cache
    rt: Rtable | None = None
    if isinstance(dst, Rtable) and dst.check() and not sk.sk_lock_owned:
        rt = dst
    else:
        rt = ip_route_output_flow(net, fl4, sk)
        if rt is None:
            return
    __ip_rt_update_pmtu(rt, fl4, mtu)
    if not rt.check():
        new = ip_route_output_flow(net, fl4, sk)
        if new is not None and not sk.sk_lock_owned:
            sk.sk_dst_cache = new


def __ip_do_redirect(rt: Rtable, skb: SkBuff, fl4: Flowi4, kill_route: bool) -> None:
    """A router (the source of skb's ICMP) tells of a better first hop: heed it where it can be believed.

    The ICMP header is at skb.transport_header.  Linux: net/ipv4/route.c.  RFC 1122, 3.2.2.2.
    """
    icmph = skb.transport_header
    code: i64 = i64(skb.head[icmph + 1])
    if code not in (ICMP_REDIR_NET, ICMP_REDIR_NETTOS, ICMP_REDIR_HOST, ICMP_REDIR_HOSTTOS):
        return
    new_gw: i64 = int.from_bytes(skb.head[icmph + 4:icmph + 8], 'big')
    old_gw = skb.saddr
    if rt.rt_gateway != old_gw:
        return
    dev = rt.dev
    net = dev.net
    in_dev = __in_dev_get_rcu(dev)
    if in_dev is None:
        return
    if (new_gw == old_gw or not IN_DEV_RX_REDIRECTS(in_dev) or ipv4_is_multicast(new_gw) or ipv4_is_lbcast(new_gw)
            or ipv4_is_zeronet(new_gw)):
        return
    if in_dev.cnf.shared_media == 0:
        if not inet_addr_onlink(in_dev, new_gw, old_gw):
            return
    elif inet_addr_type(net, new_gw) != RTN_UNICAST:
        return
    n = __ipv4_neigh_lookup_noref(dev, new_gw)
    if n is None and net.ipv4.arp_tbl is not None:
        n = __neigh_create(net.ipv4.arp_tbl, new_gw, dev)
    if n is None:
        return
    if (n.nud_state & NUD_VALID) == 0:
        neigh_event_send(n, None)
        return
    res = FibResult()
    if fib_lookup(net, fl4, res, 0) == 0 and res.fi is not None:
        nh = res.fi.fib_nh[res.nh_sel]
        update_or_create_fnhe(net, nh, fl4.daddr, new_gw, 0, False, net.clock.now + IP_RT_GC_TIMEOUT)
    if kill_route:
        rt.obsolete = -1


def ipv4_redirect(skb: SkBuff, net: Net, oif: i64, protocol: i64) -> None:
    """An ICMP redirect quotes a datagram of ours (data of skb at its IP header).  Linux: net/ipv4/route.c."""
    fl4 = Flowi4()
    at = skb.data
    build_iph_flow_key(net, fl4, None, skb.head, at, oif, ip_tos(skb.head, at), 0)
    fl4.flowi4_proto = protocol
    rt = ip_route_output_key(net, fl4)
    if rt is not None:
        __ip_do_redirect(rt, skb, fl4, False)


def ipv4_sk_redirect(skb: SkBuff, sk: Sock) -> None:
    """The same for a datagram of sk.  Linux: net/ipv4/route.c."""
    net = sock_net(sk)
    fl4 = Flowi4()
    build_iph_flow_key(net, fl4, sk, skb.head, skb.data, 0, 0, 0)
    rt = ip_route_output_key(net, fl4)
    if rt is not None:
        __ip_do_redirect(rt, skb, fl4, False)


def ip_do_redirect(dst: DstEntry, sk: Sock | None, skb: SkBuff) -> None:
    """A redirect came for a flow that uses dst.  Linux: net/ipv4/route.c (dst->ops->redirect)."""
    if not isinstance(dst, Rtable):
        return
    fl4 = Flowi4()
    build_iph_flow_key(dst.dev.net, fl4, sk, skb.head, skb.data, dst.dev.ifindex, 0, skb.mark)
    __ip_do_redirect(dst, skb, fl4, True)


def ip_rt_get_source(skb: SkBuff, rt: Rtable) -> i64:
    """The address of this host that belongs into a record-route option of skb on its way along rt.  Linux: net/ipv4/route.c."""
    at = skb.network_header
    if not rt.rt_is_input:
        return ip_saddr(skb.head, at)
    net = rt.dev.net
    fl4 = Flowi4()
    fl4.daddr = ip_daddr(skb.head, at)
    fl4.flowi4_tos = ip_tos(skb.head, at) & 0x1C
    fl4.flowi4_oif = rt.dev.ifindex
    fl4.flowi4_iif = skb.skb_iif
    fl4.flowi4_mark = skb.mark
    res = FibResult()
    if fib_lookup(net, fl4, res, 0) == 0:
        return fib_result_prefsrc(net, res)
    return inet_select_addr(rt.dev, rt_nexthop(rt, ip_daddr(skb.head, at)), RT_SCOPE_UNIVERSE)
