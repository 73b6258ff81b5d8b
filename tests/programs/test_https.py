# SPDX-License-Identifier: Apache-2.0
"""The same over TLS: urllib, requests, urllib3, httpx, aiohttp, websockets, redis-py and smtplib, with their servers.

What OpenSSL draws is its own: two runs are held against each other by the sizes and the times of their packets.
"""

from __future__ import annotations

import asyncio
import http.server
import smtplib
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from helpers.certificates import certificate, client_context, server_context
from helpers.programs import need, twice
from linnet.lab import Host

BIG = bytes(range(256)) * 400


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return certificate(tmp_path / 'server.pem', 'server')


class Web(http.server.BaseHTTPRequestHandler):
    """Echoes."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header('Content-Length', str(len(BIG)))
        self.end_headers()
        self.wfile.write(BIG)

    def log_message(self, format: str, *args: Any) -> None:
        return


def serve_http(pem: Path) -> None:
    server = http.server.ThreadingHTTPServer(('', 443), Web)
    server.socket = server_context(pem).wrap_socket(server.socket, server_side=True)
    server.serve_forever()


def test_urllib(tmp_path: Path, pem: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def fetch() -> None:
            with urllib.request.urlopen('https://server/', context=client_context(pem)) as response:
                out.append(response.read() == BIG)
            try:
                urllib.request.urlopen('https://server/')
            except OSError as exc:
                out.append('self-signed certificate' in str(exc))

        server.spawn(serve_http, pem, daemon=True)
        client.spawn(fetch)

    assert twice(tmp_path, build, random_bytes=True) == [True, True]


def test_requests_and_urllib3(tmp_path: Path, pem: Path) -> None:
    requests, urllib3 = need('requests'), need('urllib3')

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def fetch() -> None:
            with requests.Session() as session:
                session.trust_env = False
                session.verify = str(pem)
                out.append([session.get('https://server/').content == BIG for _ in range(3)])
            with urllib3.PoolManager(ca_certs=str(pem), retries=False) as pool:
                out.append(pool.request('GET', 'https://server/').data == BIG)
            with urllib3.PoolManager(retries=False) as pool:
                try:
                    pool.request('GET', 'https://server/')
                except urllib3.exceptions.SSLError as exc:
                    out.append('self-signed certificate' in str(exc))

        server.spawn(serve_http, pem, daemon=True)
        client.spawn(fetch)

    assert twice(tmp_path, build, random_bytes=True) == [[True] * 3, True, True]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Tells the protocol's version, and sends something big."""
    if scope['type'] == 'lifespan':
        while (message := await receive())['type'] != 'lifespan.shutdown':
            await send({'type': message['type'] + '.complete'})
        await send({'type': 'lifespan.shutdown.complete'})
        return
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'x-version', scope['http_version'].encode())]})
    await send({'type': 'http.response.body', 'body': BIG})


def run_uvicorn(pem: Path) -> None:
    need('uvicorn').run(app, host='0.0.0.0', port=443, log_level='error', ssl_certfile=str(pem), ssl_keyfile=str(pem))


def run_hypercorn(pem: Path) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind, config.errorlog, config.certfile, config.keyfile = ['0.0.0.0:443'], None, str(pem), str(pem)
    asyncio.run(serve(app, config, shutdown_trigger=asyncio.Event().wait))


@pytest.mark.parametrize(('serve', 'http2', 'version'), [
    (run_uvicorn, False, '1.1'), (run_hypercorn, False, '1.1'), (run_hypercorn, True, '2'),
])
def test_httpx(tmp_path: Path, pem: Path, serve: Any, http2: bool, version: str) -> None:
    httpx = need('httpx')
    need('uvicorn')
    need('hypercorn')

    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def many() -> None:
            async with httpx.AsyncClient(trust_env=False, verify=client_context(pem), http2=http2) as web:
                answers = await asyncio.gather(*[web.get('https://server/') for _ in range(8)])
                out.append(all(answer.content == BIG for answer in answers))

        def talk() -> None:
            time.sleep(1)
            with httpx.Client(trust_env=False, verify=client_context(pem), http2=http2) as web:
                answer = web.get('https://server/')
                out.append((answer.headers['x-version'], answer.content == BIG))
            asyncio.run(many())

        server.spawn(serve, pem, daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build, random_bytes=True) == [(version, True), True]


def test_aiohttp_and_its_web_sockets(tmp_path: Path, pem: Path) -> None:
    aiohttp = need('aiohttp')

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def serve() -> None:
            from aiohttp import web

            async def talk(request: Any) -> Any:
                ws = web.WebSocketResponse()
                await ws.prepare(request)
                async for message in ws:
                    await ws.send_str(message.data.upper())
                return ws

            async def big(request: Any) -> Any:
                return web.Response(body=BIG)

            site = web.Application()
            site.router.add_get('/ws', talk)
            site.router.add_get('/', big)
            web.run_app(site, host='0.0.0.0', port=443, ssl_context=server_context(pem), print=None, access_log=None)

        async def main() -> None:
            await asyncio.sleep(1)
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_context(pem))) as session:
                async with session.get('https://server/') as response:
                    out.append(await response.read() == BIG)
                async with session.ws_connect('wss://server/ws') as ws:
                    await ws.send_str('hello')
                    out.append(await ws.receive_str())

        server.spawn(serve, daemon=True)
        client.spawn(lambda: asyncio.run(main()))

    assert twice(tmp_path, build, random_bytes=True) == [True, 'HELLO']


def test_websockets(tmp_path: Path, pem: Path) -> None:
    need('websockets')

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def serve() -> None:
            from websockets.sync.server import serve

            def talk(ws: Any) -> None:
                for message in ws:
                    ws.send(message[::-1])

            with serve(talk, '0.0.0.0', 443, ssl=server_context(pem)) as listener:
                listener.serve_forever()

        async def main() -> None:
            from websockets.asyncio.client import connect

            await asyncio.sleep(1)
            async with connect('wss://server', ssl=client_context(pem)) as ws:
                await ws.send(BIG)
                out.append(await ws.recv() == BIG[::-1])

        server.spawn(serve, daemon=True)
        client.spawn(lambda: asyncio.run(main()))

    assert twice(tmp_path, build, random_bytes=True) == [True]


def test_redis(tmp_path: Path, pem: Path) -> None:
    redis = need('redis')

    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                for _ in range(int(line[1:])):
                    await reader.readexactly(int((await reader.readline())[1:]) + 2)
                writer.write(b'+PONG\r\n')
            writer.close()

        async def serve() -> None:
            listener = await asyncio.start_server(answer, '0.0.0.0', 6379, ssl=server_context(pem))
            await listener.serve_forever()

        def talk() -> None:
            time.sleep(1)
            options = {'ssl': True, 'ssl_ca_certs': str(pem), 'protocol': 2}
            with redis.Redis('server', **options) as db:
                out.append(db.ping())

            async def again() -> None:
                async with redis.asyncio.Redis(host='server', **options) as other:
                    out.append(await other.ping())

            asyncio.run(again())

        server.spawn(lambda: asyncio.run(serve()), daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build, random_bytes=True) == [True, True]


def test_smtp_starttls(tmp_path: Path, pem: Path) -> None:
    need('aiosmtpd')

    def build(client: Host, server: Host, out: list[Any]) -> None:
        class Box:
            async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
                out.append((session.ssl is not None, len(envelope.content)))
                return '250 kept'

        async def serve() -> None:
            from aiosmtpd.smtp import SMTP

            def make() -> Any:
                return SMTP(Box(), hostname='server', tls_context=server_context(pem), require_starttls=True)

            listener = await asyncio.get_running_loop().create_server(make, '0.0.0.0', 25)
            await listener.serve_forever()

        def send() -> None:
            time.sleep(1)
            with smtplib.SMTP('server') as smtp:
                try:
                    smtp.sendmail('me@client', ['you@server'], b'text')
                except smtplib.SMTPException as exc:
                    out.append(type(exc).__name__)
                smtp.starttls(context=client_context(pem))
                smtp.sendmail('me@client', ['you@server'], b'line\r\n' * 10_000)

        server.spawn(lambda: asyncio.run(serve()), daemon=True)
        client.spawn(send)

    got = twice(tmp_path, build, random_bytes=True)
    assert got[0] == 'SMTPSenderRefused'
    assert got[1] == (True, 60_000)
