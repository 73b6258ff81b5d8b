# SPDX-License-Identifier: Apache-2.0
"""linnet.socket attached to the real kernel: no program, plain calls, in real time."""
from __future__ import annotations

import sys

import pytest

from helpers.netns import STATION, Namespace, lacking

WHY = lacking()
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(WHY != '', reason=WHY),
    pytest.mark.xdist_group('tun'),
]

SCRIPT = '''
import socket as machine, threading
from linnet import Attached, socket

with Attached(tun='linnet0', addr='10.77.0.2/24'):
    with socket.create_connection(('10.77.0.1', 7), timeout=20) as sock:
        sock.sendall(b'across the border')
        print(sock.recv(100).decode(), sock.getsockname()[0])
    listener = socket.create_server(('', 80))
    listener.settimeout(20)

    def ask():  # the kernel's own sockets, from a thread of the machine
        with machine.create_connection(('10.77.0.2', 80), timeout=20) as sock:
            sock.sendall(b'kernel')
            print(sock.recv(100).decode())

    thread = threading.Thread(target=ask)
    thread.start()
    conn, peer = listener.accept()
    print(peer[0])
    data = conn.recv(100)
    conn.sendall(data.upper())
    conn.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(0.05)
        try:
            udp.recv(1)
        except TimeoutError:
            print('timed out')
    thread.join()
'''


def test_both_ways() -> None:
    with Namespace() as ns:
        ns.start([sys.executable, STATION, 'serve'], ready='ready')
        said = ns.run([sys.executable, '-c', SCRIPT])
    assert sorted(said.splitlines()) == ['10.77.0.1', 'KERNEL', 'across the border 10.77.0.2', 'timed out']
