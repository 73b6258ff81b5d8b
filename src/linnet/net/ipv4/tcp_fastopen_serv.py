# SPDX-License-Identifier: Apache-2.0
"""The listener's side of Fast Open: a SYN with data and a good cookie makes the child at once (RFC 7413, 4.2.1).

The child stands in SYN_RECV with its request at fastopen_rsk; the program may accept it, read and write. Its retransmission
timer sends the SYN-ACK again until the ACK comes, and nothing else; then the request goes (reqsk_fastopen_remove). The number of
children in that state is bounded for each listener.
"""
from __future__ import annotations

from typing import Final

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dst import DstEntry
from linnet.include.net.inet_connection_sock import ICSK_TIME_RETRANS
from linnet.include.net.request_sock import RequestSock, TcpFastopenCookie
from linnet.include.net.snmp import (
    LINUX_MIB_TCPFASTOPENCOOKIEREQD,
    LINUX_MIB_TCPFASTOPENPASSIVE,
    LINUX_MIB_TCPFASTOPENPASSIVEALTKEY,
    LINUX_MIB_TCPFASTOPENPASSIVEFAIL,
    NET_INC_STATS,
)
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    TCP_TIMEOUT_INIT,
    TFO_SERVER_COOKIE_NOT_REQD,
    TFO_SERVER_ENABLE,
    U32,
    TcpSock,
)
from linnet.net.ipv4.inet_connection_sock import inet_csk_reset_xmit_timer
from linnet.net.ipv4.tcp_fastopen import (
    tcp_fastopen_cookie_gen,
    tcp_fastopen_cookie_gen_check,
    tcp_fastopen_no_cookie,
    tcp_fastopen_queue_check,
)
from linnet.net.ipv4.tcp_fastopen_rcv import tcp_fastopen_add_skb
from linnet.net.ipv4.tcp_input import tcp_init_transfer

LINUX_FILE: Final = 'net/ipv4/tcp_fastopen.c'


def tcp_fastopen_create_child(sk: TcpSock, skb: SkBuff, req: RequestSock) -> TcpSock | None:
    """The child for a SYN with data, in SYN_RECV, with the data to be read; None where there is no room.

    The request gets one reference more: the child's, or the accept queue's until accept().  Linux: net/ipv4/tcp_fastopen.c.
    """
    child = sk.icsk_af_ops.syn_recv_sock(sk, skb, req, None)
    if child is None:
        return None
    assert isinstance(child, TcpSock)
    sk.icsk_accept_queue.fastopenq_qlen += 1
    child.fastopen_rsk = req
    child.syn_fastopen_child = True
    req.tfo_listener = True
    req.sk_refcnt += 1
    # RFC 7323, 2.2: the window in a SYN is never scaled
    child.snd_wnd = skb.window
    child.max_window = child.snd_wnd
    # likewise ours, which the SYN-ACK tells: until the peer's ACK no more is given
    if child.rcv_wnd > 65535:
        child.rcv_wnd = 65535
        child.rcv_ssthresh = 65535
    req.timeout = TCP_TIMEOUT_INIT
    inet_csk_reset_xmit_timer(child, ICSK_TIME_RETRANS, req.timeout, child.icsk_rto_max)
    tcp_init_transfer(child)
    child.rcv_nxt = (skb.seq + 1) & U32
    tcp_fastopen_add_skb(child, skb)
    req.rcv_nxt = child.rcv_nxt
    child.rcv_wup = child.rcv_nxt
    return child


def tcp_try_fastopen(sk: TcpSock, skb: SkBuff, req: RequestSock, foc: TcpFastopenCookie, dst: DstEntry) -> TcpSock | None:
    """Is the SYN a Fast Open? Then its child. foc: the option that came; becomes the one to answer with (len -1: none).

    Linux: net/ipv4/tcp_fastopen.c.
    """
    net = sock_net(sk)
    syn_data = skb.end_seq != ((skb.seq + 1) & U32)
    if foc.len == 0:
        NET_INC_STATS(net, LINUX_MIB_TCPFASTOPENCOOKIEREQD)
    enabled = (net.ipv4.sysctl_tcp_fastopen & TFO_SERVER_ENABLE) != 0
    if not (enabled and (syn_data or foc.len >= 0) and tcp_fastopen_queue_check(sk)):
        foc.len = -1
        return None
    valid_foc = TcpFastopenCookie()
    valid_foc.exp = foc.exp
    by_key = 0
    trusted = tcp_fastopen_no_cookie(sk, dst, TFO_SERVER_COOKIE_NOT_REQD)
    if not trusted and foc.len == 0:
        tcp_fastopen_cookie_gen(sk, skb, valid_foc)
    elif not trusted and foc.len > 0:
        by_key = tcp_fastopen_cookie_gen_check(sk, skb, foc, valid_foc)
        if by_key == 0:
            NET_INC_STATS(net, LINUX_MIB_TCPFASTOPENPASSIVEFAIL)
    if trusted or by_key != 0:
        child = tcp_fastopen_create_child(sk, skb, req)
        if child is not None:
            if by_key == 2:
                # by the old key: give the client the new cookie
                foc.set(valid_foc)
                NET_INC_STATS(net, LINUX_MIB_TCPFASTOPENPASSIVEALTKEY)
            else:
                foc.len = -1
            NET_INC_STATS(net, LINUX_MIB_TCPFASTOPENPASSIVE)
            return child
        NET_INC_STATS(net, LINUX_MIB_TCPFASTOPENPASSIVEFAIL)
    foc.set(valid_foc)
    return None
