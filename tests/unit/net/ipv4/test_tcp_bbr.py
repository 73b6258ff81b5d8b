# SPDX-License-Identifier: Apache-2.0
"""BBR: its modes in their order, the figures of its model, and what it does to the path."""
from __future__ import annotations

import socket
import struct
import time
from itertools import groupby

import pytest

from helpers.transfer import Transfer
from linnet import Lab
from linnet.drivers.net.wire import LossFunction, wire_set_params
from linnet.include.net.sock import SK_PACING_NEEDED
from linnet.include.net.tcp import TcpSock
from linnet.net.ipv4.tcp_bbr import (
    BBR_DRAIN,
    BBR_DRAIN_GAIN,
    BBR_HIGH_GAIN,
    BBR_PROBE_BW,
    BBR_PROBE_RTT,
    BBR_STARTUP,
    BW_SCALE,
    Bbr,
    bbr_bdp,
    bbr_max_bw,
    bbr_rate_bytes_per_sec,
    bbr_sk,
)
from linnet.report.ss import ss

BDP = 10e6 * 0.02 / 8 / 1514  # of Transfer's path, packets


def bw_mbit(sk: TcpSock, bw: int) -> float:
    """A bandwidth of BBR's as Mbit/s of payload."""
    return bw * sk.mss_cache * 8 / (1 << BW_SCALE)


def modes(looks: list[int]) -> list[int]:
    """The modes in the order in which they were seen."""
    return [mode for mode, _ in groupby(looks)]


def test_startup_drain_probe_bw() -> None:
    with Lab(seed=1) as lab:
        t = Transfer(lab)
        looks = t.run('bbr', 2, lambda sk: (bbr_sk(sk).mode, bbr_sk(sk).pacing_gain), every=0.001)
    assert modes([mode for mode, _ in looks]) == [BBR_STARTUP, BBR_DRAIN, BBR_PROBE_BW]
    assert {gain for mode, gain in looks if mode == BBR_STARTUP} == {BBR_HIGH_GAIN}
    assert BBR_DRAIN_GAIN in {gain for mode, gain in looks if mode == BBR_DRAIN}
    # 5/4, then 3/4 until the queue is gone, then six rounds of 1, and again
    gains = [gain for gain, _ in groupby(gain for mode, gain in looks[500:] if mode == BBR_PROBE_BW)]
    at = gains.index(320)
    assert gains[at:at + 6] == [320, 192, 256, 320, 192, 256]


def test_the_model_is_the_path() -> None:
    with Lab(seed=1) as lab:
        t = Transfer(lab)
        looks = t.run('bbr', 2, lambda sk: (
            bw_mbit(sk, bbr_max_bw(bbr_sk(sk))), bbr_sk(sk).min_rtt_us, sk.snd_cwnd, sk.srtt_us >> 3))
        rate = t.goodput(1, 2)
    payload = 10 * 1448 / 1514
    assert all(bw == pytest.approx(payload, rel=0.03) for bw, _, _, _ in looks[100:])
    assert {min_rtt for _, min_rtt, _, _ in looks[50:]} <= set(range(20_000, 22_500))
    # two bandwidth-delay products and the quantization budget (three super-segments of 2, rounded; two more while it probes)
    assert {cwnd for _, _, cwnd, _ in looks[100:]} <= set(range(round(2 * BDP) + 4, round(2 * BDP) + 18))
    assert rate > 0.94 * payload
    # and of the two, less than half stands in the queue
    assert sum(rtt for _, _, _, rtt in looks[100:]) / len(looks[100:]) < 32_000


def test_pacing_without_fq_is_its_own() -> None:
    with Lab(seed=1) as lab:
        t = Transfer(lab)
        looks = t.run('bbr', 1, lambda sk: (sk.sk_pacing_status, sk.sk_pacing_rate))
    assert {status for status, _ in looks} == {SK_PACING_NEEDED}
    assert looks[0][1] > 0


def test_probe_rtt_after_ten_seconds_without_a_shorter_one() -> None:
    with Lab(seed=1) as lab:
        t = Transfer(lab, rate='3mbit', delay='30ms')
        looks = t.run('bbr', 10.9, lambda sk: (lab.now, bbr_sk(sk).mode, sk.snd_cwnd, bbr_sk(sk).prior_cwnd), every=0.005)
    probing = [(now, cwnd) for now, mode, cwnd, _ in looks if mode == BBR_PROBE_RTT]
    assert probing
    assert {cwnd for _, cwnd in probing} == {4}
    span = probing[-1][0] - probing[0][0]
    assert 0.2 <= span <= 0.36  # 200 ms, and a round trip or two until four are in flight
    assert probing[0][0] > 9.9
    after = [cwnd for now, mode, cwnd, _ in looks if now > probing[-1][0]]
    assert min(after) > 20  # the window is what it was


def test_losses_do_not_slow_it_down() -> None:
    with Lab(seed=3) as lab:
        t = Transfer(lab)
        t.link.set(direction=t.router, loss='3 %')
        t.run('bbr', 2.5)
        rate = t.goodput(1, 2.5)
    assert rate > 7.5
    with Lab(seed=3) as lab:
        t = Transfer(lab)
        t.link.set(direction=t.router, loss='3 %')
        t.run('cubic', 2.5)
        assert t.goodput(1, 2.5) < rate * 0.7


def test_a_lost_syn() -> None:
    """Its timer asks for ssthresh before the connection, and BBR, have started."""
    with Lab(seed=1) as lab:
        t = Transfer(lab)
        t.link.set(direction=t.router, loss=1.0)

        def heal() -> None:
            time.sleep(0.5)
            t.link.set(loss=0)

        t.router.spawn(heal)
        looks = t.run('bbr', 0.3, lambda sk: sk.total_retrans)
    assert looks[0] == 1


def test_conserves_packets_in_the_first_round_of_recovery() -> None:
    seen: list[tuple[int, int]] = []

    def look(sk: TcpSock) -> None:
        bbr = bbr_sk(sk)
        if bbr.packet_conservation:
            seen.append((int(sk.snd_cwnd), int(bbr.prior_cwnd)))

    with Lab(seed=1) as lab:
        t = Transfer(lab)
        t.lose(400)
        t.run('bbr', 1, look, every=0.001)
        after = t.client.counter('TcpExtTCPFastRetrans')
    assert after == 1
    assert seen
    # what leaves is what was delivered, while the window from before is kept for later
    assert all(cwnd <= prior for cwnd, prior in seen)


def test_idle_restart_paces_at_the_bandwidth() -> None:
    with Lab(seed=1) as lab:
        t = Transfer(lab)
        looks = t.run('bbr', 1.6, lambda sk: (lab.now, bbr_sk(sk).mode, sk.snd_cwnd, sk.sk_pacing_rate), every=0.002,
                      pauses=((0.8, 1.4),))
        dropped = t.link.a.dev.qdisc.stats.drops
    rates = [rate for now, _, _, rate in looks if 1.43 < now < 1.5]
    assert all(rate == pytest.approx(10e6 / 8 * 1448 / 1514, rel=0.3) for rate in rates)
    assert min(cwnd for now, _, cwnd, _ in looks if 1.4 < now) > 20  # no slow start after idle
    assert dropped == 0


def test_a_policer_is_found_and_obeyed() -> None:
    """A token bucket of 4 Mbit/s on a path of 10: much is lost, at one rate."""
    class Bucket:
        def __init__(self, lab: Lab) -> None:
            self.lab, self.tokens, self.at = lab, 20_000.0, 0.0

        def lost(self, n: int) -> bool:
            now = self.lab.now
            self.tokens = min(20_000.0, self.tokens + (now - self.at) * 500_000)
            self.at = now
            if self.tokens < 1500:
                return True
            self.tokens -= 1500
            return False

    with Lab(seed=1) as lab:
        t = Transfer(lab)
        assert t.link.params is not None
        t.link.params[0].loss_function = LossFunction(Bucket(lab).lost)
        wire_set_params(t.link.a.dev, t.link.params[0])
        looks = t.run('bbr', 3, lambda sk: (bbr_sk(sk).lt_use_bw, bw_mbit(sk, bbr_sk(sk).lt_bw)))
        rate = t.goodput(1.5, 3)
    assert any(use for use, _ in looks)
    assert [bw for use, bw in looks if use][-1] == pytest.approx(3.9, rel=0.15)
    assert rate > 3


def test_a_new_flow_starts_from_the_initial_window_and_rtt() -> None:
    with Lab(seed=1) as lab:
        t = Transfer(lab, delay='50ms')
        first = t.run('bbr', 0.2, lambda sk: (sk.sk_pacing_rate, sk.mss_cache, sk.srtt_us >> 3, sk.snd_cwnd))[0]
    rate, mss, rtt, cwnd = first
    assert cwnd == 10
    assert rate == pytest.approx(10 * mss * 1e6 / rtt * 2.885 * 0.99, rel=0.01)


def test_figures() -> None:
    bbr = Bbr()
    assert bbr_bdp(bbr, 1 << BW_SCALE, 256) == 10  # no RTT yet: the initial window
    bbr.min_rtt_us = 1000
    assert bbr_bdp(bbr, 1 << BW_SCALE, 256) == 1000
    assert bbr_bdp(bbr, (1 << BW_SCALE) // 1000 + 1, 512) == 3  # 2 and a bit: rounded up
    sk = TcpSock()
    sk.mss_cache = 1000
    # a segment a ms, less one per cent
    assert bbr_rate_bytes_per_sec(sk, (1 << BW_SCALE) // 1000, 256) == pytest.approx(990_000, rel=1e-3)
    # 400 Gbit/s do not overflow
    sk.mss_cache = 65_000
    assert bbr_rate_bytes_per_sec(sk, (1 << BW_SCALE) * 50_000 // 65_000, BBR_HIGH_GAIN) == pytest.approx(142.8e9, rel=0.01)


def test_tcp_cc_info_and_ss() -> None:
    found: dict[str, object] = {}

    with Lab(seed=1) as lab:
        t = Transfer(lab)

        def program() -> None:
            with socket.socket() as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b'bbr')
                sock.connect(('server', 9))
                sock.sendall(bytes(1_000_000))
                found['raw'] = sock.getsockopt(socket.IPPROTO_TCP, 26, 64)
                found['ss'] = ss(t.client.net, listening=False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b'cubic')
                found['cubic'] = sock.getsockopt(socket.IPPROTO_TCP, 26, 64)

        t.client.spawn(program)
        lab.run()
    raw = found['raw']
    assert isinstance(raw, bytes) and len(raw) == 20
    low, high, min_rtt, pacing_gain, cwnd_gain = struct.unpack('<5I', raw)
    assert high == 0 and low == pytest.approx(10e6 / 8 * 1448 / 1514, rel=0.03)
    assert 20_000 <= min_rtt < 22_500
    assert pacing_gain in {320, 192, 256, BBR_DRAIN_GAIN} and cwnd_gain in {512, BBR_HIGH_GAIN}
    assert f'bbr:(bw:{low * 8}bps,mrtt:{min_rtt / 1000:g},pacing_gain:{pacing_gain / 256:g},cwnd_gain:{cwnd_gain / 256:g})' \
        in str(found['ss'])
    assert found['cubic'] == b''
