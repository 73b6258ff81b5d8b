# SPDX-License-Identifier: Apache-2.0
"""A host whose socket sends datagrams of protocol 253 by ip6_make_skb and ip6_append_data: no transport comes between."""
from __future__ import annotations

from helpers.ip6_wire import HERE, PROTO, THERE, Bench6
from linnet.include.linux.in6 import in6_pton
from linnet.include.linux.ipv6 import Ipv6Pinfo
from linnet.include.linux.socket import AF_INET6, MSG_MORE, SOCK_DGRAM, Msghdr
from linnet.include.net.flow import Flowi6
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.ip6_fib import Rt6Info
from linnet.include.net.ipv6 import Ipcm6Cookie, Ipv6Txoptions
from linnet.net.core.sock import sock_init_data
from linnet.net.ipv6.exthdrs import ipv6_opt_lengths
from linnet.net.ipv6.ip6_output_append import ip6_append_data, ip6_make_skb, ip6_push_pending_frames, ip6_send_skb

DATA = bytes(i * 7 % 251 for i in range(66_000))


class Sender(Bench6):
    """A host with a socket that has no transport: what is sent is the payload of protocol 253."""

    def __init__(self, mtu: int = 1500) -> None:
        super().__init__()
        self.sk = InetSock()
        self.sk.sk_family, self.sk.sk_type, self.sk.sk_protocol, self.sk.sk_net = AF_INET6, SOCK_DGRAM, PROTO, self.net
        sock_init_data(None, self.sk)
        self.sk.sk_sndbuf = 1 << 20
        self.np = Ipv6Pinfo()
        self.sk.pinet6 = self.np
        self.before = self.live_packets()
        idev = self.devices['d0'].ip6_ptr
        assert idev is not None
        self.devices['d0'].mtu = idev.cnf.mtu6 = mtu
        self.ipc = Ipcm6Cookie()

    def flow6(self, dst: str = THERE) -> Flowi6:
        fl6 = Flowi6()
        fl6.saddr, fl6.daddr, fl6.flowi6_proto = in6_pton(HERE), in6_pton(dst), PROTO
        return fl6

    def out_route(self, dst: str = THERE) -> Rt6Info:
        return self.route(dst, 'd0' if dst.startswith('ff') else '')

    def send(self, data: bytes, dst: str = THERE, head: int = 0) -> int:
        """One datagram at once: its size on the way out, or the error."""
        skb = ip6_make_skb(self.sk, self.flow6(dst), message(data), head + len(data), head, self.ipc, self.out_route(dst), 0)
        return int(self.ipc.err) if skb is None else int(ip6_send_skb(skb))

    def sent(self) -> list[bytes]:
        return self.taken('d0')


    def send_corked(self, sizes: list[int]) -> int:
        """One datagram of these pieces of DATA: 0 or the first error."""
        at = err = 0
        for size in sizes:
            err = err or ip6_append_data(self.sk, self.flow6(), message(DATA[at:at + size]), size, 0, self.ipc, self.out_route(),
                                         MSG_MORE)
            at += size
        return err or ip6_push_pending_frames(self.sk)


def message(data: bytes) -> Msghdr:
    """What a program hands over."""
    msg = Msghdr()
    msg.data = data
    return msg


def with_options(hop: bytes = b'', dst: bytes = b'') -> Ipv6Txoptions:
    """Extension headers to send."""
    opt = Ipv6Txoptions()
    opt.hopopt, opt.dst1opt = hop, dst
    ipv6_opt_lengths(opt)
    return opt
