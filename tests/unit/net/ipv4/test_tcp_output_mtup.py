# SPDX-License-Identifier: Apache-2.0
"""Probing the path MTU: when a probe goes, what it is made of, and what its fate does."""
from __future__ import annotations

import pytest

from helpers.tcp_wire import MS, SEC, Peer, Wire
from linnet.include.linux.socket import MSG_EOR
from linnet.include.net.snmp import LINUX_MIB_TCPMTUPFAIL, LINUX_MIB_TCPMTUPSUCCESS
from linnet.include.net.sock import Socket
from linnet.include.net.tcp import TcpSock
from linnet.net.ipv4.tcp_output_mss import tcp_sync_mss
from linnet.net.ipv4.tcp_output_mtup import tcp_mtu_check_reprobe, tcp_mtu_probing


def sock_of(wire: Wire, fd: int) -> TcpSock:
    """The TcpSock behind a descriptor."""
    file = wire.prog.process.files.fcheck(fd)
    assert file is not None
    socket = file.private_data
    assert isinstance(socket, Socket)
    sk = socket.sk
    assert isinstance(sk, TcpSock)
    return sk


def probing(cwnd: int = 20, sack: bool = False) -> tuple[Wire, Peer, int, TcpSock]:
    """A connection that probes from an MSS of 512; its first probe has 986 bytes."""
    wire = Wire(sack=sack)
    wire.net.ipv4.sysctl_tcp_mtu_probing = 2
    wire.net.ipv4.sysctl_tcp_base_mss = 512
    wire.net.ipv4.sysctl_tcp_early_retrans = 0
    peer = Peer(wire, window=60000)
    fd = peer.accept(10 * MS)
    sk = sock_of(wire, fd)
    tcp_sync_mss(sk, sk.icsk_pmtu_cookie)
    sk.snd_cwnd = cwnd
    return wire, peer, fd, sk


def sizes(wire: Wire) -> list[int]:
    """Payload of what was sent."""
    return [len(s.data) for s in wire.take() if s.data]


class TestWhen:
    def test_first_of_what_waits(self) -> None:
        wire, _, fd, sk = probing()
        wire.run(lambda: wire.prog.send(fd, bytes(4000)))
        assert sizes(wire)[:2] == [986, 512]
        assert (sk.mtup_probe_size, sk.snd_cwnd) == (1026, 19)

    def test_not_with_little_to_send(self) -> None:
        wire, _, fd, _ = probing()
        wire.run(lambda: wire.prog.send(fd, bytes(986 + 4 * 512 - 1)))
        assert sizes(wire)[0] == 512

    def test_not_with_a_small_congestion_window(self) -> None:
        wire, _, fd, _ = probing(cwnd=10)
        wire.run(lambda: wire.prog.send(fd, bytes(4000)))
        assert sizes(wire)[0] == 512

    def test_not_across_the_end_of_a_record(self) -> None:
        wire, peer, fd, sk = probing(cwnd=1)
        wire.run(lambda: wire.prog.send(fd, bytes(512)))
        wire.run(lambda: wire.prog.send(fd, bytes(600), MSG_EOR))
        wire.run(lambda: wire.prog.send(fd, bytes(5000)))
        sizes(wire)
        sk.snd_cwnd = 20
        peer.send('.', ack=513)
        assert sizes(wire)[:2] == [512, 88]

    def test_one_at_a_time(self) -> None:
        wire, _, fd, _ = probing(cwnd=40)
        wire.run(lambda: wire.prog.send(fd, bytes(4000)))
        wire.run(lambda: wire.prog.send(fd, bytes(4000)))
        assert sizes(wire).count(986) == 1

    def test_not_switched_on(self) -> None:
        wire = Wire()
        peer = Peer(wire, window=60000)
        fd = peer.accept(10 * MS)
        sock_of(wire, fd).snd_cwnd = 20
        wire.run(lambda: wire.prog.send(fd, bytes(20 * 1460)))
        assert sizes(wire) == [1460] * 20


class TestMadeOf:
    def test_what_waits_in_several_skbs_is_joined(self) -> None:
        wire, peer, fd, sk = probing(cwnd=1)
        sk.sk_gso_max_segs = 1
        data = [bytes([n]) * 512 for n in range(10)]
        wire.run(lambda: wire.prog.send(fd, b''.join(data)))
        assert sizes(wire) == [512]
        sk.snd_cwnd = 20
        assert sk.sk_write_queue.qlen == 9
        peer.send('.', ack=513)
        probe = wire.take()[0]
        assert probe.data == b''.join(data)[512:512 + 986]

    def test_memory_is_given_back(self) -> None:
        wire, peer, fd, sk = probing()
        wire.run(lambda: wire.prog.send(fd, bytes(4000)))
        peer.send('.', ack=4001)
        assert sk.sk_wmem_queued == 0
        wire.run(lambda: wire.prog.close(fd))
        peer.send('F.', ack=4002)


class TestFate:
    def test_success_raises_the_mss_and_keeps_the_window_in_bytes(self) -> None:
        wire, peer, fd, sk = probing()
        wire.run(lambda: wire.prog.send(fd, bytes(4000)))
        peer.send('.', ack=987)
        assert sk.mss_cache == 986
        assert sk.mtup_search_low == 1026
        assert sk.snd_cwnd == 19 * 552 // 1026 + 1  # and slow start
        assert wire.net.mib.counters[LINUX_MIB_TCPMTUPSUCCESS] == 1

    def test_failure_lowers_the_bound_and_costs_no_window(self) -> None:
        wire, peer, fd, sk = probing()
        wire.run(lambda: wire.prog.send(fd, bytes(4000)))
        sizes(wire)
        for _ in range(4):  # the first of them is a window update
            peer.send('.', ack=1)
        assert sk.mtup_search_high == 1025
        assert sk.snd_cwnd == 20
        assert wire.net.mib.counters[LINUX_MIB_TCPMTUPFAIL] == 1
        assert sizes(wire)[:2] == [512, 474]

    def test_a_retransmission_time_out_says_nothing_of_the_size(self) -> None:
        wire, _, fd, sk = probing()
        wire.run(lambda: wire.prog.send(fd, bytes(4000)), ns=SEC)
        assert (sk.mtup_probe_size, sk.mtup_search_high) == (0, 1500)

    def test_the_search_starts_anew_after_tcp_probe_interval(self) -> None:
        wire, _, _, sk = probing()
        sk.mtup_search_high = 700
        tcp_mtu_check_reprobe(sk)
        assert sk.mtup_search_high == 700
        wire.advance(601 * SEC)
        tcp_mtu_check_reprobe(sk)
        assert sk.mtup_search_high == 1500


class TestBlackHole:
    @pytest.mark.parametrize(('rounds', 'mss'), [(1, 1024), (2, 512), (3, 256), (9, 100)])
    def test_each_suspicion_halves(self, rounds: int, mss: int) -> None:
        wire = Wire()
        wire.net.ipv4.sysctl_tcp_mtu_probing = 1
        wire.net.ipv4.sysctl_tcp_mtu_probe_floor = 100
        sk = sock_of(wire, Peer(wire, window=60000).accept(10 * MS))
        for _ in range(rounds):
            tcp_mtu_probing(sk)
        assert sk.mss_cache == mss

    def test_switched_off_it_changes_nothing(self) -> None:
        wire = Wire()
        sk = sock_of(wire, Peer(wire, window=60000).accept(10 * MS))
        tcp_mtu_probing(sk)
        assert (sk.mtup_enabled, sk.mss_cache) == (False, 1460)
