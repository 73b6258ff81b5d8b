# SPDX-License-Identifier: Apache-2.0
"""The TUN driver on a pipe that keeps packets apart (a pair of datagram sockets stands for the kernel), and its errors."""
from __future__ import annotations

import errno
import os
import socket
import struct

import pytest

from helpers.devices import bare_net, bare_world
from helpers.frames import ACK, CWR, ECE, PSH, YOU, Parsed, super_segment, tcp_frame
from helpers.frames6 import DSTOPT, super_segment6, tcp6_frame
from linnet.drivers.net import tun
from linnet.drivers.net.tun import TunNapi, TunOps, tun_attach, tun_error, tun_header_len
from linnet.include.linux.if_ether import ARPHRD_NONE
from linnet.include.linux.netdevice import NETIF_F_GRO, NETIF_F_HW_CSUM, NETIF_F_TSO, NETIF_F_TSO_ECN, NetDevice, PacketType
from linnet.include.linux.skbuff import CHECKSUM_NONE, CHECKSUM_PARTIAL, CHECKSUM_UNNECESSARY, SKB_GSO_TCPV6, SkBuff
from linnet.net.core.dev import dev_add_pack, dev_close, dev_open, dev_queue_xmit, register_netdevice
from linnet.net.core.skbuff import consume_skb, skb_bytes
from linnet.net.ethernet.eth import ether_setup
from linnet.net.ipv4.inet_offload import ipv4_offload_init
from linnet.net.ipv4.tcp_offload import tcpv4_offload_init

PLAIN = bytes(10)


class Keep(PacketType):
    """Keeps the skbs it gets."""

    def __init__(self, type: int) -> None:
        super().__init__(type)
        self.skbs: list[SkBuff] = []

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> int:
        self.skbs.append(skb)
        return 0


class Rig:
    """A TUN device whose kernel is the test."""

    def __init__(self, tap: bool = False, offload: bool = True) -> None:
        self.world = bare_world()
        self.net = bare_net(self.world)
        ipv4_offload_init(self.net)
        tcpv4_offload_init(self.net)
        ours, self.kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.kernel.settimeout(1)
        self.kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 21)
        ours.setblocking(False)
        self.ops = TunOps(self.net, 'tun0', tap, offload)
        self.ops.fd = ours.detach()
        self.dev = NetDevice(self.net, 'tun0', self.ops)
        if tap:
            ether_setup(self.dev)
            self.dev.dev_addr = YOU
        self.dev.type = ARPHRD_NONE
        self.dev.no_queue = True
        self.ops.napi = TunNapi(self.dev, self.ops)
        assert register_netdevice(self.dev) == 0
        self.dev.features = NETIF_F_HW_CSUM | NETIF_F_TSO | NETIF_F_TSO_ECN if offload else NETIF_F_GRO
        self.ip, self.ip6 = Keep(0x800), Keep(0x86DD)
        dev_add_pack(self.net, self.ip)
        dev_add_pack(self.net, self.ip6)
        assert dev_open(self.dev) == 0

    def receive(self, *packets: bytes) -> list[SkBuff]:
        """The kernel gives packets; what goes up."""
        for packet in packets:
            self.kernel.send(packet)
        self.world.sched._poll_fds(0)
        skbs, self.ip.skbs = self.ip.skbs, []
        return skbs

    def close(self) -> None:
        """End it all; nothing is alive."""
        dev_close(self.dev)
        self.kernel.close()
        self.world.sched.close()
        assert self.world.slab.active() == {}


def test_a_plain_packet_up() -> None:
    rig = Rig()
    ip = tcp_frame(b'payload', ethernet=False)
    (skb,) = rig.receive(PLAIN + ip)
    assert skb_bytes(skb) == ip
    assert len(skb.head) == 52 and skb.data_len == 7
    assert (skb.mac_header, skb.network_header, skb.mac_len) == (0, 0, 0)
    assert (skb.protocol, skb.pkt_type, skb.ip_summed, skb.gso_size) == (0x800, 0, CHECKSUM_NONE, 0)
    assert (rig.dev.stats.rx_packets, rig.dev.stats.rx_bytes) == (1, len(ip))
    consume_skb(skb)
    rig.close()


def test_a_super_segment_up_shares_the_buffer() -> None:
    rig = Rig()
    ip = tcp_frame(bytes(60000), partial=True, ethernet=False, flags=ACK | CWR)
    (skb,) = rig.receive(struct.pack('=BBHHHH', 1, 0x81, 52, 1448, 20, 16) + ip)
    assert skb_bytes(skb) == ip
    assert (skb.ip_summed, skb.csum_start, skb.csum_offset) == (CHECKSUM_PARTIAL, 20, 16)
    assert (skb.gso_size, skb.gso_segs, skb.gso_type) == (1448, 42, 1 | 4)
    assert [(frag.offset, frag.size) for frag in skb.frags] == [(62, 60000)]
    consume_skb(skb)
    rig.close()


def test_a_super_segment_of_ipv6_up_and_down() -> None:
    rig = Rig()
    ip = tcp6_frame(bytes(60000), partial=True)[14:]
    header = struct.pack('=BBHHHH', 1, 4, 72, 1428, 40, 16)
    assert rig.receive(header + ip) == []  # it is no IPv4
    (skb,) = rig.ip6.skbs
    assert skb_bytes(skb) == ip and len(skb.head) == 72
    assert (skb.gso_size, skb.gso_segs, skb.gso_type) == (1428, 43, SKB_GSO_TCPV6)
    consume_skb(skb)
    rig.ip6.skbs = []
    down = super_segment6(rig.dev, tcp6_frame(bytes(3000), partial=True), 1428, [])
    down.data = 14
    down.len -= 14
    assert rig.ops.ndo_start_xmit(down, rig.dev) == 0
    assert rig.kernel.recv(70000) == header + tcp6_frame(bytes(3000), partial=True)[14:]
    rig.close()


@pytest.mark.parametrize('size', [1, 1448, 7240, 14480, 30000, 65160])
def test_a_packet_costs_little_more_than_its_bytes(size: int) -> None:
    """The receive window counts on that: a packet charged double overflows the buffer with data that was asked for."""
    rig = Rig()
    (skb,) = rig.receive(struct.pack('=BBHHHH', 1, 1, 52, 1448, 20, 16) + tcp_frame(bytes(size), partial=True, ethernet=False))
    assert size <= skb.truesize <= size + 1024
    consume_skb(skb)
    rig.close()


def test_a_checked_packet_up() -> None:
    rig = Rig()
    (skb,) = rig.receive(struct.pack('=BBHHHH', 2, 0, 0, 0, 0, 0) + tcp_frame(b'x', ethernet=False))
    assert skb.ip_summed == CHECKSUM_UNNECESSARY
    consume_skb(skb)
    rig.close()


@pytest.mark.parametrize(('csum_start', 'csum_offset'), [(60000, 16), (20, 60000), (20, 40)])
def test_a_header_that_lies_is_not_believed(csum_start: int, csum_offset: int) -> None:
    rig = Rig()
    (skb,) = rig.receive(struct.pack('=BBHHHH', 1, 1, 0, 1448, csum_start, csum_offset) + tcp_frame(b'x', ethernet=False))
    assert (skb.ip_summed, skb.gso_size) == (CHECKSUM_NONE, 0)
    consume_skb(skb)
    rig.close()


def test_what_is_no_packet_is_counted() -> None:
    rig = Rig()
    assert rig.receive(PLAIN, b'\0' * 3) == []
    assert rig.dev.stats.rx_errors == 2
    assert rig.receive(PLAIN + b'\x60' + bytes(50)) == []
    (skb,) = rig.ip6.skbs
    assert skb.protocol == 0x86DD
    consume_skb(skb)
    rig.close()
    tap = Rig(tap=True)
    assert tap.receive(PLAIN + bytes(13)) == []
    assert tap.dev.stats.rx_errors == 1
    tap.close()


def test_a_batch_is_64_packets() -> None:
    rig = Rig()
    for i in range(100):
        rig.kernel.send(PLAIN + tcp_frame(bytes([i]), ethernet=False))
    first, rest = rig.receive(), rig.receive()
    assert (len(first), len(rest)) == (64, 36)
    for skb in first + rest:
        consume_skb(skb)
    rig.close()


def test_down_with_a_super_segment() -> None:
    rig = Rig()
    frame = tcp_frame(bytes(range(250)) * 40, partial=True, flags=ACK | PSH)
    skb = super_segment(rig.dev, frame, 1448, [100, 5000])
    skb.data = 14
    skb.len -= 14
    assert dev_queue_xmit(skb) == 0
    assert rig.kernel.recv(70000) == struct.pack('=BBHHHH', 1, 1, 52, 1448, 20, 16) + frame[14:]
    assert rig.dev.stats.tx_packets == 1
    rig.close()


def test_down_with_ecn_and_without_anything_to_do() -> None:
    rig = Rig()
    skb = super_segment(rig.dev, tcp_frame(bytes(3000), flags=ACK | ECE | CWR, partial=True), 1448, [])
    skb.gso_type |= 4
    skb.data, skb.len = 14, skb.len - 14
    dev_queue_xmit(skb)
    assert rig.kernel.recv(70000)[:10] == struct.pack('=BBHHHH', 1, 0x81, 52, 1448, 20, 16)
    skb = super_segment(rig.dev, tcp_frame(b'abc'), 1, [], partial=False)
    skb.gso_size = 0
    skb.data, skb.len = 14, skb.len - 14
    dev_queue_xmit(skb)
    assert rig.kernel.recv(70000) == PLAIN + tcp_frame(b'abc')[14:]
    rig.close()


def test_without_offload_segments_are_cut_going_down_and_merged_coming_up() -> None:
    rig = Rig(offload=False)
    rig.dev.features = NETIF_F_GRO
    payload = bytes(range(200)) * 20
    skb = super_segment(rig.dev, tcp_frame(payload, partial=True), 1448, [])
    skb.data, skb.len = 14, skb.len - 14
    assert dev_queue_xmit(skb) == 0
    packets = [rig.kernel.recv(70000) for _ in range(3)]
    pieces = [Parsed(data, 0) for data in packets]
    assert all(p.ip_ok and p.tcp_ok for p in pieces)
    assert b''.join(p.payload for p in pieces) == payload
    (merged,) = rig.receive(*packets)
    assert (merged.gso_size, merged.gso_segs, merged.ip_summed) == (1448, 3, CHECKSUM_PARTIAL)
    assert skb_bytes(merged)[52:] == payload
    consume_skb(merged)
    rig.close()


def test_tap_frames_have_their_ethernet_header_taken_off() -> None:
    rig = Rig(tap=True)
    frame = tcp_frame(b'payload')
    (skb,) = rig.receive(PLAIN + frame)
    assert skb_bytes(skb) == frame[14:]
    assert (skb.mac_header, skb.network_header, skb.mac_len, skb.pkt_type) == (0, 14, 14, 0)
    assert skb.data_len == 7
    consume_skb(skb)
    rig.close()


def test_what_the_kernel_refuses_is_lost_and_counted() -> None:
    rig = Rig()
    rig.kernel.close()
    skb = super_segment(rig.dev, tcp_frame(b'abc'), 1448, [], partial=False)
    skb.gso_size = 0
    skb.data, skb.len = 14, skb.len - 14
    dev_queue_xmit(skb)
    assert (rig.dev.stats.tx_packets, rig.dev.stats.tx_dropped) == (0, 1)
    rig.close()


def test_closing_twice_and_packets_that_come_later() -> None:
    rig = Rig()
    fd = rig.ops.fd
    assert rig.ops.ndo_stop(rig.dev) == 0
    assert rig.ops.ndo_stop(rig.dev) == 0
    with pytest.raises(OSError, match='Bad file'):
        os.fstat(fd)
    rig.world.sched._poll_fds(0)
    rig.close()


def test_the_interface_is_gone() -> None:
    """What a read fails with then is not EAGAIN: carrier lost, no more watching, packets down are dropped."""
    rig = Rig()
    watched = set(rig.world.sched._fds)
    with open('/dev/null', 'wb') as sink:
        os.dup2(sink.fileno(), rig.ops.fd)
    assert rig.ops.napi is not None
    assert tun.tun_poll(rig.ops.napi, rig.ops, 64) == 0
    assert not rig.dev.carrier
    assert set(rig.world.sched._fds) == watched - {rig.ops.fd}
    rig.close()


@pytest.mark.parametrize(('packet', 'expected'), [
    (tcp_frame(b'xyz', ethernet=False), 52),
    (tcp_frame(b'xyz', ethernet=False, options=b''), 40),
    (tcp_frame(b'', ethernet=False), 52),
    (b'\x45' + bytes(8) + b'\x11' + bytes(30), 28),
    (b'\x46' + bytes(8) + b'\x11' + bytes(30), 32),
    (b'\x45' + bytes(8) + b'\x01' + bytes(30), 40),
    (b'\x60' + bytes(60), 61),
    (tcp6_frame(b'xyz')[14:], 72),
    (tcp6_frame(b'xyz', options=b'')[14:], 60),
    (tcp6_frame(b'xyz', ext=DSTOPT)[14:], 83),
    (b'\x60' + bytes(5) + b'\x11' + bytes(40), 47),
    (b'\x60' + bytes(5) + b'\x11' + bytes(60), 48),
    (b'\x45' + bytes(10), 11),
    (b'\x45' + bytes(8) + b'\x06' + bytes(15), 25),
    (b'\x4f' + bytes(8) + b'\x11' + bytes(30), 40),
])
def test_header_lengths(packet: bytes, expected: int) -> None:
    assert tun_header_len(packet, 0, len(packet), False) == expected
    assert tun_header_len(PLAIN + packet, 10, len(packet), False) == expected
    frame = bytes(12) + b'\x08\0' + packet
    assert tun_header_len(frame, 0, len(frame), True) == expected + 14
    arp = bytes(12) + b'\x08\x06' + packet
    assert tun_header_len(arp, 0, len(arp), True) == len(arp)


def test_errors_say_what_to_do() -> None:
    for name in ('', 'a' * 16, 'ä' * 8):
        with pytest.raises(OSError, match='no name for an interface') as caught:
            tun_attach(name, False, True)
        assert caught.value.errno == errno.EINVAL
    error = tun_error(OSError(errno.EPERM, 'no'), 'tun7', 'tap')
    assert isinstance(error, PermissionError)
    assert 'sudo ip tuntap add dev tun7 mode tap user $USER' in str(error)
    assert 'in use' in str(tun_error(OSError(errno.EBUSY, 'no'), 'tun7', 'tun'))
    assert 'no tun device' in str(tun_error(OSError(errno.EINVAL, 'no'), 'tun7', 'tun'))
    assert 'strange' in str(tun_error(OSError(errno.ENOTTY, 'strange'), 'tun7', 'tun'))
    assert tun.DEV_NET_TUN == '/dev/net/tun'
