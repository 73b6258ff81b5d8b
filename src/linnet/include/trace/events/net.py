# SPDX-License-Identifier: Apache-2.0
"""Tracepoints of group net, named as in Linux's include/trace/events/net.h; each stands where Linux has it.

Free when nobody listens: one call and one flag. The walk of an interpreted run sees these functions entered.
"""
from __future__ import annotations

from linnet.include.linux.skbuff import SkBuff


def trace_net_dev_queue(skb: SkBuff) -> None:
    """A packet enters the device layer."""
    t = skb.world.trace
    if t.enabled:
        t.emit('net:net_dev_queue', {'dev': '' if skb.dev is None else skb.dev.name, 'len': int(skb.len)})


def trace_net_dev_start_xmit(skb: SkBuff) -> None:
    """A packet is about to be handed to the driver."""
    t = skb.world.trace
    if t.enabled:
        t.emit('net:net_dev_start_xmit', {'dev': '' if skb.dev is None else skb.dev.name, 'len': int(skb.len)})


def trace_net_dev_xmit(skb: SkBuff, rc: int) -> None:
    """The driver answered: rc is NETDEV_TX_*."""
    t = skb.world.trace
    if t.enabled:
        t.emit('net:net_dev_xmit', {'dev': '' if skb.dev is None else skb.dev.name, 'len': int(skb.len), 'rc': rc})


def trace_netif_receive_skb(skb: SkBuff) -> None:
    """A packet comes up from a device."""
    t = skb.world.trace
    if t.enabled:
        t.emit('net:netif_receive_skb', {'dev': '' if skb.dev is None else skb.dev.name, 'len': int(skb.len)})


def trace_netif_rx(skb: SkBuff) -> None:
    """A packet is put on the backlog."""
    t = skb.world.trace
    if t.enabled:
        t.emit('net:netif_rx', {'dev': '' if skb.dev is None else skb.dev.name, 'len': int(skb.len)})


def trace_netif_rx_entry(skb: SkBuff) -> None:
    """netif_rx begins."""
    t = skb.world.trace
    if t.enabled:
        t.emit('net:netif_rx_entry', {'dev': '' if skb.dev is None else skb.dev.name, 'len': int(skb.len)})


def trace_netif_rx_exit(skb: SkBuff, ret: int) -> None:
    """netif_rx ends with NET_RX_*; skb may be another's by now, so only its world is used."""
    t = skb.world.trace
    if t.enabled:
        t.emit('net:netif_rx_exit', {'ret': ret})
