# SPDX-License-Identifier: Apache-2.0
"""Name service for simulated programs: the hosts of the world by their names, numbers by themselves.

A world's names live in a HostTable (hosts.py) that the lab fills; a program sees them through getaddrinfo, gethostbyname
and friends, with CPython's errors (gaierror EAI_NONAME for what nobody has).
"""
from __future__ import annotations

import errno
import operator
import os
import socket as std
from typing import Any

from linnet.include.linux.inet import INADDR_ANY, INADDR_BROADCAST, INADDR_LOOPBACK, in_aton, in_ntoa
from linnet.program import dns
from linnet.program.runtime import Program, current_program

real_getservbyname = std.getservbyname
real_getservbyport = std.getservbyport


def resolve_all(program: Program, name: str) -> list[int]:
    """The addresses of a name or dotted quad. gaierror where there is none."""
    if name == '':
        return [INADDR_ANY]
    if name == '<broadcast>':
        return [INADDR_BROADCAST]
    if name.lower() in ('localhost', 'localhost.localdomain'):
        return [INADDR_LOOPBACK]
    try:
        return [in_aton(name)]
    except ValueError:
        pass
    table = program.runtime.names
    found = table.lookup(name)
    servers = table.nameservers(program.net.name)
    if servers and name.lower().rstrip('.') != program.net.name.lower():
        return ask_servers(program, servers, name)
    if not found:
        raise std.gaierror(std.EAI_NONAME, 'Name or service not known')
    return found


def ask_servers(program: Program, servers: list[int], name: str) -> list[int]:
    """The addresses of a name by DNS. gaierror as of glibc: EAI_NONAME, EAI_NODATA, or EAI_AGAIN where no server could tell."""
    try:
        dns.encode_name(name)
        found = dns.addresses(program, servers, name)
    except ValueError:
        raise std.gaierror(std.EAI_NONAME, 'Name or service not known') from None
    except dns.DnsError as exc:
        if exc.rcode == dns.NXDOMAIN:
            raise std.gaierror(std.EAI_NONAME, 'Name or service not known') from None
        raise std.gaierror(std.EAI_AGAIN, 'Temporary failure in name resolution') from None
    if not found:
        raise std.gaierror(std.EAI_NODATA, 'No address associated with hostname')
    return found


def resolve(program: Program, name: str) -> int:
    """The preferred address of a name."""
    return resolve_all(program, name)[0]


def _port(port: Any) -> int:
    if port is None or port == '' or port == b'':
        return 0
    if isinstance(port, int):
        return port
    text = port.decode() if isinstance(port, bytes) else str(port)
    if text.isdigit():
        return int(text)
    try:
        return real_getservbyname(text)
    except OSError:
        raise std.gaierror(std.EAI_SERVICE, 'Servname not supported for ai_socktype') from None


KINDS = ((std.SOCK_STREAM, std.IPPROTO_TCP), (std.SOCK_DGRAM, std.IPPROTO_UDP), (std.SOCK_RAW, 0))


def getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> list[Any]:
    """As socket.getaddrinfo, answered by the world: IPv4 only."""
    program = current_program()
    if family not in (0, std.AF_INET):
        raise std.gaierror(std.EAI_ADDRFAMILY if family == std.AF_INET6 else std.EAI_FAMILY,
                           'Address family for hostname not supported')
    number = _port(port)
    if host is None:
        addresses = [INADDR_ANY if flags & std.AI_PASSIVE else INADDR_LOOPBACK]
        name = ''
    else:
        name = host.decode('idna') if isinstance(host, bytes) else str(host)
        if flags & std.AI_NUMERICHOST:
            try:
                in_aton(name)
            except ValueError:
                raise std.gaierror(std.EAI_NONAME, 'Name or service not known') from None
        addresses = resolve_all(program, name)
    canon = name if flags & std.AI_CANONNAME else ''
    kinds = [(k, p) for k, p in KINDS if type in (0, k) and (proto in (0, p) or k == std.SOCK_RAW)]
    if not kinds:
        raise std.gaierror(std.EAI_SOCKTYPE, 'ai_socktype not supported')
    return [
        (std.AF_INET, std.SocketKind(k), proto or p, canon if i == 0 and j == 0 else '', (in_ntoa(a), number))
        for i, a in enumerate(addresses) for j, (k, p) in enumerate(kinds)
    ]


def gethostbyname(name: str) -> str:
    """The first address, as dotted quad."""
    return in_ntoa(resolve(current_program(), name))


def gethostbyname_ex(name: str) -> tuple[str, list[str], list[str]]:
    """(name, no aliases, addresses)."""
    return name, [], [in_ntoa(a) for a in resolve_all(current_program(), name)]


def gethostbyaddr(name: str) -> tuple[str, list[str], list[str]]:
    """The name of an address (or of a name's address)."""
    program = current_program()
    addr = resolve(program, name)
    if addr == INADDR_LOOPBACK:
        return 'localhost', [], [in_ntoa(addr)]
    table = program.runtime.names
    servers = table.nameservers(program.net.name)
    found = dns.name_of(program, servers, addr) if servers else table.reverse(addr)
    if found is None:
        raise std.herror(1, 'Unknown host')
    return found, [], [in_ntoa(addr)]


def getnameinfo(sockaddr: Any, flags: int) -> tuple[str, str]:
    """(host, service) of an address tuple."""
    if not isinstance(sockaddr, tuple):
        raise TypeError(f'getnameinfo() argument 1 must be tuple, not {type(sockaddr).__name__}')
    host, port = sockaddr[0], operator.index(sockaddr[1])
    try:
        in_aton(host)
    except ValueError:
        raise std.gaierror(std.EAI_NONAME, 'Name or service not known') from None
    name = host
    if not flags & std.NI_NUMERICHOST:
        try:
            name = gethostbyaddr(host)[0]
        except OSError:
            if flags & std.NI_NAMEREQD:
                raise std.gaierror(std.EAI_NONAME, 'Name or service not known') from None
    service = str(port)
    if not flags & std.NI_NUMERICSERV:
        try:
            service = real_getservbyport(port, 'udp' if flags & std.NI_DGRAM else 'tcp')
        except OSError:
            pass
    return name, service


def gethostname() -> str:
    """The name of the program's host."""
    program = current_program()
    return program.runtime.hostnames.get(program.net, program.net.name)


def sethostname(name: str | bytes) -> None:
    """What gethostname() of all programs of the host answers; the others still know it by its old name."""
    program = current_program()
    program.runtime.hostnames[program.net] = name.decode() if isinstance(name, bytes) else name


def if_nameindex() -> list[tuple[int, str]]:
    """(index, name) of the host's interfaces."""
    return [(int(dev.ifindex), dev.name) for dev in current_program().net.dev_base]


def if_nametoindex(name: str | bytes) -> int:
    """The index of an interface."""
    wanted = os.fsdecode(name)
    for index, known in if_nameindex():
        if known == wanted:
            return index
    raise OSError('no interface with this name')


def if_indextoname(index: int) -> str:
    """The name of an interface."""
    number = operator.index(index)
    if not 0 <= number <= 0xFFFFFFFF:
        raise OverflowError('index out of range')
    for known, name in if_nameindex():
        if known == number:
            return name
    raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))


def getfqdn(name: str = '') -> str:
    """The host's name: worlds have no domains."""
    name = name.strip()
    if name in ('', '0.0.0.0', '::'):
        return gethostname()
    try:
        return gethostbyaddr(name)[0]
    except OSError:
        return name
