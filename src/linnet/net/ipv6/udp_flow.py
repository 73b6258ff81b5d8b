# SPDX-License-Identifier: Apache-2.0
"""Where a message of a datagram socket over IPv6 goes: what UDP, raw and ping sockets say to the route look-up alike.

    datagram6_init > datagram6_name (the address of the call) > datagram6_ctl (control messages, options) > datagram6_route

Each step fills the look-up's key (Flowi6) and the message's cookie (Ipcm6Cookie) further. Linux has these steps in each of
udpv6_sendmsg, rawv6_sendmsg and ping_v6_sendmsg; what is said once here is said three times there, in this order.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.ipv6 import IPV6_FLOWINFO_MASK, IPV6_FLOWLABEL_MASK, Ipv6Pinfo
from linnet.include.linux.socket import Msghdr, Sockaddr
from linnet.include.net.flow import Flowi6
from linnet.include.net.inet_sock import InetSock
from linnet.include.net.ip6_fib import Rt6Info, rt6_nexthop
from linnet.include.net.ipv6 import (
    Ipcm6Cookie,
    ipv6_addr_is_multicast,
    ipv6_addr_needs_scope_id,
    ipv6_addr_type,
)
from linnet.include.net.sock import Sock, sock_net
from linnet.kernel.errno import EINVAL
from linnet.net.core.neighbour import __ipv6_neigh_lookup_noref, neigh_confirm
from linnet.net.ipv6.datagram import ip6_datagram_send_ctl
from linnet.net.ipv6.exthdrs import fl6_update_dst, ipv6_fixup_options
from linnet.net.ipv6.ip6_flowlabel import fl6_sock_lookup
from linnet.net.ipv6.ip6_output_lookup import ip6_sk_dst_lookup_flow

LINUX_FILE: Final = 'net/ipv6/udp.c'


def datagram6_init(sk: InetSock, np: Ipv6Pinfo, fl6: Flowi6, ipc6: Ipcm6Cookie, proto: i64) -> None:
    """The choices that the socket itself makes.  Linux: include/net/ipv6.h, ipcm6_init_sk."""
    ipc6.mark = sk.sk_mark
    ipc6.priority = sk.sk_priority
    ipc6.tsflags = sk.sk_tsflags
    ipc6.tclass = np.tclass
    ipc6.dontfrag = 1 if np.dontfrag else 0
    fl6.err = 0
    fl6.flowi6_oif = 0
    fl6.flowi6_mark = sk.sk_mark
    fl6.flowi6_proto = proto
    fl6.flowi6_flags = 0
    fl6.flowlabel = 0
    fl6.saddr = 0
    fl6.daddr = 0
    fl6.fl6_sport = 0
    fl6.fl6_dport = 0


def datagram6_name(np: Ipv6Pinfo, sk: Sock, fl6: Flowi6, name: Sockaddr) -> int:
    """The flow information (IPV6_FLOWINFO_SEND) and the zone of a destination. 0, or -EINVAL where the label is not ours."""
    fl6.daddr = name.sin6_addr
    if np.sndflow:
        fl6.flowlabel = name.sin6_flowinfo & IPV6_FLOWINFO_MASK
        if not datagram6_label_is_ours(sk, fl6):
            return -EINVAL
    if name.sin6_scope_id != 0 and ipv6_addr_needs_scope_id(ipv6_addr_type(name.sin6_addr)):
        fl6.flowi6_oif = name.sin6_scope_id
    return 0


def datagram6_label_is_ours(sk: Sock, fl6: Flowi6) -> bool:
    """May sk use the flow label of fl6?"""
    return (fl6.flowlabel & IPV6_FLOWLABEL_MASK) == 0 or fl6_sock_lookup(sk, fl6.flowlabel)


def datagram6_ctl(sk: InetSock, np: Ipv6Pinfo, msg: Msghdr, fl6: Flowi6, ipc6: Ipcm6Cookie) -> int:
    """The device, and what the message's control messages and the socket's options say. 0 or a negative errno."""
    if fl6.flowi6_oif == 0:
        fl6.flowi6_oif = sk.sk_bound_dev_if if sk.sk_bound_dev_if != 0 else np.sticky_pktinfo_ifindex
    if len(msg.msg_control) != 0:
        label = fl6.flowlabel & IPV6_FLOWLABEL_MASK
        err = ip6_datagram_send_ctl(sock_net(sk), sk, msg, fl6, ipc6)
        if err < 0:
            return err
        if label == 0 and not datagram6_label_is_ours(sk, fl6):
            return -EINVAL
        fl6.flowi6_mark = ipc6.mark
        ipc6.tclass &= 0xFF  # a message that says -1 gets 255, as was seen on Linux 6.18
    if ipc6.opt is None:
        ipc6.opt = np.opt
    ipc6.opt = ipv6_fixup_options(ipc6.opt)
    if fl6.saddr == 0:
        fl6.saddr = np.saddr
    return 0


def datagram6_route(sk: InetSock, np: Ipv6Pinfo, fl6: Flowi6, ipc6: Ipcm6Cookie, connected: bool) -> Rt6Info | None:
    """The route; fl6.saddr is filled in. None with fl6.err where there is none.

    connected: the message goes to the peer, for which the socket keeps a route.
    """
    final = fl6_update_dst(fl6, ipc6.opt)
    if final != 0:
        connected = False
    if fl6.flowi6_oif == 0:
        if ipv6_addr_is_multicast(fl6.daddr):
            fl6.flowi6_oif = np.mcast_oif
            connected = False
        else:
            fl6.flowi6_oif = np.ucast_oif
    fl6.flowlabel = (ipc6.tclass << 20) | (fl6.flowlabel & IPV6_FLOWLABEL_MASK)
    return ip6_sk_dst_lookup_flow(sk, fl6, final, connected)


def dst_confirm_neigh6(rt: Rt6Info, daddr: int) -> None:
    """The program vouches for the next hop (MSG_CONFIRM).  Linux: net/ipv6/route.c, ip6_confirm_neigh."""
    n = __ipv6_neigh_lookup_noref(rt.dev, rt6_nexthop(rt, daddr))
    if n is not None:
        neigh_confirm(n)
