# SPDX-License-Identifier: Apache-2.0
"""threading.local for tasks, all of which run in one OS thread.

Up to Python 3.12 the interpreter keeps a thread's values in a dict of the thread, under a key for each local: at a switch to
another task its content is exchanged, and with it what C extensions keep there for a thread. From 3.13 on it is out of reach;
there threading.local is the one that the standard library has in Python, which asks for the current thread as everybody does,
from the first Lab on, and the locals that modules had made before are exchanged for such.
"""
from __future__ import annotations

import _threading_local
import ctypes
import sys
import threading
from typing import Any

LOOP = '__asyncio_running_event_loop__'  # asyncio's C code remembers this entry without holding it: it stays where it is
NOBODY = -1  # no task's pid
REACHABLE = sys.version_info < (3, 13)
RealLocal = threading.local
PythonLocal = _threading_local.local

Values = dict[Any, Any]


def thread_dict() -> dict[Any, Any]:
    """The running OS thread's dict."""
    get = ctypes.pythonapi.PyThreadState_GetDict
    get.restype = ctypes.c_void_p
    found: dict[Any, Any] = ctypes.cast(get(), ctypes.py_object).value
    return found


twins: dict[int, tuple[Any, Any]] = {}  # id of a local of the interpreter's -> (the local, one in Python)


def twin(value: Any) -> Any:
    """A local in Python in place of one of the interpreter's, with what the running thread has in it; the one given where its
    class does not let itself be made anew.
    """
    known = twins.get(id(value))
    if known is not None and known[0] is value:
        return known[1]
    cls = type(value)
    namespace = {name: member for name, member in vars(cls).items() if name not in ('__dict__', '__weakref__')}
    cells = [getattr(getattr(member, '__code__', None), 'co_freevars', ()) for member in namespace.values()]
    freely = not any('__class__' in names for names in cells)  # super() without arguments knows the class that it was written in
    made = value
    if cls is RealLocal:
        made = PythonLocal()
    elif cls.__bases__ == (RealLocal,) and freely:
        try:
            made = type(cls.__name__, (PythonLocal,), namespace)()
        except TypeError:  # its arguments are not known
            pass
    if made is not value:
        made.__dict__.update(value.__dict__)
    twins[id(value)] = (value, made)
    return made


class Locals:
    """Whose values an OS thread has: those of the task that ran last, or of the world's caller (None)."""

    def __init__(self) -> None:
        self.kept: dict[int | None, Values] = {}  # by the task's pid
        self.owner: int | None = None
        self.table: dict[Any, Any] = {}

    def show(self, pid: int | None) -> None:
        """Put the values of a task (None: the caller) in place, and keep those of the one before."""
        if pid == self.owner:
            return
        if self.owner is None:
            self.table = thread_dict()
        table = self.table
        loop = table.get(LOOP)
        self.kept[self.owner] = table.copy()
        table.clear()
        self.owner = pid
        mine = self.kept.get(pid)
        if mine is not None:
            table.update(mine)
        if loop is not None:
            table[LOOP] = loop

    def forget(self, pid: int) -> None:
        """The task, which runs, is at its end: its values go."""
        if self.owner == pid:
            for key in [key for key in self.table if key != LOOP]:
                del self.table[key]
            self.owner = NOBODY
        self.kept.pop(pid, None)
