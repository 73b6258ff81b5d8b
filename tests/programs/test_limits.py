# SPDX-License-Identifier: Apache-2.0
"""What a simulated program cannot do, and what differs: the second half of docs/compatibility.md, kept true."""

from __future__ import annotations

import datetime
import io
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from linnet import Lab


def in_a_program(fn: Callable[[], Any]) -> Any:
    out: list[Any] = []
    with Lab() as lab:
        lab.host('h').spawn(lambda: out.append(fn()))
        lab.run()
    return out[0]


def refused(fn: Callable[[], Any], problem: type[Exception]) -> str:
    """What the error says."""

    def attempt() -> str:
        with pytest.raises(problem) as caught:
            fn()
        return str(caught.value)

    return str(in_a_program(attempt))


@pytest.mark.parametrize('family', [socket.AF_NETLINK, socket.AF_VSOCK])
def test_other_address_families(family: int) -> None:
    assert 'Address family not supported' in refused(lambda: socket.socket(family, socket.SOCK_DGRAM), OSError)


def test_unix_sockets_with_a_name() -> None:
    def bind() -> None:
        socket.socket(socket.AF_UNIX).bind('/tmp/never')

    refused(bind, OSError)
    assert not os.path.exists('/tmp/never')


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_multiprocessing(method: str) -> None:
    def start() -> None:
        multiprocessing.get_context(method).Process(target=print).start()

    assert 'spawn the program on a host of the lab' in refused(start, PermissionError)


def test_file_io_on_a_descriptor() -> None:
    """io.FileIO is C, and asks the machine; open() is not."""

    def wrap() -> None:
        reader, _ = os.pipe()
        io.FileIO(reader, 'rb')

    assert 'Bad file descriptor' in refused(wrap, OSError)


def test_threads_do_not_preempt() -> None:
    """One runs until it waits; a loop that never waits is alone in the world."""

    def race() -> list[int]:
        seen = [0]
        threading.Timer(0.001, seen.append, args=(1,)).start()
        for _ in range(10_000):
            seen[0] += 1
        before = len(seen)
        time.sleep(0.01)
        return [before, len(seen)]

    assert in_a_program(race) == [1, 2]


def test_modules_are_shared() -> None:
    """Programs are tasks of one interpreter: what a module keeps, all of them see."""
    with Lab() as lab:
        seen: list[Any] = []
        lab.host('a').spawn(lambda: setattr(datetime, 'linnet_mark', 1))
        lab.host('b').spawn(lambda: (time.sleep(1), seen.append(getattr(datetime, 'linnet_mark', 0))))
        lab.run()
    del datetime.linnet_mark  # type: ignore[attr-defined]
    assert seen == [1]
