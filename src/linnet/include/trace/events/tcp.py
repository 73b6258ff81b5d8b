# SPDX-License-Identifier: Apache-2.0
"""Tracepoints of group tcp, named as in Linux's include/trace/events/tcp.h; each stands where Linux has it.

Free when nobody listens: one call and one flag. The walk of an interpreted run sees these functions entered.
"""

from __future__ import annotations

from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.sock import Sock, sock_net
from linnet.include.net.tcp import TCP_CA_NAMES, TcpSock
from linnet.include.trace.events.sock import sk_daddr_text, sk_saddr_text


def sk_fields(sk: Sock) -> dict[str, object]:
    """Who talks to whom."""
    return {
        'saddr': sk_saddr_text(sk),
        'sport': int(sk.sk_num),
        'daddr': sk_daddr_text(sk),
        'dport': int(sk.sk_dport),
    }


def trace_tcp_retransmit_synack(sk: Sock) -> None:
    """A SYN-ACK is sent again."""
    t = sock_net(sk).trace
    if t.enabled:
        t.emit('tcp:tcp_retransmit_synack', sk_fields(sk))


def trace_tcp_receive_reset(sk: Sock) -> None:
    """A RST was accepted."""
    t = sock_net(sk).trace
    if t.enabled:
        t.emit('tcp:tcp_receive_reset', sk_fields(sk))


def trace_tcp_destroy_sock(sk: Sock) -> None:
    """The transport's part of a socket ends."""
    t = sock_net(sk).trace
    if t.enabled:
        t.emit('tcp:tcp_destroy_sock', sk_fields(sk))


def trace_tcp_rcv_space_adjust(sk: Sock) -> None:
    """The program has read: receive buffer tuning looks at it."""
    t = sock_net(sk).trace
    if t.enabled:
        t.emit('tcp:tcp_rcv_space_adjust', sk_fields(sk))


def trace_tcp_sendmsg_locked(sk: Sock) -> None:
    """A send begins, the socket held."""
    t = sock_net(sk).trace
    if t.enabled:
        t.emit('tcp:tcp_sendmsg_locked', sk_fields(sk))


def trace_tcp_retransmit_skb(sk: TcpSock, skb: SkBuff) -> None:
    """A segment is sent again."""
    t = sock_net(sk).trace
    if t.enabled:
        fields = sk_fields(sk)
        fields['seq'] = int(skb.seq)
        fields['len'] = int(skb.len)
        t.emit('tcp:tcp_retransmit_skb', fields)


def trace_tcp_send_reset(sk: Sock | None, skb: SkBuff) -> None:
    """A RST is sent in answer to skb."""
    t = skb.world.trace
    if t.enabled:
        t.emit('tcp:tcp_send_reset', {'sport': int(skb.dport), 'dport': int(skb.sport)})


def trace_tcp_probe(sk: TcpSock, skb: SkBuff) -> None:
    """A segment came in on an established connection."""
    t = sock_net(sk).trace
    if t.enabled:
        fields = sk_fields(sk)
        fields.update(
            {
                'data_len': int(skb.len),
                'snd_nxt': int(sk.snd_nxt),
                'snd_una': int(sk.snd_una),
                'snd_cwnd': int(sk.snd_cwnd),
                'ssthresh': int(sk.snd_ssthresh),
                'snd_wnd': int(sk.snd_wnd),
                'srtt': int(sk.srtt_us >> 3),
                'rcv_wnd': int(sk.rcv_wnd),
            }
        )
        t.emit('tcp:tcp_probe', fields)


def trace_tcp_cong_state_set(sk: TcpSock, ca_state: int) -> None:
    """The congestion state moves."""
    t = sock_net(sk).trace
    if t.enabled:
        fields = sk_fields(sk)
        fields['cong_state'] = TCP_CA_NAMES[ca_state]
        t.emit('tcp:tcp_cong_state_set', fields)


def trace_tcp_bad_csum(skb: SkBuff) -> None:
    """A segment with a wrong checksum."""
    t = skb.world.trace
    if t.enabled:
        t.emit('tcp:tcp_bad_csum', {'sport': int(skb.sport), 'dport': int(skb.dport)})
