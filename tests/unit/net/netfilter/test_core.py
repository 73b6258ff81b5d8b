# SPDX-License-Identifier: Apache-2.0
"""Netfilter's hook points: order, verdicts, and what becomes of the packet."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers.devices import bare_net, bare_world
from linnet.include.linux.netfilter import (
    NF_ACCEPT,
    NF_DROP,
    NF_INET_FORWARD,
    NF_INET_LOCAL_OUT,
    NF_QUEUE,
    NF_REPEAT,
    NF_STOLEN,
    NF_STOP,
    NFPROTO_IPV4,
    NfHookOps,
    NfHookState,
    nf_hook,
    nf_hook_thresh,
)
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dropreason import SKB_DROP_REASON_NETFILTER_DROP
from linnet.include.net.net_namespace import Net, World
from linnet.include.net.sock import Sock
from linnet.kernel.errno import EHOSTUNREACH, EPERM
from linnet.net.core.skbuff import alloc_skb, consume_skb
from linnet.net.netfilter.core import PythonHook, nf_register_net_hook, nf_unregister_net_hook


@pytest.fixture
def world() -> Iterator[World]:
    w = bare_world()
    yield w
    assert w.slab.active() == {}


@pytest.fixture
def net(world: World) -> Net:
    return bare_net(world)


class Say(NfHookOps):
    """Notes that it was asked, and answers with what it was told, the last answer over and over."""

    def __init__(self, log: list[str], name: str, *verdicts: int, priority: int = 0, hooknum: int = NF_INET_LOCAL_OUT) -> None:
        super().__init__(NFPROTO_IPV4, hooknum, priority)
        self.log, self.name, self.verdicts = log, name, list(verdicts or (NF_ACCEPT,))

    def hook(self, skb: SkBuff, state: NfHookState) -> int:
        self.log.append(self.name)
        verdict = self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]
        if verdict == NF_STOLEN:
            consume_skb(skb)
        return verdict


def ask(net: Net, hook: int = NF_INET_LOCAL_OUT) -> int:
    """The hook point's answer; the packet is freed where it is still ours."""
    skb = alloc_skb(net.world, 10)
    ret = nf_hook(NFPROTO_IPV4, hook, net, None, skb, None, None)
    if ret == 1:
        consume_skb(skb)
    return int(ret)


def test_without_hooks_a_packet_passes(net: Net) -> None:
    assert ask(net) == 1


def test_priority_and_then_order_of_registration(net: Net) -> None:
    log: list[str] = []
    for hook in (Say(log, 'late', priority=100), Say(log, 'a'), Say(log, 'b'), Say(log, 'early', priority=-400)):
        nf_register_net_hook(net, hook)
    assert ask(net) == 1
    assert log == ['early', 'a', 'b', 'late']
    assert ask(net, NF_INET_FORWARD) == 1
    assert len(log) == 4


@pytest.mark.parametrize(('verdict', 'ret', 'asked'), [
    (NF_ACCEPT, 1, ['x', 'y']), (NF_DROP, -EPERM, ['x']), (NF_STOLEN, 0, ['x']), (NF_STOP, 1, ['x']),
    (NF_QUEUE, -EPERM, ['x']), (NF_DROP | EHOSTUNREACH << 16, -EHOSTUNREACH, ['x']),
])
def test_verdicts(net: Net, verdict: int, ret: int, asked: list[str]) -> None:
    log: list[str] = []
    nf_register_net_hook(net, Say(log, 'x', verdict))
    nf_register_net_hook(net, Say(log, 'y'))
    assert ask(net) == ret
    assert log == asked


def test_repeat_asks_the_same_hook_again(net: Net) -> None:
    log: list[str] = []
    nf_register_net_hook(net, Say(log, 'x', NF_REPEAT, NF_REPEAT, NF_ACCEPT))
    nf_register_net_hook(net, Say(log, 'y'))
    assert ask(net) == 1
    assert log == ['x', 'x', 'x', 'y']


def test_a_drop_is_counted_by_its_reason(net: Net) -> None:
    nf_register_net_hook(net, Say([], 'x', NF_DROP))

    class Dev:
        pass

    skb = alloc_skb(net.world, 1)
    skb.sk = Sock.__new__(Sock)
    skb.sk.sk_net = net
    assert nf_hook(NFPROTO_IPV4, NF_INET_LOCAL_OUT, net, None, skb, None, None) == -EPERM
    assert net.mib.drops == {SKB_DROP_REASON_NETFILTER_DROP: 1}


def test_unregistering_clears_the_way(net: Net) -> None:
    log: list[str] = []
    hook, other = Say(log, 'x', NF_DROP), Say(log, 'y')
    nf_register_net_hook(net, hook)
    nf_register_net_hook(net, other)
    nf_unregister_net_hook(net, hook)
    nf_unregister_net_hook(net, hook)
    assert ask(net) == 1
    assert log == ['y']
    nf_unregister_net_hook(net, other)
    assert net.nf.active == 0
    assert ask(net) == 1
    assert log == ['y']


def test_a_hook_that_unregisters_itself_while_it_is_asked(net: Net) -> None:
    log: list[str] = []

    class Once(Say):
        def hook(self, skb: SkBuff, state: NfHookState) -> int:
            nf_unregister_net_hook(state.net, self)
            return super().hook(skb, state)

    nf_register_net_hook(net, Once(log, 'once'))
    nf_register_net_hook(net, Say(log, 'y'))
    assert ask(net) == 1
    assert ask(net) == 1
    assert log == ['once', 'y', 'y']


def test_a_threshold_skips_earlier_hooks(net: Net) -> None:
    log: list[str] = []
    for priority in (-10, 0, 10):
        nf_register_net_hook(net, Say(log, str(priority), priority=priority))
    skb = alloc_skb(net.world, 1)
    assert nf_hook_thresh(NFPROTO_IPV4, NF_INET_LOCAL_OUT, net, None, skb, None, None, 0) == 1
    consume_skb(skb)
    assert log == ['0', '10']


def test_python_functions_as_hooks(net: Net) -> None:
    states: list[NfHookState] = []
    nf_register_net_hook(net, PythonHook(lambda skb, state: states.append(state), NF_INET_LOCAL_OUT))
    assert ask(net) == 1
    nf_register_net_hook(net, PythonHook(lambda skb, state: NF_DROP, NF_INET_LOCAL_OUT))
    assert ask(net) == -EPERM
    assert states[0].net is net
    assert states[0].hook == NF_INET_LOCAL_OUT


def test_points_that_do_not_exist(net: Net) -> None:
    with pytest.raises(ValueError, match='hook point 5'):
        nf_register_net_hook(net, NfHookOps(NFPROTO_IPV4, 5))
    with pytest.raises(ValueError, match='family 11'):
        nf_register_net_hook(net, NfHookOps(11, 0))
