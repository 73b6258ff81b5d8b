# SPDX-License-Identifier: Apache-2.0
"""TCP_MD5SIG: RFC 2385 between two hosts that agree, and against peers that do not."""
from __future__ import annotations

from collections.abc import Callable

import pytest

from helpers.hosts import Pair, Prog, fails
from helpers.tcp_md5 import KEY, Signing, digest, md5sig, set_key, signature, signed
from helpers.tcp_wire import THERE, Wire
from linnet.include.linux.netdevice import NetDevice, PacketType
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import AF_INET6, SOL_TCP
from linnet.include.net.tcp import TCP_MD5SIG, TCP_MD5SIG_EXT
from linnet.net import socket as sys
from linnet.net.core.dev import dev_add_pack
from linnet.net.core.skbuff import consume_skb, skb_bytes

SEC = 10**9


class Tap(PacketType):
    """Keeps the IP packets that a host receives."""

    def __init__(self) -> None:
        super().__init__(0x0800)
        self.packets: list[bytes] = []

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> int:
        self.packets.append(skb_bytes(skb)[-(skb.len):])
        consume_skb(skb)
        return 0


def listen_taps(pair: Pair) -> list[bytes]:
    """All TCP packets between the hosts from now on."""
    tap = Tap()
    for net in (pair.net_a, pair.net_b):
        dev_add_pack(net, tap)
    return tap.packets


def counters(prog: Prog) -> dict[str, int]:
    """TCPMD5* of a host."""
    from linnet.net.ipv4.proc import nstat_fields
    return {name[9:]: value for name, value in nstat_fields(prog.net) if 'MD5' in name and value}


def talk(pair: Pair, client_key: Callable[[int], None], server_key: Callable[[int], None]) -> bytes:
    """A connection from a to b, 100 kB one way and an answer."""
    listener = pair.b.server(80)
    server_key(listener)
    data = bytes(range(250)) * 400

    def client() -> bytes:
        fd = pair.a.socket()
        client_key(fd)
        pair.a.connect(fd, '10.0.0.2', 80)
        pair.a.sendall(fd, data)
        pair.a.shutdown(fd, 1)
        answer = pair.a.recvall(fd)
        pair.a.close(fd)
        return answer

    def server() -> None:
        fd = pair.b.accept(listener)[0]
        assert pair.b.recvall(fd) == data
        pair.b.sendall(fd, b'answer')
        pair.b.close(fd)

    answer, _ = pair.run(client, server, until=int(pair.world.clock.now) + 200 * SEC)
    assert isinstance(answer, bytes)
    return answer


@pytest.mark.parametrize('timestamps', ['0', '1'])
@pytest.mark.parametrize('sack', ['0', '1'])
def test_every_segment_is_signed(timestamps: str, sack: str) -> None:
    pair = Pair()
    for net in (pair.net_a, pair.net_b):
        net.sysctl.set('net.ipv4.tcp_timestamps', timestamps)
        net.sysctl.set('net.ipv4.tcp_sack', sack)
    packets = listen_taps(pair)
    assert talk(pair, lambda fd: set_key(pair.a, fd, '10.0.0.2'), lambda fd: set_key(pair.b, fd, '10.0.0.1')) == b'answer'
    assert counters(pair.a) == counters(pair.b) == {}
    assert len(packets) > 70
    for packet in packets:
        assert packet[9] == 6
        assert len(packet) <= 1500  # each is what goes on the wire
        assert signature(packet) == digest(packet, KEY)


@pytest.mark.parametrize(('client', 'server', 'counter'), [
    (KEY, b'another', 'MD5Failure'),
    (None, KEY, 'MD5NotFound'),
    (KEY, None, 'MD5Unexpected'),
])
def test_who_does_not_agree_is_not_answered(client: bytes | None, server: bytes | None, counter: str) -> None:
    pair = Pair()
    listener = pair.b.server(80)
    fd = pair.a.nonblocking(pair.a.socket())
    if server is not None:
        set_key(pair.b, listener, '10.0.0.1', server)
    if client is not None:
        set_key(pair.a, fd, '10.0.0.2', client)

    def connect() -> None:
        with fails('EINPROGRESS'):
            pair.a.connect(fd, '10.0.0.2', 80)

    pair.run(connect, until=int(pair.world.clock.now) + 10 * SEC)
    assert counters(pair.b)[counter] >= 3
    assert pair.a.poll(fd, 4) == 0


def test_prefixes() -> None:
    pair = Pair()

    def server_key(fd: int) -> None:
        set_key(pair.b, fd, '10.0.0.0', b'wide', flags=1, prefixlen=8)
        set_key(pair.b, fd, '10.0.0.0', KEY, flags=1, prefixlen=29)
        set_key(pair.b, fd, '10.0.0.7', b'other')

    assert talk(pair, lambda fd: set_key(pair.a, fd, '0.0.0.0', flags=1, prefixlen=0), server_key) == b'answer'


def test_a_listener_serves_those_without_keys_too() -> None:
    pair = Pair()
    assert talk(pair, lambda fd: None, lambda fd: set_key(pair.b, fd, '10.9.9.9')) == b'answer'


def test_keys_can_change_while_it_runs() -> None:
    pair = Pair()
    fd_a, fd_b = pair.connected()
    pair.run(lambda: pair.a.send(fd_a, b'plain'))
    set_key(pair.a, fd_a, '10.0.0.2')
    set_key(pair.b, fd_b, '10.0.0.1')
    pair.run(lambda: pair.a.send(fd_a, bytes(20_000)))
    set_key(pair.a, fd_a, '10.0.0.2', b'new')
    set_key(pair.b, fd_b, '10.0.0.1', b'new')
    pair.run(lambda: pair.a.send(fd_a, bytes(20_000)))
    assert pair.run(lambda: len(pair.b.recv(fd_b, 100_000))) == [40_005]
    assert counters(pair.b) == {}
    set_key(pair.a, fd_a, '10.0.0.2', b'')
    pair.run(lambda: pair.a.send(fd_a, b'x'), until=int(pair.world.clock.now) + 3 * SEC)
    assert counters(pair.b)['MD5NotFound'] > 1
    set_key(pair.b, fd_b, '10.0.0.1', b'')
    pair.world.sched.run(int(pair.world.clock.now) + 20 * SEC)
    assert pair.run(lambda: pair.b.recv(fd_b)) == [b'x']


def test_what_is_refused() -> None:
    prog = Pair().a
    fd = prog.socket()

    def refused(name: str, value: bytes, option: int = TCP_MD5SIG_EXT) -> None:
        with fails(name):
            sys.sys_setsockopt(prog.process, fd, SOL_TCP, option, value)

    refused('EINVAL', md5sig('10.0.0.2', KEY)[:-1], TCP_MD5SIG)
    refused('EINVAL', md5sig('10.0.0.2', KEY, family=AF_INET6))
    refused('EINVAL', md5sig('10.0.0.2', KEY, flags=1, prefixlen=33))
    refused('EINVAL', md5sig('10.0.0.2', KEY, flags=2, ifindex=5))
    refused('EINVAL', md5sig('10.0.0.2', bytes(81)))
    refused('ENOENT', md5sig('10.0.0.2', b''))
    set_key(prog, fd, '10.0.0.2', bytes(80))
    set_key(prog, fd, '10.0.0.2', b'')
    refused('ENOENT', md5sig('10.0.0.2', b''), TCP_MD5SIG)


def called() -> tuple[Wire, Signing, int]:
    """A host whose listener has a key, and who calls it."""
    wire = Wire()
    listener = wire.prog.server(80)
    set_key(wire.prog, listener, THERE)
    return wire, Signing(wire, 80), listener


def test_a_reset_is_signed_and_needs_a_signature() -> None:
    wire, peer, _ = called()
    peer.handshake()
    peer.say('.', ack=5000)  # acknowledges what was never sent
    assert signed(wire.take()) == ['.']
    peer.key = None
    peer.say('R', seq=1)
    peer.say('P.', data=b'forged')
    assert wire.take() == []
    assert counters(wire.prog) == {'MD5NotFound': 2}
    peer.key = KEY
    peer.say('R', seq=1)
    peer.say('P.', seq=1, data=b'late')
    assert signed(wire.take()) == ['R']  # by the key of the listener: the connection is gone


def test_the_ack_of_a_handshake_must_be_signed() -> None:
    wire, peer, _ = called()
    assert peer.syn() is not None
    peer.key = b'wrong'
    peer.say('.')
    assert counters(wire.prog) == {'MD5Failure': 1}
    peer.key = KEY
    peer.say('.', seq=70000)  # out of the window: the request says where it is
    assert signed(wire.take()) == ['.']
    peer.say('.')
    peer.say('P.', data=b'x')
    assert signed(wire.take()) == ['.']


def test_time_wait_signs_too() -> None:
    wire, peer, listener = called()
    peer.handshake()
    fd = wire.prog.accept(listener)[0]
    wire.prog.close(fd)
    assert signed(wire.take()) == ['F.']
    peer.rcv = 2
    peer.say('F.')
    assert signed(wire.take()) == ['.']
    peer.say('F.', seq=1)
    assert signed(wire.take()) == ['.']


def test_a_closed_port_does_not_answer_the_signed() -> None:
    wire = Wire()
    peer = Signing(wire, 81)
    assert peer.syn() is None
    peer.key = None
    peer.send('S', seq=0)
    assert [segment.flags for segment in wire.take()] == ['R.']
