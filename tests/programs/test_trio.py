# SPDX-License-Identifier: Apache-2.0
"""trio, unmodified: its own event loop over the simulated epoll, its streams, and its socket factory."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

from helpers.programs import need, twice
from linnet.lab import Host

trio = need('trio')


async def echo(stream: Any) -> None:
    async for data in stream:
        await stream.send_all(data)


async def serve() -> None:
    await trio.serve_tcp(echo, 7, host='0.0.0.0')


def test_streams(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def one(i: int) -> None:
            async with await trio.open_tcp_stream('server', 7) as stream:
                text = b'%d' % i * 20_000
                got = b''
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(stream.send_all, text)
                    while len(got) < len(text):
                        got += await stream.receive_some()
                out.append(got == text)

        async def main() -> None:
            await trio.sleep(1)
            async with trio.open_nursery() as nursery:
                for i in range(10):
                    nursery.start_soon(one, i)
            begin = trio.current_time()
            with trio.move_on_after(2) as scope:
                async with await trio.open_tcp_stream('server', 7) as stream:
                    await stream.receive_some()
            out.append((scope.cancelled_caught, round(trio.current_time() - begin, 3)))
            try:
                await trio.open_tcp_stream('server', 8)
            except OSError as exc:
                out.append(type(exc).__name__)
            out.append(await trio.to_thread.run_sync(lambda: (time.sleep(1), socket.gethostbyname('server'))[1]))

        server.spawn(lambda: trio.run(serve), daemon=True)
        client.spawn(lambda: trio.run(main))

    assert twice(tmp_path, build) == [True] * 10 + [(True, 2.0), 'OSError', '198.18.0.2']


class Counted(trio.abc.SocketFactory):  # type: ignore[misc]
    """Makes trio's sockets, and counts them."""

    made = 0

    def socket(self, family: int = -1, type: int = -1, proto: int = -1) -> Any:
        Counted.made += 1
        return trio.socket.from_stdlib_socket(socket.socket(family, type, proto))


def test_datagrams_by_a_socket_factory(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def answer() -> None:
            sock = trio.socket.socket(type=socket.SOCK_DGRAM)
            await sock.bind(('0.0.0.0', 7))
            while True:
                data, peer = await sock.recvfrom(100)
                await sock.sendto(data.upper(), peer)

        async def ask() -> None:
            trio.socket.set_custom_socket_factory(Counted())
            Counted.made = 0
            await trio.sleep(1)
            sock = trio.socket.socket(type=socket.SOCK_DGRAM)
            for i in range(3):
                await sock.sendto(b'hello %d' % i, ('server', 7))
                out.append(await sock.recv(100))
            out.append(Counted.made)

        server.spawn(lambda: trio.run(answer), daemon=True)
        client.spawn(lambda: trio.run(ask))

    out = twice(tmp_path, build, link={'rate': '1mbit', 'delay': '5ms'})
    assert out == [b'HELLO 0', b'HELLO 1', b'HELLO 2', 1]
