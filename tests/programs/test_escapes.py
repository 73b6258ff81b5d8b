# SPDX-License-Identifier: Apache-2.0
"""Packages that open their own sockets in C are told so within a program, and left alone outside.

None of them is installed here: modules of the same names and entry points stand in for them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from linnet import Lab
from linnet.program.escapes import ESCAPES, Escape, Escaped

CODE = {
    'connect': 'def connect(*args): return "connected"',
    'Connection.connect': 'class Connection:\n    @classmethod\n    def connect(cls, *args): return "connected"',
    'AsyncConnection.connect': 'class AsyncConnection:\n    @classmethod\n    def connect(cls, *args): return "connected"',
}


def stand_in(escape: Escape) -> str:
    """Its source: a function for a small first letter, a class for a capital."""
    parts = []
    for entry in escape.entries:
        name = entry.split('.')[0]
        plain = f'class {name}: pass' if name[0].isupper() else f'def {name}(*args): return "connected"'
        parts.append(CODE.get(entry, plain))
    return '\n'.join(parts)


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[Path]:
    for escape in ESCAPES:
        folder = tmp_path.joinpath(*escape.module.split('.'))
        folder.mkdir(exist_ok=True)
        (folder / '__init__.py').write_text(stand_in(escape))
    names = {escape.module.split('.')[0] for escape in ESCAPES}
    kept = {name: module for name, module in sys.modules.items() if name.split('.')[0] in names}
    for name in kept:
        del sys.modules[name]
    sys.path.insert(0, str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in [name for name in sys.modules if name.split('.')[0] in names]:
        del sys.modules[name]
    sys.modules.update(kept)


def in_a_program(fn: Callable[[], Any]) -> Any:
    """What fn raised or returned on a host of a lab."""
    out: list[Any] = []

    def program() -> None:
        try:
            out.append(fn())
        except (ImportError, Escaped) as exc:
            out.append(exc)

    with Lab() as lab:
        lab.host('h').spawn(program)
        lab.run()
    return out[0]


@pytest.mark.parametrize('escape', ESCAPES, ids=lambda escape: escape.module)
def test_import_in_a_program(packages: Path, escape: Escape) -> None:
    error = in_a_program(lambda: importlib.import_module(escape.module))
    assert isinstance(error, ImportError)
    assert 'network' in str(error)
    assert escape.module.split('.')[0] in str(error)
    if '.' not in escape.module:
        assert escape.instead in str(error)
    assert importlib.import_module(escape.module).__name__ == escape.module


@pytest.mark.parametrize('escape', ESCAPES, ids=lambda escape: escape.module)
@pytest.mark.parametrize('before', [True, False])
def test_first_use_in_a_program(packages: Path, escape: Escape, before: bool) -> None:
    """Whether it was imported before there was a lab or since."""
    if not before:
        Lab()
    module = importlib.import_module(escape.module)
    for entry in escape.entries:

        def use(entry: str = entry) -> Any:
            found: Any = module
            for part in entry.split('.'):
                found = getattr(found, part)
            return found()

        error = in_a_program(use)
        assert isinstance(error, Escaped), entry
        assert escape.module in str(error) and escape.instead in str(error)
        outside = use()
        assert outside is None or outside == 'connected' or isinstance(outside, getattr(module, entry.split('.')[0])), entry


def test_classes_stay_classes(packages: Path) -> None:
    Lab()
    import pycurl  # type: ignore[import-not-found]

    original = pycurl.Curl.__mro__[1]
    assert original.__module__ == 'pycurl'
    assert isinstance(original(), pycurl.Curl)
    assert issubclass(original, pycurl.Curl)

    class Mine(pycurl.Curl):
        pass

    assert isinstance(Mine(), original)
    assert isinstance(in_a_program(Mine), Escaped)


def test_an_optional_import_is_done_without(packages: Path) -> None:
    def choose() -> str:
        try:
            import uvloop  # type: ignore[import-not-found] # noqa: F401
        except ImportError:
            return 'asyncio'
        return 'uvloop'

    assert in_a_program(choose) == 'asyncio'
    assert choose() == 'uvloop'
