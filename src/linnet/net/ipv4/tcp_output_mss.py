# SPDX-License-Identifier: Apache-2.0
"""Sizes: how large segments may be (from the path MTU), and how large a window to advertise (from the receive buffer).

mss_cache is what the path MTU of icsk_pmtu_cookie leaves after the headers every segment has; tcp_current_mss looks whether the
route says otherwise by now, and takes off what options come on top. The window grows only in steps that avoid the silly window
syndrome (RFC 9293, 3.8.6.2.2), is never taken back by rounding, and never exceeds rcv_ssthresh, which grows as the peer shows
that its segments are worth the buffer they take.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.tcp import TCP_HLEN
from linnet.include.net.inet_connection_sock import ICSK_ACK_NOMEM
from linnet.include.net.snmp import (
    LINUX_MIB_TCPFROMZEROWINDOWADV,
    LINUX_MIB_TCPTOZEROWINDOWADV,
    LINUX_MIB_TCPWANTZEROWINDOWADV,
    NET_INC_STATS,
)
from linnet.include.net.sock import Sock, sock_net
from linnet.include.net.tcp import (
    MAX_TCP_WINDOW,
    TCP_MAX_WSCALE,
    TCP_MSS_DEFAULT,
    TcpSock,
    tcp_full_space,
    tcp_receive_window,
    tcp_space,
)
from linnet.net.ipv4.tcp import tcp_under_memory_pressure
from linnet.net.ipv4.tcp_output_opts import tcp_established_options_len

LINUX_FILE: Final = 'net/ipv4/tcp_output.c'

U16_MAX: Final = 0xFFFF


class InitialWindow:
    """The three answers of tcp_select_initial_window, in bytes (rcv_wscale: a shift)."""

    def __init__(self, rcv_wnd: i64, window_clamp: i64, rcv_wscale: i64) -> None:
        self.rcv_wnd: i64 = rcv_wnd
        self.window_clamp: i64 = window_clamp
        self.rcv_wscale: i64 = rcv_wscale


def __tcp_mtu_to_mss(sk: TcpSock, pmtu: i64) -> i64:
    """The MSS that fits pmtu with bare TCP headers, bounded by the peer's and tcp_min_snd_mss.  Linux: net/ipv4/tcp_output.c."""
    mss = pmtu - sk.icsk_af_ops.net_header_len - TCP_HLEN
    if mss > sk.rx_opt.mss_clamp:
        mss = sk.rx_opt.mss_clamp
    mss -= sk.icsk_ext_hdr_len
    low = sock_net(sk).ipv4.sysctl_tcp_min_snd_mss
    return mss if mss > low else low


def tcp_mtu_to_mss(sk: TcpSock, pmtu: i64) -> i64:
    """Likewise, with the options that every segment of this connection has.  Linux: net/ipv4/tcp_output.c."""
    return __tcp_mtu_to_mss(sk, pmtu) - (sk.tcp_header_len - TCP_HLEN)


def tcp_mss_to_mtu(sk: TcpSock, mss: i64) -> i64:
    """The packet size of a segment of mss bytes.  Linux: net/ipv4/tcp_output.c."""
    return mss + sk.tcp_header_len + sk.icsk_ext_hdr_len + sk.icsk_af_ops.net_header_len


def tcp_mtup_init(sk: TcpSock) -> None:
    """Set the bounds within which the path MTU is probed (RFC 4821).  Linux: net/ipv4/tcp_output.c."""
    ipv4 = sock_net(sk).ipv4
    sk.mtup_enabled = ipv4.sysctl_tcp_mtu_probing > 1
    sk.mtup_search_high = sk.rx_opt.mss_clamp + TCP_HLEN + sk.icsk_af_ops.net_header_len
    sk.mtup_search_low = tcp_mss_to_mtu(sk, ipv4.sysctl_tcp_base_mss)
    sk.mtup_probe_size = 0
    if sk.mtup_enabled:
        sk.mtup_probe_timestamp = sock_net(sk).clock.now // 1_000_000


def tcp_bound_to_half_wnd(tp: TcpSock, pktsize: i64) -> i64:
    """Keep a packet within half of the largest window the peer ever offered, so that two fit.  Linux: include/net/tcp.h."""
    cutoff = tp.max_window
    if cutoff > TCP_MSS_DEFAULT:
        cutoff >>= 1
    if cutoff != 0 and pktsize > cutoff:
        low = 68 - tp.tcp_header_len
        return cutoff if cutoff > low else low
    return pktsize


def tcp_sync_mss(sk: TcpSock, pmtu: i64) -> i64:
    """Set mss_cache for a path MTU (bytes, IP header counted) and return it.  Linux: net/ipv4/tcp_output.c."""
    if sk.mtup_search_high > pmtu:
        sk.mtup_search_high = pmtu
    mss_now = tcp_bound_to_half_wnd(sk, tcp_mtu_to_mss(sk, pmtu))
    sk.icsk_pmtu_cookie = pmtu
    if sk.mtup_enabled:
        low = tcp_mtu_to_mss(sk, sk.mtup_search_low)
        if low < mss_now:
            mss_now = low
    sk.mss_cache = mss_now
    return mss_now


def tcp_current_mss(sk: TcpSock) -> i64:
    """Payload bytes of a full segment sent now.  Linux: net/ipv4/tcp_output.c."""
    mss_now = sk.mss_cache
    dst = sk.sk_dst_cache
    if dst is not None:
        mtu = dst.mtu()
        if mtu != sk.icsk_pmtu_cookie:
            mss_now = tcp_sync_mss(sk, mtu)
    header_len = TCP_HLEN + tcp_established_options_len(sk)
    # SACK blocks come and go; the rest of the header is in mss_cache already
    return mss_now - (header_len - sk.tcp_header_len)


def tcp_xmit_size_goal(sk: TcpSock, mss_now: i64, large_allowed: bool) -> i64:
    """How many bytes to collect in one skb: a whole number of segments, up to what is segmented at once.

    Linux: net/ipv4/tcp.c.
    """
    if not large_allowed:
        return mss_now
    new_size_goal = tcp_bound_to_half_wnd(sk, sk.sk_gso_max_size)
    size_goal = sk.gso_segs * mss_now
    if new_size_goal < size_goal or new_size_goal >= size_goal + mss_now:
        segs = new_size_goal // mss_now
        if segs > sk.sk_gso_max_segs:
            segs = sk.sk_gso_max_segs
        sk.gso_segs = segs
        size_goal = segs * mss_now
    return size_goal if size_goal > mss_now else mss_now


def ilog2(n: i64) -> i64:
    """The position of the highest bit; n > 0.  Linux: include/linux/log2.h."""
    result: i64 = 0
    while n > 1:
        n >>= 1
        result += 1
    return result


def tcp_select_initial_window(
    sk: Sock, space: i64, mss: i64, window_clamp: i64, wscale_ok: bool, init_rcv_wnd: i64,
) -> InitialWindow:
    """The window and the window scale to start with, for `space` bytes of buffer worth (RFC 7323, 2).

    window_clamp 0: no limit. init_rcv_wnd: segments, 0: no limit.
    Linux: net/ipv4/tcp_output.c; the results go through pointers there.
    """
    net = sock_net(sk)
    if space < 0:
        space = 0
    if window_clamp == 0:
        window_clamp = U16_MAX << TCP_MAX_WSCALE
    if space > window_clamp:
        space = window_clamp
    if mss > 0 and space > mss:
        space -= space % mss
    rcv_wnd = space
    if not wscale_ok and rcv_wnd > U16_MAX:
        rcv_wnd = U16_MAX  # more could not be said, now or later
    if net.ipv4.sysctl_tcp_workaround_signed_windows != 0 and rcv_wnd > MAX_TCP_WINDOW:
        rcv_wnd = MAX_TCP_WINDOW
    if init_rcv_wnd != 0 and rcv_wnd > init_rcv_wnd * mss:
        rcv_wnd = init_rcv_wnd * mss
    rcv_wscale: i64 = 0
    if wscale_ok:
        # the scale is for ever, so it is made for the largest buffer that tuning may reach
        most: i64 = net.ipv4.sysctl_tcp_rmem[2]
        if most > space:
            space = most
        if net.core.sysctl_rmem_max > space:
            space = net.core.sysctl_rmem_max
        if space > window_clamp:
            space = window_clamp
        if space > 0:
            rcv_wscale = ilog2(space) - 15
        if rcv_wscale < 0:
            rcv_wscale = 0
        elif rcv_wscale > TCP_MAX_WSCALE:
            rcv_wscale = TCP_MAX_WSCALE
    if window_clamp > U16_MAX << rcv_wscale:
        window_clamp = U16_MAX << rcv_wscale
    return InitialWindow(rcv_wnd, window_clamp, rcv_wscale)


def __tcp_select_window(sk: TcpSock) -> i64:
    """The window that the free receive buffer allows, in bytes; 0 where less than a segment (or a sixteenth) is free.

    Linux: net/ipv4/tcp_output.c.  RFC 9293, 3.8.6.2.2; RFC 1122, 4.2.3.3.
    """
    mss = sk.ack_rcv_mss
    free_space = tcp_space(sk)
    full_space = tcp_full_space(sk)
    if sk.window_clamp < full_space:
        full_space = sk.window_clamp
    if mss > full_space:
        mss = full_space
        if mss <= 0:
            return 0
    rx_opt = sk.rx_opt
    if free_space < (full_space >> 1):
        sk.ack_quick = 0
        if tcp_under_memory_pressure(sk):
            low = 4 * sk.advmss
            if sk.rcv_ssthresh > low:
                sk.rcv_ssthresh = low
        # round down, so that what is advertised as free is really there
        if free_space > 0:
            free_space -= free_space & ((1 << rx_opt.rcv_wscale) - 1)
        if free_space < (full_space >> 4) or free_space < mss:
            return 0
    elif rx_opt.rcv_wscale != 0 and sock_net(sk).ipv4.sysctl_tcp_shrink_window != 0:
        # what is given may be taken back: then nothing above what is really free is given
        free_space -= free_space & ((1 << rx_opt.rcv_wscale) - 1)
    if free_space > sk.rcv_ssthresh:
        free_space = sk.rcv_ssthresh
    if rx_opt.rcv_wscale != 0:
        # round up: a window that could not be said exactly must not shrink
        unit: i64 = (1 << rx_opt.rcv_wscale) - 1
        return (free_space + unit) & ~unit
    window = sk.rcv_wnd
    if window <= free_space - mss or window > free_space:
        return free_space - free_space % mss
    if mss == full_space and free_space > window + (full_space >> 1):
        return free_space
    return window


def tcp_select_window(sk: TcpSock) -> i64:
    """Choose the window for a segment and remember it as advertised. Returns the header's field, already shifted.

    Linux: net/ipv4/tcp_output.c.  A window once given is not taken back (RFC 9293, 3.8.6), but for net.ipv4.tcp_shrink_window,
    with which memory counts more: what a full buffer would drop is not invited (RFC 7323, 2.4, allows it).
    """
    if (sk.ack_pending & ICSK_ACK_NOMEM) != 0:
        # nothing more can be stored, whatever the buffer's size says
        sk.pred_flags = 0
        sk.rcv_wnd = 0
        sk.rcv_wup = sk.rcv_nxt
        return 0
    net = sock_net(sk)
    wscale = sk.rx_opt.rcv_wscale
    old_win = sk.rcv_wnd
    cur_win = tcp_receive_window(sk)
    new_win = __tcp_select_window(sk)
    if new_win < cur_win and (wscale == 0 or net.ipv4.sysctl_tcp_shrink_window == 0):
        if new_win == 0:
            NET_INC_STATS(net, LINUX_MIB_TCPWANTZEROWINDOWADV)
        unit: i64 = (1 << wscale) - 1
        new_win = (cur_win + unit) & ~unit
    sk.rcv_wnd = new_win
    sk.rcv_wup = sk.rcv_nxt
    most: i64 = U16_MAX << wscale
    if wscale == 0 and net.ipv4.sysctl_tcp_workaround_signed_windows != 0:
        most = MAX_TCP_WINDOW
    if new_win > most:
        new_win = most
    new_win >>= wscale
    if new_win == 0:
        sk.pred_flags = 0
        if old_win != 0:
            NET_INC_STATS(net, LINUX_MIB_TCPTOZEROWINDOWADV)
    elif old_win == 0:
        NET_INC_STATS(net, LINUX_MIB_TCPFROMZEROWINDOWADV)
    return new_win
