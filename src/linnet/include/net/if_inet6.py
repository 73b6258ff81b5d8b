# SPDX-License-Identifier: Apache-2.0
"""IPv6's half of a device: its addresses, its groups and its settings.  Linux: include/net/if_inet6.h.

An Inet6Dev hangs on NetDevice.ip6_ptr while IPv6 is on there (net/ipv6/addrconf.py makes and ends it).
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from linnet.include.linux.ipv6 import Ipv6Devconf
from linnet.kernel.timer import TimerList

if TYPE_CHECKING:
    from linnet.include.linux.netdevice import NetDevice
    from linnet.include.net.ip6_fib import Fib6Info

IFA_F_TEMPORARY: Final = 0x01
IFA_F_NODAD: Final = 0x02
IFA_F_OPTIMISTIC: Final = 0x04
IFA_F_DADFAILED: Final = 0x08
IFA_F_HOMEADDRESS: Final = 0x10
IFA_F_DEPRECATED: Final = 0x20
IFA_F_TENTATIVE: Final = 0x40
IFA_F_PERMANENT: Final = 0x80
IFA_F_MANAGETEMPADDR: Final = 0x100
IFA_F_NOPREFIXROUTE: Final = 0x200
IFA_F_MCAUTOJOIN: Final = 0x400
IFA_F_STABLE_PRIVACY: Final = 0x800

INFINITY_LIFE_TIME: Final = 0xFFFFFFFF

# Inet6Ifaddr.state
INET6_IFADDR_STATE_PREDAD: Final = 0
INET6_IFADDR_STATE_DAD: Final = 1
INET6_IFADDR_STATE_POSTDAD: Final = 2
INET6_IFADDR_STATE_ERRDAD: Final = 3
INET6_IFADDR_STATE_DEAD: Final = 4

# Inet6Dev.if_flags
IF_RA_OTHERCONF: Final = 0x80
IF_RA_MANAGED: Final = 0x40
IF_RA_RCVD: Final = 0x20
IF_RS_SENT: Final = 0x10
IF_READY: Final = 0x80000000


class Inet6Ifaddr:
    """Linux: struct inet6_ifaddr: one address. Lifetimes in seconds, INFINITY_LIFE_TIME: for ever; tstamp in jiffies."""

    def __init__(self, idev: Inet6Dev, addr: int, prefix_len: i64) -> None:
        self.idev: Inet6Dev = idev
        self.addr: int = addr
        self.prefix_len: i64 = prefix_len
        self.scope: i64 = 0  # IPV6_ADDR_LOOPBACK: of this host, _LINKLOCAL, _SITELOCAL, 0: global
        self.flags: i64 = 0  # IFA_F_*
        self.state: i64 = INET6_IFADDR_STATE_PREDAD
        self.valid_lft: i64 = INFINITY_LIFE_TIME
        self.prefered_lft: i64 = INFINITY_LIFE_TIME
        self.cstamp: i64 = 0
        self.tstamp: i64 = 0
        self.dad_probes: i64 = 0
        self.dad_nonce: bytes = b''  # of our own solicitations (RFC 7527)
        self.dad_timer: TimerList | None = None
        self.rt: Fib6Info | None = None  # the host route to it, in table local
        self.rt_inserted: bool = False
        self.rt_priority: i64 = 0
        self.ifpub: Inet6Ifaddr | None = None  # of a temporary address: the public one beside which it was made
        self.regen_count: i64 = 0


# Ifmcaddr6.mca_flags, as /proc/net/igmp6 shows them
MAF_TIMER_RUNNING: Final = 0x01
MAF_LAST_REPORTER: Final = 0x02
MAF_LOADED: Final = 0x04
MAF_NOREPORT: Final = 0x08


class Ifmcaddr6:
    """Linux: struct ifmcaddr6: a multicast group that a device is in."""

    def __init__(self, idev: Inet6Dev, addr: int) -> None:
        self.idev: Inet6Dev = idev
        self.mca_addr: int = addr
        self.mca_users: i64 = 0
        self.mca_flags: i64 = 0
        self.mca_crcount: i64 = 0  # state-change reports still to send
        self.mca_timer: TimerList | None = None


class Ifacaddr6:
    """Linux: struct ifacaddr6: an anycast address of a device, and the route to it."""

    def __init__(self, idev: Inet6Dev, addr: int) -> None:
        self.idev: Inet6Dev = idev
        self.aca_addr: int = addr
        self.aca_rt: Fib6Info | None = None
        self.aca_users: i64 = 1


class Inet6Dev:
    """Linux: struct inet6_dev. The lists are ordered: addresses by scope as Linux lists them, groups the latest first."""

    def __init__(self, dev: NetDevice) -> None:
        self.dev: NetDevice = dev
        self.addr_list: list[Inet6Ifaddr] = []
        self.mc_list: list[Ifmcaddr6] = []
        self.mc_tomb: list[Ifmcaddr6] = []  # groups left, which is still to be told
        self.ac_list: list[Ifacaddr6] = []
        self.cnf: Ipv6Devconf = Ipv6Devconf()
        self.if_flags: i64 = 0
        self.dead: bool = False
        self.ra_mtu: i64 = 0
        self.rs_probes: i64 = 0
        self.rs_interval: i64 = 0  # jiffies
        self.rs_timer: TimerList | None = None
        self.mc_ifc_timer: TimerList | None = None
        self.mc_gq_timer: TimerList | None = None
        self.mc_v1_seen: i64 = 0  # ns: until when version 1 of MLD is spoken, as a querier of it was heard
        self.mc_ifc_count: i64 = 0
        self.mc_qrv: i64 = 2
        self.mc_dad_count: i64 = 0
        self.mc_dad_timer: TimerList | None = None
        self.tstamp: i64 = 0  # jiffies of the last change
        self.desync_factor: i64 = 0xFFFFFFFF  # seconds: how much earlier than others this host ends its temporary addresses
        self.token: int = 0
        self.random_id: int = 0  # the identifier of link-local addresses where there is no hardware address


def __in6_dev_get(dev: NetDevice) -> Inet6Dev | None:
    """IPv6's half of dev, None where IPv6 is off there.  Linux: include/net/addrconf.h."""
    return dev.ip6_ptr
