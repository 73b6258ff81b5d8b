# SPDX-License-Identifier: Apache-2.0
"""Congestion control: the table, and Reno's arithmetic."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helpers.hosts import Alone, fails
from linnet.include.linux.socket import SOL_TCP
from linnet.include.net.tcp import TCP_CONGESTION, TcpCongestionOps, TcpSock
from linnet.kernel.errno import EEXIST, EINVAL, ENOENT, EPERM
from linnet.net.ipv4.tcp_cong import (
    tcp_cong_avoid_ai,
    tcp_get_available_congestion_control,
    tcp_register_congestion_control,
    tcp_reno_ssthresh,
    tcp_set_default_congestion_control,
    tcp_slow_start,
    tcp_unregister_congestion_control,
)


class Fixed(TcpCongestionOps):
    """A window that never grows."""

    name = 'fixed'

    def ssthresh(self, sk: TcpSock) -> int:
        return 3

    def cong_avoid(self, sk: TcpSock, ack: int, acked: int) -> None:
        return


class TestTable:
    def test_register(self) -> None:
        net = Alone().net
        fixed = Fixed()
        assert tcp_register_congestion_control(net, fixed) == 0
        assert tcp_register_congestion_control(net, fixed) == -EEXIST
        assert tcp_register_congestion_control(net, TcpCongestionOps()) == -EINVAL
        assert tcp_get_available_congestion_control(net).split()[-1] == 'fixed'
        assert tcp_set_default_congestion_control(net, 'fixed') == 0
        tcp_unregister_congestion_control(net, fixed)
        assert tcp_set_default_congestion_control(net, 'fixed') == -ENOENT

    def test_option(self) -> None:
        prog = Alone(privileged=False)
        fixed = Fixed()
        fixed.non_restricted = False
        tcp_register_congestion_control(prog.net, fixed)
        fd = prog.socket()
        with fails('ENOENT'):
            prog.setopt(fd, SOL_TCP, TCP_CONGESTION, b'nosuch')
        with fails('EPERM'):
            prog.setopt(fd, SOL_TCP, TCP_CONGESTION, b'fixed')
        assert EPERM == 1


def sock(cwnd: int, ssthresh: int = 0x7FFFFFFF) -> TcpSock:
    sk = TcpSock()
    sk.snd_cwnd = cwnd
    sk.snd_ssthresh = ssthresh
    return sk


def test_slow_start_stops_at_ssthresh() -> None:
    sk = sock(10, 15)
    assert tcp_slow_start(sk, 8) == 3
    assert sk.snd_cwnd == 15


@given(st.integers(2, 1000), st.lists(st.integers(1, 50), max_size=200))
def test_additive_increase_is_one_a_window(cwnd: int, acks: list[int]) -> None:
    sk = sock(cwnd)
    total = 0
    w = cwnd
    for acked in acks:
        tcp_cong_avoid_ai(sk, w, acked)
        total += acked
    assert abs((sk.snd_cwnd - cwnd) - total // w) <= 1


def test_half_but_at_least_two() -> None:
    assert tcp_reno_ssthresh(sock(10)) == 5
    assert tcp_reno_ssthresh(sock(3)) == 2
    assert tcp_reno_ssthresh(sock(1)) == 2


def test_clamp() -> None:
    sk = sock(10)
    sk.snd_cwnd_clamp = 12
    tcp_slow_start(sk, 20)
    assert sk.snd_cwnd == 12
