# SPDX-License-Identifier: Apache-2.0
"""Receive offload in software: segments that a driver receives in a row go up the stack as one.

A driver's poll calls napi_gro_receive for each packet; packets that may be continued are held on napi.gro_list (8 at the
most) until one ends the burst, or until the driver has no more packets and calls napi_gro_flush before napi_complete. Which
packets belong together the protocols decide (net.offload_base): they set gro_same_flow where they merged a packet, gro_flush
where it must not be held, and gso_size to the payload of one that may be. The payload of a merged packet is appended by
reference; a held packet that nobody continued goes up just as it came.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.netdevice import NETIF_F_GRO, NapiStruct
from linnet.include.linux.skbuff import SkBuff, skb_is_gso, skb_reset_network_header
from linnet.net.core.dev import netif_receive_skb
from linnet.net.core.skbuff import consume_skb, skb_take_frags

MAX_GRO_SKBS: Final = 8
GRO_MAX_SIZE: Final = 65535  # bytes of a merged packet from the network header on

GRO_MERGED: Final = 0
GRO_HELD: Final = 1
GRO_NORMAL: Final = 2


def napi_gro_receive(napi: NapiStruct, skb: SkBuff) -> i64:
    """Receive skb (data at the network header, protocol set), merged if possible. Returns GRO_*.  Linux: net/core/gro.c."""
    ret = dev_gro_receive(napi, skb)
    if ret == GRO_NORMAL:
        netif_receive_skb(skb)
    elif ret == GRO_MERGED:
        consume_skb(skb)
    return ret


def dev_gro_receive(napi: NapiStruct, skb: SkBuff) -> i64:
    """Merge skb into a held packet, hold it, or neither. The caller deals with skb by the answer.  Linux: net/core/gro.c."""
    dev = skb.dev
    assert dev is not None
    if (dev.features & NETIF_F_GRO) == 0 or skb_is_gso(skb) or skb.frag_list is not None:
        return GRO_NORMAL
    ptype = dev.net.offload_base.get(int(skb.protocol))
    if ptype is None:
        return GRO_NORMAL
    skb_reset_network_header(skb)
    skb.mac_len = skb.network_header - skb.mac_header
    skb.gro_same_flow = False
    skb.gro_flush = False
    skb.gro_count = 1
    gro_list_prepare(napi, skb)
    held = ptype.gro_receive(napi.gro_list, skb)
    if held is not None:
        napi.gro_list.remove(held)
        napi_gro_complete(napi, held)
    if skb.gro_same_flow:
        return GRO_MERGED
    if skb.gro_flush:
        skb.gso_size = 0
        return GRO_NORMAL
    if len(napi.gro_list) >= MAX_GRO_SKBS:
        napi_gro_complete(napi, napi.gro_list.pop(0))
    napi.gro_list.append(skb)
    return GRO_HELD


def gro_list_prepare(napi: NapiStruct, skb: SkBuff) -> None:
    """Mark the held packets that came through the same device between the same stations.  Linux: net/core/gro.c."""
    mac = skb.head[skb.mac_header:skb.network_header]
    for held in napi.gro_list:
        held.gro_flush = False
        held.gro_same_flow = (
            held.dev is skb.dev and held.protocol == skb.protocol and held.head[held.mac_header:held.network_header] == mac
        )


def skb_gro_receive(held: SkBuff, skb: SkBuff, offset: i64) -> bool:
    """Append skb's bytes from `offset` (counted from data) to the held packet; False where that would grow too large.

    Linux: net/core/gro.c. skb is then an empty shell that the caller's caller frees; what it cost in memory moves along.
    """
    size = skb.len - offset
    if held.len + size > GRO_MAX_SIZE:
        return False
    held.frags.extend(skb_take_frags(skb, offset, size))
    held.len += size
    held.data_len += size
    held.truesize += skb.truesize
    held.gro_count += 1
    skb.gro_same_flow = True
    return True


def napi_gro_complete(napi: NapiStruct, skb: SkBuff) -> None:
    """Hand a held packet up, its headers finished if it was merged.  Linux: net/core/gro.c."""
    dev = skb.dev
    assert dev is not None
    if skb.gro_count == 1:
        skb.gso_size = 0
    else:
        ptype = dev.net.offload_base.get(int(skb.protocol))
        if ptype is not None:
            ptype.gro_complete(skb, skb.network_header)
    netif_receive_skb(skb)


def napi_gro_flush(napi: NapiStruct) -> None:
    """Hand up all that is held, the oldest first.  Linux: net/core/gro.c."""
    while napi.gro_list:
        napi_gro_complete(napi, napi.gro_list.pop(0))
