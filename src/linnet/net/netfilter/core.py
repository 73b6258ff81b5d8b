# SPDX-License-Identifier: Apache-2.0
"""Netfilter: registering hooks, and asking them.

A point without hooks costs one comparison (include/linux/netfilter.py). With hooks, nf_hook_slow asks them in order of priority
until one drops or takes the packet. A hook is an NfHookOps of your own, or PythonHook around any function.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mypy_extensions import i64

from linnet.include.linux.netfilter import (
    NF_ACCEPT,
    NF_DROP,
    NF_INET_NUMHOOKS,
    NF_REPEAT,
    NF_STOLEN,
    NF_STOP,
    NFPROTO_IPV4,
    NfHookOps,
    NfHooks,
    NfHookState,
)
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dropreason import SKB_DROP_REASON_NETFILTER_DROP
from linnet.include.net.net_namespace import Net
from linnet.kernel.errno import EPERM
from linnet.net.core.skbuff import kfree_skb_reason

PF_MAX: Final = 10  # families whose points have a bit in NfHooks.active


class NetfilterHooks(NfHooks):
    """The Net's hooks, asked by nf_hook_slow."""

    def hook_slow(self, skb: SkBuff, state: NfHookState, thresh: i64) -> i64:
        """See nf_hook_slow."""
        return nf_hook_slow(skb, state, thresh)


def netfilter_net_init(net: Net) -> None:
    """A new Net has no hooks.  Linux: net/netfilter/core.c."""
    net.nf = NetfilterHooks()


def _key(pf: i64, hooknum: i64) -> int:
    return int(pf * NF_INET_NUMHOOKS + hooknum)


def nf_register_net_hook(net: Net, ops: NfHookOps) -> None:
    """Add a hook to its point, behind those of the same priority. ValueError: there is no such point.

    Linux: net/netfilter/core.c.
    """
    if not 0 <= ops.hooknum < NF_INET_NUMHOOKS or not 0 <= ops.pf <= PF_MAX:
        raise ValueError(f'no hook point {ops.hooknum} of family {ops.pf}: points are 0 to {NF_INET_NUMHOOKS - 1}, '
                         f'families 0 to {PF_MAX}')
    key = _key(ops.pf, ops.hooknum)
    hooks = net.nf.hooks.setdefault(key, [])
    at = len(hooks)
    while at > 0 and hooks[at - 1].priority > ops.priority:
        at -= 1
    net.nf.hooks[key] = [*hooks[:at], ops, *hooks[at:]]
    net.nf.active |= 1 << key


def nf_unregister_net_hook(net: Net, ops: NfHookOps) -> None:
    """Remove a hook; one that is not registered is no error.  Linux: net/netfilter/core.c."""
    key = _key(ops.pf, ops.hooknum)
    left = [hook for hook in net.nf.hooks.get(key, []) if hook is not ops]
    net.nf.hooks[key] = left
    if not left:
        net.nf.active &= ~(1 << key)


def nf_hook_slow(skb: SkBuff, state: NfHookState, thresh: i64) -> i64:
    """Ask the hooks of a point: 1 to go on, 0 where one took skb, a negative errno where one dropped it.

    A hook that drops may name the errno in the upper bits (NF_DROP | errno << 16), else it is EPERM. There is no queue to user
    space: NF_QUEUE drops.
    Linux: net/netfilter/core.c.
    """
    verdict = nf_iterate(skb, state, thresh)
    if verdict == NF_ACCEPT or verdict == NF_STOP:
        return 1
    if verdict == NF_STOLEN:
        return 0
    kfree_skb_reason(skb, SKB_DROP_REASON_NETFILTER_DROP)
    err = verdict >> 16 if (verdict & 0xFFFF) == NF_DROP else 0
    return -err if err > 0 else -EPERM


def nf_iterate(skb: SkBuff, state: NfHookState, thresh: i64) -> i64:
    """The first verdict that is not NF_ACCEPT, in order of priority.  Linux: net/netfilter/core.c."""
    for ops in state.net.nf.hooks.get(_key(state.pf, state.hook), []):
        if ops.priority < thresh:
            continue
        verdict = ops.hook(skb, state)
        while verdict == NF_REPEAT:
            verdict = ops.hook(skb, state)
        if verdict != NF_ACCEPT:
            return verdict
    return NF_ACCEPT


class PythonHook(NfHookOps):
    """A plain function as a hook: fn(skb, state) gives a verdict, None for NF_ACCEPT."""

    def __init__(self, fn: Callable[[SkBuff, NfHookState], int | None], hooknum: int, priority: int = 0,
                 pf: int = NFPROTO_IPV4) -> None:
        super().__init__(pf, hooknum, priority)
        self.fn: Callable[[SkBuff, NfHookState], int | None] = fn

    def hook(self, skb: SkBuff, state: NfHookState) -> i64:
        """Ask the function."""
        verdict = self.fn(skb, state)
        return NF_ACCEPT if verdict is None else verdict
