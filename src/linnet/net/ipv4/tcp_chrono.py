# SPDX-License-Identifier: Apache-2.0
"""What keeps a connection from sending: nothing to send, the peer's window, or the program's send buffer.

A connection is at each moment in one of the states TCP_CHRONO_*; the more specific one wins (a send buffer that is too small
shows only while data is also outstanding). The time spent in each, in µs, is what TCP_INFO reports as busy_time, rwnd_limited
and sndbuf_limited. tcp_mstamp is the clock: exact at the segment or call in hand.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.tcp import TCP_CHRONO_BUSY, TCP_CHRONO_UNSPEC, TcpSock, tcp_clock_ns, tcp_rtx_and_write_queues_empty

LINUX_FILE: Final = 'net/ipv4/tcp_output.c'


def tcp_chrono_set(tp: TcpSock, new: i64) -> None:
    """Account the time since the last move to the state that ends, and enter `new`.  Linux: net/ipv4/tcp_output.c."""
    now = tcp_clock_ns(tp) // 1000
    old = tp.chrono_type
    tp.chrono_type = new
    if old > TCP_CHRONO_UNSPEC:
        tp.chrono_stat[old - 1] += int(now - tp.chrono_start)
    tp.chrono_start = now


def tcp_chrono_start(tp: TcpSock, type: i64) -> None:
    """A reason begins to hold; it counts unless a more specific one does already.  Linux: net/ipv4/tcp_output.c."""
    if type > tp.chrono_type:
        tcp_chrono_set(tp, type)


def tcp_chrono_stop(tp: TcpSock, type: i64) -> None:
    """A reason ends: fall back to idle, or to busy while data is queued.  Linux: net/ipv4/tcp_output.c."""
    if tcp_rtx_and_write_queues_empty(tp):
        tcp_chrono_set(tp, TCP_CHRONO_UNSPEC)
    elif type == tp.chrono_type:
        tcp_chrono_set(tp, TCP_CHRONO_BUSY)
