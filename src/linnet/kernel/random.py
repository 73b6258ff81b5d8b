# SPDX-License-Identifier: Apache-2.0
"""The seeded random source of a world, and the keyed hash of its tables.

xoshiro128** (Blackman, Vigna), four 32-bit words, seeded through splitmix64: small, good, and every step fits a native
64-bit integer, so it gives the same numbers compiled and interpreted.  fork(name) makes a child stream from the seed
and the name alone: what a parent has drawn does not matter, so adding a host shifts no other host's numbers.

siphash is SipHash-2-4 (Aumasson, Bernstein) in 32-bit halves for the same reason.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

M32: Final = 0xFFFFFFFF
M64: Final = 0xFFFFFFFFFFFFFFFF


def splitmix64(state: int) -> int:
    """The output of splitmix64 for a u64 state; the next state is state + 0x9E3779B97F4A7C15."""
    z = (state + 0x9E3779B97F4A7C15) & M64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
    return z ^ (z >> 31)


class Random:
    """A stream of random numbers; equal seeds give equal streams."""

    def __init__(self, seed: int) -> None:
        self.seed = seed & M64
        a = splitmix64(self.seed)
        b = splitmix64((self.seed + 0x9E3779B97F4A7C15) & M64)
        self._s0: i64 = a & M32
        self._s1: i64 = a >> 32
        self._s2: i64 = b & M32
        self._s3: i64 = b >> 32

    def fork(self, name: str) -> Random:
        """The child stream called `name`: the same whatever was drawn from this one."""
        return Random(siphash_2_4(self.seed, 0x6C696E6E65740000, name.encode()))

    def u32(self) -> i64:
        """A number in 0 .. 2**32-1."""
        s1: i64 = self._s1
        s2: i64 = self._s2 ^ self._s0
        s3: i64 = self._s3 ^ s1
        r: i64 = (s1 * 5) & M32
        r = ((r << 7) & M32) | (r >> 25)
        r = (r * 9) & M32
        self._s1 = s1 ^ s2
        self._s0 ^= s3
        self._s2 = s2 ^ ((s1 << 9) & M32)
        self._s3 = ((s3 << 11) & M32) | (s3 >> 21)
        return r

    def u64(self) -> int:
        """A number in 0 .. 2**64-1."""
        high = int(self.u32())
        return (high << 32) | int(self.u32())

    def below(self, n: int) -> int:
        """A number in 0 .. n-1, each equally likely.  ValueError unless n > 0."""
        if n <= 0:
            raise ValueError('below() needs a positive number')
        if n <= 0x7FFFFFFF:
            return self._below32(n)
        bits = (n - 1).bit_length()
        while True:
            r = 0
            got = 0
            while got < bits:
                r = (r << 32) | int(self.u32())
                got += 32
            r >>= got - bits
            if r < n:
                return r

    def _below32(self, n: i64) -> i64:
        """Lemire's method: multiply, and reject the few that would bias."""
        m: i64 = self.u32() * n
        if m & M32 < n:
            floor: i64 = (0x100000000 - n) % n
            while m & M32 < floor:
                m = self.u32() * n
        return m >> 32

    def random(self) -> float:
        """A float in [0, 1) with 53 random bits."""
        a: i64 = self.u32() >> 5
        b: i64 = self.u32() >> 6
        return float(a * 67108864 + b) / 9007199254740992.0

    def chance(self, p: float) -> bool:
        """True with probability p.  Draws nothing where p is 0 or less, or 1 or more."""
        if p <= 0.0:
            return False
        if p >= 1.0:
            return True
        return self.random() < p

    def between(self, low: int, high: int) -> int:
        """A number in low .. high, both included."""
        return low + self.below(high - low + 1)

    def bytes(self, n: int) -> bytes:
        """n random bytes."""
        out: list[bytes] = []
        got = 0
        while got < n:
            out.append(int(self.u32()).to_bytes(4, 'little'))
            got += 4
        return b''.join(out)[:n]


class _SipState:
    """The four words of SipHash, each as two 32-bit halves (a = low, b = high)."""

    def __init__(self, key0: int, key1: int) -> None:
        v0 = (key0 ^ 0x736F6D6570736575) & M64
        v1 = (key1 ^ 0x646F72616E646F6D) & M64
        v2 = (key0 ^ 0x6C7967656E657261) & M64
        v3 = (key1 ^ 0x7465646279746573) & M64
        self.a0: i64 = v0 & M32
        self.b0: i64 = v0 >> 32
        self.a1: i64 = v1 & M32
        self.b1: i64 = v1 >> 32
        self.a2: i64 = v2 & M32
        self.b2: i64 = v2 >> 32
        self.a3: i64 = v3 & M32
        self.b3: i64 = v3 >> 32

    def rounds(self, n: i64) -> None:
        """n SipRounds."""
        a0: i64 = self.a0
        b0: i64 = self.b0
        a1: i64 = self.a1
        b1: i64 = self.b1
        a2: i64 = self.a2
        b2: i64 = self.b2
        a3: i64 = self.a3
        b3: i64 = self.b3
        t: i64
        while n > 0:
            n -= 1
            # v0 += v1; v1 <<<= 13; v1 ^= v0; v0 <<<= 32
            t = a0 + a1
            b0 = (b0 + b1 + (t >> 32)) & M32
            a0 = t & M32
            t = ((a1 << 13) & M32) | (b1 >> 19)
            b1 = (((b1 << 13) & M32) | (a1 >> 19)) ^ b0
            a1 = t ^ a0
            t = a0
            a0 = b0
            b0 = t
            # v2 += v3; v3 <<<= 16; v3 ^= v2
            t = a2 + a3
            b2 = (b2 + b3 + (t >> 32)) & M32
            a2 = t & M32
            t = ((a3 << 16) & M32) | (b3 >> 16)
            b3 = (((b3 << 16) & M32) | (a3 >> 16)) ^ b2
            a3 = t ^ a2
            # v0 += v3; v3 <<<= 21; v3 ^= v0
            t = a0 + a3
            b0 = (b0 + b3 + (t >> 32)) & M32
            a0 = t & M32
            t = ((a3 << 21) & M32) | (b3 >> 11)
            b3 = (((b3 << 21) & M32) | (a3 >> 11)) ^ b0
            a3 = t ^ a0
            # v2 += v1; v1 <<<= 17; v1 ^= v2; v2 <<<= 32
            t = a2 + a1
            b2 = (b2 + b1 + (t >> 32)) & M32
            a2 = t & M32
            t = ((a1 << 17) & M32) | (b1 >> 15)
            b1 = (((b1 << 17) & M32) | (a1 >> 15)) ^ b2
            a1 = t ^ a2
            t = a2
            a2 = b2
            b2 = t
        self.a0 = a0
        self.b0 = b0
        self.a1 = a1
        self.b1 = b1
        self.a2 = a2
        self.b2 = b2
        self.a3 = a3
        self.b3 = b3

    def word(self, low: i64, high: i64) -> None:
        """Take in one 64-bit word, given as halves."""
        self.a3 ^= low
        self.b3 ^= high
        self.rounds(2)
        self.a0 ^= low
        self.b0 ^= high

    def finish(self) -> int:
        """The u64 result."""
        self.a2 ^= 0xFF
        self.rounds(4)
        low: i64 = self.a0 ^ self.a1 ^ self.a2 ^ self.a3
        high: i64 = self.b0 ^ self.b1 ^ self.b2 ^ self.b3
        return (int(high) << 32) | int(low)


def siphash_2_4(key0: int, key1: int, data: bytes) -> int:
    """SipHash-2-4 of `data` under the 128-bit key (key0, key1), a u64."""
    state = _SipState(key0, key1)
    n = len(data)
    full = n - n % 8
    i = 0
    while i < full:
        word = int.from_bytes(data[i:i + 8], 'little')
        state.word(word & M32, word >> 32)
        i += 8
    tail = int.from_bytes(data[full:], 'little')
    state.word(tail & M32, (tail >> 32) | ((n & 0xFF) << 24))
    return state.finish()


def siphash_1u32(key0: int, key1: int, first: i64) -> int:
    """SipHash-2-4 of one u32 as 4 little-endian bytes.  Linux: lib/siphash.c."""
    state = _SipState(key0, key1)
    state.word(first & M32, 0x04000000)
    return state.finish()


def siphash_2u32(key0: int, key1: int, first: i64, second: i64) -> int:
    """SipHash-2-4 of two u32 as 8 little-endian bytes.  Linux: include/linux/siphash.h."""
    state = _SipState(key0, key1)
    state.word(first & M32, second & M32)
    state.word(0, 0x08000000)
    return state.finish()


def siphash_3u32(key0: int, key1: int, first: i64, second: i64, third: i64) -> int:
    """SipHash-2-4 of three u32 as 12 little-endian bytes.  Linux: lib/siphash.c."""
    state = _SipState(key0, key1)
    state.word(first & M32, second & M32)
    state.word(third & M32, 0x0C000000)
    return state.finish()


def siphash_4u32(key0: int, key1: int, first: i64, second: i64, third: i64, fourth: i64) -> int:
    """SipHash-2-4 of four u32 as 16 little-endian bytes.  Linux: include/linux/siphash.h."""
    state = _SipState(key0, key1)
    state.word(first & M32, second & M32)
    state.word(third & M32, fourth & M32)
    state.word(0, 0x10000000)
    return state.finish()
