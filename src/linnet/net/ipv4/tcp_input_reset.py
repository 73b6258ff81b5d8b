# SPDX-License-Identifier: Apache-2.0
"""The end of a connection by a RST of the peer's."""
from __future__ import annotations

from typing import Final

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.sock import SOCK_DEAD
from linnet.include.net.tcp import TcpSock
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_CLOSE_WAIT, TCP_SYN_SENT
from linnet.include.trace.events.tcp import trace_tcp_receive_reset
from linnet.kernel.errno import ECONNREFUSED, ECONNRESET, EPIPE
from linnet.net.ipv4.tcp import tcp_done, tcp_write_queue_purge

LINUX_FILE: Final = 'net/ipv4/tcp_input.c'


def tcp_reset(sk: TcpSock, skb: SkBuff | None) -> None:
    """A RST was accepted: the connection is gone.  Linux: net/ipv4/tcp_input.c.  RFC 9293, 3.10.7.4, second check."""
    trace_tcp_receive_reset(sk)
    state = sk.sk_state
    if state == TCP_CLOSE:
        return
    if state == TCP_SYN_SENT:
        sk.sk_err = ECONNREFUSED
    elif state == TCP_CLOSE_WAIT:
        sk.sk_err = EPIPE
    else:
        sk.sk_err = ECONNRESET
    tcp_write_queue_purge(sk)
    tcp_done(sk)
    if (sk.sk_flags & SOCK_DEAD) == 0:
        sk.sk_cb.error_report(sk)
