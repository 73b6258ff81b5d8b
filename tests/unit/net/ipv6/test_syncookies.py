# SPDX-License-Identifier: Apache-2.0
"""SYN cookies over IPv6: a flooded listener answers, and the cookie brings the connection."""
from __future__ import annotations

import pytest

from helpers.tcp_caller import Caller
from helpers.tcp_wire import SEC, Wire
from linnet.include.linux.socket import SOL_TCP
from linnet.include.net.tcp import TCP_INFO
from linnet.net import socket as s


def always() -> tuple[Wire, int]:
    """A listener of both families that keeps nothing of a SYN."""
    wire = Wire(v6=True, timestamps=True)
    wire.net.ipv4.sysctl_tcp_syncookies = 2
    return wire, wire.prog.server(80, '::')


@pytest.mark.parametrize(('mss', 'kept'), [(1220, 1220), (1400, 1220), (1440, 1440), (8940, 1440), (500, 1220)])
def test_the_mss_is_one_of_four(mss: int, kept: int) -> None:
    wire, listener = always()
    caller = Caller(wire, 80, mss=mss)
    caller.handshake()
    caller.send('P.', data=b'hello')
    fd, peer, _ = wire.prog.accept(listener)
    assert peer == 'fd00::2'
    assert wire.prog.recv(fd) == b'hello'
    assert int.from_bytes(s.sys_getsockopt(wire.prog.process, fd, SOL_TCP, TCP_INFO, 256)[16:20], 'little') == kept
    assert wire.net.mib.get('TcpExtSyncookiesRecv') == 1
    wire.prog.close(fd)


def test_options_survive_by_the_timestamp() -> None:
    wire, listener = always()
    Caller(wire, 80, wscale=5, ts=100).handshake()
    told = s.sys_getsockopt(wire.prog.process, wire.prog.accept(listener)[0], SOL_TCP, TCP_INFO, 256)
    assert told[6] & 15 == 5
    assert told[5] & 5 == 5  # timestamps and window scaling


def test_no_cookie_of_ours() -> None:
    wire, _ = always()
    caller = Caller(wire, 80)
    caller.syn()
    caller.their_isn += 77
    caller.say('.')
    assert [segment.flags for segment in wire.take()] == ['R']
    assert wire.net.mib.get('TcpExtSyncookiesFailed') == 1


def test_too_late() -> None:
    wire, _ = always()
    caller = Caller(wire, 80)
    caller.syn()
    wire.advance(200 * SEC)
    caller.say('.')
    assert [segment.flags for segment in wire.take()] == ['R']


def test_a_dual_listener_gives_ipv4s_to_ipv4() -> None:
    wire, listener = always()
    caller = Caller(wire, 80, mss=1300)
    caller.v6 = False
    caller.handshake()
    fd, peer, _ = wire.prog.accept(listener)
    assert peer == '::ffff:10.0.0.2'
    assert int.from_bytes(s.sys_getsockopt(wire.prog.process, fd, SOL_TCP, TCP_INFO, 256)[16:20], 'little') == 1300
