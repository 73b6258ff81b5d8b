# SPDX-License-Identifier: Apache-2.0
"""socketserver in its four forms, and smtplib against a small server."""

from __future__ import annotations

import smtplib
import socket
import socketserver
import threading
from pathlib import Path
from typing import Any

import pytest

from helpers.programs import twice
from linnet.lab import Host


class Upper(socketserver.StreamRequestHandler):
    """Answers each line in capitals."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


class UpperDatagram(socketserver.BaseRequestHandler):
    """Answers each datagram in capitals."""

    def handle(self) -> None:
        data, sock = self.request
        sock.sendto(data.upper(), self.client_address)


class ReusableTCP(socketserver.TCPServer):
    allow_reuse_address = True


class ReusableThreadingTCP(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@pytest.mark.parametrize('kind', [ReusableTCP, ReusableThreadingTCP])
def test_stream_servers(tmp_path: Path, kind: type[socketserver.TCPServer]) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def serve() -> None:
            with kind(('', 7), Upper) as listener:
                threading.Thread(target=listener.serve_forever, daemon=True).start()
                stop.wait()
                listener.shutdown()
                out.append('closed')

        def talk(i: int) -> None:
            with socket.create_connection(('server', 7)) as sock:
                stream = sock.makefile('rwb')
                for n in range(3):
                    stream.write(b'line %d of %d\n' % (n, i))
                    stream.flush()
                    out.append(stream.readline())
                stream.close()

        def clients() -> None:
            threads = [threading.Thread(target=talk, args=(i,)) for i in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            stop.set()

        stop = threading.Event()
        server.spawn(serve)
        client.spawn(clients)

    out = twice(tmp_path, build)
    assert out[-1] == 'closed'
    assert sorted(out[:-1]) == sorted(b'LINE %d OF %d\n' % (n, i) for i in range(4) for n in range(3))


@pytest.mark.parametrize('kind', [socketserver.UDPServer, socketserver.ThreadingUDPServer])
def test_datagram_servers(tmp_path: Path, kind: type[socketserver.UDPServer]) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(0.5)
                for i in range(20):
                    sock.sendto(b'datagram %d' % i, ('server', 7))
                    try:
                        data, peer = sock.recvfrom(100)
                        assert peer == ('198.18.0.2', 7)
                        out.append(data)
                    except TimeoutError:
                        out.append('lost')

        server.spawn(lambda: kind(('', 7), UpperDatagram).serve_forever(), daemon=True)
        client.spawn(talk)

    out = twice(tmp_path, build, link={'rate': '1mbit', 'delay': '10ms', 'loss': '10 %'})
    assert len(out) == 20
    assert 0 < out.count('lost') < 10
    assert all(got in ('lost', b'DATAGRAM %d' % i) for i, got in enumerate(out))


def mail_server(letters: list[bytes]) -> None:
    """As much of SMTP as smtplib needs, for one client."""
    listener = socket.create_server(('', 25))
    conn, _ = listener.accept()
    with conn, conn.makefile('rwb') as stream:

        def say(text: bytes) -> None:
            stream.write(text + b'\r\n')
            stream.flush()

        say(b'220 mx ready')
        for line in stream:
            verb = line[:4].upper()
            if verb == b'EHLO':
                say(b'250-mx')
                say(b'250 SIZE 1000000')
            elif verb == b'DATA':
                say(b'354 go on')
                letter = b''
                while (line := stream.readline()) != b'.\r\n':
                    letter += line
                letters.append(letter)
                say(b'250 queued')
            elif verb == b'RCPT' and b'nobody' in line:
                say(b'550 no such user')
            elif verb == b'QUIT':
                say(b'221 bye')
                return
            else:
                say(b'250 ok')


def test_smtplib_delivers_a_letter(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def send() -> None:
            with smtplib.SMTP('server') as smtp:
                out.append(smtp.sendmail('a@client', ['b@server', 'nobody@server'], 'Subject: hello\r\n\r\n' + 'text\r\n' * 2000))

        server.spawn(mail_server, out)
        client.spawn(send)

    assert twice(tmp_path, build) == [b'Subject: hello\r\n\r\n' + b'text\r\n' * 2000, {'nobody@server': (550, b'no such user')}]
