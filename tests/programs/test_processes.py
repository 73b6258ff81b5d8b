# SPDX-License-Identifier: Apache-2.0
"""A program as a process: signals, its environment, its pid; and no processes of the machine."""
from __future__ import annotations

import asyncio
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from linnet import Lab


def run(fn: Callable[[list[Any]], None]) -> tuple[list[Any], int | None]:
    """(what fn appended, its exit code)."""
    out: list[Any] = []
    with Lab(seed=1) as lab:
        program = lab.host('h').spawn(fn, out)
        lab.run()
        return out, program.exit_code


def test_an_alarm_interrupts_each_kind_of_wait_and_the_wait_goes_on() -> None:
    def program(out: list[Any]) -> None:
        signal.signal(signal.SIGALRM, lambda signum, frame: out.append((signum, time.monotonic())))
        a, b = socket.socketpair()
        waits: list[Callable[[], Any]] = [
            lambda: time.sleep(3), lambda: select.select([a], [], [], 3), lambda: queue.Queue().get(timeout=3),
            lambda: threading.Event().wait(3), lambda: select.poll().poll(3000), lambda: select.epoll().poll(3),
        ]
        for wait in waits:
            start = time.monotonic()
            signal.alarm(1)
            assert signal.getitimer(signal.ITIMER_REAL) == (1.0, 0.0)
            try:
                wait()
            except queue.Empty:
                pass
            assert out.pop() == (signal.SIGALRM, start + 1)
            assert time.monotonic() == start + 3
        a.settimeout(2)
        signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
        with pytest.raises(TimeoutError):
            a.recv(1)
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert [when - start for _, when in out] == [3.5, 4.0, 4.5, 5.0]
        out.clear()
        signal.signal(signal.SIGALRM, lambda signum, frame: b.send(b'x'))
        signal.alarm(1)
        a.settimeout(None)
        out.append(a.recv(1))

    out, code = run(program)
    assert out[-1] == b'x' and code == 0


def test_what_a_handler_raises_ends_the_wait() -> None:
    class Late(Exception):
        pass

    def program(out: list[Any]) -> None:
        def late(signum: int, frame: object) -> None:
            raise Late

        assert signal.signal(signal.SIGUSR1, late) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGUSR1) is late
        threading.Timer(2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        listener = socket.create_server(('', 80))
        try:
            listener.accept()
        except Late:
            out.append(time.monotonic())
        with pytest.raises(Late):
            signal.raise_signal(signal.SIGUSR1)

    assert run(program) == ([2.0], 0)


@pytest.mark.parametrize(('signum', 'code'), [
    (signal.SIGTERM, -15), (signal.SIGKILL, -9), (signal.SIGINT, -2), (signal.SIGCHLD, 0)])
def test_what_is_not_handled(signum: signal.Signals, code: int) -> None:
    def program(out: list[Any]) -> None:
        try:
            time.sleep(10)
            out.append('slept')
        finally:
            out.append('finally')

    out: list[Any] = []
    with Lab(seed=1) as lab:
        victim = lab.host('h').spawn(program, out)

        def neighbour() -> None:
            time.sleep(1)
            os.kill(victim.pid, signum)

        lab.host('other').spawn(lambda: pytest.raises(ProcessLookupError, os.kill, victim.pid, signum))
        lab.hosts['h'].spawn(neighbour)
        lab.run()
    assert victim.exit_code == code
    assert out == (['slept', 'finally'] if code == 0 else ['finally'])


def test_asyncio_hears_of_signals() -> None:
    def program(out: list[Any]) -> None:
        async def main() -> None:
            stop = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            await stop.wait()
            out.append(time.monotonic())

        asyncio.run(main())

    out: list[Any] = []
    with Lab(seed=1) as lab:
        server = lab.host('h').spawn(program, out)
        lab.run(until=2.5)
        assert not server.done
        server.terminate()
        assert lab.run() == 2.5
    assert (out, server.exit_code) == ([2.5], 0)


def test_an_interrupt_cancels_what_asyncio_runs() -> None:
    def program(out: list[Any]) -> None:
        async def main() -> None:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                out.append(time.monotonic())
                raise

        threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
        asyncio.run(main())

    assert run(program) == ([1.0], -2)


def test_only_the_main_thread_sets_handlers() -> None:
    def program(out: list[Any]) -> None:
        def worker() -> None:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            except ValueError as exc:
                out.append(str(exc))

        thread = threading.Thread(target=worker)
        thread.start()
        thread.join()
        assert threading.current_thread() is threading.main_thread()
        assert not thread.is_alive()
        with pytest.raises(OSError):
            signal.signal(signal.SIGKILL, signal.SIG_IGN)
        with pytest.raises(TypeError):
            signal.signal(signal.SIGTERM, 'no')  # type: ignore[arg-type]

    assert run(program)[0] == ['signal only works in main thread of the main interpreter']


def test_the_environment_is_the_programs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('LINNET_TEST', 'outside')
    seen: list[Any] = []

    def program() -> None:
        seen.append(os.environ.get('LINNET_TEST'))
        os.environ['LINNET_TEST'] = 'changed'
        time.sleep(1)
        seen.append(os.getenv('LINNET_TEST'))
        del os.environ['LINNET_TEST']
        assert 'LINNET_TEST' not in os.environ

    with Lab(seed=1) as lab:
        host = lab.host('h')
        host.spawn(program)
        host.spawn(program, env={'LINNET_TEST': 'given'})
        lab.run()
    assert seen == ['outside', 'given', 'changed', 'changed']
    assert os.environ['LINNET_TEST'] == 'outside'


def test_no_process_of_the_machine_is_started() -> None:
    def program(out: list[Any]) -> None:
        async def child() -> None:
            await asyncio.create_subprocess_exec(sys.executable, '-c', '')

        for start in (lambda: subprocess.run([sys.executable, '-c', '']), lambda: os.system('true'),  # noqa: S605
                      lambda: os.fork(), lambda: asyncio.run(child())):
            with pytest.raises(PermissionError) as info:
                start()
            out.append(str(info.value))

    out, _ = run(program)
    assert len(out) == 4
    assert all('host.spawn' in text for text in out), out
