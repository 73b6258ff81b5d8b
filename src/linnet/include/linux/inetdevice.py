# SPDX-License-Identifier: Apache-2.0
"""IPv4's half of a device: its addresses, its multicast groups, and its settings under /proc/sys/net/ipv4/conf/DEV.

An InDevice hangs on NetDevice.in_dev from registration to unregistration (net/ipv4/devinet.py makes and ends it). A setting in
force is made of the device's value and that of `all`, which lives as sysctl_* on the Net: by maximum, by `or`, or by `and`, as
the IN_DEV_* function of Linux's name says.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

if TYPE_CHECKING:
    from linnet.include.linux.netdevice import NetDevice

IFA_F_SECONDARY: Final = 0x01
IFA_F_PERMANENT: Final = 0x80
IFA_F_NOPREFIXROUTE: Final = 0x200


class InIfaddr:
    """Linux: struct in_ifaddr: one address. ifa_address is the peer's on a point-to-point link, else the same as ifa_local."""

    def __init__(self, in_dev: InDevice, local: i64, prefixlen: i64) -> None:
        self.ifa_dev: InDevice = in_dev
        self.ifa_local: i64 = local
        self.ifa_address: i64 = local
        self.ifa_prefixlen: i64 = prefixlen
        self.ifa_mask: i64 = (0xFFFFFFFF << (32 - prefixlen)) & 0xFFFFFFFF
        self.ifa_broadcast: i64 = 0
        self.ifa_scope: i64 = 0
        self.ifa_flags: i64 = IFA_F_PERMANENT
        self.ifa_label: str = in_dev.dev.name
        self.ifa_metric: i64 = 0


class Ipv4Devconf:
    """Linux: struct ipv4_devconf, by the names of /proc/sys/net/ipv4/conf/DEV. forwarding -1 follows net.ipv4.ip_forward."""

    def __init__(self) -> None:
        self.forwarding: i64 = -1
        self.mc_forwarding: i64 = 0
        self.accept_local: i64 = 0
        self.rp_filter: i64 = 0
        self.accept_redirects: i64 = 1
        self.secure_redirects: i64 = 1
        self.send_redirects: i64 = 1
        self.shared_media: i64 = 1
        self.accept_source_route: i64 = 1
        self.route_localnet: i64 = 0
        self.log_martians: i64 = 0
        self.proxy_arp: i64 = 0
        self.arp_accept: i64 = 0
        self.arp_announce: i64 = 0
        self.arp_ignore: i64 = 0
        self.arp_filter: i64 = 0
        self.arp_notify: i64 = 0
        self.drop_gratuitous_arp: i64 = 0
        self.drop_unicast_in_l2_multicast: i64 = 0
        self.promote_secondaries: i64 = 0
        self.ignore_routes_with_linkdown: i64 = 0
        self.bc_forwarding: i64 = 0


def ipv4_devconf_copy(to: Ipv4Devconf, source: Ipv4Devconf) -> None:
    """Set a new device as conf/default says (Linux: inetdev_init copies the struct)."""
    to.forwarding = source.forwarding
    to.mc_forwarding = source.mc_forwarding
    to.accept_local = source.accept_local
    to.rp_filter = source.rp_filter
    to.accept_redirects = source.accept_redirects
    to.secure_redirects = source.secure_redirects
    to.send_redirects = source.send_redirects
    to.shared_media = source.shared_media
    to.accept_source_route = source.accept_source_route
    to.route_localnet = source.route_localnet
    to.log_martians = source.log_martians
    to.proxy_arp = source.proxy_arp
    to.arp_accept = source.arp_accept
    to.arp_announce = source.arp_announce
    to.arp_ignore = source.arp_ignore
    to.arp_filter = source.arp_filter
    to.arp_notify = source.arp_notify
    to.drop_gratuitous_arp = source.drop_gratuitous_arp
    to.drop_unicast_in_l2_multicast = source.drop_unicast_in_l2_multicast
    to.promote_secondaries = source.promote_secondaries
    to.ignore_routes_with_linkdown = source.ignore_routes_with_linkdown
    to.bc_forwarding = source.bc_forwarding


class InDevice:
    """Linux: struct in_device. mc_list: joined group -> number of joins."""

    def __init__(self, dev: NetDevice) -> None:
        self.dev: NetDevice = dev
        self.dead: bool = False
        self.ifa_list: list[InIfaddr] = []
        self.mc_list: dict[int, int] = {}
        self.cnf: Ipv4Devconf = Ipv4Devconf()


def __in_dev_get_rcu(dev: NetDevice) -> InDevice | None:
    """IPv4's half of dev, None where it has none.  Linux: include/linux/inetdevice.h."""
    return dev.in_dev


def inet_ifa_match(addr: i64, ifa: InIfaddr) -> bool:
    """Is addr in the subnet of ifa?  Linux: include/linux/inetdevice.h."""
    return ((addr ^ ifa.ifa_address) & ifa.ifa_mask) == 0


def IN_DEV_FORWARD(in_dev: InDevice) -> bool:
    """Does the device forward?  Linux: include/linux/inetdevice.h; where the device was not asked, the host decides."""
    own = in_dev.cnf.forwarding
    if own < 0:
        return in_dev.dev.net.ipv4.sysctl_ip_forward != 0
    return own != 0


def IN_DEV_RPFILTER(in_dev: InDevice) -> i64:
    """0: no check of the source's route back; 1: strict (RFC 3704); 2: loose.  Linux: include/linux/inetdevice.h."""
    own = in_dev.cnf.rp_filter
    every = in_dev.dev.net.ipv4.sysctl_rp_filter
    return own if own > every else every


def IN_DEV_ACCEPT_LOCAL(in_dev: InDevice) -> bool:
    """Packets with a local source are accepted.  Linux: include/linux/inetdevice.h."""
    return (in_dev.cnf.accept_local | in_dev.dev.net.ipv4.sysctl_accept_local) != 0


def IN_DEV_NET_ROUTE_LOCALNET(in_dev: InDevice) -> bool:
    """127/8 may be on the wire.  Linux: include/linux/inetdevice.h."""
    return (in_dev.cnf.route_localnet | in_dev.dev.net.ipv4.sysctl_route_localnet) != 0


def IN_DEV_LOG_MARTIANS(in_dev: InDevice) -> bool:
    """Linux: include/linux/inetdevice.h."""
    return (in_dev.cnf.log_martians | in_dev.dev.net.ipv4.sysctl_log_martians) != 0


def IN_DEV_SOURCE_ROUTE(in_dev: InDevice) -> bool:
    """Source-routed packets are accepted.  Linux: include/linux/inetdevice.h."""
    return in_dev.cnf.accept_source_route != 0 and in_dev.dev.net.ipv4.sysctl_accept_source_route != 0


def IN_DEV_TX_REDIRECTS(in_dev: InDevice) -> bool:
    """Linux: include/linux/inetdevice.h."""
    return (in_dev.cnf.send_redirects | in_dev.dev.net.ipv4.sysctl_send_redirects) != 0


def IN_DEV_RX_REDIRECTS(in_dev: InDevice) -> bool:
    """A router heeds redirects only where both `all` and the device say so; a host where either does.

    Linux: include/linux/inetdevice.h.
    """
    own = in_dev.cnf.accept_redirects
    every = in_dev.dev.net.ipv4.sysctl_accept_redirects
    if IN_DEV_FORWARD(in_dev):
        return own != 0 and every != 0
    return own != 0 or every != 0


def IN_DEV_SHARED_MEDIA(in_dev: InDevice) -> bool:
    """Several subnets may share the link.  Linux: include/linux/inetdevice.h; `all` is always on, as by default there."""
    return True


def IN_DEV_PROXY_ARP(in_dev: InDevice) -> bool:
    """Linux: include/linux/inetdevice.h."""
    return in_dev.cnf.proxy_arp != 0


def IN_DEV_ARPFILTER(in_dev: InDevice) -> bool:
    """Linux: include/linux/inetdevice.h."""
    return (in_dev.cnf.arp_filter | in_dev.dev.net.ipv4.sysctl_arp_filter) != 0


def IN_DEV_ARP_ACCEPT(in_dev: InDevice) -> i64:
    """Linux: include/linux/inetdevice.h."""
    own = in_dev.cnf.arp_accept
    every = in_dev.dev.net.ipv4.sysctl_arp_accept
    return own if own > every else every


def IN_DEV_ARP_ANNOUNCE(in_dev: InDevice) -> i64:
    """Linux: include/linux/inetdevice.h."""
    own = in_dev.cnf.arp_announce
    every = in_dev.dev.net.ipv4.sysctl_arp_announce
    return own if own > every else every


def IN_DEV_ARP_IGNORE(in_dev: InDevice) -> i64:
    """Linux: include/linux/inetdevice.h."""
    own = in_dev.cnf.arp_ignore
    every = in_dev.dev.net.ipv4.sysctl_arp_ignore
    return own if own > every else every


def IN_DEV_ARP_NOTIFY(in_dev: InDevice) -> bool:
    """Linux: include/linux/inetdevice.h."""
    return (in_dev.cnf.arp_notify | in_dev.dev.net.ipv4.sysctl_arp_notify) != 0
