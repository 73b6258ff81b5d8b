# SPDX-License-Identifier: Apache-2.0
"""The low end of af_inet.c: the one place where a sock's state is stored (and traced), and the end of an IPv4 sock.

It lies below TCP, which af_inet.py imports. TCP goes through tcp_set_state(), which counts and unhashes and then calls
inet_sk_state_store(); the rest of the stack uses inet_sk_set_state().
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.socket import SOCK_STREAM
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.sock import SOCK_DEAD, Sock
from linnet.include.net.tcp_states import TCP_CLOSE
from linnet.include.trace.events.sock import trace_inet_sock_set_state
from linnet.net.core.sock import SockDefCb, sk_mem_reclaim_final, sk_purge_queues

LINUX_FILE: Final = 'net/ipv4/af_inet.c'


def inet_sk_set_state(sk: Sock, state: i64) -> None:
    """Set the state, and trace the move.  Linux: net/ipv4/af_inet.c."""
    trace_inet_sock_set_state(sk, int(sk.sk_state), int(state))
    sk.sk_state = state


def inet_sk_state_store(sk: Sock, newstate: i64) -> None:
    """As inet_sk_set_state; Linux orders it against other CPUs.  Linux: net/ipv4/af_inet.c."""
    trace_inet_sock_set_state(sk, int(sk.sk_state), int(newstate))
    sk.sk_state = newstate


def inet_sock_destruct(sk: Sock) -> None:
    """The last reference to an IPv4 sock went: free what still hangs on it.  Linux: net/ipv4/af_inet.c."""
    sk_purge_queues(sk)
    sk_mem_reclaim_final(sk)
    if sk.sk_type == SOCK_STREAM and sk.sk_state != TCP_CLOSE:
        return  # Linux warns; a stream sock that is destroyed was closed before
    if (sk.sk_flags & SOCK_DEAD) == 0 and sk.sk_socket is not None:
        return
    sk.sk_dst_cache = None
    sk.sk_rx_dst = None
    if isinstance(sk, InetSock):
        sk.inet_opt = b''
        sk.cork = None


class InetSockCb(SockDefCb):
    """The callbacks of every IPv4 sock; TCP's and UDP's subclass it."""

    def destruct(self, sk: Sock) -> None:
        """See inet_sock_destruct."""
        inet_sock_destruct(sk)


INET_SOCK_CB: Final = InetSockCb()
