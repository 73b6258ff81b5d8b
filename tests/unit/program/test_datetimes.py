# SPDX-License-Identifier: Apache-2.0
"""program/datetimes.py: datetime.now() in a lab that asks for it."""

from __future__ import annotations

import datetime as dt
import sys
import time
import uuid
from typing import Any

import pytest

from linnet import Lab
from linnet.kernel.clock import DEFAULT_EPOCH_NS
from linnet.program import datetimes

pytest.importorskip('time_machine', reason='time-machine is not installed')
EPOCH = dt.datetime.fromtimestamp(DEFAULT_EPOCH_NS / 1e9, dt.UTC)


def test_programs_see_the_worlds_date_and_others_the_machines() -> None:
    seen: list[Any] = []

    def program() -> None:
        for _ in range(2):
            seen.append((dt.datetime.now(dt.UTC) - EPOCH, dt.date.today(), uuid.uuid1().time))
            time.sleep(2 * 86400)

    before = dt.datetime.now(dt.UTC)
    with Lab(datetime=True) as lab:
        lab.host('h').spawn(program)
        lab.at(86400, lambda: seen.append(dt.datetime.now(dt.UTC)))  # the lab's owner lives in the machine's time
        lab.run()
        assert before <= dt.datetime.now(dt.UTC) < before + dt.timedelta(hours=1)
    (first, day, ticks), owners, (second, later_day, later_ticks) = seen
    assert (first, second) == (dt.timedelta(0), dt.timedelta(days=2))
    assert later_day - day == dt.timedelta(days=2)
    assert before <= owners < before + dt.timedelta(hours=1)
    assert 0 < later_ticks - ticks - 2 * 86400 * 10**7 < 10**6 or later_ticks - ticks == 2 * 86400 * 10**7


def test_a_program_that_looks_at_the_date_all_the_time_is_not_frozen() -> None:
    def program() -> None:
        end = dt.datetime.now() + dt.timedelta(seconds=1)
        while dt.datetime.now() < end:
            pass

    with Lab(datetime=True) as lab:
        lab.host('h').spawn(program)
        assert 1 <= lab.run() < 1.1


def test_without_it_datetime_is_the_machines() -> None:
    seen: list[dt.datetime] = []
    with Lab() as lab:
        lab.host('h').spawn(lambda: (time.sleep(10**6), seen.append(dt.datetime.now(dt.UTC))))
        lab.run()
    assert abs(seen[0] - dt.datetime.now(dt.UTC)) < dt.timedelta(hours=1)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'time_machine', None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'linnet-net\[time\]'"), datetimes.travelling():
        pass
