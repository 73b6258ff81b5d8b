# SPDX-License-Identifier: Apache-2.0
"""One socket call on the real kernel, traced: run by kernel.py as `python -m linnet.walk.kernel_call CLIENT_NS SERVER_NS CALL`.

Prints the trace file as a JSON string.
"""
from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

TRACEFS = Path('/sys/kernel/tracing')
EVENTS = ('net', 'sock', 'tcp', 'skb', 'neigh', 'fib', 'qdisc', 'udp', 'icmp', 'napi', 'kmem/kmem_cache_alloc')
SERVER = '10.0.0.2'
CLONE_NEWNET = 0x40000000


def enter(namespace: str) -> None:
    """Move this thread into a named network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f'/run/netns/{namespace}') as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f'cannot enter namespace {namespace}')


def put(name: str, text: str) -> None:
    """Write one of tracefs' files."""
    (TRACEFS / name).write_text(text)


def traced(call: Callable[[], object]) -> str:
    """Make the call with tracing on; the trace file's text."""
    put('tracing_on', '0')
    put('options/stacktrace', '1')
    put('set_event_pid', str(threading.get_native_id()))
    try:
        for event in EVENTS:
            if (TRACEFS / 'events' / event).exists():
                put(f'events/{event}/enable', '1')
        put('trace', '')
        put('tracing_on', '1')
        try:
            call()
        finally:
            put('tracing_on', '0')
        return (TRACEFS / 'trace').read_text()
    finally:
        for event in EVENTS:
            if (TRACEFS / 'events' / event).exists():
                put(f'events/{event}/enable', '0')
        put('set_event_pid', '')
        put('options/stacktrace', '0')


def connected() -> socket.socket:
    """A connection to the server."""
    return socket.create_connection((SERVER, 7000))


def make(call: str, accepted: list[socket.socket]) -> Callable[[], object]:
    """What to trace, everything before it done."""
    if call == 'socket':
        return socket.socket
    if call in ('bind', 'listen'):
        listener = socket.socket()
        if call == 'bind':
            return lambda: listener.bind(('0.0.0.0', 7777))
        listener.bind(('0.0.0.0', 7777))
        return lambda: listener.listen(5)
    if call == 'udp-sendto-fragmented':
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return lambda: udp.sendto(b'y' * 4000, (SERVER, 7001))
    if call == 'ping':
        ping = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
        return lambda: ping.sendto(bytes([8, 0, 0, 0, 0, 0, 0, 1]) + b'linnet' * 8, (SERVER, 0))
    first = connected()  # the neighbours learn each other's address
    if call == 'connect':
        sock = socket.socket()
        return lambda: sock.connect((SERVER, 7000))
    if call == 'send':
        return lambda: first.send(b'x' * 100)
    if call == 'shutdown':
        return lambda: first.shutdown(socket.SHUT_WR)
    if call == 'close':
        first.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        return first.close
    if call == 'recv':
        time.sleep(0.1)
        accepted[0].send(b'x' * 100)
        time.sleep(0.1)
        return lambda: first.recv(100)
    raise SystemExit(f'{call} is not traced on the kernel')


def main() -> None:
    """See the file."""
    client, server, call = sys.argv[1:4]
    accepted: list[socket.socket] = []
    ready = threading.Event()

    def serve() -> None:
        enter(server)
        listener = socket.create_server(('0.0.0.0', 7000))
        ready.set()
        while True:
            accepted.append(listener.accept()[0])
    threading.Thread(target=serve, daemon=True).start()
    ready.wait()
    enter(client)
    json.dump(traced(make(call, accepted)), sys.stdout)
    sys.stdout.flush()
    os._exit(0)


if __name__ == '__main__':
    main()
