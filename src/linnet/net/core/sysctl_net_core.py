# SPDX-License-Identifier: Apache-2.0
"""net.core.*: the sysctls of the socket and device layers, by Linux's names, with its ranges."""
from __future__ import annotations

from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import SOCK_MIN_RCVBUF, SOCK_MIN_SNDBUF
from linnet.kernel.errno import EINVAL
from linnet.kernel.sysctl import INT_MAX, CtlInt, CtlTable


class CtlDefaultQdisc(CtlTable):
    """net.core.default_qdisc: the name of a queueing discipline that is registered."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def read(self) -> str:
        """Its name."""
        return self.net.core.sysctl_default_qdisc

    def write(self, value: str) -> int:
        """-EINVAL where there is none of that name (Linux: -ENOENT after asking for the module)."""
        name = value.strip()
        if name not in self.net.qdisc_base:
            return -EINVAL
        self.net.core.sysctl_default_qdisc = name
        return 0


def sysctl_core_init(net: Net) -> None:
    """Publish them.  Linux: net/core/sysctl_net_core.c."""
    core = net.core
    for name, low, high in (
        ('somaxconn', 0, INT_MAX),
        ('wmem_max', SOCK_MIN_SNDBUF, INT_MAX),
        ('rmem_max', SOCK_MIN_RCVBUF, INT_MAX),
        ('wmem_default', SOCK_MIN_SNDBUF, INT_MAX),
        ('rmem_default', SOCK_MIN_RCVBUF, INT_MAX),
        ('optmem_max', 0, INT_MAX),
        ('netdev_max_backlog', 0, INT_MAX),
        ('netdev_budget', 1, INT_MAX),
        ('dev_weight', 1, INT_MAX),
        ('tstamp_allow_data', 0, 1),
        ('gro_normal_batch', 1, INT_MAX),
    ):
        net.sysctl.register('net.core.' + name, CtlInt(core, 'sysctl_' + name, low, high))
    net.sysctl.register('net.core.default_qdisc', CtlDefaultQdisc(net))
