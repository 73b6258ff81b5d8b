# SPDX-License-Identifier: Apache-2.0
"""The system calls as the rooms of programs make them: simply those of net/, unless the process is a program as a whole
(realtime.py). Then they go through its gate.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from linnet.net.files import sys_pipe2, sys_sendfile
from linnet.net.socket import (
    sys_accept4,
    sys_bind,
    sys_close,
    sys_connect,
    sys_dup2,
    sys_epoll_create1,
    sys_epoll_ctl,
    sys_epoll_wait,
    sys_fcntl,
    sys_getpeername,
    sys_getsockname,
    sys_getsockopt,
    sys_ioctl,
    sys_listen,
    sys_poll,
    sys_read,
    sys_recvfrom,
    sys_recvmsg,
    sys_sendmsg,
    sys_sendto,
    sys_setsockopt,
    sys_shutdown,
    sys_socket,
    sys_socketpair,
    sys_write,
)
from linnet.program.runtime import Program

__all__ = (
    'forget',
    'sys_accept4',
    'sys_bind',
    'sys_close',
    'sys_connect',
    'sys_dup2',
    'sys_epoll_create1',
    'sys_epoll_ctl',
    'sys_epoll_wait',
    'sys_fcntl',
    'sys_getpeername',
    'sys_getsockname',
    'sys_getsockopt',
    'sys_ioctl',
    'sys_listen',
    'sys_pipe2',
    'sys_poll',
    'sys_read',
    'sys_recvfrom',
    'sys_recvmsg',
    'sys_sendfile',
    'sys_sendmsg',
    'sys_sendto',
    'sys_setsockopt',
    'sys_shutdown',
    'sys_socket',
    'sys_socketpair',
    'sys_write',
)
T = TypeVar('T')


def forget(current: Program, fd: int) -> None:
    """A descriptor of the machine is about to be closed: who polls it does so no more."""
    foreign = current.files.foreign
    if foreign is not None:
        foreign.forget(fd)


def gated(call: Callable[..., T]) -> Callable[..., T]:
    """The call, through the gate of a program that has one."""
    @functools.wraps(call)
    def either(current: Program, *args: Any, **kwargs: Any) -> T:
        gate = current.gate
        if gate is None:
            return call(current, *args, **kwargs)
        return gate.call(call, current, *args, **kwargs)
    return either


def use_gates() -> None:
    """From now on, in this process. Others pay nothing for it."""
    names = globals()
    for name in __all__:
        if not hasattr(names[name], '__wrapped__'):
            names[name] = gated(names[name])
