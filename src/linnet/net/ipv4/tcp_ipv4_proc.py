# SPDX-License-Identifier: Apache-2.0
"""The text of /proc/net/tcp: one line for each sock that segments can find, as programs like netstat parse it.

Addresses stand as Linux on a little-endian machine prints them (the bytes of network order read backwards), times in ticks of
1/100 s.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.socket import AF_INET
from linnet.include.net.inet_connection_sock import (
    ICSK_TIME_LOSS_PROBE,
    ICSK_TIME_PROBE0,
    ICSK_TIME_REO_TIMEOUT,
    ICSK_TIME_RETRANS,
)
from linnet.include.net.inet_timewait_sock import InetTimewaitSock
from linnet.include.net.net_namespace import Net
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.sock import Sock
from linnet.include.net.tcp import TCP_INFINITE_SSTHRESH, U32, TcpSock
from linnet.include.net.tcp_states import TCP_LISTEN, TCP_SYN_RECV
from linnet.net.ipv4.inet_hashtables_chain import inet_hashinfo

LINUX_FILE: Final = 'net/ipv4/tcp_ipv4.c'

TCP4_HEADER: Final = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
TMPSZ: Final = 150
NSEC_PER_TICK: Final = 10_000_000


def addr_hex(addr: i64, port: i64) -> str:
    """'0100007F:1F90' for 127.0.0.1:8080."""
    swapped = int.from_bytes(int(addr).to_bytes(4, 'big'), 'little')
    return f'{swapped:08X}:{int(port):04X}'


def ticks_until(net: Net, expires: i64) -> int:
    """Ticks from now until expires (ns), not below 0."""
    left = expires - net.clock.now
    return int(left // NSEC_PER_TICK) if left > 0 else 0


def sock_addrs4(sk: Sock) -> str:
    """Both ends of a sock of AF_INET."""
    return f'{addr_hex(sk.sk_rcv_saddr, sk.sk_num)} {addr_hex(sk.sk_daddr, sk.sk_dport)}'


def tcp_sock_line(net: Net, sk: TcpSock, i: int, addrs: str) -> str:
    """The line of a listener or a connection; addrs: both its ends.  Linux: get_tcp4_sock and get_tcp6_sock."""
    timer_active = 0
    expires = net.clock.now
    keepalive = sk.sk_timer
    pending = sk.icsk_pending
    if pending == ICSK_TIME_RETRANS or pending == ICSK_TIME_REO_TIMEOUT or pending == ICSK_TIME_LOSS_PROBE:
        timer_active = 1
        expires = sk.icsk_timeout
    elif pending == ICSK_TIME_PROBE0:
        timer_active = 4
        expires = sk.icsk_timeout
    elif keepalive is not None and keepalive.armed:
        timer_active = 2
        expires = keepalive.expires
    listening = sk.sk_state == TCP_LISTEN
    rx_queue = sk.sk_ack_backlog if listening else (sk.rcv_nxt - sk.copied_seq) & U32
    if rx_queue >= 0x80000000:
        rx_queue = 0
    ssthresh = int(sk.snd_ssthresh)
    if listening:
        ssthresh = int(sk.icsk_accept_queue.fastopenq_max_qlen)
    elif sk.snd_ssthresh >= TCP_INFINITE_SSTHRESH:
        ssthresh = -1
    return (
        f'{i:4d}: {addrs} {int(sk.sk_state):02X} '
        f'{int((sk.write_seq - sk.snd_una) & U32):08X}:{int(rx_queue):08X} {timer_active:02X}:{ticks_until(net, expires):08X} '
        f'{int(sk.icsk_retransmits):08X} {0:5d} {int(sk.icsk_probes_out):8d} {int(sk.sk_ino)} {int(sk.sk_refcnt)} {0:016x} '
        f'{int(sk.icsk_rto // 10)} {int(sk.ack_ato // 10)} {int(sk.ack_quick << 1) | (1 if sk.ack_pingpong > 0 else 0)} '
        f'{int(sk.snd_cwnd)} {ssthresh}'
    )


def tcp_openreq_line(net: Net, req: RequestSock, i: int, addrs: str) -> str:
    """The line of a handshake in progress.  Linux: get_openreq4 and get_openreq6."""
    timer = req.rsk_timer
    expires = timer.expires if timer is not None and timer.armed else net.clock.now
    return (
        f'{i:4d}: {addrs} {TCP_SYN_RECV:02X} '
        f'{0:08X}:{0:08X} {1:02X}:{ticks_until(net, expires):08X} {int(req.num_timeout):08X} {0:5d} {0:8d} {0:d} {0:d} {0:016x}'
    )


def tcp_timewait_line(net: Net, tw: InetTimewaitSock, i: int, addrs: str) -> str:
    """The line of a TIME_WAIT sock.  Linux: get_timewait4_sock and get_timewait6_sock."""
    timer = tw.tw_timer
    expires = timer.expires if timer is not None else net.clock.now
    return (
        f'{i:4d}: {addrs} {int(tw.tw_substate):02X} '
        f'{0:08X}:{0:08X} {3:02X}:{ticks_until(net, expires):08X} {0:08X} {0:5d} {0:8d} {0:d} {int(tw.sk_refcnt)} {0:016x}'
    )


def tcp_seq_line(net: Net, sk: Sock, i: int, addrs: str) -> str:
    """The line of whatever kind of sock stands in the hashes."""
    if isinstance(sk, TcpSock):
        return tcp_sock_line(net, sk, i, addrs)
    if isinstance(sk, RequestSock):
        return tcp_openreq_line(net, sk, i, addrs)
    assert isinstance(sk, InetTimewaitSock)
    return tcp_timewait_line(net, sk, i, addrs)


def tcp_socks(net: Net) -> list[Sock]:
    """All socks that segments can find, of both families: listeners first, then connections, requests and those in TIME_WAIT."""
    hashinfo = inet_hashinfo(net)
    found: list[Sock] = []
    for bucket in hashinfo.lhash.values():
        found.extend(bucket)
    for first in hashinfo.ehash.values():
        sk: Sock | None = first
        while sk is not None:
            found.append(sk)
            sk = sk.sk_hash_next
    return found


def tcp_seq_socks(net: Net, family: i64 = AF_INET) -> list[Sock]:
    """Those of one family."""
    return [sk for sk in tcp_socks(net) if sk.sk_family == family]


def tcp4_seq_show(net: Net) -> str:
    """/proc/net/tcp: the socks of AF_INET.  Linux: net/ipv4/tcp_ipv4.c."""
    lines = [TCP4_HEADER.ljust(TMPSZ - 1)]
    for i, sk in enumerate(tcp_seq_socks(net, AF_INET)):
        lines.append(tcp_seq_line(net, sk, i, sock_addrs4(sk)).ljust(TMPSZ - 1))
    return '\n'.join(lines) + '\n'
