# SPDX-License-Identifier: Apache-2.0
"""linnet.socket: the drop-in for `import socket`, in a program, within `with host:`, and nowhere else."""

from __future__ import annotations

import errno
import socket as std
import struct
import threading
from collections.abc import Iterator

import pytest

from linnet import Lab, socket
from linnet.kernel.sched import Deadlock
from linnet.lab import Host
from linnet.program.runtime import FIRST_FD


def echo() -> None:
    listener = socket.create_server(('', 7))
    while True:
        conn, _ = listener.accept()
        with conn:
            while data := conn.recv(100):
                conn.sendall(data.upper())


def datagrams() -> None:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(('', 9))
    while True:
        udp.sendto(*udp.recvfrom(100))


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab(seed=1)
    client, server = lab.host('client'), lab.host('server')
    lab.link(client, server, delay='10ms')
    server.spawn(echo, daemon=True)
    server.spawn(datagrams, daemon=True)
    yield lab
    lab.close()
    assert lab.live_objects() == {}


@pytest.fixture
def client(lab: Lab) -> Host:
    return lab.hosts['client']


def test_it_has_every_name_of_the_standard_module() -> None:
    missing = [name for name in std.__all__ if not hasattr(socket, name)]
    assert missing == []
    assert set(std.__all__) <= set(dir(socket))
    assert socket.AF_INET is std.AF_INET and socket.timeout is TimeoutError and socket.gaierror is std.gaierror
    assert socket.inet_aton('1.2.3.4') == b'\1\2\3\4'
    assert socket.SocketType is socket.socket and issubclass(socket.socket, std.socket)
    assert [name for name in dir(std.socket) if not hasattr(socket.socket, name)] == []
    with pytest.raises(AttributeError):
        socket.no_such_name  # noqa: B018


@pytest.mark.parametrize('call', [
    lambda: socket.socket(), lambda: socket.create_connection(('server', 7)), lambda: socket.gethostname(),
    lambda: socket.getaddrinfo('server', 7), lambda: socket.socketpair(), lambda: socket.create_server(('', 0)),
])
def test_without_a_host_it_says_so_and_opens_nothing(call: object) -> None:
    assert callable(call)
    with pytest.raises(RuntimeError, match=r'there is none here: use it in a program .* or within `with lab.host'):
        call()


def test_in_a_program_it_is_what_import_socket_is(lab: Lab, client: Host) -> None:
    def program() -> None:
        sock = socket.create_connection(('server', 7), timeout=5)
        assert isinstance(sock, socket.socket) and isinstance(sock, std.socket) and sock.fileno() >= FIRST_FD
        sock.sendall(b'x')
        assert sock.recv(9) == b'X'
        assert socket.gethostname() == 'client'

    client.spawn(program)
    lab.run()


def test_within_a_host_the_world_runs_during_each_call(lab: Lab, client: Host) -> None:
    with client as host:
        assert host is client
        with socket.create_connection(('server', 7)) as sock:
            assert type(sock) is socket.socket
            connected = lab.now
            assert 0.039 < connected < 0.041  # ARP and the handshake: the world ran so long, and no longer
            assert sock.getpeername() == ('198.18.0.2', 7)
            sock.sendall(b'hello')
            assert lab.now == connected
            assert sock.recv(9) == b'HELLO'
            assert lab.now == pytest.approx(connected + 0.02, abs=1e-3)
            with sock.makefile('rwb') as stream:
                stream.write(b'line\n')
                stream.flush()
                assert stream.readline() == b'LINE\n'
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(9) == b''
        assert sock.fileno() == -1
        lab.run()


def test_names_options_timeouts_and_errors(lab: Lab, client: Host) -> None:
    with client:
        assert socket.gethostname() == 'client'
        assert socket.gethostbyname('server') == '198.18.0.2'
        assert socket.getaddrinfo('server', 80, type=socket.SOCK_STREAM)[0][4] == ('198.18.0.2', 80)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(2)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 5000)
            assert udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 10_000
            udp.sendto(b'ping', ('server', 9))
            buffer = bytearray(10)
            assert udp.recvfrom_into(buffer) == (4, ('198.18.0.2', 9))
            before = lab.now
            with pytest.raises(TimeoutError):
                udp.recv(1)
            assert lab.now == pytest.approx(before + 2)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(('server', 81))
        with socket.socket() as sock:
            assert sock.connect_ex(('server', 81)) == errno.ECONNREFUSED
        with pytest.raises(socket.gaierror):
            socket.create_connection(('nobody', 81))


def test_servers_pairs_and_descriptors(lab: Lab, client: Host) -> None:
    with lab.hosts['server']:
        listener = socket.create_server(('', 80))
        client.spawn(lambda: socket.create_connection(('server', 80)).sendall(b'hi'))
        conn, peer = listener.accept()
        assert type(conn) is socket.socket and peer[0] == '198.18.0.1'
        assert conn.recv(9) == b'hi'
        twin = conn.dup()
        assert type(twin) is socket.socket
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        for sock in (twin, conn, listener):
            sock.close()
        left, right = socket.socketpair()
        left.send(b'x')
        assert right.recv(1) == b'x'
        fd = left.detach()
        again = socket.socket(fileno=fd)
        again.send(b'y')
        assert right.recv(1) == b'y'
        again.close()
        right.close()


def test_a_call_that_can_never_end_is_a_deadlock_and_the_console_lives_on(lab: Lab, client: Host) -> None:
    with client:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(('', 99))
        with pytest.raises(Deadlock, match='client:console waits for datagram'):
            udp.recv(1)
        udp.sendto(b'x', ('server', 9))
        assert udp.recv(1) == b'x'
        udp.close()


def test_what_the_block_left_open_is_closed(lab: Lab, client: Host) -> None:
    with client:
        sock = socket.create_connection(('server', 7))
    with pytest.raises(OSError), client:
        sock.send(b'x')
    sock.close()  # nothing is left to do


def test_hosts_can_be_nested(lab: Lab, client: Host) -> None:
    with client:
        a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        a.bind(('', 50))
        with lab.hosts['server']:
            assert socket.gethostname() == 'server'
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as b:
                b.sendto(b'x', ('client', 50))
        assert socket.gethostname() == 'client'
        assert a.recvfrom(1)[1][0] == '198.18.0.2'
        a.close()
    with pytest.raises(RuntimeError, match='there is none here'):
        socket.gethostname()


def test_a_program_that_fails_meanwhile_is_heard(lab: Lab, client: Host) -> None:
    def broken() -> None:
        raise LookupError('in a program')

    lab.hosts['server'].spawn(broken)
    with client, pytest.raises(LookupError, match='in a program'):
        socket.create_connection(('server', 7))


def test_the_machines_module_is_not_touched(client: Host) -> None:
    with client:
        with std.socket() as machine:
            assert machine.fileno() < FIRST_FD
        done = threading.Event()
        threading.Thread(target=done.set).start()
        assert done.wait(10)
