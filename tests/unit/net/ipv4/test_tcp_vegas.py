# SPDX-License-Identifier: Apache-2.0
"""Vegas: a few segments in the queue, no losses; Reno where round trips say too little."""
from __future__ import annotations

import socket
import struct

import pytest

from helpers.transfer import Transfer
from linnet import Lab
from linnet.include.net.tcp import TCP_INFINITE_SSTHRESH, TCP_CA_Open, TCP_CA_Recovery, TcpSock
from linnet.net.ipv4.tcp_vegas import NO_RTT, TcpVegas, Vegas, vegas_round, vegas_ssthresh

BDP = 10e6 * 0.02 / 8 / 1514


def sender(cwnd: int, base: int, rtt: int, ssthresh: int = 5) -> tuple[TcpSock, Vegas]:
    sk = TcpSock()
    sk.snd_cwnd, sk.snd_ssthresh = cwnd, ssthresh
    vegas = Vegas()
    vegas.base_rtt, vegas.min_rtt, vegas.cnt_rtt = base, rtt, 10
    sk.icsk_ca_priv = vegas
    return sk, vegas


@pytest.mark.parametrize(('rtt', 'cwnd'), [(10_000, 21), (10_500, 21), (11_000, 20), (12_000, 20), (12_500, 19), (20_000, 19)])
def test_a_round_between_alpha_and_beta(rtt: int, cwnd: int) -> None:
    """Of 20 segments 0, 1, 2, 4, 5, 20 were queued."""
    sk, vegas = sender(20, 10_000, rtt)
    vegas_round(sk, vegas, 20, 2, 4, 1)
    assert sk.snd_cwnd == cwnd


def test_slow_start_ends_with_the_first_queue() -> None:
    sk, vegas = sender(20, 10_000, 10_500, TCP_INFINITE_SSTHRESH)
    vegas_round(sk, vegas, 1, 2, 4, 1)
    assert (sk.snd_cwnd, sk.snd_ssthresh) == (21, TCP_INFINITE_SSTHRESH)
    sk, vegas = sender(20, 10_000, 12_500, TCP_INFINITE_SSTHRESH)
    vegas_round(sk, vegas, 1, 2, 4, 1)
    assert sk.snd_cwnd == 17  # what fits without a queue, and one
    assert sk.snd_ssthresh < sk.snd_cwnd


def test_never_below_two() -> None:
    sk, vegas = sender(2, 1000, 50_000, 2)
    vegas_round(sk, vegas, 1, 2, 4, 1)
    assert sk.snd_cwnd == 2
    assert vegas_ssthresh(sk) == 2


def test_losses_are_not_judged() -> None:
    sk, vegas = sender(20, 10_000, 10_000)
    ca = TcpVegas()
    ca.set_state(sk, TCP_CA_Recovery)
    assert not vegas.doing_vegas_now and ca.get_info(sk, 0)['tcpv_enabled'] == 0
    ca.set_state(sk, TCP_CA_Open)
    assert vegas.doing_vegas_now and vegas.min_rtt == NO_RTT and vegas.base_rtt == 10_000


def test_a_path_with_a_queue() -> None:
    with Lab(seed=1) as lab:
        t = Transfer(lab)
        looks = t.run('vegas', 3, lambda sk: (sk.snd_cwnd, sk.srtt_us >> 3))
        rate = t.goodput(1.5, 3)
        assert t.client.counter('TcpRetransSegs') == 0
    late = [cwnd for cwnd, _ in looks[150:]]
    assert BDP - 1 <= min(late) and max(late) <= BDP + 8  # the path, two to four queued, and one on the wire
    assert rate > 0.9 * 10 * 1448 / 1514
    assert max(rtt for _, rtt in looks[150:]) < 32_000


def test_tcp_cc_info() -> None:
    found: list[bytes] = []
    with Lab(seed=1) as lab:
        t = Transfer(lab)

        def program() -> None:
            with socket.socket() as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b'vegas')
                sock.connect(('server', 9))
                sock.sendall(bytes(300_000))
                found.append(sock.getsockopt(socket.IPPROTO_TCP, 26, 64))

        t.client.spawn(program)
        lab.run()
    enabled, _, base, _ = struct.unpack('<4I', found[0])
    assert enabled == 1
    assert 20_000 <= base < 22_500
