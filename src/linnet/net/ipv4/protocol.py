# SPDX-License-Identifier: Apache-2.0
"""The table of IP protocols: who takes the datagrams of a protocol number."""
from __future__ import annotations

from linnet.include.net.net_namespace import Net
from linnet.include.net.protocol import NetProtocol


def inet_add_protocol(net: Net, prot: NetProtocol, protocol: int) -> int:
    """Register prot for a protocol number: 0, or -1 where it is taken.  Linux: net/ipv4/protocol.c."""
    if protocol in net.ipv4.inet_protos:
        return -1
    net.ipv4.inet_protos[protocol] = prot
    return 0


def inet_del_protocol(net: Net, prot: NetProtocol, protocol: int) -> int:
    """Take prot out: 0, or -1 where it is not registered.  Linux: net/ipv4/protocol.c."""
    if net.ipv4.inet_protos.get(protocol) is not prot:
        return -1
    del net.ipv4.inet_protos[protocol]
    return 0
