# SPDX-License-Identifier: Apache-2.0
"""TCP over IPv6 between two hosts, with devices that cut super-segments and devices that do not: the bytes are the same, and each
packet on the wire is right.
"""
from __future__ import annotations

import dpkt
import pytest

from helpers.frames6 import Parsed6
from helpers.hosts import Pair
from linnet.include.linux.if_ether import ETH_P_ALL
from linnet.include.linux.netdevice import NETIF_F_GSO, NETIF_F_HW_CSUM, NETIF_F_SG, NETIF_F_TSO6, NetDevice, PacketType
from linnet.include.linux.skbuff import CHECKSUM_PARTIAL, SKB_GSO_TCPV6, SkBuff
from linnet.net.core.dev import dev_add_pack
from linnet.net.core.dev_xmit import skb_checksum_help
from linnet.net.core.skbuff import consume_skb, skb_bytes

DATA = bytes(i * 31 % 253 for i in range(400_000))


class Tap(PacketType):
    """Keeps what comes in by a device: (bytes from the IPv6 header on, size of the pieces, kind of the pieces)."""

    def __init__(self, dev: NetDevice) -> None:
        super().__init__(ETH_P_ALL, dev)
        self.seen: list[tuple[bytes, int, int]] = []

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> int:
        if skb.protocol == 0x86DD and skb.pkt_type == 0:
            kind = (int(skb.gso_size), int(skb.gso_type))
            if skb.ip_summed == CHECKSUM_PARTIAL:
                assert skb_checksum_help(skb) == 0
            self.seen.append((skb_bytes(skb), *kind))
        consume_skb(skb)
        return 0


def transfer(features: int, without: int = 0) -> list[tuple[bytes, int, int]]:
    """DATA from a to b over a veth pair with these features; what b's device was given."""
    pair = Pair(v6=True)
    for dev in (pair.dev_a, pair.dev_b):
        dev.features = (dev.features | features) & ~without
    tap = Tap(pair.dev_b)
    dev_add_pack(pair.net_b, tap)
    a, b = pair.connected(to='fd00::2')

    def send() -> None:
        pair.a.sendall(a, DATA)
        pair.a.close(a)

    def receive() -> bytes:
        data = pair.b.recvall(b)
        pair.b.close(b)
        return data

    _, got = pair.run(send, receive, until=int(pair.world.clock.now) + 10_000_000_000)
    assert got == DATA
    for name in ('InHdrErrors', 'InTruncatedPkts', 'InDiscards', 'FragCreates'):
        assert pair.net_a.mib.get('Ip6' + name) == pair.net_b.mib.get('Ip6' + name) == 0
    assert pair.net_b.mib.get('TcpInErrs') == pair.net_b.mib.get('TcpRetransSegs') == 0
    return tap.seen


def test_super_segments_pass_whole_where_the_device_takes_them() -> None:
    seen = transfer(0)
    large = [(data, mss, kind) for data, mss, kind in seen if mss]
    assert max(len(data) for data, _, _ in large) > 20_000
    assert {kind for _, _, kind in large} == {SKB_GSO_TCPV6}
    assert {mss for _, mss, _ in large} == {1428}
    assert len(seen) < 100


@pytest.mark.parametrize('without', [NETIF_F_TSO6, NETIF_F_TSO6 | NETIF_F_HW_CSUM, NETIF_F_TSO6 | NETIF_F_HW_CSUM | NETIF_F_SG,
                                     NETIF_F_TSO6 | NETIF_F_GSO])
def test_they_are_cut_for_a_device_that_does_not(without: int) -> None:
    seen = transfer(0, without)
    stream: dict[int, bytes] = {}
    for data, mss, _ in seen:
        assert mss == 0 and len(data) <= 1500
        packet = dpkt.ip6.IP6(data)
        if packet.nxt != 6:
            continue
        p = Parsed6(data, hlen=0)
        assert p.tcp_ok and p.trailing == 0
        assert packet.fc == dpkt.ip6.IP6(seen[-1][0]).fc  # one flow, one label
        if p.payload:
            stream[p.seq] = p.payload
    assert sum(len(part) for part in stream.values()) == len(DATA)
    assert len(stream) >= len(DATA) // 1428
