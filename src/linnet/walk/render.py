# SPDX-License-Identifier: Apache-2.0
"""Printing a walk: as a tree by layer with Linux's file beside each function, as TSV, as JSON."""

from __future__ import annotations

import json
from itertools import zip_longest

from rich.console import Console
from rich.text import Text

from linnet.walk.recorder import Row

STYLES = {'bsd socket': 'magenta', 'inet sock': 'blue', 'transport': 'green', 'ip': 'yellow', 'hardware': 'red'}
MARKS = {'call': '', 'indirect': '→ ', 'state': '· '}


def tree_lines(rows: list[Row], max_depth: int | None = None) -> list[Text]:
    """A line a row, indented by depth; a heading where the host or the layer changes."""
    lines: list[Text] = []
    layer = host = ''
    for row in rows:
        if max_depth is not None and row.depth > max_depth:
            continue
        if row.host != host and row.host:
            host = row.host
            lines.append(Text(f'── on {host}', style='bold'))
            layer = ''
        if row.layer != layer:
            layer = row.layer
            lines.append(Text(f'   [{layer}]', style=f'bold {STYLES.get(layer, "white")}'))
        text = Text('   ' + '  ' * row.depth)
        text.append(MARKS[row.kind] + row.name, style=STYLES.get(row.layer, '') if row.kind == 'call' else 'dim')
        if row.values:
            text.append('  ' + ' '.join(f'{k}={v}' for k, v in row.values.items()), style='cyan')
        if row.file and row.kind != 'state':
            text.append(f'  {row.file}', style='dim')
        lines.append(text)
    return lines


def print_tree(console: Console, call: str, rows: list[Row], max_depth: int | None = None) -> None:
    """The walk for a terminal."""
    functions = sum(1 for row in rows if row.kind == 'call')
    console.print(f'{call}(): {functions} functions entered', style='bold', highlight=False)
    for line in tree_lines(rows, max_depth):
        console.print(line, soft_wrap=True, highlight=False)


def short(rows: list[Row], names: set[str]) -> list[Row]:
    """Only the rows named, and the first of each layer on each host: a walk in short."""
    kept, seen = [], set()
    for row in rows:
        key = (row.host, row.layer)
        if row.name in names or (key not in seen and row.kind == 'call'):
            kept.append(row)
            seen.add(key)
    return kept


def tsv(call: str, rows: list[Row]) -> str:
    """Rows `call layer kind name file`, tab-separated."""
    return ''.join(f'{call}\t{r.layer}\t{r.kind}\t{r.name}\t{r.file}\n' for r in rows)


def as_json(call: str, rows: list[Row]) -> str:
    """The same as JSON, with depth, host and values."""
    return json.dumps(
        [
            {
                'call': call,
                'layer': r.layer,
                'kind': r.kind,
                'name': r.name,
                'file': r.file,
                'depth': r.depth,
                'host': r.host,
                'values': r.values,
            }
            for r in rows
        ],
        indent=1,
    )


def side_by_side(left_title: str, left: list[str], right_title: str, right: list[str], width: int) -> list[str]:
    """Two columns of lines."""
    half = max(20, (width - 3) // 2)
    rows = [f'{left_title:<{half}} │ {right_title}', '─' * half + '─┼─' + '─' * half]
    for a, b in zip_longest(left, right, fillvalue=''):
        rows.append(f'{a[:half]:<{half}} │ {b[:half]}')
    return rows
