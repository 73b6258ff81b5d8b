# SPDX-License-Identifier: Apache-2.0
"""Ways to end a connection that are not a plain close: disconnect, abort, too many orphans."""
from __future__ import annotations

import pytest

from helpers.hosts import fails
from helpers.tcp_wire import MS, SEC, THERE, Peer, Wire
from linnet.include.linux.socket import AF_UNSPEC, SHUT_RD, SHUT_WR, SOL_TCP, Sockaddr
from linnet.include.net.sock import Socket
from linnet.include.net.tcp import TCP_LINGER2, TcpSock
from linnet.include.net.tcp_states import (
    TCP_CLOSE,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT1,
    TCP_FIN_WAIT2,
    TCP_LAST_ACK,
    TCP_SYN_RECV,
    TCP_SYN_SENT,
)
from linnet.kernel.errno import ECONNABORTED
from linnet.net import socket as sys
from linnet.net.ipv4.tcp_close import tcp_abort, tcp_next_close_state


def connected() -> tuple[Wire, Peer, int]:
    """A host with a connection to the test."""
    wire = Wire()
    peer = Peer(wire)
    return wire, peer, peer.accept(10 * MS)


def sock_of(wire: Wire, fd: int) -> TcpSock:
    """The TcpSock behind a descriptor."""
    file = wire.prog.process.files.fcheck(fd)
    assert file is not None
    socket = file.private_data
    assert isinstance(socket, Socket)
    sk = socket.sk
    assert isinstance(sk, TcpSock)
    return sk


def gone(wire: Wire) -> bool:
    """Is no sock and no packet left?"""
    live = wire.world.slab.active()
    return not any(name in live for name in ('TCP', 'tw_sock_TCP', 'request_sock_TCP', 'skbuff_head_cache'))


@pytest.mark.parametrize(('state', 'after'), [
    (TCP_ESTABLISHED, TCP_FIN_WAIT1), (TCP_SYN_SENT, TCP_CLOSE), (TCP_SYN_RECV, TCP_FIN_WAIT1), (TCP_CLOSE_WAIT, TCP_LAST_ACK),
    (TCP_FIN_WAIT1, TCP_FIN_WAIT1), (TCP_FIN_WAIT2, TCP_FIN_WAIT2), (TCP_CLOSING, TCP_CLOSING), (TCP_LAST_ACK, TCP_LAST_ACK),
    (TCP_CLOSE, TCP_CLOSE),
])
def test_close_moves(state: int, after: int) -> None:
    assert tcp_next_close_state(state) == after


class TestDisconnect:
    def test_it_resets_and_the_socket_can_connect_again(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: sys.sys_connect(wire.prog.process, fd, Sockaddr(AF_UNSPEC)))
        assert [s[0] for s in peer.got()] == ['R.']
        assert sock_of(wire, fd).sk_state == TCP_CLOSE
        other = Peer(wire, port=9090)
        wire.world.sched.spawn(lambda: wire.prog.connect(fd, THERE, 9090), 'again')
        wire.run()
        syn = wire.take()[0]
        other.their_isn, other.their_port = syn.seq, syn.sport
        other.send('S.', seq=0, ack=1, options=other.syn_options())
        assert sock_of(wire, fd).sk_state == TCP_ESTABLISHED
        wire.run(lambda: wire.prog.send(fd, b'hello'))
        assert b''.join(s.data for s in wire.take()) == b'hello'


class TestAbort:
    def test_abort_resets_and_tells_the_program(self) -> None:
        wire, peer, fd = connected()
        sk = sock_of(wire, fd)

        def reader() -> None:
            with fails('ECONNABORTED'):
                wire.prog.recv(fd)

        wire.run(reader)
        tcp_abort(sk, ECONNABORTED)
        wire.run()
        assert [s[0] for s in peer.got()] == ['R.']
        wire.run(lambda: wire.prog.close(fd))
        wire.advance(SEC)
        assert gone(wire)


class TestOrphans:
    def test_too_many_are_reset(self) -> None:
        wire, peer, fd = connected()
        wire.net.ipv4.sysctl_tcp_max_orphans = 0
        wire.run(lambda: wire.prog.close(fd))
        assert [s[0] for s in peer.got()][-1] == 'R.'
        assert wire.net.mib.get('TcpExtTCPAbortOnMemory') == 1
        wire.advance(SEC)
        assert gone(wire)

    def test_linger2_below_zero_ends_fin_wait2_at_once(self) -> None:
        wire, peer, fd = connected()
        wire.prog.setopt(fd, SOL_TCP, TCP_LINGER2, -1)
        wire.run(lambda: wire.prog.shutdown(fd, SHUT_WR))
        peer.send('.', ack=2)
        peer.got()
        wire.run(lambda: wire.prog.close(fd))
        assert [s[0] for s in peer.got()] == ['R.']
        assert wire.net.mib.get('TcpExtTCPAbortOnLinger') == 1

    def test_fin_wait2_longer_than_time_wait_is_spent_as_full_sock_first(self) -> None:
        wire, peer, fd = connected()
        wire.net.ipv4.sysctl_tcp_fin_timeout = 90
        wire.run(lambda: wire.prog.close(fd))
        peer.send('.', ack=2)
        wire.advance(20 * SEC)
        assert wire.world.slab.active().get('TCP') == 1
        wire.advance(15 * SEC)
        assert 'TCP' not in wire.world.slab.active()
        assert wire.world.slab.active().get('tw_sock_TCP') == 1
        wire.advance(60 * SEC)
        assert gone(wire)

    def test_data_for_an_orphan_is_answered_by_a_reset(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.close(fd))
        peer.send('.', ack=2)
        peer.got()
        peer.send('P.', ack=2, data=b'too late')
        assert 'R' in peer.got()[0][0]


class TestHalfClose:
    def test_reading_goes_on_after_our_fin(self) -> None:
        wire, peer, fd = connected()
        wire.run(lambda: wire.prog.shutdown(fd, SHUT_WR))
        peer.send('.', ack=2)
        peer.send('P.', ack=2, data=b'more')
        assert wire.run(lambda: wire.prog.recv(fd)) == [b'more']

    def test_writing_goes_on_after_their_fin(self) -> None:
        wire, peer, fd = connected()
        peer.send('F.')
        assert wire.run(lambda: wire.prog.recv(fd)) == [b'']
        wire.run(lambda: wire.prog.send(fd, b'still here'))
        assert b''.join(s.data for s in wire.take()) == b'still here'
        wire.run(lambda: wire.prog.close(fd))
        assert sum(s[0].startswith('F') for s in peer.got()) == 1
        peer.send('.', ack=12)
        wire.advance(SEC)
        assert gone(wire)

    def test_shut_rd_ends_reading_at_once(self) -> None:
        wire, _, fd = connected()
        wire.run(lambda: wire.prog.shutdown(fd, SHUT_RD))
        assert wire.run(lambda: wire.prog.recv(fd)) == [b'']


def test_close_in_syn_sent_is_silent() -> None:
    wire = Wire()
    fd = wire.prog.nonblocking(wire.prog.socket())
    wire.run(lambda: pytest.raises(BlockingIOError, wire.prog.connect, fd, THERE, 80))
    wire.take()
    wire.run(lambda: wire.prog.close(fd))
    wire.advance(100 * SEC)
    assert wire.take() == []
    assert gone(wire)
