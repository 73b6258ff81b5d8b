# SPDX-License-Identifier: Apache-2.0
"""requests and urllib3, unmodified, against CPython's web server: pools, retries, streams, sessions."""

from __future__ import annotations

import hashlib
import http.server
import time
from pathlib import Path
from typing import Any

from helpers.programs import need, twice
from linnet.lab import Host

requests = need('requests')
urllib3 = need('urllib3')

BIG = bytes(range(256)) * 800


class Web(http.server.BaseHTTPRequestHandler):
    """Keeps connections; /flaky fails twice, /back redirects, /slow takes 3 s, /jar sets a cookie, POST is echoed."""

    protocol_version = 'HTTP/1.1'

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path == '/flaky' and self.server.failures:  # type: ignore[attr-defined]
            self.server.failures -= 1  # type: ignore[attr-defined]
            self.answer(503, b'not yet', Retry_After='1')
        elif self.path == '/back':
            self.answer(302, b'', Location='/there')
        elif self.path == '/jar':
            self.answer(200, b'', Set_Cookie='taste=sweet')
        elif self.path == '/big':
            self.answer(200, BIG)
        else:
            if self.path == '/slow':
                time.sleep(3)
            self.answer(200, f'{self.path} {self.headers.get("Cookie", "")}'.encode())

    def do_POST(self) -> None:
        self.answer(200, self.rfile.read(int(self.headers['Content-Length'])))

    def log_message(self, format: str, *args: Any) -> None:
        return


class Server(http.server.ThreadingHTTPServer):
    failures = 2


def serve() -> None:
    Server(('', 8000), Web).serve_forever()


def test_requests(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            with requests.Session() as session:
                session.trust_env = False
                out.append(session.get('http://server:8000/back').url)
                session.get('http://server:8000/jar')
                out.append(session.get('http://server:8000/x').text)
                out.append(session.post('http://server:8000/', json={'a': [1, 2, 3]}).json())
                files = {'file': ('name.bin', BIG)}
                out.append(BIG in session.post('http://server:8000/', files=files).content)
                with session.get('http://server:8000/big', stream=True) as response:
                    digest = hashlib.sha256()
                    for chunk in response.iter_content(4096):
                        digest.update(chunk)
                out.append(digest.hexdigest() == hashlib.sha256(BIG).hexdigest())
                for url, problem in (
                    ('http://server:8000/slow', requests.exceptions.ReadTimeout),
                    ('http://server:8001/', requests.exceptions.ConnectionError),
                    ('http://nobody/', requests.exceptions.ConnectionError),
                ):
                    try:
                        session.get(url, timeout=2)
                    except problem as exc:
                        out.append(type(exc).__name__)

        server.spawn(serve, daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build) == [
        'http://server:8000/there',
        '/x taste=sweet',
        {'a': [1, 2, 3]},
        True,
        True,
        'ReadTimeout',
        'ConnectionError',
        'ConnectionError',
    ]


def test_urllib3_retries_as_the_server_asks(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            retry = urllib3.Retry(total=5, backoff_factor=0.5, status_forcelist=[503])
            begin = time.monotonic()
            with urllib3.PoolManager(retries=retry) as pool:
                response = pool.request('GET', 'http://server:8000/flaky')
                out.append((response.status, len(response.retries.history)))
                out.append(2 <= time.monotonic() - begin < 5)
                try:
                    pool.request('GET', 'http://server:8001/', retries=urllib3.Retry(connect=3, backoff_factor=1))
                except urllib3.exceptions.MaxRetryError as exc:
                    out.append(type(exc.reason).__name__)

        server.spawn(serve, daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build) == [(200, 2), True, 'NewConnectionError']


def test_urllib3_pool_is_shared_by_threads(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            from concurrent.futures import ThreadPoolExecutor

            with urllib3.HTTPConnectionPool('server', 8000, maxsize=3, block=True) as pool:
                with ThreadPoolExecutor(8) as workers:
                    answers = workers.map(lambda i: pool.request('GET', f'/{i}').data, range(24))
                    out.append(list(answers) == [b'/%d ' % i for i in range(24)])
                out.append((pool.num_connections, pool.num_requests))

        server.spawn(serve, daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build) == [True, (3, 24)]
