# SPDX-License-Identifier: Apache-2.0
"""Neighbours: who is reachable on a link, at which hardware address (RFC 826; the states are those of RFC 4861, 7.3.2).

The state machine is net/core/neighbour.py; ARP (net/ipv4/arp.py) and neighbour discovery (net/ipv6/ndisc.py) use it, each through
the NeighTable it registers.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from linnet.include.linux.in6 import in6_ntop
from linnet.include.linux.inet import in_ntoa
from linnet.include.linux.skbuff import SkBuff, SkBuffHead, skb_push, skb_reset_mac_header
from linnet.kernel.random import Random
from linnet.kernel.timer import TimerList

if TYPE_CHECKING:
    from linnet.include.linux.netdevice import NetDevice
    from linnet.include.net.net_namespace import Net

NUD_NONE: Final = 0x00
NUD_INCOMPLETE: Final = 0x01
NUD_REACHABLE: Final = 0x02
NUD_STALE: Final = 0x04
NUD_DELAY: Final = 0x08
NUD_PROBE: Final = 0x10
NUD_FAILED: Final = 0x20
NUD_NOARP: Final = 0x40
NUD_PERMANENT: Final = 0x80
NUD_IN_TIMER: Final = NUD_INCOMPLETE | NUD_REACHABLE | NUD_DELAY | NUD_PROBE
NUD_VALID: Final = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY
NUD_CONNECTED: Final = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE

NEIGH_UPDATE_F_OVERRIDE: Final = 0x1
NEIGH_UPDATE_F_WEAK_OVERRIDE: Final = 0x2
NEIGH_UPDATE_F_OVERRIDE_ISROUTER: Final = 0x4
NEIGH_UPDATE_F_ISROUTER: Final = 0x40
NEIGH_UPDATE_F_ADMIN: Final = 0x80000000


class NeighOutput:
    """How packets to a neighbour in its present state leave: neigh_resolve_output, neigh_connected_output,
    neigh_direct_output.
    """

    def output(self, neigh: Neighbour, skb: SkBuff) -> i64:
        """Send skb (data at the network header) and own it."""
        raise AssertionError('set by net/core/neighbour.py')


class NeighParms:
    """Linux: struct neigh_parms, of one device. Times in ns, by the names of /proc/sys/net/ipv4/neigh/DEV."""

    def __init__(self) -> None:
        self.mcast_probes: i64 = 3
        self.ucast_probes: i64 = 3
        self.app_probes: i64 = 0
        self.retrans_time: i64 = 1_000_000_000
        self.base_reachable_time: i64 = 30_000_000_000
        self.reachable_time: i64 = 30_000_000_000  # drawn anew between 0.5 and 1.5 of the base
        self.reachable_base: i64 = 0  # the base it was drawn of: another is in force at once
        self.delay_probe_time: i64 = 5_000_000_000
        self.gc_staletime: i64 = 60_000_000_000
        self.queue_len_bytes: i64 = 212992
        self.locktime: i64 = 1_000_000_000
        self.proxy_qlen: i64 = 64
        self.proxy_delay: i64 = 800_000_000
        self.anycast_delay: i64 = 1_000_000_000


class Neighbour(TimerList):
    """Linux: struct neighbour. The timer that it is drives its state (function: neigh_timer_handler)."""

    def __init__(self, tbl: NeighTable, dev: NetDevice, primary_key: int) -> None:
        super().__init__(dev.net.clock)
        self.tbl: NeighTable = tbl
        self.dev: NetDevice = dev
        self.primary_key: int = primary_key  # the address: 32 bits in ARP's table, 128 in neighbour discovery's
        self.is_router: bool = False  # it says so (NTF_ROUTER; RFC 4861, 7.2.5)
        self.parms: NeighParms = tbl.parms_of(dev)
        self.ha: bytes = b''
        self.hh: bytes = b''  # the cached hardware header, b'' while it cannot be used
        self.nud_state: i64 = NUD_NONE
        self.type: i64 = 0  # RTN_*
        self.dead: bool = False
        self.confirmed: i64 = 0
        self.updated: i64 = 0
        self.used: i64 = 0
        self.probes: i64 = 0
        self.arp_queue: SkBuffHead = SkBuffHead()
        self.arp_queue_len_bytes: i64 = 0
        self.output: NeighOutput = tbl.output_resolve

    def function(self) -> None:
        """The timer fired."""
        self.tbl.timer_handler(self)


class NeighStatistics:
    """Linux: struct neigh_statistics, as /proc/net/stat/arp_cache counts."""

    def __init__(self) -> None:
        self.allocs: i64 = 0
        self.destroys: i64 = 0
        self.lookups: i64 = 0
        self.hits: i64 = 0
        self.res_failed: i64 = 0
        self.forced_gc_runs: i64 = 0
        self.unres_discards: i64 = 0
        self.table_fulls: i64 = 0


class NeighTable:
    """Linux: struct neigh_table. One a protocol and Net; the protocol overrides constructor, solicit and error_report."""

    def __init__(self, net: Net, id: str) -> None:
        self.net: Net = net
        self.random: Random = net.random  # neighbour discovery has its own: IPv6 changes nothing of IPv4's way
        self.id: str = id
        self.protocol: i64 = 0
        self.key_len: i64 = 4  # bytes of an address
        self.hash: dict[int, Neighbour] = {}  # net/core/neighbour.py: neigh_key
        self.parms: NeighParms = NeighParms()
        self.dev_parms: dict[int, NeighParms] = {}
        self.gc_thresh1: i64 = 128
        self.gc_thresh2: i64 = 512
        self.gc_thresh3: i64 = 1024
        self.output_resolve: NeighOutput = NeighOutput()
        self.output_connected: NeighOutput = NeighOutput()
        self.output_direct: NeighOutput = NeighOutput()
        self.output_blackhole: NeighOutput = NeighOutput()
        self.stats: NeighStatistics = NeighStatistics()
        self.last_flush: i64 = 0  # ns; of the last forced garbage collection
        self.last_rand: i64 = 0  # ns; when the reachable times were last drawn
        self.gc_interval: i64 = 15_000_000_000
        self.gc_timer: TimerList | None = None
        self.proxy_timer: TimerList | None = None
        self.proxy_queue: SkBuffHead = SkBuffHead()

    def parms_of(self, dev: NetDevice) -> NeighParms:
        """The parameters that hold on dev."""
        return self.dev_parms.get(int(dev.ifindex), self.parms)

    def constructor(self, neigh: Neighbour) -> int:
        """Set type, state and output of a new entry. Returns 0 or a negative errno (the entry is then not made)."""
        raise AssertionError('a neighbour table belongs to a protocol')

    def solicit(self, neigh: Neighbour, skb: SkBuff | None) -> None:
        """Ask for the neighbour's hardware address; skb is the packet that wants it, where there is one."""
        raise AssertionError('a neighbour table belongs to a protocol')

    def error_report(self, neigh: Neighbour, skb: SkBuff) -> None:
        """Resolution failed: tell skb's sender and free skb."""
        raise AssertionError('a neighbour table belongs to a protocol')

    def proxy_redo(self, skb: SkBuff) -> None:
        """Answer a question that was put off (pneigh_enqueue); owns skb."""
        raise AssertionError('a neighbour table belongs to a protocol')

    def timer_handler(self, neigh: Neighbour) -> None:
        """net/core/neighbour.py: neigh_timer_handler."""
        raise AssertionError('a neighbour table belongs to a protocol')


def neigh_addr_text(n: Neighbour) -> str:
    """The neighbour's address as its family writes it."""
    return in_ntoa(n.primary_key) if n.tbl.key_len == 4 else in6_ntop(n.primary_key)


def neigh_hh_output(n: Neighbour, skb: SkBuff) -> i64:
    """Push the cached hardware header and queue skb on its device.

    Linux: include/net/neighbour.h, where the header cache is passed on its own.
    """
    skb_push(skb, n.hh)
    skb_reset_mac_header(skb)
    return n.dev.queue_xmit.queue_xmit(skb)
