# SPDX-License-Identifier: Apache-2.0
"""DCTCP: the window shrinks by how much congestion there is, not by whether there is any (RFC 8257).

Switches mark packets (CE) as soon as a short queue builds up. The receiver tells of each mark, and its end, without delay: where
CE begins or ends, it first acknowledges what came before. The sender keeps alpha, the moving average of the share of marked
segments, and once a window with marks takes alpha/2 off its window. For networks whose switches mark so; where ECN was not
agreed on, the connection does Reno.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.ip import INET_ECN_MASK
from linnet.include.net.inet_connection_sock import ICSK_ACK_NOW, ICSK_ACK_TIMER
from linnet.include.net.net_namespace import Net
from linnet.include.net.tcp import (
    CA_EVENT_ECN_IS_CE,
    CA_EVENT_ECN_NO_CE,
    CA_EVENT_LOSS,
    TCP_ECN_DEMAND_CWR,
    TCP_ECN_OK,
    TCP_CA_Recovery,
    TcpCongestionOps,
    TcpSock,
    before,
)
from linnet.net.ipv4.tcp_cong import (
    tcp_register_congestion_control,
    tcp_reno_cong_avoid,
    tcp_reno_ssthresh,
    tcp_reno_undo_cwnd,
)
from linnet.net.ipv4.tcp_output import __tcp_send_ack

DCTCP_MAX_ALPHA: Final = 1024


class Dctcp:
    """Linux: struct dctcp. alpha: the share of marked segments, times 1024."""

    def __init__(self, rcv_nxt: i64, alpha: i64) -> None:
        self.prior_rcv_nxt: i64 = rcv_nxt
        self.dctcp_alpha: i64 = alpha
        self.next_seq: i64 = 0  # alpha is computed when this is acknowledged
        self.old_delivered: i64 = 0
        self.old_delivered_ce: i64 = 0
        self.ce_state: bool = False  # did the last packet that came have CE?
        self.loss_cwnd: i64 = 0


def dctcp_reset(tp: TcpSock, ca: Dctcp) -> None:
    """An observation window begins (RFC 8257, 3.3, 8 and 9).  Linux: net/ipv4/tcp_dctcp.c."""
    ca.next_seq = tp.snd_nxt
    ca.old_delivered = tp.delivered
    ca.old_delivered_ce = tp.delivered_ce


def dctcp_update_alpha(sk: TcpSock, ca: Dctcp, shift_g: i64) -> None:
    """Once a round trip: alpha moves towards the share of marked segments by 1/2**shift_g.

    Linux: net/ipv4/tcp_dctcp.c.  RFC 8257, 3.3; a share too small for the shift still brings alpha down to 0 (3.3, 7: 4.2).
    """
    if before(sk.snd_una, ca.next_seq):
        return
    alpha = ca.dctcp_alpha
    less = alpha >> shift_g
    alpha -= less if less != 0 else alpha
    marked = sk.delivered_ce - ca.old_delivered_ce
    if marked > 0:
        delivered = sk.delivered - ca.old_delivered
        alpha += (marked << (10 - shift_g)) // (delivered if delivered > 1 else 1)
        if alpha > DCTCP_MAX_ALPHA:
            alpha = DCTCP_MAX_ALPHA
    ca.dctcp_alpha = alpha
    dctcp_reset(sk, ca)


def dctcp_react_to_loss(sk: TcpSock, ca: Dctcp) -> None:
    """A loss halves the window as with Reno (RFC 8257, 3.5).  Linux: net/ipv4/tcp_dctcp.c."""
    ca.loss_cwnd = sk.snd_cwnd
    sk.snd_ssthresh = tcp_reno_ssthresh(sk)


def dctcp_ece_ack_update(sk: TcpSock, ca: Dctcp, is_ce: bool) -> None:
    """A packet came, with CE or without. Where that changes, and an ACK waits, it goes first, with the old ECE.

    Linux: net/ipv4/tcp_dctcp.h.  RFC 8257, 3.2.
    """
    if ca.ce_state != is_ce:
        if (sk.ack_pending & ICSK_ACK_TIMER) != 0:
            if ca.ce_state:
                sk.ecn_flags |= TCP_ECN_DEMAND_CWR
            else:
                sk.ecn_flags &= ~TCP_ECN_DEMAND_CWR
            __tcp_send_ack(sk, ca.prior_rcv_nxt)
        sk.ack_pending |= ICSK_ACK_NOW
    ca.prior_rcv_nxt = sk.rcv_nxt
    ca.ce_state = is_ce
    if is_ce:
        sk.ecn_flags |= TCP_ECN_DEMAND_CWR
    else:
        sk.ecn_flags &= ~TCP_ECN_DEMAND_CWR


class TcpDctcpReno(TcpCongestionOps):
    """What a DCTCP connection without ECN does. Linux: dctcp_reno."""

    name: str = 'dctcp-reno'

    def ssthresh(self, sk: TcpSock) -> i64:
        """See tcp_reno_ssthresh."""
        return tcp_reno_ssthresh(sk)

    def cong_avoid(self, sk: TcpSock, ack: i64, acked: i64) -> None:
        """See tcp_reno_cong_avoid."""
        tcp_reno_cong_avoid(sk, ack, acked)

    def undo_cwnd(self, sk: TcpSock) -> i64:
        """See tcp_reno_undo_cwnd."""
        return tcp_reno_undo_cwnd(sk)

    def get_info(self, sk: TcpSock, ext: int) -> dict[str, int]:
        """struct tcp_dctcp_info: not enabled."""
        return {'dctcp_enabled': 0, 'dctcp_ce_state': 0, 'dctcp_alpha': 0, 'dctcp_ab_ecn': 0, 'dctcp_ab_tot': 0}


class TcpDctcp(TcpCongestionOps):
    """Linux: dctcp. The module's parameters are attributes."""

    name: str = 'dctcp'

    def __init__(self) -> None:
        super().__init__()
        self.needs_ecn = True
        self.non_restricted = False
        self.dctcp_shift_g: i64 = 4  # the weight of a new share is 1/2**this
        self.dctcp_alpha_on_init: i64 = DCTCP_MAX_ALPHA
        self.reno: TcpDctcpReno = TcpDctcpReno()

    def init(self, sk: TcpSock) -> None:
        """Linux: dctcp_init."""
        if (sk.ecn_flags & TCP_ECN_OK) == 0:
            sk.icsk_ca_ops = self.reno
            sk.icsk_ca_priv = None
            sk.tos &= ~INET_ECN_MASK
            return
        alpha = self.dctcp_alpha_on_init
        ca = Dctcp(sk.rcv_nxt, alpha if alpha < DCTCP_MAX_ALPHA else DCTCP_MAX_ALPHA)
        sk.icsk_ca_priv = ca
        dctcp_reset(sk, ca)

    def ssthresh(self, sk: TcpSock) -> i64:
        """The window less alpha/2 of it (RFC 8257, 3.3, 9).  Linux: dctcp_ssthresh."""
        ca = sk.icsk_ca_priv
        if not isinstance(ca, Dctcp):
            return tcp_reno_ssthresh(sk)
        ca.loss_cwnd = sk.snd_cwnd
        cwnd = sk.snd_cwnd - ((sk.snd_cwnd * ca.dctcp_alpha) >> 11)
        return cwnd if cwnd > 2 else 2

    def cong_avoid(self, sk: TcpSock, ack: i64, acked: i64) -> None:
        """See tcp_reno_cong_avoid."""
        tcp_reno_cong_avoid(sk, ack, acked)

    def in_ack_event(self, sk: TcpSock, flags: i64) -> None:
        """See dctcp_update_alpha."""
        ca = sk.icsk_ca_priv
        if isinstance(ca, Dctcp):
            dctcp_update_alpha(sk, ca, self.dctcp_shift_g)

    def set_state(self, sk: TcpSock, new_state: i64) -> None:
        """Fast recovery is for a loss.  Linux: dctcp_state."""
        ca = sk.icsk_ca_priv
        if new_state == TCP_CA_Recovery and sk.icsk_ca_state != new_state and isinstance(ca, Dctcp):
            dctcp_react_to_loss(sk, ca)

    def cwnd_event(self, sk: TcpSock, event: i64) -> None:
        """Linux: dctcp_cwnd_event."""
        ca = sk.icsk_ca_priv
        if not isinstance(ca, Dctcp):
            return
        if event == CA_EVENT_ECN_IS_CE:
            dctcp_ece_ack_update(sk, ca, True)
        elif event == CA_EVENT_ECN_NO_CE:
            dctcp_ece_ack_update(sk, ca, False)
        elif event == CA_EVENT_LOSS:
            dctcp_react_to_loss(sk, ca)

    def undo_cwnd(self, sk: TcpSock) -> i64:
        """Linux: dctcp_cwnd_undo."""
        ca = sk.icsk_ca_priv
        if isinstance(ca, Dctcp) and ca.loss_cwnd > sk.snd_cwnd:
            return ca.loss_cwnd
        return sk.snd_cwnd

    def get_info(self, sk: TcpSock, ext: int) -> dict[str, int]:
        """struct tcp_dctcp_info.  Linux: dctcp_get_info."""
        ca = sk.icsk_ca_priv
        if not isinstance(ca, Dctcp):
            return {}
        mss = int(sk.mss_cache)
        return {
            'dctcp_enabled': 1, 'dctcp_ce_state': int(ca.ce_state), 'dctcp_alpha': int(ca.dctcp_alpha),
            'dctcp_ab_ecn': mss * int(sk.delivered_ce - ca.old_delivered_ce),
            'dctcp_ab_tot': mss * int(sk.delivered - ca.old_delivered),
        }


def dctcp_register(net: Net) -> int:
    """Make 'dctcp' known to a host; called by tcp_v4_init.  Linux: net/ipv4/tcp_dctcp.c."""
    return tcp_register_congestion_control(net, TcpDctcp())
