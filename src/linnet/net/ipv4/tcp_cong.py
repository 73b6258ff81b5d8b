# SPDX-License-Identifier: Apache-2.0
"""Congestion control: the table of algorithms of a Net, which one a socket uses, the parts they share, and Reno (RFC 5681).

An algorithm is a TcpCongestionOps object in net.ipv4.congestion_controls under its name. A socket gets the default of
net.ipv4.tcp_congestion_control when it is made, or another through TCP_CONGESTION. tcp_slow_start() and tcp_cong_avoid_ai()
count in segments that were acknowledged, not in ACKs, so stretched ACKs do not slow the growth.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.ip import INET_ECN_ECT_0, INET_ECN_MASK
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import TCP_CA_Open, TcpCongestionOps, TcpSock, tcp_in_slow_start
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_LISTEN
from linnet.include.trace.events.tcp import trace_tcp_cong_state_set
from linnet.kernel.errno import EEXIST, EINVAL, ENOENT, EPERM

NAME: Final = 'name'


def tcp_snd_cwnd_set(tp: TcpSock, val: i64) -> None:
    """The congestion window in segments, at least 1.  Linux: include/net/tcp.h."""
    tp.snd_cwnd = val if val > 0 else 1


def tcp_set_ca_state(sk: TcpSock, ca_state: i64) -> None:
    """Move the congestion machine to TCP_CA_*; the algorithm hears of it.  Linux: net/ipv4/tcp_cong.c."""
    trace_tcp_cong_state_set(sk, int(ca_state))
    ops = sk.icsk_ca_ops
    if ops is not None:
        ops.set_state(sk, ca_state)
    sk.icsk_ca_state = ca_state


def tcp_ca_event(sk: TcpSock, event: i64) -> None:
    """Tell the algorithm, CA_EVENT_*.  Linux: include/net/tcp.h."""
    ops = sk.icsk_ca_ops
    if ops is not None:
        ops.cwnd_event(sk, event)


def tcp_ca_needs_ecn(sk: TcpSock) -> bool:
    """Does the congestion control work by ECN?  Linux: include/net/tcp.h."""
    ca = sk.icsk_ca_ops
    return ca is not None and ca.needs_ecn


def tcp_ca_find(net: Net, name: str) -> TcpCongestionOps | None:
    """The algorithm of that name.  Linux: net/ipv4/tcp_cong.c."""
    return net.ipv4.congestion_controls.get(name)


def tcp_register_congestion_control(net: Net, ca: TcpCongestionOps) -> int:
    """Add an algorithm to a host. 0 or -EEXIST, -EINVAL (without a name).  Linux: net/ipv4/tcp_cong.c."""
    # a subclass in plain Python has its name in the class, where compiled code does not look: take it over
    name = getattr(ca, NAME, '')
    if not isinstance(name, str):
        return -EINVAL
    ca.name = name
    if ca.name == '':
        return -EINVAL
    if ca.name in net.ipv4.congestion_controls:
        return -EEXIST
    net.ipv4.congestion_controls[ca.name] = ca
    return 0


def tcp_unregister_congestion_control(net: Net, ca: TcpCongestionOps) -> None:
    """Take an algorithm away; sockets that use it keep it.  Linux: net/ipv4/tcp_cong.c."""
    net.ipv4.congestion_controls.pop(ca.name, None)


def tcp_assign_congestion_control(sk: TcpSock) -> None:
    """A new socket takes the host's default; it starts with the connection.  Linux: net/ipv4/tcp_cong.c."""
    net = sock_net(sk)
    ca = tcp_ca_find(net, net.ipv4.sysctl_tcp_congestion_control)
    if ca is None:
        ca = tcp_ca_find(net, 'reno')
    sk.icsk_ca_ops = ca
    sk.icsk_ca_priv = None
    if ca is not None and ca.needs_ecn:
        sk.tos |= INET_ECN_ECT_0
    else:
        sk.tos &= ~INET_ECN_MASK


def tcp_init_congestion_control(sk: TcpSock) -> None:
    """The connection is established: start its algorithm.  Linux: net/ipv4/tcp_cong.c."""
    sk.prior_ssthresh = 0
    ca = sk.icsk_ca_ops
    if ca is not None:
        ca.init(sk)
    if tcp_ca_needs_ecn(sk):  # asked again: DCTCP without ECN has become Reno
        sk.tos |= INET_ECN_ECT_0
    else:
        sk.tos &= ~INET_ECN_MASK
    sk.icsk_ca_initialized = True


def tcp_reinit_congestion_control(sk: TcpSock, ca: TcpCongestionOps) -> None:
    """Change the algorithm of a socket.  Linux: net/ipv4/tcp_cong.c."""
    tcp_cleanup_congestion_control(sk)
    sk.icsk_ca_ops = ca
    sk.icsk_ca_setsockopt = True
    sk.icsk_ca_priv = None
    if sk.sk_state != TCP_CLOSE and sk.sk_state != TCP_LISTEN:
        tcp_init_congestion_control(sk)


def tcp_cleanup_congestion_control(sk: TcpSock) -> None:
    """The connection ends, or changes its algorithm.  Linux: net/ipv4/tcp_cong.c."""
    ca = sk.icsk_ca_ops
    if sk.icsk_ca_initialized and ca is not None:
        ca.release(sk)
    sk.icsk_ca_initialized = False


def tcp_set_congestion_control(sk: TcpSock, name: str, load: bool, cap_net_admin: bool) -> int:
    """TCP_CONGESTION: 0, -ENOENT (no such algorithm) or -EPERM (restricted).  Linux: net/ipv4/tcp_cong.c."""
    if sk.icsk_ca_dst_locked:
        return -EPERM
    ca = tcp_ca_find(sock_net(sk), name)
    if ca is None:
        return -ENOENT
    if ca is sk.icsk_ca_ops:
        sk.icsk_ca_setsockopt = True
        return 0
    if not ca.non_restricted and not cap_net_admin:
        return -EPERM
    tcp_reinit_congestion_control(sk, ca)
    return 0


def tcp_set_default_congestion_control(net: Net, name: str) -> int:
    """net.ipv4.tcp_congestion_control: 0 or -ENOENT. The default is open to all programs.  Linux: net/ipv4/tcp_cong.c."""
    ca = tcp_ca_find(net, name)
    if ca is None:
        return -ENOENT
    ca.non_restricted = True
    net.ipv4.sysctl_tcp_congestion_control = name
    return 0


def tcp_get_available_congestion_control(net: Net) -> str:
    """net.ipv4.tcp_available_congestion_control.  Linux: net/ipv4/tcp_cong.c."""
    return ' '.join(net.ipv4.congestion_controls)


def tcp_get_allowed_congestion_control(net: Net) -> str:
    """net.ipv4.tcp_allowed_congestion_control: those that programs without privileges may choose.

    Linux: net/ipv4/tcp_cong.c.
    """
    return ' '.join([name for name, ca in net.ipv4.congestion_controls.items() if ca.non_restricted])


def tcp_set_allowed_congestion_control(net: Net, names: str) -> int:
    """Allow these, and no other: 0, or -ENOENT and no change where one is not known.  Linux: net/ipv4/tcp_cong.c."""
    allowed = names.split()
    for name in allowed:
        if tcp_ca_find(net, name) is None:
            return -ENOENT
    for name, ca in net.ipv4.congestion_controls.items():
        ca.non_restricted = name in allowed
    return 0


def tcp_is_cwnd_limited(tp: TcpSock) -> bool:
    """Is it the congestion window that holds the sender back (and not the program)?  Linux: include/net/tcp.h.

    In slow start the window may grow to twice of what was used of it (RFC 7661 in spirit).
    """
    if tp.is_cwnd_limited:
        return True
    if tcp_in_slow_start(tp):
        return tp.snd_cwnd < 2 * tp.max_packets_out
    return False


def tcp_slow_start(tp: TcpSock, acked: i64) -> i64:
    """One segment more for each acknowledged, up to ssthresh; what is left of `acked` is returned.

    Linux: net/ipv4/tcp_cong.c.  RFC 5681, 3.1.
    """
    cwnd = tp.snd_cwnd + acked
    if cwnd > tp.snd_ssthresh:
        cwnd = tp.snd_ssthresh
    acked -= cwnd - tp.snd_cwnd
    tp.snd_cwnd = cwnd if cwnd < tp.snd_cwnd_clamp else tp.snd_cwnd_clamp
    return acked


def tcp_cong_avoid_ai(tp: TcpSock, w: i64, acked: i64) -> None:
    """One segment more for each w acknowledged.  Linux: net/ipv4/tcp_cong.c.  RFC 5681, 3.1; RFC 3465."""
    if tp.snd_cwnd_cnt >= w:
        tp.snd_cwnd_cnt = 0
        tp.snd_cwnd += 1
    tp.snd_cwnd_cnt += acked
    if tp.snd_cwnd_cnt >= w:
        delta = tp.snd_cwnd_cnt // w
        tp.snd_cwnd_cnt -= delta * w
        tp.snd_cwnd += delta
    if tp.snd_cwnd > tp.snd_cwnd_clamp:
        tp.snd_cwnd = tp.snd_cwnd_clamp


def tcp_reno_cong_avoid(sk: TcpSock, ack: i64, acked: i64) -> None:
    """Slow start below ssthresh, one segment a window above.  Linux: net/ipv4/tcp_cong.c.  RFC 5681, 3.1."""
    if not tcp_is_cwnd_limited(sk):
        return
    if tcp_in_slow_start(sk):
        acked = tcp_slow_start(sk, acked)
        if acked == 0:
            return
    tcp_cong_avoid_ai(sk, sk.snd_cwnd, acked)


def tcp_reno_ssthresh(sk: TcpSock) -> i64:
    """Half the window, at least 2.  Linux: net/ipv4/tcp_cong.c.  RFC 5681, 3.1, (4)."""
    half = sk.snd_cwnd >> 1
    return half if half > 2 else 2


def tcp_reno_undo_cwnd(sk: TcpSock) -> i64:
    """The window before a reduction that was a mistake.  Linux: net/ipv4/tcp_cong.c."""
    return sk.snd_cwnd if sk.snd_cwnd > sk.prior_cwnd else sk.prior_cwnd


class TcpReno(TcpCongestionOps):
    """Linux: tcp_reno."""

    name: str = 'reno'

    def ssthresh(self, sk: TcpSock) -> i64:
        """tcp_reno_ssthresh."""
        return tcp_reno_ssthresh(sk)

    def cong_avoid(self, sk: TcpSock, ack: i64, acked: i64) -> None:
        """tcp_reno_cong_avoid."""
        tcp_reno_cong_avoid(sk, ack, acked)

    def undo_cwnd(self, sk: TcpSock) -> i64:
        """tcp_reno_undo_cwnd."""
        return tcp_reno_undo_cwnd(sk)


def tcp_ca_openreq_child(sk: TcpSock) -> None:
    """A child takes its listener's algorithm, or the host's default where none was set.  Linux: net/ipv4/tcp_minisocks.c."""
    if sk.icsk_ca_ops is None or not sk.icsk_ca_setsockopt:
        tcp_assign_congestion_control(sk)
    tcp_set_ca_state(sk, TCP_CA_Open)


def tcp_cong_init(net: Net) -> None:
    """Register Reno; called by tcp_v4_init.  Linux: tcp_init registers tcp_reno."""
    tcp_register_congestion_control(net, TcpReno())
