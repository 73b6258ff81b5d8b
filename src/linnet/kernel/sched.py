# SPDX-License-Identifier: Apache-2.0
"""Tasks and the main loop: what blocks, what wakes it, and what the time does meanwhile.

A task is a greenlet.  The loop (the hub) runs in the greenlet that called run(); a task that must wait calls
schedule() or schedule_timeout(), which switches to the hub, and wake_up_process() puts it back on the run queue.  Each
round: the tasks that were runnable at its start, in order; posted work; raised softirqs; file descriptors; then every
due timer in softirq context.  When nothing is runnable, virtual time jumps to the next timer and real time waits for
it in poll(2); otherwise both are the same loop.

A wake-up is never lost: waking a task that has not parked yet leaves a token, and its next schedule() returns at once.
prepare_to_wait() clears the token, so the order "prepare, look at the condition, schedule" is safe.  As in Linux a
return from schedule() promises nothing: look again.

Tasks that only poll (sched_yield() in a circle) would freeze virtual time; after SPIN_ROUNDS such rounds it creeps
forward.  Who polls without a wait calls cond_resched(): where nobody else has anything to do at this instant, giving way
would be a round of the loop for nothing.

A task may also stand for a thread of the real machine (Task.gate): it is no greenlet, and the loop never runs it. Whoever
is in the world, such a thread in its call or the loop in its rounds, holds the gate's lock; who waits, in schedule() or the
loop in poll(2), lets go of it. So the stack needs no lock of its own, and a thread outside of a call stops nobody. Which
thread is the loop changes: one that waits may as well lead() meanwhile.
"""
from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from select import poll as os_poll  # by name: a program's `select` module is patched
from select import select as os_select
from typing import Final

from greenlet import GreenletExit, getcurrent, greenlet
from mypy_extensions import i64, mypyc_attr

from linnet.kernel.clock import Clock
from linnet.kernel.softirq import Cpu, do_softirq, local_bh_enable
from linnet.kernel.timer import TIMER_NEVER, TimerList, del_timer, del_timer_sync, mod_timer

MAX_SCHEDULE_TIMEOUT: Final = 0x7FFFFFFFFFFFFFFF  # wait for ever

TASK_RUNNING: Final = 0
TASK_INTERRUPTIBLE: Final = 1
TASK_UNINTERRUPTIBLE: Final = 2
TASK_NORMAL: Final = 3
TASK_DEAD: Final = 0x80

FINE_WAIT: Final = 2_000_000  # ns; poll(2) counts whole ms
SIGNAL_CHECK: Final = 0x3FFF  # look for a signal of the real machine every so many timers
NOTHING: Final = compile('None', 'linnet', 'eval')

SPIN_ROUNDS: Final = 1000  # rounds in which tasks only polled before virtual time creeps
CALM_LOOKS: Final = 4  # so often a task need not give way in one turn where nobody waits for it: more would be spinning
SPIN_ANSWERS: Final = 100  # answers that a task gets from poll and epoll at one instant before it gives way at each
CLOCK_LOOKS: Final = 0x3F  # looks at the clock between which a task does not give way: long before time creeps


class Deadlock(Exception):
    """Tasks wait and nothing is left that could wake them; `waiting` lists (task, what it waits for)."""

    def __init__(self, waiting: list[tuple[Task, str]]) -> None:
        lines = [f'{task.name} waits for {what or "?"}' for task, what in waiting]
        super().__init__('\n  '.join(['nothing can ever happen again:', *lines]))
        self.waiting = waiting


class TaskTimer(TimerList):
    """Ends a task's wait when its time is over."""

    def __init__(self, task: Task, clock: Clock) -> None:
        super().__init__(clock)
        self.task = task

    def function(self) -> None:
        """The timeout is over: wake whatever the task waits in."""
        wake_up_process(self.task)


class Task:
    """A flow of control that can block: a greenlet with a state.  Linux: struct task_struct."""

    def __init__(self, sched: Scheduler, pid: int, fn: Callable[[], object], name: str, process: object | None) -> None:
        self.sched = sched
        self.pid = pid
        self.fn: Callable[[], object] | None = fn
        self.name = name
        self.process = process  # what the room above attaches (a simulated process)
        self.state: i64 = TASK_RUNNING
        self.wait_what = ''  # for people: what it waits for; schedule() leaves it alone
        self.daemon = False  # does not count when the loop asks whether all is done
        self.result: object = None  # what fn returned
        self.exception: BaseException | None = None  # what fn raised
        self.waiters: list[Task] = []  # tasks in join()
        self.pending_signals: i64 = 0  # bit n-1 for signal n
        self.nr_looks: i64 = 0  # at the clock
        self.nr_answers: i64 = 0  # of poll and epoll, at the instant answered_at
        self.answered_at: i64 = -1
        self.greenlet: greenlet | None = None
        self.timer = TaskTimer(self, sched.clock)
        self.gate: Gate | None = None  # of the task of a real thread
        self._run_next: Task | None = None
        self._parked = True  # not running: a wake-up must queue it
        self._woken = False  # the token of a wake-up that came before the wait
        self._killed = False
        self._dying = False
        self._doomed = False  # no wait is granted any more
        self._thrown: BaseException | None = None  # see Scheduler.throw

    def alive(self) -> bool:
        """True until fn has returned or the task was killed."""
        return self.state != TASK_DEAD

    def _main(self) -> None:
        """The body of the greenlet."""
        fn = self.fn
        self.fn = None
        try:
            if fn is not None and not self._killed:
                self.result = fn()
        except GreenletExit:
            self.result = None
        except BaseException as exc:
            self.exception = exc
        self.state = TASK_DEAD


@mypyc_attr(allow_interpreted_subclasses=True)
class SwitchHook:
    """Interpreter state that a room keeps per task (asyncio's running loop, ...): override to save and restore it."""

    def enter(self, task: Task) -> None:
        """The loop is about to run `task`."""
        return

    def leave(self, task: Task) -> None:
        """`task` gave the processor back; it may be dead."""
        return


@mypyc_attr(allow_interpreted_subclasses=True)
class Gate:
    """The lock of a world that threads of the real machine enter; the room above has the threads and overrides this."""

    def enter(self) -> None:
        """Take the world; wait while another has it."""
        return

    def leave(self) -> None:
        """Let the others have it."""
        return

    def park(self, task: Task) -> None:
        """In the thread of `task`: leave, sleep until unpark() (or a signal of the machine's), enter again."""
        return

    def give_way(self, task: Task) -> None:
        """In the thread of `task`: let others, and the loop, have what they have to do now."""
        return

    def leads(self) -> bool:
        """Is who came to lead() still to do so?"""
        return True

    def unpark(self, task: Task) -> None:
        """The thread of `task` is to go on, as soon as it gets the world."""
        return


@mypyc_attr(allow_interpreted_subclasses=True)
class Work:
    """A call without a task, run by the loop.  Linux: struct work_struct."""

    def run(self) -> None:
        """Do it; runs in the hub with bottom halves enabled and must not block."""
        return


@mypyc_attr(allow_interpreted_subclasses=True)
class FdEvent:
    """Somebody who reads a file descriptor of the real machine (a TUN device)."""

    def ready(self) -> None:
        """The descriptor is ready (or broken): called in softirq context, must not block."""
        return


class Scheduler:
    """The run queue and the main loop of one world."""

    def __init__(self, clock: Clock, cpu: Cpu) -> None:
        self.clock = clock
        self.cpu = cpu
        self.current: Task | None = None
        self.hook: SwitchHook | None = None
        self.gate: Gate | None = None  # where real threads enter the world
        self.tasks: dict[int, Task] = {}  # alive, by pid
        self.nr_alive: i64 = 0  # tasks alive and not daemon at their start
        self.nr_switches: i64 = 0
        self.last_run: i64 = 0  # when a task that is no daemon last got the processor, ns
        self.running = False
        self.nr_holders: i64 = 0  # see hold()
        self._next_pid = 1
        self._hub: greenlet | None = None
        self._rq_head: Task | None = None
        self._rq_tail: Task | None = None
        self._nr_wakeups: i64 = 0
        self._stop: i64 = 0  # an integer: mypy would take a bool as settled within the loop
        self._closing = False
        self._failed: BaseException | None = None
        self._until_done = False
        self._spin: i64 = 0  # rounds on end in which tasks only polled, and when they began
        self._spin_start: i64 = 0
        self._calm: i64 = 0  # see cond_resched()
        self._nr_fired: i64 = 0
        self._works: deque[Work] = deque()
        self._fds: dict[int, FdEvent] = {}
        self._masks: dict[int, int] = {}
        self._poll: os_poll | None = None
        self._wake_r = -1
        self._wake_w = -1
        self._asleep_until: i64 = 0  # with a gate: when the loop will return from poll(2) by itself; 0: it is awake

    # -- tasks

    def spawn(self, fn: Callable[[], object], name: str, process: object | None = None, daemon: bool = False) -> Task:
        """A new task that will run fn() in the loop's next round.  An exception out of fn comes out of run()."""
        pid = self._next_pid
        self._next_pid += 1
        task = Task(self, pid, fn, name, process)
        task.daemon = daemon
        self.tasks[pid] = task
        if not daemon:
            self.nr_alive += 1
        task.state = TASK_UNINTERRUPTIBLE
        wake_up_process(task)
        return task

    def _enqueue(self, task: Task) -> None:
        tail = self._rq_tail
        if tail is None:
            self._rq_head = task
        else:
            tail._run_next = task
        self._rq_tail = task

    def _run_tasks(self) -> None:
        """Run each task that is on the queue now, once."""
        last = self._rq_tail
        while True:
            task = self._rq_head
            if task is None:
                return
            self._rq_head = task._run_next
            task._run_next = None
            if self._rq_head is None:
                self._rq_tail = None
            self._switch_to(task)
            if task is last or self._stop != 0:
                return

    def _switch_to(self, task: Task) -> None:
        """Run `task` until it blocks, yields or ends."""
        if task.state == TASK_DEAD:
            return
        glet = task.greenlet
        if glet is None:
            glet = greenlet(task._main, self._hub)
            task.greenlet = glet
        hook = self.hook
        self.nr_switches += 1
        task._parked = False
        self._calm = 0
        if not task.daemon:
            self.last_run = self.clock.now
        self.current = task
        if hook is None:
            glet.switch()
            self.current = None
        else:
            hook.enter(task)
            glet.switch()
            self.current = None
            hook.leave(task)
        if task.state == TASK_DEAD:
            self._reap(task)

    def _reap(self, task: Task) -> None:
        """A task has ended: forget it, wake who joins it, and note a failure."""
        task.greenlet = None
        task._parked = True
        del_timer_sync(task.timer)
        self.tasks.pop(task.pid, None)
        if not task.daemon:
            self.nr_alive -= 1
            if self._until_done and self.nr_alive == 0:
                self._stop = 1
        waiters = task.waiters
        task.waiters = []
        for waiter in waiters:
            wake_up_process(waiter)
        if task.exception is not None and self._failed is None and not self._closing:
            self._failed = task.exception
            self._stop = 1

    def kill(self, task: Task, hard: bool = False) -> None:
        """Raise GreenletExit in `task` at its present wait; its finally blocks run, and may wait (hard: every wait ends so).

        One that has not begun never does.
        """
        if task.state == TASK_DEAD:
            return
        task._killed = True
        if hard:
            task._doomed = True
        if task is self.current:
            task._dying = True
            raise GreenletExit
        if task.greenlet is None:
            task.state = TASK_DEAD
            task.fn = None
            self._reap(task)
            return
        wake_up_process(task)

    def throw(self, task: Task, exc: BaseException) -> None:
        """Raise exc in `task` at its present wait; the task lives on.  One that has not begun, or is being killed, is ended."""
        if task.state == TASK_DEAD:
            return
        if task.greenlet is None or (task._killed and not task._dying):
            self.kill(task)
            return
        task._thrown = exc
        task._killed = True
        wake_up_process(task)

    def kill_all(self) -> None:
        """End every task now, outside of run(): a wait in a finally block ends with GreenletExit at once."""
        if self.running:
            raise RuntimeError('kill_all() while the loop runs')
        self._enter()
        self._closing = True
        try:
            for task in list(self.tasks.values()):
                self.kill(task)
            rounds = 0
            while self._rq_head is not None and rounds < 100:
                self._stop = 0
                self._run_tasks()
                rounds += 1
        finally:
            self._closing = False
            self._leave()

    # -- work and file descriptors

    def call_soon(self, work: Work) -> None:
        """Run `work` in the loop's next round."""
        self._works.append(work)

    def call_soon_threadsafe(self, work: Work) -> None:
        """As call_soon(), from any thread: the loop is woken if it sleeps."""
        self._works.append(work)
        self._wake()

    def _wake(self) -> None:
        if self._wake_w >= 0:
            try:
                os.write(self._wake_w, b'\0')
            except BlockingIOError:
                return  # the pipe is full of such calls: the loop will wake

    def kick(self) -> None:
        """A real thread is about to leave the world: wake the loop if it would sleep over what there is to do now."""
        until: i64 = self._asleep_until
        if until != 0 and (self.clock.next_expiry() < until or self.cpu.pending != 0 or self._works):
            self._asleep_until = 0
            self._wake()

    def interrupt(self) -> None:
        """stop(), from the handler of a signal, too: a loop that sleeps, or is just about to, wakes."""
        self._stop = 1
        self._wake()

    def halt(self) -> None:
        """stop(), in the gate: a loop that sleeps wakes."""
        self._stop = 1
        if self._asleep_until != 0:
            self._asleep_until = 0
            self._wake()

    def hold(self) -> None:
        """A thread of the real machine will call: run() waits for it instead of returning when nothing is left."""
        self._poller()
        self.nr_holders += 1

    def unhold(self) -> None:
        """End a hold(); to be called in the loop's own thread (from work or a task)."""
        self.nr_holders -= 1

    def register_fd(self, fd: int, event: FdEvent, mask: int = 1) -> None:
        """Call event.ready() when `fd` is ready for `mask` (poll(2) bits, POLLIN by default)."""
        poll = self._poller()
        self._fds[fd] = event
        self._masks[fd] = mask
        poll.register(fd, mask)
        if self._asleep_until != 0:
            self._wake()  # the loop looks at what was registered before

    def unregister_fd(self, fd: int) -> None:
        """Stop watching `fd`; one that is not watched is no error."""
        if self._fds.pop(fd, None) is not None and self._poll is not None:
            self._poll.unregister(fd)
            del self._masks[fd]

    def _poller(self) -> os_poll:
        poll = self._poll
        if poll is None:
            poll = os_poll()
            self._wake_r, self._wake_w = os.pipe()
            os.set_blocking(self._wake_r, False)
            os.set_blocking(self._wake_w, False)
            poll.register(self._wake_r, 1)
            self._poll = poll
        return poll

    def close(self) -> None:
        """Kill all tasks and give back the descriptors of the loop itself."""
        self.kill_all()
        if self._poll is not None:
            os.close(self._wake_r)
            os.close(self._wake_w)
            self._wake_r = self._wake_w = -1
            self._poll = None

    def _poll_fds(self, timeout_ns: i64) -> None:
        """Wait up to `timeout_ns` (0: look only; TIMER_NEVER: for ever) and deliver what is ready."""
        poll = self._poller()
        ms: float | None = None
        fine: i64 = 0
        until: i64 = timeout_ns
        if timeout_ns < FINE_WAIT:
            ms = 0.0
            fine = timeout_ns
        elif timeout_ns != TIMER_NEVER:
            ms = float(timeout_ns) / 1e6
        gate = self.gate
        if gate is not None:
            if timeout_ns != 0 and timeout_ns != TIMER_NEVER:
                until += self.clock.now
            self._asleep_until = until
            gate.leave()
        if fine > 0:
            self._fine_wait(fine)
        found = poll.poll(ms)
        if gate is not None:
            gate.enter()
            self._asleep_until = 0
        for fd, _mask in found:
            if fd == self._wake_r:
                os.read(fd, 4096)
                continue
            event = self._fds.get(fd)
            if event is not None:
                self.clock.advance(self.clock.now)
                self.cpu.bh_disable += 1
                event.ready()
                local_bh_enable(self.cpu)

    def _fine_wait(self, timeout_ns: i64) -> None:
        """A wait shorter than poll(2) can measure: select(2) counts microseconds."""
        reading = [fd for fd, mask in self._masks.items() if mask & 3 != 0 and fd < 1024]
        writing = [fd for fd, mask in self._masks.items() if mask & 4 != 0 and fd < 1024]
        if self._wake_r < 1024:
            reading.append(self._wake_r)
        os_select(reading, writing, [], float(timeout_ns) / 1e9)

    # -- the loop

    def lead(self) -> None:
        """Be the loop until stop(): for a thread that is in the gate and has to wait, or has nothing else to do."""
        self._enter()
        gate = self.gate
        try:
            if gate is not None and gate.leads():  # asked now that a stop() counts
                self._loop(TIMER_NEVER)
        finally:
            self.cpu.bh_disable = 0
            self._leave()

    def round(self) -> None:
        """In the gate, while nobody leads: what is due at this instant, without a wait."""
        self._run_works()
        if self.cpu.pending != 0:
            do_softirq(self.cpu)
        self._poll_fds(0)
        self._expire(TIMER_NEVER)

    def stop(self) -> None:
        """Let run() return at the next occasion."""
        self._stop = 1

    def run(self, until: i64 | None = None, deadlock_error: bool = False) -> None:
        """Run the world until nothing is left to do, or until the clock reads `until` (ns).

        Deferrable timers and daemon tasks do not keep it running.  What a task raised is raised here.
        deadlock_error: raise Deadlock if tasks (not daemons) are left waiting for nothing.
        """
        if until is None:
            self._run(TIMER_NEVER, False)
        else:
            self._run(until, False)
        if deadlock_error and self._stop == 0 and until is None and not self._fds:
            waiting = [(task, task.wait_what) for task in self.tasks.values() if not task.daemon]
            if waiting:
                raise Deadlock(waiting)

    def run_until_done(self, until: i64 | None = None) -> bool:
        """As run(), but return as soon as no task but daemons is alive; True if so."""
        if self.nr_alive > 0:
            if until is None:
                self._run(TIMER_NEVER, True)
            else:
                self._run(until, True)
        return self.nr_alive == 0

    def _enter(self) -> None:
        if self.running:
            raise RuntimeError('the loop runs already')
        hub = getcurrent()
        if hub is not self._hub:
            for task in self.tasks.values():
                if task.greenlet is not None:
                    task.greenlet.parent = hub
            self._hub = hub
        self.running = True
        self._stop = 0

    def _leave(self) -> None:
        self.running = False
        self.current = None

    def _run(self, until: i64, until_done: bool) -> None:
        self._enter()
        self._until_done = until_done
        self._failed = None
        if not self.clock.virtual:
            self._poller()  # its pipe must be there before another thread may call
        bh: i64 = self.cpu.bh_disable
        try:
            self._loop(until)
        finally:
            self.cpu.bh_disable = bh
            self._until_done = False
            self._leave()
        failed = self._take_failure()
        if failed is not None:
            raise failed

    def _take_failure(self) -> BaseException | None:
        failed = self._failed
        self._failed = None
        return failed

    def _loop(self, until: i64) -> None:
        """Rounds, until there is nothing to do or it is `until`."""
        clock = self.clock
        cpu = self.cpu
        virtual: bool = clock.virtual
        while self._stop == 0:
            wakeups: i64 = self._nr_wakeups
            ran = self._rq_head is not None
            if ran:
                self._run_tasks()
                if self._stop != 0:
                    return
            if self._works:
                self._run_works()
            if cpu.pending != 0:
                do_softirq(cpu)
            if not virtual:
                clock.advance(clock.now)
            if self._poll is not None:
                self._poll_fds(0)
            if self._expire(until) or self._stop != 0:
                self._spin = 0
                if not virtual and clock.now >= until:
                    return
                continue
            if self._rq_head is not None:
                if ran and wakeups == self._nr_wakeups:
                    if clock.now >= until:
                        return
                    self._spun(until)
                else:
                    self._spin = 0
                continue
            if self._works or cpu.pending != 0:
                continue
            if not self._idle(until):
                return

    def _expire(self, until: i64) -> bool:
        """Run due timers; in virtual time go on to the next while no task is runnable.  True if any ran."""
        clock = self.clock
        cpu = self.cpu
        virtual: bool = clock.virtual
        ran = False
        while True:
            limit: i64 = clock.now
            if virtual and self._rq_head is None and (clock.nr_pending > 0 or until != TIMER_NEVER) and not self._works:
                limit = until
            timer = clock.take(limit)
            if timer is None:
                return ran
            if timer.expires > clock.now:
                clock.now = timer.expires
            ran = True
            self._nr_fired += 1
            if self._nr_fired & SIGNAL_CHECK == 0:
                eval(NOTHING)  # compiled code never looks for signals: one step of the interpreter does
            cpu.bh_disable += 1
            timer.function()
            local_bh_enable(cpu)
            if self._stop != 0:
                return True

    def _run_works(self) -> None:
        works = self._works
        n = len(works)
        while n > 0:
            n -= 1
            works.popleft().run()

    def _spun(self, until: i64) -> None:
        """A round in which tasks only polled: after many of them let virtual time creep."""
        clock = self.clock
        if self._spin == 0:
            self._spin_start = clock.now
        self._spin += 1
        if self._spin < SPIN_ROUNDS or not clock.virtual:
            return
        target: i64 = clock.next_expiry()
        if until < target:
            target = until
        before: i64 = clock.now
        if clock.creep(self._spin_start) > target and target > before:
            clock.now = target

    def _idle(self, until: i64) -> bool:
        """Nothing is runnable.  True to go on, False when the run is over."""
        clock = self.clock
        if clock.virtual:
            if until != TIMER_NEVER:
                clock.advance(until)
                return False
            if self._fds or self.nr_holders > 0:
                self._poll_fds(TIMER_NEVER)
                return True
            return False
        if clock.now >= until:
            return False
        if clock.nr_pending == 0 and until == TIMER_NEVER and not self._fds and self.nr_holders == 0:
            return False
        wake_at: i64 = clock.next_expiry()
        if until < wake_at:
            wake_at = until
        if wake_at == TIMER_NEVER:
            self._poll_fds(TIMER_NEVER)
        elif wake_at > clock.now:
            self._poll_fds(wake_at - clock.now)
        return True


def wake_up_process(task: Task) -> bool:
    """Make `task` runnable; True if it was waiting.  Linux: kernel/sched/core.c."""
    state: i64 = task.state
    if state == TASK_RUNNING or state == TASK_DEAD:
        if not task._parked:
            task._woken = True
        return False
    task.state = TASK_RUNNING
    if task._parked:
        sched = task.sched
        gate = task.gate
        if gate is not None:
            gate.unpark(task)
            return True
        sched._nr_wakeups += 1
        sched._enqueue(task)
    else:
        task._woken = True
    return True


def set_current_state(sched: Scheduler, state: i64) -> None:
    """Announce a wait: a wake-up from here on counts.  Linux: include/linux/sched.h."""
    task = sched.current
    if task is not None:
        task.state = state
        task._woken = False


def schedule(sched: Scheduler) -> None:
    """Park the current task until it is woken (or a signal is pending and the wait is interruptible).

    RuntimeError outside of a task, or with bottom halves disabled.
    Linux: kernel/sched/core.c.  A task that has not announced its wait parks interruptibly instead of yielding.
    """
    task = sched.current
    if task is None:
        raise RuntimeError('blocking call outside a task')
    if sched.cpu.bh_disable != 0:
        raise RuntimeError('scheduling while atomic: ' + task.name)
    if task._killed:
        _die(task)
    if task._woken or (task.pending_signals != 0 and task.state != TASK_UNINTERRUPTIBLE):
        task._woken = False
        task.state = TASK_RUNNING
        return
    if task.state == TASK_RUNNING:
        task.state = TASK_INTERRUPTIBLE
    _switch_to_hub(sched, task)


def _switch_to_hub(sched: Scheduler, task: Task) -> None:
    gate = task.gate
    task._parked = True
    if gate is not None:
        gate.park(task)
        task._parked = False
        task.state = TASK_RUNNING
        return
    hub = sched._hub
    assert hub is not None
    hub.switch()
    if task._killed:
        _die(task)


def _die(task: Task) -> None:
    """Raise GreenletExit once; in a finally block a killed task may wait again, but not while all are killed.

    What was thrown into the task goes first.
    """
    thrown = task._thrown
    if thrown is not None:
        task._thrown = None
        task._killed = task._dying
        task.state = TASK_RUNNING
        raise thrown
    if not task._dying or task._doomed or task.sched._closing:
        task._dying = True
        task.state = TASK_RUNNING
        raise GreenletExit


def sched_yield(sched: Scheduler) -> None:
    """Let the other runnable tasks and the due timers go first.  Linux: kernel/sched/syscalls.c."""
    task = sched.current
    if task is None:
        raise RuntimeError('blocking call outside a task')
    if sched.cpu.bh_disable != 0:
        raise RuntimeError('scheduling while atomic: ' + task.name)
    task.state = TASK_RUNNING
    task._woken = False
    gate = task.gate
    if gate is not None:
        gate.give_way(task)
        return
    sched._enqueue(task)
    _switch_to_hub(sched, task)


def need_resched(sched: Scheduler) -> bool:
    """True if the loop has anything to do at this instant beside the current task; in real time it always may.

    Linux: include/linux/sched.h.  There the scheduler sets a flag, here the queues are looked at.
    """
    if sched._rq_head is not None or sched._stop != 0 or sched.cpu.pending != 0 or sched._works or sched._poll is not None:
        return True
    clock = sched.clock
    return not clock.virtual or clock.next_expiry() <= clock.now


def cond_resched(sched: Scheduler) -> bool:
    """sched_yield(), unless nobody else has anything to do now; True if the task gave way.

    One that comes again and again in one turn spins: it gives way all the same, so that time may creep.
    Linux: include/linux/sched.h.
    """
    sched._calm += 1
    if sched._calm <= CALM_LOOKS and not need_resched(sched):
        return False
    sched_yield(sched)
    return True


def note_answer(sched: Scheduler) -> None:
    """poll or epoll has an answer for the current task: one that gets them on end, without time passing, gives way."""
    task = sched.current
    if task is None:
        return
    if task.answered_at != sched.clock.now:
        task.answered_at = sched.clock.now
        task.nr_answers = 0
    task.nr_answers += 1
    if task.nr_answers > SPIN_ANSWERS:
        sched_yield(sched)


def read_clock(sched: Scheduler) -> int:
    """`now` for the current task's program, ns (Clock.read); one that does nothing but look at it gives way now and then."""
    task = sched.current
    if task is not None:
        task.nr_looks += 1
        if task.nr_looks & CLOCK_LOOKS == 0:
            cond_resched(sched)
    return sched.clock.read()


def schedule_timeout(sched: Scheduler, timeout_ns: i64) -> i64:
    """Park the current task until it is woken or `timeout_ns` is over; gives the ns left, 0 when it is over.

    MAX_SCHEDULE_TIMEOUT waits for ever.  0 or less yields once.
    Linux: kernel/time/sleep_timeout.c.  Time is in ns, not in jiffies.
    """
    if timeout_ns == MAX_SCHEDULE_TIMEOUT:
        schedule(sched)
        return timeout_ns
    if timeout_ns <= 0:
        sched_yield(sched)
        return 0
    task = sched.current
    if task is None:
        raise RuntimeError('blocking call outside a task')
    clock = sched.clock
    expire: i64 = TIMER_NEVER - 1
    if timeout_ns < expire - clock.now:
        expire = clock.now + timeout_ns
    mod_timer(task.timer, expire)
    schedule(sched)
    del_timer(task.timer)
    left: i64 = expire - clock.now
    return left if left > 0 else 0


def sleep_ns(sched: Scheduler, ns: i64) -> i64:
    """Sleep for `ns`; gives what is left when a signal ended it, else 0.

    Linux: kernel/time/hrtimer.c, do_nanosleep.
    """
    task = sched.current
    left: i64 = ns
    if left <= 0:
        sched_yield(sched)
        return 0
    while left > 0:
        set_current_state(sched, TASK_INTERRUPTIBLE)
        left = schedule_timeout(sched, left)
        if task is not None and task.pending_signals != 0:
            return left
    return 0


def send_signal(task: Task, signo: i64) -> None:
    """Make signal `signo` (1 to 62) pending; an interruptible wait ends.  Linux: kernel/signal.c."""
    task.pending_signals |= 1 << (signo - 1)
    if task.state == TASK_INTERRUPTIBLE:
        wake_up_process(task)


def signal_pending(task: Task) -> bool:
    """True if a signal waits for delivery: blocking calls return -EINTR.  Linux: include/linux/sched/signal.h."""
    return task.pending_signals != 0


def join(sched: Scheduler, task: Task, timeout_ns: i64 = MAX_SCHEDULE_TIMEOUT) -> bool:
    """Wait until `task` has ended; False if the time was over or a signal came first."""
    me = sched.current
    if me is None:
        raise RuntimeError('blocking call outside a task')
    left: i64 = timeout_ns
    me.wait_what = 'end of ' + task.name
    while task.state != TASK_DEAD and left > 0 and me.pending_signals == 0:
        if me not in task.waiters:
            task.waiters.append(me)
        set_current_state(sched, TASK_INTERRUPTIBLE)
        left = schedule_timeout(sched, left)
    if me in task.waiters:
        task.waiters.remove(me)
    me.wait_what = ''
    return task.state == TASK_DEAD
