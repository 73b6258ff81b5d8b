# SPDX-License-Identifier: Apache-2.0
"""Captures: read back by dpkt and, where it is installed, by tshark; every field checked."""
from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import dpkt
import pytest

from helpers.devices import bare_net, bare_world, frame
from helpers.frames import Parsed, super_segment, tcp_frame
from helpers.frames6 import Parsed6, super_segment6, tcp6_frame
from linnet import _pure
from linnet.drivers.net.pcap import PcapTap, call_path, pcapng_block, pcapng_option, pcapng_packet
from linnet.drivers.net.veth import veth_newlink
from linnet.include.linux.if_ether import ARPHRD_NONE
from linnet.include.linux.netdevice import NetDevice, PacketType
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.net_namespace import World
from linnet.kernel.clock import DEFAULT_EPOCH_NS
from linnet.net.core.dev import dev_add_pack, dev_open, dev_queue_xmit
from linnet.net.core.skbuff import consume_skb

PROTO = 0x88B5


class Ignore(PacketType):
    """Takes packets and ends them."""

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> int:
        consume_skb(skb)
        return 0


def link() -> tuple[World, NetDevice, NetDevice]:
    """Two hosts on a veth pair."""
    world = bare_world()
    nets = bare_net(world, 'left'), bare_net(world, 'right')
    a, b = veth_newlink(nets[0], 'eth0', nets[1], 'eth1')
    for net in nets:
        dev_add_pack(net, Ignore(PROTO))
        dev_add_pack(net, Ignore(0x800))
    assert dev_open(a) == 0
    assert dev_open(b) == 0
    return world, a, b


def send(dev: NetDevice, payload: bytes, dest: bytes) -> bytes:
    """Send a frame; its bytes."""
    dev_queue_xmit(frame(dev, payload, dest, PROTO))
    return dest + dev.dev_addr + PROTO.to_bytes(2, 'big') + payload


class Block:
    """One block of a pcapng file, read by the letter of the specification."""

    def __init__(self, kind: int, body: bytes) -> None:
        self.kind, self.body = kind, body

    def options(self, start: int) -> dict[int, bytes]:
        """Options of the body from byte `start` on; they end with opt_endofopt."""
        found: dict[int, bytes] = {}
        rest = self.body[start:]
        while True:
            code, size = int.from_bytes(rest[:2], 'little'), int.from_bytes(rest[2:4], 'little')
            if code == 0:
                assert size == 0 and len(rest) == 4
                return found
            found[code] = rest[4:4 + size]
            assert not rest[4 + size:4 + (size + 3) // 4 * 4].strip(b'\0')
            rest = rest[4 + (size + 3) // 4 * 4:]

    def packet(self) -> tuple[int, int, bytes, int, dict[int, bytes]]:
        """(interface, ns, bytes, original length, options) of an enhanced packet block."""
        interface, high, low, size, orig = (int.from_bytes(self.body[i:i + 4], 'little') for i in range(0, 20, 4))
        return interface, high << 32 | low, self.body[20:20 + size], orig, self.options(20 + (size + 3) // 4 * 4)


def blocks(path: Path) -> list[Block]:
    """The blocks of a file."""
    data = path.read_bytes()
    out = []
    while data:
        kind, size = int.from_bytes(data[:4], 'little'), int.from_bytes(data[4:8], 'little')
        assert size % 4 == 0 and 12 <= size <= len(data)
        assert data[size - 4:size] == data[4:8]
        out.append(Block(kind, data[8:size - 4]))
        data = data[size:]
    return out


def test_every_field(tmp_path: Path) -> None:
    world, a, b = link()
    path = tmp_path / 'x.pcapng'
    tap = PcapTap(str(path), [a, b])
    world.clock.now = 1_500_000_007
    sent = send(a, b'hello', b.dev_addr)
    world.clock.now = 5_000_000_000
    back = send(b, b'well, hello', a.dev_addr)
    tap.close()
    section, left, right, *packets = blocks(path)
    assert section.kind == 0x0A0D0D0A
    assert section.body == bytes.fromhex('4d3c2b1a 0100 0000') + b'\xff' * 8
    assert [left.kind, right.kind] == [1, 1]
    assert left.body[:8] == bytes.fromhex('0100 0000 00000400')
    assert left.options(8) == {2: b'left:eth0', 9: b'\x09'}
    assert right.options(8) == {2: b'right:eth1', 9: b'\x09'}
    t1, t2 = DEFAULT_EPOCH_NS + 1_500_000_007, DEFAULT_EPOCH_NS + 5_000_000_000
    out, into = {2: b'\x02\0\0\0'}, {2: b'\x01\0\0\0'}
    assert [p.kind for p in packets] == [6] * 4
    assert [p.packet() for p in packets] == [
        (0, t1, sent, 19, out), (1, t1, sent, 19, into), (1, t2, back, 25, out), (0, t2, back, 25, into),
    ]
    assert tap.packets == 4
    assert world.slab.active() == {}


def test_dpkt_reads_it(tmp_path: Path) -> None:
    world, a, b = link()
    path = tmp_path / 'x.pcapng'
    tap = PcapTap(str(path), [a])
    expected = []
    for i in range(20):
        world.clock.now = i * 1_000_000_000
        expected.append((DEFAULT_EPOCH_NS // 10**9 + i, send(a, bytes(i), b.dev_addr)))
    tap.close()
    with path.open('rb') as file:
        got = [(round(ts), bytes(data)) for ts, data in dpkt.pcapng.Reader(file)]
    assert got == expected


def test_tshark_reads_it_without_complaint(tmp_path: Path) -> None:
    tshark = shutil.which('tshark')
    if tshark is None:
        pytest.skip('tshark is not installed')
    world, a, b = link()
    path = tmp_path / 'x.pcapng'
    tap = PcapTap(str(path), [a, b], comments=True)
    for i in range(3):
        world.clock.now = i * 1_000_001
        dev_queue_xmit(super_segment(a, tcp_frame(bytes(100 * i + 1), seq=1000 + 500 * i, partial=True), 5000, []))
    tap.close()
    fields = ['frame.interface_name', 'frame.time_epoch', 'frame.len', 'ip.checksum.status', 'tcp.checksum.status',
              'frame.packet_flags', '_ws.malformed']
    args = [tshark, '-r', str(path), '-o', 'tcp.check_checksum:TRUE', '-o', 'ip.check_checksum:TRUE', '-T', 'fields']
    for field in fields:
        args += ['-e', field]
    done = subprocess.run(args, capture_output=True, text=True, check=True)
    rows = [line.split('\t') for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ['left:eth0', 'right:eth1'] * 3
    assert [row[1] for row in rows[::2]] == ['1767225600.000000000', '1767225600.001000001', '1767225600.002000002']
    assert [row[2] for row in rows[::2]] == ['67', '167', '267']
    assert {tuple(row[3:5]) for row in rows} == {('1', '1')}  # both good
    assert [int(row[5], 0) for row in rows] == [2, 1] * 3
    assert {row[6] for row in rows} == {''}
    assert 'cut short' not in done.stderr


def test_super_segments_are_whole_and_their_checksums_filled_in_the_copy_alone(tmp_path: Path) -> None:
    world, a, b = link()
    path = tmp_path / 'x.pcapng'

    class Look(Ignore):
        summed = -1

        def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> int:
            Look.summed = int(skb.ip_summed)
            return Ignore.func(self, skb, dev, orig_dev)

    dev_add_pack(b.net, Look(0x800))
    tap = PcapTap(str(path), [a, b])
    payload = bytes(range(256)) * 100
    dev_queue_xmit(super_segment(a, tcp_frame(payload, partial=True), 1448, [1000, 2000]))
    tap.close()
    for block in blocks(path)[3:]:
        p = Parsed(block.packet()[2])
        assert p.ip_ok and p.tcp_ok and p.payload == payload
    assert Look.summed == 3  # CHECKSUM_PARTIAL, as it was sent
    assert world.slab.active() == {}


def test_super_segments_of_ipv6_are_whole_too(tmp_path: Path) -> None:
    _, a, b = link()
    dev_add_pack(b.net, Ignore(0x86DD))
    path = tmp_path / 'x.pcapng'
    tap = PcapTap(str(path), [a, b])
    payload = bytes(range(256)) * 100
    dev_queue_xmit(super_segment6(a, tcp6_frame(payload, partial=True), 1428, [1000, 2000]))
    tap.close()
    packets = [Parsed6(block.packet()[2]) for block in blocks(path)[3:]]
    assert len(packets) == 2
    assert all(p.tcp_ok and p.payload == payload for p in packets)


def test_snaplen_cuts_and_tells(tmp_path: Path) -> None:
    _, a, b = link()
    path = tmp_path / 'x.pcapng'
    tap = PcapTap(str(path), [a], snaplen=33)
    sent = send(a, bytes(100), b.dev_addr)
    tap.close()
    _, interface, packet = blocks(path)
    assert int.from_bytes(interface.body[4:8], 'little') == 33
    assert packet.packet()[2:4] == (sent[:33], 114)


def test_a_device_without_link_header(tmp_path: Path) -> None:
    _, a, _ = link()
    a.type = ARPHRD_NONE
    path = tmp_path / 'x.pcapng'
    PcapTap(str(path), [a]).close()
    assert blocks(path)[1].body[:2] == b'\x65\0'  # LINKTYPE_RAW


def test_comments_name_the_call_path(tmp_path: Path) -> None:
    _, a, b = link()
    path = tmp_path / 'x.pcapng'
    tap = PcapTap(str(path), [a, b], comments=True)
    send(a, b'x', b.dev_addr)
    tap.close()
    sent, received = (p.packet()[4].get(1, b'').decode() for p in blocks(path)[3:])
    if _pure.build() == 'interpreted':
        assert sent.startswith('dev_queue_xmit > __dev_queue_xmit > ')
        assert sent.endswith('dev_hard_start_xmit > xmit_one > dev_queue_xmit_nit > _deliver_outgoing')
        assert 'handle_softirqs > ' in received
        assert '__netif_receive_skb_one_core' in received
    assert call_path() == ''


def test_flush_close_and_what_passes_afterwards(tmp_path: Path) -> None:
    world, a, b = link()
    path = tmp_path / 'x.pcapng'
    tap = PcapTap(str(path), [a])
    send(a, b'1', b.dev_addr)
    tap.flush()
    size = path.stat().st_size
    assert len(blocks(path)) == 3
    tap.close()
    tap.close()
    tap.flush()
    assert a.ptype_all == []
    send(a, b'2', b.dev_addr)
    assert path.stat().st_size == size
    with pytest.raises(FileNotFoundError):
        PcapTap(str(tmp_path / 'none' / 'x.pcapng'), [a])
    assert a.ptype_all == []
    assert world.slab.active() == {}


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    def record(name: str) -> bytes:
        world, a, b = link()
        tap = PcapTap(str(tmp_path / name), [a, b])
        for i in range(10):
            world.clock.now += 12_345
            send(a if i % 2 else b, bytes([i]) * i, b.dev_addr)
        tap.close()
        return (tmp_path / name).read_bytes()

    assert record('one') == record('two')


@pytest.mark.parametrize('make', [
    lambda: pcapng_option(1, b'abcde'), lambda: pcapng_block(6, bytes(8)), lambda: pcapng_packet(0, 1 << 60, b'12345', 5, 1, 'é'),
])
def test_everything_is_padded_to_32_bits(make: Callable[[], bytes]) -> None:
    assert len(make()) % 4 == 0
    assert io.BytesIO(make()).read() == make()
