# SPDX-License-Identifier: Apache-2.0
"""The metrics cache: what connections to a peer have learned, for those that come after.

An entry a pair of addresses. A connection that ends writes its RTT, variance, window, threshold and reordering into it
(tcp_update_metrics), unless net.ipv4.tcp_no_metrics_save; one that begins takes them as its start (tcp_init_metrics). What is
older than an hour gives way to what the route says. Fast Open keeps there the peer's cookie and MSS, and whether SYNs with data
were lost. `ip tcp_metrics` shows it; packetdrill's scripts flush it.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import AF_INET, AF_INET6
from linnet.include.net.dst import (
    RTAX_CWND,
    RTAX_LOCK,
    RTAX_REORDERING,
    RTAX_RTT,
    RTAX_RTTVAR,
    RTAX_SSTHRESH,
    DstEntry,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.request_sock import TcpFastopenCookie
from linnet.include.net.sock import sk_dst_confirm, sock_net
from linnet.include.net.tcp import (
    TCP_INFINITE_SSTHRESH,
    TCP_TIMEOUT_FALLBACK,
    TCP_CA_Open,
    TcpSock,
    tcp_in_slow_start,
)
from linnet.include.net.tcp_metrics import (
    TCP_METRIC_CWND,
    TCP_METRIC_REORDERING,
    TCP_METRIC_RTT,
    TCP_METRIC_RTTVAR,
    TCP_METRIC_SSTHRESH,
    TcpMetricsBlock,
)
from linnet.net.ipv4.inet_hashtables_chain import sk_is_ipv6
from linnet.net.ipv4.tcp_input_cwnd import tcp_rto_min

TCP_METRICS_TIMEOUT: Final = 3_600_000  # jiffies
TCP_METRICS_MAX: Final = 16_384  # entries of a host
ROUTE_METRICS: Final = (RTAX_RTT, RTAX_RTTVAR, RTAX_SSTHRESH, RTAX_CWND, RTAX_REORDERING)  # by TCP_METRIC_*


# -- the table

def tcpm_suck_dst(tm: TcpMetricsBlock, dst: DstEntry, now: i64, fastopen_clear: bool) -> None:
    """Fill an entry anew with what the route says.  Linux: net/ipv4/tcp_metrics.c.

    A route gives RTT and RTTVAR in milliseconds, scaled as srtt_us and mdev_us are.
    """
    tm.tcpm_stamp = now
    tm.tcpm_lock = 0
    i = 0
    for key in ROUTE_METRICS:
        value = dst.metrics[key]
        tm.tcpm_vals[i] = value * 1000 if i <= TCP_METRIC_RTTVAR else value
        if (dst.metrics[RTAX_LOCK] & (1 << key)) != 0:
            tm.tcpm_lock |= 1 << i
        i += 1
    if fastopen_clear:
        fastopen = tm.tcpm_fastopen
        fastopen.mss = 0
        fastopen.syn_loss = 0
        fastopen.try_exp = 0
        fastopen.cookie = TcpFastopenCookie()


def tcp_metrics_key6(saddr: int, daddr: int) -> int:
    """The key of a pair of IPv6 addresses: larger than each of IPv4's."""
    return (1 << 256) | (saddr << 128) | daddr


def sk_metrics_key(sk: TcpSock) -> int:
    """The key of sk's pair of addresses."""
    if sk_is_ipv6(sk):
        return tcp_metrics_key6(sk.sk_v6_rcv_saddr, sk.sk_v6_daddr)
    return (int(sk.inet_saddr) << 32) | int(sk.sk_daddr)


def tcp_get_metrics(sk: TcpSock, dst: DstEntry | None, create: bool) -> TcpMetricsBlock | None:
    """The entry of sk's peer; None: there is none, and none was to be made (or sk has no route).

    Linux: net/ipv4/tcp_metrics.c; a full table drops what was entered first, where Linux's drops the oldest of a hash chain.
    """
    if dst is None:
        return None
    net = sock_net(sk)
    now = net.clock.jiffies()
    table = net.ipv4.tcp_metrics
    key = sk_metrics_key(sk)
    tm = table.get(key)
    if tm is not None:
        if now > tm.tcpm_stamp + TCP_METRICS_TIMEOUT:
            tcpm_suck_dst(tm, dst, now, False)
        return tm
    if not create:
        return None
    if len(table) >= TCP_METRICS_MAX:
        del table[next(iter(table))]
    if sk_is_ipv6(sk):
        tm = TcpMetricsBlock(AF_INET6, sk.sk_v6_rcv_saddr, sk.sk_v6_daddr)
    else:
        tm = TcpMetricsBlock(AF_INET, int(sk.inet_saddr), int(sk.sk_daddr))
    tcpm_suck_dst(tm, dst, now, True)
    table[key] = tm
    return tm


def tcp_metrics_flush_all(net: Net) -> None:
    """`ip tcp_metrics flush all`.  Linux: net/ipv4/tcp_metrics.c."""
    net.ipv4.tcp_metrics.clear()


def tcp_peer_is_proven(net: Net, skb: SkBuff) -> bool:
    """Was a connection to the sender of skb ever measured? Then it exists.  Linux: net/ipv4/tcp_metrics.c."""
    if skb.protocol == ETH_P_IPV6:
        tm = net.ipv4.tcp_metrics.get(tcp_metrics_key6(skb.daddr6, skb.saddr6))
    else:
        tm = net.ipv4.tcp_metrics.get((int(skb.daddr) << 32) | int(skb.saddr))
    return tm is not None and tm.tcpm_vals[TCP_METRIC_RTT] != 0


def tcp_metric_locked(tm: TcpMetricsBlock, idx: i64) -> bool:
    """Does the route fix it?  Linux: net/ipv4/tcp_metrics.c."""
    return (tm.tcpm_lock & (1 << idx)) != 0


def tcp_metric_get(tm: TcpMetricsBlock, idx: i64) -> i64:
    """Linux: net/ipv4/tcp_metrics.c."""
    return tm.tcpm_vals[idx]


def tcp_metric_set(tm: TcpMetricsBlock, idx: i64, val: i64) -> None:
    """Store it, unless the route fixes it.  Linux: net/ipv4/tcp_metrics.c."""
    if not tcp_metric_locked(tm, idx):
        tm.tcpm_vals[idx] = int(val)


# -- the end of a connection

def tcp_update_metrics(sk: TcpSock) -> None:
    """A connection ends: keep what it learned.  Linux: net/ipv4/tcp_metrics.c."""
    net = sock_net(sk)
    sk_dst_confirm(sk)
    dst = sk.sk_dst_cache
    if net.ipv4.sysctl_tcp_no_metrics_save != 0 or dst is None:
        return
    if sk.icsk_backoff != 0 or sk.srtt_us == 0:
        # it ended unanswered: what is known of the RTT seems to be wrong
        stale = tcp_get_metrics(sk, dst, False)
        if stale is not None:
            tcp_metric_set(stale, TCP_METRIC_RTT, 0)
        return
    tm = tcp_get_metrics(sk, dst, True)
    assert tm is not None
    tcp_update_metrics_rtt(sk, tm)
    tcp_update_metrics_cwnd(sk, tm, net.ipv4.sysctl_tcp_no_ssthresh_metrics_save == 0)
    tm.tcpm_stamp = net.clock.jiffies()


def tcp_update_metrics_rtt(sk: TcpSock, tm: TcpMetricsBlock) -> None:
    """RTT and variance: a greater one counts at once, a smaller one by an eighth and a quarter. Part of tcp_update_metrics."""
    rtt = tcp_metric_get(tm, TCP_METRIC_RTT)
    lower = rtt - sk.srtt_us
    tcp_metric_set(tm, TCP_METRIC_RTT, sk.srtt_us if lower <= 0 else rtt - (lower >> 3))
    deviation = (lower if lower >= 0 else -lower) >> 1
    if deviation < sk.mdev_us:
        deviation = sk.mdev_us
    var = tcp_metric_get(tm, TCP_METRIC_RTTVAR)
    tcp_metric_set(tm, TCP_METRIC_RTTVAR, deviation if deviation >= var else var - ((var - deviation) >> 2))


def tcp_update_metrics_cwnd(sk: TcpSock, tm: TcpMetricsBlock, save_ssthresh: bool) -> None:
    """Window, threshold and reordering, by the phase that the connection was in. Part of tcp_update_metrics."""
    cwnd = sk.snd_cwnd
    half = cwnd >> 1
    ssthresh = sk.snd_ssthresh
    old_cwnd = tcp_metric_get(tm, TCP_METRIC_CWND)
    old_ssthresh = tcp_metric_get(tm, TCP_METRIC_SSTHRESH)
    if ssthresh >= TCP_INFINITE_SSTHRESH:
        # never left the first slow start: the window is a lower bound
        if save_ssthresh and old_ssthresh != 0 and half > old_ssthresh:
            tcp_metric_set(tm, TCP_METRIC_SSTHRESH, half)
        if cwnd > old_cwnd:
            tcp_metric_set(tm, TCP_METRIC_CWND, cwnd)
    elif not tcp_in_slow_start(sk) and sk.icsk_ca_state == TCP_CA_Open:
        if save_ssthresh:
            tcp_metric_set(tm, TCP_METRIC_SSTHRESH, half if half > ssthresh else ssthresh)
        tcp_metric_set(tm, TCP_METRIC_CWND, (old_cwnd + cwnd) >> 1)
    else:
        # in recovery, or in a slow start after a loss: the window itself means little
        tcp_metric_set(tm, TCP_METRIC_CWND, (old_cwnd + ssthresh) >> 1)
        if save_ssthresh and old_ssthresh != 0 and ssthresh > old_ssthresh:
            tcp_metric_set(tm, TCP_METRIC_SSTHRESH, ssthresh)
        reordering = sk.reordering
        if reordering > tcp_metric_get(tm, TCP_METRIC_REORDERING) and reordering != sock_net(sk).ipv4.sysctl_tcp_reordering:
            tcp_metric_set(tm, TCP_METRIC_REORDERING, reordering)


# -- the beginning of a connection

def tcp_init_metrics(sk: TcpSock) -> None:
    """A connection stands: start from what is known of the peer. Without any RTT the RTO is 3 s (RFC 6298, 5.7).

    A cached RTT that exceeds the handshake's only sets the first RTO: SYNs are small, and data may take longer.
    Linux: net/ipv4/tcp_metrics.c.
    """
    sk_dst_confirm(sk)
    sk.snd_ssthresh = TCP_INFINITE_SSTHRESH
    tm = tcp_get_metrics(sk, sk.sk_dst_cache, False)
    crtt: i64 = 0
    if tm is not None:
        if tcp_metric_locked(tm, TCP_METRIC_CWND):
            sk.snd_cwnd_clamp = tcp_metric_get(tm, TCP_METRIC_CWND)
        ssthresh = tcp_metric_get(tm, TCP_METRIC_SSTHRESH)
        if ssthresh != 0 and sock_net(sk).ipv4.sysctl_tcp_no_ssthresh_metrics_save == 0:
            sk.snd_ssthresh = ssthresh if ssthresh < sk.snd_cwnd_clamp else sk.snd_cwnd_clamp
        reordering = tcp_metric_get(tm, TCP_METRIC_REORDERING)
        if reordering != 0:
            sk.reordering = reordering
        crtt = tcp_metric_get(tm, TCP_METRIC_RTT)
    if crtt > sk.srtt_us:
        rtt_ms = crtt // 8000
        least = tcp_rto_min(sk)
        sk.icsk_rto = rtt_ms + (2 * rtt_ms if 2 * rtt_ms > least else least)
    elif sk.srtt_us == 0:
        sk.rttvar_us = TCP_TIMEOUT_FALLBACK * 1000
        sk.mdev_us = sk.rttvar_us
        sk.mdev_max_us = sk.rttvar_us
        sk.icsk_rto = TCP_TIMEOUT_FALLBACK


# -- Fast Open

def tcp_fastopen_cache_get(sk: TcpSock, cookie: TcpFastopenCookie) -> i64:
    """What Fast Open knows of sk's peer: the cookie (len 0: none) into `cookie`, the MSS returned (0: not known).

    Linux: net/ipv4/tcp_metrics.c.
    """
    tm = tcp_get_metrics(sk, sk.sk_dst_cache, False)
    if tm is None:
        return 0
    fastopen = tm.tcpm_fastopen
    cookie.set(fastopen.cookie)
    if cookie.len <= 0:
        cookie.len = 0
        cookie.exp = fastopen.try_exp == 1
    return fastopen.mss


def tcp_fastopen_cache_set(sk: TcpSock, mss: i64, cookie: TcpFastopenCookie | None, syn_lost: bool, try_exp: i64) -> None:
    """Keep what a SYN-ACK said: the peer's MSS (0: nothing) and cookie; or that the SYN with data seems to have been lost.

    try_exp 1: it gave no cookie, ask by the experimental option next; 2: that did not help.  Linux: net/ipv4/tcp_metrics.c.
    """
    tm = tcp_get_metrics(sk, sk.sk_dst_cache, True)
    if tm is None:
        return
    fastopen = tm.tcpm_fastopen
    if mss != 0:
        fastopen.mss = mss
    if cookie is not None and cookie.len > 0:
        fastopen.cookie.set(cookie)
    elif try_exp > fastopen.try_exp and fastopen.cookie.len <= 0 and not fastopen.cookie.exp:
        fastopen.try_exp = try_exp
    if syn_lost:
        fastopen.syn_loss += 1
        fastopen.last_syn_loss = sock_net(sk).clock.jiffies()
    else:
        fastopen.syn_loss = 0
