# SPDX-License-Identifier: Apache-2.0
"""Unmodified programs in virtual time: requests and replies per wall second.

    python benches/bench_programs.py [--requests 2000] [--clients 50] [--repeat 3] [--peers PYTHON]

streams: asyncio on both sides, 64 bytes there and 64 back, one client and then --clients at once. http: a requests.Session
and http.server's threads, connections kept. The lab has two hosts and a link of 1 ms; the same programs run over the
machine's own loopback in the same run, and (streams alone) in simloop and simloom where --peers names a Python 3.12 that has
them: those hand a client's bytes to a server's reader, without segments, acknowledgements, windows or a rate. The order
changes from one repetition to the next; medians are printed last.
"""
from __future__ import annotations

import argparse
import asyncio
import http.server
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import programs_streams as streams

from linnet import Lab, _pure


class Hello(http.server.BaseHTTPRequestHandler):
    """Answers with 64 bytes."""

    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """http.server's name for it."""
        self.send_response(200)
        self.send_header('Content-Length', '64')
        self.end_headers()
        self.wfile.write(b'x' * 64)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""
        return


def fetch(url: str, requests_: int) -> None:
    """One session."""
    import requests
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(requests_):
            if len(session.get(url).content) != 64:
                raise RuntimeError('a reply that was not asked for')


def lab_run(serve: Callable[[], object], ask: Callable[[str], object]) -> None:
    """The two programs on two hosts."""
    with Lab(seed=1) as lab:
        client, server = lab.host('client'), lab.host('server')
        lab.link(client, server, rate='1gbit', delay=streams.DELAY)
        server.spawn(serve, daemon=True)
        client.spawn(later, ask)
        lab.run()


def later(ask: Callable[[str], object]) -> None:
    """When the server listens."""
    time.sleep(0.1)
    ask('server')


def streams_in_the_lab(count: int, requests_: int) -> None:
    """asyncio.run on each side."""
    lab_run(lambda: asyncio.run(streams.serve('0.0.0.0')),
            lambda host: asyncio.run(streams.clients(host, count, requests_)))


def http_in_the_lab(count: int, requests_: int) -> None:
    """One session."""
    lab_run(lambda: http.server.ThreadingHTTPServer(('', 8000), Hello).serve_forever(),
            lambda host: fetch(f'http://{host}:8000/', requests_))


def http_on_loopback(count: int, requests_: int) -> None:
    """The server in a thread."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        fetch(f'http://127.0.0.1:{server.server_port}/', requests_)
    finally:
        server.shutdown()
        server.server_close()


def timed(run: Callable[[int, int], None], count: int, requests_: int) -> float:
    """Replies per wall second."""
    run(1, 10)  # imports and caches
    begin = time.perf_counter()
    run(count, requests_)
    return count * requests_ / (time.perf_counter() - begin)


def peer(python: str, name: str, count: int, requests_: int) -> float:
    """The same by another simulator, in a process of its own."""
    command = [python, str(Path(__file__).with_name('programs_streams.py')), name, str(count), str(requests_)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])['replies_per_s'])


def main() -> None:
    """See the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--requests', type=int, default=2000, help='requests in all, whatever the number of clients')
    parser.add_argument('--clients', type=int, default=50)
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument('--peers', metavar='PYTHON', help='a Python 3.12 that has simloop and simloom')
    args = parser.parse_args()
    ours = f'linnet ({_pure.build()})'
    runs: dict[tuple[str, str], Callable[[], float]] = {}
    for count in (1, args.clients):
        each, what = args.requests // count, f'streams, {count} client{"s" if count > 1 else ""}'
        runs[what, ours] = lambda count=count, each=each: timed(streams_in_the_lab, count, each)  # type: ignore[misc]
        runs[what, 'loopback'] = lambda count=count, each=each: timed(streams.loopback, count, each)  # type: ignore[misc]
        for name in ('simloop', 'simloom') if args.peers else ():
            runs[what, name] = (lambda name=name, count=count, each=each:  # type: ignore[misc]
                                peer(args.peers, name, count, each))
    runs['http', ours] = lambda: timed(http_in_the_lab, 1, args.requests)
    runs['http', 'loopback'] = lambda: timed(http_on_loopback, 1, args.requests)
    got: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    order = list(runs)
    for _ in range(args.repeat):
        for key in order:
            got[key].append(runs[key]())
            print(json.dumps({'what': key[0], 'where': key[1], 'replies_per_s': round(got[key][-1])}), flush=True)
        order = order[1:] + order[:1]
    print(f'Python {sys.version.split()[0]}; medians of {args.repeat}, replies per wall second')
    for (what, where), figures in got.items():
        print(f'{what:<22} {where:<22} {statistics.median(figures):>9,.0f}')


if __name__ == '__main__':
    main()
