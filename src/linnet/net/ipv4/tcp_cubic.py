# SPDX-License-Identifier: Apache-2.0
"""CUBIC congestion control (RFC 9438) with HyStart (Ha and Rhee, "Taming the elephants: new TCP slow start", 2011).

After a loss at a window of W_max segments the window follows W(t) = C * (t - K)^3 + W_max, t being the time since congestion
avoidance began: quickly back towards W_max, level around it, then ever faster beyond. K is when W_max is reached again. Where
Reno would be faster (short round trips, small windows), CUBIC keeps up with an estimate of Reno's window. As time drives the
growth, flows of different round trips share a link more evenly. HyStart ends the first slow start before it overruns the queue:
when the ACKs of one round come in a train as long as half the shortest round trip, or when round trips grow by an eighth.

All arithmetic is of integers with Linux's scales: t and K in 1/1024 s, beta in 1/1024, C = 410 / 1024. Linux's cubic root is a
table and one step of Newton's, 0.2 % off at the most; this one is exact.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import (
    LINUX_MIB_TCPHYSTARTDELAYCWND,
    LINUX_MIB_TCPHYSTARTDELAYDETECT,
    LINUX_MIB_TCPHYSTARTTRAINCWND,
    LINUX_MIB_TCPHYSTARTTRAINDETECT,
    NET_ADD_STATS,
    NET_INC_STATS,
)
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    CA_EVENT_TX_START,
    TCP_CA_Loss,
    TcpCongestionOps,
    TcpSock,
    after,
    tcp_in_slow_start,
    tcp_jiffies32,
)
from linnet.net.ipv4.tcp_cong import (
    tcp_cong_avoid_ai,
    tcp_is_cwnd_limited,
    tcp_register_congestion_control,
    tcp_reno_undo_cwnd,
    tcp_slow_start,
)

HZ: Final = 1000
BICTCP_BETA_SCALE: Final = 1024
BICTCP_HZ: Final = 10  # t and K are in 1 / 2**10 s
BETA: Final = 717  # RFC 9438, 4.6: beta 0.7
BIC_SCALE: Final = 41  # RFC 9438, 5: C 0.4, as 41 * 10 / 1024
CUBE_RTT_SCALE: Final = BIC_SCALE * 10
CUBE_SHIFT: Final = 10 + 3 * BICTCP_HZ
CUBE_FACTOR: Final = (1 << CUBE_SHIFT) // CUBE_RTT_SCALE
# RFC 9438, 4.3: Reno's window grows by alpha = 3 * (1 - beta) / (1 + beta) a round; this is 8 / alpha
BETA_SCALE: Final = 8 * (BICTCP_BETA_SCALE + BETA) // 3 // (BICTCP_BETA_SCALE - BETA)
MAX_OFFSET: Final = 1 << 18  # 256 s: the cube of more does not fit, and the window is millions of segments by then
MAX_DISTANCE: Final = 1 << 31
NO_EPOCH: Final = -1

HYSTART_ACK_TRAIN: Final = 1
HYSTART_DELAY: Final = 2
HYSTART_MIN_SAMPLES: Final = 8  # of a round, before its delay counts
HYSTART_DELAY_MIN: Final = 4000  # µs
HYSTART_DELAY_MAX: Final = 16000
NO_RTT: Final = 0xFFFFFFFF


class Bictcp:
    """Linux: struct bictcp, the state of one connection. last_time and epoch_start are jiffies, other times µs."""

    def __init__(self) -> None:
        self.cnt: i64 = 0  # grow by one segment for so many acknowledged
        self.last_max_cwnd: i64 = 0  # W_max
        self.last_cwnd: i64 = 0
        self.last_time: i64 = 0
        self.bic_origin_point: i64 = 0  # where the curve is level
        self.bic_K: i64 = 0  # 1/1024 s from epoch_start to the origin point
        self.delay_min: i64 = 0  # the shortest round trip; 0: none yet
        self.epoch_start: i64 = NO_EPOCH  # when congestion avoidance began (Linux: 0 is none; a virtual clock starts at 0)
        self.ack_cnt: i64 = 0
        self.tcp_cwnd: i64 = 0  # W_est, Reno's window
        self.sample_cnt: i64 = 0
        self.found: i64 = 0  # HyStart ended slow start
        self.round_start: i64 = 0
        self.end_seq: i64 = 0  # the round ends when this is passed
        self.last_ack: i64 = 0
        self.curr_rtt: i64 = NO_RTT


def bictcp_reset(ca: Bictcp) -> None:
    """Forget all but the round in hand.  Linux: net/ipv4/tcp_cubic.c."""
    ca.cnt = 0
    ca.last_max_cwnd = 0
    ca.last_cwnd = 0
    ca.last_time = 0
    ca.bic_origin_point = 0
    ca.bic_K = 0
    ca.delay_min = 0
    ca.epoch_start = NO_EPOCH
    ca.ack_cnt = 0
    ca.tcp_cwnd = 0
    ca.found = 0


def bictcp_clock_us(sk: TcpSock) -> i64:
    """The time of the segment in hand, µs.  Linux: net/ipv4/tcp_cubic.c."""
    return sk.tcp_mstamp // 1000


def bictcp_hystart_reset(sk: TcpSock, ca: Bictcp) -> None:
    """A round starts: it lasts until all that is sent by now is acknowledged.  Linux: net/ipv4/tcp_cubic.c."""
    now = bictcp_clock_us(sk)
    ca.round_start = now
    ca.last_ack = now
    ca.end_seq = sk.snd_nxt
    ca.curr_rtt = NO_RTT
    ca.sample_cnt = 0


def cubic_root(a: i64) -> i64:
    """The integer part of the cubic root of a >= 0.  Linux: net/ipv4/tcp_cubic.c, there approximate."""
    if a <= 0:
        return 0
    # a power of two not below the root; from above, Newton's steps fall until they reach it
    x: i64 = 1
    rest = a
    while rest > 0:
        rest >>= 3
        x <<= 1
    while True:
        y = (2 * x + a // (x * x)) // 3
        if y >= x:
            return x
        x = y


def cubic_k(distance: i64) -> i64:
    """How long the curve takes to climb `distance` segments to its level point, 1/1024 s: K = cbrt(distance / C).

    RFC 9438, 4.2, figure 2.
    """
    if distance > MAX_DISTANCE:
        distance = MAX_DISTANCE
    return cubic_root(CUBE_FACTOR * distance)


def cubic_offset(t: i64) -> i64:
    """C * t^3 in segments, for t >= 0 in 1/1024 s.  RFC 9438, 4.2, figure 1."""
    if t > MAX_OFFSET:
        t = MAX_OFFSET
    return (CUBE_RTT_SCALE * t * t * t) >> CUBE_SHIFT


def bictcp_start_epoch(ca: Bictcp, cwnd: i64, acked: i64, now: i64) -> None:
    """Congestion avoidance begins, at a window of cwnd: place the curve.  RFC 9438, 4.2 and 4.8."""
    ca.epoch_start = now
    ca.ack_cnt = acked
    ca.tcp_cwnd = cwnd
    if ca.last_max_cwnd <= cwnd:
        ca.bic_K = 0
        ca.bic_origin_point = cwnd
    else:
        ca.bic_K = cubic_k(ca.last_max_cwnd - cwnd)
        ca.bic_origin_point = ca.last_max_cwnd


def bictcp_target(ca: Bictcp, now: i64) -> i64:
    """W(t + RTT): where the curve will be in a round trip, segments.  RFC 9438, 4.4 and 4.5."""
    ms = now - ca.epoch_start + (ca.delay_min + 999) // 1000
    t = (ms << BICTCP_HZ) // HZ
    if t < ca.bic_K:
        return ca.bic_origin_point - cubic_offset(ca.bic_K - t)
    return ca.bic_origin_point + cubic_offset(t - ca.bic_K)


def bictcp_friendly(ca: Bictcp, cwnd: i64) -> None:
    """Advance Reno's window by what was acknowledged; grow at least as quickly.  RFC 9438, 4.3."""
    delta = (cwnd * BETA_SCALE) >> 3  # segments acknowledged for which Reno's window grows by one
    if delta > 0 and ca.ack_cnt > delta:
        steps = (ca.ack_cnt - 1) // delta
        ca.ack_cnt -= steps * delta
        ca.tcp_cwnd += steps
    if ca.tcp_cwnd > cwnd:
        max_cnt = cwnd // (ca.tcp_cwnd - cwnd)
        if ca.cnt > max_cnt:
            ca.cnt = max_cnt


def bictcp_update(ca: Bictcp, cwnd: i64, acked: i64, now: i64, tcp_friendliness: bool) -> None:
    """Set ca.cnt from the curve, after an ACK of `acked` segments at `now` (jiffies).

    Linux: net/ipv4/tcp_cubic.c; the clock and the module's parameter are arguments.
    """
    ca.ack_cnt += acked
    if ca.last_cwnd == cwnd and now - ca.last_time <= HZ // 32:
        return
    # the curve moves with the clock: once a jiffy is enough; Reno's window moves with every ACK
    if ca.epoch_start == NO_EPOCH or now != ca.last_time:
        ca.last_cwnd = cwnd
        ca.last_time = now
        if ca.epoch_start == NO_EPOCH:
            bictcp_start_epoch(ca, cwnd, acked, now)
        target = bictcp_target(ca, now)
        # on or above the curve: all but stand still
        ca.cnt = cwnd // (target - cwnd) if target > cwnd else 100 * cwnd
        # no loss yet, and slow start ended early (HyStart): at least 5 % a round trip
        if ca.last_max_cwnd == 0 and ca.cnt > 20:
            ca.cnt = 20
    if tcp_friendliness:
        bictcp_friendly(ca, cwnd)
    # at most half a segment for each acknowledged, 1.5 times in a round trip (RFC 9438, 4.2)
    if ca.cnt < 2:
        ca.cnt = 2


def cubictcp_recalc_ssthresh(ca: Bictcp, cwnd: i64, fast_convergence: bool) -> i64:
    """A loss at cwnd: remember W_max, return 0.7 of the window, at least 2 segments.

    A flow that lost below its last W_max makes room for others: it remembers less (RFC 9438, 4.6 and 4.7).
    Linux: net/ipv4/tcp_cubic.c; the window and the module's parameter are arguments.
    """
    ca.epoch_start = NO_EPOCH
    if cwnd < ca.last_max_cwnd and fast_convergence:
        ca.last_max_cwnd = cwnd * (BICTCP_BETA_SCALE + BETA) // (2 * BICTCP_BETA_SCALE)
    else:
        ca.last_max_cwnd = cwnd
    ssthresh = cwnd * BETA // BICTCP_BETA_SCALE
    return ssthresh if ssthresh > 2 else 2


def hystart_ack_delay(sk: TcpSock) -> i64:
    """How long four of the largest super-segments take at the pacing rate, µs, at most 1000: an allowance for GRO's delays.

    Linux: net/ipv4/tcp_cubic.c.
    """
    rate = sk.sk_pacing_rate
    if rate <= 0:
        return 0
    delay = sk.sk_gso_max_size * 4 * 1_000_000 // rate
    return delay if delay < 1000 else 1000


def hystart_delay_thresh(delay_min: i64) -> i64:
    """By how many µs a round must be slower than the fastest: an eighth, between 4 and 16 ms.  Linux: HYSTART_DELAY_THRESH."""
    thresh = delay_min >> 3
    if thresh < HYSTART_DELAY_MIN:
        return HYSTART_DELAY_MIN
    return thresh if thresh < HYSTART_DELAY_MAX else HYSTART_DELAY_MAX


def hystart_end_slow_start(sk: TcpSock, ca: Bictcp, detect: i64, cwnd_sum: i64) -> None:
    """Slow start is over at the present window; count it."""
    ca.found = 1
    net = sock_net(sk)
    NET_INC_STATS(net, detect)
    NET_ADD_STATS(net, cwnd_sum, sk.snd_cwnd)
    sk.snd_ssthresh = sk.snd_cwnd


def hystart_update(sk: TcpSock, ca: Bictcp, params: TcpCubic, delay: i64) -> None:
    """An ACK in slow start, with a round trip of `delay` µs: is the path full?  Linux: net/ipv4/tcp_cubic.c."""
    if after(sk.snd_una, ca.end_seq):
        bictcp_hystart_reset(sk, ca)
    if sk.snd_cwnd < params.hystart_low_window:
        return
    if (params.hystart_detect & HYSTART_ACK_TRAIN) != 0:
        now = bictcp_clock_us(sk)
        if now - ca.last_ack <= params.hystart_ack_delta_us:
            ca.last_ack = now
            threshold = ca.delay_min + hystart_ack_delay(sk)
            # without pacing the train is as dense as the link: half a round trip of it fills the path one way
            if sk.sk_pacing_status == 0:
                threshold >>= 1
            if now - ca.round_start > threshold:
                hystart_end_slow_start(sk, ca, LINUX_MIB_TCPHYSTARTTRAINDETECT, LINUX_MIB_TCPHYSTARTTRAINCWND)
    if (params.hystart_detect & HYSTART_DELAY) != 0:
        if ca.curr_rtt > delay:
            ca.curr_rtt = delay
        if ca.sample_cnt < HYSTART_MIN_SAMPLES:
            ca.sample_cnt += 1
        elif ca.curr_rtt > ca.delay_min + hystart_delay_thresh(ca.delay_min):
            hystart_end_slow_start(sk, ca, LINUX_MIB_TCPHYSTARTDELAYDETECT, LINUX_MIB_TCPHYSTARTDELAYCWND)


def bictcp_sk(sk: TcpSock) -> Bictcp:
    """The state of a connection; a SYN may time out before init, then it starts here.  Linux: inet_csk_ca."""
    ca = sk.icsk_ca_priv
    if isinstance(ca, Bictcp):
        return ca
    fresh = Bictcp()
    sk.icsk_ca_priv = fresh
    return fresh


class TcpCubic(TcpCongestionOps):
    """Linux: cubictcp. The attributes are the module's parameters, one set for a host (/sys/module/tcp_cubic/parameters)."""

    name: str = 'cubic'

    def __init__(self) -> None:
        super().__init__()
        self.fast_convergence: bool = True
        self.tcp_friendliness: bool = True
        self.hystart: bool = True
        self.hystart_detect: i64 = HYSTART_ACK_TRAIN | HYSTART_DELAY
        self.hystart_low_window: i64 = 16  # segments; below, HyStart does not judge
        self.hystart_ack_delta_us: i64 = 2000  # ACKs further apart are no train

    def init(self, sk: TcpSock) -> None:
        """Linux: cubictcp_init."""
        ca = Bictcp()
        sk.icsk_ca_priv = ca
        if self.hystart:
            bictcp_hystart_reset(sk, ca)

    def ssthresh(self, sk: TcpSock) -> i64:
        """Linux: cubictcp_recalc_ssthresh."""
        return cubictcp_recalc_ssthresh(bictcp_sk(sk), sk.snd_cwnd, self.fast_convergence)

    def cong_avoid(self, sk: TcpSock, ack: i64, acked: i64) -> None:
        """Slow start below ssthresh, the curve above.  Linux: cubictcp_cong_avoid."""
        if not tcp_is_cwnd_limited(sk):
            return
        if tcp_in_slow_start(sk):
            acked = tcp_slow_start(sk, acked)
            if acked == 0:
                return
        ca = bictcp_sk(sk)
        bictcp_update(ca, sk.snd_cwnd, acked, tcp_jiffies32(sk), self.tcp_friendliness)
        tcp_cong_avoid_ai(sk, ca.cnt, acked)

    def set_state(self, sk: TcpSock, new_state: i64) -> None:
        """After a timeout nothing of the past holds (RFC 9438, 4.8).  Linux: cubictcp_state."""
        if new_state == TCP_CA_Loss:
            ca = bictcp_sk(sk)
            bictcp_reset(ca)
            bictcp_hystart_reset(sk, ca)

    def cwnd_event(self, sk: TcpSock, event: i64) -> None:
        """Time in which the program sent nothing does not count for the curve (RFC 9438, 5.8).  Linux: cubictcp_cwnd_event."""
        if event != CA_EVENT_TX_START:
            return
        ca = sk.icsk_ca_priv
        if not isinstance(ca, Bictcp) or ca.epoch_start == NO_EPOCH:
            return
        now = tcp_jiffies32(sk)
        idle = now - sk.lsndtime
        if idle > 0:
            ca.epoch_start = ca.epoch_start + idle if ca.epoch_start + idle < now else now

    def pkts_acked(self, sk: TcpSock, pkts_acked: i64, rtt_us: i64, in_flight: i64) -> None:
        """Learn the shortest round trip; in slow start ask HyStart.  Linux: cubictcp_acked."""
        if rtt_us < 0:
            return
        ca = sk.icsk_ca_priv
        if not isinstance(ca, Bictcp):
            return
        # for a second after fast recovery, round trips still show the queue that it drains
        if ca.epoch_start != NO_EPOCH and tcp_jiffies32(sk) - ca.epoch_start < HZ:
            return
        delay = rtt_us if rtt_us > 0 else 1
        if ca.delay_min == 0 or ca.delay_min > delay:
            ca.delay_min = delay
        if ca.found == 0 and self.hystart and tcp_in_slow_start(sk):
            hystart_update(sk, ca, self, delay)

    def undo_cwnd(self, sk: TcpSock) -> i64:
        """Linux: tcp_reno_undo_cwnd."""
        return tcp_reno_undo_cwnd(sk)


def cubictcp_register(net: Net) -> int:
    """Make 'cubic' known to a host; called by tcp_v4_init.  Linux: net/ipv4/tcp_cubic.c."""
    return tcp_register_congestion_control(net, TcpCubic())
