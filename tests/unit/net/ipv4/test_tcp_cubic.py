# SPDX-License-Identifier: Apache-2.0
"""CUBIC against RFC 9438's own formulas and tables, and HyStart on paths whose capacity is known."""
from __future__ import annotations

import contextlib
import random
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.hosts import Alone
from helpers.tcp_wire import MS, Peer, Wire
from linnet import Lab
from linnet.include.linux.socket import SO_SNDBUF, SOL_SOCKET, SOL_TCP
from linnet.include.net.tcp import CA_EVENT_TX_START, TCP_CONGESTION, TCP_INFINITE_SSTHRESH, TCP_CA_Loss, TcpSock
from linnet.net import socket as sys
from linnet.net.ipv4.tcp_cong import tcp_ca_find, tcp_cong_avoid_ai, tcp_get_available_congestion_control
from linnet.net.ipv4.tcp_cubic import (
    NO_EPOCH,
    Bictcp,
    TcpCubic,
    bictcp_reset,
    bictcp_start_epoch,
    bictcp_target,
    bictcp_update,
    cubic_k,
    cubic_offset,
    cubic_root,
    cubictcp_recalc_ssthresh,
    hystart_delay_thresh,
)
from linnet.net.ipv4.tcp_ipv4_proc import tcp_seq_socks

C = 0.4
BETA = 0.7
SIZE = 2_000_000


class Flow:
    """A CUBIC window, acknowledged and reduced by hand. Time in ms."""

    def __init__(self, cwnd: int, rtt: int = 0, friendly: bool = True) -> None:
        self.ca = Bictcp()
        self.ca.delay_min = rtt * 1000
        self.sk = TcpSock()
        self.sk.snd_cwnd = cwnd
        self.friendly = friendly
        self.now = 0

    @property
    def cwnd(self) -> int:
        return int(self.sk.snd_cwnd)

    def ack(self, segments: int) -> None:
        bictcp_update(self.ca, self.sk.snd_cwnd, segments, self.now, self.friendly)
        tcp_cong_avoid_ai(self.sk, self.ca.cnt, segments)

    def lose(self) -> None:
        self.sk.snd_cwnd = cubictcp_recalc_ssthresh(self.ca, self.sk.snd_cwnd, True)
        self.sk.snd_cwnd_cnt = 0

    def round(self, rtt: int, batches: int = 20) -> int:
        """The ACKs of one window over one round trip."""
        window = self.cwnd
        for i in range(batches):
            self.now += rtt // batches
            share = window * (i + 1) // batches - window * i // batches
            if share:
                self.ack(share)
        return window


# -- the arithmetic

@given(st.integers(0, 2**62))
def test_cubic_root(a: int) -> None:
    root = cubic_root(a)
    assert root**3 <= a < (root + 1)**3


@pytest.mark.parametrize('distance', [1, 3, 10, 100, 1000, 30_000, 10**6, 10**8])
def test_k(distance: int) -> None:
    """Figure 2: K = cubic_root((W_max - cwnd_epoch) / C)."""
    assert cubic_k(distance) / 1024 == pytest.approx((distance / C) ** (1 / 3), rel=0.002)


@given(st.integers(0, 250_000))
def test_offset(ms: int) -> None:
    """Figure 1: W(t) - W_max = C * (t - K)^3."""
    t = ms * 1024 // 1000
    assert cubic_offset(t) == pytest.approx(C * (t / 1024) ** 3, rel=0.002, abs=1)


def test_nothing_overflows() -> None:
    assert cubic_offset(10**12) == cubic_offset(256 * 1024) > 6_000_000
    assert cubic_k(2**40) == cubic_k(2**31)


# -- the curve

@pytest.mark.parametrize('w_max', [50, 1000, 20_000])
def test_the_curve(w_max: int) -> None:
    """From 0.7 W_max up to W_max after K, level there, and as far beyond after another K."""
    ca = Bictcp()
    start = cubictcp_recalc_ssthresh(ca, w_max, True)
    assert start == pytest.approx(BETA * w_max, rel=0.0005, abs=1)
    bictcp_start_epoch(ca, start, 1, 5000)
    k = (w_max * (1 - BETA) / C) ** (1 / 3)
    assert ca.bic_K / 1024 == pytest.approx(k, rel=0.02)
    for share in (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2):
        t = share * k
        wanted = C * (t - k) ** 3 + w_max
        assert bictcp_target(ca, 5000 + int(t * 1000)) == pytest.approx(wanted, rel=0.01, abs=1)


def test_the_target_lies_a_round_trip_ahead() -> None:
    near, far = Bictcp(), Bictcp()
    far.delay_min = 99_001  # rounded up to 100 ms
    for ca in (near, far):
        bictcp_start_epoch(ca, 100, 1, 1000)
    assert bictcp_target(far, 5000) == bictcp_target(near, 5100)


def test_a_window_above_w_max_starts_level() -> None:
    """4.2: if cwnd_epoch is above W_max, K is 0."""
    ca = Bictcp()
    ca.last_max_cwnd = 90
    bictcp_start_epoch(ca, 100, 1, 0)
    assert ca.bic_K == 0
    assert ca.bic_origin_point == 100


def test_the_window_is_back_at_w_max_after_k() -> None:
    flow = Flow(1000, rtt=100, friendly=False)
    flow.lose()
    k = cubic_k(300) * 1000 // 1024
    at = {}
    while flow.now < 2 * k:
        flow.round(100)
        at[flow.now] = flow.cwnd
    near_k = min(at, key=lambda t: abs(t - k))
    assert at[near_k] == pytest.approx(1000, rel=0.03)
    near_half = min(at, key=lambda t: abs(t - k // 2))
    assert at[near_half] == pytest.approx(1000 - 300 / 8, rel=0.03)
    assert at[max(at)] == pytest.approx(1300, rel=0.06)


# -- reduction

@pytest.mark.parametrize(('cwnd', 'ssthresh'), [(1000, 700), (10, 7), (3, 2), (2, 2), (1, 2)])
def test_a_loss_leaves_seven_tenths_but_at_least_two(cwnd: int, ssthresh: int) -> None:
    assert cubictcp_recalc_ssthresh(Bictcp(), cwnd, True) == ssthresh


def test_fast_convergence() -> None:
    """4.7: losing below the last W_max, remember (1 + beta) / 2 of the window."""
    ca = Bictcp()
    cubictcp_recalc_ssthresh(ca, 1000, True)
    assert ca.last_max_cwnd == 1000
    cubictcp_recalc_ssthresh(ca, 900, True)
    assert ca.last_max_cwnd == int(900 * (1 + 717 / 1024) / 2) == 765
    cubictcp_recalc_ssthresh(ca, 900, True)
    assert ca.last_max_cwnd == 900
    cubictcp_recalc_ssthresh(ca, 800, False)
    assert ca.last_max_cwnd == 800


def test_two_flows_converge() -> None:
    """When they fill the path one of them loses, by chance in proportion to its share: in the long run both have half."""
    chance = random.Random(1)
    flows = [Flow(900, rtt=100), Flow(100, rtt=100)]
    total = [0, 0]
    for i in range(8000):
        for flow in flows:
            flow.round(100, 5)
        if sum(flow.cwnd for flow in flows) > 1000:
            chance.choices(flows, [flow.cwnd for flow in flows])[0].lose()
        if i >= 1000:
            total = [total[0] + flows[0].cwnd, total[1] + flows[1].cwnd]
    assert total[0] / total[1] == pytest.approx(1, abs=0.1)


# -- the response function: section 5.1, tables 1 and 2, column C = 0.4

@pytest.mark.parametrize(('rtt', 'packets', 'average'), [
    (100, 10**2, 12), (100, 10**3, 38), (100, 10**4, 187), (100, 10**5, 1054), (100, 10**6, 5926),
    (10, 10**3, 38), (10, 10**4, 120), (10, 10**5, 379),
])
def test_average_window_with_a_loss_every_so_many_packets(rtt: int, packets: int, average: int) -> None:
    flow = Flow(average, rtt=rtt)
    flow.lose()
    sent, losses, total, rounds = 0, 0, 0, 0
    while losses < 30:
        window = flow.round(rtt, 10)
        sent += window
        if losses >= 10:
            total += window
            rounds += 1
        if sent >= packets:
            sent -= packets
            losses += 1
            flow.lose()
    assert total / rounds == pytest.approx(average, rel=0.12)


# -- properties

@given(st.integers(2, 5000), st.integers(1, 300), st.lists(st.tuples(st.integers(0, 400), st.integers(1, 64)), max_size=200),
       st.integers(0, 10_000), st.booleans())
def test_the_window_only_grows_between_losses(cwnd: int, rtt: int, acks: list[tuple[int, int]], w_max: int,
                                               friendly: bool) -> None:
    flow = Flow(cwnd, rtt=rtt, friendly=friendly)
    flow.ca.last_max_cwnd = w_max
    for wait, acked in acks:
        flow.now += wait
        before = flow.cwnd
        flow.ack(acked)
        # never by more than half of what was acknowledged (4.2), with what was saved up for the next segment
        assert before <= flow.cwnd <= before + acked // 2 + 2
        assert flow.ca.cnt >= 2


@given(st.lists(st.one_of(st.just('loss'), st.just('timeout'), st.integers(1, 500)), max_size=150), st.integers(1, 200))
def test_the_window_is_never_below_two(events: list[str | int], cwnd: int) -> None:
    flow = Flow(max(cwnd, 2), rtt=20)
    for event in events:
        if isinstance(event, int):
            flow.now += 7
            flow.ack(event)
        else:
            before = flow.cwnd
            flow.lose()
            assert 2 <= flow.cwnd <= max(before, 2)
            assert flow.ca.last_max_cwnd <= max(before, flow.ca.last_max_cwnd)
            if event == 'timeout':
                bictcp_reset(flow.ca)
        assert flow.cwnd >= 2


@given(st.integers(2, 2000), st.integers(1, 30))
def test_never_slower_than_reno_of_the_same_share(cwnd: int, rounds: int) -> None:
    """4.3: W_est grows by 3 * (1 - beta) / (1 + beta) = 0.53 segments a round; the window follows."""
    flow = Flow(cwnd, rtt=10)
    flow.ca.last_max_cwnd = 10 * cwnd
    for _ in range(rounds):
        flow.round(10)
    assert flow.ca.tcp_cwnd <= flow.cwnd + 2
    assert flow.cwnd >= cwnd + int(rounds * 0.5) - 3


# -- as a socket's congestion control

def test_the_default_and_by_name() -> None:
    prog = Alone()
    assert tcp_get_available_congestion_control(prog.net) == 'reno cubic bbr dctcp vegas'
    fd = prog.socket()
    assert sys.sys_getsockopt(prog.process, fd, SOL_TCP, TCP_CONGESTION, 16).rstrip(b'\0') == b'cubic'
    prog.setopt(fd, SOL_TCP, TCP_CONGESTION, b'reno')
    prog.setopt(fd, SOL_TCP, TCP_CONGESTION, b'cubic')
    assert sys.sys_getsockopt(prog.process, fd, SOL_TCP, TCP_CONGESTION, 16).rstrip(b'\0') == b'cubic'


def live(prog: Alone) -> tuple[TcpCubic, TcpSock]:
    """The host's CUBIC and a socket of its own, not connected."""
    cubic = tcp_ca_find(prog.net, 'cubic')
    assert isinstance(cubic, TcpCubic)
    sk = TcpSock()
    sk.sk_net = prog.net
    sk.icsk_ca_ops = cubic
    cubic.init(sk)
    return cubic, sk


def test_idle_time_does_not_move_the_curve() -> None:
    """5.8: t does not count the time in which the program sent nothing."""
    prog = Alone()
    cubic, sk = live(prog)
    ca = sk.icsk_ca_priv
    assert isinstance(ca, Bictcp)
    prog.world.sched.run(10_000_000_000)
    ca.epoch_start = 1000
    sk.lsndtime = 6000
    cubic.cwnd_event(sk, CA_EVENT_TX_START)
    assert ca.epoch_start == 5000
    sk.lsndtime = 0
    cubic.cwnd_event(sk, CA_EVENT_TX_START)
    assert ca.epoch_start == 10_000  # not in the future


def test_a_timeout_forgets() -> None:
    prog = Alone()
    cubic, sk = live(prog)
    ca = sk.icsk_ca_priv
    assert isinstance(ca, Bictcp)
    sk.snd_cwnd = 100
    assert cubic.ssthresh(sk) == 70
    ca.found = 1
    cubic.set_state(sk, TCP_CA_Loss)
    assert ca.last_max_cwnd == ca.found == ca.delay_min == 0
    assert ca.epoch_start == NO_EPOCH


def test_a_loss_before_the_connection_stands() -> None:
    """A SYN's timeout asks for ssthresh before init was called."""
    sk = TcpSock()
    assert TcpCubic().ssthresh(sk) == 7


@pytest.mark.parametrize(('delay_min', 'thresh'), [(1000, 4000), (80_000, 10_000), (400_000, 16_000)])
def test_delay_threshold(delay_min: int, thresh: int) -> None:
    assert hystart_delay_thresh(delay_min) == thresh


def feed(wire: Wire, fd: int) -> None:
    """Write as much as the socket takes."""
    with contextlib.suppress(BlockingIOError):
        while True:
            wire.prog.send(fd, bytes(50_000))


def bulk() -> tuple[Wire, Peer, int, TcpSock]:
    """A CUBIC connection to a peer 100 ms away with MSS 1000, with more to send than it may."""
    wire = Wire()
    wire.net.ipv4.sysctl_tcp_congestion_control = 'cubic'
    peer = Peer(wire, mss=1000, wscale=4)
    fd = wire.prog.nonblocking(peer.accept(delay=100 * MS))
    wire.prog.setopt(fd, SOL_SOCKET, SO_SNDBUF, 200_000)
    feed(wire, fd)
    sk = tcp_seq_socks(wire.net)[0]
    assert isinstance(sk, TcpSock)
    return wire, peer, fd, sk


# -- HyStart in a lab

def download(name: str = 'cubic', detect: int = 3, hystart: bool = True) -> tuple[dict[str, int], dict[str, int]]:
    """A sender's counters and TCP_INFO at the end; the path holds 20 Mbit/s * 50 ms, 83 segments."""
    with Lab(seed=1) as lab:
        a, router, b = lab.host('a'), lab.router('router'), lab.host('b')
        lab.link(a, router, rate='1gbit')  # the queue is not the sender's own, which TSQ keeps short
        lab.link(router, b, rate='20mbit', delay='25ms')
        cubic = tcp_ca_find(a.net, 'cubic')
        assert isinstance(cubic, TcpCubic)
        cubic.hystart = hystart
        cubic.hystart_detect = detect
        info: dict[str, int] = {}

        def serve() -> None:
            listener = socket.create_server(('', 80))
            conn, _ = listener.accept()
            left = SIZE
            while left:
                left -= len(conn.recv(1 << 20))
            conn.send(b'.')

        def send() -> None:
            with socket.socket() as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
                sock.connect(('b', 80))
                sock.sendall(bytes(SIZE))
                sock.recv(1)
                raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
                info['ssthresh'], info['cwnd'] = (int.from_bytes(raw[i:i + 4], 'little') for i in (76, 80))
        b.spawn(serve)
        a.spawn(send)
        lab.run()
        return a.nstat(), info


@pytest.mark.parametrize(('detect', 'found', 'silent'), [(1, 'Train', 'Delay'), (2, 'Delay', 'Train')])
def test_hystart_ends_slow_start(detect: int, found: str, silent: str) -> None:
    counters, info = download(detect=detect)
    assert counters[f'TcpExtTCPHystart{found}Detect'] == 1
    cwnd = counters[f'TcpExtTCPHystart{found}Cwnd']
    # a train shows when the path is half full; a delay only in the round after the queue began to grow, and the window may have
    # run ahead of what is in flight twice over (tcp_is_cwnd_limited)
    assert 41 <= cwnd <= (2 if found == 'Train' else 8) * 83
    assert info['ssthresh'] == cwnd
    assert f'TcpExtTCPHystart{silent}Detect' not in counters or counters[f'TcpExtTCPHystart{silent}Detect'] == 0
    assert counters.get('TcpRetransSegs', 0) == 0


def test_without_hystart_slow_start_goes_on() -> None:
    counters, info = download(hystart=False)
    assert counters.get('TcpExtTCPHystartTrainDetect', 0) == counters.get('TcpExtTCPHystartDelayDetect', 0) == 0
    assert info['ssthresh'] == TCP_INFINITE_SSTHRESH
    assert info['cwnd'] > 2 * 83


def test_reno_counts_no_hystart() -> None:
    counters, _ = download('reno')
    assert not any('Hystart' in name and value for name, value in counters.items())


# -- beside the real kernel: what Linux 6.18.44 did over a TUN device, noted here

# two segments acknowledged every 100 ms: HyStart's delay at the 14th ACK, then 5 % a round, then the curve, at last (from 53
# on) the limit of half a segment for each acknowledged
KERNEL_BULK = [
    *range(12, 36, 2), *[36] * 10, *[37] * 10, *[38] * 5, *[39] * 3, *[40] * 3, 41, 41, 42, 43, 43, 44, 45, 45, *range(46, 85),
]


def test_the_windows_of_the_kernel() -> None:
    wire, peer, fd, sk = bulk()
    windows = []
    for i in range(len(KERNEL_BULK)):
        wire.advance(100 * MS)
        peer.send('.', ack=1 + 2000 * (i + 1))
        feed(wire, fd)
        windows.append(int(sk.snd_cwnd))
    assert windows == KERNEL_BULK
    assert wire.net.mib.get('TcpExtTCPHystartDelayCwnd') == 36


# four segments acknowledged every 50 ms, thirty times; ten duplicates (fast retransmit, PRR); all acknowledged; then four again
KERNEL_LOSS = [
    *range(14, 98, 4), *[98] * 5, *[99] * 4,
    99, 99, 98, 98, 98, 97, 97, 97, 96, 96,
    69,
    69, 69, 69, 70, 70, 70, 71, 71, 72, 72, 73, 73, 74, 74, 75, 75, 76, 76, 77, 77, 78, 78, 79, 80, 80, 81, 81, 82, 82, 82, 83,
    83, 84, 84, 85, 85, 86, 86, 87, 87, 88, 88, 88, 89, 89, 89, 90, 90, 90, 91, 91, 91,
    *[92] * 4, *[93] * 4, *[94] * 4, *[95] * 6, *[96] * 8,
    *[97] * 12, *[98] * 10,
]


def test_the_windows_of_the_kernel_about_a_loss() -> None:
    wire, peer, fd, sk = bulk()
    windows: list[int] = []
    ack = 1

    def step(ms: int, segments: int) -> None:
        nonlocal ack
        wire.advance(ms * MS)
        ack += segments * 1000
        peer.send('.', ack=ack)
        feed(wire, fd)
        windows.append(int(sk.snd_cwnd))
    for _ in range(30):
        step(50, 4)
    out = int(sk.packets_out)
    for _ in range(10):
        step(30, 0)
    assert sk.snd_ssthresh == 99 * 717 // 1024
    step(50, out)
    for _ in range(100):
        step(50, min(4, int(sk.packets_out)))
    assert windows == KERNEL_LOSS
