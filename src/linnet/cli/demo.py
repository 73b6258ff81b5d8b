# SPDX-License-Identifier: Apache-2.0
"""`linnet demo`: an unmodified web server and an unmodified client on a small internet, and a look at what TCP did."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from linnet import units
from linnet.lab import Lab
from linnet.program import clocks
from linnet.report.plot import plot
from linnet.report.ss import ss

STEP = 0.1  # virtual seconds between two looks at the download
STEPS_OF_CONNECT = {
    'sys_connect',
    'tcp_v4_connect',
    'tcp_connect',
    'tcp_transmit_skb',
    'ip_queue_xmit',
    'ip_output',
    'dev_queue_xmit',
    'dev_hard_start_xmit',
    'ip_rcv',
    'tcp_v4_rcv',
    'tcp_conn_request',
    'tcp_v4_send_synack',
    'tcp_rcv_state_process',
    'tcp_v4_syn_recv_sock',
}


class Download:
    """The client's side of the demo, and what was seen of it."""

    def __init__(self, lab: Lab, size: int, progress: Progress) -> None:
        self.lab = lab
        self.size = size
        self.progress = progress
        self.bar = progress.add_task('download', total=size)
        self.received = 0
        self.samples: list[int] = []
        self.sockets = ''
        self.seconds = 0.0

    def fetch(self) -> None:
        """The client: urllib.request, as anybody writes it."""
        before = time.monotonic()
        with urllib.request.urlopen('http://server:8000/data') as response:
            while chunk := response.read(65536):
                self.received += len(chunk)
                self.progress.update(self.bar, completed=self.received)
                if not self.sockets and self.received > self.size // 2:
                    self.sockets = ss(self.lab.hosts['server'].net, listening=False)
        self.seconds = time.monotonic() - before

    def watch(self) -> None:
        """Look at the download once a step."""
        while True:
            self.samples.append(self.received)
            clocks.sleep(STEP)


@click.command()
@click.option('--size', default=10_000_000, show_default=True, help='Bytes to download.')
@click.option('--rate', default='100mbit', show_default=True, help='Rate of both links.')
@click.option('--delay', default='10ms', show_default=True, help='One-way delay of the path: the round trip is twice that.')
@click.option('--loss', default='1 %', show_default=True, help='Share of packets lost on the way to the client.')
@click.option('--seed', default=1, show_default=True, help='The world follows from it.')
@click.option(
    '--pcap',
    default='demo.pcapng',
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help='Where the capture goes.',
)
@click.option('--walk/--no-walk', default=True, show_default=True, help='Show the walk of connect().')
def command(size: int, rate: str, delay: str, loss: str, seed: int, pcap: Path, walk: bool) -> None:
    """client — router — server: http.server serves, urllib.request downloads, both unmodified, in virtual time."""
    try:
        units.rate(rate), units.time_ns(delay), units.share(loss)
    except ValueError as exc:
        raise click.UsageError(str(exc)) from None
    console = Console()
    console.print(f'[bold]client ── router ── server[/bold]  {rate}, {delay} each way, {loss} loss, seed {seed}', highlight=False)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Lab(seed=seed) as lab:
        Path(folder, 'data').write_bytes(random.Random(seed).randbytes(size))
        os.utime(Path(folder, 'data'), ns=(lab.world.clock.epoch_ns, lab.world.clock.epoch_ns))  # http.server tells a file's age
        client, router, server = lab.host('client'), lab.router('router'), lab.host('server')
        lab.link(client, router, rate=rate, delay='0.1ms')
        wan = lab.link(router, server, rate=rate, delay=delay)
        wan.set(direction=server, loss=loss)
        lab.pcap(pcap, client.ports[0])
        columns = (TextColumn('{task.description}'), BarColumn(40), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=console) as progress:
            download = Download(lab, size, progress)
            web = server.spawn(['-m', 'http.server', '8000', '--directory', folder], name='http.server', daemon=True)
            web.stdout = web.stderr = io.StringIO()
            client.spawn(download.fetch, name='urllib')
            client.spawn(download.watch, name='watch', daemon=True)
            lab.run()
        wall = time.perf_counter() - started
        report(console, download, server.nstat(), wall, pcap)
    if walk:
        print_walk(console)


def report(console: Console, download: Download, counters: dict[str, int], wall: float, pcap: Path) -> None:
    """What happened, in figures and a plot."""
    seconds = download.seconds
    console.print(
        f'{download.received:,} bytes in {seconds:.2f} virtual seconds ({download.received * 8e-6 / seconds:.1f} Mbit/s), '
        f'{wall:.2f} s of yours',
        highlight=False,
    )
    names = ('TcpOutSegs', 'TcpRetransSegs', 'TcpExtTCPRenoRecovery', 'TcpExtTCPFastRetrans', 'TcpExtTCPTimeouts')
    console.print('the server counted: ' + ', '.join(f'{n} {counters[n]:,}' for n in names if n in counters),
                  highlight=False, soft_wrap=True)
    console.print('\n[bold]the connection half way, as ss -ti prints it[/bold]')
    console.print(download.sockets, highlight=False, soft_wrap=True)
    rates = [(b - a) * 8e-6 / STEP for a, b in zip(download.samples, download.samples[1:], strict=False)]
    console.print('\n[bold]throughput[/bold]')
    for line in plot(rates, width=56, unit='Mbit/s', span=f'{seconds:.1f} s'):
        console.print(line, highlight=False)
    console.print(f'\ncapture: {pcap} ({pcap.stat().st_size:,} bytes; open it with Wireshark)', highlight=False, soft_wrap=True)


def print_walk(console: Console) -> None:
    """The walk of connect() in short; it needs the stack interpreted, so it is made by a process of its own."""
    from linnet.walk import render
    from linnet.walk.recorder import Row

    command = [sys.executable, '-c', 'from linnet.cli import main; main()', 'walk', 'connect', '--json']
    result = subprocess.run(command, env={**os.environ, 'LINNET_PURE': '1'}, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        console.print(f'[red]the walk failed:[/red] {result.stderr.strip()}')
        return
    rows = [
        Row(r['depth'], r['layer'], r['kind'], r['name'], r['file'], r['host'], r['values']) for r in json.loads(result.stdout)
    ]
    kept = render.short(rows, STEPS_OF_CONNECT)
    for row in kept:
        row.depth = 0
    console.print(
        f'\n[bold]connect(), {sum(r.kind == "call" for r in rows)} functions in short[/bold] (all of it: linnet walk connect)'
    )
    with contextlib.suppress(BrokenPipeError):
        for line in render.tree_lines(kept):
            console.print(line, soft_wrap=True, highlight=False)
