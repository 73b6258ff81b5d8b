# SPDX-License-Identifier: Apache-2.0
"""Every Python block of the README and of the pages in docs/ runs: a file's blocks in one namespace, in an empty folder; a block
of tests, in pytest.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from helpers.plugin import run_pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r'^```python\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """The pages that have Python blocks. Those of testing.md are files of a tutorial: test_testing.py runs them."""
    return [path for path in (ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')))
            if path.name != 'testing.md' and BLOCK.search(path.read_text())]


@pytest.mark.parametrize('page', pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_blocks_of(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = page.read_text()
    namespace: dict[str, Any] = {'__name__': '__main__'}
    for match in BLOCK.finditer(text):
        if 'def test_' in match.group(1):
            (tmp_path / 'test_block.py').write_text(match.group(1))
            result = run_pytest(tmp_path, 'test_block.py', '-q')
            assert '1 passed' in result.stdout, result.stdout
            continue
        line = text.count('\n', 0, match.start(1))
        exec(compile('\n' * line + match.group(1), str(page), 'exec'), namespace)


def test_there_are_pages() -> None:
    assert {'README.md', 'lab.md'} <= {page.name for page in pages()}
