# SPDX-License-Identifier: Apache-2.0
"""Our own packetdrill scripts, written from the RFCs: each must pass, in either build."""
from __future__ import annotations

from pathlib import Path

import pytest

from linnet.drill.suite import run_one

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.rglob('*.pkt'))


@pytest.mark.parametrize('path', SCRIPTS, ids=lambda path: str(path.relative_to(HERE).with_suffix('')))
def test_script(path: Path) -> None:
    outcome = run_one(path, 'ipv4')
    assert outcome.status == 'passed', outcome.text


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 40
