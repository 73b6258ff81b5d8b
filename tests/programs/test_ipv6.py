# SPDX-License-Identifier: Apache-2.0
"""Programs over IPv6, unmodified: by literal address, and by a name that has both families, of which IPv6 comes first."""

from __future__ import annotations

import asyncio
import ftplib
import http.server
import io
import smtplib
import socket
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from helpers.programs import need, twice
from linnet.include.linux.ipv6 import ipv6_nexthdr
from linnet.include.linux.netfilter import NF_DROP, NfHookState
from linnet.include.linux.skbuff import SkBuff
from linnet.lab import Host

CLIENT, SERVER = '2001:2::1', '2001:2::2'
CLIENT4 = '198.18.0.1'
DATA = bytes(range(256)) * 400


class Web(http.server.BaseHTTPRequestHandler):
    """Tells who asks, and at which address."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        body = f'{self.client_address[0]} at {self.connection.getsockname()[0]}'.encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return


class Web6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def serve_web() -> None:
    Web6(('::', 8000), Web).serve_forever()


def run(main: Callable[..., Any], *args: Any) -> None:
    asyncio.run(main(*args))


# -- the web

def by_urllib(url: str) -> str:
    with urllib.request.urlopen(url) as response:
        return str(response.read().decode())


def by_requests(url: str) -> str:
    with need('requests').Session() as session:
        return str(session.get(url).text)


def by_httpx(url: str) -> str:
    with need('httpx').Client(trust_env=False) as client:
        return str(client.get(url).text)


def by_aiohttp(url: str) -> str:
    async def fetch() -> str:
        async with need('aiohttp').ClientSession() as session, session.get(url) as response:
            return str(await response.text())

    return asyncio.run(fetch())


@pytest.mark.parametrize('fetch', [by_urllib, by_requests, by_httpx, by_aiohttp])
def test_web(tmp_path: Path, fetch: Callable[[str], str]) -> None:
    """By an address in brackets, by name, and by the IPv4 address, which the same listener takes."""
    if fetch is not by_urllib:
        need(fetch.__name__.removeprefix('by_'))

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            time.sleep(1)
            out.extend(fetch(f'http://{host}:8000/') for host in (f'[{SERVER}]', 'server', '198.18.0.2'))

        server.spawn(serve_web, daemon=True)
        client.spawn(talk)

    over6 = f'{CLIENT} at {SERVER}'
    assert twice(tmp_path, build, ipv6=True) == [over6, over6, f'::ffff:{CLIENT4} at ::ffff:198.18.0.2']


def test_loopback(tmp_path: Path) -> None:
    """[::1] of a host that has IPv6 on no link; the other host asks over IPv4, so that there is something to capture."""

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk(url: str, start: float) -> None:
            time.sleep(start)
            out.append(by_urllib(url))

        server.spawn(serve_web, daemon=True)
        server.spawn(talk, 'http://[::1]:8000/', 1)
        client.spawn(talk, 'http://server:8000/', 2)

    assert twice(tmp_path, build) == ['::1 at ::1', f'::ffff:{CLIENT4} at ::ffff:198.18.0.2']


def test_python_m_http_server(tmp_path: Path) -> None:
    """`--bind ::` is for both families."""
    (tmp_path / 'www').mkdir()
    (tmp_path / 'www' / 'data').write_bytes(DATA)
    log = io.StringIO()

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            time.sleep(1)
            with urllib.request.urlopen('http://server:8000/data') as response:
                out.append(response.read() == DATA)

        command = ['-m', 'http.server', '8000', '--bind', '::', '--directory', str(tmp_path / 'www')]
        web = server.spawn(command, daemon=True)
        web.stdout = web.stderr = log
        client.spawn(talk)

    assert twice(tmp_path, build, ipv6=True) == [True]
    assert 'Serving HTTP on :: port 8000 (http://[::]:8000/)' in log.getvalue()
    assert f'{CLIENT} - - ' in log.getvalue()


def test_uvicorn(tmp_path: Path) -> None:
    uvicorn = need('uvicorn')

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope['type'] == 'http':
            await send({'type': 'http.response.start', 'status': 200, 'headers': []})
            await send({'type': 'http.response.body', 'body': f'{scope["client"][0]} at {scope["server"][0]}'.encode()})

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            time.sleep(1)
            out.append(by_urllib(f'http://[{SERVER}]:8000/'))

        config = partial(uvicorn.Config, app, host='::', port=8000, loop='asyncio', lifespan='off', log_level='critical')
        server.spawn(lambda: uvicorn.Server(config()).run(), daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build, ipv6=True) == [f'{CLIENT} at {SERVER}']


# -- asyncio

def test_streams(tmp_path: Path) -> None:
    """A server of no certain host has a listener of each family."""

    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.read()).upper())
            writer.close()

        async def serve() -> None:
            listener = await asyncio.start_server(shout, None, 7)
            out.append([sock.getsockname() for sock in listener.sockets])
            await listener.serve_forever()

        async def talk() -> None:
            await asyncio.sleep(1)
            for host in ('server', '198.18.0.2'):
                reader, writer = await asyncio.open_connection(host, 7)
                writer.write(b'hello' * 10_000)
                writer.write_eof()
                out.append((writer.get_extra_info('peername'), await reader.read() == b'HELLO' * 10_000))
                writer.close()

        server.spawn(run, serve, daemon=True)
        client.spawn(run, talk)

    assert twice(tmp_path, build, ipv6=True) == [
        [('::', 7, 0, 0), ('0.0.0.0', 7)], ((SERVER, 7, 0, 0), True), (('198.18.0.2', 7), True),
    ]


class Echo(asyncio.DatagramProtocol):
    """Sends back what comes, and tells from whom."""

    def __init__(self, out: list[Any], echo: bool) -> None:
        self.out, self.echo = out, echo

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.out.append((data, addr[0], len(addr)))
        if self.echo:
            self.transport.sendto(data[::-1], addr)


def test_datagrams(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def serve() -> None:
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: Echo(out, True), local_addr=('::', 7))
            await asyncio.sleep(60)

        async def talk() -> None:
            await asyncio.sleep(1)
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(lambda: Echo(out, False), remote_addr=('server', 7))
            transport.sendto(b'abc')
            transport.sendto(b'x' * 3000)  # in fragments
            await asyncio.sleep(1)
            transport.close()

        server.spawn(run, serve, daemon=True)
        client.spawn(run, talk)

    assert twice(tmp_path, build, ipv6=True, link={'delay': '10ms'}) == [
        (b'abc', CLIENT, 4), (b'x' * 3000, CLIENT, 4), (b'cba', SERVER, 4), (b'x' * 3000, SERVER, 4),
    ]


def test_happy_eyeballs(tmp_path: Path) -> None:
    """RFC 8305: where IPv6 packets vanish, IPv4 is tried 250 ms later, and wins a round trip after that."""

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def lose(skb: SkBuff, state: NfHookState) -> int | None:
            if state.pf == socket.AF_INET6 and ipv6_nexthdr(skb.head, skb.network_header) == socket.IPPROTO_TCP:
                return NF_DROP
            return None

        async def talk() -> None:
            await asyncio.sleep(1)
            begin = time.monotonic()
            _, writer = await asyncio.open_connection('server', 8000, happy_eyeballs_delay=0.25)
            out.append((writer.get_extra_info('peername'), round(time.monotonic() - begin, 2)))
            writer.close()

        server.hook('PRE_ROUTING', lose)
        server.spawn(serve_web, daemon=True)
        client.spawn(run, talk)

    assert twice(tmp_path, build, ipv6=True, link={'delay': '10ms'}) == [(('198.18.0.2', 8000), 0.29)]


# -- others

@pytest.mark.parametrize('passive', [True, False], ids=['EPSV', 'EPRT'])
def test_ftp(tmp_path: Path, passive: bool) -> None:
    need('pyftpdlib')
    folder = tmp_path / 'ftp'
    folder.mkdir()

    def serve() -> None:
        import logging

        from pyftpdlib.authorizers import DummyAuthorizer
        from pyftpdlib.handlers import FTPHandler
        from pyftpdlib.ioloop import IOLoop
        from pyftpdlib.servers import FTPServer

        logging.getLogger('pyftpdlib').setLevel(logging.CRITICAL)
        FTPHandler.authorizer = DummyAuthorizer()
        FTPHandler.authorizer.add_user('user', 'secret', str(folder), perm='elradfmwMT')
        FTPServer(('::', 21), FTPHandler, ioloop=IOLoop()).serve_forever()

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            time.sleep(1)
            with ftplib.FTP('server', 'user', 'secret') as ftp:
                assert ftp.sock is not None
                out.append(ftp.sock.getpeername()[0])
                ftp.set_pasv(passive)
                ftp.storbinary('STOR here', io.BytesIO(DATA))
                got = io.BytesIO()
                ftp.retrbinary('RETR here', got.write)
                out.append(got.getvalue() == DATA)

        server.spawn(serve, daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build, ipv6=True) == [SERVER, True]


class Box:
    """Keeps the sender of what comes."""

    def __init__(self, out: list[Any]) -> None:
        self.out = out

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.out.append((session.peer[0], envelope.mail_from, len(envelope.content)))
        return '250 kept'


def test_mail(tmp_path: Path) -> None:
    need('aiosmtpd')

    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def serve() -> None:
            from aiosmtpd.smtp import SMTP

            loop = asyncio.get_running_loop()
            listener = await loop.create_server(lambda: SMTP(Box(out), hostname='server'), '::', 25)
            await listener.serve_forever()

        def talk() -> None:
            time.sleep(1)
            with smtplib.SMTP(SERVER) as smtp:
                smtp.sendmail('me@client', ['you@server'], b'line\r\n' * 10_000)

        server.spawn(run, serve, daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build, ipv6=True) == [(CLIENT, 'me@client', 60_000)]


def test_dnspython(tmp_path: Path) -> None:
    """Asks a server over IPv6 for AAAA and for the name of an address."""
    need('dns')

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def ask() -> None:
            import dns.resolver

            time.sleep(1)
            resolver = dns.resolver.Resolver(configure=False)
            resolver.nameservers, resolver.lifetime = [SERVER], 30
            out.append([str(each) for each in resolver.resolve('server', 'AAAA', search=False)])
            out.append([str(each) for each in resolver.resolve('www.example', 'AAAA')])
            out.append([str(each) for each in resolver.resolve('www.example', 'A')])

        server.lab.dns(server, {'www.example': ['192.0.2.1', '2001:db8::1']})
        client.spawn(ask)

    assert twice(tmp_path, build, ipv6=True, seed=3) == [[SERVER], ['2001:db8::1'], ['192.0.2.1']]


def test_programs_ask_a_name_server_over_ipv6(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def ask() -> None:
            time.sleep(1)
            for family in (socket.AF_INET6, socket.AF_INET):
                out.append([entry[4][0] for entry in socket.getaddrinfo('www.example', 80, family, socket.SOCK_STREAM)])
            with closing(socket.create_connection(('web.example', 8000))) as conn:
                out.append(conn.getpeername()[0])

        server.lab.dns(server, {'www.example': ['192.0.2.1', '2001:db8::1'], 'web.example': [SERVER]})
        client.nameserver(SERVER)
        server.spawn(serve_web, daemon=True)
        client.spawn(ask)

    assert twice(tmp_path, build, ipv6=True, seed=3) == [['2001:db8::1'], ['192.0.2.1'], SERVER]
