# SPDX-License-Identifier: Apache-2.0
"""The command line: `linnet demo`, `drill`, `walk`, `exec`. Each command is a module here, imported when it is used."""
from __future__ import annotations

import importlib
from typing import Any

import click

import linnet

COMMANDS = {'demo': 'demo', 'drill': 'drill', 'exec': 'exec_', 'walk': 'walk'}


class LazyGroup(click.Group):
    """A group whose commands live in modules that are imported on demand, so that `linnet --help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """By name."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None where there is none such."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f'linnet.cli.{COMMANDS[cmd_name]}')
        command: click.Command = module.command
        return command


def _version(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if not value or ctx.resilient_parsing:
        return
    from linnet.kernel import timer
    build = 'interpreted' if (timer.__file__ or '').endswith('.py') else 'compiled'
    click.echo(f'linnet {linnet.__version__} ({build})')
    ctx.exit()


@click.group(cls=LazyGroup, context_settings={'help_option_names': ['-h', '--help']})
@click.option('--version', is_flag=True, is_eager=True, expose_value=False, callback=_version,
              help='Print the version, and whether the stack is compiled.')
def main() -> None:
    """Linux's TCP/IP stack as a Python library: a lab in virtual time, programs on it, and a look inside."""
