# SPDX-License-Identifier: Apache-2.0
"""SACK, DSACK, RACK, tail loss probes and undo, held against this machine's kernel: see test_tcp_like_the_kernel.py.

ACK compression, which Linnet has not, is switched off in the kernel. Round trips are 100 ms, so that a loaded machine's delays
are small beside the reordering window.
"""
from __future__ import annotations

import os

import pytest

from helpers.tcp_duel import Step, connecting
from interop.test_tcp_like_the_kernel import MSS, SNDBUF, SYSCTLS, compare

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not os.access('/dev/net/tun', os.W_OK) or os.geteuid() != 0, reason='needs root and /dev/net/tun'),
]

SACK_PERM = [4, 2, 1, 1]
SEG = 1460
WAIT: Step = ('wait', 100)


def opened(delay: int = 100) -> list[Step]:
    """A connection with SACK to a peer at a distance of `delay` ms, and a large send buffer."""
    steps = connecting(delay)
    flags, options = steps[-1][1], dict(steps[-1][2])
    options['opt'] = [*MSS, *SACK_PERM]
    return [SNDBUF, *steps[:-1], ('peer', flags, options)]


def sack(acked: int, *blocks: tuple[int, int]) -> Step:
    """The peer has `acked` segments from the start, and those of the blocks."""
    return ('peer', '.', {'ack': 1 + acked * SEG, 'sack': [[1 + a * SEG, 1 + b * SEG] for a, b in blocks]})


def data(start: int, end: int) -> Step:
    """The peer sends bytes [start, end)."""
    return ('peer', 'P.', {'seq': 1 + start, 'data': end - start})


def sent(segments: int = 10) -> list[Step]:
    """So many segments are written, and 100 ms pass."""
    return [*opened(), ('send', segments * SEG), ('wait', 90)]


RECEIVER: dict[str, list[Step]] = {
    'blocks': [*opened(), data(100, 200), data(300, 400), data(200, 250), data(250, 300), data(0, 100), ('recv', 1000)],
    'five blocks': [*opened(), *[data(n, n + 10) for n in range(100, 600, 100)], data(0, 100), data(150, 160)],
    'block is passed': [*opened(), data(100, 200), data(300, 400), data(0, 100), ('recv', 1000), data(200, 300)],
    'duplicate below': [*opened(), data(0, 100), data(0, 100), data(50, 150), data(20, 60), ('recv', 1000)],
    'duplicate above': [*opened(), data(200, 400), data(250, 300), data(100, 250), data(150, 500), data(0, 300)],
    'FIN out of order': [*opened(), ('peer', 'F.', {'seq': 101}), data(0, 100), ('recv', 1000), ('recv', 10)],
}
SENDER: dict[str, list[Step]] = {
    'one loss': [*sent(), sack(0, (1, 2)), sack(0, (1, 3)), sack(0, (1, 4)), sack(0, (1, 5)), sack(0, (1, 10)), WAIT, sack(10),
                 ('send', 20 * SEG), WAIT],
    'three losses': [*sent(20), sack(0, (1, 2)), sack(0, (3, 4), (1, 2)), sack(0, (5, 6), (3, 4), (1, 2)),
                     sack(0, (7, 8), (5, 6), (3, 4)), sack(0, (9, 10), (7, 8), (5, 6)), ('wait', 60),
                     sack(2, (9, 10), (7, 8), (5, 6)), sack(4, (9, 10), (7, 8), (5, 6)), sack(8, (9, 10)), sack(12), WAIT],
    'block of all but one': [*sent(), sack(0, (1, 10)), WAIT, sack(10)],
    'reordering timer': [*sent(), sack(0, (1, 2)), ('wait', 150), sack(3), WAIT],
    'late, not lost': [*sent(), sack(0, (1, 2)), sack(2), ('wait', 100), sack(5), sack(10)],
    'reordering seen': [*sent(20), sack(0, (8, 9)), sack(0, (1, 2), (8, 9)), sack(3, (8, 9)), ('wait', 60),
                        sack(6, (8, 9)), WAIT],
    'lost retransmission': [*sent(30), sack(0, (1, 6)), sack(0, (1, 9)), sack(0, (1, 10)), ('wait', 90), sack(0, (1, 13)),
                            ('wait', 150), sack(13), WAIT],
    'undo by DSACK': [*sent(20), sack(0, (1, 5)), sack(6), sack(8, (0, 1)), WAIT, sack(12), WAIT],
    'reneging': [*sent(), sack(0, (1, 10)), sack(1), ('wait', 200), sack(3), sack(10)],
    'RTO': [*sent(), ('wait', 400), sack(1), sack(1, (5, 6)), sack(10), WAIT],
    'F-RTO': [*sent(20), ('wait', 300), sack(1), sack(1, (5, 6)), sack(7), WAIT],
    'RTO with SACKs': [*sent(12), sack(0, (3, 4)), ('wait', 1000), sack(2, (3, 4)), sack(6), sack(12)],
    'odd blocks': [*sent(), ('peer', '.', {'ack': 1, 'sack': [[2000, 4000]]}),
                   ('peer', '.', {'ack': 1, 'sack': [[90000, 99000]]}),
                   ('peer', '.', {'ack': 1, 'sack': [[5000, 3000]]}), ('wait', 350), sack(10)],
}
TAIL: dict[str, list[Step]] = {
    'probe': [*sent(), sack(8), ('wait', 500), sack(8, (9, 10)), ('wait', 200), sack(10), ('send', 4 * SEG), WAIT],
    'probe of new data': [*sent(20), sack(2), ('wait', 400), sack(10), sack(12), WAIT],
    'probe repairs': [*sent(), sack(9), ('wait', 600), sack(10), ('send', SEG), sack(11), ('send', 20 * SEG)],
    'probe in vain': [*sent(), sack(9), ('wait', 600), sack(10, (9, 10)), ('send', 20 * SEG)],
    'probe and RTO': [*sent(3), ('wait', 2000), sack(3)],
}
ON = {**SYSCTLS, 'tcp_sack': '1', 'tcp_comp_sack_nr': '0'}


@pytest.mark.parametrize('name', RECEIVER)
def test_receiver(name: str) -> None:
    compare(RECEIVER[name], ON)


@pytest.mark.parametrize('name', SENDER)
def test_sender(name: str) -> None:
    compare(SENDER[name], ON)


@pytest.mark.parametrize('name', TAIL)
def test_tail_loss_probe(name: str) -> None:
    compare(TAIL[name], {**ON, 'tcp_early_retrans': '3'})


@pytest.mark.parametrize('name', SENDER)
def test_sender_with_timestamps(name: str) -> None:
    compare(SENDER[name], {**ON, 'tcp_timestamps': '1'})
