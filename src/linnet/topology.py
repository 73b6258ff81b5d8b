# SPDX-License-Identifier: Apache-2.0
"""Default routes of a lab: for each host the next hop of a shortest path to every subnet, found when the lab first runs.

Only routers are passed through. A host whose every path starts at one neighbour gets one default route; others get a route
a subnet.
"""
from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from linnet.include.linux.socket import AF_INET

if TYPE_CHECKING:
    from linnet.lab import Host, Port


def next_hops(start: Host, family: int = AF_INET) -> dict[tuple[int, int], Port]:
    """Subnet (network, length) -> the neighbour's port through which it is reached; subnets on the host's own links are
    left out.
    """
    own = {port.subnet(family) for port in start.ports}
    found: dict[tuple[int, int], Port] = {}
    seen = {start.name}
    queue: deque[tuple[Host, Port | None]] = deque([(start, None)])
    while queue:
        host, first = queue.popleft()
        for port in host.ports:
            subnet = port.subnet(family)
            if subnet is not None and first is not None and subnet not in own:
                found.setdefault(subnet, first)
        if host is not start and not host.forwards:
            continue
        for port in host.ports:
            peer = port.peer
            if peer.host.name in seen or port.subnet(family) is None:
                continue
            seen.add(peer.host.name)
            queue.append((peer.host, peer if first is None else first))
    return found


def routes(start: Host, family: int = AF_INET) -> list[tuple[int, int, int]]:
    """(network, length, gateway address) of the routes that the host needs beside its own links."""
    hops = next_hops(start, family)
    gateways = {port.address(family) for port in hops.values()}
    if len(gateways) == 1 and not start.forwards:
        return [(0, 0, gateways.pop())]
    return [(net, bits, port.address(family)) for (net, bits), port in sorted(hops.items())]
