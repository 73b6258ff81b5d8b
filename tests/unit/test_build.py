# SPDX-License-Identifier: Apache-2.0
"""Both builds can be had from one installation, and each says which one it is.

The choice is made once a process, so each case runs in a process of its own.
"""

from __future__ import annotations

import importlib.machinery
import os
import subprocess
import sys
from pathlib import Path

import pytest

import linnet
from linnet import _pure

SOURCE_ROOT = str(Path(linnet.__file__).parent.parent)


def python(code: str, pure: str | None) -> subprocess.CompletedProcess[str]:
    """Run `code` on this linnet with LINNET_PURE as given (None: unset)."""
    env = {name: value for name, value in os.environ.items() if name != 'LINNET_PURE'}
    env['PYTHONPATH'] = SOURCE_ROOT
    if pure is not None:
        env['LINNET_PURE'] = pure
    return subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True, check=False)


SHOW_BUILD = """
from linnet import _pure
from linnet.include.linux import skbuff
said, native = _pure.build(), bool(_pure.loaded_native())
assert (said == 'compiled') == native, (said, skbuff.__file__)
print(said, skbuff.__file__.endswith('.py'))
"""


def test_pure_environment_loads_the_source() -> None:
    done = python(SHOW_BUILD, '1')
    assert done.stdout.split() == ['interpreted', 'True'], done.stderr


@pytest.mark.parametrize('pure', [None, '', '0'])
def test_without_it_the_native_module_is_loaded_if_there_is_one(pure: str | None) -> None:
    source = Path(linnet.__file__).parent / 'include/linux/skbuff.py'
    native = any(source.with_suffix(suffix).exists() for suffix in importlib.machinery.EXTENSION_SUFFIXES)
    done = python(SHOW_BUILD, pure)
    assert done.stdout.split() == (['compiled', 'False'] if native else ['interpreted', 'True']), done.stderr


def test_install_twice_puts_one_finder() -> None:
    code = (
        'import sys\nfrom linnet import _pure\n_pure.install()\n_pure.install()\n'
        'print(sum(isinstance(f, _pure.PureFinder) for f in sys.meta_path))'
    )
    done = python(code, None)
    assert done.stdout.strip() == '1', done.stderr


def test_install_after_a_native_module_is_refused() -> None:
    code = (
        'import sys, types\nfrom linnet import _pure\n'
        'late = types.ModuleType("linnet.net.late")\nlate.__file__ = "late" + _pure.EXTENSION_SUFFIXES[0]\n'
        'sys.modules[late.__name__] = late\n_pure.install()'
    )
    done = python(code, None)
    assert done.returncode != 0
    assert 'RuntimeError: too late to run interpreted: linnet.net.late' in done.stderr


def test_finder_prefers_source_and_leaves_others_alone(tmp_path: Path) -> None:
    (tmp_path / 'both.py').write_text('')
    (tmp_path / f'both{importlib.machinery.EXTENSION_SUFFIXES[0]}').write_bytes(b'')
    (tmp_path / 'folder').mkdir()
    finder = _pure.PureFinder('house')
    path = [str(tmp_path)]
    found = finder.find_spec('house.both', path)
    assert found is not None
    assert found.origin == str(tmp_path / 'both.py')
    assert finder.find_spec('house.folder', path) is None
    assert finder.find_spec('house.absent', path) is None
    assert finder.find_spec('home.both', path) is None
    assert finder.find_spec('house', None) is None


def test_every_package_folder_has_an_init() -> None:
    package = Path(linnet.__file__).parent
    folders = {path.parent for path in package.rglob('*.py')}
    assert sorted(str(folder) for folder in folders if not (folder / '__init__.py').exists()) == []
