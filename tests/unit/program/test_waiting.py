# SPDX-License-Identifier: Apache-2.0
"""program/waiting.py: who waits for what, and where."""

from __future__ import annotations

import asyncio
import queue
import select
import socket
import threading
import time
from types import SimpleNamespace

import pytest

from linnet import Lab
from linnet.kernel.sched import Deadlock
from linnet.program import waiting

HERE = 'test_waiting.py'


def texts(lab: Lab) -> dict[str, str]:
    return {task.name: text for task, text in lab.waiting()}


def test_each_kind_of_wait_has_words_and_a_place() -> None:
    with Lab() as lab:
        a, b = lab.host('a'), lab.host('b')
        lab.link(a, b, delay='1ms')
        listener = lambda: socket.create_server(('', 7)).accept()  # noqa: E731
        udp = lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).recv(1)  # noqa: E731
        for name, target in {'accept': listener, 'datagram': udp, 'lock': lambda: queue.Queue().get(),
                             'sleep': lambda: time.sleep(50), 'poll': lambda: select.select([], [], [], 60)}.items():
            a.spawn(target, name=name, daemon=name == 'accept')
        lab.run(until=1)
        found = texts(lab)
        assert found['a:accept'].startswith('accept (in <lambda>, ') and HERE in found['a:accept']
        assert found['a:datagram'].startswith('datagram (in udp')  or found['a:datagram'].startswith('datagram (in <lambda>')
        assert found['a:lock'].startswith('a lock (in <lambda>, ')
        assert found['a:sleep'].startswith('sleep(50) (in <lambda>, ')
        assert found['a:poll'].startswith('an event on its descriptors (poll) (in <lambda>, ')
        assert list(found)[-1] == 'a:accept'  # daemons come last
        assert waiting.report(lab.runtime).splitlines()[-1].startswith('a:accept (daemon) waits for accept')
    assert waiting.report(lab.runtime) == 'nobody waits'


def test_a_program_that_has_not_begun() -> None:
    with Lab() as lab:
        lab.host('a').spawn(time.sleep, 1, name='unborn')
        assert texts(lab) == {'a:unborn': 'its start'}


def test_the_tasks_of_an_event_loop_are_listed_with_the_line_that_awaits() -> None:
    async def patient(event: asyncio.Event) -> None:
        await event.wait()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(patient(asyncio.Event()), name='first')
            group.create_task(patient(asyncio.Event()), name='second')

    with Lab() as lab:
        lab.host('a').spawn(lambda: asyncio.run(main()), name='loop')
        with pytest.raises(Deadlock) as caught:
            lab.run()
    lines = str(caught.value).splitlines()
    assert lines[0] == 'nothing can ever happen again:'
    assert lines[1].startswith('  a:loop waits for an event on its descriptors (poll) (in <lambda>, ')
    names = sorted(line.split()[1] for line in lines[2:])
    assert {'first', 'second'} < set(names) and len(names) == 3
    first = next(line for line in lines if 'asyncio first' in line)
    assert 'patient) waits in patient, ' in first and HERE in first


def test_a_thread_is_named_with_its_program() -> None:
    def body() -> None:
        thread = threading.Thread(target=threading.Event().wait, name='worker')
        thread.start()
        thread.join()

    with Lab() as lab:
        lab.host('a').spawn(body, name='prog')
        with pytest.raises(Deadlock, match='a:prog/worker waits for a lock'):
            lab.run()


def test_places_are_short() -> None:
    assert waiting.short(waiting.LIBRARY + 'queue.py') == 'queue.py'
    assert waiting.short('/x/lib/site-packages/anyio/core.py') == 'anyio/core.py'
    assert waiting.short('/elsewhere/prog.py') == '/elsewhere/prog.py'
    assert waiting.place(None) == ''
    assert waiting.frames_of(SimpleNamespace()) == []
