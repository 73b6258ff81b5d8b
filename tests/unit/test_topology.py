# SPDX-License-Identifier: Apache-2.0
"""topology.py: the routes that a lab finds by itself."""

from __future__ import annotations

from linnet import Lab, topology
from linnet.include.linux.inet import in_ntoa


def routes(host: object) -> list[str]:
    return [f'{in_ntoa(net)}/{bits} via {in_ntoa(gw)}' for net, bits, gw in topology.routes(host)]  # type: ignore[arg-type]


def test_a_chain_of_routers() -> None:
    with Lab() as lab:
        a, r1, r2, b = lab.host('a'), lab.router('r1'), lab.router('r2'), lab.host('b')
        lab.link(a, r1)
        lab.link(r1, r2)
        lab.link(r2, b)
        assert routes(a) == ['0.0.0.0/0 via 198.18.0.2']
        assert routes(b) == ['0.0.0.0/0 via 198.18.2.1']
        assert routes(r1) == ['198.18.2.0/24 via 198.18.1.2']
        assert routes(r2) == ['198.18.0.0/24 via 198.18.1.1']


def test_the_shortest_way_and_never_through_a_host() -> None:
    with Lab() as lab:
        a, b, c = lab.host('a'), lab.host('b'), lab.host('c')
        r, s = lab.router('r'), lab.router('s')
        lab.link(a, b)  # 198.18.0: b forwards nothing
        lab.link(b, c)  # 198.18.1
        lab.link(a, r)  # 198.18.2
        lab.link(r, s)  # 198.18.3
        lab.link(s, c)  # 198.18.4
        assert routes(a) == ['198.18.1.0/24 via 198.18.0.2', '198.18.3.0/24 via 198.18.2.2', '198.18.4.0/24 via 198.18.2.2']


def test_a_host_alone_and_links_without_addresses() -> None:
    with Lab() as lab:
        a, b = lab.host('a'), lab.host('b')
        lab.link(a, b, subnet='')
        assert routes(a) == []
        assert a.ports[0].subnet() is None
