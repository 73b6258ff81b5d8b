# SPDX-License-Identifier: Apache-2.0
"""A partner for iperf3, either end of one TCP stream, written from watching the protocol. Plain sockets, no word of Linnet.

    iperf.py serve                        one test, the client says which way
    iperf.py send|receive HOST BYTES      one test against `iperf3 -s`

A control connection carries one byte per state and JSON texts with their length in front; each data connection begins
with the same 37 bytes as the control connection.
"""
from __future__ import annotations

import json
import random
import socket
import string
import struct
import sys
import threading
import time
from typing import Any

PORT = 5201
TEST_START, TEST_RUNNING, TEST_END, PARAM_EXCHANGE, CREATE_STREAMS = 1, 2, 4, 9, 10
EXCHANGE_RESULTS, DISPLAY_RESULTS, IPERF_DONE = 13, 14, 16
COOKIE = 37
BLOCK = bytes(1 << 17)


def exactly(conn: socket.socket, count: int) -> bytes:
    """That many bytes."""
    data = b''
    while len(data) < count:
        got = conn.recv(count - len(data))
        if not got:
            raise EOFError('the control connection ended')
        data += got
    return data


def put(conn: socket.socket, value: Any) -> None:
    """A JSON text."""
    text = json.dumps(value).encode()
    conn.sendall(struct.pack('!I', len(text)) + text)


def get(conn: socket.socket) -> Any:
    """A JSON text."""
    return json.loads(exactly(conn, struct.unpack('!I', exactly(conn, 4))[0]))


def expect(conn: socket.socket, state: int) -> None:
    """The other side's next state."""
    got = exactly(conn, 1)[0]
    if got != state:
        raise ValueError(f'state {got} where {state} was to come')


class Stream:
    """The data connection, pumped by a thread."""

    def __init__(self, conn: socket.socket, sends: bool, limit: int = 1 << 62) -> None:
        self.conn, self.limit, self.bytes, self.begin = conn, limit, 0, time.monotonic()
        self.full = threading.Event()
        self.thread = threading.Thread(target=self.send if sends else self.receive, daemon=True)
        self.thread.start()

    def send(self) -> None:
        """Until the limit, or until the other side closes."""
        try:
            while self.bytes < self.limit:
                self.bytes += self.conn.send(BLOCK[:self.limit - self.bytes])
        except OSError:
            pass
        self.full.set()

    def receive(self) -> None:
        """Until EOF."""
        while got := len(self.conn.recv(1 << 18)):
            self.bytes += got
            if self.bytes >= self.limit:
                self.full.set()

    def results(self) -> dict[str, Any]:
        """What the two sides tell each other in the end."""
        stream = {'id': 1, 'bytes': self.bytes, 'retransmits': 0, 'jitter': 0, 'errors': 0, 'packets': 0, 'start_time': 0,
                  'end_time': time.monotonic() - self.begin}
        return {'cpu_util_total': 0, 'cpu_util_user': 0, 'cpu_util_system': 0, 'sender_has_retransmits': 0, 'streams': [stream]}


def serve() -> None:
    """One test."""
    listener = socket.create_server(('0.0.0.0', PORT))
    print('ready', flush=True)
    control, _ = listener.accept()
    cookie = exactly(control, COOKIE)
    control.sendall(bytes([PARAM_EXCHANGE]))
    params = get(control)
    control.sendall(bytes([CREATE_STREAMS]))
    data, _ = listener.accept()
    if exactly(data, COOKIE) != cookie:
        raise ValueError('a stranger')
    control.sendall(bytes([TEST_START, TEST_RUNNING]))
    stream = Stream(data, bool(params.get('reverse')))
    expect(control, TEST_END)
    control.sendall(bytes([EXCHANGE_RESULTS]))
    get(control)
    put(control, stream.results())
    control.sendall(bytes([DISPLAY_RESULTS]))
    expect(control, IPERF_DONE)
    print(stream.bytes)


def client(way: str, host: str, size: int) -> None:
    """One test."""
    cookie = ''.join(random.choices(string.ascii_lowercase, k=COOKIE - 1)).encode() + b'\0'
    control = socket.create_connection((host, PORT))
    control.sendall(cookie)
    expect(control, PARAM_EXCHANGE)
    params = {'tcp': True, 'omit': 0, 'time': 0, 'num': size, 'blockcount': 0, 'parallel': 1, 'len': len(BLOCK),
              'pacing_timer': 1000, 'client_version': '3.12'}
    put(control, {**params, 'reverse': True} if way == 'receive' else params)
    expect(control, CREATE_STREAMS)
    data = socket.create_connection((host, PORT))
    data.sendall(cookie)
    expect(control, TEST_START)
    expect(control, TEST_RUNNING)
    stream = Stream(data, way == 'send', size)
    stream.full.wait(60)
    control.sendall(bytes([TEST_END]))
    expect(control, EXCHANGE_RESULTS)
    put(control, stream.results())
    theirs = get(control)
    expect(control, DISPLAY_RESULTS)
    control.sendall(bytes([IPERF_DONE]))
    data.close()
    print(json.dumps({'ours': stream.bytes, 'theirs': theirs['streams'][0]['bytes']}))


if __name__ == '__main__':
    if sys.argv[1] == 'serve':
        serve()
    else:
        client(sys.argv[1], sys.argv[2], int(sys.argv[3]))
