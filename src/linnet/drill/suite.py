# SPDX-License-Identifier: Apache-2.0
"""Many scripts: found, run (each in a world of its own, over several processes), and summed up.

A variant stands for the options that packetdrill's own runner passes: addresses, and words that scripts leave to it.
"""
from __future__ import annotations

import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Final

from linnet.drill.config import Config
from linnet.drill.run import Runner, load
from linnet.drill.script import DrillError
from linnet.include.linux.in6 import in6_pton
from linnet.walk.render import tree_lines

FIXED: Final = frozenset({'ip_version'})  # a script's own addresses win: cookies of Fast Open depend on them
V4_DEFINES: Final = {'TFO_COOKIE': '3021b9d889017eeb', 'CODE': 'host_unreachable'}
V6_DEFINES: Final = {'TFO_COOKIE': 'c1d1e9742a47a9bc', 'CODE': 'address_unreachable'}
V4_ERRORS: Final = {'CMSG_LEVEL_IP': 'SOL_IP', 'CMSG_TYPE_RECVERR': 'IP_RECVERR'}
V6_ERRORS: Final = {'CMSG_LEVEL_IP': 'SOL_IPV6', 'CMSG_TYPE_RECVERR': 'IPV6_RECVERR'}
VARIANTS: Final = {
    'ipv4': Config(defines=V4_DEFINES | V4_ERRORS, fixed=FIXED),
    # 20 bytes more than over IPv4, so that segments have the same size
    'ipv6': Config(ip_version='ipv6', local=in6_pton('fd3d:0a0b:17d6::1'), remote=in6_pton('fd3d:fa7b:d17d::1'), prefixlen=64,
                   mtu=1520, defines=V6_DEFINES | V6_ERRORS, fixed=FIXED | {'mtu'}),
    'ipv4-mapped-ipv6': Config(ip_version='ipv4-mapped-ipv6', defines=V4_DEFINES | V6_ERRORS, fixed=FIXED),
}


@dataclass
class Outcome:
    """How a script went: status passed, failed or skipped; text says why it failed, or, with -v, what was seen."""

    path: str
    variant: str
    status: str
    text: str
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """For --json."""
        return asdict(self)


def find_scripts(paths: list[Path]) -> list[Path]:
    """The .pkt files under the paths, in order, each once. FileNotFoundError for a path that is not there."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            for script in sorted(path.rglob('*.pkt')):
                found[script] = None
        elif path.is_file():
            found[path] = None
        else:
            raise FileNotFoundError(path)
    return list(found)


def run_one(path: Path, variant: str, verbose: bool = False, captures: Path | None = None, walk: bool = False) -> Outcome:
    """Run one script; whatever goes wrong is its outcome. captures: the folder for the packets of one that fails; walk: with
    the functions entered since the last packet that came as expected (the stack must run interpreted).
    """
    start = perf_counter()
    config = replace(VARIANTS[variant], verbose=verbose, walk=walk)
    if path.name.endswith('v6.pkt'):
        if variant != 'ipv6':
            return Outcome(str(path), variant, 'skipped', 'for IPv6', 0.0)
        config.mtu = 1500  # its segments are those of IPv6
    runner: Runner | None = None
    try:
        runner = load(path, config)
        runner.run()
        status, text = 'passed', ''
    except DrillError as exc:
        status, text = 'failed', str(exc)
    except Exception:
        status, text = 'failed', f'{path}: the stack raised an exception\n{traceback.format_exc().rstrip()}'
    if runner is not None:
        text = '\n'.join([*runner.lines, *([text] if text else [])])
        if status == 'failed' and runner.recorder is not None:
            rows = runner.recorder.rows[runner.seen_rows:]
            text += ''.join(f'\n{line.plain}' for line in tree_lines(rows)) or '\n   no function of the stack was entered since'
        if status == 'failed' and captures is not None:
            capture = captures / f'{path.parent.name}-{path.stem}-{variant}.pcapng'
            runner.write_pcap(capture)
            text += f'\ncapture: {capture}'
    return Outcome(str(path), variant, status, text, perf_counter() - start)


def _run_one(job: tuple[Path, str, bool, Path | None, bool]) -> Outcome:
    return run_one(*job)


def run_suite(paths: list[Path], variants: tuple[str, ...], jobs: int, verbose: bool = False,
              captures: Path | None = None, walk: bool = False) -> Iterator[Outcome]:
    """Run them all, in order; jobs: how many at a time; the rest as in run_one()."""
    work = [(path, variant, verbose, captures, walk) for path in find_scripts(paths) for variant in variants]
    if jobs <= 1 or len(work) <= 1:
        yield from map(_run_one, work)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_run_one, work, chunksize=2)


def count(outcomes: list[Outcome]) -> str:
    """The last line."""
    number = {status: sum(outcome.status == status for outcome in outcomes) for status in ('passed', 'failed', 'skipped')}
    return ', '.join(f'{n} {status}' for status, n in number.items())
