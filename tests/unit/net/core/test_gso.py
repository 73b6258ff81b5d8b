# SPDX-License-Identifier: Apache-2.0
"""Segmentation in software: every piece is a right packet, and together they are what was sent."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.devices import bare_net, bare_world, card
from helpers.frames import ACK, CWR, ECE, FIN, PSH, Parsed, super_segment, tcp_frame
from linnet.include.linux.netdevice import NETIF_F_HW_CSUM, NetDevice
from linnet.include.linux.skbuff import CHECKSUM_NONE, CHECKSUM_PARTIAL, SKB_GSO_UDP_L4, SkbDestructor, SkBuff
from linnet.include.net.sock import Sock
from linnet.net.core.dev import register_netdevice
from linnet.net.core.dev_xmit import skb_checksum_help, validate_xmit_skb
from linnet.net.core.gso import skb_gso_network_seglen, skb_gso_segment, skb_gso_validate_network_len
from linnet.net.core.skbuff import consume_skb, kfree_skb, skb_bytes
from linnet.net.ipv4.inet_offload import ipv4_offload_init
from linnet.net.ipv4.tcp_offload import tcpv4_offload_init


def device() -> NetDevice:
    """A card on a host that has IPv4's offloads."""
    net = bare_net(bare_world())
    ipv4_offload_init(net)
    tcpv4_offload_init(net)
    dev = card(net)
    assert register_netdevice(dev) == 0
    return dev


def wired(segs: list[SkBuff]) -> list[Parsed]:
    """The pieces as they go over the wire, their checksums made where that was left; frees them."""
    out = []
    for seg in segs:
        if seg.ip_summed == CHECKSUM_PARTIAL:
            assert skb_checksum_help(seg) == 0
        data = skb_bytes(seg)
        assert len(data) == seg.len
        out.append(Parsed(data))
        consume_skb(seg)
    return out


PAYLOADS = st.binary(min_size=2, max_size=6000)


@given(payload=PAYLOADS, mss=st.integers(1, 2000), cuts=st.lists(st.integers(1, 6000), max_size=5),
       flags=st.sampled_from([ACK, ACK | PSH, ACK | FIN | PSH, ACK | CWR, ACK | CWR | ECE | PSH]), seq=st.integers(0, 2**32 - 1),
       ident=st.integers(0, 0xFFFF), partial=st.booleans())
def test_pieces_are_right_and_complete(
    payload: bytes, mss: int, cuts: list[int], flags: int, seq: int, ident: int, partial: bool,
) -> None:
    dev = device()
    if mss * 100 < len(payload):
        mss = len(payload) // 100 + 1
    frame = tcp_frame(payload, seq=seq, flags=flags, ident=ident, partial=partial)
    skb = super_segment(dev, frame, mss, cuts, partial=partial)
    segs = skb_gso_segment(skb, 0)
    assert skb_bytes(skb) == frame
    assert all((seg.ip_summed == CHECKSUM_PARTIAL) == partial for seg in segs)
    consume_skb(skb)
    pieces = wired(segs)
    assert b''.join(p.payload for p in pieces) == payload
    assert all(len(p.payload) == mss for p in pieces[:-1])
    done = 0
    for i, p in enumerate(pieces):
        assert p.ip_ok and p.tcp_ok and p.trailing == 0
        assert p.seq == (seq + done) % 2**32
        assert p.ident == (ident + i) & 0xFFFF
        assert p.frag_off == 0x4000
        assert p.options == Parsed(frame).options
        last = i == len(pieces) - 1
        assert p.flags & (PSH | FIN) == (flags & (PSH | FIN) if last else 0)
        assert p.flags & CWR == (flags & CWR if i == 0 else 0)
        assert p.flags & (ECE | ACK) == flags & (ECE | ACK)
        done += len(p.payload)
    assert dev.net.world.slab.active() == {}


def test_linear_payload_is_cut_too() -> None:
    dev = device()
    frame = tcp_frame(bytes(range(250)), partial=True)
    skb = super_segment(dev, frame, 100, [], hlen=100)  # 34 bytes of the payload follow the headers
    pieces = wired(skb_gso_segment(skb, 0))
    assert [len(p.payload) for p in pieces] == [100, 100, 50]
    assert all(p.tcp_ok for p in pieces)
    consume_skb(skb)


def test_payload_is_shared_not_copied() -> None:
    dev = device()
    skb = super_segment(dev, tcp_frame(bytes(3000), partial=True), 1000, [])
    segs = skb_gso_segment(skb, 0)
    assert all(seg.frags[0].page is skb.frags[0].page for seg in segs)
    assert all(seg.head is not skb.head and seg.gso_size == 0 and seg.mac_header == 0 for seg in segs)
    wired(segs)
    consume_skb(skb)


class Charge(SkbDestructor):
    """Counts what ends."""

    def __init__(self) -> None:
        self.ended = 0

    def destruct(self, skb: SkBuff) -> None:
        self.ended += 1
        sk = skb.sk
        assert sk is not None
        sk.sk_wmem_alloc -= skb.truesize
        skb.sk = None


def test_socket_pays_for_the_pieces() -> None:
    dev = device()
    sk = Sock()
    charge = Charge()
    skb = super_segment(dev, tcp_frame(bytes(3000), partial=True), 1000, [])
    orig = super_segment(dev, tcp_frame(b'x'), 1000, [])
    orig.fclone_busy = 1
    skb.fclone_orig = orig
    skb.sk = sk
    skb.destructor = charge
    sk.sk_wmem_alloc = skb.truesize
    segs = skb_gso_segment(skb, 0)
    consume_skb(skb)
    assert charge.ended == 0
    assert sk.sk_wmem_alloc == sum(seg.truesize for seg in segs)
    assert [seg.fclone_orig for seg in segs] == [None, None, orig]
    wired(segs)
    assert charge.ended == 3
    assert sk.sk_wmem_alloc == 0
    consume_skb(orig)
    assert dev.net.world.slab.active() == {}


@pytest.mark.parametrize('fault', ['protocol', 'transport', 'gso_type', 'doff', 'ihl', 'short', 'empty'])
def test_what_cannot_be_cut(fault: str) -> None:
    dev = device()
    frame = bytearray(tcp_frame(bytes(300), partial=True))
    if fault == 'transport':
        frame[23] = 17
    elif fault == 'doff':
        frame[46] = 4 << 4
    elif fault == 'ihl':
        frame[14] = 0x44
    elif fault == 'short':
        del frame[30:]
    elif fault == 'empty':
        del frame[66:]
    skb = super_segment(dev, bytes(frame), 100, [], hlen=min(66, len(frame)))
    if fault == 'protocol':
        skb.protocol = 0x86DD
    elif fault == 'gso_type':
        skb.gso_type = SKB_GSO_UDP_L4
    before = skb_bytes(skb)
    assert skb_gso_segment(skb, 0) == []
    assert skb_bytes(skb) == before
    kfree_skb(skb)
    assert dev.net.world.slab.active() == {}


def test_validate_makes_checksums_for_a_device_that_cannot() -> None:
    for features, summed in ((0, CHECKSUM_NONE), (NETIF_F_HW_CSUM, CHECKSUM_PARTIAL)):
        dev = device()
        dev.features = features
        first = validate_xmit_skb(super_segment(dev, tcp_frame(bytes(2500), partial=True), 1000, []), dev)
        chain = []
        while first is not None:
            chain.append(first)
            assert first.ip_summed == summed
            first = first.next
        for seg in chain:
            seg.next = None
        assert len(chain) == 3
        assert all(p.tcp_ok for p in wired(chain))
        assert dev.net.world.slab.active() == {}


def test_validate_drops_what_cannot_be_cut() -> None:
    dev = device()
    dev.features = 0
    skb = super_segment(dev, tcp_frame(bytes(2500), partial=True), 1000, [])
    skb.protocol = 0x86DD
    assert validate_xmit_skb(skb, dev) is None
    assert dev.net.world.slab.active() == {}


def test_network_length_of_the_pieces() -> None:
    dev = device()
    skb = super_segment(dev, tcp_frame(bytes(5000), partial=True), 1448, [])
    assert skb_gso_network_seglen(skb) == 1500
    assert skb_gso_validate_network_len(skb, 1500)
    assert not skb_gso_validate_network_len(skb, 1499)
    kfree_skb(skb)
