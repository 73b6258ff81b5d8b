# SPDX-License-Identifier: Apache-2.0
"""The names of one world: what a hosts file is to a machine. The lab fills it, names.py answers programs from it."""
from __future__ import annotations

from linnet.include.linux.socket import AF_INET, AF_INET6, Sockaddr


class HostTable:
    """Names of one world: name -> addresses of each family (numbers in host order), the first one preferred."""

    def __init__(self) -> None:
        self.addresses: dict[int, dict[str, list[int]]] = {AF_INET: {}, AF_INET6: {}}
        self.servers: list[Sockaddr] = []  # name servers of every host that has none of its own; none: this table answers
        self.servers_of: dict[str, list[Sockaddr]] = {}  # a host's own, by its name

    def nameservers(self, host: str) -> list[Sockaddr]:
        """Whom the programs of a host ask over the network; empty: nobody."""
        return self.servers_of.get(host, self.servers)

    def add(self, name: str, addr: int, family: int = AF_INET) -> None:
        """One more address of a name; case does not matter."""
        known = self.addresses[family].setdefault(name.lower(), [])
        if addr not in known:
            known.append(addr)

    def lookup(self, name: str, family: int = AF_INET) -> list[int]:
        """All addresses of a name in one family; empty where nobody has it."""
        return self.addresses[family].get(name.lower().rstrip('.'), [])

    def reverse(self, addr: int, family: int = AF_INET) -> str | None:
        """The name that has this address."""
        for name, known in self.addresses[family].items():
            if addr in known:
                return name
        return None
