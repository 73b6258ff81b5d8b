# SPDX-License-Identifier: Apache-2.0
"""ARP (RFC 826, RFC 5227): asks for and tells the hardware address of IPv4 neighbours.

The machine of net/core/neighbour.py decides when; this file knows what: which addresses need asking at all
(arp_constructor), what a question looks like (arp_solicit), and what to do with what is heard (arp_rcv,
arp_process): answer if the target is ours, note the asker, take answers over. Which question is answered, and with
which source one asks, is tuned by arp_ignore, arp_filter and arp_announce; arp_accept admits unasked news of
strangers, arp_notify announces the addresses of a device that comes up.

A packet: htype ptype hlen plen op | sender hw, sender IP | target hw, target IP.
"""
from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from linnet.include.linux.if_ether import (
    ARPHRD_ETHER,
    ARPOP_REPLY,
    ARPOP_REQUEST,
    ETH_P_ARP,
    ETH_P_IP,
)
from linnet.include.linux.inet import in_ntoa, ipv4_is_loopback, ipv4_is_multicast
from linnet.include.linux.inetdevice import (
    IN_DEV_ARP_ACCEPT,
    IN_DEV_ARP_ANNOUNCE,
    IN_DEV_ARP_IGNORE,
    IN_DEV_ARP_NOTIFY,
    IN_DEV_ARPFILTER,
    IN_DEV_FORWARD,
    IN_DEV_NET_ROUTE_LOCALNET,
    IN_DEV_PROXY_ARP,
    InDevice,
    __in_dev_get_rcu,
)
from linnet.include.linux.ip import ip_saddr
from linnet.include.linux.netdevice import (
    IFF_LOOPBACK,
    IFF_NOARP,
    IFF_POINTOPOINT,
    NET_RX_DROP,
    NET_RX_SUCCESS,
    NetDevice,
    PacketType,
)
from linnet.include.linux.netfilter import NF_ARP_IN, NF_ARP_OUT, NFPROTO_ARP, nf_hook
from linnet.include.linux.notifier import (
    NETDEV_CHANGE,
    NETDEV_CHANGEADDR,
    NETDEV_DOWN,
    NETDEV_REGISTER,
    NETDEV_UNREGISTER,
    NETDEV_UP,
    NotifierBlock,
)
from linnet.include.linux.skbuff import (
    PACKET_HOST,
    PACKET_LOOPBACK,
    PACKET_OTHERHOST,
    SkBuff,
    skb_reset_network_header,
)
from linnet.include.linux.unaligned import get_be16, get_be32, put_be16, put_be32
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_ARP_INVALID,
    SKB_DROP_REASON_DEV_READY,
    SKB_DROP_REASON_HDR_TRUNC,
    SKB_DROP_REASON_NEIGH_FAILED,
)
from linnet.include.net.ip_fib import RT_SCOPE_HOST, RT_SCOPE_LINK, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST, RTN_UNICAST
from linnet.include.net.neighbour import (
    NEIGH_UPDATE_F_OVERRIDE,
    NUD_NOARP,
    NUD_REACHABLE,
    NUD_STALE,
    NUD_VALID,
    Neighbour,
    NeighTable,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.route import Rtable
from linnet.include.net.snmp import LINUX_MIB_ARPFILTER, NET_INC_STATS
from linnet.kernel.errno import EINVAL
from linnet.net.core.dev import dev_add_pack, dev_queue_xmit
from linnet.net.core.neighbour import (
    __neigh_lookup,
    __neigh_update,
    neigh_carrier_down,
    neigh_changeaddr,
    neigh_event_ns,
    neigh_for_each,
    neigh_ifdown,
    neigh_parms_alloc,
    neigh_parms_release,
    neigh_table_init,
    neigh_timer_handler,
    pneigh_enqueue,
)
from linnet.net.core.skbuff import alloc_skb, consume_skb, kfree_skb_reason, pskb_may_pull
from linnet.net.ipv4.devinet import inet_addr_onlink, inet_confirm_addr, inet_select_addr
from linnet.net.ipv4.fib_frontend import inet_addr_type_dev_table, rt_cache_flush
from linnet.net.ipv4.icmp import icmp_send
from linnet.net.ipv4.route import ip_route_output
from linnet.net.ipv4.route_input import ip_route_input_noref

ARP_HLEN: Final = 8  # before the addresses
ARP_PKT_ETHER: Final = 28
ICMP_DEST_UNREACH: Final = 3
ICMP_HOST_UNREACH: Final = 1


class ArpTable(NeighTable):
    """Linux: arp_tbl."""

    def __init__(self, net: Net) -> None:
        super().__init__(net, 'arp_cache')
        self.protocol = ETH_P_IP

    def constructor(self, neigh: Neighbour) -> int:
        """See arp_constructor."""
        return arp_constructor(neigh)

    def solicit(self, neigh: Neighbour, skb: SkBuff | None) -> None:
        """See arp_solicit."""
        arp_solicit(neigh, skb)

    def error_report(self, neigh: Neighbour, skb: SkBuff) -> None:
        """See arp_error_report."""
        arp_error_report(neigh, skb)

    def proxy_redo(self, skb: SkBuff) -> None:
        """See parp_redo."""
        parp_redo(skb)

    def timer_handler(self, neigh: Neighbour) -> None:
        """See neigh_timer_handler."""
        neigh_timer_handler(neigh)


class ArpPacketType(PacketType):
    """Linux: arp_packet_type."""

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> i64:
        """See arp_rcv."""
        return arp_rcv(skb, dev)


class ArpNetdevNotifier(NotifierBlock):
    """Devices come, go and change.  Linux: arp_netdev_notifier."""

    def __init__(self, tbl: NeighTable) -> None:
        self.tbl: NeighTable = tbl

    def notifier_call(self, event: int, dev: NetDevice, addr: i64 = 0, prefixlen: i64 = 0) -> None:
        """See arp_netdev_event."""
        arp_netdev_event(self.tbl, event, dev)


def arp_init(net: Net) -> None:
    """Make the Net's ARP table, and listen for ARP packets and for news of devices.  Linux: net/ipv4/arp.c."""
    tbl = ArpTable(net)
    neigh_table_init(tbl)
    net.ipv4.arp_tbl = tbl
    for dev in net.dev_base:
        neigh_parms_alloc(dev, tbl)
    dev_add_pack(net, ArpPacketType(ETH_P_ARP))
    net.netdev_chain.append(ArpNetdevNotifier(tbl))


def arp_netdev_event(tbl: NeighTable, event: int, dev: NetDevice) -> None:
    """What is known of neighbours on dev follows the device.  Linux: net/ipv4/arp.c, and inetdev_init/_destroy."""
    if event == NETDEV_REGISTER:
        neigh_parms_alloc(dev, tbl)
    elif event == NETDEV_UNREGISTER:
        neigh_ifdown(tbl, dev)
        neigh_parms_release(dev, tbl)
    elif event == NETDEV_DOWN:
        neigh_ifdown(tbl, dev)
    elif event == NETDEV_CHANGEADDR:
        neigh_changeaddr(tbl, dev)
        rt_cache_flush(dev.net)
        in_dev = __in_dev_get_rcu(dev)
        if in_dev is not None and IN_DEV_ARP_NOTIFY(in_dev):
            inetdev_send_gratuitous_arp(dev, in_dev)
    elif event == NETDEV_UP:
        in_dev = __in_dev_get_rcu(dev)
        if in_dev is not None and IN_DEV_ARP_NOTIFY(in_dev):
            inetdev_send_gratuitous_arp(dev, in_dev)
    elif event == NETDEV_CHANGE and not dev.carrier:
        neigh_carrier_down(tbl, dev)


def arp_ifdown(dev: NetDevice) -> None:
    """dev went down: forget its neighbours.  Linux: net/ipv4/arp.c."""
    tbl = dev.net.ipv4.arp_tbl
    if tbl is not None:
        neigh_ifdown(tbl, dev)


# ------------------------------------------------------------------------------------------------------ the table's ops

def arp_constructor(neigh: Neighbour) -> int:
    """Set a new entry's type, and where no question is needed its address and state. 0 or -EINVAL.

    Linux: net/ipv4/arp.c.
    """
    dev = neigh.dev
    tbl = neigh.tbl
    if __in_dev_get_rcu(dev) is None:
        return -EINVAL
    addr = neigh.primary_key
    if (dev.flags & (IFF_LOOPBACK | IFF_POINTOPOINT)) != 0:
        addr = 0
        neigh.primary_key = 0  # one entry serves all addresses there
    neigh.type = inet_addr_type_dev_table(dev.net, dev, addr)
    if dev.header_ops is None:
        neigh.nud_state = NUD_NOARP
        neigh.output = tbl.output_direct
        return 0
    if neigh.type == RTN_MULTICAST:
        neigh.nud_state = NUD_NOARP
        neigh.ha = arp_mc_map(addr, dev)
    elif (dev.flags & (IFF_NOARP | IFF_LOOPBACK)) != 0:
        neigh.nud_state = NUD_NOARP
        neigh.ha = dev.dev_addr
    elif neigh.type == RTN_BROADCAST or (dev.flags & IFF_POINTOPOINT) != 0:
        neigh.nud_state = NUD_NOARP
        neigh.ha = dev.broadcast
    neigh.output = tbl.output_resolve
    return 0


def arp_mc_map(addr: i64, dev: NetDevice) -> bytes:
    """The group address of a multicast destination (RFC 1112, 6.4); broadcast on what is not Ethernet.

    Linux: net/ipv4/arp.c.
    """
    if dev.type != ARPHRD_ETHER:
        return dev.broadcast
    low = int(addr) & 0x7FFFFF
    return b'\x01\x00\x5e' + low.to_bytes(3, 'big')


def arp_solicit(neigh: Neighbour, skb: SkBuff | None) -> None:
    """Ask for neigh: the first probes of an entry that was once known go straight to its address, others to all.

    Linux: net/ipv4/arp.c.  RFC 1122, 2.3.2.1.
    """
    dev = neigh.dev
    in_dev = __in_dev_get_rcu(dev)
    if in_dev is None:
        return
    target = neigh.primary_key
    saddr = arp_solicit_saddr(neigh, in_dev, skb)
    if saddr == 0:
        saddr = inet_select_addr(dev, target, RT_SCOPE_LINK)
    probes: i64 = neigh.probes - neigh.parms.ucast_probes
    dst_hw: bytes | None = None
    if probes < 0:
        if (neigh.nud_state & NUD_VALID) != 0:
            dst_hw = neigh.ha
    elif probes < neigh.parms.app_probes:
        return  # a user-space resolver would be asked: there is none
    arp_send_dst(ARPOP_REQUEST, ETH_P_ARP, target, dev, saddr, dst_hw, dev.dev_addr, None)


def arp_solicit_saddr(neigh: Neighbour, in_dev: InDevice, skb: SkBuff | None) -> i64:
    """The source that the waiting packet suggests, as arp_announce lets it; 0: choose one of the link's."""
    dev = neigh.dev
    announce = IN_DEV_ARP_ANNOUNCE(in_dev)
    if skb is None or announce >= 2 or skb.network_header < 0 or skb.protocol != ETH_P_IP:
        return 0
    saddr = ip_saddr(skb.head, skb.network_header)
    if inet_addr_type_dev_table(dev.net, dev, saddr) != RTN_LOCAL:
        return 0
    if announce == 1 and not inet_addr_onlink(in_dev, neigh.primary_key, saddr):
        return 0
    return saddr


def arp_error_report(neigh: Neighbour, skb: SkBuff) -> None:
    """neigh does not answer: tell skb's sender, and drop it.  Linux: net/ipv4/arp.c."""
    dst_link_failure(skb)
    kfree_skb_reason(skb, SKB_DROP_REASON_NEIGH_FAILED)


def dst_link_failure(skb: SkBuff) -> None:
    """The next hop of skb cannot be reached.  Linux: include/net/dst.h."""
    rt = skb.dst
    if isinstance(rt, Rtable):
        ipv4_link_failure(skb, rt)


def ipv4_link_failure(skb: SkBuff, rt: Rtable) -> None:
    """Send ICMP host unreachable to skb's source, this host itself where skb began here; a learnt route is void.

    Linux: net/ipv4/route.c; it stands here because the routing code lies below ICMP.
    """
    icmp_send(skb, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0)
    if rt.rt_pmtu != 0:
        rt.obsolete = -1


# -------------------------------------------------------------------------------------------------------------- sending

def arp_hdr_len(dev: NetDevice) -> i64:
    """The length of an ARP packet on dev.  Linux: include/linux/if_arp.h."""
    return ARP_HLEN + (dev.addr_len + 4) * 2


def arp_create(
    type: i64, ptype: i64, dest_ip: i64, dev: NetDevice, src_ip: i64, dest_hw: bytes | None, src_hw: bytes | None,
    target_hw: bytes | None,
) -> SkBuff | None:
    """An ARP packet of kind type (ARPOP_*) with its link header; dest_hw None: to all. None: no header can be made.

    Linux: net/ipv4/arp.c.
    """
    if src_hw is None:
        src_hw = dev.dev_addr
    if dest_hw is None:
        dest_hw = dev.broadcast
    w = BytesWriter()
    put_be16(w, dev.type)
    put_be16(w, ETH_P_IP)
    w.append(int(dev.addr_len))
    w.append(4)
    put_be16(w, type)
    w.write(src_hw)
    put_be32(w, src_ip)
    w.write(target_hw if target_hw is not None else bytes(int(dev.addr_len)))
    put_be32(w, dest_ip)
    body = w.getvalue()
    skb = alloc_skb(dev.net.world, dev.hard_header_len + len(body))
    skb.head = body
    skb.data = 0
    skb.len = len(body)
    skb_reset_network_header(skb)
    skb.dev = dev
    skb.protocol = ETH_P_ARP
    ops = dev.header_ops
    if ops is not None and ops.create(skb, dev, ptype, dest_hw, src_hw) < 0:
        kfree_skb_reason(skb, SKB_DROP_REASON_NEIGH_FAILED)
        return None
    return skb


def arp_xmit(skb: SkBuff) -> None:
    """Send a complete ARP packet, past netfilter.  Linux: net/ipv4/arp.c."""
    dev = skb.dev
    assert dev is not None
    if nf_hook(NFPROTO_ARP, NF_ARP_OUT, dev.net, None, skb, None, dev) == 1:
        arp_xmit_finish(skb)


def arp_xmit_finish(skb: SkBuff) -> None:
    """Linux: net/ipv4/arp.c."""
    dev_queue_xmit(skb)


def arp_send(
    type: i64, ptype: i64, dest_ip: i64, dev: NetDevice, src_ip: i64, dest_hw: bytes | None, src_hw: bytes | None,
    target_hw: bytes | None,
) -> None:
    """Make and send an ARP packet.  Linux: net/ipv4/arp.c."""
    arp_send_dst(type, ptype, dest_ip, dev, src_ip, dest_hw, src_hw, target_hw)


def arp_send_dst(
    type: i64, ptype: i64, dest_ip: i64, dev: NetDevice, src_ip: i64, dest_hw: bytes | None, src_hw: bytes | None,
    target_hw: bytes | None,
) -> None:
    """Make and send an ARP packet, unless dev does no ARP.  Linux: net/ipv4/arp.c."""
    if (dev.flags & IFF_NOARP) != 0:
        return
    skb = arp_create(type, ptype, dest_ip, dev, src_ip, dest_hw, src_hw, target_hw)
    if skb is not None:
        arp_xmit(skb)


def arp_announce_addr(dev: NetDevice, addr: i64) -> None:
    """A gratuitous ARP: addr is at dev (RFC 5227, 3: sender and target are the same)."""
    arp_send_dst(ARPOP_REQUEST, ETH_P_ARP, addr, dev, addr, None, dev.dev_addr, None)


def inetdev_send_gratuitous_arp(dev: NetDevice, in_dev: InDevice) -> None:
    """Announce all addresses of dev.  Linux: net/ipv4/devinet.c."""
    for ifa in in_dev.ifa_list:
        arp_announce_addr(dev, ifa.ifa_local)


# ------------------------------------------------------------------------------------------------------------ receiving

def arp_rcv(skb: SkBuff, dev: NetDevice) -> i64:
    """An ARP packet came in: check its form, pass netfilter, and go on.  Linux: net/ipv4/arp.c."""
    if (dev.flags & IFF_NOARP) != 0 or skb.pkt_type == PACKET_OTHERHOST or skb.pkt_type == PACKET_LOOPBACK:
        consume_skb(skb)
        return NET_RX_SUCCESS
    if not pskb_may_pull(skb, arp_hdr_len(dev)):
        kfree_skb_reason(skb, SKB_DROP_REASON_HDR_TRUNC)
        return NET_RX_DROP
    at = skb.data
    if i64(skb.head[at + 4]) != dev.addr_len or skb.head[at + 5] != 4:
        kfree_skb_reason(skb, SKB_DROP_REASON_ARP_INVALID)
        return NET_RX_DROP
    if nf_hook(NFPROTO_ARP, NF_ARP_IN, dev.net, None, skb, dev, None) != 1:
        return NET_RX_DROP
    return arp_process(skb)


class ArpPacket:
    """The fields of a received packet, as they are needed by the steps of arp_process."""

    def __init__(self, head: bytes, at: i64, addr_len: i64) -> None:
        self.op: i64 = get_be16(head, at + 6)
        self.sha: bytes = head[at + 8:at + 8 + addr_len]
        self.sip: i64 = get_be32(head, at + 8 + addr_len)
        self.tha: bytes = head[at + 12 + addr_len:at + 12 + 2 * addr_len]
        self.tip: i64 = get_be32(head, at + 12 + 2 * addr_len)


def arp_process(skb: SkBuff) -> i64:
    """Answer a question for us, note the asker; take over an answer.

    Linux: net/ipv4/arp.c.  RFC 826, Packet Reception.
    """
    dev = skb.dev
    assert dev is not None
    net = dev.net
    tbl = net.ipv4.arp_tbl
    in_dev = __in_dev_get_rcu(dev)
    if in_dev is None or tbl is None:
        kfree_skb_reason(skb, SKB_DROP_REASON_DEV_READY)
        return NET_RX_DROP
    at = skb.data
    hrd = get_be16(skb.head, at)
    op = get_be16(skb.head, at + 6)
    if (get_be16(skb.head, at + 2) != ETH_P_IP or (hrd != dev.type and not (dev.type == ARPHRD_ETHER and hrd == 6))
            or (op != ARPOP_REQUEST and op != ARPOP_REPLY)):
        kfree_skb_reason(skb, SKB_DROP_REASON_ARP_INVALID)
        return NET_RX_DROP
    arp = ArpPacket(skb.head, at, dev.addr_len)
    if ipv4_is_multicast(arp.tip) or (ipv4_is_loopback(arp.tip) and not IN_DEV_NET_ROUTE_LOCALNET(in_dev)):
        kfree_skb_reason(skb, SKB_DROP_REASON_ARP_INVALID)
        return NET_RX_DROP
    if arp.sip == 0:
        arp_answer_probe(dev, in_dev, arp)
        consume_skb(skb)
        return NET_RX_SUCCESS
    if op == ARPOP_REQUEST and ip_route_input_noref(skb, arp.tip, arp.sip, 0, dev) == 0:
        verdict = arp_answer(skb, dev, in_dev, arp)
        if verdict == ARP_QUEUED:
            return NET_RX_SUCCESS
        if verdict == ARP_DONE:
            consume_skb(skb)
            return NET_RX_SUCCESS
    arp_learn(tbl, skb, dev, in_dev, arp)
    consume_skb(skb)
    return NET_RX_SUCCESS


ARP_NOT_OURS: Final = 0
ARP_DONE: Final = 1
ARP_QUEUED: Final = 2


def arp_answer_probe(dev: NetDevice, in_dev: InDevice, arp: ArpPacket) -> None:
    """Somebody asks whether an address is free (RFC 5227, 2.1.1; DHCP clients do): if it is ours, say so."""
    if (arp.op == ARPOP_REQUEST and inet_addr_type_dev_table(dev.net, dev, arp.tip) == RTN_LOCAL
            and not arp_ignore(in_dev, arp.sip, arp.tip)):
        arp_send_dst(ARPOP_REPLY, ETH_P_ARP, arp.sip, dev, arp.tip, arp.sha, dev.dev_addr, arp.sha)


def arp_answer(skb: SkBuff, dev: NetDevice, in_dev: InDevice, arp: ArpPacket) -> int:
    """A question whose target has a route: answer if it is for us, or if we stand in for the target (proxy ARP)."""
    rt = skb.dst
    tbl = dev.net.ipv4.arp_tbl
    if not isinstance(rt, Rtable) or tbl is None:
        return ARP_NOT_OURS
    if rt.rt_type == RTN_LOCAL:
        dont_send = arp_ignore(in_dev, arp.sip, arp.tip)
        if not dont_send and IN_DEV_ARPFILTER(in_dev):
            dont_send = arp_filter(arp.sip, arp.tip, dev)
        if not dont_send:
            n = neigh_event_ns(tbl, arp.sha, arp.sip, dev)
            if n is not None:
                arp_send_dst(ARPOP_REPLY, ETH_P_ARP, arp.sip, dev, arp.tip, arp.sha, dev.dev_addr, arp.sha)
        return ARP_DONE
    if not IN_DEV_FORWARD(in_dev) or rt.rt_type != RTN_UNICAST or not arp_fwd_proxy(in_dev, dev, rt):
        return ARP_NOT_OURS
    neigh_event_ns(tbl, arp.sha, arp.sip, dev)
    parms = tbl.parms_of(dev)
    if skb.pkt_type == PACKET_HOST or parms.proxy_delay == 0:
        arp_send_dst(ARPOP_REPLY, ETH_P_ARP, arp.sip, dev, arp.tip, arp.sha, dev.dev_addr, arp.sha)
        return ARP_DONE
    pneigh_enqueue(tbl, parms, skb)
    return ARP_QUEUED


def parp_redo(skb: SkBuff) -> None:
    """A proxied question's time has come: asked as if of us alone, it is answered at once.  Linux: net/ipv4/arp.c."""
    skb.pkt_type = PACKET_HOST
    arp_process(skb)


def arp_learn(tbl: NeighTable, skb: SkBuff, dev: NetDevice, in_dev: InDevice, arp: ArpPacket) -> None:
    """Update what is known of the sender; make an entry only of unasked news, and only with arp_accept."""
    n = __neigh_lookup(tbl, arp.sip, dev, False)
    accept = arp_accept(in_dev, arp.sip)
    is_garp = False
    if n is not None or accept:
        is_garp = arp_is_garp(dev, arp)
    if accept and n is None:
        # an answer that nobody asked for, or an announcement
        if is_garp or (arp.op == ARPOP_REPLY and inet_addr_type_dev_table(dev.net, dev, arp.sip) == RTN_UNICAST):
            n = __neigh_lookup(tbl, arp.sip, dev, True)
    if n is None:
        return
    state: i64 = NUD_REACHABLE
    if arp.op != ARPOP_REPLY or skb.pkt_type != PACKET_HOST:
        state = NUD_STALE  # heard, but not as the answer to a question of ours
    # within locktime the first answer stays: of several hosts that answer, the fastest wins
    override = is_garp or tbl.net.clock.now > n.updated + n.parms.locktime
    __neigh_update(n, arp.sha, state, NEIGH_UPDATE_F_OVERRIDE if override else 0)


def arp_is_garp(dev: NetDevice, arp: ArpPacket) -> bool:
    """Is it an announcement: sender and target are one address (and, in an answer, one hardware address)?

    Linux: net/ipv4/arp.c.  RFC 5227, 3.
    """
    if arp.tip != arp.sip or inet_addr_type_dev_table(dev.net, dev, arp.sip) != RTN_UNICAST:
        return False
    return arp.op == ARPOP_REQUEST or arp.tha == arp.sha


def arp_accept(in_dev: InDevice, sip: i64) -> bool:
    """arp_accept: 1 takes unasked news of anybody, 2 only of an address in a subnet of the device.

    Linux: net/ipv4/arp.c.
    """
    mode = IN_DEV_ARP_ACCEPT(in_dev)
    if mode == 2:
        return inet_addr_onlink(in_dev, sip, 0)
    return mode != 0


def arp_ignore(in_dev: InDevice, sip: i64, tip: i64) -> bool:
    """Does arp_ignore forbid to answer sip's question for tip?

    Linux: net/ipv4/arp.c; Documentation/networking/ip-sysctl.
    """
    mode = IN_DEV_ARP_IGNORE(in_dev)
    if mode == 0:
        return False
    scope: i64 = RT_SCOPE_HOST
    where: InDevice | None = in_dev
    if mode == 1:
        sip = 0
    elif mode == 3:
        sip = 0
        scope = RT_SCOPE_LINK
        where = None
    elif mode == 8:
        return True
    elif mode != 2:
        return False
    return inet_confirm_addr(in_dev.dev.net, where, sip, tip, scope) == 0


def arp_filter(sip: i64, tip: i64, dev: NetDevice) -> bool:
    """With arp_filter: would we not send to sip through dev? Then another device is to answer.

    Linux: net/ipv4/arp.c.
    """
    rt = ip_route_output(dev.net, sip, tip, 0, 0)
    if rt is None:
        return True
    if rt.dev is not dev:
        NET_INC_STATS(dev.net, LINUX_MIB_ARPFILTER)
        return True
    return False


def arp_fwd_proxy(in_dev: InDevice, dev: NetDevice, rt: Rtable) -> bool:
    """With proxy_arp: does the way to the target lead out of another device?  Linux: net/ipv4/arp.c."""
    return rt.dev is not dev and IN_DEV_PROXY_ARP(in_dev)


def arp_seq_show(net: Net) -> str:
    """The text of /proc/net/arp.  Linux: net/ipv4/arp.c."""
    lines = ['IP address       HW type     Flags       HW address            Mask     Device\n']
    tbl = net.ipv4.arp_tbl
    if tbl is not None:
        for n in neigh_for_each(tbl):
            if (n.nud_state & NUD_NOARP) != 0:
                continue
            flags = 0
            if (n.nud_state & 0x80) != 0:
                flags = 6
            elif (n.nud_state & NUD_VALID) != 0:
                flags = 2
            hw = (n.ha if len(n.ha) != 0 else bytes(int(n.dev.addr_len))).hex(':')
            lines.append(f'{in_ntoa(int(n.primary_key)):<16} {"0x" + format(int(n.dev.type), "x"):<10}  '
                         f'{"0x" + format(flags, "x"):<10}  {hw:<17}     *        {n.dev.name}\n')
    return ''.join(lines)
