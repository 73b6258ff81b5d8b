# SPDX-License-Identifier: Apache-2.0
"""struct inet_timewait_sock: what stays of a connection in TIME_WAIT (and of an orphan in FIN_WAIT2): enough to answer for 2
MSL.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.net.inet_connection_sock import InetBind2Bucket, InetBindBucket
from linnet.include.net.sock import Sock, SockTimer
from linnet.include.net.tcp_md5sig import TcpMd5sigKey


class InetTimewaitSock(Sock):
    """Linux: struct inet_timewait_sock and tcp_timewait_sock in one."""

    def __init__(self) -> None:
        super().__init__()
        self.tw_substate: i64 = 0
        self.tw_rcv_wscale: i64 = 0
        self.tw_sport: i64 = 0
        self.tw_tos: i64 = 0
        self.tw_tclass: i64 = 0  # of AF_INET6, as tw_flowlabel
        self.tw_flowlabel: i64 = 0
        self.tw_timer: SockTimer | None = None
        self.tw_tb: InetBindBucket | None = None
        self.tw_tb2: InetBind2Bucket | None = None
        self.tw_rcv_nxt: i64 = 0
        self.tw_snd_nxt: i64 = 0
        self.tw_rcv_wnd: i64 = 0
        self.tw_ts_offset: i64 = 0
        self.tw_ts_recent: i64 = 0
        self.tw_entry_stamp: i64 = 0  # jiffies: when TIME_WAIT began
        self.tw_ts_recent_stamp: i64 = 0
        self.tw_last_oow_ack_time: i64 = 0
        self.tw_priority: i64 = 0
        self.tw_txhash: i64 = 0
        self.tw_md5_key: TcpMd5sigKey | None = None


def inet_twsk(sk: Sock) -> InetTimewaitSock:
    """Linux: include/net/inet_timewait_sock.h."""
    assert isinstance(sk, InetTimewaitSock)
    return sk
