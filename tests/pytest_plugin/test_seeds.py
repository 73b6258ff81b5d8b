# SPDX-License-Identifier: Apache-2.0
"""The fixture lab, seeds and runs, and what a failure leaves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dpkt
import pytest

import linnet

Run = Callable[..., pytest.RunResult]

LOSSY = '''
@pytest.mark.linnet(delay='5ms', loss='30 %')
def test_lossy(lab):
    lab.hosts['server'].spawn(echo, daemon=True)
    assert ask() == b'X\\n'
    assert time.monotonic() < 2

def test_by_hand(lab, linnet_seed):
    a, b = lab.host('a'), lab.host('b')
    lab.link(a, b, delay='1ms')
    b.spawn(echo, daemon=True)
    a.spawn(ask, 'b')
    lab.run()
    assert lab.seed == linnet_seed
    print('seed', lab.seed)

def test_without_a_lab():
    pass
'''


def names(result: pytest.RunResult, outcome: str) -> list[str]:
    """The items with this outcome, in order, of a run with -v."""
    return [line.split()[0] for line in result.outlines if f' {outcome}' in line and '::' in line.split(' ')[0]]


def test_runs_are_items_and_are_repeatable(run: Run) -> None:
    result = run(LOSSY, '--linnet-runs', '8', '-v', '--tb=no')
    failed = names(result, 'FAILED')
    assert 0 < len(failed) < 8
    assert all(name.startswith('test_it.py::test_lossy[seed=') for name in failed)
    result.assert_outcomes(passed=17 - len(failed), failed=len(failed))
    result.stdout.fnmatch_lines(['linnet: seeds 0 to 7'])

    again = run(LOSSY, '--linnet-runs', '8', '-v', '--tb=no')
    assert names(again, 'FAILED') == failed

    seed = failed[-1].split('=')[1].rstrip(']')
    result.stdout.fnmatch_lines([f'pytest test_it.py::test_lossy --linnet-seed {seed}'])
    once = run(LOSSY, '--linnet-seed', seed, '-v')
    assert names(once, 'FAILED') == ['test_it.py::test_lossy']
    once.stdout.fnmatch_lines([f'seed {seed}, failed at *', f'repeat it:  pytest test_it.py::test_lossy --linnet-seed {seed}'])


def test_the_first_seed_can_be_chosen_and_other_parameters_stay(run: Run) -> None:
    result = run('''
@pytest.mark.parametrize('n', [1, 2])
def test_it(lab, n):
    assert lab.seed != 101

@pytest.mark.linnet(seed=5)
def test_of_one_seed(lab):
    assert lab.seed == 5
''', '--linnet-seed', '100', '--linnet-runs', '2', '-v')
    assert names(result, 'PASSED') == ['test_it.py::test_it[1-seed=100]', 'test_it.py::test_it[2-seed=100]',
                                       'test_it.py::test_of_one_seed']
    result.stdout.fnmatch_lines(["repeat it:  pytest 'test_it.py::test_it[[]1]' --linnet-seed 101"])


def test_a_random_seed_is_printed(run: Run) -> None:
    result = run('def test_it(lab):\n    print("used", lab.seed)\n', '--linnet-seed', 'random', '-s')
    header = next(line for line in result.outlines if line.startswith('linnet: seed '))
    result.stdout.fnmatch_lines([f'*used {header.split()[-1]}*'])


@pytest.mark.parametrize('options', [('--linnet-runs', '0'), ('--linnet-seed', 'x')])
def test_options_that_make_no_sense(run: Run, options: tuple[str, str]) -> None:
    result = run('', *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f'*{options[0]}: invalid *'])


FAILS = '''
@pytest.mark.linnet
def test_inside(lab):
    lab.hosts['server'].spawn(echo, daemon=True)
    sock = socket.create_connection(('server', 7))
    sock.sendall(b'x\\n')
    assert sock.recv(9) == b'Y\\n'

def test_by_hand(lab):
    a, b = lab.host('a'), lab.host('b')
    lab.link(a, b, delay='1ms')
    lab.link(a, b, delay='9ms')
    b.spawn(echo, daemon=True)
    def good():
        return ask('b')
    a.spawn(good)
    a.spawn(lambda: queue.Queue().get(), name='stuck')
    lab.run()

def test_good(lab):
    lab.link(lab.host('a'), lab.host('b'))
'''


def test_what_a_failure_leaves(run: Run, pytester: pytest.Pytester) -> None:
    result = run(FAILS, '--linnet-artifacts', 'left')
    result.assert_outcomes(failed=2, passed=1)
    left = pytester.path / 'left'
    assert sorted(path.relative_to(left).as_posix() for path in left.rglob('*.*') if path.is_file()) == [
        *[f'test_it.py_test_by_hand/{name}' for name in ('a-b-2.pcapng', 'a-b-2.txt', 'a-b.pcapng', 'a-b.txt', 'report.txt')],
        *[f'test_it.py_test_inside/{name}' for name in ('client-server.pcapng', 'client-server.txt', 'report.txt')]]
    result.stdout.fnmatch_lines([
        'seed 0, failed at *', 'repeat it:  pytest test_it.py::test_inside', 'artifacts:  *left/test_it.py_test_inside',
        '    client-server.pcapng: * packets, 0 lost', 'who waits for what:', '    server:echo (daemon) waits for *',
        'sockets of client:', '    ESTAB *:7*', '    * cubic * cwnd:10 *', 'sockets of server:',
        '*Deadlock*', '*a:stuck waits for a lock (in <lambda>, test_it.py:*'])
    report = (left / 'test_it.py_test_inside' / 'report.txt').read_text()
    assert 'TcpActiveOpens                   1' in report and 'server:echo' in report
    with (left / 'test_it.py_test_inside' / 'client-server.pcapng').open('rb') as file:
        segments = [frame.data.data for _, frame in ((t, dpkt.ethernet.Ethernet(data)) for t, data in dpkt.pcapng.Reader(file))
                    if isinstance(frame.data, dpkt.ip.IP)]
    assert [bytes(segment.data) for segment in segments if segment.data] == [b'x\n', b'x\n', b'X\n', b'X\n']  # at both ends


def test_by_default_they_are_in_the_cache_and_good_tests_leave_none(run: Run, pytester: pytest.Pytester) -> None:
    result = run(FAILS)
    result.stdout.fnmatch_lines(['artifacts:  *.pytest_cache/d/linnet/test_it.py_test_inside'])
    folder = pytester.path / '.pytest_cache' / 'd' / 'linnet'
    assert sorted(path.name for path in folder.iterdir()) == ['test_it.py_test_by_hand', 'test_it.py_test_inside']
    run(FAILS, '--linnet-keep', '-k', 'good')
    assert (folder / 'test_it.py_test_good' / 'a-b.pcapng').exists()


def test_xdist(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PYTHONPATH', str(Path(linnet.__file__).parents[1]))
    result = run(LOSSY, '--linnet-runs', '8', '-n', '2', '-v', '--tb=short', subprocess=True)
    failed = {line.split()[-1] for line in result.outlines if 'FAILED test_it' in line and line.startswith('[gw')}
    alone = run(LOSSY, '--linnet-runs', '8', '-v', '--tb=no')
    assert failed == set(names(alone, 'FAILED'))
    result.stdout.fnmatch_lines(['repeat it:  pytest test_it.py::test_lossy --linnet-seed *', '*to repeat a failure*'])


def test_a_random_seed_is_one_for_all_processes_of_xdist(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PYTHONPATH', str(Path(linnet.__file__).parents[1]))
    result = run('def test_it(lab):\n    assert lab.seed < 0\n', '--linnet-seed', 'random', '--linnet-runs', '2', '-n', '2',
                 subprocess=True)
    result.assert_outcomes(failed=2)
    header = next(line for line in result.outlines if line.startswith('linnet: seeds '))
    first, last = int(header.split()[2]), int(header.split()[4])
    assert last == first + 1
    for seed in (first, last):
        result.stdout.fnmatch_lines([f'pytest test_it.py::test_it --linnet-seed {seed}'])


def test_who_does_not_use_it_pays_nothing() -> None:
    """The plugin's module loads no stack, and nothing that pytest had not loaded."""
    code = ('import sys, pytest; before = set(sys.modules); import linnet.pytest_plugin; '
            'print(*sorted(set(sys.modules) - before))')
    loaded = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True,
                            env={'PYTHONPATH': str(Path(linnet.__file__).parents[1])}).stdout.split()
    assert set(loaded) <= {'linnet', 'linnet.pytest_plugin'}
