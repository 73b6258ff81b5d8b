# SPDX-License-Identifier: Apache-2.0
"""`linnet exec` in a namespace of the real kernel: the same plain programs on both sides of a TUN and of a TAP.

Sizes are those of the issue where the stack is compiled; interpreted, the packet-by-packet cases carry less.
"""
from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.netns import DEVICE, EXEC, KERNEL, LINNET, STATION, Namespace, environment, lacking
from linnet import _pure

WHY = lacking('curl', 'ping')
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(WHY != '', reason=WHY),
    pytest.mark.xdist_group('tun'),
]

COMPILED = _pure.build() == 'compiled'
BULK = 100_000_000
CAPTURED = 3_000_000 if COMPILED else 1_000_000
PLAIN_BULK = 8_000_000 if COMPILED else 1_000_000  # without offload each packet is handled by itself, its checksum made here


@pytest.fixture(scope='module', params=['tun', 'tap'])
def served(request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace, and the station's servers on Linnet behind its device."""
    with Namespace() as ns:
        ns.exec(request.param, [STATION, 'serve'], ready='ready')
        yield ns
        assert all(child.poll() is None for child in ns.children), ns.children[0].stdout


@pytest.fixture(scope='module')
def kernel_serves() -> Iterator[Namespace]:
    """A namespace, and the station's servers on the kernel's side."""
    with Namespace() as ns:
        ns.start([sys.executable, STATION, 'serve'], 'ready')
        yield ns


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with something in it to serve."""
    folder = tmp_path_factory.mktemp('files')
    (folder / 'index.html').write_text('<p>Hello</p>')
    (folder / 'big').write_bytes(random.Random(2).randbytes(20_000_000))
    return folder


# -- the kernel's programs ask, Linnet answers

@pytest.mark.parametrize('size', [56, 1400, 8000])
def test_ping(served: Namespace, size: int) -> None:
    text = served.run(['ping', '-c', '20', '-i', '0.01', '-W', '2', '-s', str(size), LINNET])
    assert '20 received' in text, text


@pytest.mark.parametrize('way', ['send', 'receive'])
def test_bulk(served: Namespace, way: str) -> None:
    assert served.run([sys.executable, STATION, way, LINNET, str(BULK)]) == 'equal\n'


@pytest.mark.parametrize('how', ['concurrent', 'sequential'])
def test_200_connections(served: Namespace, how: str) -> None:
    assert served.run([sys.executable, STATION, how, LINNET, '200']) == '200 echoed\n'


def test_nobody_listens(served: Namespace) -> None:
    code = f'import socket\ntry: socket.create_connection(({LINNET!r}, 4444), 5)\nexcept ConnectionRefusedError: print("refused")'
    assert served.run([sys.executable, '-c', code]) == 'refused\n'
    code = (f'import socket\ns = socket.socket(type=socket.SOCK_DGRAM)\ns.settimeout(5)\ns.connect(({LINNET!r}, 4444))\n'
            's.send(b"x")\ntry: s.recv(10)\nexcept ConnectionRefusedError: print("refused")')
    assert served.run([sys.executable, '-c', code]) == 'refused\n'


@pytest.mark.parametrize('kind', ['tun', 'tap-plain'])
def test_curl(kind: str, files: Path) -> None:
    with Namespace() as ns:
        ns.exec(kind, ['-m', 'http.server', '8000', '-d', str(files)], ready='Serving HTTP')
        assert ns.run(['curl', '-s', f'http://{LINNET}:8000/index.html']) == '<p>Hello</p>'
        name = 'big' if COMPILED or 'plain' not in kind else 'index.html'
        ns.run(['curl', '-s', '-o', str(files / 'got'), f'http://{LINNET}:8000/{name}'])
        assert (files / 'got').read_bytes() == (files / name).read_bytes()


# -- Linnet's programs ask, the kernel answers

@pytest.mark.parametrize('kind', ['tun', 'tap'])
def test_urllib(kind: str, files: Path) -> None:
    with Namespace() as ns:
        ns.start([sys.executable, '-m', 'http.server', '8000', '-d', str(files)], 'Serving HTTP')
        text = ns.linnet(kind, [STATION, 'fetch', f'http://{KERNEL}:8000/big'])
    assert text.strip() == hashlib.sha256((files / 'big').read_bytes()).hexdigest()


@pytest.mark.parametrize('socket_kind', ['ping', 'raw'])
@pytest.mark.parametrize('kind', ['tun', 'tap-plain'])
def test_our_ping(kernel_serves: Namespace, kind: str, socket_kind: str) -> None:
    assert kernel_serves.linnet(kind, [STATION, 'ping', KERNEL, socket_kind, '20']) == '20 answered\n'


@pytest.mark.parametrize('way', ['send', 'receive'])
@pytest.mark.parametrize('kind', ['tun', 'tap', 'tap-plain'])
def test_our_bulk(kernel_serves: Namespace, kind: str, way: str) -> None:
    size = PLAIN_BULK if 'plain' in kind else BULK
    assert kernel_serves.linnet(kind, [STATION, way, KERNEL, str(size)]) == 'equal\n'


@pytest.mark.parametrize('how', ['concurrent', 'sequential'])
@pytest.mark.parametrize('kind', ['tun', 'tap'])
def test_our_200_connections(kernel_serves: Namespace, kind: str, how: str) -> None:
    assert kernel_serves.linnet(kind, [STATION, how, KERNEL, '200']) == '200 echoed\n'


# -- iperf3, which wants iperf3's protocol from its partner

IPERF = str(Path(STATION).with_name('iperf.py'))
no_iperf3 = pytest.mark.skipif(shutil.which('iperf3') is None, reason='needs iperf3')


@no_iperf3
@pytest.mark.parametrize('way', [[], ['-R']], ids=['send', 'receive'])
@pytest.mark.parametrize('kind', ['tun', 'tap'])
def test_iperf3_as_client(kind: str, way: list[str]) -> None:
    with Namespace() as ns:
        server = ns.exec(kind, [IPERF, 'serve'], ready='ready')
        result = json.loads(ns.run(['iperf3', '-J', '-c', LINNET, '-n', str(BULK), *way]))
        counted, _ = server.communicate(timeout=20)
    assert 'error' not in result, result['error']
    assert server.returncode == 0, counted
    assert result['end']['sum_sent']['bytes'] >= BULK
    # The sender's word ends the counting: what its socket's buffer holds then is not in the receiver's figure.
    assert result['end']['sum_received']['bytes'] >= BULK * 0.8
    assert int(counted) >= BULK * 0.8


@no_iperf3
@pytest.mark.parametrize('way', ['send', 'receive'])
@pytest.mark.parametrize('kind', ['tun', 'tap'])
def test_iperf3_as_server(kind: str, way: str) -> None:
    with Namespace() as ns:
        server = ns.start(['iperf3', '-s', '-1', '-J', '--forceflush'])
        ns.wait_for('5201', ['ss', '-tln'])
        text = ns.linnet(kind, [IPERF, way, KERNEL, str(BULK)])
        report, _ = server.communicate(timeout=20)
    counts = json.loads(text)
    assert 'error' not in json.loads(report), report
    assert counts['ours'] >= BULK
    assert counts['theirs'] >= BULK * 0.8


# -- what tcpdump sees of it

@pytest.mark.skipif(lacking('tcpdump', 'tshark') != '', reason=lacking('tcpdump', 'tshark'))
@pytest.mark.parametrize('kind', ['tun-plain', 'tap-plain', 'tun', 'tap'])
def test_capture(kind: str, tmp_path: Path) -> None:
    """The kernel's own capture of a transfer both ways, of ping and of UDP.

    With offload a checksum crosses the device unfinished, and nobody ever fills it in: the packet does not leave the
    machine. Such a capture shows what CHECKSUM_PARTIAL left in the field, in both directions, and by design looks bad; what
    must be right there is the IP header's sum and that nothing is malformed. Without offload both sides finish every
    checksum before tcpdump sees the packet, and every one is held against the data.
    """
    plain = 'plain' in kind
    path = tmp_path / 'kernel.pcap'
    with Namespace() as ns:
        ns.exec(kind, [STATION, 'serve'], ready='ready')
        dump = ns.start(['tcpdump', '-i', DEVICE, '-U', '-s', '0', '-B', '32768', '-Z', 'root', '-w', str(path)],
                        'tcpdump: listening')
        for way in ('send', 'receive'):
            assert ns.run([sys.executable, STATION, way, LINNET, str(CAPTURED)]) == 'equal\n'
        ns.run(['ping', '-c', '3', '-i', '0.01', '-s', '3000', LINNET])
        ns.run([sys.executable, STATION, 'sequential', LINNET, '20'])
        dump.send_signal(signal.SIGTERM)
        said, _ = dump.communicate(timeout=10)
    assert '0 packets dropped by kernel' in said, said
    fields = ['ip.src', 'frame.len', 'ip.checksum.status', 'tcp.checksum.status', 'icmp.checksum.status', '_ws.malformed']
    checks = [item for layer in ('ip', 'tcp', 'udp') for item in ('-o', f'{layer}.check_checksum:TRUE')]
    columns = [item for field in fields for item in ('-e', field)]
    done = subprocess.run(['tshark', '-r', str(path), *checks, '-T', 'fields', '-E', 'occurrence=f', *columns],
                          capture_output=True, text=True, check=True)
    rows = [dict(zip(fields, row, strict=True)) for row in csv.reader(done.stdout.splitlines(), delimiter='\t')]
    assert not any(row['_ws.malformed'] for row in rows)
    rows = [row for row in rows if row['ip.src']]
    assert {row['ip.src'] for row in rows} >= {KERNEL, LINNET}
    assert all(row['ip.checksum.status'] == '1' for row in rows)
    assert all(row['icmp.checksum.status'] in ('', '1') for row in rows)
    if plain:
        assert sum(row['tcp.checksum.status'] == '1' for row in rows) > 2 * CAPTURED // 1460
        assert all(row['tcp.checksum.status'] in ('', '1') for row in rows)
    longest = max(int(row['frame.len']) for row in rows if row['ip.src'] == LINNET)
    assert longest <= 1514 if plain else longest > 20_000, longest


# -- the command itself

@pytest.mark.parametrize('kind', ['tun', 'tap'])
@pytest.mark.parametrize('signum', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(kind: str, signum: signal.Signals) -> None:
    code = ('import socket\ns = socket.create_server(("0.0.0.0", 80))\nprint("ready", flush=True)\n'
            'try: s.accept()\nfinally: print("cleaned up", flush=True)')
    with Namespace() as ns:
        child = ns.exec(kind, ['-c', code], ready='ready')
        assert ns.has_device()
        child.send_signal(signum)
        text, _ = child.communicate(timeout=10)
        assert (child.returncode, text) == (128 + signum, 'cleaned up\n')
        assert not ns.has_device()


def test_a_signal_ends_a_busy_program() -> None:
    code = 'print("ready", flush=True)\nwhile True: pass'
    with Namespace() as ns:
        child = ns.exec('tun', ['-c', code], ready='ready')
        child.send_signal(signal.SIGTERM)
        text, _ = child.communicate(timeout=10)
        assert (child.returncode, text) == (143, '')


def test_a_signal_that_the_program_swallows() -> None:
    code = ('import os, time\ntry: os.kill(os.getpid(), 15)\nexcept BaseException: print("swallowed", flush=True)\n'
            'while True: time.sleep(0)')
    with Namespace() as ns:
        child = ns.exec('tun', ['-c', code])
        text, _ = child.communicate(timeout=20)
        assert (child.returncode, text) == (143, 'swallowed\n')


def test_exit_code_of_the_program() -> None:
    with Namespace() as ns:
        for code, expected in (('raise SystemExit(3)', 3), ('1 / 0', 1), ('pass', 0)):
            child = ns.exec('tun', ['-c', code])
            text, _ = child.communicate(timeout=20)
            assert child.returncode == expected, text
            assert not ns.has_device()


def test_a_process_of_the_machine() -> None:
    """In real time a program may start one, and wait for what it says, beside its own sockets."""
    code = ('import socket, subprocess, time\na, b = socket.socketpair()\nstart = time.monotonic()\n'
            'done = subprocess.run("cat; sleep 0.2; echo out; echo err >&2; exit 3", shell=True, capture_output=True, '
            'input=b"x" * 200_000)\n'
            'print(done.returncode, len(done.stdout), done.stderr, time.monotonic() - start >= 0.2)')
    with Namespace() as ns:
        assert ns.linnet('tun', ['-c', code], timeout=20) == "3 200004 b'err\\n' True\n"


def test_a_device_that_was_there(files: Path) -> None:
    """It is left as it is: its address, and it stays when we go."""
    with Namespace() as ns:
        ns.run(['ip', 'tuntap', 'add', 'dev', DEVICE, 'mode', 'tun'])
        ns.run(['ip', 'addr', 'add', '10.78.0.1/24', 'dev', DEVICE])
        ns.run(['ip', 'link', 'set', DEVICE, 'up'])
        child = ns.exec('tun', [STATION, 'serve'], '--addr', '10.78.0.2/24', ready='ready')
        assert '1 received' in ns.run(['ping', '-c', '1', '-W', '2', '10.78.0.2'])
        child.send_signal(signal.SIGTERM)
        child.wait(10)
        addresses = ns.run(['ip', '-4', 'addr', 'show', 'dev', DEVICE])
        assert '10.78.0.1/24' in addresses and KERNEL not in addresses


def test_the_device_is_deleted() -> None:
    with Namespace() as ns:
        child = ns.exec('tun', [STATION, 'serve'], ready='ready')
        ns.run(['ip', 'link', 'del', DEVICE])
        text, _ = child.communicate(timeout=10)
        assert (child.returncode, text) == (1, f'Error: {DEVICE} is gone: the interface was deleted\n')


def test_down_and_up_again() -> None:
    with Namespace() as ns:
        ns.exec('tun', [STATION, 'serve'], ready='ready')
        ns.run(['ip', 'link', 'set', DEVICE, 'down'])
        ns.run(['ip', 'link', 'set', DEVICE, 'up'])
        assert ns.run([sys.executable, STATION, 'sequential', LINNET, '5']) == '5 echoed\n'


@pytest.mark.parametrize(('options', 'says'), [
    (['--addr', '1.2'], 'not an IPv4 address'),
    (['--gateway', '9.9.9.9'], 'no default route through 9.9.9.9'),
    (['--pcap', '/nowhere/x'], '/nowhere/x'),
    (['--mtu', '65535', '--tap', 'linnet1'], 'MTU of 65535'),
    (['--tun', 'lo'], 'lo is there already'),
    (['--tun', 'a-name-that-is-too-long'], '1 to 15 bytes'),
])
def test_what_cannot_be(kernel_serves: Namespace, options: list[str], says: str) -> None:
    text = kernel_serves.run([*EXEC, *options, '--', '-c', 'pass'], check=False)
    assert text.startswith('Error: ') and says in text, text
    assert text.count('\n') == 1, text
    assert not kernel_serves.has_device()


def test_its_own_capture(tmp_path: Path) -> None:
    path = tmp_path / 'ours.pcapng'
    with Namespace() as ns:
        ns.start([sys.executable, STATION, 'serve'], 'ready')
        assert ns.linnet('tun', [STATION, 'send', KERNEL, '1000000'], '--pcap', str(path)) == 'equal\n'
    assert path.stat().st_size > 1_000_000


def test_jumbo_frames(kernel_serves: Namespace) -> None:
    for way in ('send', 'receive'):
        assert kernel_serves.linnet('tap-plain', [STATION, way, KERNEL, '2000000'], '--mtu', '9000') == 'equal\n'


def test_busy_device() -> None:
    with Namespace() as ns:
        ns.exec('tun', [STATION, 'serve'], ready='ready')
        child = ns.exec('tun', ['-c', 'pass'])
        text, _ = child.communicate(timeout=20)
        assert child.returncode == 1
        assert f'{DEVICE} is in use by another program' in text


@pytest.mark.skipif(lacking('setpriv') != '', reason=lacking('setpriv'))
def test_without_the_right_to_make_a_device() -> None:
    """Root's uid without its capabilities: the device node opens, the device is refused."""
    with Namespace() as ns:
        powerless = ['setpriv', '--bounding-set', '-all', '--inh-caps', '-all']
        text = ns.run([*powerless, *EXEC, '--', 'python', '-c', 'pass'], check=False)
        assert 'sudo ip tuntap add dev linnet0 mode tun user' in text
        assert 'Traceback' not in text
        assert not ns.has_device()


def test_as_an_ordinary_user() -> None:
    """Where the device node is closed to others, too. Python's own files may be root's: what is needed is imported before."""
    code = ('import os, sys, linnet.attach\nfrom linnet.cli import exec_\nos.setgroups([])\nos.setresgid(65534, 65534, 65534)\n'
            'os.setresuid(65534, 65534, 65534)\nexec_.command(["--tap", "linnet0", "--", "python", "-c", "pass"])')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith('Error: ')
    assert 'sudo ip tuntap add dev linnet0 mode tap user' in done.stderr
    if os.stat('/dev/net/tun').st_mode & 0o006 != 0o006:
        assert 'sudo chmod a+rw /dev/net/tun' in done.stderr
