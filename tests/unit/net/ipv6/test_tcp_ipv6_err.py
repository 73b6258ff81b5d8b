# SPDX-License-Identifier: Apache-2.0
"""ICMPv6 errors for TCP: what ends a connect, what a connection makes of them, and path MTU discovery (RFC 8201)."""
from __future__ import annotations

import errno

import pytest

from helpers.hosts import fails
from helpers.tcp6_packets import icmp6
from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE6, MS, THERE6, Peer, Wire
from linnet.include.linux.in6 import IPV6_PMTUDISC_INTERFACE
from linnet.include.linux.socket import AF_INET6, SO_ERROR, SOL_SOCKET, SOL_TCP
from linnet.include.net.ipv6 import inet6_sk
from linnet.include.net.tcp import TCP_MAXSEG, TcpSock
from linnet.net.core.sock import lock_sock, release_sock
from linnet.net.ipv4.tcp_ipv4_proc import tcp_seq_socks

UNREACH = 1
TOO_BIG = 2
TIME_EXCEEDED = 3
PARAM_PROBLEM = 4


def connecting() -> tuple[Wire, int, bytes]:
    """A socket in SYN_SENT, and its SYN as it was on the wire."""
    wire = Wire(v6=True)
    fd = wire.prog.nonblocking(wire.prog.socket(family=AF_INET6))
    with fails('EINPROGRESS'):
        wire.prog.connect(fd, THERE6, 80)
    return wire, fd, wire.take()[0].packet


def established() -> tuple[Wire, Peer, int, bytes]:
    """A connection with a segment of 1400 bytes out."""
    wire = Wire(v6=True)
    peer = Peer(wire)
    fd = peer.accept()
    wire.prog.send(fd, b'x' * 1400)
    return wire, peer, fd, wire.take()[0].packet


def sock(wire: Wire) -> TcpSock:
    """The one connection."""
    [sk] = tcp_seq_socks(wire.net, AF_INET6)
    assert isinstance(sk, TcpSock)
    return sk


@pytest.mark.parametrize(('type', 'code', 'error'), [
    (UNREACH, 0, 'ENETUNREACH'), (UNREACH, 1, 'EACCES'), (UNREACH, 3, 'EHOSTUNREACH'), (UNREACH, 4, 'ECONNREFUSED'),
    (TIME_EXCEEDED, 0, 'EHOSTUNREACH'), (PARAM_PROBLEM, 0, 'EPROTO')])
def test_ends_a_connect(type: int, code: int, error: str) -> None:
    wire, fd, quoted = connecting()
    icmp6(wire, quoted, type, code)
    with fails(error):
        wire.prog.connect(fd, THERE6, 80)


def test_wrong_sequence_number_is_ignored() -> None:
    wire, fd, quoted = connecting()
    wrong = quoted[:44] + ((int.from_bytes(quoted[44:48], 'big') + 5) & 0xFFFFFFFF).to_bytes(4, 'big') + quoted[48:]
    icmp6(wire, wrong, UNREACH, 4)
    assert wire.prog.getopt(fd, SOL_SOCKET, SO_ERROR) == 0
    assert wire.net.mib.get('TcpExtOutOfWindowIcmps') == 1


def test_of_an_unknown_connection() -> None:
    wire, _, quoted = connecting()
    icmp6(wire, quoted[:40] + b'\0\1\0\2' + quoted[44:], UNREACH, 4)
    assert wire.net.mib.get('Icmp6InErrors') == 1


def test_the_quoted_header_may_stand_behind_options() -> None:
    wire, fd, quoted = connecting()
    options = bytes([6, 0, 1, 4, 0, 0, 0, 0])  # PadN
    icmp6(wire, quoted[:6] + b'\0' + quoted[7:40] + options + quoted[40:], UNREACH, 4)
    with fails('ECONNREFUSED'):
        wire.prog.connect(fd, THERE6, 80)


def test_soft_on_a_connection() -> None:
    wire, peer, fd, quoted = established()
    icmp6(wire, quoted, UNREACH, 3)
    assert sock(wire).sk_err_soft == errno.EHOSTUNREACH
    peer.send('.', ack=1401)
    assert wire.prog.send(fd, b'y') == 1


def test_recverr_makes_it_hard() -> None:
    wire, _, fd, quoted = established()
    inet6_sk(sock(wire)).recverr = True
    icmp6(wire, quoted, UNREACH, 3)
    assert wire.prog.getopt(fd, SOL_SOCKET, SO_ERROR) == errno.EHOSTUNREACH


def test_no_route_takes_back_the_back_off() -> None:
    wire, _, _, quoted = established()
    sk = sock(wire)
    wire.advance(900 * MS)
    backoff = sk.icsk_backoff
    assert backoff > 0
    icmp6(wire, quoted, UNREACH, 3)
    assert sk.icsk_backoff == backoff
    icmp6(wire, quoted, UNREACH, 0)
    assert sk.icsk_backoff == backoff - 1


class TestPathMtu:
    def test_too_big_cuts_and_sends_again(self) -> None:
        wire, peer, fd, quoted = established()
        icmp6(wire, quoted, TOO_BIG, 0, 1300)
        assert [len(segment.data) for segment in wire.take()] == [1240, 160]
        assert wire.prog.getopt(fd, SOL_TCP, TCP_MAXSEG) == 1240
        peer.send('.', ack=1401)
        wire.prog.send(fd, b'z' * 2000)
        assert [len(segment.data) for segment in wire.take()][0] == 1240

    def test_less_than_1280_is_not_believed(self) -> None:
        wire, _, fd, quoted = established()
        icmp6(wire, quoted, TOO_BIG, 0, 600)  # RFC 8201, 4: such a message is discarded
        assert wire.take() == []
        assert wire.prog.getopt(fd, SOL_TCP, TCP_MAXSEG) == 1440

    def test_more_than_it_is_changes_nothing(self) -> None:
        wire, _, fd, quoted = established()
        icmp6(wire, quoted, TOO_BIG, 0, 9000)
        assert wire.take() == []
        assert wire.prog.getopt(fd, SOL_TCP, TCP_MAXSEG) == 1440

    def test_who_does_not_believe_it(self) -> None:
        wire, _, _, quoted = established()
        inet6_sk(sock(wire)).pmtudisc = IPV6_PMTUDISC_INTERFACE
        icmp6(wire, quoted, TOO_BIG, 0, 1300)
        assert wire.take() == []

    def test_the_next_connection_knows(self) -> None:
        wire, _, _, quoted = established()
        icmp6(wire, quoted, TOO_BIG, 0, 1300)
        wire.take()
        peer = Peer(wire, port=8081)
        assert wire.prog.getopt(peer.accept(), SOL_TCP, TCP_MAXSEG) == 1240

    def test_an_owned_socket_hears_of_it_when_let_go(self) -> None:
        wire, _, _, quoted = established()
        sk = sock(wire)
        lock_sock(sk)
        icmp6(wire, quoted, TOO_BIG, 0, 1300)
        assert wire.take() == []
        release_sock(sk)
        assert [len(segment.data) for segment in wire.take()] == [1240, 160]
        assert wire.net.mib.get('TcpExtLockDroppedIcmps') == 0

    def test_an_owned_socket_loses_errors_and_the_loss_is_counted(self) -> None:
        wire, _, _, quoted = established()
        sk = sock(wire)
        inet6_sk(sk).recverr = True
        lock_sock(sk)
        icmp6(wire, quoted, UNREACH, 3)
        release_sock(sk)
        assert wire.net.mib.get('TcpExtLockDroppedIcmps') == 1
        assert (sk.sk_err, sk.sk_err_soft) == (0, errno.EHOSTUNREACH)


def test_an_old_segment_is_out_of_window() -> None:
    wire, peer, fd, quoted = established()
    peer.send('.', ack=1401)
    inet6_sk(sock(wire)).recverr = True
    icmp6(wire, quoted, UNREACH, 3)
    assert wire.net.mib.get('TcpExtOutOfWindowIcmps') == 1
    assert wire.prog.getopt(fd, SOL_SOCKET, SO_ERROR) == 0


@pytest.mark.parametrize(('code', 'left'), [(3, 1), (4, 0)])
def test_only_what_is_final_ends_a_request(code: int, left: int) -> None:
    wire = Wire(v6=True)
    wire.prog.server(80, HERE6)
    answer = Caller(wire, 80).syn()
    assert answer is not None
    icmp6(wire, answer.packet, UNREACH, code)
    assert wire.world.slab.active().get('request_sock_TCPv6', 0) == left
