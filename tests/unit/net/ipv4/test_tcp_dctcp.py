# SPDX-License-Identifier: Apache-2.0
"""DCTCP: alpha, the window, the receiver's echo, and what it does to a queue that marks."""
from __future__ import annotations

import socket
import struct

import pytest

from helpers.transfer import Transfer
from linnet import Lab
from linnet.include.net.tcp import TCP_ECN_DEMAND_CWR, TCP_ECN_OK, TcpSock
from linnet.kernel.clock import VirtualClock
from linnet.kernel.errno import EPERM
from linnet.net.boot import new_net, new_world
from linnet.net.ipv4.tcp_cong import tcp_ca_find, tcp_set_congestion_control
from linnet.net.ipv4.tcp_dctcp import Dctcp, TcpDctcp, TcpDctcpReno, dctcp_ece_ack_update, dctcp_update_alpha

MS = 1_000_000


def socket_of_ten(alpha: int = 1024) -> tuple[TcpSock, Dctcp]:
    """A sender with a window of ten segments, all of an observation window acknowledged."""
    sk = TcpSock()
    sk.snd_cwnd = 10
    sk.snd_una = sk.snd_nxt = 1000
    ca = Dctcp(0, alpha)
    ca.next_seq = 1000
    sk.icsk_ca_priv = ca
    return sk, ca


@pytest.mark.parametrize(('alpha', 'delivered', 'marked', 'then'), [
    (1024, 10, 0, 960),  # no mark: alpha falls by a sixteenth
    (1024, 10, 10, 1024),  # all marked: it stays at 1
    (0, 10, 10, 64),  # a sixteenth of 1024
    (0, 10, 5, 32),
    (512, 16, 4, 480 + 16),
    (10, 10, 0, 0),  # too little for the shift: gone
])
def test_alpha(alpha: int, delivered: int, marked: int, then: int) -> None:
    """RFC 8257, 3.3: alpha = alpha * (1 - g) + g * M, with g = 1/16."""
    sk, ca = socket_of_ten(alpha)
    sk.delivered, sk.delivered_ce = delivered, marked
    dctcp_update_alpha(sk, ca, 4)
    assert ca.dctcp_alpha == then
    assert (ca.old_delivered, ca.old_delivered_ce) == (delivered, marked)


def test_alpha_once_a_window() -> None:
    sk, ca = socket_of_ten()
    ca.next_seq = 2000
    sk.delivered = 5
    dctcp_update_alpha(sk, ca, 4)
    assert ca.dctcp_alpha == 1024


@pytest.mark.parametrize(('alpha', 'cwnd', 'then'), [(1024, 20, 10), (512, 20, 15), (0, 20, 20), (1024, 3, 2)])
def test_ssthresh_takes_half_of_alpha(alpha: int, cwnd: int, then: int) -> None:
    """RFC 8257, 3.3: cwnd = cwnd * (1 - alpha / 2)."""
    sk, ca = socket_of_ten(alpha)
    sk.snd_cwnd = cwnd
    assert TcpDctcp().ssthresh(sk) == then
    assert TcpDctcp().undo_cwnd(sk) == cwnd


def test_ece_follows_the_state_of_the_packets() -> None:
    """RFC 8257, 3.2, with no ACK waiting: CE sets the echo, its end takes it away, and each change is told at once."""
    sk, ca = socket_of_ten()
    sk.ecn_flags = TCP_ECN_OK
    sk.rcv_nxt = 500
    dctcp_ece_ack_update(sk, ca, True)
    assert sk.ecn_flags & TCP_ECN_DEMAND_CWR and ca.prior_rcv_nxt == 500 and sk.ack_pending & 16
    sk.ack_pending = 0
    dctcp_ece_ack_update(sk, ca, True)
    assert sk.ack_pending == 0
    dctcp_ece_ack_update(sk, ca, False)
    assert not sk.ecn_flags & TCP_ECN_DEMAND_CWR and sk.ack_pending & 16


def both_dctcp(t: Transfer) -> None:
    """The server's children answer with it as well."""
    for host in (t.client, t.server):
        host.sysctl('net.ipv4.tcp_congestion_control', 'dctcp')


def test_keeps_the_queue_at_the_threshold() -> None:
    with Lab(seed=1) as lab:
        t = Transfer(lab, rate='20mbit', delay='1ms', limit=200, kind='codel', ce_threshold=3 * MS)
        both_dctcp(t)
        looks = t.run('dctcp', 2, lambda sk: (sk.srtt_us >> 3, sk.snd_cwnd, sk.icsk_ca_priv.dctcp_alpha))
        rate = t.goodput(0.5, 2)
        retransmitted = t.client.counter('TcpRetransSegs')
        params = t.link.a.dev.qdisc.params
    assert rate > 0.95 * 20 * 1448 / 1514
    assert retransmitted == 0
    assert params.ce_mark > 10
    late = looks[50:]
    assert sum(rtt for rtt, _, _ in late) / len(late) < 7_000  # 2 ms of path, 3 of threshold
    assert max(cwnd for _, cwnd, _ in late) < 20
    assert 0 < sum(alpha for _, _, alpha in late) / len(late) < 600


def test_reno_fills_the_same_queue_to_its_end() -> None:
    with Lab(seed=1) as lab:
        t = Transfer(lab, rate='20mbit', delay='1ms', limit=200, kind='codel', ce_threshold=3 * MS, target=1000 * MS)
        looks = t.run('reno', 2, lambda sk: sk.srtt_us >> 3)
    assert max(looks) > 30_000


def test_without_ecn_it_is_reno() -> None:
    found: list[bytes] = []

    with Lab(seed=1) as lab:
        t = Transfer(lab)
        t.server.sysctl('net.ipv4.tcp_ecn', 0)

        def program() -> None:
            with socket.socket() as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b'dctcp')
                sock.connect(('server', 9))
                sock.sendall(bytes(100_000))
                found.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b'\0'))
                found.append(sock.getsockopt(socket.IPPROTO_TCP, 26, 64))
                assert isinstance(t.sock().icsk_ca_ops, TcpDctcpReno)
                assert t.sock().tos & 3 == 0

        t.client.spawn(program)
        lab.run()
    assert found[0] == b'dctcp-reno'
    assert found[1] == bytes(16)


def test_tcp_cc_info() -> None:
    found: list[bytes] = []
    with Lab(seed=1) as lab:
        t = Transfer(lab)
        both_dctcp(t)  # a server without it would not agree to ECN with a SYN that is ECN-capable itself

        def program() -> None:
            with socket.socket() as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b'dctcp')
                sock.connect(('server', 9))
                sock.sendall(bytes(400_000))
                found.append(sock.getsockopt(socket.IPPROTO_TCP, 26, 64))

        t.client.spawn(program)
        lab.run()
    enabled, ce_state, alpha, ecn, total = struct.unpack('<HHIII', found[0])
    assert (enabled, ce_state, ecn) == (1, 0, 0)
    assert alpha < 1024 and total % 1448 == 0


def test_is_restricted() -> None:
    net = new_net(new_world(VirtualClock(), 1), 'a')
    assert net.sysctl.get('net.ipv4.tcp_available_congestion_control') == 'reno cubic bbr dctcp vegas'
    assert net.sysctl.get('net.ipv4.tcp_allowed_congestion_control') == 'reno cubic bbr'
    sk = TcpSock()
    sk.sk_net = net
    sk.icsk_ca_ops = tcp_ca_find(net, 'cubic')
    assert tcp_set_congestion_control(sk, 'dctcp', True, False) == -EPERM
    assert tcp_set_congestion_control(sk, 'dctcp', True, True) == 0
    assert net.sysctl.set('net.ipv4.tcp_allowed_congestion_control', 'reno dctcp') == 0
    assert net.sysctl.get('net.ipv4.tcp_allowed_congestion_control') == 'reno dctcp'
    assert net.sysctl.set('net.ipv4.tcp_allowed_congestion_control', 'reno westwood') < 0
    assert net.sysctl.get('net.ipv4.tcp_allowed_congestion_control') == 'reno dctcp'
    # the default is open to all
    assert net.sysctl.set('net.ipv4.tcp_congestion_control', 'bbr') == 0
    assert net.sysctl.get('net.ipv4.tcp_allowed_congestion_control') == 'reno bbr dctcp'
