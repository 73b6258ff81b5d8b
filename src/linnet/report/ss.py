# SPDX-License-Identifier: Apache-2.0
"""Sockets of a host as `ss -tian` prints them (iproute2)."""

from __future__ import annotations

from linnet.include.linux.in6 import in6_ntop
from linnet.include.linux.inet import in_ntoa
from linnet.include.linux.socket import AF_INET6
from linnet.include.net.inet_connection_sock import InetConnectionSock
from linnet.include.net.inet_timewait_sock import InetTimewaitSock
from linnet.include.net.net_namespace import Net
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.sock import Sock
from linnet.include.net.tcp import TcpSock
from linnet.net.ipv4.tcp_info import tcp_get_info
from linnet.net.ipv4.tcp_ipv4_proc import tcp_socks

STATES = (
    '',
    'ESTAB',
    'SYN-SENT',
    'SYN-RECV',
    'FIN-WAIT-1',
    'FIN-WAIT-2',
    'TIME-WAIT',
    'UNCONN',
    'CLOSE-WAIT',
    'LAST-ACK',
    'LISTEN',
    'CLOSING',
    'SYN-RECV',
)


def tcp_sockets(net: Net) -> list[Sock]:
    """Every TCP socket of a host that has a port: listeners first, then connections, by port."""
    return sorted(tcp_socks(net), key=lambda sk: (sk.sk_state != 10, sk.sk_num, sk.sk_daddr, sk.sk_v6_daddr, sk.sk_dport))


def bits(rate: float) -> str:
    """A rate in bit/s as ss prints it."""
    return f'{rate:.0f}bps'


def congestion_words(sk: TcpSock) -> str:
    """What the congestion control says of itself, in the words of ss; of one that ss does not know, all by its names."""
    ca = sk.icsk_ca_ops
    found = ca.get_info(sk, 0) if ca is not None else {}
    if 'bbr_bw_lo' in found:
        bw = (found['bbr_bw_hi'] << 32 | found['bbr_bw_lo']) * 8
        text = f'bbr:(bw:{bits(bw)},mrtt:{found["bbr_min_rtt"] / 1000:g}'
        for name in ('pacing_gain', 'cwnd_gain'):
            if found['bbr_' + name]:
                text += f',{name}:{found["bbr_" + name] / 256:g}'
        return text + ')'
    if 'dctcp_enabled' in found:
        if not found['dctcp_enabled']:
            return 'dctcp:fallback_mode'
        names = ('ce_state', 'alpha', 'ab_ecn', 'ab_tot')
        return 'dctcp:(' + ','.join(f'{name}:{found["dctcp_" + name]}' for name in names) + ')'
    if ca is not None and found:
        return f'{ca.name}:(' + ','.join(f'{name}:{value}' for name, value in found.items()) + ')'
    return ''


def info_line(sk: TcpSock) -> str:
    """What ss -i says of one connection, in its words."""
    info = tcp_get_info(sk)
    options = info.get('tcpi_options', 0)
    parts: list[str] = []
    if options & 1:
        parts.append('ts')
    if options & 2:
        parts.append('sack')
    if sk.icsk_ca_ops is not None:
        parts.append(sk.icsk_ca_ops.name)
    if options & 4:
        parts.append(f'wscale:{info["tcpi_snd_wscale"]},{info["tcpi_rcv_wscale"]}')
    parts.append(f'rto:{info["tcpi_rto"] / 1000:g}')
    if info['tcpi_rtt']:
        parts.append(f'rtt:{info["tcpi_rtt"] / 1000:g}/{info["tcpi_rttvar"] / 1000:g}')
    if info['tcpi_ato']:
        parts.append(f'ato:{info["tcpi_ato"] / 1000:g}')
    parts.append(
        f'mss:{info["tcpi_snd_mss"]} pmtu:{info["tcpi_pmtu"]} rcvmss:{info["tcpi_rcv_mss"]} advmss:{info["tcpi_advmss"]}'
    )
    parts.append(f'cwnd:{info["tcpi_snd_cwnd"]}')
    if info['tcpi_snd_ssthresh'] < 0xFFFF:
        parts.append(f'ssthresh:{info["tcpi_snd_ssthresh"]}')
    for name in (
        'bytes_sent',
        'bytes_retrans',
        'bytes_acked',
        'bytes_received',
        'segs_out',
        'segs_in',
        'data_segs_out',
        'data_segs_in',
    ):
        if info.get('tcpi_' + name):
            parts.append(f'{name}:{info["tcpi_" + name]}')
    words = congestion_words(sk)
    if words:
        parts.append(words)
    if info['tcpi_rtt']:
        parts.append('send ' + bits(info['tcpi_snd_cwnd'] * info['tcpi_snd_mss'] * 8e6 / info['tcpi_rtt']))
    for name in ('lastsnd', 'lastrcv', 'lastack'):
        key = {'lastsnd': 'tcpi_last_data_sent', 'lastrcv': 'tcpi_last_data_recv', 'lastack': 'tcpi_last_ack_recv'}[name]
        parts.append(f'{name}:{info[key]}')
    if info.get('tcpi_unacked'):
        parts.append(f'unacked:{info["tcpi_unacked"]}')
    if info.get('tcpi_total_retrans'):
        parts.append(f'retrans:{info.get("tcpi_retrans", 0)}/{info["tcpi_total_retrans"]}')
    parts.append(f'rcv_space:{info["tcpi_rcv_space"]} rcv_ssthresh:{info["tcpi_rcv_ssthresh"]}')
    if info.get('tcpi_min_rtt', 0) not in (0, 0xFFFFFFFF):
        parts.append(f'minrtt:{info["tcpi_min_rtt"] / 1000:g}')
    if info.get('tcpi_snd_wnd'):
        parts.append(f'snd_wnd:{info["tcpi_snd_wnd"]}')
    return ' '.join(parts)


def queues(sk: Sock) -> tuple[int, int]:
    """(Recv-Q, Send-Q): bytes not read and not acknowledged; for a listener the accept queue and its limit."""
    if isinstance(sk, TcpSock):
        if sk.sk_state == 10:
            return int(sk.sk_ack_backlog), int(sk.sk_max_ack_backlog)
        return int((sk.rcv_nxt - sk.copied_seq) & 0xFFFFFFFF), int((sk.write_seq - sk.snd_una) & 0xFFFFFFFF)
    return 0, 0


def end(sk: Sock, addr: int, addr6: int, port: int) -> str:
    """One end of a socket: 10.0.0.1:80, [2001:db8::1]:80; *:80 of one that takes both families; a port of 0 is a star."""
    text = str(port) if port else '*'
    if sk.sk_family != AF_INET6:
        return f'{in_ntoa(addr)}:{text}'
    if addr6 == 0 and not sk.sk_ipv6only:
        return f'*:{text}'
    return f'[{in6_ntop(addr6)}]:{text}'


def ends(sk: Sock) -> tuple[str, str]:
    """The local and the remote end."""
    if isinstance(sk, RequestSock):
        return (end(sk, int(sk.ir_loc_addr), sk.sk_v6_rcv_saddr, int(sk.ir_num)),
                end(sk, int(sk.ir_rmt_addr), sk.sk_v6_daddr, int(sk.ir_rmt_port)))
    peer = (int(sk.sk_daddr), sk.sk_v6_daddr) if sk.sk_dport else (0, 0)
    return end(sk, int(sk.sk_rcv_saddr), sk.sk_v6_rcv_saddr, int(sk.sk_num)), end(sk, *peer, int(sk.sk_dport))


def ss(net: Net, *, info: bool = True, listening: bool = True) -> str:
    """The TCP sockets of a host, one (with info two) lines each, as `ss -tian` prints them."""
    lines = [f'{"State":<10} {"Recv-Q":<6} {"Send-Q":<6} {"Local Address:Port":>24} {"Peer Address:Port":>24}']
    for sk in tcp_sockets(net):
        if sk.sk_state == 10 and not listening:
            continue
        received, sent = queues(sk)
        here, there = ends(sk)
        state = STATES[sk.tw_substate if isinstance(sk, InetTimewaitSock) and sk.tw_substate else sk.sk_state]
        lines.append(f'{state:<10} {received:<6} {sent:<6} {here:>24} {there:>24}')
        if info and isinstance(sk, TcpSock) and isinstance(sk, InetConnectionSock) and sk.sk_state != 10:
            lines.append('\t ' + info_line(sk))
    return '\n'.join(lines)
