# SPDX-License-Identifier: Apache-2.0
"""threading.local for tasks, all of which run in one OS thread.

Up to Python 3.12 the interpreter keeps a thread's values in a dict of the thread, under a key for each local: at a switch to
another task these entries are exchanged. From 3.13 on they are out of reach; there threading.local is the one that the
standard library has in Python, which asks for the current thread as everybody does, from the first Lab on.
"""
from __future__ import annotations

import _threading_local
import ctypes
import sys
import threading
from typing import Any

PREFIX = 'thread.local.'
REACHABLE = sys.version_info < (3, 13)
RealLocal = threading.local
PythonLocal = _threading_local.local

Values = dict[str, Any]


def thread_dict() -> dict[Any, Any]:
    """The running OS thread's dict."""
    get = ctypes.pythonapi.PyThreadState_GetDict
    get.restype = ctypes.c_void_p
    found: dict[Any, Any] = ctypes.cast(get(), ctypes.py_object).value
    return found


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
        found = {key: table.pop(key) for key in [k for k in table if type(k) is str and k.startswith(PREFIX)]}
        if found:
            self.kept[self.owner] = found
        else:
            self.kept.pop(self.owner, None)
        self.owner = pid
        mine = self.kept.get(pid)
        if mine is not None:
            table.update(mine)

    def forget(self, pid: int) -> None:
        """The task, which runs, is at its end: its values go."""
        if self.owner == pid:
            for key in [k for k in self.table if type(k) is str and k.startswith(PREFIX)]:
                del self.table[key]
        self.kept.pop(pid, None)
