# SPDX-License-Identifier: Apache-2.0
"""Running unmodified programs twice over a lossy, delayed link: same results, equal captures, nothing left alive.

Captures are equal byte by byte. Where OpenSSL draws its own randomness (TLS, SSH) bytes cannot be: there the shapes are
held against each other: packets of equal sizes at equal nanoseconds.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linnet import Lab
from linnet.lab import Host

ENHANCED_PACKET = 6  # block type in pcapng
LINK = {'rate': '10mbit', 'delay': '10ms', 'loss': '2 %'}


def once(
    path: Path,
    build: Callable[[Host, Host, list[Any]], None],
    *,
    seed: int = 1,
    link: dict[str, Any] | None = None,
    ipv6: bool = False,
) -> list[Any]:
    """One run: build(client, server, out) spawns the programs, which append to out. Asserts that nothing stays alive."""
    out: list[Any] = []
    with Lab(seed=seed, ipv6=ipv6) as lab:
        client, server = lab.host('client'), lab.host('server')
        lab.link(client, server, **(LINK if link is None else link))
        lab.pcap(path)
        build(client, server, out)
        lab.run()
        lab.close()
        assert lab.live_objects() == {}
        assert not lab.world.sched.tasks
    return out


def need(module: str) -> Any:
    """A third-party package, or the test module is skipped with the reason."""
    return pytest.importorskip(module, reason=f'needs {module}: pip install "linnet-net[programs]"')


def twice(
    tmp_path: Path,
    build: Callable[[Host, Host, list[Any]], None],
    *,
    seed: int = 1,
    link: dict[str, Any] | None = None,
    random_bytes: bool = False,
    ipv6: bool = False,
) -> list[Any]:
    """What the programs reported, the same in both runs; the captures are equal (random_bytes: in shape, else byte by byte), and
    nobody wrote a traceback to stderr.
    """
    noise = io.StringIO()
    with contextlib.redirect_stderr(noise):
        first = once(tmp_path / '1.pcapng', build, seed=seed, link=link, ipv6=ipv6)
        second = once(tmp_path / '2.pcapng', build, seed=seed, link=link, ipv6=ipv6)
    assert first == second
    one, two = tmp_path / '1.pcapng', tmp_path / '2.pcapng'
    assert one.stat().st_size > 500
    if random_bytes:
        assert shapes(one) == shapes(two)
    else:
        assert one.read_bytes() == two.read_bytes()
    assert 'Traceback' not in noise.getvalue(), noise.getvalue()
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
