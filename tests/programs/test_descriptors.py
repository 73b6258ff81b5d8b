# SPDX-License-Identifier: Apache-2.0
"""What os, fcntl, io and socket do with the descriptors of simulated programs, as CPython does with the machine's."""

from __future__ import annotations

import array
import errno
import fcntl
import io
import os
import select
import socket
import ssl
import stat
import struct
import termios
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from linnet import Lab


def run(fn: Callable[[], Any]) -> Any:
    """What fn returns as a program on a host of its own."""
    out: list[Any] = []
    with Lab(seed=1) as lab:
        here, there = lab.host('here'), lab.host('there')
        lab.link(here, there, delay='1ms')
        here.spawn(lambda: out.append(fn()))
        lab.run()
        lab.close()
        assert lab.live_objects() == {}
    return out[0]


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        a = socket.create_connection(listener.getsockname())
        return a, listener.accept()[0]


def test_sendfile_sends_what_is_left_of_a_file(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4000
    (tmp_path / 'data').write_bytes(data)

    def program() -> Any:
        a, b = pair()
        got = bytearray()

        def take() -> None:
            while part := b.recv(65536):
                got.extend(part)

        thread = threading.Thread(target=take)
        thread.start()
        with (tmp_path / 'data').open('rb') as file:
            first = os.sendfile(a.fileno(), file.fileno(), None, 1000)
            at = os.lseek(file.fileno(), 0, os.SEEK_CUR)
            sent = a.sendfile(file, 5000)
            a.shutdown(socket.SHUT_WR)
            thread.join()
            with pytest.raises(OSError, match='Illegal seek') as caught:
                os.sendfile(a.fileno(), b.fileno(), 0, 1)
            assert caught.value.errno == errno.ESPIPE
            return first, at, sent, file.tell(), bytes(got) == data[:1000] + data[5000:]

    assert run(program) == (1000, 1000, len(data) - 5000, len(data), True)


def test_dup_dup2_and_inheritance() -> None:
    def program() -> Any:
        a, b = pair()
        assert not a.get_inheritable()
        a.set_inheritable(True)
        assert os.get_inheritable(a.fileno())
        copy = os.dup(a.fileno())
        assert not os.get_inheritable(copy)
        os.dup2(b.fileno(), copy)
        assert os.get_inheritable(copy)
        a.send(b'to b')
        assert os.read(copy, 100) == b'to b'
        with pytest.raises(OSError, match='machine'):
            os.dup2(copy, 1)
        again = socket.socket(fileno=copy)
        assert again.getsockname() == b.getsockname()
        return stat.S_ISSOCK(os.fstat(copy).st_mode), os.isatty(copy)

    assert run(program) == (True, False)


def test_fcntl_and_ioctl() -> None:
    def program() -> Any:
        a, b = pair()
        a.send(b'12345')
        assert fcntl.fcntl(b, fcntl.F_GETFL) & os.O_NONBLOCK == 0
        b.setblocking(False)
        assert fcntl.fcntl(b, fcntl.F_GETFL) & os.O_NONBLOCK
        buffer = array.array('i', [0])
        assert fcntl.ioctl(b, termios.FIONREAD, buffer) == 0
        packed = fcntl.ioctl(b.fileno(), termios.FIONREAD, struct.pack('i', 0))
        with pytest.raises(OSError, match='Inappropriate') as caught:
            fcntl.ioctl(b, termios.TIOCGWINSZ, bytes(8))
        assert caught.value.errno == errno.ENOTTY
        return buffer[0], struct.unpack('i', packed)[0]

    assert run(program) == (5, 5)


def test_open_makes_files_of_pipes_and_sockets() -> None:
    def program() -> Any:
        r, w = os.pipe()
        with open(w, 'w') as out, os.fdopen(r) as lines:  # noqa: PTH123
            print('one', file=out)
            print('two', file=out, flush=True)
            first = lines.readline()
            out.close()
            rest = lines.read()
        a, b = pair()
        raw = io.open(b.detach(), 'rb', 0)  # noqa: UP020
        os.set_blocking(raw.fileno(), False)
        nothing = raw.read(10)
        a.send(b'x')
        return first, rest, nothing, raw.read(10), raw.closed, raw.close(), raw.closed

    assert run(program) == ('one\n', 'two\n', None, b'x', False, None, True)


def test_a_socket_that_is_dropped_is_closed_with_a_warning() -> None:
    def program() -> Any:
        a, b = pair()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter('always')
            del a
            end = b.recv(1)
        return end, [str(w.message)[:8] for w in seen], [w.category for w in seen]

    assert run(program) == (b'', ['unclosed'], [ResourceWarning])


def test_a_program_that_only_polls_lets_its_threads_run() -> None:
    def program() -> Any:
        a, b = pair()
        done: list[str] = []
        thread = threading.Thread(target=lambda: done.append('ran'))
        thread.start()
        rounds = 0
        while not done:
            select.select([], [a], [], 0.1)  # always ready
            rounds += 1
        for maker in (select.poll, select.epoll):
            done.clear()
            poller = maker()
            poller.register(b, select.POLLOUT)
            threading.Thread(target=lambda: done.append('ran')).start()
            while not done:
                poller.poll()
        return rounds < 1000

    assert run(program)


def test_a_program_that_only_looks_at_the_clock_lets_its_threads_run() -> None:
    def program() -> Any:
        done: list[float] = []
        threading.Thread(target=lambda: done.append(time.monotonic())).start()
        while not done:
            time.monotonic()
        return done[0] < 0.001

    assert run(program)


def test_a_busy_exchange_with_oneself_does_not_make_time_fly() -> None:
    def program() -> Any:
        a, b = pair()
        start = time.monotonic()
        for _ in range(5000):
            a.send(b'x')
            b.recv(1)
            time.monotonic()
        return time.monotonic() - start < 0.1

    assert run(program)


def test_the_machines_descriptors_are_looked_at_once(tmp_path: Path) -> None:
    def program() -> Any:
        a, b = pair()
        with (tmp_path / 'file').open('w') as file:
            both = select.select([b], [a, file], [], 10)
            a.send(b'x')
            return both[1] == [a, file], select.select([b, file], [], [])[0] == [b, file], time.monotonic() < 1

    assert run(program) == (True, True, True)


def test_interfaces_and_names() -> None:
    def program() -> Any:
        names = dict(socket.if_nameindex())
        assert {socket.if_indextoname(i) for i in names} == set(names.values())
        assert {socket.if_nametoindex(n) for n in names.values()} == set(names)
        with pytest.raises(OSError, match='no interface'):
            socket.if_nametoindex('wlan7')
        socket.sethostname('elsewhere')
        with pytest.raises(OSError, match='not known'):
            socket.getnameinfo(('no.number', 80), 0)
        return sorted(names.values())[-1], socket.gethostname(), socket.getnameinfo(('127.0.0.1', 80), 0)

    last, name, info = run(program)
    assert last == 'lo'
    assert name == 'elsewhere'
    assert info == ('localhost', 'http')


def test_a_socket_for_both_families() -> None:
    def program() -> Any:
        with socket.create_server(('', 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
            with socket.create_connection(('127.0.0.1', listener.getsockname()[1])):
                return socket.has_dualstack_ipv6(), listener.accept()[1][0]

    assert run(program) == (True, '::ffff:127.0.0.1')


def test_each_program_has_its_own_default_time_out() -> None:
    before = socket.getdefaulttimeout()

    def program() -> Any:
        socket.setdefaulttimeout(2.5)
        a, b = pair()
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            b.recv(1)
        waited = time.monotonic() - start
        for bad, error in ((-1, ValueError), (float('nan'), ValueError), (1e12, OverflowError)):
            with pytest.raises(error):
                socket.setdefaulttimeout(bad)
            with pytest.raises(error):
                a.settimeout(bad)
        return a.gettimeout(), b.gettimeout(), round(waited, 2), socket.getdefaulttimeout()

    assert run(program) == (2.5, 2.5, 2.5, 2.5)
    assert run(socket.getdefaulttimeout) is None
    assert socket.getdefaulttimeout() == before


def test_methods_can_be_replaced_on_the_class() -> None:
    def program() -> Any:
        with mock.patch('socket.socket.connect', side_effect=OSError(errno.ENETDOWN, 'mocked')) as connect:
            with pytest.raises(OSError, match='mocked'):
                socket.create_connection(('127.0.0.1', 1))
            assert connect.call_count == 1
        with mock.patch.object(socket.socket, 'accept', return_value=('nobody', None)):
            assert socket.socket().accept()[0] == 'nobody'

        class Named(socket.socket):
            def __init__(self, name: str) -> None:
                socket.socket.__init__(self, socket.AF_INET, socket.SOCK_STREAM)
                self.name = name

            def connect(self, address: Any) -> None:
                self.name += ' connects'
                socket.socket.connect(self, address)

        with socket.create_server(('127.0.0.1', 0)) as listener, Named('n') as named:
            named.connect(listener.getsockname())
            return named.name, listener.accept()[1] == named.getsockname()

    assert run(program) == ('n connects', True)
    with mock.patch('socket.socket.connect', side_effect=OSError(errno.ENETDOWN, 'mocked')):
        with pytest.raises(OSError, match='mocked'):
            socket.create_connection(('127.0.0.1', 1))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(('127.0.0.1', 1))


def test_certificates_are_found_by_the_programs_environment(tmp_path: Path) -> None:
    def program() -> Any:
        os.environ['SSL_CERT_FILE'] = str(tmp_path / 'none')
        os.environ['SSL_CERT_DIR'] = str(tmp_path)
        context = ssl.create_default_context()
        return context.cert_store_stats()['x509'], ssl.get_default_verify_paths().capath

    before = ssl.create_default_context().cert_store_stats()
    assert run(program) == (0, str(tmp_path))
    assert ssl.create_default_context().cert_store_stats() == before
