# SPDX-License-Identifier: Apache-2.0
"""SYN cookies: what they hold, how long they are good, and that a flood of SYNs leaves a listener usable."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE, SEC, Wire
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import SOL_TCP
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.snmp import LINUX_MIB_SYNCOOKIESSENT
from linnet.include.net.tcp import TCP_INFO, TcpOptionsReceived
from linnet.net import socket as s
from linnet.net.ipv4.syncookies import (
    MSSTAB,
    check_tcp_syn_cookie,
    cookie_init_timestamp,
    cookie_timestamp_decode,
    secure_tcp_syn_cookie,
)

U32S = st.integers(0, 0xFFFFFFFF)
PORTS = st.integers(0, 0xFFFF)
WIRE = Wire()


def segment(saddr: int, daddr: int, sport: int, dport: int) -> SkBuff:
    """A segment from there to here."""
    skb = SkBuff(WIRE.world)
    skb.saddr, skb.daddr, skb.sport, skb.dport = saddr, daddr, sport, dport
    return skb


def flooded(syncookies: int, syns: int, backlog: int = 4, timestamps: bool = False) -> tuple[Wire, int]:
    """A listener on port 80 after that many SYNs of which nothing more was heard."""
    wire = Wire(timestamps=timestamps, sack=timestamps)
    wire.net.ipv4.sysctl_tcp_syncookies = syncookies
    listener = wire.prog.server(80, HERE, backlog=backlog)
    for i in range(syns):
        Caller(wire, 80, port=10_000 + i).send('S', seq=0)
    wire.take()
    return wire, listener


def requests(wire: Wire) -> int:
    """How many handshakes are remembered."""
    return wire.world.slab.active().get('request_sock_TCP', 0)


class TestNumber:
    @given(U32S, U32S, PORTS, PORTS, U32S, st.integers(0, len(MSSTAB) - 1), st.integers(0, 119))
    def test_round_trip(self, saddr: int, daddr: int, sport: int, dport: int, sseq: int, data: int, age: int) -> None:
        net = WIRE.net
        skb = segment(saddr, daddr, sport, dport)
        start = WIRE.now // (60 * SEC) * 60 * SEC + 60 * SEC
        WIRE.advance(start - WIRE.now)
        cookie = secure_tcp_syn_cookie(net, skb, sseq, data)
        assert 0 <= cookie <= 0xFFFFFFFF
        WIRE.advance(age * SEC)
        assert check_tcp_syn_cookie(net, skb, cookie, sseq) == data
        WIRE.advance((120 - age) * SEC)
        assert check_tcp_syn_cookie(net, skb, cookie, sseq) == -1

    @given(U32S, U32S, PORTS, PORTS, U32S, st.integers(0, 4), st.integers(1, 0xFFFF))
    def test_of_another_connection(
        self, saddr: int, daddr: int, sport: int, dport: int, sseq: int, which: int, bits: int,
    ) -> None:
        cookie = secure_tcp_syn_cookie(WIRE.net, segment(saddr, daddr, sport, dport), sseq, 3)
        key = [saddr, daddr, sport, dport, sseq]
        key[which] ^= bits << 8 if which == 4 else bits  # numbers a few apart are as good, being in one window
        found = check_tcp_syn_cookie(WIRE.net, segment(*key[:4]), cookie, key[4])
        assert not 0 <= found < len(MSSTAB)  # one in 2**28 or so would, and these are always the same

    def test_hosts_have_different_secrets(self) -> None:
        skb = segment(1, 2, 3, 4)
        other = Wire()
        other.net.random = other.net.random.fork('other')
        assert secure_tcp_syn_cookie(other.net, skb, 0, 0) != secure_tcp_syn_cookie(Wire().net, skb, 0, 0)


class TestTimestamp:
    @given(st.integers(64, 2**40), st.booleans(), st.booleans(), st.none() | st.integers(0, 14))
    def test_round_trip(self, now_ms: int, sack: bool, ecn: bool, wscale: int | None) -> None:
        req = RequestSock()
        req.sack_ok, req.ecn_ok, req.wscale_ok = sack, ecn, wscale is not None
        req.snd_wscale = wscale or 0
        stamp = cookie_init_timestamp(req, now_ms * 1_000_000) // 1_000_000
        assert stamp <= now_ms
        assert now_ms % 2**32 - stamp < 128 or now_ms > 2**32
        opt = TcpOptionsReceived()
        opt.saw_tstamp = True
        opt.rcv_tsecr = stamp
        WIRE.net.ipv4.sysctl_tcp_timestamps = 1
        WIRE.net.ipv4.sysctl_tcp_sack = 1
        assert cookie_timestamp_decode(WIRE.net, opt)
        assert (opt.sack_ok != 0) == sack
        assert opt.wscale_ok == (wscale is not None)
        assert opt.snd_wscale == (wscale or 0)

    @pytest.mark.parametrize('sysctl', ['timestamps', 'sack', 'window_scaling'])
    def test_what_was_not_offered_cannot_come_back(self, sysctl: str) -> None:
        wire = Wire(timestamps=True, sack=True)
        opt = TcpOptionsReceived()
        opt.saw_tstamp = True
        opt.rcv_tsecr = 0x17
        assert cookie_timestamp_decode(wire.net, opt)
        setattr(wire.net.ipv4, 'sysctl_tcp_' + sysctl, 0)
        assert not cookie_timestamp_decode(wire.net, opt)


class TestFlood:
    def test_a_client_gets_through(self) -> None:
        wire, listener = flooded(1, 500)
        assert requests(wire) == 5  # one more than the backlog
        assert wire.net.mib.get('TcpExtTCPReqQFullDoCookies') == 495
        assert wire.net.mib.counters[LINUX_MIB_SYNCOOKIESSENT] == 495
        caller = Caller(wire, 80, mss=1400)
        caller.handshake()
        caller.send('P.', data=b'hello')
        fd = wire.prog.accept(listener)[0]
        assert wire.prog.recv(fd) == b'hello'
        assert int.from_bytes(s.sys_getsockopt(wire.prog.process, fd, SOL_TCP, TCP_INFO, 256)[16:20], 'little') == 1300
        assert wire.net.mib.get('TcpExtSyncookiesRecv') == 1

    def test_without_cookies_it_does_not(self) -> None:
        wire, _ = flooded(0, 500)
        assert requests(wire) == 5
        assert wire.net.mib.get('TcpExtTCPReqQFullDrop') == 495
        assert wire.net.mib.get('TcpExtListenDrops') == 495
        assert Caller(wire, 80).syn() is None

    def test_options_survive_by_the_timestamp(self) -> None:
        wire, listener = flooded(1, 20, timestamps=True)
        caller = Caller(wire, 80, wscale=5, ts=100)
        caller.handshake()
        fd = wire.prog.accept(listener)[0]
        told = s.sys_getsockopt(wire.prog.process, fd, SOL_TCP, TCP_INFO, 256)
        assert told[6] & 15 == 5
        assert told[5] & 5 == 5  # timestamps and window scaling

    def test_the_full_accept_queue_takes_no_cookie(self) -> None:
        wire, listener = flooded(2, 0, backlog=1)
        for i in range(2):
            Caller(wire, 80, port=4000 + i).handshake()
        late = Caller(wire, 80, port=4002)
        assert late.syn() is None
        assert wire.net.mib.get('TcpExtListenOverflows') == 1
        wire.prog.accept(listener)
        late.handshake()

    def test_too_late(self) -> None:
        wire, listener = flooded(2, 0)
        caller = Caller(wire, 80)
        caller.syn()
        wire.advance(200 * SEC)
        caller.say('.')
        assert [segment.flags for segment in wire.take()] == ['R']
        assert wire.net.mib.get('TcpExtSyncookiesFailed') == 0  # none was sent lately: not even looked at
        Caller(wire, 80, port=4001).syn()
        caller.say('.')
        assert wire.net.mib.get('TcpExtSyncookiesFailed') == 1
        wire.prog.close(listener)

    def test_nothing_is_left(self) -> None:
        wire, listener = flooded(2, 50)
        for i in range(3):
            caller = Caller(wire, 80, port=4000 + i)
            caller.handshake()
            if i < 2:
                fd = wire.prog.accept(listener)[0]
                wire.prog.close(fd)
        wire.prog.close(listener)
        wire.advance(1000 * SEC)
        assert requests(wire) == 0
        assert wire.world.slab.active().get('TCP', 0) == 0

    def test_last_quarter_is_for_known_peers(self) -> None:
        wire, _ = flooded(0, 0, backlog=100)
        wire.net.ipv4.sysctl_tcp_max_syn_backlog = 16
        for i in range(40):
            Caller(wire, 80, port=10_000 + i).send('S', seq=0)
        assert requests(wire) == 13
        assert wire.net.mib.get('TcpExtListenDrops') == 27
