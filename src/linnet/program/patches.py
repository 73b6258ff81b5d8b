# SPDX-License-Identifier: Apache-2.0
"""The names of the standard library that reach the world while a simulated task runs, and the machine otherwise.

install() replaces each once; a replaced name asks `current_task()` and goes one way or the other. Modules that had
imported a name before (`from time import sleep`) are swept. Not caught: default arguments, and C code that opens its own
descriptors.
"""
from __future__ import annotations

import _posixsubprocess
import _thread
import asyncio.events
import asyncio.tasks
import builtins
import errno
import fcntl
import gc
import io
import os
import queue
import random
import select
import selectors
import signal
import socket
import ssl
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType
from typing import Any

from linnet.program import chance, clocks, files, imports, names, polling, processes, runtime, sockets, tasks, threads, tls
from linnet.program.locals import REACHABLE, PythonLocal, RealLocal, twin
from linnet.program.runtime import FIRST_FD, current_program, current_task, inside, running

replaced: dict[int, tuple[Any, Any]] = {}  # id(original) -> (original, dispatcher)
by_sockets: set[int] = set()  # those of them that install_sockets() replaced


def dispatch(within: Callable[..., Any], outside: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls `within` from a simulated task and `outside` from anywhere else."""
    def either(*args: Any, **kwargs: Any) -> Any:
        if current_task() is not None:
            return within(*args, **kwargs)
        return outside(*args, **kwargs)
    return like(outside, either)


def dispatch_bare(within: Callable[[], Any], outside: Callable[[], Any]) -> Callable[..., Any]:
    """As dispatch(), for functions without arguments: an event loop reads the clock twice a round, and this costs it half."""
    def either() -> Any:
        if current_task() is not None:
            return within()
        return outside()
    return like(outside, either)


def for_programs(within: Callable[..., Any], outside: Callable[..., Any]) -> Callable[..., Any]:
    """As dispatch(), for what is about sockets: it goes for every thread of a process that is a program as a whole, too."""
    def either(*args: Any, **kwargs: Any) -> Any:
        if inside():
            return within(*args, **kwargs)
        return outside(*args, **kwargs)
    return like(outside, either)


def in_task() -> bool:
    """Is the caller a task of a world?"""
    return current_task() is not None


def like(outside: Callable[..., Any], either: Callable[..., Any]) -> Callable[..., Any]:
    """Make `either` look like what it stands for. A function of C's that a class keeps (`clock = time.monotonic`) does not become
    its method; neither does a staticmethod.
    """
    either.__name__ = getattr(outside, '__name__', 'either')
    either.__doc__ = outside.__doc__
    return staticmethod(either) if isinstance(outside, BuiltinFunctionType) else either


def _simulated(family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None, *args: Any, **kwargs: Any) -> bool:
    """Is a socket that is made so, here, Linnet's? UNIX sockets of a process that is a program as a whole are the machine's."""
    if isinstance(fileno, int) and fileno >= 0:
        return fileno >= FIRST_FD and inside()
    if current_task() is not None:
        return True
    if running.forked and family in (-1, socket.AF_INET, socket.AF_INET6):
        raise PermissionError(errno.EPERM, running.forked)
    return running.program is not None and family != socket.AF_UNIX


class _SocketType(type(socket.socket)):  # type: ignore[misc]
    """The metaclass of the class that stands for socket.socket: instances and subclasses of the real one count as its own.

    Its attributes are those of the class whose instances it makes here: `socket.socket.connect` is SimSocket's within a program,
    and what is put in its place (mock.patch) reaches the programs' sockets there, and the machine's elsewhere.
    """

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, sockets.RealSocket) if cls is Socket else type.__instancecheck__(cls, instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, sockets.RealSocket) if cls is Socket else type.__subclasscheck__(cls, subclass)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        simulated = _simulated(*args, **kwargs)
        if cls is Socket:
            return type.__call__(sockets.SimSocket if simulated else sockets.RealSocket, *args, **kwargs)
        return type.__call__(sockets.twin(cls) if simulated else cls, *args, **kwargs)

    def __getattribute__(cls, name: str) -> Any:
        if (name == '__init__' or not name.startswith('__')) and inside() and cls is Socket:
            return getattr(sockets.SimSocket, name)
        return super().__getattribute__(name)

    def __setattr__(cls, name: str, value: Any) -> None:
        if cls is not Socket:
            type.__setattr__(cls, name, value)
            return
        target = sockets.SimSocket if inside() else sockets.RealSocket
        shadowed.setdefault((target, name), target.__dict__.get(name))
        setattr(target, name, value)

    def __delattr__(cls, name: str) -> None:
        target = sockets.SimSocket if inside() else sockets.RealSocket
        if cls is not Socket or (target, name) not in shadowed:
            type.__delattr__(cls, name)
            return
        before = shadowed.pop((target, name))
        if before is None:
            delattr(target, name)
        else:
            setattr(target, name, before)


shadowed: dict[tuple[type, str], Any] = {}  # (class, name) -> what socket.socket had there of its own before it was set


class Socket(sockets.RealSocket, metaclass=_SocketType):
    """What `socket.socket` names once install() has run."""

    __slots__ = ()


def _choose(within: Any, outside: Any, where: Callable[[], bool] = inside) -> Any:
    """A class whose instances are of one kind or the other."""
    class Either:
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            return within(*args, **kwargs) if where() else outside(*args, **kwargs)
    Either.__name__ = Either.__qualname__ = outside.__name__
    for name in ('fromfd',):
        if hasattr(outside, name):
            setattr(Either, name, staticmethod(_on_fd(getattr(within, name), getattr(outside, name))))
    return Either


def _on_fd(within: Callable[..., Any], outside: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose first argument is a descriptor: those of programs go one way, the machine's the other."""
    def either(fd: Any, *args: Any, **kwargs: Any) -> Any:
        if type(fd) is int and fd < FIRST_FD:
            return outside(fd, *args, **kwargs)
        if inside():
            number = fd if isinstance(fd, (int, str)) or not hasattr(fd, 'fileno') else fd.fileno()
            if isinstance(number, int) and FIRST_FD <= number < 1 << 31:
                return within(number, *args, **kwargs)
        return outside(fd, *args, **kwargs)
    return like(outside, either)


PROCESS_MODULES = ('subprocess', 'asyncio.unix_events', 'multiprocessing')


def _pipe(within: Callable[..., Any], outside: Callable[..., Any]) -> Callable[..., Any]:
    """os.pipe: within the program, but for a process of the machine, which a program on a TUN may start."""
    def either(*args: Any) -> Any:
        if current_task() is None or sys._getframe(1).f_globals.get('__name__', '').startswith(PROCESS_MODULES):
            return outside(*args)
        return within(*args)
    return like(outside, either)


def _urandom(n: int) -> bytes:
    program = current_program()
    return bytes((program.import_random if chance.importing() else program.random).bytes(n))


def _set_running_loop(loop: Any) -> None:
    task = current_task()
    assert task is not None
    current_program().runtime.note_loop(task, loop)
    runtime._set_running_loop(loop)


def _put(module: Any, name: str, value: Any) -> None:
    original = getattr(module, name)
    replaced[id(original)] = (original, value)
    setattr(module, name, value)


def install() -> None:
    """Replace the names, once a process. Safe to call again: modules imported since are swept too."""
    if not replaced:
        _install_sockets()
        by_sockets.update(replaced)
    if replaced.keys() <= by_sockets:
        swept.clear()
        _install_pairs()
        _install_time_and_threads()
        _install_processes()
    sweep()


def install_sockets() -> None:
    """What has to do with sockets alone: all that a process needs that is a program as a whole, whose time, threads and processes
    are the machine's.
    """
    if not replaced:
        _install_sockets()
        by_sockets.update(replaced)
    sweep()


def _refuse_leaks() -> None:
    """A class that was derived from socket.socket before install() would open sockets of the machine inside of a program."""
    init = sockets.RealSocket.__init__

    def __init__(self: Any, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        if fileno is None and _simulated(family):
            raise RuntimeError(f'{self.__class__.__qualname__} was derived from socket.socket before there was a lab: its '
                               f'sockets would be the machine\'s; make the Lab first, or import the class within the program')
        init(self, family, type, proto, fileno)
    __init__.__doc__ = init.__doc__
    setattr(sockets.RealSocket, '__init__', __init__)  # noqa: B010


def _close(outside: Callable[..., Any]) -> Callable[..., Any]:
    """os.close: who polls a descriptor of the machine learns that it goes, before its number stands for something else."""
    close = _on_fd(files.close, outside)

    def either(fd: Any) -> Any:
        if type(fd) is int and fd < FIRST_FD and inside():
            files.forget(fd)
        return close(fd)
    return like(outside, either)


def _fromfd(outside: Callable[..., Any]) -> Callable[..., Any]:
    """socket.fromfd: a process that is a program as a whole may have one of either kind duplicated."""
    def either(fd: Any, *args: Any, **kwargs: Any) -> Any:
        if current_task() is not None or (running.program is not None and isinstance(fd, int) and fd >= FIRST_FD):
            return sockets.fromfd(fd, *args, **kwargs)
        return outside(fd, *args, **kwargs)
    return like(outside, either)


def _install_sockets() -> None:
    _refuse_leaks()
    _put(socket, 'socket', Socket)
    for name in ('getaddrinfo', 'gethostbyname', 'gethostbyname_ex', 'gethostbyaddr', 'getnameinfo', 'gethostname', 'getfqdn',
                 'sethostname', 'if_nameindex', 'if_nametoindex', 'if_indextoname'):
        _put(socket, name, for_programs(getattr(names, name), getattr(socket, name)))
    for name in ('getdefaulttimeout', 'setdefaulttimeout'):
        _put(socket, name, for_programs(getattr(sockets, name), getattr(socket, name)))
    _put(socket, 'fromfd', _fromfd(socket.fromfd))
    _put(socket, 'close', _close(socket.close))
    setattr(ssl.SSLSocket, '_create', classmethod(tls.create))  # noqa: B010
    setattr(ssl.SSLContext, 'set_default_verify_paths', tls.set_default_verify_paths)  # noqa: B010
    setattr(ssl.SSLContext, '_wrap_socket', tls.wrap_socket)  # noqa: B010
    _put(select, 'select', for_programs(polling.select, select.select))
    _put(select, 'poll', _choose(polling.new_poll, select.poll))
    _put(select, 'epoll', _choose(polling.SimEpoll, select.epoll))
    selectors.PollSelector._selector_cls = select.poll  # type: ignore[attr-defined]
    selectors.EpollSelector._selector_cls = select.epoll  # type: ignore[attr-defined]
    selectors.SelectSelector._select = staticmethod(select.select)  # type: ignore[attr-defined]
    _put(os, 'close', _close(os.close))
    for name in ('read', 'write', 'set_blocking', 'get_blocking', 'set_inheritable', 'get_inheritable', 'dup', 'dup2',
                 'isatty', 'fstat', 'sendfile'):
        _put(os, name, _on_fd(getattr(files, name), getattr(os, name)))
    _put(io, 'open', _on_fd(files.open_fd, io.open))
    setattr(builtins, 'open', io.open)  # noqa: B010
    for name in ('fcntl', 'ioctl'):
        _put(fcntl, name, _on_fd(getattr(files, name), getattr(fcntl, name)))


def _install_pairs() -> None:
    gc.callbacks.append(sockets.note_collection)
    _put(socket, 'socketpair', dispatch(sockets.socketpair, socket.socketpair))
    _put(os, 'pipe', _pipe(files.pipe, os.pipe))
    _put(os, 'pipe2', _pipe(files.pipe2, os.pipe2))
    _put(asyncio.tasks, 'all_tasks', dispatch(tasks.all_tasks, asyncio.tasks.all_tasks))
    _put(asyncio.events, '_set_running_loop', dispatch(_set_running_loop, asyncio.events._set_running_loop))


def _install_time_and_threads() -> None:
    for name, within in (('time', clocks.time), ('time_ns', clocks.time_ns),
                         ('monotonic', clocks.monotonic), ('monotonic_ns', clocks.monotonic_ns),
                         ('perf_counter', clocks.monotonic), ('perf_counter_ns', clocks.monotonic_ns)):
        _put(time, name, dispatch_bare(within, getattr(time, name)))
    for name in ('sleep', 'localtime', 'gmtime', 'ctime', 'asctime', 'strftime', 'clock_gettime', 'clock_gettime_ns'):
        _put(time, name, dispatch(getattr(clocks, name), getattr(time, name)))
    _put(os, 'urandom', dispatch(_urandom, os.urandom))
    random._urandom = os.urandom  # type: ignore[attr-defined]
    lock = threading.Lock  # a class of its own from Python 3.13 on, before that the same
    _put(_thread, 'allocate_lock', dispatch(threads.SimLock, _thread.allocate_lock))
    replaced[id(lock)] = (lock, _thread.allocate_lock)
    setattr(threading, 'Lock', _thread.allocate_lock)  # noqa: B010
    if not REACHABLE:
        for module in (threading, _thread):
            _put(module, 'local' if module is threading else '_local', PythonLocal)
    _put(_thread, 'start_new_thread', dispatch(threads.start_new_thread, _thread.start_new_thread))
    _put(_thread, 'get_ident', dispatch(threads.get_ident, _thread.get_ident))
    if hasattr(_thread, '_set_sentinel'):
        _put(_thread, '_set_sentinel', dispatch(threads.set_sentinel, _thread._set_sentinel))
    if hasattr(_thread, 'start_joinable_thread'):
        _put(threading, '_ThreadHandle', _choose(
            threads.SimThreadHandle, threading._ThreadHandle, in_task))  # type: ignore[attr-defined]
        _put(threading, '_start_joinable_thread', dispatch(
            threads.start_joinable_thread, getattr(threading, '_start_joinable_thread')))  # noqa: B009
    _put(threading, 'RLock', dispatch(threads.SimRLock, threading.RLock))
    _put(queue, 'SimpleQueue', dispatch(queue._PySimpleQueue, queue.SimpleQueue))  # type: ignore[attr-defined]


def _install_processes() -> None:
    for name, within in (('signal', processes.set_signal), ('getsignal', processes.getsignal),
                         ('raise_signal', processes.raise_signal), ('pthread_kill', processes.pthread_kill),
                         ('siginterrupt', processes.siginterrupt), ('set_wakeup_fd', processes.set_wakeup_fd),
                         ('setitimer', processes.setitimer), ('getitimer', processes.getitimer), ('alarm', processes.alarm),
                         ('pause', processes.pause)):
        _put(signal, name, dispatch(within, getattr(signal, name)))
    _put(_thread, 'interrupt_main', dispatch(processes.interrupt_main, _thread.interrupt_main))
    _put(_thread, '_count', dispatch(threads.count, _thread._count))
    _put(threading, 'main_thread', dispatch(processes.main_thread, threading.main_thread))
    for name in ('getpid', 'kill'):
        _put(os, name, _in_virtual_time(getattr(processes, name), getattr(os, name)))
    for module, names_ in ((os, ('fork', 'forkpty', 'posix_spawn', 'posix_spawnp', 'system', 'execv', 'execve')),
                           (_posixsubprocess, ('fork_exec',))):
        for name in names_:
            what = f'{module.__name__.strip("_")}.{name}()' if module is os else 'subprocess'
            _put(module, name, _in_virtual_time(partial(_refused, what), getattr(module, name)))
    setattr(subprocess, '_fork_exec', _posixsubprocess.fork_exec)  # noqa: B010  # the name it keeps it by


def _refused(what: str, *args: Any, **kwargs: Any) -> Any:
    processes.refuse(what)


def _in_virtual_time(inside: Callable[..., Any], outside: Callable[..., Any]) -> Callable[..., Any]:
    """As dispatch(), but a program attached to the real network lives among the machine's processes."""
    def either(*args: Any, **kwargs: Any) -> Any:
        if processes.in_virtual_time() is not None:
            return inside(*args, **kwargs)
        return outside(*args, **kwargs)
    return like(outside, either)


RealLock = _thread.LockType
# These hold the originals on purpose; by pytest's clock tests take real time.
SPARED = ('socket', '_socket', 'time', '_thread', 'linnet', '_pytest.timing')


INSTALLED = (sysconfig.get_paths()['stdlib'], sysconfig.get_paths()['purelib'], sysconfig.get_paths()['platlib'])
# Module -> (its identity, how many names it had, and of the user's own modules each value's identity) when it was last looked
# through. Installed modules are written to by their own imports alone: there the number of names tells of a change.
swept: dict[str, tuple[int, int, list[int]]] = {}


def sweep() -> None:
    """Replace the names that modules took before install() ran, and the locks that they made; see to certain modules.

    It comes before every run of every lab: a module in which nothing has changed since costs next to nothing.
    """
    imports.install()
    for key, module in list(sys.modules.items()):
        table = getattr(module, '__dict__', None)
        if not isinstance(table, dict):
            continue
        before = swept.get(key)
        if before is not None and before[0] == id(module) and before[1] == len(table) and (
                not before[2] or before[2] == list(map(id, table.values()))):
            continue
        _sweep_module(getattr(module, '__name__', ''), table)
        installed = str(table.get('__file__')).startswith(INSTALLED)
        swept[key] = id(module), len(table), [] if installed else list(map(id, table.values()))


def _sweep_module(name: str, table: dict[str, Any]) -> None:
    if name in SPARED or name.startswith('linnet.'):
        return
    worlds = len(replaced) > len(by_sockets)
    for key, value in list(table.items()):
        entry = replaced.get(id(value))
        if entry is not None and entry[0] is value:
            table[key] = entry[1]
        elif type(value) is RealLock and worlds:
            table[key] = threads.EitherLock(value)
        elif not REACHABLE and worlds and issubclass(type(value), RealLocal):
            table[key] = twin(value)
