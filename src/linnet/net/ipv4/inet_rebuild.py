# SPDX-License-Identifier: Apache-2.0
"""The part of af_inet.c that TCP's files call from below: a connected sock that lost its route looks for a new one."""
from __future__ import annotations

from typing import Final

from linnet.include.net.inet_sock import InetSock
from linnet.include.net.sock import Sock, sock_net
from linnet.net.core.sock import __sk_dst_check, sk_setup_caps
from linnet.net.ipv4.route import ip_route_output_ports

LINUX_FILE: Final = 'net/ipv4/af_inet.c'


def inet_sk_rebuild_header(sk: Sock) -> int:
    """Make sure sk has a valid route: 0, or a negative errno, which also becomes sk_err_soft.

    Linux: net/ipv4/af_inet.c; a source address is never chosen anew (net.ipv4.ip_dynaddr is 0 and not there).
    """
    if __sk_dst_check(sk, 0) is not None:
        return 0
    assert isinstance(sk, InetSock)
    fl4 = sk.cork_fl
    rt = ip_route_output_ports(sock_net(sk), fl4, sk, sk.sk_daddr, sk.inet_saddr, sk.sk_dport, sk.inet_sport, sk.sk_protocol,
                               sk.tos, sk.sk_bound_dev_if)
    if rt is not None:
        sk_setup_caps(sk, rt)
        return 0
    sk.sk_route_caps = 0
    sk.sk_err_soft = -fl4.err
    return int(fl4.err)
