# SPDX-License-Identifier: Apache-2.0
"""struct netns_ipv4: IPv4's per-host state: sysctls with Linux's names and defaults, and the tables that its files register.

sysctl_* hold what /proc/sys/net/ipv4/* would show, in its units; net/ipv4/sysctl_net_ipv4.py publishes them by name.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64

from linnet.include.linux.inetdevice import Ipv4Devconf

if TYPE_CHECKING:
    from linnet.include.linux.inetdevice import InIfaddr
    from linnet.include.net.dst import DstInput, DstOutput
    from linnet.include.net.inet_hashtables import InetHashinfo
    from linnet.include.net.inet_sock import InetProtosw
    from linnet.include.net.ip_fib import FibInfo, FibRule, FibScratch, FibTable
    from linnet.include.net.neighbour import NeighTable
    from linnet.include.net.protocol import NetProtocol, PingCallbacks, RawCallbacks
    from linnet.include.net.request_sock import TcpFastopenContext
    from linnet.include.net.sock import Proto, Sock
    from linnet.include.net.tcp import TcpCongestionOps
    from linnet.include.net.tcp_metrics import TcpMetricsBlock


class NetnsIpv4:
    """Linux: struct netns_ipv4."""

    def __init__(self) -> None:
        # IP
        self.sysctl_ip_forward: i64 = 0
        self.sysctl_ip_default_ttl: i64 = 64
        self.sysctl_ip_no_pmtu_disc: i64 = 0
        self.sysctl_ip_fwd_use_pmtu: i64 = 0
        self.sysctl_ip_nonlocal_bind: i64 = 0
        self.sysctl_ip_early_demux: i64 = 1
        self.sysctl_tcp_early_demux: i64 = 1
        self.sysctl_udp_early_demux: i64 = 1
        self.sysctl_local_port_range: list[int] = [32768, 60999]
        self.sysctl_ip_unprivileged_port_start: i64 = 1024
        self.sysctl_ping_group_range: list[int] = [0, 2147483647]
        self.sysctl_ipfrag_high_thresh: i64 = 4194304
        self.sysctl_ipfrag_low_thresh: i64 = 3145728
        self.sysctl_ipfrag_time: i64 = 30
        self.sysctl_ipfrag_max_dist: i64 = 64
        self.sysctl_rp_filter: i64 = 0
        self.sysctl_accept_local: i64 = 0
        self.sysctl_route_localnet: i64 = 0
        self.sysctl_arp_accept: i64 = 0
        self.sysctl_arp_announce: i64 = 0
        self.sysctl_arp_ignore: i64 = 0
        self.sysctl_arp_filter: i64 = 0
        self.sysctl_arp_notify: i64 = 0
        self.sysctl_accept_redirects: i64 = 1
        self.sysctl_send_redirects: i64 = 1
        self.sysctl_accept_source_route: i64 = 0
        self.sysctl_log_martians: i64 = 0
        self.sysctl_route_min_pmtu: i64 = 552
        self.sysctl_route_mtu_expires: i64 = 600
        self.sysctl_route_min_advmss: i64 = 256
        self.sysctl_route_error_cost: i64 = 1000
        self.sysctl_route_error_burst: i64 = 5000
        self.devconf_dflt: Ipv4Devconf = Ipv4Devconf()  # conf/default: what a new device starts with
        # ICMP
        self.sysctl_icmp_echo_ignore_all: i64 = 0
        self.sysctl_icmp_echo_ignore_broadcasts: i64 = 1
        self.sysctl_icmp_ignore_bogus_error_responses: i64 = 1
        self.sysctl_icmp_ratelimit: i64 = 1000
        self.sysctl_icmp_ratemask: i64 = 0x1818
        self.sysctl_icmp_msgs_per_sec: i64 = 1000
        self.sysctl_icmp_msgs_burst: i64 = 50
        self.sysctl_icmp_errors_use_inbound_ifaddr: i64 = 0
        # TCP
        self.sysctl_tcp_abort_on_overflow: i64 = 0
        self.sysctl_tcp_adv_win_scale: i64 = 1
        self.sysctl_tcp_app_win: i64 = 31
        self.sysctl_tcp_autocorking: i64 = 1
        self.sysctl_tcp_base_mss: i64 = 1024
        self.sysctl_tcp_backlog_ack_defer: i64 = 1
        self.sysctl_tcp_challenge_ack_limit: i64 = 2147483647
        self.sysctl_tcp_comp_sack_delay_ns: i64 = 1000000
        self.sysctl_tcp_comp_sack_nr: i64 = 44
        self.sysctl_tcp_comp_sack_slack_ns: i64 = 100000
        self.sysctl_tcp_congestion_control: str = 'cubic'
        self.sysctl_tcp_dsack: i64 = 1
        self.sysctl_tcp_early_retrans: i64 = 3
        self.sysctl_tcp_ecn: i64 = 2
        self.sysctl_tcp_ecn_fallback: i64 = 1
        self.sysctl_tcp_fack: i64 = 0
        self.sysctl_tcp_fastopen: i64 = 1
        self.sysctl_tcp_fastopen_blackhole_timeout: i64 = 0
        self.sysctl_tcp_fin_timeout: i64 = 60
        self.sysctl_tcp_frto: i64 = 2
        self.sysctl_tcp_invalid_ratelimit: i64 = 500
        self.sysctl_tcp_keepalive_intvl: i64 = 75
        self.sysctl_tcp_keepalive_probes: i64 = 9
        self.sysctl_tcp_keepalive_time: i64 = 7200
        self.sysctl_tcp_limit_output_bytes: i64 = 4194304
        self.sysctl_tcp_max_orphans: i64 = 65536
        self.sysctl_tcp_max_reordering: i64 = 300
        self.sysctl_tcp_max_syn_backlog: i64 = 1024
        self.sysctl_tcp_max_tw_buckets: i64 = 65536
        self.sysctl_tcp_mem: list[int] = [188319, 251094, 376638]
        self.sysctl_tcp_migrate_req: i64 = 0
        self.sysctl_tcp_min_rtt_wlen: i64 = 300
        self.sysctl_tcp_min_snd_mss: i64 = 48
        self.sysctl_tcp_min_tso_segs: i64 = 2
        self.sysctl_tcp_moderate_rcvbuf: i64 = 1
        self.sysctl_tcp_mtu_probe_floor: i64 = 48
        self.sysctl_tcp_mtu_probing: i64 = 0
        self.sysctl_tcp_no_metrics_save: i64 = 0
        self.sysctl_tcp_no_ssthresh_metrics_save: i64 = 1
        self.sysctl_tcp_notsent_lowat: i64 = 4294967295
        self.sysctl_tcp_orphan_retries: i64 = 0
        self.sysctl_tcp_pacing_ca_ratio: i64 = 120
        self.sysctl_tcp_pacing_ss_ratio: i64 = 200
        self.sysctl_tcp_pingpong_thresh: i64 = 1
        self.sysctl_tcp_probe_interval: i64 = 600
        self.sysctl_tcp_probe_threshold: i64 = 8
        self.sysctl_tcp_recovery: i64 = 1
        self.sysctl_tcp_reflect_tos: i64 = 0
        self.sysctl_tcp_reordering: i64 = 3
        self.sysctl_tcp_retrans_collapse: i64 = 1
        self.sysctl_tcp_retries1: i64 = 3
        self.sysctl_tcp_retries2: i64 = 15
        self.sysctl_tcp_rfc1337: i64 = 0
        self.sysctl_tcp_rmem: list[int] = [4096, 131072, 33554432]
        self.sysctl_tcp_rto_max_ms: i64 = 120_000
        self.sysctl_tcp_rto_min_us: i64 = 200000
        self.sysctl_tcp_sack: i64 = 1
        self.sysctl_tcp_shrink_window: i64 = 0
        self.sysctl_tcp_slow_start_after_idle: i64 = 1
        self.sysctl_tcp_stdurg: i64 = 0
        self.sysctl_tcp_syn_linear_timeouts: i64 = 4
        self.sysctl_tcp_syn_retries: i64 = 6
        self.sysctl_tcp_synack_retries: i64 = 5
        self.sysctl_tcp_syncookies: i64 = 1
        self.sysctl_tcp_thin_linear_timeouts: i64 = 0
        self.sysctl_tcp_timestamps: i64 = 1
        self.sysctl_tcp_tso_rtt_log: i64 = 9
        self.sysctl_tcp_tso_win_divisor: i64 = 3
        self.sysctl_tcp_tw_reuse: i64 = 2
        self.sysctl_tcp_tw_reuse_delay: i64 = 1000
        self.sysctl_tcp_window_scaling: i64 = 1
        self.sysctl_tcp_wmem: list[int] = [4096, 16384, 4194304]
        self.sysctl_tcp_workaround_signed_windows: i64 = 0
        # UDP
        self.sysctl_udp_mem: list[int] = [376638, 502188, 753276]
        self.sysctl_udp_rmem_min: i64 = 4096
        self.sysctl_udp_wmem_min: i64 = 4096
        # tables
        self.inetsw: dict[int, list[InetProtosw]] = {}  # socket type -> entries, the last registered first
        self.inet_protos: dict[int, NetProtocol] = {}  # IP protocol -> handler
        self.tcp_hashinfo: InetHashinfo | None = None
        self.tcp_prot: Proto | None = None
        self.udp_prot: Proto | None = None
        self.raw_prot: Proto | None = None
        self.ping_prot: Proto | None = None
        self.congestion_controls: dict[str, TcpCongestionOps] = {}
        self.udp_table: dict[int, list[Sock]] = {}  # local port -> sockets
        self.raw_v4_hash: dict[int, list[Sock]] = {}  # IP protocol -> sockets
        self.ping_table: dict[int, list[Sock]] = {}  # ident -> sockets
        self.fib_main: FibTable | None = None
        self.fib_local: FibTable | None = None
        self.fib_tables: dict[int, FibTable] = {}  # table id -> table
        self.fib_rules: list[FibRule] = []  # empty: local before main, in one merged table
        self.fib_info_list: list[FibInfo] = []
        self.fib_scratch: FibScratch | None = None
        self.inet_addr_lst: dict[int, list[InIfaddr]] = {}  # local address -> where it is
        self.raw_callbacks: RawCallbacks | None = None
        self.ping_callbacks: PingCallbacks | None = None
        self.rt_genid: i64 = 0
        self.arp_tbl: NeighTable | None = None
        self.ip_ident: i64 = 0
        self.ip_frags: object = None  # net/ipv4/ip_fragment.py
        # the output and input functions of routes, registered by the files that implement them
        self.ip_output: DstOutput | None = None
        self.ip_mc_output: DstOutput | None = None
        self.ip_rt_bug: DstOutput | None = None
        self.dst_discard_out: DstOutput | None = None
        self.dst_discard_in: DstInput | None = None
        self.ip_local_deliver: DstInput | None = None
        self.ip_forward: DstInput | None = None
        self.ip_error: DstInput | None = None
        self.tcp_death_row_tw_count: i64 = 0
        self.icmp_global_credit: i64 = 0
        self.icmp_global_stamp: i64 = 0
        self.icmp: object = None  # net/ipv4/icmp.py: its control sockets and rate limits
        self.tcp_memory_pressure_since: i64 = 0  # ns, while TCP's memory is short
        self.challenge_timestamp: i64 = 0
        self.tcp_md5_needed: bool = False  # some socket has had a key (Linux: a static branch)
        self.challenge_count: i64 = 0
        self.syncookie_secret: list[int] = []  # four words, drawn when the first cookie is sent
        self.tcp_fastopen_ctx: TcpFastopenContext | None = None  # net.ipv4.tcp_fastopen_key; None: none was needed yet
        self.tfo_active_disable_times: i64 = 0  # how often Fast Open met a black hole
        self.tfo_active_disable_stamp: i64 = 0  # jiffies: when it did last
        self.tcp_metrics: dict[int, TcpMetricsBlock] = {}  # source address << 32 | destination -> what is known of it


class NetnsCore:
    """Linux: struct netns_core and the sysctls of net.core."""

    def __init__(self) -> None:
        self.sysctl_somaxconn: i64 = 4096
        self.sysctl_wmem_max: i64 = 4194304
        self.sysctl_rmem_max: i64 = 4194304
        self.sysctl_wmem_default: i64 = 212992
        self.sysctl_rmem_default: i64 = 212992
        self.sysctl_optmem_max: i64 = 131072
        self.sysctl_netdev_max_backlog: i64 = 1000
        self.sysctl_netdev_budget: i64 = 300
        self.sysctl_dev_weight: i64 = 64
        self.sysctl_default_qdisc: str = 'pfifo_fast'
        self.sysctl_tstamp_allow_data: i64 = 1
        self.sysctl_gro_normal_batch: i64 = 8
        self.sock_inuse: i64 = 0  # socks alive, as /proc/net/sockstat's 'used' counts them
