# SPDX-License-Identifier: Apache-2.0
"""CPython's web server and its two clients, unmodified."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import io
import random
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from helpers.programs import twice
from linnet.lab import Host


class Quiet(http.server.BaseHTTPRequestHandler):
    """Keeps connections open, echoes what is posted, and takes its time on /slow."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        if self.path == '/slow':
            time.sleep(3)
        body = f'{self.path} for {self.client_address[0]}'.encode()
        self.send_response(200 if self.path != '/gone' else 410)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])

    def log_message(self, format: str, *args: Any) -> None:
        return


def serve(kind: type[http.server.HTTPServer] = http.server.ThreadingHTTPServer) -> None:
    kind(('', 8000), Quiet).serve_forever()


def test_python_m_http_server_gives_a_file_to_urllib(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(300_000)
    folder = tmp_path / 'www'
    folder.mkdir()
    (folder / 'data').write_bytes(data)
    log = io.StringIO()

    def build(client: Host, server: Host, out: list[Any]) -> None:
        web = server.spawn(['-m', 'http.server', '8000', '--directory', str(folder)], daemon=True)
        web.stdout = web.stderr = log

        def fetch() -> None:
            with urllib.request.urlopen('http://server:8000/data') as response:
                out.append((response.status, response.headers['Content-Length'], hashlib.sha256(response.read()).hexdigest()))
            with urllib.request.urlopen('http://server:8000/') as response:
                out.append(b'href="data"' in response.read())
            try:
                urllib.request.urlopen('http://server:8000/nothing')
            except urllib.error.HTTPError as exc:
                out.append(exc.code)

        client.spawn(fetch)

    assert twice(tmp_path, build) == [(200, '300000', hashlib.sha256(data).hexdigest()), True, 404]
    assert '"GET /data HTTP/1.1" 200' in log.getvalue()
    assert 'Serving HTTP on 0.0.0.0 port 8000' in log.getvalue()


@pytest.mark.parametrize('kind', [http.server.HTTPServer, http.server.ThreadingHTTPServer])
def test_http_client_keeps_its_connection(tmp_path: Path, kind: type[http.server.HTTPServer]) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            conn = http.client.HTTPConnection('server', 8000)
            for path in ('/a', '/b', '/gone'):
                conn.request('GET', path)
                response = conn.getresponse()
                out.append((response.status, response.read()))
            port = conn.sock.getsockname()[1]
            conn.request('POST', '/', body=b'abc' * 10_000)
            out.append(conn.getresponse().read() == b'cba' * 10_000)
            out.append(conn.sock.getsockname()[1] == port)
            conn.close()

        server.spawn(serve, kind, daemon=True)
        client.spawn(talk)

    me = b'198.18.0.1'
    assert twice(tmp_path, build) == [(200, b'/a for ' + me), (200, b'/b for ' + me), (410, b'/gone for ' + me), True, True]


def test_many_clients_at_once_take_the_time_of_one(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def fetch(i: int) -> None:
            start = time.monotonic()
            body = urllib.request.urlopen(f'http://server:8000/slow?{i}' if i else 'http://server:8000/slow').read()
            out.append((i, body[:5]))
            assert time.monotonic() - start < 15

        server.spawn(serve, daemon=True)
        for i in range(12):
            client.spawn(fetch, i)

    assert sorted(twice(tmp_path, build)) == [(i, b'/slow') for i in range(12)]


def test_urlopen_times_out_in_virtual_time(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def fetch() -> None:
            try:
                urllib.request.urlopen('http://server:8000/slow', timeout=1)
            except TimeoutError as exc:
                out.append(str(exc))
            out.append(1 <= time.monotonic() < 2.9)
            for url in ('http://server:8001/', 'http://nobody/'):
                try:
                    urllib.request.urlopen(url)
                except urllib.error.URLError as exc:
                    out.append(str(exc))

        server.spawn(serve, daemon=True)
        client.spawn(fetch)

    assert twice(tmp_path, build, link={'rate': '10mbit', 'delay': '10ms'}) == [
        'timed out',
        True,
        '<urlopen error [Errno 111] Connection refused>',
        '<urlopen error [Errno -2] Name or service not known>',
    ]
