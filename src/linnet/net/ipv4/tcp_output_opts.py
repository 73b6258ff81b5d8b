# SPDX-License-Identifier: Apache-2.0
"""The options of segments that leave (RFC 9293, 3.2; RFC 7323; RFC 2018), and the header they follow.

A connection in ESTABLISHED sends, most of the time, either no options or the aligned timestamp: tcp_established_hdr builds those
headers straight, in 32-bit words. SYN, SYN-ACK and segments with SACK blocks collect their options in a TcpOutOptions first, as
the space of 40 bytes has to be shared out among them. The order of options on the wire is Linux's, which others fingerprint.
"""
from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.unaligned import put_be16, put_be32
from linnet.include.net.request_sock import RequestSock, TcpFastopenCookie
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    MAX_TCP_OPTION_SPACE,
    TCPOLEN_EXP_FASTOPEN_BASE,
    TCPOLEN_FASTOPEN_BASE,
    TCPOLEN_MD5SIG_ALIGNED,
    TCPOLEN_MSS_ALIGNED,
    TCPOLEN_SACK_BASE_ALIGNED,
    TCPOLEN_SACK_PERBLOCK,
    TCPOLEN_SACKPERM_ALIGNED,
    TCPOLEN_TSTAMP_ALIGNED,
    TCPOLEN_WSCALE_ALIGNED,
    TCPOPT_EXP,
    TCPOPT_FASTOPEN,
    TCPOPT_FASTOPEN_MAGIC,
    TCPOPT_MSS,
    TCPOPT_NOP,
    TCPOPT_SACK,
    TCPOPT_SACK_PERM,
    TCPOPT_TIMESTAMP,
    TCPOPT_WINDOW,
    U32,
    TcpSock,
    tcp_skb_timestamp_ms,
)
from linnet.net.ipv4.tcp_ipv4_md5 import MD5_OPTION, tcp_md5_peer_key

LINUX_FILE: Final = 'net/ipv4/tcp_output.c'

OPTION_SACK_ADVERTISE: Final = 1 << 0
OPTION_TS: Final = 1 << 1
OPTION_MD5: Final = 1 << 2
OPTION_WSCALE: Final = 1 << 3
OPTION_FAST_OPEN_COOKIE: Final = 1 << 8

TS_WORD: Final = (TCPOPT_NOP << 24) | (TCPOPT_NOP << 16) | (TCPOPT_TIMESTAMP << 8) | 10
SACKPERM_TS_WORD: Final = (TCPOPT_SACK_PERM << 24) | (2 << 16) | (TCPOPT_TIMESTAMP << 8) | 10
SACKPERM_WORD: Final = (TCPOPT_NOP << 24) | (TCPOPT_NOP << 16) | (TCPOPT_SACK_PERM << 8) | 2


class TcpOutOptions:
    """Linux: struct tcp_out_options: which options a segment gets, OPTION_* bits and their values."""

    def __init__(self) -> None:
        self.options: i64 = 0
        self.mss: i64 = 0  # 0: not sent
        self.ws: i64 = 0
        self.num_sack_blocks: i64 = 0
        self.tsval: i64 = 0
        self.tsecr: i64 = 0
        self.fastopen_cookie: TcpFastopenCookie | None = None


def tcp_options_write(tp: TcpSock | None, opts: TcpOutOptions) -> bytes:
    """The option bytes, a multiple of 4.  Linux: net/ipv4/tcp_output.c."""
    w = BytesWriter()
    options = opts.options
    if (options & OPTION_MD5) != 0:
        w.write(MD5_OPTION)
    if opts.mss != 0:
        put_be32(w, (TCPOPT_MSS << 24) | (4 << 16) | opts.mss)
    if (options & OPTION_TS) != 0:
        if (options & OPTION_SACK_ADVERTISE) != 0:
            put_be32(w, SACKPERM_TS_WORD)
            options &= ~OPTION_SACK_ADVERTISE
        else:
            put_be32(w, TS_WORD)
        put_be32(w, opts.tsval)
        put_be32(w, opts.tsecr)
    if (options & OPTION_SACK_ADVERTISE) != 0:
        put_be32(w, SACKPERM_WORD)
    if (options & OPTION_WSCALE) != 0:
        put_be32(w, (TCPOPT_NOP << 24) | (TCPOPT_WINDOW << 16) | (3 << 8) | opts.ws)
    if opts.num_sack_blocks > 0 and tp is not None:
        put_be32(w, (TCPOPT_NOP << 24) | (TCPOPT_NOP << 16) | (TCPOPT_SACK << 8) | (2 + 8 * opts.num_sack_blocks))
        blocks = tp.selective_acks
        if len(tp.duplicate_sack) != 0:
            blocks = tp.duplicate_sack + tp.selective_acks
        i: i64 = 0
        while i < 2 * opts.num_sack_blocks:
            put_be32(w, blocks[i])
            i += 1
        tp.duplicate_sack = []
        tp.rx_opt.dsack = False
    foc = opts.fastopen_cookie
    if foc is not None:
        tcp_fastopen_option_write(w, foc)
    return w.getvalue()


def tcp_fastopen_option_write(w: BytesWriter, foc: TcpFastopenCookie) -> None:
    """Fast Open's option, padded to 32 bits.  RFC 7413, 4.1.1."""
    size: i64 = len(foc.val)
    if foc.exp:
        put_be16(w, (TCPOPT_EXP << 8) | (TCPOLEN_EXP_FASTOPEN_BASE + size))
        put_be16(w, TCPOPT_FASTOPEN_MAGIC)
    else:
        put_be16(w, (TCPOPT_FASTOPEN << 8) | (TCPOLEN_FASTOPEN_BASE + size))
        size += TCPOLEN_FASTOPEN_BASE
    w.write(foc.val)
    if (size & 3) == 2:  # a cookie has an even length
        put_be16(w, (TCPOPT_NOP << 8) | TCPOPT_NOP)


def tcp_fastopen_option_fits(opts: TcpOutOptions, foc: TcpFastopenCookie | None, remaining: i64) -> i64:
    """Add Fast Open's option where there is one to send and room for it; how many bytes it takes.

    Part of Linux's tcp_syn_options and tcp_synack_options.
    """
    if foc is None or foc.len < 0:
        return 0
    need = ((TCPOLEN_EXP_FASTOPEN_BASE if foc.exp else TCPOLEN_FASTOPEN_BASE) + len(foc.val) + 3) & ~3
    if need > remaining:
        return 0
    opts.options |= OPTION_FAST_OPEN_COOKIE
    opts.fastopen_cookie = foc
    return need


def tcp_mss_clamp(tp: TcpSock, mss: i64) -> i64:
    """mss, but not above what the program asked for by TCP_MAXSEG.  Linux: include/net/tcp.h."""
    user_mss = tp.rx_opt.user_mss
    return user_mss if user_mss != 0 and user_mss < mss else mss


def tcp_advertise_mss(sk: TcpSock) -> i64:
    """The MSS for our SYN: what the route allows, never more than what was advertised before.  Linux: net/ipv4/tcp_output.c."""
    dst = sk.sk_dst_cache
    mss = sk.advmss
    if dst is not None:
        metric = dst.advmss()
        if metric < mss:
            mss = metric
            sk.advmss = mss
    return mss


def tcp_syn_options(sk: TcpSock, skb: SkBuff, opts: TcpOutOptions) -> i64:
    """Choose the options of a SYN. Returns their length.  Linux: net/ipv4/tcp_output.c."""
    ipv4 = sock_net(sk).ipv4
    remaining: i64 = MAX_TCP_OPTION_SPACE
    signed = sk.md5sig_info is not None and tcp_md5_peer_key(sk, sk) is not None
    if signed:
        opts.options |= OPTION_MD5
        remaining -= TCPOLEN_MD5SIG_ALIGNED
    opts.mss = tcp_advertise_mss(sk)
    remaining -= TCPOLEN_MSS_ALIGNED
    if ipv4.sysctl_tcp_timestamps != 0 and not signed:  # there is no room for both
        opts.options |= OPTION_TS
        opts.tsval = (tcp_skb_timestamp_ms(skb) + sk.tsoffset) & U32
        opts.tsecr = sk.rx_opt.ts_recent
        remaining -= TCPOLEN_TSTAMP_ALIGNED
    if ipv4.sysctl_tcp_window_scaling != 0:
        opts.ws = sk.rx_opt.rcv_wscale
        opts.options |= OPTION_WSCALE
        remaining -= TCPOLEN_WSCALE_ALIGNED
    if ipv4.sysctl_tcp_sack != 0:
        opts.options |= OPTION_SACK_ADVERTISE
        if (opts.options & OPTION_TS) == 0:
            remaining -= TCPOLEN_SACKPERM_ALIGNED
    fastopen = sk.fastopen_req
    if fastopen is not None:
        need = tcp_fastopen_option_fits(opts, fastopen.cookie, remaining)
        if need != 0:
            remaining -= need
            sk.syn_fastopen = True
            sk.syn_fastopen_exp = fastopen.cookie.exp
    return MAX_TCP_OPTION_SPACE - remaining


def tcp_synack_options(
    sk: TcpSock, req: RequestSock, mss: i64, skb: SkBuff, opts: TcpOutOptions, foc: TcpFastopenCookie | None,
) -> i64:
    """Choose the options of a SYN-ACK: what the SYN offered and we agree to. Returns their length.

    Linux: net/ipv4/tcp_output.c.
    """
    remaining: i64 = MAX_TCP_OPTION_SPACE
    if sk.md5sig_info is not None and tcp_md5_peer_key(sk, req) is not None:
        opts.options |= OPTION_MD5
        remaining -= TCPOLEN_MD5SIG_ALIGNED
        if req.sack_ok:
            req.tstamp_ok = False  # no SACK blocks would fit beside a signature and timestamps
    opts.mss = mss
    remaining -= TCPOLEN_MSS_ALIGNED
    if req.wscale_ok:
        opts.ws = req.rcv_wscale
        opts.options |= OPTION_WSCALE
        remaining -= TCPOLEN_WSCALE_ALIGNED
    if req.tstamp_ok:
        opts.options |= OPTION_TS
        opts.tsval = (tcp_skb_timestamp_ms(skb) + req.ts_off) & U32
        opts.tsecr = req.ts_recent
        remaining -= TCPOLEN_TSTAMP_ALIGNED
    if req.sack_ok:
        opts.options |= OPTION_SACK_ADVERTISE
        if not req.tstamp_ok:
            remaining -= TCPOLEN_SACKPERM_ALIGNED
    remaining -= tcp_fastopen_option_fits(opts, foc, remaining)
    return MAX_TCP_OPTION_SPACE - remaining


def tcp_established_options_len(tp: TcpSock) -> i64:
    """The length of the options that a segment sent now would have."""
    size: i64 = TCPOLEN_TSTAMP_ALIGNED if tp.rx_opt.tstamp_ok else 0
    if tp.md5sig_info is not None and tcp_md5_peer_key(tp, tp) is not None:
        size += TCPOLEN_MD5SIG_ALIGNED
    if len(tp.selective_acks) != 0 or len(tp.duplicate_sack) != 0:
        blocks: i64 = (len(tp.selective_acks) + len(tp.duplicate_sack)) >> 1
        room = (MAX_TCP_OPTION_SPACE - size - TCPOLEN_SACK_BASE_ALIGNED) // TCPOLEN_SACK_PERBLOCK
        if blocks > room:
            blocks = room
        if blocks > 0:
            size += TCPOLEN_SACK_BASE_ALIGNED + blocks * TCPOLEN_SACK_PERBLOCK
    return size


def tcp_established_options(tp: TcpSock, skb: SkBuff, opts: TcpOutOptions) -> i64:
    """Choose the options of a segment of a synchronised connection. Returns their length.  Linux: net/ipv4/tcp_output.c."""
    size: i64 = 0
    if tp.md5sig_info is not None and tcp_md5_peer_key(tp, tp) is not None:
        opts.options |= OPTION_MD5
        size += TCPOLEN_MD5SIG_ALIGNED
    if tp.rx_opt.tstamp_ok:
        opts.options |= OPTION_TS
        opts.tsval = (tcp_skb_timestamp_ms(skb) + tp.tsoffset) & U32
        opts.tsecr = tp.rx_opt.ts_recent
        size += TCPOLEN_TSTAMP_ALIGNED
    total = tcp_established_options_len(tp)
    if total > size:
        opts.num_sack_blocks = (total - size - TCPOLEN_SACK_BASE_ALIGNED) // TCPOLEN_SACK_PERBLOCK
    return total


def tcp_established_hdr(tp: TcpSock, skb: SkBuff, ack_seq: i64, flags: i64, window: i64, urg_ptr: i64) -> bytes:
    """A header with at most a timestamp, checksum field 0."""
    w = BytesWriter()
    put_be32(w, (tp.inet_sport << 16) | tp.sk_dport)
    put_be32(w, skb.seq)
    put_be32(w, ack_seq)
    rx_opt = tp.rx_opt
    if rx_opt.tstamp_ok:
        put_be32(w, (8 << 28) | (flags << 16) | window)
        put_be32(w, urg_ptr)
        put_be32(w, TS_WORD)
        put_be32(w, skb.tstamp // 1_000_000 + tp.tsoffset)
        put_be32(w, rx_opt.ts_recent)
    else:
        put_be32(w, (5 << 28) | (flags << 16) | window)
        put_be32(w, urg_ptr)
    return w.getvalue()


def tcp_options_hdr(
    sport: i64, dport: i64, seq: i64, ack_seq: i64, flags: i64, window: i64, urg_ptr: i64, options: bytes,
) -> bytes:
    """A header with any options, checksum field 0."""
    w = BytesWriter()
    put_be32(w, (sport << 16) | dport)
    put_be32(w, seq)
    put_be32(w, ack_seq)
    put_be32(w, ((5 + (len(options) >> 2)) << 28) | (flags << 16) | window)
    put_be32(w, urg_ptr)
    w.write(options)
    return w.getvalue()
