# SPDX-License-Identifier: Apache-2.0
"""Running unmodified programs twice over a lossy, delayed link: same results, equal captures, nothing left alive."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from linnet import Lab
from linnet.lab import Host

ENHANCED_PACKET = 6  # block type in pcapng
LINK = {'rate': '10mbit', 'delay': '10ms', 'loss': '2 %'}


def once(
    path: Path, build: Callable[[Host, Host, list[Any]], None], *, seed: int = 1, link: dict[str, Any] | None = None
) -> list[Any]:
    """One run: build(client, server, out) spawns the programs, which append to out. Asserts that nothing stays alive."""
    out: list[Any] = []
    with Lab(seed=seed) as lab:
        client, server = lab.host('client'), lab.host('server')
        lab.link(client, server, **(LINK if link is None else link))
        lab.pcap(path)
        build(client, server, out)
        lab.run()
        lab.close()
        assert lab.live_objects() == {}
        assert not lab.world.sched.tasks
    return out


def twice(
    tmp_path: Path, build: Callable[[Host, Host, list[Any]], None], *, seed: int = 1, link: dict[str, Any] | None = None
) -> list[Any]:
    """What the programs reported, the same in both runs; the captures are equal byte by byte, and nobody wrote to stderr."""
    noise = io.StringIO()
    with contextlib.redirect_stderr(noise):
        first = once(tmp_path / '1.pcapng', build, seed=seed, link=link)
        second = once(tmp_path / '2.pcapng', build, seed=seed, link=link)
    assert first == second
    capture = (tmp_path / '1.pcapng').read_bytes()
    assert len(capture) > 500
    assert capture == (tmp_path / '2.pcapng').read_bytes()
    assert 'Traceback' not in noise.getvalue()
    assert 'destroyed' not in noise.getvalue()
    return first


def shapes(path: Path) -> list[tuple[int, int]]:
    """(time in ns, size) of every packet of a capture: what two runs have in common where the bytes are OpenSSL's."""
    data, at, out = path.read_bytes(), 0, []
    while at < len(data):
        kind, length = struct.unpack_from('<II', data, at)
        if kind == ENHANCED_PACKET:
            high, low, size = struct.unpack_from('<III', data, at + 12)
            out.append((high << 32 | low, size))
        at += length
    return out
