# SPDX-License-Identifier: Apache-2.0
"""Neighbours: the machine that finds out, and keeps knowing, a next hop's hardware address (RFC 4861, 7.3).

    NONE -> INCOMPLETE -> REACHABLE -> STALE -> DELAY -> PROBE -> REACHABLE ...
                  \\-> FAILED                              \\-> FAILED

A packet to an address of unknown hardware address waits on the entry's queue while multicast (ARP: broadcast)
probes go out. An answer makes the entry REACHABLE for a random time about base_reachable_time; then it is STALE:
usable, but the next use starts DELAY, in which an upper layer's progress (neigh.confirmed) may vouch for it, and
after that PROBE, which asks by unicast. Each entry is its own timer. In the states that are known good the
ready-made hardware header is kept at neigh.hh.

The timers of REACHABLE, DELAY and PROBE are deferrable: nobody waits for them, so they do not keep a world running.
There is no reference count: an entry that is removed is `dead`, and whoever still holds it finds a black hole at
its output.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.netdevice import IFF_LOOPBACK, IFF_POINTOPOINT, IFF_UP, NetDevice
from linnet.include.linux.skbuff import (
    SkBuff,
    __skb_dequeue,
    __skb_pull,
    __skb_queue_tail,
    skb_peek_tail,
    skb_queue_empty,
)
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_NEIGH_DEAD,
    SKB_DROP_REASON_NEIGH_FAILED,
    SKB_DROP_REASON_NEIGH_HH_FILLFAIL,
    SKB_DROP_REASON_NEIGH_QUEUEFULL,
)
from linnet.include.net.neighbour import (
    NEIGH_UPDATE_F_ADMIN,
    NEIGH_UPDATE_F_ISROUTER,
    NEIGH_UPDATE_F_OVERRIDE,
    NEIGH_UPDATE_F_OVERRIDE_ISROUTER,
    NEIGH_UPDATE_F_WEAK_OVERRIDE,
    NUD_CONNECTED,
    NUD_DELAY,
    NUD_FAILED,
    NUD_IN_TIMER,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    NUD_VALID,
    Neighbour,
    NeighOutput,
    NeighParms,
    NeighTable,
    neigh_addr_text,
)
from linnet.include.trace.events.neigh import (
    trace_neigh_cleanup_and_release,
    trace_neigh_create,
    trace_neigh_event_send_dead,
    trace_neigh_event_send_done,
    trace_neigh_timer_handler,
    trace_neigh_update,
    trace_neigh_update_done,
)
from linnet.kernel.clock import NSEC_PER_SEC
from linnet.kernel.errno import EEXIST, EINVAL, ENETDOWN, ENOENT, EPERM
from linnet.kernel.softirq import local_bh_disable, local_bh_enable
from linnet.kernel.timer import TimerList, del_timer, mod_timer, timer_pending
from linnet.net.core.dev import dev_queue_xmit
from linnet.net.core.skbuff import consume_skb, kfree_skb, kfree_skb_reason, skb_clone

MIN_TIMER: Final = NSEC_PER_SEC // 100  # Linux: HZ/100, the shortest wait of the state machine
RAND_PERIOD: Final = 300 * NSEC_PER_SEC  # how often reachable times are drawn anew
FORCED_GC_AGE: Final = 5 * NSEC_PER_SEC  # younger entries survive a forced collection
STATE_NAMES: Final = {
    NUD_NONE: 'NONE', NUD_INCOMPLETE: 'INCOMPLETE', NUD_REACHABLE: 'REACHABLE', NUD_STALE: 'STALE', NUD_DELAY: 'DELAY',
    NUD_PROBE: 'PROBE', NUD_FAILED: 'FAILED', NUD_NOARP: 'NOARP', NUD_PERMANENT: 'PERMANENT',
}


class NeighGcTimer(TimerList):
    """The periodic collection of one table (Linux: tbl->gc_work)."""

    def __init__(self, tbl: NeighTable) -> None:
        super().__init__(tbl.net.clock)
        self.tbl: NeighTable = tbl
        self.deferrable = True

    def function(self) -> None:
        """The interval is over."""
        neigh_periodic_work(self.tbl)


class NeighResolveOutput(NeighOutput):
    """neigh->output of an entry that may have to be resolved first."""

    def output(self, neigh: Neighbour, skb: SkBuff) -> i64:
        """See neigh_resolve_output."""
        return neigh_resolve_output(neigh, skb)


class NeighConnectedOutput(NeighOutput):
    """neigh->output of an entry known good whose header cannot be cached."""

    def output(self, neigh: Neighbour, skb: SkBuff) -> i64:
        """See neigh_connected_output."""
        return neigh_connected_output(neigh, skb)


class NeighDirectOutput(NeighOutput):
    """neigh->output on a device without link headers."""

    def output(self, neigh: Neighbour, skb: SkBuff) -> i64:
        """See neigh_direct_output."""
        return neigh_direct_output(neigh, skb)


class NeighBlackhole(NeighOutput):
    """neigh->output of an entry that is gone."""

    def output(self, neigh: Neighbour, skb: SkBuff) -> i64:
        """See neigh_blackhole."""
        return neigh_blackhole(neigh, skb)


# ------------------------------------------------------------------------------------------------ tables and parameters

def neigh_table_init(tbl: NeighTable) -> None:
    """Make a table ready: outputs, the first reachable time, the periodic collection.  Linux: net/core/neighbour.c."""
    tbl.output_resolve = NeighResolveOutput()
    tbl.output_connected = NeighConnectedOutput()
    tbl.output_direct = NeighDirectOutput()
    tbl.output_blackhole = NeighBlackhole()
    now = tbl.net.clock.now
    neigh_draw_reachable_time(tbl, tbl.parms)
    tbl.last_flush = now
    tbl.last_rand = now
    timer = NeighGcTimer(tbl)
    tbl.gc_timer = timer
    mod_timer(timer, now + tbl.gc_interval)


def neigh_rand_reach_time(tbl: NeighTable, base: i64) -> i64:
    """A time between 0.5 and 1.5 of base, in ns (RFC 4861, 10).  Linux: net/core/neighbour.c."""
    if base <= 0:
        return 0
    return i64(tbl.random.below(int(base))) + (base >> 1)


def neigh_draw_reachable_time(tbl: NeighTable, p: NeighParms) -> None:
    """Draw the parameters' reachable time anew."""
    p.reachable_base = p.base_reachable_time
    p.reachable_time = neigh_rand_reach_time(tbl, p.base_reachable_time)


def neigh_reachable_time(n: Neighbour) -> i64:
    """How long n is REACHABLE without being heard of, in ns; a new base (sysctl) counts at once."""
    p = n.parms
    if p.reachable_base != p.base_reachable_time:
        neigh_draw_reachable_time(n.tbl, p)
    return p.reachable_time


def neigh_parms_alloc(dev: NetDevice, tbl: NeighTable) -> NeighParms:
    """Give dev its own parameters, copied from the table's defaults.  Linux: net/core/neighbour.c."""
    default = tbl.parms
    parms = NeighParms()
    parms.mcast_probes = default.mcast_probes
    parms.ucast_probes = default.ucast_probes
    parms.app_probes = default.app_probes
    parms.retrans_time = default.retrans_time
    parms.base_reachable_time = default.base_reachable_time
    parms.delay_probe_time = default.delay_probe_time
    parms.gc_staletime = default.gc_staletime
    parms.queue_len_bytes = default.queue_len_bytes
    parms.locktime = default.locktime
    parms.proxy_qlen = default.proxy_qlen
    parms.proxy_delay = default.proxy_delay
    parms.anycast_delay = default.anycast_delay
    neigh_draw_reachable_time(tbl, parms)
    tbl.dev_parms[int(dev.ifindex)] = parms
    return parms


def neigh_parms_release(dev: NetDevice, tbl: NeighTable) -> None:
    """dev goes: its parameters too.  Linux: net/core/neighbour.c."""
    tbl.dev_parms.pop(int(dev.ifindex), None)


# -------------------------------------------------------------------------------------------------------------- look-up

def neigh_key(tbl: NeighTable, dev: NetDevice, pkey: int) -> int:
    """The hash key of an entry: interface and address. On a device without neighbours all of ARP's addresses are one entry."""
    if tbl.key_len != 4:
        return (int(dev.ifindex) << 128) | pkey
    if (dev.flags & (IFF_LOOPBACK | IFF_POINTOPOINT)) != 0:
        pkey = 0
    return int((dev.ifindex << 32) | i64(pkey))


def __neigh_lookup_noref(tbl: NeighTable, pkey: int, dev: NetDevice) -> Neighbour | None:
    """The entry of pkey on dev, or None.  Linux: include/net/neighbour.h (___neigh_lookup_noref)."""
    return tbl.hash.get(neigh_key(tbl, dev, pkey))


def __ipv4_neigh_lookup_noref(dev: NetDevice, key: i64) -> Neighbour | None:
    """The ARP entry of an IPv4 next hop.  Linux: include/net/arp.h."""
    tbl = dev.net.ipv4.arp_tbl
    if tbl is None:
        return None
    return tbl.hash.get(neigh_key(tbl, dev, int(key)))


def __ipv6_neigh_lookup_noref(dev: NetDevice, pkey: int) -> Neighbour | None:
    """The neighbour discovery entry of an IPv6 next hop.  Linux: include/net/ndisc.h."""
    tbl = dev.net.ipv6.nd_tbl
    if tbl is None:
        return None
    return tbl.hash.get((int(dev.ifindex) << 128) | pkey)


def neigh_lookup(tbl: NeighTable, pkey: int, dev: NetDevice) -> Neighbour | None:
    """As __neigh_lookup_noref, and counted.  Linux: net/core/neighbour.c."""
    tbl.stats.lookups += 1
    n = tbl.hash.get(neigh_key(tbl, dev, pkey))
    if n is not None:
        tbl.stats.hits += 1
    return n


def __neigh_lookup(tbl: NeighTable, pkey: int, dev: NetDevice, creat: bool) -> Neighbour | None:
    """The entry of pkey on dev, made where it is not there and creat is true.  Linux: include/net/neighbour.h."""
    n = neigh_lookup(tbl, pkey, dev)
    if n is not None or not creat:
        return n
    return __neigh_create(tbl, pkey, dev)


def __neigh_create(tbl: NeighTable, pkey: int, dev: NetDevice) -> Neighbour | None:
    """Make the entry of pkey on dev; None where the table is full or the protocol refuses.

    Linux: net/core/neighbour.c.
    """
    return ___neigh_create(tbl, pkey, dev)


def ___neigh_create(tbl: NeighTable, pkey: int, dev: NetDevice) -> Neighbour | None:
    """Make an entry, let the protocol construct it, and hash it (an entry made meanwhile wins).

    Linux: net/core/neighbour.c; gives None for each error.
    """
    n = neigh_alloc(tbl, pkey, dev)
    if n is None:
        return None
    trace_neigh_create(n)
    if tbl.constructor(n) < 0:
        tbl.stats.destroys += 1
        return None
    n.confirmed = n.updated - (n.parms.base_reachable_time << 1)  # long ago: nobody has vouched for it yet
    key = neigh_key(tbl, dev, n.primary_key)
    other = tbl.hash.get(key)
    if other is not None:
        return other
    tbl.hash[key] = n
    return n


def neigh_alloc(tbl: NeighTable, pkey: int, dev: NetDevice) -> Neighbour | None:
    """A blank entry, after a collection where the table is crowded; None where it stays full.

    Linux: net/core/neighbour.c.
    """
    entries: i64 = len(tbl.hash)
    now = tbl.net.clock.now
    if entries >= tbl.gc_thresh3 or (entries >= tbl.gc_thresh2 and now > tbl.last_flush + FORCED_GC_AGE):
        neigh_forced_gc(tbl)
        if i64(len(tbl.hash)) >= tbl.gc_thresh3:
            tbl.stats.table_fulls += 1
            return None
    n = Neighbour(tbl, dev, pkey)
    n.used = now
    n.updated = now
    tbl.stats.allocs += 1
    return n


# ----------------------------------------------------------------------------------------------------------- collection

def neigh_forced_gc(tbl: NeighTable) -> int:
    """Bring a crowded table down to gc_thresh2: old entries that no timer drives. Returns how many went.

    Linux: net/core/neighbour.c; there a reference count tells what is in use, here a pending timer does.
    """
    now = tbl.net.clock.now
    max_clean: i64 = len(tbl.hash) - tbl.gc_thresh2
    tbl.stats.forced_gc_runs += 1
    shrunk = 0
    for key, n in list(tbl.hash.items()):
        if shrunk >= max_clean:
            break
        if (n.nud_state & NUD_PERMANENT) != 0 or timer_pending(n):
            continue
        if n.nud_state == NUD_FAILED or n.nud_state == NUD_NOARP or n.updated < now - FORCED_GC_AGE:
            del tbl.hash[key]
            neigh_mark_dead(n)
            shrunk += 1
    tbl.last_flush = now
    return shrunk


def neigh_periodic_work(tbl: NeighTable) -> None:
    """Draw reachable times anew now and then; remove what was not used for gc_staletime.

    Linux: net/core/neighbour.c.
    """
    now = tbl.net.clock.now
    if now > tbl.last_rand + RAND_PERIOD:
        tbl.last_rand = now
        neigh_draw_reachable_time(tbl, tbl.parms)
        for parms in tbl.dev_parms.values():
            neigh_draw_reachable_time(tbl, parms)
    if i64(len(tbl.hash)) >= tbl.gc_thresh1:
        for key, n in list(tbl.hash.items()):
            if (n.nud_state & (NUD_PERMANENT | NUD_IN_TIMER)) != 0:
                continue
            if n.used < n.confirmed and n.confirmed <= now:
                n.used = n.confirmed
            if n.nud_state == NUD_FAILED or now > n.used + n.parms.gc_staletime:
                del tbl.hash[key]
                neigh_mark_dead(n)
    if tbl.gc_timer is not None:
        mod_timer(tbl.gc_timer, now + tbl.gc_interval)


def neigh_mark_dead(n: Neighbour) -> None:
    """The entry left the table: no timer, no queue, and packets of those who still hold it vanish.

    Linux: net/core/neighbour.c, neigh_mark_dead and neigh_flush_one.
    """
    neigh_del_timer(n)
    n.dead = True
    neigh_purge_queue(n, SKB_DROP_REASON_NEIGH_DEAD)
    n.output = n.tbl.output_blackhole
    n.hh = b''
    n.nud_state = NUD_NOARP if (n.nud_state & NUD_VALID) != 0 else NUD_NONE
    n.tbl.stats.destroys += 1
    trace_neigh_cleanup_and_release(n)


def neigh_purge_queue(n: Neighbour, reason: int) -> None:
    """Drop all that waits on n."""
    skb = __skb_dequeue(n.arp_queue)
    while skb is not None:
        kfree_skb_reason(skb, reason)
        skb = __skb_dequeue(n.arp_queue)
    n.arp_queue_len_bytes = 0


def neigh_flush_dev(tbl: NeighTable, dev: NetDevice, skip_perm: bool) -> None:
    """Remove dev's entries; skip_perm keeps the permanent ones.  Linux: net/core/neighbour.c."""
    for key, n in list(tbl.hash.items()):
        if n.dev is not dev or (skip_perm and (n.nud_state & NUD_PERMANENT) != 0):
            continue
        del tbl.hash[key]
        neigh_mark_dead(n)


def neigh_changeaddr(tbl: NeighTable, dev: NetDevice) -> None:
    """dev has another hardware address: what it learnt is void.  Linux: net/core/neighbour.c."""
    neigh_flush_dev(tbl, dev, False)


def neigh_carrier_down(tbl: NeighTable, dev: NetDevice) -> None:
    """dev lost its carrier: all but permanent entries go.  Linux: net/core/neighbour.c."""
    neigh_flush_dev(tbl, dev, True)


def neigh_ifdown(tbl: NeighTable, dev: NetDevice) -> None:
    """dev went down.  Linux: net/core/neighbour.c."""
    neigh_flush_dev(tbl, dev, False)


# ---------------------------------------------------------------------------------------------------- the state machine

def neigh_add_timer(n: Neighbour, when: i64) -> None:
    """Arm n's timer; the caller has set the state it is for.  Linux: net/core/neighbour.c."""
    n.deferrable = n.nud_state != NUD_INCOMPLETE  # a task may wait for an INCOMPLETE entry, never for the others
    mod_timer(n, when)


def neigh_del_timer(n: Neighbour) -> bool:
    """Disarm n's timer; True where it was pending.  Linux: net/core/neighbour.c."""
    return del_timer(n)


def neigh_max_probes(n: Neighbour) -> i64:
    """How many probes until n FAILED.  Linux: net/core/neighbour.c."""
    p = n.parms
    if (n.nud_state & NUD_PROBE) != 0:
        return p.ucast_probes + p.app_probes
    return p.ucast_probes + p.app_probes + p.mcast_probes


def neigh_suspect(n: Neighbour) -> None:
    """No longer known good: packets pass the state machine.  Linux: net/core/neighbour.c."""
    n.output = n.tbl.output_resolve


def neigh_connect(n: Neighbour) -> None:
    """Known good. The resolving output stays, as in Linux's arp_hh_ops: it fills n.hh, and packets then bypass it.

    Linux: net/core/neighbour.c.
    """
    n.output = n.tbl.output_resolve


def neigh_retrans_time(n: Neighbour) -> i64:
    """The wait between probes, in ns."""
    t = n.parms.retrans_time
    return t if t > MIN_TIMER else MIN_TIMER


def neigh_invalidate(n: Neighbour) -> None:
    """Resolution failed: each waiting packet's sender is told. A report may touch n again: its state is looked at anew.

    Linux: net/core/neighbour.c.
    """
    n.tbl.stats.res_failed += 1
    n.updated = n.tbl.net.clock.now
    while n.nud_state == NUD_FAILED:
        skb = __skb_dequeue(n.arp_queue)
        if skb is None:
            break
        n.tbl.error_report(n, skb)
    neigh_purge_queue(n, SKB_DROP_REASON_NEIGH_FAILED)


def neigh_probe(n: Neighbour) -> None:
    """Send one probe, on behalf of the packet that came last.  Linux: net/core/neighbour.c."""
    skb = skb_peek_tail(n.arp_queue)
    if skb is not None:
        skb = skb_clone(skb)  # sending the probe may end in n being resolved and its queue sent
    n.tbl.solicit(n, skb)
    n.probes += 1
    if skb is not None:
        consume_skb(skb)


def __neigh_set_probe_once(n: Neighbour) -> None:
    """An entry that failed gets one more chance: what answers within the retransmission time is heard.

    Linux: net/core/neighbour.c.
    """
    n.updated = n.tbl.net.clock.now
    if (n.nud_state & NUD_FAILED) == 0:
        return
    n.nud_state = NUD_INCOMPLETE
    n.probes = neigh_max_probes(n)
    wait = neigh_retrans_time(n)
    neigh_add_timer(n, n.updated + (wait if wait > MIN_TIMER else MIN_TIMER))


def neigh_timer_handler(n: Neighbour) -> None:
    """n's timer fired: move on.  Linux: net/core/neighbour.c.  RFC 4861, 7.3.3."""
    now = n.tbl.net.clock.now
    state = n.nud_state
    if (state & NUD_IN_TIMER) == 0 or n.dead:
        return
    p = n.parms
    expires: i64 = now + NSEC_PER_SEC
    if (state & NUD_REACHABLE) != 0:
        if now <= n.confirmed + neigh_reachable_time(n):
            expires = n.confirmed + p.reachable_time
        elif now <= n.used + p.delay_probe_time:
            n.nud_state = NUD_DELAY
            n.updated = now
            neigh_suspect(n)
            expires = now + p.delay_probe_time
        else:
            n.nud_state = NUD_STALE
            n.updated = now
            neigh_suspect(n)
    elif (state & NUD_DELAY) != 0:
        if now <= n.confirmed + p.delay_probe_time:
            n.nud_state = NUD_REACHABLE
            n.updated = now
            neigh_connect(n)
            expires = n.confirmed + neigh_reachable_time(n)
        else:
            n.nud_state = NUD_PROBE
            n.updated = now
            n.probes = 0
            expires = now + neigh_retrans_time(n)
    else:
        expires = now + neigh_retrans_time(n)
    if (n.nud_state & (NUD_INCOMPLETE | NUD_PROBE)) != 0 and n.probes >= neigh_max_probes(n):
        n.nud_state = NUD_FAILED
        neigh_invalidate(n)
        trace_neigh_timer_handler(n)
        return
    if (n.nud_state & NUD_IN_TIMER) != 0:
        if expires < now + MIN_TIMER:
            expires = now + MIN_TIMER
        neigh_add_timer(n, expires)
    if (n.nud_state & (NUD_INCOMPLETE | NUD_PROBE)) != 0:
        neigh_probe(n)
    trace_neigh_timer_handler(n)


def neigh_event_send(n: Neighbour, skb: SkBuff | None) -> i64:
    """n is about to be used. 0: skb may be sent at once; 1: skb was taken, to wait or to be dropped.

    Linux: include/net/neighbour.h.
    """
    n.used = n.tbl.net.clock.now
    if (n.nud_state & (NUD_CONNECTED | NUD_DELAY | NUD_PROBE)) != 0:
        return 0
    return __neigh_event_send(n, skb)


def __neigh_event_send(n: Neighbour, skb: SkBuff | None) -> i64:
    """Begin to resolve n, or to doubt it; queue skb while its address is not known.  Linux: net/core/neighbour.c."""
    cpu = n.tbl.net.world.cpu
    local_bh_disable(cpu)
    rc: i64 = 0
    probe = False
    state = n.nud_state
    now = n.tbl.net.clock.now
    if n.dead:
        if skb is not None:
            kfree_skb_reason(skb, SKB_DROP_REASON_NEIGH_DEAD)
        local_bh_enable(cpu)
        trace_neigh_event_send_dead(n)
        return 1
    if (state & (NUD_STALE | NUD_INCOMPLETE)) == 0:
        p = n.parms
        if p.mcast_probes + p.app_probes == 0:
            n.nud_state = NUD_FAILED
            n.updated = now
            if skb is not None:
                kfree_skb_reason(skb, SKB_DROP_REASON_NEIGH_FAILED)
            local_bh_enable(cpu)
            return 1
        n.probes = p.ucast_probes  # those are for entries whose address was once known
        neigh_del_timer(n)
        n.nud_state = NUD_INCOMPLETE
        n.updated = now
        neigh_add_timer(n, now + neigh_retrans_time(n))
        probe = True
    elif (state & NUD_STALE) != 0:
        neigh_del_timer(n)
        n.nud_state = NUD_DELAY
        n.updated = now
        neigh_add_timer(n, now + n.parms.delay_probe_time)
    if n.nud_state == NUD_INCOMPLETE:
        if skb is not None:
            neigh_queue_packet(n, skb)
        rc = 1
    if probe:
        neigh_probe(n)
    local_bh_enable(cpu)
    trace_neigh_event_send_done(n)
    return rc


def neigh_queue_packet(n: Neighbour, skb: SkBuff) -> None:
    """Let skb wait for n; the oldest give way where the queue exceeds queue_len_bytes."""
    limit = n.parms.queue_len_bytes
    while n.arp_queue_len_bytes + skb.truesize > limit:
        old = __skb_dequeue(n.arp_queue)
        if old is None:
            break
        n.arp_queue_len_bytes -= old.truesize
        n.tbl.stats.unres_discards += 1
        kfree_skb_reason(old, SKB_DROP_REASON_NEIGH_QUEUEFULL)
    __skb_queue_tail(n.arp_queue, skb)
    n.arp_queue_len_bytes += skb.truesize


def neigh_update(n: Neighbour, lladdr: bytes | None, new: i64, flags: i64) -> int:
    """Something was learnt about n. 0, or a negative errno.  Linux: net/core/neighbour.c."""
    return __neigh_update(n, lladdr, new, flags)


def __neigh_update(n: Neighbour, lladdr: bytes | None, new: i64, flags: i64) -> int:
    """Set n's address (None: leave it) and state.

    NEIGH_UPDATE_F_OVERRIDE: a different address replaces a valid one. _WEAK_OVERRIDE: it makes a connected entry
    suspect instead. _ADMIN: a person said so; else permanent ones stay as they are. _OVERRIDE_ISROUTER: it is a router or not,
    as _ISROUTER says.
    Linux: net/core/neighbour.c.  RFC 4861, 7.2.5.
    """
    trace_neigh_update(n)
    err = __neigh_update_locked(n, lladdr, new, flags)
    if err == 0 and (flags & NEIGH_UPDATE_F_OVERRIDE_ISROUTER) != 0 and _address_stands(n, lladdr, flags):
        n.is_router = (flags & NEIGH_UPDATE_F_ISROUTER) != 0
    trace_neigh_update_done(n)
    return err


def _address_stands(n: Neighbour, lladdr: bytes | None, flags: i64) -> bool:
    """Is what was told about n taken over: no other address is, or it may replace n's?  RFC 4861, 7.2.5."""
    return (flags & NEIGH_UPDATE_F_OVERRIDE) != 0 or lladdr is None or lladdr == n.ha


def __neigh_update_locked(n: Neighbour, lladdr: bytes | None, new: i64, flags: i64) -> int:
    """The body of __neigh_update between its two trace points."""
    old = n.nud_state
    now = n.tbl.net.clock.now
    if n.dead or ((flags & NEIGH_UPDATE_F_ADMIN) == 0 and (old & (NUD_NOARP | NUD_PERMANENT)) != 0):
        return -EPERM
    if (new & NUD_VALID) == 0:
        neigh_del_timer(n)
        if (old & NUD_CONNECTED) != 0:
            neigh_suspect(n)
        n.nud_state = new
        if (old & (NUD_INCOMPLETE | NUD_PROBE)) != 0 and (new & NUD_FAILED) != 0:
            neigh_invalidate(n)
        return 0
    if n.dev.addr_len == 0:
        ha = n.ha
    elif lladdr is not None:
        ha = lladdr
    elif (old & NUD_VALID) != 0:
        ha = n.ha
    else:
        return -EINVAL
    changed = ha != n.ha
    if (new & NUD_CONNECTED) != 0:
        n.confirmed = now  # heard of it, even if what was heard is not taken over
    if (old & NUD_VALID) != 0:
        if changed and (flags & NEIGH_UPDATE_F_OVERRIDE) == 0:
            if (flags & NEIGH_UPDATE_F_WEAK_OVERRIDE) == 0 or (old & NUD_CONNECTED) == 0:
                return 0
            ha = n.ha
            changed = False
            new = NUD_STALE
        elif not changed and new == NUD_STALE and (flags & NEIGH_UPDATE_F_ADMIN) == 0:
            new = old
    if new != old or changed:
        n.updated = now
    if new != old:
        neigh_del_timer(n)
        if (new & NUD_PROBE) != 0:
            n.probes = 0
        n.nud_state = new
        if (new & NUD_IN_TIMER) != 0:
            neigh_add_timer(n, now + (neigh_reachable_time(n) if (new & NUD_REACHABLE) != 0 else 0))
    if changed:
        n.ha = ha
        n.hh = b''
        if (new & NUD_CONNECTED) == 0:
            n.confirmed = now - (n.parms.base_reachable_time << 1)
    if new == old:
        return 0
    if (new & NUD_CONNECTED) != 0:
        neigh_connect(n)
    else:
        neigh_suspect(n)
    if (old & NUD_VALID) == 0:
        neigh_send_queue(n)
    return 0


def neigh_send_queue(n: Neighbour) -> None:
    """n's address is known: what waited goes out, in order."""
    while (n.nud_state & NUD_VALID) != 0:
        skb = __skb_dequeue(n.arp_queue)
        if skb is None:
            break
        n.output.output(n, skb)
    neigh_purge_queue(n, SKB_DROP_REASON_NEIGH_FAILED)


def neigh_event_ns(tbl: NeighTable, lladdr: bytes, saddr: int, dev: NetDevice) -> Neighbour | None:
    """saddr asks us for something, with its own hardware address in the question: note it, unconfirmed.

    Linux: net/core/neighbour.c.
    """
    n = __neigh_lookup(tbl, saddr, dev, True)
    if n is not None:
        __neigh_update(n, lladdr, NUD_STALE, NEIGH_UPDATE_F_OVERRIDE)
    return n


def neigh_confirm(n: Neighbour) -> None:
    """An upper layer made progress through n (TCP: an ACK for new data), so n is there.  Linux: include/net/sock.h."""
    now = n.tbl.net.clock.now
    if n.confirmed != now:
        n.confirmed = now


# --------------------------------------------------------------------------------------------------------------- output

def neigh_hh_init(n: Neighbour) -> None:
    """Keep the complete hardware header, where the link layer can make it beforehand.  Linux: net/core/neighbour.c."""
    ops = n.dev.header_ops
    if ops is not None and len(n.hh) == 0:
        n.hh = ops.cache(n, n.tbl.protocol)


def neigh_hard_header(n: Neighbour, skb: SkBuff) -> i64:
    """Push the link header for n: skb goes to the device; where that fails skb is dropped."""
    ops = n.dev.header_ops
    __skb_pull(skb, skb.network_header - skb.data)
    if ops is not None and ops.create(skb, n.dev, skb.protocol, n.ha, None) < 0:
        kfree_skb_reason(skb, SKB_DROP_REASON_NEIGH_HH_FILLFAIL)
        return -EINVAL
    return dev_queue_xmit(skb)


def neigh_resolve_output(n: Neighbour, skb: SkBuff) -> i64:
    """Send skb to n if its address is known, else let it wait.  Linux: net/core/neighbour.c."""
    if neigh_event_send(n, skb) != 0:
        return 0
    if len(n.hh) == 0:
        neigh_hh_init(n)
        if len(n.hh) == 0 and (n.nud_state & NUD_CONNECTED) != 0:
            n.output = n.tbl.output_connected  # this link's headers cannot be kept: found out once
    return neigh_hard_header(n, skb)


def neigh_connected_output(n: Neighbour, skb: SkBuff) -> i64:
    """Send skb to n, whose address is known good.  Linux: net/core/neighbour.c."""
    return neigh_hard_header(n, skb)


def neigh_direct_output(n: Neighbour, skb: SkBuff) -> i64:
    """Send skb on a device without link headers.  Linux: net/core/neighbour.c."""
    return dev_queue_xmit(skb)


def neigh_blackhole(n: Neighbour, skb: SkBuff) -> i64:
    """n is gone: drop.  Linux: net/core/neighbour.c."""
    kfree_skb_reason(skb, SKB_DROP_REASON_NEIGH_DEAD)
    return -ENETDOWN


# ------------------------------------------------------------------------------------------ administration (`ip neigh`)

def neigh_add(
    tbl: NeighTable, pkey: int, dev: NetDevice, lladdr: bytes | None, state: i64, replace: bool = True,
) -> int:
    """`ip neigh add|replace`: set an entry by hand. 0, -EEXIST (add, and it is there), -EINVAL, -ENOENT (full).

    Linux: net/core/neighbour.c, where a netlink message says it.
    """
    if lladdr is not None and i64(len(lladdr)) < dev.addr_len:
        return -EINVAL
    n = neigh_lookup(tbl, pkey, dev)
    if n is None:
        n = __neigh_create(tbl, pkey, dev)
        if n is None:
            return -ENOENT
    elif not replace:
        return -EEXIST
    return __neigh_update(n, lladdr, state, NEIGH_UPDATE_F_ADMIN | NEIGH_UPDATE_F_OVERRIDE)


def neigh_delete(tbl: NeighTable, pkey: int, dev: NetDevice) -> int:
    """`ip neigh del`: 0, or -ENOENT.  Linux: net/core/neighbour.c."""
    key = neigh_key(tbl, dev, pkey)
    n = tbl.hash.get(key)
    if n is None:
        return -ENOENT
    __neigh_update(n, None, NUD_FAILED, NEIGH_UPDATE_F_OVERRIDE | NEIGH_UPDATE_F_ADMIN)
    if tbl.hash.get(key) is n:
        del tbl.hash[key]
        neigh_mark_dead(n)
    return 0


def neigh_for_each(tbl: NeighTable) -> list[Neighbour]:
    """The entries, by interface and address.  Linux: net/core/neighbour.c, where a function is called on each."""
    return [tbl.hash[key] for key in sorted(tbl.hash)]


def neigh_dump(tbl: NeighTable) -> str:
    """The text of `ip neigh`, one entry a line; entries that need no resolution are left out, as there."""
    lines = []
    for n in neigh_for_each(tbl):
        if (n.nud_state & NUD_NOARP) != 0 or n.nud_state == NUD_NONE:
            continue
        lladdr = ' lladdr ' + n.ha.hex(':') if (n.nud_state & NUD_VALID) != 0 else ''
        state = STATE_NAMES[int(n.nud_state)]
        router = ' router' if n.is_router else ''
        lines.append(neigh_addr_text(n) + ' dev ' + n.dev.name + lladdr + router + ' ' + state + ' \n')
    return ''.join(lines)


# --------------------------------------------------------------------------------------- proxy answers, put off a while

class NeighProxyTimer(TimerList):
    """Drives the questions that this host answers for others, each after a random time (Linux: tbl->proxy_timer)."""

    def __init__(self, tbl: NeighTable) -> None:
        super().__init__(tbl.net.clock)
        self.tbl: NeighTable = tbl

    def function(self) -> None:
        """See neigh_proxy_process."""
        neigh_proxy_process(self.tbl)


def pneigh_enqueue(tbl: NeighTable, p: NeighParms, skb: SkBuff) -> None:
    """Answer skb in up to proxy_delay, so that not all proxies of a link answer at once.

    Linux: net/core/neighbour.c.
    """
    if tbl.proxy_queue.qlen > p.proxy_qlen:
        kfree_skb(skb)
        return
    now = tbl.net.clock.now
    due: i64 = now + i64(tbl.random.below(int(p.proxy_delay)))
    skb.tstamp = due  # a question's own stamp is of no use any more
    timer = tbl.proxy_timer
    if timer is None:
        timer = NeighProxyTimer(tbl)
        tbl.proxy_timer = timer
    if not timer_pending(timer) or due < timer.expires:
        mod_timer(timer, due)
    __skb_queue_tail(tbl.proxy_queue, skb)


def neigh_proxy_process(tbl: NeighTable) -> None:
    """Answer what is due.  Linux: net/core/neighbour.c."""
    now = tbl.net.clock.now
    earliest: i64 = 0
    left: i64 = tbl.proxy_queue.qlen
    while left > 0:
        left -= 1
        skb = __skb_dequeue(tbl.proxy_queue)
        if skb is None:
            break
        if skb.tstamp <= now:
            dev = skb.dev
            if dev is not None and (dev.flags & IFF_UP) != 0:
                tbl.proxy_redo(skb)
            else:
                kfree_skb(skb)
        else:
            if earliest == 0 or skb.tstamp < earliest:
                earliest = skb.tstamp
            __skb_queue_tail(tbl.proxy_queue, skb)
    if earliest != 0 and tbl.proxy_timer is not None and not skb_queue_empty(tbl.proxy_queue):
        mod_timer(tbl.proxy_timer, earliest)
