# SPDX-License-Identifier: Apache-2.0
"""Reading TCP options (RFC 9293, 3.2; RFC 7323), timestamps and PAWS, and arming header prediction.

On an established connection nearly every segment carries just the timestamp option in the aligned form of RFC 7323's appendix A
(NOP NOP 8 10 tsval tsecr): tcp_parse_aligned_timestamp reads it without the loop. pred_flags holds what header length, flags
and window the next segment has if nothing changes; 0 turns the prediction off.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.unaligned import get_be16, get_be32
from linnet.include.net.dropreason import (
    SKB_DROP_REASON_TCP_INVALID_END_SEQUENCE,
    SKB_DROP_REASON_TCP_INVALID_SEQUENCE,
    SKB_DROP_REASON_TCP_OLD_SEQUENCE,
    SKB_DROP_REASON_TCP_RFC7323_PAWS,
    SKB_DROP_REASON_TCP_RFC7323_PAWS_ACK,
)
from linnet.include.net.net_namespace import Net
from linnet.include.net.request_sock import TcpFastopenCookie
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    TCP_FASTOPEN_COOKIE_MAX,
    TCP_FASTOPEN_COOKIE_MIN,
    TCP_MAX_WSCALE,
    TCP_PAWS_24DAYS,
    TCP_SACK_SEEN,
    TCPHDR_ACK,
    TCPHDR_PSH,
    TCPHDR_SYN,
    TCPOLEN_EXP_FASTOPEN_BASE,
    TCPOLEN_FASTOPEN_BASE,
    TCPOLEN_MSS,
    TCPOLEN_SACK_PERBLOCK,
    TCPOLEN_SACK_PERM,
    TCPOLEN_TIMESTAMP,
    TCPOLEN_WINDOW,
    TCPOPT_EOL,
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
    TcpOptionsReceived,
    TcpSock,
    after,
    before,
    tcp_receive_window,
)

LINUX_FILE: Final = 'net/ipv4/tcp_input.c'

TCPOLEN_SACK_BASE: Final = 2
TSTAMP_ALIGNED_WORD: Final = 0x0101080A  # NOP NOP TIMESTAMP 10


def tcp_clear_options(opt_rx: TcpOptionsReceived) -> None:
    """Forget what options a peer may have.  Linux: include/net/tcp.h."""
    opt_rx.tstamp_ok = False
    opt_rx.sack_ok = 0
    opt_rx.wscale_ok = False
    opt_rx.snd_wscale = 0
    opt_rx.saw_tstamp = False
    opt_rx.mss_clamp = 0
    opt_rx.num_sacks = 0


def tcp_parse_sack(head: bytes, start: i64, size: i64, opt_rx: TcpOptionsReceived) -> None:
    """The blocks of a SACK option of `size` bytes at `start` (RFC 2018)."""
    opt_rx.sack_start.clear()
    opt_rx.sack_end.clear()
    i = start + TCPOLEN_SACK_BASE
    end = start + size
    while i + TCPOLEN_SACK_PERBLOCK <= end:
        opt_rx.sack_start.append(int(get_be32(head, i)))
        opt_rx.sack_end.append(int(get_be32(head, i + 4)))
        i += TCPOLEN_SACK_PERBLOCK


def tcp_parse_fastopen_option(foc: TcpFastopenCookie, cookie: bytes, exp: bool) -> None:
    """Take a Fast Open option of a SYN: its cookie, or b'', a request for one.  Linux: net/ipv4/tcp_input.c.  RFC 7413, 4.1.1."""
    size: i64 = len(cookie)
    if (size & 1) != 0:
        return
    if size != 0 and (size < TCP_FASTOPEN_COOKIE_MIN or size > TCP_FASTOPEN_COOKIE_MAX):
        size = -1
    foc.len = size
    foc.val = cookie if size > 0 else b''
    foc.exp = exp


def tcp_parse_options(net: Net, skb: SkBuff, opt_rx: TcpOptionsReceived, estab: bool) -> None:
    """Read all options of a segment. estab: the connection stands, so only what was agreed on counts.

    Linux: net/ipv4/tcp_input.c.
    """
    ipv4 = net.ipv4
    head = skb.head
    i = skb.transport_header + 20
    end = skb.transport_header + skb.tcp_doff
    syn = (skb.tcp_flags & TCPHDR_SYN) != 0
    opt_rx.saw_tstamp = False
    opt_rx.num_sacks = 0
    while i < end:
        opcode = i64(head[i])
        if opcode == TCPOPT_EOL:
            return
        if opcode == TCPOPT_NOP:
            i += 1
            continue
        if i + 1 >= end:
            return
        size = i64(head[i + 1])
        if size < 2 or i + size > end:
            return  # silly or cut off: what follows cannot be told apart
        if opcode == TCPOPT_TIMESTAMP:
            if size == TCPOLEN_TIMESTAMP and (opt_rx.tstamp_ok if estab else ipv4.sysctl_tcp_timestamps != 0):
                opt_rx.saw_tstamp = True
                opt_rx.rcv_tsval = get_be32(head, i + 2)
                opt_rx.rcv_tsecr = get_be32(head, i + 6)
        elif opcode == TCPOPT_MSS:
            if size == TCPOLEN_MSS and syn and not estab:
                mss = get_be16(head, i + 2)
                if mss != 0:
                    if opt_rx.user_mss != 0 and opt_rx.user_mss < mss:
                        mss = opt_rx.user_mss
                    opt_rx.mss_clamp = mss
        elif opcode == TCPOPT_WINDOW:
            if size == TCPOLEN_WINDOW and syn and not estab and ipv4.sysctl_tcp_window_scaling != 0:
                wscale = i64(head[i + 2])
                opt_rx.wscale_ok = True
                opt_rx.snd_wscale = wscale if wscale <= TCP_MAX_WSCALE else TCP_MAX_WSCALE
        elif opcode == TCPOPT_SACK_PERM:
            if size == TCPOLEN_SACK_PERM and syn and not estab and ipv4.sysctl_tcp_sack != 0:
                opt_rx.sack_ok = TCP_SACK_SEEN
        elif opcode == TCPOPT_SACK:
            if (size >= TCPOLEN_SACK_BASE + TCPOLEN_SACK_PERBLOCK and (size - TCPOLEN_SACK_BASE) % TCPOLEN_SACK_PERBLOCK == 0
                    and opt_rx.sack_ok != 0):
                opt_rx.num_sacks = (size - TCPOLEN_SACK_BASE) // TCPOLEN_SACK_PERBLOCK
                tcp_parse_sack(head, i, size, opt_rx)
                skb.sacked = i - skb.transport_header  # tells tcp_ack() that the segment has blocks, and where
        elif syn:
            foc = opt_rx.foc
            if foc is not None:
                if opcode == TCPOPT_FASTOPEN:
                    tcp_parse_fastopen_option(foc, head[i + TCPOLEN_FASTOPEN_BASE:i + size], False)
                elif (opcode == TCPOPT_EXP and size >= TCPOLEN_EXP_FASTOPEN_BASE
                      and get_be16(head, i + 2) == TCPOPT_FASTOPEN_MAGIC):
                    tcp_parse_fastopen_option(foc, head[i + TCPOLEN_EXP_FASTOPEN_BASE:i + size], True)
        i += size


def tcp_parse_aligned_timestamp(tp: TcpSock, head: bytes, off: i64) -> bool:
    """Read the timestamp option where it stands aligned right behind the header at `off`.  Linux: net/ipv4/tcp_input.c."""
    if get_be32(head, off + 20) != TSTAMP_ALIGNED_WORD:
        return False
    opt = tp.rx_opt
    opt.saw_tstamp = True
    opt.rcv_tsval = get_be32(head, off + 24)
    ecr = get_be32(head, off + 28)
    opt.rcv_tsecr = (ecr - tp.tsoffset) & U32 if ecr != 0 else 0
    return True


def tcp_fast_parse_options(skb: SkBuff, tp: TcpSock) -> bool:
    """Read the options of a segment of an established connection; the usual forms fast.  Linux: net/ipv4/tcp_input.c."""
    opt = tp.rx_opt
    if skb.tcp_doff == 20:
        opt.saw_tstamp = False
        opt.num_sacks = 0
        return False
    if opt.tstamp_ok and skb.tcp_doff == 32 and tcp_parse_aligned_timestamp(tp, skb.head, skb.transport_header):
        opt.num_sacks = 0
        return True
    tcp_parse_options(sock_net(tp), skb, opt, True)
    if opt.saw_tstamp and opt.rcv_tsecr != 0:
        opt.rcv_tsecr = (opt.rcv_tsecr - tp.tsoffset) & U32
    return True


def tcp_store_ts_recent(tp: TcpSock) -> None:
    """Remember the peer's timestamp, to echo it and to hold later ones against it.  Linux: net/ipv4/tcp_input.c."""
    tp.rx_opt.ts_recent = tp.rx_opt.rcv_tsval
    tp.rx_opt.ts_recent_stamp = sock_net(tp).clock.now // 1_000_000_000 + 1  # + 1: 0 means never


def tcp_replace_ts_recent(tp: TcpSock, seq: i64) -> None:
    """The same, if the segment starts at or before what we acknowledged last.

    Linux: net/ipv4/tcp_input.c.  RFC 7323, 4.3, rule (2).
    """
    if tp.rx_opt.saw_tstamp and ((tp.rcv_wup - seq) & 0x80000000) == 0 and tcp_paws_check(tp.rx_opt, 0, tp):
        tcp_store_ts_recent(tp)


def tcp_paws_check(rx_opt: TcpOptionsReceived, paws_win: i64, sk: TcpSock) -> bool:
    """Is the segment's timestamp no older than the last (or that one too old to count)?

    Linux: include/net/tcp.h.  RFC 7323, 5.3 R1, 5.5.
    """
    return tcp_paws_check_now(rx_opt, paws_win, sock_net(sk).clock.now)


def tcp_paws_check_now(rx_opt: TcpOptionsReceived, paws_win: i64, now: i64) -> bool:
    """As tcp_paws_check() for who has no full sock; now in ns."""
    diff = (rx_opt.ts_recent - rx_opt.rcv_tsval) & U32
    if diff >= 0x80000000:
        diff -= 0x100000000
    if diff <= paws_win:
        return True
    if now // 1_000_000_000 + 1 >= rx_opt.ts_recent_stamp + TCP_PAWS_24DAYS:
        return True
    # some old stacks send 0 in the timestamp of a SYN-ACK, and counted on from there
    return rx_opt.ts_recent == 0


def tcp_paws_reject(rx_opt: TcpOptionsReceived, rst: bool, now: i64) -> bool:
    """Must a segment be dropped for its timestamp? RSTs only while the stored one is fresh.  Linux: include/net/tcp.h."""
    if tcp_paws_check_now(rx_opt, 0, now):
        return False
    return not (rst and now // 1_000_000_000 + 1 >= rx_opt.ts_recent_stamp + 60)


def tcp_disordered_ack_check(sk: TcpSock, skb: SkBuff) -> i64:
    """A segment fails PAWS: is it but an old ACK overtaken by newer ones, which does no harm (0)? Else the drop reason.

    Linux: net/ipv4/tcp_input.c.  Harmless is a pure duplicate ACK at rcv_nxt, that changes no window, and is no older than 1.2
    RTO. An older ACK for an older place (TCP_RFC7323_PAWS_ACK) is common, and not worth an answer.
    """
    seq = skb.seq
    if (skb.tcp_flags & TCPHDR_ACK) == 0 or seq != skb.end_seq:
        return SKB_DROP_REASON_TCP_RFC7323_PAWS
    if seq != sk.rcv_nxt:
        return SKB_DROP_REASON_TCP_RFC7323_PAWS_ACK if before(seq, sk.rcv_nxt) else SKB_DROP_REASON_TCP_RFC7323_PAWS
    if skb.ack_seq != sk.snd_una:
        return SKB_DROP_REASON_TCP_RFC7323_PAWS
    window = skb.window << sk.rx_opt.snd_wscale
    if seq == sk.snd_wl1 and (window > sk.snd_wnd or window == 0):
        return SKB_DROP_REASON_TCP_RFC7323_PAWS
    diff = (sk.rx_opt.ts_recent - sk.rx_opt.rcv_tsval) & U32
    if diff < 0x80000000 and diff > sk.icsk_rto * 1200 // 1000:
        return SKB_DROP_REASON_TCP_RFC7323_PAWS
    return 0


def __tcp_fast_path_on(tp: TcpSock, snd_wnd: i64) -> None:
    """Predict: a header of tcp_header_len, ACK alone, window snd_wnd (not scaled).  Linux: include/net/tcp.h."""
    tp.pred_flags = (tp.tcp_header_len << 24) | (TCPHDR_ACK << 16) | snd_wnd


def tcp_fast_path_on(tp: TcpSock) -> None:
    """Linux: include/net/tcp.h."""
    __tcp_fast_path_on(tp, tp.snd_wnd >> tp.rx_opt.snd_wscale)


def tcp_fast_path_check(tp: TcpSock) -> None:
    """Turn prediction on where nothing stands against it.  Linux: include/net/tcp.h."""
    if (tp.out_of_order_queue.next is None and tp.rcv_wnd != 0 and tp.sk_rmem_alloc < tp.sk_rcvbuf and tp.urg_data == 0):
        tcp_fast_path_on(tp)


def tcp_flag_word(skb: SkBuff) -> i64:
    """Header length, flags but PSH, and window of a segment, as pred_flags has them.  Linux: tcp_flag_word, TCP_HP_BITS."""
    return (skb.tcp_doff << 24) | ((skb.tcp_flags & ~TCPHDR_PSH) << 16) | skb.window


def tcp_sequence(sk: TcpSock, seq: i64, end_seq: i64, fin: bool) -> i64:
    """Return 0 if the segment lies in the receive window, else a drop reason.

    seq, end_seq: u32 modulo 2**32; end_seq counts SYN and FIN. What reaches beyond the window is taken only while the receive
    queue is empty: a peer may round a window up. A FIN needs no room, so it may lie behind the window's last byte.
    Linux: net/ipv4/tcp_input.c.  RFC 9293, 3.10.7.4, first check.
    """
    if before(end_seq, sk.rcv_wup):
        return SKB_DROP_REASON_TCP_OLD_SEQUENCE
    limit = (sk.rcv_nxt + tcp_receive_window(sk)) & U32
    if fin:
        end_seq = (end_seq - 1) & U32
    if after(end_seq, limit):
        if after(seq, limit):
            return SKB_DROP_REASON_TCP_INVALID_SEQUENCE
        if sk.sk_receive_queue.next is not None:
            return SKB_DROP_REASON_TCP_INVALID_END_SEQUENCE
    return 0
