# SPDX-License-Identifier: Apache-2.0
"""The random source: published vectors, fixed numbers (the same compiled and interpreted), ranges, child streams."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linnet.kernel.random import (
    Random,
    siphash_1u32,
    siphash_2_4,
    siphash_2u32,
    siphash_3u32,
    siphash_4u32,
    splitmix64,
)

KEY0 = 0x0706050403020100
KEY1 = 0x0F0E0D0C0B0A0908


def test_splitmix64_vector() -> None:
    state = 1234567
    got = []
    for _ in range(3):
        got.append(splitmix64(state))
        state += 0x9E3779B97F4A7C15
    assert got == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_xoshiro128starstar_vector() -> None:
    r = Random(0)
    r._s0, r._s1, r._s2, r._s3 = 1, 2, 3, 4
    got = [r.u32() for _ in range(10)]
    assert got == [
        11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
    ]


def test_siphash_vectors() -> None:
    data = bytes(range(64))
    assert siphash_2_4(KEY0, KEY1, b'') == 0x726FDB47DD0E0E31
    assert siphash_2_4(KEY0, KEY1, data[:1]) == 0x74F839C593DC67FD
    assert siphash_2_4(KEY0, KEY1, data[:8]) == 0x93F5F5799A932462
    assert siphash_2_4(KEY0, KEY1, data[:15]) == 0xA129CA6149BE45E5
    assert siphash_2_4(KEY0, KEY1, data[:63]) == 0x958A324CEB064572


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), *([st.integers(0, 2**32 - 1)] * 4))
def test_siphash_of_words_is_siphash_of_their_bytes(k0: int, k1: int, a: int, b: int, c: int, d: int) -> None:
    def le(*words: int) -> bytes:
        return b''.join(w.to_bytes(4, 'little') for w in words)

    assert siphash_1u32(k0, k1, a) == siphash_2_4(k0, k1, le(a))
    assert siphash_2u32(k0, k1, a, b) == siphash_2_4(k0, k1, le(a, b))
    assert siphash_3u32(k0, k1, a, b, c) == siphash_2_4(k0, k1, le(a, b, c))
    assert siphash_4u32(k0, k1, a, b, c, d) == siphash_2_4(k0, k1, le(a, b, c, d))


def test_fixed_numbers() -> None:
    r = Random(42)
    drawn = [r.u32(), r.u64(), r.below(1000), r.below(1 << 40), r.between(-5, 5)]
    assert drawn == [1776835114, 17889417916122994783, 539, 714774587800, 2]
    assert r.random() == 0.5226038011211714
    assert r.bytes(6) == bytes.fromhex('01018daee14d')


def test_fork_depends_on_seed_and_name_alone() -> None:
    a, b = Random(7), Random(7)
    a.bytes(100)
    one, two = a.fork('host1'), b.fork('host1')
    assert [one.u32() for _ in range(5)] == [two.u32() for _ in range(5)]
    assert a.fork('host1').u64() != a.fork('host2').u64()
    assert Random(8).fork('host1').u64() != a.fork('host1').u64()


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**70))
def test_below_is_below(seed: int, n: int) -> None:
    r = Random(seed)
    for _ in range(5):
        assert 0 <= r.below(n) < n


@pytest.mark.parametrize('n', [2, 3, 7, 1000])
def test_below_is_even(n: int) -> None:
    r = Random(3)
    draws = 20_000
    counts = [0] * min(n, 10)
    for _ in range(draws):
        counts[r.below(n) * len(counts) // n] += 1
    assert all(abs(c - draws / len(counts)) < 0.1 * draws / len(counts) + 100 for c in counts)


def test_below_refuses_nothing() -> None:
    with pytest.raises(ValueError, match='positive'):
        Random(1).below(0)


def test_random_stays_in_its_interval_and_chance_is_sure_at_the_ends() -> None:
    r = Random(5)
    values = [r.random() for _ in range(2000)]
    assert 0.0 <= min(values) and max(values) < 1.0 and 0.45 < sum(values) / 2000 < 0.55
    before = r.fork('x').seed, r._s0
    assert r.chance(1.0) is True and r.chance(0.0) is False
    assert (r.fork('x').seed, r._s0) == before
    assert 450 < sum(r.chance(0.25) for _ in range(2000)) < 550


def test_bytes_lengths() -> None:
    assert [len(Random(1).bytes(n)) for n in range(10)] == list(range(10))
