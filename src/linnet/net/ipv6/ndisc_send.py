# SPDX-License-Identifier: Apache-2.0
"""Neighbour discovery's messages on the way out (RFC 4861, 4): solicitations and advertisements of neighbours, router
solicitations, redirects.

    ndisc_send_ns, _na, _rs, _redirect > ndisc_send_skb > netfilter's LOCAL_OUT > the route's output (ip6_output)

All have a hop limit of 255, by which the receiver knows that they come from the link itself (RFC 4861, 11.2). They are sent by
net.ipv6.ndisc_sk, a socket of the stack's own that does not hear its own multicast.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmpv6 import (
    NDISC_NEIGHBOUR_ADVERTISEMENT,
    NDISC_NEIGHBOUR_SOLICITATION,
    NDISC_REDIRECT,
    NDISC_ROUTER_SOLICITATION,
)
from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.in6 import (
    IN6ADDR_LINKLOCAL_ALLNODES,
    IPPROTO_ICMPV6,
    in6_bytes,
)
from linnet.include.linux.ipv6 import IPV6_HLEN, IPV6_MIN_MTU, Ipv6Pinfo, ipv6_daddr, ipv6_hdr_build, ipv6_saddr
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.netfilter import NF_INET_LOCAL_OUT, NFPROTO_IPV6, nf_hook
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import AF_INET6, SOCK_RAW
from linnet.include.net.checksum import csum_partial
from linnet.include.net.dropreason import SKB_DROP_REASON_IP_OUTNOROUTES
from linnet.include.net.dst import DstEntry, dst_output_sk
from linnet.include.net.flow import Flowi6
from linnet.include.net.if_inet6 import IFA_F_OPTIMISTIC, IFA_F_TENTATIVE, __in6_dev_get
from linnet.include.net.inet_sock import RawSock
from linnet.include.net.ip6_fib import RTF_GATEWAY
from linnet.include.net.ipv6 import IPV6_ADDR_LINKLOCAL, IPV6_ADDR_UNICAST, csum_ipv6_magic, ipv6_addr_type
from linnet.include.net.neighbour import NUD_VALID
from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import (
    ICMP6_INC_STATS,
    ICMP6_MIB_OUTMSGS,
    ICMP6MSGOUT_INC_STATS,
    IP6_INC_STATS,
    IPSTATS_MIB_OUTREQUESTS,
)
from linnet.net.core.neighbour import __neigh_lookup
from linnet.net.core.skbuff import alloc_skb, kfree_skb_reason, skb_copy_bits
from linnet.net.core.sock import sock_init_data
from linnet.net.ipv4.inetpeer import inet_getpeer_v6, inet_peer_xrlim_allow
from linnet.net.ipv6.addrconf_saddr import ipv6_dev_get_saddr, ipv6_get_ifaddr, ipv6_get_lladdr
from linnet.net.ipv6.ndisc_opts import (
    NA_OVERRIDE,
    NA_ROUTER,
    NA_SOLICITED,
    ND_OPT_NONCE,
    ND_OPT_REDIRECT_HDR,
    ND_OPT_SOURCE_LL_ADDR,
    ND_OPT_TARGET_LL_ADDR,
    RD_HLEN,
    ndisc_fill_option,
)
from linnet.net.ipv6.route_alloc import icmp6_dst_alloc
from linnet.net.ipv6.route_lookup import ip6_route_output

LINUX_FILE: Final = 'net/ipv6/ndisc.c'
NDISC_HOP_LIMIT: Final = 255
REDIRECT_INTERVAL: Final = 1000  # ms
SADDR_CHOOSE: Final = -1  # ndisc_send_ns: the device's link-local address (Linux: a null pointer)


def ndisc_sock_init(net: Net) -> None:
    """The socket that neighbour discovery and MLD send by: it does not hear its own multicast.  Linux: net/ipv6/ndisc.c."""
    sk = RawSock()
    sk.sk_family = AF_INET6
    sk.sk_type = SOCK_RAW
    sk.sk_net = net
    sock_init_data(None, sk)
    np = Ipv6Pinfo()
    np.hop_limit = NDISC_HOP_LIMIT
    np.mcast_hops = NDISC_HOP_LIMIT
    np.mc_loop = False
    sk.pinet6 = np
    net.ipv6.ndisc_sk = sk


def icmpv6_flow_init(type: i64, saddr: int, daddr: int, oif: i64) -> Flowi6:
    """The key of a message of this type.  Linux: net/ipv6/icmp.c."""
    fl6 = Flowi6()
    fl6.saddr = saddr
    fl6.daddr = daddr
    fl6.flowi6_proto = IPPROTO_ICMPV6
    fl6.fl6_icmp_type = type
    fl6.flowi6_oif = oif
    return fl6


def ndisc_send_skb(dev: NetDevice, dst: DstEntry | None, message: bytes, daddr: int, saddr: int) -> i64:
    """Send an ICMPv6 message whose checksum is still 0 out of dev; dst None: it goes to a neighbour. 0 or a negative errno.

    Linux: net/ipv6/ndisc.c, where the message stands in an skb.
    """
    net = dev.net
    type = i64(message[0])
    length: i64 = len(message)
    check = csum_ipv6_magic(saddr, daddr, length, IPPROTO_ICMPV6, csum_partial(message, 0))
    idev = __in6_dev_get(dev)
    tclass = idev.cnf.ndisc_tclass if idev is not None else 0
    head = (ipv6_hdr_build(tclass, 0, length, IPPROTO_ICMPV6, NDISC_HOP_LIMIT, saddr, daddr)
            + message[:2] + int(check).to_bytes(2, 'big') + message[4:])
    skb = ndisc_alloc_skb(dev, head)
    skb.transport_header = IPV6_HLEN
    skb.saddr6 = saddr
    skb.daddr6 = daddr
    skb.ip_protocol = IPPROTO_ICMPV6
    if dst is None:
        dst = icmp6_dst_alloc(dev, icmpv6_flow_init(type, saddr, daddr, dev.ifindex))
    skb.dst = dst
    IP6_INC_STATS(net, IPSTATS_MIB_OUTREQUESTS)
    err = ndisc_xmit(net, dev, skb)
    if err == 0:
        ICMP6MSGOUT_INC_STATS(net, type)
        ICMP6_INC_STATS(net, ICMP6_MIB_OUTMSGS)
    return err


def ndisc_alloc_skb(dev: NetDevice, packet: bytes) -> SkBuff:
    """An skb of a whole packet that starts with the IPv6 header.  Linux: net/ipv6/ndisc.c."""
    skb = alloc_skb(dev.net.world, dev.hard_header_len + len(packet))
    skb.head = packet
    skb.data = 0
    skb.len = len(packet)
    skb.network_header = 0
    skb.dev = dev
    skb.protocol = ETH_P_IPV6
    return skb


def ndisc_xmit(net: Net, dev: NetDevice, skb: SkBuff) -> i64:
    """Past netfilter and along skb's route, on behalf of the stack's own socket."""
    sk = net.ipv6.ndisc_sk
    if nf_hook(NFPROTO_IPV6, NF_INET_LOCAL_OUT, net, sk, skb, None, dev) != 1:
        return -1
    if skb.dst is None:
        kfree_skb_reason(skb, SKB_DROP_REASON_IP_OUTNOROUTES)
        return -1
    return dst_output_sk(sk, skb)


def ndisc_head(type: int, flags: int = 0) -> bytes:
    """The first eight bytes: type, code 0, a checksum of 0, and one byte of flags."""
    return bytes([type, 0, 0, 0, flags, 0, 0, 0])


def ndisc_send_na(dev: NetDevice, daddr: int, solicited_addr: int, router: bool, solicited: bool, override: bool,
                  inc_opt: bool) -> None:
    """Tell daddr that solicited_addr is here; inc_opt: with dev's hardware address.

    Linux: net/ipv6/ndisc.c.  RFC 4861, 4.4 and 7.2.4; of an optimistic address RFC 4429, 3.3.
    """
    ifp = ipv6_get_ifaddr(dev.net, solicited_addr, dev, True)
    if ifp is not None:
        saddr = solicited_addr
        if (ifp.flags & IFA_F_OPTIMISTIC) != 0:
            override = False
        inc_opt = inc_opt or ifp.idev.cnf.force_tllao != 0
    else:
        saddr = ipv6_dev_get_saddr(dev.net, dev, daddr, 0)
        if saddr == 0:
            return
    flags = (NA_ROUTER if router else 0) | (NA_SOLICITED if solicited else 0) | (NA_OVERRIDE if override else 0)
    message = ndisc_head(NDISC_NEIGHBOUR_ADVERTISEMENT, flags) + in6_bytes(solicited_addr)
    if inc_opt and dev.addr_len != 0:
        message += ndisc_fill_option(ND_OPT_TARGET_LL_ADDR, dev.dev_addr)
    ndisc_send_skb(dev, None, message, daddr, saddr)


def ndisc_send_unsol_na(dev: NetDevice) -> None:
    """Announce all addresses of dev, as with ndisc_notify when it comes up or its hardware address changes.

    Linux: net/ipv6/ndisc.c.  RFC 4861, 7.2.6.
    """
    idev = __in6_dev_get(dev)
    if idev is None:
        return
    for ifp in list(idev.addr_list):
        if (ifp.flags & IFA_F_TENTATIVE) != 0 and (ifp.flags & IFA_F_OPTIMISTIC) == 0:
            continue
        ndisc_send_na(dev, IN6ADDR_LINKLOCAL_ALLNODES, ifp.addr, idev.cnf.forwarding != 0, False, True, True)


def ndisc_send_ns(dev: NetDevice, solicit: int, daddr: int, saddr: int = SADDR_CHOOSE, nonce: bytes = b'') -> None:
    """Ask for solicit. saddr ::: is it free (DAD, with a nonce of six bytes if any; RFC 7527)? SADDR_CHOOSE: as dev's link-local.

    Linux: net/ipv6/ndisc.c.  RFC 4861, 4.3.
    """
    if saddr == SADDR_CHOOSE:
        saddr = ipv6_get_lladdr(dev, IFA_F_TENTATIVE | IFA_F_OPTIMISTIC)
        if saddr == 0:
            return
    message = ndisc_head(NDISC_NEIGHBOUR_SOLICITATION) + in6_bytes(solicit)
    if saddr != 0 and dev.addr_len != 0:
        message += ndisc_fill_option(ND_OPT_SOURCE_LL_ADDR, dev.dev_addr)
    if len(nonce) != 0:
        message += ndisc_fill_option(ND_OPT_NONCE, nonce)
    ndisc_send_skb(dev, None, message, daddr, saddr)


def ndisc_send_rs(dev: NetDevice, saddr: int, daddr: int) -> None:
    """Ask for routers. An optimistic source tells no hardware address (RFC 4429, 2.2).

    Linux: net/ipv6/ndisc.c.  RFC 4861, 4.1.
    """
    message = ndisc_head(NDISC_ROUTER_SOLICITATION)
    if dev.addr_len != 0:
        ifp = ipv6_get_ifaddr(dev.net, saddr, dev, True)
        if ifp is not None and (ifp.flags & IFA_F_OPTIMISTIC) == 0:
            message += ndisc_fill_option(ND_OPT_SOURCE_LL_ADDR, dev.dev_addr)
    ndisc_send_skb(dev, None, message, daddr, saddr)


def ndisc_send_redirect(skb: SkBuff, target: int) -> None:
    """skb (data at its IPv6 header) was forwarded to where its sender could have sent it: tell the sender. The caller keeps skb.

    target is the destination itself where that is on the link, else the better router's link-local address. One redirect a
    second goes to a host, after a burst of six.
    Linux: net/ipv6/ndisc.c.  RFC 4861, 8.2.
    """
    rt_in = skb.dst
    dev = skb.dev
    if rt_in is None or dev is None:
        return
    dev = rt_in.dev
    net = dev.net
    at = skb.network_header
    sender = ipv6_saddr(skb.head, at)
    daddr = ipv6_daddr(skb.head, at)
    saddr = ipv6_get_lladdr(dev, IFA_F_TENTATIVE)
    if saddr == 0 or (daddr != target and ipv6_addr_type(target) != (IPV6_ADDR_UNICAST | IPV6_ADDR_LINKLOCAL)):
        return
    rt = ip6_route_output(net, None, icmpv6_flow_init(NDISC_REDIRECT, saddr, sender, dev.ifindex))
    if rt.error != 0 or (rt.rt6i_flags & RTF_GATEWAY) != 0:
        return
    if not inet_peer_xrlim_allow(net, inet_getpeer_v6(net, sender), REDIRECT_INTERVAL):
        return
    options = b''
    tbl = net.ipv6.nd_tbl
    if dev.addr_len != 0 and tbl is not None:
        neigh = __neigh_lookup(tbl, target, dev, True)
        if neigh is None:
            return
        if (neigh.nud_state & NUD_VALID) != 0:
            options = ndisc_fill_option(ND_OPT_TARGET_LL_ADDR, neigh.ha)
    room = IPV6_MIN_MTU - IPV6_HLEN - RD_HLEN - len(options)
    whole = int(skb.len) + 8
    size = (whole if whole < room else room) & ~7
    quoted = skb_copy_bits(skb, 0, size - 8)
    message = (ndisc_head(NDISC_REDIRECT) + in6_bytes(target) + in6_bytes(daddr) + options
               + bytes([ND_OPT_REDIRECT_HDR, size >> 3, 0, 0, 0, 0, 0, 0]) + quoted)
    ndisc_send_skb(dev, rt, message, sender, saddr)
