# SPDX-License-Identifier: Apache-2.0
"""What an ACK does: take acknowledged data off the retransmission queue, measure the RTT, update the window, drive the sender.

tcp_ack() is the whole of it, in Linux's order: is the number acceptable, window update, tcp_clean_rtx_queue (with the RTT
sample), the loss machine if the ACK is "dubious" (tcp_input_loss.py), congestion control, retransmissions. FLAG_* collect what
was seen. The RTT comes from the send time of segments never retransmitted, or else from the timestamp echo (RFC 6298, 3; RFC
7323, 4).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SKBTX_TXSTAMP_ACK, SkBuff
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_TCP_ACK_UNSENT_DATA,
    SKB_DROP_REASON_TCP_TOO_OLD_ACK,
)
from linnet.include.net.inet_connection_sock import ICSK_ACK_NOW, ICSK_TIME_PROBE0
from linnet.include.net.snmp import (
    LINUX_MIB_TCPACKSKIPPEDCHALLENGE,
    LINUX_MIB_TCPCHALLENGEACK,
    LINUX_MIB_TCPHPACKS,
    LINUX_MIB_TCPLOSSPROBERECOVERY,
    LINUX_MIB_TCPPUREACKS,
    NET_INC_STATS,
)
from linnet.include.net.sock import sk_dst_confirm, sock_net
from linnet.include.net.tcp import (
    CA_ACK_ECE,
    CA_ACK_SLOWPATH,
    CA_ACK_WIN_UPDATE,
    TCP_CA_CWR,
    TCP_CHRONO_BUSY,
    TCP_ECN_DEMAND_CWR,
    TCP_ECN_OK,
    TCPCB_LOST,
    TCPCB_RETRANS,
    TCPCB_SACKED_ACKED,
    TCPCB_SACKED_RETRANS,
    TCPHDR_CWR,
    TCPHDR_ECE,
    TCPHDR_SYN,
    U32,
    RateSample,
    TCP_CA_Open,
    TcpSock,
    after,
    before,
    between,
    tcp_highest_sack_seq,
    tcp_in_cwnd_reduction,
    tcp_is_sack,
    tcp_min_rtt,
    tcp_packets_in_flight,
    tcp_probe0_when,
    tcp_send_head,
    tcp_skb_pcount,
    tcp_skb_timestamp_ms,
    tcp_stamp_us_delta,
    tcp_wnd_end,
    tcp_write_queue_empty,
)
from linnet.net.core.skbuff_tstamp import skb_tstamp_ack
from linnet.net.ipv4.inet_connection_sock import inet_csk_clear_xmit_timer
from linnet.net.ipv4.tcp import tcp_rtx_queue_unlink_and_free
from linnet.net.ipv4.tcp_chrono import tcp_chrono_stop
from linnet.net.ipv4.tcp_cong import tcp_set_ca_state
from linnet.net.ipv4.tcp_input_cwnd import (
    FLAG_ACK_MAYBE_DELAYED,
    FLAG_ACKED,
    FLAG_CA_ALERT,
    FLAG_DATA,
    FLAG_DATA_ACKED,
    FLAG_DATA_SACKED,
    FLAG_DSACK_TLP,
    FLAG_DSACKING_ACK,
    FLAG_ECE,
    FLAG_FORWARD_PROGRESS,
    FLAG_NO_CHALLENGE_ACK,
    FLAG_NOT_DUP,
    FLAG_ORIG_SACK_ACKED,
    FLAG_RETRANS_DATA_ACKED,
    FLAG_SACK_RENEGING,
    FLAG_SET_XMIT_TIMER,
    FLAG_SLOWPATH,
    FLAG_SND_UNA_ADVANCED,
    FLAG_SYN_ACKED,
    FLAG_UPDATE_TS_RECENT,
    FLAG_WIN_UPDATE,
    REXMIT_NONE,
    tcp_cwnd_reduction,
    tcp_end_cwnd_reduction,
    tcp_init_cwnd_reduction,
    tcp_rearm_rto,
    tcp_rto_min,
)
from linnet.net.ipv4.tcp_input_loss import (
    tcp_check_sack_reordering,
    tcp_count_delivered,
    tcp_fastretrans_alert,
    tcp_newly_delivered,
    tcp_remove_reno_sacks,
    tcp_try_keep_open,
    tcp_xmit_recovery,
)
from linnet.net.ipv4.tcp_input_opt import tcp_fast_path_check, tcp_replace_ts_recent
from linnet.net.ipv4.tcp_input_sack import tcp_sacktag_state_init, tcp_sacktag_write_queue
from linnet.net.ipv4.tcp_output import (
    tcp_clamp_probe0_to_user_timeout,
    tcp_schedule_loss_probe,
    tcp_send_ack,
    tcp_slow_start_after_idle_check,
    tcp_sync_mss,
    tcp_trim_head,
)
from linnet.net.ipv4.tcp_output_mtup import tcp_mtup_probe_success
from linnet.net.ipv4.tcp_output_pacing import tcp_reset_xmit_timer
from linnet.net.ipv4.tcp_rate import tcp_rate_gen, tcp_rate_skb_delivered
from linnet.net.ipv4.tcp_recovery import tcp_rack_advance, tcp_rack_update_reo_wnd

LINUX_FILE: Final = 'net/ipv4/tcp_input.c'


def tcp_rtt_estimator(sk: TcpSock, mrtt_us: i64) -> None:
    """Take one RTT sample (µs) into srtt_us and the variance.

    Linux: net/ipv4/tcp_input.c.  RFC 6298, 2, but the variance falls slowly: the greatest deviation of each window counts, and it
    shrinks a quarter of the way once a window, so that the RTO does not collapse on a quiet path.
    """
    srtt = sk.srtt_us
    if srtt == 0:
        srtt = mrtt_us << 3
        sk.mdev_us = mrtt_us << 1
        floor = tcp_rto_min(sk) * 1000
        sk.rttvar_us = sk.mdev_us if sk.mdev_us > floor else floor
        sk.mdev_max_us = sk.rttvar_us
        sk.rtt_seq = sk.snd_nxt
        sk.srtt_us = srtt if srtt > 1 else 1
        return
    err = mrtt_us - (srtt >> 3)
    srtt += err
    if err < 0:
        err = -err - (sk.mdev_us >> 2)
        if err > 0:
            err >>= 3  # a sudden fall of the RTT does not raise the RTO
    else:
        err -= sk.mdev_us >> 2
    mdev = sk.mdev_us + err
    sk.mdev_us = mdev
    if mdev > sk.mdev_max_us:
        sk.mdev_max_us = mdev
        if mdev > sk.rttvar_us:
            sk.rttvar_us = mdev
    if after(sk.snd_una, sk.rtt_seq):
        if sk.mdev_max_us < sk.rttvar_us:
            sk.rttvar_us -= (sk.rttvar_us - sk.mdev_max_us) >> 2
        sk.rtt_seq = sk.snd_nxt
        sk.mdev_max_us = tcp_rto_min(sk) * 1000
    sk.srtt_us = srtt if srtt > 1 else 1


def tcp_set_rto(sk: TcpSock) -> None:
    """RTO = srtt + 4 * variance (rttvar_us holds it four times), in whole jiffies.  Linux: net/ipv4/tcp_input.c."""
    rto = ((sk.srtt_us >> 3) + sk.rttvar_us + 999) // 1000
    sk.icsk_rto = rto if rto < sk.icsk_rto_max else sk.icsk_rto_max


def tcp_update_rtt_min(sk: TcpSock, rtt_us: i64) -> None:
    """Keep the least RTT of the last tcp_min_rtt_wlen seconds.

    Linux: net/ipv4/tcp_input.c; there a filter of three samples, here the least one and when it was seen.
    """
    if rtt_us <= 0:
        rtt_us = 1
    wlen = sock_net(sk).ipv4.sysctl_tcp_min_rtt_wlen * 1_000_000_000
    if sk.rtt_min < 0 or rtt_us <= sk.rtt_min or sk.tcp_mstamp - sk.rtt_min_stamp > wlen:
        sk.rtt_min = rtt_us
        sk.rtt_min_stamp = sk.tcp_mstamp


def tcp_rtt_tsopt_us(tp: TcpSock) -> i64:
    """The RTT by the timestamp that the ACK echoes, µs; -1 where it makes no sense.  Linux: net/ipv4/tcp_input.c."""
    delta = (tp.tcp_mstamp // 1_000_000 - tp.rx_opt.rcv_tsecr) & U32
    if delta >= 0x7FFFFFFF // 1000:
        return -1
    if delta == 0:
        delta = 1
    return delta * 1000


def tcp_ack_update_rtt(sk: TcpSock, flag: i64, seq_rtt_us: i64, sack_rtt_us: i64, ca_rtt_us: i64) -> bool:
    """Take the ACK's RTT sample, if it has one (µs, -1: none): what it acknowledged, or else what it SACKed.

    Linux: net/ipv4/tcp_input.c.  RFC 6298, 3 (Karn).
    """
    if seq_rtt_us < 0:
        seq_rtt_us = sack_rtt_us
    if seq_rtt_us < 0 and (flag & FLAG_ACKED) != 0 and sk.rx_opt.saw_tstamp and sk.rx_opt.rcv_tsecr != 0:
        seq_rtt_us = tcp_rtt_tsopt_us(sk)
        ca_rtt_us = seq_rtt_us
    if seq_rtt_us < 0:
        return False
    if (flag & FLAG_ACK_MAYBE_DELAYED) == 0 or ca_rtt_us <= tcp_min_rtt(sk):
        tcp_update_rtt_min(sk, ca_rtt_us)
    tcp_rtt_estimator(sk, seq_rtt_us)
    tcp_set_rto(sk)
    sk.icsk_backoff = 0
    return True


def tcp_synack_rtt_meas(sk: TcpSock, snt_synack: i64, num_retrans: i64) -> None:
    """The handshake's RTT, from the first SYN-ACK (ns; -1: unknown) if it was sent once.  Linux: net/ipv4/tcp_input.c."""
    rtt_us: i64 = -1
    if num_retrans == 0 and snt_synack >= 0:
        rtt_us = (sk.tcp_mstamp - snt_synack) // 1000
    tcp_ack_update_rtt(sk, FLAG_SYN_ACKED, rtt_us, -1, rtt_us)


def tcp_ecn_rcv_ecn_echo(tp: TcpSock, skb: SkBuff) -> bool:
    """Does the peer say that our packets met congestion?  Linux: net/ipv4/tcp_input.c."""
    return (skb.tcp_flags & (TCPHDR_ECE | TCPHDR_SYN)) == TCPHDR_ECE and (tp.ecn_flags & TCP_ECN_OK) != 0


def tcp_ecn_accept_cwr(tp: TcpSock, skb: SkBuff) -> None:
    """The peer has reduced its window: stop asking for it.  Linux: net/ipv4/tcp_input.c.  RFC 3168, 6.1.3."""
    if (skb.tcp_flags & TCPHDR_CWR) != 0:
        tp.ecn_flags &= ~TCP_ECN_DEMAND_CWR
        if skb.seq != skb.end_seq:
            # its window may be as small as a segment: it must not wait for a second one
            tp.ack_pending |= ICSK_ACK_NOW


def tcp_tso_acked(sk: TcpSock, skb: SkBuff) -> i64:
    """A super-segment is acknowledged in part: cut the front off; how many segments that was.  Linux: net/ipv4/tcp_input.c."""
    packets_acked = tcp_skb_pcount(skb)
    if tcp_trim_head(sk, skb, (sk.snd_una - skb.seq) & U32) != 0:
        return 0
    return packets_acked - tcp_skb_pcount(skb)


def tcp_skb_spurious_retrans(tp: TcpSock, skb: SkBuff) -> bool:
    """Does the ACK echo a timestamp from before skb was sent again? Then the original arrived.  Linux: net/ipv4/tcp_input.c."""
    return ((skb.sacked & TCPCB_RETRANS) != 0 and tp.rx_opt.saw_tstamp and tp.rx_opt.rcv_tsecr != 0
            and before(tp.rx_opt.rcv_tsecr, tcp_skb_timestamp_ms(skb)))


def tcp_ack_tstamp(sk: TcpSock, skb: SkBuff, ack_skb: SkBuff, prior_snd_una: i64) -> None:
    """Tell the program when the byte that skb was to be stamped for is acknowledged.  Linux: net/ipv4/tcp_input.c."""
    if (skb.tx_flags & SKBTX_TXSTAMP_ACK) == 0:
        return
    if not before(skb.tskey, prior_snd_una) and before(skb.tskey, sk.snd_una):
        skb_tstamp_ack(skb, ack_skb, sk)


def tcp_clean_rtx_queue(sk: TcpSock, ack_skb: SkBuff, prior_fack: i64, prior_snd_una: i64, flag: i64) -> i64:
    """Take what is acknowledged off the retransmission queue; returns flag with what was found.

    Linux: net/ipv4/tcp_input.c; the flags of the segment come in, and go out complete. prior_fack: where the highest SACK ended.
    """
    sack = sk.ack_sack
    reord = sk.snd_nxt
    snd_una = sk.snd_una
    prior_sacked = sk.sacked_out
    rs = sk.ack_rs
    pkts_acked: i64 = 0
    first_ackt: i64 = -1
    last_ackt: i64 = -1
    found: i64 = 0
    last_in_flight: i64 = 0
    skb = sk.tcp_rtx_queue.next
    while skb is not None:
        fully_acked = True
        sacked = skb.sacked
        acked_pcount: i64
        if after(skb.end_seq, snd_una):
            if tcp_skb_pcount(skb) == 1 or not after(snd_una, skb.seq):
                break
            acked_pcount = tcp_tso_acked(sk, skb)
            if acked_pcount == 0:
                break
            fully_acked = False
        else:
            acked_pcount = tcp_skb_pcount(skb)
        if skb.tx_flags != 0:
            tcp_ack_tstamp(sk, skb, ack_skb, prior_snd_una)
        if (sacked & TCPCB_RETRANS) != 0:
            if (sacked & TCPCB_SACKED_RETRANS) != 0:
                sk.retrans_out -= acked_pcount
            found |= FLAG_RETRANS_DATA_ACKED
        elif (sacked & TCPCB_SACKED_ACKED) == 0:
            last_ackt = skb.tstamp
            if first_ackt < 0:
                first_ackt = last_ackt
            if before(skb.seq, reord):
                reord = skb.seq
            if not after(skb.end_seq, sk.high_seq):
                found |= FLAG_ORIG_SACK_ACKED
        if (sacked & TCPCB_SACKED_ACKED) != 0:
            sk.sacked_out -= acked_pcount
        elif sk.rx_opt.sack_ok != 0:
            tcp_count_delivered(sk, acked_pcount, (flag & FLAG_ECE) != 0)
            if not tcp_skb_spurious_retrans(sk, skb):
                tcp_rack_advance(sk, sacked, skb.end_seq, skb.tstamp)
        if (sacked & TCPCB_LOST) != 0:
            sk.lost_out -= acked_pcount
        sk.packets_out -= acked_pcount
        pkts_acked += acked_pcount
        last_in_flight = skb.tx_in_flight
        tcp_rate_skb_delivered(sk, skb, rs)
        if (skb.tcp_flags & TCPHDR_SYN) == 0:
            found |= FLAG_DATA_ACKED
        else:
            found |= FLAG_SYN_ACKED
            sk.retrans_stamp = 0
        if not fully_acked:
            break
        after_skb = skb.next
        tcp_rtx_queue_unlink_and_free(skb, sk)
        skb = after_skb
    if skb is None:
        tcp_chrono_stop(sk, TCP_CHRONO_BUSY)
    elif (skb.sacked & TCPCB_SACKED_ACKED) != 0:
        found |= FLAG_SACK_RENEGING
    if between(sk.snd_up, prior_snd_una, snd_una):
        sk.snd_up = snd_una
    seq_rtt_us: i64 = -1
    ca_rtt_us: i64 = -1
    if first_ackt >= 0 and (found & FLAG_RETRANS_DATA_ACKED) == 0:
        seq_rtt_us = (sk.tcp_mstamp - first_ackt) // 1000
        ca_rtt_us = (sk.tcp_mstamp - last_ackt) // 1000
        if (
            pkts_acked == 1 and last_in_flight < sk.mss_cache and prior_sacked == 0 and rs.prior_delivered + 1 == sk.delivered
            and ((flag | found) & (FLAG_CA_ALERT | FLAG_SYN_ACKED)) == 0
        ):
            # a small segment, alone in its round trip: the peer's ACK was probably delayed
            found |= FLAG_ACK_MAYBE_DELAYED
    sack_rtt_us: i64 = -1
    if sack.first_sackt >= 0:
        sack_rtt_us = (sk.tcp_mstamp - sack.first_sackt) // 1000
        ca_rtt_us = (sk.tcp_mstamp - sack.last_sackt) // 1000
    rtt_update = tcp_ack_update_rtt(sk, flag | found, seq_rtt_us, sack_rtt_us, ca_rtt_us)
    rs.rtt_us = ca_rtt_us
    if (found & FLAG_ACKED) != 0:
        found |= FLAG_SET_XMIT_TIMER
        if sk.mtup_probe_size != 0 and not after(sk.mtu_probe_seq_end, snd_una):
            tcp_mtup_probe_success(sk)
        if sk.rx_opt.sack_ok == 0:
            tcp_remove_reno_sacks(sk, pkts_acked, (flag & FLAG_ECE) != 0)
            # an ACK that covers a retransmission says nothing about what was sent once
            if (found & FLAG_RETRANS_DATA_ACKED) != 0:
                found &= ~FLAG_ORIG_SACK_ACKED
        elif before(reord, prior_fack):
            tcp_check_sack_reordering(sk, reord, False)
    elif skb is not None and rtt_update and sack_rtt_us >= 0 and sack_rtt_us > tcp_stamp_us_delta(sk.tcp_mstamp, skb.tstamp):
        # the RTO of what was sent later, by the new estimate, may be nearer
        found |= FLAG_SET_XMIT_TIMER
    ca = sk.icsk_ca_ops
    if ca is not None:
        ca.pkts_acked(sk, pkts_acked + sk.sacked_out - prior_sacked, ca_rtt_us, tcp_packets_in_flight(sk))
    return flag | found


def tcp_ack_probe(sk: TcpSock) -> None:
    """The window may have opened while nothing is out: stop probing, or go on.  Linux: net/ipv4/tcp_input.c."""
    head = tcp_send_head(sk)
    if head is None:
        return
    if not after(head.end_seq, tcp_wnd_end(sk)):
        sk.icsk_backoff = 0
        sk.icsk_probes_tstamp = 0
        inet_csk_clear_xmit_timer(sk, ICSK_TIME_PROBE0)
        # the send that follows starts the retransmit timer
    else:
        when = tcp_clamp_probe0_to_user_timeout(sk, tcp_probe0_when(sk, sk.icsk_rto_max))
        tcp_reset_xmit_timer(sk, ICSK_TIME_PROBE0, when, sk.icsk_rto_max)


def tcp_snd_una_update(tp: TcpSock, ack: i64) -> None:
    """Linux: net/ipv4/tcp_input.c."""
    tp.bytes_acked += (ack - tp.snd_una) & U32
    tp.snd_una = ack


def tcp_may_update_window(tp: TcpSock, ack: i64, ack_seq: i64, nwin: i64) -> bool:
    """Is the window of this segment newer than the one we know?

    Linux: net/ipv4/tcp_input.c.  RFC 9293, 3.10.7.4, ESTABLISHED; of two that are equally new the larger counts, or zero.
    """
    return (after(ack, tp.snd_una) or after(ack_seq, tp.snd_wl1)
            or (ack_seq == tp.snd_wl1 and (nwin > tp.snd_wnd or nwin == 0)))


def tcp_ack_update_window(sk: TcpSock, skb: SkBuff, ack: i64, ack_seq: i64) -> i64:
    """Take the window; returns FLAG_WIN_UPDATE or 0.  Linux: net/ipv4/tcp_input.c."""
    flag: i64 = 0
    nwin = skb.window
    if (skb.tcp_flags & TCPHDR_SYN) == 0:
        nwin <<= sk.rx_opt.snd_wscale
    if tcp_may_update_window(sk, ack, ack_seq, nwin):
        flag = FLAG_WIN_UPDATE
        sk.snd_wl1 = ack_seq
        if sk.snd_wnd != nwin:
            sk.snd_wnd = nwin
            sk.pred_flags = 0
            tcp_fast_path_check(sk)
            if not tcp_write_queue_empty(sk):
                tcp_slow_start_after_idle_check(sk)
            if nwin > sk.max_window:
                sk.max_window = nwin
                tcp_sync_mss(sk, sk.icsk_pmtu_cookie)
    tcp_snd_una_update(sk, ack)
    return flag


def tcp_send_challenge_ack(sk: TcpSock) -> None:
    """Answer what may be an attack with an ACK, at most tcp_challenge_ack_limit a second.

    Linux: net/ipv4/tcp_input.c.  RFC 5961, 7.
    """
    net = sock_net(sk)
    ipv4 = net.ipv4
    now = net.clock.now
    if tcp_oow_rate_limited(sk, LINUX_MIB_TCPACKSKIPPEDCHALLENGE):
        return
    limit = ipv4.sysctl_tcp_challenge_ack_limit
    if limit != 0x7FFFFFFF:
        second = now // 1_000_000_000 + 1
        if second != ipv4.challenge_timestamp:
            half = (limit + 1) >> 1
            ipv4.challenge_timestamp = second
            # a random share, so that the count tells nothing to an outsider
            ipv4.challenge_count = half + net.random.below(int(limit) if limit > 0 else 1)
        if ipv4.challenge_count <= 0:
            return
        ipv4.challenge_count -= 1
    NET_INC_STATS(net, LINUX_MIB_TCPCHALLENGEACK)
    tcp_send_ack(sk)


def tcp_oow_rate_limited(sk: TcpSock, mib: i64) -> bool:
    """Was an out-of-window segment of this connection answered less than tcp_invalid_ratelimit ago? Counts it if so.

    Linux: net/ipv4/tcp_input.c, __tcp_oow_rate_limited.
    """
    net = sock_net(sk)
    now = net.clock.now // 1_000_000
    last = sk.last_oow_ack_time
    if last != 0 and now - (last - 1) < net.ipv4.sysctl_tcp_invalid_ratelimit:
        NET_INC_STATS(net, mib)
        return True
    sk.last_oow_ack_time = now + 1  # 0 means never
    return False


def tcp_update_pacing_rate(sk: TcpSock) -> None:
    """sk_pacing_rate = cwnd * mss / srtt, times tcp_pacing_ss_ratio or tcp_pacing_ca_ratio per cent.

    Linux: net/ipv4/tcp_input.c.
    """
    ipv4 = sock_net(sk).ipv4
    ratio = ipv4.sysctl_tcp_pacing_ca_ratio
    if sk.snd_cwnd < sk.snd_ssthresh >> 1:
        ratio = ipv4.sysctl_tcp_pacing_ss_ratio
    segs = sk.snd_cwnd if sk.snd_cwnd > sk.packets_out else sk.packets_out
    rate = sk.mss_cache * 80_000 * ratio * segs  # 80,000 = 8 * 1,000,000 / 100
    if sk.srtt_us != 0:
        rate = rate // sk.srtt_us
    sk.sk_pacing_rate = rate if rate < sk.sk_max_pacing_rate else sk.sk_max_pacing_rate


def tcp_cong_avoid(sk: TcpSock, ack: i64, acked: i64) -> None:
    """Linux: net/ipv4/tcp_input.c."""
    ca = sk.icsk_ca_ops
    assert ca is not None
    ca.cong_avoid(sk, ack, acked)
    sk.snd_cwnd_stamp = sk.tcp_mstamp // 1_000_000


def tcp_cong_control(sk: TcpSock, ack: i64, acked_sacked: i64, flag: i64, rs: RateSample) -> None:
    """The congestion window after an ACK.  Linux: net/ipv4/tcp_input.c."""
    ca = sk.icsk_ca_ops
    if ca is not None and ca.has_cong_control:
        if sk.icsk_ca_initialized:  # not so for the SYN-ACK (Linux asks it all the same, and then starts it anew)
            ca.cong_control(sk, ack, flag, rs)
        return
    if tcp_in_cwnd_reduction(sk):
        tcp_cwnd_reduction(sk, acked_sacked, rs.losses, flag)
    elif (flag & (FLAG_FORWARD_PROGRESS if sk.reordering > sock_net(sk).ipv4.sysctl_tcp_reordering else FLAG_DATA_ACKED)) != 0:
        # with much reordering, what is (S)ACKed out of order is progress too
        tcp_cong_avoid(sk, ack, acked_sacked)
    tcp_update_pacing_rate(sk)


def tcp_rate_sample_init(rs: RateSample) -> None:
    """A sample that nothing was taken into yet (Linux: rs = { .prior_delivered = 0 } on tcp_ack's stack)."""
    rs.prior_mstamp = 0
    rs.prior_delivered = 0
    rs.last_end_seq = 0
    rs.interval_us = 0
    rs.rtt_us = -1
    rs.is_app_limited = False
    rs.is_retrans = False
    rs.is_ack_delayed = False


def tcp_ack_is_dubious(sk: TcpSock, flag: i64) -> bool:
    """Does the ACK need the loss machine?  Linux: net/ipv4/tcp_input.c."""
    return (flag & FLAG_NOT_DUP) == 0 or (flag & FLAG_CA_ALERT) != 0 or sk.icsk_ca_state != TCP_CA_Open


def tcp_set_xmit_timer(sk: TcpSock) -> None:
    """Something was acknowledged: the timer starts anew, for a tail loss probe or the RTO.  Linux: net/ipv4/tcp_input.c."""
    if not tcp_schedule_loss_probe(sk, True):
        tcp_rearm_rto(sk)


def tcp_process_tlp_ack(sk: TcpSock, ack: i64, flag: i64) -> None:
    """An ACK after a tail loss probe: did the probe repair a loss? Then the window is reduced for it.

    Linux: net/ipv4/tcp_input.c.  RFC 8985, 7.4.
    """
    if before(ack, sk.tlp_high_seq):
        return
    if not sk.tlp_retrans or (flag & FLAG_DSACK_TLP) != 0:
        # the probe was new data, or came twice
        sk.tlp_high_seq = 0
    elif after(ack, sk.tlp_high_seq):
        # no sign that the original arrived as well
        tcp_init_cwnd_reduction(sk)
        tcp_set_ca_state(sk, TCP_CA_CWR)
        tcp_end_cwnd_reduction(sk)
        tcp_try_keep_open(sk)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPLOSSPROBERECOVERY)
    elif (flag & (FLAG_SND_UNA_ADVANCED | FLAG_NOT_DUP | FLAG_DATA_SACKED)) == 0:
        # a plain duplicate ACK: both arrived
        sk.tlp_high_seq = 0


def tcp_ack_old(sk: TcpSock, skb: SkBuff, prior_snd_una: i64, flag: i64) -> None:
    """An ACK below snd_una: its SACK blocks may be news all the same. The old_ack part of Linux's tcp_ack."""
    if skb.sacked == 0:
        return
    prior_delivered = sk.delivered
    flag |= tcp_sacktag_write_queue(sk, skb, prior_snd_una, sk.ack_sack)
    if sk.ack_sack.sack_delivered != 0:
        tcp_count_delivered(sk, sk.ack_sack.sack_delivered, (flag & FLAG_ECE) != 0)
    rexmit = tcp_fastretrans_alert(sk, prior_snd_una, 0, flag)
    tcp_newly_delivered(sk, prior_delivered, flag)
    tcp_xmit_recovery(sk, rexmit)


def tcp_ack_no_queue(sk: TcpSock, ack: i64, prior_snd_una: i64, prior_delivered: i64, flag: i64) -> None:
    """An ACK while nothing is out: the answer to a probe, a window update, a DSACK. The no_queue part of Linux's tcp_ack."""
    if (flag & FLAG_DSACKING_ACK) != 0:
        tcp_fastretrans_alert(sk, prior_snd_una, 0, flag)
        tcp_newly_delivered(sk, prior_delivered, flag)
    tcp_ack_probe(sk)
    if sk.tlp_high_seq != 0:
        tcp_process_tlp_ack(sk, ack, flag)


def tcp_ack(sk: TcpSock, skb: SkBuff, flag: i64) -> i64:
    """Process the ACK of a segment. 1: taken; 0: an old one; negative: the drop reason (negated) of an unacceptable one.

    Linux: net/ipv4/tcp_input.c.  RFC 9293, 3.10.7.4, fifth check; RFC 5961, 5.2.
    """
    prior_snd_una = sk.snd_una
    ack = skb.ack_seq
    rs = sk.ack_rs
    tcp_rate_sample_init(rs)
    sack = sk.ack_sack
    tcp_sacktag_state_init(sack, sk.snd_nxt)
    if before(ack, prior_snd_una):
        max_window = sk.max_window if sk.max_window < sk.bytes_acked else sk.bytes_acked
        if before(ack, (prior_snd_una - max_window) & U32):
            if (flag & FLAG_NO_CHALLENGE_ACK) == 0:
                tcp_send_challenge_ack(sk)
            return -SKB_DROP_REASON_TCP_TOO_OLD_ACK
        tcp_ack_old(sk, skb, prior_snd_una, flag)
        return 0
    if after(ack, sk.snd_nxt):
        # RFC 9293, 3.10.7.4: tell the peer where we are
        if (flag & FLAG_NO_CHALLENGE_ACK) == 0:
            tcp_send_challenge_ack(sk)
        return -SKB_DROP_REASON_TCP_ACK_UNSENT_DATA
    ack_seq = skb.seq
    prior_packets = sk.packets_out
    prior_fack = tcp_highest_sack_seq(sk) if tcp_is_sack(sk) else prior_snd_una
    rs.prior_in_flight = tcp_packets_in_flight(sk)
    prior_delivered = sk.delivered
    prior_lost = sk.lost
    net = sock_net(sk)
    if ack != prior_snd_una:
        flag |= FLAG_SND_UNA_ADVANCED
        sk.icsk_retransmits = 0
    if (flag & FLAG_UPDATE_TS_RECENT) != 0:
        tcp_replace_ts_recent(sk, ack_seq)
    ca = sk.icsk_ca_ops
    assert ca is not None
    if (flag & (FLAG_SLOWPATH | FLAG_SND_UNA_ADVANCED)) == FLAG_SND_UNA_ADVANCED:
        # header prediction: the window is the same, and the ACK a new one
        sk.snd_wl1 = ack_seq
        tcp_snd_una_update(sk, ack)
        flag |= FLAG_WIN_UPDATE
        ca.in_ack_event(sk, CA_ACK_WIN_UPDATE)
        NET_INC_STATS(net, LINUX_MIB_TCPHPACKS)
    else:
        ack_ev: i64 = CA_ACK_SLOWPATH
        if ack_seq != skb.end_seq:
            flag |= FLAG_DATA
        else:
            NET_INC_STATS(net, LINUX_MIB_TCPPUREACKS)
        flag |= tcp_ack_update_window(sk, skb, ack, ack_seq)
        if skb.sacked != 0:
            flag |= tcp_sacktag_write_queue(sk, skb, prior_snd_una, sack)
        if tcp_ecn_rcv_ecn_echo(sk, skb):
            flag |= FLAG_ECE
            ack_ev |= CA_ACK_ECE
        if sack.sack_delivered != 0:
            tcp_count_delivered(sk, sack.sack_delivered, (flag & FLAG_ECE) != 0)
        if (flag & FLAG_WIN_UPDATE) != 0:
            ack_ev |= CA_ACK_WIN_UPDATE
        ca.in_ack_event(sk, ack_ev)
    tcp_ecn_accept_cwr(sk, skb)
    sk.sk_err_soft = 0
    sk.icsk_probes_out = 0
    sk.rcv_tstamp = net.clock.now // 1_000_000
    if prior_packets == 0:
        tcp_ack_no_queue(sk, ack, prior_snd_una, prior_delivered, flag)
        return 1
    flag = tcp_clean_rtx_queue(sk, skb, prior_fack, prior_snd_una, flag)
    tcp_rack_update_reo_wnd(sk, rs)
    if sk.tlp_high_seq != 0:
        tcp_process_tlp_ack(sk, ack, flag)
    rexmit: i64 = REXMIT_NONE
    if tcp_ack_is_dubious(sk, flag):
        num_dupack: i64 = 0
        if (flag & (FLAG_SND_UNA_ADVANCED | FLAG_NOT_DUP | FLAG_DSACKING_ACK)) == 0:
            num_dupack = skb.gso_segs if skb.gso_segs > 1 else 1
        rexmit = tcp_fastretrans_alert(sk, prior_snd_una, num_dupack, flag)
    if (flag & FLAG_SET_XMIT_TIMER) != 0 and not sack.keep_timer:
        tcp_set_xmit_timer(sk)
    if (flag & FLAG_FORWARD_PROGRESS) != 0 or (flag & FLAG_NOT_DUP) == 0:
        sk_dst_confirm(sk)
    delivered = tcp_newly_delivered(sk, prior_delivered, flag)
    rs.is_ack_delayed = (flag & FLAG_ACK_MAYBE_DELAYED) != 0
    tcp_rate_gen(sk, delivered, sk.lost - prior_lost, sk.is_sack_reneg, rs)
    tcp_cong_control(sk, ack, delivered, flag, rs)
    if rexmit != REXMIT_NONE:
        tcp_xmit_recovery(sk, rexmit)
    return 1
