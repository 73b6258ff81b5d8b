# SPDX-License-Identifier: Apache-2.0
"""DNS (RFC 1035) as far as a lab needs it: messages, a name server that is a plain program, the resolver behind getaddrinfo().

The server knows the world's hosts, by their names and backwards, and the records that it was given. It answers on UDP and TCP
port 53 and asks nobody else. The resolver does what glibc's stub does with a resolv.conf: each server in turn, five seconds each,
two rounds; an answer that was cut is fetched by TCP; nothing is cached.
"""
from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from linnet.include.linux.in6 import in6_bytes, in6_pton
from linnet.include.linux.inet import in_aton, in_ntoa
from linnet.include.linux.socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM, Sockaddr, make_sockaddr_in6
from linnet.kernel.poll import POLLIN
from linnet.program import calls as sys
from linnet.program import polling
from linnet.program.hosts import HostTable
from linnet.program.runtime import Program

PORT: Final = 53
A, CNAME, PTR, TXT, AAAA, ANY = 1, 5, 12, 16, 28, 255
CLASS_IN: Final = 1
QR, AA, TC, RD, RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
UDP_SIZE: Final = 512  # of a message without EDNS
TIMEOUT_NS: Final = 5_000_000_000
ATTEMPTS: Final = 2
CHAIN: Final = 8  # CNAMEs that are followed

Record = tuple[str, int, int, bytes]  # name, type, TTL, data


class DnsError(Exception):
    """No answer that says anything: rcode tells why; -1: none came at all."""

    def __init__(self, rcode: int) -> None:
        super().__init__(f'DNS rcode {rcode}' if rcode >= 0 else 'no name server answers')
        self.rcode = rcode


def parse_address(text: str) -> tuple[int, int]:
    """(family, number) of an address as text. ValueError: it is none of either family."""
    return (AF_INET6, in6_pton(text)) if ':' in text else (AF_INET, in_aton(text))


def server_at(text: str) -> Sockaddr:
    """A name server by its address."""
    family, addr = parse_address(text)
    return make_sockaddr_in6(addr, PORT) if family == AF_INET6 else Sockaddr(AF_INET, addr, PORT)


# -- messages

def encode_name(name: str) -> bytes:
    """A domain name without compression. ValueError: a label is empty or too long."""
    out = b''
    for label in name.rstrip('.').split('.') if name.rstrip('.') else []:
        raw = label.encode('ascii') if label.isascii() else label.encode('idna')
        if not 1 <= len(raw) <= 63:
            raise ValueError(f'{name!r} is no domain name: a label has 1 to 63 bytes')
        out += bytes([len(raw)]) + raw
    if len(out) > 254:
        raise ValueError(f'{name!r} is no domain name: it has more than 255 bytes')
    return out + b'\0'


def decode_name(data: bytes, at: int) -> tuple[str, int]:
    """(name, where it ends) of a name that may be compressed. ValueError: it is damaged."""
    labels: list[str] = []
    end = -1
    for _ in range(128):
        if at >= len(data):
            break
        size = data[at]
        if size == 0:
            return '.'.join(labels).lower(), at + 1 if end < 0 else end
        if size >= 0xC0 and at + 1 < len(data):
            end = at + 2 if end < 0 else end
            at = (size & 0x3F) << 8 | data[at + 1]
        elif size < 64 and at + 1 + size <= len(data):
            labels.append(data[at + 1:at + 1 + size].decode('latin-1'))
            at += 1 + size
        else:
            break
    raise ValueError('a damaged name in a DNS message')


def query(ident: int, name: str, kind: int) -> bytes:
    """A question to a recursive server."""
    return struct.pack('!HHHHHH', ident, RD, 1, 0, 0, 0) + encode_name(name) + struct.pack('!HH', kind, CLASS_IN)


def parse(data: bytes) -> tuple[int, int, list[tuple[str, int, int]], list[Record]]:
    """(id, flags, questions as (name, type, class), answers) of a message. ValueError: it is damaged."""
    if len(data) < 12:
        raise ValueError('a DNS message has 12 bytes at least')
    ident, flags, nr_questions, nr_answers = struct.unpack_from('!HHHH', data)
    at = 12
    questions, answers = [], []
    try:
        for _ in range(nr_questions):
            name, at = decode_name(data, at)
            questions.append((name, *struct.unpack_from('!HH', data, at)))
            at += 4
        for _ in range(nr_answers):
            name, at = decode_name(data, at)
            kind, _, ttl, size = struct.unpack_from('!HHIH', data, at)
            at += 10
            content = data[at:at + size]
            if kind in (CNAME, PTR):
                content = encode_name(decode_name(data, at)[0])  # its pointers mean nothing outside of the message
            answers.append((name, kind, ttl, content))
            at += size
    except struct.error:
        raise ValueError('a DNS message that ends too early') from None
    return ident, flags, questions, answers


def message(ident: int, flags: int, question: tuple[str, int, int] | None, answers: Sequence[Record], limit: int) -> bytes:
    """An answer; what does not fit is left out, and TC says so."""
    body = b''
    if question is not None:
        body = encode_name(question[0]) + struct.pack('!HH', *question[1:])
    count = 0
    for name, kind, ttl, content in answers:
        record = encode_name(name) + struct.pack('!HHIH', kind, CLASS_IN, ttl, len(content)) + content
        if 12 + len(body) + len(record) > limit:
            flags |= TC
            break
        body += record
        count += 1
    return struct.pack('!HHHHHH', ident, flags, question is not None, count, 0, 0) + body


# -- the server

class Zone:
    """What a server knows: the world's hosts, and records name -> address, addresses, or another name (an alias)."""

    def __init__(self, hosts: HostTable, records: Mapping[str, str | Sequence[str]], ttl: int) -> None:
        self.hosts = hosts
        self.ttl = ttl
        self.own = HostTable()  # what the records say
        self.aliases: dict[str, str] = {}
        for name, value in records.items():
            key = name.lower().rstrip('.')
            encode_name(key)
            try:
                for text in [value] if isinstance(value, str) else value:
                    family, addr = parse_address(text)
                    self.own.add(key, addr, family)
            except ValueError:
                if not isinstance(value, str):
                    raise
                encode_name(value)
                self.aliases[key] = value.lower().rstrip('.')

    def lookup(self, name: str, family: int) -> list[int]:
        """The addresses of a name: of the records, where they have it, else of the host with that name."""
        given = self.own.lookup(name, AF_INET) or self.own.lookup(name, AF_INET6)
        return (self.own if given else self.hosts).lookup(name, family)

    def reverse(self, name: str) -> str | None:
        """The host whose address '4.3.2.1.in-addr.arpa' (or 32 hexadecimal digits and '.ip6.arpa') means."""
        try:
            if name.endswith('.ip6.arpa'):
                digits = name.removesuffix('.ip6.arpa').split('.')
                if len(digits) != 32 or any(len(digit) != 1 for digit in digits):
                    return None
                family, addr = AF_INET6, int(''.join(reversed(digits)), 16)
            else:
                family, addr = AF_INET, in_aton('.'.join(reversed(name.removesuffix('.in-addr.arpa').split('.'))))
        except ValueError:
            return None
        return self.hosts.reverse(addr, family) or self.own.reverse(addr, family)

    def answer(self, name: str, kind: int) -> tuple[int, list[Record]]:
        """(rcode, records)."""
        found: list[Record] = []
        for _ in range(CHAIN):
            alias = self.aliases.get(name)
            if alias is None:
                break
            found.append((name, CNAME, self.ttl, encode_name(alias)))
            name = alias
        if name.endswith(('.in-addr.arpa', '.ip6.arpa')):
            host = self.reverse(name)
            if host is None:
                return NXDOMAIN, found
            return NOERROR, [*found, (name, PTR, self.ttl, encode_name(host))] if kind in (PTR, ANY) else found
        v4, v6 = self.lookup(name, AF_INET), self.lookup(name, AF_INET6)
        if not v4 and not v6:
            return NXDOMAIN, found
        if kind in (A, ANY):
            found += [(name, A, self.ttl, addr.to_bytes(4, 'big')) for addr in v4]
        if kind in (AAAA, ANY):
            found += [(name, AAAA, self.ttl, in6_bytes(addr)) for addr in v6]
        return NOERROR, found

    def reply(self, data: bytes, limit: int) -> bytes | None:
        """The answer to a message; None where it deserves none."""
        try:
            ident, flags, questions, _ = parse(data)
        except ValueError:
            return None if len(data) < 12 else message(int.from_bytes(data[:2], 'big'), QR | FORMERR, None, [], limit)
        if flags & QR:
            return None
        head = QR | AA | flags & RD
        if flags & 0x7800 or len(questions) != 1:
            return message(ident, head | (NOTIMP if flags & 0x7800 else FORMERR), None, [], limit)
        name, kind, cls = questions[0]
        rcode, answers = self.answer(name, kind) if cls in (CLASS_IN, ANY) else (REFUSED, [])
        return message(ident, head | rcode, questions[0], answers, limit)


def serve(zone: Zone) -> None:
    """The name server: a program on one of the hosts, for both versions of IP."""
    listener = socket.create_server(('', PORT), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=serve_streams, args=(zone, listener), daemon=True).start()
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(('::', PORT))
    while True:
        try:
            data, peer = udp.recvfrom(65_535)
        except ConnectionError:
            continue  # an asker who is no more
        reply = zone.reply(data, UDP_SIZE)
        if reply is not None:
            udp.sendto(reply, peer)


def serve_streams(zone: Zone, listener: socket.socket) -> None:
    """Questions by TCP, each with its length before it."""
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=serve_stream, args=(zone, conn), daemon=True).start()


def serve_stream(zone: Zone, conn: socket.socket) -> None:
    """One connection."""
    try:
        with conn, conn.makefile('rb') as stream:
            while len(head := stream.read(2)) == 2:
                reply = zone.reply(stream.read(int.from_bytes(head, 'big')), 65_535)
                if reply is None:
                    return
                conn.sendall(struct.pack('!H', len(reply)) + reply)
    except ConnectionError:
        return


# -- the resolver

def ask(program: Program, servers: Sequence[Sockaddr], name: str, kind: int) -> list[Record]:
    """The records that a name server has for a name; [] where the name has none of that type.

    DnsError with NXDOMAIN: there is no such name; with another rcode, or -1: nobody could tell.
    """
    ident = int(program.net.random.u32()) & 0xFFFF
    question = query(ident, name, kind)
    worst = -1
    for _ in range(ATTEMPTS):
        for server in servers:
            for stream in (False, True):
                try:
                    answer = exchange(program, server, question, stream)
                except OSError:
                    answer = None  # refused, unreachable, reset: the next one
                if answer is None:
                    break
                _, flags, _, records = answer
                if flags & TC and not stream:
                    continue
                rcode = flags & 15
                if rcode in (NOERROR, NXDOMAIN):
                    if rcode == NXDOMAIN:
                        raise DnsError(NXDOMAIN)
                    return [record for record in records if record[1] == kind]
                worst = rcode
                break
    raise DnsError(worst)


def exchange(program: Program, server: Sockaddr, question: bytes, stream: bool) -> Any:
    """Ask one server once: its parsed answer, None if none came in time. Answers to other questions are not looked at."""
    deadline = program.now() + TIMEOUT_NS
    fd = sys.sys_socket(program, server.sa_family, SOCK_STREAM if stream else SOCK_DGRAM, 0)
    try:
        sys.sys_connect(program, fd, server)
        sys.sys_sendto(program, fd, struct.pack('!H', len(question)) + question if stream else question, 0, None)
        buffer = b''
        while True:
            left = deadline - program.now()
            if left <= 0 or not polling.poll(program, [(fd, POLLIN)], left):
                return None
            data = sys.sys_recvfrom(program, fd, 65_535, 0)[0]
            if stream:
                if not data:
                    return None
                buffer += data
                if len(buffer) < 2 or len(buffer) < 2 + int.from_bytes(buffer[:2], 'big'):
                    continue
                data = buffer[2:]
            try:
                answer = parse(data)
            except ValueError:
                continue
            if answer[0] == int.from_bytes(question[:2], 'big') and answer[1] & QR and answer[2] == parse(question)[2]:
                return answer
    finally:
        sys.sys_close(program, fd)


def addresses(program: Program, servers: Sequence[Sockaddr], name: str, family: int) -> list[int]:
    """The addresses of a name in one family. DnsError as of ask()."""
    return [int.from_bytes(data, 'big') for _, _, _, data in ask(program, servers, name, AAAA if family == AF_INET6 else A)]


def name_of(program: Program, servers: Sequence[Sockaddr], addr: int, family: int) -> str | None:
    """The name of an address, if the servers know one."""
    if family == AF_INET6:
        arpa = '.'.join(reversed(f'{addr:032x}')) + '.ip6.arpa'
    else:
        arpa = '.'.join(reversed(in_ntoa(addr).split('.'))) + '.in-addr.arpa'
    try:
        found = ask(program, servers, arpa, PTR)
    except DnsError:
        return None
    return decode_name(found[0][3], 0)[0] if found else None
