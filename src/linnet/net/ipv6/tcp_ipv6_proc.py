# SPDX-License-Identifier: Apache-2.0
"""The text of /proc/net/tcp6: one line for each sock of AF_INET6 that segments can find; as net/ipv4/tcp_ipv4_proc.py.

An address is four words of 32 bits, each as Linux on a little-endian machine prints it.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import in6_bytes
from linnet.include.linux.socket import AF_INET6
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import Sock
from linnet.net.ipv4.tcp_ipv4_proc import tcp_seq_line, tcp_seq_socks

LINUX_FILE: Final = 'net/ipv6/tcp_ipv6.c'

TCP6_HEADER: Final = (
    '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when '
    'retrnsmt   uid  timeout inode'
)


def addr6_hex(addr: int, port: i64) -> str:
    """'00000000000000000000000001000000:1F90' for [::1]:8080."""
    data = in6_bytes(addr)
    words = [f'{int.from_bytes(data[i:i + 4], "little"):08X}' for i in (0, 4, 8, 12)]
    return ''.join(words) + f':{int(port):04X}'


def sock_addrs6(sk: Sock) -> str:
    """Both ends of a sock of AF_INET6."""
    return f'{addr6_hex(sk.sk_v6_rcv_saddr, sk.sk_num)} {addr6_hex(sk.sk_v6_daddr, sk.sk_dport)}'


def tcp6_seq_show(net: Net) -> str:
    """/proc/net/tcp6: the socks of AF_INET6.  Linux: net/ipv6/tcp_ipv6.c."""
    lines = [TCP6_HEADER]
    for i, sk in enumerate(tcp_seq_socks(net, AF_INET6)):
        lines.append(tcp_seq_line(net, sk, i, sock_addrs6(sk)))
    return '\n'.join(lines) + '\n'
