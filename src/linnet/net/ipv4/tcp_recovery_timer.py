# SPDX-License-Identifier: Apache-2.0
"""RACK's timer: the reordering window of something that was only possibly lost is over (RFC 8985, 6.3)."""
from __future__ import annotations

from typing import Final

from linnet.include.net.inet_connection_sock import ICSK_TIME_RETRANS
from linnet.include.net.tcp import TCP_CA_Recovery, TcpSock, tcp_packets_in_flight
from linnet.net.ipv4.tcp_input_cwnd import tcp_cwnd_reduction, tcp_rearm_rto
from linnet.net.ipv4.tcp_input_loss import tcp_enter_recovery
from linnet.net.ipv4.tcp_output import tcp_xmit_retransmit_queue
from linnet.net.ipv4.tcp_recovery import tcp_rack_detect_loss

LINUX_FILE: Final = 'net/ipv4/tcp_recovery.c'


def tcp_rack_reo_timeout(sk: TcpSock) -> None:
    """Mark what is overdue now, and send it again.  Linux: net/ipv4/tcp_recovery.c."""
    prior_inflight = tcp_packets_in_flight(sk)
    lost = sk.lost
    tcp_rack_detect_loss(sk)
    if prior_inflight != tcp_packets_in_flight(sk):
        if sk.icsk_ca_state != TCP_CA_Recovery:
            tcp_enter_recovery(sk, False)
            ca = sk.icsk_ca_ops
            if ca is not None and not ca.has_cong_control:
                tcp_cwnd_reduction(sk, 1, sk.lost - lost, 0)
        tcp_xmit_retransmit_queue(sk)
    if sk.icsk_pending != ICSK_TIME_RETRANS:
        tcp_rearm_rto(sk)
