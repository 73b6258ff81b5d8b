# SPDX-License-Identifier: Apache-2.0
"""Which program runs now, and what each program has of its own: exit code, output, arguments, threads.

The scheduler tells the Runtime of every switch (kernel/sched.py: SwitchHook). On the way in it exchanges the interpreter's
per-thread state (asyncio's running loop, asynchronous generator hooks, threading.local) and the view of `sys` and `os` for
those of the task and its program, where the one before was another, so that tasks of one OS thread do not see each other's.

`running` is the one piece of module state: the task that this OS thread runs at the moment. It is what the patched names
ask.
"""
from __future__ import annotations

import asyncio.events
import concurrent.futures.thread as pools
import io
import itertools
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, TextIO

from linnet.include.linux.sched import Process
from linnet.include.net.net_namespace import Net, World
from linnet.kernel.clock import ns_from_seconds
from linnet.kernel.file import FdTable, ForeignFiles
from linnet.kernel.sched import MAX_SCHEDULE_TIMEOUT, SwitchHook, Task, join
from linnet.net.socket import sys_close, sys_write
from linnet.program.environ import Environ
from linnet.program.hosts import HostTable
from linnet.program.locals import REACHABLE, Locals
from linnet.program.signals import Signals

if TYPE_CHECKING:
    from linnet.program.realtime import RealGate

FIRST_FD = 1 << 20  # descriptors of simulated programs start here, out of the way of the machine's own
GRACE_NS = 5 * 10**9  # how long the finally blocks of programs that are ended may go on waiting
NOWHERE = io.StringIO()  # the stderr of programs that are being ended


class _Running:
    """The task that runs now, and the OS thread that runs it; (None, 0) outside of any world.

    program: what the whole process is (realtime.py), with all of its threads; None in other processes. forked: why this process,
    a child of such a one, has no sockets.
    """

    def __init__(self) -> None:
        self.task: Task | None = None
        self.thread = 0
        self.program: Program | None = None
        self.forked = ''


running = _Running()
# Kept: the names are patched while a program runs.
real_get_ident = threading.get_ident
_get_running_loop = asyncio.events._get_running_loop
_set_running_loop = asyncio.events._set_running_loop


def current_task() -> Task | None:
    """The simulated task whose code is running, or None where the caller is no program of a world."""
    task = running.task
    if task is not None and running.thread == real_get_ident():
        return task
    return None


def inside() -> bool:
    """Is the caller a program: a task of a world, or any thread of a process that is one as a whole?"""
    return running.program is not None or current_task() is not None


def ident_of(task: Task) -> int:
    """The identity of a task as a thread: no two tasks of one process share it, of whatever worlds they are."""
    program = task.process
    base = program.runtime.first_ident if isinstance(program, Program) else FIRST_FD
    return base + task.pid


def current_program() -> Program:
    """The program whose code is running; RuntimeError outside of one."""
    task = current_task()
    if task is None and running.program is not None:
        return running.program
    if task is None or not isinstance(task.process, Program):
        raise RuntimeError('no simulated program is running here: this call belongs into a function spawned on a host')
    return task.process


def unshare(instance: Any) -> None:
    """Give an instance a dict of its own, when its attributes are there: for what is busy and derived from a compiled class. The
    interpreter (up to 3.12 at least) does not learn its way around the shared dict of such, and takes three times as long about
    each attribute.
    """
    instance.__dict__ = dict(instance.__dict__)


class MainThread(threading.Thread):
    """What threading.current_thread() is in a program's main function. A dummy Thread made on the spot would be a daemon, and
    the threads that the program starts would inherit that.
    """

    def __init__(self) -> None:
        super().__init__(name='MainThread', daemon=False)
        self._started.set()  # type: ignore[attr-defined]
        self._ident = threading.get_ident()

    def is_alive(self) -> bool:
        """It is, as long as anybody of the program can ask."""
        return True

    def join(self, timeout: float | None = None) -> None:
        """A program ends with its main function and its threads: no thread can wait for both."""
        raise RuntimeError('cannot join the main thread')


class Program(Process):
    """One program on one host. Made by Runtime.spawn; `exit_code` is None while it runs.

    exception: what it raised, if it ended so. stdout, stderr: where its print() goes; None: the real ones. What a program
    of its own has beside its descriptors: sys.argv, sys.path and sys.modules['__main__'].
    """

    def __init__(self, runtime: Runtime, net: Net, name: str, argv: list[str], pid: int) -> None:
        super().__init__(net, name, pid)
        self.files = FdTable(FIRST_FD)
        self.files.foreign = runtime.foreign
        self.gate: RealGate | None = None
        self.runtime = runtime
        self.world = runtime.world
        self.clock = runtime.world.clock
        self.argv = argv
        self.stdout: TextIO | None = None
        self.stderr: TextIO | None = None
        self.exit_code: int | None = None
        self.killed: int | None = None  # the exit code that a signal gives it, while it is ending
        self.exception: BaseException | None = None
        self.daemon = False  # the world does not wait for it, nor for its threads
        self.tasks: list[Task] = []  # of its threads that are alive, the main one first
        self.awaited: list[Task] = []  # those of them whose end the program's own end waits for
        self.modules_main: ModuleType | None = None  # its sys.modules['__main__']; None: as outside
        self.path: list[str] | None = None  # its sys.path; None: as outside
        self.environ = Environ({})
        self.random = net.random.fork(f'program {pid}')  # its os.urandom: what it draws shifts nothing in the stack
        self.import_random = net.random.fork(f'imports {pid}')
        self.main_thread: threading.Thread = MainThread()
        self.signals = Signals(runtime.world.clock, self._end, self._wake)
        self.default_timeout: float | None = None  # of its sockets: socket.setdefaulttimeout()
        self.check = True
        self.silent = False  # it is being ended: what its threads say of that goes nowhere
        unshare(self)

    def now(self) -> int:
        """The world's time, ns; in real time the machine's at this moment."""
        clock = self.world.clock
        return int(clock.advance(clock.now))

    @property
    def done(self) -> bool:
        """Has it ended?"""
        return self.exit_code is not None

    def send_signal(self, signum: int) -> None:
        """As subprocess.Popen.send_signal: a handler runs when the world does; what is not handled ends the program."""
        self.signals.send(signum)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """In another program of the world: wait for this one's end; its exit code.

        timeout: virtual seconds, after which TimeoutError is raised. RuntimeError outside of a program (there: lab.run()).
        """
        me, sched = current_program(), self.world.sched
        if me is self:
            raise RuntimeError(f'{self} cannot wait for its own end')
        deadline = None if timeout is None else int(sched.clock.now) + ns_from_seconds(timeout)
        while self.exit_code is None and self.tasks:
            left = MAX_SCHEDULE_TIMEOUT if deadline is None else deadline - int(sched.clock.now)
            if left <= 0:
                raise TimeoutError(f'{self} has not ended after {timeout:g} s')
            if not join(sched, self.tasks[0], left):
                me.signals.run_handlers()
        return -signal.SIGKILL if self.exit_code is None else self.exit_code

    def _end(self, exit_code: int) -> None:
        self.killed = exit_code
        main = self.signals.main
        if main is not None:
            main.sched.kill(main)

    def _wake(self, fd: int, byte: bytes) -> None:
        try:
            sys_write(self, fd, byte)
        except OSError:
            return  # full, or closed: as in CPython nothing follows but, there, a warning

    def __repr__(self) -> str:
        state = 'running' if self.exit_code is None else f'exited {self.exit_code}'
        return f'<Program {self.name!r} pid {self.pid} on {self.net.name}, {state}>'


class TaskState:
    """Interpreter state of a task with an event loop (or of the world's caller) while it does not run."""

    def __init__(self, running_loop: Any) -> None:
        self.running_loop = running_loop
        self.asyncgen_hooks: tuple[Any, ...] = (None, None)

    def take(self) -> None:
        """Save what the interpreter has now. (The loop of a task is noted when it is set.)"""
        self.asyncgen_hooks = sys.get_asyncgen_hooks()

    def put(self) -> None:
        """Give the interpreter what was saved."""
        _set_running_loop(self.running_loop)
        sys.set_asyncgen_hooks(*self.asyncgen_hooks)


worlds = itertools.count(1)


class Runtime(SwitchHook):
    """The programs of one World."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clock = world.clock
        self.foreign: ForeignFiles | None = None  # the machine's descriptors, where programs can poll them, too
        self.programs: list[Program] = []
        self.names = HostTable()
        self.hostnames: dict[Net, str] = {}  # of hosts whose programs called sethostname()
        self.states: dict[int, TaskState] = {}
        self.outside = TaskState(None)
        self.shown = self.outside  # whose state the interpreter has
        self.locals = Locals() if REACHABLE else None
        self.real: tuple[TextIO, TextIO, list[str]] = (sys.stdout, sys.stderr, sys.argv)
        self.real_main = sys.modules['__main__']
        self.real_environ = os.environ
        self.real_path = sys.path
        self.view: Program | None = None  # whose `sys` is in place
        self.entered: Task | None = None  # whose state all of this is; None: to be looked at
        self.first_ident = FIRST_FD + (next(worlds) << 32)
        self.shared_output = False  # programs without an output of their own use what sys.stdout is at the moment (see _show)
        self.awaited: Program | None = None  # its end ends the run
        unshare(self)
        world.sched.hook = self

    # -- programs

    def spawn(self, net: Net, fn: Callable[[], object], *, name: str, argv: list[str] | None = None,
              daemon: bool = False, check: bool = True, path: str | None = None,
              env: dict[str, str] | None = None) -> Program:
        """Start fn as the main thread of a new program on the host of `net`. It runs when the world does.

        daemon: the world does not wait for it. check: what it raises is raised by the world's run(), too. path: a folder that
        comes first on its sys.path. env: its environment; None: a copy of what the environment is now.
        """
        program = Program(self, net, name, argv or [name], len(self.programs) + 1)
        program.check, program.daemon = check, daemon
        if path is not None:
            program.path = [path, *sys.path]
        program.environ = Environ(dict(os.environ) if env is None else env)
        self.programs.append(program)
        program.signals.main = self.start_thread(program, lambda: self._main(program, fn), f'{net.name}:{name}', False)
        return program

    def start_thread(self, program: Program, fn: Callable[[], object], name: str, daemon: bool) -> Task:
        """One more task of the program. daemon: the program does not wait for it at its end."""
        task = self.world.sched.spawn(lambda: self._thread(program, fn), name, program, daemon or program.daemon)
        program.tasks.append(task)
        if not daemon:
            program.awaited.append(task)
        return task

    def _thread(self, program: Program, fn: Callable[[], object]) -> None:
        task = self.world.sched.current
        assert task is not None
        try:
            fn()
        finally:
            program.tasks.remove(task)
            if task in program.awaited:
                program.awaited.remove(task)
            self.states.pop(task.pid, None)
            if self.locals is not None:
                self.locals.forget(task.pid)
            threading._active.pop(ident_of(task), None)  # type: ignore[attr-defined]  # a dummy Thread, if one was made

    def _main(self, program: Program, fn: Callable[[], object]) -> None:
        """Run the program's main function, wait for its threads, close what it left open."""
        sched = self.world.sched
        program.main_thread._ident = threading.get_ident()  # type: ignore[attr-defined]
        threading._active[threading.get_ident()] = program.main_thread  # type: ignore[attr-defined]
        try:
            fn()
            me = sched.current
            self._end_pools(program)
            while others := [task for task in program.awaited if task is not me]:
                if not join(sched, others[0]):
                    program.signals.run_handlers()
            program.exit_code = 0
        except SystemExit as exc:
            program.exit_code = exc.code if isinstance(exc.code, int) else 0 if exc.code is None else 1
        except KeyboardInterrupt:
            program.exit_code = -signal.SIGINT
        except Exception as exc:
            program.exit_code = 1
            program.exception = exc
            if not program.check and program.killed is None:
                traceback.print_exc()
        except BaseExceptionGroup as group:  # of KeyboardInterrupts alone, as trio raises them
            if group.split(KeyboardInterrupt)[1] is not None:
                raise
            program.exit_code = -signal.SIGINT
        finally:
            if program.killed is not None:
                program.exit_code = program.killed
            elif program.exit_code is None:
                program.exit_code = -signal.SIGKILL
            self._exit(program)
        if program.exception is not None and program.check and program.killed is None:
            raise program.exception

    def _end_pools(self, program: Program) -> None:
        """What concurrent.futures does at the interpreter's exit, for one program: pools that nobody shut down let their
        threads go when their work is done.
        """
        idents = {ident_of(task) for task in program.tasks}
        for thread in list(pools._threads_queues):
            if thread.ident in idents and thread.is_alive():
                pool = thread._args[0]()
                if pool is not None:
                    pool.shutdown(wait=False)

    def end(self) -> None:
        """End all programs, as SIGTERM and then SIGKILL do. Those that handle SIGTERM, as servers do that shut down in order, get
        it, and GRACE_NS. The others, and what is left then, get GreenletExit at each task's wait, so that finally blocks (and
        the cancellations of asyncio.run) run in the world's time; those that go on waiting for GRACE_NS are killed where they
        are.

        To be called outside of run(). What ended programs write to stderr, or raise, is of no interest any more.
        """
        sched = self.world.sched
        if sched.running:
            raise RuntimeError('programs are ended from outside of the world: this was called by one of them')
        self.restore()
        polite = []
        for program in self.programs:
            program.silent = True
            if not program.done and program.signals.handled(signal.SIGTERM):
                polite.append(program)
                program.terminate()
        self._wait_while(lambda: any(not program.done for program in polite))
        for task in list(sched.tasks.values()):
            sched.kill(task)
        self._wait_while(lambda: bool(sched.tasks))
        sched.kill_all()
        self.restore()

    def _wait_while(self, busy: Callable[[], bool]) -> None:
        """Let the world run, for GRACE_NS at most. What programs raise meanwhile is of no interest."""
        sched = self.world.sched
        limit = int(sched.clock.now) + GRACE_NS
        while busy() and sched.clock.now < limit:
            try:
                sched.run(min(limit, int(sched.clock.now) + GRACE_NS // 50))
            except Exception:  # noqa: S112  # out of a finally block
                continue

    def _exit(self, program: Program) -> None:
        """What exit() does: end the other threads and close the descriptors."""
        self._show(None)
        program.exited = program.silent = True
        program.signals.close()
        self._show(program)
        me = self.world.sched.current
        for task in list(program.tasks):
            if task is not me:
                self.world.sched.kill(task)
        for fd in program.files.fds():
            sys_close(program, fd)
        if program is self.awaited:
            self.world.sched.stop()

    # -- switches

    def note_loop(self, task: Task, loop: Any) -> None:
        """task runs an event loop: from now on its interpreter state is its own, and exchanged when another task's is due."""
        state = self.states.get(task.pid)
        if state is None:
            self._take_shown()
            self.states[task.pid] = self.shown = TaskState(loop)
        else:
            state.running_loop = loop

    def _take_shown(self) -> None:
        if self.shown is self.outside:
            self.outside.running_loop = _get_running_loop()
        self.shown.take()

    def enter(self, task: Task) -> None:
        """The scheduler is about to run task."""
        if task is not self.entered:
            self._exchange(task)
        running.task = task
        running.thread = real_get_ident()

    def _exchange(self, task: Task) -> None:
        """Another task's turn: put its interpreter state in place of what the one before had."""
        state = self.states.get(task.pid, self.outside)
        if state is not self.shown:
            self._take_shown()
            state.put()
            self.shown = state
        if self.locals is not None:
            self.locals.show(task.pid)
        program = task.process
        if program is not self.view:
            self._show(program if isinstance(program, Program) else None)
        self.entered = task

    def leave(self, task: Task) -> None:
        """task gave the processor back. What it saw of `sys` and of asyncio stays until another program runs, or restore()."""
        running.task = None

    @contextmanager
    def machine(self) -> Iterator[None]:
        """Within a program: what runs in the with block is no part of it. Names mean the machine's again, also if they block;
        a fixture that outlives the world is made so.
        """
        task, program = running.task, self.view
        self.entered = None
        self._show(None)
        running.task = None
        try:
            yield
        finally:
            running.task = task
            self._show(program)
            self.entered = task

    def restore(self) -> None:
        """The world stands still: `sys` and asyncio are again as their owner left them."""
        self.entered = None
        self._show(None)
        if self.shown is not self.outside:
            self._take_shown()
            self.outside.put()
            self.shown = self.outside
        if self.locals is not None:
            self.locals.show(None)

    def _show(self, program: Program | None) -> None:
        """Keep what the program before did to its `sys`, and put in place what this one has; None: what the caller had.

        With shared_output, sys.stdout and sys.stderr stay as they are unless a program has its own: where a test runner exchanges
        them in one of the programs, what the others print goes there, too.
        """
        before = self.view
        if before is not None:
            self._keep(before)
        elif program is not None:
            self.real = (sys.stdout, sys.stderr, sys.argv)
            self.real_main, self.real_path, self.real_environ = sys.modules['__main__'], sys.path, os.environ
        self.view = program
        if program is not None:
            self._put(program)
        elif before is not None:
            sys.stdout, sys.stderr, sys.argv = self.real
            sys.modules['__main__'], sys.path = self.real_main, self.real_path
            os.environ = self.real_environ  # noqa: B003  # put back, not cleared

    def _put(self, program: Program) -> None:
        stdout, stderr, _ = self.real
        names = sys.__dict__  # it comes at every switch: setting a module's attributes as such takes three times as long
        names['stdout'] = stdout if program.stdout is None else program.stdout
        names['stderr'] = NOWHERE if program.silent else stderr if program.stderr is None else program.stderr
        names['argv'] = program.argv
        names['path'] = self.real_path if program.path is None else program.path
        names['modules']['__main__'] = self.real_main if program.modules_main is None else program.modules_main
        os.__dict__['environ'] = program.environ

    def _keep(self, program: Program) -> None:
        stdout, stderr, argv = self.real
        if sys.stdout is not (stdout if program.stdout is None else program.stdout):
            if self.shared_output and program.stdout is None:
                self.real = (sys.stdout, stderr, argv)
            else:  # the program redirected its own output: that stays its own
                program.stdout = sys.stdout
        if sys.stderr is not (stderr if program.stderr is None else program.stderr) and sys.stderr is not NOWHERE:
            if self.shared_output and program.stderr is None:
                self.real = (self.real[0], sys.stderr, argv)
            else:
                program.stderr = sys.stderr
        program.argv = sys.argv
        main = sys.modules['__main__']
        program.modules_main = None if main is self.real_main else main
