# SPDX-License-Identifier: Apache-2.0
"""Packages whose sockets are opened by their own C, Rust or C++, past Python's socket module.

Inside a simulated program they would leave the world: for the machine's own network, in the machine's own time. They are met
twice: an import within a program raises ImportError, so that what imports them if it can does without; and where they were
imported before, what makes a connection raises Escaped on its first use. Both name what to use in their place. ESCAPES is
also where the table in docs/compatibility.md comes from.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from linnet.program.runtime import inside


class Escaped(RuntimeError):
    """A simulated program used what opens sockets of the machine by itself."""


class Escape:
    """One such package: its module, what in it opens sockets ('name' or 'Class.name'), why, and what to use in its place."""

    def __init__(self, module: str, entries: tuple[str, ...], why: str, instead: str) -> None:
        self.module = module
        self.entries = entries
        self.why = why
        self.instead = instead

    def message(self) -> str:
        """What the error says."""
        return (f'{self.module} {self.why}, past Python\'s socket module: in a simulated program it would reach the machine\'s '
                f'network, not the world\'s; use {self.instead} here')


ESCAPES: Final = (
    Escape('psycopg', ('connect', 'Connection.connect', 'AsyncConnection.connect'), 'connects in C (libpq)', 'asyncpg or pg8000'),
    Escape('psycopg2', ('connect',), 'connects in C (libpq)', 'asyncpg or pg8000'),
    Escape('pycurl', ('Curl', 'CurlMulti'), 'connects in C (libcurl)', 'requests, httpx or aiohttp'),
    Escape('curl_cffi', ('Curl', 'AsyncCurl'), 'connects in C (libcurl)', 'requests, httpx or aiohttp'),
    Escape('grpc', ('insecure_channel', 'secure_channel', 'server'), 'connects and listens in C++ (gRPC core)', 'grpclib'),
    Escape('grpc.aio', ('insecure_channel', 'secure_channel', 'server'), 'connects and listens in C++ (gRPC core)', 'grpclib'),
    Escape('uvloop', ('new_event_loop', 'install', 'run', 'Loop', 'EventLoopPolicy'), 'is an event loop in C (libuv)',
           "asyncio's own event loop (uvicorn --loop asyncio)"),
    Escape('MySQLdb', ('connect', 'Connect', 'Connection'), 'connects in C (libmysqlclient)', 'PyMySQL or aiomysql'),
    Escape('pymssql', ('connect',), 'connects in C (FreeTDS)', 'python-tds'),
    Escape('zmq', ('Context',), 'connects and listens in C++ (libzmq)', 'a protocol over asyncio streams'),
    Escape('confluent_kafka', ('Producer', 'Consumer'), 'connects in C (librdkafka)', 'aiokafka or kafka-python'),
    Escape('pycares', ('Channel',), 'asks name servers in C (c-ares)', 'dnspython'),
)
BY_MODULE: Final = {escape.module: escape for escape in ESCAPES}


def refuse_import(name: str) -> None:
    """ImportError where a program imports a package that would escape."""
    escape = BY_MODULE.get(name)
    if escape is not None and inside():
        raise ImportError(escape.message(), name=name)


def guard(module: ModuleType) -> None:
    """Let what opens sockets in such a module ask first who uses it. Twice is once."""
    escape = BY_MODULE.get(module.__name__)
    if escape is None:
        return
    for entry in escape.entries:
        *path, name = entry.split('.')
        owner: Any = module
        for part in path:
            owner = getattr(owner, part, None)
        original = getattr(owner, name, None) if owner is not None else None
        if original is None or getattr(original, 'guarded_by_linnet', False):
            continue
        if isinstance(original, type):
            setattr(owner, name, _guarded_class(original, escape))
        elif path:  # a class method, bound to its class
            setattr(owner, name, staticmethod(_guarded(original, escape)))
        else:
            setattr(owner, name, _guarded(original, escape))


def _guarded(original: Callable[..., Any], escape: Escape) -> Callable[..., Any]:
    @functools.wraps(original)
    def ask(*args: Any, **kwargs: Any) -> Any:
        if inside():
            raise Escaped(escape.message())
        return original(*args, **kwargs)
    ask.guarded_by_linnet = True  # type: ignore[attr-defined]
    return ask


class _Guard(type):
    """The metaclass of a class that stands for one of the package's: what is an instance of that counts as its own."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__mro__[1])

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.__mro__[1])


def _guarded_class(original: type, escape: Escape) -> Any:
    """A class that makes instances of `original`, but none in a program. What cannot be derived from is a function then."""
    def make(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if inside():
            raise Escaped(escape.message())
        return type(original).__call__(original if cls is guarded else cls, *args, **kwargs)
    kind = type('_Guard', (_Guard, type(original)) if type(original) is not type else (_Guard,), {'__call__': make})
    try:
        guarded = kind(original.__name__, (original,), {'guarded_by_linnet': True, '__module__': original.__module__})
    except TypeError:
        return _guarded(original, escape)
    return guarded
