# SPDX-License-Identifier: Apache-2.0
"""report/packets.py: the packets of a link as text, and what became of each."""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path

import pytest

from linnet import Lab
from linnet.include.linux.in6 import in6_bytes, in6_pton
from linnet.kernel.clock import DEFAULT_EPOCH_NS
from linnet.report import packets


def told(path: Path, lab: Lab) -> list[str]:
    lab.close()
    return packets.lines(path, lab.world.clock.epoch_ns)


def talk() -> None:
    with socket.create_connection(('b', 7)) as sock:
        sock.sendall(b'hello')
        sock.recv(9)


def answer() -> None:
    conn, _ = socket.create_server(('', 7)).accept()
    with conn:
        conn.sendall(conn.recv(9).upper())
        conn.recv(9)


def test_a_conversation_with_a_loss(tmp_path: Path) -> None:
    lab = Lab(seed=1)
    a, b = lab.host('a'), lab.host('b')
    link = lab.link(a, b, delay='10ms')
    lab.pcap(tmp_path / 'x', link.a, link.b)
    lab.at('35ms', link.lose, 2, direction=a)
    b.spawn(answer)
    a.spawn(talk)
    lab.run()
    lines = told(tmp_path / 'x', lab)
    assert lines[:2] == ['0.000000  a > b  ARP who has 198.18.0.2? tell 198.18.0.1   +10 ms',
                         '0.010000  b > a  ARP 198.18.0.2 is at 02:00:00:00:00:02   +10 ms']
    port = lines[2].split(' > ')[1].split('.')[-1]
    here, there = f'198.18.0.1.{port}', '198.18.0.2.7'
    assert lines[2:7] == [
        f'0.020000  a > b  {here} > {there}  [S] seq 0 len 0   +10 ms',
        f'0.030000  b > a  {there} > {here}  [S.] seq 0 ack 1 len 0   +10 ms',
        f'0.040000  a > b  {here} > {there}  [.] ack 1 len 0   LOST',
        f'0.040000  a > b  {here} > {there}  [P.] seq 1:6 ack 1 len 5   LOST',
        f'0.280000  a > b  {here} > {there}  [P.] seq 1:6 ack 1 len 5   +10 ms']
    assert any('[F.] seq 6 ack 6 len 0' in line for line in lines)


def test_of_equal_frames_the_right_one_was_lost(tmp_path: Path) -> None:
    """ARP asks in the same words each second: what arrives at 1.01 s is the second question."""
    lab = Lab(seed=1)
    a, b = lab.host('a'), lab.host('b')
    link = lab.link(a, b, delay='10ms')
    lab.pcap(tmp_path / 'x', link.a, link.b)
    link.lose(1)
    udp = lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'abc', ('b', 9))  # noqa: E731
    a.spawn(udp)
    lab.run(until=3)
    lines = told(tmp_path / 'x', lab)
    assert [line.split('   ')[-1] for line in lines[:3]] == ['LOST', '+10 ms', '+10 ms']
    assert 'UDP len 3' in lines[3]
    assert '198.18.0.2 > 198.18.0.1  ICMP unreachable' in lines[4]


def test_what_flies_at_the_end_and_fragments(tmp_path: Path) -> None:
    lab = Lab(seed=1)
    a, b = lab.host('a'), lab.host('b')
    link = lab.link(a, b, delay='10ms', mtu=600)
    lab.pcap(tmp_path / 'x', link.a, link.b)
    a.spawn(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(bytes(1000), ('b', 9)))
    b.spawn(time.sleep, 1)
    lab.run(until=0.025)
    lab.taps[0].flush()
    lines = packets.lines(tmp_path / 'x', DEFAULT_EPOCH_NS)
    lab.close()
    assert '198.18.0.1 > 198.18.0.2  IP protocol 17 fragment at 576 len 432' in lines[3]
    assert lines[3].endswith('lost, or under way at the end')


SYN = 2


def v6(nexthdr: int, payload: bytes) -> bytes:
    """An Ethernet frame with an IPv6 packet."""
    addresses = in6_bytes(in6_pton('2001:db8::1')) + in6_bytes(in6_pton('2001:db8::2'))
    return bytes(12) + struct.pack('!HIHBB', 0x86DD, 6 << 28, len(payload), nexthdr, 64) + addresses + payload


def segment(flags: int) -> bytes:
    """A TCP header from port 1000 to 80."""
    return struct.pack('!HHIIBBHHH', 1000, 80, 5, 0, 5 << 4, flags, 100, 0, 0)


@pytest.mark.parametrize(('frame', 'text'), [
    (bytes(12) + b'\x88\xcc' + bytes(40), 'ethertype 0x88cc len 40'),
    (v6(6, segment(SYN)), '2001:db8::1.1000 > 2001:db8::2.80  [S] seq 0 len 0'),
    (v6(0, b'\x06\0' + bytes(6) + segment(SYN)), '2001:db8::1.1000 > 2001:db8::2.80  [S] seq 0 len 0'),
    (v6(17, bytes.fromhex('0035 1f90 0008 0000')), '2001:db8::1.53 > 2001:db8::2.8080  UDP len 0'),
    (v6(58, bytes.fromhex('87000000 00000000') + in6_bytes(in6_pton('fe80::1'))),
     '2001:db8::1 > 2001:db8::2  ICMPv6 neighbour solicitation, who has fe80::1?'),
    (v6(58, b'\x80' + bytes(7)), '2001:db8::1 > 2001:db8::2  ICMPv6 echo request'),
    (v6(44, bytes.fromhex('1100 0580 00000001') + bytes(9)),
     '2001:db8::1 > 2001:db8::2  IPv6 protocol 17 fragment at 1408 len 9'),
    (v6(89, bytes(3)), '2001:db8::1 > 2001:db8::2  IP protocol 89 len 3'),
    (bytes(12) + b'\x08\x00\x45\x00\x00\x1c' + bytes(4) + b'\x40\x2f' + bytes(18), '0.0.0.0 > 0.0.0.0  IP protocol 47 len 8'),
    (bytes(12) + b'\x08\x00\x45\x00\x00\x1c' + bytes(4) + b'\x40\x01' + bytes(10) + b'\x08' + bytes(7),
     '0.0.0.0 > 0.0.0.0  ICMP echo request'),
])
def test_other_frames(frame: bytes, text: str) -> None:
    assert packets.Describer().frame(frame) == text
