# SPDX-License-Identifier: Apache-2.0
"""struct tcp_sock, TCP's constants, and the small inlines that all of TCP's files share (Linux: include/net/tcp.h,
linux/tcp.h).

Sequence numbers are u32 modulo 2**32 and compared with before() and after() alone. rtt figures are in microseconds, srtt_us
eight times and mdev_us four times smoothed, as in Linux. Clocks: tcp_mstamp in ns; jiffies are ms.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from linnet.include.linux.skbuff import SkBuff, SkBuffHead
from linnet.include.linux.socket import Msghdr
from linnet.include.net.inet_connection_sock import InetConnectionSock
from linnet.include.net.request_sock import RequestSock, TcpFastopenCookie
from linnet.include.net.sock import Sock, SockTimer
from linnet.include.net.tcp_md5sig import TcpMd5sigKey

U32: Final = 0xFFFFFFFF
MAX_TCP_WINDOW: Final = 32767
MAX_TCP_OPTION_SPACE: Final = 40
TCP_MIN_SND_MSS: Final = 48
TCP_MIN_GSO_SIZE: Final = 8
TCP_MSS_DEFAULT: Final = 536
TCP_MIN_MSS: Final = 88
TCP_BASE_MSS: Final = 1024
TCP_MAX_WSCALE: Final = 14
TCP_MAX_QUICKACKS: Final = 16
TCP_INIT_CWND: Final = 10
TCP_INFINITE_SSTHRESH: Final = 0x7FFFFFFF
TCP_FASTRETRANS_THRESH: Final = 3
MAX_TCP_KEEPIDLE: Final = 32767
MAX_TCP_KEEPINTVL: Final = 32767
MAX_TCP_KEEPCNT: Final = 127
MAX_TCP_SYNCNT: Final = 127

# jiffies (ms)
TCP_RTO_MAX: Final = 120_000
TCP_RTO_MIN: Final = 200
TCP_TIMEOUT_INIT: Final = 1000
TCP_TIMEOUT_FALLBACK: Final = 3000
TCP_TIMEOUT_MIN: Final = 2
TCP_TIMEOUT_MIN_US: Final = 2000
TCP_DELACK_MAX: Final = 200
TCP_DELACK_MIN: Final = 40
TCP_ATO_MIN: Final = 40
TCP_RESOURCE_PROBE_INTERVAL: Final = 500
TCP_TIMEWAIT_LEN: Final = 60_000
TCP_FIN_TIMEOUT: Final = 60_000
TCP_KEEPALIVE_TIME: Final = 7_200_000
TCP_KEEPALIVE_PROBES: Final = 9
TCP_KEEPALIVE_INTVL: Final = 75_000
TCP_SYNQ_INTERVAL: Final = 200
TCP_PAWS_MSL: Final = 60  # s
TCP_PAWS_WINDOW: Final = 1
TCP_PAWS_24DAYS: Final = 60 * 60 * 24 * 24  # s

TCPHDR_FIN: Final = 0x01
TCPHDR_SYN: Final = 0x02
TCPHDR_RST: Final = 0x04
TCPHDR_PSH: Final = 0x08
TCPHDR_ACK: Final = 0x10
TCPHDR_URG: Final = 0x20
TCPHDR_ECE: Final = 0x40
TCPHDR_CWR: Final = 0x80
TCPHDR_SYN_ECN: Final = TCPHDR_SYN | TCPHDR_ECE | TCPHDR_CWR

TCPCB_SACKED_ACKED: Final = 0x01
TCPCB_SACKED_RETRANS: Final = 0x02
TCPCB_LOST: Final = 0x04
TCPCB_TAGBITS: Final = 0x07
TCPCB_REPAIRED: Final = 0x10
TCPCB_EVER_RETRANS: Final = 0x80
TCPCB_RETRANS: Final = TCPCB_SACKED_RETRANS | TCPCB_EVER_RETRANS | TCPCB_REPAIRED

# rx_opt.sack_ok
TCP_SACK_SEEN: Final = 1 << 0
TCP_DSACK_SEEN: Final = 1 << 2
TCP_NUM_SACKS: Final = 4

# sysctl_tcp_recovery
TCP_RACK_STATIC_REO_WND: Final = 0x2
TCP_RACK_NO_DUPTHRESH: Final = 0x4
TCP_RACK_RECOVERY_THRESH: Final = 16

TCP_ECN_OK: Final = 1
TCP_ECN_QUEUE_CWR: Final = 2
TCP_ECN_DEMAND_CWR: Final = 4
TCP_ECN_SEEN: Final = 8

TCP_NAGLE_OFF: Final = 1
TCP_NAGLE_CORK: Final = 2
TCP_NAGLE_PUSH: Final = 4

# urg_data: the byte itself, or one of these
TCP_URG_VALID: Final = 0x0100
TCP_URG_NOTYET: Final = 0x0200
TCP_URG_READ: Final = 0x0400

# sk_tsq_flags: what the socket's owner does when it lets go (Linux: enum tsq_flags)
TSQF_THROTTLED: Final = 1 << 0
TSQF_QUEUED: Final = 1 << 1
TCPF_TSQ_DEFERRED: Final = 1 << 2
TCPF_WRITE_TIMER_DEFERRED: Final = 1 << 3
TCPF_DELACK_TIMER_DEFERRED: Final = 1 << 4
TCPF_MTU_REDUCED_DEFERRED: Final = 1 << 5
TCPF_ACK_DEFERRED: Final = 1 << 6
TCP_DEFERRED_ALL: Final = (TCPF_TSQ_DEFERRED | TCPF_WRITE_TIMER_DEFERRED | TCPF_DELACK_TIMER_DEFERRED
                           | TCPF_MTU_REDUCED_DEFERRED | TCPF_ACK_DEFERRED)

# chrono_type: what keeps data from being sent
TCP_CHRONO_UNSPEC: Final = 0
TCP_CHRONO_BUSY: Final = 1
TCP_CHRONO_RWND_LIMITED: Final = 2
TCP_CHRONO_SNDBUF_LIMITED: Final = 3

TCP_CA_Open: Final = 0
TCP_CA_Disorder: Final = 1
TCP_CA_CWR: Final = 2
TCP_CA_Recovery: Final = 3
TCP_CA_Loss: Final = 4
TCP_CA_NAMES: Final = ('Open', 'Disorder', 'CWR', 'Recovery', 'Loss')

# congestion window events
CA_EVENT_TX_START: Final = 0
CA_EVENT_CWND_RESTART: Final = 1
CA_EVENT_COMPLETE_CWR: Final = 2
CA_EVENT_LOSS: Final = 3
CA_EVENT_ECN_NO_CE: Final = 4
CA_EVENT_ECN_IS_CE: Final = 5
CA_ACK_SLOWPATH: Final = 1
CA_ACK_WIN_UPDATE: Final = 2
CA_ACK_ECE: Final = 4

TCPOPT_EOL: Final = 0
TCPOPT_NOP: Final = 1
TCPOPT_MSS: Final = 2
TCPOPT_WINDOW: Final = 3
TCPOPT_SACK_PERM: Final = 4
TCPOPT_SACK: Final = 5
TCPOPT_TIMESTAMP: Final = 8
TCPOPT_MD5SIG: Final = 19
TCPOPT_FASTOPEN: Final = 34
TCPOPT_EXP: Final = 254
TCPOLEN_MSS: Final = 4
TCPOLEN_WINDOW: Final = 3
TCPOLEN_SACK_PERM: Final = 2
TCPOLEN_TIMESTAMP: Final = 10
TCPOLEN_TSTAMP_ALIGNED: Final = 12
TCPOLEN_WSCALE_ALIGNED: Final = 4
TCPOLEN_SACKPERM_ALIGNED: Final = 4
TCPOLEN_SACK_BASE_ALIGNED: Final = 4
TCPOLEN_SACK_PERBLOCK: Final = 8
TCPOLEN_MSS_ALIGNED: Final = 4
TCPOLEN_FASTOPEN_BASE: Final = 2
TCPOLEN_EXP_FASTOPEN_BASE: Final = 4
TCPOPT_FASTOPEN_MAGIC: Final = 0xF989  # of the experimental option (RFC 6994)

# Fast Open (RFC 7413)
TCP_FASTOPEN_COOKIE_MIN: Final = 4
TCP_FASTOPEN_COOKIE_MAX: Final = 16
TCP_FASTOPEN_COOKIE_SIZE: Final = 8
TCP_FASTOPEN_KEY_LENGTH: Final = 16
TFO_CLIENT_ENABLE: Final = 1  # net.ipv4.tcp_fastopen
TFO_SERVER_ENABLE: Final = 2
TFO_CLIENT_NO_COOKIE: Final = 4  # data in the SYN without a cookie
TFO_SERVER_COOKIE_NOT_REQD: Final = 0x200
TFO_SERVER_WO_SOCKOPT1: Final = 0x400  # every listener, without TCP_FASTOPEN
TFO_STATUS_UNSPEC: Final = 0  # tcpi_fastopen_client_fail
TFO_COOKIE_UNAVAILABLE: Final = 1
TFO_DATA_NOT_ACKED: Final = 2
TFO_SYN_RETRANSMITTED: Final = 3

# socket options (level SOL_TCP)
TCP_NODELAY: Final = 1
TCP_MAXSEG: Final = 2
TCP_CORK: Final = 3
TCP_KEEPIDLE: Final = 4
TCP_KEEPINTVL: Final = 5
TCP_KEEPCNT: Final = 6
TCP_SYNCNT: Final = 7
TCP_LINGER2: Final = 8
TCP_DEFER_ACCEPT: Final = 9
TCP_WINDOW_CLAMP: Final = 10
TCP_INFO: Final = 11
TCP_QUICKACK: Final = 12
TCP_CONGESTION: Final = 13
TCP_MD5SIG: Final = 14
TCP_MD5SIG_EXT: Final = 32
TCP_MD5SIG_FLAG_PREFIX: Final = 1
TCP_MD5SIG_FLAG_IFINDEX: Final = 2
TCP_MD5SIG_MAXKEYLEN: Final = 80
TCPOLEN_MD5SIG: Final = 18
TCPOLEN_MD5SIG_ALIGNED: Final = 20
TCP_THIN_LINEAR_TIMEOUTS: Final = 16
TCP_THIN_DUPACK: Final = 17
TCP_USER_TIMEOUT: Final = 18
TCP_FASTOPEN: Final = 23
TCP_TIMESTAMP: Final = 24
TCP_NOTSENT_LOWAT: Final = 25
TCP_CC_INFO: Final = 26
TCP_ULP: Final = 31
TCP_IS_MPTCP: Final = 43
TCP_RTO_MIN_US: Final = 45
TCP_DELACK_MAX_US: Final = 46
TCP_SAVE_SYN: Final = 27
TCP_SAVED_SYN: Final = 28
TCP_FASTOPEN_CONNECT: Final = 30
TCP_FASTOPEN_KEY: Final = 33
TCP_FASTOPEN_NO_COOKIE: Final = 34
TCP_INQ: Final = 36
TCP_TX_DELAY: Final = 37
TCP_RTO_MAX_MS: Final = 44


class TcpFastopenRequest:
    """Linux: struct tcp_fastopen_request: a send that opens the connection. data None: a connect alone, to ask for a cookie."""

    def __init__(self, data: Msghdr | None, size: i64) -> None:
        self.cookie: TcpFastopenCookie = TcpFastopenCookie()
        self.cookie.len = 0
        self.data: Msghdr | None = data
        self.size: i64 = size
        self.copied: i64 = 0  # bytes that went with the SYN


class TcpOptionsReceived:
    """Linux: struct tcp_options_received: what the peer's options said, of the last segment and for the connection."""

    def __init__(self) -> None:
        self.ts_recent_stamp: i64 = 0  # s: when ts_recent was stored (0: never)
        self.ts_recent: i64 = 0
        self.rcv_tsval: i64 = 0
        self.rcv_tsecr: i64 = 0
        self.saw_tstamp: bool = False
        self.tstamp_ok: bool = False
        self.dsack: bool = False
        self.wscale_ok: bool = False
        self.sack_ok: i64 = 0
        self.snd_wscale: i64 = 0
        self.rcv_wscale: i64 = 0
        self.num_sacks: i64 = 0
        self.user_mss: i64 = 0
        self.mss_clamp: i64 = 0
        self.sack_start: list[int] = []  # blocks of the segment in hand
        self.sack_end: list[int] = []
        self.foc: TcpFastopenCookie | None = None  # where Fast Open's option goes; None: it is not looked for


class TcpSacktagState:
    """Linux: struct tcp_sacktag_state: what the SACK blocks of one ACK said. Times in ns, -1 where there is none."""

    def __init__(self) -> None:
        self.first_sackt: i64 = -1  # when the first and the last of what was newly SACKed, and sent once, was sent
        self.last_sackt: i64 = -1
        self.reord: i64 = 0  # the lowest sequence number that was (S)ACKed after higher ones, or snd_nxt
        self.sack_delivered: i64 = 0  # segments newly SACKed, or told by DSACK to have come twice
        self.flag: i64 = 0  # FLAG_*
        self.keep_timer: bool = False  # the timer was set on purpose: tcp_ack leaves it (Linux: clears FLAG_SET_XMIT_TIMER)


class RateSample:
    """Linux: struct rate_sample: a delivery rate measured by an ACK. Times in µs, -1 where there is none."""

    def __init__(self) -> None:
        self.prior_mstamp: i64 = 0
        self.prior_delivered: i64 = 0
        self.delivered: i64 = 0
        self.interval_us: i64 = 0
        self.snd_interval_us: i64 = 0
        self.rcv_interval_us: i64 = 0
        self.rtt_us: i64 = -1
        self.losses: i64 = 0
        self.acked_sacked: i64 = 0
        self.prior_in_flight: i64 = 0
        self.last_end_seq: i64 = 0
        self.is_app_limited: bool = False
        self.is_retrans: bool = False
        self.is_ack_delayed: bool = False


@mypyc_attr(allow_interpreted_subclasses=True)
class TcpCongestionOps:
    """A congestion control (Linux: struct tcp_congestion_ops). Subclass it, override ssthresh and cong_avoid (or
    cong_control), and
    register it on the Net. State of a connection goes into sk.icsk_ca_priv.
    """

    name: str = ''

    def __init__(self) -> None:
        self.needs_ecn: bool = False
        self.non_restricted: bool = True
        self.has_cong_control: bool = False

    def init(self, sk: TcpSock) -> None:
        """A connection starts to use it."""

        sk.icsk_ca_priv = None

    def release(self, sk: TcpSock) -> None:
        """A connection stops using it."""

        sk.icsk_ca_priv = None

    def ssthresh(self, sk: TcpSock) -> i64:
        """The slow-start threshold after a loss, in segments."""
        raise AssertionError('a congestion control has an ssthresh')

    def cong_avoid(self, sk: TcpSock, ack: i64, acked: i64) -> None:
        """Grow snd_cwnd for `acked` newly delivered segments."""
        raise AssertionError('a congestion control has a cong_avoid, or cong_control')

    def cong_control(self, sk: TcpSock, ack: i64, flag: i64, rs: RateSample) -> None:
        """Set snd_cwnd and sk_pacing_rate after each ACK (with has_cong_control)."""
        raise AssertionError('has_cong_control asks for a cong_control')

    def set_state(self, sk: TcpSock, new_state: i64) -> None:
        """icsk_ca_state is about to become new_state."""

        sk.icsk_ca_state = new_state

    def cwnd_event(self, sk: TcpSock, event: i64) -> None:
        """Something that concerns the window happened, CA_EVENT_*."""
        return

    def in_ack_event(self, sk: TcpSock, flags: i64) -> None:
        """An ACK came, CA_ACK_*."""
        return

    def pkts_acked(self, sk: TcpSock, pkts_acked: i64, rtt_us: i64, in_flight: i64) -> None:
        """Segments were acknowledged; rtt_us is -1 where it could not be measured."""
        return

    def undo_cwnd(self, sk: TcpSock) -> i64:
        """The window after a reduction that proved wrong."""
        return sk.snd_cwnd if sk.snd_cwnd > sk.prior_cwnd else sk.prior_cwnd

    def min_tso_segs(self, sk: TcpSock) -> i64:
        """The least number of segments of a super-segment; 0: the sysctl's."""
        return 0

    def sndbuf_expand(self, sk: TcpSock) -> i64:
        """How many windows the send buffer holds."""
        return 2

    def get_info(self, sk: TcpSock, ext: int) -> dict[str, int]:
        """Figures for ss and TCP_CC_INFO."""
        return {}


class TcpSock(InetConnectionSock):
    """Linux: struct tcp_sock."""

    def __init__(self) -> None:
        super().__init__()
        self.tcp_header_len: i64 = 0  # of segments without SACK blocks
        self.gso_segs: i64 = 0
        self.pred_flags: i64 = 0  # header prediction: doff, flags and window of the next expected segment; 0: off
        self.pred_wnd: i64 = 0
        self.segs_in: i64 = 0
        self.data_segs_in: i64 = 0
        self.rcv_nxt: i64 = 0
        self.copied_seq: i64 = 0
        self.rcv_wup: i64 = 0
        self.snd_nxt: i64 = 0
        self.segs_out: i64 = 0
        self.data_segs_out: i64 = 0
        self.bytes_sent: i64 = 0
        self.bytes_acked: i64 = 0
        self.bytes_received: i64 = 0
        self.bytes_retrans: i64 = 0
        self.dsack_dups: i64 = 0
        self.snd_una: i64 = 0
        self.snd_sml: i64 = 0
        self.rcv_tstamp: i64 = 0  # jiffies of the last ACK
        self.lsndtime: i64 = 0  # jiffies of the last data sent
        self.last_oow_ack_time: i64 = 0
        self.compressed_ack: i64 = 0
        self.compressed_ack_rcv_nxt: i64 = 0
        self.compressed_ack_timer: SockTimer | None = None
        self.pacing_timer: SockTimer | None = None
        self.dup_ack_counter: i64 = 0
        self.tsoffset: i64 = 0
        self.tcp_tx_delay: i64 = 0
        self.snd_wl1: i64 = 0
        self.snd_wnd: i64 = 0
        self.max_window: i64 = 0
        self.mss_cache: i64 = TCP_MSS_DEFAULT
        self.window_clamp: i64 = 0
        self.rcv_ssthresh: i64 = 0
        self.scaling_ratio: i64 = 128
        self.rcv_wnd: i64 = 0
        self.write_seq: i64 = 0
        self.pushed_seq: i64 = 0
        self.notsent_lowat: i64 = 0
        self.advmss: i64 = 0
        self.chrono_start: i64 = 0
        self.chrono_stat: list[int] = [0, 0, 0]
        self.chrono_type: i64 = 0
        self.nonagle: i64 = 0
        self.thin_lto: bool = False
        self.repair: bool = False
        self.recvmsg_inq: bool = False
        self.frto: bool = False
        self.syn_data: bool = False
        self.syn_fastopen: bool = False
        self.syn_fastopen_exp: bool = False
        self.syn_fastopen_ch: bool = False
        self.syn_data_acked: bool = False
        self.syn_fastopen_child: bool = False
        self.save_syn: i64 = 0
        self.saved_syn: bytes = b''
        self.is_cwnd_limited: bool = False
        self.is_sack_reneg: bool = False
        self.fastopen_connect: bool = False
        self.fastopen_no_cookie: bool = False
        self.fastopen_client_fail: i64 = 0
        self.fastopen_req: TcpFastopenRequest | None = None
        self.md5sig_info: list[TcpMd5sigKey] | None = None  # None: no key was ever set
        self.fastopen_rsk: RequestSock | None = None  # of a child that exists before its handshake is complete
        self.tlp_retrans: bool = False
        self.tlp_high_seq: i64 = 0
        self.tcp_wstamp_ns: i64 = 0  # when the last segment left, or with pacing, when the next one may
        self.tcp_mstamp: i64 = 0  # ns: the clock as of the segment or call in hand (Linux: in µs; tcp_clock_cache in ns)
        self.srtt_us: i64 = 0
        self.mdev_us: i64 = 0
        self.mdev_max_us: i64 = 0
        self.rttvar_us: i64 = 0
        self.rtt_seq: i64 = 0
        self.rtt_min: i64 = -1  # µs, over the window of tcp_min_rtt_wlen; -1: none yet
        self.rtt_min_stamp: i64 = 0
        self.packets_out: i64 = 0
        self.retrans_out: i64 = 0
        self.max_packets_out: i64 = 0
        self.cwnd_usage_seq: i64 = 0
        self.urg_data: i64 = 0
        self.urg_seq: i64 = 0
        self.ecn_flags: i64 = 0
        self.keepalive_probes: i64 = 0
        self.reordering: i64 = 3
        self.reord_seen: i64 = 0
        self.snd_up: i64 = 0
        self.rx_opt: TcpOptionsReceived = TcpOptionsReceived()
        self.snd_ssthresh: i64 = TCP_INFINITE_SSTHRESH
        self.snd_cwnd: i64 = TCP_INIT_CWND
        self.snd_cwnd_cnt: i64 = 0
        self.snd_cwnd_clamp: i64 = U32
        self.snd_cwnd_used: i64 = 0
        self.snd_cwnd_stamp: i64 = 0
        self.prior_cwnd: i64 = 0
        self.prr_delivered: i64 = 0
        self.prr_out: i64 = 0
        self.delivered: i64 = 0
        self.delivered_ce: i64 = 0
        self.lost: i64 = 0
        self.app_limited: i64 = 0
        self.first_tx_mstamp: i64 = 0
        self.delivered_mstamp: i64 = 0
        self.rate_delivered: i64 = 0
        self.rate_interval_us: i64 = 0
        self.rate_app_limited: bool = False
        self.ack_rs: RateSample = RateSample()  # of the ACK in hand (Linux: on tcp_ack's stack)
        self.ack_sack: TcpSacktagState = TcpSacktagState()  # likewise
        self.tcp_rtx_queue: SkBuffHead = SkBuffHead()  # sent, not acknowledged; sk_write_queue: not sent yet
        self.tsorted_head: SkBuff | None = None  # tsorted_sent_queue: of those, what may be lost, the longest sent first
        self.tsorted_tail: SkBuff | None = None
        self.out_of_order_queue: SkBuffHead = SkBuffHead()  # by seq
        self.ooo_last_skb: SkBuff | None = None
        self.duplicate_sack: list[int] = []  # [start, end) of a DSACK to send
        self.selective_acks: list[int] = []  # start, end, start, end ... as they go out
        self.recv_sack_cache: list[int] = []
        self.highest_sack: SkBuff | None = None
        self.lost_out: i64 = 0
        self.sacked_out: i64 = 0
        self.rack_mstamp: i64 = 0
        self.rack_rtt_us: i64 = 0
        self.rack_end_seq: i64 = 0
        self.rack_last_delivered: i64 = 0
        self.rack_reo_wnd_steps: i64 = 1
        self.rack_reo_wnd_persist: i64 = 0
        self.rack_dsack_seen: bool = False
        self.rack_advanced: bool = False
        self.rack_retrans: bool = False  # what rack_mstamp is of had been sent again
        self.retransmit_skb_hint: SkBuff | None = None
        self.lost_skb_hint: SkBuff | None = None
        self.lost_cnt_hint: i64 = 0
        self.prior_ssthresh: i64 = 0
        self.high_seq: i64 = 0
        self.retrans_stamp: i64 = 0  # ms of tcp_time_stamp; 0: nothing retransmitted
        self.undo_marker: i64 = 0
        self.undo_retrans: i64 = -1
        self.total_retrans: i64 = 0
        self.total_rto: i64 = 0
        self.total_rto_recoveries: i64 = 0
        self.rto_stamp: i64 = 0
        self.urg_deferred: bool = False
        self.keepalive_time: i64 = 0  # jiffies, 0: the sysctl's
        self.keepalive_intvl: i64 = 0
        self.linger2: i64 = 0
        self.rcv_rtt_est_us: i64 = 0
        self.rcv_rtt_seq: i64 = 0
        self.rcv_rtt_time: i64 = 0
        self.rcv_rtt_last_tsecr: i64 = 0
        self.rcvq_space: i64 = 0
        self.rcvq_seq: i64 = 0
        self.rcvq_time: i64 = 0
        self.mtu_probe_seq_start: i64 = 0
        self.mtu_probe_seq_end: i64 = 0
        self.mtu_info: i64 = 0
        self.timeout_rehash: i64 = 0
        self.rcv_ooopack: i64 = 0


def tcp_sk(sk: Sock) -> TcpSock:
    """Linux: include/linux/tcp.h."""
    assert isinstance(sk, TcpSock)
    return sk


def before(seq1: i64, seq2: i64) -> bool:
    """Does seq1 lie before seq2, modulo 2**32?  Linux: include/net/tcp.h.  RFC 9293, 3.4."""
    return ((seq1 - seq2) & 0x80000000) != 0


def after(seq1: i64, seq2: i64) -> bool:
    """Does seq1 lie after seq2, modulo 2**32?  Linux: include/net/tcp.h."""
    return ((seq2 - seq1) & 0x80000000) != 0


def between(seq1: i64, seq2: i64, seq3: i64) -> bool:
    """Is seq2 <= seq1 <= seq3, modulo 2**32?  Linux: include/net/tcp.h."""
    return ((seq3 - seq2) & U32) >= ((seq1 - seq2) & U32)


def tcp_skb_pcount(skb: SkBuff) -> i64:
    """Segments that this skb is on the wire.  Linux: include/net/tcp.h."""
    return skb.gso_segs


def tcp_skb_mss(skb: SkBuff) -> i64:
    """Linux: include/net/tcp.h."""
    return skb.gso_size


def tcp_left_out(tp: TcpSock) -> i64:
    """Segments that have left the network: SACKed, or deemed lost.  Linux: include/net/tcp.h."""
    return tp.sacked_out + tp.lost_out


def tcp_packets_in_flight(tp: TcpSock) -> i64:
    """Segments believed to be in the network now.  Linux: include/net/tcp.h."""
    return tp.packets_out - tp.sacked_out - tp.lost_out + tp.retrans_out


def tcp_in_slow_start(tp: TcpSock) -> bool:
    """Linux: include/net/tcp.h."""
    return tp.snd_cwnd < tp.snd_ssthresh


def tcp_in_cwnd_reduction(tp: TcpSock) -> bool:
    """Linux: include/net/tcp.h."""
    return tp.icsk_ca_state == TCP_CA_CWR or tp.icsk_ca_state == TCP_CA_Recovery


def tcp_is_sack(tp: TcpSock) -> bool:
    """Did both ends agree on SACK?  Linux: include/net/tcp.h."""
    return tp.rx_opt.sack_ok != 0


def tcp_highest_sack_seq(tp: TcpSock) -> i64:
    """Where the first skb starts that lies behind everything SACKed; snd_una where nothing is.  Linux: include/net/tcp.h."""
    if tp.sacked_out == 0:
        return tp.snd_una
    skb = tp.highest_sack
    return tp.snd_nxt if skb is None else skb.seq


def tcp_highest_sack_reset(tp: TcpSock) -> None:
    """Nothing is SACKed.  Linux: include/net/tcp.h."""
    tp.highest_sack = tp.tcp_rtx_queue.next


def tcp_rto_delta_us(tp: TcpSock) -> i64:
    """How long until the RTO of the first segment that is out, µs (negative: past).  Linux: include/net/tcp.h."""
    skb = tp.tcp_rtx_queue.next
    if skb is None:
        return tp.icsk_rto * 1000
    return (skb.tstamp - tp.tcp_mstamp) // 1000 + tp.icsk_rto * 1000


def tcp_wnd_end(tp: TcpSock) -> i64:
    """The sequence number behind the last byte that the peer's window allows.  Linux: include/net/tcp.h."""
    return (tp.snd_una + tp.snd_wnd) & U32


def tcp_receive_window(tp: TcpSock) -> i64:
    """What is left of the window that we last advertised, bytes.  Linux: include/net/tcp.h."""
    win = (tp.rcv_wup + tp.rcv_wnd - tp.rcv_nxt) & U32
    return 0 if win >= 0x80000000 else win


def tcp_write_queue_empty(tp: TcpSock) -> bool:
    """Is everything sent at least once?  Linux: include/net/tcp.h."""
    return tp.sk_write_queue.next is None


def tcp_rtx_queue_empty(tp: TcpSock) -> bool:
    """Is everything that was sent acknowledged?  Linux: include/net/tcp.h."""
    return tp.tcp_rtx_queue.next is None


def tcp_tsorted_del(tp: TcpSock, skb: SkBuff) -> None:
    """skb arrived, or is deemed lost: RACK need not look at it.  Linux: list_del_init(&skb->tcp_tsorted_anchor)."""
    if not skb.tsorted:
        return
    prev = skb.tsorted_prev
    behind = skb.tsorted_next
    if prev is None:
        tp.tsorted_head = behind
    else:
        prev.tsorted_next = behind
    if behind is None:
        tp.tsorted_tail = prev
    else:
        behind.tsorted_prev = prev
    skb.tsorted = False
    skb.tsorted_prev = None
    skb.tsorted_next = None


def tcp_tsorted_add_after(tp: TcpSock, prev: SkBuff | None, skb: SkBuff) -> None:
    """skb was sent together with prev; None: before all others."""
    behind = tp.tsorted_head if prev is None else prev.tsorted_next
    skb.tsorted = True
    skb.tsorted_prev = prev
    skb.tsorted_next = behind
    if prev is None:
        tp.tsorted_head = skb
    else:
        prev.tsorted_next = skb
    if behind is None:
        tp.tsorted_tail = skb
    else:
        behind.tsorted_prev = skb


def tcp_tsorted_move_tail(tp: TcpSock, skb: SkBuff) -> None:
    """skb was sent just now.  Linux: list_move_tail(&skb->tcp_tsorted_anchor, &tp->tsorted_sent_queue)."""
    if skb.tsorted:
        if tp.tsorted_tail is skb:
            return
        tcp_tsorted_del(tp, skb)
    tcp_tsorted_add_after(tp, tp.tsorted_tail, skb)


def tcp_send_head(tp: TcpSock) -> SkBuff | None:
    """The first skb never sent.  Linux: include/net/tcp.h."""
    return tp.sk_write_queue.next


def tcp_rtx_queue_head(tp: TcpSock) -> SkBuff | None:
    """The first skb not acknowledged.  Linux: include/net/tcp.h."""
    return tp.tcp_rtx_queue.next


def tcp_clock_ns(sk: Sock) -> i64:
    """The world's clock.  Linux: include/net/tcp.h."""
    net = sk.sk_net
    assert net is not None
    return net.clock.now


def tcp_jiffies32(sk: Sock) -> i64:
    """The clock in jiffies (ms).  Linux: include/net/tcp.h."""
    net = sk.sk_net
    assert net is not None
    return net.clock.now // 1_000_000


def tcp_mstamp_refresh(tp: TcpSock) -> None:
    """Take the time once for what follows.  Linux: net/ipv4/tcp_output.c."""
    tp.tcp_mstamp = tcp_clock_ns(tp)


def tcp_time_stamp(tp: TcpSock) -> i64:
    """The timestamp option's clock, 1 ms a tick, before tsoffset (RFC 7323, 5.4).  Linux: include/net/tcp.h."""
    return (tp.tcp_mstamp // 1_000_000) & U32


def tcp_stamp_us_delta(t1: i64, t0: i64) -> i64:
    """Microseconds from t0 to t1 (ns), not below 0.  Linux: include/net/tcp.h."""
    return (t1 - t0) // 1000 if t1 > t0 else 0


def tcp_rtx_and_write_queues_empty(tp: TcpSock) -> bool:
    """Is nothing left to send or to be acknowledged?  Linux: include/net/tcp.h."""
    return tp.tcp_rtx_queue.next is None and tp.sk_write_queue.next is None


def tcp_win_from_space(sk: TcpSock, space: i64) -> i64:
    """How much window `space` bytes of buffer are worth, by the measured ratio of payload to memory.

    Linux: include/net/tcp.h.
    """
    return (space * sk.scaling_ratio) >> 8


def tcp_space_from_win(sk: TcpSock, win: i64) -> i64:
    """The buffer that a window of `win` bytes takes: the inverse of tcp_win_from_space.  Linux: include/net/tcp.h."""
    return (win << 8) // sk.scaling_ratio


def tcp_space(sk: TcpSock) -> i64:
    """Free receive buffer as window bytes (negative: overfull).  Linux: include/net/tcp.h."""
    return ((sk.sk_rcvbuf - sk.sk_backlog_len - sk.sk_rmem_alloc) * sk.scaling_ratio) >> 8


def tcp_full_space(sk: TcpSock) -> i64:
    """The whole receive buffer as window bytes.  Linux: include/net/tcp.h."""
    return (sk.sk_rcvbuf * sk.scaling_ratio) >> 8


def tcp_fin_time(sk: TcpSock) -> i64:
    """How long an orphan stays in FIN_WAIT2, jiffies; at least 3.5 RTO.  Linux: include/net/tcp.h."""
    fin_timeout = sk.linger2
    if fin_timeout == 0:
        net = sk.sk_net
        assert net is not None
        fin_timeout = net.ipv4.sysctl_tcp_fin_timeout * 1000
    rto = sk.icsk_rto
    low = (rto << 2) - (rto >> 1)
    return fin_timeout if fin_timeout > low else low


def keepalive_intvl_when(tp: TcpSock) -> i64:
    """Jiffies between keepalive probes.  Linux: include/net/tcp.h."""
    if tp.keepalive_intvl != 0:
        return tp.keepalive_intvl
    net = tp.sk_net
    assert net is not None
    return net.ipv4.sysctl_tcp_keepalive_intvl * 1000


def keepalive_time_when(tp: TcpSock) -> i64:
    """Idle jiffies before the first keepalive probe.  Linux: include/net/tcp.h."""
    if tp.keepalive_time != 0:
        return tp.keepalive_time
    net = tp.sk_net
    assert net is not None
    return net.ipv4.sysctl_tcp_keepalive_time * 1000


def keepalive_probes(tp: TcpSock) -> i64:
    """Unanswered keepalive probes before the connection is given up.  Linux: include/net/tcp.h."""
    if tp.keepalive_probes != 0:
        return tp.keepalive_probes
    net = tp.sk_net
    assert net is not None
    return net.ipv4.sysctl_tcp_keepalive_probes


def keepalive_time_elapsed(tp: TcpSock) -> i64:
    """Jiffies since anything came from the peer.  Linux: include/net/tcp.h."""
    last = tp.ack_lrcvtime if tp.ack_lrcvtime > tp.rcv_tstamp else tp.rcv_tstamp
    return tcp_jiffies32(tp) - last


def tcp_probe0_base(tp: TcpSock) -> i64:
    """The first interval of zero-window probes, jiffies.  Linux: include/net/tcp.h."""
    return tp.icsk_rto if tp.icsk_rto > TCP_RTO_MIN else TCP_RTO_MIN


def tcp_probe0_when(tp: TcpSock, max_when: i64) -> i64:
    """The present interval of zero-window probes, jiffies, doubled by each one sent.  Linux: include/net/tcp.h."""
    backoff = tp.icsk_backoff if tp.icsk_backoff < 24 else 24
    when = tcp_probe0_base(tp) << backoff
    return when if when < max_when else max_when


def tcp_skb_timestamp_ms(skb: SkBuff) -> i64:
    """When skb was last sent, by the clock of tcp_time_stamp.  Linux: include/net/tcp.h, tcp_skb_timestamp."""
    return (skb.tstamp // 1_000_000) & U32


def tcp_notsent_lowat(tp: TcpSock) -> i64:
    """How many unsent bytes a writer may queue.  Linux: include/net/tcp.h."""
    if tp.notsent_lowat != 0:
        return tp.notsent_lowat
    net = tp.sk_net
    assert net is not None
    return net.ipv4.sysctl_tcp_notsent_lowat


def tcp_stream_memory_free(tp: TcpSock, wake: i64) -> bool:
    """May more be queued? wake 1: enough that a poller should be told (half of the unsent limit).  Linux: include/net/tcp.h."""
    if tp.sk_wmem_queued >= tp.sk_sndbuf:
        return False
    return (((tp.write_seq - tp.snd_nxt) & U32) << wake) < tcp_notsent_lowat(tp)


def tcp_min_rtt(tp: TcpSock) -> i64:
    """The least RTT of the last minutes, µs; U32 before the first.  Linux: include/net/tcp.h."""
    return tp.rtt_min if tp.rtt_min >= 0 else U32
