# SPDX-License-Identifier: Apache-2.0
"""The options of a run, by packetdrill's names: on the command line they beat those that stand in the script."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from linnet.drill.script import DrillError
from linnet.include.linux.in6 import in6_pton
from linnet.include.linux.inet import in_aton
from linnet.include.linux.socket import AF_INET, AF_INET6, Sockaddr, make_sockaddr_in6
from linnet.include.net.ipv6 import ipv6_addr_set_v4mapped, ipv6_addr_v4mapped, ipv6_mapped_v4

IP_VERSIONS: Final = ('ipv4', 'ipv6', 'ipv4-mapped-ipv6')


def ip_of(name: Sockaddr) -> int:
    """The address that packets bear for a socket address: of a mapped one, the IPv4 address."""
    if name.sa_family != AF_INET6:
        return int(name.sin_addr)
    addr = name.sin6_addr
    return int(ipv6_mapped_v4(addr)) if ipv6_addr_v4mapped(addr) else addr


@dataclass
class Config:
    """A run's options. Times in µs; addresses as numbers, those of packets: IPv6's with ip_version ipv6, IPv4's else."""

    ip_version: str = 'ipv4'
    local: int = in_aton('192.168.0.1')
    remote: int = in_aton('192.0.2.1')
    prefixlen: int = 16
    bind_port: int = 8080
    connect_port: int = 8080
    mtu: int = 1500
    mss: int = 0
    tolerance: int = 4000
    percent: float = 12.5
    ts_tick: int = 0
    ts_scaled: bool = False
    strict_segments: bool = False
    verbose: bool = False
    walk: bool = False  # record which functions of the stack each event enters; the stack must run interpreted
    defines: dict[str, str] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()  # options of the command line, which beat a script's

    def set(self, name: str, value: str) -> None:
        """One option by packetdrill's name. DrillError: unknown, or a value it does not take."""
        try:
            self._set(name, value)
        except (ValueError, IndexError):
            raise DrillError(f'bad value {value!r} of option --{name}') from None

    def _set(self, name: str, value: str) -> None:
        numbers = {'mtu': 'mtu', 'mss': 'mss', 'tolerance_usecs': 'tolerance', 'tcp_ts_tick_usecs': 'ts_tick',
                   'bind_port': 'bind_port', 'connect_port': 'connect_port'}
        switches = {'tcp_ts_ecr_scaled': 'ts_scaled', 'strict_segments': 'strict_segments', 'send_omit_free': ''}
        if name in numbers:
            setattr(self, numbers[name], int(value))
        elif name in switches and not value:
            if switches[name]:
                setattr(self, switches[name], True)
        elif name in ('local_ip', 'remote_ip', 'gateway_ip'):
            addr = in6_pton(value) if ':' in value else in_aton(value)
            if (':' in value) != (self.ip_version == 'ipv6'):
                if 'ip_version' not in self.fixed:
                    raise ValueError
            elif name != 'gateway_ip':  # an address of the other family: the variant's own stays
                setattr(self, name[:-3], addr)
        elif name == 'netmask_ip':
            mask = in_aton(value)
            if self.ip_version != 'ipv6':
                self.prefixlen = mask.bit_count()
        elif name == 'tolerance_percent':
            self.percent = float(value)
        elif name == 'ip_version':
            if value not in IP_VERSIONS:
                raise ValueError
            self.ip_version = value
        else:
            raise DrillError(f'unknown option --{name}')

    @property
    def family(self) -> int:
        """What `socket(..., ` means."""
        return AF_INET if self.ip_version == 'ipv4' else AF_INET6

    def sockaddr(self, addr: int, port: int) -> Sockaddr:
        """The socket address of a packet's address."""
        if self.ip_version == 'ipv4':
            return Sockaddr(AF_INET, addr, port)
        return make_sockaddr_in6(addr if self.ip_version == 'ipv6' else ipv6_addr_set_v4mapped(addr), port)
