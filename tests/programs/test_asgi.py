# SPDX-License-Identifier: Apache-2.0
"""ASGI servers, uvicorn and hypercorn, fetched by httpx, blocking and asynchronous; all unmodified."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path
from typing import Any

import pytest

from helpers.programs import need, twice
from linnet.lab import Host

httpx = need('httpx')
uvicorn = need('uvicorn')
hypercorn = need('hypercorn')

BIG = bytes(range(256)) * 600


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Echoes the body; /slow takes its time, /stream sends ten pieces a tenth of a second apart, /big is big."""
    if scope['type'] == 'lifespan':
        while True:
            message = await receive()
            await send({'type': message['type'] + '.complete'})
            if message['type'] == 'lifespan.shutdown':
                return
    body, more = b'', True
    while more:
        message = await receive()
        body += message.get('body', b'')
        more = message.get('more_body', False)
    if scope['path'] == '/slow':
        await asyncio.sleep(3)
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-type', b'text/plain')]})
    if scope['path'] == '/stream':
        for i in range(10):
            await send({'type': 'http.response.body', 'body': b'piece %d\n' % i, 'more_body': True})
            await asyncio.sleep(0.1)
        await send({'type': 'http.response.body', 'body': b''})
    else:
        await send({'type': 'http.response.body', 'body': body or (BIG if scope['path'] == '/big' else scope['path'].encode())})


def run_uvicorn(**options: Any) -> None:
    uvicorn.run(app, host='0.0.0.0', port=8000, log_level='error', **options)


def run_hypercorn(**options: Any) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = ['0.0.0.0:8000']
    config.errorlog = None
    for name, value in options.items():
        setattr(config, name, value)

    async def main() -> None:
        await serve(app, config, shutdown_trigger=asyncio.Event().wait)  # for ever

    asyncio.run(main())


SERVERS = pytest.mark.parametrize('serve', [run_uvicorn, run_hypercorn])


@SERVERS
def test_httpx_blocking(tmp_path: Path, serve: Any) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            time.sleep(1)
            with httpx.Client(trust_env=False, base_url='http://server:8000') as http:
                out.append(http.get('/a').text)
                out.append(http.post('/', content=BIG).content == BIG)
                out.append(hashlib.sha256(http.get('/big').content).hexdigest() == hashlib.sha256(BIG).hexdigest())
                with http.stream('GET', '/stream') as response:
                    out.append(list(response.iter_lines()))
                try:
                    http.get('/slow', timeout=1)
                except httpx.ReadTimeout as exc:
                    out.append(type(exc).__name__)
                time.sleep(10)  # until the server has finished with what nobody waits for
                try:
                    http.get('http://server:8001/')
                except httpx.ConnectError as exc:
                    out.append(str(exc))

        server.spawn(serve, daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build) == [
        '/a', True, True, [f'piece {i}' for i in range(10)], 'ReadTimeout', '[Errno 111] Connection refused',
    ]


@SERVERS
def test_httpx_async(tmp_path: Path, serve: Any) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def main() -> None:
            await asyncio.sleep(1)
            limits = httpx.Limits(max_connections=4)
            async with httpx.AsyncClient(trust_env=False, base_url='http://server:8000', limits=limits) as http:
                answers = await asyncio.gather(*[http.get(f'/{i}') for i in range(16)])
                out.append([answer.text for answer in answers] == [f'/{i}' for i in range(16)])
                out.append((await http.get('/big')).content == BIG)
                async with http.stream('GET', '/stream') as response:
                    out.append([line async for line in response.aiter_lines()] == [f'piece {i}' for i in range(10)])
                try:
                    await http.get('/slow', timeout=1)
                except httpx.ReadTimeout as exc:
                    out.append(type(exc).__name__)
                await asyncio.sleep(10)

        server.spawn(serve, daemon=True)
        client.spawn(lambda: asyncio.run(main()))

    assert twice(tmp_path, build) == [True, True, True, 'ReadTimeout']


@pytest.mark.parametrize('kind', ['uvicorn', 'hypercorn'])
def test_servers_shut_down_in_order_when_the_lab_ends(tmp_path: Path, kind: str) -> None:
    """They get SIGTERM: what was asked is still answered, the application is told, and nobody is cancelled."""

    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def told(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope['type'] == 'lifespan':
                while (message := await receive())['type'] != 'lifespan.shutdown':
                    await send({'type': message['type'] + '.complete'})
                out.append('shutting down')
                await send({'type': 'lifespan.shutdown.complete'})
                return
            await send({'type': 'http.response.start', 'status': 200, 'headers': []})
            await asyncio.sleep(2)
            await send({'type': 'http.response.body', 'body': b'late'})
            out.append('answered')

        def serve() -> None:
            if kind == 'uvicorn':
                uvicorn.run(told, host='0.0.0.0', port=8000, log_level='error')
            else:
                import hypercorn.asyncio
                import hypercorn.config

                config = hypercorn.config.Config()
                config.bind, config.errorlog = ['0.0.0.0:8000'], None
                asyncio.run(hypercorn.asyncio.serve(told, config))

        def ask() -> None:
            time.sleep(1)
            try:
                httpx.get('http://server:8000/', timeout=1, trust_env=False)
            except httpx.ReadTimeout:
                out.append('gave up')

        server.spawn(serve, daemon=True)
        client.spawn(ask)

    assert twice(tmp_path, build) == ['gave up', 'answered', 'shutting down']
