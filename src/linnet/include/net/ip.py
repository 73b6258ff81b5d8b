# SPDX-License-Identifier: Apache-2.0
"""What IP's output shares with its users: the cork of a datagram under construction, and the cookie of per-message choices.

A transport builds a datagram with ip_make_skb (at once) or with ip_append_data (piece by piece, on sk.sk_write_queue and in
InetSock.cork) and ip_push_pending_frames; both are in net/ipv4/ip_output_append.py.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.skbuff import SkBuffHead
from linnet.include.net.dst import DstEntry
from linnet.include.net.inet_sock import InetSock


class IpcmCookie:
    """Linux: struct ipcm_cookie: how one message is to be sent. opt b'': no IP options; ttl 0, tos -1: as the socket says.

    err: why ip_make_skb gave no packet (a negative errno; 0: there was nothing to send).
    """

    def __init__(self) -> None:
        self.addr: i64 = 0  # source address, 0: what the route says
        self.oif: i64 = 0
        self.opt: bytes = b''
        self.ttl: i64 = 0
        self.tos: i64 = -1
        self.priority: i64 = 0
        self.mark: i64 = 0
        self.protocol: i64 = 0
        self.gso_size: i64 = 0
        self.tsflags: i64 = 0  # SOF_TIMESTAMPING_*
        self.err: i64 = 0


class InetCork:
    """Linux: struct inet_cork_full: a datagram under construction. dst None: nothing is. fragsize: the path MTU it is cut to."""

    def __init__(self) -> None:
        self.opt: bytes = b''
        self.fragsize: i64 = 0
        self.length: i64 = 0  # transport bytes so far
        self.dst: DstEntry | None = None
        self.addr: i64 = 0
        self.ttl: i64 = 0
        self.tos: i64 = -1
        self.priority: i64 = 0
        self.mark: i64 = 0
        self.gso_size: i64 = 0
        self.transmit_time: i64 = 0
        self.tsflags: i64 = 0
        self.queue: SkBuffHead = SkBuffHead()  # of ip_make_skb; ip_append_data uses sk_write_queue


def ipcm_init_sk(ipcm: IpcmCookie, inet: InetSock) -> None:
    """The choices the socket itself makes.  Linux: include/net/ip.h."""
    ipcm.mark = inet.sk_mark
    ipcm.tsflags = inet.sk_tsflags
    ipcm.tos = inet.tos
    ipcm.priority = inet.sk_priority
    ipcm.oif = inet.sk_bound_dev_if
    ipcm.addr = inet.inet_saddr
    ipcm.protocol = inet.sk_num if inet.hdrincl else inet.sk_protocol


def inet_cork(inet: InetSock) -> InetCork:
    """The socket's cork, made when first asked for.  Linux: inet->cork is part of struct inet_sock."""
    cork = inet.cork
    if isinstance(cork, InetCork):
        return cork
    made = InetCork()
    inet.cork = made
    return made
