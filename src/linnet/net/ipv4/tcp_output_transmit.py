# SPDX-License-Identifier: Apache-2.0
"""tcp_transmit_skb: from an skb of a send queue to a segment on its way down.

What goes down is a clone: the original stays in the queue until it is acknowledged. The clone gets its header, built once, and
is charged to the socket until the last device lets go of it (tcp_wfree); a socket that has too much under way that way is not
served further (TCP small queues), and tcp_wfree wakes it up, through a softirq of its own, since it may be called deep inside
a transmission of the same socket.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.ip import INET_ECN_ECT_0, INET_ECN_MASK
from linnet.include.linux.netdevice import net_xmit_eval
from linnet.include.linux.skbuff import SKB_GSO_TCP_ECN, SkbDestructor, SkBuff, skb_push
from linnet.include.net.inet_connection_sock import (
    ICSK_TIME_DACK,
    inet_csk_ack_scheduled,
    inet_csk_inc_pingpong_cnt,
)
from linnet.include.net.snmp import LINUX_MIB_TCPACKCOMPRESSED, NET_ADD_STATS, TCP_MIB_OUTSEGS
from linnet.include.net.sock import SK_PACING_FQ, SK_PACING_NONE, sock_hold, sock_net
from linnet.include.net.tcp import (
    CA_EVENT_CWND_RESTART,
    CA_EVENT_TX_START,
    TCP_ATO_MIN,
    TCP_ECN_DEMAND_CWR,
    TCP_ECN_OK,
    TCP_ECN_QUEUE_CWR,
    TCP_INIT_CWND,
    TCP_NAGLE_PUSH,
    TCPHDR_ACK,
    TCPHDR_CWR,
    TCPHDR_ECE,
    TCPHDR_PSH,
    TCPHDR_SYN,
    TCPHDR_URG,
    TSQF_QUEUED,
    TSQF_THROTTLED,
    U32,
    TcpSock,
    after,
    before,
    tcp_packets_in_flight,
)
from linnet.kernel.softirq import raise_softirq
from linnet.net.core.skbuff import skb_clone, skb_copy_bits
from linnet.net.core.sock import __sk_free, sk_stop_timer
from linnet.net.ipv4.inet_connection_sock import inet_csk_clear_xmit_timer
from linnet.net.ipv4.tcp import skb_charge, tcp_add_write_queue_tail
from linnet.net.ipv4.tcp_cong import tcp_ca_event, tcp_ca_needs_ecn, tcp_snd_cwnd_set
from linnet.net.ipv4.tcp_input_cwnd import tcp_current_ssthresh, tcp_enter_cwr
from linnet.net.ipv4.tcp_ipv4_md5 import MD5_AT, tcp_md5_peer_key, tcp_md5_sign
from linnet.net.ipv4.tcp_output_mss import tcp_select_window
from linnet.net.ipv4.tcp_output_opts import (
    TcpOutOptions,
    tcp_established_hdr,
    tcp_established_options,
    tcp_options_hdr,
    tcp_options_write,
    tcp_syn_options,
)
from linnet.net.ipv4.tcp_output_pacing import TASKLET_SOFTIRQ, TsqTasklet, tcp_update_skb_after_send
from linnet.net.ipv4.tcp_rate import tcp_rate_skb_sent

LINUX_FILE: Final = 'net/ipv4/tcp_output.c'

U16_MAX: Final = 0xFFFF


class TcpWfree(SkbDestructor):
    """The destructor of data segments (Linux: tcp_wfree)."""

    def destruct(self, skb: SkBuff) -> None:
        """See tcp_wfree."""
        tcp_wfree(skb)


class TcpAckWfree(SkbDestructor):
    """The destructor of pure ACKs, which wake nobody (Linux: __sock_wfree)."""

    def destruct(self, skb: SkBuff) -> None:
        """See tcp_ack_wfree."""
        tcp_ack_wfree(skb)


TCP_WFREE: Final = TcpWfree()
TCP_ACK_WFREE: Final = TcpAckWfree()


def tcp_ack_wfree(skb: SkBuff) -> None:
    """Give back what the ACK was charged."""
    sk = skb.sk
    assert sk is not None
    skb.sk = None
    sk.sk_wmem_alloc -= skb.truesize
    if sk.sk_wmem_alloc == 0:
        __sk_free(sk)


def tcp_wfree(skb: SkBuff) -> None:
    """A segment left the host: its socket may send more, if it was held back.  Linux: net/ipv4/tcp_output.c."""
    sk = skb.sk
    assert isinstance(sk, TcpSock)
    skb.sk = None
    orig = skb.fclone_orig
    if orig is not None:
        orig.fclone_busy -= 1
        skb.fclone_orig = None
    sk.sk_wmem_alloc -= skb.truesize
    if sk.sk_wmem_alloc == 0:
        __sk_free(sk)
        return
    if (sk.sk_tsq_flags & (TSQF_THROTTLED | TSQF_QUEUED)) != TSQF_THROTTLED or sk.sk_refcnt == 0:
        return
    cpu = skb.world.cpu
    tasklet = cpu.actions[TASKLET_SOFTIRQ]
    if isinstance(tasklet, TsqTasklet):
        sk.sk_tsq_flags = (sk.sk_tsq_flags & ~TSQF_THROTTLED) | TSQF_QUEUED
        sock_hold(sk)
        tasklet.socks.append(sk)
        raise_softirq(cpu, TASKLET_SOFTIRQ)


def tcp_init_nondata_skb(skb: SkBuff, seq: i64, flags: i64) -> None:
    """Set up an skb that carries flags alone; SYN and FIN take a sequence number.  Linux: net/ipv4/tcp_output.c."""
    skb.tcp_flags = flags
    skb.gso_segs = 1
    skb.gso_size = 0
    skb.seq = seq
    if (flags & 0x03) != 0:  # SYN, FIN
        seq = (seq + 1) & U32
    skb.end_seq = seq


def tcp_queue_skb(sk: TcpSock, skb: SkBuff) -> None:
    """Put a prepared skb at the end of what is to be sent.  Linux: net/ipv4/tcp_output.c."""
    sk.write_seq = skb.end_seq
    tcp_add_write_queue_tail(sk, skb)
    skb_charge(sk, skb)


def tcp_skb_entail(sk: TcpSock, skb: SkBuff) -> None:
    """Queue a fresh skb that a send is about to fill.  Linux: net/ipv4/tcp.c."""
    skb.seq = sk.write_seq
    skb.end_seq = sk.write_seq
    skb.tcp_flags = TCPHDR_ACK
    tcp_add_write_queue_tail(sk, skb)
    skb_charge(sk, skb)
    if (sk.nonagle & TCP_NAGLE_PUSH) != 0:
        sk.nonagle &= ~TCP_NAGLE_PUSH
    tcp_slow_start_after_idle_check(sk)


def tcp_init_cwnd_of(tp: TcpSock) -> i64:
    """The initial window, segments: the route's initcwnd, or 10 (RFC 6928).  Linux: net/ipv4/tcp_input.c, tcp_init_cwnd."""
    cwnd: i64 = 0
    dst = tp.sk_dst_cache
    if dst is not None:
        cwnd = dst.metrics[11]  # RTAX_INITCWND
    if cwnd == 0:
        cwnd = TCP_INIT_CWND
    return cwnd if cwnd < tp.snd_cwnd_clamp else tp.snd_cwnd_clamp


def tcp_cwnd_restart(sk: TcpSock, delta: i64) -> None:
    """Nothing was sent for delta jiffies: the window halves for each RTO of it (RFC 2861).  Linux: net/ipv4/tcp_output.c."""
    restart_cwnd = tcp_init_cwnd_of(sk)
    cwnd = sk.snd_cwnd
    tcp_ca_event(sk, CA_EVENT_CWND_RESTART)
    sk.snd_ssthresh = tcp_current_ssthresh(sk)
    if restart_cwnd > cwnd:
        restart_cwnd = cwnd
    delta -= sk.icsk_rto
    while delta > 0 and cwnd > restart_cwnd:
        cwnd >>= 1
        delta -= sk.icsk_rto
    tcp_snd_cwnd_set(sk, cwnd if cwnd > restart_cwnd else restart_cwnd)
    sk.snd_cwnd_stamp = sock_net(sk).clock.now // 1_000_000
    sk.snd_cwnd_used = 0


def tcp_slow_start_after_idle_check(sk: TcpSock) -> None:
    """Sending begins again: after an idle RTO the window is no longer trusted (RFC 5681, 4.1).  Linux: include/net/tcp.h."""
    if sk.packets_out != 0:
        return
    net = sock_net(sk)
    if net.ipv4.sysctl_tcp_slow_start_after_idle == 0:
        return
    ca = sk.icsk_ca_ops
    if ca is not None and ca.has_cong_control:
        return
    delta = net.clock.now // 1_000_000 - sk.lsndtime
    if delta > sk.icsk_rto:
        tcp_cwnd_restart(sk, delta)


def tcp_event_data_sent(tp: TcpSock) -> None:
    """Data is leaving: note when, and whether it answers something just received.  Linux: net/ipv4/tcp_output.c."""
    now = tp.tcp_mstamp // 1_000_000
    if tcp_packets_in_flight(tp) == 0:
        tcp_ca_event(tp, CA_EVENT_TX_START)
    tp.lsndtime = now
    if now - tp.ack_lrcvtime < tp.ack_ato:
        inet_csk_inc_pingpong_cnt(tp)


def tcp_event_ack_sent(tp: TcpSock, rcv_nxt: i64) -> None:
    """An ACK of everything up to rcv_nxt is leaving: none is owed any more.  Linux: net/ipv4/tcp_output.c."""
    if tp.compressed_ack != 0:
        # it says what the ones held back would have said
        NET_ADD_STATS(sock_net(tp), LINUX_MIB_TCPACKCOMPRESSED, tp.compressed_ack)
        tp.compressed_ack = 0
        timer = tp.compressed_ack_timer
        if timer is not None:
            sk_stop_timer(tp, timer)
    if rcv_nxt != tp.rcv_nxt:
        return
    quick = tp.ack_quick
    if quick != 0 and inet_csk_ack_scheduled(tp):
        if quick <= 1:
            tp.ack_quick = 0
            # leaving quick ACK mode, the delay starts from its least value
            tp.ack_ato = TCP_ATO_MIN
        else:
            tp.ack_quick = quick - 1
    if tp.ack_pending != 0:
        inet_csk_clear_xmit_timer(tp, ICSK_TIME_DACK)


def tcp_urg_ptr(tp: TcpSock, skb: SkBuff) -> i64:
    """The urgent pointer for skb, 0 for none (RFC 6093).  Linux: net/ipv4/tcp_output.c, tcp_transmit_skb."""
    if not before(skb.seq, tp.snd_up):
        return 0
    if before(tp.snd_up, (skb.seq + 0x10000) & U32):
        return (tp.snd_up - skb.seq) & U32
    if after((skb.seq + 0xFFFF) & U32, tp.snd_nxt):
        return 0xFFFF
    return 0


def tcp_ecn_send_syn(sk: TcpSock, skb: SkBuff) -> None:
    """Ask for ECN in our SYN, where tcp_ecn is 1 (RFC 3168, 6.1.1).  Linux: net/ipv4/tcp_output.c."""
    sk.ecn_flags = 0
    needs = tcp_ca_needs_ecn(sk)
    if sock_net(sk).ipv4.sysctl_tcp_ecn == 1 or needs:
        skb.tcp_flags |= TCPHDR_ECE | TCPHDR_CWR
        sk.ecn_flags = TCP_ECN_OK
        if needs:
            sk.tos |= INET_ECN_ECT_0


def tcp_ecn_send_synack(sk: TcpSock, skb: SkBuff) -> None:
    """The SYN-ACK of crossed SYNs agrees by ECE alone.  Linux: net/ipv4/tcp_output.c."""
    skb.tcp_flags &= ~TCPHDR_CWR
    if (sk.ecn_flags & TCP_ECN_OK) == 0:
        skb.tcp_flags &= ~TCPHDR_ECE
    elif tcp_ca_needs_ecn(sk):
        sk.tos |= INET_ECN_ECT_0


def tcp_ecn_send(sk: TcpSock, skb: SkBuff) -> i64:
    """ECN of a segment: new data is ECN-capable, ACKs and retransmissions are not. Returns the ECE and CWR flags to add.

    Linux: net/ipv4/tcp_output.c.  RFC 3168, 6.1.2 to 6.1.5.
    """
    add: i64 = 0
    if skb.len != 0 and not before(skb.seq, sk.snd_nxt):
        sk.tos |= INET_ECN_ECT_0
        if (sk.ecn_flags & TCP_ECN_QUEUE_CWR) != 0:
            sk.ecn_flags &= ~TCP_ECN_QUEUE_CWR
            add = TCPHDR_CWR
            skb.gso_type |= SKB_GSO_TCP_ECN
    elif not tcp_ca_needs_ecn(sk):
        sk.tos &= ~INET_ECN_MASK
    if (sk.ecn_flags & TCP_ECN_DEMAND_CWR) != 0:
        add |= TCPHDR_ECE
    return add


def tcp_signed(sk: TcpSock, skb: SkBuff, header: bytes) -> bytes:
    """The header of skb, whose data is its payload, with its MD5 signature where the peer has a key."""
    if sk.md5sig_info is None:
        return header
    key = tcp_md5_peer_key(sk, sk)
    if key is None:
        return header
    return tcp_md5_sign(header, MD5_AT, key, sk, skb_copy_bits(skb, 0, skb.len))


def tcp_build_header(sk: TcpSock, skb: SkBuff, rcv_nxt: i64) -> bytes:
    """The TCP header for skb, its checksum field 0. Chooses the window and the options."""
    flags = skb.tcp_flags
    if (flags & TCPHDR_SYN) == 0:
        if skb.gso_segs > 1:
            # a burst ends here: whoever merges segments shall hand them on
            flags |= TCPHDR_PSH
            skb.tcp_flags = flags
        window = tcp_select_window(sk)
        if (sk.ecn_flags & TCP_ECN_OK) != 0:
            flags |= tcp_ecn_send(sk, skb)
        urg_ptr: i64 = 0
        if sk.snd_up != sk.snd_una:
            urg_ptr = tcp_urg_ptr(sk, skb)
            if urg_ptr != 0:
                flags |= TCPHDR_URG
        if len(sk.selective_acks) == 0 and len(sk.duplicate_sack) == 0 and sk.md5sig_info is None:
            return tcp_established_hdr(sk, skb, rcv_nxt, flags, window, urg_ptr)
        opts = TcpOutOptions()
        tcp_established_options(sk, skb, opts)
        return tcp_signed(sk, skb, tcp_options_hdr(
            sk.inet_sport, sk.sk_dport, skb.seq, rcv_nxt, flags, window, urg_ptr, tcp_options_write(sk, opts),
        ))
    opts = TcpOutOptions()
    tcp_syn_options(sk, skb, opts)
    # the window of a SYN is never scaled (RFC 7323, 2.2)
    window = sk.rcv_wnd if sk.rcv_wnd < U16_MAX else U16_MAX
    ack_seq = rcv_nxt if (flags & TCPHDR_ACK) != 0 else 0
    return tcp_signed(
        sk, skb, tcp_options_hdr(sk.inet_sport, sk.sk_dport, skb.seq, ack_seq, flags, window, 0, tcp_options_write(None, opts)),
    )


def tcp_transmit_skb(sk: TcpSock, oskb: SkBuff, clone_it: bool, rcv_nxt: i64) -> i64:
    """Send an skb: a clone of one that stays queued (clone_it), or oskb itself, which is then owned by the layers below.

    rcv_nxt: what to acknowledge, as a rule sk.rcv_nxt. Returns 0, or a negative errno where nothing was sent.
    Linux: net/ipv4/tcp_output.c, __tcp_transmit_skb since 4.13.
    """
    prior_wstamp = sk.tcp_wstamp_ns
    if prior_wstamp < sk.tcp_mstamp:
        sk.tcp_wstamp_ns = sk.tcp_mstamp
    # when it departs: now, or with fq below, in its turn
    oskb.tstamp = sk.tcp_wstamp_ns
    skb = oskb
    if clone_it:
        skb = skb_clone(oskb)
        skb.fclone_orig = oskb
        oskb.fclone_busy += 1
    header = tcp_build_header(sk, skb, rcv_nxt)
    payload = skb.len
    skb_push(skb, header)
    skb.transport_header = 0
    skb.tcp_doff = len(header)
    skb.sk = sk
    truesize = skb.truesize
    if payload == 0 and not clone_it:
        skb.destructor = TCP_ACK_WFREE
    else:
        skb.destructor = TCP_WFREE
    sk.sk_wmem_alloc += truesize
    # whoever receives it stamps it, unless fq has to hold it back
    skb.tstamp = 0
    if sk.sk_pacing_status == SK_PACING_FQ or sk.tcp_tx_delay != 0:
        skb.tstamp = sk.tcp_wstamp_ns + sk.tcp_tx_delay * 1000
    skb.hash = sk.sk_txhash
    pcount = skb.gso_segs
    if pcount > 1:
        skb.gso_type |= sk.sk_gso_type
    else:
        skb.gso_size = 0
    af_ops = sk.icsk_af_ops
    af_ops.send_check(sk, skb)
    if (skb.tcp_flags & TCPHDR_ACK) != 0:
        tcp_event_ack_sent(sk, rcv_nxt)
    if payload != 0:
        tcp_event_data_sent(sk)
        sk.data_segs_out += pcount
        sk.bytes_sent += payload
    if after(oskb.end_seq, sk.snd_nxt) or oskb.seq == oskb.end_seq:
        NET_ADD_STATS(sock_net(sk), TCP_MIB_OUTSEGS, pcount)
    sk.segs_out += pcount
    err = af_ops.queue_xmit(sk, skb)  # walk: indirect icsk->icsk_af_ops->queue_xmit
    if err > 0:
        # the qdisc said that it is congested
        tcp_enter_cwr(sk)
        err = net_xmit_eval(err)
    if err == 0 and clone_it:
        if sk.sk_pacing_status != SK_PACING_NONE:
            tcp_update_skb_after_send(sk, oskb, prior_wstamp)
        tcp_rate_skb_sent(sk, oskb)
    return err
