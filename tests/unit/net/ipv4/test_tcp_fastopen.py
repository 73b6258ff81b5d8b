# SPDX-License-Identifier: Apache-2.0
"""Fast Open: keys and cookies, the listener's limit, what is left behind, and the whole way between two hosts of one world."""
from __future__ import annotations

import errno

import pytest

from helpers.hosts import Pair, fails
from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE, MS, SEC, THERE, Segment, Wire
from linnet.include.linux.inet import in_aton
from linnet.include.linux.socket import MSG_DONTWAIT, MSG_FASTOPEN, SO_LINGER, SOL_SOCKET, SOL_TCP
from linnet.include.net.request_sock import TcpFastopenContext, TcpFastopenCookie
from linnet.include.net.tcp import (
    TCP_FASTOPEN,
    TCP_FASTOPEN_CONNECT,
    TCP_FASTOPEN_KEY,
    TCP_FASTOPEN_NO_COOKIE,
    TCP_INFO,
    TcpSock,
)
from linnet.include.net.tcp_states import TCP_ESTABLISHED, TCP_SYN_RECV
from linnet.net import socket as s
from linnet.net.core.skbuff import alloc_skb
from linnet.net.ipv4.tcp_fastopen import tcp_fastopen_cookie_of, tcp_fastopen_key_parse, tcp_fastopen_key_text
from linnet.net.ipv4.tcp_info import TCPI_OPT_SYN_DATA, TCPI_OPT_TFO_CHILD
from linnet.net.ipv4.tcp_input_opt import tcp_parse_fastopen_option

KEY_TEXT = 'a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4'
KEY = bytes.fromhex('a1a1a1a1b2b2b2b2c3c3c3c3d4d4d4d4')
FO_REQUEST = b'\x22\x02'


def option(segment: Segment) -> bytes | None:
    """The cookie of a segment's Fast Open option; None: it has none."""
    i = 0
    while i < len(segment.options):
        kind = segment.options[i]
        if kind == 1:
            i += 1
            continue
        size = segment.options[i + 1]
        if kind == 34:
            return segment.options[i + 2:i + size]
        i += size
    return None


def listening(qlen: int = 5, sysctl: int = 0x202) -> tuple[Wire, int]:
    """A host whose listener on port 80 takes Fast Opens, without cookies unless sysctl says so."""
    wire = Wire()
    wire.net.ipv4.sysctl_tcp_fastopen = sysctl
    fd = wire.prog.socket()
    wire.prog.setopt(fd, SOL_TCP, TCP_FASTOPEN, qlen)
    wire.prog.bind(fd, HERE, 80)
    wire.prog.listen(fd)
    return wire, fd


def syn_data(caller: Caller, data: bytes, options: bytes = b'') -> Segment:
    """Send a SYN with data; the SYN-ACK that answers."""
    caller.send('S', seq=0, data=data, options=caller.syn_options() + options)
    answer = caller.wire.take()[-1]
    caller.their_isn = answer.seq
    caller.nxt = 1 + len(data)
    return answer


def info(wire: Wire, fd: int) -> bytes:
    """struct tcp_info."""
    return s.sys_getsockopt(wire.prog.process, fd, SOL_TCP, TCP_INFO, 256)


def drained(wire: Wire) -> dict[str, int]:
    """The slab objects that are left."""
    return {name: n for name, n in wire.world.slab.active().items() if name in ('TCP', 'request_sock_TCP') and n}


class TestKeys:
    def test_text_and_back(self) -> None:
        assert tcp_fastopen_key_parse(KEY_TEXT) == KEY
        assert tcp_fastopen_key_text(TcpFastopenContext(KEY, b'')) == KEY_TEXT
        assert tcp_fastopen_key_text(TcpFastopenContext(KEY, bytes(16))) == KEY_TEXT + ',00000000-00000000-00000000-00000000'
        assert tcp_fastopen_key_parse('1-2-3-4') == bytes.fromhex('01000000020000000300000004000000')

    @pytest.mark.parametrize('text', ['', '1-2-3', '1-2-3-4-5', '1-2-3-x', '1-2-3-123456789', '1--3-4', '+1-2-3-4'])
    def test_bad_text(self, text: str) -> None:
        assert tcp_fastopen_key_parse(text) == b''

    def test_sysctl(self) -> None:
        wire = Wire()
        registry = wire.net.sysctl
        assert registry.get('net.ipv4.tcp_fastopen_key') == '00000000-00000000-00000000-00000000'
        assert registry.set('net.ipv4.tcp_fastopen_key', KEY_TEXT + ',1-2-3-4') == 0
        assert registry.get('net.ipv4.tcp_fastopen_key') == KEY_TEXT + ',00000001-00000002-00000003-00000004'
        assert registry.set('net.ipv4.tcp_fastopen_key', KEY_TEXT + ',') == -errno.EINVAL
        assert registry.set('net.ipv4.tcp_fastopen_key', 'nonsense') == -errno.EINVAL
        assert registry.get('net.ipv4.tcp_fastopen_key').startswith(KEY_TEXT)

    def test_cookie_of_the_public_scripts(self) -> None:
        # the addresses and the cookie of packetdrill's defaults
        syn = alloc_skb(Wire().net.world, 0)
        syn.saddr, syn.daddr = in_aton('192.0.2.1'), in_aton('192.168.0.1')
        assert tcp_fastopen_cookie_of(KEY, syn).hex() == '3021b9d889017eeb'

    def test_a_host_draws_its_key_once(self) -> None:
        wire, fd = listening()
        first = s.sys_getsockopt(wire.prog.process, fd, SOL_TCP, TCP_FASTOPEN_KEY, 32)
        assert len(first) == 16
        assert first != bytes(16)
        assert s.sys_getsockopt(wire.prog.process, wire.prog.socket(), SOL_TCP, TCP_FASTOPEN_KEY, 32) == first

    def test_a_listener_may_have_its_own(self) -> None:
        wire, fd = listening()
        wire.prog.setopt(fd, SOL_TCP, TCP_FASTOPEN_KEY, KEY + bytes(16))
        assert s.sys_getsockopt(wire.prog.process, fd, SOL_TCP, TCP_FASTOPEN_KEY, 32) == KEY + bytes(16)
        assert s.sys_getsockopt(wire.prog.process, fd, SOL_TCP, TCP_FASTOPEN_KEY, 16) == KEY
        assert wire.net.sysctl.get('net.ipv4.tcp_fastopen_key') != KEY_TEXT
        for size in (0, 3, 15, 17, 33):
            with fails('EINVAL'):
                wire.prog.setopt(fd, SOL_TCP, TCP_FASTOPEN_KEY, bytes(size))


class TestOption:
    @pytest.mark.parametrize(('size', 'length'), [(0, 0), (2, -1), (3, -7), (4, 4), (5, -7), (8, 8), (16, 16), (18, -1)])
    def test_lengths(self, size: int, length: int) -> None:
        foc = TcpFastopenCookie()
        foc.len = -7  # an odd length leaves all as it was
        tcp_parse_fastopen_option(foc, bytes(range(size)), False)
        assert foc.len == length
        if length > 0:
            assert foc.val == bytes(range(size))


class TestOptions:
    def test_ranges_and_states(self) -> None:
        wire = Wire()
        fd = wire.prog.socket()
        for name in (TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE):
            assert wire.prog.getopt(fd, SOL_TCP, name) == 0
            wire.prog.setopt(fd, SOL_TCP, name, 1)
            assert wire.prog.getopt(fd, SOL_TCP, name) == 1
            for value in (-1, 2):
                with fails('EINVAL'):
                    wire.prog.setopt(fd, SOL_TCP, name, value)
        with fails('EINVAL'):
            wire.prog.setopt(fd, SOL_TCP, TCP_FASTOPEN, -1)
        wire.prog.setopt(fd, SOL_TCP, TCP_FASTOPEN, 100_000)
        assert wire.prog.getopt(fd, SOL_TCP, TCP_FASTOPEN) == 4096  # somaxconn

    def test_not_on_a_connection(self) -> None:
        wire = Wire()
        fd = wire.prog.nonblocking(wire.prog.socket())
        with fails('EINPROGRESS'):
            wire.prog.connect(fd, THERE, 80)
        for name in (TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE):
            with fails('EINVAL'):
                wire.prog.setopt(fd, SOL_TCP, name, 1)

    def test_all_listeners(self) -> None:
        wire = Wire()
        wire.net.ipv4.sysctl_tcp_fastopen = 0x402
        assert wire.prog.getopt(wire.prog.server(80, HERE, backlog=3), SOL_TCP, TCP_FASTOPEN) == 3
        wire.net.ipv4.sysctl_tcp_fastopen = 2
        assert wire.prog.getopt(wire.prog.server(81, HERE, backlog=3), SOL_TCP, TCP_FASTOPEN) == 0


class TestServer:
    def test_child_is_there_at_once(self) -> None:
        wire, listener = listening()
        caller = Caller(wire, 80)
        answer = syn_data(caller, b'hello')
        assert answer.flags == 'S.'
        assert answer.ack == caller.isn + 6
        fd = wire.prog.accept(listener)[0]
        assert wire.prog.recv(fd) == b'hello'
        told = info(wire, fd)
        assert told[0] == TCP_SYN_RECV
        assert told[5] & TCPI_OPT_SYN_DATA
        assert told[5] & TCPI_OPT_TFO_CHILD
        caller.say('.')
        assert info(wire, fd)[0] == TCP_ESTABLISHED
        assert wire.net.mib.get('TcpExtTCPFastOpenPassive') == 1

    def test_rtt_is_the_handshakes(self) -> None:
        wire, listener = listening()
        caller = Caller(wire, 80)
        syn_data(caller, b'hello')
        fd = wire.prog.accept(listener)[0]
        wire.advance(30 * MS)
        caller.say('.')
        assert int.from_bytes(info(wire, fd)[68:72], 'little') == 30_000

    def test_limit(self) -> None:
        wire, listener = listening(qlen=2)
        callers = [Caller(wire, 80, port=4000 + i) for i in range(3)]
        acks = [syn_data(caller, b'x').ack - caller.isn for caller in callers]
        assert acks == [2, 2, 1]
        assert wire.net.mib.get('TcpExtTCPFastOpenListenOverflow') == 1
        callers[0].say('.')  # its handshake is complete: there is room for one more
        assert syn_data(Caller(wire, 80, port=4010), b'x').ack == 5000 + 2
        assert wire.prog.accept(listener)

    @pytest.mark.parametrize('accepted', [False, True])
    def test_a_reset_one_counts_for_a_minute(self, accepted: bool) -> None:
        wire, listener = listening(qlen=1)
        caller = Caller(wire, 80)
        syn_data(caller, b'x')
        if accepted:
            fd = wire.prog.accept(listener)[0]
        caller.say('R.')
        assert not wire.take()
        # before accept() the child itself waits in the queue, and no more needs to be remembered
        late = [(0, 1 if accepted else 2), (59, 1), (61, 2)] if accepted else [(0, 2)]
        for i, (second, ack) in enumerate(late):
            wire.advance(max(0, second * SEC - wire.now))
            assert syn_data(Caller(wire, 80, port=4100 + i), b'x').ack == 5000 + ack
        if accepted:
            assert wire.prog.recv(fd) == b'x'
            with fails('ECONNRESET'):
                wire.prog.recv(fd)

    def test_cookie_is_needed(self) -> None:
        wire, listener = listening(sysctl=2)
        caller = Caller(wire, 80)
        answer = syn_data(caller, b'hello', FO_REQUEST)
        assert answer.ack == caller.isn + 1
        cookie = option(answer)
        assert cookie is not None
        assert len(cookie) == 8
        assert wire.net.mib.get('TcpExtTCPFastOpenCookieReqd') == 1
        other = Caller(wire, 80, port=4001)
        assert syn_data(other, b'hello', bytes([34, 10]) + cookie).ack == other.isn + 6
        assert wire.prog.accept(listener)

    def test_off(self) -> None:
        wire, _ = listening(sysctl=1)
        answer = syn_data(Caller(wire, 80), b'hello', FO_REQUEST)
        assert answer.ack == 5001
        assert option(answer) is None

    def test_out_of_window_segment_is_answered(self) -> None:
        wire, listener = listening()
        caller = Caller(wire, 80)
        syn_data(caller, b'hello')
        fd = wire.prog.accept(listener)[0]
        caller.send('.', seq=3_000_000, data=b'x')
        assert caller.got() == [('.', 1, 0, 6)]
        assert info(wire, fd)[0] == TCP_SYN_RECV

    def test_nothing_is_left(self) -> None:
        wire, listener = listening()
        for i, end in enumerate(('handshake', 'reset', 'close', 'abort', 'queue')):
            caller = Caller(wire, 80, port=4000 + i)
            syn_data(caller, b'hello')
            if end == 'queue':
                break
            fd = wire.prog.accept(listener)[0]
            if end == 'handshake':
                caller.say('.')
                wire.prog.recv(fd)
            elif end == 'reset':
                caller.say('R.')
            elif end == 'abort':
                wire.prog.setopt(fd, SOL_SOCKET, SO_LINGER, (1).to_bytes(4, 'little') + bytes(4))
            wire.prog.close(fd)
        wire.prog.close(listener)
        wire.take()
        wire.advance(400 * SEC)
        assert drained(wire) == {}

    def test_window_of_the_syn_is_not_scaled(self) -> None:
        wire, listener = listening()
        caller = Caller(wire, 80, wscale=7, mss=1000, window=2000)
        syn_data(caller, b'hello')
        fd = wire.prog.accept(listener)[0]
        wire.prog.nonblocking(fd)
        assert wire.prog.send(fd, bytes(5000)) == 5000
        assert sum(len(segment.data) for segment in wire.take()) == 2000
        caller.send('.', window=2000)
        assert sum(len(segment.data) for segment in wire.take()) == 3000


def pair() -> Pair:
    """Two hosts; the server's takes Fast Opens by cookie."""
    hosts = Pair()
    for net in (hosts.a.net, hosts.b.net):
        net.ipv4.sysctl_tcp_fastopen = 0x403
    return hosts


class TestPair:
    def test_second_connection_opens_fast(self) -> None:
        hosts = pair()
        listener = hosts.b.server(80)
        got: list[bytes] = []

        def client() -> None:
            for _ in range(2):
                fd = hosts.a.socket()
                hosts.a.sendto(fd, b'hello', '10.0.0.2', 80, MSG_FASTOPEN)
                assert hosts.a.recv(fd) == b'HELLO'
                hosts.a.close(fd)

        def server() -> None:
            for _ in range(2):
                fd = hosts.b.accept(listener)[0]
                data = hosts.b.recv(fd)
                got.append(data)
                hosts.b.send(fd, data.upper())
                hosts.b.close(fd)
            hosts.b.close(listener)

        hosts.run(client, server)
        assert got == [b'hello', b'hello']
        assert hosts.net_a.mib.get('TcpExtTCPFastOpenActive') == 1
        assert hosts.net_b.mib.get('TcpExtTCPFastOpenPassive') == 1
        assert hosts.net_b.mib.get('TcpExtTCPFastOpenCookieReqd') == 1
        left = hosts.leftovers()
        assert left.get('TCP', 0) == 0
        assert left.get('request_sock_TCP', 0) == 0

    def test_client_fail_says_why(self) -> None:
        hosts = pair()
        listener = hosts.b.server(80)
        why: list[int] = []

        def connect() -> None:
            fd = hosts.a.socket()
            hosts.a.sendto(fd, b'x', '10.0.0.2', 80, MSG_FASTOPEN)
            why.append(s.sys_getsockopt(hosts.a.process, fd, SOL_TCP, TCP_INFO, 256)[7] >> 1 & 3)
            hosts.a.close(fd)

        def accept() -> None:
            hosts.b.close(hosts.b.accept(listener)[0])

        hosts.run(connect, accept)
        hosts.run(connect, accept)
        hosts.net_b.ipv4.sysctl_tcp_fastopen = 1  # the server forgets about Fast Open
        hosts.run(connect, accept)
        assert why == [1, 0, 2]  # TFO_COOKIE_UNAVAILABLE, TFO_STATUS_UNSPEC, TFO_DATA_NOT_ACKED

    def test_deferred_connect_is_writable(self) -> None:
        hosts = pair()
        listener = hosts.b.server(80)

        def warm() -> None:
            fd = hosts.a.socket()
            hosts.a.sendto(fd, b'', '10.0.0.2', 80, MSG_FASTOPEN)
            hosts.a.close(fd)

        def accept() -> None:
            hosts.b.close(hosts.b.accept(listener)[0])

        hosts.run(warm, accept)

        def deferred() -> None:
            fd = hosts.a.socket()
            hosts.a.setopt(fd, SOL_TCP, TCP_FASTOPEN_CONNECT, 1)
            hosts.a.connect(fd, '10.0.0.2', 80)
            assert hosts.a.poll(fd, 0x004) == 0x004
            with fails('EINPROGRESS'):
                hosts.a.send(fd, b'', MSG_DONTWAIT)
            assert hosts.a.send(fd, b'data') == 4

        def read() -> bytes:
            return hosts.b.recv(hosts.b.accept(listener)[0])

        assert hosts.run(deferred, read)[1] == b'data'

    def test_equal_seeds_give_equal_keys(self) -> None:
        keys = []
        for _ in range(2):
            hosts = pair()
            hosts.b.server(80)
            ctx = hosts.net_b.ipv4.tcp_fastopen_ctx
            assert ctx is not None
            keys.append(ctx.keys)
        assert keys[0] == keys[1]


def test_sock_of_a_child_knows_its_request() -> None:
    wire, listener = listening()
    caller = Caller(wire, 80)
    syn_data(caller, b'hello')
    fd = wire.prog.accept(listener)[0]
    sock = s.sock_from_file(s.sockfd_lookup(wire.prog.process, fd))
    sk = sock.sk
    assert isinstance(sk, TcpSock)
    assert sk.fastopen_rsk is not None
    caller.say('.')
    assert sk.fastopen_rsk is None
