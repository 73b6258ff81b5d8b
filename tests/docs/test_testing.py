# SPDX-License-Identifier: Apache-2.0
"""docs/testing.md: its files are written, its commands run, and their output is as it stands there ('...' is anything)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.plugin import run_pytest

PAGE = Path(__file__).parents[2] / 'docs' / 'testing.md'
BLOCK = re.compile(r'^```(python|console)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
DOTS = re.compile(r'((?:\\\.)*?)(?:\\\.){3}(?!\\\.)')  # the last three of an escaped run of dots


def steps() -> Iterator[tuple[str, str]]:
    """(kind, text) of the page's blocks."""
    for match in BLOCK.finditer(PAGE.read_text()):
        yield match.group(1), match.group(2)


def pattern(expected: str) -> str:
    """What output must look like: a line '...' is any lines, '...' within a line any text."""
    lines = [r'(?:.*\n)*?' if line == '...' else DOTS.sub(r'\1.*', re.escape(line)) + r'\n' for line in expected.splitlines()]
    return ''.join(lines)


def run(command: str, folder: Path) -> str:
    """The output of a command of the page."""
    words = shlex.split(command)
    if words[0] == 'cat':
        return ''.join((folder / name).read_text() for name in words[1:])
    assert words[0] == 'pytest', f'{PAGE.name} has a command that this test cannot run: {command}'
    return run_pytest(folder, *words[1:]).stdout.lstrip('\n')


def test_the_tutorial(tmp_path: Path) -> None:
    (tmp_path / 'pytest.ini').write_text('[pytest]\n')
    commands = 0
    for kind, text in steps():
        if kind == 'python':
            name = re.match(r'# (\w+\.py)', text)
            assert name is not None, f'a file of {PAGE.name} does not begin with its name:\n{text}'
            (tmp_path / name.group(1)).write_text(text)
            continue
        command, _, expected = text.partition('\n')
        output = run(command.removeprefix('$ '), tmp_path)
        assert re.match(pattern(expected), output), f'{PAGE.name}: {command}\ngave:\n{output}'
        commands += 1
    assert commands == 6


def test_the_regression_test_fails_with_the_bug(tmp_path: Path) -> None:
    (tmp_path / 'pytest.ini').write_text('[pytest]\n')
    for kind, text in steps():
        name = re.match(r'# (\w+\.py)\n', text) if kind == 'python' else None
        if name is not None:  # the mended file has another first line
            (tmp_path / name.group(1)).write_text(text)
    output = run('pytest -q --tb=line test_shop_late.py', tmp_path)
    assert "assert ['tea', 'tea'] == ['tea']" in output and '1 failed' in output


@pytest.mark.parametrize(('expected', 'output', 'fits'), [
    ('a\n...\nb c...\n', 'a\nx\ny\nb c 1 s\n', True),
    ('a\nb\n', 'a\nx\nb\n', False),
    ('1.2.... > 3\n', '1.2.99 > 3\n', True),
    ('2 passed in ...\n', '12 passed in 1 s\n', False),
])
def test_the_comparison_can_fail(expected: str, output: str, fits: bool) -> None:
    assert bool(re.match(pattern(expected), output)) is fits
