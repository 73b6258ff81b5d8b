# SPDX-License-Identifier: Apache-2.0
"""Which program runs now, and what each program has of its own: exit code, output, arguments, threads.

The scheduler tells the Runtime of every switch (kernel/sched.py: SwitchHook). On the way in it puts the interpreter's per-
thread state (asyncio's running loop, asynchronous generator hooks) and the program's view of `sys` and `os` in place, on
the way out it takes them away, so that tasks of one OS thread do not see each other's.

`running` is the one piece of module state: the task that this OS thread runs at the moment. It is what the patched names
ask.
"""
from __future__ import annotations

import asyncio.events
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from linnet.include.linux.sched import Process
from linnet.include.net.net_namespace import Net, World
from linnet.kernel.file import FdTable
from linnet.kernel.sched import SwitchHook, Task, join
from linnet.net.socket import sys_close
from linnet.program.hosts import HostTable

FIRST_FD = 1 << 20  # descriptors of simulated programs start here, out of the way of the machine's own


class _Running:
    """The task that runs now, and the OS thread that runs it; (None, 0) outside of any world."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self.thread = 0


running = _Running()
_get_ident = threading.get_ident  # kept: the name is patched while a program runs


def current_task() -> Task | None:
    """The simulated task whose code is running, or None where the caller is no program of a world."""
    task = running.task
    if task is not None and running.thread == _get_ident():
        return task
    return None


def current_program() -> Program:
    """The program whose code is running; RuntimeError outside of one."""
    task = current_task()
    if task is None or not isinstance(task.process, Program):
        raise RuntimeError('no simulated program is running here: this call belongs into a function spawned on a host')
    return task.process


class Program(Process):
    """One program on one host. Made by Runtime.spawn; `exit_code` is None while it runs.

    exception: what it raised, if it ended so. stdout, stderr: where its print() goes; None: the real ones.
    """

    def __init__(self, runtime: Runtime, net: Net, name: str, argv: list[str], pid: int) -> None:
        super().__init__(net, name, pid)
        self.files = FdTable(FIRST_FD)
        self.runtime = runtime
        self.world = runtime.world
        self.argv = argv
        self.stdout: TextIO | None = None
        self.stderr: TextIO | None = None
        self.exit_code: int | None = None
        self.exception: BaseException | None = None
        self.tasks: list[Task] = []  # of its threads that are alive, the main one first
        self.check = True

    @property
    def done(self) -> bool:
        """Has it ended?"""
        return self.exit_code is not None

    def __repr__(self) -> str:
        state = 'running' if self.exit_code is None else f'exited {self.exit_code}'
        return f'<Program {self.name!r} pid {self.pid} on {self.net.name}, {state}>'


class TaskState:
    """Interpreter state of one task while it does not run."""

    def __init__(self) -> None:
        self.running_loop: Any = None
        self.asyncgen_hooks: tuple[Any, Any] = (None, None)


class Runtime(SwitchHook):
    """The programs of one World."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.programs: list[Program] = []
        self.names = HostTable()
        self.states: dict[int, TaskState] = {}
        self.outside = TaskState()
        self.real: tuple[TextIO, TextIO, list[str]] = (sys.stdout, sys.stderr, sys.argv)
        world.sched.hook = self

    # -- programs

    def spawn(self, net: Net, fn: Callable[[], object], *, name: str, argv: list[str] | None = None,
              daemon: bool = False, check: bool = True) -> Program:
        """Start fn as the main thread of a new program on the host of `net`. It runs when the world does.

        daemon: the world does not wait for it. check: what it raises is raised by the world's run(), too.
        """
        program = Program(self, net, name, argv or [name], len(self.programs) + 1)
        program.check = check
        self.programs.append(program)
        self.start_thread(program, lambda: self._main(program, fn), f'{net.name}:{name}', daemon)
        return program

    def start_thread(self, program: Program, fn: Callable[[], object], name: str, daemon: bool) -> Task:
        """One more task of the program."""
        task = self.world.sched.spawn(lambda: self._thread(program, fn), name, program, daemon)
        program.tasks.append(task)
        return task

    def _thread(self, program: Program, fn: Callable[[], object]) -> None:
        task = self.world.sched.current
        assert task is not None
        try:
            fn()
        finally:
            program.tasks.remove(task)
            self.states.pop(task.pid, None)
            threading._active.pop(task.pid + FIRST_FD, None)  # type: ignore[attr-defined]  # a dummy Thread, if one was made

    def _main(self, program: Program, fn: Callable[[], object]) -> None:
        """Run the program's main function, wait for its threads, close what it left open."""
        sched = self.world.sched
        try:
            fn()
            me = sched.current
            for task in list(program.tasks):
                if task is not me and not task.daemon:
                    join(sched, task)
            program.exit_code = 0
        except SystemExit as exc:
            program.exit_code = exc.code if isinstance(exc.code, int) else 0 if exc.code is None else 1
        except Exception as exc:
            program.exit_code = 1
            program.exception = exc
            if not program.check:
                traceback.print_exc()
        finally:
            if program.exit_code is None:
                program.exit_code = -9
            self._exit(program)
        if program.exception is not None and program.check:
            raise program.exception

    def _exit(self, program: Program) -> None:
        """What exit() does: end the other threads and close the descriptors."""
        program.exited = True
        me = self.world.sched.current
        for task in list(program.tasks):
            if task is not me:
                self.world.sched.kill(task)
        for fd in program.files.fds():
            sys_close(program, fd)

    # -- switches

    def enter(self, task: Task) -> None:
        """The scheduler is about to run task."""
        state = self.states.get(task.pid)
        if state is None:
            state = TaskState()
            self.states[task.pid] = state
        outside = self.outside
        outside.running_loop = asyncio.events._get_running_loop()
        hooks = sys.get_asyncgen_hooks()
        outside.asyncgen_hooks = (hooks.firstiter, hooks.finalizer)
        asyncio.events._set_running_loop(state.running_loop)
        sys.set_asyncgen_hooks(*state.asyncgen_hooks)
        program = task.process
        if isinstance(program, Program):
            self.real = (sys.stdout, sys.stderr, sys.argv)
            if program.stdout is not None:
                sys.stdout = program.stdout
            if program.stderr is not None:
                sys.stderr = program.stderr
            sys.argv = program.argv
        running.task = task
        running.thread = _get_ident()

    def leave(self, task: Task) -> None:
        """task gave the processor back."""
        running.task = None
        state = self.states.get(task.pid)
        if state is not None and task.alive():
            state.running_loop = asyncio.events._get_running_loop()
            hooks = sys.get_asyncgen_hooks()
            state.asyncgen_hooks = (hooks.firstiter, hooks.finalizer)
        elif state is not None:
            del self.states[task.pid]
        outside = self.outside
        asyncio.events._set_running_loop(outside.running_loop)
        sys.set_asyncgen_hooks(*outside.asyncgen_hooks)
        program = task.process
        if isinstance(program, Program):
            stdout, stderr = program.stdout or self.real[0], program.stderr or self.real[1]
            if sys.stdout is not stdout:  # the program redirected its own output: that stays its own
                program.stdout = sys.stdout
            if sys.stderr is not stderr:
                program.stderr = sys.stderr
            program.argv = sys.argv
            sys.stdout, sys.stderr, sys.argv = self.real
