# SPDX-License-Identifier: Apache-2.0
"""The forwarding information base: routes as configured (fib_info, fib_nh), and the answer of a look-up (fib_result)."""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from linnet.include.net.flow import Flowi4

if TYPE_CHECKING:
    from linnet.include.linux.netdevice import NetDevice
    from linnet.include.net.route import Rtable

RTN_UNSPEC: Final = 0
RTN_UNICAST: Final = 1
RTN_LOCAL: Final = 2
RTN_BROADCAST: Final = 3
RTN_ANYCAST: Final = 4
RTN_MULTICAST: Final = 5
RTN_BLACKHOLE: Final = 6
RTN_UNREACHABLE: Final = 7
RTN_PROHIBIT: Final = 8
RTN_THROW: Final = 9

RTPROT_UNSPEC: Final = 0
RTPROT_REDIRECT: Final = 1
RTPROT_KERNEL: Final = 2
RTPROT_BOOT: Final = 3
RTPROT_STATIC: Final = 4

RT_SCOPE_UNIVERSE: Final = 0
RT_SCOPE_SITE: Final = 200
RT_SCOPE_LINK: Final = 253
RT_SCOPE_HOST: Final = 254
RT_SCOPE_NOWHERE: Final = 255

RT_TABLE_DEFAULT: Final = 253
RT_TABLE_MAIN: Final = 254
RT_TABLE_LOCAL: Final = 255

RTNH_F_DEAD: Final = 1
RTNH_F_ONLINK: Final = 4
RTNH_F_LINKDOWN: Final = 16


class FibNh:
    """Linux: struct fib_nh: one next hop. gw 0: the destination is on the link. The last route made is cached on it."""

    def __init__(self, dev: NetDevice | None, gw: i64 = 0, weight: i64 = 1) -> None:
        self.nh_dev: NetDevice | None = dev
        self.nh_oif: i64 = 0 if dev is None else dev.ifindex
        self.nh_gw: i64 = gw
        self.nh_scope: i64 = RT_SCOPE_LINK if gw == 0 else RT_SCOPE_UNIVERSE
        self.nh_weight: i64 = weight
        self.nh_flags: i64 = 0
        self.nh_saddr: i64 = 0
        self.nh_saddr_genid: i64 = -1
        self.nh_rth_output: Rtable | None = None
        self.nh_rth_input: Rtable | None = None
        self.nh_exceptions: dict[int, FibNhException] = {}  # destination -> what the network told about it


class FibNhException:
    """Linux: struct fib_nh_exception: a learnt path MTU or redirect for one destination. expires in ns."""

    def __init__(self, daddr: i64) -> None:
        self.fnhe_daddr: i64 = daddr
        self.fnhe_gw: i64 = 0
        self.fnhe_pmtu: i64 = 0
        self.fnhe_mtu_locked: bool = False
        self.fnhe_expires: i64 = 0
        self.fnhe_rth_output: Rtable | None = None
        self.fnhe_rth_input: Rtable | None = None


class FibInfo:
    """Linux: struct fib_info: what routes share: next hops, metrics, preferred source, priority."""

    def __init__(self) -> None:
        self.fib_nh: list[FibNh] = []
        self.fib_protocol: i64 = RTPROT_BOOT
        self.fib_scope: i64 = RT_SCOPE_UNIVERSE
        self.fib_type: i64 = RTN_UNICAST
        self.fib_prefsrc: i64 = 0
        self.fib_priority: i64 = 0
        self.fib_flags: i64 = 0
        self.fib_dead: bool = False  # gone from the tables, or about to
        self.fib_treeref: i64 = 0  # routes that use it
        self.fib_metrics: dict[int, int] = {}  # RTAX_* -> value


class FibAlias:
    """Linux: struct fib_alias: one route to a prefix; those of a prefix are ordered by TOS and priority."""

    def __init__(self, fa_info: FibInfo, fa_tos: i64, fa_type: i64, tb_id: i64 = RT_TABLE_MAIN) -> None:
        self.tb_id: i64 = tb_id  # local's routes stand in main's trie until there are rules
        self.fa_info: FibInfo = fa_info
        self.fa_tos: i64 = fa_tos
        self.fa_type: i64 = fa_type


class FibResult:
    """Linux: struct fib_result."""

    def __init__(self) -> None:
        self.prefix: i64 = 0
        self.prefixlen: i64 = 0
        self.nh_sel: i64 = 0
        self.type: i64 = RTN_UNSPEC
        self.scope: i64 = 0
        self.fi: FibInfo | None = None
        self.table: FibTable | None = None


class FibConfig:
    """Linux: struct fib_config: a route as `ip route add` gives it."""

    def __init__(self) -> None:
        self.fc_dst: i64 = 0
        self.fc_dst_len: i64 = 0
        self.fc_tos: i64 = 0
        self.fc_protocol: i64 = RTPROT_BOOT
        self.fc_scope: i64 = RT_SCOPE_UNIVERSE
        self.fc_type: i64 = RTN_UNICAST
        self.fc_table: i64 = RT_TABLE_MAIN
        self.fc_oif: i64 = 0
        self.fc_gw: i64 = 0
        self.fc_priority: i64 = 0
        self.fc_prefsrc: i64 = 0
        self.fc_onlink: bool = False
        self.fc_mx: dict[int, int] = {}
        self.fc_nexthops: list[FibNh] = []  # multipath
        self.fc_replace: bool = False


class FibTable:
    """Linux: struct fib_table. The look-up is net/ipv4/fib_trie.py's fib_table_lookup."""

    def __init__(self, id: int) -> None:
        self.tb_id: int = id
        self.prefixes: list[dict[int, list[FibAlias]]] = [{} for _ in range(33)]  # [prefix length][network] -> aliases
        self.lengths: list[int] = []  # the prefix lengths in use, longest first
        self.count: int = 0


class FibRule:
    """Linux: struct fib_rule: which table answers. Without any, local comes before main."""

    def __init__(self, pref: int, table: int) -> None:
        self.pref: int = pref
        self.table: int = table
        self.src: i64 = 0
        self.src_len: i64 = 0
        self.dst: i64 = 0
        self.dst_len: i64 = 0
        self.iifindex: i64 = 0
        self.oifindex: i64 = 0
        self.mark: i64 = 0

    def match(self, fl4: Flowi4) -> bool:
        """Does this rule hold for a look-up?"""
        if self.src_len != 0 and ((fl4.saddr ^ self.src) >> (32 - self.src_len)) != 0:
            return False
        if self.dst_len != 0 and ((fl4.daddr ^ self.dst) >> (32 - self.dst_len)) != 0:
            return False
        if self.iifindex != 0 and self.iifindex != fl4.flowi4_iif:
            return False
        if self.oifindex != 0 and self.oifindex != fl4.flowi4_oif:
            return False
        return self.mark == 0 or self.mark == fl4.flowi4_mark


class FibScratch:
    """The look-up structures of the packet path, one set a Net: a look-up ends before the next begins, so none is allocated."""

    def __init__(self) -> None:
        self.fl4: Flowi4 = Flowi4()
        self.res: FibResult = FibResult()
        self.src_fl4: Flowi4 = Flowi4()
        self.src_res: FibResult = FibResult()
        self.out_res: FibResult = FibResult()
