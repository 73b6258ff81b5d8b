# SPDX-License-Identifier: Apache-2.0
"""The options of neighbour discovery (RFC 4861, 4.6; nonce: RFC 3971, 5.3.2; route information: RFC 4191, 2.3): read and written.

An option is a type, a length in units of eight bytes, and data. A length of 0 spoils the whole message; types that are not known
are passed over. Nothing here knows about routes or addresses: the routing code reads options, too.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.netdevice import NetDevice

LINUX_FILE: Final = 'net/ipv6/ndisc.c'

ND_OPT_SOURCE_LL_ADDR: Final = 1
ND_OPT_TARGET_LL_ADDR: Final = 2
ND_OPT_PREFIX_INFO: Final = 3
ND_OPT_REDIRECT_HDR: Final = 4
ND_OPT_MTU: Final = 5
ND_OPT_NONCE: Final = 14
ND_OPT_ROUTE_INFO: Final = 24

NS_HLEN: Final = 24  # bytes before the options: ICMPv6 header and target
NA_HLEN: Final = 24
RS_HLEN: Final = 8
RA_HLEN: Final = 16
RD_HLEN: Final = 40

# in the first byte behind the checksum of an advertisement of a neighbour (RFC 4861, 4.4)
NA_ROUTER: Final = 0x80
NA_SOLICITED: Final = 0x40
NA_OVERRIDE: Final = 0x20


class NdiscOptions:
    """What options a message has (Linux: struct ndisc_options); of each the whole option's bytes, b'' where it is not there.

    Of options that may come more than once all are kept; of the others the first counts.
    """

    def __init__(self) -> None:
        self.src_lladdr: bytes = b''
        self.tgt_lladdr: bytes = b''
        self.prefix_info: list[bytes] = []
        self.route_info: list[bytes] = []
        self.redirect_hdr: i64 = -1  # where in the message's options it stands
        self.mtu: bytes = b''
        self.nonce: bytes = b''


def ndisc_parse_options(options: bytes) -> NdiscOptions | None:
    """Read the options of a message; None where they are malformed.  Linux: net/ipv6/ndisc.c.  RFC 4861, 4.6."""
    found = NdiscOptions()
    at = 0
    end = len(options)
    while at < end:
        if end - at < 2:
            return None
        kind = options[at]
        length = options[at + 1] << 3
        if length == 0 or at + length > end:
            return None
        option = options[at:at + length]
        if kind == ND_OPT_SOURCE_LL_ADDR:
            found.src_lladdr = found.src_lladdr or option
        elif kind == ND_OPT_TARGET_LL_ADDR:
            found.tgt_lladdr = found.tgt_lladdr or option
        elif kind == ND_OPT_PREFIX_INFO:
            found.prefix_info.append(option)
        elif kind == ND_OPT_ROUTE_INFO:
            found.route_info.append(option)
        elif kind == ND_OPT_REDIRECT_HDR:
            if found.redirect_hdr < 0:
                found.redirect_hdr = at
        elif kind == ND_OPT_MTU:
            found.mtu = found.mtu or option
        elif kind == ND_OPT_NONCE:
            found.nonce = found.nonce or option
        at += length
    return found


def ndisc_opt_addr_space(dev: NetDevice) -> i64:
    """The bytes of an option with a hardware address of dev.  Linux: include/net/ndisc.h."""
    return (dev.addr_len + 2 + 7) & ~7


def ndisc_opt_addr_data(option: bytes, dev: NetDevice) -> bytes | None:
    """The hardware address in an option, None where it has not the length of dev's.  Linux: include/net/ndisc.h."""
    if i64(len(option)) != ndisc_opt_addr_space(dev):
        return None
    return option[2:2 + int(dev.addr_len)]


def ndisc_fill_option(kind: int, data: bytes) -> bytes:
    """One option with data, padded to whole units.  Linux: net/ipv6/ndisc.c, __ndisc_fill_addr_option."""
    units = (len(data) + 2 + 7) >> 3
    return bytes([kind, units]) + data + bytes((units << 3) - 2 - len(data))
