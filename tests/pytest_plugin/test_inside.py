# SPDX-License-Identifier: Apache-2.0
"""A test marked linnet is a program on a host: blocking, asyncio, anyio; its fixtures; what stops it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

SERVED = '''
@pytest.fixture
def server(lab):
    return lab.hosts['server'].spawn(echo, daemon=True)
'''


def test_a_blocking_test_runs_on_the_client_in_virtual_time(run: Run) -> None:
    result = run(SERVED + '''
@pytest.mark.linnet(delay='20ms')
def test_it(server, lab):
    assert socket.gethostname() == 'client'
    start = time.monotonic()
    assert ask() == b'X\\n'
    assert 0.12 <= time.monotonic() - start < 0.17   # ARP, handshake, question and answer
    time.sleep(3000)

def test_another_is_in_real_time():
    assert socket.socket().fileno() < 1000
    assert time.time() > 1e9
''')
    result.assert_outcomes(passed=2)


def test_asyncio_and_anyio(run: Run) -> None:
    result = run(SERVED + '''
import anyio, pytest_asyncio

@pytest_asyncio.fixture
async def stream(server):
    reader, writer = await asyncio.open_connection('server', 7)
    yield reader, writer
    writer.close()
    await asyncio.sleep(100)

@pytest.mark.linnet
@pytest.mark.asyncio
async def test_asyncio(stream):
    reader, writer = stream
    writer.write(b'x\\n')
    assert await reader.readline() == b'X\\n'
    before = asyncio.get_running_loop().time()
    await asyncio.sleep(500)
    assert asyncio.get_running_loop().time() - before < 500.1

@pytest.fixture(params=['asyncio', 'trio'])
def anyio_backend(request):
    return request.param

@pytest.mark.linnet
@pytest.mark.anyio
async def test_anyio(server):
    async with await anyio.connect_tcp('server', 7) as stream:
        await stream.send(b'x\\n')
        assert await stream.receive() == b'X\\n'
    with anyio.move_on_after(500) as scope:
        await anyio.sleep(600)
    assert scope.cancelled_caught
''')
    result.assert_outcomes(passed=3)


def test_fixtures_that_outlive_the_test_are_the_machines(run: Run) -> None:
    result = run(SERVED + '''
import os
seen = []

@pytest.fixture(scope='module')
def wide():
    os.environ['LINNET_WIDE'] = 'yes'
    sock = socket.socket()
    seen.append(sock.fileno())
    yield sock
    seen.append(sock.fileno())
    sock.close()
    del os.environ['LINNET_WIDE']

@pytest.fixture
def narrow():
    sock = socket.socket()
    yield sock
    seen.append(sock.fileno())
    sock.close()

class TestClass:
    @classmethod
    def setup_class(cls):
        cls.fileno = socket.socket().fileno()

    def setup_method(self):
        self.own = socket.socket().fileno()

    @pytest.mark.linnet
    def test_it(self, wide, narrow):
        assert wide.fileno() < 1000 < narrow.fileno()
        assert self.fileno < 1000 < self.own

    def test_it_still_lives(self, wide):
        assert wide.fileno() < 1000
        assert os.environ['LINNET_WIDE']

def test_what_was_seen():
    # torn down only now that the next module's fixtures are due: at the session's end
    assert [fd < 1000 for fd in seen] == [True, False]
''')
    result.assert_outcomes(passed=3)


def test_the_last_test_of_a_module_tears_its_fixtures_down_outside(run: Run) -> None:
    result = run('''
@pytest.fixture(scope='session')
def wide():
    sock = socket.socket()
    yield sock
    print('torn down', socket.socket().fileno() < 1000, time.time() > 1)

@pytest.mark.linnet
def test_it(wide, lab):
    pass
''', '-s')
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(['*torn down True True*'])


def test_a_deadlock_fails_the_test_where_it_waits(run: Run) -> None:
    result = run('''
@pytest.fixture
def resource():
    yield
    time.sleep(1)
    print('given back')

@pytest.mark.linnet
def test_blocking(resource):
    queue.Queue().get()   # for ever

@pytest.mark.linnet
@pytest.mark.asyncio
async def test_asyncio():
    await asyncio.Event().wait()

@pytest.mark.linnet
def test_the_next_is_not_touched():
    time.sleep(1)
''')
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines([
        '*    queue.Queue().get()   # for ever',
        '*Deadlock: nothing can ever happen again:',
        '*client:test_blocking waits for a lock (in test_blocking, *test_it.py:*',
        '*given back*',
        '*client:test_asyncio waits for an event on its descriptors*',
        '*asyncio Task-* (test_asyncio) waits in test_asyncio, *test_it.py:*',
    ])
    assert 'src/linnet/kernel' not in result.stdout.str()  # its own frames are left out


def test_a_program_that_raises_fails_the_test(run: Run) -> None:
    result = run('''
def broken():
    time.sleep(1)
    raise ValueError('the server broke')

@pytest.mark.linnet
def test_it(lab):
    lab.hosts['server'].spawn(broken)
    time.sleep(60)

@pytest.mark.linnet
def test_it_can_be_caught(lab):
    lab.hosts['server'].spawn(broken)
    with pytest.raises(ValueError):
        time.sleep(60)
    assert time.monotonic() == 1

@pytest.mark.linnet
def test_a_program_can_be_waited_for(lab):
    program = lab.hosts['server'].spawn(broken, check=False)
    with pytest.raises(TimeoutError, match='has not ended after 0.5 s'):
        program.wait(0.5)
    assert program.wait() == 1
    with pytest.raises(RuntimeError, match='call its wait'):
        lab.run()
''')
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines([
        '*    time.sleep(60)', '*ValueError: the server broke', '*raised by a program of the lab at 1.000000 s of virtual time*'])


def test_a_test_has_so_much_virtual_time(run: Run) -> None:
    result = run(SERVED + '''
@pytest.mark.linnet(timeout='10s')
def test_it(server):
    time.sleep(11)

@pytest.mark.linnet
def test_hung(lab):
    def looks_around():
        while True:
            time.sleep(0.5)
    lab.hosts['server'].spawn(looks_around, daemon=True)
    queue.Queue().get()
''')
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines([
        '*VirtualTimeout: the test is not done after 10 s of virtual time*', '*client:test_it waits for sleep(11) (in test_it, *',
        '*VirtualTimeout: the test is not done after 3600 s of virtual time*'])


def test_what_programs_print_is_captured_with_the_test(run: Run) -> None:
    result = run('''
@pytest.mark.linnet
def test_it(lab, capsys):
    lab.hosts['server'].spawn(print, 'of the server').wait()
    print('of the test')
    assert capsys.readouterr().out == 'of the server\\nof the test\\n'

@pytest.mark.linnet
def test_shown(lab):
    print('of the test')
    lab.hosts['server'].spawn(print, 'of the server').wait()
    assert False
''')
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(['*Captured stdout call*', 'of the test', 'of the server'])


def test_the_date_can_be_the_labs_too(run: Run) -> None:
    pytest.importorskip('time_machine', reason='time-machine is not installed')
    result = run('''
import datetime

@pytest.mark.linnet(datetime=True, timeout='100h')
def test_it():
    before = datetime.datetime.now()
    time.sleep(86400)
    assert datetime.datetime.now() - before == datetime.timedelta(days=1)
''')
    result.assert_outcomes(passed=1)


def test_described_topologies(run: Run) -> None:
    result = run('''
@pytest.mark.linnet(links=[('client', 'gw', {'delay': '5ms'}), ('gw', 'server', {'delay': '50ms'})], routers=['gw'])
def test_links(lab):
    lab.hosts['server'].spawn(echo, daemon=True)
    start = time.monotonic()
    ask()
    assert 0.22 < time.monotonic() - start < 0.36

def star(lab):
    hub = lab.router('hub')
    for name in 'abc':
        lab.link(lab.host(name), hub, delay='1ms')

@pytest.mark.linnet(topology=star, on='b')
def test_function(lab):
    lab.hosts['c'].spawn(echo, daemon=True)
    assert socket.gethostname() == 'b'
    assert ask('c') == b'X\\n'

@pytest.fixture
def far(lab):
    host = lab.host('far')
    lab.link('server', host, delay='1ms')
    lab.hosts['server'].sysctl('net.ipv4.ip_forward', 1)
    lab.hosts['server'].forwards = True
    lab.link(host, lab.host('farther'), delay='1ms')
    host.spawn(echo, daemon=True)
    return host

@pytest.mark.linnet
def test_a_fixture_builds_on(far):
    time.sleep(0.1)
    assert ask('far') == b'X\\n'
''')
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize(('marker', 'said'), [
    ("links=[('a', 'b', 'c', 'd')]", '*a link is (*'),
    ("links=[('a', 'b')], delay='1ms'", '*give a topology function, or links*'),
    ("on='nowhere'", "*there is no host 'nowhere' to run the test on; there are*client*server*"),
    ("links=[('a', 'b')], routers=['r']", '*the routers *r* are on no link*'),
    ("colour='red'", "*a link has no property 'colour'*"),
    ("timeout='1 fortnight'", '*unknown unit*'),
    ("'client'", '*takes keywords alone*'),
])
def test_errors_in_the_marker_are_errors_of_the_test(run: Run, marker: str, said: str) -> None:
    result = run(f'''
@pytest.mark.linnet({marker})
def test_it():
    pass

def test_next():
    pass
''')
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([said])


def test_a_loop_that_outlives_the_test_is_refused(run: Run) -> None:
    result = run('''
@pytest.mark.linnet
@pytest.mark.asyncio(loop_scope='module')
async def test_it():
    pass
''')
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*loop_scope='module' asks for one that outlives it*"])


def test_the_session_can_be_ended_from_inside(run: Run) -> None:
    result = run('''
@pytest.mark.linnet
def test_it():
    time.sleep(1)
    pytest.exit('enough', returncode=7)

def test_never():
    raise AssertionError
''')
    assert result.ret == 7
    result.stdout.fnmatch_lines(['*Exit: enough*'])


def test_what_pytest_brings_works_inside(run: Run) -> None:
    result = run('''
import logging, os, unittest
from hypothesis import given, settings, strategies as st

@pytest.mark.linnet
class TestCase(unittest.TestCase):
    def setUp(self):
        self.sock = socket.socket()
        self.addCleanup(self.sock.close)

    def test_it(self):
        assert self.sock.fileno() > 1000
        time.sleep(5)
        assert time.monotonic() == 5

@pytest.mark.linnet
@pytest.mark.parametrize('n', [1, 2])
def test_fixtures(n, caplog, tmp_path, monkeypatch, recwarn):
    monkeypatch.setenv('LINNET_N', str(n))
    logging.getLogger().warning('told %d', n)
    (tmp_path / 'file').write_text(os.environ['LINNET_N'])
    time.sleep(n)
    assert f'told {n}' in caplog.text

def test_the_environment_is_as_before():
    assert 'LINNET_N' not in os.environ

@pytest.mark.linnet
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 100))
def test_hypothesis(n):
    before = time.monotonic()
    time.sleep(n)
    assert time.monotonic() >= before + n

@pytest.mark.linnet
@pytest.mark.xfail(strict=True)
def test_expected():
    time.sleep(1)
    raise AssertionError

@pytest.mark.linnet
def test_skipped_inside():
    time.sleep(1)
    pytest.skip('later')
''')
    result.assert_outcomes(passed=5, skipped=1, xfailed=1)
