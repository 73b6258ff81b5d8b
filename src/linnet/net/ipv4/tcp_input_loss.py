# SPDX-License-Identifier: Apache-2.0
"""Loss: noticing it, retransmitting, and taking back what a false alarm did. The machine of icsk_ca_state.

    Open --dup ACK--> Disorder --3 dup ACKs--> Recovery        any --RTO--> Loss        Open, Disorder --ECN, local drop--> CWR

With SACK the scoreboard (tcp_input_sack.py) says what arrived, and RACK (tcp_recovery.py) marks what is lost. Without it each
duplicate ACK stands for one segment that arrived: sacked_out counts them as if they had been SACKed (RFC 6582, NewReno). In
Recovery a partial ACK then marks the new head lost; an ACK of high_seq ends it. In Loss everything out is marked lost and sent
again in slow start. Timestamps tell an ACK of the original from one of the retransmission, and DSACKs what came twice: where a
reduction was needless, tcp_undo_cwnd_reduction restores the window (RFC 3522; F-RTO is RFC 5682).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.inet_connection_sock import ICSK_TIME_RETRANS
from linnet.include.net.snmp import (
    LINUX_MIB_TCPDELIVERED,
    LINUX_MIB_TCPDSACKUNDO,
    LINUX_MIB_TCPFULLUNDO,
    LINUX_MIB_TCPLOSSUNDO,
    LINUX_MIB_TCPPARTIALUNDO,
    LINUX_MIB_TCPRENORECOVERY,
    LINUX_MIB_TCPRENOREORDER,
    LINUX_MIB_TCPSACKRECOVERY,
    LINUX_MIB_TCPSACKRENEGING,
    LINUX_MIB_TCPSACKREORDER,
    LINUX_MIB_TCPSPURIOUSRTOS,
    LINUX_MIB_TCPTSREORDER,
    NET_ADD_STATS,
    NET_INC_STATS,
)
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    CA_EVENT_LOSS,
    TCP_CA_CWR,
    TCP_NAGLE_OFF,
    TCP_RACK_RECOVERY_THRESH,
    TCPCB_EVER_RETRANS,
    TCPCB_LOST,
    TCPCB_SACKED_ACKED,
    U32,
    TCP_CA_Disorder,
    TCP_CA_Loss,
    TCP_CA_Open,
    TCP_CA_Recovery,
    TcpSock,
    after,
    before,
    tcp_highest_sack_seq,
    tcp_in_cwnd_reduction,
    tcp_is_sack,
    tcp_jiffies32,
    tcp_left_out,
    tcp_packets_in_flight,
    tcp_rtx_queue_head,
    tcp_send_head,
    tcp_skb_mss,
    tcp_skb_pcount,
    tcp_wnd_end,
)
from linnet.include.net.tcp_states import TCP_SYN_SENT
from linnet.net.ipv4.inet_connection_sock import inet_csk_reset_xmit_timer
from linnet.net.ipv4.tcp_cong import tcp_ca_event, tcp_set_ca_state, tcp_snd_cwnd_set
from linnet.net.ipv4.tcp_input_cwnd import (
    FLAG_DATA_SACKED,
    FLAG_ECE,
    FLAG_ORIG_SACK_ACKED,
    FLAG_SACK_RENEGING,
    FLAG_SND_UNA_ADVANCED,
    REXMIT_LOST,
    REXMIT_NEW,
    REXMIT_NONE,
    tcp_current_ssthresh,
    tcp_ecn_queue_cwr,
    tcp_ecn_withdraw_cwr,
    tcp_end_cwnd_reduction,
    tcp_enter_cwr,
    tcp_init_cwnd_reduction,
    tcp_init_undo,
    tcp_mark_skb_lost,
)
from linnet.net.ipv4.tcp_output import (
    __tcp_push_pending_frames,
    tcp_current_mss,
    tcp_verify_left_out,
    tcp_xmit_retransmit_queue,
)
from linnet.net.ipv4.tcp_output_mtup import tcp_mtup_probe_failed
from linnet.net.ipv4.tcp_recovery import tcp_newreno_mark_lost, tcp_rack_mark_lost, tcp_rack_skb_timeout

LINUX_FILE: Final = 'net/ipv4/tcp_input.c'


def tcp_count_delivered(tp: TcpSock, delivered: i64, ece_ack: bool) -> None:
    """Segments reached the peer.  Linux: net/ipv4/tcp_input.c."""
    tp.delivered += delivered
    if ece_ack:
        tp.delivered_ce += delivered


def tcp_clear_all_retrans_hints(tp: TcpSock) -> None:
    """Linux: include/net/tcp.h."""
    tp.lost_skb_hint = None
    tp.retransmit_skb_hint = None


def tcp_check_sack_reordering(sk: TcpSock, low_seq: i64, ts: bool) -> None:
    """What starts at low_seq arrived after what is SACKed above it: so far does the network reorder.

    Linux: net/ipv4/tcp_input.c.  ts: timestamps showed it.
    """
    fack = tcp_highest_sack_seq(sk)
    if not before(low_seq, fack):
        return
    net = sock_net(sk)
    metric = (fack - low_seq) & U32
    mss = sk.mss_cache
    if mss != 0 and metric > sk.reordering * mss:
        reordering = (metric + mss - 1) // mss
        limit = net.ipv4.sysctl_tcp_max_reordering
        sk.reordering = reordering if reordering < limit else limit
    sk.reord_seen += 1
    NET_INC_STATS(net, LINUX_MIB_TCPTSREORDER if ts else LINUX_MIB_TCPSACKREORDER)


def tcp_limit_reno_sacked(tp: TcpSock) -> bool:
    """Keep the count of imagined SACKs below what is out; True where it had to be cut.  Linux: net/ipv4/tcp_input.c."""
    holes = tp.lost_out if tp.lost_out > 1 else 1
    if holes > tp.packets_out:
        holes = tp.packets_out
    if tp.sacked_out + holes > tp.packets_out:
        tp.sacked_out = tp.packets_out - holes
        return True
    return False


def tcp_check_reno_reordering(sk: TcpSock, addend: i64) -> None:
    """More duplicate ACKs than segments that could cause them: the network reorders.  Linux: net/ipv4/tcp_input.c."""
    if not tcp_limit_reno_sacked(sk):
        return
    net = sock_net(sk)
    reordering = sk.packets_out + addend
    limit = net.ipv4.sysctl_tcp_max_reordering
    sk.reordering = reordering if reordering < limit else limit
    sk.reord_seen += 1
    NET_INC_STATS(net, LINUX_MIB_TCPRENOREORDER)


def tcp_add_reno_sack(sk: TcpSock, num_dupack: i64, ece_ack: bool) -> None:
    """num_dupack duplicate ACKs: as many segments arrived out of order.  Linux: net/ipv4/tcp_input.c."""
    if num_dupack == 0:
        return
    prior_sacked = sk.sacked_out
    sk.sacked_out += num_dupack
    tcp_check_reno_reordering(sk, 0)
    delivered = sk.sacked_out - prior_sacked
    if delivered > 0:
        tcp_count_delivered(sk, delivered, ece_ack)


def tcp_remove_reno_sacks(sk: TcpSock, acked: i64, ece_ack: bool) -> None:
    """`acked` segments were acknowledged, one of them filled a hole and the rest were the imagined SACKs.

    Linux: net/ipv4/tcp_input.c.
    """
    if acked > 0:
        fresh = acked - sk.sacked_out
        tcp_count_delivered(sk, fresh if fresh > 1 else 1, ece_ack)
        if acked - 1 >= sk.sacked_out:
            sk.sacked_out = 0
        else:
            sk.sacked_out -= acked - 1
    tcp_check_reno_reordering(sk, acked)


def tcp_reset_reno_sack(tp: TcpSock) -> None:
    """Linux: net/ipv4/tcp_input.c."""
    tp.sacked_out = 0


def tcp_any_retrans_done(sk: TcpSock) -> bool:
    """Is anything out that was sent more than once?  Linux: net/ipv4/tcp_input.c."""
    if sk.retrans_out != 0:
        return True
    skb = tcp_rtx_queue_head(sk)
    return skb is not None and (skb.sacked & TCPCB_EVER_RETRANS) != 0


def tcp_packet_delayed(tp: TcpSock) -> bool:
    """Does the ACK echo a timestamp from before the first retransmission? Then the original arrived.

    Linux: net/ipv4/tcp_input.c.  RFC 3522 (Eifel).
    """
    return (tp.retrans_stamp != 0 and tp.rx_opt.saw_tstamp and tp.rx_opt.rcv_tsecr != 0
            and before(tp.rx_opt.rcv_tsecr, tp.retrans_stamp))


def tcp_may_undo(tp: TcpSock) -> bool:
    """Were all retransmissions needless?  Linux: net/ipv4/tcp_input.c."""
    return tp.undo_marker != 0 and (tp.undo_retrans == 0 or tcp_packet_delayed(tp))


def tcp_undo_cwnd_reduction(sk: TcpSock, unmark_loss: bool) -> None:
    """Restore window and ssthresh as they were; unmark_loss: what was marked lost is not.  Linux: net/ipv4/tcp_input.c."""
    if unmark_loss:
        skb = tcp_rtx_queue_head(sk)
        while skb is not None:
            skb.sacked &= ~TCPCB_LOST
            skb = skb.next
        sk.lost_out = 0
        tcp_clear_all_retrans_hints(sk)
    if sk.prior_ssthresh != 0:
        ca = sk.icsk_ca_ops
        assert ca is not None
        tcp_snd_cwnd_set(sk, ca.undo_cwnd(sk))
        if sk.prior_ssthresh > sk.snd_ssthresh:
            sk.snd_ssthresh = sk.prior_ssthresh
            tcp_ecn_withdraw_cwr(sk)
    sk.snd_cwnd_stamp = tcp_jiffies32(sk)
    sk.undo_marker = 0
    sk.rack_advanced = True


def tcp_is_non_sack_preventing_reopen(sk: TcpSock) -> bool:
    """Without SACK, an ACK of exactly high_seq does not end it: late duplicates would start a second recovery.

    Linux: net/ipv4/tcp_input.c.  RFC 6582, 3.2, step 1 and section 4.
    """
    if sk.snd_una == sk.high_seq and not tcp_is_sack(sk):
        if not tcp_any_retrans_done(sk):
            sk.retrans_stamp = 0
        return True
    return False


def tcp_try_undo_recovery(sk: TcpSock) -> bool:
    """Recovery or Loss has reached high_seq: undo it if it was needless, and open. True: hold the state a little longer.

    Linux: net/ipv4/tcp_input.c.
    """
    if tcp_may_undo(sk):
        mib: i64 = LINUX_MIB_TCPLOSSUNDO if sk.icsk_ca_state == TCP_CA_Loss else LINUX_MIB_TCPFULLUNDO
        tcp_undo_cwnd_reduction(sk, False)
        NET_INC_STATS(sock_net(sk), mib)
    elif sk.rack_reo_wnd_persist != 0:
        sk.rack_reo_wnd_persist -= 1
    if tcp_is_non_sack_preventing_reopen(sk):
        return True
    tcp_set_ca_state(sk, TCP_CA_Open)
    sk.is_sack_reneg = False
    return False


def tcp_try_undo_dsack(sk: TcpSock) -> bool:
    """DSACKs have shown all retransmissions to be needless: undo. True where it was.  Linux: net/ipv4/tcp_input.c."""
    if sk.undo_marker == 0 or sk.undo_retrans != 0:
        return False
    persist = sk.rack_reo_wnd_persist + sk.reord_seen
    sk.rack_reo_wnd_persist = persist if persist < TCP_RACK_RECOVERY_THRESH else TCP_RACK_RECOVERY_THRESH
    tcp_undo_cwnd_reduction(sk, False)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPDSACKUNDO)
    return True


def tcp_try_undo_loss(sk: TcpSock, frto_undo: bool) -> bool:
    """The RTO was false: undo it. True where it was.  Linux: net/ipv4/tcp_input.c."""
    if not frto_undo and not tcp_may_undo(sk):
        return False
    tcp_undo_cwnd_reduction(sk, True)
    net = sock_net(sk)
    NET_INC_STATS(net, LINUX_MIB_TCPLOSSUNDO)
    if frto_undo:
        NET_INC_STATS(net, LINUX_MIB_TCPSPURIOUSRTOS)
    sk.icsk_retransmits = 0
    if tcp_is_non_sack_preventing_reopen(sk):
        return True
    if frto_undo or tcp_is_sack(sk):
        tcp_set_ca_state(sk, TCP_CA_Open)
        sk.is_sack_reneg = False
    return True


def tcp_try_undo_partial(sk: TcpSock, prior_snd_una: i64) -> bool:
    """A partial ACK that shows that the retransmission was needless. True: wait until the retransmission is acknowledged.

    Linux: net/ipv4/tcp_input.c.
    """
    if sk.undo_marker != 0 and tcp_packet_delayed(sk):
        # the hole was filled by the original: it was but late
        tcp_check_sack_reordering(sk, prior_snd_una, True)
        if sk.retrans_out != 0:
            return True
        if not tcp_any_retrans_done(sk):
            sk.retrans_stamp = 0
        tcp_undo_cwnd_reduction(sk, True)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPPARTIALUNDO)
        tcp_try_keep_open(sk)
    return False


def tcp_try_keep_open(sk: TcpSock) -> None:
    """Open, or Disorder while something is out of order or sent twice.  Linux: net/ipv4/tcp_input.c."""
    state: i64 = TCP_CA_Open
    if tcp_left_out(sk) != 0 or tcp_any_retrans_done(sk):
        state = TCP_CA_Disorder
    if sk.icsk_ca_state != state:
        tcp_set_ca_state(sk, state)
        sk.high_seq = sk.snd_nxt


def tcp_try_to_open(sk: TcpSock, flag: i64) -> None:
    """Linux: net/ipv4/tcp_input.c."""
    if not tcp_any_retrans_done(sk):
        sk.retrans_stamp = 0
    if (flag & FLAG_ECE) != 0:
        tcp_enter_cwr(sk)
    if sk.icsk_ca_state != TCP_CA_CWR:
        tcp_try_keep_open(sk)


def tcp_enter_recovery(sk: TcpSock, ece_ack: bool) -> None:
    """Fast recovery begins.  Linux: net/ipv4/tcp_input.c.  RFC 5681, 3.2."""
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPSACKRECOVERY if tcp_is_sack(sk) else LINUX_MIB_TCPRENORECOVERY)
    if not tcp_any_retrans_done(sk):
        sk.retrans_stamp = 0
    sk.prior_ssthresh = 0
    tcp_init_undo(sk)
    if not tcp_in_cwnd_reduction(sk):
        if not ece_ack:
            sk.prior_ssthresh = tcp_current_ssthresh(sk)
        tcp_init_cwnd_reduction(sk)
    tcp_set_ca_state(sk, TCP_CA_Recovery)


def tcp_timeout_mark_lost(sk: TcpSock) -> None:
    """The RTO fired: everything that is out is lost, but what was sent less than an RTT ago.

    Linux: net/ipv4/tcp_input.c.  If the head is SACKed, the receiver threw away what it had (RFC 2018, 8), and no SACK counts.
    """
    head = tcp_rtx_queue_head(sk)
    is_reneg = head is not None and (head.sacked & TCPCB_SACKED_ACKED) != 0
    if is_reneg:
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPSACKRENEGING)
        sk.sacked_out = 0
        sk.recv_sack_cache = []
        # none of the connection's delivery rates hold until this is over
        sk.is_sack_reneg = True
    elif not tcp_is_sack(sk):
        tcp_reset_reno_sack(sk)
    skb = head
    while skb is not None:
        if is_reneg:
            skb.sacked &= ~TCPCB_SACKED_ACKED
        elif skb is not head and tcp_rack_skb_timeout(sk, skb, 0) > 0:
            skb = skb.next
            continue
        tcp_mark_skb_lost(sk, skb)
        skb = skb.next
    tcp_verify_left_out(sk)
    tcp_clear_all_retrans_hints(sk)


def tcp_enter_loss(sk: TcpSock) -> None:
    """The retransmission timer fired: one segment, then slow start to half the window.

    Linux: net/ipv4/tcp_input.c.  RFC 5681, 3.1, (4) and below; RFC 6582, 4.
    """
    net = sock_net(sk)
    new_recovery = sk.icsk_ca_state < TCP_CA_Recovery
    was_open = sk.icsk_ca_state <= TCP_CA_Disorder
    prior_sacked = sk.sacked_out
    tcp_timeout_mark_lost(sk)
    # reduce ssthresh once for a window: a second RTO of the same data does not halve it again
    if was_open or not after(sk.high_seq, sk.snd_una) or (sk.icsk_ca_state == TCP_CA_Loss and sk.icsk_retransmits == 0):
        ca = sk.icsk_ca_ops
        assert ca is not None
        sk.prior_ssthresh = tcp_current_ssthresh(sk)
        sk.prior_cwnd = sk.snd_cwnd
        sk.snd_ssthresh = ca.ssthresh(sk)
        tcp_ca_event(sk, CA_EVENT_LOSS)
        tcp_init_undo(sk)
    tcp_snd_cwnd_set(sk, tcp_packets_in_flight(sk) + 1)
    sk.snd_cwnd_cnt = 0
    sk.snd_cwnd_stamp = tcp_jiffies32(sk)
    reordering = net.ipv4.sysctl_tcp_reordering
    if was_open and prior_sacked >= reordering and sk.reordering > reordering:
        sk.reordering = reordering
    tcp_set_ca_state(sk, TCP_CA_Loss)
    sk.high_seq = sk.snd_nxt
    sk.tlp_high_seq = 0
    tcp_ecn_queue_cwr(sk)
    sk.frto = net.ipv4.sysctl_tcp_frto != 0 and (new_recovery or sk.icsk_retransmits != 0) and sk.mtup_probe_size == 0


def tcp_process_loss(sk: TcpSock, flag: i64, num_dupack: i64) -> i64:
    """An ACK in Loss. Returns REXMIT_*.  Linux: net/ipv4/tcp_input.c.  RFC 5682 (F-RTO)."""
    recovered = not before(sk.snd_una, sk.high_seq)
    advanced = (flag & FLAG_SND_UNA_ADVANCED) != 0
    if advanced and tcp_try_undo_loss(sk, False):
        return REXMIT_NONE
    if sk.frto:
        # step 3.b: never-retransmitted data was acknowledged, so the RTO was false
        if (flag & FLAG_ORIG_SACK_ACKED) != 0 and tcp_try_undo_loss(sk, True):
            return REXMIT_NONE
        if after(sk.snd_nxt, sk.high_seq):
            if (flag & FLAG_DATA_SACKED) != 0 or num_dupack != 0:
                sk.frto = False  # step 3.a: the loss was real
        elif advanced and not recovered:
            # step 2.b: try new data, and see what its ACK says
            sk.high_seq = sk.snd_nxt
            if tcp_send_head(sk) is not None and after(tcp_wnd_end(sk), sk.snd_nxt):
                return REXMIT_NEW
            sk.frto = False
    if recovered:
        tcp_try_undo_recovery(sk)
        return REXMIT_NONE
    if not tcp_is_sack(sk):
        if after(sk.snd_nxt, sk.high_seq) and num_dupack != 0:
            tcp_add_reno_sack(sk, num_dupack, (flag & FLAG_ECE) != 0)
        elif advanced:
            tcp_reset_reno_sack(sk)
    return REXMIT_LOST


def tcp_time_to_recover(sk: TcpSock) -> bool:
    """Is there enough evidence of a loss?  Linux: net/ipv4/tcp_input.c; the marking is what gives the evidence."""
    return sk.lost_out != 0


def tcp_identify_packet_loss(sk: TcpSock, flag: i64) -> bool:
    """Mark what the ACK shows to be lost. True: a retransmission was (Linux: sets FLAG_LOST_RETRANS).

    Linux: net/ipv4/tcp_input.c.
    """
    if tcp_rtx_queue_head(sk) is None:
        return False
    if not tcp_is_sack(sk):
        tcp_newreno_mark_lost(sk, (flag & FLAG_SND_UNA_ADVANCED) != 0)
        return False
    prior_retrans = sk.retrans_out
    if tcp_rack_mark_lost(sk):
        sk.ack_sack.keep_timer = True
    return prior_retrans > sk.retrans_out


def tcp_check_sack_reneging(sk: TcpSock, flag: i64) -> bool:
    """The ACK ends right before something SACKed: has the receiver thrown it away? Wait a little before believing so.

    Linux: net/ipv4/tcp_input.c.
    """
    if (flag & FLAG_SACK_RENEGING) == 0 or (flag & FLAG_SND_UNA_ADVANCED) == 0:
        return False
    delay = ((sk.srtt_us >> 4) + 999) // 1000
    inet_csk_reset_xmit_timer(sk, ICSK_TIME_RETRANS, delay if delay > 10 else 10, sk.icsk_rto_max)
    sk.ack_sack.keep_timer = True
    return True


def tcp_fastretrans_alert(sk: TcpSock, prior_snd_una: i64, num_dupack: i64, flag: i64) -> i64:
    """An ACK that is not plain progress: move the loss machine. Returns REXMIT_*.

    Linux: net/ipv4/tcp_input.c.  RFC 5681, 3.2; RFC 6582; RFC 6675.
    """
    ece_ack = (flag & FLAG_ECE) != 0
    advanced = (flag & FLAG_SND_UNA_ADVANCED) != 0
    if sk.packets_out == 0 and sk.sacked_out != 0:
        sk.sacked_out = 0
    if ece_ack:
        sk.prior_ssthresh = 0
    if tcp_check_sack_reneging(sk, flag):
        return REXMIT_NONE
    state = sk.icsk_ca_state
    if state == TCP_CA_Open:
        sk.retrans_stamp = 0
    elif not before(sk.snd_una, sk.high_seq):
        if state == TCP_CA_CWR:
            # CWR ends with something above high_seq acknowledged, so that its first ACK counts as well
            if sk.snd_una != sk.high_seq:
                tcp_end_cwnd_reduction(sk)
                tcp_set_ca_state(sk, TCP_CA_Open)
        elif state == TCP_CA_Recovery:
            if not tcp_is_sack(sk):
                tcp_reset_reno_sack(sk)
            if tcp_try_undo_recovery(sk):
                return REXMIT_NONE
            tcp_end_cwnd_reduction(sk)
    rexmit: i64 = REXMIT_LOST
    state = sk.icsk_ca_state
    if state == TCP_CA_Recovery:
        if not advanced:
            if not tcp_is_sack(sk):
                tcp_add_reno_sack(sk, num_dupack, ece_ack)
        elif tcp_try_undo_partial(sk, prior_snd_una):
            return REXMIT_NONE
        if tcp_try_undo_dsack(sk):
            tcp_try_to_open(sk, flag)
        tcp_identify_packet_loss(sk, flag)
        if sk.icsk_ca_state == TCP_CA_Recovery:
            return rexmit
        if not tcp_time_to_recover(sk):
            return REXMIT_NONE
    else:
        if state == TCP_CA_Loss:
            rexmit = tcp_process_loss(sk, flag, num_dupack)
            lost_retrans = tcp_is_sack(sk) and tcp_identify_packet_loss(sk, flag)
            # go on if the window was restored, or if a retransmission was lost too
            if sk.icsk_ca_state != TCP_CA_Open and not lost_retrans:
                return rexmit
            rexmit = REXMIT_LOST
        if not tcp_is_sack(sk):
            if advanced:
                tcp_reset_reno_sack(sk)
            tcp_add_reno_sack(sk, num_dupack, ece_ack)
        if sk.icsk_ca_state <= TCP_CA_Disorder:
            tcp_try_undo_dsack(sk)
        tcp_identify_packet_loss(sk, flag)
        if not tcp_time_to_recover(sk):
            tcp_try_to_open(sk, flag)
            return REXMIT_NONE
        if sk.icsk_ca_state < TCP_CA_CWR and sk.mtup_probe_size != 0 and sk.snd_una == sk.mtu_probe_seq_start:
            # it is the probe of the path MTU that is lost: that says nothing about congestion
            tcp_mtup_probe_failed(sk)
            tcp_simple_retransmit(sk)
            return REXMIT_NONE
    tcp_enter_recovery(sk, ece_ack)
    return rexmit


def tcp_xmit_recovery(sk: TcpSock, rexmit: i64) -> None:
    """Send what the ACK called for: retransmissions, or new data to try F-RTO.  Linux: net/ipv4/tcp_input.c."""
    if rexmit == REXMIT_NONE or sk.sk_state == TCP_SYN_SENT:
        return
    if rexmit == REXMIT_NEW:
        __tcp_push_pending_frames(sk, tcp_current_mss(sk), TCP_NAGLE_OFF)
        if after(sk.snd_nxt, sk.high_seq):
            return
        sk.frto = False
    tcp_xmit_retransmit_queue(sk)


def tcp_simple_retransmit(sk: TcpSock) -> None:
    """The path MTU fell: send again what is larger than the new MSS, without punishing the window.

    Linux: net/ipv4/tcp_input.c.
    """
    mss = tcp_current_mss(sk)
    if sk.syn_data and sk.sk_state == TCP_SYN_SENT:
        mss = -1  # a SYN with data is one segment but two in the queue: whatever their sizes, both are lost
    skb = tcp_rtx_queue_head(sk)
    while skb is not None:
        seglen = skb.len if tcp_skb_pcount(skb) == 1 else tcp_skb_mss(skb)
        if seglen > mss:
            tcp_mark_skb_lost(sk, skb)
        skb = skb.next
    tcp_clear_all_retrans_hints(sk)
    if sk.lost_out == 0:
        return
    if not tcp_is_sack(sk):
        tcp_limit_reno_sacked(sk)
    tcp_non_congestion_loss_retransmit(sk)


def tcp_non_congestion_loss_retransmit(sk: TcpSock) -> None:
    """Send again what is marked lost for a reason that is no congestion: a smaller path MTU, data that a SYN-ACK did not take.

    Linux: net/ipv4/tcp_input.c.
    """
    if sk.icsk_ca_state != TCP_CA_Loss:
        sk.high_seq = sk.snd_nxt
        sk.snd_ssthresh = tcp_current_ssthresh(sk)
        sk.prior_ssthresh = 0
        sk.undo_marker = 0
        tcp_set_ca_state(sk, TCP_CA_Loss)
    tcp_xmit_retransmit_queue(sk)


def tcp_newly_delivered(sk: TcpSock, prior_delivered: i64, flag: i64) -> i64:
    """Segments that this ACK newly says arrived.  Linux: net/ipv4/tcp_input.c."""
    delivered = sk.delivered - prior_delivered
    if delivered != 0:
        NET_ADD_STATS(sock_net(sk), LINUX_MIB_TCPDELIVERED, delivered)
    return delivered
