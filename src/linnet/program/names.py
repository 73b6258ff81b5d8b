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
from zlib import crc32

from linnet.include.linux.in6 import IN6ADDR_ANY, IN6ADDR_LOOPBACK, in6_ntop, in6_pton
from linnet.include.linux.inet import INADDR_ANY, INADDR_BROADCAST, INADDR_LOOPBACK, in_aton, in_ntoa
from linnet.include.linux.socket import AF_INET, AF_INET6, Sockaddr
from linnet.include.net.flow import Flowi6
from linnet.include.net.ipv6 import IPV6_ADDR_LINKLOCAL, ipv6_addr_set_v4mapped, ipv6_addr_type
from linnet.net.ipv6.ip6_output_lookup import ip6_dst_lookup_flow
from linnet.program import dns
from linnet.program.runtime import Program, current_program

real_getservbyname = std.getservbyname
real_getservbyport = std.getservbyport


LOCAL_NAMES = ('localhost', 'localhost.localdomain')
LOOPBACK = {AF_INET: INADDR_LOOPBACK, AF_INET6: IN6ADDR_LOOPBACK}
UNKNOWN = (std.EAI_NONAME, 'Name or service not known')
OTHER_FAMILY = (std.EAI_ADDRFAMILY, 'Address family for hostname not supported')
NO_DATA = (std.EAI_NODATA, 'No address associated with hostname')


def numeric(program: Program, text: str) -> tuple[int, int, int] | None:
    """(family, address, zone's ifindex) of an address that is written out, '10.0.0.1' or 'fe80::1%eth0'; None: it is a name."""
    addr, percent, zone = text.partition('%')
    try:
        if ':' not in addr:
            return None if percent else (AF_INET, in_aton(addr), 0)
        number = in6_pton(addr)
    except ValueError:
        return None
    if not percent:
        return AF_INET6, number, 0
    index = next((int(dev.ifindex) for dev in program.net.dev_base if zone in (dev.name, str(dev.ifindex))), 0)
    if not index:
        raise std.gaierror(*UNKNOWN)
    return AF_INET6, number, index


def of_name(program: Program, name: str, family: int) -> list[int]:
    """The addresses of a name in one family. gaierror where nobody has that name, or it has none of that family."""
    if name.lower() in LOCAL_NAMES:
        return [LOOPBACK[family]]
    table = program.runtime.names
    servers = table.nameservers(program.net.name)
    if servers and name.lower().rstrip('.') != program.net.name.lower():
        return ask_servers(program, servers, name, family)
    found = table.lookup(name, family)
    if not found:
        raise std.gaierror(*(NO_DATA if any(table.lookup(name, other) for other in LOOPBACK) else UNKNOWN))
    return found


def resolve_all(program: Program, name: str) -> list[int]:
    """The IPv4 addresses of a name or dotted quad. gaierror where there is none."""
    if name == '':
        return [INADDR_ANY]
    if name == '<broadcast>':
        return [INADDR_BROADCAST]
    given = numeric(program, name)
    if given is None:
        return of_name(program, name, AF_INET)
    if given[0] != AF_INET:
        raise std.gaierror(*OTHER_FAMILY)
    return [given[1]]


def ask_servers(program: Program, servers: list[Sockaddr], name: str, family: int) -> list[int]:
    """The addresses of a name by DNS. gaierror as of glibc: EAI_NONAME, EAI_NODATA, or EAI_AGAIN where no server could tell."""
    try:
        dns.encode_name(name)
        found = dns.addresses(program, servers, name, family)
    except ValueError:
        raise std.gaierror(*UNKNOWN) from None
    except dns.DnsError as exc:
        if exc.rcode == dns.NXDOMAIN:
            raise std.gaierror(*UNKNOWN) from None
        raise std.gaierror(std.EAI_AGAIN, 'Temporary failure in name resolution') from None
    if not found:
        raise std.gaierror(*NO_DATA)
    return found


def resolve(program: Program, name: str) -> int:
    """The preferred IPv4 address of a name."""
    return resolve_all(program, name)[0]


def resolve6(program: Program, name: str) -> tuple[int, int]:
    """The preferred IPv6 address of a name, and the ifindex of the zone that it names ('fe80::1%eth0'), or 0."""
    if name == '':
        return IN6ADDR_ANY, 0
    given = numeric(program, name)
    if given is None:
        return of_name(program, name, AF_INET6)[0], 0
    if given[0] != AF_INET6:
        raise std.gaierror(*OTHER_FAMILY)
    return given[1], given[2]


def families_of(program: Program) -> tuple[int, ...]:
    """What a name is asked for where the caller does not care: IPv6 only on a host that has it, as with AI_ADDRCONFIG."""
    if any(addr != IN6ADDR_LOOPBACK for addr in program.net.ipv6.inet6_addr_lst):
        return AF_INET, AF_INET6
    return (AF_INET,)


def reaches6(program: Program, addr: int) -> bool:
    """Has the host a route, and an address of its own, to speak to addr?"""
    fl6 = Flowi6()
    fl6.daddr = addr
    return ip6_dst_lookup_flow(program.net, None, fl6, 0) is not None


def both_families(program: Program, name: str) -> list[tuple[int, int]]:
    """(family, address) of a name, in the order in which they should be tried (RFC 6724, 6): IPv6 first where it reaches."""
    found: dict[int, list[int]] = {}
    failures: list[std.gaierror] = []
    for family in families_of(program):
        try:
            found[family] = of_name(program, name, family)
        except std.gaierror as exc:
            failures.append(exc)
            if exc.errno == std.EAI_NONAME:
                break  # nor has it an address of the other family
    v4 = [(AF_INET, addr) for addr in found.get(AF_INET, [])]
    v6 = [(AF_INET6, addr) for addr in found.get(AF_INET6, [])]
    if not v4 and not v6:
        raise failures[0]
    if name.lower() in LOCAL_NAMES:
        return v4 + v6
    near = [pair for pair in v6 if reaches6(program, pair[1])]
    return near + v4 + [pair for pair in v6 if pair not in near]


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
    """As socket.getaddrinfo, answered by the world."""
    program = current_program()
    if family not in (0, AF_INET, AF_INET6):
        raise std.gaierror(std.EAI_FAMILY, 'ai_family not supported')
    number = _port(port)
    name = '' if host is None else host.decode('idna') if isinstance(host, bytes) else str(host)
    found = hosts_of(program, None if host is None else name, family, flags)
    canon = name if flags & std.AI_CANONNAME else ''
    kinds = [(k, p) for k, p in KINDS if type in (0, k) and (proto in (0, p) or k == std.SOCK_RAW)]
    if not kinds:
        raise std.gaierror(std.EAI_SOCKTYPE, 'ai_socktype not supported')
    return [
        AddressInfo((std.AddressFamily(f), std.SocketKind(k), proto or p, canon if i == 0 and j == 0 else '',
                     (in_ntoa(a), number) if f == AF_INET else (in6_ntop(a), number, 0, zone)))
        for i, (f, a, zone) in enumerate(found) for j, (k, p) in enumerate(kinds)
    ]


class AddressInfo(tuple[Any, ...]):
    """What getaddrinfo() lists. Its hash is the same in each process, which that of text is not: asyncio makes a set of them, and
    the order in which a server binds its listeners decides about ports.
    """

    def __hash__(self) -> int:
        return crc32(repr(tuple(self)).encode())


def hosts_of(program: Program, name: str | None, family: int, flags: int) -> list[tuple[int, int, int]]:
    """(family, address, zone's ifindex) of what getaddrinfo() is asked for, in order. gaierror as of glibc."""
    families = (AF_INET, AF_INET6) if family == 0 else (family,)
    if name is None:
        if flags & std.AI_PASSIVE:
            return [(f, 0, 0) for f in families]
        return [(f, LOOPBACK[f], 0) for f in reversed(families)]
    if name in ('', '<broadcast>'):  # what Python's own addresses may say
        return [(f, resolve(program, name) if f == AF_INET else IN6ADDR_ANY, 0) for f in families[:1]]
    given = numeric(program, name)
    if given is not None:
        if family in (0, given[0]):
            return [given]
        if given[0] == AF_INET and flags & std.AI_V4MAPPED:
            return [(AF_INET6, ipv6_addr_set_v4mapped(given[1]), 0)]
        raise std.gaierror(*OTHER_FAMILY)
    if flags & std.AI_NUMERICHOST:
        raise std.gaierror(*UNKNOWN)
    if family == 0:
        return [(f, a, 0) for f, a in both_families(program, name)]
    try:
        return [(family, a, 0) for a in of_name(program, name, family)]
    except std.gaierror:
        if family == AF_INET or not flags & std.AI_V4MAPPED:
            raise
        return [(AF_INET6, ipv6_addr_set_v4mapped(a), 0) for a in of_name(program, name, AF_INET)]


def gethostbyname(name: str) -> str:
    """The first address, as dotted quad."""
    return in_ntoa(resolve(current_program(), name))


def gethostbyname_ex(name: str) -> tuple[str, list[str], list[str]]:
    """(name, no aliases, addresses)."""
    return name, [], [in_ntoa(a) for a in resolve_all(current_program(), name)]


def gethostbyaddr(name: str) -> tuple[str, list[str], list[str]]:
    """The name of an address (or of a name's address)."""
    program = current_program()
    given = numeric(program, name)
    family, addr, _ = given if given is not None else (AF_INET, resolve(program, name), 0)
    text = in_ntoa(addr) if family == AF_INET else in6_ntop(addr)
    if addr == LOOPBACK[family]:
        return 'localhost', [], [text]
    table = program.runtime.names
    servers = table.nameservers(program.net.name)
    found = dns.name_of(program, servers, addr, family) if servers else table.reverse(addr, family)
    if found is None:
        raise std.herror(1, 'Unknown host')
    return found, [], [text]


def getnameinfo(sockaddr: Any, flags: int) -> tuple[str, str]:
    """(host, service) of an address tuple; a zone is written behind a link-local address."""
    if not isinstance(sockaddr, tuple):
        raise TypeError(f'getnameinfo() argument 1 must be tuple, not {type(sockaddr).__name__}')
    host, port = sockaddr[0], operator.index(sockaddr[1])
    if len(sockaddr) > 2 and not 0 <= operator.index(sockaddr[2]) <= 0xFFFFF:
        raise OverflowError('getnameinfo(): flowinfo must be 0-1048575.')
    program = current_program()
    given = numeric(program, host)
    if given is None:
        raise std.gaierror(*UNKNOWN)
    if given[0] == AF_INET and len(sockaddr) != 2:
        raise OSError('IPv4 sockaddr must be 2 tuple')
    scope = given[2] or (operator.index(sockaddr[3]) if len(sockaddr) > 3 else 0)
    if given[0] == AF_INET6:
        host = in6_ntop(given[1])
        if scope and ipv6_addr_type(given[1]) & IPV6_ADDR_LINKLOCAL:
            dev = program.net.dev_by_index.get(scope)
            host += f'%{dev.name if dev is not None else scope}'
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
