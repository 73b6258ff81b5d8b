# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a network, and when: the machinery under Lab.at, Lab.when, Lab.partition, Lab.reset, Host.crash and Link.

A fault is a plain method that acts now; Lab.at and Lab.when call it at a virtual time or on a condition. It is called by the
world's loop between two events, never from within the stack, so it may do what the lab's owner may: change links, start and end
programs, crash hosts. Nothing here draws a random number: a fault happens at its nanosecond, whatever the seed.
"""
from __future__ import annotations

import signal
import struct
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from types import TracebackType
from typing import TYPE_CHECKING, Any

from linnet.drivers.net.wire import WireLoss, WireParams, wire_set_params
from linnet.include.linux.if_ether import ETH_P_IP, ETH_P_IPV6
from linnet.include.linux.in6 import IN6ADDR_LOOPBACK, in6_bytes
from linnet.include.linux.ipv6 import ipv6_hdr_build
from linnet.include.linux.netdevice import NetDevice, netif_running
from linnet.include.linux.netfilter import NF_ACCEPT, NF_DROP, NFPROTO_IPV6, NfHookState
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import AF_INET6
from linnet.include.net.dropreason import SKB_DROP_REASON_DEV_READY
from linnet.include.net.inet_timewait_sock import InetTimewaitSock
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import Sock
from linnet.include.net.tcp import TcpSock
from linnet.kernel.sched import Scheduler, Work
from linnet.kernel.timer import TimerList, del_timer, mod_timer
from linnet.kernel.trace import TraceSink
from linnet.net.boot import new_net
from linnet.net.core.dev import __netif_rx, dev_close, dev_open, register_netdevice, unregister_netdevice
from linnet.net.core.skbuff import kfree_skb_reason, skb_from_bytes
from linnet.net.ethernet.eth import eth_type_trans
from linnet.net.ipv4.inet_hashtables_chain import sk_is_ipv6
from linnet.net.ipv4.inet_timewait_sock import inet_twsk_purge
from linnet.net.ipv4.tcp import tcp_done, tcp_write_queue_purge
from linnet.net.ipv4.tcp_close import tcp_abort
from linnet.net.ipv4.tcp_ipv4_proc import tcp_socks

if TYPE_CHECKING:
    from linnet.lab import Host, Lab, Link, Port

CONDITION_NS = 1_000_000  # how often a condition is looked at
RAW_PRIORITY = -300  # a partition acts before what the host itself has at its hook points
ESTABLISHED_STATES = frozenset({1, 4, 5, 8, 9, 11})  # TCP states of a connection that a RST ends: all but opening and TIME_WAIT


# -- when

class Appointment(Work):
    """A call that the world will make. cancel() takes it back; `done` tells whether it was made."""

    def __init__(self, lab: Lab, action: Callable[[], object]) -> None:
        self.lab = lab
        self.action = action
        self.done = False
        self.cancelled = False

    def run(self) -> None:
        """Make the call; what it raises comes out of lab.run()."""
        if not self.done and not self.cancelled:
            self.done = True
            self.stop()
            self.lab.appointments.remove(self)
            self.action()

    def cancel(self) -> None:
        """Not any more. After the call this means nothing."""
        if not self.done and not self.cancelled:
            self.cancelled = True
            self.stop()
            self.lab.appointments.remove(self)

    def stop(self) -> None:
        """Wait no longer."""


class AlarmClock(TimerList):
    """Runs the appointment when it is time."""

    def __init__(self, appointment: Appointment, sched: Scheduler) -> None:
        super().__init__(sched.clock)
        self.appointment = appointment
        self.sched = sched

    def function(self) -> None:
        """It is time: but not within the softirq that timers run in."""
        self.sched.call_soon(self.appointment)


class AtTime(Appointment):
    """At a virtual time (ns)."""

    def __init__(self, lab: Lab, when: int, action: Callable[[], object]) -> None:
        super().__init__(lab, action)
        self.alarm = AlarmClock(self, lab.world.sched)
        mod_timer(self.alarm, when)

    def stop(self) -> None:
        """See Appointment."""
        del_timer(self.alarm)


class ConditionClock(TimerList):
    """Looks every CONDITION_NS whether the condition holds. It does not keep the world going."""

    def __init__(self, appointment: Appointment, sched: Scheduler, condition: Callable[[], object]) -> None:
        super().__init__(sched.clock)
        self.appointment = appointment
        self.sched = sched
        self.condition = condition
        self.deferrable = True

    def function(self) -> None:
        """Look."""
        if self.condition():
            self.sched.call_soon(self.appointment)
        else:
            mod_timer(self, int(self.sched.clock.now) + CONDITION_NS)


class OnCondition(Appointment):
    """When a condition holds for the first time."""

    def __init__(self, lab: Lab, condition: Callable[[], object], action: Callable[[], object]) -> None:
        super().__init__(lab, action)
        self.alarm = ConditionClock(self, lab.world.sched, condition)
        mod_timer(self.alarm, int(lab.world.clock.now))

    def stop(self) -> None:
        """See Appointment."""
        del_timer(self.alarm)


class _Watch(TraceSink):
    """Tells an appointment that its tracepoint was passed."""

    def __init__(self, appointment: Appointment, pattern: str) -> None:
        self.appointment = appointment
        self.pattern = pattern
        self.told = False

    def event(self, name: str, fields: dict[str, object]) -> None:
        """One was passed."""
        if not self.told and fnmatchcase(name, self.pattern):
            self.told = True
            self.appointment.lab.world.sched.call_soon(self.appointment)


class OnTracepoint(Appointment):
    """When the stack passes a tracepoint for the first time."""

    def __init__(self, lab: Lab, pattern: str, action: Callable[[], object]) -> None:
        super().__init__(lab, action)
        self.watch = _Watch(self, pattern)
        lab.world.trace.subscribe(self.watch)

    def stop(self) -> None:
        """See Appointment."""
        self.lab.world.trace.unsubscribe(self.watch)


# -- links

class Budget:
    """How many packets are still to be lost."""

    def __init__(self, count: int) -> None:
        self.left = count


class NextLost(WireLoss):
    """One direction loses packets while the budget lasts, and then asks what was there before."""

    def __init__(self, budget: Budget, before: WireLoss | None) -> None:
        self.budget = budget
        self.before = before

    def lost(self, n: int) -> bool:
        """Is it one of them?"""
        if self.budget.left > 0:
            self.budget.left -= 1
            return True
        return self.before is not None and self.before.lost(n)


def lose_next(directions: Iterable[tuple[NetDevice, WireParams]], count: int) -> None:
    """The next `count` packets through these directions, whichever they take, are lost."""
    budget = Budget(count)
    for dev, params in directions:
        before = params.loss_function
        while isinstance(before, NextLost) and before.budget.left == 0:
            before = before.before  # that one is over
        params.loss_function = NextLost(budget, before)
        wire_set_params(dev, params)


# -- partitions

class Partition:
    """Groups of hosts that do not hear each other, until heal() or the end of a with block."""

    def __init__(self, lab: Lab, groups: list[list[Host]], one_way: bool) -> None:
        self.lab = lab
        self.groups = groups
        self.removers: list[Callable[[], None]] = []
        for i, hearers in enumerate(groups):
            speakers = [host for j, group in enumerate(groups) if j != i and (not one_way or j == 0) for host in group]
            deaf_to = frozenset(data for host in speakers for data in addresses_of(host))
            for host in hearers if deaf_to else ():
                self.removers.append(host.hook('PRE_ROUTING', deaf(deaf_to), priority=RAW_PRIORITY))
        lab.partitions.append(self)

    def heal(self) -> None:
        """They hear each other again (as far as no other partition parts them). Twice is once."""
        for remove in self.removers:
            remove()
        self.removers.clear()
        if self in self.lab.partitions:
            self.lab.partitions.remove(self)

    def __enter__(self) -> Partition:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.heal()

    def __repr__(self) -> str:
        return '<Partition ' + ' | '.join(' '.join(host.name for host in group) for group in self.groups) + '>'


def addresses_of(host: Host) -> set[bytes]:
    """All addresses by which a host speaks on its links, as packets bear them."""
    names = host.lab.runtime.names
    v6 = {*names.lookup(host.name, AF_INET6), *host.net.ipv6.inet6_addr_lst} - {IN6ADDR_LOOPBACK}
    return {addr.to_bytes(4, 'big') for addr in names.lookup(host.name)} | {in6_bytes(addr) for addr in v6}


def deaf(sources: frozenset[bytes]) -> Callable[[SkBuff, NfHookState], int]:
    """A hook that drops what comes from one of the addresses."""
    def verdict(skb: SkBuff, state: NfHookState) -> int:
        at = int(skb.data)
        source = skb.head[at + 8:at + 24] if state.pf == NFPROTO_IPV6 else skb.head[at + 12:at + 16]
        return NF_DROP if source in sources else NF_ACCEPT
    return verdict


def groups_of(lab: Lab, groups: tuple[Any, ...]) -> list[list[Host]]:
    """What Lab.partition was given, as lists of hosts: a host, a name, or several of them; one group alone: against the rest."""
    found: list[list[Host]] = []
    for group in groups:
        members = [group] if isinstance(group, str) or not isinstance(group, Iterable) else list(group)
        found.append([lab.host_named(member) for member in members])
    if len(found) == 1:
        found.append([host for host in lab.hosts.values() if host not in found[0]])
    names = [host.name for group in found for host in group]
    twice = {name for name in names if names.count(name) > 1}
    if twice or len(found) < 2 or not all(found):
        raise ValueError('a partition parts two or more groups of hosts that have no host in common'
                         + (f'; in several: {", ".join(sorted(twice))}' if twice else ''))
    return found


# -- resets

def socks_in_order(net: Net) -> list[Sock]:
    """Every TCP socket of a host, by its ends: the order in which they entered the hashes tells nothing."""
    return sorted(tcp_socks(net), key=lambda sk: (sk.sk_num, sk.sk_daddr, sk.sk_v6_daddr, sk.sk_dport))


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def rst_packet(sk: TcpSock) -> bytes:
    """The packet that the peer would send to end the connection: a RST with the sequence number that is due
    (RFC 9293 3.10.7.4: only that one is believed at once, RFC 5961).
    """
    v6 = sk_is_ipv6(sk)
    if v6:
        src, dst = in6_bytes(sk.sk_v6_daddr), in6_bytes(sk.sk_v6_rcv_saddr)
    else:
        src, dst = int(sk.sk_daddr).to_bytes(4, 'big'), int(sk.sk_rcv_saddr).to_bytes(4, 'big')
    tcp = struct.pack('!HHIIBBHHH', int(sk.sk_dport), int(sk.sk_num), int(sk.rcv_nxt), 0, 5 << 4, 0x04, 0, 0, 0)
    tcp = tcp[:16] + struct.pack('!H', checksum(src + dst + struct.pack('!HH', 6, len(tcp)) + tcp)) + tcp[18:]
    if v6:
        return ipv6_hdr_build(0, 0, len(tcp), 6, 64, sk.sk_v6_daddr, sk.sk_v6_rcv_saddr) + tcp
    ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0, src, dst)
    return ip[:10] + struct.pack('!H', checksum(ip)) + ip[12:] + tcp


def inject(port: Port, packet: bytes) -> None:
    """Let an IP packet arrive at a port, as from the other end of its link."""
    dev = port.dev
    kind = ETH_P_IPV6 if packet[0] >> 4 == 6 else ETH_P_IP
    frame = dev.dev_addr + port.peer.dev.dev_addr + struct.pack('!H', kind) + packet
    skb = skb_from_bytes(dev.net.world, frame, len(frame))
    if not netif_running(dev) or not dev.carrier:
        kfree_skb_reason(skb, SKB_DROP_REASON_DEV_READY)
        return
    eth_type_trans(skb, dev)
    __netif_rx(skb)


def reset_connections(host: Host, peer: Host, port: int | None) -> int:
    """Let a RST arrive at the host for each of its connections to the peer (with this port at either end). How many."""
    there = addresses_of(peer)
    victims = [sk for sk in socks_in_order(host.net) if isinstance(sk, TcpSock) and int(sk.sk_state) in ESTABLISHED_STATES
               and peer_bytes(sk) in there and port in (None, int(sk.sk_num), int(sk.sk_dport))]
    for sk in victims:
        inject(arrival_port(host, peer, sk), rst_packet(sk))
    return len(victims)


def peer_bytes(sk: TcpSock) -> bytes:
    """The peer's address, as packets bear it."""
    return in6_bytes(sk.sk_v6_daddr) if sk_is_ipv6(sk) else int(sk.sk_daddr).to_bytes(4, 'big')


def arrival_port(host: Host, peer: Host, sk: TcpSock) -> Port:
    """The port through which the peer's packets come: that of the connection's own address, else the link to the peer, else
    the first.
    """
    for port in host.ports:
        if (port.addr6 == sk.sk_v6_rcv_saddr) if sk_is_ipv6(sk) else (port.addr == int(sk.sk_rcv_saddr)):
            return port
    for port in host.ports:
        if port.peer.host is peer:
            return port
    if not host.ports:
        raise RuntimeError(f'{host.name!r} has no link by which a packet of {peer.name!r} could come')
    return host.ports[0]


# -- crashes

def crash_host(host: Host) -> None:
    """The power is gone: devices fall silent, sockets vanish without a word, programs end where they are."""
    net = host.net
    sched = host.lab.world.sched
    doomed = [program for program in host.lab.runtime.programs if program.net is net and not program.done]
    if any(sched.current in program.tasks for program in doomed):
        raise RuntimeError(f'crash() of {host.name!r} was called by a program on it; let the lab do it: '
                           'lab.at(lab.now, host.crash)')
    for dev in list(net.dev_base):
        dev_close(dev)  # first: nothing that follows is heard
    for sk in socks_in_order(net):
        if isinstance(sk, TcpSock) and sk.sk_socket is None and int(sk.sk_state) != 10:
            tcp_write_queue_purge(sk)  # an orphan, which a program had closed
            tcp_done(sk)
        elif not isinstance(sk, InetTimewaitSock):
            tcp_abort(sk, 104)
    inet_twsk_purge(net)
    for program in doomed:
        program.killed = -signal.SIGKILL
        program.silent = True
        for task in list(program.tasks):
            sched.kill(task, hard=True)
        if program.exit_code is None and not program.tasks:  # it had not begun
            program.exit_code = program.killed


def boot_host(host: Host, boots: int) -> Net:
    """A new stack for the host, with its devices, which keep their addresses, links and captures. It is not configured yet."""
    old = host.net
    world = old.world
    net = new_net(world, host.name, boots)
    for dev in [port.dev for port in host.ports]:
        unregister_netdevice(dev)
        dev.net = net
        if register_netdevice(dev):
            raise RuntimeError(f'{dev.name} cannot be registered again on {host.name!r}')
    lo = old.loopback_dev
    if lo is not None:
        unregister_netdevice(lo)
    world.nets.remove(old)
    return net


def open_ports(host: Host, links: list[Link]) -> None:
    """Bring up the host's ends of all links but those that were taken down."""
    for link in links:
        for port in (link.a, link.b):
            if port.host is host and not link.is_down:
                dev_open(port.dev)
