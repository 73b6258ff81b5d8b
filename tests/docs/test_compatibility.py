# SPDX-License-Identifier: Apache-2.0
"""docs/compatibility.md: each row names a test that exists; nothing that is tested or refused is left out."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from linnet.program.escapes import ESCAPES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs' / 'compatibility.md').read_text()
TEST = re.compile(r'`(tests/[\w/]+\.py)::(\w+)`')


def rows() -> list[list[str]]:
    """The cells of every row of every table, but for the heads."""
    found = [[cell.strip() for cell in line.strip('|').split('|')] for line in PAGE.splitlines() if line.startswith('| ')]
    return [cells for cells in found if cells[-1] not in ('test', '---')]


def section(title: str) -> str:
    return PAGE.split(f'## {title}\n')[1].split('\n## ')[0]


@pytest.mark.parametrize('cells', rows(), ids=lambda cells: cells[0][:30])
def test_a_row_names_a_test_that_exists(cells: list[str]) -> None:
    match = TEST.fullmatch(cells[-1])
    assert match is not None, cells
    tree = ast.parse((ROOT / match[1]).read_text())
    assert match[2] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, cells


def test_every_test_of_a_third_party_program_has_a_row() -> None:
    named = {match[1] for cells in rows() if (match := TEST.fullmatch(cells[-1]))}
    files = (ROOT / 'tests' / 'programs').glob('test_*.py')
    assert {path.relative_to(ROOT).as_posix() for path in files if ' need(' in path.read_text()} <= named


def test_every_package_of_the_extra_has_a_row() -> None:
    extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies']
    packages = {re.split(r'[<>=\[ ]', line)[0] for line in extras['programs']}
    said = section('In virtual time').replace('redis-py', 'redis')
    assert {package for package in packages if package not in said} == set()


def test_the_escapes_are_those_of_the_code() -> None:
    listed = [cells[:3] for cells in rows() if '`tests/programs/test_escapes.py' in cells[-1]]
    assert listed == [[escape.module, escape.why, escape.instead] for escape in ESCAPES]
