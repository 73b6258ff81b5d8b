# SPDX-License-Identifier: Apache-2.0
"""The drop-in for `import socket`, where it shall be seen that the sockets are Linnet's.

    from linnet import Lab, socket

    with Lab() as lab:
        ...
        with client:                                  # this code speaks for the host: the world runs during each call
            sock = socket.create_connection(('server', 80))

In a program of a lab `import socket` means the same sockets already; this module differs outside of one: it never opens a socket
of the machine, but says that there is no host. Every other name is that of the standard library's module: constants, errors,
inet_aton() and its kin.
"""
from __future__ import annotations

import socket as std
from collections.abc import Callable
from typing import Any

from linnet.program import names, patches
from linnet.program.console import call, call_for
from linnet.program.sockets import SimSocket

patches.install()
__all__ = list(std.__all__)  # pyright: ignore

# what may wait, asks for names, or touches the descriptor; the rest of a socket's methods are made of these
DRIVEN = ('accept', 'bind', 'connect', 'connect_ex', 'dup', 'getpeername', 'getsockname', 'getsockopt', 'ioctl', 'listen', 'recv',
          'recv_into', 'recvfrom', 'recvfrom_into', 'recvmsg', 'recvmsg_into', 'send', 'sendall', 'sendfile', 'sendmsg', 'sendto',
          'setblocking', 'setsockopt', 'settimeout', 'shutdown', '_real_close')


def _mine(value: Any) -> Any:
    """A simulated socket as this module's class; of a tuple of them each one."""
    if type(value) is SimSocket:
        value.__class__ = socket
    elif isinstance(value, tuple):
        return tuple([_mine(part) for part in value])
    return value


def _driven(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The same, called within the world."""
    def driven(*args: Any, **kwargs: Any) -> Any:
        return _mine(call(fn, *args, **kwargs))
    driven.__name__ = driven.__qualname__ = fn.__name__
    driven.__doc__ = fn.__doc__
    return driven


def _method(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A method, called within the world that the socket is of."""
    def driven(self: SimSocket, *args: Any, **kwargs: Any) -> Any:
        return _mine(call_for(self._program, fn, self, *args, **kwargs))
    driven.__name__ = fn.__name__
    driven.__qualname__ = f'socket.{fn.__name__}'
    driven.__doc__ = fn.__doc__
    return driven


class socket(SimSocket):  # noqa: N801  # the name it stands in for
    """As socket.socket, on a simulated host."""

    __slots__ = ()

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        call(SimSocket.__init__, self, family, type, proto, fileno)


for _name in DRIVEN:
    setattr(socket, _name, _method(getattr(SimSocket, _name)))

SocketType = socket
create_connection = _driven(std.create_connection)
create_server = _driven(std.create_server)
socketpair = _driven(std.socketpair)
fromfd = _driven(std.fromfd)
close = _driven(std.close)
getaddrinfo = _driven(names.getaddrinfo)
gethostbyname = _driven(names.gethostbyname)
gethostbyname_ex = _driven(names.gethostbyname_ex)
gethostbyaddr = _driven(names.gethostbyaddr)
getnameinfo = _driven(names.getnameinfo)
gethostname = _driven(names.gethostname)
getfqdn = _driven(names.getfqdn)


def __getattr__(name: str) -> Any:
    """Everything else is the standard library's."""
    return getattr(std, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(std)})
