# SPDX-License-Identifier: Apache-2.0
"""The scripts of google/packetdrill, which are GPL and stay outside: LINNET_GTESTS names a checkout's gtests/net.

docs/conformance.md lists those that fail, each with what was seen and why. The list is held both ways: a script that fails and
is not listed, and one that is listed and passes, are errors.
"""
from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from linnet.drill.suite import Outcome, run_suite

PAGE = Path(__file__).parents[2] / 'docs' / 'conformance.md'
SUITE = os.environ.get('LINNET_GTESTS', '')


def listed() -> dict[str, str]:
    """Script -> why it fails, from the page's table."""
    rows = re.findall(r'^\| `([\w./-]+\.pkt)` \|[^|]*\| (.+) \|$', PAGE.read_text(), re.M)
    return dict(rows)


def test_each_row_says_why() -> None:
    assert all(len(why) > 20 for why in listed().values())


@pytest.mark.skipif(not SUITE, reason='LINNET_GTESTS does not name a checkout of google/packetdrill gtests/net')
def test_suite() -> None:
    root = Path(SUITE)
    outcomes: dict[str, Outcome] = {
        str(Path(outcome.path).relative_to(root)): outcome for outcome in run_suite([root], ('ipv4',), os.cpu_count() or 1)}
    failed = {name: outcome.text for name, outcome in outcomes.items() if outcome.status == 'failed'}
    surprises = {name: text for name, text in failed.items() if name not in listed()}
    assert not surprises, '\n'.join(surprises.values())
    healed = [name for name in listed() if name not in failed]
    assert not healed, f'listed as failing, and passed: {healed}'
    assert sum(outcome.status == 'passed' for outcome in outcomes.values()) >= 150
