# SPDX-License-Identifier: Apache-2.0
"""Send buffer tuning: a writer that waits is given room for two congestion windows, and woken when there is some.

Below tcp_output, which looks here after each new segment, as tcp_input does after each ACK.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import MAX_TCP_HEADER, SIZEOF_SK_BUFF, SIZEOF_SKB_SHARED_INFO
from linnet.include.net.sock import SOCK_NOSPACE, SOCK_SNDBUF_LOCK, sock_net
from linnet.include.net.tcp import TCP_CHRONO_SNDBUF_LIMITED, TCP_INIT_CWND, TcpSock, tcp_jiffies32, tcp_packets_in_flight
from linnet.net.ipv4.tcp import tcp_under_memory_pressure
from linnet.net.ipv4.tcp_chrono import tcp_chrono_stop

LINUX_FILE: Final = 'net/ipv4/tcp_input.c'


def tcp_sndbuf_expand(sk: TcpSock) -> None:
    """A send buffer for twice the congestion window.  Linux: net/ipv4/tcp_input.c."""
    per_mss = sk.rx_opt.mss_clamp if sk.rx_opt.mss_clamp > sk.mss_cache else sk.mss_cache
    per_mss += MAX_TCP_HEADER + SIZEOF_SKB_SHARED_INFO
    power: i64 = 1
    while power < per_mss:
        power <<= 1
    per_mss = power + SIZEOF_SK_BUFF
    nr_segs: i64 = TCP_INIT_CWND
    if sk.snd_cwnd > nr_segs:
        nr_segs = sk.snd_cwnd
    if sk.reordering + 1 > nr_segs:
        nr_segs = sk.reordering + 1
    ca = sk.icsk_ca_ops
    windows: i64 = 2
    if ca is not None:
        windows = ca.sndbuf_expand(sk)
    sndmem = windows * nr_segs * per_mss
    if sk.sk_sndbuf < sndmem:
        most: i64 = sock_net(sk).ipv4.sysctl_tcp_wmem[2]
        sk.sk_sndbuf = sndmem if sndmem < most else most


def tcp_should_expand_sndbuf(sk: TcpSock) -> bool:
    """Is it the send buffer that holds the sender back?  Linux: net/ipv4/tcp_input.c."""
    if (sk.sk_userlocks & SOCK_SNDBUF_LOCK) != 0 or tcp_under_memory_pressure(sk):
        return False
    if sk.sk_prot.mem.memory_allocated >= sock_net(sk).ipv4.sysctl_tcp_mem[0]:
        return False
    return tcp_packets_in_flight(sk) < sk.snd_cwnd


def tcp_new_space(sk: TcpSock) -> None:
    """Send buffer came free while a writer waits.  Linux: net/ipv4/tcp_input.c."""
    if tcp_should_expand_sndbuf(sk):
        tcp_sndbuf_expand(sk)
        sk.snd_cwnd_stamp = tcp_jiffies32(sk)
    sk.sk_cb.write_space(sk)


def tcp_check_space(sk: TcpSock) -> None:
    """Wake a writer that waits for room, if there is some.  Linux: net/ipv4/tcp_input.c."""
    sock = sk.sk_socket
    if sock is not None and (sock.flags & SOCK_NOSPACE) != 0:
        tcp_new_space(sk)
        if (sock.flags & SOCK_NOSPACE) == 0:
            tcp_chrono_stop(sk, TCP_CHRONO_SNDBUF_LIMITED)
