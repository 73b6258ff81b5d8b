# SPDX-License-Identifier: Apache-2.0
"""socket.socket over Linnet's syscalls: the class that a simulated program gets when it says socket.socket().

It subclasses CPython's, so that isinstance() and type annotations hold, and never opens a descriptor of the machine. Time-
outs are as CPython makes them: with one, the descriptor is non-blocking and the method polls until the deadline.
"""
from __future__ import annotations

import errno
import math
import operator
import os
import socket as std
import struct
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from linnet.include.linux.in6 import in6_ntop
from linnet.include.linux.inet import in_ntoa
from linnet.include.linux.socket import AF_INET, AF_INET6, Cmsg, Msghdr, Sockaddr, make_sockaddr_in6
from linnet.kernel.clock import ns_from_seconds
from linnet.kernel.file import FD_CLOEXEC, O_NONBLOCK
from linnet.kernel.poll import POLLERR, POLLHUP, POLLIN, POLLOUT
from linnet.program import calls as sys
from linnet.program import names, polling
from linnet.program.files import F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, F_SETFL
from linnet.program.runtime import Program, current_program, running

T = TypeVar('T')
Address = Any  # what programs pass: (host, port) for AF_INET, (host, port[, flowinfo[, scope id]]) for AF_INET6
FOREVER = 1 << 62  # ns
MOST_SECONDS = (1 << 63) / 1e9
RealSocket = std.socket  # kept: the module's name is patched while a program runs


twins: dict[type, type] = {}  # a class derived from socket.socket -> the same class once more, over SimSocket


def twin(cls: type) -> type:
    """The class whose instances are those of cls, but on simulated sockets."""
    if issubclass(cls, SimSocket):
        return cls
    if cls not in twins:
        kind: Any = cls.__class__
        twins[cls] = kind(cls.__name__, (cls, SimSocket), {'__module__': cls.__module__, '__qualname__': cls.__qualname__})
    return twins[cls]


def to_sockaddr(family: int, address: Address, what: str) -> Sockaddr:
    """A program's address tuple as a Sockaddr. TypeError, OverflowError and gaierror are those of CPython."""
    if family not in (AF_INET, AF_INET6):
        raise OSError(errno.EAFNOSUPPORT, f'{what}(): address family {family} is not simulated (AF_INET and AF_INET6 are)')
    v6 = family == AF_INET6
    if not isinstance(address, tuple):
        raise TypeError(f'{what}(): {"AF_INET6" if v6 else "AF_INET"} address must be tuple, not {type(address).__name__}')
    if v6 and not 2 <= len(address) <= 4:
        raise TypeError('AF_INET6 address must be a tuple (host, port[, flowinfo[, scopeid]])')
    if not v6 and len(address) != 2:
        raise TypeError(f'{what}(): AF_INET address must be a pair (host, port)')
    host, port = address[:2]
    if not isinstance(port, int):
        raise TypeError(f"'{type(port).__name__}' object cannot be interpreted as an integer")
    if not 0 <= port <= 0xFFFF:
        raise OverflowError(f'{what}(): port must be 0-65535.')
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode('idna')
    if not isinstance(host, str):
        raise TypeError(f'{what}(): host must be str, bytes or bytearray, not {type(host).__name__}')
    if not v6:
        return Sockaddr(AF_INET, names.resolve(current_program(), host), port)
    flowinfo, scope = (*map(operator.index, address[2:]), 0, 0)[:2]
    if not 0 <= flowinfo <= 0xFFFFF:
        raise OverflowError(f'{what}(): flowinfo must be 0-1048575.')
    addr, zone = names.resolve6(current_program(), host)
    return make_sockaddr_in6(addr, port, flowinfo, scope or zone)


def from_sockaddr(addr: Sockaddr | None) -> Address:
    """A Sockaddr as a program sees it."""
    if addr is None:
        return None
    if addr.sa_family == AF_INET6:
        return (in6_ntop(addr.sin6_addr), int(addr.sin_port), int(addr.sin6_flowinfo), int(addr.sin6_scope_id))
    return (in_ntoa(int(addr.sin_addr)), int(addr.sin_port)) if addr.sa_family == AF_INET else ''


class SimSocket(std.socket):
    """A socket of a simulated program."""

    __slots__ = ('_fd', '_family', '_kind', '_program', '_proto', '_timeout')

    _fd: int
    _family: int
    _kind: int
    _proto: int
    _timeout: float | None
    _program: Program
    _closed: bool
    _io_refs: int

    def __new__(cls, *args: Any, **kwargs: Any) -> SimSocket:
        return RealSocket.__new__(cls)

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        program = current_program()
        self._program = program
        self._io_refs = 0
        self._closed = True
        self._fd = -1
        if fileno is not None:
            self._adopt(fileno, family, type, proto)
        else:
            self._family = AF_INET if family == -1 else int(family)
            kind = std.SOCK_STREAM if type == -1 else int(type)
            self._kind = kind & ~(std.SOCK_NONBLOCK | std.SOCK_CLOEXEC)
            self._proto = 0 if proto == -1 else proto
            self._fd = sys.sys_socket(program, self._family, kind | std.SOCK_CLOEXEC, self._proto)
        self._closed = False
        self._timeout = program.default_timeout
        if fileno is None and isinstance(type, int) and type != -1 and type & std.SOCK_NONBLOCK:
            self._timeout = 0.0
        elif self._timeout is not None:
            self._set_nonblock(True)

    def _adopt(self, fileno: int, family: int, type: int, proto: int) -> None:
        """Take over an open descriptor of the program, as socket.socket(fileno=...) does: what is given is believed."""
        if not isinstance(fileno, int):
            raise TypeError(f"'{fileno.__class__.__name__}' object cannot be interpreted as an integer")
        if fileno < 0:
            raise ValueError('negative file descriptor')
        program = self._program
        sys.sys_getsockname(program, fileno)  # EBADF, ENOTSOCK
        self._family = family if family != -1 else int_option(program, fileno, std.SO_DOMAIN)
        self._kind = type if type != -1 else int_option(program, fileno, std.SO_TYPE)
        self._proto = proto if proto != -1 else int_option(program, fileno, std.SO_PROTOCOL)
        self._fd = fileno

    def _int_opt(self, level: int, option: int) -> int:
        value: int = struct.unpack('i', sys.sys_getsockopt(self._program, self._fd, level, option, 4))[0]
        return value

    # -- what a socket is

    @property
    def family(self) -> std.AddressFamily:
        """The address family, as an enum where it has a name."""
        return std._intenum_converter(self._family, std.AddressFamily)  # type: ignore[attr-defined,no-any-return]

    @property
    def type(self) -> std.SocketKind:
        """The socket's type without flags."""
        return std._intenum_converter(self._kind, std.SocketKind)  # type: ignore[attr-defined,no-any-return]

    @property
    def proto(self) -> int:
        """The protocol number."""
        return self._proto

    @property
    def timeout(self) -> float | None:
        """Seconds, or None: for ever."""
        return self._timeout

    def __del__(self) -> None:
        """As CPython: warn of a socket that was not closed, and close it, where the program dropped its last reference.

        What the collector of cycles finds is left to the end of the program: it comes at no certain time, and so would the FIN.
        """
        fd = getattr(self, '_fd', -1)
        if fd < 0 or self._program.exited:
            return
        gate, task = self._program.gate, running.task
        if gate is None and (collector.running or task is None or task.process is not self._program):
            return
        warnings.warn(f'unclosed {self!r}', ResourceWarning, source=self, stacklevel=2)
        self._fd = -1
        with suppress(OSError):
            sys.sys_close(self._program, fd)

    def __getstate__(self) -> Any:
        raise TypeError(f'cannot pickle {self.__class__.__name__!r} object')

    def fileno(self) -> int:
        """The descriptor within the program, -1 when closed."""
        return self._fd

    def detach(self) -> int:
        """Close the object without closing the descriptor, which is returned."""
        fd, self._fd = self._fd, -1
        self._closed = True
        return fd

    def get_inheritable(self) -> bool:
        """As set; no program of a world executes another."""
        return not sys.sys_fcntl(self._program, self._fd, F_GETFD, 0) & FD_CLOEXEC

    def set_inheritable(self, inheritable: bool) -> None:
        """See get_inheritable."""
        sys.sys_fcntl(self._program, self._fd, F_SETFD, 0 if inheritable else FD_CLOEXEC)

    def _check_open(self) -> None:
        if self._fd < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    # -- time-outs

    def settimeout(self, value: float | None) -> None:
        """None: block for ever; 0: never block; else seconds."""
        self._timeout = value = checked_timeout(value)
        self._set_nonblock(value is not None)

    def gettimeout(self) -> float | None:
        """As set."""
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        """settimeout(None) or settimeout(0)."""
        self.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        """Does it block (perhaps with a time-out)?"""
        return self._timeout != 0.0

    def _set_nonblock(self, on: bool) -> None:
        self._check_open()
        flags = sys.sys_fcntl(self._program, self._fd, F_GETFL, 0)
        sys.sys_fcntl(self._program, self._fd, F_SETFL, flags | O_NONBLOCK if on else flags & ~O_NONBLOCK)

    def _deadline(self) -> int | None:
        """The world's time (ns) at which a call that starts now is out of time."""
        if not self._timeout:
            return None
        return self._program.now() + ns_from_seconds(self._timeout)

    def _call(self, deadline: int | None, events: int, call: Callable[..., T], *args: Any) -> T:
        """call(program, descriptor, *args); with a time-out, wait for `events` whenever it would block, until `deadline`."""
        program = self._program
        while True:
            try:
                result = call(program, self._fd, *args)
                program.clock.progress()
                return result
            except BlockingIOError:
                if not self._timeout or deadline is None:
                    raise
            except InterruptedError:
                program.signals.run_handlers()
                continue
            self._wait(events, deadline)

    def _wait(self, events: int, deadline: int) -> None:
        left = deadline - self._program.now()
        if left <= 0 or not polling.poll(self._program, [(self._fd, events)], left):
            raise TimeoutError('timed out')

    # -- opening and closing

    def bind(self, address: Address) -> None:
        """Bind to (host, port)."""
        self._check_open()
        sys.sys_bind(self._program, self._fd, to_sockaddr(self._family, address, 'bind'))

    def listen(self, backlog: int = 128) -> None:
        """Start to listen; backlog as the system call takes it."""
        sys.sys_listen(self._program, self._fd, max(0, c_int(backlog)))

    def connect(self, address: Address) -> None:
        """Connect; with a time-out, TimeoutError when it is over."""
        error = self._connect(address)
        if error:
            raise OSError(error, os.strerror(error))

    def connect_ex(self, address: Address) -> int:
        """As connect, but returns the errno (0: connected)."""
        try:
            return self._connect(address)
        except TimeoutError:
            return errno.EAGAIN

    def _connect(self, address: Address) -> int:
        self._check_open()
        target = to_sockaddr(self._family, address, 'connect')
        deadline = self._deadline()
        try:
            sys.sys_connect(self._program, self._fd, target)
            return 0
        except InterruptedError:
            self._program.signals.run_handlers()
            deadline = deadline if deadline is not None else FOREVER
        except OSError as exc:
            if exc.errno != errno.EINPROGRESS or not self._timeout or deadline is None:
                return exc.errno or errno.EIO
        self._wait(POLLOUT | POLLERR | POLLHUP, deadline)
        return self._int_opt(std.SOL_SOCKET, std.SO_ERROR)

    def accept(self) -> tuple[SimSocket, Address]:
        """The next connection and its peer."""
        self._check_open()
        fd, peer = self._call(self._deadline(), POLLIN, sys.sys_accept4, std.SOCK_CLOEXEC)
        sock = SimSocket.__new__(SimSocket)
        sock._program = self._program
        sock._io_refs, sock._closed = 0, False
        sock._fd, sock._family, sock._kind, sock._proto = fd, self._family, self._kind, self._proto
        sock._timeout = None
        if self._program.default_timeout is not None:
            sock.settimeout(self._program.default_timeout)
        return sock, from_sockaddr(peer)

    def shutdown(self, how: int) -> None:
        """SHUT_RD, SHUT_WR or SHUT_RDWR."""
        sys.sys_shutdown(self._program, self._fd, c_int(how))

    def _real_close(self, _ss: Any = None) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0 and not self._program.exited:  # the end of a program has closed what it left open
            sys.sys_close(self._program, fd)

    def dup(self) -> SimSocket:
        """A second descriptor for the same socket."""
        fd = sys.sys_fcntl(self._program, self._fd, F_DUPFD_CLOEXEC, 0)
        sock = self.__class__(self._family, self._kind, self._proto, fileno=fd)
        sock.settimeout(self._timeout)
        return sock

    def getsockname(self) -> Address:
        """The local address."""
        return from_sockaddr(sys.sys_getsockname(self._program, self._fd))

    def getpeername(self) -> Address:
        """The remote address; ENOTCONN without one."""
        return from_sockaddr(sys.sys_getpeername(self._program, self._fd))

    # -- options

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int | None = None) -> None:
        """value: int, bytes, or None with optlen."""
        if value is None:
            data = bytes(optlen or 0)
        elif isinstance(value, int):
            data = struct.pack('i', value) if value < 0x80000000 else struct.pack('I', value)
        else:
            data = bytes(value)
        sys.sys_setsockopt(self._program, self._fd, level, optname, data)

    def getsockopt(self, level: int, optname: int, buflen: int = 0) -> Any:
        """An int, or bytes where buflen is given."""
        if not 0 <= buflen <= 1024:
            raise OSError('getsockopt buflen out of range')
        if buflen == 0:
            return self._int_opt(level, optname)
        return sys.sys_getsockopt(self._program, self._fd, level, optname, buflen)

    def ioctl(self, control: int, option: int) -> int:
        """The system call by its number."""
        return sys.sys_ioctl(self._program, self._fd, control, option)

    # -- data

    def send(self, data: Any, flags: int = 0) -> int:
        """Send what fits; returns how much."""
        return self._call(self._deadline(), POLLOUT, sys.sys_sendto, _bytes(data), flags, None)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send everything, or raise."""
        raw = _bytes(data)
        deadline = self._deadline()
        sent = 0
        while sent < len(raw):
            sent += self._call(deadline, POLLOUT, sys.sys_sendto, raw if sent == 0 else raw[sent:], flags, None)

    def sendto(self, data: Any, *args: Any) -> int:
        """sendto(data, address) or sendto(data, flags, address)."""
        if len(args) not in (1, 2):
            raise TypeError(f'sendto() takes 2 or 3 arguments ({len(args) + 1} given)')
        raw = _bytes(data)
        flags, address = (0, args[0]) if len(args) == 1 else (c_int(args[0]), args[1])
        target = to_sockaddr(self._family, address, 'sendto')
        return self._call(self._deadline(), POLLOUT, sys.sys_sendto, raw, flags, target)

    def sendmsg(self, buffers: Iterable[Any], ancdata: Iterable[Any] = (), flags: int = 0, address: Address = None) -> int:
        """Send the buffers as one message, with control messages (level, type, bytes)."""
        raw = b''.join([_bytes(b) for b in buffers])
        target = None if address is None else to_sockaddr(self._family, address, 'sendmsg')
        control = [_cmsg(item) for item in ancdata]

        def call(program: Program, fd: int, flags: int) -> int:
            msg = Msghdr(raw)
            msg.msg_name = target
            msg.msg_control = control
            return sys.sys_sendmsg(program, fd, msg, flags)
        return self._call(self._deadline(), POLLOUT, call, c_int(flags))

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Up to bufsize bytes; b'' at the end of the stream."""
        if bufsize < 0:
            raise ValueError('negative buffersize in recv')
        return self._call(self._deadline(), POLLIN, sys.sys_recvfrom, bufsize, flags)[0]

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Address]:
        """As recv, with the sender's address."""
        if bufsize < 0:
            raise ValueError('negative buffersize in recvfrom')
        data, peer = self._call(self._deadline(), POLLIN, sys.sys_recvfrom, bufsize, flags)
        return data, from_sockaddr(peer)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer; returns how much."""
        return self.recvfrom_into(buffer, nbytes, flags)[0]

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Address]:
        """As recv_into, with the sender's address."""
        view = _writable(buffer)
        if nbytes < 0:
            raise ValueError('negative buffersize in recv_into')
        if nbytes > len(view):
            raise ValueError('buffer too small for requested bytes')
        data, peer = self._call(self._deadline(), POLLIN, sys.sys_recvfrom, nbytes or len(view), flags)
        view[:len(data)] = data
        return len(data), from_sockaddr(peer)

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Address]:
        """(data, control messages, flags, sender)."""
        bufsize, ancbufsize, flags = c_int(bufsize), c_int(ancbufsize), c_int(flags)
        if bufsize < 0:
            raise ValueError('negative buffer size in recvmsg()')
        if ancbufsize < 0:
            raise ValueError('invalid ancillary data buffer length')

        def call(program: Program, fd: int) -> Msghdr:
            msg = Msghdr()
            sys.sys_recvmsg(program, fd, msg, bufsize, flags)
            return msg
        msg = self._call(self._deadline(), POLLIN, call)
        control = []
        for cmsg in msg.msg_control:
            if std.CMSG_LEN(len(cmsg.data)) > ancbufsize:
                msg.msg_flags |= std.MSG_CTRUNC
                break
            control.append((int(cmsg.cmsg_level), int(cmsg.cmsg_type), cmsg.data))
            ancbufsize -= std.CMSG_SPACE(len(cmsg.data))
        return b''.join(msg.chunks), control, msg.msg_flags, from_sockaddr(msg.msg_name)

    def recvmsg_into(self, buffers: Iterable[Any], ancbufsize: int = 0, flags: int = 0) -> tuple[int, list[Any], int, Address]:
        """As recvmsg, into buffers."""
        views = [_writable(b) for b in buffers]
        data, control, got, peer = self.recvmsg(sum(len(v) for v in views), ancbufsize, flags)
        at = 0
        for view in views:
            part = data[at:at + len(view)]
            view[:len(part)] = part
            at += len(part)
        return len(data), control, got, peer


def _bytes(data: Any) -> bytes:
    """What a program wants to send, as immutable bytes (the stack shares them, so a mutable buffer is copied here once)."""
    if type(data) is bytes:
        return data
    try:
        return bytes(data) if isinstance(data, (bytes, bytearray)) else bytes(memoryview(data).cast('B'))
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not '{type(data).__name__}'") from None


def _writable(buffer: Any) -> memoryview:
    """A buffer to receive into."""
    view = memoryview(buffer)
    if view.readonly:
        raise TypeError(f"read-write bytes-like object is required, not '{type(buffer).__name__}'")
    return view.cast('B')


def _cmsg(item: Any) -> Cmsg:
    """One item of sendmsg()'s ancdata."""
    if not isinstance(item, Sequence) or len(item) != 3:
        raise TypeError('[sendmsg() ancillary data items must be 3-item sequences]')
    return Cmsg(c_int(item[0]), c_int(item[1]), _bytes(item[2]))


def c_int(value: Any) -> int:
    """An argument as a C int."""
    number = operator.index(value)
    if not -0x80000000 <= number <= 0x7FFFFFFF:
        raise OverflowError('Python int too large to convert to C int')
    return number


def int_option(program: Program, fd: int, option: int) -> int:
    """An option of SOL_SOCKET."""
    value: int = struct.unpack('i', sys.sys_getsockopt(program, fd, std.SOL_SOCKET, option, 4))[0]
    return value


def checked_timeout(value: float | None) -> float | None:
    """A time-out as CPython takes it: None, or seconds from 0 to what its C type holds."""
    if value is None:
        return None
    if not hasattr(value, '__float__') and not hasattr(value, '__index__'):
        raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
    seconds = float(value)
    if math.isnan(seconds):
        raise ValueError('Invalid value NaN (not a number)')
    if seconds < 0.0:
        raise ValueError('Timeout value out of range')
    if seconds > MOST_SECONDS:
        raise OverflowError('timestamp too large to convert to C _PyTime_t')
    return seconds


class _Collector:
    """Is the interpreter's collector of cycles running?"""

    running = False


collector = _Collector()


def note_collection(phase: str, _: Any) -> None:
    """For gc.callbacks."""
    collector.running = phase == 'start'


def getdefaulttimeout() -> float | None:
    """As socket.getdefaulttimeout: each program has its own."""
    return current_program().default_timeout


def setdefaulttimeout(timeout: float | None) -> None:
    """As socket.setdefaulttimeout."""
    current_program().default_timeout = checked_timeout(timeout)


def socketpair(family: int | None = None, type: int = std.SOCK_STREAM, proto: int = 0) -> tuple[SimSocket, SimSocket]:
    """A connected pair within the program (AF_UNIX by default, as in CPython)."""
    program = current_program()
    a, b = sys.sys_socketpair(program, std.AF_UNIX if family is None else family, type, proto)
    for fd in (a, b):
        sys.sys_fcntl(program, fd, F_SETFD, FD_CLOEXEC)
    return SimSocket(fileno=a), SimSocket(fileno=b)


def fromfd(fd: int, family: int, type: int, proto: int = 0) -> SimSocket:
    """A socket on a duplicate of an open descriptor."""
    return SimSocket(family, type, proto, fileno=sys.sys_fcntl(current_program(), fd, F_DUPFD_CLOEXEC, 0))



