# SPDX-License-Identifier: Apache-2.0
"""threading, queue and concurrent.futures in virtual time."""

from __future__ import annotations

import _thread
import asyncio
import ctypes
import gc
import queue
import random
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from concurrent.futures import TimeoutError as FuturesTimeout
from typing import Any

import pytest

from linnet import Lab
from linnet.kernel.sched import Deadlock
from linnet.program.locals import REACHABLE


def run(fn: Callable[[list[Any]], None], seed: int = 1) -> tuple[list[Any], float]:
    """(what fn appended, virtual seconds it took)."""
    out: list[Any] = []
    with Lab(seed=seed) as lab:
        lab.host('h').spawn(fn, out)
        return out, lab.run()


def test_locks_events_and_joins_take_virtual_time() -> None:
    def program(out: list[Any]) -> None:
        lock, event = threading.Lock(), threading.Event()

        def worker(i: int) -> None:
            with lock:
                time.sleep(1)
                out.append(i)
            if i == 2:
                event.set()

        threads = [threading.Thread(target=worker, args=(i,), name=f'w{i}') for i in range(3)]
        for thread in threads:
            thread.start()
        assert not lock.acquire(timeout=0.5)
        assert not event.wait(0.25)
        assert event.wait(5)
        for thread in threads:
            thread.join()
        assert not any(thread.is_alive() for thread in threads)
        out.append(time.monotonic())

    assert run(program) == ([0, 1, 2, 3.0], 3.0)


def test_conditions_semaphores_barriers_timers() -> None:
    def program(out: list[Any]) -> None:
        condition, ready = threading.Condition(), []
        semaphore, barrier = threading.BoundedSemaphore(2), threading.Barrier(3)

        def consumer() -> None:
            with condition:
                assert condition.wait_for(lambda: ready, timeout=10)
                out.append(ready.pop())

        def limited(i: int) -> None:
            with semaphore:
                time.sleep(1)
            barrier.wait()
            out.append(('through', time.monotonic()))

        reader = threading.Thread(target=consumer)
        reader.start()
        time.sleep(0.5)
        with condition:
            ready.append('item')
            condition.notify_all()
        reader.join()
        threads = [threading.Thread(target=limited, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        threading.Timer(1, out.append, ['timer']).start()
        recursive = threading.RLock()
        with recursive, recursive:
            assert not ThreadPoolExecutor(1).submit(recursive.acquire, False).result()

    out, _ = run(program)
    assert out == ['item', *[('through', 2.5)] * 3, 'timer']


@pytest.mark.parametrize('kind', ['Queue', 'LifoQueue', 'SimpleQueue'])
def test_queues(kind: str) -> None:
    def program(out: list[Any]) -> None:
        q = getattr(queue, kind)()

        def producer() -> None:
            for i in range(5):
                time.sleep(0.5)
                q.put(i)

        threading.Thread(target=producer).start()
        with pytest.raises(queue.Empty):
            q.get(timeout=0.25)
        out.extend(q.get() for _ in range(5))

    assert run(program) == ([0, 1, 2, 3, 4], 2.5)


def test_a_pool_with_and_without_shutdown() -> None:
    def program(out: list[Any]) -> None:
        def work(i: int) -> int:
            time.sleep(1 + i % 2)
            return i

        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(work, i) for i in range(4)]
            with pytest.raises(FuturesTimeout):
                futures[0].result(timeout=0.5)
            out.append([f.result() for f in as_completed(futures)])
        left = ThreadPoolExecutor(2)
        out.append(list(left.map(work, range(4))))
        left.submit(lambda: (time.sleep(5), out.append('late')))

    out, seconds = run(program)
    assert sorted(out[0]) == [0, 1, 2, 3]
    assert out[0][-1] in (1, 3)
    assert out[1:] == [[0, 1, 2, 3], 'late']
    assert seconds == 2 + 4 + 5 or seconds == 2 + 3 + 5


def test_two_programs_that_use_pools_at_once_do_not_block_each_other() -> None:
    out: list[Any] = []

    def program(i: int) -> None:
        with ThreadPoolExecutor(2) as pool:
            out.extend(pool.map(lambda n: (time.sleep(0.1), (i, n))[1], range(4)))

    with Lab() as lab:
        for i in range(3):
            lab.host(f'h{i}').spawn(program, i)
        assert lab.run() == 0.2
    assert sorted(out) == [(i, n) for i in range(3) for n in range(4)]


def test_threads_have_names_identities_and_locals_of_their_own() -> None:
    def program(out: list[Any]) -> None:
        local = threading.local()
        local.x = 'main'

        def worker() -> None:
            out.append(
                (
                    threading.current_thread().name,
                    threading.get_ident() == threading.current_thread().ident,
                    threading.current_thread().daemon,
                )
            )

        thread = threading.Thread(target=worker, name='worker')
        thread.start()
        thread.join()
        out.append((threading.current_thread().name, threading.current_thread().daemon, local.x))

    assert run(program)[0] == [('worker', True, False), ('MainThread', False, 'main')]


def test_an_exception_in_a_thread_ends_the_thread_alone(capsys: pytest.CaptureFixture[str]) -> None:
    def program(out: list[Any]) -> None:
        hooked: list[Any] = []
        before, threading.excepthook = threading.excepthook, hooked.append
        try:
            thread = threading.Thread(target=lambda: 1 / 0)
            thread.start()
            thread.join()
        finally:
            threading.excepthook = before
        out.append(hooked[0].exc_type)

    assert run(program)[0] == [ZeroDivisionError]


def test_time_and_randomness_follow_the_world() -> None:
    def program(out: list[Any]) -> None:
        start = time.time(), time.monotonic(), time.perf_counter_ns()
        time.sleep(0.125)
        assert time.monotonic() - start[1] == 0.125
        assert time.perf_counter_ns() - start[2] == 125_000_000
        out.append((start, random.random(), random.SystemRandom().random(), time.localtime(time.time()).tm_year))
        assert time.gmtime() == time.gmtime(time.time())
        assert time.localtime() == time.localtime(time.time())
        assert time.ctime() == time.asctime() == time.ctime(time.time())
        assert time.strftime('%s') == str(int(time.time()))
        assert time.clock_gettime(time.CLOCK_REALTIME) == time.time()
        assert time.clock_gettime_ns(time.CLOCK_MONOTONIC) == time.monotonic_ns()
        assert time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID) > 0

    first, second, other = run(program)[0], run(program)[0], run(program, seed=2)[0]
    assert first == second
    assert first[0][1] != other[0][1]
    assert first[0][2] != other[0][2]


def test_a_program_that_spins_lets_time_creep() -> None:
    def program(out: list[Any]) -> None:
        end = time.monotonic() + 0.01
        while time.monotonic() < end:
            pass
        out.append('done')

    out, seconds = run(program)
    assert out == ['done']
    assert 0.01 <= seconds < 0.1


def test_a_wait_that_nothing_can_end_is_a_deadlock_that_says_who_waits_for_what() -> None:
    with Lab() as lab:
        host = lab.host('h')
        host.spawn(lambda: queue.Queue().get(), name='stuck')
        host.spawn(lambda: socket.create_server(('', 7)).accept(), name='waiter')
        said = r'h:stuck waits for a lock \(in <lambda>, .*\)\n  h:waiter waits for accept \(in '
        with pytest.raises(Deadlock, match=said) as caught:
            lab.run()
        assert len(caught.value.waiting) == 2


def test_servers_that_only_look_around_do_not_hide_a_deadlock() -> None:
    with Lab() as lab:
        host = lab.host('h')

        def idle() -> None:
            while True:
                time.sleep(60)

        host.spawn(idle, daemon=True)
        host.spawn(lambda: queue.Queue().get(), name='stuck')
        with pytest.raises(Deadlock, match='stuck'):
            lab.run()


def test_a_long_sleep_is_no_deadlock() -> None:
    with Lab() as lab:
        lab.host('h').spawn(time.sleep, 10 * 86400)
        assert lab.run() == 10 * 86400


def test_labs_take_turns_without_mixing_their_threads_up() -> None:
    out: list[Any] = []

    def program(name: str) -> None:
        def worker() -> None:
            for _ in range(3):
                time.sleep(1)
                out.append((name, threading.current_thread().name))

        thread = threading.Thread(target=worker, name=f'worker of {name}')
        thread.start()
        thread.join()
        out.append((name, threading.current_thread().name))

    with Lab() as one, Lab() as two:
        one.host('h').spawn(program, 'one')
        two.host('h').spawn(program, 'two')
        for second in range(1, 5):
            one.run(until=second)
            two.run(until=second)
    for name in ('one', 'two'):
        assert [who for lab, who in out if lab == name] == [f'worker of {name}'] * 3 + ['MainThread']


def test_the_threads_of_a_daemon_program_hold_nothing_up() -> None:
    """A server with a pool, as asyncio.start_server() with a name to look up has one: its idle thread waits for ever."""
    out: list[str] = []

    def server() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(out.append, 'worked').result()
            time.sleep(3600)

    with Lab(seed=1) as lab:
        host = lab.host('h')
        host.spawn(server, daemon=True)
        host.spawn(time.sleep, 2)
        assert lab.run() == 2
    assert out == ['worked']


LOCAL = threading.local()


class Counted(threading.local):
    """Made anew for each thread."""

    def __init__(self) -> None:
        self.values: list[int] = []


COUNTED = Counted()


def test_thread_locals() -> None:
    """Of a thread of a program, not of the one thread that runs the world."""
    LOCAL.name = 'outside'
    COUNTED.values.append(0)
    out: list[Any] = []

    def work(i: int) -> None:
        own = threading.local()
        own.name = LOCAL.name = i
        COUNTED.values.append(i)
        time.sleep(1)
        out.append((own.name, LOCAL.name, COUNTED.values))

    def program(i: int) -> None:
        out.append(hasattr(LOCAL, 'name'))
        others = [threading.Thread(target=work, args=(10 * i + j,)) for j in range(3)]
        for other in others:
            other.start()
        work(10 * i + 3)
        for other in others:
            other.join()

    with Lab() as lab:
        for i in (1, 2):
            lab.host(f'h{i}').spawn(program, i)
        lab.run()
    numbers = [10, 11, 12, 13, 20, 21, 22, 23]
    assert sorted(out, key=str) == sorted([False, False, *[(n, n, [n]) for n in numbers]], key=str)
    assert LOCAL.name == 'outside'
    assert COUNTED.values == [0]


@pytest.mark.skipif(not REACHABLE, reason='from Python 3.13 on the dict of a thread is out of reach')
def test_what_c_code_keeps_for_a_thread_is_the_task_s_own() -> None:
    def work(number: int, out: list[int]) -> None:
        ctypes.set_errno(number)
        time.sleep(1)
        out.append(ctypes.get_errno())

    ctypes.set_errno(1)
    out: list[int] = []
    with Lab() as lab:
        for number in (2, 3, 4):
            lab.host(f'h{number}').spawn(work, number, out)
        lab.run()
    assert out == [2, 3, 4]
    assert ctypes.get_errno() == 1


def test_of_threads_that_have_ended_nothing_is_kept() -> None:
    class Value:
        """Anything."""

    gone: list[weakref.ref[Value]] = []

    def work() -> None:
        LOCAL.value = Value()
        gone.append(weakref.ref(LOCAL.value))

    def program() -> None:
        for _ in range(5):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert [ref() for ref in gone] == [None] * 5

    with Lab() as lab:
        lab.host('h').spawn(program)
        lab.run()
        assert lab.runtime.locals is None or len(lab.runtime.locals.kept) <= 2


def test_event_loops_of_tasks_that_come_and_go() -> None:
    """Each thread sees its own loop or none, whichever ran before it, and after that one's end."""
    async def main(delay: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(delay)
        assert asyncio.get_running_loop() is loop

    def plain(delay: float) -> None:
        for _ in range(6):
            time.sleep(delay)
            with pytest.raises(RuntimeError, match='no running event loop'):
                asyncio.get_running_loop()

    def program() -> None:
        threads = [threading.Thread(target=fn) for fn in (
            lambda: asyncio.run(main(1)), lambda: plain(0.3), lambda: asyncio.run(main(1.5)), lambda: plain(0.7))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gc.collect()
        plain(0.1)

    with Lab() as lab:
        for i in range(2):
            lab.host(f'h{i}').spawn(program)
        lab.run()


def test_a_class_may_keep_a_function_of_the_clock() -> None:
    """As CPython's own functions of C, those that stand for them do not become methods."""

    class Watch:
        now = time.monotonic
        make_lock = threading.Lock

        def lap(self) -> float:
            return self.now()

    def program(out: list[Any]) -> None:
        watch = Watch()
        time.sleep(2)
        with watch.make_lock():
            out.append(watch.lap())

    assert run(program)[0] == [2.0]
    assert Watch().lap() > 0


def test_what_a_bare_thread_raises_goes_to_the_unraisable_hook() -> None:
    def program(out: list[Any]) -> None:
        def fail() -> None:
            raise ValueError('lost')

        before, sys.unraisablehook = sys.unraisablehook, lambda args: out.append((repr(args.exc_value), args.object))
        try:
            _thread.start_new_thread(fail, ())
            time.sleep(1)
        finally:
            sys.unraisablehook = before
        out[0] = (out[0][0], out[0][1] is fail)

    assert run(program)[0] == [("ValueError('lost')", True)]


def test_the_main_thread_knows_itself_and_can_be_interrupted() -> None:
    def program(out: list[Any]) -> None:
        main = threading.main_thread()
        out.append((main is threading.current_thread(), main.ident == threading.get_ident(), _thread._count()))
        threading.Timer(1, _thread.interrupt_main).start()
        out.append(_thread._count())
        try:
            time.sleep(5)
        except KeyboardInterrupt:
            out.append(time.monotonic())
        with pytest.raises(ValueError, match='signal'):
            _thread.interrupt_main(-1)

    assert run(program)[0] == [(True, True, 0), 1, 1.0]


def test_locks_refuse_what_cpython_refuses() -> None:
    def program(out: list[Any]) -> None:
        for lock in (threading.Lock(), threading.RLock()):
            with pytest.raises(OverflowError):
                lock.acquire(timeout=threading.TIMEOUT_MAX * 2)
            with pytest.raises(ValueError, match='non-blocking'):
                lock.acquire(False, 1)
        out.append(repr(threading.Lock()).split(' at ')[0])

    assert run(program)[0] == ['<unlocked linnet.lock object']


@pytest.mark.parametrize('look', [time.monotonic, time.monotonic_ns, time.time, time.time_ns, time.perf_counter])
def test_who_looks_at_any_clock_lets_the_others_run(look: Callable[[], float]) -> None:
    def program(out: list[Any]) -> None:
        name = look.__name__
        done: list[float] = []
        threading.Thread(target=lambda: done.append(time.monotonic())).start()
        while not done:
            getattr(time, name)()
        out.append(done[0] < 0.001)

    assert run(program)[0] == [True]
