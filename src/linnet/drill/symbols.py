# SPDX-License-Identifier: Apache-2.0
"""The names that scripts use, with Linux's values: calls' constants, errnos, and what %{ }% blocks know."""
from __future__ import annotations

import struct
from types import ModuleType
from typing import Final

from linnet.include.linux import socket as socket_h
from linnet.kernel import errno as errno_h
from linnet.kernel import poll as poll_h


def _numbers(module: ModuleType) -> dict[str, int]:
    return {name: value for name, value in vars(module).items() if name.isupper() and isinstance(value, int)}


ERRNOS: Final = {name: value for name, value in _numbers(errno_h).items() if name.startswith('E')} | {
    'EWOULDBLOCK': 11, 'ENOMSG': 42,
}
ERRNO_NAMES: Final = {value: name for name, value in reversed(ERRNOS.items()) if name != 'EWOULDBLOCK'}

SYMBOLS: Final = _numbers(socket_h) | _numbers(poll_h) | ERRNOS | {
    'NULL': 0, 'IPPROTO_IP': 0, 'IPPROTO_ICMP': 1, 'IPPROTO_TCP': 6, 'IPPROTO_UDP': 17,
    'F_DUPFD': 0, 'F_GETFD': 1, 'F_SETFD': 2, 'F_GETFL': 3, 'F_SETFL': 4,
    'F_SETPIPE_SZ': 1031, 'F_GETPIPE_SZ': 1032,
    'SPLICE_F_MOVE': 1, 'SPLICE_F_NONBLOCK': 2, 'SPLICE_F_MORE': 4, 'SPLICE_F_GIFT': 8,
    'O_CREAT': 0o100, 'O_EXCL': 0o200, 'O_TRUNC': 0o1000, 'O_CLOEXEC': 0o2000000, 'O_DIRECT': 0o40000,
    'O_RDONLY': 0, 'O_WRONLY': 1, 'O_RDWR': 2, 'O_APPEND': 0o2000, 'O_NONBLOCK': 0o4000, 'O_ASYNC': 0o20000,
    'TCP_NODELAY': 1, 'TCP_MAXSEG': 2, 'TCP_CORK': 3, 'TCP_KEEPIDLE': 4, 'TCP_KEEPINTVL': 5, 'TCP_KEEPCNT': 6, 'TCP_SYNCNT': 7,
    'TCP_LINGER2': 8, 'TCP_DEFER_ACCEPT': 9, 'TCP_WINDOW_CLAMP': 10, 'TCP_INFO': 11, 'TCP_QUICKACK': 12, 'TCP_CONGESTION': 13,
    'TCP_MD5SIG': 14, 'TCP_THIN_LINEAR_TIMEOUTS': 16, 'TCP_THIN_DUPACK': 17, 'TCP_USER_TIMEOUT': 18, 'TCP_REPAIR': 19,
    'TCP_FASTOPEN': 23, 'TCP_TIMESTAMP': 24, 'TCP_NOTSENT_LOWAT': 25, 'TCP_CC_INFO': 26, 'TCP_SAVE_SYN': 27, 'TCP_SAVED_SYN': 28,
    'TCP_FASTOPEN_CONNECT': 30, 'TCP_ULP': 31, 'TCP_MD5SIG_EXT': 32, 'TCP_FASTOPEN_KEY': 33, 'TCP_FASTOPEN_NO_COOKIE': 34,
    'TCP_ZEROCOPY_RECEIVE': 35, 'TCP_INQ': 36, 'TCP_CM_INQ': 36, 'TCP_TX_DELAY': 37,
    'IP_TOS': 1, 'IP_TTL': 2, 'IP_RECVTTL': 12, 'IP_RECVTOS': 13, 'IP_MTU': 14, 'IP_MTU_DISCOVER': 10, 'IP_RECVERR': 11,
    'IPPROTO_IPV6': 41, 'IPPROTO_ICMPV6': 58, 'IPV6_RECVERR': 25, 'IPV6_V6ONLY': 26, 'IPV6_TCLASS': 67, 'IPV6_UNICAST_HOPS': 16,
    'IPV6_MTU': 24, 'IPV6_MTU_DISCOVER': 23,
    'IP_FREEBIND': 15, 'IP_TRANSPARENT': 19, 'IP_MINTTL': 21, 'IP_BIND_ADDRESS_NO_PORT': 24,
    'IP_PMTUDISC_DONT': 0, 'IP_PMTUDISC_WANT': 1, 'IP_PMTUDISC_DO': 2, 'IP_PMTUDISC_PROBE': 3,
    'SCM_TIMESTAMPING': 37, 'SCM_TSTAMP_SND': 0, 'SCM_TSTAMP_SCHED': 1, 'SCM_TSTAMP_ACK': 2,
    'SO_EE_ORIGIN_NONE': 0, 'SO_EE_ORIGIN_LOCAL': 1, 'SO_EE_ORIGIN_ICMP': 2, 'SO_EE_ORIGIN_TXSTATUS': 4,
    'SO_EE_ORIGIN_TIMESTAMPING': 4, 'SO_EE_ORIGIN_ZEROCOPY': 5, 'SO_EE_CODE_ZEROCOPY_COPIED': 1,
    'SOF_TIMESTAMPING_TX_HARDWARE': 1, 'SOF_TIMESTAMPING_TX_SOFTWARE': 2, 'SOF_TIMESTAMPING_RX_HARDWARE': 4,
    'SOF_TIMESTAMPING_RX_SOFTWARE': 8, 'SOF_TIMESTAMPING_SOFTWARE': 16, 'SOF_TIMESTAMPING_SYS_HARDWARE': 32,
    'SOF_TIMESTAMPING_RAW_HARDWARE': 64, 'SOF_TIMESTAMPING_OPT_ID': 128, 'SOF_TIMESTAMPING_TX_SCHED': 256,
    'SOF_TIMESTAMPING_TX_ACK': 512, 'SOF_TIMESTAMPING_OPT_CMSG': 1024, 'SOF_TIMESTAMPING_OPT_TSONLY': 2048,
    'SOF_TIMESTAMPING_OPT_STATS': 4096,
}

# What a %{ }% block finds beside the tcpi_* of its moment.
CODE_NAMES: Final = {
    'TCP_ESTABLISHED': 1, 'TCP_SYN_SENT': 2, 'TCP_SYN_RECV': 3, 'TCP_FIN_WAIT1': 4, 'TCP_FIN_WAIT2': 5, 'TCP_TIME_WAIT': 6,
    'TCP_CLOSE': 7, 'TCP_CLOSE_WAIT': 8, 'TCP_LAST_ACK': 9, 'TCP_LISTEN': 10, 'TCP_CLOSING': 11,
    'TCP_CA_Open': 0, 'TCP_CA_Disorder': 1, 'TCP_CA_CWR': 2, 'TCP_CA_Recovery': 3, 'TCP_CA_Loss': 4,
    'TCPI_OPT_TIMESTAMPS': 1, 'TCPI_OPT_SACK': 2, 'TCPI_OPT_WSCALE': 4, 'TCPI_OPT_ECN': 8, 'TCPI_OPT_ECN_SEEN': 16,
    'TCPI_OPT_SYN_DATA': 32, 'TCPI_OPT_USEC_TS': 64, 'TCPI_OPT_TFO_CHILD': 128,
}

# struct tcp_info (include/uapi/linux/tcp.h): the eight bytes in front, then u32 members, then those of other sizes.
TCP_INFO_WORDS: Final = (
    'rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv last_ack_recv pmtu '
    'rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans'
).split()
TCP_INFO_REST: Final = (
    ('Q', 'pacing_rate max_pacing_rate bytes_acked bytes_received'),
    ('I', 'segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out'),
    ('Q', 'delivery_rate busy_time rwnd_limited sndbuf_limited'), ('I', 'delivered delivered_ce'),
    ('Q', 'bytes_sent bytes_retrans'), ('I', 'dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash'),
    ('H', 'total_rto total_rto_recoveries'), ('I', 'total_rto_time'),
    ('I', 'received_ce delivered_e1_bytes delivered_e0_bytes delivered_ce_bytes'),
    ('I', 'received_e1_bytes received_e0_bytes received_ce_bytes'),
    ('H', 'accecn_fail_mode accecn_opt_seen'),
)


def unpack_tcp_info(data: bytes) -> dict[str, int]:
    """struct tcp_info by its members' names; members that the stack's is too short for are left out."""
    names = 'state ca_state retransmits probes backoff options'.split()
    info = {'tcpi_' + name: data[i] for i, name in enumerate(names)}
    info['tcpi_snd_wscale'], info['tcpi_rcv_wscale'] = data[6] & 15, data[6] >> 4
    info['tcpi_delivery_rate_app_limited'] = data[7] & 1
    for i, name in enumerate(TCP_INFO_WORDS):
        info['tcpi_' + name] = int.from_bytes(data[8 + 4 * i:12 + 4 * i], 'little')
    at = 8 + 4 * len(TCP_INFO_WORDS)
    for fmt, words in TCP_INFO_REST:
        size = struct.calcsize('<' + fmt)
        for name in words.split():
            if at + size <= len(data):
                info['tcpi_' + name] = int.from_bytes(data[at:at + size], 'little')
            at += size
    return info
