# SPDX-License-Identifier: Apache-2.0
"""net.ipv4.*: the sysctls of IPv4 by Linux's names, with its units and ranges; conf/DEV and neigh/DEV come and go with the
device.

The values live in NetnsIpv4, Ipv4Devconf and NeighParms; an entry binds a name to such an attribute. Those of conf/all live
as sysctl_* on NetnsIpv4 (include/linux/inetdevice.py combines the two). Writing ip_forward or conf/all/forwarding turns
every device that did not decide for itself, and makes the routing caches stale.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.notifier import NETDEV_REGISTER, NETDEV_UNREGISTER, NETDEV_UP, NotifierBlock
from linnet.include.net.net_namespace import Net
from linnet.include.net.tcp import TCP_TIMEWAIT_LEN
from linnet.kernel.errno import EINVAL
from linnet.kernel.sysctl import INT_MAX, INT_MIN, CtlInt, CtlScaled, CtlTable, CtlVector, parse_int
from linnet.net.ipv4.tcp_cong import (
    tcp_get_allowed_congestion_control,
    tcp_get_available_congestion_control,
    tcp_set_allowed_congestion_control,
    tcp_set_default_congestion_control,
)
from linnet.net.ipv4.tcp_fastopen import tcp_fastopen_key_parse, tcp_fastopen_key_text, tcp_fastopen_reset_cipher

U8_MAX: Final = 255
U32_MAX: Final = 0xFFFFFFFF
NSEC_PER_MSEC: Final = 1_000_000
NSEC_PER_SEC: Final = 1_000_000_000
LONG_MAX: Final = (1 << 62)

# name under net.ipv4., attribute of NetnsIpv4 without 'sysctl_' ('' where it is the same), lowest, highest
INTS: Final = (
    ('ip_default_ttl', '', 1, 255),
    ('ip_no_pmtu_disc', '', 0, 3),
    ('ip_forward_use_pmtu', 'ip_fwd_use_pmtu', 0, 1),
    ('ip_nonlocal_bind', '', 0, 1),
    ('ip_early_demux', '', 0, 1),
    ('tcp_early_demux', '', 0, 1),
    ('udp_early_demux', '', 0, 1),
    ('ip_unprivileged_port_start', '', 0, 65535),
    ('ipfrag_high_thresh', '', 0, LONG_MAX),
    ('ipfrag_low_thresh', '', 0, LONG_MAX),
    ('ipfrag_time', '', 0, INT_MAX),
    ('ipfrag_max_dist', '', 0, INT_MAX),
    ('route.min_pmtu', 'route_min_pmtu', 68, INT_MAX),
    ('route.mtu_expires', 'route_mtu_expires', 0, INT_MAX),
    ('route.min_adv_mss', 'route_min_advmss', 0, INT_MAX),
    ('route.error_cost', 'route_error_cost', 0, INT_MAX),
    ('route.error_burst', 'route_error_burst', 0, INT_MAX),
    ('icmp_echo_ignore_all', '', 0, 1),
    ('icmp_echo_ignore_broadcasts', '', 0, 1),
    ('icmp_ignore_bogus_error_responses', '', 0, 1),
    ('icmp_errors_use_inbound_ifaddr', '', 0, 1),
    ('icmp_ratelimit', '', 0, INT_MAX),
    ('icmp_ratemask', '', INT_MIN, INT_MAX),
    ('icmp_msgs_per_sec', '', 0, INT_MAX),
    ('icmp_msgs_burst', '', 0, INT_MAX),
    ('tcp_abort_on_overflow', '', 0, U8_MAX),
    ('tcp_adv_win_scale', '', -31, 31),
    ('tcp_app_win', '', 0, 31),
    ('tcp_autocorking', '', 0, 1),
    ('tcp_backlog_ack_defer', '', 0, 1),
    ('tcp_base_mss', '', 0, INT_MAX),
    ('tcp_challenge_ack_limit', '', 0, INT_MAX),
    ('tcp_comp_sack_delay_ns', '', 0, LONG_MAX),
    ('tcp_comp_sack_nr', '', 0, U8_MAX),
    ('tcp_comp_sack_slack_ns', '', 0, LONG_MAX),
    ('tcp_dsack', '', 0, U8_MAX),
    ('tcp_early_retrans', '', 0, 4),
    ('tcp_ecn', '', 0, 2),
    ('tcp_ecn_fallback', '', 0, 1),
    ('tcp_fack', '', 0, U8_MAX),
    ('tcp_fastopen', '', INT_MIN, INT_MAX),
    ('tcp_fastopen_blackhole_timeout_sec', 'tcp_fastopen_blackhole_timeout', 0, INT_MAX),
    ('tcp_fin_timeout', '', 0, INT_MAX),
    ('tcp_frto', '', 0, U8_MAX),
    ('tcp_invalid_ratelimit', '', 0, INT_MAX),
    ('tcp_keepalive_intvl', '', 0, INT_MAX),
    ('tcp_keepalive_probes', '', 0, U8_MAX),
    ('tcp_keepalive_time', '', 0, INT_MAX),
    ('tcp_limit_output_bytes', '', 0, INT_MAX),
    ('tcp_max_orphans', '', 0, INT_MAX),
    ('tcp_max_reordering', '', 0, INT_MAX),
    ('tcp_max_syn_backlog', '', 0, INT_MAX),
    ('tcp_max_tw_buckets', '', 0, INT_MAX),
    ('tcp_migrate_req', '', 0, 1),
    ('tcp_min_rtt_wlen', '', 0, 86400),
    ('tcp_min_snd_mss', '', 48, 65535),
    ('tcp_min_tso_segs', '', 1, U8_MAX),
    ('tcp_moderate_rcvbuf', '', 0, U8_MAX),
    ('tcp_mtu_probe_floor', '', 48, 65535),
    ('tcp_mtu_probing', '', 0, U8_MAX),
    ('tcp_no_metrics_save', '', 0, U8_MAX),
    ('tcp_no_ssthresh_metrics_save', '', 0, 1),
    ('tcp_notsent_lowat', '', 0, U32_MAX),
    ('tcp_orphan_retries', '', 0, U8_MAX),
    ('tcp_pacing_ca_ratio', '', 0, 1000),
    ('tcp_pacing_ss_ratio', '', 0, 1000),
    ('tcp_pingpong_thresh', '', 1, U8_MAX),
    ('tcp_probe_interval', '', 0, U32_MAX),
    ('tcp_probe_threshold', '', 0, INT_MAX),
    ('tcp_recovery', '', 0, U8_MAX),
    ('tcp_reflect_tos', '', 0, 1),
    ('tcp_reordering', '', 0, INT_MAX),
    ('tcp_retrans_collapse', '', 0, U8_MAX),
    ('tcp_retries1', '', 0, U8_MAX),
    ('tcp_retries2', '', 0, U8_MAX),
    ('tcp_rfc1337', '', 0, U8_MAX),
    ('tcp_rto_max_ms', '', 1000, 120_000),
    ('tcp_rto_min_us', '', 1, INT_MAX),
    ('tcp_sack', '', 0, U8_MAX),
    ('tcp_shrink_window', '', 0, 1),
    ('tcp_slow_start_after_idle', '', 0, U8_MAX),
    ('tcp_stdurg', '', 0, U8_MAX),
    ('tcp_syn_linear_timeouts', '', 0, 127),
    ('tcp_syn_retries', '', 1, 127),
    ('tcp_synack_retries', '', 0, U8_MAX),
    ('tcp_syncookies', '', 0, U8_MAX),
    ('tcp_thin_linear_timeouts', '', 0, U8_MAX),
    ('tcp_timestamps', '', 0, U8_MAX),
    ('tcp_tso_rtt_log', '', 0, U8_MAX),
    ('tcp_tso_win_divisor', '', 0, U8_MAX),
    ('tcp_tw_reuse', '', 0, 2),
    ('tcp_tw_reuse_delay', '', 1, TCP_TIMEWAIT_LEN),
    ('tcp_window_scaling', '', 0, U8_MAX),
    ('tcp_workaround_signed_windows', '', 0, U8_MAX),
    ('udp_rmem_min', '', 1, INT_MAX),
    ('udp_wmem_min', '', 1, INT_MAX),
)

VECTORS: Final = (
    ('tcp_mem', 3, 0, LONG_MAX),
    ('udp_mem', 3, 0, LONG_MAX),
    ('tcp_rmem', 3, 1, INT_MAX),
    ('tcp_wmem', 3, 1, INT_MAX),
    ('ping_group_range', 2, 0, INT_MAX),
)

# conf/all: name (the attribute has the same), highest
CONF_ALL: Final = (
    ('rp_filter', 2), ('accept_local', 1), ('route_localnet', 1), ('arp_accept', 2), ('arp_announce', 2), ('arp_ignore', 8),
    ('arp_filter', 1), ('arp_notify', 1), ('accept_redirects', 1), ('send_redirects', 1), ('accept_source_route', 1),
    ('log_martians', 1),
)

# conf/DEV: name (the attribute of Ipv4Devconf has the same)
CONF_DEV: Final = (
    'mc_forwarding', 'accept_local', 'rp_filter', 'accept_redirects', 'secure_redirects', 'send_redirects', 'shared_media',
    'accept_source_route', 'route_localnet', 'log_martians', 'proxy_arp', 'arp_accept', 'arp_announce', 'arp_ignore',
    'arp_filter', 'arp_notify', 'drop_gratuitous_arp', 'drop_unicast_in_l2_multicast', 'promote_secondaries',
    'ignore_routes_with_linkdown', 'bc_forwarding',
)

# neigh/DEV: name, attribute of NeighParms, ns in a unit of the file (0: a plain number)
NEIGH: Final = (
    ('mcast_solicit', 'mcast_probes', 0),
    ('ucast_solicit', 'ucast_probes', 0),
    ('app_solicit', 'app_probes', 0),
    ('retrans_time_ms', 'retrans_time', NSEC_PER_MSEC),
    ('base_reachable_time', 'base_reachable_time', NSEC_PER_SEC),
    ('base_reachable_time_ms', 'base_reachable_time', NSEC_PER_MSEC),
    ('delay_first_probe_time', 'delay_probe_time', NSEC_PER_SEC),
    ('gc_stale_time', 'gc_staletime', NSEC_PER_SEC),
    ('unres_qlen_bytes', 'queue_len_bytes', 0),
    ('locktime', 'locktime', 10 * NSEC_PER_MSEC),
    ('proxy_qlen', 'proxy_qlen', 0),
    ('proxy_delay', 'proxy_delay', 10 * NSEC_PER_MSEC),
    ('anycast_delay', 'anycast_delay', 10 * NSEC_PER_MSEC),
)


class CtlTime(CtlScaled):
    """A time kept in ns, shown in a larger unit."""

    def from_user(self, value: int) -> int | None:
        """An int of the file's unit always fits 64 bits of ns."""
        return value * self.scale


class CtlPortRange(CtlVector):
    """net.ipv4.ip_local_port_range: two ports, the lower first.  Linux: ipv4_local_port_range."""

    def __init__(self, net: Net) -> None:
        super().__init__(net.ipv4, 'sysctl_local_port_range', 2, 1, 65535)

    def write(self, value: str) -> int:
        """-EINVAL where they are out of order."""
        before = self.get_values()
        err = super().write(value)
        if err == 0:
            after = self.get_values()
            if after[1] < after[0]:
                self.set_values(before)
                return -EINVAL
        return err


class CtlForward(CtlTable):
    """net.ipv4.ip_forward and conf/all/forwarding.  Linux: net/ipv4/devinet.c, inet_forward_change."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def read(self) -> str:
        """1: a router."""
        return str(int(self.net.ipv4.sysctl_ip_forward))

    def write(self, value: str) -> int:
        """Devices that were set by themselves follow again; a router takes no redirects."""
        on = parse_int(value.strip())
        if on is None:
            return -EINVAL
        ipv4 = self.net.ipv4
        changed = (ipv4.sysctl_ip_forward != 0) != (on != 0)
        ipv4.sysctl_ip_forward = on
        if changed:
            ipv4.sysctl_accept_redirects = 0 if on != 0 else 1
            ipv4.devconf_dflt.forwarding = -1
            for dev in self.net.dev_base:
                in_dev = dev.in_dev
                if in_dev is not None:
                    in_dev.cnf.forwarding = -1
            ipv4.rt_genid += 1
        return 0


class CtlDevForwarding(CtlTable):
    """conf/DEV/forwarding."""

    def __init__(self, dev: NetDevice) -> None:
        super().__init__()
        self.dev = dev

    def read(self) -> str:
        """What is in force."""
        in_dev = self.dev.in_dev
        if in_dev is None or in_dev.cnf.forwarding < 0:
            return str(int(self.dev.net.ipv4.sysctl_ip_forward))
        return str(int(in_dev.cnf.forwarding))

    def write(self, value: str) -> int:
        """For this device alone; cached routes go stale."""
        on = parse_int(value.strip())
        in_dev = self.dev.in_dev
        if on is None or in_dev is None:
            return -EINVAL
        in_dev.cnf.forwarding = on
        self.dev.net.ipv4.rt_genid += 1
        return 0


class CtlDefaultForwarding(CtlTable):
    """conf/default/forwarding: what new devices start with, until ip_forward is written."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def read(self) -> str:
        """As ip_forward, where it was not set by itself."""
        own = self.net.ipv4.devconf_dflt.forwarding
        return str(int(self.net.ipv4.sysctl_ip_forward if own < 0 else own))

    def write(self, value: str) -> int:
        """-EINVAL where it is no number."""
        on = parse_int(value.strip())
        if on is None:
            return -EINVAL
        self.net.ipv4.devconf_dflt.forwarding = on
        return 0


class CtlDevInt(CtlInt):
    """A number of conf/DEV or conf/all upon which routes depend: writing it makes cached routes stale."""

    def __init__(self, net: Net, obj: object, attr: str, low: int, high: int) -> None:
        super().__init__(obj, attr, low, high)
        self.net = net

    def write(self, value: str) -> int:
        """See CtlInt."""
        err = super().write(value)
        if err == 0:
            self.net.ipv4.rt_genid += 1
        return err


class CtlCongestionControl(CtlTable):
    """net.ipv4.tcp_congestion_control: the name of one that is registered."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def read(self) -> str:
        """The name that new connections use."""
        return self.net.ipv4.sysctl_tcp_congestion_control

    def write(self, value: str) -> int:
        """-ENOENT where there is none such."""
        return tcp_set_default_congestion_control(self.net, value.strip())


class CtlFastopenKey(CtlTable):
    """net.ipv4.tcp_fastopen_key: one key or two, parted by a comma."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def read(self) -> str:
        """Zeros where none was needed yet."""
        return tcp_fastopen_key_text(self.net.ipv4.tcp_fastopen_ctx)

    def write(self, value: str) -> int:
        """-EINVAL where it is no key."""
        first, comma, second = value.partition(',')
        primary = tcp_fastopen_key_parse(first)
        backup = tcp_fastopen_key_parse(second)
        if primary == b'' or (comma != '' and backup == b''):
            return -EINVAL
        tcp_fastopen_reset_cipher(self.net, None, primary, backup)
        return 0


class CtlAvailableCongestionControl(CtlTable):
    """net.ipv4.tcp_available_congestion_control."""

    def __init__(self, net: Net) -> None:
        super().__init__(True)
        self.net = net

    def read(self) -> str:
        """Their names."""
        return tcp_get_available_congestion_control(self.net)


class CtlAllowedCongestionControl(CtlTable):
    """net.ipv4.tcp_allowed_congestion_control: which of them programs without privileges may choose."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def read(self) -> str:
        """Their names."""
        return tcp_get_allowed_congestion_control(self.net)

    def write(self, value: str) -> int:
        """-ENOENT where there is none such."""
        return tcp_set_allowed_congestion_control(self.net, value)


def neigh_sysctl_register(net: Net, obj: object, name: str) -> None:
    """neigh/NAME over a NeighParms.  Linux: net/core/neighbour.c."""
    for entry, attr, scale in NEIGH:
        table: CtlTable = CtlTime(obj, attr, scale) if scale != 0 else CtlInt(obj, attr, 0, INT_MAX)
        net.sysctl.register(f'net.ipv4.neigh.{name}.{entry}', table)


def devinet_sysctl_register(dev: NetDevice) -> None:
    """conf/DEV and neigh/DEV, as far as they are not there.  Linux: net/ipv4/devinet.c."""
    net = dev.net
    in_dev = dev.in_dev
    if in_dev is not None and net.sysctl.find(f'net.ipv4.conf.{dev.name}.forwarding') is None:
        for entry in CONF_DEV:
            net.sysctl.register(f'net.ipv4.conf.{dev.name}.{entry}', CtlDevInt(net, in_dev.cnf, entry, INT_MIN, INT_MAX))
        net.sysctl.register(f'net.ipv4.conf.{dev.name}.forwarding', CtlDevForwarding(dev))
    tbl = net.ipv4.arp_tbl
    if tbl is not None and net.sysctl.find(f'net.ipv4.neigh.{dev.name}.mcast_solicit') is None:
        parms = tbl.dev_parms.get(int(dev.ifindex))
        if parms is not None:
            neigh_sysctl_register(net, parms, dev.name)


def devinet_sysctl_unregister(dev: NetDevice) -> None:
    """Linux: net/ipv4/devinet.c."""
    dev.net.sysctl.unregister_under('net.ipv4.conf.' + dev.name)
    dev.net.sysctl.unregister_under('net.ipv4.neigh.' + dev.name)


class SysctlNotifier(NotifierBlock):
    """A device comes or goes, and its directories with it."""

    def notifier_call(self, event: int, dev: NetDevice, addr: i64 = 0, prefixlen: i64 = 0) -> None:
        """See devinet_sysctl_register."""
        if event == NETDEV_REGISTER or event == NETDEV_UP:
            devinet_sysctl_register(dev)
        elif event == NETDEV_UNREGISTER:
            devinet_sysctl_unregister(dev)


def sysctl_ipv4_init(net: Net) -> None:
    """Publish them all; after the tables they are bound to were made.  Linux: net/ipv4/sysctl_net_ipv4.c."""
    ipv4 = net.ipv4
    registry = net.sysctl
    for name, attr, low, high in INTS:
        registry.register('net.ipv4.' + name, CtlInt(ipv4, 'sysctl_' + (attr if attr else name), low, high))
    for name, n, low, high in VECTORS:
        registry.register('net.ipv4.' + name, CtlVector(ipv4, 'sysctl_' + name, n, low, high))
    registry.register('net.ipv4.ip_local_port_range', CtlPortRange(net))
    registry.register('net.ipv4.ip_forward', CtlForward(net))
    registry.register('net.ipv4.conf.all.forwarding', CtlForward(net))
    for name, high in CONF_ALL:
        registry.register('net.ipv4.conf.all.' + name, CtlDevInt(net, ipv4, 'sysctl_' + name, 0, high))
    for name in CONF_DEV:
        registry.register('net.ipv4.conf.default.' + name, CtlInt(ipv4.devconf_dflt, name))
    registry.register('net.ipv4.conf.default.forwarding', CtlDefaultForwarding(net))
    registry.register('net.ipv4.tcp_congestion_control', CtlCongestionControl(net))
    registry.register('net.ipv4.tcp_fastopen_key', CtlFastopenKey(net))
    registry.register('net.ipv4.tcp_available_congestion_control', CtlAvailableCongestionControl(net))
    registry.register('net.ipv4.tcp_allowed_congestion_control', CtlAllowedCongestionControl(net))
    tbl = ipv4.arp_tbl
    if tbl is not None:
        neigh_sysctl_register(net, tbl.parms, 'default')
        for entry in ('gc_thresh1', 'gc_thresh2', 'gc_thresh3'):
            registry.register('net.ipv4.neigh.default.' + entry, CtlInt(tbl, entry, 0, INT_MAX))
        registry.register('net.ipv4.neigh.default.gc_interval', CtlTime(tbl, 'gc_interval', NSEC_PER_SEC))
    for dev in net.dev_base:
        devinet_sysctl_register(dev)
    net.netdev_chain.append(SysctlNotifier())
