# SPDX-License-Identifier: Apache-2.0
"""A world with one bare host, which leaves nothing behind: no packet, no device that is up."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers.devices import bare_net, bare_world
from linnet.include.net.net_namespace import Net, World
from linnet.net.core.dev import dev_close


@pytest.fixture
def world() -> Iterator[World]:
    w = bare_world()
    yield w
    for net in w.nets:
        for dev in net.dev_base:
            dev_close(dev)
    assert w.slab.active() == {}


@pytest.fixture
def net(world: World) -> Net:
    return bare_net(world)
