# SPDX-License-Identifier: Apache-2.0
"""`linnet exec`: a program on the real network, its sockets on Linnet's stack."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

import click

from linnet.kernel.sched import Work
from linnet.program.runtime import Program


class _Ended(BaseException):
    """SIGTERM or SIGINT came."""


class _Forward(Work):
    """Gives the program a signal of the machine's, from within the loop."""

    def __init__(self, program: Program, signum: int) -> None:
        self.program = program
        self.signum = signum

    def run(self) -> None:
        """Now nothing of the stack is half done."""
        self.program.send_signal(self.signum)


class _Signals:
    """SIGINT and SIGTERM end the run, or go to the program if it handles them. A second one, during the cleaning up, ends the
    process at once.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.sched = program.world.sched
        self.signum = 0
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self.came)

    def came(self, signum: int, frame: FrameType | None) -> None:
        """Raised where the program is, which a program may swallow: the loop stops in any case when it gets its turn."""
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        if self.program.signals.handled(signum):
            self.sched.call_soon_threadsafe(_Forward(self.program, signum))
            return
        self.signum = signum
        self.sched.stop()
        raise _Ended


@click.command(name='exec', context_settings={'ignore_unknown_options': True})
@click.option('--tun', metavar='NAME', help='Attach by a TUN device (IP packets).')
@click.option('--tap', metavar='NAME', help='Attach by a TAP device (Ethernet frames, ARP).')
@click.option('--addr', default='10.77.0.2/24', show_default=True, help="The program's own address and prefix length.")
@click.option('--gateway', help="Where the default route goes. Default: the kernel's side of the device.")
@click.option(
    '--kernel-addr', help="The kernel's side's address on a device made here. Default: the subnet's first. Empty: leave it alone."
)
@click.option('--mtu', default=1500, show_default=True, type=click.IntRange(68, 65535), help='MTU of the device, bytes.')
@click.option('--no-offload', is_flag=True, help='No IFF_VNET_HDR: every packet by itself, checksums made here.')
@click.option('--pcap', type=click.Path(dir_okay=False, path_type=Path), help='Capture to a pcapng file.')
@click.argument('program', nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    tun: str | None,
    tap: str | None,
    addr: str,
    gateway: str | None,
    kernel_addr: str | None,
    mtu: int,
    no_offload: bool,
    pcap: Path | None,
    program: tuple[str, ...],
) -> None:
    """Run PROGRAM (python -m http.server 8000) with its sockets on Linnet's stack, attached to the real network.

    Needs CAP_NET_ADMIN to make a device; one made for you beforehand (ip tuntap add dev NAME mode tun user YOU) needs nothing.
    SIGINT and SIGTERM go to a program that handles them; else they end it, with the exit code 130 or 143. The exit code is the
    program's.
    """
    if tun is None and tap is None:
        tun = 'linnet0'
    from linnet.attach import Attached

    try:
        attached = Attached(
            tun=tun, tap=tap, addr=addr, gateway=gateway, kernel_addr=kernel_addr, mtu=mtu, offload=not no_offload
        )
        task = attached.spawn(list(program))
        if pcap is not None:
            attached.pcap(pcap)
    except (OSError, ValueError) as exc:
        raise click.ClickException(str(exc)) from None
    signals = _Signals(task)
    done = True
    try:
        done = attached.run()
    except _Ended:
        pass
    finally:
        attached.close()
    if signals.signum:
        sys.exit(128 + signals.signum)
    if not done:
        raise click.ClickException(f'{attached.dev.name} is gone: the interface was deleted')
    assert task.exit_code is not None
    sys.exit(task.exit_code if task.exit_code >= 0 else 128 - task.exit_code)
