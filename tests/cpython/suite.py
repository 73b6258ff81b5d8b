# SPDX-License-Identifier: Apache-2.0
"""CPython's own tests on Linnet's sockets: run modules, and hold the outcome against expected.toml, strictly both ways.

Each module runs in a process of its own (worker.py). A process that dies, or says nothing for WALL_LIMIT seconds, costs the
test that it was in ("dies"); the module then goes on without it. Left out by name, with a reason, is what is not about
AF_INET sockets within one process; what is left must pass, but for the failures that are listed with their causes.
"""

from __future__ import annotations

import fnmatch
import json
import os
import select
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WALL_LIMIT = 120  # s without a word from a worker
GOAL = 0.95  # of what is neither left out nor skipped by CPython itself
FAILURES = ('fail', 'hangs', 'dies')


class Expected:
    """expected.toml: [modules] names, [least] module = how many pass, [leave-out] pattern = reason, [fail] test = cause.

    [leave-out-313] and [fail-313], say, hold for Python 3.13 alone.
    """

    def __init__(self, path: Path = HERE / 'expected.toml') -> None:
        table = tomllib.loads(path.read_text())
        version = f'{sys.version_info.major}{sys.version_info.minor}'
        self.modules: list[str] = table['modules']['all']
        self.quick: list[str] = table['modules']['quick']
        self.least: dict[str, int] = table.get('least', {})
        self.leave_out: dict[str, str] = {**table['leave-out'], **table.get(f'leave-out-{version}', {})}
        self.fail: dict[str, str] = {**table['fail'], **table.get(f'fail-{version}', {})}


class Outcome:
    """What became of one module: test -> (outcome, text)."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.tests: dict[str, tuple[str, str]] = {}
        self.noise = ''

    def of(self, *kinds: str) -> list[str]:
        """The tests that ended so."""
        return [name for name, (kind, _) in self.tests.items() if kind in kinds]


def run_module(module: str, expected: Expected, only: Iterable[str] = ()) -> Outcome:
    """All tests of a module, in as many processes as die on the way."""
    outcome = Outcome(module)
    while True:
        current = run_worker(outcome, expected, list(only))
        if current is None:
            return outcome
        outcome.tests[current] = ('dies', 'the process that ran it ended, or said nothing more')


def run_worker(outcome: Outcome, expected: Expected, only: list[str]) -> str | None:
    """One process; the test in which it died, or None."""
    reading, writing = os.pipe()
    wanted = {'leave_out': list(expected.leave_out), 'only': only,
              'known': {name: kind for name, (kind, _) in outcome.tests.items()}}
    environ = {**os.environ, 'PYTHONHASHSEED': '0', 'LC_ALL': 'C.UTF-8', 'PYTHONWARNINGS': 'ignore::DeprecationWarning'}
    with tempfile.TemporaryFile() as noise, tempfile.TemporaryDirectory() as folder:
        worker = subprocess.Popen(
            [sys.executable, str(HERE / 'worker.py'), outcome.module, str(writing)], pass_fds=[writing], cwd=folder,
            env=environ, stdin=subprocess.PIPE, stdout=noise, stderr=subprocess.STDOUT)
        os.close(writing)
        assert worker.stdin is not None
        worker.stdin.write(json.dumps(wanted).encode())
        worker.stdin.close()
        try:
            current = listen(reading, outcome)
        finally:
            os.close(reading)
            worker.kill()
            worker.wait()
        noise.seek(0)
        outcome.noise = noise.read().decode(errors='replace')
    if current is None and worker.returncode not in (0, -9) and not outcome.tests:
        raise SystemExit(f'{outcome.module} could not be run:\n{outcome.noise}')
    return current


def listen(reading: int, outcome: Outcome) -> str | None:
    """Take down what the worker tells; the test that it was in when it fell silent."""
    current: str | None = None
    rest = b''
    while select.select([reading], [], [], WALL_LIMIT)[0]:
        data = os.read(reading, 65536)
        if not data:
            break
        *lines, rest = (rest + data).split(b'\n')
        for line in lines:
            said = json.loads(line)
            current = said.get('start')
            if 'end' in said:
                outcome.tests[said['end']] = (said['outcome'], said['text'])
    return current


def judge(outcomes: list[Outcome], expected: Expected, *, whole: bool = False, some: bool = False) -> list[str]:
    """What is not as expected, a line each.

    whole: every module was run, so that stale entries of the list can be told. some: not every test of them was.
    """
    wrong = []
    seen: set[str] = set()
    for outcome in outcomes:
        passed, least = len(outcome.of('pass')), 0 if some else expected.least.get(outcome.module, 1)
        if passed < least:
            wrong.append(f'{outcome.module}: {passed} tests pass, and {least} did: what is skipped now?')
        for name, (kind, text) in outcome.tests.items():
            seen.add(name)
            if kind in FAILURES and name not in expected.fail:
                wrong.append(f'{name}: {kind}, and is not listed\n{text}')
            elif kind not in FAILURES and name in expected.fail:
                wrong.append(f'{name}: is listed as a failure ({expected.fail[name]}), but: {kind}')
    if whole:
        wrong += [f'{name}: is listed, but there is no such test' for name in expected.fail if name not in seen]
        wrong += [f'{pattern}: leaves out nothing' for pattern in expected.leave_out if not fnmatch.filter(seen, pattern)]
    return wrong


def summary(outcomes: list[Outcome]) -> tuple[str, float]:
    """A table, and the share of what passed."""
    lines = [f'{"module":36}{"pass":>6}{"fail":>6}{"skip":>6}{"left out":>10}']
    total: Counter[str] = Counter()
    for outcome in outcomes:
        count = Counter(kind if kind not in FAILURES else 'fail' for kind, _ in outcome.tests.values())
        total += count
        lines.append(f'{outcome.module:36}{count["pass"]:6}{count["fail"]:6}{count["skip"]:6}{count["left out"]:10}')
    share = total['pass'] / max(1, total['pass'] + total['fail'])
    lines.append(f'{"":36}{total["pass"]:6}{total["fail"]:6}{total["skip"]:6}{total["left out"]:10}')
    lines.append(f'{share:.2%} of {total["pass"] + total["fail"]} tests pass')
    return '\n'.join(lines), share


def run(modules: list[str], expected: Expected, *, only: Iterable[str] = (), jobs: int = 1) -> list[Outcome]:
    """Run the modules, `jobs` at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda m: run_module(m, expected, only), modules))


def main(argv: list[str]) -> Any:
    """The command line of tests/cpython/run."""
    import argparse

    parser = argparse.ArgumentParser(prog='tests/cpython/run', description=__doc__.split('\n\n')[0])
    parser.add_argument('modules', nargs='*', help='all of expected.toml, if none are named')
    parser.add_argument('-k', dest='only', action='append', default=[], help='only tests that match this pattern')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1)
    parser.add_argument('--quick', action='store_true', help='the modules that the test suite runs')
    parser.add_argument('--json', type=Path, help='write every outcome and what the workers wrote to this file')
    parser.add_argument('-v', dest='verbose', action='store_true', help='every test, and what the workers wrote')
    args = parser.parse_args(argv)
    expected = Expected()
    only = [f'*{k}*' for k in args.only]
    modules = args.modules or (expected.quick if args.quick else expected.modules)
    outcomes = run(modules, expected, only=only, jobs=args.jobs)
    if args.verbose:
        for outcome in outcomes:
            for name, (kind, text) in outcome.tests.items():
                print(f'{kind:9}{name}  {text.strip() if kind == "skip" else ""}')
            print(outcome.noise)
    if args.json:
        args.json.write_text(json.dumps({o.module: {'tests': o.tests, 'noise': o.noise} for o in outcomes}, indent=1))
    wrong = judge(outcomes, expected, whole=not args.modules and not args.quick and not only, some=bool(only))
    table, share = summary(outcomes)
    for line in wrong:
        print(line)
    print(table)
    if share < GOAL and not only:
        print(f'fewer than {GOAL:.0%}')
        return 1
    return 1 if wrong else 0
