# SPDX-License-Identifier: Apache-2.0
"""World and Net: all that Linux keeps in globals hangs on one of these two.

A World is one machine room: one clock, one CPU, one seeded random source, one scheduler, any number of hosts. A Net is one host's
network stack (Linux: struct net): devices, addresses, routes, neighbours, sockets, sysctls, counters, hooks.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64

from linnet.include.linux.netdevice import GroCallbacks, NetDevice, PacketType, SoftnetData
from linnet.include.linux.netfilter import NfHooks
from linnet.include.linux.notifier import NotifierBlock
from linnet.include.net.netns.ipv4 import NetnsCore, NetnsIpv4
from linnet.include.net.netns.ipv6 import NetnsIpv6
from linnet.include.net.snmp import NetnsMib
from linnet.kernel.clock import Clock
from linnet.kernel.ramfs import Ramfs
from linnet.kernel.random import Random
from linnet.kernel.sched import Scheduler
from linnet.kernel.slab import KmemCache, SlabRegistry
from linnet.kernel.softirq import Cpu
from linnet.kernel.sysctl import SysctlRegistry
from linnet.kernel.trace import Trace

if TYPE_CHECKING:
    from linnet.include.net.sch_generic import Qdisc
    from linnet.include.net.sock import NetProtoFamily


class World:
    """One deterministic world. Everything in it shares the clock and the CPU, and takes its random numbers from one seed."""

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self.clock: Clock = clock
        self.seed: int = seed
        self.random: Random = Random(seed)
        self.cpu: Cpu = Cpu()
        self.sched: Scheduler = Scheduler(clock, self.cpu)
        self.trace: Trace = Trace()
        self.slab: SlabRegistry = SlabRegistry(self.trace)
        self.softnet: SoftnetData = SoftnetData()
        self.nets: list[Net] = []
        self.next_mac: int = 1
        self.next_ino: int = 1
        self.next_cookie: int = 1
        # the caches of the packet path (net/core/skbuff.py: skb_init makes them)
        self.skbuff_cache: KmemCache = KmemCache('skbuff_head_cache', 256, self.trace)
        self.skb_data_cache: KmemCache = KmemCache('skbuff_small_head', 704, self.trace)


class Net:
    """Linux: struct net. Made by net/boot.py:new_net, which lets every subsystem register itself."""

    def __init__(self, world: World, name: str, boots: int = 0) -> None:
        self.world: World = world
        self.name: str = name
        self.clock: Clock = world.clock
        # after a reboot nothing that was drawn before (ports, sequence numbers, secrets) comes again
        self.random: Random = world.random.fork(name if boots == 0 else f'{name}, boot {boots}')
        self.trace: Trace = world.trace
        self.core: NetnsCore = NetnsCore()
        self.ipv4: NetnsIpv4 = NetnsIpv4()
        self.ipv6: NetnsIpv6 = NetnsIpv6()
        self.mib: NetnsMib = NetnsMib()
        self.nf: NfHooks = NfHooks()
        self.sysctl: SysctlRegistry = SysctlRegistry()
        self.net_families: dict[int, NetProtoFamily] = {}
        self.qdisc_base: dict[str, type[Qdisc]] = {}  # id -> class
        self.dev_base: list[NetDevice] = []
        self.dev_by_index: dict[int, NetDevice] = {}
        self.ifindex: int = 0
        self.loopback_dev: NetDevice | None = None
        self.ptype_all: list[PacketType] = []
        self.ptype_base: dict[int, PacketType] = {}  # ETH_P_* -> handler for all devices
        self.ptype_more: list[PacketType] = []  # further handlers of protocols, and those for one device
        self.offload_base: dict[int, GroCallbacks] = {}  # ETH_P_* -> receive offload
        self.inet_offloads: dict[int, GroCallbacks] = {}  # IP protocol -> receive offload
        self.inet6_offloads: dict[int, GroCallbacks] = {}  # IPv6's next header -> receive offload
        self.netdev_chain: list[NotifierBlock] = []  # devices up, down, changed
        self.inetaddr_chain: list[NotifierBlock] = []  # addresses given and taken
        self.inet6addr_chain: list[NotifierBlock] = []
        self.hash_mix: i64 = 0
        self.fs: Ramfs = Ramfs()  # the host's files
        world.nets.append(self)


def dev_net(dev: NetDevice) -> Net:
    """The namespace of a device.  Linux: include/linux/netdevice.h."""
    return dev.net
