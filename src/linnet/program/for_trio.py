# SPDX-License-Identifier: Apache-2.0
"""What trio needs, which looks closer at the interpreter than others.

It asks whether the type of a socket is socket.socket itself, and keeps the methods of that class: it takes both classes whose
instances that name makes, and calls the methods of the one that it has. It gives its threads names in the operating
system, by C, and keeps idle ones for whoever wants a thread next: in a world there is nothing to name, and every program has
idle threads of its own.
"""
from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from greenlet import GreenletExit

from linnet.program import sockets
from linnet.program.chance import track
from linnet.program.runtime import Program, current_program, current_task


class ThreadCaches:
    """trio's ThreadCache, one a program."""

    def __init__(self, outside: Any) -> None:
        self.outside = outside
        self.inside: WeakKeyDictionary[Program, Any] = WeakKeyDictionary()

    def __getattr__(self, name: str) -> Any:
        if current_task() is None:
            return getattr(self.outside, name)
        program = current_program()
        if program not in self.inside:
            self.inside[program] = type(self.outside)()
        return getattr(self.inside[program], name)


def adapt_sockets(module: Any) -> None:
    """trio._socket."""
    kind = module._SocketType
    refuse, original = kind.__init__, kind._nonblocking_helper
    if hasattr(refuse, '__wrapped__'):
        return

    @functools.wraps(refuse)
    def __init__(self: Any, sock: Any) -> None:
        if type(sock) not in (sockets.SimSocket, sockets.RealSocket):
            refuse(self, sock)
        self._sock = sock
        self._sock.setblocking(False)
        self._did_shutdown_SHUT_WR = False

    def _nonblocking_helper(self: Any, wait_fn: Any, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return original(self, wait_fn, getattr(type(self._sock), fn.__name__), *args, **kwargs)
    kind.__init__, kind._nonblocking_helper = __init__, _nonblocking_helper


def adapt_threads(module: Any) -> None:
    """trio._core._thread_cache."""
    if isinstance(module.THREAD_CACHE, ThreadCaches):
        return
    module.THREAD_CACHE = ThreadCaches(module.THREAD_CACHE)
    original = module.set_os_thread_name

    def set_os_thread_name(ident: int | None, name: str) -> None:
        if original is not None and current_task() is None:
            original(ident, name)
    module.set_os_thread_name = set_os_thread_name


def adapt_run(module: Any) -> None:
    """trio._core._run: ready tasks are put in the order of their making before they are shuffled by trio's (seeded) dice."""
    module._ALLOW_DETERMINISTIC_SCHEDULING = True
    track(module._r)


def adapt_epoll(module: Any) -> None:
    """trio._core._io_epoll: a program that is ended is told so as by Ctrl-C, so that its tasks are cancelled and can clean up."""
    original = module.EpollIOManager.get_events
    if getattr(original, 'adapted_by_linnet', False):
        return

    def get_events(self: Any, timeout: float) -> Any:
        try:
            return original(self, timeout)
        except GreenletExit:
            sys.modules['trio._core._run'].GLOBAL_RUN_CONTEXT.runner.deliver_ki()
            return []
    get_events.adapted_by_linnet = True  # type: ignore[attr-defined]
    module.EpollIOManager.get_events = get_events


ADAPTERS: Final[dict[str, Callable[[Any], None]]] = {
    'trio._socket': adapt_sockets,
    'trio._core._thread_cache': adapt_threads,
    'trio._core._run': adapt_run,
    'trio._core._io_epoll': adapt_epoll,
}
