# SPDX-License-Identifier: Apache-2.0
"""struct inet_connection_sock: what connection-oriented transports over IP share: timers, RTO, delayed ACK, accept queue, MTU
probe.

Times in jiffies (1 ms) where Linux counts in jiffies; time-outs of timers in ns since the world's start.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import Msghdr
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.request_sock import RequestSock, RequestSockQueue
from linnet.include.net.sock import OptResult, Sock, SockTimer, sock_net

if TYPE_CHECKING:
    from linnet.include.net.dst import DstEntry
    from linnet.include.net.tcp import TcpCongestionOps

ICSK_TIME_RETRANS: Final = 1
ICSK_TIME_DACK: Final = 2
ICSK_TIME_PROBE0: Final = 3
ICSK_TIME_LOSS_PROBE: Final = 5
ICSK_TIME_REO_TIMEOUT: Final = 6

ICSK_ACK_SCHED: Final = 1
ICSK_ACK_TIMER: Final = 2
ICSK_ACK_PUSHED: Final = 4
ICSK_ACK_PUSHED2: Final = 8
ICSK_ACK_NOW: Final = 16
ICSK_ACK_NOMEM: Final = 32


class InetBindBucket:
    """Linux: struct inet_bind_bucket: one local port in use, and who uses it."""

    def __init__(self, port: i64) -> None:
        self.port: i64 = port
        self.fastreuse: i64 = 0
        self.fastreuseport: i64 = 0
        self.fastuid: i64 = 0
        self.owners: dict[Sock, None] = {}  # in the order of binding


class InetBind2Bucket:
    """Linux: struct inet_bind2_bucket: one local port and address in use."""

    def __init__(self, port: i64, rcv_saddr: i64) -> None:
        self.port: i64 = port
        self.rcv_saddr: i64 = rcv_saddr
        self.v6_rcv_saddr: int = -1  # of a socket of AF_INET6 (:: of one that takes any); -1: of IPv4
        self.owners: dict[Sock, None] = {}


class InetConnectionSockAfOps:
    """The steps of a connection that differ between IPv4 and IPv6 (Linux: struct inet_connection_sock_af_ops)."""

    def __init__(self) -> None:
        self.net_header_len: i64 = 20
        self.sockaddr_len: i64 = 16

    def queue_xmit(self, sk: Sock, skb: SkBuff) -> i64:
        """Send skb (data at the transport header) and own it."""
        raise AssertionError('af_ops of a transport')

    def send_check(self, sk: Sock, skb: SkBuff) -> None:
        """Make the transport checksum, or leave it to the device (CHECKSUM_PARTIAL)."""
        raise AssertionError('af_ops of a transport')

    def rebuild_header(self, sk: Sock) -> int:
        """Look for a route again. 0 or a negative errno."""
        raise AssertionError('af_ops of a transport')

    def sk_rx_dst_set(self, sk: Sock, skb: SkBuff) -> None:
        """Remember the route that skb came in by."""
        raise AssertionError('af_ops of a transport')

    def conn_request(self, sk: Sock, skb: SkBuff) -> int:
        """A SYN came to a listener."""
        raise AssertionError('af_ops of a transport')

    def syn_recv_sock(self, sk: Sock, skb: SkBuff, req: RequestSock, dst: DstEntry | None) -> Sock | None:
        """Make the child of a completed handshake, or None where there is no room."""
        raise AssertionError('af_ops of a transport')

    def cookie_check(self, sk: Sock, skb: SkBuff) -> Sock | None:
        """Does the segment for listener sk bring a SYN cookie back? (In Linux a function of each family.)"""
        raise AssertionError('a socket belongs to a family')

    def mtu_reduced(self, sk: Sock) -> None:
        """The path MTU fell."""
        raise AssertionError('af_ops of a transport')

    def md5_parse(self, sk: Sock, optname: int, optval: bytes) -> int:
        """TCP_MD5SIG: set the key of a peer of the family. (Linux: tcp_sock_af_ops.)"""
        raise AssertionError('af_ops of a transport')

    def setsockopt(self, sk: Sock, level: int, optname: int, optval: bytes) -> int:
        """Set an option of another level than the transport's. 0 or a negative errno."""
        raise AssertionError('af_ops of a transport')

    def getsockopt(self, sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
        """Read one."""
        raise AssertionError('af_ops of a transport')

    def recv_error(self, sk: Sock, msg: Msghdr, length: int) -> int:
        """Take an error from the error queue (MSG_ERRQUEUE). (Linux: inet_recv_error.)"""
        raise AssertionError('af_ops of a transport')


class InetConnectionSock(InetSock):
    """Linux: struct inet_connection_sock."""

    def __init__(self) -> None:
        super().__init__()
        self.is_icsk = True
        self.icsk_accept_queue: RequestSockQueue = RequestSockQueue()
        self.icsk_bind_hash: InetBindBucket | None = None
        self.icsk_bind2_hash: InetBind2Bucket | None = None
        self.icsk_timeout: i64 = 0  # ns: when the retransmit timer is due
        self.icsk_retransmit_timer: SockTimer | None = None
        self.icsk_delack_timer: SockTimer | None = None
        self.sk_timer: SockTimer | None = None  # keepalive, FIN_WAIT2 (Linux: sk->sk_timer)
        self.icsk_rto: i64 = 1000
        self.icsk_rto_min: i64 = 200
        self.icsk_rto_max: i64 = 120_000
        self.icsk_delack_max: i64 = 200
        self.icsk_pmtu_cookie: i64 = 0
        self.icsk_ca_ops: TcpCongestionOps | None = None
        self.icsk_ca_priv: object = None  # the congestion control's own state
        self.icsk_ca_setsockopt: bool = False
        self.icsk_ca_dst_locked: bool = False
        self.icsk_ca_initialized: bool = False
        self.icsk_af_ops: InetConnectionSockAfOps = InetConnectionSockAfOps()
        self.icsk_ca_state: i64 = 0
        self.icsk_retransmits: i64 = 0
        self.icsk_pending: i64 = 0
        self.icsk_backoff: i64 = 0
        self.icsk_syn_retries: i64 = 0
        self.icsk_probes_out: i64 = 0
        self.icsk_probes_tstamp: i64 = 0
        self.icsk_user_timeout: i64 = 0  # ms
        self.icsk_ext_hdr_len: i64 = 0
        # icsk_ack: the delayed-ACK machine
        self.ack_pending: i64 = 0
        self.ack_quick: i64 = 0
        self.ack_pingpong: i64 = 0
        self.ack_retry: i64 = 0
        self.ack_ato: i64 = 0  # jiffies
        self.ack_timeout: i64 = 0  # ns
        self.ack_lrcvtime: i64 = 0  # jiffies
        self.ack_last_seg_size: i64 = 0
        self.ack_rcv_mss: i64 = 0
        # icsk_mtup: packetisation-layer path MTU discovery (RFC 4821)
        self.mtup_search_high: i64 = 0
        self.mtup_search_low: i64 = 0
        self.mtup_probe_size: i64 = 0
        self.mtup_enabled: bool = False
        self.mtup_probe_timestamp: i64 = 0


def inet_csk(sk: Sock) -> InetConnectionSock:
    """Linux: include/net/inet_connection_sock.h."""
    assert isinstance(sk, InetConnectionSock)
    return sk


def inet_csk_schedule_ack(icsk: InetConnectionSock) -> None:
    """An ACK is owed.  Linux: include/net/inet_connection_sock.h."""
    icsk.ack_pending |= ICSK_ACK_SCHED


def inet_csk_ack_scheduled(icsk: InetConnectionSock) -> bool:
    """Is an ACK owed?  Linux: include/net/inet_connection_sock.h."""
    return (icsk.ack_pending & ICSK_ACK_SCHED) != 0


def inet_csk_delack_init(icsk: InetConnectionSock) -> None:
    """Forget all about delayed ACKs.  Linux: include/net/inet_connection_sock.h."""
    icsk.ack_pending = 0
    icsk.ack_quick = 0
    icsk.ack_pingpong = 0
    icsk.ack_retry = 0
    icsk.ack_ato = 0
    icsk.ack_timeout = 0
    icsk.ack_lrcvtime = 0
    icsk.ack_last_seg_size = 0
    icsk.ack_rcv_mss = 0


def inet_csk_enter_pingpong_mode(icsk: InetConnectionSock) -> None:
    """The session is interactive: ACKs may ride on data.  Linux: include/net/inet_connection_sock.h."""
    icsk.ack_pingpong = sock_net(icsk).ipv4.sysctl_tcp_pingpong_thresh


def inet_csk_exit_pingpong_mode(icsk: InetConnectionSock) -> None:
    """Linux: include/net/inet_connection_sock.h."""
    icsk.ack_pingpong = 0


def inet_csk_in_pingpong_mode(icsk: InetConnectionSock) -> bool:
    """Linux: include/net/inet_connection_sock.h."""
    return icsk.ack_pingpong >= sock_net(icsk).ipv4.sysctl_tcp_pingpong_thresh


def inet_csk_inc_pingpong_cnt(icsk: InetConnectionSock) -> None:
    """Linux: include/net/inet_connection_sock.h."""
    if icsk.ack_pingpong < 255:
        icsk.ack_pingpong += 1
