# SPDX-License-Identifier: Apache-2.0
"""What a program under `linnet exec` does beside its sockets, on the real machine: threads, processes, signals, descriptors.

The programs are those of helpers/resident.py; the kernel's side runs station.py.
"""
from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.netns import KERNEL, STATION, Namespace, lacking

WHY = lacking()
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(WHY != '', reason=WHY),
    pytest.mark.xdist_group('tun'),
]
RESIDENT = str(Path(STATION).with_name('resident.py'))
KINDS = 'connection pipe socketpair terminal inotify timer'


@pytest.fixture(scope='module')
def ns() -> Iterator[Namespace]:
    """A namespace, and the station's servers on the kernel's side."""
    with Namespace() as made:
        made.start([sys.executable, STATION, 'serve'], 'ready')
        yield made


def lines(ns: Namespace, name: str, *args: str) -> list[str]:
    """What the program printed."""
    return ns.linnet('tun', [RESIDENT, name, KERNEL, *args], timeout=60).splitlines()


# -- threads

def test_a_pool_of_threads(ns: Namespace) -> None:
    assert lines(ns, 'pool') == ['2016 True 1']


def test_threads_share_a_socket(ns: Namespace) -> None:
    assert lines(ns, 'one_socket') == ['True', 'True']


def test_what_blocks_one_thread_stops_no_other(ns: Namespace) -> None:
    assert lines(ns, 'waits') == [
        "True 4 accept 127.0.0.1, compute, connect, database, lock, pipe, process, recv b'x', select True, sleep"]


def test_a_thread_that_c_made(ns: Namespace) -> None:
    assert lines(ns, 'foreign') == ['True', '[True]']


def test_sockets_that_the_collector_finds(ns: Namespace) -> None:
    assert lines(ns, 'finalizers') == ['0']


def test_tls_in_two_threads(ns: Namespace) -> None:
    assert lines(ns, 'tls') == ['True True']


# -- the machine's descriptors

def test_descriptors_of_the_machine(ns: Namespace) -> None:
    assert lines(ns, 'descriptors') == [
        *(f'{kind}Selector {KINDS}' for kind in ('Select', 'Poll', 'Epoll')), f'edge-triggered {KINDS}', '[True]']


def test_a_number_that_is_closed_and_open_again(ns: Namespace) -> None:
    assert lines(ns, 'closed_and_open_again') == ['[] True']


# -- processes

def test_subprocess(ns: Namespace) -> None:
    assert lines(ns, 'processes') == [
        r"3 200000 b'err\n'", "True b'hello'", r"True b'got word\n'", '-9 True', 'timed out', '5 popen']


def test_subprocesses_of_asyncio(ns: Namespace) -> None:
    assert lines(ns, 'asyncio_processes') == [
        '200000 0 one', '<a> a', '<b> b', '7', '-9 two', str(list(range(10))), 'True 3', r"b'piped\n'", r"b'unix\n'"]


def test_trio(ns: Namespace) -> None:
    pytest.importorskip('trio')
    child = ns.exec('tun', [RESIDENT, 'trio_program', KERNEL])
    assert child.stdout is not None
    said = [child.stdout.readline().strip() for _ in range(5)]
    assert said == ["b'one' b'two' 3", "b'three'", "b'four'", "b'five'", 'ready']
    assert ended(child, signal.SIGINT) == (130, [])


def test_forked_processes_have_no_sockets(ns: Namespace) -> None:
    assert lines(ns, 'multiprocess', 'fork') == ['499500 PermissionError', '0 True', '[1, 2, 3]', '4 True']


def test_spawned_processes_are_the_machines(ns: Namespace) -> None:
    said = lines(ns, 'multiprocess', 'spawn')
    warned = [line for line in said if 'RuntimeWarning' in line]
    assert warned and "its sockets are not on Linnet's stack" in warned[0]
    assert [line for line in said if line[0].isdigit() or line[0] == '['] == [
        '499500 ConnectionRefusedError, not forked', '0 True', '[1, 2, 3]', '4 True']


# -- signals

def ended(child: subprocess.Popen[str], signum: signal.Signals) -> tuple[int, list[str]]:
    """Its exit code and what it said after a signal."""
    child.send_signal(signum)
    text, _ = child.communicate(timeout=20)
    return child.returncode, text.splitlines()


def test_interrupted_in_recv(ns: Namespace) -> None:
    child = ns.exec('tun', [RESIDENT, 'interrupted', KERNEL], ready='ready')
    child.send_signal(signal.SIGINT)
    assert child.stdout is not None and child.stdout.readline() == 'interrupted True\n'
    assert ended(child, signal.SIGINT) == (130, [])


def test_handlers(ns: Namespace) -> None:
    assert lines(ns, 'handled') == [
        "b'sent by the handler'", *['late'] * 5, 'True', 'True True', 'True True True']


def test_a_child_ends(ns: Namespace) -> None:
    assert lines(ns, 'children') == ['True']


def test_signal_handlers_of_asyncio(ns: Namespace) -> None:
    child = ns.exec('tun', [RESIDENT, 'asyncio_signals', KERNEL], ready='ready')
    assert ended(child, signal.SIGTERM) == (0, ["b'goodbye'"])


def test_an_interrupt_cancels_what_asyncio_runs(ns: Namespace) -> None:
    child = ns.exec('tun', [RESIDENT, 'asyncio_interrupted', KERNEL], ready='ready')
    assert ended(child, signal.SIGINT) == (130, ['cancelled'])


# -- the end

def test_threads_outlive_the_main_one(ns: Namespace) -> None:
    child = ns.exec('tun', [RESIDENT, 'threads_left', KERNEL])
    text, _ = child.communicate(timeout=20)
    assert (child.returncode, text) == (6, "answered b'late'\n")


@pytest.mark.parametrize('signum', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_threads_that_are_left(ns: Namespace, signum: signal.Signals) -> None:
    child = ns.exec('tun', [RESIDENT, 'server_left', KERNEL], ready='ready')
    assert ended(child, signum) == (128 + signum, [])


def test_functions_at_the_exit_have_sockets(ns: Namespace) -> None:
    assert lines(ns, 'at_exit') == ['main ends', 'True']


def test_what_was_sent_arrives(ns: Namespace) -> None:
    """Though the program ends at once."""
    server = ns.start([sys.executable, RESIDENT, 'count', '4000'], 'ready')
    assert lines(ns, 'unsent', '4000') == []
    text, _ = server.communicate(timeout=20)
    assert text == '3000000\n'


@pytest.mark.parametrize('how', ['exit', 'signal'])
def test_a_connection_is_closed_though_a_thread_waits_for_it(ns: Namespace, how: str) -> None:
    server = ns.start([sys.executable, RESIDENT, 'count', '4001'], 'ready')
    child = ns.exec('tun', [RESIDENT, 'daemon', KERNEL, '4001', how])
    text, _ = child.communicate(timeout=20)
    assert (child.returncode, text) == (0 if how == 'exit' else 143, '')
    text, _ = server.communicate(timeout=20)
    assert text == '3\n'


def test_errors_are_shown_as_ever(ns: Namespace) -> None:
    child = ns.exec('tun', [RESIDENT, 'wrong', KERNEL])
    text, _ = child.communicate(timeout=20)
    said = text.splitlines()
    assert child.returncode == 1 and said[0] == 'Traceback (most recent call last):'
    assert said[-1].startswith('ZeroDivisionError: ')
    assert all(RESIDENT in line for line in said if line.startswith('  File'))
