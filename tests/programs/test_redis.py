# SPDX-License-Identifier: Apache-2.0
"""redis-py, blocking and asynchronous, against a small server of RESP; unmodified."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from helpers.programs import need, twice
from linnet.lab import Host

redis = need('redis')


class Store:
    """Strings, lists, counters and channels, as RESP2 tells of them. HELLO is refused, as by a server before 6.0."""

    def __init__(self) -> None:
        self.values: dict[bytes, Any] = {}
        self.channels: dict[bytes, list[asyncio.StreamWriter]] = {}
        self.pushed = asyncio.Condition()

    async def answer(self, words: list[bytes], writer: asyncio.StreamWriter) -> bytes:
        """The reply to one command."""
        name, *args = words
        match name.upper():
            case b'PING':
                return b'+PONG\r\n'
            case b'GET':
                return bulk(self.values.get(args[0]))
            case b'SET':
                self.values[args[0]] = args[1]
                return b'+OK\r\n'
            case b'INCR' | b'INCRBY':
                number = int(self.values.get(args[0], 0)) + int(args[1] if len(args) > 1 else 1)
                self.values[args[0]] = b'%d' % number
                return b':%d\r\n' % number
            case b'RPUSH':
                async with self.pushed:
                    self.values.setdefault(args[0], []).extend(args[1:])
                    self.pushed.notify_all()
                return b':%d\r\n' % len(self.values[args[0]])
            case b'BLPOP':
                return await self.pop(args[0], float(args[-1]))
            case b'SUBSCRIBE':
                self.channels.setdefault(args[0], []).append(writer)
                return b'*3\r\n' + bulk(b'subscribe') + bulk(args[0]) + b':1\r\n'
            case b'PUBLISH':
                for other in self.channels.get(args[0], []):
                    other.write(b'*3\r\n' + bulk(b'message') + bulk(args[0]) + bulk(args[1]))
                return b':%d\r\n' % len(self.channels.get(args[0], []))
            case b'CLIENT' | b'SELECT' | b'UNSUBSCRIBE':
                return b'+OK\r\n'
        return b"-ERR unknown command '%s'\r\n" % name

    async def pop(self, key: bytes, seconds: float) -> bytes:
        """BLPOP."""
        try:
            async with asyncio.timeout(seconds or None), self.pushed:
                await self.pushed.wait_for(lambda: self.values.get(key))
                return b'*2\r\n' + bulk(key) + bulk(self.values[key].pop(0))
        except TimeoutError:
            return b'*-1\r\n'

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; commands may come in a pipeline."""
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            writer.write(await self.answer(words, writer))
            await writer.drain()
        writer.close()


def bulk(value: bytes | None) -> bytes:
    """A bulk string."""
    return b'$-1\r\n' if value is None else b'$%d\r\n%s\r\n' % (len(value), value)


async def serve() -> None:
    server = await asyncio.start_server(Store().talk, '0.0.0.0', 6379)
    await server.serve_forever()


def test_blocking(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            time.sleep(1)
            with redis.Redis('server', protocol=2) as db:
                out.append((db.set('name', 'Linnet'), db.get('name'), db.get('nothing')))
                db.set('big', b'x' * 200_000)
                out.append(len(db.get('big')))
                with db.pipeline(transaction=False) as pipe:
                    for _ in range(50):
                        pipe.incr('count')
                    out.append(pipe.execute()[-1])
                begin = time.monotonic()
                out.append((db.blpop('queue', timeout=2), 2 <= time.monotonic() - begin < 4))
                try:
                    db.execute_command('NONSENSE')
                except redis.ResponseError as exc:
                    out.append(str(exc))
            try:
                redis.Redis('server', 6380, protocol=2).ping()
            except redis.ConnectionError as exc:
                out.append(str(exc))

        server.spawn(lambda: asyncio.run(serve()), daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build) == [
        (True, b'Linnet', None),
        200_000,
        50,
        (None, True),
        "unknown command 'NONSENSE'",
        'Error 111 connecting to server:6380. Connection refused.',
    ]


def test_asyncio(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def consume(db: Any) -> None:
            for _ in range(5):
                out.append(('popped', await db.blpop('queue')))

        async def listen(db: Any) -> None:
            async with db.pubsub() as channel:
                await channel.subscribe('news')
                async for message in channel.listen():
                    out.append(('heard', message['data']))
                    if message['data'] == b'end':
                        return

        async def main() -> None:
            await asyncio.sleep(1)
            async with redis.asyncio.Redis(host='server', protocol=2) as db:
                out.append(('told', await db.ping()))
                consumer, listener = asyncio.create_task(consume(db)), asyncio.create_task(listen(db))
                await asyncio.sleep(1)
                for i in range(5):
                    await db.rpush('queue', i)
                await consumer
                for text in ('a', 'b', 'end'):
                    out.append(('told', await db.publish('news', text)))
                await listener
                await asyncio.gather(*[db.incr('count') for _ in range(30)])
                out.append(('told', await db.get('count')))

        server.spawn(lambda: asyncio.run(serve()), daemon=True)
        client.spawn(lambda: asyncio.run(main()))

    got = twice(tmp_path, build)
    assert [each for each in got if each[0] == 'popped'] == [('popped', (b'queue', b'%d' % i)) for i in range(5)]
    assert [each for each in got if each[0] == 'heard'] == [('heard', word) for word in (1, b'a', b'b', b'end')]
    assert [each for each in got if each[0] == 'told'] == [('told', True), *[('told', 1)] * 3, ('told', b'30')]
