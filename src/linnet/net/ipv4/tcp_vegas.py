# SPDX-License-Identifier: Apache-2.0
"""TCP Vegas: keep a few segments in the path's queue, by its round-trip times (Brakmo, Peterson, "TCP Vegas: End to End
Congestion Avoidance on a Global Internet", IEEE JSAC 13:8, 1995).

The shortest round trip seen is the path's own (baseRTT). Once a round trip, the least one of that round says how many of the
window's segments were queued: cwnd * (rtt - baseRTT) / rtt. Below alpha (2) the window grows by one segment, above beta (4) it
shrinks by one; slow start ends when more than gamma (1) are queued. Rounds with fewer than three samples, and those with a loss,
are Reno's.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.net_namespace import Net
from linnet.include.net.tcp import (
    CA_EVENT_CWND_RESTART,
    CA_EVENT_TX_START,
    TCP_CA_Open,
    TcpCongestionOps,
    TcpSock,
    after,
    tcp_in_slow_start,
)
from linnet.net.ipv4.tcp_cong import (
    tcp_register_congestion_control,
    tcp_reno_cong_avoid,
    tcp_reno_ssthresh,
    tcp_reno_undo_cwnd,
    tcp_slow_start,
)
from linnet.net.ipv4.tcp_input_cwnd import tcp_current_ssthresh

NO_RTT: Final = 0x7FFFFFFF


class Vegas:
    """Linux: struct vegas. Times in µs, one more than measured, so that none is 0."""

    def __init__(self) -> None:
        self.beg_snd_nxt: i64 = 0  # the round is over when this is acknowledged
        self.doing_vegas_now: bool = True
        self.cnt_rtt: i64 = 0  # samples of this round
        self.min_rtt: i64 = NO_RTT  # of this round
        self.base_rtt: i64 = NO_RTT


def vegas_enable(sk: TcpSock, vegas: Vegas) -> None:
    """A round begins, and is to be judged.  Linux: net/ipv4/tcp_vegas.c."""
    vegas.doing_vegas_now = True
    vegas.beg_snd_nxt = sk.snd_nxt
    vegas.cnt_rtt = 0
    vegas.min_rtt = NO_RTT


def vegas_of(sk: TcpSock) -> Vegas:
    """The state of a connection; a SYN's round trip comes before init, then it starts here.  Linux: inet_csk_ca."""
    vegas = sk.icsk_ca_priv
    if isinstance(vegas, Vegas):
        return vegas
    fresh = Vegas()
    sk.icsk_ca_priv = fresh
    return fresh


def vegas_round(sk: TcpSock, vegas: Vegas, acked: i64, alpha: i64, beta: i64, gamma: i64) -> None:
    """A round trip is over: set the window by what was queued.  Linux: in tcp_vegas_cong_avoid."""
    rtt = vegas.min_rtt
    target = sk.snd_cwnd * vegas.base_rtt // rtt  # what the path holds without a queue
    queued = sk.snd_cwnd * (rtt - vegas.base_rtt) // vegas.base_rtt
    if tcp_in_slow_start(sk):
        if queued > gamma:
            if target + 1 < sk.snd_cwnd:
                sk.snd_cwnd = target + 1
            sk.snd_ssthresh = vegas_ssthresh(sk)
        else:
            tcp_slow_start(sk, acked)
    elif queued > beta:
        sk.snd_cwnd -= 1
        sk.snd_ssthresh = vegas_ssthresh(sk)
    elif queued < alpha:
        sk.snd_cwnd += 1
    if sk.snd_cwnd < 2:
        sk.snd_cwnd = 2
    elif sk.snd_cwnd > sk.snd_cwnd_clamp:
        sk.snd_cwnd = sk.snd_cwnd_clamp
    sk.snd_ssthresh = tcp_current_ssthresh(sk)


def vegas_ssthresh(sk: TcpSock) -> i64:
    """Just below the window: slow start is over.  Linux: net/ipv4/tcp_vegas.c, tcp_vegas_ssthresh."""
    below = sk.snd_cwnd - 1
    ssthresh = sk.snd_ssthresh if sk.snd_ssthresh < below else below
    return ssthresh if ssthresh > 2 else 2


class TcpVegas(TcpCongestionOps):
    """Linux: tcp_vegas. The module's parameters are attributes, in segments."""

    name: str = 'vegas'

    def __init__(self) -> None:
        super().__init__()
        self.non_restricted = False
        self.alpha: i64 = 2
        self.beta: i64 = 4
        self.gamma: i64 = 1

    def init(self, sk: TcpSock) -> None:
        """Linux: tcp_vegas_init."""
        vegas = Vegas()
        sk.icsk_ca_priv = vegas
        vegas_enable(sk, vegas)

    def ssthresh(self, sk: TcpSock) -> i64:
        """See tcp_reno_ssthresh."""
        return tcp_reno_ssthresh(sk)

    def undo_cwnd(self, sk: TcpSock) -> i64:
        """See tcp_reno_undo_cwnd."""
        return tcp_reno_undo_cwnd(sk)

    def cong_avoid(self, sk: TcpSock, ack: i64, acked: i64) -> None:
        """Slow start within a round, see vegas_round at its end.  Linux: tcp_vegas_cong_avoid."""
        vegas = vegas_of(sk)
        if not vegas.doing_vegas_now:
            tcp_reno_cong_avoid(sk, ack, acked)
            return
        if not after(ack, vegas.beg_snd_nxt):
            if tcp_in_slow_start(sk):
                tcp_slow_start(sk, acked)
            return
        vegas.beg_snd_nxt = sk.snd_nxt
        if vegas.cnt_rtt <= 2:
            # one sample may be a delayed ACK's
            tcp_reno_cong_avoid(sk, ack, acked)
        else:
            vegas_round(sk, vegas, acked, self.alpha, self.beta, self.gamma)
        vegas.cnt_rtt = 0
        vegas.min_rtt = NO_RTT

    def pkts_acked(self, sk: TcpSock, pkts_acked: i64, rtt_us: i64, in_flight: i64) -> None:
        """Take a round trip.  Linux: tcp_vegas_pkts_acked."""
        if rtt_us < 0:
            return
        vegas = vegas_of(sk)
        rtt = rtt_us + 1
        if rtt < vegas.base_rtt:
            vegas.base_rtt = rtt
        if rtt < vegas.min_rtt:
            vegas.min_rtt = rtt
        vegas.cnt_rtt += 1

    def set_state(self, sk: TcpSock, new_state: i64) -> None:
        """What round trips say counts where nothing is lost.  Linux: tcp_vegas_state."""
        vegas = vegas_of(sk)
        if new_state == TCP_CA_Open:
            vegas_enable(sk, vegas)
        else:
            vegas.doing_vegas_now = False

    def cwnd_event(self, sk: TcpSock, event: i64) -> None:
        """After a pause a path may be another: learn it anew.  Linux: tcp_vegas_cwnd_event."""
        if event == CA_EVENT_CWND_RESTART or event == CA_EVENT_TX_START:
            vegas = Vegas()
            sk.icsk_ca_priv = vegas
            vegas_enable(sk, vegas)

    def get_info(self, sk: TcpSock, ext: int) -> dict[str, int]:
        """struct tcpvegas_info.  Linux: tcp_vegas_get_info."""
        vegas = sk.icsk_ca_priv
        if not isinstance(vegas, Vegas):
            return {}
        return {
            'tcpv_enabled': 1 if vegas.doing_vegas_now else 0, 'tcpv_rttcnt': int(vegas.cnt_rtt),
            'tcpv_rtt': int(vegas.base_rtt), 'tcpv_minrtt': int(vegas.min_rtt),
        }


def tcp_vegas_register(net: Net) -> int:
    """Make 'vegas' known to a host; called by tcp_v4_init.  Linux: net/ipv4/tcp_vegas.c."""
    return tcp_register_congestion_control(net, TcpVegas())
