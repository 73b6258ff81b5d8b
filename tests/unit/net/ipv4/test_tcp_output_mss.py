# SPDX-License-Identifier: Apache-2.0
"""Initial windows and scales, by the numbers that Linux is known for."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.hosts import Alone
from linnet.include.net.sock import Socket
from linnet.include.net.tcp import TcpSock
from linnet.net.ipv4.tcp_output_mss import ilog2, tcp_select_initial_window


def sock() -> TcpSock:
    """A TCP sock of a fresh host."""
    prog = Alone()
    file = prog.process.files.fget(prog.socket())
    assert file is not None
    socket = file.private_data
    assert isinstance(socket, Socket)
    sk = socket.sk
    assert isinstance(sk, TcpSock)
    return sk


def test_defaults_give_a_window_of_64240_and_a_scale_of_10() -> None:
    window = tcp_select_initial_window(sock(), 65536, 1460, 0, True, 0)
    assert (window.rcv_wnd, window.rcv_wscale) == (64240, 10)


def test_no_scale_where_it_is_not_wanted() -> None:
    window = tcp_select_initial_window(sock(), 65536, 1460, 0, False, 0)
    assert window.rcv_wscale == 0
    assert window.window_clamp == 65535


def test_initrwnd_counts_segments() -> None:
    assert tcp_select_initial_window(sock(), 65536, 1460, 0, True, 10).rcv_wnd == 14600


def test_clamp_bounds_window_and_scale() -> None:
    window = tcp_select_initial_window(sock(), 1 << 20, 1460, 32768, True, 0)
    assert window.rcv_wscale == 0
    assert window.rcv_wnd <= 32768


@pytest.mark.parametrize(('n', 'log'), [(1, 0), (2, 1), (3, 1), (65535, 15), (65536, 16), (6291456, 22)])
def test_ilog2(n: int, log: int) -> None:
    assert ilog2(n) == log


SK = sock()


@given(space=st.integers(-1000, 1 << 30), mss=st.integers(1, 65495), clamp=st.integers(0, 1 << 30), scale=st.booleans(),
       segments=st.integers(0, 100))
def test_the_window_fits_its_header_field(space: int, mss: int, clamp: int, scale: bool, segments: int) -> None:
    window = tcp_select_initial_window(SK, space, mss, clamp, scale, segments)
    assert 0 <= window.rcv_wscale <= 14
    assert scale or window.rcv_wscale == 0
    assert window.window_clamp <= 65535 << window.rcv_wscale
    assert 0 <= window.rcv_wnd <= max(space, 0)
