# SPDX-License-Identifier: Apache-2.0
"""TLS in simulated programs: CPython's ssl on both sides, blocking and asyncio, and the protocols that start it midway.

What OpenSSL draws is the machine's randomness, so that captures of two runs differ in their bytes. They are compared by the
time and the size of every packet, which Ed25519 keys make equal.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ftplib
import imaplib
import io
import select
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.certificates import certificate
from helpers.programs import LINK, shapes
from linnet import Lab
from linnet.lab import Host

CLEAN = {'rate': '10mbit', 'delay': '10ms'}
Build = Callable[[Host, Host, list[Any]], None]


class Tls:
    """The files of a run, and contexts made of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pem = certificate(folder / 'server.pem', 'server')

    def server(self, pem: Path | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem or self.pem)
        return context

    def client(self, pem: Path | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(pem or self.pem)
        return context

    def once(self, name: str, build: Build, link: dict[str, Any]) -> list[Any]:
        out: list[Any] = []
        with Lab(seed=1) as lab:
            client, server = lab.host('client'), lab.host('server')
            lab.link(client, server, **link)
            lab.pcap(self.folder / name)
            build(client, server, out)
            lab.run()
            lab.close()
            assert lab.live_objects() == {}
        return out

    def twice(self, build: Build, link: dict[str, Any] = LINK) -> list[Any]:
        """What the programs reported, the same in both runs; packets of equal sizes at equal times."""
        noise = io.StringIO()
        with contextlib.redirect_stderr(noise):
            first = self.once('1.pcapng', build, link)
            second = self.once('2.pcapng', build, link)
        assert noise.getvalue() == ''
        assert first == second
        seen = shapes(self.folder / '1.pcapng')
        assert len(seen) > 8
        assert seen == shapes(self.folder / '2.pcapng')
        return first


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


def serve(context: ssl.SSLContext, handle: Callable[[ssl.SSLSocket], None], count: int = 1, **options: Any) -> Callable[[], None]:
    """A program that accepts `count` connections on a wrapped listener."""

    def run() -> None:
        with socket.create_server(('', 443)) as plain, context.wrap_socket(plain, server_side=True, **options) as listener:
            assert isinstance(listener, ssl.SSLSocket)
            for _ in range(count):
                conn, _ = listener.accept()
                with conn:
                    handle(conn)

    return run


def echo(conn: ssl.SSLSocket) -> None:
    while data := conn.recv(65536):
        conn.sendall(data)


def dial(context: ssl.SSLContext, **options: Any) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection(('server', 443)), server_hostname='server', **options)


def test_both_sides(tls: Tls) -> None:
    text = bytes(range(256)) * 800

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def fetch() -> None:
            with dial(tls.client()) as sock:
                assert isinstance(sock, ssl.SSLSocket)
                assert isinstance(sock, socket.socket)
                out.append((sock.version(), sock.getpeername()[1], sock.getpeercert()['subject'], sock.server_hostname))  # type: ignore[index]
                thread = threading.Thread(target=sock.sendall, args=(text,))
                thread.start()
                got = b''
                while len(got) < len(text):
                    got += sock.recv(50_000)
                thread.join()
                out.append(got == text)

        server.spawn(serve(tls.server(), echo))
        client.spawn(fetch)

    (version, port, subject, name), same = tls.twice(build)
    assert (version, port, name) == ('TLSv1.3', 443, 'server')
    assert subject == ((('commonName', 'server'),),)
    assert same


def test_connect_on_a_wrapped_socket_alpn_sni_and_unwrap(tls: Tls) -> None:
    other = certificate(tls.folder / 'other.pem', 'other')

    def build(client: Host, server: Host, out: list[Any]) -> None:
        context = tls.server()
        hidden = tls.server(other)
        hidden.set_alpn_protocols(['h2', 'http/1.1'])

        def choose(sock: ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
            assert isinstance(sock, ssl.SSLSocket)
            if name == 'other':
                sock.context = hidden

        context.sni_callback = choose  # type: ignore[assignment]

        def handle(conn: ssl.SSLSocket) -> None:
            out.append(('server', conn.selected_alpn_protocol()))
            conn.sendall(b'secret')
            plain = conn.unwrap()
            plain.sendall(b'plain')
            plain.close()

        def fetch() -> None:
            chosen = tls.client(other)
            chosen.set_alpn_protocols(['http/1.1'])
            with socket.socket() as plain, chosen.wrap_socket(plain, server_hostname='other') as sock:
                assert sock.version() is None
                sock.connect(('server', 443))
                out.append((sock.selected_alpn_protocol(), sock.recv(100), sock.recv(100)))
                raw = sock.unwrap()
                out.append(raw.recv(100))

        server.spawn(serve(context, handle))
        client.spawn(fetch)

    assert tls.twice(build) == [('server', 'http/1.1'), ('http/1.1', b'secret', b''), b'plain']


def test_a_session_is_resumed(tls: Tls) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def fetch() -> None:
            context = tls.client()
            session = None
            for _ in range(2):
                with dial(context, session=session) as sock:
                    sock.sendall(b'x')
                    sock.recv(1)  # in TLS 1.3 the ticket comes after the handshake
                    out.append(sock.session_reused)
                    session = sock.session

        server.spawn(serve(tls.server(), echo, 2))
        client.spawn(fetch)

    assert tls.twice(build) == [False, True]


def test_the_client_is_asked_for_its_certificate(tls: Tls) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        context = tls.server()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(tls.pem)

        def handle(conn: ssl.SSLSocket) -> None:
            out.append(conn.getpeercert()['subject'])  # type: ignore[index]
            echo(conn)

        def fetch() -> None:
            chosen = tls.client()
            chosen.load_cert_chain(tls.pem)
            with dial(chosen) as sock:
                sock.sendall(b'x')
                out.append(sock.recv(1))

        server.spawn(serve(context, handle))
        client.spawn(fetch)

    assert tls.twice(build) == [((('commonName', 'server'),),), b'x']


def test_certificate_and_name_are_verified(tls: Tls) -> None:
    other = certificate(tls.folder / 'other.pem', 'other')

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def run() -> None:
            with socket.create_server(('', 443)) as plain, tls.server().wrap_socket(plain, server_side=True) as listener:
                for _ in range(2):
                    try:
                        listener.accept()[0].recv(1)
                    except ssl.SSLError as exc:
                        out.append(exc.reason)

        def fetch() -> None:
            for context, name in ((tls.client(other), 'server'), (tls.client(), 'elsewhere')):
                plain = socket.create_connection(('server', 443))
                try:
                    context.wrap_socket(plain, server_hostname=name)
                except ssl.SSLCertVerificationError as exc:
                    out.append(exc.verify_message)

        server.spawn(run)
        client.spawn(fetch)

    answers = tls.twice(build)
    assert [a for a in answers if 'ALERT' not in a] == [
        'self-signed certificate', "Hostname mismatch, certificate is not valid for 'elsewhere'."]
    assert [a for a in answers if 'ALERT' in a] == ['TLSV1_ALERT_UNKNOWN_CA', 'SSLV3_ALERT_BAD_CERTIFICATE']


def test_time_outs(tls: Tls) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def mute() -> None:
            with socket.create_server(('', 443)) as listener:
                first = listener.accept()[0]  # never shakes hands
                conn = tls.server().wrap_socket(listener.accept()[0], server_side=True)
                time.sleep(60)
                out.append(len(conn.recv(100)))
                first.close()
                conn.close()

        def impatient() -> None:
            for wrapped in (False, True):
                with socket.create_connection(('server', 443), timeout=2) as plain:
                    start = time.monotonic()
                    try:
                        with tls.client().wrap_socket(plain, server_hostname='server') as sock:
                            assert wrapped
                            start = time.monotonic()
                            sock.send(b'x' * 7)
                            sock.recv(1)
                    except TimeoutError as exc:
                        out.append((str(exc), exc.errno, round(time.monotonic() - start, 3)))

        server.spawn(mute)
        client.spawn(impatient)

    assert tls.twice(build, CLEAN) == [
        ('The handshake operation timed out', None, 2.0),
        ('The read operation timed out', None, 2.0),
        7,
    ]


def test_non_blocking_with_select(tls: Tls) -> None:
    text = b'0123456789' * 200_000  # far more than the socket's buffer

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def slowly(conn: ssl.SSLSocket) -> None:
            time.sleep(1)
            size = 0
            while data := conn.recv(65536):
                size += len(data)
            out.append(size)

        def step(sock: ssl.SSLSocket, call: Callable[[], Any], waits: list[str]) -> Any:
            while True:
                try:
                    return call()
                except ssl.SSLWantReadError:
                    waits.append('read')
                    select.select([sock], [], [])
                except ssl.SSLWantWriteError:
                    waits.append('write')
                    select.select([], [sock], [])

        def push() -> None:
            plain = socket.create_connection(('server', 443))
            plain.setblocking(False)
            with pytest.raises(ValueError, match='do_handshake_on_connect'):
                tls.client().wrap_socket(plain.dup(), server_hostname='server')
            sock = tls.client().wrap_socket(plain, server_hostname='server', do_handshake_on_connect=False)
            waits: list[str] = []
            step(sock, sock.do_handshake, waits)
            out.append(waits[0])
            waits.clear()
            sent = 0
            while sent < len(text):
                sent += step(sock, lambda sent=sent: sock.send(memoryview(text)[sent : sent + 500_000]), waits)
            out.append('write' in waits)
            sock.setblocking(True)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1000):  # the tickets: closing with them unread would be a reset
                pass
            sock.close()

        server.spawn(serve(tls.server(), slowly))
        client.spawn(push)

    assert tls.twice(build) == ['read', True, len(text)]


def test_select_speaks_of_what_is_unread(tls: Tls) -> None:
    """The records behind the one that is read stay in the socket, where select() and poll() see them."""

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def three(conn: ssl.SSLSocket) -> None:
            for word in (b'one', b'two', b'three'):
                conn.send(word)
            conn.recv(1)

        def fetch() -> None:
            with dial(tls.client()) as sock:
                time.sleep(5)
                while select.select([sock], [], [], 1)[0]:
                    out.append((sock.recv(2), sock.pending()))
                    out.append(sock.recv(sock.pending()))

        server.spawn(serve(tls.server(), three))
        client.spawn(fetch)

    assert tls.twice(build, CLEAN) == [(b'on', 1), b'e', (b'tw', 1), b'o', (b'th', 3), b'ree']


def test_an_end_without_close_notify(tls: Tls) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def vanish(conn: ssl.SSLSocket) -> None:
            conn.sendall(b'half')

        def fetch() -> None:
            with dial(tls.client()) as sock:
                out.append((sock.recv(100), sock.recv(100)))
            with dial(tls.client(), suppress_ragged_eofs=False) as sock:
                sock.recv(100)
                with pytest.raises(ssl.SSLEOFError):
                    sock.recv(100)

        server.spawn(serve(tls.server(), vanish, 2))
        client.spawn(fetch)

    assert tls.twice(build) == [(b'half', b'')]


def test_plain_text_on_a_tls_port(tls: Tls) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def run() -> None:
            with socket.create_server(('', 443)) as plain, tls.server().wrap_socket(plain, server_side=True) as listener:
                try:
                    listener.accept()
                except ssl.SSLError as exc:
                    out.append(exc.reason)

        def fetch() -> None:
            with socket.create_connection(('server', 443)) as sock:
                sock.sendall(b'GET / HTTP/1.0\r\n\r\n')
                with contextlib.suppress(ConnectionResetError):
                    out.append(sock.recv(100))

        server.spawn(run)
        client.spawn(fetch)

    assert 'HTTP_REQUEST' in tls.twice(build)


def test_sendfile_and_makefile(tls: Tls, tmp_path: Path) -> None:
    data = bytes(range(256)) * 400
    (tmp_path / 'data').write_bytes(data)

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def send(conn: ssl.SSLSocket) -> None:
            name = conn.makefile('r').readline().strip()
            with (tmp_path / name).open('rb') as file:
                out.append(conn.sendfile(file, 100))

        def fetch() -> None:
            with dial(tls.client()) as sock:
                sock.sendall(b'data\n')
                out.append(sock.makefile('rb').read() == data[100:])

        server.spawn(serve(tls.server(), send))
        client.spawn(fetch)

    assert tls.twice(build) == [len(data) - 100, True]


def test_asyncio_both_sides_start_tls_and_sendfile(tls: Tls, tmp_path: Path) -> None:
    data = bytes(range(256)) * 400
    (tmp_path / 'data').write_bytes(data)

    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = await reader.readline()
            if line == b'STARTTLS\n':
                writer.write(b'go\n')
                await writer.start_tls(tls.server())
                line = await reader.readline()
            if line == b'FILE\n':
                with (tmp_path / 'data').open('rb') as file:
                    loop = asyncio.get_running_loop()
                    await loop.sendfile(writer.transport, file, 100)  # type: ignore[arg-type]
            else:
                writer.write(line[::-1])
            await writer.drain()
            writer.close()

        async def run() -> None:
            plain = await asyncio.start_server(handle, '', 80)
            async with plain, await asyncio.start_server(handle, '', 443, ssl=tls.server()):
                await plain.serve_forever()

        async def fetch() -> None:
            reader, writer = await asyncio.open_connection('server', 443, ssl=tls.client())
            writer.write(b'abc\n')
            out.append((await reader.read(), writer.get_extra_info('ssl_object').version()))
            writer.close()
            reader, writer = await asyncio.open_connection('server', 80)
            writer.write(b'STARTTLS\n')
            out.append(await reader.readline())
            await writer.start_tls(tls.client(), server_hostname='server')
            writer.write(b'def\n')
            out.append(await reader.read())
            writer.close()
            for port, context in ((80, None), (443, tls.client())):
                reader, writer = await asyncio.open_connection('server', port, ssl=context)
                writer.write(b'FILE\n')
                out.append(await reader.read() == data[100:])
                writer.close()

        server.spawn(lambda: asyncio.run(run()), daemon=True)
        client.spawn(lambda: asyncio.run(fetch()))

    assert tls.twice(build) == [(b'\ncba', 'TLSv1.3'), b'go\n', b'\nfed', True, True]


# -- protocols that start TLS midway


class Lines:
    """A small server: greets, answers each line by a table of its first word, and turns to TLS where the answer is 'TLS'."""

    def __init__(self, tls: Tls, greeting: bytes, answers: dict[bytes, bytes], start: tuple[bytes, bytes]) -> None:
        self.tls, self.greeting, self.answers, self.start = tls, greeting, answers, start

    def __call__(self) -> None:
        with socket.create_server(('', 99)) as listener:
            sock = listener.accept()[0]
            sock.sendall(self.greeting)
            file = sock.makefile('rb')
            while line := file.readline():
                words = line.upper().split()
                tag = words.pop(0) if self.greeting.startswith(b'*') else b''
                if words[0] == self.start[0]:
                    sock.sendall(self.start[1].replace(b'TAG', tag))
                    sock = self.tls.server().wrap_socket(sock, server_side=True)
                    file = sock.makefile('rb')
                else:
                    sock.sendall(self.answers[words[0]].replace(b'TAG', tag))
            sock.close()


def test_smtplib_starttls(tls: Tls) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def send() -> None:
            with smtplib.SMTP('server', 99, local_hostname='client') as smtp:
                smtp.starttls(context=tls.client())
                out.append((smtp.noop(), isinstance(smtp.sock, ssl.SSLSocket)))

        ok = b'250 ok\r\n'
        server.spawn(Lines(tls, b'220 hello\r\n', {
            b'EHLO': b'250-server\r\n250 STARTTLS\r\n', b'NOOP': ok, b'QUIT': b'221 bye\r\n'}, (b'STARTTLS', b'220 go\r\n')))
        client.spawn(send)

    assert tls.twice(build) == [((250, b'ok'), True)]


def test_imaplib_starttls(tls: Tls) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def look() -> None:
            with imaplib.IMAP4('server', 99) as imap:
                out.append(imap.starttls(tls.client())[0])
                out.append(imap.noop()[0])

        capability = b'* CAPABILITY IMAP4rev1 STARTTLS\r\nTAG OK done\r\n'
        server.spawn(Lines(tls, b'* OK hello\r\n', {
            b'CAPABILITY': capability, b'NOOP': b'TAG OK fine\r\n', b'LOGOUT': b'* BYE bye\r\nTAG OK bye\r\n'},
            (b'STARTTLS', b'TAG OK go\r\n')))
        client.spawn(look)

    # IMAP tags are drawn at random, always of one length
    assert tls.twice(build) == ['OK', 'OK']


def test_ftplib_auth_tls(tls: Tls) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def look() -> None:
            with ftplib.FTP_TLS(context=tls.client()) as ftp:
                ftp.connect('server', 99)
                ftp.login('me', 'pw')
                out.append((ftp.prot_p(), ftp.voidcmd('NOOP'), isinstance(ftp.sock, ssl.SSLSocket)))

        ok = b'200 ok\r\n'
        server.spawn(Lines(tls, b'220 hello\r\n', {
            b'USER': b'331 pw\r\n', b'PASS': b'230 in\r\n', b'PBSZ': ok, b'PROT': ok, b'NOOP': ok, b'QUIT': b'221 bye\r\n'},
            (b'AUTH', b'234 go\r\n')))
        client.spawn(look)

    assert tls.twice(build) == [('200 ok', '200 ok', True)]


def test_outside_of_a_world_ssl_is_the_machines(tls: Tls) -> None:
    a, b = socket.socketpair()
    server = tls.server()

    def run() -> None:
        with server.wrap_socket(a, server_side=True) as sock:
            sock.sendall(b'real')

    with Lab():
        thread = threading.Thread(target=run)
        thread.start()
        with tls.client().wrap_socket(b, server_hostname='server') as sock:
            assert type(sock) is ssl.SSLSocket
            assert sock.recv(10) == b'real'
        thread.join()
    with pytest.raises(OSError, match=r'.') as caught:
        socket.socket(fileno=1 << 19)
    assert caught.value.errno == errno.EBADF
