# SPDX-License-Identifier: Apache-2.0
"""A server that speaks PostgreSQL's protocol 3.0, as far as drivers need it: no SQL, but answers in the right form.

    SELECT $1, $2            the parameters back, as text
    SELECT n FROM numbers    a thousand rows
    SELECT pg_sleep          after three seconds
    BROKEN                   an error
    LISTEN x, NOTIFY x       what NOTIFY says reaches all who listen
    anything else            done, without rows
"""

from __future__ import annotations

import asyncio
import re
import struct
from dataclasses import dataclass, field

TEXT = 25  # the type's OID: its text and binary forms are the same
CANCEL_REQUEST, SSL_REQUEST, GSS_REQUEST = 80877102, 80877103, 80877104


def message(kind: bytes, body: bytes = b'') -> bytes:
    return kind + struct.pack('!I', len(body) + 4) + body


def row(values: list[bytes | None]) -> bytes:
    parts = [struct.pack('!i', -1) if v is None else struct.pack('!i', len(v)) + v for v in values]
    return message(b'D', struct.pack('!H', len(values)) + b''.join(parts))


def columns(names: list[bytes]) -> bytes:
    if not names:
        return message(b'n')
    return message(
        b'T', struct.pack('!H', len(names)) + b''.join(n + b'\0' + struct.pack('!IHIhih', 0, 0, TEXT, -1, -1, 0) for n in names)
    )


def error(text: str) -> bytes:
    fields = f'SERROR\0VERROR\0C42601\0M{text}\0\0'
    return message(b'E', fields.encode())


@dataclass
class Server:
    """What all connections share: who listens to which channel."""

    listeners: dict[bytes, list[asyncio.StreamWriter]] = field(default_factory=dict)

    async def serve(self, port: int = 5432) -> None:
        server = await asyncio.start_server(lambda r, w: Session(self, r, w).run(), '0.0.0.0', port)
        await server.serve_forever()


class Session:
    """One connection."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.statements: dict[bytes, bytes] = {}
        self.bound: tuple[bytes, list[bytes | None]] = (b'', [])
        self.failed = False  # until the next Sync

    async def packet(self) -> bytes:
        size = struct.unpack('!I', await self.reader.readexactly(4))[0]
        return await self.reader.readexactly(size - 4)

    async def run(self) -> None:
        body = await self.packet()
        while struct.unpack_from('!I', body)[0] in (SSL_REQUEST, GSS_REQUEST):
            self.writer.write(b'N')
            body = await self.packet()
        if struct.unpack_from('!I', body)[0] == CANCEL_REQUEST:  # as a server that comes too late with it
            self.writer.close()
            return
        self.writer.write(message(b'R', struct.pack('!I', 0)))
        for name, value in (('server_version', '16.0'), ('client_encoding', 'UTF8'), ('DateStyle', 'ISO'),
                            ('integer_datetimes', 'on'), ('standard_conforming_strings', 'on'), ('TimeZone', 'UTC')):
            self.writer.write(message(b'S', f'{name}\0{value}\0'.encode()))
        self.writer.write(message(b'K', struct.pack('!II', 1, 2)) + message(b'Z', b'I'))
        try:
            while (kind := await self.reader.readexactly(1)) != b'X':
                body = await self.packet()
                if kind == b'S':
                    self.failed = False
                    self.writer.write(message(b'Z', b'I'))
                elif not self.failed:
                    await self.answer(kind, body)
                await self.writer.drain()
        except asyncio.IncompleteReadError:
            pass
        self.writer.close()

    async def answer(self, kind: bytes, body: bytes) -> None:
        """One message of the frontend."""
        if kind == b'Q':
            text = body[:-1]
            for name in [self.names(text)] if self.names(text) else []:
                self.writer.write(columns(name))
            await self.execute(text, [])
            self.writer.write(message(b'Z', b'I'))
            self.failed = False
        elif kind == b'P':
            name, text, _ = body.split(b'\0', 2)
            self.statements[name] = text
            self.writer.write(message(b'1'))
        elif kind == b'D':
            text = self.statements[body[1:-1]] if body[:1] == b'S' else self.bound[0]
            count = len(set(re.findall(rb'\$\d', text)))
            if body[:1] == b'S':
                self.writer.write(message(b't', struct.pack('!H', count) + struct.pack('!I', TEXT) * count))
            self.writer.write(columns(self.names(text)))
        elif kind == b'B':
            self.bind(body)
            self.writer.write(message(b'2'))
        elif kind == b'E':
            await self.execute(*self.bound)
        elif kind == b'C':
            self.writer.write(message(b'3'))

    def bind(self, body: bytes) -> None:
        _, name, rest = body.split(b'\0', 2)
        formats = struct.unpack_from('!H', rest)[0]
        at = 2 + 2 * formats
        count = struct.unpack_from('!H', rest, at)[0]
        at += 2
        values: list[bytes | None] = []
        for _ in range(count):
            size = struct.unpack_from('!i', rest, at)[0]
            at += 4
            values.append(None if size < 0 else rest[at:at + size])
            at += max(0, size)
        self.bound = (self.statements[name], values)

    def names(self, text: bytes) -> list[bytes]:
        """The columns of a query."""
        if not text.upper().startswith(b'SELECT') or b'pg_advisory' in text:
            return []
        return [b'p%s' % n for n in re.findall(rb'\$(\d)', text)] or [b'n']

    async def execute(self, text: bytes, values: list[bytes | None]) -> None:
        """Rows and the end of them."""
        rows = 0
        if text.startswith(b'BROKEN'):
            self.failed = True
            self.writer.write(error('syntax error at or near "BROKEN"'))
            return
        if b'pg_sleep' in text:
            await asyncio.sleep(3)
            self.writer.write(row([b'']))
            rows = 1
        elif b'FROM numbers' in text:
            rows = 1000
            self.writer.write(b''.join(row([b'%d' % n]) for n in range(rows)))
        elif self.names(text):
            rows = 1
            self.writer.write(row(list(values) or [b'1']))
        elif listen := re.match(rb'LISTEN "?(\w+)', text):
            self.server.listeners.setdefault(listen[1], []).append(self.writer)
        elif notify := re.match(rb"NOTIFY (\w+), '(.*)'", text):
            for other in self.server.listeners.get(notify[1], []):
                other.write(message(b'A', struct.pack('!I', 1) + notify[1] + b'\0' + notify[2] + b'\0'))
        verb = text.split()[0].upper() if text.split() else b''
        self.writer.write(message(b'C', b'SELECT %d\0' % rows if rows else verb + b'\0'))
