# SPDX-License-Identifier: Apache-2.0
"""Random numbers of programs follow from the lab's seed, whoever made the generator."""

from __future__ import annotations

import os
import random
import secrets
import sys
import uuid
from pathlib import Path
from typing import Any

from linnet import Lab

MADE_AT_IMPORT, ANOTHER = random.Random(), random.Random()
SEEDED = random.Random(7)


def numbers(seed: int) -> list[Any]:
    out: list[Any] = []

    def program() -> None:
        own = random.Random()
        out.extend([own.random(), random.Random().random(), random.random(), MADE_AT_IMPORT.random(), ANOTHER.random()])
        out.extend([os.urandom(8), secrets.token_hex(4), uuid.uuid4(), random.SystemRandom().random()])

    with Lab(seed=seed) as lab:
        host = lab.host('h')
        host.spawn(program)
        lab.run()
        host.spawn(program)
        lab.run()
    return out


def test_equal_seeds_give_equal_numbers() -> None:
    first = numbers(1)
    assert first == numbers(1)
    assert len(set(first)) == 18
    assert not set(first) & set(numbers(2))


def test_a_given_seed_stands() -> None:
    expected = random.Random(7)
    out = []
    with Lab(seed=1) as lab:
        lab.host('h').spawn(lambda: out.extend([SEEDED.random(), random.Random(7).random()]))
        lab.run()
    first = expected.random()
    assert out == [first, first]
    assert SEEDED.random() == expected.random()


def test_the_world_leaves_the_generators_as_they_were() -> None:
    for generator in (random, MADE_AT_IMPORT):
        state = generator.getstate()
        numbers(3)
        assert generator.getstate() == state


def test_an_import_shifts_nothing(tmp_path: Path) -> None:
    """Whether a program imports a module or finds it imported."""
    (tmp_path / 'linnet_draws.py').write_text(
        'import os, random\nrng, token = random.Random(), os.urandom(8)\nseeded = random.Random(1)\n'
    )

    def run() -> list[Any]:
        out: list[Any] = []

        def program() -> None:
            import linnet_draws  # type: ignore[import-not-found]

            out.extend([linnet_draws.rng.random(), linnet_draws.token, random.random(), random.Random().random(), os.urandom(8)])

        with Lab(seed=5) as lab:
            lab.host('h').spawn(program)
            lab.run()
        return out

    sys.path.insert(0, str(tmp_path))
    try:
        first = run()
        assert 'linnet_draws' in sys.modules
        assert first == run()
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop('linnet_draws', None)
