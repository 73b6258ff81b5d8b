# SPDX-License-Identifier: Apache-2.0
"""struct net_protocol: who takes a datagram of an IP protocol number. Registered in Net.ipv4.inet_protos by inet_add_protocol."""
from __future__ import annotations

from mypy_extensions import i64, mypyc_attr

from linnet.include.linux.skbuff import SkBuff


@mypyc_attr(allow_interpreted_subclasses=True)
class NetProtocol:
    """Linux: struct net_protocol."""

    def __init__(self) -> None:
        self.no_policy: bool = True
        self.icmp_strict_tag_validation: bool = True
        self.final: bool = True  # IPv6: a transport, no extension header (Linux: INET6_PROTO_FINAL)

    def handler(self, skb: SkBuff) -> i64:
        """Take skb (data at the transport header) and own it. Returns 0, or the negative of a protocol to hand it to instead.

        Of IPv6, an extension header returns 1 to go on with the header at transport_header, which the byte at nhoff names (skb is
        then the caller's again), or -1 where it dropped skb.
        """
        raise AssertionError('a protocol takes its datagrams')

    def err_handler(self, skb: SkBuff, info: i64) -> int:
        """An ICMP error quotes a datagram of ours: data of skb is at the quoted IP header; info is the MTU or pointer.

        The caller keeps skb. Returns 0, or a negative errno where no socket was found.
        """
        raise AssertionError('a protocol hears of errors')

    def early_demux(self, skb: SkBuff) -> None:
        """Find skb's socket (and its cached route) before routing; leaves skb as it is where there is none."""
        return


class RawCallbacks:
    """What IP's input calls of raw sockets; net/ipv4/raw.py registers it as Net.ipv4.raw_callbacks (Linux calls it by name)."""

    def raw_local_deliver(self, skb: SkBuff, protocol: i64) -> bool:
        """Give every raw socket that wants skb (data at the transport header) a clone. True where one did; the caller
        keeps skb.
        """
        raise AssertionError('registered by net/ipv4/raw.py')

    def raw_icmp_error(self, skb: SkBuff, protocol: i64, info: i64) -> None:
        """An ICMP error quotes a datagram of `protocol`: skb is as for NetProtocol.err_handler."""
        raise AssertionError('registered by net/ipv4/raw.py')


class PingCallbacks:
    """What ICMP calls of ping sockets; net/ipv4/ping.py registers it as Net.ipv4.ping_callbacks (Linux calls it by name)."""

    def ping_rcv(self, skb: SkBuff) -> i64:
        """An echo reply, data at the ICMP header: queue a clone on the socket it is for. SKB_NOT_DROPPED_YET or a drop reason.

        The caller keeps skb.
        """
        raise AssertionError('registered by net/ipv4/ping.py')

    def ping_err(self, skb: SkBuff, offset: i64, info: i64) -> None:
        """An ICMP error quotes an echo request of ours: data at the quoted IP header, whose ICMP header is at data + offset."""
        raise AssertionError('registered by net/ipv4/ping.py')
