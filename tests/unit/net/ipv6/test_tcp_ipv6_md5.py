# SPDX-License-Identifier: Apache-2.0
"""TCP_MD5SIG over IPv6: the digest covers IPv6's pseudo header, and keys of a socket are for peers of both families."""
from __future__ import annotations

import struct

import pytest

from helpers.hosts import Alone, Pair, Prog, fails
from helpers.tcp_md5 import KEY, Signing, digest, md5sig, set_key, signature, signed
from helpers.tcp_wire import SEC, THERE6, Wire
from linnet.include.linux.netdevice import NetDevice, PacketType
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import AF_INET6, SOL_TCP
from linnet.include.net.tcp import TCP_MD5SIG, TCP_MD5SIG_EXT
from linnet.net.core.dev import dev_add_pack
from linnet.net.core.skbuff import consume_skb, skb_bytes


class Tap(PacketType):
    """Keeps the packets of TCP that a host receives."""

    def __init__(self, type: int, packets: list[bytes]) -> None:
        super().__init__(type)
        self.packets = packets

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> int:
        packet = skb_bytes(skb)[-(skb.len):]
        if packet[6 if packet[0] >> 4 == 6 else 9] == 6:
            self.packets.append(packet)
        consume_skb(skb)
        return 0


def listen_taps(pair: Pair) -> list[bytes]:
    """All TCP packets between the hosts from now on."""
    packets: list[bytes] = []
    for net in (pair.net_a, pair.net_b):
        for type in (0x0800, 0x86DD):
            dev_add_pack(net, Tap(type, packets))
    return packets


@pytest.mark.parametrize(('to', 'server_peer', 'version'), [
    ('fd00::2', 'fd00::1', 6), ('::ffff:10.0.0.2', '::ffff:10.0.0.1', 4)])
def test_every_segment_is_signed(to: str, server_peer: str, version: int) -> None:
    pair = Pair(v6=True)
    packets = listen_taps(pair)
    listener = pair.b.server(80, '::')
    set_key(pair.b, listener, server_peer)

    def client() -> bytes:
        fd = pair.a.socket(family=AF_INET6)
        set_key(pair.a, fd, to)
        pair.a.connect(fd, to, 80)
        pair.a.sendall(fd, bytes(50_000))
        pair.a.shutdown(fd, 1)
        return pair.a.recvall(fd)

    def server() -> None:
        fd = pair.b.accept(listener)[0]
        assert len(pair.b.recvall(fd)) == 50_000
        pair.b.sendall(fd, b'answer')
        pair.b.close(fd)

    assert pair.run(client, server, until=int(pair.world.clock.now) + 100 * SEC)[0] == b'answer'
    assert len(packets) > 35
    for packet in packets:
        assert packet[0] >> 4 == version
        assert len(packet) <= 1500
        assert signature(packet) == digest(packet, KEY)


def called() -> tuple[Wire, Signing, int]:
    """A host whose listener has a key, and who calls it."""
    wire = Wire(v6=True)
    listener = wire.prog.server(80, '::')
    set_key(wire.prog, listener, THERE6)
    return wire, Signing(wire, 80), listener


def test_who_does_not_sign_is_not_answered() -> None:
    wire, peer, _ = called()
    peer.key = None
    assert peer.syn() is None
    peer.key = b'wrong'
    assert peer.syn() is None
    assert wire.net.mib.get('TcpExtTCPMD5NotFound') == 1
    assert wire.net.mib.get('TcpExtTCPMD5Failure') == 1


def test_answers_without_a_sock_are_signed() -> None:
    wire, peer, listener = called()
    peer.syn()
    peer.say('.', seq=70000)  # out of the window: the request says where it is
    assert signed(wire.take()) == ['.']
    peer.say('.')
    fd = wire.prog.accept(listener)[0]
    wire.prog.close(fd)
    assert signed(wire.take()) == ['F.']
    peer.rcv = 2
    peer.say('F.')
    assert signed(wire.take()) == ['.']
    peer.say('F.', seq=1)  # TIME_WAIT
    assert signed(wire.take()) == ['.']


def test_a_reset_by_the_key_of_a_listener() -> None:
    wire, peer, _ = called()
    peer.their_isn = 7
    peer.say('P.', data=b'late')
    assert signed(wire.take()) == ['R']


def test_prefixes() -> None:
    wire = Wire(v6=True)
    listener = wire.prog.server(80, '::')
    set_key(wire.prog, listener, 'fd00::', b'wide', flags=1, prefixlen=8)
    set_key(wire.prog, listener, 'fd00::', KEY, flags=1, prefixlen=64)
    set_key(wire.prog, listener, '::ffff:0.0.0.0', b'other', flags=1, prefixlen=0)
    assert Signing(wire, 80).syn() is not None


def test_what_is_refused() -> None:
    prog: Prog = Alone()
    fd = prog.socket(family=AF_INET6)
    for value, option in (
            (md5sig('10.0.0.2', KEY), TCP_MD5SIG),  # not an address of its family
            (md5sig('fd00::2', KEY)[:-1], TCP_MD5SIG),
            (md5sig('fd00::2', KEY, flags=1, prefixlen=129), TCP_MD5SIG_EXT),
            (md5sig('::ffff:10.0.0.2', KEY, flags=1, prefixlen=33), TCP_MD5SIG_EXT),
            (md5sig('fd00::2', KEY)[:130] + struct.pack('<H', 81) + md5sig('fd00::2', KEY)[132:], TCP_MD5SIG)):
        with fails('EINVAL'):
            prog.setopt(fd, SOL_TCP, option, value)
    with fails('ENOENT'):
        prog.setopt(fd, SOL_TCP, TCP_MD5SIG, md5sig('fd00::2', b''))
    set_key(prog, fd, 'fd00::2')
    prog.setopt(fd, SOL_TCP, TCP_MD5SIG, md5sig('fd00::2', b''))
