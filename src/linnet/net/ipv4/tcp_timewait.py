# SPDX-License-Identifier: Apache-2.0
"""Going to TIME_WAIT: the full sock is closed, and a small one stays in its place to answer for 2 MSL.

An orphan in FIN_WAIT2 goes the same way, with tcp_fin_timeout as its time and tw_substate to tell. Below tcp_input.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.snmp import LINUX_MIB_TCPTIMEWAITOVERFLOW, NET_INC_STATS
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import TCP_TIMEWAIT_LEN, TcpSock, tcp_receive_window
from linnet.include.net.tcp_states import TCP_TIME_WAIT
from linnet.net.ipv4.inet_hashtables_chain import inet_hashinfo
from linnet.net.ipv4.inet_timewait_sock import inet_twsk_alloc, inet_twsk_hashdance, inet_twsk_schedule
from linnet.net.ipv4.tcp import tcp_done
from linnet.net.ipv4.tcp_ipv4_md5 import tcp_md5_peer_key
from linnet.net.ipv4.tcp_metrics import tcp_update_metrics

LINUX_FILE: Final = 'net/ipv4/tcp_minisocks.c'


def tcp_time_wait(sk: TcpSock, state: i64, timeo: i64) -> None:
    """Leave a TIME_WAIT sock in place of sk, which is over. state: TCP_TIME_WAIT, or TCP_FIN_WAIT2; timeo in jiffies.

    Linux: net/ipv4/tcp_minisocks.c.  RFC 9293, 3.10.7.4 (2 MSL, here 60 s).
    """
    net = sock_net(sk)
    tw = inet_twsk_alloc(sk, state)
    if tw is not None:
        rto = (sk.icsk_rto << 2) - (sk.icsk_rto >> 1)  # time for the peer to send its FIN again twice
        tw.tw_rcv_wscale = sk.rx_opt.rcv_wscale
        tw.tw_rcv_nxt = sk.rcv_nxt
        tw.tw_snd_nxt = sk.snd_nxt
        tw.tw_rcv_wnd = tcp_receive_window(sk)
        tw.tw_ts_recent = sk.rx_opt.ts_recent
        tw.tw_ts_recent_stamp = sk.rx_opt.ts_recent_stamp
        tw.tw_ts_offset = sk.tsoffset
        if sk.md5sig_info is not None:
            tw.tw_md5_key = tcp_md5_peer_key(sk, sk)
        tw.tw_last_oow_ack_time = 0
        tw.tw_entry_stamp = net.clock.jiffies()
        if timeo < rto:
            timeo = rto
        if state == TCP_TIME_WAIT:
            timeo = TCP_TIMEWAIT_LEN
        inet_twsk_hashdance(tw, sk, inet_hashinfo(net))
        inet_twsk_schedule(tw, timeo)
    else:
        # better to close early than to have no memory for the living
        NET_INC_STATS(net, LINUX_MIB_TCPTIMEWAITOVERFLOW)
    tcp_update_metrics(sk)
    tcp_done(sk)
