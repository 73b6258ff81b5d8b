# SPDX-License-Identifier: Apache-2.0
"""The receiver's estimate of the round trip, the size of its buffer, and the window that it offers."""
from __future__ import annotations

import pytest

from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE, Wire
from linnet.include.net.sock import SOCK_RCVBUF_LOCK
from linnet.include.net.tcp import TcpSock
from linnet.net.core.sock import lock_sock, release_sock
from linnet.net.ipv4.tcp_input_rcvbuf import tcp_apply_window_clamp, tcp_rcv_rtt_update, tcp_rcvbuf_grow
from linnet.net.ipv4.tcp_ipv4_proc import tcp_seq_socks


def connection() -> TcpSock:
    """A connection that was accepted."""
    wire = Wire()
    listener = wire.prog.server(80, HERE)
    Caller(wire, 80).handshake()
    wire.prog.accept(listener)
    [sk] = [sk for sk in tcp_seq_socks(wire.net) if isinstance(sk, TcpSock) and sk.sk_dport]
    return sk


def test_smaller_rtt_counts_at_once_larger_is_averaged() -> None:
    sk = TcpSock()
    tcp_rcv_rtt_update(sk, 1000, False)
    assert sk.rcv_rtt_est_us == 8000
    tcp_rcv_rtt_update(sk, 200, False)
    assert sk.rcv_rtt_est_us == 1600
    tcp_rcv_rtt_update(sk, 1000, False)
    assert sk.rcv_rtt_est_us == 1600 + 1000 - 200


def test_window_samples_only_lower_it() -> None:
    sk = TcpSock()
    tcp_rcv_rtt_update(sk, 1000, True)
    tcp_rcv_rtt_update(sk, 5000, True)
    assert sk.rcv_rtt_est_us == 8000


def test_unread_data_measures_the_program() -> None:
    sk = TcpSock()
    tcp_rcv_rtt_update(sk, 1000, False)
    sk.rcv_nxt = 10
    tcp_rcv_rtt_update(sk, 5000, False)
    assert sk.rcv_rtt_est_us == 8000


@pytest.mark.parametrize(('newval', 'window'), [(20_000, 40_000), (40_000, 80_000 + 2 * 80_000), (30_000, 60_000 + 60_000)])
def test_grows_by_what_was_read_and_by_its_rise(newval: int, window: int) -> None:
    sk = connection()
    sk.rcvq_space = 20_000
    sk.sk_rcvbuf = 4096
    tcp_rcvbuf_grow(sk, newval)
    assert sk.sk_rcvbuf == 2 * window
    assert sk.rcvq_space == newval


def test_not_above_the_sysctl_nor_where_locked() -> None:
    sk = connection()
    sk.rcvq_space = 1000
    before = sk.sk_rcvbuf
    sk.sk_userlocks |= SOCK_RCVBUF_LOCK
    tcp_rcvbuf_grow(sk, 10_000_000)
    assert sk.sk_rcvbuf == before
    sk.sk_userlocks &= ~SOCK_RCVBUF_LOCK
    tcp_rcvbuf_grow(sk, 20_000_000)
    assert sk.sk_rcvbuf == 33554432


def test_a_higher_clamp_opens_what_the_peer_was_given_a_lower_one_closes() -> None:
    sk = TcpSock()
    sk.rcv_wnd = 60_000
    sk.rcv_ssthresh = 20_000
    sk.window_clamp = 20_000
    tcp_apply_window_clamp(sk, 50_000)
    assert (sk.window_clamp, sk.rcv_ssthresh) == (50_000, 50_000)
    tcp_apply_window_clamp(sk, 100_000)
    assert (sk.window_clamp, sk.rcv_ssthresh) == (100_000, 60_000)
    tcp_apply_window_clamp(sk, 1000)
    assert (sk.window_clamp, sk.rcv_ssthresh) == (1000, 1000)


@pytest.mark.parametrize(('defer', 'acks'), [(1, 1), (0, 3)])
def test_backlog_is_acknowledged_once(defer: int, acks: int) -> None:
    wire = Wire()
    wire.net.ipv4.sysctl_tcp_backlog_ack_defer = defer
    listener = wire.prog.server(80, HERE)
    caller = Caller(wire, 80)
    caller.handshake()
    wire.prog.accept(listener)
    [sk] = [sk for sk in tcp_seq_socks(wire.net) if isinstance(sk, TcpSock) and sk.sk_dport]
    wire.take()
    lock_sock(sk)
    for i in range(3):
        # segments of different TOS are not merged in the backlog
        caller.send('.', data=b'x' * 1460, tos=4 * i)
    assert wire.take() == []
    release_sock(sk)
    assert [segment.ack - caller.isn for segment in wire.take()] == [1 + 1460 * i for i in range(4 - acks, 4)]
