# SPDX-License-Identifier: Apache-2.0
"""A small plot for a terminal: one column a time step, eight levels a character cell."""
from __future__ import annotations

BLOCKS = ' ▁▂▃▄▅▆▇█'


def plot(values: list[float], *, width: int = 64, height: int = 8, unit: str = '', span: str = '') -> list[str]:
    """Lines that draw `values` (at equal steps) as columns; the largest is labelled with unit, the axis with span."""
    if not values:
        return ['(nothing to plot)']
    columns = resample(values, min(width, max(1, len(values))))
    top = max(max(columns), 1e-12)
    cells = [round(v / top * height * 8) for v in columns]
    label = f'{top:.3g} {unit}'.strip()
    lines = []
    for row in range(height - 1, -1, -1):
        text = ''.join(BLOCKS[min(8, max(0, cell - row * 8))] for cell in cells)
        lines.append(f'{label if row == height - 1 else "":>12} ┤{text}')
    lines.append(f'{"0":>12} └{"─" * len(cells)} {span}'.rstrip())
    return lines


def resample(values: list[float], columns: int) -> list[float]:
    """`columns` means of equal shares of values."""
    out = []
    for i in range(columns):
        first = i * len(values) // columns
        last = max(first + 1, (i + 1) * len(values) // columns)
        out.append(sum(values[first:last]) / (last - first))
    return out
