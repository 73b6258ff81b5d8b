# SPDX-License-Identifier: Apache-2.0
"""`linnet exec`: a program on the real network, its sockets on Linnet's stack."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

import click

from linnet.program.handlers import Ended

if TYPE_CHECKING:
    from linnet.attach import Attached
    from linnet.program.realtime import Residence

OURS = (os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep, '<frozen runpy>', '<frozen importlib')


def run(main: Callable[[], object]) -> int:
    """Run the program's main function as the interpreter would: its exit code."""
    code = 0
    try:
        main()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 0 if exc.code is None else 1
        if exc.code is not None and not isinstance(exc.code, int):
            print(exc.code, file=sys.stderr)
    except Ended:
        raise
    except BaseException as exc:
        if interrupts(exc):
            return 128 + signal.SIGINT
        trace = theirs(exc.__traceback__)
        sys.excepthook(type(exc), exc.with_traceback(trace), trace)
        code = 1
    return code & 0xFF


def interrupts(exc: BaseException) -> bool:
    """Was it Ctrl-C, and nothing else (trio raises groups)?"""
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(KeyboardInterrupt)[1] is None
    return isinstance(exc, KeyboardInterrupt)


def theirs(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames that only start the program."""
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename.startswith(OURS):
        trace = trace.tb_next
    return trace


def leave(attached: Attached, residence: Residence, signum: int) -> NoReturn:
    """End the process as one that dies of a signal, but that connections are closed: nobody waits for its threads."""
    attached.close()
    if residence.lost:
        print(f'Error: {attached.dev.name} is gone: the interface was deleted', file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if residence.lost else 128 + signum)


@click.command(name='exec', context_settings={'ignore_unknown_options': True})
@click.option('--tun', metavar='NAME', help='Attach by a TUN device (IP packets).')
@click.option('--tap', metavar='NAME', help='Attach by a TAP device (Ethernet frames, ARP and neighbour discovery).')
@click.option(
    '--addr', '--address', 'addr', multiple=True, default=['10.77.0.2/24'], show_default=True,
    help="The program's own address and prefix length, of either family; may be given several times.",
)
@click.option('--gateway', multiple=True, help="Where the default route goes, one of each family. Default: the kernel's side.")
@click.option(
    '--kernel-addr', multiple=True,
    help="The kernel's side's address on a device made here, one a family. Default: the subnet's first. Empty: leave it alone.",
)
@click.option('--nameserver', multiple=True, help='Whom to ask for names (port 53), of either family. Default: nobody.')
@click.option('--mtu', default=1500, show_default=True, type=click.IntRange(68, 65535), help='MTU of the device, bytes.')
@click.option('--no-offload', is_flag=True, help='No IFF_VNET_HDR: every packet by itself, checksums made here.')
@click.option('--pcap', type=click.Path(dir_okay=False, path_type=Path), help='Capture to a pcapng file.')
@click.argument('program', nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    tun: str | None,
    tap: str | None,
    addr: tuple[str, ...],
    gateway: tuple[str, ...],
    kernel_addr: tuple[str, ...],
    nameserver: tuple[str, ...],
    mtu: int,
    no_offload: bool,
    pcap: Path | None,
    program: tuple[str, ...],
) -> None:
    """Run PROGRAM (python -m http.server 8000) with its sockets on Linnet's stack, attached to the real network.

    Needs CAP_NET_ADMIN to make a device; one made for you beforehand (ip tuntap add dev NAME mode tun user YOU) needs nothing.
    Threads, signals and processes are the machine's; SIGTERM, where the program leaves it alone, runs its finally blocks and
    closes its connections. The exit code is the program's.
    """
    if tun is None and tap is None:
        tun = 'linnet0'
    from linnet.attach import Attached
    from linnet.lab import python_command

    try:
        main, argv = python_command(list(program))
        attached = Attached(
            tun=tun, tap=tap, addr=addr, gateway=gateway, kernel_addr='' if kernel_addr == ('',) else kernel_addr,
            mtu=mtu, offload=not no_offload, nameserver=nameserver,
        )
        try:
            if pcap is not None:
                attached.pcap(pcap)
            residence = attached.reside()
        except OSError:
            attached.close()
            raise
    except (OSError, ValueError) as exc:
        raise click.ClickException(str(exc)) from None
    atexit.register(attached.close)  # after the functions that the program registers
    sys.argv = argv
    residence.start()
    try:
        code = run(main)
        residence.handlers.leave = partial(leave, attached, residence)
        threading._shutdown()  # type: ignore[attr-defined]  # wait for the threads, as the interpreter's end does
    except Ended as exc:
        leave(attached, residence, exc.signum)
    sys.exit(code)
