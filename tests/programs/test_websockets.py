# SPDX-License-Identifier: Apache-2.0
"""The websockets library, its asyncio and its threaded form, client and server; unmodified."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from helpers.programs import need, twice
from linnet.lab import Host

need('websockets')


def serve_async() -> None:
    from websockets.asyncio.server import serve

    async def talk(ws: Any) -> None:
        async for message in ws:
            await ws.send(message[::-1])

    async def main() -> None:
        async with serve(talk, '0.0.0.0', 8765, ping_interval=2) as server:
            await server.serve_forever()

    asyncio.run(main())


def serve_threads() -> None:
    from websockets.sync.server import serve

    def talk(ws: Any) -> None:
        for message in ws:
            ws.send(message[::-1])

    with serve(talk, '0.0.0.0', 8765) as server:
        server.serve_forever()


def test_asyncio(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def main() -> None:
            from websockets.asyncio.client import connect
            from websockets.exceptions import ConnectionClosedError

            async with connect('ws://server:8765', ping_interval=2, ping_timeout=5) as ws:
                for i in range(5):
                    await ws.send(f'hello {i}')
                    out.append(await ws.recv())
                await ws.send(b'12345678' * 20_000)
                out.append(await ws.recv() == b'87654321' * 20_000)
                await asyncio.sleep(60)  # pings go both ways
                await ws.send('still there')
                out.append(await ws.recv())
            async with connect('ws://server:8765', ping_interval=2, ping_timeout=5) as ws:
                client.lab.links[0].set(loss=1.0)
                try:
                    await ws.recv()
                except ConnectionClosedError as exc:
                    out.append(str(exc))

        server.spawn(serve_async, daemon=True)
        client.spawn(lambda: asyncio.run(main()))

    assert twice(tmp_path, build) == [f'{i} olleh' for i in range(5)] + [
        True, 'ereht llits', 'sent 1011 (internal error) keepalive ping timeout; no close frame received',
    ]


def test_threads(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            from websockets.sync.client import connect

            with connect('ws://server:8765') as ws:
                for i in range(5):
                    ws.send(f'hello {i}')
                    out.append(ws.recv())
                ws.send(b'12345678' * 20_000)
                out.append(ws.recv() == b'87654321' * 20_000)
                try:
                    ws.recv(timeout=3)
                except TimeoutError:
                    out.append('silence')

        server.spawn(serve_threads, daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build) == [f'{i} olleh' for i in range(5)] + [True, 'silence']
