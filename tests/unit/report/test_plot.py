# SPDX-License-Identifier: Apache-2.0
"""report/plot.py: columns in a terminal."""

from __future__ import annotations

from linnet.report.plot import plot, resample


def test_a_ramp() -> None:
    assert plot([0, 1, 2, 4], height=2, unit='Mbit/s', span='4 s') == [
        '    4 Mbit/s ┤   █',
        '             ┤ ▄██',
        '           0 └──── 4 s',
    ]


def test_nothing_and_zeros() -> None:
    assert plot([]) == ['(nothing to plot)']
    assert plot([0, 0], height=1)[0].endswith('┤  ')


def test_more_values_than_columns_are_means() -> None:
    assert resample([1, 3, 5, 7], 2) == [2, 6]
    assert len(plot([float(i) for i in range(1000)], width=64, height=8)) == 9
    assert all(len(line) <= 14 + 64 + 1 for line in plot([float(i) for i in range(1000)], width=64))
