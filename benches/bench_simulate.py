# SPDX-License-Identifier: Apache-2.0
"""Simulation speed: data segments of 1448 bytes delivered per wall second, and the same path in ns-3 where it is installed.

    python benches/bench_simulate.py [a|c|d] [--seconds 20] [--repeat 3] [--ns3 [PYTHON]]

Paths: a = host -1 Gbit/s, 1 ms- router -100 Mbit/s, 10 ms- host, one bulk flow; c = a with 1 % loss on the second link; d =
eight routers. ns-3 (PyPI: pip install ns3) is run by benches/simulate_ns3.py in turn with ours, and the median of the ratios
is printed.
"""
from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from linnet import Lab
from linnet.include.linux.inet import in_aton
from linnet.include.linux.socket import AF_INET, SOCK_STREAM, Sockaddr
from linnet.kernel import timer
from linnet.net import socket as sys_
from linnet.program.runtime import current_program

MSS = 1448
# Fills the path and half of the router's queue: the flow runs at the rate of the link, and loses nothing by itself.
RCVBUF = 1 << 20


def bulk(path: str, seconds: float, seed: int) -> dict[str, object]:
    """One bulk flow over a path for that many virtual seconds."""
    lab = Lab(seed=seed)
    hops = 8 if path == 'd' else 1
    hosts = [lab.host('sender'), *[lab.router(f'r{i}') for i in range(hops)], lab.host('receiver')]
    for i, (a, b) in enumerate(zip(hosts, hosts[1:], strict=False)):
        if i < len(hosts) - 2:
            lab.link(a, b, rate='1gbit', delay='1ms')
        else:
            link = lab.link(a, b, rate='100mbit', delay='10ms')
            if path == 'c':
                link.set(direction=a, loss=0.01)
    sender, receiver = hosts[0], hosts[-1]
    receiver.sysctl('net.ipv4.tcp_rmem', f'4096 131072 {RCVBUF}')
    got = [0]

    def receive() -> None:
        me = current_program()
        fd = sys_.sys_socket(me, AF_INET, SOCK_STREAM, 0)
        sys_.sys_bind(me, fd, Sockaddr(AF_INET, 0, 5001))
        sys_.sys_listen(me, fd, 5)
        child, _ = sys_.sys_accept4(me, fd, 0)
        while data := sys_.sys_recvfrom(me, child, 1 << 18, 0)[0]:
            got[0] += len(data)

    def send() -> None:
        me = current_program()
        fd = sys_.sys_socket(me, AF_INET, SOCK_STREAM, 0)
        sys_.sys_connect(me, fd, Sockaddr(AF_INET, in_aton(receiver.addr), 5001))
        block = bytes(1 << 20)
        while True:
            sys_.sys_sendto(me, fd, block, 0, None)
    receiver.spawn(receive, daemon=True)
    sender.spawn(send)
    begin = time.perf_counter()
    lab.run(until=seconds)
    wall = time.perf_counter() - begin
    counters = sender.nstat()
    lab.close()
    segments = got[0] // MSS
    return {'segments': segments, 'wall_s': round(wall, 3), 'segments_per_s': round(segments / wall),
            'goodput_mbit': round(got[0] * 8e-6 / seconds, 2), 'retrans': counters.get('TcpRetransSegs', 0)}


def main() -> None:
    """See the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('path', nargs='?', default='a', choices='acd')
    parser.add_argument('--seconds', type=float, default=20)
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument('--ns3', nargs='?', const=sys.executable, metavar='PYTHON',
                        help='the interpreter that has ns-3 (pip install ns3)')
    args = parser.parse_args()
    build = 'interpreted' if (timer.__file__ or '').endswith('.py') else 'compiled'
    ratios, ours, theirs = [], [], []
    for seed in range(1, args.repeat + 1):
        result = bulk(args.path, args.seconds, seed)
        ours.append(result['segments_per_s'])
        print(json.dumps({'stack': f'linnet ({build})', 'path': args.path, **result}), flush=True)
        if args.ns3:
            command = [args.ns3, str(Path(__file__).with_name('simulate_ns3.py')), args.path, str(args.seconds), str(seed)]
            peer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            theirs.append(peer['segments_per_s'])
            ratios.append(ours[-1] / theirs[-1])
            print(json.dumps({'stack': 'ns-3', 'path': args.path, **peer}), flush=True)
    print(f'linnet ({build}): median {statistics.median(ours):,.0f} segments a wall second')
    if ratios:
        print(f'ns-3: median {statistics.median(theirs):,.0f}; median of the ratios {statistics.median(ratios):.2f}')


if __name__ == '__main__':
    main()
