# SPDX-License-Identifier: Apache-2.0
"""tcp_write_xmit: what may be sent now, and in what portions.

For the skb at the head of the write queue, in this order: the congestion window, the peer's window, Nagle (or, for several
segments, whether waiting would make a larger portion), the cut at what these allow, and the limit on what may lie in queues below
(small queues). What is sent moves to the retransmission queue. RFC 9293, 3.7.4 and 3.8.6; RFC 5681.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff, __skb_queue_tail, __skb_unlink
from linnet.include.net.inet_connection_sock import ICSK_TIME_LOSS_PROBE, ICSK_TIME_PROBE0
from linnet.include.net.snmp import LINUX_MIB_TCPORIGDATASENT, NET_ADD_STATS
from linnet.include.net.sock import SK_PACING_NONE, SOCK_NOSPACE, sock_net
from linnet.include.net.tcp import (
    TCP_CA_CWR,
    TCP_CHRONO_RWND_LIMITED,
    TCP_CHRONO_SNDBUF_LIMITED,
    TCP_NAGLE_CORK,
    TCP_NAGLE_PUSH,
    TCP_TIMEOUT_INIT,
    TCP_TIMEOUT_MIN_US,
    TCPHDR_FIN,
    TSQF_THROTTLED,
    U32,
    TCP_CA_Open,
    TCP_CA_Recovery,
    TcpSock,
    after,
    tcp_in_cwnd_reduction,
    tcp_is_sack,
    tcp_min_rtt,
    tcp_packets_in_flight,
    tcp_probe0_base,
    tcp_rto_delta_us,
    tcp_tsorted_move_tail,
)
from linnet.include.net.tcp_states import (
    TCP_CLOSE,
    TCPF_CLOSE_WAIT,
    TCPF_ESTABLISHED,
)
from linnet.net.core.skbuff import skb_take_frags
from linnet.net.ipv4.tcp import tcp_wmem_free_skb
from linnet.net.ipv4.tcp_chrono import tcp_chrono_start, tcp_chrono_stop
from linnet.net.ipv4.tcp_cong import tcp_is_cwnd_limited, tcp_snd_cwnd_set
from linnet.net.ipv4.tcp_input_cwnd import tcp_current_ssthresh, tcp_rearm_rto
from linnet.net.ipv4.tcp_output_frag import __pskb_trim_head, tcp_set_skb_tso_segs, tcp_skb_collapse_tstamp, tso_fragment
from linnet.net.ipv4.tcp_output_mss import tcp_current_mss
from linnet.net.ipv4.tcp_output_mtup import (
    MTUP_NOT_NOW,
    MTUP_SEND,
    MTUP_WAIT,
    tcp_mtu_probe_due,
    tcp_mtu_probe_sent,
    tcp_mtu_probe_size,
    tcp_mtu_probe_skb,
)
from linnet.net.ipv4.tcp_output_pacing import tcp_pacing_check, tcp_reset_xmit_timer
from linnet.net.ipv4.tcp_output_transmit import tcp_init_cwnd_of, tcp_transmit_skb
from linnet.net.ipv4.tcp_sndbuf import tcp_check_space

LINUX_FILE: Final = 'net/ipv4/tcp_output.c'

TSO_SEND_NOW: Final = 0
TSO_DEFER: Final = 1
TSO_DEFER_CWND: Final = 2  # and it is the congestion window that holds it back
TSO_DEFER_RWND: Final = 3  # ... the peer's window

NSEC_PER_MSEC: Final = 1_000_000


# -- the tests

def tcp_snd_wnd_test(tp: TcpSock, skb: SkBuff, cur_mss: i64) -> bool:
    """Does at least the first segment of skb fit the peer's window?  Linux: net/ipv4/tcp_output.c."""
    end_seq = skb.end_seq
    if skb.len > cur_mss:
        end_seq = (skb.seq + cur_mss) & U32
    return not after(end_seq, (tp.snd_una + tp.snd_wnd) & U32)


def tcp_cwnd_test(tp: TcpSock) -> i64:
    """Segments that the congestion window allows now; at most half a window at once.  Linux: net/ipv4/tcp_output.c."""
    in_flight = tcp_packets_in_flight(tp)
    cwnd = tp.snd_cwnd
    if in_flight >= cwnd:
        return 0
    half = cwnd >> 1
    if half < 1:
        half = 1
    room = cwnd - in_flight
    return room if room < half else half


def tcp_minshall_check(tp: TcpSock) -> bool:
    """Is a small segment of ours not acknowledged yet?  Linux: net/ipv4/tcp_output.c."""
    return after(tp.snd_sml, tp.snd_una) and not after(tp.snd_sml, tp.snd_nxt)


def tcp_minshall_update(tp: TcpSock, mss_now: i64, skb: SkBuff) -> None:
    """Remember where the last small segment ended.  Linux: net/ipv4/tcp_output.c."""
    if skb.len < skb.gso_segs * mss_now:
        tp.snd_sml = skb.end_seq


def tcp_nagle_check(partial: bool, tp: TcpSock, nonagle: i64) -> bool:
    """Shall a partial segment wait? (Nagle, with Minshall's change: for earlier small ones.)  Linux: net/ipv4/tcp_output.c."""
    if not partial:
        return False
    if (nonagle & TCP_NAGLE_CORK) != 0:
        return True
    return nonagle == 0 and tp.packets_out != 0 and tcp_minshall_check(tp)


def tcp_nagle_test(tp: TcpSock, skb: SkBuff, cur_mss: i64, nonagle: i64) -> bool:
    """May skb, one segment, go now?  Linux: net/ipv4/tcp_output.c.  RFC 1122, 4.2.3.4."""
    if (nonagle & TCP_NAGLE_PUSH) != 0:
        return True
    if tp.snd_up != tp.snd_una or (skb.tcp_flags & TCPHDR_FIN) != 0:
        return True
    return not tcp_nagle_check(skb.len < cur_mss, tp, nonagle)


def tcp_mss_split_point(sk: TcpSock, skb: SkBuff, mss_now: i64, max_segs: i64, nonagle: i64) -> i64:
    """How much of skb to send: whole segments within window and quota, a partial one only at the end of data.

    Linux: net/ipv4/tcp_output.c.
    """
    window = (sk.snd_una + sk.snd_wnd - skb.seq) & U32
    max_len = mss_now * max_segs
    if max_len <= window and skb.next is not None:
        return max_len
    needed = skb.len if skb.len < window else window
    if max_len <= needed:
        return max_len
    partial = needed % mss_now
    if tcp_nagle_check(partial != 0, sk, nonagle):
        return needed - partial
    return needed


def tcp_tso_autosize(sk: TcpSock, mss_now: i64, min_tso_segs: i64) -> i64:
    """Segments of a super-segment: what the pacing rate sends in about 1 ms, more where the RTT is short.

    Linux: net/ipv4/tcp_output.c.
    """
    bytes_ = sk.sk_pacing_rate >> sk.sk_pacing_shift
    r = tcp_min_rtt(sk) >> sock_net(sk).ipv4.sysctl_tcp_tso_rtt_log
    if r < 32:
        bytes_ += sk.sk_gso_max_size >> r
    if bytes_ > sk.sk_gso_max_size:
        bytes_ = sk.sk_gso_max_size
    segs = bytes_ // mss_now
    return segs if segs > min_tso_segs else min_tso_segs


def tcp_tso_segs(sk: TcpSock, mss_now: i64) -> i64:
    """The most segments to hand down at once.  Linux: net/ipv4/tcp_output.c."""
    min_tso: i64 = 0
    ca = sk.icsk_ca_ops
    if ca is not None:
        min_tso = ca.min_tso_segs(sk)
    if min_tso == 0:
        min_tso = sock_net(sk).ipv4.sysctl_tcp_min_tso_segs
    segs = tcp_tso_autosize(sk, mss_now, min_tso)
    return segs if segs < sk.sk_gso_max_segs else sk.sk_gso_max_segs


def tcp_tso_should_defer(sk: TcpSock, skb: SkBuff, max_segs: i64) -> i64:
    """Would it pay to wait for an ACK that lets a larger portion go? TSO_*.  Linux: net/ipv4/tcp_output.c."""
    if sk.icsk_ca_state >= TCP_CA_Recovery:
        return TSO_SEND_NOW
    now = sk.tcp_mstamp
    # a program that writes now and then shall not wait (Linux: more than 1 ms ago; in virtual time it is often 1 ms sharp)
    if now - sk.tcp_wstamp_ns >= NSEC_PER_MSEC:
        return TSO_SEND_NOW
    mss = sk.mss_cache
    send_win = (sk.snd_una + sk.snd_wnd - skb.seq) & U32
    cong_win = (sk.snd_cwnd - tcp_packets_in_flight(sk)) * mss
    limit = send_win if send_win < cong_win else cong_win
    if limit >= max_segs * mss:
        return TSO_SEND_NOW
    if skb.next is not None and limit >= skb.len:
        return TSO_SEND_NOW
    divisor = sock_net(sk).ipv4.sysctl_tcp_tso_win_divisor
    if divisor != 0:
        chunk = sk.snd_cwnd * mss
        if sk.snd_wnd < chunk:
            chunk = sk.snd_wnd
        if limit >= chunk // divisor:
            return TSO_SEND_NOW
    elif limit > 3 * mss:
        return TSO_SEND_NOW
    head = sk.tcp_rtx_queue.next
    if head is None:
        return TSO_SEND_NOW
    # the next ACK is due an RTT after the head was sent: one that is far, more than a ms or half an RTT, is not waited for
    srtt_ns = sk.srtt_us * 125
    patience = srtt_ns >> 1 if srtt_ns < 2 * NSEC_PER_MSEC else NSEC_PER_MSEC
    if head.tstamp + srtt_ns - now > patience:
        return TSO_SEND_NOW
    if cong_win < send_win:
        if cong_win <= skb.len:
            return TSO_DEFER_CWND
    elif send_win <= skb.len:
        return TSO_DEFER_RWND
    if (skb.tcp_flags & TCPHDR_FIN) != 0 or skb.eor:
        return TSO_SEND_NOW
    return TSO_DEFER


def tcp_small_queue_check(sk: TcpSock, skb: SkBuff, factor: i64) -> bool:
    """Does enough of this socket lie in this host's queues already? Then tcp_wfree continues.  Linux: net/ipv4/tcp_output.c."""
    limit = skb.truesize << 1
    rate = sk.sk_pacing_rate >> sk.sk_pacing_shift
    if rate > limit:
        limit = rate
    if sk.sk_pacing_status == SK_PACING_NONE:
        most = sock_net(sk).ipv4.sysctl_tcp_limit_output_bytes
        if most < limit:
            limit = most
    elif sk.tcp_tx_delay != 0:
        # what waits for TCP_TX_DELAY lies in the queues on purpose: its payload, and as much again for its overhead
        limit += (sk.sk_pacing_rate * sk.tcp_tx_delay) >> 19
    limit <<= factor
    if sk.sk_wmem_alloc <= limit:
        return False
    # what is sent first must go: no ACK would come, and no other packet's end
    if sk.tcp_rtx_queue.next is None:
        return False
    sk.sk_tsq_flags |= TSQF_THROTTLED
    return True


def tcp_grow_skb(sk: TcpSock, skb: SkBuff, amount: i64) -> None:
    """Fill skb, about to be sent, with up to `amount` bytes of the one behind it, so that super-segments are full.

    Linux: net/ipv4/tcp_output.c.
    """
    following = skb.next
    if following is None or skb.eor or skb.uarg is not None or following.uarg is not None:
        return
    nlen = amount if amount < following.len else following.len
    if nlen == 0:
        return
    moved = skb_take_frags(following, 0, nlen)
    skb.frags.extend(moved)
    skb.len += nlen
    skb.data_len += nlen
    skb.truesize += nlen
    following.truesize -= nlen
    skb.end_seq = (skb.end_seq + nlen) & U32
    if nlen == following.len:
        # its FIN comes along
        skb.end_seq = following.end_seq
        skb.tcp_flags |= following.tcp_flags
        skb.eor = following.eor
        if following.tx_flags != 0:
            tcp_skb_collapse_tstamp(skb, following)
        __skb_unlink(following, sk.sk_write_queue)
        tcp_wmem_free_skb(sk, following)
    else:
        __pskb_trim_head(following, nlen)
        following.seq = (following.seq + nlen) & U32
        following.gso_segs = 0


# -- after a transmission

def tcp_cwnd_application_limited(sk: TcpSock) -> None:
    """An RTO long the window was not used up: it shrinks towards what was used (RFC 2861).  Linux: net/ipv4/tcp_output.c."""
    sock = sk.sk_socket
    if sk.icsk_ca_state == TCP_CA_Open and sock is not None and (sock.flags & SOCK_NOSPACE) == 0:
        win_used = tcp_init_cwnd_of(sk)
        if sk.snd_cwnd_used > win_used:
            win_used = sk.snd_cwnd_used
        if win_used < sk.snd_cwnd:
            sk.snd_ssthresh = tcp_current_ssthresh(sk)
            tcp_snd_cwnd_set(sk, (sk.snd_cwnd + win_used) >> 1)
        sk.snd_cwnd_used = 0
    sk.snd_cwnd_stamp = sk.tcp_mstamp // NSEC_PER_MSEC


def tcp_cwnd_validate(sk: TcpSock, is_cwnd_limited: bool) -> None:
    """Was the window used up? Only a window that was may grow (RFC 7661).  Linux: net/ipv4/tcp_output.c."""
    # the strongest sign of one window's worth of sending counts
    if (
        not after(sk.cwnd_usage_seq, sk.snd_una)
        or is_cwnd_limited
        or (not sk.is_cwnd_limited and sk.packets_out > sk.max_packets_out)
    ):
        sk.is_cwnd_limited = is_cwnd_limited
        sk.max_packets_out = sk.packets_out
        sk.cwnd_usage_seq = sk.snd_nxt
    if tcp_is_cwnd_limited(sk):
        sk.snd_cwnd_used = 0
        sk.snd_cwnd_stamp = sk.tcp_mstamp // NSEC_PER_MSEC
        return
    if sk.packets_out > sk.snd_cwnd_used:
        sk.snd_cwnd_used = sk.packets_out
    ca = sk.icsk_ca_ops
    if (
        sock_net(sk).ipv4.sysctl_tcp_slow_start_after_idle != 0
        and sk.tcp_mstamp // NSEC_PER_MSEC - sk.snd_cwnd_stamp >= sk.icsk_rto
        and (ca is None or not ca.has_cong_control)
    ):
        tcp_cwnd_application_limited(sk)
    sock = sk.sk_socket
    if (
        sk.sk_write_queue.next is None
        and sock is not None
        and (sock.flags & SOCK_NOSPACE) != 0
        and ((1 << sk.sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) != 0
    ):
        # everything is sent, and the program waits for send buffer: that is what is too small
        tcp_chrono_start(sk, TCP_CHRONO_SNDBUF_LIMITED)


def tcp_event_new_data_sent(sk: TcpSock, skb: SkBuff) -> None:
    """skb was sent for the first time: it waits for its ACK now.  Linux: net/ipv4/tcp_output.c."""
    prior_packets = sk.packets_out
    sk.snd_nxt = skb.end_seq
    __skb_unlink(skb, sk.sk_write_queue)
    __skb_queue_tail(sk.tcp_rtx_queue, skb)
    tcp_tsorted_move_tail(sk, skb)
    if sk.highest_sack is None and sk.sacked_out != 0 and sk.rx_opt.sack_ok != 0:
        sk.highest_sack = skb
    pcount = skb.gso_segs
    sk.packets_out = prior_packets + pcount
    if prior_packets == 0 or sk.icsk_pending == ICSK_TIME_LOSS_PROBE:
        tcp_rearm_rto(sk)
    NET_ADD_STATS(sock_net(sk), LINUX_MIB_TCPORIGDATASENT, pcount)
    # a writer may wait for less unsent data (TCP_NOTSENT_LOWAT)
    tcp_check_space(sk)


# -- tail loss probe

def tcp_schedule_loss_probe(sk: TcpSock, advancing_rto: bool) -> bool:
    """Set the timer for a tail loss probe, two RTTs from now. False: none is due, the RTO watches alone.

    Linux: net/ipv4/tcp_output.c.  RFC 8985, 7.2. advancing_rto: the RTO would start anew as well.
    """
    if sk.fastopen_rsk is not None:
        return False
    early_retrans = sock_net(sk).ipv4.sysctl_tcp_early_retrans
    if (early_retrans != 3 and early_retrans != 4) or sk.packets_out == 0 or not tcp_is_sack(sk):
        return False
    if sk.icsk_ca_state != TCP_CA_Open and sk.icsk_ca_state != TCP_CA_CWR:
        return False
    timeout_us: i64 = TCP_TIMEOUT_INIT * 1000
    if sk.srtt_us != 0:
        timeout_us = sk.srtt_us >> 2
        # a single segment's ACK may be delayed
        timeout_us += sk.icsk_rto_min * 1000 if sk.packets_out == 1 else TCP_TIMEOUT_MIN_US
    rto_delta_us = sk.icsk_rto * 1000 if advancing_rto else tcp_rto_delta_us(sk)
    if rto_delta_us > 0 and rto_delta_us < timeout_us:
        timeout_us = rto_delta_us
    tcp_reset_xmit_timer(sk, ICSK_TIME_LOSS_PROBE, (timeout_us + 999) // 1000, sk.icsk_rto_max)
    return True


# -- the loop

def tcp_mtu_probe(sk: TcpSock, mss_now: i64) -> i64:
    """Send a probe of the path MTU, if one is due. MTUP_SEND: it is out; MTUP_WAIT: send nothing until it can go.

    Linux: net/ipv4/tcp_output.c.  RFC 4821, 7.4.
    """
    probe_size = tcp_mtu_probe_size(sk)
    if probe_size < 0:
        return MTUP_NOT_NOW
    due = tcp_mtu_probe_due(sk, probe_size)
    if due != MTUP_SEND:
        return due
    nskb = tcp_mtu_probe_skb(sk, probe_size, mss_now)
    # if it cannot be sent, the loop cuts it like everything else
    if nskb is None or tcp_transmit_skb(sk, nskb, True, sk.rcv_nxt) != 0:
        return MTUP_NOT_NOW
    tcp_mtu_probe_sent(sk, nskb)
    tcp_event_new_data_sent(sk, nskb)
    return MTUP_SEND


def tcp_write_xmit(sk: TcpSock, mss_now: i64, nonagle: i64, push_one: i64) -> bool:
    """Send what may be sent. push_one 1: one portion, 2: a loss probe, past the congestion window.

    True where nothing is in flight although something waits: then only a window probe helps.
    Linux: net/ipv4/tcp_output.c.
    """
    sent_pkts: i64 = 0
    is_cwnd_limited = False
    is_rwnd_limited = False
    now = sock_net(sk).clock.now
    sk.tcp_mstamp = now
    if sk.mtup_enabled and push_one == 0:
        probe = tcp_mtu_probe(sk, mss_now)
        if probe == MTUP_WAIT:
            return False
        if probe == MTUP_SEND:
            sent_pkts = 1
    max_segs = tcp_tso_segs(sk, mss_now)
    while True:
        skb = sk.sk_write_queue.next
        if skb is None:
            break
        if sk.sk_pacing_status != SK_PACING_NONE and tcp_pacing_check(sk):
            break
        cwnd_quota = tcp_cwnd_test(sk)
        if cwnd_quota == 0:
            if push_one != 2:
                break
            cwnd_quota = 1
        if cwnd_quota > max_segs:
            cwnd_quota = max_segs
        missing = cwnd_quota * mss_now - skb.len
        if missing > 0 and skb.next is not None:
            tcp_grow_skb(sk, skb, missing)
        tso_segs = tcp_set_skb_tso_segs(skb, mss_now)
        if not tcp_snd_wnd_test(sk, skb, mss_now):
            is_rwnd_limited = True
            break
        limit = mss_now
        if tso_segs == 1:
            if not tcp_nagle_test(sk, skb, mss_now, nonagle if skb.next is None else TCP_NAGLE_PUSH):
                break
        else:
            if push_one == 0:
                verdict = tcp_tso_should_defer(sk, skb, max_segs)
                if verdict != TSO_SEND_NOW:
                    if verdict == TSO_DEFER_CWND:
                        is_cwnd_limited = True
                    elif verdict == TSO_DEFER_RWND:
                        is_rwnd_limited = True
                    break
            if sk.snd_up == sk.snd_una:
                limit = tcp_mss_split_point(sk, skb, mss_now, cwnd_quota, nonagle)
        if skb.len > limit and tso_fragment(sk, skb, limit, mss_now) != 0:
            break
        if tcp_small_queue_check(sk, skb, 0):
            break
        if skb.end_seq == skb.seq:
            break
        if tcp_transmit_skb(sk, skb, True, sk.rcv_nxt) != 0:
            break
        tcp_event_new_data_sent(sk, skb)
        tcp_minshall_update(sk, mss_now, skb)
        sent_pkts += skb.gso_segs
        if push_one != 0:
            break
    if is_rwnd_limited:
        tcp_chrono_start(sk, TCP_CHRONO_RWND_LIMITED)
    elif sk.chrono_type == TCP_CHRONO_RWND_LIMITED:
        tcp_chrono_stop(sk, TCP_CHRONO_RWND_LIMITED)
    if not is_cwnd_limited:
        is_cwnd_limited = tcp_packets_in_flight(sk) >= sk.snd_cwnd
    if sent_pkts != 0 or is_cwnd_limited:
        tcp_cwnd_validate(sk, is_cwnd_limited)
    if sent_pkts != 0:
        if tcp_in_cwnd_reduction(sk):
            sk.prr_out += sent_pkts
        if push_one != 2:
            tcp_schedule_loss_probe(sk, False)
        return False
    return sk.packets_out == 0 and sk.sk_write_queue.next is not None


def tcp_check_probe_timer(sk: TcpSock) -> None:
    """Nothing is in flight: start to probe the window, if no timer runs.  Linux: include/net/tcp.h."""
    if sk.packets_out == 0 and sk.icsk_pending == 0:
        tcp_reset_xmit_timer(sk, ICSK_TIME_PROBE0, tcp_probe0_base(sk), sk.icsk_rto_max)


def __tcp_push_pending_frames(sk: TcpSock, cur_mss: i64, nonagle: i64) -> None:
    """Send what can be sent, or see to it that it will be.  Linux: net/ipv4/tcp_output.c."""
    if sk.sk_state == TCP_CLOSE:
        return
    if tcp_write_xmit(sk, cur_mss, nonagle, 0):
        tcp_check_probe_timer(sk)


def tcp_push_pending_frames(sk: TcpSock) -> None:
    """Likewise, if there is anything.  Linux: include/net/tcp.h."""
    if sk.sk_write_queue.next is not None:
        __tcp_push_pending_frames(sk, tcp_current_mss(sk), sk.nonagle)


def tcp_push_one(sk: TcpSock, mss_now: i64) -> None:
    """A full skb is the only one queued: send it while the next is filled.  Linux: net/ipv4/tcp_output.c."""
    tcp_write_xmit(sk, mss_now, TCP_NAGLE_PUSH, 1)
