# SPDX-License-Identifier: Apache-2.0
"""IPv6's tables: whatever comes and goes, the longest prefix is found, siblings know one another, and nothing stays behind."""
from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.route6 import Routes
from linnet.include.linux.in6 import in6_ntop, in6_prefix_mask
from linnet.include.net.flow import Flowi6
from linnet.include.net.ip6_fib import Fib6Config
from linnet.net.ipv6.ip6_fib import fib6_del, fib6_get_table, fib6_walk
from linnet.net.ipv6.route import ip6_route_add
from linnet.net.ipv6.route_lookup import fib6_table_lookup

TABLE = 7
# addresses that share their first 0 to 8 bits, and differ at the far end, too
ADDRESSES = st.builds(lambda high, low: (high << 120) | low, st.integers(0, 255), st.integers(0, 3))
ROUTES = st.tuples(ADDRESSES, st.sampled_from([0, 1, 3, 7, 8, 64, 127, 128]), st.sampled_from([10, 20]), st.integers(0, 3),
                   st.booleans())


@settings(max_examples=60, deadline=None)
@given(st.lists(ROUTES, max_size=40), st.lists(st.integers(0, 9999), max_size=30), st.lists(ADDRESSES, min_size=1, max_size=20))
def test_the_longest_prefix(routes: list[tuple[int, int, int, int, bool]], removed: list[int], sought: list[int]) -> None:
    host = Routes()
    net = host.net
    for address, plen, metric, gateway, append in routes:
        cfg = Fib6Config()
        cfg.fc_table, cfg.fc_dst, cfg.fc_dst_len, cfg.fc_metric = TABLE, address & in6_prefix_mask(plen), plen, metric
        cfg.fc_gateway = (0xFE80 << 112) | gateway if gateway else 0
        cfg.fc_ifindex, cfg.fc_append = host.devices['d0'].ifindex, append
        ip6_route_add(net, cfg)
    table = fib6_get_table(net, TABLE)
    if table is None:
        return
    for number in removed:
        left = fib6_walk(table)
        if left:
            assert fib6_del(net, left[number % len(left)]) == 0
    left = fib6_walk(table)
    assert table.count == len(left)
    assert table.lengths == sorted({int(f6i.fib6_dst_len) for f6i in left}, reverse=True)
    for f6i in left:
        group = [f6i, *f6i.fib6_siblings]
        assert all(set(other.fib6_siblings) == set(group) - {other} for other in group)
        assert len({(other.fib6_dst, other.fib6_dst_len, other.fib6_metric) for other in group}) == 1
    for address in sought:
        fl6 = Flowi6()
        fl6.daddr = address
        found = fib6_table_lookup(net, table, 0, fl6, 0)
        fits = [f6i for f6i in left if (address ^ f6i.fib6_dst) >> int(128 - f6i.fib6_dst_len) == 0]
        if not fits:
            assert found is None
            continue
        longest = max(f6i.fib6_dst_len for f6i in fits)
        lowest = min(f6i.fib6_metric for f6i in fits if f6i.fib6_dst_len == longest)
        assert found is not None, in6_ntop(address)
        assert (found.fib6_dst_len, found.fib6_metric, found in fits) == (longest, lowest, True)
