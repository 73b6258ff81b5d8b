# SPDX-License-Identifier: Apache-2.0
"""Run the tests of one module of CPython's `test` package as a program on a simulated host.

    worker.py MODULE OUTPUT_FD < {"leave_out": [pattern, ...], "only": [pattern, ...], "known": {test: outcome}}

Each test class runs in a lab of its own: host `here`, its loopback, and a link to a second host so that it has an address.
What happens is told on OUTPUT_FD, one JSON object a line: {"start": test} and {"end": test, "outcome": ..., "text": ...}.
A test that does not end within VIRTUAL_LIMIT of virtual time is ended with its lab ("hangs"), and its class begins anew
with those tests that have not run. Tests in `known` are not run again: the parent saw this process die in one of them.
"""

from __future__ import annotations

import fnmatch
import json
import os
import sys
import traceback
import unittest
from collections.abc import Iterator
from typing import Any

import linnet.program.patches

linnet.program.patches.install()

from test import support  # noqa: E402  # after install(): what it takes from the standard library must be what programs get

from linnet import Lab  # noqa: E402

VIRTUAL_LIMIT = 3600  # s of virtual time for one class; the longest of CPython's own time-outs is SHORT_TIMEOUT, 30 s
RESOURCES = ['cpu', 'largefile', 'network', 'walltime']  # network: they take it for any socket; the Internet is left out

write = os.write


def cases(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """The tests of a suite, one by one."""
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from cases(part)
        else:
            yield part


def name_of(test: unittest.TestCase) -> str:
    """test_socket.BasicTCPTest.testRecv"""
    return test.id().removeprefix('test.')


def matches(name: str, patterns: list[str]) -> bool:
    """Is it one of them?"""
    return any(fnmatch.fnmatchcase(name, p) for p in patterns)


class Reporter(unittest.TestResult):
    """Tells the parent what becomes of each test."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.out = out
        self.outcomes: dict[str, str] = {}
        self.current = ''
        self.outcome = ''
        self.text = ''

    def tell(self, **what: str) -> None:
        write(self.out, json.dumps(what).encode() + b'\n')

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.current, self.outcome, self.text = name_of(test), 'pass', ''
        self.tell(start=self.current)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        self.finish(self.outcome, self.text)

    def finish(self, outcome: str, text: str) -> None:
        """The current test is over."""
        self.outcomes[self.current] = outcome
        self.tell(end=self.current, outcome=outcome, text=text)
        self.current = ''

    def _note(self, test: Any, outcome: str, text: str) -> None:
        if self.current:
            if self.outcome in ('pass', 'skip'):
                self.outcome, self.text = outcome, text
        else:  # of a class or a module: setUpClass and so on
            self.current = name_of(test)
            self.tell(start=self.current)
            self.finish(outcome, text)

    def addError(self, test: Any, err: Any) -> None:
        self._note(test, 'fail', ''.join(traceback.format_exception(*err)))

    addFailure = addError

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self._note(test, 'fail', f'{subtest}\n' + ''.join(traceback.format_exception(*err)))

    def addSkip(self, test: Any, reason: str) -> None:
        self._note(test, 'skip', reason)

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        return

    def addUnexpectedSuccess(self, test: Any) -> None:
        self._note(test, 'fail', 'unexpected success')


class Judge:
    """The run of one module."""

    def __init__(self, module: str, out: int, wanted: dict[str, Any]) -> None:
        self.module = module
        self.result = Reporter(out)
        self.result.outcomes.update(wanted['known'])
        self.leave_out: list[str] = wanted['leave_out']
        self.only: list[str] = wanted['only']

    def in_a_lab(self, body: Any) -> bool:
        """Run body as a program; False where it did not come to its end."""
        with Lab(seed=1) as lab:
            here, there = lab.host('here'), lab.host('there')
            lab.link(here, there, delay='1ms')

            def main() -> None:
                body()
                raise SystemExit(0)  # threads that a test left behind are not waited for

            program = here.spawn(main, check=False)
            try:
                lab.run(until=VIRTUAL_LIMIT)
            except BaseException:  # of a thread of a test's
                traceback.print_exc()
            return program.exit_code is not None

    def run(self) -> None:
        """All classes, one after the other."""
        groups: dict[type, list[unittest.TestCase]] = {}

        def load() -> None:
            support.use_resources = RESOURCES
            support.verbose = 0
            suite = unittest.defaultTestLoader.loadTestsFromName('test.' + self.module)
            for test in cases(suite):
                groups.setdefault(type(test), []).append(test)

        self.in_a_lab(load)
        for tests in groups.values():
            self.run_class(tests)

    def run_class(self, tests: list[unittest.TestCase]) -> None:
        """What is left of a class, again after each test that hangs."""
        while True:
            rest = [t for t in tests if self.wanted(name_of(t))]
            if not rest:
                return
            before = len(self.result.outcomes)
            ended = self.in_a_lab(lambda: unittest.TestSuite([type(t)(t._testMethodName) for t in rest]).run(self.result))  # noqa: B023
            if self.result.current:
                self.result.finish('hangs', 'the world came to its end')
            if not ended and len(self.result.outcomes) > before:
                continue
            return

    def wanted(self, name: str) -> bool:
        """Is it to be run (still)?"""
        if name in self.result.outcomes or matches(name, self.leave_out):
            if name not in self.result.outcomes:
                self.result.current = name
                self.result.finish('left out', '')
            return False
        return not self.only or matches(name, self.only)


if __name__ == '__main__':
    Judge(sys.argv[1], int(sys.argv[2]), json.loads(sys.stdin.read())).run()
    sys.stdout.flush()
    os._exit(0)  # threads of the machine's that a test started are of no interest
