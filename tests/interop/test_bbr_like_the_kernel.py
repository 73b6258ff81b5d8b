# SPDX-License-Identifier: Apache-2.0
"""BBR's modes round by round, on Linnet and on this machine's kernel: windows, gains and model by TCP_INFO and TCP_CC_INFO.

The peer lets 20 segments through a round trip, by its window, and acknowledges them all at once. So the bandwidth grows once and
then no more: STARTUP ends after three rounds without growth, the queue is gone at once (DRAIN), and PROBE_BW follows, in a phase
drawn at random; ten seconds after the shortest round trip, the handshake's, comes PROBE_RTT, and 200 ms later PROBE_BW again.
"""
from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from helpers.tcp_duel import Note, Step, connecting, on_kernel, on_linnet
from interop.test_tcp_like_the_kernel import SNDBUF

AVAILABLE = Path('/proc/sys/net/ipv4/tcp_available_congestion_control')
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not os.access('/dev/net/tun', os.W_OK) or os.geteuid() != 0, reason='needs root and /dev/net/tun'),
    pytest.mark.skipif('bbr' not in AVAILABLE.read_text().split(), reason='this kernel has no BBR'),
]

SEG = 1460
WINDOW = 20
IPPROTO_TCP, TCP_INFO, TCP_CC_INFO = 6, 11, 26
SYSCTLS = {'tcp_congestion_control': 'bbr'}
HIGH, UNIT = 739, 256
LOOK: list[Step] = [('getraw', IPPROTO_TCP, TCP_INFO, 104), ('getraw', IPPROTO_TCP, TCP_CC_INFO, 20)]


def rounds(number: int, delay: int, wait: int = 50) -> list[Step]:
    """The handshake, of 15 ms and the delay, and so many rounds of some 110: a wait, a look (30 ms), the ACK for all that came in
    the wait.
    """
    steps = [SNDBUF, *connecting(delay, win=WINDOW * SEG), ('send', 6 * WINDOW * SEG)]
    for _ in range(number):
        steps += [('wait', wait), *LOOK, ('peer', '.', {'ack': 'all', 'win': WINDOW * SEG}), ('send', WINDOW * SEG)]
    return [*steps, *LOOK]


class Look:
    """What the sender said of itself."""

    def __init__(self, info: str, cc: str) -> None:
        self.cwnd = struct.unpack_from('<I', bytes.fromhex(info), 80)[0]
        low, high, self.min_rtt, self.pacing_gain, self.cwnd_gain = struct.unpack('<5I', bytes.fromhex(cc))
        self.bw = high << 32 | low

    def __repr__(self) -> str:
        return f'cwnd {self.cwnd} gains {self.pacing_gain} {self.cwnd_gain} bw {self.bw} min_rtt {self.min_rtt}'


def looks(notes: list[Note]) -> list[Look]:
    """Two of an answer's strings make a look."""
    strings = [result for result, _ in notes if isinstance(result, str) and not result.startswith('E')]
    return [Look(info, cc) for info, cc in zip(strings[::2], strings[1::2], strict=True)]


def sent(notes: list[Note]) -> list[tuple[int, int]]:
    """Segments of data, (seq, length)."""
    return [(seq, length) for _, segments in notes for _, seq, length, *_ in segments if length]


def same_round(n: int, ours: Look, theirs: Look) -> None:
    """Gains are equal, and the bandwidth as near as a real machine's clock lets it be. In STARTUP the windows are equal, too; in
    PROBE_BW the phase is each's own, and with it how short a round trip is seen, which makes the window.
    """
    where = f'round {n}: Linnet {ours}, kernel {theirs}'
    assert ours.cwnd_gain == theirs.cwnd_gain, where
    assert ours.bw == pytest.approx(theirs.bw, rel=0.25), where
    if ours.cwnd_gain == HIGH:
        assert ours.pacing_gain == theirs.pacing_gain == HIGH, where
        assert ours.cwnd == theirs.cwnd, where
        assert ours.min_rtt == pytest.approx(theirs.min_rtt, abs=20_000), where
    else:
        assert {ours.pacing_gain, theirs.pacing_gain} <= {320, 192, UNIT}, where


def test_startup_drain_probe_bw() -> None:
    script = rounds(8, 100)
    ours, theirs = on_linnet(script, SYSCTLS), on_kernel(script, SYSCTLS)
    mine, other = looks(ours), looks(theirs)
    for n, (a, b) in enumerate(zip(mine, other, strict=True)):
        if n:  # before the first ACK the kernel shows the gains of a model that was never started
            same_round(n, a, b)
    assert [look.cwnd_gain for look in mine[1:]] == [HIGH] * 4 + [2 * UNIT] * 4
    assert sent(ours)[:50] == sent(theirs)[:50]


@pytest.mark.slow
def test_probe_rtt() -> None:
    """Ten seconds after the shortest round trip, the handshake's: four segments for 200 ms and a round."""
    script = rounds(105, 0)
    ours, theirs = looks(on_linnet(script, SYSCTLS)), looks(on_kernel(script, SYSCTLS))

    def probing(seen: list[Look]) -> list[int]:
        return [n for n, look in enumerate(seen) if n and (look.pacing_gain, look.cwnd_gain) == (UNIT, UNIT)]

    mine, other = probing(ours), probing(theirs)
    assert mine and other, (ours, theirs)
    assert min(mine[0], other[0]) >= 75  # a round takes 110 ms
    assert abs(len(mine) - len(other)) <= 1
    assert {ours[n].cwnd for n in mine} == {theirs[n].cwnd for n in other} == {4}
    for seen, when in ((ours, mine), (theirs, other)):
        assert when == list(range(when[0], when[-1] + 1))
        assert all(look.cwnd_gain == 2 * UNIT and look.cwnd > 4 for look in seen[when[-1] + 1:])
