# SPDX-License-Identifier: Apache-2.0
"""Options of level SOL_TCP that bound a timer of one socket, in microseconds, and those whose answer is always the same.

TCP_RTO_MIN_US is the least retransmission time-out (RFC 6298, 2.4 says 1 s; Linux starts at 200 ms), TCP_DELACK_MAX_US the
longest that an ACK is delayed (RFC 9293, 3.8.6.3). Both become whole jiffies, rounded up. No upper layer protocol (TCP_ULP) is
built in, and no socket is of Multipath TCP.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.tcp import (
    TCP_DELACK_MAX,
    TCP_DELACK_MAX_US,
    TCP_IS_MPTCP,
    TCP_RTO_MIN,
    TCP_RTO_MIN_US,
    TCP_TIMEOUT_MIN,
    TCP_ULP,
    TcpSock,
)
from linnet.kernel.errno import EINVAL, ENOPROTOOPT

LINUX_FILE: Final = 'net/ipv4/tcp.c'

NO_OPTION: Final = -(1 << 40)


def is_ulp(optname: int) -> bool:
    """Is it the option that puts an upper layer on the socket?"""
    return optname == TCP_ULP


def usecs_to_jiffies(val: int) -> int:
    """Microseconds as jiffies, rounded up.  Linux: kernel/time/time.c."""
    return -(-val // 1000)


def tcp_setsockopt_times(sk: TcpSock, optname: int, val: int) -> int:
    """Set one of these: 0, -EINVAL, or -ENOPROTOOPT where it is none of them.  Linux: net/ipv4/tcp.c, do_tcp_setsockopt."""
    jiffies = usecs_to_jiffies(val)
    if optname == TCP_RTO_MIN_US:
        if jiffies < TCP_TIMEOUT_MIN or jiffies > TCP_RTO_MIN:
            return -EINVAL
        sk.icsk_rto_min = jiffies
        return 0
    if optname == TCP_DELACK_MAX_US:
        if jiffies < TCP_TIMEOUT_MIN or jiffies > TCP_DELACK_MAX:
            return -EINVAL
        sk.icsk_delack_max = jiffies
        return 0
    return -ENOPROTOOPT


def tcp_times_value(tp: TcpSock, optname: int) -> i64:
    """The value of one of these options; NO_OPTION where it is none of them."""
    if optname == TCP_RTO_MIN_US:
        return tp.icsk_rto_min * 1000
    if optname == TCP_DELACK_MAX_US:
        return tp.icsk_delack_max * 1000
    return 0 if optname == TCP_IS_MPTCP else NO_OPTION
