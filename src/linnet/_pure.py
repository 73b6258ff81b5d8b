# SPDX-License-Identifier: Apache-2.0
"""Choose between the two builds of the stack: native code, or the Python source beside it.

An installed linnet carries each compiled module twice: `tcp_output.cpython-311-….so` and `tcp_output.py`. Python's own
finder prefers the .so. A PureFinder, put before it on `sys.meta_path`, knows no suffix but .py, and so every frame of
the stack becomes visible to `sys.setprofile`, to debuggers and to coverage. It is all or nothing: native and
interpreted modules of the stack do not mix, so `install()` must come before the first of them is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from importlib.util import find_spec
from types import ModuleType

PACKAGE = 'linnet'
# A module that is compiled wherever anything is.
_PROBE = 'linnet.include.linux.skbuff'


class PureFinder(MetaPathFinder):
    """Finds the source of every submodule of one package, never its extension."""

    def __init__(self, package: str) -> None:
        self._prefix = package + '.'
        self._finders: dict[str, FileFinder] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of `fullname`'s .py file; None leaves the search to the next finder."""
        if path is None or not fullname.startswith(self._prefix):
            return None
        for entry in path:
            finder = self._finders.get(entry)
            if finder is None:
                finder = self._finders[entry] = FileFinder(entry, (SourceFileLoader, SOURCE_SUFFIXES))
            spec = finder.find_spec(fullname, target)
            # No loader: a folder without __init__.py, which the path finder makes a namespace package of.
            if spec is not None and spec.loader is not None:
                return spec
        return None

    def invalidate_caches(self) -> None:
        """Forget the folders' listings (called by `importlib.invalidate_caches`)."""
        for finder in self._finders.values():
            finder.invalidate_caches()


def loaded_native() -> list[str]:
    """Return the names of linnet's modules that are already loaded as native code."""
    suffixes = tuple(EXTENSION_SUFFIXES)
    return sorted(
        name
        for name, module in list(sys.modules.items())
        if name.startswith(PACKAGE + '.') and (getattr(module, '__file__', None) or '').endswith(suffixes)
    )


def installed() -> bool:
    """Tell whether linnet's modules are being loaded from source."""
    return any(isinstance(finder, PureFinder) for finder in sys.meta_path)


def install() -> None:
    """From here on load linnet's modules from source. Does nothing the second time.

    Raises RuntimeError if a native module of linnet is loaded already.
    """
    if installed():
        return
    native = loaded_native()
    if native:
        raise RuntimeError(f'too late to run interpreted: {native[0]} is already loaded as native code')
    sys.meta_path.insert(0, PureFinder(PACKAGE))


def build() -> str:
    """Return 'compiled' or 'interpreted': what the stack is, or would be, loaded as in this process."""
    spec = find_spec(_PROBE)
    native = spec is not None and (spec.origin or '').endswith(tuple(EXTENSION_SUFFIXES))
    return 'compiled' if native else 'interpreted'
