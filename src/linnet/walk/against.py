# SPDX-License-Identifier: Apache-2.0
"""Holding a walk against Linux: against a table of rows (call layer kind name file when), or against the chains of a real
kernel.

A table passes when its rows appear in the walk in their order; a row with a condition may be absent, but not out of order.
The chains pass when for each event of the kernel's, in its order, the chain of functions is a subsequence of ours at the
same tracepoint, names taken through kernel_names.MOVED; what is left aside on purpose is listed with reasons in
kernel_names.ASIDE.
"""

from __future__ import annotations

from pathlib import Path

from linnet.walk.kernel_names import ASIDE, MOVED, SKIPPED_FUNCTIONS
from linnet.walk.recorder import Chain, Row


class TableRow:
    """A row of the reference."""

    def __init__(self, call: str, layer: str, kind: str, name: str, file: str, when: str) -> None:
        self.call = call
        self.layer = layer
        self.kind = kind
        self.name = name
        self.file = file
        self.when = when

    def fits(self, row: Row) -> bool:
        """Is this the row?"""
        return row.kind == self.kind and row.name == self.name and row.layer == self.layer and self.file in ('', row.file)

    def __str__(self) -> str:
        return f'{self.call}: {self.layer} | {self.kind} {self.name}' + (f' ({self.file})' if self.file else '')


def read_table(path: Path) -> list[TableRow]:
    """The rows of a tab-separated table; ValueError names a line that is none."""
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith('#'):
            continue
        parts = line.split('\t')
        if len(parts) < 5:
            raise ValueError(
                f'{path}:{number}: a row has call, layer, kind, name, file and when, tab-separated; this has {len(parts)} parts'
            )
        call, layer, kind, name, file = parts[:5]
        rows.append(TableRow(call, layer, kind, name, file, parts[5] if len(parts) > 5 else 'always'))
    return rows


def is_chain_file(path: Path) -> bool:
    """Are these a real kernel's chains (event, TAB, a > b > c)?"""
    first = next((line for line in path.read_text().splitlines() if line and not line.startswith('#')), '')
    return first.count('\t') == 1


def against_table(call: str, rows: list[Row], table: list[TableRow]) -> list[str]:
    """The complaints: rows of `call` that the walk lacks, or has in another order. ValueError: the table has none of
    this call.
    """
    wanted = [row for row in table if row.call == call]
    if not wanted:
        raise ValueError(f'the table has no rows for {call!r}; it has {sorted({row.call for row in table})}')
    complaints = []
    at = 0
    for want in wanted:
        found = next((i for i in range(at, len(rows)) if want.fits(rows[i])), None)
        if found is not None:
            at = found + 1
        elif any(want.fits(row) for row in rows[:at]):
            if want.when == 'always':
                complaints.append(f'out of order: {want}')
        elif want.when == 'always':
            near = [r for r in rows if r.name == want.name and r.kind == want.kind]
            hint = f'; entered as {near[0].layer} | {near[0].file}' if near else ''
            complaints.append(f'missing: {want}{hint}')
    return complaints


def read_chains(path: Path) -> list[Chain]:
    """The events of a real kernel, in order."""
    chains = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith('#'):
            continue
        event, tab, chain = line.partition('\t')
        if not tab:
            raise ValueError(f'{path}:{number}: not an event and its chain, tab-separated')
        chains.append(Chain(event, chain.split(' > ')))
    return chains


def aside(chain: Chain) -> str | None:
    """Why this event of the kernel's is not expected of us, or None where it is."""
    for event, function, reason in ASIDE:
        if event in ('*', chain.event) and (function == '*' or function in chain.functions):
            return reason
    return None


def is_subsequence(theirs: list[str], ours: list[str]) -> bool:
    """Does `ours` hold the kernel's functions in their order, each under one of its names?"""
    rest = iter(ours)
    for function in theirs:
        if function in SKIPPED_FUNCTIONS:
            continue
        names = MOVED.get(function, (function,))
        if not any(candidate in names for candidate in rest):
            return False
    return True


def against_chains(ours: list[Chain], theirs: list[Chain]) -> tuple[list[str], int, int]:
    """(complaints, events held, events left aside)."""
    complaints = []
    at = held = left = 0
    for chain in theirs:
        if aside(chain) is not None:
            left += 1
            continue
        held += 1
        found = next(
            (
                i
                for i in range(at, len(ours))
                if ours[i].event == chain.event and is_subsequence(chain.functions, ours[i].functions)
            ),
            None,
        )
        if found is not None:
            at = found + 1
            continue
        earlier = any(c.event == chain.event and is_subsequence(chain.functions, c.functions) for c in ours[:at])
        word = 'out of order' if earlier else 'missing'
        complaints.append(f'{word}: {chain.event}: {" > ".join(chain.functions)}')
    return complaints, held, left
