# SPDX-License-Identifier: Apache-2.0
"""Programs that try system calls on sockets and note what each gave: run natively and on Linnet, the notes must be equal.

A script uses Python's own socket module and nothing else, so that the kernel and Linnet run the very same code. It takes the
first of 100 ports that are its own, and returns (what was tried, outcome): a value, or the name of an errno.
"""
from __future__ import annotations

import errno
import select
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

Note = tuple[str, object]
HOST = '127.0.0.1'
EVERY_EVENT = 0x3FF7  # all bits of poll(2) that may be asked for
IN, PRI, OUT, HUP, RDHUP = 0x1, 0x2, 0x4, 0x10, 0x2000
OOB, PEEK, TRUNC, DONTWAIT, WAITALL, ERRQUEUE, MORE = 0x1, 0x2, 0x20, 0x40, 0x100, 0x2000, 0x8000
RST_ON_CLOSE = struct.pack('ii', 1, 0)  # SO_LINGER, no time


class Notes(list[Note]):
    """The notes, and how they are taken."""

    def do(self, what: str, call: Callable[..., object], *args: object) -> Any:
        """Make a call and note its outcome; sockets are noted as such. Returns the result, None for an error."""
        try:
            result = call(*args)
        except OSError as exc:
            self.append((what, errno.errorcode.get(exc.errno or 0, str(exc))))
            return None
        first = result[0] if isinstance(result, tuple) and result else result
        self.append((what, 'a socket' if isinstance(first, socket.socket) else result))
        return result

    def poll(self, what: str, sock: socket.socket, wait_for: int = 0) -> None:
        """Note the events that hold, after waiting for some of wait_for."""
        poller = select.poll()
        if wait_for:
            poller.register(sock, wait_for)
            poller.poll(2000)
        poller.register(sock, EVERY_EVENT)
        ready = poller.poll(0)
        self.append((what, hex(ready[0][1]) if ready else '0'))


def tcp_pair(port: int) -> tuple[socket.socket, socket.socket]:
    """A connection to oneself, both ends non-blocking."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(5)
    client = socket.create_connection((HOST, port))
    server, _ = listener.accept()
    listener.close()
    client.setblocking(False)
    server.setblocking(False)
    return client, server


def create(port: int) -> Notes:
    """socket(2) with every kind of nonsense."""
    notes = Notes()
    for family in (2, 46, 99, -1):
        for type in (0, 1, 2, 3, 4, 5, 7, 9, 11, 15, 1 | 0o4000, 1 | 0o2000000, 1 | 0x10, 0x100):
            for protocol in (0, 2, 6, 17, 255, 263, -2):
                sock = notes.do(f'socket {family} {type} {protocol}', socket.socket, family, type, protocol)
                if sock is not None:
                    sock.close()
    return notes


def unconnected(port: int) -> Notes:
    """Everything one can do to a socket that has no peer."""
    notes = Notes()
    for type in (1, 2):
        sock = socket.socket(2, type)
        sock.setblocking(False)
        notes.poll('fresh', sock)
        notes.do('getpeername', sock.getpeername)
        notes.do('getsockname', sock.getsockname)
        notes.do('recv', sock.recv, 10)
        notes.do('send', sock.send, b'x')
        notes.do('send nothing', sock.send, b'')
        notes.do('accept', sock.accept)
        notes.do('sendto port 0', sock.sendto, b'x', (HOST, 0))
        for how in (-1, 3, 0, 1, 2):
            notes.do(f'shutdown {how}', sock.shutdown, how)
            notes.poll('after it', sock)
        notes.do('recv after shutdown', sock.recv, 10)
        notes.do('send after shutdown', sock.send, b'x')
        notes.do('listen', sock.listen, 1)
        notes.poll('listening', sock)
        notes.do('accept nobody', sock.accept)
        notes.do('listen again', sock.listen, 0)
        notes.do('connect a listener', sock.connect, (HOST, port + 1))
        notes.do('recv on a listener', sock.recv, 1)
        notes.do('send on a listener', sock.send, b'x')
        notes.do('shutdown 1 of a listener', sock.shutdown, 1)
        notes.poll('after it', sock)
        notes.do('shutdown 0 of a listener', sock.shutdown, 0)
        notes.poll('after it', sock)
        notes.do('accept on it', sock.accept)
        sock.close()
    return notes


def bind_conflicts(port: int) -> Notes:
    """Two sockets on one port: which pairs of addresses and options go together, and who may listen."""
    notes = Notes()
    addresses = ('0.0.0.0', HOST, '127.0.0.2')
    for type in (1, 2):
        for reuse1 in range(4):
            for reuse2 in range(4):
                for listens in (0, 1) if type == 1 else (0,):
                    for first in addresses:
                        for second in addresses:
                            what = f'type {type} reuse {reuse1} {reuse2} listens {listens} {first} {second}'
                            bind_two(notes, what, port, (type, reuse1, first), (type, reuse2, second), listens == 1)
    sock = socket.socket()
    notes.do('bind a foreign address', sock.bind, ('10.255.254.1', 0))
    notes.do('bind', sock.bind, (HOST, port + 1))
    notes.do('bind again', sock.bind, (HOST, port + 2))
    sock.close()
    return notes


def bind_two(notes: Notes, what: str, port: int, one: tuple[int, int, str], two: tuple[int, int, str], listens: bool) -> None:
    """One case of bind_conflicts; reuse: bit 0 SO_REUSEADDR, bit 1 SO_REUSEPORT."""
    socks = []
    for type, reuse, _ in (one, two):
        sock = socket.socket(2, type)
        if reuse & 1:
            sock.setsockopt(1, socket.SO_REUSEADDR, 1)
        if reuse & 2:
            sock.setsockopt(1, socket.SO_REUSEPORT, 1)
        socks.append(sock)
    socks[0].bind((one[2], port))
    if listens:
        socks[0].listen(1)
    notes.do(what, socks[1].bind, (two[2], port))
    if two[0] == 1 and notes[-1][1] is None:
        notes.do(what + ': second listens', socks[1].listen, 1)
        if not listens:
            notes.do(what + ': first listens', socks[0].listen, 1)
    for sock in socks:
        sock.close()


def refused(port: int) -> Notes:
    """Connecting to where nobody listens, waiting and not."""
    notes = Notes()
    sock = socket.socket()
    notes.do('connect', sock.connect, (HOST, port))
    notes.poll('refused', sock)
    notes.do('connect again', sock.connect, (HOST, port))
    notes.do('SO_ERROR', sock.getsockopt, 1, 4)
    notes.do('getpeername', sock.getpeername)
    notes.do('send', sock.send, b'x')
    notes.do('recv', sock.recv, 1)
    sock.close()
    sock = socket.socket()
    sock.setblocking(False)
    for i in range(3):
        notes.do(f'connect {i}', sock.connect, (HOST, port))
        notes.poll('afterwards', sock, OUT)
    for _ in range(2):
        notes.do('SO_ERROR', sock.getsockopt, 1, 4)
    notes.poll('error taken', sock)
    notes.do('send', sock.send, b'x')
    for _ in range(2):
        notes.do('recv', sock.recv, 1)
    sock.close()
    return notes


def half_closed(port: int) -> Notes:
    """One FIN after the other."""
    notes = Notes()
    c, s = tcp_pair(port)
    notes.poll('established', c)
    notes.do('recv nothing', c.recv, 1)
    notes.do('connect', c.connect, (HOST, port))
    notes.do('listen', c.listen, 1)
    notes.do('bind', c.bind, (HOST, 0))
    notes.do('accept', c.accept)
    s.shutdown(1)
    notes.poll('peer shut down writing', c, IN)
    notes.poll('oneself', s)
    notes.do('recv the end', c.recv, 1)
    notes.do('recv the end again', c.recv, 1)
    notes.do('send to the half closed', c.send, b'abc')
    notes.poll('data for the half closed', s, IN)
    notes.do('it receives', s.recv, 1)
    notes.do('it cannot send', s.send, b'x')
    notes.do('shut down twice', s.shutdown, 1)
    notes.do('the other side too', c.shutdown, 1)
    notes.poll('both closed, data left', s, RDHUP)
    notes.poll('both closed', c)
    notes.do('rest', s.recv, 10)
    notes.do('end', s.recv, 10)
    notes.poll('all read', s)
    notes.do('send', c.send, b'x')
    notes.do('recv', c.recv, 1)
    for sock in (c, s):
        notes.do('shutdown 2', sock.shutdown, 2)
        sock.close()
    return notes


def resets(port: int) -> Notes:
    """RST, met by each call first."""
    notes = Notes()
    for first in ('recv', 'send', 'SO_ERROR', 'shutdown', 'connect'):
        c, s = tcp_pair(port)
        s.setsockopt(1, socket.SO_LINGER, RST_ON_CLOSE)
        s.close()
        notes.poll('reset', c, IN)
        calls: dict[str, Callable[[], object]] = {
            'recv': lambda c=c: c.recv(1), 'send': lambda c=c: c.send(b'x'), 'SO_ERROR': lambda c=c: c.getsockopt(1, 4),  # type: ignore[misc]
            'shutdown': lambda c=c: c.shutdown(1), 'connect': lambda c=c: c.connect((HOST, port + 1)),  # type: ignore[misc]
        }
        notes.do(f'{first} meets the reset', calls[first])
        notes.poll('afterwards', c)
        for name in ('recv', 'send', 'SO_ERROR', 'recv'):
            notes.do(name, calls[name])
        c.close()
    c, s = tcp_pair(port)
    c.send(b'abc')
    notes.poll('unread', s, IN)
    s.close()
    notes.poll('closed with data unread', c, HUP)
    notes.do('recv', c.recv, 1)
    notes.do('send', c.send, b'x')
    c.close()
    c, s = tcp_pair(port)
    s.send(b'abc')
    s.close()
    notes.poll('data and the end', c, RDHUP)
    notes.do('send to the closed', c.send, b'x')
    notes.poll('is reset', c, HUP)
    for _ in range(2):
        notes.do('recv', c.recv, 10)
    notes.do('send', c.send, b'x')
    c.close()
    return notes


def reading(port: int) -> Notes:
    """MSG_ flags of recv, urgent data, shutdown for reading, full buffers, a connection to oneself."""
    notes = Notes()
    c, s = tcp_pair(port)
    c.send(b'abcdef')
    notes.poll('readable', s, IN)
    notes.do('peek', s.recv, 3, PEEK)
    notes.do('peek all', s.recv, 3, PEEK | WAITALL)
    notes.do('wait for all, but not', s.recv, 10, WAITALL | DONTWAIT)
    notes.do('urgent: none', s.recv, 1, OOB)
    c.send(b'xyZ', OOB)
    notes.poll('urgent', s, PRI)
    notes.do('up to the mark', s.recv, 10)
    notes.poll('at the mark', s)
    notes.do('urgent', s.recv, 1, OOB)
    notes.poll('taken', s)
    notes.do('urgent again', s.recv, 1, OOB)
    notes.do('recv', s.recv, 10)
    notes.do('error queue', s.recv, 10, ERRQUEUE)
    s.setsockopt(1, socket.SO_OOBINLINE, 1)
    c.send(b'xyZ', OOB)
    notes.poll('urgent inline', s, PRI)
    notes.do('up to the mark', s.recv, 10)
    notes.do('not out of band', s.recv, 1, OOB)
    notes.poll('at the mark', s)
    notes.do('the urgent byte', s.recv, 10)
    notes.poll('all read', s)
    s.shutdown(0)
    notes.poll('shut down for reading', s)
    notes.do('recv', s.recv, 1)
    c.send(b'abc')
    notes.poll('data all the same', s, IN)
    notes.do('recv', s.recv, 10)
    notes.poll('the sender', c)
    for sock in (c, s):
        sock.close()
    c, s = tcp_pair(port)
    c.setsockopt(1, socket.SO_SNDBUF, 4096)
    s.setsockopt(1, socket.SO_RCVBUF, 4096)
    try:
        while True:
            c.send(bytes(1000))
    except BlockingIOError:
        notes.poll('full', c)
    for sock in (c, s):
        sock.close()
    c = socket.socket()
    c.setsockopt(1, socket.SO_REUSEADDR, 1)
    c.bind((HOST, port + 2))
    notes.do('connect to oneself', c.connect, (HOST, port + 2))
    notes.do('send', c.send, b'me')
    notes.poll('self', c, IN)
    notes.do('recv', c.recv, 9)
    c.close()
    return notes


def datagrams(port: int) -> Notes:
    """UDP: addresses, borders, errors that come back, corking."""
    notes = Notes()
    a, b = socket.socket(2, 2), socket.socket(2, 2)
    for sock in (a, b):
        sock.setblocking(False)
    a.bind((HOST, port))
    b.bind((HOST, port + 1))
    to = (HOST, port + 1)
    notes.do('no destination', a.send, b'x')
    notes.do('sendto', a.sendto, b'hello', to)
    notes.poll('readable', b)
    notes.do('peek', lambda: b.recv(2, PEEK))
    notes.do('real length', lambda: b.recvmsg(2, 100, TRUNC | PEEK)[:3])
    notes.do('truncated', lambda: b.recv(2))
    notes.do('gone', lambda: b.recv(2))
    notes.do('empty', a.sendto, b'', to)
    notes.poll('readable', b)
    notes.do('empty', lambda: b.recv(10))
    notes.do('largest', a.sendto, bytes(65507), to)
    notes.do('largest', lambda: len(b.recv(70000)))
    notes.do('too large', a.sendto, bytes(65508), to)
    notes.do('much too large', a.sendto, bytes(70000), to)
    notes.do('broadcast', a.sendto, b'x', ('255.255.255.255', port + 1))
    notes.do('port 0', a.sendto, b'x', (HOST, 0))
    notes.do('urgent', a.sendto, b'x', OOB, to)
    notes.do('connect', a.connect, to)
    notes.do('send', a.send, b'1')
    notes.do('recv', lambda: b.recv(9))
    notes.do('sendto the same', a.sendto, b'2', to)
    notes.do('recv', lambda: b.recv(9))
    notes.do('connect to port 0', a.connect, (HOST, 0))
    notes.do('getpeername', a.getpeername)
    notes.do('connect to nobody', a.connect, (HOST, port + 2))
    notes.do('send', a.send, b'x')
    notes.poll('refused', a, IN)
    for call in ('send', 'send', 'recv', 'recv'):
        notes.do(call, lambda call=call: a.send(b'x') if call == 'send' else a.recv(1))  # type: ignore[misc]
    for how in (1, 0):
        notes.do(f'shutdown {how}', a.shutdown, how)
        notes.poll('afterwards', a)
    notes.do('send', a.send, b'x')
    notes.do('recv', a.recv, 1)
    notes.do('recv urgent', b.recv, 1, OOB)
    notes.do('error queue', b.recv, 1, ERRQUEUE)
    corking(notes, b, to)
    a.close()
    b.close()
    return notes


def corking(notes: Notes, receiver: socket.socket, to: tuple[str, int]) -> None:
    """Datagrams in pieces: MSG_MORE and UDP_CORK."""
    with socket.socket(2, 2) as sock:
        notes.do('first half', sock.sendto, b'ab', MORE, to)
        notes.do('not yet', lambda: receiver.recv(9))
        notes.do('second half', sock.sendto, b'cd', to)
        notes.do('whole', lambda: receiver.recv(9))
    with socket.socket(2, 2) as sock:
        sock.setsockopt(17, 1, 1)
        notes.do('corked', sock.sendto, b'ab', to)
        notes.do('corked', sock.send, b'cd')
        notes.do('not yet', lambda: receiver.recv(9))
        sock.setsockopt(17, 1, 0)
        notes.do('whole', lambda: receiver.recv(9))


OPTION_VALUES = (
    b'', b'\1', *(struct.pack('i', v) for v in (1, 0, 2, 3, 7, 64, 256, 2000, 70000)), bytes(8), struct.pack('ii', 1, 5),
    bytes(16), struct.pack('qq', 1, 10**6), struct.pack('qq', 2, 500_000),
)
# (level, option): the ones whose values do not depend on the machine's own settings and history
OPTIONS = (
    *((1, n) for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 25, 28, 29, 30, 35, 36, 38, 39)),
    *((1, n) for n in (40, 42, 46, 47, 49, 60, 63, 64, 66, 67, 72, 74, 9999)),
    *((0, n) for n in (1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 15, 19, 21, 22, 24, 32, 33, 34, 53)),
    *((6, n) for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 18, 25, 36)),
    (17, 1), (99, 1),
)


def options(port: int) -> Notes:
    """Options of every level, read and set with values and lengths that fit and that do not."""
    notes = Notes()
    for type in (1, 2):
        for level, option in OPTIONS:
            for length in (1, 3, 4, 8, 16):
                with socket.socket(2, type) as sock:
                    notes.do(f'type {type} get {level} {option} length {length}', sock.getsockopt, level, option, length)
            for value in OPTION_VALUES:
                what = f'type {type} set {level} {option} {value.hex()}'
                with socket.socket(2, type) as sock:
                    notes.do(what, sock.setsockopt, level, option, value)
                    notes.do(what + ' then get', sock.getsockopt, level, option, 16)
    return notes


SCRIPTS: dict[str, Callable[[int], Notes]] = {
    script.__name__: script
    for script in (create, unconnected, bind_conflicts, refused, half_closed, resets, reading, datagrams, options)
}


def differences(theirs: list[Note], ours: list[Note]) -> Iterator[str]:
    """Where the notes part."""
    for (what, outcome), (also, own) in zip(theirs, ours, strict=True):
        if (what, outcome) != (also, own):
            yield f'{what}: the kernel gives {outcome!r}, Linnet {own!r}' + ('' if what == also else f' for {also}')
