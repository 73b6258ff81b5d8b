# SPDX-License-Identifier: Apache-2.0
"""Python's random numbers in a world: equal seeds give equal numbers to programs, too.

The generators that nobody seeded are the world's while it runs: the one behind random.random(), those that a program makes,
and those that a module made when it was imported (aiohttp masks its web sockets' frames with one). Whoever gave a seed wants
what follows from it, and gets it. A generator that a module made before linnet was imported is not seen, but for those that
imports.py knows of.
"""
from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from linnet.program.runtime import current_task

unseeded: WeakKeyDictionary[random.Random, int] = WeakKeyDictionary()  # -> its number, in the order of their making
original_seed: Callable[..., None] = random.Random.seed


def importing() -> bool:
    """Is the caller part of a module that is being imported? What such a module draws it keeps, and whether a program
    imports it or finds it imported must make no difference to the program's later numbers.
    """
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_filename == '<frozen importlib._bootstrap>':
            return True
    return False


def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
    """random.Random.seed: notes those that are to be seeded by the system; within a program the world does that."""
    inside = current_task() is not None
    if a is None and inside and not importing():
        a = int.from_bytes(os.urandom(32), 'big')
    original_seed(self, a, version)
    if a is not None:
        unseeded.pop(self, None)
    elif self not in unseeded:
        track(self)
        if inside and active:
            active[-1].begin(self, unseeded[self])


def track(generator: random.Random) -> None:
    """Nobody seeded this one."""
    if generator not in unseeded:
        unseeded[generator] = max(unseeded.values(), default=0) + 1


setattr(random.Random, 'seed', seed)  # noqa: B010


active: list[Chance] = []  # of the worlds that run


class Chance:
    """The states of these generators in one world, put in place while it runs and taken away when it stands still."""

    def __init__(self, world_seed: int) -> None:
        self.seed = world_seed
        self.inside: WeakKeyDictionary[random.Random, Any] = WeakKeyDictionary()
        self.outside: list[tuple[random.Random, Any]] = []

    def put(self) -> None:
        """The world begins to run, or goes on."""
        for generator, number in [(random._inst, 0), *unseeded.items()]:
            self.begin(generator, number)
        active.append(self)

    def begin(self, generator: random.Random, number: int) -> None:
        """From now on it gives the world's numbers."""
        self.outside.append((generator, generator.getstate()))
        if generator in self.inside:
            generator.setstate(self.inside[generator])
        else:
            original_seed(generator, self.seed if number == 0 else f'{self.seed} {number}')

    def take(self) -> None:
        """The world stands still."""
        for generator, state in self.outside:
            self.inside[generator] = generator.getstate()
            generator.setstate(state)
        self.outside.clear()
        active.remove(self)
