# SPDX-License-Identifier: Apache-2.0
"""Connection requests: what a listener keeps of a handshake that is not complete, and the queue of those that are.

A RequestSock is a small Sock in TCP_NEW_SYN_RECV in the established hash, as since Linux 4.4, so that the third ACK finds
it there.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.sock import Sock, SockTimer

if TYPE_CHECKING:
    from linnet.include.net.dst import DstEntry
    from linnet.include.net.inet_connection_sock import InetConnectionSock


class RequestSock(Sock):
    """Linux: struct request_sock, inet_request_sock and tcp_request_sock in one. Sequence numbers u32."""

    def __init__(self) -> None:
        super().__init__()
        self.rsk_listener: InetConnectionSock | None = None
        self.rsk_timer: SockTimer | None = None
        self.dl_next: RequestSock | None = None
        self.rsk_child: Sock | None = None
        self.rsk_ops: RequestSockOps | None = None
        self.rsk_rcv_wnd: i64 = 0
        self.rsk_window_clamp: i64 = 0
        self.mss: i64 = 0
        self.num_retrans: i64 = 0  # SYN-ACKs sent again
        self.num_timeout: i64 = 0
        self.ts_recent: i64 = 0
        self.timeout: i64 = 0
        self.saved_syn: bytes = b''
        # inet_request_sock
        self.ir_loc_addr: i64 = 0
        self.ir_rmt_addr: i64 = 0
        self.ir_num: i64 = 0
        self.ir_rmt_port: i64 = 0
        self.ir_iif: i64 = 0
        self.ir_mark: i64 = 0
        self.snd_wscale: i64 = 0
        self.rcv_wscale: i64 = 0
        self.tstamp_ok: bool = False
        self.sack_ok: bool = False
        self.wscale_ok: bool = False
        self.ecn_ok: bool = False
        self.acked: bool = False
        self.rst_expires: i64 = 0  # jiffies: until when a reset request counts against the listener's limit
        self.no_srccheck: bool = False
        self.ireq_opt: bytes = b''
        self.ir_tos: i64 = 0
        self.syn_tos: i64 = 0  # the SYN's TOS or traffic class
        self.ir_v6_flowlabel: i64 = 0  # the SYN's, where it is to be reflected
        # tcp_request_sock
        self.rcv_isn: i64 = 0
        self.snt_isn: i64 = 0
        self.rcv_nxt: i64 = 0
        self.ts_off: i64 = 0
        self.txhash: i64 = 0
        self.snt_tsval_last: i64 = 0  # the timestamp of the last SYN-ACK
        self.snt_synack: i64 = -1  # ns: when the first SYN-ACK left; -1: not yet
        self.last_oow_ack_time: i64 = 0
        self.tfo_listener: bool = False  # its child exists already (Fast Open)
        self.syncookie: bool = False


class TcpFastopenCookie:
    """Linux: struct tcp_fastopen_cookie. len -1: no option; 0: the option without a cookie, which asks for one."""

    def __init__(self) -> None:
        self.len: i64 = -1
        self.val: bytes = b''
        self.exp: bool = False  # in the experimental option

    def set(self, other: TcpFastopenCookie) -> None:
        """Become like `other`."""
        self.len = other.len
        self.val = other.val
        self.exp = other.exp


class TcpFastopenContext:
    """Linux: struct tcp_fastopen_context: the keys that cookies are made and (both) checked with, 16 bytes each."""

    def __init__(self, primary: bytes, backup: bytes) -> None:
        self.keys: list[bytes] = [primary] if backup == b'' else [primary, backup]


class SynCookie:
    """What cookie_init_seq chose: the sequence number, and the MSS that it stands for."""

    def __init__(self, isn: i64, mss: i64) -> None:
        self.isn: i64 = isn
        self.mss: i64 = mss


class RequestSockOps:
    """What a transport gives for its requests (Linux: struct request_sock_ops and tcp_request_sock_ops).

    mss_clamp: the MSS of a peer that gives none (RFC 9293, 3.7.1).
    """

    def __init__(self, mss_clamp: i64 = 536) -> None:
        self.mss_clamp: i64 = mss_clamp

    def rtx_syn_ack(self, sk: Sock, req: RequestSock) -> int:
        """Send the SYN-ACK again. 0 or a negative errno."""
        raise AssertionError('a request belongs to a transport')

    def send_reset(self, sk: Sock, skb: SkBuff) -> None:
        """Answer skb with a RST."""
        raise AssertionError('a request belongs to a transport')

    def send_ack(self, sk: Sock, skb: SkBuff, req: RequestSock) -> None:
        """Answer skb with an ACK on behalf of the request."""
        raise AssertionError('a request belongs to a transport')

    def syn_ack_timeout(self, req: RequestSock) -> None:
        """The SYN-ACK was not answered in time."""
        raise AssertionError('a request belongs to a transport')

    def init_seq(self, skb: SkBuff) -> i64:
        """Our initial sequence number for the connection that skb, a SYN, asks for."""
        raise AssertionError('a request belongs to a transport')

    def cookie_init_seq(self, sk: Sock, skb: SkBuff, mss: i64) -> SynCookie:
        """The SYN cookie to answer skb with, whose MSS is mss."""
        raise AssertionError('a request belongs to a transport')

    def init_ts_off(self, sk: Sock, skb: SkBuff) -> i64:
        """What is added to the clock in timestamps to that peer."""
        raise AssertionError('a request belongs to a transport')

    def init_req(self, req: RequestSock, sk: Sock, skb: SkBuff) -> None:
        """Take addresses and IP options from the SYN."""
        raise AssertionError('a request belongs to a transport')

    def send_synack(
        self, sk: Sock, dst: DstEntry | None, req: RequestSock, foc: TcpFastopenCookie | None, syn_skb: SkBuff | None,
    ) -> int:
        """Send the SYN-ACK, with that Fast Open option. 0 or a negative errno."""
        raise AssertionError('a request belongs to a transport')

    def route_req(self, sk: Sock, req: RequestSock) -> DstEntry | None:
        """The route to the peer, None where there is none."""
        raise AssertionError('a request belongs to a transport')


class RequestSockQueue:
    """Linux: struct request_sock_queue: established connections that wait for accept (a FIFO), and counts of those that
    do not yet.
    """

    def __init__(self) -> None:
        self.rskq_accept_head: RequestSock | None = None
        self.rskq_accept_tail: RequestSock | None = None
        self.rskq_defer_accept: i64 = 0
        self.qlen: i64 = 0  # requests whose handshake is open
        self.young: i64 = 0  # of them, those not retransmitted yet
        self.synflood_warned: bool = False
        self.synq_overflow_stamp: i64 = -1  # jiffies: when a SYN cookie was sent last; -1: never
        # fastopenq: children of handshakes that are open
        self.fastopenq_max_qlen: i64 = 0  # 0: Fast Open is off
        self.fastopenq_qlen: i64 = 0
        self.fastopenq_rst_head: RequestSock | None = None  # those that were reset stay for a while (RFC 7413, 5.1)
        self.fastopenq_rst_tail: RequestSock | None = None
        self.fastopenq_ctx: TcpFastopenContext | None = None  # the listener's own keys; None: the host's


def inet_rsk(sk: Sock) -> RequestSock:
    """Linux: include/net/inet_sock.h."""
    assert isinstance(sk, RequestSock)
    return sk


def reqsk_queue_empty(queue: RequestSockQueue) -> bool:
    """Is nothing there to accept?  Linux: include/net/request_sock.h."""
    return queue.rskq_accept_head is None
