# SPDX-License-Identifier: Apache-2.0
"""TCP_INFO: what a connection knows of itself, by Linux's names, and as the bytes of struct tcp_info.

tcp_get_info gives a dict, for people and for packetdrill's assertions; tcp_info_pack lays it out as <linux/tcp.h> does on 64-bit
little-endian machines. Times tcpi_rto, ato, rtt, rttvar, rcv_rtt, min_rtt in µs, tcpi_last_* in ms, as there.
"""
from __future__ import annotations

import struct
from typing import Final

from mypy_extensions import i64

from linnet.include.linux.net_tstamp import (
    TCP_NLA_BUSY,
    TCP_NLA_BYTES_NOTSENT,
    TCP_NLA_BYTES_RETRANS,
    TCP_NLA_BYTES_SENT,
    TCP_NLA_CA_STATE,
    TCP_NLA_DATA_SEGS_OUT,
    TCP_NLA_DELIVERED,
    TCP_NLA_DELIVERED_CE,
    TCP_NLA_DELIVERY_RATE,
    TCP_NLA_DELIVERY_RATE_APP_LMT,
    TCP_NLA_DSACK_DUPS,
    TCP_NLA_EDT,
    TCP_NLA_MIN_RTT,
    TCP_NLA_PACING_RATE,
    TCP_NLA_RECUR_RETRANS,
    TCP_NLA_REHASH,
    TCP_NLA_REORD_SEEN,
    TCP_NLA_REORDERING,
    TCP_NLA_RWND_LIMITED,
    TCP_NLA_SND_CWND,
    TCP_NLA_SND_SSTHRESH,
    TCP_NLA_SNDBUF_LIMITED,
    TCP_NLA_SNDQ_SIZE,
    TCP_NLA_SRTT,
    TCP_NLA_TIMEOUT_REHASH,
    TCP_NLA_TOTAL_RETRANS,
    TCP_NLA_TTL,
)
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    TCP_CHRONO_BUSY,
    TCP_CHRONO_RWND_LIMITED,
    TCP_CHRONO_SNDBUF_LIMITED,
    TCP_ECN_OK,
    TCP_ECN_SEEN,
    U32,
    TcpSock,
    tcp_jiffies32,
    tcp_min_rtt,
    tcp_time_stamp,
)
from linnet.include.net.tcp_states import TCP_LISTEN

LINUX_FILE: Final = 'net/ipv4/tcp.c'

TCPI_OPT_TIMESTAMPS: Final = 1
TCPI_OPT_SACK: Final = 2
TCPI_OPT_WSCALE: Final = 4
TCPI_OPT_ECN: Final = 8
TCPI_OPT_ECN_SEEN: Final = 16
TCPI_OPT_SYN_DATA: Final = 32
TCPI_OPT_TFO_CHILD: Final = 128

RATE_UNLIMITED: Final = (1 << 64) - 1

# The members of struct tcp_info after its eight leading bytes: name and struct format, in order.
TCP_INFO_U32: Final = (
    'tcpi_rto', 'tcpi_ato', 'tcpi_snd_mss', 'tcpi_rcv_mss', 'tcpi_unacked', 'tcpi_sacked', 'tcpi_lost', 'tcpi_retrans',
    'tcpi_fackets', 'tcpi_last_data_sent', 'tcpi_last_ack_sent', 'tcpi_last_data_recv', 'tcpi_last_ack_recv', 'tcpi_pmtu',
    'tcpi_rcv_ssthresh', 'tcpi_rtt', 'tcpi_rttvar', 'tcpi_snd_ssthresh', 'tcpi_snd_cwnd', 'tcpi_advmss', 'tcpi_reordering',
    'tcpi_rcv_rtt', 'tcpi_rcv_space', 'tcpi_total_retrans',
)
TCP_INFO_TAIL: Final = (
    ('tcpi_pacing_rate', 'Q'), ('tcpi_max_pacing_rate', 'Q'), ('tcpi_bytes_acked', 'Q'), ('tcpi_bytes_received', 'Q'),
    ('tcpi_segs_out', 'I'), ('tcpi_segs_in', 'I'), ('tcpi_notsent_bytes', 'I'), ('tcpi_min_rtt', 'I'),
    ('tcpi_data_segs_in', 'I'), ('tcpi_data_segs_out', 'I'), ('tcpi_delivery_rate', 'Q'), ('tcpi_busy_time', 'Q'),
    ('tcpi_rwnd_limited', 'Q'), ('tcpi_sndbuf_limited', 'Q'), ('tcpi_delivered', 'I'), ('tcpi_delivered_ce', 'I'),
    ('tcpi_bytes_sent', 'Q'), ('tcpi_bytes_retrans', 'Q'), ('tcpi_dsack_dups', 'I'), ('tcpi_reord_seen', 'I'),
    ('tcpi_rcv_ooopack', 'I'), ('tcpi_snd_wnd', 'I'), ('tcpi_rcv_wnd', 'I'), ('tcpi_rehash', 'I'),
    ('tcpi_total_rto', 'H'), ('tcpi_total_rto_recoveries', 'H'), ('tcpi_total_rto_time', 'I'),
    ('tcpi_received_ce', 'I'), ('tcpi_delivered_e1_bytes', 'I'), ('tcpi_delivered_e0_bytes', 'I'),
    ('tcpi_delivered_ce_bytes', 'I'), ('tcpi_received_e1_bytes', 'I'), ('tcpi_received_e0_bytes', 'I'),
    ('tcpi_received_ce_bytes', 'I'),
    ('tcpi_accecn_fail_mode', 'H'), ('tcpi_accecn_opt_seen', 'H'),
)

# of SCM_TIMESTAMPING_OPT_STATS, in Linux's order: attribute, member of tcp_info, bytes
OPT_STATS_FIRST: Final = (
    (TCP_NLA_BUSY, 'tcpi_busy_time', 8), (TCP_NLA_RWND_LIMITED, 'tcpi_rwnd_limited', 8),
    (TCP_NLA_SNDBUF_LIMITED, 'tcpi_sndbuf_limited', 8), (TCP_NLA_DATA_SEGS_OUT, 'tcpi_data_segs_out', 8),
    (TCP_NLA_TOTAL_RETRANS, 'tcpi_total_retrans', 8), (TCP_NLA_PACING_RATE, 'tcpi_pacing_rate', 8),
    (TCP_NLA_DELIVERY_RATE, 'tcpi_delivery_rate', 8), (TCP_NLA_SND_CWND, 'tcpi_snd_cwnd', 4),
    (TCP_NLA_REORDERING, 'tcpi_reordering', 4), (TCP_NLA_MIN_RTT, 'tcpi_min_rtt', 4),
)
OPT_STATS_SECOND: Final = (
    (TCP_NLA_DELIVERY_RATE_APP_LMT, 'tcpi_delivery_rate_app_limited', 1), (TCP_NLA_SND_SSTHRESH, 'tcpi_snd_ssthresh', 4),
    (TCP_NLA_DELIVERED, 'tcpi_delivered', 4), (TCP_NLA_DELIVERED_CE, 'tcpi_delivered_ce', 4),
)
OPT_STATS_THIRD: Final = (
    (TCP_NLA_CA_STATE, 'tcpi_ca_state', 1), (TCP_NLA_BYTES_SENT, 'tcpi_bytes_sent', 8),
    (TCP_NLA_BYTES_RETRANS, 'tcpi_bytes_retrans', 8), (TCP_NLA_DSACK_DUPS, 'tcpi_dsack_dups', 4),
    (TCP_NLA_REORD_SEEN, 'tcpi_reord_seen', 4),
)


def tcp_compute_delivery_rate(tp: TcpSock) -> int:
    """The last measured delivery rate, bytes a second.  Linux: net/ipv4/tcp.c."""
    if tp.rate_delivered == 0 or tp.rate_interval_us == 0:
        return 0
    return int(tp.rate_delivered) * int(tp.mss_cache) * 1_000_000 // int(tp.rate_interval_us)


def tcp_get_info_chrono_stats(tp: TcpSock, info: dict[str, int]) -> None:
    """Busy time and what limited it, µs, the present state counted.  Linux: net/ipv4/tcp.c."""
    total = 0
    stats = [0, 0, 0]
    now = sock_net(tp).clock.now // 1000
    i: i64 = TCP_CHRONO_BUSY
    while i <= TCP_CHRONO_SNDBUF_LIMITED:
        value = tp.chrono_stat[i - 1]
        if tp.chrono_type == i:
            value += int(now - tp.chrono_start)
        stats[i - 1] = value
        total += value
        i += 1
    info['tcpi_busy_time'] = total
    info['tcpi_rwnd_limited'] = stats[TCP_CHRONO_RWND_LIMITED - 1]
    info['tcpi_sndbuf_limited'] = stats[TCP_CHRONO_SNDBUF_LIMITED - 1]


def tcp_info_options(tp: TcpSock) -> int:
    """The bits of tcpi_options."""
    options = 0
    rx_opt = tp.rx_opt
    if rx_opt.tstamp_ok:
        options |= TCPI_OPT_TIMESTAMPS
    if rx_opt.sack_ok != 0:
        options |= TCPI_OPT_SACK
    if rx_opt.wscale_ok:
        options |= TCPI_OPT_WSCALE
    if (tp.ecn_flags & TCP_ECN_OK) != 0:
        options |= TCPI_OPT_ECN
    if (tp.ecn_flags & TCP_ECN_SEEN) != 0:
        options |= TCPI_OPT_ECN_SEEN
    if tp.syn_data_acked:
        options |= TCPI_OPT_SYN_DATA
    if tp.syn_fastopen_child:
        options |= TCPI_OPT_TFO_CHILD
    return options


def tcp_info_rates(tp: TcpSock, info: dict[str, int]) -> None:
    """What a listener has too."""
    rate = int(tp.sk_pacing_rate)
    most = int(tp.sk_max_pacing_rate)
    info['tcpi_pacing_rate'] = RATE_UNLIMITED if rate >= 1 << 62 else rate
    info['tcpi_max_pacing_rate'] = RATE_UNLIMITED if most >= 1 << 62 else most
    info['tcpi_reordering'] = int(tp.reordering)
    info['tcpi_snd_cwnd'] = int(tp.snd_cwnd)


def tcp_info_counts(tp: TcpSock, info: dict[str, int]) -> None:
    """Sizes and counters."""
    info['tcpi_bytes_acked'] = int(tp.bytes_acked)
    info['tcpi_bytes_received'] = int(tp.bytes_received)
    info['tcpi_notsent_bytes'] = max(0, int((tp.write_seq - tp.snd_nxt) & U32))
    info['tcpi_segs_out'] = int(tp.segs_out)
    info['tcpi_segs_in'] = int(tp.segs_in)
    info['tcpi_data_segs_in'] = int(tp.data_segs_in)
    info['tcpi_data_segs_out'] = int(tp.data_segs_out)
    info['tcpi_min_rtt'] = int(tcp_min_rtt(tp))
    info['tcpi_delivery_rate_app_limited'] = 1 if tp.rate_app_limited else 0
    info['tcpi_delivery_rate'] = tcp_compute_delivery_rate(tp)
    info['tcpi_delivered'] = int(tp.delivered)
    info['tcpi_delivered_ce'] = int(tp.delivered_ce)
    info['tcpi_bytes_sent'] = int(tp.bytes_sent)
    info['tcpi_bytes_retrans'] = int(tp.bytes_retrans)
    info['tcpi_dsack_dups'] = int(tp.dsack_dups)
    info['tcpi_reord_seen'] = int(tp.reord_seen)
    info['tcpi_rcv_ooopack'] = int(tp.rcv_ooopack)
    info['tcpi_snd_wnd'] = int(tp.snd_wnd)
    info['tcpi_rcv_wnd'] = int(tp.rcv_wnd)
    info['tcpi_rehash'] = int(tp.timeout_rehash)
    info['tcpi_fastopen_client_fail'] = int(tp.fastopen_client_fail)
    info['tcpi_total_rto'] = int(tp.total_rto)
    info['tcpi_total_rto_recoveries'] = int(tp.total_rto_recoveries)
    info['tcpi_total_rto_time'] = 0
    if tp.rto_stamp != 0:
        info['tcpi_total_rto_time'] = int((tcp_time_stamp(tp) - tp.rto_stamp) & U32)
    tcp_get_info_chrono_stats(tp, info)


def tcp_get_info(tp: TcpSock) -> dict[str, int]:
    """The members of struct tcp_info by their names.  Linux: net/ipv4/tcp.c."""
    now = tcp_jiffies32(tp)
    state = int(tp.sk_state)
    rx_opt = tp.rx_opt
    info: dict[str, int] = {
        'tcpi_state': state,
        'tcpi_ca_state': int(tp.icsk_ca_state),
        'tcpi_retransmits': int(tp.icsk_retransmits),
        'tcpi_probes': int(tp.icsk_probes_out),
        'tcpi_backoff': int(tp.icsk_backoff),
        'tcpi_options': tcp_info_options(tp),
        'tcpi_snd_wscale': int(rx_opt.snd_wscale) if rx_opt.wscale_ok else 0,
        'tcpi_rcv_wscale': int(rx_opt.rcv_wscale) if rx_opt.wscale_ok else 0,
    }
    for name in TCP_INFO_U32:
        info[name] = 0
    for name, _ in TCP_INFO_TAIL:
        info[name] = 0  # those of accurate ECN, which is not spoken here, stay so
    info['tcpi_delivery_rate_app_limited'] = 0
    info['tcpi_fastopen_client_fail'] = 0
    tcp_info_rates(tp, info)
    if state == TCP_LISTEN:
        # what a listener shows under these names: its accept queue and its limit
        info['tcpi_unacked'] = int(tp.sk_ack_backlog)
        info['tcpi_sacked'] = int(tp.sk_max_ack_backlog)
        return info
    tcp_info_counts(tp, info)
    info['tcpi_rto'] = int(tp.icsk_rto) * 1000
    info['tcpi_ato'] = int(tp.ack_ato) * 1000
    info['tcpi_snd_mss'] = int(tp.mss_cache)
    info['tcpi_rcv_mss'] = int(tp.ack_rcv_mss)
    info['tcpi_unacked'] = int(tp.packets_out)
    info['tcpi_sacked'] = int(tp.sacked_out)
    info['tcpi_lost'] = int(tp.lost_out)
    info['tcpi_retrans'] = int(tp.retrans_out)
    info['tcpi_last_data_sent'] = int(now - tp.lsndtime)
    info['tcpi_last_data_recv'] = int(now - tp.ack_lrcvtime)
    info['tcpi_last_ack_recv'] = int(now - tp.rcv_tstamp)
    info['tcpi_pmtu'] = int(tp.icsk_pmtu_cookie)
    info['tcpi_rcv_ssthresh'] = int(tp.rcv_ssthresh)
    info['tcpi_rtt'] = int(tp.srtt_us >> 3)
    info['tcpi_rttvar'] = int(tp.mdev_us >> 2)
    info['tcpi_snd_ssthresh'] = int(tp.snd_ssthresh)
    info['tcpi_advmss'] = int(tp.advmss)
    info['tcpi_rcv_rtt'] = int(tp.rcv_rtt_est_us >> 3)
    info['tcpi_rcv_space'] = int(tp.rcvq_space)
    info['tcpi_total_retrans'] = int(tp.total_retrans)
    return info


# union tcp_cc_info: the layouts of <linux/inet_diag.h>, each told by its first member.
CC_INFO_LAYOUTS: Final = (
    (('tcpv_enabled', 'I'), ('tcpv_rttcnt', 'I'), ('tcpv_rtt', 'I'), ('tcpv_minrtt', 'I')),
    (('dctcp_enabled', 'H'), ('dctcp_ce_state', 'H'), ('dctcp_alpha', 'I'), ('dctcp_ab_ecn', 'I'), ('dctcp_ab_tot', 'I')),
    (('bbr_bw_lo', 'I'), ('bbr_bw_hi', 'I'), ('bbr_min_rtt', 'I'), ('bbr_pacing_gain', 'I'), ('bbr_cwnd_gain', 'I')),
)


def tcp_get_cc_info(tp: TcpSock) -> bytes:
    """TCP_CC_INFO: what the congestion control says of itself; nothing where Linux has no layout for it.

    Linux: net/ipv4/tcp.c, do_tcp_getsockopt.
    """
    ca = tp.icsk_ca_ops
    if ca is None:
        return b''
    info = ca.get_info(tp, 0)
    for layout in CC_INFO_LAYOUTS:
        if layout[0][0] in info:
            out = b''
            for name, fmt in layout:
                out += struct.pack('<' + fmt, info[name] & (0xFFFF if fmt == 'H' else 0xFFFFFFFF))
            return out
    return b''


def tcp_info_pack(info: dict[str, int]) -> bytes:
    """struct tcp_info, little-endian, as a 64-bit Linux returns it."""
    out = struct.pack(
        '<8B',
        info['tcpi_state'] & 255, info['tcpi_ca_state'] & 255, info['tcpi_retransmits'] & 255, info['tcpi_probes'] & 255,
        info['tcpi_backoff'] & 255, info['tcpi_options'] & 255,
        (info['tcpi_snd_wscale'] & 15) | ((info['tcpi_rcv_wscale'] & 15) << 4),
        (info['tcpi_delivery_rate_app_limited'] & 1) | ((info['tcpi_fastopen_client_fail'] & 3) << 1),
    )
    for name in TCP_INFO_U32:
        out += struct.pack('<I', info[name] & 0xFFFFFFFF)
    for name, fmt in TCP_INFO_TAIL:
        mask = 0xFFFF if fmt == 'H' else 0xFFFFFFFF if fmt == 'I' else RATE_UNLIMITED
        out += struct.pack('<' + fmt, info[name] & mask)
    return out


def nla(kind: int, value: int, size: int) -> bytes:
    """A netlink attribute that holds an unsigned number of `size` bytes, padded to 4."""
    data = (value & ((1 << 8 * size) - 1)).to_bytes(size, 'little')
    return struct.pack('<HH', 4 + size, kind) + data.ljust((size + 3) & ~3, b'\0')


def tcp_get_timestamping_opt_stats(tp: TcpSock, orig: SkBuff, ack_skb: SkBuff | None) -> bytes:
    """The netlink attributes that go with a stamp (SOF_TIMESTAMPING_OPT_STATS). orig: what is stamped.

    Linux: net/ipv4/tcp.c; u64 attributes are not padded, as on x86-64 and arm64.
    """
    info = tcp_get_info(tp)
    edt = orig.tstamp if orig.tstamp != 0 else tp.tcp_wstamp_ns
    sndq = (tp.write_seq - tp.snd_una) & U32
    parts = [nla(kind, info[name], size) for kind, name, size in OPT_STATS_FIRST]
    parts.append(nla(TCP_NLA_RECUR_RETRANS, int(tp.icsk_retransmits), 1))
    parts += [nla(kind, info[name], size) for kind, name, size in OPT_STATS_SECOND]
    parts.append(nla(TCP_NLA_SNDQ_SIZE, int(sndq), 4))
    parts += [nla(kind, info[name], size) for kind, name, size in OPT_STATS_THIRD]
    parts.append(nla(TCP_NLA_SRTT, int(tp.srtt_us), 4))
    parts.append(nla(TCP_NLA_TIMEOUT_REHASH, int(tp.timeout_rehash), 2))
    parts.append(nla(TCP_NLA_BYTES_NOTSENT, info['tcpi_notsent_bytes'], 4))
    parts.append(nla(TCP_NLA_EDT, int(edt), 8))
    if ack_skb is not None:
        parts.append(nla(TCP_NLA_TTL, int(ack_skb.ttl), 1))
    parts.append(nla(TCP_NLA_REHASH, info['tcpi_rehash'], 4))
    return b''.join(parts)
