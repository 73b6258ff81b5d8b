# SPDX-License-Identifier: Apache-2.0
"""Stock asyncio: its own event loop, on simulated descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from helpers.programs import twice
from linnet import Lab
from linnet.lab import Host


def start(host: Host, main: Coroutine[Any, Any, Any], **options: Any) -> None:
    host.spawn(lambda: asyncio.run(main), **options)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def serve() -> None:
    server = await asyncio.start_server(echo, '0.0.0.0', 7)
    async with server:
        await server.serve_forever()


def test_streams(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def one(i: int) -> None:
            reader, writer = await asyncio.open_connection('server', 7)
            text = b'%d' % (i % 10) * 20_000
            writer.write(text)
            writer.write_eof()
            out.append(await reader.read() == text)
            writer.close()
            await writer.wait_closed()

        async def clients() -> None:
            async with asyncio.TaskGroup() as group:
                for i in range(10):
                    group.create_task(one(i))

        start(server, serve(), daemon=True)
        start(client, clients())

    assert twice(tmp_path, build) == [True] * 10


def test_a_server_that_is_killed_cancels_its_tasks(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(1)  # a finally block may still wait
                out.append('cleaned up')

        async def both() -> None:
            background = asyncio.create_task(forever())
            await serve()
            await background

        async def look() -> None:
            _, writer = await asyncio.open_connection('server', 7)
            writer.write(b'x')
            await writer.drain()

        start(server, both(), daemon=True)
        start(client, look())

    assert twice(tmp_path, build) == ['cleaned up']


def test_time_outs_and_errors(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def talk() -> None:
            loop = asyncio.get_running_loop()
            begin = loop.time()
            try:
                async with asyncio.timeout(0.5):
                    await asyncio.sleep(10)
            except TimeoutError:
                out.append(round(loop.time() - begin, 3))
            reader, writer = await asyncio.open_connection('server', 7)
            try:
                await asyncio.wait_for(reader.readline(), 2)
            except TimeoutError:
                out.append('no line')
            writer.close()
            try:
                await asyncio.open_connection('server', 8)
            except ConnectionRefusedError as exc:
                out.append(str(exc))
            try:
                await asyncio.open_connection('nobody', 8)
            except socket.gaierror as exc:
                out.append(str(exc))

        start(server, serve(), daemon=True)
        start(client, talk())

    assert twice(tmp_path, build) == [
        0.5,
        'no line',
        "[Errno 111] Connect call failed ('198.18.0.2', 8)",
        '[Errno -2] Name or service not known',
    ]


class UpperProtocol(asyncio.DatagramProtocol):
    """Answers a datagram in capitals."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data.upper(), addr)


class Collect(asyncio.DatagramProtocol):
    """Keeps what comes."""

    def __init__(self, out: list[Any]) -> None:
        self.out = out

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.out.append((data, addr))


def test_datagrams(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def answer() -> None:
            await asyncio.get_running_loop().create_datagram_endpoint(UpperProtocol, local_addr=('0.0.0.0', 7))
            await asyncio.Event().wait()

        async def ask() -> None:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: Collect(out), remote_addr=('server', 7)
            )
            for i in range(5):
                transport.sendto(b'hello %d' % i)
                await asyncio.sleep(0.1)
            transport.close()

        start(server, answer(), daemon=True)
        start(client, ask())

    out = twice(tmp_path, build, link={'rate': '1mbit', 'delay': '5ms'})
    assert out == [(b'HELLO %d' % i, ('198.18.0.2', 7)) for i in range(5)]


def test_loop_sock_calls(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def listen() -> None:
            loop = asyncio.get_running_loop()
            listener = socket.create_server(('', 7))
            listener.setblocking(False)
            conn, peer = await loop.sock_accept(listener)
            out.append(peer[0])
            data = await loop.sock_recv(conn, 100)
            await loop.sock_sendall(conn, data * 10_000)
            conn.close()
            listener.close()

        async def talk() -> None:
            loop = asyncio.get_running_loop()
            sock = socket.socket()
            sock.setblocking(False)
            await loop.sock_connect(sock, ('198.18.0.2', 7))
            await loop.sock_sendall(sock, b'abc')
            total, buffer = 0, bytearray(5000)
            while got := await loop.sock_recv_into(sock, buffer):
                total += got
            out.append(total)
            sock.close()

        start(server, listen())
        start(client, talk())

    assert twice(tmp_path, build) == ['198.18.0.1', 30_000]


def test_executors_names_and_threads(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def blocking(i: int) -> int:
            with socket.create_connection(('server', 7)) as sock:
                sock.sendall(b'%d' % i)
                time.sleep(0.5)
                return int(sock.recv(10))

        async def main() -> None:
            loop = asyncio.get_running_loop()
            infos = await loop.getaddrinfo('server', 7, type=socket.SOCK_STREAM)
            out.append([info[4] for info in infos])
            out.append(await loop.getnameinfo(('198.18.0.2', 7), socket.NI_NUMERICSERV))
            out.append(await asyncio.gather(*[asyncio.to_thread(blocking, i) for i in range(6)]))
            with contextlib.suppress(asyncio.CancelledError):
                task = asyncio.create_task(asyncio.sleep(100))
                await asyncio.sleep(0)
                task.cancel()
                await task
            queue: asyncio.Queue[int] = asyncio.Queue()
            loop.call_later(1, queue.put_nowait, 7)
            out.append(await queue.get())

        start(server, serve(), daemon=True)
        start(client, main())

    assert twice(tmp_path, build) == [[('198.18.0.2', 7)], ('server', '7'), [0, 1, 2, 3, 4, 5], 7]


def test_left_over_tasks_are_cancelled_in_the_order_of_their_making() -> None:
    out: list[int] = []

    async def left_over(i: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            out.append(i)

    async def main() -> None:
        kept = [asyncio.create_task(left_over(i)) for i in range(100)]
        await asyncio.sleep(1)
        assert list(asyncio.all_tasks()) == [asyncio.current_task(), *kept]

    with Lab() as lab:
        start(lab.host('h'), main())
        lab.run()
    assert out == list(range(100))
