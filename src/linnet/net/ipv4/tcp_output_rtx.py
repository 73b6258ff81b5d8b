# SPDX-License-Identifier: Apache-2.0
"""Sending again: one skb, or what of the retransmission queue is marked lost.

Who decides what is lost is the input side (duplicate ACKs, SACK) and the timer; here the marks are carried out within the
congestion window. An skb may meanwhile have been acknowledged in part, or have the wrong size for today's MSS or window: it is
trimmed, cut, or merged with its successors first.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff, __skb_unlink
from linnet.include.net.inet_connection_sock import ICSK_TIME_REO_TIMEOUT, ICSK_TIME_RETRANS
from linnet.include.net.snmp import (
    LINUX_MIB_TCPFASTRETRANS,
    LINUX_MIB_TCPLOSSPROBES,
    LINUX_MIB_TCPRETRANSFAIL,
    LINUX_MIB_TCPSLOWSTARTRETRANS,
    LINUX_MIB_TCPSPURIOUSRTXHOSTQUEUES,
    LINUX_MIB_TCPSYNRETRANS,
    NET_ADD_STATS,
    NET_INC_STATS,
    TCP_MIB_RETRANSSEGS,
)
from linnet.include.net.sock import SK_PACING_NONE, sock_net
from linnet.include.net.tcp import (
    TCP_NAGLE_OFF,
    TCPCB_EVER_RETRANS,
    TCPCB_LOST,
    TCPCB_RETRANS,
    TCPCB_SACKED_ACKED,
    TCPCB_SACKED_RETRANS,
    TCPHDR_CWR,
    TCPHDR_ECE,
    TCPHDR_SYN,
    TCPHDR_SYN_ECN,
    TSQF_THROTTLED,
    U32,
    TCP_CA_Loss,
    TcpSock,
    after,
    before,
    tcp_in_cwnd_reduction,
    tcp_packets_in_flight,
    tcp_skb_timestamp_ms,
    tcp_tsorted_del,
    tcp_tsorted_move_tail,
)
from linnet.include.trace.events.tcp import trace_tcp_retransmit_skb
from linnet.kernel.errno import EAGAIN, EBUSY, EHOSTUNREACH, EINVAL, ENOMEM
from linnet.net.ipv4.tcp import tcp_wmem_free_skb
from linnet.net.ipv4.tcp_input_cwnd import tcp_rearm_rto
from linnet.net.ipv4.tcp_output_frag import (
    TCP_FRAG_IN_RTX_QUEUE,
    tcp_adjust_pcount,
    tcp_fragment,
    tcp_set_skb_tso_segs,
    tcp_skb_collapse_tstamp,
    tcp_trim_head,
)
from linnet.net.ipv4.tcp_output_mss import tcp_current_mss
from linnet.net.ipv4.tcp_output_pacing import tcp_pacing_check, tcp_reset_xmit_timer
from linnet.net.ipv4.tcp_output_transmit import tcp_transmit_skb
from linnet.net.ipv4.tcp_output_xmit import tcp_small_queue_check, tcp_snd_wnd_test, tcp_tso_segs, tcp_write_xmit

LINUX_FILE: Final = 'net/ipv4/tcp_output.c'


def skb_still_in_host_queue(sk: TcpSock, skb: SkBuff) -> bool:
    """Does an earlier transmission of skb still lie in a queue of this host? Sending it again would be no help.

    Linux: net/ipv4/tcp_output.c.
    """
    if skb.fclone_busy > 0:
        sk.sk_tsq_flags |= TSQF_THROTTLED
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPSPURIOUSRTXHOSTQUEUES)
        return True
    return False


def tcp_can_collapse(sk: TcpSock, skb: SkBuff) -> bool:
    """May skb be merged into the one before it?  Linux: net/ipv4/tcp_output.c."""
    if skb.gso_segs > 1 or (skb.sacked & TCPCB_SACKED_ACKED) != 0 or skb.uarg is not None:
        return False
    return (skb.tcp_flags & TCPHDR_SYN) == 0


def tcp_collapse_retrans(sk: TcpSock, skb: SkBuff, next_skb: SkBuff) -> None:
    """Merge next_skb, which follows skb in the retransmission queue, into skb.  Linux: net/ipv4/tcp_output.c."""
    size = next_skb.len
    # a new list: a clone under way may share the old one
    skb.frags = skb.frags + next_skb.frags
    skb.len += size
    skb.data_len += size
    skb.truesize += size
    sk.sk_wmem_queued += size
    next_skb.truesize -= size
    sk.sk_wmem_queued -= size
    skb.end_seq = next_skb.end_seq
    skb.tcp_flags |= next_skb.tcp_flags
    skb.sacked |= next_skb.sacked & TCPCB_EVER_RETRANS
    skb.eor = next_skb.eor
    if next_skb.tx_flags != 0:
        tcp_skb_collapse_tstamp(skb, next_skb)
    if sk.retransmit_skb_hint is next_skb:
        sk.retransmit_skb_hint = skb
    if sk.highest_sack is next_skb:
        sk.highest_sack = skb
    if sk.lost_skb_hint is next_skb:
        sk.lost_skb_hint = skb
    tcp_adjust_pcount(sk, next_skb, next_skb.gso_segs)
    tcp_tsorted_del(sk, next_skb)
    __skb_unlink(next_skb, sk.tcp_rtx_queue)
    tcp_wmem_free_skb(sk, next_skb)


def tcp_retrans_try_collapse(sk: TcpSock, to: SkBuff, space: i64) -> None:
    """Fill a short segment that is sent again with what follows it, up to `space` bytes.  Linux: net/ipv4/tcp_output.c."""
    if sock_net(sk).ipv4.sysctl_tcp_retrans_collapse == 0 or (to.tcp_flags & TCPHDR_SYN) != 0:
        return
    space -= to.len
    skb = to.next
    while skb is not None:
        follower = skb.next
        if not tcp_can_collapse(sk, skb) or to.eor or to.uarg is not None:
            return
        space -= skb.len
        if space < 0 or after(skb.end_seq, (sk.snd_una + sk.snd_wnd) & U32):
            return
        tcp_collapse_retrans(sk, to, skb)
        skb = follower


def tcp_fit_rtx_skb(sk: TcpSock, skb: SkBuff, segs: i64) -> int:
    """Bring skb into the shape in which it can be sent again: what is acknowledged off, not beyond the window, today's MSS.

    0 or a negative errno. (The first half of Linux's __tcp_retransmit_skb.)
    """
    if before(skb.seq, sk.snd_una):
        if (skb.tcp_flags & TCPHDR_SYN) != 0:
            # a SYN with data, acknowledged in part: only the data is left
            skb.tcp_flags &= ~TCPHDR_SYN
            skb.seq = (skb.seq + 1) & U32
        if before(skb.end_seq, sk.snd_una):
            return -EINVAL
        trim = (sk.snd_una - skb.seq) & U32
        if trim != 0 and trim < 0x80000000 and tcp_trim_head(sk, skb, trim) != 0:
            return -ENOMEM
    if sk.icsk_af_ops.rebuild_header(sk) != 0:
        return -EHOSTUNREACH
    cur_mss = tcp_current_mss(sk)
    avail_wnd = (sk.snd_una + sk.snd_wnd - skb.seq) & U32
    if avail_wnd == 0 or avail_wnd >= 0x80000000:
        # the window shrank below it: as a probe of the window, the first segment still goes
        if skb.seq != sk.snd_una:
            return -EAGAIN
        avail_wnd = cur_mss
    length = cur_mss * segs
    if length > avail_wnd:
        length = avail_wnd - avail_wnd % cur_mss
        if length == 0:
            length = avail_wnd
    if skb.len > length:
        return tcp_fragment(sk, TCP_FRAG_IN_RTX_QUEUE, skb, length, cur_mss)
    old = skb.gso_segs
    diff = old - tcp_set_skb_tso_segs(skb, cur_mss)
    if diff != 0:
        tcp_adjust_pcount(sk, skb, diff)
    if cur_mss < avail_wnd:
        avail_wnd = cur_mss
    if skb.len < avail_wnd:
        tcp_retrans_try_collapse(sk, skb, avail_wnd)
    return 0


def __tcp_retransmit_skb(sk: TcpSock, skb: SkBuff, segs: i64) -> int:
    """Send the first `segs` segments of skb again. 0, or a negative errno: nothing was sent.  Linux: net/ipv4/tcp_output.c."""
    if sk.mtup_probe_size != 0:
        sk.mtup_probe_size = 0
    if skb_still_in_host_queue(sk, skb):
        return -EBUSY
    fit = tcp_fit_rtx_skb(sk, skb, segs)
    if fit != 0:
        return fit
    net = sock_net(sk)
    if (skb.tcp_flags & TCPHDR_SYN_ECN) == TCPHDR_SYN_ECN and net.ipv4.sysctl_tcp_ecn_fallback != 0:
        # something on the way may drop SYNs that ask for ECN
        skb.tcp_flags &= ~(TCPHDR_ECE | TCPHDR_CWR)
    pcount = skb.gso_segs
    NET_ADD_STATS(net, TCP_MIB_RETRANSSEGS, pcount)
    if (skb.tcp_flags & TCPHDR_SYN) != 0:
        NET_INC_STATS(net, LINUX_MIB_TCPSYNRETRANS)
    sk.total_retrans += pcount
    sk.bytes_retrans += skb.len
    err = tcp_transmit_skb(sk, skb, True, sk.rcv_nxt)
    skb.sacked |= TCPCB_EVER_RETRANS
    skb.rtx_snd_nxt = sk.snd_nxt
    # its time of sending is now, whether the devices below took it or not
    tcp_tsorted_move_tail(sk, skb)
    if err == 0:
        trace_tcp_retransmit_skb(sk, skb)
    elif err != -EBUSY:
        NET_ADD_STATS(net, LINUX_MIB_TCPRETRANSFAIL, pcount)
    return int(err)


def tcp_retransmit_skb(sk: TcpSock, skb: SkBuff, segs: i64) -> int:
    """Send skb again and account for it. 0 or a negative errno.  Linux: net/ipv4/tcp_output.c."""
    err = __tcp_retransmit_skb(sk, skb, segs)
    if err == 0:
        if (skb.sacked & TCPCB_SACKED_RETRANS) == 0:
            sk.retrans_out += skb.gso_segs
        skb.sacked |= TCPCB_RETRANS
    # when recovery began to send again: an ACK of an older timestamp shows that it was not needed
    if sk.retrans_stamp == 0:
        sk.retrans_stamp = tcp_skb_timestamp_ms(skb)
    if sk.undo_retrans < 0:
        sk.undo_retrans = 0
    sk.undo_retrans += skb.gso_segs
    return err


def tcp_xmit_retransmit_queue(sk: TcpSock) -> None:
    """Send again what is marked lost, oldest first, as far as the congestion window allows.

    Linux: net/ipv4/tcp_output.c.
    """
    if sk.packets_out == 0:
        return
    net = sock_net(sk)
    rearm_timer = False
    max_segs = tcp_tso_segs(sk, tcp_current_mss(sk))
    rtx_head = sk.tcp_rtx_queue.next
    skb = sk.retransmit_skb_hint
    if skb is None:
        skb = rtx_head
    hole: SkBuff | None = None
    while skb is not None:
        if sk.sk_pacing_status != SK_PACING_NONE and tcp_pacing_check(sk):
            break
        if hole is None:
            sk.retransmit_skb_hint = skb
        segs = sk.snd_cwnd - tcp_packets_in_flight(sk)
        if segs <= 0:
            break
        if segs > max_segs:
            segs = max_segs
        sacked = skb.sacked
        if sk.retrans_out >= sk.lost_out:
            break
        if (sacked & TCPCB_LOST) == 0:
            if hole is None and (sacked & (TCPCB_SACKED_RETRANS | TCPCB_SACKED_ACKED)) == 0:
                hole = skb
            skb = skb.next
            continue
        if (sacked & (TCPCB_SACKED_ACKED | TCPCB_SACKED_RETRANS)) != 0:
            skb = skb.next
            continue
        if tcp_small_queue_check(sk, skb, 1):
            break
        if tcp_retransmit_skb(sk, skb, segs) != 0:
            break
        mib = LINUX_MIB_TCPFASTRETRANS if sk.icsk_ca_state != TCP_CA_Loss else LINUX_MIB_TCPSLOWSTARTRETRANS
        NET_ADD_STATS(net, mib, skb.gso_segs)
        if tcp_in_cwnd_reduction(sk):
            sk.prr_out += skb.gso_segs
        if skb is rtx_head and sk.icsk_pending != ICSK_TIME_REO_TIMEOUT:
            rearm_timer = True
        skb = skb.next
    if rearm_timer:
        tcp_reset_xmit_timer(sk, ICSK_TIME_RETRANS, sk.icsk_rto, sk.icsk_rto_max)


def tcp_probe_tail(sk: TcpSock) -> bool:
    """Send the last segment again, as nothing new can be sent. Part of Linux's tcp_send_loss_probe."""
    skb = sk.tcp_rtx_queue.prev
    if skb is None or skb_still_in_host_queue(sk, skb):
        return False
    mss = tcp_current_mss(sk)
    pcount = skb.gso_segs
    if pcount > 1 and skb.len > (pcount - 1) * mss:
        if tcp_fragment(sk, TCP_FRAG_IN_RTX_QUEUE, skb, (pcount - 1) * mss, mss) != 0:
            return False
        skb = skb.next
        assert skb is not None
    if __tcp_retransmit_skb(sk, skb, 1) != 0:
        return False
    sk.tlp_retrans = True
    return True


def tcp_send_loss_probe(sk: TcpSock) -> None:
    """No ACK for two RTTs: send something new, or the last segment again, so that the ACK shows what was lost.

    Linux: net/ipv4/tcp_output.c.  RFC 8985, 7.3; at most one probe until it is acknowledged.
    """
    if sk.tlp_high_seq == 0:
        sk.tlp_retrans = False
        mss = tcp_current_mss(sk)
        head = sk.sk_write_queue.next
        if head is not None and tcp_snd_wnd_test(sk, head, mss):
            packets = sk.packets_out
            tcp_write_xmit(sk, mss, TCP_NAGLE_OFF, 2)
            probed = sk.packets_out > packets
        else:
            probed = tcp_probe_tail(sk)
        if probed:
            sk.tlp_high_seq = sk.snd_nxt
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPLOSSPROBES)
            # the RTO counts from the probe on
            sk.icsk_pending = 0
    tcp_rearm_rto(sk)
