# SPDX-License-Identifier: Apache-2.0
"""Netfilter's hooks: five points on IPv4's way, each a list of functions in order of priority, each giving a verdict.

A hook of your own: subclass NfHookOps and override hook, or hand a Python function to the lab; register it with
nf_register_net_hook (net/netfilter/core.py). Where no hook is registered for a point, a packet passes at the price of one
comparison.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from linnet.include.linux.skbuff import SkBuff

if TYPE_CHECKING:
    from linnet.include.linux.netdevice import NetDevice
    from linnet.include.net.net_namespace import Net
    from linnet.include.net.sock import Sock

NF_INET_PRE_ROUTING: Final = 0
NF_INET_LOCAL_IN: Final = 1
NF_INET_FORWARD: Final = 2
NF_INET_LOCAL_OUT: Final = 3
NF_INET_POST_ROUTING: Final = 4
NF_INET_NUMHOOKS: Final = 5

NFPROTO_IPV4: Final = 2
NFPROTO_ARP: Final = 3
NFPROTO_IPV6: Final = 10
NFPROTO_NUMPROTO: Final = 13

NF_DROP: Final = 0
NF_ACCEPT: Final = 1
NF_STOLEN: Final = 2
NF_QUEUE: Final = 3
NF_REPEAT: Final = 4
NF_STOP: Final = 5

NF_IP_PRI_FIRST: Final = -(1 << 31)
NF_IP_PRI_CONNTRACK_DEFRAG: Final = -400
NF_IP_PRI_RAW: Final = -300
NF_IP_PRI_CONNTRACK: Final = -200
NF_IP_PRI_MANGLE: Final = -150
NF_IP_PRI_NAT_DST: Final = -100
NF_IP_PRI_FILTER: Final = 0
NF_IP_PRI_SECURITY: Final = 50
NF_IP_PRI_NAT_SRC: Final = 100
NF_IP_PRI_LAST: Final = (1 << 31) - 1

NF_ARP_IN: Final = 0
NF_ARP_OUT: Final = 1


class NfOkfn:
    """Where a packet goes on when every hook let it pass (Linux: the okfn argument)."""

    def okfn(self, sk: Sock | None, skb: SkBuff) -> i64:
        """Take skb and own it."""
        raise AssertionError('the continuation of a hook point')


class NfHookState:
    """What a hook may want to know (Linux: struct nf_hook_state): the point, the devices (None where there is none), socket."""

    def __init__(self, pf: i64, hook: i64, indev: NetDevice | None, outdev: NetDevice | None, sk: Sock | None,
                 net: Net) -> None:
        self.pf: i64 = pf
        self.hook: i64 = hook
        self.indev: NetDevice | None = indev
        self.outdev: NetDevice | None = outdev
        self.sk: Sock | None = sk
        self.net: Net = net


@mypyc_attr(allow_interpreted_subclasses=True)
class NfHookOps:
    """One hook (Linux: struct nf_hook_ops): protocol family, point, priority (lower runs first)."""

    def __init__(self, pf: int, hooknum: int, priority: int = NF_IP_PRI_FILTER) -> None:
        self.pf: int = pf
        self.hooknum: int = hooknum
        self.priority: int = priority

    def hook(self, skb: SkBuff, state: NfHookState) -> i64:
        """A verdict, NF_*. data of skb is at the network header. With NF_STOLEN the hook owns skb."""
        raise AssertionError('a hook gives a verdict')


class NfHooks:
    """The Net's table of hooks. `count[pf << 3 | hook]` is what nf_hook_thresh looks at; hook_slow is netfilter/core.py's."""

    def __init__(self) -> None:
        self.hooks: dict[int, list[NfHookOps]] = {}
        self.active: i64 = 0  # bit pf * 5 + hook for pf <= 10

    def hook_slow(self, skb: SkBuff, state: NfHookState, thresh: i64) -> i64:
        """1: every hook accepted; 0: taken by one; negative errno: dropped."""
        raise AssertionError('set by net/netfilter/core.py')


def nf_hook_thresh(pf: i64, hook: i64, net: Net, sk: Sock | None, skb: SkBuff, indev: NetDevice | None,
                   outdev: NetDevice | None, thresh: i64) -> i64:
    """Run the hooks of priority thresh and later.

    Returns 1 where the caller goes on with its okfn, 0 where a hook took skb, a negative errno where skb was dropped and freed.

    Linux: include/linux/netfilter.h.
    """
    if ((net.nf.active >> (pf * NF_INET_NUMHOOKS + hook)) & 1) == 0:  # `1 <<` by a variable is 32 bits wide when compiled
        return 1
    return net.nf.hook_slow(skb, NfHookState(pf, hook, indev, outdev, sk, net), thresh)


def nf_hook(pf: i64, hook: i64, net: Net, sk: Sock | None, skb: SkBuff, indev: NetDevice | None,
            outdev: NetDevice | None) -> i64:
    """Run all hooks of a point; returns as nf_hook_thresh.  Linux: include/linux/netfilter.h."""
    return nf_hook_thresh(pf, hook, net, sk, skb, indev, outdev, NF_IP_PRI_FIRST)


def NF_HOOK(pf: i64, hook: i64, net: Net, sk: Sock | None, skb: SkBuff, indev: NetDevice | None,
            outdev: NetDevice | None, okfn: NfOkfn) -> i64:
    """Run the hooks, and go on with okfn where they accept.  Linux: include/linux/netfilter.h."""
    ret = nf_hook(pf, hook, net, sk, skb, indev, outdev)
    if ret == 1:
        return okfn.okfn(sk, skb)
    return ret
