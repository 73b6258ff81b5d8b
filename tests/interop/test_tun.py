# SPDX-License-Identifier: Apache-2.0
"""The stack on a TUN and a TAP device, the real kernel's TCP, UDP and ping at the other end, in real time.

The kernel's side lives in a network namespace of its own, so that two runs on one machine do not meet.
"""
from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.hosts import Prog
from helpers.netns import lacking
from linnet.drivers.net.pcap import PcapTap
from linnet.drivers.net.tun import tun_open
from linnet.include.linux.inet import in_aton
from linnet.include.linux.netdevice import NetDevice
from linnet.include.net.net_namespace import Net, World
from linnet.kernel.clock import RealClock
from linnet.net.boot import new_net, new_world
from linnet.net.core.dev import dev_open, unregister_netdevice
from linnet.net.ipv4.devinet import inet_addr_add

WHY = lacking()
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(WHY != '', reason=WHY),
    pytest.mark.xdist_group('tun'),
]

OURS, THEIRS = '198.18.77.2', '198.18.77.1'
SECOND = 1_000_000_000

# What the kernel's side runs, in a process of its own: echo until EOF, or send and hash what comes back.
CLIENT = f'''
import hashlib, socket, sys
data = bytes(range(251)) * (int(sys.argv[1]) // 251)
s = socket.create_connection(({OURS!r}, 7), 20)
s.settimeout(20)
import threading
def send():
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
h, n = hashlib.sha256(), 0
while True:
    got = s.recv(1 << 16)
    if not got:
        break
    h.update(got)
    n += len(got)
print(n, h.hexdigest() == hashlib.sha256(data).hexdigest())
'''


class Station:
    """One of our hosts behind a device, and the kernel's side configured."""

    def __init__(self, tap: bool, offload: bool) -> None:
        self.world: World = new_world(RealClock(), 1)
        self.net: Net = new_net(self.world, 'station')
        self.dev: NetDevice = tun_open(self.net, 'lnit%d', tap, offload)
        self.netns = f'linnet-test-{os.getpid()}'
        name = self.dev.name
        for command in (f'netns add {self.netns}', f'link set {name} netns {self.netns}',
                        f'-n {self.netns} addr add {THEIRS}/24 dev {name}', f'-n {self.netns} link set {name} up'):
            subprocess.run(['ip', *command.split()], check=True)
        assert dev_open(self.dev) == 0
        assert inet_addr_add(self.dev, in_aton(OURS), 24) == 0
        self.prog = Prog(self.net)

    def echo(self, connections: int) -> None:
        """A task: serve so many connections on port 7."""
        prog = self.prog
        listener = prog.server(7)
        for _ in range(connections):
            fd, peer, _ = prog.accept(listener)
            assert peer == THEIRS
            while True:
                data = prog.recv(fd, 1 << 18)
                if not data:
                    break
                prog.sendall(fd, data)
            prog.close(fd)
        prog.close(listener)

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        """Start a program of the kernel's side."""
        return subprocess.Popen(
            ['ip', 'netns', 'exec', self.netns, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )

    def run(self, command: list[str], seconds: int = 60) -> str:
        """Run a program of the kernel's side until it ends; what it printed."""
        return self.finish(self.start(command), seconds)

    def finish(self, child: subprocess.Popen[str], seconds: int = 60) -> str:
        """Let the stack run until the program has ended; what it printed."""
        clock = self.world.clock
        end = int(clock.now) + seconds * SECOND
        while child.poll() is None:
            assert clock.now < end, 'the other side does not come to an end'
            self.world.sched.run(int(clock.now) + SECOND // 50)
        assert child.stdout is not None
        return child.stdout.read()

    def close(self) -> None:
        """Let go of the device."""
        self.world.sched.kill_all()
        unregister_netdevice(self.dev)
        self.world.sched.close()
        subprocess.run(['ip', 'netns', 'del', self.netns], check=True)


@pytest.fixture(params=['tun-offload', 'tun', 'tap-offload', 'tap'])
def station(request: pytest.FixtureRequest) -> Iterator[Station]:
    """The four kinds of device."""
    kind = request.param.split('-')
    made = Station(kind[0] == 'tap', 'offload' in kind)
    yield made
    made.close()


def test_ping(station: Station) -> None:
    if shutil.which('ping') is None:
        pytest.skip('ping is not installed')
    text = station.run(['ping', '-c', '20', '-i', '0.01', '-W', '2', '-s', '1000', OURS])
    assert '20 received' in text, text


def test_bulk_both_ways(station: Station) -> None:
    size = 5_000_000 // 251 * 251
    station.world.sched.spawn(lambda: station.echo(1), 'echo', daemon=True)
    assert station.run([sys.executable, '-c', CLIENT, str(size)]) == f'{size} True\n'
    assert station.net.mib.get('TcpInCsumErrors') == 0


def test_many_short_connections(station: Station) -> None:
    station.world.sched.spawn(lambda: station.echo(30), 'echo', daemon=True)
    client = CLIENT.replace('print(n', 'n and print(n')
    script = 'import sys\nfor i in range(30):\n' + ''.join(f'    {line}\n' for line in client.strip().splitlines())
    assert station.run([sys.executable, '-c', script, '1004']) == '1004 True\n' * 30


def test_a_client_of_ours(station: Station) -> None:
    data = bytes(range(256)) * 20_000
    port = 4000
    server = (f'import hashlib, socket\ns = socket.create_server(({THEIRS!r}, {port}))\nprint("ready", flush=True)\n'
              'c, peer = s.accept()\nh = hashlib.sha256()\n'
              'while True:\n    d = c.recv(1 << 16)\n    if not d: break\n    h.update(d)\nprint(peer[0], h.hexdigest())')
    child = station.start([sys.executable, '-c', server])
    assert child.stdout is not None
    assert child.stdout.readline() == 'ready\n'

    def client() -> None:
        fd = station.prog.client(THEIRS, port)
        station.prog.sendall(fd, data)
        station.prog.close(fd)

    station.world.sched.spawn(client, 'client')
    assert station.finish(child) == f'{OURS} {hashlib.sha256(data).hexdigest()}\n'


def test_udp(station: Station) -> None:
    def echo() -> None:
        fd = station.prog.udp(9)
        while True:
            data, host, port = station.prog.recvfrom(fd)
            station.prog.sendto(fd, data, host, port)

    station.world.sched.spawn(echo, 'echo', daemon=True)
    script = (f'import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.connect(({OURS!r}, 9))\ns.settimeout(5)\n'
              'for n in (0, 1, 100, 1472, 1473, 8000):\n    s.send(bytes(n))\n    print(len(s.recv(65536)))')
    assert station.run([sys.executable, '-c', script]).split() == ['0', '1', '100', '1472', '1473', '8000']


def test_our_capture_of_it(station: Station, tmp_path: Path) -> None:
    tshark = shutil.which('tshark')
    if tshark is None:
        pytest.skip('tshark is not installed')
    path = tmp_path / 'x.pcapng'
    tap = PcapTap(str(path), [station.dev])
    station.world.sched.spawn(lambda: station.echo(1), 'echo', daemon=True)
    size = 1_000_000 // 251 * 251
    assert station.run([sys.executable, '-c', CLIENT, str(size)]) == f'{size} True\n'
    tap.close()
    bad = 'tcp.checksum.status == 0 || ip.checksum.status == 0 || _ws.malformed || tcp.analysis.retransmission'
    done = subprocess.run(
        [tshark, '-r', str(path), '-o', 'tcp.check_checksum:TRUE', '-o', 'ip.check_checksum:TRUE', '-Y', bad],
        capture_output=True, text=True, check=True,
    )
    assert done.stdout == ''
