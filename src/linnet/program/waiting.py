# SPDX-License-Identifier: Apache-2.0
"""Who waits for what, and where: what a person wants to know of a world that has come to a stand.

The scheduler knows for each task in words what it waits for. Where in the program that is, its suspended greenlet knows: the
innermost frame that belongs neither to the standard library nor to Linnet. Of an event loop each asyncio task is listed, too,
for "it waits in epoll" says nothing of a program with twenty coroutines.
"""
from __future__ import annotations

import asyncio
import os
import sysconfig
from types import CodeType, FrameType
from typing import Any

from linnet.kernel.sched import Task
from linnet.program.runtime import Program, Runtime

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
LIBRARY = sysconfig.get_paths()['stdlib'] + os.sep
PACKAGES = tuple(os.sep + name + os.sep for name in ('site-packages', 'dist-packages'))
POLLING = os.path.join(HERE, 'program', 'polling.py')
SELECTORS = {'poll': 'poll', 'select': 'select'}  # a function of program/polling.py -> what a program calls it


def _whose(code: CodeType) -> int:
    """0: the user's own; 1: an installed package's; 2: the standard library's; 3: Linnet's, or no file at all."""
    path = code.co_filename
    if path.startswith((HERE, '<frozen')):
        return 3
    if any(part in path for part in PACKAGES):
        return 1
    return 2 if path.startswith(LIBRARY) else 0


def place(frame: FrameType | None) -> str:
    """'in NAME, FILE:LINE' of the innermost frame that a person wrote (else of a package, else of the library); '' without."""
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return innermost(frames)


def innermost(frames: list[FrameType]) -> str:
    """As place(), of frames from the innermost on."""
    best = min(frames, key=lambda frame: _whose(frame.f_code), default=None)
    if best is None or _whose(best.f_code) == 3:
        return ''
    return f'in {best.f_code.co_name}, {short(best.f_code.co_filename)}:{best.f_lineno}'


def short(path: str) -> str:
    """A file's path without what goes without saying: the working directory, the library's folder, site-packages."""
    for part in PACKAGES:
        if part in path:
            return path[path.index(part) + len(part):]
    return path.removeprefix(os.getcwd() + os.sep).removeprefix(LIBRARY)


def _loop_of(task: Task) -> Any:
    program = task.process
    if not isinstance(program, Program):
        return None
    state = program.runtime.states.get(task.pid)
    if state is None:
        return None
    return asyncio.events._get_running_loop() if state is program.runtime.shown else state.running_loop


def what(task: Task) -> str:
    """What the task waits for, in words."""
    if task.wait_what:
        return task.wait_what
    frame = task.greenlet.gr_frame if task.greenlet is not None else None
    while frame is not None:
        if frame.f_code.co_filename == POLLING and frame.f_code.co_name in SELECTORS:
            return 'an event on its descriptors (' + SELECTORS[frame.f_code.co_name] + ')'
        frame = frame.f_back
    return 'an event'



def frames_of(coroutine: Any) -> list[FrameType]:
    """The frames of a suspended coroutine and of those that it awaits, the innermost first."""
    frames = []
    while coroutine is not None:
        for kind in ('cr', 'gi', 'ag'):
            frame = getattr(coroutine, kind + '_frame', None)
            if frame is not None:
                frames.append(frame)
                coroutine = getattr(coroutine, kind + ('_yieldfrom' if kind == 'gi' else '_await'), None)
                break
        else:
            break
    return frames[::-1]


def asyncio_tasks(task: Task) -> list[str]:
    """One line for each asyncio task of the event loop that the task runs."""
    loop = _loop_of(task)
    if loop is None:
        return []
    lines = []
    for coroutine in sorted(asyncio.all_tasks(loop), key=lambda t: t.get_name()):
        where = innermost(frames_of(coroutine.get_coro()))
        name = getattr(coroutine.get_coro(), '__qualname__', '?')
        lines.append(f'asyncio {coroutine.get_name()} ({name}) waits {where}'.rstrip())
    return lines


def describe(task: Task) -> str:
    """'a lock (in fetch, client.py:12)', and a line for each asyncio task where it runs a loop."""
    if task.greenlet is None:
        return 'its start'
    where = place(task.greenlet.gr_frame)
    head = f'{what(task)} ({where})' if where else what(task)
    return '\n    '.join([head, *asyncio_tasks(task)])


def waiting(runtime: Runtime) -> list[tuple[Task, str]]:
    """(task, what it waits for and where) of every task of the world that is parked; daemons come last."""
    sched = runtime.world.sched
    parked = [task for task in sched.tasks.values() if task is not sched.current]
    return [(task, describe(task)) for task in sorted(parked, key=lambda task: (task.daemon, task.pid))]


def report(runtime: Runtime) -> str:
    """The same for people, a line a task."""
    lines = [f'{task.name}{" (daemon)" if task.daemon else ""} waits for {text}' for task, text in waiting(runtime)]
    return '\n'.join(lines) or 'nobody waits'
