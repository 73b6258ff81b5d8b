# SPDX-License-Identifier: Apache-2.0
"""`linnet exec` with addresses of both families, in a namespace of the real kernel: the same programs on both sides."""

from __future__ import annotations

import hashlib
import random
import sys
from pathlib import Path

import pytest

from helpers.netns import DEVICE, KERNEL, LINNET, STATION, Namespace, lacking

WHY = lacking('curl', 'ping')
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(WHY != '', reason=WHY),
    pytest.mark.xdist_group('tun'),
]

KERNEL6, LINNET6 = 'fd77::1', 'fd77::2'
BOTH = ('--address', f'{LINNET6}/64')  # beside the IPv4 address that Namespace.exec gives
KINDS = ['tun', 'tap', 'tap-plain']
ECHO = """
import socket
with socket.create_server(('::', 7), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
    print('ready', flush=True)
    while True:
        conn, peer = listener.accept()
        with conn:
            conn.sendall(peer[0].encode() + b' ' + conn.recv(100))
"""
ASK = """
import socket, sys
for host in sys.argv[1:]:
    with socket.create_connection((host, 7), timeout=20) as conn:
        conn.sendall(b'hello')
        print(conn.recv(100).decode(), flush=True)
"""
RESOLVE = """
import socket
print([entry[4][0] for entry in socket.getaddrinfo('www.example', 80, type=socket.SOCK_STREAM)])
"""
DNS = """
import socket
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
    sock.bind(('::', 53))
    print('ready', flush=True)
    while True:
        query, peer = sock.recvfrom(512)
        end = query.index(0, 12) + 5
        six = query[end - 4:end - 2] == b'\\0\\x1c'
        data = socket.inet_pton(socket.AF_INET6, '2001:db8::7') if six else socket.inet_aton('192.0.2.7')
        answer = b'\\xc0\\x0c' + query[end - 4:end] + (60).to_bytes(4, 'big') + len(data).to_bytes(2, 'big') + data
        sock.sendto(query[:2] + b'\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0' + query[12:end] + answer, peer)
"""


@pytest.mark.parametrize('kind', KINDS)
def test_the_kernel_asks(kind: str, tmp_path: Path) -> None:
    """Both families of one server: ping, TCP; and curl, to http.server."""
    (tmp_path / 'file').write_bytes(random.Random(3).randbytes(200_000))
    with Namespace() as ns:
        ns.exec(kind, ['-c', ECHO], *BOTH, ready='ready')
        for size in ('56', '8000'):  # the second in fragments
            assert '5 received' in ns.run(['ping', '-6', '-c', '5', '-i', '0.01', '-W', '2', '-s', size, LINNET6])
        said = ns.run([sys.executable, '-c', ASK, LINNET6, LINNET])
    assert said.splitlines() == [f'{KERNEL6} hello', f'::ffff:{KERNEL} hello']
    with Namespace() as ns:
        ns.exec(kind, ['-m', 'http.server', '8000', '--bind', '::', '-d', str(tmp_path)], *BOTH, ready='Serving HTTP')
        ns.run(['curl', '-6', '-g', '-s', '-o', str(tmp_path / 'got'), f'http://[{LINNET6}]:8000/file'])
    assert (tmp_path / 'got').read_bytes() == (tmp_path / 'file').read_bytes()


@pytest.mark.parametrize('kind', KINDS)
def test_linnet_asks(kind: str, tmp_path: Path) -> None:
    """The kernel's side has an address of each family by itself."""
    (tmp_path / 'file').write_bytes(random.Random(3).randbytes(200_000))
    with Namespace() as ns:
        ns.start([sys.executable, '-c', ECHO], 'ready')
        # no device, no address yet: the listeners are on ::
        ns.start([sys.executable, '-m', 'http.server', '8000', '--bind', '::', '-d', str(tmp_path)], 'Serving HTTP')
        assert ns.linnet(kind, ['-c', ASK, KERNEL6, KERNEL], *BOTH).splitlines() == [f'{LINNET6} hello', f'::ffff:{LINNET} hello']
        text = ns.linnet(kind, [STATION, 'fetch', f'http://[{KERNEL6}]:8000/file'], *BOTH)
    assert text.strip() == hashlib.sha256((tmp_path / 'file').read_bytes()).hexdigest()


@pytest.mark.parametrize('kind', ['tun', 'tap'])
def test_several_addresses_and_gateways(kind: str) -> None:
    """Each of our addresses answers; what is behind the gateway is reached; the kernel's side gets the address that we say."""
    options = ('--address', 'fd77::2/64', '--address', 'fd77::3/64', '--kernel-addr', 'fd77::9', '--gateway', 'fd77::9')
    with Namespace() as ns:
        ns.run(['ip', '-6', 'addr', 'add', '2001:db8:5::1/128', 'dev', 'lo'])
        ns.start([sys.executable, '-c', ECHO], 'ready')
        assert ns.linnet(kind, ['-c', ASK, '2001:db8:5::1'], *options).splitlines() == ['fd77::2 hello']
    with Namespace() as ns:
        ns.exec(kind, ['-c', ECHO], *options, ready='ready')
        assert ns.run([sys.executable, '-c', ASK, 'fd77::3', 'fd77::2']).splitlines() == ['fd77::9 hello'] * 2
        assert 'fd77::9/64' in ns.run(['ip', '-6', 'addr', 'show', 'dev', DEVICE])


def test_a_name_server_over_ipv6() -> None:
    with Namespace() as ns:
        ns.start([sys.executable, '-c', DNS], 'ready')
        text = ns.linnet('tun', ['-c', RESOLVE], *BOTH, '--nameserver', KERNEL6)
    assert text.strip() == "['2001:db8::7', '192.0.2.7']"


@pytest.mark.parametrize(('options', 'said'), [
    (['--gateway', '2001:db8::1'], 'no default route through 2001:db8::1'),
    (['--address', 'fd77::2/129'], "'129'; it is 0 to 128"),
    (['--mtu', '1279'], 'IPv6 needs an MTU of 1280 bytes'),
])
def test_what_cannot_be(options: list[str], said: str) -> None:
    with Namespace() as ns:
        child = ns.exec('tun', ['-c', 'pass'], *BOTH, *options)
        text, _ = child.communicate(timeout=60)
        assert child.returncode == 1
    assert said in text, text
    assert 'Traceback' not in text
