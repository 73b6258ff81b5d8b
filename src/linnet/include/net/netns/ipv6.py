# SPDX-License-Identifier: Apache-2.0
"""struct netns_ipv6: IPv6's per-host state: sysctls with Linux's names and defaults, and the tables that its files register.

TCP's sysctls are net.ipv4's for both families, as in Linux.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64, mypyc_attr

from linnet.include.linux.ipv6 import Ipv6Devconf
from linnet.kernel.random import Random
from linnet.kernel.timer import TimerList

if TYPE_CHECKING:
    from linnet.include.linux.netdevice import NetDevice
    from linnet.include.linux.skbuff import SkBuff
    from linnet.include.net.dst import DstInput, DstOutput
    from linnet.include.net.if_inet6 import Inet6Ifaddr
    from linnet.include.net.inet_sock import InetProtosw
    from linnet.include.net.ip6_fib import Fib6Table, Rt6Info
    from linnet.include.net.neighbour import NeighTable
    from linnet.include.net.protocol import NetProtocol, PingCallbacks, RawCallbacks
    from linnet.include.net.sock import Proto, Sock
    from linnet.kernel.timer import TimerList


@mypyc_attr(allow_interpreted_subclasses=True)
class Icmp6Sender:
    """icmpv6_send, for what lies below it (Linux registers it the same way: inet6_register_icmp_sender)."""

    def send(self, skb: SkBuff, type: i64, code: i64, info: i64) -> None:
        """Tell skb's sender of an error; the caller keeps skb."""
        raise AssertionError('registered by net/ipv6/icmp.py')


@mypyc_attr(allow_interpreted_subclasses=True)
class RouterProber:
    """ndisc_send_ns to a router that was unreachable, for the routes below neighbour discovery (RFC 4191, 3.5)."""

    def probe(self, dev: NetDevice, gateway: int) -> None:
        """Ask for it; without neighbour discovery nobody can."""
        return


class NetnsIpv6:
    """Linux: struct netns_ipv6."""

    def __init__(self) -> None:
        self.sysctl_bindv6only: i64 = 0
        self.sysctl_auto_flowlabels: i64 = 1
        self.sysctl_flowlabel_consistency: i64 = 1
        self.sysctl_flowlabel_state_ranges: i64 = 0
        self.sysctl_flowlabel_reflect: i64 = 0
        self.sysctl_idgen_retries: i64 = 3
        self.sysctl_idgen_delay: i64 = 1
        self.sysctl_fwmark_reflect: i64 = 0
        self.sysctl_ip_nonlocal_bind: i64 = 0
        self.sysctl_max_dst_opts_cnt: i64 = 8
        self.sysctl_max_hbh_opts_cnt: i64 = 8
        self.sysctl_max_dst_opts_len: i64 = 2147483647
        self.sysctl_max_hbh_opts_len: i64 = 2147483647
        self.sysctl_mld_max_msf: i64 = 64
        self.sysctl_mld_qrv: i64 = 2
        self.sysctl_ip6frag_high_thresh: i64 = 4194304
        self.sysctl_ip6frag_low_thresh: i64 = 3145728
        self.sysctl_ip6frag_time: i64 = 60
        self.sysctl_ip6_rt_gc_interval: i64 = 30
        self.sysctl_ip6_rt_mtu_expires: i64 = 600
        self.sysctl_ip6_rt_min_advmss: i64 = 1220
        self.sysctl_ip6_rt_max_size: i64 = 2147483647
        self.sysctl_icmpv6_time: i64 = 100  # as seen on Linux 6.18; before, a second
        self.sysctl_icmpv6_ratemask: int = ((1 << 128) - 1) & ~(1 << 2)  # bit n: type n is limited: errors but packet-too-big
        self.sysctl_icmpv6_echo_ignore_all: i64 = 0
        self.sysctl_icmpv6_echo_ignore_multicast: i64 = 0
        self.sysctl_icmpv6_echo_ignore_anycast: i64 = 0
        self.sysctl_icmpv6_error_anycast_as_unicast: i64 = 0
        self.devconf_all: Ipv6Devconf = Ipv6Devconf()
        self.devconf_dflt: Ipv6Devconf = Ipv6Devconf()
        self.random: Random = Random(0)  # net/ipv6/af_inet6.py: forked from the host's
        # tables
        self.inetsw6: dict[int, list[InetProtosw]] = {}  # socket type -> entries, the last registered first
        self.inet6_protos: dict[int, NetProtocol] = {}  # next header -> handler
        self.tcpv6_prot: Proto | None = None
        self.udpv6_prot: Proto | None = None
        self.rawv6_prot: Proto | None = None
        self.pingv6_prot: Proto | None = None
        self.raw_v6_hash: dict[int, list[Sock]] = {}  # next header -> sockets
        self.raw_callbacks: RawCallbacks | None = None
        self.ping_callbacks: PingCallbacks | None = None
        self.peers: object = None  # net/ipv4/inetpeer.py: who was sent errors and redirects, and how many of late
        self.addr_chk_work: TimerList | None = None  # when the next address is deprecated or ends
        self.inet6_addr_lst: dict[int, list[Inet6Ifaddr]] = {}  # local address -> where it is
        self.fib6_main_tbl: Fib6Table | None = None
        self.fib6_local_tbl: Fib6Table | None = None
        self.fib6_tables: dict[int, Fib6Table] = {}
        self.fib6_sernum: i64 = 1
        self.fib6_gc: TimerList | None = None
        self.router_prober: RouterProber = RouterProber()
        self.sysctl_multipath_hash_policy: i64 = 0
        self.multipath_hash_key: i64 = 0
        self.ip6_null_entry: Rt6Info | None = None
        self.nd_tbl: NeighTable | None = None
        self.ip6_frags: object = None  # net/ipv6/reassembly.py
        self.icmp6: object = None  # net/ipv6/icmp.py: its rate limits
        self.icmp6_sender: Icmp6Sender = Icmp6Sender()
        self.ndisc_sk: Sock | None = None
        # the output and input functions of routes, registered by the files that implement them
        self.ip6_output: DstOutput | None = None
        self.ip6_pkt_discard_out: DstOutput | None = None
        self.ip6_pkt_prohibit_out: DstOutput | None = None
        self.dst_discard_out: DstOutput | None = None
        self.ip6_input: DstInput | None = None
        self.ip6_mc_input: DstInput | None = None
        self.ip6_forward: DstInput | None = None
        self.ip6_pkt_discard: DstInput | None = None
        self.ip6_pkt_prohibit: DstInput | None = None
        self.dst_discard_in: DstInput | None = None
