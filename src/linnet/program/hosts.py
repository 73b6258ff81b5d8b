# SPDX-License-Identifier: Apache-2.0
"""The names of one world: what a hosts file is to a machine. The lab fills it, names.py answers programs from it."""
from __future__ import annotations


class HostTable:
    """Names of one world: name -> addresses (u32, host order), the first one preferred."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[int]] = {}
        self.servers: list[int] = []  # name servers (u32) of every host that has none of its own; none: this table answers
        self.servers_of: dict[str, list[int]] = {}  # a host's own, by its name

    def nameservers(self, host: str) -> list[int]:
        """Whom the programs of a host ask over the network; empty: nobody."""
        return self.servers_of.get(host, self.servers)

    def add(self, name: str, addr: int) -> None:
        """One more address of a name; case does not matter."""
        known = self.addresses.setdefault(name.lower(), [])
        if addr not in known:
            known.append(addr)

    def lookup(self, name: str) -> list[int]:
        """All addresses of a name; empty where nobody has it."""
        return self.addresses.get(name.lower().rstrip('.'), [])

    def reverse(self, addr: int) -> str | None:
        """The name that has this address."""
        for name, known in self.addresses.items():
            if addr in known:
                return name
        return None
