# SPDX-License-Identifier: Apache-2.0
"""Data that came with a SYN or a SYN-ACK, and what a SYN-ACK says of our own SYN's data and cookie.  RFC 7413."""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff, __skb_pull, __skb_queue_tail
from linnet.include.net.request_sock import TcpFastopenCookie
from linnet.include.net.snmp import LINUX_MIB_TCPFASTOPENACTIVE, LINUX_MIB_TCPFASTOPENACTIVEFAIL, NET_INC_STATS
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    TCPHDR_FIN,
    TCPHDR_SYN,
    TFO_DATA_NOT_ACKED,
    TFO_SYN_RETRANSMITTED,
    U32,
    TcpOptionsReceived,
    TcpSock,
    tcp_rtx_queue_head,
)
from linnet.net.core.skbuff import skb_clone
from linnet.net.core.sock import sk_forced_mem_schedule, skb_set_owner_r
from linnet.net.ipv4.tcp_input_cwnd import tcp_mark_skb_lost
from linnet.net.ipv4.tcp_input_data import tcp_fin
from linnet.net.ipv4.tcp_input_loss import tcp_non_congestion_loss_retransmit
from linnet.net.ipv4.tcp_input_opt import tcp_parse_options
from linnet.net.ipv4.tcp_metrics import tcp_fastopen_cache_set

LINUX_FILE: Final = 'net/ipv4/tcp_fastopen.c'


def tcp_fastopen_add_skb(sk: TcpSock, skb: SkBuff) -> None:
    """Queue the data of a SYN or SYN-ACK for the program; skb stays the caller's.  Linux: net/ipv4/tcp_fastopen.c."""
    if skb.end_seq == sk.rcv_nxt:
        return
    skb = skb_clone(skb)
    skb.dst = None
    sk.segs_in += 1
    sk.data_segs_in += 1
    __skb_pull(skb, skb.tcp_doff)
    sk_forced_mem_schedule(sk, skb.truesize)
    skb_set_owner_r(skb, sk)
    skb.seq = (skb.seq + 1) & U32
    skb.tcp_flags &= ~TCPHDR_SYN
    sk.rcv_nxt = skb.end_seq
    __skb_queue_tail(sk.sk_receive_queue, skb)
    sk.syn_data_acked = True
    # SYN and FIN are no bytes
    sk.bytes_received = skb.len
    if (skb.tcp_flags & TCPHDR_FIN) != 0:
        tcp_fin(sk)


def tcp_synack_mss(sk: TcpSock, synack: SkBuff) -> i64:
    """The MSS that the SYN-ACK gave, though TCP_MAXSEG may have lowered what is used."""
    mss = sk.rx_opt.mss_clamp
    if mss == sk.rx_opt.user_mss:
        opt = TcpOptionsReceived()
        tcp_parse_options(sock_net(sk), synack, opt, False)
        mss = opt.mss_clamp
    return mss


def tcp_rcv_fastopen_synack(sk: TcpSock, synack: SkBuff, cookie: TcpFastopenCookie) -> bool:
    """Our SYN asked for Fast Open: keep the cookie. True: its data was not taken, and goes again now.

    Linux: net/ipv4/tcp_input.c.  RFC 7413, 4.2.2 and 4.1.3.
    """
    net = sock_net(sk)
    data = tcp_rtx_queue_head(sk) if sk.syn_data else None
    syn_drop = False
    try_exp: i64 = 0
    if not sk.syn_fastopen:
        cookie.len = -1  # nobody asked for it
    elif sk.total_retrans != 0:
        # neither cookie nor ACK of the data: only a plain SYN, a later one, seems to have arrived
        syn_drop = cookie.len < 0 and data is not None
    elif cookie.len < 0 and not sk.syn_data:
        # we asked and got none: the peer may know the other option only
        try_exp = 2 if sk.syn_fastopen_exp else 1
    tcp_fastopen_cache_set(sk, tcp_synack_mss(sk, synack), cookie, syn_drop, try_exp)
    if data is not None:
        sk.fastopen_client_fail = TFO_SYN_RETRANSMITTED if sk.total_retrans != 0 else TFO_DATA_NOT_ACKED
        while data is not None:
            tcp_mark_skb_lost(sk, data)
            data = data.next
        tcp_non_congestion_loss_retransmit(sk)
        NET_INC_STATS(net, LINUX_MIB_TCPFASTOPENACTIVEFAIL)
        return True
    sk.syn_data_acked = sk.syn_data
    if sk.syn_data_acked:
        NET_INC_STATS(net, LINUX_MIB_TCPFASTOPENACTIVE)
        # SYN and data were one packet
        if sk.delivered > 1:
            sk.delivered -= 1
    tcp_fastopen_add_skb(sk, synack)
    return False
