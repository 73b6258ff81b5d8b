# SPDX-License-Identifier: Apache-2.0
"""The error numbers are Linux's (this machine's errno module is the judge where it is Linux)."""
from __future__ import annotations

import errno as os_errno
import sys

import pytest

from linnet.kernel import errno, poll


@pytest.mark.skipif(sys.platform != 'linux', reason='the numbers are those of Linux')
def test_numbers_are_those_of_linux() -> None:
    names = [n for n in dir(errno) if n.startswith('E') and n.isupper()]
    known = [n for n in names if hasattr(os_errno, n)]
    assert len(known) >= 60
    assert {n: getattr(errno, n) for n in known} == {n: getattr(os_errno, n) for n in known}
    assert all(getattr(errno, n) >= 512 for n in names if n not in known), 'those that never reach a program are above 511'


@pytest.mark.skipif(sys.platform != 'linux', reason='the numbers are those of Linux')
def test_poll_bits_are_those_of_linux() -> None:
    import select

    checked = 0
    for name in dir(poll):
        if name.startswith(('POLL', 'EPOLL')) and hasattr(select, name):
            assert getattr(poll, name) == getattr(select, name) & 0xFFFFFFFF, name
            checked += 1
    assert checked > 20
