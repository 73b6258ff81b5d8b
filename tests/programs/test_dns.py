# SPDX-License-Identifier: Apache-2.0
"""dnspython, unmodified: a resolver over UDP that goes on over TCP where the answer is cut, blocking and asynchronous."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

from helpers.programs import need, twice
from linnet.lab import Host

need('dns')

WORDS = [f'{"x" * 100}{i}' for i in range(40)]


def answer(wire: bytes, udp: bool) -> bytes:
    """host.example has an address, long.example more text than a datagram takes; there is nothing else."""
    import dns.flags
    import dns.message
    import dns.rcode
    import dns.rrset

    query = dns.message.from_wire(wire)
    response = dns.message.make_response(query)
    name = query.question[0].name
    if str(name) == 'host.example.':
        response.answer.append(dns.rrset.from_text(name, 60, 'IN', 'A', '192.0.2.1'))
    elif str(name) == 'long.example.' and udp:
        response.flags |= dns.flags.TC
    elif str(name) == 'long.example.':
        response.answer.append(dns.rrset.from_text(name, 60, 'IN', 'TXT', *[f'"{w}"' for w in WORDS]))
    else:
        response.set_rcode(dns.rcode.NXDOMAIN)
    return response.to_wire()


def serve() -> None:
    def stream() -> None:
        listener = socket.create_server(('', 53))
        while True:
            conn, _ = listener.accept()
            with conn, conn.makefile('rb') as file:
                while size := file.read(2):
                    text = answer(file.read(struct.unpack('!H', size)[0]), False)
                    conn.sendall(struct.pack('!H', len(text)) + text)

    threading.Thread(target=stream, daemon=True).start()
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(('', 53))
    while True:
        wire, peer = sock.recvfrom(1500)
        sock.sendto(answer(wire, True), peer)


def resolver(kind: Any) -> Any:
    made = kind(configure=False)
    made.nameservers = ['198.18.0.2']
    made.lifetime = 30
    return made


def test_blocking(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def ask() -> None:
            import dns.resolver

            time.sleep(1)
            ours = resolver(dns.resolver.Resolver)
            out.append([str(each) for each in ours.resolve('host.example')])
            out.append(len(ours.resolve('long.example', 'TXT')))
            try:
                ours.resolve('no.example')
            except dns.resolver.NXDOMAIN:
                out.append('no such name')
            ours.nameservers, ours.lifetime = ['198.18.0.77'], 3
            begin = time.monotonic()
            try:
                ours.resolve('host.example')
            except dns.resolver.LifetimeTimeout:
                out.append(3 <= time.monotonic() - begin < 4)

        server.spawn(serve, daemon=True)
        client.spawn(ask)

    assert twice(tmp_path, build, seed=3) == [['192.0.2.1'], 40, 'no such name', True]


def test_asyncio(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def main() -> None:
            import dns.asyncresolver

            await asyncio.sleep(1)
            ours = resolver(dns.asyncresolver.Resolver)
            answers = await asyncio.gather(*[ours.resolve('host.example') for _ in range(10)])
            out.append([str(each) for one in answers for each in one] == ['192.0.2.1'] * 10)
            out.append(len(await ours.resolve('long.example', 'TXT')))
            try:
                await ours.resolve('no.example')
            except dns.asyncresolver.NXDOMAIN:
                out.append('no such name')

        server.spawn(serve, daemon=True)
        client.spawn(lambda: asyncio.run(main()))

    assert twice(tmp_path, build, seed=3) == [True, 40, 'no such name']
