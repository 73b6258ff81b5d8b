# SPDX-License-Identifier: Apache-2.0
"""The IPv6 family: what socket(AF_INET6, type, protocol) makes, and the operations between system calls and transports."""
from __future__ import annotations

from linnet.include.net.net_namespace import Net
from linnet.net.ipv6.addrconf import addrconf_init
from linnet.net.ipv6.exthdrs import ipv6_exthdrs_init
from linnet.net.ipv6.ip6_forward import ip6_forward_init
from linnet.net.ipv6.ip6_input import ip6_input_init, ipv6_packet_init
from linnet.net.ipv6.ip6_offload import ipv6_offload_init
from linnet.net.ipv6.ip6_output import ip6_output_init
from linnet.net.ipv6.ndisc import ndisc_init
from linnet.net.ipv6.reassembly import ipv6_frag_init
from linnet.net.ipv6.route import ip6_route_init
from linnet.net.ipv6.sysctl_net_ipv6 import ipv6_sysctl_init
from linnet.net.ipv6.tcpv6_offload import tcpv6_offload_init


def inet6_init(net: Net) -> None:
    """Let every file of IPv6 initialise what it has per host.  Linux: net/ipv6/af_inet6.c."""
    net.ipv6.random = net.random.fork('ipv6')  # what is drawn here changes nothing of IPv4's way
    ip6_route_init(net)
    ndisc_init(net)
    ip6_output_init(net)
    ip6_input_init(net)
    ip6_forward_init(net)
    ipv6_frag_init(net)
    ipv6_exthdrs_init(net)
    ipv6_offload_init(net)
    tcpv6_offload_init(net)
    ipv6_packet_init(net)
    addrconf_init(net)
    ipv6_sysctl_init(net)
