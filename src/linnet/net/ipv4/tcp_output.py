# SPDX-License-Identifier: Apache-2.0
"""The sending side of TCP: opening, closing, resetting, acknowledging and probing; and all of tcp_output.c's names in one place.

What Linux keeps in one file of 4,700 lines is parted by its own seams: options (tcp_output_opts), sizes and windows
(tcp_output_mss), header and transmission (tcp_output_transmit), cutting (tcp_output_frag), the send loop (tcp_output_xmit) and
retransmission (tcp_output_rtx). Segments without data (SYN, FIN, RST, ACK, probes) are made here. A SYN and a FIN are queued like
data and retransmitted like data; ACKs, RSTs and probes are sent once.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.skbuff import MAX_TCP_HEADER, SkbFrag, SkBuff, __skb_queue_tail, skb_push
from linnet.include.linux.tcp import TCP_HLEN
from linnet.include.net.dst import RTAX_INITRWND, RTAX_WINDOW, DstEntry
from linnet.include.net.inet_connection_sock import (
    ICSK_ACK_PUSHED,
    ICSK_ACK_SCHED,
    ICSK_ACK_TIMER,
    ICSK_TIME_PROBE0,
    ICSK_TIME_RETRANS,
    inet_csk_ack_scheduled,
    inet_csk_in_pingpong_mode,
)
from linnet.include.net.net_namespace import World
from linnet.include.net.request_sock import RequestSock, TcpFastopenCookie
from linnet.include.net.snmp import (
    LINUX_MIB_TCPABORTFAILED,
    LINUX_MIB_TCPORIGDATASENT,
    LINUX_MIB_TCPWINPROBE,
    NET_INC_STATS,
    TCP_MIB_ACTIVEOPENS,
    TCP_MIB_OUTRSTS,
    TCP_MIB_OUTSEGS,
)
from linnet.include.net.sock import SOCK_DONE, SOCK_RCVBUF_LOCK, Sock, SockTimer, sock_net, sock_reset_flag
from linnet.include.net.tcp import (
    MAX_TCP_OPTION_SPACE,
    TCP_CHRONO_BUSY,
    TCP_DEFERRED_ALL,
    TCP_DELACK_MAX,
    TCP_DELACK_MIN,
    TCP_NAGLE_OFF,
    TCP_RESOURCE_PROBE_INTERVAL,
    TCP_TIMEOUT_INIT,
    TCPF_ACK_DEFERRED,
    TCPF_DELACK_TIMER_DEFERRED,
    TCPF_MTU_REDUCED_DEFERRED,
    TCPF_TSQ_DEFERRED,
    TCPF_WRITE_TIMER_DEFERRED,
    TCPHDR_ACK,
    TCPHDR_ECE,
    TCPHDR_FIN,
    TCPHDR_PSH,
    TCPHDR_RST,
    TCPHDR_SYN,
    TCPOLEN_MD5SIG_ALIGNED,
    TCPOLEN_TSTAMP_ALIGNED,
    TSQF_QUEUED,
    U32,
    TcpFastopenRequest,
    TcpSock,
    before,
    between,
    tcp_clock_ns,
    tcp_full_space,
    tcp_mstamp_refresh,
    tcp_packets_in_flight,
    tcp_probe0_when,
    tcp_sk,
    tcp_time_stamp,
    tcp_tsorted_move_tail,
    tcp_wnd_end,
)
from linnet.include.net.tcp_states import (
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCPF_CLOSE_WAIT,
    TCPF_CLOSING,
    TCPF_ESTABLISHED,
    TCPF_FIN_WAIT1,
    TCPF_LAST_ACK,
)
from linnet.include.trace.events.tcp import trace_tcp_send_reset
from linnet.kernel.errno import ECONNREFUSED, EFAULT, EHOSTUNREACH
from linnet.kernel.softirq import Cpu, open_softirq
from linnet.net.core.skbuff import alloc_skb, skb_zcopy_set
from linnet.net.core.sock import sk_forced_mem_schedule, sk_reset_timer, sock_put
from linnet.net.ipv4.inet_connection_sock import inet_csk_reset_xmit_timer
from linnet.net.ipv4.syncookies import cookie_init_timestamp
from linnet.net.ipv4.tcp import (
    TCP_SKB_TRUESIZE,
    sk_stream_alloc_skb,
    skb_charge,
    tcp_under_memory_pressure,
    tcp_write_queue_purge,
)
from linnet.net.ipv4.tcp_chrono import tcp_chrono_start as tcp_chrono_start
from linnet.net.ipv4.tcp_chrono import tcp_chrono_stop as tcp_chrono_stop
from linnet.net.ipv4.tcp_fastopen import tcp_fastopen_cookie_check
from linnet.net.ipv4.tcp_input_cwnd import tcp_initialize_rcv_mss, tcp_rto_min
from linnet.net.ipv4.tcp_ipv4_md5 import MD5_AT, tcp_md5_peer_key, tcp_md5_sign
from linnet.net.ipv4.tcp_output_frag import TCP_FRAG_IN_RTX_QUEUE as TCP_FRAG_IN_RTX_QUEUE
from linnet.net.ipv4.tcp_output_frag import TCP_FRAG_IN_WRITE_QUEUE as TCP_FRAG_IN_WRITE_QUEUE
from linnet.net.ipv4.tcp_output_frag import tcp_adjust_pcount as tcp_adjust_pcount
from linnet.net.ipv4.tcp_output_frag import tcp_fragment as tcp_fragment
from linnet.net.ipv4.tcp_output_frag import tcp_set_skb_tso_segs as tcp_set_skb_tso_segs
from linnet.net.ipv4.tcp_output_frag import tcp_trim_head as tcp_trim_head
from linnet.net.ipv4.tcp_output_frag import tcp_verify_left_out as tcp_verify_left_out
from linnet.net.ipv4.tcp_output_mss import InitialWindow as InitialWindow
from linnet.net.ipv4.tcp_output_mss import __tcp_mtu_to_mss
from linnet.net.ipv4.tcp_output_mss import __tcp_select_window as __tcp_select_window
from linnet.net.ipv4.tcp_output_mss import tcp_current_mss as tcp_current_mss
from linnet.net.ipv4.tcp_output_mss import tcp_mss_to_mtu as tcp_mss_to_mtu
from linnet.net.ipv4.tcp_output_mss import tcp_mtu_to_mss as tcp_mtu_to_mss
from linnet.net.ipv4.tcp_output_mss import tcp_mtup_init as tcp_mtup_init
from linnet.net.ipv4.tcp_output_mss import tcp_select_initial_window as tcp_select_initial_window
from linnet.net.ipv4.tcp_output_mss import tcp_select_window as tcp_select_window
from linnet.net.ipv4.tcp_output_mss import tcp_sync_mss as tcp_sync_mss
from linnet.net.ipv4.tcp_output_opts import TcpOutOptions as TcpOutOptions
from linnet.net.ipv4.tcp_output_opts import tcp_mss_clamp as tcp_mss_clamp
from linnet.net.ipv4.tcp_output_opts import tcp_options_hdr as tcp_options_hdr
from linnet.net.ipv4.tcp_output_opts import tcp_options_write as tcp_options_write
from linnet.net.ipv4.tcp_output_opts import tcp_synack_options as tcp_synack_options
from linnet.net.ipv4.tcp_output_pacing import TASKLET_SOFTIRQ, TsqTasklet, tcp_reset_xmit_timer
from linnet.net.ipv4.tcp_output_pacing import tcp_pacing_check as tcp_pacing_check
from linnet.net.ipv4.tcp_output_rtx import __tcp_retransmit_skb as __tcp_retransmit_skb
from linnet.net.ipv4.tcp_output_rtx import tcp_retransmit_skb as tcp_retransmit_skb
from linnet.net.ipv4.tcp_output_rtx import tcp_send_loss_probe as tcp_send_loss_probe
from linnet.net.ipv4.tcp_output_rtx import tcp_xmit_retransmit_queue as tcp_xmit_retransmit_queue
from linnet.net.ipv4.tcp_output_transmit import tcp_cwnd_restart as tcp_cwnd_restart
from linnet.net.ipv4.tcp_output_transmit import (
    tcp_ecn_send_syn,
    tcp_ecn_send_synack,
    tcp_init_nondata_skb,
    tcp_queue_skb,
)
from linnet.net.ipv4.tcp_output_transmit import tcp_init_cwnd_of as tcp_init_cwnd_of
from linnet.net.ipv4.tcp_output_transmit import tcp_slow_start_after_idle_check as tcp_slow_start_after_idle_check
from linnet.net.ipv4.tcp_output_transmit import tcp_transmit_skb as tcp_transmit_skb
from linnet.net.ipv4.tcp_output_xmit import __tcp_push_pending_frames as __tcp_push_pending_frames
from linnet.net.ipv4.tcp_output_xmit import tcp_event_new_data_sent as tcp_event_new_data_sent
from linnet.net.ipv4.tcp_output_xmit import tcp_push_one as tcp_push_one
from linnet.net.ipv4.tcp_output_xmit import tcp_push_pending_frames as tcp_push_pending_frames
from linnet.net.ipv4.tcp_output_xmit import tcp_schedule_loss_probe as tcp_schedule_loss_probe
from linnet.net.ipv4.tcp_output_xmit import tcp_tso_segs as tcp_tso_segs
from linnet.net.ipv4.tcp_output_xmit import tcp_write_xmit as tcp_write_xmit

# -- opening

def tcp_connect_init(sk: TcpSock) -> None:
    """Set up the numbers and sizes of an active open.  Linux: net/ipv4/tcp_output.c."""
    net = sock_net(sk)
    dst = sk.sk_dst_cache
    assert dst is not None
    rx_opt = sk.rx_opt
    # the peer's answer may take the timestamps away again; until then segments are that much shorter
    sk.tcp_header_len = TCP_HLEN
    if net.ipv4.sysctl_tcp_timestamps != 0:
        sk.tcp_header_len += TCPOLEN_TSTAMP_ALIGNED
    if sk.md5sig_info is not None and tcp_md5_peer_key(sk, sk) is not None:
        sk.tcp_header_len += TCPOLEN_MD5SIG_ALIGNED
    if rx_opt.user_mss != 0:
        rx_opt.mss_clamp = rx_opt.user_mss
    sk.max_window = 0
    tcp_mtup_init(sk)
    tcp_sync_mss(sk, dst.mtu())
    if sk.window_clamp == 0:
        sk.window_clamp = dst.metrics[RTAX_WINDOW]
    sk.advmss = tcp_mss_clamp(sk, dst.advmss())
    tcp_initialize_rcv_mss(sk)
    full_space = tcp_full_space(sk)
    if (sk.sk_userlocks & SOCK_RCVBUF_LOCK) != 0 and (sk.window_clamp > full_space or sk.window_clamp == 0):
        sk.window_clamp = full_space
    mss = sk.advmss
    if rx_opt.ts_recent_stamp != 0:
        mss -= sk.tcp_header_len - TCP_HLEN
    window = tcp_select_initial_window(
        sk, full_space, mss, sk.window_clamp, net.ipv4.sysctl_tcp_window_scaling != 0, dst.metrics[RTAX_INITRWND],
    )
    sk.rcv_wnd = window.rcv_wnd
    sk.window_clamp = window.window_clamp
    rx_opt.rcv_wscale = window.rcv_wscale
    sk.rcv_ssthresh = sk.rcv_wnd
    sk.sk_err = 0
    sock_reset_flag(sk, SOCK_DONE)
    sk.snd_wnd = 0
    sk.snd_wl1 = 0
    tcp_write_queue_purge(sk)
    sk.snd_una = sk.write_seq
    sk.snd_sml = sk.write_seq
    sk.snd_up = sk.write_seq
    sk.snd_nxt = sk.write_seq
    sk.rcv_nxt = 0
    sk.rcv_wup = 0
    sk.copied_seq = 0
    sk.icsk_rto = TCP_TIMEOUT_INIT
    sk.icsk_retransmits = 0
    tcp_clear_retrans(sk)


def tcp_clear_retrans(tp: TcpSock) -> None:
    """Nothing is sent again, lost, or to be undone.  Linux: net/ipv4/tcp_input.c."""
    tp.retrans_out = 0
    tp.lost_out = 0
    tp.undo_marker = 0
    tp.undo_retrans = -1
    tp.sacked_out = 0
    tp.rto_stamp = 0
    tp.total_rto = 0
    tp.total_rto_recoveries = 0


def tcp_connect_queue_skb(sk: TcpSock, skb: SkBuff) -> None:
    """Account for the SYN as sent and not acknowledged.  Linux: net/ipv4/tcp_output.c."""
    skb.end_seq = (skb.end_seq + skb.len) & U32
    skb_charge(sk, skb)
    sk.write_seq = skb.end_seq
    sk.packets_out += skb.gso_segs


def tcp_send_syn_data(sk: TcpSock, syn: SkBuff, fo: TcpFastopenRequest) -> i64:
    """Send the SYN with as much data as the peer's known MSS allows, or, without a cookie, with a request for one.

    What goes out is one segment; queued are two, the bare SYN and the data, so that either can be sent again alone.
    Linux: net/ipv4/tcp_output.c.  RFC 7413, 4.2.1.
    """
    sk.rx_opt.mss_clamp = sk.advmss  # if the peer's is not known
    if tcp_fastopen_cookie_check(sk, fo.cookie):
        sk.rx_opt.mss_clamp = tcp_mss_clamp(sk, sk.rx_opt.mss_clamp)
        tcp_sync_mss(sk, sk.icsk_pmtu_cookie)
        # room is left for every option there is: something on the way may add some
        space = __tcp_mtu_to_mss(sk, sk.icsk_pmtu_cookie) - MAX_TCP_OPTION_SPACE
        if space > fo.size:
            space = fo.size
        syn_data = sk_stream_alloc_skb(sk, False)
        if syn_data is not None:
            return tcp_send_syn_with(sk, syn, syn_data, fo, space)
    if fo.cookie.len > 0:
        fo.cookie.len = 0
        fo.cookie.val = b''
    err = tcp_transmit_skb(sk, syn, True, sk.rcv_nxt)
    if err != 0:
        sk.syn_fastopen = False
    fo.cookie.len = -1  # a SYN that is sent again has no Fast Open option
    return err


def tcp_send_syn_with(sk: TcpSock, syn: SkBuff, syn_data: SkBuff, fo: TcpFastopenRequest, space: i64) -> i64:
    """Send `space` bytes with the SYN. The second half of Linux's tcp_send_syn_data."""
    tcp_init_nondata_skb(syn_data, syn.seq, syn.tcp_flags)
    msg = fo.data
    if space > 0 and msg is not None:
        syn_data.frags.append(SkbFrag(msg.data, msg.offset, space))
        msg.offset += space
        syn_data.len += space
        syn_data.data_len += space
        syn_data.truesize += space
        uarg = msg.msg_ubuf
        if uarg is not None:
            skb_zcopy_set(syn_data, uarg)
    fo.copied = syn_data.len
    if fo.copied == fo.size:
        fo.data = None  # no more waits: see connect_writebias
    tcp_connect_queue_skb(sk, syn_data)
    if syn_data.len != 0:
        tcp_chrono_start(sk, TCP_CHRONO_BUSY)
    err = tcp_transmit_skb(sk, syn_data, True, sk.rcv_nxt)
    syn.tstamp = syn_data.tstamp
    syn_data.seq = (syn_data.seq + 1) & U32
    syn_data.tcp_flags = TCPHDR_ACK | TCPHDR_PSH
    if err == 0:
        sk.syn_data = fo.copied > 0
        __skb_queue_tail(sk.tcp_rtx_queue, syn_data)
        tcp_tsorted_move_tail(sk, syn_data)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPORIGDATASENT)
        fo.cookie.len = -1
        return 0
    # it did not leave this host: the data waits, and a bare SYN goes
    __skb_queue_tail(sk.sk_write_queue, syn_data)
    sk.packets_out -= syn_data.gso_segs
    fo.cookie.len = 0
    fo.cookie.val = b''
    err = tcp_transmit_skb(sk, syn, True, sk.rcv_nxt)
    if err != 0:
        sk.syn_fastopen = False
    fo.cookie.len = -1
    return err


def tcp_connect(sk: TcpSock) -> int:
    """Send the SYN. 0 or a negative errno.  Linux: net/ipv4/tcp_output.c.  RFC 9293, 3.10.1."""
    if sk.icsk_af_ops.rebuild_header(sk) != 0:
        return -EHOSTUNREACH
    tcp_connect_init(sk)
    buff = sk_stream_alloc_skb(sk, True)
    assert buff is not None  # forced
    tcp_init_nondata_skb(buff, sk.write_seq, TCPHDR_SYN)
    tcp_mstamp_refresh(sk)
    sk.retrans_stamp = tcp_time_stamp(sk)
    tcp_connect_queue_skb(sk, buff)
    tcp_ecn_send_syn(sk, buff)
    __skb_queue_tail(sk.tcp_rtx_queue, buff)
    tcp_tsorted_move_tail(sk, buff)
    fastopen = sk.fastopen_req
    err = tcp_transmit_skb(sk, buff, True, sk.rcv_nxt) if fastopen is None else tcp_send_syn_data(sk, buff, fastopen)
    if err == -ECONNREFUSED:
        return int(err)
    # only now: the SYN counts as new while it is sent
    sk.snd_nxt = sk.write_seq
    sk.pushed_seq = sk.write_seq
    waiting = sk.sk_write_queue.next
    if waiting is not None:
        sk.snd_nxt = waiting.seq
        sk.pushed_seq = waiting.seq
    NET_INC_STATS(sock_net(sk), TCP_MIB_ACTIVEOPENS)
    inet_csk_reset_xmit_timer(sk, ICSK_TIME_RETRANS, sk.icsk_rto, sk.icsk_rto_max)
    return 0


def tcp_send_synack(sk: TcpSock) -> int:
    """SYNs crossed: send ours again, with an ACK (RFC 9293, 3.5, simultaneous open).  Linux: net/ipv4/tcp_output.c."""
    skb = sk.tcp_rtx_queue.next
    if skb is None or (skb.tcp_flags & TCPHDR_SYN) == 0:
        return -EFAULT
    skb.tcp_flags |= TCPHDR_ACK
    tcp_ecn_send_synack(sk, skb)
    return int(tcp_transmit_skb(sk, skb, True, sk.rcv_nxt))


def tcp_make_synack(sk: TcpSock, dst: DstEntry, req: RequestSock, foc: TcpFastopenCookie | None) -> SkBuff:
    """The SYN-ACK of a listener for req, without checksum; its route is dst.

    foc: Fast Open's option for it.  Linux: net/ipv4/tcp_output.c; what type of SYN-ACK it is, req tells.
    """
    net = sock_net(sk)
    skb = alloc_skb(net.world, MAX_TCP_HEADER)
    skb.dst = dst
    now = tcp_clock_ns(sk)
    skb.tstamp = cookie_init_timestamp(req, now) if req.syncookie and req.tstamp_ok else now
    if req.snt_synack < 0:
        req.snt_synack = now
    mss = tcp_mss_clamp(sk, dst.advmss())
    opts = TcpOutOptions()
    tcp_synack_options(sk, req, mss, skb, opts, foc)
    # a SYN-ACK's window is never scaled (RFC 7323, 2.2)
    window = req.rsk_rcv_wnd if req.rsk_rcv_wnd < 65535 else 65535
    flags: i64 = TCPHDR_SYN | TCPHDR_ACK
    if req.ecn_ok:
        flags |= TCPHDR_ECE
    tcp_init_nondata_skb(skb, req.snt_isn, flags)
    header = tcp_options_hdr(
        req.ir_num, req.ir_rmt_port, req.snt_isn, req.rcv_nxt, flags, window, 0, tcp_options_write(None, opts),
    )
    if sk.md5sig_info is not None:
        key = tcp_md5_peer_key(sk, req)
        if key is not None:
            header = tcp_md5_sign(header, MD5_AT, key, req, b'')
    skb_push(skb, header)
    skb.transport_header = 0
    skb.tcp_doff = len(header)
    skb.hash = req.txhash
    skb.mark = req.ir_mark
    NET_INC_STATS(net, TCP_MIB_OUTSEGS)
    return skb


# -- closing

def tcp_send_fin(sk: TcpSock) -> None:
    """Queue a FIN behind all data, on the last skb if that was not sent yet, and send.  Linux: net/ipv4/tcp_output.c."""
    tail = sk.sk_write_queue.prev
    if tail is None and tcp_under_memory_pressure(sk):
        tail = sk.tcp_rtx_queue.prev
    if tail is not None:
        tail.tcp_flags |= TCPHDR_FIN
        tail.end_seq = (tail.end_seq + 1) & U32
        sk.write_seq = (sk.write_seq + 1) & U32
        if sk.sk_write_queue.next is None:
            # it goes with the retransmission of what was sent already
            sk.snd_nxt = (sk.snd_nxt + 1) & U32
            return
    else:
        skb = alloc_skb(sock_net(sk).world, MAX_TCP_HEADER)
        skb.truesize = TCP_SKB_TRUESIZE
        sk_forced_mem_schedule(sk, skb.truesize)
        tcp_init_nondata_skb(skb, sk.write_seq, TCPHDR_ACK | TCPHDR_FIN)
        tcp_queue_skb(sk, skb)
    __tcp_push_pending_frames(sk, tcp_current_mss(sk), TCP_NAGLE_OFF)


def tcp_acceptable_seq(tp: TcpSock) -> i64:
    """A sequence number that the peer will find in its window.  Linux: net/ipv4/tcp_output.c."""
    wnd_end = tcp_wnd_end(tp)
    if not before(wnd_end, tp.snd_nxt):
        return tp.snd_nxt
    # the peer's window is known only up to its scale
    if tp.rx_opt.wscale_ok and ((tp.snd_nxt - wnd_end) & U32) < (1 << tp.rx_opt.rcv_wscale):
        return tp.snd_nxt
    return wnd_end


def tcp_send_active_reset(sk: TcpSock) -> None:
    """Abort: tell the peer by a RST (RFC 9293, 3.10.5).  Linux: net/ipv4/tcp_output.c."""
    net = sock_net(sk)
    NET_INC_STATS(net, TCP_MIB_OUTRSTS)
    skb = alloc_skb(net.world, MAX_TCP_HEADER)
    tcp_init_nondata_skb(skb, tcp_acceptable_seq(sk), TCPHDR_ACK | TCPHDR_RST)
    skb.sport = sk.sk_dport
    skb.dport = sk.inet_sport
    tcp_mstamp_refresh(sk)
    trace_tcp_send_reset(sk, skb)
    if tcp_transmit_skb(sk, skb, False, sk.rcv_nxt) != 0:
        NET_INC_STATS(net, LINUX_MIB_TCPABORTFAILED)


# -- acknowledging

def __tcp_send_ack(sk: TcpSock, rcv_nxt: i64) -> None:
    """Send an ACK of everything up to rcv_nxt now.  Linux: net/ipv4/tcp_output.c."""
    if sk.sk_state == TCP_CLOSE:
        return
    buff = alloc_skb(sock_net(sk).world, MAX_TCP_HEADER)
    tcp_init_nondata_skb(buff, tcp_acceptable_seq(sk), TCPHDR_ACK)
    # marks a pure ACK, and is what it is charged: it must not hold data back
    buff.truesize = 2
    tcp_transmit_skb(sk, buff, False, rcv_nxt)


def tcp_send_ack(sk: TcpSock) -> None:
    """Send an ACK now.  Linux: net/ipv4/tcp_output.c."""
    __tcp_send_ack(sk, sk.rcv_nxt)


def tcp_delack_max(sk: TcpSock) -> i64:
    """The longest delay of an ACK, jiffies: below the least RTO.  Linux: net/ipv4/tcp_output.c."""
    low = tcp_rto_min(sk)
    low = (low if low > 2 else 2) - 1
    return sk.icsk_delack_max if sk.icsk_delack_max < low else low


def tcp_send_delayed_ack(sk: TcpSock) -> None:
    """An ACK is owed, but may wait for data to ride on, or for the next segment (RFC 1122, 4.2.3.2).

    Linux: net/ipv4/tcp_output.c.
    """
    ato = sk.ack_ato
    now = tcp_clock_ns(sk)
    if ato > TCP_DELACK_MIN:
        max_ato: i64 = 500
        if inet_csk_in_pingpong_mode(sk) or (sk.ack_pending & ICSK_ACK_PUSHED) != 0:
            max_ato = TCP_DELACK_MAX
        # a sender that waits for it can notice no delay below the RTT
        if sk.srtt_us != 0:
            rtt = (sk.srtt_us >> 3) // 1000
            if rtt < TCP_DELACK_MIN:
                rtt = TCP_DELACK_MIN
            if rtt < max_ato:
                max_ato = rtt
        if ato > max_ato:
            ato = max_ato
    most = tcp_delack_max(sk)
    if ato > most:
        ato = most
    timeout = now + ato * 1_000_000
    if (sk.ack_pending & ICSK_ACK_TIMER) != 0:
        # about to run out anyway: send it
        if sk.ack_timeout <= now + (ato >> 2) * 1_000_000:
            tcp_send_ack(sk)
            return
        if timeout > sk.ack_timeout:
            timeout = sk.ack_timeout
    sk.ack_pending |= ICSK_ACK_SCHED | ICSK_ACK_TIMER
    sk.ack_timeout = timeout
    timer = sk.icsk_delack_timer
    assert timer is not None
    sk_reset_timer(sk, timer, timeout)


# -- probing

def tcp_xmit_probe_skb(sk: TcpSock, urgent: i64, mib: i64) -> i64:
    """Send an ACK that the peer must answer: without data, with a sequence number it has already (urgent: the next one).

    Linux: net/ipv4/tcp_output.c.  RFC 1122, 4.2.3.6.
    """
    net = sock_net(sk)
    skb = alloc_skb(net.world, MAX_TCP_HEADER)
    seq = sk.snd_una if urgent != 0 else (sk.snd_una - 1) & U32
    tcp_init_nondata_skb(skb, seq, TCPHDR_ACK)
    NET_INC_STATS(net, mib)
    return tcp_transmit_skb(sk, skb, False, sk.rcv_nxt)


def tcp_send_window_probe(sk: TcpSock) -> None:
    """Ask the peer for its window.  Linux: net/ipv4/tcp_output.c."""
    if sk.sk_state == TCP_ESTABLISHED:
        sk.snd_wl1 = (sk.rcv_nxt - 1) & U32
        tcp_mstamp_refresh(sk)
        tcp_xmit_probe_skb(sk, 0, LINUX_MIB_TCPWINPROBE)


def tcp_write_wakeup(sk: TcpSock, mib: i64) -> i64:
    """Send what fits the window as a probe, or a bare one. 0: sent; positive: the qdisc dropped it; negative: not sent.

    Linux: net/ipv4/tcp_output.c.
    """
    if sk.sk_state == TCP_CLOSE:
        return -1
    skb = sk.sk_write_queue.next
    if skb is not None and before(skb.seq, tcp_wnd_end(sk)):
        mss = tcp_current_mss(sk)
        seg_size = (tcp_wnd_end(sk) - skb.seq) & U32
        if before(sk.pushed_seq, skb.end_seq):
            sk.pushed_seq = skb.end_seq
        if seg_size < ((skb.end_seq - skb.seq) & U32) or skb.len > mss:
            if seg_size > mss:
                seg_size = mss
            skb.tcp_flags |= TCPHDR_PSH
            if tcp_fragment(sk, TCP_FRAG_IN_WRITE_QUEUE, skb, seg_size, mss) != 0:
                return -1
        elif skb.gso_segs == 0:
            tcp_set_skb_tso_segs(skb, mss)
        skb.tcp_flags |= TCPHDR_PSH
        tcp_mstamp_refresh(sk)
        err = tcp_transmit_skb(sk, skb, True, sk.rcv_nxt)
        if err == 0:
            tcp_event_new_data_sent(sk, skb)
        return err
    tcp_mstamp_refresh(sk)
    if between(sk.snd_up, (sk.snd_una + 1) & U32, (sk.snd_una + 0xFFFF) & U32):
        tcp_xmit_probe_skb(sk, 1, mib)
    return tcp_xmit_probe_skb(sk, 0, mib)


def tcp_clamp_probe0_to_user_timeout(sk: TcpSock, when: i64) -> i64:
    """A probe is due no later than the time at which the program gives up.  Linux: net/ipv4/tcp_timer.c."""
    if sk.icsk_user_timeout == 0 or sk.icsk_probes_tstamp == 0:
        return when
    elapsed = tcp_clock_ns(sk) // 1_000_000 - sk.icsk_probes_tstamp
    if elapsed < 0:
        elapsed = 0
    remaining = sk.icsk_user_timeout - elapsed
    if remaining < 2:
        remaining = 2
    return remaining if remaining < when else when


def tcp_send_probe0(sk: TcpSock) -> None:
    """The window is closed: probe it, ever more seldom.  Linux: net/ipv4/tcp_output.c.  RFC 9293, 3.8.6.1."""
    err = tcp_write_wakeup(sk, LINUX_MIB_TCPWINPROBE)
    if sk.packets_out != 0 or sk.sk_write_queue.next is None:
        # the window opened, or there is nothing to send any more
        sk.icsk_probes_out = 0
        sk.icsk_backoff = 0
        sk.icsk_probes_tstamp = 0
        return
    sk.icsk_probes_out += 1
    if err <= 0:
        if sk.icsk_backoff < sock_net(sk).ipv4.sysctl_tcp_retries2:
            sk.icsk_backoff += 1
        timeout = tcp_probe0_when(sk, sk.icsk_rto_max)
    else:
        # this host's queue was full: that says nothing about the peer
        timeout = TCP_RESOURCE_PROBE_INTERVAL
    tcp_reset_xmit_timer(sk, ICSK_TIME_PROBE0, tcp_clamp_probe0_to_user_timeout(sk, timeout), sk.icsk_rto_max)


# -- small queues, and what waits for the socket's owner

class TcpTsqTasklet(TsqTasklet):
    """Serves the sockets whose packets left the host."""

    def action(self, cpu: Cpu) -> None:
        """See tcp_tasklet_func."""
        tcp_tasklet_func(self)


class TcpTimer(SockTimer):
    """A timer of a connection: its function looks whether a program owns the socket, handler does the work."""

    def handler(self, sk: TcpSock) -> None:
        """The time has come and nobody else works on sk."""
        raise AssertionError('tcp_timer.py has the timers')


def tcp_tasklet_init(world: World) -> None:
    """Install the softirq of small queues, once a world.  Linux: net/ipv4/tcp_output.c."""
    if world.cpu.actions[TASKLET_SOFTIRQ] is None:
        open_softirq(world.cpu, TASKLET_SOFTIRQ, TcpTsqTasklet())


def tcp_tasklet_func(tasklet: TsqTasklet) -> None:
    """Let each queued socket send.  Linux: net/ipv4/tcp_output.c, tcp_tsq_workfn since 6.14."""
    socks = tasklet.socks
    tasklet.socks = []
    for sk in socks:
        sk.sk_tsq_flags &= ~TSQF_QUEUED
        tcp_tsq_handler(sk)
        sock_put(sk)


def tcp_tsq_write(sk: TcpSock) -> None:
    """Continue to send where the small-queue limit stopped.  Linux: net/ipv4/tcp_output.c."""
    sending = TCPF_ESTABLISHED | TCPF_FIN_WAIT1 | TCPF_CLOSING | TCPF_CLOSE_WAIT | TCPF_LAST_ACK
    if ((1 << sk.sk_state) & sending) == 0:
        return
    if sk.lost_out > sk.retrans_out and sk.snd_cwnd > tcp_packets_in_flight(sk):
        tcp_mstamp_refresh(sk)
        tcp_xmit_retransmit_queue(sk)
    tcp_write_xmit(sk, tcp_current_mss(sk), sk.nonagle, 0)


def tcp_tsq_handler(sk: TcpSock) -> None:
    """Continue, or let release_sock do so.  Linux: net/ipv4/tcp_output.c."""
    if not sk.sk_lock_owned:
        tcp_tsq_write(sk)
    else:
        sk.sk_tsq_flags |= TCPF_TSQ_DEFERRED


def tcp_release_cb(sk: Sock) -> None:
    """The owner lets go: do what softirqs and timers put off meanwhile.

    Linux: net/ipv4/tcp_output.c; there each deferral holds a reference, here the timers' and tasklet's own do until they return.
    """
    tp = tcp_sk(sk)
    flags = tp.sk_tsq_flags
    if (flags & TCP_DEFERRED_ALL) == 0:
        return
    tp.sk_tsq_flags = flags & ~TCP_DEFERRED_ALL
    if (flags & TCPF_TSQ_DEFERRED) != 0:
        tcp_tsq_write(tp)
    if (flags & TCPF_WRITE_TIMER_DEFERRED) != 0:
        timer = tp.icsk_retransmit_timer
        if isinstance(timer, TcpTimer):
            timer.handler(tp)
    if (flags & TCPF_DELACK_TIMER_DEFERRED) != 0:
        timer = tp.icsk_delack_timer
        if isinstance(timer, TcpTimer):
            timer.handler(tp)
    if (flags & TCPF_MTU_REDUCED_DEFERRED) != 0:
        tp.icsk_af_ops.mtu_reduced(tp)
    if (flags & TCPF_ACK_DEFERRED) != 0 and inet_csk_ack_scheduled(tp):
        tcp_send_ack(tp)
