# SPDX-License-Identifier: Apache-2.0
"""send() on TCP sockets: waiting, limits, and what is told when it fails."""
from __future__ import annotations

import pytest

from helpers.hosts import fails
from helpers.tcp_wire import MS, SEC, THERE, Peer, Wire
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import MSG_DONTWAIT, MSG_FASTOPEN, SHUT_WR, SO_SNDBUF, SO_SNDTIMEO, SOL_SOCKET, SOL_TCP
from linnet.include.net.sock import Socket
from linnet.include.net.tcp import TCP_NODELAY, TCP_NOTSENT_LOWAT, TcpSock
from linnet.kernel.poll import EPOLLOUT
from linnet.kernel.sched import send_signal
from linnet.net.ipv4.tcp_info import tcp_get_info
from linnet.net.ipv4.tcp_sendmsg import skb_append_data


def connected(delay: int = 0, window: int = 65535, **options: object) -> tuple[Wire, Peer, int]:
    """A host with a connection to the test."""
    wire = Wire(**options)  # type: ignore[arg-type]
    peer = Peer(wire, window=window)
    return wire, peer, peer.accept(delay)


def sock_of(wire: Wire, fd: int) -> TcpSock:
    """The TcpSock behind a descriptor."""
    file = wire.prog.process.files.fcheck(fd)
    assert file is not None
    socket = file.private_data
    assert isinstance(socket, Socket)
    sk = socket.sk
    assert isinstance(sk, TcpSock)
    return sk


class TestWaiting:
    def test_a_send_before_the_handshake_ends_waits_for_it(self) -> None:
        wire = Wire()
        peer = Peer(wire)
        fd = wire.prog.nonblocking(wire.prog.socket())

        def connect() -> None:
            with fails('EINPROGRESS'):
                wire.prog.connect(fd, THERE, peer.port)

        wire.run(connect)
        syn = wire.take()[0]
        peer.their_isn, peer.their_port = syn.seq, syn.sport
        wire.prog.process.files.fcheck(fd).f_flags &= ~0o4000  # type: ignore[union-attr]
        sent: list[int] = []
        wire.run(lambda: sent.append(wire.prog.send(fd, b'early')))
        assert sent == []
        peer.send('S.', seq=0, ack=1, options=peer.syn_options())
        assert sent == [5]
        assert b''.join(s.data for s in wire.take()) == b'early'

    def test_a_send_on_a_fresh_socket_is_epipe(self) -> None:
        wire = Wire()

        def send() -> None:
            with fails('EPIPE'):
                wire.prog.send(wire.prog.socket(), b'x')

        wire.run(send)

    def test_sndtimeo(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_SOCKET, SO_SNDBUF, 5000)
        wire.prog.setopt(fd, SOL_SOCKET, SO_SNDTIMEO, (3).to_bytes(8, 'little') + bytes(8))
        start = wire.now
        ends: list[int] = []

        def send() -> None:
            first = wire.prog.send(fd, bytes(100_000))
            assert 0 < first < 100_000
            ends.append(wire.now - start)
            with fails('EAGAIN'):
                wire.prog.send(fd, b'x')
            ends.append(wire.now - start)

        wire.run(send, ns=20 * SEC)
        assert ends == [3 * SEC, 6 * SEC]

    def test_a_signal_ends_the_wait(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_SOCKET, SO_SNDBUF, 5000)
        wire.run(lambda: wire.prog.send(fd, bytes(100_000), MSG_DONTWAIT))

        def send() -> None:
            with fails('EINTR'):
                wire.prog.send(fd, bytes(1000))

        task = wire.world.sched.spawn(send, 'send')
        wire.run()
        send_signal(task, 15)
        wire.run()
        assert not task.alive()

    def test_a_shutdown_wakes_a_writer(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_SOCKET, SO_SNDBUF, 5000)
        wire.run(lambda: wire.prog.send(fd, bytes(100_000), MSG_DONTWAIT))
        done: list[bool] = []

        def send() -> None:
            with fails('EPIPE'):
                wire.prog.send(fd, bytes(1000))
            done.append(True)

        wire.run(send)
        wire.run(lambda: wire.prog.shutdown(fd, SHUT_WR))
        assert done == [True]

    @pytest.mark.parametrize(('allowed', 'error'), [(0, 'EOPNOTSUPP'), (2, 'EOPNOTSUPP'), (1, 'EISCONN')])
    def test_fastopen_of_a_connection(self, allowed: int, error: str) -> None:
        wire, _, fd = connected()
        wire.net.ipv4.sysctl_tcp_fastopen = allowed

        def send() -> None:
            with fails(error):
                wire.prog.send(fd, b'x', MSG_FASTOPEN)

        wire.run(send)


class TestPoll:
    def test_writable_again_when_a_third_is_free(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_SOCKET, SO_SNDBUF, 10000)
        wire.run(lambda: wire.prog.send(fd, bytes(100_000), MSG_DONTWAIT))
        assert wire.prog.poll(fd, EPOLLOUT) == 0
        sk = sock_of(wire, fd)
        while sk.sk_wmem_queued * 3 > sk.sk_sndbuf * 2:
            assert wire.prog.poll(fd, EPOLLOUT) == 0
            peer.send('.', ack=max(seq + length for _, seq, length, _ in peer.got()))
        assert wire.prog.poll(fd, EPOLLOUT) == EPOLLOUT

    def test_notsent_lowat_limits_what_is_not_sent(self) -> None:
        wire, peer, fd = connected(window=3000)
        wire.prog.setopt(fd, SOL_TCP, TCP_NOTSENT_LOWAT, 4000)
        taken = wire.run(lambda: wire.prog.send(fd, bytes(100_000), MSG_DONTWAIT))[0]
        assert isinstance(taken, int)
        sk = sock_of(wire, fd)
        assert taken < 100_000
        assert wire.prog.poll(fd, EPOLLOUT) == 0
        for _ in range(30):
            if wire.prog.poll(fd, EPOLLOUT):
                break
            ends = [seq + length for _, seq, length, _ in peer.got()]
            peer.send('.', ack=max(ends))
        assert wire.prog.poll(fd, EPOLLOUT) == EPOLLOUT
        assert (sk.write_seq - sk.snd_nxt) * 2 < 4000


class TestQueues:
    def test_many_small_writes_are_few_fragments(self) -> None:
        wire, peer, fd = connected(window=0)

        def send() -> None:
            for i in range(200):
                wire.prog.send(fd, bytes([i]))

        wire.run(send)
        skb = sock_of(wire, fd).sk_write_queue.next
        assert skb is not None
        assert skb.len == 200
        assert len(skb.frags) < 10
        peer.send('.', ack=1, window=10000)
        assert b''.join(s.data for s in wire.take()) == bytes(range(200))

    def test_memory_is_accounted_and_given_back(self) -> None:
        wire, peer, fd = connected()
        sk = sock_of(wire, fd)
        wire.run(lambda: wire.prog.send(fd, bytes(10_000)))
        assert sk.sk_wmem_queued > 10_000
        for _ in range(10):
            ends = [seq + length for _, seq, length, _ in peer.got()]
            if not ends:
                break
            peer.send('.', ack=max(ends))
        assert sk.sk_wmem_queued == 0
        assert sk.sk_wmem_alloc == 1

    def test_large_data_is_not_copied(self) -> None:
        wire, _, fd = connected(window=0)
        data = bytes(50_000)
        wire.run(lambda: wire.prog.send(fd, data))
        skb = sock_of(wire, fd).sk_write_queue.next
        assert skb is not None
        assert skb.frags[0].page is data

    def test_append_extends_a_run_of_the_same_page(self) -> None:
        wire = Wire()
        skb = SkBuff(wire.world)
        data = b'0123456789' * 1000
        skb_append_data(skb, data, 0, 5000)
        skb_append_data(skb, data, 5000, 5000)
        assert len(skb.frags) == 1
        assert skb.len == skb.data_len == 10_000


class TestAutocork:
    def test_small_writes_wait_for_a_packet_that_is_still_in_the_host(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_TCP, TCP_NODELAY, 1)
        wire.hold = True
        wire.run(lambda: wire.prog.send(fd, b'a' * 100))
        wire.run(lambda: wire.prog.send(fd, b'b' * 100))
        assert [s[1:3] for s in peer.got()] == [(1, 100)]
        wire.hold = False
        wire.release()
        wire.advance(MS)
        assert [s[1:3] for s in peer.got()] == [(101, 100)]
        assert wire.net.mib.get('TcpExtTCPAutoCorking') >= 1


class TestStillInTheHost:
    def test_what_lies_in_a_queue_of_this_host_is_not_sent_again(self) -> None:
        wire, peer, fd = connected(delay=100 * MS)
        wire.hold = True
        wire.run(lambda: wire.prog.send(fd, b'a' * 100))
        assert len(peer.got()) == 1
        wire.advance(400 * MS)
        assert peer.got() == []
        assert wire.net.mib.get('TcpExtTCPSpuriousRtxHostQueues') == 1
        wire.hold = False
        wire.release()
        wire.advance(2 * SEC)
        assert [s[1:3] for s in peer.got()][0] == (1, 100)


class TestChrono:
    def test_time_limited_by_the_peers_window(self) -> None:
        wire, peer, fd = connected(window=1000)
        wire.run(lambda: wire.prog.send(fd, bytes(5000), MSG_DONTWAIT))
        wire.advance(100 * MS)
        info = tcp_get_info(sock_of(wire, fd))
        assert 99_000 <= info['tcpi_busy_time'] <= 101_000
        assert 99_000 <= info['tcpi_rwnd_limited'] <= 101_000

    def test_idle_is_not_busy(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.send(fd, b'x'))
        wire.advance(50 * MS)
        peer.send('.', ack=2)
        wire.advance(SEC)
        assert 49_000 <= tcp_get_info(sock_of(wire, fd))['tcpi_busy_time'] <= 51_000
