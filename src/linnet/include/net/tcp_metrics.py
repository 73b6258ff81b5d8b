# SPDX-License-Identifier: Apache-2.0
"""What a host remembers of a peer between connections (`ip tcp_metrics`): times, windows, and Fast Open's cookie.

tcpm_vals holds the metrics by TCP_METRIC_*: RTT in eighths of a microsecond and RTTVAR in quarters, as srtt_us and mdev_us;
0: not known.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.request_sock import TcpFastopenCookie

TCP_METRIC_RTT: Final = 0
TCP_METRIC_RTTVAR: Final = 1
TCP_METRIC_SSTHRESH: Final = 2
TCP_METRIC_CWND: Final = 3
TCP_METRIC_REORDERING: Final = 4
TCP_METRICS: Final = 5


class TcpFastopenMetrics:
    """Linux: struct tcp_fastopen_metrics."""

    def __init__(self) -> None:
        self.mss: i64 = 0
        self.syn_loss: i64 = 0  # SYNs with data lost in a row
        self.try_exp: i64 = 0  # 1: ask for the next cookie by the experimental option; 2: that was no use either
        self.last_syn_loss: i64 = 0  # jiffies
        self.cookie: TcpFastopenCookie = TcpFastopenCookie()


class TcpMetricsBlock:
    """Linux: struct tcp_metrics_block."""

    def __init__(self, family: i64, saddr: int, daddr: int) -> None:
        self.tcpm_family: i64 = family
        self.tcpm_saddr: int = saddr
        self.tcpm_daddr: int = daddr
        self.tcpm_stamp: i64 = 0  # jiffies of the last change
        self.tcpm_lock: i64 = 0  # bit of each metric that the route fixes
        self.tcpm_vals: list[int] = [0, 0, 0, 0, 0]
        self.tcpm_fastopen: TcpFastopenMetrics = TcpFastopenMetrics()
