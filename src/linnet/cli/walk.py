# SPDX-License-Identifier: Apache-2.0
"""`linnet walk`: the functions that a call enters, layer by layer; held against Linux's own where asked."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from linnet.cli.interpreted import run_interpreted

CALLS = ('socket', 'connect', 'bind', 'listen', 'accept', 'send', 'recv', 'shutdown', 'close', 'ping', 'udp-sendto-fragmented')


@click.command(context_settings={'ignore_unknown_options': True})
@click.argument('call')
@click.argument('program', nargs=-1, type=click.UNPROCESSED)
@click.option('--json', 'as_json', is_flag=True, help='Print the rows as JSON.')
@click.option('--tsv', 'as_tsv', is_flag=True, help='Print rows `call layer kind name file`, tab-separated.')
@click.option('--depth', type=int, help='Leave out what lies deeper in the tree than this.')
@click.option(
    '--against',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Hold the walk against a table of Linux's functions, or a real kernel's chains; exit 1 where it differs.",
)
@click.option('--kernel', 'on_kernel', is_flag=True, help="Make the call on this machine's kernel too (root), side by side.")
@click.option('--hook', is_flag=True, help='With a netfilter hook registered at LOCAL_OUT.')
@click.option('--cold-neighbour', is_flag=True, help="With the server's hardware address not known yet.")
@click.option('--backlog', is_flag=True, help='With a qdisc that cannot be passed by.')
@click.option('--tiny-mtu', is_flag=True, help='With a SYN that is larger than the path MTU.')
@click.option('--no-route', is_flag=True, help="With the socket's route invalid when the SYN leaves.")
def command(
    call: str,
    program: tuple[str, ...],
    as_json: bool,
    as_tsv: bool,
    depth: int | None,
    against: Path | None,
    on_kernel: bool,
    hook: bool,
    cold_neighbour: bool,
    backlog: bool,
    tiny_mtu: bool,
    no_route: bool,
) -> None:
    """Walk CALL (socket, connect, bind, listen, accept, send, recv, shutdown, close, ping, udp-sendto-fragmented) on a
    small lab and print the
    tree of functions entered, or run any program: linnet walk -- python prog.py.
    """
    run_interpreted()
    from rich.console import Console

    from linnet.walk import render

    if call not in CALLS:
        from linnet.walk.program import walk_program

        try:
            recorder = walk_program([call, *program])
        except ValueError as exc:
            raise click.UsageError(f'{exc}; the calls that can be walked are {", ".join(CALLS)}') from None
        call = 'program'
    else:
        from linnet.walk import scenes

        recorder = scenes.walk(
            call,
            scenes.Conditions(hook=hook, cold_neighbour=cold_neighbour, backlog=backlog, tiny_mtu=tiny_mtu, no_route=no_route),
        )
    if as_json:
        click.echo(render.as_json(call, recorder.rows))
    elif as_tsv:
        click.echo(render.tsv(call, recorder.rows), nl=False)
    elif on_kernel:
        from linnet.walk import kernel

        click.echo('\n'.join(kernel.compare(call, recorder, shutil.get_terminal_size((160, 40)).columns)))
    elif against is None:
        render.print_tree(Console(), call, recorder.rows, depth)
    if against is not None:
        from linnet.walk.against import against_chains, against_table, is_chain_file, read_chains, read_table

        if is_chain_file(against):
            complaints, held, left = against_chains(recorder.chains, read_chains(against))
            what = f'{held} events held against {against.name}, {left} left aside'
        else:
            table = read_table(against)
            complaints = against_table(call, recorder.rows, table)
            what = f'{sum(1 for row in table if row.call == call)} rows held against {against.name}'
        for complaint in complaints:
            click.echo(complaint, err=True)
        click.echo(f'{call}: {what}: {"ok" if not complaints else f"{len(complaints)} differ"}', err=True)
        if complaints:
            sys.exit(1)
