# SPDX-License-Identifier: Apache-2.0
"""TCP over IPv6, cut and merged: every piece is a right packet, and cutting what went up gives exactly what came in."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.devices import bare_net, bare_world, card
from helpers.frames import ACK, CWR, ECE, FIN, PSH, RST, SYN, TIMESTAMPS, URG
from helpers.frames6 import DSTOPT, A, Parsed6, super_segment6, tcp6_frame
from linnet.include.linux.netdevice import NETIF_F_GRO, NapiStruct, NetDevice, PacketType
from linnet.include.linux.skbuff import CHECKSUM_PARTIAL, CHECKSUM_UNNECESSARY, SKB_GSO_TCPV6, SkBuff
from linnet.kernel.softirq import local_bh_disable
from linnet.net.core.dev import dev_add_pack, dev_open, register_netdevice
from linnet.net.core.dev_xmit import skb_checksum_help
from linnet.net.core.gro import GRO_HELD, GRO_MERGED, GRO_NORMAL, napi_gro_flush, napi_gro_receive
from linnet.net.core.gso import skb_gso_network_seglen, skb_gso_segment
from linnet.net.core.skbuff import consume_skb, skb_bytes, skb_from_bytes
from linnet.net.ethernet.eth import eth_type_trans
from linnet.net.ipv6.ip6_offload import ipv6_offload_init
from linnet.net.ipv6.tcpv6_offload import tcpv6_offload_init

MSS = 100
EXTS = st.sampled_from([b'', DSTOPT])


class Upper(PacketType):
    """Keeps what IPv6 would get."""

    def __init__(self) -> None:
        super().__init__(0x86DD)
        self.skbs: list[SkBuff] = []

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> int:
        self.skbs.append(skb)
        return 0


class Receiver:
    """A device with GRO, polled by hand."""

    def __init__(self) -> None:
        self.net = bare_net(bare_world())
        ipv6_offload_init(self.net)
        tcpv6_offload_init(self.net)
        self.dev = card(self.net)
        assert register_netdevice(self.dev) == 0
        self.dev.features = NETIF_F_GRO
        assert dev_open(self.dev) == 0
        self.upper = Upper()
        dev_add_pack(self.net, self.upper)
        self.napi = NapiStruct(self.dev)
        local_bh_disable(self.net.world.cpu)

    def receive(self, frame: bytes, hlen: int = 86) -> int:
        """One frame as a driver makes it; what GRO did with it."""
        skb = skb_from_bytes(self.net.world, frame, hlen)
        eth_type_trans(skb, self.dev)
        return int(napi_gro_receive(self.napi, skb))

    def up(self, cut: bool = False) -> list[bytes]:
        """End the poll: what went up, as frames with their checksums, cut again where that is asked for; all is freed."""
        napi_gro_flush(self.napi)
        out = []
        for skb in self.upper.skbs:
            skb.len += skb.data
            skb.data = 0
            if cut and skb.gso_size != 0:
                segs = skb_gso_segment(skb, 0)
                assert len(segs) == skb.gso_segs >= 2
                out += wired(segs)
            else:
                if skb.ip_summed == CHECKSUM_PARTIAL:
                    assert skb_checksum_help(skb) == 0
                out.append(skb_bytes(skb))
            consume_skb(skb)
        self.upper.skbs = []
        assert self.net.world.slab.active() == {}
        return out


def wired(segs: list[SkBuff]) -> list[bytes]:
    """The pieces as they go over the wire, their checksums made where that was left; frees them."""
    out = []
    for seg in segs:
        if seg.ip_summed == CHECKSUM_PARTIAL:
            assert skb_checksum_help(seg) == 0
        data = skb_bytes(seg)
        assert len(data) == seg.len
        out.append(data)
        consume_skb(seg)
    return out


@given(payload=st.binary(min_size=2, max_size=6000), mss=st.integers(1, 2000), cuts=st.lists(st.integers(1, 6000), max_size=5),
       flags=st.sampled_from([ACK, ACK | PSH, ACK | FIN | PSH, ACK | CWR, ACK | CWR | ECE | PSH]), seq=st.integers(0, 2**32 - 1),
       partial=st.booleans(), ext=EXTS)
def test_pieces_are_right_and_complete(
    payload: bytes, mss: int, cuts: list[int], flags: int, seq: int, partial: bool, ext: bytes,
) -> None:
    r = Receiver()
    if mss * 100 < len(payload):
        mss = len(payload) // 100 + 1
    frame = tcp6_frame(payload, seq=seq, flags=flags, tclass=5, partial=partial, ext=ext)
    skb = super_segment6(r.dev, frame, mss, cuts, len(ext), partial=partial)
    assert skb_gso_network_seglen(skb) == 40 + len(ext) + 32 + mss
    segs = skb_gso_segment(skb, 0)
    assert skb_bytes(skb) == frame
    assert all((seg.ip_summed == CHECKSUM_PARTIAL) == partial for seg in segs)
    consume_skb(skb)
    whole = Parsed6(frame, ext=len(ext))
    pieces = [Parsed6(data, ext=len(ext)) for data in wired(segs)]
    assert b''.join(p.payload for p in pieces) == payload
    assert all(len(p.payload) == mss for p in pieces[:-1])
    done = 0
    for i, p in enumerate(pieces):
        assert p.tcp_ok and p.trailing == 0
        assert (p.first, p.nexthdr, p.hops, p.ext, p.options) == (whole.first, whole.nexthdr, 64, whole.ext, whole.options)
        assert p.seq == (seq + done) % 2**32
        last = i == len(pieces) - 1
        assert p.flags & (PSH | FIN) == (flags & (PSH | FIN) if last else 0)
        assert p.flags & CWR == (flags & CWR if i == 0 else 0)
        done += len(p.payload)
    assert r.net.world.slab.active() == {}


@given(payload=st.binary(min_size=2, max_size=6000), mss=st.integers(60, 1500), seq=st.integers(0, 2**32 - 1), ext=EXTS,
       flags=st.sampled_from([ACK, ACK | PSH, ACK | FIN | PSH, ACK | CWR, ACK | ECE]))
def test_round_trip(payload: bytes, mss: int, seq: int, ext: bytes, flags: int) -> None:
    """Cut and merged again, a super-segment is what it was, to the bit."""
    r = Receiver()
    big = super_segment6(r.dev, tcp6_frame(payload, seq=seq, flags=flags, partial=True, ext=ext), mss, [777], len(ext))
    segs = skb_gso_segment(big, 0)
    assert skb_checksum_help(big) == 0
    sent = skb_bytes(big)
    consume_skb(big)
    for frame in wired(segs):
        r.receive(frame)
    assert r.up() == [sent]


# A step is (flow, what is odd about the packet).
ODDITIES = ('', '', '', '', 'psh', 'fin', 'short', 'long', 'empty', 'gap', 'ack', 'options', 'tclass', 'hops', 'label', 'ext',
            'rst', 'syn', 'urg', 'cwr', 'ece', 'corrupt', 'fragment', 'jumbo', 'noack')


def odd_frame(flow: int, odd: str, seq: dict[int, int]) -> bytes:
    """The next packet of a flow, which is odd in some way."""
    size = {'short': 40, 'long': 130, 'empty': 0}.get(odd, MSS)
    bits = {'psh': PSH, 'fin': FIN, 'rst': RST, 'syn': SYN, 'urg': URG, 'cwr': CWR, 'ece': ECE}
    if odd == 'gap':
        seq[flow] += 7
    payload = bytes((flow * 37 + seq[flow] + j) % 251 for j in range(size))
    frame = bytearray(tcp6_frame(
        payload, seq=seq[flow], sport=1000 + flow % 5, flags=0 if odd == 'noack' else ACK | bits.get(odd, 0),
        ack=6 if odd == 'ack' else 5, options=b'' if odd == 'options' else TIMESTAMPS, tclass=8 if odd == 'tclass' else 0,
        hops=63 if odd == 'hops' else 64, label=7 if odd == 'label' else 9, ext=DSTOPT if odd == 'ext' else b'',
        src=A[:15] + bytes([1 + flow // 5]),
    ))
    seq[flow] += size
    if odd == 'corrupt':
        frame[-1] ^= 1
    elif odd == 'fragment':
        frame[20] = 44
    elif odd == 'jumbo':
        frame[18:20] = b'\0\0'
    return bytes(frame)


def key_of(frame: bytes) -> bytes:
    at = 62 if frame[20] == 60 else 54
    return frame[22:54] + frame[at:at + 4]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(ODDITIES)), max_size=60))
def test_nothing_is_lost_changed_or_reordered_within_a_flow(steps: list[tuple[int, str]]) -> None:
    r = Receiver()
    seq = dict.fromkeys(range(10), 1000)
    sent: dict[bytes, list[bytes]] = {}
    unmergeable = []
    for flow, odd in steps:
        frame = odd_frame(flow, odd, seq)
        r.receive(frame)
        if odd in ('corrupt', 'fragment', 'jumbo', 'label', 'ext'):
            unmergeable.append(frame)  # these overtake what is held, or are flows of their own, as in Linux
        else:
            sent.setdefault(key_of(frame), []).append(frame)
    got: dict[bytes, list[bytes]] = {}
    for frame in r.up(cut=True):
        if frame in unmergeable:
            unmergeable.remove(frame)
        else:
            got.setdefault(key_of(frame), []).append(frame)
    assert unmergeable == []
    assert got == sent


def test_a_burst_goes_up_as_one_that_can_be_forwarded() -> None:
    r = Receiver()
    frames = [tcp6_frame(bytes(MSS), seq=1000 + i * MSS) for i in range(10)]
    assert [r.receive(frame) for frame in frames] == [GRO_HELD] + [GRO_MERGED] * 9
    napi_gro_flush(r.napi)
    (skb,) = r.upper.skbs
    assert (skb.gso_size, skb.gso_segs, skb.gso_type, skb.ip_summed) == (MSS, 10, SKB_GSO_TCPV6, CHECKSUM_PARTIAL)
    (merged,) = r.up()
    p = Parsed6(merged)
    assert p.tcp_ok and p.trailing == 0 and len(p.payload) == 10 * MSS and p.seq == 1000


def test_a_packet_alone_is_unchanged() -> None:
    r = Receiver()
    frame = tcp6_frame(bytes(MSS))
    assert r.receive(frame) == GRO_HELD
    napi_gro_flush(r.napi)
    assert (r.upper.skbs[0].gso_size, r.upper.skbs[0].ip_summed) == (0, CHECKSUM_UNNECESSARY)
    assert r.up() == [frame]


@pytest.mark.parametrize('odd', ['empty', 'psh', 'fin', 'rst', 'syn', 'urg', 'noack', 'corrupt', 'fragment', 'jumbo'])
def test_what_is_never_held(odd: str) -> None:
    r = Receiver()
    frame = odd_frame(0, odd, {0: 1000})
    assert r.receive(frame) == GRO_NORMAL
    assert r.up() == [frame]


@pytest.mark.parametrize(('name', 'change'), [
    ('flow label', {'label': 1}), ('traffic class', {'tclass': 4}), ('hop limit', {'hops': 63}),
    ('source', {'src': A[:15] + b'\7'}), ('port', {'sport': 9}), ('extension header', {'ext': DSTOPT}),
])
def test_what_differs_is_not_merged(name: str, change: dict) -> None:
    r = Receiver()
    first, second = tcp6_frame(bytes(MSS)), tcp6_frame(bytes(MSS), seq=1000 + MSS, **change)
    assert [r.receive(first), r.receive(second)] == [GRO_HELD, GRO_HELD], name
    assert sorted(r.up()) == sorted([first, second])


def test_padding_is_cut_off_and_short_packets_pass() -> None:
    r = Receiver()
    frame = tcp6_frame(b'', options=b'')
    assert r.receive(tcp6_frame(b'abc', options=b'') + bytes(3), hlen=74) == GRO_HELD
    assert r.up() == [tcp6_frame(b'abc', options=b'')]
    for size in (14, 20, 33, 53, 54, 60, 73):
        assert r.receive(frame[:size]) == GRO_NORMAL
        assert r.up() == [frame[:size]]
