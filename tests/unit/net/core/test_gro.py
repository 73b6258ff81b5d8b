# SPDX-License-Identifier: Apache-2.0
"""Merging on receive: whatever comes, cutting what went up gives exactly what came in, flow by flow."""
from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.devices import bare_net, bare_world, card
from helpers.frames import ACK, CWR, ECE, FIN, ME, PSH, RST, SYN, TIMESTAMPS, URG, Parsed, super_segment, tcp_frame
from linnet.include.linux.netdevice import NETIF_F_GRO, NapiStruct, NetDevice, PacketType
from linnet.include.linux.skbuff import CHECKSUM_PARTIAL, CHECKSUM_UNNECESSARY, SkBuff
from linnet.kernel.softirq import local_bh_disable
from linnet.net.core.dev import dev_add_pack, dev_open, register_netdevice
from linnet.net.core.dev_xmit import skb_checksum_help
from linnet.net.core.gro import GRO_HELD, GRO_MERGED, GRO_NORMAL, MAX_GRO_SKBS, napi_gro_flush, napi_gro_receive
from linnet.net.core.gso import skb_gso_segment
from linnet.net.core.skbuff import consume_skb, skb_bytes, skb_from_bytes
from linnet.net.ethernet.eth import eth_type_trans
from linnet.net.ipv4.inet_offload import ipv4_offload_init
from linnet.net.ipv4.tcp_offload import tcpv4_offload_init

MSS = 100


class Upper(PacketType):
    """Keeps what IP would get."""

    def __init__(self, type: int = 0x800) -> None:
        super().__init__(type)
        self.skbs: list[SkBuff] = []

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> int:
        self.skbs.append(skb)
        return 0


class Receiver:
    """A device with GRO, polled by hand."""

    def __init__(self, features: int = NETIF_F_GRO) -> None:
        self.net = bare_net(bare_world())
        ipv4_offload_init(self.net)
        tcpv4_offload_init(self.net)
        self.dev = card(self.net)
        assert register_netdevice(self.dev) == 0
        self.dev.features = features
        assert dev_open(self.dev) == 0
        self.upper = Upper()
        self.other = Upper(0x806)
        dev_add_pack(self.net, self.upper)
        dev_add_pack(self.net, self.other)
        self.napi = NapiStruct(self.dev)
        local_bh_disable(self.net.world.cpu)

    def receive(self, frame: bytes, hlen: int = 66) -> int:
        """One frame as a driver makes it; what GRO did with it."""
        skb = skb_from_bytes(self.net.world, frame, hlen)
        eth_type_trans(skb, self.dev)
        return int(napi_gro_receive(self.napi, skb))

    def flushed(self) -> list[bytes]:
        """End the poll: what went up, as frames with their checksums; all is freed."""
        napi_gro_flush(self.napi)
        assert self.napi.gro_list == []
        out = []
        for skb in [*self.upper.skbs, *self.other.skbs]:
            skb.len += skb.data
            skb.data = 0
            if skb.ip_summed == CHECKSUM_PARTIAL:
                assert skb_checksum_help(skb) == 0
            out.append(skb_bytes(skb))
            assert len(out[-1]) == skb.len
            consume_skb(skb)
        self.upper.skbs = []
        self.other.skbs = []
        assert self.net.world.slab.active() == {}
        return out

    def resegmented(self) -> list[bytes]:
        """As flushed, but what was merged is cut again."""
        napi_gro_flush(self.napi)
        out = []
        for skb in self.upper.skbs:
            skb.len += skb.data
            skb.data = 0
            if skb.gso_size == 0:
                assert skb.ip_summed != CHECKSUM_PARTIAL
                out.append(skb_bytes(skb))
            else:
                segs = skb_gso_segment(skb, 0)
                assert len(segs) == skb.gso_segs >= 2
                for seg in segs:
                    assert skb_checksum_help(seg) == 0
                    out.append(skb_bytes(seg))
                    consume_skb(seg)
            consume_skb(skb)
        self.upper.skbs = []
        assert self.net.world.slab.active() == {}
        return out


def burst(n: int, *, last: int = MSS, flags: int = ACK, seq: int = 1000, sport: int = 1234) -> list[bytes]:
    """n segments in a row, with the flags on the last."""
    out = []
    for i in range(n):
        size = last if i == n - 1 else MSS
        payload = bytes((seq + i * MSS + j) % 251 for j in range(size))
        out.append(tcp_frame(payload, seq=seq + i * MSS, flags=flags if i == n - 1 else ACK, ident=100 + i, sport=sport))
    return out


@given(payload=st.binary(min_size=2, max_size=6000), mss=st.integers(60, 1500), seq=st.integers(0, 2**32 - 1),
       ident=st.integers(0, 0xFFFF), flags=st.sampled_from([ACK, ACK | PSH, ACK | FIN | PSH, ACK | CWR, ACK | ECE]))
def test_round_trip(payload: bytes, mss: int, seq: int, ident: int, flags: int) -> None:
    """Cut and merged again, a super-segment is what it was, to the bit."""
    r = Receiver()
    big = super_segment(r.dev, tcp_frame(payload, seq=seq, ident=ident, flags=flags, partial=True), mss, [777])
    big.dev = r.dev
    segs = skb_gso_segment(big, 0)
    assert skb_checksum_help(big) == 0
    sent = skb_bytes(big)
    consume_skb(big)
    frames = []
    for seg in segs:
        assert skb_checksum_help(seg) == 0
        frames.append(skb_bytes(seg))
        consume_skb(seg)
    for frame in frames:
        r.receive(frame)
    assert r.flushed() == [sent]


# A step is (flow, what is odd about the packet).
ODDITIES = ('', '', '', '', 'psh', 'fin', 'short', 'long', 'empty', 'gap', 'ack', 'options', 'tos', 'ttl', 'df', 'ident', 'rst',
            'syn', 'urg', 'cwr', 'ece', 'corrupt', 'ipsum', 'fragment', 'noack')
STEPS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(ODDITIES)), max_size=60)


def odd_frame(flow: int, odd: str, seq: dict[int, int], ident: dict[int, int]) -> bytes:
    """The next packet of a flow, which is odd in some way."""
    size = {'short': 40, 'long': 130, 'empty': 0}.get(odd, MSS)
    bits = {'psh': PSH, 'fin': FIN, 'rst': RST, 'syn': SYN, 'urg': URG, 'cwr': CWR, 'ece': ECE}
    flags = ACK | bits.get(odd, 0)
    if odd == 'noack':
        flags = 0
    if odd == 'gap':
        seq[flow] += 7
    if odd == 'ident':
        ident[flow] += 3
    payload = bytes((flow * 37 + seq[flow] + j) % 251 for j in range(size))
    frame = bytearray(tcp_frame(
        payload, seq=seq[flow], ident=ident[flow] & 0xFFFF, sport=1000 + flow % 5, flags=flags, ack=6 if odd == 'ack' else 5,
        options=b'' if odd == 'options' else TIMESTAMPS, tos=8 if odd == 'tos' else 0, ttl=63 if odd == 'ttl' else 64,
        df=odd != 'df', src=b'\x0a\0\0' + bytes([1 + flow // 5]),
    ))
    seq[flow] += size
    ident[flow] += 1
    if odd == 'corrupt':
        frame[-1] ^= 1
    elif odd == 'ipsum':
        frame[25] ^= 1
    elif odd == 'fragment':
        frame = frame[:20] + b'\x20\x01' + frame[22:]
        head = bytes(frame[14:24]) + b'\0\0' + bytes(frame[26:34])
        total = sum(struct.unpack('!10H', head))
        total = (total & 0xFFFF) + (total >> 16)
        frame = frame[:24] + struct.pack('!H', 0xFFFF - ((total & 0xFFFF) + (total >> 16))) + frame[26:]
    return bytes(frame)


@given(STEPS)
def test_nothing_is_lost_changed_or_reordered_within_a_flow(steps: list[tuple[int, str]]) -> None:
    r = Receiver()
    seq = dict.fromkeys(range(10), 1000)
    ident = dict.fromkeys(range(10), 65530)
    sent: dict[bytes, list[bytes]] = {}
    unmergeable = []
    for flow, odd in steps:
        frame = odd_frame(flow, odd, seq, ident)
        r.receive(frame)
        if odd in ('corrupt', 'ipsum', 'fragment'):
            unmergeable.append(frame)  # these overtake what is held, as in Linux
        else:
            sent.setdefault(frame[26:38], []).append(frame)
    got: dict[bytes, list[bytes]] = {}
    for frame in r.resegmented():
        if frame in unmergeable:
            unmergeable.remove(frame)
        else:
            got.setdefault(frame[26:38], []).append(frame)
    assert unmergeable == []
    assert got == sent


def test_a_burst_goes_up_as_one_that_can_be_forwarded() -> None:
    r = Receiver()
    answers = [r.receive(frame) for frame in burst(10)]
    assert answers == [GRO_HELD] + [GRO_MERGED] * 9
    assert r.upper.skbs == []
    napi_gro_flush(r.napi)
    (skb,) = r.upper.skbs
    assert (skb.gso_size, skb.gso_segs, skb.gso_type, skb.ip_summed) == (MSS, 10, 1, CHECKSUM_PARTIAL)
    assert skb.truesize > 10 * 576
    (merged,) = r.flushed()
    p = Parsed(merged)
    assert p.ip_ok and p.tcp_ok and len(p.payload) == 10 * MSS and p.seq == 1000 and p.ident == 100


@pytest.mark.parametrize('end', ['psh', 'fin', 'short'])
def test_the_end_of_a_burst_is_not_held(end: str) -> None:
    r = Receiver()
    flags = {'psh': ACK | PSH, 'fin': ACK | FIN}.get(end, ACK)
    for frame in burst(3, flags=flags, last=60 if end == 'short' else MSS):
        r.receive(frame)
    assert len(r.upper.skbs) == 1
    assert r.napi.gro_list == []
    assert Parsed(r.flushed()[0]).flags == flags


def test_a_packet_alone_is_unchanged() -> None:
    r = Receiver()
    (frame,) = burst(1)
    assert r.receive(frame) == GRO_HELD
    napi_gro_flush(r.napi)
    skb = r.upper.skbs[0]
    assert (skb.gso_size, skb.ip_summed) == (0, CHECKSUM_UNNECESSARY)
    assert r.flushed() == [frame]


@pytest.mark.parametrize('odd', ['empty', 'psh', 'fin', 'rst', 'syn', 'urg', 'noack', 'corrupt', 'ipsum', 'fragment'])
def test_what_is_never_held(odd: str) -> None:
    r = Receiver()
    frame = odd_frame(0, odd, {0: 1000}, {0: 1})
    assert r.receive(frame) == GRO_NORMAL
    assert len(r.upper.skbs) == 1
    assert r.upper.skbs[0].gso_size == 0
    assert r.flushed() == [frame]


def test_padding_is_cut_off_and_short_packets_pass() -> None:
    r = Receiver()
    frame = tcp_frame(b'abc', options=b'')
    assert r.receive(frame + b'\0\0\0', hlen=60) == GRO_HELD
    assert r.flushed() == [frame]
    for size in (14, 20, 33, 40, 53):
        assert r.receive(frame[:size]) == GRO_NORMAL
        assert r.flushed() == [frame[:size]]


def test_other_protocols_and_devices_without_gro_pass() -> None:
    r = Receiver()
    arp = ME + ME + b'\x08\x06' + bytes(46)
    assert r.receive(arp) == GRO_NORMAL
    assert r.flushed() == [arp]
    plain = Receiver(features=0)
    frames = burst(3)
    assert [plain.receive(frame) for frame in frames] == [GRO_NORMAL] * 3
    assert plain.flushed() == frames


def test_only_eight_are_held_and_the_oldest_goes_first() -> None:
    r = Receiver()
    frames = [burst(1, sport=2000 + i)[0] for i in range(MAX_GRO_SKBS + 2)]
    for frame in frames:
        assert r.receive(frame) == GRO_HELD
    assert len(r.napi.gro_list) == MAX_GRO_SKBS
    assert [Parsed(skb.head + skb.frags[0].page[66:]).sport for skb in r.upper.skbs] == [2000, 2001]
    assert r.flushed() == frames


def test_a_merged_packet_stays_within_64_kb() -> None:
    r = Receiver()
    frames = [tcp_frame(bytes(1448), seq=i * 1448, ident=i) for i in range(60)]
    for frame in frames:
        r.receive(frame)
    sizes = [len(data) - 14 for data in r.flushed()]
    assert sizes == [52 + 45 * 1448, 52 + 15 * 1448]


def test_other_stations_are_another_flow() -> None:
    r = Receiver()
    first, second = burst(2)
    assert r.receive(first) == GRO_HELD
    assert r.receive(second[:6] + b'\x02\0\0\0\0\x09' + second[12:]) == GRO_HELD
    assert len(r.flushed()) == 2
