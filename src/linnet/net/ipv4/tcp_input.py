# SPDX-License-Identifier: Apache-2.0
"""The receiver of TCP: what a segment does to a connection, state by state.

tcp_rcv_established is the fast lane: header prediction takes the next data segment or a plain ACK with few questions; everything
else goes the slow path, tcp_validate_incoming (PAWS, sequence, RST, SYN), tcp_ack, urgent data, tcp_data_queue, and then what is
to be sent: data, or the ACK. tcp_rcv_state_process does the same for all other states, RFC 9293's 3.10.7 in its order.
Siblings: tcp_input_opt (options), _ack, _loss, _cwnd (sender), _data, _rcvbuf (receiver), _conn (SYNs to listeners).
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff, __skb_pull
from linnet.include.linux.socket import RCV_SHUTDOWN, SEND_SHUTDOWN
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_DROP_REASON_PKT_TOO_SMALL,
    SKB_DROP_REASON_TCP_ABORT_ON_DATA,
    SKB_DROP_REASON_TCP_CLOSE,
    SKB_DROP_REASON_TCP_FASTOPEN,
    SKB_DROP_REASON_TCP_FLAGS,
    SKB_DROP_REASON_TCP_INVALID_ACK_SEQUENCE,
    SKB_DROP_REASON_TCP_INVALID_END_SEQUENCE,
    SKB_DROP_REASON_TCP_INVALID_SEQUENCE,
    SKB_DROP_REASON_TCP_INVALID_SYN,
    SKB_DROP_REASON_TCP_OLD_ACK,
    SKB_DROP_REASON_TCP_RESET,
    SKB_DROP_REASON_TCP_RFC7323_PAWS,
    SKB_DROP_REASON_TCP_RFC7323_PAWS_ACK,
)
from linnet.include.net.inet_connection_sock import (
    ICSK_TIME_DACK,
    ICSK_TIME_RETRANS,
    inet_csk_ack_scheduled,
    inet_csk_in_pingpong_mode,
    inet_csk_schedule_ack,
)
from linnet.include.net.request_sock import TcpFastopenCookie
from linnet.include.net.snmp import (
    LINUX_MIB_BEYONDWINDOW,
    LINUX_MIB_DELAYEDACKLOST,
    LINUX_MIB_PAWSACTIVE,
    LINUX_MIB_PAWSESTAB,
    LINUX_MIB_PAWSOLDACK,
    LINUX_MIB_TCPABORTONDATA,
    LINUX_MIB_TCPACKSKIPPEDPAWS,
    LINUX_MIB_TCPACKSKIPPEDSEQ,
    LINUX_MIB_TCPHPHITS,
    LINUX_MIB_TCPSYNCHALLENGE,
    NET_INC_STATS,
    TCP_MIB_INERRS,
)
from linnet.include.net.sock import SOCK_DEAD, SOCK_KEEPOPEN, sock_net, sock_owned_by_user
from linnet.include.net.tcp import (
    TCP_DELACK_MAX,
    TCP_ECN_OK,
    TCP_MAX_QUICKACKS,
    TCP_PAWS_WINDOW,
    TCP_TIMEOUT_MIN,
    TCP_TIMEWAIT_LEN,
    TCPHDR_ACK,
    TCPHDR_CWR,
    TCPHDR_ECE,
    TCPHDR_FIN,
    TCPHDR_PSH,
    TCPHDR_RST,
    TCPHDR_SYN,
    TCPOLEN_TSTAMP_ALIGNED,
    U32,
    TCP_CA_Loss,
    TcpSock,
    after,
    before,
    between,
    keepalive_time_when,
    tcp_fin_time,
    tcp_jiffies32,
    tcp_mstamp_refresh,
    tcp_receive_window,
    tcp_time_stamp,
)
from linnet.include.net.tcp_states import (
    TCP_CLOSE,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT1,
    TCP_FIN_WAIT2,
    TCP_LAST_ACK,
    TCP_LISTEN,
    TCP_SYN_RECV,
    TCP_SYN_SENT,
    TCP_TIME_WAIT,
)
from linnet.include.trace.events.tcp import trace_tcp_probe
from linnet.net.core.request_sock import reqsk_fastopen_remove
from linnet.net.core.skbuff import __kfree_skb, consume_skb, kfree_skb_reason
from linnet.net.ipv4.inet_connection_sock import inet_csk_reset_keepalive_timer, inet_csk_reset_xmit_timer
from linnet.net.ipv4.tcp import tcp_done, tcp_set_state
from linnet.net.ipv4.tcp_cong import tcp_init_congestion_control
from linnet.net.ipv4.tcp_fastopen_rcv import tcp_rcv_fastopen_synack
from linnet.net.ipv4.tcp_input_ack import (
    tcp_ack,
    tcp_oow_rate_limited,
    tcp_send_challenge_ack,
    tcp_synack_rtt_meas,
    tcp_update_pacing_rate,
)
from linnet.net.ipv4.tcp_input_cwnd import (
    FLAG_DATA,
    FLAG_NO_CHALLENGE_ACK,
    FLAG_SLOWPATH,
    FLAG_UPDATE_TS_RECENT,
    tcp_initialize_rcv_mss,
    tcp_rearm_rto,
)
from linnet.net.ipv4.tcp_input_data import tcp_data_queue, tcp_data_ready, tcp_drop_reason, tcp_queue_rcv, tcp_urg
from linnet.net.ipv4.tcp_input_loss import tcp_any_retrans_done, tcp_try_undo_recovery
from linnet.net.ipv4.tcp_input_opt import (
    __tcp_fast_path_on,
    tcp_clear_options,
    tcp_disordered_ack_check,
    tcp_fast_parse_options,
    tcp_fast_path_on,
    tcp_parse_aligned_timestamp,
    tcp_parse_options,
    tcp_paws_check,
    tcp_paws_reject,
    tcp_sequence,
    tcp_store_ts_recent,
)
from linnet.net.ipv4.tcp_input_rcvbuf import (
    __tcp_ack_snd_check,
    tcp_ack_snd_check,
    tcp_data_snd_check,
    tcp_enter_quickack_mode,
    tcp_event_data_recv,
    tcp_init_buffer_space,
    tcp_rcv_rtt_measure_ts,
)
from linnet.net.ipv4.tcp_input_reset import tcp_reset
from linnet.net.ipv4.tcp_input_sackrcv import tcp_dsack_set
from linnet.net.ipv4.tcp_metrics import tcp_init_metrics, tcp_update_metrics
from linnet.net.ipv4.tcp_minisocks_req import tcp_check_req
from linnet.net.ipv4.tcp_output import tcp_init_cwnd_of, tcp_mtup_init, tcp_send_ack, tcp_send_synack, tcp_sync_mss
from linnet.net.ipv4.tcp_timewait import tcp_time_wait


def tcp_send_dupack(sk: TcpSock, skb: SkBuff) -> None:
    """Answer an unacceptable segment with where we are.  Linux: net/ipv4/tcp_input.c."""
    if skb.end_seq != skb.seq and before(skb.seq, sk.rcv_nxt):
        NET_INC_STATS(sock_net(sk), LINUX_MIB_DELAYEDACKLOST)
        tcp_enter_quickack_mode(sk, TCP_MAX_QUICKACKS)
        end_seq = skb.end_seq
        tcp_dsack_set(sk, skb.seq, sk.rcv_nxt if after(end_seq, sk.rcv_nxt) else end_seq)
    tcp_send_ack(sk)


def tcp_reset_check(sk: TcpSock, skb: SkBuff) -> bool:
    """Is it a RST for the place before the FIN that we have taken? Such peers exist.  Linux: net/ipv4/tcp_input.c."""
    state = sk.sk_state
    return skb.seq == ((sk.rcv_nxt - 1) & U32) and (state == TCP_CLOSE_WAIT or state == TCP_LAST_ACK or state == TCP_CLOSING)


def tcp_validate_incoming(sk: TcpSock, skb: SkBuff, syn_inerr: bool) -> bool:
    """The checks that all synchronised states share. False: skb was dropped, and perhaps answered.

    Linux: net/ipv4/tcp_input.c.  RFC 9293, 3.10.7.4, first, second and fourth check; RFC 7323, 5.3; RFC 5961, 3 and 4.
    """
    flags = skb.tcp_flags
    rst = (flags & TCPHDR_RST) != 0
    if (tcp_fast_parse_options(skb, sk) and sk.rx_opt.saw_tstamp and not rst
            and not tcp_paws_check(sk.rx_opt, TCP_PAWS_WINDOW, sk)):
        reason = tcp_disordered_ack_check(sk, skb)
        if reason != 0:
            tcp_paws_failed(sk, skb, reason, syn_inerr)
            return False
    reason = tcp_sequence(sk, skb.seq, skb.end_seq, (flags & TCPHDR_FIN) != 0)
    if reason != 0:
        if not rst:
            if (flags & TCPHDR_SYN) != 0:
                tcp_syn_challenge(sk, skb, syn_inerr)
                return False
            if reason == SKB_DROP_REASON_TCP_INVALID_END_SEQUENCE or reason == SKB_DROP_REASON_TCP_INVALID_SEQUENCE:
                NET_INC_STATS(sock_net(sk), LINUX_MIB_BEYONDWINDOW)
            # data is no part of a loop of ACKs: it is always answered
            if skb.seq != skb.end_seq or not tcp_oow_rate_limited(sk, LINUX_MIB_TCPACKSKIPPEDSEQ):
                tcp_send_dupack(sk, skb)
        elif tcp_reset_check(sk, skb):
            tcp_reset(sk, skb)
            __kfree_skb(skb)
            return False
        tcp_drop_reason(sk, skb, reason)
        return False
    if rst:
        # only exactly at rcv_nxt; elsewhere in the window the peer, if it really reset, must confirm (RFC 5961, 3.2)
        if skb.seq == sk.rcv_nxt or tcp_reset_check(sk, skb):
            tcp_reset(sk, skb)
            __kfree_skb(skb)
            return False
        tcp_send_challenge_ack(sk)
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_RESET)
        return False
    if (flags & TCPHDR_SYN) != 0:
        if sk.sk_state == TCP_SYN_RECV and (flags & TCPHDR_ACK) != 0 and tcp_is_crossed_synack(sk, skb):
            return True
        tcp_syn_challenge(sk, skb, syn_inerr)
        return False
    return True


def tcp_paws_failed(sk: TcpSock, skb: SkBuff, reason: i64, syn_inerr: bool) -> None:
    """A segment is older than one that came before (RFC 7323, 5.3): drop it, and say where we are, unless it is but an old ACK.

    Part of Linux's tcp_validate_incoming.
    """
    if (skb.tcp_flags & TCPHDR_SYN) != 0:
        tcp_syn_challenge(sk, skb, syn_inerr)
        return
    if reason == SKB_DROP_REASON_TCP_RFC7323_PAWS_ACK:
        NET_INC_STATS(sock_net(sk), LINUX_MIB_PAWSOLDACK)
    else:
        NET_INC_STATS(sock_net(sk), LINUX_MIB_PAWSESTAB)
        if skb.seq != skb.end_seq or not tcp_oow_rate_limited(sk, LINUX_MIB_TCPACKSKIPPEDPAWS):
            tcp_send_dupack(sk, skb)
    tcp_drop_reason(sk, skb, reason)


def tcp_is_crossed_synack(sk: TcpSock, skb: SkBuff) -> bool:
    """Is it the SYN-ACK of a simultaneous open? Its SYN is known, its ACK is what we wait for (RFC 9293, figure 7).

    Part of Linux's tcp_validate_incoming.
    """
    behind_syn = (skb.seq + 1) & U32
    return behind_syn == skb.end_seq and behind_syn == sk.rcv_nxt and skb.ack_seq == sk.snd_nxt


def tcp_syn_challenge(sk: TcpSock, skb: SkBuff, syn_inerr: bool) -> None:
    """A SYN on a synchronised connection: challenge it (RFC 5961, 4.2). Part of Linux's tcp_validate_incoming."""
    net = sock_net(sk)
    if syn_inerr:
        NET_INC_STATS(net, TCP_MIB_INERRS)
    NET_INC_STATS(net, LINUX_MIB_TCPSYNCHALLENGE)
    tcp_send_challenge_ack(sk)
    tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_INVALID_SYN)


def tcp_rcv_established(sk: TcpSock, skb: SkBuff) -> None:
    """A segment for an established connection; owns skb.

    Linux: net/ipv4/tcp_input.c.  The checksum was verified before, in tcp_v4_rcv.
    """
    trace_tcp_probe(sk, skb)
    net = sock_net(sk)
    sk.tcp_mstamp = net.clock.now
    rx_opt = sk.rx_opt
    rx_opt.saw_tstamp = False
    header_len = sk.tcp_header_len
    if (
        sk.pred_flags == ((skb.tcp_doff << 24) | ((skb.tcp_flags & ~TCPHDR_PSH) << 16) | skb.window)
        and skb.seq == sk.rcv_nxt
        and not after(skb.ack_seq, sk.snd_nxt)
        and (header_len != 32 or (tcp_parse_aligned_timestamp(sk, skb.head, skb.transport_header)
                                  and ((rx_opt.rcv_tsval - rx_opt.ts_recent) & 0x80000000) == 0))
    ):
        length = skb.len - header_len
        if length == 0:
            # the sender's fast path: a plain ACK
            if header_len == 32 and sk.rcv_nxt == sk.rcv_wup:
                tcp_store_ts_recent(sk)
            tcp_ack(sk, skb, 0)
            __kfree_skb(skb)
            tcp_data_snd_check(sk)
            sk.rcv_rtt_last_tsecr = rx_opt.rcv_tsecr
            return
        if length < 0:
            NET_INC_STATS(net, TCP_MIB_INERRS)
            tcp_drop_reason(sk, skb, SKB_DROP_REASON_PKT_TOO_SMALL)
            return
        beyond = after(skb.end_seq, (sk.rcv_nxt + tcp_receive_window(sk)) & U32)
        if beyond and not tcp_validate_incoming(sk, skb, True):
            return
        if not beyond and skb.truesize <= sk.sk_forward_alloc and not before(skb.ack_seq, sk.snd_una):
            # the receiver's fast path: the next data. An old ACK may mark blind data (RFC 5961, 5.2) and goes the slow path; in
            # Linux it does so only where memory is to be scheduled.
            if header_len == 32 and sk.rcv_nxt == sk.rcv_wup:
                tcp_store_ts_recent(sk)
            if header_len == 32:
                tcp_rcv_rtt_measure_ts(sk, skb)
            NET_INC_STATS(net, LINUX_MIB_TCPHPHITS)
            skb.dst = None
            __skb_pull(skb, header_len)
            eaten = tcp_queue_rcv(sk, skb)
            tcp_event_data_recv(sk, skb)
            if skb.ack_seq != sk.snd_una:
                tcp_ack(sk, skb, FLAG_DATA)
                tcp_data_snd_check(sk)
                if inet_csk_ack_scheduled(sk):
                    __tcp_ack_snd_check(sk, False)
            else:
                sk.snd_wl1 = skb.seq
                __tcp_ack_snd_check(sk, False)
            if eaten:
                __kfree_skb(skb)
            tcp_data_ready(sk)
            return
    else:
        if skb.len < skb.tcp_doff:
            NET_INC_STATS(net, TCP_MIB_INERRS)
            tcp_drop_reason(sk, skb, SKB_DROP_REASON_PKT_TOO_SMALL)
            return
        if (skb.tcp_flags & (TCPHDR_ACK | TCPHDR_RST | TCPHDR_SYN)) == 0:
            tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_FLAGS)
            return
        if not tcp_validate_incoming(sk, skb, True):
            return
    reason = tcp_ack(sk, skb, FLAG_SLOWPATH | FLAG_UPDATE_TS_RECENT)
    if reason < 0:
        tcp_drop_reason(sk, skb, -reason)
        return
    if rx_opt.saw_tstamp and rx_opt.rcv_tsecr != 0:
        tcp_rcv_rtt_measure_ts(sk, skb)
    if (skb.tcp_flags & 0x20) != 0 or sk.urg_data != 0:
        tcp_urg(sk, skb)
    tcp_data_queue(sk, skb)
    tcp_data_snd_check(sk)
    tcp_ack_snd_check(sk)


def tcp_init_transfer(sk: TcpSock) -> None:
    """The connection stands: path MTU, RTO, windows, buffers.  Linux: net/ipv4/tcp_input.c."""
    tcp_mtup_init(sk)
    sk.icsk_af_ops.rebuild_header(sk)
    tcp_init_metrics(sk)
    # RFC 6298, 5.7 / RFC 5681, 3.1: a lost SYN starts the window at 1, unless the loss was an error (undo_marker was cleared)
    if sk.total_retrans > 1 and sk.undo_marker != 0:
        sk.snd_cwnd = 1
    else:
        sk.snd_cwnd = tcp_init_cwnd_of(sk)
    sk.snd_cwnd_stamp = tcp_jiffies32(sk)
    tcp_init_congestion_control(sk)
    tcp_init_buffer_space(sk)


def tcp_finish_connect(sk: TcpSock, skb: SkBuff | None) -> None:
    """Our active open has succeeded.  Linux: net/ipv4/tcp_input.c."""
    tcp_set_state(sk, TCP_ESTABLISHED)
    sk.ack_lrcvtime = tcp_jiffies32(sk)
    if skb is not None:
        sk.icsk_af_ops.sk_rx_dst_set(sk, skb)
    tcp_init_transfer(sk)
    # prevent a restart from idle before the first data
    sk.lsndtime = tcp_jiffies32(sk)
    if (sk.sk_flags & SOCK_KEEPOPEN) != 0:
        inet_csk_reset_keepalive_timer(sk, keepalive_time_when(sk))
    if sk.rx_opt.snd_wscale == 0:
        __tcp_fast_path_on(sk, sk.snd_wnd)
    else:
        sk.pred_flags = 0


def tcp_try_undo_spurious_syn(sk: TcpSock) -> None:
    """The SYN was sent again needlessly if the answer echoes the first one's timestamp.  Linux: net/ipv4/tcp_input.c."""
    stamp = sk.retrans_stamp
    if sk.undo_marker != 0 and stamp != 0 and sk.rx_opt.saw_tstamp and stamp == sk.rx_opt.rcv_tsecr:
        sk.undo_marker = 0


def tcp_rcv_synsent_state_process(sk: TcpSock, skb: SkBuff) -> i64:
    """A segment in SYN_SENT. 0: done, skb is gone; -1: connected, the caller goes on; else the reason to send a RST.

    Linux: net/ipv4/tcp_input.c.  RFC 9293, 3.10.7.3.
    """
    flags = skb.tcp_flags
    rx_opt = sk.rx_opt
    saved_clamp = rx_opt.mss_clamp
    rx_opt.sack_ok = 0
    foc = TcpFastopenCookie()
    rx_opt.foc = foc
    tcp_parse_options(sock_net(sk), skb, rx_opt, False)
    rx_opt.foc = None
    if rx_opt.saw_tstamp and rx_opt.rcv_tsecr != 0:
        rx_opt.rcv_tsecr = (rx_opt.rcv_tsecr - sk.tsoffset) & U32
    reason: i64 = SKB_DROP_REASON_NOT_SPECIFIED
    if (flags & TCPHDR_ACK) != 0:
        if not after(skb.ack_seq, sk.snd_una) or after(skb.ack_seq, sk.snd_nxt):
            # half-open at the other end, or an old duplicate: after the RST, try again soon
            if sk.icsk_retransmits == 0:
                inet_csk_reset_xmit_timer(sk, ICSK_TIME_RETRANS, TCP_TIMEOUT_MIN, sk.icsk_rto_max)
            tcp_synsent_undo(sk, saved_clamp)
            return SKB_DROP_REASON_TCP_INVALID_ACK_SEQUENCE
        if rx_opt.saw_tstamp and rx_opt.rcv_tsecr != 0 and not between(rx_opt.rcv_tsecr, sk.retrans_stamp, tcp_time_stamp(sk)):
            NET_INC_STATS(sock_net(sk), LINUX_MIB_PAWSACTIVE)
            tcp_synsent_undo(sk, saved_clamp)
            return SKB_DROP_REASON_TCP_RFC7323_PAWS
        if (flags & TCPHDR_RST) != 0:
            tcp_reset(sk, skb)
            __kfree_skb(skb)
            return 0
        if (flags & TCPHDR_SYN) != 0:
            if tcp_synsent_connected(sk, skb, foc):
                return -1  # data went again, and with it the ACK
            if sk.sk_state == TCP_CLOSE or tcp_delay_final_ack(sk):
                __kfree_skb(skb)
                return 0
            tcp_send_ack(sk)
            return -1
        reason = SKB_DROP_REASON_TCP_FLAGS
    elif (flags & TCPHDR_RST) != 0:
        reason = SKB_DROP_REASON_TCP_RESET
    elif rx_opt.ts_recent_stamp != 0 and rx_opt.saw_tstamp and tcp_paws_reject(rx_opt, False, sock_net(sk).clock.now):
        reason = SKB_DROP_REASON_TCP_RFC7323_PAWS
    elif (flags & TCPHDR_SYN) != 0:
        tcp_synsent_crossed(sk, skb)
        __kfree_skb(skb)
        return 0
    tcp_synsent_undo(sk, saved_clamp)
    tcp_drop_reason(sk, skb, reason)
    return 0


def tcp_synsent_undo(sk: TcpSock, saved_clamp: i64) -> None:
    """The segment was none of ours: forget its options."""
    tcp_clear_options(sk.rx_opt)
    sk.rx_opt.mss_clamp = saved_clamp


def tcp_ecn_rcv_synack(tp: TcpSock, skb: SkBuff) -> None:
    """Did the peer agree to ECN?  Linux: net/ipv4/tcp_input.c.  RFC 3168, 6.1.1."""
    if (tp.ecn_flags & TCP_ECN_OK) != 0 and (skb.tcp_flags & (TCPHDR_ECE | TCPHDR_CWR)) != TCPHDR_ECE:
        tp.ecn_flags &= ~TCP_ECN_OK


def tcp_ecn_rcv_syn(tp: TcpSock, skb: SkBuff) -> None:
    """A crossing SYN: does the peer want ECN too?  Linux: net/ipv4/tcp_input.c."""
    want: i64 = TCPHDR_ECE | TCPHDR_CWR
    if (tp.ecn_flags & TCP_ECN_OK) != 0 and (skb.tcp_flags & want) != want:
        tp.ecn_flags &= ~TCP_ECN_OK


def tcp_synsent_tstamp(sk: TcpSock) -> None:
    """Are timestamps agreed on? They take 12 bytes of each segment then."""
    rx_opt = sk.rx_opt
    if rx_opt.saw_tstamp:
        rx_opt.tstamp_ok = True
        tcp_store_ts_recent(sk)
        sk.tcp_header_len = 20 + TCPOLEN_TSTAMP_ALIGNED
    else:
        rx_opt.tstamp_ok = False
        sk.tcp_header_len = 20


def tcp_synsent_connected(sk: TcpSock, skb: SkBuff, foc: TcpFastopenCookie) -> bool:
    """A good SYN-ACK: the connection is established. True: it did not take the SYN's data, which was sent again.

    Part of Linux's tcp_rcv_synsent_state_process.
    """
    rx_opt = sk.rx_opt
    tcp_ecn_rcv_synack(sk, skb)
    sk.snd_wl1 = skb.seq
    tcp_try_undo_spurious_syn(sk)
    tcp_ack(sk, skb, FLAG_SLOWPATH)
    sk.rcv_nxt = (skb.seq + 1) & U32
    sk.rcv_wup = sk.rcv_nxt
    # RFC 7323, 2.3: the window in a SYN is never scaled
    sk.snd_wnd = skb.window
    if not rx_opt.wscale_ok:
        rx_opt.snd_wscale = 0
        rx_opt.rcv_wscale = 0
        if sk.window_clamp > 65535:
            sk.window_clamp = 65535
    tcp_synsent_tstamp(sk)
    if rx_opt.tstamp_ok:
        sk.advmss -= TCPOLEN_TSTAMP_ALIGNED
    tcp_sync_mss(sk, sk.icsk_pmtu_cookie)
    tcp_initialize_rcv_mss(sk)
    sk.copied_seq = sk.rcv_nxt
    tcp_finish_connect(sk, skb)
    fastopen_fail = (sk.syn_fastopen or sk.syn_data) and tcp_rcv_fastopen_synack(sk, skb, foc)
    if (sk.sk_flags & SOCK_DEAD) == 0:
        sk.sk_cb.state_change(sk)
    return fastopen_fail


def tcp_delay_final_ack(sk: TcpSock) -> bool:
    """Will data follow at once, that the handshake's last ACK can ride on? Then it waits.

    Part of Linux's tcp_rcv_synsent_state_process.
    """
    if (sk.sk_write_pending != 0 or sk.icsk_accept_queue.rskq_defer_accept != 0 or inet_csk_in_pingpong_mode(sk)):
        inet_csk_schedule_ack(sk)
        tcp_enter_quickack_mode(sk, TCP_MAX_QUICKACKS)
        inet_csk_reset_xmit_timer(sk, ICSK_TIME_DACK, TCP_DELACK_MAX, sk.icsk_rto_max)
        return True
    return False


def tcp_synsent_crossed(sk: TcpSock, skb: SkBuff) -> None:
    """The SYNs crossed: simultaneous open (RFC 9293, 3.5). Part of Linux's tcp_rcv_synsent_state_process."""
    tcp_set_state(sk, TCP_SYN_RECV)
    tcp_synsent_tstamp(sk)
    if not sk.rx_opt.wscale_ok:
        sk.rx_opt.snd_wscale = 0
        sk.rx_opt.rcv_wscale = 0
        if sk.window_clamp > 65535:
            sk.window_clamp = 65535
    sk.rcv_nxt = (skb.seq + 1) & U32
    sk.copied_seq = sk.rcv_nxt
    sk.rcv_wup = sk.rcv_nxt
    sk.snd_wnd = skb.window
    sk.snd_wl1 = skb.seq
    sk.max_window = sk.snd_wnd
    tcp_ecn_rcv_syn(sk, skb)
    tcp_mtup_init(sk)
    tcp_sync_mss(sk, sk.icsk_pmtu_cookie)
    tcp_initialize_rcv_mss(sk)
    tcp_send_synack(sk)


def tcp_rcv_listen(sk: TcpSock, skb: SkBuff) -> i64:
    """A segment for a listener, SYN_COOKIES aside.  RFC 9293, 3.10.7.2; the LISTEN part of Linux's tcp_rcv_state_process."""
    flags = skb.tcp_flags
    if (flags & TCPHDR_ACK) != 0:
        return SKB_DROP_REASON_TCP_FLAGS
    if (flags & TCPHDR_RST) != 0:
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_RESET)
        return 0
    if (flags & TCPHDR_SYN) != 0:
        if (flags & TCPHDR_FIN) != 0:
            tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_FLAGS)
            return 0
        refused = sk.icsk_af_ops.conn_request(sk, skb)
        if refused == 0:
            consume_skb(skb)
        else:
            kfree_skb_reason(skb, refused)
        return 0
    tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_FLAGS)
    return 0


def tcp_rcv_synrecv_state_fastopen(sk: TcpSock) -> None:
    """The handshake of a Fast Open child is complete: its request goes, and the timer is the data's from now on.

    Linux: net/ipv4/tcp_input.c.
    """
    req = sk.fastopen_rsk
    assert req is not None
    if sk.icsk_ca_state == TCP_CA_Loss and sk.packets_out == 0:
        # the time-outs were the SYN-ACK's: were they needed?
        tcp_try_undo_recovery(sk)
    sk.icsk_retransmits = 0
    if not tcp_any_retrans_done(sk):
        sk.retrans_stamp = 0
    reqsk_fastopen_remove(sk, req, False)
    tcp_rearm_rto(sk)


def tcp_rcv_syn_recv(sk: TcpSock, skb: SkBuff) -> None:
    """The ACK of our SYN-ACK: established.  The SYN_RECV part of Linux's tcp_rcv_state_process."""
    req = sk.fastopen_rsk
    sk.delivered += 1
    if sk.srtt_us == 0:
        tcp_synack_rtt_meas(sk, req.snt_synack if req is not None else -1, req.num_retrans if req is not None else 0)
    if sk.rx_opt.tstamp_ok:
        # before the buffers are measured in segments
        sk.advmss -= TCPOLEN_TSTAMP_ALIGNED
    if req is not None:
        tcp_rcv_synrecv_state_fastopen(sk)
    else:
        tcp_try_undo_spurious_syn(sk)
        sk.retrans_stamp = 0
        tcp_init_transfer(sk)
        sk.copied_seq = sk.rcv_nxt
    tcp_set_state(sk, TCP_ESTABLISHED)
    sk.sk_cb.state_change(sk)
    sk.snd_una = skb.ack_seq
    sk.snd_wnd = skb.window << sk.rx_opt.snd_wscale
    sk.snd_wl1 = skb.seq
    ca = sk.icsk_ca_ops
    if ca is None or not ca.has_cong_control:
        tcp_update_pacing_rate(sk)
    sk.lsndtime = tcp_jiffies32(sk)
    tcp_initialize_rcv_mss(sk)
    tcp_fast_path_on(sk)


def tcp_rcv_fin_wait1(sk: TcpSock, skb: SkBuff) -> i64:
    """Our FIN may have been acknowledged. 0: go on; 1: skb is to be freed; else the reason to send a RST.

    The FIN_WAIT1 part of Linux's tcp_rcv_state_process.
    """
    if sk.snd_una != sk.write_seq:
        return 0
    tcp_set_state(sk, TCP_FIN_WAIT2)
    sk.sk_shutdown |= SEND_SHUTDOWN
    if (sk.sk_flags & SOCK_DEAD) == 0:
        sk.sk_cb.state_change(sk)
        return 0
    fin: i64 = 1 if (skb.tcp_flags & TCPHDR_FIN) != 0 else 0
    # an orphan: nobody will read what comes (RFC 9293, 3.6.1)
    if sk.linger2 < 0 or (skb.end_seq != skb.seq and after((skb.end_seq - fin) & U32, sk.rcv_nxt)):
        tcp_done(sk)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPABORTONDATA)
        return SKB_DROP_REASON_TCP_ABORT_ON_DATA
    tmo = tcp_fin_time(sk)
    if tmo > TCP_TIMEWAIT_LEN:
        inet_csk_reset_keepalive_timer(sk, tmo - TCP_TIMEWAIT_LEN)
    elif fin != 0 or sock_owned_by_user(sk):
        # the FIN that came along is looked at below, and closes for good
        inet_csk_reset_keepalive_timer(sk, tmo)
    else:
        tcp_time_wait(sk, TCP_FIN_WAIT2, tmo)
        return 1
    return 0


def tcp_rcv_state_process(sk: TcpSock, skb: SkBuff) -> i64:
    """A segment in any state but ESTABLISHED and TIME_WAIT. 0: skb is gone; else the drop reason of a segment to answer with RST.

    Linux: net/ipv4/tcp_input.c.  RFC 9293, 3.10.7.
    """
    state = sk.sk_state
    if state == TCP_CLOSE:
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_CLOSE)
        return 0
    if state == TCP_LISTEN:
        return tcp_rcv_listen(sk, skb)
    tcp_mstamp_refresh(sk)
    sk.rx_opt.saw_tstamp = False
    if state == TCP_SYN_SENT:
        queued = tcp_rcv_synsent_state_process(sk, skb)
        if queued >= 0:
            return queued
        tcp_urg(sk, skb)
        __kfree_skb(skb)
        tcp_data_snd_check(sk)
        return 0
    flags = skb.tcp_flags
    req = sk.fastopen_rsk
    if req is not None and tcp_check_req(sk, skb, req, True) is None:
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_FASTOPEN)
        return 0
    if (flags & (TCPHDR_ACK | TCPHDR_RST | TCPHDR_SYN)) == 0:
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_FLAGS)
        return 0
    if not tcp_validate_incoming(sk, skb, False):
        return 0
    if (flags & TCPHDR_ACK) == 0:
        tcp_drop_reason(sk, skb, SKB_DROP_REASON_TCP_FLAGS)
        return 0
    return tcp_rcv_synchronised(sk, skb)


def tcp_rcv_synchronised(sk: TcpSock, skb: SkBuff) -> i64:
    """The ACK, the states that it ends, urgent data, data and FIN.  The second half of Linux's tcp_rcv_state_process."""
    reason = tcp_ack(sk, skb, FLAG_SLOWPATH | FLAG_UPDATE_TS_RECENT | FLAG_NO_CHALLENGE_ACK)
    if reason <= 0:
        if sk.sk_state == TCP_SYN_RECV:
            return SKB_DROP_REASON_TCP_OLD_ACK if reason == 0 else -reason
        if reason < 0:
            tcp_send_challenge_ack(sk)
            tcp_drop_reason(sk, skb, -reason)
            return 0
    state = sk.sk_state
    if state == TCP_SYN_RECV:
        tcp_rcv_syn_recv(sk, skb)
        if (sk.sk_shutdown & SEND_SHUTDOWN) != 0:
            sk.sk_prot.shutdown(sk, SEND_SHUTDOWN)
    elif state == TCP_FIN_WAIT1:
        if sk.fastopen_rsk is not None:
            tcp_rcv_synrecv_state_fastopen(sk)  # closed before the handshake was complete
        verdict = tcp_rcv_fin_wait1(sk, skb)
        if verdict == 1:
            consume_skb(skb)
            return 0
        if verdict != 0:
            return verdict
    elif state == TCP_CLOSING:
        if sk.snd_una == sk.write_seq:
            tcp_time_wait(sk, TCP_TIME_WAIT, 0)
            consume_skb(skb)
            return 0
    elif state == TCP_LAST_ACK and sk.snd_una == sk.write_seq:
        tcp_update_metrics(sk)
        tcp_done(sk)
        consume_skb(skb)
        return 0
    if (skb.tcp_flags & 0x20) != 0 or sk.urg_data != 0:
        tcp_urg(sk, skb)
    queued = False
    state = sk.sk_state
    drop: i64 = SKB_DROP_REASON_NOT_SPECIFIED
    late = state == TCP_CLOSE_WAIT or state == TCP_CLOSING or state == TCP_LAST_ACK
    if state == TCP_ESTABLISHED or state == TCP_FIN_WAIT1 or state == TCP_FIN_WAIT2 or (late and before(skb.seq, sk.rcv_nxt)):
        if state != TCP_ESTABLISHED and (sk.sk_shutdown & RCV_SHUTDOWN) != 0:
            fin: i64 = 1 if (skb.tcp_flags & TCPHDR_FIN) != 0 else 0
            if skb.end_seq != skb.seq and after((skb.end_seq - fin) & U32, sk.rcv_nxt):
                # data that nobody can read any more: RFC 1122, 4.2.2.13
                NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPABORTONDATA)
                tcp_reset(sk, skb)
                return SKB_DROP_REASON_TCP_ABORT_ON_DATA
        tcp_data_queue(sk, skb)
        queued = True
    # the data may have moved the sock to TIME_WAIT, and so this one to CLOSE
    if sk.sk_state != TCP_CLOSE:
        tcp_data_snd_check(sk)
        tcp_ack_snd_check(sk)
    if not queued:
        if skb.seq == skb.end_seq:
            consume_skb(skb)
        else:
            kfree_skb_reason(skb, int(drop))
    return 0


