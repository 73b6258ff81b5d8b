# SPDX-License-Identifier: Apache-2.0
"""TCP's timers: retransmission and window probes (one timer, icsk_pending says which), delayed ACK, keepalive and FIN_WAIT2.

A timer runs in softirq context. If a program owns the socket at that time the work is put off to release_sock (tcp_release_cb).
The retransmission time-out doubles each time (RFC 6298, 5.5); after tcp_retries2 of them, counted as the time that so many
doublings of the least RTO take, the connection ends with ETIMEDOUT. Each pending timer holds a reference to its sock.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.inet_connection_sock import (
    ICSK_ACK_TIMER,
    ICSK_TIME_LOSS_PROBE,
    ICSK_TIME_PROBE0,
    ICSK_TIME_REO_TIMEOUT,
    ICSK_TIME_RETRANS,
    inet_csk_ack_scheduled,
    inet_csk_exit_pingpong_mode,
    inet_csk_in_pingpong_mode,
)
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.snmp import (
    LINUX_MIB_DELAYEDACKLOCKED,
    LINUX_MIB_DELAYEDACKS,
    LINUX_MIB_TCPABORTONMEMORY,
    LINUX_MIB_TCPABORTONTIMEOUT,
    LINUX_MIB_TCPKEEPALIVE,
    LINUX_MIB_TCPLOSSFAILURES,
    LINUX_MIB_TCPRENOFAILURES,
    LINUX_MIB_TCPRENORECOVERYFAIL,
    LINUX_MIB_TCPSACKFAILURES,
    LINUX_MIB_TCPSACKRECOVERYFAIL,
    LINUX_MIB_TCPTIMEOUTREHASH,
    LINUX_MIB_TCPTIMEOUTS,
    NET_INC_STATS,
)
from linnet.include.net.sock import SOCK_DEAD, SOCK_KEEPOPEN, Sock, sock_flag, sock_net
from linnet.include.net.tcp import (
    TCP_ATO_MIN,
    TCP_RESOURCE_PROBE_INTERVAL,
    TCP_RTO_MIN,
    TCP_TIMEWAIT_LEN,
    TCPF_DELACK_TIMER_DEFERRED,
    TCPF_WRITE_TIMER_DEFERRED,
    TCP_CA_Disorder,
    TCP_CA_Loss,
    TCP_CA_Recovery,
    TcpSock,
    keepalive_intvl_when,
    keepalive_probes,
    keepalive_time_elapsed,
    keepalive_time_when,
    tcp_clock_ns,
    tcp_fin_time,
    tcp_is_sack,
    tcp_jiffies32,
    tcp_mstamp_refresh,
    tcp_rtx_queue_head,
    tcp_sk,
    tcp_time_stamp,
)
from linnet.include.net.tcp_states import (
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT2,
    TCP_LISTEN,
    TCP_SYN_SENT,
    TCPF_SYN_RECV,
    TCPF_SYN_SENT,
)
from linnet.kernel.errno import ETIMEDOUT
from linnet.net.core.sock import dst_negative_advice, sk_reset_timer, sk_rethink_txhash, sock_put
from linnet.net.ipv4.inet_connection_sock import (
    inet_csk_delete_keepalive_timer,
    inet_csk_init_xmit_timers,
    inet_csk_reset_keepalive_timer,
    inet_csk_reset_xmit_timer,
)
from linnet.net.ipv4.tcp import tcp_check_oom, tcp_done, tcp_write_queue_purge
from linnet.net.ipv4.tcp_fastopen import tcp_fastopen_active_detect_blackhole
from linnet.net.ipv4.tcp_input_loss import tcp_enter_loss
from linnet.net.ipv4.tcp_input_sackrcv import tcp_sack_compress_send_ack
from linnet.net.ipv4.tcp_output import (
    TcpTimer,
    tcp_retransmit_skb,
    tcp_send_ack,
    tcp_send_active_reset,
    tcp_send_loss_probe,
    tcp_send_probe0,
    tcp_write_wakeup,
)
from linnet.net.ipv4.tcp_output_mss import ilog2
from linnet.net.ipv4.tcp_output_mtup import tcp_mtu_probing
from linnet.net.ipv4.tcp_recovery_timer import tcp_rack_reo_timeout
from linnet.net.ipv4.tcp_timewait import tcp_time_wait

NSEC_PER_MSEC: Final = 1_000_000
U32_MAX: Final = 0xFFFFFFFF
TCP_THIN_LINEAR_RETRIES: Final = 6


# -- the timers

class TcpWriteTimer(TcpTimer):
    """Retransmission, window probe (Linux: icsk_retransmit_timer)."""

    def function(self) -> None:
        """See tcp_write_timer."""
        sk = self.sk
        assert isinstance(sk, TcpSock)
        tcp_write_timer(sk)

    def handler(self, sk: TcpSock) -> None:
        """See tcp_write_timer_handler."""
        tcp_write_timer_handler(sk)


class TcpDelackTimer(TcpTimer):
    """Delayed ACK (Linux: icsk_delack_timer)."""

    def function(self) -> None:
        """See tcp_delack_timer."""
        sk = self.sk
        assert isinstance(sk, TcpSock)
        tcp_delack_timer(sk)

    def handler(self, sk: TcpSock) -> None:
        """See tcp_delack_timer_handler."""
        tcp_delack_timer_handler(sk)


class TcpKeepaliveTimer(TcpTimer):
    """Keepalive, and the end of FIN_WAIT2 (Linux: sk_timer)."""

    def function(self) -> None:
        """See tcp_keepalive_timer."""
        sk = self.sk
        assert isinstance(sk, TcpSock)
        tcp_keepalive_timer(sk)


def tcp_init_xmit_timers(sk: Sock) -> None:
    """Give a new sock its timers.  Linux: net/ipv4/tcp_timer.c."""
    tp = tcp_sk(sk)
    net = sock_net(sk)
    inet_csk_init_xmit_timers(tp, TcpWriteTimer(net, sk), TcpDelackTimer(net, sk), TcpKeepaliveTimer(net, sk))


# -- giving up

def tcp_write_err(sk: TcpSock) -> None:
    """The peer does not answer: end the connection with what was heard of it, or ETIMEDOUT.  Linux: net/ipv4/tcp_timer.c."""
    sk.sk_err = sk.sk_err_soft if sk.sk_err_soft != 0 else ETIMEDOUT
    tcp_write_queue_purge(sk)
    tcp_done(sk)
    sk.sk_cb.error_report(sk)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPABORTONTIMEOUT)


def tcp_out_of_resources(sk: TcpSock, do_reset: bool) -> bool:
    """Is an orphan to be ended because there are too many, or memory is short? True: it was.  Linux: net/ipv4/tcp_timer.c."""
    shift = 0
    # one that makes no progress, or is asked to go, goes earlier
    if tcp_jiffies32(sk) - sk.lsndtime > 2 * sk.icsk_rto_max or not do_reset:
        shift += 1
    if sk.sk_err_soft != 0:
        shift += 1
    if not tcp_check_oom(sk, shift):
        return False
    if tcp_jiffies32(sk) - sk.lsndtime <= TCP_TIMEWAIT_LEN or (sk.snd_wnd == 0 and sk.packets_out == 0):
        do_reset = True
    if do_reset:
        tcp_send_active_reset(sk)
    tcp_done(sk)
    NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPABORTONMEMORY)
    return True


def tcp_orphan_retries(sk: TcpSock, alive: bool) -> i64:
    """How often to retransmit for an orphan.  Linux: net/ipv4/tcp_timer.c."""
    retries = sock_net(sk).ipv4.sysctl_tcp_orphan_retries
    if sk.sk_err_soft != 0 and not alive:
        return 0
    if retries == 0 and alive:
        # RFC 1122: at least 100 s
        return 8
    return retries


def tcp_model_timeout(sk: TcpSock, boundary: i64, rto_base: i64) -> i64:
    """How long `boundary` retransmissions take that start at rto_base and double up to the largest RTO, jiffies.

    Linux: net/ipv4/tcp_timer.c.
    """
    linear_backoff_thresh = ilog2(sk.icsk_rto_max // rto_base)
    if boundary <= linear_backoff_thresh:
        return ((2 << boundary) - 1) * rto_base
    return ((2 << linear_backoff_thresh) - 1) * rto_base + (boundary - linear_backoff_thresh) * sk.icsk_rto_max


def retransmits_timed_out(sk: TcpSock, boundary: i64, timeout: i64) -> bool:
    """Has it been longer than `boundary` retransmissions (or `timeout` ms) since the first of them?

    Linux: net/ipv4/tcp_timer.c.
    """
    if sk.icsk_retransmits == 0:
        return False
    start_ts = sk.retrans_stamp
    if start_ts == 0:
        head = tcp_rtx_queue_head(sk)
        if head is None:
            return False
        start_ts = (head.tstamp // NSEC_PER_MSEC) & U32_MAX
    if timeout == 0:
        rto_base: i64 = TCP_RTO_MIN
        if ((1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) != 0:
            rto_base = 1000
        timeout = tcp_model_timeout(sk, boundary, rto_base)
    passed = (tcp_time_stamp(sk) - start_ts) & U32_MAX
    return passed < 0x80000000 and passed >= timeout


def tcp_syn_retries_of(sk: TcpSock) -> i64:
    """How often a SYN is sent again."""
    return sk.icsk_syn_retries if sk.icsk_syn_retries != 0 else sock_net(sk).ipv4.sysctl_tcp_syn_retries


def tcp_write_timeout(sk: TcpSock) -> bool:
    """A retransmission time-out: shall the connection be given up? True: it was.

    Linux: net/ipv4/tcp_timer.c.  RFC 1122, 4.2.3.5: R1 makes the route suspect, R2 ends the connection.
    """
    net = sock_net(sk)
    ipv4 = net.ipv4
    expired = False
    if ((1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) != 0:
        if sk.icsk_retransmits != 0:
            dst_negative_advice(sk)
        retry_until = tcp_syn_retries_of(sk)
        max_retransmits = retry_until
        if sk.sk_state == TCP_SYN_SENT:
            # the first SYNs are repeated without doubling; they come on top
            max_retransmits += ipv4.sysctl_tcp_syn_linear_timeouts
        expired = sk.icsk_retransmits >= max_retransmits
    else:
        if retransmits_timed_out(sk, ipv4.sysctl_tcp_retries1, 0):
            tcp_mtu_probing(sk)
            dst_negative_advice(sk)
        retry_until = ipv4.sysctl_tcp_retries2
        if sock_flag(sk, SOCK_DEAD):
            alive = sk.icsk_rto < sk.icsk_rto_max
            retry_until = tcp_orphan_retries(sk, alive)
            do_reset = alive or not retransmits_timed_out(sk, retry_until, 0)
            if tcp_out_of_resources(sk, do_reset):
                return True
    if not expired:
        expired = retransmits_timed_out(sk, retry_until, sk.icsk_user_timeout)
    tcp_fastopen_active_detect_blackhole(sk, expired)
    if expired:
        tcp_write_err(sk)
        return True
    if sk_rethink_txhash(sk):
        sk.timeout_rehash += 1
        NET_INC_STATS(net, LINUX_MIB_TCPTIMEOUTREHASH)
    return False


# -- delayed ACK

def tcp_delack_timer_handler(sk: TcpSock) -> None:
    """The delay of an ACK is over.  Linux: net/ipv4/tcp_timer.c."""
    if sk.sk_state == TCP_CLOSE or sk.sk_state == TCP_LISTEN:
        return
    if sk.compressed_ack != 0:
        tcp_mstamp_refresh(sk)
        tcp_sack_compress_send_ack(sk)
        return
    if (sk.ack_pending & ICSK_ACK_TIMER) == 0:
        return
    timer = sk.icsk_delack_timer
    assert timer is not None
    if sk.ack_timeout > tcp_clock_ns(sk):
        sk_reset_timer(sk, timer, sk.ack_timeout)
        return
    sk.ack_pending &= ~ICSK_ACK_TIMER
    if inet_csk_ack_scheduled(sk):
        if not inet_csk_in_pingpong_mode(sk):
            # missed: the next one may wait longer, up to the RTO
            ato = sk.ack_ato << 1
            sk.ack_ato = ato if ato < sk.icsk_rto else sk.icsk_rto
        else:
            # the program did not answer in time: it is not interactive after all
            inet_csk_exit_pingpong_mode(sk)
            sk.ack_ato = TCP_ATO_MIN
        tcp_mstamp_refresh(sk)
        tcp_send_ack(sk)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_DELAYEDACKS)


def tcp_delack_timer(sk: TcpSock) -> None:
    """The timer function.  Linux: net/ipv4/tcp_timer.c."""
    if not sk.sk_lock_owned:
        tcp_delack_timer_handler(sk)
    else:
        NET_INC_STATS(sock_net(sk), LINUX_MIB_DELAYEDACKLOCKED)
        sk.sk_tsq_flags |= TCPF_DELACK_TIMER_DEFERRED
    sock_put(sk)


# -- window probes

def tcp_probe_timer(sk: TcpSock) -> None:
    """The window is closed and data waits: probe, or give up.  Linux: net/ipv4/tcp_timer.c.  RFC 9293, 3.8.6.1."""
    if sk.packets_out != 0 or sk.sk_write_queue.next is None:
        sk.icsk_probes_out = 0
        sk.icsk_probes_tstamp = 0
        return
    now = tcp_jiffies32(sk)
    max_probes = sock_net(sk).ipv4.sysctl_tcp_retries2
    if sk.icsk_probes_tstamp == 0:
        sk.icsk_probes_tstamp = now if now != 0 else 1
    elif sk.icsk_user_timeout != 0 and now - sk.icsk_probes_tstamp >= sk.icsk_user_timeout:
        tcp_write_err(sk)
        return
    if sock_flag(sk, SOCK_DEAD):
        backoff = sk.icsk_backoff if sk.icsk_backoff < 24 else 24
        alive = (sk.icsk_rto << backoff) < sk.icsk_rto_max
        max_probes = tcp_orphan_retries(sk, alive)
        if not alive and sk.icsk_backoff >= max_probes:
            tcp_write_err(sk)
            return
        if tcp_out_of_resources(sk, True):
            return
    if sk.icsk_probes_out >= max_probes:
        tcp_write_err(sk)
        return
    # an answer would set probes_out to 0
    tcp_send_probe0(sk)


# -- retransmission

def tcp_clamp_rto_to_user_timeout(sk: TcpSock) -> i64:
    """The next time-out comes no later than the time at which the program gives up, jiffies.  Linux: net/ipv4/tcp_timer.c."""
    if sk.icsk_user_timeout == 0:
        return sk.icsk_rto
    elapsed = (tcp_time_stamp(sk) - sk.retrans_stamp) & U32_MAX
    if elapsed >= 0x80000000:
        elapsed = 0
    remaining = sk.icsk_user_timeout - elapsed
    if remaining <= 0:
        return 1
    return remaining if remaining < sk.icsk_rto else sk.icsk_rto


def tcp_rtx_probe0_timed_out(sk: TcpSock, skb: SkBuff, rtx_delta: i64) -> bool:
    """The peer closed its window on data that was sent: has it been silent for too long?  Linux: net/ipv4/tcp_timer.c."""
    timeout: i64 = sk.icsk_rto_max * 2
    user_timeout = sk.icsk_user_timeout
    if user_timeout != 0:
        if rtx_delta > user_timeout:
            return True
        if user_timeout < timeout:
            timeout = user_timeout
    if tcp_jiffies32(sk) - sk.rcv_tstamp <= timeout:
        return False
    return rtx_delta > timeout


def tcp_update_rto_stats(sk: TcpSock) -> None:
    """Count a time-out, and a run of them as one.  Linux: net/ipv4/tcp_timer.c."""
    if sk.icsk_retransmits == 0:
        sk.total_rto_recoveries += 1
        sk.rto_stamp = tcp_time_stamp(sk)
    sk.icsk_retransmits += 1
    sk.total_rto += 1


def tcp_rtx_mib(sk: TcpSock) -> i64:
    """The counter of the first time-out of a run: what was going on when it came."""
    state = sk.icsk_ca_state
    sack = tcp_is_sack(sk)
    if state == TCP_CA_Recovery:
        return LINUX_MIB_TCPSACKRECOVERYFAIL if sack else LINUX_MIB_TCPRENORECOVERYFAIL
    if state == TCP_CA_Loss:
        return LINUX_MIB_TCPLOSSFAILURES
    if state == TCP_CA_Disorder or sk.sacked_out != 0:
        return LINUX_MIB_TCPSACKFAILURES if sack else LINUX_MIB_TCPRENOFAILURES
    return -1


def tcp_stream_is_thin(tp: TcpSock) -> bool:
    """So few segments in flight that fast retransmit cannot work?  Linux: include/net/tcp.h."""
    return tp.packets_out < 4 and tp.snd_ssthresh != 0x7FFFFFFF


def tcp_set_next_rto(sk: TcpSock) -> None:
    """After a retransmission: double the RTO, except where retries are linear.  RFC 6298, 5.5."""
    ipv4 = sock_net(sk).ipv4
    state = sk.sk_state
    if (
        state == TCP_ESTABLISHED
        and (sk.thin_lto or ipv4.sysctl_tcp_thin_linear_timeouts != 0)
        and tcp_stream_is_thin(sk)
        and sk.icsk_retransmits <= TCP_THIN_LINEAR_RETRIES
    ):
        sk.icsk_backoff = 0
        base = tcp_set_rto_of(sk)
        sk.icsk_rto = base if base < sk.icsk_rto_max else sk.icsk_rto_max
    elif state != TCP_SYN_SENT or sk.total_rto > ipv4.sysctl_tcp_syn_linear_timeouts:
        sk.icsk_backoff += 1
        sk.icsk_rto = sk.icsk_rto << 1 if sk.icsk_rto << 1 < sk.icsk_rto_max else sk.icsk_rto_max
    inet_csk_reset_xmit_timer(sk, ICSK_TIME_RETRANS, tcp_clamp_rto_to_user_timeout(sk), sk.icsk_rto_max)
    if retransmits_timed_out(sk, ipv4.sysctl_tcp_retries1 + 1, 0):
        # the route may be at fault
        sk.sk_dst_cache = None


def tcp_set_rto_of(tp: TcpSock) -> i64:
    """The RTO that the measured RTT gives, jiffies.  Linux: include/net/tcp.h, __tcp_set_rto."""
    return ((tp.srtt_us >> 3) + tp.rttvar_us + 999) // 1000


def tcp_fastopen_synack_timer(sk: TcpSock, req: RequestSock) -> None:
    """The SYN-ACK of a Fast Open child was not acknowledged in time: send it again, once more often than a plain one.

    Linux: net/ipv4/tcp_timer.c.
    """
    ops = req.rsk_ops
    assert ops is not None
    retries = sk.icsk_syn_retries
    if retries == 0:
        retries = sock_net(sk).ipv4.sysctl_tcp_synack_retries + 1
    ops.syn_ack_timeout(req)
    if req.num_timeout >= retries:
        tcp_write_err(sk)
        return
    if sk.icsk_retransmits == 1:
        # as after the handshake of a SYN-ACK that was lost twice
        tcp_enter_loss(sk)
    ops.rtx_syn_ack(sk, req)
    req.num_retrans += 1
    req.num_timeout += 1
    tcp_update_rto_stats(sk)
    if sk.retrans_stamp == 0:
        sk.retrans_stamp = tcp_time_stamp(sk)
    inet_csk_reset_xmit_timer(sk, ICSK_TIME_RETRANS, req.timeout << req.num_timeout, sk.icsk_rto_max)


def tcp_retransmit_timer(sk: TcpSock) -> None:
    """The oldest segment was not acknowledged in time.  Linux: net/ipv4/tcp_timer.c.  RFC 6298, 5.4 to 5.7."""
    req = sk.fastopen_rsk
    if req is not None:
        # until our SYN-ACK is acknowledged, nothing else is sent again
        tcp_fastopen_synack_timer(sk, req)
        return
    if sk.packets_out == 0:
        return
    skb = tcp_rtx_queue_head(sk)
    if skb is None:
        return
    if sk.snd_wnd == 0 and not sock_flag(sk, SOCK_DEAD) and ((1 << sk.sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) == 0:
        # the peer shrank its window to nothing while data was under way: probe with that data
        since = sk.retrans_stamp if sk.retrans_stamp != 0 else (skb.tstamp // NSEC_PER_MSEC) & U32_MAX
        rtx_delta = (tcp_time_stamp(sk) - since) & U32_MAX
        if tcp_rtx_probe0_timed_out(sk, skb, rtx_delta):
            tcp_write_err(sk)
            return
        tcp_enter_loss(sk)
        tcp_retransmit_skb(sk, skb, 1)
        sk.sk_dst_cache = None
        tcp_set_next_rto(sk)
        return
    net = sock_net(sk)
    NET_INC_STATS(net, LINUX_MIB_TCPTIMEOUTS)
    if tcp_write_timeout(sk):
        return
    if sk.icsk_retransmits == 0:
        mib = tcp_rtx_mib(sk)
        if mib >= 0:
            NET_INC_STATS(net, mib)
    tcp_enter_loss(sk)
    tcp_update_rto_stats(sk)
    head = tcp_rtx_queue_head(sk)
    if head is not None and tcp_retransmit_skb(sk, head, 1) > 0:
        # dropped in this host: try again soon, without doubling
        inet_csk_reset_xmit_timer(sk, ICSK_TIME_RETRANS, TCP_RESOURCE_PROBE_INTERVAL, sk.icsk_rto_max)
        return
    tcp_set_next_rto(sk)


def tcp_write_timer_handler(sk: TcpSock) -> None:
    """Do what icsk_pending says, if it is due.  Linux: net/ipv4/tcp_timer.c."""
    if sk.sk_state == TCP_CLOSE or sk.sk_state == TCP_LISTEN or sk.icsk_pending == 0:
        return
    timer = sk.icsk_retransmit_timer
    assert timer is not None
    if sk.icsk_timeout > tcp_clock_ns(sk):
        sk_reset_timer(sk, timer, sk.icsk_timeout)
        return
    tcp_mstamp_refresh(sk)
    event = sk.icsk_pending
    if event == ICSK_TIME_RETRANS:
        sk.icsk_pending = 0
        tcp_retransmit_timer(sk)
    elif event == ICSK_TIME_PROBE0:
        sk.icsk_pending = 0
        tcp_probe_timer(sk)
    elif event == ICSK_TIME_REO_TIMEOUT:
        tcp_rack_reo_timeout(sk)
    elif event == ICSK_TIME_LOSS_PROBE:
        tcp_send_loss_probe(sk)


def tcp_write_timer(sk: TcpSock) -> None:
    """The timer function.  Linux: net/ipv4/tcp_timer.c."""
    if not sk.sk_lock_owned:
        tcp_write_timer_handler(sk)
    else:
        sk.sk_tsq_flags |= TCPF_WRITE_TIMER_DEFERRED
    sock_put(sk)


# -- keepalive

def tcp_set_keepalive(sk: TcpSock, val: bool) -> None:
    """SO_KEEPALIVE was set or cleared.  Linux: net/ipv4/tcp_timer.c."""
    if sk.sk_state == TCP_CLOSE or sk.sk_state == TCP_LISTEN:
        return
    if val and not sock_flag(sk, SOCK_KEEPOPEN):
        inet_csk_reset_keepalive_timer(sk, keepalive_time_when(sk))
    elif not val:
        inet_csk_delete_keepalive_timer(sk)


def tcp_keepalive_fin_wait2(sk: TcpSock) -> None:
    """An orphan's time in FIN_WAIT2 is over: what is left of it is spent as a small TIME_WAIT sock, or nothing."""
    if sk.linger2 >= 0:
        tmo = tcp_fin_time(sk) - TCP_TIMEWAIT_LEN
        if tmo > 0:
            tcp_time_wait(sk, TCP_FIN_WAIT2, tmo)
            return
    tcp_send_active_reset(sk)
    tcp_done(sk)


def tcp_keepalive_probe(sk: TcpSock) -> None:
    """Probe an idle peer, or give it up. (The second half of Linux's tcp_keepalive_timer.)  RFC 9293, 3.8.4."""
    elapsed = keepalive_time_when(sk)
    # while data is under way, the retransmission timer watches
    if sk.packets_out == 0 and sk.sk_write_queue.next is None:
        elapsed = keepalive_time_elapsed(sk)
        if elapsed >= keepalive_time_when(sk):
            user_timeout = sk.icsk_user_timeout
            if user_timeout != 0:
                give_up = elapsed >= user_timeout and sk.icsk_probes_out > 0
            else:
                give_up = sk.icsk_probes_out >= keepalive_probes(sk)
            if give_up:
                tcp_send_active_reset(sk)
                tcp_write_err(sk)
                return
            if tcp_write_wakeup(sk, LINUX_MIB_TCPKEEPALIVE) <= 0:
                sk.icsk_probes_out += 1
                elapsed = keepalive_intvl_when(sk)
            else:
                elapsed = TCP_RESOURCE_PROBE_INTERVAL
        else:
            elapsed = keepalive_time_when(sk) - elapsed
    inet_csk_reset_keepalive_timer(sk, elapsed)


def tcp_keepalive_timer(sk: TcpSock) -> None:
    """The timer function.  Linux: net/ipv4/tcp_timer.c."""
    if sk.sk_lock_owned:
        # try again soon
        inet_csk_reset_keepalive_timer(sk, 50)
    elif sk.sk_state != TCP_LISTEN:
        tcp_mstamp_refresh(sk)
        if sk.sk_state == TCP_FIN_WAIT2 and sock_flag(sk, SOCK_DEAD):
            tcp_keepalive_fin_wait2(sk)
        elif sock_flag(sk, SOCK_KEEPOPEN) and sk.sk_state != TCP_CLOSE and sk.sk_state != TCP_SYN_SENT:
            tcp_keepalive_probe(sk)
    sock_put(sk)
