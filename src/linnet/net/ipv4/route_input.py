# SPDX-License-Identifier: Apache-2.0
"""Routes for packets that come in: to this host, through it, or nowhere.

    ip_route_input_noref > ip_route_input_slow > fib_table_lookup, fib_validate_source > (next hop's cached Rtable, or a new one)

Martians are dropped first: sources that cannot be (loopback, multicast, broadcast, this host's own), and destinations that must
not come by a wire. Where there is no route, or the route says unreachable, the packet gets a route to ip_error, which tells its
sender. Linux's route.c; it stands above ICMP, which sends those errors.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmp import (
    ICMP_DEST_UNREACH,
    ICMP_HOST_UNREACH,
    ICMP_NET_UNREACH,
    ICMP_PKT_FILTERED,
    ICMP_REDIR_HOST,
    ICMP_REDIRECT,
)
from linnet.include.linux.inet import (
    IPPROTO_IGMP,
    ipv4_is_lbcast,
    ipv4_is_loopback,
    ipv4_is_multicast,
    ipv4_is_zeronet,
)
from linnet.include.linux.inetdevice import (
    IN_DEV_FORWARD,
    IN_DEV_NET_ROUTE_LOCALNET,
    IN_DEV_SHARED_MEDIA,
    IN_DEV_TX_REDIRECTS,
    InDevice,
    __in_dev_get_rcu,
)
from linnet.include.linux.ip import IPSKB_DOREDIRECT, ip_tos
from linnet.include.linux.netdevice import IFF_LOOPBACK, NetDevice
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_IP_INADDRERRORS,
    SKB_DROP_REASON_IP_INNOROUTES,
    SKB_DROP_REASON_IP_INVALID_DEST,
    SKB_DROP_REASON_IP_INVALID_SOURCE,
    SKB_DROP_REASON_IP_LOCAL_SOURCE,
    SKB_DROP_REASON_IP_LOCALNET,
    SKB_DROP_REASON_IP_RPFILTER,
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_NOT_DROPPED_YET,
)
from linnet.include.net.dst import DstInput
from linnet.include.net.ip_fib import (
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_UNICAST,
    RTN_UNREACHABLE,
    FibNhException,
    FibResult,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.route import RTCF_BROADCAST, RTCF_LOCAL, RTCF_MULTICAST, Rtable, rt_nexthop
from linnet.include.net.snmp import IPSTATS_MIB_INADDRERRORS, IPSTATS_MIB_INNOROUTES, NET_INC_STATS
from linnet.kernel.errno import EACCES, EHOSTUNREACH, ENETUNREACH, EXDEV
from linnet.net.core.skbuff import kfree_skb_reason
from linnet.net.ipv4.devinet import inet_addr_onlink
from linnet.net.ipv4.fib_frontend import fib_validate_source
from linnet.net.ipv4.fib_rules import fib_lookup
from linnet.net.ipv4.fib_semantics import fib_multipath_hash, fib_select_multipath
from linnet.net.ipv4.icmp import icmp_control, icmp_send
from linnet.net.ipv4.igmp import ip_check_mc_rcu
from linnet.net.ipv4.inetpeer import inet_getpeer_v4
from linnet.net.ipv4.route import find_exception, rt_dst_alloc, rt_set_nexthop

LINUX_FILE: Final = 'net/ipv4/route.c'
MSEC: Final = 1_000_000
IP_RT_REDIRECT_LOAD: Final = 20 * MSEC  # Linux: HZ / 50
IP_RT_REDIRECT_NUMBER: Final = 9
IP_RT_REDIRECT_SILENCE: Final = IP_RT_REDIRECT_LOAD << (IP_RT_REDIRECT_NUMBER + 1)


class IpError(DstInput):
    """Packets that cannot go on end in ip_error."""

    def input(self, skb: SkBuff) -> i64:
        """See ip_error."""
        return ip_error(skb)


def ip_rt_input_init(net: Net) -> None:
    """Let unreachable routes lead here."""
    net.ipv4.ip_error = IpError()


def ip_route_input_noref(skb: SkBuff, daddr: i64, saddr: i64, tos: i64, dev: NetDevice) -> i64:
    """Give skb, which came in by dev, its route (skb.dst): 0, or the reason to drop it.  Linux: net/ipv4/route.c."""
    if ipv4_is_multicast(daddr):
        in_dev = __in_dev_get_rcu(dev)
        if in_dev is None:
            return SKB_DROP_REASON_NOT_SPECIFIED
        proto = skb.ip_protocol
        if ip_check_mc_rcu(in_dev, daddr, saddr, proto):
            return ip_route_input_mc(skb, daddr, saddr, tos, dev, True, in_dev)
        return SKB_DROP_REASON_IP_INVALID_DEST
    scratch = dev.net.ipv4.fib_scratch
    assert scratch is not None
    return ip_route_input_slow(skb, daddr, saddr, tos, dev, scratch.res)


def reason_of(err: i64) -> i64:
    """The drop reason for fib_validate_source's errno."""
    if err == -EXDEV:
        return SKB_DROP_REASON_IP_RPFILTER
    return SKB_DROP_REASON_IP_LOCAL_SOURCE


def ip_route_input_mc(skb: SkBuff, daddr: i64, saddr: i64, tos: i64, dev: NetDevice, our: bool, in_dev: InDevice) -> i64:
    """The route of a multicast to a group that this host listens to.  Linux: net/ipv4/route.c."""
    net = dev.net
    if ipv4_is_multicast(saddr) or ipv4_is_lbcast(saddr) or (ipv4_is_loopback(saddr) and not IN_DEV_NET_ROUTE_LOCALNET(in_dev)):
        return SKB_DROP_REASON_IP_INVALID_SOURCE
    if ipv4_is_zeronet(saddr):
        if (daddr >> 8) != 0xE00000 and skb.ip_protocol != IPPROTO_IGMP:  # not of the local network control block
            return SKB_DROP_REASON_IP_INVALID_SOURCE
    else:
        err = fib_validate_source(net, saddr, 0, tos, 0, dev, in_dev)
        if err < 0:
            return reason_of(err)
    flags: i64 = RTCF_MULTICAST
    if our:
        flags |= RTCF_LOCAL
    rth = rt_dst_alloc(dev, flags, RTN_MULTICAST)
    bug = net.ipv4.ip_rt_bug
    if bug is not None:
        rth.dst_output = bug
    rth.rt_is_input = True
    skb.dst = rth
    return SKB_NOT_DROPPED_YET


def ip_route_input_slow(skb: SkBuff, daddr: i64, saddr: i64, tos: i64, dev: NetDevice, res: FibResult) -> i64:
    """The look-up for a unicast or broadcast.  Linux: net/ipv4/route.c."""
    in_dev = __in_dev_get_rcu(dev)
    if in_dev is None:
        return SKB_DROP_REASON_NOT_SPECIFIED
    net = dev.net
    res.fi = None
    res.table = None
    if (saddr >> 28) >= 0xE and (ipv4_is_multicast(saddr) or ipv4_is_lbcast(saddr)):
        return ip_handle_martian_source(dev, in_dev, skb, daddr, saddr, SKB_DROP_REASON_IP_INVALID_SOURCE)
    if ipv4_is_lbcast(daddr) or (saddr == 0 and daddr == 0):
        return ip_route_input_brd(skb, daddr, saddr, tos, dev, in_dev, res)
    # 0/8 as a source is accepted only for a limited broadcast (a host that asks for its address)
    if ipv4_is_zeronet(saddr):
        return ip_handle_martian_source(dev, in_dev, skb, daddr, saddr, SKB_DROP_REASON_IP_INVALID_SOURCE)
    if ipv4_is_zeronet(daddr):
        return SKB_DROP_REASON_IP_INVALID_DEST
    if (ipv4_is_loopback(daddr) or ipv4_is_loopback(saddr)) and not IN_DEV_NET_ROUTE_LOCALNET(in_dev):
        if (dev.flags & IFF_LOOPBACK) == 0:
            if ipv4_is_loopback(daddr):
                return SKB_DROP_REASON_IP_LOCALNET
            return ip_handle_martian_source(dev, in_dev, skb, daddr, saddr, SKB_DROP_REASON_IP_LOCALNET)
    scratch = net.ipv4.fib_scratch
    assert scratch is not None
    fl4 = scratch.fl4
    fl4.flowi4_oif = 0
    fl4.flowi4_iif = dev.ifindex
    fl4.flowi4_mark = skb.mark
    fl4.flowi4_tos = tos
    fl4.daddr = daddr
    fl4.saddr = saddr
    err = fib_lookup(net, fl4, res, 0)
    if err != 0:
        if not IN_DEV_FORWARD(in_dev):
            err = -EHOSTUNREACH
        return ip_route_input_no_route(skb, net, dev, in_dev, err)
    type = res.type
    if type == RTN_BROADCAST:
        return ip_route_input_brd(skb, daddr, saddr, tos, dev, in_dev, res)
    if type == RTN_LOCAL:
        err = fib_validate_source(net, saddr, daddr, tos, 0, dev, in_dev)
        if err < 0:
            return ip_handle_martian_source(dev, in_dev, skb, daddr, saddr, reason_of(err))
        return ip_route_input_local(skb, net, dev, res, RTCF_LOCAL)
    if not IN_DEV_FORWARD(in_dev):
        return ip_route_input_no_route(skb, net, dev, in_dev, -EHOSTUNREACH)
    if type != RTN_UNICAST:
        return SKB_DROP_REASON_IP_INVALID_DEST
    return ip_mkroute_input(skb, res, in_dev, daddr, saddr, tos)


def ip_route_input_brd(skb: SkBuff, daddr: i64, saddr: i64, tos: i64, dev: NetDevice, in_dev: InDevice, res: FibResult) -> i64:
    """A broadcast is for this host.  Linux: brd_input of net/ipv4/route.c."""
    if skb.protocol != 0x0800:
        return SKB_DROP_REASON_IP_INVALID_DEST
    if not ipv4_is_zeronet(saddr):
        err = fib_validate_source(dev.net, saddr, 0, tos, 0, dev, in_dev)
        if err < 0:
            return ip_handle_martian_source(dev, in_dev, skb, daddr, saddr, reason_of(err))
    res.type = RTN_BROADCAST
    return ip_route_input_local(skb, dev.net, dev, res, RTCF_LOCAL | RTCF_BROADCAST)


def ip_route_input_local(skb: SkBuff, net: Net, dev: NetDevice, res: FibResult, flags: i64) -> i64:
    """The route to this host itself, cached on the local route's next hop.  Linux: local_input of net/ipv4/route.c."""
    fi = res.fi
    if fi is not None:
        rth = fi.fib_nh[res.nh_sel].nh_rth_input
        if rth is not None and rth.obsolete >= 0 and rth.rt_genid == net.ipv4.rt_genid and rth.rt_type == res.type:
            skb.dst = rth
            return SKB_NOT_DROPPED_YET
    out = net.loopback_dev
    made = rt_dst_alloc(dev if out is None else out, flags, res.type)
    bug = net.ipv4.ip_rt_bug
    if bug is not None:
        made.dst_output = bug
    made.rt_is_input = True
    if fi is not None:
        fi.fib_nh[res.nh_sel].nh_rth_input = made
    skb.dst = made
    return SKB_NOT_DROPPED_YET


def ip_route_input_no_route(skb: SkBuff, net: Net, dev: NetDevice, in_dev: InDevice, err: i64) -> i64:
    """There is no way: a route to ip_error.  Linux: no_route of net/ipv4/route.c."""
    out = net.loopback_dev
    rth = rt_dst_alloc(dev if out is None else out, RTCF_LOCAL, RTN_UNREACHABLE)
    rth.rt_is_input = True
    rth.rt_flags &= ~RTCF_LOCAL
    rth.rt_err = -err
    rth.error = -err
    to = net.ipv4.ip_error
    if to is not None:
        rth.dst_input = to
    bug = net.ipv4.ip_rt_bug
    if bug is not None:
        rth.dst_output = bug
    skb.dst = rth
    return SKB_NOT_DROPPED_YET


def ip_handle_martian_source(dev: NetDevice, in_dev: InDevice, skb: SkBuff, daddr: i64, saddr: i64, reason: i64) -> i64:
    """A source that cannot be. Returns the reason to drop it for.  Linux: net/ipv4/route.c, which logs it on demand."""
    return reason


def ip_mkroute_input(skb: SkBuff, res: FibResult, in_dev: InDevice, daddr: i64, saddr: i64, tos: i64) -> i64:
    """The route through this host; of several next hops the flow's hash takes one.  Linux: net/ipv4/route.c."""
    fi = res.fi
    assert fi is not None
    if len(fi.fib_nh) > 1:
        fib_select_multipath(res, fib_multipath_hash(in_dev.dev.net, saddr, daddr, 0))
    return __mkroute_input(skb, res, in_dev, daddr, saddr, tos)


def __mkroute_input(skb: SkBuff, res: FibResult, in_dev: InDevice, daddr: i64, saddr: i64, tos: i64) -> i64:
    """Validate the source, and find or make the Rtable that forwards.  Linux: net/ipv4/route.c."""
    fi = res.fi
    assert fi is not None
    nh = fi.fib_nh[res.nh_sel]
    out_dev = nh.nh_dev
    if out_dev is None:
        return SKB_DROP_REASON_NOT_SPECIFIED
    out_in_dev = __in_dev_get_rcu(out_dev)
    if out_in_dev is None:
        return SKB_DROP_REASON_NOT_SPECIFIED
    dev = in_dev.dev
    net = dev.net
    err = fib_validate_source(net, saddr, daddr, tos, out_dev.ifindex, dev, in_dev)
    if err < 0:
        return ip_handle_martian_source(dev, in_dev, skb, daddr, saddr, reason_of(err))
    if err > 0 and out_dev is dev and IN_DEV_TX_REDIRECTS(out_in_dev) and skb.protocol == 0x0800:
        if IN_DEV_SHARED_MEDIA(out_in_dev) or inet_addr_onlink(out_in_dev, saddr, nh.nh_gw):
            skb.ip_flags |= IPSKB_DOREDIRECT
    fnhe: FibNhException | None = None
    if nh.nh_exceptions:
        fnhe = find_exception(nh, daddr)
    rth = nh.nh_rth_input if fnhe is None else fnhe.fnhe_rth_input
    if rth is not None and rth.obsolete >= 0 and rth.rt_genid == net.ipv4.rt_genid:
        skb.dst = rth
        return SKB_NOT_DROPPED_YET
    made = rt_dst_alloc(out_dev, 0, res.type)
    made.rt_is_input = True
    forward = net.ipv4.ip_forward
    if forward is not None:
        made.dst_input = forward
    rt_set_nexthop(made, daddr, res, fnhe, fi, True)
    skb.dst = made
    return SKB_NOT_DROPPED_YET


# -- errors and redirects


def ip_error(skb: SkBuff) -> i64:
    """Tell the sender that there is no way, as often as net.ipv4.route.error_cost and error_burst allow.

    Linux: net/ipv4/route.c.
    """
    rt = skb.dst
    dev = skb.dev
    assert isinstance(rt, Rtable) and dev is not None
    net = dev.net
    in_dev = __in_dev_get_rcu(dev)
    reason: i64 = SKB_DROP_REASON_NOT_SPECIFIED
    if in_dev is None:
        kfree_skb_reason(skb, reason)
        return 0
    if not IN_DEV_FORWARD(in_dev):
        if rt.rt_err == EHOSTUNREACH:
            reason = SKB_DROP_REASON_IP_INADDRERRORS
            NET_INC_STATS(net, IPSTATS_MIB_INADDRERRORS)
        elif rt.rt_err == ENETUNREACH:
            reason = SKB_DROP_REASON_IP_INNOROUTES
            NET_INC_STATS(net, IPSTATS_MIB_INNOROUTES)
        kfree_skb_reason(skb, reason)
        return 0
    code: i64 = -1
    if rt.rt_err == EHOSTUNREACH:
        code = ICMP_HOST_UNREACH
    elif rt.rt_err == ENETUNREACH:
        code = ICMP_NET_UNREACH
        reason = SKB_DROP_REASON_IP_INNOROUTES
        NET_INC_STATS(net, IPSTATS_MIB_INNOROUTES)
    elif rt.rt_err == EACCES:
        code = ICMP_PKT_FILTERED
    if code >= 0:
        peer = inet_getpeer_v4(icmp_control(net).peers, skb.saddr, net.clock.now)
        now = net.clock.now
        tokens = peer.rate_tokens + now - peer.rate_last
        burst = net.ipv4.sysctl_route_error_burst * MSEC
        cost = net.ipv4.sysctl_route_error_cost * MSEC
        if tokens > burst:
            tokens = burst
        peer.rate_last = now
        send = tokens >= cost
        if send:
            tokens -= cost
        peer.rate_tokens = tokens
        if send:
            icmp_send(skb, ICMP_DEST_UNREACH, code, 0)
    kfree_skb_reason(skb, reason)
    return 0


def ip_rt_send_redirect(skb: SkBuff) -> None:
    """Tell the sender, who is on the link that skb leaves by, of the better first hop: at most 9, further and further apart.

    Linux: net/ipv4/route.c.  RFC 1812, 5.2.7.2.
    """
    rt = skb.dst
    assert isinstance(rt, Rtable)
    net = rt.dev.net
    in_dev = __in_dev_get_rcu(rt.dev)
    if in_dev is None or not IN_DEV_TX_REDIRECTS(in_dev):
        return
    now = net.clock.now
    peer = inet_getpeer_v4(icmp_control(net).peers, skb.saddr, now)
    if now > peer.rate_last + IP_RT_REDIRECT_SILENCE:  # long silence: begin again
        peer.rate_tokens = 0
        peer.n_redirects = 0
    if peer.n_redirects >= IP_RT_REDIRECT_NUMBER:
        peer.rate_last = now
        return
    if peer.n_redirects == 0 or now > peer.rate_last + (IP_RT_REDIRECT_LOAD << peer.n_redirects):
        icmp_send(skb, ICMP_REDIRECT, ICMP_REDIR_HOST, rt_nexthop(rt, skb.daddr))
        peer.rate_last = now
        peer.n_redirects += 1


def ip_route_input_again(skb: SkBuff, daddr: i64, dev: NetDevice) -> i64:
    """Route skb anew, to another destination (a source route).  Linux: ip_route_input, include/net/route.h."""
    skb.dst = None
    return ip_route_input_noref(skb, daddr, skb.saddr, ip_tos(skb.head, skb.network_header) & 0x1C, dev)
