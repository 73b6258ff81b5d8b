# SPDX-License-Identifier: Apache-2.0
"""Options of level SOL_TCP: values, ranges, errors; and TCP_INFO."""
from __future__ import annotations

import struct

import pytest

from helpers.hosts import Alone, Pair, fails
from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE, Wire
from linnet.include.linux.socket import SOL_TCP
from linnet.include.net.tcp import (
    TCP_CONGESTION,
    TCP_CORK,
    TCP_DEFER_ACCEPT,
    TCP_DELACK_MAX_US,
    TCP_INFO,
    TCP_INQ,
    TCP_IS_MPTCP,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_LINGER2,
    TCP_MAXSEG,
    TCP_NODELAY,
    TCP_NOTSENT_LOWAT,
    TCP_QUICKACK,
    TCP_RTO_MIN_US,
    TCP_SAVE_SYN,
    TCP_SAVED_SYN,
    TCP_SYNCNT,
    TCP_THIN_LINEAR_TIMEOUTS,
    TCP_ULP,
    TCP_USER_TIMEOUT,
    TCP_WINDOW_CLAMP,
)
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_ESTABLISHED
from linnet.net import socket as sys
from linnet.net.ipv4.tcp_info import TCP_INFO_TAIL, TCP_INFO_U32
from linnet.net.ipv4.tcp_sockopt import retrans_to_secs, secs_to_retrans

DEFAULTS = [
    (TCP_NODELAY, 0), (TCP_MAXSEG, 536), (TCP_CORK, 0), (TCP_KEEPIDLE, 7200), (TCP_KEEPINTVL, 75), (TCP_KEEPCNT, 9),
    (TCP_SYNCNT, 6), (TCP_LINGER2, 60), (TCP_DEFER_ACCEPT, 0), (TCP_WINDOW_CLAMP, 0), (TCP_QUICKACK, 1), (TCP_USER_TIMEOUT, 0),
    (TCP_NOTSENT_LOWAT, 0), (TCP_INQ, 0), (TCP_SAVE_SYN, 0),
]
RANGES = [
    (TCP_MAXSEG, 88, 32767), (TCP_KEEPIDLE, 1, 32767), (TCP_KEEPINTVL, 1, 32767), (TCP_KEEPCNT, 1, 127), (TCP_SYNCNT, 1, 127),
    (TCP_THIN_LINEAR_TIMEOUTS, 0, 1), (TCP_INQ, 0, 1), (TCP_SAVE_SYN, 0, 2), (TCP_USER_TIMEOUT, 0, 2**31 - 1),
]


@pytest.mark.parametrize(('option', 'value'), DEFAULTS)
def test_defaults(option: int, value: int) -> None:
    prog = Alone()
    assert prog.getopt(prog.socket(), SOL_TCP, option) == value


@pytest.mark.parametrize(('option', 'low', 'high'), RANGES)
def test_ranges(option: int, low: int, high: int) -> None:
    prog = Alone()
    fd = prog.socket()
    for value in (low, high):
        prog.setopt(fd, SOL_TCP, option, value)
        assert prog.getopt(fd, SOL_TCP, option) == value
    for value in (low - 1, high + 1):
        if option == TCP_MAXSEG and value == 0:
            continue
        if value < 2**31:
            with fails('EINVAL'):
                prog.setopt(fd, SOL_TCP, option, value)


def test_a_short_value_is_einval() -> None:
    prog = Alone()
    with fails('EINVAL'):
        prog.setopt(prog.socket(), SOL_TCP, TCP_NODELAY, b'\1')


def test_an_unknown_option_is_enoprotoopt() -> None:
    prog = Alone()
    fd = prog.socket()
    with fails('ENOPROTOOPT'):
        prog.setopt(fd, SOL_TCP, 99, 1)
    with fails('ENOPROTOOPT'):
        prog.getopt(fd, SOL_TCP, 99)


def test_linger2() -> None:
    prog = Alone()
    fd = prog.socket()
    prog.setopt(fd, SOL_TCP, TCP_LINGER2, 10)
    assert prog.getopt(fd, SOL_TCP, TCP_LINGER2) == 10
    for value, read in ((-5, -1), (121, 120)):
        prog.setopt(fd, SOL_TCP, TCP_LINGER2, value)
        assert prog.getopt(fd, SOL_TCP, TCP_LINGER2) == read


def test_window_clamp_has_a_least_value() -> None:
    prog = Alone()
    fd = prog.socket()
    prog.setopt(fd, SOL_TCP, TCP_WINDOW_CLAMP, 1)
    assert prog.getopt(fd, SOL_TCP, TCP_WINDOW_CLAMP) == 1152
    prog.setopt(fd, SOL_TCP, TCP_WINDOW_CLAMP, 0)
    assert prog.getopt(fd, SOL_TCP, TCP_WINDOW_CLAMP) == 0


def test_congestion() -> None:
    prog = Alone()
    fd = prog.socket()
    assert sys.sys_getsockopt(prog.process, fd, SOL_TCP, TCP_CONGESTION, 16).rstrip(b'\0') == b'cubic'
    prog.setopt(fd, SOL_TCP, TCP_CONGESTION, b'reno')
    with fails('ENOENT'):
        prog.setopt(fd, SOL_TCP, TCP_CONGESTION, b'nonesuch')
    with fails('EINVAL'):
        prog.setopt(fd, SOL_TCP, TCP_CONGESTION, b'')


@pytest.mark.parametrize(('seconds', 'retrans', 'back'), [(0, 0, 0), (1, 1, 1), (2, 2, 3), (3, 2, 3), (4, 3, 7), (30, 5, 31)])
def test_defer_accept_counts_in_retransmissions(seconds: int, retrans: int, back: int) -> None:
    assert secs_to_retrans(seconds) == retrans
    assert retrans_to_secs(retrans) == back


class TestInfo:
    def info(self, prog: object, fd: int) -> dict[str, int]:
        """TCP_INFO, unpacked."""
        process = prog.process  # type: ignore[attr-defined]
        data = sys.sys_getsockopt(process, fd, SOL_TCP, TCP_INFO, 1000)
        names = ['tcpi_state', 'tcpi_ca_state', 'tcpi_retransmits', 'tcpi_probes', 'tcpi_backoff', 'tcpi_options']
        names += ['wscale', 'bits', *TCP_INFO_U32] + [name for name, _ in TCP_INFO_TAIL]
        fmt = '<8B' + 'I' * len(TCP_INFO_U32) + ''.join(f for _, f in TCP_INFO_TAIL)
        assert len(data) == struct.calcsize(fmt)
        return dict(zip(names, struct.unpack(fmt, data), strict=True))

    def test_size_is_that_of_linux(self) -> None:
        prog = Alone()
        fd = prog.socket()
        assert len(sys.sys_getsockopt(prog.process, fd, SOL_TCP, TCP_INFO, 1000)) == 280  # of 6.18
        assert self.info(prog, fd)['tcpi_state'] == TCP_CLOSE

    def test_of_a_listener(self) -> None:
        # as Linux 6.18 answers: its queue and the queue's limit, and what every new sock starts with
        prog = Alone()
        fd = prog.server(80, backlog=7)
        info = {name: value for name, value in self.info(prog, fd).items() if value}
        assert info == {'tcpi_state': 10, 'tcpi_sacked': 7, 'tcpi_snd_cwnd': 10, 'tcpi_reordering': 3,
                        'tcpi_pacing_rate': (1 << 64) - 1, 'tcpi_max_pacing_rate': (1 << 64) - 1}

    def test_optlen_cuts_it(self) -> None:
        prog = Alone()
        assert len(sys.sys_getsockopt(prog.process, prog.socket(), SOL_TCP, TCP_INFO, 104)) == 104

    def test_of_a_connection(self) -> None:
        pair = Pair()
        fd_a, fd_b = pair.connected()
        pair.run(lambda: pair.a.sendall(fd_a, bytes(100_000)), lambda: pair.b.recv(fd_b, 100_000, 0x100))
        info = self.info(pair.a, fd_a)
        assert info['tcpi_state'] == TCP_ESTABLISHED
        assert info['tcpi_bytes_acked'] == 100_001
        assert info['tcpi_bytes_sent'] == 100_000
        assert info['tcpi_snd_mss'] == 1448
        assert info['tcpi_options'] & 1
        assert info['tcpi_unacked'] == 0
        assert self.info(pair.b, fd_b)['tcpi_bytes_received'] == 100_000


class TestSavedSyn:
    """tcp(7): TCP_SAVE_SYN on a listener; an accepted socket tells its SYN once, by TCP_SAVED_SYN."""

    def saved(self, value: int) -> tuple[Wire, int, bytes]:
        """An accepted socket, and the SYN that it came from."""
        wire = Wire()
        listener = wire.prog.server(80, HERE)
        wire.prog.setopt(listener, SOL_TCP, TCP_SAVE_SYN, value)
        caller = Caller(wire, 80, wscale=7)
        caller.handshake()
        fd = wire.prog.accept(listener)[0]
        return wire, fd, sys.sys_getsockopt(wire.prog.process, fd, SOL_TCP, TCP_SAVED_SYN, 200)

    def test_headers_once(self) -> None:
        wire, fd, syn = self.saved(1)
        assert len(syn) == 20 + 28
        assert syn[:1] == b'\x45'
        assert syn[20:24] == (4000).to_bytes(2, 'big') + (80).to_bytes(2, 'big')
        assert syn[40:] == bytes.fromhex('020405b401030307')
        assert sys.sys_getsockopt(wire.prog.process, fd, SOL_TCP, TCP_SAVED_SYN, 200) == b''
        assert wire.prog.getopt(fd, SOL_TCP, TCP_SAVE_SYN) == 1

    def test_not_asked_for(self) -> None:
        assert self.saved(0)[2] == b''

    def test_too_little_room(self) -> None:
        wire = Wire()
        listener = wire.prog.server(80, HERE)
        wire.prog.setopt(listener, SOL_TCP, TCP_SAVE_SYN, 1)
        Caller(wire, 80).handshake()
        fd = wire.prog.accept(listener)[0]
        with fails('EINVAL'):
            sys.sys_getsockopt(wire.prog.process, fd, SOL_TCP, TCP_SAVED_SYN, 10)
        assert len(sys.sys_getsockopt(wire.prog.process, fd, SOL_TCP, TCP_SAVED_SYN, 200)) == 44

    def test_range(self) -> None:
        wire = Wire()
        fd = wire.prog.socket()
        for value in (-1, 3):
            with fails('EINVAL'):
                wire.prog.setopt(fd, SOL_TCP, TCP_SAVE_SYN, value)

    def test_of_a_fast_open(self) -> None:
        wire = Wire()
        wire.net.ipv4.sysctl_tcp_fastopen = 0x602
        listener = wire.prog.server(80, HERE)
        wire.prog.setopt(listener, SOL_TCP, TCP_SAVE_SYN, 1)
        Caller(wire, 80).send('S', seq=0, data=b'payload')
        fd = wire.prog.accept(listener)[0]
        assert len(sys.sys_getsockopt(wire.prog.process, fd, SOL_TCP, TCP_SAVED_SYN, 200)) == 40  # no payload


@pytest.mark.parametrize(('option', 'value', 'read'), [
    (TCP_RTO_MIN_US, 5000, 5000), (TCP_RTO_MIN_US, 199_999, 200_000), (TCP_RTO_MIN_US, 1001, 2000), (TCP_RTO_MIN_US, 1000, None),
    (TCP_RTO_MIN_US, 200_001, None), (TCP_RTO_MIN_US, -1, None),
    (TCP_DELACK_MAX_US, 40_000, 40_000), (TCP_DELACK_MAX_US, 0, None), (TCP_DELACK_MAX_US, 200_001, None),
])
def test_times_in_microseconds_count_as_jiffies(option: int, value: int, read: int | None) -> None:
    prog = Alone()
    fd = prog.socket()
    if read is None:
        with fails('EINVAL'):
            prog.setopt(fd, SOL_TCP, option, value)
        read = 200_000
    else:
        prog.setopt(fd, SOL_TCP, option, value)
    assert prog.getopt(fd, SOL_TCP, option) == read


def test_there_are_no_upper_layers() -> None:
    prog = Alone()
    fd = prog.socket()
    with fails('ENOENT'):
        prog.setopt(fd, SOL_TCP, TCP_ULP, b'tls\0')
    assert sys.sys_getsockopt(prog.process, fd, SOL_TCP, TCP_ULP, 16) == b''
    assert prog.getopt(fd, SOL_TCP, TCP_IS_MPTCP) == 0
