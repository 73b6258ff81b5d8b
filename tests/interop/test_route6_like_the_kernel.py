# SPDX-License-Identifier: Apache-2.0
"""This machine's kernel answers as tests/unit/net/ipv6/route6.txt says that it does, and to random commands as Linnet."""
from __future__ import annotations

from pathlib import Path

import pytest

from helpers.netns import lacking
from helpers.route6 import Routes, read_scripts
from helpers.route6_kernel import on_the_kernel
from helpers.route6_random import commands

why = lacking()
pytestmark = [pytest.mark.interop, pytest.mark.skipif(bool(why), reason=why)]
SCRIPTS = read_scripts(Path(__file__).parents[1] / 'unit/net/ipv6/route6.txt')


@pytest.mark.parametrize('steps', [pytest.param(steps, id=title) for title, steps in SCRIPTS])
def test_the_kernel_answers_so(steps: list[tuple[str, object]]) -> None:
    commands = [command for command, _ in steps]
    assert list(zip(commands, on_the_kernel(commands), strict=True)) == steps


@pytest.mark.parametrize('seed', [1, 2, 3, 20])
def test_random_commands(seed: int) -> None:
    given = commands(seed)
    host = Routes()
    for number, (command, theirs) in enumerate(zip(given, on_the_kernel(given), strict=True)):
        ours = host.answer(command)
        if command.startswith(('ip addr', 'sysctl')):
            ours, theirs = bool(ours), bool(theirs)  # of these there is the exit status alone
        if command.startswith('get') and ours != theirs and isinstance(ours, list) and isinstance(theirs, list):
            # several next hops: which one, the kernel's own secret key decides
            shown = '\n'.join(host.show())
            if all(f'nexthop via {found[0]} dev {found[1]}' in shown for found in (ours, theirs)):
                continue
        assert ours == theirs, given[:number + 1]
