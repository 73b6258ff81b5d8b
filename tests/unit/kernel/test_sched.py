# SPDX-License-Identifier: Apache-2.0
"""Tasks, sleeping, waking, killing, and the main loop in virtual and real time."""
from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest
from greenlet import GreenletExit

from linnet.kernel.clock import NSEC_PER_MSEC, NSEC_PER_SEC, Clock, RealClock, VirtualClock
from linnet.kernel.sched import (
    CALM_LOOKS,
    CLOCK_LOOKS,
    MAX_SCHEDULE_TIMEOUT,
    SPIN_ANSWERS,
    TASK_DEAD,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    Deadlock,
    FdEvent,
    Gate,
    Scheduler,
    SwitchHook,
    Task,
    Work,
    cond_resched,
    join,
    need_resched,
    note_answer,
    read_clock,
    sched_yield,
    schedule,
    schedule_timeout,
    send_signal,
    set_current_state,
    signal_pending,
    sleep_ns,
    wake_up_process,
)
from linnet.kernel.softirq import NET_RX_SOFTIRQ, Cpu, SoftirqAction, in_softirq, open_softirq, raise_softirq
from linnet.kernel.timer import TimerBase, TimerList, mod_timer


class Call(TimerList):
    def __init__(self, base: TimerBase, fn: Callable[[], object]) -> None:
        super().__init__(base)
        self.fn = fn

    def function(self) -> None:
        self.fn()


class Job(Work):
    def __init__(self, fn: Callable[[], object]) -> None:
        self.fn = fn

    def run(self) -> None:
        self.fn()


def make(clock: Clock | None = None) -> Scheduler:
    return Scheduler(VirtualClock() if clock is None else clock, Cpu())  # an empty clock is falsy


def at(s: Scheduler, when: int, fn: Callable[[], object]) -> Call:
    timer = Call(s.clock, fn)
    mod_timer(timer, when)
    return timer


def test_tasks_run_in_order_of_spawning_and_waking() -> None:
    s = make()
    log: list[str] = []

    def body(name: str, ns: int) -> None:
        log.append(f'{name} starts at {s.clock.now}')
        sleep_ns(s, ns)
        log.append(f'{name} ends at {s.clock.now}')

    for name, ns in (('a', 30), ('b', 10), ('c', 30)):
        s.spawn(lambda name=name, ns=ns: body(name, ns), name)  # type: ignore[misc]
    s.run()
    assert log == [
        'a starts at 0', 'b starts at 0', 'c starts at 0', 'b ends at 10', 'a ends at 30', 'c ends at 30',
    ]
    assert s.nr_alive == 0 and not s.tasks and s.clock.nr_pending == 0


def test_schedule_timeout_says_what_is_left() -> None:
    s = make()
    left: list[int] = []
    t = s.spawn(lambda: left.extend([schedule_timeout(s, 100), schedule_timeout(s, 100)]), 't')
    at(s, 40, lambda: wake_up_process(t))
    s.run()
    assert left == [60, 0] and s.clock.now == 140


def test_for_ever_has_no_timer_and_zero_yields() -> None:
    s = make()
    got: list[int] = []
    t = s.spawn(lambda: got.extend([schedule_timeout(s, 0), schedule_timeout(s, MAX_SCHEDULE_TIMEOUT)]), 't')
    s.run()
    assert got == [] and t.alive() and s.clock.now == 0
    assert wake_up_process(t) is True
    assert wake_up_process(t) is False
    s.run()
    assert got == [0, MAX_SCHEDULE_TIMEOUT] and not t.alive()


def test_a_huge_timeout_does_not_overflow() -> None:
    s = make()
    s.clock.advance(5)
    t = s.spawn(lambda: schedule_timeout(s, MAX_SCHEDULE_TIMEOUT - 1), 't')
    s.run(until=100)
    assert t.alive()
    s.kill_all()


def test_a_wake_up_before_the_wait_is_not_lost() -> None:
    s = make()
    log: list[object] = []

    def body() -> None:
        me = s.current
        assert me is not None
        set_current_state(s, TASK_UNINTERRUPTIBLE)
        assert wake_up_process(me) is True  # the condition came true after we looked
        schedule(s)
        log.append(me.state)
        set_current_state(s, TASK_UNINTERRUPTIBLE)
        assert schedule_timeout(s, 10) == 0  # the token is used up
        log.append(int(s.clock.now))

    s.spawn(body, 't')
    s.run()
    assert log == [TASK_RUNNING, 10]


def test_exceptions_of_tasks_come_out_of_run() -> None:
    s = make()
    t = s.spawn(lambda: 1 // 0, 'bad')
    other = s.spawn(lambda: sleep_ns(s, 10), 'good')
    with pytest.raises(ZeroDivisionError):
        s.run()
    assert isinstance(t.exception, ZeroDivisionError) and not t.alive()
    s.run()
    assert not other.alive() and s.clock.now == 10


def test_exceptions_of_timers_come_out_of_run_and_leave_it_usable() -> None:
    s = make()
    at(s, 5, lambda: 1 // 0)
    done: list[int] = []
    at(s, 6, lambda: done.append(1))
    with pytest.raises(ZeroDivisionError):
        s.run()
    assert not in_softirq(s.cpu) and not s.running
    s.run()
    assert done == [1]


def test_results_and_join() -> None:
    s = make()
    log: list[object] = []

    def parent() -> None:
        child = s.spawn(lambda: (sleep_ns(s, 50), 'x')[1], 'child')
        assert join(s, child, 20) is False
        log.append(int(s.clock.now))
        assert join(s, child) is True
        log.extend([int(s.clock.now), child.result])
        assert join(s, child) is True

    s.spawn(parent, 'parent')
    s.run()
    assert log == [20, 50, 'x']


def test_until_stops_the_clock_there() -> None:
    s = make()
    log: list[int] = []
    at(s, 10, lambda: log.append(10))
    at(s, 20, lambda: log.append(20))
    s.run(until=15)
    assert (log, s.clock.now) == ([10], 15)
    s.run(until=20)
    assert (log, s.clock.now) == ([10, 20], 20)
    s.run(until=99)
    assert s.clock.now == 99


def test_deferrable_timers_do_not_keep_the_world_running() -> None:
    s = make()
    log: list[int] = []
    timers: list[Call] = []

    def tick() -> None:
        log.append(int(s.clock.now))
        mod_timer(timers[0], s.clock.now + 10)

    timers.append(Call(s.clock, tick))
    timers[0].deferrable = True
    mod_timer(timers[0], 10)
    s.run()
    assert log == [] and s.clock.now == 0
    at(s, 25, lambda: None)
    s.run()
    assert log == [10, 20] and s.clock.now == 25
    s.run(until=45)
    assert log == [10, 20, 30, 40]


def test_stop_returns_at_the_next_occasion() -> None:
    s = make()
    log: list[int] = []
    at(s, 1, s.stop)
    at(s, 2, lambda: log.append(2))
    s.run()
    assert log == [] and s.clock.now == 1
    s.run()
    assert log == [2]


def test_run_until_done_leaves_timers_and_daemons_behind() -> None:
    s = make()
    at(s, 1000, lambda: None)
    s.spawn(lambda: schedule(s), 'daemon', daemon=True)
    s.spawn(lambda: sleep_ns(s, 10), 'worker')
    assert s.run_until_done(until=5) is False
    assert s.run_until_done() is True
    assert s.clock.now == 10 and s.clock.nr_pending == 1
    assert s.run_until_done() is True
    s.kill_all()


def test_due_timers_run_before_tasks_woken_at_the_same_instant() -> None:
    s = make()
    log: list[str] = []
    t = s.spawn(lambda: (schedule(s), log.append('task')), 't')
    at(s, 10, lambda: (log.append('one'), wake_up_process(t)))
    at(s, 10, lambda: log.append('two'))
    at(s, 11, lambda: log.append('later'))
    s.run()
    assert log == ['one', 'two', 'task', 'later']


def test_timers_run_in_softirq_context_and_what_they_raise_runs_after() -> None:
    s = make()
    log: list[str] = []

    class Rx(SoftirqAction):
        def action(self, cpu: Cpu) -> None:
            log.append('rx')

    open_softirq(s.cpu, NET_RX_SOFTIRQ, Rx())

    def tick() -> None:
        assert in_softirq(s.cpu)
        raise_softirq(s.cpu, NET_RX_SOFTIRQ)
        log.append('timer')

    at(s, 1, tick)
    at(s, 1, lambda: log.append('next'))
    s.run()
    s.spawn(lambda: (raise_softirq(s.cpu, NET_RX_SOFTIRQ), log.append('task')), 't')
    s.run()
    assert log == ['timer', 'rx', 'next', 'task', 'rx']


def test_blocking_where_it_must_not() -> None:
    s = make()
    for call in (lambda: schedule(s), lambda: schedule_timeout(s, 1), lambda: sched_yield(s), lambda: sleep_ns(s, 1)):
        with pytest.raises(RuntimeError, match='outside a task'):
            call()
    at(s, 1, lambda: schedule(s))
    with pytest.raises(RuntimeError, match='outside a task'):
        s.run()

    def atomic() -> None:
        s.cpu.bh_disable += 1
        schedule(s)

    s.spawn(atomic, 'atomic')
    with pytest.raises(RuntimeError, match='atomic'):
        s.run()
    assert s.cpu.bh_disable == 0
    s.spawn(s.run, 'nested')
    with pytest.raises(RuntimeError, match='runs already'):
        s.run()


def test_signals_end_interruptible_waits_only() -> None:
    s = make()
    log: list[object] = []

    def interruptible() -> None:
        me = s.current
        assert me is not None
        log.append((sleep_ns(s, 100), signal_pending(me)))
        log.append((sleep_ns(s, 100), signal_pending(me)))  # still pending: returns at once
        me.pending_signals = 0

    def uninterruptible() -> None:
        set_current_state(s, TASK_UNINTERRUPTIBLE)
        log.append(schedule_timeout(s, 100))

    a, b = s.spawn(interruptible, 'a'), s.spawn(uninterruptible, 'b')
    at(s, 30, lambda: (send_signal(a, 2), send_signal(b, 15)))
    s.run()
    assert log == [(70, True), (100, True), 0]
    assert s.clock.now == 100 and b.pending_signals == 1 << 14


def test_kill_runs_finally_blocks_which_may_wait() -> None:
    s = make()
    log: list[object] = []

    def body() -> None:
        try:
            schedule(s)
        except GreenletExit:
            log.append('exit')
            raise
        finally:
            log.append(sleep_ns(s, 10))

    t = s.spawn(body, 't')
    at(s, 5, lambda: s.kill(t))
    s.run()
    assert log == ['exit', 0] and s.clock.now == 15 and t.state == TASK_DEAD and t.exception is None


def test_kill_self_and_one_that_has_not_begun() -> None:
    s = make()
    log: list[str] = []

    def suicide() -> None:
        me = s.current
        assert me is not None
        s.kill(never)
        s.kill(me)
        log.append('not reached')

    s.spawn(suicide, 'suicide')
    never = s.spawn(lambda: log.append('never'), 'never')
    s.run()
    s.kill(never)
    assert log == [] and s.nr_alive == 0


def test_kill_all_outside_of_the_loop() -> None:
    s = make()
    log: list[str] = []

    def body(name: str) -> None:
        try:
            sleep_ns(s, 10**9)
        finally:
            log.append(name)
            try:
                schedule(s)
            finally:
                log.append(name + ' again')

    for name in 'ab':
        s.spawn(lambda name=name: body(name), name)  # type: ignore[misc]
    s.run(until=1)
    s.spawn(lambda: log.append('never'), 'never')
    s.kill_all()
    assert log == ['a', 'a again', 'b', 'b again']
    assert s.nr_alive == 0 and s.clock.nr_pending == 0 and not s.tasks


def test_deadlock_is_told() -> None:
    s = make()

    def body() -> None:
        me = s.current
        assert me is not None
        me.wait_what = 'recv on 3'
        schedule(s)

    t = s.spawn(body, 'server')
    s.spawn(lambda: schedule(s), 'daemon', daemon=True)
    with pytest.raises(Deadlock, match='server waits for recv on 3') as info:
        s.run(deadlock_error=True)
    assert info.value.waiting == [(t, 'recv on 3')]
    s.run()
    s.kill_all()


def test_an_exception_can_be_thrown_into_a_wait_and_the_task_lives_on() -> None:
    s = make()
    log: list[str] = []

    def body() -> None:
        for _ in range(2):
            try:
                sleep_ns(s, 1000)
            except LookupError as exc:
                log.append(f'{exc} at {s.clock.now}')
        sleep_ns(s, 1000)
        log.append(f'done at {s.clock.now}')

    task = s.spawn(body, 'a')
    for what in ('first', 'second'):
        s.run(until=int(s.clock.now) + 100)
        s.throw(task, LookupError(what))
    s.run()
    assert log == ["first at 100", "second at 200", 'done at 1200']
    s.throw(task, LookupError('too late'))
    s.run()

    unborn = s.spawn(body, 'b')
    s.throw(unborn, LookupError('too early'))
    s.run()
    assert len(log) == 3 and not unborn.alive()


def test_a_killed_task_can_still_be_thrown_at_in_its_finally_block() -> None:
    s = make()
    log: list[str] = []

    def body() -> None:
        try:
            sleep_ns(s, 1000)
        finally:
            try:
                sleep_ns(s, 1000)
            except LookupError:
                log.append(f'thrown at {s.clock.now}')
            sleep_ns(s, 50)  # it is still being killed, and may wait
            log.append(f'ended at {s.clock.now}')

    task = s.spawn(body, 'a')
    s.run(until=10)
    s.kill(task)
    s.run(until=20)
    s.throw(task, LookupError())
    s.run()
    assert log == ['thrown at 20', 'ended at 70'] and not task.alive()


def test_a_task_that_is_killed_hard_gets_no_wait_any_more() -> None:
    s = make()
    log: list[str] = []

    def body() -> None:
        try:
            sleep_ns(s, 1000)
        finally:
            try:
                sleep_ns(s, 1000)
            finally:
                log.append(f'ended at {s.clock.now}')

    task = s.spawn(body, 'a')
    s.run(until=10)
    s.kill(task, hard=True)
    s.run()
    assert log == ['ended at 10'] and not task.alive()


def test_switch_hook_wraps_each_run_of_a_task() -> None:
    s = make()
    log: list[str] = []

    class Hook(SwitchHook):
        def enter(self, task: Task) -> None:
            log.append('+' + task.name)

        def leave(self, task: Task) -> None:
            log.append(('-' if task.alive() else 'x') + task.name)

    s.hook = Hook()
    s.spawn(lambda: sleep_ns(s, 1), 'a')
    s.spawn(lambda: None, 'b')
    s.run()
    assert log == ['+a', '-a', '+b', 'xb', '+a', 'xa']


def test_work_runs_in_the_hub() -> None:
    s = make()
    log: list[object] = []

    def second() -> None:
        log.append((s.current, in_softirq(s.cpu)))

    s.call_soon(Job(lambda: s.call_soon(Job(second))))
    s.run()
    assert log == [(None, False)]


def test_pollers_do_not_freeze_virtual_time() -> None:
    s = make()
    done: list[int] = []
    rounds = [0]

    def poller() -> None:
        while not done:
            rounds[0] += 1
            sched_yield(s)

    s.spawn(poller, 'poller')
    at(s, NSEC_PER_SEC, lambda: done.append(int(s.clock.now)))
    s.run()
    assert done == [NSEC_PER_SEC] and rounds[0] < 3000

    deadline = s.clock.now + NSEC_PER_SEC

    def watcher() -> None:
        while s.clock.read() < deadline:
            sched_yield(s)

    s.spawn(watcher, 'watcher')
    s.run()
    assert deadline <= s.clock.now < deadline + NSEC_PER_SEC // 20


def test_a_task_gives_way_where_others_have_something_to_do() -> None:
    s = make()
    log: list[str] = []

    class Action(SoftirqAction):
        def action(self, cpu: Cpu) -> None:
            log.append('softirq')

    open_softirq(s.cpu, NET_RX_SOFTIRQ, Action())
    causes: dict[str, Callable[[], object]] = {
        'task': lambda: s.spawn(lambda: log.append('task'), 'other'),
        'work': lambda: s.call_soon(Job(lambda: log.append('work'))),
        'timer': lambda: at(s, int(s.clock.now), lambda: log.append('timer')),
        'softirq': lambda: raise_softirq(s.cpu, NET_RX_SOFTIRQ),
    }

    def body() -> None:
        at(s, int(s.clock.now) + 1, lambda: log.append('later'))
        for name, cause in causes.items():
            assert not need_resched(s) and not cond_resched(s)
            cause()
            assert need_resched(s) and cond_resched(s)
            assert log == [name]
            log.clear()

    s.spawn(body, 'body')
    s.run()
    assert log == ['later']


def test_a_task_that_looks_on_end_gives_way_and_lets_time_creep() -> None:
    s = make()
    done: list[int] = []
    gave_way: list[bool] = []

    def poller() -> None:
        while not done:
            gave_way.append(cond_resched(s))

    s.spawn(poller, 'poller')
    at(s, NSEC_PER_SEC, lambda: done.append(int(s.clock.now)))
    s.run()
    assert done == [NSEC_PER_SEC]
    assert gave_way[:CALM_LOOKS + 2] == [*[False] * CALM_LOOKS, True, False]


def test_in_real_time_a_task_always_gives_way() -> None:
    s = make(RealClock())
    seen: list[bool] = []
    s.spawn(lambda: seen.append(cond_resched(s)), 'task')
    s.run_until_done()
    s.close()
    assert seen == [True]


def test_stopping_is_something_to_do() -> None:
    s = make()
    seen: list[str] = []

    def body() -> None:
        s.stop()
        seen.append('stopped')
        cond_resched(s)
        seen.append('goes on')

    s.spawn(body, 'body')
    s.run()
    assert seen == ['stopped']
    s.run()
    assert seen == ['stopped', 'goes on']


def test_answers_on_end_at_one_instant_let_others_run() -> None:
    s = make()
    answers = {'busy': 0, 'sleeper': 0}
    first: list[int] = []

    def busy() -> None:
        while not first:
            answers['busy'] += 1
            note_answer(s)

    def sleeper() -> None:
        for _ in range(3 * SPIN_ANSWERS):
            answers['sleeper'] += 1
            switches = s.nr_switches
            note_answer(s)
            assert s.nr_switches == switches  # each at an instant of its own
            sleep_ns(s, 1)

    s.spawn(busy, 'busy')
    s.spawn(lambda: first.append(answers['busy']), 'other')
    s.run()
    assert first == [SPIN_ANSWERS + 1]
    s.spawn(sleeper, 'sleeper')
    s.run()
    assert answers['sleeper'] == 3 * SPIN_ANSWERS
    note_answer(s)  # outside of a task there is nobody to give way


def test_who_reads_the_clock_on_end_lets_others_run() -> None:
    s = make()
    looks: list[int] = []
    others: list[int] = []

    def watcher() -> None:
        while not others:
            looks.append(read_clock(s))

    s.spawn(watcher, 'watcher')
    s.spawn(lambda: others.append(len(looks)), 'other')
    s.run()
    assert others == [CLOCK_LOOKS] and set(looks) == {0}
    assert read_clock(s) == s.clock.now


def test_tasks_that_wake_each_other_do_not_move_the_clock() -> None:
    s = make()
    tasks: list[Task] = []

    def body(me: int) -> None:
        for _ in range(3000):
            wake_up_process(tasks[1 - me])
            schedule(s)
        wake_up_process(tasks[1 - me])

    tasks.extend([s.spawn(lambda: body(0), 'a'), s.spawn(lambda: body(1), 'b')])
    s.run()
    assert s.clock.now == 0 and s.nr_alive == 0


def test_two_runs_are_the_same() -> None:
    def world() -> list[tuple[int, str]]:
        s = make()
        log: list[tuple[int, str]] = []

        def body(i: int) -> None:
            for k in range(20):
                sleep_ns(s, (i * 7919 + k * 104729) % 50)
                log.append((int(s.clock.now), f'{i}.{k}'))

        for i in range(20):
            s.spawn(lambda i=i: body(i), str(i))  # type: ignore[misc]
        s.run()
        return log

    assert world() == world()


def test_run_from_another_greenlet() -> None:
    from greenlet import greenlet

    s = make()
    log: list[str] = []
    s.spawn(lambda: (schedule_timeout(s, 10), log.append('a')), 'a')
    s.run(until=5)
    greenlet(s.run).switch()
    assert log == ['a'] and s.nr_alive == 0


def test_real_time_waits_for_timers() -> None:
    s = make(RealClock())
    log: list[int] = []
    s.spawn(lambda: (sleep_ns(s, 2 * NSEC_PER_MSEC), log.append(int(s.clock.now))), 't')
    s.run()
    assert log[0] >= 2 * NSEC_PER_MSEC
    end = s.clock.now + 2 * NSEC_PER_MSEC
    s.run(until=end)
    assert s.clock.now >= end
    s.close()


@pytest.mark.parametrize('clock', [VirtualClock, RealClock])
def test_file_descriptors_wake_the_loop(clock: type[Clock]) -> None:
    s = make(clock())
    r, w = os.pipe()
    log: list[object] = []
    sleeper = s.spawn(lambda: (schedule(s), s.stop()), 'sleeper')

    class Reader(FdEvent):
        def ready(self) -> None:
            log.append((os.read(r, 10), in_softirq(s.cpu)))
            wake_up_process(sleeper)

    s.register_fd(r, Reader())
    os.write(w, b'x')
    s.run()
    assert log == [(b'x', True)] and not sleeper.alive()
    s.unregister_fd(r)
    s.unregister_fd(r)
    s.run()
    os.close(r)
    os.close(w)
    s.close()


@pytest.mark.parametrize('clock', [VirtualClock, RealClock])
def test_another_thread_wakes_the_loop(clock: type[Clock]) -> None:
    s = make(clock())
    log: list[str] = []
    s.hold()
    job = Job(lambda: (log.append('job'), s.unhold()))
    thread = threading.Timer(0.0, lambda: s.call_soon_threadsafe(job))
    thread.start()
    s.run()
    thread.join()
    assert log == ['job']
    s.close()


class Door(Gate):
    """One thread beside the loop."""

    def __init__(self) -> None:
        self.world, self.sleeper = threading.Lock(), threading.Semaphore(0)
        self.log: list[str] = []

    def enter(self) -> None:
        self.world.acquire()

    def leave(self) -> None:
        self.world.release()

    def park(self, task: Task) -> None:
        self.log.append('park')
        task.sched.kick()
        task.sched.current = None
        self.world.release()
        self.sleeper.acquire()
        self.world.acquire()
        task.sched.current = task

    def give_way(self, task: Task) -> None:
        task.sched.current = None
        task.sched.kick()
        self.world.release()
        self.world.acquire()
        task.sched.current = task

    def unpark(self, task: Task) -> None:
        self.log.append('unpark')
        self.sleeper.release()


def with_a_thread(body: Callable[[Scheduler, Task], None]) -> list[str]:
    """body as the call of a real thread, while the loop runs; what its gate saw."""
    s = make(RealClock())
    s.gate = door = Door()
    task = Task(s, 0, lambda: None, 'thread', None)
    task.gate = door
    s.hold()

    def call() -> None:
        with door.world:
            s.current = task
            body(s, task)
            s.current = None
            s.unhold()
            s.call_soon_threadsafe(Job(s.stop))

    thread = threading.Thread(target=call)
    door.enter()
    thread.start()
    s.run()
    door.leave()
    thread.join()
    s.close()
    return door.log


def test_a_real_thread_sleeps_and_the_loop_wakes_it() -> None:
    """The loop had nothing to wait for when the thread set its timer: it is woken, to sleep no longer than that."""
    left: list[int] = []
    assert with_a_thread(lambda s, task: left.append(schedule_timeout(s, NSEC_PER_MSEC))) == ['park', 'unpark']
    assert left == [0]


def test_a_real_thread_is_woken_before_its_time() -> None:
    def body(s: Scheduler, task: Task) -> None:
        set_current_state(s, TASK_UNINTERRUPTIBLE)
        s.call_soon_threadsafe(Job(lambda: (wake_up_process(task), wake_up_process(task))))
        assert schedule_timeout(s, 3600 * NSEC_PER_SEC) > 0
        assert task.state == TASK_RUNNING and s.current is task
        wake_up_process(task)  # it runs: a token, and the next wait is none
        schedule(s)
        send_signal(task, 2)
        schedule(s)

    assert with_a_thread(body) == ['park', 'unpark']


def test_a_real_thread_gives_way() -> None:
    ran: list[str] = []

    def body(s: Scheduler, task: Task) -> None:
        s.call_soon(Job(lambda: ran.append('job')))
        while not ran:
            sched_yield(s)
        assert s.current is task

    assert with_a_thread(body) == [] and ran == ['job']


def test_a_real_thread_that_waits_is_the_loop_meanwhile() -> None:
    """Nobody else is there to wake it: it leads until its timer has, and looks at what is due without a wait."""
    class Leading(Door):
        def park(self, task: Task) -> None:
            self.log.append('lead')
            task.sched.lead()

        def leads(self) -> bool:
            return self.log != ['not to']

        def unpark(self, task: Task) -> None:
            task.sched.halt()

    s = make(RealClock())
    s.gate = door = Leading()
    task = Task(s, 0, lambda: None, 'thread', None)
    task.gate = door
    s.hold()
    with door.world:
        s.current = task
        assert schedule_timeout(s, NSEC_PER_MSEC) == 0
        s.current = None
        ran: list[int] = []
        s.call_soon(Job(lambda: ran.append(1)))
        mod_timer(Call(s.clock, lambda: ran.append(2)), s.clock.now)
        s.round()
        assert ran == [1, 2] and door.log == ['lead'] and not s.running
        door.log[0] = 'not to'
        s.lead()
        s.call_soon(Job(s.interrupt))
        door.log[0] = 'again'
        s.lead()
    s.close()


def test_short_real_waits_last_long_enough() -> None:
    s = make(RealClock())
    sleeps = 20

    def body() -> None:
        for _ in range(sleeps):
            sleep_ns(s, 100_000)

    s.spawn(body, 't')
    s.run()
    assert s.clock.now >= sleeps * 100_000
    s.close()


def test_a_full_wake_up_pipe_is_no_error() -> None:
    s = make(RealClock())
    s.run()
    done: list[int] = []
    job = Job(lambda: done.append(1))
    for _ in range(70_000):
        s.call_soon_threadsafe(job)
    s.run()
    assert len(done) == 70_000
    s.close()


@pytest.mark.parametrize('clock', [VirtualClock, RealClock])
def test_until_ends_a_run_in_which_a_task_polls_for_ever(clock: type[Clock]) -> None:
    s = make(clock())

    def poller() -> None:
        while True:
            sched_yield(s)

    s.spawn(poller, 'poller')
    until = s.clock.now + NSEC_PER_MSEC
    s.run(until=until)
    assert s.clock.now >= until
    assert s.clock.now == until or not s.clock.virtual
    s.close()
