# SPDX-License-Identifier: Apache-2.0
"""aiohttp, client and server: requests, files, streams, web sockets; unmodified."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from helpers.programs import need, twice
from linnet.lab import Host

aiohttp = need('aiohttp')

BIG = bytes(range(256)) * 600


def serve(folder: Path) -> None:
    """/file is sent by sendfile, /upload counts a multipart form, /slow takes 3 s, /ws talks back in capitals."""
    from aiohttp import web

    async def hello(request: Any) -> Any:
        if request.path == '/slow':
            await asyncio.sleep(3)
        return web.json_response({'path': request.path, 'peer': request.remote})

    async def file(request: Any) -> Any:
        return web.FileResponse(folder / 'file')

    async def upload(request: Any) -> Any:
        form = await request.post()
        return web.Response(text=str(len(form['file'].file.read())))

    async def talk(request: Any) -> Any:
        ws = web.WebSocketResponse(heartbeat=5)
        await ws.prepare(request)
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                await ws.send_str(message.data.upper())
            else:
                await ws.send_bytes(message.data[::-1])
        return ws

    app = web.Application()
    app.router.add_get('/file', file)
    app.router.add_post('/upload', upload)
    app.router.add_get('/ws', talk)
    app.router.add_get('/{name}', hello)
    web.run_app(app, host='0.0.0.0', port=8000, print=None, access_log=None, handle_signals=False)


def test_aiohttp(tmp_path: Path) -> None:
    (tmp_path / 'file').write_bytes(BIG)

    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def main() -> None:
            await asyncio.sleep(1)
            async with aiohttp.ClientSession('http://server:8000') as session:
                async with session.get('/a') as response:
                    out.append(await response.json())
                answers = await asyncio.gather(*[session.get(f'/{i}') for i in range(20)])
                out.append([(await answer.json())['path'] for answer in answers] == [f'/{i}' for i in range(20)])
                async with session.get('/file') as response:
                    out.append((await response.read()) == BIG)
                form = aiohttp.FormData()
                form.add_field('file', BIG, filename='x')
                async with session.post('/upload', data=form) as response:
                    out.append(int(await response.text()))
                begin = time.monotonic()
                try:
                    async with session.get('/slow', timeout=aiohttp.ClientTimeout(total=1)):
                        out.append('answered')
                except TimeoutError:
                    out.append(round(time.monotonic() - begin, 2))
                try:
                    await session.get('http://server:8001/')
                except aiohttp.ClientConnectorError as exc:
                    out.append(type(exc.os_error).__name__)
                await asyncio.sleep(10)  # until the server has finished with what nobody waits for

        server.spawn(serve, tmp_path, daemon=True)
        client.spawn(lambda: asyncio.run(main()))

    assert twice(tmp_path, build) == [
        {'path': '/a', 'peer': '198.18.0.1'}, True, True, len(BIG), 1.0, 'ConnectionRefusedError',
    ]


def test_web_sockets(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def main() -> None:
            await asyncio.sleep(1)
            async with aiohttp.ClientSession() as session, session.ws_connect('http://server:8000/ws') as ws:
                for i in range(5):
                    await ws.send_str(f'hello {i}')
                    out.append(await ws.receive_str())
                await ws.send_bytes(BIG)
                out.append(await ws.receive_bytes() == BIG[::-1])
                waiting = asyncio.create_task(ws.receive())  # who receives answers the server's pings
                await asyncio.sleep(60)
                await ws.send_str('still there')
                out.append((await waiting).data)
                await asyncio.sleep(60)  # who does not is given up
                try:
                    await ws.receive()
                except aiohttp.ClientConnectionResetError as exc:
                    out.append(str(exc))

        server.spawn(serve, tmp_path, daemon=True)
        client.spawn(lambda: asyncio.run(main()))

    assert twice(tmp_path, build) == [f'HELLO {i}' for i in range(5)] + [True, 'STILL THERE', 'Cannot write to closing transport']
