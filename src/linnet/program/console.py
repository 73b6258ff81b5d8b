# SPDX-License-Identifier: Apache-2.0
"""A host spoken for by whoever owns the world: `with client:` at a prompt or in a script, and no program to write.

The console is a program without a main function. Each call is one task of it; the world runs until that task has ended, and
stands still before the next call. linnet.socket is made of such calls where no program of the world is running.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from linnet.include.net.net_namespace import Net
from linnet.kernel.sched import Task
from linnet.net.socket import sys_close
from linnet.program.runtime import Program, Runtime, current_task

T = TypeVar('T')
Run = Callable[[Callable[[], bool]], object]


class Console:
    """The console of one host. run(ended): let the world run until ended() says so, when its scheduler stops."""

    def __init__(self, runtime: Runtime, net: Net, run: Run) -> None:
        self.program = Program(runtime, net, 'console', ['console'], len(runtime.programs) + 1)
        self.runtime = runtime
        self.run = run
        runtime.programs.append(self.program)
        consoles.by_program[self.program] = self

    def call(self, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """fn(*args, **kwargs) as a task of the console: its result, or what it raised. Deadlock: it can never end."""
        results: list[T] = []
        errors: list[BaseException] = []
        sched = self.runtime.world.sched

        def body() -> None:
            try:
                results.append(fn(*args, **kwargs))
            except BaseException as exc:
                errors.append(exc)
            finally:
                sched.stop()

        task: Task = self.runtime.start_thread(self.program, body, f'{self.program.net.name}:console', False)
        try:
            self.run(lambda: bool(results or errors))
        finally:
            if task.alive():
                sched.kill(task, hard=True)
                self.run(lambda: not task.alive())
        if errors:
            raise errors[0]
        return results[0]

    def __enter__(self) -> Console:
        consoles.stack.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        """The console ends as a program does: what it left open is closed."""
        consoles.stack.remove(self)
        self.call(self._close_all)
        self.program.exited = True
        self.program.exit_code = 0

    def _close_all(self) -> None:
        for fd in self.program.files.fds():
            sys_close(self.program, fd)


class _Consoles:
    """Those whose with block the code is in, the innermost last."""

    def __init__(self) -> None:
        self.stack: list[Console] = []
        self.by_program: WeakKeyDictionary[Program, Console] = WeakKeyDictionary()


consoles = _Consoles()


def call_for(program: Program, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call fn, which is about something of this program's, within the world: at once where that needs no console."""
    console = consoles.by_program.get(program)
    if current_task() is not None or program.exited or console is None:
        return fn(*args, **kwargs)
    return console.call(fn, *args, **kwargs)


def call(fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call fn within the world: at once in one of its programs, else as the console of the innermost with block.

    RuntimeError: neither is there.
    """
    if current_task() is not None:
        return fn(*args, **kwargs)
    if not consoles.stack:
        raise RuntimeError('linnet.socket means a simulated host, and there is none here: use it in a program that a lab has '
                           'spawned, or within `with lab.host(...):` or `with Attached(...):`')
    return consoles.stack[-1].call(fn, *args, **kwargs)
