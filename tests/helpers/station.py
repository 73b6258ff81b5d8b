# SPDX-License-Identifier: Apache-2.0
"""A program for either side of a device: plain sockets and threads, no word of Linnet. One side serves, the other asks.

    station.py serve                    echo on port 7, sink on 9 (answers with the hash), source on 19 (sends what is asked)
    station.py send HOST BYTES          to the sink; the hashes must be equal
    station.py receive HOST BYTES       from the source
    station.py concurrent HOST COUNT    so many connections at once, an echo on each
    station.py sequential HOST COUNT    one after the other
    station.py ping HOST KIND COUNT     ICMP echo by a 'raw' or a 'ping' socket
    station.py fetch URL                by urllib.request; prints the hash
"""
from __future__ import annotations

import hashlib
import os
import random
import socket
import struct
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

ECHO, SINK, SOURCE = 7, 9, 19
BLOCK = random.Random(1).randbytes(250_000)
TIMEOUT = 60


def blocks(size: int) -> Iterator[bytes]:
    """`size` bytes in which no block is like another."""
    number = 0
    while size > 0:
        block = (number.to_bytes(8, 'big') + BLOCK)[:size]
        yield block
        size -= len(block)
        number += 1


def digest(size: int) -> str:
    """The hash of blocks(size)."""
    total = hashlib.sha256()
    for block in blocks(size):
        total.update(block)
    return total.hexdigest()


def drain(conn: socket.socket) -> tuple[int, str]:
    """Read until EOF: how many bytes, and their hash."""
    total, count = hashlib.sha256(), 0
    while data := conn.recv(1 << 18):
        total.update(data)
        count += len(data)
    return count, total.hexdigest()


def serve_one(port: int, conn: socket.socket) -> None:
    """One connection."""
    with conn:
        conn.settimeout(TIMEOUT)
        if port == ECHO:
            while data := conn.recv(1 << 16):
                conn.sendall(data)
        elif port == SINK:
            conn.sendall(drain(conn)[1].encode())
        else:
            for block in blocks(int(conn.recv(100))):
                conn.sendall(block)


def serve() -> None:
    """For ever; says 'ready' when all ports listen."""
    listeners = [(port, socket.create_server(('0.0.0.0', port), backlog=300)) for port in (ECHO, SINK, SOURCE)]
    print('ready', flush=True)

    def accept(port: int, listener: socket.socket) -> None:
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=serve_one, args=(port, conn), daemon=True).start()
    threads = [threading.Thread(target=accept, args=each) for each in listeners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def send(host: str, size: int) -> None:
    """To the sink."""
    with socket.create_connection((host, SINK), TIMEOUT) as conn:
        for block in blocks(size):
            conn.sendall(block)
        conn.shutdown(socket.SHUT_WR)
        answer = conn.recv(100).decode()
    print('equal' if answer == digest(size) else 'different')


def receive(host: str, size: int) -> None:
    """From the source."""
    with socket.create_connection((host, SOURCE), TIMEOUT) as conn:
        conn.sendall(b'%d' % size)
        count, total = drain(conn)
    print('equal' if total == digest(size) else f'different, {count} bytes of {size}')


def echo(conn: socket.socket, text: bytes) -> int:
    """One exchange; 1 if it was right."""
    conn.sendall(text)
    got = b''
    while len(got) < len(text):
        got += conn.recv(100) or b'\0' * 100
    return int(got == text)


def concurrent(host: str, count: int) -> None:
    """All open at once."""
    conns = [socket.create_connection((host, ECHO), TIMEOUT) for _ in range(count)]
    print(sum(echo(conn, b'connection %d' % i) for i, conn in enumerate(conns)), 'echoed')
    for conn in conns:
        conn.close()


def sequential(host: str, count: int) -> None:
    """One at a time."""
    good = 0
    for i in range(count):
        with socket.create_connection((host, ECHO), TIMEOUT) as conn:
            good += echo(conn, b'connection %d' % i)
    print(good, 'echoed')


def icmp_sum(data: bytes) -> int:
    """The Internet checksum of an even number of bytes."""
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def ping(host: str, kind: str, count: int) -> None:
    """ICMP echo; prints how many came back as they were sent."""
    good = 0
    ident = os.getpid() & 0xFFFF
    with socket.socket(socket.AF_INET, socket.SOCK_RAW if kind == 'raw' else socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sock:
        sock.settimeout(5)
        for seq in range(count):
            body = struct.pack('!d', time.monotonic()) + BLOCK[:500]
            total = icmp_sum(struct.pack('!BBHHH', 8, 0, 0, ident, seq) + body)
            sock.sendto(struct.pack('!BBHHH', 8, 0, total, ident, seq) + body, (host, 0))
            while True:
                data, peer = sock.recvfrom(2000)
                if kind == 'raw':
                    data = data[(data[0] & 15) * 4:]
                what, code, _, got_ident, got_seq = struct.unpack_from('!BBHHH', data)
                if what == 0:  # a raw socket sees every ICMP packet
                    break
            good += (peer[0], code, got_seq, data[8:]) == (host, 0, seq, body) and (kind == 'ping' or got_ident == ident)
    print(good, 'answered')


def main() -> None:
    """See the file."""
    what, *rest = sys.argv[1:]
    if what == 'serve':
        serve()
    elif what == 'ping':
        ping(rest[0], rest[1], int(rest[2]))
    elif what == 'fetch':
        with urllib.request.urlopen(rest[0], timeout=TIMEOUT) as page:
            print(hashlib.sha256(page.read()).hexdigest())
    else:
        {'send': send, 'receive': receive, 'concurrent': concurrent, 'sequential': sequential}[what](rest[0], int(rest[1]))


if __name__ == '__main__':
    main()
