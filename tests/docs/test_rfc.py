# SPDX-License-Identifier: Apache-2.0
"""docs/rfc.md: each test, script or folder of scripts that it names is there."""
from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r'^\| (?!RFC|---)(.+) \|$', re.MULTILINE)


def test_each_row_names_what_shows_it() -> None:
    rows = [row.split(' | ') for row in ROW.findall((ROOT / 'docs' / 'rfc.md').read_text())]
    assert len(rows) > 30
    for row in rows:
        named = re.findall(r'`([^`]*/[^`]*)`', row[-1])
        if not named:
            assert 'not there' in row[-1], row
        for name in named:
            path = ROOT / name if name.startswith('tests/') else ROOT / 'tests' / 'conformance' / name
            assert path.exists(), name
