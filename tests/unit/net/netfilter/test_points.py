# SPDX-License-Identifier: Apache-2.0
"""The five hook points on the way of real packets: who passes which, and what a program sees of a drop."""
from __future__ import annotations

import pytest

from helpers.hosts import Pair, fails
from linnet.include.linux.netfilter import (
    NF_ACCEPT,
    NF_DROP,
    NF_INET_FORWARD,
    NF_INET_LOCAL_IN,
    NF_INET_LOCAL_OUT,
    NF_INET_POST_ROUTING,
    NF_INET_PRE_ROUTING,
    NfHookState,
)
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dropreason import SKB_DROP_REASON_NETFILTER_DROP
from linnet.net.netfilter.core import PythonHook, nf_register_net_hook

POINTS = {
    NF_INET_PRE_ROUTING: 'pre', NF_INET_LOCAL_IN: 'in', NF_INET_FORWARD: 'forward', NF_INET_LOCAL_OUT: 'out',
    NF_INET_POST_ROUTING: 'post',
}


def watch(pair: Pair) -> list[str]:
    """Every point passed from now on, as 'host point in>out'."""
    seen: list[str] = []

    def note(skb: SkBuff, state: NfHookState) -> int:
        devs = f'{state.indev.name if state.indev else ""}>{state.outdev.name if state.outdev else ""}'
        seen.append(f'{state.net.name} {POINTS[int(state.hook)]} {devs}')
        return NF_ACCEPT

    for net in (pair.net_a, pair.net_b):
        for point in POINTS:
            nf_register_net_hook(net, PythonHook(note, point))
    return seen


def test_a_datagram_passes_out_and_in() -> None:
    pair = Pair()
    fd_a, fd_b = pair.a.udp(), pair.b.udp(53)
    seen = watch(pair)
    pair.run(lambda: pair.a.sendto(fd_a, b'x', '10.0.0.2', 53), lambda: pair.b.recvfrom(fd_b), until=10**9)
    assert seen == ['a out >eth0', 'a post >eth0', 'b pre eth0>', 'b in eth0>']


def test_over_lo_all_but_forward() -> None:
    pair = Pair()
    fd, server = pair.a.udp(), pair.a.udp(53)
    seen = watch(pair)
    pair.run(lambda: pair.a.sendto(fd, b'x', '10.0.0.1', 53), lambda: pair.a.recvfrom(server), until=10**9)
    assert seen == ['a out >lo', 'a post >lo', 'a pre lo>', 'a in lo>']


@pytest.mark.parametrize('point', [NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING])
def test_a_sender_hears_of_its_own_hosts_drop(point: int) -> None:
    pair = Pair()
    fd = pair.a.udp()
    nf_register_net_hook(pair.net_a, PythonHook(lambda skb, state: NF_DROP, point))

    def send() -> None:
        with fails('EPERM'):
            pair.a.sendto(fd, b'x', '10.0.0.2', 53)

    pair.run(send, until=10**9)
    assert pair.net_a.mib.drops == {SKB_DROP_REASON_NETFILTER_DROP: 1}
    pair.a.close(fd)
    assert pair.leftovers() == {}


@pytest.mark.parametrize('point', [NF_INET_PRE_ROUTING, NF_INET_LOCAL_IN])
def test_a_sender_does_not_hear_of_the_others_drop(point: int) -> None:
    pair = Pair()
    fd = pair.a.udp()
    nf_register_net_hook(pair.net_b, PythonHook(lambda skb, state: NF_DROP, point))
    assert pair.run(lambda: pair.a.sendto(fd, b'x', '10.0.0.2', 53), until=10**9) == [1]
    assert pair.net_b.mib.drops == {SKB_DROP_REASON_NETFILTER_DROP: 1}
    pair.a.close(fd)
    assert pair.leftovers() == {}


def test_a_firewall_that_lets_the_third_syn_pass() -> None:
    """connect(2) takes three SYNs, a second apart: the first four time-outs are linear (net.ipv4.tcp_syn_linear_timeouts)."""
    pair = Pair()
    listener = pair.b.server(80)
    syns: list[int] = []

    def gate(skb: SkBuff, state: NfHookState) -> int:
        syns.append(int(state.net.clock.now))
        return NF_DROP if len(syns) < 3 else NF_ACCEPT

    nf_register_net_hook(pair.net_b, PythonHook(gate, NF_INET_LOCAL_IN))
    fd = pair.run(lambda: pair.a.client('10.0.0.2', 80), until=10 * 10**9)[0]
    assert isinstance(fd, int)
    assert [round(t / 1e9, 2) for t in syns[:3]] == [0, 1, 2]
    pair.a.close(fd)
    pair.b.close(listener)
