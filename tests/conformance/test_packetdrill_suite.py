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


def listed(variant: str) -> dict[str, str]:
    """Script -> why it fails, from the page's tables; those of the second concern IPv6 alone."""
    common, _, rest = PAGE.read_text().partition('\n## Over IPv6')
    v6, _, others = rest.partition('\n## Scripts that do not count')
    text = common + others + (v6 if variant == 'ipv6' else '')
    return dict(re.findall(r'^\| `([\w./-]+\.pkt)` \|[^|]*\| (.+) \|$', text, re.M))


def test_each_row_says_why() -> None:
    rows = listed('ipv6')
    assert len(rows) > len(listed('ipv4')) > 20
    assert all(len(why) > 20 for why in rows.values())


@pytest.mark.skipif(not SUITE, reason='LINNET_GTESTS does not name a checkout of google/packetdrill gtests/net')
@pytest.mark.parametrize(('variant', 'least'), [('ipv4', 150), ('ipv4-mapped-ipv6', 150), ('ipv6', 130)])
def test_suite(variant: str, least: int) -> None:
    root = Path(SUITE)
    outcomes: dict[str, Outcome] = {
        str(Path(outcome.path).relative_to(root)): outcome for outcome in run_suite([root], (variant,), os.cpu_count() or 1)}
    failed = {name: outcome.text for name, outcome in outcomes.items() if outcome.status == 'failed'}
    known = listed(variant)
    surprises = {name: text for name, text in failed.items() if name not in known}
    assert not surprises, '\n'.join(surprises.values())
    healed = [name for name in known if name not in failed]
    assert not healed, f'listed as failing, and passed: {healed}'
    assert sum(outcome.status == 'passed' for outcome in outcomes.values()) >= least
