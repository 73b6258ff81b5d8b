# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: a fresh lab for a test, or the test itself as a program on one of its hosts, for one seed or for many.

    def test_the_client_survives_loss(lab):               # builds a lab and runs it
        client, server = lab.host('client'), lab.host('server')
        ...

    @pytest.mark.linnet(delay='20ms', loss='2 %')         # is a program on the host `client` of one
    def test_the_same(lab):
        lab.hosts['server'].spawn(serve, daemon=True)
        assert fetch('http://server/') == ...

    pytest --linnet-runs 200                              # each of them with 200 seeds

A test that fails says its seed, the command that repeats it, who waited for what and the sockets of every host, and leaves a
folder with a capture of each link.

This file is what every pytest run loads once Linnet is installed; it must cost nothing. The stack is imported by the first test
that asks for it (world.py).
"""
from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from linnet.pytest_plugin.world import TestLab, TestWorld

SEED_FIXTURE = 'linnet_seed'
WORKER_SEED = 'linnet_seed'  # a key of xdist's workerinput
FAILED_SHOWN = 20  # seeds named in the summary

seed_key: pytest.StashKey[int] = pytest.StashKey()
world_key: pytest.StashKey[TestWorld] = pytest.StashKey()
failures_key: pytest.StashKey[list[str]] = pytest.StashKey()


def parse_seed(text: str) -> int | None:
    """A number, or 'random' (None) for one that is drawn when the session begins."""
    return None if text == 'random' else int(text, 0)


def parse_runs(text: str) -> int:
    """A count from 1 on."""
    runs = int(text)
    if runs < 1:
        raise ValueError(text)
    return runs


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the group linnet."""
    group = parser.getgroup('linnet', 'Linnet: tests on a simulated network')
    group.addoption('--linnet-seed', type=parse_seed, default=0, metavar='N',
                    help="the seed of every lab (default 0); 'random' draws one and prints it")
    group.addoption('--linnet-runs', type=parse_runs, default=1, metavar='N',
                    help='run each test that has a lab with N seeds, from --linnet-seed on: test items [seed=0], [seed=1] ...')
    group.addoption('--linnet-artifacts', metavar='DIR', default=None,
                    help='where failed tests leave captures and reports (default: linnet/ in the cache folder, .pytest_cache)')
    group.addoption('--linnet-keep', action='store_true',
                    help='tests that pass leave theirs, too: to compare a good run with a bad one')


def pytest_configure(config: pytest.Config) -> None:
    """The marker; and the seed, which the processes of xdist get from their master, for it may be a random one."""
    seed = config.getoption('--linnet-seed')
    if seed is None:
        import random
        seed = random.SystemRandom().getrandbits(31)
    config.stash[seed_key] = getattr(config, 'workerinput', {}).get(WORKER_SEED, seed)
    config.addinivalue_line(
        'markers',
        'linnet(*, links, routers, topology, on, seed, timeout, datetime, **link): run the test as a program on a host of a '
        "simulated network, in virtual time. Without a topology there are two hosts, client (the test's) and server, and a link "
        "between them with the properties given (delay='10ms' by default)")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist starts a process."""
    node.workerinput[WORKER_SEED] = node.config.stash[seed_key]


def pytest_report_header(config: pytest.Config) -> str | None:
    """The seed, where it was asked for."""
    seed, runs = config.stash[seed_key], config.getoption('--linnet-runs')
    if runs > 1:
        return f'linnet: seeds {seed} to {seed + runs - 1}'
    return f'linnet: seed {seed}' if seed else None


# -- seeds

@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """With --linnet-runs each test that has a lab becomes as many items. Last, so that the seed ends the item's name."""
    runs = metafunc.config.getoption('--linnet-runs')
    marked = metafunc.definition.get_closest_marker('linnet')
    if runs == 1 or (marked is None and 'lab' not in metafunc.fixturenames):
        return
    first = metafunc.config.stash[seed_key]
    if marked is not None and 'seed' in marked.kwargs:
        return  # this test is about one seed
    seeds = range(first, first + runs)
    if SEED_FIXTURE not in metafunc.fixturenames:
        metafunc.fixturenames.append(SEED_FIXTURE)
    metafunc.parametrize(SEED_FIXTURE, seeds, indirect=True, ids=[f'seed={seed}' for seed in seeds])


def seed_of(item: pytest.Item) -> int:
    """The seed of one item: its parameter, its marker's, or the run's."""
    spec: Any = getattr(item, 'callspec', None)
    if spec is not None and SEED_FIXTURE in spec.params:
        return int(spec.params[SEED_FIXTURE])
    marker = item.get_closest_marker('linnet')
    if marker is not None and 'seed' in marker.kwargs:
        return int(marker.kwargs['seed'])
    return item.config.stash[seed_key]


def command(item: pytest.Item) -> str:
    """What repeats this item with its seed."""
    import shlex
    seed = seed_of(item)
    name = item.nodeid
    for ending, closing in ((f'[seed={seed}]', ''), (f'-seed={seed}]', ']')):
        if name.endswith(ending):
            name = name.removesuffix(ending) + closing
    return f'pytest {shlex.quote(name)}' + (f' --linnet-seed {seed}' if seed else '')


# -- fixtures

@pytest.fixture
def linnet_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test."""
    return seed_of(request.node)


@pytest.fixture
def lab(request: pytest.FixtureRequest, linnet_seed: int) -> Iterator[TestLab]:
    """A linnet.Lab with the seed of this test, which ends with it. In a test marked linnet: the lab in which the test runs."""
    from linnet.pytest_plugin.world import TestWorld
    item = request.node
    world = item.stash.get(world_key, None)
    if world is not None:
        yield world.lab
        return
    world = item.stash[world_key] = TestWorld(item, linnet_seed, artifacts_folder(item.config))
    yield world.lab
    world.close()


def artifacts_folder(config: pytest.Config) -> Path:
    """The folder of all artifacts of this run."""
    chosen = config.getoption('--linnet-artifacts')
    if chosen:
        return Path(config.invocation_params.dir, chosen)
    cache: pytest.Cache | None = getattr(config, 'cache', None)
    if cache is not None:
        folder: Path = cache.mkdir('linnet')
        return folder
    import tempfile
    return Path(tempfile.gettempdir()) / 'linnet'


# -- running a marked test inside its lab

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A test marked linnet: setup, call and teardown are one program on a host."""
    marker = item.get_closest_marker('linnet')
    if marker is None:
        return None
    from linnet.pytest_plugin.world import TestWorld, run_protocol
    world = item.stash[world_key] = TestWorld(item, seed_of(item), artifacts_folder(item.config))
    run_protocol(world, marker, item, nextitem)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any],
                         request: pytest.FixtureRequest) -> Generator[None, object, object]:
    """What outlives the test is made outside of its lab: a fixture of a module or a session belongs to the machine."""
    item = getattr(request, '_pyfuncitem', None)
    world = None if item is None else item.stash.get(world_key, None)
    if world is None or fixturedef.scope == 'function' or not world.inside():
        return (yield)
    leave, come_back = world.crossing()
    fixturedef.addfinalizer(come_back)  # the last added is the first called
    try:
        with world.lab.runtime.machine():
            return (yield)
    finally:
        fixturedef.addfinalizer(leave)


# -- what a failure leaves

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport,
                                                                                           pytest.TestReport]:
    """A section that says how to repeat it, and where to look."""
    world = item.stash.get(world_key, None)
    if world is not None and call.excinfo is not None and not item.config.getoption('fulltrace'):
        world.shorten(call.excinfo)
    report = yield
    if world is not None:
        if report.failed:
            report.sections.append(('linnet', world.failed(command(item))))
            report.user_properties.append(('linnet_failed', command(item)))
        elif report.when == 'call' and item.config.getoption('--linnet-keep'):
            world.keep(command(item))
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Of many seeds: which failed, as commands that repeat them."""
    if config.getoption('--linnet-runs') == 1:
        return
    commands = [value for report in terminalreporter.stats.get('failed', []) + terminalreporter.stats.get('error', [])
                for key, value in getattr(report, 'user_properties', []) if key == 'linnet_failed']
    commands = list(dict.fromkeys(commands))
    if not commands:
        return
    terminalreporter.section('linnet: to repeat a failure', sep='-')
    for line in commands[:FAILED_SHOWN]:
        terminalreporter.write_line(line)
    if len(commands) > FAILED_SHOWN:
        terminalreporter.write_line(f'... and {len(commands) - FAILED_SHOWN} more')
