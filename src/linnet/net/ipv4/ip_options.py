# SPDX-License-Identifier: Apache-2.0
"""IP options (RFC 791, 3.1): checked and filled in on the way up, built, echoed and thinned out on the way down.

Options travel as plain bytes: skb.ip_opt of a received packet, InetSock.inet_opt of a socket. __ip_options_compile walks them
once, finds what a router or receiver has to fill in (record route, timestamp), and gives an IpOptions with offsets into the
bytes. A fragment other than the first carries only options whose copied flag (the top bit of the type) is set; the others become
no-ops, so that header lengths stay equal.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.ip import (
    IPOPT_CIPSO,
    IPOPT_END,
    IPOPT_LSRR,
    IPOPT_NOOP,
    IPOPT_RA,
    IPOPT_RR,
    IPOPT_SEC,
    IPOPT_SID,
    IPOPT_SSRR,
    IPOPT_TIMESTAMP,
)
from linnet.include.linux.unaligned import get_be32
from linnet.include.net.ip_fib import RTN_LOCAL, RTN_UNICAST
from linnet.include.net.net_namespace import Net
from linnet.kernel.errno import EINVAL
from linnet.net.ipv4.fib_frontend import inet_addr_type

IPOPT_COPY: Final = 0x80
IPOPT_TS_TSONLY: Final = 0
IPOPT_TS_TSANDADDR: Final = 1
IPOPT_TS_PRESPEC: Final = 3
MAX_IPOPTLEN: Final = 40
# skb.ip_flags: what a received packet's options still want when it is sent on (Linux: flags of IPCB(skb)->opt)
IPSKB_RR_NEEDADDR: Final = 1 << 16
IPSKB_TS_NEEDADDR: Final = 1 << 17
MSEC_PER_DAY: Final = 86_400_000


class IpOptions:
    """Linux: struct ip_options. srr, rr, ts, cipso, router_alert: offset of the option in data, -1 where there is none.

    faddr: the first hop of a source route that the host itself puts on. err: where in the options the first wrong byte is, -1:
    none.
    """

    def __init__(self, data: bytes) -> None:
        self.data: bytes = data
        self.srr: i64 = -1
        self.rr: i64 = -1
        self.ts: i64 = -1
        self.cipso: i64 = -1
        self.router_alert: i64 = -1
        self.is_strictroute: bool = False
        self.is_changed: bool = False
        self.rr_needaddr: bool = False
        self.ts_needaddr: bool = False
        self.ts_needtime: bool = False
        self.faddr: i64 = 0
        self.err: i64 = -1


def be32(value: i64) -> bytes:
    """Four bytes in network order."""
    return int(value).to_bytes(4, 'big')


def inet_current_timestamp(net: Net) -> i64:
    """Milliseconds since midnight UTC.  Linux: net/core/utils.c."""
    return (net.clock.epoch_ns + net.clock.now) // 1_000_000 % MSEC_PER_DAY


def _srr_compile(opt: IpOptions, data: bytearray, at: int, optlen: int, received: bool) -> int:
    """A source route; returns the offset of a wrong byte, or -1. Of one that goes out, the first hop is taken off into faddr."""
    if optlen < 3:
        return at + 1
    if data[at + 2] < 4:
        return at + 2
    if opt.srr >= 0:
        return at
    if not received:
        if data[at + 2] != 4 or optlen < 7 or ((optlen - 3) & 3) != 0:
            return at + 1
        opt.faddr = int.from_bytes(data[at + 3:at + 7], 'big')
        if optlen > 7:
            data[at + 3:at + optlen - 4] = data[at + 7:at + optlen]
    opt.is_strictroute = data[at] == IPOPT_SSRR
    opt.srr = at
    return -1


def _rr_compile(opt: IpOptions, data: bytearray, at: int, optlen: int, received: bool, spec_dst: i64) -> int:
    """Record route; returns the offset of a wrong byte, or -1."""
    if opt.rr >= 0:
        return at
    if optlen < 3:
        return at + 1
    pointer = data[at + 2]
    if pointer < 4:
        return at + 2
    if pointer <= optlen:
        if pointer + 3 > optlen:
            return at + 2
        if received:
            data[at + pointer - 1:at + pointer + 3] = be32(spec_dst)
            opt.is_changed = True
        data[at + 2] = pointer + 4
        opt.rr_needaddr = True
    opt.rr = at
    return -1


def _ts_compile(net: Net, opt: IpOptions, data: bytearray, at: int, optlen: int, received: bool, spec_dst: i64) -> int:
    """Timestamp; returns the offset of a wrong byte, or -1."""
    if opt.ts >= 0:
        return at
    if optlen < 4:
        return at + 1
    pointer = data[at + 2]
    if pointer < 5:
        return at + 2
    kind = data[at + 3] & 0xF
    if pointer > optlen:
        overflow = data[at + 3] >> 4
        if overflow == 15:
            return at + 3
        if received:
            data[at + 3] = kind | ((overflow + 1) << 4)
            opt.is_changed = True
        opt.ts = at
        return -1
    if pointer + 3 > optlen:
        return at + 2
    when = -1  # where the time goes
    if kind == IPOPT_TS_TSONLY:
        when = at + pointer - 1
        data[at + 2] = pointer + 4
    elif kind == IPOPT_TS_TSANDADDR:
        if pointer + 7 > optlen:
            return at + 2
        if received:
            data[at + pointer - 1:at + pointer + 3] = be32(spec_dst)
            when = at + pointer + 3
        opt.ts_needaddr = True
        data[at + 2] = pointer + 8
    elif kind == IPOPT_TS_PRESPEC:
        if pointer + 7 > optlen:
            return at + 2
        if inet_addr_type(net, int.from_bytes(data[at + pointer - 1:at + pointer + 3], 'big')) != RTN_UNICAST:
            when = at + pointer + 3
            data[at + 2] = pointer + 8
    elif not received:
        return at + 3
    if when >= 0 or opt.ts_needaddr:
        opt.ts_needtime = True
    if when >= 0 and received:
        data[when:when + 4] = be32(inet_current_timestamp(net))
        opt.is_changed = True
    opt.ts = at
    return -1


def __ip_options_compile(net: Net, raw: bytes, received: bool, spec_dst: i64 = 0) -> IpOptions:
    """Check options and find what is to be filled in; `received` fills in at once, with spec_dst as this host's address.

    The bytes as changed are in the answer's data; err tells the offset (into the options) of the first wrong byte, -1: none.
    Linux: net/ipv4/ip_options.c.
    """
    opt = IpOptions(raw)
    data = bytearray(raw)
    at = 0
    total = len(data)
    while at < total:
        kind = data[at]
        if kind == IPOPT_END:
            if any(data[at:]):
                data[at:] = bytes(total - at)
                opt.is_changed = True
            break
        if kind == IPOPT_NOOP:
            at += 1
            continue
        if at + 1 >= total:
            opt.err = at
            break
        optlen = data[at + 1]
        if optlen < 2 or at + optlen > total:
            opt.err = at
            break
        wrong = -1
        if kind in (IPOPT_SSRR, IPOPT_LSRR):
            wrong = _srr_compile(opt, data, at, optlen, received)
        elif kind == IPOPT_RR:
            wrong = _rr_compile(opt, data, at, optlen, received, spec_dst)
        elif kind == IPOPT_TIMESTAMP:
            wrong = _ts_compile(net, opt, data, at, optlen, received, spec_dst)
        elif kind == IPOPT_RA:
            if optlen < 4:
                wrong = at + 1
            elif data[at + 2] == 0 and data[at + 3] == 0:
                opt.router_alert = at
        elif kind == IPOPT_CIPSO:
            if opt.cipso >= 0:
                wrong = at
            opt.cipso = at
        elif kind in (IPOPT_SEC, IPOPT_SID) and not received:
            wrong = at
        if wrong >= 0:
            opt.err = wrong
            break
        at += optlen
    opt.data = bytes(data)
    return opt


def ip_options_get(net: Net, raw: bytes) -> tuple[int, bytes]:
    """Check options that a program sets: (0, padded to 32 bits) or (-EINVAL, b'').  Linux: net/ipv4/ip_options.c.

    The bytes stay as given: what compiling changes is done anew for each packet.
    """
    if len(raw) > MAX_IPOPTLEN:
        return -EINVAL, b''
    padded = raw + bytes(-len(raw) % 4)
    if len(padded) != 0 and __ip_options_compile(net, padded, False).err >= 0:
        return -EINVAL, b''
    return 0, padded


def ip_options_faddr(net: Net, raw: bytes) -> i64:
    """The first hop of a source route in a socket's options, 0 where there is none.  Linux: opt->faddr."""
    if len(raw) == 0:
        return 0
    return __ip_options_compile(net, raw, False).faddr


def ip_options_build(net: Net, raw: bytes, daddr: i64, source: i64, is_frag: bool = False) -> bytes:
    """The option bytes of an outgoing header: final destination of a source route, this host's address, and the time.

    source: the address of the device it leaves by.  Linux: net/ipv4/ip_options.c.
    """
    opt = __ip_options_compile(net, raw, False)
    data = bytearray(opt.data)
    if opt.srr >= 0:
        at = int(opt.srr)
        end = at + data[at + 1]
        data[end - 4:end] = be32(daddr)
    if is_frag:
        for start in (int(opt.rr), int(opt.ts)):
            if start >= 0:
                length = data[start + 1]
                data[start:start + length] = bytes([IPOPT_NOOP]) * length
        return bytes(data)
    if opt.rr_needaddr:
        at = int(opt.rr)
        slot = at + data[at + 2] - 5
        data[slot:slot + 4] = be32(source)
    if opt.ts >= 0:
        at = int(opt.ts)
        if opt.ts_needaddr:
            slot = at + data[at + 2] - 9
            data[slot:slot + 4] = be32(source)
        if opt.ts_needtime:
            slot = at + data[at + 2] - 5
            data[slot:slot + 4] = be32(inet_current_timestamp(net))
    return bytes(data)


def ip_options_fragment(raw: bytes) -> bytes:
    """The options of the second and later fragments: those with the copied flag, the others made no-ops.

    Linux: net/ipv4/ip_options.c.  RFC 791, 3.1.
    """
    data = bytearray(raw)
    at = 0
    while at < len(data):
        kind = data[at]
        if kind == IPOPT_END:
            break
        if kind == IPOPT_NOOP:
            at += 1
            continue
        if at + 1 >= len(data) or data[at + 1] < 2 or at + data[at + 1] > len(data):
            break
        optlen = data[at + 1]
        if (kind & IPOPT_COPY) == 0:
            data[at:at + optlen] = bytes([IPOPT_NOOP]) * optlen
        at += optlen
    return bytes(data)


def _echo_srr(sopt: IpOptions, saddr: i64, data: bytearray) -> None:
    """Append the source route that leads back the way sopt's packet came (RFC 1122, 3.2.1.8)."""
    start = int(sopt.srr)
    optlen = sopt.data[start + 1]
    pointer = sopt.data[start + 2]
    seen = min(pointer, optlen + 1) - 4  # bytes of recorded hops
    hops = [sopt.data[start + 3 + i:start + 7 + i] for i in range(0, seen, 4)]
    hops.reverse()
    if not hops:
        return
    # the last hop recorded is where the answer goes first; the original source ends the list
    back = b''.join(hops) + be32(saddr)
    data += bytes([sopt.data[start], 3 + len(back), 4]) + back


def ip_options_echo(net: Net, raw: bytes, saddr: i64, daddr: i64) -> bytes:
    """The options with which a packet with these options is answered: routes recorded go on, source routes turn round.

    raw: as received (pointers advanced by __ip_options_compile); saddr, daddr: of the received packet.
    Returns options as a socket would hold them.  Linux: net/ipv4/ip_options.c.
    """
    if len(raw) == 0:
        return b''
    sopt = __ip_options_compile(net, raw, True, daddr)
    if sopt.err >= 0:
        return b''
    out = bytearray()
    if sopt.rr >= 0:
        start = int(sopt.rr)
        piece = bytearray(raw[start:start + raw[start + 1]])
        out += piece
    if sopt.ts >= 0:
        start = int(sopt.ts)
        piece = bytearray(raw[start:start + raw[start + 1]])
        if piece[2] <= piece[1] and (piece[3] & 0xF) == IPOPT_TS_PRESPEC:
            slot = piece[2] - 1
            if inet_addr_type(net, get_be32(bytes(piece), slot)) == RTN_LOCAL:
                piece[2] += 8
        out += piece
    if sopt.srr >= 0:
        _echo_srr(sopt, saddr, out)
    if sopt.cipso >= 0:
        start = int(sopt.cipso)
        out += raw[start:start + raw[start + 1]]
    out += bytes(-len(out) % 4)
    return bytes(out) if len(out) <= MAX_IPOPTLEN else b''
