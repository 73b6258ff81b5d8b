# SPDX-License-Identifier: Apache-2.0
"""SYN cookies (RFC 4987, 3.6 and appendix A): a listener that is flooded with SYNs answers them without remembering them.

What it needs to know later stands in the SYN-ACK, and comes back with the ACK. The initial sequence number holds a count of
minutes, the peer's MSS as one of four, and a keyed hash of both addresses and ports, so that nobody can make one up; it is good
for two minutes. With timestamps, the last six bits of ours hold window scale, SACK and ECN; without, those are given up.

net.ipv4.tcp_syncookies: 1: when the queue of open handshakes is full; 2: always; 0: never.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.in6 import in6_bytes
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.net_namespace import Net
from linnet.include.net.request_sock import RequestSock, SynCookie
from linnet.include.net.snmp import (
    LINUX_MIB_SYNCOOKIESSENT,
    NET_INC_STATS,
)
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    TCP_SACK_SEEN,
    U32,
    TcpOptionsReceived,
    TcpSock,
)
from linnet.kernel.random import siphash_2_4
from linnet.net.ipv4.tcp_input_opt import tcp_clear_options

COOKIEBITS: Final = 24  # below the count of minutes
COOKIEMASK: Final = (1 << COOKIEBITS) - 1
MAX_SYNCOOKIE_AGE: Final = 2  # minutes
TCP_SYNCOOKIE_PERIOD: Final = 60_000  # jiffies
TCP_SYNCOOKIE_VALID: Final = MAX_SYNCOOKIE_AGE * TCP_SYNCOOKIE_PERIOD
MSSTAB: Final = (536, 1300, 1440, 1460)  # the usual ones; a peer's is rounded down

TSBITS: Final = 6
TSMASK: Final = (1 << TSBITS) - 1
TS_OPT_WSCALE_MASK: Final = 0xF  # 15: no window scaling
TS_OPT_SACK: Final = 1 << 4
TS_OPT_ECN: Final = 1 << 5


# -- the sequence number

def cookie_hash(net: Net, skb: SkBuff, count: i64, which: int) -> i64:
    """A keyed hash of skb's addresses and ports, and a count; u32. which: 0 or 1, two secrets.  Linux: net/ipv4/syncookies.c."""
    secret = net.ipv4.syncookie_secret
    if len(secret) == 0:
        random = net.random.fork('syncookies')
        secret.extend([random.u64(), random.u64(), random.u64(), random.u64()])
    if skb.protocol == ETH_P_IPV6:
        addresses = in6_bytes(skb.saddr6) + in6_bytes(skb.daddr6)
    else:
        addresses = int(skb.saddr).to_bytes(4, 'big') + int(skb.daddr).to_bytes(4, 'big')
    data = (addresses + int(skb.sport).to_bytes(2, 'big') + int(skb.dport).to_bytes(2, 'big') + int(count).to_bytes(4, 'big'))
    return siphash_2_4(secret[2 * which], secret[2 * which + 1], data) & 0xFFFFFFFF


def tcp_cookie_time(net: Net) -> i64:
    """Minutes since the start.  Linux: include/net/tcp.h."""
    return net.clock.jiffies() // TCP_SYNCOOKIE_PERIOD


def secure_tcp_syn_cookie(net: Net, skb: SkBuff, sseq: i64, data: i64) -> i64:
    """The initial sequence number that stands for `data` (24 bits), for the SYN skb of sequence number sseq.

    The peer's own number is added, so that a second SYN with another number gets another cookie.  Linux: net/ipv4/syncookies.c.
    """
    count = tcp_cookie_time(net)
    low = (cookie_hash(net, skb, count, 1) + data) & COOKIEMASK
    return (cookie_hash(net, skb, 0, 0) + sseq + (count << COOKIEBITS) + low) & U32


def check_tcp_syn_cookie(net: Net, skb: SkBuff, cookie: i64, sseq: i64) -> i64:
    """The data of a cookie; -1: it is too old, or none of ours was.  Linux: net/ipv4/syncookies.c."""
    count = tcp_cookie_time(net)
    cookie = (cookie - cookie_hash(net, skb, 0, 0) - sseq) & U32
    age = (count - (cookie >> COOKIEBITS)) & 0xFF
    if age >= MAX_SYNCOOKIE_AGE or age > count:
        return -1
    return (cookie - cookie_hash(net, skb, count - age, 1)) & COOKIEMASK


def cookie_v4_init_sequence(sk: TcpSock, skb: SkBuff, mss: i64) -> SynCookie:
    """The cookie to answer the SYN skb with, whose MSS is mss; and note that cookies are about.

    Linux: net/ipv4/syncookies.c, with tcp_synq_overflow of include/net/tcp.h.
    """
    return cookie_init_sequence(sk, skb, mss, MSSTAB)


def cookie_init_sequence(sk: TcpSock, skb: SkBuff, mss: i64, msstab: tuple[int, int, int, int]) -> SynCookie:
    """The part that IPv4 and IPv6 share; msstab: the segment sizes that a cookie can stand for."""
    net = sock_net(sk)
    i: i64 = len(msstab) - 1
    while i > 0 and mss < msstab[i]:
        i -= 1
    sk.icsk_accept_queue.synq_overflow_stamp = net.clock.jiffies()
    NET_INC_STATS(net, LINUX_MIB_SYNCOOKIESSENT)
    return SynCookie(secure_tcp_syn_cookie(net, skb, skb.seq, i), msstab[i])


def tcp_synq_no_recent_overflow(sk: TcpSock) -> bool:
    """Was no cookie sent so late that one could come back? Then an ACK cannot bear one.  Linux: include/net/tcp.h."""
    stamp = sk.icsk_accept_queue.synq_overflow_stamp
    return stamp < 0 or sock_net(sk).clock.jiffies() > stamp + TCP_SYNCOOKIE_VALID


def __cookie_v4_check(net: Net, skb: SkBuff) -> i64:
    """The MSS of the cookie that the ACK skb brings back, 0: it is none.  Linux: net/ipv4/syncookies.c."""
    return cookie_check_sequence(net, skb, MSSTAB)


def cookie_check_sequence(net: Net, skb: SkBuff, msstab: tuple[int, int, int, int]) -> i64:
    """The part that IPv4 and IPv6 share."""
    index = check_tcp_syn_cookie(net, skb, (skb.ack_seq - 1) & U32, (skb.seq - 1) & U32)
    return msstab[index] if 0 <= index < len(msstab) else 0


# -- the timestamp

def cookie_init_timestamp(req: RequestSock, now: i64) -> i64:
    """The time (ns) to stamp the SYN-ACK with: the last below now whose last bits are the request's options.

    Linux: net/ipv4/syncookies.c.
    """
    options = req.snd_wscale & TS_OPT_WSCALE_MASK if req.wscale_ok else TS_OPT_WSCALE_MASK
    if req.sack_ok:
        options |= TS_OPT_SACK
    if req.ecn_ok:
        options |= TS_OPT_ECN
    ms = now // 1_000_000
    stamp = (ms & ~TSMASK) | options
    if stamp > ms:
        stamp -= TSMASK + 1
    return (stamp & U32) * 1_000_000


def cookie_timestamp_decode(net: Net, opt: TcpOptionsReceived) -> bool:
    """Take the options from the timestamp that came back. False: they cannot be ours.  Linux: net/ipv4/syncookies.c."""
    options = opt.rcv_tsecr
    if not opt.saw_tstamp:
        tcp_clear_options(opt)
        return True
    if net.ipv4.sysctl_tcp_timestamps == 0:
        return False
    opt.sack_ok = TCP_SACK_SEEN if (options & TS_OPT_SACK) != 0 else 0
    if opt.sack_ok != 0 and net.ipv4.sysctl_tcp_sack == 0:
        return False
    if (options & TS_OPT_WSCALE_MASK) == TS_OPT_WSCALE_MASK:
        return True
    opt.wscale_ok = True
    opt.snd_wscale = options & TS_OPT_WSCALE_MASK
    return net.ipv4.sysctl_tcp_window_scaling != 0


def cookie_ecn_ok(net: Net, opt: TcpOptionsReceived) -> bool:
    """Was ECN agreed on?  Linux: net/ipv4/syncookies.c."""
    return opt.saw_tstamp and (opt.rcv_tsecr & TS_OPT_ECN) != 0 and net.ipv4.sysctl_tcp_ecn != 0
