# SPDX-License-Identifier: Apache-2.0
"""`linnet drill`: packetdrill scripts against the stack, in virtual time."""
from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from linnet.cli.interpreted import run_interpreted


@click.command(name='drill')
@click.argument('paths', nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option('--variant', type=click.Choice(['ipv4', 'ipv6', 'ipv4-mapped-ipv6', 'all']), default='ipv4', show_default=True,
              help='Over which version of IP scripts are run; mapped: sockets of AF_INET6 on IPv4.')
@click.option('--jobs', '-j', type=click.IntRange(1), default=None, help='Scripts at a time.  [default: the number of CPUs]')
@click.option('--json', 'as_json', is_flag=True, help='A JSON object a script, one a line.')
@click.option('--verbose', '-v', is_flag=True, help='Show every script, and every packet of it.')
@click.option('--pcap', type=click.Path(file_okay=False, path_type=Path), help='Folder for a pcapng of each script that fails.')
@click.option('--walk', is_flag=True, help='With each failure, the functions entered since the last packet that was right.')
def command(
    paths: tuple[Path, ...], variant: str, jobs: int | None, as_json: bool, verbose: bool, pcap: Path | None, walk: bool
) -> None:
    """Run the packetdrill scripts at PATHS (files, or folders of .pkt files). The exit code is 1 if any fails."""
    if walk:
        run_interpreted()
    try:
        from linnet.drill.suite import VARIANTS, count, run_suite
    except ModuleNotFoundError as exc:
        if exc.name != 'lark':
            raise
        raise click.ClickException('drill needs lark: pip install "linnet-net[drill]"') from None
    if pcap is not None:
        pcap.mkdir(parents=True, exist_ok=True)
    outcomes = []
    variants = tuple(VARIANTS) if variant == 'all' else (variant,)
    for outcome in run_suite(list(paths), variants, jobs or os.cpu_count() or 1, verbose, pcap, walk):
        outcomes.append(outcome)
        if as_json:
            click.echo(json.dumps(outcome.as_dict()))
        elif outcome.status == 'failed':
            click.echo(f'FAILED {outcome.path} ({outcome.variant})\n{outcome.text}')
        elif verbose:
            click.echo(f'{outcome.status} {outcome.path} ({outcome.variant})' + (f'\n{outcome.text}' if outcome.text else ''))
    if as_json:
        click.echo(count(outcomes), err=True)
    else:
        failed = [outcome.path for outcome in outcomes if outcome.status == 'failed']
        if failed and not (walk and pcap):
            click.echo(f'to see why: linnet drill --walk --pcap . {failed[0]}')
        click.echo(count(outcomes))
    sys.exit(1 if any(outcome.status == 'failed' for outcome in outcomes) else 0)
