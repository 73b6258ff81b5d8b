# SPDX-License-Identifier: Apache-2.0
"""The scripts of socket_scripts.py for datagram sockets of AF_INET6: UDP over both families, raw sockets.

They speak to ::1 and 127.0.0.1 alone, and take the first of 100 ports that are theirs.
"""
from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from helpers.socket_scripts import DONTWAIT, ERRQUEUE, IN, MORE, OOB, PEEK, TRUNC, Notes

HOST, MAPPED, ANY = '::1', '::ffff:127.0.0.1', '::'
UDP, RAW = socket.SOCK_DGRAM, socket.SOCK_RAW
IPV6, ICMPV6, SOL_RAW, SOL_UDP = 41, 58, 255, 17
V6ONLY, CHECKSUM, RECVERR, HDRINCL, PKTINFO, RECVPKTINFO = 26, 7, 25, 36, 50, 49
TCLASS, RECVTCLASS, HOPLIMIT, RECVHOPLIMIT, UNICAST_HOPS, FLOWINFO = 67, 66, 52, 51, 16, 11


def udp(port: int = 0, host: str = ANY, only: int | None = None) -> socket.socket:
    """A UDP socket that does not wait; port 0: not bound."""
    sock = socket.socket(socket.AF_INET6, UDP)
    sock.setblocking(False)
    if only is not None:
        sock.setsockopt(IPV6, V6ONLY, only)
    if port:
        sock.bind((host, port))
    return sock


def raw(protocol: int) -> socket.socket:
    """A raw socket that does not wait."""
    sock = socket.socket(socket.AF_INET6, RAW, protocol)
    sock.setblocking(False)
    return sock


def names(notes: Notes, what: str, sock: socket.socket, hide_port: bool = False) -> None:
    """Note both names of a socket; hide_port: its own is a random one."""
    def own() -> object:
        name = sock.getsockname()
        return (name[0], bool(name[1]), *name[2:]) if hide_port else name
    notes.do(what + ': getsockname', own)
    notes.do(what + ': getpeername', sock.getpeername)


def datagrams6(port: int) -> Notes:
    """UDP over IPv6: addresses, borders, errors that come back."""
    notes = Notes()
    a, b = udp(port, HOST), udp(port + 1, HOST)
    to = (HOST, port + 1)
    names(notes, 'bound', a)
    notes.do('no destination', a.send, b'x')
    notes.do('sendto', a.sendto, b'hello', to)
    notes.poll('readable', b)
    notes.do('peek', lambda: b.recvfrom(2, PEEK))
    notes.do('real length', lambda: b.recvmsg(2, 100, TRUNC | PEEK))
    notes.do('truncated', lambda: b.recvfrom(2))
    notes.do('gone', lambda: b.recv(2))
    notes.do('empty', a.sendto, b'', to)
    notes.poll('readable', b)
    notes.do('empty', lambda: b.recvfrom(10))
    notes.do('largest', a.sendto, bytes(65527), to)
    notes.do('largest', lambda: len(b.recv(70000)))
    for size in (65528, 65535, 65536, 70000):
        notes.do(f'{size} bytes', a.sendto, bytes(size), to)
    notes.do('port 0', a.sendto, b'x', (HOST, 0))
    notes.do('urgent', a.sendto, b'x', OOB, to)
    notes.do('to the unspecified address', a.sendto, b'x', (ANY, port + 1))
    notes.do('connect', a.connect, to)
    names(notes, 'connected', a)
    notes.do('send', a.send, b'1')
    for data in (b'x', b'x', b'1'):
        notes.do(f'recv {data!r}', lambda: b.recvfrom(9))
    notes.do('sendto the same', a.sendto, b'2', to)
    notes.do('recv', lambda: b.recv(9))
    for name in ((HOST, 0), ('fe80::1', 5), (MAPPED, 5), (ANY, port + 1), (HOST, port + 2)):
        notes.do(f'connect to {name[0]} {name[1] - port}', a.connect, name)
        names(notes, 'then', a)
    notes.do('send to nobody', a.send, b'x')
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
    a.close()
    b.close()
    return notes


def binds6(port: int) -> Notes:
    """Two UDP sockets on one port, of either family and any address; names that cannot be bound."""
    notes = Notes()
    places = [(socket.AF_INET6, ANY, 0), (socket.AF_INET6, ANY, 1), (socket.AF_INET6, HOST, 0), (socket.AF_INET6, MAPPED, 0),
              (socket.AF_INET6, '::ffff:0.0.0.0', 0), (socket.AF_INET, '0.0.0.0', 0), (socket.AF_INET, '127.0.0.1', 0)]
    for reuse in (0, 1, 2):
        for first in places:
            for second in places:
                socks = []
                for family, host, only in (first, second):
                    sock = socket.socket(family, UDP)
                    socks.append(sock)
                    if reuse:
                        sock.setsockopt(1, socket.SO_REUSEADDR if reuse == 1 else socket.SO_REUSEPORT, 1)
                    if only:
                        sock.setsockopt(IPV6, V6ONLY, 1)
                    notes.do(f'reuse {reuse} {first[1:]} {second[1:]}: {host}', sock.bind, (host, port))
                for sock in socks:
                    sock.close()
    for host in (ANY, HOST, MAPPED, 'fe80::1', '2001:db8::1', '::ffff:10.255.254.1', '::127.0.0.1', 'ff02::1', 'ff01::1'):
        for only in (0, 1):
            sock = udp(only=only)
            notes.do(f'bind {host} v6only {only}', sock.bind, (host, port))
            names(notes, 'then', sock)
            notes.do('v6only', sock.getsockopt, IPV6, V6ONLY)
            notes.do('bind again', sock.bind, (HOST, port + 1))
            sock.close()
    return notes


def dual_stack(port: int) -> Notes:
    """One socket for both families: what goes where, and who hears whom."""
    notes = Notes()
    four = socket.socket(socket.AF_INET, UDP)
    four.setblocking(False)
    four.bind(('127.0.0.1', port + 1))
    places = ((ANY, 0), (ANY, 1), (HOST, 0), (MAPPED, 0), ('::ffff:0.0.0.0', 0))
    for host, only in places:
        what = f'{host} v6only {only}'
        sock = udp(only=only)
        sock.bind((host, port))
        other = udp(port + 2)
        notes.do(f'{what}: to it by IPv4', four.sendto, b'four', ('127.0.0.1', port))
        notes.do(f'{what}: to it by IPv6', other.sendto, b'six', (HOST, port))
        for _ in range(2):
            notes.do('it receives', lambda: sock.recvfrom(9))  # noqa: B023
        for to in ((MAPPED, port + 1), (HOST, port + 2), (ANY, port + 2)):
            notes.do(f'{what}: it sends to {to[0]}', sock.sendto, b'x', to)
        notes.do('IPv4 receives', lambda: four.recvfrom(9))
        for _ in range(3):
            notes.do('IPv6 receives', lambda: other.recvfrom(9))  # noqa: B023
        for to in ((MAPPED, port + 1), (HOST, port + 2), (MAPPED, port + 3), (ANY, port + 2)):
            notes.do(f'{what}: it connects to {to[0]} {to[1] - port}', sock.connect, to)
            names(notes, 'then', sock)
            notes.do('it sends', sock.send, b'c')
            notes.do('IPv4 receives', lambda: four.recvfrom(9))
            notes.do('IPv6 receives', lambda: other.recvfrom(9))  # noqa: B023
            notes.do('IPv4 answers', four.sendto, b'4', ('127.0.0.1', port))
            notes.do('IPv6 answers', other.sendto, b'6', (HOST, port))
            for _ in range(3):
                notes.do('it hears', lambda: sock.recvfrom(9))  # noqa: B023
            notes.do('SO_ERROR of IPv4', four.getsockopt, 1, 4)
        sock.close()
        other.close()
    four.close()
    return notes


def who_gets_it(port: int) -> Notes:
    """Several sockets on a port: the one that fits best."""
    notes = Notes()
    socks = {}
    for what, host, only in (('any', ANY, 0), ('only', ANY, 1), ('host', HOST, 0), ('mapped', MAPPED, 0)):
        sock = socket.socket(socket.AF_INET6, UDP)
        sock.setblocking(False)
        sock.setsockopt(1, socket.SO_REUSEADDR, 1)
        sock.setsockopt(IPV6, V6ONLY, only)
        sock.bind((host, port))
        socks[what] = sock
    for what, host in (('four', '0.0.0.0'), ('four host', '127.0.0.1')):
        sock = socket.socket(socket.AF_INET, UDP)
        sock.setblocking(False)
        sock.setsockopt(1, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        socks[what] = sock
    sender = udp(port + 1)
    while socks:
        for to in (HOST, MAPPED):
            notes.do(f'{len(socks)} left: to {to}', sender.sendto, b'x', (to, port))
            for what, sock in socks.items():
                notes.do(f'{what} receives', lambda: sock.recvfrom(9))  # noqa: B023
        socks.popitem()[1].close()
        notes.do('nothing refused', lambda: sender.recv(9))
    peer = udp(port + 1 + 1)
    one, two = udp(), udp()
    for sock in (one, two):
        sock.setsockopt(1, socket.SO_REUSEADDR, 1)
        sock.bind((ANY, port))
    one.connect((HOST, port + 2))
    for source in (peer, sender):
        notes.do('to the connected and the other', source.sendto, b'x', (HOST, port))
        for sock in (one, two):
            notes.do('receives', lambda: sock.recvfrom(9))  # noqa: B023
    for sock in (one, two, peer, sender):
        sock.close()
    return notes


def corking6(port: int) -> Notes:
    """Datagrams in pieces, over either family, and with the two mixed."""
    notes = Notes()
    receiver = udp(port)
    for one, two in ((HOST, HOST), (MAPPED, MAPPED), (HOST, MAPPED), (MAPPED, HOST)):
        with udp() as sock:
            notes.do(f'first half to {one}', sock.sendto, b'ab', MORE, (one, port))
            notes.do('not yet', lambda: receiver.recv(9))
            notes.do(f'second half to {two}', sock.sendto, b'cd', (two, port))
            notes.do('whole', lambda: receiver.recv(9))
            notes.do('no more', lambda: receiver.recv(9))
    with udp() as sock:
        notes.do('cork', sock.setsockopt, SOL_UDP, 1, 1)
        notes.do('is corked', sock.getsockopt, SOL_UDP, 1)
        notes.do('corked', sock.sendto, b'ab', (HOST, port))
        notes.do('corked', sock.send, b'cd')
        notes.do('not yet', lambda: receiver.recv(9))
        notes.do('uncork', sock.setsockopt, SOL_UDP, 1, 0)
        notes.do('whole', lambda: receiver.recv(9))
    with udp() as sock:
        notes.do('a large first half', sock.sendto, bytes(60000), MORE, (HOST, port))
        notes.do('too much', sock.send, bytes(6000))
        notes.do('nothing left', sock.send, b'x')
        notes.do('nothing came', lambda: receiver.recv(9))
        notes.do('connect', sock.connect, (HOST, port))
        for _ in range(50):
            sock.send(b'12345678' * 25, MORE)
        notes.do('the last of 51', sock.send, b'end')
        notes.do('whole', lambda: len(receiver.recv(70000)))
    for option in (101, 102):
        with udp() as sock:
            notes.do(f'no checksum {option}', sock.setsockopt, SOL_UDP, option, 1)
            notes.do('get', sock.getsockopt, SOL_UDP, option)
            notes.do('send', sock.sendto, b'unchecked', (HOST, port))
            notes.do('received', lambda: receiver.recv(9))
    notes.do('allow it', receiver.setsockopt, SOL_UDP, 102, 1)
    with udp() as sock:
        sock.setsockopt(SOL_UDP, 101, 1)
        notes.do('send', sock.sendto, b'unchecked', (HOST, port))
        notes.do('received', lambda: receiver.recv(9))
    receiver.close()
    return notes


def messages6(port: int) -> Notes:
    """Control messages, received and sent."""
    notes = Notes()
    receiver, sender = udp(port), udp(port + 1)
    four = socket.socket(socket.AF_INET, UDP)
    four.bind(('127.0.0.1', port + 2))
    for option in (RECVPKTINFO, RECVHOPLIMIT, RECVTCLASS, FLOWINFO):
        notes.do(f'want {option}', receiver.setsockopt, IPV6, option, 1)
        notes.do('send', sender.sendto, b'6', (HOST, port))
        notes.do('by IPv6', lambda: [m for m in receiver.recvmsg(9, 500)[1] if m[1] != FLOWINFO])
        notes.do('send', four.sendto, b'4', ('127.0.0.1', port))
        notes.do('by IPv4', lambda: receiver.recvmsg(9, 500))
    receiver.setsockopt(IPV6, FLOWINFO, 0)
    for option in (8, 12, 13):
        notes.do(f'want IP {option}', receiver.setsockopt, 0, option, 1)
        notes.do('send', four.sendto, b'4', ('127.0.0.1', port))
        notes.do('by IPv4', lambda: receiver.recvmsg(9, 500))
        notes.do('send', sender.sendto, b'6', (HOST, port))
        notes.do('by IPv6', lambda: receiver.recvmsg(9, 500))
    one = struct.pack('i', 1)
    sends = [
        ('hop limit 7', IPV6, HOPLIMIT, struct.pack('i', 7)), ('hop limit 0', IPV6, HOPLIMIT, struct.pack('i', 0)),
        ('hop limit -1', IPV6, HOPLIMIT, struct.pack('i', -1)), ('hop limit -2', IPV6, HOPLIMIT, struct.pack('i', -2)),
        ('hop limit 256', IPV6, HOPLIMIT, struct.pack('i', 256)), ('short hop limit', IPV6, HOPLIMIT, b'\1'),
        ('class 0x21', IPV6, TCLASS, struct.pack('i', 0x21)), ('class -1', IPV6, TCLASS, struct.pack('i', -1)),
        ('class 256', IPV6, TCLASS, struct.pack('i', 256)), ('short class', IPV6, TCLASS, b'\1\1'),
        ('info', IPV6, PKTINFO, socket.inet_pton(socket.AF_INET6, HOST) + one),
        ('info without device', IPV6, PKTINFO, socket.inet_pton(socket.AF_INET6, HOST) + bytes(4)),
        ('foreign info', IPV6, PKTINFO, socket.inet_pton(socket.AF_INET6, '2001:db8::1') + bytes(4)),
        ('mapped info', IPV6, PKTINFO, socket.inet_pton(socket.AF_INET6, MAPPED) + bytes(4)),
        ('info of no device', IPV6, PKTINFO, bytes(16) + struct.pack('i', 999)), ('short info', IPV6, PKTINFO, bytes(19)),
        ('unknown', IPV6, 999, one), ('other level', 99, 1, one), ('IPv4 TTL', 0, 2, struct.pack('i', 9)),
    ]
    for what, level, kind, data in sends:
        for to in (HOST, MAPPED):
            notes.do(f'{what} to {to}', sender.sendmsg, [b'm'], [(level, kind, data)], 0, (to, port))
            notes.do('received', lambda: receiver.recvmsg(9, 500))
    for option, value in ((UNICAST_HOPS, 5), (UNICAST_HOPS, -1), (TCLASS, 0xFC), (TCLASS, 0), (PKTINFO, 0)):
        notes.do(f'set {option} {value}', sender.setsockopt, IPV6, option, value)
        notes.do('send', sender.sendto, b's', (HOST, port))
        notes.do('received', lambda: receiver.recvmsg(9, 500))
    for sock in (receiver, sender, four):
        sock.close()
    return notes


def errors6(port: int) -> Notes:
    """What an ICMPv6 error does to a socket: connected or not, with IPV6_RECVERR or without, over either family."""
    notes = Notes()
    for connected in (False, True):
        for wants in (0, 1):
            for host in (HOST, MAPPED):
                with udp(port) as sock:
                    sock.setsockopt(IPV6, RECVERR, wants)
                    sock.setsockopt(0, 11, wants)
                    if connected:
                        sock.connect((host, port + 1))
                    what = f'connected {connected} RECVERR {wants} {host}'
                    notes.do(f'{what}: send', sock.sendto, b'lost', (host, port + 1))
                    notes.poll('afterwards', sock)
                    notes.do('recv', lambda: sock.recv(9))  # noqa: B023
                    notes.poll('afterwards', sock)
                    for _ in range(2):
                        notes.do('error queue', lambda: sock.recvmsg(9, 500, ERRQUEUE | DONTWAIT))  # noqa: B023
                    notes.do('SO_ERROR', sock.getsockopt, 1, 4)
    with udp() as sock:
        sock.setsockopt(IPV6, RECVERR, 1)
        notes.do('too large', sock.sendto, bytes(65528), (HOST, port))
        notes.do('error queue', lambda: sock.recvmsg(9, 500, ERRQUEUE | DONTWAIT))
        notes.do('path MTU: do', sock.setsockopt, IPV6, 23, 2)
        notes.do('more than the device takes', sock.sendto, bytes(65500), (HOST, port))
        notes.do('error queue', lambda: sock.recvmsg(9, 500, ERRQUEUE | DONTWAIT))
    return notes


def raw6(port: int) -> Notes:
    """Raw sockets: protocols, peers, checksums, filters, whole headers."""
    notes = Notes()
    a, b = raw(253), raw(253)
    names(notes, 'fresh', a)
    notes.do('send', a.sendto, b'hello', (HOST, 0))
    for sock in (a, b):
        notes.do('recv', lambda: sock.recvfrom(100))  # noqa: B023
    for to in (253, 9, 300):
        notes.do(f'as port {to}', a.sendto, b'hello', (HOST, to))
        notes.do('recv', lambda: b.recvfrom(100))
    notes.do('no destination', a.send, b'x')
    notes.do('urgent', a.sendto, b'x', OOB, (HOST, 0))
    notes.do('unspecified', a.sendto, b'x', (ANY, 0))
    notes.do('recv', lambda: b.recvfrom(100))
    notes.do('truncated', lambda: (a.sendto(b'12345', (HOST, 0)), b.recvmsg(3, 0, TRUNC)))
    notes.do('sizes', lambda: [a.sendto(bytes(size), (HOST, 0)) for size in (0, 1, 65535)])
    notes.do('sizes', lambda: [len(b.recv(70000)) for _ in range(3)])
    notes.do('too large', a.sendto, bytes(65536), (HOST, 0))
    for host in (MAPPED, '2001:db8::1', 'fe80::1', 'ff02::1', HOST, ANY):
        notes.do(f'bind {host}', b.bind, (host, 5))
        names(notes, 'then', b)
    notes.do('connect', b.connect, (HOST, 99))
    names(notes, 'connected', b)
    notes.do('bind', b.bind, (HOST, 0))
    notes.do('send', b.send, b'abc')
    notes.do('recv', lambda: b.recvfrom(9))
    for name in ((MAPPED, 5), (HOST, 5)):
        notes.do(f'connect {name[0]}', a.connect, name)
        names(notes, 'connected', a)
    a.close()
    b.close()
    checksums6(notes, port)
    headers6(notes)
    return notes


def checksums6(notes: Notes, port: int) -> None:
    """IPV6_CHECKSUM and ICMPV6_FILTER."""
    sock = raw(17)
    receiver = udp(port, HOST)
    for level, value in ((IPV6, 3), (IPV6, -5), (SOL_RAW, 6), (IPV6, 2000), (IPV6, 6)):
        notes.do(f'set {level} {value}', sock.setsockopt, level, CHECKSUM, value)
        notes.do('get', sock.getsockopt, IPV6, CHECKSUM)
        notes.do('send', sock.sendto, struct.pack('!HHHH', 1, port, 9, 0xABCD) + b'Z', (HOST, 0))
        notes.do('UDP receives', lambda: receiver.recvfrom(9))
        notes.do('raw receives', lambda: sock.recvfrom(90)[0][:6])
    for size in (6, 7, 8):
        notes.do(f'{size} bytes', sock.sendto, b'12345678'[:size], (HOST, 0))
    notes.do('pieces', sock.sendto, struct.pack('!HH', 1, port), MORE, (HOST, 0))
    notes.do('pieces', sock.sendto, struct.pack('!HH', 10, 0) + b'YZ', (HOST, 0))
    notes.do('UDP receives', lambda: receiver.recvfrom(9))
    sock.close()
    receiver.close()
    sock = raw(ICMPV6)
    for level in (IPV6, SOL_RAW):
        notes.do('get of ICMPv6', sock.getsockopt, level, CHECKSUM)
        notes.do('set of ICMPv6', sock.setsockopt, level, CHECKSUM, 2)
    for size in (8, 32, 64):
        notes.do('get filter', sock.getsockopt, ICMPV6, 1, size)
    for value in (bytes(32), b'\xff' * 8, b'\1' * 40, b'', b'\xff' * 32):
        notes.do('set filter', sock.setsockopt, ICMPV6, 1, value)
        notes.do('get filter', sock.getsockopt, ICMPV6, 1, 32)
        notes.do('ping', sock.sendto, struct.pack('!BBHHH', 128, 0, 0, 77, 1) + b'ping', (HOST, 0))
        for _ in range(3):
            notes.do('recv', lambda: sock.recv(90))
    notes.do('other option', sock.setsockopt, ICMPV6, 2, 1)
    notes.do('other option', sock.getsockopt, ICMPV6, 2)
    sock.close()
    sock = raw(253)
    notes.do('filter of another protocol', sock.setsockopt, ICMPV6, 1, bytes(32))
    notes.do('filter of another protocol', sock.getsockopt, ICMPV6, 1, 32)
    sock.close()


def headers6(notes: Notes) -> None:
    """IPV6_HDRINCL, and protocol 255."""
    receiver, sock, every = raw(253), raw(253), raw(255)
    header = struct.pack('!IHBB', 6 << 28, 1, 253, 64) + bytes(15) + b'\1' + bytes(15) + b'\1' + b'Q'
    for level in (IPV6, SOL_RAW, 0):
        notes.do('get HDRINCL', sock.getsockopt, level, HDRINCL)
    notes.do('of 255', every.getsockopt, IPV6, HDRINCL)
    notes.do('set', sock.setsockopt, IPV6, HDRINCL, 1)
    for sender in (sock, every):
        for what, data in (('whole', header), ('short', header[:39]), ('bare', header[:40]), ('version 0', b'\0' + header[1:]),
                           ('too large', bytes(65537))):
            notes.do(f'send {what}', sender.sendto, data, (HOST, 0))
            notes.do('recv', lambda: receiver.recvfrom(90))
    notes.do('not of 255', every.setsockopt, IPV6, HDRINCL, 0)
    notes.do('protocol by port', every.sendto, b'by port', (HOST, 253))
    notes.do('recv', lambda: receiver.recvfrom(90))
    with udp() as datagrams:
        for option in (CHECKSUM, HDRINCL):
            notes.do(f'{option} of UDP', datagrams.setsockopt, IPV6, option, 1)
            notes.do(f'{option} of UDP', datagrams.getsockopt, IPV6, option)
    for each in (receiver, sock, every):
        each.close()


# not: what Linnet has not (2292PKTOPTIONS, ROUTER_ALERT, anycast, FLOWLABEL_MGR, source filters), ip6tables' own, devices
OPTIONS6 = tuple(n for n in range(1, 80) if n not in (6, 17, 22, 27, 28, 30, 32, 34, 35, 43, 44, 46, 47, 48, 64, 65, 68, 69))
OPTION_VALUES6 = (
    b'', b'\1', *(struct.pack('i', v) for v in (1, 0, -1, 2, 3, 5, 64, 255, 256, 1279, 1280, 70000)), bytes(8), bytes(20),
    bytes(16) + struct.pack('i', 1), bytes(136), struct.pack('!I', 1),
)


def options6(port: int) -> Notes:
    """Options of level SOL_IPV6, read and set with values and lengths that fit and that do not, on sockets of each type."""
    notes = Notes()
    for type, protocol in ((1, 0), (2, 0), (3, 253)):
        for option in OPTIONS6:
            for length in (1, 4, 32):
                with socket.socket(socket.AF_INET6, type, protocol) as sock:
                    notes.do(f'type {type} get {option} length {length}', sock.getsockopt, IPV6, option, length)
            for value in OPTION_VALUES6:
                what = f'type {type} set {option} {value.hex()}'
                with socket.socket(socket.AF_INET6, type, protocol) as sock:
                    notes.do(what, sock.setsockopt, IPV6, option, value)
                    notes.do(what + ' then get', sock.getsockopt, IPV6, option, 32)
    return notes


SCRIPTS6: dict[str, Callable[[int], Notes]] = {
    script.__name__: script
    for script in (datagrams6, binds6, dual_stack, who_gets_it, corking6, messages6, errors6, raw6, options6)
}
