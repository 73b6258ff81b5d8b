# SPDX-License-Identifier: Apache-2.0
"""BBR, version 1: congestion control by a model of the path (draft-cardwell-iccrg-bbr-congestion-control-00; Cardwell, Cheng,
Gunn, Yeganeh, Jacobson, "BBR: Congestion-Based Congestion Control", ACM Queue 14:5, 2016).

Two figures describe a path: its bandwidth, the greatest delivery rate of the last ten round trips, and its round-trip time
without a queue, the least of the last ten seconds. BBR paces at a gain times the bandwidth and keeps a gain times their product
in flight. The gains are those of its mode: STARTUP doubles the rate each round until three rounds bring no quarter more; DRAIN
takes the queue away that this left; PROBE_BW cycles through a little more, a little less, and six rounds of just as much;
PROBE_RTT, when no round trip was as short as the least for ten seconds, lets all but four segments drain for 200 ms to see it
again.

Bandwidths are in segments a µs, times 2**24; gains times 2**8. Besides the draft: the estimate of ACK aggregation (IETF 101,
iccrg) and the detection of policers (IETF 99), as Linux has them.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import SK_PACING_NEEDED, SK_PACING_NONE, sock_net
from linnet.include.net.tcp import (
    CA_EVENT_TX_START,
    TCP_INFINITE_SSTHRESH,
    TCP_INIT_CWND,
    RateSample,
    TCP_CA_Loss,
    TCP_CA_Open,
    TCP_CA_Recovery,
    TcpCongestionOps,
    TcpSock,
    tcp_jiffies32,
    tcp_min_rtt,
    tcp_packets_in_flight,
    tcp_stamp_us_delta,
)
from linnet.kernel.win_minmax import Minmax, minmax_get, minmax_reset, minmax_running_max
from linnet.net.ipv4.tcp_cong import tcp_register_congestion_control

LINUX_FILE: Final = 'net/ipv4/tcp_bbr.c'

U32: Final = 0xFFFFFFFF
BW_SCALE: Final = 24
BW_UNIT: Final = 1 << 24
BBR_SCALE: Final = 8
BBR_UNIT: Final = 1 << 8

BBR_STARTUP: Final = 0
BBR_DRAIN: Final = 1
BBR_PROBE_BW: Final = 2
BBR_PROBE_RTT: Final = 3
BBR_MODES: Final = ('STARTUP', 'DRAIN', 'PROBE_BW', 'PROBE_RTT')

CYCLE_LEN: Final = 8
BBR_CYCLE_RAND: Final = 7  # the cycle begins anywhere but in the phase that drains
BBR_BW_RTTS: Final = CYCLE_LEN + 2  # window of the bandwidth filter, round trips
BBR_MIN_RTT_WIN: Final = 10_000  # ms
BBR_PROBE_RTT_MODE_MS: Final = 200
BBR_MIN_TSO_RATE: Final = 1_200_000  # bit/s; below, super-segments may be single segments
BBR_PACING_MARGIN_PERCENT: Final = 1  # what pacing stays below the bandwidth
BBR_HIGH_GAIN: Final = BBR_UNIT * 2885 // 1000 + 1  # 2/ln 2: the least that doubles each round
BBR_DRAIN_GAIN: Final = BBR_UNIT * 1000 // 2885
BBR_CWND_GAIN: Final = BBR_UNIT * 2
BBR_PACING_GAIN: Final = (
    BBR_UNIT * 5 // 4, BBR_UNIT * 3 // 4, BBR_UNIT, BBR_UNIT, BBR_UNIT, BBR_UNIT, BBR_UNIT, BBR_UNIT,
)
BBR_CWND_MIN_TARGET: Final = 4
BBR_FULL_BW_THRESH: Final = BBR_UNIT * 5 // 4
BBR_FULL_BW_CNT: Final = 3
BBR_LT_INTVL_MIN_RTTS: Final = 4
BBR_LT_LOSS_THRESH: Final = 50  # of 256: with less loss there is no policer
BBR_LT_BW_RATIO: Final = BBR_UNIT // 8
BBR_LT_BW_DIFF: Final = 4000 // 8  # bytes a second
BBR_LT_BW_MAX_RTTS: Final = 48
BBR_EXTRA_ACKED_WIN_RTTS: Final = 5
BBR_ACK_EPOCH_ACKED_RESET_THRESH: Final = 1 << 20
BBR_EXTRA_ACKED_MAX_US: Final = 100_000
GSO_MAX_BYTES: Final = 65_536 - 1 - 320  # of a super-segment, its headers apart


class Bbr:
    """Linux: struct bbr: what BBR knows of one connection."""

    def __init__(self) -> None:
        self.min_rtt_us: i64 = U32
        self.min_rtt_stamp: i64 = 0  # jiffies
        self.probe_rtt_done_stamp: i64 = 0  # jiffies; 0: four segments or less were not seen in flight yet
        self.bw: Minmax = Minmax()  # by round trips
        self.rtt_cnt: i64 = 0
        self.next_rtt_delivered: i64 = 0
        self.cycle_mstamp: i64 = 0  # ns
        self.mode: i64 = BBR_STARTUP
        self.prev_ca_state: i64 = TCP_CA_Open
        self.packet_conservation: bool = False
        self.round_start: bool = False
        self.idle_restart: bool = False
        self.probe_rtt_round_done: bool = False
        self.lt_is_sampling: bool = False
        self.lt_rtt_cnt: i64 = 0
        self.lt_use_bw: bool = False
        self.lt_bw: i64 = 0
        self.lt_last_delivered: i64 = 0
        self.lt_last_stamp: i64 = 0  # ms
        self.lt_last_lost: i64 = 0
        self.pacing_gain: i64 = BBR_HIGH_GAIN
        self.cwnd_gain: i64 = BBR_HIGH_GAIN
        self.full_bw_reached: bool = False
        self.full_bw_cnt: i64 = 0
        self.full_bw: i64 = 0
        self.cycle_idx: i64 = 0
        self.has_seen_rtt: bool = False
        self.prior_cwnd: i64 = 0
        self.ack_epoch_mstamp: i64 = 0  # ns
        self.extra_acked0: i64 = 0  # the greatest of this and the last five rounds
        self.extra_acked1: i64 = 0
        self.ack_epoch_acked: i64 = 0
        self.extra_acked_win_rtts: i64 = 0
        self.extra_acked_win_idx: i64 = 0


def bbr_sk(sk: TcpSock) -> Bbr:
    """The state of a connection; a SYN may time out before init, then it starts here.  Linux: inet_csk_ca."""
    bbr = sk.icsk_ca_priv
    if isinstance(bbr, Bbr):
        return bbr
    fresh = Bbr()
    sk.icsk_ca_priv = fresh
    return fresh


# -- the model's figures

def bbr_max_bw(bbr: Bbr) -> i64:
    """The greatest bandwidth of the last ten rounds.  Linux: net/ipv4/tcp_bbr.c."""
    return minmax_get(bbr.bw)


def bbr_bw(bbr: Bbr) -> i64:
    """The bandwidth to go by: a policer's, if there seems to be one.  Linux: net/ipv4/tcp_bbr.c."""
    return bbr.lt_bw if bbr.lt_use_bw else minmax_get(bbr.bw)


def bbr_rate_bytes_per_sec(sk: TcpSock, rate: i64, gain: i64) -> i64:
    """A bandwidth times a gain in bytes a second, less the pacing margin.  Linux: net/ipv4/tcp_bbr.c.

    Below 2**63 for bandwidths up to some Tbit/s: rate < 2**34, mss < 2**16, gain < 2**10; the last factor comes after a shift.
    """
    rate = (rate * sk.mss_cache * gain) >> BBR_SCALE
    rate = (rate >> 8) * (1_000_000 // 100 * (100 - BBR_PACING_MARGIN_PERCENT))
    return rate >> (BW_SCALE - 8)


def bbr_bw_to_pacing_rate(sk: TcpSock, bw: i64, gain: i64) -> i64:
    """Linux: net/ipv4/tcp_bbr.c."""
    rate = bbr_rate_bytes_per_sec(sk, bw, gain)
    return rate if rate < sk.sk_max_pacing_rate else sk.sk_max_pacing_rate


def bbr_bdp(bbr: Bbr, bw: i64, gain: i64) -> i64:
    """The bandwidth-delay product times a gain, segments, rounded up; without an RTT yet, the initial window.

    Linux: net/ipv4/tcp_bbr.c.  Draft, 4.2.3.2.
    """
    if bbr.min_rtt_us == U32:
        return TCP_INIT_CWND
    return (((bw * bbr.min_rtt_us * gain) >> BBR_SCALE) + BW_UNIT - 1) >> BW_SCALE


def bbr_min_tso_segs(sk: TcpSock) -> i64:
    """The least super-segment: two segments, of a slow flow one.  Linux: net/ipv4/tcp_bbr.c."""
    return 1 if sk.sk_pacing_rate < BBR_MIN_TSO_RATE >> 3 else 2


def bbr_tso_segs_goal(sk: TcpSock) -> i64:
    """Segments of the super-segments that are sent at the present rate.  Linux: net/ipv4/tcp_bbr.c.  Draft, 4.2.2."""
    size = sk.sk_pacing_rate >> sk.sk_pacing_shift
    if size > GSO_MAX_BYTES:
        size = GSO_MAX_BYTES
    segs = size // sk.mss_cache
    least = bbr_min_tso_segs(sk)
    if segs < least:
        segs = least
    return segs if segs < 0x7F else 0x7F


def bbr_quantization_budget(sk: TcpSock, bbr: Bbr, cwnd: i64) -> i64:
    """Room for what super-segments, delayed ACKs and GRO hold up at both ends.

    Linux: net/ipv4/tcp_bbr.c.  Draft, 4.2.3.2: three super-segments; an even number, for ACKs of every second segment; and two
    more in the phase that probes, for its gain to show on the slowest paths.
    """
    cwnd = (cwnd + 3 * bbr_tso_segs_goal(sk) + 1) & ~1
    if bbr.mode == BBR_PROBE_BW and bbr.cycle_idx == 0:
        cwnd += 2
    return cwnd


def bbr_inflight(sk: TcpSock, bbr: Bbr, bw: i64, gain: i64) -> i64:
    """What may be in flight at a gain, segments.  Linux: net/ipv4/tcp_bbr.c."""
    return bbr_quantization_budget(sk, bbr, bbr_bdp(bbr, bw, gain))


def bbr_packets_in_net_at_edt(sk: TcpSock, bbr: Bbr, inflight_now: i64) -> i64:
    """Segments in the network when the next one may depart: some that are in flight now are paced still, others arrive till then.

    Linux: net/ipv4/tcp_bbr.c.
    """
    wait_ns = sk.tcp_wstamp_ns - sk.tcp_mstamp
    if wait_ns < 0:
        wait_ns = 0
    delivered = (bbr_bw(bbr) * (wait_ns // 1000)) >> BW_SCALE
    if bbr.pacing_gain > BBR_UNIT:
        # as the one that departs then counts while the rate is to rise
        inflight_now += bbr_tso_segs_goal(sk)
    return inflight_now - delivered if inflight_now > delivered else 0


# -- what is set: pacing rate and window

def bbr_init_pacing_rate_from_rtt(sk: TcpSock, bbr: Bbr) -> None:
    """The initial window at each RTT, or each ms where none was measured, times the high gain.

    Linux: net/ipv4/tcp_bbr.c.  Draft, 4.2.1.
    """
    rtt_us: i64 = 1000
    if sk.srtt_us != 0:
        rtt_us = sk.srtt_us >> 3
        if rtt_us < 1:
            rtt_us = 1
        bbr.has_seen_rtt = True
    sk.sk_pacing_rate = bbr_bw_to_pacing_rate(sk, sk.snd_cwnd * BW_UNIT // rtt_us, BBR_HIGH_GAIN)


def bbr_set_pacing_rate(sk: TcpSock, bbr: Bbr, bw: i64, gain: i64) -> None:
    """Pace at bw times gain; before the path is known to be full, never slower than up to now.

    Linux: net/ipv4/tcp_bbr.c.  Draft, 4.2.1.
    """
    if not bbr.has_seen_rtt and sk.srtt_us != 0:
        bbr_init_pacing_rate_from_rtt(sk, bbr)
    rate = bbr_bw_to_pacing_rate(sk, bw, gain)
    if bbr.full_bw_reached or rate > sk.sk_pacing_rate:
        sk.sk_pacing_rate = rate


def bbr_save_cwnd(sk: TcpSock, bbr: Bbr) -> None:
    """Remember the window to come back to after recovery or PROBE_RTT.  Linux: net/ipv4/tcp_bbr.c.  Draft, 4.2.3.4."""
    if bbr.prev_ca_state < TCP_CA_Recovery and bbr.mode != BBR_PROBE_RTT:
        bbr.prior_cwnd = sk.snd_cwnd
    elif sk.snd_cwnd > bbr.prior_cwnd:
        bbr.prior_cwnd = sk.snd_cwnd


def bbr_ack_aggregation_cwnd(bbr: Bbr) -> i64:
    """Segments more, for paths whose ACKs come in bursts; at most what 100 ms deliver.  Linux: net/ipv4/tcp_bbr.c."""
    if not bbr.full_bw_reached:
        return 0
    most = (bbr_bw(bbr) * BBR_EXTRA_ACKED_MAX_US) >> BW_SCALE
    extra = bbr.extra_acked0 if bbr.extra_acked0 > bbr.extra_acked1 else bbr.extra_acked1
    return extra if extra < most else most


def bbr_set_cwnd_to_recover_or_restore(sk: TcpSock, bbr: Bbr, rs: RateSample, acked: i64) -> i64:
    """Take losses off the window, and when recovery ends, take it up again where it was before.

    During the first round of recovery one segment is sent for each delivered; then the window grows again as always. Returns the
    window where it is that of packet conservation, else -1.  Linux: net/ipv4/tcp_bbr.c.  Draft, 4.2.3.4.
    """
    prev_state = bbr.prev_ca_state
    state = sk.icsk_ca_state
    cwnd = sk.snd_cwnd
    if rs.losses > 0:
        cwnd = cwnd - rs.losses if cwnd > rs.losses + 1 else 1
    if state == TCP_CA_Recovery and prev_state != TCP_CA_Recovery:
        bbr.packet_conservation = True
        bbr.next_rtt_delivered = sk.delivered  # a round begins
        cwnd = tcp_packets_in_flight(sk) + acked
    elif prev_state >= TCP_CA_Recovery and state < TCP_CA_Recovery:
        if cwnd < bbr.prior_cwnd:
            cwnd = bbr.prior_cwnd
        bbr.packet_conservation = False
    bbr.prev_ca_state = state
    sk.snd_cwnd = cwnd
    if not bbr.packet_conservation:
        return -1
    conserving = tcp_packets_in_flight(sk) + acked
    return cwnd if cwnd > conserving else conserving


def bbr_set_cwnd(sk: TcpSock, bbr: Bbr, rs: RateSample, acked: i64, bw: i64, gain: i64) -> None:
    """The window for an ACK of `acked` segments: towards bw times min_rtt times gain, by what was delivered.

    Linux: net/ipv4/tcp_bbr.c.  Draft, 4.2.3.
    """
    cwnd = sk.snd_cwnd
    if acked != 0:
        conserving = bbr_set_cwnd_to_recover_or_restore(sk, bbr, rs, acked)
        cwnd = sk.snd_cwnd
        if conserving >= 0:
            cwnd = conserving
        else:
            target = bbr_quantization_budget(sk, bbr, bbr_bdp(bbr, bw, gain) + bbr_ack_aggregation_cwnd(bbr))
            if bbr.full_bw_reached:
                cwnd = cwnd + acked if cwnd + acked < target else target
            elif cwnd < target or sk.delivered < TCP_INIT_CWND:
                cwnd += acked
            if cwnd < BBR_CWND_MIN_TARGET:
                cwnd = BBR_CWND_MIN_TARGET
    if cwnd > sk.snd_cwnd_clamp:
        cwnd = sk.snd_cwnd_clamp
    if bbr.mode == BBR_PROBE_RTT and cwnd > BBR_CWND_MIN_TARGET:
        cwnd = BBR_CWND_MIN_TARGET
    sk.snd_cwnd = cwnd


# -- the modes

def bbr_is_next_cycle_phase(sk: TcpSock, bbr: Bbr, rs: RateSample) -> bool:
    """Is the present phase of PROBE_BW over? A phase lasts min_rtt; the one that probes until there is something to see, too; the
    one that drains only until the queue is gone.

    Linux: net/ipv4/tcp_bbr.c.  Draft, 4.3.4.3.
    """
    is_full_length = tcp_stamp_us_delta(sk.delivered_mstamp, bbr.cycle_mstamp) > bbr.min_rtt_us
    if bbr.pacing_gain == BBR_UNIT:
        return is_full_length
    inflight = bbr_packets_in_net_at_edt(sk, bbr, rs.prior_in_flight)
    bw = bbr_max_bw(bbr)
    if bbr.pacing_gain > BBR_UNIT:
        return is_full_length and (rs.losses > 0 or inflight >= bbr_inflight(sk, bbr, bw, bbr.pacing_gain))
    return is_full_length or inflight <= bbr_inflight(sk, bbr, bw, BBR_UNIT)


def bbr_advance_cycle_phase(sk: TcpSock, bbr: Bbr) -> None:
    """Linux: net/ipv4/tcp_bbr.c."""
    bbr.cycle_idx = (bbr.cycle_idx + 1) & (CYCLE_LEN - 1)
    bbr.cycle_mstamp = sk.delivered_mstamp


def bbr_update_cycle_phase(sk: TcpSock, bbr: Bbr, rs: RateSample) -> None:
    """Linux: net/ipv4/tcp_bbr.c."""
    if bbr.mode == BBR_PROBE_BW and bbr_is_next_cycle_phase(sk, bbr, rs):
        bbr_advance_cycle_phase(sk, bbr)


def bbr_reset_probe_bw_mode(sk: TcpSock, bbr: Bbr) -> None:
    """Enter PROBE_BW, in a phase drawn at random, so that flows do not probe together.  Linux: net/ipv4/tcp_bbr.c."""
    bbr.mode = BBR_PROBE_BW
    bbr.cycle_idx = CYCLE_LEN - 1 - sock_net(sk).random.below(BBR_CYCLE_RAND)
    bbr_advance_cycle_phase(sk, bbr)


def bbr_reset_mode(sk: TcpSock, bbr: Bbr) -> None:
    """After PROBE_RTT: on with STARTUP, if it was not over.  Linux: net/ipv4/tcp_bbr.c."""
    if bbr.full_bw_reached:
        bbr_reset_probe_bw_mode(sk, bbr)
    else:
        bbr.mode = BBR_STARTUP


def bbr_check_full_bw_reached(bbr: Bbr, rs: RateSample) -> None:
    """Is the path full? After three rounds in which the bandwidth did not grow by a quarter.

    Linux: net/ipv4/tcp_bbr.c.  Draft, 4.3.2.2.
    """
    if bbr.full_bw_reached or not bbr.round_start or rs.is_app_limited:
        return
    bw = bbr_max_bw(bbr)
    if bw >= (bbr.full_bw * BBR_FULL_BW_THRESH) >> BBR_SCALE:
        bbr.full_bw = bw
        bbr.full_bw_cnt = 0
        return
    bbr.full_bw_cnt += 1
    bbr.full_bw_reached = bbr.full_bw_cnt >= BBR_FULL_BW_CNT


def bbr_check_drain(sk: TcpSock, bbr: Bbr) -> None:
    """From STARTUP to DRAIN, and when no more is in flight than the path holds, to PROBE_BW.

    Linux: net/ipv4/tcp_bbr.c.  Draft, 4.3.3.
    """
    if bbr.mode == BBR_STARTUP and bbr.full_bw_reached:
        bbr.mode = BBR_DRAIN
        sk.snd_ssthresh = bbr_inflight(sk, bbr, bbr_max_bw(bbr), BBR_UNIT)  # for people to see
    if bbr.mode == BBR_DRAIN and (bbr_packets_in_net_at_edt(sk, bbr, tcp_packets_in_flight(sk))
                                  <= bbr_inflight(sk, bbr, bbr_max_bw(bbr), BBR_UNIT)):
        bbr_reset_probe_bw_mode(sk, bbr)


def bbr_check_probe_rtt_done(sk: TcpSock, bbr: Bbr) -> None:
    """Leave PROBE_RTT when its time is over.  Linux: net/ipv4/tcp_bbr.c.  Draft, 4.3.5."""
    now = tcp_jiffies32(sk)
    if bbr.probe_rtt_done_stamp == 0 or now <= bbr.probe_rtt_done_stamp:
        return
    bbr.min_rtt_stamp = now
    if sk.snd_cwnd < bbr.prior_cwnd:
        sk.snd_cwnd = bbr.prior_cwnd
    bbr_reset_mode(sk, bbr)


def bbr_update_min_rtt(sk: TcpSock, bbr: Bbr, rs: RateSample) -> None:
    """Keep the least RTT of ten seconds; when it grew old, see to it that it can be measured again.

    While the window is small for that, the rate is that of a program which has no more: it says nothing about the bandwidth.
    Linux: net/ipv4/tcp_bbr.c.  Draft, 4.1.2 and 4.3.5.
    """
    now = tcp_jiffies32(sk)
    expired = now > bbr.min_rtt_stamp + BBR_MIN_RTT_WIN
    if rs.rtt_us >= 0 and (rs.rtt_us < bbr.min_rtt_us or (expired and not rs.is_ack_delayed)):
        bbr.min_rtt_us = rs.rtt_us
        bbr.min_rtt_stamp = now
    if expired and not bbr.idle_restart and bbr.mode != BBR_PROBE_RTT:
        bbr.mode = BBR_PROBE_RTT
        bbr_save_cwnd(sk, bbr)
        bbr.probe_rtt_done_stamp = 0
    if bbr.mode == BBR_PROBE_RTT:
        in_flight = tcp_packets_in_flight(sk)
        mark = sk.delivered + in_flight
        sk.app_limited = mark if mark != 0 else 1
        if bbr.probe_rtt_done_stamp == 0:
            if in_flight <= BBR_CWND_MIN_TARGET:
                bbr.probe_rtt_done_stamp = now + BBR_PROBE_RTT_MODE_MS
                bbr.probe_rtt_round_done = False
                bbr.next_rtt_delivered = sk.delivered
        else:
            if bbr.round_start:
                bbr.probe_rtt_round_done = True
            if bbr.probe_rtt_round_done:
                bbr_check_probe_rtt_done(sk, bbr)
    if rs.delivered > 0:
        bbr.idle_restart = False


def bbr_update_gains(bbr: Bbr) -> None:
    """The gains of the mode.  Linux: net/ipv4/tcp_bbr.c."""
    mode = bbr.mode
    if mode == BBR_STARTUP:
        bbr.pacing_gain = BBR_HIGH_GAIN
        bbr.cwnd_gain = BBR_HIGH_GAIN
    elif mode == BBR_DRAIN:
        bbr.pacing_gain = BBR_DRAIN_GAIN
        bbr.cwnd_gain = BBR_HIGH_GAIN  # the window does not hinder
    elif mode == BBR_PROBE_BW:
        bbr.pacing_gain = BBR_UNIT if bbr.lt_use_bw else BBR_PACING_GAIN[bbr.cycle_idx]
        bbr.cwnd_gain = BBR_CWND_GAIN
    else:
        bbr.pacing_gain = BBR_UNIT
        bbr.cwnd_gain = BBR_UNIT


# -- policers

def bbr_reset_lt_bw_sampling_interval(sk: TcpSock, bbr: Bbr) -> None:
    """An interval begins.  Linux: net/ipv4/tcp_bbr.c."""
    bbr.lt_last_stamp = sk.delivered_mstamp // 1_000_000
    bbr.lt_last_delivered = sk.delivered
    bbr.lt_last_lost = sk.lost
    bbr.lt_rtt_cnt = 0


def bbr_reset_lt_bw_sampling(sk: TcpSock, bbr: Bbr) -> None:
    """No policer is known.  Linux: net/ipv4/tcp_bbr.c."""
    bbr.lt_bw = 0
    bbr.lt_use_bw = False
    bbr.lt_is_sampling = False
    bbr_reset_lt_bw_sampling_interval(sk, bbr)


def bbr_lt_bw_interval_done(sk: TcpSock, bbr: Bbr, bw: i64) -> None:
    """An interval of much loss is over: two of the same rate in a row are a policer's.  Linux: net/ipv4/tcp_bbr.c."""
    if bbr.lt_bw != 0:
        diff = bw - bbr.lt_bw if bw > bbr.lt_bw else bbr.lt_bw - bw
        if diff * BBR_UNIT <= BBR_LT_BW_RATIO * bbr.lt_bw or bbr_rate_bytes_per_sec(sk, diff, BBR_UNIT) <= BBR_LT_BW_DIFF:
            bbr.lt_bw = (bw + bbr.lt_bw) >> 1
            bbr.lt_use_bw = True
            bbr.pacing_gain = BBR_UNIT
            bbr.lt_rtt_cnt = 0
            return
    bbr.lt_bw = bw
    bbr_reset_lt_bw_sampling_interval(sk, bbr)


def bbr_lt_bw_sampling(sk: TcpSock, bbr: Bbr, rs: RateSample) -> None:
    """Look for a policer: intervals from loss to loss, of four rounds at least, in which a fifth is lost.

    One that was found is believed for 48 rounds.  Linux: net/ipv4/tcp_bbr.c.
    """
    if bbr.lt_use_bw:
        if bbr.mode == BBR_PROBE_BW and bbr.round_start:
            bbr.lt_rtt_cnt += 1
            if bbr.lt_rtt_cnt >= BBR_LT_BW_MAX_RTTS:
                bbr_reset_lt_bw_sampling(sk, bbr)
                bbr_reset_probe_bw_mode(sk, bbr)
        return
    if not bbr.lt_is_sampling:
        if rs.losses == 0:
            return
        bbr_reset_lt_bw_sampling_interval(sk, bbr)
        bbr.lt_is_sampling = True
    if rs.is_app_limited:
        # the rate is the program's: no policer can be told
        bbr_reset_lt_bw_sampling(sk, bbr)
        return
    if bbr.round_start:
        bbr.lt_rtt_cnt += 1
    if bbr.lt_rtt_cnt < BBR_LT_INTVL_MIN_RTTS:
        return
    if bbr.lt_rtt_cnt > 4 * BBR_LT_INTVL_MIN_RTTS:
        bbr_reset_lt_bw_sampling(sk, bbr)
        return
    if rs.losses == 0:
        return
    lost = sk.lost - bbr.lt_last_lost
    delivered = sk.delivered - bbr.lt_last_delivered
    if delivered == 0 or lost << BBR_SCALE < BBR_LT_LOSS_THRESH * delivered:
        return
    ms = sk.delivered_mstamp // 1_000_000 - bbr.lt_last_stamp
    if ms < 1:
        return  # too short to tell
    bbr_lt_bw_interval_done(sk, bbr, delivered * BW_UNIT // (ms * 1000))


# -- an ACK

def bbr_update_bw(sk: TcpSock, bbr: Bbr, rs: RateSample) -> None:
    """Count rounds, and take the ACK's delivery rate into the filter; that of a program's limit only if it is greater.

    Linux: net/ipv4/tcp_bbr.c.  Draft, 4.1.1.
    """
    bbr.round_start = False
    if rs.delivered < 0 or rs.interval_us <= 0:
        return
    if rs.prior_delivered >= bbr.next_rtt_delivered:
        bbr.next_rtt_delivered = sk.delivered
        bbr.rtt_cnt += 1
        bbr.round_start = True
        bbr.packet_conservation = False
    bbr_lt_bw_sampling(sk, bbr, rs)
    bw = rs.delivered * BW_UNIT // rs.interval_us
    if not rs.is_app_limited or bw >= bbr_max_bw(bbr):
        minmax_running_max(bbr.bw, BBR_BW_RTTS, bbr.rtt_cnt, bw)


def bbr_update_ack_aggregation(sk: TcpSock, bbr: Bbr, rs: RateSample) -> None:
    """How many more segments than the bandwidth explains were acknowledged since ACKs last fell behind it?

    The greatest of the last five to ten rounds is kept, in two windows.  Linux: net/ipv4/tcp_bbr.c.
    """
    if rs.acked_sacked <= 0 or rs.delivered < 0 or rs.interval_us <= 0:
        return
    if bbr.round_start:
        bbr.extra_acked_win_rtts += 1
        if bbr.extra_acked_win_rtts >= BBR_EXTRA_ACKED_WIN_RTTS:
            bbr.extra_acked_win_rtts = 0
            bbr.extra_acked_win_idx = 1 - bbr.extra_acked_win_idx
            if bbr.extra_acked_win_idx == 0:
                bbr.extra_acked0 = 0
            else:
                bbr.extra_acked1 = 0
    epoch_us = tcp_stamp_us_delta(sk.delivered_mstamp, bbr.ack_epoch_mstamp)
    expected = (bbr_bw(bbr) * epoch_us) >> BW_SCALE
    if bbr.ack_epoch_acked <= expected or bbr.ack_epoch_acked + rs.acked_sacked >= BBR_ACK_EPOCH_ACKED_RESET_THRESH:
        bbr.ack_epoch_acked = 0
        bbr.ack_epoch_mstamp = sk.delivered_mstamp
        expected = 0
    bbr.ack_epoch_acked += rs.acked_sacked
    extra = bbr.ack_epoch_acked - expected
    if extra > sk.snd_cwnd:
        extra = sk.snd_cwnd
    if bbr.extra_acked_win_idx == 0:
        if extra > bbr.extra_acked0:
            bbr.extra_acked0 = extra
    elif extra > bbr.extra_acked1:
        bbr.extra_acked1 = extra


def bbr_main(sk: TcpSock, rs: RateSample) -> None:
    """An ACK: model, mode, rate and window.  Linux: net/ipv4/tcp_bbr.c.  Draft, 3.3."""
    bbr = bbr_sk(sk)
    bbr_update_bw(sk, bbr, rs)
    bbr_update_ack_aggregation(sk, bbr, rs)
    bbr_update_cycle_phase(sk, bbr, rs)
    bbr_check_full_bw_reached(bbr, rs)
    bbr_check_drain(sk, bbr)
    bbr_update_min_rtt(sk, bbr, rs)
    bbr_update_gains(bbr)
    bw = bbr_bw(bbr)
    bbr_set_pacing_rate(sk, bbr, bw, bbr.pacing_gain)
    bbr_set_cwnd(sk, bbr, rs, rs.acked_sacked, bw, bbr.cwnd_gain)


class TcpBbr(TcpCongestionOps):
    """Linux: tcp_bbr_cong_ops."""

    name: str = 'bbr'

    def __init__(self) -> None:
        super().__init__()
        self.has_cong_control = True

    def init(self, sk: TcpSock) -> None:
        """A connection starts with STARTUP, and is paced from now on.  Linux: bbr_init."""
        bbr = Bbr()
        sk.icsk_ca_priv = bbr
        sk.snd_ssthresh = TCP_INFINITE_SSTHRESH
        bbr.next_rtt_delivered = sk.delivered
        bbr.min_rtt_us = tcp_min_rtt(sk)
        bbr.min_rtt_stamp = tcp_jiffies32(sk)
        minmax_reset(bbr.bw, bbr.rtt_cnt, 0)
        bbr_init_pacing_rate_from_rtt(sk, bbr)
        bbr_reset_lt_bw_sampling(sk, bbr)
        bbr.ack_epoch_mstamp = sk.tcp_mstamp
        if sk.sk_pacing_status == SK_PACING_NONE:
            sk.sk_pacing_status = SK_PACING_NEEDED

    def cong_control(self, sk: TcpSock, ack: i64, flag: i64, rs: RateSample) -> None:
        """See bbr_main."""
        bbr_main(sk, rs)

    def ssthresh(self, sk: TcpSock) -> i64:
        """Losses set no threshold; the window is remembered.  Linux: bbr_ssthresh."""
        bbr_save_cwnd(sk, bbr_sk(sk))
        return sk.snd_ssthresh

    def undo_cwnd(self, sk: TcpSock) -> i64:
        """The loss was none: the bandwidth may grow further, and no policer is near.  Linux: bbr_undo_cwnd."""
        bbr = bbr_sk(sk)
        bbr.full_bw = 0
        bbr.full_bw_cnt = 0
        bbr_reset_lt_bw_sampling(sk, bbr)
        return sk.snd_cwnd

    def cwnd_event(self, sk: TcpSock, event: i64) -> None:
        """Sending begins again after the program had nothing: at the bandwidth, for what was idle is no queue.

        Linux: bbr_cwnd_event.  Draft, 4.3.4.4.
        """
        if event != CA_EVENT_TX_START or sk.app_limited == 0:
            return
        bbr = sk.icsk_ca_priv
        if not isinstance(bbr, Bbr):
            return
        bbr.idle_restart = True
        bbr.ack_epoch_mstamp = sk.tcp_mstamp
        bbr.ack_epoch_acked = 0
        if bbr.mode == BBR_PROBE_BW:
            bbr_set_pacing_rate(sk, bbr, bbr_bw(bbr), BBR_UNIT)
        elif bbr.mode == BBR_PROBE_RTT:
            bbr_check_probe_rtt_done(sk, bbr)

    def set_state(self, sk: TcpSock, new_state: i64) -> None:
        """A timeout ends a round, and counts as loss.  Linux: bbr_set_state."""
        if new_state != TCP_CA_Loss:
            return
        bbr = bbr_sk(sk)
        bbr.prev_ca_state = TCP_CA_Loss
        bbr.full_bw = 0
        bbr.round_start = True
        rs = RateSample()
        rs.losses = 1
        bbr_lt_bw_sampling(sk, bbr, rs)

    def min_tso_segs(self, sk: TcpSock) -> i64:
        """See bbr_min_tso_segs."""
        return bbr_min_tso_segs(sk)

    def sndbuf_expand(self, sk: TcpSock) -> i64:
        """Three windows: even in recovery there is something to send.  Linux: bbr_sndbuf_expand."""
        return 3

    def get_info(self, sk: TcpSock, ext: int) -> dict[str, int]:
        """struct tcp_bbr_info: bytes a second, µs, gains times 256.  Linux: bbr_get_info."""
        bbr = sk.icsk_ca_priv
        if not isinstance(bbr, Bbr):
            return {}
        bw = int(bbr_bw(bbr)) * int(sk.mss_cache) * 1_000_000 >> BW_SCALE
        return {
            'bbr_bw_lo': bw & U32, 'bbr_bw_hi': bw >> 32, 'bbr_min_rtt': int(bbr.min_rtt_us),
            'bbr_pacing_gain': int(bbr.pacing_gain), 'bbr_cwnd_gain': int(bbr.cwnd_gain),
        }


def bbr_register(net: Net) -> int:
    """Make 'bbr' known to a host; called by tcp_v4_init.  Linux: net/ipv4/tcp_bbr.c."""
    return tcp_register_congestion_control(net, TcpBbr())
