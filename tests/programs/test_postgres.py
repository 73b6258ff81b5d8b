# SPDX-License-Identifier: Apache-2.0
"""asyncpg and pg8000, unmodified, against a small server of PostgreSQL's protocol."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from helpers.postgres import Server
from helpers.programs import need, twice
from linnet.lab import Host

asyncpg = need('asyncpg')
need('pg8000')


def serve() -> None:
    asyncio.run(Server().serve())


def test_asyncpg(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        asyncpg.connection._uid = 0  # it numbers its statements through the process's life: each run begins at 1

        async def main() -> None:
            await asyncio.sleep(1)
            where = {'host': 'server', 'user': 'u', 'database': 'd', 'ssl': False}
            conn = await asyncpg.connect(**where)
            out.append(list(await conn.fetchrow('SELECT $1, $2', 'one', None)))
            out.append(len(await conn.fetch('SELECT n FROM numbers')))
            try:
                await conn.execute('BROKEN')
            except asyncpg.PostgresSyntaxError as exc:
                out.append(str(exc))
            try:
                await conn.fetch('SELECT pg_sleep', timeout=1)
            except TimeoutError:
                out.append('timed out')
            await conn.close()
            async with asyncpg.create_pool(**where, min_size=2, max_size=4) as pool:
                answers = await asyncio.gather(*[pool.fetchval('SELECT $1', str(i)) for i in range(16)])
                out.append(answers == [str(i) for i in range(16)])
                async with pool.acquire() as listener:
                    heard: asyncio.Queue[str] = asyncio.Queue()

                    def hear(*args: Any) -> None:
                        heard.put_nowait(args[-1])

                    await listener.add_listener('news', hear)
                    await pool.execute("NOTIFY news, 'hello'")
                    out.append(await heard.get())
                    await listener.remove_listener('news', hear)

        server.spawn(serve, daemon=True)
        client.spawn(lambda: asyncio.run(main()))

    assert twice(tmp_path, build) == [
        ['one', None], 1000, 'syntax error at or near "BROKEN"', 'timed out', True, 'hello',
    ]


def test_pg8000(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            import pg8000.dbapi
            import pg8000.native

            time.sleep(1)
            with pg8000.native.Connection('u', host='server', database='d') as conn:
                out.append(conn.run('SELECT :a, :b', a='one', b=None))
                out.append(len(conn.run('SELECT n FROM numbers')))
                try:
                    conn.run('BROKEN')
                except pg8000.native.DatabaseError as exc:
                    out.append(exc.args[0]['M'])
            conn = pg8000.dbapi.connect('u', host='server', database='d')
            cursor = conn.cursor()
            cursor.execute('SELECT %s, %s', ('x', 'y'))
            out.append(cursor.fetchall())
            conn.commit()
            conn.close()
            try:
                pg8000.native.Connection('u', host='server', port=5433)
            except pg8000.native.InterfaceError as exc:
                out.append(type(exc.__cause__).__name__)
            try:
                pg8000.native.Connection('u', host='server', timeout=1).run('SELECT pg_sleep')
            except TimeoutError as exc:
                out.append(str(exc))

        server.spawn(serve, daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build) == [
        [['one', None]], 1000, 'syntax error at or near "BROKEN"', (['x', 'y'],), 'ConnectionRefusedError', 'timed out',
    ]
