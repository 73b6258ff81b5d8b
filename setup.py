# SPDX-License-Identifier: Apache-2.0
"""Build linnet: include/ kernel/ net/ drivers/ are compiled by mypyc, everything else stays Python.

Each file becomes an extension of its own (`separate=True`), so that one changed file costs seconds and not a minute;
`__init__.py` files are left alone. All of the rooms are compiled or none: a native class and its interpreted caller
do not mix. Where there is no C compiler or no Python.h, the package is installed interpreted, and says so.

LINNET_PURE=1   install interpreted
LINNET_OPT=0..3 the C compiler's -O level; 2 unless said
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
PACKAGE = Path('src', 'linnet')
ROOMS = ('include', 'kernel', 'net', 'drivers')
EXT_SUFFIX: str = sysconfig.get_config_var('EXT_SUFFIX')

# setup.py also runs for metadata and for an sdist; only these commands need the C code.
COMPILING = {'build', 'build_ext', 'bdist', 'bdist_wheel', 'editable_wheel', 'develop', 'install'}
IN_PLACE = {'build_ext', 'editable_wheel', 'develop'}


def say(message: str) -> None:
    print(f'linnet: {message}', file=sys.stderr, flush=True)


def room_files() -> list[str]:
    """Return the files to compile, relative to the project's root."""
    found = (path for room in ROOMS for path in (ROOT / PACKAGE / room).rglob('*.py'))
    return sorted(str(path.relative_to(ROOT)) for path in found if path.name != '__init__.py')


def compiler_missing() -> str:
    """Return what keeps this machine from compiling an extension, or '' if nothing does."""
    from setuptools._distutils.ccompiler import new_compiler
    from setuptools._distutils.errors import CCompilerError, DistutilsError
    from setuptools._distutils.sysconfig import customize_compiler

    compiler = new_compiler()
    customize_compiler(compiler)
    command = getattr(compiler, 'compiler', None)
    if command and shutil.which(command[0]) is None:
        return f'no C compiler ({command[0]})'
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, 'probe.c')
        source.write_text('#include <Python.h>\nint linnet_probe(void) { return PY_MAJOR_VERSION; }\n')
        try:
            compiler.compile([str(source)], output_dir=scratch, include_dirs=[sysconfig.get_path('include')])
        except (CCompilerError, DistutilsError, OSError):
            return 'the C compiler cannot build an extension (is Python.h there? on Debian: python3-dev)'
    return ''


def interpreted_because() -> str:
    """Return why the rooms are not to be compiled, or '' if they are."""
    if os.environ.get('LINNET_PURE', '') not in ('', '0'):
        return 'LINNET_PURE is set'
    if sys.implementation.name != 'cpython':
        return f'mypyc compiles for CPython, this is {sys.implementation.name}'
    return compiler_missing()


def in_place_extensions() -> Iterator[Path]:
    """Yield this interpreter's extensions that stand beside their sources."""
    yield from (ROOT / PACKAGE).rglob(f'*{EXT_SUFFIX}')


def remove_orphans() -> None:
    """Remove what was built from files that are gone, in the tree and in build/, where wheels are filled from."""
    tree = ROOT / PACKAGE.parent
    stale = [(tree, path) for path in tree.rglob('*.so')]
    for lib in (ROOT / 'build').glob('lib*'):
        stale += [(lib, path) for pattern in ('*.so', '*.py') for path in lib.rglob(pattern)]
    for top, path in stale:
        name = path.name.split('.')[0].removesuffix('__mypyc') + '.py'
        if not (tree / path.relative_to(top)).with_name(name).exists():
            path.unlink()


class BuildRooms(build_ext):
    """build_ext that leaves no extension in the source tree which is older than its source."""

    def run(self) -> None:
        in_place = bool(self.inplace or self.editable_mode)
        super().run()
        if in_place:
            # One whose C code came out the same was not linked again; it is up to date all the same.
            for built in in_place_extensions():
                os.utime(built)


def extensions() -> list[Extension]:
    """Return the compiled rooms, or nothing where they stay interpreted."""
    if not COMPILING.intersection(sys.argv[1:]):
        return []
    remove_orphans()
    reason = interpreted_because()
    if reason:
        say(f'{reason}: the stack will run interpreted, several times slower')
        if IN_PLACE.intersection(sys.argv[1:]):
            # Python prefers a .so to the .py beside it: one that nobody rebuilds would shadow every later edit.
            for built in in_place_extensions():
                built.unlink()
        return []

    from mypyc.build import mypycify

    # The C code differs between Python versions, and mypy's cache holds what it was made from: both are kept apart.
    files = room_files()
    tag = sys.implementation.cache_tag
    level = os.environ.get('LINNET_OPT', '2')
    say(f'compiling {len(files)} files with -O{level}')
    options = ['--cache-dir', f'build/mypyc-{tag}-cache']
    made: list[Extension] = mypycify(
        [*options, *files], opt_level=level, debug_level='0', separate=True, target_dir=f'build/mypyc-{tag}'
    )
    return made


setup(ext_modules=extensions(), cmdclass={'build_ext': BuildRooms})
