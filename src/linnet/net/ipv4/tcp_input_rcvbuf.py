# SPDX-License-Identifier: Apache-2.0
"""The receiver's side of flow control: when ACKs are delayed, how large the peer's segments are, the size of the receive buffer.

ACKs: ack_quick counts ACKs that still go at once (at the start, and after trouble); in pingpong mode (an interactive session)
they wait for data to ride on; ack_ato, from the gaps between data segments, is how long they wait at most. rcv_ssthresh opens
the advertised window as the peer proves that its segments use the buffer well (tcp_grow_window), and tcp_rcv_space_adjust
enlarges the buffer to twice of what the program reads in a round trip (dynamic right-sizing).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SIZEOF_SK_BUFF, SkBuff, skb_headlen
from linnet.include.net.dst import RTAX_QUICKACK
from linnet.include.net.inet_connection_sock import (
    ICSK_ACK_NOW,
    ICSK_ACK_PUSHED,
    ICSK_ACK_PUSHED2,
    inet_csk_ack_scheduled,
    inet_csk_exit_pingpong_mode,
    inet_csk_in_pingpong_mode,
    inet_csk_schedule_ack,
)
from linnet.include.net.sock import SOCK_RCVBUF_LOCK, SOCK_SNDBUF_LOCK, sock_net
from linnet.include.net.tcp import (
    CA_EVENT_ECN_IS_CE,
    CA_EVENT_ECN_NO_CE,
    MAX_TCP_OPTION_SPACE,
    TCP_ATO_MIN,
    TCP_ECN_DEMAND_CWR,
    TCP_ECN_OK,
    TCP_ECN_SEEN,
    TCP_INIT_CWND,
    TCP_MAX_QUICKACKS,
    TCP_MIN_MSS,
    TCP_MSS_DEFAULT,
    TCPF_ACK_DEFERRED,
    TCPHDR_FIN,
    TCPHDR_PSH,
    TCPHDR_SYN,
    TCPHDR_URG,
    U32,
    TcpSock,
    before,
    tcp_full_space,
    tcp_jiffies32,
    tcp_mstamp_refresh,
    tcp_space,
    tcp_space_from_win,
    tcp_win_from_space,
)
from linnet.include.trace.events.tcp import trace_tcp_rcv_space_adjust
from linnet.net.core.skbuff import SMALL_HEAD_SIZE
from linnet.net.ipv4.tcp import tcp_under_memory_pressure
from linnet.net.ipv4.tcp_cong import tcp_ca_event, tcp_ca_needs_ecn
from linnet.net.ipv4.tcp_input_sackrcv import tcp_compress_ack
from linnet.net.ipv4.tcp_output import (
    __tcp_push_pending_frames,
    __tcp_select_window,
    tcp_current_mss,
    tcp_send_ack,
    tcp_send_delayed_ack,
)
from linnet.net.ipv4.tcp_sndbuf import tcp_check_space, tcp_sndbuf_expand

LINUX_FILE: Final = 'net/ipv4/tcp_input.c'

TCP_REMNANT: Final = TCPHDR_FIN | TCPHDR_URG | TCPHDR_SYN | TCPHDR_PSH


def tcp_apply_window_clamp(sk: TcpSock, clamp: i64) -> None:
    """Bound the window by `clamp` bytes. Lower: it opens no further. Higher: what the peer was given already is open.

    Linux: net/ipv4/tcp.c, tcp_set_window_clamp: the part that stands below the socket option.
    """
    old = sk.window_clamp
    sk.window_clamp = clamp
    if clamp < old:
        if sk.rcv_ssthresh > clamp:
            sk.rcv_ssthresh = clamp
    elif clamp > old:
        ssthresh = sk.rcv_wnd if sk.rcv_wnd < clamp else clamp
        if ssthresh > sk.rcv_ssthresh:
            sk.rcv_ssthresh = ssthresh


def tcp_measure_rcv_mss(sk: TcpSock, skb: SkBuff) -> None:
    """Guess the size of the peer's full segments; skb's payload is at its data.  Linux: net/ipv4/tcp_input.c."""
    last_seg_size = sk.ack_last_seg_size
    sk.ack_last_seg_size = 0
    length = skb.gso_size if skb.gso_size != 0 else skb.len
    if length >= sk.ack_rcv_mss:
        if length != sk.ack_rcv_mss and skb.truesize > 0:
            # the worth of buffer as window, by how much of its memory is payload
            ratio = (skb.len << 8) // skb.truesize
            if ratio < 1:
                ratio = 1
            elif ratio > 255:
                ratio = 255
            if ratio != sk.scaling_ratio:
                sk.scaling_ratio = ratio
                tcp_apply_window_clamp(sk, tcp_win_from_space(sk, sk.sk_rcvbuf))
        sk.ack_rcv_mss = length if length < sk.advmss else sk.advmss
        # a full segment with PSH ends what the peer's program wrote: it may wait for our ACK
        if length > sk.ack_rcv_mss + MAX_TCP_OPTION_SPACE or (skb.tcp_flags & TCPHDR_PSH) != 0:
            sk.ack_pending |= ICSK_ACK_PUSHED
        return
    # smaller: it may still be full, if the peer's options or MTU changed; two of the same size make it so
    length += skb.tcp_doff
    if length >= TCP_MSS_DEFAULT + 20 or (length >= TCP_MIN_MSS + 20 and (skb.tcp_flags & TCP_REMNANT) == 0):
        length -= sk.tcp_header_len
        sk.ack_last_seg_size = length
        if length == last_seg_size:
            sk.ack_rcv_mss = length
            return
    if (sk.ack_pending & ICSK_ACK_PUSHED) != 0:
        sk.ack_pending |= ICSK_ACK_PUSHED2
    sk.ack_pending |= ICSK_ACK_PUSHED


def tcp_incr_quickack(sk: TcpSock, max_quickacks: i64) -> None:
    """The next ACKs, for half a window of segments, go at once.  Linux: net/ipv4/tcp_input.c."""
    quickacks: i64 = 2
    if sk.ack_rcv_mss > 0:
        quickacks = sk.rcv_wnd // (2 * sk.ack_rcv_mss)
        if quickacks == 0:
            quickacks = 2
    if quickacks > max_quickacks:
        quickacks = max_quickacks
    if quickacks > sk.ack_quick:
        sk.ack_quick = quickacks


def tcp_enter_quickack_mode(sk: TcpSock, max_quickacks: i64) -> None:
    """Something is wrong: ACK at once.  Linux: net/ipv4/tcp_input.c."""
    tcp_incr_quickack(sk, max_quickacks)
    inet_csk_exit_pingpong_mode(sk)
    sk.ack_ato = TCP_ATO_MIN


def tcp_in_quickack_mode(sk: TcpSock) -> bool:
    """Do ACKs go at once?  Linux: net/ipv4/tcp_input.c."""
    if sk.ack_quick != 0 and not inet_csk_in_pingpong_mode(sk):
        return True
    dst = sk.sk_dst_cache
    return dst is not None and dst.metrics[RTAX_QUICKACK] != 0


def tcp_ecn_check_ce(sk: TcpSock, skb: SkBuff) -> None:
    """Did the segment meet congestion?  Linux: net/ipv4/tcp_input.c.  RFC 3168, 6.1.3."""
    if (sk.ecn_flags & TCP_ECN_OK) == 0:
        return
    codepoint = skb.tos & 3
    if codepoint == 3:
        if tcp_ca_needs_ecn(sk):
            tcp_ca_event(sk, CA_EVENT_ECN_IS_CE)
        if (sk.ecn_flags & TCP_ECN_DEMAND_CWR) == 0:
            tcp_enter_quickack_mode(sk, 2)
            sk.ecn_flags |= TCP_ECN_DEMAND_CWR
        sk.ecn_flags |= TCP_ECN_SEEN
    elif codepoint == 0:
        # not ECT although agreed: a retransmission, whose loss the sender must be told quickly
        if (sk.ecn_flags & TCP_ECN_SEEN) != 0:
            tcp_enter_quickack_mode(sk, 2)
    else:
        if tcp_ca_needs_ecn(sk):
            tcp_ca_event(sk, CA_EVENT_ECN_NO_CE)
        sk.ecn_flags |= TCP_ECN_SEEN


def tcp_rcv_rtt_update(tp: TcpSock, sample: i64, win_dep: bool) -> None:
    """The receiver's own estimate of the RTT, µs, eightfold; win_dep: a sample of a window, which may be too long.

    Linux: net/ipv4/tcp_input.c.  A smaller sample counts at once. A larger one is averaged in, but not while the program leaves
    data unread, for then it measures the program: the buffer must not grow by that.
    """
    old = tp.rcv_rtt_est_us
    new = sample << 3
    if old == 0 or new < old:
        tp.rcv_rtt_est_us = new
    elif not win_dep and tp.rcv_nxt == tp.copied_seq:
        tp.rcv_rtt_est_us = old + sample - (old >> 3)


def tcp_rcv_rtt_measure(tp: TcpSock) -> None:
    """Without timestamps: the time in which a window of data came.  Linux: net/ipv4/tcp_input.c."""
    if tp.rcv_rtt_time != 0:
        if before(tp.rcv_nxt, tp.rcv_rtt_seq):
            return
        delta = (tp.tcp_mstamp - tp.rcv_rtt_time) // 1000
        tcp_rcv_rtt_update(tp, delta if delta > 1 else 1, True)
    tp.rcv_rtt_seq = (tp.rcv_nxt + tp.rcv_wnd) & U32
    tp.rcv_rtt_time = tp.tcp_mstamp


def tcp_rcv_rtt_measure_ts(sk: TcpSock, skb: SkBuff) -> None:
    """With timestamps: the age of what a full segment echoes.  Linux: net/ipv4/tcp_input.c."""
    tsecr = sk.rx_opt.rcv_tsecr
    if tsecr == sk.rcv_rtt_last_tsecr:
        return
    sk.rcv_rtt_last_tsecr = tsecr
    if ((skb.end_seq - skb.seq) & U32) >= sk.ack_rcv_mss:
        delta = (sk.tcp_mstamp // 1_000_000 - tsecr) & U32
        # less than a tick says nothing; the window's samples serve there
        if 0 < delta < 0x7FFFFFFF // 1000:
            tcp_rcv_rtt_update(sk, delta * 1000, False)


def tcp_grow_incr(sk: TcpSock, skb: SkBuff, skbtruesize: i64) -> i64:
    """How much more window segments that waste memory deserve: none while a little of it would fill the buffer.

    Linux: net/ipv4/tcp_input.c, __tcp_grow_window.
    """
    truesize = tcp_win_from_space(sk, skbtruesize) >> 1
    largest: i64 = sock_net(sk).ipv4.sysctl_tcp_rmem[2]
    window = tcp_win_from_space(sk, largest) >> 1
    while sk.rcv_ssthresh <= window:
        if truesize <= skb.len:
            return 2 * sk.ack_rcv_mss
        truesize >>= 1
        window >>= 1
    return 0


def truesize_adjust(adjust: bool, skb: SkBuff) -> i64:
    """The memory of skb for the question whether it uses it well; adjust: without the head, which will not be kept.

    Linux: net/ipv4/tcp_input.c.
    """
    truesize = skb.truesize
    if adjust and skb.tailroom < 0 and skb_headlen(skb) == 0:
        rest = truesize - SIZEOF_SK_BUFF - SMALL_HEAD_SIZE
        if rest >= skb.len:
            return rest
    return truesize


def tcp_grow_window(sk: TcpSock, skb: SkBuff, adjust: bool) -> None:
    """A good-sized segment came: open the window further. adjust: see truesize_adjust.  Linux: net/ipv4/tcp_input.c."""
    room = tcp_space(sk)
    if sk.window_clamp < room:
        room = sk.window_clamp
    room -= sk.rcv_ssthresh
    if room <= 0 or tcp_under_memory_pressure(sk):
        return
    incr: i64
    truesize = truesize_adjust(adjust, skb)
    if tcp_win_from_space(sk, truesize) <= skb.len:
        incr = 2 * sk.advmss
    else:
        incr = tcp_grow_incr(sk, skb, truesize)
    if incr != 0:
        if incr < 2 * skb.len:
            incr = 2 * skb.len
        sk.rcv_ssthresh += incr if incr < room else room
        sk.ack_quick |= 1


def tcp_clamp_window(sk: TcpSock) -> None:
    """The receive buffer is overfull: enlarge it up to tcp_rmem[2], or close the window.  Linux: net/ipv4/tcp_input.c."""
    sk.ack_quick = 0
    ipv4 = sock_net(sk).ipv4
    most: i64 = ipv4.sysctl_tcp_rmem[2]
    if (sk.sk_rcvbuf < most and (sk.sk_userlocks & SOCK_RCVBUF_LOCK) == 0 and not tcp_under_memory_pressure(sk)
            and sk.sk_prot.mem.memory_allocated < ipv4.sysctl_tcp_mem[0]):
        sk.sk_rcvbuf = sk.sk_rmem_alloc if sk.sk_rmem_alloc < most else most
    if sk.sk_rmem_alloc > sk.sk_rcvbuf:
        least = 2 * sk.advmss
        sk.rcv_ssthresh = sk.window_clamp if sk.window_clamp < least else least


def tcp_init_buffer_space(sk: TcpSock) -> None:
    """The connection stands: buffers and the clamp of the window for it.  Linux: net/ipv4/tcp_input.c."""
    app_win = sock_net(sk).ipv4.sysctl_tcp_app_win
    if (sk.sk_userlocks & SOCK_SNDBUF_LOCK) == 0:
        tcp_sndbuf_expand(sk)
    tcp_mstamp_refresh(sk)
    sk.rcvq_time = sk.tcp_mstamp
    sk.rcvq_seq = sk.copied_seq
    maxwin = tcp_full_space(sk)
    if sk.window_clamp >= maxwin:
        sk.window_clamp = maxwin
        if app_win != 0 and maxwin > 4 * sk.advmss:
            reserve = maxwin - (maxwin >> app_win)
            sk.window_clamp = reserve if reserve > 4 * sk.advmss else 4 * sk.advmss
    if app_win != 0 and sk.window_clamp > 2 * sk.advmss and sk.window_clamp + sk.advmss > maxwin:
        low = maxwin - sk.advmss
        sk.window_clamp = low if low > 2 * sk.advmss else 2 * sk.advmss
    if sk.rcv_ssthresh > sk.window_clamp:
        sk.rcv_ssthresh = sk.window_clamp
    sk.snd_cwnd_stamp = tcp_jiffies32(sk)
    space = sk.rcv_ssthresh if sk.rcv_ssthresh < sk.rcv_wnd else sk.rcv_wnd
    initial = TCP_INIT_CWND * sk.advmss
    sk.rcvq_space = space if space < initial else initial


def tcp_rcvbuf_grow(sk: TcpSock, newval: i64) -> None:
    """The program read newval bytes in the last round trip: make the receive buffer hold what may come in the next two.

    Linux: net/ipv4/tcp_input.c.  What is measured is a round trip old; a sender in slow start doubles its rate meanwhile, so the
    rise since the last measure counts twice over, in proportion. What lies out of order takes room as well.
    """
    oldval = sk.rcvq_space
    sk.rcvq_space = newval
    ipv4 = sock_net(sk).ipv4
    if ipv4.sysctl_tcp_moderate_rcvbuf == 0 or (sk.sk_userlocks & SOCK_RCVBUF_LOCK) != 0:
        return
    rcvwin = newval << 1
    if newval > oldval and oldval > 0:
        rcvwin += rcvwin * (newval - oldval) // oldval << 1
    last = sk.out_of_order_queue.prev
    if last is not None:
        rcvwin += (last.end_seq - sk.rcv_nxt) & U32
    rcvbuf = tcp_space_from_win(sk, rcvwin)
    most: i64 = ipv4.sysctl_tcp_rmem[2]
    if rcvbuf > most:
        rcvbuf = most
    if rcvbuf > sk.sk_rcvbuf:
        sk.sk_rcvbuf = rcvbuf
        # the window opens as far as the segments prove to be worth it
        sk.window_clamp = tcp_win_from_space(sk, rcvbuf)


def tcp_rcv_space_adjust(sk: TcpSock) -> None:
    """The program has read: is the buffer large enough for its pace?  Linux: net/ipv4/tcp_input.c.

    Once a round trip. What came in but was not read yet does not count: a slow program needs no larger buffer.
    """
    trace_tcp_rcv_space_adjust(sk)
    if sk.rcv_rtt_est_us == 0:
        return
    tcp_mstamp_refresh(sk)
    if (sk.tcp_mstamp - sk.rcvq_time) // 1000 < (sk.rcv_rtt_est_us >> 3):
        return
    copied = (sk.copied_seq - sk.rcvq_seq) & U32
    copied -= (sk.rcv_nxt - sk.copied_seq) & U32
    if copied > sk.rcvq_space:
        tcp_rcvbuf_grow(sk, copied)
    sk.rcvq_seq = sk.copied_seq
    sk.rcvq_time = sk.tcp_mstamp


def tcp_event_data_recv(sk: TcpSock, skb: SkBuff) -> None:
    """Data came (its payload is at skb's data): an ACK is owed; adapt the delay to the pace.  Linux: net/ipv4/tcp_input.c."""
    inet_csk_schedule_ack(sk)
    tcp_measure_rcv_mss(sk, skb)
    tcp_rcv_rtt_measure(sk)
    now = sk.tcp_mstamp // 1_000_000
    if sk.ack_ato == 0:
        # the first data: the sender is in slow start, and lives by our ACKs
        tcp_incr_quickack(sk, TCP_MAX_QUICKACKS)
        sk.ack_ato = TCP_ATO_MIN
    else:
        m = now - sk.ack_lrcvtime
        if m <= TCP_ATO_MIN // 2:
            sk.ack_ato = (sk.ack_ato >> 1) + TCP_ATO_MIN // 2
        elif m < sk.ack_ato:
            sk.ack_ato = (sk.ack_ato >> 1) + m
            if sk.ack_ato > sk.icsk_rto:
                sk.ack_ato = sk.icsk_rto
        elif m > sk.icsk_rto:
            # so long a gap: the sender may have restarted in slow start
            tcp_incr_quickack(sk, TCP_MAX_QUICKACKS)
    sk.ack_lrcvtime = now
    if sk.ecn_flags != 0:
        tcp_ecn_check_ce(sk, skb)
    if skb.len >= 128:
        tcp_grow_window(sk, skb, True)


def __tcp_ack_snd_check(sk: TcpSock, ofo_possible: bool) -> None:
    """Does the ACK that is owed go now, or later?

    Linux: net/ipv4/tcp_input.c.  RFC 5681, 4.2: every second full segment, and at once where data is out of order.
    """
    unacked = (sk.rcv_nxt - sk.rcv_wup) & U32
    if (unacked > sk.ack_rcv_mss and (
            ((sk.rcv_nxt - sk.copied_seq) & U32) < sk.sk_rcvlowat or __tcp_select_window(sk) >= sk.rcv_wnd)
            or tcp_in_quickack_mode(sk) or (sk.ack_pending & ICSK_ACK_NOW) != 0):
        # more than one full segment, and the program keeps up; or it must go now
        if sk.sk_lock_owned and sock_net(sk).ipv4.sysctl_tcp_backlog_ack_defer != 0:
            # the backlog is being worked on: one ACK for all of it, when the owner lets go
            sk.sk_tsq_flags |= TCPF_ACK_DEFERRED
        else:
            tcp_send_ack(sk)
    elif not ofo_possible or sk.out_of_order_queue.next is None:
        tcp_send_delayed_ack(sk)
    elif not tcp_compress_ack(sk):
        tcp_send_ack(sk)


def tcp_ack_snd_check(sk: TcpSock) -> None:
    """Send the ACK that is owed, if one is.  Linux: net/ipv4/tcp_input.c."""
    if not inet_csk_ack_scheduled(sk):
        return
    __tcp_ack_snd_check(sk, True)


def tcp_data_snd_check(sk: TcpSock) -> None:
    """The window may have opened: send what waits.  Linux: net/ipv4/tcp_input.c."""
    if sk.sk_write_queue.next is not None:
        __tcp_push_pending_frames(sk, tcp_current_mss(sk), sk.nonagle)
    tcp_check_space(sk)
