# SPDX-License-Identifier: Apache-2.0
"""datetime.now() of simulated programs, by way of time-machine (the extra `time`).

The datetime module is C and asks the machine; its class cannot be replaced without breaking isinstance(). time-machine
exchanges its functions in place, and asks a traveller for the time: this one gives a program its world's, and whoever is none the
machine's.
It costs about a microsecond a call and is installed while a world runs, where the lab asks for it.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from linnet.program import clocks
from linnet.program.runtime import current_task


@contextmanager
def travelling() -> Iterator[None]:
    """datetime.now(), date.today() and all that C code asks of the time module are the world's within its programs.

    ModuleNotFoundError says what to install.
    """
    try:
        import time_machine
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            f"{exc}: a lab with datetime=True needs time-machine; pip install 'linnet-net[time]'", name=exc.name) from None

    machine = time_machine.escape_hatch.time

    class WorldTraveller(time_machine.Traveller):
        """Asks anew each time who wants to know."""

        def time_ns(self) -> int:
            """Wall time, ns."""
            return clocks.time_ns() if current_task() is not None else int(machine.time_ns())

    travel = time_machine.travel(0, tick=False)
    travel.start()
    time_machine.traveller_stack[-1] = WorldTraveller(0, None, False)
    try:
        yield
    finally:
        travel.stop()
