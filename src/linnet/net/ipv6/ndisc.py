# SPDX-License-Identifier: Apache-2.0
"""Neighbour discovery (RFC 4861): asks for and tells the hardware address of IPv6 neighbours, and hears routers.

The machine of net/core/neighbour.py decides when to ask; this file knows what: who needs no asking (ndisc_constructor), what
a question looks like (ndisc_solicit), and what follows from each message heard (ndisc_rcv). Who asks is noted; an answer makes an
entry reachable; a question from :: is another host's DAD for an address (RFC 4862, 5.4.3). A router (conf/DEV/forwarding) says
that it is one, hears solicitations for routers, and with proxy_ndp answers for the addresses that
pneigh_add names.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmpv6 import (
    NDISC_NEIGHBOUR_ADVERTISEMENT,
    NDISC_NEIGHBOUR_SOLICITATION,
    NDISC_REDIRECT,
    NDISC_ROUTER_ADVERTISEMENT,
    NDISC_ROUTER_SOLICITATION,
)
from linnet.include.linux.if_ether import ARPHRD_ETHER, ETH_P_IPV6
from linnet.include.linux.in6 import IN6ADDR_LINKLOCAL_ALLNODES, in6_read
from linnet.include.linux.ipv6 import IP6SKB_FRAGMENTED
from linnet.include.linux.netdevice import IFF_LOOPBACK, IFF_NOARP, IFF_POINTOPOINT, NetDevice
from linnet.include.linux.notifier import (
    NETDEV_CHANGE,
    NETDEV_CHANGEADDR,
    NETDEV_DOWN,
    NETDEV_UNREGISTER,
    NETDEV_UP,
    NotifierBlock,
)
from linnet.include.linux.skbuff import PACKET_HOST, PACKET_LOOPBACK, SkBuff, __skb_pull
from linnet.include.net.dropreason import (
    SKB_CONSUMED,
    SKB_DROP_REASON_IPV6_NDISC_BAD_CODE,
    SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS,
    SKB_DROP_REASON_IPV6_NDISC_FRAG,
    SKB_DROP_REASON_IPV6_NDISC_HOP_LIMIT,
    SKB_DROP_REASON_IPV6_NDISC_NS_OTHERHOST,
    SKB_DROP_REASON_NEIGH_FAILED,
    SKB_DROP_REASON_NOMEM,
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_DROP_REASON_PKT_TOO_SMALL,
    SKB_DROP_REASON_UNHANDLED_PROTO,
)
from linnet.include.net.if_inet6 import IFA_F_OPTIMISTIC, IFA_F_TENTATIVE, Inet6Dev, __in6_dev_get
from linnet.include.net.ip6_fib import RTF_ADDRCONF, RTF_DEFAULT
from linnet.include.net.ip_fib import RTN_LOCAL, RTN_MULTICAST, RTN_UNICAST
from linnet.include.net.ipv6 import (
    IPV6_ADDR_LINKLOCAL,
    addrconf_addr_solict_mult,
    ipv6_addr_is_multicast,
    ipv6_addr_type,
)
from linnet.include.net.neighbour import (
    NEIGH_UPDATE_F_ISROUTER,
    NEIGH_UPDATE_F_OVERRIDE,
    NEIGH_UPDATE_F_OVERRIDE_ISROUTER,
    NEIGH_UPDATE_F_WEAK_OVERRIDE,
    NUD_FAILED,
    NUD_NOARP,
    NUD_REACHABLE,
    NUD_STALE,
    NUD_VALID,
    Neighbour,
    NeighTable,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.netns.ipv6 import RouterProber
from linnet.kernel.errno import EINVAL, ENOENT
from linnet.net.core.neighbour import (
    __neigh_lookup,
    neigh_carrier_down,
    neigh_changeaddr,
    neigh_ifdown,
    neigh_lookup,
    neigh_table_init,
    neigh_timer_handler,
    neigh_update,
    pneigh_enqueue,
)
from linnet.net.core.skbuff import consume_skb, kfree_skb_reason, pskb_may_pull, skb_clone, skb_copy_bits
from linnet.net.ipv6.addrconf_dad import addrconf_dad_failure
from linnet.net.ipv6.addrconf_saddr import ipv6_chk_addr_and_flags, ipv6_get_ifaddr
from linnet.net.ipv6.anycast import ipv6_chk_acast_addr
from linnet.net.ipv6.ip6_fib import fib6_all
from linnet.net.ipv6.mcast import ipv6_dev_mc_dec, ipv6_dev_mc_inc
from linnet.net.ipv6.ndisc_opts import (
    NA_HLEN,
    NA_OVERRIDE,
    NA_ROUTER,
    NA_SOLICITED,
    NS_HLEN,
    RD_HLEN,
    RS_HLEN,
    NdiscOptions,
    ndisc_opt_addr_data,
    ndisc_parse_options,
)
from linnet.net.ipv6.ndisc_ra import ndisc_router_discovery
from linnet.net.ipv6.ndisc_send import ndisc_send_na, ndisc_send_ns, ndisc_send_unsol_na, ndisc_sock_init
from linnet.net.ipv6.ndisc_send import ndisc_send_redirect as ndisc_send_redirect
from linnet.net.ipv6.ndisc_send import ndisc_send_rs as ndisc_send_rs
from linnet.net.ipv6.route import ip6_del_rt, ip6_link_failure, ip6_redirect, ip6_redirect_no_header

RTF_RA_ROUTER: Final = RTF_ADDRCONF | RTF_DEFAULT


class NdiscTable(NeighTable):
    """Linux: nd_tbl."""

    def __init__(self, net: Net) -> None:
        super().__init__(net, 'ndisc_cache')
        self.protocol = ETH_P_IPV6
        self.key_len = 16
        self.random = net.ipv6.random
        self.parms.locktime = 0
        self.proxies: dict[int, bool] = {}  # (interface, address) that this host answers for -> as a router?

    def constructor(self, neigh: Neighbour) -> int:
        """See ndisc_constructor."""
        return ndisc_constructor(neigh)

    def solicit(self, neigh: Neighbour, skb: SkBuff | None) -> None:
        """See ndisc_solicit."""
        ndisc_solicit(neigh, skb)

    def error_report(self, neigh: Neighbour, skb: SkBuff) -> None:
        """See ndisc_error_report."""
        ndisc_error_report(neigh, skb)

    def proxy_redo(self, skb: SkBuff) -> None:
        """See pndisc_redo."""
        pndisc_redo(skb)

    def timer_handler(self, neigh: Neighbour) -> None:
        """See neigh_timer_handler."""
        neigh_timer_handler(neigh)


class NdiscNetdevNotifier(NotifierBlock):
    """Devices come, go and change.  Linux: ndisc_netdev_notifier."""

    def __init__(self, tbl: NeighTable) -> None:
        self.tbl: NeighTable = tbl

    def notifier_call(self, event: int, dev: NetDevice, addr: i64 = 0, prefixlen: i64 = 0) -> None:
        """See ndisc_netdev_event."""
        ndisc_netdev_event(self.tbl, event, dev)


class NdiscRouterProber(RouterProber):
    """Asks for a router that was unreachable, when the routes would rather use it (Linux: rt6_probe_deferred)."""

    def probe(self, dev: NetDevice, gateway: int) -> None:
        """A question to its solicited-node group.  RFC 4191, 3.5."""
        ndisc_send_ns(dev, gateway, addrconf_addr_solict_mult(gateway))


def ndisc_init(net: Net) -> None:
    """Make the Net's table of IPv6 neighbours, and the socket that messages are sent by.  Linux: net/ipv6/ndisc.c."""
    ndisc_sock_init(net)
    tbl = NdiscTable(net)
    neigh_table_init(tbl)
    net.ipv6.nd_tbl = tbl
    net.ipv6.router_prober = NdiscRouterProber()


def ndisc_late_init(net: Net) -> None:
    """Listen for news of devices, behind addrconf.  Linux: net/ipv6/ndisc.c."""
    tbl = net.ipv6.nd_tbl
    if tbl is not None:
        net.netdev_chain.append(NdiscNetdevNotifier(tbl))


def ndisc_netdev_event(tbl: NeighTable, event: int, dev: NetDevice) -> None:
    """What is known of neighbours on dev follows the device; with ndisc_notify its addresses are announced.

    Linux: net/ipv6/ndisc.c.
    """
    idev = __in6_dev_get(dev)
    notify = idev is not None and (idev.cnf.ndisc_notify != 0 or dev.net.ipv6.devconf_all.ndisc_notify != 0)
    if event == NETDEV_CHANGEADDR:
        neigh_changeaddr(tbl, dev)
        if notify:
            ndisc_send_unsol_na(dev)
    elif event == NETDEV_UP:
        if notify:
            ndisc_send_unsol_na(dev)
    elif event == NETDEV_CHANGE:
        if not dev.carrier and idev is not None and idev.cnf.ndisc_evict_nocarrier != 0:
            neigh_carrier_down(tbl, dev)
    elif event == NETDEV_DOWN or event == NETDEV_UNREGISTER:
        pneigh_ifdown(dev)
        neigh_ifdown(tbl, dev)


# ------------------------------------------------------------------------------------------------------ the table's ops

def ndisc_constructor(neigh: Neighbour) -> int:
    """Set a new entry's type, and where no question is needed its address and state. 0 or -EINVAL.

    Linux: net/ipv6/ndisc.c.
    """
    dev = neigh.dev
    if __in6_dev_get(dev) is None:
        return -EINVAL
    addr = neigh.primary_key
    multicast = ipv6_addr_is_multicast(addr)
    neigh.type = RTN_MULTICAST if multicast else RTN_UNICAST
    if dev.header_ops is None:
        neigh.nud_state = NUD_NOARP
        neigh.output = neigh.tbl.output_direct
        return 0
    if multicast:
        neigh.nud_state = NUD_NOARP
        neigh.ha = ndisc_mc_map(addr, dev)
    elif (dev.flags & (IFF_NOARP | IFF_LOOPBACK)) != 0:
        neigh.nud_state = NUD_NOARP
        neigh.ha = dev.dev_addr
        if (dev.flags & IFF_LOOPBACK) != 0:
            neigh.type = RTN_LOCAL
    elif (dev.flags & IFF_POINTOPOINT) != 0:
        neigh.nud_state = NUD_NOARP
        neigh.ha = dev.broadcast
    neigh.output = neigh.tbl.output_resolve
    return 0


def ndisc_mc_map(addr: int, dev: NetDevice) -> bytes:
    """The group address of a multicast destination (RFC 2464, 7); broadcast on what is not Ethernet.  Linux: net/ipv6/ndisc.c."""
    if dev.type != ARPHRD_ETHER:
        return dev.broadcast
    return b'\x33\x33' + (addr & 0xFFFFFFFF).to_bytes(4, 'big')


def ndisc_solicit(neigh: Neighbour, skb: SkBuff | None) -> None:
    """Ask for neigh: the first probes of an entry that was once known go straight to it, others to its solicited-node group.

    Linux: net/ipv6/ndisc.c.  RFC 4861, 7.2.2.
    """
    dev = neigh.dev
    target = neigh.primary_key
    saddr = -1
    if skb is not None and skb.protocol == ETH_P_IPV6 and skb.network_header >= 0:
        source = in6_read(skb.head, int(skb.network_header + 8))
        if ipv6_chk_addr_and_flags(dev.net, source, dev, False, True, IFA_F_TENTATIVE | IFA_F_OPTIMISTIC):
            saddr = source
    probes: i64 = neigh.probes - neigh.parms.ucast_probes
    if probes < 0:
        if (neigh.nud_state & NUD_VALID) != 0:
            ndisc_send_ns(dev, target, target, saddr)
            return
    elif probes < neigh.parms.app_probes:
        return  # a user-space resolver would be asked: there is none
    ndisc_send_ns(dev, target, addrconf_addr_solict_mult(target), saddr)


def ndisc_error_report(neigh: Neighbour, skb: SkBuff) -> None:
    """neigh does not answer: tell skb's sender, and drop it.  Linux: net/ipv6/ndisc.c."""
    ip6_link_failure(skb)
    kfree_skb_reason(skb, SKB_DROP_REASON_NEIGH_FAILED)


# -------------------------------------------------------------------------------------------------------------- proxies

def pneigh_add(dev: NetDevice, addr: int, router: bool = False) -> int:
    """`ip -6 neigh add proxy ADDR dev DEV`: with proxy_ndp, answer for addr on dev: 0 or -EINVAL.  Linux: pneigh_create."""
    tbl = dev.net.ipv6.nd_tbl
    if not isinstance(tbl, NdiscTable) or __in6_dev_get(dev) is None:
        return -EINVAL
    key = (int(dev.ifindex) << 128) | addr
    if key not in tbl.proxies:
        ipv6_dev_mc_inc(dev, addrconf_addr_solict_mult(addr))
    tbl.proxies[key] = router
    return 0


def pneigh_delete(dev: NetDevice, addr: int) -> int:
    """`ip -6 neigh del proxy ADDR dev DEV`: 0 or -ENOENT.  Linux: net/core/neighbour.c."""
    tbl = dev.net.ipv6.nd_tbl
    key = (int(dev.ifindex) << 128) | addr
    if not isinstance(tbl, NdiscTable) or key not in tbl.proxies:
        return -ENOENT
    del tbl.proxies[key]
    ipv6_dev_mc_dec(dev, addrconf_addr_solict_mult(addr))
    return 0


def pneigh_ifdown(dev: NetDevice) -> None:
    """dev went down: it answers for nobody else any more.  Linux: net/core/neighbour.c."""
    tbl = dev.net.ipv6.nd_tbl
    if isinstance(tbl, NdiscTable):
        for key in list(tbl.proxies):
            if key >> 128 == int(dev.ifindex):
                pneigh_delete(dev, key & ((1 << 128) - 1))


def pndisc_is_router(addr: int, dev: NetDevice) -> int:
    """Does this host answer for addr on dev: -1 no, 0 as for a host, 1 as for a router.  Linux: net/ipv6/ndisc.c."""
    tbl = dev.net.ipv6.nd_tbl
    if not isinstance(tbl, NdiscTable):
        return -1
    found = tbl.proxies.get((int(dev.ifindex) << 128) | addr)
    return -1 if found is None else 1 if found else 0


def pndisc_redo(skb: SkBuff) -> None:
    """A proxied question's time has come.  Linux: net/ipv6/ndisc.c."""
    ndisc_recv_ns(skb, True)
    consume_skb(skb)


# ------------------------------------------------------------------------------------------------------------ receiving

def ndisc_rcv(skb: SkBuff) -> i64:
    """A message of neighbour discovery, types 133 to 137, data at its ICMPv6 header, its checksum seen.

    SKB_CONSUMED or a drop reason; the caller frees skb.  Linux: net/ipv6/ndisc.c.  RFC 4861, 6.1, 7.1, 8.1.
    """
    dev = skb.dev
    if dev is None or skb.len < 8:
        return SKB_DROP_REASON_PKT_TOO_SMALL
    idev = __in6_dev_get(dev)
    if idev is None:
        return SKB_DROP_REASON_NOT_SPECIFIED
    if not pskb_may_pull(skb, skb.len):
        return SKB_DROP_REASON_NOMEM
    skb.transport_header = skb.data
    if (skb.ip_flags & IP6SKB_FRAGMENTED) != 0 and idev.cnf.suppress_frag_ndisc != 0:
        return SKB_DROP_REASON_IPV6_NDISC_FRAG  # RFC 6980, 5
    if skb.ttl != 255:
        return SKB_DROP_REASON_IPV6_NDISC_HOP_LIMIT
    start = skb_copy_bits(skb, 0, 2)
    if start[1] != 0:
        return SKB_DROP_REASON_IPV6_NDISC_BAD_CODE
    type = start[0]
    if type == NDISC_NEIGHBOUR_SOLICITATION:
        return ndisc_recv_ns(skb, False)
    if type == NDISC_NEIGHBOUR_ADVERTISEMENT:
        return ndisc_recv_na(skb)
    if type == NDISC_ROUTER_SOLICITATION:
        return ndisc_recv_rs(skb)
    if type == NDISC_ROUTER_ADVERTISEMENT:
        return ndisc_router_discovery(skb)
    if type == NDISC_REDIRECT:
        return ndisc_redirect_rcv(skb)
    return SKB_DROP_REASON_UNHANDLED_PROTO


def ndisc_recv_ns(skb: SkBuff, redo: bool) -> i64:
    """Somebody asks for an address; redo: a question for a proxied address that was put off.

    Linux: net/ipv6/ndisc.c.  RFC 4861, 7.2.3; RFC 4862, 5.4.3.
    """
    dev = skb.dev
    assert dev is not None
    if skb.len < NS_HLEN:
        return SKB_DROP_REASON_PKT_TOO_SMALL
    message = skb_copy_bits(skb, 0, skb.len)
    target = in6_read(message, 8)
    saddr = skb.saddr6
    daddr = skb.daddr6
    dad = saddr == 0
    if ipv6_addr_is_multicast(target):
        return SKB_DROP_REASON_NOT_SPECIFIED
    if dad and (daddr >> 24) != 0xFF02_0000_0000_0000_0000_0001_FF:
        return SKB_DROP_REASON_NOT_SPECIFIED  # RFC 4861, 7.1.1
    opts = ndisc_parse_options(message[NS_HLEN:])
    if opts is None:
        return SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS
    lladdr: bytes | None = None
    if len(opts.src_lladdr) != 0:
        lladdr = ndisc_opt_addr_data(opts.src_lladdr, dev)
        if lladdr is None or dad:
            return SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS
    inc = ipv6_addr_is_multicast(daddr)
    ifp = ipv6_get_ifaddr(dev.net, target, dev, True)
    router = -1
    if ifp is not None:
        if (ifp.flags & (IFA_F_TENTATIVE | IFA_F_OPTIMISTIC)) != 0:
            if dad:
                if len(opts.nonce) == 8 and opts.nonce[2:] == ifp.dad_nonce:
                    return SKB_CONSUMED  # our own question came back (RFC 7527, 4.2)
                addrconf_dad_failure(ifp)
                return SKB_CONSUMED
            if (ifp.flags & IFA_F_OPTIMISTIC) == 0:
                return SKB_CONSUMED
        idev = ifp.idev
    else:
        found = __in6_dev_get(dev)
        if found is None:
            return SKB_DROP_REASON_NOT_SPECIFIED
        idev = found
        if not ipv6_chk_acast_addr(dev.net, dev, target):
            router = pndisc_is_router(target, dev) if ndisc_is_proxy(idev) else -1
            if router < 0:
                return SKB_DROP_REASON_IPV6_NDISC_NS_OTHERHOST
        if not redo and skb.pkt_type != PACKET_HOST and inc and pndisc_delay(skb, dev):
            return SKB_CONSUMED
    is_router = idev.cnf.forwarding != 0 if router < 0 else router == 1
    if dad:
        ndisc_send_na(dev, IN6ADDR_LINKLOCAL_ALLNODES, target, is_router, False, ifp is not None, True)
        return SKB_CONSUMED
    neigh = ndisc_learn(dev, saddr, lladdr, not inc or lladdr is not None or dev.addr_len == 0,
                        NEIGH_UPDATE_F_WEAK_OVERRIDE | NEIGH_UPDATE_F_OVERRIDE)
    if neigh is not None or dev.header_ops is None:
        ndisc_send_na(dev, saddr, target, is_router, True, ifp is not None and inc, inc)
    return SKB_CONSUMED


def ndisc_is_proxy(idev: Inet6Dev) -> bool:
    """Does the device answer for others (proxy_ndp, of a router)?"""
    return idev.cnf.forwarding != 0 and (idev.cnf.proxy_ndp != 0 or idev.dev.net.ipv6.devconf_all.proxy_ndp != 0)


def pndisc_delay(skb: SkBuff, dev: NetDevice) -> bool:
    """Put the answer off by up to proxy_delay, so that the owner and other proxies can answer first (RFC 4861, 7.2.7, 7.2.8)."""
    tbl = dev.net.ipv6.nd_tbl
    if tbl is None:
        return False
    parms = tbl.parms_of(dev)
    if parms.proxy_delay == 0:
        return False
    pneigh_enqueue(tbl, parms, skb_clone(skb))
    return True


def ndisc_learn(dev: NetDevice, addr: int, lladdr: bytes | None, create: bool, flags: i64) -> Neighbour | None:
    """addr speaks to us: note it, unconfirmed, at lladdr where it told that. None: there is no entry."""
    tbl = dev.net.ipv6.nd_tbl
    if tbl is None:
        return None
    neigh = __neigh_lookup(tbl, addr, dev, create)
    if neigh is not None:
        neigh_update(neigh, lladdr, NUD_STALE, flags)
    return neigh


def ndisc_recv_na(skb: SkBuff) -> i64:
    """Somebody tells where an address is.  Linux: net/ipv6/ndisc.c.  RFC 4861, 7.2.5; RFC 4862, 5.4.4."""
    dev = skb.dev
    assert dev is not None
    if skb.len < NA_HLEN:
        return SKB_DROP_REASON_PKT_TOO_SMALL
    message = skb_copy_bits(skb, 0, skb.len)
    target = in6_read(message, 8)
    solicited = (message[4] & NA_SOLICITED) != 0
    if ipv6_addr_is_multicast(target) or (ipv6_addr_is_multicast(skb.daddr6) and solicited):
        return SKB_DROP_REASON_NOT_SPECIFIED
    idev = __in6_dev_get(dev)
    if idev is None or (not solicited and idev.cnf.drop_unsolicited_na != 0):
        return SKB_DROP_REASON_NOT_SPECIFIED
    opts = ndisc_parse_options(message[NA_HLEN:])
    if opts is None:
        return SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS
    lladdr: bytes | None = None
    if len(opts.tgt_lladdr) != 0:
        lladdr = ndisc_opt_addr_data(opts.tgt_lladdr, dev)
        if lladdr is None:
            return SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS
    ifp = ipv6_get_ifaddr(dev.net, target, dev, True)
    if ifp is not None:
        # of an address that is found unique already there is nothing that could be done
        if skb.pkt_type != PACKET_LOOPBACK and (ifp.flags & IFA_F_TENTATIVE) != 0:
            addrconf_dad_failure(ifp)
        return SKB_CONSUMED
    tbl = dev.net.ipv6.nd_tbl
    if tbl is None:
        return SKB_DROP_REASON_NOT_SPECIFIED
    state: i64 = NUD_REACHABLE if solicited else NUD_STALE
    neigh = neigh_lookup(tbl, target, dev)
    if neigh is None and lladdr is not None and idev.cnf.forwarding != 0 and idev.cnf.accept_untracked_na != 0:
        neigh = __neigh_lookup(tbl, target, dev, True)  # RFC 9131
        state = NUD_STALE
    if neigh is None or (neigh.nud_state & NUD_FAILED) != 0:
        return SKB_CONSUMED
    if lladdr == dev.dev_addr and ndisc_is_proxy(idev) and pndisc_is_router(target, dev) >= 0:
        return SKB_CONSUMED  # our own answer as a proxy
    was_router = neigh.is_router
    flags: i64 = NEIGH_UPDATE_F_WEAK_OVERRIDE | NEIGH_UPDATE_F_OVERRIDE_ISROUTER
    if (message[4] & NA_OVERRIDE) != 0:
        flags |= NEIGH_UPDATE_F_OVERRIDE
    if (message[4] & NA_ROUTER) != 0:
        flags |= NEIGH_UPDATE_F_ISROUTER
    neigh_update(neigh, lladdr, state, flags)
    if was_router and not neigh.is_router:
        rt6_clean_tohost(dev.net, skb.saddr6)
    return SKB_CONSUMED


def ndisc_recv_rs(skb: SkBuff) -> i64:
    """A host asks for routers: one notes the host (and a daemon would answer).  Linux: net/ipv6/ndisc.c.  RFC 4861, 6.2.6."""
    dev = skb.dev
    assert dev is not None
    if skb.len < RS_HLEN:
        return SKB_DROP_REASON_PKT_TOO_SMALL
    idev = __in6_dev_get(dev)
    if idev is None or idev.cnf.forwarding == 0 or skb.saddr6 == 0:
        return SKB_CONSUMED
    opts: NdiscOptions | None = ndisc_parse_options(skb_copy_bits(skb, RS_HLEN, skb.len - RS_HLEN))
    if opts is None:
        return SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS
    lladdr: bytes | None = None
    if len(opts.src_lladdr) != 0:
        lladdr = ndisc_opt_addr_data(opts.src_lladdr, dev)
        if lladdr is None:
            return SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS
    ndisc_learn(dev, skb.saddr6, lladdr, True, NEIGH_UPDATE_F_WEAK_OVERRIDE | NEIGH_UPDATE_F_OVERRIDE
                | NEIGH_UPDATE_F_OVERRIDE_ISROUTER)
    return SKB_CONSUMED


def ndisc_redirect_rcv(skb: SkBuff) -> i64:
    """A router tells a better first hop for a destination: the routes learn it.

    Linux: net/ipv6/ndisc.c, where it goes by the quoted packet's socket.  RFC 4861, 8.1 and 8.3.
    """
    dev = skb.dev
    assert dev is not None
    if (ipv6_addr_type(skb.saddr6) & IPV6_ADDR_LINKLOCAL) == 0:
        return SKB_DROP_REASON_NOT_SPECIFIED
    if skb.len < RD_HLEN:
        return SKB_DROP_REASON_PKT_TOO_SMALL
    opts = ndisc_parse_options(skb_copy_bits(skb, RD_HLEN, skb.len - RD_HLEN))
    if opts is None:
        return SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS
    if opts.redirect_hdr < 0:
        ip6_redirect_no_header(skb, dev.net, dev.ifindex)
    else:
        __skb_pull(skb, RD_HLEN + opts.redirect_hdr + 8)
        ip6_redirect(skb, dev.net, dev.ifindex, 0)
    return SKB_CONSUMED


def rt6_clean_tohost(net: Net, gateway: int) -> None:
    """A router is none any more: what it advertised leads nowhere.  Linux: net/ipv6/route.c.  RFC 4861, 7.2.5."""
    for f6i in fib6_all(net):
        if (f6i.fib6_flags & RTF_RA_ROUTER) == RTF_RA_ROUTER and f6i.fib6_nh.gw == gateway:
            ip6_del_rt(net, f6i)
