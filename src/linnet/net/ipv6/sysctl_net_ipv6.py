# SPDX-License-Identifier: Apache-2.0
"""net.ipv6.*: the sysctls of IPv6 by Linux's names, with its units and ranges; conf/DEV and neigh/DEV come and go with it.

The values live in NetnsIpv6, Ipv6Devconf and NeighParms. conf/all is no default for devices: of most entries it says nothing;
forwarding and disable_ipv6 set all devices at once, conf/default, too. Writing forwarding, disable_ipv6, mtu or addr_gen_mode
of a device takes effect at once.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.ipv6 import IPV6_MIN_MTU, Ipv6Devconf
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.notifier import NETDEV_UNREGISTER, NotifierBlock
from linnet.include.net.if_inet6 import Inet6Dev, __in6_dev_get
from linnet.include.net.net_namespace import Net
from linnet.kernel.errno import EINVAL
from linnet.kernel.sysctl import INT_MAX, INT_MIN, CtlDir, CtlInt, CtlScaled, CtlTable, parse_int
from linnet.net.ipv6.addrconf import (
    addrconf_addr_gen_mode,
    addrconf_dev_forwarding,
    addrconf_disable_change,
    addrconf_disable_ipv6,
    addrconf_force_forward_change,
    addrconf_forward_change,
)

DIRECTORY: Final = 'net.ipv6'
NSEC_PER_MSEC: Final = 1_000_000
NSEC_PER_SEC: Final = 1_000_000_000
LONG_MAX: Final = (1 << 62)
U8_MAX: Final = 255
ICMPV6_TYPES: Final = 256
U32_MAX: Final = 0xFFFFFFFF
SECONDS_MAX: Final = INT_MAX // 1000  # what still is an int in jiffies

# name under net.ipv6., attribute of NetnsIpv6 without 'sysctl_' ('' where it is the same), lowest, highest
INTS: Final = (
    ('bindv6only', '', 0, U8_MAX),
    ('auto_flowlabels', '', 0, 3),
    ('flowlabel_consistency', '', 0, U8_MAX),
    ('flowlabel_state_ranges', '', 0, U8_MAX),
    ('flowlabel_reflect', '', 0, 7),
    ('fwmark_reflect', '', 0, U8_MAX),
    ('ip_nonlocal_bind', '', 0, U8_MAX),
    ('idgen_retries', '', INT_MIN, INT_MAX),
    ('idgen_delay', '', INT_MIN, SECONDS_MAX),
    ('max_dst_opts_number', 'max_dst_opts_cnt', INT_MIN, INT_MAX),
    ('max_hbh_opts_number', 'max_hbh_opts_cnt', INT_MIN, INT_MAX),
    ('max_dst_opts_length', 'max_dst_opts_len', INT_MIN, INT_MAX),
    ('max_hbh_length', 'max_hbh_opts_len', INT_MIN, INT_MAX),
    ('mld_max_msf', '', INT_MIN, INT_MAX),
    ('mld_qrv', '', 1, INT_MAX),
    ('ip6frag_time', '', INT_MIN, SECONDS_MAX),
    ('fib_multipath_hash_policy', 'multipath_hash_policy', 0, 3),
    ('route.gc_interval', 'ip6_rt_gc_interval', INT_MIN, SECONDS_MAX),
    ('route.mtu_expires', 'ip6_rt_mtu_expires', INT_MIN, SECONDS_MAX),
    ('route.min_adv_mss', 'ip6_rt_min_advmss', INT_MIN, INT_MAX),
    ('route.max_size', 'ip6_rt_max_size', INT_MIN, INT_MAX),
    ('icmp.ratelimit', 'icmpv6_time', 0, INT_MAX),
    ('icmp.echo_ignore_all', 'icmpv6_echo_ignore_all', 0, U8_MAX),
    ('icmp.echo_ignore_multicast', 'icmpv6_echo_ignore_multicast', 0, U8_MAX),
    ('icmp.echo_ignore_anycast', 'icmpv6_echo_ignore_anycast', 0, U8_MAX),
    ('icmp.error_anycast_as_unicast', 'icmpv6_error_anycast_as_unicast', 0, 1),
)

# conf/NAME: name (the attribute of Ipv6Devconf has the same), lowest, highest
CONF: Final = (
    ('hop_limit', 1, 255),
    ('accept_dad', INT_MIN, INT_MAX),
    ('accept_ra', INT_MIN, INT_MAX),
    ('accept_ra_defrtr', INT_MIN, INT_MAX),
    ('accept_ra_from_local', INT_MIN, INT_MAX),
    ('accept_ra_min_hop_limit', INT_MIN, INT_MAX),
    ('accept_ra_min_lft', INT_MIN, INT_MAX),
    ('accept_ra_mtu', INT_MIN, INT_MAX),
    ('accept_ra_pinfo', INT_MIN, INT_MAX),
    ('accept_ra_rt_info_max_plen', INT_MIN, INT_MAX),
    ('accept_ra_rt_info_min_plen', INT_MIN, INT_MAX),
    ('accept_ra_rtr_pref', INT_MIN, INT_MAX),
    ('accept_redirects', INT_MIN, INT_MAX),
    ('accept_source_route', INT_MIN, INT_MAX),
    ('accept_untracked_na', 0, 2),
    ('autoconf', INT_MIN, INT_MAX),
    ('dad_transmits', INT_MIN, INT_MAX),
    ('disable_policy', INT_MIN, INT_MAX),
    ('drop_unicast_in_l2_multicast', INT_MIN, INT_MAX),
    ('drop_unsolicited_na', INT_MIN, INT_MAX),
    ('enhanced_dad', INT_MIN, INT_MAX),
    ('force_mld_version', INT_MIN, INT_MAX),
    ('force_tllao', INT_MIN, INT_MAX),
    ('ignore_routes_with_linkdown', INT_MIN, INT_MAX),
    ('keep_addr_on_down', INT_MIN, INT_MAX),
    ('max_addresses', INT_MIN, INT_MAX),
    ('max_desync_factor', INT_MIN, INT_MAX),
    ('mldv1_unsolicited_report_interval', 0, INT_MAX),
    ('mldv2_unsolicited_report_interval', 0, INT_MAX),
    ('ndisc_evict_nocarrier', 0, 1),
    ('ndisc_notify', INT_MIN, INT_MAX),
    ('ndisc_tclass', 0, 255),
    ('optimistic_dad', INT_MIN, INT_MAX),
    ('proxy_ndp', INT_MIN, INT_MAX),
    ('ra_defrtr_metric', 1, U32_MAX),
    ('ra_honor_pio_life', 0, 1),
    ('regen_max_retry', INT_MIN, INT_MAX),
    ('regen_min_advance', INT_MIN, INT_MAX),
    ('router_probe_interval', INT_MIN, SECONDS_MAX),
    ('router_solicitations', -1, INT_MAX),
    ('router_solicitation_delay', INT_MIN, SECONDS_MAX),
    ('router_solicitation_interval', INT_MIN, SECONDS_MAX),
    ('router_solicitation_max_interval', INT_MIN, SECONDS_MAX),
    ('suppress_frag_ndisc', INT_MIN, INT_MAX),
    ('temp_prefered_lft', INT_MIN, INT_MAX),
    ('temp_valid_lft', INT_MIN, INT_MAX),
    ('use_oif_addrs_only', INT_MIN, INT_MAX),
    ('use_optimistic', INT_MIN, INT_MAX),
    ('use_tempaddr', INT_MIN, INT_MAX),
)

# neigh/NAME: name, attribute of NeighParms, ns in a unit of the file (0: a plain number)
NEIGH: Final = (
    ('mcast_solicit', 'mcast_probes', 0),
    ('ucast_solicit', 'ucast_probes', 0),
    ('app_solicit', 'app_probes', 0),
    ('retrans_time_ms', 'retrans_time', NSEC_PER_MSEC),
    ('base_reachable_time_ms', 'base_reachable_time', NSEC_PER_MSEC),
    ('delay_first_probe_time', 'delay_probe_time', NSEC_PER_SEC),
    ('gc_stale_time', 'gc_staletime', NSEC_PER_SEC),
    ('unres_qlen_bytes', 'queue_len_bytes', 0),
    ('locktime', 'locktime', 10 * NSEC_PER_MSEC),
    ('proxy_qlen', 'proxy_qlen', 0),
    ('proxy_delay', 'proxy_delay', 10 * NSEC_PER_MSEC),
    ('anycast_delay', 'anycast_delay', 10 * NSEC_PER_MSEC),
)


class CtlTime6(CtlScaled):
    """A time kept in ns, shown in a larger unit."""

    def from_user(self, value: int) -> int | None:
        """An int of the file's unit always fits 64 bits of ns."""
        return value * self.scale


class CtlFragThresh(CtlInt):
    """ip6frag_low_thresh and _high_thresh: neither passes the other.  Linux: net/ipv6/reassembly.c."""

    def __init__(self, net: Net, attr: str) -> None:
        super().__init__(net.ipv6, attr, 0, LONG_MAX)
        self.net = net

    def write(self, value: str) -> int:
        """-EINVAL where the low one would be above the high one."""
        before = self.get_values()
        err = super().write(value)
        if err == 0 and self.net.ipv6.sysctl_ip6frag_low_thresh > self.net.ipv6.sysctl_ip6frag_high_thresh:
            self.set_values(before)
            return -EINVAL
        return err


class CtlRatemask(CtlTable):
    """icmp/ratemask: the types of ICMPv6 that are limited, as numbers and ranges: '0-1,3-127'.

    Linux: kernel/sysctl.c, proc_do_large_bitmap.
    """

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net: Net = net

    def read(self) -> str:
        """The ranges, lowest first."""
        mask = self.net.ipv6.sysctl_icmpv6_ratemask
        words: list[str] = []
        type = 0
        while type < ICMPV6_TYPES:
            first = type
            while type < ICMPV6_TYPES and (mask >> type) & 1 == 1:
                type += 1
            if type - first == 1:
                words.append(str(first))
            elif type > first:
                words.append(f'{first}-{type - 1}')
            type += 1
        return ','.join(words)

    def write(self, value: str) -> int:
        """All of them anew; -EINVAL where there is something else than numbers from 0 to 255 and ranges of them."""
        mask = 0
        words = value.removesuffix('\n').replace('\n', ',').removesuffix(',')
        for word in words.split(',') if words else []:
            start, dash, end = word.partition('-')
            low = parse_int(start)
            high = parse_int(end) if dash else low
            if low is None or high is None or low < 0 or high < low or high >= ICMPV6_TYPES or word != word.strip():
                return -EINVAL
            mask |= (1 << (high + 1)) - (1 << low)
        self.net.ipv6.sysctl_icmpv6_ratemask = mask
        return 0


class CtlConf(CtlTable):
    """An entry of conf/NAME that sets something in motion; idev None: of conf/all or conf/default, whose values cnf has."""

    def __init__(self, net: Net, cnf: Ipv6Devconf, idev: Inet6Dev | None) -> None:
        super().__init__()
        self.net: Net = net
        self.cnf: Ipv6Devconf = cnf
        self.idev: Inet6Dev | None = idev

    def get(self) -> i64:
        """The value."""
        raise AssertionError('an entry of conf has a value')

    def put(self, value: i64) -> int:
        """Set it, with what follows: 0 or a negative errno."""
        raise AssertionError('an entry of conf has a value')

    def read(self) -> str:
        """The number."""
        return str(int(self.get()))

    def write(self, value: str) -> int:
        """-EINVAL where it is no number, or none that can be."""
        number = parse_int(value.strip())
        if number is None or number < INT_MIN or number > INT_MAX:
            return -EINVAL
        return self.put(number)


class CtlForwarding6(CtlConf):
    """conf/NAME/forwarding.  Linux: net/ipv6/addrconf.c, addrconf_sysctl_forward."""

    def get(self) -> i64:
        """1: a router."""
        return self.cnf.forwarding

    def put(self, value: i64) -> int:
        """Of all: each device follows."""
        if self.idev is not None:
            addrconf_dev_forwarding(self.idev, value)
        elif self.cnf is self.net.ipv6.devconf_all:
            addrconf_forward_change(self.net, value)
        else:
            self.cnf.forwarding = value
        return 0


class CtlForceForwarding(CtlConf):
    """conf/NAME/force_forwarding: forward what comes in by the device.  Linux: addrconf_sysctl_force_forwarding."""

    def get(self) -> i64:
        """0 or 1."""
        return self.cnf.force_forwarding

    def put(self, value: i64) -> int:
        """Of all: each device is set."""
        if value < 0 or value > 1:
            return -EINVAL
        self.cnf.force_forwarding = value
        if self.cnf is self.net.ipv6.devconf_all:
            addrconf_force_forward_change(self.net, value)
        return 0


class CtlDisableIpv6(CtlConf):
    """conf/NAME/disable_ipv6.  Linux: net/ipv6/addrconf.c, addrconf_sysctl_disable."""

    def get(self) -> i64:
        """1: no IPv6 there."""
        return self.cnf.disable_ipv6

    def put(self, value: i64) -> int:
        """Of all: each device follows."""
        if self.idev is not None:
            addrconf_disable_ipv6(self.idev, value)
        elif self.cnf is self.net.ipv6.devconf_all:
            addrconf_disable_change(self.net, value)
        else:
            self.cnf.disable_ipv6 = value
        return 0


class CtlMtu6(CtlConf):
    """conf/NAME/mtu: IPv6's MTU of the device, from 1280 to its own.  Linux: net/ipv6/addrconf.c, addrconf_sysctl_mtu."""

    def get(self) -> i64:
        """In bytes."""
        return self.cnf.mtu6

    def put(self, value: i64) -> int:
        """Routes that have no MTU of their own follow."""
        idev = self.idev
        if value < IPV6_MIN_MTU or (idev is not None and value > idev.dev.mtu):
            return -EINVAL
        self.cnf.mtu6 = value
        return 0


class CtlAddrGenMode(CtlConf):
    """conf/NAME/addr_gen_mode: 0 of the hardware address, 1 none, 3 random. 2 needs a secret, which cannot be set here.

    Linux: addrconf_sysctl_addr_gen_mode.
    """

    def get(self) -> i64:
        """The mode."""
        return self.cnf.addr_gen_mode

    def put(self, value: i64) -> int:
        """A device that is up gets a link-local address of that kind besides."""
        if value < 0 or value > 3 or value == 2:
            return -EINVAL
        changed = value != self.cnf.addr_gen_mode
        self.cnf.addr_gen_mode = value
        if self.idev is not None and changed:
            addrconf_addr_gen_mode(self.idev)
        return 0


def addrconf_sysctl_fill(net: Net, cnf: Ipv6Devconf, idev: Inet6Dev | None, name: str) -> None:
    """conf/NAME over cnf.  Linux: net/ipv6/addrconf.c, __addrconf_sysctl_register."""
    start = f'net.ipv6.conf.{name}.'
    for entry, low, high in CONF:
        net.sysctl.register(start + entry, CtlInt(cnf, entry, low, high))
    net.sysctl.register(start + 'forwarding', CtlForwarding6(net, cnf, idev))
    net.sysctl.register(start + 'force_forwarding', CtlForceForwarding(net, cnf, idev))
    net.sysctl.register(start + 'disable_ipv6', CtlDisableIpv6(net, cnf, idev))
    net.sysctl.register(start + 'mtu', CtlMtu6(net, cnf, idev))
    net.sysctl.register(start + 'addr_gen_mode', CtlAddrGenMode(net, cnf, idev))


def neigh6_sysctl_register(net: Net, parms: object, name: str) -> None:
    """neigh/NAME over a NeighParms.  Linux: net/core/neighbour.c."""
    for entry, attr, scale in NEIGH:
        table: CtlTable = CtlTime6(parms, attr, scale) if scale != 0 else CtlInt(parms, attr, 0, INT_MAX)
        net.sysctl.register(f'net.ipv6.neigh.{name}.{entry}', table)


def addrconf_sysctl_register(dev: NetDevice) -> None:
    """conf/DEV and neigh/DEV, as far as they are not there; none where IPv6 ended.  Linux: net/ipv6/addrconf.c."""
    net = dev.net
    idev = __in6_dev_get(dev)
    if idev is None:
        addrconf_sysctl_unregister(dev)
        return
    if net.sysctl.find(f'net.ipv6.conf.{dev.name}.forwarding') is None:
        addrconf_sysctl_fill(net, idev.cnf, idev, dev.name)
    tbl = net.ipv6.nd_tbl
    if tbl is not None and net.sysctl.find(f'net.ipv6.neigh.{dev.name}.mcast_solicit') is None:
        neigh6_sysctl_register(net, tbl.parms_of(dev), dev.name)


def addrconf_sysctl_unregister(dev: NetDevice) -> None:
    """Linux: net/ipv6/addrconf.c."""
    dev.net.sysctl.unregister_under('net.ipv6.conf.' + dev.name)
    dev.net.sysctl.unregister_under('net.ipv6.neigh.' + dev.name)


class Sysctl6Notifier(NotifierBlock):
    """A device comes or goes, and its directories with it."""

    def notifier_call(self, event: int, dev: NetDevice, addr: i64 = 0, prefixlen: i64 = 0) -> None:
        """See addrconf_sysctl_register."""
        if not dev.net.sysctl.is_filled(DIRECTORY):
            return
        if event == NETDEV_UNREGISTER:
            addrconf_sysctl_unregister(dev)
        else:
            addrconf_sysctl_register(dev)


class Ipv6Directory(CtlDir):
    """net.ipv6: made when it is looked into."""

    def __init__(self, net: Net) -> None:
        self.net: Net = net

    def fill(self) -> None:
        """See ipv6_sysctl_fill."""
        ipv6_sysctl_fill(self.net)


def ipv6_sysctl_init(net: Net) -> None:
    """Publish them all; after the tables they are bound to were made.  Linux: net/ipv6/sysctl_net_ipv6.c."""
    net.sysctl.register_later(DIRECTORY, Ipv6Directory(net))
    net.netdev_chain.append(Sysctl6Notifier())


def ipv6_sysctl_fill(net: Net) -> None:
    """The entries themselves."""
    ipv6 = net.ipv6
    registry = net.sysctl
    for name, attr, low, high in INTS:
        registry.register('net.ipv6.' + name, CtlInt(ipv6, 'sysctl_' + (attr if attr else name), low, high))
    for name in ('ip6frag_low_thresh', 'ip6frag_high_thresh'):
        registry.register('net.ipv6.' + name, CtlFragThresh(net, 'sysctl_' + name))
    registry.register('net.ipv6.icmp.ratemask', CtlRatemask(net))
    addrconf_sysctl_fill(net, ipv6.devconf_all, None, 'all')
    addrconf_sysctl_fill(net, ipv6.devconf_dflt, None, 'default')
    tbl = ipv6.nd_tbl
    if tbl is not None:
        neigh6_sysctl_register(net, tbl.parms, 'default')
        for entry in ('gc_thresh1', 'gc_thresh2', 'gc_thresh3'):
            registry.register('net.ipv6.neigh.default.' + entry, CtlInt(tbl, entry, 0, INT_MAX))
        registry.register('net.ipv6.neigh.default.gc_interval', CtlTime6(tbl, 'gc_interval', NSEC_PER_SEC))
    for dev in net.dev_base:
        addrconf_sysctl_register(dev)
