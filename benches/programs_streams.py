# SPDX-License-Identifier: Apache-2.0
"""Requests and replies over asyncio streams, in any of four worlds: the same two coroutines in each.

    python benches/programs_streams.py loopback|simloop|simloom [CLIENTS] [REQUESTS]

Prints a JSON line: replies per wall second. simloop and simloom need Python 3.12 and `pip install simloop simloom`;
bench_programs.py runs them by this file, and the lab with its coroutines.
"""
from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

SIZE = 64  # bytes, of a request and of a reply
PORT = 7777
DELAY = 0.001  # s, one way, where the world has one


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of the server."""
    try:
        while True:
            writer.write(await reader.readexactly(SIZE))
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()


async def serve(host: str) -> None:
    """For ever."""
    server = await asyncio.start_server(answer, host, PORT)
    async with server:
        await server.serve_forever()


async def ask(host: str, requests: int) -> None:
    """One client: the next request when the reply is there."""
    reader, writer = await asyncio.open_connection(host, PORT)
    for i in range(requests):
        text = b'%0*d' % (SIZE, i)
        writer.write(text)
        if await reader.readexactly(SIZE) != text:
            raise RuntimeError('a reply that was not asked for')
    writer.close()


async def clients(host: str, count: int, requests: int) -> None:
    """Several at once."""
    await asyncio.gather(*[ask(host, requests) for _ in range(count)])


def loopback(count: int, requests: int) -> None:
    """Both ends in one event loop, on this machine's loopback."""
    async def main() -> None:
        server = asyncio.create_task(serve('127.0.0.1'))
        await asyncio.sleep(0.05)
        await clients('127.0.0.1', count, requests)
        server.cancel()
    asyncio.run(main())


def simloop(count: int, requests: int) -> None:
    """Two of simloop's hosts."""
    import simloop as peer  # type: ignore[import-not-found]

    loop = peer.SimLoop(seed=1)
    loop.net.set_defaults(latency=(DELAY, DELAY))

    async def main() -> None:
        server = loop.net.host('server').create_task(serve('server'))
        await asyncio.sleep(0.1)
        await loop.net.host('client').create_task(clients('server', count, requests))
        server.cancel()
        await asyncio.sleep(0.1)
    loop.run_until_complete(main())
    loop.close()


def simloom(count: int, requests: int) -> None:
    """Two of simloom's hosts."""
    import simloom as peer  # type: ignore[import-not-found]

    async def main(world: Any) -> None:
        world.net.set_latency(DELAY, DELAY)
        world.host('server').spawn(lambda: serve('server'))
        await world.sleep(0.1)
        await world.host('client').spawn(lambda: clients('server', count, requests))
        await world.sleep(0.1)  # until the server has seen the end of it
    peer.run(main, seed=1)


def main() -> None:
    """See the file."""
    where = {'loopback': loopback, 'simloop': simloop, 'simloom': simloom}[sys.argv[1]]
    count, requests = (int(value) for value in (sys.argv[2:] + ['1', '2000'])[:2])
    where(1, 10)  # imports and caches
    begin = time.perf_counter()
    where(count, requests)
    wall = time.perf_counter() - begin
    print(json.dumps({'replies': count * requests, 'wall_s': round(wall, 3), 'replies_per_s': round(count * requests / wall)}))


if __name__ == '__main__':
    main()
