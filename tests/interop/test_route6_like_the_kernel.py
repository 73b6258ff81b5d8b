# SPDX-License-Identifier: Apache-2.0
"""This machine's kernel still answers as tests/unit/net/ipv6/route6.txt says that it does."""
from __future__ import annotations

from pathlib import Path

import pytest

from helpers.netns import lacking
from helpers.route6 import read_scripts
from helpers.route6_kernel import on_the_kernel

why = lacking()
pytestmark = [pytest.mark.interop, pytest.mark.skipif(bool(why), reason=why)]
SCRIPTS = read_scripts(Path(__file__).parents[1] / 'unit/net/ipv6/route6.txt')


@pytest.mark.parametrize('steps', [pytest.param(steps, id=title) for title, steps in SCRIPTS])
def test_the_kernel_answers_so(steps: list[tuple[str, object]]) -> None:
    commands = [command for command, _ in steps]
    assert list(zip(commands, on_the_kernel(commands), strict=True)) == steps
