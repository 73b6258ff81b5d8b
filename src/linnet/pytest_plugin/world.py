# SPDX-License-Identifier: Apache-2.0
"""The lab of one test: its topology, its captures, its end, and how a test runs as a program in it.

A marked test is one program from setup to teardown, for its fixtures make sockets, locks and event loops, too, which belong to
the world. Around it stands a loop (run_protocol) that runs the world until that program has ended. What stops the world before
- another program raised, nothing can ever happen again, the test's virtual time is over - is raised in the test, at the line
where it waits, and the world goes on with what the test does about it: its finally blocks, its teardown.
"""
from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from _pytest._code import Traceback, TracebackEntry
from _pytest.runner import runtestprotocol

from linnet import Lab, units
from linnet.drivers.net.pcap import PcapTap
from linnet.kernel.sched import Deadlock
from linnet.kernel.timer import TimerList, del_timer, mod_timer
from linnet.lab import Host, Link
from linnet.program import waiting
from linnet.program.runtime import Program, current_task
from linnet.report import packets
from linnet.report.ss import ss

DEFAULT_DELAY = '10ms'
TIMEOUT = '1h'  # of virtual time
INTERRUPTS = 20  # a test that goes on after so many exceptions out of its waits is ended
FOLDER_NAME = 100  # characters
LOST_SHOWN = 10  # lost packets of a link that a failure's section names
MARKER_KEYS = ('links', 'routers', 'topology', 'on', 'seed', 'timeout', 'datetime')


class LimitTimer(TimerList):
    """Stops the world when the test's time is over. It does not keep the world going: a deadlock is a deadlock."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab.world.clock)
        self.sched = lab.world.sched
        self.expired = False
        self.deferrable = True

    def function(self) -> None:
        """It is over."""
        self.expired = True
        self.sched.stop()


class VirtualTimeout(Exception):
    """The test ran for longer than its marker's timeout (of virtual time). Says who waited for what."""


class TestLab(Lab):
    """A Lab that captures every link from its beginning, into a folder that a test that passes takes away again."""

    __test__ = False  # for pytest: this is no test class

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(seed=seed)
        self.folder = folder
        self.captures: list[PcapTap] = []
        self.closed = False

    def link(self, a: Host | str, b: Host | str, **options: Any) -> Link:
        """As Lab.link."""
        link = super().link(a, b, **options)
        self.folder.mkdir(parents=True, exist_ok=True)
        names = f'{link.a.host.name}-{link.b.host.name}'
        twins = sum(names == f'{other.a.host.name}-{other.b.host.name}' for other in self.links)
        path = self.folder / (names + (f'-{twins}' if twins > 1 else '') + '.pcapng')
        self.captures.append(self.pcap(path, link.a, link.b))
        return link

    def close(self) -> None:
        """As Lab.close; twice is once."""
        if not self.closed:
            self.closed = True
            super().close()


class TestWorld:
    """What the plugin keeps of one test item that has a lab."""

    __test__ = False

    def __init__(self, item: pytest.Item, seed: int, root: Path) -> None:
        name = re.sub(r'[^\w.=-]+', '_', item.nodeid).strip('_')[-FOLDER_NAME:]
        self.folder = root / name
        shutil.rmtree(self.folder, ignore_errors=True)  # of an earlier run
        self.lab = TestLab(self.folder, seed)
        self.program: Program | None = None  # the test's own, where it runs in the lab
        self.kept = False
        self.waited = ''  # who waited for what when the world was stopped

    # -- a test that runs inside

    def inside(self) -> bool:
        """Does the code that runs now belong to a program of the world?"""
        return current_task() is not None

    def crossing(self) -> tuple[Callable[[], None], Callable[[], None]]:
        """(leave, come back) for the finalizers of a fixture that belongs to the machine: they run within a test's teardown."""
        stays: list[AbstractContextManager[None]] = []

        def leave() -> None:
            if current_task() is not None:
                stay = self.lab.runtime.machine()
                stay.__enter__()
                stays.append(stay)

        def come_back() -> None:
            while stays:
                stays.pop().__exit__(None, None, None)
        return leave, come_back

    # -- what is left of it

    def failed(self, command: str) -> str:
        """Keep the artifacts, and say in words what there is to know."""
        self.keep(command)
        lab = self.lab
        lines = [f'seed {lab.seed}, failed at {lab.now:.6f} s of virtual time',
                 f'repeat it:  {command}', f'artifacts:  {self.folder}']
        for tap in lab.captures:
            told = packets.lines(Path(tap.path), lab.world.clock.epoch_ns)
            lost = [line for line in told if line.endswith('LOST')]
            lines.append(f'    {Path(tap.path).name}: {len(told)} packets, {len(lost)} lost' + (':' if lost else ''))
            lines += ['        ' + line for line in lost[-LOST_SHOWN:]]
        lines += ['who waits for what:', '    ' + self.who_waits().replace('\n', '\n    ')]
        for name, table in self.sockets():
            lines += [f'sockets of {name}:', *['    ' + line for line in table.splitlines()]]
        return '\n'.join(lines)

    def shorten(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Leave Linnet's frames out of a traceback (--full-trace shows them), but for errors that are Linnet's own."""
        entries = excinfo.traceback
        told = isinstance(excinfo.value, (OSError, Deadlock, VirtualTimeout))
        if not told and is_ours(entries[-1]):
            return
        kept = [entry for entry in entries if not is_ours(entry)]
        chain: TracebackType | None = None
        for entry in reversed(kept):
            raw = entry._rawentry
            chain = TracebackType(chain, raw.tb_frame, raw.tb_lasti, raw.tb_lineno)
        if chain is not None:
            excinfo.traceback = Traceback(chain)

    def keep(self, command: str) -> None:
        """The folder stays: captures, their packets as text, the sockets of every host with counters, who waits for what."""
        self.kept = True
        self.folder.mkdir(parents=True, exist_ok=True)
        for tap in self.lab.captures:
            tap.flush()
            text = '\n'.join(packets.lines(Path(tap.path), self.lab.world.clock.epoch_ns))
            Path(tap.path).with_suffix('.txt').write_text(text + '\n')
        text = f'{command}\nseed {self.lab.seed}\n{self.lab.now:.9f} s of virtual time\n\n'
        text += f'who waits for what\n{self.who_waits()}\n'
        for host in self.lab.hosts.values():
            text += f'\n== {host.name}\n{ss(host.net)}\n'
            text += ''.join(f'{key:<32} {value}\n' for key, value in host.nstat().items())
            text += ''.join(f'dropped: {key:<23} {value}\n' for key, value in host.drops().items())
        (self.folder / 'report.txt').write_text(text)

    def who_waits(self) -> str:
        """A line for each program that waits, or that waited when something was raised in the test."""
        return self.waited or waiting.report(self.lab.runtime)

    def sockets(self) -> list[tuple[str, str]]:
        """(host, its sockets as ss -tian prints them), of hosts that have any."""
        tables = [(host.name, ss(host.net)) for host in self.lab.hosts.values()]
        return [(name, table) for name, table in tables if '\n' in table]

    def close(self) -> None:
        """End the lab. What nobody asked to keep goes."""
        try:
            self.lab.close()
        finally:
            if not self.kept:
                shutil.rmtree(self.folder, ignore_errors=True)


def is_ours(entry: TracebackEntry) -> bool:
    """Does it run a function of Linnet's? Where that is compiled its file's name is one of the build's."""
    return str(entry.frame.f_globals.get('__name__', '')).startswith('linnet.')


# -- the topology that a marker describes

def build(lab: Lab, marker: pytest.Mark) -> Host:
    """Make the marker's hosts and links; gives the host on which the test runs."""
    options = dict(marker.kwargs)
    if marker.args:
        raise pytest.UsageError(f'pytest.mark.linnet takes keywords alone, not {marker.args!r}')
    on = options.get('on')
    topology, links, routers = options.get('topology'), options.get('links'), options.get('routers', ())
    properties = {key: value for key, value in options.items() if key not in MARKER_KEYS}
    if topology is not None or links is not None:
        if properties or (topology is not None and (links is not None or routers)):
            raise pytest.UsageError('pytest.mark.linnet: give a topology function, or links (and routers), or the properties of '
                                    'the one link between client and server')
    if topology is not None:
        topology(lab)
    else:
        if links is None:
            links = [('client', 'server', properties or {'delay': DEFAULT_DELAY})]
        make_links(lab, links, routers)
    name = on if on is not None else 'client' if 'client' in lab.hosts else next(iter(lab.hosts), None)
    if name not in lab.hosts:
        raise pytest.UsageError(f'pytest.mark.linnet: there is no host {name!r} to run the test on; there are {list(lab.hosts)}')
    return lab.hosts[name]


def make_links(lab: Lab, links: list[tuple[Any, ...]], routers: tuple[str, ...] | list[str]) -> None:
    """links: (name, name) or (name, name, {'delay': '10ms'}); hosts are made as they are met."""
    for entry in links:
        if not 2 <= len(entry) <= 3:
            raise pytest.UsageError(f"pytest.mark.linnet: a link is ('a', 'b') or ('a', 'b', {{'delay': '10ms'}}), not {entry!r}")
        for name in entry[:2]:
            if name not in lab.hosts:
                lab.host(name, forward=name in routers)
        lab.link(entry[0], entry[1], **(entry[2] if len(entry) == 3 else {}))
    unknown = [name for name in routers if name not in lab.hosts]
    if unknown:
        raise pytest.UsageError(f'pytest.mark.linnet: the routers {unknown} are on no link')


def refuse_wide_loops(item: pytest.Item) -> None:
    """An event loop that outlives the test would be the machine's, in which no virtual time passes."""
    marker = item.get_closest_marker('asyncio')
    scope = marker.kwargs.get('loop_scope', 'function') if marker is not None else 'function'
    if scope != 'function':
        raise pytest.UsageError(f'{item.nodeid}: a test marked linnet runs on an event loop of its own, within its lab; '
                                f'loop_scope={scope!r} asks for one that outlives it')


# -- running

def run_protocol(world: TestWorld, marker: pytest.Mark, item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Run an item as a program of its lab; its reports are logged. Raises what pytest itself raises to end the session."""
    lab = world.lab
    lab.runtime.shared_output = True
    escaped: list[BaseException] = []

    def protocol() -> None:
        try:
            runtestprotocol(item, log=True, nextitem=nextitem)
        except BaseException as exc:
            escaped.append(exc)
            raise

    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    try:
        refuse_wide_loops(item)
        timeout = units.time_ns(marker.kwargs.get('timeout', TIMEOUT))
        lab.datetime = bool(marker.kwargs.get('datetime', False))
        host = build(lab, marker)
    except BaseException as exc:
        fail_at_setup(item, nextitem, exc)
    else:
        world.program = host.spawn(protocol, name=getattr(item, 'originalname', None) or item.name)
        run_world(world, timeout)
    finally:
        world.close()
    if escaped:
        raise escaped[0]
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def fail_at_setup(item: pytest.Item, nextitem: pytest.Item | None, exc: BaseException) -> None:
    """There is no lab to run the test in: an error of its setup."""
    setup = item.setup

    def fail() -> None:
        raise exc
    item.setup = fail  # type: ignore[method-assign]
    try:
        runtestprotocol(item, log=True, nextitem=nextitem)
    finally:
        item.setup = setup  # type: ignore[method-assign]


def run_world(world: TestWorld, timeout_ns: int) -> None:
    """Until the test's program has ended. What ends the world's run before that is raised in the test."""
    lab, program = world.lab, world.program
    assert program is not None
    trouble: BaseException | None = None
    for _ in range(INTERRUPTS):
        limit = LimitTimer(lab)
        mod_timer(limit, int(lab.world.clock.now) + timeout_ns)
        try:
            lab.run(program=program)
        except Exception as exc:
            world.waited = world.who_waits()
            if limit.expired:
                trouble = VirtualTimeout(
                    f'the test is not done after {lab.now:g} s of virtual time (pytest.mark.linnet(timeout=...) allows more):\n  '
                    + world.who_waits().replace('\n', '\n  '))
            elif not isinstance(exc, Deadlock):
                exc.add_note(f'raised by a program of the lab at {lab.now:.6f} s of virtual time, while the test waited')
                trouble = exc
            else:
                trouble = exc
        finally:
            del_timer(limit)
        if program.done:
            return  # what other programs raised in the same moment came after the test
        assert trouble is not None, 'the run ended, and the program did not'
        main = program.signals.main
        assert main is not None
        lab.world.sched.throw(main, trouble)
    raise RuntimeError(f'{program} goes on after {INTERRUPTS} exceptions; the last one: {trouble!r}')
