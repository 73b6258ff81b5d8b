# SPDX-License-Identifier: Apache-2.0
"""Run pytest, with the plugin, on a file of tests.

In this process, so that the stack is imported once. What the inner tests use is imported here: pytester forgets what they
import, and the names of the standard library are replaced once a process.
"""

from __future__ import annotations

import socketserver  # noqa: F401
from collections.abc import Callable

import anyio.pytest_plugin  # noqa: F401
import pytest
import pytest_asyncio  # noqa: F401
import trio  # noqa: F401

import linnet.pytest_plugin.world  # noqa: F401
from helpers.plugin import plugin_options

SERVER = '''
import asyncio, queue, socket, threading, time
import pytest

def echo():
    listener = socket.create_server(('', 7))
    while True:
        conn, _ = listener.accept()
        with conn, conn.makefile('rwb') as stream:
            for line in stream:
                stream.write(line.upper())
                stream.flush()

def ask(name='server', line=b'x\\n'):
    with socket.create_connection((name, 7), timeout=30) as sock:
        sock.sendall(line)
        return sock.recv(100)
'''

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """run(tests, *options): the tests (an echo server is defined above them) in a pytest of their own."""

    def run_tests(tests: str, *options: str, subprocess: bool = False) -> pytest.RunResult:
        pytester.makeini('[pytest]\nasyncio_default_fixture_loop_scope = function\n')
        pytester.makepyfile(test_it=SERVER + tests)
        args = [*plugin_options(), '-p', 'no:randomly', '--strict-markers', *options]
        return pytester.runpytest_subprocess(*args) if subprocess else pytester.runpytest_inprocess(*args)

    return run_tests
