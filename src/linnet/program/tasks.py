# SPDX-License-Identifier: Apache-2.0
"""asyncio's tasks in the order of their making.

asyncio keeps tasks in sets, which iterate by address: asyncio.run() would cancel what is left over in an order that is another
one each time, and the packets of the goodbyes with it.
"""
from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

real_all_tasks = asyncio.all_tasks


def made(task: asyncio.Task[Any]) -> tuple[int, int, str]:
    """A sort key: the number in the name that asyncio gave; other names come after those."""
    name = task.get_name()
    number = name.removeprefix('Task-')
    return (0, int(number), '') if number != name and number.isdecimal() else (1, 0, name)


class Tasks(set[Any]):
    """A set that iterates in that order."""

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__(), key=made))


def all_tasks(loop: asyncio.AbstractEventLoop | None = None) -> set[Any]:
    """As asyncio.all_tasks."""
    return Tasks(real_all_tasks(loop))
