# SPDX-License-Identifier: Apache-2.0
"""asyncssh, client and server, unmodified: a shell, a command, and files by SFTP.

The keys are OpenSSL's own: two runs are held against each other by the sizes and the times of their packets. Where the stack
runs interpreted, the file is smaller: by far the most of the time is spent per packet.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from pathlib import Path
from typing import Any

from helpers.programs import need, twice
from linnet import _pure
from linnet.lab import Host

asyncssh = need('asyncssh')

SIZE = 10_000_000 if _pure.build() == 'compiled' else 400_000


class Login(asyncssh.SSHServer):  # type: ignore[misc]
    """Lets in who knows the password."""

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ('me', 'secret')


async def shell(process: Any) -> None:
    """`count` counts the characters it is sent; without a command each line comes back in capitals."""
    if process.command == 'count':
        process.stdout.write(str(len(await process.stdin.read())))
        process.exit(3)
        return
    async for line in process.stdin:
        if line == 'exit\n':
            break
        process.stdout.write(line.upper())
    process.exit(0)


async def serve(key: Path, folder: Path) -> None:
    logging.getLogger('asyncssh').setLevel(logging.CRITICAL)
    await asyncssh.listen(
        '0.0.0.0',
        22,
        server_factory=Login,
        server_host_keys=[str(key)],
        process_factory=shell,
        sftp_factory=lambda chan: asyncssh.SFTPServer(chan, chroot=str(folder)),
    )
    await asyncio.Event().wait()


def test_ssh(tmp_path: Path) -> None:
    key, folder, mine = tmp_path / 'key', tmp_path / 'remote', tmp_path / 'local'
    asyncssh.generate_private_key('ssh-ed25519').write_private_key(str(key))
    folder.mkdir()
    data = random.Random(1).randbytes(SIZE)
    mine.write_bytes(data)

    def build(client: Host, server: Host, out: list[Any]) -> None:
        async def main() -> None:
            await asyncio.sleep(1)
            where = {'username': 'me', 'known_hosts': None, 'client_keys': None, 'config': None, 'agent_path': None}
            try:
                await asyncssh.connect('server', password='wrong', **where)
            except asyncssh.PermissionDenied:
                out.append('denied')
            async with asyncssh.connect('server', password='secret', **where) as ssh:
                done = await ssh.run('count', input='x' * 50_000)
                out.append((done.stdout, done.exit_status))
                async with ssh.create_process() as process:
                    for word in ('hello', 'shell'):
                        process.stdin.write(word + '\n')
                        out.append(await process.stdout.readline())
                    process.stdin.write('exit\n')
                    out.append((await process.wait()).exit_status)
                async with ssh.start_sftp_client() as sftp:
                    await sftp.put(str(mine), 'file')
                    out.append((await sftp.stat('file')).size)
                    await sftp.get('file', str(tmp_path / 'back'))
                    out.append(sorted(name for name in await sftp.listdir('.') if name[0] != '.'))
                    await sftp.remove('file')
            out.append(hashlib.sha256((tmp_path / 'back').read_bytes()).digest() == hashlib.sha256(data).digest())

        server.spawn(lambda: asyncio.run(serve(key, folder)), daemon=True)
        client.spawn(lambda: asyncio.run(main()))

    link = {'rate': '100mbit', 'delay': '5ms', 'loss': '0.1 %'}
    assert twice(tmp_path, build, link=link, random_bytes=True) == [
        'denied', ('50000', 3), 'HELLO\n', 'SHELL\n', 0, SIZE, ['file'], True,
    ]
