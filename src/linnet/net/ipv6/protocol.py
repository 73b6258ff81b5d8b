# SPDX-License-Identifier: Apache-2.0
"""The table of what follows an IPv6 header: transports and extension headers alike, by their numbers."""
from __future__ import annotations

from linnet.include.net.net_namespace import Net
from linnet.include.net.protocol import NetProtocol


def inet6_add_protocol(net: Net, prot: NetProtocol, protocol: int) -> int:
    """Register prot for a next-header number: 0, or -1 where it is taken.  Linux: net/ipv6/protocol.c."""
    if protocol in net.ipv6.inet6_protos:
        return -1
    net.ipv6.inet6_protos[protocol] = prot
    return 0


def inet6_del_protocol(net: Net, prot: NetProtocol, protocol: int) -> int:
    """Take prot out: 0, or -1 where it is not registered.  Linux: net/ipv6/protocol.c."""
    if net.ipv6.inet6_protos.get(protocol) is not prot:
        return -1
    del net.ipv6.inet6_protos[protocol]
    return 0
