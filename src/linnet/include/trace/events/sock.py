# SPDX-License-Identifier: Apache-2.0
"""Tracepoints of group sock, named as in Linux's include/trace/events/sock.h; each stands where Linux has it.

Free when nobody listens: one call and one flag. The walk of an interpreted run sees these functions entered.
"""

from __future__ import annotations

from linnet.include.linux.in6 import in6_ntop
from linnet.include.linux.inet import in_ntoa
from linnet.include.linux.socket import AF_INET6
from linnet.include.net.sock import Sock, sock_net
from linnet.include.net.tcp_states import TCP_STATE_NAMES


def sk_saddr_text(sk: Sock) -> str:
    """The local address of a sock of either family."""
    return in6_ntop(sk.sk_v6_rcv_saddr) if sk.sk_family == AF_INET6 else in_ntoa(int(sk.sk_rcv_saddr))


def sk_daddr_text(sk: Sock) -> str:
    """The peer's."""
    return in6_ntop(sk.sk_v6_daddr) if sk.sk_family == AF_INET6 else in_ntoa(int(sk.sk_daddr))


def trace_inet_sock_set_state(sk: Sock, oldstate: int, newstate: int) -> None:
    """A connection's state moves."""
    t = sock_net(sk).trace
    if t.enabled:
        t.emit(
            'sock:inet_sock_set_state',
            {
                'sport': int(sk.sk_num),
                'dport': int(sk.sk_dport),
                'saddr': sk_saddr_text(sk),
                'daddr': sk_daddr_text(sk),
                'oldstate': TCP_STATE_NAMES[oldstate],
                'newstate': TCP_STATE_NAMES[newstate],
            },
        )


def trace_sk_data_ready(sk: Sock) -> None:
    """Something can be read or accepted."""
    t = sock_net(sk).trace
    if t.enabled:
        t.emit('sock:sk_data_ready', {'protocol': int(sk.sk_protocol)})


def trace_sock_send_length(sk: Sock, ret: int, flags: int) -> None:
    """A send returned ret."""
    t = sock_net(sk).trace
    if t.enabled:
        t.emit('sock:sock_send_length', {'ret': ret, 'flags': flags})


def trace_sock_recv_length(sk: Sock, ret: int, flags: int) -> None:
    """A receive returned ret."""
    t = sock_net(sk).trace
    if t.enabled:
        t.emit('sock:sock_recv_length', {'ret': ret, 'flags': flags})


def trace_sock_rcvqueue_full(sk: Sock, truesize: int) -> None:
    """A packet finds the receive buffer full."""
    t = sock_net(sk).trace
    if t.enabled:
        t.emit(
            'sock:sock_rcvqueue_full', {'rmem_alloc': int(sk.sk_rmem_alloc), 'truesize': truesize, 'sk_rcvbuf': int(sk.sk_rcvbuf)}
        )
