# SPDX-License-Identifier: Apache-2.0
"""aiosmtpd, on a thread as its Controller has it and on asyncio.run, and smtplib; unmodified."""

from __future__ import annotations

import asyncio
import email.message
import smtplib
import threading
from pathlib import Path
from typing import Any

from helpers.programs import need, twice
from linnet.lab import Host

need('aiosmtpd')


class Box:
    """Keeps what comes for anyone but nobody@."""

    def __init__(self, out: list[Any]) -> None:
        self.out = out

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address.startswith('nobody@'):
            return '550 no such user here'
        envelope.rcpt_tos.append(address)
        return '250 OK'

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.out.append((envelope.mail_from, envelope.rcpt_tos, len(envelope.content)))
        return '250 kept'


def send(out: list[Any], port: int) -> None:
    message = email.message.EmailMessage()
    message['From'], message['To'], message['Subject'] = 'me@client', 'you@server', 'hello'
    message.set_content('line\n' * 20_000)
    with smtplib.SMTP('server', port) as smtp:
        out.append(smtp.ehlo()[0])
        smtp.send_message(message)
        try:
            smtp.sendmail('me@client', ['nobody@server'], b'text')
        except smtplib.SMTPRecipientsRefused as exc:
            out.append(exc.recipients)
        out.append(sorted(smtp.sendmail('me@client', ['nobody@server', 'you@server'], b'text')))


EXPECTED = [
    250,
    ('me@client', ['you@server'], 120_146),
    {'nobody@server': (550, b'no such user here')},
    ('me@client', ['you@server'], 6),
    ['nobody@server'],
]


def test_controller(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def serve() -> None:
            from aiosmtpd.controller import Controller

            controller = Controller(Box(out), hostname='server', port=8025)
            controller.start()  # which asks itself over the loopback whether it answers
            ready.set()
            done.wait()
            controller.stop()

        def talk() -> None:
            ready.wait()
            send(out, 8025)
            done.set()

        ready, done = Signal(server), Signal(server)
        server.spawn(serve)
        client.spawn(talk)

    assert twice(tmp_path, build) == EXPECTED


class Signal:
    """A threading.Event made by the first who needs it, in the world."""

    def __init__(self, host: Host) -> None:
        self.event: threading.Event | None = None

    def made(self) -> threading.Event:
        if self.event is None:
            self.event = threading.Event()
        return self.event

    def set(self) -> None:
        self.made().set()

    def wait(self) -> None:
        self.made().wait()


def test_on_an_event_loop(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def serve() -> None:
            from aiosmtpd.smtp import SMTP

            loop = asyncio.get_running_loop()
            listener = await loop.create_server(lambda: SMTP(Box(out), hostname='server'), '0.0.0.0', 25)
            await listener.serve_forever()

        server.spawn(lambda: asyncio.run(serve()), daemon=True)
        client.spawn(send, out, 25)

    assert twice(tmp_path, build) == EXPECTED
