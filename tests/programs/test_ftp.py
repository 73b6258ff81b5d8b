# SPDX-License-Identifier: Apache-2.0
"""pyftpdlib and ftplib, unmodified: a control connection and one for each transfer, opened from either side."""

from __future__ import annotations

import ftplib
import io
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from helpers.programs import need, twice
from linnet.lab import Host

need('pyftpdlib')

DATA = bytes(range(256)) * 800


def serve(folder: Path) -> None:
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer

    logging.getLogger('pyftpdlib').setLevel(logging.CRITICAL)
    authorizer = DummyAuthorizer()
    authorizer.add_user('user', 'secret', str(folder), perm='elradfmwMT')
    FTPHandler.authorizer = authorizer
    FTPServer(('0.0.0.0', 21), FTPHandler, ioloop=IOLoop()).serve_forever()  # a loop of this program's, not of the process


@pytest.mark.parametrize('passive', [True, False])
def test_ftp(tmp_path: Path, passive: bool) -> None:
    folder = tmp_path / 'ftp'
    folder.mkdir()
    (folder / 'there').write_bytes(DATA)

    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            time.sleep(1)
            with ftplib.FTP() as ftp:
                ftp.connect('server')
                try:
                    ftp.login('user', 'wrong')
                except ftplib.error_perm as exc:
                    out.append(str(exc))
                ftp.login('user', 'secret')
                ftp.set_pasv(passive)
                got = io.BytesIO()
                ftp.retrbinary('RETR there', got.write)
                out.append(got.getvalue() == DATA)
                ftp.storbinary('STOR here', io.BytesIO(DATA[::-1]))
                out.append((folder / 'here').read_bytes() == DATA[::-1])
                out.append(sorted(ftp.nlst()))
                ftp.rename('here', 'elsewhere')
                ftp.voidcmd('TYPE I')
                out.append(ftp.size('elsewhere'))
                ftp.delete('elsewhere')
                try:
                    ftp.size('elsewhere')
                except ftplib.error_perm as exc:
                    out.append(str(exc))

        server.spawn(serve, folder, daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build) == [
        '530 Authentication failed.', True, True, ['here', 'there'], len(DATA), '550 /elsewhere is not retrievable.',
    ]
