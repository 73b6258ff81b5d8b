# SPDX-License-Identifier: Apache-2.0
"""The small socks of TCP: TIME_WAIT, which answers for a connection that ended, and the request, for one that begins.

tcp_timewait_state_process says what a segment for a TIME_WAIT sock calls for (TCP_TW_*). tcp_check_req looks at a segment for a
request: a repeated SYN, an old duplicate, a RST, or the ACK that completes the handshake; then the child is made
(tcp_create_openreq_child) and fed the same segment (tcp_child_process). tcp_time_wait itself is in tcp_timewait.py.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dst import RTAX_INITRWND, RTAX_WINDOW, DstEntry
from linnet.include.net.inet_timewait_sock import InetTimewaitSock
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.snmp import (
    LINUX_MIB_PAWSTIMEWAIT,
    LINUX_MIB_TCPACKSKIPPEDFINWAIT2,
    LINUX_MIB_TCPACKSKIPPEDTIMEWAIT,
    NET_INC_STATS,
    TCP_MIB_PASSIVEOPENS,
)
from linnet.include.net.sock import SOCK_KEEPOPEN, SOCK_RCVBUF_LOCK, Sock, sock_net, sock_owned_by_user
from linnet.include.net.tcp import (
    TCP_ECN_OK,
    TCP_INFINITE_SSTHRESH,
    TCP_INIT_CWND,
    TCP_MSS_DEFAULT,
    TCP_TIMEOUT_INIT,
    TCP_TIMEWAIT_LEN,
    TCPHDR_ACK,
    TCPHDR_FIN,
    TCPHDR_RST,
    TCPHDR_SYN,
    TCPOLEN_TSTAMP_ALIGNED,
    U32,
    TcpOptionsReceived,
    TcpSock,
    after,
    before,
    keepalive_time_when,
    tcp_full_space,
    tcp_jiffies32,
    tcp_mstamp_refresh,
)
from linnet.include.net.tcp_states import TCP_FIN_WAIT2, TCP_SYN_RECV, TCP_TIME_WAIT
from linnet.kernel.clock import NSEC_PER_JIFFY, NSEC_PER_SEC
from linnet.net.core.sock import sk_add_backlog, sock_put
from linnet.net.ipv4.inet_connection_sock import (
    inet_csk_clone_lock,
    inet_csk_reset_keepalive_timer,
)
from linnet.net.ipv4.inet_timewait_sock import inet_twsk_deschedule_put, inet_twsk_put, inet_twsk_reschedule
from linnet.net.ipv4.tcp_input import tcp_rcv_state_process
from linnet.net.ipv4.tcp_input_opt import tcp_parse_options, tcp_paws_reject
from linnet.net.ipv4.tcp_minisocks_req import oow_counts, oow_rate_limited, tcp_in_window
from linnet.net.ipv4.tcp_output import tcp_mss_clamp, tcp_select_initial_window
from linnet.net.ipv4.tcp_timer import tcp_init_xmit_timers

TCP_TW_SUCCESS: Final = 0
TCP_TW_RST: Final = 1
TCP_TW_ACK: Final = 2
TCP_TW_SYN: Final = 3


def tcp_timewait_check_oow_rate_limit(tw: InetTimewaitSock, skb: SkBuff, mib: i64) -> int:
    """ACK an out-of-window segment, unless one was ACKed just now.  Linux: net/ipv4/tcp_minisocks.c."""
    net = sock_net(tw)
    if not oow_rate_limited(net, skb, tw.tw_last_oow_ack_time, mib):
        if oow_counts(skb):
            tw.tw_last_oow_ack_time = net.clock.now // NSEC_PER_JIFFY + 1
        return TCP_TW_ACK
    inet_twsk_put(tw)
    return TCP_TW_SUCCESS


def twsk_rcv_tstamp(tw: InetTimewaitSock, opt: TcpOptionsReceived) -> None:
    """Remember the timestamp of an acceptable segment."""
    if opt.saw_tstamp:
        tw.tw_ts_recent = opt.rcv_tsval
        tw.tw_ts_recent_stamp = sock_net(tw).clock.now // NSEC_PER_SEC + 1


def tcp_fin_wait2_process(tw: InetTimewaitSock, skb: SkBuff, opt: TcpOptionsReceived, paws_reject: bool) -> int:
    """A segment for an orphan in FIN_WAIT2. The first part of Linux's tcp_timewait_state_process."""
    flags = skb.tcp_flags
    rcv_nxt = tw.tw_rcv_nxt
    if paws_reject or not tcp_in_window(skb.seq, skb.end_seq, rcv_nxt, (rcv_nxt + tw.tw_rcv_wnd) & U32):
        return tcp_timewait_check_oow_rate_limit(tw, skb, LINUX_MIB_TCPACKSKIPPEDFINWAIT2)
    if (flags & TCPHDR_RST) != 0:
        inet_twsk_deschedule_put(tw)
        return TCP_TW_SUCCESS
    if (flags & TCPHDR_SYN) != 0 and not before(skb.seq, rcv_nxt):
        return TCP_TW_RST
    if (flags & TCPHDR_ACK) == 0 or not after(skb.end_seq, rcv_nxt) or skb.end_seq == skb.seq:
        inet_twsk_put(tw)
        return TCP_TW_SUCCESS
    if (flags & TCPHDR_FIN) == 0 or skb.end_seq != ((rcv_nxt + 1) & U32):
        return TCP_TW_RST  # data that nobody will read
    tw.tw_substate = TCP_TIME_WAIT
    tw.tw_entry_stamp = sock_net(tw).clock.jiffies()
    tw.tw_rcv_nxt = skb.end_seq
    twsk_rcv_tstamp(tw, opt)
    inet_twsk_reschedule(tw, TCP_TIMEWAIT_LEN)
    return TCP_TW_ACK


def tcp_timewait_state_process(tw: InetTimewaitSock, skb: SkBuff) -> int:
    """What a segment for a TIME_WAIT sock calls for, TCP_TW_*. With SUCCESS the caller's reference is gone.

    With TCP_TW_SYN, skb.tcp_tw_isn is the sequence number that a new connection starts with.
    Linux: net/ipv4/tcp_minisocks.c.  RFC 9293, 3.10.7.4; RFC 1122, 4.2.2.13; RFC 6191.
    """
    net = sock_net(tw)
    flags = skb.tcp_flags
    opt = TcpOptionsReceived()
    paws_reject = False
    if skb.tcp_doff > 20 and tw.tw_ts_recent_stamp != 0:
        tcp_parse_options(net, skb, opt, False)
        if opt.saw_tstamp:
            if opt.rcv_tsecr != 0:
                opt.rcv_tsecr = (opt.rcv_tsecr - tw.tw_ts_offset) & U32
            opt.ts_recent = tw.tw_ts_recent
            opt.ts_recent_stamp = tw.tw_ts_recent_stamp
            paws_reject = tcp_paws_reject(opt, (flags & TCPHDR_RST) != 0, net.clock.now)
    if tw.tw_substate == TCP_FIN_WAIT2:
        return tcp_fin_wait2_process(tw, skb, opt, paws_reject)
    rst = (flags & TCPHDR_RST) != 0
    if not paws_reject and skb.seq == tw.tw_rcv_nxt and (skb.seq == skb.end_seq or rst):
        # in window: an ACK of our FIN, or a RST
        if rst:
            if net.ipv4.sysctl_tcp_rfc1337 == 0:
                inet_twsk_deschedule_put(tw)
                return TCP_TW_SUCCESS
        else:
            inet_twsk_reschedule(tw, TCP_TIMEWAIT_LEN)
        twsk_rcv_tstamp(tw, opt)
        inet_twsk_put(tw)
        return TCP_TW_SUCCESS
    if (flags & (TCPHDR_SYN | TCPHDR_RST | TCPHDR_ACK)) == TCPHDR_SYN and not paws_reject and (
            after(skb.seq, tw.tw_rcv_nxt)
            or (opt.saw_tstamp and ((opt.ts_recent - opt.rcv_tsval) & 0x80000000) != 0)):
        isn = (tw.tw_snd_nxt + 65535 + 2) & U32
        skb.tcp_tw_isn = isn if isn != 0 else 1
        return TCP_TW_SYN
    if paws_reject:
        NET_INC_STATS(net, LINUX_MIB_PAWSTIMEWAIT)
    if not rst:
        # a FIN sent again starts 2 MSL anew; any other old segment does not harm
        if paws_reject or (flags & TCPHDR_ACK) != 0:
            inet_twsk_reschedule(tw, TCP_TIMEWAIT_LEN)
        return tcp_timewait_check_oow_rate_limit(tw, skb, LINUX_MIB_TCPACKSKIPPEDTIMEWAIT)
    inet_twsk_put(tw)
    return TCP_TW_SUCCESS


def tcp_openreq_init_rwin(req: RequestSock, sk: TcpSock, dst: DstEntry) -> None:
    """The window and its scale for the SYN-ACK.  Linux: net/ipv4/tcp_minisocks.c."""
    full_space = tcp_full_space(sk)
    mss = tcp_mss_clamp(sk, dst.advmss())
    window_clamp = sk.window_clamp
    if window_clamp == 0:
        window_clamp = dst.metrics[RTAX_WINDOW]
    if (sk.sk_userlocks & SOCK_RCVBUF_LOCK) != 0 and (window_clamp > full_space or window_clamp == 0):
        window_clamp = full_space
    if req.tstamp_ok:
        mss -= TCPOLEN_TSTAMP_ALIGNED
    window = tcp_select_initial_window(sk, full_space, mss, window_clamp, req.wscale_ok, dst.metrics[RTAX_INITRWND])
    req.rsk_rcv_wnd = window.rcv_wnd
    req.rsk_window_clamp = window.window_clamp
    req.rcv_wscale = window.rcv_wscale


def tcp_ecn_openreq_child(tp: TcpSock, req: RequestSock) -> None:
    """Linux: net/ipv4/tcp_minisocks.c."""
    tp.ecn_flags = TCP_ECN_OK if req.ecn_ok else 0


def tcp_clone_fields(newtp: TcpSock, tp: TcpSock) -> None:
    """What a child has of its listener beyond the parts below TCP (Linux copies the whole object): options set by the program,
    and what a new connection starts with.
    """
    newtp.icsk_rto = TCP_TIMEOUT_INIT
    newtp.mdev_us = TCP_TIMEOUT_INIT * 1000
    newtp.snd_cwnd = TCP_INIT_CWND
    newtp.snd_ssthresh = TCP_INFINITE_SSTHRESH
    newtp.snd_cwnd_clamp = tp.snd_cwnd_clamp
    newtp.app_limited = U32
    newtp.rate_app_limited = True
    newtp.reordering = sock_net(tp).ipv4.sysctl_tcp_reordering
    newtp.mss_cache = TCP_MSS_DEFAULT
    newtp.rx_opt.user_mss = tp.rx_opt.user_mss
    newtp.scaling_ratio = tp.scaling_ratio
    newtp.nonagle = tp.nonagle
    newtp.thin_lto = tp.thin_lto
    newtp.recvmsg_inq = tp.recvmsg_inq
    newtp.save_syn = tp.save_syn
    newtp.fastopen_no_cookie = tp.fastopen_no_cookie
    newtp.fastopen_connect = tp.fastopen_connect
    newtp.keepalive_time = tp.keepalive_time
    newtp.keepalive_intvl = tp.keepalive_intvl
    newtp.keepalive_probes = tp.keepalive_probes
    newtp.linger2 = tp.linger2
    newtp.notsent_lowat = tp.notsent_lowat
    newtp.tcp_tx_delay = tp.tcp_tx_delay
    newtp.sk_sndbuf = tp.sk_sndbuf
    newtp.sk_rcvbuf = tp.sk_rcvbuf
    newtp.rto_stamp = 0


def tcp_create_openreq_child(sk: TcpSock, req: RequestSock, skb: SkBuff) -> TcpSock | None:
    """The full sock of a completed handshake, in SYN_RECV, not hashed yet.  Linux: net/ipv4/tcp_minisocks.c."""
    newtp = inet_csk_clone_lock(sk, req)
    if newtp is None:
        return None
    assert isinstance(newtp, TcpSock)
    tcp_clone_fields(newtp, sk)
    newtp.pred_flags = 0
    seq = (req.rcv_isn + 1) & U32
    newtp.rcv_wup = seq
    newtp.copied_seq = seq
    newtp.rcv_nxt = seq
    newtp.segs_in = 1
    seq = (req.snt_isn + 1) & U32
    newtp.snd_sml = seq
    newtp.snd_una = seq
    newtp.snd_nxt = seq
    newtp.snd_up = seq
    newtp.write_seq = seq
    newtp.pushed_seq = seq
    newtp.snd_wl1 = req.rcv_isn
    tcp_mstamp_refresh(newtp)
    newtp.ack_lrcvtime = tcp_jiffies32(newtp)
    newtp.lsndtime = newtp.ack_lrcvtime
    newtp.total_retrans = req.num_retrans
    newtp.urg_data = 0
    tcp_init_xmit_timers(newtp)
    if (newtp.sk_flags & SOCK_KEEPOPEN) != 0:
        inet_csk_reset_keepalive_timer(newtp, keepalive_time_when(newtp))
    tcp_child_options(newtp, req, skb)
    if req.num_timeout != 0:
        newtp.undo_marker = req.snt_isn
        newtp.retrans_stamp = (req.snt_synack // NSEC_PER_JIFFY) & U32 if req.snt_synack >= 0 else 0
    if skb.len >= TCP_MSS_DEFAULT + newtp.tcp_header_len:
        newtp.ack_last_seg_size = skb.len - newtp.tcp_header_len
    newtp.rx_opt.mss_clamp = req.mss
    tcp_ecn_openreq_child(newtp, req)
    NET_INC_STATS(sock_net(sk), TCP_MIB_PASSIVEOPENS)
    return newtp


def tcp_child_options(newtp: TcpSock, req: RequestSock, skb: SkBuff) -> None:
    """Windows and options as the handshake settled them. Part of Linux's tcp_create_openreq_child."""
    opt = newtp.rx_opt
    opt.tstamp_ok = req.tstamp_ok
    opt.sack_ok = 1 if req.sack_ok else 0
    newtp.window_clamp = req.rsk_window_clamp
    newtp.rcv_ssthresh = req.rsk_rcv_wnd
    newtp.rcv_wnd = req.rsk_rcv_wnd
    opt.wscale_ok = req.wscale_ok
    if opt.wscale_ok:
        opt.snd_wscale = req.snd_wscale
        opt.rcv_wscale = req.rcv_wscale
    else:
        opt.snd_wscale = 0
        opt.rcv_wscale = 0
        if newtp.window_clamp > 65535:
            newtp.window_clamp = 65535
    newtp.snd_wnd = skb.window << opt.snd_wscale
    newtp.max_window = newtp.snd_wnd
    if opt.tstamp_ok:
        newtp.tsoffset = req.ts_off
        opt.ts_recent = req.ts_recent
        opt.ts_recent_stamp = sock_net(newtp).clock.now // NSEC_PER_SEC + 1
        newtp.tcp_header_len = 20 + TCPOLEN_TSTAMP_ALIGNED
    else:
        opt.ts_recent_stamp = 0
        newtp.tcp_header_len = 20


def tcp_child_process(parent: Sock, child: TcpSock, skb: SkBuff) -> i64:
    """Give a new child its first segment, and wake who accepts. 0, or the drop reason of a segment to answer with a RST.

    Linux: net/ipv4/tcp_minisocks.c.  The reference that the child was made with is dropped.
    """
    state = child.sk_state
    ret: i64 = 0
    child.segs_in += skb.gso_segs if skb.gso_segs > 1 else 1
    if not sock_owned_by_user(child):
        ret = tcp_rcv_state_process(child, skb)
        if state == TCP_SYN_RECV and child.sk_state != state:
            parent.sk_cb.data_ready(parent)
    else:
        sk_add_backlog(child, skb, 1 << 40)
    sock_put(child)
    return ret
