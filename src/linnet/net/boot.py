# SPDX-License-Identifier: Apache-2.0
"""Power on: a world with its clock and CPU, and in it any number of hosts, each with a complete network stack and its loopback
up.

    world = new_world(VirtualClock(), seed=1)
    net = new_net(world, 'client')

The order is Linux's: packet buffers and devices, then per host hooks, queueing, the families, sysctls, and last the loopback,
whose coming up gives it 127.0.0.1/8, ::1/128 and the routes to them. Other devices have no IPv6 (who wants none sees none) until
net.ipv6.conf.default.disable_ipv6, or that of the device, is 0.
"""
from __future__ import annotations

from linnet.drivers.net.loopback import loopback_net_init
from linnet.include.linux.inet import INADDR_LOOPBACK
from linnet.include.net.net_namespace import Net, World
from linnet.kernel.clock import Clock
from linnet.net.core.dev import dev_open, net_dev_init
from linnet.net.core.skbuff import skb_init
from linnet.net.core.sysctl_net_core import sysctl_core_init
from linnet.net.ipv4.af_inet import inet_init
from linnet.net.ipv4.devinet import inet_addr_add
from linnet.net.ipv4.sysctl_net_ipv4 import sysctl_ipv4_init
from linnet.net.ipv4.tcp_output import tcp_tasklet_init
from linnet.net.ipv6.af_inet6 import inet6_init
from linnet.net.netfilter.core import netfilter_net_init
from linnet.net.packet.af_packet import packet_init
from linnet.net.sched.sch_api import pktsched_init
from linnet.net.sockfs import sock_init
from linnet.net.unix.af_unix import af_unix_init


def new_world(clock: Clock, seed: int = 0) -> World:
    """A world without hosts; every random choice in it follows from seed."""
    world = World(clock, seed)
    skb_init(world)
    net_dev_init(world)
    sock_init(world)
    tcp_tasklet_init(world)
    return world


def new_net(world: World, name: str, boots: int = 0) -> Net:
    """A host: its loopback is up, it has no other device yet. boots: how often it was booted before."""
    net = Net(world, name, boots)
    net.hash_mix = net.random.u32()
    netfilter_net_init(net)
    pktsched_init(net)
    af_unix_init(net)
    inet_init(net)
    inet6_init(net)
    packet_init(net)
    sysctl_core_init(net)
    sysctl_ipv4_init(net)
    loopback_net_init(net)
    lo = net.loopback_dev
    assert lo is not None
    dev_open(lo)
    in_dev = lo.in_dev
    if in_dev is not None and not in_dev.ifa_list:
        inet_addr_add(lo, INADDR_LOOPBACK, 8)
    net.ipv6.devconf_dflt.disable_ipv6 = 1
    return net
