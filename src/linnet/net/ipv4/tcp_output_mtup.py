# SPDX-License-Identifier: Apache-2.0
"""Packetization-layer path MTU discovery (RFC 4821): find the MTU by sending, where ICMP does not tell.

net.ipv4.tcp_mtu_probing 1: once retransmissions time out (a black hole: large packets vanish, and no ICMP says so), segments
shrink to tcp_base_mss, and are probed larger from there; 2: from the start. Between search_low, which is known to work, and
search_high, the mean is tried: one segment of that size, made of data that waits anyway, when enough follows it to see its loss
by duplicate ACKs. If it arrives, it is the new search_low; if it is lost, search_high is one below it, and the window is not
reduced. Sizes are of packets, IP header counted, but tcp_base_mss, tcp_mtu_probe_floor and what tcp_mtu_to_mss gives.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff, __skb_queue_before, __skb_unlink
from linnet.include.linux.tcp import TCP_HLEN
from linnet.include.net.snmp import LINUX_MIB_TCPMTUPFAIL, LINUX_MIB_TCPMTUPSUCCESS, NET_INC_STATS
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    TCPHDR_ACK,
    TCPHDR_FIN,
    TCPHDR_PSH,
    U32,
    TCP_CA_Open,
    TcpSock,
    after,
    tcp_jiffies32,
    tcp_packets_in_flight,
    tcp_wnd_end,
)
from linnet.net.core.skbuff import skb_take_frags
from linnet.net.ipv4.tcp import sk_stream_alloc_skb, skb_charge, tcp_wmem_free_skb
from linnet.net.ipv4.tcp_cong import tcp_snd_cwnd_set
from linnet.net.ipv4.tcp_input_cwnd import tcp_current_ssthresh
from linnet.net.ipv4.tcp_output_frag import __pskb_trim_head, tcp_set_skb_tso_segs
from linnet.net.ipv4.tcp_output_mss import tcp_current_mss, tcp_mss_to_mtu, tcp_mtu_to_mss, tcp_sync_mss

LINUX_FILE: Final = 'net/ipv4/tcp_output.c'

MTUP_CWND_MIN: Final = 11  # segments: a lost probe must show by duplicate ACKs

MTUP_NOT_NOW: Final = -1  # go on as without a probe
MTUP_WAIT: Final = 0  # send nothing: a probe is due as soon as some of what is out is acknowledged
MTUP_SEND: Final = 1


def tcp_mtu_check_reprobe(sk: TcpSock) -> None:
    """Nothing is left to find; after tcp_probe_interval look again: paths change.

    Linux: net/ipv4/tcp_output.c.  RFC 4821, 7.5.
    """
    now = tcp_jiffies32(sk)
    if now - sk.mtup_probe_timestamp < sock_net(sk).ipv4.sysctl_tcp_probe_interval * 1000:
        return
    mss = tcp_current_mss(sk)
    sk.mtup_probe_size = 0
    sk.mtup_search_high = sk.rx_opt.mss_clamp + TCP_HLEN + sk.icsk_af_ops.net_header_len
    sk.mtup_search_low = tcp_mss_to_mtu(sk, mss)
    sk.mtup_probe_timestamp = now


def tcp_can_coalesce_send_queue_head(sk: TcpSock, length: i64) -> bool:
    """May the first `length` bytes that wait go as one segment?  Linux: net/ipv4/tcp_output.c."""
    skb = sk.sk_write_queue.next
    while skb is not None:
        if length <= skb.len:
            return True
        if skb.eor or skb.tx_flags != 0:
            # its end means something
            return False
        length -= skb.len
        skb = skb.next
    return False


def tcp_mtu_probe_due(sk: TcpSock, probe_size: i64) -> i64:
    """May a probe with probe_size bytes of payload go now? MTUP_*.  Linux: net/ipv4/tcp_output.c, the tests of tcp_mtu_probe."""
    ipv4 = sock_net(sk).ipv4
    size_needed = probe_size + (sk.reordering + 1) * sk.mss_cache
    interval = sk.mtup_search_high - sk.mtup_search_low
    if probe_size > tcp_mtu_to_mss(sk, sk.mtup_search_high) or interval < ipv4.sysctl_tcp_probe_threshold:
        tcp_mtu_check_reprobe(sk)
        return MTUP_NOT_NOW
    # what follows the probe must show its loss
    if ((sk.write_seq - sk.snd_nxt) & U32) < size_needed or sk.snd_wnd < size_needed:
        return MTUP_NOT_NOW
    if after((sk.snd_nxt + size_needed) & U32, tcp_wnd_end(sk)):
        return MTUP_WAIT
    in_flight = tcp_packets_in_flight(sk)
    if in_flight + 2 > sk.snd_cwnd:
        return MTUP_WAIT if in_flight != 0 else MTUP_NOT_NOW
    return MTUP_SEND if tcp_can_coalesce_send_queue_head(sk, probe_size) else MTUP_NOT_NOW


def tcp_mtu_probe_size(sk: TcpSock) -> i64:
    """Payload of the probe that would be next, or -1: this is no time for probes.  Linux: net/ipv4/tcp_output.c."""
    if (
        sk.mtup_probe_size != 0
        or sk.icsk_ca_state != TCP_CA_Open
        or sk.snd_cwnd < MTUP_CWND_MIN
        or len(sk.selective_acks) != 0
        or len(sk.duplicate_sack) != 0
    ):
        return -1
    return tcp_mtu_to_mss(sk, (sk.mtup_search_high + sk.mtup_search_low) >> 1)


def tcp_mtu_probe_skb(sk: TcpSock, probe_size: i64, mss_now: i64) -> SkBuff | None:
    """The first probe_size bytes that wait, as one skb at the head of the write queue.

    Linux: net/ipv4/tcp_output.c, tcp_mtu_probe.
    """
    queue = sk.sk_write_queue
    skb = queue.next
    nskb = sk_stream_alloc_skb(sk, False)
    if nskb is None or skb is None:
        return None
    skb_charge(sk, nskb)
    nskb.seq = skb.seq
    nskb.end_seq = (skb.seq + probe_size) & U32
    nskb.tcp_flags = TCPHDR_ACK
    __skb_queue_before(queue, skb, nskb)
    left = probe_size
    while left > 0 and skb is not None:
        following = skb.next
        size = left if left < skb.len else skb.len
        nskb.frags.extend(skb_take_frags(skb, 0, size))
        nskb.len += size
        nskb.data_len += size
        nskb.truesize += size
        skb.truesize -= size
        left -= size
        if size == skb.len:
            # all of it: its end, FIN included, is the probe's
            nskb.tcp_flags |= skb.tcp_flags
            nskb.end_seq = skb.end_seq
            nskb.eor = skb.eor
            nskb.tx_flags |= skb.tx_flags
            nskb.tskey = skb.tskey
            __skb_unlink(skb, queue)
            tcp_wmem_free_skb(sk, skb)
        else:
            nskb.tcp_flags |= skb.tcp_flags & ~(TCPHDR_FIN | TCPHDR_PSH)
            __pskb_trim_head(skb, size)
            skb.seq = (skb.seq + size) & U32
            tcp_set_skb_tso_segs(skb, mss_now)
        skb = following
    tcp_set_skb_tso_segs(nskb, nskb.len)
    return nskb


def tcp_mtu_probe_sent(sk: TcpSock, nskb: SkBuff) -> None:
    """The probe is out: remember where it is. It counts as two segments, for what the larger size may cost."""
    tcp_snd_cwnd_set(sk, sk.snd_cwnd - 1)
    sk.mtup_probe_size = tcp_mss_to_mtu(sk, nskb.len)
    sk.mtu_probe_seq_start = nskb.seq
    sk.mtu_probe_seq_end = nskb.end_seq


def tcp_mtup_probe_failed(sk: TcpSock) -> None:
    """The probe was lost: the path does not carry its size.  Linux: net/ipv4/tcp_input.c.  RFC 4821, 7.6.2."""
    sk.mtup_search_high = sk.mtup_probe_size - 1
    sk.mtup_probe_size = 0
    # what the probe took
    tcp_snd_cwnd_set(sk, sk.snd_cwnd + 1)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPMTUPFAIL)


def tcp_mtup_probe_success(sk: TcpSock) -> None:
    """The probe arrived: segments grow, and the window, in segments, shrinks as much.

    Linux: net/ipv4/tcp_input.c.  RFC 4821, 7.6.1.
    """
    sk.prior_ssthresh = tcp_current_ssthresh(sk)
    tcp_snd_cwnd_set(sk, sk.snd_cwnd * tcp_mss_to_mtu(sk, sk.mss_cache) // sk.mtup_probe_size)
    sk.snd_cwnd_cnt = 0
    sk.snd_cwnd_stamp = tcp_jiffies32(sk)
    sk.snd_ssthresh = tcp_current_ssthresh(sk)
    sk.mtup_search_low = sk.mtup_probe_size
    sk.mtup_probe_size = 0
    tcp_sync_mss(sk, sk.icsk_pmtu_cookie)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPMTUPSUCCESS)


def tcp_mtu_probing(sk: TcpSock) -> None:
    """Retransmissions time out: perhaps only large packets are lost. Shrink to tcp_base_mss, and halve from there each time.

    Linux: net/ipv4/tcp_timer.c.  RFC 4821, 7.7.
    """
    ipv4 = sock_net(sk).ipv4
    if ipv4.sysctl_tcp_mtu_probing == 0:
        return
    if not sk.mtup_enabled:
        sk.mtup_enabled = True
        sk.mtup_probe_timestamp = tcp_jiffies32(sk)
    else:
        mss = tcp_mtu_to_mss(sk, sk.mtup_search_low) >> 1
        if mss > ipv4.sysctl_tcp_base_mss:
            mss = ipv4.sysctl_tcp_base_mss
        if mss < ipv4.sysctl_tcp_mtu_probe_floor:
            mss = ipv4.sysctl_tcp_mtu_probe_floor
        if mss < ipv4.sysctl_tcp_min_snd_mss:
            mss = ipv4.sysctl_tcp_min_snd_mss
        sk.mtup_search_low = tcp_mss_to_mtu(sk, mss)
    tcp_sync_mss(sk, sk.icsk_pmtu_cookie)
