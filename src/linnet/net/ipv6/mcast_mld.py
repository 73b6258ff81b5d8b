# SPDX-License-Identifier: Apache-2.0
"""Multicast listener discovery, the host's part (MLDv2: RFC 3810; MLDv1: RFC 2710): who listens to what is told to the link's
routers and switches.

A group that comes or goes is reported at once and again, robustness times in all, at random intervals (RFC 3810, 6.1): one report
holds all changes of the device. A query is answered after a random time (6.2): a general one by one report of all groups
(mc_gq_timer), one for a group by that group's timer. While a querier of version 1 is heard (its query is 24 bytes long), the
device speaks version 1. Groups are joined for all sources: there are no source filters, so of the record types only
MODE_IS_EXCLUDE, CHANGE_TO_EXCLUDE and CHANGE_TO_INCLUDE (leave) are sent. ff02::1 and groups of interface-local scope are never
reported. Until a device has a link-local address that is its own, reports come from :: (RFC 3590), and are repeated when it has.

All timers are deferrable: nobody of this host waits for a report.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.icmpv6 import (
    ICMPV6_MGM_REDUCTION,
    ICMPV6_MGM_REPORT,
    ICMPV6_MLD2_REPORT,
)
from linnet.include.linux.in6 import (
    IN6ADDR_LINKLOCAL_ALLNODES,
    IN6ADDR_LINKLOCAL_ALLROUTERS,
    IPPROTO_HOPOPTS,
    IPPROTO_ICMPV6,
    in6_bytes,
    in6_read,
)
from linnet.include.linux.ipv6 import IPV6_HLEN, ipv6_hdr_build
from linnet.include.linux.netdevice import netif_running
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.unaligned import get_be16
from linnet.include.net.checksum import csum_partial
from linnet.include.net.dropreason import SKB_CONSUMED, SKB_DROP_REASON_NOT_SPECIFIED, SKB_DROP_REASON_PKT_TOO_SMALL
from linnet.include.net.if_inet6 import (
    IFA_F_OPTIMISTIC,
    IFA_F_TENTATIVE,
    MAF_LAST_REPORTER,
    MAF_LOADED,
    MAF_NOREPORT,
    Ifmcaddr6,
    Inet6Dev,
    __in6_dev_get,
)
from linnet.include.net.ipv6 import (
    IPV6_ADDR_LINKLOCAL,
    IPV6_ADDR_MULTICAST,
    IPV6_ADDR_SCOPE_LINKLOCAL,
    csum_ipv6_magic,
    ipv6_addr_scope,
    ipv6_addr_type,
)
from linnet.include.net.snmp import (
    ICMP6_INC_STATS,
    ICMP6_MIB_OUTMSGS,
    ICMP6MSGOUT_INC_STATS,
    IP6_INC_STATS,
    IPSTATS_MIB_OUTREQUESTS,
)
from linnet.kernel.timer import TimerList, del_timer, mod_timer, timer_pending
from linnet.net.core.skbuff import skb_copy_bits
from linnet.net.ipv6.addrconf_saddr import ipv6_get_lladdr
from linnet.net.ipv6.ndisc_send import icmpv6_flow_init, ndisc_alloc_skb, ndisc_xmit
from linnet.net.ipv6.route_alloc import icmp6_dst_alloc

LINUX_FILE: Final = 'net/ipv6/mcast.c'

MLD2_MODE_IS_EXCLUDE: Final = 2
MLD2_CHANGE_TO_INCLUDE: Final = 3
MLD2_CHANGE_TO_EXCLUDE: Final = 4
MLD2_ALL_ROUTERS: Final = 0xFF02_0000_0000_0000_0000_0000_0000_0016  # ff02::16

MLD_QUERY_HLEN: Final = 24
MLD2_QUERY_HLEN: Final = 28
MLD_RECORD_LEN: Final = 20
MLD2_REPORT_HLEN: Final = 8
MSEC: Final = 1_000_000
MLD_V1_SEEN_DEFAULT: Final = 260_000 * MSEC  # the Older Version Querier Present timeout of default values (RFC 3810, 9.12)

# hop-by-hop: next header ICMPv6, router alert of value 0 (MLD), padding
MLD_HOPOPTS: Final = bytes([IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0])


class MldTimer(TimerList):
    """A timer of a device's MLD: nobody waits for it."""

    def __init__(self, idev: Inet6Dev) -> None:
        super().__init__(idev.dev.net.clock)
        self.idev: Inet6Dev = idev
        self.deferrable = True


class MldIfcTimer(MldTimer):
    """A report of changes is due again (Linux: mc_ifc_work)."""

    def function(self) -> None:
        """See mld_ifc_work."""
        mld_ifc_work(self.idev)


class MldGqTimer(MldTimer):
    """The answer to a general query is due (Linux: mc_gq_work)."""

    def function(self) -> None:
        """Tell of all groups.  Linux: net/ipv6/mcast.c, mld_gq_work."""
        mld_send_report(self.idev, None)


class MldDadTimer(MldTimer):
    """The first report from a link-local address is due again (Linux: mc_dad_work)."""

    def function(self) -> None:
        """See mld_dad_work."""
        mld_dad_work(self.idev)


class MldGroupTimer(TimerList):
    """The answer to a query for one group is due, or an unsolicited report of version 1 again (Linux: mca_work)."""

    def __init__(self, mc: Ifmcaddr6) -> None:
        super().__init__(mc.idev.dev.net.clock)
        self.mc: Ifmcaddr6 = mc
        self.deferrable = True

    def function(self) -> None:
        """See mld_mca_work."""
        mld_mca_work(self.mc)


# ------------------------------------------------------------------------------------------------------------- versions

def mld_in_v1_mode(idev: Inet6Dev) -> bool:
    """Is version 1 spoken on the device: by force_mld_version, or because a querier of version 1 was heard?

    Linux: net/ipv6/mcast.c.  RFC 3810, 8.2.1.
    """
    forced = idev.cnf.force_mld_version
    every = idev.dev.net.ipv6.devconf_all.force_mld_version
    if every != 0:
        forced = every
    if forced != 0:
        return forced == 1
    return idev.mc_v1_seen != 0 and idev.dev.net.clock.now < idev.mc_v1_seen


def unsolicited_report_interval(idev: Inet6Dev) -> i64:
    """The longest time between repeated reports, in ns.  Linux: net/ipv6/mcast.c."""
    if mld_in_v1_mode(idev):
        ms = idev.cnf.mldv1_unsolicited_report_interval
    else:
        ms = idev.cnf.mldv2_unsolicited_report_interval
    return (ms if ms > 0 else 1) * MSEC


def mld_random(idev: Inet6Dev, limit: i64) -> i64:
    """A time from 0 to below limit, in ns."""
    return 0 if limit <= 0 else i64(idev.dev.net.ipv6.random.below(int(limit)))


def mld_reported(addr: int) -> bool:
    """Is the group told of at all?  RFC 3810, 6: neither ff02::1 nor what does not leave the interface."""
    return addr != IN6ADDR_LINKLOCAL_ALLNODES and ipv6_addr_scope(addr) >= IPV6_ADDR_SCOPE_LINKLOCAL


# ------------------------------------------------------------------------------------------------------ version 2 reports

def mld_record(kind: int, addr: int) -> bytes:
    """A multicast address record without sources.  RFC 3810, 5.2."""
    return bytes([kind, 0, 0, 0]) + in6_bytes(addr)


def mld_sendpack(idev: Inet6Dev, records: list[bytes]) -> None:
    """Send records in as many reports as their number takes.  Linux: net/ipv6/mcast.c, mld_newpack and mld_sendpack."""
    room = (int(idev.cnf.mtu6) - IPV6_HLEN - len(MLD_HOPOPTS) - MLD2_REPORT_HLEN) // MLD_RECORD_LEN
    at = 0
    while at < len(records):
        part = records[at:at + room]
        at += room
        body = bytes([ICMPV6_MLD2_REPORT, 0, 0, 0, 0, 0]) + len(part).to_bytes(2, 'big') + b''.join(part)
        mld_send(idev, ICMPV6_MLD2_REPORT, body, MLD2_ALL_ROUTERS)


def mld_send(idev: Inet6Dev, type: i64, body: bytes, daddr: int) -> None:
    """Send a message of MLD, with its router alert, from the device's link-local address or ::, with a hop limit of 1."""
    dev = idev.dev
    net = dev.net
    saddr = ipv6_get_lladdr(dev, IFA_F_TENTATIVE | IFA_F_OPTIMISTIC)
    length: i64 = len(body)
    check = csum_ipv6_magic(saddr, daddr, length, IPPROTO_ICMPV6, csum_partial(body, 0))
    packet = (ipv6_hdr_build(0, 0, length + len(MLD_HOPOPTS), IPPROTO_HOPOPTS, 1, saddr, daddr) + MLD_HOPOPTS
              + body[:2] + int(check).to_bytes(2, 'big') + body[4:])
    skb = ndisc_alloc_skb(dev, packet)
    skb.transport_header = IPV6_HLEN + len(MLD_HOPOPTS)
    skb.saddr6 = saddr
    skb.daddr6 = daddr
    skb.ip_protocol = IPPROTO_ICMPV6
    skb.priority = 7  # TC_PRIO_CONTROL
    skb.dst = icmp6_dst_alloc(dev, icmpv6_flow_init(type, saddr, daddr, dev.ifindex))
    IP6_INC_STATS(net, IPSTATS_MIB_OUTREQUESTS)
    if ndisc_xmit(net, dev, skb) == 0:
        ICMP6MSGOUT_INC_STATS(net, type)
        ICMP6_INC_STATS(net, ICMP6_MIB_OUTMSGS)


def mld_send_report(idev: Inet6Dev, mc: Ifmcaddr6 | None) -> None:
    """Tell of the present state: of one group, or of all (None).  Linux: net/ipv6/mcast.c.  RFC 3810, 5.2.12."""
    records: list[bytes] = []
    if mc is not None:
        records.append(mld_record(MLD2_MODE_IS_EXCLUDE, mc.mca_addr))
    else:
        for group in idev.mc_list:
            if (group.mca_flags & MAF_NOREPORT) == 0:
                records.append(mld_record(MLD2_MODE_IS_EXCLUDE, group.mca_addr))
    mld_sendpack(idev, records)


def mld_send_cr(idev: Inet6Dev) -> None:
    """Tell of the changes that are not yet told often enough: groups left, then groups joined.

    Linux: net/ipv6/mcast.c.  RFC 3810, 6.1.
    """
    records: list[bytes] = []
    for group in list(idev.mc_tomb):
        records.append(mld_record(MLD2_CHANGE_TO_INCLUDE, group.mca_addr))
        group.mca_crcount -= 1
        if group.mca_crcount <= 0:
            idev.mc_tomb.remove(group)
    for group in idev.mc_list:
        if group.mca_crcount > 0:
            records.append(mld_record(MLD2_CHANGE_TO_EXCLUDE, group.mca_addr))
            group.mca_crcount -= 1
    mld_sendpack(idev, records)


def mld_ifc_event(idev: Inet6Dev) -> None:
    """Something changed: report it now, and robustness - 1 times more.  Linux: net/ipv6/mcast.c."""
    if mld_in_v1_mode(idev):
        return
    idev.mc_ifc_count = idev.mc_qrv
    mld_ifc_start(idev, 0)


def mld_ifc_start(idev: Inet6Dev, delay: i64) -> None:
    """Report in up to delay ns, but not within the next 2 ms, in which further changes may join.

    Linux: net/ipv6/mcast.c, mld_ifc_start_work: two jiffies.
    """
    timer = idev.mc_ifc_timer
    if timer is None:
        timer = MldIfcTimer(idev)
        idev.mc_ifc_timer = timer
    when = idev.dev.net.clock.now + mld_random(idev, delay) + 2 * MSEC
    if not timer_pending(timer) or when < timer.expires:
        mod_timer(timer, when)


def mld_ifc_work(idev: Inet6Dev) -> None:
    """The time of a report of changes.  Linux: net/ipv6/mcast.c."""
    mld_send_cr(idev)
    if idev.mc_ifc_count > 0:
        idev.mc_ifc_count -= 1
        if idev.mc_ifc_count > 0:
            mld_ifc_start(idev, unsolicited_report_interval(idev))


def mld_send_initial_cr(idev: Inet6Dev) -> None:
    """All groups as if just joined, from the address that the device now has.  Linux: net/ipv6/mcast.c."""
    if mld_in_v1_mode(idev):
        return
    records: list[bytes] = []
    for group in idev.mc_list:
        if (group.mca_flags & MAF_NOREPORT) == 0:
            records.append(mld_record(MLD2_CHANGE_TO_EXCLUDE, group.mca_addr))
    mld_sendpack(idev, records)


def ipv6_mc_dad_complete(idev: Inet6Dev) -> None:
    """The device has got its link-local address: reports from :: were of no use to some.  Linux: net/ipv6/mcast.c.  RFC 3590."""
    idev.mc_dad_count = idev.mc_qrv
    if idev.mc_dad_count > 0:
        mld_send_initial_cr(idev)
        idev.mc_dad_count -= 1
        if idev.mc_dad_count > 0:
            mld_dad_start(idev)


def mld_dad_start(idev: Inet6Dev) -> None:
    """Once more in a while."""
    timer = idev.mc_dad_timer
    if timer is None:
        timer = MldDadTimer(idev)
        idev.mc_dad_timer = timer
    mod_timer(timer, idev.dev.net.clock.now + mld_random(idev, unsolicited_report_interval(idev)) + 2 * MSEC)


def mld_dad_work(idev: Inet6Dev) -> None:
    """The time of such a repeated report.  Linux: net/ipv6/mcast.c."""
    mld_send_initial_cr(idev)
    if idev.mc_dad_count > 0:
        idev.mc_dad_count -= 1
        if idev.mc_dad_count > 0:
            mld_dad_start(idev)


# ------------------------------------------------------------------------------------------------------ version 1 reports

def igmp6_send(idev: Inet6Dev, addr: int, type: i64) -> None:
    """A report of version 1 to the group itself, or a done to all routers.  Linux: net/ipv6/mcast.c.  RFC 2710, 3 and 4."""
    daddr = IN6ADDR_LINKLOCAL_ALLROUTERS if type == ICMPV6_MGM_REDUCTION else addr
    mld_send(idev, type, bytes([int(type), 0, 0, 0, 0, 0, 0, 0]) + in6_bytes(addr), daddr)


def igmp6_join_group(mc: Ifmcaddr6) -> None:
    """Version 1: report the group now, and once more.  Linux: net/ipv6/mcast.c.  RFC 2710, 4."""
    igmp6_send(mc.idev, mc.mca_addr, ICMPV6_MGM_REPORT)
    mld_group_timer_start(mc, mld_random(mc.idev, unsolicited_report_interval(mc.idev)))
    mc.mca_flags |= MAF_LAST_REPORTER


def igmp6_leave_group(mc: Ifmcaddr6) -> None:
    """The group is left: done where we were the last that reported it (version 1), else a report of the change.

    Linux: net/ipv6/mcast.c.
    """
    if mld_in_v1_mode(mc.idev):
        if (mc.mca_flags & MAF_LAST_REPORTER) != 0 and netif_running(mc.idev.dev):
            igmp6_send(mc.idev, mc.mca_addr, ICMPV6_MGM_REDUCTION)
        return
    mc.mca_crcount = mc.idev.mc_qrv
    mc.idev.mc_tomb.append(mc)
    mld_ifc_event(mc.idev)


def mld_mca_work(mc: Ifmcaddr6) -> None:
    """The time of a group's report.  Linux: net/ipv6/mcast.c."""
    if mld_in_v1_mode(mc.idev):
        igmp6_send(mc.idev, mc.mca_addr, ICMPV6_MGM_REPORT)
    else:
        mld_send_report(mc.idev, mc)
    mc.mca_flags |= MAF_LAST_REPORTER


def mld_group_timer_start(mc: Ifmcaddr6, delay: i64) -> None:
    """The group reports in delay ns."""
    timer = mc.mca_timer
    if timer is None:
        timer = MldGroupTimer(mc)
        mc.mca_timer = timer
    mod_timer(timer, mc.idev.dev.net.clock.now + delay)


# ---------------------------------------------------------------------------------------------------- groups and queries

def igmp6_group_added(mc: Ifmcaddr6) -> None:
    """The device is in a group from now on.  Linux: net/ipv6/mcast.c."""
    idev = mc.idev
    if ipv6_addr_scope(mc.mca_addr) < IPV6_ADDR_SCOPE_LINKLOCAL:
        return
    mc.mca_flags |= MAF_LOADED
    if not netif_running(idev.dev) or (mc.mca_flags & MAF_NOREPORT) != 0:
        return
    if mld_in_v1_mode(idev):
        igmp6_join_group(mc)
        return
    mc.mca_crcount = idev.mc_qrv
    mld_ifc_event(idev)


def igmp6_group_dropped(mc: Ifmcaddr6) -> None:
    """The device is in the group no longer.  Linux: net/ipv6/mcast.c."""
    was = (mc.mca_flags & MAF_LOADED) != 0
    mc.mca_flags &= ~MAF_LOADED
    if mc.mca_timer is not None:
        del_timer(mc.mca_timer)
    if was and (mc.mca_flags & MAF_NOREPORT) == 0 and not mc.idev.dead:
        igmp6_leave_group(mc)


def mldv2_mrc(value: i64) -> i64:
    """The maximum response delay in ms of a query's code: above 32767 a number with exponent.  RFC 3810, 5.1.3."""
    if value < 32768:
        return value
    return ((value & 0xFFF) | 0x1000) << (((value >> 12) & 7) + 3)


def igmp6_event_query(skb: SkBuff) -> i64:
    """A query came (data at the ICMPv6 header, its checksum seen). SKB_CONSUMED or a drop reason; the caller frees.

    Linux: net/ipv6/mcast.c.  RFC 3810, 5.1.14 and 6.2; version 1: RFC 2710, 4.
    """
    dev = skb.dev
    idev = None if dev is None else __in6_dev_get(dev)
    if idev is None:
        return SKB_DROP_REASON_NOT_SPECIFIED
    length = skb.len
    if length < MLD_QUERY_HLEN:
        return SKB_DROP_REASON_PKT_TOO_SMALL
    if (ipv6_addr_type(skb.saddr6) & IPV6_ADDR_LINKLOCAL) == 0 or skb.ttl != 1:
        return SKB_DROP_REASON_NOT_SPECIFIED
    query = skb_copy_bits(skb, 0, length)
    group = in6_read(query, 8)
    if group != 0 and (ipv6_addr_type(group) & IPV6_ADDR_MULTICAST) == 0:
        return SKB_DROP_REASON_NOT_SPECIFIED
    code = get_be16(query, 4)
    now = idev.dev.net.clock.now
    if length == MLD_QUERY_HLEN:
        delay = code * MSEC
        if idev.cnf.force_mld_version != 2:
            mld_process_v1(idev, now, delay)
    elif length >= MLD2_QUERY_HLEN:
        delay = mldv2_mrc(code) * MSEC
        qrv = i64(query[24] & 7)
        if idev.cnf.force_mld_version != 1:
            idev.mc_qrv = qrv if qrv != 0 else idev.dev.net.ipv6.sysctl_mld_qrv
            if group == 0 and not mld_in_v1_mode(idev):
                mld_gq_start(idev, delay)
                return SKB_CONSUMED
    else:
        return SKB_DROP_REASON_PKT_TOO_SMALL
    if delay <= 0:
        delay = 1
    for mc in idev.mc_list:
        if (group == 0 or mc.mca_addr == group) and (mc.mca_flags & MAF_NOREPORT) == 0:
            igmp6_group_queried(mc, delay)
    return SKB_CONSUMED


def mld_process_v1(idev: Inet6Dev, now: i64, delay: i64) -> None:
    """A querier of version 1 is there: speak version 1 for (robustness x query interval) + response delay; forget what version 2
    had still to report.

    Linux: net/ipv6/mcast.c, mld_process_v1 and mld_set_v1_mode.  RFC 3810, 9.12.
    """
    idev.mc_v1_seen = now + MLD_V1_SEEN_DEFAULT - 10_000 * MSEC + delay
    idev.mc_ifc_count = 0
    for timer in (idev.mc_ifc_timer, idev.mc_gq_timer):
        if timer is not None:
            del_timer(timer)
    idev.mc_tomb.clear()


def mld_gq_start(idev: Inet6Dev, delay: i64) -> None:
    """Answer a general query in up to delay ns; a pending answer that is due earlier stays.  Linux: mld_gq_start_work."""
    timer = idev.mc_gq_timer
    if timer is None:
        timer = MldGqTimer(idev)
        idev.mc_gq_timer = timer
    when = idev.dev.net.clock.now + mld_random(idev, delay)
    if not timer_pending(timer) or when < timer.expires:
        mod_timer(timer, when)


def igmp6_group_queried(mc: Ifmcaddr6, resptime: i64) -> None:
    """A query asks for the group: report it in up to resptime ns, earlier where that was due anyhow.  Linux: net/ipv6/mcast.c."""
    delay = resptime
    timer = mc.mca_timer
    now = mc.idev.dev.net.clock.now
    if timer is not None and timer_pending(timer):
        delay = timer.expires - now
        del_timer(timer)
    if delay >= resptime:
        delay = mld_random(mc.idev, resptime)
    mld_group_timer_start(mc, delay)


def igmp6_event_report(skb: SkBuff) -> i64:
    """Somebody else reports a group (version 1): ours need not.  A drop reason; the caller frees.

    Linux: net/ipv6/mcast.c.  RFC 2710, 4.
    """
    dev = skb.dev
    idev = None if dev is None else __in6_dev_get(dev)
    if idev is None:
        return SKB_DROP_REASON_NOT_SPECIFIED
    if skb.len < MLD_QUERY_HLEN:
        return SKB_DROP_REASON_PKT_TOO_SMALL
    kind = ipv6_addr_type(skb.saddr6)
    if skb.saddr6 != 0 and (kind & IPV6_ADDR_LINKLOCAL) == 0:
        return SKB_DROP_REASON_NOT_SPECIFIED
    group = in6_read(skb_copy_bits(skb, 0, MLD_QUERY_HLEN), 8)
    for mc in idev.mc_list:
        if mc.mca_addr == group:
            timer = mc.mca_timer
            if timer is not None and timer_pending(timer):
                del_timer(timer)
            mc.mca_flags &= ~MAF_LAST_REPORTER
    return SKB_CONSUMED


def mld_stop(idev: Inet6Dev) -> None:
    """No timer of the device fires any more; that groups were left is told when it is up again."""
    for timer in (idev.mc_ifc_timer, idev.mc_gq_timer, idev.mc_dad_timer):
        if timer is not None:
            del_timer(timer)
    idev.mc_ifc_count = 0
    idev.mc_dad_count = 0
    idev.mc_v1_seen = 0
