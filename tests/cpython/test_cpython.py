# SPDX-License-Identifier: Apache-2.0
"""A quick part of CPython's own tests, and the strictness of the list. All of them: tests/cpython/run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location('cpython_suite', Path(__file__).with_name('suite.py'))
assert spec is not None
assert spec.loader is not None
suite = importlib.util.module_from_spec(spec)
spec.loader.exec_module(suite)

expected = suite.Expected()

listed = pytest.mark.skipif(sys.version_info[:2] not in ((3, 11), (3, 13)), reason='expected.toml is about Python 3.11 and 3.13')
has_tests = pytest.mark.skipif(importlib.util.find_spec('test.test_socket') is None, reason='this Python comes without its tests')


@listed
@has_tests
@pytest.mark.parametrize('module', expected.quick)
def test_module(module: str) -> None:
    outcome = suite.run_module(module, expected)
    assert suite.judge([outcome], expected) == []


@listed
@has_tests
def test_a_listed_failure_fails_still() -> None:
    """Each of the list is run: the quick modules have none, so these would be seen by the whole run alone."""
    modules = sorted({name.rsplit('.', 2)[0] for name in expected.fail})
    outcomes = suite.run(modules, expected, only=list(expected.fail), jobs=2)
    assert suite.judge(outcomes, expected, some=True) == []
    assert sum(len(o.of(*suite.FAILURES)) for o in outcomes) == len(expected.fail)


def outcome_of(**tests: str) -> object:
    outcome = suite.Outcome('test_module')
    outcome.tests = {f'test_module.{name}': (kind, '') for name, kind in tests.items()}
    return outcome


def test_the_list_is_strict_both_ways(tmp_path: Path) -> None:
    path = tmp_path / 'expected.toml'
    version = f'{sys.version_info.major}{sys.version_info.minor}'
    path.write_text(
        f'[modules]\nall = []\nquick = []\n[least]\ntest_module = 3\n[leave-out]\n'
        f'[leave-out-{version}]\n"*.gone_*" = "reason"\n[fail]\n'
        f'"test_module.known" = "cause"\n[fail-{version}]\n"test_module.other" = "cause"\n'
    )
    table = suite.Expected(path)
    three = {'a': 'pass', 'b': 'pass', 'c': 'pass'}
    good = outcome_of(**three, known='fail', other='hangs', gone_now='left out')
    assert suite.judge([good], table, whole=True) == []
    assert len(suite.judge([outcome_of(**three, fine='dies', known='fail')], table)) == 1
    assert len(suite.judge([outcome_of(**three, known='pass')], table)) == 1
    assert len(suite.judge([outcome_of(**three, known='skip')], table)) == 1
    assert suite.judge([outcome_of(**three, known='fail')], table, whole=True) == [
        'test_module.other: is listed, but there is no such test',
        '*.gone_*: leaves out nothing',
    ]
    assert suite.judge([outcome_of(a='skip')], table) == ['test_module: 0 tests pass, and 3 did: what is skipped now?']
    assert suite.judge([outcome_of(a='skip')], table, some=True) == []


def test_the_share_counts_neither_skips_nor_what_is_left_out() -> None:
    table, share = suite.summary([outcome_of(a='pass', b='pass', c='pass', d='hangs', e='skip', f='left out')])
    assert share == 0.75
    assert '75.00% of 4 tests pass' in table
