# SPDX-License-Identifier: Apache-2.0
"""Build linnet: include/ kernel/ net/ drivers/ are compiled by mypyc, everything else stays Python.

Each file becomes an extension of its own (`separate=True`), so that one changed file costs seconds and not a minute;
`__init__.py` files are left alone. All of the rooms are compiled or none: a native class and its interpreted caller
do not mix. Where there is no C compiler or no Python.h, the package is installed interpreted, and says so.

LINNET_PURE=1   install interpreted
LINNET_OPT=0..3 the C compiler's -O level; 3 unless said
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
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

# As setuptools chooses it.
COMPILER = shlex.split(os.environ.get('CC') or sysconfig.get_config_var('CC') or '')
PROBE = '#include <Python.h>\nPyMODINIT_FUNC PyInit_probe(void) { return NULL; }\n'

# mypyc writes one C file a module and puts its runtime into each; all that the file must show the world is its
# PyInit function. gcc, told so, drops the runtime's unused part before compiling it and inlines the rest: half the
# time to compile, a third of the size, 25 % more packets a second at -O3 (docs/adr/0001-mypyc-packaging.md).
WHOLE_PROGRAM = [
    '-fwhole-program',
    '-DPyMODINIT_FUNC=__attribute__((visibility("default"),externally_visible))PyObject*',
]

# setup.py also runs for metadata and for an sdist; only these commands need the C code.
COMPILING = {'build', 'build_ext', 'bdist', 'bdist_wheel', 'editable_wheel', 'develop', 'install'}
IN_PLACE = {'build_ext', 'editable_wheel', 'develop'}


def say(message: str) -> None:
    print(f'linnet: {message}', file=sys.stderr, flush=True)


def room_files() -> list[str]:
    """Return the files to compile, relative to the project's root."""
    found = (path for room in ROOMS for path in (ROOT / PACKAGE / room).rglob('*.py'))
    return sorted(str(path.relative_to(ROOT)) for path in found if path.name != '__init__.py')


def compiles(source: str, flags: list[str]) -> bool:
    """Tell whether the C compiler takes `source` with these flags and Python's headers."""
    headers = [f'-I{sysconfig.get_path(name)}' for name in ('include', 'platinclude')]
    with tempfile.TemporaryDirectory() as scratch:
        probe = Path(scratch, 'probe.c')
        probe.write_text(source)
        command = [*COMPILER, *headers, '-fPIC', '-Werror', *flags, '-c', str(probe), '-o', f'{probe}.o']
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def compiler_missing() -> str:
    """Return what keeps this machine from compiling an extension, or '' if nothing does."""
    if not COMPILER or shutil.which(COMPILER[0]) is None:
        return f'no C compiler ({" ".join(COMPILER)})'
    if not compiles('int linnet_probe(void) { return 0; }\n', []):
        return f'{" ".join(COMPILER)} cannot compile'
    if not compiles(PROBE, []):
        return 'no Python.h (on Debian: python3-dev)'
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


def write_if_changed(path: Path, text: str) -> str:
    """Write `text` to `path`, leaving the file's time alone if it says that already, and return the path."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return str(path)


class BuildRooms(build_ext):
    """build_ext that leaves no extension in the source tree which is older than its source."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

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

    # The C code differs between Python versions. All of it is generated each time, without mypy's cache: a class that
    # comes out of the cache has forgotten which of its native integers may be undefined (mypy 2.4.1 does not store
    # ClassIR.bitmap_attrs), and a subclass built on it would be laid out differently from its base. What comes out
    # unchanged is not written, and so not compiled again.
    files = room_files()
    tag = sys.implementation.cache_tag
    level = os.environ.get('LINNET_OPT', '3')
    say(f'compiling {len(files)} files with -O{level}')
    target = Path('build', f'mypyc-{tag}')
    made: list[Extension] = mypycify(
        ['--cache-dir', os.devnull, *files], opt_level=level, debug_level='0', separate=True, target_dir=str(target)
    )
    flags = WHOLE_PROGRAM if compiles(PROBE, WHOLE_PROGRAM) else []
    choices = write_if_changed(target / 'choices.txt', ' '.join([*COMPILER, f'-O{level}', *flags]))
    for extension in made:
        extension.depends.append(choices)
        if flags:
            # mypycify gives one list to all of them.
            extension.extra_compile_args = [*extension.extra_compile_args, *flags]
            extension.extra_link_args = ['-s']
    return made


setup(ext_modules=extensions(), cmdclass={'build_ext': BuildRooms})
