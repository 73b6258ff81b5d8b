# SPDX-License-Identifier: Apache-2.0
"""Both ends of benches/bench_tun.py: one server for Linnet and for the kernel, one client. Plain sockets and threads.

    tun_peer.py serve                       echo on port 7, sink on 9, source on 19
    tun_peer.py send|receive HOST SECONDS   prints Gbit/s
    tun_peer.py rr|cps HOST SECONDS         prints 1-byte exchanges, or connections with an exchange, per second
"""
from __future__ import annotations

import socket
import sys
import threading
import time

ECHO, SINK, SOURCE = 7, 9, 19
CHUNK = 1 << 18


def serve_one(port: int, conn: socket.socket) -> None:
    """One connection, until the other side has enough."""
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        if port == ECHO:
            while data := conn.recv(4096):
                conn.sendall(data)
        elif port == SINK:
            while conn.recv(CHUNK):
                pass
        else:
            block = bytes(CHUNK)
            while True:
                conn.sendall(block)
    except OSError:
        pass
    conn.close()


def serve() -> None:
    """For ever. The echo has a loop of its own, without a thread a connection."""
    def accept(port: int, listener: socket.socket) -> None:
        while True:
            conn, _ = listener.accept()
            if port == ECHO:
                serve_one(port, conn)
            else:
                threading.Thread(target=serve_one, args=(port, conn), daemon=True).start()
    for port in (ECHO, SINK, SOURCE):
        threading.Thread(target=accept, args=(port, socket.create_server(('0.0.0.0', port), backlog=128))).start()
    print('ready', flush=True)


def dial(host: str, port: int) -> socket.socket:
    """A connection without Nagle's delay."""
    conn = socket.create_connection((host, port), 20)
    conn.settimeout(None)
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return conn


def send(host: str, seconds: float) -> float:
    """Until the server has read all of it: Gbit/s."""
    block = bytes(CHUNK)
    with dial(host, SINK) as conn:
        begin = time.perf_counter()
        sent = 0
        while time.perf_counter() - begin < seconds:
            sent += conn.send(block)
        conn.shutdown(socket.SHUT_WR)
        conn.recv(1)
        return sent * 8e-9 / (time.perf_counter() - begin)


def receive(host: str, seconds: float) -> float:
    """Gbit/s."""
    buffer = bytearray(CHUNK)
    with dial(host, SOURCE) as conn:
        begin = time.perf_counter()
        got = 0
        while (now := time.perf_counter()) - begin < seconds:
            got += conn.recv_into(buffer)
        return got * 8e-9 / (now - begin)


def rr(host: str, seconds: float) -> float:
    """Exchanges of one byte a second."""
    count = 0
    with dial(host, ECHO) as conn:
        begin = time.perf_counter()
        while (now := time.perf_counter()) - begin < seconds:
            conn.send(b'x')
            conn.recv(1)
            count += 1
    return count / (now - begin)


def cps(host: str, seconds: float) -> float:
    """Connect, exchange one byte, close: so many a second."""
    count = 0
    begin = time.perf_counter()
    while (now := time.perf_counter()) - begin < seconds:
        conn = socket.socket()
        conn.connect((host, ECHO))
        conn.send(b'x')
        conn.recv(1)
        conn.close()
        count += 1
    return count / (now - begin)


if __name__ == '__main__':
    if sys.argv[1] == 'serve':
        serve()
    else:
        print({'send': send, 'receive': receive, 'rr': rr, 'cps': cps}[sys.argv[1]](sys.argv[2], float(sys.argv[3])))
