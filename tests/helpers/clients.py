# SPDX-License-Identifier: Apache-2.0
"""Clients of real servers, as anybody writes them: no word of Linnet. Each says 'good' at its end.

    clients.py redis HOST                redis-py, blocking and asynchronous
    clients.py postgres HOST PASSWORD    asyncpg
    clients.py web HOST SHA256 PEM       httpx: the file /big, by http and by https
    clients.py ssh HOST PORT KEY SIZE    asyncssh: a command, and a file there and back by SFTP
"""
from __future__ import annotations

import asyncio
import hashlib
import random
import sys
import tempfile
from pathlib import Path


def use_redis(host: str) -> None:
    """Values, pipelines, blocking pops, publish and subscribe."""
    import redis

    with redis.Redis(host) as db:
        assert db.ping()
        db.flushall()
        db.set('name', 'x' * 1_000_000)
        assert len(db.get('name')) == 1_000_000
        with db.pipeline() as pipe:
            for _ in range(1000):
                pipe.incr('count')
            assert pipe.execute()[-1] == 1000
        assert db.blpop('nothing', timeout=1) is None

    async def several() -> None:
        async with redis.asyncio.Redis(host=host) as db, db.pubsub() as channel:
            await channel.subscribe('news')
            assert (await channel.get_message(timeout=5))['type'] == 'subscribe'
            await asyncio.gather(*[db.incr('other') for _ in range(50)])
            assert await db.get('other') == b'50'
            await db.publish('news', 'hello')
            assert (await channel.get_message(timeout=5))['data'] == b'hello'
    asyncio.run(several())


def use_postgres(host: str, password: str) -> None:
    """A table filled by COPY, transactions, a cursor, a pool, NOTIFY, a statement that is cancelled."""
    import asyncpg

    where = {'host': host, 'user': 'postgres', 'password': password, 'database': 'postgres'}

    async def main() -> None:
        conn = await asyncpg.connect(**where)
        await conn.execute('CREATE TEMPORARY TABLE numbers (n int PRIMARY KEY, text text)')
        rows = [(n, 'x' * 100) for n in range(20_000)]
        assert await conn.copy_records_to_table('numbers', records=rows) == 'COPY 20000'
        assert await conn.fetchval('SELECT sum(n) FROM numbers') == sum(range(20_000))
        async with conn.transaction():
            seen = [row['n'] async for row in conn.cursor('SELECT n FROM numbers ORDER BY n')]
        assert seen == list(range(20_000))
        try:
            async with conn.transaction():
                await conn.execute("INSERT INTO numbers VALUES (1, 'again')")
        except asyncpg.UniqueViolationError:
            pass
        try:
            await conn.execute('SELECT pg_sleep(60)', timeout=0.5)
        except TimeoutError:
            pass
        heard: asyncio.Queue[str] = asyncio.Queue()
        await conn.add_listener('news', lambda *args: heard.put_nowait(args[-1]))
        async with asyncpg.create_pool(**where, min_size=1, max_size=5) as pool:
            answers = await asyncio.gather(*[pool.fetchval('SELECT $1::int * 2', i) for i in range(50)])
            assert answers == [2 * i for i in range(50)]
            await pool.execute("SELECT pg_notify('news', 'hello')")
        assert await heard.get() == 'hello'
        await conn.close()
    asyncio.run(main())


def use_web(host: str, digest: str, pem: str) -> None:
    """One file, whole and in parallel."""
    import ssl

    import httpx

    context = ssl.create_default_context(cafile=pem)
    context.check_hostname = False
    for url in (f'http://{host}:8080', f'https://{host}:8443'):
        with httpx.Client(base_url=url, verify=context, trust_env=False, timeout=60) as web:
            got = hashlib.sha256()
            with web.stream('GET', '/big') as response:
                for chunk in response.iter_raw():
                    got.update(chunk)
            assert got.hexdigest() == digest, url
            assert web.get('/nothing').status_code == 404

        async def many(url: str = url) -> None:
            async with httpx.AsyncClient(base_url=url, verify=context, trust_env=False, timeout=60) as web:
                answers = await asyncio.gather(*[web.get('/small') for _ in range(50)])
                assert {answer.text for answer in answers} == {'small'}
        asyncio.run(many())


def use_ssh(host: str, port: str, key: str, size: str) -> None:
    """As root, with a key."""
    import asyncssh

    async def main() -> None:
        async with asyncssh.connect(host, int(port), username='root', client_keys=[key], known_hosts=None, config=None) as ssh:
            assert (await ssh.run('echo hello; exit 3')).exit_status == 3
            assert (await ssh.run('wc -c', input='x' * 100_000)).stdout.strip() == '100000'
            with tempfile.TemporaryDirectory() as folder:
                here, back = Path(folder, 'here'), Path(folder, 'back')
                here.write_bytes(random.Random(1).randbytes(int(size)))
                async with ssh.start_sftp_client() as sftp:
                    await sftp.put(str(here), f'{folder}/there')
                    await sftp.get(f'{folder}/there', str(back))
                assert here.read_bytes() == back.read_bytes()
    asyncio.run(main())


def main() -> None:
    """See the file."""
    what, *rest = sys.argv[1:]
    {'redis': use_redis, 'postgres': use_postgres, 'web': use_web, 'ssh': use_ssh}[what](*rest)
    print('good')


if __name__ == '__main__':
    main()
