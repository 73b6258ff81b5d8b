# SPDX-License-Identifier: Apache-2.0
"""Real servers, driven by unmodified clients on Linnet over a TUN; and a server on Linnet, asked by unmodified clients.

The servers are Debian's packages redis-server, postgresql, nginx-light and openssh-server; the clients curl and wrk. What is
not installed is skipped by name.
"""
from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.certificates import certificate
from helpers.netns import KERNEL, LINNET, Namespace, lacking
from helpers.programs import need
from linnet import _pure

WHY = lacking()
pytestmark = [pytest.mark.interop, pytest.mark.skipif(WHY != '', reason=WHY), pytest.mark.xdist_group('tun')]

COMPILED = _pure.build() == 'compiled'
CLIENTS = str(Path(__file__).parents[1] / 'helpers' / 'clients.py')
APP = str(Path(__file__).parents[1] / 'helpers' / 'asgi_app.py')
POSTGRES = next((path for path in sorted(Path('/usr/lib/postgresql').glob('*/bin'), reverse=True)), Path('/nowhere'))


def tool(name: str, package: str = '') -> str:
    """The path of a program, or the test is skipped."""
    path = shutil.which(name, path=f'{os.environ["PATH"]}:/usr/sbin:/sbin')
    if path is None:
        pytest.skip(f'needs {name} (Debian: {package or name})')
    return path


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with Namespace() as namespace:
        yield namespace


def test_redis(ns: Namespace, tmp_path: Path) -> None:
    need('redis')
    server = tool('redis-server')
    ns.start([server, '--bind', '0.0.0.0', '--protected-mode', 'no', '--save', '', '--dir', str(tmp_path)])
    ns.wait_for(':6379', ['ss', '-tln'])
    assert ns.linnet('tun', [CLIENTS, 'redis', KERNEL]) == 'good\n'


@pytest.fixture
def database() -> Iterator[Path]:
    """A folder with a fresh database that belongs to nobody else: the server refuses to be root."""
    if not POSTGRES.exists():
        pytest.skip('needs initdb and postgres (Debian: postgresql)')
    runuser = tool('runuser', 'util-linux')
    with tempfile.TemporaryDirectory(prefix='linnet-postgres-') as folder:
        shutil.chown(folder, 'postgres')
        Path(folder, 'password').write_text('secret')
        os.chmod(Path(folder, 'password'), 0o644)
        subprocess.run([runuser, '-u', 'postgres', '--', POSTGRES / 'initdb', '-D', f'{folder}/data', '-A', 'scram-sha-256',
                        '--pwfile', f'{folder}/password', '--no-sync', '--no-instructions'], check=True, capture_output=True)
        with open(f'{folder}/data/pg_hba.conf', 'a') as file:
            file.write('host all all 0.0.0.0/0 scram-sha-256\n')
        yield Path(folder)


def test_postgres(ns: Namespace, database: Path) -> None:
    need('asyncpg')
    ns.start([tool('runuser'), '-u', 'postgres', '--', str(POSTGRES / 'postgres'), '-D', str(database / 'data'),
              '-k', str(database), '-c', 'listen_addresses=*', '-c', 'fsync=off'])
    ns.wait_for(':5432', ['ss', '-tln'], seconds=30)
    assert ns.linnet('tun', [CLIENTS, 'postgres', KERNEL, 'secret']) == 'good\n'


NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; root {folder}/www;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{ listen 8080; listen 8443 ssl; ssl_certificate {folder}/pem; ssl_certificate_key {folder}/pem; }}
}}
"""


def test_nginx(ns: Namespace, tmp_path: Path) -> None:
    need('httpx')
    server = tool('nginx', 'nginx-light')
    (tmp_path / 'www').mkdir()
    data = random.Random(3).randbytes(20_000_000)
    (tmp_path / 'www' / 'big').write_bytes(data)
    (tmp_path / 'www' / 'small').write_text('small')
    (tmp_path / 'nginx.conf').write_text('user root;' + NGINX.format(folder=tmp_path))
    certificate(tmp_path / 'pem', 'server')
    ns.start([server, '-p', str(tmp_path), '-c', str(tmp_path / 'nginx.conf')])
    ns.wait_for(':8443', ['ss', '-tln'])
    digest = hashlib.sha256(data).hexdigest()
    assert ns.linnet('tun', [CLIENTS, 'web', KERNEL, digest, str(tmp_path / 'pem')]) == 'good\n'


SSHD = """
Port 2222
HostKey {folder}/key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


def test_openssh(ns: Namespace, tmp_path: Path) -> None:
    asyncssh = need('asyncssh')
    server = tool('sshd', 'openssh-server')
    Path('/run/sshd').mkdir(exist_ok=True)  # its separation of privileges wants it
    key = asyncssh.generate_private_key('ssh-ed25519')
    key.write_private_key(str(tmp_path / 'key'))
    key.write_public_key(str(tmp_path / 'key.pub'))
    (tmp_path / 'key').chmod(0o600)
    (tmp_path / 'sshd_config').write_text(SSHD.format(folder=tmp_path))
    ns.start([server, '-D', '-e', '-f', str(tmp_path / 'sshd_config')])
    ns.wait_for(':2222', ['ss', '-tln'])
    size = 10_000_000 if COMPILED else 1_000_000
    assert ns.linnet('tun', [CLIENTS, 'ssh', KERNEL, '2222', str(tmp_path / 'key'), str(size)]) == 'good\n'


@pytest.fixture
def served(ns: Namespace) -> Namespace:
    """An ASGI application under uvicorn on Linnet."""
    need('uvicorn')
    ns.exec('tun', [APP])
    tool('curl')
    ns.wait_for('/ready', ['curl', '-s', '-m', '1', f'http://{LINNET}:8000/ready'], seconds=20)
    return ns


def test_uvicorn_asked_by_curl(served: Namespace, tmp_path: Path) -> None:
    address = f'http://{LINNET}:8000'
    assert served.run(['curl', '-s', f'{address}/a', f'{address}/b']) == '/a/b'
    served.run(['curl', '-s', '-o', str(tmp_path / 'big'), f'{address}/big'])
    assert (tmp_path / 'big').read_bytes() == bytes(range(256)) * 12_000
    urls = [f'{address}/{i}' for i in range(50)]
    assert sorted(re.findall(r'/\d+', served.run(['curl', '-s', '-Z', *urls]))) == sorted(f'/{i}' for i in range(50))


def test_uvicorn_under_load_of_wrk(served: Namespace) -> None:
    wrk = tool('wrk')
    said = served.run([wrk, '-t', '1', '-c', '20', '-d', '2s', f'http://{LINNET}:8000/hello'])
    assert 'Socket errors' not in said, said
    assert 'Non-2xx' not in said, said
    count = re.search(r'(\d+) requests in', said)
    assert count is not None and int(count[1]) > 20, said
