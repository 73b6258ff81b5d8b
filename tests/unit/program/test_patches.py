# SPDX-License-Identifier: Apache-2.0
"""program/: one set of names, two worlds. Inside of a program they are the lab's, outside the machine's."""

from __future__ import annotations

import _thread
import asyncio
import os
import random
import select
import socket
import sys
import threading
import time
import types

import pytest

from linnet import Lab
from linnet.program import patches, threads
from linnet.program.runtime import FIRST_FD, current_program, current_task


def test_the_machine_s_own_calls_still_work_beside_a_lab() -> None:
    with Lab() as lab:
        lab.host('h').spawn(time.sleep, 3600)
        begin = time.monotonic()
        lab.run()
        assert time.monotonic() - begin < 10
        left, right = socket.socketpair()
        left.send(b'x')
        assert select.select([right], [], [], 1)[0] == [right]
        assert right.recv(1) == b'x'
        left.close()
        right.close()
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        assert asyncio.run(asyncio.sleep(0, 'done')) == 'done'
        assert current_task() is None
        with pytest.raises(RuntimeError, match='no simulated program'):
            current_program()


def test_a_program_cannot_touch_the_machine_s_descriptors_by_number() -> None:
    r, w = os.pipe()
    seen: list[object] = []

    def program() -> None:
        sock = socket.socket()
        seen.append(sock.fileno() >= FIRST_FD)
        os.close(sock.fileno())
        try:
            sock.getsockname()
        except OSError as exc:
            seen.append(exc.errno)
        os.write(w, b'files are real')

    with Lab() as lab:
        lab.host('h').spawn(program)
        lab.run()
    assert os.read(r, 100) == b'files are real'
    os.close(r)
    os.close(w)
    assert seen == [True, 9]


def test_a_program_s_argv_output_and_main_module_are_its_own() -> None:
    before = sys.argv, sys.stdout, sys.modules['__main__'], sys.path
    seen: list[tuple[str, str]] = []

    def look(name: str) -> None:
        module = types.ModuleType('__main__')
        module.__doc__ = name
        sys.modules['__main__'] = module
        sys.argv = [name]
        time.sleep(1)
        seen.append((sys.argv[0], sys.modules['__main__'].__doc__ or ''))

    with Lab() as lab:
        for name in ('one', 'two'):
            lab.host(name).spawn(look, name)
        lab.run()
        assert (sys.argv, sys.stdout, sys.modules['__main__'], sys.path) == before
    assert seen == [('one', 'one'), ('two', 'two')]


def test_the_random_state_outside_is_not_touched() -> None:
    random.seed(5)
    expected = random.Random(5).random()
    with Lab(seed=7) as lab:
        lab.host('h').spawn(random.random)
        lab.run()
    assert random.random() == expected


def test_a_module_s_own_lock_parks_tasks_and_still_locks_threads() -> None:
    lock = threads.EitherLock(patches.RealLock() if sys.version_info >= (3, 13) else _thread.allocate_lock())
    order: list[object] = []

    def hold(name: str) -> None:
        with lock:
            time.sleep(1)
            order.append((name, time.monotonic()))

    with Lab() as lab:
        host = lab.host('h')
        for name in ('a', 'b'):
            host.spawn(hold, name)
        with lock:  # whoever is no program has the real one
            assert lock.locked()
            lab.run()
    assert order == [('a', 1.0), ('b', 2.0)]
    assert not lock.locked()


class Early(socket.socket):
    """Derived from the machine's socket, before there was any lab."""


def test_a_subclass_of_socket_works_on_both_sides() -> None:
    got: list[bytes] = []
    with Lab() as lab:

        class Own(socket.socket):
            """A program's own kind of socket."""

            def shout(self, text: bytes) -> int:
                """Send it in capitals."""
                return self.send(text.upper())

        def serve() -> None:
            got.append(socket.create_server(('', 7)).accept()[0].recv(10))

        def talk() -> None:
            sock = Own(socket.AF_INET, socket.SOCK_STREAM)
            assert isinstance(sock, Own)
            assert isinstance(sock, socket.socket)
            sock.connect(('b', 7))
            sock.shout(b'hello')

        a, b = lab.host('a'), lab.host('b')
        lab.link(a, b, delay='1ms')
        b.spawn(serve)
        a.spawn(talk)
        lab.run()
    assert got == [b'HELLO']
    real = Own()
    assert real.fileno() < FIRST_FD
    real.close()


def test_a_class_that_would_leak_is_refused() -> None:
    if type(Early) is not type:
        pytest.skip('a lab was made before this module was imported')
    Early().close()
    with Lab() as lab:
        lab.host('h').spawn(Early)
        with pytest.raises(RuntimeError, match='Early was derived from socket.socket before there was a lab'):
            lab.run()
    Early().close()


def test_a_module_is_looked_through_again_when_it_changes() -> None:
    """Real names and locks that come into a module between two sweeps are replaced, also where its number of names stays."""
    module = types.ModuleType('late')
    sys.modules['late'] = module
    try:
        module.__dict__['pause'] = None
        patches.sweep()
        real_sleep = next(original for original, _ in patches.replaced.values() if original.__name__ == 'sleep')
        module.__dict__['pause'] = real_sleep
        patches.sweep()
        assert module.__dict__['pause'] is time.sleep
        module.__dict__['pause'] = threading.Lock()
        patches.sweep()
        assert isinstance(module.__dict__['pause'], threads.EitherLock)
        another = types.ModuleType('late')  # imported anew, with as many names
        another.__dict__['pause'] = real_sleep
        sys.modules['late'] = another
        patches.sweep()
        assert another.__dict__['pause'] is time.sleep
    finally:
        del sys.modules['late']
