# SPDX-License-Identifier: Apache-2.0
"""Pacing: segments leave at sk_pacing_rate instead of in bursts.

Every segment has an earliest departure time, tcp_wstamp_ns; sending one moves it on by the time that its bytes take at the rate.
Where the device has an fq (sk_pacing_status SK_PACING_FQ), segments go down ahead of their time, stamped with it, and fq holds
them back. Otherwise (SK_PACING_NEEDED, as SO_MAX_PACING_RATE and BBR ask for) a timer lets TCP itself wait. A socket that is not
paced (SK_PACING_NONE) departs at once.

tcp_mstamp is in ns here, so it is Linux's tcp_clock_cache as well.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.sock import SK_PACING_NEEDED, SK_PACING_NONE, SK_UNLIMITED_RATE, SockTimer, sock_net
from linnet.include.net.tcp import TSQF_QUEUED, TcpSock
from linnet.kernel.softirq import SoftirqAction, raise_softirq
from linnet.net.core.sock import sk_reset_timer, sock_put
from linnet.net.ipv4.inet_connection_sock import inet_csk_reset_xmit_timer

LINUX_FILE: Final = 'net/ipv4/tcp_output.c'

TASKLET_SOFTIRQ: Final = 6
NSEC_PER_SEC: Final = 1_000_000_000
NSEC_PER_MSEC: Final = 1_000_000
UNPACED_SEGMENTS: Final = 10  # an initial window goes out as fast as it can


class TsqTasklet(SoftirqAction):
    """The sockets of a world that may send again because their packets left the host (Linux: struct tsq_tasklet)."""

    def __init__(self) -> None:
        self.socks: list[TcpSock] = []


class TcpPacingTimer(SockTimer):
    """Lets a paced socket send again (Linux: tcp_sock.pacing_timer). Only sockets that pace themselves have one."""

    def function(self) -> None:
        """See tcp_pace_kick."""
        sk = self.sk
        assert isinstance(sk, TcpSock)
        tcp_pace_kick(sk)


def tcp_pace_kick(sk: TcpSock) -> None:
    """The departure time of the next segment has come: let the small queues' softirq send it.

    Linux: net/ipv4/tcp_output.c, which calls tcp_tsq_handler itself; that stands above here. The timer's reference to sk passes
    to the softirq.
    """
    cpu = sock_net(sk).world.cpu
    tasklet = cpu.actions[TASKLET_SOFTIRQ]
    if (sk.sk_tsq_flags & TSQF_QUEUED) != 0 or not isinstance(tasklet, TsqTasklet):
        sock_put(sk)
        return
    sk.sk_tsq_flags |= TSQF_QUEUED
    tasklet.socks.append(sk)
    raise_softirq(cpu, TASKLET_SOFTIRQ)


def tcp_pacing_check(sk: TcpSock) -> bool:
    """Must the next segment wait for its time? Then the timer is set.  Linux: net/ipv4/tcp_output.c."""
    if sk.sk_pacing_status != SK_PACING_NEEDED or sk.tcp_wstamp_ns <= sk.tcp_mstamp:
        return False
    timer = sk.pacing_timer
    if timer is None:
        timer = TcpPacingTimer(sock_net(sk), sk)
        sk.pacing_timer = timer
    if not timer.armed:
        sk_reset_timer(sk, timer, sk.tcp_wstamp_ns)
    return True


def tcp_update_skb_after_send(sk: TcpSock, skb: SkBuff, prior_wstamp: i64) -> None:
    """skb was sent at tcp_wstamp_ns: the next one may be when its bytes have passed at the pacing rate.

    A sender that comes late, because a timer or the program did, makes up for it: at most half of the gap.
    Linux: net/ipv4/tcp_output.c.
    """
    rate = sk.sk_pacing_rate
    if rate == 0 or rate >= SK_UNLIMITED_RATE or sk.data_segs_out < UNPACED_SEGMENTS:
        return
    len_ns = skb.len * NSEC_PER_SEC // rate
    credit = sk.tcp_wstamp_ns - prior_wstamp
    half = len_ns >> 1
    sk.tcp_wstamp_ns += len_ns - (credit if credit < half else half)


def tcp_pacing_delay(sk: TcpSock) -> i64:
    """How long the next segment still has to wait, jiffies, rounded down.  Linux: include/net/tcp.h."""
    delay = sk.tcp_wstamp_ns - sk.tcp_mstamp
    return delay // NSEC_PER_MSEC if delay > 0 else 0


def tcp_reset_xmit_timer(sk: TcpSock, what: i64, when: i64, max_when: i64) -> None:
    """As inet_csk_reset_xmit_timer, counted from the time at which a paced segment really leaves.  Linux: include/net/tcp.h."""
    if sk.sk_pacing_status != SK_PACING_NONE:
        when += tcp_pacing_delay(sk)
    inet_csk_reset_xmit_timer(sk, what, when, max_when)
