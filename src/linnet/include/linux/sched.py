# SPDX-License-Identifier: Apache-2.0
"""Process: what a program on a host is to the syscalls (Linux: the parts of task_struct and nsproxy that they read).

Every sys_* takes the calling Process first, where Linux has the global `current`. Threads of a program share one Process.
"""
from __future__ import annotations

from mypy_extensions import mypyc_attr

from linnet.include.net.net_namespace import Net
from linnet.kernel.file import FdTable

CAP_NET_BIND_SERVICE = 'CAP_NET_BIND_SERVICE'
CAP_NET_ADMIN = 'CAP_NET_ADMIN'
CAP_NET_RAW = 'CAP_NET_RAW'


@mypyc_attr(allow_interpreted_subclasses=True)
class Process:
    """A program on a host: its namespace, its descriptors, its name. privileged: it has every capability (root)."""

    def __init__(self, net: Net, name: str = 'init', pid: int = 1, privileged: bool = True) -> None:
        self.net: Net = net
        self.name: str = name
        self.pid: int = pid
        self.privileged: bool = privileged
        self.files: FdTable = FdTable()
        self.exited: bool = False

    def capable(self, cap: str) -> bool:
        """May it do what `cap` (CAP_NET_*) guards?"""
        return self.privileged
