# SPDX-License-Identifier: Apache-2.0
"""The IPv6 family: what socket(AF_INET6, type, protocol) makes, and the operations between system calls and transports."""
from __future__ import annotations

from linnet.include.net.net_namespace import Net


def inet6_init(net: Net) -> None:
    """Let every file of IPv6 initialise what it has per host.  Linux: net/ipv6/af_inet6.c."""
    net.ipv6.random = net.random.fork('ipv6')  # what is drawn here changes nothing of IPv4's way
