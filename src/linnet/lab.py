# SPDX-License-Identifier: Apache-2.0
"""Lab: a small internet in one process, in virtual time. Hosts, routers and links; programs on hosts; run until all is done.

    with Lab(seed=1) as lab:
        client, router, server = lab.host('client'), lab.router('router'), lab.host('server')
        lab.link(client, router, rate='100mbit', delay='10ms')
        lab.link(router, server, rate='100mbit', delay='10ms', loss='1 %')
        server.spawn(serve, daemon=True)
        client.spawn(fetch)
        lab.run()

Equal seeds give equal packets at equal nanoseconds. Addresses are given per link out of 198.18.0.0/15 (RFC 2544: routed
nowhere), and routes are found when the lab first runs; both can be set by hand. Programs find the other hosts by their
names.
"""
from __future__ import annotations

import runpy
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from linnet import faults, topology, units
from linnet._pure import build
from linnet.drivers.net.pcap import PcapTap
from linnet.drivers.net.veth import veth_newlink
from linnet.drivers.net.wire import LossFunction, LossPattern, WireParams, wire_newlink, wire_set_carrier, wire_set_params
from linnet.include.linux.in6 import in6_ntop, in6_prefix_mask
from linnet.include.linux.inet import in_ntoa, inet_make_mask
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.netfilter import NFPROTO_IPV4, NFPROTO_IPV6, NfHookState
from linnet.include.linux.sched import Process
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import AF_INET, AF_INET6
from linnet.include.net.dropreason import DROP_REASONS
from linnet.include.net.if_inet6 import IFA_F_NODAD
from linnet.include.net.ip6_fib import Fib6Config
from linnet.include.net.ip_fib import RT_SCOPE_LINK, FibConfig
from linnet.include.net.net_namespace import Net
from linnet.kernel.clock import Clock, VirtualClock
from linnet.kernel.sched import TASK_RUNNING, Deadlock, Task
from linnet.kernel.timer import TimerList, del_timer, mod_timer, timer_pending
from linnet.kernel.trace import TraceSink
from linnet.net.boot import new_net, new_world
from linnet.net.core.dev import dev_close, dev_open, dev_set_mtu
from linnet.net.ipv4.devinet import inet_addr_add
from linnet.net.ipv4.fib_frontend import fib_add_route, fib_del_route
from linnet.net.ipv6.addrconf import addrconf_forward_change, inet6_addr_add
from linnet.net.ipv6.route import ip6_route_add, ip6_route_del
from linnet.net.netfilter.core import PythonHook, nf_register_net_hook, nf_unregister_net_hook
from linnet.net.sched.sch_api import qdisc_create
from linnet.program import datetimes, dns, patches, waiting
from linnet.program.chance import Chance
from linnet.program.console import Console
from linnet.program.runtime import Program, Runtime

STALL_NS = 24 * 3600 * 10**9
T = TypeVar('T')
A = TypeVar('A', bound=faults.Appointment)

# net.ipv6.conf of a device whose addresses the lab gives: it asks for no router, and does not look whether they are free
STATIC6 = {'accept_ra': '0', 'router_solicitations': '0', 'accept_dad': '0', 'disable_ipv6': '0'}
HOOK_POINTS = ('PRE_ROUTING', 'LOCAL_IN', 'FORWARD', 'LOCAL_OUT', 'POST_ROUTING')  # in the order of NF_INET_*


class Port:
    """One end of a link: the device, and its first address of each family, where it has one (numbers)."""

    def __init__(self, host: Host, dev: NetDevice) -> None:
        self.host = host
        self.dev = dev
        self.peer: Port = self
        self.addr = self.addr6 = 0
        self.prefixlen = self.prefixlen6 = 0

    def address(self, family: int) -> int:
        """The first address of AF_INET or AF_INET6, 0 where there is none."""
        return self.addr6 if family == AF_INET6 else self.addr

    def subnet(self, family: int = AF_INET) -> tuple[int, int] | None:
        """(network, prefix length) of the first address of a family, or None without one."""
        if not self.address(family):
            return None
        if family == AF_INET6:
            return self.addr6 & in6_prefix_mask(self.prefixlen6), self.prefixlen6
        return self.addr & int(inet_make_mask(self.prefixlen)), self.prefixlen

    def texts(self) -> list[str]:
        """The addresses as people write them."""
        v4 = [f'{in_ntoa(self.addr)}/{self.prefixlen}'] if self.addr else []
        return v4 + ([f'{in6_ntop(self.addr6)}/{self.prefixlen6}'] if self.addr6 else [])

    def __repr__(self) -> str:
        return ' '.join([f'<Port {self.host.name}:{self.dev.name}', *self.texts()]) + '>'


class Host:
    """A machine in the lab: a network stack of its own, and the programs on it."""

    def __init__(self, lab: Lab, name: str, net: Net, forwards: bool) -> None:
        self.lab = lab
        self.name = name
        self.net = net
        self.forwards = forwards
        self.ports: list[Port] = []
        self.static_routes = False
        self.up = True
        self.boots = 0
        self._route_steps: list[Callable[[], None]] = []
        self.config: list[Callable[[], object]] = []  # what was done to the host, to be done again at each boot
        self._consoles: list[Console] = []
        self.kernel = Process(net, 'kernel', 0)  # for calls that belong to no program

    def __repr__(self) -> str:
        return ' '.join([f'<Host {self.name}', *[text.split('/')[0] for port in self.ports for text in port.texts()]]) + '>'

    def __enter__(self) -> Host:
        """Within the with block linnet.socket is this host's, without a program: the world runs during each call."""
        self._consoles.append(Console(self.lab.runtime, self.net, self.lab.run_until).__enter__())
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._consoles.pop().__exit__()

    def _configure(self, step: Callable[[], T]) -> T:
        """Do a step of the host's configuration now, and at each boot from now on."""
        result = step()
        self.config.append(step)
        return result

    # -- addresses and routes

    @property
    def addr(self) -> str:
        """The host's first IPv4 address; RuntimeError where it has none yet."""
        for port in self.ports:
            if port.addr:
                return in_ntoa(port.addr)
        raise RuntimeError(f'host {self.name!r} has no address: link it to another first')

    @property
    def addr6(self) -> str:
        """The host's first IPv6 address (but link-local ones); RuntimeError where it has none yet."""
        for port in self.ports:
            if port.addr6:
                return in6_ntop(port.addr6)
        raise RuntimeError(f'host {self.name!r} has no IPv6 address: make it with Lab(ipv6=True), or give it one by address()')

    def port(self, to: Host | str) -> Port:
        """The host's end of its link to another host (or by device name)."""
        for port in self.ports:
            if to in (port.peer.host, port.peer.host.name, port.dev.name):
                return port
        raise KeyError(f'host {self.name!r} has no link to {to!r}; it has {[p.peer.host.name for p in self.ports]}')

    def address(self, dev: Port | str, cidr: str) -> None:
        """Give a device an address, as `ip addr add CIDR dev DEV`. The first IPv6 address turns IPv6 on there."""
        port = dev if isinstance(dev, Port) else self.port(dev)
        if ':' in cidr:
            self._address6(port, cidr)
            return
        addr, bits = units.prefix(cidr)
        def add() -> None:
            error = inet_addr_add(port.dev, addr, bits)
            if error:
                raise OSError(-error, f'cannot give {cidr} to {port.dev.name} of {self.name}')
        self._configure(add)
        if not port.addr:
            port.addr, port.prefixlen = addr, bits
        self.lab.runtime.names.add(self.name, addr)

    def _address6(self, port: Port, cidr: str) -> None:
        """address() of IPv6. The lab gives the addresses: nobody is asked for a router or whether the address is free."""
        addr, bits = units.prefix6(cidr)

        def add() -> None:
            for name, value in STATIC6.items():
                self.net.sysctl.set(f'net.ipv6.conf.{port.dev.name}.{name}', value)
            error = inet6_addr_add(port.dev, addr, bits, IFA_F_NODAD)
            if error:
                raise OSError(-error, f'cannot give {cidr} to {port.dev.name} of {self.name}')
        self._configure(add)
        if not port.addr6:
            port.addr6, port.prefixlen6 = addr, bits
        self.lab.runtime.names.add(self.name, addr, AF_INET6)

    def route(self, to: str, *, via: str | None = None, dev: str | None = None, metric: int = 0, mtu: int = 0) -> None:
        """Add a route of either family, as `ip route add TO via VIA dev DEV metric N mtu N`. The host then gets no default
        routes of the lab's.
        """
        self.static_routes = True
        step = partial(self._change_route, True, to, via, dev, metric, mtu)
        self._configure(step)
        self._route_steps.append(step)

    def unroute(self, to: str, *, via: str | None = None, dev: str | None = None, metric: int = 0) -> None:
        """Remove a route."""
        step = partial(self._change_route, False, to, via, dev, metric, 0)
        self._configure(step)
        self._route_steps.append(step)

    def put_routes(self) -> None:
        """Give the routes again that were given by hand: those that went with a device come back with it."""
        for step in self._route_steps:
            with suppress(OSError):  # it is there, or its device is not
                step()

    def _change_route(self, add: bool, to: str, via: str | None, dev: str | None, metric: int, mtu: int) -> None:
        if ':' in to or (via is not None and ':' in via):
            self._change_route6(add, to, via, dev, metric, mtu)
            return
        cfg = FibConfig()
        cfg.fc_dst, cfg.fc_dst_len = units.network(to)
        if via is not None:
            cfg.fc_gw = units.prefix(via)[0]
        else:
            cfg.fc_scope = RT_SCOPE_LINK
        if dev is not None:
            cfg.fc_oif = self.port(dev).dev.ifindex
        cfg.fc_priority = metric
        if mtu:
            cfg.fc_mx[2] = mtu
        error = (fib_add_route if add else fib_del_route)(self.net, cfg)
        if error:
            raise OSError(-error, f'route {to} via {via} dev {dev} on {self.name} refused')

    def _change_route6(self, add: bool, to: str, via: str | None, dev: str | None, metric: int, mtu: int) -> None:
        cfg = Fib6Config()
        cfg.fc_dst, cfg.fc_dst_len = units.network6(to)
        if via is not None:
            cfg.fc_gateway = units.prefix6(via)[0]
        if dev is not None:
            cfg.fc_ifindex = self.port(dev).dev.ifindex
        cfg.fc_metric = metric
        if mtu:
            cfg.fc_mx[2] = mtu
        error = (ip6_route_add if add else ip6_route_del)(self.net, cfg)
        if error:
            raise OSError(-error, f'route {to} via {via} dev {dev} on {self.name} refused')

    # -- programs

    def spawn(self, target: Callable[..., object] | list[str] | str, *args: Any, name: str | None = None, daemon: bool = False,
              check: bool = True, env: dict[str, str] | None = None) -> Program:
        """Start a program; it runs when the lab does.

        target: a function (called with args), or what would follow `python` on a command line: ['-m', 'http.server', '8000']
        or ['client.py', 'arg']. daemon: the lab's run() does not wait for it (a server). check: an exception in it is raised by
        run(). env: its os.environ; None: a copy of the one that is. What it changes there, the others do not see.
        """
        if not self.up:
            raise RuntimeError(f'no program can start on {self.name!r}, which has crashed: restart() it first')
        path = None
        if callable(target):
            fn, argv = (lambda: target(*args)), [getattr(target, '__name__', 'program')]
        else:
            fn, argv = python_command([target] if isinstance(target, str) else target)
            path = str(Path(argv[0]).resolve().parent) if Path(argv[0]).is_file() else None
        return self.lab.runtime.spawn(self.net, fn, name=name or Path(argv[0]).name, argv=argv, daemon=daemon, check=check,
                                      path=path, env=env)

    def service(self, target: Callable[..., object] | list[str] | str, *args: Any, name: str | None = None) -> Program:
        """Start a daemon program, now and after each restart() of the host."""
        return self._configure(lambda: self.spawn(target, *args, name=name, daemon=True))

    def nameserver(self, *servers: Host | str) -> None:
        """Whom the programs of this host ask for names, over the network, instead of the lab's own table (as the nameserver lines
        of a resolv.conf): hosts, or addresses. None at all: the lab's table again.
        """
        self.lab.runtime.names.servers_of[self.name] = [
            dns.server_at(server.addr if isinstance(server, Host) else server) for server in servers]

    # -- faults

    def crash(self, *, duration: float | str | None = None) -> None:
        """The power is gone: nothing is sent any more, no FIN, no RST; sockets and memory vanish; programs end where they are
        (their finally blocks run, but every wait in them ends at once). The host is down until restart(), or for `duration`.
        """
        if not self.up:
            raise RuntimeError(f'{self.name!r} has crashed already')
        faults.crash_host(self)
        self.up = False
        if duration is not None:
            self.lab.after(duration, self.restart)

    def restart(self) -> None:
        """Boot: a new, empty stack on the same devices, with the addresses, routes, sysctls, hooks and qdiscs that the host was
        given, and its services. Peers that still hold connections to it get a RST when they next send. Counters begin at zero.
        A host that is up crashes first.
        """
        if self.up:
            self.crash()
        self.boots += 1
        self.net = faults.boot_host(self, self.boots)
        self.kernel = Process(self.net, 'kernel', 0)
        self.up = True
        if self.forwards:
            forward_packets(self.net)
        faults.open_ports(self, self.lab.links)
        steps, self.config = self.config, []
        for step in steps:
            self._configure(step)
        self.lab.reroute()

    # -- knobs and figures

    def sysctl(self, name: str, value: object = None) -> str:
        """Read a sysctl by Linux's name ('net.ipv4.tcp_rmem'), or set it.

        OSError: the value is refused; KeyError: there is no such name.
        """
        if value is not None:
            def put() -> None:
                error = self.net.sysctl.set(name, str(value))
                if error:
                    raise OSError(-error, f'{self.name} refuses {name} = {value!r}')
            self._configure(put)
        return self.net.sysctl.get(name)

    def counter(self, name: str) -> int:
        """One SNMP counter by nstat's name ('TcpRetransSegs')."""
        return self.net.mib.get(name)

    def nstat(self) -> dict[str, int]:
        """The counters that are not zero, by nstat's names."""
        return {name: value for name, value in self.net.mib.as_dict().items() if value}

    def drops(self) -> dict[str, int]:
        """Packets this host discarded, by reason (Linux's SKB_DROP_REASON_*, without the prefix)."""
        return {DROP_REASONS[reason]: count for reason, count in self.net.mib.drops.items()}

    def hook(self, point: str, fn: Callable[[SkBuff, NfHookState], int | None], *, priority: int = 0) -> Callable[[], None]:
        """Register a function as a netfilter hook; what is returned removes it again.

        point: 'PRE_ROUTING', 'LOCAL_IN', 'FORWARD', 'LOCAL_OUT' or 'POST_ROUTING'. fn(skb, state) gives a verdict,
        NF_ACCEPT, NF_DROP ... (include/linux/netfilter.py); None accepts. Lower priorities run first. It is asked for packets of
        both versions of IP: state.pf is NFPROTO_IPV4 or NFPROTO_IPV6.
        """
        if point not in HOOK_POINTS:
            raise ValueError(f'no hook point {point!r}; there are {", ".join(HOOK_POINTS)}')
        both = [PythonHook(fn, HOOK_POINTS.index(point), priority, pf) for pf in (NFPROTO_IPV4, NFPROTO_IPV6)]
        def put() -> None:
            for ops in both:
                nf_register_net_hook(self.net, ops)

        def remove() -> None:
            for ops in both:
                nf_unregister_net_hook(self.net, ops)
            if put in self.config:
                self.config.remove(put)
        self._configure(put)
        return remove

    def qdisc(self, dev: Port | str | Host, kind: str, **options: int) -> None:
        """Attach a queueing discipline, as `tc qdisc replace dev DEV root KIND limit N`."""
        port = dev if isinstance(dev, Port) else self.port(dev)
        self._configure(lambda: qdisc_create(port.dev, kind, options))


class Link:
    """A cable between two hosts. set() changes it while the lab runs, lose() takes single packets; down() and up() take both
    devices down and bring them up, unplug() and plug() pull the cable and plug it in.
    """

    def __init__(self, a: Port, b: Port, params: tuple[WireParams, WireParams] | None) -> None:
        self.a, self.b = a, b
        self.params = params
        self.is_down = False
        self.lab = a.host.lab

    def __repr__(self) -> str:
        return f'<Link {self.a.host.name}:{self.a.dev.name} - {self.b.host.name}:{self.b.dev.name}>'

    def set(self, *, direction: Host | str | None = None, duration: float | str | None = None, **values: Any) -> None:
        """Change rate, delay, jitter, loss, duplicate, reorder, corrupt; from one end only where direction (the sender)
        is given; for so long where duration is: then these properties are again what they are now.
        """
        for port, params in self._directions(direction):
            before = {name: getattr(params, FIELDS[name]) for name in values if name in FIELDS}
            if 'loss' in values:
                before['which'] = params.loss_function
            apply(params, values)
            wire_set_params(port.dev, params)
            if duration is not None:
                self.lab.after(duration, self._put_back, port, params, before)

    def _put_back(self, port: Port, params: WireParams, before: dict[str, Any]) -> None:
        for name, value in before.items():
            setattr(params, FIELDS[name], value)
        wire_set_params(port.dev, params)

    def _directions(self, sender: Host | str | None) -> list[tuple[Port, WireParams]]:
        """(the port that sends, its properties), of one end or of both."""
        if self.params is None:
            raise ValueError(f'{self} is a veth pair: it has no rate, delay or loss; make it with one of them given')
        found = [(port, params) for port, params in zip((self.a, self.b), self.params, strict=True)
                 if sender is None or sender in (port.host, port.host.name)]
        if not found:
            raise ValueError(f'{sender!r} is at neither end of {self}')
        return found

    def lose(self, count: int = 1, *, direction: Host | str | None = None) -> None:
        """The next `count` packets are lost, whichever end sends them, or of one sender where direction names it."""
        faults.lose_next([(port.dev, params) for port, params in self._directions(direction)], count)

    def down(self, *, duration: float | str | None = None) -> None:
        """Take both devices down, as `ip link set down`: what is under way is lost, and their routes are gone. duration: then
        up() follows.
        """
        self.is_down = True
        dev_close(self.a.dev)
        dev_close(self.b.dev)
        if duration is not None:
            self.lab.after(duration, self.up)

    def up(self) -> None:
        """Bring both devices up again; the hosts get their routes back."""
        self.is_down = False
        for port in (self.a, self.b):
            if port.host.up:
                dev_open(port.dev)
        self.lab.reroute()

    def unplug(self, *, duration: float | str | None = None) -> None:
        """Pull the cable: what is in it is lost, and what is sent meanwhile. The devices and their routes stay; both hosts see
        that there is no carrier. duration: then plug() follows.
        """
        self._directions(None)
        wire_set_carrier(self.a.dev, False)
        if duration is not None:
            self.lab.after(duration, self.plug)

    def plug(self) -> None:
        """Plug the cable in again."""
        self._directions(None)
        wire_set_carrier(self.a.dev, True)


def apply(params: WireParams, values: dict[str, Any]) -> None:
    """Put a link's properties, as people write them, into what the wire driver reads.

    loss may be a share, the numbers of the packets to lose (each direction counts its own from 1, ARP included), or a function
    that is given a packet's number and says whether it is lost.
    """
    for name, value in values.items():
        if name == 'rate':
            params.rate_bps = units.rate(value)
        elif name in ('delay', 'jitter'):
            setattr(params, name + '_ns', units.time_ns(value))
        elif name == 'loss' and not isinstance(value, (int, float, str)):
            params.loss_function = LossFunction(value) if callable(value) else LossPattern(set(value))
        elif name in ('loss', 'duplicate', 'reorder', 'corrupt'):
            setattr(params, name, units.share(value))
            if name == 'loss' and isinstance(params.loss_function, (LossFunction, LossPattern)):
                params.loss_function = None
        else:
            raise TypeError(f'a link has no property {name!r}; it has rate, delay, jitter, loss, duplicate, reorder, corrupt')


FIELDS = {'rate': 'rate_bps', 'delay': 'delay_ns', 'jitter': 'jitter_ns', 'which': 'loss_function',
          **{name: name for name in ('loss', 'duplicate', 'reorder', 'corrupt')}}  # what people write -> a field of WireParams


class StallTimer(TimerList):
    """Looks once in STALL_NS whether a run still gets anywhere. A server that only wakes to look around (serve_forever does,
    twice a second) would keep virtual time going for ever while all others wait in vain.

    Stalled is a run in which for STALL_NS no program but daemons ran, nor has set itself a time to run at.
    """

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab.world.clock)
        self.lab = lab
        self.deferrable = True

    def function(self) -> None:
        """Stop the run where it is stalled."""
        sched = self.lab.world.sched
        now = int(sched.clock.now)
        if now - sched.last_run >= STALL_NS and not any(
                timer_pending(task.timer) or task.state == TASK_RUNNING for task in sched.tasks.values() if not task.daemon):
            sched.stop()
        else:
            mod_timer(self, now + STALL_NS)


class _Collector(TraceSink):
    """Keeps the tracepoints that fit one of the patterns."""

    def __init__(self, lab: Lab, names: tuple[str, ...]) -> None:
        self.lab = lab
        self.names = names
        self.events: list[tuple[float, str, dict[str, object]]] = []

    def event(self, name: str, fields: dict[str, object]) -> None:
        """One was passed."""
        if not self.names or any(fnmatchcase(name, pattern) for pattern in self.names):
            self.events.append((self.lab.now, name, fields))


class Lab:
    """See the file. seed: every random choice of the world follows from it. subnets: what links take their /prefixlen from.
    ipv6: each link has a /64 of subnets6, too (2001:2::/48: RFC 5180, for benchmarks as 198.18.0.0/15 is); without it, IPv6 is on
    where address() gives an address, and on the loopback. datetime: datetime.now() of programs is the world's, too, not the
    machine's; it needs the extra `time`.
    """

    def __init__(self, *, seed: int = 0, subnets: str = '198.18.0.0/15', prefixlen: int = 24, ipv6: bool = False,
                 subnets6: str = '2001:2::/48', clock: Clock | None = None, datetime: bool = False) -> None:
        self.datetime = datetime
        self.world = new_world(VirtualClock() if clock is None else clock, seed)  # an idle clock is falsy
        self.seed = seed
        self.chance = Chance(seed)
        self.runtime = Runtime(self.world)
        self.hosts: dict[str, Host] = {}
        self.links: list[Link] = []
        self.taps: list[PcapTap] = []
        base, bits = units.network(subnets)
        if not bits <= prefixlen <= 30:
            raise ValueError(f'prefixlen {prefixlen} does not fit: subnets {subnets} and two hosts a link ask for {bits} to 30')
        self._subnet, self._subnets_end, self._prefixlen = base, base + (1 << (32 - bits)), prefixlen
        base6, bits6 = units.network6(subnets6)
        if bits6 > 64:
            raise ValueError(f'subnets6 {subnets6} has no room: a link takes a /64')
        self.ipv6 = ipv6
        self._subnet6, self._subnets6_end = base6, base6 + (1 << (128 - bits6))
        self._routed = False
        self.appointments: list[faults.Appointment] = []  # what at() and when() have still to do
        self.partitions: list[faults.Partition] = []
        self._routes: list[Callable[[], int]] = []  # each takes back a route that _route() made
        self._stall = StallTimer(self)
        patches.install()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # -- building

    def host(self, name: str, *, forward: bool = False) -> Host:
        """A new host. forward: it is a router."""
        if name in self.hosts:
            raise ValueError(f'there is a host named {name!r} already')
        net = new_net(self.world, name)
        host = Host(self, name, net, forward)
        if forward:
            forward_packets(net)
        self.hosts[name] = host
        return host

    def router(self, name: str) -> Host:
        """A host that forwards."""
        return self.host(name, forward=True)

    def link(self, a: Host | str, b: Host | str, *, subnet: str | None = None, subnet6: str | None = None, mtu: int = 1500,
             **properties: Any) -> Link:
        """Join two hosts.

        properties: rate ('100mbit'), delay ('10ms', one way), jitter, loss, duplicate, reorder, corrupt ('1 %'), the same both
        ways (see Link.set and apply). With none of them the link is a veth pair: no rate, no delay, and packets cross within the
        sender's call.
        subnet: its IPv4 network; '' for a link without IPv4 addresses. subnet6: the same of IPv6; None: one of the lab's where
        the lab has IPv6, else none.
        """
        ends = [self.hosts[h] if isinstance(h, str) else h for h in (a, b)]
        names = [f'eth{len(h.ports)}' for h in ends]
        params = None
        if properties:
            params = WireParams(), WireParams()
            for p in params:
                apply(p, properties)
            devs = wire_newlink(ends[0].net, names[0], ends[1].net, names[1], params[0], params[1])
        else:
            devs = veth_newlink(ends[0].net, names[0], ends[1].net, names[1])
        ports = [Port(host, dev) for host, dev in zip(ends, devs, strict=True)]
        for port, peer in ((ports[0], ports[1]), (ports[1], ports[0])):
            port.peer = peer
            port.host.ports.append(port)
            if mtu != 1500:
                dev_set_mtu(port.dev, mtu)
            dev_open(port.dev)
        if subnet != '':
            base, bits = units.network(subnet) if subnet else self._next_subnet()
            for i, port in enumerate(ports):
                port.host.address(port, f'{in_ntoa(base + 1 + i)}/{bits}')
        if subnet6 or (subnet6 is None and self.ipv6):
            base, bits = units.network6(subnet6) if subnet6 else self._next_subnet6()
            for i, port in enumerate(ports):
                port.host.address(port, f'{in6_ntop(base + 1 + i)}/{bits}')
        link = Link(ports[0], ports[1], params)
        self.links.append(link)
        self._routed = False
        if self.world.sched.running:  # a program builds on
            self._route()
        return link

    def _next_subnet(self) -> tuple[int, int]:
        base = self._subnet
        self._subnet += 1 << (32 - self._prefixlen)
        if self._subnet > self._subnets_end:
            raise ValueError(f'no subnet is left for link {len(self.links) + 1}: give the lab a larger prefixlen '
                             f'(it is {self._prefixlen}), or the link a subnet')
        return base, self._prefixlen

    def _next_subnet6(self) -> tuple[int, int]:
        base = self._subnet6
        self._subnet6 += 1 << 64
        if self._subnet6 > self._subnets6_end:
            raise ValueError(f'no IPv6 subnet is left for link {len(self.links) + 1}: give the lab larger subnets6, or the '
                             'link a subnet6')
        return base, 64

    def _route(self) -> None:
        """Give each host that has no routes of the user's those of shortest paths, in place of what an earlier look found."""
        self._routed = True
        for take_back in self._routes:
            take_back()  # or it went with its device
        self._routes.clear()
        for host in self.hosts.values():
            if host.static_routes:
                continue
            for net, bits, gateway in topology.routes(host):
                cfg = FibConfig()
                cfg.fc_dst, cfg.fc_dst_len, cfg.fc_gw = net, bits, gateway
                if not fib_add_route(host.net, cfg):
                    self._routes.append(partial(fib_del_route, host.net, cfg))
            for net, bits, gateway in topology.routes(host, AF_INET6):
                cfg6 = Fib6Config()
                cfg6.fc_dst, cfg6.fc_dst_len, cfg6.fc_gateway = net, bits, gateway
                if not ip6_route_add(host.net, cfg6):
                    self._routes.append(partial(ip6_route_del, host.net, cfg6))

    def reroute(self) -> None:
        """Look for the routes again: a device came up, or a host. Those that hosts were given by hand are put back, too."""
        for host in self.hosts.values():
            host.put_routes()
        if self._routed:
            self._route()

    def pcap(self, path: str | Path, *ports: Port, comments: bool = False) -> PcapTap:
        """Capture what passes the given ports (all, without any) into a pcapng file.

        comments: each packet carries the functions that sent or received it, outermost first. That needs the stack interpreted
        (LINNET_PURE=1); where it runs compiled there are none, and a RuntimeWarning says so.
        """
        devs = [p.dev for p in ports] or [p.dev for h in self.hosts.values() for p in h.ports]
        if comments and build() == 'compiled':
            warnings.warn('the stack runs compiled: the call path cannot be seen, and the capture has no comments; '
                          'run with LINNET_PURE=1', RuntimeWarning, stacklevel=2)
        tap = PcapTap(str(path), devs, comments=comments)
        self.taps.append(tap)
        return tap

    def dns(self, host: Host | str, records: Mapping[str, str | Sequence[str]] | None = None, *, ttl: int = 60) -> Program:
        """Make a host the lab's name server: it answers on port 53 for the names of all hosts, and for `records`; and every other
        host's programs ask it over the network from now on (but those of hosts with a nameserver() of their own).

        records: name -> an address, several, or another name (an alias). Without this names cost nothing: the lab knows them.
        """
        server = self.host_named(host)
        zone = dns.Zone(self.runtime.names, records or {}, ttl)
        self.runtime.names.servers.append(dns.server_at(server.addr))
        self.runtime.names.servers_of.setdefault(server.name, [])
        return server.service(dns.serve, zone, name='dns')

    def host_named(self, host: Host | str) -> Host:
        """A host of this lab, by itself or by its name. KeyError says which there are."""
        if isinstance(host, str):
            if host not in self.hosts:
                raise KeyError(f'there is no host {host!r}; there are {list(self.hosts)}')
            return self.hosts[host]
        return host

    # -- faults

    def at(self, when: float | str, action: Callable[..., object], *args: Any, **kwargs: Any) -> faults.Appointment:
        """Call action(*args, **kwargs) at a virtual time (seconds since the lab's start, or '1500ms').

        The action is a fault (server.crash, wan.down, lab.partition ...) or any function that does not wait; what it raises comes
        out of run(). What is returned has a cancel(). ValueError: that time is over.
        """
        ns = units.time_ns(when)
        if ns < int(self.world.clock.now):
            raise ValueError(f'{when!r} is over: it is {self.now:g} s')
        return self._appoint(faults.AtTime(self, ns, partial(action, *args, **kwargs)))

    def after(self, delay: float | str, action: Callable[..., object], *args: Any, **kwargs: Any) -> faults.Appointment:
        """The same, so much virtual time from now."""
        ns = int(self.world.clock.now) + units.time_ns(delay)
        return self._appoint(faults.AtTime(self, ns, partial(action, *args, **kwargs)))

    def when(self, condition: Callable[[], object] | str, action: Callable[..., object], *args: Any,
             **kwargs: Any) -> faults.Appointment:
        """Call action(*args, **kwargs) once, when a condition holds for the first time.

        condition: a function that is asked every virtual millisecond (while anything happens in the world), as
        `lambda: client.counter('TcpRetransSegs') > 2`; or the name of a tracepoint, as 'tcp:tcp_retransmit_skb': when the stack
        first passes it, at that nanosecond.
        """
        call = partial(action, *args, **kwargs)
        if isinstance(condition, str):
            return self._appoint(faults.OnTracepoint(self, condition, call))
        return self._appoint(faults.OnCondition(self, condition, call))

    def _appoint(self, appointment: A) -> A:
        self.appointments.append(appointment)
        return appointment

    def partition(self, *groups: Host | str | Iterable[Host | str], one_way: bool = False,
                  duration: float | str | None = None) -> faults.Partition:
        """Groups of hosts hear nothing of each other any more: partition(a, b), partition([a, b], [c, d]); one alone is parted
        from all others. What they forward for others goes through.

        one_way: only what the first group sends is lost. duration: then it heals; else at its heal(), at lab.heal(), or at the
        end of a with block. The packets are counted as drops (NETFILTER_DROP) where they arrive.
        """
        partition = faults.Partition(self, faults.groups_of(self, groups), one_way)
        if duration is not None:
            self.after(duration, partition.heal)
        return partition

    def heal(self) -> None:
        """End all partitions."""
        for partition in list(self.partitions):
            partition.heal()

    def reset(self, a: Host | str, b: Host | str, *, port: int | None = None, to: Host | str | None = None) -> int:
        """End the connections between two hosts as a middlebox does that has forgotten them: each end gets a RST.

        port: only those that have it at either end. to: only this host gets them; the other believes in its connections until it
        next sends. Returns how many RST were sent.
        """
        ends = (self.host_named(a), self.host_named(b))
        if to is not None and self.host_named(to) not in ends:
            raise ValueError(f'to={to!r} is neither of {ends[0].name!r} and {ends[1].name!r}')
        return sum(faults.reset_connections(here, there, port) for here, there in (ends, ends[::-1])
                   if to is None or here is self.host_named(to))

    # -- running

    @property
    def now(self) -> float:
        """Virtual seconds since the lab's start."""
        return int(self.world.clock.now) / 1e9

    def run(self, until: float | str | None = None, *, program: Program | None = None) -> float:
        """Run until every program that is no daemon has ended, or virtual time `until` (seconds or '90s'). Returns the time.

        program: until this one has ended, whatever the others do. What a program raised (spawned with check) is raised here.
        Deadlock: some program waits, and nothing can ever happen again (or for a day nothing did but that servers looked around).
        """
        self.runtime.awaited = program
        try:
            self._run(None if until is None else units.time_ns(until), None if program is None else lambda: program.done)
        finally:
            self.runtime.awaited = None
        return self.now

    def run_until(self, ended: Callable[[], bool]) -> None:
        """Run until somebody stops the scheduler, when ended() must hold; else Deadlock, as of run()."""
        self._run(None, ended)

    def _run(self, limit: int | None, ended: Callable[[], bool] | None) -> None:
        """See run(). limit: ns; ended: tells when a run that was stopped is over, where not all programs need to be done."""
        if self.world.sched.running:
            raise RuntimeError('the lab runs already, and lab.run() was called by one of its programs (a test marked linnet is '
                               'one): to wait for another program, call its wait()')
        if not self._routed:
            self._route()
        patches.sweep()
        self.chance.put()
        try:
            if limit is None and self.world.clock.virtual:
                mod_timer(self._stall, int(self.world.clock.now) + STALL_NS)
            with datetimes.travelling() if self.datetime else nullcontext():
                done = self.world.sched.run_until_done(limit) if limit is None or self._has_programs() else self._run_for(limit)
        finally:
            self.chance.take()
            self.runtime.restore()
            del_timer(self._stall)
        if not done and limit is None and not (ended is not None and ended()):
            raise Deadlock([(task, text) for task, text in self.waiting() if not task.daemon])

    def waiting(self) -> list[tuple[Task, str]]:
        """(task, what it waits for and where in the program) of every task, those of daemons last."""
        return waiting.waiting(self.runtime)

    def _has_programs(self) -> bool:
        return self.world.sched.nr_alive > 0

    def _run_for(self, limit: int) -> bool:
        self.world.sched.run(limit)
        return True

    @contextmanager
    def trace(self, *names: str) -> Iterator[list[tuple[float, str, dict[str, object]]]]:
        """Collect (virtual seconds, tracepoint, fields) while the with block runs.

        names: 'tcp:tcp_retransmit_skb', 'skb:*'; all without any.
        """
        sink = _Collector(self, names)
        self.world.trace.subscribe(sink)
        try:
            yield sink.events
        finally:
            self.world.trace.unsubscribe(sink)

    def live_objects(self) -> dict[str, int]:
        """What the slab caches count as alive: {'TCP': 2, ...}. Empty when nothing has leaked and nothing is open."""
        return self.world.slab.active()

    def close(self) -> None:
        """End all programs, let the network come to rest (TIME_WAIT runs out in virtual time), close the captures.

        Nothing is alive then: live_objects() is empty.
        """
        for appointment in list(self.appointments):
            appointment.cancel()
        self.runtime.end()
        self.world.sched.run()
        for tap in self.taps:
            tap.close()
        self.taps.clear()


def forward_packets(net: Net) -> None:
    """Make a router of a host, for both versions of IP."""
    net.ipv4.sysctl_ip_forward = 1
    addrconf_forward_change(net, 1)


def run_module(name: str) -> None:
    """python -m NAME. That the module was imported before means nothing here: programs share the interpreter."""
    warnings.filterwarnings('ignore', message='.* found in sys.modules after import', category=RuntimeWarning)
    runpy.run_module(name, run_name='__main__', alter_sys=True)


def python_command(argv: list[str]) -> tuple[Callable[[], object], list[str]]:
    """(function, sys.argv) of what follows `python` on a command line: -m MODULE ARGS, -c CODE ARGS, or FILE ARGS."""
    if not argv:
        raise ValueError('no program given; give what would follow "python": ["-m", "http.server"] or ["prog.py", "arg"]')
    if argv[0] in ('python', 'python3', sys.executable):
        argv = argv[1:]
    if argv and argv[0] == '-m' and len(argv) > 1:
        return (lambda: run_module(argv[1])), argv[1:]
    if argv and argv[0] == '-c' and len(argv) > 1:
        return (lambda: exec(compile(argv[1], '<string>', 'exec'), {'__name__': '__main__'})), ['-c', *argv[2:]]
    if not argv or argv[0].startswith('-') or not Path(argv[0]).is_file():
        raise ValueError(f'cannot run {argv!r}: give -m MODULE, -c CODE, or a Python file that exists')
    return (lambda: runpy.run_path(argv[0], run_name='__main__')), list(argv)
