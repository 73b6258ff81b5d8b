# SPDX-License-Identifier: Apache-2.0
"""Linnet on a TUN device against the kernel, and in turn, in the same run, the kernel against itself through a forwarder.

    sudo python benches/bench_tun.py [--seconds 2] [--repeat 3] [--no-offload] [--tap]

The client (benches/tun_peer.py) always runs on the kernel in a namespace. Its server runs on Linnet, behind a TUN of that
namespace; or on the kernel in a second namespace, behind benches/tun_forwarder.py, which is the ceiling of Python on TUN.
Exchanges and connections are measured with every process on one core, too ("1c"): else it is mostly the wake-up across
cores that is measured. The median of the rounds' ratios is what lasts.
"""
from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import linnet
from linnet import _pure

HERE = Path(__file__).parent
PEER = [sys.executable, str(HERE / 'tun_peer.py')]
LINNET = [sys.executable, '-c', 'from linnet.cli import main; main()', 'exec']
SERVER = '10.77.0.2'
WHAT = {'send': 'kernel -> it, Gbit/s', 'receive': 'it -> kernel, Gbit/s', 'rr': 'exchanges/s', 'rr 1c': 'exchanges/s, 1c',
        'cps': 'connections/s', 'cps 1c': 'connections/s, 1c', 'ping': 'ping, us'}


class Bench:
    """One round on one of the two: namespaces, processes, figures."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.spaces: list[str] = []
        self.children: list[subprocess.Popen[str]] = []
        self.environ = {**os.environ, 'PYTHONPATH': str(Path(linnet.__file__).parents[1])}

    def space(self) -> str:
        """A new namespace."""
        name = f'bench{os.getpid()}n{len(self.spaces)}'
        subprocess.run(['ip', 'netns', 'add', name], check=True)
        self.spaces.append(name)
        for command in (['ip', 'link', 'set', 'lo', 'up'], ['sysctl', '-q', 'net.ipv4.ip_local_port_range=1025 65000'],
                        ['sysctl', '-q', 'net.ipv4.tcp_tw_reuse=1']):
            subprocess.run(['ip', 'netns', 'exec', name, *command], check=True)
        return name

    def start(self, space: str, command: Sequence[str]) -> None:
        """A process in the namespace; it says 'ready'."""
        child = subprocess.Popen(['ip', 'netns', 'exec', space, *command], stdout=subprocess.PIPE, text=True, env=self.environ)
        self.children.append(child)
        assert child.stdout is not None
        if child.stdout.readline() != 'ready\n':
            raise SystemExit(f'{command} did not come up')

    def measure(self) -> dict[str, float]:
        """All figures."""
        client = self.spaces[0]
        found: dict[str, float] = {}
        cores = os.sched_getaffinity(0)
        for what in WHAT:
            kind, _, pinned = what.partition(' ')
            cpus = {max(cores)} if pinned else cores
            for child in self.children:
                for task in Path(f'/proc/{child.pid}/task').iterdir():
                    os.sched_setaffinity(int(task.name), cpus)
            command = ['taskset', '-c', ','.join(map(str, sorted(cpus)))]
            if kind == 'ping':
                command += ['ping', '-q', '-i', '0.002', '-c', str(int(self.seconds * 250)), SERVER]
            else:
                command += [*PEER, kind, SERVER, str(self.seconds)]
            done = subprocess.run(['ip', 'netns', 'exec', client, *command], capture_output=True, text=True, timeout=120)
            if done.returncode:
                raise SystemExit(f'{what}: {done.stdout}{done.stderr}')
            times = re.search(r'= [\d.]+/([\d.]+)/', done.stdout)
            found[what] = float(times[1]) * 1000 if times is not None else float(done.stdout)
        return found

    def close(self) -> None:
        """End what was started."""
        for child in self.children:
            child.terminate()
            child.wait()
        for name in self.spaces:
            subprocess.run(['ip', 'netns', 'del', name], check=True)


def one_round(peer: str, seconds: float, options: Sequence[str]) -> dict[str, float]:
    """Linnet, or the forwarder."""
    bench = Bench(seconds)
    try:
        client = bench.space()
        if peer == 'linnet':
            bench.start(client, [*LINNET, *options, '--', *PEER, 'serve'])
        else:
            server = bench.space()
            bench.start(client, [sys.executable, str(HERE / 'tun_forwarder.py'), server])
            bench.start(server, [*PEER, 'serve'])
        return bench.measure()
    finally:
        bench.close()


def main() -> None:
    """See the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=2, help='of each figure')
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument('--no-offload', action='store_true', help="Linnet without super-segments (the forwarder keeps them)")
    parser.add_argument('--tap', action='store_true', help='Linnet on a TAP')
    args = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit('needs root: it makes network namespaces and TUN devices')
    options = ['--tap' if args.tap else '--tun', 'linnet0', *(['--no-offload'] if args.no_offload else [])]
    rounds = [(one_round('linnet', args.seconds, options), one_round('forwarder', args.seconds, [])) for _ in range(args.repeat)]
    print(f'linnet {linnet.__version__}, {_pure.build()}, {" ".join(options)}; Python {sys.version.split()[0]}; '
          f'median of {len(rounds)}')
    print(f'{"":28}{"linnet":>12}{"forwarder":>12}{"ratio":>8}   (ratios of the rounds)')
    for what, text in WHAT.items():
        ratios = [ours[what] / theirs[what] for ours, theirs in rounds]
        ours, theirs = (statistics.median(each[i][what] for each in rounds) for i in (0, 1))
        digits = 2 if ours < 100 else 0
        print(f'{text:28}{ours:>12,.{digits}f}{theirs:>12,.{digits}f}{statistics.median(ratios):>8.2f}   '
              + ' '.join(f'{ratio:.2f}' for ratio in ratios))


if __name__ == '__main__':
    main()
