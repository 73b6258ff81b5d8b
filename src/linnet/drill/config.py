# SPDX-License-Identifier: Apache-2.0
"""The options of a run, by packetdrill's names: on the command line they beat those that stand in the script."""
from __future__ import annotations

from dataclasses import dataclass, field

from linnet.drill.script import DrillError
from linnet.include.linux.inet import in_aton


@dataclass
class Config:
    """A run's options. Times in µs; addresses as numbers."""

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
        elif name in ('local_ip', 'remote_ip', 'gateway_ip') and 'ip_version' in self.fixed and ':' in value:
            return  # a script for IPv6, run over IPv4
        elif name in ('local_ip', 'remote_ip'):
            setattr(self, name[:-3], in_aton(value))
        elif name == 'netmask_ip':
            self.prefixlen = in_aton(value).bit_count()
        elif name == 'gateway_ip':
            in_aton(value)
        elif name == 'tolerance_percent':
            self.percent = float(value)
        elif name == 'ip_version':
            if value not in ('ipv4', 'ipv6', 'ipv4-mapped-ipv6'):
                raise ValueError
            if value != 'ipv4' and name not in self.fixed:
                raise DrillError(f'--ip_version={value}: only ipv4 so far')
        else:
            raise DrillError(f'unknown option --{name}')
