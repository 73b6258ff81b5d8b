# SPDX-License-Identifier: Apache-2.0
"""Notifier chains: who wants to hear that a device came up, or that an address was given."""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

if TYPE_CHECKING:
    from linnet.include.linux.netdevice import NetDevice

NETDEV_UP: Final = 1
NETDEV_DOWN: Final = 2
NETDEV_CHANGE: Final = 4
NETDEV_REGISTER: Final = 5
NETDEV_UNREGISTER: Final = 6
NETDEV_CHANGEMTU: Final = 7
NETDEV_CHANGEADDR: Final = 8
NETDEV_GOING_DOWN: Final = 9


@mypyc_attr(allow_interpreted_subclasses=True)
class NotifierBlock:
    """One listener (Linux: struct notifier_block). For address events, addr and prefixlen say which."""

    def notifier_call(self, event: int, dev: NetDevice, addr: i64 = 0, prefixlen: i64 = 0) -> None:
        """Something happened to dev, NETDEV_*."""
        raise AssertionError('a notifier is called')


def call_notifiers(chain: list[NotifierBlock], event: int, dev: NetDevice, addr: i64 = 0, prefixlen: i64 = 0) -> None:
    """Tell all, in the order of registration.  Linux: kernel/notifier.c, call_netdevice_notifiers."""
    for block in list(chain):
        block.notifier_call(event, dev, addr, prefixlen)
