# SPDX-License-Identifier: Apache-2.0
"""What is done to certain modules when they are imported, or, where they were imported before, when a world is about to run.

Packages that escape (escapes.py) are refused to programs and guarded for everybody else; trio is adapted (for_trio.py);
multiprocessing says that its children are not on Linnet.
"""
from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import random
import sys
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Final

from linnet.program import escapes, for_trio
from linnet.program.chance import track
from linnet.program.runtime import running


def adapt_masks(module: Any) -> None:
    """aiohttp._websocket.writer: the generator is a default argument."""
    for value in module.WebSocketWriter.__init__.__defaults__ or ():
        if type(value) is random.Random:
            track(value)


def warn_of_children(module: Any) -> None:
    """multiprocessing.popen_spawn_posix, popen_forkserver: what they start is no program on Linnet."""
    launch = module.Popen._launch
    if hasattr(launch, '__wrapped__'):
        return

    @functools.wraps(launch)
    def _launch(self: Any, process_obj: Any) -> None:
        if running.program is not None:
            warnings.warn(f"the process that multiprocessing starts ({process_obj.name}) is the machine's: its sockets are not "
                          "on Linnet's stack", RuntimeWarning, stacklevel=5)
        launch(self, process_obj)
    module.Popen._launch = _launch


ADAPTERS: Final[dict[str, Callable[[Any], None]]] = {
    **for_trio.ADAPTERS,
    'aiohttp._websocket.writer': adapt_masks,
    'multiprocessing.popen_spawn_posix': warn_of_children,
    'multiprocessing.popen_forkserver': warn_of_children,
}


def adapt(module: ModuleType) -> None:
    """Do what is to be done to a module, whole and imported. Twice is once."""
    adapter = ADAPTERS.get(module.__name__)
    if adapter is not None:
        adapter(module)
    else:
        escapes.guard(module)


class Watcher(importlib.abc.MetaPathFinder):
    """First of the finders: refuses imports to programs, and adapts what is loaded."""

    def __init__(self) -> None:
        self.names = {*ADAPTERS, *escapes.BY_MODULE}
        self.busy: set[str] = set()

    def find_spec(self, fullname: str, path: Sequence[str] | None,
                  target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        """The others' answer, with a loader that calls adapt()."""
        if fullname not in self.names or fullname in self.busy:
            return None
        escapes.refuse_import(fullname)
        self.busy.add(fullname)
        try:
            spec = next((found for finder in list(sys.meta_path) if finder is not self
                         and (found := finder.find_spec(fullname, path, target)) is not None), None)
        finally:
            self.busy.discard(fullname)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, 'exec_module'):
            spec.loader = Adapting(spec.loader)
        return spec


class Adapting(importlib.abc.Loader):
    """Another loader, and adapt() after it."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """The other's."""
        found: ModuleType | None = self.loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        """The other's, then ours; the module keeps the other as its loader."""
        spec = module.__spec__
        if spec is not None:
            spec.loader = self.loader
        module.__loader__ = self.loader
        self.loader.exec_module(module)
        adapt(module)


watcher = Watcher()


def install() -> None:
    """Watch the imports to come, and see to the modules that are there."""
    if watcher not in sys.meta_path:
        sys.meta_path.insert(0, watcher)
    for name in watcher.names:
        module = sys.modules.get(name)
        if module is not None:
            adapt(module)
