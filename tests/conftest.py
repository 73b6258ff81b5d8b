# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: which build is under test, and that hypothesis does not depend on the day.

The suite runs on the compiled build and, with LINNET_PURE=1, on the interpreted one. A native module that is older
than its source, or that is missing while others are there, would test something other than the tree: then nothing is
run at all.
"""

from __future__ import annotations

import os
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import linnet
from linnet import _pure

pytest_plugins = ('pytester',)  # tests/pytest_plugin runs pytest in a folder of its own

COMPILED_ROOMS = ('include', 'kernel', 'net', 'drivers')

# The same examples every time, and no deadline: real time plays no part in a verdict.
settings.register_profile(
    'repeatable', derandomize=True, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# For hunting by hand: HYPOTHESIS_PROFILE=hunt
settings.register_profile('hunt', deadline=None, max_examples=10_000)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'repeatable'))


def native_problem(package: Path) -> str:
    """Return what is wrong with the in-place extensions under `package`, or '' if they match the sources."""
    missing: list[str] = []
    count = 0
    for path in package.rglob('*' + EXTENSION_SUFFIXES[0]):
        stem = path.name.removesuffix(EXTENSION_SUFFIXES[0]).removesuffix('__mypyc')
        if not path.with_name(stem + '.py').exists():
            return f'{path.name} has no source any more'
    for room in COMPILED_ROOMS:
        for source in sorted((package / room).rglob('*.py')):
            if source.name == '__init__.py':
                continue
            built = [path for suffix in EXTENSION_SUFFIXES if (path := source.with_suffix(suffix)).exists()]
            if not built:
                missing.append(source.name)
                continue
            count += 1
            if built[0].stat().st_mtime < source.stat().st_mtime:
                return f'{built[0].name} is older than {source.name}'
    if count and missing:
        return f'{missing[0]} is not compiled, while {count} others are'
    return ''


def pytest_configure(config: pytest.Config) -> None:
    if _pure.installed():
        return
    problem = native_problem(Path(linnet.__file__).parent)
    if problem:
        raise pytest.UsageError(f'{problem}: run `make compiled`, or `make pure`, or set LINNET_PURE=1')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `pure` watch the stack's functions, which only interpreted ones allow; the interpreted run has them."""
    if _pure.build() == 'interpreted':
        return
    for item in items:
        if item.get_closest_marker('pure') is not None:
            item.add_marker(pytest.mark.skip(reason='watches functions of the stack: run with LINNET_PURE=1'))


def pytest_report_header(config: pytest.Config) -> str:
    return f'linnet {linnet.__version__}, {_pure.build()}, {Path(linnet.__file__).parent}'
