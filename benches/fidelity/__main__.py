# SPDX-License-Identifier: Apache-2.0
"""How like the real kernel's TCP is Linnet's? The same bulk transfer on both, over the same wire, and the ratio of goodputs.

    sudo python benches/fidelity [--quick] [--algorithms cubic,reno,bbr] [--loss 0,0.1,1,3] [--rtt 10,80] [--seeds 3] ...

real.py has the kernel send to itself in real time through a wire of ours; virtual.py has Linnet do it in virtual time. Rate,
delay, queue and which packets are lost, by number, are the same. Where there is loss, several patterns are drawn, and the median
of the ratios counts; the ratio of each is printed. Goodput is what the receiving program read in the time from its accept.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import linnet
from linnet import _pure

HERE = Path(__file__).parent
MTU = 1500


def specification(args: argparse.Namespace, algorithm: str, loss: float, rtt: float, seed: int) -> dict[str, Any]:
    """What real.py and virtual.py are told. rate bit/s, delay ns one way, limit packets, lost packet numbers."""
    rate = round(args.rate * 1e6)
    # a packet is lost with the given chance; the numbers are drawn once, for both
    chance = random.Random(f'{loss} {rtt} {seed}')
    packets = int(rate * args.seconds / 8 / MTU * 1.2) + 1000
    lost = [n for n in range(1, packets) if chance.random() < loss / 100]
    limit = args.limit or max(20, round(rate * max(rtt, 20) / 1000 / 8 / MTU))
    return {'algorithm': algorithm, 'rate': rate, 'delay': round(rtt * 500_000), 'limit': limit, 'lost': lost, 'seed': seed,
            'seconds': args.seconds, 'look': args.look, 'sysctls': dict(pair.split('=', 1) for pair in args.sysctl)}


def run(program: str, spec: dict[str, Any]) -> dict[str, Any]:
    """One transfer, in a process of its own."""
    environ = {**os.environ, 'PYTHONPATH': str(Path(linnet.__file__).parents[1])}
    done = subprocess.run([sys.executable, str(HERE / program)], input=json.dumps(spec), capture_output=True, text=True,
                          env=environ, timeout=120 + 30 * spec['seconds'])
    if done.returncode:
        raise SystemExit(f'{program} failed: {done.stderr}')
    result: dict[str, Any] = json.loads(done.stdout)
    result['goodput'] = result['bytes'] * 8e-6 / spec['seconds']
    return result


def describe(result: dict[str, Any]) -> str:
    """The figures beside goodput."""
    rtts = [look[1]['rtt'] / 1000 for look in result['trace']]
    return (f'{result["trace"][-1][1]["retrans"]:5} retrans {result["dropped"]:5} dropped, rtt {statistics.mean(rtts):5.1f} ms'
            + (f', {result["late"]} late' if result['late'] > 5 else ''))


def main() -> None:
    """See the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='5 s, one seed, 0 and 1 %% loss')
    parser.add_argument('--algorithms', default='cubic,reno,bbr')
    parser.add_argument('--loss', default='0,0.1,1,3', help='per cent')
    parser.add_argument('--rtt', default='10,80', help='ms')
    parser.add_argument('--rate', type=float, default=20, help='Mbit/s')
    parser.add_argument('--limit', type=int, default=0, help='queue, packets (0: a bandwidth-delay product, of 20 ms at least)')
    parser.add_argument('--seconds', type=float, default=10)
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--jobs', type=int, default=2, help='transfers of the real kernel at once, and of Linnet at once')
    parser.add_argument('--look', type=float, default=0.1, help='seconds between looks at TCP_INFO')
    parser.add_argument('--sysctl', action='append', default=['tcp_no_metrics_save=1'], help='name=value, on both')
    parser.add_argument('--save', help='write all results, with their traces, as JSON lines')
    args = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit('needs root: it makes network namespaces and TUN devices')
    if args.quick:
        args.seconds, args.seeds, args.loss = 5, 1, '0,1'
    cells = [(algorithm, float(loss), float(rtt)) for algorithm in args.algorithms.split(',') for rtt in args.rtt.split(',')
             for loss in args.loss.split(',')]
    print(f'{args.rate} Mbit/s, {args.seconds} s, goodput in Mbit/s: the kernel ({os.uname().release}), '
          f'Linnet ({_pure.build()}), their ratio')
    out = open(args.save, 'w') if args.save else None  # noqa: SIM115
    outside = 0
    with ThreadPoolExecutor(args.jobs) as reals, ThreadPoolExecutor(args.jobs) as virtuals:
        pending = []
        for cell in cells:
            specs = [specification(args, *cell, seed) for seed in range(1, 1 + (args.seeds if cell[1] else 1))]
            pending.append((cell, [(s, reals.submit(run, 'real.py', s), virtuals.submit(run, 'virtual.py', s)) for s in specs]))
        for (algorithm, loss, rtt), futures in pending:
            pairs = [(spec, real.result(), virtual.result()) for spec, real, virtual in futures]
            ratios = [virtual['goodput'] / real['goodput'] for _, real, virtual in pairs]
            ratio = statistics.median(ratios)
            mark = ' ' if 0.95 <= ratio <= 1.05 else '!'
            outside += mark == '!'
            goodputs = [statistics.median(pair[i]['goodput'] for pair in pairs) for i in (1, 2)]
            print(f'{algorithm:6} {rtt:4g} ms {loss:4g} %  {goodputs[0]:7.3f} {goodputs[1]:7.3f}  {ratio:6.3f}{mark} '
                  f'({" ".join(f"{r:.3f}" for r in ratios)})  kernel: {describe(pairs[0][1])}  linnet: {describe(pairs[0][2])}',
                  flush=True)
            if out:
                for spec, real, virtual in pairs:
                    out.write(json.dumps({'loss': loss, 'rtt': rtt, 'spec': spec, 'real': real, 'virtual': virtual}) + '\n')
    print(f'{len(cells) - outside} of {len(cells)} ratios within 0.95 to 1.05')


if __name__ == '__main__':
    main()
