# SPDX-License-Identifier: Apache-2.0
"""The calls that `linnet walk` can show, each made on a small lab: client and server joined by a veth pair.

On a veth pair a packet crosses within the sender's call and the softirqs run before that call returns, so the walk of
connect() goes up the server's stack too, as it does in a real kernel. The client's device has a queueing discipline, as a
network card has.
"""
from __future__ import annotations

import struct
from collections.abc import Callable

from linnet.include.linux.inet import IPPROTO_ICMP, in_aton
from linnet.include.linux.netfilter import NF_ACCEPT, NF_INET_LOCAL_OUT, NFPROTO_IPV4, NfHookOps, NfHookState
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import AF_INET, SHUT_WR, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, Sockaddr
from linnet.include.net.net_namespace import Net
from linnet.kernel.sched import sleep_ns
from linnet.kernel.trace import TraceSink
from linnet.lab import Host, Lab
from linnet.net import socket as sys
from linnet.net.netfilter.core import nf_register_net_hook
from linnet.net.sched.sch_api import qdisc_create
from linnet.program.runtime import current_program
from linnet.walk.recorder import Recorder

PORT = 7000


class Conditions:
    """What a scene can be asked to meet, so that a conditional row of the reference is entered."""

    def __init__(self, *, hook: bool = False, cold_neighbour: bool = False, backlog: bool = False, tiny_mtu: bool = False,
                 no_route: bool = False) -> None:
        self.hook = hook  # a netfilter hook is registered at LOCAL_OUT
        self.cold_neighbour = cold_neighbour  # the server's hardware address is not known yet
        self.backlog = backlog  # the qdisc cannot be passed by
        self.tiny_mtu = tiny_mtu  # the SYN does not fit and may be fragmented
        self.no_route = no_route  # the socket's route is no longer valid when the SYN leaves


class _Accept(NfHookOps):
    """A hook that lets everything pass."""

    def hook(self, skb: SkBuff, state: NfHookState) -> int:
        """NF_ACCEPT."""
        return NF_ACCEPT


class _InvalidateRoutes(TraceSink):
    """Invalidates all cached routes when the SYN's memory is allocated: between the route's look-up and its use."""

    def __init__(self, net: Net) -> None:
        self.net = net

    def event(self, name: str, fields: dict[str, object]) -> None:
        """Move the routing generation on."""
        if name == 'kmem:kmem_cache_alloc' and fields.get('name') == 'skbuff_head_cache':
            self.net.ipv4.rt_genid += 1


class Stage:
    """The lab of a scene, and what its client does."""

    def __init__(self, recorder: Recorder, conditions: Conditions) -> None:
        self.recorder = recorder
        self.conditions = conditions
        self.lab = Lab(seed=1)
        self.lab.world.trace.subscribe(TraceSink())  # tracepoints are passed only where somebody listens
        self.client: Host = self.lab.host('client')
        self.server: Host = self.lab.host('server')
        link = self.lab.link(self.client, self.server, subnet='10.0.0.0/24')
        qdisc_create(link.a.dev, 'pfifo' if conditions.backlog else 'pfifo_fast', {})
        if conditions.hook:
            nf_register_net_hook(self.client.net, _Accept(NFPROTO_IPV4, NF_INET_LOCAL_OUT))

    def serve(self) -> None:
        """Listen, accept, keep what comes."""
        me = current_program()
        fd = sys.sys_socket(me, AF_INET, SOCK_STREAM, 0)
        sys.sys_bind(me, fd, Sockaddr(AF_INET, 0, PORT))
        sys.sys_listen(me, fd, 5)
        while True:
            child, _ = sys.sys_accept4(me, fd, 0)
            self.server.spawn(lambda child=child: None, daemon=True)

    def run(self, act: Callable[[Stage], None]) -> Recorder:
        """Start the server, then let the client act."""
        self.server.spawn(self.serve, daemon=True)
        self.client.spawn(lambda: act(self))
        try:
            self.lab.run(until=600)
        finally:
            self.lab.close()
        return self.recorder

    # -- steps of a client

    def target(self) -> Sockaddr:
        """Where the server listens."""
        return Sockaddr(AF_INET, in_aton(self.server.addr), PORT)

    def pause(self) -> None:
        """Let the network come to rest."""
        sleep_ns(self.lab.world.sched, 100_000_000)

    def connected(self, warm: bool = True) -> int:
        """A connected socket; with `warm`, made after an earlier connection taught both sides each other's address."""
        me = current_program()
        self.pause()
        fd = sys.sys_socket(me, AF_INET, SOCK_STREAM, 0)
        sys.sys_connect(me, fd, self.target())
        self.pause()
        return fd


def _socket(stage: Stage) -> None:
    with stage.recorder.recording():
        sys.sys_socket(current_program(), AF_INET, SOCK_STREAM, 0)


def _connect(stage: Stage) -> None:
    me = current_program()
    stage.pause()
    if not stage.conditions.cold_neighbour:
        stage.connected()
    fd = sys.sys_socket(me, AF_INET, SOCK_STREAM, 0)
    if stage.conditions.tiny_mtu:
        sys.sys_setsockopt(me, fd, 0, 10, struct.pack('i', 0))  # IP_MTU_DISCOVER = IP_PMTUDISC_DONT
        sys.sys_setsockopt(me, fd, 0, 4, bytes([1] * 40))  # IP_OPTIONS: forty no-operations make a SYN of 100 bytes
        stage.client.ports[0].dev.mtu = 68
        stage.client.net.ipv4.rt_genid += 1
    if stage.conditions.no_route:
        stage.lab.world.trace.subscribe(_InvalidateRoutes(stage.client.net))
    with stage.recorder.recording():
        sys.sys_connect(me, fd, stage.target())
    stage.pause()


def _bind(stage: Stage) -> None:
    me = current_program()
    fd = sys.sys_socket(me, AF_INET, SOCK_STREAM, 0)
    with stage.recorder.recording():
        sys.sys_bind(me, fd, Sockaddr(AF_INET, 0, 7777))


def _listen(stage: Stage) -> None:
    me = current_program()
    fd = sys.sys_socket(me, AF_INET, SOCK_STREAM, 0)
    sys.sys_bind(me, fd, Sockaddr(AF_INET, 0, 7777))
    with stage.recorder.recording():
        sys.sys_listen(me, fd, 5)


def _accept(stage: Stage) -> None:
    me = current_program()
    fd = sys.sys_socket(me, AF_INET, SOCK_STREAM, 0)
    sys.sys_bind(me, fd, Sockaddr(AF_INET, 0, 7777))
    sys.sys_listen(me, fd, 5)

    def peer() -> None:
        you = current_program()
        other = sys.sys_socket(you, AF_INET, SOCK_STREAM, 0)
        sys.sys_connect(you, other, Sockaddr(AF_INET, in_aton(stage.client.addr), 7777))
        sleep_ns(stage.lab.world.sched, 10**9)
    stage.server.spawn(peer, daemon=True)
    stage.pause()
    with stage.recorder.recording():
        sys.sys_accept4(me, fd, 0)


def _send(stage: Stage) -> None:
    fd = stage.connected()
    with stage.recorder.recording():
        sys.sys_sendto(current_program(), fd, b'x' * 100, 0, None)
    stage.pause()


def _recv(stage: Stage) -> None:
    me = current_program()
    stage.pause()
    fd = sys.sys_socket(me, AF_INET, SOCK_STREAM, 0)
    sys.sys_bind(me, fd, Sockaddr(AF_INET, 0, 7777))
    sys.sys_listen(me, fd, 5)

    def peer() -> None:
        you = current_program()
        other = sys.sys_socket(you, AF_INET, SOCK_STREAM, 0)
        sys.sys_connect(you, other, Sockaddr(AF_INET, in_aton(stage.client.addr), 7777))
        sys.sys_sendto(you, other, b'x' * 100, 0, None)
        sleep_ns(stage.lab.world.sched, 10**9)
    stage.server.spawn(peer, daemon=True)
    child, _ = sys.sys_accept4(me, fd, 0)
    stage.pause()
    with stage.recorder.recording():
        sys.sys_recvfrom(me, child, 100, 0)


def _shutdown(stage: Stage) -> None:
    fd = stage.connected()
    with stage.recorder.recording():
        sys.sys_shutdown(current_program(), fd, SHUT_WR)
    stage.pause()


def _close(stage: Stage) -> None:
    me = current_program()
    fd = stage.connected()
    sys.sys_shutdown(me, fd, SHUT_WR)
    stage.pause()
    with stage.recorder.recording():
        sys.sys_close(me, fd)


def _ping(stage: Stage) -> None:
    me = current_program()
    fd = sys.sys_socket(me, AF_INET, SOCK_RAW, IPPROTO_ICMP)
    to = Sockaddr(AF_INET, in_aton(stage.server.addr), 0)
    if not stage.conditions.cold_neighbour:
        stage.connected()
    body = struct.pack('!HH', 0x1234, 1) + b'linnet' * 9
    head = struct.pack('!BBH', 8, 0, 0) + body
    total = sum(struct.unpack(f'!{len(head) // 2}H', head))
    total = (total >> 16) + (total & 0xFFFF)
    echo = struct.pack('!BBH', 8, 0, 0xFFFF - (total & 0xFFFF) - (total >> 16)) + body
    with stage.recorder.recording():
        sys.sys_sendto(me, fd, echo, 0, to)
        sys.sys_recvfrom(me, fd, 2048, 0)


def _udp_sendto_fragmented(stage: Stage) -> None:
    me = current_program()
    stage.connected()
    fd = sys.sys_socket(me, AF_INET, SOCK_DGRAM, 0)
    with stage.recorder.recording():
        sys.sys_sendto(me, fd, b'y' * 4000, 0, Sockaddr(AF_INET, in_aton(stage.server.addr), 7001))
    stage.pause()


SCENES: dict[str, Callable[[Stage], None]] = {
    'socket': _socket, 'connect': _connect, 'bind': _bind, 'listen': _listen, 'accept': _accept, 'send': _send, 'recv': _recv,
    'shutdown': _shutdown, 'close': _close, 'ping': _ping, 'udp-sendto-fragmented': _udp_sendto_fragmented,
}


def walk(call: str, conditions: Conditions | None = None) -> Recorder:
    """Make one call on a small lab and record it. KeyError names the calls there are."""
    if call not in SCENES:
        raise KeyError(f'no walk of {call!r}; there are {", ".join(SCENES)}')
    return Stage(Recorder(), conditions or Conditions()).run(SCENES[call])
